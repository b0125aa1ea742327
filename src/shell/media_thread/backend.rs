//! The border between a media thread and the system's ways of moving packets.
//!
//! Owns what both ways have in common: the trait, the limits, the choice. [`Uring`] and [`Epoll`]
//! are the ways. A backend owns the sockets and the receive buffers, and knows nothing of calls; it
//! is made, used and dropped on its own thread.

mod address;
mod control;
mod epoll;
pub mod priority;
pub mod sockets;
mod table;
mod uring;
mod wake;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use epoll::Epoll;
pub use uring::Uring;
pub use wake::Wake;

use crate::media::PortId;
use crate::media::engine::{Channel, Forward};
use sockets::Sockets;

/// The longest packet that is taken; a longer one is dropped. More than fits an Ethernet frame.
pub const PACKET_MAX: usize = 1536;
/// Bytes behind the longest packet into which it may grow: the tag of SRTP, another codec.
pub const ROOM: usize = 464;
/// Packets that are taken from one socket between two calls of [`Backend::next_tick`]. The rest
/// waits in the socket's own buffer, and is lost when that is full: a flood costs only itself.
pub const PACKETS_A_TICK: u16 = 64;

/// What is done with packets on one thread. Nothing here waits but [`Backend::wait`].
pub trait Backend: Sized {
    /// Made on the thread that uses it. `wake` ends a wait from any thread. Fails when the system
    /// refuses.
    fn new(wake: &Wake) -> io::Result<Self>;

    /// Reads these sockets from now on, in the name of the port. Fails when the system refuses or
    /// the port is open.
    fn open(&mut self, port: PortId, sockets: Sockets) -> io::Result<()>;

    /// Closes the port's sockets, when there are any. What is still under way on them reaches
    /// nobody; their addresses are free again.
    fn close(&mut self, port: PortId);

    /// Whether the port has sockets.
    fn has(&self, port: PortId) -> bool;

    /// Sends one packet, at the latest with the next [`Backend::wait`]. A packet that the system
    /// does not take at once is dropped and counted.
    fn send(&mut self, port: PortId, channel: Channel, to: SocketAddr, packet: &[u8]);

    /// Hands over what is to be sent, and waits until a packet has come, somebody calls
    /// [`Wake::wake`], or it is `until` (`None`: however long it takes). Returns at once while
    /// packets are left that [`Backend::deliver`] has not shown. It may return early for nothing.
    /// The same `until` again costs nothing: the timer is set once, not with every wait.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<()>;

    /// Shows about `most` packets that have come to `take`, each in its receive buffer; what it
    /// returns is sent out of that buffer. True when there are more. A packet on which `take`
    /// panics is dropped.
    fn deliver(&mut self, most: usize, take: impl FnMut(Arrival<'_>) -> Option<Forward>) -> bool;

    /// Takes no packet out of any socket any more: what comes waits there for whoever has the
    /// socket next. What has been taken out is still shown by [`Backend::deliver`].
    fn stop_reading(&mut self);

    /// 20 ms are over: every socket may again be read for [`PACKETS_A_TICK`] packets.
    fn next_tick(&mut self);

    /// What has been dropped so far.
    fn drops(&self) -> Drops;
}

/// A packet that has come.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// To which port.
    pub port: PortId,
    /// On which of its sockets.
    pub channel: Channel,
    /// From where.
    pub from: SocketAddr,
    /// The receive buffer: the packet at its head, and [`ROOM`] or more behind it.
    pub buffer: &'a mut [u8],
    /// Length of the packet in bytes.
    pub length: usize,
    /// How long it lay in its socket and here.
    pub waited: Duration,
}

/// Packets that were dropped, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The system did not take them for sending.
    pub unsent: u64,
    /// They were longer than [`PACKET_MAX`].
    pub too_long: u64,
    /// Their socket had had more than [`PACKETS_A_TICK`] already.
    pub flood: u64,
    /// Their socket's own buffer was full: they came faster than they were read. Known when the
    /// socket's next packet is read.
    pub overrun: u64,
}

/// How packets are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By [`Uring`].
    Uring,
    /// By [`Epoll`].
    Epoll,
}

impl Kind {
    /// Its name in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// How long the test may take until it counts as failed.
const TEST_LIMIT: Duration = Duration::from_secs(2);
/// A wait for nothing, within it.
const TEST_WAIT: Duration = Duration::from_millis(2);

/// Sends a packet around on loopback, as a port does it, and closes the port: whether the system
/// allows everything that the backend needs. Fails with what is missing.
pub fn test<B: Backend>() -> io::Result<()> {
    let (wake, port) = (Wake::new()?, PortId { n: 1, shard: 0 });
    let mut backend = B::new(&wake)?;
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = Sockets { rtp: sockets::bind(here, 0)?, rtcp: sockets::bind(here, 0)? };
    let (rtp, rtcp) = (sockets.rtp.local_addr()?, sockets.rtcp.local_addr()?);
    backend.open(port, sockets)?;
    // Around: sent by RTP to RTCP, from there by what `take` returns to RTP, and there known.
    backend.send(port, Channel::Rtp, rtcp, b"koebashi");
    let end = Instant::now() + TEST_LIMIT;
    let (mut has_come, mut is_back) = (false, false);
    while !is_back {
        if Instant::now() >= end {
            let what = if has_come { "forwards no packet" } else { "receives no packet" };
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        backend.wait(Some(end))?;
        backend.deliver(1, |arrival| {
            let is_ours = arrival.buffer.get(..arrival.length) == Some(b"koebashi");
            let is_rtcp = arrival.channel == Channel::Rtcp;
            has_come |= is_ours && is_rtcp && arrival.from == rtp;
            // What is forwarded leaves by the RTP socket.
            is_back |= is_ours && !is_rtcp && arrival.from == rtp;
            (is_ours && is_rtcp).then_some(Forward { port, to: rtp, range: 0..arrival.length })
        });
    }
    wake.wake()?;
    let end = Instant::now() + TEST_LIMIT;
    backend.wait(Some(end))?;
    if Instant::now() >= end {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "can't be woken"));
    }
    // A timer that nobody hears would cost the voice its clock.
    for _ in 0..2 {
        let begun = Instant::now();
        backend.wait(Some(begun + TEST_WAIT))?;
        if begun.elapsed() >= TEST_LIMIT {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "can't wait for a time"));
        }
    }
    backend.close(port);
    sockets::bind(rtp, 0)?;
    Ok(())
}

/// Whether the system has io_uring at all; elsewhere there is nothing to test.
#[cfg(test)]
pub(super) fn is_uring_here() -> bool {
    // On a thread of its own: the end of a ring interrupts what its thread waits for.
    std::thread::spawn(|| io_uring::IoUring::new(2).is_ok()).join().unwrap()
}

#[cfg(test)]
mod tests;
