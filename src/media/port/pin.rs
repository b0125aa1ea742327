//! Which stream of the proven source is the peer's voice.
//!
//! Owns the pinned SSRC. Whoever forges the source's address does not know the SSRC, which is as
//! good as a short secret; a second stream is dropped while the pinned one lives. A peer that
//! really begins a new stream (a gateway behind it changed, RFC 3550 §8.2) is heard again after
//! three packets in a row of which none belongs to the old stream, and 50 ms after the last that
//! did; at once when signaling spoke in between, or when the packet is authentic (SRTP).

use std::time::{Duration, Instant};

use crate::media::rtp::Header;

/// Packets in a row that make another stream the voice.
const IN_A_ROW: u8 = 3;
/// For how long the old stream must have ended.
const QUIET: Duration = Duration::from_millis(50);

/// The pinned stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Pin {
    /// Its SSRC, and when its last packet came.
    pinned: Option<(u32, Instant)>,
    /// Another stream: SSRC, next sequence number, packets in a row.
    other: Option<(u32, u16, u8)>,
}

impl Pin {
    /// Signaling has spoken: the next packet is pinned, whatever its SSRC.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    /// Whether a packet is the peer's voice.
    pub(super) fn admits(&mut self, now: Instant, header: &Header, is_authentic: bool) -> bool {
        let is_other = |(ssrc, last): (u32, Instant)| {
            (ssrc != header.ssrc).then_some(now.saturating_duration_since(last))
        };
        if let Some(quiet) = self.pinned.and_then(is_other).filter(|_| !is_authentic) {
            let before = match self.other {
                Some((ssrc, next, n)) if (ssrc, next) == (header.ssrc, header.sequence) => n,
                Some(_) | None => 0,
            };
            let n = before.saturating_add(1);
            self.other = Some((header.ssrc, header.sequence.wrapping_add(1), n));
            if n < IN_A_ROW || quiet < QUIET {
                return false;
            }
        }
        (self.pinned, self.other) = (Some((header.ssrc, now)), None);
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn header(ssrc: u32, sequence: u16) -> Header {
        Header { payload_type: 0, marker: false, sequence, timestamp: 0, ssrc, payload: 12..172 }
    }

    /// Packets as (milliseconds, SSRC, sequence); the SSRCs of those that are admitted.
    fn check(packets: &[(u64, u32, u16)], admitted: &[u32]) {
        let t0 = Instant::now();
        let mut pin = Pin::default();
        let heard = packets
            .iter()
            .filter(|(ms, ssrc, n)| {
                pin.admits(t0 + Duration::from_millis(*ms), &header(*ssrc, *n), false)
            })
            .map(|(_, ssrc, _)| *ssrc);
        assert_eq!(heard.collect::<Vec<_>>(), admitted);
    }

    #[test]
    fn another_stream_is_heard_when_the_old_one_has_ended() {
        let (a, b, c) = (1, 2, 3);
        check(&[(0, a, 9), (20, b, 65_535), (40, b, 0), (60, b, 1), (80, b, 2)], &[a, b, b]);
        // While the old one lives, ever so many come in vain.
        let forged = (0..20).map(|n| (20 * n, a, n as u16)).flat_map(|(ms, a, n)| {
            [(ms, a, n), (ms + 1, b, 3 * n), (ms + 2, b, 3 * n + 1), (ms + 3, b, 3 * n + 2)]
        });
        check(&forged.collect::<Vec<_>>(), &[a; 20]);
        // A burst at once, or numbers that don't follow on each other, prove nothing.
        check(&[(0, a, 9), (1, b, 1), (2, b, 2), (3, b, 3), (4, b, 4), (5, b, 5)], &[a]);
        check(&[(0, a, 9), (90, b, 1), (91, b, 3), (92, c, 4), (93, b, 4), (94, b, 5)], &[a]);
    }

    #[test]
    fn signaling_and_authenticity_open_it() {
        let t0 = Instant::now();
        let mut pin = Pin::default();
        assert!(pin.admits(t0, &header(1, 1), false));
        assert!(!pin.admits(t0 + MS, &header(2, 1), false));
        pin.release();
        assert!(pin.admits(t0 + MS, &header(2, 2), false));
        assert!(pin.admits(t0 + MS, &header(3, 1), true));
        assert!(!pin.admits(t0 + MS, &header(2, 3), false));
    }
}
