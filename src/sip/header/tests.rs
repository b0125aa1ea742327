use std::collections::HashSet;

use super::*;

#[test]
fn every_name_is_found_in_any_case_and_form() {
    for (name, (canonical, compact)) in KNOWN.iter().zip(FORMS) {
        assert_eq!(name.as_str(), *canonical);
        for form in [canonical.to_uppercase(), canonical.to_lowercase(), compact.to_uppercase()] {
            if !form.is_empty() {
                assert!(!matches!(Name::parse(form.as_bytes()), Name::Other(_)), "{form}");
                assert_eq!(Name::parse(form.as_bytes()).as_str(), *canonical);
            }
        }
    }
    assert!(KNOWN.len() <= 64, "each has a bit of its own");
    assert_eq!((Tag::OTHER.bit(), Name::Via.tag().label()), (0, "Via"));
    for other in ["", "x", "Vi", "Viaa", "z", "Via ", "-", "From\0"] {
        let is_known = other == "x";
        assert_eq!(matches!(Name::parse(other.as_bytes()), Name::Other(_)), !is_known, "{other}");
    }
}

#[test]
fn names_are_equal_whatever_made_them() {
    assert_eq!(Name::Other("call-id".into()), Name::CallId);
    assert_eq!(Name::Other("call-id".into()).tag(), Name::CallId.tag());
    assert_eq!(Name::parse(b"X-a"), Name::Other("x-A".into()));
    assert_ne!(Name::To, Name::From);
    let set: HashSet<_> = [Name::Via, Name::Other("VIA".into()), Name::parse(b"v")].into();
    assert_eq!(set.len(), 1);
    assert_eq!(Name::Via.cmp(&Name::Other("via".into())), Ordering::Equal);
}

#[test]
fn numbers_with_methods() {
    let cseq = |text: &str| CSeq::parse(text.as_bytes()).map(|c| (c.seq, c.method.to_string()));
    assert_eq!(cseq("0009 \t INVITE"), Ok((9, "INVITE".to_owned())));
    assert_eq!(cseq("2147483647 x"), Ok((2_147_483_647, "x".to_owned())));
    let bad =
        ["", "1", "INVITE", "1 ", "-1 A", "+1 A", "1 A B", "2147483648 A", "1 A,B", "1\u{b}A"];
    for text in bad {
        assert_eq!(cseq(text), Err(ParseError::Value("CSeq")), "{text}");
    }
    let rack = RAck::parse(b"4294967295  1 INVITE").unwrap();
    assert_eq!((rack.rseq, rack.cseq, rack.method), (u32::MAX, 1, Method::Invite));
    for text in ["", "1 INVITE", "1 2", "x 2 INVITE", "4294967296 1 INVITE"] {
        assert_eq!(RAck::parse(text.as_bytes()), Err(ParseError::Value("RAck")), "{text}");
    }
}

#[test]
fn session_expires() {
    let read = |text| SessionExpires::parse(text).map(|s| (s.seconds, s.refresher));
    assert_eq!(read("1800"), Ok((1800, None)));
    assert_eq!(read("90 ; x ;Refresher = UAC"), Ok((90, Some(Refresher::Uac))));
    assert_eq!(read("90;refresher=both"), Ok((90, None)));
    for text in ["", "x", "-1", "4294967296", ";refresher=uac"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn elements_are_split_outside_quotes_and_brackets() {
    let split = |text: &'static str| {
        let items = elements(text.as_bytes()).map(|item| str::from_utf8(item).unwrap());
        items.collect::<Vec<_>>()
    };
    assert_eq!(split(" a , b,,c ,"), ["a", "b", "c"]);
    assert_eq!(split("\"a,\\\",<\" <b,c>, d"), ["\"a,\\\",<\" <b,c>", "d"]);
    assert_eq!(split("\"open, a"), ["\"open, a"]);
    assert_eq!(split("<open, a"), ["<open, a"]);
    assert_eq!(split("<a\",b>, c"), ["<a\",b>", "c"]);
    assert!(split("").is_empty() && split(" ,\t, ").is_empty());
}

#[test]
fn name_addresses() {
    let read = |text: &'static str| {
        NameAddr::parse(text).map(|a| {
            (a.display.as_deref().unwrap_or("-").to_owned(), a.uri, a.tag().unwrap_or("-"))
        })
    };
    let cases = [
        ("<sip:a@b>", ("-", "sip:a@b", "-")),
        ("sip:a@b", ("-", "sip:a@b", "-")),
        ("sip:a@b;tag=1", ("-", "sip:a@b", "1")),
        ("sip:a;x@b ; tag = 1", ("-", "sip:a;x@b", "1")),
        ("tel:110;tag=1", ("-", "tel:110", "1")),
        ("<tel:110;phone-context=+81>;tag=1", ("-", "tel:110;phone-context=+81", "1")),
        ("A B<sip:a@b;tag=no>;Tag=1;tag=2", ("A B", "sip:a@b;tag=no", "1")),
        ("\"\" <sip:a@b>;tag=", ("", "sip:a@b", "-")),
        ("\"a\\\\\" < sip:a@b >;tag=\"q\"", ("a\\", "sip:a@b", "q")),
        ("\"<sip:x@y>;tag=0\"<sip:a@b>", ("<sip:x@y>;tag=0", "sip:a@b", "-")),
    ];
    for (text, (display, uri, tag)) in cases {
        assert_eq!(read(text), Ok((display.to_owned(), uri, tag)), "{text}");
    }
    let bad = [
        "",
        "a",
        "<",
        "<>",
        "<sip:a@b",
        "\"",
        "\"a",
        "\"a\\",
        "\"a\\\"",
        "\"a\" sip:a@b",
        "<sip:a@b>x",
        "<sip:a@b> tag=1",
        "sip:a@b?x=y",
        "<a@b>",
        "*",
        "sip:a@b>",
        "sip:a b@c",
    ];
    for text in bad {
        assert!(NameAddr::parse(text).is_err(), "{text}");
    }
    assert!(!format!("{:?}", NameAddr::parse("\"Kobayashi\" <sip:a@b>")).contains("Koba"));
}

#[test]
fn vias() {
    let via = Via::parse("SIP/2.0/UDP [::1]:5060;rport;received=[::2];branch=").unwrap();
    assert_eq!((via.host, via.port, via.branch()), ("[::1]", Some(5060), None));
    assert_eq!((via.rport(), via.received()), (Some(None), Some("::2".parse().unwrap())));
    let bad = [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 UDP h",
        "SIP/2.0/UDP  ",
        "XSIP/2.0/UDP h",
        "SIP/2.1/UDP h",
        "SIP/2.0/U,P h",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:65536",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP h i",
        "SIP/2.0/UDP h/i",
        "SIP/2.0/UDP ::1",
        ";",
        "SIP/2.0//UDP h",
    ];
    for text in bad {
        assert!(Via::parse(text).is_err(), "{text}");
    }
}
