//! One prompt: what is on air, new versions by file or voice, all versions.
//!
//! One version's page, where it is put on air, is [`version`](super::version)'s.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::multipart::{Field, MultipartRejection};
use axum::extract::{Form, Multipart, Path};
use axum::http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::phone::Phone;
use crate::console::desk::{Desk, Notice};
use crate::console::prompts::source::{self, Temporary};
use crate::console::prompts::{self, Draft, FILE, Live, Trouble, svg, uses};
use crate::console::ui::{Page, View, render};
use crate::lang::Lang;
use crate::media::Prompt;
use crate::shell::prompts::manifest::is_name;
use crate::shell::prompts::{self as files, make};
use crate::store::versions::{self, Version};

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/prompts/{name}", get(show))
        .route("/prompts/{name}/audio.wav", get(hear))
        .route("/prompts/{name}/upload", post(upload))
        .route("/prompts/{name}/speak", post(speak))
        .route("/prompts/{name}/remove", post(remove))
}

#[derive(Template)]
#[template(path = "prompt.html", config = ".askama.toml")]
struct PromptPage {
    page: Page,
    name: String,
    live: Option<LiveView>,
    uses: Vec<uses::Place>,
    versions: Vec<Row>,
    may_remove: bool,
    phone: Phone,
    /// The version that the phone plays: none, what is on air.
    played: Option<u32>,
    /// What was typed.
    text: String,
    /// Megabytes and minutes of a file at most.
    most: (usize, u64),
    /// Bytes of a file at most; the form around it has a few more.
    bytes: usize,
}

struct LiveView {
    text: String,
    facts: String,
    wave: String,
}

/// A version, as a row of the list.
pub(super) struct Row {
    pub(super) n: u32,
    pub(super) at: String,
    pub(super) who: String,
    pub(super) how: String,
    pub(super) seconds: String,
    pub(super) text: String,
    pub(super) state: String,
    pub(super) is_live: bool,
}

/// Refuses what is no prompt's name.
#[expect(clippy::result_large_err, reason = "an answer is what a handler gives back")]
pub(super) fn named(view: &View, name: &str) -> Result<(), Response> {
    if is_name(name) {
        return Ok(());
    }
    let text = view.t("その名前の音声はありません。", "There is no prompt of this name.");
    Err(view.refuse(StatusCode::NOT_FOUND, text))
}

/// How a version was made, in words.
pub(super) fn how(voice: &str, l: Lang) -> String {
    match voice {
        prompts::SHIPPED => l.t("標準の音声", "shipped").to_owned(),
        prompts::FOUND => l.t("フォルダーにあった音声", "found in the folder").to_owned(),
        FILE => l.t("ファイル", "file").to_owned(),
        prompts::PHONE => l.t("電話で録音", "by phone").to_owned(),
        voice => match l {
            Lang::Ja => format!("読み上げ({voice})"),
            Lang::En => format!("spoken by {voice}"),
        },
    }
}

/// A version as a row; `live`: the checksum of what is on air.
pub(super) fn row(view: &View, version: &Version, live: Option<&str>) -> Row {
    let zone = view.desk.current().loaded.call.timezone;
    let moment =
        |at: crate::time::Timestamp| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    let is_live = live == Some(&*version.sha256);
    let mut state = match (is_live, version.live) {
        (true, _) => view.t("いま流れています", "on air").to_owned(),
        (false, Some(at)) => match view.l {
            Lang::Ja => format!("以前の版({} から)", moment(at)),
            Lang::En => format!("earlier (from {})", moment(at)),
        },
        (false, None) => view.t("まだ流していません", "not on air yet").to_owned(),
    };
    if let Some((at, by)) = &version.planned {
        let text = match view.l {
            Lang::Ja => format!("。{} に切り替え予定({by})", moment(*at)),
            Lang::En => format!("; planned for {} ({by})", moment(*at)),
        };
        state.push_str(&text);
    }
    Row {
        n: version.n,
        at: moment(version.at),
        who: version.who.clone(),
        how: how(&version.voice, view.l),
        seconds: format!("{:.1}", f64::from(version.samples) / 8_000.0),
        text: version.text.clone(),
        state,
        is_live,
    }
}

/// Length and level in words.
pub(super) fn facts(samples: &[i16], l: Lang) -> String {
    let seconds = samples.len() as f64 / 8_000.0;
    let level = files::level(samples).unwrap_or(f64::NEG_INFINITY);
    match l {
        Lang::Ja => format!("{seconds:.1}秒、平均の音量 {level:.0} dB"),
        Lang::En => format!("{seconds:.1} s, mean level {level:.0} dB"),
    }
}

/// A WAV file, or the part of it that is asked for.
pub(super) fn sound(headers: &HeaderMap, samples: &[i16]) -> Response {
    let Ok(wav) = make::wav(samples) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let kind = [(CONTENT_TYPE, "audio/wav"), (ACCEPT_RANGES, "bytes")];
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok());
    match asked.and_then(|asked| range(asked, wav.len())) {
        Some((from, to)) => {
            let range = format!("bytes {from}-{to}/{}", wav.len());
            let part = wav[from..=to].to_vec();
            (StatusCode::PARTIAL_CONTENT, kind, [(CONTENT_RANGE, range)], part).into_response()
        }
        None => (kind, wav).into_response(),
    }
}

/// First and last byte that are asked for; `None`: all, or nothing that there is.
fn range(asked: &str, length: usize) -> Option<(usize, usize)> {
    let (from, to) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let last = length.checked_sub(1)?;
    let (from, to) = match (from.trim(), to.trim()) {
        ("", count) => (length.saturating_sub(count.parse().ok()?), last),
        (from, "") => (from.parse().ok()?, last),
        (from, to) => (from.parse().ok()?, to.parse::<usize>().ok()?.min(last)),
    };
    (from <= to).then_some((from, to))
}

async fn hear(view: View, Path(name): Path<String>, headers: HeaderMap) -> Response {
    match prompts::live(&view.desk, &name).await {
        Ok(Some(live)) => sound(&headers, live.clip.pcm()),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(trouble) => view.fault(&trouble.words(Lang::En)),
    }
}

async fn show(view: View, Path(name): Path<String>) -> Response {
    page(&view, StatusCode::OK, &name, None, None).await
}

/// The page; `typed`: what was typed as the text, `wrong`: what is wrong.
async fn page(
    view: &View,
    status: StatusCode,
    name: &str,
    typed: Option<String>,
    wrong: Option<String>,
) -> Response {
    if let Err(response) = named(view, name) {
        return response;
    }
    let live = match prompts::live(&view.desk, name).await {
        Ok(live) => live,
        Err(trouble) => return view.fault(&trouble.words(Lang::En)),
    };
    let prompt = name.to_owned();
    let read = view.desk.read(move |db| db.read(|conn| versions::all(conn, &prompt)));
    let known = match read.await {
        Ok(known) => known,
        Err(error) => return view.fault(&error),
    };
    let config = &view.desk.current().loaded.call;
    let uses = uses::all(config, view.l).remove(&Prompt::from(name)).unwrap_or_default();
    let is_shipped = files::embedded().any(|(shipped, _)| shipped == name);
    let sha256 = live.as_ref().map(|live| live.sha256.clone());
    let text = typed.or_else(|| live.as_ref().map(|live| live.text.clone())).unwrap_or_default();
    let title = match view.l {
        Lang::Ja => format!("音声 {name}"),
        Lang::En => format!("Prompt {name}"),
    };
    let mut page = view.page(&title);
    page.notice = wrong.map(|text| Notice { is_bad: true, text }).or(page.notice);
    let phone = Phone::of(view, name, &mut page);
    let template = PromptPage {
        page,
        phone,
        played: None,
        name: name.to_owned(),
        versions: known.iter().map(|it| row(view, it, sha256.as_deref())).collect(),
        may_remove: !is_shipped && uses.is_empty() && (live.is_some() || !known.is_empty()),
        live: live.as_ref().map(|live| live_view(live, view.l)),
        uses,
        text,
        bytes: view.desk.limits.upload_max.saturating_sub(10_000),
        most: (view.desk.limits.upload_max / 1_000_000, source::LONGEST.as_secs() / 60),
    };
    render(status, &template)
}

fn live_view(live: &Live, l: Lang) -> LiveView {
    let samples = live.clip.pcm();
    let facts = format!("{} · {}", how(&live.voice, l), facts(samples, l));
    let label = l.t("いま流れている音声の波形", "Waveform of what is on air");
    LiveView { text: live.text.clone(), facts, wave: svg::wave(samples, label.to_owned()) }
}

/// Tells that it was not done, and keeps what was typed.
async fn refused(view: &View, name: &str, typed: String, trouble: &Trouble) -> Response {
    let wrong = trouble.words(view.l);
    page(view, StatusCode::UNPROCESSABLE_ENTITY, name, Some(typed), Some(wrong)).await
}

/// A version was made: it is listened to before it goes on air.
fn made(view: &View, name: &str, n: u32) -> Response {
    let said = match view.l {
        Lang::Ja => format!("版{n}を作りました。聞いて確かめてから、切り替えてください。"),
        Lang::En => format!("Version {n} is made. Listen to it, then put it on air."),
    };
    view.go(&format!("/prompts/{name}/versions/{n}"), said)
}

/// What came with a form that brings a file.
#[derive(Default)]
struct Brought {
    text: String,
    /// The file, and the end of its name.
    file: Option<(Temporary, String)>,
}

async fn upload(
    view: View,
    Path(name): Path<String>,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    let mut brought = Brought::default();
    let read = match form {
        Ok(form) => bring(&view, form, &mut brought).await,
        Err(error) => Err(error.body_text()),
    };
    let Brought { text: typed, file } = brought;
    let text = match read.and_then(|()| source::text(&typed, view.l)) {
        Ok(text) => text,
        Err(wrong) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return page(&view, status, &name, Some(typed), Some(wrong)).await;
        }
    };
    let Some((file, ending)) = file else {
        let wrong = view.t("ファイルを選んでください。", "Please choose a file.").to_owned();
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return page(&view, status, &name, Some(typed), Some(wrong)).await;
    };
    let samples = match file.sound(&view.desk, &ending).await {
        Ok(samples) => samples,
        Err(trouble) => return refused(&view, &name, typed, &trouble).await,
    };
    let draft = Draft { name: name.clone(), text, voice: FILE.to_owned(), samples };
    match prompts::draft(&view.desk, &view.person.name, draft).await {
        Ok(n) => made(&view, &name, n),
        Err(trouble) => refused(&view, &name, typed, &trouble).await,
    }
}

/// Reads the form; the file goes to disk as it comes.
async fn bring(view: &View, mut form: Multipart, brought: &mut Brought) -> Result<(), String> {
    loop {
        let field = form.next_field().await.map_err(|error| cut_off(view, &error.body_text()))?;
        let Some(field) = field else { return Ok(()) };
        match field.name() {
            Some("text") => {
                let text = field.text().await;
                brought.text = text.map_err(|error| cut_off(view, &error.body_text()))?;
            }
            Some("file") if brought.file.is_none() => {
                brought.file = Some(keep(view, field).await?);
            }
            Some(_) | None => {}
        }
    }
}

async fn keep(view: &View, mut field: Field<'_>) -> Result<(Temporary, String), String> {
    let ending = field.file_name().and_then(|name| name.rsplit_once('.'));
    let ending = ending.map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let is_plain = ending.len() <= 5 && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    let ending = if is_plain { ending } else { String::new() };
    let in_words = |trouble: Trouble| trouble.words(view.l);
    let mut file = Temporary::new(&view.desk).map_err(in_words)?;
    loop {
        let chunk = field.chunk().await.map_err(|error| cut_off(view, &error.body_text()))?;
        let Some(chunk) = chunk else { return Ok((file, ending)) };
        if !file.take(&chunk).await.map_err(in_words)? {
            let most = view.desk.limits.upload_max / 1_000_000;
            return Err(match view.l {
                Lang::Ja => format!("ファイルが大きすぎます。{most} MB までです。"),
                Lang::En => format!("The file is too large: at most {most} MB."),
            });
        }
    }
}

fn cut_off(view: &View, why: &str) -> String {
    match view.l {
        Lang::Ja => format!("送信が途中で切れました。もう一度お試しください。({why})"),
        Lang::En => format!("The form did not come whole. Please try again. ({why})"),
    }
}

#[derive(Deserialize)]
struct Speak {
    text: String,
}

async fn speak(view: View, Path(name): Path<String>, Form(typed): Form<Speak>) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    let typed = typed.text;
    let nothing = || view.t("読み上げる文章を書いてください。", "Please write a text.").to_owned();
    let text = source::text(&typed, view.l)
        .and_then(|text| if text.is_empty() { Err(nothing()) } else { Ok(text) });
    let text = match text {
        Ok(text) => text,
        Err(wrong) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return page(&view, status, &name, Some(typed), Some(wrong)).await;
        }
    };
    let (voice, samples) = match source::speak(&view.desk, &name, text.clone()).await {
        Ok(spoken) => spoken,
        Err(trouble) => return refused(&view, &name, typed, &trouble).await,
    };
    let draft = Draft { name: name.clone(), text, voice, samples };
    match prompts::draft(&view.desk, &view.person.name, draft).await {
        Ok(n) => made(&view, &name, n),
        Err(trouble) => refused(&view, &name, typed, &trouble).await,
    }
}

async fn remove(view: View, Path(name): Path<String>) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    match prompts::remove(&view.desk, &view.person.name, &name).await {
        Ok(()) => view.go("/prompts", view.t("音声を削除しました。", "The prompt is removed.")),
        Err(trouble) => view.go_wrong(&format!("/prompts/{name}"), trouble.words(view.l)),
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_part_of_a_sound_is_given_as_it_is_asked_for() {
        for (asked, given) in [
            ("bytes=0-", Some((0, 99))),
            ("bytes=0-1", Some((0, 1))),
            ("bytes=90-200", Some((90, 99))),
            ("bytes=-10", Some((90, 99))),
            ("bytes=-1000", Some((0, 99))),
            ("bytes=100-", None),
            ("bytes=5-4", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
            ("bytes=0-1,4-5", None),
        ] {
            assert_eq!(range(asked, 100), given, "{asked}");
        }
        assert_eq!(range("bytes=0-", 0), None);
    }
}
