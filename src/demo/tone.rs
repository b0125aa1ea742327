//! Which tones are in a recording, and how loud (Goertzel).
//!
//! Owns the arithmetic. What tones there should be is `voice`'s, what follows is `verdict`'s.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;

use crate::media::dtmf::tone::AMPLITUDE_0DBM0;

/// Samples a second.
const RATE: f64 = 8000.0;
/// Samples of a block: 50 ms, which tells tones apart that are 20 Hz apart.
const BLOCK: usize = 400;
/// Samples between two ways to lay the blocks.
const SHIFT: usize = 50;
/// A block below this level, in dBm0, is silence.
const FLOOR: f64 = -45.0;
/// Share of a block's power that the tones must have for the block to count as theirs: less than
/// half, so that a voice is found beside another. Speech and noise spread their power.
const PURE: f64 = 0.4;
/// Frequencies among which the strongest is looked for, in Hz, and the steps between them: first
/// these, then each around the best.
const HEARD: RangeInclusive<u32> = 200..=1_600;
/// See [`HEARD`].
const STEP: u32 = 10;

/// How much a voice is in a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// Share of the blocks that are the voice's, 0 to 1.
    pub(super) share: f64,
    /// Level of those blocks in dBm0; of silence, −∞.
    pub(super) level: f64,
}

/// Looks for a voice that consists of `notes` (Hz). The blocks are laid as they fit the notes best:
/// one in which a note ends and another begins shows neither well.
pub(super) fn measure(samples: &[i16], notes: &[f64]) -> Measured {
    let shifts = (0..BLOCK).step_by(SHIFT).map(|shift| samples.get(shift..).unwrap_or_default());
    let all = shifts.map(|samples| measure_blocks(samples, notes));
    let best = all.max_by(|a, b| a.share.total_cmp(&b.share));
    best.unwrap_or(Measured { share: 0.0, level: f64::NEG_INFINITY })
}

fn measure_blocks(samples: &[i16], notes: &[f64]) -> Measured {
    let (mut blocks, mut own, mut sum) = (0_u32, 0_u32, 0.0);
    for block in samples.chunks_exact(BLOCK) {
        blocks += 1;
        let total = power(block);
        let tones: f64 = notes.iter().map(|hz| power_at(block, *hz)).sum();
        if level(total) >= FLOOR && tones >= PURE * total {
            own += 1;
            sum += total;
        }
    }
    let mean = sum / f64::from(own.max(1));
    Measured { share: f64::from(own) / f64::from(blocks.max(1)), level: level(mean) }
}

/// The strongest frequency, in Hz, to 1 Hz; `None` where there is silence only.
pub(super) fn strongest(samples: &[i16]) -> Option<u32> {
    if level(power(samples)) < FLOOR {
        return None;
    }
    let strength = |hz: u32| -> f64 {
        samples.chunks_exact(BLOCK).map(|block| power_at(block, f64::from(hz))).sum()
    };
    let best = |range: &mut dyn Iterator<Item = u32>| {
        let all = range.map(|hz| (strength(hz), hz));
        all.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, hz)| hz)
    };
    let near = best(&mut HEARD.step_by(STEP as usize))?;
    best(&mut (near - STEP..=near + STEP))
}

/// Mean square of the samples.
fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    sum / (samples.len().max(1) as f64)
}

/// Mean square of the tone of one frequency.
fn power_at(block: &[i16], hz: f64) -> f64 {
    let turn = 2.0 * (TAU * hz / RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in block {
        (last, before) = (f64::from(*sample) + turn * last - before, last);
    }
    let square = last * last + before * before - turn * last * before;
    // A sine of amplitude A over n samples comes out as (A·n/2)², and its mean square is A²/2.
    2.0 * square / (block.len().max(1) as f64).powi(2)
}

/// A mean square as dBm0.
fn level(power: f64) -> f64 {
    let full = f64::from(AMPLITUDE_0DBM0).powi(2) / 2.0;
    10.0 * (power / full).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, amplitude: f64, seconds: f64) -> Vec<i16> {
        let n = (seconds * RATE) as usize;
        (0..n).map(|i| (amplitude * (TAU * hz * i as f64 / RATE).sin()) as i16).collect()
    }

    #[test]
    fn a_tone_is_found_with_its_level_and_frequency() {
        let amplitude = f64::from(AMPLITUDE_0DBM0) / 10.0;
        let samples = tone(440.0, amplitude, 1.0);
        let measured = measure(&samples, &[440.0, 494.0]);
        assert!(measured.share > 0.99 && (measured.level + 20.0).abs() < 0.2, "{measured:?}");
        assert_eq!(strongest(&samples), Some(440));
    }

    #[test]
    fn another_tone_is_not_it() {
        let measured = measure(&tone(480.0, 5000.0, 1.0), &[440.0, 659.0]);
        assert!(measured.share < 0.01, "{measured:?}");
    }

    #[test]
    fn half_a_tone_is_half_the_share() {
        let mut samples = tone(659.0, 5000.0, 1.0);
        samples.extend(vec![0; 8000]);
        let measured = measure(&samples, &[659.0]);
        assert!((0.45..=0.55).contains(&measured.share), "{measured:?}");
    }

    #[test]
    fn silence_whispers_and_noise_are_nobody() {
        assert_eq!(measure(&[0; 8000], &[440.0]).share, 0.0);
        assert_eq!(measure(&[], &[440.0]).share, 0.0);
        assert_eq!(measure(&tone(440.0, 50.0, 1.0), &[440.0]).share, 0.0);
        assert_eq!(strongest(&[0; 8000]), None);
        let mut state = 1_u32;
        let noise: Vec<i16> = (0..8000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 18) as i16 - 8192
            })
            .collect();
        assert_eq!(measure(&noise, &[440.0, 494.0, 523.0, 392.0]).share, 0.0);
    }

    #[test]
    fn of_two_voices_at_once_both_are_found() {
        let other = tone(659.0, 5000.0, 1.0);
        let mixed: Vec<i16> =
            tone(440.0, 5000.0, 1.0).iter().zip(other).map(|(a, b)| a + b).collect();
        for notes in [[440.0], [659.0]] {
            assert!(measure(&mixed, &notes).share > 0.99);
        }
        assert_eq!(measure(&mixed, &[523.0]).share, 0.0);
    }

    #[test]
    fn a_melody_is_found_wherever_its_blocks_begin() {
        let notes = [494.0, 523.0, 494.0, 440.0, 392.0, 440.0];
        let melody = notes.map(|hz| tone(hz, 5000.0, 0.2)).concat();
        for begin in [0, 100, 200, 300] {
            let share = measure(&melody[begin..], &notes[1..5]).share;
            assert!(share > 0.99, "{share} from {begin}");
        }
    }
}
