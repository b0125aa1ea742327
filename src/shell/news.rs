//! What became of phones and trunks, as lines of the log; and what people did, for the audit trail.
//!
//! Owns the words. States are read off one board after another, so that no change can be forgotten;
//! what lasted less than the time between two boards is not told. No caller is in any of it.

use std::collections::{BTreeMap, BTreeSet};

use super::clock;
use crate::call::board::{Board, CounselorState, CounselorView, TrunkState};
use crate::call::config::{Extension, TrunkId};
use crate::call::deed::{Actor, Deed, What};
use crate::call::intention::Intention;
use crate::call::switchboard::Command;
use crate::call::voice::{self, Voice};
use crate::media::Way;
use crate::store::audit::Entry;

/// Who did what nobody in particular did.
pub(super) const SYSTEM: &str = "system";

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct News {
    counselors: BTreeMap<Extension, CounselorState>,
    trunks: BTreeMap<TrunkId, (TrunkState, Option<String>)>,
}

impl News {
    /// Tells what differs from the last board.
    pub(super) fn tell(&mut self, board: &Board) {
        for CounselorView { extension, state, .. } in &board.counselors {
            if self.counselors.get(extension) != Some(state) {
                tracing::info!("counselor {extension}: {}", words(state));
                self.counselors.insert(extension.clone(), state.clone());
            }
        }
        if self.counselors.len() > board.counselors.len() {
            let left: BTreeSet<_> = board.counselors.iter().map(|view| &view.extension).collect();
            self.counselors.retain(|extension, _| left.contains(extension));
        }
        let trunks: BTreeMap<_, _> = board
            .trunks
            .iter()
            .map(|view| (view.trunk.clone(), (view.state, view.reason.clone())))
            .collect();
        let is_news = |(trunk, told): &(&TrunkId, &_)| self.trunks.get(*trunk) != Some(*told);
        for (trunk, told) in trunks.iter().filter(is_news) {
            let why = told.1.iter().map(|why| format!(": {why}")).collect::<String>();
            tracing::info!("trunk {trunk}: {}{why}", told.0.name());
        }
        self.trunks = trunks;
    }
}

fn words(state: &CounselorState) -> String {
    let name = state.name();
    match state {
        CounselorState::Paused(why) if !why.is_empty() => format!("{name} ({why})"),
        CounselorState::Paused(_)
        | CounselorState::Offline
        | CounselorState::Unreachable
        | CounselorState::Ready
        | CounselorState::Ringing
        | CounselorState::Talking
        | CounselorState::WrapUp => name.to_owned(),
    }
}

/// Tells of audio that goes one way only, and when it is over.
pub(super) fn voice(voice: &Voice) {
    let call = voice.call.as_ref().map_or("-", |call| &call.0);
    let side = voice.side.name();
    match voice.news {
        voice::News::OneWay(Way::FromPeer) => {
            tracing::warn!(call, side, "one-way audio: nothing comes");
        }
        voice::News::OneWay(Way::ToPeer) => {
            tracing::warn!(call, side, "one-way audio: the phone reports that nothing arrives");
        }
        voice::News::BothWays(_) => tracing::info!(call, side, "audio goes both ways"),
        voice::News::Closed(_) => {}
    }
}

/// An entry of the audit trail, of now.
pub(super) fn entry(who: &str, what: String) -> Entry {
    Entry { at: clock::now().wall, who: who.to_owned(), what }
}

/// What a counselor chose, or what was chosen for them: by somebody at the console, or after missed
/// rings.
pub(super) fn intention(extension: &Extension, intention: &Intention, who: &Actor) -> Entry {
    let what = match intention {
        Intention::Ready => "ready".to_owned(),
        Intention::LoggedOut => "logged out".to_owned(),
        Intention::Paused(_) if *who == Actor::System => "paused: missed rings".to_owned(),
        Intention::Paused(why) if why.is_empty() => "paused".to_owned(),
        Intention::Paused(why) => format!("paused: {why}"),
    };
    let is_own = *who == Actor::Extension(extension.clone());
    entry(&name(who), if is_own { what } else { format!("{extension} {what}") })
}

/// Who stands in the audit trail.
fn name(who: &Actor) -> String {
    match who {
        Actor::Extension(extension) => extension.to_string(),
        Actor::Person(name) => name.to_string(),
        Actor::System => SYSTEM.to_owned(),
    }
}

/// Who listened to whom, spoke, asked for help, or was not let.
pub(super) fn deed(deed: &Deed) -> Entry {
    let whose = match (&deed.counselor, &deed.call) {
        (Some(counselor), Some(call)) => format!(" (call {call} of {counselor})"),
        (None, Some(call)) => format!(" (call {call})"),
        (Some(counselor), None) => format!(" (of {counselor})"),
        (None, None) => String::new(),
    };
    let what = match &deed.what {
        What::Summoned { supervisor, mode } => format!("rings {supervisor} to {}", mode.name()),
        What::Began { supervisor, mode } => format!("{supervisor} begins to {}", mode.name()),
        What::Switched { supervisor, mode } => format!("{supervisor} goes on to {}", mode.name()),
        What::Ended { supervisor, why } => {
            format!("{supervisor} supervises no longer: {}", why.words())
        }
        What::Denied { asked, whom, why } => {
            let whom = whom.as_ref().filter(|whom| Actor::Extension((*whom).clone()) != deed.who);
            let whom = whom.map(|whom| format!(" by {whom}")).unwrap_or_default();
            format!("denied {asked}{whom}: {}", why.name())
        }
        What::HelpAsked => "asks for help".to_owned(),
        What::HelpRung { supervisors } if supervisors.is_empty() => {
            "rings nobody for help: no supervisor is free".to_owned()
        }
        What::HelpRung { supervisors } => {
            let names = supervisors.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("rings {} for help", names.join(", "))
        }
        What::HelpUnanswered => "nobody answered the ring for help".to_owned(),
        What::HelpCleared => "the call for help is cleared".to_owned(),
        What::Recording { paused: true } => "the recording is paused".to_owned(),
        What::Recording { paused: false } => "the recording goes on".to_owned(),
        What::WrapUpEnded => "ends the wrap-up".to_owned(),
        What::WrapUpExtended => "extends the wrap-up".to_owned(),
        What::Limited => "has the caller not connected again for a while".to_owned(),
        What::LimitsLifted(count) => format!("has {count} callers connected again"),
    };
    entry(&name(&deed.who), what + &whose)
}

/// What an operator told the running service; `None`: it is written down elsewhere.
pub(super) fn command(command: &Command) -> Option<Entry> {
    match command {
        Command::Configure(..)
        | Command::Rehearse(_)
        | Command::Request { .. }
        | Command::RecordingLost(_) => None,
        Command::Drain => Some(entry(SYSTEM, "told to end: no new calls".to_owned())),
        Command::Stop => Some(entry(SYSTEM, "ended the calls that were left".to_owned())),
        Command::Override { line, over } => Some(entry("operator", format!("{line}: {over:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cdr::CallId;
    use crate::call::config::SupervisionMode;
    use crate::call::deed::{Denial, Why};

    #[test]
    fn deeds_in_words() {
        let words = |who, call: Option<&str>, counselor: Option<&str>, what| {
            let call = call.map(|id| CallId(id.into()));
            let told = deed(&Deed { who, call, counselor: counselor.map(Extension::from), what });
            (told.who, told.what)
        };
        let (supervisor, mode) = (Extension::from("201"), SupervisionMode::Whisper);
        let began = What::Began { supervisor: supervisor.clone(), mode };
        assert_eq!(
            words(Actor::Extension(supervisor.clone()), Some("k7f2"), Some("101"), began),
            ("201".to_owned(), "201 begins to whisper (call k7f2 of 101)".to_owned())
        );
        let ended = What::Ended { supervisor, why: Why::TookOver };
        assert_eq!(
            words(Actor::System, Some("k7f2"), None, ended),
            (SYSTEM.to_owned(), "201 supervises no longer: took the call over (call k7f2)".into())
        );
        let whom = Some(Extension::from("102"));
        let denied = What::Denied { asked: "listen", whom, why: Denial::NotSupervisor };
        assert_eq!(
            words(Actor::Person("hana".into()), None, None, denied.clone()),
            ("hana".to_owned(), "denied listen by 102: not_a_supervisor".to_owned())
        );
        assert_eq!(
            words(Actor::Extension(Extension::from("102")), None, None, denied),
            ("102".to_owned(), "denied listen: not_a_supervisor".to_owned())
        );
        let rings = |supervisors| What::HelpRung { supervisors };
        let two = rings(vec!["201".into(), "202".into()]);
        assert_eq!(words(Actor::System, None, None, two).1, "rings 201, 202 for help");
        assert_eq!(
            words(Actor::System, None, None, rings(vec![])).1,
            "rings nobody for help: no supervisor is free"
        );
    }

    #[test]
    fn a_pause_after_missed_rings_is_nobodys_choice() {
        let extension = Extension::from("101");
        let words = |chosen, who| {
            let told = intention(&extension, &chosen, &who);
            (told.who, told.what)
        };
        let paused = |why: &str| Intention::Paused(why.to_owned());
        let own = Actor::Extension(extension.clone());
        let table = [
            (paused("missed"), Actor::System, SYSTEM, "101 paused: missed rings"),
            (paused("休憩"), own.clone(), "101", "paused: 休憩"),
            (Intention::Ready, own, "101", "ready"),
            (paused("休憩"), Actor::Person("hana".into()), "hana", "101 paused: 休憩"),
            (Intention::LoggedOut, Actor::Person("hana".into()), "hana", "101 logged out"),
        ];
        for (chosen, by, who, what) in table {
            assert_eq!(words(chosen, by), (who.to_owned(), what.to_owned()));
        }
    }
}
