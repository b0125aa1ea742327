//! What a row of the table is, and how it is judged.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How the rows are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// At full length: before a release.
    pub(crate) is_long: bool,
    /// Where chance begins.
    pub(crate) seed: u64,
}

impl Run {
    /// How many of something: few in CI, all in a long run.
    pub(crate) fn count(&self, short: u32, long: u32) -> u32 {
        if self.is_long { long } else { short }
    }
}

/// A goal of `reliability`, and how it is measured.
pub(crate) struct Goal {
    /// How it is called on the command line and in the table.
    pub(crate) name: &'static str,
    /// The figure that is asked for.
    pub(crate) wanted: &'static str,
    /// What the best peer does.
    pub(crate) peer: &'static str,
    /// Whether it takes too long for every change.
    pub(crate) is_long_only: bool,
    /// Measures it.
    pub(crate) measure: fn(&Run) -> Result<Measured, Box<dyn Error>>,
}

/// What was measured.
pub(crate) struct Measured {
    /// In words, with units.
    pub(crate) figure: String,
    /// Whether that is what was asked for.
    pub(crate) verdict: Verdict,
}

impl Measured {
    /// A figure that is as asked for, or is not.
    pub(crate) fn new(is_held: bool, figure: impl Into<String>) -> Self {
        let verdict = if is_held { Verdict::Held } else { Verdict::Missed };
        Self { figure: figure.into(), verdict }
    }

    /// The machine does not let it be measured.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self { figure: why.into(), verdict: Verdict::Skipped }
    }
}

/// Whether a goal is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes.
    Held,
    /// No.
    Missed,
    /// The machine does not let it be measured; the figure says why.
    Skipped,
}

impl Verdict {
    /// As the table says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Held => "PASS",
            Self::Missed => "FAIL",
            Self::Skipped => "SKIP",
        }
    }
}

impl Goal {
    /// Measures it. What goes wrong, a panic too, is a goal that is missed.
    pub(crate) fn measure(&self, run: &Run) -> (String, Verdict) {
        match catch_unwind(AssertUnwindSafe(|| (self.measure)(run))) {
            Ok(Ok(Measured { figure, verdict })) => (figure, verdict),
            Ok(Err(error)) => (error.to_string(), Verdict::Missed),
            Err(_) => ("it panicked".to_owned(), Verdict::Missed),
        }
    }
}
