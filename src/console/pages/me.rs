//! My page: a counselor's own state, call and calls of the day, and what they do about them.
//!
//! Owns the page, its stream and its forms. How the live parts look is [`paint`]'s, of which calls
//! one may speak is [`contacts`]'.

mod paint;

use std::sync::Arc;

use askama::Template;
use axum::extract::Form;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use chrono::TimeZone as _;
use serde::Deserialize;

use super::words;
use crate::call::board::{Board, Chooser, PhaseName};
use crate::call::cdr::CallId;
use crate::call::config::Extension as Number;
use crate::call::deed::Request;
use crate::call::intention::Intention;
use crate::console::contacts::{self, Wrong};
use crate::console::desk::Desk;
use crate::console::live::follow;
use crate::console::live::seats::Seats;
use crate::console::live::sheet::{fill, length_of};
use crate::console::sign_in::From;
use crate::console::ui::{Page, View, show};
use crate::shell::clock;
use crate::store::contact;
use paint::Mirror;

/// Where it is.
const HERE: &str = "/me";
/// Calls of the day that are shown.
const TALKS: u32 = 50;

/// The paths of this file.
pub(super) fn routes(seats: Seats) -> Router<Arc<Desk>> {
    Router::new()
        .route("/me", get(me))
        .route("/me/events", get(events))
        .route("/me/act", post(act))
        .route("/me/contact", post(say))
        .layer(Extension(seats))
}

#[derive(Template)]
#[template(path = "me.html", config = ".askama.toml")]
struct Me {
    page: Page,
    extension: Option<String>,
    said: String,
    mine: String,
    contact: String,
    talks: Vec<Talk>,
    types: Vec<String>,
}

struct Talk {
    call: String,
    began: String,
    line: String,
    length: String,
    kind: Option<String>,
}

impl Talk {
    fn is_of(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// What can be chosen, and what was chosen before it was taken from the list.
    fn kinds<'a>(&'a self, types: &'a [String]) -> Vec<&'a str> {
        let own = self.kind.as_deref().filter(|kind| !types.iter().any(|it| it == kind));
        own.into_iter().chain(types.iter().map(String::as_str)).collect()
    }
}

async fn me(view: View) -> Response {
    let Some(extension) = view.person.extension.clone() else {
        let nothing = Vec::new;
        return show(&Me {
            page: view.page(view.t("マイページ", "My page")),
            extension: None,
            said: String::new(),
            mine: String::new(),
            contact: String::new(),
            talks: nothing(),
            types: Vec::new(),
        });
    };
    let talks = match talks(&view, &extension).await {
        Ok(talks) => talks,
        Err(error) => return view.fault(&error),
    };
    let mut mirror = Mirror::new(&view.desk, view.l, extension.clone());
    mirror.look().await;
    let now = clock::now().wall;
    let part = |id| fill(&mirror.sheet.html(id), now);
    show(&Me {
        page: view.page(view.t("マイページ", "My page")),
        extension: Some(extension.to_string()),
        said: part("said"),
        mine: part("mine"),
        contact: part("contact"),
        talks,
        types: view.desk.current().loaded.contacts.types.clone(),
    })
}

/// The calls of the day, the last one first.
async fn talks(view: &View, extension: &Number) -> Result<Vec<Talk>, crate::store::Error> {
    let current = view.desk.current();
    let zone = current.loaded.call.timezone;
    let now = clock::now().wall;
    let midnight = now.with_timezone(&zone).date_naive().and_hms_opt(0, 0, 0);
    let midnight = midnight.and_then(|it| zone.from_local_datetime(&it).earliest());
    let from = midnight.map_or(now, |it| it.to_utc());
    let who = extension.clone();
    let read =
        move |db: &crate::store::Reader| db.read(|conn| contact::talks(conn, &who, from, TALKS));
    let talks = view.desk.read(read).await?;
    let lines = &current.loaded.call.lines;
    let talks = talks.into_iter().map(|talk| Talk {
        call: talk.call.to_string(),
        began: words::moment(talk.started, now, zone),
        line: talk
            .line
            .map(|id| lines.get(&id).map_or_else(|| id.to_string(), |it| it.name.clone()))
            .unwrap_or_default(),
        length: length_of(i64::try_from(talk.seconds).unwrap_or(i64::MAX)),
        kind: talk.kind,
    });
    Ok(talks.collect())
}

async fn events(
    view: View,
    headers: HeaderMap,
    Extension(seats): Extension<Seats>,
    Extension(from): Extension<From>,
) -> Response {
    let Some(extension) = view.person.extension.clone() else {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    };
    let mirror = Mirror::new(&view.desk, view.l, extension);
    follow(&view, &headers, (&seats, from), mirror)
}

#[derive(Deserialize)]
struct Act {
    r#do: String,
}

async fn act(view: View, Form(Act { r#do }): Form<Act>) -> Response {
    let Some(own) = view.person.extension.clone() else {
        return view.go_wrong(
            HERE,
            view.t("あなたのアカウントには内線がありません。", "Your account has no extension."),
        );
    };
    let board = Arc::clone(&view.desk.handle.board().borrow());
    let Some((request, done)) = request(&view, &board, own, &r#do) else {
        let text = view.t("いまその操作はできません。", "That can't be done at the moment.");
        return view.go_wrong(HERE, text);
    };
    match view.desk.handle.ask(request, &view.person.name).await {
        Ok(Ok(())) => view.go(HERE, done),
        Ok(Err(denial)) => view.go_wrong(HERE, words::denial(view.l, denial)),
        Err(_) => view.go_wrong(HERE, words::no_answer(view.l)),
    }
}

/// What is asked of the service for their own extension, and what is said when it is done.
fn request<'a>(
    view: &'a View,
    board: &Board,
    own: Number,
    what: &str,
) -> Option<(Request, &'a str)> {
    let by = Chooser::Own;
    let intend = |intention| Request::Intend { extension: own.clone(), intention, by };
    if let Some(reason) = what.strip_prefix("pause ") {
        let request = intend(Intention::Paused(reason.to_owned()));
        return Some((request, view.t("離席にしました。", "You are paused.")));
    }
    let tape = |paused| Some(Request::PauseRecording { call: talk_of(board, &own)?, paused });
    Some(match what {
        "ready" => (intend(Intention::Ready), view.t("受付可にしました。", "You are ready.")),
        "out" => {
            (intend(Intention::LoggedOut), view.t("ログアウトしました。", "You are logged out."))
        }
        "end" => (Request::EndWrapUp(own), view.t("後処理を終えました。", "The wrap-up is over.")),
        "extend" => {
            (Request::ExtendWrapUp(own), view.t("後処理を延長しました。", "The wrap-up is longer."))
        }
        "help" => (
            Request::AskHelp(own),
            view.t("支援を呼びました。", "The supervisors are asked for help."),
        ),
        "unhelp" => {
            (Request::ClearHelp(own), view.t("支援要請を取り消しました。", "It is taken back."))
        }
        "stop" => (tape(true)?, view.t("録音を止めました。", "Nothing is recorded now.")),
        "go_on" => (tape(false)?, view.t("録音を再開しました。", "It is recorded again.")),
        _ => return None,
    })
}

/// The call in which they talk.
fn talk_of(board: &Board, own: &Number) -> Option<CallId> {
    let mut talks = board.calls.iter().filter(|call| call.phase == PhaseName::Bridge);
    talks.find(|call| call.counselors.contains(own)).map(|call| call.call.clone())
}

/// A button that says both, or two fields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    said: String,
    call: String,
    r#type: String,
}

async fn say(view: View, Form(said): Form<Said>) -> Response {
    let (call, kind) = match said.said.split_once(' ') {
        Some((call, kind)) => (call.to_owned(), kind.to_owned()),
        None => (said.call, said.r#type),
    };
    let wrong = match contacts::set(&view.desk, &view.person, CallId(call.into()), kind).await {
        Ok(()) => return view.go(HERE, view.t("通話の内容を記録しました。", "It is noted.")),
        Err(wrong) => wrong,
    };
    let text = match wrong {
        Wrong::NoExtension => {
            view.t("あなたのアカウントには内線がありません。", "Your account has no extension.")
        }
        Wrong::UnknownCall => view.t(
            "その通話は見つかりません。自分が話した通話だけ記録できます。",
            "There is no such call of yours.",
        ),
        Wrong::UnknownType => view.t(
            "その内容は選択肢にありません。もう一度選んでください。",
            "That is not in the list (any more). Please choose again.",
        ),
        Wrong::TooLate => view.t(
            "その日が過ぎた通話の内容は変えられません。",
            "The day of that call is over; it can't be changed any more.",
        ),
        Wrong::Fault(error) => return view.fault(&error),
    };
    view.go_wrong(HERE, text)
}
