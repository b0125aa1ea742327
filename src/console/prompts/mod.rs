//! What can be done with prompts: versions are made, put on air at once or at a planned moment, and
//! rolled back.
//!
//! Owns the order of the steps, so that what is on air is always whole: a version is kept first,
//! then written into the folder, then taken over by the service; where that fails the folder is put
//! back. What is begun is done to the end, also when whoever asked has gone meanwhile. How sounds
//! become versions is [`source`]'s, planned moments are [`plans`]', phones [`phone`]'s; where each
//! prompt is played [`uses`]', pictures [`svg`]'s.

pub(super) mod phone;
mod picture;
pub(super) mod plans;
pub(super) mod source;
pub(super) mod svg;
pub(super) mod uses;
mod wave;

use std::path::PathBuf;
use std::sync::Arc;

pub(super) use picture::{around, wrongs};
use tokio::task::spawn_blocking;

use super::desk::Desk;
use super::to_the_end::to_the_end;
use crate::call::config::Extension;
use crate::complaint::Complaint;
use crate::console::complaint;
use crate::lang::Lang;
use crate::media::prompt::{Clip, RATE};
use crate::shell::clock;
use crate::shell::prompts::decode::Unplayable;
use crate::shell::prompts::manifest::{self, Entry};
use crate::shell::prompts::{self, FILE_BYTES_MAX, make};
use crate::store;
use crate::store::versions::{self, New, Version};

/// How a version was made that is none of ours: it lay in the folder.
pub(super) const FOUND: &str = "folder";
/// … it is shipped.
pub(super) const SHIPPED: &str = "shipped";
/// … a file was brought.
pub(super) const FILE: &str = "file";
/// … somebody spoke it by phone.
pub(super) const PHONE: &str = "phone";

/// Why something could not be done with a prompt.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database refuses.
    Store(store::Error),
    /// The folder of prompts refuses.
    Folder(manifest::Error),
    /// The file that was brought.
    File(Unplayable),
    /// There is no program that speaks.
    NoVoice,
    /// The voice: what it is called, and what is wrong with it.
    Voice(String),
    /// Something else is wrong with configuration or prompts, so that nothing can be taken over.
    Refused(Vec<Complaint>),
    /// The service does not answer, or somebody else's work takes too long.
    Busy,
    /// There is no such version.
    Gone,
    /// Somebody else has put another version on air since the page was made.
    Changed,
    /// It is played somewhere.
    Used,
    /// It is on air, was, or is planned to be.
    Kept,
    /// Another phone than one's own, which is this one.
    NotYours(Extension),
    /// As many moments are planned as may be.
    TooManyPlans,
    /// There is no plan to be taken back.
    NotPlanned,
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        if matches!(error, store::Error::Busy) { Self::Busy } else { Self::Store(error) }
    }
}

impl From<manifest::Error> for Trouble {
    fn from(error: manifest::Error) -> Self {
        Self::Folder(error)
    }
}

impl From<Unplayable> for Trouble {
    fn from(error: Unplayable) -> Self {
        Self::File(error)
    }
}

impl Trouble {
    /// In words.
    pub(super) fn words(&self, l: Lang) -> String {
        let t = |ja: &str, en: &str| l.t(ja, en).to_owned();
        match self {
            Self::Store(error) => t(
                &format!("保存できませんでした。いまの音声はそのままです。({error})"),
                &format!("It could not be kept. What is on air stays as it was. ({error})"),
            ),
            Self::Folder(error) => t(
                &format!("音声のフォルダーに書けませんでした。いまの音声はそのままです。({error})"),
                &format!(
                    "The folder of prompts can't be written. \
                     What is on air stays as it was. ({error})"
                ),
            ),
            Self::File(wrong) => source::words(wrong, l),
            Self::NoVoice => t(
                "この機器には読み上げのプログラムがありません。ファイルか電話で作るか、機器の管理者に \
                 Open JTalk か service.voice_command の用意を頼んでください。",
                "There is no program that speaks on this machine. Please bring a file or record by \
                 phone, or have Open JTalk or service.voice_command set up.",
            ),
            Self::Voice(what) => t(
                &format!("読み上げのプログラムが動きませんでした。({what})"),
                &format!("The program that speaks did not work. ({what})"),
            ),
            Self::Refused(all) => t(
                &format!(
                    "設定ファイルかほかの音声に誤りがあるため、切り替えられませんでした。\
                     いまの音声はそのままです。\n{}",
                    complaint::lines(l, all)
                ),
                &format!(
                    "Something is wrong with the configuration or another prompt, so nothing was \
                     changed. What is on air stays as it was.\n{}",
                    complaint::lines(l, all)
                ),
            ),
            Self::Busy => t(
                "ほかの処理で混み合っています。少し待ってからもう一度お試しください。",
                "Busy with something else. Please try again in a moment.",
            ),
            Self::Gone => t("その版はもうありません。", "There is no such version any more."),
            Self::Changed => t(
                "この画面を開いたあとに、ほかの人が別の版に切り替えました。\
                 いま流れている版を確かめてから、もう一度押してください。",
                "Somebody else has put another version on air since you opened the page. \
                 Please look at what is on air now, and press again.",
            ),
            Self::Used => t(
                "使われている音声は削除できません。先に、使っている場所で別の音声を選んでください。",
                "A prompt that is played can't be removed: choose another one there first.",
            ),
            Self::Kept => t(
                "一度でも流した版、いま流れている版、予定のある版は削除できません。",
                "A version that is or was on air, or is planned to be, can't be removed.",
            ),
            Self::NotYours(own) => t(
                &format!("鳴らせるのは自分の内線({own})だけです。"),
                &format!("Only your own extension ({own}) can be rung."),
            ),
            Self::TooManyPlans => t(
                "予定が多すぎます。済んでいない予定を取り消してください。",
                "Too many plans. Please take some back first.",
            ),
            Self::NotPlanned => t(
                "予定はもうありません。すでに切り替わったか、ほかの人が取り消しています。\
                 いま流れている版を確かめてください。",
                "It is not planned any more: it went on air, or somebody took it back. \
                 Please look at what is on air now.",
            ),
        }
    }
}

/// A prompt as it is on air.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// What it says.
    pub(super) text: String,
    /// How it was made.
    pub(super) voice: String,
    /// The checksum of its sound.
    pub(super) sha256: String,
    /// Its sound.
    pub(super) clip: Clip,
}

/// Samples as they are kept.
pub(super) fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Samples as they were kept.
pub(super) fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

/// The folder of prompts.
pub(super) fn folder(desk: &Desk) -> PathBuf {
    desk.current().loaded.shell.prompts_dir.clone()
}

/// The prompt that is on air under this name; `None`: there is none.
pub(super) async fn live(desk: &Desk, name: &str) -> Result<Option<Live>, Trouble> {
    let (folder, name) = (folder(desk), name.to_owned());
    spawn_blocking(move || read(&folder, &name)).await.unwrap_or(Err(Trouble::Busy))
}

fn read(folder: &std::path::Path, name: &str) -> Result<Option<Live>, Trouble> {
    if !manifest::is_name(name) {
        return Ok(None);
    }
    let shipped = prompts::embedded().find(|(shipped, _)| *shipped == name);
    let path = folder.join(format!("{name}.wav"));
    let is_own = path.try_exists().map_err(|error| manifest::Error::io(&path, &error))?;
    let (wav, is_shipped) = match (is_own, shipped) {
        (true, shipped) => {
            let wav = manifest::read_limited(&path, FILE_BYTES_MAX)?;
            let is_shipped = shipped.is_some_and(|(_, bytes)| bytes == wav);
            (wav, is_shipped)
        }
        (false, Some((_, bytes))) => (bytes.to_vec(), true),
        (false, None) => return Ok(None),
    };
    let clip = Clip::from_wav(&wav).map_err(|error| manifest::Error::Audio(path, error))?;
    let own = manifest::read(folder)?.remove(name);
    let entry = match is_shipped {
        true => own.or_else(|| prompts::embedded_manifest().remove(name)),
        false => own,
    };
    let entry = entry.unwrap_or_default();
    Ok(Some(Live {
        text: entry.text,
        voice: if is_shipped { SHIPPED } else { FOUND }.to_owned(),
        sha256: manifest::sha256(&bytes(clip.pcm())),
        clip,
    }))
}

/// Keeps what is on air as a version, unless it is one. Returns its checksum.
async fn keep_live(desk: &Desk, name: &str) -> Result<Option<String>, Trouble> {
    let Some(live) = live(desk, name).await? else { return Ok(None) };
    let (prompt, sha256) = (name.to_owned(), live.sha256.clone());
    let known = desk.read(move |db| db.read(|conn| versions::all(conn, &prompt))).await?;
    if !known.iter().any(|version| version.sha256 == sha256) {
        let at = clock::now().wall;
        let new = New {
            prompt: name.to_owned(),
            at,
            who: String::new(),
            text: live.text,
            voice: live.voice,
            sha256: sha256.clone(),
            samples: bytes(live.clip.pcm()),
        };
        let keep = move |conn: &_| {
            let n = versions::add(conn, &new, Some(&new.sha256))?;
            versions::went_live(conn, &new.prompt, n, at)
        };
        desk.store().run(keep).await?;
    }
    Ok(Some(sha256))
}

/// A sound to be made a version.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The prompt.
    pub(super) name: String,
    /// What it says.
    pub(super) text: String,
    /// How it was made.
    pub(super) voice: String,
    /// The sound, in our form.
    pub(super) samples: Vec<i16>,
}

/// Makes a version, which is not on air. Returns its number.
pub(super) async fn draft(desk: &Arc<Desk>, who: &str, draft: Draft) -> Result<u32, Trouble> {
    let least = source::SHORTEST.as_secs_f64() * f64::from(RATE);
    if (draft.samples.len() as f64) < least {
        return Err(Unplayable::TooShort(source::SHORTEST).into());
    }
    let turn = desk.studio.on_air().await;
    let (desk, who) = (Arc::clone(desk), who.to_owned());
    to_the_end(Trouble::Busy, async move {
        let _turn = turn;
        let live = keep_live(&desk, &draft.name).await?;
        let samples = bytes(&draft.samples);
        let new = New {
            prompt: draft.name.clone(),
            at: clock::now().wall,
            who: who.clone(),
            text: draft.text,
            voice: draft.voice.clone(),
            sha256: manifest::sha256(&samples),
            samples,
        };
        let n = desk.store().run(move |conn| versions::add(conn, &new, live.as_deref())).await?;
        let Draft { name, voice, .. } = draft;
        desk.audit_of(&who, format!("made version {n} of the prompt {name} ({voice})"));
        Ok(n)
    })
    .await
}

/// A version with its sound.
pub(super) async fn version(desk: &Desk, name: &str, n: u32) -> Result<(Version, Clip), Trouble> {
    let name = name.to_owned();
    let read = desk.read(move |db| {
        db.read(|conn| {
            let version = versions::find(conn, &name, n)?;
            Ok(version.zip(versions::sound(conn, &name, n)?))
        })
    });
    let (version, sound) = read.await?.ok_or(Trouble::Gone)?;
    let clip = Clip::from_pcm(samples(&sound)).map_err(|_| Trouble::Gone)?;
    Ok((version, clip))
}

/// Why a version goes on air.
#[derive(Clone, Debug)]
pub(super) enum Hand {
    /// Somebody wants it.
    Person {
        /// The name for the audit trail.
        who: String,
        /// The checksum of what was on air when they decided.
        seen: String,
    },
    /// It is planned for a moment that has come: unless the plan was taken back meanwhile.
    Plan,
}

/// Puts a version on air: heard from the next play on.
pub(super) async fn activate(
    desk: &Arc<Desk>,
    hand: Hand,
    name: &str,
    n: u32,
) -> Result<(), Trouble> {
    let turn = desk.studio.on_air().await;
    let (desk, name) = (Arc::clone(desk), name.to_owned());
    to_the_end(Trouble::Busy, async move {
        let _turn = turn;
        put_on_air(&desk, hand, &name, n).await
    })
    .await
}

async fn put_on_air(desk: &Desk, hand: Hand, name: &str, n: u32) -> Result<(), Trouble> {
    let live = keep_live(desk, name).await?;
    let (version, clip) = version(desk, name, n).await?;
    let who = match hand {
        Hand::Person { seen, .. } if seen != live.unwrap_or_default() => {
            return Err(Trouble::Changed);
        }
        Hand::Person { who, .. } => who,
        Hand::Plan => match &version.planned {
            Some((at, by)) if *at <= clock::now().wall => format!("system (planned by {by})"),
            Some(_) | None => return Ok(()),
        },
    };
    let before = change(desk, name, move |folder, name| {
        make::keep(folder, name, clip.pcm(), entry(folder, name, &version)?).map(drop)
    });
    take_over(desk, name, before.await?).await?;
    // It is heard from here on, whatever the database says.
    desk.audit_of(&who, format!("put version {n} of the prompt {name} on air"));
    let (prompt, at) = (name.to_owned(), clock::now().wall);
    let kept = desk.store().run(move |conn| versions::went_live(conn, &prompt, n, at)).await;
    if let Err(error) = kept {
        tracing::error!(%error, "when version {n} of the prompt {name} went on air is not kept");
    }
    Ok(())
}

/// Removes a prompt that is played nowhere, with its versions.
pub(super) async fn remove(desk: &Arc<Desk>, who: &str, name: &str) -> Result<(), Trouble> {
    let turn = desk.studio.on_air().await;
    let (desk, who, name) = (Arc::clone(desk), who.to_owned(), name.to_owned());
    to_the_end(Trouble::Busy, async move {
        let _turn = turn;
        let is_shipped = prompts::embedded().any(|(shipped, _)| shipped == name);
        let is_used = desk.current().loaded.call.uses().iter().any(|(_, it)| *it.0 == *name);
        if is_shipped || is_used {
            return Err(Trouble::Used);
        }
        let before = change(&desk, &name, make::remove);
        take_over(&desk, &name, before.await?).await?;
        // It is gone from here on, whatever the database says.
        desk.audit_of(&who, format!("removed the prompt {name}"));
        let prompt = name.clone();
        if let Err(error) = desk.store().run(move |conn| versions::remove(conn, &prompt)).await {
            tracing::error!(%error, "the versions of the prompt {name} are not removed");
        }
        Ok(())
    })
    .await
}

/// Removes a version that was never on air.
pub(super) async fn discard(
    desk: &Arc<Desk>,
    who: &str,
    name: &str,
    n: u32,
) -> Result<(), Trouble> {
    let turn = desk.studio.on_air().await;
    let (desk, who, name) = (Arc::clone(desk), who.to_owned(), name.to_owned());
    to_the_end(Trouble::Busy, async move {
        let _turn = turn;
        let (version, _) = version(&desk, &name, n).await?;
        let live = live(&desk, &name).await?;
        if live.is_some_and(|live| live.sha256 == version.sha256) {
            return Err(Trouble::Kept);
        }
        let prompt = name.clone();
        if !desk.store().run(move |conn| versions::discard(conn, &prompt, n)).await? {
            return Err(Trouble::Kept);
        }
        desk.audit_of(&who, format!("removed version {n} of the prompt {name}, never on air"));
        Ok(())
    })
    .await
}

/// Changes the folder, and returns what it held. Where that fails half-way it is put back.
async fn change<F>(desk: &Desk, name: &str, change: F) -> Result<make::Held, Trouble>
where
    F: FnOnce(&std::path::Path, &str) -> Result<(), manifest::Error> + Send + 'static,
{
    let (folder, name) = (folder(desk), name.to_owned());
    let changed = spawn_blocking(move || {
        let held = make::held(&folder, &name)?;
        let changed = change(&folder, &name);
        if let Err(error) = changed {
            make::put_back(&folder, &name, &held)?;
            return Err(error);
        }
        Ok(held)
    });
    changed.await.map_err(|_| Trouble::Busy)?.map_err(Trouble::Folder)
}

/// Lets the service take the folder over; where it does not, the folder is put back.
async fn take_over(desk: &Desk, name: &str, before: make::Held) -> Result<(), Trouble> {
    let trouble = match desk.handle.reload().await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(complaints)) => Trouble::Refused(complaints),
        Err(_) => Trouble::Busy,
    };
    let (folder, name) = (folder(desk), name.to_owned());
    let back = spawn_blocking(move || make::put_back(&folder, &name, &before));
    back.await.map_err(|_| Trouble::Busy)??;
    Err(trouble)
}

/// What is written down of a version that goes on air.
fn entry(
    folder: &std::path::Path,
    name: &str,
    version: &Version,
) -> Result<Entry, manifest::Error> {
    let shipped = prompts::embedded_manifest().remove(name);
    if version.voice == SHIPPED
        && let Some(shipped) = shipped
    {
        return Ok(shipped);
    }
    let check = manifest::read(folder)?.remove(name).and_then(|entry| entry.check);
    let check = check.or_else(|| shipped.and_then(|entry| entry.check));
    let voice = match &*version.voice {
        FILE | PHONE | FOUND => "recording",
        voice => voice,
    };
    let voice = Some(voice.to_owned());
    Ok(Entry { text: version.text.clone(), voice, check, ..Entry::default() })
}
