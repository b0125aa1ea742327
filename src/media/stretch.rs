//! A little more or less time for the same sound: one stretch that is like the next is repeated
//! or left out, and the seam overlaps. Pitch and timbre stay.
//!
//! Owns the cut. When and how much is decided elsewhere.

use crate::media::Rate;
use crate::media::pitch;

/// The overlap at the seam. With the longest stretch it fits into 20 ms.
const OVERLAP_MS: usize = 5;
/// Sound that is no more like itself than this is cut only where it must be.
const ALIKE: f32 = 0.7;

/// Repeats a stretch at the beginning of `sound`. Returns how many samples were gained: none when
/// it is too short, or (unless it `must`) not enough like itself.
pub(in crate::media) fn lengthen(sound: &mut Vec<i16>, rate: Rate, must: bool) -> usize {
    let Some((lag, overlap)) = place(sound, rate, must) else { return 0 };
    let length = sound.len();
    sound.resize(length + lag, 0);
    sound.copy_within(..length, lag);
    // Now the original begins at `lag`; before it stands its first stretch. The seam leads from
    // what came after that stretch to the original's beginning.
    for i in 0..overlap {
        let (after, again) = (sound[2 * lag + i], sound[lag + i]);
        sound[lag + i] = blend(after, again, i, overlap);
    }
    lag
}

/// Leaves out a stretch at the beginning of `sound`. Returns how many samples were lost: none when
/// it is too short, or (unless it `must`) not enough like itself.
pub(in crate::media) fn shorten(sound: &mut Vec<i16>, rate: Rate, must: bool) -> usize {
    let Some((lag, overlap)) = place(sound, rate, must) else { return 0 };
    for i in 0..overlap {
        sound[lag + i] = blend(sound[i], sound[lag + i], i, overlap);
    }
    sound.drain(..lag);
    lag
}

/// How far apart the two like places are, and how long they overlap.
fn place(sound: &[i16], rate: Rate, must: bool) -> Option<(usize, usize)> {
    let overlap = OVERLAP_MS * rate.samples() / 20;
    let found = pitch::find(sound, overlap, rate)?;
    (must || found.strength > ALIKE).then_some((found.lag, overlap))
}

/// From one sound to the other, without a bend at either end.
fn blend(from: i16, to: i16, at: usize, length: usize) -> i16 {
    let part = (at + 1) as f32 / (length + 1) as f32;
    let weight = part * part * (3.0 - 2.0 * part);
    (f32::from(from) + (f32::from(to) - f32::from(from)) * weight).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, rate: Rate, samples: usize) -> Vec<i16> {
        let step = hz / (rate.samples() * 50) as f32 * std::f32::consts::TAU;
        (0..samples).map(|i| ((i as f32 * step).sin() * 8000.0) as i16).collect()
    }

    /// The largest step and the largest change of slope.
    fn roughness(sound: &[i16]) -> (i32, i32) {
        let at = |i: usize| i32::from(sound[i]);
        let steps = (1..sound.len()).map(|i| (at(i) - at(i - 1)).abs()).max().unwrap();
        let bend = |i: usize| (at(i) - 2 * at(i - 1) + at(i - 2)).abs();
        (steps, (2..sound.len()).map(bend).max().unwrap())
    }

    #[test]
    fn a_voice_gains_and_loses_whole_periods_without_a_click() {
        for rate in [Rate::Narrow, Rate::Wide] {
            for hz in [90.0, 133.0, 177.0, 310.0] {
                let original = tone(hz, rate, rate.samples() * 2);
                let period = (rate.samples() * 50) as f32 / hz;
                for change in [lengthen, shorten] {
                    let mut sound = original.clone();
                    let by = change(&mut sound, rate, false);
                    let periods = by as f32 / period;
                    assert!((periods - periods.round()).abs() < 0.05, "{hz} Hz: {periods}");
                    assert_eq!(by, original.len().abs_diff(sound.len()));
                    // What comes before and after is untouched.
                    assert_eq!(sound.last(), original.last());
                    let (before, after) = (roughness(&original), roughness(&sound));
                    assert!(after.0 <= before.0 * 11 / 10, "{hz} Hz: {after:?}, {before:?}");
                    assert!(after.1 <= before.1 * 13 / 10 + 20, "{hz} Hz: {after:?}, {before:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_unlike_itself_is_cut_only_where_it_must_be() {
        let mut chance = crate::chance::Chance::from_number(8);
        let noise: Vec<i16> = (0..160).map(|_| (chance.u32() % 8000) as i16 - 4000).collect();
        for change in [lengthen, shorten] {
            assert_eq!(change(&mut noise.clone(), Rate::Narrow, false), 0);
            assert!(change(&mut noise.clone(), Rate::Narrow, true) >= 40);
            assert_eq!(change(&mut noise[..79].to_vec(), Rate::Narrow, true), 0);
            assert_eq!(change(&mut vec![], Rate::Narrow, true), 0);
        }
    }
}
