//! Hours: when each line is open, the year as a calendar, what happens at a moment, a person's
//! hand.
//!
//! Owns the page; the form's fields are [`form`]'s, the year is [`year`]'s. Whether a line is open
//! is the schedule's to say.

mod form;
mod over;
mod year;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form as Typed, Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{Datelike as _, NaiveDate};
use serde::Deserialize;

use super::saving::{self, Basis, Form as _, Sent, Wrongs};
use crate::call::config::{LineId, Override, Schedule};
use crate::call::schedule::{self, Opening, Span};
use crate::call::when::{self, Tongue};
use crate::console::desk::Desk;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::shell::clock;
use crate::time::Timestamp;
use form::Fields;
use year::Month;

/// Openings that are listed.
const OPENINGS: usize = 8;
/// Days ahead for which a closed day is warned of.
const AHEAD: u64 = 120;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/hours", get(all))
        .route("/hours/{line}", get(one).post(save))
        .route("/hours/{line}/override", post(over::switch))
}

/// What besides the form is looked at.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Look {
    /// The calendar's year.
    year: String,
    /// A moment to be explained.
    at: String,
}

#[derive(Template)]
#[template(path = "hours_all.html", config = ".askama.toml")]
struct All {
    page: Page,
    lines: Vec<Entry>,
}

/// A line in the list.
struct Entry {
    id: String,
    name: String,
    state: State,
}

/// How a line stands, in words.
pub(super) struct State {
    /// Whether new callers are taken.
    pub(super) is_open: bool,
    /// In words.
    pub(super) text: String,
}

#[derive(Template)]
#[template(path = "hours.html", config = ".askama.toml")]
pub(super) struct Hours {
    page: Page,
    id: String,
    base: String,
    state: State,
    fields: Fields,
    wrongs: Vec<String>,
    unwritable: Option<String>,
    /// A person's hand: its name and until when.
    over: &'static str,
    over_until: String,
    openings: Vec<String>,
    warnings: Vec<String>,
    year: i32,
    months: Vec<Month>,
    at: String,
    told: Option<Result<String, String>>,
    others: Vec<(String, String)>,
}

async fn all(view: View) -> Response {
    let basis = match saving::basis(&view).await {
        Ok(basis) => basis,
        Err(response) => return response,
    };
    let lines = &basis.loaded.call.lines;
    if let (1, Some(id)) = (lines.len(), lines.keys().next()) {
        let form = form::Hours { line: id.clone(), look: Look::default() };
        return form.page(&view, &basis, None, &Wrongs::default());
    }
    let zone = basis.loaded.call.timezone;
    let entry = |(id, line): (&LineId, &crate::call::config::Line)| Entry {
        id: id.to_string(),
        name: line.name.clone(),
        state: state(view.l, &line.schedule, zone),
    };
    let lines = lines.iter().map(entry).collect();
    show(&All { page: view.page(view.t("受付時間", "Hours")), lines })
}

async fn one(view: View, Path(line): Path<String>, Query(look): Query<Look>) -> Response {
    let form = form::Hours { line: line.as_str().into(), look };
    saving::open(&view, &form).await
}

async fn save(
    view: View,
    Path(line): Path<String>,
    Typed(sent): Typed<Vec<(String, String)>>,
) -> Response {
    let form = form::Hours { line: line.as_str().into(), look: Look::default() };
    saving::post(&view, &form, Sent(sent)).await
}

/// How a line stands now, in words.
pub(super) fn state(l: Lang, schedule: &Schedule, zone: chrono_tz::Tz) -> State {
    let now = clock::now().wall;
    let until = |end: Option<Timestamp>| match (end.map(|end| moment(l, end, zone)), l) {
        (None, _) => String::new(),
        (Some(end), Lang::Ja) => format!("({end}まで)"),
        (Some(end), Lang::En) => format!(" (until {end})"),
    };
    let (is_open, text) = match schedule::at(schedule, zone, now) {
        Opening::Open { intake_end, .. } => {
            (true, format!("{}{}", l.t("受付中", "Open"), until(intake_end)))
        }
        Opening::Winding { service_end } => {
            let text =
                l.t("受付は終わり、相談は続いています", "No new callers; counseling goes on");
            (false, format!("{text}{}", until(service_end)))
        }
        Opening::Closed { next_open, .. } => {
            let next = match (next_open.map(|next| moment(l, next, zone)), l) {
                (None, Lang::Ja) => "(次の受付の予定はありません)".to_owned(),
                (None, Lang::En) => " (no opening in sight)".to_owned(),
                (Some(next), Lang::Ja) => format!("(次は{next}から)"),
                (Some(next), Lang::En) => format!(" (next: {next})"),
            };
            (false, format!("{}{next}", l.t("受付していません", "Closed")))
        }
    };
    State { is_open, text }
}

/// A day with its weekday.
fn date(l: Lang, day: NaiveDate) -> String {
    let names = match l {
        Lang::Ja => ["月", "火", "水", "木", "金", "土", "日"],
        Lang::En => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    };
    let name = names[day.weekday().num_days_from_monday() as usize];
    match l {
        Lang::Ja => format!("{}年{}月{}日({name})", day.year(), day.month(), day.day()),
        Lang::En => format!("{name} {day}"),
    }
}

/// A moment on the clock of the service's zone.
fn moment(l: Lang, moment: Timestamp, zone: chrono_tz::Tz) -> String {
    let local = moment.with_timezone(&zone);
    format!("{} {}", date(l, local.date_naive()), local.format("%H:%M"))
}

/// The page of a line; `None`: there is no such line.
fn page(
    view: &View,
    form: &form::Hours,
    from: &Basis,
    fields: Fields,
    wrongs: &Wrongs,
) -> Option<Hours> {
    let config = &from.loaded.call;
    let (line, zone, now) = (config.lines.get(&form.line)?, config.timezone, clock::now().wall);
    let today = now.with_timezone(&zone).date_naive();
    let year = form.look.year.parse().ok().filter(|year| year::YEARS.contains(year));
    let year = year.unwrap_or_else(|| today.year());
    let (over, until) = match line.schedule.over {
        Override::Auto => ("auto", None),
        Override::Open(until) => ("open", until),
        Override::Closed(until) => ("closed", until),
    };
    let shown = |at: Timestamp| at.with_timezone(&zone).format("%Y-%m-%dT%H:%M").to_string();
    let at = form.look.at.trim();
    let told = (!at.is_empty()).then(|| {
        let tongue = if view.l == Lang::Ja { Tongue::Japanese } else { Tongue::English };
        let moment = schedule::parse_moment(at, zone).map_err(|error| match view.l {
            Lang::Ja => format!("「{at}」は日時として読めません。"),
            Lang::En => error.to_string(),
        })?;
        when::explain_in(tongue, config, &form.line, moment).map_err(|error| error.to_string())
    });
    let openings = schedule::next_openings(&line.schedule, zone, now, OPENINGS);
    let others = config.lines.iter().filter(|(id, _)| **id != form.line);
    Some(Hours {
        page: view.page(&match view.l {
            Lang::Ja => format!("{}の受付時間", line.name),
            Lang::En => format!("Hours of {}", line.name),
        }),
        id: form.line.to_string(),
        base: from.leaf.base.clone(),
        state: state(view.l, &line.schedule, zone),
        fields,
        wrongs: wrongs.others(view.l, &[]),
        unwritable: from.unwritable.clone(),
        over,
        over_until: until.map(shown).unwrap_or_default(),
        openings: openings.iter().map(|span| opening(view.l, span, zone)).collect(),
        warnings: warnings(view.l, &line.schedule, today),
        year,
        months: year::months(view.l, &line.schedule, year, today),
        at: if at.is_empty() { shown(now) } else { at.to_owned() },
        told,
        others: others.map(|(id, line)| (id.to_string(), line.name.clone())).collect(),
    })
}

fn opening(l: Lang, span: &Span, zone: chrono_tz::Tz) -> String {
    let time = |end: Option<Timestamp>| match end {
        Some(end) => end.with_timezone(&zone).format("%H:%M").to_string(),
        None => "…".to_owned(),
    };
    let (open, intake) = (moment(l, span.open, zone), time(span.intake_end));
    let service = time(span.service_end);
    match l {
        Lang::Ja => format!("{open}~{intake}(相談は{service}まで)"),
        Lang::En => format!("{open} to {intake} (counseling until {service})"),
    }
}

/// The coming days that have hours and are closed.
fn warnings(l: Lang, schedule: &Schedule, today: NaiveDate) -> Vec<String> {
    let days = today.iter_days().take(usize::try_from(AHEAD).unwrap_or(0));
    let closed = days.filter_map(|day| match schedule::day(schedule, day) {
        schedule::Day::Closed(why) => Some((day, why)),
        schedule::Day::Open | schedule::Day::Free => None,
    });
    closed.map(|(day, why)| format!("{}: {}", date(l, day), year::reason(l, why))).collect()
}

impl Hours {
    /// The days of the week: as the configuration names them, in Japanese, in English.
    fn days(&self) -> [(&'static str, &'static str, &'static str); 7] {
        [
            ("sun", "日", "Sun"),
            ("mon", "月", "Mon"),
            ("tue", "火", "Tue"),
            ("wed", "水", "Wed"),
            ("thu", "木", "Thu"),
            ("fri", "金", "Fri"),
            ("sat", "土", "Sat"),
        ]
    }
}

/// There is no such line.
fn no_line(view: &View) -> Response {
    let text = view.t("その回線は設定にありません。", "There is no such line.");
    view.refuse(StatusCode::NOT_FOUND, text)
}
