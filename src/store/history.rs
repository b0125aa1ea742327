//! The configuration's history: every text that its file had, as far as it was seen.
//!
//! Owns the table `config_version`. A text may hold secrets, as the file does; both are their
//! owner's alone, and nobody shows them.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::time::Timestamp;

/// Versions that are kept; one more takes the place of the oldest.
pub const VERSIONS_MAX: u32 = 500;
/// Bytes of all of them.
const BYTES_MAX: i64 = 64 << 20;

/// A text of the configuration, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, given when it is written down.
    pub n: i64,
    /// When it was saved, or seen for the first time.
    pub at: Timestamp,
    /// Who saved it.
    pub who: String,
    /// What they said about it.
    pub note: String,
    /// Of the text.
    pub sha256: Vec<u8>,
    /// All of it.
    pub text: String,
}

const COLUMNS: &str = "n, at_ms, who, note, sha256, text";

/// Writes a version down, unless it is the last one already. True: it was not.
///
/// # Errors
/// When the database refuses.
pub fn add(conn: &Connection, version: &Version) -> rusqlite::Result<bool> {
    if last(conn)?.is_some_and(|last| last.sha256 == version.sha256) {
        return Ok(false);
    }
    let sql = "INSERT INTO config_version (at_ms, who, note, sha256, text)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let at = version.at.timestamp_millis();
    conn.execute(sql, (at, &version.who, &version.note, &version.sha256, &version.text))?;
    let sql = "DELETE FROM config_version WHERE n < (SELECT max(n) FROM config_version) AND n IN (
                   SELECT n FROM (
                       SELECT n, row_number() OVER newest AS nth,
                           sum(length(CAST(text AS BLOB))) OVER newest AS bytes
                       FROM config_version WINDOW newest AS (ORDER BY n DESC)
                   ) WHERE nth > ?1 OR bytes > ?2)";
    conn.execute(sql, (VERSIONS_MAX, BYTES_MAX))?;
    Ok(true)
}

/// The newest version.
///
/// # Errors
/// When the database can't be read.
pub fn last(conn: &Connection) -> rusqlite::Result<Option<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM config_version ORDER BY n DESC LIMIT 1");
    conn.query_row(&sql, [], read).optional()
}

/// All of them, newest first.
///
/// # Errors
/// When the database can't be read.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM config_version ORDER BY n DESC");
    conn.prepare(&sql)?.query_map([], read)?.collect()
}

/// The version of this number.
///
/// # Errors
/// When the database can't be read.
pub fn find(conn: &Connection, n: i64) -> rusqlite::Result<Option<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM config_version WHERE n = ?1");
    conn.query_row(&sql, [n], read).optional()
}

/// The version before that of this number.
///
/// # Errors
/// When the database can't be read.
pub fn before(conn: &Connection, n: i64) -> rusqlite::Result<Option<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM config_version WHERE n < ?1 ORDER BY n DESC LIMIT 1");
    conn.query_row(&sql, [n], read).optional()
}

/// The newest version with this text.
///
/// # Errors
/// When the database can't be read.
pub fn of_text(conn: &Connection, sha256: &[u8]) -> rusqlite::Result<Option<Version>> {
    let sql =
        format!("SELECT {COLUMNS} FROM config_version WHERE sha256 = ?1 ORDER BY n DESC LIMIT 1");
    conn.query_row(&sql, [sha256], read).optional()
}

/// The newest version whose checksum begins so.
///
/// # Errors
/// When the database can't be read.
pub fn of_print(conn: &Connection, print: &[u8]) -> rusqlite::Result<Option<Version>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM config_version WHERE substr(sha256, 1, length(?1)) = ?1
         ORDER BY n DESC LIMIT 1"
    );
    conn.query_row(&sql, [print], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        n: row.get("n")?,
        at: Timestamp::from_timestamp_millis(row.get("at_ms")?).unwrap_or_default(),
        who: row.get("who")?,
        note: row.get("note")?,
        sha256: row.get("sha256")?,
        text: row.get("text")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version {
            n: 0,
            at: Timestamp::UNIX_EPOCH,
            who: "A".to_owned(),
            note: String::new(),
            sha256: text.as_bytes().to_vec(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_last_versions_are_kept() {
        let folder = std::env::temp_dir().join(format!("koebashi-versions-{}", std::process::id()));
        let conn = crate::store::migrate::open(&folder.join("k.db")).unwrap();
        assert!(add(&conn, &version("a")).unwrap());
        assert!(!add(&conn, &version("a")).unwrap());
        assert!(add(&conn, &version("b")).unwrap());
        assert_eq!(before(&conn, 2).unwrap().unwrap().text, "a");
        assert_eq!(of_text(&conn, b"a").unwrap().unwrap().n, 1);
        for n in 0..VERSIONS_MAX {
            add(&conn, &version(&n.to_string())).unwrap();
        }
        let all = all(&conn).unwrap();
        assert_eq!(all.len(), VERSIONS_MAX as usize);
        assert_eq!(all[0].text, (VERSIONS_MAX - 1).to_string());
        assert_eq!(find(&conn, 2).unwrap(), None);
        // Large ones push out more; the newest stays whatever it has.
        let large = "x".repeat(40 << 20);
        add(&conn, &version(&large)).unwrap();
        add(&conn, &version(&large.replace('x', "y"))).unwrap();
        assert_eq!(super::all(&conn).unwrap().len(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
