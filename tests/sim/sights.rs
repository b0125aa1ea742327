//! What is seen only where hours go by: renewals and their absence, closings and openings, waits and
//! notes that last as long as they may.
//!
//! Owns the tally, so that a test can claim that all of it happens. Whether it happens rightly is
//! [`terms`](super::terms)'s and [`hours`](super::hours)'s.

use std::collections::BTreeMap;
use std::time::Duration;

use koebashi::call::board::{Board, CounselorState, LineView, PhaseName};
use koebashi::call::cdr::{Cdr, Outcome};
use koebashi::call::config::Override;
use koebashi::media::Command;

use super::world::World;

/// A wait or time for notes that is worth telling: no short world has one.
const LONG: Duration = Duration::from_secs(89);

/// One of these sights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// A phone registers again before its time is over.
    RegistrationRenewed,
    /// The time of a registration is over.
    RegistrationLapsed,
    /// A phone refreshes a session.
    RefreshedByPhone,
    /// The service refreshes one.
    RefreshedByUs,
    /// The service ends a session that the phone was to refresh.
    SessionGivenUp,
    /// The intake of a line ends by its hours.
    IntakeEnds,
    /// It ends while somebody waits.
    IntakeEndsOnWaiting,
    /// It ends while somebody talks.
    IntakeEndsOnTalking,
    /// The service of a line ends while somebody talks.
    ServiceEndsOnTalking,
    /// A line opens again.
    Opens,
    /// A caller is told that the line is closed, by its hours.
    ToldClosed,
    /// A counselor hears that the service will end.
    Tone,
    /// Minutes for notes end by themselves.
    NotesEnd,
    /// A caller has waited for minutes, and no longer.
    WaitEnds,
}

impl Sight {
    /// All of them.
    pub(crate) const ALL: [Self; 14] = [
        Self::RegistrationRenewed,
        Self::RegistrationLapsed,
        Self::RefreshedByPhone,
        Self::RefreshedByUs,
        Self::SessionGivenUp,
        Self::IntakeEnds,
        Self::IntakeEndsOnWaiting,
        Self::IntakeEndsOnTalking,
        Self::ServiceEndsOnTalking,
        Self::Opens,
        Self::ToldClosed,
        Self::Tone,
        Self::NotesEnd,
        Self::WaitEnds,
    ];
}

/// How often each was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sights(pub BTreeMap<Sight, usize>);

impl Extend<Sight> for Sights {
    fn extend<I: IntoIterator<Item = Sight>>(&mut self, all: I) {
        all.into_iter().for_each(|sight| *self.0.entry(sight).or_default() += 1);
    }
}

/// Where a line stands, as the board shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    Winding,
    Closed,
}

fn door(line: &LineView) -> Door {
    match (line.open, line.closes_at) {
        (true, _) => Door::Open,
        (false, Some(_)) => Door::Winding,
        (false, None) => Door::Closed,
    }
}

impl World {
    /// Another board is about to be shown.
    pub(super) fn note_board(&mut self, board: &Board) {
        // A step of the wall clock is nobody's closing.
        let span = (board.at - self.shown.at).to_std().unwrap_or_default();
        if span < Duration::from_secs(2) {
            for (before, after) in self.shown.lines.iter().zip(&board.lines) {
                let sights = doors(board, before, after);
                self.sights.extend(sights);
            }
        }
        for (before, after) in self.shown.counselors.iter().zip(&board.counselors) {
            let is_over = before.state == CounselorState::WrapUp
                && after.state != CounselorState::WrapUp
                && before.wrap_up_left.is_some_and(|left| left < Duration::from_secs(2));
            self.sights.extend((is_over && before.for_ > LONG).then_some(Sight::NotesEnd));
        }
    }

    /// A record comes.
    pub(super) fn note_record(&mut self, cdr: &Cdr) {
        let mut lines = self.shown.lines.iter();
        let by_hours =
            |line: &LineView| Some(&line.line) == cdr.line.as_ref() && line.over == Override::Auto;
        let is_told = cdr.outcome == Outcome::Closed && lines.any(by_hours);
        let is_through = cdr.outcome == Outcome::TimedOut && cdr.wait > LONG;
        self.sights.extend(is_told.then_some(Sight::ToldClosed));
        self.sights.extend(is_through.then_some(Sight::WaitEnds));
    }

    /// The media plane is told something.
    pub(super) fn note_tone(&mut self, command: &Command) {
        if let Command::Overlay { prompts, .. } = command {
            let is_tone = prompts.iter().any(|prompt| TONES.contains(&&*prompt.0));
            self.sights.extend(is_tone.then_some(Sight::Tone));
        }
    }
}

/// The tones before the end of the service.
const TONES: [&str; 3] = ["tone_15m", "tone_5m", "tone_1m"];

/// What becomes of a line between two boards.
fn doors(board: &Board, before: &LineView, after: &LineView) -> Vec<Sight> {
    let by_hours = before.over == Override::Auto && after.over == Override::Auto;
    if before.line != after.line || !by_hours {
        return Vec::new();
    }
    let has = |phase: fn(PhaseName) -> bool| {
        board.calls.iter().any(|call| call.line.as_ref() == Some(&after.line) && phase(call.phase))
    };
    let waits = has(|phase| matches!(phase, PhaseName::Queue | PhaseName::Ringing));
    let talks = has(|phase| phase == PhaseName::Bridge);
    let seen = match (door(before), door(after)) {
        (Door::Open, then @ (Door::Winding | Door::Closed)) => [
            Some(Sight::IntakeEnds),
            waits.then_some(Sight::IntakeEndsOnWaiting),
            talks.then_some(Sight::IntakeEndsOnTalking),
            (talks && then == Door::Closed).then_some(Sight::ServiceEndsOnTalking),
        ],
        (Door::Winding, Door::Closed) => {
            [talks.then_some(Sight::ServiceEndsOnTalking), None, None, None]
        }
        (Door::Winding | Door::Closed, Door::Open) => [Some(Sight::Opens), None, None, None],
        _ => [None; 4],
    };
    seen.into_iter().flatten().collect()
}
