//! New calls that were refused because we were behind.
//!
//! Owns which they were: copies of the INVITE may lie behind it in the socket, and be read when we
//! are behind no longer. Whoever has been refused is gone; nobody is to be rung for them.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::server::Key;

/// Calls that are remembered: more than lie in a socket.
const REMEMBERED: usize = 4_096;

/// The latest of them.
#[derive(Default)]
pub(super) struct Shed {
    /// Prints of their keys: as many as there are, and each looked for when time is short.
    prints: BTreeSet<u64>,
    order: VecDeque<u64>,
}

impl Shed {
    /// One more was refused.
    pub(super) fn add(&mut self, key: &Key) {
        let print = print(key);
        if self.prints.insert(print) {
            self.order.push_back(print);
        }
        if let Some(old) = self.order.pop_front_if(|_| self.prints.len() > REMEMBERED) {
            self.prints.remove(&old);
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.prints.contains(&print(key))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }
}

/// The same in each run.
fn print(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
