//! Time as the core sees it: a reading of both clocks, and a table of deadlines.
//!
//! Owns [`Now`], [`Timestamp`], [`Anchor`], [`Timers`], and what may happen so often ([`Rate`],
//! [`Bucket`]). Does not read a clock: the shell does and hands the reading in.

use std::collections::{BTreeMap, BTreeSet};
pub use std::time::{Duration, Instant};

/// A moment of the wall clock, in UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// One reading of both clocks: timers use `mono`, opening hours and records use `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock; never steps.
    pub mono: Instant,
    /// The wall clock; may step in either direction at any time.
    pub wall: Timestamp,
}

/// Where the monotonic clock stood at a moment, counted from the system's boot. It goes on over the
/// death of the process, which an [`Instant`] does not: moments that are to outlive us are kept as
/// nanoseconds since the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The moment.
    pub mono: Instant,
    /// The same, since the boot.
    pub since_boot: Duration,
}

impl Anchor {
    /// A moment as it is kept.
    pub fn nanos(&self, at: Instant) -> u64 {
        let since_boot = match at.checked_duration_since(self.mono) {
            Some(later) => self.since_boot.saturating_add(later),
            None => self.since_boot.saturating_sub(self.mono.saturating_duration_since(at)),
        };
        u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX)
    }

    /// A kept moment. What lies beyond anything that a call could mean is taken for the anchor's
    /// own: whoever wrote that, no deadline may be out of reach.
    pub fn instant(&self, nanos: u64) -> Instant {
        let at = Duration::from_nanos(nanos);
        let found = match at.checked_sub(self.since_boot) {
            Some(later) if later <= FAR => self.mono.checked_add(later),
            Some(_) => None,
            None => self.mono.checked_sub(self.since_boot.saturating_sub(at)),
        };
        found.unwrap_or(self.mono)
    }
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that one takes to become possible again.
    pub every: Duration,
    /// How many may come at once, after a rest.
    pub burst: u32,
}

impl Rate {
    /// So many a second, and what comes together in `burst` seconds at once.
    pub fn per_second(count: u32, burst: u32) -> Self {
        let count = count.max(1);
        Self { every: Duration::from_secs(1) / count, burst: count.saturating_mul(burst).max(1) }
    }
}

/// A token bucket, as the moment at which it is full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(Instant);

impl Bucket {
    /// A full one.
    pub fn full(now: Instant) -> Self {
        Self(now)
    }

    /// Takes a token, where there is one.
    pub fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let full_at = self.0.max(now);
        if full_at - now > rate.every.saturating_mul(rate.burst.saturating_sub(1)) {
            return false;
        }
        self.0 = full_at + rate.every;
        true
    }
}

/// No deadline of a call is as far away as this.
const FAR: Duration = Duration::from_secs(30 * 86_400);

/// Deadlines by key, at most one a key. Keys that are due at the same instant come in key order,
/// so that a run can be replayed.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the deadline of `key`, in place of an earlier one.
    pub fn set(&mut self, key: K, at: Instant) {
        self.clear(&key);
        self.by_time.insert((at, key.clone()));
        self.by_key.insert(key, at);
    }

    /// Forgets the deadline of `key`; nothing happens when there is none.
    pub fn clear(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// The deadline of `key`.
    pub fn at(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline and its key.
    pub fn next(&self) -> Option<(Instant, &K)> {
        self.by_time.first().map(|(at, key)| (*at, key))
    }

    /// Takes the earliest key whose deadline is `now` or before.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many deadlines are set.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no deadline is set.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn a_kept_moment_is_the_same_for_the_next_process() {
        let s = Duration::from_secs;
        let t0 = Instant::now() + s(1000);
        let (one, two) = (Anchor { mono: t0, since_boot: s(500) }, t0 + s(7));
        // The next process reads both clocks three seconds later.
        let next = Anchor { mono: two + s(3), since_boot: s(510) };
        for at in [t0 - s(100), t0, t0 + s(5), t0 + s(99)] {
            assert_eq!(next.instant(one.nanos(at)), at);
        }
        assert_eq!(next.instant(u64::MAX), next.mono);
        assert!(next.instant(0) <= next.mono);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn keys_come_due_in_order_and_once() {
        let t0 = Instant::now();
        let at = |s| t0 + Duration::from_secs(s);
        let mut timers = Timers::default();
        timers.set('b', at(2));
        timers.set('a', at(2));
        timers.set('c', at(1));
        timers.set('c', at(3));
        timers.set('d', at(1));
        timers.clear(&'d');
        assert_eq!(timers.next(), Some((at(2), &'a')));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(timers.pop_due(at(3)), Some('a'));
        assert_eq!(timers.pop_due(at(3)), Some('b'));
        assert_eq!(timers.pop_due(at(3)), Some('c'));
        assert!(timers.is_empty());
    }
}
