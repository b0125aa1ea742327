//! REFER in a dialog (RFC 3515) and Replaces (RFC 3891): what a transfer names.

use std::time::Instant;

use super::Endpoint;
use crate::sip::header::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::{Params, Uri, unescape};
use crate::sip::{Event, ServerTx, SessionId};

impl Endpoint {
    pub(super) fn on_refer(
        &mut self,
        now: Instant,
        id: SessionId,
        tx: ServerTx,
        request: &Message,
    ) {
        let Some(flow) = self.core.txs.peer(tx) else { return };
        self.touch(id);
        let judged = match self.sessions.get_mut(&id) {
            Some(session) => session.receive(request, flow).and_then(|()| {
                let is_talking = session.is_talking();
                is_talking.then_some(()).ok_or(603)
            }),
            None => Err(481),
        };
        if let Err(code) = judged {
            return self.core.txs.reply(now, tx, code);
        }
        let Some((target, replaces)) = read(request) else {
            return self.core.txs.reply(now, tx, 400);
        };
        let event = Event::Refer {
            session: id,
            tx,
            target,
            replaces: replaces.as_deref().and_then(|it| self.named(it)),
            attended: replaces.is_some(),
        };
        self.core.events.push_back(event);
    }

    /// The session of the dialog that a Replaces value names.
    pub(super) fn named(&self, replaces: &str) -> Option<SessionId> {
        let (call_id, params) = replaces.split_at(replaces.find(';')?);
        let params = Params::new(params);
        let (to, from) = (params.value("to-tag")?, params.value("from-tag")?);
        // The tags are named as the receiver of the INVITE sees them; phones differ in who they
        // take that to be.
        [(to, from), (from, to)].into_iter().find_map(|(ours, theirs)| {
            let id = *self.tags.get(ours)?;
            let session = self.sessions.get(&id)?;
            session.is_named(call_id.trim(), theirs).then_some(id)
        })
    }
}

/// Target of Refer-To without its headers, and the Replaces among those. `None`: there is not
/// exactly one that can be read.
fn read(request: &Message) -> Option<(String, Option<String>)> {
    let address = NameAddr::parse(request.header(&Name::ReferTo)?).ok()?;
    let headers = match Uri::parse(address.uri).ok()? {
        Uri::Sip(sip) => sip.headers,
        Uri::Tel(_) => "",
        Uri::Other { .. } => return None,
    };
    let target = address.uri.split('?').next().unwrap_or(address.uri).to_owned();
    let named = headers.split('&').filter_map(|header| header.split_once('='));
    let mut replaces = named.filter(|(name, _)| name.eq_ignore_ascii_case("replaces"));
    let replaces = match replaces.next() {
        Some((_, value)) => Some(unescape(value).ok()?.into_owned()),
        None => None,
    };
    Some((target, replaces))
}
