//! A carrier's traffic file: CSV in, calls by day out, or why not.
//!
//! Owns the limits, the encodings (UTF-8, UTF-16, Shift_JIS), the names of columns and the forms of
//! dates, hours and numbers. A file in which anything looks like a telephone number is refused as a
//! whole: only our own numbers may stand in it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};
use encoding_rs::{Encoding, SHIFT_JIS, UTF_8};

use super::{Count, Day};

/// Bytes of a file at most.
pub const BYTES_MAX: usize = 2_000_000;
/// Rows of a file at most: two years of half hours.
pub const ROWS_MAX: usize = 40_000;
/// Columns of a row at most.
const COLUMNS_MAX: usize = 100;
/// Rows above the names of the columns at most: titles.
const TITLES_MAX: usize = 20;
/// The most calls that a cell may say.
const CALLS_MAX: u64 = 100_000_000;

/// Names of columns, in lower case, without blanks and what stands in brackets.
pub const DATES: &[&str] = &["日付", "年月日", "対象日", "日", "集計日", "date", "day"];
/// As [`DATES`].
pub const HOURS: &[&str] = &["時間帯", "時間", "時", "時刻", "hour", "time"];
/// As [`DATES`].
pub const ATTEMPTS: &[&str] = &[
    "総呼数",
    "呼数",
    "着信呼数",
    "着信数",
    "総着信数",
    "発信呼数",
    "発呼数",
    "総コール数",
    "コール数",
    "attempts",
    "calls",
    "offered",
    "total",
];
/// As [`DATES`].
pub const CONNECTED: &[&str] = &[
    "接続呼数",
    "接続数",
    "完了呼数",
    "完了数",
    "応答呼数",
    "応答数",
    "通話呼数",
    "connected",
    "completed",
    "answered",
];

/// Why a file is refused. Rows count from 1, as a spreadsheet's do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than [`BYTES_MAX`] bytes, [`ROWS_MAX`] rows, or too many columns.
    #[error("the file is too large")]
    TooLarge,
    /// Neither UTF-8 nor Shift_JIS.
    #[error("the file is no text in UTF-8 or Shift_JIS")]
    NotText,
    /// Something in it looks like a telephone number.
    #[error("row {row} holds what looks like a telephone number")]
    Phone {
        /// In which row.
        row: usize,
    },
    /// No row names a column that is needed.
    #[error("there is no column for {0}")]
    NoColumn(Column),
    /// Nothing but names of columns.
    #[error("there is no row with a date")]
    Empty,
    /// Not a date.
    #[error("row {row}: {text:?} is no date")]
    Date {
        /// In which row.
        row: usize,
        /// What stands there.
        text: String,
    },
    /// Not an hour.
    #[error("row {row}: {text:?} is no hour")]
    Hour {
        /// In which row.
        row: usize,
        /// What stands there.
        text: String,
    },
    /// Not a number of calls.
    #[error("row {row}: {text:?} is no number of calls")]
    Number {
        /// In which row.
        row: usize,
        /// What stands there.
        text: String,
    },
    /// A day that is not over yet, or has not even begun.
    #[error("row {row}: {day} is in the future")]
    Future {
        /// In which row.
        row: usize,
        /// Which day.
        day: NaiveDate,
    },
    /// A day, or an hour of it, for the second time.
    #[error("row {row}: {day} is there twice")]
    Twice {
        /// In which row.
        row: usize,
        /// Which day.
        day: NaiveDate,
    },
    /// More calls were connected than tried.
    #[error("row {row}: more connected calls than attempts")]
    MoreConnected {
        /// In which row.
        row: usize,
    },
}

/// A column that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The day.
    Date,
    /// Calls to the number.
    Attempts,
    /// Calls that were connected.
    Connected,
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Date => "the date",
            Self::Attempts => "attempts",
            Self::Connected => "connected calls",
        })
    }
}

/// Where the columns stand.
struct Columns {
    date: usize,
    hour: Option<usize>,
    attempts: usize,
    connected: usize,
}

/// Reads a file. `own`: our own numbers, which may stand in it. `today`: no later day may.
///
/// # Errors
/// Why it is refused; nothing of it is kept then.
pub fn read(
    bytes: &[u8],
    own: &BTreeSet<String>,
    today: NaiveDate,
) -> Result<BTreeMap<NaiveDate, Day>, Refusal> {
    if bytes.len() > BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let rows = rows(&decode(bytes)?)?;
    if let Some(at) = rows.iter().position(|row| row.iter().any(|cell| is_phone(cell, own))) {
        return Err(Refusal::Phone { row: at + 1 });
    }
    let (head, columns) = find_columns(&rows)?;
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for (nth, row) in rows.iter().enumerate().skip(head + 1) {
        let Some((day, hour, count)) = row_of(row, &columns, nth + 1)? else { continue };
        if day > today {
            return Err(Refusal::Future { row: nth + 1, day });
        }
        if !told.insert((day, time_of(row, &columns))) {
            return Err(Refusal::Twice { row: nth + 1, day });
        }
        let counted = days.entry(day).or_default();
        counted.all.add(count);
        if let Some(hour) = hour {
            counted.hours.entry(hour).or_default().add(count);
        }
    }
    // A day of which some rows have an hour and others have none is known as a whole only.
    for day in days.values_mut() {
        let mut by_hour = Count::default();
        day.hours.values().for_each(|count| by_hour.add(*count));
        if by_hour != day.all {
            day.hours.clear();
        }
    }
    if days.is_empty() { Err(Refusal::Empty) } else { Ok(days) }
}

/// What a row says; `None`: it is no day's (blank, a sum).
fn row_of(
    row: &[String],
    columns: &Columns,
    nth: usize,
) -> Result<Option<(NaiveDate, Option<u32>, Count)>, Refusal> {
    let cell = |at: usize| row.get(at).map(String::as_str).unwrap_or_default();
    let text = cell(columns.date);
    if text.is_empty() || ["計", "total", "sum"].iter().any(|w| text.to_lowercase().contains(w)) {
        return Ok(None);
    }
    let short = |text: &str| text.chars().take(20).collect::<String>();
    let bad_date = || Refusal::Date { row: nth, text: short(text) };
    let (day, rest) = date(text).ok_or_else(bad_date)?;
    let time = columns.hour.map_or(rest, cell);
    let bad_hour = || Refusal::Hour { row: nth, text: short(time) };
    let hour = match time.trim() {
        "" => None,
        // A day's sum below its hours would count all of it twice.
        time if time.contains('計') => return Ok(None),
        time => Some(hour(time).ok_or_else(bad_hour)?),
    };
    let number = |at: usize| {
        let bad = || Refusal::Number { row: nth, text: short(cell(at)) };
        calls(cell(at)).ok_or_else(bad)
    };
    let (attempts, connected) = (number(columns.attempts)?, number(columns.connected)?);
    if connected > attempts {
        return Err(Refusal::MoreConnected { row: nth });
    }
    Ok(Some((day, hour, Count { attempts, connected })))
}

/// The time as it is written, in the date's column or its own: two half hours are two times.
fn time_of(row: &[String], columns: &Columns) -> String {
    let cell = |at: usize| row.get(at).map(String::as_str).unwrap_or_default();
    let rest = || date(cell(columns.date)).map_or("", |(_, rest)| rest);
    columns.hour.map_or_else(rest, cell).trim().to_owned()
}

fn decode(bytes: &[u8]) -> Result<String, Refusal> {
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, &bytes[length..]),
        None if std::str::from_utf8(bytes).is_ok() => (UTF_8, bytes),
        None => (SHIFT_JIS, bytes),
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    let text = text.ok_or(Refusal::NotText)?;
    let is_binary = |c: char| c.is_control() && !['\n', '\r', '\t'].contains(&c);
    if text.chars().any(is_binary) { Err(Refusal::NotText) } else { Ok(text.into_owned()) }
}

/// The rows, by RFC 4180; cells trimmed, letters and digits of full width made plain.
fn rows(text: &str) -> Result<Vec<Vec<String>>, Refusal> {
    let separators = [',', '\t', ';'];
    let lines = text.lines().take(TITLES_MAX);
    let count = |c: char| lines.clone().map(|line| line.matches(c).count()).max().unwrap_or(0);
    let separator = separators.into_iter().max_by_key(|c| (count(*c), *c == ',')).unwrap_or(',');
    let (mut rows, mut row, mut cell) = (vec![], vec![], String::new());
    let (mut is_quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if is_quoted || cell.trim().is_empty() => is_quoted = !is_quoted,
            c if is_quoted => cell.push(c),
            '\n' => {
                row.push(plain(&std::mem::take(&mut cell)));
                rows.push(std::mem::take(&mut row));
            }
            '\r' => {}
            c if c == separator => row.push(plain(&std::mem::take(&mut cell))),
            c => cell.push(c),
        }
        if rows.len() > ROWS_MAX || row.len() > COLUMNS_MAX {
            return Err(Refusal::TooLarge);
        }
    }
    row.push(plain(&cell));
    rows.push(row);
    Ok(rows)
}

fn plain(text: &str) -> String {
    let ascii = |c: char| match u32::from(c) {
        0x3000 => ' ',
        full @ 0xff01..=0xff5e => char::from_u32(full - 0xfee0).unwrap_or(c),
        // Dashes of all kinds.
        0x2010..=0x2015 | 0x2212 | 0x30fc => '-',
        _ => c,
    };
    // The long vowel of コール is a letter, not a dash.
    let text = text.replace("コール", "\u{1}").chars().map(ascii).collect::<String>();
    text.replace('\u{1}', "コール").trim().to_owned()
}

/// Whether a part of a cell looks like a telephone number that is not ours.
fn is_phone(cell: &str, own: &BTreeSet<String>) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || [' ', '-', '(', ')', '.', '+'].contains(&c);
    cell.split(|c| !is_part(c)).any(|run| {
        let digits = run.chars().filter(char::is_ascii_digit).collect::<String>();
        let is_abroad = digits.starts_with("81") && (11..=13).contains(&digits.len());
        let is_long = (10..=11).contains(&digits.len()) || is_abroad;
        let is_moment = digits.len() == 10 && number_date(&digits[..8]).is_some();
        is_long && !is_moment && !own.contains(&digits)
    })
}

fn find_columns(rows: &[Vec<String>]) -> Result<(usize, Columns), Refusal> {
    let named = |row: &[String], names: &[&str]| {
        row.iter().position(|cell| names.contains(&&*column_name(cell)))
    };
    let found = |row: &[String]| [DATES, ATTEMPTS, CONNECTED].map(|names| named(row, names));
    let heads = rows.iter().take(TITLES_MAX).enumerate().map(|(at, row)| (at, found(row)));
    let best = heads.max_by_key(|(at, found)| {
        (found.iter().filter(|it| it.is_some()).count(), usize::MAX - at)
    });
    let (at, [date, attempts, connected]) = best.unwrap_or((0, [None; 3]));
    let columns = Columns {
        date: date.ok_or(Refusal::NoColumn(Column::Date))?,
        hour: named(&rows[at], HOURS),
        attempts: attempts.ok_or(Refusal::NoColumn(Column::Attempts))?,
        connected: connected.ok_or(Refusal::NoColumn(Column::Connected))?,
    };
    Ok((at, columns))
}

/// A column's name without blanks and what stands in brackets.
fn column_name(cell: &str) -> String {
    let name = cell.split(['(', '[', '【']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase()
}

/// The date at the beginning of a text, and what follows.
fn date(text: &str) -> Option<(NaiveDate, &str)> {
    if let Some(day) = text.get(..8).and_then(number_date) {
        return Some((day, without_weekday(&text[8..])));
    }
    let mut rest = text;
    let mut part = |ends: &[char]| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse::<u32>().ok()?;
        rest = &rest[digits..];
        rest = rest.strip_prefix(ends).unwrap_or(rest);
        Some(number)
    };
    let (year, month) = (part(&['年', '/', '-', '.'])?, part(&['月', '/', '-', '.'])?);
    let day = part(&['日'])?;
    Some((valid(year, month, day)?, without_weekday(rest)))
}

/// What follows a day of the week in brackets: `(土)`, `(土曜日)`, `(Sat)`, `(土・祝)`.
fn without_weekday(text: &str) -> &str {
    let inside = text.trim_start().strip_prefix('(').and_then(|text| text.split_once(')'));
    let is_weekday = |name: &str| {
        let name = name.to_lowercase();
        let japanese = name.chars().next().is_some_and(|c| "月火水木金土日祝".contains(c));
        let english = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        japanese || english.iter().any(|day| name.starts_with(day))
    };
    inside.filter(|(name, _)| is_weekday(name)).map_or(text, |(_, rest)| rest)
}

fn number_date(digits: &str) -> Option<NaiveDate> {
    let is_number = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse().ok();
    is_number.then(|| valid(part(0..4)?, part(4..6)?, part(6..8)?))?
}

fn valid(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    let day = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    (2000..2100).contains(&day.year()).then_some(day)
}

/// The hour with which a text begins: `18`, `18:30`, `18時`, `18:00-19:00`.
fn hour(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let hour = text[..digits].parse().ok().filter(|_| digits <= 2)?;
    let rest = text[digits..].trim_start();
    let goes_on = rest.is_empty() || rest.starts_with([':', '時', '-', '~', '〜', '～']);
    (hour < 24 && goes_on).then_some(hour)
}

/// A number of calls; thousands may be parted, and a dash is nothing.
fn calls(text: &str) -> Option<u64> {
    if text == "-" {
        return Some(0);
    }
    let digits = text.trim_end_matches(['件', '呼']).replace(',', "");
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?.filter(|n| *n <= CALLS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_text(text: &str) -> Result<Vec<(String, usize, u64, u64)>, Refusal> {
        try_bytes(text.as_bytes())
    }

    fn try_bytes(bytes: &[u8]) -> Result<Vec<(String, usize, u64, u64)>, Refusal> {
        let own = BTreeSet::from(["0570022282".to_owned()]);
        let row = |(day, it): (NaiveDate, Day)| {
            (day.to_string(), it.hours.len(), it.all.attempts, it.all.connected)
        };
        let today = NaiveDate::from_ymd_opt(2026, 11, 29).unwrap();
        Ok(read(bytes, &own, today)?.into_iter().map(row).collect())
    }

    fn day(text: &str, hours: usize, attempts: u64, connected: u64) -> (String, usize, u64, u64) {
        (text.to_owned(), hours, attempts, connected)
    }

    #[test]
    fn files_of_several_forms_are_read() {
        let plain = "date,attempts,connected\n2026-11-07,12,9\n2026-11-14,\"1,234\",-\n";
        let expected = vec![day("2026-11-07", 0, 12, 9), day("2026-11-14", 0, 1_234, 0)];
        assert_eq!(try_text(plain), Ok(expected.clone()));
        assert_eq!(try_text(&format!("\u{feff}{}", plain.replace('\n', "\r\n"))), Ok(expected));
        let titled = "ナビダイヤル トラヒック\n対象番号,0570-022-282\n\n年月日\t時間帯\t総呼数（件）\t\
                      接続呼数\n2026/11/7\t18時\t5\t4\n2026/11/7\t１９:00～20:00\t３\t1\n合計\t\t8\t5\n";
        assert_eq!(try_text(titled), Ok(vec![day("2026-11-07", 2, 8, 5)]));
        let (japanese, _, _) = SHIFT_JIS.encode("日付,コール数,応答数\n2026年11月07日,7件,6件\n");
        assert_eq!(try_bytes(&japanese), Ok(vec![day("2026-11-07", 0, 7, 6)]));
        let utf16 = "\u{feff}日付,呼数,完了数\n20261107,3,2\n".encode_utf16();
        let utf16 = utf16.flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(try_bytes(&utf16), Ok(vec![day("2026-11-07", 0, 3, 2)]));
        // Two half hours are an hour; a day's sum below them does not count twice.
        let halves = "日付,時間帯,呼数,接続数\n2026-11-07,18:00,1,1\n2026-11-07,18:30,2,1\n\
                      2026-11-07,合計,3,2\n";
        assert_eq!(try_text(halves), Ok(vec![day("2026-11-07", 1, 3, 2)]));
    }

    #[test]
    fn a_file_with_a_telephone_number_is_refused_whatever_else_is_in_it() {
        for number in [
            "09012345678",
            "090-1234-5678",
            "048 000 0000",
            "+81 90-1234-5678",
            "819012345678",
            "9012345678",
            "０９０－１２３４－５６７８",
            "発信: (048)000-0000 様",
        ] {
            let text = format!("日付,呼数,接続数,備考\n2026-11-07,3,2,\n2026-11-08,1,1,{number}\n");
            assert_eq!(try_text(&text), Err(Refusal::Phone { row: 3 }), "{number}");
        }
        // Ours may stand there, and a moment is no number.
        let ours = "番号,date,calls,answered\n0570-022-282,2026110718,1,1\n";
        assert_eq!(try_text(ours), Ok(vec![day("2026-11-07", 1, 1, 1)]));
    }

    #[test]
    fn what_is_wrong_is_named_by_row() {
        let head = "date,attempts,connected";
        let with = |rows: &str| try_text(&format!("{head}\n{rows}"));
        let text = str::to_owned;
        assert_eq!(with("2026-02-30,1,1"), Err(Refusal::Date { row: 2, text: text("2026-02-30") }));
        assert_eq!(with("=1+1,1,1"), Err(Refusal::Date { row: 2, text: text("=1+1") }));
        assert_eq!(with("2026-11-07,-1,1"), Err(Refusal::Number { row: 2, text: text("-1") }));
        assert_eq!(with("2026-11-07,=2,1"), Err(Refusal::Number { row: 2, text: text("=2") }));
        assert!(with("2026-11-07,9999999999999999999999,1").is_err());
        assert_eq!(with("2026-11-07,1"), Err(Refusal::Number { row: 2, text: text("") }));
        assert_eq!(with("2026-11-07,1,2"), Err(Refusal::MoreConnected { row: 2 }));
        assert_eq!(
            with("2026-11-07 25:00,1,1"),
            Err(Refusal::Hour { row: 2, text: text(" 25:00") })
        );
        assert_eq!(with(""), Err(Refusal::Empty));
        assert_eq!(try_text(""), Err(Refusal::NoColumn(Column::Date)));
        assert_eq!(try_text("date,connected\n"), Err(Refusal::NoColumn(Column::Attempts)));
        assert_eq!(try_text("date,calls\n"), Err(Refusal::NoColumn(Column::Connected)));
    }

    #[test]
    fn a_day_of_the_week_may_stand_behind_the_date() {
        for date in ["2026年11月7日(土)", "2026/11/7（土）", "20261107(Sat)", "2026-11-07 (土曜日)"]
        {
            let text = format!("日付,呼数,接続数\n{date},3,2\n");
            assert_eq!(try_text(&text), Ok(vec![day("2026-11-07", 0, 3, 2)]), "{date}");
        }
        let hours = "日付,呼数,接続数\n2026年11月7日(土) 18:00,3,2\n2026年11月7日(土) 19:00,1,1\n";
        assert_eq!(try_text(hours), Ok(vec![day("2026-11-07", 2, 4, 3)]));
        assert!(try_text("日付,呼数,接続数\n2026年11月7日(仮),3,2\n").is_err());
    }

    #[test]
    fn days_to_come_and_days_that_are_there_twice_are_refused() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let with = |rows: &str| try_text(&format!("date,hour,calls,answered\n{rows}"));
        assert_eq!(with("2026-11-29,,1,1").unwrap().len(), 1);
        let future = Refusal::Future { row: 3, day: date("2026-11-30") };
        assert_eq!(with("2026-11-29,,1,1\n2026-11-30,,1,1"), Err(future));
        let twice = Refusal::Twice { row: 4, day: date("2026-11-07") };
        assert_eq!(with("2026-11-07,,3,2\n2026-11-08,,1,1\n2026/11/7,,3,2"), Err(twice));
        let twice = Refusal::Twice { row: 3, day: date("2026-11-07") };
        assert_eq!(with("2026-11-07,18:00,3,2\n2026-11-07,18:00,3,2"), Err(twice));
        assert_eq!(with("2026-11-07,18:00,3,2\n2026-11-07,18:30,3,2").unwrap()[0].2, 6);
    }

    #[test]
    fn bombs_and_other_files_are_refused() {
        assert_eq!(try_bytes(&vec![b'a'; BYTES_MAX + 1]), Err(Refusal::TooLarge));
        assert_eq!(try_bytes(&vec![b'\n'; BYTES_MAX]), Err(Refusal::TooLarge));
        assert_eq!(try_bytes(&vec![b','; BYTES_MAX]), Err(Refusal::TooLarge));
        assert_eq!(try_bytes(b"PK\x03\x04\x00\x00"), Err(Refusal::NotText));
        assert_eq!(try_bytes(&[0xff; 16]), Err(Refusal::NotText));
        // A quote that never ends is one long cell.
        let endless = format!("date,calls,connected\n\"2026-11-07,1,1\n{}", "x,1\n".repeat(999));
        assert!(try_text(&endless).is_err());
    }
}
