//! Calls that were refused because more came than could be taken in.
//!
//! Owns how they are told of: a record each would cost what is missing just then, so that there is
//! their number, once a minute, in the log and in the audit trail. Does not own whom to refuse
//! (`sip::lateness`).

use std::time::{Duration, Instant};

/// How often it is told at most.
const EVERY: Duration = Duration::from_secs(60);

/// How many have been told of.
#[derive(Debug, Default)]
pub(super) struct Shed {
    told: u64,
    last: Option<Instant>,
}

impl Shed {
    /// So many have been refused since the start; how many of them are to be told of now.
    pub(super) fn beat(&mut self, now: Instant, refused: u64) -> Option<u64> {
        let new = refused.saturating_sub(self.told);
        let is_soon = self.last.is_some_and(|last| now < last + EVERY);
        if new == 0 || is_soon {
            return None;
        }
        (self.told, self.last) = (refused, Some(now));
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_a_minute() {
        let (t0, mut shed) = (Instant::now(), Shed::default());
        let mut at = |seconds, refused| shed.beat(t0 + Duration::from_secs(seconds), refused);
        assert_eq!(at(0, 0), None);
        assert_eq!(at(1, 3), Some(3));
        assert_eq!(at(2, 10), None);
        assert_eq!(at(61, 12), Some(9));
        assert_eq!(at(500, 12), None);
        assert_eq!(at(501, 13), Some(1));
    }
}
