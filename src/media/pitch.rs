//! The pitch of a voice: where in its past the sound is most like itself.
//!
//! Owns the search. Who repeats or leaves out such a stretch, and why, is decided elsewhere.

use crate::media::Rate;

/// The shortest stretch looked for: 5 ms. A higher voice is found at a multiple of its period,
/// which buzzes less when it is repeated.
const SHORTEST_MS: usize = 5;
/// The longest: 15 ms, the period of a very low voice (67 Hz).
pub(in crate::media) const LONGEST_MS: usize = 15;
/// The most samples that are compared (20 ms at 16 kHz): so many products of [`PEAK_MAX`] fit an
/// `i32`.
const WINDOW_MAX: usize = 320;
/// Samples are scaled down to this before they are multiplied.
const PEAK_MAX: u16 = 2047;

/// How far away the sound is most like itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::media) struct Likeness {
    /// Samples from one to the other.
    pub(in crate::media) lag: usize,
    /// How like they are: 1 the same but for loudness, 0 not at all. 0 for silence.
    pub(in crate::media) strength: f32,
}

/// Compares the first `window` samples of `sound` with those 5 to 15 ms later; both must lie in
/// it, else what is there is compared. `None` when there is too little to compare.
pub(in crate::media) fn find(sound: &[i16], window: usize, rate: Rate) -> Option<Likeness> {
    let ms = rate.samples() / 20;
    let window = window.min(WINDOW_MAX);
    let longest = (LONGEST_MS * ms).min(sound.len().checked_sub(window)?);
    if window == 0 || longest < SHORTEST_MS * ms {
        return None;
    }
    let sound = &sound[..longest + window];
    let mut scaled = [0i16; WINDOW_MAX + LONGEST_MS * 16];
    let scaled = scale(sound, &mut scaled);
    let (here, shortest) = (&scaled[..window], SHORTEST_MS * ms);
    let own = product(here, here) as f32;
    let mut energy = product(&scaled[shortest..][..window], &scaled[shortest..][..window]);
    let mut best = Likeness { lag: longest, strength: 0.0 };
    for lag in shortest..=longest {
        let strength = product(here, &scaled[lag..][..window]) as f32;
        let strength = strength / (own * energy as f32).sqrt().max(1.0);
        if strength > best.strength {
            best = Likeness { lag, strength };
        }
        if lag < longest {
            let (out, in_) = (i32::from(scaled[lag]), i32::from(scaled[lag + window]));
            energy += in_ * in_ - out * out;
        }
    }
    Some(best)
}

/// Copies `sound` so that no sample exceeds [`PEAK_MAX`].
fn scale<'a>(sound: &[i16], scaled: &'a mut [i16]) -> &'a [i16] {
    let peak = sound.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    let shift = (u16::BITS - peak.leading_zeros()).saturating_sub(PEAK_MAX.count_ones());
    let scaled = &mut scaled[..sound.len()];
    for (to, from) in scaled.iter_mut().zip(sound) {
        *to = *from >> shift;
    }
    scaled
}

fn product(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(period: f32, amplitude: f32, samples: usize) -> Vec<i16> {
        let phase = |i: usize| i as f32 / period * std::f32::consts::TAU;
        let value = |i| phase(i).sin() + 0.5 * (2.0 * phase(i) + 1.0).sin();
        (0..samples).map(|i| (value(i) * amplitude) as i16).collect()
    }

    #[test]
    fn the_period_or_a_multiple_of_it_is_found() {
        for (rate, ms) in [(Rate::Narrow, 8), (Rate::Wide, 16)] {
            for period in [3, 5, 7, 8, 11, 14] {
                let sound = wave((period * ms) as f32, 20_000.0, 35 * ms);
                let found = find(&sound, 20 * ms, rate).unwrap();
                assert_eq!(found.lag % (period * ms), 0, "{rate:?}, {period} ms: {found:?}");
                assert!(found.strength > 0.99, "{found:?}");
            }
        }
    }

    #[test]
    fn extremes_neither_overflow_nor_divide_by_nothing() {
        for fill in [i16::MIN, i16::MAX, 0, 1, -1] {
            for rate in [Rate::Narrow, Rate::Wide] {
                let found = find(&[fill; 560], 320, rate).unwrap();
                assert!((0.0..=1.01).contains(&found.strength), "{fill}: {found:?}");
            }
        }
        assert_eq!(find(&[], 160, Rate::Narrow), None);
        assert_eq!(find(&[1; 199], 160, Rate::Narrow), None);
        assert_eq!(find(&[1; 300], 0, Rate::Narrow), None);
    }
}
