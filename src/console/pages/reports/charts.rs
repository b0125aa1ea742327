//! The plots of a report and the tables beside them.

use std::collections::BTreeMap;

use crate::call::config::Extension;
use crate::console::ui::plot::Plot;
use crate::lang::Lang;
use crate::store::report::breakdown::{Breakdown, Row, breakdowns, clock_time};
use crate::store::report::period::Span;
use crate::store::report::summary::Words;
use crate::store::report::value::Value;
use crate::store::report::{Duty, LineFigures};

/// Days of a table on the page at most: beyond that months say more, and the file has the days.
const DAYS_MAX: usize = 62;

/// What becomes of callers, in four parts: each outcome is in one of them.
const PARTS: [(Words, &[&str]); 4] = [
    (("応答", "Answered"), &["answered"]),
    (("待つ間に終了", "Gave up or timed out"), &["abandoned", "short_abandoned", "timed_out"]),
    (
        ("入れなかった・案内中に切断", "No room, or left in the guidance"),
        &["guidance_abandoned", "full", "no_counselor", "failed"],
    ),
    (("時間外・規則", "Closed or refused"), &["closed", "refused"]),
];

/// A plot and its table.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Empty: a table alone.
    pub(super) svg: String,
    pub(super) hint: &'static str,
    pub(super) head: Vec<&'static str>,
    /// Name and cells of each row.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

/// Everything that has a row.
pub(super) fn charts(
    l: Lang,
    figures: &LineFigures,
    duty: Option<&BTreeMap<Extension, Duty>>,
    span: Span,
) -> Vec<Chart> {
    let tables = breakdowns(figures, duty).into_iter();
    let fits = |table: &Breakdown| match table.key {
        "months" => span == Span::Year,
        "days" | "carrier_days" => span != Span::Day && table.rows.len() <= DAYS_MAX,
        _ => true,
    };
    tables.filter(|table| !table.rows.is_empty() && fits(table)).map(|it| chart(l, &it)).collect()
}

fn chart(l: Lang, table: &Breakdown) -> Chart {
    let t = |words: Words| l.t(words.0, words.1);
    let head = table.rows.first().map(|row| row.columns.iter().map(|(_, label, _)| t(*label)));
    let head = std::iter::once(t(table.row_label)).chain(head.into_iter().flatten()).collect();
    let hint = match table.key {
        "counselors" => l.t(
            "受付時間は、受付可・呼出中・通話中・後処理の合計。稼働率 = (通話 + 後処理) ÷ 受付時間。\
             平均処理時間 = (相談 + 後処理) ÷ 件数。高い稼働率は相談員の負担です。",
            "On duty: ready, ringing, talking or wrapping up. Occupancy = (talking + wrap-up) ÷ on \
             duty. AHT = (talk + wrap-up) ÷ calls. High occupancy wears counselors out.",
        ),
        "contacts" => l.t("相談員が記録した件数。", "As counselors wrote it down."),
        _ => "",
    };
    let name = |row: &Row| l.t(&row.label.0, &row.label.1).to_owned();
    let cells = |row: &Row| row.columns.iter().map(|(_, _, value)| value.cell()).collect();
    Chart {
        id: table.key,
        title: t(table.label),
        svg: plot(l, table).map(|plot| plot.svg()).unwrap_or_default(),
        hint,
        head,
        rows: table.rows.iter().map(|row| (name(row), cells(row))).collect(),
    }
}

fn plot(l: Lang, table: &Breakdown) -> Option<Plot> {
    let t = |words: Words| l.t(words.0, words.1).to_owned();
    let is_by_outcome = ["slots", "days", "months"].contains(&table.key);
    let parts = match table.key {
        _ if is_by_outcome => PARTS.iter().map(|(name, _)| t(*name)).collect(),
        "waits" | "guidance" | "contacts" => vec![l.t("件", "calls").to_owned()],
        _ => return None,
    };
    let bars = table.rows.iter().map(|row| {
        let name = match table.key {
            "days" => row.key.get(5..).unwrap_or_default().to_owned(),
            _ => l.t(&row.label.0, &row.label.1).to_owned(),
        };
        let parts = match is_by_outcome {
            true => PARTS.iter().map(|(_, keys)| sum(row, keys)).collect(),
            false => vec![sum(row, &["answered", "calls"])],
        };
        (name, parts)
    });
    let bars: Vec<(String, Vec<u64>)> = bars.collect();
    let bars = match table.key {
        "slots" => filled(&bars, PARTS.len(), |n| clock_time(u32::try_from(n).unwrap_or(0))),
        "guidance" => filled(&bars, 1, |n| n.to_string()),
        _ => bars,
    };
    Some(Plot {
        id: table.key.to_owned(),
        title: t(table.label),
        axes: (t(table.row_label), l.t("件", "calls").to_owned()),
        parts,
        bars,
        is_histogram: table.key == "guidance",
    })
}

/// Steps between two bars that are drawn empty: a longer gap would leave no room for the rest.
const GAP_MAX: usize = 6;

/// With the steps between the bars that have none. `name`: what the step of a number is called.
fn filled(
    bars: &[(String, Vec<u64>)],
    parts: usize,
    name: impl Fn(usize) -> String,
) -> Vec<(String, Vec<u64>)> {
    let step_of = |own: &String| (0..=60).find(|n| name(*n) == *own);
    let mut filled: Vec<(String, Vec<u64>)> = vec![];
    let mut next = None;
    for bar in bars {
        let step = step_of(&bar.0);
        if let (Some(next), Some(step)) = (next, step)
            && step - next <= GAP_MAX
        {
            filled.extend((next..step).map(|n| (name(n), vec![0; parts])));
        }
        filled.push(bar.clone());
        next = step.map(|step| step + 1);
    }
    filled
}

fn sum(row: &Row, keys: &[&str]) -> u64 {
    let count = |key: &&str| match row.value(key) {
        Some(Value::Calls(count)) => count,
        _ => 0,
    };
    keys.iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cdr::Outcome;

    #[test]
    fn every_outcome_is_in_one_part_of_a_bar() {
        for outcome in Outcome::ALL {
            let parts = PARTS.iter().filter(|(_, keys)| keys.contains(&outcome.name()));
            assert_eq!(parts.count(), 1, "{outcome:?}");
        }
    }

    #[test]
    fn gaps_between_bars_are_filled() {
        let bars = [("2".to_owned(), vec![1]), ("4".to_owned(), vec![2])];
        let more = [bars.to_vec(), vec![("60以上".to_owned(), vec![3])]].concat();
        let names = |bars: Vec<(String, Vec<u64>)>| {
            bars.into_iter().map(|(name, parts)| format!("{name}={}", parts[0])).collect::<Vec<_>>()
        };
        let name = |n: usize| n.to_string();
        assert_eq!(names(filled(&bars, 1, name)), ["2=1", "3=0", "4=2"]);
        assert_eq!(names(filled(&more, 1, name)), ["2=1", "3=0", "4=2", "60以上=3"]);
        assert_eq!(names(filled(&[], 1, name)), [] as [&str; 0]);
        let far = [bars[0].clone(), ("20".to_owned(), vec![9])];
        assert_eq!(names(filled(&far, 1, name)), ["2=1", "20=9"]);
    }
}
