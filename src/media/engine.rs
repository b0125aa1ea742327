//! The engine of one media thread: its ports, the bridges between them, and the tick.
//!
//! Owns the ports of one shard. Four kinds of method: [`Engine::command`] takes an order,
//! `handle_*` takes a packet, [`Engine::tick`] lets time pass, `poll_*` gives what came of it. Owns
//! no socket: whoever does binds before it hands on a [`Command::Open`], and unbinds when it sees
//! [`Event::Closed`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::chance::Chance;
pub use crate::media::port::{Channel, Forward, Transmit};
use crate::media::port::{Outbox, Port};
use crate::media::prompt::Library;
use crate::media::slots::{Slot, Slots};
use crate::media::timeline::TICK;
use crate::media::{Command, Config, Event, PortId, Recorded, Source};

/// Ticks that a late call of [`Engine::tick`] makes up for. The rest is skipped: a freeze must not
/// end in a burst of old packets.
pub const CATCH_UP_MAX: u32 = 3;

/// The media plane of one thread.
pub struct Engine {
    config: Config,
    library: Arc<Library>,
    chance: Chance,
    seats: Slots<Seat>,
    /// Who hears whom: speaker to hearer, also of speakers that are not open yet. A speaker has one
    /// hearer; the latest counts.
    hearers: BTreeMap<u32, PortId>,
    next_tick: Option<Instant>,
    out: Outbox,
}

/// A port, and where the port lies that hears it.
struct Seat {
    port: Port,
    hearer: Option<Slot>,
}

impl Engine {
    /// An engine without ports.
    pub fn new(config: Config, library: Arc<Library>, chance: Chance) -> Self {
        let (seats, hearers) = (Slots::new(), BTreeMap::new());
        Self { config, library, chance, seats, hearers, next_tick: None, out: Outbox::default() }
    }

    /// Plays from these prompts from now on; what plays already plays on.
    pub fn set_library(&mut self, library: Arc<Library>) {
        self.library = library;
    }

    /// How many ports are open.
    pub fn ports(&self) -> usize {
        self.seats.len()
    }

    /// Carries out an order. [`Command::Open`] says that the sockets are bound, [`Command::Close`]
    /// that they may go. An order for a port that is not there changes nothing.
    pub fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Open { port, .. } => self.open(now, port),
            Command::Connect { port, peer, crypto } => {
                if let Some(seat) = self.seats.get(port.n) {
                    seat.port.connect(now, peer, crypto.as_deref(), &mut self.chance);
                }
            }
            Command::Listen { port, source } => self.listen(now, port, source),
            Command::Overlay { port, prompts } => {
                let library = Arc::clone(&self.library);
                self.with(port, |p| p.overlay(&library, &prompts));
            }
            Command::Detect { port, rfc4733, inband, pass } => {
                self.with(port, |p| p.detect(rfc4733, inband, pass));
            }
            Command::SendDigit { port, digit } => self.with(port, |p| p.press(digit)),
            Command::Record { .. } | Command::PauseRecord { .. } | Command::StopRecord { .. } => {}
            Command::Close { port } => self.close(port),
        }
    }

    fn with(&mut self, id: PortId, act: impl FnOnce(&mut Port)) {
        if let Some(seat) = self.seats.get(id.n) {
            act(&mut seat.port);
        }
    }

    fn open(&mut self, now: Instant, id: PortId) {
        if self.seats.slot(id.n).is_some() {
            return;
        }
        self.next_tick.get_or_insert(now + TICK);
        let hearer = self.hearers.get(&id.n).and_then(|hearer| self.seats.slot(hearer.n));
        let port = Port::new(now, id, &mut self.chance);
        self.seats.insert(id.n, Seat { port, hearer });
        self.out.events.push_back(Event::Opened { port: id });
    }

    fn listen(&mut self, now: Instant, id: PortId, source: Source) {
        let Some(seat) = self.seats.get(id.n) else { return };
        let old = seat.port.hears_port();
        if let Some(old) = old {
            self.part(old, id);
        }
        if let Source::Port(from) = &source {
            self.hearers.insert(from.n, id);
            let hearer = self.seats.slot(id.n);
            if let Some(speaker) = self.seats.get(from.n) {
                speaker.hearer = hearer;
            }
        }
        let library = Arc::clone(&self.library);
        self.with(id, |port| port.listen(now, &library, source));
    }

    /// A speaker is no longer heard by this hearer.
    fn part(&mut self, speaker: PortId, hearer: PortId) {
        if self.hearers.get(&speaker.n) == Some(&hearer) {
            self.hearers.remove(&speaker.n);
            if let Some(seat) = self.seats.get(speaker.n) {
                seat.hearer = None;
            }
        }
    }

    fn close(&mut self, id: PortId) {
        let Some(Seat { port, .. }) = self.seats.remove(id.n) else { return };
        if let Some(old) = port.hears_port() {
            self.part(old, id);
        }
        if self.seats.len() == 0 {
            self.next_tick = None;
        }
        self.out.events.push_back(Event::Closed { port: id, quality: port.quality() });
    }

    /// Takes a packet that came to a port's RTP socket: the first `length` bytes of `buffer`. What
    /// goes on to another peer is made in place, perhaps longer than it came (the rest of the
    /// buffer is room for that); nothing is allocated.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        port: PortId,
        from: SocketAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> Option<Forward> {
        let seat = self.seats.get(port.n)?;
        let incoming = seat.port.receive(now, from, buffer.get_mut(..length)?, &mut self.out)?;
        let hearer = seat.hearer?;
        self.seats.at(hearer)?.port.relay(now, &incoming, buffer)
    }

    /// Takes a packet that came to a port's RTCP socket.
    pub fn handle_rtcp(&mut self, now: Instant, port: PortId, from: SocketAddr, packet: &mut [u8]) {
        if let Some(seat) = self.seats.get(port.n) {
            seat.port.receive_rtcp(now, Channel::Rtcp, from, packet, &mut self.out);
        }
    }

    /// Lets time pass: sends what is due every 20 ms. A late call makes up for [`CATCH_UP_MAX`]
    /// ticks at most.
    pub fn tick(&mut self, now: Instant) {
        for _ in 0..CATCH_UP_MAX {
            let Some(at) = self.next_tick.filter(|at| *at <= now) else { return };
            for (_, seat) in self.seats.iter_mut() {
                seat.port.tick(at, &self.config, &mut self.out);
            }
            self.next_tick = Some(at + TICK);
        }
        if let Some(at) = self.next_tick.filter(|at| *at <= now) {
            let missed = (now - at).as_micros() / TICK.as_micros() + 1;
            self.next_tick = Some(at + TICK * u32::try_from(missed).unwrap_or(u32::MAX));
        }
    }

    /// When [`Engine::tick`] wants to be called next; `None` without ports.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    /// The next packet to send, until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// What was recorded since, until `None`.
    pub fn poll_recorded(&mut self) -> Option<Recorded> {
        None
    }

    /// The next thing to tell, until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }
}

#[cfg(test)]
mod tests;
