//! A key as we send it: as telephone-event packets (RFC 4733 §2.5.1) or as a tone.
//!
//! Owns the queue of keys and their course tick by tick. Knows nothing of RTP headers.

use std::collections::VecDeque;

use crate::media::Digit;
use crate::media::dtmf::events::TelephoneEvent;
use crate::media::dtmf::tone::Tone;

/// Keys that wait to be sent; more are dropped.
const WAITING_MAX: usize = 32;
/// How long a key is held down: 100 ms.
const DOWN_TICKS: u8 = 5;
/// End packets in all (§2.5.1.4), the first at the last tick of the press.
const ENDS: u8 = 3;
/// From the last packet or sample of a key to the first of the next.
const PAUSE_TICKS: u8 = 4;
/// Power of the event's tone, dB below 0 dBm0.
const VOLUME: u8 = 10;

/// How keys go out on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Telephone-events on a clock of this many Hz.
    Event {
        /// Clock rate.
        clock: u32,
    },
    /// Tones in the audio.
    Tone,
}

/// What one tick sends of a key.
#[derive(Debug)]
pub enum Step<'a> {
    /// Nothing: the usual audio goes on.
    Nothing,
    /// A telephone-event packet in place of audio.
    Event {
        /// Its payload.
        event: TelephoneEvent,
        /// Whether it is the first of its press: marker set, and the timestamp of all.
        first: bool,
    },
    /// The tone in place of audio.
    Tone(&'a mut Tone),
}

/// The keys to be pressed towards one peer.
#[derive(Clone, Debug, Default)]
pub struct Presses {
    waiting: VecDeque<Digit>,
    now: Option<Press>,
}

#[derive(Clone, Debug)]
struct Press {
    digit: Digit,
    by: By,
    tone: Tone,
    tick: u8,
}

impl Presses {
    /// Adds a key; dropped when too many wait.
    pub fn push(&mut self, digit: Digit) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(digit);
        }
    }

    /// Whether a key takes the place of audio until the next tick.
    pub fn is_covering(&self) -> bool {
        match &self.now {
            Some(press) => press.tick < press.covered(),
            None => !self.waiting.is_empty(),
        }
    }

    /// What the tick sends.
    pub fn tick(&mut self, by: By) -> Step<'_> {
        if self.now.as_ref().is_some_and(|press| press.tick == press.covered() + PAUSE_TICKS) {
            self.now = None;
        }
        if self.now.is_none() {
            let Some(digit) = self.waiting.pop_front() else { return Step::Nothing };
            self.now = Some(Press { digit, by, tone: Tone::new(digit), tick: 0 });
        }
        match &mut self.now {
            Some(press) => press.step(),
            None => Step::Nothing,
        }
    }
}

impl Press {
    /// Ticks in which the key takes the place of audio.
    fn covered(&self) -> u8 {
        match self.by {
            By::Event { .. } => DOWN_TICKS + ENDS - 1,
            By::Tone => DOWN_TICKS,
        }
    }

    fn step(&mut self) -> Step<'_> {
        self.tick += 1;
        let tick = self.tick;
        if tick > self.covered() {
            return Step::Nothing;
        }
        match self.by {
            By::Event { clock } => {
                let duration = u32::from(tick.min(DOWN_TICKS)) * (clock / 50);
                let duration = u16::try_from(duration).unwrap_or(u16::MAX);
                let end = tick >= DOWN_TICKS;
                let event = TelephoneEvent { digit: self.digit, end, volume: VOLUME, duration };
                Step::Event { event, first: tick == 1 }
            }
            By::Tone => Step::Tone(&mut self.tone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_100_ms_and_three_ends() {
        let mut presses = Presses::default();
        presses.push(Digit::from_char('4').unwrap());
        presses.push(Digit::from_char('2').unwrap());
        let course: Vec<String> = (0..24)
            .map(|_| match presses.tick(By::Event { clock: 8000 }) {
                Step::Nothing => "-".to_owned(),
                Step::Event { event, first } => {
                    let (m, e) = (if first { "M" } else { "" }, if event.end { "E" } else { "" });
                    format!("{m}{}:{}{e}", event.digit.char(), event.duration)
                }
                Step::Tone(_) => "tone".to_owned(),
            })
            .collect();
        assert_eq!(
            course.join(" "),
            "M4:160 4:320 4:480 4:640 4:800E 4:800E 4:800E - - - - \
             M2:160 2:320 2:480 2:640 2:800E 2:800E 2:800E - - - - - -"
        );
        assert!(!presses.is_covering());
    }

    #[test]
    fn a_tone_takes_100_ms() {
        let mut presses = Presses::default();
        (0..100).for_each(|_| presses.push(Digit::from_char('0').unwrap()));
        let tones = (0..9).filter(|_| matches!(presses.tick(By::Tone), Step::Tone(_))).count();
        assert_eq!(tones, 5);
        assert_eq!(presses.waiting.len(), WAITING_MAX - 1);
    }
}
