//! Refused requests in the audit trail: so many of one person in a minute are written one by one,
//! the others as a sum, so that nobody fills the trail with nothing.
//!
//! Owns the counts. What was changed or disclosed never comes here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::audit::Entry;

/// How long a person's requests are counted together.
const MINUTE: Duration = Duration::from_secs(60);
/// Persons who are counted by themselves; all others together.
const PERSONS_MAX: usize = 1_000;

/// Refused requests of the last minute.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    persons: BTreeMap<String, Count>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    written: usize,
    /// The last one that was not written, and how many there were.
    left: Option<(Entry, u64)>,
}

impl Refusals {
    /// What is to be written of a refused request.
    pub(super) fn take(&mut self, now: Instant, most: usize, entry: Entry) -> Option<Entry> {
        let is_known = self.persons.contains_key(&entry.who);
        let who = match is_known || self.persons.len() < PERSONS_MAX {
            true => entry.who.clone(),
            false => String::new(),
        };
        let count = self.persons.entry(who);
        let count = count.or_insert(Count { since: now, written: 0, left: None });
        if count.written < most {
            count.written += 1;
            return Some(entry);
        }
        let before = count.left.take().map_or(0, |(_, n)| n);
        count.left = Some((entry, before + 1));
        None
    }

    /// The sums of persons whose minute is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Entry> {
        self.sums(|count| now.duration_since(count.since) >= MINUTE)
    }

    /// All sums, at the end.
    pub(super) fn all(&mut self) -> Vec<Entry> {
        self.sums(|_| true)
    }

    fn sums(&mut self, is_over: impl Fn(&Count) -> bool) -> Vec<Entry> {
        let over = self.persons.extract_if(.., |_, count| is_over(count));
        let left = over.filter_map(|(_, count)| count.left);
        left.map(|(entry, n)| {
            let what =
                format!("and {n} more refused requests within a minute, the last: {}", entry.what);
            Entry { what, ..entry }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn entry(who: &str) -> Entry {
        let at = Timestamp::default();
        Entry { at, who: who.to_owned(), what: "is not let to /x".to_owned() }
    }

    #[test]
    fn few_are_written_and_the_rest_is_told_as_a_sum() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let written = (0..100).filter_map(|_| refusals.take(start, 3, entry("a"))).count();
        assert_eq!(written, 3);
        assert!(refusals.take(start, 3, entry("b")).is_some(), "everybody by themselves");
        assert_eq!(refusals.due(start + Duration::from_secs(59)), []);
        let sums = refusals.due(start + MINUTE);
        let what = "and 97 more refused requests within a minute, the last: is not let to /x";
        assert_eq!(sums, [Entry { what: what.to_owned(), ..entry("a") }]);
        assert!(refusals.take(start + MINUTE, 3, entry("a")).is_some());
        assert_eq!(refusals.all(), []);
    }

    #[test]
    fn the_persons_who_are_remembered_are_not_many() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        for n in 0..PERSONS_MAX + 50 {
            refusals.take(start, 3, entry(&format!("p{n}")));
        }
        assert_eq!(refusals.persons.len(), PERSONS_MAX + 1);
        assert_eq!(refusals.all().len(), 1);
    }
}
