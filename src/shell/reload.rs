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
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::handle::Reload;
use super::process::Broken;
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
    /// Those of the faults without which no service would begin that has nothing to go on with.
    pub missing: Vec<String>,
}

impl Fresh {
    /// It does without this, so that calls go on.
    pub fn miss(&mut self, what: Vec<String>) {
        let new = what.into_iter().filter(|one| !self.missing.contains(one)).collect::<Vec<_>>();
        self.faults.extend_from_slice(&new);
        self.missing.extend(new);
    }
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
    // Beside the rest: a name server that is slow holds up no change of something else.
    let mut looking = JoinSet::new();
    loop {
        let (mut asker, mut found) = (None, None);
        let is_asked = tokio::select! {
            _ = ticks.tick() => false,
            told = hangup.recv() => {
                // Whoever tells us may know that a name has another address now.
                resolve_at = Instant::now();
                told.is_some()
            }
            Some(reload) = reloads.recv() => {
                asker = Some(reload);
                true
            }
            Some(looked) = looking.join_next() => {
                found = looked.ok();
                false
            }
            () = changes.closed() => return,
        };
        if looking.is_empty() && resolve_at <= Instant::now() {
            resolve_at = Instant::now() + RESOLVE_EVERY;
            looking.spawn(resolve::names(current.call.clone()));
        }
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
        } else if found.is_some_and(|found| resolve::renew(&mut current.call, &found)) {
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
            let error = Broken::from(error);
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use nix::sys::signal::{Signal as Named, raise};
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::time::timeout;

    use super::*;
    use crate::config::ready;

    const FILE: &str = "[[trunk]]\nid = \"t\"\npeers = [\"127.0.0.1\"]\n[trunk.register]\n\
        uri = \"sip:localhost\"\nuser = \"u\"\npassword = \"carrier-secret\"\n\
        [[line]]\nid = \"l\"\nnumbers = [\"0570000000\"]\n\
        [[counselor]]\nextension = \"101\"\npassword = \"k7m2q9xw\"\nlines = [\"l\"]\n";

    /// The registrar's addresses.
    fn addresses(fresh: &Fresh) -> Vec<IpAddr> {
        let registers = fresh.call.trunks.values().flat_map(|trunk| &trunk.register);
        registers.flat_map(|register| register.addresses.clone()).collect()
    }

    /// The carrier has moved: whoever tells us so by SIGHUP does not wait for the next look.
    #[tokio::test]
    async fn a_hangup_looks_the_registrars_names_up_again() {
        let folder = std::env::temp_dir().join(format!("koebashi-reload-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("k.toml"), FILE).unwrap();
        let ready = ready::load(&folder.join("k.toml")).unwrap();
        let old: IpAddr = "192.0.2.9".parse().unwrap();
        let load = move || {
            let mut fresh = ready.fresh(Vec::new());
            let registers = fresh.call.trunks.values_mut().flat_map(|trunk| &mut trunk.register);
            registers.for_each(|register| register.addresses = vec![old]);
            Ok(fresh)
        };
        let current = load().unwrap();
        let source = Source { paths: vec![], stamps: Stamps::new(), load: Box::new(load) };
        let (changes, mut changed) = mpsc::channel(4);
        let (_asks, reloads) = mpsc::channel(1);
        let hangup = signal(SignalKind::hangup()).unwrap();
        let watching = tokio::spawn(watch(source, current, hangup, reloads, changes));
        let mut next = async || {
            let next = timeout(Duration::from_secs(20), changed.recv()).await;
            addresses(&next.expect("a change in time").unwrap())
        };
        let is_new = |found: &[IpAddr]| !found.is_empty() && found.iter().all(IpAddr::is_loopback);
        // At the start, and then not for five minutes.
        assert!(is_new(&next().await));
        raise(Named::SIGHUP).unwrap();
        assert_eq!(next().await, [old], "the configuration does not wait for a name server");
        assert!(is_new(&next().await), "and the name is looked up at once");
        watching.abort();
        fs::remove_dir_all(folder).unwrap();
    }
}
