//! What counselors said of their calls when they were over: one type for each call and counselor.
//!
//! Owns the table `contact`, and reads who talked in which call for it. Which types there are, and
//! until when one may be changed, is the console's.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::call::cdr::CallId;
use crate::call::config::{Extension, LineId};
use crate::time::Timestamp;

/// What a counselor said of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The call.
    pub call: CallId,
    /// Who said it.
    pub extension: Extension,
    /// One of the configuration's types, as it was then.
    pub kind: String,
    /// When.
    pub at: Timestamp,
}

/// A call in which a counselor talked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// The call.
    pub call: CallId,
    /// Its line; `None`: it had none.
    pub line: Option<LineId>,
    /// When it began.
    pub started: Timestamp,
    /// When it was over.
    pub ended: Timestamp,
    /// How long the counselor talked.
    pub seconds: u64,
    /// What they said of it.
    pub kind: Option<String>,
}

/// Writes down what somebody said of a call, in place of what they said before.
///
/// # Errors
/// When the database refuses.
pub fn save(conn: &Connection, contact: &Contact) -> rusqlite::Result<()> {
    let Contact { call, extension, kind, at } = contact;
    let sql = "INSERT OR REPLACE INTO contact (call, extension, type, at_ms)
        VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute((&*call.0, &*extension.0, kind, at.timestamp_millis()))?;
    Ok(())
}

/// What somebody said of a call.
///
/// # Errors
/// When the database can't be read.
pub fn of(conn: &Connection, call: &CallId, who: &Extension) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT type FROM contact WHERE call = ?1 AND extension = ?2";
    conn.query_row(sql, (&*call.0, &*who.0), |row| row.get(0)).optional()
}

const TALKS: &str = "
    SELECT cdr.call, cdr.line, cdr.started_ms, cdr.lasted_ms, sum(talk.talk_ms), contact.type
    FROM cdr_talk AS talk JOIN cdr ON cdr.call = talk.call
    LEFT JOIN contact ON contact.call = talk.call AND contact.extension = talk.extension
    WHERE talk.extension = ?1";

/// The call, if the counselor talked in it and its record is kept.
///
/// # Errors
/// When the database can't be read.
pub fn talk(conn: &Connection, call: &CallId, who: &Extension) -> rusqlite::Result<Option<Talk>> {
    let sql = format!("{TALKS} AND cdr.call = ?2 GROUP BY cdr.call");
    conn.query_row(&sql, (&*who.0, &*call.0), read).optional()
}

/// The last `count` calls in which the counselor talked and which began at `from` or later, the
/// last one first.
///
/// # Errors
/// When the database can't be read.
pub fn talks(
    conn: &Connection,
    who: &Extension,
    from: Timestamp,
    count: u32,
) -> rusqlite::Result<Vec<Talk>> {
    let sql = format!(
        "{TALKS} AND cdr.started_ms >= ?2 GROUP BY cdr.call
         ORDER BY cdr.started_ms DESC, cdr.rowid DESC LIMIT ?3"
    );
    let mut query = conn.prepare(&sql)?;
    query.query_map((&*who.0, from.timestamp_millis(), count), read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Talk> {
    let moment = |ms| Timestamp::from_timestamp_millis(ms).unwrap_or_default();
    let (started, lasted): (i64, i64) = (row.get(2)?, row.get(3)?);
    let talked: i64 = row.get(4)?;
    Ok(Talk {
        call: CallId(row.get::<_, String>(0)?.into()),
        line: row.get::<_, Option<String>>(1)?.map(|line| LineId(line.into())),
        started: moment(started),
        ended: moment(started.saturating_add(lasted)),
        seconds: u64::try_from(talked / 1_000).unwrap_or_default(),
        kind: row.get(5)?,
    })
}

/// Takes away what was said before `limit`; says how many.
///
/// # Errors
/// When the database refuses.
pub(super) fn expire(conn: &Connection, limit: Timestamp) -> rusqlite::Result<usize> {
    conn.execute("DELETE FROM contact WHERE at_ms < ?1", [limit.timestamp_millis()])
}
