//! New INVITEs and other requests from outside a dialog: who sent them, and whose they are.
//!
//! Owns the way from a called number to a line, and the records of callers who never became a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admission::{Denied, Origin};
use super::{Call, Output, Switchboard, io};
use crate::call::cdr::{CallId, Cdr, EndReason, EndedBy, Outcome, Presentation};
use crate::call::config::{Anonymous, LineId, Trunk, TrunkId};
use crate::call::io::{Io, Owner};
use crate::call::leg::{Fault, Leg, Place};
use crate::call::places::Order;
use crate::call::record::Record;
use crate::call::recording::Recording;
use crate::call::{Phase, identity, trial, trunk};
use crate::media::Keys;
use crate::pii::Pii;
use crate::sip::header::Name;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::registrar::Moved;
use crate::sip::{self, Flow, ServerTx, SessionId};
use crate::time::{Bucket, Now, Rate};

/// Max-Forwards of a request that names none (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u32 = 70;

/// Lines in the log about callers who were turned away: so many a second.
const TOLD: u32 = 10;

/// How many callers were turned away without a word in the log.
pub(super) struct TurnedAway {
    told: Bucket,
    untold: u64,
}

impl TurnedAway {
    pub(super) fn new(now: Instant) -> Self {
        Self { told: Bucket::full(now), untold: 0 }
    }

    /// What is said of one more; `None`: there were too many.
    fn say(&mut self, now: Instant, trunk: &TrunkId, code: u16) -> Option<String> {
        if !self.told.take(now, Rate::per_second(TOLD, 1)) {
            self.untold += 1;
            return None;
        }
        let others = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            n => format!(", and {n} others before it"),
        };
        Some(format!("INVITE by trunk {trunk} refused with {code}{others}"))
    }
}

/// An INVITE by a trunk.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) session: SessionId,
    pub(super) trunk: TrunkId,
    /// `None`: the called number belongs to none.
    pub(super) line: Option<LineId>,
    pub(super) presentation: Presentation,
    /// Its name in the records, if it is refused.
    pub(super) refused_as: CallId,
}

impl Switchboard {
    pub(super) fn on_invite(&mut self, now: Now, event: sip::Event) {
        let sip::Event::Invite { session, flow, request } = event else { return };
        self.is_dirty = true;
        if self.sip.replaced(&request).is_some() {
            // Nobody takes over another's call by an INVITE; REFER is the way.
            return self.sip.refuse(now.mono, session, 403, &[]);
        }
        match self.origin(&flow) {
            Origin::Phone | Origin::Neighbor => {
                self.unsettle();
                self.on_phone_invite(now, session, flow, &request);
            }
            Origin::Trunk(id) => self.on_trunk_invite(now, session, flow, &request, &id),
            Origin::Trial => self.on_trial_invite(now, session, flow, &request),
            Origin::Stranger => self.sip.refuse(now.mono, session, 403, &[]),
        }
    }

    fn on_trunk_invite(
        &mut self,
        now: Now,
        session: SessionId,
        flow: Flow,
        request: &Message,
        trunk_id: &TrunkId,
    ) {
        let config = Arc::clone(&self.config);
        let Some(trunk) = config.trunks.get(trunk_id) else { return };
        let (presentation, number) = identity::caller(request, &trunk.add_prefix);
        let called = identity::called_number(request, trunk);
        let line = called.as_deref().and_then(|called| {
            config.lines.iter().find(|(_, line)| line.numbers.iter().any(|n| n == called))
        });
        // A test call takes nobody's place.
        let most = config.limits.max_calls;
        let is_full = self.calls.len() >= most && self.calls.len() - self.trials() >= most;
        let refusal = match line {
            None => Some((404, Outcome::Refused)),
            Some((_, line))
                if line.anonymous == Anonymous::Refuse && presentation != Presentation::Shown =>
            {
                Some((433, Outcome::Refused))
            }
            Some(_) if is_full => Some((503, Outcome::Full)),
            Some(_) => None,
        };
        let line = line.map(|(id, _)| id.clone());
        let refused_as = self.refused.name(request);
        let trunk_id = trunk_id.clone();
        let arrival = Arrival { session, trunk: trunk_id, line, presentation, refused_as };
        match refusal {
            Some((code, outcome)) => self.turn_away(now, arrival, code, outcome),
            None => self.take_in(now, arrival, flow, request, trunk, number),
        }
    }

    /// An INVITE becomes a call, where there is audio and a port for it.
    pub(super) fn take_in(
        &mut self,
        now: Now,
        arrival: Arrival,
        flow: Flow,
        request: &Message,
        trunk: &Trunk,
        number: Option<Pii>,
    ) {
        let Some(line_id) = arrival.line.clone() else { return };
        let key = self.next_key();
        let place = self.trunk_place(trunk, flow, key);
        let id = self.new_call_id();
        let Arrival { session, presentation, .. } = arrival;
        let mut io = io!(self, now, Owner::Call(key));
        let by = &arrival.trunk;
        io.step(&id, format!("INVITE by trunk {by} for line {line_id} ({presentation:?})"));
        let mut caller = match Leg::incoming(&mut io, session, request.sdp(), place) {
            Ok(leg) => leg,
            Err(fault) => {
                let (code, outcome) = match fault {
                    Fault::Media => (488, Outcome::Refused),
                    Fault::NoPort => (503, Outcome::Failed),
                };
                return self.turn_away(now, arrival, code, outcome);
            }
        };
        // In every mode at once: a carrier that hears nothing for seconds gives up.
        caller.ring(&mut io);
        let call = Call {
            id,
            config: Arc::clone(&self.config),
            line_id,
            caller,
            number,
            presentation,
            phase: Phase::Trunk(trunk::Arrival::Opening),
            record: Record::new(now, arrival.trunk),
            recording: Recording::new(),
            order: Order(0),
            asks: Vec::new(),
            hops: 0,
            forwards: forwards(request),
            keys: Keys::default(),
        };
        self.calls.insert(key, call);
        self.touch(Owner::Call(key));
    }

    fn trunk_place(&self, trunk: &Trunk, flow: Flow, key: u64) -> Place {
        let bind = flow.local.ip();
        Place {
            bind,
            advertised: trunk.advertised.or(self.sip_config.advertised).unwrap_or(bind),
            shard: self.ports.shard(key),
            dscp: trunk.dscp_rtp,
            codecs: trunk.codecs.clone(),
            dtmf: trunk.dtmf.clone(),
            srtp: trunk.srtp,
            signaling: flow.remote.ip(),
        }
    }

    /// Refuses an INVITE that never becomes a call, and records it.
    pub(super) fn turn_away(&mut self, now: Now, arrival: Arrival, code: u16, outcome: Outcome) {
        let Arrival { session, trunk, line, presentation, refused_as: call } = arrival;
        self.sip.refuse(now.mono, session, code, &retry_after(code));
        self.sessions.remove(&session);
        if self.refused.is_to_be_kept() {
            self.touch_service();
        }
        let said = self.turned_away.say(now.mono, &trunk, code);
        // A number that is nobody's is in no line's figures, and anybody can make a flood of such
        // calls in a trunk's name: those that the log only counts have no record.
        let is_recorded = line.is_some() || said.is_some();
        if let Some(what) = said {
            self.out.push_back(Output::Step(super::Step { call: call.clone(), what }));
        }
        if !is_recorded {
            return;
        }
        let test = trial::is_trial(&trunk);
        if let Some(line) = line.as_ref().filter(|_| !test) {
            self.count_today(now, line, outcome);
        }
        self.out.push_back(Output::Cdr(Box::new(Cdr {
            call,
            trunk,
            line,
            started: now.wall,
            answered: None,
            ended: now.wall,
            outcome,
            ended_by: EndedBy::System,
            reason: EndReason::Rejected(code),
            presentation,
            guidance: Duration::ZERO,
            wait: Duration::ZERO,
            talk: Duration::ZERO,
            paid_wait: Duration::ZERO,
            position: None,
            offers: 0,
            counselor: None,
            talks: Vec::new(),
            recorded: 0,
            test,
            legs: Vec::new(),
        })));
    }

    /// An extension dials: a code, or a colleague. Only its digest says who it is.
    fn on_phone_invite(&mut self, now: Now, session: SessionId, flow: Flow, request: &Message) {
        let extension = match self.authenticate(now, flow, request) {
            Ok(extension) => extension,
            Err(Denied::Challenge(values)) => {
                let headers: Vec<_> =
                    values.into_iter().map(|value| (Name::WwwAuthenticate, value)).collect();
                return self.sip.refuse(now.mono, session, 401, &headers);
            }
            Err(Denied::Forbidden) => return self.sip.refuse(now.mono, session, 403, &[]),
        };
        self.on_extension_invite(now, session, flow, request, &extension);
    }

    /// REGISTER, or something that nobody asked for.
    pub(super) fn on_request(&mut self, now: Now, tx: ServerTx, flow: Flow, request: &Message) {
        if request.method() != Some(&Method::Register) {
            let draft = Draft::response(request, 405);
            return self.sip.respond(now.mono, tx, draft);
        }
        let draft = match self.authenticate(now, flow, request) {
            Ok(extension) => {
                self.unsettle();
                self.sip.misfit(request).unwrap_or_else(|| {
                    self.registrar.handle(now.mono, flow, request, &extension.0, &self.sip_config)
                })
            }
            Err(Denied::Challenge(values)) => {
                let draft = Draft::response(request, 401);
                values
                    .into_iter()
                    .fold(draft, |draft, value| draft.with(Name::WwwAuthenticate, value))
            }
            Err(Denied::Forbidden) => Draft::response(request, 403),
        };
        self.sip.respond(now.mono, tx, draft);
        // The calls of a phone go where it is.
        while let Some(Moved { from, to }) = self.registrar.poll_moved() {
            self.sip.phone_moved(now.mono, from, to);
        }
    }
}

/// One less than what is left of the request, so that calls which lead back to us come to an end
/// (RFC 7332 §3).
fn forwards(request: &Message) -> u32 {
    let left = request.number(&Name::MaxForwards).unwrap_or(MAX_FORWARDS);
    left.min(MAX_FORWARDS).saturating_sub(1)
}

fn retry_after(code: u16) -> Vec<(Name, String)> {
    if code == 503 { vec![(Name::RetryAfter, "30".to_owned())] } else { Vec::new() }
}
