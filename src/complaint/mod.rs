//! What can be wrong with a configuration and the files that it names, in every language.
//!
//! Owns [`Complaint`] (where and how bad) and [`Wrong`] (what: tables of kinds with their
//! parameters, each with its words in every language). Whoever finds something wrong names the
//! kind; whoever prints it names the language. Finds nothing itself.

mod file;
mod fit;
mod say;
mod syntax;
mod value;

use std::fmt;

pub use file::File;
pub use fit::Fit;
pub use say::{Cause, Hint, Kind, Say, Weekday};
pub use syntax::Syntax;
pub use value::Value;

use crate::lang::Lang;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Looks like a slip of the pen; it runs.
    Warning,
    /// Something that the configuration only names is no good: a certificate. It runs without that,
    /// or with what was there before.
    Outside,
    /// Refused.
    Error,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// With a value by itself.
    Value(Value),
    /// With what is right by itself and does not go together.
    Fit(Fit),
    /// With a file, or with the text of one.
    File(File),
}

impl From<Value> for Wrong {
    fn from(what: Value) -> Self {
        Self::Value(what)
    }
}

impl From<Fit> for Wrong {
    fn from(what: Fit) -> Self {
        Self::Fit(what)
    }
}

impl From<File> for Wrong {
    fn from(what: File) -> Self {
        Self::File(what)
    }
}

impl Say for Wrong {
    fn say(&self, l: Lang) -> String {
        match self {
            Self::Value(what) => what.say(l),
            Self::Fit(what) => what.say(l),
            Self::File(what) => what.say(l),
        }
    }
}

/// Something wrong with a configuration. Shown as `file:line: key: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named; empty: it is about none.
    pub file: String,
    /// The line, from 1; `None`: it is not about a line (a file that is not there).
    pub line: Option<usize>,
    /// The key in full; empty: it is about none.
    pub key: String,
    /// What is wrong. Never a secret.
    pub what: Wrong,
}

impl Complaint {
    /// A refusal that is about no key.
    pub fn error(file: impl Into<String>, line: Option<usize>, what: impl Into<Wrong>) -> Self {
        let (severity, key) = (Severity::Error, String::new());
        Self { severity, file: file.into(), line, key, what: what.into() }
    }
}

impl Say for Box<Wrong> {
    fn say(&self, l: Lang) -> String {
        (**self).say(l)
    }
}

impl Say for Complaint {
    fn say(&self, l: Lang) -> String {
        let place = match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        };
        let kind = match self.severity {
            Severity::Warning => l.t("注意", "warning"),
            Severity::Outside | Severity::Error => "",
        };
        let what = self.what.say(l);
        let parts = [&place, kind, &self.key, &what];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

/// In English, as logs and the command line have it.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(Lang::En))
    }
}

#[cfg(test)]
mod tests;
