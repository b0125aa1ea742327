//! What became of phones and trunks, as lines of the log; and what people did, for the audit trail.
//!
//! Owns the words. States are read off one board after another, so that no change can be forgotten;
//! what lasted less than the time between two boards is not told. No caller is in any of it.

use std::collections::BTreeMap;

use super::clock;
use crate::call::board::{Board, CounselorState};
use crate::call::config::Extension;
use crate::call::intention::Intention;
use crate::call::switchboard::Command;
use crate::store::audit::Entry;

/// Who did what nobody in particular did.
pub(super) const SYSTEM: &str = "system";

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct News(BTreeMap<String, String>);

impl News {
    /// Tells what differs from the last board.
    pub(super) fn tell(&mut self, board: &Board) {
        let mut states = BTreeMap::new();
        for view in &board.counselors {
            let name = view.state.name();
            let state = match &view.state {
                CounselorState::Paused(why) if !why.is_empty() => format!("{name} ({why})"),
                CounselorState::Paused(_)
                | CounselorState::Offline
                | CounselorState::Unreachable
                | CounselorState::Ready
                | CounselorState::Ringing
                | CounselorState::Talking
                | CounselorState::WrapUp => name.to_owned(),
            };
            states.insert(format!("counselor {}", view.extension), state);
        }
        for view in &board.trunks {
            let why = view.reason.iter().map(|why| format!(": {why}")).collect::<String>();
            states.insert(format!("trunk {}", view.trunk), format!("{}{why}", view.state.name()));
        }
        for (whose, state) in &states {
            if self.0.get(whose) != Some(state) {
                tracing::info!("{whose}: {state}");
            }
        }
        self.0 = states;
    }
}

/// An entry of the audit trail, of now.
pub(super) fn entry(who: &str, what: String) -> Entry {
    Entry { at: clock::now().wall, who: who.to_owned(), what }
}

/// What a counselor chose, or what was chosen for them after missed rings.
pub(super) fn intention(extension: &Extension, intention: &Intention) -> Entry {
    match intention {
        Intention::Ready => entry(&extension.0, "ready".to_owned()),
        Intention::LoggedOut => entry(&extension.0, "logged out".to_owned()),
        Intention::Paused(why) if why == "missed" => {
            entry(SYSTEM, format!("{extension} paused: missed rings"))
        }
        Intention::Paused(why) if why.is_empty() => entry(&extension.0, "paused".to_owned()),
        Intention::Paused(why) => entry(&extension.0, format!("paused: {why}")),
    }
}

/// What an operator told the running service; `None`: it is written down elsewhere.
pub(super) fn command(command: &Command) -> Option<Entry> {
    match command {
        Command::Configure(..) | Command::Intend { .. } => None,
        Command::PauseRecording { call, paused } => {
            let how = if *paused { "paused" } else { "resumed" };
            Some(entry("operator", format!("recording of call {call}: {how}")))
        }
        Command::RecordingLost(_) => None,
        Command::Drain => Some(entry(SYSTEM, "told to end: no new calls".to_owned())),
        Command::Stop => Some(entry(SYSTEM, "ended the calls that were left".to_owned())),
        Command::Override { line, over } => Some(entry("operator", format!("{line}: {over:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_after_missed_rings_is_nobodys_choice() {
        let extension = Extension::from("101");
        let who = |chosen| intention(&extension, &chosen).who;
        assert_eq!(who(Intention::Paused("missed".to_owned())), SYSTEM);
        assert_eq!(who(Intention::Paused("休憩".to_owned())), "101");
        assert_eq!(who(Intention::Ready), "101");
    }
}
