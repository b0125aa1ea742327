//! What strangers learn and cost: nothing, whatever they ask; and whose word an extension's is.

use std::net::SocketAddr;

use koebashi::chance::Chance;
use koebashi::pii::Pii;
use koebashi::sip::auth::{Asked, Challenge, answer};
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::sip::{Flow, Transport};
use proptest::prelude::*;

use super::{COUNSELOR, MS, S, basic_talk};
use crate::config::basic;
use crate::sim::world::Sent;
use crate::sim::{Raw, World, sdp};

/// Nobody's address.
const STRANGER: &str = "198.51.100.7:5060";
/// A phone's that is not registered yet.
const PHONE: &str = "10.0.2.50:5060";
/// The password of 101.
const PASSWORD: &str = "password-101";

/// What was sent to `to` from `mark` on.
fn sent_to(world: &World, mark: usize, to: &str) -> Vec<Message> {
    let to: SocketAddr = to.parse().unwrap();
    let all = world.wire[mark..].iter();
    all.filter(|sent| sent.to == to).map(Sent::message).collect()
}

fn request(method: &Method, from: &str, user: &str, n: u32, more: &str) -> String {
    format!(
        "{method} sip:koebashi.local SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@koebashi.local>;tag=f{n}\r\n\
         To: <sip:{user}@koebashi.local>\r\nCall-ID: {n}@{from}\r\nCSeq: {n} {method}\r\n\
         {more}Content-Length: 0\r\n\r\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// RFC 3261 §22 and the scanners: there is nothing to be learned.
    #[test]
    fn a_stranger_gets_401_403_405_or_nothing_by_every_method(
        odd in "[A-Za-z0-9.!%*_+`'~-]{1,20}",
        user in "(101|102|666|[a-z]{1,8})",
        more in prop::sample::select(vec![
            "", "Require: foo\r\n", "Contact: *\r\nExpires: 0\r\n", "Event: presence\r\n",
            "Authorization: Digest username=\"101\"\r\n", "Replaces: a;to-tag=b;from-tag=c\r\n",
        ]),
        tag in "(|;tag=x)",
    ) {
        let mut world = World::new(&basic("", "", ""));
        world.add_counselor("101", COUNSELOR);
        world.run(S);
        let mark = world.wire.len();
        let methods = Method::KNOWN.iter().cloned().chain([Method::Other(odd.into())]);
        for (n, method) in (1..).zip(methods) {
            let to = format!("To: <sip:{user}@koebashi.local>");
            let text = request(&method, STRANGER, &user, n, more);
            world.send_raw(STRANGER, text.replace(&to, &(to.clone() + &tag)).as_bytes());
            world.run(20 * MS);
        }
        let codes: Vec<_> =
            sent_to(&world, mark, STRANGER).iter().map(|it| it.code().unwrap_or(0)).collect();
        prop_assert!(codes.iter().all(|code| [401, 403, 405].contains(code)), "{:?}", codes);
        let counts = world.board.counts();
        prop_assert_eq!(counts.sessions, 0);
    }
}

#[test]
fn a_strangers_register_leaves_nothing_behind() {
    let mut world = World::new(&basic("", "", ""));
    world.run(S);
    let before = world.board.counts().transactions;
    for n in 1..100 {
        let text = request(&Method::Register, STRANGER, "101", n, "");
        world.send_raw(STRANGER, text.as_bytes());
        world.run(20 * MS);
    }
    assert_eq!(sent_to(&world, 0, STRANGER).len(), 99);
    assert_eq!(world.board.counts().transactions, before);
}

/// A challenge without what is new in each: the nonce, our tag; and without the name asked for.
fn anonymous(text: &str, user: &str) -> String {
    let mut out = text.replace(user, "USER");
    for (start, end) in [("nonce=\"", '"'), (";tag=", '\r')] {
        let mut from = 0;
        while let Some(at) = out[from..].find(start).map(|at| from + at + start.len()) {
            let length = out[at..].find(end).unwrap_or(0);
            out.replace_range(at..at + length, "…");
            from = at;
        }
    }
    out
}

#[test]
fn who_has_an_extension_cannot_be_told_from_who_has_none() {
    let mut world = World::new(&basic("", "", ""));
    world.run(S);
    let mut ask = |user: &str, more: &str| {
        let mark = world.wire.len();
        world.send_raw(STRANGER, request(&Method::Register, STRANGER, user, 7, more).as_bytes());
        world.run(20 * MS);
        let [sent] = &world.wire[mark..] else { panic!("one answer") };
        anonymous(&String::from_utf8_lossy(&sent.bytes), user)
    };
    let guess = |user: &str| {
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"koebashi.local\", nonce=\"x\", \
             uri=\"sip:koebashi.local\", response=\"{}\", algorithm=MD5\r\n",
            "0".repeat(32)
        )
    };
    let known = ask("101", "");
    assert!(known.starts_with("SIP/2.0 401 ") && known.contains("USER"), "{known}");
    assert_eq!(known, ask("966", ""));
    assert_eq!(ask("101", &guess("101")), ask("966", &guess("966")));
}

#[test]
fn an_answer_is_never_much_longer_than_what_a_stranger_sent() {
    let mut world = World::new(&basic("", "", ""));
    world.run(S);
    let short = "REGISTER sip:a SIP/2.0\r\nv:SIP/2.0/UDP b;branch=z9hG4bK1\r\nf:<sip:1@a>;tag=1\r\n\
                 t:<sip:1@a>\r\ni:1\r\nCSeq:1 REGISTER\r\nMax-Forwards:9\r\n\r\n";
    for n in 0..30 {
        let text = short.replace("i:1", &format!("i:{}", "x".repeat(n * 9 + 1)));
        let mark = world.wire.len();
        let text = text.replace("bK1", &format!("bK{n}"));
        world.send_raw(STRANGER, text.as_bytes());
        world.run(20 * MS);
        let from = STRANGER.parse::<SocketAddr>().unwrap().ip();
        let out = world.wire[mark..].iter().filter(|sent| sent.to.ip() == from);
        let out: usize = out.map(|sent| sent.bytes.len()).sum();
        assert!(out <= 3 * text.len(), "{out} bytes for {}", text.len());
    }
}

/// REGISTERs as `user` with the right password, and these headers; the last answer's code.
fn registers(world: &mut World, user: &str, text: &str) -> u16 {
    let mark = world.wire.len();
    world.send_raw(PHONE, text.as_bytes());
    world.run(20 * MS);
    let asked = sent_to(world, mark, PHONE);
    assert_eq!(asked[0].code(), Some(401));
    let challenge = asked[0].header(&Name::WwwAuthenticate).map(Challenge::parse_all);
    let challenge = challenge.unwrap().unwrap().remove(0);
    let password = Pii::new(PASSWORD);
    let terms = Asked {
        method: "REGISTER",
        uri: "sip:koebashi.local",
        user,
        password: &password,
        count: 1,
    };
    let proof = answer(&challenge, &terms, &mut Chance::from_number(3));
    let again = text.replace("z9hG4bK", "z9hG4bKagain");
    let again =
        again.replace("Content-Length", &format!("Authorization: {proof}\r\nContent-Length"));
    let mark = world.wire.len();
    world.send_raw(PHONE, again.as_bytes());
    world.run(20 * MS);
    sent_to(world, mark, PHONE).last().and_then(Message::code).unwrap_or(0)
}

#[test]
fn an_extension_may_not_say_that_it_is_another() {
    let mut world = World::new(&basic("", "", ""));
    world.run(S);
    let own = format!("Contact: <sip:101@{PHONE}>\r\n");
    let text = |n: u32, more: &str| request(&Method::Register, PHONE, "101", n, more);
    let another = text(1, &own).replace("From: <sip:101", "From: <sip:102");
    assert_eq!(registers(&mut world, "101", &another), 403);
    let another = text(2, &own).replace("To: <sip:101", "To: <sip:102");
    assert_eq!(registers(&mut world, "101", &another), 403);
    let asserted = own.clone() + "P-Asserted-Identity: <sip:102@koebashi.local>\r\n";
    assert_eq!(registers(&mut world, "101", &text(3, &asserted)), 403);
    let contact = own.replace("sip:101", "sip:102");
    assert_eq!(registers(&mut world, "101", &text(4, &contact)), 403);
    let required = own.clone() + "Require: foo\r\n";
    assert_eq!(registers(&mut world, "101", &text(5, &required)), 420);
    // What phones call themselves in Contact is theirs, while it is nobody else's name.
    let contact = own.replace("sip:101", "sip:q3x8");
    assert_eq!(registers(&mut world, "101", &text(6, &contact)), 200);
}

#[test]
fn behind_its_time_new_calls_are_refused_and_the_others_go_on() {
    let mut talk = basic_talk();
    let world = &mut talk.world;
    let flow = |remote: &str| {
        let local = "10.0.0.1:5060".parse().unwrap();
        Flow::new(Transport::Udp, local, remote.parse().unwrap())
    };
    let mut raw = Raw::caller(7);
    let at = flow(&raw.at);
    // Late, but not for long: the process may just have begun.
    assert!(world.board.hears(world.now, &at, Some(S)));
    raw.invite(world, "", "10.0.1.7:4000");
    world.run(100 * MS);
    assert_eq!(raw.responses(world, &Method::Invite, 200).len(), 1);
    raw.ack(world);
    world.run(S);
    assert!(world.board.hears(world.now, &at, Some(101 * MS)));
    let mut late = Raw::caller(8);
    late.invite(world, "", "10.0.1.8:4000");
    world.run(20 * MS);
    let refused = late.responses(world, &Method::Invite, 503);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].header(&Name::RetryAfter).is_some());
    assert_eq!(late.received(world).len(), 1, "nothing but the refusal");
    assert_eq!(world.board.counts().shed, 1);
    // What belongs to a call is never late, and says nothing of how late we are.
    assert!(world.board.hears(world.now, &at, None));
    raw.send(world, &Method::Invite, "", &sdp("10.0.1.7:4000", "sendrecv"));
    world.run(20 * MS);
    assert_eq!(raw.responses(world, &Method::Invite, 200).len(), 2);
    raw.ack(world);
    assert!(world.board.hears(world.now, &at, None));
    raw.send(world, &Method::Bye, "", "");
    world.run(20 * MS);
    assert_eq!(raw.responses(world, &Method::Bye, 200).len(), 1);
    talk.claim_they_hear_each_other();
}

#[test]
fn trunk_and_registered_phones_are_heard_whoever_floods_in_their_name() {
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    world.run(S);
    let now = world.now;
    let flow =
        |remote: SocketAddr| Flow::new(Transport::Udp, "10.0.0.1:5060".parse().unwrap(), remote);
    let heard = |world: &mut World, remote: SocketAddr| {
        (0..1_000).filter(|_| world.board.hears(now, &flow(remote), Some(MS))).count()
    };
    let phone = world.phones[0].sip;
    assert_eq!(heard(&mut world, phone), 1_000);
    assert_eq!(heard(&mut world, "10.0.1.1:5060".parse().unwrap()), 1_000);
    assert_eq!(heard(&mut world, "10.0.1.1:6000".parse().unwrap()), 1_000);
    assert_eq!(heard(&mut world, STRANGER.parse().unwrap()), 100);
    // The phone from another port: limited, but not by what strangers send.
    let moved = SocketAddr::new(phone.ip(), 7_777);
    for n in 0..200 {
        heard(&mut world, SocketAddr::from(([203, 0, 113, n], 5060)));
    }
    assert_eq!(heard(&mut world, moved), 100);
    assert_eq!(heard(&mut world, phone), 1_000);
    // So is a stream of whoever shares its address.
    let local = "10.0.0.1:5060".parse().unwrap();
    let stream = Flow::new(Transport::Tcp, local, moved);
    assert_eq!((0..1_000).filter(|_| world.board.hears(now, &stream, None)).count(), 100);
    assert!(world.board.counts().flooded > 180_000);
}
