//! The published figures as text for people, CSV for spreadsheets, JSON for programs.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{Line, Public, Shown, Table, words};
use crate::call::config::LineId;
use crate::store::report::columns::{pad, table, width};
use crate::store::report::print::{Format, csv_lines, kept_line, kept_text};

/// What is said below everything that is published.
pub const NOTES: [(&str, &str); 2] = [
    (
        "非公表は、その値から少ない件数が計算できてしまうため載せていない値です。",
        "Not shown: a value from which a small count could be computed.",
    ),
    (
        "月報と年報の両方を公表すると、差し引きで少ない件数が分かることがあります。どちらか一方にしてください。",
        "Publish months or their year, not both: small counts might be found as the difference.",
    ),
];

/// Prints what is published. `names` are the lines' labels.
pub fn print(public: &Public, names: &BTreeMap<LineId, String>, format: Format) -> String {
    match format {
        Format::Text => text(public, names),
        Format::Csv => csv(public, names),
        Format::Json => format!("{:#}\n", json(public, names)),
    }
}

fn name<'a>(line: &'a Line, names: &'a BTreeMap<LineId, String>) -> &'a str {
    names.get(&line.id).map_or(&*line.id.0, String::as_str)
}

fn text(public: &Public, names: &BTreeMap<LineId, String>) -> String {
    let period = &public.period;
    let last = period.end.pred_opt().unwrap_or(period.end);
    let title = &period.title;
    let mut out = format!("電話相談 集計(公表用)　{title}　({} ～ {last})\n", period.first);
    out += &kept_text(period);
    for line in &public.lines {
        out += &format!("\n■ {}\n", pad(name(line, names), 0));
        let figures = line.figures.iter().filter_map(|(key, shown)| Some((words(key)?, shown)));
        let figures = figures.collect::<Vec<_>>();
        let labels = figures.iter().map(|((label, _), _)| width(label.0)).max();
        for ((label, definition), shown) in figures {
            let label = pad(label.0, labels.unwrap_or_default());
            let value = pad(&shown.text(public.min_cell).0, 12);
            out += format!("  {label}  {value} {}", definition.0).trim_end();
            out.push('\n');
        }
        for Table { label, row_label, rows, .. } in &line.tables {
            let head = vec![row_label.0.to_owned(), "件数".to_owned()];
            let rows = rows
                .iter()
                .map(|(_, (name, _), shown)| vec![name.clone(), shown.text(public.min_cell).0]);
            let rows = std::iter::once(head).chain(rows).collect::<Vec<_>>();
            out += &format!("\n  {}\n{}", label.0, table(&rows));
        }
    }
    if public.lines.is_empty() {
        out += "\nこの期間の通話記録はありません。\n";
    }
    out += &format!("\n{}\n{}\n", NOTES[0].0, NOTES[1].0);
    out
}

/// In the same columns as the whole report.
fn csv(public: &Public, names: &BTreeMap<LineId, String>) -> String {
    let mut lines = kept_line(&public.period).into_iter().collect::<Vec<_>>();
    let period = &public.period.key;
    for line in &public.lines {
        let mut cell = |table: &str, row: &str, key: &str, label: &str, shown: Shown, how: &str| {
            let unit = if let Shown::Value(value) = shown { value.unit() } else { "" };
            let value = match shown {
                Shown::Value(value) => value.csv(),
                Shown::Few | Shown::Withheld => shown.text(public.min_cell).0,
            };
            let (id, name) = (&*line.id.0, name(line, names));
            lines.push(
                [period, id, name, table, row, key, label, &value, unit, how].map(str::to_owned),
            );
        };
        for (key, shown) in &line.figures {
            let Some((label, how)) = words(key) else { continue };
            cell("summary", "", key, label.0, *shown, how.0);
        }
        for table in &line.tables {
            for (row, _, shown) in &table.rows {
                cell(table.key, row, "calls", table.label.0, *shown, "");
            }
        }
    }
    csv_lines(&lines)
}

/// What is not shown is a text in place of a number.
fn json(public: &Public, names: &BTreeMap<LineId, String>) -> Json {
    let value = |shown: &Shown| match shown {
        Shown::Value(value) => value.json(),
        Shown::Few => json!(format!("<{}", public.min_cell)),
        Shown::Withheld => json!("withheld"),
    };
    let lines = public.lines.iter().map(|line| {
        let figures = line.figures.iter().map(|(key, shown)| ((*key).to_owned(), value(shown)));
        let mut section = Map::new();
        section.insert("line".to_owned(), line.id.to_string().into());
        section.insert("name".to_owned(), name(line, names).into());
        section.insert("summary".to_owned(), Json::Object(figures.collect()));
        for table in &line.tables {
            let rows = table
                .rows
                .iter()
                .map(|(row, _, shown)| json!({ "row": row, "calls": value(shown) }));
            section.insert(table.key.to_owned(), rows.collect());
        }
        Json::Object(section)
    });
    let period = &public.period;
    let kept_from = period.kept.map(|kept| kept.from.to_string());
    json!({
        "period": { "key": period.key, "title": period.title, "kept_from": kept_from },
        "min_cell": public.min_cell,
        "lines": lines.collect::<Vec<_>>(),
    })
}
