//! Before a line opens: is everything there that it takes to serve callers?
//!
//! Owns [`Opening`]: when the checks run (by themselves before each opening, and when somebody
//! asks), one run at a time, and what the last ones said. Nothing here touches a call.
//!
//! ```text
//! due, or asked ─► find + test_call ─► judge ─► database, metrics, page
//!                                        └─► message ─► send (webhook, mail)
//! ```

pub(in crate::console) mod check;
mod due;
mod facts;
mod find;
mod judge;
pub(in crate::console) mod message;
mod send;
mod test_call;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::call::config::LineId;
use crate::call::schedule::next_openings;
use crate::chance::Chance;
use crate::complaint::{Cause, Complaint, File};
use crate::config::ready::Ready;
use crate::shell::clock;
use crate::shell::handle::Handle;
use crate::store::{self, audit, opening};
use crate::time::{Now, Timestamp};
use check::{Report, Run, Told, Verdict};
use facts::{Clock, Facts};
use find::ClockWatch;
use message::Message;

/// How often the clock is looked at, and whether a run is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Messages that are being sent at once; one more is not.
const SENDING_MAX: usize = 4;
/// Who asks for the runs that come by themselves.
const SYSTEM: &str = "system";

/// The checks, and what they said last.
pub(in crate::console) struct Opening {
    handle: Handle,
    current: watch::Receiver<Arc<Ready>>,
    chance: Mutex<Chance>,
    /// Held while a run goes on.
    turn: tokio::sync::Mutex<()>,
    latest: Mutex<BTreeMap<LineId, Run>>,
    /// For which opening of each line the last run was made.
    made: Mutex<BTreeMap<LineId, Timestamp>>,
    clock: Mutex<ClockWatch>,
    /// Places for messages that are being sent.
    places: Arc<Semaphore>,
}

/// Why nothing was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) enum Refused {
    /// A run goes on.
    Running,
    /// There is no such line.
    UnknownLine,
}

impl Opening {
    /// Reads what the last runs said.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(in crate::console) async fn open(
        handle: Handle,
        current: watch::Receiver<Arc<Ready>>,
        chance: Chance,
    ) -> Result<Arc<Self>, store::Error> {
        let store = handle.store();
        let latest = store.run(opening::latest).await?.into_iter().filter_map(Run::of_row);
        let latest: BTreeMap<_, _> = latest.map(|run| (run.line.clone(), run)).collect();
        let made = store.run(opening::made).await?.into_iter().collect();
        for run in latest.values() {
            tell_metrics(&handle, run);
        }
        Ok(Arc::new(Self {
            handle,
            current,
            chance: Mutex::new(chance),
            turn: tokio::sync::Mutex::default(),
            latest: Mutex::new(latest),
            made: Mutex::new(made),
            clock: Mutex::new(ClockWatch::new(clock::now())),
            places: Arc::new(Semaphore::new(SENDING_MAX)),
        }))
    }

    /// Checks by itself before each opening, for ever.
    pub(in crate::console) async fn watch(self: Arc<Self>) {
        loop {
            self.look(clock::now()).await;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Makes the runs that are due at `now`.
    async fn look(self: &Arc<Self>, now: Now) {
        lock(&self.clock).look(now);
        let ready = self.ready();
        let Some(before) = ready.loaded.opening.before else { return };
        for (id, line) in &ready.loaded.call.lines {
            let made = lock(&self.made).get(id).copied();
            let tz = ready.loaded.call.timezone;
            if let Some(opens) = due::due(&line.schedule, tz, before, made, now.wall) {
                let turn = self.turn.lock().await;
                let run = self.check(id, SYSTEM, Some(opens)).await;
                drop(turn);
                if message::is_due(ready.loaded.opening.notify, run.result()) {
                    tokio::spawn(Arc::clone(self).tell(run));
                }
            }
        }
    }

    /// Checks a line, or every line, because somebody asks.
    ///
    /// # Errors
    /// When nothing was checked.
    pub(in crate::console) async fn run(
        self: &Arc<Self>,
        line: Option<&LineId>,
        who: &str,
    ) -> Result<Vec<Run>, Refused> {
        let lines = self.ready().loaded.call.lines.keys().cloned().collect::<Vec<_>>();
        let lines: Vec<_> = lines.into_iter().filter(|id| line.is_none_or(|it| it == id)).collect();
        if lines.is_empty() {
            return Err(Refused::UnknownLine);
        }
        let _turn = self.turn.try_lock().map_err(|_| Refused::Running)?;
        let mut runs = Vec::new();
        for line in &lines {
            runs.push(self.check(line, who, None).await);
        }
        Ok(runs)
    }

    /// Tells whoever is to be told of a run, and writes down how that came out.
    async fn tell(self: Arc<Self>, mut run: Run) {
        let ready = self.ready();
        let message = Message::of(&run, ready.loaded.call.timezone);
        let config = &ready.loaded.opening;
        run.report.told = send::tell(config, &message, send::PATIENT, &self.places).await;
        if run.report.told.is_empty() {
            return;
        }
        if let Some(latest) = lock(&self.latest).get_mut(&run.line).filter(|it| it.id == run.id) {
            latest.report.told = run.report.told.clone();
        }
        self.write(&run).await;
    }

    /// Sends a message that shows whether messages arrive; how it came out.
    pub(in crate::console) async fn try_telling(&self, who: &str) -> Vec<Told> {
        let (ready, message) = (self.ready(), Message::test(who));
        send::tell(&ready.loaded.opening, &message, send::ONCE, &self.places).await
    }

    /// The last run of each line that there is, in order of the lines.
    pub(in crate::console) fn latest(&self) -> Vec<Run> {
        let ready = self.ready();
        let is_there = |run: &&Run| ready.loaded.call.lines.contains_key(&run.line);
        lock(&self.latest).values().filter(is_there).cloned().collect()
    }

    fn ready(&self) -> Arc<Ready> {
        Arc::clone(&self.current.borrow())
    }

    async fn check(self: &Arc<Self>, id: &LineId, who: &str, opens: Option<Timestamp>) -> Run {
        let (ready, now) = (self.ready(), clock::now().wall);
        let line = ready.loaded.call.lines.get(id);
        let next = line.and_then(|line| {
            let tz = ready.loaded.call.timezone;
            next_openings(&line.schedule, tz, now, 1).first().map(|span| span.open)
        });
        let report = Report {
            name: line.map(|line| line.name.clone()).unwrap_or_default(),
            next_open: next.map(|at| at.timestamp()),
            ..Report::default()
        };
        let (id, who) = (id.clone(), who.to_owned());
        let mut run = Run { id: 0, line: id, at: now, who, opens, report };
        let (row, started) = (run.row(false), Instant::now());
        let written = self.handle.store().run(move |conn| opening::save(conn, &row)).await;
        let written = written.map_err(|error| error.to_string());
        run.id = written.as_ref().copied().unwrap_or_default();
        let facts = self.facts(&ready, &run, written.map(|_| started.elapsed())).await;
        run.report.checks = judge::judge(&facts);
        self.keep(&run).await;
        run
    }

    /// Everything that there is to know.
    async fn facts(
        &self,
        ready: &Arc<Ready>,
        run: &Run,
        written: Result<Duration, String>,
    ) -> Facts {
        let call = match ready.loaded.call.lines.get(&run.line) {
            Some(line) => {
                let chance = lock(&self.chance).split();
                test_call::call(&self.handle, &run.line, line, run.at, chance).await
            }
            None => Err(facts::Unheard::NoNumber),
        };
        let there = Arc::clone(ready);
        let found = spawn_blocking(move || find::find(&there)).await;
        let health = self.handle.store().health();
        let board = self.handle.board().borrow().clone();
        let of_line = |it: &&crate::call::board::CounselorView| it.lines.contains(&run.line);
        let last = lock(&self.latest).values().map(|run| run.at).max();
        let (files, disks, ports, is_followed) = match found {
            Ok(it) => (it.files, it.disks, it.ports, it.is_followed),
            Err(_) => {
                // What a panic says is nobody's to read.
                let cause = Cause::new("a fault of koebashi's own");
                let fault = Complaint::error("", None, File::Fault(cause));
                (Err(vec![fault]), Vec::new(), None, None)
            }
        };
        Facts {
            now: run.at,
            trunks: board.trunks.clone(),
            counselors: board.counselors.iter().filter(of_line).cloned().collect(),
            files,
            disks,
            disk_min: ready.loaded.opening.disk_min,
            clock: Clock {
                is_followed,
                set_ms: lock(&self.clock).take(&run.line),
                is_behind: last.is_some_and(|last| last > run.at),
            },
            certificate: ready.loaded.tls.as_ref().map(|tls| tls.validity.until),
            certificate_min: ready.loaded.opening.certificate_min,
            written,
            records: (health.pending, health.dropped + health.rejected),
            ports,
            unready: self.handle.unready(),
            faults: ready.faults.clone(),
            call,
        }
    }

    async fn write(&self, run: &Run) {
        let row = run.row(true);
        if let Err(error) = self.handle.store().run(move |conn| opening::save(conn, &row)).await {
            tracing::error!(%error, "how a check came out can't be kept");
        }
    }

    /// Writes a run down and shows it.
    async fn keep(&self, run: &Run) {
        if let Some(opens) = run.opens {
            lock(&self.made).insert(run.line.clone(), opens);
        }
        lock(&self.latest).insert(run.line.clone(), run.clone());
        tell_metrics(&self.handle, run);
        self.write(run).await;
        let (line, result) = (&run.line, run.result().name());
        let what = format!("checked line {line} before its opening: {result}");
        match run.result() {
            Verdict::Ok | Verdict::Unknown => tracing::info!("{what}"),
            Verdict::Warn | Verdict::Bad => tracing::warn!("{what}"),
        }
        let entry = audit::Entry { at: run.at, who: run.who.clone(), what };
        self.handle.store().audit(entry);
    }
}

/// What can't be told is left out; what somebody should look at still serves callers.
fn tell_metrics(handle: &Handle, run: &Run) {
    let known = run.report.checks.iter().filter(|check| check.result != Verdict::Unknown);
    let checks: Vec<_> =
        known.map(|check| (check.id.name(), check.result != Verdict::Bad)).collect();
    handle.opening(&run.line.0, run.at.timestamp(), &checks);
}

/// Locks here are held for moments and guard nothing that a panic could leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
