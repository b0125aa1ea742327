//! Keys heard by their tones (ITU-T Q.24, with the limits of NTT where it gives them).
//!
//! Owns the detector. It looks at 20 ms of audio every 5 ms through a Hann window with one Goertzel
//! filter a frequency. The phase from look to look gives the true frequency of each tone to a few
//! Hz, which a window so short can't by its energy. A key is heard when four looks in a row (the
//! least that a tone of 40 ms gives) show the same steady pair, and nothing much beside it.

use std::f32::consts::TAU;

use crate::media::Digit;
use crate::media::dtmf::tone::{AMPLITUDE_0DBM0, HIGH, KEYPAD, LOW};

/// Samples of one look.
const WINDOW: usize = 160;
/// Samples from look to look.
const HOP: usize = 40;
/// Looks in a row that make a key: 40 ms of tone hold four whole ones, 23 ms never do.
const LOOKS_ON: u8 = 4;
/// Looks in a row without the key that end it: longer than a break of 10 ms or one lost packet.
const LOOKS_OFF: u8 = 5;
/// Each tone at least this loud (NTT: −24 dBm0 must be heard, −29 not).
const LEVEL_MIN_DBM0: f32 = -27.0;
/// High over low tone, in dB (NTT ±5, AT&T +4 and −8).
const TWIST: std::ops::RangeInclusive<f32> = -9.0..=6.5;
/// The share of the energy that the two tones must have between them. 12 dB of noise leave 0.94.
const SHARE_MIN: f32 = 0.85;
/// The same while the key is down already.
const SHARE_HELD: f32 = 0.5;
/// How far a frequency may be off: 1.5 % must be heard, 3.5 % not.
const OFF_MAX: f32 = 0.025;
/// How far the frequency may wander from look to look, in Hz. Voices wander more.
const WANDER_MAX: f32 = 20.0;
/// Loudest over quietest look of a key, as a ratio of amplitudes (1.5 dB).
const SWELL_MAX: f32 = 1.19;

/// The filters' frequencies: the low group, then the high.
const FREQUENCIES: [f32; 8] = [LOW[0], LOW[1], LOW[2], LOW[3], HIGH[0], HIGH[1], HIGH[2], HIGH[3]];

/// Hears keys in the audio of one stream.
#[derive(Clone, Debug)]
pub struct Detector {
    /// The last samples, a ring: `at` is the oldest.
    ring: [f32; WINDOW],
    at: usize,
    /// Samples until the next look.
    until_look: usize,
    window: [f32; WINDOW],
    /// Phases at the last look.
    phases: [f32; 8],
    run: Run,
    /// The key that is down, and looks in a row without it.
    down: Option<((usize, usize), u8)>,
}

/// Looks in a row that show the same pair.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    pair: (usize, usize),
    length: u8,
    /// Sum of what each step between two looks said of the frequencies, in Hz off.
    off: [f32; 2],
    last_off: [f32; 2],
    /// Smallest and largest amplitude so far, of each tone.
    range: [(f32, f32); 2],
}

/// What one look shows.
struct Look {
    pair: (usize, usize),
    amplitudes: [f32; 2],
    /// Difference from the nominal frequencies since the last look, in Hz.
    off: [f32; 2],
    share: f32,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// A detector that has heard nothing.
    pub fn new() -> Self {
        let window =
            std::array::from_fn(|n| 0.5 - 0.5 * (TAU * (n as f32 + 0.5) / WINDOW as f32).cos());
        Self {
            ring: [0.0; WINDOW],
            at: 0,
            until_look: HOP,
            window,
            phases: [0.0; 8],
            run: Run::default(),
            down: None,
        }
    }

    /// Takes the next sample (16 bit); a key when this sample completes its detection.
    pub fn sample(&mut self, sample: i16) -> Option<Digit> {
        self.ring[self.at] = f32::from(sample);
        self.at = (self.at + 1) % WINDOW;
        self.until_look -= 1;
        if self.until_look > 0 {
            return None;
        }
        self.until_look = HOP;
        let look = self.look();
        self.judge(&look)
    }

    fn look(&mut self) -> Look {
        let mut total = 0.0;
        let mut windowed = [0.0; WINDOW];
        for (n, out) in windowed.iter_mut().enumerate() {
            *out = self.ring[(self.at + n) % WINDOW] * self.window[n];
            total += *out * *out;
        }
        let mut amplitudes = [0.0; 8];
        let mut off = [0.0; 8];
        for (i, hz) in FREQUENCIES.into_iter().enumerate() {
            let (amplitude, phase) = goertzel(&windowed, hz);
            let step = phase - self.phases[i] - TAU * hz * HOP as f32 / 8000.0;
            let turns = step / TAU;
            off[i] = (turns - turns.round()) * 8000.0 / HOP as f32;
            self.phases[i] = phase;
            amplitudes[i] = amplitude;
        }
        let loudest = |group: std::ops::Range<usize>| {
            group.fold(None, |best: Option<usize>, i| match best {
                Some(b) if amplitudes[b] >= amplitudes[i] => Some(b),
                _ => Some(i),
            })
        };
        let (low, high) = (loudest(0..4).unwrap_or(0), loudest(4..8).unwrap_or(4));
        let found = [low, high].map(|i| amplitudes[i] / droop(off[i]));
        // A sine of amplitude a leaves a²/2 of Σw² = 3/8·N in the windowed energy.
        let tones = found.iter().map(|a| a * a).sum::<f32>() * 3.0 / 16.0 * WINDOW as f32;
        Look {
            pair: (low, high - 4),
            amplitudes: found,
            off: [off[low], off[high]],
            share: if total > 0.0 { tones / total } else { 0.0 },
        }
    }

    fn judge(&mut self, look: &Look) -> Option<Digit> {
        if let Some((pair, misses)) = &mut self.down {
            let is_held = *pair == look.pair && look.share >= SHARE_HELD && is_loud(look);
            *misses = if is_held { 0 } else { *misses + 1 };
            if *misses >= LOOKS_OFF {
                self.down = None;
                self.run = Run::default();
            }
        }
        if !is_key(look) {
            self.run.length = 0;
            return None;
        }
        let is_steady = self.run.length > 0 && self.run.pair == look.pair && self.run.fits(look);
        if is_steady {
            self.run.add(look);
        } else {
            self.run = Run::begin(look);
        }
        if self.run.length < LOOKS_ON || !self.run.is_in_tune() {
            return None;
        }
        let pair = self.run.pair;
        if self.down.is_some_and(|(down, _)| down == pair) {
            return None;
        }
        self.down = Some((pair, 0));
        Digit::from_char(KEYPAD[pair.0][pair.1])
    }
}

impl Run {
    fn begin(look: &Look) -> Self {
        let range = look.amplitudes.map(|a| (a, a));
        Self { pair: look.pair, length: 1, off: [0.0; 2], last_off: look.off, range }
    }

    /// Whether the look goes on with the run: as loud, and on the same frequencies.
    fn fits(&self, look: &Look) -> bool {
        (0..2).all(|i| {
            let (least, most) = self.range[i];
            let a = look.amplitudes[i];
            let wander = (look.off[i] - self.last_off[i]).abs();
            a.max(most) <= a.min(least) * SWELL_MAX && (self.length < 2 || wander <= WANDER_MAX)
        })
    }

    fn add(&mut self, look: &Look) {
        for i in 0..2 {
            let (least, most) = self.range[i];
            let a = look.amplitudes[i];
            self.range[i] = (least.min(a), most.max(a));
            self.off[i] += look.off[i];
        }
        self.last_off = look.off;
        self.length = self.length.saturating_add(1);
    }

    /// Whether both frequencies, averaged over the run, are near enough to nominal.
    fn is_in_tune(&self) -> bool {
        let steps = f32::from(self.length.saturating_sub(1)).max(1.0);
        let nominal = [LOW[self.pair.0], HIGH[self.pair.1]];
        (0..2).all(|i| (self.off[i] / steps).abs() <= nominal[i] * OFF_MAX)
    }
}

fn is_loud(look: &Look) -> bool {
    let least = AMPLITUDE_0DBM0 * 10f32.powf(LEVEL_MIN_DBM0 / 20.0);
    look.amplitudes.iter().all(|a| *a >= least)
}

/// Whether one look by itself could be of a key.
fn is_key(look: &Look) -> bool {
    let twist = 20.0 * (look.amplitudes[1] / look.amplitudes[0].max(1e-6)).log10();
    is_loud(look) && TWIST.contains(&twist) && look.share >= SHARE_MIN
}

/// Amplitude of the sine at `hz` (before [`droop`]) and its phase (Goertzel).
fn goertzel(windowed: &[f32; WINDOW], hz: f32) -> (f32, f32) {
    let omega = TAU * hz / 8000.0;
    let factor = 2.0 * omega.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for x in windowed {
        (last, before) = (x + factor * last - before, last);
    }
    let (re, im) = (last - before * omega.cos(), before * omega.sin());
    // The window's sum is N/2, and half of a sine lies at negative frequency.
    (re.hypot(im) * 4.0 / WINDOW as f32, im.atan2(re))
}

/// What the window leaves of a sine that is `off` Hz beside the filter's frequency.
fn droop(off: f32) -> f32 {
    let bins = off.abs().min(60.0) * WINDOW as f32 / 8000.0;
    if bins < 1e-3 {
        return 1.0;
    }
    let x = std::f32::consts::PI * bins;
    x.sin() / x / (1.0 - bins * bins).max(1e-3)
}

#[cfg(test)]
mod tests;
