//! The audit trail: who did what, and whether it is whole.

mod words;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use chrono::{NaiveDate, TimeZone as _};
use chrono_tz::Tz;
use serde::Deserialize;

use crate::console::desk::Desk;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::store::audit::{self, Entry, Noted, Verdict};
use crate::time::Timestamp;

/// Entries on a page.
const ENTRIES: u32 = 500;
/// Bytes of a page's rows: with the rest of it a page stays below 90 kB.
const ROWS_MAX: usize = 70_000;
/// Bytes of a row besides its texts.
const ROW: usize = 80;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/audit", get(trail))
}

#[derive(Template)]
#[template(path = "audit.html", config = ".askama.toml")]
struct Trail {
    page: Page,
    from: String,
    to: String,
    rows: Vec<Row>,
    /// Where the entries before these are; `None`: there are none.
    older: Option<String>,
    /// Where the latest are; `None`: here.
    latest: Option<String>,
    /// How many entries there are in all and the last hash; or the first that does not fit.
    verdict: Result<(u64, String), i64>,
    /// When all of it was read.
    whole_at: String,
    /// The number of the last entry that was written and is gone.
    cut: Option<i64>,
    /// What was typed as a noted hash, and what became of it: whether all is well, and words.
    noted: String,
    found: Option<(bool, String)>,
}

struct Row {
    n: i64,
    at: String,
    who: String,
    what: String,
}

impl Row {
    fn of((n, entry): (i64, Entry), zone: Tz, l: Lang) -> Self {
        let who =
            if l == Lang::Ja && entry.who == "system" { "システム".into() } else { entry.who };
        Self { n, at: clock(entry.at, zone), who, what: words::said(l, entry.what) }
    }
}

fn clock(at: Timestamp, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Days on the clock of the service's zone, both included, and where in them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    from: String,
    to: String,
    /// Only entries below this number.
    before: String,
    /// `whole`: all of the trail is checked, not only what is new.
    check: String,
    /// A hash that somebody noted.
    noted: String,
}

async fn trail(view: View, Query(asked): Query<Asked>) -> Response {
    let zone = view.desk.current().loaded.call.timezone;
    let start = |day: NaiveDate| -> Option<Timestamp> {
        let midnight = zone.from_local_datetime(&day.and_hms_opt(0, 0, 0)?).earliest()?;
        Some(midnight.to_utc())
    };
    let days = [&asked.from, &asked.to].map(|day| day.parse::<NaiveDate>().ok());
    let from = days[0].and_then(start);
    let to = days[1].and_then(|day| start(day.succ_opt()?));
    let before: Option<i64> = asked.before.parse().ok();
    // The end is taken before what is read, or what comes in between would be missed.
    let end = view.desk.store().trail_end();
    let is_whole = asked.check == "whole" || !asked.noted.is_empty();
    let (verdict, whole_at) = match view.desk.verify_trail(is_whole).await {
        Ok(checked) => checked,
        Err(error) => return view.fault(&error),
    };
    let hash = audit::hash_of(&asked.noted);
    let read = move |conn: &_| {
        let noted = hash.map(|hash| audit::noted(conn, &hash)).transpose()?;
        let entries = audit::load_before(conn, from, to, before, ENTRIES + 1)?;
        Ok((entries, noted, end.missing(conn)?))
    };
    let (entries, noted, cut) = match view.desk.read(move |db| db.read(read)).await {
        Ok(read) => read,
        Err(error) => return view.fault(&error),
    };
    view.desk.audit(&view.person, "read the audit trail");
    let is_asked = !asked.noted.trim().is_empty();
    let found = is_asked.then(|| found(&view, noted.as_ref(), &verdict, zone));
    let mut rows: Vec<_> = entries.into_iter().map(|it| Row::of(it, zone, view.l)).collect();
    let older = shorten(&mut rows);
    let [from, to] = days.map(|day| day.map(|day| day.to_string()).unwrap_or_default());
    let days = format!("/audit?from={from}&to={to}");
    show(&Trail {
        page: view.page(view.t("監査記録", "Audit trail")),
        rows,
        older: older.map(|n| format!("{days}&before={n}")),
        latest: before.map(|_| days),
        from,
        to,
        verdict: match verdict {
            Verdict::Intact { entries, last } => {
                Ok((entries, last.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
            Verdict::Broken { at } => Err(at),
        },
        whole_at: clock(whole_at, zone),
        cut,
        noted: asked.noted,
        found,
    })
}

/// What became of a hash that somebody noted; `None`: it is no hash.
fn found(view: &View, noted: Option<&Noted>, verdict: &Verdict, zone: Tz) -> (bool, String) {
    let is_intact = matches!(verdict, Verdict::Intact { .. });
    let said = match noted {
        None => view.t(
            "控えた値は、0~9とa~fの64文字で入れてください。",
            "A hash has 64 digits of 0-9 and a-f.",
        ),
        Some(Noted::Gone) => view.t(
            "控えた値は記録にありません。控えたあとに記録が消されたか、書き換えられています。\
             保存期間より前に控えた値や、写し間違いでもこうなります。",
            "The noted hash is not in the trail: entries were taken away or changed since. So it \
             is with a hash that is older than what is kept, or copied wrongly.",
        ),
        Some(_) if !is_intact => view.t(
            "控えた値は記録にありますが、記録のつながりが壊れています。",
            "The noted hash is in the trail, but the trail is broken.",
        ),
        Some(Noted::Taken) => view.t(
            "控えた値は、保存期間が過ぎて消えた記録のうち最後のものです。いまある記録は、すべてそのあとに続くものです。",
            "The noted hash is of the last entry that was deleted by its age. All that is left \
             follows it.",
        ),
        Some(Noted::There { at, after }) => {
            let at = clock(*at, zone);
            let said = match view.l {
                Lang::Ja => format!(
                    "控えた値は記録にあります({at} の記録)。そこまでの記録は控えたときのままです。そのあとの記録は{after}件です。"
                ),
                Lang::En => format!(
                    "The noted hash is in the trail (entry of {at}). All up to it is as it was \
                     then. {after} entries came after it."
                ),
            };
            return (true, said);
        }
    };
    (matches!(noted, Some(Noted::Taken)) && is_intact, said.to_owned())
}

/// Leaves what a page holds, one row at least. Returns the number below which the rest is.
fn shorten(rows: &mut Vec<Row>) -> Option<i64> {
    let most = usize::try_from(ENTRIES).unwrap_or(usize::MAX);
    let mut bytes = 0;
    let fitting = rows.iter().take(most).take_while(|row| {
        bytes += ROW + printed(&row.who) + printed(&row.what);
        bytes <= ROWS_MAX
    });
    let fitting = fitting.count().max(1);
    if fitting >= rows.len() {
        return None;
    }
    rows.truncate(fitting);
    rows.last().map(|row| row.n)
}

/// Bytes of a text on a page, where some letters stand as `&#34;`.
fn printed(text: &str) -> usize {
    text.len() + 4 * text.bytes().filter(|byte| b"\"&'<>".contains(byte)).count()
}
