use super::*;
use crate::sip::header::Refresher;
use crate::sip::print::Draft;

const INVITE: &str = "INVITE sip:0570022282@192.0.2.1:5060;user=phone SIP/2.0\r\n\
    v: SIP / 2.0 /UDP 192.0.2.9:5061;branch=z9hG4bKa;rport , SIP/2.0/TCP [2001:db8::9]:5070;branch=z9hG4bKb\r\n\
    Via: SIP/2.0/UDP host;received=2001:db8::1;rport=9\r\n\
    f: \"Tanaka, \\\"T\\\"\"  <sip:0312345678@example.com;user=phone>;tag=abc;x\r\n\
    T: sip:0570022282@example.com;tag=1\r\n\
    i: a84b@example.com\r\n\
    CSeq : 7\r\n  INVITE\r\n\
    Contact: <sip:a,b@192.0.2.9>;q=0.5, \"x,y\" <sip:c@d>\r\n\
    k: 100rel,, timer\r\n\
    Supported: X-Other\r\n\
    x: 300;refresher=UAS\r\n\
    RAck: 5 7 INVITE\r\n\
    X-Own:  spaced \t\r\n\
    Max-Forwards: 0070\r\n\
    c: application/SDP ;charset=x\r\n\
    l: 3\r\n\r\nv=0trailing";

fn message(text: &str) -> Message {
    Message::parse(text.as_bytes()).unwrap()
}

#[test]
fn values_are_read() {
    let m = message(INVITE);
    assert_eq!(m.validate(), Ok(()));
    assert_eq!(m.method(), Some(&Method::Invite));
    assert_eq!(m.uri(), Some("sip:0570022282@192.0.2.1:5060;user=phone"));
    let via = m.via().unwrap();
    assert_eq!((via.transport, via.host, via.port), ("UDP", "192.0.2.9", Some(5061)));
    assert_eq!((via.branch(), via.rport()), (Some("z9hG4bKa"), Some(None)));
    let vias: Vec<_> = m.list(&Name::Via).map(|v| Via::parse(v).unwrap()).collect();
    assert_eq!((vias[1].host, vias[1].port), ("[2001:db8::9]", Some(5070)));
    assert_eq!(vias[2].received(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(vias[2].rport(), Some(Some(9)));
    let from = m.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("Tanaka, \"T\""));
    assert_eq!(from.uri, "sip:0312345678@example.com;user=phone");
    assert_eq!((from.tag(), from.param("X"), from.param("y")), (Some("abc"), Some(""), None));
    let to = m.to().unwrap();
    assert_eq!((to.uri, to.tag()), ("sip:0570022282@example.com", Some("1")));
    assert_eq!(m.call_id(), Ok("a84b@example.com"));
    assert_eq!(m.cseq(), Ok(CSeq { seq: 7, method: Method::Invite }));
    assert_eq!(m.contacts().filter(Result::is_ok).count(), 2);
    assert!(m.has_token(&Name::Supported, "x-other") && m.has_token(&Name::Supported, "100REL"));
    assert!(!m.has_token(&Name::Supported, "100"));
    let expires = SessionExpires { seconds: 300, refresher: Some(Refresher::Uas) };
    assert_eq!(m.session_expires(), Some(Ok(expires)));
    assert_eq!(m.rack(), Some(Ok(RAck { rseq: 5, cseq: 7, method: Method::Invite })));
    assert_eq!(m.text(&Name::parse(b"x-oWN")), Some("spaced"));
    assert_eq!(m.number(&Name::MaxForwards), Some(70));
    assert_eq!((m.body(), m.sdp().as_deref()), (&b"v=0"[..], Some(&b"v=0"[..])));
}

#[test]
fn response_takes_over() {
    let draft = Draft::response(&message(INVITE), 180).to_tag("no").with(Name::Contact, "<sip:a>");
    let answer = Message::parse(&draft.print()).unwrap();
    assert_eq!((answer.code(), answer.reason()), (Some(180), Some("Ringing")));
    assert_eq!(answer.list(&Name::Via).count(), 3);
    assert_eq!(answer.to().unwrap().tag(), Some("1"));
    assert_eq!(answer.header(&Name::From), message(INVITE).header(&Name::From));
    assert_eq!(answer.validate(), Ok(()));
}
