use super::*;
use crate::call::cdr::{EndReason, EndedBy, Presentation, Quality};
use crate::call::config::{LineId, Override};
use crate::call::voice::{News, Side};
use crate::call::{board, cdr};
use crate::media::{Recent, Way};
use crate::time::Timestamp;

fn ended(line: Option<&str>, outcome: Outcome) -> Cdr {
    Cdr {
        call: cdr::CallId("c".into()),
        trunk: "navi".into(),
        line: line.map(LineId::from),
        started: Timestamp::UNIX_EPOCH,
        answered: None,
        ended: Timestamp::UNIX_EPOCH,
        outcome,
        ended_by: EndedBy::Caller,
        reason: EndReason::Hangup,
        presentation: Presentation::Shown,
        guidance: Duration::ZERO,
        wait: Duration::from_secs(25),
        talk: Duration::from_secs(3_000),
        paid_wait: Duration::ZERO,
        position: Some(1),
        offers: 0,
        counselor: None,
        talks: vec![],
        recorded: 0,
        test: false,
        legs: [(100, 3), (50, 1)]
            .map(|(received, lost)| LegFigures {
                whose: cdr::Whose::Caller,
                quality: Quality { received, lost, ..Quality::default() },
            })
            .into(),
    }
}

fn line(id: &str, waiting: u32) -> board::LineView {
    board::LineView {
        line: LineId::from(id),
        name: String::new(),
        open: true,
        changes_at: None,
        closes_at: None,
        over: Override::Auto,
        waiting,
        longest_wait: Duration::ZERO,
        ready: 0,
        today: vec![],
        service_level: board::ServiceLevel::default(),
    }
}

#[test]
fn every_family_is_there_under_its_name() {
    let metrics = Metrics::default();
    metrics.board(&Board { lines: vec![line("nijiiro", 2)], ..Board::default() });
    metrics.cdr(&ended(Some("nijiiro"), Outcome::Answered));
    metrics.cdr(&ended(None, Outcome::Refused));
    metrics.cdr(&Cdr { test: true, ..ended(Some("nijiiro"), Outcome::Answered) });
    metrics.sip([("INVITE", "in", 3), ("HACK", "in", 1), ("X", "in", 2), ("invite", "in", 4)]);
    metrics.dropped(&[("malformed", 2), ("stranger", 0)]);
    metrics.records_lost(1);
    metrics.connections([("tcp", 2), ("tls", 3)]);
    metrics.sip_held([("transactions", 7), ("sessions", 2)]);
    metrics.certificate(Some(-5));
    metrics.configuration_faults(2);
    let fault = Some("full".to_owned());
    metrics.journal(Health { fault, written: 7, late: 2 }, 3);
    metrics.opening("nijiiro", 1_795_939_294, &[("trunk", true), ("disk", false)]);
    metrics.board(&Board { lines: vec![line("nijiiro", 2)], ..Board::default() });
    metrics.recording(Ended::Overrun);
    metrics.deed(&What::HelpAsked);
    metrics.sip([("INVITE", "in", 5)]);
    let text = metrics.encode();
    let expected = [
        "# TYPE koebashi_calls_total counter",
        "koebashi_calls_total{line=\"nijiiro\",outcome=\"answered\"} 1",
        "koebashi_calls_total{line=\"nijiiro\",outcome=\"failed\"} 0",
        "koebashi_calls_total{line=\"-\",outcome=\"refused\"} 1",
        "# TYPE koebashi_calls gauge",
        "koebashi_calls{phase=\"queue\"} 0",
        "koebashi_waiting{line=\"nijiiro\"} 2",
        "koebashi_counselors{state=\"wrap_up\"} 0",
        "# TYPE koebashi_wait_seconds histogram",
        "koebashi_wait_seconds_bucket{le=\"20.0\"} 0",
        "koebashi_wait_seconds_bucket{le=\"30.0\"} 2",
        "koebashi_wait_seconds_bucket{le=\"1800.0\"} 2",
        "koebashi_talk_seconds_bucket{le=\"7200.0\"} 1",
        "koebashi_talk_seconds_sum 3000.0",
        "koebashi_rtp_packets_total 300",
        "koebashi_rtp_lost_total 8",
        "koebashi_sip_messages_total{method=\"INVITE\",direction=\"in\"} 5",
        "koebashi_sip_messages_total{method=\"other\",direction=\"in\"} 7",
        "koebashi_sip_dropped_total{why=\"malformed\"} 2",
        "koebashi_records_lost_total 1",
        "koebashi_sip_connections{transport=\"tls\"} 3",
        "koebashi_sip_held{what=\"transactions\"} 7",
        "koebashi_sip_held{what=\"sessions\"} 2",
        "koebashi_certificate_expires_seconds -5",
        "koebashi_configuration_faults 2",
        "koebashi_journal_fault 1",
        "koebashi_journal_written_total 7",
        "koebashi_journal_late_total 2",
        "koebashi_sockets_unkept_total 3",
        "koebashi_opening_check{line=\"nijiiro\",check=\"trunk\"} 1",
        "koebashi_opening_check{line=\"nijiiro\",check=\"disk\"} 0",
        "koebashi_opening_last_run_timestamp_seconds{line=\"nijiiro\"} 1795939294",
        "koebashi_recordings_total{ended=\"overrun\"} 1",
        "koebashi_recordings_total{ended=\"whole\"} 0",
        "koebashi_supervision_total{act=\"help\"} 1",
    ];
    for line in expected {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    let mut types = text.lines().filter(|line| line.starts_with("# TYPE")).collect::<Vec<_>>();
    let families = types.len();
    types.sort_unstable();
    types.dedup_by_key(|line| line.split(' ').nth(2));
    assert_eq!((types.len(), families), (44, 44), "{text}");
    assert!(text.ends_with('\n') && !text.contains("EOF"));
}

#[test]
fn live_voices_are_seen_while_they_last() {
    let metrics = Metrics::default();
    let leg = |side, mos| board::LegView {
        side,
        quality: Quality::default(),
        recent: Some(Recent { loss: (5.0 - mos) / 8.0, jitter_ms: 8.0 * mos, mos }),
        is_one_way: false,
        is_unheard: mos < 2.0,
    };
    let silent = board::LegView { recent: None, is_one_way: true, ..leg(Side::Counselor, 4.0) };
    let legs = [2.5, 4.0, 1.5, 4.25, 3.5].map(|mos| vec![leg(Side::Caller, mos)]);
    let legs = legs.into_iter().chain([vec![silent]]);
    let calls = legs.map(|legs| board::CallView {
        call: cdr::CallId("c0ffee".into()),
        line: None,
        phase: PhaseName::Bridge,
        since: Timestamp::UNIX_EPOCH,
        in_phase: Duration::ZERO,
        waited: None,
        position: None,
        counselors: vec![],
        presentation: Presentation::Shown,
        recording: None,
        supervisor: None,
        legs,
    });
    metrics.board(&Board { calls: calls.collect(), ..Board::default() });
    let text = metrics.encode();
    for line in [
        "koebashi_live_legs{side=\"caller\"} 5",
        "koebashi_live_legs{side=\"counselor\"} 1",
        "koebashi_live_legs{side=\"supervisor\"} 0",
        "koebashi_live_legs_one_way{side=\"caller\"} 1",
        "koebashi_live_legs_one_way{side=\"counselor\"} 1",
        "koebashi_live_leg_mos{side=\"caller\",of=\"worst\"} 1.5",
        "koebashi_live_leg_mos{side=\"caller\",of=\"median\"} 3.5",
        "koebashi_live_leg_loss_ratio{side=\"caller\",of=\"worst\"} 0.4375",
        "koebashi_live_leg_jitter_seconds{side=\"caller\",of=\"median\"} 0.028",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(!text.contains("koebashi_live_leg_mos{side=\"counselor\""), "no figure\n{text}");
    assert!(!text.contains("c0ffee"), "no call is named\n{text}");
    metrics.board(&Board::default());
    assert!(!metrics.encode().contains("koebashi_live_leg_mos{"));
}

#[test]
fn voices_are_counted_by_side() {
    let metrics = Metrics::default();
    let tell = |side, news| {
        let call = Some(cdr::CallId("c0ffee".into()));
        metrics.voice(&Voice { call, side, news });
    };
    let quality = Quality {
        received: 98,
        lost: 2,
        jitter_ms: 4.0,
        late: 3,
        concealed: 5,
        rejected: 7,
        strangers: 11,
        first_packet_ms: Some(60.0),
        source_differs: true,
        level_dbfs: Some(-26.0),
        mos: Some(4.25),
        mos_at_peer: Some(2.75),
        ..Quality::default()
    };
    tell(Side::Caller, News::OneWay(Way::FromPeer));
    tell(Side::Counselor, News::OneWay(Way::ToPeer));
    tell(Side::Caller, News::BothWays(Way::FromPeer));
    tell(Side::Caller, News::Closed(quality));
    tell(Side::Caller, News::Closed(quality));
    let mute = Quality { sent: 50, jitter_ms: f32::NAN, ..Quality::default() };
    tell(Side::Supervisor, News::Closed(mute));
    let text = metrics.encode();
    for line in [
        "koebashi_leg_one_way_total{side=\"caller\"} 1",
        "koebashi_leg_one_way_total{side=\"counselor\"} 0",
        "koebashi_leg_unheard_total{side=\"caller\"} 0",
        "koebashi_leg_unheard_total{side=\"counselor\"} 1",
        "koebashi_leg_mos_at_peer_bucket{le=\"2.5\",side=\"caller\"} 0",
        "koebashi_leg_mos_at_peer_bucket{le=\"3.0\",side=\"caller\"} 2",
        "koebashi_leg_mos_bucket{le=\"4.2\",side=\"caller\"} 0",
        "koebashi_leg_mos_bucket{le=\"4.3\",side=\"caller\"} 2",
        "koebashi_leg_mos_count{side=\"supervisor\"} 0",
        "koebashi_leg_jitter_seconds_bucket{le=\"0.005\",side=\"caller\"} 2",
        "koebashi_leg_loss_ratio_bucket{le=\"0.01\",side=\"caller\"} 0",
        "koebashi_leg_loss_ratio_bucket{le=\"0.02\",side=\"caller\"} 2",
        "koebashi_leg_first_packet_seconds_bucket{le=\"0.1\",side=\"caller\"} 2",
        "koebashi_leg_level_dbfs_bucket{le=\"-25.0\",side=\"caller\"} 2",
        "koebashi_leg_late_packets_total{side=\"caller\"} 6",
        "koebashi_leg_concealed_frames_total{side=\"caller\"} 10",
        "koebashi_leg_rejected_packets_total{side=\"caller\"} 14",
        "koebashi_leg_stranger_packets_total{side=\"caller\"} 22",
        "koebashi_leg_source_differs_total{side=\"caller\"} 2",
        "koebashi_leg_jitter_seconds_count{side=\"supervisor\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(!text.contains("c0ffee"), "no call is named\n{text}");
}

#[test]
fn a_line_that_is_gone_waits_no_more() {
    let metrics = Metrics::default();
    metrics.board(&Board { lines: vec![line("a", 1), line("b", 1)], ..Board::default() });
    metrics.board(&Board { lines: vec![line("b", 0)], ..Board::default() });
    let text = metrics.encode();
    assert!(!text.contains("koebashi_waiting{line=\"a\"}"), "{text}");
    assert!(text.contains("koebashi_waiting{line=\"b\"} 0"), "{text}");
}
