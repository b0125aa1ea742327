//! What comes in: which transaction, session or new request a message is, and who may send it
//! (RFC 3261 §8.2, §12.2.2, §18).

use std::time::Instant;

use super::Endpoint;
use crate::sip::header::Name;
use crate::sip::message::{Message, Method};
use crate::sip::session::{Refusal, Session, capable, not_allowed, screen, understand};
use crate::sip::transaction::{Direction, Known, User, to_tag};
use crate::sip::{Admit, Event, Flow, Policy, ServerTx, SessionId};

impl Endpoint {
    /// Takes in one datagram, or one message of a stream. Never fails: what can't be used is
    /// answered, counted or dropped.
    pub fn handle(&mut self, now: Instant, flow: Flow, bytes: &[u8], admit: &Admit) {
        // Keep-alives: CRLF pairs, and the single zero byte of some phones.
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | 0)) {
            return;
        }
        let Ok(message) = Message::parse(bytes) else {
            self.core.txs.counts.malformed += 1;
            return;
        };
        let method = message.method().cloned().or_else(|| message.cseq().ok().map(|it| it.method));
        if let Some(method) = method {
            self.core.txs.counts.message(&method, Direction::In);
        }
        if let Err(fault) = message.validate() {
            self.core.txs.counts.malformed += 1;
            let is_answered = !matches!(admit, Admit::Stranger)
                && message.method().is_some_and(|method| *method != Method::Ack);
            if is_answered {
                self.core.txs.reject(flow, &message, fault.code);
            }
            return;
        }
        if message.is_request() {
            self.on_request(now, flow, &message, admit);
        } else if let Some(outcome) = self.core.txs.receive_response(now, flow, message) {
            self.on_outcome(now, outcome);
        }
    }

    fn on_request(&mut self, now: Instant, flow: Flow, request: &Message, admit: &Admit) {
        if self.core.txs.receive_request(now, request) == Known::Absorbed {
            return;
        }
        match request.method() {
            Some(Method::Ack) => self.on_ack(now, request),
            Some(Method::Cancel) => self.on_cancel(now, flow, request, admit),
            _ if to_tag(request).is_empty() => self.on_new_request(now, flow, request, admit),
            _ => self.on_dialog_request(now, flow, request, admit),
        }
    }

    /// The session whose tag a request's To has.
    fn session_of(&self, request: &Message) -> Option<SessionId> {
        self.tags.get(to_tag(request)).copied()
    }

    fn on_ack(&mut self, now: Instant, ack: &Message) {
        let mut is_known = false;
        if let Some(id) = self.session_of(ack) {
            self.with(id, |session, core| is_known = session.on_ack(core, now, ack));
        }
        if !is_known {
            self.core.txs.counts.unmatched += 1;
        }
    }

    fn on_cancel(&mut self, now: Instant, flow: Flow, cancel: &Message, admit: &Admit) {
        let found = self.core.txs.cancelled(cancel);
        if found.is_none() && matches!(admit, Admit::Stranger) {
            self.core.txs.counts.dropped_strangers += 1;
            return;
        }
        let Some(tx) = self.open(now, flow, cancel, User::Nobody) else { return };
        let Some((invite, user)) = found else { return self.core.txs.reply(now, tx, 481) };
        // Both answers have the same tag (§9.2).
        let tag = self.core.txs.tag(invite).unwrap_or("").to_owned();
        if let Some(draft) = self.core.txs.response(tx, 200) {
            self.core.txs.respond(now, tx, draft.to_tag(&tag));
        }
        if let User::Session(id) = user {
            self.with(id, |session, core| session.on_cancel(core, now, invite));
        }
    }

    /// Starts a transaction, unless there are too many.
    fn open(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        user: User,
    ) -> Option<ServerTx> {
        if self.core.txs.is_full() {
            self.core.txs.counts.overloaded += 1;
            return None;
        }
        self.core.txs.open(now, flow, request, user)
    }

    fn on_dialog_request(&mut self, now: Instant, flow: Flow, request: &Message, admit: &Admit) {
        let Some(id) = self.session_of(request) else {
            if matches!(admit, Admit::Stranger) {
                self.core.txs.counts.dropped_strangers += 1;
            } else if let Some(tx) = self.open(now, flow, request, User::Nobody) {
                self.core.txs.reply(now, tx, 481);
            }
            return;
        };
        let Some(tx) = self.open(now, flow, request, User::Session(id)) else { return };
        if request.method() == Some(&Method::Refer) {
            self.on_refer(now, id, tx, request);
        } else {
            self.with(id, |session, core| session.on_request(core, now, tx));
        }
    }

    /// A request outside any dialog.
    fn on_new_request(&mut self, now: Instant, flow: Flow, request: &Message, admit: &Admit) {
        let is_register = request.method() == Some(&Method::Register);
        let is_invite = request.method() == Some(&Method::Invite);
        let policy = match admit {
            Admit::Peer(policy) | Admit::Busy(policy) => Some(policy),
            Admit::Stranger if is_register => None,
            Admit::Stranger => {
                self.core.txs.counts.dropped_strangers += 1;
                return;
            }
        };
        let is_behind = || matches!(admit, Admit::Busy(_)) || self.core.txs.is_nearly_full();
        if is_invite && (is_behind() || self.core.txs.is_shed(request)) {
            return self.core.txs.shed(flow, request);
        }
        // Strangers get half of the room at most, so that a flood does not shut out our peers; and
        // what comes in the name of peers, which can be forged, none that calls need to go on.
        // What is answered at once leaves nothing behind: REGISTER does, and comes again.
        let has_room = match policy {
            None => !self.core.txs.is_half_full(),
            Some(_) => !is_register || !self.core.txs.is_nearly_full(),
        };
        if !has_room {
            self.core.txs.counts.overloaded += 1;
            return;
        }
        let is_merged = self.core.txs.is_merged(request);
        let user = if policy.is_some() { User::Outside } else { User::Stranger };
        let Some(tx) = self.open(now, flow, request, user) else { return };
        if is_merged {
            return self.core.txs.reply(now, tx, 482);
        }
        // A stranger learns nothing of us before its digest was right.
        if let Some(policy) = policy
            && let Err(refusal) = understand(request, policy.rel100)
        {
            return self.turn_down(now, tx, refusal);
        }
        match (request.method(), policy) {
            (Some(Method::Invite), Some(policy)) => self.on_invite(now, tx, request, policy),
            (Some(Method::Register), _) => {
                let request = request.clone();
                self.core.events.push_back(Event::Request { tx, flow, request });
            }
            (Some(Method::Options), Some(policy)) => {
                if let Some(draft) = self.core.txs.response(tx, 200) {
                    self.core.txs.respond(now, tx, capable(draft, policy));
                }
            }
            (Some(Method::Subscribe), _) => self.core.txs.reply(now, tx, 489),
            (Some(Method::Refer), _) => self.core.txs.reply(now, tx, 603),
            (
                Some(Method::Bye | Method::Update | Method::Prack | Method::Info | Method::Notify),
                _,
            ) => self.core.txs.reply(now, tx, 481),
            _ => not_allowed(&mut self.core, now, tx),
        }
    }

    fn on_invite(&mut self, now: Instant, tx: ServerTx, request: &Message, policy: &Policy) {
        // It ends here, but the call that we would make of it goes on: a circle of those must end
        // (RFC 7332 §3).
        if request.number(&Name::MaxForwards) == Some(0) {
            return self.core.txs.reply(now, tx, 483);
        }
        if self.is_full() {
            return self.core.txs.reply(now, tx, 503);
        }
        let replaces = request.text(&Name::Replaces);
        if replaces.is_some_and(|it| self.named(it).is_none()) {
            return self.core.txs.reply(now, tx, 481);
        }
        if let Err(refusal) = screen(request, policy) {
            return self.turn_down(now, tx, refusal);
        }
        let id = SessionId(self.core.txs.id());
        self.core.txs.serve(tx, User::Session(id));
        if let Some(session) = Session::incoming(&mut self.core, now, id, tx, policy.clone()) {
            self.insert(id, session);
        }
    }

    fn turn_down(&mut self, now: Instant, tx: ServerTx, refusal: Refusal) {
        let Some(mut draft) = self.core.txs.response(tx, refusal.code) else { return };
        for (name, value) in refusal.headers {
            draft.push(name, value);
        }
        self.core.txs.respond(now, tx, draft);
    }
}
