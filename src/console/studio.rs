//! What the pages about prompts keep in memory: whose turn it is.
//!
//! Owns the locks. What is done under them is [`prompts`](super::prompts)'.

use std::time::Duration;

use tokio::sync::{MutexGuard, Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long somebody waits whose file comes while another one is worked on.
const TURN_LIMIT: Duration = Duration::from_secs(90);

/// What the pages about prompts keep in memory.
#[derive(Debug)]
pub(super) struct Studio {
    /// Held while what is on air is changed.
    on_air: tokio::sync::Mutex<()>,
    /// Decoding and speaking take memory and time: one at a time.
    work: Semaphore,
    /// Rung when a plan is made or taken back.
    pub(super) plans: Notify,
}

impl Default for Studio {
    fn default() -> Self {
        Self {
            on_air: tokio::sync::Mutex::default(),
            work: Semaphore::new(1),
            plans: Notify::new(),
        }
    }
}

impl Studio {
    /// Only whoever holds this changes what is on air.
    pub(super) async fn on_air(&self) -> MutexGuard<'_, ()> {
        self.on_air.lock().await
    }

    /// Does something long with sound, one at a time, off the runtime's threads. `None`: it did not
    /// get its turn, or panicked.
    pub(super) async fn work<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let _turn = timeout(TURN_LIMIT, self.work.acquire()).await.ok()?.ok()?;
        spawn_blocking(work).await.ok()
    }
}
