//! Counters, gauges and histograms of the service, by the names that operators' dashboards use.
//!
//! Owns the registry. The loop feeds it, the console prints it. Labels come from the configuration
//! or from closed lists, never from a message: a peer can't make the list grow.

mod live;
mod media;
mod voices;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::call::board::{Board, CounselorState, PhaseName};
use crate::call::cdr::{Cdr, LegFigures, Outcome};
use crate::call::deed::What;
use crate::call::voice::Voice;
use crate::shell::media_thread::figures::Figures;
use crate::store::recording::Ended;
use live::Live;
use media::Media;
use voices::Voices;

/// Bounds of the waits, in seconds.
const WAITS: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1_200.0, 1_800.0];

/// Bounds of the talks, in seconds.
const TALKS: [f64; 13] = [
    30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_200.0, 1_800.0, 2_700.0, 3_600.0, 4_500.0, 5_400.0,
    7_200.0,
];

/// Methods with a label of their own; all others share `other`.
const METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];

/// The line's label of a call to a number that belongs to none.
const NO_LINE: &str = "-";

type Labels<const N: usize> = [(&'static str, String); N];

/// The registry; clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    calls: Family<Labels<2>, Counter>,
    waits: Histogram,
    talks: Histogram,
    packets: Counter,
    lost: Counter,
    messages: Family<Labels<2>, Counter>,
    dropped: Family<Labels<1>, Counter>,
    deeds: Family<Labels<1>, Counter>,
    records_lost: Counter,
    recordings: Family<Labels<1>, Counter>,
    voices: Voices,
    live: Arc<Live>,
    media: Arc<Media>,
    gauges: Arc<Gauges>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let calls = Family::default();
        let (waits, talks) = (Histogram::new(WAITS), Histogram::new(TALKS));
        let (packets, lost) = (Counter::default(), Counter::default());
        let messages = Family::default();
        let (dropped, records_lost) = (Family::default(), Counter::default());
        let deeds = Family::default();
        let (media, gauges) = (Arc::new(Media::default()), Arc::new(Gauges::default()));
        // The registry adds `_total` to the names of counters and a full stop to the help.
        registry.register("koebashi_calls", "Calls that ended, by outcome", Family::clone(&calls));
        registry.register("koebashi_wait_seconds", "Time in the queue", waits.clone());
        registry.register("koebashi_talk_seconds", "Time with a counselor", talks.clone());
        let help = "RTP packets received, counted when a call ends";
        registry.register("koebashi_rtp_packets", help, packets.clone());
        let help = "RTP packets that never came, counted when a call ends";
        registry.register("koebashi_rtp_lost", help, lost.clone());
        let help = "SIP messages by method";
        registry.register("koebashi_sip_messages", help, Family::clone(&messages));
        let help = "SIP messages that got no further";
        registry.register("koebashi_sip_dropped", help, Family::clone(&dropped));
        let help = "What supervisors did, denials, and how often counselors asked for help";
        registry.register("koebashi_supervision", help, Family::clone(&deeds));
        let help = "Records that could not be kept";
        registry.register("koebashi_records_lost", help, records_lost.clone());
        let recordings = Family::<Labels<1>, Counter>::default();
        for ended in Ended::ALL {
            drop(recordings.get_or_create(&ended_label(*ended)));
        }
        let help = "Recordings that ended, by how";
        registry.register("koebashi_recordings", help, Family::clone(&recordings));
        let voices = Voices::new(&mut registry);
        let live = Arc::new(Live::default());
        registry.register_collector(Box::new(Arc::clone(&live)));
        registry.register_collector(Box::new(Arc::clone(&media)));
        registry.register_collector(Box::new(Arc::clone(&gauges)));
        let inner = Inner {
            registry,
            calls,
            waits,
            talks,
            packets,
            lost,
            messages,
            dropped,
            deeds,
            records_lost,
            recordings,
            voices,
            live,
            media,
            gauges,
        };
        Self(Arc::new(inner))
    }
}

impl Metrics {
    /// Counts a call that ended; a test call is left out.
    pub fn cdr(&self, cdr: &Cdr) {
        if cdr.test {
            return;
        }
        let inner = &self.0;
        let line = cdr.line.as_ref().map_or(NO_LINE, |line| &line.0);
        inner.calls.get_or_create(&calls_labels(line, cdr.outcome)).inc();
        let seconds = |length: Duration| length.as_secs_f64();
        if cdr.position.is_some() {
            inner.waits.observe(seconds(cdr.wait));
        }
        if cdr.outcome == Outcome::Answered {
            inner.talks.observe(seconds(cdr.talk));
        }
        for LegFigures { quality, .. } in &cdr.legs {
            inner.packets.inc_by(quality.received);
            inner.lost.inc_by(quality.lost);
        }
    }

    /// Counts one-way audio when it begins, and a voice when its leg is over.
    pub fn voice(&self, voice: &Voice) {
        self.0.voices.add(voice);
    }

    /// Takes the gauges from a new picture. A line's counters begin at zero when the line appears,
    /// so that its first call is seen as an increase.
    pub fn board(&self, board: &Board) {
        self.0.live.board(board);
        let mut values = Values { waiting: BTreeMap::new(), ..self.0.gauges.lock().clone() };
        (values.phases, values.counselors) = (BTreeMap::new(), BTreeMap::new());
        for line in &board.lines {
            values.waiting.insert(line.line.to_string(), line.waiting);
        }
        for call in &board.calls {
            *values.phases.entry(call.phase.name()).or_default() += 1;
        }
        for counselor in &board.counselors {
            *values.counselors.entry(counselor.state.name()).or_default() += 1;
        }
        let is_new = |line: &&String| !self.0.gauges.lock().waiting.contains_key(*line);
        let new = values.waiting.keys().filter(is_new).cloned().collect::<Vec<_>>();
        for line in new {
            for outcome in Outcome::ALL {
                drop(self.0.calls.get_or_create(&calls_labels(&line, outcome)));
            }
        }
        *self.0.gauges.lock() = values;
    }

    /// Takes the counts of SIP messages since the start: method, direction (`in` or `out`), count.
    pub fn sip<'a>(&self, counts: impl IntoIterator<Item = (&'a str, &'static str, u64)>) {
        let mut sums = BTreeMap::new();
        for (method, direction, count) in counts {
            let known = METHODS.iter().find(|known| **known == method);
            *sums.entry((known.copied().unwrap_or("other"), direction)).or_insert(0) += count;
        }
        for ((method, direction), count) in sums {
            let labels = [("method", method.to_owned()), ("direction", direction.to_owned())];
            self.0.messages.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
        }
    }

    /// Takes the counts of SIP messages that got no further since the start, by why.
    pub fn dropped(&self, counts: &[(&'static str, u64)]) {
        for (why, count) in counts {
            let labels = [("why", (*why).to_owned())];
            self.0.dropped.get_or_create(&labels).inner().store(*count, Ordering::Relaxed);
        }
    }

    /// Takes the streams that are open, by transport.
    pub fn connections(&self, open: [(&'static str, usize); 2]) {
        self.0.gauges.lock().connections = open.into();
    }

    /// Takes the seconds until our certificate expires, less than 0 when it has; `None`: we have
    /// none.
    pub fn certificate(&self, left: Option<i64>) {
        self.0.gauges.lock().certificate = left;
    }

    /// Takes how the media threads have done since they started.
    pub fn media(&self, figures: Figures) {
        self.0.media.set(figures);
    }

    /// Counts what a supervisor did, or a counselor who asked for help.
    pub fn deed(&self, what: &What) {
        let act = match what {
            What::Began { mode, .. } | What::Switched { mode, .. } => mode.name(),
            What::Denied { .. } => "denied",
            What::HelpAsked => "help",
            What::Summoned { .. }
            | What::Ended { .. }
            | What::HelpCleared
            | What::Recording { .. } => return,
        };
        self.0.deeds.get_or_create(&[("act", act.to_owned())]).inc();
    }

    /// Takes the count of records that the store lost since the start.
    pub fn records_lost(&self, count: u64) {
        self.0.records_lost.inner().store(count, Ordering::Relaxed);
    }

    /// Counts a recording that ended.
    pub fn recording(&self, ended: Ended) {
        self.0.recordings.get_or_create(&ended_label(ended)).inc();
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.0.registry) {
            Ok(()) => prometheus_text(&out),
            Err(fmt::Error) => String::new(),
        }
    }
}

fn ended_label(ended: Ended) -> Labels<1> {
    [("ended", ended.name().to_owned())]
}

fn calls_labels(line: &str, outcome: Outcome) -> Labels<2> {
    [("line", line.to_owned()), ("outcome", outcome.name().to_owned())]
}

/// OpenMetrics names a counter's family without `_total`, under which `koebashi_calls` would be
/// counter and gauge in one; the older format names it in full.
fn prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let counter = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        let mut write = |line: &str| {
            match counter {
                Some(name) => out += &line.replacen(name, &format!("{name}_total"), 1),
                None => out += line,
            }
            out.push('\n');
        };
        if line != "# EOF" {
            help.take().into_iter().chain([line]).for_each(&mut write);
        }
    }
    out
}

/// What the last picture showed; read when somebody asks for the metrics.
#[derive(Debug, Default)]
struct Gauges(Mutex<Values>);

#[derive(Clone, Debug, Default)]
struct Values {
    waiting: BTreeMap<String, u32>,
    phases: BTreeMap<&'static str, u32>,
    counselors: BTreeMap<&'static str, u32>,
    connections: BTreeMap<&'static str, usize>,
    certificate: Option<i64>,
}

impl Gauges {
    fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let values = self.lock().clone();
        let phases = PhaseName::ALL.map(PhaseName::name);
        let phases = phases.map(|name| (name, values.phases.get(name).copied().unwrap_or(0)));
        let states = CounselorState::NAMES;
        let states = states.map(|name| (name, values.counselors.get(name).copied().unwrap_or(0)));
        let waiting = values.waiting.iter().map(|(line, n)| (line.as_str(), *n));
        gauge(&mut encoder, "koebashi_calls", "Calls in each stage", "phase", phases)?;
        gauge(&mut encoder, "koebashi_waiting", "Callers who wait", "line", waiting)?;
        let help = "Counselors in each state";
        gauge(&mut encoder, "koebashi_counselors", help, "state", states)?;
        let streams = values.connections.iter();
        let streams = streams.map(|(name, n)| (*name, u32::try_from(*n).unwrap_or(u32::MAX)));
        let help = "Streams that are open";
        gauge(&mut encoder, "koebashi_sip_connections", help, "transport", streams)?;
        let Some(left) = values.certificate else { return Ok(()) };
        let help = "Seconds until the certificate of SIP over TLS expires.";
        let name = "koebashi_certificate_expires_seconds";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(left).encode(metric)
    }
}

fn gauge<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, u32)>,
) -> fmt::Result {
    let help = format!("{help}.");
    let mut metric = encoder.encode_descriptor(name, &help, None, MetricType::Gauge)?;
    for (value, n) in values {
        ConstGauge::new(i64::from(n)).encode(metric.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cdr::{EndReason, EndedBy, Presentation, Quality};
    use crate::call::config::LineId;
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
            waiting,
            longest_wait: Duration::ZERO,
            ready: 0,
            today: vec![],
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
        metrics.certificate(Some(-5));
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
            "koebashi_certificate_expires_seconds -5",
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
        assert_eq!((types.len(), families), (36, 36), "{text}");
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
}
