//! What extensions dial: codes, and colleagues.
//!
//! Owns the making of those calls. Nobody is reached here who is not a counselor of the
//! configuration.

use std::sync::Arc;

use super::{Owner, Switchboard, io};
use crate::call::config::{DtmfMeans, Extension};
use crate::call::deed::Denial;
use crate::call::internal::{self, Choice, Dialed, Internal};
use crate::call::io::Io;
use crate::call::leg::Fault;
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use crate::sip::{Flow, SessionId};
use crate::time::Now;

impl Switchboard {
    /// An authenticated extension dials.
    pub(super) fn on_extension_invite(
        &mut self,
        now: Now,
        session: SessionId,
        flow: Flow,
        request: &Message,
        from: &Extension,
    ) {
        let config = Arc::clone(&self.config);
        let uri = request.uri().and_then(|uri| Uri::parse(uri).ok());
        let number = match &uri {
            Some(Uri::Sip(uri)) => uri.user.as_deref().unwrap_or_default().to_owned(),
            Some(Uri::Tel(_)) => uri.as_ref().and_then(Uri::number).unwrap_or_default(),
            Some(Uri::Other { .. }) | None => String::new(),
        };
        let dialed = internal::dialed(&config, &number);
        let busy = self.activities();
        let shard = match &dialed {
            Dialed::Code(Choice::Supervise(_, counselor)) => self.shard_of(counselor),
            Dialed::Code(_) | Dialed::Colleague(_) | Dialed::Unknown => self.shard_of(from),
        };
        let candidates = match &dialed {
            Dialed::Colleague(to) if to == from || busy.contains_key(to) => {
                return self.sip.refuse(now.mono, session, 486, &[]);
            }
            Dialed::Colleague(to) => {
                let name = config.counselors.get(from).map(|c| c.name.replace(['"', '\\'], ""));
                let domain = &self.sip_config.domain;
                let caller = format!("\"{}\" <sip:{from}@{domain}>", name.unwrap_or_default());
                let candidates = self.invites(now, to, &caller, shard, None);
                if candidates.is_empty() {
                    return self.sip.refuse(now.mono, session, 480, &[]);
                }
                candidates
            }
            Dialed::Code(_) | Dialed::Unknown => Vec::new(),
        };
        let mut place = self.phone_place(from, flow, shard, None);
        place.dtmf = vec![DtmfMeans::Rfc4733];
        let key = self.next_key();
        let mut io = io!(self, now, Owner::Internal(key));
        let offer = request.sdp();
        let choice = match &dialed {
            Dialed::Code(choice) => Some(choice.clone()),
            Dialed::Colleague(_) | Dialed::Unknown => None,
        };
        let made = Internal::new(
            &mut io,
            config,
            internal::Asked { from: from.clone(), dialed, candidates },
            session,
            offer,
            place,
        );
        match made {
            Ok(internal) => {
                self.internals.insert(key, internal);
            }
            Err(fault) => {
                let (code, why) = match fault {
                    Fault::Media => (488, Denial::NoAudio),
                    Fault::NoPort => (503, Denial::NoPort),
                };
                self.sip.refuse(now.mono, session, code, &[]);
                if let Some(choice) = choice {
                    self.choice_failed(from, &choice, why);
                }
            }
        }
    }

    /// The media thread on which the extension talks, so that a consultation can be joined with the
    /// caller, and a supervisor with both.
    fn shard_of(&self, extension: &Extension) -> u8 {
        let call = self.call_with(extension).and_then(|key| self.calls.get(&key));
        call.map_or(0, |call| call.caller.place().shard)
    }
}
