//! How long the sound in a packet is, without decoding it, and timestamps of every clock in one
//! unit.
//!
//! Owns the unit in which streams are compared: 1/8000 s, the clock of G.711 and (on the wire) of
//! G.722. Opus has a clock six times as fast whatever it carries (RFC 7587 §4.1).

use crate::media::{Codec, kept};

/// The unit's rate in Hz.
const UNITS: u32 = 8000;
/// Units of the frames of Opus by the four kinds of configuration (RFC 6716 §3.1): 2.5, 5, 10, 20,
/// 40 and 60 ms.
const SILK: [u32; 4] = [80, 160, 320, 480];
const HYBRID: [u32; 2] = [80, 160];
const CELT: [u32; 4] = [20, 40, 80, 160];
/// A packet of Opus holds at most 120 ms.
const OPUS_MAX: u32 = 960;

/// Units of sound in a payload; `None` for what can't be a packet of the codec.
pub(super) fn units(codec: Codec, payload: &[u8]) -> Option<u32> {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 => u32::try_from(payload.len()).ok(),
        Codec::Opus => {
            let first = *payload.first()?;
            let kind = usize::from(first >> 3);
            let frame = match kind {
                0..12 => SILK[kind % 4],
                12..16 => HYBRID[kind % 2],
                _ => CELT[kind % 4],
            };
            let frames = match first & 3 {
                0 => 1,
                1 | 2 => 2,
                _ => u32::from(payload.get(1)? & 0x3f),
            };
            Some(frame * frames).filter(|units| (1..=OPUS_MAX).contains(units))
        }
    }
}

/// How many ticks of the codec's RTP clock make a unit.
pub(super) fn ticks(codec: Codec) -> u32 {
    codec.clock() / UNITS
}

/// Timestamps of a stream that comes in, brought to units. They run on where the wire's wrap: the
/// units wrap at 2^32 of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Units {
    /// The last timestamp on the wire, and what it was without any wrap.
    last: u32,
    whole: i64,
}

impl Units {
    pub(super) fn resumed(kept: &kept::Units) -> Self {
        Self { last: kept.last, whole: kept.whole }
    }

    /// What is kept of them.
    pub(super) fn keep(&self) -> kept::Units {
        kept::Units { last: self.last, whole: self.whole }
    }

    /// A timestamp of a clock with this many ticks a unit.
    pub(super) fn of(&mut self, timestamp: u32, ticks: u32) -> u32 {
        if ticks == 1 {
            return timestamp;
        }
        self.whole += i64::from(timestamp.wrapping_sub(self.last) as i32);
        self.last = timestamp;
        self.whole.div_euclid(i64::from(ticks)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_opus_say_how_long_they_are() {
        // Configuration, code of the frames, count: RFC 6716 tables 2 and 3.
        let check = |config: u8, code: u8, count: u8, units: Option<u32>| {
            assert_eq!(super::units(Codec::Opus, &[config << 3 | code, count, 0, 0]), units);
        };
        check(0, 0, 0, Some(80));
        check(1, 0, 0, Some(160));
        check(11, 0, 0, Some(480));
        check(3, 1, 0, Some(960));
        check(12, 0, 0, Some(80));
        check(15, 2, 0, Some(320));
        check(16, 0, 0, Some(20));
        check(31, 0, 0, Some(160));
        check(31, 3, 6, Some(960));
        check(31, 3, 7, None);
        check(31, 3, 0, None);
        check(16, 3, 48 | 0x80, Some(960));
        assert_eq!(units(Codec::Opus, &[]), None);
        assert_eq!(units(Codec::Opus, &[3]), None);
        assert_eq!(units(Codec::G722, &[0; 160]), Some(160));
    }

    #[test]
    fn units_run_on_over_every_wrap() {
        for (ticks, step) in [(6u32, 960u32), (1, 160)] {
            let (mut units, mut wire) = (Units::default(), 4_294_960_000);
            let first = units.of(wire, ticks);
            // Twelve hours, ten wraps of the fast clock, with one packet late now and then.
            for n in 1..=2_160_000u32 {
                wire = wire.wrapping_add(step);
                assert_eq!(units.of(wire, ticks).wrapping_sub(first), n.wrapping_mul(160));
                if n % 1000 == 0 {
                    let late = units.of(wire.wrapping_sub(step), ticks);
                    assert_eq!(late.wrapping_sub(first), (n - 1) * 160);
                }
            }
        }
    }
}
