//! What the carrier counted: files are brought, shown with who brought them, and taken away.
//!
//! Owns the pages. What a file may hold is `store::carrier`'s; nothing of one that is refused is
//! kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{Form, Query};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use crate::call::config::LineId;
use crate::console::desk::Desk;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::shell::clock;
use crate::store::accounts::Role;
use crate::store::carrier::file::{
    self, ATTEMPTS, BYTES_MAX, CONNECTED, Column, DATES, HOURS, ROWS_MAX, Refusal,
};
use crate::store::carrier::{self, Import};
use crate::time::Timestamp;

use super::asked::Choice;

/// Files that are listed.
const IMPORTS_MAX: usize = 200;
/// Bytes of a field that is no file.
const TEXT_MAX: usize = 200;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/reports/carrier", get(page))
        .route("/reports/carrier/import", post(import))
        .route("/reports/carrier/remove", post(remove))
}

#[derive(Template)]
#[template(path = "reports/carrier.html", config = ".askama.toml")]
struct Carrier {
    page: Page,
    may_change: bool,
    lines: Vec<Choice>,
    imports: Vec<Row>,
    /// What a column may be called.
    columns: Vec<(&'static str, String)>,
    megabytes: usize,
    rows: usize,
}

struct Row {
    line: String,
    line_name: String,
    at: String,
    at_ms: i64,
    import: Import,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Which {
    line: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Gone {
    line: String,
    at: i64,
}

async fn page(view: View, Query(which): Query<Which>) -> Response {
    let imports = match view.desk.read(|db| db.read(carrier::imports)).await {
        Ok(imports) => imports,
        Err(error) => return view.fault(&error),
    };
    let names = super::names(&view);
    let zone = view.desk.current().loaded.call.timezone;
    let rows = imports.into_iter().take(IMPORTS_MAX).map(|import| Row {
        line: import.line.to_string(),
        line_name: names.get(&import.line).map_or(&*import.line.0, String::as_str).to_owned(),
        at: import.at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        at_ms: import.at.timestamp_millis(),
        import,
    });
    let choice = |(id, name): (&LineId, &String)| Choice {
        is_chosen: *id.0 == *which.line,
        id: id.to_string(),
        name: name.clone(),
    };
    let t = |ja, en| view.t(ja, en);
    show(&Carrier {
        may_change: may_change(&view),
        lines: names.iter().map(choice).collect(),
        imports: rows.collect(),
        columns: vec![
            (t("日付(必要)", "Date (needed)"), DATES.join("、")),
            (t("時間帯", "Hour"), HOURS.join("、")),
            (t("発信件数(必要)", "Attempts (needed)"), ATTEMPTS.join("、")),
            (t("接続件数(必要)", "Connected (needed)"), CONNECTED.join("、")),
        ],
        megabytes: BYTES_MAX / 1_000_000,
        rows: ROWS_MAX,
        page: view.page(view.t("通信事業者の件数", "The carrier's figures")),
    })
}

/// The door lets operators alone to the paths that change something.
fn may_change(view: &View) -> bool {
    view.person.role == Role::Operator
}

/// What came in the form.
struct Sent {
    line: String,
    bytes: Vec<u8>,
}

/// Reads the form; a file that is too long is read no further.
async fn sent(mut form: Multipart) -> Result<Option<Sent>, MultipartError> {
    let mut sent = Sent { line: String::new(), bytes: vec![] };
    while let Some(field) = form.next_field().await? {
        match field.name() {
            Some("line") => {
                let Some(bytes) = up_to(field, TEXT_MAX).await? else { return Ok(None) };
                sent.line = String::from_utf8_lossy(&bytes).into_owned();
            }
            Some("file") => {
                let Some(bytes) = up_to(field, BYTES_MAX).await? else { return Ok(None) };
                sent.bytes = bytes;
            }
            _ => {}
        }
    }
    Ok(Some(sent))
}

async fn up_to(mut field: Field<'_>, most: usize) -> Result<Option<Vec<u8>>, MultipartError> {
    let mut bytes = vec![];
    while let Some(chunk) = field.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

async fn import(view: View, form: Multipart) -> Response {
    let Sent { line, bytes } = match sent(form).await {
        Ok(Some(sent)) => sent,
        Ok(None) => return view.go_wrong(PATH, told(view.l, &Refusal::TooLarge)),
        Err(_) => {
            let text = view.t(
                "ファイルを最後まで受け取れませんでした。もう一度お試しください。",
                "The file did not arrive whole. Please try again.",
            );
            return view.go_wrong(PATH, text);
        }
    };
    let current = view.desk.current();
    let lines = &current.loaded.call.lines;
    let Some((id, _)) = lines.iter().find(|(id, _)| *id.0 == *line) else {
        return view.go_wrong(PATH, view.t("回線を選んでください。", "Please choose a line."));
    };
    let back = format!("{PATH}?line={id}");
    if bytes.is_empty() {
        let text = view.t("ファイルを選んでください。", "Please choose a file.");
        return view.go_wrong(&back, text);
    }
    let numbers = lines.values().flat_map(|line| &line.numbers);
    let digits = |number: &str| number.chars().filter(char::is_ascii_digit).collect::<String>();
    let own = numbers.map(|number| digits(number)).collect::<BTreeSet<_>>();
    let days = match spawn_blocking(move || file::read(&bytes, &own)).await {
        Ok(Ok(days)) => days,
        Ok(Err(refusal)) => return view.go_wrong(&back, told(view.l, &refusal)),
        Err(error) => return view.fault(&error),
    };
    let (at, who, of) = (clock::now().wall, view.person.name.clone(), id.clone());
    let attempts: u64 = days.values().map(|day| day.all.attempts).sum();
    let count = days.len();
    let Some((first, last)) = days.keys().next().copied().zip(days.keys().last().copied()) else {
        return view.go_wrong(&back, told(view.l, &Refusal::Empty));
    };
    let kept = view.desk.store().run(move |conn| carrier::replace(conn, &of, &days, at, &who));
    if let Err(error) = kept.await {
        return view.fault(&error);
    }
    let deed = format!("brought the carrier's figures of {id}, {first} to {last}, {count} days");
    view.desk.audit(&view.person, deed);
    let text = match view.l {
        Lang::Ja => {
            format!("{first} から {last} まで、{count}日分、発信 {attempts} 件を取り込みました。")
        }
        Lang::En => format!("Taken in: {first} to {last}, {count} days, {attempts} attempts."),
    };
    view.go(&back, text)
}

const PATH: &str = "/reports/carrier";

async fn remove(view: View, Form(gone): Form<Gone>) -> Response {
    let (line, at) = (LineId(gone.line.into()), Timestamp::from_timestamp_millis(gone.at));
    let Some(at) = at else {
        return view.go_wrong(PATH, view.t("もうありません。", "It is not there any more."));
    };
    let of = line.clone();
    match view.desk.store().run(move |conn| carrier::remove(conn, &of, at)).await {
        Ok(0) => view.go_wrong(PATH, view.t("もうありません。", "It is not there any more.")),
        Ok(_) => {
            let deed = format!("deleted the carrier's figures of {line} brought at {at}");
            view.desk.audit(&view.person, deed);
            view.go(PATH, view.t("削除しました。", "It is deleted."))
        }
        Err(error) => view.fault(&error),
    }
}

/// Why a file is refused, and what to do.
fn told(l: Lang, refusal: &Refusal) -> String {
    let kept = l.t("何も保存していません。", "Nothing of it was kept.");
    let why = match (l, refusal) {
        (Lang::Ja, Refusal::TooLarge) => format!(
            "ファイルが大きすぎます({} MB、{ROWS_MAX} 行まで)。期間を分けてください。",
            BYTES_MAX / 1_000_000
        ),
        (Lang::Ja, Refusal::NotText) => {
            "CSVとして読めません。UTF-8 か Shift_JIS の CSV で保存し直してください(Excel のブックは使えません)。".to_owned()
        }
        (Lang::Ja, Refusal::Phone { row }) => format!(
            "{row}行目に電話番号らしいものがあります。発信者の番号は保存できません。番号の列を消してから、もう一度お試しください。"
        ),
        (Lang::Ja, Refusal::NoColumn(column)) => {
            let (name, names) = match column {
                Column::Date => ("日付", DATES),
                Column::Attempts => ("発信件数", ATTEMPTS),
                Column::Connected => ("接続件数", CONNECTED),
            };
            format!("「{name}」の列が見つかりません。見出しを次のどれかにしてください: {}", names.join("、"))
        }
        (Lang::Ja, Refusal::Empty) => "日付のある行がありません。".to_owned(),
        (Lang::Ja, Refusal::Date { row, text }) => {
            format!("{row}行目の「{text}」は日付として読めません(例: 2026-11-07)。")
        }
        (Lang::Ja, Refusal::Hour { row, text }) => {
            format!("{row}行目の「{text}」は時間帯として読めません(例: 18:00)。")
        }
        (Lang::Ja, Refusal::Number { row, text }) => {
            format!("{row}行目の「{text}」は件数として読めません。")
        }
        (Lang::Ja, Refusal::MoreConnected { row }) => {
            format!("{row}行目は接続件数が発信件数より多くなっています。")
        }
        (Lang::En, refusal) => format!("This file can't be used: {refusal}."),
    };
    format!("{why} {kept}")
}
