//! The recorder: takes what the media threads hear of recorded conversations and writes it down,
//! encrypted, on a thread of its own.
//!
//! Owns the queue between, the limits, and what becomes of a recording that can't be written: it
//! ends, everybody is told, and the call goes on. Neither the loop nor a media thread ever waits
//! for it. The form of the files is [`mod@file`]'s, their end [`retention`]'s. Who may be recorded
//! is the call path's to know: nothing arrives here otherwise.
//!
//! ```text
//!  loop ── Begin, End ──┐
//!                       ├─► bounded queue ─► recorder ─► state_dir/recordings/YYYY/MM/CALL.wav.age
//!  media threads ── 20 ms frames ──┘            └─► the loop: Command::RecordingLost
//! ```

mod file;
pub mod retention;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use age::x25519::Recipient;
use tokio::sync::oneshot;

use super::clock;
use super::metrics::Metrics;
use crate::call::cdr::CallId;
use crate::call::config::LineId;
use crate::call::switchboard::Recording as Order;
use crate::media::{Chunk, RecordId, Recorded};
use crate::store::recording::{Ended, Recording, Written};
use crate::store::{Reader, Store};
use crate::time::Timestamp;
use file::Tape;
use retention::{Reconciled, Shelf};

/// How often the recorder looks for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often rows and files are compared, and recordings that are past their time looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How soon again, when the database is behind or can't be read.
const SWEEP_AGAIN: Duration = Duration::from_secs(60);
/// Files that one comparison reads to their ends; the others wait for the next look, so that what
/// is being recorded does not.
const MEASURED_MAX: usize = 4;
/// How long the last frames may take after the conversation's end.
const LAST_FRAMES: Duration = Duration::from_secs(3);
/// How long the process's end waits for the recorder.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Orders of the loop that wait while the queue is full.
const OWED_MAX: usize = 65_536;
/// Recordings that were told as lost and may still send.
const LOST_MAX: usize = 1_024;

/// Who can open recordings, where they lie, how many and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the files are.
    pub folder: PathBuf,
    /// Who can open them; nobody: nothing is recorded.
    pub recipients: Vec<Recipient>,
    /// How long a recording is kept.
    pub keep: Duration,
    /// How long one recording may be.
    pub max_length: Duration,
    /// Recordings at once.
    pub max_open: usize,
    /// Frames that may wait for the disk.
    pub queue: usize,
}

/// What the recorder is given.
#[expect(clippy::large_enum_variant, reason = "nearly all are sound; a box would be a malloc each")]
enum Item {
    Order(Order),
    Sound(Recorded),
    Erase { call: CallId, who: Arc<str>, answer: oneshot::Sender<Option<Erased>> },
    Stop,
}

/// Parts of a call's recordings that were to be deleted: which, and why one could not be.
pub type Erased = Vec<(u32, Result<(), String>)>;

/// The end of those who have recordings deleted. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Eraser {
    queue: SyncSender<Item>,
}

impl Eraser {
    /// Has every recording of a call deleted; one that is being written ends. The answer comes when
    /// the files are gone for certain; `None`: it can't be known which there are. No answer:
    /// nothing is certain.
    pub fn erase(&self, call: CallId, who: Arc<str>) -> oneshot::Receiver<Option<Erased>> {
        let (answer, answered) = oneshot::channel();
        // No room, or no recorder any more: the sender is dropped, which is no answer.
        drop(self.queue.try_send(Item::Erase { call, who, answer }));
        answered
    }
}

/// A media thread's end. Clones share one queue.
#[derive(Clone)]
pub struct Tap {
    queue: SyncSender<Item>,
    overruns: Arc<Overruns>,
}

/// Recordings of which something found no room.
#[derive(Default)]
struct Overruns {
    any: AtomicBool,
    records: Mutex<BTreeSet<RecordId>>,
}

impl Overruns {
    fn add(&self, record: RecordId) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() < LOST_MAX {
            records.insert(record);
        }
        self.any.store(true, Ordering::Release);
    }

    fn take(&self) -> BTreeSet<RecordId> {
        if !self.any.swap(false, Ordering::Acquire) {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tap {
    /// Hands over what was heard. Never waits. The recording that there was no room for must be
    /// stopped: it has a hole.
    ///
    /// # Errors
    /// Which.
    pub fn give(&self, recorded: Recorded) -> Result<(), RecordId> {
        let record = recorded.record;
        self.queue.try_send(Item::Sound(recorded)).map_err(|_| {
            self.overruns.add(record);
            record
        })
    }
}

/// The loop's end. When it is dropped the recorder finishes what is open and ends.
pub struct Recorder {
    tap: Tap,
    /// Orders that found no room.
    owed: VecDeque<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the recorder. `on_lost` is told which recordings end before their conversations; it
    /// must not wait.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        config: Config,
        store: Store,
        metrics: Metrics,
        on_lost: impl Fn(RecordId) + Send + 'static,
    ) -> io::Result<Self> {
        let room = if config.recipients.is_empty() { 16 } else { config.queue };
        let (queue, items) = sync_channel(room);
        let overruns = Arc::<Overruns>::default();
        let thread = Thread {
            config,
            store,
            metrics,
            overruns: Arc::clone(&overruns),
            on_lost: Box::new(on_lost),
            open: BTreeMap::new(),
            lost: BTreeSet::new(),
            next_look: Instant::now(),
            next_sweep: Instant::now(),
        };
        let run = move || thread.run(&items);
        let thread = Some(Builder::new().name("recorder".to_owned()).spawn(run)?);
        Ok(Self { tap: Tap { queue, overruns }, owed: VecDeque::new(), thread })
    }

    /// An end for a media thread.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// An end for those who have recordings deleted.
    pub fn eraser(&self) -> Eraser {
        Eraser { queue: self.tap.queue.clone() }
    }

    /// Passes on what the call path wants, in order. Never waits.
    pub fn tell(&mut self, order: Order) {
        if self.owed.len() < OWED_MAX {
            self.owed.push_back(order);
        } else {
            tracing::error!("the recorder does not keep up; a recording's begin or end is lost");
        }
        self.flush();
    }

    /// Tries again what found no room; to be called at least once a second.
    pub fn flush(&mut self) {
        while let Some(order) = self.owed.pop_front() {
            match self.tap.queue.try_send(Item::Order(order)) {
                Ok(()) => {}
                Err(TrySendError::Full(Item::Order(order))) => {
                    self.owed.push_front(order);
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let until = Instant::now() + CLOSE_LIMIT;
        self.flush();
        // A full queue empties at the disk's pace.
        while let Err(TrySendError::Full(_)) = self.tap.queue.try_send(Item::Stop) {
            if Instant::now() >= until {
                return tracing::error!("the recorder does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            if Instant::now() >= until {
                return tracing::error!("the recorder does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.join().is_err() {
            tracing::error!("the recorder had panicked");
        }
    }
}

/// A recording that is being written.
struct Open {
    tape: Tape,
    row: Recording,
    /// The conversation is over: until then the last frames are waited for.
    until: Option<Instant>,
}

/// What runs on the thread.
struct Thread {
    config: Config,
    store: Store,
    metrics: Metrics,
    overruns: Arc<Overruns>,
    on_lost: Box<dyn Fn(RecordId) + Send>,
    open: BTreeMap<RecordId, Open>,
    /// Told as lost; what still comes of them is dropped.
    lost: BTreeSet<RecordId>,
    next_look: Instant,
    next_sweep: Instant,
}

impl Thread {
    fn run(mut self, items: &Receiver<Item>) {
        self.keep_house(Instant::now());
        loop {
            match items.recv_timeout(self.next_look.saturating_duration_since(Instant::now())) {
                Ok(Item::Order(order)) => self.on_order(order),
                Ok(Item::Sound(recorded)) => self.on_sound(&recorded),
                Ok(Item::Erase { call, who, answer }) => {
                    // Whoever asked may have gone.
                    answer.send(self.erase(&call, &who)).ok();
                }
                Ok(Item::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            for record in self.overruns.take() {
                self.lose(record, Ended::Overrun);
            }
            if Instant::now() >= self.next_look {
                self.look(Instant::now());
            }
        }
        for record in self.open.keys().copied().collect::<Vec<_>>() {
            let is_over = self.open.get(&record).is_some_and(|open| open.until.is_some());
            self.finish(record, if is_over { Ended::Whole } else { Ended::CutOff });
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Begin { record, call, part, line, started } => {
                if let Err(error) = self.begin(record, call.clone(), part, line, started) {
                    tracing::error!(%call, %error, "can't be recorded");
                    self.metrics.recording(Ended::Unwritable);
                    self.tell_lost(record);
                }
            }
            Order::End { record } => {
                if let Some(open) = self.open.get_mut(&record) {
                    open.until = Some(Instant::now() + LAST_FRAMES);
                }
                self.lost.remove(&record);
            }
        }
    }

    fn begin(
        &mut self,
        record: RecordId,
        call: CallId,
        part: u32,
        line: LineId,
        started: Timestamp,
    ) -> io::Result<()> {
        if self.open.len() >= self.config.max_open {
            return Err(io::Error::other("as many are recorded as may be"));
        }
        let path = file::path(&self.config.folder, started, &call, part);
        let tape = Tape::create(path, &self.config.recipients)?;
        let row = Recording { call, part, line: Some(line), started, written: None, deleted: None };
        self.store.recording(row.clone());
        self.open.insert(record, Open { tape, row, until: None });
        Ok(())
    }

    fn on_sound(&mut self, recorded: &Recorded) {
        let record = recorded.record;
        let Some(open) = self.open.get_mut(&record) else {
            // Nobody said that it may be written.
            if matches!(recorded.chunk, Chunk::Frame { .. }) && !self.lost.contains(&record) {
                self.tell_lost(record);
            }
            return;
        };
        match &recorded.chunk {
            Chunk::End => self.finish(record, Ended::Whole),
            Chunk::Frame { .. } if open.tape.length() >= self.config.max_length => {
                self.lose(record, Ended::TooLong);
            }
            Chunk::Frame { left, right } => {
                if let Err(error) = open.tape.frame(left, right) {
                    tracing::error!(call = %open.row.call, %error, "a recording can't be written");
                    self.lose(record, Ended::Unwritable);
                }
            }
        }
    }

    /// The recording ends before its conversation.
    fn lose(&mut self, record: RecordId, ended: Ended) {
        self.finish(record, ended);
        self.tell_lost(record);
    }

    fn tell_lost(&mut self, record: RecordId) {
        if self.lost.len() >= LOST_MAX {
            self.lost.clear();
        }
        self.lost.insert(record);
        (self.on_lost)(record);
    }

    fn finish(&mut self, record: RecordId, ended: Ended) {
        let Some(Open { tape, row, .. }) = self.open.remove(&record) else { return };
        let path = file::path(&self.config.folder, row.started, &row.call, row.part);
        let written = match tape.finish(ended) {
            Ok(written) => written,
            Err(error) => {
                tracing::error!(call = %row.call, %error, "a recording is not whole");
                match file::salvage(&path, Ended::Unwritable) {
                    Ok(written) => written,
                    // Its row stays open; the next comparison with the files looks again.
                    Err(_) => return self.metrics.recording(Ended::Unwritable),
                }
            }
        };
        let Written { ended, bytes, .. } = written;
        self.metrics.recording(ended);
        tracing::info!(call = %row.call, part = row.part, bytes, ended = ended.name(), "recorded");
        self.store.recording(Recording { written: Some(written), ..row });
    }

    /// What is due: ends whose last frames did not come, recordings past their time.
    fn look(&mut self, now: Instant) {
        self.next_look = now + LOOK_EVERY;
        let is_due = |open: &Open| open.until.is_some_and(|until| until <= now);
        let due = self.open.iter().filter(|(_, open)| is_due(open)).map(|(record, _)| *record);
        for record in due.collect::<Vec<_>>() {
            self.finish(record, Ended::Whole);
        }
        if now >= self.next_sweep {
            self.keep_house(now);
        }
    }

    /// Makes rows and files fit each other, and deletes what is past its time.
    fn keep_house(&mut self, now: Instant) {
        // What still waits for the database would seem to be missing in it.
        let is_settled = self.store.health().pending == 0;
        let Some(rows) = self.rows() else {
            self.next_sweep = now + SWEEP_AGAIN;
            return;
        };
        let wall = clock::now().wall;
        let Config { folder, keep, .. } = &self.config;
        let busy = self.open.values().map(|open| open.row.key()).collect();
        let shelf = Shelf { store: &self.store, folder, rows: &rows, busy: &busy };
        let deleted = retention::sweep(&shelf, *keep, wall);
        if deleted > 0 {
            tracing::info!(deleted, "recordings past their time are deleted");
        }
        // Rows that have just changed are compared the next time.
        let is_settled = is_settled && deleted == 0;
        let pause = match is_settled.then(|| retention::reconcile(&shelf, wall, MEASURED_MAX)) {
            Some(Reconciled::All) => SWEEP_EVERY,
            Some(Reconciled::Part) => LOOK_EVERY,
            None => SWEEP_AGAIN,
        };
        self.next_sweep = now + pause;
    }

    /// Ends what is written of a call, and deletes all of it.
    fn erase(&mut self, call: &CallId, who: &str) -> Option<Erased> {
        let is_of_call = |open: &Open| open.row.call == *call;
        let open = self.open.iter().filter(|(_, open)| is_of_call(open));
        let open: Vec<_> = open.map(|(record, open)| (*record, open.row.clone())).collect();
        for (record, _) in &open {
            self.lose(*record, Ended::Deleted);
        }
        let mut rows = self.rows()?;
        for (_, row) in open {
            if rows.iter().all(|known| known.key() != row.key()) {
                rows.push(row);
            }
        }
        let (folder, by) = (&self.config.folder, (clock::now().wall, who));
        let parts = retention::delete_call(&self.store, folder, &rows, call, by);
        let words = |(part, done): (u32, io::Result<()>)| (part, done.map_err(|e| e.to_string()));
        Some(parts.into_iter().map(words).collect())
    }

    /// `None`: they can't be read.
    fn rows(&self) -> Option<Vec<Recording>> {
        let rows = Reader::open(self.store.path()).and_then(|reader| reader.recordings());
        rows.inspect_err(|error| {
            tracing::error!(%error, "which recordings there are can't be read");
        })
        .ok()
    }
}
