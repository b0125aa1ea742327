//! RTCP (RFC 3550 §6): what we tell the peer and what it tells us.
//!
//! Owns building and reading of reports and the round trip. When to send, and where, is the port's.
//! The peer's BYE (§6.6) says nothing about the call and is passed over.
//!
//! A peer that uses our SSRC (§8.2) changes nothing. Each way of a leg is a stream of its own that
//! its address tells apart, and a report's block names our packets whoever sends it. By chance it
//! happens once in 2^32 legs; what is seen is a peer that echoes us, which would echo another SSRC
//! too, and a phone takes a change for a new voice and starts its buffer anew.

use std::time::{Duration, Instant};

use rtcp_types::{Compound, Packet, ReportBlock};

use crate::media::kept;
use crate::media::rtp::Report;
use crate::time::Anchor;

/// The version, and the types of packets and items that we write (§12).
const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
/// The longest compound packet that we build: sender report, one block, a CNAME, a BYE.
pub(super) const LENGTH_MAX: usize = 96;
/// Longest packet that is read.
const READ_MAX: usize = 1500;
/// A round trip beyond this is nonsense.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(30);

/// What goes into a report besides the reception.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) ssrc: u32,
    /// The RTP timestamp of this moment.
    pub(super) timestamp: u32,
    pub(super) packets: u32,
    pub(super) octets: u32,
    /// Whether RTP went out since the report before.
    pub(super) is_sender: bool,
    /// Nothing follows: a BYE says so (§6.6).
    pub(super) is_last: bool,
}

/// The exchange of reports with one peer.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    cname: String,
    /// The base of our NTP timestamps: a host without a wall clock may count from anywhere
    /// (§6.4.1).
    epoch: Instant,
    /// The peer's last sender report: the middle of its NTP timestamp, and when it came.
    last_sender_report: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
    at_peer: Option<AtPeer>,
    /// The newest of our packets that the peer's last report names.
    named: Option<u32>,
    /// Sequence numbers that we left out: no packets that were lost.
    skipped: u64,
}

/// What the peer's reports say of our packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AtPeer {
    /// Packets that the peer missed.
    pub(super) lost: u64,
    /// Sum of the jitter in each report, in ticks of the wire's clock, and how many there were.
    jitter: u64,
    reports: u64,
}

impl AtPeer {
    /// The mean jitter in ticks of the wire's clock.
    pub(super) fn jitter(&self) -> u64 {
        self.jitter / self.reports.max(1)
    }
}

impl Reports {
    pub(super) fn new(now: Instant, cname: String) -> Self {
        Self {
            cname,
            epoch: now,
            last_sender_report: None,
            round_trip: None,
            at_peer: None,
            named: None,
            skipped: 0,
        }
    }

    /// The exchange of which this was kept. So many sequence numbers more were left out.
    pub(super) fn resumed(kept: &kept::Reports, skipped: u64, anchor: &Anchor) -> Self {
        let skipped = kept.skipped.saturating_add(skipped);
        Self { skipped, ..Self::new(anchor.instant(kept.epoch), kept.cname.clone()) }
    }

    /// What is kept of it, with the packets and octets that were sent.
    pub(super) fn keep(&self, packets: u64, octets: u64, anchor: &Anchor) -> kept::Reports {
        let (cname, epoch) = (self.cname.clone(), anchor.nanos(self.epoch));
        kept::Reports { cname, epoch, packets, octets, skipped: self.skipped }
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the peer says of our packets, if it does.
    pub(super) fn at_peer(&self) -> Option<AtPeer> {
        self.at_peer
    }

    /// The newest of our packets that the last report names (extended sequence number).
    pub(super) fn named(&self) -> Option<u32> {
        self.named
    }

    /// Writes a compound packet; its length, or 0 when it can't be built.
    pub(super) fn write(
        &self,
        now: Instant,
        sent: Sent,
        reception: Option<Report>,
        out: &mut [u8; LENGTH_MAX],
    ) -> usize {
        let mut writer = Writer { out, length: 0 };
        let is_whole = self.write_report(now, sent, reception, &mut writer).is_some()
            && writer.name(sent.ssrc, self.cname.as_bytes()).is_some()
            && (!sent.is_last || writer.bye(sent.ssrc).is_some());
        if is_whole { writer.length } else { 0 }
    }

    /// A sender report (§6.4.1) or a receiver report (§6.4.2); `None`: no room.
    fn write_report(
        &self,
        now: Instant,
        sent: Sent,
        reception: Option<Report>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let blocks = u8::from(reception.is_some());
        let block_words = u16::from(blocks) * 6;
        if sent.is_sender {
            writer.header(blocks, SENDER_REPORT, 6 + block_words)?;
            writer.word(sent.ssrc)?;
            let ntp = self.ntp(now);
            writer.word((ntp >> 32) as u32)?;
            writer.word(ntp as u32)?;
            for word in [sent.timestamp, sent.packets, sent.octets] {
                writer.word(word)?;
            }
        } else {
            writer.header(blocks, RECEIVER_REPORT, 1 + block_words)?;
            writer.word(sent.ssrc)?;
        }
        let Some(r) = reception else { return Some(()) };
        let (lsr, delay) = match self.last_sender_report {
            Some((lsr, at)) => (lsr, short_ntp(now.saturating_duration_since(at))),
            None => (0, 0),
        };
        let lost = u32::from(r.fraction_lost) << 24 | r.lost & 0xff_ffff;
        for word in [r.ssrc, lost, r.newest, r.jitter, lsr, delay] {
            writer.word(word)?;
        }
        Some(())
    }

    /// Reads a compound packet; false when it is not one. `ssrc` is ours.
    pub(super) fn read(&mut self, now: Instant, ssrc: u32, packet: &[u8]) -> bool {
        if packet.len() > READ_MAX {
            return false;
        }
        let Ok(compound) = Compound::parse(packet) else { return false };
        self.named = None;
        let mut is_report = false;
        for part in compound {
            match part {
                Ok(Packet::Sr(report)) => {
                    is_report = true;
                    let middle = (report.ntp_timestamp() >> 16) as u32;
                    self.last_sender_report = Some((middle, now));
                    report.report_blocks().for_each(|block| self.block(now, ssrc, &block));
                }
                Ok(Packet::Rr(report)) => {
                    is_report = true;
                    report.report_blocks().for_each(|block| self.block(now, ssrc, &block));
                }
                Ok(
                    Packet::App(_)
                    | Packet::Bye(_)
                    | Packet::Sdes(_)
                    | Packet::TransportFeedback(_)
                    | Packet::PayloadFeedback(_)
                    | Packet::Xr(_)
                    | Packet::Unknown(_),
                ) => {}
                Err(_) => break,
            }
            // A compound packet begins with a report (§6.1).
            if !is_report {
                return false;
            }
        }
        is_report
    }

    /// One block of the peer's report: about us, or about nobody that we know.
    fn block(&mut self, now: Instant, ssrc: u32, block: &ReportBlock<'_>) {
        if block.ssrc() != ssrc {
            return;
        }
        // 24 bits with sign: doubled packets make it negative.
        let lost = block.cumulative_lost();
        let at_peer = self.at_peer.get_or_insert_default();
        let lost = if lost & 0x80_0000 == 0 { u64::from(lost) } else { 0 };
        at_peer.lost = lost.saturating_sub(self.skipped);
        at_peer.jitter += u64::from(block.interarrival_jitter());
        at_peer.reports += 1;
        self.named = Some(block.extended_sequence_number());
        let last = block.last_sender_report_timestamp();
        if last == 0 {
            return;
        }
        let ours = (self.ntp(now) >> 16) as u32;
        let delay = block.delay_since_last_sender_report_timestamp();
        let round_trip = ours.wrapping_sub(last).wrapping_sub(delay);
        let round_trip = Duration::from_micros((u64::from(round_trip) * 1_000_000) >> 16);
        if round_trip <= ROUND_TRIP_MAX {
            self.round_trip = Some(round_trip);
        }
    }

    /// Our NTP timestamp: 32 bits of seconds, 32 of fraction, never with a zero middle.
    fn ntp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch) + Duration::from_secs(1);
        (since.as_secs() << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
    }
}

/// Writes packets one behind the other into an array: the crate's builders would allocate with
/// every report.
struct Writer<'a> {
    out: &'a mut [u8; LENGTH_MAX],
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.out.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    fn word(&mut self, word: u32) -> Option<()> {
        self.bytes(&word.to_be_bytes())
    }

    /// The first word of a packet: `words` come behind it (§6.4.1).
    fn header(&mut self, count: u8, kind: u8, words: u16) -> Option<()> {
        self.bytes(&[VERSION << 6 | count, kind])?;
        self.bytes(&words.to_be_bytes())
    }

    /// The end of a source, without a reason (§6.6).
    fn bye(&mut self, ssrc: u32) -> Option<()> {
        self.header(1, GOODBYE, 1)?;
        self.word(ssrc)
    }

    /// A source description with nothing but the CNAME (§6.5). A null byte at least ends it, and
    /// more fill the last word.
    fn name(&mut self, ssrc: u32, cname: &[u8]) -> Option<()> {
        let item = (2 + cname.len() + 1).next_multiple_of(4);
        self.header(1, SOURCE_DESCRIPTION, u16::try_from(1 + item / 4).ok()?)?;
        self.word(ssrc)?;
        let end = self.length + item;
        self.bytes(&[CNAME, u8::try_from(cname.len()).ok()?])?;
        self.bytes(cname)?;
        self.out.get_mut(self.length..end)?.fill(0);
        self.length = end;
        Some(())
    }
}

/// A span in 1/65,536 s.
fn short_ntp(span: Duration) -> u32 {
    u32::try_from((span.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use rtcp_types::{
        Bye, ReceiverReport, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem, SenderReport,
    };

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(ssrc: u32) -> Sent {
        Sent { ssrc, timestamp: 0, packets: 10, octets: 1600, is_sender: true, is_last: false }
    }

    fn written(reports: &Reports, now: Instant, ssrc: u32, about: Option<Report>) -> Vec<u8> {
        let mut out = [0; LENGTH_MAX];
        let n = reports.write(now, sent(ssrc), about, &mut out);
        assert!(n > 0);
        out[..n].to_vec()
    }

    #[test]
    fn round_trip_is_what_the_way_took() {
        let t0 = Instant::now();
        let mut ours = Reports::new(t0, "a".repeat(16));
        let mut theirs = Reports::new(t0 + 77 * MS, "b".repeat(16));
        let report = |lost| Report { ssrc: 1, fraction_lost: 0, lost, newest: 9, jitter: 0 };
        // Ours takes 30 ms there, they wait 2 s, theirs takes 40 ms back.
        let sent_at = t0 + 5000 * MS;
        assert!(theirs.read(sent_at + 30 * MS, 2, &written(&ours, sent_at, 1, None)));
        let answer = written(&theirs, sent_at + 2030 * MS, 2, Some(report(17)));
        assert!(ours.read(sent_at + 2070 * MS, 1, &answer));
        let round_trip = ours.round_trip().unwrap();
        assert!(round_trip.abs_diff(70 * MS) < MS, "{round_trip:?}");
        assert_eq!(ours.at_peer().unwrap().lost, 17);
        // Negative loss: doubled packets.
        let answer = written(&theirs, sent_at + 2030 * MS, 2, Some(report(0xff_ffff)));
        assert!(ours.read(sent_at + 2070 * MS, 1, &answer));
        assert_eq!(ours.at_peer().unwrap().lost, 0);
        // A block about somebody else says nothing.
        let other = Report { ssrc: 5, ..report(3) };
        assert!(ours.read(sent_at, 1, &written(&theirs, sent_at, 2, Some(other))));
        assert_eq!(ours.at_peer().unwrap().lost, 0);
    }

    #[test]
    fn only_reports_are_read() {
        let t0 = Instant::now();
        let mut reports = Reports::new(t0, "c".to_owned());
        let bye = [0x81, 203, 0, 1, 0, 0, 0, 1];
        assert!(!reports.read(t0, 1, &bye));
        assert!(!reports.read(t0, 1, &[]));
        let mut packet = written(&reports.clone(), t0, 9, None);
        packet.extend(bye);
        assert!(reports.read(t0, 1, &packet), "a BYE behind a report changes nothing");
        packet.truncate(packet.len() - 3);
        assert!(!reports.read(t0, 1, &packet));
    }

    #[test]
    fn sender_reports_say_what_went_out() {
        let t0 = Instant::now();
        let packet = written(&Reports::new(t0, "d".to_owned()), t0, 9, None);
        let mut parts = Compound::parse(&packet).unwrap();
        let Some(Ok(Packet::Sr(report))) = parts.next() else { panic!("a sender report") };
        assert_eq!((report.packet_count(), report.octet_count(), report.ssrc()), (10, 1600, 9));
        assert!(matches!(parts.next(), Some(Ok(Packet::Sdes(_)))));
    }

    /// The crate's builders, which allocate, write the same.
    #[test]
    fn reports_are_written_as_the_crate_writes_them() {
        let t0 = Instant::now();
        for length in 1..=19 {
            let mut reports = Reports::new(t0, "n".repeat(length));
            let their = Reports::new(t0, "t".to_owned());
            assert!(reports.read(t0, 9, &written(&their, t0 + 9 * MS, 2, None)));
            let now = t0 + 1234 * MS;
            let (ntp, lsr) = (reports.ntp(now), reports.last_sender_report.unwrap().0);
            let about = Report { ssrc: 5, fraction_lost: 6, lost: 0xff_fff7, newest: 8, jitter: 9 };
            let is_last = length % 2 == 0;
            for (is_sender, about) in
                [(true, Some(about)), (true, None), (false, Some(about)), (false, None)]
            {
                let block = about.map(|about| {
                    ReportBlock::builder(about.ssrc)
                        .fraction_lost(about.fraction_lost)
                        .cumulative_lost(about.lost)
                        .extended_sequence_number(about.newest)
                        .interarrival_jitter(about.jitter)
                        .last_sender_report_timestamp(lsr)
                        .delay_since_last_sender_report_timestamp(short_ntp(1234 * MS))
                });
                let compound = if is_sender {
                    let report = SenderReport::builder(1)
                        .ntp_timestamp(ntp)
                        .rtp_timestamp(2)
                        .packet_count(3)
                        .octet_count(4);
                    Compound::builder()
                        .add_packet(block.into_iter().fold(report, |r, b| r.add_report_block(b)))
                } else {
                    let report = ReceiverReport::builder(1);
                    Compound::builder()
                        .add_packet(block.into_iter().fold(report, |r, b| r.add_report_block(b)))
                };
                let item = SdesItem::builder(SdesItem::CNAME, &reports.cname);
                let name = Sdes::builder().add_chunk(SdesChunk::builder(1).add_item(item));
                let mut theirs = [0xff; LENGTH_MAX];
                let compound = compound.add_packet(name);
                let compound = match is_last {
                    true => compound.add_packet(Bye::builder().add_source(1)),
                    false => compound,
                };
                let count = compound.write_into(&mut theirs).unwrap();
                let mut ours = [0xff; LENGTH_MAX];
                let sent =
                    Sent { ssrc: 1, timestamp: 2, packets: 3, octets: 4, is_sender, is_last };
                assert_eq!(reports.write(now, sent, about, &mut ours), count);
                assert_eq!(ours[..count], theirs[..count], "{is_sender} {length}");
            }
        }
        let long = Reports::new(t0, "n".repeat(60));
        assert_eq!(long.write(t0, sent(1), None, &mut [0; LENGTH_MAX]), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(0u8..=255, 0..200)) {
            let t0 = Instant::now();
            Reports::new(t0, "e".to_owned()).read(t0, 1, &bytes);
        }

        #[test]
        fn any_damage_is_survived(at in 0usize..96, byte in 0u8..=255, len in 0usize..96) {
            let t0 = Instant::now();
            let about = Report { ssrc: 1, fraction_lost: 1, lost: 2, newest: 3, jitter: 4 };
            let mut packet = written(&Reports::new(t0, "f".repeat(16)), t0, 1, Some(about));
            if let Some(b) = packet.get_mut(at) { *b = byte; }
            packet.truncate(len);
            Reports::new(t0, "g".to_owned()).read(t0, 1, &packet);
        }
    }
}
