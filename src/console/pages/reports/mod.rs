//! The figures: on a page, on paper, as a file for spreadsheets.
//!
//! Owns the pages' paths and what of the figures is shown where. How things are counted is
//! `store::report`'s; plots are drawn by [`plot`](crate::console::ui::plot).

mod asked;
mod carrier;
mod charts;
mod public;
mod staffing;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::call::config::LineId;
use crate::console::desk::{Desk, Notice};
use crate::console::ui::{Page, View, show};
use crate::store;
use crate::store::report::print;
use crate::store::report::summary::{SUMMARY, Words};
use crate::store::report::{self, Figures};

use asked::{Asked, Choice, Period};
use charts::{Chart, charts};

/// The paths of this folder.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/reports", get(page))
        .route("/reports/csv", get(csv))
        .merge(carrier::routes())
        .merge(public::routes())
        .merge(staffing::routes())
}

/// How the figures are put together, and which of them stand on top.
const GROUPS: &[(Words, &[&str])] = &[
    (
        ("着信と結果", "Calls and what became of them"),
        &[
            "received",
            "answered",
            "abandoned",
            "short_abandoned",
            "guidance_abandoned",
            "timed_out",
            "full",
            "no_counselor",
            "closed",
            "refused",
            "failed",
            "in_hours",
            "queued",
            "waited",
            "test",
            "recorded",
        ],
    ),
    (
        ("つながった割合", "How many got through"),
        &[
            "answer_rate",
            "answered_of_received",
            "abandonment",
            "connection_rate",
            "carrier_attempts",
            "carrier_connected",
            "carrier_known_days",
            "guidance_drop_off",
        ],
    ),
    (
        ("サービスレベル", "Service level"),
        &[
            "service_level_20",
            "service_level_60",
            "service_level_180",
            "service_level_answered_20",
            "service_level_answered_60",
            "service_level_answered_180",
            "service_level_sl2_20",
            "service_level_sl2_60",
            "service_level_sl2_180",
        ],
    ),
    (
        ("待ち時間", "Waiting"),
        &[
            "wait_answered_mean",
            "wait_answered_median",
            "wait_answered_p90",
            "wait_answered_max",
            "wait_abandoned_mean",
            "wait_abandoned_median",
            "wait_abandoned_p90",
            "wait_abandoned_max",
            "system_answered",
            "paid_wait_total",
            "paid_wait_mean",
            "paid_wait_median",
        ],
    ),
    (("相談時間", "Talk"), &["talk_total", "talk_mean", "talk_median", "talk_p90", "talk_max"]),
    (
        ("音声の品質", "Voice"),
        &[
            "caller_mos",
            "caller_loss",
            "caller_jitter_ms",
            "caller_round_trip_ms",
            "counselor_mos",
            "counselor_loss",
            "counselor_jitter_ms",
            "counselor_round_trip_ms",
        ],
    ),
];

/// A year keeps a processor busy for a while, which calls may need: one report at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// What stands on top, large.
const FIRST: [&str; 4] = ["received", "answered", "answer_rate", "wait_answered_median"];

#[derive(Template)]
#[template(path = "reports/report.html", config = ".askama.toml")]
struct Report {
    page: Page,
    asked: Asked,
    period: Period,
    lines: Vec<Choice>,
    line_name: String,
    first: Vec<Line>,
    groups: Vec<Group>,
    charts: Vec<Chart>,
    is_empty: bool,
    query: String,
}

/// A figure with its name.
struct Line {
    label: &'static str,
    value: String,
    definition: &'static str,
}

struct Group {
    title: &'static str,
    lines: Vec<Line>,
}

/// The figures of the period that was asked for.
async fn count(view: &View, period: report::period::Period) -> Result<Figures, store::Error> {
    let turn = TURN.acquire().await.ok();
    let counted = view.desk.read(move |db| {
        // Goes on to its end also when whoever asked has gone meanwhile.
        let _turn = turn;
        db.read(|conn| report::count(conn, period))
    });
    counted.await
}

/// What people call the lines.
fn names(view: &View) -> BTreeMap<LineId, String> {
    let current = view.desk.current();
    let lines = current.loaded.call.lines.iter();
    lines.map(|(id, line)| (id.clone(), line.name.clone())).collect()
}

async fn page(view: View, Query(asked): Query<Asked>) -> Response {
    let (period, wrong) = asked.period(&view.desk.current().loaded);
    let names = names(&view);
    let figures = match count(&view, period.clone()).await {
        Ok(figures) => figures,
        Err(error) => return view.fault(&error),
    };
    view.desk.audit(&view.person, format!("read the report {}", asked.told(&period)));
    let sections = print::sections(&figures, &names);
    let lines = asked.lines(view.l, &sections, &names);
    let nothing = report::LineFigures::default();
    let section = sections.iter().find(|section| section.id == asked.section());
    let (of_line, duty) = section.map_or((&nothing, None), |it| (it.figures, it.duty));
    let line_of = |key: &&str| {
        let figure = SUMMARY.iter().find(|figure| figure.key == *key)?;
        let t = |words: Words| view.t(words.0, words.1);
        let value = (figure.of)(of_line).cell();
        Some(Line { label: t(figure.label), value, definition: t(figure.definition) })
    };
    let groups = GROUPS.iter().map(|(title, keys)| Group {
        title: view.t(title.0, title.1),
        lines: keys.iter().filter_map(line_of).collect(),
    });
    let mut page = view.page(view.t("統計", "Reports"));
    if let Some(text) = wrong.map(|wrong| wrong.text(view.l)) {
        page.notice = Some(Notice { is_bad: true, text });
    }
    show(&Report {
        page,
        period: asked.named(view.l, &period),
        line_name: lines
            .iter()
            .find(|it| it.is_chosen)
            .map(|it| it.name.clone())
            .unwrap_or_default(),
        first: FIRST.iter().filter_map(line_of).collect(),
        groups: groups.collect(),
        charts: charts(view.l, of_line, duty, period.span()),
        is_empty: of_line.counts.received() + of_line.test == 0,
        query: asked.query(&period),
        lines,
        asked,
    })
}

async fn csv(view: View, Query(asked): Query<Asked>) -> Response {
    let (period, wrong) = asked.period(&view.desk.current().loaded);
    if let Some(wrong) = wrong {
        return view.refuse(StatusCode::BAD_REQUEST, wrong.text(view.l));
    }
    let names = names(&view);
    let figures = match count(&view, period.clone()).await {
        Ok(figures) => figures,
        Err(error) => return view.fault(&error),
    };
    view.desk.audit(&view.person, format!("downloaded the report {}", asked.told(&period)));
    let mut sections = print::sections(&figures, &names);
    if !asked.line.is_empty() {
        sections.retain(|section| section.id == asked.section());
    }
    file(&format!("koebashi-{}", period.key), print::csv(&period, &sections))
}

/// A file to keep.
fn file(name: &str, text: String) -> Response {
    let headers: [(HeaderName, String); 2] = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
    ];
    (headers, text).into_response()
}
