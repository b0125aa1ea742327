//! Telephone-events as they come in (RFC 4733 §2.3, §2.5).
//!
//! Owns reading the four bytes and knowing which packets belong to one press. A press is told of at
//! its first packet that comes, so a lost beginning or a lost end changes nothing; markers are not
//! relied on.

use std::time::{Duration, Instant};

use crate::media::{Digit, kept};
use crate::time::Anchor;

/// Length of the payload.
pub const LENGTH: usize = 4;
/// Without a packet for so long an event is over, its end packets lost.
const OVER_AFTER: Duration = Duration::from_millis(200);
/// How far the timestamp of a continued event may be from the end of its last segment, in samples.
const SEGMENT_SLACK: u32 = 400;
/// A press longer than this (in ticks of an 8 kHz clock) is not believed of a payload type that was
/// not negotiated.
const PLAUSIBLE_MAX: u16 = 40_000;

/// A payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Which key.
    pub digit: Digit,
    /// The E bit: the key is up.
    pub end: bool,
    /// Power below 0 dBm0 in dB (0–63).
    pub volume: u8,
    /// Since the packet's timestamp, in units of the event's clock.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads a payload; `None` for other events than keys and for other lengths. Several events in
    /// one packet (allowed by RFC 2833) give the first.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let [code, flags, high, low, ..] = *payload else { return None };
        let digit = Digit::from_event(code)?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { digit, end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// Reads a payload of a type that was not negotiated; `None` unless it looks like an event in
    /// every respect.
    pub fn guess(payload_type: u8, payload: &[u8]) -> Option<Self> {
        let event = Self::read(payload)?;
        let looks = payload.len() == LENGTH
            && (96..128).contains(&payload_type)
            && payload[1] & 0x40 == 0
            && (1..=PLAUSIBLE_MAX).contains(&event.duration);
        looks.then_some(event)
    }

    /// The same event on a clock of another rate (Hz): its duration scaled.
    pub fn on_clock(self, from: u32, to: u32) -> Self {
        if from == to || from == 0 {
            return self;
        }
        let duration = u64::from(self.duration) * u64::from(to) / u64::from(from);
        Self { duration: u16::try_from(duration).unwrap_or(u16::MAX), ..self }
    }

    /// The payload.
    pub fn write(self) -> [u8; LENGTH] {
        let [high, low] = self.duration.to_be_bytes();
        [self.digit.event(), (u8::from(self.end) << 7) | (self.volume & 0x3f), high, low]
    }
}

/// Which press a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    ssrc: u32,
    timestamp: u32,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    key: Key,
    event: TelephoneEvent,
    at: Instant,
}

/// Follows the events of one stream.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The press under way, or over.
    last: Option<Down>,
    /// Presses before it: their late packets tell nothing new.
    earlier: [Option<Key>; 4],
}

impl Events {
    /// The events of which this was kept.
    pub(in crate::media) fn resumed(kept: &kept::Keys, anchor: &Anchor) -> Self {
        let last = kept.press.as_ref().and_then(|press| {
            let event = TelephoneEvent::read(&press.event.to_be_bytes())?;
            let key = Key { ssrc: press.ssrc, timestamp: press.timestamp };
            Some(Down { key, event, at: anchor.instant(press.at) })
        });
        let mut events = Self { last, ..Self::default() };
        for (place, (ssrc, timestamp)) in events.earlier.iter_mut().zip(&kept.earlier) {
            *place = Some(Key { ssrc: *ssrc, timestamp: *timestamp });
        }
        events
    }

    /// What is kept of them.
    pub(in crate::media) fn keep(&self, anchor: &Anchor) -> kept::Keys {
        let press = self.last.map(|Down { key, event, at }| kept::Press {
            ssrc: key.ssrc,
            timestamp: key.timestamp,
            event: u32::from_be_bytes(event.write()),
            at: anchor.nanos(at),
        });
        let earlier = self.earlier.iter().flatten().map(|key| (key.ssrc, key.timestamp));
        kept::Keys { press, earlier: earlier.collect(), ..kept::Keys::default() }
    }

    /// The press under way, or over: SSRC and timestamp.
    pub(in crate::media) fn press(&self) -> Option<(u32, u32)> {
        self.last.map(|down| (down.key.ssrc, down.key.timestamp))
    }

    /// Takes a packet; the key, when it is the first packet of a press.
    pub fn packet(
        &mut self,
        now: Instant,
        ssrc: u32,
        timestamp: u32,
        marker: bool,
        event: TelephoneEvent,
    ) -> Option<Digit> {
        let key = Key { ssrc, timestamp };
        if self.earlier.contains(&Some(key)) {
            return None;
        }
        let is_new = match &self.last {
            Some(last) if last.key == key => {
                // A device that never moves its timestamp: after an end and a pause it is a press.
                last.event.digit != event.digit || (last.event.end && is_over(last, now))
            }
            Some(last) => marker || is_over(last, now) || !continues(last, key, event),
            None => true,
        };
        if let Some(last) = self.last.filter(|last| last.key != key) {
            self.earlier.rotate_right(1);
            self.earlier[0] = Some(last.key);
        }
        // Packets that overtook each other don't lift the key again.
        let end = event.end || (!is_new && self.last.is_some_and(|last| last.event.end));
        self.last = Some(Down { key, event: TelephoneEvent { end, ..event }, at: now });
        is_new.then_some(event.digit)
    }
}

fn is_over(last: &Down, now: Instant) -> bool {
    now.saturating_duration_since(last.at) >= OVER_AFTER
}

/// Whether a packet with another timestamp goes on with the same press: the next segment of a long
/// one (§2.5.1.3), or a device that moves the timestamp with every packet.
fn continues(last: &Down, key: Key, event: TelephoneEvent) -> bool {
    if last.event.end || last.key.ssrc != key.ssrc || last.event.digit != event.digit {
        return false;
    }
    let step = key.timestamp.wrapping_sub(last.key.timestamp);
    let is_segment = step.abs_diff(u32::from(last.event.duration)) <= SEGMENT_SLACK
        && last.event.duration > PLAUSIBLE_MAX;
    let is_moving = step <= SEGMENT_SLACK && event.duration > last.event.duration;
    is_segment || is_moving
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use super::*;

    /// (milliseconds, timestamp, marker, key, end, duration)
    type Packet = (u64, u32, bool, char, bool, u16);

    fn check(name: &str, packets: &[Packet], keys: &str) {
        let t0 = Instant::now();
        let mut events = Events::default();
        let heard: String = packets
            .iter()
            .filter_map(|&(ms, timestamp, marker, key, end, duration)| {
                let digit = Digit::from_char(key).unwrap();
                let event = TelephoneEvent { digit, end, volume: 10, duration };
                let now = t0 + Duration::from_millis(ms);
                events.packet(now, 1, timestamp, marker, event).map(Digit::char)
            })
            .collect();
        assert_eq!(heard, keys, "{name}");
    }

    /// A press of `length` ms that begins at `start` ms.
    fn press(start: u64, length: u64, key: char, marker: bool) -> Vec<Packet> {
        let timestamp = 8000 + start as u32 * 8;
        let mut out: Vec<Packet> = (1..=length / 20)
            .map(|n| (start + n * 20, timestamp, marker && n == 1, key, false, n as u16 * 160))
            .collect();
        let last = *out.last().unwrap();
        out.extend([(last.0, last.1, false, key, true, last.5); 3]);
        out
    }

    #[test]
    fn a_press_is_told_once() {
        for marker in [true, false] {
            check("short", &press(0, 60, '5', marker), "5");
            check("long", &press(0, 6000, '#', marker), "#");
            let two = [press(0, 100, '1', marker), press(180, 100, '1', marker)].concat();
            check("twice the same", &two, "11");
            let quick = [press(0, 40, '1', marker), press(80, 40, '2', marker)].concat();
            check("quick", &quick, "12");
        }
    }

    #[test]
    fn loss_and_order_change_nothing() {
        let packets = press(0, 100, '7', true);
        for lost in 0..packets.len() {
            let mut rest = packets.clone();
            rest.remove(lost);
            check("one lost", &rest, "7");
            check("only one comes", &packets[lost..=lost], "7");
        }
        let mut backwards = packets.clone();
        backwards.reverse();
        check("backwards", &backwards, "7");
        let ends_lost = |first: Vec<Packet>| first[..first.len() - 3].to_vec();
        let two = [ends_lost(press(0, 100, '7', false)), press(200, 100, '7', false)].concat();
        check("ends lost, then again", &two, "77");
        let late = [press(0, 60, '7', true), press(140, 60, '8', true), press(0, 60, '7', false)];
        check("late packets of the press before", &late.concat(), "78");
    }

    #[test]
    fn odd_devices() {
        let moving: Vec<Packet> =
            (1..10).map(|n| (n * 20, n as u32 * 160, false, '3', false, n as u16 * 160)).collect();
        check("timestamp moves with every packet", &moving, "3");
        let fixed = [(0, 5, true, '3', true, 800), (400, 5, false, '3', true, 800)];
        check("timestamp never moves", &fixed, "33");
        let segments = [
            (0, 1000, true, '9', false, 160),
            (8150, 1000, false, '9', false, 65_360),
            (8190, 1000 + 65_535, false, '9', false, 160),
            (8230, 1000 + 65_535, false, '9', true, 480),
        ];
        check("a press of eight seconds", &segments[1..], "9");
    }

    #[test]
    fn payloads() {
        let event = TelephoneEvent::read(&[5, 0x8a, 0x03, 0x20]).unwrap();
        assert_eq!((event.digit.char(), event.end, event.volume), ('5', true, 10));
        assert_eq!(event.duration, 800);
        assert_eq!(event.write(), [5, 0x8a, 0x03, 0x20]);
        assert_eq!(TelephoneEvent::read(&[16, 0, 0, 1]), None, "a flash is no key");
        assert_eq!(TelephoneEvent::read(&[5, 0, 0]), None);
        assert!(TelephoneEvent::guess(97, &[5, 10, 0, 160]).is_some());
        for (payload_type, payload) in [
            (97, &[5, 10, 0, 0][..]),
            (97, &[5, 0x4a, 0, 160]),
            (97, &[5, 10, 0xff, 0xff]),
            (97, &[5, 10, 0, 160, 0]),
            (18, &[5, 10, 0, 160]),
        ] {
            assert_eq!(TelephoneEvent::guess(payload_type, payload), None, "{payload:?}");
        }
    }
}
