//! When a line is checked by itself: once before each opening.
//!
//! Pure. It looks at the wall clock of the moment alone, so that a clock that is set makes no run
//! come twice or never, and a run that was missed is made up for while the line has not opened yet.

use std::time::Duration;

use chrono_tz::Tz;

use crate::call::config::Schedule;
use crate::call::schedule::next_openings;
use crate::time::Timestamp;

/// The opening for which a run is due at `now`; `made`: the one for which the last was made.
pub(super) fn due(
    schedule: &Schedule,
    tz: Tz,
    before: Duration,
    made: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let open = next_openings(schedule, tz, now, 1).first()?.open;
    let is_near = (open - now).to_std().is_ok_and(|left| left <= before);
    (is_near && made != Some(open)).then_some(open)
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Asia, Europe};

    use super::*;
    use crate::config;

    const BEFORE: Duration = Duration::from_secs(15 * 60);

    fn schedule(hours: &str) -> Schedule {
        let toml = format!("[[line]]\nid = \"a\"\nname = \"a\"\nnumbers = [\"1234\"]\n{hours}");
        let loaded = config::parse(&toml, "test", std::path::Path::new("")).unwrap();
        loaded.call.lines.values().next().unwrap().schedule.clone()
    }

    fn saturdays() -> Schedule {
        schedule(
            "[[line.hours]]\ndays = [\"sat\"]\nopen = \"18:00\"\nintake_end = \"21:30\"\n\
                  service_end = \"22:00\"\n",
        )
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The runs of a service that looks at these moments, one after the other.
    fn runs(schedule: &Schedule, tz: Tz, moments: &[&str]) -> Vec<String> {
        let mut made = None;
        let mut runs = Vec::new();
        for moment in moments {
            if let Some(open) = due(schedule, tz, BEFORE, made, at(moment)) {
                runs.push(format!("{moment} for {}", open.format("%dT%H:%M")));
                made = Some(open);
            }
        }
        runs
    }

    /// 18:00 in Tokyo is 09:00 in UTC; the 28th is a Saturday.
    #[test]
    fn each_opening_gets_one_run() {
        let moments = [
            "2026-11-28T08:44:59Z",
            "2026-11-28T08:45:00Z",
            "2026-11-28T08:45:05Z",
            "2026-11-28T08:59:59Z",
            "2026-11-28T09:00:00Z",
            "2026-12-05T08:44:59Z",
            "2026-12-05T08:45:03Z",
        ];
        let expected = ["2026-11-28T08:45:00Z for 28T09:00", "2026-12-05T08:45:03Z for 05T09:00"];
        assert_eq!(runs(&saturdays(), Asia::Tokyo, &moments), expected);
    }

    #[test]
    fn a_clock_that_is_set_makes_none_twice_and_none_never() {
        // Set back over the run, and forward over its moment.
        let back = ["2026-11-28T08:46:00Z", "2026-11-28T08:30:00Z", "2026-11-28T08:46:00Z"];
        assert_eq!(runs(&saturdays(), Asia::Tokyo, &back), ["2026-11-28T08:46:00Z for 28T09:00"]);
        let forward = ["2026-11-28T08:00:00Z", "2026-11-28T08:58:00Z"];
        assert_eq!(
            runs(&saturdays(), Asia::Tokyo, &forward),
            ["2026-11-28T08:58:00Z for 28T09:00"]
        );
        // Over the opening itself: it is too late for this one.
        let over = ["2026-11-28T08:00:00Z", "2026-11-28T09:10:00Z"];
        assert_eq!(runs(&saturdays(), Asia::Tokyo, &over), [""; 0]);
    }

    #[test]
    fn a_restart_makes_up_for_what_was_missed_and_repeats_nothing() {
        let (schedule, now) = (saturdays(), at("2026-11-28T08:50:00Z"));
        let open = Some(at("2026-11-28T09:00:00Z"));
        assert_eq!(due(&schedule, Asia::Tokyo, BEFORE, None, now), open);
        assert_eq!(due(&schedule, Asia::Tokyo, BEFORE, open, now), None);
        let last_week = Some(at("2026-11-21T09:00:00Z"));
        assert_eq!(due(&schedule, Asia::Tokyo, BEFORE, last_week, now), open);
    }

    #[test]
    fn closed_days_open_lines_and_other_zones() {
        let closed = saturdays();
        let closed = Schedule { closed_dates: vec!["2026-11-28".parse().unwrap()], ..closed };
        assert_eq!(runs(&closed, Asia::Tokyo, &["2026-11-28T08:50:00Z"]), [""; 0]);
        assert_eq!(runs(&schedule(""), Asia::Tokyo, &["2026-11-28T08:50:00Z"]), [""; 0]);
        // Summer time in Berlin ends on the 25th of October 2026: 18:00 is 16:00, then 17:00 UTC.
        let moments = ["2026-10-24T15:50:00Z", "2026-10-31T15:50:00Z", "2026-10-31T16:50:00Z"];
        assert_eq!(
            runs(&saturdays(), Europe::Berlin, &moments),
            ["2026-10-24T15:50:00Z for 24T16:00", "2026-10-31T16:50:00Z for 31T17:00"]
        );
    }
}
