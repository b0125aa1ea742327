//! What another port's peer says, carried over to this port's peer.
//!
//! Owns the relay's way through a port: the header in place, the payload as it is or in the other
//! codec, protection. Only what differs is changed: between the laws of G.711 byte by byte, else
//! by decoding and encoding ([`Transcoder`]), in order and with made-up sound for what is missing.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use crate::media::codec::{FRAMES_MAX, LOST_MAX, PAYLOAD_MAX, Transcoder};
use crate::media::port::{Hears, Incoming, Payload, Port};
use crate::media::rtp::{HEADER, Stamp};
use crate::media::{Codec, Law, PortId, g711};

/// Telephone-event packets that are relayed in one tick.
const EVENTS_A_TICK: u8 = 8;
/// Units of 1/8000 s in 20 ms.
const FRAME: u32 = 160;

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

/// From the codec that comes to the codec that goes.
#[derive(Debug)]
pub(super) struct Crossing {
    from: Codec,
    to: Codec,
    transcoder: Transcoder,
    /// Units of sound that wait until a frame is full.
    waiting: u32,
}

impl Crossing {
    /// Puts the payload into the other codec, where it lies; before it, what is missing. How many
    /// units before the packet's own the sound begins, and its new end; `None`: nothing to send
    /// yet, or damaged.
    fn cross(
        &mut self,
        packet: &mut [u8],
        payload: Range<usize>,
        units: u32,
        missing: u32,
    ) -> Option<(u32, usize)> {
        let mut out = [0; FRAMES_MAX * PAYLOAD_MAX];
        let bytes = packet.get(payload.clone())?;
        if missing > LOST_MAX || self.waiting + missing + units > FRAMES_MAX as u32 * FRAME {
            self.transcoder.part();
            self.waiting = 0;
        } else if missing > 0 {
            self.transcoder.lost(bytes, missing);
            self.waiting += missing;
        }
        let length = self.transcoder.run(bytes, &mut out)?;
        let before = self.waiting;
        self.waiting = (before + units) % FRAME;
        let out = out.get(..length).filter(|out| !out.is_empty())?;
        let end = payload.start + length;
        packet.get_mut(payload.start..end)?.copy_from_slice(out);
        Some((before, end))
    }
}

impl Port {
    /// Carries a packet of another port over to this port's peer, where it lies. `None`: nothing
    /// to send.
    pub(in crate::media) fn relay(
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
        let mut payload = header.payload.clone();
        let (stamp, payload_type) = match incoming.payload {
            Payload::Audio { codec, units } => {
                let way = Way::between(codec, peer.codec);
                let (stamp, missing) = match way {
                    Way::Straight | Way::Law(..) => {
                        (relay.audio(&mut self.line, now, header, units)?, 0)
                    }
                    Way::Crossing => relay.audio_in_order(&mut self.line, now, header, units)?,
                };
                let crossing = &mut self.crossing;
                let codecs = (codec, peer.codec);
                let put = way.put(crossing, codecs, packet, payload.clone(), (units, missing));
                let Some((before, end)) = put else {
                    relay.withdraw(&mut self.line, header, stamp);
                    return None;
                };
                payload.end = end;
                let timestamp = stamp.timestamp.wrapping_sub(before);
                (Stamp { timestamp, ..stamp }, peer.payload_send)
            }
            Payload::Withheld => {
                relay.leave_out(header);
                return None;
            }
            Payload::Event { event, press, clock } => {
                let Some(events) = peer.events else {
                    relay.leave_out(header);
                    press.into_iter().for_each(|digit| self.presses.push(digit));
                    return None;
                };
                if self.events_this_tick == EVENTS_A_TICK {
                    return None;
                }
                self.events_this_tick += 1;
                let stamp = relay.event(&mut self.line, now, header)?;
                let event = event.on_clock(clock, events.clock);
                packet.get_mut(payload.clone())?.copy_from_slice(&event.write());
                (stamp, events.send)
            }
        };
        if !self.may_send(now, stamp.sequence) {
            return None;
        }
        let packet = packet.get_mut(payload.start - HEADER..)?;
        self.line.on_wire(stamp).write(payload_type, packet);
        let length = self.guard.seal(packet, HEADER + payload.len()).ok()?;
        self.figures.send(payload.len());
        let start = payload.start - HEADER;
        Some(Forward { port: self.id, to, range: start..start + length })
    }
}

/// What a payload needs to be heard in another codec.
enum Way {
    /// Nothing.
    Straight,
    /// The other law of G.711.
    Law(Law, Law),
    /// To be decoded and encoded.
    Crossing,
}

impl Way {
    fn between(from: Codec, to: Codec) -> Self {
        match (from.law(), to.law()) {
            _ if from == to => Self::Straight,
            (Some(from), Some(to)) => Self::Law(from, to),
            _ => Self::Crossing,
        }
    }

    /// Puts a payload into the other codec, where it lies. As [`Crossing::cross`].
    fn put(
        &self,
        crossing: &mut Option<Crossing>,
        (from, to): (Codec, Codec),
        packet: &mut [u8],
        payload: Range<usize>,
        (units, missing): (u32, u32),
    ) -> Option<(u32, usize)> {
        match self {
            Self::Straight => return Some((0, payload.end)),
            Self::Law(from, to) => {
                g711::convert(*from, *to, packet.get_mut(payload.clone())?);
                return Some((0, payload.end));
            }
            Self::Crossing => (),
        }
        if crossing.as_ref().is_none_or(|c| (c.from, c.to) != (from, to)) {
            let transcoder = Transcoder::new(from, to)?;
            *crossing = Some(Crossing { from, to, transcoder, waiting: 0 });
        }
        crossing.as_mut()?.cross(packet, payload, units, missing)
    }
}
