//! What a counselor chose: kept over a restart, changed by people only.
//!
//! Owns [`Intention`]. What a counselor *does* (ringing, talking) is derived from live legs.

/// What a person chose for their extension.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Intention {
    /// Takes no calls and is not counted as on duty.
    #[default]
    LoggedOut,
    /// Takes calls.
    Ready,
    /// On duty, takes no calls for now, for this reason (休憩, or `missed` after missed rings).
    Paused(String),
}
