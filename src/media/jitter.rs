//! The buffer between a network that is late at times and an ear that never is.
//!
//! Owns the packets that wait, their order, and when each is played (`arrivals`). Knows neither
//! codecs nor samples: [`JitterBuffer::put`] takes packets as they come, [`JitterBuffer::take`]
//! says what comes next whenever the ear has played what it had, and [`JitterBuffer::wanted`]
//! whether the ear should gain or lose a little time. A voice that was silent on purpose (DTX) is
//! not taken for one that was lost: then sequence numbers go on without a gap.

mod arrivals;

use std::time::{Duration, Instant};

use arrivals::{Arrivals, DEPTH_MAX};

/// Packets that can wait: 640 ms in packets of 10 ms, more than twice the greatest depth.
const SLOTS: u16 = 64;
/// The largest payload that is kept: what fits an Ethernet frame.
const PAYLOAD_MAX: usize = 1460;
/// A step forward of the sequence up to here (3 s of 20 ms) is loss, beyond it another stream.
const DROPOUT_MAX: i16 = 150;
/// A step back up to here is a late packet.
const MISORDER_MAX: i16 = 100;
/// So many packets in a row astray make a new stream (RFC 3550 A.1).
const ASTRAY_RUN: u8 = 2;
/// So many late packets in a row, in order, make a new stream: its numbers happen to lie a little
/// below those before.
const LATE_RUN: u8 = 10;
/// How many packets the first may have overtaken.
const OVERTAKEN_MAX: i16 = 5;
/// A transit that changes by more than this (µs) from one packet to the next is no delay: the
/// timestamps have jumped. So they have when a later packet has an earlier one.
const TRANSIT_JUMP: i64 = 2_000_000;
/// What is made up when packets don't come, before the speaker counts as silent. By then
/// concealment has faded to the background.
const MADE_UP_MAX: i64 = 100_000;
/// One tick.
const TICK: i64 = 20_000;
/// A packet that could be played this much earlier is not: ticks can't part from the grid, and
/// every change costs a little sound.
const SLACK: i64 = 25_000;
/// Delay beyond what is needed that is cut off at once, not shrunk.
const EXCESS_MAX: i64 = 120_000;
/// A lack of delay that is worth a whole frame of concealment more.
const DEFICIT: i64 = 10_000;
/// How long the delay must be too long before it is shrunk by a step, and from step to step.
const SHRINK_EVERY: i64 = 100_000;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Put {
    /// It waits for its time.
    Stored,
    /// It waits; it is the first of a stream, and all that waited before is gone.
    Begun,
    /// Its time is over.
    Late,
    /// It is here already, or was.
    Twice,
    /// It belongs to no place in the stream; a second one begins another.
    Astray,
    /// Its payload is larger than any voice needs.
    TooBig,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::media) enum Take<'a> {
    /// This payload. [`JitterBuffer::took`] must be told how much sound was in it.
    Frame(&'a [u8]),
    /// Sound that never came and must be made up.
    Missing {
        /// How much, in units of the clock: at most 20 ms.
        units: u32,
        /// The payload right after it, if it is there: some codecs carry the past in it.
        next: Option<&'a [u8]>,
    },
    /// Nothing: the speaker is silent.
    Idle,
}

/// How the ear should change what is about to be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Change {
    /// Packets come too late: gain time.
    Lengthen(Duration),
    /// Packets wait longer than they need to.
    Shorten(Duration),
}

/// Where playing has got to. Timestamps are those of the clock, unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    /// For the first packet's time.
    Fresh,
    /// For the time of the next packet after silence that began at `position`.
    Waiting { position: i64 },
    /// For the packet that begins at `position`; `made_up` (microseconds) was played in its place.
    Playing { position: i64, made_up: i64 },
}

/// The place of one packet.
#[derive(Clone, Debug, Default)]
struct Slot {
    payload: Vec<u8>,
    sequence: u16,
    timestamp: i64,
    marker: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No packet of this stream was here.
    #[default]
    Empty,
    /// It waits.
    Held,
    /// It was played or dropped.
    Gone,
}

/// The stream that is heard.
#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    /// The newest packet's sequence number, timestamp (unwrapped) and transit.
    newest: u16,
    timestamp: i64,
    transit: i64,
    arrivals: Arrivals,
    /// Packets in a row that have no place: the sequence number that goes on, and how many.
    odd: (u16, u8),
}

/// The packets of one speaker that wait to be heard.
pub(in crate::media) struct JitterBuffer {
    clock: i64,
    /// What times are counted from.
    epoch: Option<Instant>,
    stream: Option<Stream>,
    slots: Box<[Slot]>,
    held: u16,
    /// The sequence number that is played next.
    next: u16,
    play: Play,
    /// Sound in the last packet, in units of the clock.
    frame: i64,
    /// The least by which packets were early of late, and since when.
    spare: (i64, i64),
    /// By how much the packets of this tick were played too early, when they were.
    deficit: Option<i64>,
    late: u64,
    concealed: u64,
    /// Frames made up of which only the next packet tells whether anything was lost.
    unsure: u64,
}

impl JitterBuffer {
    /// A buffer for timestamps of this rate in Hz.
    pub(in crate::media) fn new(clock: u32) -> Self {
        Self {
            clock: i64::from(clock.max(1)),
            epoch: None,
            stream: None,
            slots: vec![Slot::default(); usize::from(SLOTS)].into(),
            held: 0,
            next: 0,
            play: Play::Fresh,
            frame: i64::from(clock) / 50,
            spare: (i64::MAX, 0),
            deficit: None,
            late: 0,
            concealed: 0,
            unsure: 0,
        }
    }

    /// Takes a packet that came `now`.
    pub(in crate::media) fn put(
        &mut self,
        now: Instant,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        marker: bool,
        payload: &[u8],
    ) -> Put {
        if payload.len() > PAYLOAD_MAX {
            return Put::TooBig;
        }
        let now = self.micros(now);
        let (put, timestamp) = self.place(now, sequence, timestamp, ssrc);
        if matches!(put, Put::Late) {
            self.late += 1;
        }
        if matches!(put, Put::Stored | Put::Begun) {
            let slot = &mut self.slots[usize::from(sequence % SLOTS)];
            slot.payload.clear();
            slot.payload.extend_from_slice(payload);
            (slot.sequence, slot.timestamp, slot.marker) = (sequence, timestamp, marker);
            slot.state = State::Held;
            self.held += 1;
        }
        put
    }

    /// What comes next, when the ear lacks sound for the tick `at`. Each call answers with more
    /// sound, until [`Take::Idle`].
    pub(in crate::media) fn take(&mut self, at: Instant) -> Take<'_> {
        let at = self.micros(at);
        let Some(mut front) = self.front() else { return self.starve() };
        if self.held > 1 && self.excess(at, front) > EXCESS_MAX {
            front = self.cut(at, front);
            if let Play::Playing { position, made_up } = &mut self.play {
                // A made-up frame, so that what is left out has no edges.
                (*position, *made_up) = (self.slots[front].timestamp, 0);
                self.concealed += 1;
                return Take::Missing { units: self.units(TICK), next: None };
            }
        }
        let slot = &self.slots[front];
        let lost = i64::from(slot.sequence.wrapping_sub(self.next));
        let Play::Playing { position, made_up } = self.play else { return self.begin(at, front) };
        let gap = slot.timestamp - position;
        let is_pause = match lost {
            0 => gap > self.frame || slot.marker && gap > 0,
            _ => gap > lost * self.frame + self.clock / 20,
        };
        if is_pause {
            self.play = Play::Waiting { position };
            return self.begin(at, front);
        }
        let missing = self.time(gap) - made_up;
        if lost > 0 && missing > 0 {
            return self.conceal(at, front, missing.min(TICK));
        }
        self.frame(at, front)
    }

    /// Says how much sound was in the last frame, in units of the clock.
    pub(in crate::media) fn took(&mut self, units: u32) {
        if let Play::Playing { position, .. } = &mut self.play {
            *position += i64::from(units);
            self.frame = i64::from(units.max(1));
        }
    }

    /// Whether the ear should change what it is about to play at the tick `at`. Asked once a tick,
    /// after the frames were taken.
    pub(in crate::media) fn wanted(&mut self, at: Instant) -> Option<Change> {
        let at = self.micros(at);
        if let Some(deficit) = self.deficit.take() {
            self.spare = (i64::MAX, at);
            return Some(Change::Lengthen(Duration::from_micros(deficit.unsigned_abs())));
        }
        let (least, since) = self.spare;
        if at - since < SHRINK_EVERY || least == i64::MAX {
            return None;
        }
        self.spare = (i64::MAX, at);
        let excess = u64::try_from(least - SLACK).ok().filter(|excess| *excess > 0)?;
        Some(Change::Shorten(Duration::from_micros(excess)))
    }

    /// How long the fastest packet waits to be heard, the tick's grid aside.
    #[cfg(test)]
    pub(in crate::media) fn delay(&self) -> Duration {
        let depth = self.stream.as_ref().map_or(0, |s| s.arrivals.depth());
        Duration::from_micros(depth.unsigned_abs())
    }

    /// Packets that came too late to be heard.
    pub(in crate::media) fn late(&self) -> u64 {
        self.late
    }

    /// Frames that were made up for packets that were lost or late.
    pub(in crate::media) fn concealed(&self) -> u64 {
        self.concealed
    }

    /// Microseconds since the first thing that happened.
    fn micros(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        // A tick may be named after the packet that came while it was late.
        micros(at.saturating_duration_since(epoch)) - micros(epoch.saturating_duration_since(at))
    }

    /// Units of the clock as microseconds.
    fn time(&self, units: i64) -> i64 {
        units * 1_000_000 / self.clock
    }

    /// Microseconds as units of the clock, at least one.
    fn units(&self, micros: i64) -> u32 {
        u32::try_from(micros * self.clock / 1_000_000).unwrap_or(0).max(1)
    }

    /// Finds a packet's place, counts its arrival, and unwraps its timestamp.
    fn place(&mut self, now: i64, sequence: u16, timestamp: u32, ssrc: u32) -> (Put, i64) {
        let clock = self.clock;
        let Some(stream) = self.stream.as_mut().filter(|s| s.ssrc == ssrc) else {
            return self.start(now, sequence, timestamp, ssrc);
        };
        let step = sequence.wrapping_sub(self.next) as i16;
        let slot = &self.slots[usize::from(sequence % SLOTS)];
        let is_again = match slot.state {
            State::Empty => false,
            State::Held => slot.sequence == sequence,
            // A stream that has begun anew may use a number again.
            State::Gone => slot.sequence == sequence && slot.timestamp as u32 == timestamp,
        };
        if is_again {
            return (Put::Twice, 0);
        }
        let overtaken = self.play == Play::Fresh
            && (-OVERTAKEN_MAX..0).contains(&step)
            && stream.newest.wrapping_sub(sequence) < SLOTS;
        let (put, run) = match step {
            _ if overtaken => (Put::Stored, u8::MAX),
            ..0 if step >= -MISORDER_MAX => (Put::Late, LATE_RUN),
            0..=DROPOUT_MAX => (Put::Stored, u8::MAX),
            _ => (Put::Astray, ASTRAY_RUN),
        };
        let is_next = stream.odd.0 == sequence;
        let odd = if is_next { stream.odd.1.saturating_add(1) } else { 1 };
        stream.odd = (sequence.wrapping_add(1), if put == Put::Stored { 0 } else { odd });
        if put != Put::Stored && odd >= run {
            return self.start(now, sequence, timestamp, ssrc);
        }
        if put == Put::Astray {
            return (put, 0);
        }
        let turn = i64::from(timestamp.wrapping_sub(stream.timestamp as u32) as i32);
        let timestamp_long = stream.timestamp + turn;
        let transit = now - timestamp_long * 1_000_000 / clock;
        if (sequence.wrapping_sub(stream.newest) as i16) > 0 {
            if turn < 0 || (transit - stream.transit).abs() > TRANSIT_JUMP {
                return self.start(now, sequence, timestamp, ssrc);
            }
            let beyond = transit - stream.arrivals.fastest() > DEPTH_MAX;
            if beyond && !matches!(self.play, Play::Playing { .. }) {
                // A sender whose timestamps stood still in its silence, or a long stall: what was
                // known of the transit is worth nothing.
                let depth = stream.arrivals.depth();
                stream.arrivals = Arrivals::begin(now, transit, Some(depth));
            }
            if self.play == Play::Fresh && sequence == stream.newest.wrapping_add(1) && turn > 0 {
                self.frame = turn;
            }
            (stream.newest, stream.timestamp) = (sequence, timestamp_long);
            stream.transit = transit;
        }
        stream.arrivals.count(now, transit);
        if put == Put::Stored {
            self.make_room(sequence, step);
        }
        (put, timestamp_long)
    }

    /// Begins a stream with this packet. What the path needs is kept.
    fn start(&mut self, now: i64, sequence: u16, timestamp: u32, ssrc: u32) -> (Put, i64) {
        for slot in &mut self.slots {
            slot.state = State::Empty;
        }
        (self.held, self.next, self.unsure) = (0, sequence, 0);
        (self.play, self.spare, self.deficit) = (Play::Fresh, (i64::MAX, now), None);
        let long = i64::from(timestamp);
        let transit = now - self.time(long);
        let depth = self.stream.as_ref().map(|s| s.arrivals.depth());
        let arrivals = Arrivals::begin(now, transit, depth);
        let newest = sequence;
        let odd = (sequence, 0);
        self.stream = Some(Stream { ssrc, newest, timestamp: long, transit, arrivals, odd });
        (Put::Begun, long)
    }

    /// Moves on what is played next so that `sequence`, `step` away from it, has a slot.
    fn make_room(&mut self, sequence: u16, step: i16) {
        if step < 0 {
            self.next = sequence;
            return;
        }
        let beyond = u16::try_from(step).unwrap_or(0).saturating_sub(SLOTS - 1);
        for _ in 0..beyond.min(SLOTS) {
            let slot = &mut self.slots[usize::from(self.next % SLOTS)];
            if slot.state == State::Held {
                slot.state = State::Gone;
                self.held -= 1;
                self.late += 1;
            }
            self.next = self.next.wrapping_add(1);
        }
        self.next = self.next.wrapping_add(beyond.saturating_sub(SLOTS));
    }

    /// The slot of the first packet that waits.
    fn front(&self) -> Option<usize> {
        if self.held == 0 {
            return None;
        }
        (0..SLOTS)
            .map(|step| usize::from(self.next.wrapping_add(step) % SLOTS))
            .find(|i| self.slots[*i].state == State::Held)
    }

    /// By how much a packet would be played later than it must be, if it were played `at`.
    fn excess(&self, at: i64, slot: usize) -> i64 {
        let target = self.stream.as_ref().map_or(0, |s| s.arrivals.target());
        at - self.time(self.slots[slot].timestamp) - target
    }

    /// Nothing waits.
    fn starve(&mut self) -> Take<'_> {
        let units = self.units(TICK);
        match &mut self.play {
            Play::Playing { made_up, .. } if *made_up < MADE_UP_MAX => {
                *made_up += TICK;
                self.unsure += 1;
                Take::Missing { units, next: None }
            }
            Play::Playing { position, .. } => {
                self.play = Play::Waiting { position: *position };
                Take::Idle
            }
            Play::Fresh | Play::Waiting { .. } => Take::Idle,
        }
    }

    /// Drops packets until one can be played without undue delay; the newest always stays.
    fn cut(&mut self, at: i64, mut front: usize) -> usize {
        while self.held > 1 && self.excess(at, front) > 0 {
            self.drop_slot(front);
            self.late += 1;
            front = self.front().unwrap_or(front);
        }
        front
    }

    /// After silence: plays the packet once its time has come.
    fn begin(&mut self, at: i64, front: usize) -> Take<'_> {
        // Packets that are no whole ticks are needed before their time at some ticks.
        let lead = TICK - greatest_divisor(self.time(self.frame), TICK);
        if self.excess(at, front) < lead {
            return Take::Idle;
        }
        self.spare = (i64::MAX, at);
        self.frame(at, front)
    }

    /// Makes up sound in place of packets before `front`.
    fn conceal(&mut self, at: i64, front: usize, micros: i64) -> Take<'_> {
        if let Play::Playing { position, made_up } = self.play {
            // While there is too little delay the time does not count: that gains some.
            let target = self.stream.as_ref().map_or(0, |s| s.arrivals.target());
            let excess = at - self.time(position) - made_up - target;
            let made_up = if excess < -DEFICIT { made_up } else { made_up + micros };
            self.play = Play::Playing { position, made_up };
        }
        self.concealed += 1;
        let units = self.units(micros);
        let slot = &self.slots[front];
        let is_next = slot.sequence == self.next.wrapping_add(1);
        Take::Missing { units, next: is_next.then_some(slot.payload.as_slice()) }
    }

    /// Plays a packet.
    fn frame(&mut self, at: i64, front: usize) -> Take<'_> {
        let excess = self.excess(at, front);
        self.spare.0 = self.spare.0.min(excess);
        if excess < 0 {
            self.deficit = Some(self.deficit.map_or(excess, |d| d.min(excess)));
        }
        let slot = &self.slots[front];
        let (sequence, timestamp) = (slot.sequence, slot.timestamp);
        let was_late = match self.play {
            Play::Fresh => false,
            Play::Waiting { position } | Play::Playing { position, .. } => timestamp <= position,
        };
        if sequence != self.next || was_late {
            self.concealed += self.unsure;
        }
        self.unsure = 0;
        self.drop_slot(front);
        self.play = Play::Playing { position: timestamp, made_up: 0 };
        Take::Frame(&self.slots[front].payload)
    }

    /// Lets a packet go, and all before it.
    fn drop_slot(&mut self, slot: usize) {
        self.slots[slot].state = State::Gone;
        self.held -= 1;
        self.next = self.slots[slot].sequence.wrapping_add(1);
    }
}

fn greatest_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
