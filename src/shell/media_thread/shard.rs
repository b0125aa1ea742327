//! One media thread: its engine, its sockets, its loop.
//!
//! A turn of the loop waits, passes on what has come, ticks when it is time, and takes orders; each
//! with a budget, so that one flood starves neither the tick nor the others. How packets come and
//! go is a [`Backend`]'s. A panic in the engine costs the packet that caused it; panics without end
//! cost the port that they come from, and where they come from none the thread's calls, not the
//! thread.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Order;
use super::backend::sockets::Sockets;
use super::backend::{Arrival, Backend};
use super::figures::Gauge;
use super::orders::{Found, Inbox};
use crate::chance::Chance;
use crate::media::engine::{Channel, Engine};
use crate::media::prompt::Library;
use crate::media::{Command, Config, Event, PortId, Quality};
use crate::shell::kept_sockets::Name;
use crate::shell::kept_voices::KeptPorts;
use crate::shell::recorder::Tap;

/// Packets that are passed on before it is looked whether a tick is due and what was sent on is
/// handed to the system.
const PACKETS_A_TURN: usize = 32;
/// Orders that are taken in one turn.
const ORDERS_A_TURN: usize = 64;
/// Events that wait for the loop to take them; beyond this no orders are taken, and what the call
/// path can do without is dropped.
const BACKLOG_MAX: usize = 4096;
/// Panics after which the engine's state is not trusted any more, and a port's.
const PANICS_MAX: u32 = 16;
const PORT_PANICS_MAX: u32 = 4;
/// Panics are forgotten when none has come for so long.
const PANICS_FOR: Duration = Duration::from_secs(60);
/// Voice that lay longer than this before it was read is not passed on: nobody plays it any more,
/// and a thread that was away would leave all that follows as late. As long as a jitter buffer.
const OLD_AFTER: Duration = Duration::from_millis(200);
/// The same where ports of the process before have just been taken over, for what came while there
/// was no process and what came behind it: the peers decide for themselves what they still play.
const TAKEN_OVER_AFTER: Duration = Duration::from_secs(1);
/// How soon an inbox is looked into again into which somebody has just written.
const BUSY: Duration = Duration::from_millis(1);
/// How soon events that found no room are tried again.
const RETRY: Duration = Duration::from_millis(20);

/// What a shard is given.
pub(super) struct Means {
    pub(super) inbox: Inbox,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) config: Config,
    pub(super) library: Arc<Library>,
    pub(super) chance: Chance,
    pub(super) gauge: Arc<Gauge>,
    /// Where recorded sound goes; without it recordings end at once.
    pub(super) recorder: Option<Tap>,
    /// What it takes over of its ports, and leaves.
    pub(super) kept: KeptPorts,
}

impl Means {
    fn new_engine(&mut self) -> Engine {
        let library = Arc::clone(&self.library);
        let mut engine = Engine::new(self.config.clone(), library, self.chance.split());
        if let Some(anchor) = self.kept.voices.anchor() {
            engine.keep(anchor);
        }
        engine
    }
}

/// One thread's everything.
pub(super) struct Shard<B> {
    backend: B,
    means: Means,
    backlog: VecDeque<Event>,
    engine: Engine,
    /// Open ports, and where they are.
    ports: BTreeMap<u32, (PortId, SocketAddr)>,
    /// The backend has packets that were not taken in the last turn.
    has_packets: bool,
    /// When the inbox is to be looked into, where there is more in it.
    orders_at: Option<Instant>,
    /// When the last wait ended.
    now: Instant,
    /// When ports of the process before were taken over.
    taken_over: Instant,
    /// The tick that was begun last.
    ticked: Option<Instant>,
    /// Panics while a port was worked on, or none; when the last was.
    panics: BTreeMap<Option<PortId>, (u32, Instant)>,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Turn {
    GoOn,
    Stop,
}

impl<B: Backend> Shard<B> {
    pub(super) fn new(backend: B, mut means: Means) -> Self {
        let engine = means.new_engine();
        Self {
            backend,
            means,
            backlog: VecDeque::new(),
            engine,
            ports: BTreeMap::new(),
            has_packets: false,
            orders_at: None,
            now: Instant::now(),
            taken_over: Instant::now(),
            ticked: None,
            panics: BTreeMap::new(),
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(Ok(Turn::GoOn)) => (),
                Ok(Ok(Turn::Stop)) => return,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a media thread can't wait for packets");
                    std::thread::sleep(RETRY);
                }
                Err(_) => self.after_panic(),
            }
        }
    }

    fn turn(&mut self) -> io::Result<Turn> {
        self.backend.wait(self.until())?;
        self.pass_on();
        self.tick();
        let turn = self.take_orders();
        if turn == Turn::Stop {
            self.stop_reading();
        }
        self.flush();
        if turn == Turn::Stop {
            // Hands over what is to be sent.
            self.backend.wait(Some(self.now))?;
        }
        Ok(turn)
    }

    /// When there is something to do without any packet; `None`: never.
    fn until(&self) -> Option<Instant> {
        if self.has_packets {
            return Some(self.now);
        }
        let has_to_retry = || (!self.backlog.is_empty()).then(|| self.now + RETRY);
        let timeout = self.engine.poll_timeout().or_else(has_to_retry);
        [self.orders_at, timeout].into_iter().flatten().min()
    }

    /// Ticks when it is time; a tick of many ports takes several turns.
    fn tick(&mut self) {
        let now = Instant::now();
        let Some(at) = self.engine.poll_timeout().filter(|at| *at <= now) else { return };
        if self.ticked.replace(at) != Some(at) {
            self.means.gauge.tick(now - at);
            self.backend.next_tick();
            self.means.gauge.dropped(self.backend.drops());
        }
        self.engine.tick(now);
    }

    /// Takes packets and sends on what is to be sent on, each out of its receive buffer.
    fn pass_on(&mut self) {
        self.now = Instant::now();
        let (now, engine) = (self.now, &mut self.engine);
        let since_taken_over = now - self.taken_over;
        let old_after = match since_taken_over < TAKEN_OVER_AFTER {
            true => TAKEN_OVER_AFTER + since_taken_over,
            false => OLD_AFTER,
        };
        self.has_packets = self.backend.deliver(PACKETS_A_TURN, |arrival| {
            let Arrival { port, channel, from, buffer, length, waited } = arrival;
            match channel {
                Channel::Rtp if waited > old_after => {
                    self.means.gauge.old();
                    engine.handle_old_rtp(now, port, from, buffer, length)
                }
                Channel::Rtp => engine.handle_rtp(now, port, from, buffer, length),
                Channel::Rtcp => {
                    engine.handle_rtcp(now, port, from, buffer.get_mut(..length)?);
                    None
                }
            }
        });
    }

    /// Leaves what comes to whoever has the sockets next, and passes on what has come.
    fn stop_reading(&mut self) {
        self.backend.stop_reading();
        self.pass_on();
        while self.has_packets {
            self.pass_on();
        }
    }

    fn take_orders(&mut self) -> Turn {
        // Where one of them causes a panic, the others are not to wait for somebody's next.
        self.orders_at = Some(self.now);
        if self.backlog.len() >= BACKLOG_MAX {
            self.orders_at = None;
            return Turn::GoOn;
        }
        for _ in 0..ORDERS_A_TURN {
            let order = match self.means.inbox.take() {
                Found::One(order) => order,
                Found::Over => return Turn::Stop,
                Found::Nothing => {
                    self.orders_at = None;
                    return Turn::GoOn;
                }
                Found::Busy => {
                    self.orders_at = Some(self.now + BUSY);
                    return Turn::GoOn;
                }
            };
            match order {
                Order::Command(command) => self.command(command),
                Order::All(commands) => {
                    commands.into_iter().for_each(|it| self.command(it));
                    self.taken_over = Instant::now();
                }
                Order::Library(library) => {
                    self.means.library = Arc::clone(&library);
                    self.engine.set_library(library);
                }
                Order::Stop => return Turn::Stop,
            }
        }
        Turn::GoOn
    }

    fn command(&mut self, command: Command) {
        if let Command::Open { port, local, dscp } = &command {
            if self.ports.contains_key(&port.n) {
                tracing::warn!(port = port.n, "a media port is asked for twice");
                return;
            }
            let opened = Sockets::open(*local, *dscp, &self.means.kept.sockets)
                .and_then(|both| self.backend.open(*port, both));
            match opened {
                Ok(()) => {
                    self.ports.insert(port.n, (*port, *local));
                }
                Err(error) => {
                    tracing::warn!(%error, %local, "a media port can't be opened");
                    self.means.kept.voices.forget(*port);
                    return self.tell(Event::OpenFailed { port: *port });
                }
            }
        }
        self.engine.command(Instant::now(), command);
    }

    /// Sends the engine's packets and tells its events.
    fn flush(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit() {
            self.backend.send(transmit.port, transmit.channel, transmit.to, transmit.bytes());
        }
        self.pass_on_recorded();
        while let Some(kept) = self.engine.poll_kept() {
            self.means.kept.voices.keep(kept);
        }
        while let Some(event) = self.engine.poll_event() {
            if let Event::Closed { port, .. } = &event
                && let Some((_, local)) = self.ports.remove(&port.n)
            {
                self.close(*port, local);
            }
            self.tell(event);
        }
        self.means.kept.voices.hand_over();
        while let Some(event) = self.backlog.pop_front() {
            if let Err(error) = self.means.events.try_send(event) {
                if let mpsc::error::TrySendError::Full(event) = error {
                    self.backlog.push_front(event);
                }
                break;
            }
        }
    }

    /// Hands over what is recorded. A recording that finds no room has a hole: it ends.
    fn pass_on_recorded(&mut self) {
        while let Some(recorded) = self.engine.poll_recorded() {
            let record = recorded.record;
            let is_taken =
                self.means.recorder.as_ref().is_some_and(|tap| tap.give(recorded).is_ok());
            if !is_taken {
                self.engine.command(Instant::now(), Command::StopRecord { record });
            }
        }
    }

    fn close(&mut self, port: PortId, local: SocketAddr) {
        self.backend.close(port);
        self.means.kept.sockets.forget(Name::media(local));
        self.means.kept.voices.forget(port);
    }

    fn tell(&mut self, event: Event) {
        let is_owed = match event {
            Event::Opened { .. }
            | Event::OpenFailed { .. }
            | Event::Played { .. }
            | Event::Closed { .. } => true,
            Event::Heard { .. }
            | Event::Digit { .. }
            | Event::OneWay { .. }
            | Event::BothWays { .. }
            | Event::Measured { .. }
            | Event::Silent { .. }
            | Event::Resumed { .. } => false,
        };
        if is_owed || self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back(event);
        }
    }

    /// After too many panics a port closes, or the thread begins anew: calls are told closed.
    fn after_panic(&mut self) {
        let now = Instant::now();
        let port = self.engine.at_work();
        self.panics.retain(|_, (_, last)| now < *last + PANICS_FOR);
        let (panics, last) = self.panics.entry(port).or_insert((0, now));
        (*panics, *last) = (*panics + 1, now);
        let panics = *panics;
        tracing::error!(panics, ?port, "the media engine panicked");
        match port {
            Some(_) if panics < PORT_PANICS_MAX => return,
            None if panics < PANICS_MAX => return,
            Some(port) => {
                self.panics.remove(&Some(port));
                let close = || self.engine.command(now, Command::Close { port });
                if catch_unwind(AssertUnwindSafe(close)).is_ok() {
                    return;
                }
            }
            None => (),
        }
        self.panics.clear();
        self.engine = self.means.new_engine();
        for (_, (port, local)) in std::mem::take(&mut self.ports) {
            self.close(port, local);
            self.tell(Event::Closed { port, quality: Quality::default() });
        }
    }
}

#[cfg(test)]
mod tests;
