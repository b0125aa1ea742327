//! The one way by which pages change the configuration.
//!
//! Owns the order: read the file, see whether it is what the form was made from, change its text,
//! judge the whole as `koebashi check` does, write it, have it read by the service, write down who
//! did what. What is begun is done to the end, also when whoever asked has gone meanwhile. A file
//! that somebody changed by hand is noticed here and goes into the history.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::book::{Leaf, sha256};
use super::complaint;
use super::desk::Desk;
use super::keys::{self, Kind};
use super::sign_in::Person;
use super::to_the_end::to_the_end;
use crate::complaint::{Cause, Complaint, File, Value};
use crate::config::edit::{self, Edit};
use crate::config::{Change, Loaded, changes, parse, ready};
use crate::lang::Lang;
use crate::shell::clock;
use crate::store;
use crate::store::history::{self, Version};

/// Who changed a file that no page changed.
pub(super) const BY_HAND: &str = "by hand";
/// Changes of one save that are told one by one in the audit trail.
const TOLD_MAX: usize = 200;
/// Characters of a value in the audit trail.
const VALUE_MAX: usize = 200;

/// Why something could not be saved or shown.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file can't be read.
    Unreadable(PathBuf, io::Error),
    /// The file can't be written.
    Unwritable(PathBuf, io::Error),
    /// The file is not what it was.
    Changed,
    /// The text is wrong.
    Wrong(Vec<Complaint>),
    /// The database refuses.
    Store(store::Error),
}

impl Failure {
    /// In words.
    pub(super) fn say(&self, l: Lang) -> String {
        match self {
            Self::Unreadable(path, error) => {
                let what = l.t("設定ファイルを読めません。", "The configuration can't be read.");
                format!("{what} {}: {error}", path.display())
            }
            Self::Unwritable(path, error) => unwritable(l, path, error),
            Self::Changed => l
                .t(
                    "保存の直前に設定ファイルが変わりました。もう一度確認してください。",
                    "The configuration changed just before saving. Please look at it again.",
                )
                .to_owned(),
            Self::Wrong(complaints) => complaint::lines(l, complaints),
            Self::Store(error) => error.to_string(),
        }
    }
}

/// That the file may not be written, and what to do.
pub(super) fn unwritable(l: Lang, path: &Path, error: &io::Error) -> String {
    let folder = path.parent().unwrap_or_else(|| Path::new("")).display();
    let path = path.display();
    match l {
        Lang::Ja => format!(
            "この画面からは保存できません。サービスに {path} へ書き込む権限がありません({error})。\n\
             機器の管理者に、フォルダー {folder} への書き込みを許可するよう頼んでください。"
        ),
        Lang::En => format!(
            "Nothing can be saved from here: the service may not write {path} ({error}).\n\
             Ask whoever looks after the machine to let it write into the folder {folder}."
        ),
    }
}

/// A text that could be saved.
pub(super) struct Draft {
    /// All of it.
    pub(super) text: String,
    /// What differs from what the file says now.
    pub(super) changes: Vec<Change>,
    /// What looks wrong but can be run.
    pub(super) warnings: Vec<Complaint>,
    /// What it means.
    pub(super) loaded: Loaded,
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// It is in force.
    InForce,
    /// The file is written; the service reads it within seconds.
    Soon,
}

/// What the file says now. A text that is not the last in the history goes into it.
pub(super) async fn leaf(desk: &Arc<Desk>) -> Result<Leaf, Failure> {
    let (leaf, last) = look(desk).await?;
    if last.is_some_and(|last| last.text == leaf.text) {
        return Ok(leaf);
    }
    // It may be the text of somebody who is just saving: then it is theirs, or soon gone.
    let turn = desk.book.turn().await;
    let desk = Arc::clone(desk);
    to_the_end(Failure::Store(store::Error::Busy), async move {
        let _turn = turn;
        seen(&desk).await
    })
    .await
}

/// The same, where nobody else saves.
async fn seen(desk: &Desk) -> Result<Leaf, Failure> {
    let (leaf, last) = look(desk).await?;
    let is_known = last.as_ref().is_some_and(|last| last.text == leaf.text);
    if !is_known && keep(desk, BY_HAND, "", &leaf.text).await? && last.is_some() {
        desk.audit_of("system", "saw that the configuration was changed by hand");
    }
    Ok(leaf)
}

/// What the file says, and the last text in the history.
async fn look(desk: &Desk) -> Result<(Leaf, Option<Version>), Failure> {
    let path = || desk.book.path().to_owned();
    let leaf = desk.book.read().await.map_err(|error| Failure::Unreadable(path(), error))?;
    let last = desk.read(|db| db.read(history::last)).await.map_err(Failure::Store)?;
    Ok((leaf, last))
}

/// Puts a text into the history. False: it is the last one there already.
async fn keep(desk: &Desk, who: &str, note: &str, text: &str) -> Result<bool, Failure> {
    let version = Version {
        n: 0,
        at: clock::now().wall,
        who: who.to_owned(),
        note: note.to_owned(),
        sha256: sha256(text),
        text: text.to_owned(),
    };
    let kept = desk.store().run(move |conn| history::add(conn, &version)).await;
    kept.map_err(Failure::Store)
}

/// The text that a form was made from; `None`: it is not known any more.
pub(super) async fn based(desk: &Desk, base: &str) -> Result<Option<Leaf>, Failure> {
    let hash: Option<Vec<u8>> = (0..base.len() / 2)
        .map(|n| u8::from_str_radix(base.get(2 * n..2 * n + 2)?, 16).ok())
        .collect();
    let Some(hash) = hash.filter(|hash| hash.len() == 32) else { return Ok(None) };
    let found = desk.read(move |db| db.read(|conn| history::of_text(conn, &hash))).await;
    Ok(found.map_err(Failure::Store)?.map(|version| Leaf::new(version.text)))
}

/// What a text means, with the prompts that the service has now. A blank one means the demo only
/// where that is in force: else the file is lost, and nothing is to be saved in its place.
pub(super) fn read(desk: &Desk, text: &str) -> Result<Loaded, Vec<Complaint>> {
    let path = desk.book.path();
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let file = path.display().to_string();
    let mut loaded = parse(text, &file, folder)?;
    if text.trim().is_empty() && !changes(&desk.current().loaded, &loaded).is_empty() {
        return Err(vec![Complaint::error(file, None, File::GoneOrEmpty)]);
    }
    loaded.call.prompt_lengths.clone_from(&desk.current().loaded.call.prompt_lengths);
    Ok(loaded)
}

/// The text of a leaf, which means `old`, after changes; judged as a whole.
pub(super) async fn draft(
    desk: &Desk,
    leaf: &Leaf,
    old: &Loaded,
    edits: &[Edit],
) -> Result<Draft, Failure> {
    let wrong = |error: edit::Error| Failure::Wrong(vec![error.into()]);
    let begun = edit::begun(&leaf.text).map_err(wrong)?;
    let text = edit::apply(&begun, edits).map_err(wrong)?;
    judged(desk, old, text).await
}

/// A whole text in the place of one that means `old`, judged.
pub(super) async fn judged(desk: &Desk, old: &Loaded, text: String) -> Result<Draft, Failure> {
    let (path, tried) = (desk.book.path().to_owned(), text.clone());
    let known = desk.current();
    let judged = spawn_blocking(move || ready::try_text(&tried, &path, &known)).await;
    let fault = |error| Complaint::error("", None, File::Fault(Cause::new(error)));
    let judged = judged.unwrap_or_else(|error| Err(vec![fault(error)]));
    let (loaded, warnings) = judged.map_err(Failure::Wrong)?;
    let changes = changes(old, &loaded);
    // By whichever page or earlier version it comes. What is only taken away names nothing.
    let is_barred = |change: &&Change| {
        let key = keys::find(&change.key);
        change.new.is_some() && key.is_some_and(|key| key.kind == Kind::Machine)
    };
    let barred = changes.iter().filter(is_barred);
    let barred: Vec<_> = barred
        .map(|it| Complaint {
            key: it.key.clone(),
            ..Complaint::error("", None, Value::ByHandOnly)
        })
        .collect();
    if !barred.is_empty() {
        return Err(Failure::Wrong(barred));
    }
    Ok(Draft { text, changes, warnings, loaded })
}

/// Writes a draft in the place of the leaf that it was made from, and has it read.
pub(super) async fn save(
    desk: &Arc<Desk>,
    who: &Person,
    leaf: &Leaf,
    draft: &Draft,
    note: &str,
) -> Result<Saved, Failure> {
    let turn = desk.book.turn().await;
    let (desk, who, leaf) = (Arc::clone(desk), who.clone(), leaf.clone());
    let (text, changes, note) = (draft.text.clone(), draft.changes.clone(), note.to_owned());
    to_the_end(Failure::Store(store::Error::Busy), async move {
        let _turn = turn;
        if seen(&desk).await?.base != leaf.base {
            return Err(Failure::Changed);
        }
        let saved = replace(&desk, &leaf, &text).await?;
        tell(&desk, &who, &changes);
        if let Err(failure) = keep(&desk, &who.name, &note, &text).await {
            tracing::error!(?failure, "a version of the configuration is not in the history");
        }
        Ok(saved)
    })
    .await
}

/// Puts a text in the place of a leaf; where the service does not take it, puts the leaf back.
async fn replace(desk: &Desk, leaf: &Leaf, text: &str) -> Result<Saved, Failure> {
    let path = || desk.book.path().to_owned();
    let write = async |text: &str| {
        desk.book.write(text).await.map_err(|error| Failure::Unwritable(path(), error))
    };
    let was_there = desk.book.is_there().await;
    let was_there = was_there.map_err(|error| Failure::Unreadable(path(), error))?;
    write(text).await?;
    match desk.handle.reload().await {
        Ok(Ok(())) => Ok(Saved::InForce),
        Err(_) => Ok(Saved::Soon),
        Ok(Err(complaints)) => {
            // What the service does not take is not left to its next start.
            if was_there {
                write(&leaf.text).await?;
            } else {
                let gone = desk.book.take_away().await;
                gone.map_err(|error| Failure::Unwritable(path(), error))?;
            }
            Err(Failure::Wrong(complaints))
        }
    }
}

/// Writes each change down, without secrets.
fn tell(desk: &Desk, who: &Person, changes: &[Change]) {
    for change in changes.iter().take(TOLD_MAX) {
        let value = |setting: Option<String>| {
            let text = setting.unwrap_or_else(|| "–".to_owned());
            text.chars().take(VALUE_MAX).collect::<String>()
        };
        let old = value(change.old.as_ref().map(ToString::to_string));
        let new = value(change.new.as_ref().map(ToString::to_string));
        desk.audit(who, format!("changed {}: {old} → {new}", change.key));
    }
    if changes.len() > TOLD_MAX {
        desk.audit(who, format!("changed {} more keys", changes.len() - TOLD_MAX));
    }
    if changes.is_empty() {
        desk.audit(who, "changed the text of the configuration and no key");
    }
}
