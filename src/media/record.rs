//! What leaves the media plane of a recording: samples, and the word that they end. Owns the form
//! in which they cross to whoever writes them down; not when a recording begins
//! ([`super::Command::Record`]) and not the file.

use super::RecordId;

/// A piece of one recording, in the order in which it was spoken.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Of which recording.
    pub record: RecordId,
    /// What.
    pub chunk: Chunk,
}

/// What a recording consists of.
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are frames; a box would be a malloc each"
)]
pub enum Chunk {
    /// 20 ms of both voices, 8 kHz. A voice that is not there is silence.
    Frame {
        /// The voice of the left port's peer.
        left: [i16; 160],
        /// The voice of the right port's peer.
        right: [i16; 160],
    },
    /// Nothing follows: it was stopped, or a port of it closed.
    End,
}

/// Never the samples: they are somebody's voice.
impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.chunk {
            Chunk::Frame { .. } => "Frame",
            Chunk::End => "End",
        };
        write!(f, "Recorded {{ record: {:?}, chunk: {what} }}", self.record)
    }
}
