//! The figures against the queries of the documentation, on a database of chance.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, named_params};

use super::{call, november, secs};
use crate::call::cdr::{CallId, LegFigures, Outcome, Quality, Whose};
use crate::call::config::{Extension, LineId};
use crate::chance::Chance;
use crate::store::carrier::{Count, Day};
use crate::store::duty::{State, Stint};
use crate::store::report::breakdown::breakdowns;
use crate::store::report::summary::SUMMARY;
use crate::store::report::value::Value;
use crate::store::report::{Duty, Figures, LineFigures, count};
use crate::store::{carrier, cdr, duty, migrate};
use crate::time::Timestamp;

const DOCUMENT: &str = include_str!("../queries.md");

/// The queries below their headings; the first has none.
fn queries() -> BTreeMap<String, String> {
    let (mut found, mut heading, mut text) = (BTreeMap::new(), String::new(), None);
    for line in DOCUMENT.lines() {
        match (line, &mut text) {
            ("```sql", _) => text = Some(String::new()),
            ("```", Some(query)) => {
                let old = found.insert(heading.clone(), std::mem::take(query));
                assert_eq!(old, None, "{heading} twice");
                text = None;
            }
            (line, Some(query)) => *query += &format!("{line}\n"),
            (line, None) => {
                if let Some(key) = line.strip_prefix("### ") {
                    heading = key.to_owned();
                }
            }
        }
    }
    found
}

/// Some weeks of two lines, with everything that is counted.
fn fill(conn: &Connection, chance: &mut Chance) {
    for nth in 0..600 {
        let outcome = Outcome::ALL[chance.below(10).min(chance.below(12)) as usize];
        let day = 1 + chance.below(30);
        let minute = chance.below(24 * 60);
        let local = format!("2026-11-{day:02}T{:02}:{:02}:00", minute / 60, minute % 60);
        let talk = if outcome == Outcome::Answered { 1 + chance.below(5_000) } else { 0 };
        let mut row = call(&local, outcome, chance.below(250), talk);
        row.call = CallId(format!("c{nth}").into());
        row.started += TimeDelta::days([0, 0, 0, 0, 0, 40][chance.below(6) as usize]);
        row.line = [Some("nijiiro"), Some("nijiiro"), Some("other"), None]
            [chance.below(4) as usize]
            .map(LineId::from);
        row.answered = (chance.below(5) > 0).then_some(row.started);
        row.guidance = std::time::Duration::from_millis(chance.below(80_000) * chance.below(2));
        row.paid_wait = secs(chance.below(300));
        row.test = chance.below(12) == 0;
        row.recorded = chance.below(3) as u32;
        if talk > 0 && chance.below(5) == 0 {
            row.talks.push((Extension::from("102"), secs(chance.below(900))));
        }
        let mut quality = || Quality {
            received: chance.below(4) * 100,
            lost: chance.below(3) * 5,
            jitter_ms: chance.below(80) as f32 / 4.0,
            mos: (chance.below(3) > 0).then(|| 3.0 + chance.below(16) as f32 / 16.0),
            round_trip_ms: (chance.below(3) > 0).then(|| chance.below(200) as f32),
            ..Quality::default()
        };
        let sides =
            [Whose::Caller, Whose::Counselor("101".into()), Whose::Supervisor("201".into())];
        row.legs = sides.map(|whose| LegFigures { whose, quality: quality() }).to_vec();
        assert!(cdr::insert(conn, &row).unwrap());
    }
    let from: Timestamp = "2026-10-30T00:00:00Z".parse().unwrap();
    let stint = |nth: i64| Stint {
        extension: Extension::from(["101", "103"][(nth % 2) as usize]),
        state: State::ALL[(nth % 6) as usize],
        from: from + TimeDelta::hours(3 * nth),
        to: from + TimeDelta::minutes(180 * nth + 100),
    };
    duty::write(conn, &(0..300).map(stint).collect::<Vec<_>>()).unwrap();
    for (line, day, hours) in [("nijiiro", 7, true), ("nijiiro", 8, false), ("other", 7, false)] {
        let all = Count { attempts: 40, connected: 30 };
        let part = |attempts, connected| Count { attempts, connected };
        let hours = hours.then(|| [(18, part(30, 22)), (19, part(10, 8))]);
        let hours = hours.into_iter().flatten().collect();
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let days = BTreeMap::from([(day, Day { all, hours })]);
        carrier::replace(conn, &LineId::from(line), &days, from, "op").unwrap();
    }
    // Who keeps the contacts makes this table.
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS contact (call TEXT, extension TEXT, type TEXT, at_ms INTEGER);
         INSERT INTO contact SELECT call, '101', substr('無言相談', 1 + rowid % 2 * 2, 2), 0
             FROM cdr WHERE outcome = 'answered';",
    )
    .unwrap();
}

/// Whether the database's answer is the figure, but for the places that the report leaves out.
fn expect(what: &str, answer: &Sql, figure: Value) {
    let number = match answer {
        Sql::Null => None,
        Sql::Integer(n) => Some(*n as f64),
        Sql::Real(x) => Some(*x),
        Sql::Text(_) | Sql::Blob(_) => panic!("{what}: {answer:?}"),
    };
    let off = match figure {
        Value::Calls(_) | Value::Count(_) => 0.0,
        Value::Ratio(_) => 0.000_051,
        Value::Length(_) => 0.000_51,
        Value::Number(_) => 0.005_1,
        Value::Millis(_) => 0.051,
    };
    match (number, figure.json().as_f64()) {
        (None, None) => {}
        (Some(a), Some(b)) if (a - b).abs() <= off => {}
        _ => panic!("{what}: the query says {number:?}, the report {figure:?}"),
    }
}

fn answers(conn: &Connection, sql: &str, line: Option<&str>) -> Vec<Vec<Sql>> {
    let period = november();
    let mut query = conn.prepare(sql).unwrap_or_else(|error| panic!("{error}:\n{sql}"));
    let parameters = [
        (":from_ms", Sql::from(period.from().timestamp_millis())),
        (":to_ms", Sql::from(period.to().timestamp_millis())),
        (":line", line.map_or(Sql::Null, |line| Sql::from(line.to_owned()))),
        (":zone", Sql::from("+9 hours".to_owned())),
    ];
    for (name, value) in parameters {
        if let Some(nth) = query.parameter_index(name).unwrap() {
            query.raw_bind_parameter(nth, value).unwrap();
        }
    }
    let width = query.column_count();
    let mut rows = query.raw_query();
    let mut found = vec![];
    while let Some(row) = rows.next().unwrap() {
        found.push((0..width).map(|n| row.get(n).unwrap()).collect());
    }
    found
}

fn compare(
    conn: &Connection,
    line: Option<&str>,
    figures: &LineFigures,
    duty: Option<&BTreeMap<Extension, Duty>>,
) {
    let mut queries = queries();
    let setup = queries.remove("").unwrap();
    conn.execute_batch("DROP TABLE IF EXISTS temp.c").unwrap();
    let period = november();
    conn.execute(
        &setup,
        named_params! {
            ":from_ms": period.from().timestamp_millis(),
            ":to_ms": period.to().timestamp_millis(),
            ":line": line,
        },
    )
    .unwrap();
    for figure in SUMMARY {
        let sql = queries.remove(figure.key);
        let sql = sql.unwrap_or_else(|| panic!("{} has no query", figure.key));
        let rows = answers(conn, &sql, line);
        // The median of nothing is no row at all or an empty one.
        let answer = rows.first().map_or(&Sql::Null, |row| &row[0]);
        expect(figure.key, answer, (figure.of)(figures));
    }
    for table in breakdowns(figures, duty) {
        let key = table.key;
        let sql = queries.remove(key);
        let sql = sql.unwrap_or_else(|| panic!("{key} has no query"));
        if key == "counselors" && duty.is_none() {
            continue;
        }
        assert!(!table.rows.is_empty(), "{key} has no row to compare");
        let rows = answers(conn, &sql, line);
        let names = |row: &Vec<Sql>| {
            let Sql::Text(name) = &row[0] else { panic!("{key}: {row:?}") };
            name.clone()
        };
        let expected = table.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
        assert_eq!(rows.iter().map(names).collect::<Vec<_>>(), expected, "{key}");
        for (answer, row) in rows.iter().zip(&table.rows) {
            assert_eq!(answer.len(), row.columns.len() + 1, "{key}");
            for (answer, (column, _, value)) in answer[1..].iter().zip(&row.columns) {
                expect(&format!("{key} {} {column}", row.key), answer, *value);
            }
        }
    }
    assert_eq!(queries, BTreeMap::new(), "queries of nothing");
}

#[test]
fn every_figure_is_what_its_query_says() {
    let folder = std::env::temp_dir().join(format!("koebashi-queries-{}", std::process::id()));
    let conn = migrate::open(&folder.join("koebashi.db")).unwrap();
    fill(&conn, &mut Chance::from_number(9));
    let figures: Figures = count(&conn, november()).unwrap();
    assert!(figures.total.counts.received() > 400 && figures.total.test > 10);
    compare(&conn, None, &figures.total, Some(&figures.duty));
    let line = &figures.lines[&Some(LineId::from("nijiiro"))];
    compare(&conn, Some("nijiiro"), line, None);
    drop(conn);
    std::fs::remove_dir_all(folder).unwrap();
}
