//! The endpoint against hand-written messages, in simulated time.

mod flows;
mod keeping;
mod limits;
mod loss;
mod mutations;
mod offers;
mod refer;
mod timers;
mod uac;
mod uas;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Endpoint;
use crate::chance::Chance;
use crate::sip::header::Name;
use crate::sip::message::Message;
use crate::sip::{Admit, Config, Event, Flow, Invite, Policy, SessionId, Transport};

pub(super) const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\n";
pub(super) const OURS: &str =
    "v=0\r\no=- 9 9 IN IP4 192.0.2.2\r\ns=-\r\nm=audio 5000 RTP/AVP 0\r\n";

pub(super) fn policy() -> Policy {
    Policy {
        rel100: false,
        session_expires: None,
        advertised: None,
        contact_user: "line".to_owned(),
    }
}

pub(super) fn flow() -> Flow {
    let at = |address: &str| address.parse().unwrap();
    Flow::new(Transport::Udp, at("192.0.2.2:5060"), at("192.0.2.1:5060"))
}

/// An endpoint, a clock, and one peer at the other end of [`flow`].
pub(super) struct Bench {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) flow: Flow,
    pub(super) admit: Admit,
}

impl Bench {
    pub(super) fn new(policy: Policy) -> Self {
        Self::with(policy, Config::default())
    }

    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    pub(super) fn with(policy: Policy, config: Config) -> Self {
        let endpoint = Endpoint::new(config, Chance::from_number(1));
        Self { endpoint, now: Instant::now(), flow: flow(), admit: Admit::Peer(policy) }
    }

    /// The peer sends this; what we send back.
    pub(super) fn receive(&mut self, text: &str) -> Vec<Message> {
        self.endpoint.handle(self.now, self.flow, text.as_bytes(), &self.admit);
        self.sent()
    }

    pub(super) fn sent(&mut self) -> Vec<Message> {
        let mut out = vec![];
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let message = Message::parse(&transmit.bytes).unwrap();
            // What was wrong with a request stays wrong in the answer that says so.
            if !matches!(message.code(), Some(400 | 505 | 513)) {
                message.validate().unwrap_or_else(|fault| panic!("{fault} in what we sent"));
            }
            out.push(message);
        }
        out
    }

    pub(super) fn flows(&mut self) -> Vec<Flow> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|it| it.flow).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// Events as text.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.events().iter().map(say).collect()
    }

    /// Lets time pass, timer by timer; everything sent with its time in ms.
    pub(super) fn wait(&mut self, duration: Duration) -> Vec<(u128, Message)> {
        let (from, end) = (self.now, self.now + duration);
        let mut out = vec![];
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            let ms = (self.now - from).as_millis();
            out.extend(self.sent().into_iter().map(|message| (ms, message)));
        }
        self.now = end;
        out
    }

    /// An INVITE of the peer has come; its session.
    pub(super) fn invited(&mut self, text: &str) -> SessionId {
        let sent = self.receive(text);
        assert_eq!(lines(&sent), ["100 INVITE"]);
        match self.events().as_slice() {
            [Event::Invite { session, .. }] => *session,
            other => panic!("{other:?}"),
        }
    }

    /// A session that the peer started is set up; with our tag.
    pub(super) fn answered(&mut self, text: &str) -> (SessionId, String) {
        let session = self.invited(text);
        self.endpoint.answer(self.now, session, Bytes::from(OURS));
        let sent = self.sent();
        let tag = tag_of(&sent[0]);
        assert!(self.receive(&request("ACK", 1, &tag, "ack", "")).is_empty());
        assert_eq!(self.told(), ["Confirmed"]);
        (session, tag)
    }

    /// Calls the peer: session, and the INVITE.
    pub(super) fn call(&mut self, policy: Policy) -> (SessionId, Message) {
        let invite = Invite {
            flow: self.flow,
            uri: "sip:101@192.0.2.1:5060".to_owned(),
            from: "\"相談\" <sip:caller-x@koebashi.local>".to_owned(),
            to: "<sip:101@koebashi.local>".to_owned(),
            headers: vec![(Name::Other("X-Line".into()), "nijiiro".to_owned())],
            sdp: Bytes::from(OURS),
            policy,
        };
        let session = self.endpoint.invite(self.now, invite);
        let sent = self.sent();
        assert_eq!(lines(&sent), ["INVITE"]);
        (session, sent[0].clone())
    }

    /// A session that we started is set up; with the INVITE.
    pub(super) fn connected(&mut self, policy: Policy, more: &str) -> (SessionId, Message) {
        let (session, invite) = self.call(policy);
        let sent = self.receive(&response(&invite, 200, "t", more, OFFER));
        assert_eq!(lines(&sent), ["ACK"]);
        assert_eq!(self.told(), ["Answered sdp"]);
        (session, invite)
    }
}

/// An INVITE of the peer, with headers (each ended by CRLF) and a body.
pub(super) fn invite_with(branch: &str, more: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "INVITE sip:a1b2c3@192.0.2.2:5060 SIP/2.0\r\n\
         v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 66\r\n\
         f: <sip:anonymous@anonymous.invalid>;tag=5F21\r\nt: <sip:0480000000@ntt-east.ne.jp>\r\n\
         i: 7c1e@192.0.2.1\r\nCSeq: 1 INVITE\r\nm: <sip:31337@192.0.2.1:5060>\r\n{more}{kind}\
         l: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn invite(more: &str) -> String {
    invite_with("invite", more, OFFER)
}

/// A request of the peer in the dialog of [`invite`]; `more`: headers, or headers, an empty line
/// and a body.
pub(super) fn request(method: &str, seq: u32, tag: &str, branch: &str, more: &str) -> String {
    let (more, body) = more.split_once("\r\n\r\n").map_or((more, ""), |(a, b)| (a, b));
    let more = if more.is_empty() { String::new() } else { format!("{}\r\n", more.trim_end()) };
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    format!(
        "{method} sip:line@192.0.2.2:5060 SIP/2.0\r\n\
         v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 66\r\n\
         f: <sip:anonymous@anonymous.invalid>;tag=5F21\r\n\
         t: <sip:0480000000@ntt-east.ne.jp>{tag}\r\n\
         i: 7c1e@192.0.2.1\r\nCSeq: {seq} {method}\r\nm: <sip:31337@192.0.2.1:5060>\r\n\
         {more}l: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The peer's response to a request of ours.
pub(super) fn response(to: &Message, code: u16, tag: &str, more: &str, body: &str) -> String {
    let text = |name| to.text(&name).unwrap().to_owned();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let to_value = text(Name::To);
    let to_value = if tag.is_empty() || to_value.contains(";tag=") {
        to_value
    } else {
        format!("{to_value};tag={tag}")
    };
    format!(
        "SIP/2.0 {code} X\r\nVia: {}\r\nFrom: {}\r\nTo: {to_value}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:phone@10.0.0.9:5099>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        text(Name::Via),
        text(Name::From),
        text(Name::CallId),
        text(Name::CSeq),
        body.len()
    )
}

/// A request of the peer in the dialog of our INVITE.
pub(super) fn back(invite: &Message, method: &str, seq: u32, branch: &str, more: &str) -> String {
    let (more, body) = more.split_once("\r\n\r\n").map_or((more, ""), |(a, b)| (a, b));
    let more = if more.is_empty() { String::new() } else { format!("{}\r\n", more.trim_end()) };
    format!(
        "{method} sip:line@192.0.2.2:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
         From: {};tag=t\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {seq} {method}\r\n\
         Contact: <sip:phone@10.0.0.9:5099>\r\n{more}Content-Length: {}\r\n\r\n{body}",
        invite.text(&Name::To).unwrap(),
        invite.text(&Name::From).unwrap(),
        invite.call_id().unwrap(),
        body.len()
    )
}

/// Headers and SDP for [`request`] and [`back`].
pub(super) fn with_sdp(more: &str, body: &str) -> String {
    format!("{more}Content-Type: application/sdp\r\n\r\n{body}")
}

pub(super) fn tag_of(message: &Message) -> String {
    message.to().ok().and_then(|to| to.tag()).unwrap_or("").to_owned()
}

/// `200 INVITE` for a response, `BYE` for a request.
pub(super) fn line(message: &Message) -> String {
    let method = message.cseq().unwrap().method;
    match message.code() {
        Some(code) => format!("{code} {method}"),
        None => method.to_string(),
    }
}

pub(super) fn lines(messages: &[Message]) -> Vec<String> {
    messages.iter().map(line).collect()
}

/// The times at which a message of that line went out.
pub(super) fn times(sent: &[(u128, Message)], of: &str) -> Vec<u128> {
    sent.iter().filter(|(_, message)| line(message) == of).map(|(ms, _)| *ms).collect()
}

fn say(event: &Event) -> String {
    let with = |sdp: &Option<Bytes>| if sdp.is_some() { " sdp" } else { "" };
    match event {
        Event::Invite { .. } => "Invite".to_owned(),
        Event::Progress { code, sdp, .. } => format!("Progress {code}{}", with(sdp)),
        Event::Answered { sdp, .. } => format!("Answered{}", with(sdp)),
        Event::Confirmed { sdp, early: false, .. } => format!("Confirmed{}", with(sdp)),
        Event::Confirmed { sdp, early: true, .. } => format!("Confirmed early{}", with(sdp)),
        Event::Offer { sdp, .. } => format!("Offer{}", with(sdp)),
        Event::Reoffered { result: Ok(sdp), .. } => format!("Reoffered{}", with(sdp)),
        Event::Reoffered { result: Err(code), .. } => format!("Reoffered {code}"),
        Event::Info { digit, .. } => format!("Info {digit}"),
        Event::Refer { target, attended, replaces, .. } => {
            format!("Refer {target} {attended} {replaces:?}")
        }
        Event::Probed { alive, .. } => format!("Probed {alive}"),
        Event::Ended { cause, .. } => format!("Ended {cause:?}"),
        Event::Request { request, .. } => format!("Request {}", line(request)),
        Event::Response { response, .. } => {
            format!("Response {:?}", response.as_ref().and_then(Message::code))
        }
    }
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
