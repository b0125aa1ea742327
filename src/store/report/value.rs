//! A figure's value: its unit, and how it is written for people, spreadsheets and programs.

use serde_json::{Value as Json, json};

/// A value and its unit; lengths are in milliseconds here and in seconds on paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Calls.
    Calls(u64),
    /// Something else that is counted.
    Count(u64),
    /// A share, 0 to 1.
    Ratio(Option<f64>),
    /// A length.
    Length(Option<f64>),
    /// A plain number.
    Number(Option<f64>),
    /// A length that is told in milliseconds.
    Millis(Option<f64>),
}

impl Value {
    /// Its unit, for programs.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Calls(_) => "calls",
            Self::Ratio(_) => "ratio",
            Self::Length(_) => "s",
            Self::Number(_) | Self::Count(_) => "",
            Self::Millis(_) => "ms",
        }
    }

    /// For programs.
    pub fn json(self) -> Json {
        match self {
            Self::Calls(n) | Self::Count(n) => json!(n),
            Self::Ratio(x) => json!(x.map(|x| rounded(x, 1e4))),
            Self::Length(ms) => json!(ms.map(|ms| rounded(ms / 1e3, 1e3))),
            Self::Number(x) => json!(x.map(|x| rounded(x, 1e2))),
            Self::Millis(ms) => json!(ms.map(|ms| rounded(ms, 1e1))),
        }
    }

    /// For spreadsheets.
    pub fn csv(self) -> String {
        let json = self.json();
        if json.is_null() { String::new() } else { json.to_string() }
    }

    /// As in a table, whose head says what is counted.
    pub fn cell(self) -> String {
        if let Self::Calls(n) = self { n.to_string() } else { self.text() }
    }

    /// For people.
    pub fn text(self) -> String {
        let none = || "－".to_owned();
        match self {
            Self::Calls(n) => format!("{n} 件"),
            Self::Count(n) => n.to_string(),
            Self::Ratio(x) => x.map_or_else(none, |x| format!("{:.1} %", x * 100.0)),
            Self::Length(ms) => ms.map_or_else(none, clock),
            Self::Number(x) => x.map_or_else(none, |x| format!("{x:.2}")),
            Self::Millis(ms) => ms.map_or_else(none, |ms| format!("{ms:.1} ms")),
        }
    }
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
