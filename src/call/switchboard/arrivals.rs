//! New INVITEs and other requests from outside a dialog: who sent them, and whose they are.
//!
//! Owns admission by source, the way from a called number to a line, and the records of callers who
//! never became a call.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Call, Output, Switchboard, io};
use crate::call::cdr::{Cdr, EndReason, EndedBy, Outcome, Presentation};
use crate::call::config::{Anonymous, Extension, LineId, Trunk, TrunkId};
use crate::call::io::Order;
use crate::call::io::{Io, Owner};
use crate::call::leg::{Fault, Leg, Place};
use crate::call::record::Record;
use crate::call::recording::Recording;
use crate::call::{Phase, identity, trial, trunk};
use crate::media::Keys;
use crate::pii::Pii;
use crate::sip::auth::{Accounts, Ha1, Source, Verdict};
use crate::sip::header::Name;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::{self, Admit, Flow, Policy, ServerTx, SessionId};
use crate::time::Now;

/// Max-Forwards of a request that names none (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u32 = 70;

/// Whose a flow is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A counselor's phone.
    Phone,
    /// A trunk.
    Trunk(TrunkId),
    /// The test call's.
    Trial,
    /// Nobody's.
    Stranger,
}

/// An INVITE by a trunk.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) session: SessionId,
    pub(super) trunk: TrunkId,
    /// `None`: the called number belongs to none.
    pub(super) line: Option<LineId>,
    pub(super) presentation: Presentation,
}

impl Switchboard {
    /// Whose the flow is: a registered phone's exactly, else a trunk's or a fixed phone's by
    /// address. A phone that is registered over datagrams sends what is too long for them on a
    /// stream of its own (RFC 3261 §18.1.1): a stream from such an address is a phone's, whose
    /// digest says which.
    pub(super) fn origin(&self, flow: &Flow) -> Origin {
        // Its socket is held by the test: whoever had that port before has it no longer.
        if self.is_trial_flow(flow) {
            return Origin::Trial;
        }
        if self.registrar.owner_of_flow(flow).is_some() {
            return Origin::Phone;
        }
        if self.fixed_phones.is_at(&flow.remote) {
            return Origin::Phone;
        }
        let ip = flow.remote.ip().to_canonical();
        let mut trunks = self.config.trunks.iter();
        match trunks.find(|(_, trunk)| sends_for(trunk, ip)) {
            Some((id, _)) => Origin::Trunk(id.clone()),
            None if flow.transport.is_stream()
                && self.registrar.knows_address(flow.remote.ip()) =>
            {
                Origin::Phone
            }
            None => Origin::Stranger,
        }
    }

    pub(super) fn admit(&self, flow: &Flow) -> Admit {
        match self.origin(flow) {
            Origin::Phone => Admit::Peer(self.phone_policy()),
            Origin::Trunk(id) => Admit::Peer(self.trunk_policy(&id)),
            Origin::Trial => {
                let advertised = Some(flow.remote.ip());
                Admit::Peer(Policy { advertised, ..self.phone_policy() })
            }
            Origin::Stranger => Admit::Stranger,
        }
    }

    pub(super) fn phone_policy(&self) -> Policy {
        Policy {
            rel100: false,
            session_expires: None,
            advertised: self.sip_config.advertised,
            contact_user: "koebashi".to_owned(),
        }
    }

    fn trunk_policy(&self, id: &TrunkId) -> Policy {
        let trunk = self.config.trunks.get(id);
        Policy {
            rel100: trunk.is_some_and(|trunk| trunk.rel100),
            session_expires: trunk.and_then(|trunk| trunk.session_expires),
            advertised: trunk.and_then(|t| t.advertised).or(self.sip_config.advertised),
            contact_user: self.trunks.contact_user(id),
        }
    }

    pub(super) fn on_invite(&mut self, now: Now, event: sip::Event) {
        let sip::Event::Invite { session, flow, request } = event else { return };
        self.is_dirty = true;
        if self.sip.replaced(&request).is_some() {
            // Nobody takes over another's call by an INVITE; REFER is the way.
            return self.sip.refuse(now.mono, session, 403, &[]);
        }
        match self.origin(&flow) {
            Origin::Phone => {
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
        let (presentation, number) = identity::caller(request);
        let called = identity::called_number(request, trunk);
        let line = called.as_deref().and_then(|called| {
            config.lines.iter().find(|(_, line)| line.numbers.iter().any(|n| n == called))
        });
        // A test call takes nobody's place.
        let calls = self.calls.len() - self.trials();
        let refusal = match line {
            None => Some((404, Outcome::Refused)),
            Some((_, line))
                if line.anonymous == Anonymous::Refuse && presentation != Presentation::Shown =>
            {
                Some((433, Outcome::Refused))
            }
            Some(_) if calls >= config.limits.max_calls => Some((503, Outcome::Full)),
            Some(_) => None,
        };
        let line = line.map(|(id, _)| id.clone());
        let arrival = Arrival { session, trunk: trunk_id.clone(), line, presentation };
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
            _number: number,
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
        let Arrival { session, trunk, line, presentation } = arrival;
        self.sip.refuse(now.mono, session, code, &retry_after(code));
        self.sessions.remove(&session);
        let call = self.new_call_id();
        let what = format!("INVITE by trunk {trunk} refused with {code}");
        self.out.push_back(Output::Step(super::Step { call: call.clone(), what }));
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

    /// Who sent a request, by digest.
    fn authenticate(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
    ) -> Result<Extension, Denied> {
        let accounts = Secrets(&self.config.counselors);
        let registered = self.registrar.owner_of_flow(&flow);
        let source = Source { address: flow.remote.ip(), registered };
        let realm = &self.sip_config.domain;
        match self.guard.verify(now.mono, &source, request, realm, &accounts) {
            Verdict::Granted { user } => Ok(Extension::from(user.as_str())),
            Verdict::Challenge(values) => Err(Denied::Challenge(values)),
            Verdict::Forbidden => Err(Denied::Forbidden),
        }
    }

    /// REGISTER, or something that nobody asked for.
    pub(super) fn on_request(&mut self, now: Now, tx: ServerTx, flow: Flow, request: &Message) {
        if request.method() != Some(&Method::Register) {
            let draft = Draft::response(request, 405);
            return self.sip.respond(now.mono, tx, draft);
        }
        self.unsettle();
        let draft = match self.authenticate(now, flow, request) {
            Ok(extension) => {
                self.registrar.handle(now.mono, flow, request, &extension.0, &self.sip_config)
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
    }
}

/// Why a request has no sender.
enum Denied {
    Challenge(Vec<String>),
    Forbidden,
}

/// The proofs of the configuration's counselors.
struct Secrets<'a>(&'a std::collections::BTreeMap<Extension, crate::call::config::Counselor>);

impl Accounts for Secrets<'_> {
    fn ha1(&self, user: &str) -> Option<Ha1> {
        let secret = self.0.get(&Extension::from(user))?.secret.as_ref()?;
        Some(Ha1 { md5: secret.md5.clone(), sha256: secret.sha256.clone() })
    }
}

/// Whether calls from `ip` are the trunk's: a peer of the list, or its registrar.
fn sends_for(trunk: &Trunk, ip: IpAddr) -> bool {
    trunk.peers.iter().any(|net| net.contains(&ip))
        || trunk.register.iter().any(|register| register.addresses.contains(&ip))
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
