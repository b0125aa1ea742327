//! The SIP sockets: UDP, TCP and TLS, IPv4 and IPv6. Whole messages come out, whole messages go in.
//!
//! Owns [`Sockets`], which the loop holds: it waits by [`Sockets::ready`], takes by
//! [`Sockets::next`] and gives by [`Sockets::send`], which never waits. Knows of SIP only where
//! messages end on a stream ([`Framer`](crate::sip::frame::Framer), RFC 3261 §18.3) and the
//! keep-alives between them (RFC 5626 §3.5.1, §4.4.1). Whom to believe and what to answer is the
//! switchboard's.
//!
//! UDP is read by the loop itself, so that no packet is copied between tasks; new calls alone may
//! wait here, behind what belongs to those that go on ([`held`]). Every stream has a task of its
//! own with bounded queues both ways: a peer that floods waits for its turn, a peer that does not
//! read is closed, and neither slows another.

mod connections;
mod held;
mod stream;
pub mod tls;
mod udp;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::clock;
use super::kept_sockets::{Carries, KeptSockets};
use crate::sip::{Flow, Transmit, Transport};
use connections::Connections;
use tls::Tls;
use udp::{Datagram, Udp};

/// How often, and after which pause, an address is tried again that was somebody's until now.
const ROOM_TRIES: usize = 10;
/// See [`ROOM_TRIES`].
const ROOM_PAUSE: Duration = Duration::from_millis(30);

/// The most that one UDP datagram carries.
const DATAGRAM_MAX: usize = 65_535;

/// Limits and times of the SIP sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams open at once. At the limit a newcomer takes the place of the oldest stream of a
    /// stranger; when there is none, the newcomer is closed. A peer is a stranger until we have
    /// sent it a request or a 2xx.
    pub max_connections: usize,
    /// Streams open at once from one source: an IPv4 address, or an IPv6 /64.
    pub max_connections_per_source: usize,
    /// How long opening a stream may take.
    pub connect_timeout: Duration,
    /// How long the TLS handshake on an open stream may take.
    pub handshake_timeout: Duration,
    /// How long a stream may stay without a byte from the peer. Longer than a registration lasts; a
    /// peer that is really gone is noticed by TCP keep-alive.
    pub idle_timeout: Duration,
    /// How long a stranger's stream may stay without a byte from the peer.
    pub stranger_timeout: Duration,
    /// How long one message may take from its first byte to its last.
    pub message_timeout: Duration,
    /// How long the peer may leave a message of ours unread once its buffers are full.
    pub write_timeout: Duration,
    /// Messages that wait to be written to one stream; one more closes it.
    pub max_queued_messages: usize,
    /// Bytes that wait to be written to one stream; one more closes it.
    pub max_queued_bytes: usize,
    /// DSCP (0–63) of everything that these sockets send. One value serves all peers, since a
    /// socket has one: the trunk's `dscp.sip` (of the first trunk, where they differ).
    pub dscp: u8,
    /// Receive buffer of a UDP socket in bytes; the kernel may grant less (`net.core.rmem_max`).
    pub receive_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 2_000,
            max_connections_per_source: 64,
            connect_timeout: Duration::from_secs(4),
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(65 * 60),
            stranger_timeout: Duration::from_secs(64),
            message_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(5),
            max_queued_messages: 128,
            max_queued_bytes: 1 << 18,
            dscp: 32,
            receive_buffer: 4 << 20,
        }
    }
}

/// What a socket hands to the loop.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived<'a> {
    /// One whole message.
    Message {
        /// Where it came from.
        flow: Flow,
        /// The message.
        bytes: &'a [u8],
        /// Of a new call, how long it has waited to be taken.
        waited: Option<Duration>,
    },
    /// Nothing reaches this peer: ICMP says so, the stream is closed or could not be opened. A flow
    /// can be named in two ways (with and without its stream; by the address or by the wildcard
    /// that a socket is bound to): the failure comes under each name that it may have been used by.
    Failed(Flow),
}

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {}://{address}: {source}", transport.name())]
pub struct BindError {
    transport: Transport,
    address: SocketAddr,
    source: io::Error,
}

/// What the sockets have seen since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams open at present.
    pub connections: usize,
    /// Those of them that are TLS.
    pub secure: usize,
    /// Streams closed on arrival because a limit was reached.
    pub refused: u64,
    /// Streams closed in favor of newcomers.
    pub evicted: u64,
    /// Streams closed because the peer did not read.
    pub stalled: u64,
    /// Streams closed for what came on them (not SIP, too long, too slow).
    pub malformed: u64,
    /// Streams closed because the TLS handshake failed or took too long.
    pub unproven: u64,
    /// Messages of ours that a full buffer of the kernel kept from going out.
    pub unsent: u64,
}

/// From the tasks of the streams to the loop.
#[derive(Debug)]
enum Report {
    /// `read`: when its last byte was.
    Message {
        flow: Flow,
        bytes: Bytes,
        read: Instant,
    },
    Failed(Flow),
}

/// How many reports of all streams wait for the loop before their tasks stop reading.
const REPORTS_MAX: usize = 256;

/// Every SIP socket of the process.
pub struct Sockets {
    udp: Vec<Udp>,
    connections: Arc<Connections>,
    listening: Vec<(Transport, SocketAddr)>,
    /// What was asked for and is not open.
    missed: Vec<BindError>,
    reports: mpsc::Receiver<Report>,
    /// A report that `ready` has taken out and `next` has yet to give.
    pending: Option<Report>,
    failures: VecDeque<Flow>,
    /// The last datagram, until the next one is asked for.
    buffer: Vec<u8>,
    /// Bytes of it.
    filled: usize,
    /// The last message of a stream.
    message: Bytes,
    /// Which source is asked first: each has its turn.
    turn: usize,
    unsent: u64,
}

impl Sockets {
    /// Opens the sockets. Must be called within the runtime of whoever reads them; the tasks of the
    /// streams run on `beside`. Without `tls`, whoever comes to a TLS socket is closed. Those that
    /// an earlier process has left in `kept` are gone on with; all of them are kept.
    ///
    /// `before`: where the process listened that this one follows; `None`: it follows none. Whoever
    /// follows must not fail for one socket: where one can't be opened, those of the process before
    /// are opened too.
    ///
    /// # Errors
    /// The first socket that can't be opened, where no process is followed or none can be opened.
    pub fn bind(
        listen: &[(Transport, SocketAddr)],
        before: Option<&[(Transport, SocketAddr)]>,
        limits: &Limits,
        tls: Option<Arc<Tls>>,
        beside: &Handle,
        kept: &KeptSockets,
    ) -> Result<Self, BindError> {
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        let connections = Connections::new(limits.clone(), tls, sender, beside.clone());
        let mut sockets = Self {
            udp: vec![],
            connections: Arc::new(connections),
            listening: vec![],
            missed: vec![],
            reports,
            pending: None,
            failures: VecDeque::new(),
            buffer: vec![0; DATAGRAM_MAX],
            filled: 0,
            message: Bytes::new(),
            turn: 0,
            unsent: 0,
        };
        sockets.open_all(listen, limits, kept);
        if let Some(before) = before.filter(|_| !sockets.missed.is_empty()) {
            // Whoever is to be heard by this machine alone is not to be heard by the world.
            let is_alone = listen.iter().all(|(_, at)| at.ip().is_loopback());
            let fits = |at: &SocketAddr| !is_alone || at.ip().is_loopback();
            let others = before.iter().filter(|it| !listen.contains(it) && fits(&it.1));
            // Those that are gone too are nobody's wish any more.
            drop(sockets.open(others, limits, kept));
        }
        let is_enough = before.is_some() && !sockets.listening.is_empty();
        if is_enough || sockets.missed.is_empty() {
            Ok(sockets)
        } else {
            Err(sockets.missed.swap_remove(0))
        }
    }

    /// Opens what can be opened of all that is wanted; [`Self::missed`] is the rest. What a process
    /// before had open at the same ports and nobody wants any more makes room.
    fn open_all(
        &mut self,
        listen: &[(Transport, SocketAddr)],
        limits: &Limits,
        kept: &KeptSockets,
    ) {
        let carries = |transport: Transport| match transport {
            Transport::Udp => Carries::Datagrams,
            Transport::Tcp | Transport::Tls => Carries::Streams,
        };
        let wanted: Vec<_> = listen.iter().map(|(it, at)| (*at, carries(*it))).collect();
        let gone = kept.give_up(&wanted);
        self.missed = self.open(listen.iter(), limits, kept);
        // Whoever keeps them has to close them too.
        let is_taken = |it: &BindError| it.source.kind() == io::ErrorKind::AddrInUse;
        for _ in 0..ROOM_TRIES {
            if gone == 0 || !self.missed.iter().any(is_taken) {
                return;
            }
            std::thread::sleep(ROOM_PAUSE);
            let again = std::mem::take(&mut self.missed);
            let is_missed = |(transport, at): &&(Transport, SocketAddr)| {
                again.iter().any(|it| it.address == *at && it.transport == *transport)
            };
            self.missed = self.open(listen.iter().filter(is_missed), limits, kept);
        }
    }

    /// Opens what can be opened; what can't.
    fn open<'a>(
        &mut self,
        all: impl Iterator<Item = &'a (Transport, SocketAddr)>,
        limits: &Limits,
        kept: &KeptSockets,
    ) -> Vec<BindError> {
        let mut missed = vec![];
        for (transport, address) in all {
            let opened = match transport {
                Transport::Udp => Udp::bind(*address, limits, kept).map(|socket| {
                    socket.watch_errors(self.connections.reports.clone());
                    let local = socket.local;
                    self.udp.push(socket);
                    local
                }),
                Transport::Tcp | Transport::Tls => {
                    stream::listen(*transport, *address, limits, &self.connections, kept)
                }
            };
            let (transport, address) = (*transport, *address);
            match opened {
                Ok(local) => self.listening.push((transport, local)),
                Err(source) => missed.push(BindError { transport, address, source }),
            }
        }
        missed
    }

    /// What of these can't be listened on, in words.
    pub fn missed(&self, listen: &[(Transport, SocketAddr)]) -> Vec<String> {
        let is_asked = |it: &&BindError| listen.contains(&(it.transport, it.address));
        self.missed.iter().filter(is_asked).map(ToString::to_string).collect()
    }

    /// The sockets that are open, in the order asked for, port 0 replaced by the real one.
    pub fn listening(&self) -> &[(Transport, SocketAddr)] {
        &self.listening
    }

    /// Takes another certificate for the handshakes that begin from here on; streams that are open
    /// live on.
    pub fn set_tls(&self, tls: Option<Arc<Tls>>) {
        self.connections.set_tls(tls);
    }

    /// Leaves datagrams that come from here on to whoever has the sockets next; what has been read
    /// is still given.
    pub fn stop_reading(&mut self) {
        self.udp.iter_mut().for_each(Udp::stop_reading);
    }

    /// Waits until [`Self::next`] has something to give. Loses nothing when dropped.
    pub async fn ready(&mut self) {
        poll_fn(|context| self.poll_ready(context)).await;
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.pending.is_some() || !self.failures.is_empty() {
            return Poll::Ready(());
        }
        if let Poll::Ready(Some(report)) = self.reports.poll_recv(context) {
            self.pending = Some(report);
            return Poll::Ready(());
        }
        // Every socket is asked, so that each of them wakes the loop.
        self.udp
            .iter()
            .map(|socket| socket.poll_ready(context))
            .fold(Poll::Pending, |all, one| if one.is_ready() { one } else { all })
    }

    /// What has come, without waiting; each socket and the streams together have their turns.
    #[expect(clippy::should_implement_trait, reason = "lends out of its own buffer")]
    pub fn next(&mut self) -> Option<Arrived<'_>> {
        self.forget();
        if let Some(flow) = self.failures.pop_front() {
            return Some(Arrived::Failed(flow));
        }
        let sources = self.udp.len() + 1;
        for _ in 0..sources {
            self.turn = (self.turn + 1) % sources;
            let Some(socket) = self.udp.get_mut(self.turn) else {
                match self.pending.take().or_else(|| self.reports.try_recv().ok()) {
                    Some(Report::Failed(flow)) => return Some(Arrived::Failed(flow)),
                    Some(Report::Message { flow, bytes, read }) => {
                        self.message = bytes;
                        let waited = held::is_new_call(&self.message)
                            .then(|| clock::now().mono.saturating_duration_since(read));
                        return Some(Arrived::Message { flow, bytes: &self.message, waited });
                    }
                    None => continue,
                }
            };
            if let Some(Datagram { flow, len, waited }) = socket.receive(&mut self.buffer) {
                self.filled = len;
                return Some(Arrived::Message { flow, bytes: &self.buffer[..len], waited });
            }
        }
        None
    }

    /// Nothing of the last message stays until somebody calls again.
    fn forget(&mut self) {
        self.buffer[..self.filled].fill(0);
        self.filled = 0;
        self.message = Bytes::new();
    }

    /// Sends, or queues for the stream's task. What can't go out comes back as
    /// [`Arrived::Failed`]; a datagram for which the kernel has no room is dropped and counted,
    /// like one that the network loses. `name`: what the flow's [`name`](Flow::name) stands for.
    pub fn send(&mut self, transmit: Transmit, name: Option<&str>) {
        let Transmit { flow, bytes } = transmit;
        let sent = match flow.transport {
            Transport::Udp => match udp::sender(&self.udp, flow.local) {
                Some(socket) => socket.send(&flow, &bytes),
                None => Sent::Failed,
            },
            // A name that stands for nothing must not end as no name.
            Transport::Tls if flow.name.is_some() != name.is_some() => Sent::Failed,
            Transport::Tcp | Transport::Tls => {
                let (sent, new) = self.connections.send(&flow, bytes);
                if let Some((seat, queue)) = new {
                    stream::connect(seat, queue, &flow, name);
                }
                sent
            }
        };
        match sent {
            Sent::Yes => {}
            Sent::Dropped => self.unsent += 1,
            Sent::Failed => self.failures.push_back(flow),
        }
    }

    /// What the sockets have seen.
    pub fn counts(&self) -> Counts {
        Counts { unsent: self.unsent, ..self.connections.counts() }
    }
}

/// What became of a message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// It is with the kernel, or with the stream's task, which reports for itself.
    Yes,
    /// There was no room.
    Dropped,
    /// It can't reach the peer.
    Failed,
}
