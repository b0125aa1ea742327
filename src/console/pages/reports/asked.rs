//! What somebody asked for: which time, which line.
//!
//! Owns the form's fields and what is said of those that make no sense.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde::Deserialize;

use crate::call::config::LineId;
use crate::lang::Lang;
use crate::shell::clock;
use crate::store::report::period::{self, Span};
use crate::store::report::print::Section;

/// The section of calls to numbers of no line.
const NO_LINE: &str = "-";

/// The fields of the form, as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// day, month, year; empty: month.
    pub(super) span: String,
    /// Any day of it; empty: today.
    pub(super) date: String,
    /// The line's id; empty: all of them.
    pub(super) line: String,
}

/// What makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Date,
    Span,
}

/// A period, as the page tells it.
pub(super) struct Period {
    pub(super) title: String,
    /// First and last day.
    pub(super) days: (NaiveDate, NaiveDate),
    /// The form's value.
    pub(super) span: &'static str,
    /// A day of the period before, and of the one after.
    pub(super) before: String,
    pub(super) after: String,
    pub(super) today: String,
}

/// Something that can be chosen.
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_chosen: bool,
}

impl Wrong {
    /// In words.
    pub(super) fn text(self, l: Lang) -> String {
        let text = match self {
            Self::Date => l.t(
                "日付が正しくありません。2026-11-07 のように入力してください。今月の統計を表示しています。",
                "That is no date; please write it like 2026-11-07. Shown is this month.",
            ),
            Self::Span => l.t(
                "期間は日・月・年度から選んでください。今月の統計を表示しています。",
                "Please choose a day, a month or a fiscal year. Shown is this month.",
            ),
        };
        text.to_owned()
    }
}

impl Asked {
    /// The period, or this month and what is wrong.
    pub(super) fn period(&self, zone: Tz) -> (period::Period, Option<Wrong>) {
        let today = clock::now().wall.with_timezone(&zone).date_naive();
        let span = match self.span.as_str() {
            "day" => Ok(Span::Day),
            "" | "month" => Ok(Span::Month),
            "year" => Ok(Span::Year),
            _ => Err(Wrong::Span),
        };
        let day = match self.date.trim() {
            "" => Ok(today),
            text => text.parse().map_err(|_| Wrong::Date),
        };
        let found = span.and_then(|span| {
            let found = period::Period::around(day?, span, zone);
            found.ok_or(Wrong::Date)
        });
        match found {
            Ok(period) => (period, None),
            Err(wrong) => {
                let month = |day| period::Period::around(day, Span::Month, zone);
                // A clock beyond all calendars counts from the beginning.
                let month = month(today).or_else(|| month(NaiveDate::default()));
                (month.unwrap_or_else(|| period::Period::empty(zone)), Some(wrong))
            }
        }
    }

    /// As [`Asked::period`], but no single day: of the version for the public there is none.
    pub(super) fn whole_period(&self, zone: Tz) -> (period::Period, Option<Wrong>) {
        match self.span.as_str() {
            "day" => Self { span: "month".to_owned(), ..self.clone() }.period(zone),
            _ => self.period(zone),
        }
    }

    /// The id of the section that was asked for.
    pub(super) fn section(&self) -> &str {
        match self.line.as_str() {
            "" => "*",
            NO_LINE => "",
            line => line,
        }
    }

    /// For the audit trail.
    pub(super) fn told(&self, period: &period::Period) -> String {
        let line = self.line.chars().take(32).collect::<String>();
        if line.is_empty() { period.key.clone() } else { format!("{} of {line:?}", period.key) }
    }

    /// The same question again, as a query.
    pub(super) fn query(&self, period: &period::Period) -> String {
        self.query_at(period, period.first)
    }

    fn query_at(&self, period: &period::Period, day: NaiveDate) -> String {
        let day = day.to_string();
        let fields = [("span", span_name(period)), ("date", &day), ("line", &self.line)];
        serde_urlencoded::to_string(fields).unwrap_or_default()
    }

    /// The period as the page tells it.
    pub(super) fn named(&self, l: Lang, period: &period::Period) -> Period {
        let last = period.end.pred_opt().unwrap_or(period.end);
        let before = period.first.checked_sub_days(Days::new(1)).unwrap_or(period.first);
        let today = clock::now().wall.with_timezone(&period.timezone).date_naive();
        Period {
            title: match l {
                Lang::Ja => period.title.clone(),
                Lang::En => period.title_en(),
            },
            days: (period.first, last),
            span: span_name(period),
            before: self.query_at(period, before),
            after: self.query_at(period, period.end),
            today: self.query_at(period, today),
        }
    }

    /// What can be chosen: all lines, each that is configured, and those with calls.
    pub(super) fn lines(
        &self,
        l: Lang,
        sections: &[Section<'_>],
        names: &BTreeMap<LineId, String>,
    ) -> Vec<Choice> {
        let mut lines = names
            .iter()
            .map(|(id, name)| (id.to_string(), name.clone()))
            .collect::<BTreeMap<_, _>>();
        for section in sections.iter().filter(|section| section.id != "*") {
            let (id, name) = match section.id.is_empty() {
                true => (NO_LINE, l.t("どの回線の番号でもない", "Numbers of no line")),
                false => (&*section.id, &*section.name),
            };
            lines.entry(id.to_owned()).or_insert_with(|| name.to_owned());
        }
        let all = (String::new(), l.t("すべての回線", "All lines").to_owned());
        let is_known = lines.contains_key(&self.line) || self.line.is_empty();
        let other = (!is_known).then(|| (self.line.clone(), self.line.clone()));
        let choice = |(id, name): (String, String)| Choice { is_chosen: id == self.line, id, name };
        std::iter::once(all).chain(lines).chain(other).map(choice).collect()
    }
}

fn span_name(period: &period::Period) -> &'static str {
    match period.span() {
        Span::Day => "day",
        Span::Month => "month",
        Span::Year => "year",
    }
}
