//! Whole SIP messages, as files: what becomes of each, whether rsip sees the same in it, and
//! whether it survives being printed and read again.
#![expect(clippy::unwrap_used, reason = "this is test code")]

mod verdicts;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use koebashi::sip::frame::Framer;
use koebashi::sip::header::Name;
use koebashi::sip::message::Message;
use koebashi::sip::parse::Limits;
use koebashi::sip::print::Draft;
use koebashi::sip::uri::Uri;
use proptest::prelude::*;
use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::HeadersExt;
use verdicts::{OWN, RFC_4475, Verdict};

/// The files of a folder: name without extension, and bytes.
fn files(folder: &Path, extension: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

fn own() -> BTreeMap<String, Vec<u8>> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture"), "sip")
}

/// The messages of RFC 4475, where there is a copy of them.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn rfc_4475() -> BTreeMap<String, Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("KOEBASHI_TORTURE").map(PathBuf::from);
    let near = [root.join("../shared/torture"), root.join("../../shared/torture")];
    match named.into_iter().chain(near).find(|folder| folder.is_dir()) {
        Some(folder) => files(&folder, "dat"),
        None => {
            eprintln!("left out: the messages of RFC 4475; name their folder in KOEBASHI_TORTURE");
            BTreeMap::new()
        }
    }
}

fn all() -> impl Iterator<Item = (String, Vec<u8>)> {
    own().into_iter().chain(rfc_4475())
}

fn message(name: &str) -> Message {
    Message::parse(&own()[name]).unwrap()
}

fn verdict(bytes: &[u8]) -> Verdict {
    match Message::parse(bytes) {
        Err(_) => Verdict::Drop,
        Ok(message) => match message.validate() {
            Ok(()) => Verdict::Accept,
            Err(fault) if message.is_request() => Verdict::Answer(fault.code),
            Err(_) => Verdict::Drop,
        },
    }
}

fn check(files: &BTreeMap<String, Vec<u8>>, verdicts: &[(&str, Verdict, &str)]) {
    let table: BTreeMap<_, _> = verdicts.iter().map(|(n, v, why)| (*n, (*v, *why))).collect();
    assert_eq!(table.len(), verdicts.len(), "a file is named twice");
    let named: Vec<_> = table.keys().copied().collect();
    let there: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(there, named);
    let wrong: Vec<_> = files
        .iter()
        .filter(|(name, bytes)| verdict(bytes) != table[name.as_str()].0)
        .map(|(name, bytes)| {
            format!("{name}: {:?}, not {:?}", verdict(bytes), table[name.as_str()])
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn own_torture() {
    check(&own(), OWN);
}

#[test]
fn torture_of_rfc_4475() {
    let files = rfc_4475();
    if !files.is_empty() {
        check(&files, RFC_4475);
    }
}

#[test]
fn folded_and_spaced_values_read_as_others() {
    let m = message("folded");
    let via = m.via().unwrap();
    assert_eq!((via.host, via.port, via.branch()), ("192.0.2.20", Some(5060), Some("z9hG4bKfold")));
    assert_eq!(m.from().unwrap().tag(), Some("n2"));
    assert!(m.has_token(&Name::Supported, "timer") && m.has_token(&Name::Supported, "100rel"));
    let subject = m.text(&Name::Subject).unwrap();
    assert_eq!(subject.split_whitespace().collect::<Vec<_>>(), ["one", "two", "three"]);

    let m = message("via_spaces");
    let via = m.via().unwrap();
    assert_eq!((via.transport, via.host, via.port), ("UDP", "pc.example.jp", Some(5070)));
    assert_eq!((via.branch(), via.rport()), (Some("z9hG4bKsp"), Some(Some(9))));
    assert_eq!(via.received(), Some("192.0.2.77".parse().unwrap()));
}

#[test]
fn addresses_are_taken_apart() {
    let m = message("no_brackets");
    let (from, to) = (m.from().unwrap(), m.to().unwrap());
    assert_eq!((from.uri, from.tag()), ("sip:0480000001;ext=5@trunk.example.jp:5070", Some("nb")));
    assert_eq!((to.uri, to.tag()), ("sip:0570022282@line.example.jp", Some("old")));

    let m = message("quoted_commas");
    assert_eq!(m.from().unwrap().display.as_deref(), Some("Sato, \"Hana\" <x>; \\"));
    assert_eq!(m.from().unwrap().tag(), Some("q"));
    assert_eq!(m.contacts().filter(Result::is_ok).count(), 3);
    assert_eq!(m.list(&Name::Contact).nth(1), Some("<sip:b,c@192.0.2.20>"));

    let m = message("display_not_utf8");
    assert_eq!(m.text(&Name::From), None);
    assert!(m.header(&Name::From).unwrap().contains(&0x91));
    assert_eq!(m.from().unwrap().uri, "sip:0480000001@trunk.example.jp");
    assert_eq!(m.from().unwrap().tag(), Some("sj"));
}

#[test]
fn numbers_in_uris() {
    let number = |text: &str| Uri::parse(text).unwrap().number();
    let of = |name: &str| number(message(name).uri().unwrap());
    assert_eq!(of("tel").as_deref(), Some("+81480000000"));
    assert_eq!(of("number_with_context").as_deref(), Some("+81480000000"));
    assert_eq!(of("escapes").as_deref(), Some("0570022282"));
    let tel = message("tel");
    assert_eq!(number(tel.from().unwrap().uri).as_deref(), Some("+81480000001"));
    assert_eq!(number(tel.to().unwrap().uri).as_deref(), Some("0570022282"));
}

#[test]
fn bodies_are_exact() {
    let m = message("binary_body");
    assert_eq!(m.body()[..256], (0..=255).collect::<Vec<u8>>());
    assert!(m.body().ends_with(b"\r\n\r\nINVITE sip:x SIP/2.0\r\n"));
    assert_eq!(message("more_behind").body(), b"hello");
    assert!(message("no_length").sdp().unwrap().ends_with(b"telephone-event/8000\r\n"));
    assert_eq!(message("multipart").sdp(), message("compact").sdp());
    assert_eq!(message("multipart").content_type(), Some("multipart/mixed"));
}

#[test]
fn addresses_of_ipv6() {
    let ip = |name: &str| {
        let m = message(name);
        let uri = Uri::parse(m.uri().unwrap()).unwrap();
        uri.sip().map(|sip| (sip.ip().map(|ip| ip.to_string()), sip.port)).unwrap()
    };
    assert_eq!(ip("v6_uri"), (Some("2001:db8::10".to_owned()), None));
    assert_eq!(ip("v6_uri_port"), (Some("2001:db8::10".to_owned()), Some(5070)));
    assert_eq!(ip("v6_port_inside"), (Some("2001:db8::10:5070".to_owned()), None));
    assert_eq!(ip("v6_three_colons"), (None, None));
    assert_eq!(ip("v6_mapped"), (Some("::ffff:192.0.2.10".to_owned()), Some(5060)));
    let m = message("v6_received");
    let vias = m.list(&Name::Via).map(|via| koebashi::sip::header::Via::parse(via).unwrap());
    let received: Vec<_> = vias.map(|via| via.received().unwrap().to_string()).collect();
    assert_eq!(received, ["2001:db8::9:255", "2001:db8::9:254"]);
}

/// On a stream every accepted message with a length comes out whole, and is judged the same.
#[test]
fn framer_agrees_on_whole_messages() {
    for (name, bytes) in all().filter(|(_, bytes)| verdict(bytes) == Verdict::Accept) {
        let mut framer = Framer::new(Limits::default());
        framer.push(&bytes);
        let message = Message::parse(&bytes).unwrap();
        let frame = framer.find_map(|frame| match frame {
            Ok(koebashi::sip::frame::Frame::Message(frame)) => Some(frame),
            _ => None,
        });
        match frame {
            Some(frame) => assert_eq!(frame.len(), message.length(), "{name}"),
            None => assert!(message.header(&Name::ContentLength).is_none(), "{name}"),
        }
    }
}

/// What rsip can read, it reads as we do.
#[test]
fn same_as_rsip() {
    let mut compared = 0;
    for (name, bytes) in all() {
        let Ok(ours) = Message::parse(&bytes) else { continue };
        if ours.validate().is_err() {
            continue;
        }
        // It corrupts bodies that are not UTF-8, and takes what is behind the body for the body.
        let Ok(theirs) = rsip::SipMessage::try_from(&bytes[..]) else { continue };
        compared += differences(&name, &ours, &theirs);
    }
    assert!(compared > 100, "only {compared} values compared");
}

/// Compares what both could read; how many values that were.
fn differences(name: &str, ours: &Message, theirs: &rsip::SipMessage) -> usize {
    let mut compared = 0;
    let mut same = |what: &str, ours: Option<String>, theirs: Option<String>| {
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            compared += 1;
            assert_eq!(ours, theirs, "{name}: {what}");
        }
    };
    let place = |uri: &str| {
        let uri = Uri::parse(uri).ok()?;
        let sip = uri.sip()?;
        Some(format!("{} {} {:?}", sip.user.as_deref().unwrap_or(""), sip.host, sip.port))
    };
    // Its users have letters and digits only; it takes others for a part of the host.
    let their_place = |uri: &rsip::Uri| {
        let is_plain =
            !uri.to_string().contains(['%', ';']) && !uri.host().to_string().contains('@');
        let port = uri.port().map(|port| *port.value());
        is_plain.then(|| format!("{} {} {port:?}", uri.user().unwrap_or(""), uri.host()))
    };
    if let rsip::SipMessage::Request(request) = theirs {
        same("method", ours.method().map(ToString::to_string), Some(request.method.to_string()));
        same("uri", ours.uri().and_then(place), their_place(&request.uri));
    }
    if let Ok(from) = theirs.from_header().and_then(|from| from.typed()) {
        let mine = ours.from().unwrap();
        same("From", place(mine.uri), their_place(&from.uri));
        same("From tag", mine.tag().map(str::to_owned), from.tag().map(|tag| tag.to_string()));
    }
    if let Ok(to) = theirs.to_header().and_then(|to| to.typed()) {
        let mine = ours.to().unwrap();
        same("To", place(mine.uri), their_place(&to.uri));
        same("To tag", mine.tag().map(str::to_owned), to.tag().map(|tag| tag.to_string()));
    }
    if let Ok(id) = theirs.call_id_header() {
        same("Call-ID", ours.call_id().ok().map(str::to_owned), Some(id.value().to_owned()));
    }
    if let Ok(cseq) = theirs.cseq_header().and_then(|cseq| cseq.typed()) {
        let mine = ours.cseq().unwrap();
        same("CSeq", Some(format!("{} {}", mine.seq, mine.method)), Some(cseq.to_string()));
    }
    if ours.body().len() == theirs.body().len() {
        assert_eq!(ours.body(), theirs.body(), "{name}: body");
        compared += 1;
    }
    compared
}

/// A request as a draft: every line of it, and its body.
fn copy(message: &Message) -> Draft {
    let mut draft = Draft::request(message.method().unwrap(), message.uri().unwrap());
    for (name, value) in message.lines() {
        draft.push(Name::parse(name), String::from_utf8_lossy(value));
    }
    match message.text(&Name::ContentType) {
        Some(kind) => {
            let kind = kind.to_owned();
            draft.set_body(&kind, Bytes::copy_from_slice(message.body()))
        }
        None => draft,
    }
}

#[test]
fn printed_messages_read_the_same() {
    let mut compared = 0;
    for (name, bytes) in all() {
        let Ok(message) = Message::parse(&bytes) else { continue };
        let is_text = message.lines().all(|(_, value)| {
            str::from_utf8(value)
                .is_ok_and(|t| !t.contains(|c: char| c.is_ascii_control() && c != '\t'))
        });
        if message.validate().is_err() || !message.is_request() || !is_text {
            continue;
        }
        let again = Message::parse(&copy(&message).print()).unwrap();
        let lines = |m: &Message| {
            let lines = m.lines().map(|(name, value)| (Name::parse(name), value.to_vec()));
            lines.filter(|(name, _)| *name != Name::ContentLength).collect::<Vec<_>>()
        };
        assert_eq!(lines(&again), lines(&message), "{name}");
        assert_eq!((again.method(), again.uri()), (message.method(), message.uri()), "{name}");
        if message.header(&Name::ContentType).is_some() {
            assert_eq!(again.body(), message.body(), "{name}");
        }
        assert_eq!(again.validate(), Ok(()), "{name}");
        compared += 1;
    }
    // Whoever has no copy of RFC 4475's messages compares ours alone.
    let least = if rfc_4475().is_empty() { 35 } else { 41 };
    assert!(compared >= least, "only {compared} messages compared");
}

/// Even a request at fault is answered with its own headers and nothing more.
#[test]
fn answers_to_faulty_requests() {
    for (name, bytes) in all() {
        let Ok(message) = Message::parse(&bytes) else { continue };
        let answer = Message::parse(&Draft::response(&message, 400).to_tag("x").print()).unwrap();
        assert_eq!(answer.code(), Some(400));
        let copied = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
        let count = |m: &Message| copied.iter().map(|name| m.headers(name).count()).sum::<usize>();
        assert_eq!(answer.lines().count(), count(&message) + 1, "{name}");
        assert_eq!(count(&answer), count(&message), "{name}");
        assert_eq!(answer.header(&Name::CallId), message.header(&Name::CallId), "{name}");
        assert!(answer.lines().all(|(_, value)| !value.contains(&b'\n')), "{name}");
    }
}

/// Reads everything that can be read.
fn exercise(bytes: &[u8]) {
    let Ok(m) = Message::parse(bytes) else { return };
    let names = [Name::Via, Name::Contact, Name::Supported, Name::parse(b"x-own")];
    for name in &names {
        m.list(name).for_each(drop);
        m.number(name);
    }
    let uris = m.uri().into_iter().chain(m.from().ok().map(|from| from.uri));
    uris.for_each(|uri| drop(Uri::parse(uri).map(|uri| uri.number())));
    black_box(m.via().map(|via| (via.rport(), via.received())).ok());
    black_box((m.to().is_ok_and(|to| to.tag().is_some()), m.contacts().count()));
    black_box((m.session_expires().is_some(), m.cseq().is_ok(), m.call_id().is_ok()));
    black_box((m.rack().is_some(), m.sdp(), m.validate().is_ok()));
    Message::parse(&Draft::response(&m, 200).to_tag("t").print()).unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(0u8.., 0..400)) {
        exercise(&bytes);
    }

    /// Messages with a few bytes changed, put in or taken out.
    #[test]
    fn spoiled_messages_are_survived(
        file in prop::sample::select(own().into_values().collect::<Vec<_>>()),
        edits in prop::collection::vec((0usize..2000, 0u8..3, prop::sample::select(
            b"\r\n\t ,;:<>\"\\@%[]?=/*\0\x7f\xff0aA+-".to_vec(),
        )), 1..8),
    ) {
        let mut bytes = file;
        for (at, edit, byte) in edits {
            let at = at % (bytes.len() + 1);
            match edit {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        exercise(&bytes);
        let mut framer = Framer::new(Limits::default());
        framer.push(&bytes);
        framer.by_ref().for_each(drop);
    }

    /// Plain requests that rsip can read whole.
    #[test]
    fn plain_requests_are_seen_as_rsip_sees_them(
        method in prop::sample::select(vec!["INVITE", "ACK", "BYE", "OPTIONS", "REGISTER", "MESSAGE"]),
        user in "[a-z0-9][a-z0-9.!~*_-]{0,12}", host in "[a-z][a-z0-9]{0,8}(\\.[a-z]{2,5}){0,2}",
        port in prop::option::of(1u16..), tags in ("[a-zA-Z0-9.!%*_+~-]{1,20}", "[a-z0-9]{0,9}"),
        display in "[a-zA-Z0-9 ,']{0,16}", seq in 0u32..1 << 31, body in "[ -~\r\n]{0,80}",
    ) {
        let place = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let to_tag = if tags.1.is_empty() { String::new() } else { format!(";tag={}", tags.1) };
        let text = format!(
            "{method} sip:{user}@{place} SIP/2.0\r\nVia: SIP/2.0/UDP {place};branch=z9hG4bK1\r\n\
             From: \"{display}\" <sip:{user}@{place}>;tag={}\r\nTo: <sip:{user}@{host}>{to_tag}\r\n\
             Call-ID: {user}@{host}\r\nCSeq: {seq} {method}\r\nMax-Forwards: 70\r\n\
             Content-Length: {}\r\n\r\n{body}", tags.0, body.len(),
        );
        let ours = Message::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(ours.validate(), Ok(()));
        let shown = ours.from().unwrap().display;
        prop_assert_eq!(shown.as_deref(), Some(&display[..]));
        prop_assert_eq!(ours.body(), body.as_bytes());
        if let Ok(theirs) = rsip::SipMessage::try_from(text.as_bytes()) {
            prop_assert!(differences("plain", &ours, &theirs) >= 5);
        }
    }

    /// Whatever is put in a draft, what comes out has just those headers and that body.
    #[test]
    fn nothing_can_be_injected(
        values in prop::collection::vec("\\PC{0,9}[\r\n\0\t :a-zé]{0,12}\\PC{0,9}", 0..6),
        uri in "sip:[a-z\r\n :@]{1,20}", name in "[a-zA-Z:\r\n ]{1,9}", tag in "[a-z\r\n;]{0,9}",
        body in prop::collection::vec(0u8.., 0..60),
    ) {
        let mut draft = Draft::request(&koebashi::sip::message::Method::Other("A B\r\nC".into()), &uri)
            .with(Name::To, "<sip:a@b>\r\nEvil: 1")
            .to_tag(&tag)
            .with(Name::ContentLength, 7)
            .set_body("text/plain\r\n\r\nevil", Bytes::from(body.clone()));
        for value in &values {
            draft.push(Name::Subject, value);
        }
        draft.push_front(Name::Other(format!("X{name}").into()), &name);
        let printed = draft.print();
        let read = Message::parse(&printed).unwrap();
        prop_assert_eq!(read.lines().count(), values.len() + 4);
        prop_assert_eq!(read.headers(&Name::Subject).count(), values.len());
        prop_assert_eq!(read.body(), &body[..]);
        prop_assert_eq!(read.length(), printed.len());
        prop_assert_eq!(read.header(&Name::parse(b"Evil")), None);
    }
}
