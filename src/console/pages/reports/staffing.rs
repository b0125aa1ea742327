//! How many counselors a line needs, by its own evenings.
//!
//! Owns the page and its form. The model is `store::report::staffing`'s.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::call::config::{LineId, Schedule};
use crate::call::schedule::{self, Day};
use crate::console::desk::{Desk, Notice};
use crate::console::ui::plot::Plot;
use crate::console::ui::{Page, View, show};
use crate::shell::clock;
use crate::store::report::period::Period;
use crate::store::report::staffing::history::{self, Assumed, History, Rules};
use crate::store::report::staffing::{CALLS_MIN, Model, Row, advise, enough};

use super::asked::Choice;

/// Days of history that are looked at.
const DAYS: u64 = 365;
/// Always the same, so that the same history gives the same advice.
const SEED: u64 = 1;
/// Playing evenings keeps a processor busy: one page at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// The path of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/reports/staffing", get(page))
}

#[derive(Template)]
#[template(path = "reports/staffing.html", config = ".askama.toml")]
struct Staffing {
    page: Page,
    asked: Asked,
    lines: Vec<Choice>,
    /// What was found, in words; `None`: there is no line.
    found: Option<Found>,
    days: u64,
    calls_min: u64,
}

struct Found {
    answer: String,
    is_enough: bool,
    facts: Vec<(&'static str, String)>,
    rows: Vec<[String; 7]>,
    svg: String,
}

/// The form, as typed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    line: String,
    wait: String,
    share: String,
    calls: String,
    talk: String,
}

/// The form, understood.
struct Wish {
    /// Seconds.
    wait: f64,
    /// 0 to 1.
    share: f64,
    assumed: Assumed,
}

impl Asked {
    /// What is not written is as usual; `Err`: which field makes no sense.
    fn wish(&self) -> Result<Wish, (&'static str, &'static str)> {
        let number = |text: &str, most: f64| match text.trim() {
            "" => Ok(None),
            text => text
                .parse::<f64>()
                .ok()
                .filter(|x| x.is_finite() && (0.0..=most).contains(x))
                .map(Some)
                .ok_or(()),
        };
        let positive = |text: &str, most: f64| match number(text, most) {
            Ok(Some(x)) if x <= 0.0 => Err(()),
            other => other,
        };
        let wait = number(&self.wait, 86_400.0);
        let share = positive(&self.share, 100.0);
        let calls = positive(&self.calls, 100_000.0);
        let talk = positive(&self.talk, 1_440.0);
        Ok(Wish {
            wait: wait.map_err(|()| ("待ち時間", "the wait"))?.unwrap_or(180.0),
            share: share.map_err(|()| ("割合", "the share"))?.unwrap_or(80.0) / 100.0,
            assumed: Assumed {
                calls: calls.map_err(|()| ("件数", "the calls"))?,
                talk: talk.map_err(|()| ("相談時間", "the talk"))?.map(|minutes| minutes * 60.0),
            },
        })
    }

    /// Whether the table has no column yet for the wait that was asked for.
    fn is_own_wait(&self) -> bool {
        !["20", "180"].contains(&self.wait.as_str())
    }

    /// What stands in the form.
    fn filled(self) -> Self {
        let or = |text: String, usual: &str| if text.is_empty() { usual.to_owned() } else { text };
        Self { wait: or(self.wait, "180"), share: or(self.share, "80"), ..self }
    }
}

async fn page(view: View, Query(asked): Query<Asked>) -> Response {
    let current = view.desk.current();
    let lines = &current.loaded.call.lines;
    let chosen = lines.iter().find(|(id, _)| *id.0 == *asked.line);
    let chosen = chosen.or_else(|| lines.iter().next());
    let mut page = view.page(view.t("必要な相談員の数", "How many counselors"));
    let wish = asked.wish().unwrap_or_else(|(ja, en)| {
        let ja = format!("「{ja}」の値が正しくありません。既定値で計算しました。");
        let en = format!("{en} makes no sense; the usual value is taken.");
        page.notice = Some(Notice { is_bad: true, text: view.t(&ja, &en).to_owned() });
        Wish { wait: 180.0, share: 0.8, assumed: Assumed::default() }
    });
    let found = match chosen {
        Some((id, line)) => {
            let queue = &line.queue;
            let rules = Rules {
                wrap_up: queue.wrap_up.as_secs_f64(),
                max_wait: queue.max_wait.as_secs_f64(),
                max_callers: queue.max_callers,
            };
            match find(&view, id.clone(), line.schedule.clone(), rules, wish).await {
                Ok(found) => Some(found),
                Err(response) => return response,
            }
        }
        None => None,
    };
    let choice = |(id, line): (&LineId, &crate::call::config::Line)| Choice {
        is_chosen: chosen.is_some_and(|(chosen, _)| chosen == id),
        id: id.to_string(),
        name: line.name.clone(),
    };
    let lines = lines.iter().map(choice).collect();
    show(&Staffing { page, asked: asked.filled(), lines, found, days: DAYS, calls_min: CALLS_MIN })
}

/// Reads the history and plays it.
async fn find(
    view: &View,
    line: LineId,
    hours: Schedule,
    rules: Rules,
    wish: Wish,
) -> Result<Found, Response> {
    let zone = view.desk.current().loaded.call.timezone;
    let today = clock::now().wall.with_timezone(&zone).date_naive();
    let period = Period::last(DAYS, today, zone);
    let Wish { wait, share, assumed } = wish;
    let turn = TURN.acquire().await.ok();
    let played = view.desk.read(move |db| {
        // Goes on to its end also when whoever asked has gone meanwhile.
        let _turn = turn;
        let is_open = |day| schedule::day(&hours, day) == Day::Open;
        let history = db.read(|conn| history::read(conn, &line, is_open, &period))?;
        let model = history.model(rules, assumed);
        let rows = advise(&model, wait, SEED);
        Ok((history, model, rows))
    });
    let (history, model, rows) = played.await.map_err(|error| view.fault(&error))?;
    Ok(Found {
        answer: answer(view, &rows, wait, share),
        is_enough: history.is_enough(),
        facts: facts(view, &history, &model, rules),
        svg: plot(view, &rows).svg(),
        rows: rows.iter().map(cells).collect(),
    })
}

fn answer(view: &View, rows: &[Row], wait: f64, share: f64) -> String {
    let percent = share * 100.0;
    let (ja, en) = match (enough(rows, share), rows.last()) {
        (Some(n), _) => (
            format!(
                "{percent:.0} % の人が {wait:.0} 秒以内につながるには、相談員が {n} 人必要です。"
            ),
            format!(
                "For {percent:.0} % to get through within {wait:.0} s, {n} counselors are needed."
            ),
        ),
        (None, Some(last)) => (
            format!(
                "{} 人でも、{wait:.0} 秒以内につながるのは {:.0} % です。",
                last.counselors,
                last.within_asked * 100.0
            ),
            format!(
                "Even with {} counselors {:.0} % get through within {wait:.0} s.",
                last.counselors,
                last.within_asked * 100.0
            ),
        ),
        (None, None) => {
            ("計算できる着信がありません。".to_owned(), "There are no calls.".to_owned())
        }
    };
    view.t(&ja, &en).to_owned()
}

fn facts(
    view: &View,
    history: &History,
    model: &Model,
    rules: Rules,
) -> Vec<(&'static str, String)> {
    let minutes = |s: f64| format!("{:.1} {}", s / 60.0, view.t("分", "min"));
    let patience = match model.patience {
        Some(mean) => minutes(mean),
        None => {
            view.t("途中で切った人がいないため、限りなし", "nobody hung up: no limit").to_owned()
        }
    };
    vec![
        (
            view.t("履歴の始まり", "First day of the history"),
            history.first.map_or_else(|| "－".to_owned(), |day| day.to_string()),
        ),
        (view.t("それからの開設日", "Opening days since then"), history.days.len().to_string()),
        (view.t("履歴の着信", "Calls in the history"), history.calls.to_string()),
        (view.t("計算に使った1日の件数", "Calls a day, as used"), format!("{:.1}", model.calls())),
        (
            view.t("1件にかかる時間(相談と後処理)", "Time of a call (talk and wrap-up)"),
            minutes(model.service.mean()),
        ),
        (view.t("うち後処理", "Of it wrap-up"), minutes(rules.wrap_up)),
        (view.t("待てる長さの平均", "Mean patience"), patience),
        (view.t("待ち時間の上限", "Longest wait allowed"), minutes(rules.max_wait)),
        (view.t("待てる人数の上限", "Most callers waiting"), rules.max_callers.to_string()),
    ]
}

fn cells(row: &Row) -> [String; 7] {
    let percent = |x: f64| format!("{:.1} %", x * 100.0);
    [
        row.counselors.to_string(),
        percent(row.answer_rate),
        percent(row.must_wait),
        format!("{:.0}", row.mean_wait),
        percent(row.within_20),
        percent(row.within_180),
        percent(row.within_asked),
    ]
}

fn plot(view: &View, rows: &[Row]) -> Plot {
    let bar =
        |row: &Row| (row.counselors.to_string(), vec![(row.within_asked * 100.0).round() as u64]);
    Plot {
        id: "staffing".to_owned(),
        title: view.t("時間内につながる割合", "Share that gets through in time").to_owned(),
        axes: (view.t("相談員の数", "Counselors").to_owned(), "%".to_owned()),
        parts: vec!["%".to_owned()],
        bars: rows.iter().map(bar).collect(),
        is_histogram: false,
    }
}
