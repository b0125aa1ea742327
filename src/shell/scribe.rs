//! Writes the journal of live calls on a thread of its own.
//!
//! Owns the thread, what waits for it, and how long the loop waits: until a change is with the
//! system, and no longer than [`Scribe::start`]'s limit. A disk that hangs, is full or read-only
//! stops no call: from then on the loop does not wait at all, and everything is written when the
//! disk takes it again. What a change says is its sender's; the file is the [`Journal`]'s.

use std::collections::BTreeMap;
use std::io;
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::store::journal::{Change, Journal, Key, Value};

/// How soon what the disk has refused is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long what is over may lie in the file, encrypted.
const FORGET_AFTER: Duration = Duration::from_secs(15);
/// A write that takes so long is a fault, until it is done.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// How the journal does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it is not written at the moment: nothing that happens now would be known to the process
    /// that follows this one. `None`: all is well.
    pub fault: Option<String>,
    /// Changes that belong together and are in the file.
    pub written: u64,
    /// Those of them for which the loop did not wait to the end.
    pub late: u64,
}

/// The loop's end. When it is dropped the thread ends after what it is about.
pub struct Scribe {
    shared: Arc<Shared>,
    wait: Duration,
}

struct Shared {
    desk: Mutex<Desk>,
    /// Rung when something is to be written.
    work: Condvar,
    /// Rung when something is written.
    done: Condvar,
}

/// What lies between the loop and the thread.
#[derive(Default)]
struct Desk {
    /// The latest change of each key that the thread has not taken: as many as there are keys.
    waiting: BTreeMap<Key, Option<Value>>,
    /// Calls of [`Scribe::keep`] and [`Scribe::note`], and how many of them are in the file.
    handed: u64,
    written: u64,
    late: u64,
    /// Since when there is something that is not in the file.
    since: Option<Instant>,
    /// The disk has kept us waiting, and has not caught up.
    is_behind: bool,
    refused: Option<String>,
    is_closed: bool,
}

impl Scribe {
    /// Starts the thread. `wait`: how long the loop waits for one write.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(journal: Journal, wait: Duration) -> io::Result<Self> {
        let (desk, work, done) = Default::default();
        let shared = Arc::new(Shared { desk, work, done });
        let own = Arc::clone(&shared);
        Builder::new().name("journal".to_owned()).spawn(move || own.write(journal))?;
        Ok(Self { shared, wait })
    }

    /// Has changes written that belong together, and waits until they are, or the limit is over.
    pub fn keep(&self, changes: impl IntoIterator<Item = Change>) {
        let mut desk = self.shared.lock();
        desk.waiting.extend(changes);
        desk.handed += 1;
        let number = desk.handed;
        desk.since.get_or_insert_with(Instant::now);
        self.shared.work.notify_one();
        if !desk.is_behind {
            desk = self.shared.wait_for(desk, number, self.wait);
        }
        if desk.written < number {
            desk.is_behind = true;
            desk.late += 1;
        }
    }

    /// Has changes written that nothing waits for.
    pub(super) fn note(&self, changes: impl IntoIterator<Item = Change>) {
        let mut desk = self.shared.lock();
        desk.waiting.extend(changes);
        desk.handed += 1;
        desk.since.get_or_insert_with(Instant::now);
        drop(desk);
        self.shared.work.notify_one();
    }

    /// For somebody who never waits.
    pub(super) fn pen(&self) -> Pen {
        Pen(Arc::clone(&self.shared))
    }

    /// Waits until all of it is written; `false`: the limit was over first.
    pub fn flush(&self, limit: Duration) -> bool {
        let desk = self.shared.lock();
        let number = desk.handed;
        self.shared.wait_for(desk, number, limit).written >= number
    }

    /// How it does.
    pub fn health(&self) -> Health {
        let desk = self.shared.lock();
        let hangs = desk.since.is_some_and(|since| since.elapsed() >= HANGS_AFTER);
        let hangs = hangs.then(|| "the disk does not answer".to_owned());
        Health { fault: desk.refused.clone().or(hangs), written: desk.written, late: desk.late }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_one();
    }
}

/// The end of somebody who must not wait, not even for the desk, and whose changes nothing waits
/// for. What it notes after the thread's end is not written.
#[derive(Clone)]
pub(super) struct Pen(Arc<Shared>);

impl Pen {
    /// Has these changes written soon; `false`: somebody is at the desk, and `changes` was not
    /// called.
    pub(super) fn note<I: Iterator<Item = Change>>(&self, changes: impl FnOnce() -> I) -> bool {
        let mut desk = match self.0.desk.try_lock() {
            Ok(desk) => desk,
            Err(TryLockError::Poisoned(desk)) => desk.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        desk.waiting.extend(changes());
        desk.since.get_or_insert_with(Instant::now);
        drop(desk);
        self.0.work.notify_one();
        true
    }
}

impl Shared {
    /// Held for moments. A panic leaves the desk whole.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(
        &self,
        desk: MutexGuard<'a, Desk>,
        number: u64,
        limit: Duration,
    ) -> MutexGuard<'a, Desk> {
        let is_to_come = |desk: &mut Desk| desk.written < number && desk.refused.is_none();
        let waited = self.done.wait_timeout_while(desk, limit, is_to_come);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The thread, from its beginning to its end.
    fn write(&self, mut journal: Journal) {
        let mut forgotten = Instant::now();
        while let Some((number, changes)) = self.take(journal.is_written()) {
            // Taken over by the table even where the disk refuses: tidying tries again then.
            let mut written = if changes.is_empty() { Ok(()) } else { journal.apply(changes) };
            self.report(number, &written);
            if written.is_ok() || !journal.is_written() {
                let is_time = forgotten.elapsed() >= FORGET_AFTER;
                if is_time {
                    forgotten = Instant::now();
                }
                written = journal.tidy(is_time);
                self.report(number, &written);
            }
        }
    }

    /// Waits for work, or for the time to tidy up; the number of the last change that it holds.
    /// `None`: it is over.
    fn take(&self, is_well: bool) -> Option<(u64, BTreeMap<Key, Option<Value>>)> {
        let limit = if is_well { FORGET_AFTER } else { RETRY };
        let is_idle = |desk: &mut Desk| {
            !desk.is_closed && (desk.waiting.is_empty() || desk.refused.is_some())
        };
        let desk = self.lock();
        let waited = self.work.wait_timeout_while(desk, limit, is_idle);
        let (mut desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if desk.is_closed && desk.waiting.is_empty() {
            return None;
        }
        Some((desk.handed, take(&mut desk.waiting)))
    }

    fn report(&self, number: u64, written: &io::Result<()>) {
        let mut desk = self.lock();
        match written {
            Ok(()) => {
                desk.written = number;
                desk.refused = None;
                if desk.waiting.is_empty() {
                    (desk.since, desk.is_behind) = (None, false);
                } else {
                    desk.since = Some(Instant::now());
                }
            }
            Err(error) => {
                desk.refused = Some(error.to_string());
                desk.is_behind = true;
            }
        }
        drop(desk);
        self.done.notify_all();
    }
}

#[cfg(test)]
mod tests;
