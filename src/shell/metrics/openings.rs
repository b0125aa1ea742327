//! How the checks before an opening came out, line by line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The last run of a line: when, and each check that could be made.
#[derive(Debug, Default)]
struct Last {
    at: i64,
    checks: Vec<(&'static str, bool)>,
}

/// The last run of each line. Lines come from the configuration, so that there are few.
#[derive(Debug, Default)]
pub(super) struct Openings(Mutex<BTreeMap<String, Last>>);

impl Openings {
    pub(super) fn set(&self, line: &str, at: i64, checks: &[(&'static str, bool)]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(line.to_owned(), Last { at, checks: checks.to_vec() });
    }
}

impl Collector for Openings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Checks before an opening, as they came out last: 1 is well, 0 is bad.";
        let name = "koebashi_opening_check";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (line, last) in &*lines {
            for (check, is_well) in &last.checks {
                let labels = [("line", line.as_str()), ("check", check)];
                ConstGauge::new(i64::from(*is_well)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let help = "When the checks before an opening were made last, seconds since 1970.";
        let name = "koebashi_opening_last_run_timestamp_seconds";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (line, last) in &*lines {
            let labels = [("line", line.as_str())];
            ConstGauge::new(last.at).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
