//! What a service is made of, and how its parts are put together.
//!
//! Owns the start: sockets, media threads, recorder, the watching of files and the queues between
//! them and the loop. What the loop does with them is [`Shell`]'s.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use chrono::TimeDelta;
use tokio::runtime;
use tokio::sync::mpsc;

use super::certificate::Certificate;
use super::media_thread::MediaThreads;
use super::memory::Flood;
use super::metrics::Metrics;
use super::news::News;
use super::recorder::{self, Recorder};
use super::rehearsals::Rehearsals;
use super::reload::{self, Fresh, Source};
use super::shed::Shed;
use super::signals::{self, Signals};
use super::sip_socket::{Limits, Sockets};
use super::survival::{Kept, Parts, Survival};
use super::{Error, Shell, Stage, clock, handle, resolve, tell_faults};
use crate::call::config::Extension;
use crate::call::intention::Intention;
use crate::call::switchboard::{Command, Step, Switchboard};
use crate::chance::Chance;
use crate::media;
use crate::store::{Reader, Store};

/// Events of the media threads that wait for the loop.
const EVENTS_MAX: usize = 8_192;
/// Commands of people that wait for the loop.
const COMMANDS_MAX: usize = 64;
/// Requests to read the configuration again that wait.
const RELOADS_MAX: usize = 8;

/// What a service is made of.
pub struct Setup {
    /// What may change while it runs.
    pub fresh: Fresh,
    /// The media plane.
    pub media: media::Config,
    /// The SIP sockets.
    pub sockets: Limits,
    /// Where records go.
    pub store: Store,
    /// Who can open recordings, and how long they stay.
    pub recorder: recorder::Config,
    /// What counselors chose last.
    pub intentions: BTreeMap<Extension, Intention>,
    /// What the process before has left.
    pub kept: Kept,
    /// Where another configuration comes from; `None`: it never changes.
    pub source: Option<Source>,
    /// Is shown every step of a call; must not wait.
    pub on_step: Box<dyn FnMut(&Step) + Send>,
    /// Where everything runs that is not the loop: streams, the watching of files. A runtime with
    /// threads of its own keeps their work out of the loop's way.
    pub beside: runtime::Handle,
}

impl Shell {
    /// Binds every socket and starts the media threads. Must be called within the runtime that
    /// [`Self::run`] runs on.
    ///
    /// # Errors
    /// When a socket can't be bound, or the system refuses threads, signals or entropy.
    pub fn start(mut setup: Setup) -> Result<Self, Error> {
        let mut chance = clock::chance()?;
        let sockets = sockets(&mut setup)?;
        let beside = setup.beside;
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let certificate = Certificate::new(setup.fresh.tls.as_deref());
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let metrics = Metrics::default();
        tell_faults(&metrics, &setup.fresh.faults);
        let recorder =
            recorder(setup.recorder, setup.store.clone(), metrics.clone(), &command_sender)?;
        let drained_until = setup.kept.drained_until(clock::anchor()?);
        let (mut survival, found) = Survival::begin(setup.kept, &setup.store)?;
        let media = MediaThreads::start(
            &setup.media,
            &setup.fresh.library,
            &mut chance,
            &event_sender,
            Some(&recorder.tap()),
            &survival.ports(),
        )
        .map_err(Error::Media)?;
        let (change_sender, changes) = mpsc::channel(1);
        let signals = Signals::new()?;
        let hangup = signals::hangup()?;
        let (feed, handle) = handle::channel(setup.store.clone(), metrics.clone());
        let (reload_sender, reloads) = mpsc::channel(RELOADS_MAX);
        let handle = handle.with_eraser(recorder.eraser()).with_reloads(reload_sender);
        let handle = handle.with_listening(sockets.listening());
        let (rehearsals, handle) = Rehearsals::attach(handle, &setup.fresh.library);
        feed.bound(true);
        feed.missing(setup.fresh.missing.clone());
        let watching = setup.source.map(|source| {
            beside.spawn(reload::watch(source, setup.fresh.clone(), hangup, reloads, change_sender))
        });
        let drain = setup.fresh.call.limits.drain;
        let parts =
            parts(setup.fresh, setup.media, media.shards(), &sockets, setup.intentions, chance);
        let mut switchboard = survival.restore(found, parts);
        survival.listens(sockets.listening());
        recall(&mut switchboard, &setup.store);
        Ok(Self {
            switchboard,
            sockets,
            media,
            events,
            stand_ins: VecDeque::new(),
            commands,
            command_sender,
            changes,
            signals,
            store: setup.store,
            recorder,
            survival,
            shed: Shed::default(),
            flood: Flood::default(),
            metrics,
            rehearsals,
            feed,
            news: News::default(),
            handle,
            on_step: setup.on_step,
            asker: None,
            drain,
            stage: drained_until.map_or(Stage::Serving, Stage::Draining),
            faults: VecDeque::new(),
            certificate,
            watching,
            beside,
        })
    }
}

/// The sockets of SIP. Whoever goes on with the calls of a process before does without those that
/// can't be opened.
fn sockets(setup: &mut Setup) -> Result<Sockets, Error> {
    let Setup { fresh, sockets, kept, beside, .. } = setup;
    let before = kept.listened();
    let (listen, tls) = (&fresh.sip.listen, fresh.tls.clone());
    let sockets = Sockets::bind(listen, before.as_deref(), sockets, tls, beside, &kept.sockets)?;
    fresh.miss(sockets.missed(&fresh.sip.listen));
    Ok(sockets)
}

/// The recorder, which tells the loop what it loses; a full queue of commands leaves the board
/// behind, not the call.
fn recorder(
    config: recorder::Config,
    store: Store,
    metrics: Metrics,
    commands: &mpsc::Sender<Command>,
) -> io::Result<Recorder> {
    let commands = commands.clone();
    Recorder::start(config, store, metrics, move |record| {
        if commands.try_send(Command::RecordingLost(record)).is_err() {
            tracing::warn!("the loop could not be told that a recording is lost");
        }
    })
}

/// What an earlier process counted today, where the journal does not know it. A database that can't
/// be read costs the board these figures, and no call.
fn recall(switchboard: &mut Switchboard, store: &Store) {
    if switchboard.knows_today() {
        return;
    }
    let now = clock::now();
    // Longer than any day of any calendar.
    let from = now.wall - TimeDelta::hours(26);
    let counted = Reader::open(store.path())
        .and_then(|reader| reader.cdrs(from, now.wall, |cdr| switchboard.recall(now, &cdr)));
    if let Err(error) = counted {
        tracing::warn!(%error, "today's earlier calls are not on the board");
    }
}

/// What the switchboard is made of.
fn parts(
    fresh: Fresh,
    mut media: media::Config,
    shards: u8,
    sockets: &Sockets,
    intentions: BTreeMap<Extension, Intention>,
    chance: Chance,
) -> Parts {
    let Fresh { mut call, mut sip, .. } = fresh;
    resolve::literals(&mut call);
    // What stood for "choose": port 0, and as many threads as fit.
    sip.listen = sockets.listening().to_vec();
    media.threads = shards;
    Parts { call: Arc::new(call), sip, media, intentions, chance }
}
