//! The board: who waits, who talks, who is there; and what supervisors do from it.
//!
//! Owns the page, its stream and its one form. How its parts look is [`paint`]'s. The switch of a
//! line is a form of the hours'.

mod gallery;
mod paint;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;

use super::words;
use crate::call::board::Chooser;
use crate::call::cdr::CallId;
use crate::call::config::{Extension as Number, Override, SupervisionMode};
use crate::call::deed::Request;
use crate::call::intention::Intention;
use crate::console::desk::Desk;
use crate::console::live::follow;
use crate::console::live::seats::Seats;
use crate::console::live::sheet::fill;
use crate::console::sign_in::From;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::shell::clock;
use crate::store::accounts::Role;
use gallery::{Gallery, Visitor};
use paint::Sight;

/// Where it is.
const HERE: &str = "/board";
/// The parts of the page that change by themselves.
const PARTS: [&str; 12] = [
    "alerts",
    "told",
    "summary",
    "opening",
    "lines",
    "waits",
    "waits-more",
    "talks",
    "talks-more",
    "counselors",
    "counselors-more",
    "trunks",
];

/// The paths of this file.
pub(super) fn routes(seats: Seats) -> Router<Arc<Desk>> {
    Router::new()
        .route("/board", get(board))
        .route("/board/events", get(events))
        .route("/board/act", post(act))
        .layer(Extension(Gallery::default()))
        .layer(Extension(seats))
}

#[derive(Template)]
#[template(path = "board.html", config = ".askama.toml")]
struct Board {
    page: Page,
    wall: bool,
    acts: bool,
    here: &'static str,
    stream: &'static str,
    parts: Vec<(&'static str, String)>,
    extension: Option<String>,
    reasons: Vec<String>,
    /// Each line's id, name, hand and until when.
    switches: Vec<(String, String, &'static str, String)>,
    choices: [(&'static str, &'static str); 3],
}

impl Board {
    fn part(&self, id: &str) -> &str {
        self.parts.iter().find(|(part, _)| *part == id).map_or("", |(_, html)| html)
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct How {
    wall: String,
}

impl How {
    fn is_wall(&self) -> bool {
        self.wall == "1"
    }
}

fn sight(view: &View, how: &How) -> Sight {
    match view.person.role {
        Role::Supervisor if !how.is_wall() => Sight::Acts,
        Role::Supervisor | Role::Operator | Role::Counselor | Role::Auditor => Sight::Sees,
    }
}

async fn board(
    view: View,
    Query(how): Query<How>,
    Extension(gallery): Extension<Gallery>,
) -> Response {
    let current = view.desk.current();
    let zone = current.loaded.call.timezone;
    let sight = sight(&view, &how);
    let parts = gallery.with((view.l, sight, zone), &view.desk, |sheet, _| {
        let now = clock::now().wall;
        PARTS.map(|id| (id, fill(&sheet.html(id), now))).to_vec()
    });
    let picture = view.desk.handle.board();
    let lines = &picture.borrow().lines;
    let switches = lines.iter().map(|line| {
        let (over, until) = match line.over {
            Override::Auto => ("auto", None),
            Override::Open(until) => ("open", until),
            Override::Closed(until) => ("closed", until),
        };
        let until = until.map(|at| at.with_timezone(&zone).format("%Y-%m-%dT%H:%M").to_string());
        (line.line.to_string(), line.name.clone(), over, until.unwrap_or_default())
    });
    show(&Board {
        page: view.page(view.t("ボード", "Board")),
        wall: how.is_wall(),
        acts: sight == Sight::Acts,
        here: if how.is_wall() { "/board?wall=1" } else { HERE },
        stream: if how.is_wall() { "/board/events?wall=1" } else { "/board/events" },
        parts,
        extension: view.person.extension.as_ref().map(ToString::to_string),
        reasons: current.loaded.call.codes.pause_reasons.values().cloned().collect(),
        switches: switches.collect(),
        choices: [
            ("auto", view.l.t("時間どおり", "By the hours")),
            ("open", view.l.t("開ける", "Open")),
            ("closed", view.l.t("閉める", "Closed")),
        ],
    })
}

async fn events(
    view: View,
    Query(how): Query<How>,
    headers: HeaderMap,
    Extension(gallery): Extension<Gallery>,
    Extension(seats): Extension<Seats>,
    Extension(from): Extension<From>,
) -> Response {
    let zone = view.desk.current().loaded.call.timezone;
    let of = (view.l, sight(&view, &how), zone);
    let visitor = Visitor { gallery, desk: Arc::clone(&view.desk), of };
    follow(&view, &headers, (&seats, from), visitor)
}

#[derive(Deserialize)]
struct Act {
    /// What, and whom it is about: `listen CALL`, `pause EXTENSION`.
    r#do: String,
    #[serde(default)]
    reason: String,
}

/// Asks once more before a caller is not connected again.
#[derive(Template)]
#[template(path = "board_limit.html", config = ".askama.toml")]
struct Limit {
    page: Page,
    call: String,
    length: String,
}

fn confirm_limit(view: &View, call: &str) -> Response {
    let limit = view.desk.current().loaded.call.repeat.limit;
    let (hours, minutes) = (limit.as_secs() / 3600, limit.as_secs() / 60);
    let length = match (limit.as_secs() % 3600, view.l) {
        (0, Lang::Ja) => format!("{hours}時間"),
        (0, Lang::En) => format!("{hours} h"),
        (_, Lang::Ja) => format!("{minutes}分"),
        (_, Lang::En) => format!("{minutes} min"),
    };
    let page =
        view.page(view.t("この人を、しばらくつながない", "Don't connect this caller for a while"));
    show(&Limit { page, call: call.to_owned(), length })
}

async fn act(view: View, Form(act): Form<Act>) -> Response {
    let (what, whom) = act.r#do.split_once(' ').unwrap_or((&act.r#do, ""));
    if what == "limit" {
        return confirm_limit(&view, whom);
    }
    let request = match request(&view, what, whom, act.reason) {
        Ok(request) => request,
        Err(wrong) => return view.go_wrong(HERE, wrong),
    };
    let done = match matches!(request, Request::Supervise { .. }) {
        true => view.t("あなたの内線を呼び出しています。", "Your extension rings."),
        false => view.t("変えました。", "It is done."),
    };
    match view.desk.handle.ask(request, &view.person.name).await {
        Ok(Ok(())) => view.go(HERE, done),
        Ok(Err(denial)) => view.go_wrong(HERE, words::denial(view.l, denial)),
        Err(_) => view.go_wrong(HERE, words::no_answer(view.l)),
    }
}

/// What is asked of the service, or why nothing is.
fn request<'a>(view: &'a View, what: &str, whom: &str, reason: String) -> Result<Request, &'a str> {
    let (call, extension) = (CallId(whom.into()), Number::from(whom));
    let own = view.person.extension.as_ref();
    let by = if own == Some(&extension) { Chooser::Own } else { Chooser::Other };
    let intend = |intention| Request::Intend { extension: extension.clone(), intention, by };
    if let Some(mode) = SupervisionMode::ALL.into_iter().find(|mode| mode.name() == what) {
        let Some(own) = own.cloned() else {
            return Err(view.t(
                "あなたのアカウントには内線がありません。運用担当者に設定してもらってください。",
                "Your account has no extension. Please ask an operator for one.",
            ));
        };
        let is_in = is_supervised_by(view, &call, &own);
        return Ok(match is_in {
            true => Request::Switch { call, mode },
            false => Request::Supervise { call, extension: own, mode },
        });
    }
    match what {
        "end" => Ok(Request::EndSupervision { call }),
        "limit_yes" => Ok(Request::LimitCaller { call }),
        "lift" => Ok(Request::LiftLimits),
        "clear" => Ok(Request::ClearHelp(extension)),
        "ready" => Ok(intend(Intention::Ready)),
        "pause" => Ok(intend(Intention::Paused(reason))),
        "out" => Ok(intend(Intention::LoggedOut)),
        _ => Err(view.t("その操作はありません。", "There is no such action.")),
    }
}

fn is_supervised_by(view: &View, call: &CallId, own: &Number) -> bool {
    let board = view.desk.handle.board();
    let board = board.borrow();
    let found = board.calls.iter().find(|it| it.call == *call);
    found.and_then(|it| it.supervisor.as_ref()).is_some_and(|it| it.extension == *own)
}
