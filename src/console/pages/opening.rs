//! Before opening: the last checks of each line, what is wrong and what to do, and a button to
//! check now. The same for machines.
//!
//! Owns the form of a run on pages and in the API. What is checked is [`opening`]'s.

use std::sync::Arc;

use askama::Template;
use axum::extract::Form;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::json;

use crate::call::config::LineId;
use crate::config::Notify;
use crate::console::desk::Desk;
use crate::console::opening::Refused;
use crate::console::opening::check::{Check, Run, Told, Verdict, Words};
use crate::console::opening::message::form;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::store::opening;
use crate::time::Timestamp;

/// Runs on the page.
const RUNS: u32 = 50;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/opening", get(list))
        .route("/opening/run", post(run))
        .route("/opening/notice", post(notice))
        .route("/api/v1/opening", get(read).post(ask))
}

#[derive(Template)]
#[template(path = "opening.html", config = ".askama.toml")]
struct Opening {
    page: Page,
    /// Id and name of each line.
    lines: Vec<(String, String)>,
    latest: Vec<Card>,
    runs: Vec<Row>,
    /// How long before an opening it is checked, in minutes; `None`: never by itself.
    before: Option<u64>,
    /// By what people are told, and whether each time.
    tells: Vec<&'static str>,
    is_always: bool,
}

/// The last run of a line.
struct Card {
    line: String,
    at: String,
    who: String,
    opens: Option<String>,
    result: Verdict,
    verdict: String,
    /// What is not fine, worst first.
    troubles: Vec<Item>,
    fine: Vec<Item>,
    told: Vec<(bool, String, String)>,
}

/// A check on the page.
struct Item {
    result: Verdict,
    verdict: &'static str,
    title: String,
    what: String,
    todo: String,
    measured: String,
}

/// A run in the list.
struct Row {
    at: String,
    line: String,
    who: String,
    result: Verdict,
    verdict: &'static str,
    troubles: String,
}

/// The last run of each line, in short.
#[derive(Template)]
#[template(path = "opening_summary.html", config = ".askama.toml")]
struct Summary {
    l: Lang,
    openings: Vec<Short>,
}

/// A run in a sentence.
struct Short {
    line: String,
    at: String,
    result: Verdict,
    verdict: &'static str,
    troubles: String,
}

impl Verdict {
    /// Its place in the style sheet.
    pub(in crate::console) fn class(self) -> &'static str {
        match self {
            Self::Ok => "good",
            Self::Unknown | Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// A sign besides the color.
    pub(in crate::console) fn sign(self) -> &'static str {
        match self {
            Self::Ok => "✓",
            Self::Unknown => "?",
            Self::Warn => "△",
            Self::Bad => "✕",
        }
    }

    /// In a word.
    fn word(self, l: Lang) -> &'static str {
        match self {
            Self::Ok => l.t("問題なし", "fine"),
            Self::Unknown => l.t("未確認", "not proved"),
            Self::Warn => l.t("注意", "look at it"),
            Self::Bad => l.t("問題あり", "wrong"),
        }
    }

    /// For a whole run, in a sentence.
    fn sentence(self, l: Lang) -> &'static str {
        match self {
            Self::Ok => l.t("すべて問題ありません。", "Everything is fine."),
            Self::Unknown => l.t(
                "問題は見つかりませんでした。確かめられなかった項目があります。",
                "Nothing is wrong. Some things could not be proved.",
            ),
            Self::Warn => l.t(
                "受付はできますが、注意が必要な項目があります。",
                "Callers can be served, but something needs a look.",
            ),
            Self::Bad => l.t(
                "問題があります。このままでは受付ができないおそれがあります。",
                "Something is wrong: callers may not be served.",
            ),
        }
    }
}

fn words(l: Lang, words: &Words) -> String {
    l.t(&words.ja, &words.en).to_owned()
}

/// Who asked, in words where it was no person.
fn asked_by(who: &str, l: Lang) -> String {
    match who {
        "system" => l.t("自動", "by itself").to_owned(),
        "console" => l.t("コマンド", "command line").to_owned(),
        name => name.to_owned(),
    }
}

fn local(at: Timestamp, tz: Tz) -> String {
    at.with_timezone(&tz).format("%Y-%m-%d %H:%M").to_string()
}

/// The names of what is wrong, worst first.
fn troubles(run: &Run, l: Lang) -> String {
    let bad = run.of(Verdict::Bad).chain(run.of(Verdict::Warn));
    bad.map(|check| words(l, &check.id.title())).collect::<Vec<_>>().join(l.t("、", ", "))
}

/// The last run of each line in short, for the board.
pub(super) fn summary(desk: &Desk, l: Lang) -> String {
    let tz = desk.current().loaded.call.timezone;
    let runs = desk.opening().latest().into_iter();
    let openings = runs.map(|run| Short {
        at: local(run.at, tz),
        result: run.result(),
        verdict: run.result().sentence(l),
        troubles: troubles(&run, l),
        line: run.report.name,
    });
    Summary { l, openings: openings.collect() }.render().unwrap_or_else(|error| {
        tracing::error!(%error, "the summary of the checks can't be rendered");
        String::new()
    })
}

fn item(check: &Check, l: Lang) -> Item {
    Item {
        result: check.result,
        verdict: check.result.word(l),
        title: words(l, &check.id.title()),
        what: words(l, &check.what),
        todo: words(l, &check.todo),
        measured: check.measured.clone(),
    }
}

fn card(run: &Run, l: Lang, tz: Tz) -> Card {
    let next = run.report.next_open.and_then(|at| Timestamp::from_timestamp(at, 0));
    let checks = run.report.checks.iter().map(|check| item(check, l));
    let (fine, mut troubles): (Vec<_>, Vec<_>) =
        checks.partition(|item| item.result == Verdict::Ok);
    troubles.sort_by_key(|item| std::cmp::Reverse(item.result));
    let told = run.report.told.iter();
    Card {
        line: run.report.name.clone(),
        at: local(run.at, tz),
        who: asked_by(&run.who, l),
        opens: next.map(|at| local(at, tz)),
        result: run.result(),
        verdict: run.result().sentence(l).to_owned(),
        troubles,
        fine,
        told: told.map(|it| (it.done, words(l, &it.by), words(l, &it.what))).collect(),
    }
}

async fn last(view: &View) -> Result<Vec<Run>, Response> {
    let rows = view.desk.read(|db| db.read(|conn| opening::last(conn, RUNS))).await;
    let rows = rows.map_err(|error| view.fault(&error))?;
    Ok(rows.into_iter().filter_map(Run::of_row).collect())
}

async fn list(view: View) -> Response {
    let runs = match last(&view).await {
        Ok(runs) => runs,
        Err(response) => return response,
    };
    let current = view.desk.current();
    let call = &current.loaded.call;
    let (l, tz) = (view.l, call.timezone);
    let rows = runs.iter().map(|run| Row {
        at: local(run.at, tz),
        line: run.report.name.clone(),
        who: asked_by(&run.who, l),
        result: run.result(),
        verdict: run.result().word(l),
        troubles: troubles(run, l),
    });
    let opening = &current.loaded.opening;
    let mail = opening.mail.as_ref().map(|_| l.t("メール", "mail"));
    show(&Opening {
        tells: opening.webhook.as_ref().map(|_| "Webhook").into_iter().chain(mail).collect(),
        is_always: opening.notify == Notify::Always,
        page: view.page(view.t("開始前の点検", "Before opening")),
        lines: call.lines.iter().map(|(id, line)| (id.to_string(), line.name.clone())).collect(),
        latest: view.desk.opening().latest().iter().map(|run| card(run, l, tz)).collect(),
        runs: rows.collect(),
        before: opening.before.map(|before| before.as_secs() / 60),
    })
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    line: String,
}

async fn run(view: View, Form(Which { line }): Form<Which>) -> Response {
    let line = Some(line.as_str()).filter(|line| !line.is_empty()).map(LineId::from);
    match view.desk.opening().run(line.as_ref(), &view.person.name).await {
        Ok(runs) => {
            let worst = runs.iter().map(Run::result).max().unwrap_or_default();
            let said =
                format!("{} {}", view.t("点検しました。", "Checked."), worst.sentence(view.l));
            view.go("/opening", said)
        }
        Err(Refused::Running) => view.go_wrong(
            "/opening",
            view.t(
                "いま別の点検が動いています。少し待ってから、もう一度押してください。",
                "Another check goes on. Please try again in a moment.",
            ),
        ),
        Err(Refused::UnknownLine) => {
            view.go_wrong("/opening", view.t("その回線はありません。", "There is no such line."))
        }
    }
}

/// Sends a message that shows whether messages arrive.
async fn notice(view: View) -> Response {
    let told = view.desk.opening().try_telling(&view.person.name).await;
    if told.is_empty() {
        let text = view.t("送り先が設定されていません。", "Nobody is named who could be told.");
        return view.go_wrong("/opening", text);
    }
    let line = |told: &Told| format!("{}: {}", words(view.l, &told.by), words(view.l, &told.what));
    let said = told.iter().map(line).collect::<Vec<_>>().join("\n");
    let names = told.iter().map(|it| format!("{} {}", it.by.en, outcome(it)));
    let names = names.collect::<Vec<_>>().join(", ");
    view.desk.audit(&view.person, format!("sent a test notice: {names}"));
    match told.iter().all(|told| told.done) {
        true => view.go("/opening", said),
        false => view.go_wrong("/opening", said),
    }
}

fn outcome(told: &Told) -> &'static str {
    if told.done { "delivered" } else { "not delivered" }
}

fn forms(runs: &[Run]) -> Response {
    let runs: Vec<_> = runs.iter().map(form).collect();
    Json(json!({ "runs": runs })).into_response()
}

async fn read(view: View) -> Response {
    forms(&view.desk.opening().latest())
}

/// Checks a line, or all of them, and answers when it is done.
async fn ask(view: View, body: Result<Json<Which>, JsonRejection>) -> Response {
    let error =
        |status: StatusCode, what: &str| (status, Json(json!({ "error": what }))).into_response();
    let Ok(Json(Which { line })) = body else {
        return error(StatusCode::BAD_REQUEST, "bad_body");
    };
    let line = Some(line.as_str()).filter(|line| !line.is_empty()).map(LineId::from);
    match view.desk.opening().run(line.as_ref(), &view.person.name).await {
        Ok(runs) => forms(&runs),
        Err(Refused::Running) => error(StatusCode::CONFLICT, "check_running"),
        Err(Refused::UnknownLine) => error(StatusCode::NOT_FOUND, "unknown_line"),
    }
}
