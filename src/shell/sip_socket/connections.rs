//! Which streams are open, to whom, and how many from where.
//!
//! Owns the table and its limits. What happens on a stream is `stream`'s; each stream's task holds
//! a [`Seat`] and leaves the table when it drops it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::tls::Tls;
use super::{Counts, Limits, Report, Sent};
use crate::sip::floodgate::source;
use crate::sip::{ConnectionId, Flow, NameId, Transport};

/// The table of streams.
pub(super) struct Connections {
    pub(super) limits: Limits,
    pub(super) reports: mpsc::Sender<Report>,
    /// Where the tasks of the streams run.
    pub(super) beside: Handle,
    table: Mutex<Table>,
    /// What the next handshake is made with.
    tls: Mutex<Option<Arc<Tls>>>,
    pub(super) stalled: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) unproven: AtomicU64,
}

/// Whom a stream leads to. Streams are shared by what is sent to the same peer; over TLS to one
/// that has proved the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    transport: Transport,
    remote: SocketAddr,
    name: Option<NameId>,
}

impl Peer {
    fn of(flow: &Flow) -> Self {
        Self { transport: flow.transport, remote: flow.remote, name: flow.name }
    }
}

#[derive(Default)]
struct Table {
    last_id: u64,
    streams: BTreeMap<ConnectionId, Entry>,
    /// The youngest stream to each peer. Whoever opened a TLS stream to us has proved no name, so
    /// that it is not among them.
    by_peer: BTreeMap<Peer, ConnectionId>,
    by_source: BTreeMap<IpAddr, usize>,
    refused: u64,
    evicted: u64,
}

struct Entry {
    peer: Peer,
    queue: mpsc::Sender<Bytes>,
    state: Arc<State>,
}

/// What the table and a stream's task both know of the stream.
#[derive(Default)]
pub(super) struct State {
    /// We have sent something on it that a stranger would not get: a request, or a 2xx.
    pub(super) known: AtomicBool,
    /// Bytes that wait to be written.
    pub(super) queued: AtomicUsize,
    /// Told when the stream has to close.
    pub(super) close: Notify,
}

/// A stream's place in the table; dropping it gives the place up.
pub(super) struct Seat {
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    pub(super) state: Arc<State>,
    pub(super) connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(
        limits: Limits,
        tls: Option<Arc<Tls>>,
        reports: mpsc::Sender<Report>,
        beside: Handle,
    ) -> Self {
        Self {
            limits,
            reports,
            beside,
            table: Mutex::default(),
            tls: Mutex::new(tls),
            stalled: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            unproven: AtomicU64::new(0),
        }
    }

    /// What a handshake that begins now is made with.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_tls(&self, tls: Option<Arc<Tls>>) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls;
    }

    /// The table is whole even when a thread panicked that held it: every change is one step.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream that somebody opened to us.
    pub(super) fn admit(
        self: &Arc<Self>,
        transport: Transport,
        remote: SocketAddr,
    ) -> Option<(Seat, mpsc::Receiver<Bytes>)> {
        let mut table = self.table();
        let here = table.by_source.get(&source(remote.ip())).copied().unwrap_or(0);
        if here >= self.limits.max_connections_per_source || !self.make_room(&mut table) {
            table.refused += 1;
            return None;
        }
        let peer = Peer { transport, remote, name: None };
        let (seat, queue) = self.seat(&mut table, peer);
        if transport == Transport::Tcp {
            table.by_peer.insert(peer, seat.id);
        }
        Some((seat, queue))
    }

    /// Whether there is room, if need be in place of the oldest stream of a stranger.
    fn make_room(&self, table: &mut Table) -> bool {
        if table.streams.len() < self.limits.max_connections {
            return true;
        }
        let stranger = table.streams.iter().find(|(_, e)| !e.state.known.load(Relaxed));
        let Some(id) = stranger.map(|(id, _)| *id) else { return false };
        table.evicted += 1;
        if let Some(entry) = table.remove(id) {
            entry.state.close.notify_one();
        }
        true
    }

    fn seat(self: &Arc<Self>, table: &mut Table, peer: Peer) -> (Seat, mpsc::Receiver<Bytes>) {
        let (sender, queue) = mpsc::channel(self.limits.max_queued_messages.max(1));
        table.last_id += 1;
        let id = ConnectionId(table.last_id);
        let state = Arc::new(State::default());
        *table.by_source.entry(source(peer.remote.ip())).or_default() += 1;
        table.streams.insert(id, Entry { peer, queue: sender, state: Arc::clone(&state) });
        (Seat { id, peer, state, connections: Arc::clone(self) }, queue)
    }

    /// Queues `bytes` on the stream that the flow names, or on any to its peer. Where the flow
    /// names none and there is none, the stream that is to be opened comes back. A stream that is
    /// full is closed: its peer does not read.
    pub(super) fn send(
        self: &Arc<Self>,
        flow: &Flow,
        bytes: Bytes,
    ) -> (Sent, Option<(Seat, mpsc::Receiver<Bytes>)>) {
        // Declared before the guard: a seat that is dropped here needs the table.
        let mut new = None;
        let mut table = self.table();
        let named = flow.connection.filter(|id| table.streams.contains_key(id));
        let known = named.or_else(|| table.by_peer.get(&Peer::of(flow)).copied());
        let id = match (known, flow.connection) {
            (Some(id), _) => id,
            // A peer's end of a lost stream hears no new ones.
            (None, Some(_)) => return (Sent::Failed, None),
            (None, None) => {
                if !self.make_room(&mut table) {
                    table.refused += 1;
                    return (Sent::Failed, None);
                }
                let opened = self.seat(&mut table, Peer::of(flow));
                let id = opened.0.id;
                table.by_peer.insert(Peer::of(flow), id);
                new = Some(opened);
                id
            }
        };
        let Some(entry) = table.streams.get(&id) else {
            return (Sent::Failed, None);
        };
        if is_for_known(&bytes) {
            entry.state.known.store(true, Relaxed);
        }
        if queue(entry, &self.limits, bytes) {
            return (Sent::Yes, new);
        }
        self.stalled.fetch_add(1, Relaxed);
        if let Some(entry) = table.remove(id) {
            entry.state.close.notify_one();
        }
        // A stream that never came to be has no task that could report its end.
        (if new.is_some() { Sent::Failed } else { Sent::Yes }, None)
    }

    pub(super) fn counts(&self) -> Counts {
        let table = self.table();
        let secure = table.streams.values().filter(|e| e.peer.transport == Transport::Tls);
        Counts {
            connections: table.streams.len(),
            secure: secure.count(),
            refused: table.refused,
            evicted: table.evicted,
            stalled: self.stalled.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            unproven: self.unproven.load(Relaxed),
            unsent: 0,
        }
    }
}

/// Whether a stranger would not be sent this: strangers get refusals (a REGISTER is challenged).
fn is_for_known(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"SIP/2.0 ") || bytes.starts_with(b"SIP/2.0 2")
}

fn queue(entry: &Entry, limits: &Limits, bytes: Bytes) -> bool {
    let len = bytes.len();
    if entry.state.queued.fetch_add(len, Relaxed) + len > limits.max_queued_bytes {
        return false;
    }
    entry.queue.try_send(bytes).is_ok()
}

impl Table {
    fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        let entry = self.streams.remove(&id)?;
        if self.by_peer.get(&entry.peer) == Some(&id) {
            self.by_peer.remove(&entry.peer);
        }
        let source = source(entry.peer.remote.ip());
        if let Some(n) = self.by_source.get_mut(&source) {
            *n -= 1;
            if *n == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(entry)
    }
}

impl Seat {
    /// The address of the far end.
    pub(super) fn remote(&self) -> SocketAddr {
        self.peer.remote
    }

    /// Answers a keep-alive, without making the peer known by it. False when there is no room.
    pub(super) fn pong(&self) -> bool {
        let table = self.connections.table();
        let entry = table.streams.get(&self.id);
        entry.is_some_and(|e| queue(e, &self.connections.limits, Bytes::from_static(b"\r\n")))
    }

    /// The stream's flow as the loop knows it.
    pub(super) fn flow(&self, local: SocketAddr) -> Flow {
        let Peer { transport, remote, name } = self.peer;
        Flow { transport, local, remote, connection: Some(self.id), name }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}
