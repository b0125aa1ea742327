//! What a line's own records say of its callers, for the model.
//!
//! Owns how many evenings they are of: the days that the line's hours name, since its first record,
//! whether anybody called or not. Hours that were others once are not known; days on which somebody
//! wanted a counselor all the same count too.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, Timelike};
use rusqlite::Connection;

use super::{CALLS_MIN, Model, Part, Service};
use crate::call::cdr::{Cdr, Outcome};
use crate::call::config::LineId;
use crate::store::cdr;
use crate::store::report::SLOT_MINUTES;
use crate::store::report::period::Period;

/// Talks that are drawn from at most: of more, every second, third and so on.
const TALKS_MAX: usize = 20_000;
/// What is assumed of a talk where the history says too little: an hour.
const TALK_ASSUMED: f64 = 3_600.0;
/// What is assumed of patience: five minutes.
const PATIENCE_ASSUMED: f64 = 300.0;
/// What is assumed of an evening's calls.
const CALLS_ASSUMED: f64 = 10.0;
/// What is assumed of an evening: half past three hours from 18:00.
const EVENING_ASSUMED: (f64, f64) = (64_800.0, 12_600.0);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The day of the first record, whatever became of the call.
    pub first: Option<NaiveDate>,
    /// Opening days, and others on which somebody wanted a counselor.
    pub days: BTreeSet<NaiveDate>,
    /// Calls that wanted one.
    pub calls: u64,
    /// Talks, in seconds.
    pub talks: Vec<f64>,
    /// Callers who hung up while they waited.
    pub gave_up: u64,
    /// What all who waited have waited, in seconds.
    pub waited: f64,
    by_slot: BTreeMap<u32, u64>,
}

/// What the operator says, in place of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Assumed {
    /// Calls of an evening.
    pub calls: Option<f64>,
    /// The mean of a talk, in seconds.
    pub talk: Option<f64>,
}

/// What the line's configuration says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Time for notes after a call, in seconds.
    pub wrap_up: f64,
    /// How long a caller waits at most, in seconds.
    pub max_wait: f64,
    /// How many wait at most.
    pub max_callers: usize,
}

/// Reads what the records of a line say of a period, whose last day has not ended. `is_open` knows
/// which days its hours name.
///
/// # Errors
/// When the database can't be read.
pub fn read(
    conn: &Connection,
    line: &LineId,
    is_open: impl Fn(NaiveDate) -> bool,
    period: &Period,
) -> rusqlite::Result<History> {
    let mut history = History::default();
    cdr::load(conn, period.from(), period.to(), |cdr| {
        if cdr.line.as_ref() == Some(line) {
            history.add(&cdr, period);
        }
    })?;
    history.open(is_open, period);
    Ok(history)
}

impl History {
    /// Counts a call.
    pub fn add(&mut self, cdr: &Cdr, period: &Period) {
        let local = period.local(cdr.started);
        let first = self.first.unwrap_or_else(|| local.date());
        self.first = Some(first.min(local.date()));
        let wanted = match cdr.outcome {
            Outcome::Answered
            | Outcome::Abandoned
            | Outcome::ShortAbandoned
            | Outcome::TimedOut
            | Outcome::NoCounselor
            | Outcome::Full => !cdr.test,
            Outcome::GuidanceAbandoned | Outcome::Closed | Outcome::Refused | Outcome::Failed => {
                false
            }
        };
        if !wanted {
            return;
        }
        self.calls += 1;
        *self.by_slot.entry((local.hour() * 60 + local.minute()) / SLOT_MINUTES).or_default() += 1;
        self.days.insert(local.date());
        self.waited += cdr.wait.as_secs_f64();
        let gave_up = [Outcome::Abandoned, Outcome::ShortAbandoned].contains(&cdr.outcome);
        self.gave_up += u64::from(gave_up);
        if cdr.outcome == Outcome::Answered {
            self.talks.push(cdr.talk.as_secs_f64());
        }
    }

    /// Counts the opening days by the hours, from the first record to the day before the last of
    /// the period: that one has not ended, so it counts only when somebody called.
    pub fn open(&mut self, is_open: impl Fn(NaiveDate) -> bool, period: &Period) {
        let days = self.first.into_iter().flat_map(|day| day.iter_days());
        let ended = days.take_while(|day| day.succ_opt().is_some_and(|next| next < period.end));
        self.days.extend(ended.filter(|day| is_open(*day)));
    }

    /// Whether it is enough to draw from.
    pub fn is_enough(&self) -> bool {
        self.calls >= CALLS_MIN && self.talks.len() as u64 >= CALLS_MIN / 2
    }

    /// The mean patience, in seconds; `None`: hardly anybody hung up, or the history is too small.
    pub fn patience(&self) -> Option<f64> {
        (self.is_enough() && self.gave_up > 0).then(|| (self.waited / self.gave_up as f64).max(1.0))
    }

    /// The model: of the history where it is enough, of what is assumed where it is not.
    pub fn model(&self, rules: Rules, assumed: Assumed) -> Model {
        let mut arrivals = match self.is_enough() {
            true => self.parts(),
            false => {
                let (from, length) = EVENING_ASSUMED;
                vec![Part { from, length, calls: CALLS_ASSUMED }]
            }
        };
        let calls: f64 = arrivals.iter().map(|part| part.calls).sum();
        if let Some(wanted) = assumed.calls {
            arrivals.iter_mut().for_each(|part| part.calls *= wanted / calls);
        }
        let service = match assumed.talk {
            Some(mean) => Service::Exponential(mean + rules.wrap_up),
            None if self.is_enough() => {
                let every = self.talks.len().div_ceil(TALKS_MAX).max(1);
                let talks = self.talks.iter().step_by(every);
                Service::Drawn(talks.map(|talk| talk + rules.wrap_up).collect())
            }
            None => Service::Exponential(TALK_ASSUMED + rules.wrap_up),
        };
        let patience = if self.is_enough() { self.patience() } else { Some(PATIENCE_ASSUMED) };
        let Rules { max_wait, max_callers, .. } = rules;
        Model { arrivals, service, patience, max_wait, max_callers }
    }

    fn parts(&self) -> Vec<Part> {
        let length = f64::from(SLOT_MINUTES) * 60.0;
        let part = |(slot, calls): (&u32, &u64)| Part {
            from: f64::from(*slot) * length,
            length,
            calls: *calls as f64 / self.days.len().max(1) as f64,
        };
        self.by_slot.iter().map(part).collect()
    }
}
