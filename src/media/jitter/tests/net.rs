//! A sender, a network and an ear without sound, in simulated time.

use super::*;
use crate::chance::Chance;

/// Samples of a millisecond.
const MS: i64 = 8;

/// A packet under way. Times are microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) arrival: i64,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    pub(super) marker: bool,
    /// Milliseconds of sound in it.
    pub(super) ms: u8,
}

/// `count` packets of `ms` milliseconds, sent one after the other from 0, that arrive at once.
pub(super) fn stream(count: usize, ms: u8) -> Vec<Packet> {
    (0..count)
        .map(|n| Packet {
            arrival: n as i64 * i64::from(ms) * 1000,
            sequence: (n as u16).wrapping_add(65_000),
            timestamp: (n as u32).wrapping_mul(u32::from(ms) * 8).wrapping_add(4_294_900_000),
            ssrc: 7,
            marker: n == 0,
            ms,
        })
        .collect()
}

/// Delays each packet by up to `most` microseconds.
pub(super) fn jittered(mut packets: Vec<Packet>, most: u64, seed: u64) -> Vec<Packet> {
    let mut chance = Chance::from_number(seed);
    for packet in &mut packets {
        packet.arrival += chance.below(most + 1) as i64;
    }
    packets
}

/// What was heard at one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tick {
    /// Sequence numbers of the packets that began.
    pub(super) frames: Vec<u16>,
    /// Made-up sound, milliseconds.
    pub(super) missing: i64,
    pub(super) idle: bool,
    /// Time gained and lost by the ear, milliseconds.
    pub(super) longer: i64,
    pub(super) shorter: i64,
}

/// The buffer with its surroundings.
pub(super) struct Net {
    pub(super) buffer: JitterBuffer,
    base: Instant,
    /// Sound that the ear has, microseconds.
    sound: i64,
    tick: i64,
}

impl Net {
    pub(super) fn new() -> Self {
        let buffer = JitterBuffer::new(8000);
        Self { buffer, base: Instant::now(), sound: 0, tick: 0 }
    }

    fn at(&self, micros: i64) -> Instant {
        self.base + Duration::from_micros(micros.unsigned_abs())
    }

    pub(super) fn put(&mut self, p: Packet) -> Put {
        let [high, low] = p.sequence.to_be_bytes();
        let payload = [high, low, p.ms];
        let at = self.at(p.arrival);
        self.buffer.put(at, p.sequence, p.timestamp, p.ssrc, p.marker, &payload)
    }

    /// Lets one tick pass, `phase` microseconds off the sender's.
    pub(super) fn tick(&mut self, phase: i64) -> Tick {
        let at = self.at(self.tick * TICK + phase);
        self.tick += 1;
        let mut heard = Tick::default();
        self.fill(at, &mut heard);
        match self.buffer.wanted(at) {
            Some(Change::Lengthen(_)) if !heard.idle => {
                self.sound += 8000;
                heard.longer = 8;
            }
            Some(Change::Shorten(_)) if !heard.idle => {
                self.sound -= 8000;
                heard.shorter = 8;
                self.fill(at, &mut heard);
            }
            _ => (),
        }
        self.sound -= TICK;
        heard
    }

    fn fill(&mut self, at: Instant, heard: &mut Tick) {
        while self.sound < TICK {
            match self.buffer.take(at) {
                Take::Frame(payload) => {
                    heard.frames.push(u16::from_be_bytes([payload[0], payload[1]]));
                    let ms = i64::from(payload[2]);
                    self.buffer.took((ms * MS) as u32);
                    self.sound += ms * 1000;
                }
                Take::Missing { units, .. } => {
                    heard.missing += i64::from(units) / MS;
                    self.sound += i64::from(units) * 1000 / MS;
                }
                Take::Idle => {
                    heard.idle = true;
                    self.sound = TICK;
                }
            }
        }
    }

    /// Plays all packets and a second more; calls `each` after every tick.
    pub(super) fn play(&mut self, mut packets: Vec<Packet>, phase: i64) -> Vec<Tick> {
        packets.sort_by_key(|p| p.arrival);
        let end = packets.last().map_or(0, |p| p.arrival) + 1_000_000;
        let mut packets = packets.into_iter().peekable();
        let mut ticks = vec![];
        while self.tick * TICK + phase < end {
            let now = self.tick * TICK + phase;
            while let Some(packet) = packets.next_if(|p| p.arrival <= now) {
                self.put(packet);
            }
            ticks.push(self.tick(phase));
        }
        ticks
    }
}

/// Every packet that was heard, in order.
pub(super) fn frames(ticks: &[Tick]) -> Vec<u16> {
    ticks.iter().flat_map(|t| t.frames.iter().copied()).collect()
}

/// Milliseconds made up.
pub(super) fn missing(ticks: &[Tick]) -> i64 {
    ticks.iter().map(|t| t.missing).sum()
}

/// The ticks from the first packet heard to the last.
pub(super) fn talk(ticks: &[Tick]) -> &[Tick] {
    let first = ticks.iter().position(|t| !t.frames.is_empty()).unwrap_or(0);
    let last = ticks.iter().rposition(|t| !t.frames.is_empty()).unwrap_or(0);
    &ticks[first..=last]
}
