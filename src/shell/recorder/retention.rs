//! Deleting recordings, and proving it: the file is taken away, the folder synced, the name looked
//! up again; only then the row and the audit trail say that it is gone. And the comparison of rows
//! and files, at the start and every hour, so that neither is left without the other.
//!
//! Owns when and how; the rows are the store's.

use std::collections::{BTreeMap, BTreeSet};
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

/// What is compared: rows and files, but for those that are being written.
pub(super) struct Shelf<'a> {
    pub(super) store: &'a Store,
    pub(super) folder: &'a Path,
    /// As they stand in the database, with nothing on its way there.
    pub(super) rows: &'a [Recording],
    /// What is being written.
    pub(super) busy: &'a BTreeSet<(CallId, u32)>,
}

/// How far a comparison came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reconciled {
    /// To the end.
    All,
    /// To its limit.
    Part,
}

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

/// Deletes every recording of a call, with a row or without; none of it may be being written. Says
/// for each part what came of it.
pub fn delete_call(
    store: &Store,
    folder: &Path,
    rows: &[Recording],
    call: &CallId,
    by: (Timestamp, &str),
) -> Vec<(u32, io::Result<()>)> {
    let mut parts = BTreeMap::new();
    for row in rows.iter().filter(|row| row.call == *call) {
        let path = path(folder, row.started, call, row.part);
        if row.deleted.is_none() || is_there(&path) {
            parts.insert(row.part, (path, Ok(row.clone())));
        }
    }
    for path in files(folder) {
        let Some(Named { part, .. }) = Named::of(&path).filter(|named| named.call == *call) else {
            continue;
        };
        if parts.values().all(|(known, _)| *known != path) {
            // Its row is on its way, or was lost.
            let row = orphan(&path).and_then(|row| row.ok_or_else(|| ErrorKind::NotFound.into()));
            if let Ok(row) = &row {
                store.recording(row.clone());
            }
            parts.insert(part, (path, row));
        }
    }
    let delete = |row: io::Result<Recording>| {
        row.and_then(|row| delete_recording(store, folder, &row, Why::Asked, by))
    };
    parts.into_iter().map(|(part, (_, row))| (part, delete(row))).collect()
}

fn is_there(path: &Path) -> bool {
    path.exists() || part_of(path).exists()
}

/// Deletes what has been kept for longer than `keep`; says how many. What can't be deleted is
/// logged, and tried again the next time.
pub(super) fn sweep(shelf: &Shelf<'_>, keep: Duration, now: Timestamp) -> usize {
    let Shelf { store, folder, rows, busy } = shelf;
    let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
    let is_due = |row: &&Recording| {
        row.deleted.is_none() && now - row.started > keep && !busy.contains(&row.key())
    };
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

/// Makes rows and files fit each other: what was cut off gets its name and its figures, what is
/// whole but has no figures gets them, what has no file is written down as missing, what has no row
/// gets one (so that it is deleted in its time). Reads `limit` files to their ends at most.
pub(super) fn reconcile(shelf: &Shelf<'_>, now: Timestamp, limit: usize) -> Reconciled {
    let Shelf { store, folder, rows, busy } = shelf;
    let mut known = BTreeSet::new();
    let mut measured = 0;
    for row in rows.iter() {
        let path = path(folder, row.started, &row.call, row.part);
        known.insert(path.clone());
        if busy.contains(&row.key()) {
            continue;
        }
        if row.deleted.is_none() {
            let is_open = row.written.is_none() && path.exists() || part_of(&path).exists();
            if is_open && measured >= limit {
                return Reconciled::Part;
            }
            measured += usize::from(is_open);
            match reconcile_row(store, folder, row, &path, now) {
                Ok(()) => {}
                Err(error) => tracing::error!(call = %row.call, %error, "a recording is damaged"),
            }
        } else if is_there(&path) {
            // Put back from a backup, perhaps: what was deleted must not be there.
            tracing::error!(call = %row.call, "a deleted recording is there again: deleted anew");
            if let Err(error) = delete(&path) {
                tracing::error!(call = %row.call, %error, "a recording can't be deleted");
            }
        }
    }
    let is_busy = |path: &PathBuf| {
        Named::of(path).is_some_and(|named| busy.contains(&(named.call, named.part)))
    };
    for path in files(folder).into_iter().filter(|path| !known.contains(path) && !is_busy(path)) {
        if measured >= limit {
            return Reconciled::Part;
        }
        match orphan(&path) {
            Ok(Some(orphan)) => {
                measured += 1;
                tracing::warn!(call = %orphan.call, "a recording had no row");
                store.recording(orphan);
            }
            Ok(None) => tracing::warn!(path = %path.display(), "is no recording of ours"),
            Err(error) => tracing::error!(path = %path.display(), %error, "can't be read"),
        }
    }
    Reconciled::All
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
    } else if row.written.is_none() {
        // It got its name, but the process ended before the database took its figures.
        let written = Some(measure(path, Ended::CutOff)?);
        tracing::warn!(call = %row.call, "a recording had no figures in its row");
        store.recording(Recording { written, ..row.clone() });
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

/// What a file's path tells of it.
struct Named {
    call: CallId,
    part: u32,
    /// The first and the last minute of its folder's month.
    month: [Timestamp; 2],
}

impl Named {
    /// `None`: it is no recording of ours.
    fn of(path: &Path) -> Option<Self> {
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
        let month = [begin(first), begin(next) - TimeDelta::minutes(1)];
        Some(Self { call: CallId(call.into()), part, month })
    }
}

/// A row for a file that has none. It began before it was last written to, in its folder's month,
/// so that its path stays what it is.
fn orphan(path: &Path) -> io::Result<Option<Recording>> {
    let Some(Named { call, part, month: [first, last] }) = Named::of(path) else {
        return Ok(None);
    };
    if part_of(path).exists() {
        salvage(path, Ended::CutOff)?;
    }
    let changed = Timestamp::from(fs::metadata(path)?.modified()?);
    let written = Some(measure(path, Ended::CutOff)?);
    let started = changed.clamp(first, last);
    Ok(Some(Recording { call, part, line: None, started, written, deleted: None }))
}
