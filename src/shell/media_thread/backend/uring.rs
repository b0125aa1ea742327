//! Packets by io_uring: one call into the system a turn, for everything.
//!
//! Owns the ring: each socket has one lasting receive (multishot) that takes its buffers from a
//! ring of them; what is sent on goes out of the same buffer with the next turn's submission. Which
//! buffer is whose is in [`buffers`]. Needs Linux 6.1: sends with an address, receives that last,
//! rings of buffers.
#![expect(unsafe_code, reason = "submissions name memory by its address")]

mod buffers;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use nix::libc::{self, MSG_DONTWAIT, msghdr};

use super::address::{self, LENGTH};
use super::control;
use super::sockets::Sockets;
use super::table::{Entry, FREE_BITS, Reading, Table, Token};
use super::wake::Wake;
use super::{Arrival, Backend, Drops};
use crate::media::PortId;
use crate::media::engine::{Channel, Forward};
use crate::shell::clock;
use buffers::{Buffer, Buffers, Received};

/// Submissions that wait for the next call.
const SUBMISSIONS: u32 = 1024;
/// Completions that wait for us. The kernel keeps more elsewhere, at a price.
const COMPLETIONS: u32 = 4096;
/// Calls that the end of a port's receives may take; what takes longer ends in the background.
const CLOSING_ROUNDS: usize = 4;
/// Calls, and time in each, that the end of everything may take.
const ENDING_ROUNDS: usize = 100;
const ENDING_STEP: Duration = Duration::from_millis(10);

/// What a completion is about: the highest bits of its user data. Below: a token, or the number of
/// a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Receive,
    Send,
    Wake,
    Other,
}

/// The rest of [`Kind::Other`]: whose end concerns nobody, and the timer.
const CANCEL: u64 = 0;
const TIMER: u64 = 1;

const KIND_AT: u32 = 64 - FREE_BITS;

impl Kind {
    fn data(self, rest: u64) -> u64 {
        let kind = match self {
            Self::Receive => 0_u64,
            Self::Send => 1,
            Self::Wake => 2,
            Self::Other => 3,
        };
        kind << KIND_AT | rest
    }

    fn of(data: u64) -> Self {
        match data >> KIND_AT {
            0 => Self::Receive,
            1 => Self::Send,
            2 => Self::Wake,
            _ => Self::Other,
        }
    }
}

/// A packet that has come and has not been shown.
struct Came {
    token: Token,
    buffer: Buffer,
    written: usize,
}

/// A port that is closed and whose receives have not ended: its sockets stay until then.
struct Closing {
    tokens: [Token; 2],
    open: usize,
    _entry: Entry,
}

/// One thread's ring.
pub struct Uring {
    ring: IoUring,
    /// `None` only while it is dropped.
    buffers: Option<Buffers>,
    /// What the kernel writes before a packet: its address, and when it came.
    shape: Box<msghdr>,
    wake: Wake,
    table: Table,
    /// Empty between two calls of `reap`: kept for its memory.
    completions: Vec<cqueue::Entry>,
    came: VecDeque<Came>,
    /// Sockets that the kernel is to be asked about.
    unarmed: VecDeque<Token>,
    /// Sockets that have had their share of this tick.
    resting: Vec<Token>,
    closing: Vec<Closing>,
    /// The packet that is being shown: left here by a panic.
    shown: Option<Buffer>,
    /// Sends that have not ended.
    sends: usize,
    /// Receives and reads that have not ended.
    others: usize,
    is_wake_armed: bool,
    /// What the timer is set to, read while it is submitted.
    timer: Box<Timespec>,
    /// When the timer goes off, while it is set.
    timer_at: Option<Instant>,
    drops: Drops,
}

impl Backend for Uring {
    fn new(wake: &Wake) -> io::Result<Self> {
        let ring = setup()?;
        let buffers = Buffers::new(&ring.submitter())?;
        // SAFETY: a C structure of integers and pointers, for which all zeros is a value.
        let mut shape: Box<msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = LENGTH as u32;
        shape.msg_controllen = control::LENGTH;
        Ok(Self {
            ring,
            buffers: Some(buffers),
            shape,
            wake: wake.clone(),
            table: Table::default(),
            completions: Vec::with_capacity(COMPLETIONS as usize),
            came: VecDeque::with_capacity(usize::from(buffers::RECEIVE)),
            unarmed: VecDeque::new(),
            resting: vec![],
            closing: vec![],
            shown: None,
            sends: 0,
            others: 0,
            is_wake_armed: false,
            timer: Box::default(),
            timer_at: None,
            drops: Drops::default(),
        })
    }

    fn open(&mut self, port: PortId, sockets: Sockets) -> io::Result<()> {
        let tokens = self.table.insert(port, sockets)?;
        self.unarmed.extend(tokens);
        Ok(())
    }

    fn close(&mut self, port: PortId) {
        let Some((tokens, mut entry)) = self.table.remove(port) else { return };
        let mut open = 0;
        for token in tokens {
            if matches!(entry.line(token.channel).reading, Reading::Armed | Reading::Stopping) {
                open += 1;
                self.cancel(token);
            }
        }
        self.closing.push(Closing { tokens, open, _entry: entry });
        // What is queued names the sockets by number: it must be submitted before they go.
        for _ in 0..CLOSING_ROUNDS {
            if self.enter(0, None).is_err() {
                break;
            }
            self.reap();
            if self.closing.is_empty() {
                break;
            }
        }
    }

    fn has(&self, port: PortId) -> bool {
        self.table.has(port)
    }

    fn send(&mut self, port: PortId, channel: Channel, to: SocketAddr, packet: &[u8]) {
        let Some(socket) = self.table.socket(port, channel) else { return };
        let fd = Fd(socket.as_raw_fd());
        let Some(buffers) = &mut self.buffers else { return };
        let own = buffers.take_own();
        let own = own.or_else(|| {
            self.flush();
            self.buffers.as_mut()?.take_own()
        });
        let (Some(buffer), Some(buffers)) = (own, &mut self.buffers) else {
            self.drops.unsent += 1;
            return;
        };
        let (_, bytes) = buffers.parts(&buffer);
        if let Some(place) = bytes.get_mut(..packet.len()) {
            place.copy_from_slice(packet);
            self.send_from(buffer, fd, to, 0..packet.len());
        } else {
            buffers.give_back(buffer);
            self.drops.unsent += 1;
        }
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.after_panic();
        self.arm();
        let is_waiting = self.came.is_empty() && self.is_to_come(until);
        // Sends that are done don't end the wait: one more than these must come.
        let want = if is_waiting { self.sends + 1 } else { 0 };
        let entered = self.enter(want, None);
        self.reap();
        entered
    }

    fn deliver(
        &mut self,
        most: usize,
        mut take: impl FnMut(Arrival<'_>) -> Option<Forward>,
    ) -> bool {
        self.after_panic();
        let wall = clock::wall();
        for _ in 0..most {
            let Some(came) = self.came.pop_front() else { return false };
            self.show(came, wall, &mut take);
        }
        !self.came.is_empty()
    }

    fn stop_reading(&mut self) {
        let tokens = self.table.tokens();
        for token in &tokens {
            let Some(entry) = self.table.entry(*token) else { continue };
            let line = entry.line(token.channel);
            if line.reading == Reading::Armed {
                line.reading = Reading::Stopping;
                self.cancel(*token);
            } else if line.reading == Reading::Idle {
                line.reading = Reading::Resting;
            }
        }
        for _ in 0..CLOSING_ROUNDS {
            if self.enter(0, None).is_err() {
                break;
            }
            self.reap();
        }
        self.resting.clear();
    }

    fn next_tick(&mut self) {
        self.table.tick = self.table.tick.wrapping_add(1);
        while let Some(token) = self.resting.pop() {
            let Some(entry) = self.table.entry(token) else { continue };
            let line = entry.line(token.channel);
            match line.reading {
                // Its end is still to come, and it goes on when it does.
                Reading::Stopping => line.reading = Reading::Armed,
                Reading::Resting => {
                    line.reading = Reading::Idle;
                    self.unarmed.push_back(token);
                }
                Reading::Idle | Reading::Armed => (),
            }
        }
    }

    fn drops(&self) -> Drops {
        self.drops
    }
}

/// A ring for one thread, with what of the kernel's savings it knows.
fn setup() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_cqsize(COMPLETIONS).setup_submit_all();
    let plain = builder.clone();
    builder.setup_single_issuer().setup_defer_taskrun();
    builder.build(SUBMISSIONS).or_else(|_| plain.build(SUBMISSIONS))
}

impl Uring {
    /// Gives every socket that the kernel is not reading its receive, and buffers to all.
    fn arm(&mut self) {
        if let Some(buffers) = &mut self.buffers {
            buffers.publish();
        }
        // Where no buffer is left a receive ends at once: no more are begun than can come to
        // something, in turns.
        let free = usize::from(buffers::RECEIVE).saturating_sub(self.came.len() + self.sends);
        for _ in 0..free {
            let Some(token) = self.unarmed.pop_front() else { break };
            let Some(entry) = self.table.entry(token) else { continue };
            // It may have been armed or put to rest since it got into the list.
            if entry.line(token.channel).reading != Reading::Idle {
                continue;
            }
            entry.line(token.channel).reading = Reading::Armed;
            let fd = Fd(entry.socket(token.channel).as_raw_fd());
            let shape: *const msghdr = &raw const *self.shape;
            let receive = opcode::RecvMsgMulti::new(fd, shape, buffers::GROUP).build();
            if !self.push(&receive.user_data(Kind::Receive.data(token.bits()))) {
                if let Some(entry) = self.table.entry(token) {
                    entry.line(token.channel).reading = Reading::Idle;
                }
                return self.unarmed.push_back(token);
            }
            self.others += 1;
        }
        if !self.is_wake_armed
            && let Some(buffers) = &self.buffers
        {
            let (fd, place) = (Fd(self.wake.raw()), buffers.nowhere());
            let read = opcode::Read::new(fd, place, size_of::<u64>() as u32).build();
            self.is_wake_armed = self.push(&read.user_data(Kind::Wake.data(0)));
            self.others += usize::from(self.is_wake_armed);
        }
    }

    /// Whether there is something to wait for; the timer is set to it.
    fn is_to_come(&mut self, until: Option<Instant>) -> bool {
        let Some(at) = until else { return true };
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // One that goes off earlier ends a wait for nothing, at worst.
        if self.timer_at.is_some_and(|set| set <= at) {
            return true;
        }
        if self.timer_at.take().is_some() {
            let which = CancelBuilder::user_data(Kind::Other.data(TIMER));
            let cancel = opcode::AsyncCancel2::new(which).build();
            self.push(&cancel.user_data(Kind::Other.data(CANCEL)));
        }
        *self.timer = Timespec::from(left);
        let timer = opcode::Timeout::new(&raw const *self.timer).build();
        // Where it finds no room there is no wait either.
        if !self.push(&timer.user_data(Kind::Other.data(TIMER))) {
            return false;
        }
        self.others += 1;
        self.timer_at = Some(at);
        true
    }

    fn cancel(&mut self, token: Token) {
        let which = CancelBuilder::user_data(Kind::Receive.data(token.bits()));
        let cancel = opcode::AsyncCancel2::new(which).build();
        // Where there is no room the receive goes on, and `Closing` keeps its socket.
        self.push(&cancel.user_data(Kind::Other.data(CANCEL)));
    }

    /// Queues a submission; false when there is no room even after handing over what is queued.
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        for _ in 0..2 {
            // SAFETY: what entries of this file name lives long enough. Addresses of destinations
            // and packets lie in `buffers`, and so does what the wake-up is read into; they live
            // until nothing is under way (`drop`). `shape` and `timer` are read while
            // what names them is submitted. Sockets
            // are closed after what names them has been submitted (`close`).
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return true;
            }
            self.flush();
        }
        false
    }

    /// Hands over what is queued.
    fn flush(&mut self) {
        if let Err(error) = self.enter(0, None) {
            tracing::debug!(%error, "the ring takes nothing");
        }
        self.reap();
    }

    /// Hands over what is queued, and waits for `want` completions, `limit` at most.
    fn enter(&mut self, want: usize, limit: Option<Duration>) -> io::Result<()> {
        let queued = self.ring.submission().len() as u32;
        let mut flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        if self.ring.params().is_feature_no_iowait() {
            flags |= EnterFlags::NO_IOWAIT;
        }
        let time = limit.map(Timespec::from);
        let args = SubmitArgs::new();
        let args = match &time {
            Some(time) if want > 0 => args.timespec(time),
            Some(_) | None => args,
        };
        // SAFETY: `args` is what EXT_ARG says that it is, and it and the time that it names live
        // through the call. For what the queued entries name, see `push`.
        let entered =
            unsafe { self.ring.submitter().enter(queued, want as u32, flags.bits(), Some(&args)) };
        match entered.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) => Ok(()),
            // Time is up; a signal; completions must be taken first.
            Err((Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN), _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
    }

    /// Takes what the kernel reports. Packets wait to be shown; everything else is dealt with.
    fn reap(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        completions.extend(self.ring.completion());
        for completion in completions.drain(..) {
            match Kind::of(completion.user_data()) {
                Kind::Receive => self.on_receive(&completion),
                Kind::Send => self.on_send(&completion),
                Kind::Wake => {
                    self.is_wake_armed = false;
                    self.others -= 1;
                }
                Kind::Other if completion.user_data() == Kind::Other.data(TIMER) => {
                    self.others -= 1;
                    if completion.result() != -libc::ECANCELED {
                        self.timer_at = None;
                    }
                }
                Kind::Other => (),
            }
        }
        self.completions = completions;
        if !self.closing.is_empty() && self.ring.submission().is_empty() {
            self.closing.retain(|closing| closing.open > 0);
        }
    }

    fn on_send(&mut self, completion: &cqueue::Entry) {
        self.sends -= 1;
        self.drops.unsent += u64::from(completion.result() < 0);
        if let Some(buffers) = &mut self.buffers
            && let Some(buffer) = buffers.named(completion.user_data() as u16)
        {
            buffers.give_back(buffer);
        }
    }

    fn on_receive(&mut self, completion: &cqueue::Entry) {
        let token = Token::from_bits(completion.user_data());
        let flags = completion.flags();
        if let Some(buffers) = &mut self.buffers
            && let Some(buffer) = cqueue::buffer_select(flags).and_then(|n| buffers.named(n))
        {
            match usize::try_from(completion.result()) {
                Ok(written) => self.came.push_back(Came { token, buffer, written }),
                Err(_) => buffers.give_back(buffer),
            }
        }
        if cqueue::more(flags) {
            return;
        }
        self.others -= 1;
        // The receive has ended: it was canceled, or there was no buffer; anything else is tried
        // again a few times a tick.
        let is_foreseen = matches!(-completion.result(), libc::ECANCELED | libc::ENOBUFS);
        let is_fault = completion.result() < 0 && !is_foreseen;
        let tick = self.table.tick;
        if let Some(entry) = self.table.entry(token) {
            let line = entry.line(token.channel);
            if line.reading == Reading::Stopping {
                line.reading = Reading::Resting;
            } else if is_fault && !line.may(tick) {
                line.reading = Reading::Resting;
                self.resting.push(token);
            } else {
                line.reading = Reading::Idle;
                self.unarmed.push_back(token);
            }
        } else if let Some(closing) = self.closing.iter_mut().find(|c| c.tokens.contains(&token)) {
            closing.open = closing.open.saturating_sub(1);
        }
    }

    fn show(
        &mut self,
        came: Came,
        wall: Duration,
        take: &mut impl FnMut(Arrival<'_>) -> Option<Forward>,
    ) {
        let Came { token, buffer, written } = came;
        let (tick, channel) = (self.table.tick, token.channel);
        let Some(buffers) = &mut self.buffers else { return };
        // A port that has been closed meanwhile.
        let Some(entry) = self.table.entry(token) else { return buffers.give_back(buffer) };
        let port = entry.port;
        if !entry.line(channel).may(tick) {
            self.drops.flood += 1;
            buffers.give_back(buffer);
            return self.rest(token);
        }
        let shown = &*self.shown.insert(buffer);
        let received = buffers.received(shown, written);
        let received = received.and_then(|r| Some((address::read(&r.from)?, r)));
        let forward = match received {
            Some((from, Received { told, bytes: buffer, length, .. })) => {
                self.drops.overrun += entry.line(channel).note_lost(told.lost);
                let waited = told.waited(wall);
                take(Arrival { port, channel, from, buffer, length, waited })
            }
            None => {
                self.drops.too_long += 1;
                None
            }
        };
        let Some(buffer) = self.shown.take() else { return };
        if let Some(forward) = forward
            && let Some(socket) = self.table.socket(forward.port, Channel::Rtp)
        {
            let fd = Fd(socket.as_raw_fd());
            self.send_from(buffer, fd, forward.to, forward.range);
        } else {
            buffers.give_back(buffer);
        }
    }

    /// Queues what lies in this range of a buffer; the buffer comes back when it is sent.
    fn send_from(&mut self, buffer: Buffer, fd: Fd, to: SocketAddr, range: Range<usize>) {
        let Some(buffers) = &mut self.buffers else { return };
        let (front, bytes) = buffers.parts(&buffer);
        let Some((packet, name)) = bytes.get(range).zip(front.first_chunk_mut()) else {
            return buffers.give_back(buffer);
        };
        let length = address::write(to, name);
        let send = opcode::Send::new(fd, packet.as_ptr(), packet.len() as u32)
            .flags(MSG_DONTWAIT)
            .dest_addr(name.as_ptr().cast())
            .dest_addr_len(length as u32)
            .build();
        let number = u64::from(buffer.number());
        if self.push(&send.user_data(Kind::Send.data(number))) {
            self.sends += 1;
        } else {
            self.drops.unsent += 1;
            if let Some(buffers) = &mut self.buffers {
                buffers.give_back(buffer);
            }
        }
    }

    /// Has the socket rest until the next tick.
    fn rest(&mut self, token: Token) {
        let Some(entry) = self.table.entry(token) else { return };
        let line = entry.line(token.channel);
        match line.reading {
            Reading::Armed => {
                line.reading = Reading::Stopping;
                self.resting.push(token);
                self.cancel(token);
            }
            Reading::Idle => {
                line.reading = Reading::Resting;
                self.resting.push(token);
            }
            Reading::Stopping | Reading::Resting => (),
        }
    }

    /// A packet that `take` panicked on has lost its way back.
    fn after_panic(&mut self) {
        if let Some(buffer) = self.shown.take()
            && let Some(buffers) = &mut self.buffers
        {
            buffers.give_back(buffer);
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build();
        self.push(&cancel.user_data(Kind::Other.data(CANCEL)));
        for _ in 0..ENDING_ROUNDS {
            if self.sends + self.others == 0 {
                return;
            }
            if self.enter(1, Some(ENDING_STEP)).is_err() {
                break;
            }
            self.reap();
        }
        tracing::warn!("a ring did not come to its end; its memory stays");
        if let Some(buffers) = self.buffers.take() {
            buffers.forget();
        }
    }
}
