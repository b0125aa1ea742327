//! Deleting recordings, and proving it: the file is taken away, the folder synced, the name looked
//! up again; only then the row and the audit trail say that it is gone. And the comparison of rows
//! and files after a start, so that neither is left without the other.
//!
//! Owns when and how; the rows are the store's.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{Months, NaiveDate, NaiveTime, TimeDelta};

use super::file::{ENDING, PART, measure, part_of, path, salvage, sync_folder};
use crate::call::cdr::CallId;
use crate::store::Store;
use crate::store::recording::{Deletion, Ended, Recording, Why};
use crate::time::Timestamp;

/// Who deletes what is due.
const SYSTEM: &str = "system";

/// A file that is gone for certain: nobody but [`delete`] can say so.
#[derive(Debug)]
pub struct Gone(());

/// Takes a file away, finished or not, and looks whether it is gone.
///
/// # Errors
/// When it can't be taken away, or is still there.
pub fn delete(path: &Path) -> io::Result<Gone> {
    for name in [path.to_owned(), part_of(path)] {
        match fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match sync_folder(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    for name in [path.to_owned(), part_of(path)] {
        match fs::symlink_metadata(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(io::Error::other("it is still there")),
        }
    }
    Ok(Gone(()))
}

/// Deletes a recording and writes down that it is gone.
///
/// # Errors
/// When the file can't be deleted; nothing is written down then.
pub fn delete_recording(
    store: &Store,
    folder: &Path,
    recording: &Recording,
    why: Why,
    by: (Timestamp, &str),
) -> io::Result<()> {
    let path = path(folder, recording.started, &recording.call, recording.part);
    let Gone(()) = delete(&path)?;
    store.recording_deleted(Deletion {
        call: recording.call.clone(),
        part: recording.part,
        why,
        by: (by.0, by.1.to_owned()),
    });
    Ok(())
}

/// Deletes what has been kept for longer than `keep`; says how many. What can't be deleted is
/// logged, and tried again the next time.
pub(super) fn sweep(
    store: &Store,
    folder: &Path,
    rows: &[Recording],
    keep: Duration,
    now: Timestamp,
) -> usize {
    let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
    let is_due = |row: &&Recording| row.deleted.is_none() && now - row.started > keep;
    let mut deleted = 0;
    for row in rows.iter().filter(is_due) {
        match delete_recording(store, folder, row, Why::Expired, (now, SYSTEM)) {
            Ok(()) => deleted += 1,
            Err(error) => {
                tracing::error!(call = %row.call, %error, "a recording can't be deleted");
            }
        }
    }
    deleted
}

/// Makes rows and files fit each other, when nothing is being written: what was cut off gets its
/// name and its figures, what has no file is written down as missing, what has no row gets one (so
/// that it is deleted in its time).
pub(super) fn reconcile(store: &Store, folder: &Path, rows: &[Recording], now: Timestamp) {
    let mut known = BTreeSet::new();
    for row in rows {
        let path = path(folder, row.started, &row.call, row.part);
        if row.deleted.is_none() {
            match reconcile_row(store, folder, row, &path, now) {
                Ok(()) => {}
                Err(error) => tracing::error!(call = %row.call, %error, "a recording is damaged"),
            }
        } else if path.exists() || part_of(&path).exists() {
            // Put back from a backup, perhaps: what was deleted must not be there.
            tracing::error!(call = %row.call, "a deleted recording is there again: deleted anew");
            if let Err(error) = delete(&path) {
                tracing::error!(call = %row.call, %error, "a recording can't be deleted");
            }
        }
        known.insert(path);
    }
    for path in files(folder).into_iter().filter(|path| !known.contains(path)) {
        match orphan(&path) {
            Ok(Some(orphan)) => {
                tracing::warn!(call = %orphan.call, "a recording had no row");
                store.recording(orphan);
            }
            Ok(None) => tracing::warn!(path = %path.display(), "is no recording of ours"),
            Err(error) => tracing::error!(path = %path.display(), %error, "can't be read"),
        }
    }
}

fn reconcile_row(
    store: &Store,
    folder: &Path,
    row: &Recording,
    path: &Path,
    now: Timestamp,
) -> io::Result<()> {
    if part_of(path).exists() {
        let written = Some(salvage(path, Ended::CutOff)?);
        tracing::warn!(call = %row.call, "a recording was cut off by the end of the process");
        store.recording(Recording { written, ..row.clone() });
    } else if !path.exists() {
        tracing::warn!(call = %row.call, "a recording is missing");
        delete_recording(store, folder, row, Why::Missing, (now, SYSTEM))?;
    }
    Ok(())
}

/// The recordings that lie in the folder, by the names that they have when finished.
fn files(folder: &Path) -> Vec<PathBuf> {
    let inside = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let months = inside(folder).into_iter().flat_map(|year| inside(&year));
    let files = months.flat_map(|month| inside(&month));
    let names = files.filter_map(|file| {
        let name = file.to_str()?;
        let whole = name.strip_suffix(PART).unwrap_or(name);
        whole.ends_with(ENDING).then(|| PathBuf::from(whole))
    });
    names.collect()
}

/// A row for a file that has none. It began before it was last written to, in its folder's month,
/// so that its path stays what it is.
fn orphan(path: &Path) -> io::Result<Option<Recording>> {
    let named = || {
        let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
        let (call, part) = match name.rsplit_once('-') {
            Some((call, part)) => (call, part.parse().ok()?),
            None => (name, 1),
        };
        let mut folders = path.ancestors().skip(1).map(|folder| folder.file_name()?.to_str());
        let (month, year) = (folders.next()??, folders.next()??);
        let first = NaiveDate::parse_from_str(&format!("{year}-{month}-01"), "%Y-%m-%d").ok()?;
        let next = first.checked_add_months(Months::new(1))?;
        let begin = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        Some((CallId(call.into()), part, begin(first), begin(next) - TimeDelta::minutes(1)))
    };
    let Some((call, part, first, last)) = named() else { return Ok(None) };
    if part_of(path).exists() {
        salvage(path, Ended::CutOff)?;
    }
    let changed = Timestamp::from(fs::metadata(path)?.modified()?);
    let written = Some(measure(path, Ended::CutOff)?);
    let started = changed.clamp(first, last);
    Ok(Some(Recording { call, part, line: None, started, written, deleted: None }))
}
