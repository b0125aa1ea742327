//! What the two sides say: melodies, so that who hears whom is heard at once and can be measured.
//!
//! Owns the notes and the order of turns: first the caller alone, then the counselor alone, then
//! both at once.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::media::Law;
use crate::media::g711::encode;

/// Samples a second.
const RATE: u32 = 8000;
/// How loud where a note begins, in steps of a 16-bit sample: about -11 dBm0, as a clear voice is.
const AMPLITUDE: f64 = 6_500.0;
/// How a note swells and fades, in samples: without it there are clicks.
const EDGE: f64 = 120.0;

/// Frequency in Hz and length in milliseconds.
type Note = (f64, u32);

/// A side's melody.
#[derive(Debug, PartialEq)]
pub(super) struct Voice {
    melody: &'static [Note],
    /// Whether it speaks, turn by turn.
    turns: [bool; TURNS],
}

/// Turns of the talk.
pub(super) const TURNS: usize = 3;
/// Length of one turn.
pub(super) const TURN: Duration = Duration::from_millis(2_200);

/// Around 440 Hz.
pub(super) const CALLER: Voice = Voice {
    melody: &[
        (440.0, 400),
        (494.0, 200),
        (523.0, 200),
        (494.0, 200),
        (440.0, 400),
        (392.0, 200),
        (440.0, 600),
    ],
    turns: [true, false, true],
};

/// From 659 Hz up.
pub(super) const COUNSELOR: Voice = Voice {
    melody: &[
        (659.0, 400),
        (740.0, 200),
        (784.0, 200),
        (740.0, 200),
        (659.0, 400),
        (988.0, 200),
        (659.0, 600),
    ],
    turns: [false, true, true],
};

impl Voice {
    /// The frequencies, in Hz, each once.
    pub(super) fn notes(&self) -> Vec<f64> {
        let mut notes: Vec<_> = self.melody.iter().map(|(hz, _)| *hz).collect();
        notes.sort_by(f64::total_cmp);
        notes.dedup();
        notes
    }

    /// All turns as µ-law, silent where the other side speaks.
    pub(super) fn words(&self) -> Vec<u8> {
        let melody = self.sung();
        let turn = |speaks: bool| match speaks {
            true => melody.clone(),
            false => vec![0; melody.len()],
        };
        let samples = self.turns.iter().flat_map(|speaks| turn(*speaks));
        samples.map(|sample| encode(Law::Mu, sample)).collect()
    }

    /// One turn.
    fn sung(&self) -> Vec<i16> {
        let note = |(hz, ms): &Note| {
            let (hz, length) = (*hz, f64::from(ms * RATE / 1000));
            (0..ms * RATE / 1000).map(move |n| {
                let n = f64::from(n);
                let edge = (n.min(length - n) / EDGE).min(1.0);
                let fading = 1.0 - 0.4 * n / length;
                (AMPLITUDE * edge * fading * (TAU * hz * n / f64::from(RATE)).sin()) as i16
            })
        };
        self.melody.iter().flat_map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tone::{measure, strongest};
    use crate::media::g711::decode;

    fn turn(voice: &Voice, n: usize) -> Vec<i16> {
        let words = voice.words();
        let length = words.len() / TURNS;
        words[n * length..][..length].iter().map(|byte| decode(Law::Mu, *byte)).collect()
    }

    #[test]
    fn a_turn_lasts_as_long_as_it_says_in_whole_packets() {
        for voice in [&CALLER, &COUNSELOR] {
            let length = TURN.as_millis() as usize * 8;
            assert_eq!(voice.words().len(), length * TURNS);
            assert_eq!(length % 160, 0);
        }
    }

    #[test]
    fn each_is_heard_in_its_own_turns_and_not_taken_for_the_other() {
        for (voice, other, own, base) in
            [(&CALLER, &COUNSELOR, 0, 440), (&COUNSELOR, &CALLER, 1, 659)]
        {
            for n in 0..TURNS {
                let said = turn(voice, n);
                let share = measure(&said, &voice.notes()).share;
                assert!(if voice.turns[n] { share > 0.9 } else { share == 0.0 }, "{share}");
                assert_eq!(measure(&said, &other.notes()).share, 0.0);
            }
            let found = strongest(&turn(voice, own)).unwrap();
            assert!(found.abs_diff(base) <= 3, "{found}");
        }
    }
}
