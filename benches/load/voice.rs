//! Every voice of both sides: 20 ms packets of PCMU out, everything that comes in counted.
//!
//! Owns one thread, and on each side one socket for each millisecond of the 20: all streams that
//! are due in the same millisecond share it (SDP names it), so that they leave in a few calls. The
//! payload says who sent it and when; the kernel says when it came. So the delay holds neither
//! the generator's lateness in sending nor that in reading; both are counted apart.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use koebashi::shell::media_thread::backend::priority;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use super::figures::Figures;
use super::nanos;

/// Milliseconds of a packet, and so sockets of a side.
const SLOTS: usize = 20;
/// Packets that leave with one call: the stamp of the last is so much older.
const SEND_BATCH: usize = 8;
/// Packets that are read with one call.
const READ_BATCH: usize = 32;
/// What a round that is late is caught up by; beyond it the voices pause.
const LATE_MAX: Duration = Duration::from_millis(40);
/// RTP header and 20 ms.
const PACKET: usize = 172;
const HEADER: usize = 12;
/// Marks our payloads: no prompt holds it.
const MARK: [u8; 4] = *b"load";
/// Mark, side, stamp.
const STAMPED: usize = HEADER + 4 + 1 + 8;
/// Room for incoming packets.
const ROOM: usize = 256;

/// Whose voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A caller's.
    Caller,
    /// A counselor's.
    Phone,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// Begin to speak.
    Start(Side, u32, SocketAddrV4),
    /// Be silent.
    Stop(Side, u32),
    /// Count from here on.
    Begin,
    /// Count what was sent until here; what is under way still counts.
    End,
    /// Tell what was counted.
    Tell(SyncSender<Figures>),
}

/// The thread's handle.
#[derive(Debug)]
pub(crate) struct Voice {
    orders: Sender<Order>,
    ports: [[u16; SLOTS]; 2],
    thread: Option<JoinHandle<()>>,
}

impl Voice {
    /// Binds the sockets and starts the thread.
    pub(crate) fn start(trunk: Ipv4Addr, phones: Ipv4Addr) -> std::io::Result<Self> {
        let mut ports = [[0; SLOTS]; 2];
        let mut sides = vec![];
        for (side, address) in [trunk, phones].into_iter().enumerate() {
            for port in &mut ports[side] {
                let socket = socket(address)?;
                *port = socket.local_addr()?.port();
                sides.push(socket);
            }
        }
        let (orders, inbox) = channel();
        let phones = sides.split_off(SLOTS);
        let run = move || Thread::new([sides, phones]).run(&inbox);
        let thread = thread::Builder::new().name("voice".to_owned()).spawn(run)?;
        Ok(Self { orders, ports, thread: Some(thread) })
    }

    /// A handle to speak by.
    pub(crate) fn mouth(&self) -> Mouth {
        Mouth { orders: self.orders.clone(), ports: self.ports }
    }

    /// Counts the packets that leave within `time`, and gives what became of them.
    pub(crate) fn measure(&self, time: Duration) -> Figures {
        self.begin();
        thread::sleep(time);
        self.end()
    }

    /// Counts from here on.
    pub(crate) fn begin(&self) {
        self.order(Order::Begin);
    }

    /// Counts no packet that leaves after this, and gives what became of those before.
    pub(crate) fn end(&self) -> Figures {
        self.order(Order::End);
        thread::sleep(Duration::from_millis(400));
        let (tell, told) = sync_channel(1);
        self.order(Order::Tell(tell));
        told.recv().unwrap_or_else(|_| Figures::new())
    }

    fn order(&self, order: Order) {
        // The thread ends only with this handle.
        self.orders.send(order).ok();
    }
}

/// Lets streams begin and end.
#[derive(Clone, Debug)]
pub(crate) struct Mouth {
    orders: Sender<Order>,
    ports: [[u16; SLOTS]; 2],
}

impl Mouth {
    /// The port that the SDP of this stream names.
    pub(crate) fn port(&self, side: Side, stream: u32) -> u16 {
        self.ports[side as usize][stream as usize % SLOTS]
    }

    /// Begins to speak to `to`.
    pub(crate) fn start(&self, side: Side, stream: u32, to: SocketAddrV4) {
        self.orders.send(Order::Start(side, stream, to)).ok();
    }

    /// Ends it.
    pub(crate) fn stop(&self, side: Side, stream: u32) {
        self.orders.send(Order::Stop(side, stream)).ok();
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        // The thread sees that nobody can give orders any more.
        self.orders = channel().0;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Gives the calling thread the first core and the service's own priority: a generator that waits
/// for the media thread would measure itself. Where that is refused it is late, and says so.
fn take_core() {
    let mut cores = CpuSet::new();
    let pinned = cores.set(0).and_then(|()| sched_setaffinity(Pid::from_raw(0), &cores));
    pinned.map_err(std::io::Error::from).and_then(|()| priority::raise()).ok();
}

fn socket(address: Ipv4Addr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))?;
    setsockopt(&socket, sockopt::SndBuf, &(4 << 20))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

/// One voice on its way.
#[derive(Clone, Copy, Debug)]
struct Stream {
    id: u32,
    to: SocketAddrV4,
    sequence: u16,
}

struct Thread {
    /// Callers' sockets and streams, then phones'.
    sockets: [Vec<UdpSocket>; 2],
    streams: [[Vec<Stream>; SLOTS]; 2],
    packets: [[u8; PACKET]; SEND_BATCH],
    rooms: Vec<[u8; ROOM]>,
    senders: MultiHeaders<SockaddrIn>,
    readers: MultiHeaders<SockaddrIn>,
    figures: Figures,
    /// When counting began and ended, by [`nanos`].
    window: std::ops::Range<u64>,
}

impl Thread {
    fn new(sockets: [Vec<UdpSocket>; 2]) -> Self {
        let mut packets = [[0; PACKET]; SEND_BATCH];
        for packet in &mut packets {
            for (i, byte) in packet.iter_mut().enumerate() {
                *byte = filler(i);
            }
        }
        Self {
            sockets,
            streams: Default::default(),
            packets,
            rooms: vec![[0; ROOM]; READ_BATCH],
            senders: MultiHeaders::preallocate(SEND_BATCH, None),
            readers: MultiHeaders::preallocate(READ_BATCH, Some(nix::cmsg_space!(TimeSpec))),
            figures: Figures::new(),
            window: u64::MAX..u64::MAX,
        }
    }

    /// One round each millisecond, until nobody gives orders any more.
    fn run(mut self, orders: &Receiver<Order>) {
        take_core();
        let mut due = Instant::now();
        let mut round = 0u64;
        loop {
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                thread::sleep(wait);
            }
            let mut late = Instant::now().saturating_duration_since(due);
            if late > LATE_MAX {
                // Whoever was away so long does not send it all at once: that would be another load.
                due += late;
                late = Duration::ZERO;
                self.figures.skipped += 1;
            }
            let late = late.as_nanos() as u64;
            for side in [Side::Caller, Side::Phone] {
                self.speak(side, round as usize % SLOTS, late);
            }
            for side in [Side::Caller, Side::Phone] {
                (0..SLOTS).for_each(|slot| self.listen(side, slot));
            }
            if !self.obey(orders) {
                return;
            }
            round += 1;
            due += Duration::from_millis(1);
        }
    }

    /// Carries out what was ordered; false: nobody orders any more.
    fn obey(&mut self, orders: &Receiver<Order>) -> bool {
        use std::sync::mpsc::TryRecvError;
        loop {
            match orders.try_recv() {
                Ok(Order::Start(side, id, to)) => {
                    let slot = &mut self.streams[side as usize][id as usize % SLOTS];
                    slot.push(Stream { id, to, sequence: 0 });
                }
                Ok(Order::Stop(side, id)) => {
                    self.streams[side as usize][id as usize % SLOTS].retain(|s| s.id != id);
                }
                Ok(Order::Begin) => {
                    self.figures.clear();
                    self.window = nanos()..u64::MAX;
                }
                Ok(Order::End) => {
                    self.window.end = nanos();
                    self.figures.end(self.window.end);
                }
                Ok(Order::Tell(to)) => {
                    to.send(self.figures.clone()).ok();
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Sends what is due in one millisecond.
    fn speak(&mut self, side: Side, slot: usize, late: u64) {
        let socket = self.sockets[side as usize][slot].as_raw_fd();
        for streams in self.streams[side as usize][slot].chunks_mut(SEND_BATCH) {
            let stamp = nanos();
            let counts = self.window.contains(&stamp);
            let mut to = [None; SEND_BATCH];
            for ((stream, packet), to) in streams.iter_mut().zip(&mut self.packets).zip(&mut to) {
                write(packet, side, stream, stamp);
                stream.sequence = stream.sequence.wrapping_add(1);
                *to = Some(SockaddrIn::from(stream.to));
                if counts {
                    self.figures.sent_late.add(late);
                }
            }
            let slices: [[IoSlice<'_>; 1]; SEND_BATCH] =
                std::array::from_fn(|i| [IoSlice::new(&self.packets[i])]);
            let count = streams.len();
            let (slices, to) = (&slices[..count], &to[..count]);
            let none: [nix::sys::socket::ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(socket, &mut self.senders, slices, to, none, MsgFlags::empty());
            let sent = sent.map_or(0, Iterator::count);
            if counts {
                self.figures.sent[side as usize] += sent as u64;
                self.figures.dropped_here += (count - sent) as u64;
            }
        }
    }

    /// Reads what has come to one socket.
    fn listen(&mut self, side: Side, slot: usize) {
        let socket = self.sockets[side as usize][slot].as_raw_fd();
        loop {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                self.rooms.iter_mut().map(|room| [IoSliceMut::new(room)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(messages) = recvmmsg(socket, &mut self.readers, &mut slices, flags, None) else {
                return;
            };
            let now = nanos();
            let mut count = 0;
            for message in messages {
                count += 1;
                let stamps = message.cmsgs().into_iter().flatten();
                let came = stamps.filter_map(|stamp| arrival(&stamp)).next().unwrap_or(now);
                let packet = message.iovs().next().unwrap_or_default();
                // Reports come from odd ports.
                if self.window.contains(&came)
                    && let Some(from) = message.address.filter(|from| from.port() % 2 == 0)
                    && let Some(ssrc) = packet.get(8..HEADER)
                {
                    let ssrc = ssrc.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
                    self.figures.hear((side as usize, from.port()), ssrc, came);
                }
                judge(&mut self.figures, &self.window, side, packet, came, now);
            }
            if count < READ_BATCH {
                return;
            }
        }
    }
}

fn arrival(message: &ControlMessageOwned) -> Option<u64> {
    if let ControlMessageOwned::ScmTimestampns(at) = message {
        let whole = u64::try_from(at.tv_sec()).unwrap_or(0) * 1_000_000_000;
        return Some(whole + at.tv_nsec().unsigned_abs());
    }
    None
}

/// A byte of the payload that is the same in every packet.
fn filler(at: usize) -> u8 {
    (at * 37 + 11) as u8
}

fn write(packet: &mut [u8; PACKET], side: Side, stream: &Stream, stamp: u64) {
    packet[0] = 0x80;
    packet[1] = if stream.sequence == 0 { 0x80 } else { 0 };
    packet[2..4].copy_from_slice(&stream.sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(stream.sequence) * 160).to_be_bytes());
    packet[8..12].copy_from_slice(&(stream.id ^ 0x5a5a_0000 ^ side as u32).to_be_bytes());
    packet[HEADER..HEADER + 4].copy_from_slice(&MARK);
    packet[HEADER + 4] = side as u8;
    packet[HEADER + 5..STAMPED].copy_from_slice(&stamp.to_be_bytes());
}

/// Counts a packet that came to `side`.
fn judge(
    figures: &mut Figures,
    window: &std::ops::Range<u64>,
    side: Side,
    packet: &[u8],
    came: u64,
    now: u64,
) {
    let ours = packet.get(HEADER..STAMPED).filter(|ours| ours.starts_with(&MARK));
    let Some(ours) = ours else {
        figures.played[side as usize] += u64::from(window.contains(&came));
        return;
    };
    let mut stamp = [0; 8];
    stamp.copy_from_slice(&ours[5..]);
    let stamp = u64::from_be_bytes(stamp);
    if !window.contains(&stamp) {
        return;
    }
    let intact = packet.len() == PACKET
        && (STAMPED..PACKET).all(|i| packet[i] == filler(i))
        && ours[4] != side as u8;
    if intact {
        figures.relayed[1 - side as usize] += 1;
    } else {
        figures.altered += 1;
    }
    figures.delay.add(came.saturating_sub(stamp));
    figures.read_late.add(now.saturating_sub(came));
}
