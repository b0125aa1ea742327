//! What the system tells beside a packet: when it came, and how many its socket has lost
//! (`SO_TIMESTAMPNS`, `SO_RXQ_OVFL`).
//!
//! Owns the asking, and reading the bytes of the control messages (`cmsghdr`). The second is told
//! only of sockets that have lost something: elsewhere it costs nothing.

use std::net::UdpSocket;
use std::time::Duration;

use nix::libc::{SCM_TIMESTAMPNS, SO_RXQ_OVFL, SOL_SOCKET, timespec};
use nix::sys::socket::{setsockopt, sockopt};

use crate::shell::clock;

/// Seconds and nanoseconds, as long as this system writes them.
const STAMP: usize = size_of::<timespec>();
/// A message's length, level and type.
const HEADER: usize = size_of::<usize>() + 8;
/// Bytes that both messages take.
pub(super) const LENGTH: usize = space(STAMP) + space(size_of::<u32>());

const fn space(bytes: usize) -> usize {
    HEADER + bytes.next_multiple_of(size_of::<usize>())
}

/// What is told of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// When it came, by the wall clock, since 1970.
    pub(super) came: Option<Duration>,
    /// How many packets found no room in its socket so far; `None`: none.
    pub(super) lost: Option<u32>,
}

/// Has the system tell it of a socket from now on.
pub(super) fn ask(socket: &UdpSocket) {
    let asked = setsockopt(socket, sockopt::ReceiveTimestampns, &true)
        .and_then(|()| setsockopt(socket, sockopt::RxqOvfl, &1));
    if let Err(error) = asked {
        tracing::debug!(%error, "old media packets can't be told from new ones");
    }
}

impl Told {
    /// How long the packet has waited by now.
    pub(super) fn waited(&self, wall: Duration) -> Duration {
        self.came.map_or(Duration::ZERO, |came| clock::waited(wall, came))
    }
}

/// Reads the control messages of one packet. What is not understood is passed over.
pub(super) fn read(mut bytes: &[u8]) -> Told {
    let mut told = Told::default();
    while let Some((length, level, kind)) = header(bytes) {
        let Some(data) = bytes.get(HEADER..length) else { break };
        match (level, kind) {
            (SOL_SOCKET, SCM_TIMESTAMPNS) => told.came = stamp(data),
            (SOL_SOCKET, SO_RXQ_OVFL) => {
                told.lost = data.first_chunk().map(|n| u32::from_ne_bytes(*n));
            }
            _ => (),
        }
        let next = length.next_multiple_of(size_of::<usize>());
        bytes = bytes.get(next..).unwrap_or_default();
    }
    told
}

fn header(bytes: &[u8]) -> Option<(usize, i32, i32)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (level, rest) = rest.split_first_chunk()?;
    let kind = i32::from_ne_bytes(*rest.first_chunk()?);
    Some((usize::from_ne_bytes(*length), i32::from_ne_bytes(*level), kind))
}

fn stamp(data: &[u8]) -> Option<Duration> {
    let half = |bytes: &[u8]| match bytes.len() {
        8 => i64::from_ne_bytes(*bytes.first_chunk()?).try_into().ok(),
        4 => i32::from_ne_bytes(*bytes.first_chunk()?).try_into().ok(),
        _ => None::<u64>,
    };
    let (seconds, nanos) = data.split_at_checked(STAMP / 2)?;
    Some(Duration::from_secs(half(seconds)?) + Duration::from_nanos(half(nanos)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0xff);
        bytes
    }

    #[test]
    fn both_messages_are_read_in_any_order() {
        let time: Vec<u8> = [7_i64, 9].map(i64::to_ne_bytes).concat();
        let time = message(SOL_SOCKET, SCM_TIMESTAMPNS, &time);
        let lost = message(SOL_SOCKET, SO_RXQ_OVFL, &5_u32.to_ne_bytes());
        let other = message(41, 50, &[1; 20]);
        assert_eq!(time.len() + lost.len(), LENGTH);
        let told = Told { came: Some(Duration::new(7, 9)), lost: Some(5) };
        assert_eq!(read(&[&time[..], &lost, &other].concat()), told);
        assert_eq!(read(&[&other[..], &lost, &time].concat()), told);
        assert_eq!(read(&time), Told { lost: None, ..told });
    }

    #[test]
    fn damage_is_survived() {
        let whole = message(SOL_SOCKET, SCM_TIMESTAMPNS, &[0xff; STAMP]);
        for length in 0..=whole.len() {
            assert_eq!(read(&whole[..length]), Told::default(), "{length}");
        }
        for length in [0, 1, HEADER - 1, usize::MAX] {
            let mut bytes = whole.clone();
            bytes[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(read(&bytes), Told::default());
        }
    }
}
