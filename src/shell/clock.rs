//! The only reader of clocks and of the system's entropy for the machines.

use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

use chrono::Utc;

use crate::chance::Chance;
use crate::time::Now;

/// Both clocks, read at one moment.
pub fn now() -> Now {
    Now { mono: Instant::now(), wall: Utc::now() }
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
