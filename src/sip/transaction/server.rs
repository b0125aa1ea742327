//! Server transactions: matching of requests (RFC 3261 §17.2.3, §8.2.2.2) and running of the
//! `server_invite` and `server_non_invite` machines.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::via::{peer_flow, response_flow, stamp};
use super::{Deadline, Transactions, User, from_tag, to_tag};
use crate::sip::header::Name;
use crate::sip::kept;
use crate::sip::machine::{Action, Timer, step};
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::{Flow, ServerTx, server_invite, server_non_invite};

/// A refusal of a stranger is at most so many times as long as its request: nobody is flooded by us
/// in somebody else's name.
const AMPLIFICATION_MAX: usize = 3;

/// Seconds after which whoever was refused because we were behind may call again.
const BUSY_RETRY: &str = "5";

/// What starts every branch since RFC 3261.
const COOKIE: &str = "z9hG4bK";

/// What tells a request's transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    branch: String,
    sent_by: String,
    method: Method,
}

impl Key {
    /// The key of a request; that of its INVITE for an ACK, and for a CANCEL when `cancelled`.
    fn of(request: &Message, cancelled: bool) -> Option<Self> {
        let via = request.via().ok()?;
        let method = request.method()?;
        let is_invites = *method == Method::Ack || (cancelled && *method == Method::Cancel);
        let method = if is_invites { Method::Invite } else { method.clone() };
        let branch = match via.branch() {
            Some(branch) if branch.starts_with(COOKIE) => branch.to_owned(),
            // RFC 2543: by what a retransmission has in common with its original.
            branch => format!(
                "{} {} {} {}",
                request.call_id().ok()?,
                from_tag(request),
                request.cseq().ok()?.seq,
                branch.unwrap_or("")
            ),
        };
        let sent_by = format!("{}:{}", via.host.to_ascii_lowercase(), via.port.unwrap_or(0));
        Some(Self { branch, sent_by, method })
    }
}

/// What a request has in common with itself when it comes by two ways (§8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Merge {
    call_id: String,
    from_tag: String,
    seq: u32,
}

impl Merge {
    fn of(request: &Message) -> Option<Self> {
        let is_first = request.method() == Some(&Method::Invite) && to_tag(request).is_empty();
        if !is_first {
            return None;
        }
        let call_id = request.call_id().ok()?.to_owned();
        Some(Self {
            call_id,
            from_tag: from_tag(request).to_owned(),
            seq: request.cseq().ok()?.seq,
        })
    }
}

enum Machine {
    Invite(server_invite::State),
    Other(server_non_invite::State),
}

/// What happens to a server transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum On {
    /// The request came again.
    Request,
    /// ACK came.
    Ack,
    /// We answer with this code.
    Code(u16),
    /// A timer ran out.
    Timer(Timer),
}

impl On {
    fn to_invite(self) -> server_invite::Event {
        use server_invite::Event;
        match self {
            Self::Request => Event::Request,
            Self::Ack => Event::Ack,
            Self::Code(..200) => Event::Provisional,
            Self::Code(200..300) => Event::Success,
            Self::Code(300..) => Event::Failure,
            Self::Timer(timer) => Event::Timer(timer),
        }
    }

    fn to_other(self) -> Option<server_non_invite::Event> {
        use server_non_invite::Event;
        Some(match self {
            Self::Request => Event::Request,
            Self::Ack => return None,
            Self::Code(..200) => Event::Provisional,
            Self::Code(200..) => Event::Final,
            Self::Timer(timer) => Event::Timer(timer),
        })
    }
}

/// A request of a peer.
pub(super) struct Server {
    machine: Machine,
    user: User,
    /// Where responses go.
    pub(super) flow: Flow,
    /// Where the request came by.
    source: Flow,
    request: Message,
    /// The tag of our To.
    tag: String,
    last: Option<Bytes>,
    interval: Duration,
    key: Key,
    merge: Option<Merge>,
}

impl Server {
    pub(super) fn is_for(&self, user: User) -> bool {
        self.user == user
    }

    /// Whether nothing need be kept once it is answered by `code`, since the same request would be
    /// answered the same way again: all outside calls but INVITE, which waits for its ACK, and
    /// REGISTER, whose proof is good once.
    fn is_fleeting(&self, code: u16) -> bool {
        code >= 200
            && self.user == User::Outside
            && !matches!(self.key.method, Method::Invite | Method::Register)
    }
}

/// What a request is to the transactions that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It belongs to one of them and has been dealt with.
    Absorbed,
    /// It is the ACK to a 2xx, or belongs to none.
    New,
}

impl Transactions {
    /// Deals with what belongs to a transaction: retransmissions, and ACK to a refusal.
    pub(crate) fn receive_request(&mut self, now: Instant, request: &Message) -> Known {
        let found = Key::of(request, false).and_then(|key| self.server_keys.get(&key).copied());
        let Some(tx) = found else { return Known::New };
        if request.method() != Some(&Method::Ack) {
            self.step_server(now, tx, On::Request, None);
            return Known::Absorbed;
        }
        let is_for_user = self.step_server(now, tx, On::Ack, None);
        if is_for_user { Known::New } else { Known::Absorbed }
    }

    /// The INVITE that a CANCEL names, and whom it serves.
    pub(crate) fn cancelled(&self, cancel: &Message) -> Option<(ServerTx, User)> {
        let tx = *self.server_keys.get(&Key::of(cancel, true)?)?;
        Some((tx, self.servers.get(&tx)?.user))
    }

    /// Whether the request is one that is being dealt with and came by another way too.
    pub(crate) fn is_merged(&self, request: &Message) -> bool {
        Merge::of(request).is_some_and(|merge| self.merges.contains_key(&merge))
    }

    /// Starts a transaction.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        user: User,
    ) -> Option<ServerTx> {
        let key = Key::of(request, false)?;
        let tx = ServerTx(self.id());
        let merge = Merge::of(request);
        let machine = if key.method == Method::Invite {
            Machine::Invite(server_invite::State::Proceeding)
        } else {
            let wait = Timer::Unanswered.first(&self.config, flow.transport).unwrap_or_default();
            self.timers.set(Deadline::Server(tx, Timer::Unanswered), now + wait);
            Machine::Other(server_non_invite::State::Trying)
        };
        self.server_keys.insert(key.clone(), tx);
        if let Some(merge) = &merge {
            self.merges.entry(merge.clone()).or_insert(tx);
        }
        let server = Server {
            machine,
            user,
            flow: response_flow(request, flow),
            source: flow,
            request: request.clone(),
            tag: self.chance.token(12),
            last: None,
            interval: Duration::ZERO,
            key,
            merge,
        };
        self.servers.insert(tx, server);
        Some(tx)
    }

    /// What is kept of an INVITE of the peer's.
    pub(crate) fn keep_server(&self, tx: ServerTx) -> Option<kept::Server> {
        let server = self.servers.get(&tx)?;
        Some(kept::Server {
            request: kept::Text(server.request.bytes.clone()),
            source: server.source.into(),
            tag: server.tag.clone(),
            last: server.last.clone().map(kept::Text),
            accepted: matches!(server.machine, Machine::Invite(server_invite::State::Accepted)),
        })
    }

    /// Goes on with an INVITE of the peer's: the latest response to it is sent again, because it
    /// may never have left. `None`: it can't be read.
    pub(crate) fn restore_server(
        &mut self,
        now: Instant,
        kept: kept::Server,
        user: User,
    ) -> Option<ServerTx> {
        let request = Message::parse(&kept.request.0).ok()?;
        request.validate().ok()?;
        let tx = self.open(now, kept.source.into(), &request, user)?;
        let server = self.servers.get_mut(&tx)?;
        server.tag = kept.tag;
        server.last = kept.last.map(|last| last.0);
        if kept.accepted {
            server.machine = Machine::Invite(server_invite::State::Accepted);
            self.start_server(now, tx, Timer::L, None);
        }
        self.resend(tx);
        Some(tx)
    }

    /// The tag that we put into To.
    pub(crate) fn tag(&self, tx: ServerTx) -> Option<&str> {
        self.servers.get(&tx).map(|server| server.tag.as_str())
    }

    /// The request.
    pub(crate) fn server_request(&self, tx: ServerTx) -> Option<&Message> {
        self.servers.get(&tx).map(|server| &server.request)
    }

    /// Where the request came by.
    pub(crate) fn source(&self, tx: ServerTx) -> Option<Flow> {
        self.servers.get(&tx).map(|server| server.source)
    }

    /// Where requests to its sender go.
    pub(crate) fn peer(&self, tx: ServerTx) -> Option<Flow> {
        self.servers.get(&tx).map(|server| peer_flow(&server.request, server.source))
    }

    /// Whom it serves from here on.
    pub(crate) fn serve(&mut self, tx: ServerTx, user: User) {
        if let Some(server) = self.servers.get_mut(&tx) {
            server.user = user;
        }
    }

    /// A response in the making; `None` when the transaction is gone.
    pub(crate) fn response(&self, tx: ServerTx, code: u16) -> Option<Draft> {
        self.servers.get(&tx).map(|server| Draft::response(&server.request, code))
    }

    /// Answers; nothing happens when the transaction is gone or has its final response.
    pub(crate) fn respond(&mut self, now: Instant, tx: ServerTx, mut draft: Draft) {
        let Some(code) = draft.code() else { return };
        if code >= 300 {
            self.take_back_trying(tx);
        }
        let Some(server) = self.servers.get(&tx) else { return };
        stamp(&mut draft, server.source.remote);
        if code > 100 {
            draft = draft.to_tag(&server.tag);
        }
        let bytes = draft.print();
        let is_for_stranger = server.user == User::Stranger && code >= 300;
        let is_fleeting = is_for_stranger || server.is_fleeting(code);
        if is_for_stranger && bytes.len() > AMPLIFICATION_MAX * server.request.bytes.len() {
            self.counts.amplifying += 1;
            return self.close_server(tx);
        }
        self.step_server(now, tx, On::Code(code), Some(bytes));
        if is_fleeting {
            // RFC 3261 §8.2.7: the same request is judged anew.
            self.close_server(tx);
        }
    }

    /// A 100 that has not left yet says nothing beside a refusal; and if the process died between
    /// the two, whoever has it would wait for the other in vain.
    fn take_back_trying(&mut self, tx: ServerTx) {
        let waits = self.transmits.back().is_some_and(|it| it.bytes.starts_with(b"SIP/2.0 100 "));
        let Some(server) = self.servers.get(&tx).filter(|_| waits) else { return };
        let mut trying = Draft::response(&server.request, 100);
        stamp(&mut trying, server.source.remote);
        let trying = trying.print();
        self.transmits.pop_back_if(|last| last.bytes == trying);
    }

    /// Refuses a new call outside any transaction, as cheaply as can be, because we are behind.
    pub(crate) fn shed(&mut self, flow: Flow, request: &Message) {
        self.counts.shed += 1;
        Key::of(request, false).iter().for_each(|key| self.shed.add(key));
        let draft = Draft::response(request, 503).with(Name::RetryAfter, BUSY_RETRY);
        self.answer_at_once(flow, request, draft);
    }

    /// Whether the request is another copy of one that was shed.
    pub(crate) fn is_shed(&self, request: &Message) -> bool {
        !self.shed.is_empty() && Key::of(request, false).is_some_and(|key| self.shed.has(&key))
    }

    /// Answers with nothing but a code.
    pub(crate) fn reply(&mut self, now: Instant, tx: ServerTx, code: u16) {
        if let Some(draft) = self.response(tx, code) {
            self.respond(now, tx, draft);
        }
    }

    /// Answers a request outside any transaction.
    pub(crate) fn reject(&mut self, flow: Flow, request: &Message, code: u16) {
        self.answer_at_once(flow, request, Draft::response(request, code));
    }

    fn answer_at_once(&mut self, flow: Flow, request: &Message, draft: Draft) {
        let method = request.method().cloned().unwrap_or(Method::Options);
        let tag = self.chance.token(12);
        let mut draft = draft.to_tag(&tag);
        stamp(&mut draft, flow.remote);
        self.transmit(response_flow(request, flow), &method, draft.print());
    }

    /// Sends the latest response again.
    pub(crate) fn resend(&mut self, tx: ServerTx) {
        let Some(server) = self.servers.get(&tx) else { return };
        let Some(bytes) = server.last.clone() else { return };
        let (flow, method) = (server.flow, server.key.method.clone());
        self.transmit(flow, &method, bytes);
    }

    /// Takes a step. Whether the user is to act on it.
    pub(super) fn step_server(
        &mut self,
        now: Instant,
        tx: ServerTx,
        on: On,
        bytes: Option<Bytes>,
    ) -> bool {
        let Some(server) = self.servers.get_mut(&tx) else { return false };
        let (act, over) = match &mut server.machine {
            Machine::Invite(state) => {
                let Some((to, act)) = step(server_invite::TABLE, *state, on.to_invite()) else {
                    return false;
                };
                *state = to;
                (act, to == server_invite::State::Terminated)
            }
            Machine::Other(state) => {
                let next = on.to_other().and_then(|on| step(server_non_invite::TABLE, *state, on));
                let Some((to, act)) = next else { return false };
                *state = to;
                (act, to == server_non_invite::State::Terminated)
            }
        };
        if bytes.is_some() {
            server.last = bytes;
        }
        let mut is_for_user = false;
        for action in act {
            match *action {
                Action::Send | Action::Resend => self.resend(tx),
                Action::Pass => is_for_user = true,
                Action::Start(timer) => self.start_server(now, tx, timer, None),
                Action::Again(timer) => {
                    let last = self.servers.get(&tx).map(|server| server.interval);
                    self.start_server(now, tx, timer, last);
                }
                Action::Stop(timer) => self.timers.clear(&Deadline::Server(tx, timer)),
                Action::Ack | Action::TellTimeout | Action::TellFailure | Action::Slow(_) => {}
            }
        }
        if over {
            self.close_server(tx);
        }
        is_for_user
    }

    fn start_server(&mut self, now: Instant, tx: ServerTx, timer: Timer, last: Option<Duration>) {
        let Some(server) = self.servers.get_mut(&tx) else { return };
        let wait = match last {
            Some(last) => Some(timer.after(last, &self.config)),
            None => timer.first(&self.config, server.flow.transport),
        };
        let Some(wait) = wait else { return };
        if timer == Timer::G {
            server.interval = wait;
        }
        self.timers.set(Deadline::Server(tx, timer), now + wait);
    }

    fn close_server(&mut self, tx: ServerTx) {
        let Some(server) = self.servers.remove(&tx) else { return };
        self.server_keys.remove(&server.key);
        if let Some(merge) = server.merge
            && self.merges.get(&merge) == Some(&tx)
        {
            self.merges.remove(&merge);
        }
        for timer in Timer::ALL {
            self.timers.clear(&Deadline::Server(tx, timer));
        }
    }
}
