//! `koebashi keep`: the service, kept running.

use std::ffi::OsString;
use std::path::Path;
use std::process::exit;

use anyhow::{Context, Result};

use crate::shell::keeper::{self, Program};
use crate::shell::process;

/// Runs `koebashi run` again and again, until it is told to end.
pub(super) fn run(config: Option<&Path>) -> Result<()> {
    // Where the program lies now: a newer one will lie there.
    let path = std::env::current_exe().context("where this program lies")?;
    let mut arguments = vec![OsString::from("run")];
    if let Some(config) = config {
        arguments.extend([OsString::from("--config"), config.into()]);
    }
    // It holds every socket of every call. How many calls fit is the service's to say.
    process::seal().context("core files can't be turned off")?;
    process::open_files(0).context("the limit of open files")?;
    let code = keeper::run(Program { path, arguments }).context("the service can't be kept")?;
    // The service has said what was wrong.
    if code == 0 { Ok(()) } else { exit(code.into()) }
}
