//! How many wrong guesses one address may make.
//!
//! Owns a bounded table of addresses. A first wrong guess opens a minute; guesses beyond the limit
//! are not looked at until that minute is over. IPv6 addresses count by their /64.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::sip::floodgate::source;
use crate::time::Timers;

/// How long guesses are remembered.
const WINDOW: Duration = Duration::from_secs(60);

/// A counter of guesses by address.
pub(super) struct Limiter {
    limit: u32,
    max_addresses: usize,
    counts: BTreeMap<IpAddr, u32>,
    ends: Timers<IpAddr>,
}

impl Limiter {
    pub(super) fn new(limit: u32, max_addresses: usize) -> Self {
        let (counts, ends) = (BTreeMap::new(), Timers::default());
        Self { limit, max_addresses: max_addresses.max(1), counts, ends }
    }

    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Whether a guess from `address` may be looked at.
    pub(super) fn admits(&mut self, now: Instant, address: IpAddr) -> bool {
        while let Some(over) = self.ends.pop_due(now) {
            self.counts.remove(&over);
        }
        self.counts.get(&source(address)).is_none_or(|count| *count < self.limit)
    }

    /// Counts a wrong guess. When the table is full, the minute that began first is forgotten.
    pub(super) fn count(&mut self, now: Instant, address: IpAddr) {
        let key = source(address);
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_add(1);
            return;
        }
        if self.counts.len() >= self.max_addresses
            && let Some(oldest) = self.ends.next().map(|(_, key)| *key)
        {
            self.ends.clear(&oldest);
            self.counts.remove(&oldest);
        }
        self.counts.insert(key, 1);
        self.ends.set(key, now + WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn guesses_are_counted_by_network_and_minute_in_a_bounded_table() {
        let t0 = Instant::now();
        let at = |s| t0 + Duration::from_secs(s);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut limiter = Limiter::new(2, 2);
        let (a, same, other) = (ip("2001:db8::1"), ip("2001:db8::ffff"), ip("2001:db8:0:1::1"));
        limiter.count(at(0), a);
        assert!(limiter.admits(at(1), same));
        limiter.count(at(1), same);
        assert!(!limiter.admits(at(1), a));
        assert!(limiter.admits(at(1), other));
        assert!(!limiter.admits(at(59), a));
        assert!(limiter.admits(at(60), a));
        for (s, address) in [(60, a), (60, a), (61, other), (61, other), (62, ip("192.0.2.1"))] {
            limiter.count(at(s), address);
        }
        assert!(limiter.admits(at(62), a), "the oldest made room");
        assert!(!limiter.admits(at(62), other));
        assert_eq!(limiter.counts.len(), limiter.ends.len());
    }
}
