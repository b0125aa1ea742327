//! What comes from a port's peer: who may speak (symmetric RTP), what a packet is, keys, life.
//!
//! Owns the check of the source, in which order: the proven source only, once there is one; before
//! that, the address that SDP names or the signaling's IP address. An old or a forged stream is
//! counted and dropped.

use std::net::SocketAddr;
use std::time::Instant;

use crate::media::dtmf::events::{Events, LENGTH, TelephoneEvent};
use crate::media::dtmf::inband::Detector;
use crate::media::dtmf::{Keys, Means};
use crate::media::port::{Life, Outbox, Port};
use crate::media::rtp::{Header, samples_between};
use crate::media::{Codec, Digit, Event, Peer, g711};

/// Audio shorter (5 ms) or longer (200 ms) than this is not passed on.
const SAMPLES: std::ops::RangeInclusive<usize> = 40..=1600;
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
    pub(in crate::media) header: Header,
    pub(in crate::media) payload: Payload,
}

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Payload {
    /// G.711.
    Audio(Codec),
    /// A key: `press` with the first packet of a press.
    Event { event: TelephoneEvent, press: Option<Digit>, clock: u32 },
}

/// What a payload type says before the payload is looked at.
enum Kind {
    Audio(Codec),
    Event(TelephoneEvent),
    /// Valid, but nothing to pass on.
    Life,
}

/// Hears keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Ears {
    rfc4733: bool,
    events: Events,
    inband: Option<Box<Detector>>,
    /// SSRC and newest sequence number that the detector heard: late packets would confuse it.
    newest: Option<(u32, u16)>,
    keys: Keys,
}

impl Ears {
    pub(super) fn detect(&mut self, rfc4733: bool, inband: bool) {
        self.rfc4733 = rfc4733;
        self.inband = match (inband, self.inband.take()) {
            (true, detector) => Some(detector.unwrap_or_default()),
            (false, _) => None,
        };
    }

    /// Takes audio; keys in it are told to `tell`.
    fn hear(&mut self, header: &Header, codec: Codec, audio: &[u8], mut tell: impl FnMut(Digit)) {
        let Some(detector) = &mut self.inband else { return };
        let Some(law) = codec.law() else { return };
        let is_late = self.newest.is_some_and(|(ssrc, newest)| {
            let step = header.sequence.wrapping_sub(newest) as i16;
            ssrc == header.ssrc && (-LATE_MAX..=0).contains(&step)
        });
        if is_late {
            return;
        }
        self.newest = Some((header.ssrc, header.sequence));
        for byte in audio {
            if let Some(digit) = detector.sample(g711::decode(law, *byte)) {
                tell(digit);
            }
        }
    }
}

impl Port {
    /// Takes a packet from the RTP socket; what is to be passed on, if anything.
    pub(in crate::media) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &[u8],
        out: &mut Outbox,
    ) -> Option<Incoming> {
        if packet.get(1).is_some_and(|second| RTCP_TYPES.contains(second)) {
            self.receive_rtcp(now, from, packet, out);
            return None;
        }
        let peer = self.peer?;
        if !self.may_speak(&peer, from) {
            self.strangers += 1;
            return None;
        }
        let header = Header::read(packet)?;
        let payload = packet.get(header.payload.clone())?;
        let kind = self.kind(&peer, &header, payload)?;
        if self.lock.is_none() {
            self.lock = Some(from);
            out.events.push_back(Event::Heard { port: self.id });
        }
        let is_timed = matches!(kind, Kind::Audio(_));
        self.reception.packet(&header, samples_between(self.epoch, now), is_timed);
        self.lives(now, out);
        let payload = match kind {
            Kind::Life => return None,
            Kind::Audio(codec) => {
                self.hear_tones(now, &header, codec, payload, out);
                Payload::Audio(codec)
            }
            Kind::Event(event) => {
                let (ssrc, timestamp) = (header.ssrc, header.timestamp);
                let press = self.ears.events.packet(now, ssrc, timestamp, header.marker, event);
                if let Some(digit) = press
                    && self.ears.rfc4733
                    && self.ears.keys.is_press(now, digit, Means::Event)
                {
                    out.events.push_back(Event::Digit { port: self.id, digit });
                }
                let clock = peer.events.map_or(8000, |events| events.clock);
                Payload::Event { event, press, clock }
            }
        };
        Some(Incoming { header, payload })
    }

    /// Takes a packet from the RTCP socket.
    pub(in crate::media) fn receive_rtcp(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &[u8],
        out: &mut Outbox,
    ) {
        let Some(peer) = &self.peer else { return };
        let is_peer = match self.lock {
            Some(lock) => lock.ip() == from.ip() || peer.rtcp == Some(from),
            None => {
                let ip = from.ip();
                peer.rtcp == Some(from) || peer.rtp.ip() == ip || peer.latch == Some(ip)
            }
        };
        if !is_peer {
            self.strangers += 1;
        } else if self.reports.read(now, self.line.ssrc(), packet) {
            self.rtcp_source = Some(from);
            self.lives(now, out);
        }
    }

    /// Whether a packet from there may be the peer's.
    fn may_speak(&self, peer: &Peer, from: SocketAddr) -> bool {
        match self.lock {
            Some(lock) => lock == from,
            None => peer.rtp == from || peer.latch == Some(from.ip()),
        }
    }

    /// What the packet is by its payload type; `None`: nothing that was agreed on.
    fn kind(&self, peer: &Peer, header: &Header, payload: &[u8]) -> Option<Kind> {
        let payload_type = header.payload_type;
        if peer.events.is_some_and(|events| events.receive == payload_type) {
            let event = TelephoneEvent::read(payload).filter(|_| payload.len() == LENGTH);
            Some(event.map_or(Kind::Life, Kind::Event))
        } else if payload_type == peer.payload_receive {
            Some(audio(peer.codec, payload))
        } else if self.lock.is_none() {
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
        self.ears.hear(header, codec, audio, |digit| {
            if let Some(place) = tones.get_mut(heard) {
                *place = Some(digit);
                heard += 1;
            }
        });
        for digit in tones.into_iter().flatten() {
            if self.ears.keys.is_press(now, digit, Means::Tone) {
                out.events.push_back(Event::Digit { port: self.id, digit });
            }
        }
    }

    /// The peer is there.
    fn lives(&mut self, now: Instant, out: &mut Outbox) {
        if std::mem::replace(&mut self.life, Life::Heard(now)) == Life::Silent {
            out.events.push_back(Event::Resumed { port: self.id });
        }
    }
}

/// Audio, when it is of a plausible length.
fn audio(codec: Codec, payload: &[u8]) -> Kind {
    if SAMPLES.contains(&payload.len()) { Kind::Audio(codec) } else { Kind::Life }
}
