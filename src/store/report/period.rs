//! The time that a report covers: a day, a month or a fiscal year (April to March) in the service's
//! zone.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::time::Timestamp;

/// What is wrong with a period as typed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `YYYY-MM`.
    #[error("{0:?} is no month; write it like 2026-11")]
    Month(String),
    /// Not `YYYY`.
    #[error("{0:?} is no fiscal year; write it like 2026 (April 2026 to March 2027)")]
    Year(String),
    /// Not `YYYY-MM-DD`.
    #[error("{0:?} is no day; write it like 2026-11-07")]
    Day(String),
}

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A day.
    Day,
    /// A month.
    Month,
    /// April to March.
    Year,
}

/// A span of whole days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// As people say it: `2026年11月`, `2026年度`.
    pub title: String,
    /// As typed: `2026-11`, `2026`.
    pub key: String,
    /// First day.
    pub first: NaiveDate,
    /// The day after the last.
    pub end: NaiveDate,
    /// Whose days they are.
    pub timezone: Tz,
    /// What of it is kept; `None`: all of it.
    pub kept: Option<Kept>,
}

/// What is left of a period that began before the records that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The first day of which every record is there.
    pub from: NaiveDate,
    /// For how many days records are kept.
    pub days: u32,
}

impl Kept {
    /// What is to be said beside the figures, in Japanese and English.
    pub fn words(self) -> (String, String) {
        let Self { from, days } = self;
        (
            format!(
                "通話の記録は{days}日で消えます。{from} より前の通話は、\
                 この集計に入っていないことがあります。"
            ),
            format!(
                "Records of calls are deleted after {days} days. Calls before {from} may be \
                 missing here."
            ),
        )
    }
}

impl Period {
    /// A day, from `2026-11-07`.
    ///
    /// # Errors
    /// When the text is no day.
    pub fn day(text: &str, timezone: Tz) -> Result<Self, Error> {
        let parse = || {
            let day = text.parse::<NaiveDate>().ok().filter(|day| day.to_string() == text)?;
            Self::around(day, Span::Day, timezone)
        };
        parse().ok_or_else(|| Error::Day(text.to_owned()))
    }

    /// The day, month or fiscal year that a day is in; `None`: it is none that we can count.
    pub fn around(day: NaiveDate, span: Span, timezone: Tz) -> Option<Self> {
        let (year, month) = (day.year(), day.month());
        match span {
            Span::Day => {
                let title = format!("{year}年{month}月{}日", day.day());
                let (key, end) = (day.to_string(), day.checked_add_days(Days::new(1))?);
                (1000..9999).contains(&year).then_some(())?;
                Some(Self { title, key, first: day, end, timezone, kept: None })
            }
            Span::Month => Self::month(&format!("{year:04}-{month:02}"), timezone).ok(),
            Span::Year => {
                let year = if month < 4 { year - 1 } else { year };
                Self::fiscal_year(&format!("{year:04}"), timezone).ok()
            }
        }
    }

    /// The day on which Unix time begins, in case that there is no other.
    pub fn empty(timezone: Tz) -> Self {
        let (first, end) = (NaiveDate::default(), NaiveDate::default());
        Self { title: String::new(), key: String::new(), first, end, timezone, kept: None }
    }

    /// The days up to today.
    pub fn last(days: u64, today: NaiveDate, timezone: Tz) -> Self {
        let first = today.checked_sub_days(Days::new(days)).unwrap_or(today);
        let end = today.checked_add_days(Days::new(1)).unwrap_or(today);
        Self { first, end, ..Self::empty(timezone) }
    }

    /// The same where records are deleted after so many days.
    pub fn kept_for(self, days: u32, now: Timestamp) -> Self {
        let limit = now.checked_sub_signed(TimeDelta::days(i64::from(days)));
        let limit = limit.unwrap_or(Timestamp::MIN_UTC);
        let day = self.local(limit).date();
        let is_whole = midnight(day, self.timezone) >= limit;
        let from = if is_whole { day } else { day.succ_opt().unwrap_or(day) };
        let kept = (self.from() < limit).then_some(Kept { from, days });
        Self { kept, ..self }
    }

    /// How long it is.
    pub fn span(&self) -> Span {
        match self.key.len() {
            4 => Span::Year,
            7 => Span::Month,
            _ => Span::Day,
        }
    }

    /// As people say it in English.
    pub fn title_en(&self) -> String {
        match self.span() {
            Span::Year => format!("Fiscal year {} (April to March)", self.key),
            Span::Month | Span::Day => self.key.clone(),
        }
    }

    /// A month, from `2026-11`.
    ///
    /// # Errors
    /// When the text is no month.
    pub fn month(text: &str, timezone: Tz) -> Result<Self, Error> {
        let parse = || {
            let (year, month) = text.split_once('-')?;
            let first = day(number(year, 4)?, number(month, 2)?)?;
            let title = format!("{year}年{}月", month.trim_start_matches('0'));
            Self::new(title, text, first, 1, timezone)
        };
        parse().ok_or_else(|| Error::Month(text.to_owned()))
    }

    /// A fiscal year, from the year in which it begins: `2026` is April 2026 to March 2027.
    ///
    /// # Errors
    /// When the text is no year.
    pub fn fiscal_year(text: &str, timezone: Tz) -> Result<Self, Error> {
        let parse = || {
            let first = day(number(text, 4)?, 4)?;
            Self::new(format!("{text}年度"), text, first, 12, timezone)
        };
        parse().ok_or_else(|| Error::Year(text.to_owned()))
    }

    fn new(title: String, key: &str, first: NaiveDate, months: u32, timezone: Tz) -> Option<Self> {
        let end = first.checked_add_months(Months::new(months))?;
        Some(Self { title, key: key.to_owned(), first, end, timezone, kept: None })
    }

    /// Its first moment.
    pub fn from(&self) -> Timestamp {
        midnight(self.first, self.timezone)
    }

    /// The first moment after it.
    pub fn to(&self) -> Timestamp {
        midnight(self.end, self.timezone)
    }

    /// The moment on the clock of the zone.
    pub fn local(&self, moment: Timestamp) -> NaiveDateTime {
        moment.with_timezone(&self.timezone).naive_local()
    }
}

/// The first moment of a day; where the clocks skip midnight, the first that there is.
fn midnight(day: NaiveDate, timezone: Tz) -> Timestamp {
    (0..24)
        .filter_map(|hour| day.and_hms_opt(hour, 0, 0))
        .find_map(|time| timezone.from_local_datetime(&time).earliest())
        .map_or_else(|| day.and_time(chrono::NaiveTime::MIN).and_utc(), |time| time.to_utc())
}

fn day(year: u32, month: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, 1)
}

fn number(text: &str, digits: usize) -> Option<u32> {
    let is_number = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_and_end_at_local_midnight() {
        let tz = chrono_tz::Asia::Tokyo;
        let check = |period: Period, title: &str, from: &str, to: &str| {
            assert_eq!(period.title, title);
            assert_eq!(period.from().to_rfc3339(), from);
            assert_eq!(period.to().to_rfc3339(), to);
        };
        check(
            Period::month("2026-11", tz).unwrap(),
            "2026年11月",
            "2026-10-31T15:00:00+00:00",
            "2026-11-30T15:00:00+00:00",
        );
        check(
            Period::month("2026-02", tz).unwrap(),
            "2026年2月",
            "2026-01-31T15:00:00+00:00",
            "2026-02-28T15:00:00+00:00",
        );
        check(
            Period::fiscal_year("2026", tz).unwrap(),
            "2026年度",
            "2026-03-31T15:00:00+00:00",
            "2027-03-31T15:00:00+00:00",
        );
    }

    #[test]
    fn a_day_is_in_a_day_a_month_and_a_fiscal_year() {
        let tz = chrono_tz::Asia::Tokyo;
        let check = |day: &str, span, key: &str, first: &str, end: &str| {
            let period = Period::around(day.parse().unwrap(), span, tz).unwrap();
            let days = (period.first.to_string(), period.end.to_string());
            assert_eq!((&*period.key, &*days.0, &*days.1), (key, first, end));
            assert_eq!(period.span(), span);
        };
        check("2026-11-07", Span::Day, "2026-11-07", "2026-11-07", "2026-11-08");
        check("2026-12-07", Span::Month, "2026-12", "2026-12-01", "2027-01-01");
        check("2026-03-31", Span::Year, "2025", "2025-04-01", "2026-04-01");
        check("2026-04-01", Span::Year, "2026", "2026-04-01", "2027-04-01");
        for span in [Span::Day, Span::Month, Span::Year] {
            assert_eq!(Period::around(NaiveDate::MAX, span, tz), None);
            assert_eq!(Period::around(NaiveDate::MIN, span, tz), None);
        }
        assert_eq!(Period::day("2026-02-30", tz), Err(Error::Day("2026-02-30".to_owned())));
        assert_eq!(Period::day("+12026-02-03", tz), Err(Error::Day("+12026-02-03".to_owned())));
    }

    #[test]
    fn a_period_that_begins_before_what_is_kept_says_so() {
        let tz = chrono_tz::Asia::Tokyo;
        let kept = |key: &str, now: &str| {
            let period = Period::month(key, tz).unwrap();
            period.kept_for(30, now.parse().unwrap()).kept
        };
        let from = |day: &str| Some(Kept { from: day.parse().unwrap(), days: 30 });
        // Thirty days before are 2026-10-25 12:00: the rest of that day is there, not all of it.
        let noon = "2026-11-24T12:00:00+09:00";
        assert_eq!(kept("2026-11", noon), None);
        assert_eq!(kept("2026-10", noon), from("2026-10-26"));
        assert_eq!(kept("2025-04", noon), from("2026-10-26"));
        assert_eq!(kept("2026-10", "2026-11-24T00:00:00+09:00"), from("2026-10-25"));
        assert_eq!(kept("2026-10", "2026-10-31T00:00:00+09:00"), None);
        assert_eq!(kept("2026-10", "2026-10-31T00:00:01+09:00"), from("2026-10-02"));
        let (ja, en) = from("2026-10-26").unwrap().words();
        assert!(ja.contains("30日") && ja.contains("2026-10-26"), "{ja}");
        assert!(en.contains("30 days") && en.contains("2026-10-26"), "{en}");
    }

    #[test]
    fn what_is_no_period_is_named() {
        let tz = chrono_tz::Asia::Tokyo;
        for text in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "+026-11", "2026-11-01"] {
            assert_eq!(Period::month(text, tz), Err(Error::Month(text.to_owned())));
        }
        for text in ["", "26", "+026", "2026-04", "二〇二六"] {
            assert_eq!(Period::fiscal_year(text, tz), Err(Error::Year(text.to_owned())));
        }
    }
}
