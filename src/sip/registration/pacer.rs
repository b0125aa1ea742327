//! The pace of all registrations together.

use std::time::{Duration, Instant};

/// Lets one REGISTER through at a time, with a pause between any two. Carriers refuse, and some
/// ban, whoever sends faster.
#[derive(Clone, Debug)]
pub struct Pacer {
    pause: Duration,
    next: Option<Instant>,
}

impl Default for Pacer {
    /// One a second.
    fn default() -> Self {
        Self::new(Duration::from_secs(1))
    }
}

impl Pacer {
    /// A pacer that keeps `pause` between any two.
    pub fn new(pause: Duration) -> Self {
        Self { pause, next: None }
    }

    /// Takes the permission to send at `now`; otherwise says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        match self.next {
            Some(next) if next > now => Err(next),
            Some(_) | None => {
                self.next = Some(now + self.pause);
                Ok(())
            }
        }
    }
}
