//! Versions of prompts: recordings as they were, and as they may be.
//!
//! Owns the tables `prompt_version` and `prompt_removed`. Which version is heard is not written
//! here: it is the one whose sound the folder of prompts holds. A version never changes but for its
//! plan.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::time::Timestamp;

/// Versions of one prompt that are kept; one more takes the place of the oldest that is neither
/// heard, planned nor the first.
pub const VERSIONS_MAX: u32 = 50;
/// Moments that are planned, of all prompts.
const PLANS_MAX: u32 = 200;

/// A version of a prompt, without its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Whose.
    pub prompt: String,
    /// From 1.
    pub n: u32,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub who: String,
    /// What it says.
    pub text: String,
    /// How it was made: a word of the console's, or the voice that speaks.
    pub voice: String,
    /// The checksum of its sound, hex.
    pub sha256: String,
    /// Its length in samples.
    pub samples: u32,
    /// When it was last put on air.
    pub live: Option<Timestamp>,
    /// When it is to be put on air, and who wants it so.
    pub planned: Option<(Timestamp, String)>,
}

/// A version to be kept.
#[derive(Clone, Debug)]
pub struct New {
    /// Whose.
    pub prompt: String,
    /// Now.
    pub at: Timestamp,
    /// Who made it.
    pub who: String,
    /// What it says.
    pub text: String,
    /// How it was made.
    pub voice: String,
    /// The checksum of its sound, hex.
    pub sha256: String,
    /// Its sound: 8 kHz, 16 bit, little-endian.
    pub samples: Vec<u8>,
}

const COLUMNS: &str = "prompt, n, at_ms, who, text, voice, sha256, length(samples) / 2 AS samples,
                       live_ms, planned_ms, planned_by";

/// Keeps a version, and returns its number. `live`: the checksum of what is heard at the moment.
///
/// # Errors
/// When the database refuses.
pub fn add(conn: &Connection, new: &New, live: Option<&str>) -> rusqlite::Result<u32> {
    let sql = "SELECT coalesce(max(n), 0) + 1 FROM
                   (SELECT n FROM prompt_version WHERE prompt = ?1
                    UNION ALL SELECT n FROM prompt_removed WHERE prompt = ?1)";
    let n: u32 = conn.query_row(sql, [&new.prompt], |row| row.get(0))?;
    let sql = "INSERT INTO prompt_version (prompt, n, at_ms, who, text, voice, sha256, samples)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let at = new.at.timestamp_millis();
    conn.execute(
        sql,
        (&new.prompt, n, at, &new.who, &new.text, &new.voice, &new.sha256, &new.samples),
    )?;
    let sql = "DELETE FROM prompt_version WHERE prompt = ?1 AND n IN (
                   SELECT n FROM prompt_version
                   WHERE prompt = ?1 AND n NOT IN (1, ?2) AND planned_ms IS NULL
                       AND sha256 IS NOT ?3
                   ORDER BY n LIMIT max(0, (SELECT count(*) FROM prompt_version
                                            WHERE prompt = ?1) - ?4))";
    conn.execute(sql, (&new.prompt, n, live, VERSIONS_MAX))?;
    Ok(n)
}

/// Every version of a prompt, the latest first.
///
/// # Errors
/// When the database can't be read.
pub fn all(conn: &Connection, prompt: &str) -> rusqlite::Result<Vec<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM prompt_version WHERE prompt = ?1 ORDER BY n DESC");
    conn.prepare(&sql)?.query_map([prompt], read)?.collect()
}

/// A version.
///
/// # Errors
/// When the database can't be read.
pub fn find(conn: &Connection, prompt: &str, n: u32) -> rusqlite::Result<Option<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM prompt_version WHERE prompt = ?1 AND n = ?2");
    conn.query_row(&sql, (prompt, n), read).optional()
}

/// The sound of a version.
///
/// # Errors
/// When the database can't be read.
pub fn sound(conn: &Connection, prompt: &str, n: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT samples FROM prompt_version WHERE prompt = ?1 AND n = ?2";
    conn.query_row(sql, (prompt, n), |row| row.get(0)).optional()
}

/// Every version that is planned, the next first.
///
/// # Errors
/// When the database can't be read.
pub fn planned(conn: &Connection) -> rusqlite::Result<Vec<Version>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM prompt_version WHERE planned_ms IS NOT NULL
         ORDER BY planned_ms, prompt, n"
    );
    conn.prepare(&sql)?.query_map([], read)?.collect()
}

/// Prompts that were recorded but are not on air yet, and how many such versions each has.
///
/// # Errors
/// When the database can't be read.
pub fn drafts(conn: &Connection) -> rusqlite::Result<Vec<(String, u32)>> {
    let sql = "SELECT prompt, count(*) FROM prompt_version
               WHERE live_ms IS NULL GROUP BY prompt ORDER BY prompt";
    conn.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Plans a version, or takes its plan back. False: there is no such version, or as much is planned
/// as may be.
///
/// # Errors
/// When the database refuses.
pub fn plan(
    conn: &Connection,
    prompt: &str,
    n: u32,
    plan: Option<(Timestamp, &str)>,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE prompt_version SET planned_ms = ?3, planned_by = ?4
               WHERE prompt = ?1 AND n = ?2 AND (?3 IS NULL OR planned_ms IS NOT NULL OR
                   (SELECT count(*) FROM prompt_version WHERE planned_ms IS NOT NULL) < ?5)";
    let at = plan.map(|(at, _)| at.timestamp_millis());
    let by = plan.map(|(_, by)| by);
    Ok(conn.execute(sql, (prompt, n, at, by, PLANS_MAX))? == 1)
}

/// A version was put on air: its plan is carried out.
///
/// # Errors
/// When the database refuses.
pub fn went_live(conn: &Connection, prompt: &str, n: u32, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE prompt_version SET live_ms = ?3, planned_ms = NULL, planned_by = NULL
               WHERE prompt = ?1 AND n = ?2";
    conn.execute(sql, (prompt, n, at.timestamp_millis()))?;
    Ok(())
}

/// Removes a prompt's versions.
///
/// # Errors
/// When the database refuses.
pub fn remove(conn: &Connection, prompt: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM prompt_version WHERE prompt = ?1", [prompt])?;
    Ok(())
}

/// Removes one version. False: there is none, it was on air once, or it is planned.
///
/// # Errors
/// When the database refuses.
pub fn discard(conn: &Connection, prompt: &str, n: u32) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM prompt_version
               WHERE prompt = ?1 AND n = ?2 AND live_ms IS NULL AND planned_ms IS NULL";
    let is_removed = conn.execute(sql, (prompt, n))? == 1;
    if is_removed {
        let sql = "INSERT INTO prompt_removed VALUES (?1, ?2)
                   ON CONFLICT (prompt) DO UPDATE SET n = max(n, excluded.n)";
        conn.execute(sql, (prompt, n))?;
    }
    Ok(is_removed)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Version> {
    let moment = |name: &str| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(name)?.and_then(Timestamp::from_timestamp_millis))
    };
    let by: Option<String> = row.get("planned_by")?;
    Ok(Version {
        prompt: row.get("prompt")?,
        n: row.get("n")?,
        at: moment("at_ms")?.unwrap_or_default(),
        who: row.get("who")?,
        text: row.get("text")?,
        voice: row.get("voice")?,
        sha256: row.get("sha256")?,
        samples: row.get("samples")?,
        live: moment("live_ms")?,
        planned: moment("planned_ms")?.zip(by),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    fn new(prompt: &str, sha256: &str) -> New {
        New {
            prompt: prompt.to_owned(),
            at: Timestamp::default(),
            who: "op".to_owned(),
            text: "t".to_owned(),
            voice: "file".to_owned(),
            sha256: sha256.to_owned(),
            samples: vec![1, 0, 2, 0],
        }
    }

    fn database(name: &str) -> (std::path::PathBuf, Connection) {
        let name = format!("koebashi-versions-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&folder));
        let conn = migrate::open(&folder.join("koebashi.db")).unwrap();
        (folder, conn)
    }

    #[test]
    fn only_so_many_versions_are_kept_and_those_in_use_stay() {
        let (folder, conn) = database("many");
        for n in 1..=VERSIONS_MAX {
            assert_eq!(add(&conn, &new("a", &format!("s{n}")), Some("s2")).unwrap(), n);
        }
        add(&conn, &new("b", "s1"), None).unwrap();
        assert!(plan(&conn, "a", 3, Some((Timestamp::MAX_UTC, "op"))).unwrap());
        for n in VERSIONS_MAX + 1..=VERSIONS_MAX + 3 {
            assert_eq!(add(&conn, &new("a", "s"), Some("s2")).unwrap(), n);
        }
        let kept: Vec<u32> = all(&conn, "a").unwrap().iter().map(|version| version.n).collect();
        assert_eq!(kept.len(), VERSIONS_MAX as usize);
        // The first, the one that is heard and the planned one stay, and the oldest others go.
        assert_eq!(kept.iter().rev().take(5).copied().collect::<Vec<_>>(), [1, 2, 3, 7, 8]);
        assert_eq!(all(&conn, "b").unwrap().len(), 1);
        drop(conn);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_what_was_never_heard_is_removed_and_its_number_is_not_given_again() {
        let (folder, conn) = database("discard");
        let at = Timestamp::from_timestamp_millis(5_000).unwrap();
        for sha256 in ["x", "y", "z"] {
            add(&conn, &new("a", sha256), None).unwrap();
        }
        went_live(&conn, "a", 1, at).unwrap();
        assert!(plan(&conn, "a", 2, Some((at, "op"))).unwrap());
        for n in [1, 2, 9] {
            assert!(!discard(&conn, "a", n).unwrap(), "{n}");
        }
        assert!(discard(&conn, "a", 3).unwrap());
        assert!(!discard(&conn, "a", 3).unwrap());
        assert_eq!(add(&conn, &new("a", "z"), None).unwrap(), 4);
        assert_eq!(add(&conn, &new("b", "z"), None).unwrap(), 1);
        let kept: Vec<u32> = all(&conn, "a").unwrap().iter().map(|version| version.n).collect();
        assert_eq!(kept, [4, 2, 1]);
        drop(conn);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_plan_is_kept_taken_back_and_carried_out() {
        let (folder, conn) = database("plan");
        let at = Timestamp::from_timestamp_millis(5_000).unwrap();
        add(&conn, &new("a", "x"), None).unwrap();
        add(&conn, &new("a", "y"), None).unwrap();
        assert!(!plan(&conn, "a", 9, Some((at, "op"))).unwrap());
        assert!(plan(&conn, "a", 2, Some((at, "op"))).unwrap());
        let due = planned(&conn).unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].n, due[0].planned.clone()), (2, Some((at, "op".to_owned()))));
        assert!(plan(&conn, "a", 2, None).unwrap());
        assert_eq!(planned(&conn).unwrap(), []);
        assert!(plan(&conn, "a", 2, Some((at, "op"))).unwrap());
        assert_eq!(drafts(&conn).unwrap(), [("a".to_owned(), 2)]);
        went_live(&conn, "a", 2, at).unwrap();
        assert_eq!(planned(&conn).unwrap(), []);
        assert_eq!(find(&conn, "a", 2).unwrap().unwrap().live, Some(at));
        assert_eq!(sound(&conn, "a", 2).unwrap().unwrap(), [1, 0, 2, 0]);
        assert_eq!(find(&conn, "a", 2).unwrap().unwrap().samples, 2);
        assert_eq!(drafts(&conn).unwrap(), [("a".to_owned(), 1)]);
        remove(&conn, "a").unwrap();
        assert_eq!(all(&conn, "a").unwrap(), []);
        drop(conn);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
