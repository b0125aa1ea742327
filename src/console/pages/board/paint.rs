//! How the board's parts look, in a language and for a kind of viewer.
//!
//! Owns what of the board is shown, in which order, and how many of each. Nothing here depends on
//! who looks, but for whether they may act; forms' tokens stand outside of it.

use std::collections::BTreeSet;
use std::time::Duration;

use askama::Template;
use chrono_tz::Tz;

use crate::call::board::{
    Board, CallView, Chooser, CounselorState, CounselorView, LegView, LineView, PhaseName,
    SERVICE_LEVELS, Tape, TrunkState, TrunkView,
};
use crate::call::config::{LineId, Override};
use crate::call::intention::Intention;
use crate::call::voice::Side;
use crate::console::live::sheet::Sheet;
use crate::console::pages::words;
use crate::lang::Lang;
use crate::time::Timestamp;

/// Rows of each list at most: a page stays under 100 kB. What needs somebody comes first.
const WAITING_MAX: usize = 30;
const TALKS_MAX: usize = 40;
const COUNSELORS_MAX: usize = 60;

/// What a viewer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sight {
    /// Sees.
    Sees,
    /// Listens in, and sets counselors' states.
    Acts,
}

/// Paints one board.
pub(super) struct Brush<'a> {
    pub(super) l: Lang,
    pub(super) sight: Sight,
    pub(super) zone: Tz,
    pub(super) board: &'a Board,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "alerts", config = ".askama.toml")]
struct Alerts {
    l: Lang,
    acts: bool,
    /// Who asks: extension, name, since when, whose phones ring.
    help: Vec<(String, String, String, String)>,
    draining: bool,
    /// Callers who are not to be connected again for a while.
    limits: usize,
    down: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "summary", config = ".askama.toml")]
struct Summary {
    l: Lang,
    waiting: usize,
    oldest: Option<i64>,
    talking: usize,
    ready: usize,
    guided: usize,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "line", config = ".askama.toml")]
struct LineRow {
    id: String,
    name: String,
    state: String,
    over: Option<String>,
    waiting: u32,
    oldest: Option<i64>,
    ready: u32,
    today: String,
    level: String,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "waits", config = ".askama.toml")]
struct WaitRow {
    id: String,
    position: String,
    line: String,
    since: i64,
    stage: String,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "talk", config = ".askama.toml")]
struct TalkRow {
    l: Lang,
    acts: bool,
    id: String,
    line: String,
    counselors: String,
    since: i64,
    waited: String,
    notes: Vec<String>,
    alarms: Vec<&'static str>,
    supervisor: Option<String>,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "counselor", config = ".askama.toml")]
struct CounselorRow {
    l: Lang,
    acts: bool,
    extension: String,
    name: String,
    state: String,
    is_alarm: bool,
    why: String,
    since: i64,
    taken: u32,
    missed: u32,
}

#[derive(Template)]
#[template(path = "board_parts.html", block = "trunk", config = ".askama.toml")]
struct TrunkRow {
    id: String,
    state: &'static str,
    is_alarm: bool,
    reason: String,
}

/// A template's text. It is made of texts and numbers only, so that it can't fail.
fn html(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}

impl Brush<'_> {
    pub(super) fn paint(&self, sheet: &mut Sheet) {
        let board = self.board;
        sheet.whole("alerts", html(&self.alerts()));
        let talks: Vec<_> = self.of_phase(&[PhaseName::Bridge]).collect();
        let waits: Vec<_> = self.of_phase(&[PhaseName::Queue, PhaseName::Ringing]).collect();
        let summary = self.summary(&waits, talks.len());
        sheet.whole("told", self.told(&summary));
        sheet.whole("summary", html(&summary));
        let lines = board.lines.iter().map(|it| (it.line.to_string(), html(&self.line(it))));
        sheet.rows("lines", lines.collect());
        sheet.rows("waits", self.waits(&waits));
        sheet.whole(
            "waits-more",
            self.more(waits.len(), WAITING_MAX, self.t("いません。", "Nobody.")),
        );
        sheet.rows("talks", self.talks(&talks));
        sheet.whole(
            "talks-more",
            self.more(talks.len(), TALKS_MAX, self.t("ありません。", "None.")),
        );
        sheet.rows("counselors", self.counselors());
        sheet.whole(
            "counselors-more",
            self.more(board.counselors.len(), COUNSELORS_MAX, self.t("いません。", "Nobody.")),
        );
        let trunks = board.trunks.iter().map(|it| (it.trunk.to_string(), html(&self.trunk(it))));
        sheet.rows("trunks", trunks.collect());
    }

    fn t<'b>(&self, ja: &'b str, en: &'b str) -> &'b str {
        self.l.t(ja, en)
    }

    fn acts(&self) -> bool {
        self.sight == Sight::Acts
    }

    /// Since when something has lasted, in seconds of Unix time.
    fn since(&self, length: Duration) -> i64 {
        (self.board.at - length).timestamp()
    }

    fn moment(&self, moment: Timestamp) -> String {
        words::moment(moment, self.board.at, self.zone)
    }

    fn of_phase(&self, phases: &[PhaseName]) -> impl Iterator<Item = &CallView> {
        self.board.calls.iter().filter(move |call| phases.contains(&call.phase))
    }

    fn line_name(&self, line: Option<&LineId>) -> String {
        let found = self.board.lines.iter().find(|view| Some(&view.line) == line);
        found
            .map_or_else(|| line.map(ToString::to_string).unwrap_or_default(), |it| it.name.clone())
    }

    /// What is said below a list: how many it leaves out, or that there are none.
    fn more(&self, count: usize, most: usize, none: &str) -> String {
        let left = count.saturating_sub(most);
        match (left, self.l) {
            (0, _) if count == 0 => none.to_owned(),
            (0, _) => String::new(),
            (left, Lang::Ja) => format!("ほか{left}件(対応が必要なものを先に表示しています)"),
            (left, Lang::En) => format!("{left} more (what needs somebody comes first)"),
        }
    }

    fn alerts(&self) -> Alerts {
        let asking = self.board.counselors.iter().filter_map(|it| Some((it, it.help.as_ref()?)));
        let help = asking.map(|(counselor, help)| {
            let rings: Vec<_> = help.rings.iter().map(ToString::to_string).collect();
            let since = self.moment(self.board.at - help.for_);
            (counselor.extension.to_string(), counselor.name.clone(), since, rings.join(", "))
        });
        let down = self.board.trunks.iter().filter(|trunk| trunk.state == TrunkState::Down);
        Alerts {
            l: self.l,
            acts: self.acts(),
            help: help.collect(),
            draining: self.board.draining,
            limits: self.board.limits,
            down: down
                .map(|it| (it.trunk.to_string(), it.reason.clone().unwrap_or_default()))
                .collect(),
        }
    }

    fn summary(&self, waits: &[&CallView], talking: usize) -> Summary {
        // Supervisors may be ready and take no line's calls.
        let is_ready =
            |it: &&CounselorView| it.state == CounselorState::Ready && !it.lines.is_empty();
        let oldest = waits.iter().map(|call| call.in_phase).max();
        Summary {
            l: self.l,
            waiting: waits.len(),
            oldest: oldest.map(|it| self.since(it)),
            talking,
            ready: self.board.counselors.iter().filter(is_ready).count(),
            guided: self.of_phase(&[PhaseName::Trunk, PhaseName::Guidance]).count(),
        }
    }

    /// What is read aloud: not every number that changes.
    fn told(&self, summary: &Summary) -> String {
        match (summary.waiting, summary.ready, self.l) {
            (0, _, Lang::Ja) => "待っている人はいません".to_owned(),
            (0, _, Lang::En) => "Nobody waits".to_owned(),
            (n, 0, Lang::Ja) => format!("待っている人 {n}人。空いている相談員はいません"),
            (n, 0, Lang::En) => format!("{n} waiting, no counselor is free"),
            (n, _, Lang::Ja) => format!("待っている人 {n}人"),
            (n, _, Lang::En) => format!("{n} waiting"),
        }
    }

    fn line(&self, line: &LineView) -> LineRow {
        let until = |at: Option<Timestamp>| at.map(|at| self.moment(at)).unwrap_or_default();
        let (changes, closes) = (until(line.changes_at), until(line.closes_at));
        let state = match (line.open, line.closes_at.is_some(), self.l) {
            (true, _, _) if line.changes_at.is_none() => self.t("受付中", "Open").to_owned(),
            (true, true, Lang::Ja) => format!("受付中 {changes}まで(相談は{closes}まで)"),
            (true, true, Lang::En) => format!("Open until {changes}, counseling until {closes}"),
            (true, false, Lang::Ja) => format!("受付中 {changes}まで"),
            (true, false, Lang::En) => format!("Open until {changes}"),
            (false, true, Lang::Ja) => format!("受付終了(相談は{closes}まで)"),
            (false, true, Lang::En) => format!("No new callers, counseling until {closes}"),
            (false, false, _) if line.changes_at.is_none() => self.t("時間外", "Closed").to_owned(),
            (false, false, Lang::Ja) => format!("時間外 次は{changes}から"),
            (false, false, Lang::En) => format!("Closed, opens {changes}"),
        };
        let today = line.today.iter().filter(|(_, n)| *n > 0);
        let today = today.map(|(what, n)| format!("{} {n}", words::outcome(self.l, *what)));
        LineRow {
            id: line.line.to_string(),
            name: line.name.clone(),
            state,
            over: self.over(line.over),
            waiting: line.waiting,
            oldest: (line.waiting > 0).then(|| self.since(line.longest_wait)),
            ready: line.ready,
            today: today.collect::<Vec<_>>().join(self.t("、", ", ")),
            level: self.level(line),
        }
    }

    fn over(&self, over: Override) -> Option<String> {
        let (what, until) = match over {
            Override::Auto => return None,
            Override::Open(until) => (self.t("臨時に開けています", "opened by hand"), until),
            Override::Closed(until) => (self.t("臨時に閉めています", "closed by hand"), until),
        };
        let until = until.map(|at| (self.moment(at), self.l));
        Some(match until {
            None => what.to_owned(),
            Some((until, Lang::Ja)) => format!("{what}({until}まで)"),
            Some((until, Lang::En)) => format!("{what} until {until}"),
        })
    }

    fn level(&self, line: &LineView) -> String {
        let level = line.service_level;
        if level.of == 0 {
            return "–".to_owned();
        }
        let share = |n: u32| f64::from(n) * 100.0 / f64::from(level.of);
        let each = SERVICE_LEVELS.iter().zip(level.within).map(|(limit, n)| {
            let seconds = limit.as_secs();
            format!("{seconds}{} {:.0} %", self.t("秒", " s"), share(n))
        });
        each.collect::<Vec<_>>().join(" · ")
    }

    fn waits(&self, calls: &[&CallView]) -> Vec<(String, String)> {
        let mut calls = calls.to_vec();
        calls.sort_by_key(|call| std::cmp::Reverse(call.in_phase));
        let rows = calls.into_iter().take(WAITING_MAX).map(|call| {
            let names: Vec<_> = call.counselors.iter().map(ToString::to_string).collect();
            let stage = match call.phase {
                PhaseName::Ringing => self.t("呼出中", "ringing"),
                PhaseName::Trunk | PhaseName::Guidance | PhaseName::Queue | PhaseName::Bridge => {
                    self.t("待ち", "waits")
                }
            };
            let row = WaitRow {
                id: call.call.to_string(),
                position: call.position.map(|it| it.to_string()).unwrap_or_default(),
                line: self.line_name(call.line.as_ref()),
                since: self.since(call.in_phase),
                stage: format!("{stage} {}", names.join(" ")),
            };
            (row.id.clone(), html(&row))
        });
        rows.collect()
    }

    fn talks(&self, calls: &[&CallView]) -> Vec<(String, String)> {
        let helpless: BTreeSet<_> =
            self.board.counselors.iter().filter_map(|it| Some(&it.help.as_ref()?.call)).collect();
        let is_one_way = |leg: &LegView| leg.is_one_way || leg.is_unheard;
        let needs =
            |call: &CallView| helpless.contains(&call.call) || call.legs.iter().any(is_one_way);
        let mut calls = calls.to_vec();
        calls.sort_by_key(|call| (!needs(call), std::cmp::Reverse(call.in_phase)));
        let rows = calls.into_iter().take(TALKS_MAX).map(|call| {
            let row = self.talk(call, helpless.contains(&call.call));
            (row.id.clone(), html(&row))
        });
        rows.collect()
    }

    fn talk(&self, call: &CallView, asks_help: bool) -> TalkRow {
        let line = self.board.lines.iter().find(|it| Some(&it.line) == call.line.as_ref());
        let is_late = line.is_some_and(|it| !it.open && it.closes_at.is_none());
        let recording = match call.recording {
            None => None,
            Some(Tape::Runs) => Some(self.t("録音中", "recorded")),
            Some(Tape::Paused) => Some(self.t("録音停止中", "recording paused")),
        };
        let notes = [
            asks_help.then(|| self.t("支援要請", "asks for help")),
            is_late.then(|| self.t("時間終了後", "after closing")),
            recording,
        ];
        TalkRow {
            l: self.l,
            acts: self.acts(),
            id: call.call.to_string(),
            line: self.line_name(call.line.as_ref()),
            counselors: call
                .counselors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
            since: self.since(call.in_phase),
            waited: call
                .waited
                .map(|it| crate::console::live::sheet::length_of(it.as_secs() as i64))
                .unwrap_or_default(),
            notes: notes.into_iter().flatten().map(str::to_owned).collect(),
            alarms: call.legs.iter().flat_map(|leg| self.alarms(leg)).collect(),
            supervisor: call
                .supervisor
                .as_ref()
                .map(|it| format!("{} {}", it.extension, words::mode(self.l, it.mode))),
        }
    }

    fn alarms(&self, leg: &LegView) -> impl Iterator<Item = &'static str> {
        let l = self.l;
        let (silent, unheard) = match leg.side {
            Side::Caller => (
                l.t("相談者の声が届きません", "nothing comes from the caller"),
                l.t("相談者に声が届いていません", "the caller hears nothing"),
            ),
            Side::Counselor => (
                l.t("相談員の声が届きません", "nothing comes from the counselor"),
                l.t("相談員に声が届いていません", "the counselor hears nothing"),
            ),
            Side::Supervisor => (
                l.t("スーパーバイザーの声が届きません", "nothing comes from the supervisor"),
                l.t("スーパーバイザーに声が届いていません", "the supervisor hears nothing"),
            ),
        };
        let both = [leg.is_one_way.then_some(silent), leg.is_unheard.then_some(unheard)];
        both.into_iter().flatten()
    }

    /// Those who do something first, in the configuration's order.
    fn counselors(&self) -> Vec<(String, String)> {
        let is_off = |it: &&CounselorView| it.state == CounselorState::Offline;
        let all = &self.board.counselors;
        let sorted = all.iter().filter(|it| !is_off(it)).chain(all.iter().filter(is_off));
        let rows = sorted.take(COUNSELORS_MAX).map(|counselor| {
            let row = self.counselor(counselor);
            (row.extension.clone(), html(&row))
        });
        rows.collect()
    }

    fn counselor(&self, counselor: &CounselorView) -> CounselorRow {
        let mut why = Vec::new();
        match (&counselor.state, counselor.chosen_by) {
            (CounselorState::Paused(_), Chooser::Missed) => {
                why.push(self.t("着信に出られず自動離席", "missed rings").to_owned());
            }
            (CounselorState::Paused(reason), by) => {
                why.extend(Some(reason.clone()).filter(|reason| !reason.is_empty()));
                if by == Chooser::Other {
                    why.push(self.t("ほかの人が設定", "set by somebody else").to_owned());
                }
            }
            (CounselorState::Talking | CounselorState::WrapUp, _) => match counselor.intention {
                Intention::Ready => {}
                Intention::Paused(_) => why.push(self.t("このあと離席", "then paused").to_owned()),
                Intention::LoggedOut => {
                    why.push(self.t("このあとログアウト", "then logged out").to_owned());
                }
            },
            (
                CounselorState::Offline
                | CounselorState::Unreachable
                | CounselorState::Ready
                | CounselorState::Ringing,
                _,
            ) => {}
        }
        CounselorRow {
            l: self.l,
            acts: self.acts(),
            extension: counselor.extension.to_string(),
            name: counselor.name.clone(),
            state: words::state(self.l, &counselor.state).to_owned(),
            is_alarm: counselor.state == CounselorState::Unreachable,
            why: why.join(self.t("、", ", ")),
            since: self.since(counselor.for_),
            taken: counselor.taken,
            missed: counselor.missed,
        }
    }

    fn trunk(&self, trunk: &TrunkView) -> TrunkRow {
        TrunkRow {
            id: trunk.trunk.to_string(),
            state: words::trunk(self.l, trunk.state),
            is_alarm: trunk.state == TrunkState::Down,
            reason: trunk.reason.clone().unwrap_or_default(),
        }
    }
}
