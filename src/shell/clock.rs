//! The only reader of clocks and of the system's entropy for the machines.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Instant, SystemTime};

use chrono::Utc;

use nix::time::{ClockId, clock_gettime};

use crate::chance::Chance;
use crate::time::{Anchor, Duration, Now};

/// No datagram waits longer than this to be read: what seems so is a step of the wall clock.
const STAMP_AGE_MAX: Duration = Duration::from_secs(300);

/// Both clocks, read at one moment.
pub fn now() -> Now {
    Now { mono: Instant::now(), wall: Utc::now() }
}

/// The wall clock as the kernel stamps datagrams by it: since 1970.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// How long a datagram with that stamp has waited at `wall`; zero where the clock has stepped.
pub fn waited(wall: Duration, stamp: Duration) -> Duration {
    let waited = wall.saturating_sub(stamp);
    if waited >= STAMP_AGE_MAX { Duration::ZERO } else { waited }
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
    fn a_step_of_the_clock_is_no_waiting() {
        let at = Duration::from_secs(1_000_000);
        for (stamp, expected) in
            [(999_999, 1), (999_701, 299), (999_700, 0), (996_400, 0), (1_003_600, 0)]
        {
            let waited = waited(at, Duration::from_secs(stamp));
            assert_eq!(waited, Duration::from_secs(expected), "{stamp}");
        }
    }

    #[test]
    fn two_generators_differ() {
        assert_ne!(chance().unwrap().token(20), chance().unwrap().token(20));
    }
}
