//! Memory that a flood took: given back to the system when it is over.
//!
//! Owns when that is, and the asking. Does not own how much anything may take: those limits are the
//! configuration's.
#![expect(unsafe_code, reason = "what the allocator holds back has no safe interface")]

/// Fewer at a time leave nothing behind that is worth the asking, which keeps the loop waiting for
/// some milliseconds.
const MANY: usize = 200;

/// How much was under way at most.
#[derive(Debug, Default)]
pub(super) struct Flood {
    most: usize,
}

impl Flood {
    /// Hears how many transactions and connections there are. Whether there were many and few are
    /// left: said once.
    pub(super) fn is_over(&mut self, count: usize) -> bool {
        self.most = self.most.max(count);
        let is_over = self.most >= MANY && count <= self.most / 10;
        if is_over {
            self.most = count;
        }
        is_over
    }
}

/// Has the allocator give back what is freed and lies between what is not: by itself it gives back
/// the end of its memory alone.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes and gives no pointer; any thread may call it at any time (malloc_trim(3)).
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_over_once_when_few_are_left() {
        let mut flood = Flood::default();
        let said = [199, 5, 5_000, 8_000, 900, 800, 700, 81, 80, 79, 1_000, 99]
            .map(|count| flood.is_over(count));
        let yes: Vec<_> = (0..said.len()).filter(|at| said[*at]).collect();
        assert_eq!(yes, [5, 8, 11], "what is left of the first goes too");
    }
}
