//! From a form to a saved configuration: look at what would change, then save it.
//!
//! Owns the steps that all such forms share, and the page between them. What was typed travels
//! along, so that nothing is lost, whatever is wrong with it and whoever else saved meanwhile.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::complaint::Complaint;
use crate::config::edit::{self, Edit};
use crate::config::{Change, Loaded};
use crate::console::book::Leaf;
use crate::console::save::{self, Draft, Failure, Saved};
use crate::console::ui::diff::{self, Line};
use crate::console::ui::{Page, View, render, show};
use crate::console::{complaint, keys};
use crate::lang::Lang;

/// Characters of a note.
const NOTE_MAX: usize = 200;
/// Fields that belong to the steps and not to the form.
const OWN: [&str; 5] = ["csrf", "base", "onto", "step", "note"];

/// What was typed into a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent(pub(super) Vec<(String, String)>);

impl Sent {
    /// A field; empty where it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// A field that may come more than once.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// Whether the field was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

/// What is wrong, by the field that it is about; under an empty name what is about none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrongs(BTreeMap<String, Vec<String>>);

impl Wrongs {
    /// One thing that is wrong.
    pub(super) fn one(field: &str, what: impl Into<String>) -> Self {
        let mut wrongs = Self::default();
        wrongs.add(field, what);
        wrongs
    }

    /// One more.
    pub(super) fn add(&mut self, field: &str, what: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(what.into());
    }

    /// What is wrong with a field.
    pub(super) fn of(&self, field: &str) -> Vec<String> {
        self.0.get(field).cloned().unwrap_or_default()
    }

    /// What is wrong and about none of these fields, with the key that it is about.
    pub(super) fn others(&self, l: Lang, fields: &[&str]) -> Vec<String> {
        let others = self.0.iter().filter(|(field, _)| !fields.contains(&field.as_str()));
        let said = others.flat_map(|(field, all)| all.iter().map(move |what| (field, what)));
        said.map(|(field, what)| complaint::about(l, field, what)).collect()
    }

    /// Whether nothing is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a form is made from.
#[derive(Clone)]
pub(super) struct Basis {
    /// The file.
    pub(super) leaf: Leaf,
    /// What it means.
    pub(super) loaded: Loaded,
    /// Why nothing can be saved.
    pub(super) unwritable: Option<String>,
}

/// A picture of what would be, and what is wrong with it: whether it is an error, and words.
pub(super) struct Picture {
    pub(super) svg: String,
    pub(super) faults: Vec<(bool, String)>,
}

/// A form whose fields are keys of the configuration.
pub(super) trait Form: Sync {
    /// Where it is sent.
    fn path(&self) -> String;

    /// What would change, against what the form was made from.
    fn edits(&self, view: &View, from: &Basis, sent: &Sent) -> Result<Vec<Edit>, Wrongs>;

    /// The page with the form: as the file has it, or as it was typed.
    fn page(&self, view: &View, from: &Basis, sent: Option<&Sent>, wrongs: &Wrongs) -> Response;

    /// What would come of it, as a picture.
    fn picture(&self, _: &View, _: &Basis, _: &Sent) -> Option<Picture> {
        None
    }

    /// What is shown when it is saved.
    fn done(&self, view: &View, said: String) -> Response {
        view.go(&self.path(), said)
    }
}

#[derive(Template)]
#[template(path = "saving.html", config = ".askama.toml")]
struct Saving {
    page: Page,
    path: String,
    /// What was typed.
    fields: Vec<(String, String)>,
    base: String,
    /// What the file is now.
    onto: String,
    picture: Option<Picture>,
    changes: Vec<Told>,
    lines: Vec<Line>,
    warnings: Vec<String>,
    /// What somebody else changed meanwhile.
    theirs: Vec<Line>,
    /// Keys that both changed.
    clashes: Vec<String>,
}

/// A change in words.
pub(super) struct Told {
    pub(super) label: String,
    pub(super) key: String,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) after_restart: bool,
}

/// Changes in words.
pub(super) fn told(view: &View, changes: &[Change]) -> Vec<Told> {
    let shown = |setting: Option<String>| match setting.as_deref() {
        None | Some("") => view.t("(なし)", "(none)").to_owned(),
        Some(text) => text.to_owned(),
    };
    let told = |change: &Change| Told {
        label: keys::label(view.l, &change.key).to_owned(),
        key: change.key.clone(),
        old: shown(change.old.as_ref().map(ToString::to_string)),
        new: shown(change.new.as_ref().map(ToString::to_string)),
        after_restart: change.after_restart,
    };
    changes.iter().map(told).collect()
}

/// What the file is now, where it can be read and is right.
pub(super) async fn basis(view: &View) -> Result<Basis, Response> {
    let leaf = save::leaf(&view.desk).await.map_err(|failure| failed(view, &failure))?;
    match save::read(&view.desk, &leaf.text) {
        Ok(loaded) => {
            let book = &view.desk.book;
            let refused = book.probe().await.err();
            let unwritable = refused.map(|why| save::unwritable(view.l, book.path(), &why));
            Ok(Basis { leaf, loaded, unwritable })
        }
        Err(complaints) => Err(broken(view, &complaints)),
    }
}

/// A file that somebody broke by hand.
fn broken(view: &View, complaints: &[Complaint]) -> Response {
    let what = view.t(
        "設定ファイルに誤りがあります。電話は直前の正しい設定で動いています。誤りを直すか、設定の履歴(/settings/history)から前の版に戻してください。",
        "The configuration's file is wrong. Calls go on with the last good one. Mend it, or go \
         back to an earlier version in the history (/settings/history).",
    );
    let said = complaint::in_file(view.l, complaints);
    view.refuse(StatusCode::CONFLICT, format!("{what}\n{said}"))
}

/// Something could not be done.
pub(super) fn failed(view: &View, failure: &Failure) -> Response {
    view.refuse(StatusCode::INTERNAL_SERVER_ERROR, failure.say(view.l))
}

/// Shows the form.
pub(super) async fn open(view: &View, form: &impl Form) -> Response {
    match basis(view).await {
        Ok(basis) => form.page(view, &basis, None, &Wrongs::default()),
        Err(response) => response,
    }
}

/// Takes what was typed one step further.
pub(super) async fn post(view: &View, form: &impl Form, sent: Sent) -> Response {
    let now = match basis(view).await {
        Ok(now) => now,
        Err(response) => return response,
    };
    let step = sent.get("step");
    let from = match from(view, &now, &sent).await {
        Ok(from) => from,
        Err(failure) => return failed(view, &failure),
    };
    let is_typing = step.starts_with("edit") || step.starts_with("more");
    if is_typing {
        let on = from.as_ref().unwrap_or(&now);
        return form.page(view, on, Some(&sent), &Wrongs::default());
    }
    let Some(from) = from else {
        let text = view.t(
            "開いたままの間に設定が何度も変わりました。内容を確かめて、もう一度保存してください。",
            "The configuration changed many times meanwhile. Please look, and save once more.",
        );
        return form.page(view, &now, Some(&sent), &Wrongs::one("", text));
    };
    let edits = match form.edits(view, &from, &sent) {
        Ok(edits) if edits.is_empty() => {
            let text = view.t("変わったところがありません。", "Nothing has changed.");
            return form.page(view, &now, Some(&sent), &Wrongs::one("", text));
        }
        Ok(edits) => edits,
        Err(wrongs) => return form.page(view, &from, Some(&sent), &wrongs),
    };
    let draft = match save::draft(&view.desk, &now.leaf, &now.loaded, &edits).await {
        Ok(draft) => draft,
        Err(Failure::Wrong(complaints)) => {
            return form.page(view, &from, Some(&sent), &wrongs(view, &complaints));
        }
        Err(failure) => return failed(view, &failure),
    };
    let is_new = from.leaf.base == now.leaf.base || sent.get("onto") == now.leaf.base;
    let clashes = clashes(&edits, &from.loaded, &now.loaded);
    if step == "save" && is_new && clashes.is_empty() {
        return write(view, form, &now, &draft, &from, &sent).await;
    }
    look(view, form, &now, &from, &sent, &draft, clashes)
}

/// What the form was made from; `None`: nobody knows any more.
async fn from(view: &View, now: &Basis, sent: &Sent) -> Result<Option<Basis>, Failure> {
    let base = sent.get("base");
    if base == now.leaf.base {
        return Ok(Some(now.clone()));
    }
    let leaf = save::based(&view.desk, base).await?;
    let loaded = leaf.map(|leaf| (save::read(&view.desk, &leaf.text), leaf));
    Ok(loaded.and_then(|(loaded, leaf)| {
        Some(Basis { loaded: loaded.ok()?, leaf, unwritable: now.unwritable.clone() })
    }))
}

async fn write(
    view: &View,
    form: &impl Form,
    now: &Basis,
    draft: &Draft,
    from: &Basis,
    sent: &Sent,
) -> Response {
    let note: String = sent.get("note").chars().filter(|c| !c.is_control()).collect();
    let note: String = note.chars().take(NOTE_MAX).collect();
    match save::save(&view.desk, &view.person, &now.leaf, draft, &note).await {
        Ok(saved) => form.done(view, said(view, saved, &draft.changes)),
        Err(Failure::Wrong(complaints)) => {
            form.page(view, from, Some(sent), &wrongs(view, &complaints))
        }
        Err(failure) => {
            let wrongs = Wrongs::one("", failure.say(view.l));
            form.page(view, from, Some(sent), &wrongs)
        }
    }
}

/// That it is saved, and from when on it counts.
pub(super) fn said(view: &View, saved: Saved, changes: &[Change]) -> String {
    let mut said = match saved {
        Saved::InForce => view.t(
            "保存しました。次の通話から使われます。今の通話はそのまま続きます。",
            "Saved. It counts from the next call on; live calls go on as they began.",
        ),
        Saved::Soon => view.t(
            "保存しました。数秒後に使われ始めます。今の通話はそのまま続きます。",
            "Saved. It counts in a few seconds; live calls go on as they began.",
        ),
    }
    .to_owned();
    let waiting = changes.iter().filter(|it| it.after_restart);
    let waiting: Vec<_> = waiting.map(|it| keys::label(view.l, &it.key)).collect();
    if !waiting.is_empty() {
        said.push_str(view.t(
            "\n次の項目はサービスを再起動したあとに変わります: ",
            "\nThese change when the service starts again: ",
        ));
        said.push_str(&waiting.join("、"));
    }
    said
}

fn look(
    view: &View,
    form: &impl Form,
    now: &Basis,
    from: &Basis,
    sent: &Sent,
    draft: &Draft,
    clashes: Vec<String>,
) -> Response {
    let own = |name: &str| OWN.contains(&name);
    let begun = edit::begun(&now.leaf.text).unwrap_or_default();
    let old = if now.leaf.text.trim().is_empty() { "" } else { &begun };
    let template = Saving {
        page: view.page(view.t("保存の前の確認", "Before it is saved")),
        path: form.path(),
        fields: sent.0.iter().filter(|(name, _)| !own(name)).cloned().collect(),
        // Where keys clash the form is made anew from what the file is now.
        base: if clashes.is_empty() { &from.leaf.base } else { &now.leaf.base }.clone(),
        onto: now.leaf.base.clone(),
        picture: form.picture(view, now, sent),
        changes: told(view, &draft.changes),
        lines: diff::lines(old, &draft.text),
        warnings: draft.warnings.iter().map(|it| complaint::line(view.l, it)).collect(),
        theirs: diff::lines(&from.leaf.text, &now.leaf.text),
        clashes,
    };
    show(&template)
}

/// Keys that the edits are about and that somebody else changed meanwhile.
fn clashes(edits: &[Edit], from: &Loaded, now: &Loaded) -> Vec<String> {
    let names = edits.iter().map(|edit| match edit {
        Edit::Set(key, _) | Edit::Unset(key) | Edit::Add(key, _) => key,
    });
    let mut clashes: Vec<String> = names
        // Windows have numbers, which shift: all of them are one thing.
        .map(|key| key.find(".hours").map_or(key.as_str(), |at| &key[..at + ".hours".len()]))
        .filter(|key| !["trunk", "line", "counselor"].contains(key))
        .filter(|key| values(from, key) != values(now, key))
        .map(str::to_owned)
        .collect();
    clashes.sort_unstable();
    clashes.dedup();
    clashes
}

/// The values of a key and all that is in it.
fn values<'a>(loaded: &'a Loaded, key: &str) -> Vec<(&'a String, &'a crate::config::Setting)> {
    let is_in = |name: &str| {
        name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    loaded.settings.iter().filter(|(name, _)| is_in(name)).collect()
}

/// Complaints by their keys, in words.
pub(super) fn wrongs(view: &View, complaints: &[Complaint]) -> Wrongs {
    let mut wrongs = Wrongs::default();
    for complaint in complaints {
        wrongs.add(&complaint.key, complaint::what(view.l, complaint));
    }
    wrongs
}

/// A page with something wrong.
pub(super) fn status(wrongs: &Wrongs) -> StatusCode {
    if wrongs.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
}

/// Shows a page with a form.
pub(super) fn form_page(template: &impl Template, wrongs: &Wrongs) -> Response {
    render(status(wrongs), template)
}
