//! Signals of the operator: SIGTERM and SIGINT end the service, first gently, then at once; and the
//! same from within the process, by a [`Stopper`]. SIGUSR1 ends it at once and leaves the calls to
//! the next.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What the loop is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Terminate,
    Interrupt,
    HandOver,
    /// By a [`Stopper`].
    Stop,
}

impl Order {
    /// For the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HandOver => "SIGUSR1",
            Self::Stop => "asked to end",
        }
    }
}

/// The signals that the loop waits for.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hand_over: Signal,
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
            hand_over: signal(SignalKind::user_defined1())?,
            asked,
            stopper: Stopper(stop),
        })
    }

    pub(super) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for any of them. Loses nothing when dropped.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Terminate,
            _ = self.interrupt.recv() => Order::Interrupt,
            _ = self.hand_over.recv() => Order::HandOver,
            Some(()) = self.asked.recv() => Order::Stop,
        }
    }
}

/// SIGHUP: read the configuration again.
pub(super) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
