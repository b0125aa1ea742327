//! What is kept on disk: records of calls, counselors' choices, the audit trail. SQLite behind one
//! writer thread; the call path hands a record over and never waits.
//!
//! Owns [`Store`] (the handle), [`Reader`] (for reports) and their limits. The tables are
//! [`migrate`]'s; what is in each row is [`cdr`]'s, [`counselors`]', [`duty`]'s, [`carrier`]'s,
//! [`recording`]'s, [`accounts`]', [`versions`]', [`history`]'s, [`opening`]'s and [`audit`]'s; the
//! figures are [`report`]'s. There is no column for a caller's number or address.
//!
//! ```text
//!  call path ──► bounded backlog ──► writer thread ──► koebashi.db (WAL, secure_delete)
//!                (queue + spool)     one transaction a batch; retried with back-off
//! ```

pub mod accounts;
pub mod audit;
pub mod carrier;
pub mod cdr;
pub mod contact;
pub mod counselors;
pub mod duty;
pub mod history;
pub mod journal;
pub mod migrate;
pub mod opening;
pub mod recording;
mod refusals;
pub mod report;
mod retention;
pub mod versions;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::call::cdr::Cdr;
use crate::call::config::Extension;
use crate::call::intention::Intention;
use crate::time::Timestamp;

use writer::{Record, Shared};

/// How long [`Store::run`] waits.
const TASK_LIMIT: Duration = Duration::from_secs(5);
/// How long a service for which calls wait waits for somebody's lock on the database: each of their
/// callers hears nothing meanwhile.
const AWAITED: Duration = Duration::from_millis(30);

/// Where records go, how long they stay, and how many may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The database file; its folder is made (mode 0700) when it is not there.
    pub path: PathBuf,
    /// Days that a record of a call is kept.
    pub cdr_days: u32,
    /// Days that an entry of the audit trail is kept.
    pub audit_days: u32,
    /// Records that wait for the writer in a normal run.
    pub queue: usize,
    /// Records that wait beyond `queue` while the disk or a lock holds the writer up. One more is
    /// dropped, counted and logged.
    pub spool: usize,
    /// Refused requests of one person within a minute that are written into the audit trail one by
    /// one; the others as a sum.
    pub refusals: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("state/koebashi.db"),
            cdr_days: 400,
            audit_days: 1_095,
            queue: 1_024,
            spool: 16_384,
            refusals: 10,
        }
    }
}

/// What goes wrong with the store, all of it the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or its folder can't be made or read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database refuses.
    #[error("{path}: {source}")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The database is of another version than this program can use.
    #[error("{path}: is of version {found}, this program uses version {known}")]
    Version {
        /// Which.
        path: PathBuf,
        /// What the file says.
        found: i64,
        /// What we write.
        known: i64,
    },
    /// The writer thread could not be started.
    #[error("the store's writer thread: {0}")]
    Thread(io::Error),
    /// The writer does not answer in time, or has too much to do.
    #[error("the store is busy")]
    Busy,
    /// The time to close ran out.
    #[error("{0} records could not be written before the end")]
    Unwritten(usize),
}

impl Error {
    /// Whether it may end by itself, or when somebody makes room: no reason not to answer calls.
    fn is_passing(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::File { source, .. } => {
                matches!(source.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
            }
            Self::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::ReadOnly
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                )
            ),
            Self::Version { .. } | Self::Thread(_) | Self::Busy | Self::Unwritten(_) => false,
        }
    }
}

/// How the store does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why nothing can be written at the moment; `None`: all is well.
    pub fault: Option<String>,
    /// Records that wait.
    pub pending: usize,
    /// Records written.
    pub written: u64,
    /// Records that found the queue full and went to the spool.
    pub spooled: u64,
    /// Records of a call that has its row already; the first row stands.
    pub duplicates: u64,
    /// Records that the database will never take.
    pub rejected: u64,
    /// Records lost because the spool was full too.
    pub dropped: u64,
}

/// The handle. Clones share one writer thread; it ends when the last clone is gone or
/// [`Store::close`] is called.
#[derive(Clone, Debug)]
pub struct Store {
    owner: Arc<Owner>,
}

/// Ends the writer thread when the last handle goes.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close(Duration::from_secs(2));
    }
}

impl Store {
    /// Opens the database (made and brought up to date as needed), starts the writer, and says
    /// what each counselor last chose.
    ///
    /// # Errors
    /// When the file can't be opened, locked or read, or belongs to a newer program.
    pub fn open(config: &Config) -> Result<(Self, BTreeMap<Extension, Intention>), Error> {
        Self::open_within(config, migrate::BUSY)
    }

    fn open_within(
        config: &Config,
        patience: Duration,
    ) -> Result<(Self, BTreeMap<Extension, Intention>), Error> {
        let Opened { conn, intentions, trail } = read(&config.path, patience)?;
        let shared = Arc::new(Shared::new(config.clone()));
        shared.set_trail(trail);
        Ok((Self::start(shared, Some(conn))?, intentions))
    }

    /// As [`Store::open`], for a service that answers calls whatever the disk does: a database that
    /// is locked, has no room or can't be read or written for now is opened as soon as it can be.
    /// Until then records wait, [`Health::fault`] says why, and what counselors last chose is not
    /// known. Where calls wait for the service (`is_awaited`), so does one that somebody has to
    /// mend.
    ///
    /// # Errors
    /// As [`Store::open`], for what does not end by itself and is not to be waited for.
    pub fn open_or_wait(
        config: &Config,
        is_awaited: bool,
    ) -> Result<(Self, BTreeMap<Extension, Intention>), Error> {
        let opened = Self::open_within(config, if is_awaited { AWAITED } else { migrate::BUSY });
        let is_borne = |error: &&Error| is_awaited || error.is_passing();
        let Some(error) = opened.as_ref().err().filter(is_borne) else {
            return opened;
        };
        tracing::error!(%error, "the database can't be opened yet; records wait in memory");
        let shared = Arc::new(Shared::new(config.clone()));
        shared.set_fault(error.to_string());
        Ok((Self::start(shared, None)?, BTreeMap::new()))
    }

    fn start(shared: Arc<Shared>, conn: Option<Connection>) -> Result<Self, Error> {
        writer::spawn(&shared, conn).map_err(Error::Thread)?;
        Ok(Self { owner: Arc::new(Owner(shared)) })
    }

    /// Writes the record of a call, once: a second one of the same call is counted and ignored. It
    /// is in the database for good when [`Self::committed`] comes to the number that this gives;
    /// `None`: there is no room, it is lost.
    pub fn cdr(&self, cdr: Cdr) -> Option<u64> {
        self.owner.0.push(Record::Cdr(Box::new(cdr)))
    }

    /// Keeps what a counselor chose. Of choices that still wait only the last is written.
    pub fn intention(&self, extension: Extension, intention: Intention) {
        self.owner.0.push_intention(extension, intention);
    }

    /// Appends to the audit trail.
    pub fn audit(&self, entry: audit::Entry) {
        let sums = self.owner.0.refusals().due(Instant::now());
        for sum in sums {
            self.owner.0.push(Record::Audit(sum));
        }
        self.owner.0.push(Record::Audit(entry));
    }

    /// The end of the audit trail, as the writer knows it: to be asked for before a [`Reader`]
    /// looks whether it is there.
    pub fn trail_end(&self) -> audit::End {
        self.owner.0.trail()
    }

    /// Appends a request that was refused: few of one person in a minute, the others as a sum.
    pub fn audit_refusal(&self, entry: audit::Entry) {
        let now = Instant::now();
        let mut refusals = self.owner.0.refusals();
        let mut entries = refusals.due(now);
        entries.extend(refusals.take(now, self.owner.0.config.refusals, entry));
        drop(refusals);
        for entry in entries {
            self.owner.0.push(Record::Audit(entry));
        }
    }

    /// Lets the writer do something in a transaction of its own, and waits for what comes of it:
    /// for what people change, not for the path of a call.
    ///
    /// # Errors
    /// When the database refuses, in which case nothing is changed, or [`Error::Busy`].
    pub async fn run<T, F>(&self, task: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        if !self.owner.0.push_task(writer::task(task, answer)) {
            return Err(Error::Busy);
        }
        let answered = timeout(TASK_LIMIT, answered).await;
        answered.ok().and_then(Result::ok).unwrap_or(Err(Error::Busy))
    }

    /// Writes the row of a recording that begins or has ended.
    pub fn recording(&self, recording: recording::Recording) {
        self.owner.0.push(Record::Recording(Box::new(recording)));
    }

    /// Writes down that a recording's file is gone, in its row and in the audit trail.
    pub fn recording_deleted(&self, deletion: recording::Deletion) {
        self.owner.0.push(Record::Deletion(deletion));
    }

    /// How many records were handed over. When [`Self::committed`] comes to this, all of them are
    /// in the database for good.
    pub fn taken_in(&self) -> u64 {
        self.owner.0.taken_in()
    }

    /// See [`Self::taken_in`].
    pub fn committed(&self) -> u64 {
        self.owner.0.committed()
    }

    /// The database's file, for a [`Reader`].
    pub fn path(&self) -> &Path {
        self.owner.0.path()
    }

    /// How the store does.
    pub fn health(&self) -> Health {
        self.owner.0.health()
    }

    /// Writes what waits, empties the write-ahead log and ends the writer; blocks for `limit` at
    /// most. Records handed over afterwards are not written.
    ///
    /// # Errors
    /// [`Error::Unwritten`] when the limit passed first.
    pub fn close(&self, limit: Duration) -> Result<(), Error> {
        let sums = self.owner.0.refusals().all();
        for sum in sums {
            self.owner.0.push(Record::Audit(sum));
        }
        self.owner.0.close(limit);
        match self.owner.0.wait_finished(limit) {
            0 => Ok(()),
            left => Err(Error::Unwritten(left)),
        }
    }
}

/// A reading connection beside a service that may be running.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the database for reading.
    ///
    /// # Errors
    /// When there is none, or it is of another version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { conn: migrate::open_read_only(path)?, path: path.to_owned() })
    }

    /// Hands every record of a call that began in `from..to` to `take`, oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn cdrs(&self, from: Timestamp, to: Timestamp, take: impl FnMut(Cdr)) -> Result<(), Error> {
        cdr::load(&self.conn, from, to, take).map_err(|e| database(&self.path, e))
    }

    /// Reads by itself.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        read(&self.conn).map_err(|e| database(&self.path, e))
    }

    /// Every recording that is there or was, oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn recordings(&self) -> Result<Vec<recording::Recording>, Error> {
        recording::load(&self.conn).map_err(|e| database(&self.path, e))
    }

    /// Entries of the audit trail from one moment up to another, the last `count` of them, in the
    /// order in which they were written.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn audit(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        count: u32,
    ) -> Result<Vec<audit::Entry>, Error> {
        audit::load(&self.conn, from, to, count).map_err(|e| database(&self.path, e))
    }

    /// Checks the audit trail's chain from its first entry to its last.
    ///
    /// # Errors
    /// When the database can't be read; a broken chain is not an error but a verdict.
    pub fn verify_audit(&self) -> Result<audit::Verdict, Error> {
        audit::verify(&self.conn).map_err(|e| database(&self.path, e))
    }
}

/// A word that this program does not know.
fn unknown(text: &str) -> rusqlite::Error {
    let error = format!("a record holds the unknown word {text:?}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}

fn database(path: &Path, source: rusqlite::Error) -> Error {
    Error::Database { path: path.to_owned(), source }
}

/// A database that can be used, and what a service has to know of it at once.
struct Opened {
    conn: Connection,
    intentions: BTreeMap<Extension, Intention>,
    trail: audit::End,
}

fn read(path: &Path, patience: Duration) -> Result<Opened, Error> {
    let conn = migrate::open_within(path, patience)?;
    let intentions = counselors::load(&conn).map_err(|e| database(path, e))?;
    let trail = audit::End::default().moved(&conn).map_err(|e| database(path, e))?;
    Ok(Opened { conn, intentions, trail })
}

#[cfg(test)]
pub(crate) mod tests;
