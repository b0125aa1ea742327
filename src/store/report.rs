//! The figures that the public office gets, counted from the records of a month or fiscal year.
//!
//! Owns what is counted and how: every call exactly once by its outcome, test calls apart. Printing
//! is [`mod@print`]'s, months and years [`period`]'s, finding the records `store::cdr`'s.
//!
//! | figure | formula |
//! |---|---|
//! | received | all calls but test calls |
//! | queued | answered + short_abandoned + abandoned + timed_out + no_counselor + failed |
//! | answer rate | answered ÷ (queued − short_abandoned) |
//! | abandonment | abandoned ÷ (queued − short_abandoned) |
//! | service level T | (answered with wait ≤ T) ÷ (answered + abandoned) |
//! | guidance drop-off | guidance_abandoned ÷ calls that heard the system |
//! | caller-paid waiting | Σ from our 200 until joined or out |
//!
//! `full` counts as busy, so it is not queued. `failed` is our fault, and counts against us.

pub mod columns;
pub mod period;
pub mod print;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{NaiveDate, Timelike};

use super::{Error, Reader};
use crate::call::cdr::{Cdr, Outcome, Quality};
use crate::call::config::{Extension, LineId};

use period::Period;

/// The waits of the service levels, in seconds.
pub const SERVICE_LEVELS: [u64; 3] = [20, 60, 180];

/// Length of a slot of the day, in minutes.
pub const SLOT_MINUTES: u32 = 30;

/// Everything that a report says.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Which time.
    pub period: Period,
    /// All lines together.
    pub total: LineFigures,
    /// Each line; `None`: calls to numbers that belong to no line.
    pub lines: BTreeMap<Option<LineId>, LineFigures>,
}

/// The figures of one line, or of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineFigures {
    /// Calls by outcome.
    pub counts: Counts,
    /// Test calls, which are in no other figure.
    pub test: u64,
    /// Calls of which a recording was begun.
    pub recorded: u64,
    /// Calls that we answered (200), whoever spoke then.
    pub system_answered: u64,
    /// Calls that heard us: answered by the system, or guided before an answer (early media).
    pub heard: u64,
    /// Calls joined within each of [`SERVICE_LEVELS`].
    pub within: [u64; 3],
    /// Waits of answered calls, in milliseconds.
    pub wait_answered: Spread,
    /// Waits of abandoned calls (not the short ones), in milliseconds.
    pub wait_abandoned: Spread,
    /// Talk of answered calls, in milliseconds.
    pub talk: Spread,
    /// What waiting cost the callers whom the system answered, in milliseconds.
    pub paid_wait: Spread,
    /// Calls by the half hour in which they began, counted from midnight.
    pub slots: BTreeMap<u32, Counts>,
    /// Calls by the day on which they began, for days on which the line took calls.
    pub days: BTreeMap<NaiveDate, Counts>,
    /// Each counselor's talks, in milliseconds; a transfer gives one to each.
    pub counselors: BTreeMap<Extension, Spread>,
    /// The callers' voices, of answered calls.
    pub caller_voice: Voice,
    /// The counselors' voices, of answered calls.
    pub counselor_voice: Voice,
}

/// Calls by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Outcome::ALL.len()]);

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

impl Counts {
    /// Calls with this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// All calls.
    pub fn received(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Calls that wanted a counselor while the line was open and had room.
    pub fn queued(&self) -> u64 {
        self.sum(&[
            Outcome::Answered,
            Outcome::ShortAbandoned,
            Outcome::Abandoned,
            Outcome::TimedOut,
            Outcome::NoCounselor,
            Outcome::Failed,
        ])
    }

    /// Answered ÷ (queued − short abandoned).
    pub fn answer_rate(&self) -> Option<f64> {
        ratio(self.of(Outcome::Answered), self.queued() - self.of(Outcome::ShortAbandoned))
    }

    /// Answered ÷ received: the other usual definition.
    pub fn answered_of_received(&self) -> Option<f64> {
        ratio(self.of(Outcome::Answered), self.received())
    }

    /// Abandoned ÷ (queued − short abandoned).
    pub fn abandonment(&self) -> Option<f64> {
        ratio(self.of(Outcome::Abandoned), self.queued() - self.of(Outcome::ShortAbandoned))
    }

    fn sum(&self, outcomes: &[Outcome]) -> u64 {
        outcomes.iter().map(|outcome| self.of(*outcome)).sum()
    }

    fn add(&mut self, outcome: Outcome) {
        self.0[outcome as usize] += 1;
    }

    /// Whether any call got past the door: the line was open.
    fn was_open(&self) -> bool {
        let open = [Outcome::GuidanceAbandoned, Outcome::Full];
        self.queued() - self.of(Outcome::Failed) + self.sum(&open) > 0
    }
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

    fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn push_length(&mut self, length: Duration) {
        self.push(length.as_millis() as f64);
    }

    fn sort(&mut self) {
        self.0.sort_by(f64::total_cmp);
    }
}

impl Voice {
    fn add(&mut self, quality: &Quality) {
        let expected = quality.received.saturating_add(quality.lost);
        if expected == 0 {
            return;
        }
        self.loss.push(quality.lost as f64 / expected as f64);
        self.jitter_ms.push(f64::from(quality.jitter_ms));
        self.mos.0.extend(quality.mos.map(f64::from));
        self.round_trip_ms.0.extend(quality.round_trip_ms.map(f64::from));
    }

    fn spreads(&mut self) -> [&mut Spread; 4] {
        [&mut self.mos, &mut self.loss, &mut self.jitter_ms, &mut self.round_trip_ms]
    }
}

impl LineFigures {
    /// Share of the calls joined within each of [`SERVICE_LEVELS`].
    pub fn service_levels(&self) -> [Option<f64>; 3] {
        let of = self.counts.of(Outcome::Answered) + self.counts.of(Outcome::Abandoned);
        self.within.map(|within| ratio(within, of))
    }

    /// Share of those who heard us and hung up during the guidance.
    pub fn drop_off(&self) -> Option<f64> {
        ratio(self.counts.of(Outcome::GuidanceAbandoned), self.heard)
    }

    fn add(&mut self, cdr: &Cdr, period: &Period) {
        if cdr.test {
            self.test += 1;
            return;
        }
        self.counts.add(cdr.outcome);
        self.recorded += u64::from(cdr.recorded > 0);
        let local = period.local(cdr.started);
        let slot = (local.hour() * 60 + local.minute()) / SLOT_MINUTES;
        self.slots.entry(slot).or_default().add(cdr.outcome);
        self.days.entry(local.date()).or_default().add(cdr.outcome);

        let guided = cdr.outcome == Outcome::GuidanceAbandoned || !cdr.guidance.is_zero();
        self.heard += u64::from(cdr.answered.is_some() || guided);
        if cdr.answered.is_some() {
            self.system_answered += 1;
            self.paid_wait.push_length(cdr.paid_wait);
        }
        for (extension, talk) in &cdr.talks {
            self.counselors.entry(extension.clone()).or_default().push_length(*talk);
        }
        if cdr.outcome == Outcome::Abandoned {
            self.wait_abandoned.push_length(cdr.wait);
        }
        if cdr.outcome == Outcome::Answered {
            self.add_answered(cdr);
        }
    }

    fn add_answered(&mut self, cdr: &Cdr) {
        self.wait_answered.push_length(cdr.wait);
        self.talk.push_length(cdr.talk);
        for (within, limit) in self.within.iter_mut().zip(SERVICE_LEVELS) {
            *within += u64::from(cdr.wait <= Duration::from_secs(limit));
        }
        self.caller_voice.add(&cdr.caller_quality());
        cdr.counselor_qualities().for_each(|quality| self.counselor_voice.add(&quality));
    }

    fn finish(&mut self) {
        self.days.retain(|_, counts| counts.was_open());
        let waits = [&mut self.wait_answered, &mut self.wait_abandoned];
        let lengths = [&mut self.talk, &mut self.paid_wait];
        let voices = [&mut self.caller_voice, &mut self.counselor_voice];
        let spreads = waits.into_iter().chain(lengths);
        let spreads = spreads.chain(voices.into_iter().flat_map(Voice::spreads));
        spreads.chain(self.counselors.values_mut()).for_each(Spread::sort);
    }
}

/// Counts records one by one, so that a year's need not be in memory at once.
#[derive(Debug)]
pub struct Tally(Figures);

impl Tally {
    /// Begins with nothing counted.
    pub fn new(period: Period) -> Self {
        Self(Figures { period, total: LineFigures::default(), lines: BTreeMap::new() })
    }

    /// Counts a call, when it began in the period.
    pub fn add(&mut self, cdr: &Cdr) {
        let Figures { period, total, lines } = &mut self.0;
        if (period.from()..period.to()).contains(&cdr.started) {
            total.add(cdr, period);
            lines.entry(cdr.line.clone()).or_default().add(cdr, period);
        }
    }

    /// The figures.
    pub fn finish(self) -> Figures {
        let mut figures = self.0;
        figures.total.finish();
        figures.lines.values_mut().for_each(LineFigures::finish);
        figures
    }
}

/// The figures of these records.
pub fn figures(rows: &[Cdr], period: Period) -> Figures {
    let mut tally = Tally::new(period);
    rows.iter().for_each(|cdr| tally.add(cdr));
    tally.finish()
}

/// The figures of the database's records.
///
/// # Errors
/// When there is no database, or it can't be read.
pub fn read(database: &Path, period: Period) -> Result<Figures, Error> {
    let (from, to) = (period.from(), period.to());
    let mut tally = Tally::new(period);
    Reader::open(database)?.cdrs(from, to, |cdr| tally.add(&cdr))?;
    Ok(tally.finish())
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
