//! The only reader of clocks and of the system's entropy for the machines.

use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

use chrono::Utc;

use nix::time::{ClockId, clock_gettime};

use crate::chance::Chance;
use crate::time::{Anchor, Duration, Now};

/// Both clocks, read at one moment.
pub fn now() -> Now {
    Now { mono: Instant::now(), wall: Utc::now() }
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
