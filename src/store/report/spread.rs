//! Measured values, and what is said of them: mean, median, p90, greatest.

use std::time::Duration;

use crate::call::cdr::Quality;

/// Measured values, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread(Vec<f64>);

/// How voices did, a value for each call that has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Voice {
    /// MOS (ITU-T G.107).
    pub mos: Spread,
    /// Share of packets that never came, 0 to 1.
    pub loss: Spread,
    /// Jitter in milliseconds.
    pub jitter_ms: Spread,
    /// Round trip in milliseconds.
    pub round_trip_ms: Spread,
}

impl Spread {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their sum.
    pub fn total(&self) -> f64 {
        self.0.iter().fold(0.0, |sum, x| sum + x)
    }

    /// Their mean.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.total() / self.len() as f64)
    }

    /// The middle value; of an even number of values, the mean of both in the middle.
    pub fn median(&self) -> Option<f64> {
        let upper = self.0.get(self.len() / 2)?;
        let lower = self.0.get((self.len() - 1) / 2)?;
        Some(lower.midpoint(*upper))
    }

    /// The smallest value that at least 90 % of the values do not exceed (nearest rank).
    pub fn p90(&self) -> Option<f64> {
        let rank = (self.len() * 9).div_ceil(10);
        self.0.get(rank.checked_sub(1)?).copied()
    }

    /// The greatest.
    pub fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }

    /// How many values lie in each step of this width, from 0; the last of `count` steps takes all
    /// that is beyond.
    pub fn steps(&self, width: f64, count: usize) -> Vec<u64> {
        let mut steps = vec![0; count];
        for value in &self.0 {
            let step = ((value / width) as usize).min(count.saturating_sub(1));
            if let Some(step) = steps.get_mut(step) {
                *step += 1;
            }
        }
        steps
    }

    /// How many values do not exceed this one.
    pub fn up_to(&self, most: f64) -> u64 {
        self.0.iter().filter(|value| **value <= most).count() as u64
    }

    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(super) fn push_length(&mut self, length: Duration) {
        self.push(length.as_millis() as f64);
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by(f64::total_cmp);
    }
}

impl Voice {
    pub(super) fn add(&mut self, quality: &Quality) {
        let expected = quality.received.saturating_add(quality.lost);
        if expected == 0 {
            return;
        }
        self.loss.push(quality.lost as f64 / expected as f64);
        self.jitter_ms.push(f64::from(quality.jitter_ms));
        self.mos.0.extend(quality.mos.map(f64::from));
        self.round_trip_ms.0.extend(quality.round_trip_ms.map(f64::from));
    }

    pub(super) fn spreads(&mut self) -> [&mut Spread; 4] {
        [&mut self.mos, &mut self.loss, &mut self.jitter_ms, &mut self.round_trip_ms]
    }
}
