//! How the media threads do: how late they tick, what they drop.
//!
//! Owns what was last told of them, and its form. Counted since the threads started.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::shell::media_thread::figures::Figures;

/// The figures of all threads; read when somebody asks for the metrics.
#[derive(Debug, Default)]
pub(super) struct Media(Mutex<Figures>);

impl Media {
    pub(super) fn set(&self, figures: Figures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

impl Collector for Media {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "koebashi_media_threads";
        let help = "Threads that carry voice, by how packets come and go.";
        let mut threads = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        if let Some(backend) = figures.backend {
            let count = ConstGauge::new(i64::from(figures.threads));
            count.encode(threads.encode_family(&[("backend", backend.name())])?)?;
        }
        let name = "koebashi_media_tick_late_seconds";
        let help = "How late the media threads begin what is due every 20 ms.";
        let buckets: Vec<(f64, u64)> = figures.late().collect();
        let late = figures.late_in_all.as_secs_f64();
        encoder
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(late, figures.ticks(), &buckets, None)?;
        let name = "koebashi_media_dropped";
        let help = "RTP and RTCP packets that the media threads dropped.";
        let mut dropped = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        let drops = figures.drops;
        for (why, count) in [
            ("unsent", drops.unsent),
            ("too_long", drops.too_long),
            ("flood", drops.flood),
            ("overrun", drops.overrun),
            ("old", figures.old),
        ] {
            ConstCounter::new(count).encode(dropped.encode_family(&[("why", why)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shell::media_thread::backend::{Drops, Kind};
    use crate::shell::metrics::Metrics;

    #[test]
    fn the_media_threads_are_told_of() {
        let metrics = Metrics::default();
        assert!(!metrics.encode().contains("koebashi_media_threads{"));
        let mut late = [0; 16];
        (late[0], late[2], late[15]) = (90, 9, 1);
        metrics.media(Figures {
            late,
            backend: Some(Kind::Epoll),
            threads: 2,
            late_in_all: Duration::from_millis(1_500),
            latest: Duration::from_secs(1),
            drops: Drops { unsent: 1, too_long: 2, flood: 3, overrun: 4 },
            old: 5,
        });
        let text = metrics.encode();
        for line in [
            "koebashi_media_threads{backend=\"epoll\"} 2",
            "# TYPE koebashi_media_tick_late_seconds histogram",
            "koebashi_media_tick_late_seconds_sum 1.5",
            "koebashi_media_tick_late_seconds_count 100",
            "koebashi_media_tick_late_seconds_bucket{le=\"0.000016\"} 90",
            "koebashi_media_tick_late_seconds_bucket{le=\"0.000064\"} 99",
            "koebashi_media_tick_late_seconds_bucket{le=\"0.262144\"} 99",
            "koebashi_media_tick_late_seconds_bucket{le=\"+Inf\"} 100",
            "# TYPE koebashi_media_dropped_total counter",
            "koebashi_media_dropped_total{why=\"unsent\"} 1",
            "koebashi_media_dropped_total{why=\"too_long\"} 2",
            "koebashi_media_dropped_total{why=\"flood\"} 3",
            "koebashi_media_dropped_total{why=\"overrun\"} 4",
            "koebashi_media_dropped_total{why=\"old\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
