//! When the configuration and the prompts are read again, off the loop: at SIGHUP, when a file has
//! changed, and the registrars' names every few minutes.
//!
//! Owns the watching. Reading is `main`'s (it alone knows the files' form): it hands in a [`Load`].
//! A configuration with any mistake is reported in full and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::handle::Reload;
use super::resolve;
use super::sip_socket::tls::Tls;
use crate::call::config::Config;
use crate::complaint::Complaint;
use crate::media::prompt::Library;
use crate::sip;

/// How often the files' times are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the registrars' names are looked up.
const RESOLVE_EVERY: Duration = Duration::from_secs(300);
/// Files of one watched folder that are looked at.
const FILES_MAX: usize = 10_000;

/// What a running service can take over.
#[derive(Clone)]
pub struct Fresh {
    /// For the call path.
    pub call: Config,
    /// For the SIP stack.
    pub sip: sip::Config,
    /// The prompts.
    pub library: Arc<Library>,
    /// For the handshakes of SIP over TLS; `None`: there is none, or it stays as it is.
    pub tls: Option<Arc<Tls>>,
    /// Files besides the source's own that it was made of; they are watched as well.
    pub files: Vec<PathBuf>,
    /// What the operator should know: keys that changed, keys that wait for a restart, warnings.
    pub notes: Vec<String>,
    /// What the configuration names and is no good: the service runs without it.
    pub faults: Vec<String>,
}

/// Reads and checks configuration and prompts; an error lists everything that is wrong.
pub type Load = Box<dyn FnMut() -> Result<Fresh, Vec<Complaint>> + Send>;

/// What is watched, and how it is read.
pub struct Source {
    /// Files, and folders whose files count.
    pub paths: Vec<PathBuf>,
    /// How they were before they were read, by [`stamps`].
    pub stamps: Stamps,
    /// Reads them. Is called off the loop.
    pub load: Load,
}

/// By which a file is told from what it was: when it was written, its length, and when anything
/// about it changed (a copy may bring its old time along).
pub type Stamp = (Option<SystemTime>, u64, (i64, i64));

/// The stamps of everything that is watched.
pub type Stamps = BTreeMap<PathBuf, Stamp>;

/// Watches until the loop is gone; `changes` gets each configuration that is good. `current` is the
/// one that runs.
pub(super) async fn watch(
    source: Source,
    mut current: Fresh,
    mut hangup: Signal,
    mut reloads: mpsc::Receiver<Reload>,
    changes: mpsc::Sender<Fresh>,
) {
    let Source { paths, stamps, mut load } = source;
    let mut files =
        Files { paths, more: current.files.clone(), read: stamps.clone(), seen: stamps };
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut resolve_at = Instant::now();
    loop {
        let mut asker = None;
        let is_asked = tokio::select! {
            _ = ticks.tick() => false,
            told = hangup.recv() => told.is_some(),
            Some(reload) = reloads.recv() => {
                asker = Some(reload);
                true
            }
            () = changes.closed() => return,
        };
        if is_asked || files.have_settled_anew().await {
            files.look().await;
            tracing::info!("reads the configuration");
            let Some((again, read)) = read(load).await else { return };
            load = again;
            match read {
                Ok(fresh) => {
                    current = take_over(fresh, &current).await;
                    files.also(&current.files).await;
                }
                Err(complaints) => {
                    for complaint in &complaints {
                        tracing::error!("{complaint}");
                    }
                    tracing::error!("the configuration is refused; the last one stays");
                    asker.map(|asker| asker.send(Err(complaints)).ok());
                    continue;
                }
            }
        } else if resolve_at <= Instant::now() {
            resolve_at = Instant::now() + RESOLVE_EVERY;
            if !resolve::names(&mut current.call).await {
                continue;
            }
            current.tls = None;
            current.notes = vec!["the address of a registrar has changed".to_owned()];
        } else {
            continue;
        }
        if changes.send(current.clone()).await.is_err() {
            return;
        }
        // Whoever asked may have gone.
        asker.map(|asker| asker.send(Ok(())).ok());
    }
}

/// Reads on a thread where waiting for a disk harms nobody. `None`: the reader panicked.
async fn read(mut load: Load) -> Option<(Load, Result<Fresh, Vec<Complaint>>)> {
    let read = spawn_blocking(move || {
        let read = load();
        (load, read)
    });
    match read.await {
        Ok(read) => Some(read),
        Err(error) => {
            tracing::error!(%error, "the configuration can't be read again until a restart");
            None
        }
    }
}

async fn take_over(mut fresh: Fresh, current: &Fresh) -> Fresh {
    resolve::keep(&mut fresh.call, &current.call);
    resolve::literals(&mut fresh.call);
    resolve::new_names(&mut fresh.call).await;
    fresh
}

/// The files as they were when last read, and as last seen.
struct Files {
    paths: Vec<PathBuf>,
    /// What the configuration names.
    more: Vec<PathBuf>,
    read: Stamps,
    seen: Stamps,
}

impl Files {
    /// Takes what is there as read.
    async fn look(&mut self) {
        self.read = self.stamps().await;
        self.seen.clone_from(&self.read);
    }

    /// Takes other files as named by the configuration.
    async fn also(&mut self, more: &[PathBuf]) {
        if self.more != more {
            self.more = more.to_vec();
            self.look().await;
        }
    }

    /// Whether the files differ from when they were read, and did not change since the last look:
    /// an editor may still be writing.
    async fn have_settled_anew(&mut self) -> bool {
        let stamps = self.stamps().await;
        let is_anew = stamps != self.read && stamps == self.seen;
        self.seen = stamps;
        is_anew
    }

    /// Looks on a thread where waiting for a disk harms nobody.
    async fn stamps(&self) -> Stamps {
        let paths = [&self.paths[..], &self.more].concat();
        spawn_blocking(move || stamps(&paths)).await.unwrap_or_default()
    }
}

/// How files, and the files of folders, are at this moment.
pub fn stamps(paths: &[PathBuf]) -> Stamps {
    let mut stamps = Stamps::new();
    for path in paths {
        stamp(path, &mut stamps);
        let inside = fs::read_dir(path).into_iter().flatten().flatten().take(FILES_MAX);
        inside.for_each(|file| stamp(&file.path(), &mut stamps));
    }
    stamps
}

fn stamp(path: &Path, stamps: &mut Stamps) {
    if let Ok(data) = fs::metadata(path) {
        let changed = (data.ctime(), data.ctime_nsec());
        stamps.insert(path.to_owned(), (data.modified().ok(), data.len(), changed));
    }
}
