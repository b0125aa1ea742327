//! The figures that the public office gets, counted from the records of a month or fiscal year.
//!
//! Owns what is counted and how: every call exactly once by its outcome, test calls apart. Names of
//! the figures are [`summary`]'s and [`breakdown`]'s, printing is [`mod@print`]'s, days, months and
//! years [`period`]'s, finding the records `store::cdr`'s.
//!
//! | figure | formula |
//! |---|---|
//! | received | all calls but test calls |
//! | queued | answered + short_abandoned + abandoned + timed_out + no_counselor + failed |
//! | waited | queued − short_abandoned |
//! | answer rate | answered ÷ (queued − short_abandoned) |
//! | abandonment | abandoned ÷ (queued − short_abandoned) |
//! | connection rate | answered ÷ the carrier's attempts, of days of which its file is known |
//! | service level T | (answered with wait ≤ T) ÷ (answered + abandoned) |
//! | … of answered | (answered with wait ≤ T) ÷ answered |
//! | … SL2 | (answered + hung up waiting, each within T) ÷ (answered + hung up waiting) |
//! | guidance drop-off | guidance_abandoned ÷ calls that heard the system |
//! | caller-paid waiting | Σ from our 200 until joined or out |
//!
//! `full` counts as busy, so it is not queued. `failed` is our fault, and counts against us. Each
//! figure's query in SQL stands in `report/queries.md`; a test holds the two together.

pub mod breakdown;
pub mod columns;
mod duties;
pub mod period;
pub mod print;
pub mod public;
mod spread;
pub mod staffing;
pub mod summary;
pub mod value;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, Timelike};
use rusqlite::Connection;

use super::carrier::{self, Count};
use super::{Error, Reader, cdr};
use crate::call::cdr::{Cdr, Outcome};
use crate::call::config::{Extension, LineId};

pub use duties::Duty;
use period::Period;
pub use spread::{Spread, Voice};

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
    /// What each counselor did when, on whatever line.
    pub duty: BTreeMap<Extension, Duty>,
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
    /// Calls whose callers hung up in the queue within each of [`SERVICE_LEVELS`].
    pub left_within: [u64; 3],
    /// Guidance that those heard who hung up in it, in milliseconds.
    pub guidance_left: Spread,
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
    /// Calls by the month in which they began: year and month.
    pub months: BTreeMap<(i32, u32), Counts>,
    /// What counselors said that calls were about, and how often.
    pub contacts: BTreeMap<String, u64>,
    /// What the carrier counted, where its file is known.
    pub carrier: Carrier,
    /// Each counselor's talks, in milliseconds; a transfer gives one to each.
    pub counselors: BTreeMap<Extension, Spread>,
    /// The callers' voices, of answered calls.
    pub caller_voice: Voice,
    /// The counselors' voices, of answered calls.
    pub counselor_voice: Voice,
}

/// What the carrier counted on days of which its file is known, and our calls of the same days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carrier {
    /// Days, of all lines where the figures are.
    pub days: BTreeMap<NaiveDate, Count>,
    /// By hour, of those days whose file has hours.
    pub hours: BTreeMap<u32, Count>,
    /// Calls of these days.
    pub count: Count,
    /// Of our calls of these days, those that a counselor answered.
    pub answered: u64,
}

/// Calls by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Outcome::ALL.len()]);

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

    /// Those of them who did not hang up at once: what rates divide by.
    pub fn waited(&self) -> u64 {
        self.queued() - self.of(Outcome::ShortAbandoned)
    }

    /// Answered ÷ (queued − short abandoned).
    pub fn answer_rate(&self) -> Option<f64> {
        ratio(self.of(Outcome::Answered), self.waited())
    }

    /// Answered ÷ received: the other usual definition.
    pub fn answered_of_received(&self) -> Option<f64> {
        ratio(self.of(Outcome::Answered), self.received())
    }

    /// Abandoned ÷ (queued − short abandoned).
    pub fn abandonment(&self) -> Option<f64> {
        ratio(self.of(Outcome::Abandoned), self.waited())
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

impl LineFigures {
    /// Share of the calls joined within each of [`SERVICE_LEVELS`].
    pub fn service_levels(&self) -> [Option<f64>; 3] {
        let of = self.counts.of(Outcome::Answered) + self.counts.of(Outcome::Abandoned);
        self.within.map(|within| ratio(within, of))
    }

    /// The same of answered calls only, which flatters.
    pub fn service_levels_of_answered(&self) -> [Option<f64>; 3] {
        self.within.map(|within| ratio(within, self.counts.of(Outcome::Answered)))
    }

    /// The same as Asterisk's SL2: who hung up in time counts as served.
    pub fn service_levels_2(&self) -> [Option<f64>; 3] {
        let ended = [Outcome::Answered, Outcome::Abandoned, Outcome::ShortAbandoned];
        let of = self.counts.sum(&ended);
        let mut both = self.within;
        both.iter_mut().zip(self.left_within).for_each(|(within, left)| *within += left);
        both.map(|within| ratio(within, of))
    }

    /// Answered ÷ the carrier's attempts.
    pub fn connection_rate(&self) -> Option<f64> {
        ratio(self.carrier.answered, self.carrier.count.attempts)
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
        self.months.entry((local.year(), local.month())).or_default().add(cdr.outcome);

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
        if [Outcome::Abandoned, Outcome::ShortAbandoned].contains(&cdr.outcome) {
            count_within(&mut self.left_within, cdr.wait);
        }
        if cdr.outcome == Outcome::GuidanceAbandoned {
            self.guidance_left.push_length(cdr.guidance);
        }
        if cdr.outcome == Outcome::Answered {
            self.add_answered(cdr);
        }
    }

    fn add_answered(&mut self, cdr: &Cdr) {
        self.wait_answered.push_length(cdr.wait);
        self.talk.push_length(cdr.talk);
        count_within(&mut self.within, cdr.wait);
        self.caller_voice.add(&cdr.caller_quality());
        cdr.counselor_qualities().for_each(|quality| self.counselor_voice.add(&quality));
    }

    fn finish(&mut self) {
        self.days.retain(|_, counts| counts.was_open());
        let waits = [&mut self.wait_answered, &mut self.wait_abandoned];
        let lengths = [&mut self.talk, &mut self.paid_wait, &mut self.guidance_left];
        let voices = [&mut self.caller_voice, &mut self.counselor_voice];
        let spreads = waits.into_iter().chain(lengths);
        let spreads = spreads.chain(voices.into_iter().flat_map(Voice::spreads));
        spreads.chain(self.counselors.values_mut()).for_each(Spread::sort);
    }
}

/// Counts records one by one, so that a year's need not be in memory at once.
#[derive(Debug)]
pub struct Tally {
    figures: Figures,
    /// What the carrier counted.
    carrier: BTreeMap<(LineId, NaiveDate), carrier::Day>,
}

impl Tally {
    /// Begins with nothing counted.
    pub fn new(period: Period) -> Self {
        let (total, lines, duty) = (LineFigures::default(), BTreeMap::new(), BTreeMap::new());
        Self { figures: Figures { period, total, lines, duty }, carrier: BTreeMap::new() }
    }

    /// Takes what the carrier counted, before the first call.
    fn with_carrier(mut self, days: BTreeMap<(LineId, NaiveDate), carrier::Day>) -> Self {
        let Figures { total, lines, .. } = &mut self.figures;
        for ((line, date), day) in &days {
            let line = lines.entry(Some(line.clone())).or_default();
            for carrier in [&mut total.carrier, &mut line.carrier] {
                carrier.count.add(day.all);
                carrier.days.entry(*date).or_default().add(day.all);
                for (hour, count) in &day.hours {
                    carrier.hours.entry(*hour).or_default().add(*count);
                }
            }
        }
        Self { carrier: days, ..self }
    }

    /// Counts a call, when it began in the period.
    pub fn add(&mut self, cdr: &Cdr) {
        let Figures { period, total, lines, .. } = &mut self.figures;
        if !(period.from()..period.to()).contains(&cdr.started) {
            return;
        }
        let day = period.local(cdr.started).date();
        let of_day = cdr.line.clone().map(|line| (line, day));
        let is_known = of_day.is_some_and(|key| self.carrier.contains_key(&key));
        let line = lines.entry(cdr.line.clone()).or_default();
        for figures in [total, line] {
            figures.add(cdr, period);
            let is_answered = cdr.outcome == Outcome::Answered && !cdr.test;
            figures.carrier.answered += u64::from(is_known && is_answered);
        }
    }

    /// The figures.
    pub fn finish(self) -> Figures {
        let mut figures = self.figures;
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
    Reader::open(database)?.read(|conn| count(conn, period))
}

/// The figures of the database's records.
///
/// # Errors
/// When the database can't be read.
pub fn count(conn: &Connection, period: Period) -> rusqlite::Result<Figures> {
    let (from, to) = (period.from(), period.to());
    let days = carrier::load(conn, period.first, period.end)?;
    let mut tally = Tally::new(period).with_carrier(days);
    cdr::load(conn, from, to, |cdr| tally.add(&cdr))?;
    duties::load(conn, from, to, &mut tally.figures.duty)?;
    contacts(conn, &mut tally.figures)?;
    Ok(tally.finish())
}

/// What counselors said that calls were about, where that is written down.
fn contacts(conn: &Connection, figures: &mut Figures) -> rusqlite::Result<()> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'contact'";
    if conn.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(());
    }
    let Figures { period, total, lines, .. } = figures;
    let mut query = conn.prepare(
        "SELECT cdr.line, contact.type, count(*) FROM contact JOIN cdr ON cdr.call = contact.call
         WHERE cdr.started_ms >= ?1 AND cdr.started_ms < ?2 AND cdr.test = 0 GROUP BY 1, 2",
    )?;
    let span = (period.from().timestamp_millis(), period.to().timestamp_millis());
    let mut rows = query.query(span)?;
    while let Some(row) = rows.next()? {
        let line = row.get::<_, Option<String>>(0)?.map(|line| LineId(line.into()));
        let (kind, count): (String, i64) = (row.get(1)?, row.get(2)?);
        for figures in [&mut *total, lines.entry(line).or_default()] {
            *figures.contacts.entry(kind.clone()).or_default() += count.unsigned_abs();
        }
    }
    Ok(())
}

fn count_within(within: &mut [u64; 3], wait: Duration) {
    for (within, limit) in within.iter_mut().zip(SERVICE_LEVELS) {
        *within += u64::from(wait <= Duration::from_secs(limit));
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
