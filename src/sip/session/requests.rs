//! The other requests of a session: their dispatch, BYE, INFO, OPTIONS, NOTIFY, and what every
//! dialog must be able to answer (RFC 3261 §12.2.2, RFC 6086, RFC 3515 §2.4).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Core, SDP, Session, Stage, Timer};
use crate::sip::dialog::Dialog;
use crate::sip::header::Name;
use crate::sip::info;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::session_timer::Asked;
use crate::sip::transaction::{Outcome, User, What};
use crate::sip::{Cause, Event, Flow, Policy, ServerTx};

/// What we understand.
pub(crate) const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY";
/// Longest random wait that a 500 names, in seconds (RFC 3261 §14.2).
const RETRY_AFTER_MAX: u64 = 10;
/// How long the subscription of a REFER lives, in seconds.
const REFER_EXPIRES: u32 = 60;

/// The extensions that we offer to a peer.
pub(crate) fn supported(policy: &Policy) -> &'static str {
    if policy.rel100 { "timer, 100rel" } else { "timer" }
}

/// What a request says of the session timer.
pub(super) fn asked(request: &Message) -> Asked {
    let has_timer = |name| request.has_token(name, "timer");
    Asked {
        expires: request.session_expires().and_then(Result::ok),
        min: request.number(&Name::MinSe),
        supported: has_timer(&Name::Supported) || has_timer(&Name::Require),
    }
}

/// 500 to a request that came while another is open: the peer is to try again later (§14.2).
pub(crate) fn retry_after(core: &mut Core, now: Instant, tx: ServerTx) {
    let Some(draft) = core.txs.response(tx, 500) else { return };
    let seconds = core.txs.chance.below(RETRY_AFTER_MAX + 1);
    core.txs.respond(now, tx, draft.with(Name::RetryAfter, seconds));
}

/// Takes and at once ends a session that a 2xx started and nobody wants: a further fork. A 2xx to a
/// re-INVITE is only acknowledged; other outcomes mean nothing. `sent`: the CSeq of our last
/// request to that peer, if there was one beside the INVITE: a PRACK may have gone before.
pub(crate) fn reap(core: &mut Core, now: Instant, outcome: &Outcome, sent: u32) {
    let What::Response(response) = &outcome.what else { return };
    let is_success = response.code().is_some_and(|code| (200..300).contains(&code));
    if outcome.method != Method::Invite || !is_success {
        return;
    }
    let Some(invite) = core.txs.client_draft(outcome.tx) else { return };
    let is_first = !invite.header(&Name::To).unwrap_or("").contains(";tag=");
    let mut dialog = Dialog::uac(invite, response, outcome.flow);
    let branch = format!("z9hG4bK{}", core.txs.chance.token(16));
    let mut ack = dialog.ack(dialog.local_seq);
    ack.push_front(Name::Via, core.txs.place(outcome.flow, None).via(&branch));
    core.txs.acknowledge(outcome.tx, &dialog.remote_tag, outcome.flow, ack.print());
    if is_first {
        dialog.local_seq = dialog.local_seq.max(sent);
        let bye = dialog.request(&Method::Bye);
        core.txs.send(now, outcome.flow, None, bye, User::Nobody);
    }
}

impl Session {
    /// A request in the dialog (not ACK, CANCEL or REFER) that has got its transaction.
    pub(crate) fn on_request(&mut self, core: &mut Core, now: Instant, tx: ServerTx) {
        let Some(request) = core.txs.server_request(tx).cloned() else { return };
        let Some(flow) = core.txs.peer(tx) else { return };
        if let Err(code) = self.receive(&request, flow) {
            return core.txs.reply(now, tx, code);
        }
        let Some(method) = request.method() else { return };
        if let Method::Invite | Method::Update = method
            && let Err(refusal) = super::screen(&request, &self.policy)
        {
            let Some(mut draft) = core.txs.response(tx, refusal.code) else { return };
            for (name, value) in refusal.headers {
                draft.push(name, value);
            }
            return core.txs.respond(now, tx, draft);
        }
        match method {
            Method::Bye => self.on_bye(core, now, tx),
            Method::Invite => self.on_reinvite(core, now, tx, &request),
            Method::Update => self.on_update(core, now, tx, &request),
            Method::Prack => self.on_prack(core, now, tx, &request),
            Method::Info => self.on_info(core, now, tx, &request),
            Method::Options => {
                let draft = core.txs.response(tx, 200).map(|it| capable(it, &self.policy));
                if let Some(draft) = draft {
                    core.txs.respond(now, tx, draft);
                }
            }
            Method::Subscribe => core.txs.reply(now, tx, 489),
            Method::Notify => core.txs.reply(now, tx, 481),
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Refer
            | Method::Message
            | Method::Publish
            | Method::Other(_) => not_allowed(core, now, tx),
        }
    }

    /// Whether the request is of this dialog and in order; the code that answers it otherwise.
    pub(crate) fn receive(&mut self, request: &Message, flow: Flow) -> Result<(), u16> {
        match &self.stage {
            Stage::Calling(_) => self.receive_early(request, flow),
            Stage::Over => Err(481),
            Stage::Incoming(_)
            | Stage::Unwanted { .. }
            | Stage::Cancelling { .. }
            | Stage::Talking
            | Stage::Leaving { .. }
            | Stage::Ending { .. } => {
                if !self.dialog.has(request) {
                    return Err(481);
                }
                self.dialog.receive(request, flow).map_err(|_| 500)
            }
        }
    }

    fn on_bye(&mut self, core: &mut Core, now: Instant, tx: ServerTx) {
        core.txs.reply(now, tx, 200);
        let was = std::mem::replace(&mut self.stage, Stage::Over);
        match was {
            Stage::Incoming(incoming) => {
                self.stage = Stage::Incoming(incoming);
                self.terminate_invite(core, now);
                self.stage = Stage::Over;
                self.tell_end(core, Cause::Bye);
            }
            Stage::Talking => {
                self.drop_exchange(core, now);
                self.tell_end(core, Cause::Bye);
            }
            Stage::Leaving { .. } => self.drop_exchange(core, now),
            // Both hung up; ours is answered as well.
            Stage::Ending { tx } => self.stage = Stage::Ending { tx },
            // An early dialog is ended by the final response to our INVITE, which goes on.
            before @ (Stage::Calling(_) | Stage::Unwanted { .. } | Stage::Cancelling { .. }) => {
                self.stage = before;
            }
            Stage::Over => {}
        }
    }

    fn on_info(&mut self, core: &mut Core, now: Instant, tx: ServerTx, request: &Message) {
        let code = match info::read(request.content_type(), request.body()) {
            info::Content::Digit(digit) => {
                if self.is_talking() || matches!(self.stage, Stage::Incoming(_)) {
                    core.events.push_back(Event::Info { session: self.id, digit });
                }
                200
            }
            info::Content::Nothing => 200,
            info::Content::Unsupported => 415,
        };
        let Some(mut draft) = core.txs.response(tx, code) else { return };
        if code == 415 {
            draft.push(Name::Accept, "application/dtmf-relay, application/dtmf");
        }
        core.txs.respond(now, tx, draft);
    }

    /// Tells the peer a key.
    pub(crate) fn info_digit(&mut self, core: &mut Core, now: Instant, digit: char) {
        if !self.is_talking() || !(digit.is_ascii_digit() || "*#ABCD".contains(digit)) {
            return;
        }
        let body = Bytes::from(info::relay(digit));
        let draft = self.dialog.request(&Method::Info).set_body(info::DTMF_RELAY, body);
        self.send(core, now, draft);
    }

    /// Asks whether the peer is there.
    pub(crate) fn probe(&mut self, core: &mut Core, now: Instant, limit: Duration) {
        if !self.is_talking() || self.probe.is_some() {
            return;
        }
        let draft = self.dialog.request(&Method::Options).with(Name::Accept, SDP);
        self.probe = Some(self.send(core, now, draft));
        self.set(core, Timer::Probe, now + limit);
    }

    /// Any answer says that somebody is there, but those that end a dialog (§12.2.1.2).
    pub(super) fn on_probe_outcome(&mut self, core: &mut Core, outcome: &Outcome) {
        let alive = match &outcome.what {
            What::Response(response) => !matches!(response.code(), Some(408 | 481)),
            What::Timeout | What::Failure => false,
        };
        self.end_probe(core, alive);
    }

    pub(super) fn on_probe_limit(&mut self, core: &mut Core) {
        self.end_probe(core, false);
    }

    fn end_probe(&mut self, core: &mut Core, alive: bool) {
        if self.probe.take().is_some() && self.is_talking() {
            core.events.push_back(Event::Probed { session: self.id, alive });
        }
        self.unset(core, Timer::Probe);
    }

    /// Tells the peer what became of its REFER (RFC 3515 §2.4.4).
    pub(crate) fn notify(&mut self, core: &mut Core, now: Instant, sipfrag: &str, last: bool) {
        if !self.is_talking() {
            return;
        }
        let state = if last {
            "terminated;reason=noresource".to_owned()
        } else {
            format!("active;expires={REFER_EXPIRES}")
        };
        let body = Bytes::from(format!("{}\r\n", sipfrag.trim_end()));
        let draft = self
            .dialog
            .request(&Method::Notify)
            .with(Name::Contact, self.contact(core))
            .with(Name::Event, "refer")
            .with(Name::SubscriptionState, state)
            .set_body("message/sipfrag;version=2.0", body);
        self.send(core, now, draft);
    }
}

/// With what we are capable of: the answer to OPTIONS (§11.2).
pub(crate) fn capable(draft: Draft, policy: &Policy) -> Draft {
    draft.with(Name::Allow, ALLOW).with(Name::Accept, SDP).with(Name::Supported, supported(policy))
}

/// 405.
pub(crate) fn not_allowed(core: &mut Core, now: Instant, tx: ServerTx) {
    if let Some(draft) = core.txs.response(tx, 405) {
        core.txs.respond(now, tx, draft.with(Name::Allow, ALLOW));
    }
}
