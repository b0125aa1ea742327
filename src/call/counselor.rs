//! A counselor: what they chose, and what they do.
//!
//! Owns intention, wrap-up, missed rings and the counts that strategies go by. Ringing and talking
//! are not kept here: they are read off the live calls, so that nobody can get stuck in them.

use std::collections::VecDeque;
use std::time::Instant;

use super::board::{Chooser, CounselorState};
use super::cdr::CallId;
use super::config::{SignIn, Strategy};
use super::intention::Intention;
use super::kept;
use crate::time::Anchor;

/// The reason of a pause after missed rings.
const MISSED: &str = "missed";

/// The last calls of a counselor that are known: more than may end before their records are kept.
const RECENT_MAX: usize = 4;
/// Nobody takes or misses as many calls while a process lives.
const COUNT_MAX: u32 = 1 << 30;

/// What live legs say of a counselor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// A phone of theirs is being rung.
    Ringing,
    /// They are in a call.
    Talking,
}

/// Whether a phone of theirs can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phone {
    /// There is none.
    Gone,
    /// There is one that does not answer.
    Lost,
    /// There is.
    There,
}

/// A counselor, as far as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Counselor {
    pub(super) intention: Intention,
    /// Who chose that.
    pub(super) chosen_by: Chooser,
    pub(super) phone: Phone,
    /// When the phone was last there, if it is not now and ever was.
    pub(super) away_since: Option<Instant>,
    pub(super) missed: u32,
    pub(super) taken: u32,
    /// The last calls that they took, the last one last.
    pub(super) recent: VecDeque<CallId>,
    /// Since when they have had no call: `longest_idle`.
    pub(super) idle_since: Instant,
    /// When their phone last rang: `round_robin`.
    pub(super) rung: u64,
    pub(super) wrap_up_until: Option<Instant>,
    /// A stored log-out outlives the restart: the first sight of the phone does not sign in.
    is_restored: bool,
    /// The state last shown, and since when.
    pub(super) shown: (CounselorState, Instant),
}

impl Counselor {
    /// A counselor at the start of the process. `stored`: what they chose last, if ever.
    pub(super) fn new(now: Instant, sign_in: SignIn, stored: Option<Intention>) -> Self {
        let is_restored = stored.is_some();
        let intention = stored.unwrap_or(match sign_in {
            SignIn::Auto => Intention::Ready,
            SignIn::Manual => Intention::LoggedOut,
        });
        let is_missed = matches!(&intention, Intention::Paused(why) if why == MISSED);
        Self {
            intention,
            chosen_by: if is_missed { Chooser::Missed } else { Chooser::Own },
            phone: Phone::Gone,
            away_since: None,
            missed: 0,
            taken: 0,
            recent: VecDeque::new(),
            idle_since: now,
            rung: 0,
            wrap_up_until: None,
            is_restored,
            shown: (CounselorState::Offline, now),
        }
    }

    /// What is kept of them. What they chose is in the store, their phone in the registrar.
    pub(super) fn keep(&self, anchor: &Anchor) -> kept::Counselor {
        kept::Counselor {
            idle_since: anchor.nanos(self.idle_since),
            wrap_up_until: self.wrap_up_until.map(|until| anchor.nanos(until)),
            missed: self.missed,
            taken: self.taken,
            recent: self.recent.iter().map(ToString::to_string).collect(),
            rung: self.rung,
        }
    }

    /// Goes on with it.
    pub(super) fn restore(&mut self, kept: &kept::Counselor, anchor: &Anchor) {
        self.idle_since = anchor.instant(kept.idle_since);
        self.wrap_up_until = kept.wrap_up_until.map(|until| anchor.instant(until));
        self.missed = kept.missed.min(COUNT_MAX);
        self.taken = kept.taken.min(COUNT_MAX);
        let recent = kept.recent.iter().take(RECENT_MAX);
        self.recent = recent.map(|call| CallId(call.as_str().into())).collect();
        self.rung = kept.rung.min(COUNT_MAX.into());
    }

    /// What they do now.
    pub(super) fn state(&self, activity: Option<Activity>) -> CounselorState {
        match (activity, &self.intention, self.phone, self.wrap_up_until) {
            (Some(Activity::Talking), ..) => CounselorState::Talking,
            (Some(Activity::Ringing), ..) => CounselorState::Ringing,
            (None, Intention::LoggedOut, ..) => CounselorState::Offline,
            (None, _, Phone::Gone | Phone::Lost, _) => CounselorState::Unreachable,
            (None, _, _, Some(_)) => CounselorState::WrapUp,
            (None, Intention::Paused(why), ..) => CounselorState::Paused(why.clone()),
            (None, Intention::Ready, ..) => CounselorState::Ready,
        }
    }

    /// Whether waiting for them makes sense: ready, or soon ready again. `activity` is asked only
    /// where it decides.
    pub(super) fn is_on_duty(&self, activity: impl FnOnce() -> Option<Activity>) -> bool {
        self.intention == Intention::Ready
            && (self.phone == Phone::There || activity() == Some(Activity::Talking))
    }

    /// The phone appeared or went. Returns the intention when that changed it: a phone that is
    /// switched on signs in, one that was out of reach for a while changes nothing.
    pub(super) fn on_phone(
        &mut self,
        now: Instant,
        phone: Phone,
        sign_in: SignIn,
    ) -> Option<Intention> {
        match (self.phone, phone) {
            (_, Phone::There) => self.away_since = None,
            (Phone::There, Phone::Gone | Phone::Lost) => self.away_since = Some(now),
            (Phone::Gone | Phone::Lost, Phone::Gone | Phone::Lost) => {}
        }
        let appeared = self.phone == Phone::Gone && phone == Phone::There;
        self.phone = phone;
        if !appeared {
            return None;
        }
        let was_restored = std::mem::replace(&mut self.is_restored, false);
        let signs_in =
            sign_in == SignIn::Auto && self.intention == Intention::LoggedOut && !was_restored;
        signs_in.then(|| {
            self.intention = Intention::Ready;
            self.chosen_by = Chooser::Own;
            Intention::Ready
        })
    }

    /// They chose, or somebody for them.
    pub(super) fn intend(&mut self, now: Instant, intention: Intention, by: Chooser) {
        self.chosen_by = by;
        if intention == Intention::Ready {
            self.missed = 0;
            if self.intention != Intention::Ready {
                self.idle_since = now;
            }
        }
        self.intention = intention;
    }

    /// A ring was missed. Returns the intention when that was one too many (`limit` 0: never).
    pub(super) fn on_missed(&mut self, limit: u32) -> Option<Intention> {
        self.missed += 1;
        (limit > 0 && self.missed >= limit && self.intention == Intention::Ready).then(|| {
            self.intention = Intention::Paused(MISSED.to_owned());
            self.chosen_by = Chooser::Missed;
            self.intention.clone()
        })
    }

    /// They took a call.
    pub(super) fn on_taken(&mut self, call: CallId) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(call);
        self.missed = 0;
        self.taken += 1;
    }
}

/// What a strategy compares; the least is rung first.
pub(super) fn rank(
    strategy: Strategy,
    counselor: &Counselor,
    base: Instant,
    order: usize,
) -> (u64, usize) {
    let key = match strategy {
        Strategy::LongestIdle => {
            counselor.idle_since.saturating_duration_since(base).as_micros() as u64
        }
        Strategy::RoundRobin => counselor.rung,
        Strategy::FewestCalls => u64::from(counselor.taken),
        Strategy::RingAll | Strategy::Ordered => 0,
    };
    (key, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of what is chosen, where the phone is, what live calls say and wrap-up.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn states() {
        let now = Instant::now();
        let intentions =
            [Intention::LoggedOut, Intention::Ready, Intention::Paused("lunch".to_owned())];
        let activities = [None, Some(Activity::Ringing), Some(Activity::Talking)];
        let mut table = String::new();
        for intention in intentions {
            for phone in [Phone::Gone, Phone::Lost, Phone::There] {
                for activity in activities {
                    for wraps_up in [false, true] {
                        let stored = Some(intention.clone());
                        let mut counselor = Counselor::new(now, SignIn::Auto, stored);
                        counselor.phone = phone;
                        counselor.wrap_up_until = wraps_up.then_some(now);
                        let cells = [
                            format!("{intention:?}"),
                            format!("{phone:?}"),
                            format!("{activity:?}"),
                            if wraps_up { "wrap-up" } else { "-" }.to_owned(),
                            format!("{:?}", counselor.state(activity)),
                        ];
                        let duty = if counselor.is_on_duty(|| activity) { "on duty" } else { "-" };
                        let cells = cells.map(|cell| format!("{cell:<15} | "));
                        table += &format!("{}{duty}\n", cells.concat());
                    }
                }
            }
        }
        insta::assert_snapshot!(table);
    }
}
