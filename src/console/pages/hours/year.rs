//! The year of a line as twelve months.

use std::ops::RangeInclusive;

use chrono::{Datelike as _, NaiveDate};

use crate::call::config::Schedule;
use crate::call::holidays;
use crate::call::schedule::{Day, Why, day};
use crate::lang::Lang;

/// Years that can be looked at.
pub(super) const YEARS: RangeInclusive<i32> = 2020..=2099;

/// A month of the calendar.
pub(super) struct Month {
    pub(super) name: String,
    /// From Sunday to Saturday; blank cells are `None`.
    pub(super) weeks: Vec<Vec<Option<Cell>>>,
    /// Holidays and closed days, in words.
    pub(super) notes: Vec<String>,
}

/// A day of the calendar.
pub(super) struct Cell {
    pub(super) day: u32,
    /// What shows without color: open, closed, or nothing; and whether it is a holiday.
    pub(super) mark: &'static str,
    pub(super) is_holiday: bool,
    pub(super) is_today: bool,
    pub(super) class: &'static str,
}

/// Why a day is closed, in words.
pub(super) fn reason(l: Lang, why: Why) -> String {
    match (why, l) {
        (Why::Range((m, d), (n, e)), Lang::Ja) => format!("毎年の休み({m}月{d}日~{n}月{e}日)"),
        (Why::Range((m, d), (n, e)), Lang::En) => {
            format!("closed every year from {m:02}-{d:02} to {n:02}-{e:02}")
        }
        (Why::Date(_), _) => l.t("休みの日", "closed day").to_owned(),
        (Why::Holiday(name), Lang::Ja) => format!("祝日の休み({name})"),
        (Why::Holiday(name), Lang::En) => format!("holiday ({name})"),
        (Why::OutsideHours, _) => l.t("時間の外", "outside of the hours").to_owned(),
        (Why::Override, _) => l.t("臨時の休み", "closed by hand").to_owned(),
    }
}

/// The months of a year.
pub(super) fn months(l: Lang, schedule: &Schedule, year: i32, today: NaiveDate) -> Vec<Month> {
    let first = |month| NaiveDate::from_ymd_opt(year, month, 1);
    (1..=12).filter_map(first).map(|first| month(l, schedule, first, today)).collect()
}

fn month(l: Lang, schedule: &Schedule, first: NaiveDate, today: NaiveDate) -> Month {
    let mut cells: Vec<Option<Cell>> = Vec::new();
    cells.extend((0..first.weekday().num_days_from_sunday()).map(|_| None));
    let mut notes = Vec::new();
    for date in first.iter_days().take_while(|day| day.month() == first.month()) {
        let (holiday, what) = (holidays::name(date), day(schedule, date));
        let (mark, class) = match what {
            Day::Open => ("○", "open"),
            Day::Closed(_) => ("休", "shut"),
            Day::Free => ("", ""),
        };
        let why = match what {
            Day::Closed(Why::Holiday(_)) => Some(l.t("休み", "closed").to_owned()),
            Day::Closed(why) => Some(reason(l, why)),
            Day::Open if holiday.is_some() => Some(l.t("受付あり", "open").to_owned()),
            Day::Open | Day::Free => None,
        };
        let parts: Vec<String> = holiday.map(str::to_owned).into_iter().chain(why).collect();
        if !parts.is_empty() {
            let parts = parts.join(l.t("、", ", "));
            notes.push(match l {
                Lang::Ja => format!("{}日 {parts}", date.day()),
                Lang::En => format!("{}: {parts}", date.day()),
            });
        }
        cells.push(Some(Cell {
            day: date.day(),
            mark,
            is_holiday: holiday.is_some(),
            is_today: date == today,
            class,
        }));
    }
    cells.resize_with(cells.len().div_ceil(7) * 7, || None);
    let mut weeks: Vec<Vec<_>> = Vec::new();
    for (n, cell) in cells.into_iter().enumerate() {
        if n % 7 == 0 {
            weeks.push(Vec::new());
        }
        weeks.last_mut().into_iter().for_each(|week| week.push(None));
        if let Some(last) = weeks.last_mut().and_then(|week| week.last_mut()) {
            *last = cell;
        }
    }
    let name = match l {
        Lang::Ja => format!("{}月", first.month()),
        Lang::En => first.format("%B").to_string(),
    };
    Month { name, weeks, notes }
}
