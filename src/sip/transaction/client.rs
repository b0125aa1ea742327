//! Client transactions: matching of responses (RFC 3261 §17.1.3), running of the `client_invite`
//! and `client_non_invite` machines, ACK to a refusal, CANCEL (§9.1), and the memory of the ACK
//! that each 2xx got (§13.2.2.4).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Deadline, Transactions, User, is_hit, to_tag};
use crate::sip::header::Name;
use crate::sip::kept;
use crate::sip::machine::{Action, Timer, step};
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::{ClientTx, Flow, client_invite, client_non_invite};
use crate::time::Timers;

/// Further 2xx of one INVITE that are acknowledged; more are dropped.
const FORKS_MAX: usize = 16;

/// What tells a response's transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    branch: String,
    method: Method,
}

enum Machine {
    Invite(client_invite::State),
    Other(client_non_invite::State),
}

#[derive(Clone, Copy, Debug)]
enum On {
    Code(u16),
    Timer(Timer),
    TransportError,
}

/// A request of ours.
pub(super) struct Client {
    machine: Machine,
    user: User,
    flow: Flow,
    draft: Draft,
    bytes: Bytes,
    interval: Duration,
    key: Key,
    /// The ACK that the 2xx with each tag got.
    acks: Vec<(String, Flow, Bytes)>,
}

impl Client {
    /// Whether it outlives a failure of its flow: it belongs to a dialog that there is, or takes
    /// back what would begin one.
    fn is_lasting(&self, tx: ClientTx, timers: &Timers<Deadline>) -> bool {
        let in_dialog = self.draft.header(&Name::To).is_some_and(|to| to.contains(";tag="));
        let is_taken_back = timers.at(&Deadline::Client(tx, Timer::Unanswered)).is_some();
        in_dialog || is_taken_back || self.key.method == Method::Cancel
    }

    /// The timer by which it is sent again.
    fn repeats_by(&self) -> Timer {
        match self.machine {
            Machine::Invite(_) => Timer::A,
            Machine::Other(_) => Timer::E,
        }
    }
}

/// What came of a request of ours.
pub(crate) struct Outcome {
    pub(crate) tx: ClientTx,
    pub(crate) user: User,
    pub(crate) method: Method,
    /// Where a response came by; where the request went, when there is none.
    pub(crate) flow: Flow,
    pub(crate) what: What,
}

/// What came.
pub(crate) enum What {
    /// A response.
    Response(Message),
    /// Nothing, in the time given.
    Timeout,
    /// The transport failed.
    Failure,
}

/// What a step leaves to do.
#[derive(Default)]
struct Done {
    pass: bool,
    timeout: bool,
    failure: bool,
    ack: bool,
}

impl Transactions {
    /// Sends a request: adds Via and, where it is missing, Max-Forwards.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        flow: Flow,
        advertised: Option<IpAddr>,
        mut draft: Draft,
        user: User,
    ) -> ClientTx {
        let branch = format!("z9hG4bK{}", self.chance.token(16));
        draft.push_front(Name::Via, self.place(flow, advertised).via(&branch));
        self.start(now, flow, branch, draft, user)
    }

    fn start(
        &mut self,
        now: Instant,
        flow: Flow,
        branch: String,
        mut draft: Draft,
        user: User,
    ) -> ClientTx {
        if draft.header(&Name::MaxForwards).is_none() {
            draft.push(Name::MaxForwards, 70);
        }
        let tx = ClientTx(self.id());
        let method = draft.method().cloned().unwrap_or(Method::Options);
        let (machine, timers) = if method == Method::Invite {
            (Machine::Invite(client_invite::State::Calling), [Timer::A, Timer::B])
        } else {
            (Machine::Other(client_non_invite::State::Trying), [Timer::E, Timer::F])
        };
        let bytes = draft.print();
        let key = Key { branch, method: method.clone() };
        self.client_keys.insert(key.clone(), tx);
        let interval = self.config.t1;
        let acks = Vec::new();
        let client =
            Client { machine, user, flow, draft, bytes: bytes.clone(), interval, key, acks };
        self.clients.insert(tx, client);
        for timer in timers {
            if let Some(wait) = timer.first(&self.config, flow.transport) {
                self.timers.set(Deadline::Client(tx, timer), now + wait);
            }
        }
        self.transmit(flow, &method, bytes);
        tx
    }

    /// Cancels an INVITE of ours (§9.1). The INVITE goes on until its final response.
    pub(crate) fn cancel(&mut self, now: Instant, tx: ClientTx, reason: Option<&str>) {
        let Some(client) = self.clients.get(&tx) else { return };
        let invite = &client.draft;
        let mut draft = Draft::request(&Method::Cancel, invite.uri().unwrap_or(""));
        for name in [Name::Via, Name::Route, Name::From, Name::To, Name::CallId] {
            if let Some(value) = invite.header(&name) {
                draft.push(name, value);
            }
        }
        draft.push(Name::CSeq, format_args!("{} CANCEL", sequence(invite)));
        if let Some(reason) = reason {
            draft.push(Name::Reason, reason);
        }
        let (flow, branch, user) = (client.flow, client.key.branch.clone(), client.user);
        self.start(now, flow, branch, draft, user);
    }

    /// What is kept of a request of ours; `None`: it is answered, and nothing more is due.
    pub(crate) fn keep_client(&self, tx: ClientTx) -> Option<kept::Client> {
        let client = self.clients.get(&tx)?;
        let heard = match client.machine {
            Machine::Invite(client_invite::State::Calling)
            | Machine::Other(client_non_invite::State::Trying) => false,
            Machine::Invite(client_invite::State::Proceeding | client_invite::State::Accepted)
            | Machine::Other(client_non_invite::State::Proceeding) => true,
            Machine::Invite(client_invite::State::Completed | client_invite::State::Terminated)
            | Machine::Other(
                client_non_invite::State::Completed | client_non_invite::State::Terminated,
            ) => return None,
        };
        let acks = client.acks.iter().map(|(tag, flow, ack)| kept::Ack {
            tag: tag.clone(),
            flow: (*flow).into(),
            ack: kept::Text(ack.clone()),
        });
        Some(kept::Client {
            request: kept::Text(client.bytes.clone()),
            flow: client.flow.into(),
            heard,
            acks: acks.collect(),
        })
    }

    /// Goes on with a request of ours: it is sent again, or the ACKs to its answers are. `None`: it
    /// can't be read.
    pub(crate) fn restore_client(
        &mut self,
        now: Instant,
        kept: kept::Client,
        user: User,
    ) -> Option<ClientTx> {
        let kept::Client { request, flow, heard, acks } = kept;
        let message = Message::parse(&request.0).ok()?;
        let draft = Draft::printed(&message)?;
        let (branch, method) = (message.via().ok()?.branch()?.to_owned(), draft.method()?.clone());
        let acks: Vec<(String, Flow, Bytes)> =
            acks.into_iter().take(FORKS_MAX).map(|it| (it.tag, it.flow.into(), it.ack.0)).collect();
        let (machine, timers): (_, &[Timer]) = match (method == Method::Invite, heard) {
            (true, _) if !acks.is_empty() => {
                (Machine::Invite(client_invite::State::Accepted), &[Timer::M])
            }
            (true, true) => (Machine::Invite(client_invite::State::Proceeding), &[]),
            (true, false) => {
                (Machine::Invite(client_invite::State::Calling), &[Timer::A, Timer::B])
            }
            (false, true) => {
                (Machine::Other(client_non_invite::State::Proceeding), &[Timer::E, Timer::F])
            }
            (false, false) => {
                (Machine::Other(client_non_invite::State::Trying), &[Timer::E, Timer::F])
            }
        };
        let (tx, flow, bytes) = (ClientTx(self.id()), Flow::from(flow), request.0);
        let key = Key { branch, method: method.clone() };
        let is_due = !heard || method != Method::Invite;
        let again = acks.clone();
        let interval = self.config.t1;
        let client =
            Client { machine, user, flow, draft, bytes: bytes.clone(), interval, key, acks };
        self.client_keys.insert(client.key.clone(), tx);
        self.clients.insert(tx, client);
        for timer in timers {
            if let Some(wait) = timer.first(&self.config, flow.transport) {
                self.timers.set(Deadline::Client(tx, *timer), now + wait);
            }
        }
        if is_due {
            self.transmit(flow, &method, bytes);
        }
        for (_, flow, ack) in again {
            self.transmit(flow, &Method::Ack, ack);
        }
        Some(tx)
    }

    /// What we sent.
    pub(crate) fn client_draft(&self, tx: ClientTx) -> Option<&Draft> {
        self.clients.get(&tx).map(|client| &client.draft)
    }

    /// Sends the ACK to a 2xx and keeps it: each further copy of that 2xx gets it again.
    pub(crate) fn acknowledge(&mut self, tx: ClientTx, tag: &str, flow: Flow, ack: Bytes) {
        if let Some(client) = self.clients.get_mut(&tx)
            && client.acks.len() < FORKS_MAX
        {
            client.acks.push((tag.to_owned(), flow, ack.clone()));
        }
        self.transmit(flow, &Method::Ack, ack);
    }

    /// Takes a response in. `None`: nobody needs to know.
    pub(crate) fn receive_response(
        &mut self,
        now: Instant,
        flow: Flow,
        response: Message,
    ) -> Option<Outcome> {
        let code = response.code()?;
        let branch = response.via().ok().and_then(|via| via.branch()).unwrap_or("").to_owned();
        let key = Key { branch, method: response.cseq().ok()?.method };
        let Some(&tx) = self.client_keys.get(&key) else {
            self.counts.unmatched += 1;
            return None;
        };
        let done = self.step_client(now, tx, On::Code(code))?;
        if done.ack {
            self.acknowledge_refusal(tx, &response);
        }
        if !done.pass {
            return None;
        }
        let client = self.clients.get(&tx)?;
        if key.method == Method::Invite && (200..300).contains(&code) {
            let tag = to_tag(&response);
            let known = client.acks.iter().find(|(known, ..)| known == tag);
            if let Some((_, flow, ack)) = known.cloned() {
                self.transmit(flow, &Method::Ack, ack);
                return None;
            }
            if client.acks.len() >= FORKS_MAX {
                return None;
            }
        }
        let user = client.user;
        Some(Outcome { tx, user, method: key.method, flow, what: What::Response(response) })
    }

    /// The transport of `flow` failed: what begins something by it waits in vain. What belongs to a
    /// dialog, or takes back what would begin one, is sent again until its time is over, by a
    /// stream too: the peer may be back in a second, and anybody can send an ICMP message in the
    /// network's name.
    pub(crate) fn fail(&mut self, now: Instant, flow: Flow) -> Vec<Outcome> {
        let hit = self.clients.iter().filter(|(_, client)| is_hit(client.flow, flow));
        let hit: Vec<_> =
            hit.map(|(tx, client)| (*tx, client.is_lasting(*tx, &self.timers))).collect();
        let mut outcomes = Vec::new();
        for (tx, is_lasting) in hit {
            if is_lasting {
                self.repeat_later(now, tx);
            } else {
                outcomes.extend(self.tell(now, tx, On::TransportError));
            }
        }
        outcomes
    }

    /// What waits for an answer of the peer of `user` goes by another flow from here on; what
    /// answers the peer too, where there is a connection to it. Gives back what waits.
    pub(crate) fn redirect(&mut self, user: User, flow: Flow) -> Vec<ClientTx> {
        for server in self.servers.values_mut().filter(|it| it.is_for(user)) {
            if flow.connection.is_some() && server.flow.transport == flow.transport {
                server.flow = flow;
            }
        }
        let mut waiting = Vec::new();
        for (tx, client) in self.clients.iter_mut().filter(|(_, it)| it.user == user) {
            client.acks.iter_mut().for_each(|(_, by, _)| *by = flow);
            if client.is_lasting(*tx, &self.timers) {
                client.flow = flow;
                waiting.push(*tx);
            }
        }
        waiting
    }

    /// A request may not have arrived: it is sent again at `now`, and then as a datagram is.
    pub(crate) fn repeat(&mut self, now: Instant, tx: ClientTx) {
        let Some(client) = self.clients.get_mut(&tx) else { return };
        client.interval = self.config.t1;
        let timer = client.repeats_by();
        self.timers.set(Deadline::Client(tx, timer), now);
    }

    fn repeat_later(&mut self, now: Instant, tx: ClientTx) {
        let Some(client) = self.clients.get_mut(&tx) else { return };
        let deadline = Deadline::Client(tx, client.repeats_by());
        if self.timers.at(&deadline).is_none() {
            client.interval = self.config.t1;
            self.timers.set(deadline, now + client.interval);
        }
    }

    /// Nobody wants the answer to an INVITE any longer: it waits for its final response, because
    /// that must be acknowledged, but only as long as a CANCEL may take (§9.1).
    pub(crate) fn limit(&mut self, now: Instant, tx: ClientTx) {
        if self.clients.contains_key(&tx) {
            let at = now + self.config.t1 * 64;
            self.timers.set(Deadline::Client(tx, Timer::Unanswered), at);
        }
    }

    pub(super) fn expire_client(
        &mut self,
        now: Instant,
        tx: ClientTx,
        timer: Timer,
    ) -> Option<Outcome> {
        self.tell(now, tx, On::Timer(timer))
    }

    fn tell(&mut self, now: Instant, tx: ClientTx, on: On) -> Option<Outcome> {
        let client = self.clients.get(&tx)?;
        let (user, method, flow) = (client.user, client.key.method.clone(), client.flow);
        let done = self.step_client(now, tx, on)?;
        let what = match done {
            Done { timeout: true, .. } => What::Timeout,
            Done { failure: true, .. } => What::Failure,
            Done { .. } => return None,
        };
        Some(Outcome { tx, user, method, flow, what })
    }

    /// ACK to a refusal: the INVITE's own, with the To of the response (§17.1.1.3).
    fn acknowledge_refusal(&mut self, tx: ClientTx, response: &Message) {
        let Some(client) = self.clients.get(&tx) else { return };
        let invite = &client.draft;
        let mut draft = Draft::request(&Method::Ack, invite.uri().unwrap_or(""));
        for name in [Name::Via, Name::Route, Name::MaxForwards, Name::From, Name::CallId] {
            if let Some(value) = invite.header(&name) {
                draft.push(name, value);
            }
        }
        let to = response.header(&Name::To).unwrap_or_default();
        draft.push(Name::To, String::from_utf8_lossy(to));
        draft.push(Name::CSeq, format_args!("{} ACK", sequence(invite)));
        let flow = client.flow;
        self.transmit(flow, &Method::Ack, draft.print());
    }

    /// Takes a step; `None` when the event means nothing in this state.
    fn step_client(&mut self, now: Instant, tx: ClientTx, on: On) -> Option<Done> {
        let client = self.clients.get_mut(&tx)?;
        let (act, over) = match &mut client.machine {
            Machine::Invite(state) => {
                let (to, act) = step(client_invite::TABLE, *state, to_invite(on))?;
                *state = to;
                (act, to == client_invite::State::Terminated)
            }
            Machine::Other(state) => {
                let (to, act) = step(client_non_invite::TABLE, *state, to_other(on))?;
                *state = to;
                (act, to == client_non_invite::State::Terminated)
            }
        };
        let (flow, interval) = (client.flow, client.interval);
        let mut done = Done::default();
        for action in act {
            match *action {
                Action::Send | Action::Resend => self.resend_client(tx),
                Action::Ack => done.ack = true,
                Action::Pass => done.pass = true,
                Action::TellTimeout => done.timeout = true,
                Action::TellFailure => done.failure = true,
                Action::Start(timer) => {
                    if let Some(wait) = timer.first(&self.config, flow.transport) {
                        self.timers.set(Deadline::Client(tx, timer), now + wait);
                    }
                }
                Action::Again(timer) => {
                    let wait = timer.after(interval, &self.config);
                    self.repeat_client(now, tx, timer, wait);
                }
                Action::Slow(timer) => self.repeat_client(now, tx, timer, self.config.t2),
                Action::Stop(timer) => self.timers.clear(&Deadline::Client(tx, timer)),
            }
        }
        if over {
            self.close_client(tx);
        }
        Some(done)
    }

    fn repeat_client(&mut self, now: Instant, tx: ClientTx, timer: Timer, wait: Duration) {
        if let Some(client) = self.clients.get_mut(&tx) {
            client.interval = wait;
            self.timers.set(Deadline::Client(tx, timer), now + wait);
        }
    }

    fn resend_client(&mut self, tx: ClientTx) {
        let Some(client) = self.clients.get(&tx) else { return };
        let (flow, method, bytes) = (client.flow, client.key.method.clone(), client.bytes.clone());
        self.transmit(flow, &method, bytes);
    }

    fn close_client(&mut self, tx: ClientTx) {
        let Some(client) = self.clients.remove(&tx) else { return };
        self.client_keys.remove(&client.key);
        for timer in Timer::ALL {
            self.timers.clear(&Deadline::Client(tx, timer));
        }
    }
}

/// The number in `CSeq` of a request of ours.
pub(crate) fn sequence(draft: &Draft) -> u32 {
    let value = draft.header(&Name::CSeq).unwrap_or("");
    value.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn to_invite(on: On) -> client_invite::Event {
    use client_invite::Event;
    match on {
        On::Code(..200) => Event::Provisional,
        On::Code(200..300) => Event::Success,
        On::Code(300..) => Event::Failure,
        On::Timer(timer) => Event::Timer(timer),
        On::TransportError => Event::TransportError,
    }
}

fn to_other(on: On) -> client_non_invite::Event {
    use client_non_invite::Event;
    match on {
        On::Code(..200) => Event::Provisional,
        On::Code(200..) => Event::Final,
        On::Timer(timer) => Event::Timer(timer),
        On::TransportError => Event::TransportError,
    }
}
