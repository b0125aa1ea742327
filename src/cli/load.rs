//! From a configuration that can be run to a service: what it is started with, and where it reads
//! the next one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::complaint::{Complaint, File, Severity};
use crate::config;
use crate::config::ready::{self, Ready, load_beside};
use crate::shell::Setup;
use crate::shell::clock;
use crate::shell::in_force::InForce;
use crate::shell::kept_sockets::KeptSockets;
use crate::shell::reload::{Fresh, Source};
use crate::shell::survival::{self, Configs, Kept};
use crate::store::{Reader, Store, history};

/// The configuration to begin with, with the prompts in G.711 only: the file's. Where that or a
/// prompt is refused, or gone, and the process before did not end as it should, the one that was in
/// force then, with the prompts that are any good; what is wrong is among the faults: calls wait
/// for us.
///
/// # Errors
/// Everything that is wrong with the file and the prompts.
pub fn first(path: &Path, in_force: &InForce) -> Result<Ready, Vec<Complaint>> {
    let left = in_force.read();
    let read = match left {
        Some(_) if !is_written(path) => Err(vec![gone(path)]),
        Some(_) | None => ready::load_bare(path),
    };
    read.or_else(|complaints| {
        let old = left.and_then(|text| ready::load_anyway(&text, path).ok());
        let Some(mut old) = old else { return Err(complaints) };
        let told: Vec<_> = old.missing.iter().chain(&old.faults).cloned().collect();
        let severity = Severity::Outside;
        // The same words may weigh less where calls wait.
        let is_same = |one: &Complaint, other: &Complaint| {
            Complaint { severity, ..one.clone() } == Complaint { severity, ..other.clone() }
        };
        let is_new = |what: &Complaint| !told.iter().any(|it| is_same(it, what));
        old.faults.extend(complaints.into_iter().filter(is_new));
        Ok(old)
    })
}

/// Keeps the file's text for the next process, if it is the one that has been read. To be called
/// when it serves: nobody follows one that could not begin.
pub(super) fn keep(in_force: &InForce, path: &Path, ready: &Ready) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if config::version(&text) != ready.loaded.call.version {
        // The demo, or changed meanwhile: then it is read again.
        return;
    }
    if let Err(error) = in_force.keep(&text) {
        tracing::warn!(%error, "the configuration in force can't be kept for a crash");
    }
}

fn gone(path: &Path) -> Complaint {
    Complaint::error(path.display().to_string(), None, File::GoneOrEmpty)
}

/// What a service is started with, all of it on the runtime that this is called in, and the
/// configuration that is in force, now and after each change. It is read again from `path`. It goes
/// on with the calls and the `sockets` of the process before. Where there are such calls, prompts
/// are not prepared for codecs that few speak: they wait for us.
///
/// # Errors
/// When the store can't be opened, now or later.
pub fn setup(
    ready: &mut Ready,
    path: PathBuf,
    sockets: KeptSockets,
    in_force: InForce,
) -> anyhow::Result<(Setup, watch::Receiver<Arc<Ready>>)> {
    let folder = &ready.loaded.shell.state_dir;
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
    let is_left = in_force.read().is_some();
    let (store, intentions) = Store::open_or_wait(&ready.loaded.store, is_left)?;
    let shell = &ready.loaded.shell;
    let runtime_dir = shell.runtime_dir.as_deref();
    let kept = Kept {
        journal: Some(survival::open(folder, runtime_dir, &mut clock::chance()?)),
        wait: shell.journal_wait,
        is_left,
        sockets,
        configs: configs(ready, &path),
    };
    if !kept.has_calls() {
        ready.prepare(&BTreeSet::new());
    }
    let (told, current) = watch::channel(Arc::new(ready.clone()));
    let setup = Setup {
        media: ready.loaded.media.clone(),
        sockets: ready.loaded.shell.sockets.clone(),
        recorder: ready.loaded.shell.recorder.clone(),
        store,
        intentions,
        kept,
        source: Some(source(ready, path, told, in_force)),
        fresh: ready.fresh(vec![]),
        on_step: Box::new(|_| {}),
        beside: Handle::current(),
    };
    Ok((setup, current))
}

/// Configurations that were in force, from the history that the console keeps.
fn configs(ready: &Ready, path: &Path) -> Configs {
    let database = ready.loaded.store.path.clone();
    let file = path.display().to_string();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let lengths = ready.loaded.call.prompt_lengths.clone();
    let known = RefCell::new(BTreeMap::new());
    let find = move |version: u64| {
        let reader = Reader::open(&database).ok()?;
        let found = reader.read(|conn| history::of_print(conn, &version.to_be_bytes())).ok()??;
        let loaded = config::parse_anyway(&found.text, &file, &folder);
        let mut call = loaded.ok()?.call;
        call.prompt_lengths.clone_from(&lengths);
        Some(Arc::new(call))
    };
    Box::new(move |version| {
        known.borrow_mut().entry(version).or_insert_with(|| find(version)).clone()
    })
}

/// What is in force, with the prompts in every codec.
fn prepare(told: &watch::Sender<Arc<Ready>>) -> Fresh {
    // Beside the lock, which whoever shows a page waits for.
    let mut ready = Ready::clone(&told.borrow());
    ready.prepare(&BTreeSet::new());
    told.send_replace(Arc::new(ready));
    Fresh { tls: None, ..told.borrow().fresh(vec![]) }
}

/// Whether the file is there and says anything.
fn is_written(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|text| !text.trim_ascii().is_empty())
}

fn source(
    ready: &Ready,
    path: PathBuf,
    told: watch::Sender<Arc<Ready>>,
    in_force: InForce,
) -> Source {
    let paths = vec![path.clone(), ready.loaded.shell.prompts_dir.clone()];
    let mut was_written = is_written(&path) || in_force.read().is_some();
    // Calls that live keep their codecs.
    let mut codecs = ready.loaded.call.codecs();
    let load = move || {
        // An editor that fails half-way must not put the demo in place of the line.
        let is_written = is_written(&path);
        if was_written && !is_written {
            return Err(vec![gone(&path)]);
        }
        let last = Arc::clone(&told.borrow());
        let ready = match load_beside(&path, &codecs, Some(&last)) {
            Ok(ready) => ready,
            Err(complaints) if last.is_prepared() => return Err(complaints),
            // The rest of the prompts does not wait for a file to be mended.
            Err(_) => return Ok(prepare(&told)),
        };
        keep(&in_force, &path, &ready);
        was_written |= is_written;
        codecs.extend(ready.loaded.call.codecs());
        let changes = config::changes(&last.loaded, &ready.loaded);
        let notes = changes.iter().map(|change| match change.after_restart {
            true => format!("{} has changed: it waits for a restart", change.key),
            false => format!("{} has changed", change.key),
        });
        let notes = ready.warnings.iter().map(ToString::to_string).chain(notes).collect();
        let mut fresh = ready.fresh(notes);
        told.send_replace(Arc::new(ready));
        if !fresh.faults.is_empty() {
            // What is no good never takes the place of what is.
            fresh.tls = None;
        }
        Ok(fresh)
    };
    Source { paths, stamps: ready.stamps.clone(), load: Box::new(load) }
}
