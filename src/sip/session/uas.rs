//! Sessions that a peer starts: from its INVITE to the ACK of our answer (RFC 3261 §13.3,
//! RFC 3262 §3).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Core, SDP, Session, Stage, Timer, Unacked, requests};
use crate::sip::dialog::Dialog;
use crate::sip::header::Name;
use crate::sip::kept;
use crate::sip::message::Message;
use crate::sip::reliable;
use crate::sip::session_timer;
use crate::sip::transaction::User;
use crate::sip::uri::Uri;
use crate::sip::{Cause, Event, Policy, ServerTx, SessionId};

/// How often a provisional response is repeated.
const RING_EVERY: Duration = Duration::from_secs(60);

/// A provisional response: code and SDP.
type Ring = (u16, Option<Bytes>);

/// How far offer and answer have come before the final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Early {
    /// Nothing was sent reliably.
    Open,
    /// Our SDP is in the reliable response that waits for PRACK.
    Sent,
    /// Our SDP arrived; if it was an offer, PRACK brought the answer.
    Settled,
}

/// Whether provisional responses are sent reliably (RFC 3262 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reliability {
    /// The peer does not know how, or the policy does not want it.
    Off,
    /// They are.
    Supported,
    /// They must be: an unreliable one would not be understood.
    Required,
}

/// An INVITE that has no final response.
pub(super) struct Incoming {
    tx: ServerTx,
    /// The INVITE has no offer: ours goes into our first SDP.
    offerless: bool,
    /// Whether provisional responses are sent reliably.
    reliability: Reliability,
    sender: reliable::Sender,
    early: Early,
    /// The latest provisional response, to be repeated.
    ring: Option<Ring>,
    /// The next one, waiting for the PRACK of the latest.
    next: Option<Ring>,
    /// The answer, waiting for the same.
    answer: Option<Bytes>,
    /// PRACK has come once.
    confirmed: bool,
}

impl Incoming {
    /// What is kept of it.
    pub(super) fn keep(&self, core: &Core) -> Option<kept::Incoming> {
        let ring = |ring: &Ring| (ring.0, ring.1.clone().map(kept::Text));
        let (rseq, waiting) = match self.sender {
            reliable::Sender::Idle { next } => (next, false),
            reliable::Sender::Waiting { rseq, .. } => (rseq, true),
        };
        Some(kept::Incoming {
            server: core.txs.keep_server(self.tx)?,
            offerless: self.offerless,
            reliability: match self.reliability {
                Reliability::Off => kept::Reliability::Off,
                Reliability::Supported => kept::Reliability::Supported,
                Reliability::Required => kept::Reliability::Required,
            },
            rseq,
            waiting,
            early: match self.early {
                Early::Open => kept::Early::Open,
                Early::Sent => kept::Early::Sent,
                Early::Settled => kept::Early::Settled,
            },
            ring: self.ring.as_ref().map(ring),
            next: self.next.as_ref().map(ring),
            answer: self.answer.clone().map(kept::Text),
            confirmed: self.confirmed,
        })
    }

    /// Goes on with it.
    pub(super) fn restore(
        core: &mut Core,
        now: Instant,
        id: SessionId,
        kept: kept::Incoming,
    ) -> Option<Self> {
        let ring = |ring: kept::Ring| (ring.0, ring.1.map(|sdp| sdp.0));
        let t1 = core.txs.config.t1;
        core.timers.set((id, Timer::Ring), now + RING_EVERY);
        if kept.waiting {
            core.timers.set((id, Timer::Reliable), now + t1);
            core.timers.set((id, Timer::PrackLimit), now + core.limit());
        }
        Some(Self {
            tx: core.txs.restore_server(now, kept.server, User::Session(id))?,
            offerless: kept.offerless,
            reliability: match kept.reliability {
                kept::Reliability::Off => Reliability::Off,
                kept::Reliability::Supported => Reliability::Supported,
                kept::Reliability::Required => Reliability::Required,
            },
            sender: match (kept.rseq, kept.waiting) {
                (rseq, true) => reliable::Sender::Waiting { rseq, interval: t1 },
                (next, false) => reliable::Sender::Idle { next },
            },
            early: match kept.early {
                kept::Early::Open => Early::Open,
                kept::Early::Sent => Early::Sent,
                kept::Early::Settled => Early::Settled,
            },
            ring: kept.ring.map(ring),
            next: kept.next.map(ring),
            answer: kept.answer.map(|sdp| sdp.0),
            confirmed: kept.confirmed,
        })
    }
}

/// A request that can't be served: code, and headers that tell why.
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) headers: Vec<(Name, String)>,
}

impl Refusal {
    pub(super) fn new(code: u16) -> Self {
        Self { code, headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Judges whether we know all extensions that a request requires (§8.2.2.3).
pub(crate) fn understand(request: &Message, rel100: bool) -> Result<(), Refusal> {
    let is_known = |token: &str| {
        token.eq_ignore_ascii_case("timer") || (rel100 && token.eq_ignore_ascii_case("100rel"))
    };
    let unknown: Vec<&str> =
        request.list(&Name::Require).filter(|token| !is_known(token)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(420).with(Name::Unsupported, unknown.join(", ")))
}

/// Judges a request that sets up or changes a session before the call path sees it
/// (RFC 3261 §8.2, RFC 4028 §9).
pub(crate) fn screen(request: &Message, policy: &Policy) -> Result<(), Refusal> {
    let uri = request.uri().map(Uri::parse);
    if matches!(uri, Some(Ok(Uri::Other { .. }))) {
        return Err(Refusal::new(416));
    }
    understand(request, policy.rel100)?;
    let encoding = request.text(&Name::ContentEncoding).unwrap_or("identity");
    let is_readable = encoding.eq_ignore_ascii_case("identity");
    if !request.body().is_empty() && (request.sdp().is_none() || !is_readable) {
        let refusal = Refusal::new(415).with(Name::Accept, SDP);
        return Err(refusal.with(Name::Other("Accept-Encoding".into()), "identity"));
    }
    session_timer::answer(&requests::asked(request), None).map_err(|session_timer::TooShort| {
        Refusal::new(422).with(Name::MinSe, session_timer::MIN_SE.to_string())
    })?;
    Ok(())
}

impl Session {
    /// A session from an INVITE that passed [`screen`]: 100 is sent, the call path is told.
    pub(crate) fn incoming(
        core: &mut Core,
        now: Instant,
        id: SessionId,
        tx: ServerTx,
        policy: Policy,
    ) -> Option<Self> {
        let request = core.txs.server_request(tx)?.clone();
        let flow = core.txs.source(tx)?;
        core.txs.reply(now, tx, 100);
        let dialog = Dialog::uas(&request, core.txs.peer(tx)?, core.txs.tag(tx)?);
        let reliability = match policy.rel100 {
            true if request.has_token(&Name::Require, "100rel") => Reliability::Required,
            true if request.has_token(&Name::Supported, "100rel") => Reliability::Supported,
            true | false => Reliability::Off,
        };
        let offer = request.sdp();
        let incoming = Incoming {
            tx,
            offerless: offer.is_none(),
            reliability,
            sender: reliable::Sender::new(&mut core.txs.chance),
            early: Early::Open,
            ring: None,
            next: None,
            answer: None,
            confirmed: false,
        };
        let stage = Stage::Incoming(Box::new(incoming));
        let mut session = Self::new(id, policy, dialog, false, stage);
        session.learn(&request);
        session.remote_sdp = offer;
        core.events.push_back(Event::Invite { session: id, flow, request });
        Some(session)
    }

    /// Sends a provisional response, and repeats it.
    pub(crate) fn ring(&mut self, core: &mut Core, now: Instant, code: u16, sdp: Option<Bytes>) {
        let Stage::Incoming(incoming) = &mut self.stage else { return };
        if !(101..200).contains(&code) || incoming.answer.is_some() {
            return;
        }
        if incoming.reliability != Reliability::Off && incoming.sender.is_waiting() {
            incoming.next = Some((code, sdp));
            return;
        }
        incoming.ring = Some((code, sdp));
        self.send_ring(core, now);
    }

    pub(crate) fn is_held_back(&self) -> bool {
        matches!(&self.stage, Stage::Incoming(incoming) if incoming.next.is_some())
    }

    pub(super) fn ring_again(&mut self, core: &mut Core, now: Instant) {
        let Stage::Incoming(incoming) = &self.stage else { return };
        if !incoming.sender.is_waiting() {
            self.send_ring(core, now);
        }
    }

    fn send_ring(&mut self, core: &mut Core, now: Instant) {
        let Stage::Incoming(incoming) = &mut self.stage else { return };
        let Some((code, sdp)) = incoming.ring.clone() else { return };
        let t1 = core.txs.config.t1;
        // The first that is sent reliably must carry our offer where there is none yet (RFC 3261
        // §13.2.1): without it, it goes unreliably or not at all.
        let lacks_offer = incoming.offerless && incoming.early == Early::Open && sdp.is_none();
        let rseq = match incoming.reliability {
            Reliability::Required if lacks_offer => return,
            Reliability::Supported if lacks_offer => None,
            Reliability::Required | Reliability::Supported => incoming.sender.send(t1),
            Reliability::Off => None,
        };
        // What was answered once must not look like another offer (RFC 6337 §3.1).
        let sdp = sdp.filter(|_| incoming.early == Early::Open);
        let tx = incoming.tx;
        if rseq.is_some() && sdp.is_some() {
            incoming.early = Early::Sent;
        }
        let Some(mut draft) = self.response(core, tx, code) else { return };
        if let Some(rseq) = rseq {
            draft.push(Name::Require, "100rel");
            draft.push(Name::RSeq, rseq);
            self.set(core, Timer::Reliable, now + t1);
            self.set(core, Timer::PrackLimit, now + core.limit());
        }
        if let Some(sdp) = sdp {
            self.local_sdp = Some(sdp.clone());
            draft = draft.set_body(SDP, sdp);
        }
        core.txs.respond(now, tx, draft);
        self.set(core, Timer::Ring, now + RING_EVERY);
    }

    pub(super) fn reliable_again(&mut self, core: &mut Core, now: Instant) {
        let Stage::Incoming(incoming) = &mut self.stage else { return };
        if let Some(interval) = incoming.sender.again() {
            core.txs.resend(incoming.tx);
            self.set(core, Timer::Reliable, now + interval);
        }
    }

    pub(super) fn on_prack_lost(&mut self, core: &mut Core, now: Instant) {
        let Stage::Incoming(incoming) = &self.stage else { return };
        core.txs.reply(now, incoming.tx, 504);
        self.tell_end(core, Cause::PrackLost);
        self.stage = Stage::Over;
    }

    pub(super) fn on_prack(
        &mut self,
        core: &mut Core,
        now: Instant,
        tx: ServerTx,
        request: &Message,
    ) {
        let Stage::Incoming(incoming) = &mut self.stage else {
            return core.txs.reply(now, tx, 481);
        };
        let seq = core.txs.server_request(incoming.tx).and_then(|it| it.cseq().ok());
        let rack = request.rack().and_then(Result::ok);
        let (Some(seq), Some(rack)) = (seq, rack) else { return core.txs.reply(now, tx, 481) };
        if !incoming.sender.acknowledge(&rack, seq.seq) {
            return core.txs.reply(now, tx, 481);
        }
        let sdp = request.sdp();
        let is_answer = incoming.early == Early::Sent && incoming.offerless;
        if incoming.early == Early::Sent {
            incoming.early = Early::Settled;
        }
        let is_first = !std::mem::replace(&mut incoming.confirmed, true);
        let (next, answer) = (incoming.next.take(), incoming.answer.take());
        self.unset(core, Timer::Reliable);
        self.unset(core, Timer::PrackLimit);
        // An offer of its own in PRACK is not taken; the provisional response is acknowledged.
        core.txs.reply(now, tx, if sdp.is_some() && !is_answer { 488 } else { 200 });
        if is_first || is_answer {
            let sdp = sdp.filter(|_| is_answer);
            self.remote_sdp = sdp.clone().or_else(|| self.remote_sdp.take());
            core.events.push_back(Event::Confirmed { session: self.id, sdp, early: true });
        }
        if let Some(sdp) = answer {
            self.answer(core, now, sdp);
        } else if let Some((code, sdp)) = next {
            self.ring(core, now, code, sdp);
        }
    }

    /// Answers the INVITE by 200, at once or after the PRACK that is out.
    pub(crate) fn answer(&mut self, core: &mut Core, now: Instant, sdp: Bytes) {
        let Stage::Incoming(incoming) = &mut self.stage else { return };
        if incoming.sender.is_waiting() {
            incoming.next = None;
            incoming.answer = Some(sdp);
            return;
        }
        let (tx, offerless) = (incoming.tx, incoming.offerless);
        let is_settled = incoming.early == Early::Settled;
        self.unset(core, Timer::Ring);
        self.stage = Stage::Talking;
        // An offer of ours that PRACK answered must not be made again.
        let sdp = Some(sdp).filter(|_| !(is_settled && offerless));
        let offered = offerless && sdp.is_some();
        self.accept_invite(core, now, tx, sdp, (offered, true));
    }

    /// 200 to an INVITE or re-INVITE, repeated until its ACK (§13.3.1.4).
    pub(super) fn accept_invite(
        &mut self,
        core: &mut Core,
        now: Instant,
        tx: ServerTx,
        sdp: Option<Bytes>,
        (offered, initial): (bool, bool),
    ) {
        let Some(mut draft) = self.response(core, tx, 200) else { return };
        let Some(request) = core.txs.server_request(tx).cloned() else { return };
        let Ok(cseq) = request.cseq() else { return };
        let agreed = self.answer_timer(&request, &mut draft);
        if let Some(sdp) = sdp {
            self.local_sdp = Some(sdp.clone());
            draft = draft.set_body(SDP, sdp);
        }
        core.txs.respond(now, tx, draft);
        self.start_timer(core, now, agreed);
        let interval = core.txs.config.t1;
        self.unacked = Some(Unacked { tx, seq: cseq.seq, interval, offered, initial });
        self.set(core, Timer::Success, now + interval);
        self.set(core, Timer::AckLimit, now + core.limit());
    }

    pub(super) fn success_again(&mut self, core: &mut Core, now: Instant) {
        let Some(unacked) = &mut self.unacked else { return };
        unacked.interval = (unacked.interval * 2).min(core.txs.config.t2);
        let at = now + unacked.interval;
        core.txs.resend(unacked.tx);
        self.set(core, Timer::Success, at);
    }

    pub(super) fn on_ack_lost(&mut self, core: &mut Core, now: Instant) {
        match &self.stage {
            Stage::Leaving { reason } => {
                let reason = reason.clone();
                self.bye(core, now, reason.as_deref());
            }
            Stage::Talking => self.give_up(core, now, Cause::AckLost),
            Stage::Incoming(_)
            | Stage::Calling(_)
            | Stage::Unwanted { .. }
            | Stage::Cancelling { .. }
            | Stage::Ending { .. }
            | Stage::Over => {}
        }
    }

    /// ACK in the dialog. False: it is for nothing that waits.
    pub(crate) fn on_ack(&mut self, core: &mut Core, now: Instant, ack: &Message) -> bool {
        let seq = ack.cseq().ok().map(|cseq| cseq.seq);
        if !self.dialog.has(ack) || self.unacked.as_ref().map(|it| it.seq) != seq {
            return false;
        }
        self.acknowledged(core, now, ack.sdp());
        true
    }

    /// Our 2xx has arrived.
    pub(super) fn acknowledged(&mut self, core: &mut Core, now: Instant, sdp: Option<Bytes>) {
        let Some(unacked) = self.unacked.take() else { return };
        self.unset(core, Timer::Success);
        self.unset(core, Timer::AckLimit);
        if let Stage::Leaving { reason } = &self.stage {
            let reason = reason.clone();
            return self.bye(core, now, reason.as_deref());
        }
        let sdp = sdp.filter(|_| unacked.offered);
        if unacked.initial || unacked.offered {
            self.remote_sdp = sdp.clone().or_else(|| self.remote_sdp.take());
            core.events.push_back(Event::Confirmed { session: self.id, sdp, early: false });
        }
        self.send_queued(core, now);
    }

    /// Answers the INVITE by a code from 300 on.
    pub(crate) fn refuse(
        &mut self,
        core: &mut Core,
        now: Instant,
        code: u16,
        headers: &[(Name, String)],
    ) {
        self.drop_exchange(core, now);
        let Stage::Incoming(incoming) = &self.stage else { return };
        let code = if (300..700).contains(&code) { code } else { 500 };
        if let Some(mut draft) = core.txs.response(incoming.tx, code) {
            for (name, value) in headers {
                draft.push(name.clone(), value);
            }
            core.txs.respond(now, incoming.tx, draft);
        }
        self.stage = Stage::Over;
    }

    /// CANCEL of the INVITE or re-INVITE `tx`; 200 to the CANCEL has been sent.
    pub(crate) fn on_cancel(&mut self, core: &mut Core, now: Instant, tx: ServerTx) {
        match &self.stage {
            Stage::Incoming(incoming) if incoming.tx == tx => {
                core.txs.reply(now, tx, 487);
                self.tell_end(core, Cause::Cancelled);
                self.stage = Stage::Over;
            }
            Stage::Incoming(_)
            | Stage::Calling(_)
            | Stage::Unwanted { .. }
            | Stage::Cancelling { .. }
            | Stage::Talking
            | Stage::Leaving { .. }
            | Stage::Ending { .. }
            | Stage::Over => {
                if self.exchange.is_received(tx) {
                    self.drop_exchange(core, now);
                    self.send_queued(core, now);
                }
            }
        }
    }

    /// Whether offer and answer are done before the final response, so that another may be made.
    pub(super) fn is_settled_early(&self) -> bool {
        matches!(&self.stage, Stage::Incoming(incoming) if incoming.early == Early::Settled)
    }

    /// BYE in the early dialog: the INVITE is over too (§15.1.2).
    pub(super) fn terminate_invite(&self, core: &mut Core, now: Instant) {
        if let Stage::Incoming(incoming) = &self.stage {
            core.txs.reply(now, incoming.tx, 487);
        }
    }
}
