//! What people do in and to other people's calls and states: listening in, speaking in, asking for
//! help, ending a time for notes. Each is told once, for the audit trail, the log and the metrics.
//!
//! Owns the types. The words are the shell's; who may do what is the switchboard's. No caller is in
//! any of it.

use std::sync::Arc;

use super::board::Chooser;
use super::cdr::CallId;
use super::config::{Extension, SupervisionMode};
use super::intention::Intention;
use super::trial::Trial;

/// Something that a person did, or was not let do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Who.
    pub who: Actor,
    /// In which call; `None`: in none that there is.
    pub call: Option<CallId>,
    /// Whose call it is, or whose state; `None`: nobody's.
    pub counselor: Option<Extension>,
    /// What.
    pub what: What,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has this extension, by their phone.
    Extension(Extension),
    /// Somebody at the console, by their account's name.
    Person(Arc<str>),
    /// Nobody: it follows from something else.
    System,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A supervisor's phone is rung, to be joined with the call.
    Summoned {
        /// Whose.
        supervisor: Extension,
        /// How they shall take part.
        mode: SupervisionMode,
    },
    /// A supervisor takes part from here on.
    Began {
        /// Who.
        supervisor: Extension,
        /// How.
        mode: SupervisionMode,
    },
    /// A supervisor takes part in another way.
    Switched {
        /// Who.
        supervisor: Extension,
        /// How.
        mode: SupervisionMode,
    },
    /// A supervisor takes part no longer, or never came to it.
    Ended {
        /// Who.
        supervisor: Extension,
        /// Why.
        why: Why,
    },
    /// It was not allowed, or could not be.
    Denied {
        /// What for: a mode's name, `supervise` (in a mode that there is not), `end`, `help`,
        /// `help_cleared`, `recording`, `ready`, `pause`, `log_out`, `end_wrap_up`,
        /// `extend_wrap_up` or `limit`.
        asked: &'static str,
        /// The supervisor whom it was about, where they are one of the configuration's extensions;
        /// anything else may be a number.
        whom: Option<Extension>,
        /// Why not.
        why: Denial,
    },
    /// A counselor needs help.
    HelpAsked,
    /// Supervisors' phones are rung for it.
    HelpRung {
        /// Whose; none: no supervisor is free.
        supervisors: Vec<Extension>,
    },
    /// None of them answered. The counselor still waits.
    HelpUnanswered,
    /// The call for help is answered, or taken back.
    HelpCleared,
    /// The call's recording pauses (true), or goes on.
    Recording {
        /// Whether nothing is recorded from here on.
        paused: bool,
    },
    /// The counselor's time for notes ends before its time.
    WrapUpEnded,
    /// The counselor's time for notes lasts longer.
    WrapUpExtended,
    /// The call's caller is not to be connected again for a while.
    Limited,
    /// So many callers may be connected again.
    LimitsLifted(usize),
}

/// Why a supervisor takes part no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They hung up, or pressed the key.
    HungUp,
    /// The console said so.
    Console,
    /// The call, or the counselor's part of it, is over.
    CallOver,
    /// Their phone is gone, or was never there.
    PhoneLost,
    /// Their phone has no audio that can be used.
    NoAudio,
    /// The counselor left, and the call is theirs.
    TookOver,
}

impl Why {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::HungUp => "hung up",
            Self::Console => "told by the console",
            Self::CallOver => "the call is over",
            Self::PhoneLost => "the phone was not reached",
            Self::NoAudio => "the phone has no usable audio",
            Self::TookOver => "took the call over",
        }
    }
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Who asks, or is to be rung, is no supervisor.
    NotSupervisor,
    /// The configuration does not let supervisors do this.
    ModeOff,
    /// There is no such extension.
    UnknownExtension,
    /// There is no such call.
    UnknownCall,
    /// The counselor is in no call with a caller, or the call has no counselor at the moment.
    NotInCall,
    /// It is the supervisor's own call.
    OwnCall,
    /// Another supervisor is in the call, or is being rung for it.
    Taken,
    /// The supervisor is busy with something else.
    Busy,
    /// The counselor is on duty, and somebody else asks.
    OnDuty,
    /// The supervisor's phone can't be reached.
    Unreachable,
    /// No supervisor is in the call.
    NotSupervised,
    /// Nobody has asked for help.
    NoHelpAsked,
    /// Nothing of the call is recorded.
    NotRecorded,
    /// No media port is free.
    NoPort,
    /// The phone offers no audio that can be used.
    NoAudio,
    /// There is no such mode.
    UnknownMode,
    /// There is no such reason for a pause.
    UnknownReason,
    /// The counselor has no time for notes at the moment.
    NotWrappingUp,
    /// There is no such line.
    UnknownLine,
    /// Another test call goes on.
    TestRunning,
    /// There are as many calls as may be, or no new ones are taken.
    NoRoom,
    /// The caller's number is withheld, so that nobody knows them again.
    NoNumber,
    /// As many callers are not to be connected as may be.
    TooManyLimits,
}

impl Denial {
    /// Its name in the API and in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSupervisor => "not_a_supervisor",
            Self::ModeOff => "mode_not_allowed",
            Self::UnknownExtension => "unknown_extension",
            Self::UnknownCall => "unknown_call",
            Self::NotInCall => "not_in_a_call",
            Self::OwnCall => "own_call",
            Self::Taken => "already_supervised",
            Self::Busy => "supervisor_is_busy",
            Self::OnDuty => "on_duty",
            Self::Unreachable => "supervisor_is_unreachable",
            Self::NotSupervised => "not_supervised",
            Self::NoHelpAsked => "no_help_asked",
            Self::NotRecorded => "not_recorded",
            Self::NoPort => "no_media_port",
            Self::NoAudio => "no_usable_audio",
            Self::UnknownMode => "unknown_mode",
            Self::UnknownReason => "unknown_reason",
            Self::NotWrappingUp => "not_wrapping_up",
            Self::UnknownLine => "unknown_line",
            Self::TestRunning => "test_running",
            Self::NoRoom => "no_room",
            Self::NoNumber => "number_withheld",
            Self::TooManyLimits => "too_many_limits",
        }
    }
}

/// What somebody asks of the running service, and is answered at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Ring this supervisor and let them take part in the call.
    Supervise {
        /// The call.
        call: CallId,
        /// The supervisor.
        extension: Extension,
        /// How.
        mode: SupervisionMode,
    },
    /// Let the call's supervisor take part in another way.
    Switch {
        /// The call.
        call: CallId,
        /// How.
        mode: SupervisionMode,
    },
    /// Let somebody take part in a mode that there is not. Always denied, and told as such.
    UnknownMode {
        /// The call.
        call: CallId,
        /// The supervisor, where one was named.
        extension: Option<Extension>,
    },
    /// End the supervision of the call, or the ringing for it.
    EndSupervision {
        /// The call.
        call: CallId,
    },
    /// The counselor needs help.
    AskHelp(Extension),
    /// The counselor needs no help any more.
    ClearHelp(Extension),
    /// The counselor is ready, paused or logged out from here on.
    Intend {
        /// Who.
        extension: Extension,
        /// What.
        intention: Intention,
        /// Whether they chose it themselves.
        by: Chooser,
    },
    /// The counselor's time for notes ends.
    EndWrapUp(Extension),
    /// The counselor's time for notes lasts once more as long.
    ExtendWrapUp(Extension),
    /// Pause the recording of the call, or let it go on.
    PauseRecording {
        /// The call.
        call: CallId,
        /// Whether nothing is recorded from here on.
        paused: bool,
    },
    /// Let a test call come.
    Trial(Trial),
    /// Don't connect the call's caller again for a while.
    LimitCaller {
        /// The call.
        call: CallId,
    },
    /// Connect everybody again.
    LiftLimits,
}
