//! The live board: who waits, who talks, who is ready. A picture of one moment, without numbers.
//!
//! Owns the picture's types. Drawing it is the switchboard's, showing it the console's.

use std::time::Duration;

use super::cdr::{CallId, Outcome, Presentation, Quality};
use super::config::{Extension, LineId, Override, SupervisionMode, TrunkId};
use super::intention::Intention;
use super::voice::Side;
use crate::media::Recent;
use crate::time::Timestamp;

/// Everything that a supervisor sees at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// When it was drawn.
    pub at: Timestamp,
    /// No new calls are taken: the process waits for the live ones.
    pub draining: bool,
    /// How many callers are not to be connected again for a while.
    pub limits: usize,
    /// Lines, in order of their ids.
    pub lines: Vec<LineView>,
    /// Calls, oldest first.
    pub calls: Vec<CallView>,
    /// Counselors, in order of the configuration.
    pub counselors: Vec<CounselorView>,
    /// Trunks, in order of their ids.
    pub trunks: Vec<TrunkView>,
}

/// A line at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LineView {
    /// Which.
    pub line: LineId,
    /// What people call it.
    pub name: String,
    /// Whether a caller would be taken.
    pub open: bool,
    /// When that changes next, if it ever does.
    pub changes_at: Option<Timestamp>,
    /// When counseling ends, while there is any and an end is in sight.
    pub closes_at: Option<Timestamp>,
    /// Whether a person has opened or closed it.
    pub over: Override,
    /// How many wait.
    pub waiting: u32,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
    /// Counselors of this line who are ready.
    pub ready: u32,
    /// Calls that ended since midnight, by outcome.
    pub today: Vec<(Outcome, u32)>,
    /// How soon those of today were answered who waited for it.
    pub service_level: ServiceLevel,
}

/// The waits of a [`ServiceLevel`].
pub const SERVICE_LEVELS: [Duration; 3] =
    [Duration::from_secs(20), Duration::from_secs(60), Duration::from_secs(180)];

/// How soon callers were answered since midnight: those who talk count already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceLevel {
    /// Answered within each of [`SERVICE_LEVELS`].
    pub within: [u32; 3],
    /// Answered at all, or abandoned (but for those who hung up at once).
    pub of: u32,
}

impl ServiceLevel {
    /// One more was answered after this wait.
    pub fn answered(&mut self, wait: Duration) {
        self.of += 1;
        for (within, limit) in self.within.iter_mut().zip(SERVICE_LEVELS) {
            *within += u32::from(wait <= limit);
        }
    }
}

/// Which stage of its path a call is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseName {
    /// Just arrived.
    Trunk,
    /// Hears the guidance (or a last message).
    Guidance,
    /// Waits.
    Queue,
    /// Waits while counselors are rung.
    Ringing,
    /// Talks.
    Bridge,
}

impl PhaseName {
    /// All of them, in the order of the path.
    pub const ALL: [Self; 5] =
        [Self::Trunk, Self::Guidance, Self::Queue, Self::Ringing, Self::Bridge];

    /// The stage's name in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trunk => "trunk",
            Self::Guidance => "guidance",
            Self::Queue => "queue",
            Self::Ringing => "ringing",
            Self::Bridge => "bridge",
        }
    }
}

/// A call at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    /// Which.
    pub call: CallId,
    /// Its line, once known.
    pub line: Option<LineId>,
    /// Its stage.
    pub phase: PhaseName,
    /// INVITE.
    pub since: Timestamp,
    /// How long it has been in this stage.
    pub in_phase: Duration,
    /// How long it had waited when it was answered; `None`: it was not yet.
    pub waited: Option<Duration>,
    /// Place in the queue, from 1.
    pub position: Option<u32>,
    /// Who rings or talks.
    pub counselors: Vec<Extension>,
    /// Whether the number is shown.
    pub presentation: Presentation,
    /// Whether what is said is recorded; `None`: it is not.
    pub recording: Option<Tape>,
    /// Who takes part as a supervisor, where the configuration lets the board say so.
    pub supervisor: Option<SupervisorView>,
    /// The voices: the caller's, and the counselor's who talks.
    pub legs: Vec<LegView>,
}

/// How a call's recording does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tape {
    /// Everything that is said is recorded.
    Runs,
    /// The counselor has paused it: nothing is.
    Paused,
}

impl Tape {
    /// The state's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "on",
            Self::Paused => "paused",
        }
    }
}

/// A supervisor in a call at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisorView {
    /// Who.
    pub extension: Extension,
    /// How they take part.
    pub mode: SupervisionMode,
    /// How long they have been there.
    pub for_: Duration,
}

/// A leg of a call at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LegView {
    /// Whose voice.
    pub side: Side,
    /// How it has done so far; a few seconds old.
    pub quality: Quality,
    /// How it has done in the last seconds; `None`: nothing has come.
    pub recent: Option<Recent>,
    /// Alarm: we send, and nothing comes.
    pub is_one_way: bool,
    /// Alarm: we send, and by the peer's reports nothing arrives.
    pub is_unheard: bool,
}

/// What a counselor does, derived from live legs and what they chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CounselorState {
    /// Logged out.
    Offline,
    /// Signed in, but the phone can't be reached.
    Unreachable,
    /// Paused, for a reason.
    Paused(String),
    /// Free.
    Ready,
    /// The phone rings.
    Ringing,
    /// In a call.
    Talking,
    /// Notes after a call.
    WrapUp,
}

impl CounselorState {
    /// The names of all of them.
    pub const NAMES: [&str; 7] =
        ["offline", "unreachable", "paused", "ready", "ringing", "talking", "wrap_up"];

    /// The state's name in the API and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::Paused(_) => "paused",
            Self::Ready => "ready",
            Self::Ringing => "ringing",
            Self::Talking => "talking",
            Self::WrapUp => "wrap_up",
        }
    }
}

/// Who chose a counselor's intention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chooser {
    /// They themselves, by phone or page; or the phone that was switched on.
    #[default]
    Own,
    /// Somebody else at the console.
    Other,
    /// Nobody: too many rings in a row were missed.
    Missed,
}

impl Chooser {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Other => "other",
            Self::Missed => "missed",
        }
    }
}

/// A counselor at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct CounselorView {
    /// Whose.
    pub extension: Extension,
    /// Shown to colleagues.
    pub name: String,
    /// State.
    pub state: CounselorState,
    /// How long it has been so.
    pub for_: Duration,
    /// What is chosen for the time when no call and no wrap-up has them.
    pub intention: Intention,
    /// Who chose it.
    pub chosen_by: Chooser,
    /// How long the time for notes still lasts; `None`: there is none.
    pub wrap_up_left: Option<Duration>,
    /// Rings missed in a row.
    pub missed: u32,
    /// Calls taken since the process began.
    pub taken: u32,
    /// The last calls that they took since the process began, the last one last; few of them.
    pub recent: Vec<CallId>,
    /// Lines.
    pub lines: Vec<LineId>,
    /// Their call for help, while nobody has given any.
    pub help: Option<HelpView>,
}

#[cfg(test)]
impl CounselorView {
    /// Somebody in a state since this moment, for tests.
    pub(crate) fn of(extension: &str, state: CounselorState) -> Self {
        Self {
            extension: extension.into(),
            name: String::new(),
            state,
            for_: Duration::ZERO,
            intention: Intention::Ready,
            chosen_by: Chooser::Own,
            wrap_up_left: None,
            missed: 0,
            taken: 0,
            recent: vec![],
            lines: vec![],
            help: None,
        }
    }
}

/// A counselor's call for help at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpView {
    /// In which call.
    pub call: CallId,
    /// How long they have waited.
    pub for_: Duration,
    /// Supervisors whose phones ring for it.
    pub rings: Vec<Extension>,
}

/// Whether calls can come through a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrunkState {
    /// Nothing says otherwise (a static trunk that is not asked).
    Assumed,
    /// Registered, or answers OPTIONS.
    Up,
    /// Not registered, or does not answer.
    Down,
}

impl TrunkState {
    /// The state's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A trunk at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkView {
    /// Which.
    pub trunk: TrunkId,
    /// State.
    pub state: TrunkState,
    /// What the last failure said, without any number.
    pub reason: Option<String>,
}
