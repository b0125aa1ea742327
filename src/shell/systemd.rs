//! What the service manager is told (sd_notify(3)): ready, alive, stopping. Without one, nothing.
//!
//! The manager is told by a task of its own, so that a manager that does not listen can't hold the
//! loop; what it is told of the loop is the loop's own pulse.

use std::time::Duration;

use sd_notify::NotifyState;

use super::handle::Handle;

/// How often the manager hears that the loop lives: several times in any sensible `WatchdogSec`.
const EVERY: Duration = Duration::from_secs(1);

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Takes calls.
    Ready,
    /// Waits for the live calls to end.
    Draining,
    /// Leaves the live calls to the next process.
    HandingOver,
    /// Ends, and no call is left.
    Stopping,
}

/// Tells the manager what the service does. Never fails: nobody may be listening.
pub fn tell(stage: Stage) {
    let states: &[NotifyState<'_>] = match stage {
        Stage::Ready => &[NotifyState::Ready, NotifyState::Status("takes calls")],
        Stage::Draining => &[NotifyState::Status("takes no new calls, waits for the live ones")],
        Stage::HandingOver => &[NotifyState::Status("leaves the live calls to the next process")],
        Stage::Stopping => &[NotifyState::Stopping, NotifyState::Status("ends")],
    };
    notify(states);
}

/// Keeps the manager's watchdog quiet for as long as the loop goes round. Does not end.
pub async fn watchdog(handle: Handle) {
    if sd_notify::watchdog_enabled().is_none() {
        return;
    }
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        if handle.is_live() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
