//! How the journal of live calls does.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::shell::scribe::Health;

/// As it was told last, and how many sockets nobody keeps.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<(Health, u64)>);

impl Journal {
    pub(super) fn set(&self, health: Health, unkept: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (health, unkept);
    }
}

impl Collector for Journal {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (health, unkept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "Whether live calls would not outlive the process: 1, the journal fails.";
        let name = "koebashi_journal_fault";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(health.fault.is_some())).encode(metric)?;
        let help = "Changes of live calls that were written to the journal.";
        let name = "koebashi_journal_written";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(health.written).encode(metric)?;
        let help = "Changes of live calls that were acted upon before they were written.";
        let name = "koebashi_journal_late";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(health.late).encode(metric)?;
        let help = "Sockets that the service manager did not take: they end with the process.";
        let name = "koebashi_sockets_unkept";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(unkept).encode(metric)
    }
}
