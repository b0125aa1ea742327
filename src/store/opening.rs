//! Checks before a line opens, as they came out.
//!
//! Owns the table `opening_run`. What is in a report is the console's; no caller is in any of it.

use rusqlite::{Connection, Row};

use crate::call::config::LineId;
use crate::time::Timestamp;

/// Runs of a line that are kept.
const KEPT: u32 = 500;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number; 0: it is not written yet.
    pub id: i64,
    /// Of which line.
    pub line: LineId,
    /// When it began.
    pub at: Timestamp,
    /// Who asked for it.
    pub who: String,
    /// The opening that it was made for; `None`: somebody asked for it.
    pub opens: Option<Timestamp>,
    /// Its verdict, by name.
    pub result: String,
    /// Everything else, as JSON.
    pub report: String,
}

const COLUMNS: &str = "id, line, at_ms, who, opens_ms, result, report";

/// Writes a run, new where its number is 0, and returns its number. Old ones make room.
///
/// # Errors
/// When the database refuses.
pub fn save(conn: &Connection, run: &Run) -> rusqlite::Result<i64> {
    let id = (run.id != 0).then_some(run.id);
    let sql = format!(
        "INSERT OR REPLACE INTO opening_run ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    let opens = run.opens.map(|at| at.timestamp_millis());
    let at = run.at.timestamp_millis();
    conn.execute(&sql, (id, &*run.line.0, at, &run.who, opens, &run.result, &run.report))?;
    let id = id.unwrap_or_else(|| conn.last_insert_rowid());
    let sql = "DELETE FROM opening_run WHERE line = ?1 AND id NOT IN
               (SELECT id FROM opening_run WHERE line = ?1 ORDER BY id DESC LIMIT ?2)";
    conn.execute(sql, (&*run.line.0, KEPT))?;
    Ok(id)
}

/// The last runs, latest first.
///
/// # Errors
/// When the database can't be read.
pub fn last(conn: &Connection, count: u32) -> rusqlite::Result<Vec<Run>> {
    let sql = format!("SELECT {COLUMNS} FROM opening_run ORDER BY id DESC LIMIT ?1");
    conn.prepare(&sql)?.query_map([count], read)?.collect()
}

/// The last run of each line that came to its end.
///
/// # Errors
/// When the database can't be read.
pub fn latest(conn: &Connection) -> rusqlite::Result<Vec<Run>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM opening_run WHERE id IN
         (SELECT max(id) FROM opening_run WHERE report <> '' GROUP BY line) ORDER BY line"
    );
    conn.prepare(&sql)?.query_map([], read)?.collect()
}

/// The last opening of each line that a run was made for.
///
/// # Errors
/// When the database can't be read.
pub fn made(conn: &Connection) -> rusqlite::Result<Vec<(LineId, Timestamp)>> {
    let sql =
        "SELECT line, max(opens_ms) FROM opening_run WHERE opens_ms IS NOT NULL GROUP BY line";
    let mut query = conn.prepare(sql)?;
    let rows = query.query_map([], |row| Ok((line(row, 0)?, moment(row.get(1)?))))?;
    rows.collect()
}

/// Records of test calls of a line since a moment.
///
/// # Errors
/// When the database can't be read.
pub fn test_calls(conn: &Connection, line: &LineId, since: Timestamp) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM cdr WHERE test = 1 AND line = ?1 AND started_ms >= ?2";
    conn.query_row(sql, (&*line.0, since.timestamp_millis()), |row| row.get(0))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        line: line(row, 1)?,
        at: moment(row.get(2)?),
        who: row.get(3)?,
        opens: row.get::<_, Option<i64>>(4)?.map(moment),
        result: row.get(5)?,
        report: row.get(6)?,
    })
}

fn line(row: &Row<'_>, column: usize) -> rusqlite::Result<LineId> {
    Ok(LineId(row.get::<_, String>(column)?.into()))
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    fn run(line: &str, minute: i64, opens: Option<i64>) -> Run {
        Run {
            id: 0,
            line: LineId::from(line),
            at: moment(minute * 60_000),
            who: "system".to_owned(),
            opens: opens.map(|minute| moment(minute * 60_000)),
            result: "ok".to_owned(),
            report: "{}".to_owned(),
        }
    }

    #[test]
    fn runs_are_kept_in_order_and_not_for_ever() {
        let folder = std::env::temp_dir().join(format!("koebashi-opening-{}", std::process::id()));
        let conn = migrate::open(&folder.join("koebashi.db")).unwrap();
        for minute in 0..510 {
            save(&conn, &run("a", minute, None)).unwrap();
        }
        let id = save(&conn, &run("b", 600, Some(615))).unwrap();
        save(&conn, &Run { id, result: "bad".to_owned(), ..run("b", 600, Some(615)) }).unwrap();
        save(&conn, &Run { report: String::new(), ..run("b", 700, None) }).unwrap();
        let count: u32 =
            conn.query_row("SELECT count(*) FROM opening_run", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 502);
        let last = last(&conn, 3).unwrap();
        let at: Vec<_> = last.iter().map(|run| run.at.timestamp() / 60).collect();
        assert_eq!(at, [700, 600, 509]);
        let latest = latest(&conn).unwrap();
        assert_eq!(latest.iter().map(|run| &*run.line.0).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(latest[1].result, "bad");
        assert_eq!(made(&conn).unwrap(), [(LineId::from("b"), moment(615 * 60_000))]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
