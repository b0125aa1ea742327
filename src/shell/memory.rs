//! Memory that a flood took: given back to the system when it is over.
//!
//! Owns when that is, and what the allocator is told. Does not own how much anything may take:
//! those limits are the configuration's.
#![expect(unsafe_code, reason = "what the allocator holds back has no safe interface")]

use std::time::{Duration, Instant};

/// Fewer at a time leave nothing behind that is worth the asking, which keeps the loop waiting for
/// some milliseconds.
const MANY: usize = 200;
/// Longer than what is left after most of a flood has ended: calls to which no ACK came, whose BYE
/// is repeated for 64 T1 (RFC 3261 §17.1.2.2; T1 as it usually is). They are the few that hold the
/// most.
const LAST: Duration = Duration::from_secs(34);

/// How much was under way at most.
#[derive(Debug, Default)]
pub(super) struct Flood {
    most: usize,
    /// When nothing of the last one is left.
    ends: Option<Instant>,
}

impl Flood {
    /// Hears how many transactions and connections there are. Whether there is something to give
    /// back: said when there were many and half of them are left, and when those are gone too.
    pub(super) fn is_over(&mut self, count: usize, now: Instant) -> bool {
        self.most = self.most.max(count);
        if self.most >= MANY && count <= self.most / 2 {
            self.most = count;
            self.ends = Some(now + LAST);
            return true;
        }
        self.ends.take_if(|ends| *ends <= now).is_some()
    }
}

/// Blocks from this size on are the system's own, which has them back as soon as they are freed:
/// what the allocator begins with.
const LARGE: i32 = 128 * 1024;
/// What the end of each thread's memory may hold that is free: less, and it would be given back and
/// asked for again all the time while there is much to do. The loop's is what [`give_back`] gives
/// back, too.
const END: i32 = 32 * 1024 * 1024;

/// Has the allocator stay with [`LARGE`] and [`END`]: by itself it keeps blocks of any size (up to
/// 32 MiB) of which it has seen one freed.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes and gives no pointer; any thread may call it at any time (mallopt(3)).
    unsafe {
        use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
        // Neither can fail with these sizes; if one did, memory would stay longer.
        mallopt(M_MMAP_THRESHOLD, LARGE);
        mallopt(M_TRIM_THRESHOLD, END);
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

    /// When it is said, if the counts are heard a second apart.
    fn said(counts: impl IntoIterator<Item = usize>) -> Vec<u64> {
        let (mut flood, began) = (Flood::default(), Instant::now());
        let mut is_over =
            |(at, count)| flood.is_over(count, began + Duration::from_secs(at)).then_some(at);
        (0..).zip(counts).filter_map(&mut is_over).collect()
    }

    #[test]
    fn half_of_a_flood_is_over_and_half_of_that() {
        let counts = [199, 5, 5_000, 8_000, 4_001, 4_000, 2_001, 2_000, 199, 50, 1_000, 499];
        assert_eq!(said(counts), [5, 7, 8, 11], "fewer than many are not worth it");
    }

    #[test]
    fn what_the_last_of_a_flood_held_is_given_back_when_it_is_gone() {
        let counts = [8_000, 150].into_iter().chain([150; 32]).chain([100; 100]);
        assert_eq!(said(counts), [1, 35], "once after half were left, and not again");
    }
}
