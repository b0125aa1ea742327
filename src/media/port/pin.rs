//! Which stream of the proven source is the peer's voice.
//!
//! Owns the pinned SSRC. Whoever forges the source's address does not know the SSRC, which is as
//! good as a short secret; a second stream is dropped while the pinned one lives. A peer that
//! really begins a new stream (a gateway behind it changed, RFC 3550 §8.2) is heard again after
//! three packets in a row of which none belongs to the old stream, and 50 ms after the last that
//! did; at once when signaling spoke in between, or when the packet is authentic (SRTP). A flood of
//! forged packets may leave no room for the peer's own, so that the old stream seems to have ended:
//! where more come than any voice sends, none becomes the voice.

use std::time::{Duration, Instant};

use crate::media::rtp::Header;

/// Packets in a row that make another stream the voice.
const IN_A_ROW: u8 = 3;
/// For how long the old stream must have ended.
const QUIET: Duration = Duration::from_millis(50);
/// Voices send a packet every 10 to 60 ms: what comes more often than this is a flood.
const PACE: Duration = Duration::from_millis(5);

/// The pinned stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Pin {
    /// Its SSRC, and when its last packet came.
    pinned: Option<(u32, Instant)>,
    /// Another stream: SSRC, next sequence number, packets in a row.
    other: Option<(u32, u16, u8)>,
    /// Packets of whatever other stream since the last of the pinned one.
    crowd: u32,
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
            self.crowd = self.crowd.saturating_add(1);
            let is_flood = self.crowd > u32::from(IN_A_ROW) && PACE * self.crowd > quiet;
            if n < IN_A_ROW || quiet < QUIET || is_flood {
                return false;
            }
        }
        *self = Self { pinned: Some((header.ssrc, now)), other: None, crowd: 0 };
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
    fn a_flood_is_no_voice_even_when_it_leaves_the_voice_no_room() {
        let (a, b) = (1, 2);
        // The voice's packets are lost among those of the flood, four in a millisecond.
        let flood = (0..4_000).map(|n| (1 + n / 4, b, n as u16));
        check(&[(0, a, 9)].into_iter().chain(flood).collect::<Vec<_>>(), &[a]);
        // What has waited on its way and comes at once is a voice when time has caught up: that of
        // 27 packets at 140 ms.
        let late =
            (0..20).map(|n| (1, b, n)).chain((20..30).map(|n| (20 * (u64::from(n) - 19), b, n)));
        check(&[(0, a, 9)].into_iter().chain(late).collect::<Vec<_>>(), &[a, b, b, b, b]);
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
