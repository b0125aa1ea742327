//! Supervision: a supervisor's leg in a call, and who hears whom then.
//!
//! Owns the supervisor's leg from its answer on, and the table of ears ([`Scene::hears`]). Who may
//! take part in what is the switchboard's; carrying the table out is the bridge's.

use std::time::Instant;

use super::config::{Extension, SupervisionMode};
use super::io::Io;
use super::leg::{Fault, Leg};
use crate::media::{Digit, Keys};

/// Who is in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    Caller,
    Counselor,
    Supervisor,
}

impl Party {
    pub(super) const ALL: [Self; 3] = [Self::Caller, Self::Counselor, Self::Supervisor];
}

/// What somebody hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Hears {
    /// Nothing yet.
    #[default]
    Nothing,
    /// Music: whom they would hear holds, or a transfer is under way.
    Music,
    /// One of the two whose call it is, passed on as it comes.
    Voice(Party),
    /// These, mixed.
    Mix(Vec<Party>),
}

/// What decides who hears whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scene {
    /// How the supervisor takes part; `None`: there is none.
    pub(super) mode: Option<SupervisionMode>,
    /// Whose phone holds us: from there nothing is to be heard.
    pub(super) on_hold: Vec<Party>,
    /// The caller waits for a colleague: the counselor is not heard by them.
    pub(super) is_handed_on: bool,
}

impl Scene {
    /// What somebody hears. Only caller and counselor hear each other directly; whatever has a
    /// supervisor in it is a mix, so that the relay of the two goes on untouched.
    pub(super) fn hears(&self, hearer: Party) -> Hears {
        let is_away = |speaker: &Party| {
            let is_left = hearer == Party::Caller && *speaker == Party::Counselor;
            self.on_hold.contains(speaker) || is_left && self.is_handed_on
        };
        if hearer == Party::Supervisor && self.mode.is_none() {
            return Hears::Nothing;
        }
        let mut heard = speakers(self.mode, hearer).to_vec();
        heard.retain(|speaker| !is_away(speaker));
        match heard.as_slice() {
            [] => Hears::Music,
            [one] if hearer != Party::Supervisor && *one != Party::Supervisor => Hears::Voice(*one),
            _ => Hears::Mix(heard),
        }
    }
}

/// Whom somebody may hear.
fn speakers(mode: Option<SupervisionMode>, hearer: Party) -> &'static [Party] {
    use Party::{Caller, Counselor, Supervisor};
    use SupervisionMode::{Join, Listen, Whisper};
    match (hearer, mode) {
        (Caller, None | Some(Listen | Whisper)) => &[Counselor],
        (Caller, Some(Join)) => &[Counselor, Supervisor],
        (Counselor, None | Some(Listen)) => &[Caller],
        (Counselor, Some(Whisper | Join)) => &[Caller, Supervisor],
        (Supervisor, None) => &[],
        (Supervisor, Some(_)) => &[Caller, Counselor],
    }
}

/// What a key of the supervisor's phone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Mode(SupervisionMode),
    End,
}

impl Key {
    fn of(digit: Digit) -> Option<Self> {
        match digit.char() {
            '1' => Some(Self::Mode(SupervisionMode::Listen)),
            '2' => Some(Self::Mode(SupervisionMode::Whisper)),
            '3' => Some(Self::Mode(SupervisionMode::Join)),
            '0' | '#' => Some(Self::End),
            _ => None,
        }
    }
}

/// What the supervisor's leg waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The ACK.
    Answered,
    /// The end.
    On(Instant),
}

/// A supervisor in a call.
#[derive(Debug)]
pub(super) struct Supervision {
    pub(super) extension: Extension,
    pub(super) leg: Leg,
    pub(super) mode: SupervisionMode,
    stage: Stage,
    keys: Keys,
}

impl Supervision {
    /// Answers a supervisor who dialed, or takes one who was rung and has answered.
    pub(super) fn answer(
        io: &mut Io<'_>,
        extension: Extension,
        mut leg: Leg,
        mode: SupervisionMode,
    ) -> Result<Self, Fault> {
        if let Err(fault) = leg.answer(io) {
            leg.hang_up(io, None);
            return Err(fault);
        }
        leg.take_keys(io);
        Ok(Self { extension, leg, mode, stage: Stage::Answered, keys: Keys::default() })
    }

    /// One who took part before a restart, since then.
    pub(super) fn restore(
        extension: Extension,
        leg: Leg,
        mode: SupervisionMode,
        since: Instant,
    ) -> Self {
        Self { extension, leg, mode, stage: Stage::On(since), keys: Keys::default() }
    }

    /// Takes part from here on, if the phone can hear. True once.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let begins = self.stage == Stage::Answered && self.leg.can_hear();
        if begins {
            self.stage = Stage::On(now);
        }
        begins
    }

    /// Since when they take part.
    pub(super) fn since(&self) -> Option<Instant> {
        match self.stage {
            Stage::Answered => None,
            Stage::On(since) => Some(since),
        }
    }

    /// How they take part, if they do already.
    pub(super) fn mode(&self) -> Option<SupervisionMode> {
        self.since().map(|_| self.mode)
    }

    /// A key of their phone, by whatever means.
    pub(super) fn on_digit(
        &mut self,
        now: Instant,
        digit: Digit,
        means: crate::media::Means,
    ) -> Option<Key> {
        if self.keys.is_press(now, digit, means) { Key::of(digit) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of mode, holds and transfer, and what each of the three hears.
    #[test]
    fn who_hears_whom() {
        let modes = [None].into_iter().chain(SupervisionMode::ALL.map(Some));
        let mut table = String::new();
        for mode in modes {
            for holds in 0..8_u8 {
                let held = Party::ALL.into_iter().enumerate();
                let on_hold: Vec<_> =
                    held.filter(|(n, _)| holds & (1 << n) != 0).map(|(_, p)| p).collect();
                if mode.is_none() && on_hold.contains(&Party::Supervisor) {
                    continue;
                }
                for is_handed_on in [false, true] {
                    let scene = Scene { mode, on_hold: on_hold.clone(), is_handed_on };
                    let ears = Party::ALL.map(|party| format!("{:?}", scene.hears(party)));
                    let mode = mode.map_or("-", SupervisionMode::name);
                    let hold = on_hold.iter().map(|p| format!("{p:?} ")).collect::<String>();
                    let transfer = if is_handed_on { "transfer" } else { "-" };
                    let [a, b, c] = ears;
                    table += &format!("{mode:<8} {hold:<28} {transfer:<9} {a:<32} {b:<30} {c}\n");
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    /// The promise of each mode, whatever is held.
    #[test]
    fn a_supervisor_is_heard_by_nobody_else() {
        for mode in SupervisionMode::ALL {
            for on_hold in [vec![], vec![Party::Caller], vec![Party::Counselor]] {
                for is_handed_on in [false, true] {
                    let scene = Scene { mode: Some(mode), on_hold: on_hold.clone(), is_handed_on };
                    let is_heard = |by| match scene.hears(by) {
                        Hears::Mix(of) => of.contains(&Party::Supervisor),
                        Hears::Voice(of) => of == Party::Supervisor,
                        Hears::Nothing | Hears::Music => false,
                    };
                    let by = (is_heard(Party::Caller), is_heard(Party::Counselor));
                    let expected = match mode {
                        SupervisionMode::Listen => (false, false),
                        SupervisionMode::Whisper => (false, true),
                        SupervisionMode::Join => (true, true),
                    };
                    assert_eq!(by, expected, "{scene:?}");
                    assert!(!is_heard(Party::Supervisor));
                }
            }
        }
    }
}
