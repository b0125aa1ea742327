//! What koebashi itself has to say, and which prompts say it.
//!
//! Owns the words' names: keys of the configuration, and of the shipped prompts. Which of a line's
//! prompts stands for a word is [`Config::prompt`](super::Config::prompt)'s to say.

use std::collections::BTreeMap;

use crate::media::Prompt;

/// Prompts by what they say. `None`: the service's; in the service's own, the shipped name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts(pub BTreeMap<Said, Prompt>);

/// What koebashi itself has to say (guidance prompts are named by their nodes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    /// Closed now; when we are open.
    Closed,
    /// Closed over 年末年始 (a closed range).
    ClosedYearEnd,
    /// Other numbers that help.
    Help,
    /// All lines busy (queue full).
    AllBusy,
    /// Nobody on duty.
    NoCounselor,
    /// We are looking for a counselor; please wait.
    Connecting,
    /// Still waiting.
    StillWaiting,
    /// Waited too long.
    TimedOut,
    /// Your number is … (1 to 10).
    Position(u8),
    /// More than ten before you.
    PositionMore,
    /// Please dial 186 first.
    Ask186,
    /// A fault of ours.
    Fault,
    /// The counselor's phone was lost; we look for another.
    CounselorLost,
    /// We can't connect you now; please call another day.
    NotTonight,
    /// Goodbye.
    Goodbye,
    /// The service is going down for maintenance (drain).
    Draining,
    /// To a counselor who dialed a code: you are ready.
    Ready,
    /// … paused.
    Paused,
    /// … wrap-up ended.
    WrapUpEnded,
    /// … wrap-up extended.
    WrapUpExtended,
    /// … logged out.
    LoggedOut,
    /// … that code is not known, or does not fit now.
    CodeRefused,
    /// To the counselor in a call that is recorded: nothing is recorded from here on.
    RecordingPaused,
    /// … the recording goes on.
    RecordingResumed,
    /// … the supervisors were asked for help.
    HelpSent,
    /// A tone to a counselor who asked for help during the call: it was sent.
    ToneHelp,
    /// A tone to a counselor: a supervisor is in the call.
    ToneSupervised,
    /// A tone to a counselor: no supervisor is in the call any more.
    ToneUnsupervised,
    /// To a supervisor: you listen.
    Listening,
    /// … the counselor alone hears you.
    Whispering,
    /// … both hear you.
    Joined,
}

impl Said {
    /// Everything that there is to say.
    pub const ALL: [Self; 40] = [
        Self::Closed,
        Self::ClosedYearEnd,
        Self::Help,
        Self::AllBusy,
        Self::NoCounselor,
        Self::Connecting,
        Self::StillWaiting,
        Self::TimedOut,
        Self::Position(1),
        Self::Position(2),
        Self::Position(3),
        Self::Position(4),
        Self::Position(5),
        Self::Position(6),
        Self::Position(7),
        Self::Position(8),
        Self::Position(9),
        Self::Position(10),
        Self::PositionMore,
        Self::Ask186,
        Self::Fault,
        Self::CounselorLost,
        Self::NotTonight,
        Self::Goodbye,
        Self::Draining,
        Self::Ready,
        Self::Paused,
        Self::WrapUpEnded,
        Self::WrapUpExtended,
        Self::LoggedOut,
        Self::CodeRefused,
        Self::RecordingPaused,
        Self::RecordingResumed,
        Self::HelpSent,
        Self::ToneHelp,
        Self::ToneSupervised,
        Self::ToneUnsupervised,
        Self::Listening,
        Self::Whispering,
        Self::Joined,
    ];

    /// Its key in the configuration, and the name of the shipped prompt. A place beyond 10 (or 0)
    /// has no prompt of its own and is `position_more`.
    pub fn name(self) -> &'static str {
        const POSITIONS: [&str; 10] = [
            "position_1",
            "position_2",
            "position_3",
            "position_4",
            "position_5",
            "position_6",
            "position_7",
            "position_8",
            "position_9",
            "position_10",
        ];
        match self {
            Self::Closed => "closed",
            Self::ClosedYearEnd => "closed_year_end",
            Self::Help => "help",
            Self::AllBusy => "all_busy",
            Self::NoCounselor => "no_counselor",
            Self::Connecting => "connecting",
            Self::StillWaiting => "still_waiting",
            Self::TimedOut => "timed_out",
            Self::Position(n) => {
                let place = usize::from(n).checked_sub(1).and_then(|i| POSITIONS.get(i));
                place.copied().unwrap_or("position_more")
            }
            Self::PositionMore => "position_more",
            Self::Ask186 => "ask_186",
            Self::Fault => "fault",
            Self::CounselorLost => "counselor_lost",
            Self::NotTonight => "not_tonight",
            Self::Goodbye => "goodbye",
            Self::Draining => "draining",
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::WrapUpEnded => "wrap_up_ended",
            Self::WrapUpExtended => "wrap_up_extended",
            Self::LoggedOut => "logged_out",
            Self::CodeRefused => "code_refused",
            Self::RecordingPaused => "recording_paused",
            Self::RecordingResumed => "recording_resumed",
            Self::HelpSent => "help_sent",
            Self::ToneHelp => "tone_help",
            Self::ToneSupervised => "tone_supervised",
            Self::ToneUnsupervised => "tone_unsupervised",
            Self::Listening => "listening",
            Self::Whispering => "whispering",
            Self::Joined => "joined",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everything_said_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Said::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), Said::ALL.len());
        assert_eq!(Said::Position(10).name(), "position_10");
        assert_eq!(Said::Position(11).name(), "position_more");
        assert_eq!(Said::Position(0).name(), "position_more");
    }
}
