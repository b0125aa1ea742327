//! One port: what comes from its peer and what its peer hears.
//!
//! Owns the peer's proven address (symmetric RTP), what it hears, its keys, and the figures of its
//! voice. The incoming half is in [`ingress`]; this file is the outgoing half. Knows other ports
//! only by name: [`crate::media::engine`] carries packets between them.

mod ingress;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

pub(super) use ingress::{Incoming, Payload};

use crate::chance::Chance;
use crate::media::dtmf::events::TelephoneEvent;
use crate::media::dtmf::press::{By, Presses, Step};
use crate::media::prompt::Library;
use crate::media::prompt::player::{Places, Player};
use crate::media::rtp::{HEADER, Reception, Stamp};
use crate::media::timeline::{FRAME, Relay, TICK, Timeline};
use crate::media::{
    Config, Event, Law, Peer, PlayId, PortId, Prompt, Quality, Source, Then, codec, g711, mos, rtcp,
};

/// Time from report to report (RFC 3550 §6.2 asks for 5 s at least).
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Telephone-event packets that are relayed in one tick.
const EVENTS_A_TICK: u8 = 8;
/// What a receiver's buffer adds to the delay, for the score: two packets.
const BUFFER_MS: f32 = 40.0;

/// The longest packet of our own.
const PACKET_MAX: usize = HEADER + FRAME;

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
}

/// A packet that goes on to another port's peer: where it lies in the receive buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port whose RTP socket sends it.
    pub port: PortId,
    /// Where to.
    pub to: SocketAddr,
    /// The bytes of the receive buffer that make the packet.
    pub range: Range<usize>,
}

/// What a port hears.
#[derive(Clone, Debug)]
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
}

/// One leg's media.
#[derive(Clone, Debug)]
pub(super) struct Port {
    id: PortId,
    epoch: Instant,
    peer: Option<Peer>,
    /// The source that has proven to be the peer's.
    lock: Option<SocketAddr>,
    /// Where the peer's RTCP came from.
    rtcp_source: Option<SocketAddr>,
    line: Timeline,
    hears: Hears,
    overlay: Option<Player>,
    places: Places,
    presses: Presses,
    /// Timestamp of the key under way.
    press_timestamp: u32,
    events_this_tick: u8,
    ears: ingress::Ears,
    reception: Reception,
    reports: rtcp::Reports,
    next_report: Instant,
    sent: u64,
    octets: u64,
    sent_at_report: u64,
    strangers: u64,
    life: Life,
}

/// Whether packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// None has come so far: nothing can be said. Some peers never send a packet and are well.
    Unheard,
    /// The last came then.
    Heard(Instant),
    /// They have stopped, and that has been told.
    Silent,
}

impl Port {
    pub(super) fn new(now: Instant, id: PortId, chance: &mut Chance) -> Self {
        let first_report = Duration::from_millis(1000 + chance.below(4000));
        Self {
            id,
            epoch: now,
            peer: None,
            lock: None,
            rtcp_source: None,
            line: Timeline::new(now, chance),
            hears: Hears::Silence,
            overlay: None,
            places: Places::default(),
            presses: Presses::default(),
            press_timestamp: 0,
            events_this_tick: 0,
            ears: ingress::Ears::default(),
            reception: Reception::new(),
            reports: rtcp::Reports::new(now, chance.token(16)),
            next_report: now + first_report,
            sent: 0,
            octets: 0,
            sent_at_report: 0,
            strangers: 0,
            life: Life::Unheard,
        }
    }

    /// Talks to this peer from now on. The proven source stays unless signaling names another
    /// address.
    pub(super) fn connect(&mut self, now: Instant, peer: Peer) {
        let moved = self.peer.as_ref().is_some_and(|old| old.rtp != peer.rtp);
        // A hold by `c=0.0.0.0` names no address at all.
        if moved && is_address(peer.rtp) {
            (self.lock, self.rtcp_source) = (None, None);
            self.line.mark();
        }
        let owed_nothing = !self.peer.as_ref().is_some_and(|old| old.receive);
        if self.life != Life::Unheard && (!peer.receive || owed_nothing) {
            self.life = Life::Heard(now);
        }
        self.peer = Some(peer);
    }

    /// Hears this from now on.
    pub(super) fn listen(&mut self, now: Instant, library: &Library, source: Source) {
        if let Hears::Play { player, .. } = &self.hears {
            player.leave(&mut self.places);
        }
        self.line.mark();
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
            Source::Mix(_) => Hears::Silence,
            Source::Port(from) => Hears::Port { from, relay: Relay::new(now) },
        };
    }

    /// The port that it hears.
    pub(super) fn hears_port(&self) -> Option<PortId> {
        match &self.hears {
            Hears::Port { from, .. } => Some(*from),
            Hears::Silence | Hears::Play { .. } => None,
        }
    }

    /// Hears these prompts over everything else, until they end.
    pub(super) fn overlay(&mut self, library: &Library, prompts: &[Prompt]) {
        self.line.mark();
        self.overlay = Some(Player::new(library, prompts, None, &mut self.places));
    }

    pub(super) fn detect(&mut self, rfc4733: bool, inband: bool) {
        self.ears.detect(rfc4733, inband);
    }

    pub(super) fn press(&mut self, digit: crate::media::Digit) {
        self.presses.push(digit);
    }

    /// Where packets go; `None` while nobody is proven to be there.
    fn destination(&self) -> Option<SocketAddr> {
        let peer = self.peer.as_ref()?;
        self.lock.or_else(|| (peer.proven && is_address(peer.rtp)).then_some(peer.rtp))
    }

    fn rtcp_destination(&self) -> Option<SocketAddr> {
        let peer = self.peer.as_ref()?;
        let rtp = self.destination()?;
        self.rtcp_source.or_else(|| match peer.rtcp {
            Some(rtcp) if rtp == peer.rtp && is_address(rtcp) => Some(rtcp),
            Some(_) | None => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
        })
    }

    /// One tick: sends what is due.
    pub(super) fn tick(&mut self, at: Instant, config: &Config, out: &mut Outbox) {
        self.events_this_tick = 0;
        let Some(peer) = self.peer else { return };
        if let Life::Heard(last) = self.life
            && peer.receive
            && at >= last + config.silent_after
        {
            self.life = Life::Silent;
            out.events.push_back(Event::Silent { port: self.id });
        }
        let Some(to) = self.destination() else { return };
        if at >= self.next_report {
            self.next_report = at + REPORT_EVERY;
            self.report(at, &peer, out);
        }
        let is_due = self.line.is_due(at);
        let mut frame = [0; FRAME];
        let silence = codec::silence(peer.codec);
        frame[..silence.len()].copy_from_slice(silence);
        let mut speaks = is_due && self.source(at, &peer, &mut frame, out);
        if is_due && let Some(overlay) = &mut self.overlay {
            overlay.fill(peer.codec, &mut frame);
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
                let law = peer.codec.law().unwrap_or(Law::Mu);
                frame.fill_with(|| g711::encode(law, tone.sample()));
                self.interrupt_relay();
                speaks = true;
            }
        }
        if speaks {
            let stamp = self.line.stamp(at, FRAME as u32);
            self.send(to, stamp, peer.payload_send, &frame, out);
        }
    }

    /// Fills the frame with what the port hears; false when another port's packets do that.
    fn source(&mut self, at: Instant, peer: &Peer, frame: &mut [u8], out: &mut Outbox) -> bool {
        match &mut self.hears {
            Hears::Silence => true,
            Hears::Play { player, play } => {
                player.fill(peer.codec, frame);
                if player.has_ended()
                    && let Some(play) = play.take()
                {
                    out.events.push_back(Event::Played { port: self.id, play });
                }
                true
            }
            Hears::Port { relay, .. } => relay.fill(at),
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
        self.send(to, stamp, events.send, &event.write(), out);
        self.line.pass(FRAME as u32);
        self.line.mark();
    }

    fn send(
        &mut self,
        to: SocketAddr,
        stamp: Stamp,
        payload_type: u8,
        payload: &[u8],
        out: &mut Outbox,
    ) {
        let mut bytes = [0; PACKET_MAX];
        let length = HEADER + payload.len();
        stamp.write(payload_type, &mut bytes);
        bytes[HEADER..length].copy_from_slice(payload);
        self.count(payload.len());
        let transmit = Transmit { port: self.id, channel: Channel::Rtp, to, bytes, length };
        out.transmits.push_back(transmit);
    }

    fn count(&mut self, octets: usize) {
        self.sent += 1;
        self.octets += octets as u64;
    }

    /// Sends a report about what came and went.
    fn report(&mut self, at: Instant, peer: &Peer, out: &mut Outbox) {
        let Some(to) = self.rtcp_destination() else { return };
        let sent = rtcp::Sent {
            ssrc: self.line.ssrc(),
            timestamp: self.line.timestamp_at(at),
            packets: self.sent as u32,
            octets: self.octets as u32,
            is_sender: peer.send && self.sent != self.sent_at_report,
        };
        self.sent_at_report = self.sent;
        let mut bytes = [0; PACKET_MAX];
        let Some(report) = bytes.first_chunk_mut::<{ rtcp::LENGTH_MAX }>() else { return };
        let length = self.reports.write(at, sent, self.reception.report(), report);
        if length > 0 {
            let transmit = Transmit { port: self.id, channel: Channel::Rtcp, to, bytes, length };
            out.transmits.push_back(transmit);
        }
    }

    /// Carries a packet of another port over to this port's peer: the header in place, the payload
    /// converted where the codecs differ. `None`: nothing to send.
    pub(super) fn relay(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        packet: &mut [u8],
    ) -> Option<Forward> {
        let to = self.destination();
        let peer = self.peer.as_ref()?;
        let Hears::Port { relay, .. } = &mut self.hears else { return None };
        let is_covered = self.overlay.is_some() || self.presses.is_covering();
        let (Some(to), true, false) = (to, peer.send, is_covered) else {
            relay.interrupt();
            return None;
        };
        let header = &incoming.header;
        let payload = header.payload.clone();
        let (stamp, payload_type) = match incoming.payload {
            Payload::Audio(codec) => {
                let samples = u32::try_from(payload.len()).ok()?;
                let stamp = relay.audio(&mut self.line, now, header, samples)?;
                if let (Some(from), Some(to)) = (codec.law(), peer.codec.law()) {
                    g711::convert(from, to, &mut packet[payload.clone()]);
                }
                (stamp, peer.payload_send)
            }
            Payload::Event { event, press, clock } => {
                let Some(events) = peer.events else {
                    relay.leave_out(now, header);
                    press.into_iter().for_each(|digit| self.presses.push(digit));
                    return None;
                };
                if self.events_this_tick == EVENTS_A_TICK {
                    return None;
                }
                self.events_this_tick += 1;
                let stamp = relay.event(&mut self.line, now, header)?;
                let event = event.on_clock(clock, events.clock);
                packet[payload.clone()].copy_from_slice(&event.write());
                (stamp, events.send)
            }
        };
        self.count(payload.len());
        let range = payload.start - HEADER..payload.end;
        stamp.write(payload_type, &mut packet[range.clone()]);
        Some(Forward { port: self.id, to, range })
    }

    /// How the voice did.
    pub(super) fn quality(&self) -> Quality {
        let (received, lost) = (self.reception.received(), self.reception.lost());
        let jitter_ms = self.reception.jitter_ms();
        let round_trip_ms = self.reports.round_trip().map(|r| r.as_secs_f32() * 1000.0);
        let loss = lost as f32 / (received + lost).max(1) as f32;
        let delay = round_trip_ms.unwrap_or(0.0) / 2.0
            + TICK.as_millis() as f32
            + BUFFER_MS.max(2.0 * jitter_ms);
        Quality {
            received,
            sent: self.sent,
            lost,
            lost_at_peer: self.reports.lost_at_peer(),
            jitter_ms,
            round_trip_ms,
            strangers: self.strangers,
            mos: (received > 0).then(|| mos::mos(mos::rating(loss, delay))),
            ..Quality::default()
        }
    }
}

/// Whether packets can be sent there.
fn is_address(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}
