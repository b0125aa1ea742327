//! What comes from a port's peer: who may speak (symmetric RTP), what a packet is, keys, life.
//!
//! Owns the check of a packet, in which order: its source ([`lock`](super::lock)), its protection,
//! what it is, and its stream ([`pin`](super::pin)). What doesn't pass is counted and dropped.

use std::net::SocketAddr;
use std::time::Instant;

use crate::media::codec::{Decoder, Resampler};
use crate::media::dtmf::events::{Events, LENGTH, TelephoneEvent};
use crate::media::dtmf::inband::Detector;
use crate::media::dtmf::{Keys, Means};
use crate::media::port::lock::{Standing, Streams};
use crate::media::port::{Channel, Outbox, Port};
use crate::media::rtp::{Header, samples_between};
use crate::media::{Codec, Digit, Event, Peer, Rate, g711, kept, span};
use crate::time::Anchor;

/// Audio shorter (2.5 ms) or longer (200 ms) than this is not passed on.
const UNITS: std::ops::RangeInclusive<u32> = 20..=1600;
/// A step back of the sequence by more than this is a new beginning, not a late packet.
const LATE_MAX: i16 = 100;
/// Payload types with a fixed meaning (RFC 3551 §6).
const PCMU: u8 = 0;
const PCMA: u8 = 8;
/// Comfort noise (RFC 3389): a sign of life, not audio.
const COMFORT_NOISE: u8 = 13;
/// RTCP on the RTP port (RFC 5761 §4): its packet types, seen as the second byte.
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// A valid packet.
#[derive(Clone, Debug)]
pub(in crate::media) struct Incoming {
    /// With its timestamp in units of 1/8000 s.
    pub(in crate::media) header: Header,
    /// The timestamp as it came.
    pub(in crate::media) wire: u32,
    pub(in crate::media) payload: Payload,
    /// Whether it came later than a buffer of 60 ms would have played it.
    pub(in crate::media) is_late: bool,
}

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Payload {
    /// A voice: `units` of 1/8000 s.
    Audio { codec: Codec, units: u32 },
    /// A key: `press` with the first packet of a press.
    Event { event: TelephoneEvent, press: Option<Digit>, clock: u32 },
    /// A key that is not for the hearer.
    Withheld,
}

/// What a payload type says before the payload is looked at.
enum Kind {
    Audio {
        codec: Codec,
        units: u32,
    },
    Event(TelephoneEvent),
    /// Valid, but nothing to pass on.
    Life,
}

/// Hears keys.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    rfc4733: bool,
    withholds: bool,
    events: Events,
    inband: Option<Box<Detector>>,
    /// What makes sound of what is no G.711, for the detector.
    sounds: Option<Box<Sounds>>,
    /// SSRC and newest sequence number that the detector heard: late packets would confuse it.
    newest: Option<(u32, u16)>,
    /// The SSRC whose keys come as the telephone-events agreed on: its tones need no hearing.
    tells: Option<u32>,
    keys: Keys,
}

impl Keypad {
    /// What of the keys was kept: those that have been told are not told again.
    pub(super) fn resumed(kept: &kept::Keys, anchor: &Anchor) -> Self {
        let tone = kept.tone.and_then(Digit::from_event);
        Self {
            events: Events::resumed(kept, anchor),
            inband: tone.map(|digit| Box::new(Detector::resumed(digit))),
            tells: kept.tells,
            ..Self::default()
        }
    }

    /// What is kept of the keys.
    pub(super) fn keep(&self, anchor: &Anchor) -> kept::Keys {
        let tone = self.tone().map(Digit::event);
        kept::Keys { tells: self.tells, tone, ..self.events.keep(anchor) }
    }

    /// The press by telephone-events that was told last.
    pub(super) fn press(&self) -> Option<(u32, u32)> {
        self.events.press()
    }

    /// The tone under way.
    pub(super) fn tone(&self) -> Option<Digit> {
        self.inband.as_ref().and_then(|detector| detector.down())
    }

    pub(super) fn detect(&mut self, rfc4733: bool, inband: bool, pass: bool) {
        (self.rfc4733, self.withholds) = (rfc4733, !pass);
        self.inband = match (inband, self.inband.take()) {
            (true, detector) => Some(detector.unwrap_or_default()),
            (false, _) => None,
        };
    }

    /// Takes audio; keys in it are told to `tell`.
    fn hear(&mut self, header: &Header, codec: Codec, audio: &[u8], tell: impl FnMut(Digit)) {
        let Some(detector) = &mut self.inband else { return };
        if self.rfc4733 && self.tells == Some(header.ssrc) {
            return;
        }
        let is_late = self.newest.is_some_and(|(ssrc, newest)| {
            let step = header.sequence.wrapping_sub(newest) as i16;
            ssrc == header.ssrc && (-LATE_MAX..=0).contains(&step)
        });
        if is_late {
            return;
        }
        self.newest = Some((header.ssrc, header.sequence));
        if let Some(law) = codec.law() {
            return detector.hear(audio, |byte| g711::decode(law, byte), tell);
        }
        if self.sounds.as_ref().is_none_or(|sounds| sounds.codec != codec) {
            self.sounds = Sounds::new(codec).map(Box::new);
        }
        if let Some(sounds) = &mut self.sounds {
            detector.hear(sounds.decode(audio), |sample| sample, tell);
        }
    }
}

/// Sound at 8 kHz out of payloads.
#[derive(Debug)]
struct Sounds {
    codec: Codec,
    decoder: Decoder,
    resampler: Resampler,
    decoded: Vec<i16>,
    narrow: Vec<i16>,
}

impl Sounds {
    fn new(codec: Codec) -> Option<Self> {
        let decoder = Decoder::new(codec)?;
        let resampler = Resampler::new(decoder.rate(), Rate::Narrow);
        Some(Self { codec, decoder, resampler, decoded: vec![], narrow: vec![] })
    }

    fn decode(&mut self, payload: &[u8]) -> &[i16] {
        self.decoded.clear();
        self.narrow.clear();
        if self.decoder.decode(payload, &mut self.decoded) {
            self.resampler.run(&self.decoded, &mut self.narrow);
        }
        &self.narrow
    }
}

impl Port {
    /// Takes a packet from the RTP socket; what is to be passed on, if anything.
    pub(in crate::media) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &mut [u8],
        out: &mut Outbox,
    ) -> Option<Incoming> {
        if packet.get(1).is_some_and(|second| RTCP_TYPES.contains(second)) {
            self.receive_rtcp(now, Channel::Rtp, from, packet, out);
            return None;
        }
        let peer = self.peer?;
        let Some(standing) = self.lock.standing(&peer, from) else {
            self.figures.strangers += 1;
            return None;
        };
        let Ok(length) = self.guard.open(packet) else {
            self.figures.rejected += 1;
            return None;
        };
        let Some((mut header, payload, kind)) = read(&peer, standing, packet.get(..length)?) else {
            self.figures.rejected += 1;
            return None;
        };
        if !self.is_voice(now, standing, &header) {
            self.figures.strangers += 1;
            return None;
        }
        if self.lock.prove(now, &peer, from) {
            out.events.push_back(Event::Heard { port: self.id });
        }
        let wire = header.timestamp;
        let ticks = match kind {
            Kind::Audio { codec, .. } => span::ticks(codec),
            Kind::Event(_) | Kind::Life => span::ticks(peer.codec),
        };
        header.timestamp = self.units.of(wire, ticks);
        let is_timed = matches!(kind, Kind::Audio { .. });
        let arrival = samples_between(self.epoch, now);
        let is_late = self.reception.packet(&header, arrival, is_timed);
        self.figures.hear(now);
        let both_ways = self.ways.hear(now, (header.ssrc, header.sequence), self.id);
        out.events.extend(both_ways);
        self.lives(now, out);
        let payload = match kind {
            Kind::Life => return None,
            Kind::Audio { codec, units } => {
                self.figures.listen(codec, payload);
                self.hear_tones(now, &header, codec, payload, out);
                Payload::Audio { codec, units }
            }
            Kind::Event(event) => {
                let (ssrc, timestamp) = (header.ssrc, header.timestamp);
                let press = self.keypad.events.packet(now, ssrc, timestamp, header.marker, event);
                if peer.events.is_some_and(|events| events.receive == header.payload_type) {
                    self.keypad.tells = Some(ssrc);
                }
                if let Some(digit) = press
                    && self.keypad.rfc4733
                    && self.keypad.keys.is_press(now, digit, Means::Event)
                {
                    out.events.push_back(Event::Digit { port: self.id, digit });
                }
                let clock = peer.events.map_or(8000, |events| events.clock);
                match self.keypad.withholds {
                    true => Payload::Withheld,
                    false => Payload::Event { event, press, clock },
                }
            }
        };
        Some(Incoming { header, wire, payload, is_late })
    }

    /// Takes a packet of RTCP, from whichever socket.
    pub(in crate::media) fn receive_rtcp(
        &mut self,
        now: Instant,
        channel: Channel,
        from: SocketAddr,
        packet: &mut [u8],
        out: &mut Outbox,
    ) {
        let Some(peer) = &self.peer else { return };
        let is_answered = peer.answered;
        let is_peer = match self.lock.source() {
            Some(lock) if channel == Channel::Rtp => lock == from,
            // The first that came from elsewhere on the peer's host is kept: behind NAT its port
            // says nothing.
            Some(lock) => {
                let is_named =
                    peer.rtcp == Some(from) || lock.port().checked_add(1) == Some(from.port());
                let is_kept = self.rtcp_source.is_none_or(|kept| kept == from);
                peer.rtcp == Some(from) || (lock.ip() == from.ip() && (is_named || is_kept))
            }
            None => {
                let ip = from.ip();
                peer.rtcp == Some(from) || peer.rtp.ip() == ip || peer.latch == Some(ip)
            }
        };
        if !is_peer {
            self.figures.strangers += 1;
            return;
        }
        let Ok(length) = self.guard.open_rtcp(packet) else {
            self.figures.rejected += 1;
            return;
        };
        if packet.get(..length).is_some_and(|p| self.reports.read(now, self.line.ssrc(), p)) {
            if channel == Channel::Rtcp {
                self.rtcp_source = Some(from);
            }
            let named = self.reports.named().map(|newest| (self.line.ssrc(), newest));
            if named.is_some() {
                self.figures.sent_at_receipt = self.figures.sent;
            }
            let sent = self.figures.sent;
            match is_answered {
                true => out.events.extend(self.receipts.report(sent, named, self.id)),
                false => self.receipts.anew(sent),
            }
            self.lives(now, out);
        }
    }

    /// Whether a packet from a source that may be the peer's is of the peer's stream.
    fn is_voice(&mut self, now: Instant, standing: Standing, header: &Header) -> bool {
        let is_authentic = self.guard.is_secure();
        // What was under way from another source moves nothing.
        let is_elsewhere = matches!(standing, Standing::Named | Standing::Near);
        match self.lock.streams(now, standing) {
            Streams::Any => self.pin.release(),
            Streams::Pinned | Streams::Known if is_elsewhere && self.pin.is_old(header) => {
                return false;
            }
            Streams::Known if !self.pin.knows(header, is_authentic) => return false,
            Streams::Pinned | Streams::Known => (),
        }
        self.pin.admits(now, header, is_authentic)
    }

    fn hear_tones(
        &mut self,
        now: Instant,
        header: &Header,
        codec: Codec,
        audio: &[u8],
        out: &mut Outbox,
    ) {
        let mut tones = [None; 4];
        let mut heard = 0;
        self.keypad.hear(header, codec, audio, |digit| {
            if let Some(place) = tones.get_mut(heard) {
                *place = Some(digit);
                heard += 1;
            }
        });
        for digit in tones.into_iter().flatten() {
            if self.keypad.keys.is_press(now, digit, Means::Tone) {
                out.events.push_back(Event::Digit { port: self.id, digit });
            }
        }
    }

    /// The peer is there.
    fn lives(&mut self, now: Instant, out: &mut Outbox) {
        out.events.extend(self.life.hear(now, self.id));
    }
}

/// A packet's header, its payload and what that is; `None`: it is no RTP, or nothing that was
/// agreed on.
fn read<'a>(peer: &Peer, standing: Standing, packet: &'a [u8]) -> Option<(Header, &'a [u8], Kind)> {
    let header = Header::read(packet)?;
    let payload = packet.get(header.payload.clone())?;
    let kind = kind(peer, standing, &header, payload)?;
    Some((header, payload, kind))
}

/// What the packet is by its payload type; `None`: nothing that was agreed on.
fn kind(peer: &Peer, standing: Standing, header: &Header, payload: &[u8]) -> Option<Kind> {
    let payload_type = header.payload_type;
    if peer.events.is_some_and(|events| events.receive == payload_type) {
        let event = TelephoneEvent::read(payload).filter(|_| payload.len() == LENGTH);
        Some(event.map_or(Kind::Life, Kind::Event))
    } else if payload_type == peer.payload_receive {
        Some(audio(peer.codec, payload))
    } else if standing != Standing::Own {
        None
    } else {
        match payload_type {
            // Whoever lists both laws may change between them without a word (RFC 3264 §7).
            PCMU => Some(audio(Codec::Pcmu, payload)),
            PCMA => Some(audio(Codec::Pcma, payload)),
            COMFORT_NOISE => Some(Kind::Life),
            other => TelephoneEvent::guess(other, payload).map(Kind::Event),
        }
    }
}

/// Audio, when it is of a plausible length.
fn audio(codec: Codec, payload: &[u8]) -> Kind {
    match span::units(codec, payload).filter(|units| UNITS.contains(units)) {
        Some(units) => Kind::Audio { codec, units },
        None => Kind::Life,
    }
}
