//! Counters, gauges and histograms of the service, by the names that operators' dashboards use.
//!
//! Owns the registry. The loop feeds it, the console prints it. Labels come from the configuration
//! or from closed lists, never from a message: a peer can't make the list grow.

mod journal;
mod live;
mod media;
mod openings;
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

use super::scribe::Health;
use crate::call::board::{Board, CounselorState, PhaseName};
use crate::call::cdr::{Cdr, LegFigures, Outcome};
use crate::call::deed::What;
use crate::call::voice::Voice;
use crate::store::recording::Ended;
use journal::Journal;
use live::Live;
use media::Media;
pub use media::MediaFigures;
use openings::Openings;
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
    openings: Arc<Openings>,
    journal: Arc<Journal>,
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
        let openings = Arc::new(Openings::default());
        registry.register_collector(Box::new(Arc::clone(&openings)));
        let journal = Arc::new(Journal::default());
        registry.register_collector(Box::new(Arc::clone(&journal)));
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
            openings,
            journal,
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

    /// Takes how many transactions and sessions SIP holds.
    pub fn sip_held(&self, held: [(&'static str, usize); 2]) {
        self.0.gauges.lock().sip_held = held.into();
    }

    /// Takes how many things the configuration names that are no good.
    pub fn configuration_faults(&self, count: usize) {
        self.0.gauges.lock().configuration_faults = count;
    }

    /// Takes the seconds until our certificate expires, less than 0 when it has; `None`: we have
    /// none.
    pub fn certificate(&self, left: Option<i64>) {
        self.0.gauges.lock().certificate = left;
    }

    /// Takes how the media threads have done since they started.
    pub fn media(&self, figures: MediaFigures) {
        self.0.media.set(figures);
    }

    /// Takes how the checks of a line came out, and when they were made (seconds since 1970).
    pub fn opening(&self, line: &str, at: i64, checks: &[(&'static str, bool)]) {
        self.0.openings.set(line, at, checks);
    }

    /// Counts what a supervisor did, or a counselor who asked for help.
    pub fn deed(&self, what: &What) {
        let act = match what {
            What::Began { mode, .. } | What::Switched { mode, .. } => mode.name(),
            What::Denied { .. } => "denied",
            What::HelpAsked => "help",
            What::HelpRung { supervisors } if supervisors.is_empty() => "help_unheard",
            What::HelpUnanswered => "help_unheard",
            What::Limited => "limit",
            What::HelpRung { .. }
            | What::Summoned { .. }
            | What::Ended { .. }
            | What::HelpCleared
            | What::Recording { .. }
            | What::WrapUpEnded
            | What::WrapUpExtended
            | What::LimitsLifted(_) => return,
        };
        self.0.deeds.get_or_create(&[("act", act.to_owned())]).inc();
    }

    /// Takes how the journal of live calls does, and how many sockets nobody keeps.
    pub fn journal(&self, health: Health, unkept: u64) {
        self.0.journal.set(health, unkept);
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
    sip_held: BTreeMap<&'static str, usize>,
    certificate: Option<i64>,
    configuration_faults: usize,
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
        let help = "Streams that are open";
        let streams = few(&values.connections);
        gauge(&mut encoder, "koebashi_sip_connections", help, "transport", streams)?;
        let help = "What SIP remembers at the moment";
        gauge(&mut encoder, "koebashi_sip_held", help, "what", few(&values.sip_held))?;
        let help = "What the configuration names and is no good: the service runs without it.";
        let name = "koebashi_configuration_faults";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(values.configuration_faults).unwrap_or(i64::MAX))
            .encode(metric)?;
        let Some(left) = values.certificate else { return Ok(()) };
        let help = "Seconds until the certificate of SIP over TLS expires.";
        let name = "koebashi_certificate_expires_seconds";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(left).encode(metric)
    }
}

/// Counts as a gauge takes them.
fn few(counts: &BTreeMap<&'static str, usize>) -> impl Iterator<Item = (&'static str, u32)> {
    counts.iter().map(|(name, n)| (*name, u32::try_from(*n).unwrap_or(u32::MAX)))
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
mod tests;
