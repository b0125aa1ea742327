//! Sessions that outlive the process: which have changed since they were kept last, and going on
//! with those of the process before.
//!
//! What the kept form of a session says is [`kept`]'s.

use std::time::Instant;

use bytes::Bytes;

use super::Endpoint;
use crate::sip::SessionId;
use crate::sip::kept::{self, Ledger, Unreadable};
use crate::sip::session::{Session, forget};
use crate::time::Anchor;

/// What the journal knows of the sessions.
pub(super) struct Keeping {
    anchor: Anchor,
    ledger: Ledger<SessionId>,
}

impl Keeping {
    pub(super) fn touch(&mut self, id: SessionId) {
        self.ledger.touch(id);
    }
}

impl Endpoint {
    /// From here on it is told what is to be kept ([`Self::take_changes`]).
    pub fn keep(&mut self, anchor: Anchor) {
        self.keeping = Some(Keeping { anchor, ledger: Ledger::default() });
    }

    /// Sessions that have changed since it was asked last, in the form in which they are kept;
    /// `None`: it is over.
    pub fn take_changes(&mut self) -> Vec<(SessionId, Option<Bytes>)> {
        let Self { core, sessions, keeping: Some(keeping), .. } = self else { return Vec::new() };
        let Keeping { anchor, ledger } = keeping;
        ledger.take(|id| {
            let form = sessions.get(id)?.keep(core, anchor)?;
            Some(kept::print(&form))
        })
    }

    /// Goes on with a session of the process before, after [`Self::keep`]. Nothing is told of it
    /// but what happens from here on.
    ///
    /// # Errors
    /// What is wrong with it. The session is not there then, and will not be kept.
    pub fn restore(&mut self, now: Instant, id: SessionId, bytes: &[u8]) -> Result<(), Unreadable> {
        let Some(Keeping { anchor, ledger }) = &mut self.keeping else { return Ok(()) };
        let anchor = *anchor;
        ledger.found(id);
        let form: kept::Session = kept::read(bytes)?;
        if form.id != id.0 || id.0 > kept::ID_MAX || self.sessions.contains_key(&id) {
            return Err(Unreadable::Without("id of its own"));
        }
        match Session::restore(&mut self.core, now, &anchor, form) {
            Ok(session) => {
                self.insert(id, session);
                Ok(())
            }
            Err(why) => {
                forget(&mut self.core, id);
                Err(why)
            }
        }
    }

    /// Whether there is such a session, and nobody has ended it.
    pub fn is_live(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(Session::is_live)
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }

    pub(super) fn touch(&mut self, id: SessionId) {
        if let Some(keeping) = &mut self.keeping {
            keeping.touch(id);
        }
    }
}
