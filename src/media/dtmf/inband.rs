//! Keys heard by their tones (ITU-T Q.24, with the limits of NTT where it gives them).
//!
//! Owns the detector. It looks at 20 ms of audio every 5 ms through a Hann window with one filter a
//! frequency. The phase from look to look gives the true frequency of each tone to a few Hz, which
//! a window so short can't by its energy. A key is heard when four looks in a row (the least that a
//! tone of 40 ms gives) show the same steady pair, and nothing much beside it.
//!
//! A look costs what its audio deserves. Silence is told by its energy. The eight filters run side
//! by side from tables, counted from the middle of the window: there cosines are even and sines
//! odd, and half of the products do. The frequencies are asked for when the two loudest tones could
//! be a key at all.

use std::f64::consts::TAU;

use crate::media::Digit;
use crate::media::dtmf::tone::{self, AMPLITUDE_0DBM0, HIGH, KEYPAD, LOW};

/// Samples of one look.
const WINDOW: usize = 160;
/// Samples from look to look.
const HOP: usize = 40;
/// Looks in a row that make a key: 40 ms of tone hold four whole ones, 23 ms never do.
const LOOKS_ON: u8 = 4;
/// Looks in a row without the key that end it: longer than a break of 10 ms or one lost packet.
const LOOKS_OFF: u8 = 5;
/// Each tone at least this loud: −27 dBm0 (NTT: −24 dBm0 must be heard, −29 not).
const AMPLITUDE_MIN: f32 = AMPLITUDE_0DBM0 * 0.044_668;
/// High over low tone, as a ratio of amplitudes: −9 to 6.5 dB (NTT ±5, AT&T +4 and −8).
const TWIST: std::ops::RangeInclusive<f32> = 0.354_8..=2.113_5;
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
/// No tone shows further beside a filter's frequency than this, in Hz: half of it is left there.
const OFF_SEEN: f32 = 50.0;
/// A look with less energy than this holds no tone: no filter makes more than a tenth of it the
/// square of an amplitude, nor [`droop`] more than four times that.
const ENERGY_MIN: f32 = 2.5 * AMPLITUDE_MIN * AMPLITUDE_MIN;

/// The filters' frequencies: the low group, then the high.
const FREQUENCIES: [f32; 8] = [LOW[0], LOW[1], LOW[2], LOW[3], HIGH[0], HIGH[1], HIGH[2], HIGH[3]];

/// What the filters multiply with, made while compiling.
static TABLES: Tables = Tables::new();

/// See [`TABLES`].
struct Tables {
    /// The window times the cosine and the sine of each frequency, by distance from the middle.
    cosines: [[f32; 8]; WINDOW / 2],
    sines: [[f32; 8]; WINDOW / 2],
    /// The square of the window, from its first sample.
    squares: [f32; WINDOW],
    /// What undoes the turn of each frequency from look to look, as a complex number.
    turns_back: [(f32, f32); 8],
}

/// Hears keys in the audio of one stream.
#[derive(Clone, Debug)]
pub struct Detector {
    /// The samples of the next look, the oldest first; `filled` of them are there.
    samples: [f32; WINDOW],
    filled: usize,
    /// What the filters made of the last look, unless that was silence.
    before: Option<Spectrum>,
    run: Run,
    /// The key that is down, and looks in a row without it.
    down: Option<((usize, usize), u8)>,
}

/// What the filters make of one look: each frequency's cosine and sine.
#[derive(Clone, Copy, Debug)]
struct Spectrum {
    re: [f32; 8],
    im: [f32; 8],
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
        Self {
            samples: [0.0; WINDOW],
            filled: WINDOW - HOP,
            before: None,
            run: Run::default(),
            down: None,
        }
    }

    /// A detector that has told this key, which is still down.
    pub fn resumed(digit: Digit) -> Self {
        Self { down: Some((tone::place(digit), 0)), ..Self::new() }
    }

    /// The key that is down.
    pub fn down(&self) -> Option<Digit> {
        self.down.and_then(|((row, column), _)| Digit::from_char(KEYPAD[row][column]))
    }

    /// Takes audio, of which `linear` makes samples of 16 bit; the keys whose detection it
    /// completes are told to `tell`.
    pub fn hear<T: Copy>(
        &mut self,
        mut audio: &[T],
        linear: impl Fn(T) -> i16,
        mut tell: impl FnMut(Digit),
    ) {
        while !audio.is_empty() {
            let room = &mut self.samples[self.filled..];
            let (now, later) = audio.split_at(audio.len().min(room.len()));
            for (place, sample) in room.iter_mut().zip(now) {
                *place = f32::from(linear(*sample));
            }
            audio = later;
            self.filled += now.len();
            if self.filled == WINDOW {
                let look = self.look();
                self.samples.copy_within(HOP.., 0);
                self.filled = WINDOW - HOP;
                if let Some(digit) = self.judge(look.as_ref()) {
                    tell(digit);
                }
            }
        }
    }

    /// `None`: nothing that a key could be part of.
    fn look(&mut self) -> Option<Look> {
        let total = energy(&self.samples);
        let spectrum = (total >= ENERGY_MIN).then(|| Spectrum::of(&self.samples));
        let before = std::mem::replace(&mut self.before, spectrum);
        let spectrum = spectrum?;
        let powers = spectrum.powers();
        let (low, high) = (loudest(&powers, 0..4), loudest(&powers, 4..8));
        let (least, sum) = (powers[low].min(powers[high]), powers[low] + powers[high]);
        let scarce = 4.0 * least < AMPLITUDE_MIN * AMPLITUDE_MIN;
        if scarce || 4.0 * share(sum, total) < SHARE_HELD {
            return None;
        }
        let off = [low, high].map(|i| before.map_or(0.0, |before| spectrum.off(&before, i)));
        if off.iter().any(|off| off.abs() > OFF_SEEN) {
            return None;
        }
        let amplitudes = [powers[low].sqrt() / droop(off[0]), powers[high].sqrt() / droop(off[1])];
        let share = share(amplitudes.iter().map(|a| a * a).sum(), total);
        Some(Look { pair: (low, high - 4), amplitudes, off, share })
    }

    fn judge(&mut self, look: Option<&Look>) -> Option<Digit> {
        if let Some((pair, misses)) = &mut self.down {
            let holds =
                |look: &Look| *pair == look.pair && look.share >= SHARE_HELD && is_loud(look);
            *misses = if look.is_some_and(holds) { 0 } else { *misses + 1 };
            if *misses >= LOOKS_OFF {
                self.down = None;
                self.run = Run::default();
            }
        }
        let Some(look) = look.filter(|look| is_key(look)) else {
            self.run.length = 0;
            return None;
        };
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

impl Tables {
    const fn new() -> Self {
        let mut tables = Self {
            cosines: [[0.0; 8]; WINDOW / 2],
            sines: [[0.0; 8]; WINDOW / 2],
            squares: [0.0; WINDOW],
            turns_back: [(1.0, 0.0); 8],
        };
        let mut n = 0;
        while n < WINDOW / 2 {
            let t = n as f64 + 0.5;
            let window = 0.5 + 0.5 * cosine(TAU * t / WINDOW as f64);
            tables.squares[WINDOW / 2 + n] = (window * window) as f32;
            tables.squares[WINDOW / 2 - 1 - n] = (window * window) as f32;
            let mut i = 0;
            while i < 8 {
                let angle = TAU * FREQUENCIES[i] as f64 / 8000.0;
                tables.cosines[n][i] = (window * cosine(angle * t)) as f32;
                tables.sines[n][i] = (window * sine(angle * t)) as f32;
                let turn = angle * HOP as f64;
                tables.turns_back[i] = (cosine(turn) as f32, -sine(turn) as f32);
                i += 1;
            }
            n += 1;
        }
        tables
    }
}

const fn sine(x: f64) -> f64 {
    cosine(x - TAU / 4.0)
}

/// By its power series: the library's can't run while compiling.
const fn cosine(x: f64) -> f64 {
    let x = x % TAU;
    let (mut sum, mut term, mut n) = (1.0, 1.0, 0.0);
    while n < 40.0 {
        term *= -x * x / ((n + 1.0) * (n + 2.0));
        sum += term;
        n += 2.0;
    }
    sum
}

impl Spectrum {
    fn of(samples: &[f32; WINDOW]) -> Self {
        let tables = &TABLES;
        let (mut re, mut im) = ([0.0; 8], [0.0; 8]);
        let (left, right) = samples.split_at(WINDOW / 2);
        let pairs = left.iter().rev().zip(right);
        for ((l, r), (cosines, sines)) in pairs.zip(tables.cosines.iter().zip(&tables.sines)) {
            let (even, odd) = (r + l, l - r);
            for i in 0..8 {
                re[i] += even * cosines[i];
                im[i] += odd * sines[i];
            }
        }
        Self { re, im }
    }

    /// The square of each tone's amplitude, before [`droop`].
    fn powers(&self) -> [f32; 8] {
        // The window's sum is N/2, and half of a sine lies at negative frequency.
        let scale = (4.0 / WINDOW as f32).powi(2);
        std::array::from_fn(|i| (self.re[i] * self.re[i] + self.im[i] * self.im[i]) * scale)
    }

    /// How far the tone is beside the filter's frequency, by the phase since the look before, in
    /// Hz.
    fn off(&self, before: &Self, i: usize) -> f32 {
        let times = |a: (f32, f32), b: (f32, f32)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
        let turned = times((self.re[i], self.im[i]), (before.re[i], -before.im[i]));
        let (re, im) = times(turned, TABLES.turns_back[i]);
        im.atan2(re) * 8000.0 / (std::f32::consts::TAU * HOP as f32)
    }
}

/// The energy of a look, through the window.
fn energy(samples: &[f32; WINDOW]) -> f32 {
    let mut lanes = [0.0; 8];
    for (samples, squares) in samples.chunks_exact(8).zip(TABLES.squares.chunks_exact(8)) {
        for i in 0..8 {
            lanes[i] += samples[i] * samples[i] * squares[i];
        }
    }
    lanes.iter().sum()
}

/// The share of tones in the energy, from the sum of the squares of their amplitudes.
fn share(sum: f32, total: f32) -> f32 {
    // A sine of amplitude a leaves a²/2 of Σw² = 3/8·N in the windowed energy.
    sum * 3.0 / 16.0 * WINDOW as f32 / total
}

fn loudest(powers: &[f32; 8], group: std::ops::Range<usize>) -> usize {
    let first = group.start;
    group.fold(first, |best, i| if powers[i] > powers[best] { i } else { best })
}

fn is_loud(look: &Look) -> bool {
    look.amplitudes.iter().all(|a| *a >= AMPLITUDE_MIN)
}

/// Whether one look by itself could be of a key.
fn is_key(look: &Look) -> bool {
    let twist = look.amplitudes[1] / look.amplitudes[0];
    is_loud(look) && TWIST.contains(&twist) && look.share >= SHARE_MIN
}

/// What the window leaves of a sine that is `off` Hz beside the filter's frequency, up to
/// [`OFF_SEEN`].
fn droop(off: f32) -> f32 {
    let bins = off.abs() * WINDOW as f32 / 8000.0;
    if bins < 1e-3 {
        return 1.0;
    }
    let x = std::f32::consts::PI * bins;
    (x.sin() / x / (1.0 - bins * bins).max(1e-3)).max(0.5)
}

#[cfg(test)]
mod tests;
