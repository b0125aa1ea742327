//! The addresses of the trunks' registrars: the only names that are ever looked up, and only
//! because the operator wrote them. No message of a peer makes us ask a name server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::call::config::{Config, Register};
use crate::sip::uri::Uri;

/// How long one name may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Addresses that are kept of one name.
const ADDRESSES_MAX: usize = 8;
/// The port that is asked for; the answer's is not used.
const PORT: u16 = 5060;

/// Fills in what needs no looking up: registrars that are named by address.
pub(super) fn literals(config: &mut Config) {
    for register in registers(config) {
        if let Some(ip) = host(&register.uri).and_then(|host| literal(&host)) {
            register.addresses = vec![ip];
        }
    }
}

/// Looks up every registrar's name, and gives the configuration back. One that can't be found now
/// keeps the addresses it has.
pub(super) async fn names(mut config: Config) -> Config {
    look_up(registers(&mut config)).await;
    config
}

/// Takes the addresses that were found for the same registrars. Says whether anything is different
/// from before.
pub(super) fn renew(config: &mut Config, found: &Config) -> bool {
    let mut is_new = false;
    for register in registers(config) {
        let mut same = found.trunks.values().flat_map(|trunk| &trunk.register);
        let same = same.find(|it| it.uri == register.uri && it.addresses != register.addresses);
        if let Some(same) = same.filter(|same| !same.addresses.is_empty()) {
            register.addresses.clone_from(&same.addresses);
            is_new = true;
        }
    }
    is_new
}

/// Looks up the registrars' names of which no address is known: a name server that is slow must
/// not hold up a change of something else.
pub(super) async fn new_names(config: &mut Config) {
    look_up(registers(config).filter(|register| register.addresses.is_empty())).await;
}

async fn look_up(registers: impl Iterator<Item = &mut Register>) {
    for register in registers {
        let Some(host) = host(&register.uri).filter(|host| literal(host).is_none()) else {
            continue;
        };
        match timeout(LIMIT, lookup_host((host.as_str(), PORT))).await {
            Ok(Ok(found)) => register.addresses = addresses(found),
            Ok(Err(error)) => tracing::warn!(%host, %error, "a registrar's name is not found"),
            Err(_) => tracing::warn!(%host, "no answer about a registrar's name"),
        }
    }
}

/// Keeps the addresses that another configuration has found for the same registrars.
pub(super) fn keep(config: &mut Config, known: &Config) {
    for register in registers(config).filter(|r| r.addresses.is_empty()) {
        let mut same = known.trunks.values().flat_map(|t| &t.register);
        if let Some(same) = same.find(|r| r.uri == register.uri) {
            register.addresses.clone_from(&same.addresses);
        }
    }
}

fn registers(config: &mut Config) -> impl Iterator<Item = &mut Register> {
    config.trunks.values_mut().flat_map(|trunk| &mut trunk.register)
}

/// In one order, whatever the name server's turn: the same set is no news.
fn addresses(found: impl Iterator<Item = SocketAddr>) -> Vec<IpAddr> {
    let mut found: Vec<_> = found.map(|address| address.ip()).collect();
    found.sort();
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    found
}

/// The host of a SIP URI, without brackets.
fn host(uri: &str) -> Option<String> {
    match Uri::parse(uri) {
        Ok(Uri::Sip(uri)) => {
            let host = uri.host.trim_start_matches('[').trim_end_matches(']');
            Some(host.to_owned())
        }
        Ok(Uri::Tel(_) | Uri::Other { .. }) | Err(_) => None,
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_literals() {
        let of = |uri| host(uri).map(|host| (literal(&host).is_some(), host));
        assert_eq!(of("sip:192.0.2.1:5070;transport=tcp"), Some((true, "192.0.2.1".to_owned())));
        assert_eq!(of("sip:[2001:db8::1]"), Some((true, "2001:db8::1".to_owned())));
        assert_eq!(of("sip:user@carrier.example"), Some((false, "carrier.example".to_owned())));
        assert_eq!(of("tel:110"), None);
    }

    #[test]
    fn the_order_of_answers_is_no_news() {
        let of = |texts: [&str; 3]| addresses(texts.into_iter().map(|t| t.parse().unwrap()));
        let (one, two) = ("192.0.2.1:1", "192.0.2.2:1");
        assert_eq!(of([one, two, one]), of([two, two, one]));
    }
}
