//! The only async code beside the console: sockets, clocks, threads, signals, and the loop that
//! drives the switchboard.
//!
//! Owns [`Shell`], the loop, from its first round to its last: one task has the [`Switchboard`] by
//! `&mut`, so nothing in it is locked. Each round goes: outputs first, then inputs up to a budget,
//! then what is due; then it waits for whatever comes first. What a few messages bring about is
//! carried out together, with a single write to the journal before. Nothing in the loop waits for a
//! peer, a disk or a reader.

mod beat;
mod carry;
mod certificate;
pub mod clock;
mod config;
pub mod fds;
pub mod handle;
pub mod in_force;
pub mod keeper;
mod kept_records;
mod kept_service;
pub mod kept_sockets;
pub mod kept_voices;
pub mod lock;
pub mod log;
pub mod media_thread;
pub(crate) mod memory;
pub mod metrics;
mod news;
pub mod phone;
pub mod process;
pub mod prompts;
pub mod recorder;
mod rehearsals;
pub mod reload;
mod resolve;
mod runtime_dir;
pub mod scribe;
mod shed;
mod signals;
pub mod sip_socket;
mod start;
pub mod survival;
pub mod systemd;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep_until;

pub use config::{Config, LogFormat};
pub use signals::Stopper;
pub use start::Setup;

use crate::call::deed::{Deed, Denial, What};
use crate::call::switchboard::{Command, Input, Output, Step, Switchboard};
use crate::media::prompt::Library;
use crate::media::{self, Quality};
use crate::sip::Transport;
use crate::store::Store;
use certificate::Certificate;
use handle::{Asked, Feed, Handle, Rehearsal};
use media_thread::MediaHandle;
use memory::Flood;
use metrics::Metrics;
use news::News;
use recorder::Recorder;
use rehearsals::Rehearsals;
use reload::Fresh;
use shed::Shed;
use signals::{Order, Signals};
use sip_socket::{Arrived, Sockets};
use survival::Survival;

/// How often in one round inputs are taken.
const BUDGET: usize = 16;
/// How often at most they are taken for the last time: what has been read is less.
const REST_MAX: usize = 16;
/// Messages, and words of the media threads, of which all is carried out at one go.
const TOGETHER: usize = 8;
/// Messages that are not heard, passed over at one go; a flood of them must not hold the loop.
const UNHEARD_MAX: usize = 16;
/// How often the loop says that it lives and counts are taken over.
const BEAT: Duration = Duration::from_secs(1);
/// How long what is under way is waited for after the last call.
const LINGER: Duration = Duration::from_millis(200);
/// How long the records of calls that had to be ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Faults of our own, within [`FAULTS_WITHIN`], that the process survives.
const FAULTS_MAX: usize = 20;
/// See [`FAULTS_MAX`].
const FAULTS_WITHIN: Duration = Duration::from_secs(60);

/// Why a service could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A SIP socket.
    #[error(transparent)]
    Sip(#[from] sip_socket::BindError),
    /// The media threads.
    #[error("the media threads can't start: {0}")]
    Media(io::Error),
    /// Signals, or entropy.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// Too many faults of our own in a short time: a new process is the better answer.
    #[error("{FAULTS_MAX} faults of its own within {FAULTS_WITHIN:?}")]
    Faulty,
}

/// A service that is bound and ready to run.
pub struct Shell {
    switchboard: Switchboard,
    sockets: Sockets,
    media: MediaHandle,
    events: mpsc::Receiver<media::Event>,
    /// What media threads would say that could not be asked.
    stand_ins: VecDeque<media::Event>,
    commands: mpsc::Receiver<Command>,
    /// Keeps the queue open while nobody else holds an end.
    command_sender: mpsc::Sender<Command>,
    changes: mpsc::Receiver<Fresh>,
    signals: Signals,
    store: Store,
    recorder: Recorder,
    survival: Survival,
    shed: Shed,
    flood: Flood,
    metrics: Metrics,
    rehearsals: Rehearsals,
    feed: Feed,
    news: News,
    handle: Handle,
    on_step: Box<dyn FnMut(&Step) + Send>,
    /// Who waits for the answer to the request that is being carried out.
    asker: Option<oneshot::Sender<Result<(), Denial>>>,
    drain: Duration,
    stage: Stage,
    faults: VecDeque<Instant>,
    certificate: Certificate,
    watching: Option<JoinHandle<()>>,
    beside: runtime::Handle,
}

/// How far the service is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Live calls have until then.
    Draining(Instant),
    /// The next process goes on with the live calls.
    HandingOver,
    Over,
}

/// How a service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No call is left.
    Over,
    /// The next process goes on with the live calls.
    HandedOver,
}

/// Why the loop woke up.
enum Woken {
    Sip,
    Media(media::Event),
    Command(Command),
    Asked(Asked),
    Rehearsal(Box<Rehearsal>),
    Change(Box<Fresh>),
    Signal(Order),
    Time,
}

impl Shell {
    /// What the console holds.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where people's commands go in; a full queue refuses them. [`Command::Drain`] ends the
    /// service as SIGTERM does.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.command_sender.clone()
    }

    /// Ends it from within the process.
    pub fn stopper(&self) -> Stopper {
        self.signals.stopper()
    }

    /// The SIP sockets that are open.
    pub fn listening(&self) -> &[(Transport, SocketAddr)] {
        self.sockets.listening()
    }

    /// The voices: they go on until the last copy of this is dropped.
    pub fn media(&self) -> MediaHandle {
        self.media.clone()
    }

    /// Runs until the operator ends it and the live calls are over, or their time is, or they are
    /// handed over.
    ///
    /// # Errors
    /// [`Error::Faulty`].
    pub async fn run(mut self) -> Result<End, Error> {
        self.take_up();
        let started = format!("started, version {}", env!("CARGO_PKG_VERSION"));
        self.store.audit(news::entry(news::SYSTEM, started));
        let watchdog = self.beside.spawn(systemd::watchdog(self.handle.clone()));
        systemd::tell(systemd::Stage::Ready);
        self.survival.drains_no_more();
        if let Stage::Draining(until) = self.stage {
            tracing::info!("no new calls, as before: goes on to wait for the live ones");
            self.drain(until);
            self.give(Input::Command(Command::Drain));
        }
        let ended = self.rounds().await;
        if self.stage == Stage::HandingOver {
            self.take_the_rest();
        }
        // One that is not to be trusted any more hands over too: the journal is whole.
        let is_left = self.stage == Stage::HandingOver || ended.is_err();
        let end = if is_left && self.survival.keeps() {
            systemd::tell(systemd::Stage::HandingOver);
            End::HandedOver
        } else {
            systemd::tell(systemd::Stage::Stopping);
            self.linger().await;
            self.survival.drains_no_more();
            End::Over
        };
        self.survival.leave(&self.store);
        watchdog.abort();
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
        ended.map(|()| end)
    }

    async fn rounds(&mut self) -> Result<(), Error> {
        let mut beat_at = Instant::now();
        loop {
            let now = clock::now();
            if now.mono >= beat_at {
                self.beat();
                beat_at = now.mono + BEAT;
            }
            self.carry_out();
            let is_behind = self.take_inputs();
            let now = clock::now();
            if self.switchboard.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
                self.give(Input::Timeout);
            }
            if self.faults.len() > FAULTS_MAX {
                return Err(Error::Faulty);
            }
            if self.is_over(now.mono) {
                return Ok(());
            }
            if is_behind || !self.stand_ins.is_empty() {
                self.media.wake();
                yield_now().await;
                continue;
            }
            let wake_at =
                self.switchboard.poll_timeout().map_or(beat_at, |(at, _)| at.min(beat_at));
            match self.wait(wake_at).await {
                Woken::Sip | Woken::Time => {}
                Woken::Media(event) => self.give(Input::Media(event)),
                Woken::Command(command) => self.command(command),
                Woken::Asked(asked) => self.ask(asked),
                Woken::Rehearsal(asked) => self.rehearse(*asked),
                Woken::Change(fresh) => self.change(*fresh),
                Woken::Signal(order) => self.on_signal(order),
            }
        }
    }

    async fn wait(&mut self, until: Instant) -> Woken {
        // Once for all that the round has told them: a wake-up costs more than most commands.
        self.media.wake();
        tokio::select! {
            () = self.sockets.ready() => Woken::Sip,
            Some(event) = self.events.recv() => Woken::Media(event),
            Some(command) = self.commands.recv() => Woken::Command(command),
            Some(asked) = self.feed.next_asked() => Woken::Asked(asked),
            Some(asked) = self.rehearsals.asked.recv() => Woken::Rehearsal(Box::new(asked)),
            Some(fresh) = self.changes.recv() => Woken::Change(Box::new(fresh)),
            order = self.signals.next() => Woken::Signal(order),
            () = sleep_until(until.into()) => Woken::Time,
        }
    }

    /// Inputs that are there, each kind in its turn; whether the budget ended before they did.
    fn take_inputs(&mut self) -> bool {
        for _ in 0..BUDGET {
            let mut is_idle = true;
            // What several of them bring about is carried out together: one write for all of it.
            for _ in 0..TOGETHER {
                // One of each: calls that go on do not wait behind those that are new.
                let has_event = self.take_event();
                if !(self.take_sip() || has_event) {
                    break;
                }
                is_idle = false;
            }
            self.carry_out();
            if let Ok(command) = self.commands.try_recv() {
                self.command(command);
                is_idle = false;
            }
            if let Some(asked) = self.feed.try_asked() {
                self.ask(asked);
                is_idle = false;
            }
            if is_idle {
                return false;
            }
        }
        true
    }

    /// Takes what has been read already: the next process could not.
    fn take_the_rest(&mut self) {
        self.sockets.stop_reading();
        for _ in 0..REST_MAX {
            if !self.take_inputs() {
                break;
            }
        }
    }

    /// The next word of a media thread; false: there is none.
    fn take_event(&mut self) -> bool {
        let event = self.stand_ins.pop_front().or_else(|| self.events.try_recv().ok());
        if let Some(event) = event {
            handle_input(&mut self.switchboard, &mut self.faults, Input::Media(event));
            return true;
        }
        false
    }

    /// The next message that is heard; false: nothing is there. What is not heard is passed over
    /// here, since each turn of the loop costs more than it.
    fn take_sip(&mut self) -> bool {
        for _ in 0..UNHEARD_MAX {
            let input = match self.sockets.next() {
                None => return false,
                Some(Arrived::Failed(flow)) => Input::FlowFailed(flow),
                Some(Arrived::Message { flow, bytes, waited }) => {
                    if !self.switchboard.hears(clock::now().mono, &flow, waited) {
                        continue;
                    }
                    Input::Sip { flow, bytes }
                }
            };
            handle_input(&mut self.switchboard, &mut self.faults, input);
            return true;
        }
        true
    }

    fn give(&mut self, input: Input<'_>) {
        handle_input(&mut self.switchboard, &mut self.faults, input);
        self.carry_out();
    }

    /// A request, which is answered before anything else is done.
    fn ask(&mut self, asked: Asked) {
        let Asked { request, who, answer } = asked;
        self.asker = Some(answer);
        self.give(Input::Command(Command::Request { request, who }));
        // A fault of ours on the way: whoever asked learns that there is no answer.
        self.asker = None;
    }

    fn change(&mut self, mut fresh: Fresh) {
        fresh.miss(self.sockets.missed(&fresh.sip.listen));
        tell_faults(&self.metrics, &fresh.faults);
        self.feed.missing(fresh.missing);
        for note in &fresh.notes {
            tracing::info!("{note}");
            self.store.audit(news::entry(news::SYSTEM, format!("configuration: {note}")));
        }
        let library = self.rehearsals.set_library(&fresh.library);
        self.set_library(&library);
        if let Some(tls) = fresh.tls.take() {
            self.certificate = Certificate::new(Some(&tls));
            self.sockets.set_tls(Some(tls));
        }
        self.drain = fresh.call.limits.drain;
        // Other sockets wait for a restart.
        fresh.sip.listen = self.sockets.listening().to_vec();
        let command = Command::Configure(Arc::new(fresh.call), Box::new(fresh.sip));
        self.give(Input::Command(command));
        tracing::info!("the configuration is taken over; live calls keep theirs");
    }

    fn set_library(&self, library: &Arc<Library>) {
        if let Err(error) = self.media.set_library(library) {
            tracing::error!(%error, "the prompts stay as they were on some media thread");
        }
    }

    fn rehearse(&mut self, asked: Rehearsal) {
        let (order, library) = self.rehearsals.begin(asked);
        if let Some(library) = library {
            self.set_library(&library);
        }
        self.give(Input::Command(Command::Rehearse(order)));
    }

    fn command(&mut self, command: Command) {
        if matches!(command, Command::Drain) && self.stage == Stage::Serving {
            tracing::info!("no new calls; waits for the live ones");
            self.drain(clock::now().mono + self.drain);
        }
        if let Some(entry) = news::command(&command) {
            self.store.audit(entry);
        }
        self.give(Input::Command(command));
    }

    fn drain(&mut self, until: Instant) {
        systemd::tell(systemd::Stage::Draining);
        self.stage = Stage::Draining(until);
        self.survival.drains(until);
    }

    fn on_signal(&mut self, order: Order) {
        let name = order.name();
        match self.stage {
            Stage::Serving | Stage::Draining(_) if order == Order::HandOver => {
                tracing::info!("{name}: the next process goes on with the live calls");
                // Whoever wants another process wants one that serves.
                self.survival.drains_no_more();
                self.stage = Stage::HandingOver;
            }
            Stage::Serving => {
                tracing::info!("{name}");
                self.command(Command::Drain);
            }
            Stage::Draining(_) if order == Order::Interrupt => {
                tracing::warn!("{name} again: ends at once");
                self.stage = Stage::Over;
            }
            Stage::Draining(_) | Stage::HandingOver | Stage::Over => {}
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Serving => false,
            Stage::Draining(until) if now >= until => {
                tracing::warn!("the time to drain is over: the calls that are left are ended");
                true
            }
            Stage::Draining(_) => self.switchboard.is_idle(),
            Stage::HandingOver | Stage::Over => true,
        }
    }

    /// Calls that are left are ended; the last answers go out, retransmissions are answered.
    async fn linger(&mut self) {
        let last = Instant::now() + LAST_WORDS;
        if !self.switchboard.is_idle() {
            self.command(Command::Stop);
        }
        let mut until = Instant::now() + LINGER;
        while Instant::now() < until {
            self.carry_out();
            self.take_inputs();
            if self.switchboard.poll_timeout().is_some_and(|(at, _)| at <= Instant::now()) {
                self.give(Input::Timeout);
            }
            if !self.switchboard.is_idle() {
                until = last.min(Instant::now() + LINGER);
            }
            let wake_at = self.switchboard.poll_timeout().map_or(until, |(at, _)| at.min(until));
            match self.wait(wake_at).await {
                Woken::Media(event) => self.give(Input::Media(event)),
                Woken::Sip
                | Woken::Time
                | Woken::Command(_)
                | Woken::Asked(_)
                | Woken::Rehearsal(_)
                | Woken::Change(_)
                | Woken::Signal(_) => {}
            }
        }
    }
}

/// A panic costs the message that caused it, not every call: it is contained and counted. What it
/// says is the panic hook's, which shows no contents.
fn handle_input(switchboard: &mut Switchboard, faults: &mut VecDeque<Instant>, input: Input<'_>) {
    let now = clock::now();
    if catch_unwind(AssertUnwindSafe(|| switchboard.handle(now, input))).is_err() {
        switchboard.after_fault();
        faults.push_back(now.mono);
    }
}

/// Says what the configuration names and is no good.
fn tell_faults(metrics: &Metrics, faults: &[String]) {
    for fault in faults {
        tracing::error!("{fault}; the service runs without it");
    }
    metrics.configuration_faults(faults.len());
}
