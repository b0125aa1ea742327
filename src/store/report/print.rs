//! Figures as text for people, CSV for spreadsheets, JSON for programs.
//!
//! Owns the forms. CSV has one figure a line (RFC 4180), begins with a byte order mark so that
//! spreadsheets read it as UTF-8, and no cell of it can be taken for a formula. What the figures
//! are called is [`summary`](super::summary)'s and [`breakdown`](super::breakdown)'s.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value as Json, json};

use super::breakdown::{Breakdown, breakdowns};
use super::columns::{pad, table, width};
use super::period::Period;
use super::summary::{Figure, SUMMARY};
use super::{Duty, Figures, LineFigures};
use crate::call::config::{Extension, LineId};

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
        Format::Csv => csv(&figures.period, &sections(figures, names)),
        Format::Json => format!("{:#}\n", json(figures, names)),
    }
}

/// A part of a report.
pub struct Section<'a> {
    /// The line's id; `*`: all lines together; empty: calls to numbers of no line.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its figures.
    pub figures: &'a LineFigures,
    /// Counselors' time, which belongs to no line.
    pub duty: Option<&'a BTreeMap<Extension, Duty>>,
}

/// Each section of the report, all lines together first.
pub fn sections<'a>(figures: &'a Figures, names: &BTreeMap<LineId, String>) -> Vec<Section<'a>> {
    let total = Section {
        id: "*".to_owned(),
        name: "全回線".to_owned(),
        figures: &figures.total,
        duty: Some(&figures.duty),
    };
    let lines = figures.lines.iter().map(|(line, figures)| {
        let id = line.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = line.as_ref().map(|line| names.get(line).unwrap_or(&id).clone());
        let name = name.unwrap_or_else(|| "どの回線の番号でもない".to_owned());
        Section { id, name, figures, duty: None }
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
    out += &kept_text(period);
    let labels = SUMMARY.iter().map(|figure| width(figure.label.0)).max().unwrap_or_default();
    for Section { name, figures, duty, .. } in sections(figures, names) {
        out += &format!("\n■ {}\n", pad(&name, 0));
        for figure in SUMMARY {
            let value = pad(&(figure.of)(figures).text(), 12);
            let line =
                format!("  {}  {value} {}", pad(figure.label.0, labels), figure.definition.0);
            out += line.trim_end();
            out.push('\n');
        }
        for Breakdown { label, row_label, rows, .. } in breakdowns(figures, duty) {
            let Some(first) = rows.first() else { continue };
            let head = first.columns.iter().map(|(_, label, _)| label.0.to_owned());
            let head = std::iter::once(row_label.0.to_owned()).chain(head).collect::<Vec<_>>();
            let label = label.0;
            let rows = rows.iter().map(|row| {
                let values = row.columns.iter().map(|(_, _, value)| value.cell());
                std::iter::once(row.label.0.clone()).chain(values).collect::<Vec<_>>()
            });
            let rows = std::iter::once(head).chain(rows).collect::<Vec<_>>();
            out += &format!("\n  {label}\n{}", table(&rows));
        }
    }
    out
}

/// The line that says what is missing, where something may be.
pub(super) fn kept_text(period: &Period) -> String {
    period.kept.map(|kept| format!("※ {}\n", kept.words().0)).unwrap_or_default()
}

/// The same as a line of a file for spreadsheets.
pub(super) fn kept_line(period: &Period) -> Option<[String; COLUMNS]> {
    let kept = period.kept?;
    let (ja, en) = kept.words();
    let (from, how, label) = (kept.from.to_string(), format!("{ja} {en}"), "記録が残っている日");
    let cells = [&*period.key, "", "", "notice", "", "kept_from", label, &from, "date", &how];
    Some(cells.map(str::to_owned))
}

/// Prints these sections for spreadsheets.
pub fn csv(period: &Period, sections: &[Section<'_>]) -> String {
    let mut lines: Vec<[String; COLUMNS]> = kept_line(period).into_iter().collect();
    let mut line = |cells: [&str; COLUMNS]| lines.push(cells.map(str::to_owned));
    let period = period.key.as_str();
    for Section { id, name, figures, duty } in sections {
        for Figure { key, label, definition, of } in SUMMARY {
            let value = of(figures);
            let (text, unit) = (value.csv(), value.unit());
            line([period, id, name, "summary", "", key, label.0, &text, unit, definition.0]);
        }
        for breakdown in breakdowns(figures, *duty) {
            let cells = breakdown.rows.iter().flat_map(|row| {
                row.columns.iter().map(move |(key, label, value)| (&row.key, key, label, value))
            });
            for (row, key, label, value) in cells {
                let (text, unit) = (value.csv(), value.unit());
                line([period, id, name, breakdown.key, row, key, label.0, &text, unit, ""]);
            }
        }
    }
    csv_lines(&lines)
}

/// Columns of a file for spreadsheets. Their names don't change.
const HEAD: [&str; COLUMNS] =
    ["period", "line", "line_name", "table", "row", "key", "label", "value", "unit", "definition"];
const COLUMNS: usize = 10;

/// The file of these lines, with its head.
pub(super) fn csv_lines(lines: &[[String; COLUMNS]]) -> String {
    let mut out = "\u{feff}".to_owned();
    out += &HEAD.join(",");
    out += "\r\n";
    for line in lines {
        out += &line.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",");
        out += "\r\n";
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
    let definitions = SUMMARY.iter().filter(|figure| !figure.definition.0.is_empty());
    let definitions = definitions.map(|figure| (figure.key.to_owned(), figure.definition.0.into()));
    let mut sections = sections(figures, names).into_iter().map(|section| {
        let Section { id, name, figures, duty } = section;
        let summary = SUMMARY.iter().map(|f| (f.key.to_owned(), (f.of)(figures).json()));
        let mut section = Map::new();
        section.insert("line".to_owned(), id.into());
        section.insert("name".to_owned(), name.into());
        section.insert("summary".to_owned(), Json::Object(summary.collect()));
        for Breakdown { key, row_key, rows, .. } in breakdowns(figures, duty) {
            let rows = rows.into_iter().map(|row| {
                let columns = row.columns.into_iter();
                let columns = columns.map(|(key, _, value)| (key.to_owned(), value.json()));
                let row = std::iter::once((row_key.to_owned(), Json::from(row.key)));
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
            "kept_from": period.kept.map(|kept| kept.from.to_string()),
        },
        "definitions": definitions.collect::<Map<_, _>>(),
        "total": sections.next(),
        "lines": sections.collect::<Vec<_>>(),
    })
}
