//! What is kept of the call path over a restart of the process, so that `kill -9` at any moment
//! costs nobody their call: the values of the journal.
//!
//! Owns the forms; their keys are in [`journal`](super::journal). Making them, and going on from
//! them, is the work of those who own what they are made of (`keeping` of each); sessions and
//! registrations are in [`crate::sip::kept`].
//!
//! A value is JSON with a format number, small and in the words of the configuration and the
//! records, so that another version of the program can read it: what it does not know it passes
//! over, what it misses has a default. Each input brings one write of all that is new, before
//! anything is sent: whatever a peer has seen of us, the journal knows. What is restored is
//! therefore never behind the peer, but may be ahead of it: what was not sent is sent then.
//!
//! Kept of a call: who and when (for its record), the caller's leg with its port, descriptions and
//! keys, and where it is on its path:
//!
//! * before the caller hears us: what is to be heard; in ring mode it goes on ringing;
//! * guidance, message, the question whether to record: it begins anew, with the same words;
//! * the queue: place, since when, deadlines, who was rung in vain; the music plays;
//! * ringing: as the queue. The INVITEs are taken back, and settling makes the offer again;
//! * the bridge: the counselor's leg, a supervisor who takes part, a call for help. A transfer that
//!   was under way has failed, and the phone that asked for it is told so;
//! * ended: only the record, which is written then. One that is complete and not in the database
//!   yet is kept by itself ([`recorded`](super::recorded)), and nothing else of its call.
//!
//! Besides: colleagues who talk with each other, counselors' wrap-up and turns, the day's counts,
//! and tokens of callers who are not to be connected again for a while.
//!
//! Not kept, because it is over with the process: test calls, rehearsals, codes that are being
//! confirmed, supervisors who are rung. Their sessions are kept by the SIP stack, belong to nobody
//! after the restart and are ended. Nor what is worked out anew: places, tones, who is on duty or
//! busy. A recording goes on as another part. The voices' figures are the media plane's: of legs
//! that ended before, they are lost, unless the record is complete. A caller's number is in the
//! form of the call, as it is in its session's: the journal is encrypted, and what it has of a call
//! is gone with the call.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::cdr::{EndReason, EndedBy, Outcome, Presentation};
use super::config::{DtmfMeans, Srtp, SupervisionMode};
use super::consent::Consent;
use crate::media::{Codec, Quality};
use crate::sip::kept::Text;
use crate::sip::sdp::{KeptAgreed, KeptOurs};

/// A value that has a word for itself.
pub(super) trait Worded: Copy + PartialEq + 'static {
    const WORDS: &'static [(Self, &'static str)];
}

/// A value by its word.
#[derive(Clone, Copy)]
pub(super) struct Word<T>(pub(super) T);

impl<T: Worded> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let found = T::WORDS.iter().find(|(value, _)| *value == self.0);
        to.serialize_str(found.map_or("", |(_, word)| word))
    }
}

impl<'de, T: Worded> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        let found = T::WORDS.iter().find(|(_, known)| *known == word);
        found.map(|(value, _)| Self(*value)).ok_or_else(|| de::Error::custom("no such word"))
    }
}

/// Gives values their words.
macro_rules! words {
    ($($of:ident: $($value:ident $word:literal),+;)*) => {$(
        impl Worded for $of {
            const WORDS: &'static [(Self, &'static str)] = &[$((Self::$value, $word)),+];
        }
    )*};
}

words! {
    Outcome: Answered "answered", Abandoned "abandoned", ShortAbandoned "short_abandoned",
        GuidanceAbandoned "guidance_abandoned", TimedOut "timed_out", Full "full",
        NoCounselor "no_counselor", Closed "closed", Refused "refused", Failed "failed";
    Presentation: Shown "shown", Withheld "withheld", Payphone "payphone",
        Unavailable "unavailable", Unknown "unknown";
    EndedBy: Caller "caller", Counselor "counselor", System "system";
    DtmfMeans: Rfc4733 "rfc4733", Info "info", Inband "inband";
    Srtp: Off "off", Optional "optional", Required "required";
    SupervisionMode: Listen "listen", Whisper "whisper", Join "join";
    Consent: Unasked "unasked", Told "told", Agreed "agreed", Withheld "withheld";
    Codec: Pcmu "pcmu", Pcma "pcma", G722 "g722", Opus "opus";
}

/// How far a leg is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LegStage {
    /// Its port was being opened.
    Opening,
    /// Our answer is awaited.
    Early,
    /// The end is.
    Up,
}

/// One side of a call.
#[derive(Serialize, Deserialize)]
pub(super) struct Leg {
    pub(super) stage: LegStage,
    pub(super) session: u64,
    /// The port's name; its number is in `ours`.
    pub(super) port: u32,
    pub(super) shard: u8,
    pub(super) bind: IpAddr,
    pub(super) advertised: IpAddr,
    pub(super) dscp: u8,
    pub(super) codecs: Vec<Word<Codec>>,
    #[serde(default)]
    pub(super) dtmf: Vec<Word<DtmfMeans>>,
    pub(super) srtp: Word<Srtp>,
    pub(super) signaling: IpAddr,
    pub(super) ours: KeptOurs,
    #[serde(default)]
    pub(super) offer: Option<Text>,
    #[serde(default)]
    pub(super) agreed: Option<KeptAgreed>,
    #[serde(default)]
    pub(super) proven: bool,
}

/// A moment of both clocks: nanoseconds since the system's boot, microseconds of the wall clock.
pub(super) type Moment = (u64, i64);

/// How a call ended.
#[derive(Serialize, Deserialize)]
pub(super) struct End {
    pub(super) at: Moment,
    pub(super) outcome: Word<Outcome>,
    pub(super) by: Word<EndedBy>,
    pub(super) reason: Reason,
}

/// Why a call ended.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Hangup,
    Cancelled,
    MessageEnded,
    Rejected(u16),
    CallerLost,
    Stopped,
    Fault,
}

impl From<EndReason> for Reason {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Hangup => Self::Hangup,
            EndReason::Cancelled => Self::Cancelled,
            EndReason::MessageEnded => Self::MessageEnded,
            EndReason::Rejected(code) => Self::Rejected(code),
            EndReason::CallerLost => Self::CallerLost,
            EndReason::Stopped => Self::Stopped,
            EndReason::Fault => Self::Fault,
        }
    }
}

impl From<Reason> for EndReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Hangup => Self::Hangup,
            Reason::Cancelled => Self::Cancelled,
            Reason::MessageEnded => Self::MessageEnded,
            Reason::Rejected(code) => Self::Rejected(code),
            Reason::CallerLost => Self::CallerLost,
            Reason::Stopped => Self::Stopped,
            Reason::Fault => Self::Fault,
        }
    }
}

/// The record of a call that is over. Moments are microseconds of the wall clock, lengths
/// nanoseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct Cdr {
    pub(super) call: String,
    pub(super) trunk: String,
    #[serde(default)]
    pub(super) line: Option<String>,
    pub(super) started: i64,
    #[serde(default)]
    pub(super) answered: Option<i64>,
    pub(super) ended: i64,
    pub(super) outcome: Word<Outcome>,
    pub(super) by: Word<EndedBy>,
    pub(super) reason: Reason,
    pub(super) presentation: Word<Presentation>,
    #[serde(default)]
    pub(super) guidance: u64,
    #[serde(default)]
    pub(super) wait: u64,
    #[serde(default)]
    pub(super) talk: u64,
    #[serde(default)]
    pub(super) paid_wait: u64,
    #[serde(default)]
    pub(super) position: Option<u32>,
    #[serde(default)]
    pub(super) offers: u32,
    #[serde(default)]
    pub(super) counselor: Option<String>,
    #[serde(default)]
    pub(super) talks: Vec<(String, u64)>,
    #[serde(default)]
    pub(super) recorded: u32,
    #[serde(default)]
    pub(super) test: bool,
    #[serde(default)]
    pub(super) legs: Vec<Voice>,
}

/// A leg, and how its voice did.
#[derive(Serialize, Deserialize)]
pub(super) struct Voice {
    pub(super) whose: Whose,
    #[serde(with = "Figures")]
    pub(super) quality: Quality,
}

/// The figures, by their names in the media plane.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Quality")]
struct Figures {
    received: u64,
    sent: u64,
    lost: u64,
    lost_at_peer: u64,
    jitter_ms: f32,
    jitter_max_ms: f32,
    round_trip_ms: Option<f32>,
    strangers: u64,
    rejected: u64,
    late: u64,
    concealed: u64,
    first_packet_ms: Option<f32>,
    source_differs: bool,
    level_dbfs: Option<f32>,
    one_way: u32,
    unheard: u32,
    mos: Option<f32>,
    mos_at_peer: Option<f32>,
}

/// Whose leg it was.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Whose {
    Caller,
    Counselor(String),
    Supervisor(String),
}

/// A call's record while it grows. Lengths are nanoseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) started: Moment,
    pub(super) trunk: String,
    #[serde(default)]
    pub(super) answered: Option<Moment>,
    #[serde(default)]
    pub(super) verdict: Option<Word<Outcome>>,
    #[serde(default)]
    pub(super) guidance_since: Option<u64>,
    #[serde(default)]
    pub(super) guidance: u64,
    #[serde(default)]
    pub(super) queue_since: Option<u64>,
    #[serde(default)]
    pub(super) wait: u64,
    #[serde(default)]
    pub(super) bridge_since: Option<u64>,
    #[serde(default)]
    pub(super) talks: Vec<(String, u64)>,
    #[serde(default)]
    pub(super) position: Option<u32>,
    #[serde(default)]
    pub(super) offers: u32,
    #[serde(default)]
    pub(super) served: Option<u64>,
    #[serde(default)]
    pub(super) recorded: u32,
    #[serde(default)]
    pub(super) end: Option<End>,
}

/// Where a call goes on.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    Node(String),
    Queue,
    Help,
    Hangup,
    Line(String),
}

/// What a caller hears who can't hear us yet.
#[derive(Serialize, Deserialize)]
pub(super) struct Parked {
    #[serde(default)]
    pub(super) say: Vec<String>,
    pub(super) target: Target,
    #[serde(default)]
    pub(super) outcome: Option<Word<Outcome>>,
}

/// A caller in the queue.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) since: u64,
    /// Who was rung in vain.
    #[serde(default)]
    pub(super) tried: Vec<String>,
    #[serde(default)]
    pub(super) max_wait: Option<u64>,
    #[serde(default)]
    pub(super) no_counselor: Option<u64>,
    #[serde(default)]
    pub(super) announce: Option<u64>,
}

/// A supervisor who takes part.
#[derive(Serialize, Deserialize)]
pub(super) struct Supervision {
    pub(super) extension: String,
    pub(super) mode: Word<SupervisionMode>,
    pub(super) since: u64,
    pub(super) leg: Leg,
}

/// A counselor's call for help.
#[derive(Serialize, Deserialize)]
pub(super) struct Help {
    pub(super) since: u64,
    /// Supervisors' phones ring, or are to.
    #[serde(default)]
    pub(super) rings: bool,
}

/// Caller and counselor, joined.
#[derive(Serialize, Deserialize)]
pub(super) struct Bridge {
    pub(super) extension: String,
    pub(super) leg: Leg,
    /// A transfer was under way.
    #[serde(default)]
    pub(super) transfer: bool,
    #[serde(default)]
    pub(super) supervision: Option<Supervision>,
    #[serde(default)]
    pub(super) help: Option<Help>,
}

/// Callers who are not to be connected again for a while.
#[derive(Serialize, Deserialize)]
pub(super) struct Repeat {
    pub(super) generations: Vec<Generation>,
}

/// A key, when it is gone, and tokens with when each is over.
#[derive(Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) key: [u8; 32],
    pub(super) dies: u64,
    pub(super) tokens: Vec<(u64, u64)>,
}

/// Where a call is on its path.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Opening,
    Answering(Parked),
    Guidance(String),
    Message { said: Vec<String>, then: Target },
    Consent,
    Queue(Waiting),
    Bridge(Box<Bridge>),
    Ended,
}

/// A call.
#[derive(Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: String,
    /// The version of the configuration that it began with.
    #[serde(default)]
    pub(super) config: u64,
    pub(super) line: String,
    pub(super) presentation: Word<Presentation>,
    pub(super) record: Record,
    /// `None`: the caller is gone.
    #[serde(default)]
    pub(super) caller: Option<Leg>,
    pub(super) phase: Phase,
    pub(super) consent: Word<Consent>,
    /// Recording is paused, whoever talks.
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    pub(super) order: i64,
    pub(super) forwards: u32,
    /// The caller's, where it is shown.
    #[serde(default)]
    pub(super) number: Option<String>,
}

/// Colleagues who talk.
#[derive(Serialize, Deserialize)]
pub(super) struct Internal {
    pub(super) from: String,
    pub(super) leg: Leg,
    pub(super) to: String,
    pub(super) other: Leg,
}

/// What a counselor did last.
#[derive(Serialize, Deserialize)]
pub(super) struct Counselor {
    pub(super) idle_since: u64,
    #[serde(default)]
    pub(super) wrap_up_until: Option<u64>,
    #[serde(default)]
    pub(super) missed: u32,
    #[serde(default)]
    pub(super) taken: u32,
    #[serde(default)]
    pub(super) recent: Vec<String>,
    #[serde(default)]
    pub(super) rung: u64,
}

/// How a line did today.
#[derive(Serialize, Deserialize)]
pub(super) struct LineToday {
    pub(super) line: String,
    #[serde(default)]
    pub(super) outcomes: Vec<(Word<Outcome>, u32)>,
    #[serde(default)]
    pub(super) within: [u32; 3],
    #[serde(default)]
    pub(super) of: u32,
}

/// The service.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Service {
    /// The day, as the service's calendar has it.
    #[serde(default)]
    pub(super) day: Option<String>,
    #[serde(default)]
    pub(super) lines: Vec<LineToday>,
    /// Names that flows refer to by their place.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// Under which secret refused INVITEs have their names; `None`: none was refused.
    #[serde(default)]
    pub(super) refused: Option<String>,
}
