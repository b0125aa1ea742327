//! Via: where we are to be answered, and where we answer (RFC 3261 §18.2, RFC 3581).
//!
//! Owns the addressing of responses and the address that we name in Via and Contact.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::sip::header::{Name, Via, elements};
use crate::sip::message::Message;
use crate::sip::print::Draft;
use crate::sip::{Flow, Transport};

/// Where we are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    address: SocketAddr,
    transport: Transport,
}

impl Place {
    /// Our end of `flow`, under another address when one is to be advertised.
    pub(crate) fn new(flow: Flow, advertised: Option<IpAddr>) -> Self {
        let ip = advertised.unwrap_or_else(|| flow.local.ip());
        let address = SocketAddr::new(ip, flow.local.port());
        Self::at(address, flow.transport)
    }

    /// This address, by this transport.
    pub(crate) fn at(address: SocketAddr, transport: Transport) -> Self {
        Self { address, transport }
    }

    /// A Via with this branch. Over datagrams it asks for the answer at the port that the request
    /// came from (RFC 3581 §3).
    pub(crate) fn via(&self, branch: &str) -> String {
        match self.transport {
            Transport::Udp => format!("SIP/2.0/UDP {};branch={branch};rport", self.address),
            Transport::Tcp => format!("SIP/2.0/TCP {};branch={branch}", self.address),
            Transport::Tls => format!("SIP/2.0/TLS {};branch={branch}", self.address),
        }
    }

    /// A Contact; `is_secure` asks for a `sips:` URI.
    pub(crate) fn contact(&self, user: &str, is_secure: bool) -> Contact<'_> {
        Contact { place: self, user: user.to_owned(), is_secure }
    }
}

/// Whether it is a `sips:` URI, alone or in angle brackets with a name before it.
pub(crate) fn is_sips(uri: &str) -> bool {
    let uri = uri.split_once('<').map_or(uri, |(_, uri)| uri);
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sips"))
}

/// `<sip:user@address:port>`.
pub(crate) struct Contact<'a> {
    place: &'a Place,
    user: String,
    is_secure: bool,
}

impl fmt::Display for Contact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.user.is_empty() { "" } else { "@" };
        let (scheme, transport) = match self.place.transport {
            // TLS is what the scheme says; to say it again is deprecated (RFC 5630 §3.1.4).
            Transport::Tls if self.is_secure => ("sips", ""),
            Transport::Tls => ("sip", ";transport=tls"),
            Transport::Tcp => ("sip", ";transport=tcp"),
            Transport::Udp => ("sip", ""),
        };
        write!(f, "<{scheme}:{}{at}{}{transport}>", self.user, self.place.address)
    }
}

/// Where the response to a request goes that came by `flow` (RFC 3261 §18.2.2, RFC 3581 §4): to
/// where it came from, but over datagrams and without `rport` to the port that Via names.
pub(crate) fn response_flow(request: &Message, flow: Flow) -> Flow {
    let Ok(via) = request.via() else { return flow };
    if flow.transport.is_stream() || via.rport().is_some() {
        return flow;
    }
    let mut remote = flow.remote;
    remote.set_port(via.port.unwrap_or_else(|| flow.transport.default_port()));
    Flow { remote, ..flow }
}

/// Where requests to the sender of a request go that came by `flow`: there; but a sender without
/// `rport` that is not behind NAT is reached where its responses are, at the port that Via names.
pub(super) fn peer_flow(request: &Message, flow: Flow) -> Flow {
    let is_direct = request.via().is_ok_and(|via| host(via.host) == Some(flow.remote.ip()));
    if is_direct { response_flow(request, flow) } else { flow }
}

/// The address that a host is, if it is one.
pub(crate) fn host(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Writes `received` and `rport` into the topmost Via of a response, as RFC 3261 §18.2.1 and
/// RFC 3581 §4 have it.
pub(crate) fn stamp(response: &mut Draft, source: SocketAddr) {
    if let Some(line) = response.header(&Name::Via).and_then(|line| stamped(line, source)) {
        response.replace(Name::Via, line);
    }
}

/// A Via line whose first element tells its source; `None`: nothing is to be told.
fn stamped(line: &str, source: SocketAddr) -> Option<String> {
    let first = str::from_utf8(elements(line.as_bytes()).next()?).ok()?;
    let rest = &line[line.find(first)? + first.len()..];
    let mut parts = first.split(';');
    let head = parts.next()?;
    let is_named = |part: &str, name: &str| {
        part.split('=').next().unwrap_or("").trim().eq_ignore_ascii_case(name)
    };
    let params: Vec<&str> = parts.collect();
    let has_rport = params.iter().any(|part| is_named(part, "rport"));
    let is_true = Via::parse(first).is_ok_and(|via| host(via.host) == Some(source.ip()));
    if !has_rport && is_true {
        return None;
    }
    let mut out = head.trim_end().to_owned();
    for part in params.iter().filter(|it| !is_named(it, "received") && !is_named(it, "rport")) {
        out.push(';');
        out.push_str(part);
    }
    out.push_str(&format!(";received={}", source.ip()));
    if has_rport {
        out.push_str(&format!(";rport={}", source.port()));
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn via_tells_the_source() {
        let check = |line: &str, source: &str, want: Option<&str>| {
            assert_eq!(stamped(line, source.parse().unwrap()).as_deref(), want, "{line}");
        };
        let same = "192.0.2.1:5060";
        check("SIP/2.0/UDP 192.0.2.1:5060;branch=z9", same, None);
        check("SIP/2.0/UDP 192.0.2.1;branch=z9", same, None);
        check(
            "SIP/2.0/UDP 192.0.2.1;rport;branch=z9",
            same,
            Some("SIP/2.0/UDP 192.0.2.1;branch=z9;received=192.0.2.1;rport=5060"),
        );
        check(
            "SIP/2.0/UDP 10.0.0.1:5060;branch=z9;received=6.6.6.6, SIP/2.0/TCP a;branch=b",
            "192.0.2.1:9",
            Some("SIP/2.0/UDP 10.0.0.1:5060;branch=z9;received=192.0.2.1, SIP/2.0/TCP a;branch=b"),
        );
        check(
            "SIP/2.0/UDP host.invalid;rport=1;branch=z9",
            "[2001:db8::1]:7",
            Some("SIP/2.0/UDP host.invalid;branch=z9;received=2001:db8::1;rport=7"),
        );
        check("SIP/2.0/UDP [2001:db8::1];branch=z9", "[2001:db8::1]:7", None);
        check("SIP/2.0/UDP [2001:db8::1]:5060;branch=z9", "[2001:db8::1]:7", None);
    }

    #[test]
    fn places() {
        let flow = |local: &str, transport| {
            Flow::new(transport, local.parse().unwrap(), "192.0.2.1:5060".parse().unwrap())
        };
        let udp = Place::new(flow("[2001:db8::2]:5060", Transport::Udp), None);
        assert_eq!(udp.via("b"), "SIP/2.0/UDP [2001:db8::2]:5060;branch=b;rport");
        assert_eq!(udp.contact("me", true).to_string(), "<sip:me@[2001:db8::2]:5060>");
        let advertised = Some("198.51.100.1".parse().unwrap());
        let tcp = Place::new(flow("10.0.0.1:5061", Transport::Tcp), advertised);
        assert_eq!(tcp.via("b"), "SIP/2.0/TCP 198.51.100.1:5061;branch=b");
        assert_eq!(tcp.contact("", false).to_string(), "<sip:198.51.100.1:5061;transport=tcp>");
        let tls = Place::new(flow("10.0.0.1:5061", Transport::Tls), None);
        assert_eq!(tls.via("b"), "SIP/2.0/TLS 10.0.0.1:5061;branch=b");
        let me = |is_secure| tls.contact("me", is_secure).to_string();
        assert_eq!(me(false), "<sip:me@10.0.0.1:5061;transport=tls>");
        assert_eq!(me(true), "<sips:me@10.0.0.1:5061>");
    }
}
