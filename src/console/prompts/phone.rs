//! Prompts by phone: played to somebody's extension, or spoken there.
//!
//! Owns what is asked of the service and what is made of its answers. The phone's call goes on by
//! itself: the page says what came of it when it is looked at again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::source::LONGEST;
use super::{Draft, PHONE, Trouble, draft, version};
use crate::call::config::Extension;
use crate::call::deed::Denial;
use crate::call::piece::{Asker, Finish, Piece};
use crate::console::desk::Desk;
use crate::console::sign_in::Person;
use crate::media::Prompt;
use crate::media::prompt::{Clip, Library};
use crate::shell::handle::Rehearsal;
use crate::shell::prompts::decode;

/// What is played before a recording.
const BEEP: &str = "beep";
/// How long somebody may speak.
const SPEAK_MAX: Duration = Duration::from_secs(180);
/// How long is waited for the end of a phone call: the longest prompt, and the ring.
const CALL_MAX: Duration = Duration::from_secs(1_200);
/// How long is waited for what was spoken.
const HEARD_LIMIT: Duration = Duration::from_secs(5);
/// How much longer a recording may be than what remains of it.
const SPOKEN: Duration = LONGEST;

/// What the phone is rung for.
#[derive(Clone, Debug)]
pub(in crate::console) enum Job {
    /// What is on air is played.
    Live,
    /// A version is played.
    Version(u32),
    /// Something is spoken: its text.
    Record(String),
}

/// Rings a phone.
pub(in crate::console) async fn ring(
    desk: &Arc<Desk>,
    who: &Person,
    name: &str,
    extension: &Extension,
    job: Job,
) -> Result<(), Trouble> {
    let asker = match &who.extension {
        Some(own) if own == extension => Asker::Own,
        Some(own) => return Err(Trouble::NotYours(own.clone())),
        None => Asker::Other,
    };
    let (piece, clip) = match &job {
        Job::Live => (Piece::Play(Prompt::from(name)), None),
        Job::Version(n) => {
            let (_, clip) = version(desk, name, *n).await?;
            // No file can have this name.
            let prompt = Prompt::from(&*format!(".{name}.{}", desk.token(8)));
            let clip = prepared(desk, prompt.clone(), clip).await?;
            (Piece::Play(prompt.clone()), Some((prompt, clip)))
        }
        Job::Record(_) => (Piece::Record { beep: BEEP.into(), longest: SPEAK_MAX }, None),
    };
    if !desk.studio.begin(name) {
        return Err(Trouble::Busy);
    }
    let (finish, finished) = oneshot::channel();
    let (to, heard) = oneshot::channel();
    let is_recording = matches!(job, Job::Record(_));
    let heard_to = is_recording.then_some(to);
    let extension = extension.clone();
    let what = match &job {
        Job::Live => format!("had the prompt {name} played to {extension}"),
        Job::Version(n) => format!("had version {n} of the prompt {name} played to {extension}"),
        Job::Record(_) => format!("had {extension} rung to speak the prompt {name}"),
    };
    let rehearsal = Rehearsal { extension, asker, piece, clip, finish, heard: heard_to };
    if desk.handle.rehearse(rehearsal).is_err() {
        desk.studio.end(name, true, words(None));
        return Err(Trouble::Busy);
    }
    desk.audit(who, what);
    let (desk, who, name) = (Arc::clone(desk), who.name.clone(), name.to_owned());
    tokio::spawn(async move {
        let finish = timeout(CALL_MAX, finished).await.ok().and_then(Result::ok);
        let (is_bad, text) = match (finish, job) {
            (Some(Finish::Done), Job::Record(text)) => {
                let heard = timeout(HEARD_LIMIT, heard).await.ok().and_then(Result::ok);
                spoken(&desk, &who, &name, text, heard).await
            }
            (finish, _) => (finish != Some(Finish::Done), words(finish)),
        };
        desk.studio.end(&name, is_bad, text);
    });
    Ok(())
}

/// The clip as every phone may want it.
async fn prepared(desk: &Desk, name: Prompt, clip: Clip) -> Result<Arc<Clip>, Trouble> {
    let codecs = desk.current().loaded.call.codecs();
    let prepare = move || {
        let library = Library::from_clips([(name.clone(), clip)]).prepared(&codecs);
        library.clip(&name).cloned()
    };
    spawn_blocking(prepare).await.ok().flatten().ok_or(Trouble::Busy)
}

/// Makes a version of what was spoken: whether that went wrong, and what is said of it.
async fn spoken(
    desk: &Desk,
    who: &str,
    name: &str,
    text: String,
    heard: Option<Vec<i16>>,
) -> (bool, (String, String)) {
    let Some(heard) = heard else { return (true, words(None)) };
    let formed = desk.studio.work(move || decode::samples(&heard, SPOKEN)).await;
    let made = match formed {
        Some(Ok(samples)) => {
            let voice = PHONE.to_owned();
            draft(desk, who, Draft { name: name.to_owned(), text, voice, samples }).await
        }
        Some(Err(wrong)) => Err(Trouble::File(wrong)),
        None => Err(Trouble::Busy),
    };
    match made {
        Ok(n) => (
            false,
            (
                format!(
                    "電話で録音した版{n}ができました。聞いて確かめてから、切り替えてください。"
                ),
                format!("Version {n} was recorded by phone. Listen to it, then put it on air."),
            ),
        ),
        Err(trouble) => {
            let [ja, en] = crate::lang::Lang::ALL.map(|l| trouble.words(l));
            (true, (ja, en))
        }
    }
}

/// What came of a call, in Japanese and English; `None`: nobody knows.
fn words(finish: Option<Finish>) -> (String, String) {
    let (ja, en) = match finish {
        Some(Finish::Done) => ("電話での再生が終わりました。", "It was played by phone."),
        Some(Finish::CutShort) => {
            ("途中で電話が切られました。", "The phone hung up before it was over.")
        }
        Some(Finish::Unanswered) => (
            "電話に出なかったため、できませんでした。もう一度お試しください。",
            "Nobody answered the phone. Please try again.",
        ),
        Some(Finish::Denied(Denial::Busy)) => (
            "その内線は通話中か、呼び出し中です。",
            "That extension is busy, or too many phones are rung.",
        ),
        Some(Finish::Denied(Denial::OnDuty)) => (
            "その内線の相談員は受付可能か記録中のため、鳴らしませんでした。\
             当番でない内線を選ぶか、その電話機で一時停止かログアウトをしてください。",
            "Not rung: the counselor of that extension is ready or writing notes. Choose one that \
             is not on duty, or pause or log out at that phone first.",
        ),
        Some(Finish::Denied(Denial::Unreachable)) => (
            "その内線の電話機がつながっていません。電話機(ソフトフォン)を起動してください。",
            "The phone of that extension is not connected. Please start it.",
        ),
        Some(Finish::Denied(Denial::UnknownExtension)) => {
            ("その内線はありません。", "There is no such extension.")
        }
        Some(Finish::Denied(_)) | None => (
            "電話をかけられませんでした。少し待ってからもう一度お試しください。",
            "The phone could not be rung. Please try again in a moment.",
        ),
    };
    (ja.to_owned(), en.to_owned())
}
