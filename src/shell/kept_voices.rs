//! Voices that outlive the process: what the engine tells of its ports, on its way into the journal
//! of live calls, and what a process before this one told of them.
//!
//! Owns the keys, and that neither a media thread nor the loop waits for it: of each port the
//! latest state counts, so that what finds the journal's desk taken lies here until the next turn,
//! one state a port. What a state says is the media plane's; when a port is no more, so is its
//! state.

use std::collections::BTreeMap;

use super::kept_sockets::KeptSockets;
use super::scribe::Pen;
use crate::media::{Kept, PortId};
use crate::store::journal::{Key, Value};
use crate::time::Anchor;

/// What a key of the journal begins with that is a port's.
const PREFIX: &str = "port/";

/// What of its ports a media thread takes over and leaves: a clone for each.
#[derive(Clone)]
pub struct KeptPorts {
    /// Their sockets.
    pub sockets: KeptSockets,
    /// How far their streams have come.
    pub voices: KeptVoices,
}

impl KeptPorts {
    /// Nothing was kept, and nothing will be.
    pub fn none() -> Self {
        Self { sockets: KeptSockets::none(), voices: KeptVoices::default() }
    }
}

/// A media thread's end.
#[derive(Clone, Default)]
pub struct KeptVoices {
    /// `None`: nothing is kept.
    journal: Option<(Pen, Anchor)>,
    /// What the journal does not have yet.
    waiting: BTreeMap<u32, Option<Value>>,
}

impl KeptVoices {
    /// They go into this journal, and their moments are told by this clock.
    pub(super) fn new(pen: Pen, anchor: Anchor) -> Self {
        Self { journal: Some((pen, anchor)), waiting: BTreeMap::new() }
    }

    /// The clock that moments are kept by; `None`: nothing is kept.
    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.journal.as_ref().map(|(_, anchor)| *anchor)
    }

    /// The latest state of a port.
    pub(super) fn keep(&mut self, kept: Kept) {
        self.waiting.insert(kept.port.n, Some(kept.state));
    }

    /// The port is no more.
    pub(super) fn forget(&mut self, port: PortId) {
        if self.journal.is_some() {
            self.waiting.insert(port.n, None);
        }
    }

    /// Lays what waits on the journal's desk. Never waits: where somebody is at the desk, it is
    /// left for the next time.
    pub(super) fn hand_over(&mut self) {
        let Some((pen, _)) = self.journal.as_ref().filter(|_| !self.waiting.is_empty()) else {
            return;
        };
        let waiting = &mut self.waiting;
        pen.note(|| std::mem::take(waiting).into_iter().map(|(port, state)| (key(port), state)));
    }

    /// What still waits.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// A port's key in the journal.
pub(super) fn key(port: u32) -> Key {
    format!("{PREFIX}{port}").into_bytes().into()
}

/// Whose key it is; `None`: no port's.
pub(super) fn port_of(key: &[u8]) -> Option<u32> {
    std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_port_and_no_other_key_does() {
        for port in [0, 7, u32::MAX] {
            assert_eq!(port_of(&key(port)), Some(port));
        }
        for other in ["call/7", "port", "port/", "port/x", "port/4294967296", "service"] {
            assert_eq!(port_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(port_of(b"port/\xff"), None);
    }

    #[test]
    fn where_nothing_is_kept_nothing_gathers() {
        let mut voices = KeptVoices::default();
        (0..100).for_each(|n| voices.forget(PortId { n, shard: 0 }));
        voices.hand_over();
        assert_eq!((voices.waiting(), voices.anchor()), (0, None));
    }
}
