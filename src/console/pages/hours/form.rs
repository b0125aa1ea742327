//! The form of a line's hours: windows of the week, closed ranges and days, holidays.

use axum::response::Response;
use chrono::{NaiveDate, NaiveTime};

use super::{Look, no_line, page};
use crate::call::config::LineId;
use crate::config::Setting;
use crate::config::edit::{Edit, Value};
use crate::console::pages::saving::{Basis, Form, Sent, Wrongs, form_page};
use crate::console::ui::View;
use crate::lang::Lang;

/// The days of the week as the configuration names them.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Empty rows behind those that are filled.
const MORE: usize = 2;
/// Rows at most.
const ROWS_MAX: usize = 100;
/// The times of a window.
const TIMES: [&str; 3] = ["open", "intake_end", "service_end"];

/// The form of one line.
pub(super) struct Hours {
    pub(super) line: LineId,
    pub(super) look: Look,
}

/// What stands in the form's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) rows: Vec<Row>,
    /// First and last day, as `12-29`.
    pub(super) ranges: Vec<(String, String)>,
    pub(super) dates: Vec<String>,
    pub(super) closed_on_holidays: bool,
    /// Whether it is meant that there are no hours.
    pub(super) is_always: bool,
}

/// A window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) days: Vec<String>,
    pub(super) times: [String; 3],
    pub(super) is_gone: bool,
}

impl Row {
    fn is_blank(&self) -> bool {
        self.days.is_empty() && self.times.iter().all(String::is_empty)
    }

    pub(super) fn has(&self, day: &str) -> bool {
        self.days.iter().any(|it| it == day)
    }
}

impl Fields {
    /// As the configuration has it.
    fn of(from: &Basis, line: &LineId) -> Self {
        let shown = |key: &str| match from.loaded.settings.get(&format!("line.{line}.{key}")) {
            Some(Setting::Shown(text)) => text.clone(),
            Some(Setting::Secret(_)) | None => String::new(),
        };
        let split = |text: String| -> Vec<String> {
            text.split(", ").filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        let count = from.loaded.call.lines.get(line).map_or(0, |it| it.schedule.hours.len());
        let row = |n: usize| Row {
            days: split(shown(&format!("hours.{n}.days"))),
            // The same moment, in the form that browsers know.
            times: TIMES.map(|time| match shown(&format!("hours.{n}.{time}")) {
                midnight if midnight == "24:00" => "00:00".to_owned(),
                time => time,
            }),
            is_gone: false,
        };
        let ranges = split(shown("closed.ranges")).into_iter();
        let ranges = ranges.map(|it| match it.split_once("..") {
            Some((from, to)) => (from.to_owned(), to.to_owned()),
            None => (it, String::new()),
        });
        Self {
            rows: (1..=count).map(row).collect(),
            ranges: ranges.collect(),
            dates: split(shown("closed.dates")),
            closed_on_holidays: shown("closed.holidays") == "closed",
            is_always: count == 0,
        }
    }

    /// As it was typed.
    fn typed(sent: &Sent) -> Self {
        let count = sent.get("rows").parse::<usize>().unwrap_or(0).min(ROWS_MAX);
        let row = |n: usize| Row {
            days: sent.all(&format!("days.{n}")).map(str::to_owned).collect(),
            times: TIMES.map(|time| sent.get(&format!("{time}.{n}")).to_owned()),
            is_gone: sent.has(&format!("gone.{n}")),
        };
        let ends = sent.all("to").map(str::to_owned);
        let ranges = sent.all("from").map(str::to_owned).zip(ends);
        let is_filled = |range: &(String, String)| !(range.0.is_empty() && range.1.is_empty());
        Self {
            rows: (1..=count).map(row).collect(),
            ranges: ranges.filter(is_filled).take(ROWS_MAX).collect(),
            dates: sent.all("date").filter(|it| !it.is_empty()).map(str::to_owned).collect(),
            closed_on_holidays: sent.has("holidays"),
            is_always: sent.has("always"),
        }
    }

    /// With empty rows to fill in.
    fn with_more(mut self, more: usize) -> Self {
        while self.rows.last().is_some_and(|row| row.is_blank() && !row.is_gone) {
            self.rows.pop();
        }
        let more = |filled: usize| (filled + more).min(ROWS_MAX.max(filled));
        self.rows.resize(more(self.rows.len()), Row::default());
        self.ranges.resize(more(self.ranges.len()), Default::default());
        self.dates.resize(more(self.dates.len()), String::new());
        self
    }
}

impl Form for Hours {
    fn path(&self) -> String {
        format!("/hours/{}", self.line)
    }

    fn edits(&self, view: &View, from: &Basis, sent: &Sent) -> Result<Vec<Edit>, Wrongs> {
        let (old, new) = (Fields::of(from, &self.line), Fields::typed(sent));
        let mut wrongs = check(view.l, &new);
        let rows = new.rows.iter().filter(|row| !row.is_gone && !row.is_blank()).count();
        if rows == 0 && !new.is_always {
            let text = view.t(
                "受付時間がひとつもないと、その回線はいつでも電話を受けます。それでよければ「いつでも受け付ける」に印を付けてください。",
                "A line without any hours takes calls at all times. If that is meant, tick \
                 “open at all times”.",
            );
            wrongs.add("", text);
        }
        if !wrongs.is_empty() {
            return Err(wrongs);
        }
        let key = |name: &str| format!("line.{}.{name}", self.line);
        let mut edits = windows(&old, &new, &key);
        let ranges = |fields: &Fields| -> Vec<String> {
            fields.ranges.iter().map(|(from, to)| format!("{from}..{to}")).collect()
        };
        let (was, is) = (ranges(&old), ranges(&new));
        if was != is {
            edits.push(list(key("closed.ranges"), is));
        }
        if old.dates != new.dates {
            let mut dates = new.dates.clone();
            dates.dedup();
            edits.push(list(key("closed.dates"), dates));
        }
        if old.closed_on_holidays != new.closed_on_holidays {
            let value = if new.closed_on_holidays { "closed" } else { "ignore" };
            edits.push(Edit::Set(key("closed.holidays"), Value::text(value)));
        }
        Ok(edits)
    }

    fn page(&self, view: &View, from: &Basis, sent: Option<&Sent>, wrongs: &Wrongs) -> Response {
        let more = sent.map_or("", |sent| sent.get("step"));
        let fields = match sent {
            Some(sent) => Fields::typed(sent),
            None => Fields::of(from, &self.line),
        };
        let fields = fields.with_more(if more == "more" { 3 * MORE } else { MORE });
        match page(view, self, from, fields, wrongs) {
            Some(page) => form_page(&page, wrongs),
            None => no_line(view),
        }
    }
}

/// A list, which is not there when it is empty.
fn list(key: String, values: Vec<String>) -> Edit {
    match values.is_empty() {
        true => Edit::Unset(key),
        false => Edit::Set(key, Value::texts(values)),
    }
}

/// The windows' changes: what differs in those that stay, then new ones, then those that go, from
/// the last, so that numbers stay true.
fn windows(old: &Fields, new: &Fields, key: &impl Fn(&str) -> String) -> Vec<Edit> {
    let (mut edits, mut gone) = (Vec::new(), Vec::new());
    let days = |row: &Row| Value::texts(row.days.iter().cloned());
    for (n, row) in new.rows.iter().enumerate() {
        let nth = |name: &str| key(&format!("hours.{}.{name}", n + 1));
        let Some(was) = old.rows.get(n) else {
            if !row.is_blank() && !row.is_gone {
                let times = TIMES.iter().zip(&row.times);
                let times = times.map(|(name, time)| ((*name).to_owned(), Value::text(time)));
                let fields = std::iter::once(("days".to_owned(), days(row))).chain(times);
                edits.push(Edit::Add(key("hours"), fields.collect()));
            }
            continue;
        };
        if row.is_gone || row.is_blank() {
            gone.push(Edit::Unset(key(&format!("hours.{}", n + 1))));
            continue;
        }
        if !(was.days.len() == row.days.len() && was.days.iter().all(|day| row.has(day))) {
            edits.push(Edit::Set(nth("days"), days(row)));
        }
        for ((name, is), was) in TIMES.iter().zip(&row.times).zip(&was.times) {
            if is != was {
                edits.push(Edit::Set(nth(name), Value::text(is)));
            }
        }
    }
    edits.extend(gone.into_iter().rev());
    edits
}

/// What is wrong with single fields.
fn check(l: Lang, fields: &Fields) -> Wrongs {
    let mut wrongs = Wrongs::default();
    let mut wrong = |ja: String, en: String| {
        wrongs.add("", if l == Lang::Ja { ja } else { en });
    };
    for (n, row) in fields.rows.iter().enumerate() {
        let n = n + 1;
        if row.is_gone || row.is_blank() {
            continue;
        }
        if row.days.iter().any(|day| !DAYS.contains(&day.as_str())) || row.days.is_empty() {
            wrong(format!("{n}行目: 曜日を選んでください。"), format!("Row {n}: choose its days."));
        }
        for (time, (ja, en)) in row.times.iter().zip([
            ("受付の始まり", "opening"),
            ("受付の終わり", "end of intake"),
            ("相談の終わり", "end of counseling"),
        ]) {
            if NaiveTime::parse_from_str(time, "%H:%M").is_err() && time != "24:00" {
                wrong(
                    format!("{n}行目: {ja}の時刻を 18:00 のように入力してください。"),
                    format!("Row {n}: write the {en} like 18:00."),
                );
            }
        }
    }
    for (from, to) in &fields.ranges {
        let is_day = |text: &str| {
            let day = NaiveDate::parse_from_str(&format!("2024-{text}"), "%Y-%m-%d");
            day.is_ok()
        };
        if !is_day(from) || !is_day(to) {
            wrong(
                format!("毎年の休み「{from}~{to}」: 12-29 のように、月-日で入力してください。"),
                format!("Closed every year, “{from} to {to}”: write month and day like 12-29."),
            );
        }
    }
    for date in &fields.dates {
        if NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err() {
            wrong(
                format!("休みの日「{date}」: 2026-12-26 のように入力してください。"),
                format!("Closed day “{date}”: write it like 2026-12-26."),
            );
        }
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::edit;

    fn row(days: &[&str], times: [&str; 3]) -> Row {
        let days = days.iter().map(|day| (*day).to_owned()).collect();
        Row { days, times: times.map(str::to_owned), is_gone: false }
    }

    #[test]
    fn windows_change_where_they_stand() {
        const FILE: &str = "[[line]]\nid = \"a\"\n[[line.hours]] # A\ndays = [\"sat\"]\n\
            open = \"18:00\"\n\
            intake_end = \"21:00\"\nservice_end = \"22:00\"\n[[line.hours]] # B\ndays = [\"sun\"]\n\
            open = \"10:00\"\nintake_end = \"11:00\"\nservice_end = \"12:00\"\n";
        let first = row(&["sat"], ["18:00", "21:00", "22:00"]);
        let second = row(&["sun"], ["10:00", "11:00", "12:00"]);
        let old = Fields { rows: vec![first.clone(), second.clone()], ..Fields::default() };
        let key = |name: &str| format!("line.a.{name}");
        let changed = |rows: Vec<Row>| {
            let new = Fields { rows, ..Fields::default() };
            edit::apply(FILE, &windows(&old, &new, &key)).unwrap()
        };
        assert_eq!(changed(old.rows.clone()), FILE);
        let gone = Row { is_gone: true, ..first.clone() };
        let third = row(&["mon", "tue"], ["09:00", "10:00", "11:00"]);
        let text = changed(vec![gone, second.clone(), third, Row::default()]);
        assert!(!text.contains("# A") && text.contains("# B"), "{text}");
        let added = "\n\n[[line.hours]]\ndays = [\"mon\", \"tue\"]\nopen = \"09:00\"\n\
            intake_end = \"10:00\"\nservice_end = \"11:00\"\n";
        assert!(text.ends_with(added), "{text}");
        let later = row(&["sat"], ["18:00", "21:30", "22:00"]);
        assert_eq!(changed(vec![later, second]), FILE.replace("21:00", "21:30"));
    }

    #[test]
    fn what_is_typed_is_judged_row_by_row() {
        let ok =
            Fields { rows: vec![row(&["sat"], ["18:00", "21:00", "22:00"])], ..Fields::default() };
        assert!(check(Lang::En, &ok).is_empty());
        for rows in [row(&[], ["18:00", "21:00", "22:00"]), row(&["sat"], ["18", "21:00", "22:00"])]
        {
            let fields = Fields { rows: vec![Row::default(), rows], ..Fields::default() };
            let said = check(Lang::En, &fields).others(Lang::En, &[]);
            assert!(said.len() == 1 && said[0].starts_with("Row 2"), "{said:?}");
        }
        let fields = Fields {
            ranges: vec![("12-29".to_owned(), "13-01".to_owned())],
            dates: vec!["<b>".to_owned()],
            ..Fields::default()
        };
        assert_eq!(check(Lang::Ja, &fields).others(Lang::Ja, &[]).len(), 2);
    }
}
