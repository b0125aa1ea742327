//! The SIP machine (RFC 3261 and 6026, 3262, 3311, 3581, 4028, 3515, 3891): datagrams and frames
//! in, datagrams and [`Event`]s out.
//!
//! Owns the sessions, finds the one that a message belongs to (`receive`), and is what the call
//! path holds. Everything else is below it: transactions, dialogs, sessions. It knows no
//! credentials, so a challenge to a request of a session ends that request and is never answered.
//!
//! Four kinds of methods: `handle*`, `flow_failed`, `phone_moved` take input in; `poll_*` give
//! output, until `None`, after every input or call; the verbs are the call path's wishes, and one
//! that no longer fits the session changes nothing; `counts`, `replaced` look. How sessions outlive
//! the process is in `keeping`.

mod keeping;
mod receive;
mod refer;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::chance::Chance;
use crate::sip::header::Name;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::session::{Core, Session, reap, understand};
use crate::sip::transaction::{Outcome, Transactions, User, What};
use crate::sip::{Cause, ClientTx, Config, Event, Flow, Invite, ServerTx, SessionId, Transmit};
use crate::time::Timers;

pub use crate::sip::transaction::{Counts, Direction};

/// All transactions and sessions of this process.
pub struct Endpoint {
    core: Core,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions by our tag.
    tags: BTreeMap<String, SessionId>,
    keeping: Option<keeping::Keeping>,
}

impl Endpoint {
    /// An endpoint without sessions.
    pub fn new(config: Config, chance: Chance) -> Self {
        let txs = Transactions::new(config, chance);
        let core = Core { txs, timers: Timers::default(), events: VecDeque::new() };
        Self { core, sessions: BTreeMap::new(), tags: BTreeMap::new(), keeping: None }
    }

    /// Takes other times and limits; what runs keeps the deadlines that it has.
    pub fn set_config(&mut self, config: Config) {
        self.core.txs.config = config;
    }

    /// The transport of `flow` failed: ICMP, reset, or no connection. Requests outside a dialog
    /// that wait for an answer by it fail at once, and with them the sessions that are not answered
    /// yet; a phone that rings already is hung up on. Within a dialog nothing ends by it: requests
    /// are sent again until their time is over.
    pub fn flow_failed(&mut self, now: Instant, flow: Flow) {
        if flow.transport.is_stream() {
            self.core.txs.forget_connection(flow);
            let Self { core, sessions, keeping, .. } = self;
            for (id, session) in sessions {
                if session.forget_connection(core, now, flow)
                    && let Some(keeping) = keeping
                {
                    keeping.touch(*id);
                }
            }
        }
        for outcome in self.core.txs.fail(now, flow) {
            self.on_outcome(now, outcome);
        }
    }

    /// A phone that registered by `from` is behind `to` now: so are its sessions, wherever that
    /// connection is (RFC 5626 §7). What waited for it is sent.
    pub fn phone_moved(&mut self, now: Instant, from: Flow, to: Flow) {
        let Self { core, sessions, keeping, .. } = self;
        for (id, session) in sessions {
            if session.follow(core, now, from, to)
                && let Some(keeping) = keeping
            {
                keeping.touch(*id);
            }
        }
    }

    /// Lets everything happen that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(outcome) = self.core.txs.handle_timeout(now) {
            if let Some(outcome) = outcome {
                self.on_outcome(now, outcome);
            }
        }
        while let Some((id, timer)) = self.core.timers.pop_due(now) {
            self.with(id, |session, core| session.on_timer(core, now, timer));
        }
    }

    /// When `handle_timeout` is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = self.core.timers.next().map(|(at, _)| at);
        [self.core.txs.poll_timeout(), session].into_iter().flatten().min()
    }

    /// What to send next.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.core.txs.poll_transmit()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.events.pop_front()
    }

    /// Calls someone. Past the limits of the configuration the session ends at once, as if refused
    /// by 503.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> SessionId {
        let id = SessionId(self.core.txs.id());
        if self.is_full() || self.core.txs.is_full() {
            let cause = Cause::Refused { code: 503, contacts: Vec::new() };
            self.core.events.push_back(Event::Ended { session: id, cause });
            return id;
        }
        let session = Session::outgoing(&mut self.core, now, id, invite);
        self.insert(id, session);
        id
    }

    /// Sends a provisional response (101–199), repeated every minute until the final one; reliably
    /// when the policy and the peer want that. A second one waits for the PRACK of the first.
    pub fn ring(&mut self, now: Instant, session: SessionId, code: u16, sdp: Option<Bytes>) {
        self.with(session, |session, core| session.ring(core, now, code, sdp));
    }

    /// Whether a provisional response still waits for the PRACK of the one before.
    pub fn is_held_back(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(Session::is_held_back)
    }

    /// Answers by 200, which is repeated until its ACK and waits for a PRACK that is out.
    pub fn answer(&mut self, now: Instant, session: SessionId, sdp: Bytes) {
        self.with(session, |session, core| session.answer(core, now, sdp));
    }

    /// Refuses by a final code from 300 on, with more headers.
    pub fn refuse(
        &mut self,
        now: Instant,
        session: SessionId,
        code: u16,
        headers: &[(Name, String)],
    ) {
        self.with(session, |session, core| session.refuse(core, now, code, headers));
    }

    /// Ends the session as its stage asks for: CANCEL (an answer that crosses it is acknowledged
    /// and ended), BYE (after the ACK to our 200), or 480. `reason`: the text of a Reason header.
    /// No event follows.
    pub fn hangup(&mut self, now: Instant, session: SessionId, reason: Option<&str>) {
        self.with(session, |session, core| session.hangup(core, now, reason));
    }

    /// Offers anew by re-INVITE, after whatever exchange is open. An offer that still waits gives
    /// way to this one, and one `Event::Reoffered` comes for both. Nothing happens before the
    /// answer.
    pub fn reoffer(&mut self, now: Instant, session: SessionId, sdp: Bytes) {
        self.with(session, |session, core| session.reoffer(core, now, sdp));
    }

    /// Answers `Event::Offer`; to an offer-less re-INVITE this is our offer, and the answer comes
    /// with `Event::Confirmed`.
    pub fn accept_offer(&mut self, now: Instant, session: SessionId, sdp: Bytes) {
        self.with(session, |session, core| session.accept_offer(core, now, sdp));
    }

    /// Refuses `Event::Offer` by a final code from 300 on; the session goes on as it was.
    pub fn refuse_offer(&mut self, now: Instant, session: SessionId, code: u16) {
        self.with(session, |session, core| session.refuse_offer(core, now, code));
    }

    /// Tells the peer a key (`0`–`9`, `*`, `#`, `A`–`D`) by INFO.
    pub fn info_digit(&mut self, now: Instant, session: SessionId, digit: char) {
        self.with(session, |session, core| session.info_digit(core, now, digit));
    }

    /// Asks by OPTIONS whether the peer is there; `Event::Probed` comes within `limit`. One at a
    /// time.
    pub fn probe(&mut self, now: Instant, session: SessionId, limit: Duration) {
        self.with(session, |session, core| session.probe(core, now, limit));
    }

    /// Tells the peer what became of its REFER: `SIP/2.0 200 OK`; `last` ends the subscription.
    pub fn notify(&mut self, now: Instant, session: SessionId, sipfrag: &str, last: bool) {
        self.with(session, |session, core| session.notify(core, now, sipfrag, last));
    }

    /// Answers a request. To gets a tag when it has none. A second final answer is dropped.
    pub fn respond(&mut self, now: Instant, tx: ServerTx, draft: Draft) {
        self.core.txs.respond(now, tx, draft);
    }

    /// The answer to a request that requires what we don't know; `None`: there is no such thing in
    /// it.
    pub fn misfit(&self, request: &Message) -> Option<Draft> {
        let refusal = understand(request, false).err()?;
        let draft = Draft::response(request, refusal.code);
        let headers = refusal.headers.into_iter();
        Some(headers.fold(draft, |draft, (name, value)| draft.with(name, value)))
    }

    /// Answers a request with nothing but a code: what `Event::Refer` needs.
    pub fn respond_code(&mut self, now: Instant, tx: ServerTx, code: u16) {
        self.core.txs.reply(now, tx, code);
    }

    /// Sends a request outside any dialog. Via, Max-Forwards, From tag, Call-ID and `CSeq` are
    /// added where they are missing. `Event::Response` tells the outcome, past the limit of
    /// transactions at once.
    pub fn request(&mut self, now: Instant, flow: Flow, mut draft: Draft) -> ClientTx {
        let txs = &mut self.core.txs;
        if txs.is_full() {
            let tx = ClientTx(txs.id());
            self.core.events.push_back(Event::Response { tx, response: None });
            return tx;
        }
        draft = draft.from_tag(&txs.chance.token(12));
        if draft.header(&Name::CallId).is_none() {
            draft.push(Name::CallId, txs.chance.token(24));
        }
        if draft.header(&Name::CSeq).is_none() {
            let method = draft.method().cloned().unwrap_or(Method::Options);
            draft.push(Name::CSeq, format_args!("1 {method}"));
        }
        txs.send(now, flow, None, draft, User::Outside)
    }

    /// The session that the Replaces header of an INVITE names (RFC 3891). An INVITE whose
    /// Replaces names none was refused by 481 and is never seen.
    pub fn replaced(&self, invite: &Message) -> Option<SessionId> {
        self.named(invite.text(&Name::Replaces)?)
    }

    /// From where the session's peer signals: its latest request within the dialog, or its answer.
    pub fn remote(&self, session: SessionId) -> Option<IpAddr> {
        self.sessions.get(&session).map(|session| session.flow().remote.ip())
    }

    /// What was counted, and how much there is.
    pub fn counts(&self) -> Counts {
        let mut counts = self.core.txs.counts.clone();
        counts.transactions = self.core.txs.len();
        counts.sessions = self.sessions.len();
        counts
    }

    fn is_full(&self) -> bool {
        self.sessions.len() >= self.core.txs.config.max_sessions
    }

    fn insert(&mut self, id: SessionId, session: Session) {
        self.tags.insert(session.tag().to_owned(), id);
        self.sessions.insert(id, session);
        self.touch(id);
    }

    /// Lets a session act, and drops it when it is over.
    fn with(&mut self, id: SessionId, act: impl FnOnce(&mut Session, &mut Core)) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        act(session, &mut self.core);
        if let Some(keeping) = &mut self.keeping {
            keeping.touch(id);
        }
        if session.is_over() {
            session.clear(&mut self.core);
            self.tags.remove(session.tag());
            self.sessions.remove(&id);
        }
    }

    /// Hands over what came of a request of ours.
    fn on_outcome(&mut self, now: Instant, outcome: Outcome) {
        match outcome.user {
            User::Session(id) if self.sessions.contains_key(&id) => {
                self.with(id, |session, core| session.on_outcome(core, now, outcome));
            }
            // The session is gone, but a 2xx to its INVITE must still be dealt with.
            User::Session(_) | User::Nobody | User::Stranger => {
                reap(&mut self.core, now, &outcome, 0);
            }
            User::Outside => {
                let response = match outcome.what {
                    What::Response(response) => Some(response),
                    What::Timeout | What::Failure => None,
                };
                let is_final =
                    response.as_ref().is_none_or(|it| it.code().is_some_and(|code| code >= 200));
                if is_final {
                    let event = Event::Response { tx: outcome.tx, response };
                    self.core.events.push_back(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
