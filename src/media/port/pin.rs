//! Which stream of the peer's source is its voice.
//!
//! Owns the pinned SSRC. Whoever forges the source's address does not know the SSRC, which is as
//! good as a short secret; a second stream is dropped while the pinned one lives. A peer that
//! really begins a new stream (a gateway behind it changed, RFC 3550 §8.2) is heard again after
//! three packets in a row of which none belongs to the old stream, and half a second after the last
//! that did; at once when the packet is authentic (SRTP). A flood of forged packets may leave no
//! room for the peer's own, so that the old stream seems to have ended: where more come than any
//! voice sends, none becomes the voice.
//!
//! Phones pause for longer than that (mute, DTX), and a forger may wait for it. So the streams that
//! were the voice first keep their way back, which nobody can take who does not know their SSRC:
//! the earlier of two ousts the later with three packets in a row, and one that has been the voice
//! for less than five seconds with the first.

use std::time::{Duration, Instant};

use crate::media::kept;
use crate::media::rtp::Header;
use crate::time::Anchor;

/// Packets in a row that make another stream the voice.
const IN_A_ROW: u8 = 3;
/// For how long the old stream must have ended.
const QUIET: Duration = Duration::from_millis(500);
/// Voices send a packet every 10 to 60 ms: what comes more often than this is a flood.
const PACE: Duration = Duration::from_millis(5);
/// After so long as the voice a stream has a way back.
const SETTLED: Duration = Duration::from_secs(5);
/// Packets so far behind the newest are late, no new beginning.
const LATE_MAX: u16 = 100;
/// Streams that have a way back: nobody pushes out the first by beginning ever new ones.
const HOMES_MAX: usize = 4;

/// The pinned stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Pin {
    voice: Option<Voice>,
    /// Streams with a way back, the earlier first.
    homes: [Option<Home>; HOMES_MAX],
    /// Another stream: SSRC, next sequence number, packets in a row.
    other: Option<(u32, u16, u8)>,
    /// Packets of whatever other stream since the last of the pinned one.
    crowd: u32,
}

/// The stream that is heard.
#[derive(Clone, Copy, Debug)]
struct Voice {
    ssrc: u32,
    newest: u16,
    since: Instant,
    /// When its last packet came.
    last: Instant,
}

/// A stream that was heard, or is.
#[derive(Clone, Copy, Debug)]
struct Home {
    ssrc: u32,
    /// Its newest packet when it was last heard.
    newest: u16,
    /// Since then: the next sequence number, packets in a row.
    row: (u16, u8),
}

impl Pin {
    /// The streams of which this was kept, which go on now.
    pub(super) fn resumed(now: Instant, kept: &kept::Pin, anchor: &Anchor) -> Self {
        let voice = kept.voice.map(|(ssrc, newest, since)| Voice {
            ssrc,
            newest,
            since: anchor.instant(since),
            last: now,
        });
        let mut pin = Self { voice, ..Self::default() };
        for (place, (ssrc, newest)) in pin.homes.iter_mut().zip(&kept.homes) {
            *place = Some(Home { ssrc: *ssrc, newest: *newest, row: (*newest, 0) });
        }
        pin
    }

    /// What is kept of them.
    pub(super) fn keep(&self, anchor: &Anchor) -> kept::Pin {
        let voice = self.voice.map(|it| (it.ssrc, it.newest, anchor.nanos(it.since)));
        let homes = self.homes.iter().flatten().map(|home| (home.ssrc, home.newest));
        kept::Pin { voice, homes: homes.collect() }
    }

    /// The stream that is heard.
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.voice.map(|voice| voice.ssrc)
    }

    /// Signaling names another place or other keys: the next packet is pinned, whatever its SSRC.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    /// Whether a packet is of the voice, but no newer than what came.
    pub(super) fn is_old(&self, header: &Header) -> bool {
        let is_voice = |voice: &Voice| voice.ssrc == header.ssrc;
        let voice = self.voice.filter(is_voice);
        voice.is_some_and(|voice| !is_newer(header.sequence, voice.newest))
    }

    /// Whether a packet goes on with a stream that is the peer's: the voice, or one that has a way
    /// back. Authentic packets are the peer's anyhow.
    pub(super) fn knows(&self, header: &Header, is_authentic: bool) -> bool {
        let is_voice = self.voice.is_some_and(|voice| voice.ssrc == header.ssrc);
        is_voice || is_authentic || self.rank(header.ssrc) < HOMES_MAX
    }

    /// Whether a packet is the peer's voice.
    pub(super) fn admits(&mut self, now: Instant, header: &Header, is_authentic: bool) -> bool {
        let Some(mut voice) = self.voice else {
            self.begin(now, header);
            self.settle(header);
            return true;
        };
        if voice.ssrc == header.ssrc {
            if is_newer(header.sequence, voice.newest) {
                voice.newest = header.sequence;
            }
            voice.last = now;
            self.voice = Some(voice);
            (self.other, self.crowd) = (None, 0);
            if now >= voice.since + SETTLED && self.rank(voice.ssrc) == HOMES_MAX {
                self.settle(header);
            }
            return true;
        }
        let is_voice =
            is_authentic || self.comes_home(&voice, header) || self.replaces(now, &voice, header);
        if is_voice {
            let rank = self.rank(voice.ssrc);
            if let Some(Some(home)) = self.homes.get_mut(rank) {
                home.newest = voice.newest;
            }
            self.begin(now, header);
        }
        is_voice
    }

    fn begin(&mut self, now: Instant, header: &Header) {
        let (ssrc, newest) = (header.ssrc, header.sequence);
        self.voice = Some(Voice { ssrc, newest, since: now, last: now });
        (self.other, self.crowd) = (None, 0);
    }

    /// The voice has a way back from here on, if there is room.
    fn settle(&mut self, header: &Header) {
        if let Some(free) = self.homes.iter_mut().find(|home| home.is_none()) {
            let newest = header.sequence;
            *free = Some(Home { ssrc: header.ssrc, newest, row: (newest, 0) });
        }
    }

    /// The place among those that have a way back; [`HOMES_MAX`]: it has none.
    fn rank(&self, ssrc: u32) -> usize {
        let is_it = |home: &Option<Home>| home.is_some_and(|home| home.ssrc == ssrc);
        self.homes.iter().position(is_it).unwrap_or(HOMES_MAX)
    }

    /// Whether an earlier stream ousts the voice.
    fn comes_home(&mut self, voice: &Voice, header: &Header) -> bool {
        let (rank, than) = (self.rank(header.ssrc), self.rank(voice.ssrc));
        let Some(Some(home)) = self.homes.get_mut(rank).filter(|_| rank < than) else {
            return false;
        };
        if home.newest.wrapping_sub(header.sequence) <= LATE_MAX {
            return false;
        }
        let n = in_a_row(home.row, header.sequence);
        home.row = (header.sequence.wrapping_add(1), n);
        let is_at_once = than == HOMES_MAX && is_newer(header.sequence, home.newest);
        is_at_once || n >= IN_A_ROW
    }

    /// Whether another stream takes the place of one that has ended.
    fn replaces(&mut self, now: Instant, voice: &Voice, header: &Header) -> bool {
        let quiet = now.saturating_duration_since(voice.last);
        let row = self.other.filter(|(ssrc, ..)| *ssrc == header.ssrc);
        let n = in_a_row(row.map_or((0, 0), |(_, next, n)| (next, n)), header.sequence);
        self.other = Some((header.ssrc, header.sequence.wrapping_add(1), n));
        self.crowd = self.crowd.saturating_add(1);
        let is_flood = self.crowd > u32::from(IN_A_ROW) && PACE * self.crowd > quiet;
        n >= IN_A_ROW && quiet >= QUIET && !is_flood
    }
}

/// Packets in a row with this one. `row`: the next sequence number, and how many came before.
fn in_a_row((next, before): (u16, u8), sequence: u16) -> u8 {
    if next == sequence { before.saturating_add(1) } else { 1 }
}

fn is_newer(sequence: u16, than: u16) -> bool {
    (sequence.wrapping_sub(than) as i16) > 0
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
        let begun = (1..=30).map(|n| (20 * n, b, 65_520 + n as u32));
        let begun = begun.map(|(ms, ssrc, n)| (ms, ssrc, n as u16));
        // From the packet at 500 ms on.
        check(
            &[(0, a, 9)].into_iter().chain(begun).collect::<Vec<_>>(),
            &[&[a][..], &[b; 6]].concat(),
        );
        // While the old one lives, ever so many come in vain.
        let forged = (0..20).map(|n| (20 * n, a, n as u16)).flat_map(|(ms, a, n)| {
            [(ms, a, n), (ms + 1, b, 3 * n), (ms + 2, b, 3 * n + 1), (ms + 3, b, 3 * n + 2)]
        });
        check(&forged.collect::<Vec<_>>(), &[a; 20]);
        // A burst at once, or numbers that don't follow on each other, prove nothing.
        check(&[(0, a, 9), (1, b, 1), (2, b, 2), (3, b, 3), (4, b, 4), (5, b, 5)], &[a]);
        let astray = [(700, b, 1), (701, b, 3), (702, c, 4), (703, b, 4), (704, b, 5)];
        check(&[&[(0, a, 9)][..], &astray].concat(), &[a]);
    }

    #[test]
    fn a_flood_is_no_voice_even_when_it_leaves_the_voice_no_room() {
        let (a, b) = (1, 2);
        // The voice's packets are lost among those of the flood, four in a millisecond.
        let flood = (0..4_000).map(|n| (1 + n / 4, b, n as u16));
        check(&[(0, a, 9)].into_iter().chain(flood).collect::<Vec<_>>(), &[a]);
        // What has waited on its way and comes at once is a voice when time has caught up: that of
        // 134 packets at 680 ms.
        let late = (0..100).map(|n| (1, b, n));
        let late = late.chain((100..140).map(|n| (20 * (u64::from(n) - 99), b, n)));
        check(
            &[(0, a, 9)].into_iter().chain(late).collect::<Vec<_>>(),
            &[&[a][..], &[b; 7]].concat(),
        );
    }

    /// Packets of a stream, one every 20 ms: from when, SSRC, first number, how many.
    fn stream(ms: u64, ssrc: u32, first: u16, n: u16) -> Vec<(u64, u32, u16)> {
        (0..n).map(|i| (ms + 20 * u64::from(i), ssrc, first + i)).collect()
    }

    #[test]
    fn who_waits_for_a_pause_is_ousted_by_the_next_packet() {
        let (a, b) = (1, 2);
        // A second of mute; the forger goes on.
        let mut packets =
            [stream(0, a, 10, 50), stream(1_000, b, 1, 100), stream(2_001, a, 60, 50)].concat();
        packets.sort_unstable();
        let heard = [&[a; 50][..], &[b; 27], &[a; 50]].concat();
        check(&packets, &heard);
        // After a minute of it the stream has settled: three packets in a row.
        let mut packets =
            [stream(0, a, 10, 50), stream(1_000, b, 1, 3_100), stream(61_001, a, 60, 100)].concat();
        packets.sort_unstable();
        let ousted = [&[a; 50][..], &vec![b; 3_000 - 24 + 3], &[a; 98]].concat();
        check(&packets, &ousted);
    }

    #[test]
    fn nothing_old_takes_the_voice_back() {
        let (a, b, c) = (1, 2, 3);
        // Late packets of the former stream, soon after and long after; one astray.
        let mut packets = [stream(0, a, 10, 50), stream(1_000, b, 1, 1_000)].concat();
        packets.extend([(1_600, a, 55), (1_700, a, 59), (9_000, a, 60), (9_900, a, 70)]);
        packets.retain(|(ms, ssrc, _)| *ssrc == b || *ms < 1_000 || *ms > 8_000);
        packets.extend([(1_600, a, 58), (1_700, a, 59)]);
        packets.sort_unstable();
        let heard = [&[a; 50][..], &[b; 976]].concat();
        check(&packets, &heard);
        // What begins later than another never ousts it, however well it is known.
        let mut packets = [stream(0, a, 1, 5), stream(1_000, b, 1, 500), stream(11_000, a, 6, 100)];
        let mut packets = std::mem::take(&mut packets).concat();
        packets.extend(stream(11_005, b, 501, 90));
        packets.extend(stream(11_007, c, 1, 90));
        packets.sort_unstable();
        let heard = [&[a; 5][..], &[b; 498], &[b; 2], &[a; 98]].concat();
        check(&packets, &heard);
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
        assert!(!pin.admits(t0 + MS, &header(4, 3), false));
    }
}
