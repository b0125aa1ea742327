//! How much there may be of everything, and how long it may take.
//!
//! Owns the limits of the whole service, and of callers who are not to be connected again. Does not
//! own what belongs to one line, trunk or counselor.

use std::time::Duration;

/// Limits of the whole service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once; one more is refused with 503.
    pub max_calls: usize,
    /// How long a draining process waits for live calls.
    pub drain: Duration,
    /// By when a counselor's phone that is gone (no RTP, no RTCP, no answer to OPTIONS) is known to
    /// be: the caller is told and put back.
    pub vanish_after: Duration,
    /// How long a key of a dialed code may take to be confirmed, prompts included.
    pub code_call: Duration,
    /// How long a silent caller without session timer, whose phone answers nothing, keeps a call.
    pub lost_caller: Duration,
}

/// How long a phone is silent before it is asked whether it is there.
pub const SILENCE: Duration = Duration::from_secs(3);
/// In which its silence is noticed, and its answer or the want of one.
const MARGIN: Duration = Duration::from_secs(1);

impl Limits {
    /// How long it has for its answer: by `vanish_after` it is known to be gone.
    pub fn question(&self) -> Duration {
        self.vanish_after.saturating_sub(SILENCE + MARGIN)
    }
}

/// Callers who are not to be connected again for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// For how long.
    pub limit: Duration,
    /// How many at once.
    pub max: usize,
    /// How long a key lives by which they are known again.
    pub key_life: Duration,
}
