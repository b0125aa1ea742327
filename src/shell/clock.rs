//! The only reader of clocks and of the system's entropy for the machines.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Instant, SystemTime};

use chrono::Utc;

use nix::time::{ClockId, clock_gettime};

use crate::chance::Chance;
use crate::time::{Anchor, Duration, Now};

/// No datagram waits longer than this to be read.
const STAMP_AGE_MAX: Duration = Duration::from_secs(60);

/// Both clocks, read at one moment.
pub fn now() -> Now {
    Now { mono: Instant::now(), wall: Utc::now() }
}

/// How long ago the kernel stamped something, by the wall clock. What seems longer than anything
/// lies in a buffer is a step of the clock.
pub fn since(stamp: Duration) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let waited = now.saturating_sub(stamp);
    if waited > STAMP_AGE_MAX { Duration::ZERO } else { waited }
}

/// Where the monotonic clock stands, for whoever keeps moments over the death of the process.
///
/// # Errors
/// When the system has no such clock.
pub fn anchor() -> io::Result<Anchor> {
    let since_boot = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(Anchor { mono: Instant::now(), since_boot })
}

/// A generator that nobody can guess.
///
/// # Errors
/// When the system gives no entropy.
pub fn chance() -> io::Result<Chance> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(Chance::from_entropy(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generators_differ() {
        assert_ne!(chance().unwrap().token(20), chance().unwrap().token(20));
    }
}
