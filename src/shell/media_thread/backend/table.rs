//! The sockets of one thread: found by their port, and by the token under which the system reports
//! on them.
//!
//! Owns the slots, who has which, and how many packets each socket has had in this tick. A slot
//! that is given away again has another generation, so that a late report on its last owner finds
//! nobody.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::UdpSocket;

use super::PACKETS_A_TICK;
use super::sockets::Sockets;
use crate::media::PortId;
use crate::media::engine::Channel;

/// One socket of one port that was, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    slot: u32,
    generation: u32,
    pub(super) channel: Channel,
}

/// Generations there are: a token leaves the two highest bits free.
const GENERATIONS: u32 = 1 << 29;
/// Bits of [`Token::bits`] that are never set.
pub(super) const FREE_BITS: u32 = 2;

impl Token {
    pub(super) fn bits(self) -> u64 {
        let channel = match self.channel {
            Channel::Rtp => 0,
            Channel::Rtcp => 1,
        };
        u64::from(self.generation) << 33 | channel << 32 | u64::from(self.slot)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self {
            slot: bits as u32,
            generation: (bits >> 33) as u32 % GENERATIONS,
            channel: if bits >> 32 & 1 == 0 { Channel::Rtp } else { Channel::Rtcp },
        }
    }
}

/// Whether a socket is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    /// The system has not been asked.
    #[default]
    Idle,
    /// The system reports what comes.
    Armed,
    /// It has had its share of this tick; the system has been asked to report no more.
    Stopping,
    /// It has had its share of this tick, and the system reports no more.
    Resting,
}

/// What is known of one socket.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) reading: Reading,
    tick: u32,
    packets: u16,
    /// How many packets its buffer had no room for.
    lost: u32,
}

impl Line {
    /// Counts what has come; false when that is more than the socket's share.
    pub(super) fn may(&mut self, tick: u32) -> bool {
        if self.tick != tick {
            (self.tick, self.packets) = (tick, 0);
        }
        self.packets = self.packets.saturating_add(1);
        self.packets <= PACKETS_A_TICK
    }

    /// Takes the system's count of packets that found no room; how many more they are.
    pub(super) fn note_lost(&mut self, lost: Option<u32>) -> u64 {
        let Some(lost) = lost else { return 0 };
        u64::from(lost.wrapping_sub(std::mem::replace(&mut self.lost, lost)))
    }
}

/// One open port.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) port: PortId,
    pub(super) sockets: Sockets,
    pub(super) rtp: Line,
    pub(super) rtcp: Line,
}

impl Entry {
    pub(super) fn line(&mut self, channel: Channel) -> &mut Line {
        match channel {
            Channel::Rtp => &mut self.rtp,
            Channel::Rtcp => &mut self.rtcp,
        }
    }

    pub(super) fn socket(&self, channel: Channel) -> &UdpSocket {
        match channel {
            Channel::Rtp => &self.sockets.rtp,
            Channel::Rtcp => &self.sockets.rtcp,
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// By [`PortId::n`].
    ports: HashMap<u32, u32, BuildHasherDefault<Spread>>,
    /// Counts calls of [`super::Backend::next_tick`].
    pub(super) tick: u32,
}

impl Table {
    /// Takes a port in; its tokens, RTP first. Fails when it is there.
    pub(super) fn insert(&mut self, port: PortId, sockets: Sockets) -> io::Result<[Token; 2]> {
        if self.ports.contains_key(&port.n) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let next = u32::try_from(self.slots.len());
                self.slots.push(Slot::default());
                next.map_err(|_| io::ErrorKind::OutOfMemory)?
            }
        };
        let (rtp, rtcp) = Default::default();
        let Slot { generation, entry } = &mut self.slots[slot as usize];
        *entry = Some(Entry { port, sockets, rtp, rtcp });
        self.ports.insert(port.n, slot);
        let generation = *generation;
        Ok([Channel::Rtp, Channel::Rtcp].map(|channel| Token { slot, generation, channel }))
    }

    /// Takes a port out, and what its tokens were, RTP first.
    pub(super) fn remove(&mut self, port: PortId) -> Option<([Token; 2], Entry)> {
        let slot = self.ports.remove(&port.n)?;
        let Slot { generation, entry } = self.slots.get_mut(slot as usize)?;
        let was = *generation;
        *generation = (was + 1) % GENERATIONS;
        self.free.push(slot);
        let tokens =
            [Channel::Rtp, Channel::Rtcp].map(|channel| Token { slot, generation: was, channel });
        Some((tokens, entry.take()?))
    }

    /// Whose token it is; nobody's when its port has been taken out.
    pub(super) fn entry(&mut self, token: Token) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(token.slot as usize)?;
        slot.entry.as_mut().filter(|_| slot.generation == token.generation)
    }

    /// The tokens of all sockets.
    pub(super) fn tokens(&self) -> Vec<Token> {
        let of = |(slot, it): (u32, &Slot)| {
            let generation = it.generation;
            [Channel::Rtp, Channel::Rtcp].map(|channel| Token { slot, generation, channel })
        };
        (0..).zip(&self.slots).filter(|(_, it)| it.entry.is_some()).flat_map(of).collect()
    }

    /// A port's socket.
    pub(super) fn socket(&self, port: PortId, channel: Channel) -> Option<&UdpSocket> {
        let slot = self.slots.get(*self.ports.get(&port.n)? as usize)?;
        slot.entry.as_ref().map(|entry| entry.socket(channel))
    }

    pub(super) fn has(&self, port: PortId) -> bool {
        self.ports.contains_key(&port.n)
    }
}

/// Spreads numbers that count up; nobody outside chooses them.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> Sockets {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        Sockets { rtp: bind(), rtcp: bind() }
    }

    #[test]
    fn tokens_survive_their_bits() {
        for (slot, generation) in [(0, 0), (7, 1), (u32::MAX, GENERATIONS - 1)] {
            for channel in [Channel::Rtp, Channel::Rtcp] {
                let token = Token { slot, generation, channel };
                assert_eq!(Token::from_bits(token.bits()), token);
                assert_eq!(token.bits() >> (64 - FREE_BITS), 0);
            }
        }
    }

    #[test]
    fn a_slot_given_away_again_is_another() {
        let (mut table, first, second) =
            (Table::default(), PortId { n: 1, shard: 0 }, PortId { n: 2, shard: 0 });
        let old = table.insert(first, sockets()).unwrap();
        assert!(table.insert(first, sockets()).is_err());
        assert_eq!(table.remove(first).map(|(tokens, _)| tokens), Some(old));
        assert!(table.remove(first).is_none());
        let new = table.insert(second, sockets()).unwrap();
        assert_eq!(new[0].slot, old[0].slot);
        assert!(table.entry(old[0]).is_none() && table.entry(old[1]).is_none());
        assert_eq!(table.entry(new[1]).map(|e| e.port), Some(second));
        assert!(table.socket(first, Channel::Rtp).is_none());
        let socket = table.socket(second, Channel::Rtcp).unwrap().local_addr().unwrap();
        let entry = table.entry(new[0]).unwrap();
        assert_eq!(entry.sockets.rtcp.local_addr().unwrap(), socket);
    }

    #[test]
    fn a_socket_has_its_share_of_every_tick() {
        let mut line = Line::default();
        for tick in 1..3 {
            assert_eq!((0..100).filter(|_| line.may(tick)).count(), usize::from(PACKETS_A_TICK));
        }
    }
}
