//! A person's hand on the hours: open or closed at once, until a moment or without an end.

use axum::extract::{Form as Typed, Path};
use axum::response::Response;
use serde::Deserialize;

use crate::call::config::LineId;
use crate::call::schedule::parse_moment;
use crate::config::edit::{Edit, Value};
use crate::console::pages::saving::{self, said};
use crate::console::save;
use crate::console::ui::{View, is_path};
use crate::shell::clock;

/// Where it goes on when the form does not say.
const BACK: &str = "/board";

/// What was chosen.
#[derive(Deserialize)]
pub(super) struct Chosen {
    #[serde(rename = "override")]
    over: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    back: String,
}

/// Switches, in one step: it is for when it has to be quick, and is taken back as easily.
pub(super) async fn switch(
    view: View,
    Path(line): Path<String>,
    Typed(chosen): Typed<Chosen>,
) -> Response {
    let back = if is_path(&chosen.back) { chosen.back.clone() } else { BACK.to_owned() };
    let basis = match saving::basis(&view).await {
        Ok(basis) => basis,
        Err(response) => return response,
    };
    if !basis.loaded.call.lines.contains_key(&LineId::from(line.as_str())) {
        return super::no_line(&view);
    }
    let zone = basis.loaded.call.timezone;
    let edits = match edits(&view, &line, &chosen, zone) {
        Ok(edits) => edits,
        Err(wrong) => return view.go_wrong(&back, wrong),
    };
    let draft = match save::draft(&view.desk, &basis.leaf, &basis.loaded, &edits).await {
        Ok(draft) => draft,
        Err(failure) => return view.go_wrong(&back, failure.say(view.l)),
    };
    if draft.changes.is_empty() {
        return view.go(&back, view.t("すでにその状態です。", "It is so already."));
    }
    let note = format!("override = {}", chosen.over);
    match save::save(&view.desk, &view.person, &basis.leaf, &draft, &note).await {
        Ok(saved) => view.go(&back, said(&view, saved, &draft.changes)),
        Err(failure) => view.go_wrong(&back, failure.say(view.l)),
    }
}

fn edits(
    view: &View,
    line: &str,
    chosen: &Chosen,
    zone: chrono_tz::Tz,
) -> Result<Vec<Edit>, String> {
    let key = |name: &str| format!("line.{line}.{name}");
    let until = chosen.until.trim();
    let over = chosen.over.as_str();
    if !["auto", "open", "closed"].contains(&over) {
        return Err(view.t("どうするかを選んでください。", "Choose what it shall be.").to_owned());
    }
    if over == "auto" {
        return Ok(vec![Edit::Unset(key("override")), Edit::Unset(key("override_until"))]);
    }
    let over = Edit::Set(key("override"), Value::text(over));
    if until.is_empty() {
        return Ok(vec![over, Edit::Unset(key("override_until"))]);
    }
    let moment = parse_moment(until, zone).map_err(|_| {
        view.t("期限は日付と時刻で入力してください。", "Write date and time.").to_owned()
    })?;
    if moment <= clock::now().wall {
        return Err(view.t("期限がもう過ぎています。", "That moment has passed.").to_owned());
    }
    Ok(vec![over, Edit::Set(key("override_until"), Value::text(until))])
}
