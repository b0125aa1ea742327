//! Packets by epoll, recvmmsg and sendmmsg: works on every Linux.
//!
//! Owns the readiness of the sockets, one timer, and the few receive buffers. A socket that is
//! ready is read for one batch, which is shown and sent on before the next is read; epoll reports
//! whoever has more again, behind all others.
#![expect(
    unsafe_code,
    reason = "recvmmsg and sendmmsg have no safe interface that allocates nothing"
)]

use std::array;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{from_mut, null_mut};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, MSG_DONTWAIT, MSG_TRUNC, iovec, mmsghdr, msghdr};
use nix::sys::epoll::{Epoll as Poll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::address::{self, LENGTH};
use super::control::{self, Told};
use super::sockets::Sockets;
use super::table::{FREE_BITS, Reading, Table, Token};
use super::wake::Wake;
use super::{Arrival, Backend, Drops, PACKET_MAX, ROOM};
use crate::media::PortId;
use crate::media::engine::{Channel, Forward};
use crate::shell::clock;

/// Packets that are read from one socket at once.
const BATCH: usize = 16;
/// Sockets that one wait names.
const READY_MAX: usize = 256;
/// Stands for the wake-up where a token's bits are expected.
const WAKE: u64 = 1 << (64 - FREE_BITS);
/// Stands for the timer.
const TIMER: u64 = 2 << (64 - FREE_BITS);

/// One thread's sockets.
pub struct Epoll {
    poll: Poll,
    wake: Wake,
    table: Table,
    events: Box<[EpollEvent; READY_MAX]>,
    timer: TimerFd,
    /// When the timer goes off, while it is set.
    timer_at: Option<Instant>,
    /// Sockets that are ready and have not been read.
    ready: VecDeque<Token>,
    /// Sockets that have had their share of this tick.
    resting: Vec<Token>,
    batch: Box<Batch>,
    drops: Drops,
}

impl Backend for Epoll {
    fn new(wake: &Wake) -> io::Result<Self> {
        let poll = Poll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        poll.add(wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        // Told once each time that it goes off: it is never read.
        poll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER))?;
        Ok(Self {
            poll,
            wake: wake.clone(),
            table: Table::default(),
            events: Box::new([EpollEvent::empty(); READY_MAX]),
            timer,
            timer_at: None,
            ready: VecDeque::with_capacity(READY_MAX),
            resting: vec![],
            batch: Box::new(Batch::new()),
            drops: Drops::default(),
        })
    }

    fn open(&mut self, port: PortId, sockets: Sockets) -> io::Result<()> {
        let tokens = self.table.insert(port, sockets)?;
        for token in tokens {
            if let Err(error) = self.look(token) {
                self.close(port);
                return Err(error);
            }
        }
        Ok(())
    }

    fn close(&mut self, port: PortId) {
        // The drop closes the sockets, and epoll forgets what is closed.
        self.table.remove(port);
    }

    fn has(&self, port: PortId) -> bool {
        self.table.has(port)
    }

    fn send(&mut self, port: PortId, channel: Channel, to: SocketAddr, packet: &[u8]) {
        if let Some(socket) = self.table.socket(port, channel)
            && socket.send_to(packet, to).is_err()
        {
            self.drops.unsent += 1;
        }
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        if !self.ready.is_empty() {
            return Ok(());
        }
        let limit = self.limit(until)?;
        let named = match self.poll.wait(&mut self.events[..], limit) {
            Err(Errno::EINTR) => 0,
            named => named?,
        };
        for event in self.events.iter().take(named) {
            match event.data() {
                WAKE => self.wake.clear(),
                TIMER => self.timer_at = None,
                bits => self.ready.push_back(Token::from_bits(bits)),
            }
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        most: usize,
        mut take: impl FnMut(Arrival<'_>) -> Option<Forward>,
    ) -> bool {
        let mut shown = 0;
        while shown < most
            && let Some(token) = self.ready.pop_front()
        {
            shown += self.read(token, &mut take);
        }
        !self.ready.is_empty()
    }

    fn stop_reading(&mut self) {
        // What is read is shown at once, so that nothing is left elsewhere than in the sockets.
        self.ready.clear();
        for token in self.table.tokens() {
            self.rest(token);
        }
        self.resting.clear();
    }

    fn next_tick(&mut self) {
        self.table.tick = self.table.tick.wrapping_add(1);
        while let Some(token) = self.resting.pop() {
            if let Err(error) = self.look(token) {
                tracing::warn!(%error, "a media socket is not read any more");
            }
        }
    }

    fn drops(&self) -> Drops {
        self.drops
    }
}

impl Epoll {
    /// Asks for reports on a socket, when it is still there.
    fn look(&mut self, token: Token) -> io::Result<()> {
        let Some(entry) = self.table.entry(token) else { return Ok(()) };
        entry.line(token.channel).reading = Reading::Armed;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token.bits());
        Ok(self.poll.add(entry.socket(token.channel), event)?)
    }

    /// Asks for no more reports on a socket in this tick.
    fn rest(&mut self, token: Token) {
        let Some(entry) = self.table.entry(token) else { return };
        entry.line(token.channel).reading = Reading::Resting;
        if let Err(error) = self.poll.delete(entry.socket(token.channel)) {
            tracing::debug!(%error, "a media socket was not looked at");
        }
        self.resting.push(token);
    }

    /// How long to wait, apart from the timer, which is set.
    fn limit(&mut self, until: Option<Instant>) -> io::Result<EpollTimeout> {
        let Some(at) = until else { return Ok(EpollTimeout::NONE) };
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(EpollTimeout::ZERO);
        }
        // One that goes off earlier ends a wait for nothing, at worst.
        if self.timer_at.is_none_or(|set| set > at) {
            let once = Expiration::OneShot(left.max(Duration::from_nanos(1)).into());
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            self.timer_at = Some(at);
        }
        Ok(EpollTimeout::NONE)
    }

    /// Reads one socket for one batch, and sends on what is to be sent on.
    fn read(
        &mut self,
        token: Token,
        take: &mut impl FnMut(Arrival<'_>) -> Option<Forward>,
    ) -> usize {
        let tick = self.table.tick;
        let Some(entry) = self.table.entry(token) else { return 0 };
        let (port, channel) = (entry.port, token.channel);
        // Where reading fails, an earlier packet was refused, which says nothing of what waits
        // behind it; where nothing is there, epoll will say when it is.
        let Ok(came) = self.batch.receive(entry.socket(channel).as_raw_fd()) else { return 0 };
        let (wall, mut is_flood) = (clock::wall(), false);
        for n in 0..came {
            let Some(entry) = self.table.entry(token) else { break };
            if !entry.line(channel).may(tick) {
                is_flood = true;
                self.drops.flood += 1;
                continue;
            }
            match self.batch.packet(n) {
                Some((from, told, buffer, length)) => {
                    self.drops.overrun += entry.line(channel).note_lost(told.lost);
                    let waited = told.waited(wall);
                    let arrival = Arrival { port, channel, from, buffer, length, waited };
                    let forward = take(arrival);
                    self.batch.packets[n].forward = forward;
                }
                None => self.drops.too_long += 1,
            }
        }
        self.forward(came);
        if is_flood {
            self.rest(token);
        }
        came
    }

    /// Sends what of the batch is to be sent on: what follows one another out of one socket at
    /// once.
    fn forward(&mut self, came: usize) {
        let mut first = 0;
        while first < came {
            let run = self.batch.run(first, came);
            if let Some(forward) = &self.batch.packets[first].forward
                && let Some(socket) = self.table.socket(forward.port, Channel::Rtp)
            {
                self.drops.unsent += (run - self.batch.send(first, run, socket)) as u64;
            }
            first += run;
        }
    }
}

/// One packet's place.
struct Packet {
    /// Where from; before sending, where to.
    name: [u8; LENGTH],
    control: [u8; control::LENGTH],
    buffer: [u8; PACKET_MAX + ROOM],
    length: usize,
    /// Bytes of control messages.
    told: usize,
    is_cut: bool,
    forward: Option<Forward>,
}

/// The receive buffers, and what the system wants to know of them.
struct Batch {
    packets: [Packet; BATCH],
    vectors: [iovec; BATCH],
    headers: [mmsghdr; BATCH],
}

impl Batch {
    fn new() -> Self {
        let packet = |_| Packet {
            name: [0; LENGTH],
            control: [0; control::LENGTH],
            buffer: [0; PACKET_MAX + ROOM],
            length: 0,
            told: 0,
            is_cut: false,
            forward: None,
        };
        let (vector, header) = (iovec { iov_base: null_mut(), iov_len: 0 }, no_header());
        Self {
            packets: array::from_fn(packet),
            vectors: [vector; BATCH],
            headers: [mmsghdr { msg_hdr: header, msg_len: 0 }; BATCH],
        }
    }

    /// Reads up to [`BATCH`] packets that are there; how many were.
    fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        for (n, packet) in self.packets.iter_mut().enumerate() {
            let base = packet.buffer.as_mut_ptr().cast();
            self.vectors[n] = iovec { iov_base: base, iov_len: PACKET_MAX };
            let name = packet.name.as_mut_ptr();
            let header = &mut self.headers[n].msg_hdr;
            *header = self::header(name, LENGTH, &mut self.vectors[n]);
            header.msg_control = packet.control.as_mut_ptr().cast();
            header.msg_controllen = control::LENGTH;
        }
        // SAFETY: each header names the address, the control data, the vector and through it the
        // buffer of its own packet, with their true lengths (the buffer's shorter: what is behind
        // is the room to grow). All belong to `self`, which is borrowed through the call; the
        // kernel keeps no pointer.
        let came = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::recvmmsg(fd, headers, BATCH as u32, MSG_DONTWAIT, null_mut())
        };
        let came = usize::try_from(came).map_err(|_| io::Error::last_os_error())?;
        for (packet, header) in self.packets.iter_mut().zip(&self.headers).take(came) {
            packet.length = header.msg_len as usize;
            packet.told = header.msg_hdr.msg_controllen;
            packet.is_cut = header.msg_hdr.msg_flags & MSG_TRUNC != 0;
            packet.forward = None;
        }
        Ok(came)
    }

    /// A packet that came: from where, what was told of it, its buffer, and its length; `None` when
    /// it is not whole.
    fn packet(&mut self, n: usize) -> Option<(SocketAddr, Told, &mut [u8], usize)> {
        let packet = self.packets.get_mut(n).filter(|packet| !packet.is_cut)?;
        let from = address::read(&packet.name)?;
        let told = control::read(packet.control.get(..packet.told)?);
        Some((from, told, &mut packet.buffer[..], packet.length))
    }

    /// How many packets from `first` on leave by the same socket.
    fn run(&self, first: usize, came: usize) -> usize {
        let by = |n: usize| self.packets[n].forward.as_ref().map(|forward| forward.port);
        (first..came).take_while(|n| by(*n) == by(first)).count()
    }

    /// Sends `run` packets from `first` on out of their buffers; how many the system took.
    fn send(&mut self, first: usize, run: usize, socket: &UdpSocket) -> usize {
        let packets = self.packets.iter_mut().skip(first).take(run);
        let mut wanted = 0;
        for packet in packets {
            let Some(forward) = packet.forward.take() else { continue };
            let Some(bytes) = packet.buffer.get_mut(forward.range) else { continue };
            let name = address::write(forward.to, &mut packet.name);
            let (base, length) = (bytes.as_mut_ptr().cast(), bytes.len());
            self.vectors[wanted] = iovec { iov_base: base, iov_len: length };
            let address = packet.name.as_mut_ptr();
            self.headers[wanted].msg_hdr = header(address, name, &mut self.vectors[wanted]);
            wanted += 1;
        }
        let mut taken = 0;
        while taken < wanted {
            let left = &mut self.headers[taken..wanted];
            // SAFETY: each of the `left.len()` headers names an address, a vector and through it a
            // part of a buffer, with their true lengths, as set above. All belong to `self`, which
            // is borrowed through the call; the kernel keeps no pointer.
            let sent = unsafe {
                let count = left.len() as u32;
                libc::sendmmsg(socket.as_raw_fd(), left.as_mut_ptr(), count, MSG_DONTWAIT)
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => taken += sent,
                // This one can't be sent; those behind it may.
                _ => return taken + self.send_rest(taken + 1, wanted, socket),
            }
        }
        taken
    }

    /// Sends what is behind a packet that could not be sent, one by one.
    fn send_rest(&mut self, first: usize, wanted: usize, socket: &UdpSocket) -> usize {
        let rest = self.headers.get_mut(first..wanted).unwrap_or_default();
        let sent = rest.iter().filter(|header| {
            // SAFETY: the header names an address, a vector and a part of a buffer that belong to
            // `self`, as `send` has set them; the kernel keeps no pointer.
            unsafe { libc::sendmsg(socket.as_raw_fd(), &header.msg_hdr, MSG_DONTWAIT) >= 0 }
        });
        sent.count()
    }
}

/// A header that names nothing.
fn no_header() -> msghdr {
    // SAFETY: a C structure of integers and pointers, for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}

/// A header with one buffer and no control data.
fn header(name: *mut u8, length: usize, vector: &mut iovec) -> msghdr {
    let mut header = no_header();
    header.msg_name = name.cast();
    header.msg_namelen = length as u32;
    header.msg_iov = from_mut(vector);
    header.msg_iovlen = 1;
    header
}
