//! Figures as text for people, CSV for spreadsheets, JSON for programs.
//!
//! Owns the names of the figures: an English key (the same in CSV and JSON), a Japanese label, a
//! unit and, where a figure can be defined in several ways, its definition. CSV has one figure a
//! line (RFC 4180), begins with a byte order mark so that spreadsheets read it as UTF-8, and no
//! cell of it can be taken for a formula.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, Weekday};
use serde_json::{Map, Value as Json, json};

use super::columns::{pad, table, width};
use super::{Counts, Figures, LineFigures, SLOT_MINUTES, Spread, Voice};
use crate::call::cdr::Outcome;
use crate::call::config::LineId;

/// A form of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is no format; there are text, csv and json")),
        }
    }
}

/// Prints the figures. `names` are the lines' labels; a line without one goes by its id.
pub fn print(figures: &Figures, names: &BTreeMap<LineId, String>, format: Format) -> String {
    match format {
        Format::Text => text(figures, names),
        Format::Csv => csv(figures, names),
        Format::Json => format!("{:#}\n", json(figures, names)),
    }
}

/// A value and its unit; lengths are in milliseconds here and in seconds on paper.
#[derive(Clone, Copy)]
enum Value {
    Calls(u64),
    Ratio(Option<f64>),
    Length(Option<f64>),
    Number(Option<f64>),
    Millis(Option<f64>),
}

impl Value {
    fn unit(self) -> &'static str {
        match self {
            Self::Calls(_) => "calls",
            Self::Ratio(_) => "ratio",
            Self::Length(_) => "s",
            Self::Number(_) => "",
            Self::Millis(_) => "ms",
        }
    }

    fn json(self) -> Json {
        match self {
            Self::Calls(n) => json!(n),
            Self::Ratio(x) => json!(x.map(|x| rounded(x, 1e4))),
            Self::Length(ms) => json!(ms.map(|ms| rounded(ms / 1e3, 1e3))),
            Self::Number(x) => json!(x.map(|x| rounded(x, 1e2))),
            Self::Millis(ms) => json!(ms.map(|ms| rounded(ms, 1e1))),
        }
    }

    fn csv(self) -> String {
        let json = self.json();
        if json.is_null() { String::new() } else { json.to_string() }
    }

    /// As in a table, whose head says what is counted.
    fn cell(self) -> String {
        if let Self::Calls(n) = self { n.to_string() } else { self.text() }
    }

    fn text(self) -> String {
        let none = || "－".to_owned();
        match self {
            Self::Calls(n) => format!("{n} 件"),
            Self::Ratio(x) => x.map_or_else(none, |x| format!("{:.1} %", x * 100.0)),
            Self::Length(ms) => ms.map_or_else(none, clock),
            Self::Number(x) => x.map_or_else(none, |x| format!("{x:.2}")),
            Self::Millis(ms) => ms.map_or_else(none, |ms| format!("{ms:.1} ms")),
        }
    }
}

/// One figure: its key, label and definition (empty: the label says it all).
struct Figure {
    key: &'static str,
    label: &'static str,
    definition: &'static str,
    of: fn(&LineFigures) -> Value,
}

/// Shortens the table below.
const fn figure(
    key: &'static str,
    label: &'static str,
    definition: &'static str,
    of: fn(&LineFigures) -> Value,
) -> Figure {
    Figure { key, label, definition, of }
}

const SUMMARY: &[Figure] = &[
    figure("received", "着信", "試験通話を除く全着信", |f| {
        Value::Calls(f.counts.received())
    }),
    figure("answered", "応答", "相談員につながった", |f| calls(f, Outcome::Answered)),
    figure("abandoned", "放棄", "待つ間に切断（短時間放棄を除く）", |f| {
        calls(f, Outcome::Abandoned)
    }),
    figure("short_abandoned", "短時間放棄", "待ち始めてすぐに切断", |f| {
        calls(f, Outcome::ShortAbandoned)
    }),
    figure("guidance_abandoned", "案内中の切断", "", |f| {
        calls(f, Outcome::GuidanceAbandoned)
    }),
    figure("timed_out", "待ち時間超過", "", |f| calls(f, Outcome::TimedOut)),
    figure("full", "満員", "待ち人数の上限", |f| calls(f, Outcome::Full)),
    figure("no_counselor", "相談員不在", "", |f| calls(f, Outcome::NoCounselor)),
    figure("closed", "時間外", "", |f| calls(f, Outcome::Closed)),
    figure("refused", "規則による拒否", "", |f| calls(f, Outcome::Refused)),
    figure("failed", "当方の障害", "0 であるべき数", |f| calls(f, Outcome::Failed)),
    figure("in_hours", "時間内の着信", "着信 − 時間外", |f| {
        Value::Calls(f.counts.received() - f.counts.of(Outcome::Closed))
    }),
    figure(
        "queued",
        "待ち行列に入った",
        "応答 + 短時間放棄 + 放棄 + 待ち時間超過 + 相談員不在 + 障害",
        |f| Value::Calls(f.counts.queued()),
    ),
    figure("test", "試験通話（別計）", "他のどの数にも含まない", |f| {
        Value::Calls(f.test)
    }),
    figure("recorded", "録音した通話", "一部だけの録音も含む", |f| {
        Value::Calls(f.recorded)
    }),
    figure(
        "answer_rate",
        "応答率",
        "応答 ÷ (待ち行列に入った − 短時間放棄)",
        |f| Value::Ratio(f.counts.answer_rate()),
    ),
    figure("answered_of_received", "応答率（着信比）", "応答 ÷ 着信", |f| {
        Value::Ratio(f.counts.answered_of_received())
    }),
    figure(
        "abandonment",
        "放棄率",
        "放棄 ÷ (待ち行列に入った − 短時間放棄)",
        |f| Value::Ratio(f.counts.abandonment()),
    ),
    figure("service_level_20", "SL 20秒", "20秒以内の応答 ÷ (応答 + 放棄)", |f| {
        Value::Ratio(f.service_levels()[0])
    }),
    figure("service_level_60", "SL 60秒", "60秒以内の応答 ÷ (応答 + 放棄)", |f| {
        Value::Ratio(f.service_levels()[1])
    }),
    figure("service_level_180", "SL 180秒", "180秒以内の応答 ÷ (応答 + 放棄)", |f| {
        Value::Ratio(f.service_levels()[2])
    }),
    figure("wait_answered_mean", "応答までの待ち 平均", "", |f| mean(&f.wait_answered)),
    figure("wait_answered_median", "応答までの待ち 中央値", "", |f| {
        median(&f.wait_answered)
    }),
    figure("wait_answered_p90", "応答までの待ち 90 %点", "最近順位法", |f| {
        Value::Length(f.wait_answered.p90())
    }),
    figure("wait_answered_max", "応答までの待ち 最長", "", |f| max(&f.wait_answered)),
    figure("wait_abandoned_mean", "放棄までの待ち 平均", "", |f| mean(&f.wait_abandoned)),
    figure("wait_abandoned_median", "放棄までの待ち 中央値", "", |f| {
        median(&f.wait_abandoned)
    }),
    figure("wait_abandoned_p90", "放棄までの待ち 90 %点", "最近順位法", |f| {
        Value::Length(f.wait_abandoned.p90())
    }),
    figure("wait_abandoned_max", "放棄までの待ち 最長", "", |f| max(&f.wait_abandoned)),
    figure("talk_total", "相談時間 合計", "", |f| Value::Length(Some(f.talk.total()))),
    figure("talk_mean", "相談時間 平均", "", |f| mean(&f.talk)),
    figure("talk_median", "相談時間 中央値", "", |f| median(&f.talk)),
    figure("talk_max", "相談時間 最長", "", |f| max(&f.talk)),
    figure(
        "guidance_drop_off",
        "案内での離脱率",
        "案内中の切断 ÷ 案内を聞いた着信",
        |f| Value::Ratio(f.drop_off()),
    ),
    figure("system_answered", "自動応答", "通話料が始まった着信", |f| {
        Value::Calls(f.system_answered)
    }),
    figure(
        "paid_wait_total",
        "有料の待ち 合計",
        "自動応答から相談開始または離脱まで",
        |f| Value::Length(Some(f.paid_wait.total())),
    ),
    figure("paid_wait_mean", "有料の待ち 平均", "合計 ÷ 自動応答", |f| {
        mean(&f.paid_wait)
    }),
    figure("caller_mos", "相談者の音質 MOS 中央値", "", |f| mos(&f.caller_voice)),
    figure("caller_loss", "相談者の音声損失 中央値", "", |f| loss(&f.caller_voice)),
    figure("caller_jitter_ms", "相談者の揺らぎ 中央値", "", |f| jitter(&f.caller_voice)),
    figure("caller_round_trip_ms", "相談者の往復遅延 中央値", "", |f| {
        trip(&f.caller_voice)
    }),
    figure("counselor_mos", "相談員の音質 MOS 中央値", "", |f| mos(&f.counselor_voice)),
    figure("counselor_loss", "相談員の音声損失 中央値", "", |f| {
        loss(&f.counselor_voice)
    }),
    figure("counselor_jitter_ms", "相談員の揺らぎ 中央値", "", |f| {
        jitter(&f.counselor_voice)
    }),
    figure("counselor_round_trip_ms", "相談員の往復遅延 中央値", "", |f| {
        trip(&f.counselor_voice)
    }),
];

fn calls(figures: &LineFigures, outcome: Outcome) -> Value {
    Value::Calls(figures.counts.of(outcome))
}

fn mean(spread: &Spread) -> Value {
    Value::Length(spread.mean())
}

fn median(spread: &Spread) -> Value {
    Value::Length(spread.median())
}

fn max(spread: &Spread) -> Value {
    Value::Length(spread.max())
}

fn mos(voice: &Voice) -> Value {
    Value::Number(voice.mos.median())
}

fn loss(voice: &Voice) -> Value {
    Value::Ratio(voice.loss.median())
}

fn jitter(voice: &Voice) -> Value {
    Value::Millis(voice.jitter_ms.median())
}

fn trip(voice: &Voice) -> Value {
    Value::Millis(voice.round_trip_ms.median())
}

/// A breakdown: a row for each slot, day or counselor, with the same columns.
struct Breakdown {
    key: &'static str,
    label: &'static str,
    /// What the first column is.
    row_key: &'static str,
    row_label: &'static str,
    rows: Vec<Row>,
}

/// A row's name for programs, its name for people, its columns.
type Row = (String, String, Vec<Column>);

/// Key, label, value.
type Column = (&'static str, &'static str, Value);

fn breakdowns(figures: &LineFigures) -> [Breakdown; 3] {
    let slots = figures.slots.iter().map(|(slot, counts)| {
        let time = clock_time(*slot);
        (time.clone(), time, by_outcome(counts))
    });
    let days = figures
        .days
        .iter()
        .map(|(day, counts)| (day.to_string(), with_weekday(*day), by_outcome(counts)));
    let counselors = figures.counselors.iter().map(|(extension, talks)| {
        let columns = vec![
            ("calls", "件数", Value::Calls(talks.len() as u64)),
            ("talk_total", "相談時間 合計", Value::Length(Some(talks.total()))),
            ("talk_mean", "平均", mean(talks)),
            ("talk_max", "最長", max(talks)),
        ];
        (extension.to_string(), extension.to_string(), columns)
    });
    [
        Breakdown {
            key: "slots",
            label: "時間帯別（30分）",
            row_key: "slot",
            row_label: "時間帯",
            rows: slots.collect(),
        },
        Breakdown {
            key: "days",
            label: "開設日別",
            row_key: "day",
            row_label: "日",
            rows: days.collect(),
        },
        Breakdown {
            key: "counselors",
            label: "相談員別",
            row_key: "counselor",
            row_label: "内線",
            rows: counselors.collect(),
        },
    ]
}

fn by_outcome(counts: &Counts) -> Vec<Column> {
    let label = |outcome: Outcome| match outcome {
        Outcome::Answered => "応答",
        Outcome::Abandoned => "放棄",
        Outcome::ShortAbandoned => "短時間",
        Outcome::GuidanceAbandoned => "案内中",
        Outcome::TimedOut => "超過",
        Outcome::Full => "満員",
        Outcome::NoCounselor => "不在",
        Outcome::Closed => "時間外",
        Outcome::Refused => "拒否",
        Outcome::Failed => "障害",
    };
    let received = ("received", "着信", Value::Calls(counts.received()));
    let outcomes = Outcome::ALL.map(|o| (o.name(), label(o), Value::Calls(counts.of(o))));
    let rate = ("answer_rate", "応答率", Value::Ratio(counts.answer_rate()));
    std::iter::once(received).chain(outcomes).chain(std::iter::once(rate)).collect()
}

/// Each section of the report: the line's id (`*`: all of them), its label, its figures.
fn sections<'a>(
    figures: &'a Figures,
    names: &BTreeMap<LineId, String>,
) -> Vec<(String, String, &'a LineFigures)> {
    let total = ("*".to_owned(), "全回線".to_owned(), &figures.total);
    let lines = figures.lines.iter().map(|(line, figures)| match line {
        Some(line) => {
            let name = names.get(line).cloned().unwrap_or_else(|| line.to_string());
            (line.to_string(), name, figures)
        }
        None => (String::new(), "どの回線の番号でもない".to_owned(), figures),
    });
    std::iter::once(total).chain(lines).collect()
}

fn text(figures: &Figures, names: &BTreeMap<LineId, String>) -> String {
    let period = &figures.period;
    let last = period.end.pred_opt().unwrap_or(period.end);
    let mut out = format!(
        "電話相談 集計　{}　({} ～ {}, {})\n",
        period.title, period.first, last, period.timezone
    );
    let labels = SUMMARY.iter().map(|figure| width(figure.label)).max().unwrap_or_default();
    for (_, name, figures) in sections(figures, names) {
        out += &format!("\n■ {}\n", pad(&name, 0));
        for figure in SUMMARY {
            let value = pad(&(figure.of)(figures).text(), 12);
            let line = format!("  {}  {value} {}", pad(figure.label, labels), figure.definition);
            out += line.trim_end();
            out.push('\n');
        }
        for Breakdown { label, row_label, rows, .. } in breakdowns(figures) {
            let Some((.., columns)) = rows.first() else { continue };
            let head = columns.iter().map(|(_, label, _)| (*label).to_owned());
            let head = std::iter::once(row_label.to_owned()).chain(head).collect::<Vec<_>>();
            let rows = rows.iter().map(|(_, row, columns)| {
                let values = columns.iter().map(|(_, _, value)| value.cell());
                std::iter::once(row.clone()).chain(values).collect::<Vec<_>>()
            });
            let rows = std::iter::once(head).chain(rows).collect::<Vec<_>>();
            out += &format!("\n  {label}\n{}", table(&rows));
        }
    }
    out
}

fn csv(figures: &Figures, names: &BTreeMap<LineId, String>) -> String {
    let mut out = "\u{feff}".to_owned();
    let mut line = |cells: [&str; 10]| {
        out += &cells.map(csv_cell).join(",");
        out += "\r\n";
    };
    line([
        "period",
        "line",
        "line_name",
        "table",
        "row",
        "key",
        "label",
        "value",
        "unit",
        "definition",
    ]);
    let period = figures.period.key.as_str();
    for (id, name, figures) in sections(figures, names) {
        for Figure { key, label, definition, of } in SUMMARY {
            let value = of(figures);
            let (text, unit) = (value.csv(), value.unit());
            line([period, &id, &name, "summary", "", key, label, &text, unit, definition]);
        }
        for breakdown in breakdowns(figures) {
            let cells = breakdown.rows.iter().flat_map(|(row, _, columns)| {
                columns.iter().map(move |(key, label, value)| (row, key, label, value))
            });
            for (row, key, label, value) in cells {
                let (text, unit) = (value.csv(), value.unit());
                line([period, &id, &name, breakdown.key, row, key, label, &text, unit, ""]);
            }
        }
    }
    out
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe in front (CWE-1236);
/// NUL has no place in text.
fn csv_cell(text: &str) -> String {
    let text = text.replace('\0', "");
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn json(figures: &Figures, names: &BTreeMap<LineId, String>) -> Json {
    let period = &figures.period;
    let definitions = SUMMARY.iter().filter(|figure| !figure.definition.is_empty());
    let definitions = definitions.map(|figure| (figure.key.to_owned(), figure.definition.into()));
    let mut sections = sections(figures, names).into_iter().map(|(id, name, figures)| {
        let summary = SUMMARY.iter().map(|f| (f.key.to_owned(), (f.of)(figures).json()));
        let mut section = Map::new();
        section.insert("line".to_owned(), id.into());
        section.insert("name".to_owned(), name.into());
        section.insert("summary".to_owned(), Json::Object(summary.collect()));
        for Breakdown { key, row_key, rows, .. } in breakdowns(figures) {
            let rows = rows.into_iter().map(|(row, _, columns)| {
                let columns = columns.into_iter().map(|(key, _, v)| (key.to_owned(), v.json()));
                let row = std::iter::once((row_key.to_owned(), Json::from(row)));
                Json::Object(row.chain(columns).collect())
            });
            section.insert(key.to_owned(), rows.collect());
        }
        Json::Object(section)
    });
    json!({
        "period": {
            "key": period.key,
            "title": period.title,
            "from": period.from().to_rfc3339(),
            "to": period.to().to_rfc3339(),
            "timezone": period.timezone.name(),
        },
        "definitions": definitions.collect::<Map<_, _>>(),
        "total": sections.next(),
        "lines": sections.collect::<Vec<_>>(),
    })
}

fn rounded(x: f64, steps: f64) -> f64 {
    (x * steps).round() / steps
}

/// Milliseconds as `m:ss` or `h:mm:ss`.
fn clock(ms: f64) -> String {
    let s = (ms / 1_000.0).round() as u64;
    match (s / 3_600, s / 60 % 60, s % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// The clock time at which a slot begins.
fn clock_time(slot: u32) -> String {
    let minutes = slot * SLOT_MINUTES;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn with_weekday(day: NaiveDate) -> String {
    let weekday = match day.weekday() {
        Weekday::Mon => "月",
        Weekday::Tue => "火",
        Weekday::Wed => "水",
        Weekday::Thu => "木",
        Weekday::Fri => "金",
        Weekday::Sat => "土",
        Weekday::Sun => "日",
    };
    format!("{day} ({weekday})")
}
