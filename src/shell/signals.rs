//! Signals of the operator: SIGTERM and SIGINT end the service, first gently, then at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the loop waits for.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either; its name. Loses nothing when dropped.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP: read the configuration again.
pub(super) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
