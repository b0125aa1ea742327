//! What the pages about prompts keep in memory: whose turn it is, and what comes of phone calls.
//!
//! Owns the locks and the news. What is done under them is [`prompts`](super::prompts)'.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long somebody waits whose file comes while another one is worked on.
const TURN_LIMIT: Duration = Duration::from_secs(90);
/// Prompts of which there is news.
const NEWS_MAX: usize = 200;

/// What the phone is doing for a prompt, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It rings, plays or records.
    Busy,
    /// It is over: in Japanese and English, and whether it went wrong.
    Over {
        /// Whether it went wrong.
        is_bad: bool,
        /// In words.
        text: (String, String),
    },
}

/// What the pages about prompts keep in memory.
#[derive(Debug)]
pub(super) struct Studio {
    /// Held while what is on air is changed.
    on_air: Arc<tokio::sync::Mutex<()>>,
    /// Decoding and speaking take memory and time: one at a time.
    work: Arc<Semaphore>,
    /// Rung when a plan is made or taken back.
    pub(super) plans: Notify,
    news: Mutex<BTreeMap<String, News>>,
}

impl Default for Studio {
    fn default() -> Self {
        Self {
            on_air: Arc::default(),
            work: Arc::new(Semaphore::new(1)),
            plans: Notify::new(),
            news: Mutex::default(),
        }
    }
}

impl Studio {
    /// Only whoever holds this changes what is on air.
    pub(super) async fn on_air(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.on_air).lock_owned().await
    }

    /// Does something long with sound, one at a time (also when whoever asked has gone meanwhile),
    /// off the runtime's threads. `None`: it did not get its turn, or panicked.
    pub(super) async fn work<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turn = Arc::clone(&self.work).acquire_owned();
        let turn = timeout(TURN_LIMIT, turn).await.ok()?.ok()?;
        let work = move || {
            let _turn = turn;
            work()
        };
        spawn_blocking(work).await.ok()
    }

    /// The phone does something for a prompt. False: it does already.
    pub(super) fn begin(&self, prompt: &str) -> bool {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.get(prompt) == Some(&News::Busy) {
            return false;
        }
        if news.len() >= NEWS_MAX {
            news.retain(|_, news| *news == News::Busy);
        }
        news.insert(prompt.to_owned(), News::Busy);
        true
    }

    /// It is over.
    pub(super) fn end(&self, prompt: &str, is_bad: bool, text: (String, String)) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.insert(prompt.to_owned(), News::Over { is_bad, text });
    }

    /// What there is to say; what is over is said once, unless it is kept.
    pub(super) fn news(&self, prompt: &str, is_kept: bool) -> Option<News> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        match news.get(prompt) {
            Some(News::Busy) => Some(News::Busy),
            Some(over @ News::Over { .. }) if is_kept => Some(over.clone()),
            Some(News::Over { .. }) => news.remove(prompt),
            None => None,
        }
    }
}
