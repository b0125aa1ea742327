//! What the program around the machines is told.

use std::path::PathBuf;
use std::time::Duration;

use super::recorder;
use super::sip_socket::Limits;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the program around the machines is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept that outlives a restart.
    pub state_dir: PathBuf,
    /// Where keys are kept that end with this run of the machine; `None`: wherever that is.
    pub runtime_dir: Option<PathBuf>,
    /// How long the loop waits for one write of the journal of live calls.
    pub journal_wait: Duration,
    /// Where the operator's prompts lie.
    pub prompts_dir: PathBuf,
    /// The program that speaks a prompt's text, and its arguments; none: the one that is found.
    pub voice_command: Vec<String>,
    /// The voice of Open JTalk, where that is what is found; none: one where Debian keeps them.
    pub voice_file: Option<PathBuf>,
    /// How long it may take for one prompt.
    pub voice_timeout: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged: this level and what is graver.
    pub log_level: tracing::Level,
    /// Limits and times of the SIP sockets.
    pub sockets: Limits,
    /// Who can open recordings, and how long they stay.
    pub recorder: recorder::Config,
}
