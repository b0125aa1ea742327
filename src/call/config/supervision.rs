//! How supervisors may take part in calls, as it is configured.
//!
//! Owns the modes and what a counselor is told of them. Does not own who supervises whom:
//! `crate::call::supervision`.

use std::time::Duration;

/// How a supervisor takes part in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SupervisionMode {
    /// Hears both, heard by none.
    Listen,
    /// Hears both, heard by the counselor alone.
    Whisper,
    /// Hears both, heard by both.
    Join,
}

impl SupervisionMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Listen, Self::Whisper, Self::Join];

    /// Its name in the configuration, the API, metrics and the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Whisper => "whisper",
            Self::Join => "join",
        }
    }
}

/// How supervisors may take part in calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// What they may do.
    pub modes: Vec<SupervisionMode>,
    /// What the counselor (alone) hears when a supervisor comes and goes.
    pub notice: Notice,
    /// Whether the board, which counselors see too, says who supervises.
    pub counselor_sees_listener: bool,
    /// What a counselor's call for help does, besides being told.
    pub on_help: OnHelp,
    /// How many supervisors are rung for one call for help at most.
    pub help_ring_max: usize,
    /// How long a supervisor's phone is rung that is to be joined with a call, by the API or for
    /// help.
    pub ring_timeout: Duration,
    /// How long a `*` pressed by a counselor in a call waits for the rest of a code.
    pub key_timeout: Duration,
}

/// What a counselor's call for help does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHelp {
    /// It rings the phones of the supervisors who are free; the first to answer listens.
    Ring,
    /// It is told: by board, event stream, log and metrics.
    Tell,
}

/// What a counselor hears when a supervisor comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    None,
    /// A soft tone.
    Tone,
}
