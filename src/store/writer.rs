//! The writer thread: takes records from the backlog in batches, one transaction each.
//!
//! Owns the backlog, the retries and the housekeeping (emptying the write-ahead log, retention).
//! A lock, a full disk or a read-only file keeps records in the backlog, which has a limit; nothing
//! here panics or blocks the call path for longer than it takes to move a record.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::oneshot;

use super::recording::{Deletion, Recording};
use super::refusals::Refusals;
use super::{Config, Health, audit, cdr, counselors, database, migrate, recording, retention};
use crate::call::cdr::Cdr;
use crate::call::config::Extension;
use crate::call::intention::Intention;

/// Records of one transaction at most.
const BATCH: usize = 256;
/// Least time between two transactions. A record that comes alone is written at once; under load
/// those that come within this time share a transaction, which costs most of the writing.
const REST: Duration = Duration::from_millis(50);
/// First pause after a failure; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long the writer idles before it empties the write-ahead log.
const IDLE: Duration = Duration::from_secs(1);
/// Batches after which the write-ahead log is emptied although more records wait.
const BATCHES_MAX: u32 = 64;
/// How often retention runs.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// Tasks that wait; one more is refused.
const TASKS_MAX: usize = 256;
/// How often one and the same trouble is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What waits to be written.
#[derive(Debug)]
pub(super) enum Record {
    /// The record of a call.
    Cdr(Box<Cdr>),
    /// An entry of the audit trail.
    Audit(audit::Entry),
    /// A recording that begins or ends.
    Recording(Box<Recording>),
    /// A recording whose file is gone.
    Deletion(Deletion),
}

/// What the writer does for somebody who waits: with its connection, or without one (why not).
pub(super) struct Task(Box<Work>);

type Work = dyn FnOnce(Result<&mut Connection, super::Error>) + Send;

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Task")
    }
}

/// A task in a transaction of its own; it is not begun when nobody waits for it any more.
pub(super) fn task<T: Send + 'static>(
    task: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    answer: oneshot::Sender<Result<T, super::Error>>,
) -> Task {
    Task(Box::new(move |conn| {
        if answer.is_closed() {
            return;
        }
        let done = conn.and_then(|conn| {
            let path = conn.path().unwrap_or_default().to_owned();
            let done = conn
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .and_then(|tx| task(&tx).and_then(|done| tx.commit().map(|()| done)));
            done.map_err(|e| database(Path::new(&path), e))
        });
        // Whoever waited may have gone.
        answer.send(done).ok();
    }))
}

/// What handles and writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    backlog: Mutex<Backlog>,
    /// The audit trail's end; changed by the writer alone.
    trail: Mutex<audit::End>,
    refusals: Mutex<Refusals>,
    /// Rung when the backlog changes.
    wake: Condvar,
    /// Rung when the writer has ended.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Backlog {
    records: VecDeque<Record>,
    intentions: BTreeMap<Extension, Intention>,
    tasks: VecDeque<Task>,
    /// Taken by the writer, not committed yet.
    in_hand: usize,
    /// Records that were taken in, and how many of them are committed, in the same order.
    taken_in: u64,
    committed: u64,
    /// The writer rests between two transactions: no need to wake it.
    is_resting: bool,
    /// Set once: the writer ends when nothing waits, or at this moment.
    closing: Option<Instant>,
    finished: bool,
    health: Health,
}

impl Backlog {
    fn pending(&self) -> usize {
        self.records.len() + self.intentions.len() + self.tasks.len() + self.in_hand
    }
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            backlog: Mutex::default(),
            trail: Mutex::default(),
            refusals: Mutex::default(),
            wake: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// The lock is held for moves of records only. A panic while holding it leaves the backlog
    /// whole, so poisoning means nothing.
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> &Path {
        &self.config.path
    }

    /// Its number among all that were taken in; `None`: there is no room, it is lost.
    pub(super) fn push(&self, record: Record) -> Option<u64> {
        let mut backlog = self.lock();
        let pending = backlog.pending();
        // What people do takes at most half of the spool: the rest is for what calls leave behind.
        let share = if matches!(record, Record::Audit(_)) { 2 } else { 1 };
        let has_room = pending < self.config.queue.saturating_add(self.config.spool / share);
        if has_room {
            backlog.health.spooled += u64::from(pending >= self.config.queue);
            backlog.records.push_back(record);
            backlog.taken_in += 1;
        } else {
            backlog.health.dropped += 1;
        }
        let number = backlog.taken_in;
        self.rouse(backlog);
        has_room.then_some(number)
    }

    pub(super) fn push_intention(&self, extension: Extension, intention: Intention) {
        let mut backlog = self.lock();
        let room = backlog.intentions.len() < self.config.spool;
        if room || backlog.intentions.contains_key(&extension) {
            backlog.intentions.insert(extension, intention);
        } else {
            backlog.health.dropped += 1;
        }
        self.rouse(backlog);
    }

    /// False: too many wait, or the writer has ended.
    pub(super) fn push_task(&self, task: Task) -> bool {
        let mut backlog = self.lock();
        let has_room = backlog.tasks.len() < TASKS_MAX && !backlog.finished;
        if has_room {
            backlog.tasks.push_back(task);
        }
        self.rouse(backlog);
        has_room
    }

    /// Something new waits.
    fn rouse(&self, backlog: MutexGuard<'_, Backlog>) {
        let is_resting = backlog.is_resting && backlog.records.len() < BATCH;
        drop(backlog);
        if !is_resting {
            self.wake.notify_one();
        }
    }

    /// The end of the audit trail.
    pub(super) fn trail(&self) -> audit::End {
        *self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The audit trail ends elsewhere now.
    pub(super) fn set_trail(&self, end: audit::End) {
        *self.trail.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// Held for moments.
    pub(super) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing can be written, from the beginning.
    pub(super) fn set_fault(&self, why: String) {
        self.lock().health.fault = Some(why);
    }

    pub(super) fn health(&self) -> Health {
        let backlog = self.lock();
        Health { pending: backlog.pending(), ..backlog.health.clone() }
    }

    pub(super) fn taken_in(&self) -> u64 {
        self.lock().taken_in
    }

    pub(super) fn committed(&self) -> u64 {
        self.lock().committed
    }

    /// Asks the writer to end within `limit`; a second, later limit changes nothing.
    pub(super) fn close(&self, limit: Duration) {
        self.lock().closing.get_or_insert_with(|| Instant::now() + limit);
        self.wake.notify_one();
    }

    /// Waits for the writer's end and says how many records are left.
    pub(super) fn wait_finished(&self, limit: Duration) -> usize {
        let backlog = self.lock();
        let (backlog, _) = self
            .done
            .wait_timeout_while(backlog, limit, |backlog| !backlog.finished)
            .unwrap_or_else(PoisonError::into_inner);
        backlog.pending()
    }
}

/// Starts the writer; without a connection it opens one when it can.
pub(super) fn spawn(shared: &Arc<Shared>, conn: Option<Connection>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let run = move || {
        let end = End(Arc::clone(&shared));
        Writer::new(shared, conn).run();
        drop(end);
    };
    std::thread::Builder::new().name("store".to_owned()).spawn(run).map(drop)
}

/// Tells those who wait that the writer has ended, by whatever way.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let mut backlog = self.0.lock();
        backlog.finished = true;
        if backlog.health.fault.is_none() {
            backlog.health.fault = Some("the writer has ended".to_owned());
        }
        drop(backlog);
        self.0.done.notify_all();
    }
}

#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    intentions: BTreeMap<Extension, Intention>,
}

impl Batch {
    fn len(&self) -> usize {
        self.records.len() + self.intentions.len()
    }
}

/// What a committed batch did.
#[derive(Default)]
struct Done {
    written: u64,
    duplicates: u64,
    rejected: u64,
}

struct Writer {
    shared: Arc<Shared>,
    /// `None` after a failure other than a lock: opened anew by the next try.
    conn: Option<Connection>,
    batch: Batch,
    pause: Duration,
    /// Batches in the write-ahead log.
    in_log: u32,
    /// When the next transaction may begin.
    rested: Instant,
    next_sweep: Instant,
    next_log: Instant,
    dropped_logged: u64,
}

impl Writer {
    fn new(shared: Arc<Shared>, conn: Option<Connection>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            conn,
            batch: Batch::default(),
            pause: PAUSE_MIN,
            in_log: 0,
            rested: now,
            next_sweep: now,
            next_log: now,
            dropped_logged: 0,
        }
    }

    fn run(&mut self) {
        while self.take() {
            let idle = self.batch.len() == 0;
            let written = self.write();
            self.serve();
            match written.and_then(|()| self.keep_house(idle)) {
                Ok(()) => self.recovered(),
                Err(e) => {
                    if !self.failed(&e) {
                        return;
                    }
                }
            }
            self.log_dropped();
        }
        if let Err(e) = self.empty_log() {
            tracing::warn!(error = %e, "the write-ahead log could not be emptied at the end");
        }
    }

    /// Waits for work and takes a batch in hand (an empty one: time to keep house). False: closing,
    /// and nothing waits.
    fn take(&mut self) -> bool {
        if self.batch.len() > 0 {
            return true;
        }
        let until_sweep = self.next_sweep.saturating_duration_since(Instant::now());
        let limit = if self.in_log > 0 { IDLE.min(until_sweep) } else { until_sweep };
        let wake = &self.shared.wake;
        let mut backlog = self.shared.lock();
        backlog.is_resting = true;
        let rest = self.rested.saturating_duration_since(Instant::now());
        let (mut backlog, _) = wake
            .wait_timeout_while(backlog, rest, |b| b.records.len() < BATCH && b.closing.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        backlog.is_resting = false;
        let (mut backlog, _) = wake
            .wait_timeout_while(backlog, limit, |b| b.pending() == 0 && b.closing.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        if backlog.closing.is_some() && backlog.pending() == 0 {
            return false;
        }
        let n = backlog.records.len().min(BATCH);
        self.batch.records = backlog.records.drain(..n).collect();
        self.batch.intentions = std::mem::take(&mut backlog.intentions);
        backlog.in_hand = self.batch.len();
        true
    }

    /// Does what people wait for by now. What comes meanwhile has its turn after the next records:
    /// where each task waits for a lock, they would never be looked at.
    fn serve(&mut self) {
        let tasks = std::mem::take(&mut self.shared.lock().tasks);
        for Task(task) in tasks {
            task(connection(&mut self.conn, &self.shared.config));
            self.in_log += 1;
        }
    }

    fn write(&mut self) -> Result<(), Trouble> {
        if self.batch.len() == 0 {
            return Ok(());
        }
        if self.conn.is_some() && !self.shared.config.path.exists() {
            // SQLite would go on writing to a file that nobody can open any more.
            tracing::error!("the database file is gone; another one is made");
            self.conn = None;
        }
        let conn = connection(&mut self.conn, &self.shared.config)?;
        let (done, trail) = commit(conn, &self.batch, self.shared.trail())?;
        self.shared.set_trail(trail);
        let records = std::mem::take(&mut self.batch).records.len() as u64;
        self.in_log += 1;
        self.rested = Instant::now() + REST;
        let mut backlog = self.shared.lock();
        backlog.in_hand = 0;
        backlog.committed += records;
        backlog.health.written += done.written;
        backlog.health.duplicates += done.duplicates;
        backlog.health.rejected += done.rejected;
        Ok(())
    }

    /// Retention when it is due, and the write-ahead log when there is time or need.
    fn keep_house(&mut self, idle: bool) -> Result<(), Trouble> {
        let mut deleted = 0;
        if Instant::now() >= self.next_sweep {
            let conn = connection(&mut self.conn, &self.shared.config)?;
            deleted = retention::sweep(conn, &self.shared.config, chrono::Utc::now())?;
            self.next_sweep = Instant::now() + SWEEP_EVERY;
        }
        if deleted > 0 {
            tracing::info!(deleted, "records past their time are deleted");
            self.in_log += 1;
        }
        if idle || deleted > 0 || self.in_log >= BATCHES_MAX { self.empty_log() } else { Ok(()) }
    }

    /// A reader in the way is no trouble: the log is emptied the next time.
    fn empty_log(&mut self) -> Result<(), Trouble> {
        if self.in_log > 0 {
            let conn = connection(&mut self.conn, &self.shared.config)?;
            if migrate::checkpoint(conn)? {
                self.in_log = 0;
            }
        }
        Ok(())
    }

    fn recovered(&mut self) {
        self.pause = PAUSE_MIN;
        if self.shared.lock().health.fault.take().is_some() {
            tracing::info!("the store writes again");
        }
    }

    /// Says what is wrong and pauses. False: closing, and the time is up.
    fn failed(&mut self, trouble: &Trouble) -> bool {
        let now = Instant::now();
        if now >= self.next_log {
            tracing::error!(error = %trouble, "the store can't write; records wait in memory");
            self.next_log = now + LOG_EVERY;
        }
        if !trouble.is_lock() {
            self.conn = None;
        }
        let mut backlog = self.shared.lock();
        backlog.health.fault = Some(trouble.to_string());
        let closing = backlog.closing;
        let pause = if closing.is_some() { PAUSE_MIN } else { self.pause };
        // Not woken by new records: they would end the pause at once.
        let (backlog, _) = self
            .shared
            .wake
            .wait_timeout_while(backlog, pause, |b| b.closing == closing)
            .unwrap_or_else(PoisonError::into_inner);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        backlog.closing.is_none_or(|limit| Instant::now() < limit)
    }

    fn log_dropped(&mut self) {
        let dropped = self.shared.lock().health.dropped;
        let now = Instant::now();
        if dropped > self.dropped_logged && now >= self.next_log {
            tracing::error!(dropped, "the store's backlog is full; records are lost");
            self.dropped_logged = dropped;
            self.next_log = now + LOG_EVERY;
        }
    }
}

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Open(#[from] super::Error),
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
}

impl Trouble {
    /// Whether somebody else's lock is in the way, which ends by itself.
    fn is_lock(&self) -> bool {
        let code = match self {
            Self::Open(_) => None,
            Self::Sql(e) => e.sqlite_error_code(),
        };
        matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }
}

fn connection<'a>(
    conn: &'a mut Option<Connection>,
    config: &Config,
) -> Result<&'a mut Connection, super::Error> {
    match conn {
        Some(conn) => Ok(conn),
        None => Ok(conn.insert(migrate::open(&config.path)?)),
    }
}

fn commit(
    conn: &mut Connection,
    batch: &Batch,
    trail: audit::End,
) -> rusqlite::Result<(Done, audit::End)> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut done = Done::default();
    let trail = trail.check(&tx, chrono::Utc::now())?;
    for (extension, intention) in &batch.intentions {
        count(counselors::save(&tx, extension, intention).map(|()| true), &mut done)?;
    }
    for record in &batch.records {
        let written = match record {
            Record::Cdr(cdr) => cdr::insert(&tx, cdr),
            Record::Audit(entry) => audit::append(&tx, entry).map(|()| true),
            Record::Recording(it) => recording::save(&tx, it).map(|()| true),
            Record::Deletion(it) => recording::deleted(&tx, it).map(|()| true),
        };
        count(written, &mut done)?;
    }
    let trail = trail.moved(&tx)?;
    tx.commit()?;
    Ok((done, trail))
}

/// A record that the database will never take must not hold up the others: it is counted, logged
/// and left out. Any other failure is the whole batch's.
fn count(written: rusqlite::Result<bool>, done: &mut Done) -> rusqlite::Result<()> {
    match written {
        Ok(true) => done.written += 1,
        Ok(false) => done.duplicates += 1,
        Err(e) if is_hopeless(&e) => {
            tracing::error!(error = %e, "a record does not fit the database and is left out");
            done.rejected += 1;
        }
        Err(e) => return Err(e),
    }
    Ok(())
}

fn is_hopeless(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    ) || matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
}
