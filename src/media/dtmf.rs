//! Keys: telephone-events (RFC 4733), tones in the audio (ITU-T Q.23, Q.24), and one report a press
//! however many of the two tell of it.
//!
//! [`events`] reads telephone-events, [`inband`] hears tones, [`tone`] makes them, [`press`] sends
//! a key. This file owns [`Keys`], which joins what both ways of hearing report.

pub mod events;
pub mod inband;
pub mod press;
pub mod tone;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::media::Digit;

/// A press told of by one way is matched with the other way's report within this time.
const MATCH_WITHIN: Duration = Duration::from_millis(600);
/// Reports that wait for their match; more are forgotten, the oldest first.
const WAITING_MAX: usize = 8;

/// How a key was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By a telephone-event.
    Event,
    /// By its tone.
    Tone,
    /// By the signaling, which the media plane does not see.
    Info,
}

/// Joins the ways of hearing keys into one report a press.
///
/// Each report waits for its like from another way; the later of the two is swallowed. So two
/// quick presses of one key stay two, in whichever order the four reports come.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    waiting: VecDeque<(Instant, Digit, Means)>,
}

impl Keys {
    /// Takes a report; true when it is a press that was not yet told of.
    pub fn is_press(&mut self, now: Instant, digit: Digit, means: Means) -> bool {
        self.waiting.retain(|(at, ..)| now.saturating_duration_since(*at) < MATCH_WITHIN);
        let told = self.waiting.iter().position(|(_, d, m)| *d == digit && *m != means);
        if let Some(told) = told {
            self.waiting.remove(told);
            return false;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((now, digit, means));
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use super::*;

    #[test]
    fn one_report_a_press_by_whatever_means() {
        let t0 = Instant::now();
        let five = Digit::from_char('5').unwrap();
        let six = Digit::from_char('6').unwrap();
        let check = |reports: &[(u64, Digit, Means)], presses: usize| {
            let mut keys = Keys::default();
            let told = reports
                .iter()
                .filter(|(ms, d, m)| keys.is_press(t0 + Duration::from_millis(*ms), *d, *m));
            assert_eq!(told.count(), presses, "{reports:?}");
        };
        let (e, t) = (Means::Event, Means::Tone);
        check(&[(0, five, e)], 1);
        check(&[(0, five, e), (45, five, t)], 1);
        check(&[(45, five, t), (60, five, e)], 1);
        check(&[(0, five, e), (45, five, t), (150, five, e), (195, five, t)], 2);
        check(&[(0, five, e), (150, five, e), (195, five, t), (300, five, t)], 2);
        check(&[(0, five, e), (45, six, t)], 2);
        check(&[(0, five, t), (700, five, e)], 2);
        check(&[(0, five, t), (150, five, t)], 2);
    }
}
