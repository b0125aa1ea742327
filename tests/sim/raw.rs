//! A peer whose every message is written by hand: what the project's own stack would never send, or
//! would never leave out.

use std::net::SocketAddr;

use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};

use super::World;

/// A session description with G.711 and telephone-events at this address.
pub(crate) fn sdp(rtp: &str, direction: &str) -> String {
    let rtp: SocketAddr = rtp.parse().expect("an address");
    let (ip, port) = (rtp.ip(), rtp.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\
         \r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\na={direction}\r\n"
    )
}

/// One dialog of such a peer.
pub(crate) struct Raw {
    /// Its SIP address.
    pub at: String,
    /// Call-ID of its dialog.
    pub call_id: String,
    /// Our side of the dialog: From of what we send.
    pub local: String,
    /// The service's side, with its tag once known.
    pub remote: String,
    /// Request-URI.
    pub target: String,
    /// The last `CSeq` number used.
    pub seq: u32,
    /// `CSeq` number of the INVITE that CANCEL and ACK are for.
    pub invite_seq: u32,
}

impl Raw {
    /// A caller behind the trunk, at `10.0.1.N:5060`.
    pub(crate) fn caller(n: u8) -> Self {
        Self {
            at: format!("10.0.1.{n}:5060"),
            call_id: format!("raw-{n}@10.0.1.{n}"),
            local: "<sip:09011112222@carrier.example>;tag=raw".to_owned(),
            remote: "<sip:0570000000@10.0.0.1>".to_owned(),
            target: "sip:0570000000@10.0.0.1".to_owned(),
            seq: 0,
            invite_seq: 0,
        }
    }

    /// The dialog of a phone that was rung by `invite`, which it answers with the tag `raw`.
    pub(crate) fn callee(at: &str, invite: &Message) -> Self {
        let text = |name: &Name| invite.text(name).expect("a whole INVITE").to_owned();
        Self {
            at: at.to_owned(),
            call_id: text(&Name::CallId),
            local: format!("{};tag=raw", text(&Name::To)),
            remote: text(&Name::From),
            target: text(&Name::Contact).trim_matches(['<', '>']).to_owned(),
            seq: 100,
            invite_seq: 0,
        }
    }

    /// Sends a request; ACK and CANCEL carry the number of the INVITE. `more`: whole header lines.
    pub(crate) fn send(&mut self, world: &mut World, method: &Method, more: &str, body: &str) {
        if *method != Method::Cancel {
            self.learn(world);
        }
        if !matches!(method, Method::Ack | Method::Cancel) {
            self.seq += 1;
        }
        if *method == Method::Invite {
            self.invite_seq = self.seq;
        }
        let of_invite = matches!(method, Method::Ack | Method::Cancel);
        let seq = if of_invite { self.invite_seq } else { self.seq };
        let named = if *method == Method::Cancel { &Method::Invite } else { method };
        let branch = format!("{seq}{named}");
        let Self { at, call_id, local, remote, target, .. } = self;
        let kind = if body.is_empty() || more.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let length = body.len();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{call_id}{branch};rport\
             \r\nMax-Forwards: 70\r\nFrom: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\n\
             CSeq: {seq} {method}\r\nContact: <sip:raw@{at}>\r\n{more}{kind}Content-Length: {length}\
             \r\n\r\n{body}"
        );
        let at = at.clone();
        world.send_raw(&at, text.as_bytes());
    }

    /// INVITE with an offer of `rtp`.
    pub(crate) fn invite(&mut self, world: &mut World, more: &str, rtp: &str) {
        self.send(world, &Method::Invite, more, &sdp(rtp, "sendrecv"));
    }

    /// ACK of a 2xx.
    pub(crate) fn ack(&mut self, world: &mut World) {
        self.send(world, &Method::Ack, "", "");
    }

    /// Takes the service's tag and Contact from its responses.
    fn learn(&mut self, world: &World) {
        if self.remote.contains(";tag=") {
            return;
        }
        let tagged = self.received(world).into_iter().filter(|m| m.code().is_some());
        for message in tagged {
            let to = message.text(&Name::To).unwrap_or_default();
            if to.contains(";tag=") {
                self.remote = to.to_owned();
            }
            if let Some(contact) = message.text(&Name::Contact) {
                self.target = contact.trim_matches(['<', '>']).to_owned();
            }
        }
    }

    /// Everything that the service sent in this dialog.
    pub(crate) fn received(&self, world: &World) -> Vec<Message> {
        let at: SocketAddr = self.at.parse().expect("an address");
        let all = world.wire.iter().filter(|sent| sent.to == at).map(super::world::Sent::message);
        all.filter(|m| m.call_id().is_ok_and(|id| id == self.call_id)).collect()
    }

    /// Responses with this code to requests with this method.
    pub(crate) fn responses(&self, world: &World, method: &Method, code: u16) -> Vec<Message> {
        let all = self.received(world).into_iter();
        all.filter(|m| m.code() == Some(code) && m.cseq().is_ok_and(|it| it.method == *method))
            .collect()
    }

    /// Requests of the service with this method.
    pub(crate) fn requests(&self, world: &World, method: &Method) -> Vec<Message> {
        self.received(world).into_iter().filter(|m| m.method() == Some(method)).collect()
    }

    /// Answers a request of the service.
    pub(crate) fn respond(
        &self,
        world: &mut World,
        request: &Message,
        status: &str,
        more: &str,
        body: &str,
    ) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        let line = |name: &Name| {
            let value = request.text(name).expect("a whole request");
            format!("{}: {value}\r\n", name.as_str())
        };
        for via in request.headers(&Name::Via) {
            text += &format!("Via: {}\r\n", String::from_utf8_lossy(via));
        }
        text += &line(&Name::From);
        let to = request.text(&Name::To).expect("a whole request");
        let tag = if to.contains(";tag=") || status.starts_with("100") { "" } else { ";tag=raw" };
        text += &format!("To: {to}{tag}\r\n");
        text += &(line(&Name::CallId) + &line(&Name::CSeq));
        text += &format!("Contact: <sip:raw@{}>\r\n{more}", self.at);
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        world.send_raw(&self.at, text.as_bytes());
    }
}
