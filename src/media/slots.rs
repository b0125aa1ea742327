//! A store for what has a number: found in one step, walked in an order that only the history of
//! insertions and removals decides.
//!
//! Owns the places and the index from number to place. Knows nothing of what it keeps. Nothing is
//! allocated by finding, only by growing.

/// Where something lies. Valid until that something is removed.
pub(super) type Slot = usize;

/// Things by number.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    places: Vec<Option<(u32, T)>>,
    free: Vec<Slot>,
    /// Open addressing with a power of two of cells, at most half of them taken: the place's
    /// number plus one; 0 is an empty cell. Numbers are handed out one after the other, so their
    /// last bits spread them without any mixing.
    index: Vec<u32>,
}

/// Cells of a new index.
const CELLS_MIN: usize = 8;

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self { places: vec![], free: vec![], index: vec![0; CELLS_MIN] }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Puts something in under a number; what had the number before is replaced.
    pub(super) fn insert(&mut self, n: u32, thing: T) -> Slot {
        if let Some(slot) = self.slot(n) {
            self.places[slot] = Some((n, thing));
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[slot] = Some((n, thing));
        if self.len() * 2 > self.index.len() {
            self.index = vec![0; self.index.len() * 2];
            for slot in 0..self.places.len() {
                self.enter(slot);
            }
        } else {
            self.enter(slot);
        }
        slot
    }

    /// Takes out what has the number.
    pub(super) fn remove(&mut self, n: u32) -> Option<T> {
        let mut hole = self.cell(n)?;
        let slot = self.index[hole] as usize - 1;
        let (_, thing) = self.places.get_mut(slot)?.take()?;
        self.free.push(slot);
        self.index[hole] = 0;
        // Whoever was pushed on by the one that left moves up: nobody is lost behind a hole.
        let mask = self.index.len() - 1;
        let mut at = (hole + 1) & mask;
        while let Some(home) = self.home(at) {
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.index[hole] = std::mem::take(&mut self.index[at]);
                hole = at;
            }
            at = (at + 1) & mask;
        }
        Some(thing)
    }

    /// Where the one with the number lies.
    pub(super) fn slot(&self, n: u32) -> Option<Slot> {
        self.cell(n).map(|cell| self.index[cell] as usize - 1)
    }

    /// The slots that are taken or were: all below this.
    pub(super) fn end(&self) -> Slot {
        self.places.len()
    }

    /// What lies there.
    pub(super) fn at(&mut self, slot: Slot) -> Option<&mut T> {
        self.places.get_mut(slot)?.as_mut().map(|(_, thing)| thing)
    }

    /// What has the number.
    pub(super) fn get(&mut self, n: u32) -> Option<&mut T> {
        let slot = self.slot(n)?;
        self.at(slot)
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.places.iter_mut().flatten().map(|(n, thing)| (*n, thing))
    }

    /// The cell that names the place of the number.
    fn cell(&self, n: u32) -> Option<usize> {
        let mask = self.index.len() - 1;
        let mut cell = n as usize & mask;
        loop {
            let slot = (self.index[cell] as usize).checked_sub(1)?;
            match &self.places[slot] {
                Some((number, _)) if *number == n => return Some(cell),
                Some(_) | None => cell = (cell + 1) & mask,
            }
        }
    }

    /// Names a place in the index, when something lies there.
    fn enter(&mut self, slot: Slot) {
        let Some(Some((n, _))) = self.places.get(slot) else { return };
        let mask = self.index.len() - 1;
        let mut cell = *n as usize & mask;
        while self.index[cell] != 0 {
            cell = (cell + 1) & mask;
        }
        self.index[cell] = u32::try_from(slot + 1).unwrap_or(0);
    }

    /// The cell where the search for what a cell names begins; `None`: the cell is empty.
    fn home(&self, cell: usize) -> Option<usize> {
        let slot = (self.index[cell] as usize).checked_sub(1)?;
        let (n, _) = self.places[slot].as_ref()?;
        Some(*n as usize & (self.index.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_put_in_is_found_where_it_lies() {
        let mut slots = Slots::new();
        let first = slots.insert(7, "seven");
        let second = slots.insert(15, "fifteen");
        assert_eq!([7, 15, 23].map(|n| slots.slot(n)), [Some(first), Some(second), None]);
        assert_eq!(slots.remove(7), Some("seven"));
        assert_eq!((slots.remove(7), slots.len()), (None, 1));
        assert_eq!(slots.get(15), Some(&mut "fifteen"));
        assert_eq!(slots.insert(15, "again"), second);
        assert_eq!(slots.at(second), Some(&mut "again"));
        assert_eq!([first, 9].map(|s| slots.at(s).copied()), [None, None]);
        // A place that is free again is the next to be taken.
        assert_eq!(slots.insert(31, "new"), first);
        assert_eq!(slots.iter_mut().map(|(n, _)| n).collect::<Vec<_>>(), [31, 15]);
    }

    proptest::proptest! {
        #[test]
        fn finds_what_a_map_finds(
            steps in proptest::collection::vec((proptest::bool::ANY, 0u32..40, 0u32..3), 0..300)
        ) {
            let (mut slots, mut map) = (Slots::new(), BTreeMap::new());
            for (i, (puts, n, far)) in steps.into_iter().enumerate() {
                // Numbers that fall on the same cells, and the largest ones.
                let n = (n * [1, 64, 107_374_182][far as usize]).wrapping_sub(3);
                if puts {
                    slots.insert(n, i);
                    map.insert(n, i);
                } else {
                    assert_eq!(slots.remove(n), map.remove(&n));
                }
                assert_eq!(slots.len(), map.len());
                for (n, thing) in &map {
                    assert_eq!(slots.get(*n).copied(), Some(*thing));
                }
                let mut all: Vec<_> = slots.iter_mut().map(|(n, t)| (n, *t)).collect();
                all.sort_unstable();
                assert_eq!(all, map.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
