//! Settings: every key of the configuration as a form, group by group.
//!
//! Owns the paths and the list of groups. A group's form is [`group`]'s, people and lines that come
//! and go are [`come`]'s, the guidance is [`guidance`]'s, the history [`history`]'s.

mod come;
mod field;
mod group;
mod guidance;
mod history;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::saving;
use crate::console::desk::Desk;
use crate::console::ui::{Page, View, show};

/// Counselors on the page at most: a national service has thousands, who are looked for by name.
const COUNSELORS_MAX: usize = 200;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/settings", get(list))
        .route("/settings/history", get(history::list))
        .route("/settings/history/{n}", get(history::one))
        .route("/settings/roll-back/{n}", post(history::roll_back))
        .route("/settings/{group}", get(group::open).post(group::save))
        .route("/settings/{list}/new", get(come::open).post(come::save))
        .route("/settings/{list}/{id}", get(group::open_of).post(group::save_of))
        .route("/settings/{list}/{id}/remove", post(come::remove))
        .route("/settings/counselor/{id}/password", post(come::password))
        .route("/settings/line/{id}/prompts", get(group::open_prompts).post(group::save_prompts))
        .route("/settings/line/{id}/guidance", get(guidance::open).post(guidance::save))
}

#[derive(Template)]
#[template(path = "settings.html", config = ".askama.toml")]
struct List {
    page: Page,
    unwritable: Option<String>,
    groups: Vec<(&'static str, &'static str, &'static str)>,
    lines: Vec<Entry>,
    counselors: Vec<Entry>,
    /// How many there are that the page does not show.
    left_out: usize,
    q: String,
    trunks: Vec<Entry>,
}

/// A line, a counselor or a trunk.
struct Entry {
    id: String,
    name: String,
    more: String,
}

/// Whom to look for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Find {
    q: String,
}

async fn list(view: View, Query(Find { q }): Query<Find>) -> Response {
    let basis = match saving::basis(&view).await {
        Ok(basis) => basis,
        Err(response) => return response,
    };
    let call = &basis.loaded.call;
    let names = |lines: &[crate::call::config::LineId]| {
        let names = lines.iter().filter_map(|id| Some(call.lines.get(id)?.name.as_str()));
        names.collect::<Vec<_>>().join(view.t("、", ", "))
    };
    let is_meant = |id: &str, name: &str| id.starts_with(q.trim()) || name.contains(q.trim());
    let counselors = call.counselors.iter().filter(|(id, it)| is_meant(&id.0, &it.name));
    let mut counselors: Vec<_> = counselors.collect();
    counselors.sort_by_key(|(_, counselor)| counselor.order);
    let left_out = counselors.len().saturating_sub(COUNSELORS_MAX);
    counselors.truncate(COUNSELORS_MAX);
    show(&List {
        page: view.page(view.t("設定", "Settings")),
        unwritable: basis.unwritable.clone(),
        groups: group::GROUPS
            .iter()
            .map(|it| (it.name, view.t(it.title.0, it.title.1), view.t(it.about.0, it.about.1)))
            .collect(),
        lines: call
            .lines
            .iter()
            .map(|(id, line)| Entry {
                id: id.to_string(),
                name: line.name.clone(),
                more: line.numbers.join("、"),
            })
            .collect(),
        counselors: counselors
            .into_iter()
            .map(|(id, counselor)| Entry {
                id: id.to_string(),
                name: counselor.name.clone(),
                more: names(&counselor.lines),
            })
            .collect(),
        left_out,
        trunks: call
            .trunks
            .iter()
            .map(|(id, trunk)| Entry {
                id: id.to_string(),
                name: id.to_string(),
                more: trunk.peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            })
            .collect(),
        q,
    })
}

/// There is no such thing to set.
fn nothing(view: &View) -> Response {
    let text = view.t("その設定はありません。", "There is no such thing to set.");
    view.refuse(StatusCode::NOT_FOUND, text)
}
