//! Opening the database: file modes, pragmas, and the steps from each version to the next.
//!
//! Owns the schema. The version is SQLite's own `user_version`; a step runs in one transaction, so
//! that a kill in between leaves the version before it.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Error, database};

/// How long a statement waits for somebody else's lock before it fails.
pub const BUSY: Duration = Duration::from_millis(500);

/// The steps; step `n` leads from version `n` to `n + 1`. A released step never changes.
const STEPS: &[&str] = &[
    RECORDS,
    RECORDINGS,
    VOICES,
    RECORDED,
    LEGS,
    ACCOUNTS,
    DUTY_AND_CARRIER,
    VERSIONS,
    OPENINGS,
    HISTORY,
    CONTACTS,
    VERSION_NUMBERS,
];

/// Records, intentions, audit.
const RECORDS: &str = "
    CREATE TABLE cdr (
        call TEXT NOT NULL PRIMARY KEY,
        trunk TEXT NOT NULL,
        line TEXT,
        started_ms INTEGER NOT NULL,
        answered_after_ms INTEGER,
        lasted_ms INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        ended_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        reason_code INTEGER,
        presentation TEXT NOT NULL,
        guidance_ms INTEGER NOT NULL,
        wait_ms INTEGER NOT NULL,
        talk_ms INTEGER NOT NULL,
        paid_wait_ms INTEGER NOT NULL,
        position INTEGER,
        offers INTEGER NOT NULL,
        counselor TEXT,
        test INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX cdr_started ON cdr (started_ms);
    CREATE TABLE cdr_talk (
        call TEXT NOT NULL REFERENCES cdr (call) ON DELETE CASCADE,
        nth INTEGER NOT NULL,
        extension TEXT NOT NULL,
        talk_ms INTEGER NOT NULL,
        PRIMARY KEY (call, nth)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cdr_quality (
        call TEXT NOT NULL REFERENCES cdr (call) ON DELETE CASCADE,
        leg TEXT NOT NULL,
        received INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        lost_at_peer INTEGER NOT NULL,
        jitter_ms REAL NOT NULL,
        round_trip_ms REAL,
        strangers INTEGER NOT NULL,
        mos REAL,
        PRIMARY KEY (call, leg)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE intention (
        extension TEXT NOT NULL PRIMARY KEY,
        state TEXT NOT NULL,
        pause_reason TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        n INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        what TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE TABLE audit_anchor (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        n INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
";

/// Which conversations were recorded, and what became of it.
const RECORDINGS: &str = "
    CREATE TABLE recording (
        call TEXT NOT NULL,
        part INTEGER NOT NULL,
        line TEXT,
        started_ms INTEGER NOT NULL,
        ended TEXT,
        length_ms INTEGER,
        bytes INTEGER,
        sha256 BLOB,
        deleted_ms INTEGER,
        deleted_why TEXT,
        PRIMARY KEY (call, part)
    ) STRICT, WITHOUT ROWID;
";

/// More about the voice of a leg. Of older calls nothing of it is known.
const VOICES: &str = "
    ALTER TABLE cdr_quality ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE cdr_quality ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE cdr_quality ADD COLUMN concealed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE cdr_quality ADD COLUMN first_packet_ms REAL;
    ALTER TABLE cdr_quality ADD COLUMN source_differs INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE cdr_quality ADD COLUMN level_dbfs REAL;
    ALTER TABLE cdr_quality ADD COLUMN one_way INTEGER NOT NULL DEFAULT 0;
";

/// How many conversations of a call were recorded: its rows in `recording`, which may outlive it.
const RECORDED: &str = "
    ALTER TABLE cdr ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0;
    UPDATE cdr SET recorded = (SELECT count(*) FROM recording WHERE recording.call = cdr.call);
";

/// Who signs in to the console. Of passwords and tokens there are hashes only.
const ACCOUNTS: &str = "
    CREATE TABLE account (
        name TEXT NOT NULL PRIMARY KEY,
        role TEXT NOT NULL,
        extension TEXT,
        password TEXT,
        totp BLOB,
        totp_step INTEGER NOT NULL,
        invitation BLOB,
        invitation_until_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE session (
        token BLOB NOT NULL PRIMARY KEY,
        account TEXT NOT NULL,
        until_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Recordings of prompts, as they were and as they may be.
const VERSIONS: &str = "
    CREATE TABLE prompt_version (
        prompt TEXT NOT NULL,
        n INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        text TEXT NOT NULL,
        voice TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        live_ms INTEGER,
        planned_ms INTEGER,
        planned_by TEXT,
        samples BLOB NOT NULL,
        PRIMARY KEY (prompt, n)
    ) STRICT;
";

/// How the checks before each opening came out.
const OPENINGS: &str = "
    CREATE TABLE opening_run (
        id INTEGER PRIMARY KEY,
        line TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        opens_ms INTEGER,
        result TEXT NOT NULL,
        report TEXT NOT NULL
    ) STRICT;
";

/// What the file of the configuration said, and who changed it.
const HISTORY: &str = "
    CREATE TABLE config_version (
        n INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        note TEXT NOT NULL,
        sha256 BLOB NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX config_version_sha256 ON config_version (sha256);
";

/// The figures of every leg of a call, and whose it was. Of older calls the caller's and the last
/// counselor's are known, and the jitter of their last seconds only.
const LEGS: &str = "
    CREATE TABLE cdr_leg (
        call TEXT NOT NULL REFERENCES cdr (call) ON DELETE CASCADE,
        nth INTEGER NOT NULL,
        side TEXT NOT NULL,
        extension TEXT,
        received INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        lost_at_peer INTEGER NOT NULL,
        jitter_ms REAL NOT NULL,
        jitter_max_ms REAL,
        round_trip_ms REAL,
        strangers INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        late INTEGER NOT NULL,
        concealed INTEGER NOT NULL,
        first_packet_ms REAL,
        source_differs INTEGER NOT NULL,
        level_dbfs REAL,
        one_way INTEGER NOT NULL,
        unheard INTEGER NOT NULL DEFAULT 0,
        mos REAL,
        mos_at_peer REAL,
        PRIMARY KEY (call, nth)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO cdr_leg (
        call, nth, side, extension, received, sent, lost, lost_at_peer, jitter_ms, round_trip_ms,
        strangers, rejected, late, concealed, first_packet_ms, source_differs, level_dbfs, one_way,
        mos
    ) SELECT q.call, q.leg = 'counselor', q.leg,
        CASE q.leg WHEN 'counselor' THEN coalesce(cdr.counselor, '') END,
        q.received, q.sent, q.lost, q.lost_at_peer, q.jitter_ms, q.round_trip_ms,
        q.strangers, q.rejected, q.late, q.concealed, q.first_packet_ms, q.source_differs,
        q.level_dbfs, q.one_way, q.mos
    FROM cdr_quality q JOIN cdr ON cdr.call = q.call;
    DROP TABLE cdr_quality;
";

/// When counselors were on duty, and what the carrier counted: sums, nothing of a caller.
const DUTY_AND_CARRIER: &str = "
    CREATE TABLE duty (
        extension TEXT NOT NULL,
        from_ms INTEGER NOT NULL,
        state TEXT NOT NULL,
        to_ms INTEGER NOT NULL,
        PRIMARY KEY (extension, from_ms)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX duty_to ON duty (to_ms);
    CREATE TABLE carrier (
        line TEXT NOT NULL,
        day TEXT NOT NULL,
        hour INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        connected INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        PRIMARY KEY (line, day, hour)
    ) STRICT, WITHOUT ROWID;
";

/// What counselors said of their calls. A call may be spoken of before its record is written.
const CONTACTS: &str = "
    CREATE TABLE contact (
        call TEXT NOT NULL,
        extension TEXT NOT NULL,
        type TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (call, extension)
    ) STRICT, WITHOUT ROWID;
";

/// The highest number that a removed version of a prompt had: none is given twice.
const VERSION_NUMBERS: &str = "
    CREATE TABLE prompt_removed (
        prompt TEXT NOT NULL PRIMARY KEY,
        n INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The version that this program writes.
pub const VERSION: i64 = STEPS.len() as i64;

/// Opens the database for writing: makes folder (0700) and file (0600), and takes the steps that
/// are missing.
///
/// # Errors
/// When the file can't be opened, locked or changed, or a newer program has written it.
pub fn open(path: &Path) -> Result<Connection, Error> {
    open_within(path, BUSY)
}

/// As [`open`], with another wait for somebody's lock. Of what is done with the database later each
/// statement has [`BUSY`].
///
/// # Errors
/// As [`open`].
pub fn open_within(path: &Path, patience: Duration) -> Result<Connection, Error> {
    make_private(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let in_database = |e| database(path, e);
    let mut conn = Connection::open_with_flags(path, flags).map_err(in_database)?;
    conn.busy_timeout(patience).map_err(in_database)?;
    set_up(&conn).map_err(in_database)?;
    let found = version(&conn).map_err(in_database)?;
    if found > VERSION {
        return Err(Error::Version { path: path.to_owned(), found, known: VERSION });
    }
    step_up(&mut conn).map_err(in_database)?;
    conn.busy_timeout(BUSY).map_err(in_database)?;
    Ok(conn)
}

/// Opens the database for reading, beside a writer.
///
/// # Errors
/// When there is no database, or it is of another version.
pub fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let in_database = |e| database(path, e);
    let conn = Connection::open_with_flags(path, flags).map_err(in_database)?;
    conn.busy_timeout(BUSY).map_err(in_database)?;
    let found = version(&conn).map_err(in_database)?;
    if found != VERSION {
        return Err(Error::Version { path: path.to_owned(), found, known: VERSION });
    }
    Ok(conn)
}

/// Moves what the write-ahead log holds into the database and empties the log, so that nothing
/// deleted stays readable in it. False: a reader is in the way, to be tried again.
///
/// # Errors
/// When the disk refuses.
pub fn checkpoint(conn: &Connection) -> rusqlite::Result<bool> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// SQLite gives its `-wal` and `-shm` files the mode of the database, so that one file is enough.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => tighten(path),
        Err(e) => Err(e),
    }
}

/// By path: to open and close the file would drop the locks of this process's other connections.
fn tighten(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o777 != 0o600 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// `synchronous=FULL`: a committed record survives a power cut, not only a kill.
fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "PRAGMA secure_delete = ON;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;",
    )
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn step_up(conn: &mut Connection) -> rusqlite::Result<()> {
    loop {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let at = version(&tx)?;
        let Some(step) = usize::try_from(at).ok().and_then(|at| STEPS.get(at)) else {
            return Ok(());
        };
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", at + 1)?;
        tx.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cdr::{LegFigures, Quality, Whose};
    use crate::time::Timestamp;

    #[test]
    fn records_of_the_first_version_are_kept() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(RECORDS).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.execute_batch(
            "INSERT INTO cdr VALUES ('a', 't', NULL, 0, NULL, 1, 'failed', 'system', 'fault', NULL,
                 'shown', 0, 0, 0, 0, NULL, 0, NULL, 0);
             INSERT INTO cdr_quality VALUES ('a', 'caller', 7, 8, 1, 0, 0.5, NULL, 0, 4.25);
             INSERT INTO cdr VALUES ('b', 't', NULL, 0, NULL, 1, 'answered', 'system', 'hangup',
                 NULL, 'shown', 0, 0, 0, 0, NULL, 0, '102', 0);
             INSERT INTO cdr_quality VALUES ('b', 'counselor', 9, 0, 0, 0, 0, NULL, 0, NULL),
                 ('b', 'caller', 7, 8, 1, 0, 0.5, NULL, 0, 4.25);",
        )
        .unwrap();
        step_up(&mut conn).unwrap();
        let mut found = vec![];
        super::super::cdr::load(&conn, Timestamp::MIN_UTC, Timestamp::MAX_UTC, |cdr| {
            found.push(cdr.legs);
        })
        .unwrap();
        let old = Quality { received: 7, sent: 8, lost: 1, jitter_ms: 0.5, ..Quality::default() };
        let leg = |whose, quality| LegFigures { whose, quality };
        let caller = leg(Whose::Caller, Quality { mos: Some(4.25), ..old });
        let counselor = Quality { received: 9, ..Quality::default() };
        let counselor = leg(Whose::Counselor("102".into()), counselor);
        assert_eq!(found, [vec![caller.clone()], vec![caller, counselor]]);
    }

    #[test]
    fn calls_of_before_know_how_often_they_were_recorded() {
        let mut conn = Connection::open_in_memory().unwrap();
        for step in [RECORDS, RECORDINGS, VOICES] {
            conn.execute_batch(step).unwrap();
        }
        conn.pragma_update(None, "user_version", 3).unwrap();
        conn.execute_batch(
            "INSERT INTO cdr VALUES ('a', 't', NULL, 0, NULL, 1, 'failed', 'system', 'fault', NULL,
                 'shown', 0, 0, 0, 0, NULL, 0, NULL, 0),
                 ('b', 't', NULL, 0, NULL, 1, 'failed', 'system', 'fault', NULL,
                 'shown', 0, 0, 0, 0, NULL, 0, NULL, 0);
             INSERT INTO recording (call, part, started_ms)
                 VALUES ('a', 1, 0), ('a', 2, 0), ('x', 1, 0);",
        )
        .unwrap();
        step_up(&mut conn).unwrap();
        let mut found = vec![];
        super::super::cdr::load(&conn, Timestamp::MIN_UTC, Timestamp::MAX_UTC, |cdr| {
            found.push(cdr.recorded);
        })
        .unwrap();
        assert_eq!(found, [2, 0]);
    }

    /// Nothing that could tell who called may get a column: a new one is to be weighed and added
    /// here.
    #[test]
    fn the_schema_has_no_column_beyond_the_allowed() {
        let mut conn = Connection::open_in_memory().unwrap();
        step_up(&mut conn).unwrap();
        assert_eq!(version(&conn).unwrap(), VERSION);
        let sql = "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
                   WHERE m.type = 'table' ORDER BY 1";
        let mut columns = conn.prepare(sql).unwrap();
        let columns = columns.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let columns = columns.map(Result::unwrap).collect::<Vec<_>>();
        let mut allowed = "contact.at_ms contact.call contact.extension \
            contact.type account.extension account.invitation \
            account.invitation_until_ms account.name account.password account.role account.totp \
            account.totp_step session.account session.token session.until_ms \
            audit.at_ms audit.hash audit.n audit.what audit.who audit_anchor.hash \
            audit_anchor.n audit_anchor.only carrier.at_ms carrier.attempts carrier.connected \
            carrier.day carrier.hour carrier.line carrier.who \
            duty.extension duty.from_ms duty.state duty.to_ms \
            cdr.answered_after_ms cdr.call cdr.counselor \
            cdr.ended_by cdr.guidance_ms cdr.lasted_ms cdr.line cdr.offers cdr.outcome \
            cdr.paid_wait_ms cdr.position cdr.presentation cdr.recorded cdr.reason cdr.reason_code \
            cdr.started_ms cdr.talk_ms cdr.test cdr.trunk cdr.wait_ms cdr_leg.call \
            cdr_leg.extension cdr_leg.concealed cdr_leg.first_packet_ms cdr_leg.jitter_max_ms \
            cdr_leg.jitter_ms cdr_leg.late cdr_leg.level_dbfs cdr_leg.lost cdr_leg.lost_at_peer \
            cdr_leg.mos cdr_leg.mos_at_peer cdr_leg.nth cdr_leg.one_way cdr_leg.received \
            cdr_leg.rejected cdr_leg.round_trip_ms cdr_leg.sent cdr_leg.side \
            cdr_leg.source_differs cdr_leg.strangers cdr_leg.unheard cdr_talk.call \
            cdr_talk.extension cdr_talk.nth cdr_talk.talk_ms \
            config_version.at_ms config_version.n config_version.note config_version.sha256 \
            config_version.text config_version.who \
            intention.extension intention.pause_reason intention.state opening_run.at_ms \
            opening_run.id opening_run.line opening_run.opens_ms opening_run.report \
            opening_run.result opening_run.who prompt_version.at_ms \
            prompt_version.live_ms prompt_version.n prompt_version.planned_by \
            prompt_removed.n prompt_removed.prompt \
            prompt_version.planned_ms prompt_version.prompt prompt_version.samples \
            prompt_version.sha256 prompt_version.text prompt_version.voice prompt_version.who \
            recording.bytes \
            recording.call recording.deleted_ms recording.deleted_why recording.ended \
            recording.length_ms recording.line recording.part recording.sha256 \
            recording.started_ms"
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        allowed.sort();
        assert_eq!(columns, allowed);
    }
}
