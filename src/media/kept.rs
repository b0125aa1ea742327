//! What of a port outlives the process, as bytes.
//!
//! Owns the form: which values there are, how they are written and how they are read. What they
//! mean, and when they are told, is [`port`](crate::media::port)'s. Keys are never among them.
//!
//! The first byte is the form's version; then every value, always in the same order, numbers with
//! the high byte first. What is of another version, cut short or longer than it says is no state.
//! Nothing here finds out that a byte has changed: whoever keeps it vouches for that.

use std::net::{IpAddr, SocketAddr};

/// Of this form.
const VERSION: u8 = 1;
/// More of anything than a port has.
const LIST_MAX: usize = 64;
/// Room for most states.
const ROOM: usize = 256;

/// Writing and reading of one value.
trait Form: Sized {
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the value from the front; `None`: there is none.
    fn read(from: &mut &[u8]) -> Option<Self>;
}

/// Structures whose fields are written one after the other.
macro_rules! forms {
    ($($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(super) struct $name { $($(#[$what])* pub(super) $field: $type,)* }

        impl Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Form::read(from)?,)* })
            }
        }
    )* };
}

forms! {
    /// Everything. Moments are nanoseconds since the system's boot.
    State {
        /// When it was told.
        told: u64,
        line: Line,
        relay: Option<Carried>,
        secure: Option<Secure>,
        source: Source,
        pin: Pin,
        units: Units,
        keys: Keys,
        reports: Reports,
        life: u8,
    }
    /// The stream that goes out.
    Line {
        ssrc: u32,
        /// The place of the next packet: the rollover counter's 32 bits, the sequence number's 16.
        next: u64,
        /// Of the next packet, in units of 1/8000 s, and when that is due.
        timestamp: u32,
        due: u64,
        /// From units to the wire's clock.
        ticks: u32,
        wire: u32,
    }
    /// How another peer's stream is carried over into it.
    Carried {
        ssrc: u32,
        newest: u16,
        /// What is added.
        sequence: u16,
        timestamp: u32,
        /// The telephone-event under way: its timestamp there and here.
        event: Option<(u32, u32)>,
    }
    /// How far the streams have come that keys protect.
    Secure {
        has_sent: bool,
        sent_rtcp: u64,
        /// SSRC and newest index of the stream that spoke last, and of those before it.
        received: Option<(u32, u64)>,
        received_rtcp: Option<(u32, u64)>,
        earlier: Vec<(u32, u64)>,
        earlier_rtcp: Vec<(u32, u64)>,
    }
    /// Where the peer is.
    Source {
        proven: Option<SocketAddr>,
        /// Since when, and why, it is on trial.
        trial: Option<(u64, u8)>,
        named: Option<SocketAddr>,
        rtcp: Option<SocketAddr>,
    }
    /// Which stream is the voice.
    Pin {
        /// SSRC, newest sequence number, since when.
        voice: Option<(u32, u16, u64)>,
        homes: Vec<(u32, u16)>,
    }
    /// Timestamps that come in.
    Units {
        last: u32,
        whole: i64,
    }
    /// Keys that have been told.
    Keys {
        tells: Option<u32>,
        press: Option<Press>,
        earlier: Vec<(u32, u32)>,
        /// The event code of the tone under way.
        tone: Option<u8>,
    }
    /// A key by telephone-events.
    Press {
        ssrc: u32,
        timestamp: u32,
        /// The payload.
        event: u32,
        at: u64,
    }
    /// What is told by RTCP.
    Reports {
        cname: String,
        epoch: u64,
        packets: u64,
        octets: u64,
        /// Sequence numbers that were never used.
        skipped: u64,
    }
}

impl State {
    /// The state as bytes.
    pub(super) fn print(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        out.push(VERSION);
        self.write(&mut out);
        out
    }

    /// What [`State::print`] has written; `None`: this is no such thing.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, mut rest) = bytes.split_first()? else { return None };
        let state = Self::read(&mut rest)?;
        rest.is_empty().then_some(state)
    }
}

/// Takes `N` bytes from the front.
fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*bytes)
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl Form for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                take(from).map(Self::from_be_bytes)
            }
        }
    )* };
}

numbers!(u8 u16 u32 u64 i64);

impl Form for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match take(from)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

impl<T: Form> Form for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match bool::read(from)? {
            true => T::read(from).map(Some),
            false => Some(None),
        }
    }
}

impl<A: Form, B: Form> Form for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
}

impl<A: Form, B: Form, C: Form> Form for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?, C::read(from)?))
    }
}

/// How many follow, then those; beyond [`LIST_MAX`] none is written.
impl<T: Form> Form for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        let kept = &self[..self.len().min(LIST_MAX)];
        out.push(kept.len() as u8);
        kept.iter().for_each(|value| value.write(out));
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let length = usize::from(u8::read(from)?);
        (length <= LIST_MAX).then(|| (0..length).map(|_| T::read(from)).collect())?
    }
}

impl Form for String {
    fn write(&self, out: &mut Vec<u8>) {
        let kept = &self.as_bytes()[..self.len().min(LIST_MAX)];
        out.push(kept.len() as u8);
        out.extend_from_slice(kept);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Vec::read(from)?).ok()
    }
}

impl Form for SocketAddr {
    fn write(&self, out: &mut Vec<u8>) {
        match self.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        self.port().write(out);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let ip = match take(from)? {
            [4] => IpAddr::from(take::<4>(from)?),
            [6] => IpAddr::from(take::<16>(from)?),
            _ => return None,
        };
        Some(Self::new(ip, u16::read(from)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full() -> State {
        let place = (7, 65_536 * 3 + 5);
        State {
            told: 1,
            line: Line { ssrc: 2, next: 1 << 40, timestamp: 3, due: 4, ticks: 6, wire: 5 },
            relay: Some(Carried {
                ssrc: 6,
                newest: 7,
                sequence: 8,
                timestamp: 9,
                event: Some((1, 2)),
            }),
            secure: Some(Secure {
                has_sent: true,
                sent_rtcp: 10,
                received: Some(place),
                received_rtcp: None,
                earlier: vec![place; 63],
                earlier_rtcp: vec![place],
            }),
            source: Source {
                proven: Some(([192, 0, 2, 1], 4000).into()),
                trial: Some((11, 2)),
                named: Some(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 5000).into()),
                rtcp: None,
            },
            pin: Pin { voice: Some((12, 13, 14)), homes: vec![(1, 2), (3, 4)] },
            units: Units { last: 15, whole: -16 },
            keys: Keys {
                tells: Some(17),
                press: Some(Press { ssrc: 18, timestamp: 19, event: 20, at: 21 }),
                earlier: vec![(22, 23)],
                tone: Some(11),
            },
            reports: Reports {
                cname: "c".repeat(16),
                epoch: 24,
                packets: 25,
                octets: 26,
                skipped: 27,
            },
            life: 1,
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        for state in [State::default(), full()] {
            let bytes = state.print();
            assert_eq!(State::parse(&bytes), Some(state));
            for length in 0..bytes.len() {
                assert_eq!(State::parse(&bytes[..length]), None, "{length}");
            }
            assert_eq!(State::parse(&[&bytes[..], &[0]].concat()), None, "longer");
            assert_eq!(State::parse(&[&[VERSION + 1], &bytes[1..]].concat()), None, "version");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(0u8.., 0..400)) {
            State::parse(&bytes);
            State::parse(&[&[VERSION], &bytes[..]].concat());
        }

        #[test]
        fn any_damage_is_survived(at in 0usize..400, byte in 0u8..) {
            let mut bytes = full().print();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(state) = State::parse(&bytes) {
                prop_assert_eq!(state.print(), bytes);
            }
        }
    }
}
