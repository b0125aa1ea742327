//! What a check says: verdict, words in both languages, a figure. And a run of all of them.
//!
//! Owns the types and their form in JSON, which the database keeps and the API shows. Judging is
//! [`judge`](super::judge)'s.

use serde::{Deserialize, Serialize};

use crate::call::config::LineId;
use crate::store::opening;
use crate::time::Timestamp;

/// How a check came out; the worst counts for the whole.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(in crate::console) enum Verdict {
    /// As it should be.
    #[default]
    Ok,
    /// It can't be told.
    Unknown,
    /// Callers are served, but somebody should look at it.
    Warn,
    /// Callers would not be served.
    Bad,
}

impl Verdict {
    /// Its name in records and the API.
    pub(in crate::console) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The same in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::console) struct Words {
    /// In Japanese.
    pub(in crate::console) ja: String,
    /// In English.
    pub(in crate::console) en: String,
}

impl Words {
    /// Both.
    pub(in crate::console) fn new(ja: impl Into<String>, en: impl Into<String>) -> Self {
        Self { ja: ja.into(), en: en.into() }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::console) enum Id {
    /// The test call.
    Call,
    /// Whether calls can come.
    Trunk,
    /// Whether somebody is there.
    Counselors,
    /// Configuration and prompts, as they lie on the disk.
    Prompts,
    /// Room on the disk.
    Disk,
    /// Whether records are written.
    Database,
    /// Ports for voices.
    Ports,
    /// The clock.
    Clock,
    /// The certificate of SIP over TLS.
    Certificate,
    /// What the service itself says.
    Service,
}

impl Id {
    /// Its name in `/metrics`.
    pub(in crate::console) fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Trunk => "trunk",
            Self::Counselors => "counselors",
            Self::Prompts => "prompts",
            Self::Disk => "disk",
            Self::Database => "database",
            Self::Ports => "ports",
            Self::Clock => "clock",
            Self::Certificate => "certificate",
            Self::Service => "service",
        }
    }

    /// Its name on pages.
    pub(in crate::console) fn title(self) -> Words {
        match self {
            Self::Call => Words::new("試験通話", "Test call"),
            Self::Trunk => Words::new("外線の接続", "Connection to the carrier"),
            Self::Counselors => Words::new("相談員の準備", "Counselors"),
            Self::Prompts => Words::new("設定と音声", "Settings and prompts"),
            Self::Disk => Words::new("ディスクの空き", "Disk space"),
            Self::Database => Words::new("記録の書き込み", "Writing of records"),
            Self::Ports => Words::new("通話用ポートの空き", "Ports for voices"),
            Self::Clock => Words::new("時計", "Clock"),
            Self::Certificate => Words::new("証明書", "Certificate"),
            Self::Service => Words::new("サービスの状態", "The service itself"),
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::console) struct Check {
    /// Which.
    pub(in crate::console) id: Id,
    /// How it came out.
    pub(in crate::console) result: Verdict,
    /// What is so.
    pub(in crate::console) what: Words,
    /// What to do now; empty: nothing.
    pub(in crate::console) todo: Words,
    /// What was measured.
    pub(in crate::console) measured: String,
}

/// How telling somebody came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::console) struct Told {
    /// By what: webhook, mail.
    pub(in crate::console) by: Words,
    /// Whether it arrived.
    pub(in crate::console) done: bool,
    /// In words.
    pub(in crate::console) what: Words,
}

/// A run of all checks for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Run {
    /// Its number in the database; 0: it could not be written.
    pub(in crate::console) id: i64,
    /// Of which line.
    pub(in crate::console) line: LineId,
    /// When it began.
    pub(in crate::console) at: Timestamp,
    /// Who asked for it.
    pub(in crate::console) who: String,
    /// The opening that it was made for.
    pub(in crate::console) opens: Option<Timestamp>,
    /// The rest.
    pub(in crate::console) report: Report,
}

/// What of a run is kept as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::console) struct Report {
    /// What people call the line.
    pub(in crate::console) name: String,
    /// The next opening, when it was made.
    pub(in crate::console) next_open: Option<i64>,
    /// Every check.
    pub(in crate::console) checks: Vec<Check>,
    /// Who was told.
    #[serde(default)]
    pub(in crate::console) told: Vec<Told>,
}

impl Run {
    /// The worst of all checks.
    pub(in crate::console) fn result(&self) -> Verdict {
        self.report.checks.iter().map(|check| check.result).max().unwrap_or(Verdict::Unknown)
    }

    /// The checks that say so.
    pub(in crate::console) fn of(&self, result: Verdict) -> impl Iterator<Item = &Check> {
        self.report.checks.iter().filter(move |check| check.result == result)
    }

    /// As a row. Without `is_done` it counts for no opening yet.
    pub(in crate::console) fn row(&self, is_done: bool) -> opening::Run {
        // Made of texts, numbers and lists only, so that this can't fail.
        let report = serde_json::to_string(&self.report).unwrap_or_default();
        opening::Run {
            id: self.id,
            line: self.line.clone(),
            at: self.at,
            who: self.who.clone(),
            opens: self.opens.filter(|_| is_done),
            result: self.result().name().to_owned(),
            report: if is_done { report } else { String::new() },
        }
    }

    /// From a row; `None`: it never came to its end.
    pub(in crate::console) fn of_row(row: opening::Run) -> Option<Self> {
        let opening::Run { id, line, at, who, opens, report, .. } = row;
        let report = serde_json::from_str(&report).ok()?;
        Some(Self { id, line, at, who, opens, report })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_counts_and_a_row_is_read_back() {
        let check = |id, result| Check {
            id,
            result,
            what: Words::new("あ", "a"),
            todo: Words::default(),
            measured: "1".to_owned(),
        };
        let run = Run {
            id: 7,
            line: "main".into(),
            at: Timestamp::from_timestamp(1_000, 0).unwrap(),
            who: "aoki".to_owned(),
            opens: Timestamp::from_timestamp(2_000, 0),
            report: Report {
                name: "相談".to_owned(),
                checks: vec![check(Id::Disk, Verdict::Warn), check(Id::Call, Verdict::Unknown)],
                ..Report::default()
            },
        };
        assert_eq!(run.result(), Verdict::Warn);
        assert_eq!(run.of(Verdict::Unknown).count(), 1);
        assert_eq!(Run::of_row(run.row(true)), Some(run.clone()));
        let begun = run.row(false);
        assert_eq!(begun.opens, None);
        assert_eq!(Run::of_row(begun), None);
        assert!(Verdict::Ok < Verdict::Unknown && Verdict::Warn < Verdict::Bad);
    }
}
