//! `[reports]`: what may be published.

use super::sheet::Section;
use crate::complaint::Fit;

/// How figures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Counts below this are not shown in the version for the public; 0 or 1: all are shown.
    pub min_cell: u64,
}

impl Default for Reports {
    fn default() -> Self {
        Self { min_cell: 5 }
    }
}

/// Reads the section.
pub(super) fn reports(root: &Section<'_>) -> Reports {
    let section = root.section("reports");
    let min_cell = u64::from(section.number("min_cell", 5_u32, 0..=20));
    if section.has("min_cell") && min_cell < 3 {
        section.warn("min_cell", Fit::SmallCells);
    }
    section.done();
    Reports { min_cell }
}
