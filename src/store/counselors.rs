//! What counselors chose, in the database: the last choice of each, kept over a restart.
//!
//! Owns the form of a row. What a choice means is the call path's.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::call::config::Extension;
use crate::call::intention::Intention;

/// Keeps a choice in place of the one before.
///
/// # Errors
/// When the database refuses.
pub fn save(conn: &Connection, whose: &Extension, intention: &Intention) -> rusqlite::Result<()> {
    let (state, reason) = match intention {
        Intention::LoggedOut => ("logged_out", None),
        Intention::Ready => ("ready", None),
        Intention::Paused(reason) => ("paused", Some(reason)),
    };
    let sql = "INSERT OR REPLACE INTO intention VALUES (?1, ?2, ?3)";
    conn.prepare_cached(sql)?.execute((&*whose.0, state, reason))?;
    Ok(())
}

/// The last choice of each. A word that we don't write counts as logged out: nobody is rung by
/// mistake.
///
/// # Errors
/// When the database can't be read.
pub fn load(conn: &Connection) -> rusqlite::Result<BTreeMap<Extension, Intention>> {
    let mut query = conn.prepare("SELECT extension, state, pause_reason FROM intention")?;
    let rows = query.query_map([], |row| {
        let intention = match row.get::<_, String>(1)?.as_str() {
            "ready" => Intention::Ready,
            "paused" => Intention::Paused(row.get::<_, Option<String>>(2)?.unwrap_or_default()),
            _ => Intention::LoggedOut,
        };
        Ok((Extension(row.get::<_, String>(0)?.into()), intention))
    })?;
    rows.collect()
}
