//! `koebashi recordings`: which there are, and taking one away before its time.
//!
//! Owns the print. What is in a recording can't be told here: the key to open it is elsewhere.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono_tz::Tz;
use clap::Subcommand;

use super::{complaints, refuse, say};
use crate::config::{self, Loaded};
use crate::shell::clock;
use crate::shell::recorder::retention::delete_recording;
use crate::store::recording::{Recording, Why};
use crate::store::{Reader, Store};

/// Who deletes by this command.
const OPERATOR: &str = "operator";
/// How long writing it down may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What to do with recordings.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List them, those that are deleted too, oldest first.
    List,
    /// Delete every recording of a call, and write down that they are gone.
    Delete {
        /// The call, as `list` names it.
        call: String,
    },
}

/// `koebashi recordings …`.
pub(super) fn run(path: &Path, action: &Action) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let rows = Reader::open(&loaded.store.path)?.recordings()?;
    match action {
        Action::List => list(&rows, loaded.call.timezone),
        Action::Delete { call } => delete(&loaded, &rows, call),
    }
}

fn list(rows: &[Recording], timezone: Tz) -> Result<()> {
    for row in rows {
        say(&line(row, timezone))?;
    }
    say(&format!("{} recordings", rows.iter().filter(|row| row.deleted.is_none()).count()))
}

/// `k7f2 1 nijiiro 2026-11-28 19:00 48:12 92 MB whole`
fn line(row: &Recording, timezone: Tz) -> String {
    let local = |moment: crate::time::Timestamp| {
        moment.with_timezone(&timezone).format("%Y-%m-%d %H:%M").to_string()
    };
    let of_line = row.line.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let what = match (&row.deleted, &row.written) {
        (Some((at, why)), _) => format!("deleted {} ({})", local(*at), why.name()),
        (None, None) => "goes on".to_owned(),
        (None, Some(written)) => {
            let length = written.length.map_or_else(
                || "?".to_owned(),
                |length| format!("{}:{:02}", length.as_secs() / 60, length.as_secs() % 60),
            );
            format!("{length} {} kB {}", written.bytes.div_ceil(1_000), written.ended.name())
        }
    };
    format!("{} {} {of_line} {} {what}", row.call, row.part, local(row.started))
}

fn delete(loaded: &Loaded, rows: &[Recording], call: &str) -> Result<()> {
    let rows: Vec<_> =
        rows.iter().filter(|row| &*row.call.0 == call && row.deleted.is_none()).collect();
    if rows.is_empty() {
        bail!("there is no recording of call {call}");
    }
    let (store, _) = Store::open(&loaded.store)?;
    let folder = &loaded.shell.recorder.folder;
    for row in rows {
        let by = (clock::now().wall, OPERATOR);
        delete_recording(&store, folder, row, Why::Asked, by)
            .with_context(|| format!("recording {} of call {call}", row.part))?;
        say(&format!("{call} {}: deleted", row.part))?;
    }
    Ok(store.close(CLOSE_LIMIT)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cdr::CallId;
    use crate::store::recording::{Ended, Written};

    #[test]
    fn rows_say_what_there_is_and_what_there_was() {
        let started = "2026-11-28T10:00:00Z".parse().unwrap();
        let (ended, length) = (Ended::Whole, Some(Duration::from_secs(2_892)));
        let mut row = Recording {
            call: CallId("k7f2".into()),
            part: 1,
            line: Some("nijiiro".into()),
            started,
            written: Some(Written { ended, length, bytes: 92_600_001, sha256: [0; 32] }),
            deleted: None,
        };
        let print = |row: &Recording| line(row, chrono_tz::Asia::Tokyo);
        assert_eq!(print(&row), "k7f2 1 nijiiro 2026-11-28 19:00 48:12 92601 kB whole");
        row.deleted = Some((started + chrono::TimeDelta::days(30), Why::Expired));
        let gone = "k7f2 1 nijiiro 2026-11-28 19:00 deleted 2026-12-28 19:00 (expired)";
        assert_eq!(print(&row), gone);
    }
}
