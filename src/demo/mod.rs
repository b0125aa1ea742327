//! `koebashi demo`: the main job, start to end, with nothing to set up.
//!
//! Runs the real service on loopback, a caller behind its trunk and a counselor's phone that
//! registers and answers; lets both speak, and says whether the voices crossed. Owns the order of
//! things (`scenario`) and what is printed. Every part of it is real: sockets, SIP, RTP, records.
//!
//! ```text
//! scenario ─► service (the shell)      shell::phone (two telephones, with their voices)
//!     └─────► verdict ─► track (what was heard), tone (to measure it), voice (what was said)
//! ```

mod scenario;
mod service;
mod tone;
mod track;
mod verdict;
mod voice;

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::shell::{self, LogFormat, log};
use crate::{media, store};

/// The file that is left in the current folder.
const FILE: &str = "demo.wav";
/// Threads beside the scenario's own: the loop of the service, two voices.
const WORKERS: usize = 2;

/// Why the demo did not do what it shows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The demo's own configuration is wrong.
    #[error("the demo's configuration: {0}")]
    Config(String),
    /// A shipped prompt is wrong.
    #[error(transparent)]
    Prompt(#[from] media::prompt::Error),
    /// The service could not start, or ended with a fault.
    #[error(transparent)]
    Service(#[from] shell::Error),
    /// Its records.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The service ended before the call.
    #[error("the service has ended by itself")]
    ServiceEnded,
    /// Something did not happen in time.
    #[error("{0} did not come within {1:?}")]
    Late(&'static str, Duration),
    /// Something else happened.
    #[error("{0}")]
    Unexpected(String),
    /// The operator has had enough.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Says what the system refused.
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System(what, error)
    }
}

/// Runs the demo; the recording goes to `demo.wav` in the current folder.
///
/// # Errors
/// Why it did not work. A call whose voices did not cross is one.
pub fn run() -> Result<(), Error> {
    // What the service has to complain about is shown; a process that logs already goes on so.
    let log = log::start(LogFormat::Text, tracing::Level::WARN).ok();
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(Error::system("no threads to run on"))?;
    let ended = runtime.block_on(scenario::play(Path::new(FILE)));
    drop(runtime);
    drop(log);
    ended
}
