//! Sound in place of sound that never came (in the manner of ITU-T G.711 Appendix I): the last
//! period of the voice is repeated and fades to noise like that behind the speaker.
//!
//! Owns the memory of what was heard, the repetition, the seams, and the noise (`noise`). When
//! something is missing is decided elsewhere.

mod noise;

use crate::media::Rate;
use crate::media::pitch;
use noise::Noise;

/// The past that is kept: the longest period, and a window to find it by.
const HISTORY_MS: usize = pitch::LONGEST_MS + WINDOW_MS;
/// The stretch that is compared when the period is looked for.
const WINDOW_MS: usize = 20;
/// Below this the sound has no period: the longest is repeated, which buzzes least.
const VOICED: f32 = 0.5;
/// The repetition is as loud as the voice was for so long,
const HOLD_MS: usize = 10;
/// and gone by then. A longer sustained sound would be heard as one.
const FADED_MS: usize = 60;
/// Overlap of made-up sound and what comes after it: at least this,
const OVERLAP_MS: usize = 4;
/// longer after a long loss (4 ms for each 10 ms), at most this.
const OVERLAP_MAX_MS: usize = 10;

/// Makes up what is missing of one voice.
#[derive(Debug)]
pub(in crate::media) struct Concealer {
    rate: Rate,
    /// The last [`HISTORY_MS`] that were heard, oldest first; made-up sound too.
    history: Vec<i16>,
    /// The period that is repeated, with smooth ends; empty while nothing is missing.
    period: Vec<f32>,
    /// Samples that were made up since the last good one.
    made_up: usize,
    /// Where the repetition would jump at its beginning: faded out over a quarter of the period.
    step: f32,
    noise: Noise,
}

impl Concealer {
    /// A concealer of a voice that has not been heard yet.
    pub(in crate::media) fn new(rate: Rate) -> Self {
        let history = vec![0; HISTORY_MS * samples_of_ms(rate)];
        let period = Vec::with_capacity(pitch::LONGEST_MS * samples_of_ms(rate));
        Self { rate, history, period, made_up: 0, step: 0.0, noise: Noise::default() }
    }

    /// Takes sound that came, of any length, and smooths the seam after a loss.
    pub(in crate::media) fn good(&mut self, frame: &mut [i16]) {
        self.noise.learn(frame, self.rate);
        if self.made_up > 0 {
            let ms = samples_of_ms(self.rate);
            let overlap = (self.made_up * 2 / 5).clamp(OVERLAP_MS * ms, OVERLAP_MAX_MS * ms);
            let overlap = overlap.min(frame.len());
            for (i, sample) in frame.iter_mut().take(overlap).enumerate() {
                let weight = eased((i + 1) as f32 / (overlap + 1) as f32);
                let old = f32::from(self.next());
                *sample = (old + (f32::from(*sample) - old) * weight).round() as i16;
            }
            self.made_up = 0;
            self.period.clear();
        }
        self.remember(frame);
    }

    /// Makes up sound, of any length.
    pub(in crate::media) fn lost(&mut self, out: &mut [i16]) {
        if self.period.is_empty() {
            self.begin();
        }
        for sample in &mut *out {
            *sample = self.next();
        }
        self.remember(out);
    }

    /// What is heard while the speaker is silent: the voice dies away as in a loss, and the noise
    /// behind it stays.
    pub(in crate::media) fn idle(&mut self, out: &mut [i16]) {
        self.lost(out);
    }

    /// Whether sound is no louder than what lies behind the speaker.
    pub(in crate::media) fn is_background(&self, sound: &[i16]) -> bool {
        self.noise.is_like(sound)
    }

    /// Finds the period to repeat. Its last quarter leads over to what comes before its first
    /// sample, so that it can follow itself.
    fn begin(&mut self) {
        let ms = samples_of_ms(self.rate);
        let length = self.history.len();
        // The history read backwards: what is like its end, and how long ago was it?
        let mut reversed = [0; HISTORY_MS * 16];
        let reversed = &mut reversed[..length];
        for (to, from) in reversed.iter_mut().zip(self.history.iter().rev()) {
            *to = *from;
        }
        let found = pitch::find(reversed, WINDOW_MS * ms, self.rate);
        let voiced = found.filter(|found| found.strength > VOICED);
        let lag = voiced.map_or(pitch::LONGEST_MS * ms, |found| found.lag);
        let start = length - lag;
        let quarter = lag / 4;
        self.period.extend(self.history[start..].iter().map(|s| f32::from(*s)));
        for i in 0..quarter {
            let weight = eased((i + 1) as f32 / quarter as f32);
            let at = lag - quarter + i;
            let before = f32::from(self.history[start - quarter + i]);
            self.period[at] += (before - self.period[at]) * weight;
        }
        self.step = f32::from(self.history[length - 1]) - f32::from(self.history[start - 1]);
    }

    /// The next made-up sample.
    fn next(&mut self) -> i16 {
        let ms = samples_of_ms(self.rate);
        let at = self.made_up;
        self.made_up = self.made_up.saturating_add(1);
        let faded = at.saturating_sub(HOLD_MS * ms) as f32 / ((FADED_MS - HOLD_MS) * ms) as f32;
        let faded = faded.min(1.0);
        let noise = self.noise.next() * faded;
        if faded >= 1.0 || self.period.is_empty() {
            return noise.round() as i16;
        }
        let length = self.period.len();
        let quarter = (length / 4).max(1);
        let left = eased(1.0 - (at + 1).min(quarter) as f32 / quarter as f32);
        let voice = self.period[at % length] + self.step * left;
        (voice * (1.0 - faded) + noise).round() as i16
    }

    /// Moves the history on.
    fn remember(&mut self, heard: &[i16]) {
        let length = self.history.len();
        let new = &heard[heard.len().saturating_sub(length)..];
        self.history.copy_within(new.len().., 0);
        self.history[length - new.len()..].copy_from_slice(new);
    }
}

/// From 0 to 1 without a bend at either end.
fn eased(part: f32) -> f32 {
    part * part * (3.0 - 2.0 * part)
}

fn samples_of_ms(rate: Rate) -> usize {
    rate.samples() / 20
}

#[cfg(test)]
pub(in crate::media) mod tests;
