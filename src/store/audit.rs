//! The audit trail: who did what and when, each entry bound to the one before.
//!
//! Owns [`Entry`] and the chain: the hash of an entry is SHA-256 of the hash before it and of the
//! entry's number, moment, person and deed. Retention takes entries from the front and leaves the
//! last hash taken in `audit_anchor`, so that the rest can still be checked.
//!
//! The chain has no key: somebody who may write the file can also forge the whole of it. Against
//! that [`Verdict::Intact`] gives the last hash, to be noted elsewhere, and [`noted`] looks for one
//! that was. Nor does the chain show that its last entries were taken away: the writer remembers
//! the last one that it wrote ([`End`]), and so finds that while it runs.

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

/// The last entry.
const LAST: &str = "SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1";

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
    let (n, before) = match last(conn, LAST)? {
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
    let entries = load_before(conn, from, to, None, count)?;
    Ok(entries.into_iter().rev().map(|(_, entry)| entry).collect())
}

/// The last `count` entries of `from..to` whose numbers are below `before`, newest first, with
/// their numbers.
///
/// # Errors
/// When the database can't be read.
pub fn load_before(
    conn: &Connection,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    before: Option<i64>,
    count: u32,
) -> rusqlite::Result<Vec<(i64, Entry)>> {
    let from = from.map_or(i64::MIN, |at| at.timestamp_millis());
    let to = to.map_or(i64::MAX, |at| at.timestamp_millis());
    let sql = "SELECT n, at_ms, who, what FROM audit WHERE at_ms >= ?1 AND at_ms < ?2 AND n < ?3
               ORDER BY n DESC LIMIT ?4";
    let mut query = conn.prepare(sql)?;
    let rows = query.query_map((from, to, before.unwrap_or(i64::MAX), count), |row| {
        let at = Timestamp::from_timestamp_millis(row.get("at_ms")?).unwrap_or_default();
        Ok((row.get("n")?, Entry { at, who: row.get("who")?, what: row.get("what")? }))
    })?;
    rows.collect()
}

/// The entry up to which the chain was read and found whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    n: i64,
    hash: Hash,
}

/// A check of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was found.
    pub verdict: Verdict,
    /// Up to where all is well.
    pub up_to: Checked,
    /// All of it was read, not only what is new.
    pub is_whole: bool,
}

/// Checks the chain from the anchor to the last entry.
///
/// # Errors
/// When the database can't be read.
pub fn verify(conn: &Connection) -> rusqlite::Result<Verdict> {
    Ok(verify_on(conn, None)?.verdict)
}

/// Checks the chain from the entry that is `known` to the last one; from the anchor, where it is
/// there no longer or is another one.
///
/// # Errors
/// When the database can't be read.
pub fn verify_on(conn: &Connection, known: Option<Checked>) -> rusqlite::Result<Check> {
    // Retention may take the front meanwhile: all that is read here is of one moment.
    let moment = conn.unchecked_transaction()?;
    let (first, hash) = anchor(&moment)?;
    let known = match known {
        Some(known) if known.n > first && is_there(&moment, known)? => known,
        Some(_) | None => Checked { n: first, hash },
    };
    let is_whole = known.n == first;
    let mut up_to = known;
    let sql = "SELECT n, at_ms, who, what, hash FROM audit WHERE n > ?1 ORDER BY n";
    let mut query = moment.prepare(sql)?;
    let mut rows = query.query([if is_whole { i64::MIN } else { known.n }])?;
    while let Some(row) = rows.next()? {
        let n = up_to.n + 1;
        let (who, what): (String, String) = (row.get("who")?, row.get("what")?);
        let hash = link(&up_to.hash, n, row.get("at_ms")?, &who, &what);
        if row.get::<_, i64>("n")? != n || row.get::<_, Vec<u8>>("hash")? != hash {
            return Ok(Check { verdict: Verdict::Broken { at: n }, up_to, is_whole });
        }
        up_to = Checked { n, hash };
    }
    let entries = u64::try_from(up_to.n - first).unwrap_or_default();
    Ok(Check { verdict: Verdict::Intact { entries, last: up_to.hash }, up_to, is_whole })
}

/// The end of the trail, as the writer knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The last entry that was written.
    last: Checked,
    /// The number of the first that was found to be gone.
    cut: Option<i64>,
}

impl End {
    /// The number of the entry that was the last and is there no longer, or is another one; what
    /// retention took is not missed.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn missing(&self, conn: &Connection) -> rusqlite::Result<Option<i64>> {
        if self.cut.is_some() {
            return Ok(self.cut);
        }
        let is_kept = self.last.n <= anchor(conn)?.0 || is_there(conn, self.last)?;
        Ok((!is_kept).then_some(self.last.n))
    }

    /// Looks whether the trail still has its end. A cut that is found is written down, once.
    pub(super) fn check(&self, conn: &Connection, at: Timestamp) -> rusqlite::Result<Self> {
        let cut = self.missing(conn)?;
        if let (None, Some(n)) = (self.cut, cut) {
            tracing::error!("the audit trail was cut: entry {n} is gone");
            let what = format!("found the audit trail cut: entry {n} is gone");
            append(conn, &Entry { at, who: "system".to_owned(), what })?;
        }
        Ok(Self { cut, ..*self })
    }

    /// The same, with what is the last entry now.
    pub(super) fn moved(self, conn: &Connection) -> rusqlite::Result<Self> {
        let (n, hash) = match last(conn, LAST)? {
            Some(last) => last,
            None => anchor(conn)?,
        };
        Ok(Self { last: Checked { n, hash }, ..self })
    }
}

/// What became of a hash that somebody noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is an entry's.
    There {
        /// When that was written.
        at: Timestamp,
        /// Entries after it.
        after: u64,
    },
    /// It is that of the last entry that retention took: all that is left came after it.
    Taken,
    /// It is not in the trail: entries were taken away or changed since, or it is older than what
    /// is kept.
    Gone,
}

/// Looks for a hash that somebody noted. That it is there says of all before it that it is as it
/// was, where the chain is whole.
///
/// # Errors
/// When the database can't be read.
pub fn noted(conn: &Connection, hash: &Hash) -> rusqlite::Result<Noted> {
    let sql = "SELECT at_ms, (SELECT count(*) FROM audit WHERE n > it.n) FROM audit AS it
               WHERE hash = ?1";
    let found = conn.query_row(sql, [hash], |row| {
        let at = Timestamp::from_timestamp_millis(row.get(0)?).unwrap_or_default();
        Ok(Noted::There { at, after: row.get::<_, i64>(1)?.unsigned_abs() })
    });
    let (n, taken) = anchor(conn)?;
    let other = if n > 0 && taken == *hash { Noted::Taken } else { Noted::Gone };
    Ok(found.optional()?.unwrap_or(other))
}

/// A hash as it is shown: 64 digits of base 16, blanks around them left out.
pub fn hash_of(text: &str) -> Option<Hash> {
    let digits = text.trim().as_bytes();
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    let mut hash = Hash::default();
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::try_from(16 * digit(2 * at)? + digit(2 * at + 1)?).ok()?;
    }
    (digits.len() == 64).then_some(hash)
}

fn is_there(conn: &Connection, known: Checked) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM audit WHERE n = ?1 AND hash = ?2)";
    conn.prepare_cached(sql)?.query_row((known.n, known.hash), |row| row.get(0))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;
    use crate::store::tests::Folder;

    #[test]
    fn what_was_found_whole_is_read_no_more_and_what_is_new_is() {
        let folder = Folder::new("audit-on");
        let conn = migrate::open(&folder.config().path).unwrap();
        let moment = |n: i64| Timestamp::from_timestamp(n, 0).unwrap();
        let add = |n: i64| {
            let entry = Entry { at: moment(n), who: "hana".into(), what: format!("deed {n}") };
            append(&conn, &entry).unwrap();
        };
        let run = |sql: &str| conn.execute_batch(sql).unwrap();
        (1..=6).for_each(add);
        let first = verify_on(&conn, None).unwrap();
        assert!(first.is_whole && first.verdict == verify(&conn).unwrap());
        (7..=9).for_each(add);
        // What lies before is not read: it takes the whole check to find this.
        run("UPDATE audit SET what = 'x' WHERE n = 2");
        let next = verify_on(&conn, Some(first.up_to)).unwrap();
        assert!(!next.is_whole);
        assert!(matches!(next.verdict, Verdict::Intact { entries: 9, .. }), "{next:?}");
        assert_eq!(verify(&conn).unwrap(), Verdict::Broken { at: 2 });
        run("UPDATE audit SET what = 'deed 2' WHERE n = 2");
        assert_eq!(verify(&conn).unwrap(), next.verdict, "the same as of the whole");
        // What is new and does not fit is found at once, and so is another chain than the known.
        run("UPDATE audit SET what = 'x' WHERE n = 8");
        let broken = verify_on(&conn, Some(first.up_to)).unwrap();
        assert_eq!((broken.verdict, broken.is_whole), (Verdict::Broken { at: 8 }, false));
        run("UPDATE audit SET what = 'deed 8' WHERE n = 8; \
             UPDATE audit SET hash = x'00' WHERE n = 6");
        let forged = Checked { hash: [7; 32], ..next.up_to };
        let broken = verify_on(&conn, Some(forged)).unwrap();
        assert_eq!((broken.verdict, broken.is_whole), (Verdict::Broken { at: 6 }, true));
    }

    #[test]
    fn what_retention_took_is_no_beginning() {
        let folder = Folder::new("audit-expired");
        let conn = migrate::open(&folder.config().path).unwrap();
        for n in 1..=9 {
            let at = Timestamp::from_timestamp(n, 0).unwrap();
            append(&conn, &Entry { at, who: "hana".into(), what: "x".into() }).unwrap();
            if n == 3 {
                let known = verify_on(&conn, None).unwrap().up_to;
                expire(&conn, Timestamp::from_timestamp(100, 0).unwrap()).unwrap();
                append(&conn, &Entry { at, who: "hana".into(), what: "y".into() }).unwrap();
                let check = verify_on(&conn, Some(known)).unwrap();
                assert!(check.is_whole, "from the anchor on");
                assert!(matches!(check.verdict, Verdict::Intact { entries: 1, .. }), "{check:?}");
            }
        }
        let (_, taken) = anchor(&conn).unwrap();
        assert_eq!(noted(&conn, &taken).unwrap(), Noted::Taken);
        let taken = load_before(&conn, None, None, Some(9), 3).unwrap();
        assert_eq!(taken.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [8, 7, 6]);
    }

    #[test]
    fn a_noted_hash_is_found_and_shows_what_was_cut() {
        let folder = Folder::new("audit-noted");
        let conn = migrate::open(&folder.config().path).unwrap();
        let at = Timestamp::from_timestamp(7, 0).unwrap();
        let add = |what: &str| {
            append(&conn, &Entry { at, who: "hana".into(), what: what.into() }).unwrap();
        };
        (0..9).for_each(|n| add(&format!("deed {n}")));
        let end = End::default().moved(&conn).unwrap();
        let text: String = end.last.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let hash = hash_of(&format!(" {text}\n")).unwrap();
        assert_eq!(noted(&conn, &hash).unwrap(), Noted::There { at, after: 0 });
        add("one more");
        assert_eq!(noted(&conn, &hash).unwrap(), Noted::There { at, after: 1 });
        assert_eq!(end.missing(&conn).unwrap(), None);
        conn.execute_batch("DELETE FROM audit WHERE n > 6").unwrap();
        // The chain of what is left has no gap; only who knows more finds it.
        assert!(matches!(verify(&conn).unwrap(), Verdict::Intact { entries: 6, .. }));
        assert_eq!(noted(&conn, &hash).unwrap(), Noted::Gone);
        assert_eq!(end.missing(&conn).unwrap(), Some(9));
        for wrong in ["", "12", &text[1..], &format!("{text}0"), &text.replace(&text[..1], "g")] {
            assert_eq!(hash_of(wrong), None, "{wrong}");
        }
    }
}
