//! The record of a call: one for every call, exactly one outcome, no number.
//!
//! Owns [`Cdr`], [`Outcome`] and [`EndReason`]. Writing them down is the store's, counting them
//! `store::report`'s.

use std::time::Duration;

use super::config::{Extension, LineId, TrunkId};
pub use crate::media::Quality;
use crate::time::Timestamp;

/// A call's name in logs, records and on the board: random, says nothing of the caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub std::sync::Arc<str>);

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happened to a call: exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Joined with a counselor.
    Answered,
    /// Hung up in the queue.
    Abandoned,
    /// Hung up in the queue within `short_abandon`.
    ShortAbandoned,
    /// Hung up during the guidance.
    GuidanceAbandoned,
    /// Waited `max_wait`.
    TimedOut,
    /// The queue was full.
    Full,
    /// Nobody on duty.
    NoCounselor,
    /// Outside the hours.
    Closed,
    /// Turned away by a rule (no number, unknown number, drain) or for want of audio that both can
    /// speak and the trunk's policy allows, or ended by the guidance itself.
    Refused,
    /// Our fault.
    Failed,
}

impl Outcome {
    /// All of them, in the order of records and reports.
    pub const ALL: [Self; 10] = [
        Self::Answered,
        Self::Abandoned,
        Self::ShortAbandoned,
        Self::GuidanceAbandoned,
        Self::TimedOut,
        Self::Full,
        Self::NoCounselor,
        Self::Closed,
        Self::Refused,
        Self::Failed,
    ];

    /// The outcome's name in records, metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Abandoned => "abandoned",
            Self::ShortAbandoned => "short_abandoned",
            Self::GuidanceAbandoned => "guidance_abandoned",
            Self::TimedOut => "timed_out",
            Self::Full => "full",
            Self::NoCounselor => "no_counselor",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What is known of a caller's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presentation {
    /// The number is shown.
    Shown,
    /// 非通知: withheld by the caller.
    Withheld,
    /// 公衆電話.
    Payphone,
    /// 表示圏外: can't be presented.
    Unavailable,
    /// Nothing usable was said.
    Unknown,
}

impl Presentation {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Shown, Self::Withheld, Self::Payphone, Self::Unavailable, Self::Unknown];

    /// The name in records and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Withheld => "withheld",
            Self::Payphone => "payphone",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndedBy {
    /// The caller.
    Caller,
    /// The counselor.
    Counselor,
    /// We.
    System,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// Somebody hung up.
    Hangup,
    /// The caller hung up before we answered.
    Cancelled,
    /// Our last message ended.
    MessageEnded,
    /// We refused the INVITE with this code, or its answer to our offer, which comes after our 200:
    /// then the code is BYE's reason.
    Rejected(u16),
    /// The caller's phone was lost (session timer, transport, no ACK).
    CallerLost,
    /// The process was told to end and has waited as long as it may.
    Stopped,
    /// A fault of ours.
    Fault,
}

/// The record of a call. Moments are wall time, lengths are monotonic.
#[derive(Clone, Debug, PartialEq)]
pub struct Cdr {
    /// The call.
    pub call: CallId,
    /// Through which trunk.
    pub trunk: TrunkId,
    /// Which line; `None`: the called number belongs to none.
    pub line: Option<LineId>,
    /// INVITE.
    pub started: Timestamp,
    /// Our 200 (the caller's bill starts); `None`: never answered.
    pub answered: Option<Timestamp>,
    /// The end.
    pub ended: Timestamp,
    /// What happened.
    pub outcome: Outcome,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Why.
    pub reason: EndReason,
    /// The caller's number: shown or not, and why.
    pub presentation: Presentation,
    /// Time in the guidance.
    pub guidance: Duration,
    /// Time in the queue, until joined or out.
    pub wait: Duration,
    /// Time joined with a counselor.
    pub talk: Duration,
    /// From our 200 until joined or out: what waiting cost the caller.
    pub paid_wait: Duration,
    /// Place in the queue on entering, from 1; `None`: never queued.
    pub position: Option<u32>,
    /// Counselors rung.
    pub offers: u32,
    /// The counselor joined (the last one, after a transfer).
    pub counselor: Option<Extension>,
    /// Time of each counselor with the caller, in order (a transfer splits the talk time).
    pub talks: Vec<(Extension, Duration)>,
    /// Conversations of which a recording was begun: parts 1 to this of the call's recordings.
    pub recorded: u32,
    /// A synthetic call of our own.
    pub test: bool,
    /// How the voices did: the caller's leg first, then those of everybody who came into the
    /// conversation, in that order; [`LEGS_MAX`] at most. None, when the INVITE was refused.
    pub legs: Vec<LegFigures>,
}

/// Legs of a call whose figures are kept: beyond that the oldest but the caller's are forgotten.
pub const LEGS_MAX: usize = 16;

/// Whose leg it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The caller's.
    Caller,
    /// A counselor's who talked with the caller.
    Counselor(Extension),
    /// A supervisor's who took part, and has not taken the call over.
    Supervisor(Extension),
}

/// A leg of a call, and how its voice did.
#[derive(Clone, Debug, PartialEq)]
pub struct LegFigures {
    /// Whose.
    pub whose: Whose,
    /// How it did.
    pub quality: Quality,
}

impl Cdr {
    /// How the caller's voice did.
    pub fn caller_quality(&self) -> Quality {
        let caller = self.legs.iter().find(|leg| leg.whose == Whose::Caller);
        caller.map_or_else(Quality::default, |leg| leg.quality)
    }

    /// How each counselor's voice did, in the order in which they came.
    pub fn counselor_qualities(&self) -> impl Iterator<Item = Quality> {
        let is_counselor = |leg: &&LegFigures| matches!(leg.whose, Whose::Counselor(_));
        self.legs.iter().filter(is_counselor).map(|leg| leg.quality)
    }
}
