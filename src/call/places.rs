//! Who waits where, and in which calls somebody is busy.
//!
//! Owns the order of the queues. The index follows each change of a call, so that neither a place
//! in a queue nor settling costs a walk over all calls. Who is next, and for whom, is the
//! switchboard's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::config::LineId;

/// A place in the order in which callers came into the queues; smaller is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order(pub(super) i64);

/// The index of all calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Where each caller who waits does so.
    places: BTreeMap<u64, (LineId, Order)>,
    /// Everyone who waits, by line, in the order of service.
    queues: BTreeMap<LineId, BTreeSet<(Order, u64)>>,
    /// Calls with counselors or supervisors, or in which some are rung.
    engaged: BTreeSet<u64>,
}

impl Places {
    /// How a call stands: where its caller waits, and whether somebody is busy in it or rung.
    pub(super) fn note(&mut self, key: u64, place: Option<(&LineId, Order)>, is_engaged: bool) {
        let old = self.places.get(&key).map(|(line, order)| (line, *order));
        if old != place {
            self.move_to(key, place.map(|(line, order)| (line.clone(), order)));
        }
        if is_engaged {
            self.engaged.insert(key);
        } else {
            self.engaged.remove(&key);
        }
    }

    fn move_to(&mut self, key: u64, place: Option<(LineId, Order)>) {
        if let Some((line, order)) = self.places.remove(&key)
            && let Some(queue) = self.queues.get_mut(&line)
        {
            queue.remove(&(order, key));
            if queue.is_empty() {
                self.queues.remove(&line);
            }
        }
        if let Some((line, order)) = place {
            self.queues.entry(line.clone()).or_default().insert((order, key));
            self.places.insert(key, (line, order));
        }
    }

    /// How many wait on a line.
    pub(super) fn waiting(&self, line: &LineId) -> usize {
        self.queues.get(line).map_or(0, BTreeSet::len)
    }

    /// The place on a line, from 1, of a call that has this order there, or is about to have it.
    pub(super) fn place(&self, line: &LineId, order: Order, key: u64) -> u32 {
        let queue = self.queues.get(line).into_iter();
        let before = queue.flat_map(|queue| queue.range(..(order, key)));
        // It may come from another place in the same queue.
        let others = before.filter(|(_, other)| *other != key).count();
        u32::try_from(others + 1).unwrap_or(u32::MAX)
    }

    /// The places of all who wait on any line.
    pub(super) fn places(&self) -> BTreeMap<u64, u32> {
        self.queues.values().flat_map(|queue| queue.iter().map(|(_, key)| *key).zip(1..)).collect()
    }

    /// The lines on which somebody waits.
    pub(super) fn lines(&self) -> impl Iterator<Item = &LineId> {
        self.queues.keys()
    }

    /// Who waits on a line, in the order of service.
    pub(super) fn queue(&self, line: &LineId) -> impl Iterator<Item = u64> {
        self.queues.get(line).into_iter().flatten().map(|(_, key)| *key)
    }

    /// Who is next on a line, behind this one or of all.
    pub(super) fn next(&self, line: &LineId, after: Option<(Order, u64)>) -> Option<(Order, u64)> {
        let queue = self.queues.get(line)?;
        match after {
            None => queue.first().copied(),
            Some(last) => queue.range((Bound::Excluded(last), Bound::Unbounded)).next().copied(),
        }
    }

    /// Calls in which somebody is busy or rung.
    pub(super) fn engaged(&self) -> impl Iterator<Item = u64> {
        self.engaged.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_its_order_and_whoever_leaves_or_moves_is_no_longer_there() {
        let (a, b) = (LineId::from("a"), LineId::from("b"));
        let mut all = Places::default();
        for (key, line, order) in [(1, &a, 5), (2, &a, 3), (3, &b, 4), (4, &a, -1)] {
            all.note(key, Some((line, Order(order))), false);
        }
        assert_eq!(all.queue(&a).collect::<Vec<_>>(), [4, 2, 1]);
        assert_eq!((all.waiting(&a), all.waiting(&b)), (3, 1));
        assert_eq!((all.place(&a, Order(5), 1), all.place(&a, Order(6), 5)), (3, 4));
        assert_eq!(all.place(&a, Order(9), 4), 3, "whoever moves is not before themselves");
        assert_eq!(all.places(), BTreeMap::from([(4, 1), (2, 2), (1, 3), (3, 1)]));
        assert_eq!(all.next(&a, None), Some((Order(-1), 4)));
        assert_eq!(all.next(&a, Some((Order(-1), 4))), Some((Order(3), 2)));
        assert_eq!(all.next(&a, Some((Order(5), 1))), None);
        all.note(9, Some((&a, Order(-1))), false);
        assert_eq!([4, 9].map(|key| all.place(&a, Order(-1), key)), [1, 2], "as they are served");
        all.note(9, None, false);
        all.note(2, Some((&b, Order(3))), true);
        assert_eq!(all.queue(&b).collect::<Vec<_>>(), [2, 3]);
        all.note(1, None, true);
        all.note(4, None, false);
        assert_eq!(all.lines().collect::<Vec<_>>(), [&b]);
        assert_eq!(all.engaged().collect::<Vec<_>>(), [1, 2]);
        for key in [1, 2, 3] {
            all.note(key, None, false);
        }
        assert_eq!(all, Places::default());
    }
}
