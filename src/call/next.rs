//! What a stage sees of its call, and what it answers.
//!
//! Owns [`Cx`] and [`Next`]; carrying an answer out is `Call::go`'s alone.

use super::cdr::{CallId, EndReason, EndedBy, Outcome};
use super::config::{Config, Extension, Line, LineId, Said, Target};
use super::consent::Consent;
use super::io::Io;
use super::leg::Leg;
use super::ring::Ring;

/// What a stage sees of its call.
pub(super) struct Cx<'a, 'io> {
    pub(super) io: &'a mut Io<'io>,
    pub(super) id: &'a CallId,
    pub(super) config: &'a Config,
    pub(super) line_id: &'a LineId,
    pub(super) line: &'a Line,
    pub(super) caller: &'a mut Leg,
}

/// What comes next, as a stage says.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing changes.
    Stay,
    /// Say this, then go there. The outcome stands unless a counselor is reached after all.
    Go { say: Vec<Said>, target: Target, outcome: Option<Outcome> },
    /// What the caller says to being recorded; then the queue.
    Consented(Consent),
    /// A counselor answered.
    Join(Extension, Box<Leg>),
    /// The counselor's phone is lost: tell the caller, back to the head of the queue.
    CounselorLost,
    /// The counselor hung up while a colleague is rung for a transfer: the caller waits for them.
    CounselorLeft(Ring),
    /// The counselor wants the recording to pause, or to go on.
    TurnTape,
    /// The call is over.
    End { by: EndedBy, reason: EndReason },
    /// The call is over by a fault of ours.
    Fault(&'static str),
}

impl Next {
    pub(super) fn to(target: Target) -> Self {
        Self::Go { say: Vec::new(), target, outcome: None }
    }

    pub(super) fn refuse(say: Vec<Said>, target: Target, outcome: Outcome) -> Self {
        Self::Go { say, target, outcome: Some(outcome) }
    }

    pub(super) fn said_all() -> Self {
        Self::End { by: EndedBy::System, reason: EndReason::MessageEnded }
    }

    pub(super) fn hung_up_by_counselor() -> Self {
        Self::End { by: EndedBy::Counselor, reason: EndReason::Hangup }
    }

    pub(super) fn fault(what: &'static str) -> Self {
        Self::Fault(what)
    }
}

/// Runs `$body` with the stage's view of the call as `$cx`.
macro_rules! with_cx {
    ($call:ident, $io:ident, |$cx:ident| $body:expr) => {{
        let config = std::sync::Arc::clone(&$call.config);
        match config.lines.get(&$call.line_id) {
            Some(line) => {
                let mut cx = $crate::call::next::Cx {
                    io: $io,
                    id: &$call.id,
                    config: &config,
                    line_id: &$call.line_id,
                    line,
                    caller: &mut $call.caller,
                };
                let $cx = &mut cx;
                $body
            }
            None => $crate::call::next::Next::fault("the line is not in the call's configuration"),
        }
    }};
}

pub(super) use with_cx;
