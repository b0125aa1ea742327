//! Signals of the operator: SIGTERM and SIGINT end the service, first gently, then at once; and the
//! same from within the process, by a [`Stopper`].

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The signals that the loop waits for.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    asked: mpsc::Receiver<()>,
    stopper: Stopper,
}

/// Ends the service from within the process, as SIGTERM does from outside.
#[derive(Clone, Debug)]
pub struct Stopper(mpsc::Sender<()>);

impl Stopper {
    /// No new calls from here on; the service ends when the live ones are over.
    pub fn stop(&self) {
        // Full: it has been asked already. Closed: it has ended.
        let _is_news = self.0.try_send(());
    }
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let (stop, asked) = mpsc::channel(1);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            asked,
            stopper: Stopper(stop),
        })
    }

    pub(super) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for either; its name. Loses nothing when dropped.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(()) = self.asked.recv() => "asked to end",
        }
    }
}

/// SIGHUP: read the configuration again.
pub(super) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
