//! The ACD's small worlds: whatever is done next, from where it becomes interesting on.

use crate::model::{Act, Bounds, FIRST, LINES, SECOND, explore};

/// Ways to where it becomes interesting: one rings, both wait, one talks.
const BEGINNINGS: [&[Act]; 3] = [
    &[Act::Arrive(0), Act::Deliver(FIRST), Act::Time, Act::Time],
    &[Act::Arrive(0), Act::Deliver(FIRST), Act::Arrive(1), Act::Deliver(SECOND), Act::Time],
    &[Act::Pause(1), Act::Arrive(0), Act::Deliver(FIRST), Act::Time, Act::Time, Act::Answer(0)],
];

/// The next choices from some beginnings, in each configuration; all ways from the very beginning
/// are gone by `cargo test --release --test reliability -- model`.
#[test]
fn whatever_is_done_next_keeps_all_promises() {
    for (line, beginning) in LINES.into_iter().zip(BEGINNINGS) {
        let bounds = Bounds { depth: Some(beginning.len() + 3), rest: 16, callers: 2 };
        let seen = explore(line, beginning, bounds);
        assert!(seen.states > 50 && seen.ends > 3, "{}: {seen:?}", line.0);
    }
}
