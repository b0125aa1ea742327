//! Trunks as we see them: our registrations at carriers, and whether a trunk answers OPTIONS.
//!
//! Owns one [`Registration`] for each that is configured. Credentials leave only by it, to the
//! registrar's resolved address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Errand, Switchboard, Timer};
use crate::call::board::{TrunkState, TrunkView};
use crate::call::config::{Register, TrunkId};
use crate::sip::header::Name;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::registration::{Account, Limits, Pacer, Registration, State};
use crate::sip::uri::Uri;
use crate::sip::{Flow, NameId, Names, Transport};
use crate::time::Now;

/// All registrations together send at most one REGISTER in this time.
const PACE: Duration = Duration::from_secs(1);
/// Pause before we register again after a stream was lost: a carrier may close each at once.
const AGAIN_AFTER: Duration = Duration::from_secs(3);
/// User part of our Contact on trunks that don't register.
const CONTACT_USER: &str = "koebashi";

/// A registration and what it was made from.
struct Registered {
    from: Register,
    flow: Flow,
    registration: Registration,
}

/// What is known of the trunks.
pub(super) struct Trunks {
    registered: BTreeMap<(TrunkId, usize), Registered>,
    /// Whether the last OPTIONS was answered.
    pings: BTreeMap<TrunkId, bool>,
    pacer: Pacer,
    /// Whom the registrars' certificates have to name.
    pub(super) names: Names,
}

impl Default for Trunks {
    fn default() -> Self {
        Self {
            registered: BTreeMap::new(),
            pings: BTreeMap::new(),
            pacer: Pacer::new(PACE),
            names: Names::default(),
        }
    }
}

impl Trunks {
    /// User part of our Contact towards the trunk.
    pub(super) fn contact_user(&self, id: &TrunkId) -> String {
        let mut own = self.registered.iter().filter(|((trunk, _), _)| trunk == id);
        own.next().map_or(CONTACT_USER, |(_, r)| r.registration.contact_user()).to_owned()
    }
}

impl Switchboard {
    /// Begins, keeps and ends registrations as the configuration says.
    pub(super) fn start_trunks(&mut self, now: Now) {
        let config = std::sync::Arc::clone(&self.config);
        let wanted: BTreeMap<(TrunkId, usize), &Register> = config
            .trunks
            .iter()
            .flat_map(|(id, trunk)| {
                trunk.register.iter().enumerate().map(move |(n, r)| ((id.clone(), n), r))
            })
            .collect();
        self.trunks.registered.retain(|key, r| wanted.get(key).is_some_and(|w| **w == r.from));
        for (key, register) in wanted {
            if self.trunks.registered.contains_key(&key) {
                continue;
            }
            let Some(flow) = self.registrar_flow(register) else { continue };
            let advertised = config.trunks.get(&key.0).and_then(|t| t.advertised);
            let account = self.account(register, flow, advertised);
            let registration =
                Registration::new(now.mono, account, Limits::default(), self.chance.split());
            let registered = Registered { from: register.clone(), flow, registration };
            self.trunks.registered.insert(key.clone(), registered);
            self.timers.set(Timer::Registration(key.0, key.1), now.mono);
        }
        for (id, trunk) in &config.trunks {
            match trunk.options_ping {
                Some(_) => self.timers.set(Timer::Ping(id.clone()), now.mono),
                None => self.timers.clear(&Timer::Ping(id.clone())),
            }
        }
    }

    /// The name that a certificate is verified against.
    pub fn name(&self, id: NameId) -> Option<&str> {
        self.trunks.names.name(id)
    }

    /// Where the registrar is: an address in the URI, or one that the shell resolved. Over TLS it
    /// has to prove the name that the operator wrote, whatever the name server says.
    fn registrar_flow(&mut self, register: &Register) -> Option<Flow> {
        let Ok(Uri::Sip(uri)) = Uri::parse(&register.uri) else { return None };
        let transport = uri.transport()?;
        let port = uri.port.unwrap_or_else(|| transport.default_port());
        let addresses = uri.ip().into_iter().chain(register.addresses.iter().copied());
        let mut flows =
            addresses.filter_map(|ip| self.flow_to(transport, SocketAddr::new(ip, port)));
        let flow = flows.next()?;
        let is_named = transport == Transport::Tls && uri.ip().is_none();
        let name = if is_named { Some(self.trunks.names.enter(uri.host)?) } else { None };
        self.touch_service();
        Some(Flow { name, ..flow })
    }

    /// The stream to a carrier is lost, by which it would call us: registers again soon, where that
    /// had succeeded before.
    pub(super) fn register_again(&mut self, now: Now, lost: &Flow) {
        if lost.connection.is_none() {
            return;
        }
        let hit = self.trunks.registered.iter_mut().filter(|(_, r)| {
            let theirs = (r.flow.transport, r.flow.remote, r.flow.name);
            theirs == (lost.transport, lost.remote, lost.name)
                && matches!(r.registration.state(), State::Registered { .. })
        });
        let keys: Vec<_> = hit
            .map(|(key, r)| {
                r.registration.renew(now.mono + AGAIN_AFTER);
                key.clone()
            })
            .collect();
        keys.iter().for_each(|key| self.plan_registration(key));
    }

    fn account(&self, register: &Register, flow: Flow, advertised: Option<IpAddr>) -> Account {
        let host = match Uri::parse(&register.uri) {
            Ok(Uri::Sip(uri)) => uri.host.to_owned(),
            Ok(Uri::Tel(_) | Uri::Other { .. }) | Err(_) => String::new(),
        };
        let user = &register.user;
        let ip = advertised.or(self.sip_config.advertised).unwrap_or_else(|| flow.local.ip());
        Account {
            registrar: register.uri.clone(),
            aor: register.aor.clone().unwrap_or_else(|| format!("sip:{user}@{host}")),
            user: register.auth_user.clone().unwrap_or_else(|| user.clone()),
            password: register.password.clone(),
            contact_user: None,
            contact_at: SocketAddr::new(ip, flow.local.port()),
            transport: flow.transport,
            expires: register.expires,
        }
    }

    pub(super) fn on_registration_timer(&mut self, now: Now, trunk: &TrunkId, n: usize) {
        let key = (trunk.clone(), n);
        let Some(registered) = self.trunks.registered.get_mut(&key) else { return };
        if let Some(draft) = registered.registration.poll(now.mono, &mut self.trunks.pacer) {
            let flow = registered.flow;
            let tx = self.sip.request(now.mono, flow, draft);
            self.errands.insert(tx, Errand::Register(key.0.clone(), n));
        }
        self.plan_registration(&key);
    }

    pub(super) fn on_registered(
        &mut self,
        now: Now,
        trunk: &TrunkId,
        n: usize,
        response: Option<&Message>,
    ) {
        let key = (trunk.clone(), n);
        if let Some(registered) = self.trunks.registered.get_mut(&key) {
            registered.registration.on_response(now.mono, response);
        }
        self.is_dirty = true;
        self.plan_registration(&key);
    }

    fn plan_registration(&mut self, key: &(TrunkId, usize)) {
        let timer = Timer::Registration(key.0.clone(), key.1);
        match self.trunks.registered.get(key).and_then(|r| r.registration.poll_timeout()) {
            Some(at) => self.timers.set(timer, at),
            None => self.timers.clear(&timer),
        }
    }

    /// Asks a trunk whether it is there: its first single address.
    pub(super) fn ping(&mut self, now: Now, id: &TrunkId) {
        let Some(trunk) = self.config.trunks.get(id) else { return };
        let Some(every) = trunk.options_ping else { return };
        self.timers.set(Timer::Ping(id.clone()), now.mono + every);
        let single = trunk.peers.iter().find(|net| net.prefix_len() == net.max_prefix_len());
        let Some(flow) =
            single.and_then(|net| self.flow_to(Transport::Udp, SocketAddr::new(net.addr(), 5060)))
        else {
            return;
        };
        let uri = format!("sip:{}", flow.remote);
        let draft = Draft::request(&Method::Options, &uri)
            .with(Name::From, format_args!("<sip:koebashi@{}>", self.sip_config.domain))
            .with(Name::To, format_args!("<{uri}>"));
        let tx = self.sip.request(now.mono, flow, draft);
        self.errands.insert(tx, Errand::Ping(id.clone()));
    }

    pub(super) fn on_ping(&mut self, _now: Now, id: &TrunkId, response: Option<&Message>) {
        self.is_dirty = true;
        self.trunks.pings.insert(id.clone(), response.is_some());
    }

    /// Each trunk's state, for the board.
    pub(super) fn trunk_views(&self) -> Vec<TrunkView> {
        self.config
            .trunks
            .iter()
            .map(|(id, trunk)| {
                let states: Vec<_> = (0..trunk.register.len())
                    .map(|n| self.trunks.registered.get(&(id.clone(), n)))
                    .map(|r| r.map(|r| r.registration.state()))
                    .collect();
                let (state, reason) = if states.is_empty() {
                    match self.trunks.pings.get(id).filter(|_| trunk.options_ping.is_some()) {
                        None => (TrunkState::Assumed, None),
                        Some(true) => (TrunkState::Up, None),
                        Some(false) => {
                            (TrunkState::Down, Some("does not answer OPTIONS".to_owned()))
                        }
                    }
                } else {
                    registration_state(&states)
                };
                TrunkView { trunk: id.clone(), state, reason }
            })
            .collect()
    }
}

/// Up when every registration of the trunk is; else the first that is not says why.
fn registration_state(states: &[Option<State>]) -> (TrunkState, Option<String>) {
    let bad = states.iter().find_map(|state| match state {
        Some(State::Registered { .. }) => None,
        None => Some("the registrar's name is not resolved".to_owned()),
        Some(State::Registering) => Some("registering".to_owned()),
        Some(State::Stopped) => Some("stopped".to_owned()),
        Some(State::Failed { reason }) => Some(format!("{reason:?}")),
    });
    match bad {
        None => (TrunkState::Up, None),
        Some(reason) => (TrunkState::Down, Some(reason)),
    }
}
