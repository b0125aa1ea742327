//! What the carrier counted: calls to a line's number a day, and how many of them reached us.
//!
//! Owns the rows of `carrier`: counts, who brought them and when; never a number of a caller.
//! Reading a carrier's file is [`mod@file`]'s.

pub mod file;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rusqlite::Connection;

use super::unknown;
use crate::call::config::LineId;
use crate::time::Timestamp;

/// The `hour` of a row about a whole day.
const WHOLE_DAY: i64 = -1;

/// What was counted on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Of the whole day: the sum of its hours where the file had hours.
    pub all: Count,
    /// By hour of the day, where the file had them.
    pub hours: BTreeMap<u32, Count>,
}

/// Calls that the carrier counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Everybody who dialed the number.
    pub attempts: u64,
    /// Those whom the carrier connected to us.
    pub connected: u64,
}

/// Days that came in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Of which line.
    pub line: LineId,
    /// When it came.
    pub at: Timestamp,
    /// Who brought it.
    pub who: String,
    /// First day of what is left of it.
    pub first: NaiveDate,
    /// Last day.
    pub last: NaiveDate,
    /// Days that are left of it: a later file replaces days of an earlier one.
    pub days: u64,
    /// Attempts of these days.
    pub attempts: u64,
}

impl Count {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.connected = self.connected.saturating_add(other.connected);
    }
}

/// Writes the days of a file in place of what was known of the same days.
///
/// # Errors
/// When the database refuses.
pub fn replace(
    conn: &Connection,
    line: &LineId,
    days: &BTreeMap<NaiveDate, Day>,
    at: Timestamp,
    who: &str,
) -> rusqlite::Result<()> {
    let mut clear = conn.prepare("DELETE FROM carrier WHERE line = ?1 AND day = ?2")?;
    let mut insert = conn.prepare("INSERT INTO carrier VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (day, counted) in days {
        let text = day.to_string();
        clear.execute((&*line.0, &text))?;
        let hours = counted.hours.iter().map(|(hour, count)| (i64::from(*hour), *count));
        let whole = counted.hours.is_empty().then_some((WHOLE_DAY, counted.all));
        for (hour, Count { attempts, connected }) in hours.chain(whole) {
            let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let (attempts, connected) = (number(attempts), number(connected));
            let ms = at.timestamp_millis();
            insert.execute((&*line.0, &text, hour, attempts, connected, ms, who))?;
        }
    }
    Ok(())
}

/// What is known of the days from `first` up to before `end`.
///
/// # Errors
/// When the database can't be read.
pub fn load(
    conn: &Connection,
    first: NaiveDate,
    end: NaiveDate,
) -> rusqlite::Result<BTreeMap<(LineId, NaiveDate), Day>> {
    let mut query = conn.prepare(
        "SELECT line, day, hour, attempts, connected FROM carrier WHERE day >= ?1 AND day < ?2",
    )?;
    let mut rows = query.query((first.to_string(), end.to_string()))?;
    let mut days: BTreeMap<(LineId, NaiveDate), Day> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let line = LineId(row.get::<_, String>(0)?.into());
        let day = date(&row.get::<_, String>(1)?)?;
        let number = |n: i64| u64::try_from(n).unwrap_or_default();
        let count = Count { attempts: number(row.get(3)?), connected: number(row.get(4)?) };
        let counted = days.entry((line, day)).or_default();
        counted.all.add(count);
        if let Ok(hour) = u32::try_from(row.get::<_, i64>(2)?) {
            counted.hours.entry(hour).or_default().add(count);
        }
    }
    Ok(days)
}

/// Every file of which something is left, latest first.
///
/// # Errors
/// When the database can't be read.
pub fn imports(conn: &Connection) -> rusqlite::Result<Vec<Import>> {
    let mut query = conn.prepare(
        "SELECT line, at_ms, who, min(day), max(day), count(DISTINCT day), sum(attempts)
         FROM carrier GROUP BY line, at_ms, who ORDER BY at_ms DESC, line",
    )?;
    let rows = query.query_map([], |row| {
        Ok(Import {
            line: LineId(row.get::<_, String>(0)?.into()),
            at: Timestamp::from_timestamp_millis(row.get(1)?).unwrap_or_default(),
            who: row.get(2)?,
            first: date(&row.get::<_, String>(3)?)?,
            last: date(&row.get::<_, String>(4)?)?,
            days: row.get::<_, i64>(5)?.unsigned_abs(),
            attempts: row.get::<_, i64>(6)?.unsigned_abs(),
        })
    })?;
    rows.collect()
}

/// Deletes what is left of a file; says how many days.
///
/// # Errors
/// When the database refuses.
pub fn remove(conn: &Connection, line: &LineId, at: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM carrier WHERE line = ?1 AND at_ms = ?2";
    conn.execute(sql, (&*line.0, at.timestamp_millis()))
}

/// Deletes what was counted before a day; says how many rows.
pub(super) fn expire(conn: &Connection, before: NaiveDate) -> rusqlite::Result<usize> {
    conn.execute("DELETE FROM carrier WHERE day < ?1", [before.to_string()])
}

fn date(text: &str) -> rusqlite::Result<NaiveDate> {
    text.parse().map_err(|_| unknown(text))
}
