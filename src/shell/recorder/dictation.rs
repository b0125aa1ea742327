//! What somebody speaks as a prompt, gathered in memory for whoever waits for it.
//!
//! Owns the limits: how many at once, and how long. Nothing here is written anywhere.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::media::{Chunk, RecordId, Recorded};

/// At once; one more takes the place of the oldest, which has been forgotten by its call.
const DICTATIONS_MAX: usize = 16;
/// Samples of one: five minutes at 8 kHz. What comes then is not taken.
const SAMPLES_MAX: usize = 300 * 8_000;

/// What is being spoken.
#[derive(Default)]
pub(super) struct Dictations(BTreeMap<RecordId, Dictation>);

struct Dictation {
    to: oneshot::Sender<Vec<i16>>,
    samples: Vec<i16>,
}

impl Dictations {
    /// What comes under this name is for somebody.
    pub(super) fn begin(&mut self, record: RecordId, to: oneshot::Sender<Vec<i16>>) {
        if self.0.len() >= DICTATIONS_MAX {
            self.0.pop_first();
        }
        self.0.insert(record, Dictation { to, samples: Vec::new() });
    }

    /// Takes a piece; false: it is of something else.
    pub(super) fn take(&mut self, recorded: &Recorded) -> bool {
        let Some(dictation) = self.0.get_mut(&recorded.record) else { return false };
        match &recorded.chunk {
            Chunk::Frame { left, .. } if dictation.samples.len() < SAMPLES_MAX => {
                dictation.samples.extend_from_slice(left);
            }
            Chunk::Frame { .. } => {}
            Chunk::End => {
                if let Some(Dictation { to, samples }) = self.0.remove(&recorded.record) {
                    // Whoever waited may have gone.
                    to.send(samples).ok();
                }
            }
        }
        true
    }

    /// Something of it found no room: no answer is better than one with a hole. False: it is
    /// something else.
    pub(super) fn lose(&mut self, record: RecordId) -> bool {
        self.0.remove(&record).is_some()
    }
}
