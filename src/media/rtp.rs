//! RTP packets (RFC 3550 §5.1) and how well a stream comes in (§6.4, appendices A.1, A.3, A.8).
//!
//! Owns reading and writing of the header, and the counts of a stream. What a payload means is
//! decided elsewhere.

use std::ops::Range;
use std::time::Instant;

use rtp_rs::RtpReader;

/// Length of the header that we send: no contributing sources, no extension.
pub(super) const HEADER: usize = 12;
/// A sequence jump below this is loss, beyond it a new beginning (RFC 3550 A.1).
const DROPOUT_MAX: u16 = 3000;
/// A step back below this is reordering.
const MISORDER_MAX: u16 = 100;
/// A packet that comes later than this behind the earliest of the last seconds would have missed
/// its turn in a buffer of 60 ms, in samples.
const BUFFER: i32 = 480;
/// Packets of which the earliest is sought; that of as many before counts too, so that a delay that
/// stays is no lateness for more than two seconds.
const PACE_PACKETS: u8 = 50;
/// A transit change beyond this (1 s) is a jump of the timestamp, not jitter.
const TRANSIT_JUMP: i64 = 8000;

/// What matters of a packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which codec, or telephone-events.
    pub payload_type: u8,
    /// The first packet after a pause.
    pub marker: bool,
    /// One more with each packet; goes round.
    pub sequence: u16,
    /// In ticks of the codec's clock; goes round.
    pub timestamp: u32,
    /// Whose stream.
    pub ssrc: u32,
    /// Where the payload lies, without padding. It begins behind the header's 12 bytes or later.
    pub payload: Range<usize>,
}

impl Header {
    /// Reads a packet; `None` when it is not RTP version 2 or is cut short.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let reader = RtpReader::new(packet).ok()?;
        let start = reader.payload_offset();
        Some(Self {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: u16::from(reader.sequence_number()),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
            payload: start..start + reader.payload().len(),
        })
    }
}

/// The numbers of a packet that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
}

impl Stamp {
    /// Writes the header into the first [`HEADER`] bytes.
    pub(super) fn write(&self, payload_type: u8, packet: &mut [u8]) {
        packet[0] = 0x80;
        packet[1] = (u8::from(self.marker) << 7) | (payload_type & 0x7f);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..HEADER].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// How the stream of one peer comes in.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    stream: Option<Stream>,
    /// What earlier streams (other SSRCs) of the same peer lost.
    lost_before: u64,
    received: u64,
    jitter: Jitter,
}

/// Interarrival jitter in samples, times 16 (A.8): a value that forgets within some seconds, and
/// what it has been so far.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    now: u64,
    max: u64,
    sum: u64,
    count: u64,
}

impl Jitter {
    fn change(&mut self, change: u64) {
        self.now = self.now + change - ((self.now + 8) >> 4);
        self.max = self.max.max(self.now);
        self.sum += self.now;
        self.count += 1;
    }
}

#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    first: u16,
    newest: u16,
    cycles: u32,
    received: u64,
    /// Arrival less timestamp, in samples, of the last packet.
    transit: Option<i64>,
    pace: Option<Pace>,
    /// A.1: the next sequence number after a jump; two in a row begin anew.
    after_jump: Option<u16>,
    reported: Reported,
}

/// How early packets come at best: the transit of the earliest of the last packets, of the packets
/// before them, and how many the last are. Transits go round.
#[derive(Clone, Copy, Debug)]
struct Pace {
    earliest: i32,
    before: i32,
    packets: u8,
}

impl Pace {
    fn new(transit: i32) -> Self {
        Self { earliest: transit, before: transit, packets: 0 }
    }

    /// Notes a packet; whether it is late.
    fn is_late(&mut self, transit: i32) -> bool {
        if self.packets == PACE_PACKETS {
            *self = Self { earliest: transit, before: self.earliest, packets: 0 };
        }
        self.packets += 1;
        if transit.wrapping_sub(self.earliest) < 0 {
            self.earliest = transit;
        }
        let behind = |earliest: i32| transit.wrapping_sub(earliest);
        behind(self.earliest).max(behind(self.before)) > BUFFER
    }
}

/// What the last report counted, for the share lost since.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    expected: u64,
    received: u64,
}

/// A reception report's figures (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) ssrc: u32,
    pub(super) fraction_lost: u8,
    /// 24 bits.
    pub(super) lost: u32,
    pub(super) newest: u32,
    pub(super) jitter: u32,
}

impl Stream {
    fn new(header: &Header) -> Self {
        Self {
            ssrc: header.ssrc,
            first: header.sequence,
            newest: header.sequence,
            cycles: 0,
            received: 1,
            transit: None,
            pace: None,
            after_jump: None,
            reported: Reported::default(),
        }
    }

    fn expected(&self) -> u64 {
        let newest = (u64::from(self.cycles) << 16) + u64::from(self.newest);
        (newest + 1).saturating_sub(u64::from(self.first))
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Finds the packet's place (A.1).
    fn place(&mut self, sequence: u16) -> Place {
        let step = sequence.wrapping_sub(self.newest);
        if step < DROPOUT_MAX {
            if sequence < self.newest {
                self.cycles = self.cycles.wrapping_add(1);
            }
            self.newest = sequence;
        } else if step <= 0u16.wrapping_sub(MISORDER_MAX) {
            let is_second = self.after_jump == Some(sequence);
            self.after_jump = Some(sequence.wrapping_add(1));
            return if is_second { Place::Anew } else { Place::Astray };
        }
        self.after_jump = None;
        Place::InOrder
    }
}

/// Where a packet's sequence number puts it.
enum Place {
    /// In the stream, perhaps after loss or a little late.
    InOrder,
    /// Beyond any loss or reordering.
    Astray,
    /// The second in a row beyond: the stream has begun anew.
    Anew,
}

impl Reception {
    pub(super) fn new() -> Self {
        Self { stream: None, lost_before: 0, received: 0, jitter: Jitter::default() }
    }

    /// Counts a valid packet. `arrival` is in samples of 8 kHz on any fixed base; `timed` is false
    /// for packets whose timestamp is not that of their sending (telephone-events). Whether it came
    /// later than a buffer of 60 ms would have played it.
    pub(super) fn packet(&mut self, header: &Header, arrival: u64, timed: bool) -> bool {
        self.received += 1;
        let is_same = self.stream.as_ref().is_some_and(|s| s.ssrc == header.ssrc);
        if !is_same {
            self.begin(header);
            return false;
        }
        let Some(stream) = &mut self.stream else { return false };
        match stream.place(header.sequence) {
            Place::InOrder => (),
            Place::Astray => return false,
            Place::Anew => {
                self.begin(header);
                return false;
            }
        }
        stream.received += 1;
        if timed {
            let transit = (arrival as i64).wrapping_sub(i64::from(header.timestamp));
            let mut is_jump = false;
            if let Some(last) = stream.transit {
                let change = i64::from(transit.wrapping_sub(last) as i32).abs();
                is_jump = change >= TRANSIT_JUMP;
                if !is_jump {
                    self.jitter.change(change as u64);
                }
            }
            stream.transit = Some(transit);
            // A buffer sets its time anew where a voice begins.
            if is_jump || header.marker {
                stream.pace = None;
            }
            let transit = transit as i32;
            return stream.pace.get_or_insert_with(|| Pace::new(transit)).is_late(transit);
        }
        false
    }

    /// A new stream begins; what the old one lost stays counted.
    fn begin(&mut self, header: &Header) {
        self.lost_before = self.lost();
        self.stream = Some(Stream::new(header));
    }

    /// Valid packets.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Packets that never came.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.stream.as_ref().map_or(0, Stream::lost)
    }

    /// Interarrival jitter of the last seconds, in milliseconds.
    pub(super) fn jitter_ms(&self) -> f32 {
        self.jitter.now as f32 / 16.0 / 8.0
    }

    /// Its mean over all packets.
    pub(super) fn mean_jitter_ms(&self) -> f32 {
        self.jitter.sum as f32 / self.jitter.count.max(1) as f32 / 16.0 / 8.0
    }

    /// The most that it has been.
    pub(super) fn max_jitter_ms(&self) -> f32 {
        self.jitter.max as f32 / 16.0 / 8.0
    }

    /// The figures since the last report; `None` before the first packet.
    /// `ticks`: of the wire's clock in a sample of 8 kHz.
    pub(super) fn report(&mut self, ticks: u32) -> Option<Report> {
        let jitter = ((self.jitter.now * u64::from(ticks)) >> 4) as u32;
        let stream = self.stream.as_mut()?;
        let (expected, received) = (stream.expected(), stream.received);
        let last = stream.reported;
        stream.reported = Reported { expected, received };
        let expected_since = expected.saturating_sub(last.expected);
        let lost_since = expected_since.saturating_sub(received.saturating_sub(last.received));
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0);
        Some(Report {
            ssrc: stream.ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: stream.lost().min(0x7f_ffff) as u32,
            newest: (stream.cycles << 16) | u32::from(stream.newest),
            jitter,
        })
    }
}

/// Samples of 8 kHz between two moments.
pub(super) fn samples_between(from: Instant, to: Instant) -> u64 {
    (to.saturating_duration_since(from).as_micros() * 8 / 1000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
        Header { payload_type: 0, marker: false, sequence, timestamp, ssrc, payload: 12..172 }
    }

    fn feed(reception: &mut Reception, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
        for s in sequences {
            let at = u32::from(s) * 160;
            reception.packet(&header(ssrc, s, at), u64::from(at), true);
        }
    }

    #[test]
    fn header_is_written_as_it_is_read() {
        let mut packet = [0u8; 20];
        let stamp = Stamp { ssrc: 0xdead_beef, sequence: 65_535, timestamp: 7, marker: true };
        stamp.write(101, &mut packet);
        let read = Header::read(&packet).unwrap();
        let wanted = Header { marker: true, payload_type: 101, payload: 12..20, ..header(0, 0, 0) };
        let wanted = Header { ssrc: 0xdead_beef, sequence: 65_535, timestamp: 7, ..wanted };
        assert_eq!(read, wanted);
    }

    #[test]
    fn payload_lies_behind_sources_and_extension_and_before_padding() {
        let mut packet = vec![0x80 | 0x20 | 0x10 | 2, 0];
        packet.extend([0; 10]); // sequence, timestamp, ssrc
        packet.extend([0; 8]); // two sources
        packet.extend([0, 0, 0, 1, 9, 9, 9, 9]); // an extension of one word
        packet.extend([1, 2, 3, 0, 2]); // payload and two bytes of padding
        assert_eq!(Header::read(&packet).unwrap().payload, 28..31);
        assert_eq!(Header::read(&packet[..27]), None);
        assert_eq!(Header::read(&[0x40; 20]), None);
        assert_eq!(Header::read(&[]), None);
    }

    #[test]
    fn loss_is_what_never_came() {
        let mut r = Reception::new();
        feed(&mut r, 1, (65_530..=65_535).chain(0..10));
        assert_eq!((r.received(), r.lost()), (16, 0));
        feed(&mut r, 1, [12, 11, 15]);
        assert_eq!((r.received(), r.lost()), (19, 3));
        let report = r.report(1).unwrap();
        assert_eq!((report.newest, report.lost), (0x1_000f, 3));
        assert_eq!(u32::from(report.fraction_lost), 3 * 256 / 22);
        feed(&mut r, 1, 16..20);
        assert_eq!(r.report(1).unwrap().fraction_lost, 0);
    }

    #[test]
    fn another_source_begins_anew_and_keeps_what_was_lost() {
        let mut r = Reception::new();
        feed(&mut r, 1, [1, 2, 4]);
        feed(&mut r, 2, [50_000, 50_001]);
        assert_eq!((r.received(), r.lost()), (5, 1));
        assert_eq!(r.report(1).unwrap().ssrc, 2);
    }

    #[test]
    fn a_jump_counts_as_a_new_beginning_not_as_loss() {
        let mut r = Reception::new();
        feed(&mut r, 1, [1, 2, 3, 20_000, 20_001, 20_002]);
        assert_eq!(r.lost(), 0);
        assert_eq!(r.report(1).unwrap().newest, 20_002);
    }

    #[test]
    fn late_is_what_a_buffer_of_60_ms_would_have_missed() {
        let mut r = Reception::new();
        let mut late = |s: u16, by: u64| {
            let at = u32::from(s) * 160;
            r.packet(&header(1, s, at), 9_000 + u64::from(at) + by, true)
        };
        // 60 ms behind the earliest is in time, a sample more is not.
        assert!(!(0..100).any(|s| late(s, if s % 2 == 0 { 0 } else { 480 })));
        assert_eq!((late(100, 481), late(101, 0), late(102, 799)), (true, false, true));
        // A way that stays 100 ms longer is the usual one within two seconds.
        let missed = (103..400).filter(|s| late(*s, 800)).collect::<Vec<_>>();
        assert!((40..=100).contains(&missed.len()) && missed[0] == 103, "{missed:?}");
        // Clocks that run apart (200 ppm, six minutes) make nothing late.
        let drift = |s: u16| 800 + u64::from(s - 400) / 31;
        assert!(!(400..18_400).any(|s| late(s, drift(s))));
    }

    #[test]
    fn jitter_follows_the_rfc() {
        let mut r = Reception::new();
        // Every other packet 10 ms (80 samples) late: the difference is 80 each time.
        for s in 0..400u16 {
            let at = u32::from(s) * 160;
            let late = if s % 2 == 0 { 0 } else { 80 };
            r.packet(&header(1, s, at), u64::from(at) + late, true);
        }
        assert!((r.jitter_ms() - 10.0).abs() < 0.2, "{}", r.jitter_ms());
        assert!(r.report(1).unwrap().jitter.abs_diff(80) <= 1);
    }
}
