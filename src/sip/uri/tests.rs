use super::*;

fn number(text: &str) -> Option<String> {
    Uri::parse(text).unwrap().number()
}

#[test]
fn parts_of_a_sip_uri() {
    let Ok(Uri::Sip(uri)) = Uri::parse("SIPS:a%20b;x=1:secret@Host.example:5061;lr;a=B?c=d&e=f")
    else {
        panic!("not read");
    };
    assert!(uri.secure);
    assert_eq!(uri.user.as_deref(), Some("a b;x=1"));
    assert_eq!((uri.host, uri.port, uri.headers), ("Host.example", Some(5061), "c=d&e=f"));
    assert_eq!((uri.params.as_str(), uri.params.value("A")), (";lr;a=B", Some("B")));
    assert!(uri.params.has("LR") && !uri.params.has("l"));
    assert_eq!(uri.ip(), None);
    let bare = Uri::parse("sip:192.0.2.1").unwrap();
    let bare = bare.sip().unwrap();
    assert_eq!((bare.user.as_deref(), bare.port), (None, None));
    assert_eq!(bare.ip(), Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn what_is_no_uri() {
    let bad = [
        "",
        "sip",
        "sip:",
        "sip:@h",
        "sip:a@",
        "sip:h:",
        "sip:h:x",
        "sip:h:65536",
        "sip:h:-1",
        "sip:h:+1",
        "sip:[::1",
        "sip:[]",
        "sip:[::1]x",
        "sip:[g::]",
        "sip:a@b@c",
        "sip:h h",
        "sip:a%@h",
        "sip:a%4@h",
        "sip:a%zz@h",
        "sip:a%ff@h",
        "<sip:h>",
        "sip:h\"",
        "sip:h\r\n",
        "sip:h/x",
        "tel:",
        "tel:;x",
        "tel:abcx",
        "tel:1 2",
        ":x",
        "1a:x",
        "a b:x",
        "h.example",
        "sip:%h@h",
        "sip:h\0",
        "sip:ü",
    ];
    for text in bad {
        assert_eq!(Uri::parse(text).err(), Some(ParseError::Uri), "{text:?}");
    }
}

#[test]
fn numbers_as_dialed() {
    let cases = [
        ("tel:+81-48-000-0000", Some("+81480000000")),
        ("tel:(048)000.0000", Some("0480000000")),
        ("tel:0570022282;phone-context=+81", Some("+81570022282")),
        ("tel:22282;phone-context=+81-570-0", Some("+81570022282")),
        ("tel:0570022282;phone-context=ntt.example", Some("0570022282")),
        ("tel:+1555;phone-context=+81", Some("+1555")),
        ("tel:*21#;phone-context=local", Some("*21#")),
        ("sip:0480000000@h;user=phone", Some("0480000000")),
        ("sip:0480000000;phone-context=+81@h;user=phone", Some("+81480000000")),
        ("sip:0480000000@h;phone-context=+81", Some("+81480000000")),
        ("sip:+81%2D48@h", Some("+8148")),
        ("sip:101@h", Some("101")),
        ("sip:anonymous@anonymous.invalid", None),
        ("sip:h", None),
        ("sip:+@h", None),
        ("sip:1+2@h", None),
        ("urn:service:110", None),
    ];
    for (text, expected) in cases {
        assert_eq!(number(text).as_deref(), expected, "{text}");
    }
    assert_eq!(number(&format!("sip:{}@h", "1".repeat(65))), None);
}

#[test]
fn parameters_are_read_with_their_quotes() {
    let params = Params::new("; a = 1 ;;B;c=\"x;\\\"y=,\" ; =z; d=");
    let all: Vec<_> = params.iter().collect();
    let expected = [("a", Some("1")), ("B", None), ("c", Some("x;\\\"y=,")), ("d", Some(""))];
    assert_eq!(all, expected);
    assert_eq!((params.value("b"), params.value("e")), (Some(""), None));
    assert_eq!(Params::new(";q=\"open;x=1").iter().count(), 1);
}

#[test]
fn debug_shows_no_number() {
    for text in ["sip:0480000001@h", "tel:0480000001", "x:0480000001"] {
        assert!(!format!("{:?}", Uri::parse(text)).contains('1'));
    }
}

#[test]
fn how_a_uri_is_reached() {
    let of = |text| Uri::parse(text).unwrap().sip().unwrap().transport();
    for (text, expected) in [
        ("sip:h", Some(Transport::Udp)),
        ("sip:h;transport=TCP", Some(Transport::Tcp)),
        ("sip:h;transport=tls", Some(Transport::Tls)),
        ("sips:h", Some(Transport::Tls)),
        ("sips:h;transport=tcp", Some(Transport::Tls)),
        ("sips:h;transport=udp", None),
        ("sip:h;transport=sctp", None),
    ] {
        assert_eq!(of(text), expected, "{text}");
    }
}
