//! `koebashi recordings`: which there are, and taking one away before its time.
//!
//! Owns the print. What is in a recording can't be told here: the key to open it is elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono_tz::Tz;
use clap::Subcommand;
use tokio::runtime::Builder;

use super::{complaints, must_exist, refuse, say, service_token};
use crate::call::cdr::CallId;
use crate::config::{self, Loaded};
use crate::console::status;
use crate::shell::clock;
use crate::shell::lock::{self, Lock};
use crate::shell::recorder::retention::delete_call;
use crate::store::recording::Recording;
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
    match action {
        Action::List => list(
            &Reader::open(must_exist(&loaded.store.path)?)?.recordings()?,
            loaded.call.timezone,
        ),
        Action::Delete { call } => delete(&loaded, call),
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

/// Every recording of a call. While a service runs it does that itself, since it may be writing
/// one; what it does not confirm is not said to be gone.
fn delete(loaded: &Loaded, call: &str) -> Result<()> {
    let id = CallId(call.into());
    if !call.bytes().all(|b| b.is_ascii_alphanumeric()) {
        bail!("there is no recording of call {call}");
    }
    let state = &loaded.shell.state_dir;
    let before = Reader::open(must_exist(&loaded.store.path)?)?.recordings()?;
    match Lock::take(state) {
        Ok(_lock) => delete_here(loaded, &before, &id)?,
        Err(lock::Error::Taken { .. }) => {
            let token = service_token(loaded)?;
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let deleted = status::delete_recordings(loaded.console.listen, &token, &id);
            runtime.block_on(deleted).with_context(|| {
                let state = state.display();
                format!("nothing is proved to be deleted: the service that runs with {state}")
            })?;
        }
        Err(error) => return Err(error.into()),
    }
    for part in written_down(&loaded.store.path, &before, &id)? {
        say(&format!("{call} {part}: deleted"))?;
    }
    Ok(())
}

fn delete_here(loaded: &Loaded, rows: &[Recording], call: &CallId) -> Result<()> {
    let (store, _) = Store::open(&loaded.store)?;
    let by = (clock::now().wall, OPERATOR);
    let parts = delete_call(&store, &loaded.shell.recorder.folder, rows, call, by);
    store.close(CLOSE_LIMIT)?;
    if parts.is_empty() {
        bail!("there is no recording of call {call}");
    }
    for (part, done) in parts {
        done.with_context(|| format!("recording {part} of call {call} is not deleted"))?;
    }
    Ok(())
}

/// The parts that have been deleted since `before`, when the database says so of all.
fn written_down(database: &Path, before: &[Recording], call: &CallId) -> Result<Vec<u32>> {
    let until = Instant::now() + CLOSE_LIMIT;
    let is_old = |row: &Recording| {
        before.iter().any(|old| old.key() == row.key() && old.deleted == row.deleted)
    };
    loop {
        let mut rows = Reader::open(database)?.recordings()?;
        rows.retain(|row| row.call == *call);
        if rows.iter().all(|row| row.deleted.is_some()) {
            return Ok(rows.iter().filter(|row| !is_old(row)).map(|row| row.part).collect());
        }
        if Instant::now() >= until {
            bail!("the files of call {call} are gone, but the database does not say so yet");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::recording::{Ended, Why, Written};

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
