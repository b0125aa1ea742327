//! What happened to a call, when it ends: exactly one outcome.
//!
//! Owns the judgment, and the final code for a caller who was never answered. Does not end
//! anything: that is `Call::end`'s.

use std::time::Duration;

use super::cdr::{EndReason, Outcome};
use super::io::Io;
use super::{Call, Phase};

impl Call {
    /// What happened to the call, if it ends now.
    pub(super) fn outcome(&self, io: &Io<'_>, reason: EndReason) -> Outcome {
        if self.record.was_joined() || matches!(self.phase, Phase::Bridge(_)) {
            return Outcome::Answered;
        }
        if matches!(reason, EndReason::Fault | EndReason::Stopped) {
            return Outcome::Failed;
        }
        if let Some(verdict) = self.record.verdict {
            return verdict;
        }
        let short = self.line().map_or(Duration::ZERO, |line| line.queue.short_abandon);
        match (&self.phase, reason) {
            (_, EndReason::MessageEnded | EndReason::Rejected(_)) => Outcome::Refused,
            (Phase::Queue(waiting) | Phase::Ringing(waiting, _), _) => {
                if waiting.waited(io.now.mono) < short {
                    Outcome::ShortAbandoned
                } else {
                    Outcome::Abandoned
                }
            }
            (
                Phase::Trunk(_)
                | Phase::Guidance(_)
                | Phase::Message(_)
                | Phase::Consent(_)
                | Phase::Ended,
                _,
            ) => Outcome::GuidanceAbandoned,
            (Phase::Bridge(_), _) => Outcome::Answered,
        }
    }
}

/// The final code for a caller whom we don't answer (early media): 486 lets the carrier's busy
/// overflow act.
pub(super) fn refusal(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Full => 486,
        Outcome::Failed => 500,
        Outcome::Answered
        | Outcome::Abandoned
        | Outcome::ShortAbandoned
        | Outcome::GuidanceAbandoned
        | Outcome::TimedOut
        | Outcome::NoCounselor
        | Outcome::Closed
        | Outcome::Refused => 480,
    }
}
