//! The command line: what can be asked for, and how answers and mistakes are printed.
//!
//! Owns arguments, exit codes and standard output. What a command does is in [`run`], [`tools`],
//! [`prompts`], [`recordings`], [`opening`], [`invite`], [`audit`] and [`keep`]; how configuration
//! and prompts become a service is [`load`]'s.

mod audit;
mod invite;
mod keep;
pub mod load;
mod opening;
mod prompts;
mod recordings;
mod run;
mod tools;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand, ValueEnum};

use crate::complaint::Complaint;
use crate::config::Loaded;
use crate::console;
use crate::demo;
use crate::lang::Lang;
use crate::shell::process;

/// Where the configuration is when nobody says otherwise.
const CONFIG: &str = "config/koebashi.toml";
/// The variable that says otherwise.
const CONFIG_VARIABLE: &str = "KOEBASHI_CONFIG";

/// Answers the calls of a counseling line, plays the guidance, keeps callers in order and joins
/// each with the next free counselor.
#[derive(Debug, Parser)]
#[command(name = "koebashi", version)]
struct Arguments {
    /// The configuration ($KOEBASHI_CONFIG; config/koebashi.toml). Where nobody names one and
    /// config/koebashi.toml is not there, the demo line opens on loopback.
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default).
    Run,
    /// Run the service, and when it dies the next one, which goes on with its calls: for machines
    /// and containers where no systemd does that. SIGTERM ends it as it ends the service; SIGUSR2
    /// replaces the service by the program that is there now, and no call notices.
    Keep,
    /// Show the main job on loopback: a call is answered, rung through, spoken and recorded; leaves
    /// demo.wav (left: what the caller heard, right: what the counselor heard).
    Demo,
    /// Say everything that is wrong with configuration and prompts.
    Check {
        /// In which language.
        #[arg(long, value_name = "en|ja", value_parser = language, default_value = "en")]
        lang: Lang,
    },
    /// Say what a caller would hear at a time, and why.
    When {
        /// Id of the line.
        line: String,
        /// Such as 2026-12-26T18:00, on the clock of the configuration's zone.
        time: String,
    },
    /// Print the figures of a month (this one, unless said), a day or a fiscal year.
    Report {
        /// Such as 2026-11.
        #[arg(long, conflicts_with = "year")]
        month: Option<String>,
        /// Such as 2026-11-07.
        #[arg(long, conflicts_with_all = ["month", "year", "public"])]
        day: Option<String>,
        /// The year in which the fiscal year begins, such as 2026.
        #[arg(long)]
        year: Option<String>,
        /// text, csv or json.
        #[arg(long, default_value = "text")]
        format: String,
        /// The version that may be published: small counts are not shown, nor from what they could
        /// be computed, nor counselors.
        #[arg(long)]
        public: bool,
    },
    /// Print the live board of the running service.
    Status {
        /// Its form.
        #[arg(long, value_enum, default_value = "text")]
        format: StatusFormat,
    },
    /// List, import or make prompts.
    #[command(subcommand)]
    Prompts(prompts::Action),
    /// List recordings, or delete one before its time.
    #[command(subcommand)]
    Recordings(recordings::Action),
    /// Print what people did (who listened to whom, asked for help, was not let), and check that
    /// nothing of it was changed or taken away.
    Audit(audit::Which),
    /// Check whether callers of a line can be served, as before each opening: trunk, counselors,
    /// prompts, disk, clock, a test call. Ends with exit code 1 when something is wrong.
    Opening(opening::Which),
    /// Make a link by which somebody can sign in to the console who can't, or is new.
    Invite(invite::Whom),
    /// Make a new password for an extension, and its stored form.
    Secret {
        /// The extension, such as 101.
        extension: String,
    },
}

/// The form of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatusFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Period {
    /// A day, as written.
    Day(String),
    /// A month, as written.
    Month(String),
    /// A fiscal year, as written.
    Year(String),
    /// The month that it is.
    ThisMonth,
}

/// Does what the arguments ask for. A mistake is one line on standard error and exit code 1 (2
/// where the arguments themselves are wrong).
pub fn main() -> ExitCode {
    process::hide_panics();
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when even this fails.
            drop(writeln!(io::stderr(), "koebashi: {}", line(&error)));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<()> {
    let named = arguments.config.or_else(|| std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
    // A name that was given and is wrong must not open the demo in place of the line.
    if let Some(path) = named.as_ref().filter(|path| !path.exists()) {
        return Err(anyhow!("{}: there is no such file", path.display()));
    }
    let path = named.clone().unwrap_or_else(|| CONFIG.into());
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => run::run(path),
        Command::Keep => keep::run(named.as_deref()),
        Command::Demo => Ok(demo::run()?),
        Command::Check { lang } => tools::check(&path, lang),
        Command::When { line, time } => tools::when(&path, &line, &time),
        Command::Report { month, day, year, format, public } => {
            let day = day.map(Period::Day);
            let longer = month.map(Period::Month).or_else(|| year.map(Period::Year));
            let period = day.or(longer).unwrap_or(Period::ThisMonth);
            tools::report(&path, &period, &format, public)
        }
        Command::Status { format } => tools::status(&path, format),
        Command::Prompts(action) => prompts::run(&path, action),
        Command::Recordings(action) => recordings::run(&path, &action),
        Command::Audit(which) => audit::run(&path, &which),
        Command::Opening(which) => opening::run(&path, &which),
        Command::Invite(whom) => invite::run(&path, &whom),
        Command::Secret { extension } => tools::secret(&path, &extension),
    }
}

/// A language by its name.
fn language(name: &str) -> Result<Lang> {
    let found = Lang::ALL.into_iter().find(|l| l.code() == name);
    found.ok_or_else(|| anyhow!("there is en and ja"))
}

/// Prints a line. A reader that has enough (`| head`) ends the program, and is no mistake.
fn say(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        said => said.map_err(|error| anyhow!("standard output: {error}")),
    }
}

/// The database, if it is there. A relative folder of state counts from the service's own.
fn must_exist(database: &Path) -> Result<&Path> {
    if database.is_relative() && !database.exists() {
        let path = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
        let path = path.display();
        return Err(anyhow!(
            "{path}: there is no such file; service.state_dir is relative, so that the command \
             must run in the folder of the service (cd /var/lib/koebashi)"
        ));
    }
    Ok(database)
}

/// What proves to the running service that we may ask. Empty where no service has left any: then
/// nobody answers.
fn service_token(loaded: &Loaded) -> Result<String> {
    let folder = &loaded.shell.state_dir;
    match console::machine_token(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let folder = folder.display();
            Err(anyhow!("{folder}: {error} (run it as the user of the service)"))
        }
        token => Ok(token.unwrap_or_default()),
    }
}

/// A mistake and its causes in one line; a cause that has been quoted is not said again.
fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// Complaints as text.
fn complaints(all: &[Complaint]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Complaints about the configuration as one mistake.
fn refuse(complaints: &[String]) -> anyhow::Error {
    anyhow!(complaints.join("\nkoebashi: "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn causes_are_said_once() {
        let error = anyhow!("no such file").context("a.toml: no such file").context("can't run");
        assert_eq!(line(&error), "can't run: a.toml: no such file");
    }

    #[test]
    fn run_is_the_default_and_the_configuration_may_stand_anywhere() {
        for (line, config) in [
            ("koebashi", None),
            ("koebashi --config a.toml", Some("a.toml")),
            ("koebashi run --config a.toml", Some("a.toml")),
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.config, config.map(PathBuf::from));
            assert!(matches!(arguments.command, None | Some(Command::Run)), "{line}");
        }
    }
}
