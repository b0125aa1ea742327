//! Whole programs of what may be done to the switchboard, in a simulated world with all its
//! promises.

use std::time::Duration;

use crate::sim::game::shrink::attempt;
use crate::sim::game::{Move, seed_of_town};

/// Moves of a program at most: longer ones only take longer.
const MOVES: usize = 24;

/// The first byte is the town, four bytes each what is done there: what, by whom (two bytes), and
/// how long nothing is done then.
pub(crate) fn sequence(bytes: &[u8]) {
    let Some((town, program)) = bytes.split_first() else { return };
    let moves = program.chunks_exact(4).take(MOVES).map(|one| Move {
        action: u64::from(one[0]),
        seed: u64::from(u16::from_be_bytes([one[1], one[2]])),
        pause: Duration::from_millis(12 * u64::from(one[3])),
    });
    let moves: Vec<_> = moves.collect();
    if let Err(story) = attempt(seed_of_town(*town), &moves) {
        panic!("{story}\n{moves:?}");
    }
}
