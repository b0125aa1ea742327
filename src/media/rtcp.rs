//! RTCP (RFC 3550 §6): what we tell the peer and what it tells us.
//!
//! Owns building and reading of reports and the round trip. When to send, and where, is the port's.
//! A BYE (§6.6) says nothing about the call and is passed over.

use std::time::{Duration, Instant};

use rtcp_types::{
    Compound, Packet, ReceiverReport, ReportBlock, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem,
    SenderReport,
};

use crate::media::rtp::Report;

/// The longest compound packet that we build: sender report, one block, a CNAME.
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
    lost_at_peer: u64,
}

impl Reports {
    pub(super) fn new(now: Instant, cname: String) -> Self {
        let (last_sender_report, round_trip) = (None, None);
        Self { cname, epoch: now, last_sender_report, round_trip, lost_at_peer: 0 }
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Our packets that the peer says it missed.
    pub(super) fn lost_at_peer(&self) -> u64 {
        self.lost_at_peer
    }

    /// Writes a compound packet; its length, or 0 when it can't be built.
    pub(super) fn write(
        &self,
        now: Instant,
        sent: Sent,
        reception: Option<Report>,
        out: &mut [u8; LENGTH_MAX],
    ) -> usize {
        let block = reception.map(|r| {
            let (lsr, delay) = match self.last_sender_report {
                Some((lsr, at)) => (lsr, short_ntp(now.saturating_duration_since(at))),
                None => (0, 0),
            };
            ReportBlock::builder(r.ssrc)
                .fraction_lost(r.fraction_lost)
                .cumulative_lost(r.lost)
                .extended_sequence_number(r.newest)
                .interarrival_jitter(r.jitter)
                .last_sender_report_timestamp(lsr)
                .delay_since_last_sender_report_timestamp(delay)
        });
        let chunk =
            SdesChunk::builder(sent.ssrc).add_item(SdesItem::builder(SdesItem::CNAME, &self.cname));
        let compound = if sent.is_sender {
            let mut report = SenderReport::builder(sent.ssrc)
                .ntp_timestamp(self.ntp(now))
                .rtp_timestamp(sent.timestamp)
                .packet_count(sent.packets)
                .octet_count(sent.octets);
            if let Some(block) = block {
                report = report.add_report_block(block);
            }
            Compound::builder().add_packet(report)
        } else {
            let mut report = ReceiverReport::builder(sent.ssrc);
            if let Some(block) = block {
                report = report.add_report_block(block);
            }
            Compound::builder().add_packet(report)
        };
        let compound = compound.add_packet(Sdes::builder().add_chunk(chunk));
        compound.write_into(out).unwrap_or(0)
    }

    /// Reads a compound packet; false when it is not one. `ssrc` is ours.
    pub(super) fn read(&mut self, now: Instant, ssrc: u32, packet: &[u8]) -> bool {
        if packet.len() > READ_MAX {
            return false;
        }
        let Ok(compound) = Compound::parse(packet) else { return false };
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
        self.lost_at_peer = if lost & 0x80_0000 == 0 { u64::from(lost) } else { 0 };
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

/// A span in 1/65,536 s.
fn short_ntp(span: Duration) -> u32 {
    u32::try_from((span.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(ssrc: u32) -> Sent {
        Sent { ssrc, timestamp: 0, packets: 10, octets: 1600, is_sender: true }
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
        assert_eq!(ours.lost_at_peer(), 17);
        // Negative loss: doubled packets.
        let answer = written(&theirs, sent_at + 2030 * MS, 2, Some(report(0xff_ffff)));
        assert!(ours.read(sent_at + 2070 * MS, 1, &answer));
        assert_eq!(ours.lost_at_peer(), 0);
        // A block about somebody else says nothing.
        let other = Report { ssrc: 5, ..report(3) };
        assert!(ours.read(sent_at, 1, &written(&theirs, sent_at, 2, Some(other))));
        assert_eq!(ours.lost_at_peer(), 0);
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
