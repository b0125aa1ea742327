//! What the world outside the loop holds of it: the live board, the metrics, the state of health.
//!
//! Owns [`Feed`] (the loop's end) and [`Handle`] (everybody else's, cheap to clone). The loop never
//! waits for a reader: the board is a watch channel that keeps the last picture only. Who asks
//! something of the loop waits for the answer; the loop answers at once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use super::recorder::{Erased, Eraser};
use crate::call::board::Board;
use crate::call::cdr::CallId;
use crate::call::config::Extension;
use crate::call::deed::{Denial, Request};
use crate::call::piece::{Asker, Finish, Piece};
use crate::complaint::Complaint;
use crate::media::Prompt;
use crate::media::prompt::Clip;
use crate::sip::Transport;
use crate::store::Store;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long the loop may be silent before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How long reading the configuration again may take.
const RELOAD_LIMIT: Duration = Duration::from_secs(20);
/// How long deleting recordings may take.
const ERASE_LIMIT: Duration = Duration::from_secs(20);
/// Requests that lie before the loop; one more waits until there is room.
const REQUESTS_MAX: usize = 16;

/// Joins a loop that stores in `store` and counts in `metrics` with its readers.
pub fn channel(store: Store, metrics: Metrics) -> (Feed, Handle) {
    let (board, receiver) = watch::channel(Arc::new(Board::default()));
    let pulse = Arc::new(Pulse::default());
    let (requests, asked) = mpsc::channel(REQUESTS_MAX);
    let feed = Feed { board, pulse: Arc::clone(&pulse), metrics: metrics.clone(), asked };
    let listening = Arc::default();
    let (eraser, reloads, rehearsals) = (None, None, None);
    let handle = Handle {
        board: receiver,
        pulse,
        metrics,
        store,
        requests,
        eraser,
        reloads,
        rehearsals,
        listening,
    };
    (feed, handle)
}

/// A request, and who waits for the answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Who asks: the name of their account.
    pub who: Arc<str>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<(), Denial>>,
}

/// Somebody who wants the configuration and the prompts read again, and waits for what comes of
/// it: nothing, or everything that is wrong.
pub type Reload = oneshot::Sender<Result<(), Vec<Complaint>>>;

/// A rehearsal that somebody wants, and where its news go.
#[derive(Debug)]
pub struct Rehearsal {
    /// Whose phone is rung.
    pub extension: Extension,
    /// By whom it is wanted.
    pub asker: Asker,
    /// What is done there.
    pub piece: Piece,
    /// A prompt that the library does not have, under a name that no file can have.
    pub clip: Option<(Prompt, Arc<Clip>)>,
    /// What came of it.
    pub finish: oneshot::Sender<Finish>,
    /// What was spoken; no answer: nothing, or not all of it.
    pub heard: Option<oneshot::Sender<Vec<i16>>>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The loop has ended, does not go round, or has too many to answer.
    Busy,
}

/// The loop's end.
#[derive(Debug)]
pub struct Feed {
    board: watch::Sender<Arc<Board>>,
    pulse: Arc<Pulse>,
    metrics: Metrics,
    asked: mpsc::Receiver<Asked>,
}

impl Feed {
    /// The next request of a reader.
    pub async fn next_asked(&mut self) -> Option<Asked> {
        self.asked.recv().await
    }

    /// The next request of a reader, if there is one.
    pub fn try_asked(&mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }

    /// Shows a new picture in place of the last.
    pub fn show(&self, board: Board) {
        self.metrics.board(&board);
        self.board.send_replace(Arc::new(board));
    }

    /// Says that the loop goes round; to be called at least once a second.
    pub fn beat(&self) {
        self.pulse.beat();
    }

    /// Says whether every SIP socket is bound.
    pub fn bound(&self, bound: bool) {
        self.pulse.bound.store(bound, Ordering::Relaxed);
    }

    /// Says what the service does without, for now, so that calls go on.
    pub fn missing(&self, what: Vec<String>) {
        *self.pulse.missing.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Says why the journal of live calls can't be written; `None`: it can.
    pub fn journal(&self, fault: Option<String>) {
        *self.pulse.journal.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// The readers' end.
#[derive(Clone, Debug)]
pub struct Handle {
    board: watch::Receiver<Arc<Board>>,
    pulse: Arc<Pulse>,
    metrics: Metrics,
    store: Store,
    requests: mpsc::Sender<Asked>,
    /// `None`: nothing records.
    eraser: Option<Eraser>,
    /// `None`: the configuration never changes.
    reloads: Option<mpsc::Sender<Reload>>,
    /// `None`: there are no phones.
    rehearsals: Option<mpsc::Sender<Rehearsal>>,
    /// The SIP sockets that are open.
    listening: Arc<[(Transport, SocketAddr)]>,
}

impl Handle {
    /// The same, which can ring phones to play or record prompts.
    pub fn with_rehearsals(self, rehearsals: mpsc::Sender<Rehearsal>) -> Self {
        Self { rehearsals: Some(rehearsals), ..self }
    }

    /// Has a phone rung to play or record a prompt.
    ///
    /// # Errors
    /// When there are too many to answer, or no phones.
    pub fn rehearse(&self, rehearsal: Rehearsal) -> Result<(), Unanswered> {
        let rehearsals = self.rehearsals.as_ref().ok_or(Unanswered::Busy)?;
        rehearsals.try_send(rehearsal).map_err(|_| Unanswered::Busy)
    }

    /// The same, with which recordings can be deleted too.
    pub fn with_eraser(self, eraser: Eraser) -> Self {
        Self { eraser: Some(eraser), ..self }
    }

    /// The same, which can have the configuration read again.
    pub fn with_reloads(self, reloads: mpsc::Sender<Reload>) -> Self {
        Self { reloads: Some(reloads), ..self }
    }

    /// The same, which knows the SIP sockets.
    pub fn with_listening(self, listening: &[(Transport, SocketAddr)]) -> Self {
        Self { listening: listening.into(), ..self }
    }

    /// The SIP sockets that are open.
    pub fn listening(&self) -> &[(Transport, SocketAddr)] {
        &self.listening
    }

    /// Shows in the metrics how the checks before an opening came out.
    pub fn opening(&self, line: &str, at: i64, checks: &[(&'static str, bool)]) {
        self.metrics.opening(line, at, checks);
    }

    /// Has the configuration and the prompts read again at once. Where something is wrong with
    /// them, what was in force stays so, and the answer says what.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn reload(&self) -> Result<Result<(), Vec<Complaint>>, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let reloads = self.reloads.as_ref().ok_or(Unanswered::Busy)?;
        reloads.try_send(answer).map_err(|_| Unanswered::Busy)?;
        let answered = timeout(RELOAD_LIMIT, answered).await;
        answered.ok().and_then(Result::ok).ok_or(Unanswered::Busy)
    }

    /// What is kept on disk.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Has every recording of a call deleted, one that goes on too.
    ///
    /// # Errors
    /// When it is not certain what there is and what is gone.
    pub async fn delete_recordings(&self, call: CallId, who: &str) -> Result<Erased, Unanswered> {
        let eraser = self.eraser.as_ref().ok_or(Unanswered::Busy)?;
        let answered = timeout(ERASE_LIMIT, eraser.erase(call, who.into())).await;
        answered.ok().and_then(Result::ok).flatten().ok_or(Unanswered::Busy)
    }

    /// Asks something of the running service, and waits for the answer. `who`: the name under which
    /// the audit trail keeps it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, request: Request, who: &str) -> Result<Result<(), Denial>, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { request, who: who.into(), answer };
        // Whoever asks a lot waits in line with the others, and takes nobody's place.
        let asking = async {
            self.requests.send(asked).await.ok()?;
            answered.await.ok()
        };
        timeout(STUCK_AFTER, asking).await.ok().flatten().ok_or(Unanswered::Busy)
    }

    /// The live board; its sender is gone when the loop has ended.
    pub fn board(&self) -> watch::Receiver<Arc<Board>> {
        self.board.clone()
    }

    /// The metrics in the Prometheus text format, version 0.0.4.
    pub fn metrics(&self) -> String {
        self.metrics.encode()
    }

    /// Whether the loop goes round.
    pub fn is_live(&self) -> bool {
        self.pulse.is_beating()
    }

    /// Why no new calls should come here; empty: they may.
    pub fn unready(&self) -> Vec<String> {
        let store = self.store.health().fault.map(|fault| format!("store: {fault}"));
        let journal = self.pulse.journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let missing = self.pulse.missing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reasons = [
            (!self.is_live()).then(|| "the loop does not beat".to_owned()),
            (!self.pulse.bound.load(Ordering::Relaxed)).then(|| "SIP is not bound".to_owned()),
            self.board.borrow().draining.then(|| "draining".to_owned()),
            store,
            journal.map(|fault| format!("journal: {fault}")),
        ];
        reasons.into_iter().flatten().chain(missing).collect()
    }
}

/// When the loop was last round.
#[derive(Debug)]
struct Pulse {
    began: Instant,
    /// Milliseconds after `began`, plus one; zero: never.
    last: AtomicU64,
    bound: AtomicBool,
    /// Why the journal can't be written.
    journal: Mutex<Option<String>>,
    /// What the service does without.
    missing: Mutex<Vec<String>>,
}

impl Default for Pulse {
    fn default() -> Self {
        let (last, bound, journal, missing) = Default::default();
        Self { began: Instant::now(), last, bound, journal, missing }
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn beat(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    fn is_beating(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && self.now().saturating_sub(last) <= STUCK_AFTER.as_millis() as u64
    }
}
