//! What a benchmark hands to the table in README.md, beside what it prints.
//!
//! A row is a line `what|figure|unit|beside|its figure|goal` at the end of the file that `TABLE`
//! names; without `TABLE` there is none. `benches/table.sh` makes the table of them.

use std::fs::OpenOptions;
use std::io::Write;

/// One figure.
pub(crate) struct Row<'a> {
    /// What was measured: rows of several runs that say the same are one.
    pub(crate) what: &'a str,
    pub(crate) figure: f64,
    pub(crate) unit: &'a str,
    /// What was measured beside it in the same run, in the same unit.
    pub(crate) beside: Option<(&'a str, f64)>,
    /// What design asks for; empty: nothing.
    pub(crate) goal: &'a str,
}

impl Row<'_> {
    /// Adds the row to the table, if one is made.
    pub(crate) fn note(&self) {
        let Some(path) = std::env::var_os("TABLE") else { return };
        let Self { what, figure, unit, goal, .. } = self;
        let (beside, other) =
            self.beside.map_or_else(Default::default, |(name, other)| (name, other.to_string()));
        let row = format!("{what}|{figure}|{unit}|{beside}|{other}|{goal}\n");
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(row.as_bytes()));
        written.expect("the table's file can be written");
    }
}
