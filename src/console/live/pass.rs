//! Whether whoever reads a stream still may: the session is there, and its person who they were.
//!
//! Owns how often that is looked at. What the stream sends is others'.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

use crate::console::desk::Desk;
use crate::console::sign_in::Person;
use crate::console::sign_in::sessions::COOKIE;
use crate::console::ui::cookie;

/// How often an account is read anew, even if nobody changed it here.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Somebody who reads a stream.
pub(in crate::console) struct Pass {
    desk: Arc<Desk>,
    person: Person,
    /// Of the session; `None`: a command of this machine's, which has none.
    token: Option<String>,
    /// When the account is read anew.
    look_at: Instant,
    /// How many changes of accounts had been when it was read.
    changes: u64,
}

impl Pass {
    /// Of a request that the door has let in.
    pub(in crate::console) fn new(desk: &Arc<Desk>, person: &Person, headers: &HeaderMap) -> Self {
        let token = cookie(headers, COOKIE).filter(|_| !person.is_machine());
        Self {
            token: token.map(str::to_owned),
            person: person.clone(),
            look_at: Instant::now() + LOOK_AGAIN,
            // Whatever was changed since the door was passed counts.
            changes: desk.account_changes().saturating_sub(1),
            desk: Arc::clone(desk),
        }
    }

    /// Whether they may still see what they were let in for.
    pub(in crate::console) async fn is_good(&mut self) -> bool {
        let Some(token) = &self.token else { return self.person.is_machine() };
        if !self.desk.is_signed_in(token) {
            return false;
        }
        let (now, changes) = (Instant::now(), self.desk.account_changes());
        if now < self.look_at && changes == self.changes {
            return true;
        }
        (self.look_at, self.changes) = (now + LOOK_AGAIN, changes);
        self.desk.person(token).await.as_ref() == Some(&self.person)
    }
}
