//! Sessions that a peer starts.

use super::*;

#[test]
fn call_is_answered_and_ended_by_the_peer() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite("Record-Route: <sip:192.0.2.1:5060;lr>\r\n"));
    bench.endpoint.ring(bench.now, session, 180, None);
    bench.endpoint.ring(bench.now, session, 183, Some(Bytes::from(OURS)));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let sent = bench.sent();
    assert_eq!(lines(&sent), ["180 INVITE", "183 INVITE", "200 INVITE"]);
    let tag = tag_of(&sent[0]);
    assert!(tag.len() >= 8);
    for message in &sent {
        assert_eq!(tag_of(message), tag);
        assert_eq!(message.text(&Name::RecordRoute), Some("<sip:192.0.2.1:5060;lr>"));
        assert_eq!(message.text(&Name::Contact), Some("<sip:line@192.0.2.2:5060>"));
        assert!(message.has_token(&Name::Allow, "UPDATE"));
        assert!(message.has_token(&Name::Supported, "timer"));
        assert!(!message.has_token(&Name::Supported, "100rel"));
    }
    assert_eq!(sent[2].body(), OURS.as_bytes());
    assert!(bench.receive(&request("ACK", 1, &tag, "ack", "")).is_empty());
    assert_eq!(bench.told(), ["Confirmed"]);
    assert_eq!(lines(&bench.receive(&request("BYE", 2, &tag, "bye", ""))), ["200 BYE"]);
    assert_eq!(bench.told(), ["Ended Bye"]);
    assert_eq!(lines(&bench.receive(&request("BYE", 2, &tag, "bye", ""))), ["200 BYE"]);
    assert!(bench.told().is_empty());
    bench.wait(secs(64));
    assert_eq!((bench.endpoint.counts().transactions, bench.endpoint.counts().sessions), (0, 0));
    assert_eq!(bench.endpoint.poll_timeout(), None);
}

#[test]
fn hundred_has_no_tag_and_comes_at_once() {
    let mut bench = Bench::new(policy());
    let sent = bench.receive(&invite(""));
    assert_eq!((line(&sent[0]).as_str(), tag_of(&sent[0]).as_str()), ("100 INVITE", ""));
    // The retransmission gets the latest response, and no second event comes.
    assert_eq!(lines(&bench.receive(&invite(""))), ["100 INVITE"]);
    assert_eq!(bench.told(), ["Invite"]);
}

#[test]
fn bye_of_ours_copies_the_peers_addresses_and_follows_its_routes() {
    let mut bench = Bench::new(policy());
    let (session, tag) =
        bench.answered(&invite("Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\n"));
    bench.endpoint.hangup(bench.now, session, Some("SIP;cause=200"));
    let sent = bench.sent();
    assert_eq!(lines(&sent), ["BYE"]);
    let bye = &sent[0];
    assert_eq!(bye.uri(), Some("sip:31337@192.0.2.1:5060"));
    let from = format!("<sip:0480000000@ntt-east.ne.jp>;tag={tag}");
    assert_eq!(bye.text(&Name::From), Some(from.as_str()));
    assert_eq!(bye.text(&Name::To), Some("<sip:anonymous@anonymous.invalid>;tag=5F21"));
    assert_eq!(bye.text(&Name::Route), Some("<sip:p1;lr>, <sip:p2;lr>"));
    assert_eq!(bye.text(&Name::Reason), Some("SIP;cause=200"));
    assert!(bye.via().unwrap().rport().is_some());
    assert!(bench.receive(&response(bye, 200, "", "", "")).is_empty());
    assert_eq!(bench.endpoint.counts().sessions, 0);
    assert!(bench.told().is_empty());
}

#[test]
fn responses_go_where_via_and_rport_say() {
    let mut bench = Bench::new(policy());
    let remote = |text: &str| text.parse().unwrap();
    bench.flow.remote = remote("203.0.113.7:40000");
    let text = invite("").replace("branch=z9hG4bKinvite", "rport;branch=z9hG4bKinvite");
    let text =
        text.replace("Max-Forwards", "v: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nMax-Forwards");
    let sent = bench.receive(&text);
    let vias: Vec<_> = sent[0].list(&Name::Via).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKinvite;received=203.0.113.7;rport=40000",
            "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx",
        ]
    );
    bench.endpoint.handle(bench.now, bench.flow, text.as_bytes(), &bench.admit);
    assert_eq!(bench.flows()[0].remote, remote("203.0.113.7:40000"));
    // Without rport: to the port of Via, at the address that it came from.
    let text =
        invite_with("other", "", OFFER).replace("7c1e", "8c1e").replace(":5060;b", ":5070;b");
    bench.endpoint.handle(bench.now, bench.flow, text.as_bytes(), &bench.admit);
    assert_eq!(bench.flows()[0].remote, remote("203.0.113.7:5070"));
}

#[test]
fn ring_is_repeated_every_minute() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.ring(bench.now, session, 180, None);
    bench.sent();
    assert_eq!(times(&bench.wait(secs(150)), "180 INVITE"), [60_000, 120_000]);
    bench.endpoint.refuse(bench.now, session, 486, &[]);
    assert_eq!(lines(&bench.sent()), ["486 INVITE"]);
    assert!(times(&bench.wait(secs(150)), "180 INVITE").is_empty());
}

#[test]
fn refusal_is_repeated_until_its_ack() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.refuse(bench.now, session, 480, &[(Name::RetryAfter, "60".to_owned())]);
    let sent = bench.sent();
    assert_eq!(sent[0].text(&Name::RetryAfter), Some("60"));
    assert_eq!(times(&bench.wait(secs(8)), "480 INVITE"), [500, 1500, 3500, 7500]);
    assert_eq!(lines(&bench.receive(&invite(""))), ["480 INVITE"]);
    let ack = request("ACK", 1, &tag_of(&sent[0]), "invite", "");
    assert!(bench.receive(&ack).is_empty());
    assert!(bench.wait(secs(40)).is_empty());
    assert!(bench.told().is_empty());
    assert_eq!(bench.endpoint.counts().transactions, 0);
    assert_eq!(bench.endpoint.counts().unmatched, 0);
}

#[test]
fn success_is_repeated_until_its_ack() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let tag = tag_of(&bench.sent()[0]);
    // The INVITE again is absorbed: the session repeats the 200 by itself.
    assert!(bench.receive(&invite("")).is_empty());
    assert_eq!(times(&bench.wait(secs(12)), "200 INVITE"), [500, 1500, 3500, 7500, 11_500]);
    assert!(bench.receive(&request("ACK", 1, &tag, "ack", "")).is_empty());
    assert_eq!(bench.told(), ["Confirmed"]);
    assert!(bench.wait(secs(40)).is_empty());
}

#[test]
fn lost_ack_ends_the_session() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    bench.sent();
    let sent = bench.wait(secs(32));
    assert_eq!(times(&sent, "BYE"), [32_000]);
    assert_eq!(bench.told(), ["Ended AckLost"]);
    let bye = &sent.last().unwrap().1;
    bench.receive(&response(bye, 481, "", "", ""));
    assert_eq!(bench.endpoint.counts().sessions, 0);
    assert!(bench.told().is_empty());
}

#[test]
fn hangup_waits_for_the_ack() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let tag = tag_of(&bench.sent()[0]);
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(lines(&bench.sent()), [""; 0]);
    assert_eq!(times(&bench.wait(secs(1)), "200 INVITE"), [500]);
    assert_eq!(lines(&bench.receive(&request("ACK", 1, &tag, "ack", ""))), ["BYE"]);
    assert!(bench.told().is_empty());
}

#[test]
fn offerless_invite_gets_its_answer_by_ack() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite_with("invite", "", ""));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let tag = tag_of(&bench.sent()[0]);
    bench.receive(&request("ACK", 1, &tag, "ack", &with_sdp("", OFFER)));
    assert_eq!(bench.told(), ["Confirmed sdp"]);
}

#[test]
fn merged_invite_is_refused() {
    let mut bench = Bench::new(policy());
    bench.invited(&invite(""));
    assert_eq!(lines(&bench.receive(&invite_with("other", "", OFFER))), ["482 INVITE"]);
    assert!(bench.told().is_empty());
}

#[test]
fn cancel_before_the_answer() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.ring(bench.now, session, 180, None);
    let tag = tag_of(&bench.sent()[0]);
    let sent = bench.receive(&request("CANCEL", 1, "", "invite", ""));
    assert_eq!(lines(&sent), ["200 CANCEL", "487 INVITE"]);
    assert!(sent.iter().all(|message| tag_of(message) == tag));
    assert_eq!(bench.told(), ["Ended Cancelled"]);
    assert_eq!(lines(&bench.receive(&request("CANCEL", 1, "", "invite", ""))), ["200 CANCEL"]);
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    assert!(bench.sent().is_empty() && bench.told().is_empty());
}

#[test]
fn cancel_after_the_answer_changes_nothing() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let tag = tag_of(&bench.sent()[0]);
    assert_eq!(lines(&bench.receive(&request("CANCEL", 1, "", "invite", ""))), ["200 CANCEL"]);
    assert!(bench.told().is_empty());
    bench.receive(&request("ACK", 1, &tag, "ack", ""));
    assert_eq!(bench.told(), ["Confirmed"]);
    assert_eq!(lines(&bench.receive(&request("CANCEL", 1, "", "nothing", ""))), ["481 CANCEL"]);
}

#[test]
fn bye_before_the_answer() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.ring(bench.now, session, 180, None);
    let tag = tag_of(&bench.sent()[0]);
    let sent = bench.receive(&request("BYE", 2, &tag, "bye", ""));
    assert_eq!(lines(&sent), ["200 BYE", "487 INVITE"]);
    assert_eq!(bench.told(), ["Ended Bye"]);
}

#[test]
fn hangup_of_an_unanswered_call_refuses_it() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(lines(&bench.sent()), ["480 INVITE"]);
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason() {
    let check = |text: &str, code: &str, name: Name, value: Option<&str>| {
        let mut bench = Bench::new(policy());
        let sent = bench.receive(text);
        assert_eq!(lines(&sent), [code]);
        assert_eq!(sent[0].text(&name), value);
        assert!(!tag_of(&sent[0]).is_empty());
        assert!(bench.told().is_empty());
        assert_eq!(bench.endpoint.counts().sessions, 0);
    };
    check(&invite("Require: 100rel\r\n"), "420 INVITE", Name::Unsupported, Some("100rel"));
    check(&invite("Require: timer, foo\r\n"), "420 INVITE", Name::Unsupported, Some("foo"));
    let text = request("OPTIONS", 1, "", "x", "Require: foo");
    check(&text, "420 OPTIONS", Name::Unsupported, Some("foo"));
    let text = request("REGISTER", 1, "", "x", "Require: bar");
    check(&text, "420 REGISTER", Name::Unsupported, Some("bar"));
    check(&invite("").replace("Forwards: 66", "Forwards: 0"), "483 INVITE", Name::Accept, None);
    let text = invite("").replace("application/sdp", "text/plain");
    check(&text, "415 INVITE", Name::Accept, Some("application/sdp"));
    let text = invite("").replace("INVITE sip:", "INVITE urn:");
    check(&text, "416 INVITE", Name::Accept, None);
    let text = invite("k: timer\r\nx: 60\r\n");
    check(&text, "422 INVITE", Name::MinSe, Some("90"));
    let text = invite("Replaces: a@b;to-tag=1;from-tag=2\r\n");
    check(&text, "481 INVITE", Name::Accept, None);
    let allow = crate::sip::session::ALLOW;
    for (method, code) in [
        ("BYE", "481 BYE"),
        ("UPDATE", "481 UPDATE"),
        ("PRACK", "481 PRACK"),
        ("INFO", "481 INFO"),
        ("NOTIFY", "481 NOTIFY"),
        ("SUBSCRIBE", "489 SUBSCRIBE"),
        ("REFER", "603 REFER"),
    ] {
        check(&request(method, 1, "", "x", ""), code, Name::Allow, None);
    }
    check(&request("MESSAGE", 1, "", "x", ""), "405 MESSAGE", Name::Allow, Some(allow));
    check(&request("FOO", 1, "", "x", ""), "405 FOO", Name::Allow, Some(allow));
    check(&request("BYE", 1, "nobody", "x", ""), "481 BYE", Name::Allow, None);
}

#[test]
fn options_is_answered() {
    let mut bench = Bench::new(Policy { rel100: true, ..policy() });
    let sent = bench.receive(&request("OPTIONS", 1, "", "x", ""));
    assert_eq!(lines(&sent), ["200 OPTIONS"]);
    assert!(sent[0].has_token(&Name::Supported, "100rel"));
    assert_eq!(sent[0].text(&Name::Accept), Some("application/sdp"));
    assert!(sent[0].has_token(&Name::Allow, "INVITE"));
}

#[test]
fn requests_in_the_dialog_are_judged() {
    let mut bench = Bench::new(policy());
    let (_, tag) = bench.answered(&invite(""));
    let mut check = |method: &str, seq, more: &str, code: &str, event: &[&str]| {
        let branch = format!("{method}{seq}");
        let sent = bench.receive(&request(method, seq, &tag, &branch, more));
        assert_eq!(
            (lines(&sent), bench.told().as_slice()),
            (
                vec![code.to_owned()],
                event.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>().as_slice()
            )
        );
    };
    check("OPTIONS", 5, "", "200 OPTIONS", &[]);
    check("OPTIONS", 4, "", "500 OPTIONS", &[]);
    let dtmf = |kind: &str, body: &str| format!("Content-Type: {kind}\r\n\r\n{body}");
    check("INFO", 6, &dtmf("application/dtmf-relay", "Signal=5\r\n"), "200 INFO", &["Info 5"]);
    check("INFO", 7, &dtmf("application/dtmf", "#"), "200 INFO", &["Info #"]);
    check("INFO", 8, &dtmf("text/plain", "hello"), "415 INFO", &[]);
    check("INFO", 9, "", "200 INFO", &[]);
    check("MESSAGE", 10, "", "405 MESSAGE", &[]);
    check("SUBSCRIBE", 11, "", "489 SUBSCRIBE", &[]);
    check("PRACK", 12, "RAck: 1 1 INVITE", "481 PRACK", &[]);
    check("UPDATE", 13, "", "200 UPDATE", &[]);
    check("UPDATE", 14, "Require: foo", "420 UPDATE", &[]);
    let stranger = request("BYE", 15, &tag, "x", "").replace("tag=5F21", "tag=other");
    assert_eq!(lines(&bench.receive(&stranger)), ["481 BYE"]);
    assert!(bench.told().is_empty());
}

#[test]
fn reliable_provisional_response_waits_for_its_prack() {
    let mut bench = Bench::new(Policy { rel100: true, ..policy() });
    let session = bench.invited(&invite("k: timer,100rel\r\n"));
    bench.endpoint.ring(bench.now, session, 180, None);
    let sent = bench.sent();
    let tag = tag_of(&sent[0]);
    assert!(sent[0].has_token(&Name::Require, "100rel"));
    let rseq = sent[0].number(&Name::RSeq).unwrap();
    // Neither another provisional response nor the answer goes before the PRACK.
    bench.endpoint.ring(bench.now, session, 183, None);
    assert!(bench.sent().is_empty());
    assert_eq!(times(&bench.wait(secs(4)), "180 INVITE"), [500, 1500, 3500]);
    let prack = |rack: u32, seq| {
        request("PRACK", seq, &tag, &format!("p{seq}"), &format!("RAck: {rack} 1 INVITE"))
    };
    assert_eq!(lines(&bench.receive(&prack(rseq + 1, 2))), ["481 PRACK"]);
    let sent = bench.receive(&prack(rseq, 3));
    assert_eq!(lines(&sent), ["200 PRACK", "183 INVITE"]);
    assert_eq!(sent[1].number(&Name::RSeq), Some(rseq + 1));
    assert_eq!(bench.told(), ["Confirmed early"]);
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    assert!(bench.sent().is_empty());
    let sent = bench.receive(&prack(rseq + 1, 4));
    assert_eq!(lines(&sent), ["200 PRACK", "200 INVITE"]);
    assert!(bench.told().is_empty());
    assert!(times(&bench.wait(secs(20)), "183 INVITE").is_empty());
}

#[test]
fn lost_prack_ends_the_session() {
    let mut bench = Bench::new(Policy { rel100: true, ..policy() });
    let session = bench.invited(&invite("Require: 100rel\r\n"));
    bench.endpoint.ring(bench.now, session, 180, None);
    bench.sent();
    let sent = bench.wait(secs(32));
    assert_eq!(times(&sent, "180 INVITE"), [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(times(&sent, "504 INVITE"), [32_000]);
    assert_eq!(bench.told(), ["Ended PrackLost"]);
}

#[test]
fn offerless_invite_may_be_settled_by_prack() {
    let mut bench = Bench::new(Policy { rel100: true, ..policy() });
    let session = bench.invited(&invite_with("invite", "k: 100rel\r\n", ""));
    bench.endpoint.ring(bench.now, session, 183, Some(Bytes::from(OURS)));
    let sent = bench.sent();
    let rack = format!("RAck: {} 1 INVITE\r\n", sent[0].number(&Name::RSeq).unwrap());
    let tag = tag_of(&sent[0]);
    bench.receive(&request("PRACK", 2, &tag, "p", &with_sdp(&rack, OFFER)));
    assert_eq!(bench.told(), ["Confirmed early sdp"]);
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    assert_eq!(bench.sent()[0].body(), b"");
}

#[test]
fn unreliable_where_the_peer_or_the_policy_does_not_want_it() {
    for (rel100, more) in [(true, ""), (false, "k: 100rel\r\n")] {
        let mut bench = Bench::new(Policy { rel100, ..policy() });
        let session = bench.invited(&invite(more));
        bench.endpoint.ring(bench.now, session, 180, None);
        assert_eq!(bench.sent()[0].number(&Name::RSeq), None);
    }
}
