//! One media thread: its engine, its sockets, its loop.
//!
//! A turn of the loop reads what has come and passes it on, ticks when it is time, and takes
//! orders; each with a budget, so that one flood starves neither the tick nor the others. A panic
//! in the engine costs the packet that caused it; panics without end cost the thread's calls, not
//! the thread.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use tokio::sync::mpsc;

use super::Order;
use super::socket::Sockets;
use crate::chance::Chance;
use crate::media::engine::{Channel, Engine};
use crate::media::prompt::Library;
use crate::media::{Command, Config, Event, PortId, Quality};
use crate::shell::recorder::Tap;

/// The waker's token; sockets have the numbers of their ports, doubled.
pub(super) const WAKER: Token = Token(usize::MAX);
/// Sockets that one poll names.
const READY_MAX: usize = 1024;
/// Packets that are read from one socket before the others have their turn.
const PACKETS_A_TURN: usize = 16;
/// Orders that are taken in one turn.
const ORDERS_A_TURN: usize = 64;
/// The longest packet that is read; longer ones are cut, and dropped as damaged.
const PACKET_MAX: usize = 2048;
/// Events that wait for the loop to take them; beyond this no orders are taken, and what the call
/// path can do without is dropped.
const BACKLOG_MAX: usize = 4096;
/// Panics after which the engine's state is not trusted any more.
const PANICS_MAX: u32 = 16;
/// How soon events that found no room are tried again.
const RETRY: Duration = Duration::from_millis(20);

/// One thread's everything.
pub(super) struct Shard {
    poll: Poll,
    inbox: Receiver<Order>,
    events: mpsc::Sender<Event>,
    backlog: VecDeque<Event>,
    config: Config,
    library: Arc<Library>,
    chance: Chance,
    engine: Engine,
    ports: BTreeMap<u32, (PortId, Sockets)>,
    /// Sockets that may have more to read.
    unread: VecDeque<Token>,
    has_orders: bool,
    panics: u32,
    buffer: Box<[u8; PACKET_MAX]>,
    recorder: Option<Tap>,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Turn {
    GoOn,
    Stop,
}

impl Shard {
    pub(super) fn new(
        poll: Poll,
        inbox: Receiver<Order>,
        events: mpsc::Sender<Event>,
        config: Config,
        library: Arc<Library>,
        mut chance: Chance,
        recorder: Option<Tap>,
    ) -> Self {
        let engine = Engine::new(config.clone(), Arc::clone(&library), chance.split());
        Self {
            poll,
            inbox,
            events,
            backlog: VecDeque::new(),
            config,
            library,
            chance,
            engine,
            ports: BTreeMap::new(),
            unread: VecDeque::new(),
            has_orders: false,
            panics: 0,
            buffer: Box::new([0; PACKET_MAX]),
            recorder,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let mut ready = Events::with_capacity(READY_MAX);
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn(&mut ready))) {
                Ok(Ok(Turn::GoOn)) => (),
                Ok(Ok(Turn::Stop)) => return,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a media thread can't poll");
                    std::thread::sleep(RETRY);
                }
                Err(_) => self.after_panic(),
            }
        }
    }

    fn turn(&mut self, ready: &mut Events) -> io::Result<Turn> {
        match self.poll.poll(ready, self.wait()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Err(_) | Ok(()) => (),
        }
        self.unread.extend(ready.iter().map(mio::event::Event::token).filter(|t| *t != WAKER));
        ready.clear();
        for _ in 0..self.unread.len() {
            if let Some(token) = self.unread.pop_front()
                && self.read(token)
            {
                self.unread.push_back(token);
            }
            self.tick();
        }
        self.tick();
        let turn = self.take_orders();
        self.flush();
        Ok(turn)
    }

    /// How long there is nothing to do; `None`: until something comes.
    fn wait(&self) -> Option<Duration> {
        if !self.unread.is_empty() || self.has_orders {
            return Some(Duration::ZERO);
        }
        let tick = self.engine.poll_timeout();
        let tick = tick.map(|at| at.saturating_duration_since(Instant::now()));
        match tick {
            None if !self.backlog.is_empty() => Some(RETRY),
            tick => tick,
        }
    }

    /// Ticks when it is time.
    fn tick(&mut self) {
        let now = Instant::now();
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.tick(now);
            self.flush();
        }
    }

    /// Reads one socket; true when there may be more.
    fn read(&mut self, token: Token) -> bool {
        let Some(n) = u32::try_from(token.0 / 2).ok() else { return false };
        for _ in 0..PACKETS_A_TURN {
            let Some((port, sockets)) = self.ports.get(&n) else { return false };
            let is_rtp = token.0.is_multiple_of(2);
            let socket = if is_rtp { &sockets.rtp } else { &sockets.rtcp };
            let (length, from) = match socket.recv_from(&mut self.buffer[..]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // An earlier packet's ICMP answer says nothing about what waits behind it.
                Err(_) => continue,
            };
            let (now, port) = (Instant::now(), *port);
            if is_rtp {
                let buffer = &mut self.buffer[..];
                if let Some(forward) = self.engine.handle_rtp(now, port, from, buffer, length)
                    && let Some((_, sockets)) = self.ports.get(&forward.port.n)
                {
                    sent(sockets.rtp.send_to(&buffer[forward.range], forward.to));
                }
            } else {
                self.engine.handle_rtcp(now, port, from, &mut self.buffer[..length]);
            }
        }
        true
    }

    fn take_orders(&mut self) -> Turn {
        self.has_orders = true;
        if self.backlog.len() >= BACKLOG_MAX {
            self.has_orders = false;
            return Turn::GoOn;
        }
        for _ in 0..ORDERS_A_TURN {
            match self.inbox.try_recv() {
                Ok(Order::Command(command)) => self.command(command),
                Ok(Order::Library(library)) => {
                    self.library = Arc::clone(&library);
                    self.engine.set_library(library);
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return Turn::Stop,
                Err(TryRecvError::Empty) => {
                    self.has_orders = false;
                    break;
                }
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
            let first = port.n as usize * 2;
            let tokens = (Token(first), Token(first + 1));
            match Sockets::open(self.poll.registry(), *local, *dscp, tokens) {
                Ok(sockets) => {
                    self.ports.insert(port.n, (*port, sockets));
                }
                Err(error) => {
                    tracing::warn!(%error, %local, "a media port can't be opened");
                    return self.tell(Event::OpenFailed { port: *port });
                }
            }
        }
        self.engine.command(Instant::now(), command);
    }

    /// Sends the engine's packets and tells its events.
    fn flush(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit() {
            if let Some((_, sockets)) = self.ports.get(&transmit.port.n) {
                let socket = match transmit.channel {
                    Channel::Rtp => &sockets.rtp,
                    Channel::Rtcp => &sockets.rtcp,
                };
                sent(socket.send_to(transmit.bytes(), transmit.to));
            }
        }
        self.pass_on_recorded();
        while let Some(event) = self.engine.poll_event() {
            if let Event::Closed { port, .. } = &event
                && let Some((_, sockets)) = self.ports.remove(&port.n)
            {
                sockets.close(self.poll.registry());
            }
            self.tell(event);
        }
        while let Some(event) = self.backlog.pop_front() {
            if let Err(error) = self.events.try_send(event) {
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
            let is_taken = self.recorder.as_ref().is_some_and(|tap| tap.give(recorded).is_ok());
            if !is_taken {
                self.engine.command(Instant::now(), Command::StopRecord { record });
            }
        }
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

    /// After too many panics the thread begins anew: its calls are told closed.
    fn after_panic(&mut self) {
        self.panics += 1;
        tracing::error!(panics = self.panics, "the media engine panicked");
        if self.panics < PANICS_MAX {
            return;
        }
        self.panics = 0;
        let (config, library) = (self.config.clone(), Arc::clone(&self.library));
        self.engine = Engine::new(config, library, self.chance.split());
        for (_, (port, sockets)) in std::mem::take(&mut self.ports) {
            sockets.close(self.poll.registry());
            self.tell(Event::Closed { port, quality: Quality::default() });
        }
    }
}

/// A packet that can't be sent is lost, as any packet may be: RTP doesn't repeat.
fn sent(result: io::Result<usize>) {
    if let Err(error) = result {
        tracing::trace!(%error, "a media packet was not sent");
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn panics_without_end_cost_the_calls_not_the_thread() {
        let (events, mut told) = mpsc::channel(8);
        let (_orders, inbox) = sync_channel(1);
        let (config, library) = (Config::default(), Arc::new(Library::default()));
        let chance = Chance::from_number(1);
        let poll = Poll::new().unwrap();
        let mut shard = Shard::new(poll, inbox, events, config, library, chance, None);
        let port = PortId { n: 1, shard: 0 };
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let local = std::net::SocketAddr::new(free.ip(), free.port() & !1);
        let open = || Command::Open { port, local, dscp: 0 };
        shard.command(open());
        shard.flush();
        if told.try_recv() != Ok(Event::Opened { port }) {
            return; // somebody else has the port
        }
        (1..PANICS_MAX).for_each(|_| shard.after_panic());
        assert_eq!(shard.engine.ports(), 1);
        shard.after_panic();
        shard.command(open());
        shard.flush();
        let quality = Quality::default();
        assert_eq!(told.try_recv(), Ok(Event::Closed { port, quality }));
        assert_eq!(told.try_recv(), Ok(Event::Opened { port }));
    }

    #[test]
    fn a_loop_that_takes_no_events_loses_only_what_it_can_do_without() {
        let (events, mut told) = mpsc::channel(1);
        let (_orders, inbox) = sync_channel(1);
        let (config, library) = (Config::default(), Arc::new(Library::default()));
        let chance = Chance::from_number(1);
        let poll = Poll::new().unwrap();
        let mut shard = Shard::new(poll, inbox, events, config, library, chance, None);
        let port = PortId { n: 1, shard: 0 };
        (0..2 * BACKLOG_MAX).for_each(|_| shard.tell(Event::Silent { port }));
        assert_eq!(shard.backlog.len(), BACKLOG_MAX);
        let quality = Quality::default();
        shard.tell(Event::Closed { port, quality });
        let mut last = None;
        for _ in 0..=BACKLOG_MAX {
            shard.flush();
            last = told.try_recv().ok();
        }
        assert_eq!(last, Some(Event::Closed { port, quality }));
    }
}
