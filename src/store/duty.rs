//! When each counselor was on duty, and what they did then: stints of one state.
//!
//! Owns the rows of `duty`. Whoever watches the board writes them; a stint that goes on is written
//! again with a later end, so that after a crash it ends when it was last seen.

use rusqlite::Connection;

use super::unknown;
use crate::call::config::Extension;
use crate::time::Timestamp;

/// What a counselor did. Who is logged out does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Free.
    Ready,
    /// The phone rang.
    Ringing,
    /// In a call.
    Talking,
    /// Notes after a call.
    WrapUp,
    /// Away, for a reason.
    Paused,
    /// Signed in, but the phone could not be reached.
    Unreachable,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Ringing, Self::Talking, Self::WrapUp, Self::Paused, Self::Unreachable];

    /// Its name in the database; the board's for the same state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Ringing => "ringing",
            Self::Talking => "talking",
            Self::WrapUp => "wrap_up",
            Self::Paused => "paused",
            Self::Unreachable => "unreachable",
        }
    }

    /// The state of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether calls could come, or one was there.
    pub fn is_on_duty(self) -> bool {
        !matches!(self, Self::Paused | Self::Unreachable)
    }
}

/// A time in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stint {
    /// Whose.
    pub extension: Extension,
    /// In which state.
    pub state: State,
    /// Since when.
    pub from: Timestamp,
    /// Until when, or when it was last seen.
    pub to: Timestamp,
}

/// Writes stints; one that is there already gets its later end.
///
/// # Errors
/// When the database refuses.
pub fn write(conn: &Connection, stints: &[Stint]) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO duty (extension, from_ms, state, to_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (extension, from_ms)
         DO UPDATE SET state = excluded.state, to_ms = max(to_ms, excluded.to_ms)",
    )?;
    for Stint { extension, state, from, to } in stints {
        let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
        insert.execute((&*extension.0, from, state.name(), to))?;
    }
    Ok(())
}

/// Hands every stint of which a part lies in `from..to` to `take`, cut to that time.
///
/// # Errors
/// When the database can't be read.
pub fn load(
    conn: &Connection,
    from: Timestamp,
    to: Timestamp,
    mut take: impl FnMut(Stint),
) -> rusqlite::Result<()> {
    let mut query = conn.prepare(
        "SELECT extension, state, max(from_ms, ?1), min(to_ms, ?2) FROM duty
         WHERE from_ms < ?2 AND to_ms > ?1 ORDER BY extension, from_ms",
    )?;
    let mut rows = query.query((from.timestamp_millis(), to.timestamp_millis()))?;
    let moment = |ms| Timestamp::from_timestamp_millis(ms).unwrap_or_default();
    while let Some(row) = rows.next()? {
        let state: String = row.get(1)?;
        take(Stint {
            extension: Extension(row.get::<_, String>(0)?.into()),
            state: State::named(&state).ok_or_else(|| unknown(&state))?,
            from: moment(row.get(2)?),
            to: moment(row.get(3)?),
        });
    }
    Ok(())
}

/// Deletes stints that ended before a moment; says how many.
pub(super) fn expire(conn: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    conn.execute("DELETE FROM duty WHERE to_ms < ?1", [before.timestamp_millis()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn a_stint_grows_and_is_cut_to_what_is_asked() {
        let folder = std::env::temp_dir().join(format!("koebashi-duty-{}", std::process::id()));
        let path = folder.join("koebashi.db");
        let conn = migrate::open(&path).unwrap();
        let at = |s: i64| Timestamp::from_timestamp(1_800_000_000 + s, 0).unwrap();
        let stint = |from, to| Stint {
            extension: Extension::from("101"),
            state: State::Talking,
            from: at(from),
            to: at(to),
        };
        write(&conn, &[stint(0, 10), stint(20, 30)]).unwrap();
        // The same once more, longer; an older end does not shorten it.
        write(&conn, &[stint(0, 15)]).unwrap();
        write(&conn, &[stint(0, 5)]).unwrap();
        let all = |from, to| {
            let mut all = vec![];
            load(&conn, at(from), at(to), |stint| all.push(stint)).unwrap();
            all
        };
        assert_eq!(all(-100, 100), [stint(0, 15), stint(20, 30)]);
        assert_eq!(all(5, 25), [stint(5, 15), stint(20, 25)]);
        assert_eq!(all(15, 20), []);
        assert_eq!(expire(&conn, at(16)), Ok(1));
        assert_eq!(all(-100, 100), [stint(20, 30)]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
