//! Offers within a session: re-INVITE and UPDATE in both directions, glare, and the refresh of the
//! session timer (RFC 3261 §14, RFC 3311, RFC 4028 §7, §10).
//!
//! Our own offers go by re-INVITE; UPDATE only refreshes. At most one exchange is open at a time.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::uac::reliable_number;
use super::{Core, SDP, Session, Stage, Timer, requests};
use crate::sip::header::Name;
use crate::sip::kept;
use crate::sip::message::{Message, Method};
use crate::sip::reliable::Receiver;
use crate::sip::session_timer;
use crate::sip::transaction::{Outcome, What as Came, sequence};
use crate::sip::{Cause, ClientTx, Event, ServerTx};

/// How long a peer may take to answer a re-INVITE that it has begun to work on.
pub(super) const REOFFER_LIMIT: Duration = Duration::from_secs(120);
/// When a refresh is tried again that the peer refused without saying that the session is gone.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);
/// How often one exchange meets the peer's before it is given up.
const GLARES_MAX: u8 = 8;

/// What we want of the peer.
#[derive(Clone)]
pub(super) enum What {
    /// Its answer to this.
    Offer(Bytes),
    /// A sign of life.
    Refresh,
}

/// The exchange that is open.
pub(super) enum Exchange {
    /// None.
    Idle,
    /// Ours is out.
    Sent {
        tx: ClientTx,
        what: What,
        receiver: Receiver,
        /// How often it met the peer's.
        glares: u8,
    },
    /// Ours met the peer's, and waits to be sent again.
    Waiting { what: What, glares: u8 },
    /// The peer's waits for the call path.
    Received {
        tx: ServerTx,
        /// It is an INVITE, not UPDATE.
        invite: bool,
        /// It has an offer.
        offered: bool,
    },
}

impl What {
    pub(super) fn keep(&self) -> kept::What {
        match self {
            Self::Offer(sdp) => kept::What::Offer(kept::Text(sdp.clone())),
            Self::Refresh => kept::What::Refresh,
        }
    }

    pub(super) fn restore(kept: kept::What) -> Self {
        match kept {
            kept::What::Offer(sdp) => Self::Offer(sdp.0),
            kept::What::Refresh => Self::Refresh,
        }
    }
}

impl Exchange {
    /// What is kept of it: ours.
    pub(super) fn keep(&self, core: &Core) -> Option<kept::Exchange> {
        match self {
            Self::Idle | Self::Received { .. } => None,
            Self::Sent { tx, what, glares, .. } => Some(kept::Exchange {
                what: what.keep(),
                glares: *glares,
                sent: Some(core.txs.keep_client(*tx)?),
            }),
            Self::Waiting { what, glares } => {
                Some(kept::Exchange { what: what.keep(), glares: *glares, sent: None })
            }
        }
    }

    pub(super) fn is_sent(&self, of: ClientTx) -> bool {
        matches!(self, Self::Sent { tx, .. } if *tx == of)
    }

    pub(super) fn is_received(&self, of: ServerTx) -> bool {
        matches!(self, Self::Received { tx, .. } if *tx == of)
    }
}

impl Session {
    /// Makes an offer: at once, or after what is open. A later offer takes the place of one that
    /// waits.
    pub(crate) fn reoffer(&mut self, core: &mut Core, now: Instant, sdp: Bytes) {
        if !self.is_talking() {
            return;
        }
        if let Exchange::Waiting { what, .. } = &mut self.exchange {
            *what = What::Offer(sdp);
            return;
        }
        self.queued = Some(What::Offer(sdp));
        self.send_queued(core, now);
    }

    /// Sends what waits, if it may go.
    pub(super) fn send_queued(&mut self, core: &mut Core, now: Instant) {
        let is_free = matches!(self.exchange, Exchange::Idle) && self.unacked.is_none();
        if self.is_talking()
            && is_free
            && let Some(what) = self.queued.take()
        {
            self.send_exchange(core, now, what, 0);
        }
    }

    fn send_exchange(&mut self, core: &mut Core, now: Instant, what: What, glares: u8) {
        let sdp = match &what {
            What::Offer(sdp) => Some(sdp.clone()),
            What::Refresh if self.updates => None,
            What::Refresh => self.local_sdp.clone(),
        };
        let method = if sdp.is_some() { Method::Invite } else { Method::Update };
        let draft = self.dialog.request(&method);
        let mut draft = self.introduce(core, draft);
        if self.timer.is_some() {
            self.ask_timer(&mut draft);
        }
        if let Some(sdp) = sdp {
            self.local_sdp = Some(sdp.clone());
            draft = draft.set_body(SDP, sdp);
            self.set(core, Timer::Answer, now + REOFFER_LIMIT);
        }
        let tx = self.send(core, now, draft);
        if method == Method::Invite {
            self.invited = Some(tx);
        }
        self.exchange = Exchange::Sent { tx, what, receiver: Receiver::default(), glares };
    }

    /// It is time to refresh.
    pub(super) fn refresh(&mut self, core: &mut Core, now: Instant) {
        // An offer that waits refreshes as well.
        if self.queued.is_none() {
            self.queued = Some(What::Refresh);
        }
        self.send_queued(core, now);
    }

    pub(super) fn on_retry(&mut self, core: &mut Core, now: Instant) {
        if !matches!(self.exchange, Exchange::Waiting { .. }) {
            return;
        }
        if let Exchange::Waiting { what, glares } =
            std::mem::replace(&mut self.exchange, Exchange::Idle)
        {
            if self.unacked.is_some() {
                self.queued = Some(what);
            } else {
                self.send_exchange(core, now, what, glares);
            }
        }
    }

    /// The peer works on our re-INVITE without end.
    pub(super) fn on_exchange_limit(&mut self, core: &mut Core, now: Instant) {
        if !self.is_talking() || !matches!(self.exchange, Exchange::Sent { .. }) {
            return;
        }
        if self.dialog.is_cut_off() {
            self.put_off(core, now);
        } else {
            self.give_up(core, now, Cause::Unreachable);
        }
    }

    /// What came of our re-INVITE or UPDATE.
    pub(super) fn on_exchange_outcome(&mut self, core: &mut Core, now: Instant, outcome: Outcome) {
        let is_invite = outcome.method == Method::Invite;
        let response = match outcome.what {
            Came::Response(response) => response,
            Came::Timeout | Came::Failure if self.dialog.is_cut_off() => {
                return self.put_off(core, now);
            }
            Came::Timeout | Came::Failure => {
                return self.on_exchange_lost(core, now, Cause::Unreachable);
            }
        };
        let code = response.code().unwrap_or(500);
        if code < 200 {
            return self.on_exchange_provisional(core, now, &response);
        }
        self.unset(core, Timer::Answer);
        let Exchange::Sent { what, glares, .. } =
            std::mem::replace(&mut self.exchange, Exchange::Idle)
        else {
            return;
        };
        match code {
            200..300 => {
                self.dialog.refresh(&response);
                self.dialog.go_by(outcome.flow);
                if is_invite {
                    let seq = core.txs.client_draft(outcome.tx).map_or(0, sequence);
                    self.acknowledge(core, outcome.tx, seq);
                }
                self.on_exchange_success(core, now, &what, &response);
            }
            491 if glares < GLARES_MAX => {
                let wait = self.glare_wait(core);
                self.exchange = Exchange::Waiting { what, glares: glares + 1 };
                self.set(core, Timer::Retry, now + wait);
                return;
            }
            422 if glares < GLARES_MAX
                && response.number(&Name::MinSe).is_some_and(|min| min > self.min_se) =>
            {
                self.min_se = response.number(&Name::MinSe).unwrap_or(0);
                return self.send_exchange(core, now, what, glares + 1);
            }
            408 | 481 => {
                self.exchange =
                    Exchange::Sent { tx: outcome.tx, what, receiver: Receiver::default(), glares };
                return self.on_exchange_lost(core, now, Cause::Bye);
            }
            _ => self.on_exchange_refused(core, now, &what, is_invite, code),
        }
        self.send_queued(core, now);
    }

    fn on_exchange_provisional(&mut self, core: &mut Core, now: Instant, response: &Message) {
        let Exchange::Sent { receiver, .. } = &mut self.exchange else { return };
        if let Some(rseq) = reliable_number(response)
            && receiver.accept(rseq)
        {
            let seq = response.cseq().map_or(0, |cseq| cseq.seq);
            let rack = format!("{rseq} {seq} INVITE");
            let prack = self.dialog.request(&Method::Prack).with(Name::RAck, rack);
            self.send(core, now, prack);
        }
    }

    fn on_exchange_success(
        &mut self,
        core: &mut Core,
        now: Instant,
        what: &What,
        response: &Message,
    ) {
        self.learn(response);
        let agreed = response.session_expires().and_then(Result::ok);
        // A peer that knows no timers does not tell them; who refreshes may go on (RFC 4028 §7.2).
        let kept = self.timer.filter(|timer| timer.ours);
        self.start_timer(core, now, session_timer::accepted(agreed).or(kept));
        let sdp = response.sdp();
        let is_news = sdp.is_some() && sdp != self.remote_sdp;
        self.remote_sdp = sdp.clone().or_else(|| self.remote_sdp.take());
        // An answer to a refresh is of interest only when it says something else than before.
        if matches!(what, What::Offer(_)) || is_news {
            core.events.push_back(Event::Reoffered { session: self.id, result: Ok(sdp) });
        }
    }

    fn on_exchange_refused(
        &mut self,
        core: &mut Core,
        now: Instant,
        what: &What,
        is_invite: bool,
        code: u16,
    ) {
        match what {
            What::Offer(_) => {
                core.events.push_back(Event::Reoffered { session: self.id, result: Err(code) });
            }
            What::Refresh if !is_invite && matches!(code, 405 | 420 | 501) => {
                self.updates = false;
                self.queued = self.queued.take().or(Some(What::Refresh));
            }
            // The session lives on until it expires.
            What::Refresh => self.set(core, Timer::Refresh, now + REFRESH_AGAIN),
        }
    }

    /// There is no connection by which the peer could be asked: it is asked again, as long as the
    /// session has not expired.
    fn put_off(&mut self, core: &mut Core, now: Instant) {
        self.unset(core, Timer::Answer);
        if let Exchange::Sent { tx, what, .. } =
            std::mem::replace(&mut self.exchange, Exchange::Idle)
        {
            core.txs.limit(now, tx);
            // An offer refreshes as well, and the latest counts.
            if !matches!(self.queued, Some(What::Offer(_))) {
                self.queued = Some(what);
            }
        }
        self.set(core, Timer::Refresh, now + REFRESH_AGAIN);
    }

    /// The peer is gone, or says that the session is.
    fn on_exchange_lost(&mut self, core: &mut Core, now: Instant, cause: Cause) {
        let is_refresh = matches!(self.exchange, Exchange::Sent { what: What::Refresh, .. });
        self.give_up(core, now, if is_refresh { Cause::Expired } else { cause });
    }

    /// How long we wait after glare, in steps of 10 ms: the owner of the Call-ID longer (§14.1).
    fn glare_wait(&self, core: &mut Core) -> Duration {
        let steps =
            if self.owner { 210 + core.txs.chance.below(191) } else { core.txs.chance.below(201) };
        Duration::from_millis(steps * 10)
    }

    /// INVITE in the dialog.
    pub(super) fn on_reinvite(
        &mut self,
        core: &mut Core,
        now: Instant,
        tx: ServerTx,
        request: &Message,
    ) {
        match (&self.stage, &self.exchange) {
            (Stage::Talking, Exchange::Received { .. }) => {
                return requests::retry_after(core, now, tx);
            }
            (Stage::Talking, Exchange::Sent { .. }) => return core.txs.reply(now, tx, 491),
            (Stage::Talking, Exchange::Idle | Exchange::Waiting { .. }) => {}
            (Stage::Calling(_), _) => return core.txs.reply(now, tx, 491),
            (Stage::Incoming(_) | Stage::Leaving { .. }, _) => {
                return requests::retry_after(core, now, tx);
            }
            (Stage::Unwanted { .. } | Stage::Cancelling { .. }, _)
            | (Stage::Ending { .. } | Stage::Over, _) => return core.txs.reply(now, tx, 481),
        }
        match &self.unacked {
            // The ACK that is missing would bring the answer to our offer.
            Some(unacked) if unacked.offered => return core.txs.reply(now, tx, 491),
            // Only who has our 2xx can send the next INVITE (RFC 5407 §3.1.5).
            Some(_) => self.acknowledged(core, now, None),
            None => {}
        }
        core.txs.reply(now, tx, 100);
        self.receive_offer(core, tx, request, true);
    }

    /// UPDATE in the dialog.
    pub(super) fn on_update(
        &mut self,
        core: &mut Core,
        now: Instant,
        tx: ServerTx,
        request: &Message,
    ) {
        if request.sdp().is_none() {
            self.dialog.refresh(request);
            self.learn(request);
            return self.accept_update(core, now, tx, None);
        }
        let is_offering = matches!(&self.exchange, Exchange::Sent { what: What::Offer(_), .. })
            || self.unacked.as_ref().is_some_and(|unacked| unacked.offered);
        match (&self.stage, &self.exchange) {
            (_, Exchange::Received { .. }) => requests::retry_after(core, now, tx),
            _ if is_offering => core.txs.reply(now, tx, 491),
            // Our refresh is out and may carry SDP; one exchange at a time.
            (_, Exchange::Sent { .. }) => core.txs.reply(now, tx, 491),
            (Stage::Talking, _) => self.receive_offer(core, tx, request, false),
            (Stage::Incoming(_), _) if self.is_settled_early() => {
                self.receive_offer(core, tx, request, false);
            }
            _ => requests::retry_after(core, now, tx),
        }
    }

    fn receive_offer(&mut self, core: &mut Core, tx: ServerTx, request: &Message, invite: bool) {
        self.dialog.refresh(request);
        self.learn(request);
        let sdp = request.sdp();
        let received = Exchange::Received { tx, invite, offered: sdp.is_some() };
        let before = std::mem::replace(&mut self.exchange, received);
        if let Exchange::Waiting { what, .. } = before {
            self.unset(core, Timer::Retry);
            self.queued = Some(what);
        }
        if sdp.is_some() {
            self.remote_sdp = sdp.clone();
        }
        core.events.push_back(Event::Offer { session: self.id, sdp });
    }

    /// The call path takes the offer.
    pub(crate) fn accept_offer(&mut self, core: &mut Core, now: Instant, sdp: Bytes) {
        let Exchange::Received { tx, invite, offered } = self.exchange else { return };
        self.exchange = Exchange::Idle;
        if invite {
            self.accept_invite(core, now, tx, Some(sdp), (!offered, false));
        } else {
            self.accept_update(core, now, tx, Some(sdp));
        }
        self.send_queued(core, now);
    }

    /// The call path does not take the offer.
    pub(crate) fn refuse_offer(&mut self, core: &mut Core, now: Instant, code: u16) {
        let Exchange::Received { tx, .. } = self.exchange else { return };
        self.exchange = Exchange::Idle;
        core.txs.reply(now, tx, if (300..700).contains(&code) { code } else { 488 });
        self.send_queued(core, now);
    }

    /// The exchange is void: the peer's gets 487, the outcome of ours is not waited for.
    pub(super) fn drop_exchange(&mut self, core: &mut Core, now: Instant) {
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Received { tx, .. } => core.txs.reply(now, tx, 487),
            Exchange::Sent { tx, .. } => core.txs.limit(now, tx),
            Exchange::Idle | Exchange::Waiting { .. } => {}
        }
    }

    fn accept_update(&mut self, core: &mut Core, now: Instant, tx: ServerTx, sdp: Option<Bytes>) {
        let Some(mut draft) = self.response(core, tx, 200) else { return };
        let Some(request) = core.txs.server_request(tx).cloned() else { return };
        // Before the 2xx to INVITE there is no session that could expire.
        if self.is_talking() {
            let agreed = self.answer_timer(&request, &mut draft);
            self.start_timer(core, now, agreed);
        }
        if let Some(sdp) = sdp {
            self.local_sdp = Some(sdp.clone());
            draft = draft.set_body(SDP, sdp);
        }
        core.txs.respond(now, tx, draft);
    }
}
