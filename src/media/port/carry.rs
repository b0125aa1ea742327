//! What another port's peer says, carried over to this port's peer.
//!
//! Owns the relay's way through a port: the header in place, the payload as it is or in the other
//! codec, protection. Only what differs is changed: between the laws of G.711 byte by byte, else
//! by decoding and encoding ([`Transcoder`]).

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use crate::media::codec::{FRAMES_MAX, PAYLOAD_MAX, Transcoder};
use crate::media::port::{Hears, Incoming, Payload, Port};
use crate::media::rtp::{HEADER, Stamp};
use crate::media::{Codec, PortId, g711};

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
    /// Puts the payload into the other codec, where it lies. How many units before the packet's
    /// own the sound begins, and its new end; `None`: nothing to send yet, or damaged.
    fn cross(
        &mut self,
        packet: &mut [u8],
        payload: Range<usize>,
        units: u32,
    ) -> Option<(u32, usize)> {
        let mut out = [0; FRAMES_MAX * PAYLOAD_MAX];
        let length = self.transcoder.run(packet.get(payload.clone())?, &mut out)?;
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
                let stamp = relay.audio(&mut self.line, now, header, units)?;
                let Some((before, end)) =
                    put(&mut self.crossing, (codec, peer.codec), packet, payload.clone(), units)
                else {
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
        let packet = packet.get_mut(payload.start - HEADER..)?;
        self.line.on_wire(stamp).write(payload_type, packet);
        let length = self.guard.seal(packet, HEADER + payload.len()).ok()?;
        self.figures.send(payload.len());
        let start = payload.start - HEADER;
        Some(Forward { port: self.id, to, range: start..start + length })
    }
}

/// Puts a payload into another codec, where it lies. As [`Crossing::cross`].
fn put(
    crossing: &mut Option<Crossing>,
    (from, to): (Codec, Codec),
    packet: &mut [u8],
    payload: Range<usize>,
    units: u32,
) -> Option<(u32, usize)> {
    if from == to {
        return Some((0, payload.end));
    }
    if let (Some(from), Some(to)) = (from.law(), to.law()) {
        g711::convert(from, to, packet.get_mut(payload.clone())?);
        return Some((0, payload.end));
    }
    if crossing.as_ref().is_none_or(|c| (c.from, c.to) != (from, to)) {
        let transcoder = Transcoder::new(from, to)?;
        *crossing = Some(Crossing { from, to, transcoder, waiting: 0 });
    }
    crossing.as_mut()?.cross(packet, payload, units)
}
