//! How the media threads do: how late they tick, what they drop.
//!
//! Owns what was last told of them, and its form. Counted since the threads started.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// What the media threads have done since they started, all together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaFigures {
    /// How packets come and go: its name.
    pub backend: &'static str,
    /// How many threads there are.
    pub threads: u8,
    /// Up to how many seconds late how many ticks were, each class without those before it.
    pub late: Vec<(f64, u64)>,
    /// The lateness of all ticks.
    pub late_in_all: Duration,
    /// Packets dropped, by why.
    pub dropped: Vec<(&'static str, u64)>,
}

/// The figures; read when somebody asks for the metrics.
#[derive(Debug, Default)]
pub(super) struct Media(Mutex<MediaFigures>);

impl Media {
    pub(super) fn set(&self, figures: MediaFigures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

impl Collector for Media {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let name = "koebashi_media_threads";
        let help = "Threads that carry voice, by how packets come and go.";
        let mut threads = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        if figures.threads > 0 {
            let count = ConstGauge::new(i64::from(figures.threads));
            count.encode(threads.encode_family(&[("backend", figures.backend)])?)?;
        }
        let name = "koebashi_media_tick_late_seconds";
        let help = "How late the media threads begin what is due every 20 ms.";
        let late = figures.late_in_all.as_secs_f64();
        let ticks = figures.late.iter().map(|(_, count)| count).sum();
        encoder
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(late, ticks, &figures.late, None)?;
        let name = "koebashi_media_dropped";
        let help = "RTP and RTCP packets that the media threads dropped.";
        let mut dropped = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (why, count) in figures.dropped {
            ConstCounter::new(count).encode(dropped.encode_family(&[("why", why)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::metrics::Metrics;

    #[test]
    fn the_media_threads_are_told_of() {
        let metrics = Metrics::default();
        assert!(!metrics.encode().contains("koebashi_media_threads{"));
        metrics.media(MediaFigures {
            backend: "epoll",
            threads: 2,
            late: vec![(0.000_016, 90), (0.000_064, 9), (f64::INFINITY, 1)],
            late_in_all: Duration::from_millis(1_500),
            dropped: vec![("unsent", 1), ("old", 5)],
        });
        let text = metrics.encode();
        for line in [
            "koebashi_media_threads{backend=\"epoll\"} 2",
            "# TYPE koebashi_media_tick_late_seconds histogram",
            "koebashi_media_tick_late_seconds_sum 1.5",
            "koebashi_media_tick_late_seconds_count 100",
            "koebashi_media_tick_late_seconds_bucket{le=\"0.000016\"} 90",
            "koebashi_media_tick_late_seconds_bucket{le=\"0.000064\"} 99",
            "koebashi_media_tick_late_seconds_bucket{le=\"+Inf\"} 100",
            "# TYPE koebashi_media_dropped_total counter",
            "koebashi_media_dropped_total{why=\"unsent\"} 1",
            "koebashi_media_dropped_total{why=\"old\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
