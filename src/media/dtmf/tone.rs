//! The tones of the keys (ITU-T Q.23).
//!
//! Owns the frequencies and a generator of samples.

use std::f64::consts::TAU;

use crate::media::Digit;

/// The low group, by row of the keypad, in Hz.
pub const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// The high group, by column of the keypad, in Hz.
pub const HIGH: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// The keypad, row by row.
pub const KEYPAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// Amplitude of a sine at 0 dBm0, in steps of a 16-bit sample (µ-law overloads at 3.17 dBm0).
pub const AMPLITUDE_0DBM0: f32 = 22_300.0;
/// Level of each tone that we send, in dBm0: the high one a little louder, as phones do.
const LEVELS: (f32, f32) = (-9.0, -7.0);

/// Where the key is on the keypad: row and column.
pub fn place(digit: Digit) -> (usize, usize) {
    let c = digit.char();
    let row = KEYPAD.iter().position(|row| row.contains(&c)).unwrap_or(0);
    (row, KEYPAD[row].iter().position(|k| *k == c).unwrap_or(0))
}

/// Makes the samples of one key's tone.
#[derive(Clone, Debug)]
pub struct Tone {
    /// Phase and its step a sample, and amplitude, of the two.
    parts: [(f64, f64, f64); 2],
}

impl Tone {
    /// The tone of a key at the level that we send.
    pub fn new(digit: Digit) -> Self {
        let (row, column) = place(digit);
        Self::of(LOW[row], LEVELS.0, HIGH[column], LEVELS.1)
    }

    /// Any pair of frequencies (Hz) and levels (dBm0).
    pub fn of(low: f32, low_level: f32, high: f32, high_level: f32) -> Self {
        let part = |hz: f32, level: f32| {
            let amplitude = AMPLITUDE_0DBM0 * 10f32.powf(level / 20.0);
            (0.0, TAU * f64::from(hz) / 8000.0, f64::from(amplitude))
        };
        Self { parts: [part(low, low_level), part(high, high_level)] }
    }

    /// The next sample.
    pub fn sample(&mut self) -> i16 {
        let mut sum = 0.0;
        for (phase, step, amplitude) in &mut self.parts {
            sum += *amplitude * phase.sin();
            *phase = (*phase + *step) % TAU;
        }
        sum.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        for c in "0123456789*#ABCD".chars() {
            let (row, column) = place(Digit::from_char(c).unwrap());
            assert_eq!(KEYPAD[row][column], c);
        }
    }

    #[test]
    fn tones_do_not_clip() {
        let mut tone = Tone::new(Digit::from_char('5').unwrap());
        let peak = (0..8000).map(|_| tone.sample().abs()).max().unwrap();
        assert!((12_000..20_000).contains(&peak), "{peak}");
    }
}
