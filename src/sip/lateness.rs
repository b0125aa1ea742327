//! Whether we are behind: a new call has waited for long to be read, and so have all before it.
//!
//! Owns the judgement. One that has waited says nothing: the process may have stood still, or begun
//! just now with what came meanwhile in its sockets. Whoever called then is served.

use std::time::{Duration, Instant};

/// How long all that are read have to have waited: longer than it takes to read what has come while
/// the process stood still.
const LASTS: Duration = Duration::from_millis(300);
/// Calls that come further apart than this are no crowd: each is judged by itself.
const CONNECTS: Duration = Duration::from_secs(2);
/// Whoever was behind so recently is so again with the first message that has waited: otherwise
/// calls are taken in by turns that have long given up.
const REMEMBERS: Duration = Duration::from_secs(10);

/// How late we are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    /// Since when all that came has been late, and when the latest of it was read.
    since: Option<(Instant, Instant)>,
    /// When we were behind last.
    behind: Option<Instant>,
}

impl Lateness {
    /// A new call is read that has waited so long, where `limit` is right: whether we are behind.
    pub fn reads(&mut self, now: Instant, waited: Duration, limit: Duration) -> bool {
        if waited < limit {
            self.since = None;
            return false;
        }
        let since = match self.since {
            Some((since, last)) if now < last + CONNECTS => since,
            // What was late an hour ago says nothing about now.
            Some(_) | None => now,
        };
        self.since = Some((since, now));
        let lasts = now.saturating_duration_since(since) >= LASTS;
        let was_behind = self.behind.is_some_and(|last| now < last + REMEMBERS);
        if lasts || was_behind {
            self.behind = Some(now);
        }
        lasts || was_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn who_is_late_for_long_is_behind_and_is_so_again_soon() {
        let (t0, mut lateness) = (now(), Lateness::default());
        let mut at = |after, waited| lateness.reads(t0 + ms(after), ms(waited), LIMIT);
        assert!(!at(0, 150));
        assert!(!at(299, 400));
        assert!(!at(300, 99));
        assert!(!at(301, 150));
        assert!(at(601, 150));
        assert!(at(602, 4_000));
        // Punctual messages are served, and late ones not, until nothing has been late for long.
        assert!(!at(603, 99));
        assert!(at(604, 150));
        assert!(!at(10_605, 99));
        assert!(!at(10_606, 150));
        assert!(at(10_906, 150));
    }

    #[test]
    fn two_calls_of_a_quiet_night_that_each_came_late_are_both_served() {
        let (t0, mut lateness) = (now(), Lateness::default());
        for n in 0..5 {
            assert!(!lateness.reads(t0 + ms(n * 2_400_000), ms(120), LIMIT), "{n}");
        }
    }

    #[test]
    fn a_pause_is_not_being_behind() {
        let (t0, mut lateness) = (now(), Lateness::default());
        // All that came in five seconds is read within a quarter of one.
        for n in 0..2_500 {
            assert!(!lateness.reads(t0 + ms(n / 10), ms(5_000 - 2 * n), LIMIT), "{n}");
        }
    }
}
