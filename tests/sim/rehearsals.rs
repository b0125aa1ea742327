//! What came of rehearsals: their news, and what was spoken.

use koebashi::call::piece::{Finish, Rehearsed};
use koebashi::media::{Chunk, RecordId, Recorded};

use super::World;

/// What came of rehearsals.
#[derive(Debug, Default)]
pub(crate) struct Rehearsals {
    /// What each ticket came to.
    pub finished: Vec<(u64, Finish)>,
    /// Recordings that belong to rehearsals.
    pub records: Vec<RecordId>,
    /// Everything that was spoken, and whether its end was told.
    pub spoken: Vec<i16>,
    pub is_ended: bool,
}

impl Rehearsals {
    pub(crate) fn on_sound(&mut self, recorded: &Recorded) {
        if !self.records.contains(&recorded.record) {
            return;
        }
        match &recorded.chunk {
            Chunk::Frame { left, .. } => self.spoken.extend_from_slice(left),
            Chunk::End => self.is_ended = true,
        }
    }
}

impl World {
    pub(crate) fn on_rehearsed(&mut self, news: &Rehearsed) {
        match news {
            Rehearsed::Recording { record, .. } => self.rehearsals.records.push(*record),
            Rehearsed::Over { ticket, finish } => {
                self.rehearsals.finished.push((*ticket, *finish));
            }
        }
    }
}
