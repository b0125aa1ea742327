//! What is wanted of a rehearsal, and what comes of it.
//!
//! Owns the types that the world outside sees; the call itself is `rehearsal`'s.

use std::time::Duration;

use super::config::Extension;
use super::deed::Denial;
use crate::media::{Prompt, RecordId};

/// What is done when the phone is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This is played, then the phone is hung up on.
    Play(Prompt),
    /// This is played, then what is said is recorded, until the phone hangs up, `#` is pressed or
    /// the time is over.
    Record {
        /// Played before.
        beep: Prompt,
        /// How long is recorded at most.
        longest: Duration,
    },
}

/// A rehearsal that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearse {
    /// Its name, by which is told what came of it.
    pub ticket: u64,
    /// Whose phone.
    pub extension: Extension,
    /// By whom it is wanted.
    pub asker: Asker,
    /// What is done.
    pub piece: Piece,
}

/// By whom a rehearsal is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// By whoever has the extension.
    Own,
    /// By somebody else: only a phone of nobody who is on duty is rung.
    Other,
}

/// What came of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It could not begin.
    Denied(Denial),
    /// Nobody answered the phone.
    Unanswered,
    /// The phone was answered, and hung up before anything was played to its end or recorded.
    CutShort,
    /// It was played to its end, or something was recorded.
    Done,
}

/// News of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// What comes under this name is for whoever asked. Told before the media plane is.
    Recording {
        /// Which rehearsal.
        ticket: u64,
        /// The recording's name in the media plane.
        record: RecordId,
    },
    /// It is over.
    Over {
        /// Which.
        ticket: u64,
        /// What came of it.
        finish: Finish,
    },
}
