//! One port: what comes from its peer and what its peer hears.
//!
//! Owns the peer's proven address (symmetric RTP), what it hears, its keys, and the figures of its
//! voice. The incoming half is in [`ingress`]; this file is the outgoing half. Knows other ports
//! only by name: [`crate::media::engine`] carries packets between them.

mod carry;
mod figures;
mod frame;
mod guard;
mod ingress;
mod keeping;
mod life;
mod lock;
mod pin;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use carry::Forward;
pub(super) use ingress::{Incoming, Payload};

use figures::Figures;
use frame::{Coder, Frame};
use guard::{Before, Guard};
use keeping::Keeper;
use life::{Life, Receipts, Ways};
use lock::{Lock, is_address};

use crate::chance::Chance;
use crate::media::dtmf::events::TelephoneEvent;
use crate::media::dtmf::press::{By, Presses, Step};
use crate::media::prompt::Library;
use crate::media::prompt::player::{Places, Player};
use crate::media::rtp::{HEADER, Reception, Stamp};
use crate::media::timeline::{FRAME, Relay, Timeline};
use crate::media::voices::Voices;
use crate::media::{
    Config, Crypto, Event, Kept, Peer, PlayId, PortId, Prompt, Quality, Rate, Source, Then, rtcp,
    span,
};

/// Mean time from report to report, in milliseconds (RFC 3550 §6.2 asks for 5 s at least). Each is
/// 0.5 to 1.5 times as long, so that nobody falls into step (§6.3.1); the first half of that.
const REPORT_EVERY_MS: u64 = 5000;

/// The longest packet of our own.
const PACKET_MAX: usize = HEADER + FRAME + guard::ADDED_MAX;

/// Which of a port's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The even one.
    Rtp,
    /// The odd one.
    Rtcp,
}

/// A packet to be sent.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// By which port.
    pub port: PortId,
    /// From which of its sockets.
    pub channel: Channel,
    /// Where to.
    pub to: SocketAddr,
    bytes: [u8; PACKET_MAX],
    length: usize,
}

impl Transmit {
    /// The packet.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What a port gives to the world.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) kept: VecDeque<Kept>,
}

/// What a port hears.
#[derive(Debug)]
enum Hears {
    Silence,
    /// Prompts; `play` until their end has been told.
    Play {
        player: Player,
        play: Option<PlayId>,
    },
    /// Another port.
    Port {
        from: PortId,
        relay: Relay,
    },
    /// Other ports, mixed.
    Mix(Vec<PortId>),
}

/// One leg's media.
#[derive(Debug)]
pub(super) struct Port {
    id: PortId,
    epoch: Instant,
    peer: Option<Peer>,
    guard: Guard,
    lock: Lock,
    pin: pin::Pin,
    /// Where the peer's RTCP came from.
    rtcp_source: Option<SocketAddr>,
    /// The timestamps that come in.
    units: span::Units,
    line: Timeline,
    hears: Hears,
    /// The relay's way into this peer's codec.
    crossing: Option<carry::Crossing>,
    /// Makes what is no copy: tones and mixes.
    coder: Option<Coder>,
    overlay: Option<Player>,
    places: Places,
    presses: Presses,
    /// Timestamp of the key under way.
    press_timestamp: u32,
    events_this_tick: u8,
    keypad: ingress::Keypad,
    reception: Reception,
    reports: rtcp::Reports,
    next_report: Instant,
    figures: Figures,
    life: Life,
    ways: Ways,
    receipts: Receipts,
    keeper: Keeper,
}

impl Port {
    pub(super) fn new(now: Instant, id: PortId, chance: &mut Chance) -> Self {
        let first_report = until_report(chance) / 2;
        Self {
            id,
            epoch: now,
            peer: None,
            guard: Guard::Plain { before: Before::Nothing },
            lock: Lock::default(),
            pin: pin::Pin::default(),
            rtcp_source: None,
            units: span::Units::default(),
            line: Timeline::new(now, chance),
            hears: Hears::Silence,
            crossing: None,
            coder: None,
            overlay: None,
            places: Places::default(),
            presses: Presses::default(),
            press_timestamp: 0,
            events_this_tick: 0,
            keypad: ingress::Keypad::default(),
            reception: Reception::new(),
            reports: rtcp::Reports::new(now, chance.token(16)),
            next_report: now + first_report,
            figures: Figures::default(),
            life: Life::Unheard,
            ways: Ways::default(),
            receipts: Receipts::default(),
            keeper: Keeper::default(),
        }
    }

    /// Talks to this peer from now on. The proven source stays until another proves to be the
    /// peer's ([`lock`]).
    pub(super) fn connect(
        &mut self,
        now: Instant,
        peer: Peer,
        crypto: Option<&Crypto>,
        chance: &mut Chance,
    ) {
        let was_secure = self.guard.is_secure();
        if self.guard.take(crypto) {
            self.line.begin_anew(chance);
        }
        self.line.set_ticks(span::ticks(peer.codec));
        if self.lock.connect(now, &peer) {
            self.rtcp_source = None;
            self.line.mark();
            self.ways.anew();
            self.receipts.anew(self.figures.sent);
        }
        // On a secure leg packets prove themselves, and the pin is no secret there.
        if was_secure != self.guard.is_secure() {
            self.pin.release();
        }
        let owed_nothing = !self.peer.as_ref().is_some_and(|old| old.receive);
        if !peer.receive || owed_nothing {
            self.life.excuse(now);
        }
        if peer.receive {
            self.figures.ask(now);
        }
        self.peer = Some(peer);
    }

    /// Hears this from now on.
    pub(super) fn listen(&mut self, now: Instant, library: &Library, source: Source) {
        if let Hears::Play { player, .. } = &self.hears {
            player.leave(&mut self.places);
        }
        self.line.mark();
        self.crossing = None;
        self.hears = match source {
            Source::Silence => Hears::Silence,
            Source::Play { play, prompts, then } => {
                let music = match &then {
                    Then::Silence => None,
                    Then::Loop(name) => Some(name),
                };
                let player = Player::new(library, &prompts, music, &mut self.places);
                Hears::Play { player, play: Some(play) }
            }
            Source::Mix(from) => Hears::Mix(from),
            Source::Port(from) => Hears::Port { from, relay: self.relay_anew(now) },
        };
        self.forget_past();
    }

    pub(super) fn id(&self) -> PortId {
        self.id
    }

    /// The port that it hears.
    pub(super) fn hears_port(&self) -> Option<PortId> {
        match &self.hears {
            Hears::Port { from, .. } => Some(*from),
            Hears::Silence | Hears::Play { .. } | Hears::Mix(_) => None,
        }
    }

    /// Whether it hears this one, alone or among others.
    pub(super) fn hears(&self, speaker: PortId) -> bool {
        self.hears_port() == Some(speaker) || self.hears_mix().contains(&speaker)
    }

    /// The ports that it hears mixed.
    pub(super) fn hears_mix(&self) -> &[PortId] {
        match &self.hears {
            Hears::Mix(from) => from,
            Hears::Silence | Hears::Play { .. } | Hears::Port { .. } => &[],
        }
    }

    /// So many more packets came too late for the mixes, and so many more frames were made up.
    pub(super) fn note_mixed(&mut self, late: u64, concealed: u64) {
        self.figures.late += late;
        self.figures.concealed += concealed;
    }

    /// Hears these prompts over everything else, until they end.
    pub(super) fn overlay(&mut self, library: &Library, prompts: &[Prompt]) {
        self.line.mark();
        self.overlay = Some(Player::new(library, prompts, None, &mut self.places));
    }

    /// Which keys are told of, and whether telephone-events go on to the hearer.
    pub(super) fn detect(&mut self, rfc4733: bool, inband: bool, pass: bool) {
        self.keypad.detect(rfc4733, inband, pass);
    }

    pub(super) fn press(&mut self, digit: crate::media::Digit) {
        self.presses.push(digit);
    }

    /// Where packets go; `None` while nobody is proven to be there.
    fn destination(&self) -> Option<SocketAddr> {
        self.lock.destination(self.peer.as_ref()?)
    }

    /// From which socket RTCP goes, and where to.
    fn rtcp_destination(&self) -> Option<(Channel, SocketAddr)> {
        let peer = self.peer.as_ref()?;
        let rtp = self.destination()?;
        if peer.rtcp_mux {
            return Some((Channel::Rtp, rtp));
        }
        let to = self.rtcp_source.or_else(|| match peer.rtcp {
            Some(rtcp) if rtp == peer.rtp && is_address(rtcp) => Some(rtcp),
            Some(_) | None => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
        });
        to.map(|to| (Channel::Rtcp, to))
    }

    /// One tick: sends what is due. `is_heard`: somebody hears this port's peer.
    pub(super) fn tick(
        &mut self,
        at: Instant,
        is_heard: bool,
        config: &Config,
        voices: &mut Voices,
        chance: &mut Chance,
        out: &mut Outbox,
    ) {
        self.events_this_tick = 0;
        let Some(peer) = self.peer else { return };
        let to = self.destination();
        // Who hears a mix and is heard by nobody only listens, and may as well send nothing.
        let is_listener = !is_heard && !self.hears_mix().is_empty();
        self.watch(at, &peer, to.is_some() && !is_listener, config, out);
        let Some(to) = to else { return };
        if at >= self.next_report {
            self.next_report = at + until_report(chance);
            self.report(at, &peer, false, out);
            let quality = self.quality();
            let recent = self.figures.recent(&self.reception, &self.reports, peer.codec);
            out.events.push_back(Event::Measured { port: self.id, quality, recent });
        }
        let is_due = self.line.is_due(at);
        let mut frame = Frame::silence(peer.codec);
        let mut speaks = is_due && self.source(at, &peer, &mut frame, voices, out);
        if is_due && let Some(overlay) = &mut self.overlay {
            frame.play(peer.codec, overlay);
            speaks = true;
            if overlay.has_ended() {
                self.overlay = None;
            }
            self.interrupt_relay();
        }
        if !peer.send {
            return;
        }
        let by = peer.events.map_or(By::Tone, |events| By::Event { clock: events.clock });
        match self.presses.tick(by) {
            Step::Nothing => (),
            Step::Event { event, first } => {
                self.interrupt_relay();
                return self.send_event(at, to, &peer, event, first, out);
            }
            Step::Tone(tone) => {
                let mut sound = [0; Rate::Narrow.samples()];
                sound.fill_with(|| tone.sample());
                if let Some(coder) = Coder::of(&mut self.coder, peer.codec) {
                    coder.encode_narrow(&sound, &mut frame);
                }
                self.interrupt_relay();
                speaks = true;
            }
        }
        if speaks && !frame.bytes().is_empty() {
            let stamp = self.line.stamp(at, FRAME as u32);
            self.send(at, to, stamp, (peer.payload_send, frame.bytes()), out);
        }
    }

    /// Notes what does not come.
    fn watch(
        &mut self,
        at: Instant,
        peer: &Peer,
        may_owe: bool,
        config: &Config,
        out: &mut Outbox,
    ) {
        let is_owed = may_owe && peer.send && peer.receive && peer.answered;
        let one_way = self.ways.tick(at, is_owed, config.one_way_after, self.id);
        let silent = peer.receive.then(|| self.life.tick(at, config.silent_after, self.id));
        out.events.extend([one_way, silent.flatten()].into_iter().flatten());
    }

    /// Fills the frame with what the port hears; false when another port's packets do that.
    fn source(
        &mut self,
        at: Instant,
        peer: &Peer,
        frame: &mut Frame,
        voices: &mut Voices,
        out: &mut Outbox,
    ) -> bool {
        match &mut self.hears {
            Hears::Silence => true,
            Hears::Play { player, play } => {
                frame.play(peer.codec, player);
                if player.has_ended()
                    && let Some(play) = play.take()
                {
                    out.events.push_back(Event::Played { port: self.id, play });
                }
                true
            }
            Hears::Port { relay, .. } => relay.fill(at),
            Hears::Mix(from) => {
                if peer.send
                    && let Some(coder) = Coder::of(&mut self.coder, peer.codec)
                {
                    let rate = coder.rate();
                    let mut sound = [0; Rate::Wide.samples()];
                    let sound = &mut sound[..rate.samples()];
                    voices.mix(from, rate, sound);
                    coder.encode(sound, frame);
                }
                true
            }
        }
    }

    fn interrupt_relay(&mut self) {
        if let Hears::Port { relay, .. } = &mut self.hears {
            relay.interrupt();
        }
    }

    fn send_event(
        &mut self,
        at: Instant,
        to: SocketAddr,
        peer: &Peer,
        event: TelephoneEvent,
        first: bool,
        out: &mut Outbox,
    ) {
        let Some(events) = peer.events else { return };
        self.line.catch_up(at);
        let stamp = self.line.hold();
        if first {
            self.press_timestamp = stamp.timestamp;
        }
        let stamp = Stamp { timestamp: self.press_timestamp, marker: first, ..stamp };
        self.send(at, to, stamp, (events.send, &event.write()), out);
        self.line.pass(FRAME as u32);
        self.line.mark();
    }

    fn send(
        &mut self,
        at: Instant,
        to: SocketAddr,
        stamp: Stamp,
        (payload_type, payload): (u8, &[u8]),
        out: &mut Outbox,
    ) {
        if !self.may_send(at, stamp.sequence) {
            return;
        }
        let mut bytes = [0; PACKET_MAX];
        let length = HEADER + payload.len();
        self.line.on_wire(stamp).write(payload_type, &mut bytes);
        bytes[HEADER..length].copy_from_slice(payload);
        let Ok(length) = self.guard.seal(&mut bytes, length) else { return };
        self.figures.send(payload.len());
        let transmit = Transmit { port: self.id, channel: Channel::Rtp, to, bytes, length };
        out.transmits.push_back(transmit);
    }

    /// Takes leave of a peer to whom packets went (RFC 3550 §6.3.7).
    pub(super) fn say_bye(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(peer) = self.peer.filter(|_| self.figures.sent > 0) {
            self.report(now, &peer, true, out);
        }
    }

    /// Sends a report about what came and went.
    fn report(&mut self, at: Instant, peer: &Peer, is_last: bool, out: &mut Outbox) {
        let Some((channel, to)) = self.rtcp_destination() else { return };
        let sent = rtcp::Sent {
            ssrc: self.line.ssrc(),
            timestamp: self.line.timestamp_at(at),
            packets: self.figures.sent as u32,
            octets: self.figures.octets as u32,
            is_sender: peer.send && self.figures.sent != self.figures.sent_at_report,
            is_last,
        };
        self.figures.sent_at_report = self.figures.sent;
        let reception = self.reception.report(span::ticks(peer.codec));
        let mut bytes = [0; PACKET_MAX];
        let Some(report) = bytes.first_chunk_mut::<{ rtcp::LENGTH_MAX }>() else { return };
        let length = self.reports.write(at, sent, reception, report);
        let sealed = self.guard.seal_rtcp(&mut bytes, length);
        if let (1.., Ok(length)) = (length, sealed) {
            let transmit = Transmit { port: self.id, channel, to, bytes, length };
            out.transmits.push_back(transmit);
        }
    }

    /// How the voice did.
    pub(super) fn quality(&self) -> Quality {
        let Some(peer) = &self.peer else { return Quality::default() };
        let source = self.lock.source();
        let differs = source.is_some_and(|it| it != peer.rtp && is_address(peer.rtp));
        Quality {
            source_differs: differs,
            one_way: self.ways.told(),
            unheard: self.receipts.told(),
            ..self.figures.quality(&self.reception, &self.reports, peer.codec)
        }
    }
}

/// How long it is to the next report.
fn until_report(chance: &mut Chance) -> Duration {
    Duration::from_millis(REPORT_EVERY_MS / 2 + chance.below(REPORT_EVERY_MS))
}
