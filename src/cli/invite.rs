//! `koebashi invite NAME`: a link for somebody who is locked out, or new.
//!
//! Owns the arguments and what is printed. The running service makes the link: it alone writes the
//! accounts.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;
use tokio::runtime::Builder;

use super::{complaints, refuse, say, service_token};
use crate::config;
use crate::console::status::{self, Error};

/// Who is invited.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// The account's name; one that there is gets a new password, and a new second factor.
    name: String,
    /// operator, supervisor, counselor or auditor; an account that there is keeps its own.
    #[arg(long)]
    role: Option<String>,
    /// Their phone, such as 101.
    #[arg(long)]
    extension: Option<String>,
}

/// Makes the link and prints it.
pub(super) fn run(path: &Path, whom: &Whom) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let (token, listen) = (service_token(&loaded)?, loaded.console.listen);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (role, extension) = (whom.role.as_deref(), whom.extension.as_deref());
    let asked = runtime.block_on(status::invite(listen, &token, &whom.name, role, extension));
    let json = asked.map_err(explained)?;
    let answer: Value = serde_json::from_str(&json).context("the service's answer is no JSON")?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let days = answer.get("days").and_then(Value::as_u64).unwrap_or_default();
    if text("path").is_empty() {
        bail!("the service's answer has no link");
    }
    say(&format!("http://{}{}", status::address(listen), text("path")))?;
    say(&format!(
        "For {} ({}). It is good for {days} days, and ends when they have chosen a password. From \
         another machine, put the console's own address before {}.",
        text("name"),
        text("role"),
        text("path"),
    ))
}

/// What stands against it, and what to do.
fn explained(error: Error) -> anyhow::Error {
    let how = match &error {
        Error::Unreachable { .. } => {
            "the service makes the link, so it must run: start it (systemctl start koebashi), and \
             run this again, as its user and in its folder"
        }
        Error::Refused { why, .. } => match why.as_str() {
            "sign_in" => {
                "this is not the folder of state of the service that answers: run it in the \
                 service's folder, or name its configuration with --config"
            }
            "needs_a_role" => "there is no such account yet: say which --role it shall have",
            "unknown_role" => "write --role operator, supervisor, counselor or auditor",
            "needs_an_extension" => "a counselor needs a phone: --extension 101",
            "unknown_extension" => "there is no such extension in the configuration",
            "bad_name" => "a name has 1 to 32 letters, digits or . - _ @",
            _ => return anyhow!(error),
        },
        Error::Foreign { .. } => return anyhow!(error),
    };
    anyhow!("{error}: {how}")
}
