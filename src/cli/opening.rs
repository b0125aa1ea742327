//! `koebashi opening`: checks before a line opens, by the running service, and their verdicts.
//!
//! Owns the arguments, the table and the exit code.

use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono_tz::Tz;
use clap::Args;
use serde_json::Value;
use tokio::runtime::Builder;

use super::{complaints, refuse, say, service_token};
use crate::config;
use crate::console::status;
use crate::time::Timestamp;

/// What is checked.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Id of the line; every line, unless said.
    line: Option<String>,
    /// Check nothing; print how the last checks came out.
    #[arg(long, conflicts_with = "line")]
    last: bool,
    /// Print the service's answer as it is.
    #[arg(long)]
    json: bool,
}

/// Has it checked, and prints what came out.
pub(super) fn run(path: &Path, which: &Which) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let token = service_token(&loaded)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (listen, line) = (loaded.console.listen, which.line.as_deref());
    let json = runtime.block_on(status::opening(listen, &token, line, which.last))?;
    let answer: Value = serde_json::from_str(&json).context("the service's answer is no JSON")?;
    let runs = answer.get("runs").and_then(Value::as_array).context("it has no runs in it")?;
    if which.json {
        say(&json)?;
    } else {
        for run in runs {
            print(run, loaded.call.timezone)?;
        }
    }
    let bad = runs.iter().filter(|run| text(run, "result") == "bad").count();
    if bad > 0 {
        bail!("{bad} of {} lines: something is wrong", runs.len());
    }
    Ok(())
}

fn print(run: &Value, timezone: Tz) -> Result<()> {
    let (line, name) = (text(run, "line"), text(run, "name"));
    let at = text(run, "at").parse::<Timestamp>().unwrap_or_default().with_timezone(&timezone);
    let at = at.format("%Y-%m-%d %H:%M");
    say(&format!("{line}（{name}） {at} {}", sign(text(run, "result"))))?;
    for check in run.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let (what, todo) = (japanese(check, "what"), japanese(check, "todo"));
        say(&format!("  {} {}: {what}", sign(text(check, "result")), text(check, "id")))?;
        if !todo.is_empty() {
            say(&format!("      → {todo}"))?;
        }
        say(&format!("      {}", text(check, "measured").replace('\n', "\n      ")))?;
    }
    for told in run.get("told").and_then(Value::as_array).into_iter().flatten() {
        say(&format!("  {}: {}", japanese(told, "by"), japanese(told, "what")))?;
    }
    Ok(())
}

fn sign(result: &str) -> &str {
    match result {
        "ok" => "○",
        "unknown" => "【未確認】",
        "warn" => "【注意】",
        "bad" => "【問題】",
        other => other,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn japanese<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).map(|words| text(words, "ja")).unwrap_or_default()
}
