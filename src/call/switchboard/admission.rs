//! Whom a message is from, whether it is heard at all, and who a phone's request is from.
//!
//! Owns admission: by source before a message is read, then by digest. Does not own the rules
//! themselves (`sip::floodgate`, `sip::auth`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Switchboard;
use crate::call::config::{Config, Counselor, Extension, Trunk, TrunkId};
use crate::sip::auth::{Accounts, Ha1, Settings, Sha256Users, Source, Verdict};
use crate::sip::floodgate::Standing;
use crate::sip::header::{Contact, Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::registrar::Registrar;
use crate::sip::uri::Uri;
use crate::sip::{self, Admit, Flow, Policy, Transport};
use crate::time::Now;

/// Whose a flow is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A counselor's phone.
    Phone,
    /// A stream from an address where a phone is registered: that phone's, or of whoever shares it.
    Neighbor,
    /// A trunk.
    Trunk(TrunkId),
    /// The test call's.
    Trial,
    /// Nobody's.
    Stranger,
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
        if self.registrar.owner_of_flow(flow).is_some() || self.fixed_phones.is_at(&flow.remote) {
            return Origin::Phone;
        }
        let ip = flow.remote.ip().to_canonical();
        let mut trunks = self.config.trunks.iter();
        match trunks.find(|(_, trunk)| sends_for(trunk, ip)) {
            Some((id, _)) => Origin::Trunk(id.clone()),
            None if flow.transport.is_stream()
                && self.registrar.knows_address(flow.remote.ip()) =>
            {
                Origin::Neighbor
            }
            None => Origin::Stranger,
        }
    }

    /// Whether a message that has come by this flow is looked at: to be asked before it goes in
    /// ([`Input::Sip`](super::Input::Sip)), with the time that it has waited to be read where it
    /// begins a call. Whoever is registered by the flow, or sends for a trunk, always is.
    pub fn hears(&mut self, now: Instant, flow: &Flow, waited: Option<Duration>) -> bool {
        let limit = self.sip_config.busy_after;
        self.is_late = waited.is_some_and(|waited| self.lateness.reads(now, waited, limit));
        let ip = flow.remote.ip();
        let standing = match self.origin(flow) {
            // Its address may be that of many, and digests cost us something.
            Origin::Neighbor => Standing::Stream,
            Origin::Phone | Origin::Trunk(_) | Origin::Trial => Standing::Peer,
            Origin::Stranger if flow.transport != Transport::Udp => Standing::Stream,
            Origin::Stranger if self.registrar.knows_address(ip) => Standing::Neighbor,
            Origin::Stranger => Standing::Stranger,
        };
        self.floodgate.admits(now, ip, standing)
    }

    /// How a message is dealt with.
    pub(super) fn admit(&mut self, flow: &Flow) -> Admit {
        let is_late = std::mem::take(&mut self.is_late);
        match self.origin(flow) {
            Origin::Phone | Origin::Neighbor => Admit::Peer(self.phone_policy()),
            Origin::Trunk(id) if is_late => Admit::Busy(self.trunk_policy(&id)),
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

    /// Who sent a request, by digest.
    pub(super) fn authenticate(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
    ) -> Result<Extension, Denied> {
        let accounts = Secrets { counselors: &self.config.counselors, registrar: &self.registrar };
        let registered = self.registrar.owner_of_flow(&flow);
        let source = Source { address: flow.remote.ip(), registered };
        let realm = &self.sip_config.domain;
        match self.guard.verify(now.mono, &source, request, realm, &accounts) {
            Verdict::Granted { user } => {
                let extension = Extension::from(user.as_str());
                match self.claims_another(request, &extension) {
                    true => Err(Denied::Forbidden),
                    false => Ok(extension),
                }
            }
            Verdict::Challenge(values) => Err(Denied::Challenge(values)),
            Verdict::Forbidden => Err(Denied::Forbidden),
        }
    }

    /// Whether a request says to be another extension's than its digest does.
    fn claims_another(&self, request: &Message, own: &Extension) -> bool {
        let asserted = request.list(&Name::PAssertedIdentity);
        let asserted = asserted.filter_map(|it| NameAddr::parse(it).ok());
        let contacts = request.contacts().filter_map(|it| match it {
            Ok(Contact::Addr(address)) => Some(address),
            Ok(Contact::Star) | Err(_) => None,
        });
        let mut all = request.from().into_iter().chain(asserted).chain(contacts);
        all.any(|address| {
            let uri = Uri::parse(address.uri).ok();
            let user = uri.as_ref().and_then(Uri::sip).and_then(|uri| uri.user.as_deref());
            let user = user.map(Extension::from);
            user.is_some_and(|it| it != *own && self.config.counselors.contains_key(&it))
        })
    }
}

/// Why a request has no sender.
pub(super) enum Denied {
    Challenge(Vec<String>),
    Forbidden,
}

/// The proofs of the configuration's counselors, and where their phones are.
struct Secrets<'a> {
    counselors: &'a BTreeMap<Extension, Counselor>,
    registrar: &'a Registrar,
}

impl Accounts for Secrets<'_> {
    fn ha1(&self, user: &str) -> Option<Ha1> {
        let secret = self.counselors.get(&Extension::from(user))?.secret.as_ref()?;
        Some(Ha1 { md5: secret.md5.clone(), sha256: secret.sha256.clone() })
    }

    fn is_at(&self, user: &str, address: IpAddr) -> bool {
        self.registrar.is_at(user, address)
    }
}

/// Whether calls from `ip` are the trunk's: a peer of the list, or its registrar.
fn sends_for(trunk: &Trunk, ip: IpAddr) -> bool {
    trunk.peers.iter().any(|net| net.contains(&ip))
        || trunk.register.iter().any(|register| register.addresses.contains(&ip))
}

/// The digest's rules, as the configuration has them.
pub(super) fn settings(config: &Config, sip_config: &sip::Config) -> Settings {
    Settings {
        nonce_life: sip_config.nonce_life,
        guesses: sip_config.guesses,
        max_sources: sip_config.flood.max_sources,
        sha256: sha256_users(config),
        ..Settings::default()
    }
}

/// Which extensions have a SHA-256 proof.
pub(super) fn sha256_users(config: &Config) -> Sha256Users {
    let secrets = config.counselors.values().filter_map(|it| it.secret.as_ref());
    Sha256Users::of(secrets.map(|secret| secret.sha256.is_some()))
}
