//! Sockets that outlive the process: kept by the service manager's store of open files
//! (sd_notify(3), `FDSTORE`), or by `koebashi keep`. What comes while there is no process waits in
//! them, and nobody is told that nobody is there.
//!
//! Owns what an earlier process has left and nobody has claimed yet, the names, and the thread that
//! tells the manager. Without a manager that keeps anything, all of it does nothing. Streams (TCP,
//! TLS) are not kept: half a message, or the state of a cipher, is in the memory of the process.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use socket2::{SockRef, Type};

use super::fds::Named;
use crate::sip::Transport;

/// How long after the start a socket of an earlier process may be claimed.
pub const CLAIM_WITHIN: Duration = Duration::from_secs(5);
/// Messages to the manager that wait; one more is left out, and its socket is not kept.
const QUEUE: usize = 4_096;
/// How long the manager may leave one message untaken.
const SEND_LIMIT: Duration = Duration::from_secs(1);
/// Where the manager listens.
const MANAGER: &str = "NOTIFY_SOCKET";

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carries {
    /// Datagrams.
    Datagrams,
    /// Streams that are to be accepted.
    Streams,
}

/// The name of a socket, or of a pair, in the manager's store. Of each pair of media there is one
/// short name: all names together have to fit in one variable of the environment (128 KiB).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// RTP and RTCP of a port, whose number no other has.
    pub fn media(local: SocketAddr) -> Self {
        Self(format!("m{}", local.port()))
    }

    /// A SIP socket.
    pub fn sip(transport: Transport, address: SocketAddr) -> Self {
        // A colon ends a name.
        Self(format!("{}-{address}", transport.name()).replace(':', "."))
    }
}

/// The sockets that are kept; clones are the same.
#[derive(Clone)]
pub struct KeptSockets(Arc<Inner>);

struct Inner {
    found: Mutex<BTreeMap<(SocketAddr, Carries), Named>>,
    /// `None`: nobody keeps anything.
    manager: Option<SyncSender<Order>>,
    unkept: Arc<AtomicU64>,
}

enum Order {
    Keep(Name, Vec<OwnedFd>),
    Forget(Name),
}

impl KeptSockets {
    /// Nothing was kept, and nothing will be.
    pub fn none() -> Self {
        Self(Arc::new(Inner { found: Mutex::default(), manager: None, unkept: Arc::default() }))
    }

    /// What the manager has handed over, and the manager that is named in the environment.
    ///
    /// # Errors
    /// When the system refuses a thread or a socket.
    pub fn new(handed: Vec<Named>) -> io::Result<Self> {
        Self::with(env::var_os(MANAGER).as_deref(), handed)
    }

    pub(super) fn with(manager: Option<&OsStr>, handed: Vec<Named>) -> io::Result<Self> {
        let Some(path) = manager else { return Ok(Self::none()) };
        let manager = match path.as_encoded_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddr::new_abstract(name)?,
            None => UnixAddr::new(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        let (sender, orders) = sync_channel(QUEUE);
        let unkept = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&unkept);
        let tell = move || tell(&socket, &manager, &orders, &counter);
        Builder::new().name("sockets".to_owned()).spawn(tell)?;
        let found = handed.into_iter().filter_map(|(name, fd)| {
            let socket = SockRef::from(&fd);
            let address = socket.local_addr().ok()?.as_socket()?;
            let is_stream = socket.r#type().ok()? == Type::STREAM;
            let carries = if is_stream { Carries::Streams } else { Carries::Datagrams };
            Some(((address, carries), (name, fd)))
        });
        let found = Mutex::new(found.collect());
        Ok(Self(Arc::new(Inner { found, manager: Some(sender), unkept })))
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<(SocketAddr, Carries), Named>> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket with this address that an earlier process has left. The manager keeps it on.
    pub fn claim(&self, address: SocketAddr, carries: Carries) -> Option<OwnedFd> {
        self.found().remove(&(address, carries)).map(|(_, fd)| fd)
    }

    /// Has the manager keep these sockets from now on. Never waits.
    pub fn keep(&self, name: Name, sockets: &[BorrowedFd<'_>]) {
        if self.0.manager.is_none() {
            return;
        }
        let copies = sockets.iter().map(BorrowedFd::try_clone_to_owned);
        match copies.collect::<io::Result<Vec<_>>>() {
            Ok(copies) => self.order(Order::Keep(name, copies)),
            Err(_) => self.0.unkept.fetch_add(1, Relaxed),
        };
    }

    /// Has the manager close what it keeps under this name. Never waits.
    pub fn forget(&self, name: Name) {
        self.order(Order::Forget(name));
    }

    /// Closes those that are in the way of whoever wants `wanted`, because they have one of its
    /// ports at every address, or it wants one of theirs so, and has the manager do so soon: how
    /// many.
    pub fn give_up(&self, wanted: &[(SocketAddr, Carries)]) -> usize {
        let is_in_the_way = |own: &(SocketAddr, Carries)| {
            let meets = |it: &(SocketAddr, Carries)| {
                let is_everywhere = it.0.ip().is_unspecified() || own.0.ip().is_unspecified();
                is_everywhere && it.1 == own.1 && it.0.port() == own.0.port()
            };
            !wanted.contains(own) && wanted.iter().any(meets)
        };
        let mut found = self.found();
        let gone: Vec<_> = found.keys().copied().filter(is_in_the_way).collect();
        for (name, _) in gone.iter().filter_map(|key| found.remove(key)) {
            self.order(Order::Forget(Name(name)));
        }
        gone.len()
    }

    /// Whether a process before has left any that nobody has claimed.
    pub fn are_left(&self) -> bool {
        !self.found().is_empty()
    }

    /// Closes what nobody has claimed; how many sockets.
    pub fn forget_unclaimed(&self) -> usize {
        let unclaimed = std::mem::take(&mut *self.found());
        let count = unclaimed.len();
        let mut names: Vec<_> = unclaimed.into_values().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| {
            self.order(Order::Forget(Name(name)));
        });
        count
    }

    /// Sockets that the manager was not told of, or did not take.
    pub fn unkept(&self) -> u64 {
        self.0.unkept.load(Relaxed)
    }

    fn order(&self, order: Order) -> u64 {
        let Some(manager) = &self.0.manager else { return 0 };
        let is_full = manager.try_send(order).is_err();
        self.0.unkept.fetch_add(u64::from(is_full), Relaxed)
    }
}

/// The thread: one message for each order.
fn tell(socket: &UnixDatagram, manager: &UnixAddr, orders: &Receiver<Order>, unkept: &AtomicU64) {
    let mut is_told = false;
    for order in orders {
        let (text, files) = match order {
            // An error on a socket (a peer that is gone) does not end its being kept.
            Order::Keep(Name(name), files) => {
                (format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}\n"), files)
            }
            Order::Forget(Name(name)) => (format!("FDSTOREREMOVE=1\nFDNAME={name}\n"), vec![]),
        };
        let fds: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let data = [IoSlice::new(text.as_bytes())];
        let flags = MsgFlags::MSG_NOSIGNAL;
        if let Err(error) = sendmsg(socket.as_raw_fd(), &data, rights, flags, Some(manager)) {
            unkept.fetch_add(1, Relaxed);
            if !is_told {
                tracing::warn!(%error, "the service manager does not take sockets to keep");
                is_told = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
