//! Strangers, malformed messages, limits and counts.

use super::*;
use crate::sip::endpoint::Direction;
use crate::sip::message::Method;

fn stranger() -> Bench {
    let mut bench = Bench::new(policy());
    bench.admit = Admit::Stranger;
    bench
}

#[test]
fn strangers_get_no_answer() {
    let mut bench = stranger();
    assert!(bench.receive(&invite("")).is_empty());
    for method in ["OPTIONS", "BYE", "SUBSCRIBE", "MESSAGE", "CANCEL"] {
        assert!(bench.receive(&request(method, 1, "", method, "")).is_empty());
        assert!(bench.receive(&request(method, 1, "tag", method, "")).is_empty());
    }
    assert!(bench.receive(&request("ACK", 1, "tag", "ack", "")).is_empty());
    assert!(bench.receive("INVITE sip:x SIP/2.0\r\nFrom: ?\r\n\r\n").is_empty());
    assert!(bench.receive("\x16\x03\x01").is_empty());
    assert!(bench.receive("SIP/2.0 200 OK\r\n\r\n").is_empty());
    assert!(bench.told().is_empty());
    let counts = bench.endpoint.counts();
    assert_eq!((counts.dropped_strangers, counts.malformed, counts.unmatched), (11, 3, 1));
    assert_eq!((counts.transactions, counts.sessions), (0, 0));
    assert_eq!(bench.endpoint.poll_timeout(), None);
}

#[test]
fn strangers_may_register_and_go_on_with_a_dialog() {
    let mut bench = Bench::new(policy());
    let (_, tag) = bench.answered(&invite(""));
    bench.admit = Admit::Stranger;
    bench.flow.remote = "203.0.113.7:1".parse().unwrap();
    assert!(bench.receive(&request("REGISTER", 1, "", "reg", "")).is_empty());
    match bench.events().as_slice() {
        [Event::Request { tx, request, flow }] => {
            assert_eq!(*flow, bench.flow);
            let draft = crate::sip::print::Draft::response(request, 401);
            bench.endpoint.respond(bench.now, *tx, draft.clone());
            bench.endpoint.respond(bench.now, *tx, draft);
        }
        other => panic!("{other:?}"),
    }
    let sent = bench.sent();
    assert_eq!(lines(&sent), ["401 REGISTER"]);
    assert!(!tag_of(&sent[0]).is_empty());
    assert_eq!(lines(&bench.receive(&request("BYE", 2, &tag, "bye", ""))), ["200 BYE"]);
    assert_eq!(bench.told(), ["Ended Bye"]);
}

#[test]
fn malformed_requests_of_peers_are_answered() {
    let mut bench = Bench::new(policy());
    let text = invite("").replace("CSeq: 1 INVITE", "CSeq: 1 BYE");
    let sent = bench.receive(&text);
    assert_eq!(sent[0].code(), Some(400));
    assert!(bench.receive(&text.replace("INVITE sip", "ACK sip")).is_empty());
    assert!(bench.receive("\r\n\r\n").is_empty());
    assert!(bench.receive("nonsense").is_empty());
    assert_eq!(bench.endpoint.counts().malformed, 3);
    assert_eq!(bench.endpoint.counts().transactions, 0);
}

#[test]
fn sessions_have_a_limit() {
    let config = Config { max_sessions: 1, ..Config::default() };
    let mut bench = Bench::with(policy(), config);
    let session = bench.invited(&invite(""));
    let other = invite_with("b", "", OFFER).replace("7c1e", "8c1e");
    assert_eq!(lines(&bench.receive(&other)), ["503 INVITE"]);
    let more = Invite {
        flow: bench.flow,
        uri: "sip:x@y".to_owned(),
        from: "<sip:x@y>".to_owned(),
        to: "<sip:x@y>".to_owned(),
        headers: vec![],
        sdp: Bytes::new(),
        policy: policy(),
    };
    bench.endpoint.invite(bench.now, more);
    assert_eq!(bench.told(), ["Ended Refused { code: 503, contacts: [] }"]);
    bench.endpoint.refuse(bench.now, session, 486, &[]);
    bench.sent();
    let third = invite_with("c", "", OFFER).replace("7c1e", "9c1e");
    assert_eq!(lines(&bench.receive(&third)), ["100 INVITE"]);
}

#[test]
fn transactions_have_a_limit_and_strangers_half_of_it() {
    let config = Config { max_transactions: 4, ..Config::default() };
    let mut bench = Bench::with(policy(), config);
    let register = |n: u32| request("REGISTER", n, "", &format!("r{n}"), "");
    bench.admit = Admit::Stranger;
    for n in 0..10 {
        bench.receive(&register(n));
    }
    assert_eq!(bench.told().len(), 2);
    bench.admit = Admit::Peer(policy());
    for n in 10..20 {
        bench.receive(&register(n));
    }
    assert_eq!(bench.told().len(), 1, "the last quarter is for calls that there are");
    let counts = bench.endpoint.counts();
    assert_eq!((counts.transactions, counts.overloaded), (3, 17));
    // What our own side never answers is forgotten.
    bench.wait(secs(64));
    assert_eq!(bench.endpoint.counts().transactions, 0);
}

#[test]
fn messages_are_counted_by_method_and_direction() {
    let mut bench = Bench::new(policy());
    let (_, tag) = bench.answered(&invite(""));
    bench.receive(&request("BYE", 2, &tag, "bye", ""));
    bench.receive(&request("FOO", 1, "", "foo", ""));
    bench.receive(&request("BAR", 1, "", "bar", ""));
    let counts = bench.endpoint.counts().messages;
    let count = |method, direction| counts.get(&(method, direction)).copied().unwrap_or(0);
    assert_eq!(count(Method::Invite, Direction::In), 1);
    assert_eq!(count(Method::Invite, Direction::Out), 2);
    assert_eq!(count(Method::Ack, Direction::In), 1);
    assert_eq!((count(Method::Bye, Direction::In), count(Method::Bye, Direction::Out)), (1, 1));
    assert_eq!(count(Method::Other("other".into()), Direction::In), 2);
    assert_eq!(counts.len(), 7);
}

#[test]
fn old_peers_without_branch_are_understood() {
    let mut bench = Bench::new(policy());
    let text = invite("").replace(";branch=z9hG4bKinvite", "");
    let session = bench.invited(&text);
    assert_eq!(lines(&bench.receive(&text)), ["100 INVITE"]);
    bench.endpoint.refuse(bench.now, session, 486, &[]);
    let tag = tag_of(&bench.sent()[0]);
    let ack = request("ACK", 1, &tag, "invite", "").replace(";branch=z9hG4bKinvite", "");
    assert!(bench.receive(&ack).is_empty());
    assert!(bench.wait(secs(60)).is_empty());
}

#[test]
fn same_seed_same_bytes() {
    let run = || {
        let mut bench = Bench::new(policy());
        let (session, _) = bench.call(policy());
        bench.endpoint.hangup(bench.now, session, None);
        let (_, tag) = bench.answered(&invite("k: timer\r\nx: 300\r\n"));
        bench.receive(&request("BYE", 2, &tag, "bye", ""));
        bench.wait(secs(100)).into_iter().map(|(_, message)| message.bytes).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn new_calls_leave_room_for_those_that_there_are() {
    let config = Config { max_transactions: 8, ..Config::default() };
    let mut bench = Bench::with(policy(), config);
    let (_, tag) = bench.answered(&invite(""));
    let other = |n: u32| invite_with(&format!("o{n}"), "", OFFER).replace("7c1e", &format!("c{n}"));
    let codes: Vec<_> = (0..9).map(|n| lines(&bench.receive(&other(n)))[0].clone()).collect();
    assert_eq!(codes[..5], vec!["100 INVITE"; 5]);
    assert_eq!(codes[5..], vec!["503 INVITE"; 4]);
    assert_eq!(lines(&bench.receive(&request("BYE", 2, &tag, "bye", ""))), ["200 BYE"]);
    assert_eq!(bench.endpoint.counts().shed, 4);
}

#[test]
fn whatever_floods_in_a_peers_name_calls_go_on() {
    for method in ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "BYE", "UPDATE"] {
        let config = Config { max_transactions: 16, ..Config::default() };
        let mut bench = Bench::with(policy(), config);
        let (_, tag) = bench.answered(&invite(""));
        for n in 0..100 {
            let text = request(method, 1, "", &format!("f{n}"), "");
            bench.receive(&text.replace("7c1e", &format!("f{n}")));
        }
        let bye = bench.receive(&request("BYE", 2, &tag, "bye", ""));
        assert_eq!(lines(&bye), ["200 BYE"], "{method}");
    }
}

#[test]
fn a_copy_of_a_call_that_was_refused_rings_nobody_later() {
    let mut bench = Bench::new(policy());
    let other = |n: u32| invite_with(&format!("o{n}"), "", OFFER).replace("7c1e", &format!("c{n}"));
    bench.admit = Admit::Busy(policy());
    assert_eq!(lines(&bench.receive(&other(1))), ["503 INVITE"]);
    bench.admit = Admit::Peer(policy());
    assert_eq!(lines(&bench.receive(&other(1))), ["503 INVITE"]);
    assert_eq!(lines(&bench.receive(&other(2))), ["100 INVITE"]);
    // Of a flood of them the latest are remembered.
    bench.admit = Admit::Busy(policy());
    (10..4_106).for_each(|n| drop(bench.receive(&other(n))));
    bench.admit = Admit::Peer(policy());
    assert_eq!(lines(&bench.receive(&other(10))), ["503 INVITE"]);
    assert_eq!(lines(&bench.receive(&other(1))), ["100 INVITE"]);
}

#[test]
fn what_can_be_answered_again_is_not_kept() {
    let mut bench = Bench::new(policy());
    for n in 0..50 {
        for (method, code) in [("OPTIONS", 200), ("SUBSCRIBE", 489), ("MESSAGE", 405)] {
            let text = request(method, 1, "", &format!("{method}{n}"), "");
            assert_eq!(lines(&bench.receive(&text)), [format!("{code} {method}")]);
            assert_eq!(lines(&bench.receive(&text)), [format!("{code} {method}")]);
        }
    }
    assert_eq!(bench.endpoint.counts().transactions, 0);
}
