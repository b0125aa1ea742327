//! The service that the demo runs: the real one, with the demo line that an empty configuration
//! opens, on free ports of loopback, in a folder that is removed afterwards.

use std::fs::{self, DirBuilder};
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::Error;
use crate::call::cdr::Cdr;
use crate::call::switchboard::Step;
use crate::chance::Chance;
use crate::complaint::Complaint;
use crate::config::{self, DEMO_PASSWORD, Loaded};
use crate::media::Prompt;
use crate::media::prompt::{self, Clip, Library};
use crate::pii::Pii;
use crate::shell::prompts::embedded;
use crate::shell::reload::Fresh;
use crate::shell::survival::Kept;
use crate::shell::{self, End, Setup, Shell, Stopper, recorder, sip_socket};
use crate::sip::Transport;
use crate::store::{Reader, Store};
use crate::time::Timestamp;

/// RTP and RTCP ports of the service: enough for a few calls.
const PORTS: u16 = 16;
/// Where they are looked for: below the ports that the system gives to whoever asks for any.
const PORTS_FROM: u16 = 20_000;
/// See [`PORTS_FROM`].
const PORTS_TO: u16 = 32_000;
/// How often free ports are looked for.
const TRIES: usize = 100;
/// How long the service may take to end, and the store after it.
const END_LIMIT: Duration = Duration::from_secs(3);

/// A running service.
pub(super) struct Service {
    /// Where it is called.
    pub(super) address: SocketAddr,
    /// The number of its line.
    pub(super) number: String,
    /// Its counselor.
    pub(super) extension: String,
    /// The counselor's password.
    pub(super) password: Pii,
    /// The realm of its extensions.
    pub(super) domain: String,
    /// `None`: it has ended.
    running: Option<JoinHandle<Result<End, shell::Error>>>,
    stopper: Stopper,
    store: Store,
    database: PathBuf,
    /// Lives as long as the store.
    _folder: Folder,
}

impl Service {
    /// Starts it; `on_step` is shown the steps of its calls.
    pub(super) fn start(
        library: Arc<Library>,
        on_step: impl FnMut(&Step) + Send + 'static,
        chance: &mut Chance,
    ) -> Result<Self, Error> {
        let folder = Folder::new(chance)?;
        let complain = |all: Vec<Complaint>| {
            Error::Config(all.first().map(ToString::to_string).unwrap_or_default())
        };
        let mut loaded = config::parse("", "demo", Path::new("")).map_err(complain)?;
        let clips = library.names().filter_map(|name| Some((name.clone(), library.clip(name)?)));
        loaded.call.prompt_lengths = clips.map(|(name, clip)| (name, clip.duration())).collect();
        loaded.sip.listen = vec![(Transport::Udp, (Ipv4Addr::LOCALHOST, 0).into())];
        loaded.media.ports = free_ports(chance).map_err(Error::system("no free ports"))?;
        loaded.store.path = folder.0.join("koebashi.db");
        let (line, counselor) = (loaded.call.lines.values(), loaded.call.counselors.keys());
        let number = line.flat_map(|line| &line.numbers).next().cloned();
        let extension = counselor.map(ToString::to_string).next();
        let (Some(number), Some(extension)) = (number, extension) else {
            return Err(Error::Config("no line or no counselor".to_owned()));
        };
        let recordings = folder.0.join("recordings");
        let recorder = recorder::Config { folder: recordings, ..loaded.shell.recorder };
        let Loaded { call, sip, media, store, .. } = loaded;
        let (database, domain) = (store.path.clone(), sip.domain.clone());
        let (store, intentions) = Store::open(&store)?;
        let shell = Shell::start(Setup {
            fresh: Fresh {
                call,
                sip,
                library,
                tls: None,
                files: vec![],
                notes: vec![],
                faults: vec![],
                missing: vec![],
            },
            media,
            sockets: sip_socket::Limits::default(),
            store: store.clone(),
            recorder,
            intentions,
            kept: Kept::none(),
            source: None,
            on_step: Box::new(on_step),
            beside: Handle::current(),
        })?;
        let address = shell.listening().first().map(|(_, address)| *address);
        Ok(Self {
            address: address.ok_or_else(|| Error::Config("no socket".to_owned()))?,
            stopper: shell.stopper(),
            running: Some(tokio::spawn(shell.run())),
            number,
            extension,
            password: Pii::new(DEMO_PASSWORD),
            domain,
            store,
            database,
            _folder: folder,
        })
    }

    /// Waits for it to end by itself, and says why it did.
    pub(super) async fn ended(&mut self) -> Error {
        let Some(running) = &mut self.running else { return pending().await };
        let ended = running.await;
        self.running = None;
        match ended {
            Ok(Err(error)) => error.into(),
            Ok(Ok(_)) | Err(_) => Error::ServiceEnded,
        }
    }

    /// Ends it at once, whatever it is at.
    pub(super) async fn abandon(mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            // Either way it is over, and why it had to be is known.
            let _ended = running.await;
        }
    }

    /// Ends it as an operator does, and reads what it has written down.
    pub(super) async fn stop(self) -> Result<Vec<Cdr>, Error> {
        self.stopper.stop();
        if let Some(running) = self.running {
            let ended = timeout(END_LIMIT, running).await;
            let ended = ended.map_err(|_| Error::Late("the end of the service", END_LIMIT))?;
            ended.map_err(|_| Error::ServiceEnded)??;
        }
        let (store, database) = (self.store, self.database);
        let read = spawn_blocking(move || {
            store.close(END_LIMIT)?;
            let mut cdrs = vec![];
            let all = Timestamp::MIN_UTC..Timestamp::MAX_UTC;
            Reader::open(&database)?.cdrs(all.start, all.end, |cdr| cdrs.push(cdr))?;
            Ok(cdrs)
        });
        read.await.map_err(|_| Error::ServiceEnded)?
    }
}

/// The shipped prompts, and no others: the demo is the same wherever it runs.
pub(super) fn library() -> Result<Library, prompt::Error> {
    let clip = |(name, bytes)| Ok((Prompt::from(name), Clip::from_wav(bytes)?));
    Ok(Library::from_clips(embedded().map(clip).collect::<Result<Vec<_>, prompt::Error>>()?))
}

/// A folder of our own that is removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(chance: &mut Chance) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("koebashi-demo-{}", chance.token(12)));
        // Fails when somebody has put something there before us.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(Error::system("no folder for the records"))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the demo's folder stays: {}", self.0.display());
        }
    }
}

/// First and last even port of a range that nobody uses.
fn free_ports(chance: &mut Chance) -> io::Result<(u16, u16)> {
    let pairs = u64::from((PORTS_TO - PORTS_FROM) / 2);
    for _ in 0..TRIES {
        let first = PORTS_FROM + 2 * chance.below(pairs) as u16;
        let range = first..first + PORTS;
        let sockets: io::Result<Vec<_>> =
            range.map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port))).collect();
        if sockets.is_ok() {
            return Ok((first, first + PORTS - 2));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_the_demo_line_may_say_is_missing() {
        let library = library().unwrap();
        let lengths = library.names().map(|name| {
            let clip = library.clip(name).unwrap();
            (name.clone(), clip.duration())
        });
        let demo = config::parse("", "demo", Path::new("")).unwrap();
        use crate::complaint::Severity;
        let complaints = config::check(&demo, &lengths.collect());
        let errors: Vec<_> = complaints.iter().filter(|c| c.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn free_ports_are_even_and_free() {
        let (first, last) = free_ports(&mut Chance::from_number(3)).unwrap();
        assert!(first.is_multiple_of(2) && last.is_multiple_of(2) && first < last);
        UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
    }

    #[test]
    fn the_folder_is_ours_alone_and_goes() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new(&mut Chance::from_number(4)).unwrap();
        let path = folder.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("a"), "a").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
