//! `koebashi prompts`: what is there, bringing a recording in, making the missing ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;

use super::{complaints, refuse, say};
use crate::config;
use crate::shell::prompts::{self, make};

/// What can be done with prompts.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List every prompt: where it comes from, how long it is, what it says.
    List,
    /// Bring a WAV file of any usual kind into the prompts folder.
    Import {
        /// The recording.
        file: PathBuf,
        /// The prompt that it becomes, such as welcome.
        #[arg(long)]
        name: String,
        /// What it says.
        #[arg(long)]
        text: Option<String>,
    },
    /// Let a voice speak the prompts that have a text but no recording.
    Render {
        /// After `--`, a program and its arguments: it gets the text on standard input, and as last
        /// argument the WAV file to write. Without one: service.voice_command, else the folder's
        /// render.sh, else Open JTalk.
        #[arg(last = true)]
        voice: Vec<OsString>,
    },
}

pub(super) fn run(path: &Path, action: Action) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let folder = &loaded.shell.prompts_dir;
    match action {
        Action::List => {
            let rows = prompts::list(folder).map_err(|errors| {
                refuse(&errors.iter().map(ToString::to_string).collect::<Vec<_>>())
            })?;
            say(prompts::table(&rows).trim_end())
        }
        Action::Import { file, name, text } => {
            let length = make::import(folder, &file, &name, text.as_deref())?;
            say(&format!("{name}: {:.2} s", length.as_secs_f64()))
        }
        Action::Render { voice } => {
            let mut told = Ok(());
            let (named, file) = (&loaded.shell.voice_command, loaded.shell.voice_file.as_deref());
            let command = || match voice.is_empty() {
                true => make::voice(folder, named, file),
                false => Ok(voice),
            };
            let made = make::render(folder, command, |name, length| {
                let said = say(&format!("{name}: {:.2} s", length.as_secs_f64()));
                told = std::mem::replace(&mut told, Ok(())).and(said);
            })?;
            told?;
            say(&format!("{made} made"))
        }
    }
}
