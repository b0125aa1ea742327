//! Claims on the registrar: what a REGISTER does to the bindings and what it is answered.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::sip::ConnectionId;

struct Office {
    t0: Instant,
    config: Config,
    registrar: Registrar,
    cseq: u32,
}

/// A response, taken apart.
struct Reply {
    code: u16,
    contacts: Vec<String>,
}

impl Office {
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn new(pulse: Option<Pulse>) -> Self {
        let register_expires = (Duration::from_secs(60), Duration::from_secs(3600));
        let config = Config { max_contacts: 3, register_expires, ..Config::default() };
        Self { t0: Instant::now(), config, registrar: Registrar::new(pulse), cseq: 0 }
    }

    fn at(&self, s: u64) -> Instant {
        self.t0 + Duration::from_secs(s)
    }

    /// Sends a REGISTER of 101 with these header lines.
    fn register(&mut self, at_s: u64, flow: Flow, lines: &[&str]) -> Reply {
        self.cseq += 1;
        let cseq = format!("CSeq: {} REGISTER", self.cseq);
        let own = ["From: <sip:101@koebashi.local>;tag=1", "To: <sip:101@pbx>", &cseq];
        let call_id = ["Call-ID: same"];
        let call_id =
            if lines.iter().any(|l| l.starts_with("Call-ID")) { &[][..] } else { &call_id };
        self.send(at_s, flow, &[&own, call_id, lines].concat())
    }

    fn send(&mut self, at_s: u64, flow: Flow, lines: &[&str]) -> Reply {
        let text = format!(
            "REGISTER sip:koebashi.local SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{}\r\n\
             Content-Length: 0\r\n\r\n",
            lines.join("\r\n")
        );
        let request = Message::parse(text.as_bytes()).unwrap();
        let now = self.at(at_s);
        let draft = self.registrar.handle(now, flow, &request, "101", &self.config);
        let bytes: Bytes = draft.print();
        let response = Message::parse(&bytes).unwrap();
        let contacts = response.list(&Name::Contact).map(str::to_owned).collect();
        Reply { code: response.code().unwrap(), contacts }
    }

    fn uris(&self, at_s: u64) -> Vec<&str> {
        self.registrar.bindings("101", self.at(at_s)).map(|b| &*b.uri).collect()
    }

    fn changes(&mut self) -> Vec<bool> {
        std::iter::from_fn(|| self.registrar.poll_change()).map(|c| c.reachable).collect()
    }
}

fn udp(port: u16) -> Flow {
    let (local, remote) = (([10, 0, 0, 1], 5060).into(), ([10, 0, 0, 2], port).into());
    Flow::new(Transport::Udp, local, remote)
}

fn tcp(connection: u64) -> Flow {
    let connection = Some(ConnectionId(connection));
    Flow { transport: Transport::Tcp, connection, ..udp(40_000) }
}

#[test]
fn a_phone_registers_refreshes_asks_and_leaves() {
    let mut office = Office::new(None);
    let contact = "Contact: <sip:101@192.168.0.5:5060>";
    let reply = office.register(0, udp(1), &[contact, "Expires: 600", "User-Agent: test"]);
    assert_eq!(
        (reply.code, &*reply.contacts),
        (200, &["<sip:101@192.168.0.5:5060>;expires=600".to_owned()][..])
    );
    assert_eq!(office.changes(), [true]);
    assert_eq!(office.registrar.poll_timeout(), Some(office.at(600)));
    office.register(300, udp(2), &[contact, "Expires: 600"]);
    assert!(office.changes().is_empty(), "a refresh is no change");
    let binding = office.registrar.bindings("101", office.at(300)).next().unwrap().clone();
    assert_eq!((binding.flow, binding.expires), (udp(2), office.at(900)));
    let reply = office.register(400, udp(2), &[]);
    assert_eq!(reply.contacts, ["<sip:101@192.168.0.5:5060>;expires=500"]);
    let reply = office.register(500, udp(2), &[contact, "Expires: 0"]);
    assert_eq!((reply.code, reply.contacts.len()), (200, 0));
    assert_eq!(office.changes(), [false]);
    assert_eq!(office.registrar.poll_timeout(), None);
}

#[test]
fn a_binding_ends_at_its_second() {
    let mut office = Office::new(None);
    office.register(0, udp(1), &["Contact: <sip:101@h>;expires=60"]);
    assert_eq!(office.uris(59), ["sip:101@h"]);
    assert_eq!(office.uris(60), [""; 0]);
    office.registrar.handle_timeout(office.at(59));
    assert_eq!(office.changes(), [true]);
    office.registrar.handle_timeout(office.at(60));
    assert_eq!(office.changes(), [false]);
    assert_eq!(office.registrar.owner_of_flow(&udp(1)), None);
}

#[test]
fn every_expiry_is_clamped_refused_or_replaced() {
    for (expires, wanted) in [
        ("0", Ok(None)),
        ("1", Err(423)),
        ("59", Err(423)),
        ("60", Ok(Some(60))),
        ("0600", Ok(Some(600))),
        ("3601", Ok(Some(3600))),
        ("2147483648", Ok(Some(3600))),
        ("4294967296", Ok(Some(3600))),
        ("18446744073709551616", Ok(Some(3600))),
        ("-1", Ok(Some(3600))),
        ("", Ok(Some(3600))),
        ("1e9", Ok(Some(3600))),
        ("60 ; x", Ok(Some(3600))),
    ] {
        let header = format!("Expires: {expires}");
        let param = format!("Contact: <sip:101@h>;expires={expires}");
        let quoted = format!("Contact: <sip:101@h>;expires=\"{expires}\"");
        let forms: [&[&str]; 3] = [&["Contact: <sip:101@h>", &header], &[&param], &[&quoted]];
        for lines in &forms[..if expires.contains(';') { 1 } else { 3 }] {
            let mut office = Office::new(None);
            let reply = office.register(0, udp(1), lines);
            let contacts = |s| format!("<sip:101@h>;expires={s}");
            match wanted {
                Err(code) => assert_eq!((reply.code, reply.contacts.len()), (code, 0)),
                Ok(s) => {
                    let all: Vec<_> = s.map(contacts).into_iter().collect();
                    assert_eq!((reply.code, reply.contacts), (200, all), "{lines:?}");
                }
            }
        }
    }
    let mut office = Office::new(None);
    let both = ["Contact: <sip:101@h>;expires=100;expires=200", "Expires: 300", "Expires: 400"];
    assert_eq!(office.register(0, udp(1), &both).contacts, ["<sip:101@h>;expires=100"]);
}

#[test]
fn too_brief_names_the_shortest() {
    let office = Office::new(None);
    let text = "REGISTER sip:x SIP/2.0\r\nFrom: <sip:101@x>;tag=1\r\nTo: <sip:101@x>\r\n\
                Call-ID: 1\r\nCSeq: 1 REGISTER\r\nContact: <sip:101@h>;expires=5\r\n\r\n";
    let request = Message::parse(text.as_bytes()).unwrap();
    let mut registrar = office.registrar;
    let draft = registrar.handle(office.t0, udp(1), &request, "101", &office.config);
    assert_eq!((draft.code(), draft.header(&Name::MinExpires)), (Some(423), Some("60")));
}

#[test]
fn the_star_removes_all_and_only_alone_with_expires_0() {
    let two: &[&str] = &["Contact: <sip:101@a>, <sip:101@b>"];
    for (lines, code, left) in [
        (&["Contact: *", "Expires: 0"][..], 200, 0),
        (&["Contact: *", "Expires: 00 "], 200, 0),
        (&["Contact: *"], 400, 2),
        (&["Contact: *", "Expires: 1"], 400, 2),
        (&["Contact: *", "Expires: -0"], 400, 2),
        (&["Contact: *", "Expires:"], 400, 2),
        (&["Contact: *, <sip:101@a>", "Expires: 0"], 400, 2),
        (&["Contact: *, *", "Expires: 0"], 400, 2),
    ] {
        let mut office = Office::new(None);
        office.register(0, udp(1), two);
        assert_eq!(office.register(1, udp(1), lines).code, code, "{lines:?}");
        assert_eq!(office.uris(1).len(), left, "{lines:?}");
    }
}

#[test]
fn nobody_registers_for_someone_else() {
    let mut office = Office::new(None);
    let rest = ["Call-ID: 1", "CSeq: 1 REGISTER", "Contact: <sip:101@h>"];
    let (ours, theirs) = ("<sip:101@anything>", "<sip:102@koebashi.local>");
    for (from, to, code) in [
        (ours, ours, 200),
        (theirs, ours, 403),
        (ours, theirs, 403),
        (ours, "<sip:koebashi.local>", 403),
        (ours, "<tel:101>", 403),
    ] {
        let (from, to) = (format!("From: {from};tag=1"), format!("To: {to}"));
        let lines = [&[&*from, &to], &rest[..]].concat();
        assert_eq!(office.send(0, udp(1), &lines).code, code, "{from} {to}");
    }
    // linphonec sends a To without brackets.
    let bare = ["From: sip:101@x;tag=1", "To: sip:101@x", "Call-ID: 1", "CSeq: 2 REGISTER"];
    assert_eq!(office.send(0, udp(1), &bare).code, 200);
}

#[test]
fn a_register_that_is_late_changes_nothing() {
    let mut office = Office::new(None);
    office.cseq = 10;
    office.register(0, udp(1), &["Contact: <sip:101@new>"]);
    office.cseq = 9;
    let late = ["Contact: <sip:101@old>"];
    assert_eq!(office.register(1, udp(1), &late).code, 500, "older");
    office.cseq = 10;
    assert_eq!(office.register(1, udp(1), &late).code, 500, "the same");
    office.cseq = 9;
    assert_eq!(office.register(1, udp(1), &["Contact: *", "Expires: 0"]).code, 500);
    office.cseq = 0;
    assert_eq!(office.register(1, udp(1), &[]).code, 200, "a question changes nothing anyway");
    assert_eq!(office.uris(1), ["sip:101@new"]);
    office.cseq = 0;
    let restarted = ["Contact: <sip:101@new>", "Call-ID: other"];
    assert_eq!(office.register(2, udp(1), &restarted).code, 200, "another Call-ID counts anew");
}

#[test]
fn all_or_nothing() {
    let mut office = Office::new(None);
    let brief = ["Contact: <sip:101@a>;expires=600, <sip:101@b>;expires=5"];
    assert_eq!(office.register(0, udp(1), &brief).code, 423);
    let bad = ["Contact: <sip:101@a>", "Contact: <sip:101@b"];
    assert_eq!(office.register(0, udp(1), &bad).code, 400);
    assert_eq!((office.uris(0).len(), office.changes().len()), (0, 0));
    let mixed = ["Contact: <mailto:a@b>, <tel:101>, <sip:101@a>"];
    assert_eq!(office.register(0, udp(1), &mixed).code, 200);
    assert_eq!(office.uris(0), ["sip:101@a"]);
}

#[test]
fn one_contact_too_many_replaces_the_oldest() {
    let mut office = Office::new(None);
    for (n, host) in (0..).zip(["a", "b", "c", "a", "d"]) {
        let (id, contact) = (format!("Call-ID: {host}"), format!("Contact: <sip:101@{host}>"));
        office.register(n, udp(1), &[&id, &contact]);
    }
    assert_eq!(office.uris(9), ["sip:101@d", "sip:101@a", "sip:101@c"]);
    let many: Vec<_> = (0..50).map(|n| format!("<sip:101@h{n}>")).collect();
    let many = format!("Contact: {}", many.join(", "));
    assert_eq!(office.register(9, udp(1), &["Call-ID: z", &many]).contacts.len(), 3);
    assert_eq!(office.registrar.timers.len(), 3);
}

#[test]
fn a_contact_that_moves_leaves_nothing_behind() {
    // PJSIP: same Call-ID, new Contact, the old one taken back beside it or forgotten.
    for more in ["", ", <sip:101@192.168.0.5:5060>;expires=0"] {
        let mut office = Office::new(None);
        office.register(0, udp(1), &["Contact: <sip:101@192.168.0.5:5060>"]);
        let moved = format!("Contact: <sip:101@203.0.113.5:6000>{more}");
        let reply = office.register(1, udp(1), &[&moved]);
        assert_eq!((reply.code, reply.contacts.len()), (200, 1));
        assert_eq!(office.uris(1), ["sip:101@203.0.113.5:6000"]);
        assert_eq!(office.changes(), [true]);
    }
    // Taking an old Contact back leaves the new one.
    let mut office = Office::new(None);
    office.register(0, udp(1), &["Contact: <sip:101@a>"]);
    office.register(1, udp(1), &["Contact: <sip:101@b>;expires=0"]);
    assert_eq!(office.uris(1), ["sip:101@a"]);
    // A phone that is started anew differs in a parameter only.
    office.register(2, udp(1), &["Call-ID: new", "Contact: <sip:101@A;rinstance=9>"]);
    assert_eq!(office.uris(2), ["sip:101@A;rinstance=9"]);
    office.register(3, udp(1), &["Call-ID: new2", "Contact: <sip:101@a;transport=TCP>"]);
    assert_eq!(office.uris(3).len(), 2);
}

#[test]
fn a_device_is_there_once_and_its_latest_flow_is_used() {
    let mut office = Office::new(None);
    let contact = |host: &str, id: u32| {
        let instance = r#"+sip.instance="<urn:uuid:0-1>""#;
        format!("Contact: <sip:x@{host}.invalid;transport=ws>;reg-id={id};{instance};expires=600")
    };
    office.register(0, tcp(1), &["Call-ID: 1", &contact("a", 1)]);
    office.register(1, tcp(2), &["Call-ID: 2", &contact("b", 1)]);
    assert_eq!(office.uris(1), ["sip:x@b.invalid;transport=ws"], "same device, same flow");
    let reply = office.register(2, tcp(3), &["Call-ID: 3", &contact("c", 2)]);
    assert_eq!(reply.contacts.len(), 2, "both flows are kept");
    assert!(reply.contacts[0].ends_with(r#";+sip.instance="<urn:uuid:0-1>";reg-id=2"#));
    let found: Vec<_> = office.registrar.bindings("101", office.at(2)).map(|b| b.flow).collect();
    assert_eq!(found, [tcp(3)], "but one is rung, by its connection");
    office.registrar.flow_gone(office.at(3), &tcp(3));
    assert_eq!(office.uris(3), ["sip:x@b.invalid;transport=ws"]);
    assert_eq!(office.changes(), [true]);
}

#[test]
fn a_doubted_phone_is_asked_at_once_and_rung_when_it_answers() {
    let mut office = Office::new(Some(Pulse::default()));
    office.register(0, udp(1), &["Contact: <sip:101@a>"]);
    assert_eq!(office.changes(), [true]);
    for n in 1..=2 {
        if n == 1 {
            assert!(office.registrar.doubt(office.at(n), "101"));
        } else {
            office.registrar.doubt_flow(office.at(n), &udp(1));
        }
        assert!(office.uris(n).is_empty());
        assert!(office.registrar.is_registered("101"));
        assert_eq!(office.changes(), [false]);
        office.registrar.handle_timeout(office.at(n));
        let question = office.registrar.poll_question().expect("asked at once");
        office.registrar.pulse_result(office.at(n), question.binding, false);
        assert!(office.uris(n).is_empty());
        office.registrar.pulse_result(office.at(n), question.binding, true);
        assert_eq!(office.uris(n), ["sip:101@a"]);
        assert_eq!(office.changes(), [true]);
    }
    assert!(!office.registrar.doubt(office.at(3), "102"));
    office.register(4, udp(1), &["Contact: <sip:101@a>;expires=0"]);
    assert!(!office.registrar.is_registered("101"));
}

#[test]
fn a_lost_flow_takes_its_bindings() {
    let mut office = Office::new(None);
    office.register(0, udp(1), &["Call-ID: 1", "Contact: <sip:101@a>"]);
    office.register(0, tcp(1), &["Call-ID: 2", "Contact: <sip:101@b>"]);
    assert_eq!(office.registrar.owner_of_flow(&udp(1)), Some("101"));
    assert_eq!(office.registrar.owner_of_flow(&udp(2)), None);
    assert_eq!(office.registrar.owner_of_flow(&tcp(2)), None, "another connection");
    let unconnected = Flow { connection: None, ..tcp(1) };
    assert_eq!(office.registrar.owner_of_flow(&unconnected), Some("101"));
    office.registrar.flow_gone(office.at(1), &tcp(2));
    office.registrar.flow_gone(office.at(1), &udp(2));
    assert_eq!(office.uris(1).len(), 2);
    office.registrar.flow_gone(office.at(1), &tcp(1));
    assert_eq!(office.uris(1), ["sip:101@a"]);
    assert_eq!(office.changes(), [true]);
    office.registrar.flow_gone(office.at(1), &udp(1));
    assert_eq!(office.changes(), [false]);
    assert!(office.registrar.by_peer.is_empty() && office.registrar.by_user.is_empty());
    office.cseq = 20;
    office.register(2, udp(1), &["Contact: <sip:101@a>"]);
    office.registrar.retain(|user| user != "101");
    assert!(office.changes().is_empty(), "came and went unseen");
}

#[test]
fn a_phone_that_does_not_answer_twice_is_not_rung_until_it_does() {
    let mut office = Office::new(Some(Pulse::default()));
    office.register(0, udp(1), &["Contact: <sip:101@a>"]);
    assert_eq!(office.changes(), [true]);
    let ask = |office: &mut Office, s: u64| {
        let before = office.at(s - 1);
        office.registrar.handle_timeout(before);
        assert_eq!(office.registrar.poll_question(), None, "not before {s} s");
        assert_eq!(office.registrar.poll_timeout(), Some(office.at(s)));
        office.registrar.handle_timeout(office.at(s));
        let question = office.registrar.poll_question().unwrap();
        assert_eq!(office.registrar.poll_question(), None);
        assert_eq!((question.flow, &*question.uri), (udp(1), "sip:101@a"));
        question.binding
    };
    let id = ask(&mut office, 30);
    office.registrar.pulse_result(office.at(31), id, true);
    let id = ask(&mut office, 61);
    office.registrar.pulse_result(office.at(93), id, false);
    assert_eq!(office.uris(93).len(), 1, "once is not enough");
    let id = ask(&mut office, 95);
    office.registrar.pulse_result(office.at(127), id, false);
    assert_eq!((office.uris(127).len(), office.changes()), (0, vec![false]));
    let id = ask(&mut office, 129);
    office.registrar.pulse_result(office.at(161), id, false);
    let id = ask(&mut office, 191);
    office.registrar.pulse_result(office.at(192), id, true);
    assert_eq!((office.uris(192).len(), office.changes()), (1, vec![true]));
    office.register(200, udp(1), &["Contact: <sip:101@a>"]);
    for _ in 0..9 {
        office.registrar.pulse_result(office.at(201), id, false);
    }
    assert_eq!(office.uris(201).len(), 1, "what was asked before the refresh counts no more");
}

#[test]
fn what_a_phone_says_of_itself_is_bounded_and_clean() {
    let mut office = Office::new(None);
    let agent = format!("User-Agent: {}", "あ".repeat(300));
    let instance = format!("Contact: <sip:101@a>;+sip.instance=\"{}\"", "x".repeat(300));
    office.register(0, udp(1), &[&agent, &instance]);
    let binding = office.registrar.bindings("101", office.t0).next().unwrap();
    assert_eq!(binding.user_agent.chars().count(), USER_AGENT_MAX);
    assert_eq!(binding.instance, None);
}

proptest! {
    /// Whatever comes: never more bindings than allowed, indexes and timers that agree, and a
    /// last word on reachability that is true.
    #[test]
    fn the_books_always_balance(
        steps in prop::collection::vec(
            (0u64..5000, 0u8..4, 0u16..3, 0u8..3, 0u32..4000, 0u8..3), 1..40,
        )
    ) {
        let mut office = Office::new(Some(Pulse::default()));
        let (mut now, mut reachable) = (0, false);
        for (pause, host, port, call, expires, kind) in steps {
            now += pause;
            let contact = match kind {
                0 => format!("Contact: <sip:101@h{host}>;expires={expires}"),
                1 => format!("Contact: <sip:101@h{host}>;+sip.instance=\"i{host}\";reg-id={call}"),
                _ => "Contact: *".to_owned(),
            };
            let (id, header) = (format!("Call-ID: {call}"), format!("Expires: {}", expires % 2));
            if pause % 5 == 0 {
                office.registrar.flow_gone(office.at(now), &udp(port));
            } else {
                office.register(now, udp(port), &[&id, &contact, &header]);
            }
            let r = &office.registrar;
            prop_assert!(r.bindings.len() <= 3);
            prop_assert_eq!(r.timers.len(), 2 * r.bindings.len());
            prop_assert_eq!(r.by_peer.values().map(Vec::len).sum::<usize>(), r.bindings.len());
            prop_assert_eq!(r.by_user.values().map(Vec::len).sum::<usize>(), r.bindings.len());
            reachable = office.changes().last().copied().unwrap_or(reachable);
            prop_assert_eq!(reachable, !office.uris(now).is_empty());
        }
    }
}

#[test]
fn the_address_of_a_phone_is_known_while_it_is_registered() {
    let mut office = Office::new(None);
    let phone = udp(1);
    let ip = phone.remote.ip();
    assert!(!office.registrar.knows_address(ip));
    office.register(0, phone, &["Contact: <sip:101@192.0.2.9>;expires=60"]);
    assert!(office.registrar.knows_address(ip));
    assert!(!office.registrar.knows_address("198.51.100.99".parse().unwrap()));
    office.registrar.handle_timeout(office.at(61));
    assert!(!office.registrar.knows_address(ip));
}

/// A phone that was lost with its connection is known again by its place, its device or its series
/// of REGISTERs, as long as its binding would have lasted.
#[test]
fn a_phone_that_comes_back_by_another_connection_has_moved() {
    let moved = |it: &mut Office| -> Vec<_> {
        std::iter::from_fn(|| it.registrar.poll_moved()).map(|it| (it.from, it.to)).collect()
    };
    let instance = r#";+sip.instance="<urn:uuid:0-1>""#;
    let first = format!("Contact: <sip:101@10.0.0.2:40000>;expires=600{instance}");
    let device = format!("Contact: <sip:101@10.0.0.9:40001>;expires=600{instance}");
    let other = "Contact: <sip:101@10.0.0.9:40001>;expires=600";
    let is_back = [
        (first.as_str(), "Call-ID: new", 10, true),
        (&device, "Call-ID: new", 10, true),
        (other, "Call-ID: same", 10, true),
        (other, "Call-ID: new", 10, false),
        (&first, "Call-ID: same", 601, false),
    ];
    for (contact, call_id, at, is_it) in is_back {
        let mut office = Office::new(None);
        office.register(0, tcp(1), &[&first]);
        office.registrar.flow_gone(office.at(1), &tcp(1));
        assert!(office.uris(1).is_empty() && !office.registrar.is_registered("101"));
        office.register(at, tcp(2), &[contact, call_id]);
        let expected = if is_it { vec![(tcp(1), tcp(2))] } else { vec![] };
        assert_eq!(moved(&mut office), expected, "{contact} {call_id}");
        // Once.
        office.register(at + 1, tcp(2), &[contact, call_id]);
        assert_eq!(moved(&mut office), []);
        // Nobody has told us that the connection is gone.
        office.register(at + 2, tcp(3), &[contact, call_id]);
        assert_eq!(moved(&mut office), [(tcp(2), tcp(3))]);
        assert_eq!(office.uris(at + 2).len(), 1);
        office.registrar.flow_gone(office.at(at + 2), &tcp(3));
        office.registrar.retain(|_| false);
        assert!(office.registrar.lost.is_empty() && office.registrar.timers.is_empty());
    }
}

/// The process is killed and another one goes on: a phone behind datagrams is there at once and is
/// asked, one behind a connection is away until it registers again.
#[test]
fn phones_outlive_the_process() {
    use crate::time::Anchor;
    let mut office = Office::new(Some(Pulse::default()));
    let anchor = Anchor { mono: office.t0, since_boot: Duration::from_secs(99) };
    office.registrar.keep(anchor);
    let tcp = Flow { transport: Transport::Tcp, connection: Some(ConnectionId(7)), ..udp(40_000) };
    office.register(0, udp(1), &["Contact: <sip:101@10.0.0.2:1>;expires=600"]);
    let other = ["Contact: <sip:101@10.0.0.2:2>;expires=600", "Call-ID: other"];
    office.register(0, tcp, &other);
    let kept = office.registrar.take_changes();
    assert_eq!(kept.len(), 2);

    let now = office.at(100);
    office.registrar = Registrar::new(Some(Pulse::default()));
    office.registrar.keep(anchor);
    let mut lost = Vec::new();
    for (id, value) in &kept {
        let value = value.as_ref().unwrap();
        lost.extend(office.registrar.restore(now, *id, value).unwrap());
    }
    assert_eq!(office.changes(), [true]);
    assert_eq!(lost.len(), 1);
    assert_eq!(office.uris(100).len(), 2);
    office.registrar.flow_gone(now, &lost[0]);
    assert_eq!(office.uris(100), ["sip:101@10.0.0.2:1"]);
    assert!(office.changes().is_empty(), "the other phone is still there");
    office.registrar.handle_timeout(now);
    assert!(office.registrar.poll_question().is_some());
    // The one that is away is remembered by the next process too.
    assert!(office.registrar.take_changes().iter().all(|(_, value)| value.is_some()));
    // Its time is what it was.
    assert_eq!(office.uris(599).len(), 1);
    office.registrar.handle_timeout(office.at(600));
    assert_eq!(office.changes(), [false]);
    // A later registration has another number.
    office.register(700, udp(3), &["Contact: <sip:101@10.0.0.2:3>;expires=600"]);
    let changed = office.registrar.take_changes();
    assert!(changed.iter().any(|(id, value)| value.is_some() && kept.iter().all(|(k, _)| k != id)));
}
