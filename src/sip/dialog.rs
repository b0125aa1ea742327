//! Dialogs (RFC 3261 §12): identity, sequence numbers, route set and remote target.
//!
//! Owns what an in-dialog request looks like. From and To are kept as text, so that a peer that
//! compares them byte for byte finds its own. No URI is ever resolved: a request goes to where the
//! dialog's messages come from, whatever its Contact says; when that connection is lost, to where
//! the phone registers next (RFC 5626 §7), and until then to the port of the same host on which
//! the peer says that it listens. Does not own the session in it.

use std::net::SocketAddr;

use crate::sip::Flow;
use crate::sip::header::{Contact, Name};
use crate::sip::kept;
use crate::sip::message::{Message, Method};
use crate::sip::print::Draft;
use crate::sip::transaction::{from_tag, host, is_same, is_sips, sequence, to_tag};
use crate::sip::uri::Uri;

/// Elements of a route set that are kept.
const ROUTES_MAX: usize = 32;

/// A dialog, early or confirmed.
#[derive(Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// Our From or To, tag included.
    local: String,
    /// The peer's, tag included when it has one.
    remote: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    /// `CSeq` of our latest request.
    pub(crate) local_seq: u32,
    /// `CSeq` of the peer's latest request.
    remote_seq: Option<u32>,
    /// In the order in which our requests visit them.
    routes: Vec<String>,
    /// Remote target: the URI of the peer's latest Contact.
    target: String,
    /// It began by a `sips:` URI, so that our Contact has to be one (§8.1.1.8, §12.1.1).
    pub(crate) is_secure: bool,
    /// Where our requests go.
    pub(crate) flow: Flow,
    /// The far end of the connection that they went by, where that is gone.
    lost: Option<SocketAddr>,
}

/// A request that is older than one that came before (§12.2.2): 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Dialog {
    /// The dialog that an INVITE to us starts; `tag` is ours.
    pub(crate) fn uas(invite: &Message, flow: Flow, tag: &str) -> Self {
        let from = text(invite, &Name::From);
        let previous = routes(invite).next().or_else(|| contact(invite));
        let is_secure = invite.uri().is_some_and(is_sips) || previous.is_some_and(|p| is_sips(&p));
        Self {
            call_id: invite.call_id().unwrap_or("").to_owned(),
            local: format!("{};tag={tag}", text(invite, &Name::To)),
            remote: from,
            local_tag: tag.to_owned(),
            remote_tag: from_tag(invite).to_owned(),
            local_seq: 0,
            remote_seq: invite.cseq().ok().map(|cseq| cseq.seq),
            routes: routes(invite).collect(),
            target: contact(invite)
                .or_else(|| invite.from().ok().map(|from| from.uri.to_owned()))
                .unwrap_or_default(),
            is_secure,
            flow,
            lost: None,
        }
    }

    /// The dialog that a response to our INVITE starts.
    pub(crate) fn uac(invite: &Draft, response: &Message, flow: Flow) -> Self {
        let mut routes: Vec<String> = routes(response).collect();
        routes.reverse();
        Self {
            call_id: invite.header(&Name::CallId).unwrap_or("").to_owned(),
            local: invite.header(&Name::From).unwrap_or("").to_owned(),
            remote: text(response, &Name::To),
            local_tag: from_tag(response).to_owned(),
            remote_tag: to_tag(response).to_owned(),
            local_seq: sequence(invite),
            remote_seq: None,
            routes,
            target: contact(response).unwrap_or_else(|| invite.uri().unwrap_or("").to_owned()),
            is_secure: invite.uri().is_some_and(is_sips),
            flow,
            lost: None,
        }
    }

    /// The dialog that an INVITE of ours may start: no peer yet.
    pub(crate) fn placeholder(invite: &Draft, tag: &str, flow: Flow) -> Self {
        Self {
            call_id: invite.header(&Name::CallId).unwrap_or("").to_owned(),
            local: invite.header(&Name::From).unwrap_or("").to_owned(),
            remote: String::new(),
            local_tag: tag.to_owned(),
            remote_tag: String::new(),
            local_seq: 0,
            remote_seq: None,
            routes: Vec::new(),
            target: invite.uri().unwrap_or("").to_owned(),
            is_secure: invite.uri().is_some_and(is_sips),
            flow,
            lost: None,
        }
    }

    /// What is kept of it.
    pub(crate) fn keep(&self) -> kept::Dialog {
        let it = self.clone();
        kept::Dialog {
            call_id: it.call_id,
            local: it.local,
            remote: it.remote,
            local_tag: it.local_tag,
            remote_tag: it.remote_tag,
            local_seq: it.local_seq,
            remote_seq: it.remote_seq,
            routes: it.routes,
            target: it.target,
            is_secure: it.is_secure,
            flow: it.flow.into(),
            lost: it.lost,
        }
    }

    /// Goes on with it. Connections did not outlive the process.
    pub(crate) fn restore(kept: kept::Dialog) -> Self {
        let mut dialog = Self {
            call_id: kept.call_id,
            local: kept.local,
            remote: kept.remote,
            local_tag: kept.local_tag,
            remote_tag: kept.remote_tag,
            local_seq: kept.local_seq,
            remote_seq: kept.remote_seq,
            routes: kept.routes,
            target: kept.target,
            is_secure: kept.is_secure,
            flow: kept.flow.into(),
            lost: kept.lost,
        };
        if dialog.flow.transport.is_stream() && dialog.lost.is_none() {
            dialog.forget_connection(dialog.flow);
        }
        dialog
    }

    /// Whether a request of the peer belongs here.
    pub(crate) fn has(&self, request: &Message) -> bool {
        request.call_id().is_ok_and(|id| id == self.call_id)
            && to_tag(request) == self.local_tag
            && from_tag(request) == self.remote_tag
    }

    /// A request to the peer, with the next sequence number.
    pub(crate) fn request(&mut self, method: &Method) -> Draft {
        self.local_seq += 1;
        self.draft(method, self.local_seq)
    }

    /// The ACK to a 2xx to our INVITE numbered `seq`.
    pub(crate) fn ack(&self, seq: u32) -> Draft {
        self.draft(&Method::Ack, seq).with(Name::MaxForwards, 70)
    }

    fn draft(&self, method: &Method, seq: u32) -> Draft {
        let is_loose = |route: &String| route_uri(route).is_none_or(|(_, loose)| loose);
        let strict = self.routes.first().filter(|route| !is_loose(route));
        let mut draft = match strict.and_then(|route| route_uri(route)) {
            // §12.2.1.1: the first route takes the place of the target, which goes last.
            Some((uri, _)) => {
                let target = format!("<{}>", self.target);
                let rest = self.routes.iter().skip(1).cloned().chain([target]);
                let rest: Vec<String> = rest.collect();
                Draft::request(method, uri).with(Name::Route, rest.join(", "))
            }
            None if self.routes.is_empty() => Draft::request(method, &self.target),
            None => Draft::request(method, &self.target).with(Name::Route, self.routes.join(", ")),
        };
        draft.push(Name::From, &self.local);
        draft.push(Name::To, &self.remote);
        draft.push(Name::CallId, &self.call_id);
        draft.push(Name::CSeq, format_args!("{seq} {method}"));
        draft
    }

    /// Takes note of a request of the peer. It must not be older than the latest.
    pub(crate) fn receive(&mut self, request: &Message, flow: Flow) -> Result<(), OutOfOrder> {
        let seq = request.cseq().map_err(|_| OutOfOrder)?.seq;
        if self.remote_seq.is_some_and(|last| seq < last) {
            return Err(OutOfOrder);
        }
        self.remote_seq = Some(seq);
        self.go_by(flow);
        Ok(())
    }

    /// A target refresh: INVITE or UPDATE of the peer, or its 2xx to ours.
    pub(crate) fn refresh(&mut self, message: &Message) {
        if let Some(target) = contact(message) {
            self.target = target;
        }
    }

    /// Its connection is gone: the next request asks for a new one. Nobody listens on the port from
    /// which the peer connected, so the next hop names the port, where it is the same host. False:
    /// the connection was another's.
    pub(crate) fn forget_connection(&mut self, flow: Flow) -> bool {
        if self.lost.is_some() || !is_same(self.flow, flow) {
            return false;
        }
        self.lost = Some(self.flow.remote);
        self.flow.connection = None;
        if let Some(hop) = self.next_hop().filter(|hop| hop.ip() == self.flow.remote.ip()) {
            self.flow.remote = hop;
        }
        true
    }

    /// Whether its connection is gone, and no other is known.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.lost.is_some()
    }

    /// Its peer is reached by this flow.
    pub(crate) fn go_by(&mut self, flow: Flow) {
        self.flow = flow;
        self.lost = None;
    }

    /// A phone that registered by `from` is behind `to` now. False: the dialog is not with it.
    pub(crate) fn follow(&mut self, from: Flow, to: Flow) -> bool {
        let had_this = self.lost == Some(from.remote) || is_same(self.flow, from);
        let is_its = had_this && self.flow.transport == to.transport;
        if is_its {
            self.go_by(to);
        }
        is_its
    }

    /// The address of the first route, or else of the target, where it is written as one.
    fn next_hop(&self) -> Option<SocketAddr> {
        let uri = match self.routes.first() {
            Some(route) => route_uri(route)?.0,
            None => &self.target,
        };
        let Ok(Uri::Sip(uri)) = Uri::parse(uri) else { return None };
        Some(SocketAddr::new(
            host(uri.host)?,
            uri.port.unwrap_or_else(|| self.flow.transport.default_port()),
        ))
    }
}

/// The header as it stands; bytes that are not UTF-8 are replaced.
fn text(message: &Message, name: &Name) -> String {
    String::from_utf8_lossy(message.header(name).unwrap_or_default()).into_owned()
}

fn routes(message: &Message) -> impl Iterator<Item = String> {
    message.list(&Name::RecordRoute).take(ROUTES_MAX).map(str::to_owned)
}

/// The URI of the first Contact.
fn contact(message: &Message) -> Option<String> {
    match message.contacts().next()?.ok()? {
        Contact::Star => None,
        Contact::Addr(address) => Some(address.uri.to_owned()),
    }
}

/// The URI of a route, and whether it is a loose one.
fn route_uri(route: &str) -> Option<(&str, bool)> {
    let uri = route.split_once('<')?.1.split_once('>')?.0;
    let is_loose = match Uri::parse(uri).ok()? {
        Uri::Sip(sip) => sip.params.has("lr"),
        Uri::Tel(_) | Uri::Other { .. } => true,
    };
    Some((uri, is_loose))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    fn flow() -> Flow {
        let at = |address: &str| address.parse().unwrap();
        Flow::new(Transport::Udp, at("192.0.2.2:5060"), at("192.0.2.1:5060"))
    }

    fn invite(routes: &str) -> Message {
        Message::parse(invite_text(routes).as_bytes()).unwrap()
    }

    fn invite_text(routes: &str) -> String {
        format!(
            "INVITE sip:a@192.0.2.2 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
             {routes}f: \"A, B\"  <sip:x@y;user=phone>;tag=f\r\nt: sip:0480000000@z\r\ni: c@d\r\n\
             CSeq: 7 INVITE\r\nm: <sip:31337@192.0.2.1:5070>\r\nl: 0\r\n\r\n"
        )
    }

    fn print(draft: &Draft) -> String {
        String::from_utf8(draft.print().to_vec()).unwrap()
    }

    #[test]
    fn from_and_to_are_kept_byte_for_byte() {
        let mut dialog = Dialog::uas(&invite(""), flow(), "ours");
        assert_eq!(
            print(&dialog.request(&Method::Bye)),
            "BYE sip:31337@192.0.2.1:5070 SIP/2.0\r\nFrom: sip:0480000000@z;tag=ours\r\n\
             To: \"A, B\"  <sip:x@y;user=phone>;tag=f\r\nCall-ID: c@d\r\nCSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn loose_and_strict_routes() {
        let check = |routes: &str, uri: &str, route: &str| {
            let mut dialog = Dialog::uas(&invite(routes), flow(), "ours");
            let bye = dialog.request(&Method::Bye);
            assert_eq!((bye.uri(), bye.header(&Name::Route)), (Some(uri), Some(route)));
        };
        check(
            "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3>\r\n",
            "sip:31337@192.0.2.1:5070",
            "<sip:p1;lr>, <sip:p2;lr>, <sip:p3>",
        );
        check(
            "Record-Route: <sip:p1>, <sip:p2;lr>\r\n",
            "sip:p1",
            "<sip:p2;lr>, <sip:31337@192.0.2.1:5070>",
        );
    }

    #[test]
    fn a_dialog_that_begins_by_sips_is_secure() {
        let check = |from: &str, to: &str, want: bool| {
            let invite = invite_text("").replace(from, to);
            let invite = Message::parse(invite.as_bytes()).unwrap();
            assert_eq!(Dialog::uas(&invite, flow(), "ours").is_secure, want, "{to}");
        };
        check("sip:", "sip:", false);
        check("INVITE sip:", "INVITE sips:", true);
        check("m: <sip:", "m: <sips:", true);
        // With a proxy between, its URI counts.
        check("m: <sip:", "Record-Route: <sip:p;lr>\r\nm: <sips:", false);
        check("m: <sip:", "Record-Route: \"P\" <SIPS:p;lr>\r\nm: <sip:", true);
    }

    #[test]
    fn after_a_lost_connection_the_next_hop_names_the_port() {
        let check = |routes: &str, from: &str, want: &str| {
            let remote = from.parse().unwrap();
            let connection = Some(crate::sip::ConnectionId(1));
            let lost = Flow { transport: Transport::Tcp, remote, connection, ..flow() };
            let mut dialog = Dialog::uas(&invite(routes), lost, "ours");
            dialog.forget_connection(flow());
            assert_eq!(dialog.flow, lost, "another's connection");
            dialog.forget_connection(lost);
            assert_eq!((dialog.flow.remote, dialog.flow.connection), (want.parse().unwrap(), None));
        };
        check("", "192.0.2.1:40000", "192.0.2.1:5070");
        check("Record-Route: <sip:192.0.2.1;lr>\r\n", "192.0.2.1:40000", "192.0.2.1:5060");
        // Of another host, or of one behind NAT, nothing is known that would be better.
        check("Record-Route: <sip:proxy;lr>\r\n", "192.0.2.1:40000", "192.0.2.1:40000");
        check("", "198.51.100.1:40000", "198.51.100.1:40000");
    }

    #[test]
    fn older_requests_are_refused() {
        let mut dialog = Dialog::uas(&invite(""), flow(), "ours");
        assert_eq!(dialog.receive(&invite(""), flow()), Ok(()));
        dialog.remote_seq = Some(8);
        assert_eq!(dialog.receive(&invite(""), flow()), Err(OutOfOrder));
    }
}
