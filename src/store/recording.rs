//! Which recordings there are, and which there were: a row each, written when it begins, filled in
//! when it ends, and kept after its file is gone.
//!
//! Owns the rows. The files are the shell's, which alone deletes them; the row says so only after
//! the file is gone, together with an entry in the audit trail.

use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::{Connection, Row};

use super::audit::{self, Entry};
use crate::call::cdr::CallId;
use crate::call::config::LineId;
use crate::time::Timestamp;

/// Declares an enum whose variants have names in the database.
macro_rules! named {
    (
        $(#[$doc:meta])* $type:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in records, metrics and print.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

named! {
    /// How a recording ended.
    Ended {
        /// With the conversation.
        Whole = "whole",
        /// It was as long as a recording may be.
        TooLong = "too_long",
        /// The disk refused.
        Unwritable = "unwritable",
        /// The disk did not keep up.
        Overrun = "overrun",
        /// The process ended first, or what was known of it was lost: the last seconds may be
        /// missing.
        CutOff = "cut_off",
        /// A person had it deleted while it went on.
        Deleted = "deleted",
    }
}

named! {
    /// Why a recording is gone.
    Why {
        /// It was kept as long as it may be.
        Expired = "expired",
        /// A person asked for it.
        Asked = "asked",
        /// It was not there any longer, and not by our hand.
        Missing = "missing",
    }
}

/// What a recording came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How it ended.
    pub ended: Ended,
    /// How much is in it; `None`: that can't be known without the key.
    pub length: Option<Duration>,
    /// Size of the file, encrypted.
    pub bytes: u64,
    /// SHA-256 of the file, encrypted.
    pub sha256: [u8; 32],
}

/// A recording, or what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The call.
    pub call: CallId,
    /// Which conversation of the call, from 1.
    pub part: u32,
    /// The line; `None`: not known (a file that had no row).
    pub line: Option<LineId>,
    /// When the conversation began, to the minute.
    pub started: Timestamp,
    /// What it came to; `None`: it goes on.
    pub written: Option<Written>,
    /// When its file was deleted, and why; `None`: it is there.
    pub deleted: Option<(Timestamp, Why)>,
}

impl Recording {
    /// What tells it from every other.
    pub fn key(&self) -> (CallId, u32) {
        (self.call.clone(), self.part)
    }
}

/// That a file is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Of which call.
    pub call: CallId,
    /// Which conversation.
    pub part: u32,
    /// Why.
    pub why: Why,
    /// When and by whom; the words are the store's.
    pub by: (Timestamp, String),
}

/// Writes the row, in place of what it said before; one that was made up for a file (of no known
/// line) never in place of another. What is deleted stays so.
///
/// # Errors
/// When the database refuses.
pub(super) fn save(conn: &Connection, recording: &Recording) -> rusqlite::Result<()> {
    let sql = "
        INSERT INTO recording (call, part, line, started_ms, ended, length_ms, bytes, sha256)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (call, part) DO UPDATE SET ended = excluded.ended,
            length_ms = excluded.length_ms, bytes = excluded.bytes, sha256 = excluded.sha256
            WHERE excluded.line IS NOT NULL OR recording.line IS NULL";
    let written = recording.written.as_ref();
    let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?.execute((
        &*recording.call.0,
        recording.part,
        recording.line.as_ref().map(|line| &*line.0),
        super::cdr::to_minute(recording.started),
        written.map(|w| w.ended.name()),
        written.and_then(|w| w.length).map(millis),
        written.map(|w| i64::try_from(w.bytes).unwrap_or(i64::MAX)),
        written.map(|w| w.sha256),
    ))?;
    Ok(())
}

/// Writes down that the file is gone, and the entry in the audit trail; only once.
///
/// # Errors
/// When the database refuses.
pub(super) fn deleted(conn: &Connection, deletion: &Deletion) -> rusqlite::Result<()> {
    let Deletion { call, part, why, by: (at, who) } = deletion;
    let sql = "UPDATE recording SET deleted_ms = ?3, deleted_why = ?4
               WHERE call = ?1 AND part = ?2 AND deleted_ms IS NULL";
    let row = (&*call.0, part, at.timestamp_millis(), why.name());
    if conn.prepare_cached(sql)?.execute(row)? > 0 {
        let what = format!("recording of call {call}, part {part}: deleted ({})", why.name());
        audit::append(conn, &Entry { at: *at, who: who.clone(), what })?;
    }
    Ok(())
}

/// Takes away rows whose files were deleted before `limit`.
///
/// # Errors
/// When the database refuses.
pub(super) fn expire(conn: &Connection, limit: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM recording WHERE deleted_ms < ?1";
    conn.execute(sql, [limit.timestamp_millis()])
}

/// Every row, oldest first.
///
/// # Errors
/// When the database can't be read.
pub(super) fn load(conn: &Connection) -> rusqlite::Result<Vec<Recording>> {
    let mut query = conn.prepare("SELECT * FROM recording ORDER BY started_ms, call, part")?;
    query.query_map([], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Recording> {
    let moment = |millis: i64| Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(millis);
    let unsigned = |n: i64| u64::try_from(n).unwrap_or_default();
    let ended: Option<String> = row.get("ended")?;
    let written = match ended.as_deref().and_then(Ended::from_name) {
        None => None,
        Some(ended) => Some(Written {
            ended,
            length: row
                .get::<_, Option<i64>>("length_ms")?
                .map(|n| Duration::from_millis(unsigned(n))),
            bytes: unsigned(row.get("bytes")?),
            sha256: row.get("sha256")?,
        }),
    };
    let why: Option<String> = row.get("deleted_why")?;
    let deleted_ms: Option<i64> = row.get("deleted_ms")?;
    Ok(Recording {
        call: CallId(row.get::<_, String>("call")?.into()),
        part: row.get("part")?,
        line: row.get::<_, Option<String>>("line")?.map(|line| LineId::from(line.as_str())),
        started: moment(row.get("started_ms")?),
        written,
        deleted: deleted_ms.map(moment).zip(why.as_deref().and_then(Why::from_name)),
    })
}
