//! The holidays of Japan, computed by the rules of the law (国民の祝日に関する法律, Act 178 of 1948).
//!
//! Owns the table of named days (§2), the moved days of 2020 and 2021, and the two rules of §3 for
//! days that become holidays by their neighbors. The equinoxes come from the usual formula, which
//! holds for 1980 to 2099; the government announces them a year ahead. Whether a line is closed on
//! a holiday is the schedule's.

use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, Weekday};

/// Years for which [`name`] knows the holidays. Before them the law read differently, after them
/// the formulas of the equinoxes do not hold.
pub const YEARS: RangeInclusive<i32> = 2020..=2099;

/// A day that becomes a holiday in place of one that falls on a Sunday (§3 (2)).
const SUBSTITUTE: &str = "休日(振替)";

/// A day between two holidays (§3 (3)).
pub const BETWEEN: &str = "休日(国民の休日)";

/// When a named holiday is, in any year.
#[derive(Clone, Copy)]
enum Rule {
    /// Month and day.
    Fixed(u32, u32),
    /// Month, and which of its Mondays.
    Monday(u32, u8),
    /// The equinox in this month: its day in 1980 in millionths.
    Equinox(u32, i32),
}

/// §2.
const NAMED: [(Rule, &str); 16] = [
    (Rule::Fixed(1, 1), "元日"),
    (Rule::Monday(1, 2), "成人の日"),
    (Rule::Fixed(2, 11), "建国記念の日"),
    (Rule::Fixed(2, 23), "天皇誕生日"),
    (Rule::Equinox(3, 20_843_100), "春分の日"),
    (Rule::Fixed(4, 29), "昭和の日"),
    (Rule::Fixed(5, 3), "憲法記念日"),
    (Rule::Fixed(5, 4), "みどりの日"),
    (Rule::Fixed(5, 5), "こどもの日"),
    (Rule::Monday(7, 3), SEA),
    (Rule::Fixed(8, 11), MOUNTAIN),
    (Rule::Monday(9, 3), "敬老の日"),
    (Rule::Equinox(9, 23_248_800), "秋分の日"),
    (Rule::Monday(10, 2), SPORTS),
    (Rule::Fixed(11, 3), "文化の日"),
    (Rule::Fixed(11, 23), "勤労感謝の日"),
];

const SEA: &str = "海の日";
const MOUNTAIN: &str = "山の日";
const SPORTS: &str = "スポーツの日";

/// Days moved by law for the Olympic Games: year, name, month and day instead.
const MOVED: [(i32, &str, (u32, u32)); 6] = [
    (2020, SEA, (7, 23)),
    (2020, SPORTS, (7, 24)),
    (2020, MOUNTAIN, (8, 10)),
    (2021, SEA, (7, 22)),
    (2021, SPORTS, (7, 23)),
    (2021, MOUNTAIN, (8, 8)),
];

/// The name of the holiday on `date`; `None` on a working day and outside of [`YEARS`].
pub fn name(date: NaiveDate) -> Option<&'static str> {
    if !YEARS.contains(&date.year()) {
        return None;
    }
    if let Some(name) = named(date) {
        return Some(name);
    }
    let days_before = || std::iter::successors(date.pred_opt(), NaiveDate::pred_opt);
    let mut holidays_before = days_before().take_while(|day| named(*day).is_some());
    if holidays_before.any(|day| day.weekday() == Weekday::Sun) {
        return Some(SUBSTITUTE);
    }
    let is_named = |day: Option<NaiveDate>| day.and_then(named).is_some();
    (is_named(date.pred_opt()) && is_named(date.succ_opt())).then_some(BETWEEN)
}

/// A holiday of §2 on this very date.
fn named(date: NaiveDate) -> Option<&'static str> {
    let found = NAMED.iter().find(|(rule, name)| match moved(date.year(), name) {
        Some(day) => day == (date.month(), date.day()),
        None => rule.is_on(date),
    })?;
    Some(found.1)
}

fn moved(year: i32, name: &str) -> Option<(u32, u32)> {
    MOVED.iter().find(|(y, n, _)| (*y, *n) == (year, name)).map(|(_, _, day)| *day)
}

impl Rule {
    fn is_on(self, date: NaiveDate) -> bool {
        match self {
            Self::Fixed(month, day) => (date.month(), date.day()) == (month, day),
            Self::Monday(month, nth) => {
                date.month() == month
                    && date.weekday() == Weekday::Mon
                    && date.day().div_ceil(7) == u32::from(nth)
            }
            Self::Equinox(month, day_1980) => {
                let years = date.year() - 1980;
                let day = (day_1980 + 242_194 * years) / 1_000_000 - years / 4;
                date.month() == month && i64::from(date.day()) == i64::from(day)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> Option<&'static str> {
        name(text.parse().unwrap())
    }

    /// Holidays of a year in order, as `MM-DD name`.
    fn year(year: i32) -> Vec<String> {
        let days = NaiveDate::from_ymd_opt(year, 1, 1).unwrap().iter_days();
        days.take_while(|day| day.year() == year)
            .filter_map(|day| Some(format!("{} {}", day.format("%m-%d"), name(day)?)))
            .collect()
    }

    #[test]
    fn every_day_of_ten_years_is_as_published() {
        let table = include_str!("../../tests/data/holidays_2026_2035.csv");
        for shared in ["../shared", "../../shared"] {
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(shared);
            let source = root.join("reference/jp_holidays_2026_2035.csv");
            if let Ok(text) = std::fs::read_to_string(source) {
                assert!(text.lines().eq(table.lines()), "the copy in tests/data is stale");
            }
        }
        let known: std::collections::BTreeMap<NaiveDate, &str> = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(','))
            .map(|(date, name)| (date.parse().unwrap(), name))
            .collect();
        assert_eq!(known.len(), 178);
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        for day in first.iter_days().take_while(|day| day.year() <= 2035) {
            assert_eq!(name(day), known.get(&day).copied(), "{day}");
        }
    }

    #[test]
    fn a_sunday_holiday_moves_past_the_holidays_that_follow() {
        assert_eq!(on("2026-05-03"), Some("憲法記念日"));
        assert_eq!(on("2026-05-06"), Some(SUBSTITUTE));
        assert_eq!(on("2026-05-07"), None);
        assert_eq!(on("2034-01-01"), Some("元日"));
        assert_eq!(on("2034-01-02"), Some(SUBSTITUTE));
    }

    #[test]
    fn a_day_between_two_holidays_is_one() {
        assert_eq!(on("2026-09-21"), Some("敬老の日"));
        assert_eq!(on("2026-09-22"), Some(BETWEEN));
        assert_eq!(on("2026-09-23"), Some("秋分の日"));
        assert_eq!(on("2032-09-21"), Some(BETWEEN));
        assert_eq!(on("2027-09-21"), None);
    }

    #[test]
    fn the_olympic_years_are_as_the_law_moved_them() {
        let summer = |y| -> Vec<String> {
            year(y).into_iter().filter(|d| ("07".."11").contains(&&d[..2])).collect()
        };
        let of_2020 = ["07-23 海の日", "07-24 スポーツの日", "08-10 山の日"];
        assert_eq!(summer(2020)[..3], of_2020);
        assert_eq!(summer(2020)[3..], ["09-21 敬老の日", "09-22 秋分の日"]);
        let of_2021 = ["07-22 海の日", "07-23 スポーツの日", "08-08 山の日", "08-09 休日(振替)"];
        assert_eq!(summer(2021)[..4], of_2021);
        assert_eq!(summer(2021)[4..], ["09-20 敬老の日", "09-23 秋分の日"]);
    }

    #[test]
    fn nothing_is_said_about_years_out_of_reach() {
        assert_eq!(on("2019-05-01"), None);
        assert_eq!(on("2020-01-01"), Some("元日"));
        assert_eq!(on("2099-11-23"), Some("勤労感謝の日"));
        assert_eq!(on("2100-01-01"), None);
        assert_eq!(name(NaiveDate::MIN), None);
        assert_eq!(name(NaiveDate::MAX), None);
    }

    #[test]
    fn every_year_has_sixteen_named_days() {
        for y in YEARS {
            let own = |d: &String| !d.contains("休日(");
            assert_eq!(year(y).into_iter().filter(own).count(), 16, "{y}");
        }
    }
}
