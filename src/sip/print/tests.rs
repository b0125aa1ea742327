use super::*;

const INVITE: &str = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=1\r\nv: SIP/2.0/UDP i\r\n\
    f: <sip:c@d>;tag=1\r\nRecord-Route: <sip:p;lr>\r\nTimestamp: 5\r\nt: <sip:a@b>\r\ni: x\r\n\
    CSeq: 1 INVITE\r\nMax-Forwards: 9\r\nl: 0\r\n\r\n";

fn response(code: u16) -> String {
    let invite = Message::parse(INVITE.as_bytes()).unwrap();
    let printed = Draft::response(&invite, code).print();
    String::from_utf8(printed.to_vec()).unwrap()
}

#[test]
fn a_response_takes_over_what_it_must() {
    let start = "\r\nVia: SIP/2.0/UDP h;branch=1\r\nVia: SIP/2.0/UDP i\r\nFrom: <sip:c@d>;tag=1\r\n\
        To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n";
    let end = "Content-Length: 0\r\n\r\n";
    let route = "Record-Route: <sip:p;lr>\r\n";
    assert_eq!(response(100), format!("SIP/2.0 100 Trying{start}Timestamp: 5\r\n{end}"));
    assert_eq!(response(180), format!("SIP/2.0 180 Ringing{start}{route}{end}"));
    assert_eq!(response(200), format!("SIP/2.0 200 OK{start}{route}{end}"));
    assert_eq!(response(486), format!("SIP/2.0 486 Busy Here{start}{end}"));
    assert_eq!(response(499), format!("SIP/2.0 499 Bad Request{start}{end}"));
}

#[test]
fn a_request_as_it_is_drafted() {
    let mut draft = Draft::request(&Method::Bye, "sip:a@b")
        .with(Name::From, "<sip:c@d>")
        .with(Name::To, "sip:a@b;tag=old")
        .with(Name::CSeq, format_args!("{} BYE", 2))
        .from_tag("f")
        .to_tag("t");
    draft.push(Name::Reason, "SIP;cause=200");
    draft.push_front(Name::Via, "SIP/2.0/UDP h");
    draft.replace(Name::CSeq, "3 BYE");
    draft.replace(Name::MaxForwards, 70);
    assert_eq!(
        (draft.method(), draft.uri(), draft.code()),
        (Some(&Method::Bye), Some("sip:a@b"), None)
    );
    assert_eq!(draft.header(&Name::From), Some("<sip:c@d>;tag=f"));
    let draft = draft.set_body("text/a", "x".into()).set_body("text/b", "hello".into());
    assert_eq!(draft.body(), "hello");
    let expected = "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:c@d>;tag=f\r\n\
        To: sip:a@b;tag=old\r\nCSeq: 3 BYE\r\nReason: SIP;cause=200\r\nMax-Forwards: 70\r\n\
        Content-Type: text/b\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(draft.print(), expected);
    assert_eq!(format!("{draft:?}"), "Draft { method: Bye, headers: 7, body: 5 }");
}

#[test]
fn control_characters_are_left_out() {
    let draft = Draft::request(&Method::Other("A\r\nB: c".into()), "sip:a\r\nEvil: 1 SIP/2.0")
        .with(Name::Other("X\r\n:\0y z".into()), "1\r\nEvil: 2\0\x7f\ttab é\u{85}")
        .with(Name::To, "<sip:a@b>")
        .to_tag("t\r\nEvil: 3");
    let expected = "ABc sip:aEvil:1SIP/2.0 SIP/2.0\r\nXyz: 1Evil: 2\ttab é\u{85}\r\n\
        To: <sip:a@b>;tag=tEvil: 3\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(draft.print(), expected);
}

#[test]
fn echoed_headers_lose_line_ends_only() {
    let text = INVITE
        .replace("f: <sip:c@d>", "f: \"a\rb\nc\\\0\" <sip:c@d>")
        .replace("t: <", "t: \"\u{1}\" <");
    let draft = Draft::response(&Message::parse(text.as_bytes()).unwrap(), 400);
    assert_eq!(draft.header(&Name::From), Some("\"abc\\\0\" <sip:c@d>;tag=1"));
    assert_eq!(draft.header(&Name::To), Some("\"\u{1}\" <sip:a@b>"));
    assert_eq!(draft.code(), Some(400));
}
