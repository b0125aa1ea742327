//! The version of a report that may be published: nobody can be found in it.
//!
//! Owns what is shown, what is not, and the proof that what is not can't be computed from what is.
//! A count below the limit is `Few`. Where a total and its other parts would give it away, more
//! parts are withheld, the smallest first, until each that is not shown could be one of several
//! numbers and all of them together are no count below the limit; where that does not help, none of
//! the parts is shown. So what a published count leaves over of another is 0 or not below the limit
//! either.
//!
//! What keeps the tables apart from each other: every table is a breakdown of one published total
//! that no other table breaks down by the same measure, so that what one says of its parts says
//! nothing of another's. A rate is shown only where both of its numbers are; figures of waits and
//! talks only where many calls made them and no part of their own table is withheld. A day by half
//! hour is not shown at all, nor counselors, the longest waits and talks, or all lines together
//! beside each line. Two reports whose times overlap (months and their year) are not kept apart:
//! publish one kind.

pub mod print;

use std::collections::BTreeMap;

use super::breakdown::{clock_time, wait_label, weekday};
use super::period::{Period, Span};
use super::summary::{SUMMARY, Words};
use super::value::Value;
use super::{Figures, LineFigures, SERVICE_LEVELS, ratio};
use crate::call::cdr::Outcome;
use crate::call::config::LineId;

/// The outcomes of callers who waited for a counselor, but for those who left at once: what the
/// answer rate divides by. So it can be told although hardly anybody leaves at once.
const WAITED: [Outcome; 5] = [
    Outcome::Answered,
    Outcome::Abandoned,
    Outcome::TimedOut,
    Outcome::NoCounselor,
    Outcome::Failed,
];
/// The others.
const OTHERS: [Outcome; 5] = [
    Outcome::ShortAbandoned,
    Outcome::GuidanceAbandoned,
    Outcome::Full,
    Outcome::Closed,
    Outcome::Refused,
];

/// A count as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The count itself.
    Shown(u64),
    /// Below the limit.
    Few,
    /// Not below the limit, and not shown, so that others can't be computed.
    Withheld,
    /// Not shown, and nothing is said of it.
    Nothing,
}

/// A figure as it is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// Its value.
    Value(Value),
    /// A count below the limit.
    Few,
    /// Not published.
    Withheld,
}

/// What is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Public {
    /// Of which time.
    pub period: Period,
    /// Counts below this are not shown.
    pub min_cell: u64,
    /// Each line by itself.
    pub lines: Vec<Line>,
}

/// What is published of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its id.
    pub id: LineId,
    /// Figures, by key.
    pub figures: Vec<(&'static str, Shown)>,
    /// Breakdowns.
    pub tables: Vec<Table>,
}

/// A breakdown of one total.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its key for programs.
    pub key: &'static str,
    /// What people call it.
    pub label: Words,
    /// What the first column is.
    pub row_label: Words,
    /// Key, names and count of each row.
    pub rows: Vec<(String, (String, String), Shown)>,
}

impl From<Cell> for Shown {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Shown(count) => Self::Value(Value::Calls(count)),
            Cell::Few => Self::Few,
            Cell::Withheld | Cell::Nothing => Self::Withheld,
        }
    }
}

impl Cell {
    fn shown(self) -> Option<u64> {
        match self {
            Self::Shown(count) => Some(count),
            Self::Few | Self::Withheld | Self::Nothing => None,
        }
    }
}

/// What may be published of these figures, of each line by itself.
pub fn public(figures: &Figures, min_cell: u64) -> Public {
    let lines = figures.lines.iter().filter_map(|(id, figures_of_line)| {
        let (figures_shown, tables) = line(figures_of_line, figures.period.span(), min_cell);
        Some(Line { id: id.clone()?, figures: figures_shown, tables })
    });
    Public { period: figures.period.clone(), min_cell, lines: lines.collect() }
}

/// The parts of a published total, as they can be published.
///
/// Whoever reads them knows the total, the shown parts, that each `Few` is below `min` and each
/// `Withheld` is not. Each that is not shown could still be at least three numbers (two, where
/// there are not three below the limit), and the sum of them is not below the limit.
pub fn protect(parts: &[u64], min: u64) -> Vec<Cell> {
    protect_from(0, parts, min)
}

/// The same of parts of which everybody knows that each is `least` or more.
fn protect_from(least: u64, parts: &[u64], min: u64) -> Vec<Cell> {
    let few = |count: &u64| if *count < min { Cell::Few } else { Cell::Shown(*count) };
    let mut cells = parts.iter().map(few).collect::<Vec<_>>();
    if min <= 1 {
        return parts.iter().map(|count| Cell::Shown(*count)).collect();
    }
    while !is_safe(least, parts, &cells, min) {
        let shown = parts.iter().enumerate().filter(|(n, _)| cells[*n].shown().is_some());
        let Some((smallest, _)) = shown.min_by_key(|(_, count)| **count) else {
            return vec![Cell::Nothing; parts.len()];
        };
        cells[smallest] = Cell::Withheld;
    }
    cells
}

/// Whether each part that is not shown could be several numbers, and their sum is not small: it is
/// what is left over of the total.
fn is_safe(least_few: u64, parts: &[u64], cells: &[Cell], min: u64) -> bool {
    let hidden = || parts.iter().zip(cells).filter(|(_, cell)| cell.shown().is_none());
    let rest: u64 = hidden().map(|(count, _)| count).sum();
    let range = |cell: &Cell| match cell {
        Cell::Few => (least_few, min - 1),
        Cell::Shown(_) | Cell::Withheld | Cell::Nothing => (min, rest),
    };
    let least: u64 = hidden().map(|(_, cell)| range(cell).0).sum();
    let others = 2.min((min - 1).saturating_sub(least_few)).max(1);
    let most: u64 = hidden().fold(0, |sum, (_, cell)| range(cell).1.saturating_add(sum));
    let is_small = rest < min && hidden().next().is_some();
    !is_small
        && hidden().all(|(_, cell)| {
            let (low, high) = range(cell);
            // What the others take at least and at most.
            let (others_least, others_most) = (least - low, most - high);
            let high = high.min(rest.saturating_sub(others_least));
            let low = low.max(rest.saturating_sub(others_most));
            high.saturating_sub(low) >= others
        })
}

/// The published outcomes of a line.
struct Outcomes {
    received: u64,
    waited: Option<u64>,
    cells: BTreeMap<Outcome, Cell>,
}

/// `None`: too few calls to publish anything.
fn outcomes(figures: &LineFigures, min: u64) -> Option<Outcomes> {
    let counts = &figures.counts;
    let (received, waited) = (counts.received(), counts.waited());
    if received < min {
        return None;
    }
    let cells_of = |outcomes: &[Outcome]| {
        let parts = outcomes.iter().map(|it| counts.of(*it)).collect::<Vec<_>>();
        let cells = protect(&parts, min);
        outcomes.iter().copied().zip(cells).collect::<Vec<_>>()
    };
    let is_split = waited >= min && received - waited >= min;
    let cells = match is_split {
        true => [cells_of(&WAITED), cells_of(&OTHERS)].concat(),
        false => cells_of(&[&WAITED[..], &OTHERS[..]].concat()),
    };
    let waited = is_split.then_some(waited);
    Some(Outcomes { received, waited, cells: cells.into_iter().collect() })
}

fn line(figures: &LineFigures, span: Span, min: u64) -> (Vec<(&'static str, Shown)>, Vec<Table>) {
    let Some(outcomes) = outcomes(figures, min) else {
        return (vec![("received", Shown::Few)], vec![]);
    };
    let cell = |outcome| outcomes.cells.get(&outcome).copied().unwrap_or(Cell::Nothing);
    let shown = |outcome| cell(outcome).shown();
    let mut found = vec![("received", Shown::Value(Value::Calls(outcomes.received)))];
    found.extend(Outcome::ALL.map(|outcome| (outcome.name(), cell(outcome).into())));
    let count =
        |count: Option<u64>| count.map_or(Shown::Withheld, |n| Shown::Value(Value::Calls(n)));
    let share = |part: Option<u64>, whole: Option<u64>| match part.zip(whole) {
        Some((part, whole)) => Shown::Value(Value::Ratio(ratio(part, whole))),
        None => Shown::Withheld,
    };
    let answered = shown(Outcome::Answered);
    let in_hours = shown(Outcome::Closed).map(|closed| outcomes.received - closed);
    let attempts =
        attempts(figures, [Some(outcomes.received), outcomes.waited, in_hours, answered], min);
    found.extend([
        ("in_hours", count(in_hours)),
        ("waited", count(outcomes.waited)),
        ("answer_rate", share(answered, outcomes.waited)),
        ("answered_of_received", share(answered, Some(outcomes.received))),
        ("abandonment", share(shown(Outcome::Abandoned), outcomes.waited)),
    ]);
    if figures.carrier.count.attempts > 0 {
        found.push(("connection_rate", share(answered, attempts)));
        found.push(("carrier_attempts", count(attempts)));
    }
    let bands = answered.map(|_| protect(&bands(figures), min)).unwrap_or_default();
    found.extend(service_levels(&bands, answered, shown(Outcome::Abandoned)));
    found.extend(lengths(figures, answered, &bands, min));
    let mut tables = vec![];
    if let Some(waited) = outcomes.waited {
        tables.push(slots(figures, waited, min));
        tables.extend((span == Span::Month).then(|| days(figures, waited, min)).flatten());
    }
    if !bands.is_empty() {
        tables.push(waits(&bands));
    }
    tables.extend(answered.and_then(|_| contacts(figures, min)));
    (found, tables)
}

/// The carrier's attempts, unless another published count and they differ by few: so many found it
/// engaged.
fn attempts(figures: &LineFigures, published: [Option<u64>; 4], min: u64) -> Option<u64> {
    let attempts = figures.carrier.count.attempts;
    let is_whole = figures.carrier.answered == figures.counts.of(Outcome::Answered);
    let is_few = |count: u64| (1..min).contains(&count.abs_diff(attempts));
    let gives_away = published.into_iter().flatten().any(is_few);
    (attempts >= min && is_whole && !gives_away).then_some(attempts)
}

/// Answered calls by their wait.
fn bands(figures: &LineFigures) -> Vec<u64> {
    let [first, second, third] = figures.within;
    let answered = figures.counts.of(Outcome::Answered);
    vec![first, second - first, third - second, answered - third]
}

fn service_levels(
    bands: &[Cell],
    answered: Option<u64>,
    abandoned: Option<u64>,
) -> [(&'static str, Shown); 3] {
    let of = answered.zip(abandoned).map(|(answered, abandoned)| answered + abandoned);
    let within = |n: usize| {
        let bands = bands.get(..n)?.iter().map(|band| band.shown());
        let within = bands.sum::<Option<u64>>()?;
        Some(Shown::Value(Value::Ratio(ratio(within, of?))))
    };
    let level = |n| within(n).unwrap_or(Shown::Withheld);
    [
        ("service_level_20", level(1)),
        ("service_level_60", level(2)),
        ("service_level_180", level(3)),
    ]
}

/// Means and medians, of many calls only.
fn lengths(
    figures: &LineFigures,
    answered: Option<u64>,
    bands: &[Cell],
    min: u64,
) -> [(&'static str, Shown); 5] {
    let is_many = answered.is_some_and(|n| n >= 2 * min && n > 0);
    let waits = is_many && bands.iter().all(|band| band.shown().is_some());
    let is_paid = figures.paid_wait.len() as u64 >= 2 * min;
    let length = |is_shown: bool, ms: Option<f64>| match is_shown {
        true => Shown::Value(Value::Length(ms)),
        false => Shown::Withheld,
    };
    [
        ("wait_answered_mean", length(waits, figures.wait_answered.mean())),
        ("wait_answered_median", length(waits, figures.wait_answered.median())),
        ("talk_mean", length(is_many, figures.talk.mean())),
        ("talk_median", length(is_many, figures.talk.median())),
        ("paid_wait_median", length(is_paid, figures.paid_wait.median())),
    ]
}

/// Callers who waited for a counselor, by half hour; those before and after the busy time together,
/// so that no row says by being there that somebody called.
fn slots(figures: &LineFigures, waited: u64, min: u64) -> Table {
    let count = |slot: u32| figures.slots.get(&slot).map_or(0, |counts| counts.waited());
    let is_busy = |slot: &u32| count(*slot) >= min.max(1);
    let all = 0..=figures.slots.keys().last().copied().unwrap_or_default();
    let (first, last) = (all.clone().find(is_busy), all.rev().find(is_busy));
    let busy = first.zip(last).map(|(first, last)| (first..=last).collect::<Vec<_>>());
    let busy = busy.unwrap_or_default();
    let mut parts = busy.iter().map(|slot| count(*slot)).collect::<Vec<_>>();
    parts.push(waited - parts.iter().sum::<u64>());
    let names = busy.iter().map(|slot| clock_time(*slot));
    let names = names.map(|name| (name.clone(), (name.clone(), name)));
    let other = ("other".to_owned(), ("その他の時間".to_owned(), "other times".to_owned()));
    let names = names.chain(std::iter::once(other));
    Table {
        key: "slots",
        label: ("時間帯別（相談員を待った人）", "By half hour (who waited for a counselor)"),
        row_label: ("時間帯", "Half hour"),
        rows: rows(names, protect(&parts, min)),
    }
}

/// The same by opening day; `None`: there were calls on other days, which would be told too.
fn days(figures: &LineFigures, waited: u64, min: u64) -> Option<Table> {
    let parts = figures.days.values().map(|counts| counts.waited()).collect::<Vec<_>>();
    (parts.iter().sum::<u64>() == waited).then_some(())?;
    let names = figures.days.keys().map(|day| {
        let (ja, en) = weekday(*day);
        (day.to_string(), (format!("{day} ({ja})"), format!("{day} ({en})")))
    });
    Some(Table {
        key: "days",
        label: ("開設日別（相談員を待った人）", "By opening day (who waited for a counselor)"),
        row_label: ("日", "Day"),
        rows: rows(names, protect(&parts, min)),
    })
}

fn waits(bands: &[Cell]) -> Table {
    let limits = SERVICE_LEVELS.map(Some).into_iter().chain(std::iter::once(None));
    let mut from = 0;
    let names = limits.map(|to| {
        let name = wait_label(from, to);
        from = to.unwrap_or_default();
        name
    });
    Table {
        key: "waits",
        label: ("応答までの待ち", "Wait until answered"),
        row_label: ("待ち", "Wait"),
        rows: rows(names, bands.to_vec()),
    }
}

/// Only types that somebody chose have a row, so that each is known to be no less than 1. Where
/// none of them can be told, how many rows there are would tell something: there is no table then.
fn contacts(figures: &LineFigures, min: u64) -> Option<Table> {
    let mut parts = figures.contacts.values().copied().collect::<Vec<_>>();
    let told = parts.iter().sum::<u64>();
    (told >= min.max(1)).then_some(())?;
    // Answered calls of which nobody said anything are what the table leaves over.
    let untold = figures.counts.of(Outcome::Answered).saturating_sub(told);
    parts.extend((1..min).contains(&untold).then_some(untold));
    let cells = protect_from(1, &parts, min);
    (!cells.contains(&Cell::Nothing)).then_some(())?;
    let names = figures.contacts.keys().map(|kind| (kind.clone(), (kind.clone(), kind.clone())));
    Some(Table {
        key: "contacts",
        label: ("相談の種別", "Types of contact"),
        row_label: ("種別", "Type"),
        rows: rows(names, cells),
    })
}

fn rows(
    names: impl Iterator<Item = (String, (String, String))>,
    cells: Vec<Cell>,
) -> Vec<(String, (String, String), Shown)> {
    names.zip(cells).map(|((key, label), cell)| (key, label, cell.into())).collect()
}

impl Shown {
    /// For people, in Japanese and English.
    pub fn text(self, min: u64) -> (String, String) {
        match self {
            Self::Value(value) => (value.cell(), value.cell()),
            Self::Few => (format!("{min}未満"), format!("under {min}")),
            Self::Withheld => ("非公表".to_owned(), "not shown".to_owned()),
        }
    }
}

/// The names and definition of a figure.
pub fn words(key: &str) -> Option<(Words, Words)> {
    let figure = SUMMARY.iter().find(|figure| figure.key == key)?;
    Some((figure.label, figure.definition))
}

#[cfg(test)]
mod tests;
