//! Registrations that outlive the process.
//!
//! Owns the way from a binding to its kept form and back. A phone behind a connection is not behind
//! it any more: its binding comes back so that the connection can be lost, which is what has
//! happened. Those that were lost before are kept in the same form.

use std::time::Instant;

use bytes::Bytes;

use super::{Binding, BindingId, Registrar};
use crate::sip::Flow;
use crate::sip::kept::{self, Ledger, Unreadable};
use crate::time::Anchor;

/// What the journal knows of the bindings.
pub(super) struct Keeping {
    anchor: Anchor,
    ledger: Ledger<BindingId>,
}

/// A binding may have changed.
pub(super) fn touch(keeping: &mut Option<Keeping>, id: BindingId) {
    if let Some(keeping) = keeping {
        keeping.ledger.touch(id);
    }
}

impl Registrar {
    /// From here on it is told what is to be kept ([`Self::take_changes`]).
    pub fn keep(&mut self, anchor: Anchor) {
        self.keeping = Some(Keeping { anchor, ledger: Ledger::default() });
    }

    /// Bindings that have changed since it was asked last, in the form in which they are kept;
    /// `None`: it is gone.
    pub fn take_changes(&mut self) -> Vec<(BindingId, Option<Bytes>)> {
        let Self { bindings, lost, keeping: Some(keeping), .. } = self else { return Vec::new() };
        let Keeping { anchor, ledger } = keeping;
        ledger.take(|id| {
            let binding = bindings.get(id).or_else(|| lost.get(id))?;
            Some(kept::print(&binding.keep(anchor)))
        })
    }

    /// Goes on with a binding of the process before, after [`Self::keep`]: its phone is asked at
    /// once whether it is there, and may be rung meanwhile. Gives back a flow whose connection is
    /// lost, for [`Self::flow_gone`].
    ///
    /// # Errors
    /// What is wrong with it. The binding is not there then.
    pub fn restore(
        &mut self,
        now: Instant,
        id: BindingId,
        bytes: &[u8],
    ) -> Result<Option<Flow>, Unreadable> {
        let Some(Keeping { anchor, ledger }) = &mut self.keeping else { return Ok(None) };
        let anchor = *anchor;
        ledger.found(id);
        let form: kept::Phone = kept::read(bytes)?;
        if id.0 > kept::ID_MAX || self.bindings.contains_key(&id) {
            return Err(Unreadable::Without("id of its own"));
        }
        self.next_id = self.next_id.max(id.0 + 1);
        let binding = Binding::restore(form, &anchor);
        if binding.expires <= now {
            return Ok(None);
        }
        let (user, flow) = (binding.user.clone(), binding.flow);
        let asked = self.pulse.map(|_| now);
        self.insert(id, binding, asked);
        self.note(&user);
        Ok(flow.transport.is_stream().then_some(flow))
    }
}

impl Binding {
    fn keep(&self, anchor: &Anchor) -> kept::Phone {
        let it = self.clone();
        kept::Phone {
            user: it.user,
            uri: it.uri,
            flow: it.flow.into(),
            expires: anchor.nanos(it.expires),
            instance: it.instance,
            reg_id: it.reg_id,
            call_id: it.call_id,
            cseq: it.cseq,
            user_agent: it.user_agent,
            missed: it.missed,
        }
    }

    fn restore(kept: kept::Phone, anchor: &Anchor) -> Self {
        Self {
            uri: kept.uri,
            flow: kept.flow.into(),
            expires: anchor.instant(kept.expires),
            instance: kept.instance,
            reg_id: kept.reg_id,
            call_id: kept.call_id,
            cseq: kept.cseq,
            user_agent: kept.user_agent,
            user: kept.user,
            missed: kept.missed,
        }
    }
}
