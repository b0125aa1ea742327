//! The tables of a report: the same figures by half hour, day, month, counselor and so on.
//!
//! Owns which tables there are, their rows and columns. Keys don't change.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, Weekday};

use super::summary::Words;
use super::value::Value;
use super::{Counts, Duty, LineFigures, SERVICE_LEVELS, SLOT_MINUTES, Spread};
use crate::call::cdr::Outcome;
use crate::call::config::Extension;
use crate::store::carrier::Count;
use crate::store::duty::State;

/// Seconds of guidance that are told apart.
const GUIDANCE_SECONDS: usize = 60;

/// A breakdown: a row for each slot, day or counselor, with the same columns.
pub struct Breakdown {
    /// Its key for programs.
    pub key: &'static str,
    /// What people call it.
    pub label: Words,
    /// The key of its first column.
    pub row_key: &'static str,
    /// What the first column is.
    pub row_label: Words,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of a breakdown.
pub struct Row {
    /// Its name for programs.
    pub key: String,
    /// Its name for people, in Japanese and English.
    pub label: (String, String),
    /// Its columns.
    pub columns: Vec<Column>,
}

/// Key, label, value.
pub type Column = (&'static str, Words, Value);

impl Row {
    /// A row whose name is the same for everybody.
    fn new(name: impl Into<String>, columns: Vec<Column>) -> Self {
        let name = name.into();
        Self { key: name.clone(), label: (name.clone(), name), columns }
    }

    fn named(self, ja: String, en: String) -> Self {
        Self { label: (ja, en), ..self }
    }

    /// The value of a column.
    pub fn value(&self, key: &str) -> Option<Value> {
        self.columns.iter().find(|(own, ..)| *own == key).map(|(.., value)| *value)
    }
}

/// Every table of these figures; those without a row too. `duty`: counselors' time, where the
/// figures are of all lines (time belongs to none).
pub fn breakdowns(
    figures: &LineFigures,
    duty: Option<&BTreeMap<Extension, Duty>>,
) -> Vec<Breakdown> {
    let table =
        |key, label, row_key, row_label, rows| Breakdown { key, label, row_key, row_label, rows };
    let (slot, day) = (("時間帯", "Half hour"), ("日", "Day"));
    vec![
        table("slots", ("時間帯別（30分）", "By half hour"), "slot", slot, slots(figures)),
        table("days", ("開設日別", "By opening day"), "day", day, days(figures)),
        table("months", ("月別", "By month"), "month", ("月", "Month"), months(figures)),
        table("waits", ("応答までの待ち", "Wait until answered"), "wait", WAIT, waits(figures)),
        table(
            "guidance",
            ("案内のどこで切断したか", "Where in the guidance callers hung up"),
            "second",
            ("案内の秒", "Second of the guidance"),
            guidance(figures),
        ),
        table(
            "contacts",
            ("相談の種別", "Types of contact"),
            "type",
            ("種別", "Type"),
            contacts(figures),
        ),
        table(
            "carrier_days",
            ("通信事業者の件数（日別）", "The carrier's figures by day"),
            "day",
            day,
            carrier(&figures.carrier.days, |day| day.to_string()),
        ),
        table(
            "carrier_hours",
            ("通信事業者の件数（時間別）", "The carrier's figures by hour"),
            "hour",
            ("時", "Hour"),
            carrier(&figures.carrier.hours, |hour| format!("{hour:02}:00")),
        ),
        table(
            "counselors",
            ("相談員別", "By counselor"),
            "counselor",
            ("内線", "Extension"),
            counselors(figures, duty),
        ),
    ]
}

const WAIT: Words = ("待ち", "Wait");

fn slots(figures: &LineFigures) -> Vec<Row> {
    let row = |(slot, counts): (&u32, &Counts)| Row::new(clock_time(*slot), by_outcome(counts));
    figures.slots.iter().map(row).collect()
}

fn days(figures: &LineFigures) -> Vec<Row> {
    let row = |(day, counts): (&NaiveDate, &Counts)| {
        let (ja, en) = weekday(*day);
        let row = Row::new(day.to_string(), by_outcome(counts));
        row.named(format!("{day} ({ja})"), format!("{day} ({en})"))
    };
    figures.days.iter().map(row).collect()
}

fn months(figures: &LineFigures) -> Vec<Row> {
    let row = |((year, month), counts): (&(i32, u32), &Counts)| {
        let row = Row::new(format!("{year}-{month:02}"), by_outcome(counts));
        row.named(format!("{year}年{month}月"), format!("{year}-{month:02}"))
    };
    figures.months.iter().map(row).collect()
}

/// Answered calls by how long they waited: up to each of the service levels' times, and longer.
fn waits(figures: &LineFigures) -> Vec<Row> {
    let answered = figures.counts.of(Outcome::Answered);
    if answered == 0 {
        return vec![];
    }
    let mut before = (0, 0);
    let mut rows = vec![];
    for (within, limit) in figures.within.into_iter().zip(SERVICE_LEVELS) {
        let (from, count) = (before.1, within - before.0);
        rows.push(wait_row(from, Some(limit), count));
        before = (within, limit);
    }
    rows.push(wait_row(before.1, None, answered - before.0));
    rows
}

fn wait_row(from: u64, to: Option<u64>, count: u64) -> Row {
    let columns = vec![("answered", ("応答", "Answered"), Value::Calls(count))];
    let (key, (ja, en)) = wait_label(from, to);
    Row::new(key, columns).named(ja, en)
}

/// Key and names of waits longer than `from` seconds, up to `to`.
pub(super) fn wait_label(from: u64, to: Option<u64>) -> (String, (String, String)) {
    let key = to.map_or_else(|| format!("over_{from}"), |to| format!("up_to_{to}"));
    let names = match to {
        Some(to) if from == 0 => (format!("{to}秒以内"), format!("up to {to} s")),
        Some(to) => (format!("{from}秒を超え{to}秒以内"), format!("over {from} s, up to {to} s")),
        None => (format!("{from}秒を超える"), format!("over {from} s")),
    };
    (key, names)
}

/// Seconds in which nobody hung up are left out.
fn guidance(figures: &LineFigures) -> Vec<Row> {
    let steps = figures.guidance_left.steps(1_000.0, GUIDANCE_SECONDS + 1);
    let steps = steps.into_iter().enumerate().filter(|(_, count)| *count > 0);
    let row = |(second, count): (usize, u64)| {
        let label = ("切断", "Hung up");
        let row = Row::new(second.to_string(), vec![("calls", label, Value::Calls(count))]);
        match second < GUIDANCE_SECONDS {
            true => row,
            false => row.named(format!("{second}以上"), format!("{second} or more")),
        }
    };
    steps.map(row).collect()
}

fn carrier<K>(counts: &BTreeMap<K, Count>, name: impl Fn(&K) -> String) -> Vec<Row> {
    let row = |(key, count): (&K, &Count)| {
        let Count { attempts, connected } = *count;
        let columns = vec![
            ("attempts", ("発信", "Attempts"), Value::Calls(attempts)),
            ("connected", ("接続", "Connected"), Value::Calls(connected)),
        ];
        Row::new(name(key), columns)
    };
    counts.iter().map(row).collect()
}

fn contacts(figures: &LineFigures) -> Vec<Row> {
    let columns = |count| vec![("calls", ("件数", "Calls"), Value::Calls(count))];
    figures.contacts.iter().map(|(kind, count)| Row::new(kind, columns(*count))).collect()
}

fn counselors(figures: &LineFigures, duty: Option<&BTreeMap<Extension, Duty>>) -> Vec<Row> {
    let (no_talks, no_duty) = (Spread::default(), Duty::default());
    let known = duty.map(BTreeMap::keys).into_iter().flatten();
    let mut all = figures.counselors.keys().chain(known).collect::<Vec<_>>();
    all.sort();
    all.dedup();
    let row = |extension: &Extension| {
        let talks = figures.counselors.get(extension).unwrap_or(&no_talks);
        let mut columns = vec![
            ("calls", ("件数", "Calls"), Value::Calls(talks.len() as u64)),
            ("talk_total", ("相談時間 合計", "Talk, in all"), Value::Length(Some(talks.total()))),
            ("talk_mean", ("平均", "Mean"), Value::Length(talks.mean())),
            ("talk_max", ("最長", "Longest"), Value::Length(talks.max())),
        ];
        if let Some(duty) = duty {
            columns.extend(time(talks, duty.get(extension).unwrap_or(&no_duty)));
        }
        Row::new(extension.to_string(), columns)
    };
    all.into_iter().map(row).collect()
}

fn time(talks: &Spread, duty: &Duty) -> [Column; 6] {
    let (calls, on_duty) = (talks.len() as f64, duty.on_duty() as f64);
    let of = |state| duty.of(state) as f64;
    let handled = talks.total() + of(State::WrapUp);
    let per = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let length = |ms| Value::Length(Some(ms));
    [
        ("on_duty", ("受付時間", "On duty"), length(on_duty)),
        ("wrap_up", ("後処理", "Wrap-up"), length(of(State::WrapUp))),
        ("paused", ("離席", "Paused"), length(of(State::Paused))),
        (
            "calls_per_hour",
            ("1時間あたり", "Calls an hour"),
            Value::Number(per(calls, on_duty / 3_600_000.0)),
        ),
        ("occupancy", ("稼働率", "Occupancy"), Value::Ratio(duty.occupancy())),
        ("aht", ("平均処理時間", "AHT"), Value::Length(per(handled, calls))),
    ]
}

/// What people call an outcome, in a few letters.
fn outcome_label(outcome: Outcome) -> Words {
    match outcome {
        Outcome::Answered => ("応答", "Answered"),
        Outcome::Abandoned => ("放棄", "Abandoned"),
        Outcome::ShortAbandoned => ("短時間", "At once"),
        Outcome::GuidanceAbandoned => ("案内中", "In guidance"),
        Outcome::TimedOut => ("超過", "Too long"),
        Outcome::Full => ("満員", "Full"),
        Outcome::NoCounselor => ("不在", "Nobody"),
        Outcome::Closed => ("時間外", "Closed"),
        Outcome::Refused => ("拒否", "Refused"),
        Outcome::Failed => ("障害", "Our fault"),
    }
}

fn by_outcome(counts: &Counts) -> Vec<Column> {
    let received = ("received", ("着信", "Received"), Value::Calls(counts.received()));
    let outcomes = Outcome::ALL.map(|o| (o.name(), outcome_label(o), Value::Calls(counts.of(o))));
    let rate = ("answer_rate", ("応答率", "Answer rate"), Value::Ratio(counts.answer_rate()));
    std::iter::once(received).chain(outcomes).chain(std::iter::once(rate)).collect()
}

/// The clock time at which a slot begins.
pub fn clock_time(slot: u32) -> String {
    let minutes = slot * SLOT_MINUTES;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

pub(super) fn weekday(day: NaiveDate) -> Words {
    match day.weekday() {
        Weekday::Mon => ("月", "Mon"),
        Weekday::Tue => ("火", "Tue"),
        Weekday::Wed => ("水", "Wed"),
        Weekday::Thu => ("木", "Thu"),
        Weekday::Fri => ("金", "Fri"),
        Weekday::Sat => ("土", "Sat"),
        Weekday::Sun => ("日", "Sun"),
    }
}
