//! Sessions that we start: from our INVITE to its final response, its CANCEL, and forks
//! (RFC 3261 §13.2, §9.1, RFC 3262 §4).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Core, SDP, Session, Stage, Timer};
use crate::sip::dialog::Dialog;
use crate::sip::header::{Contact, Name};
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::reliable::Receiver;
use crate::sip::session_timer;
use crate::sip::transaction::{Outcome, User, What, to_tag};
use crate::sip::{Cause, ClientTx, Event, Flow, Invite, SessionId};

/// How long a peer may let an INVITE ring (RFC 3261 §16.6 item 11 gives proxies over 3 minutes).
const ANSWER_LIMIT: Duration = Duration::from_secs(300);
/// Early dialogs of one INVITE that are followed.
const FORKS_MAX: usize = 16;
/// How often an interval is raised after 422.
const RAISES_MAX: u8 = 2;
/// Contacts of a 3xx that are passed on.
const CONTACTS_MAX: usize = 8;

/// An early dialog.
struct Fork {
    dialog: Dialog,
    receiver: Receiver,
}

/// An INVITE of ours that has no final response.
pub(super) struct Calling {
    pub(super) tx: ClientTx,
    invite: Invite,
    call_id: String,
    seq: u32,
    /// A provisional response has come: CANCEL may go.
    heard: bool,
    /// By the peer's tag.
    forks: BTreeMap<String, Fork>,
    raises: u8,
}

impl Session {
    /// Sends an INVITE.
    pub(crate) fn outgoing(core: &mut Core, now: Instant, id: SessionId, invite: Invite) -> Self {
        let (flow, sdp) = (invite.flow, invite.sdp.clone());
        let policy = invite.policy.clone();
        let call_id = core.txs.chance.token(24);
        let local_tag = core.txs.chance.token(12);
        let empty = Draft::request(&Method::Invite, &invite.uri)
            .with(Name::From, format_args!("{};tag={local_tag}", invite.from))
            .with(Name::CallId, &call_id);
        let dialog = Dialog::placeholder(&empty, &local_tag, flow);
        let calling = Calling {
            tx: ClientTx(0),
            invite,
            call_id,
            seq: 1,
            heard: false,
            forks: BTreeMap::new(),
            raises: 0,
        };
        let stage = Stage::Calling(Box::new(calling));
        let mut session = Self::new(id, policy, dialog, true, stage);
        session.local_sdp = Some(sdp).filter(|sdp| !sdp.is_empty());
        session.send_invite(core, now);
        session
    }

    fn send_invite(&mut self, core: &mut Core, now: Instant) {
        let Stage::Calling(calling) = &self.stage else { return };
        let invite = &calling.invite;
        let mut draft = Draft::request(&Method::Invite, &invite.uri)
            .with(Name::From, format_args!("{};tag={}", invite.from, self.dialog.local_tag))
            .with(Name::To, &invite.to)
            .with(Name::CallId, &calling.call_id)
            .with(Name::CSeq, format_args!("{} INVITE", calling.seq));
        draft = self.introduce(core, draft);
        self.ask_timer(&mut draft);
        for (name, value) in &invite.headers {
            draft.push(name.clone(), value);
        }
        if !invite.sdp.is_empty() {
            draft = draft.set_body(SDP, invite.sdp.clone());
        }
        let tx = self.send(core, now, draft);
        self.invited = Some(tx);
        if let Stage::Calling(calling) = &mut self.stage {
            calling.tx = tx;
            calling.heard = false;
        }
        self.set(core, Timer::Answer, now + ANSWER_LIMIT);
    }

    pub(super) fn on_invite_outcome(&mut self, core: &mut Core, now: Instant, outcome: &Outcome) {
        match &outcome.what {
            What::Response(response) => match response.code().unwrap_or(500) {
                code @ ..=100 => {
                    self.hear();
                    let session = self.id;
                    core.events.push_back(Event::Progress { session, code, sdp: None });
                }
                101..200 => self.on_provisional(core, now, outcome.flow, response),
                200..300 => self.on_success(core, now, outcome),
                422 if self.raise(core, now, response) => {}
                code => {
                    let contacts = contacts(response).collect();
                    self.end_calling(core, Cause::Refused { code, contacts });
                }
            },
            What::Timeout => self.end_calling(core, Cause::Unanswered),
            What::Failure => self.on_calling_failed(core, now),
        }
    }

    fn end_calling(&mut self, core: &mut Core, cause: Cause) {
        self.tell_end(core, cause);
        self.stage = Stage::Over;
    }

    /// The network says that nobody is there. A phone that was is hung up on, lest it rings on or
    /// its answer is left unacknowledged: anybody can say so in the network's name.
    fn on_calling_failed(&mut self, core: &mut Core, now: Instant) {
        let Stage::Calling(calling) = &self.stage else { return };
        if !calling.heard {
            return self.end_calling(core, Cause::Unreachable);
        }
        // Not by a connection that is lost.
        core.txs.limit(now, calling.tx);
        core.txs.redirect(User::Session(self.id), self.dialog.flow);
        self.cancel(core, now, None);
        self.tell_end(core, Cause::Unreachable);
    }

    fn hear(&mut self) {
        if let Stage::Calling(calling) = &mut self.stage {
            calling.heard = true;
        }
    }

    fn on_provisional(&mut self, core: &mut Core, now: Instant, flow: Flow, response: &Message) {
        self.hear();
        let Stage::Calling(calling) = &mut self.stage else { return };
        let tag = to_tag(response).to_owned();
        let draft = core.txs.client_draft(calling.tx);
        if let Some(draft) = draft
            && !tag.is_empty()
            && (calling.forks.contains_key(&tag) || calling.forks.len() < FORKS_MAX)
        {
            let fork = calling.forks.entry(tag).or_insert_with(|| Fork {
                dialog: Dialog::uac(draft, response, flow),
                receiver: Receiver::default(),
            });
            if let Some(rseq) = reliable_number(response) {
                if !fork.receiver.accept(rseq) {
                    return;
                }
                let rack = format!("{rseq} {} INVITE", calling.seq);
                let prack = fork.dialog.request(&Method::Prack).with(Name::RAck, rack);
                let (flow, advertised) = (fork.dialog.flow, self.policy.advertised);
                core.txs.send(now, flow, advertised, prack, User::Session(self.id));
            }
        }
        let (session, code) = (self.id, response.code().unwrap_or(180));
        core.events.push_back(Event::Progress { session, code, sdp: response.sdp() });
    }

    /// The first 2xx: the session is with whoever sent it.
    fn on_success(&mut self, core: &mut Core, now: Instant, outcome: &Outcome) {
        let What::Response(response) = &outcome.what else { return };
        let Stage::Calling(calling) = &mut self.stage else { return };
        let Some(draft) = core.txs.client_draft(outcome.tx) else { return };
        let mut dialog = Dialog::uac(draft, response, outcome.flow);
        if let Some(fork) = calling.forks.remove(&dialog.remote_tag) {
            dialog.local_seq = dialog.local_seq.max(fork.dialog.local_seq);
        }
        let seq = calling.seq;
        self.dialog = dialog;
        self.stage = Stage::Talking;
        self.unset(core, Timer::Answer);
        self.acknowledge(core, outcome.tx, seq);
        self.learn(response);
        let agreed = response.session_expires().and_then(Result::ok);
        self.start_timer(core, now, session_timer::accepted(agreed));
        let sdp = response.sdp();
        self.remote_sdp = sdp.clone();
        core.events.push_back(Event::Answered { session: self.id, sdp });
        self.send_queued(core, now);
    }

    /// ACK to the 2xx of our INVITE or re-INVITE numbered `seq`.
    pub(super) fn acknowledge(&self, core: &mut Core, tx: ClientTx, seq: u32) {
        let flow = self.dialog.flow;
        let branch = format!("z9hG4bK{}", core.txs.chance.token(16));
        let mut ack = self.dialog.ack(seq);
        ack.push_front(Name::Via, core.txs.place(flow, self.policy.advertised).via(&branch));
        core.txs.acknowledge(tx, &self.dialog.remote_tag, flow, ack.print());
    }

    /// 422: tries again with a longer interval (RFC 4028 §7.4). False: it has been tried enough.
    fn raise(&mut self, core: &mut Core, now: Instant, response: &Message) -> bool {
        let Stage::Calling(calling) = &mut self.stage else { return false };
        let Some(min) = response.number(&Name::MinSe) else { return false };
        if calling.raises >= RAISES_MAX || min <= self.min_se {
            return false;
        }
        calling.raises += 1;
        calling.seq += 1;
        calling.forks.clear();
        self.min_se = min;
        self.send_invite(core, now);
        true
    }

    /// Hung up before an answer.
    pub(super) fn cancel(&mut self, core: &mut Core, now: Instant, reason: Option<String>) {
        let Stage::Calling(calling) = &self.stage else { return };
        let (tx, heard) = (calling.tx, calling.heard);
        // If an answer crosses this, its BYE comes after our PRACKs.
        let sent = calling.forks.values().map(|fork| fork.dialog.local_seq).max();
        self.dialog.local_seq = self.dialog.local_seq.max(sent.unwrap_or(0));
        self.unset(core, Timer::Answer);
        if heard {
            self.send_cancel(core, now, tx, reason.as_deref());
        } else {
            self.stage = Stage::Unwanted { tx, reason };
        }
    }

    fn send_cancel(&mut self, core: &mut Core, now: Instant, tx: ClientTx, reason: Option<&str>) {
        core.txs.cancel(now, tx, reason);
        core.txs.limit(now, tx);
        self.stage = Stage::Cancelling { tx };
    }

    pub(super) fn on_unwanted_outcome(&mut self, core: &mut Core, now: Instant, outcome: &Outcome) {
        let code = match &outcome.what {
            What::Response(response) => response.code().unwrap_or(500),
            What::Timeout | What::Failure => 500,
        };
        match (&self.stage, code) {
            (Stage::Unwanted { tx, reason }, ..200) => {
                let (tx, reason) = (*tx, reason.clone());
                self.send_cancel(core, now, tx, reason.as_deref());
            }
            (_, ..200) => {}
            (_, 200..300) => self.end_what_crossed(core, now, outcome),
            _ => self.stage = Stage::Over,
        }
    }

    /// The answer crossed our CANCEL: the session must be taken before it can be ended. It lasts
    /// until that is known, or a crash between the two would leave a phone in a call of its own.
    fn end_what_crossed(&mut self, core: &mut Core, now: Instant, outcome: &Outcome) {
        self.stage = Stage::Over;
        let What::Response(response) = &outcome.what else { return };
        let Some(invite) = core.txs.client_draft(outcome.tx) else { return };
        let mut dialog = Dialog::uac(invite, response, outcome.flow);
        let seq = dialog.local_seq;
        dialog.local_seq = seq.max(self.dialog.local_seq);
        self.dialog = dialog;
        self.acknowledge(core, outcome.tx, seq);
        self.bye(core, now, None);
    }

    pub(super) fn on_answer_limit(&mut self, core: &mut Core, now: Instant) {
        if let Stage::Calling(_) = &self.stage {
            self.cancel(core, now, None);
            self.tell_end(core, Cause::Unanswered);
        } else {
            self.on_exchange_limit(core, now);
        }
    }

    /// A request in an early dialog of our INVITE: whether there is such a dialog, and it is not
    /// out of order.
    pub(super) fn receive_early(&mut self, request: &Message, flow: Flow) -> Result<(), u16> {
        let Stage::Calling(calling) = &mut self.stage else { return Err(481) };
        let tag = crate::sip::transaction::from_tag(request);
        let fork = calling.forks.get_mut(tag).filter(|fork| fork.dialog.has(request));
        fork.ok_or(481_u16)?.dialog.receive(request, flow).map_err(|_| 500)
    }
}

/// RSeq of a provisional response that wants PRACK.
pub(super) fn reliable_number(response: &Message) -> Option<u32> {
    let is_reliable = response.has_token(&Name::Require, "100rel");
    response.number(&Name::RSeq).filter(|_| is_reliable)
}

fn contacts(response: &Message) -> impl Iterator<Item = String> {
    let addresses = response.contacts().filter_map(|contact| match contact {
        Ok(Contact::Addr(address)) => Some(address.uri.to_owned()),
        Ok(Contact::Star) | Err(_) => None,
    });
    let is_redirect = response.code().is_some_and(|code| (300..400).contains(&code));
    addresses.take(if is_redirect { CONTACTS_MAX } else { 0 })
}
