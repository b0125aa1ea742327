//! From a file on disk to what the parts of the program are given: configuration and prompts
//! together, since each is judged by the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::config::{self, Loaded, Severity};
use crate::media::prompt::Library;
use crate::media::{Codec, Prompt};
use crate::shell::reload::{Fresh, Source, Stamps, stamps};
use crate::shell::{Setup, prompts};
use crate::store::Store;

/// A configuration that can be run, with its prompts.
#[derive(Clone)]
pub struct Ready {
    /// The configuration; the lengths of its prompts are filled in.
    pub loaded: Loaded,
    /// The prompts.
    pub library: Arc<Library>,
    /// What looks wrong but can be run, as `file:line: message`.
    pub warnings: Vec<String>,
    /// What the configuration names and is no good; the service runs without it.
    pub faults: Vec<String>,
    /// How the files were before they were read.
    stamps: Stamps,
}

/// Reads and checks the file and its prompts. A file that is not there is an empty one, with a
/// warning.
///
/// # Errors
/// Everything that is wrong, as `file:line: message`.
pub fn load(path: &Path) -> Result<Ready, Vec<String>> {
    load_for(path, &BTreeSet::new())
}

/// As [`load`], with the prompts encoded `also` for these codecs.
fn load_for(path: &Path, also: &BTreeSet<Codec>) -> Result<Ready, Vec<String>> {
    let mut seen = stamps(&[path.to_owned()]);
    let mut loaded = config::load_or_demo(path)
        .map_err(|complaints| complaints.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    seen.extend(stamps(std::slice::from_ref(&loaded.shell.prompts_dir)));
    seen.extend(stamps(&loaded.files));
    let library = prompts::library(&loaded.shell.prompts_dir)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let lengths = lengths(&library);
    let complaints = config::check(&loaded, &lengths);
    if complaints.iter().any(|c| c.severity == Severity::Error) {
        return Err(complaints.iter().map(ToString::to_string).collect());
    }
    let of = |severity| {
        let complaints = complaints.iter().filter(|complaint| complaint.severity == severity);
        complaints.map(ToString::to_string).collect()
    };
    let (warnings, faults) = (of(Severity::Warning), of(Severity::Outside));
    loaded.call.prompt_lengths = lengths;
    let library = library.prepared(&loaded.call.codecs().union(also).copied().collect());
    Ok(Ready { loaded, library: Arc::new(library), warnings, faults, stamps: seen })
}

/// Whether the file is there and says anything.
fn is_written(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|text| !text.trim_ascii().is_empty())
}

fn lengths(library: &Library) -> BTreeMap<Prompt, Duration> {
    let length = |name: &Prompt| library.clip(name).map(|clip| (name.clone(), clip.duration()));
    library.names().filter_map(length).collect()
}

impl Ready {
    /// What a service is started with, all of it on the runtime that this is called in. `path` is
    /// where it reads the configuration again from; `None`: never.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub fn setup(self, path: Option<PathBuf>) -> anyhow::Result<Setup> {
        let folder = &self.loaded.shell.state_dir;
        std::fs::create_dir_all(folder)
            .map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
        let (store, intentions) = Store::open(&self.loaded.store)?;
        Ok(Setup {
            media: self.loaded.media.clone(),
            sockets: self.loaded.shell.sockets.clone(),
            recorder: self.loaded.shell.recorder.clone(),
            store,
            intentions,
            source: path.map(|path| self.source(path)),
            fresh: self.fresh(vec![]),
            on_step: Box::new(|_| {}),
            beside: Handle::current(),
        })
    }

    fn fresh(&self, notes: Vec<String>) -> Fresh {
        let Loaded { call, sip, tls, files, .. } = self.loaded.clone();
        let (library, faults) = (Arc::clone(&self.library), self.faults.clone());
        Fresh { call, sip, library, tls, files, notes, faults }
    }

    fn source(&self, path: PathBuf) -> Source {
        let paths = vec![path.clone(), self.loaded.shell.prompts_dir.clone()];
        let mut last = self.loaded.clone();
        let was_written = is_written(&path);
        // Calls that live keep their codecs.
        let mut codecs = last.call.codecs();
        let load = move || {
            // An editor that fails half-way must not put the demo in place of the line.
            if was_written && !is_written(&path) {
                let what = "is gone or empty; the demo opens at a start only";
                return Err(vec![format!("{}: {what}", path.display())]);
            }
            let ready = load_for(&path, &codecs)?;
            codecs.extend(ready.loaded.call.codecs());
            let changes = config::changes(&last, &ready.loaded);
            let notes = changes.iter().map(|change| match change.after_restart {
                true => format!("{} has changed: it waits for a restart", change.key),
                false => format!("{} has changed", change.key),
            });
            let notes = ready.warnings.iter().cloned().chain(notes).collect();
            last = ready.loaded.clone();
            let mut fresh = ready.fresh(notes);
            if !fresh.faults.is_empty() {
                // What is no good never takes the place of what is.
                fresh.tls = None;
            }
            Ok(fresh)
        };
        Source { paths, stamps: self.stamps.clone(), load: Box::new(load) }
    }
}
