//! The engine of one media thread: its ports, the bridges and mixes between them, recordings, and
//! the tick.
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
use crate::media::kept::State;
pub use crate::media::port::{Channel, Forward, Transmit};
use crate::media::port::{Outbox, Payload, Port};
use crate::media::prompt::Library;
use crate::media::recording::{Recorded, Recordings};
use crate::media::rtp::Header;
use crate::media::slots::{Slot, Slots};
use crate::media::timeline::TICK;
use crate::media::voices::Voices;
use crate::media::{Command, Config, Event, Kept, PortId, RecordId, Source};
use crate::time::Anchor;

/// Ticks that a late call of [`Engine::tick`] makes up for. The rest is skipped: a freeze must not
/// end in a burst of old packets.
const CATCH_UP_MAX: u32 = 3;
/// One call of [`Engine::tick`] ends when so many packets are to be sent, or so many ports have
/// ticked: packets that are to be relayed don't wait for the ticks of all.
const TRANSMITS_A_CALL: usize = 32;
const PORTS_A_CALL: usize = 256;

/// The media plane of one thread.
pub struct Engine {
    config: Config,
    library: Arc<Library>,
    chance: Chance,
    seats: Slots<Seat>,
    /// Who hears whom: speaker to hearer, also of speakers that are not open yet. A speaker has one
    /// hearer; the latest counts.
    hearers: BTreeMap<u32, PortId>,
    voices: Voices,
    recordings: Recordings,
    next_tick: Option<Instant>,
    /// The slot from which on the tick under way has still to be carried out; 0: none is under way.
    ticked: Slot,
    /// Ticks in a row that were late by a whole one.
    made_up: u32,
    /// The tick whose sound has been made: not again after a panic in it.
    heard: Option<Instant>,
    /// The port that was worked on last.
    at_work: Option<PortId>,
    /// The clock by which states are kept; `None`: none are.
    anchor: Option<Anchor>,
    out: Outbox,
}

/// A port, and who hears it.
struct Seat {
    port: Port,
    /// Where the port lies to which its packets are relayed.
    hearer: Option<Slot>,
    /// Whether mixes or recordings want its voice.
    is_tapped: bool,
}

impl Engine {
    /// An engine without ports.
    pub fn new(config: Config, library: Arc<Library>, chance: Chance) -> Self {
        Self {
            config,
            library,
            chance,
            seats: Slots::new(),
            hearers: BTreeMap::new(),
            voices: Voices::new(),
            recordings: Recordings::default(),
            next_tick: None,
            ticked: 0,
            made_up: 0,
            heard: None,
            at_work: None,
            anchor: None,
            out: Outbox::default(),
        }
    }

    /// From here on [`Engine::poll_kept`] tells what another process needs to go on with the ports,
    /// and [`Command::Resume`] goes on.
    pub fn keep(&mut self, anchor: Anchor) {
        self.anchor = Some(anchor);
    }

    /// Plays from these prompts from now on; what plays already plays on.
    pub fn set_library(&mut self, library: Arc<Library>) {
        self.library = library;
    }

    /// The port on whose behalf the engine did what it did last, if it was one: after a panic,
    /// whose fault it is.
    pub fn at_work(&self) -> Option<PortId> {
        self.at_work
    }

    /// How many ports are open.
    pub fn ports(&self) -> usize {
        self.seats.len()
    }

    /// Carries out an order. [`Command::Open`] says that the sockets are bound, [`Command::Close`]
    /// that they may go. An order for a port that is not there changes nothing.
    pub fn command(&mut self, now: Instant, command: Command) {
        self.at_work = None;
        match command {
            Command::Open { port, .. } => self.open(now, port),
            Command::Resume { port, state } => self.resume(now, port, &state),
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
            Command::Record { record, left, right } => self.record(record, [left, right]),
            Command::PauseRecord { record, paused } => self.recordings.pause(record, paused),
            Command::StopRecord { record } => self.end_recording(record),
            Command::Close { port } => self.close(now, port),
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
        let is_tapped = self.voices.is_wanted(id);
        self.seats.insert(id.n, Seat { port, hearer, is_tapped });
        self.out.events.push_back(Event::Opened { port: id });
    }

    fn resume(&mut self, now: Instant, id: PortId, state: &[u8]) {
        if let (Some(anchor), Some(state)) = (self.anchor, State::parse(state)) {
            self.with(id, |port| port.resume(now, &anchor, &state));
        }
    }

    fn listen(&mut self, now: Instant, id: PortId, mut source: Source) {
        let Some(seat) = self.seats.get(id.n) else { return };
        let (port, mixed) = (seat.port.hears_port(), seat.port.hears_mix().to_vec());
        if let Some(old) = port {
            self.part(old, id);
        }
        match &mut source {
            Source::Silence | Source::Play { .. } => (),
            Source::Port(from) => {
                self.hearers.insert(from.n, id);
                let hearer = self.seats.slot(id.n);
                if let Some(speaker) = self.seats.get(from.n) {
                    speaker.hearer = hearer;
                }
            }
            Source::Mix(speakers) => {
                speakers.sort_unstable();
                speakers.dedup();
                speakers.retain(|speaker| *speaker != id);
                speakers.iter().for_each(|speaker| self.tap(*speaker));
            }
        }
        // Only now: an ear that is wanted before and after hears on.
        mixed.iter().for_each(|speaker| self.untap(*speaker));
        let library = Arc::clone(&self.library);
        self.with(id, |port| port.listen(now, &library, source));
    }

    fn tap(&mut self, speaker: PortId) {
        self.voices.want(speaker);
        self.note_taps(speaker);
    }

    fn untap(&mut self, speaker: PortId) {
        self.voices.leave(speaker);
        self.note_taps(speaker);
    }

    fn note_taps(&mut self, speaker: PortId) {
        let is_tapped = self.voices.is_wanted(speaker);
        if let Some(seat) = self.seats.get(speaker.n) {
            seat.is_tapped = is_tapped;
        }
    }

    fn record(&mut self, record: RecordId, sides: [PortId; 2]) {
        let are_open = sides.iter().all(|side| self.seats.slot(side.n).is_some());
        let is_possible = are_open && self.recordings.len() < self.seats.len();
        self.recordings.begin(record, sides, is_possible, &mut self.voices);
        sides.iter().for_each(|side| self.note_taps(*side));
    }

    fn end_recording(&mut self, record: RecordId) {
        let sides = self.recordings.end(record, &mut self.voices);
        sides.into_iter().flatten().for_each(|side| self.note_taps(side));
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

    fn close(&mut self, now: Instant, id: PortId) {
        let Some(Seat { mut port, .. }) = self.seats.remove(id.n) else { return };
        if let Some(old) = port.hears_port() {
            self.part(old, id);
        }
        port.hears_mix().iter().for_each(|speaker| self.untap(*speaker));
        while let Some(record) = self.recordings.of(id) {
            self.end_recording(record);
        }
        self.voices.hush(id);
        if self.seats.len() == 0 {
            (self.next_tick, self.ticked) = (None, 0);
        }
        port.say_bye(now, &mut self.out);
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
        self.at_work = Some(port);
        let seat = self.seats.get(port.n)?;
        let incoming = seat.port.receive(now, from, buffer.get_mut(..length)?, &mut self.out)?;
        let hearer = seat.hearer;
        // Mixes have a buffer, which tells of itself.
        if incoming.is_late && !seat.is_tapped {
            seat.port.note_mixed(1, 0);
        }
        if seat.is_tapped
            && let Payload::Audio { codec, .. } = incoming.payload
        {
            let header = Header { timestamp: incoming.wire, ..incoming.header.clone() };
            let payload = buffer.get(header.payload.clone())?;
            self.voices.packet(now, port, &header, codec, payload);
        }
        let hearer = hearer?;
        self.seats.at(hearer)?.port.relay(now, &incoming, buffer)
    }

    /// As [`Engine::handle_rtp`], a packet that lay too long before it came here. It counts, and
    /// its keys are heard, but its voice goes nowhere: to the hearers it is lost.
    pub fn handle_old_rtp(
        &mut self,
        now: Instant,
        port: PortId,
        from: SocketAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> Option<Forward> {
        self.at_work = Some(port);
        let seat = self.seats.get(port.n)?;
        let incoming = seat.port.receive(now, from, buffer.get_mut(..length)?, &mut self.out)?;
        if let Payload::Audio { .. } = incoming.payload {
            seat.port.note_mixed(1, 0);
            return None;
        }
        let hearer = seat.hearer?;
        self.seats.at(hearer)?.port.relay(now, &incoming, buffer)
    }

    /// Takes a packet that came to a port's RTCP socket.
    pub fn handle_rtcp(&mut self, now: Instant, port: PortId, from: SocketAddr, packet: &mut [u8]) {
        self.at_work = Some(port);
        if let Some(seat) = self.seats.get(port.n) {
            seat.port.receive_rtcp(now, Channel::Rtcp, from, packet, &mut self.out);
        }
    }

    /// Lets time pass: sends what is due every 20 ms. A late call makes up for [`CATCH_UP_MAX`]
    /// ticks at most. A call does a share of the work: while [`Engine::poll_timeout`] says that it
    /// is time, more is to be done.
    pub fn tick(&mut self, now: Instant) {
        while let Some(at) = self.next_tick.filter(|at| *at <= now) {
            if self.ticked == 0 {
                if self.made_up == CATCH_UP_MAX {
                    let missed = (now - at).as_micros() / TICK.as_micros() + 1;
                    self.next_tick = Some(at + TICK * u32::try_from(missed).unwrap_or(u32::MAX));
                    break;
                }
                self.at_work = None;
                if self.heard.replace(at) != Some(at) {
                    self.hear(at);
                }
            }
            if !self.tick_ports(at) {
                return;
            }
            // Before what may panic, which must not come again at once.
            (self.ticked, self.next_tick) = (0, Some(at + TICK));
            self.made_up += 1;
            self.at_work = None;
            self.recordings.tick(&mut self.voices, |hearer, speaker| {
                self.seats.get(hearer.n).is_some_and(|seat| seat.port.hears(speaker))
            });
        }
        self.made_up = 0;
    }

    /// The sound of this tick.
    fn hear(&mut self, at: Instant) {
        self.voices.tick(at, |n, late, concealed| {
            if let Some(seat) = self.seats.get(n) {
                seat.port.note_mixed(late, concealed);
            }
        });
    }

    /// Carries out the tick of as many ports as one call may; true when it was the last.
    fn tick_ports(&mut self, at: Instant) -> bool {
        let end = self.seats.end();
        for _ in 0..PORTS_A_CALL {
            // Before it ticks: a port that panics is not asked again.
            let slot = self.ticked;
            self.ticked += 1;
            if let Some(seat) = self.seats.at(slot) {
                self.at_work = Some(seat.port.id());
                let is_heard = seat.hearer.is_some() || seat.is_tapped;
                let (voices, chance) = (&mut self.voices, &mut self.chance);
                seat.port.tick(at, is_heard, &self.config, voices, chance, &mut self.out);
                if let Some(anchor) = &self.anchor {
                    seat.port.keep(at, anchor, &mut self.out);
                }
            }
            if self.ticked >= end || self.out.transmits.len() >= TRANSMITS_A_CALL {
                break;
            }
        }
        self.ticked >= end
    }

    /// When [`Engine::tick`] wants to be called next; `None` without ports.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    /// The next packet to send, until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next piece of a recording, until `None`. To be asked after every tick and command.
    pub fn poll_recorded(&mut self) -> Option<Recorded> {
        self.recordings.poll()
    }

    /// The next state to keep, until `None`; a later one of the same port replaces the earlier. To
    /// be asked after every tick, once [`Engine::keep`] was called.
    pub fn poll_kept(&mut self) -> Option<Kept> {
        self.out.kept.pop_front()
    }

    /// The next thing to tell, until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }
}

#[cfg(test)]
mod tests;
