//! The noise behind a speaker: how loud it is, how dull, and more of the same (comfort noise).
//!
//! Owns the measure and the generator.

use std::num::Wrapping;

use crate::media::Rate;

/// The loudest noise that is made up, as a mean square: −36 dB below full scale, a loud street. A
/// speaker who never pauses must not be taken for noise.
const LOUDEST: f32 = 520.0 * 520.0;
/// The loudest that the first frame is taken for, as it may be a word: −60 dB, a quiet room.
const FIRST: f32 = 33.0 * 33.0;
/// How fast the level falls towards a quieter frame of 20 ms.
const FALL: f32 = 0.3;
/// How fast it rises, for each millisecond: 1 dB a second. A sentence doesn't lift it much.
const RISE: f32 = 1.000_23;
/// What belongs to the noise: up to 6 dB above its level.
const NEAR: f32 = 4.0;
/// How fast the color follows a frame of noise.
const COLOR: f32 = 0.1;

/// Measure and generator of one speaker's background.
#[derive(Clone, Debug, Default)]
pub(super) struct Noise {
    /// Mean square of the background; `None` before the first frame.
    level: Option<f32>,
    /// How like each sample is to the one before: 0 white, near 1 dull.
    color: f32,
    last: f32,
    generator: Generator,
}

/// Uniform numbers for a waveform; nothing that must not be guessed.
#[derive(Clone, Debug)]
struct Generator(Wrapping<u32>);

impl Default for Generator {
    fn default() -> Self {
        Self(Wrapping(0x2545_f491))
    }
}

impl Generator {
    /// From −1 up to 1.
    fn next(&mut self) -> f32 {
        // A linear congruence; the upper bits are the random ones.
        self.0 = self.0 * Wrapping(1_664_525) + Wrapping(1_013_904_223);
        (self.0.0 as i32) as f32 / 2_147_483_648.0
    }
}

impl Noise {
    /// Learns from sound that came: the quietest is the background.
    pub(super) fn learn(&mut self, frame: &[i16], rate: Rate) {
        let Some(energy) = energy(frame) else { return };
        let level = match self.level {
            None => energy.min(FIRST),
            Some(level) if energy < level => level + (energy - level) * FALL,
            Some(level) => {
                energy.min(level * RISE.powi((frame.len() * 20 / rate.samples()) as i32))
            }
        };
        self.level = Some(level.min(LOUDEST));
        if energy > 0.0 && energy < level * NEAR {
            let pairs = frame.windows(2).map(|p| f32::from(p[0]) * f32::from(p[1]));
            let color = pairs.sum::<f32>() / (energy * frame.len() as f32);
            self.color += (color.clamp(-0.9, 0.95) - self.color) * COLOR;
        }
    }

    /// Whether sound is no louder than the background.
    pub(super) fn is_like(&self, sound: &[i16]) -> bool {
        let level = self.level.unwrap_or(0.0);
        energy(sound).is_none_or(|energy| energy <= level * NEAR)
    }

    /// The next sample of noise.
    pub(super) fn next(&mut self) -> f32 {
        let Some(level) = self.level else { return 0.0 };
        // A uniform number has a mean square of a third.
        let new = self.generator.next() * (3.0 * level * (1.0 - self.color * self.color)).sqrt();
        self.last = self.last * self.color + new;
        self.last
    }
}

/// The mean square of the samples.
fn energy(sound: &[i16]) -> Option<f32> {
    let sum: i64 = sound.iter().map(|s| i64::from(*s) * i64::from(*s)).sum();
    (!sound.is_empty()).then(|| sum as f32 / sound.len() as f32)
}
