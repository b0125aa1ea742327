//! `[[trunk]]`: where calls come from.

use std::collections::BTreeMap;

use super::Context;
use super::secrets::{Chosen, password};
use super::service::{DAY, s};
use super::sheet::Section;
use super::value;
use crate::call::config::{DtmfMeans, NumberSource, Register, Trunk, TrunkId};
use crate::complaint::{Fit, Value};

/// Trunks at most.
const MAX_TRUNKS: usize = 100;

/// Every trunk.
pub(super) fn trunks(root: &Section<'_>, context: &Context<'_>) -> BTreeMap<TrunkId, Trunk> {
    let mut trunks = BTreeMap::new();
    let sections = root.sections("trunk", Some("id"));
    if sections.len() > MAX_TRUNKS {
        root.error("trunk", Value::TooMany(sections.len(), MAX_TRUNKS));
    }
    for section in sections.iter().take(MAX_TRUNKS) {
        let id = section.required("id", value::id);
        let trunk = trunk(section, context);
        section.done();
        if let (Some(id), Some(trunk)) = (id, trunk) {
            told_apart(section, &trunk, &trunks);
            trunks.insert(TrunkId::from(id.as_str()), trunk);
        }
    }
    trunks
}

/// A trunk is known by the address that it calls from, so no address may belong to two.
fn told_apart(section: &Section<'_>, trunk: &Trunk, others: &BTreeMap<TrunkId, Trunk>) {
    for (id, other) in others {
        for peer in &trunk.peers {
            if other.peers.contains(peer) {
                section.error("peers", Fit::PeerTaken(peer.to_string(), id.to_string()));
            } else if other.peers.iter().any(|o| o.contains(peer) || peer.contains(o)) {
                section.warn("peers", Fit::PeerOverlaps(peer.to_string(), id.to_string()));
            }
        }
    }
}

fn trunk(section: &Section<'_>, context: &Context<'_>) -> Option<Trunk> {
    let sources = [
        ("P-Called-Party-ID", NumberSource::PCalledPartyId),
        ("To", NumberSource::To),
        ("Request-URI", NumberSource::RequestUri),
    ];
    let means =
        [("rfc4733", DtmfMeans::Rfc4733), ("info", DtmfMeans::Info), ("inband", DtmfMeans::Inband)];
    let peers = section.list("peers", &[], value::network);
    let register = registers(section, context);
    let called_number = section.list("called_number", &sources.map(|(name, _)| name), |text| {
        value::one_of(text, &sources)
    });
    let dtmf =
        section.list("dtmf", &means.map(|(name, _)| name), |text| value::one_of(text, &means));
    let codecs = section.list("codecs", &["PCMU", "PCMA"], value::codec);
    let dscp = section.section("dscp");
    let (dscp_sip, dscp_rtp) = (dscp.number("sip", 32, 0..=63), dscp.number("rtp", 46, 0..=63));
    dscp.done();
    let trunk = Trunk {
        peers: peers?,
        register,
        called_number: called_number?,
        add_prefix: section.parsed("add_prefix", "", prefix)?,
        rel100: section.choice("rel100", "supported", &[("off", false), ("supported", true)])?,
        session_expires: section.duration_or_off("session_expires", "300s", s(90)..=DAY)?,
        dtmf: dtmf?,
        codecs: codecs?,
        srtp: section.choice("srtp", "off", value::SRTP)?,
        dscp_sip,
        dscp_rtp,
        options_ping: section.duration_or_off("options_ping", "off", s(5)..=DAY)?,
        advertised: section.parsed("advertised", "", value::address_or_none)?,
    };
    complete(section, &trunk);
    Some(trunk)
}

/// Complains about what a trunk lacks.
fn complete(section: &Section<'_>, trunk: &Trunk) {
    if trunk.peers.is_empty() && !section.has("register") && !section.is_refused("peers") {
        section.error("peers", Fit::NoPeers);
    }
    if trunk.peers.iter().any(|peer| peer.prefix_len() == 0) {
        section.warn("peers", Fit::Everyone);
    }
    if trunk.called_number.is_empty() && !section.is_refused("called_number") {
        section.error("called_number", Fit::NoCalledNumber);
    }
    if trunk.codecs.is_empty() && !section.is_refused("codecs") {
        section.error("codecs", Fit::NoCodecs);
    }
}

fn prefix(text: &str) -> value::Read<String> {
    if text.len() <= 8 && text.chars().all(|c| c.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Value::NoPrefix(text.to_owned()).into())
}

/// `register`: one table or several.
fn registers(section: &Section<'_>, context: &Context<'_>) -> Vec<Register> {
    let is_one = section.value("register").is_some_and(|(value, _)| value.is_table());
    let tables =
        if is_one { vec![section.section("register")] } else { section.sections("register", None) };
    tables
        .into_iter()
        .filter_map(|table| {
            let uri = table.required("uri", value::registrar);
            let user = table.required("user", user);
            let aor = table.optional("aor", aor);
            let auth_user = table.optional("auth_user", user_or_name);
            let password = password(&table, context, Chosen::ByCarrier);
            let expires = table.duration("expires", "1h", s(60)..=DAY);
            table.done();
            let (uri, user, expires) = (uri?, user?, expires?);
            Some(Register { uri, aor, user, auth_user, password, expires, addresses: Vec::new() })
        })
        .collect()
}

/// The user part of a URI, as it is written there.
fn user(text: &str) -> value::Read<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/%#".contains(c);
    if !text.is_empty() && text.len() <= 100 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Value::NoSipUser(text.to_owned()).into())
}

/// A user name of a digest, which some carriers write with a domain.
fn user_or_name(text: &str) -> value::Read<String> {
    let odd = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ':');
    if !text.is_empty() && text.len() <= 200 && !text.contains(odd) {
        return Ok(text.to_owned());
    }
    Err(Value::NoUserName(text.to_owned()).into())
}

fn aor(text: &str) -> value::Read<String> {
    let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:"));
    let parts = rest.and_then(|rest| rest.split_once('@'));
    let is_good = parts.is_some_and(|(name, host)| user(name).is_ok() && value::host(host).is_ok());
    if is_good { Ok(text.to_owned()) } else { Err(Value::NoSipAddress(text.to_owned()).into()) }
}
