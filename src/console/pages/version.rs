//! One version of a prompt: listen, compare, put on air at once or at a moment.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{NaiveDateTime, TimeDelta, TimeZone as _};
use serde::Deserialize;
use similar::{ChangeTag, TextDiff};

use super::phone::Phone;
use super::prompt::{Row, facts, named, row, sound};
use crate::console::desk::{Desk, Notice};
use crate::console::prompts::{self, Hand, Trouble, plans, svg};
use crate::console::ui::{Page, View, render};
use crate::lang::Lang;
use crate::shell::clock;
use crate::store::versions;
use crate::time::Timestamp;

/// How far ahead may be planned.
const AHEAD: TimeDelta = TimeDelta::days(731);

/// How long the shortest comparison of two texts is looked for: a manifest may hold long ones.
const PATIENCE: Duration = Duration::from_millis(100);

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/prompts/{name}/versions/{n}", get(show))
        .route("/prompts/{name}/versions/{n}/activate", post(activate))
        .route("/prompts/{name}/versions/{n}/plan", post(plan))
        .route("/prompts/{name}/versions/{n}/unplan", post(unplan))
        .route("/prompts/{name}/versions/{n}/remove", post(remove))
}

#[derive(Template)]
#[template(path = "version.html", config = ".askama.toml")]
struct VersionPage {
    page: Page,
    name: String,
    row: Row,
    facts: String,
    wave: String,
    /// The checksum of what is on air, so that nobody changes what they have not seen.
    live: String,
    other: Option<Other>,
    /// Versions to compare with; `0`: what is on air.
    others: Vec<(u32, String)>,
    is_planned: bool,
    /// Nobody ever heard it, and nobody is to.
    may_remove: bool,
    phone: Phone,
    /// The version that the phone plays.
    played: Option<u32>,
    /// What was typed as a moment, and the first that may be.
    at: String,
    least: String,
}

/// What it is compared with.
struct Other {
    n: u32,
    title: String,
    src: String,
    facts: String,
    wave: String,
    /// The two texts as one: what stayed, went or came.
    diff: Vec<(ChangeTag, String)>,
}

impl Other {
    fn is(&self, n: &u32) -> bool {
        self.n == *n
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Compare {
    with: Option<u32>,
}

async fn show(
    view: View,
    Path((name, n)): Path<(String, String)>,
    Query(compare): Query<Compare>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    if let Some(n) = n.strip_suffix(".wav").and_then(|n| n.parse().ok()) {
        return match prompts::version(&view.desk, &name, n).await {
            Ok((_, clip)) => sound(&headers, clip.pcm()),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        };
    }
    let Ok(n) = n.parse() else { return gone(&view) };
    let with = compare.with.unwrap_or(0);
    match page(&view, (&name, n), with, String::new(), None).await {
        Ok(response) => response,
        Err(trouble) => trouble_page(&view, &trouble),
    }
}

fn gone(view: &View) -> Response {
    view.refuse(StatusCode::NOT_FOUND, Trouble::Gone.words(view.l))
}

fn trouble_page(view: &View, trouble: &Trouble) -> Response {
    if matches!(trouble, Trouble::Gone) {
        return gone(view);
    }
    view.fault(&trouble.words(Lang::En))
}

async fn page(
    view: &View,
    (name, n): (&str, u32),
    with: u32,
    typed: String,
    wrong: Option<String>,
) -> Result<Response, Trouble> {
    let (version, clip) = prompts::version(&view.desk, name, n).await?;
    let live = prompts::live(&view.desk, name).await?;
    let sha256 = live.as_ref().map(|live| live.sha256.clone());
    let prompt = name.to_owned();
    let known = view.desk.read(move |db| db.read(|conn| versions::all(conn, &prompt))).await?;
    let version_n = |n: u32| match view.l {
        Lang::Ja => format!("版{n}"),
        Lang::En => format!("Version {n}"),
    };
    let on_air = view.t("いま流れている音声", "what is on air").to_owned();
    let others = live.as_ref().map(|_| (0, on_air.clone())).into_iter();
    let others =
        others.chain(known.iter().filter(|it| it.n != n).map(|it| (it.n, version_n(it.n))));
    let others: Vec<_> = others.collect();
    let found = match with {
        0 => live.map(|live| (on_air, format!("/prompts/{name}/audio.wav"), live.text, live.clip)),
        with => {
            let (other, clip) = prompts::version(&view.desk, name, with).await?;
            let src = format!("/prompts/{name}/versions/{with}.wav");
            Some((version_n(with), src, other.text, clip))
        }
    };
    let other = found.map(|(title, src, text, clip)| Other {
        n: with,
        facts: facts(clip.pcm(), view.l),
        wave: svg::wave(clip.pcm(), title.clone()),
        diff: diff(&text, &version.text),
        title,
        src,
    });
    let zone = view.desk.current().loaded.call.timezone;
    let least = clock::now().wall.with_timezone(&zone).format("%Y-%m-%dT%H:%M").to_string();
    let mut page = view.page(&format!("{name} {}", version_n(n)));
    page.notice = wrong.map(|text| Notice { is_bad: true, text }).or(page.notice);
    let status = match page.notice.as_ref().is_some_and(|notice| notice.is_bad) {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    let label = version_n(n);
    let row = row(view, &version, sha256.as_deref());
    let phone = Phone::of(view, name, &mut page);
    let template = VersionPage {
        page,
        phone,
        played: Some(n),
        name: name.to_owned(),
        may_remove: version.live.is_none() && version.planned.is_none() && !row.is_live,
        row,
        facts: facts(clip.pcm(), view.l),
        wave: svg::wave(clip.pcm(), label),
        live: sha256.unwrap_or_default(),
        other,
        others,
        is_planned: version.planned.is_some(),
        at: typed,
        least,
    };
    Ok(render(status, &template))
}

/// Runs of letters that stayed, went or came.
fn diff(old: &str, new: &str) -> Vec<(ChangeTag, String)> {
    let mut runs: Vec<(ChangeTag, String)> = Vec::new();
    let diff = TextDiff::configure().timeout(PATIENCE).diff_chars(old, new);
    for change in diff.iter_all_changes() {
        match runs.last_mut() {
            Some((tag, run)) if *tag == change.tag() => run.push_str(change.value()),
            Some(_) | None => runs.push((change.tag(), change.value().to_owned())),
        }
    }
    runs
}

#[derive(Deserialize)]
struct Activate {
    live: String,
}

async fn activate(
    view: View,
    Path((name, n)): Path<(String, u32)>,
    Form(Activate { live }): Form<Activate>,
) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    let hand = Hand { who: &view.person.name, seen: Some(&live) };
    match prompts::activate(&view.desk, hand, &name, n).await {
        Ok(()) => {
            let said = match view.l {
                Lang::Ja => format!("版{n}に切り替えました。次に流れるときから、この音声です。"),
                Lang::En => format!("Version {n} is on air from the next play on."),
            };
            view.go(&format!("/prompts/{name}"), said)
        }
        Err(trouble) => again(&view, (&name, n), String::new(), &trouble.words(view.l)).await,
    }
}

/// Tells that it was not done, and keeps what was typed.
async fn again(view: &View, of: (&str, u32), typed: String, wrong: &str) -> Response {
    let response = page(view, of, 0, typed, Some(wrong.to_owned())).await;
    response.unwrap_or_else(|trouble| trouble_page(view, &trouble))
}

#[derive(Deserialize)]
struct At {
    at: String,
}

async fn plan(
    view: View,
    Path((name, n)): Path<(String, u32)>,
    Form(At { at }): Form<At>,
) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    let moment = match moment(&view, &at) {
        Ok(moment) => moment,
        Err(wrong) => return again(&view, (&name, n), at, wrong).await,
    };
    match plans::plan(&view.desk, &view.person.name, &name, n, Some(moment)).await {
        Ok(()) => {
            let said = view.t(
                "予定しました。その時刻に自動で切り替わります。",
                "It is planned, and goes on air by itself.",
            );
            view.go(&format!("/prompts/{name}/versions/{n}"), said)
        }
        Err(trouble) => again(&view, (&name, n), at, &trouble.words(view.l)).await,
    }
}

/// A moment on the clock of the service's zone.
fn moment<'a>(view: &'a View, typed: &str) -> Result<Timestamp, &'a str> {
    let zone = view.desk.current().loaded.call.timezone;
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    let parsed = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(typed, form).ok());
    let moment = parsed.and_then(|at| zone.from_local_datetime(&at).earliest());
    let moment = moment.ok_or_else(|| {
        view.t("日時を入れてください(例: 2026-12-05T09:00)。", "Please give a date and time.")
    })?;
    let (moment, now) = (moment.to_utc(), clock::now().wall);
    if moment <= now || moment > now + AHEAD {
        return Err(view.t(
            "これから2年以内の日時を入れてください。",
            "The moment has to be within the next two years.",
        ));
    }
    Ok(moment)
}

async fn unplan(view: View, Path((name, n)): Path<(String, u32)>) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    let back = format!("/prompts/{name}/versions/{n}");
    match plans::plan(&view.desk, &view.person.name, &name, n, None).await {
        Ok(()) => view.go(&back, view.t("予定を取り消しました。", "The plan is taken back.")),
        Err(trouble) => view.go_wrong(&back, trouble.words(view.l)),
    }
}

async fn remove(view: View, Path((name, n)): Path<(String, u32)>) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    match prompts::discard(&view.desk, &view.person.name, &name, n).await {
        Ok(()) => {
            let said = match view.l {
                Lang::Ja => format!("版{n}を削除しました。"),
                Lang::En => format!("Version {n} is removed."),
            };
            view.go(&format!("/prompts/{name}"), said)
        }
        Err(trouble) => again(&view, (&name, n), String::new(), &trouble.words(view.l)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_letter_by_letter() {
        let runs = diff("18時からです。", "19時からです");
        let runs: Vec<(ChangeTag, &str)> = runs.iter().map(|(tag, run)| (*tag, &**run)).collect();
        assert_eq!(
            runs,
            [
                (ChangeTag::Equal, "1"),
                (ChangeTag::Delete, "8"),
                (ChangeTag::Insert, "9"),
                (ChangeTag::Equal, "時からです"),
                (ChangeTag::Delete, "。"),
            ]
        );
    }
}
