//! How one counselor's own part of the board looks: their state and why, their call, what to do.
//!
//! Owns which of it is shown when. Rendered for each viewer by itself, as it is theirs alone.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use chrono::TimeDelta;
use chrono_tz::Tz;
use tokio::sync::watch;

use crate::call::board::{
    Board, CallView, Chooser, CounselorState, CounselorView, LineView, PhaseName, Tape,
};
use crate::call::cdr::CallId;
use crate::call::config::Extension;
use crate::call::intention::Intention;
use crate::console::desk::Desk;
use crate::console::live::sheet::{Sheet, length_of};
use crate::console::live::{Paint, Painter};
use crate::console::pages::words;
use crate::lang::Lang;
use crate::store::contact;
use crate::time::Timestamp;

/// How long before the end of counseling the page says so.
const NEAR: TimeDelta = TimeDelta::minutes(15);

#[derive(Template)]
#[template(path = "me_parts.html", block = "mine", config = ".askama.toml")]
struct Mine {
    l: Lang,
    /// Their extension is in the configuration.
    is_known: bool,
    name: &'static str,
    state: &'static str,
    since: i64,
    /// Why it is so, and what comes after it.
    why: Vec<String>,
    /// The end of the time for notes.
    notes_until: Option<i64>,
    is_ready: bool,
    is_out: bool,
    reasons: Vec<String>,
    call: Option<Call>,
    help: Option<Help>,
}

struct Call {
    line: String,
    waited: String,
    presentation: &'static str,
    /// Until when callers are taken, and counseling lasts.
    intake: Option<(String, i64)>,
    service: Option<(String, i64)>,
    /// The end is near, or past.
    note: Option<&'static str>,
    tape: Option<Tape>,
    alarms: Vec<&'static str>,
}

struct Help {
    since: String,
    rings: String,
}

/// What is read aloud.
#[derive(Template)]
#[template(path = "me_parts.html", block = "told", config = ".askama.toml")]
struct Told<'a> {
    state: &'a str,
    why: &'a [String],
}

#[derive(Template)]
#[template(path = "me_parts.html", block = "contact", config = ".askama.toml")]
struct Contact {
    l: Lang,
    /// The last call.
    call: String,
    types: Vec<String>,
    said: Option<String>,
}

impl Contact {
    fn is_said(&self, kind: &str) -> bool {
        self.said.as_deref() == Some(kind)
    }
}

impl Mine {
    fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Call {
    fn runs(&self) -> bool {
        self.tape == Some(Tape::Runs)
    }
}

/// Paints for one of them.
pub(super) struct Mirror {
    pub(super) desk: Arc<Desk>,
    pub(super) board: watch::Receiver<Arc<Board>>,
    pub(super) l: Lang,
    pub(super) extension: Extension,
    pub(super) sheet: Sheet,
    /// The last call that was over, and what was said of it.
    said: Option<(CallId, Option<String>)>,
}

impl Painter for Mirror {
    async fn paint(&mut self, seen: u64) -> Paint {
        self.look().await;
        self.sheet.since(seen).map_or(Paint::Nothing, |(parts, now)| Paint::Parts(parts, now))
    }
}

impl Mirror {
    pub(super) fn new(desk: &Arc<Desk>, l: Lang, extension: Extension) -> Self {
        let (board, sheet) = (desk.handle.board(), Sheet::default());
        Self { desk: Arc::clone(desk), board, l, extension, sheet, said: None }
    }

    /// Paints what is there at the moment.
    pub(super) async fn look(&mut self) {
        let board = Arc::clone(&self.board.borrow());
        let current = self.desk.current();
        let zone = current.loaded.call.timezone;
        let reasons = current.loaded.call.codes.pause_reasons.values().cloned().collect();
        let found = board.counselors.iter().find(|it| it.extension == self.extension);
        let brush = Brush { l: self.l, zone, board: &board, extension: &self.extension };
        let mine = brush.mine(found, reasons);
        let last = found.and_then(|it| it.recent.last()).cloned().filter(|_| mine.call.is_none());
        let told = Told { state: mine.state, why: &mine.why };
        self.sheet.whole("said", told.render().unwrap_or_default());
        self.sheet.whole("mine", mine.render().unwrap_or_default());
        self.read_said(last.as_ref()).await;
        let contact = last.map(|call| Contact {
            l: self.l,
            call: call.to_string(),
            types: current.loaded.contacts.types.clone(),
            said: self.said.as_ref().and_then(|(_, said)| said.clone()),
        });
        let contact = contact.and_then(|it| it.render().ok()).unwrap_or_default();
        self.sheet.whole("contact", contact);
    }

    /// Reads what was said of the last call, once.
    async fn read_said(&mut self, last: Option<&CallId>) {
        if self.said.as_ref().map(|(call, _)| call) == last {
            return;
        }
        let Some(call) = last.cloned() else {
            self.said = None;
            return;
        };
        let (of, who) = (call.clone(), self.extension.clone());
        let said = self.desk.read(move |db| db.read(|conn| contact::of(conn, &of, &who))).await;
        // Where it can't be read, the form is shown all the same.
        self.said = Some((call, said.unwrap_or_default()));
    }
}

struct Brush<'a> {
    l: Lang,
    zone: Tz,
    board: &'a Board,
    extension: &'a Extension,
}

impl Brush<'_> {
    fn moment(&self, moment: Timestamp) -> String {
        words::moment(moment, self.board.at, self.zone)
    }

    fn mine(&self, found: Option<&CounselorView>, reasons: Vec<String>) -> Mine {
        let offline = CounselorState::Offline;
        let state = found.map_or(&offline, |it| &it.state);
        let at = |length: Duration| (self.board.at - length).timestamp();
        let mut own = self.board.calls.iter().filter(|it| it.counselors.contains(self.extension));
        // Who talks may be rung for a transfer besides.
        let talk = own.clone().find(|call| call.phase == PhaseName::Bridge);
        let call = talk.or_else(|| own.find(|call| call.phase == PhaseName::Ringing));
        let help = found.and_then(|it| it.help.as_ref());
        Mine {
            l: self.l,
            is_known: found.is_some(),
            name: state.name(),
            state: words::state(self.l, state),
            since: at(found.map(|it| it.for_).unwrap_or_default()),
            why: found.map(|it| self.why(it)).unwrap_or_default(),
            notes_until: found
                .and_then(|it| it.wrap_up_left)
                .map(|left| (self.board.at + left).timestamp()),
            is_ready: found.is_some_and(|it| it.intention == Intention::Ready),
            is_out: found.is_some_and(|it| it.intention == Intention::LoggedOut),
            reasons,
            call: call.map(|call| self.call(call)),
            help: help.map(|help| Help {
                since: self.moment(self.board.at - help.for_),
                rings: help.rings.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn why(&self, counselor: &CounselorView) -> Vec<String> {
        let l = self.l;
        let mut why = Vec::new();
        let is_later = matches!(counselor.state, CounselorState::Talking | CounselorState::WrapUp);
        match (&counselor.intention, counselor.chosen_by) {
            (Intention::Paused(_), Chooser::Missed) => why.push(l.t(
                "着信に続けて出られなかったため、自動で離席になりました。電話に出られるようになったら「受付可にする」を押してください。",
                "Missed calls have paused you. When you can answer again, choose ready.",
            )),
            (Intention::Paused(_) | Intention::LoggedOut, Chooser::Other) => why.push(l.t(
                "ほかの人(スーパーバイザーなど)がこの状態にしました。",
                "Somebody else (a supervisor) has set this.",
            )),
            (Intention::Paused(_), Chooser::Own) if is_later => {
                why.push(l.t("このあと離席になります。", "After this you are paused."));
            }
            (Intention::LoggedOut, Chooser::Own) if is_later => {
                why.push(l.t("このあとログアウトになります。", "After this you are logged out."));
            }
            (Intention::Paused(_) | Intention::LoggedOut | Intention::Ready, _) => {}
        }
        let mut why: Vec<_> = why.into_iter().map(str::to_owned).collect();
        if let (Intention::Paused(reason), true) =
            (&counselor.intention, counselor.chosen_by != Chooser::Missed)
            && !reason.is_empty()
        {
            why.push(match l {
                Lang::Ja => format!("離席の理由: {reason}"),
                Lang::En => format!("Reason for the pause: {reason}"),
            });
        }
        why
    }

    fn call(&self, call: &CallView) -> Call {
        let l = self.l;
        let line = self.board.lines.iter().find(|it| Some(&it.line) == call.line.as_ref());
        let until = |at: Option<Timestamp>| at.map(|at| (self.moment(at), at.timestamp()));
        let one_way = call.legs.iter().any(|leg| leg.is_one_way || leg.is_unheard);
        let waited = call.waited.unwrap_or(call.in_phase);
        Call {
            line: line.map(|it| it.name.clone()).unwrap_or_default(),
            // A caller who is being connected has not waited to the end.
            waited: match call.waited {
                Some(waited) => length_of(i64::try_from(waited.as_secs()).unwrap_or(i64::MAX)),
                None => {
                    format!("<time data-since=\"{}\"></time>", (self.board.at - waited).timestamp())
                }
            },
            presentation: words::presentation(l, call.presentation),
            intake: until(line.filter(|it| it.open).and_then(|it| it.changes_at)),
            service: until(line.and_then(|it| it.closes_at)),
            note: line.and_then(|line| self.note(line)),
            tape: call.recording,
            alarms: if one_way {
                vec![l.t(
                    "音声が片方しか届いていません。ヘッドセットとマイクの設定を確かめてください。",
                    "Audio goes one way only. Please check headset and microphone.",
                )]
            } else {
                Vec::new()
            },
        }
    }

    fn note(&self, line: &LineView) -> Option<&'static str> {
        let l = self.l;
        match line.closes_at {
            None if !line.open => Some(l.t(
                "相談の終了時刻を過ぎています。通話が自動で切れることはありません。",
                "Counseling is over by the clock. Nobody is ever cut off.",
            )),
            Some(end) if end - self.board.at <= NEAR => Some(l.t(
                "まもなく相談の終了時刻です。通話が自動で切れることはありません。",
                "The end of counseling is near. Nobody is ever cut off.",
            )),
            Some(_) | None => None,
        }
    }
}
