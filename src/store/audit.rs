//! The audit trail: who did what and when, each entry bound to the one before.
//!
//! Owns [`Entry`] and the chain: the hash of an entry is SHA-256 of the hash before it and of the
//! entry's number, moment, person and deed. Retention takes entries from the front and leaves the
//! last hash taken in `audit_anchor`, so that the rest can still be checked.
//!
//! The chain has no key: somebody who may write the file can also forge the whole of it. Against
//! that [`Verdict::Intact`] gives the last hash, to be noted elsewhere.

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use crate::time::Timestamp;

/// Characters of [`Entry::who`] that are kept.
const WHO_MAX: usize = 64;
/// Characters of [`Entry::what`] that are kept.
const WHAT_MAX: usize = 1_000;

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who: an extension, an operator's name, or `system`.
    pub who: String,
    /// What, in words; never a number of a caller.
    pub what: String,
}

/// A link of the chain.
pub type Hash = [u8; 32];

/// What a check of the chain finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry fits the one before.
    Intact {
        /// How many entries there are.
        entries: u64,
        /// The last hash; zero where there is no entry yet.
        last: Hash,
    },
    /// The chain is broken.
    Broken {
        /// The number of the first entry that does not fit, or that is missing.
        at: i64,
    },
}

/// Appends an entry; texts that are too long are cut.
///
/// # Errors
/// When the database refuses.
pub fn append(conn: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let (n, before) = match last(conn, "SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1")? {
        Some(last) => last,
        None => anchor(conn)?,
    };
    let (n, at) = (n + 1, entry.at.timestamp_millis());
    let (who, what) = (cut(&entry.who, WHO_MAX), cut(&entry.what, WHAT_MAX));
    let hash = link(&before, n, at, who, what);
    let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5)";
    conn.prepare_cached(sql)?.execute((n, at, who, what, hash))?;
    Ok(())
}

/// The last `count` entries of `from..to`, oldest first.
///
/// # Errors
/// When the database can't be read.
pub fn load(
    conn: &Connection,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    count: u32,
) -> rusqlite::Result<Vec<Entry>> {
    let from = from.map_or(i64::MIN, |at| at.timestamp_millis());
    let to = to.map_or(i64::MAX, |at| at.timestamp_millis());
    let sql = "SELECT at_ms, who, what FROM audit WHERE at_ms >= ?1 AND at_ms < ?2
               ORDER BY n DESC LIMIT ?3";
    let mut query = conn.prepare(sql)?;
    let rows = query.query_map((from, to, count), |row| {
        let at = Timestamp::from_timestamp_millis(row.get("at_ms")?).unwrap_or_default();
        Ok(Entry { at, who: row.get("who")?, what: row.get("what")? })
    })?;
    let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    entries.reverse();
    Ok(entries)
}

/// Checks the chain from the anchor to the last entry.
///
/// # Errors
/// When the database can't be read.
pub fn verify(conn: &Connection) -> rusqlite::Result<Verdict> {
    let (mut n, mut hash) = anchor(conn)?;
    let mut entries = 0;
    let mut query = conn.prepare("SELECT n, at_ms, who, what, hash FROM audit ORDER BY n")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        n += 1;
        let (who, what): (String, String) = (row.get("who")?, row.get("what")?);
        hash = link(&hash, n, row.get("at_ms")?, &who, &what);
        if row.get::<_, i64>("n")? != n || row.get::<_, Vec<u8>>("hash")? != hash {
            return Ok(Verdict::Broken { at: n });
        }
        entries += 1;
    }
    Ok(Verdict::Intact { entries, last: hash })
}

/// Takes entries before `limit` from the front of the chain. A later entry with an earlier moment
/// (the clock was set back) stays until those before it go.
///
/// # Errors
/// When the database refuses.
pub(super) fn expire(conn: &Connection, limit: Timestamp) -> rusqlite::Result<usize> {
    let limit = limit.timestamp_millis();
    let sql = "SELECT n, hash FROM audit
               WHERE n < coalesce((SELECT min(n) FROM audit WHERE at_ms >= ?1), 1 << 62)
               ORDER BY n DESC LIMIT 1";
    let found = conn.query_row(sql, [limit], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((n, hash)): Option<(i64, Hash)> = found else {
        return Ok(0);
    };
    conn.execute("INSERT OR REPLACE INTO audit_anchor VALUES (1, ?1, ?2)", (n, hash))?;
    conn.execute("DELETE FROM audit WHERE n <= ?1", [n])
}

/// The entry before the first: the last one that retention took, or nothing.
fn anchor(conn: &Connection) -> rusqlite::Result<(i64, Hash)> {
    Ok(last(conn, "SELECT n, hash FROM audit_anchor")?.unwrap_or_default())
}

fn last(conn: &Connection, sql: &str) -> rusqlite::Result<Option<(i64, Hash)>> {
    conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Lengths go before texts, so that moving a letter from one to the other changes the hash.
fn link(before: &Hash, n: i64, at_ms: i64, who: &str, what: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(n.to_be_bytes());
    hash.update(at_ms.to_be_bytes());
    for text in [who, what] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

fn cut(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}
