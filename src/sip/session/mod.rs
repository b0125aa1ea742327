//! INVITE sessions: the usage of a dialog from INVITE to BYE.
//!
//! Owns [`Session`], its stages and what all of them share. How a session starts is in `uas` and
//! `uac`, offers within it in `offer`, its other requests in `requests`. Does not own transactions
//! and does not find the session that a message belongs to: the endpoint does.
//!
//! ```text
//!  INVITE ──► Incoming ──answer──► Talking ◄──2xx── Calling ◄── invite
//!                │                  │   │              │ hangup, transport error
//!                │ refuse, CANCEL   │   │ BYE of ours  ├──► Unwanted (no 1xx yet)
//!                ▼                  │   ▼              └──► Cancelling ──2xx──► Ending
//!               Over ◄──peer's BYE──┘  Ending ──► Over
//!                                  Leaving: hung up before the ACK to our 2xx, then Ending
//! ```

mod kept;
mod offer;
mod requests;
mod uac;
mod uas;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::sip::dialog::Dialog;
use crate::sip::header::{Name, Refresher};
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::session_timer::{self, Agreed};
use crate::sip::transaction::{Outcome, Transactions, User, What};
use crate::sip::{Cause, ClientTx, Event, Flow, Policy, ServerTx, SessionId};
use crate::time::Timers;

pub(crate) use requests::{ALLOW, capable, not_allowed, reap};
pub(crate) use uas::{Refusal, screen, understand};

/// BYEs that are sent, one after the other, to a peer to which there is no connection: for four
/// minutes in all.
const BYES_MAX: u8 = 8;
/// The media type of session descriptions.
const SDP: &str = "application/sdp";

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The provisional response is sent again, so that no proxy gives up (RFC 3261 §13.3.1.1).
    Ring,
    /// The reliable provisional response is sent again (RFC 3262 §3).
    Reliable,
    /// The reliable provisional response was not acknowledged.
    PrackLimit,
    /// Our 2xx is sent again (§13.3.1.4).
    Success,
    /// Our 2xx was not acknowledged.
    AckLimit,
    /// Our INVITE rings, but is not answered.
    Answer,
    /// Our re-INVITE met the peer's: try again (§14.1).
    Retry,
    /// Refresh the session (RFC 4028 §10).
    Refresh,
    /// The session was not refreshed.
    Expire,
    /// The answer to our probe.
    Probe,
}

impl Timer {
    const ALL: [Self; 10] = [
        Self::Ring,
        Self::Reliable,
        Self::PrackLimit,
        Self::Success,
        Self::AckLimit,
        Self::Answer,
        Self::Retry,
        Self::Refresh,
        Self::Expire,
        Self::Probe,
    ];
}

/// What all sessions share.
pub(crate) struct Core {
    pub(crate) txs: Transactions,
    pub(crate) timers: Timers<(SessionId, Timer)>,
    pub(crate) events: VecDeque<Event>,
}

impl Core {
    fn limit(&self) -> Duration {
        self.txs.config.t1 * 64
    }
}

/// Where a session is.
enum Stage {
    /// UAS: our final response is awaited.
    Incoming(Box<uas::Incoming>),
    /// UAC: the peer's final response is awaited.
    Calling(Box<uac::Calling>),
    /// UAC, hung up: any response is awaited, because only then CANCEL may go.
    Unwanted {
        tx: ClientTx,
        /// For the Reason header.
        reason: Option<String>,
    },
    /// UAC, hung up and cancelled: the final response is awaited.
    Cancelling { tx: ClientTx },
    /// The dialog is confirmed.
    Talking,
    /// UAS, hung up: the ACK to our 2xx is awaited, because only then BYE may go (§15).
    Leaving {
        /// For the Reason header.
        reason: Option<String>,
    },
    /// The answer to our BYE is awaited.
    Ending { tx: ClientTx },
    /// Nothing: the session is to be dropped.
    Over,
}

/// Our 2xx to an INVITE or re-INVITE, whose ACK is awaited.
struct Unacked {
    tx: ServerTx,
    /// `CSeq` of the INVITE.
    seq: u32,
    interval: Duration,
    /// The 2xx carried an offer: ACK brings the answer.
    offered: bool,
    /// The INVITE began the session.
    initial: bool,
}

/// One INVITE session.
pub(crate) struct Session {
    id: SessionId,
    policy: Policy,
    /// Without the peer's tag while `Calling`.
    dialog: Dialog,
    /// We sent the first INVITE: the Call-ID is ours.
    owner: bool,
    stage: Stage,
    exchange: offer::Exchange,
    /// An offer or refresh that waits for `exchange` or `unacked` to be over.
    queued: Option<offer::What>,
    unacked: Option<Unacked>,
    timer: Option<Agreed>,
    /// The Min-SE that a 422 asked for; 0: none did.
    min_se: u32,
    /// The peer takes UPDATE.
    updates: bool,
    /// The SDP that we sent last.
    local_sdp: Option<Bytes>,
    /// The SDP that came last.
    remote_sdp: Option<Bytes>,
    probe: Option<ClientTx>,
    /// The latest INVITE or re-INVITE of ours.
    invited: Option<ClientTx>,
    /// BYEs of ours.
    byes: u8,
}

impl Session {
    fn new(id: SessionId, policy: Policy, dialog: Dialog, owner: bool, stage: Stage) -> Self {
        Self {
            id,
            policy,
            dialog,
            owner,
            stage,
            exchange: offer::Exchange::Idle,
            queued: None,
            unacked: None,
            timer: None,
            min_se: 0,
            updates: false,
            local_sdp: None,
            remote_sdp: None,
            probe: None,
            invited: None,
            byes: 0,
        }
    }

    /// Whether it may be dropped.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Our tag, by which requests find it.
    pub(crate) fn tag(&self) -> &str {
        &self.dialog.local_tag
    }

    /// Whether it is the dialog that a Replaces names (RFC 3891): confirmed, or ours to answer.
    pub(crate) fn is_named(&self, call_id: &str, tag: &str) -> bool {
        self.dialog.call_id == call_id && self.dialog.remote_tag == tag
    }

    /// Whether it is set up or waits for our answer, and is not being ended.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Incoming(_) | Stage::Talking)
    }

    /// Whether it is set up and not being ended.
    pub(crate) fn is_talking(&self) -> bool {
        matches!(self.stage, Stage::Talking)
    }

    /// Forgets everything that may still wake it.
    pub(crate) fn clear(&self, core: &mut Core) {
        forget(core, self.id);
    }

    /// How the peer is reached.
    pub(crate) fn flow(&self) -> Flow {
        self.dialog.flow
    }

    /// The connection is gone: what was sent on it may not have arrived. False: it was another's.
    pub(crate) fn forget_connection(&mut self, core: &mut Core, now: Instant, flow: Flow) -> bool {
        let was_its = self.dialog.forget_connection(flow);
        if was_its {
            self.send_again(core, now + core.txs.config.t1);
        }
        was_its
    }

    /// A phone that registered by `from` is behind `to` now: where it is this session's, what waits
    /// for it goes there. False: it is another's.
    pub(crate) fn follow(&mut self, core: &mut Core, now: Instant, from: Flow, to: Flow) -> bool {
        let is_its = self.dialog.follow(from, to);
        if is_its {
            self.send_again(core, now);
            self.send_queued(core, now);
        }
        is_its
    }

    /// What waits for an answer goes by the dialog's flow, from `at` on.
    fn send_again(&self, core: &mut Core, at: Instant) {
        for tx in core.txs.redirect(User::Session(self.id), self.dialog.flow) {
            core.txs.repeat(at, tx);
        }
    }

    fn set(&self, core: &mut Core, timer: Timer, at: Instant) {
        core.timers.set((self.id, timer), at);
    }

    fn unset(&self, core: &mut Core, timer: Timer) {
        core.timers.clear(&(self.id, timer));
    }

    /// Sends a request in the dialog.
    fn send(&self, core: &mut Core, now: Instant, draft: Draft) -> ClientTx {
        let user = User::Session(self.id);
        core.txs.send(now, self.dialog.flow, self.policy.advertised, draft, user)
    }

    /// Our Contact.
    fn contact(&self, core: &Core) -> String {
        let place = core.txs.place(self.dialog.flow, self.policy.advertised);
        place.contact(&self.policy.contact_user, self.dialog.is_secure).to_string()
    }

    /// With what a request or response that sets up or changes the session tells of us.
    fn introduce(&self, core: &Core, draft: Draft) -> Draft {
        draft
            .with(Name::Contact, self.contact(core))
            .with(Name::Allow, ALLOW)
            .with(Name::Supported, requests::supported(&self.policy))
    }

    /// A response with what belongs into each that may set up or change the session.
    fn response(&self, core: &Core, tx: ServerTx, code: u16) -> Option<Draft> {
        let draft = core.txs.response(tx, code)?;
        Some(if code < 300 { self.introduce(core, draft) } else { draft })
    }

    /// Tells the call path that the session is over. Comes at most once, because every caller
    /// leaves a stage that no later event can end.
    fn tell_end(&self, core: &mut Core, cause: Cause) {
        core.events.push_back(Event::Ended { session: self.id, cause });
    }

    /// Sends BYE.
    fn bye(&mut self, core: &mut Core, now: Instant, reason: Option<&str>) {
        self.drop_exchange(core, now);
        self.clear(core);
        self.unacked = None;
        let mut draft = self.dialog.request(&Method::Bye);
        if let Some(reason) = reason {
            draft.push(Name::Reason, reason);
        }
        let tx = self.send(core, now, draft);
        self.stage = Stage::Ending { tx };
        self.byes += 1;
    }

    /// Our BYE was answered, or was not. A phone whose connection is lost may come back in the
    /// belief that it still talks.
    fn on_bye_outcome(&mut self, core: &mut Core, now: Instant, outcome: &Outcome) {
        let is_answered = matches!(outcome.what, What::Response(_));
        if is_answered || !self.dialog.is_cut_off() || self.byes >= BYES_MAX {
            self.stage = Stage::Over;
        } else {
            self.bye(core, now, None);
        }
    }

    /// Ends the session for a reason of its own: BYE, and the call path is told.
    fn give_up(&mut self, core: &mut Core, now: Instant, cause: Cause) {
        self.bye(core, now, None);
        self.tell_end(core, cause);
    }

    /// Ends the session on behalf of the call path, in whatever way its stage asks for.
    pub(crate) fn hangup(&mut self, core: &mut Core, now: Instant, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        match &self.stage {
            Stage::Incoming(_) => {
                let headers: Vec<_> = reason.into_iter().map(|it| (Name::Reason, it)).collect();
                self.refuse(core, now, 480, &headers);
            }
            Stage::Calling(_) => self.cancel(core, now, reason),
            Stage::Talking => match &self.unacked {
                Some(Unacked { initial: true, .. }) => self.stage = Stage::Leaving { reason },
                Some(_) | None => self.bye(core, now, reason.as_deref()),
            },
            Stage::Unwanted { .. }
            | Stage::Cancelling { .. }
            | Stage::Leaving { .. }
            | Stage::Ending { .. }
            | Stage::Over => {}
        }
    }

    /// Takes in what came of a request of ours.
    pub(crate) fn on_outcome(&mut self, core: &mut Core, now: Instant, outcome: Outcome) {
        match &self.stage {
            Stage::Calling(calling) if calling.tx == outcome.tx => {
                self.on_invite_outcome(core, now, &outcome);
            }
            Stage::Unwanted { tx, .. } | Stage::Cancelling { tx } if *tx == outcome.tx => {
                self.on_unwanted_outcome(core, now, &outcome);
            }
            Stage::Ending { tx } if *tx == outcome.tx => self.on_bye_outcome(core, now, &outcome),
            Stage::Incoming(_)
            | Stage::Calling(_)
            | Stage::Unwanted { .. }
            | Stage::Cancelling { .. }
            | Stage::Talking
            | Stage::Leaving { .. }
            | Stage::Ending { .. }
            | Stage::Over => {
                if self.probe == Some(outcome.tx) {
                    self.on_probe_outcome(core, &outcome);
                } else if self.exchange.is_sent(outcome.tx) && self.is_talking() {
                    self.on_exchange_outcome(core, now, outcome);
                } else {
                    reap(core, now, &outcome, self.dialog.local_seq);
                }
            }
        }
    }

    /// One of its timers ran out.
    pub(crate) fn on_timer(&mut self, core: &mut Core, now: Instant, timer: Timer) {
        match timer {
            Timer::Ring => self.ring_again(core, now),
            Timer::Reliable => self.reliable_again(core, now),
            Timer::PrackLimit => self.on_prack_lost(core, now),
            Timer::Success => self.success_again(core, now),
            Timer::AckLimit => self.on_ack_lost(core, now),
            Timer::Answer => self.on_answer_limit(core, now),
            Timer::Retry => self.on_retry(core, now),
            Timer::Refresh => self.refresh(core, now),
            Timer::Expire => {
                if self.is_talking() {
                    self.give_up(core, now, Cause::Expired);
                }
            }
            Timer::Probe => self.on_probe_limit(core),
        }
    }

    /// Starts, restarts or ends the session timer.
    fn start_timer(&mut self, core: &mut Core, now: Instant, agreed: Option<Agreed>) {
        self.timer = agreed;
        self.unset(core, Timer::Refresh);
        self.unset(core, Timer::Expire);
        if let Some(agreed) = agreed {
            self.set(core, Timer::Expire, now + agreed.give_up_after());
            if agreed.ours {
                self.set(core, Timer::Refresh, now + agreed.refresh_after());
            }
        }
    }

    /// The interval that we ask for, in seconds.
    fn wanted_interval(&self) -> Option<u32> {
        let policy = self.policy.session_expires.map(|it| it.as_secs().min(u32::MAX.into()) as u32);
        policy.or_else(|| self.timer.map(|it| it.seconds))
    }

    /// The session timer headers of a request of ours, and those of the 2xx to one of the peer.
    fn ask_timer(&self, draft: &mut Draft) {
        // A refresh keeps what was agreed (RFC 4028 §7.4).
        let agreed = self.timer.map(|timer| timer.seconds);
        let Some(wanted) = agreed.or_else(|| self.wanted_interval()) else { return };
        let seconds = wanted.max(self.min_se).max(session_timer::MIN_SE);
        match self.timer {
            Some(Agreed { ours: true, .. }) => {
                draft.push(Name::SessionExpires, format_args!("{seconds};refresher=uac"));
            }
            Some(Agreed { ours: false, .. }) => {
                draft.push(Name::SessionExpires, format_args!("{seconds};refresher=uas"));
            }
            None => draft.push(Name::SessionExpires, seconds),
        }
        if self.min_se > 0 {
            draft.push(Name::MinSe, self.min_se);
        }
    }

    fn answer_timer(&self, request: &Message, draft: &mut Draft) -> Option<Agreed> {
        let asked = requests::asked(request);
        let answer = session_timer::answer(&asked, self.wanted_interval()).ok()??;
        let refresher = match answer.refresher {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        };
        let seconds = answer.agreed.seconds;
        draft.push(Name::SessionExpires, format_args!("{seconds};refresher={refresher}"));
        if answer.require {
            draft.push(Name::Require, "timer");
        }
        Some(answer.agreed)
    }

    /// Takes note of what a peer can, from a message that tells.
    fn learn(&mut self, message: &Message) {
        if message.header(&Name::Allow).is_some() {
            self.updates = message.has_token(&Name::Allow, Method::Update.as_str());
        }
    }
}

/// Forgets everything that may still wake a session.
pub(crate) fn forget(core: &mut Core, id: SessionId) {
    for timer in Timer::ALL {
        core.timers.clear(&(id, timer));
    }
}
