//! New calls that were refused because we were behind.
//!
//! Owns which they were: copies of the INVITE may lie behind it in the socket, and be read when we
//! are behind no longer. Whoever has been refused is gone; nobody is to be rung for them.

use std::collections::{BTreeSet, VecDeque};

use super::server::Key;

/// Calls that are remembered: more than lie in a socket.
const REMEMBERED: usize = 4_096;

/// The latest of them.
#[derive(Default)]
pub(super) struct Shed {
    keys: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl Shed {
    /// One more was refused.
    pub(super) fn add(&mut self, key: Key) {
        if self.keys.insert(key.clone()) {
            self.order.push_back(key);
        }
        if let Some(old) = self.order.pop_front_if(|_| self.keys.len() > REMEMBERED) {
            self.keys.remove(&old);
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
