//! Counselors and their phones: who can be reached, what they chose, what their calls ask for.
//!
//! Owns the counselors' kept state. What they do at a moment is read off the live calls in
//! `settle`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::admission::sha256_users;
use super::{Ask, Errand, Switchboard, Timer};
use crate::call::config::{Config, Extension};
use crate::call::counselor::Phone;
use crate::call::deed::Actor;
use crate::call::ring::Miss;
use crate::sip::header::Name;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::uri::Uri;
use crate::sip::{self, ClientTx, Flow, Transport};
use crate::time::Now;

/// How long a phone that could not be reached is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// The phones that do not register: where the configuration says that they are. Made anew with
/// each configuration, because reading a URI takes longer than all else about a message's origin.
#[derive(Default)]
pub(super) struct FixedPhones {
    addresses: BTreeSet<SocketAddr>,
    of: BTreeMap<Extension, (Transport, SocketAddr)>,
}

impl FixedPhones {
    pub(super) fn new(config: &Config) -> Self {
        let contacts = config.counselors.iter().filter_map(|(extension, counselor)| {
            Some((extension.clone(), fixed_address(counselor.contact.as_deref()?)?))
        });
        let of: BTreeMap<_, _> = contacts.collect();
        Self { addresses: of.values().map(|(_, address)| *address).collect(), of }
    }

    /// Whether a fixed phone is there.
    pub(super) fn is_at(&self, address: &SocketAddr) -> bool {
        self.addresses.contains(address)
    }
}

/// Where a fixed `contact` points: a SIP URI with an IP address.
fn fixed_address(contact: &str) -> Option<(Transport, SocketAddr)> {
    let Ok(Uri::Sip(uri)) = Uri::parse(contact) else { return None };
    let host = uri.host.trim_start_matches('[').trim_end_matches(']');
    let transport = uri.transport()?;
    let port = uri.port.unwrap_or_else(|| transport.default_port());
    Some((transport, SocketAddr::new(host.parse().ok()?, port)))
}

impl Switchboard {
    /// Where an extension can be rung: its Request-URIs and flows.
    pub(super) fn targets(&self, now: Now, extension: &Extension) -> Vec<(String, Flow)> {
        let bindings = self.registrar.bindings(&extension.0, now.mono);
        let mut targets: Vec<_> = bindings.map(|b| (b.uri.clone(), b.flow)).collect();
        if let (true, Some(flow)) = (targets.is_empty(), self.fixed_flow(extension)) {
            let contact = self.config.counselors.get(extension).and_then(|c| c.contact.clone());
            targets.extend(contact.map(|contact| (contact, flow)));
        }
        targets
    }

    /// Whether an extension can be rung anywhere.
    pub(super) fn has_target(&self, now: Now, extension: &Extension) -> bool {
        self.registrar.bindings(&extension.0, now.mono).next().is_some()
            || self.fixed_flow(extension).is_some()
    }

    fn fixed_flow(&self, extension: &Extension) -> Option<Flow> {
        let (transport, address) = *self.fixed_phones.of.get(extension)?;
        self.flow_to(transport, address)
    }

    /// A flow from the first of our sockets that can reach `remote`.
    pub(super) fn flow_to(&self, transport: Transport, remote: SocketAddr) -> Option<Flow> {
        let mut ours = self.sip_config.listen.iter();
        let (_, local) =
            ours.find(|(t, local)| *t == transport && local.is_ipv4() == remote.is_ipv4())?;
        Some(Flow::new(transport, *local, remote))
    }

    /// The registrar has news: phones that came or went.
    pub(super) fn on_phone_changes(&mut self, now: Now) {
        while let Some(change) = self.registrar.poll_change() {
            let extension = Extension::from(change.user.as_str());
            let phone = if change.reachable { Phone::There } else { self.absent(&extension) };
            self.set_phone(now, &extension, phone);
        }
    }

    fn set_phone(&mut self, now: Now, extension: &Extension, phone: Phone) {
        self.unsettle();
        let Some(sign_in) = self.config.counselors.get(extension).map(|c| c.sign_in) else {
            return;
        };
        let signed_in = self.counselors.change(&self.config, extension, |counselor| {
            let signed_in = counselor.on_phone(now.mono, phone, sign_in)?;
            counselor.idle_since = now.mono;
            Some(signed_in)
        });
        if let Some(intention) = signed_in.flatten() {
            self.keep(extension, intention, Actor::Extension(extension.clone()));
        }
    }

    /// The phone may be tried again, if it is still known.
    pub(super) fn look_for_phone(&mut self, now: Now, extension: &Extension) {
        let there = self.has_target(now, extension);
        self.set_phone(now, extension, if there { Phone::There } else { self.absent(extension) });
    }

    /// How a phone that can't be rung is away.
    fn absent(&self, extension: &Extension) -> Phone {
        if self.registrar.is_registered(&extension.0) { Phone::Lost } else { Phone::Gone }
    }

    /// Phones that do not register are there until they fail.
    pub(super) fn look_for_fixed_phones(&mut self, now: Now) {
        let fixed = self.config.counselors.iter().filter(|(_, c)| c.contact.is_some());
        let fixed: Vec<_> = fixed.map(|(extension, _)| extension.clone()).collect();
        for extension in fixed {
            self.look_for_phone(now, &extension);
        }
    }

    /// Puts the registrar's questions to the phones.
    pub(super) fn ask_phones(&mut self, now: Now) {
        while let Some(question) = self.registrar.poll_question() {
            let draft = Draft::request(&Method::Options, &question.uri)
                .with(Name::From, format_args!("<sip:koebashi@{}>", self.sip_config.domain))
                .with(Name::To, format_args!("<{}>", question.uri));
            let tx = self.sip.request(now.mono, question.flow, draft);
            self.errands.insert(tx, Errand::Pulse(question.binding));
        }
    }

    /// The answer to a request of ours outside any dialog.
    pub(super) fn on_response(&mut self, now: Now, tx: ClientTx, response: Option<&Message>) {
        match self.errands.remove(&tx) {
            Some(Errand::Pulse(binding)) => {
                self.registrar.pulse_result(now.mono, binding, response.is_some());
            }
            Some(Errand::Ping(trunk)) => self.on_ping(now, &trunk, response),
            Some(Errand::Register(trunk, n)) => self.on_registered(now, &trunk, n, response),
            None => {}
        }
    }

    /// A call tells what a counselor did with it.
    pub(super) fn on_ask(&mut self, now: Now, ask: Ask) {
        self.unsettle();
        match ask {
            Ask::Missed(extension, miss, limit) => self.on_missed(now, &extension, miss, limit),
            Ask::Taken(extension, call) => {
                self.counselors.change(&self.config, &extension, |it| it.on_taken(call));
            }
            Ask::Freed(extension, wrap_up) => {
                let until = (!wrap_up.is_zero()).then(|| now.mono + wrap_up);
                let freed = self.counselors.change(&self.config, &extension, |counselor| {
                    counselor.idle_since = now.mono;
                    counselor.wrap_up_until = until.or(counselor.wrap_up_until);
                });
                if let (Some(()), Some(until)) = (freed, until) {
                    self.timers.set(Timer::WrapUp(extension), until);
                }
            }
        }
    }

    fn on_missed(&mut self, now: Now, extension: &Extension, miss: Miss, limit: u32) {
        match miss {
            // It is asked by OPTIONS, and rung again when it answers.
            Miss::Silent if self.registrar.doubt(now.mono, &extension.0) => {
                self.set_phone(now, extension, Phone::Lost);
            }
            Miss::Silent | Miss::Unreachable => {
                self.set_phone(now, extension, Phone::Lost);
                self.timers.set(Timer::Phone(extension.clone()), now.mono + LEFT_ALONE);
            }
            Miss::Unanswered => {
                let paused =
                    self.counselors.change(&self.config, extension, |it| it.on_missed(limit));
                if let Some(intention) = paused.flatten() {
                    self.keep(extension, intention, Actor::System);
                }
            }
        }
    }

    /// Another configuration: counselors keep what they chose, calls keep the old one.
    pub(super) fn configure(
        &mut self,
        now: Now,
        config: std::sync::Arc<Config>,
        sip_config: sip::Config,
    ) {
        self.fixed_phones = FixedPhones::new(&config);
        self.config = config;
        self.guard.set_nonce_life(sip_config.nonce_life);
        self.guard.set_guesses(sip_config.guesses);
        self.guard.set_sha256(sha256_users(&self.config));
        self.floodgate.set_limits(now.mono, sip_config.flood);
        self.sip.set_config(sip_config.clone());
        self.sip_config = sip_config;
        let known = &self.config.counselors;
        self.counselors.configure(now, &self.config);
        self.registrar.retain(|user| known.contains_key(&Extension::from(user)));
        self.look_for_fixed_phones(now);
        self.start_trunks(now);
    }
}
