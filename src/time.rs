//! Time as the core sees it: a reading of both clocks, and a table of deadlines.
//!
//! Owns [`Now`], [`Timestamp`] and [`Timers`]. Does not read a clock: the shell does and hands the
//! reading in.

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
