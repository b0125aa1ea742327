//! Prompts: what is played where, and all of them.

pub(super) mod notes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::call::config::{AnswerMode, Config, Line, LineId};
use crate::complaint::Complaint;
use crate::config::{GUIDANCE_MAX, guidance_length};
use crate::console::desk::{Desk, Notice};
use crate::console::prompts::{self, Trouble, svg, uses};
use crate::console::ui::{Page, View, render, see_other};
use crate::lang::Lang;
use crate::media::Prompt;
use crate::shell::prompts::manifest::is_name;
use crate::shell::prompts::{self as files, Origin, Row};
use crate::store::versions;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/prompts", get(overview).post(new))
}

#[derive(Template)]
#[template(path = "prompts.html", config = ".askama.toml")]
struct Overview {
    page: Page,
    lines: Vec<LineView>,
    rows: Vec<PromptView>,
    /// What was typed as a new prompt's name.
    typed: String,
}

struct LineView {
    id: String,
    name: String,
    /// What the caller pays for until the queue, in words; and whether that is too long.
    length: String,
    is_long: bool,
    wrongs: Vec<(bool, String)>,
    around: Vec<(String, String)>,
    svg: String,
}

struct PromptView {
    name: String,
    text: String,
    seconds: String,
    origin: String,
    voice: String,
    check: Option<String>,
    uses: Vec<uses::Place>,
    /// Versions that are not on air yet, and moments that are planned, in words.
    pending: Vec<String>,
}

#[derive(Deserialize)]
struct New {
    name: String,
}

/// All recordings are read for the page: for one at a time, so that calls have the processor.
static TURN: Semaphore = Semaphore::const_new(1);

async fn overview(view: View) -> Response {
    show(&view, StatusCode::OK, None, String::new()).await
}

async fn show(view: &View, status: StatusCode, wrong: Option<String>, typed: String) -> Response {
    let folder = prompts::folder(&view.desk);
    let turn = TURN.acquire().await.ok();
    let list = move || {
        let _turn = turn;
        files::list(&folder)
    };
    let listed = spawn_blocking(list).await;
    let rows = match listed {
        Ok(Ok(rows)) => rows,
        Ok(Err(errors)) => {
            let all = errors.into_iter().map(Complaint::from).collect();
            let said = Trouble::Refused(all).words(view.l);
            return view.refuse(StatusCode::INTERNAL_SERVER_ERROR, said);
        }
        Err(error) => return view.fault(&error),
    };
    let pending = match pending(view).await {
        Ok(pending) => pending,
        Err(error) => return view.fault(&error),
    };
    let config = &view.desk.current().loaded.call;
    let mut uses = uses::all(config, view.l);
    let rows = rows.into_iter().map(|row| {
        let places = uses.remove(&Prompt::from(&*row.name)).unwrap_or_default();
        let pending = pending.get(&row.name).cloned().unwrap_or_default();
        prompt(row, places, pending, view.l)
    });
    let lines = config.lines.keys().map(|id| line(config, id, view.l)).collect();
    let mut page = view.page(view.t("音声", "Prompts"));
    page.notice = wrong.map(|text| Notice { is_bad: true, text }).or(page.notice);
    render(status, &Overview { page, lines, rows: rows.collect(), typed })
}

/// What waits to go on air, by prompt.
async fn pending(view: &View) -> Result<BTreeMap<String, Vec<String>>, crate::store::Error> {
    let read = view
        .desk
        .read(|db| db.read(|conn| Ok((versions::drafts(conn)?, versions::planned(conn)?))));
    let (drafts, planned) = read.await?;
    let zone = view.desk.current().loaded.call.timezone;
    let mut pending: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (prompt, count) in drafts {
        let text = match view.l {
            Lang::Ja => format!("まだ流していない版: {count}"),
            Lang::En => format!("{count} not on air yet"),
        };
        pending.entry(prompt).or_default().push(text);
    }
    for version in planned {
        let Some((at, _)) = version.planned else { continue };
        let at = at.with_timezone(&zone).format("%Y-%m-%d %H:%M");
        let text = match view.l {
            Lang::Ja => format!("{at} に版{}へ切り替え", version.n),
            Lang::En => format!("version {} at {at}", version.n),
        };
        pending.entry(version.prompt).or_default().push(text);
    }
    Ok(pending)
}

fn prompt(row: Row, uses: Vec<uses::Place>, pending: Vec<String>, l: Lang) -> PromptView {
    let origin = match row.origin {
        Origin::Shipped => l.t("標準", "shipped"),
        Origin::Folder => l.t("独自", "own"),
        Origin::Missing => l.t("音声なし", "no recording"),
    };
    PromptView {
        seconds: format!("{:.1}", row.length.as_secs_f64()),
        origin: origin.to_owned(),
        voice: row.voice.unwrap_or_default(),
        name: row.name,
        text: notes::said(l, row.text),
        check: row.check.map(|check| notes::said(l, check)),
        uses,
        pending,
    }
}

/// How long a caller listens before the queue: the guidance, and what is said about recording.
fn before_queue(line: &Line, lengths: &BTreeMap<Prompt, Duration>) -> Duration {
    let notice = line.recording.prompt().and_then(|it| lengths.get(it));
    guidance_length(line, lengths) + notice.copied().unwrap_or_default()
}

/// Which lines would keep callers too long before the queue if a prompt took so long, in words.
pub(super) fn too_long(config: &Config, name: &str, length: Duration, l: Lang) -> Vec<String> {
    let prompt = Prompt::from(name);
    let mut without = config.prompt_lengths.clone();
    without.insert(prompt.clone(), Duration::ZERO);
    let mut with = without.clone();
    with.insert(prompt, length);
    let (most, told) = (GUIDANCE_MAX.as_secs(), config.lines.values());
    let told = told.filter_map(|line| {
        let all = before_queue(line, &with);
        let is_its = all > before_queue(line, &without);
        (is_its && all > GUIDANCE_MAX).then_some((&line.name, all.as_secs_f64()))
    });
    let words = told.map(|(line, all)| match l {
        Lang::Ja => format!(
            "{line}: この音声だと、最初の選択か待ち行列まで約{all:.0}秒かかり、{most}秒を超えます。短くしてください。"
        ),
        Lang::En => format!(
            "{line}: with this sound it takes {all:.0} s until the first choice or the queue, \
             more than {most} s. Please make it shorter."
        ),
    });
    words.collect()
}

fn line(config: &Config, id: &LineId, l: Lang) -> LineView {
    let length = config.lines.get(id).map(|it| before_queue(it, &config.prompt_lengths));
    let length = length.unwrap_or_default();
    let is_long = length > GUIDANCE_MAX;
    let name = config.lines.get(id).map_or_else(String::new, |line| line.name.clone());
    let is_paid = config.lines.get(id).is_some_and(|line| line.answer == AnswerMode::Immediate);
    let seconds = length.as_secs_f64();
    let mut text = match l {
        Lang::Ja => format!("最初の選択か待ち行列まで、約{seconds:.0}秒。"),
        Lang::En => format!("About {seconds:.0} s until the first choice or the queue."),
    };
    if is_paid {
        text.push_str(l.t(
            "この間の通話料は、電話をかけた人が払います(携帯電話なら20秒ごと)。",
            " The caller pays for it (by mobile phone, for every 20 s).",
        ));
    }
    if is_long {
        let most = GUIDANCE_MAX.as_secs();
        text.push_str(&match l {
            Lang::Ja => format!("{most}秒を超えています。短くしてください。"),
            Lang::En => format!(" That is over {most} s: please make it shorter."),
        });
    }
    LineView {
        id: id.to_string(),
        name,
        length: text,
        is_long,
        wrongs: prompts::wrongs(config, id, l),
        around: prompts::around(config, id, l),
        svg: svg::guidance(config, id, l),
    }
}

/// A name for a new prompt: its page makes the rest.
async fn new(view: View, Form(New { name }): Form<New>) -> Response {
    let name = name.trim();
    if !is_name(name) {
        let wrong = view.t(
            "名前は英小文字・数字・_ の1~64文字にしてください(例: welcome_summer)。",
            "A name has 1 to 64 of a-z, 0-9 and _, such as welcome_summer.",
        );
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return show(&view, status, Some(wrong.to_owned()), name.to_owned()).await;
    }
    see_other(&format!("/prompts/{name}"))
}
