//! Whether each side heard the other, and the figures that show it.
//!
//! Owns the thresholds and the table. How tones are measured is `tone`'s.

use std::time::{Duration, Instant};

use super::tone::{Measured, measure, strongest};
use super::track::{Track, place};
use super::voice::{CALLER, COUNSELOR, TURN, Voice};
use crate::media::Law;
use crate::media::g711::{decode, encode};
use crate::shell::phone::audio::Recording;

/// Samples at both ends of a turn that are not judged: the packets' way, and the start of a tick.
const MARGIN: usize = 800;
/// Share of the time in which a voice that was sent must be heard.
const SHARE_MIN: f64 = 0.9;
/// Samples of the welcome that must be heard without a fault: a second.
const WELCOME: usize = 8_000;

/// A call that is over.
pub(super) struct Talk {
    /// The caller's side.
    pub(super) caller: Recording,
    /// The counselor's side.
    pub(super) counselor: Recording,
    /// When the caller called.
    pub(super) began: Instant,
    /// When the turns began.
    pub(super) cue: Instant,
    /// Samples of the prompt that the caller must have heard before.
    pub(super) welcome: Vec<i16>,
}

/// What is thought of it.
pub(super) struct Verdict {
    /// What the caller heard.
    pub(super) left: Track,
    /// What the counselor heard.
    pub(super) right: Track,
    /// The figures, line by line.
    pub(super) table: Vec<String>,
    /// What went wrong, if anything.
    pub(super) fault: Option<String>,
}

/// One side's figures.
struct Side {
    /// The other's voice, while it was sent.
    voice: Measured,
    /// The strongest tone while the other spoke alone, in Hz.
    hz: Option<u32>,
    /// Share of the time in which its own voice came back.
    echo: f64,
    gap: Duration,
    delays: Vec<Duration>,
}

impl Talk {
    /// Judges.
    pub(super) fn judge(&self) -> Verdict {
        let left = Track::new(&self.caller.heard, self.began);
        let right = Track::new(&self.counselor.heard, self.began);
        let cue = usize::try_from(place(self.cue, self.began)).unwrap_or(0);
        let side = |track: &Track, own: &Voice, other: &Voice, turns: [usize; 2]| {
            let [alone, both] = turns.map(|turn| self.turn(track, turn));
            let all = (0..super::voice::TURNS).flat_map(|turn| self.turn(track, turn).to_vec());
            Side {
                voice: measure(&[alone, both].concat(), &other.notes()),
                hz: strongest(alone),
                echo: measure(&all.collect::<Vec<_>>(), &own.notes()).share,
                gap: Duration::ZERO,
                delays: vec![],
            }
        };
        let caller = Side {
            gap: self.caller.longest_gap(),
            delays: self.caller.delays(&self.counselor),
            ..side(&left, &CALLER, &COUNSELOR, [1, 2])
        };
        let counselor = Side {
            gap: self.counselor.longest_gap(),
            delays: self.counselor.delays(&self.caller),
            ..side(&right, &COUNSELOR, &CALLER, [0, 2])
        };
        let as_sent: Vec<i16> =
            self.welcome.iter().map(|sample| decode(Law::Mu, encode(Law::Mu, *sample))).collect();
        let fault = match left.find(&as_sent, WELCOME) {
            Some(at) if at < cue => None,
            Some(_) | None => Some("the caller did not hear the welcome".to_owned()),
        };
        let fault = fault
            .or_else(|| caller.fault("the caller", "the counselor"))
            .or_else(|| counselor.fault("the counselor", "the caller"));
        Verdict { table: table(&caller, &counselor), left, right, fault }
    }

    /// The part of a track that is judged of one turn.
    fn turn<'a>(&self, track: &'a Track, n: usize) -> &'a [i16] {
        let length = usize::try_from(TURN.as_millis() * 8).unwrap_or(0);
        let begin = usize::try_from(place(self.cue, self.began)).unwrap_or(0) + n * length;
        track.between(begin + MARGIN, begin + length - MARGIN)
    }
}

impl Side {
    fn fault(&self, who: &str, whom: &str) -> Option<String> {
        if self.voice.share < SHARE_MIN {
            let share = percent(self.voice.share);
            return Some(format!("{who} heard {whom} for {share} of the time only"));
        }
        (self.echo > 0.0).then(|| {
            let share = percent(self.echo);
            format!("{who} heard their own voice come back for {share} of the time")
        })
    }

    fn tone(&self) -> String {
        match self.hz {
            Some(hz) => format!("{hz} Hz, {:.0} dBm0", self.voice.level),
            None => "silence".to_owned(),
        }
    }

    /// Median and longest.
    fn delay(&self) -> String {
        match (self.delays.get(self.delays.len() / 2), self.delays.last()) {
            (Some(median), Some(longest)) => format!("{:.1} / {:.1} ms", ms(*median), ms(*longest)),
            _ => "-".to_owned(),
        }
    }
}

fn table(caller: &Side, counselor: &Side) -> Vec<String> {
    let row = |name: &str, value: &dyn Fn(&Side) -> String| {
        format!("  {name:<22}{:<22}{}", value(caller), value(counselor))
    };
    vec![
        format!("  {:<22}{:<22}the counselor heard", "", "the caller heard"),
        row("tone, level", &Side::tone),
        row("while it was sent", &|side| percent(side.voice.share)),
        row("own voice back", &|side| percent(side.echo)),
        row("longest gap", &|side| format!("{:.1} ms", ms(side.gap))),
        row("delay, median / max", &Side::delay),
    ]
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::phone::audio::Heard;

    fn prompt() -> Vec<i16> {
        (0..16_000_i32).map(|n| ((n * n / 7) % 9_000 - 4_500) as i16).collect()
    }

    fn packets(from: Instant, timestamp: u32, samples: &[u8]) -> Vec<Heard> {
        let packet = |(n, payload): (usize, &[u8])| Heard {
            at: from + Duration::from_millis(20 * n as u64 + 1),
            ssrc: 1,
            timestamp: timestamp + 160 * n as u32,
            payload: payload.to_vec(),
        };
        samples.chunks(160).enumerate().map(packet).collect()
    }

    /// A talk in which the caller heard the prompt and then this; the counselor that.
    fn talk(caller_hears: &[u8], counselor_hears: &[u8]) -> Talk {
        let began = Instant::now();
        let cue = began + Duration::from_secs(3);
        let welcome = prompt();
        let encoded: Vec<u8> = welcome.iter().map(|s| encode(Law::Mu, *s)).collect();
        let mut caller = packets(began, 0, &encoded);
        caller.extend(packets(cue, 24_000, caller_hears));
        let caller = Recording { said: vec![], heard: caller };
        let heard = packets(cue, 0, counselor_hears);
        Talk { caller, counselor: Recording { said: vec![], heard }, began, cue, welcome }
    }

    #[test]
    fn voices_that_cross_are_found_to() {
        let verdict = talk(&COUNSELOR.words(), &CALLER.words()).judge();
        assert_eq!(verdict.fault, None);
        let tones = verdict.table.iter().find(|line| line.contains("Hz")).unwrap();
        assert!(tones.contains("659 Hz") || tones.contains("660 Hz"), "{tones}");
        assert!(verdict.table.iter().any(|line| line.contains("100 %")), "{:?}", verdict.table);
    }

    #[test]
    fn silence_the_wrong_voice_and_echo_are_faults() {
        let silence = vec![0xff; CALLER.words().len()];
        let fault = |a: &[u8], b: &[u8]| talk(a, b).judge().fault.unwrap();
        assert!(
            fault(&silence, &CALLER.words()).starts_with("the caller heard the counselor for 0 %")
        );
        assert!(
            fault(&COUNSELOR.words(), &silence).starts_with("the counselor heard the caller for")
        );
        assert!(fault(&CALLER.words(), &CALLER.words()).starts_with("the caller heard the couns"));
        let mut own = COUNSELOR.words();
        let turn = own.len() / 3;
        own[..turn].copy_from_slice(&CALLER.words()[..turn]);
        assert!(fault(&own, &CALLER.words()).contains("come back"));
    }

    #[test]
    fn a_welcome_that_was_not_heard_is_a_fault() {
        let mut talk = talk(&COUNSELOR.words(), &CALLER.words());
        talk.welcome.iter_mut().for_each(|sample| *sample /= 2);
        assert_eq!(talk.judge().fault.as_deref(), Some("the caller did not hear the welcome"));
    }
}
