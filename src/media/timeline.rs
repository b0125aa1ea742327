//! What a leg hears, as one unbroken RTP stream (RFC 3550 §5.1).
//!
//! Owns the numbers of the stream that we send: SSRC, sequence, timestamp, marker, and how a stream
//! of another peer is carried over into it ([`Relay`]). Owns no audio and sends nothing.
//!
//! Timestamps are in units of 1/8000 s here, whatever the wire's clock ([`Timeline::on_wire`]).
//!
//! The stream's timestamp runs with real time: `due` is when the sample `timestamp` is due. A
//! packet of our own takes the next place. A relayed stream keeps its own spacing, loss and order
//! by a fixed offset, which is chosen anew after a change of source, a pause that we filled, or a
//! jump.

use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::media::kept;
use crate::media::rtp::{Header, Stamp};
use crate::time::Anchor;

/// Samples in 20 ms at 8 kHz.
pub(super) const FRAME: usize = 160;
/// The length of one packet and the time from tick to tick.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// How far from its due time a packet of our own may be sent without moving the timestamp.
const HALF_TICK: Duration = Duration::from_millis(10);
/// How long after the end of the last relayed packet's audio we fill in silence: 60 ms after the
/// arrival of a packet of 20 ms.
const FILL_AFTER: Duration = Duration::from_millis(40);
/// Relayed packets that come later than this behind the stream are stale: after a freeze or a stall
/// the rest is dropped instead of being sent in a burst.
const STALE_US: i64 = 200_000;
/// No relayed packet goes out further ahead of real time than this: one that says so takes the next
/// place, and where that is too far ahead it is dropped. Nobody can flood the other leg.
const AHEAD_US: i64 = 240_000;
/// Two packets whose lag differs by less than this come at the pace of a living stream.
const PACE_US: i64 = 5_000;
/// A jump of the relayed side's sequence beyond this is a new beginning.
const JUMP_MAX: u16 = 100;
/// The same for a stream that goes on after a restart: a minute of it may be missing.
const MISSING_MAX: u16 = 3000;
/// How fast the due time follows the clock of the relayed side.
const CREEP_US: i64 = 200;

/// The numbers of the stream to one peer.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    due: Instant,
    /// Whether the next packet begins a talk-spurt.
    spurt: bool,
    /// Ticks of the wire's clock in a unit, and what is added: another codec's clock goes on from
    /// where the former stood.
    ticks: u32,
    wire: u32,
}

impl Timeline {
    pub(super) fn new(now: Instant, chance: &mut Chance) -> Self {
        // A first sequence number in the lower half leaves room before the first wrap (RFC 3711
        // §3.3.1 gives the reason for those who will encrypt).
        let sequence = (chance.u32() & 0x7fff) as u16;
        let (ssrc, timestamp) = (chance.u32(), chance.u32());
        Self { ssrc, sequence, timestamp, due: now, spurt: true, ticks: 1, wire: 0 }
    }

    /// The stream of which this was kept, from the place `first` on.
    pub(super) fn resumed(kept: &kept::Line, first: u64, anchor: &Anchor) -> Self {
        let kept::Line { ssrc, next: _, timestamp, due, ticks, wire } = *kept;
        let (sequence, due) = (first as u16, anchor.instant(due));
        Self { ssrc, sequence, timestamp, due, spurt: true, ticks, wire }
    }

    /// What is kept of it; `next`: the place of its next packet.
    pub(super) fn keep(&self, next: u64, anchor: &Anchor) -> kept::Line {
        let Self { ssrc, sequence: _, timestamp, due, spurt: _, ticks, wire } = *self;
        kept::Line { ssrc, next, timestamp, due: anchor.nanos(due), ticks, wire }
    }

    /// The sequence number of the next packet.
    pub(super) fn next(&self) -> u16 {
        self.sequence
    }

    /// Another stream begins (another key protects it).
    pub(super) fn begin_anew(&mut self, chance: &mut Chance) {
        self.ssrc = chance.u32();
        self.spurt = true;
    }

    /// The wire's clock has so many ticks a unit from here on.
    pub(super) fn set_ticks(&mut self, ticks: u32) {
        let now = self.at_wire(self.timestamp);
        self.ticks = ticks;
        self.wire = now.wrapping_sub(self.timestamp.wrapping_mul(ticks));
    }

    /// A timestamp in units, as it is on the wire. The wrap of the units is one of the wire too.
    fn at_wire(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_mul(self.ticks).wrapping_add(self.wire)
    }

    /// The numbers of a packet as they are on the wire.
    pub(super) fn on_wire(&self, stamp: Stamp) -> Stamp {
        Stamp { timestamp: self.at_wire(stamp.timestamp), ..stamp }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp on the wire that belongs to `now`, for sender reports.
    pub(super) fn timestamp_at(&self, now: Instant) -> u32 {
        let samples = micros_between(self.due, now) * 8 / 1000;
        self.at_wire(self.timestamp.wrapping_add(samples as u32))
    }

    /// The next packet begins a talk-spurt: its marker will be set.
    pub(super) fn mark(&mut self) {
        self.spurt = true;
    }

    /// Whether a packet of our own may be sent at the tick `at`.
    pub(super) fn is_due(&self, at: Instant) -> bool {
        at + HALF_TICK >= self.due
    }

    /// The numbers of a packet of our own with `samples` samples.
    pub(super) fn stamp(&mut self, at: Instant, samples: u32) -> Stamp {
        self.catch_up(at);
        let stamp = self.hold();
        self.pass(samples);
        stamp
    }

    /// The numbers of a packet that takes no time of its own (telephone-events).
    pub(super) fn hold(&mut self) -> Stamp {
        let marker = std::mem::take(&mut self.spurt);
        let (sequence, timestamp) = (self.sequence, self.timestamp);
        self.sequence = self.sequence.wrapping_add(1);
        Stamp { ssrc: self.ssrc, sequence, timestamp, marker }
    }

    /// Lets `samples` samples pass.
    pub(super) fn pass(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.due += duration_of(samples);
    }

    /// Skips what real time has overtaken, in whole frames.
    pub(super) fn catch_up(&mut self, at: Instant) {
        let frames = at.saturating_duration_since(self.due).as_micros() / TICK.as_micros();
        if frames > 0 {
            let samples = u32::try_from(frames).unwrap_or(u32::MAX).saturating_mul(FRAME as u32);
            self.pass(samples);
            self.spurt = true;
        }
    }

    /// How far the stream is ahead of real time, in microseconds.
    fn ahead_us(&self, now: Instant) -> i64 {
        micros_between(now, self.due)
    }

    /// Lets the due time follow the pace of a relayed stream slowly.
    fn creep(&mut self, now: Instant, samples: u32) {
        let error = micros_between(now + duration_of(samples), self.due);
        if error > CREEP_US {
            self.due -= Duration::from_micros(CREEP_US as u64);
        } else if error < -CREEP_US {
            self.due += Duration::from_micros(CREEP_US as u64);
        }
    }
}

/// How the stream of one peer is carried over into the [`Timeline`] of another.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    state: State,
    /// When the last packet came over, and its length added.
    until: Instant,
    /// Lag of the last packet that was dropped as stale, in microseconds.
    stale: Option<i64>,
    /// The telephone-event that comes over: its timestamp there and here.
    event: Option<(u32, u32)>,
}

#[derive(Clone, Debug)]
enum State {
    /// We fill in silence until the next packet comes. The last offsets tell late packets.
    Filling(Option<Map>),
    /// Packets come over.
    Carrying(Map),
    /// Packets came over before the process died, and none since.
    Resuming(kept::Carried, Numbers),
}

/// Whose packets come over, what is added to their sequence numbers, and the telephone-event under
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    ssrc: u32,
    sequence: u16,
    event: Option<(u32, u32)>,
}

/// How the sequence goes on after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// With the offset of before: as if nothing had happened.
    Same,
    /// At the next place: what was sent since the offset was kept is not known.
    Next,
}

/// Offsets from one stream into another.
#[derive(Clone, Debug)]
struct Map {
    ssrc: u32,
    /// The first sequence number there that is carried with these offsets.
    from: u16,
    /// The newest sequence number there.
    newest: u16,
    /// Which of the 64 newest have come: bit 0 is `newest`.
    seen: u64,
    sequence: u16,
    timestamp: u32,
    /// It began with a telephone-event, whose timestamp is that of its beginning, however long that
    /// is past: what it says of the time is no good for audio.
    by_event: bool,
}

impl Map {
    /// Whether these offsets are good for an audio packet.
    fn is_for_audio(&self, header: &Header) -> bool {
        self.fits(header) && !(self.by_event && self.is_news(header))
    }

    fn fits(&self, header: &Header) -> bool {
        let jump = header.sequence.wrapping_sub(self.newest);
        self.ssrc == header.ssrc && (jump <= JUMP_MAX || jump >= 0u16.wrapping_sub(JUMP_MAX))
    }

    /// Whether the packet is newer than all before it.
    fn is_news(&self, header: &Header) -> bool {
        (header.sequence.wrapping_sub(self.newest) as i16) > 0
    }

    /// Notes a packet; false when it came before.
    fn note(&mut self, header: &Header) -> bool {
        let step = header.sequence.wrapping_sub(self.newest) as i16;
        if step > 0 {
            self.seen = self.seen.checked_shl(u32::from(step as u16)).unwrap_or(0) | 1;
            self.newest = header.sequence;
            return true;
        }
        let bit = 1u64.checked_shl(u32::from(step.unsigned_abs())).unwrap_or(0);
        let is_first = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        is_first && (header.sequence.wrapping_sub(self.from) as i16) >= 0
    }
}

impl Relay {
    pub(super) fn new(now: Instant) -> Self {
        Self { state: State::Filling(None), until: now, stale: None, event: None }
    }

    /// Goes on as before the process died, for packets that come soon.
    pub(super) fn resumed(now: Instant, kept: kept::Carried, numbers: Numbers) -> Self {
        let event = kept.event;
        Self { state: State::Resuming(kept, numbers), until: now + TICK, stale: None, event }
    }

    /// What is kept of it; `None`: nothing comes over.
    pub(super) fn keep(&self) -> Option<kept::Carried> {
        let State::Carrying(map) = &self.state else { return None };
        let Map { ssrc, newest, sequence, timestamp, .. } = *map;
        Some(kept::Carried { ssrc, newest, sequence, timestamp, event: self.event })
    }

    /// How packets come over, if they do.
    pub(super) fn offset(&self) -> Option<Offset> {
        match &self.state {
            State::Carrying(Map { ssrc, sequence, .. }) => {
                Some(Offset { ssrc: *ssrc, sequence: *sequence, event: self.event })
            }
            State::Filling(_) | State::Resuming(..) => None,
        }
    }

    /// Forgets the offsets: something else is heard, and silence until the next packet.
    pub(super) fn interrupt(&mut self) {
        self.state = State::Filling(None);
        self.event = None;
    }

    /// Whether silence must be sent at the tick `at`, for want of packets.
    pub(super) fn fill(&mut self, at: Instant) -> bool {
        if at < self.until + FILL_AFTER && !matches!(self.state, State::Filling(_)) {
            return false;
        }
        match &self.state {
            State::Carrying(map) => self.state = State::Filling(Some(map.clone())),
            State::Resuming(..) => self.state = State::Filling(None),
            State::Filling(_) => (),
        }
        true
    }

    /// The first packet after a restart: the offsets of before count where it goes on with the same
    /// stream.
    fn take_up(&mut self, line: &Timeline, now: Instant, header: &Header) {
        let State::Resuming(kept, numbers) = &self.state else { return };
        let step = header.sequence.wrapping_sub(kept.newest);
        let gap = header.timestamp.wrapping_add(kept.timestamp).wrapping_sub(line.timestamp) as i32;
        let lag = -line.ahead_us(now) - i64::from(gap) * 125;
        let goes_on = kept.ssrc == header.ssrc && (1..=MISSING_MAX).contains(&step);
        if !goes_on || gap < 0 || lag.abs() > STALE_US {
            self.state = State::Filling(None);
            return;
        }
        let sequence = match numbers {
            Numbers::Same => kept.sequence,
            Numbers::Next => line.sequence.wrapping_sub(header.sequence),
        };
        self.state = State::Carrying(Map {
            ssrc: kept.ssrc,
            from: header.sequence,
            newest: header.sequence.wrapping_sub(1),
            seen: 0,
            sequence,
            timestamp: kept.timestamp,
            by_event: false,
        });
    }

    /// The numbers for an audio packet that comes over; `None`: drop it.
    pub(super) fn audio(
        &mut self,
        line: &mut Timeline,
        now: Instant,
        header: &Header,
        samples: u32,
    ) -> Option<Stamp> {
        self.take_up(line, now, header);
        let map = match &mut self.state {
            State::Filling(map) => map.as_mut(),
            State::Carrying(map) => Some(map),
            State::Resuming(..) => None,
        };
        if let Some(map) = map.filter(|map| map.is_for_audio(header)) {
            let is_news = map.is_news(header);
            let is_first = map.note(header);
            let timestamp = header.timestamp.wrapping_add(map.timestamp);
            let gap = timestamp.wrapping_sub(line.timestamp) as i32;
            let lag = -line.ahead_us(now) - i64::from(gap) * 125;
            let sequence = header.sequence.wrapping_add(map.sequence);
            let is_carried = matches!(self.state, State::Carrying(_));
            if !is_news {
                let stamp = Stamp { ssrc: line.ssrc, sequence, timestamp, marker: false };
                return (is_first && is_carried && gap < 0).then_some(stamp);
            }
            if lag < -AHEAD_US {
                // A clock that runs too fast: the packet takes the next place, if there is one.
                self.anchor(line, now, header)?;
                self.until = now + duration_of(samples);
                let stamp = line.stamp(now, samples);
                return Some(Stamp { marker: stamp.marker || header.marker, ..stamp });
            }
            if lag > STALE_US {
                let last = self.stale.replace(lag);
                if last.is_none_or(|last| (lag - last).abs() >= PACE_US) {
                    return None;
                }
            } else if is_carried && gap >= 0 {
                self.stale = None;
                self.until = now + duration_of(samples);
                line.pass(gap as u32 + samples);
                line.sequence = sequence.wrapping_add(1);
                line.creep(now, samples);
                let marker = std::mem::take(&mut line.spurt) || header.marker;
                return Some(Stamp { ssrc: line.ssrc, sequence, timestamp, marker });
            }
        }
        self.anchor(line, now, header)?;
        self.until = now + duration_of(samples);
        line.mark();
        Some(line.stamp(now, samples))
    }

    /// As [`Relay::audio`], for a stream that must be decoded on its way, in order: what comes late
    /// is dropped, and nothing leaves a hole in the sequence, because the sound goes on. Also how
    /// many samples are missing before the packet's.
    pub(super) fn audio_in_order(
        &mut self,
        line: &mut Timeline,
        now: Instant,
        header: &Header,
        samples: u32,
    ) -> Option<(Stamp, u32)> {
        let (timestamp, mut hole) = (line.timestamp, 0);
        if let State::Carrying(map) = &mut self.state
            && map.fits(header)
        {
            if !map.is_news(header) {
                return None;
            }
            hole = header.sequence.wrapping_sub(map.newest).wrapping_sub(1);
            map.sequence = map.sequence.wrapping_sub(hole);
            map.from = header.sequence;
        }
        let Some(stamp) = self.audio(line, now, header, samples) else {
            if let State::Carrying(map) = &mut self.state
                && map.newest == header.sequence
            {
                map.from = header.sequence.wrapping_add(1);
                map.sequence = map.sequence.wrapping_sub(1);
            }
            return None;
        };
        let missing = if hole > 0 { stamp.timestamp.wrapping_sub(timestamp) } else { 0 };
        Some((stamp, missing))
    }

    /// The numbers for a telephone-event that comes over; `None`: drop it.
    pub(super) fn event(
        &mut self,
        line: &mut Timeline,
        now: Instant,
        header: &Header,
    ) -> Option<Stamp> {
        self.take_up(line, now, header);
        match &mut self.state {
            State::Carrying(map) if map.fits(header) => {
                if !map.note(header) {
                    return None;
                }
                let sequence = header.sequence.wrapping_add(map.sequence);
                if (sequence.wrapping_sub(line.sequence) as i16) >= 0 {
                    line.sequence = sequence.wrapping_add(1);
                }
                self.until = now + TICK;
                let timestamp = self.event_timestamp(line, now, header);
                Some(Stamp { ssrc: line.ssrc, sequence, timestamp, marker: header.marker })
            }
            State::Carrying(_) | State::Filling(_) | State::Resuming(..) => {
                self.anchor(line, now, header)?;
                if let State::Carrying(map) = &mut self.state {
                    map.by_event = true;
                }
                let timestamp = self.event_timestamp(line, now, header);
                let stamp = line.hold();
                Some(Stamp { timestamp, ..stamp })
            }
        }
    }

    /// Leaves a packet out without a hole in the sequence. Silence fills the time that it takes.
    pub(super) fn leave_out(&mut self, header: &Header) {
        if let State::Carrying(map) = &mut self.state
            && map.fits(header)
            && map.is_news(header)
        {
            map.note(header);
            map.from = header.sequence.wrapping_add(1);
            map.sequence = map.sequence.wrapping_sub(1);
        }
    }

    /// Takes back the numbers of an audio packet that is not sent after all.
    pub(super) fn withdraw(&mut self, line: &mut Timeline, header: &Header, stamp: Stamp) {
        if let State::Carrying(map) = &mut self.state
            && map.newest == header.sequence
            && stamp.sequence.wrapping_add(1) == line.sequence
        {
            map.from = header.sequence.wrapping_add(1);
            map.sequence = map.sequence.wrapping_sub(1);
            line.sequence = stamp.sequence;
            line.spurt |= stamp.marker;
        }
    }

    /// All packets of one event carry the timestamp of its beginning (RFC 4733 §2.2.1).
    fn event_timestamp(&mut self, line: &mut Timeline, now: Instant, header: &Header) -> u32 {
        match self.event {
            Some((there, here)) if there == header.timestamp => here,
            _ => {
                line.catch_up(now);
                self.event = Some((header.timestamp, line.timestamp));
                line.timestamp
            }
        }
    }

    /// Chooses the offsets so that this packet takes the next place.
    fn anchor(&mut self, line: &mut Timeline, now: Instant, header: &Header) -> Option<()> {
        if line.ahead_us(now) > AHEAD_US {
            return None;
        }
        line.catch_up(now);
        self.stale = None;
        self.until = now + TICK;
        self.state = State::Carrying(Map {
            ssrc: header.ssrc,
            from: header.sequence,
            newest: header.sequence,
            seen: 1,
            sequence: line.sequence.wrapping_sub(header.sequence),
            timestamp: line.timestamp.wrapping_sub(header.timestamp),
            by_event: false,
        });
        Some(())
    }
}

/// From `from` to `to` in microseconds; negative when `to` is earlier.
fn micros_between(from: Instant, to: Instant) -> i64 {
    let forward = to.saturating_duration_since(from).as_micros();
    let back = from.saturating_duration_since(to).as_micros();
    i64::try_from(forward).unwrap_or(i64::MAX) - i64::try_from(back).unwrap_or(i64::MAX)
}

fn duration_of(samples: u32) -> Duration {
    Duration::from_micros(u64::from(samples) * 125)
}

#[cfg(test)]
mod tests;
