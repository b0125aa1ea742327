//! The audit trail: who did what, and whether it is whole.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use chrono::{NaiveDate, TimeZone as _};
use serde::Deserialize;

use crate::console::desk::Desk;
use crate::console::ui::{Page, View, show};
use crate::store::audit::Verdict;
use crate::time::Timestamp;

/// Entries on a page.
const ENTRIES: u32 = 500;

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
    most: u32,
    /// How many entries there are in all and the last hash; or the first that does not fit.
    verdict: Result<(u64, String), i64>,
}

struct Row {
    at: String,
    who: String,
    what: String,
}

/// Days on the clock of the service's zone, both included.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Days {
    from: String,
    to: String,
}

async fn trail(view: View, Query(days): Query<Days>) -> Response {
    let zone = view.desk.current().loaded.call.timezone;
    let start = |day: NaiveDate| -> Option<Timestamp> {
        let midnight = zone.from_local_datetime(&day.and_hms_opt(0, 0, 0)?).earliest()?;
        Some(midnight.to_utc())
    };
    let from = days.from.parse::<NaiveDate>().ok().and_then(start);
    let to = days.to.parse::<NaiveDate>().ok().and_then(|day| start(day.succ_opt()?));
    let read = view.desk.read(move |db| Ok((db.audit(from, to, ENTRIES)?, db.verify_audit()?)));
    let (entries, verdict) = match read.await {
        Ok(read) => read,
        Err(error) => return view.fault(&error),
    };
    view.desk.audit(&view.person, "read the audit trail");
    let rows = entries.into_iter().rev().map(|entry| Row {
        at: entry.at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string(),
        who: entry.who,
        what: entry.what,
    });
    show(&Trail {
        page: view.page(view.t("監査記録", "Audit trail")),
        from: days.from,
        to: days.to,
        rows: rows.collect(),
        most: ENTRIES,
        verdict: match verdict {
            Verdict::Intact { entries, last } => {
                Ok((entries, last.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
            Verdict::Broken { at } => Err(at),
        },
    })
}
