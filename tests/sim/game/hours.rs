//! The hours of a line in a world that lives for hours: it opens and closes again and again, from the
//! afternoon until after midnight, at weekends.
//!
//! Owns when such a line takes callers, by counting minutes and nothing else: the service's own
//! calendar is not asked, so that its records can be judged.

use std::fmt::Write as _;

use koebashi::call::cdr::{Cdr, Outcome};
use koebashi::chance::Chance;
use koebashi::time::Timestamp;

use super::super::terms::DEAD;

/// Minutes of a day.
const DAY: u64 = 24 * 60;
/// The first minute of a day in which a line opens, by the clock; it does so until midnight.
const DUSK: u64 = 17 * 60;
/// Minutes that the clock in Tokyo is ahead.
const TOKYO: i64 = 9 * 60;

/// Windows that come again and again, in minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hours {
    /// From one opening to the next.
    cycle: u64,
    /// The first opening, by the clock.
    first: u64,
    /// How long callers are taken.
    intake: u64,
    /// How long counseling goes on then.
    winding: u64,
}

impl Hours {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let cycle = [90, 120][chance.below(2) as usize];
        let intake = cycle / 2 + chance.below(cycle / 4);
        let first = DUSK + chance.below(cycle);
        let winding = [0, 1, 2, 5, 15][chance.below(5) as usize];
        Self { cycle, first, intake, winding }
    }

    /// As an operator would write them.
    pub(super) fn toml(self) -> String {
        let clock = |minute: u64| format!("{:02}:{:02}", minute % DAY / 60, minute % 60);
        let mut toml = String::new();
        for open in (self.first..DAY).step_by(self.cycle as usize) {
            let end = open + self.intake;
            write!(
                toml,
                "[[line.hours]]\ndays = [\"sat\", \"sun\"]\nopen = \"{}\"\nintake_end = \"{}\"\n\
                 service_end = \"{}\"\n",
                clock(open),
                clock(end),
                clock(end + self.winding)
            )
            .expect("a string takes it");
        }
        toml
    }

    /// Whether callers are taken at this moment.
    fn are_open(self, at: Timestamp) -> bool {
        let minute = at.timestamp().div_euclid(60) + TOKYO;
        let since = (minute - self.first as i64).rem_euclid(DAY as i64);
        // The day on which the first window opened; the first day of all was a Thursday.
        let is_weekend = matches!((minute - since).div_euclid(DAY as i64).rem_euclid(7), 2 | 3);
        let (window, open_for) = (since as u64 / self.cycle, since as u64 % self.cycle);
        let is_one = self.first + window * self.cycle < DAY;
        is_weekend && is_one && open_for < self.intake
    }

    /// What is wrong with a record. `is_first`: callers come to this line by its number alone, and
    /// not on from another.
    pub(super) fn judge(self, cdr: &Cdr, is_first: bool, deaths: u64) -> Option<String> {
        let (at, then) = (self.are_open(cdr.started), self.are_open(cdr.ended));
        let was_open = at || !is_first && then;
        // A process may have died of an INVITE, and the next one answers it.
        let soon = deaths == 0 || self.are_open(cdr.started + DEAD);
        let was_closed = !at || !soon || !is_first && !then;
        let is_right = match cdr.outcome {
            // A counselor may have handed the caller on, who came in before.
            Outcome::Answered => was_open || !is_first,
            Outcome::Abandoned
            | Outcome::ShortAbandoned
            | Outcome::TimedOut
            | Outcome::Full
            | Outcome::NoCounselor => was_open,
            Outcome::Closed => was_closed,
            Outcome::GuidanceAbandoned | Outcome::Refused | Outcome::Failed => true,
        };
        (!is_right).then(|| format!("{}: {:?} from {} on", cdr.call, cdr.outcome, cdr.started))
    }
}
