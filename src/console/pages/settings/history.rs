//! The history of the configuration: who changed it, when, what, and back to an earlier one.

use askama::Template;
use axum::extract::{Form as Typed, Path, Query};
use axum::response::Response;
use serde::Deserialize;

use super::nothing;
use crate::console::book::Leaf;
use crate::console::complaint;
use crate::console::pages::saving::{self, Sent, Told};
use crate::console::save::{self, BY_HAND, Failure};
use crate::console::ui::diff::{self, Line};
use crate::console::ui::{Page, View, show};
use crate::store::accounts::Role;
use crate::store::history::{self, Version};

/// Versions on a page.
const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "history.html", config = ".askama.toml")]
struct List {
    page: Page,
    rows: Vec<Row>,
    more: Option<i64>,
    most: u32,
}

struct Row {
    n: i64,
    at: String,
    who: String,
    note: String,
    is_now: bool,
}

#[derive(Template)]
#[template(path = "history_one.html", config = ".askama.toml")]
struct One {
    page: Page,
    row: Row,
    /// Against the version before.
    before: Vec<Line>,
    /// Against what the file is now.
    now: Vec<Line>,
    may_roll_back: bool,
    base: String,
}

#[derive(Template)]
#[template(path = "history_back.html", config = ".askama.toml")]
struct Back {
    page: Page,
    n: i64,
    base: String,
    changes: Vec<Told>,
    lines: Vec<Line>,
    warnings: Vec<String>,
}

/// Up to which version.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    before: Option<i64>,
}

fn row(view: &View, version: &Version, now: Option<&Leaf>) -> Row {
    let zone = view.desk.current().loaded.call.timezone;
    let by_hand = view.t("(ファイルを直接編集)", "(by hand)");
    Row {
        n: version.n,
        at: version.at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string(),
        who: if version.who == BY_HAND { by_hand } else { &version.who }.to_owned(),
        note: version.note.clone(),
        is_now: now.is_some_and(|leaf| leaf.text == version.text),
    }
}

pub(super) async fn list(view: View, Query(from): Query<From>) -> Response {
    let now = save::leaf(&view.desk).await.ok();
    let versions = match view.desk.read(|db| db.read(history::all)).await {
        Ok(versions) => versions,
        Err(error) => return view.fault(&error),
    };
    let rest = versions.iter().filter(|it| from.before.is_none_or(|before| it.n < before));
    let rest: Vec<_> = rest.collect();
    show(&List {
        page: view.page(view.t("設定の履歴", "History of the configuration")),
        rows: rest.iter().take(ROWS).map(|it| row(&view, it, now.as_ref())).collect(),
        more: rest.get(ROWS).and_then(|_| rest.get(ROWS - 1)).map(|it| it.n),
        most: history::VERSIONS_MAX,
    })
}

/// A version and the one before it.
async fn find(view: &View, n: i64) -> Result<Option<(Version, Option<Version>)>, Response> {
    let read = view.desk.read(move |db| {
        db.read(|conn| {
            let Some(version) = history::find(conn, n)? else { return Ok(None) };
            Ok(Some((version, history::before(conn, n)?)))
        })
    });
    read.await.map_err(|error| view.fault(&error))
}

pub(super) async fn one(view: View, Path(n): Path<i64>) -> Response {
    let now = match save::leaf(&view.desk).await {
        Ok(leaf) => leaf,
        Err(failure) => return saving::failed(&view, &failure),
    };
    let (version, before) = match find(&view, n).await {
        Ok(Some(found)) => found,
        Ok(None) => return nothing(&view),
        Err(response) => return response,
    };
    let before = before.map(|it| it.text).unwrap_or_default();
    let row = row(&view, &version, Some(&now));
    show(&One {
        page: view.page(&format!("{} {n}", view.t("設定の版", "Version"))),
        before: diff::lines(&before, &version.text),
        now: diff::lines(&now.text, &version.text),
        may_roll_back: view.person.role == Role::Operator && !row.is_now,
        row,
        base: now.base,
    })
}

/// Back to an earlier version: a save like any other, looked at first. Also the way out of a file
/// that somebody broke by hand.
pub(super) async fn roll_back(
    view: View,
    Path(n): Path<i64>,
    Typed(sent): Typed<Vec<(String, String)>>,
) -> Response {
    let sent = Sent(sent);
    let here = format!("/settings/history/{n}");
    let now = match save::leaf(&view.desk).await {
        Ok(leaf) => leaf,
        Err(failure) => return saving::failed(&view, &failure),
    };
    let version = match find(&view, n).await {
        Ok(Some((version, _))) => version,
        Ok(None) => return nothing(&view),
        Err(response) => return response,
    };
    // Where the file is no good, what is in force is what is changed.
    let old =
        save::read(&view.desk, &now.text).unwrap_or_else(|_| view.desk.current().loaded.clone());
    let draft = match save::judged(&view.desk, &old, version.text).await {
        Ok(draft) => draft,
        Err(Failure::Wrong(complaints)) => {
            let text = view.t(
                "その版は、今の音声などと合わないため使えません。",
                "That version does not fit what is there now.",
            );
            let wrongs = complaint::lines(view.l, &complaints);
            return view.go_wrong(&here, format!("{text}\n{wrongs}"));
        }
        Err(failure) => return view.go_wrong(&here, failure.say(view.l)),
    };
    if sent.get("step") != "save" || sent.get("base") != now.base {
        return show(&Back {
            page: view.page(view.t("前の版に戻す前の確認", "Before it goes back")),
            n,
            changes: saving::told(&view, &draft.changes),
            lines: diff::lines(&now.text, &draft.text),
            warnings: draft.warnings.iter().map(|it| complaint::line(view.l, it)).collect(),
            base: now.base,
        });
    }
    let note = format!("back to version {n}");
    match save::save(&view.desk, &view.person, &now, &draft, &note).await {
        Ok(saved) => view.go("/settings/history", saving::said(&view, saved, &draft.changes)),
        Err(failure) => view.go_wrong(&here, failure.say(view.l)),
    }
}
