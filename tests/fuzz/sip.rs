//! Readers of SIP: datagrams, streams, URIs, header values, digests, session descriptions.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::chance::Chance;
use koebashi::pii::Pii;
use koebashi::sip::auth::{
    self, Accounts, Challenge, Credentials, Guard, Ha1, Settings, Source, Verdict,
};
use koebashi::sip::endpoint::Endpoint;
use koebashi::sip::frame::{Frame, FrameError, Framer};
use koebashi::sip::header::{CSeq, Name, NameAddr, RAck, SessionExpires, Via};
use koebashi::sip::message::{Message, Method};
use koebashi::sip::parse::Limits;
use koebashi::sip::print::Draft;
use koebashi::sip::sdp::{self as description, Codec, Direction, Keys, Ours, Security};
use koebashi::sip::uri::Uri;
use koebashi::sip::{Admit, Config, Flow, Policy, Transport};

/// Most that is answered to who is not known, for each byte that came (with slack for what is copied
/// into an answer twice).
const AMPLIFICATION: usize = 3;

/// A datagram: read, printed, read again; then given to a stack, as a peer's and as a stranger's.
pub(crate) fn datagram(bytes: &[u8]) {
    if let Ok(message) = Message::parse(bytes) {
        assert!(message.length() <= bytes.len());
        assert!(message.body().len() <= message.length());
        read_all(&message);
        printed_reads_the_same(&message);
        let answer = Draft::response(&message, 400).to_tag("x").print();
        let answer = Message::parse(&answer).expect("our answer can be read");
        // Ends of lines that are none are left out, and then what is blank at the end.
        let plain = |m: &Message| {
            let value = m.header(&Name::CallId).unwrap_or_default().iter();
            let value: Vec<u8> = value.filter(|byte| !b"\r\n".contains(byte)).copied().collect();
            value.trim_ascii().to_vec()
        };
        assert_eq!(plain(&answer), plain(&message));
        assert!(answer.lines().all(|(_, value)| !value.contains(&b'\n')));
    }
    to_stack(bytes);
}

/// Reads everything that can be read, and finds it within bounds.
fn read_all(message: &Message) {
    let names = [Name::Via, Name::Contact, Name::Supported, Name::Route, Name::parse(b"x-own")];
    for name in &names {
        let elements: usize = message.list(name).map(str::len).sum();
        let lines: usize = message.headers(name).map(<[u8]>::len).sum();
        assert!(elements <= lines, "a list is longer than its lines");
        message.number(name);
        message.has_token(name, "timer");
    }
    let uris = message.uri().into_iter().chain(message.from().ok().map(|from| from.uri));
    for text in uris {
        uri(text.as_bytes());
    }
    message.via().map(|via| (via.rport(), via.received())).ok();
    message.to().map(|to| to.tag().is_some()).ok();
    assert!(message.contacts().count() <= message.length());
    message.session_expires();
    message.cseq().ok();
    message.rack();
    message.validate().ok();
    if let Some(sdp) = message.sdp() {
        assert!(sdp.len() <= message.body().len());
    }
}

fn printed_reads_the_same(message: &Message) {
    let is_text = message.lines().all(|(_, value)| {
        str::from_utf8(value)
            .is_ok_and(|text| !text.contains(|c: char| c.is_ascii_control() && c != '\t'))
    });
    let (Some(method), Some(uri)) = (message.method(), message.uri()) else { return };
    if message.validate().is_err() || !is_text {
        return;
    }
    let mut draft = Draft::request(method, uri);
    let own = [Name::ContentLength, Name::ContentType];
    let lines = |m: &Message| {
        let lines = m.lines().map(|(name, value)| (Name::parse(name), value.to_vec()));
        lines.filter(|(name, _)| !own.contains(name)).collect::<Vec<_>>()
    };
    for (name, value) in lines(message) {
        draft.push(name, String::from_utf8_lossy(&value));
    }
    let again = Message::parse(&draft.print()).expect("what was printed can be read");
    assert_eq!(lines(&again), lines(message));
    assert_eq!((again.method(), again.uri()), (Some(method), Some(uri)));
    assert_eq!(again.validate(), Ok(()));
}

fn here() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5060))
}

fn to_stack(bytes: &[u8]) {
    let config = Config {
        listen: vec![(Transport::Udp, here())],
        max_transactions: 8,
        max_sessions: 4,
        ..Config::default()
    };
    let policy = Policy {
        rel100: true,
        session_expires: Some(Duration::from_secs(90)),
        advertised: None,
        contact_user: "koebashi".into(),
    };
    let now = Instant::now();
    for admit in [Admit::Stranger, Admit::Peer(policy)] {
        let is_stranger = matches!(admit, Admit::Stranger);
        let mut stack = Endpoint::new(config.clone(), Chance::from_number(1));
        let flow = Flow::new(Transport::Udp, here(), SocketAddr::from(([10, 0, 9, 9], 5060)));
        // Twice: the second is a retransmission.
        stack.handle(now, flow, bytes, &admit);
        stack.handle(now, flow, bytes, &admit);
        let mut answered = 0;
        while let Some(transmit) = stack.poll_transmit() {
            Message::parse(&transmit.bytes).expect("what is sent can be read");
            answered += transmit.bytes.len();
        }
        while stack.poll_event().is_some() {}
        if is_stranger {
            assert!(answered <= 2 * AMPLIFICATION * bytes.len(), "{answered} for {}", bytes.len());
        }
        // Every deadline passes, and nothing is left but what the user has to answer.
        for _ in 0..200 {
            let Some(at) = stack.poll_timeout() else { break };
            stack.handle_timeout(at.max(now));
            while stack.poll_event().is_some() {}
            while stack.poll_transmit().is_some() {}
        }
        assert!(stack.counts().transactions <= 8 && stack.counts().sessions <= 4);
    }
}

/// A stream: however it is cut, the same comes out of it.
pub(crate) fn stream(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(8192)];
    let whole = frames(&[bytes]);
    // Every place in short streams, some of them in long ones.
    for at in (0..bytes.len()).step_by(bytes.len().div_ceil(128).max(1)) {
        let (one, two) = bytes.split_at(at);
        assert_eq!(frames(&[one, two]), whole, "cut at {at}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(frames(&single), whole, "byte by byte");
}

/// What comes out of a stream that comes in these pieces.
fn frames(pieces: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
    let limits = Limits::default();
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece);
        frames.extend(framer.by_ref());
    }
    for frame in &frames {
        if let Ok(Frame::Message(bytes)) = frame
            && let Ok(message) = Message::parse(bytes)
        {
            assert_eq!(message.length(), bytes.len(), "a frame is one message");
        }
    }
    frames
}

/// A URI: what it says is in it.
pub(crate) fn uri(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(uri) = Uri::parse(text) else { return };
    if let Some(number) = uri.number() {
        let digits = number.strip_prefix('+').unwrap_or(&number);
        assert!(digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"*#.-()".contains(&b)));
        assert!(number.len() <= text.len() + 1);
    }
    if let Some(sip) = uri.sip() {
        assert!(!sip.host.is_empty() && text.contains(sip.host));
        assert!(sip.ip().is_none_or(|ip| ip.to_string().len() <= 45));
        sip.transport();
    }
    assert_eq!(Uri::parse(text).map(|uri| uri.number()), Ok(uri.number()));
}

/// Each typed value, by the first byte; what is read, written and read again is the same.
pub(crate) fn headers(bytes: &[u8]) {
    let Some((which, value)) = bytes.split_first() else { return };
    let text = str::from_utf8(value);
    match (which % 7, text) {
        (0, _) => {
            if let Ok(cseq) = CSeq::parse(value) {
                let again = format!("{} {}", cseq.seq, cseq.method);
                assert_eq!(CSeq::parse(again.as_bytes()), Ok(cseq));
            }
        }
        (1, _) => {
            if let Ok(rack) = RAck::parse(value) {
                let again = format!("{} {} {}", rack.rseq, rack.cseq, rack.method);
                assert_eq!(RAck::parse(again.as_bytes()), Ok(rack));
            }
        }
        (2, Ok(text)) => {
            if let Ok(expires) = SessionExpires::parse(text) {
                let again = SessionExpires::parse(&expires.seconds.to_string());
                assert_eq!(again.map(|again| again.seconds), Ok(expires.seconds));
            }
        }
        (3, Ok(text)) => {
            if let Ok(via) = Via::parse(text) {
                assert!(!via.host.is_empty() && text.contains(via.host));
                assert!(via.branch().is_none_or(|branch| text.contains(branch)));
                via.rport();
                via.received();
                assert!(via.params.iter().count() <= text.len());
            }
        }
        (4, _) => {
            if let Ok(address) = NameAddr::parse(value) {
                let bracketed = format!("<{}>", address.uri);
                let again = NameAddr::parse(&bracketed).expect("its URI alone is an address");
                assert_eq!(again.uri, address.uri);
                address.tag();
                assert!(address.params.iter().count() <= value.len());
            }
        }
        (5, _) => {
            let name = Name::parse(value);
            assert_eq!(Name::parse(name.as_str().as_bytes()), name, "a name is its own name");
        }
        _ => in_a_message(value),
    }
}

/// The value in every header that is read in some way of its own.
fn in_a_message(value: &[u8]) {
    if value.contains(&b'\n') || value.contains(&b'\r') {
        return;
    }
    let names = "Via From To CSeq Contact Route Record-Route Max-Forwards Expires Session-Expires \
        Min-SE Require Supported RSeq RAck Refer-To Replaces P-Asserted-Identity Privacy \
        P-Called-Party-ID Content-Type Content-Disposition Retry-After Event Subscription-State \
        Reason Allow Accept";
    for name in names.split_whitespace() {
        let mut text =
            format!("INVITE sip:1@10.0.0.1 SIP/2.0\r\nCall-ID: a\r\nMax-Forwards: 70\r\n{name}: ")
                .into_bytes();
        text.extend_from_slice(value);
        for line in ["Via: SIP/2.0/UDP 10.0.9.9;branch=z9hG4bKa", "CSeq: 1 INVITE"] {
            if !line.starts_with(name) {
                text.extend_from_slice(format!("\r\n{line}").as_bytes());
            }
        }
        for line in ["From: <sip:a@b>;tag=a", "To: <sip:c@d>"] {
            if !line.starts_with(name) {
                text.extend_from_slice(format!("\r\n{line}").as_bytes());
            }
        }
        text.extend_from_slice(b"\r\n\r\n");
        datagram(&text);
    }
}

/// One account, whose password nobody knows.
struct OneAccount;

impl Accounts for OneAccount {
    fn ha1(&self, user: &str) -> Option<Ha1> {
        (user == "101").then(|| Ha1 { md5: Pii::new("0".repeat(32)), sha256: None })
    }

    fn is_at(&self, _: &str, _: IpAddr) -> bool {
        false
    }
}

/// Digests: no bytes are a proof, and whatever we answer to a challenge can be read.
pub(crate) fn auth(bytes: &[u8]) {
    if bytes.contains(&b'\n') || bytes.contains(&b'\r') {
        return;
    }
    if let Ok(credentials) = Credentials::parse(bytes) {
        assert!(credentials.username.len() <= bytes.len());
    }
    if let Ok(challenges) = Challenge::parse_all(bytes)
        && let Some(challenge) = auth::choose(&challenges)
    {
        let password = Pii::new("secret");
        let asked = auth::Asked {
            method: "INVITE",
            uri: "sip:1@10.0.0.1",
            user: "101",
            password: &password,
            count: 1,
        };
        let answer = auth::answer(challenge, &asked, &mut Chance::from_number(1));
        assert!(!answer.contains(['\r', '\n']), "an answer is one line");
        assert!(!answer.contains("secret"));
        let read = Credentials::parse(answer.as_bytes()).expect("our answer can be read");
        assert_eq!((read.username, read.uri), ("101", asked.uri));
    }
    let mut text = b"REGISTER sip:koebashi.local SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.9.9\r\n\
        From: <sip:101@koebashi.local>;tag=a\r\nTo: <sip:101@koebashi.local>\r\nCall-ID: a\r\n\
        CSeq: 1 REGISTER\r\nAuthorization: "
        .to_vec();
    text.extend_from_slice(bytes);
    text.extend_from_slice(b"\r\n\r\n");
    let Ok(message) = Message::parse(&text) else { return };
    let now = Instant::now();
    let mut guard = Guard::new(now, Settings::default(), &mut Chance::from_number(1));
    let source = Source { address: IpAddr::from([10, 0, 9, 9]), registered: None };
    for _ in 0..2 {
        let verdict = guard.verify(now, &source, &message, "koebashi.local", &OneAccount);
        assert!(!matches!(verdict, Verdict::Granted { .. }), "nobody knows the password");
    }
}

/// Session descriptions, as offers and as answers, to who wants keys and who wants none.
pub(crate) fn sdp(bytes: &[u8]) {
    let keys = Security::Required(Keys::random(&mut Chance::from_number(1)));
    for security in [Security::Off, keys] {
        let ours = Ours {
            codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
            events: true,
            address: IpAddr::from([10, 0, 0, 1]),
            port: 30_000,
            id: 1,
            version: 1,
            direction: Direction::SendRecv,
            security: security.clone(),
        };
        if let Ok((answer, agreed)) = description::answer(bytes, &ours) {
            well_agreed(&agreed);
            assert!(answer.len() <= 4096 + 2 * bytes.len(), "{} bytes", answer.len());
            let read = description::answer(&answer, &ours);
            assert!(!matches!(read, Err(description::Error::Malformed)), "ours is well formed");
        }
        if let Ok(agreed) = description::agreed(bytes, &ours) {
            well_agreed(&agreed);
            assert_eq!(agreed.crypto.is_some(), security != Security::Off);
        }
    }
    // As a body of several parts.
    let body = Bytes::copy_from_slice(&bytes[..bytes.len().min(4096)]);
    let draft = Draft::request(&Method::Invite, "sip:1@10.0.0.1")
        .set_body("multipart/mixed;boundary=b", body);
    if let Ok(message) = Message::parse(&draft.print()) {
        message.sdp();
    }
}

fn well_agreed(agreed: &description::Agreed) {
    assert!((10..=100).contains(&agreed.ptime), "{} ms", agreed.ptime);
    assert!(agreed.payload_send < 128 && agreed.payload_receive < 128);
    assert!(!agreed.rtp.ip().is_multicast());
}
