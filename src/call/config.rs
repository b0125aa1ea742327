//! What the call path is told by the operator: trunks, lines, counselors, codes.
//!
//! Owns the meant form of the configuration (durations as durations, names as ids). Reading TOML,
//! defaults in text and error positions are `crate::config`'s; what there is to say is `said`'s,
//! how supervisors take part `supervision`'s, how much and how long at most `limits`'s.

mod limits;
mod said;
mod supervision;
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, Weekday};
pub use limits::{Limits, Repeat, SILENCE};
pub use said::{Prompts, Said};
pub use supervision::{Notice, OnHelp, Supervision, SupervisionMode};
pub use used::Use;

use crate::media::{Digit, Prompt};

/// Declares newtypes for ids that people write in the configuration.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub std::sync::Arc<str>);

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A trunk of the configuration.
    TrunkId,
    /// A line (a service that callers dial).
    LineId,
    /// A counselor's number, as registered and dialed.
    Extension,
    /// A node of a guidance graph.
    NodeId,
}

/// Everything that the call path is configured with. A call keeps the one that it began with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The zone of every opening hour.
    pub timezone: chrono_tz::Tz,
    /// Where calls come from, by id.
    pub trunks: BTreeMap<TrunkId, Trunk>,
    /// What callers dial, by id.
    pub lines: BTreeMap<LineId, Line>,
    /// Who answers, by extension.
    pub counselors: BTreeMap<Extension, Counselor>,
    /// What counselors dial.
    pub codes: Codes,
    /// How supervisors may take part in calls.
    pub supervision: Supervision,
    /// Prompts by what they say, for all lines.
    pub prompts: Prompts,
    /// How long each prompt of the library is; names that are missing can't be played.
    pub prompt_lengths: BTreeMap<Prompt, Duration>,
    /// Limits of the whole service.
    pub limits: Limits,
    /// Callers who are not to be connected again for a while.
    pub repeat: Repeat,
    /// Which text it was read from: a print of that. A call that is gone on with after a restart
    /// finds its configuration by it.
    pub version: u64,
}

/// Which header names the called number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberSource {
    /// `P-Called-Party-ID` (RFC 7315).
    PCalledPartyId,
    /// `To`.
    To,
    /// The Request-URI.
    RequestUri,
}

/// How a trunk's callers press keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfMeans {
    /// Telephone-events.
    Rfc4733,
    /// SIP INFO.
    Info,
    /// Tones in the audio.
    Inband,
}

/// Whether a peer's RTP is encrypted (SRTP by keys in SDP, RFC 4568).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Srtp {
    /// Never: keys are neither offered nor taken.
    Off,
    /// Where the peer can.
    Optional,
    /// Always: a call that can't be encrypted is refused.
    Required,
}

/// A provider of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Addresses or networks that may send us calls.
    pub peers: Vec<ipnet::IpNet>,
    /// Registrations at the carrier; several numbers may need several.
    pub register: Vec<Register>,
    /// Headers that name the called number, first that is there.
    pub called_number: Vec<NumberSource>,
    /// Put before a called number that comes without it (carriers that drop `050`).
    pub add_prefix: String,
    /// Whether provisional responses are sent reliably where the peer supports it (RFC 3262).
    pub rel100: bool,
    /// Session-Expires that we ask for (RFC 4028); `None`: off.
    pub session_expires: Option<Duration>,
    /// By what means keys are taken.
    pub dtmf: Vec<DtmfMeans>,
    /// Codecs in order of preference.
    pub codecs: Vec<crate::media::Codec>,
    /// Whether its RTP is encrypted.
    pub srtp: Srtp,
    /// DSCP of SIP packets.
    pub dscp_sip: u8,
    /// DSCP of RTP packets.
    pub dscp_rtp: u8,
    /// How often the trunk is asked with OPTIONS; `None`: never (NGN forbids it).
    pub options_ping: Option<Duration>,
    /// Address to name in Via, Contact and SDP.
    pub advertised: Option<IpAddr>,
}

/// One registration at a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The registrar: `sip:host[:port][;transport=tcp]`.
    pub uri: String,
    /// Address-of-record, when it is not `user@host-of-uri`.
    pub aor: Option<String>,
    /// User part of the address-of-record.
    pub user: String,
    /// Name for the digest, when it is not `user`.
    pub auth_user: Option<String>,
    /// Password for the digest; `None`: the carrier asks for none.
    pub password: Option<crate::pii::Pii>,
    /// Expiry that we ask for.
    pub expires: Duration,
    /// The registrar's addresses, as the shell resolved them; empty: not resolved (yet).
    pub addresses: Vec<IpAddr>,
}

/// How a line answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerMode {
    /// 200 at once: guidance, queue and music are heard (and paid).
    Immediate,
    /// 180 until a counselor answers: no charge, no prompts.
    Ring,
    /// 183 with audio until a counselor answers: no charge where the network cuts it through.
    EarlyMedia,
}

/// A person's hand on the hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// The hours decide.
    Auto,
    /// Open, whatever the hours say; until the moment, if any.
    Open(Option<crate::time::Timestamp>),
    /// Closed, whatever the hours say; until the moment, if any.
    Closed(Option<crate::time::Timestamp>),
}

/// What happens to a caller who shows no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Welcome.
    Accept,
    /// Answered, asked to dial 186 first, and goodbye.
    Ask186,
    /// Refused unanswered (433).
    Refuse,
}

/// A service that callers dial.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What people call it.
    pub name: String,
    /// Called numbers, digits only.
    pub numbers: Vec<String>,
    /// How it answers.
    pub answer: AnswerMode,
    /// Hours and closed days.
    pub schedule: Schedule,
    /// Callers without a number.
    pub anonymous: Anonymous,
    /// The guidance graph.
    pub guidance: BTreeMap<NodeId, Node>,
    /// The queue.
    pub queue: Queue,
    /// Prompts by what they say, where they are not the service's.
    pub prompts: Prompts,
    /// Before the service's end, when the counselor (alone) hears a tone: time left → prompt.
    pub counselor_tones: Vec<(Duration, Prompt)>,
    /// Whether conversations are recorded.
    pub recording: Recording,
}

/// Whether a line's conversations are recorded. Nobody is who has not heard the prompt to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nobody is.
    Off,
    /// Who presses 1 is.
    Ask {
        /// What asks.
        prompt: Prompt,
        /// How long a key is waited for after the prompt.
        timeout: Duration,
    },
    /// Everybody is, and is told so.
    On {
        /// What tells.
        prompt: Prompt,
    },
}

impl Recording {
    /// What the caller hears before the queue.
    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Self::Off => None,
            Self::Ask { prompt, .. } | Self::On { prompt } => Some(prompt),
        }
    }
}

/// When a line is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Weekly windows. None: always open.
    pub hours: Vec<Window>,
    /// Closed every year from month-day to month-day, inclusive; may cross the year.
    pub closed_ranges: Vec<((u32, u32), (u32, u32))>,
    /// Closed dates.
    pub closed_dates: Vec<NaiveDate>,
    /// Whether Japanese holidays are closed.
    pub closed_on_holidays: bool,
    /// A person's hand on it.
    pub over: Override,
}

/// A weekly window. `intake_end` or `service_end` at or before `open` is on the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The days on which it opens.
    pub days: Vec<Weekday>,
    /// First moment.
    pub open: NaiveTime,
    /// From here on no new callers.
    pub intake_end: NaiveTime,
    /// From here on counseling is over (nobody is cut).
    pub service_end: NaiveTime,
}

/// A node of the guidance: play, then perhaps a choice by key, then go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Played in order.
    pub play: Vec<Prompt>,
    /// Where each key leads; empty: no choice.
    pub keys: BTreeMap<Digit, Target>,
    /// How long a choice is waited for after the prompts.
    pub timeout: Duration,
    /// How often the prompts are played again when nothing (valid) was pressed.
    pub repeats: u8,
    /// Where it goes on without a choice, or after the last repeat.
    pub next: Target,
}

/// Where the guidance goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Another node.
    Node(NodeId),
    /// The line's queue.
    Queue,
    /// The help message, then goodbye.
    Help,
    /// Goodbye.
    Hangup,
    /// Another line, from its start.
    Line(LineId),
}

/// Who is rung for the caller at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Whoever has been free longest.
    LongestIdle,
    /// All free at once.
    RingAll,
    /// The next after the last one rung.
    RoundRobin,
    /// Whoever has taken the fewest calls.
    FewestCalls,
    /// In the configuration's order.
    Ordered,
}

/// What callers hear about their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnouncePosition {
    /// Nothing.
    Off,
    /// Always.
    Yes,
    /// When it is at most this.
    Limit(u32),
}

/// A line's queue. Names are those of app_queue and mod_callcenter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Who is rung.
    pub strategy: Strategy,
    /// How long one counselor is rung.
    pub ring_timeout: Duration,
    /// Pause between a failed offer and the next.
    pub retry: Duration,
    /// How long a caller waits at most.
    pub max_wait: Duration,
    /// How many wait at most.
    pub max_callers: usize,
    /// How long a caller waits while nobody is on duty.
    pub max_wait_no_counselor: Duration,
    /// Whether the place is announced.
    pub announce_position: AnnouncePosition,
    /// How often.
    pub announce_every: Duration,
    /// Hold music.
    pub hold: Prompt,
    /// Time for notes after a call.
    pub wrap_up: Duration,
    /// Rings missed in a row before a counselor is paused; 0: never.
    pub auto_pause_after: u32,
    /// An abandoned wait shorter than this is `short_abandoned`.
    pub short_abandon: Duration,
    /// After `max_wait`.
    pub on_timeout: Target,
    /// When `max_callers` wait already.
    pub on_full: Target,
    /// When nobody is on duty.
    pub on_no_counselor: Target,
}

/// Someone who answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Counselor {
    /// Shown to colleagues.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// How their phone proves itself; `None`: it can't register (a fixed `contact` then).
    pub secret: Option<Secret>,
    /// Lines that they take, in order of the configuration.
    pub lines: Vec<LineId>,
    /// A fixed SIP URI (`sip:` with an IP address) for a phone that does not register.
    pub contact: Option<String>,
    /// What their phones may speak, in order of preference.
    pub codecs: Vec<crate::media::Codec>,
    /// Whether their phones' RTP is encrypted.
    pub srtp: Srtp,
    /// Whether a phone that appears makes its owner ready.
    pub sign_in: SignIn,
    /// Place in the configuration file; `ordered` rings by it.
    pub order: usize,
}

/// How a counselor's intention starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// Ready as soon as the phone is there.
    Auto,
    /// By code, page or API.
    Manual,
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes calls.
    Counselor,
    /// Takes calls, watches, listens.
    Supervisor,
}

/// A phone's stored proof: HA1 = H(user:realm:password) per algorithm (RFC 7616 §3.4.2), hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// MD5.
    pub md5: crate::pii::Pii,
    /// SHA-256; offered before MD5 where it is there.
    pub sha256: Option<crate::pii::Pii>,
}

/// What counselors dial. A code may be followed by more digits (a reason, minutes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Ready.
    pub ready: String,
    /// Pause; one more digit picks the reason.
    pub pause: String,
    /// End wrap-up.
    pub end_wrap_up: String,
    /// Extend wrap-up once more by its length.
    pub extend_wrap_up: String,
    /// Log out.
    pub log_out: String,
    /// Reasons for a pause, by digit (`1` → 休憩).
    pub pause_reasons: BTreeMap<Digit, String>,
    /// Listen to the call of the counselor whose extension follows.
    pub listen: String,
    /// The same, heard by the counselor alone.
    pub whisper: String,
    /// The same, heard by both.
    pub join: String,
    /// Ask the supervisors for help; pressed during the call, too.
    pub help: String,
    /// Pause the call's recording, or let it go on; pressed during the call only.
    pub recording: String,
}

impl Config {
    /// The prompt that says this on this line: the line's own, else the service's, else the
    /// shipped.
    pub fn prompt(&self, line: Option<&Line>, said: Said) -> Prompt {
        let own = line.and_then(|line| line.prompts.0.get(&said));
        let named = own.or_else(|| self.prompts.0.get(&said)).cloned();
        named.unwrap_or_else(|| said.name().into())
    }

    /// Every codec that some leg may speak.
    pub fn codecs(&self) -> BTreeSet<crate::media::Codec> {
        let trunks = self.trunks.values().flat_map(|trunk| &trunk.codecs);
        let phones = self.counselors.values().flat_map(|counselor| &counselor.codecs);
        trunks.chain(phones).copied().collect()
    }
}
