//! Sessions that we start.

use super::*;
use crate::sip::Cause;

fn tags(session: &[Message]) -> Vec<String> {
    session.iter().map(tag_of).collect()
}

#[test]
fn call_is_answered_and_ended_by_us() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(policy());
    assert_eq!(invite.uri(), Some("sip:101@192.0.2.1:5060"));
    assert!(
        invite
            .text(&Name::From)
            .unwrap()
            .starts_with("\"相談\" <sip:caller-x@koebashi.local>;tag=")
    );
    assert_eq!(invite.text(&Name::Contact), Some("<sip:line@192.0.2.2:5060>"));
    assert_eq!(invite.text(&Name::Other("x-line".into())), Some("nijiiro"));
    assert!(invite.has_token(&Name::Supported, "timer"));
    assert_eq!(invite.body(), OURS.as_bytes());
    assert!(bench.receive(&response(&invite, 100, "", "", "")).is_empty());
    bench.receive(&response(&invite, 180, "t", "", ""));
    bench.receive(&response(&invite, 183, "t", "", OFFER));
    assert_eq!(bench.told(), ["Progress 100", "Progress 180", "Progress 183 sdp"]);
    let routes = "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n";
    let sent = bench.receive(&response(&invite, 200, "t", routes, OFFER));
    assert_eq!(lines(&sent), ["ACK"]);
    assert_eq!(bench.told(), ["Answered sdp"]);
    let ack = &sent[0];
    assert_eq!(ack.uri(), Some("sip:phone@10.0.0.9:5099"));
    assert_eq!(ack.text(&Name::Route), Some("<sip:p2;lr>, <sip:p1;lr>"));
    assert_eq!(ack.text(&Name::To), Some("<sip:101@koebashi.local>;tag=t"));
    assert_eq!(ack.text(&Name::From), invite.text(&Name::From));
    assert_eq!(ack.cseq().unwrap().seq, 1);
    assert_ne!(ack.via().unwrap().branch(), invite.via().unwrap().branch());
    // A copy of the 200 gets the same ACK.
    let again = bench.receive(&response(&invite, 200, "t", routes, OFFER));
    assert_eq!((again.len(), again[0].bytes.clone()), (1, ack.bytes.clone()));
    bench.endpoint.hangup(bench.now, session, None);
    let sent = bench.sent();
    assert_eq!((lines(&sent), sent[0].cseq().unwrap().seq), (vec!["BYE".to_owned()], 2));
    // A BYE that crosses ours is answered.
    assert_eq!(lines(&bench.receive(&back(&invite, "BYE", 1, "b", ""))), ["200 BYE"]);
    bench.receive(&response(&sent[0], 200, "", "", ""));
    assert!(bench.told().is_empty());
    bench.wait(secs(64));
    assert_eq!((bench.endpoint.counts().transactions, bench.endpoint.counts().sessions), (0, 0));
}

#[test]
fn invite_is_repeated_until_timer_b() {
    let mut bench = Bench::new(policy());
    bench.call(policy());
    let sent = bench.wait(secs(32));
    assert_eq!(times(&sent, "INVITE"), [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(bench.told(), ["Ended Unanswered"]);
    assert_eq!(bench.endpoint.counts().sessions, 0);
}

#[test]
fn invite_is_not_repeated_over_a_stream() {
    let mut bench = Bench::new(policy());
    bench.flow.transport = Transport::Tcp;
    let (_, invite) = bench.call(policy());
    assert_eq!(invite.via().unwrap().transport, "TCP");
    assert_eq!(invite.text(&Name::Contact), Some("<sip:line@192.0.2.2:5060;transport=tcp>"));
    assert!(bench.wait(secs(32)).is_empty());
    assert_eq!(bench.told(), ["Ended Unanswered"]);
}

#[test]
fn refusal_is_acknowledged_in_its_transaction() {
    for code in [401_u16, 407, 486, 603] {
        let mut bench = Bench::new(policy());
        let (_, invite) = bench.call(policy());
        let more = "WWW-Authenticate: Digest realm=\"trunk\", nonce=\"n\"\r\n";
        let refusal = response(&invite, code, "t", more, "");
        let sent = bench.receive(&refusal);
        assert_eq!((lines(&sent), tags(&sent)), (vec!["ACK".to_owned()], vec!["t".to_owned()]));
        assert_eq!(sent[0].via().unwrap().branch(), invite.via().unwrap().branch());
        assert_eq!(sent[0].uri(), invite.uri());
        assert_eq!(bench.told(), [format!("Ended Refused {{ code: {code}, contacts: [] }}")]);
        // Its copies get an ACK each, and nothing else; no credentials go anywhere.
        assert_eq!(lines(&bench.receive(&refusal)), ["ACK"]);
        assert!(bench.wait(secs(64)).is_empty() && bench.told().is_empty());
    }
}

#[test]
fn redirection_names_its_contacts() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(policy());
    bench.receive(&response(&invite, 302, "t", "", ""));
    let contacts = vec!["sip:phone@10.0.0.9:5099".to_owned()];
    match bench.events().as_slice() {
        [Event::Ended { session: of, cause }] => {
            assert_eq!((*of, cause), (session, &Cause::Refused { code: 302, contacts }));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(policy());
    bench.endpoint.hangup(bench.now, session, Some("SIP;cause=200;text=\"x\""));
    assert!(bench.sent().is_empty());
    let sent = bench.receive(&response(&invite, 180, "t", "", ""));
    assert_eq!(lines(&sent), ["CANCEL"]);
    let cancel = &sent[0];
    assert_eq!(cancel.uri(), invite.uri());
    for name in [Name::Via, Name::From, Name::To, Name::CallId] {
        assert_eq!(cancel.text(&name), invite.text(&name));
    }
    assert_eq!(cancel.cseq().unwrap().seq, 1);
    assert_eq!(cancel.text(&Name::Reason), Some("SIP;cause=200;text=\"x\""));
    assert!(bench.receive(&response(cancel, 200, "t", "", "")).is_empty());
    assert_eq!(lines(&bench.receive(&response(&invite, 487, "t", "", ""))), ["ACK"]);
    assert!(bench.told().is_empty());
    assert_eq!(bench.endpoint.counts().sessions, 0);
}

#[test]
fn cancel_goes_at_once_after_a_provisional_response() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(policy());
    bench.receive(&response(&invite, 100, "", "", ""));
    assert_eq!(bench.told(), ["Progress 100"]);
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(lines(&bench.sent()), ["CANCEL"]);
    // No final response ever comes: the session does not stay.
    bench.wait(secs(33));
    assert_eq!((bench.endpoint.counts().transactions, bench.endpoint.counts().sessions), (0, 0));
    assert!(bench.told().is_empty());
}

#[test]
fn answer_that_crosses_the_cancel_is_taken_and_ended() {
    for heard in [false, true] {
        let mut bench = Bench::new(policy());
        let (session, invite) = bench.call(policy());
        if heard {
            bench.receive(&response(&invite, 180, "t", "", ""));
        }
        bench.told();
        bench.endpoint.hangup(bench.now, session, None);
        bench.sent();
        let success = response(&invite, 200, "t", "", OFFER);
        let sent = bench.receive(&success);
        assert_eq!(
            (lines(&sent), tags(&sent)),
            (vec!["ACK".to_owned(), "BYE".to_owned()], vec!["t".to_owned(); 2])
        );
        assert_eq!(lines(&bench.receive(&success)), ["ACK"]);
        bench.receive(&response(&sent[1], 200, "", "", ""));
        assert!(bench.told().is_empty());
        assert_eq!(bench.endpoint.counts().sessions, 0);
    }
}

#[test]
fn further_forks_are_taken_and_ended() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(policy());
    bench.receive(&response(&invite, 180, "t", "", ""));
    bench.receive(&response(&invite, 180, "u", "", ""));
    assert_eq!(lines(&bench.receive(&response(&invite, 200, "u", "", OFFER))), ["ACK"]);
    assert_eq!(bench.told(), ["Progress 180", "Progress 180", "Answered sdp"]);
    let sent = bench.receive(&response(&invite, 200, "t", "", OFFER));
    assert_eq!(
        (lines(&sent), tags(&sent)),
        (vec!["ACK".to_owned(), "BYE".to_owned()], vec!["t".to_owned(); 2])
    );
    assert_eq!(lines(&bench.receive(&response(&invite, 200, "t", "", OFFER))), ["ACK"]);
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(tags(&bench.sent()), ["u"]);
    // And after the session is gone too.
    let sent = bench.receive(&response(&invite, 200, "v", "", OFFER));
    assert_eq!(
        (lines(&sent), tags(&sent)),
        (vec!["ACK".to_owned(), "BYE".to_owned()], vec!["v".to_owned(); 2])
    );
    assert!(bench.told().is_empty());
}

#[test]
fn reliable_provisional_responses_are_acknowledged() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(Policy { rel100: true, ..policy() });
    assert!(invite.has_token(&Name::Supported, "100rel"));
    let ring =
        |rseq| response(&invite, 183, "t", &format!("Require: 100rel\r\nRSeq: {rseq}\r\n"), OFFER);
    let sent = bench.receive(&ring(7));
    assert_eq!(lines(&sent), ["PRACK"]);
    assert_eq!(sent[0].text(&Name::RAck), Some("7 1 INVITE"));
    assert_eq!((tag_of(&sent[0]), sent[0].cseq().unwrap().seq), ("t".to_owned(), 2));
    assert_eq!(sent[0].uri(), Some("sip:phone@10.0.0.9:5099"));
    bench.receive(&response(&sent[0], 200, "", "", ""));
    // A copy and one out of order are dropped.
    assert!(bench.receive(&ring(7)).is_empty() && bench.receive(&ring(9)).is_empty());
    assert_eq!(lines(&bench.receive(&ring(8))), ["PRACK"]);
    assert_eq!(bench.told(), ["Progress 183 sdp", "Progress 183 sdp"]);
    bench.receive(&response(&invite, 200, "t", "", ""));
    assert_eq!(bench.told(), ["Answered"]);
    bench.endpoint.hangup(bench.now, session, None);
    let bye = bench.sent();
    assert_eq!(bye.last().unwrap().cseq().unwrap().seq, 4);
}

/// The peer would answer 500 to a BYE that is no newer than our PRACK, and keep a dead call.
#[test]
fn an_answer_that_crosses_the_cancel_is_ended_after_a_prack_too() {
    let mut bench = Bench::new(policy());
    let (session, invite) = bench.call(Policy { rel100: true, ..policy() });
    let ring = response(&invite, 183, "t", "Require: 100rel\r\nRSeq: 7\r\n", OFFER);
    let prack = bench.receive(&ring).remove(0);
    bench.receive(&response(&prack, 200, "", "", ""));
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(lines(&bench.sent()), ["CANCEL"]);
    let sent = bench.receive(&response(&invite, 200, "t", "", ""));
    let numbers: Vec<_> = sent.iter().map(|it| (line(it), it.cseq().unwrap().seq)).collect();
    assert_eq!(numbers, [("ACK".to_owned(), 1), ("BYE".to_owned(), 3)]);
}

#[test]
fn peer_hangs_up() {
    let mut bench = Bench::new(policy());
    let (_, invite) = bench.connected(policy(), "");
    assert_eq!(lines(&bench.receive(&back(&invite, "BYE", 1, "b", ""))), ["200 BYE"]);
    assert_eq!(bench.told(), ["Ended Bye"]);
}

#[test]
fn challenge_to_bye_is_not_answered() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.hangup(bench.now, session, None);
    let bye = &bench.sent()[0];
    let more = "Proxy-Authenticate: Digest realm=\"trunk\", nonce=\"n\"\r\n";
    assert!(bench.receive(&response(bye, 407, "", more, "")).is_empty());
    assert_eq!(bench.endpoint.counts().sessions, 0);
    assert!(bench.wait(secs(64)).is_empty());
}

#[test]
fn endless_ringing_is_cancelled() {
    let mut bench = Bench::new(policy());
    let (_, invite) = bench.call(policy());
    bench.receive(&response(&invite, 180, "t", "", ""));
    let sent = bench.wait(secs(300));
    assert_eq!(times(&sent, "CANCEL"), [300_000]);
    assert_eq!(bench.told(), ["Progress 180", "Ended Unanswered"]);
}

#[test]
fn short_interval_is_raised() {
    let mut bench = Bench::new(policy());
    let policy = Policy { session_expires: Some(secs(90)), ..policy() };
    let (_, invite) = bench.call(policy);
    assert_eq!(invite.text(&Name::SessionExpires), Some("90"));
    let sent = bench.receive(&response(&invite, 422, "t", "Min-SE: 300\r\n", ""));
    assert_eq!(lines(&sent), ["ACK", "INVITE"]);
    let again = &sent[1];
    assert_eq!(again.text(&Name::SessionExpires), Some("300"));
    assert_eq!(again.number(&Name::MinSe), Some(300));
    assert_eq!(again.cseq().unwrap().seq, 2);
    assert_eq!(again.call_id(), invite.call_id());
    assert_eq!(again.text(&Name::From), invite.text(&Name::From));
    assert_ne!(again.via().unwrap().branch(), invite.via().unwrap().branch());
    // The same demand again is a refusal.
    bench.receive(&response(again, 422, "t", "Min-SE: 300\r\n", ""));
    assert_eq!(bench.told(), ["Ended Refused { code: 422, contacts: [] }"]);
}

#[test]
fn unreachable_peer_is_told_at_once() {
    let mut bench = Bench::new(policy());
    bench.call(policy());
    let mut other = bench.flow;
    other.remote.set_port(1);
    bench.endpoint.flow_failed(bench.now, other);
    assert!(bench.told().is_empty());
    bench.endpoint.flow_failed(bench.now, bench.flow);
    assert_eq!(bench.told(), ["Ended Unreachable"]);
}

#[test]
fn advertised_address_is_named() {
    let advertised = Some("198.51.100.1".parse().unwrap());
    let mut bench = Bench::new(policy());
    let (_, invite) = bench.call(Policy { advertised, ..policy() });
    assert_eq!(invite.via().unwrap().host, "198.51.100.1");
    assert_eq!(invite.text(&Name::Contact), Some("<sip:line@198.51.100.1:5060>"));
}

#[test]
fn dialog_follows_the_flow_of_the_peer() {
    let mut bench = Bench::new(policy());
    let tcp = |port: u16, connection| Flow {
        transport: Transport::Tcp,
        remote: format!("203.0.113.7:{port}").parse().unwrap(),
        connection: Some(crate::sip::ConnectionId(connection)),
        ..flow()
    };
    bench.flow = tcp(40_000, 1);
    let (session, invite) = bench.connected(policy(), "");
    bench.endpoint.info_digit(bench.now, session, '5');
    assert_eq!(bench.flows(), [tcp(40_000, 1)]);
    // The phone comes back by another connection, and that one breaks.
    bench.flow = tcp(40_001, 2);
    bench.receive(&back(&invite, "OPTIONS", 1, "o", ""));
    bench.endpoint.info_digit(bench.now, session, '6');
    assert_eq!(bench.flows(), [tcp(40_001, 2)]);
    bench.endpoint.flow_failed(bench.now, tcp(40_001, 2));
    bench.endpoint.info_digit(bench.now, session, '7');
    assert_eq!(bench.flows(), [Flow { connection: None, ..tcp(40_001, 2) }]);
    assert!(bench.told().is_empty());
}

#[test]
fn probe_tells_whether_somebody_is_there() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.probe(bench.now, session, secs(5));
    let options = bench.sent();
    assert_eq!(lines(&options), ["OPTIONS"]);
    bench.receive(&response(&options[0], 501, "", "", ""));
    assert_eq!(bench.told(), ["Probed true"]);
    bench.endpoint.probe(bench.now, session, secs(5));
    bench.wait(secs(5));
    assert_eq!(bench.told(), ["Probed false"]);
    bench.wait(secs(60));
    assert!(bench.told().is_empty());
}

/// RFC 3261 §12.2.1.2: with these there is no dialog any more, whoever answers.
#[test]
fn probe_that_finds_no_dialog_finds_nobody() {
    for (code, told) in [(408, "Probed false"), (481, "Probed false"), (486, "Probed true")] {
        let mut bench = Bench::new(policy());
        let (session, _) = bench.connected(policy(), "");
        bench.endpoint.probe(bench.now, session, secs(5));
        let options = bench.sent();
        bench.receive(&response(&options[0], code, "", "", ""));
        assert_eq!(bench.told(), [told], "{code}");
    }
}

#[test]
fn keys_are_told_by_info() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.info_digit(bench.now, session, '#');
    bench.endpoint.info_digit(bench.now, session, '\r');
    let sent = bench.sent();
    assert_eq!(lines(&sent), ["INFO"]);
    assert_eq!(sent[0].content_type(), Some("application/dtmf-relay"));
    assert_eq!(sent[0].body(), b"Signal=#\r\nDuration=160\r\n");
}

#[test]
fn requests_outside_dialogs_are_completed_and_answered() {
    let mut bench = Bench::new(policy());
    let draft = crate::sip::print::Draft::request(&crate::sip::message::Method::Register, "sip:y")
        .with(Name::From, "<sip:x@y>")
        .with(Name::To, "<sip:x@y>");
    let tx = bench.endpoint.request(bench.now, bench.flow, draft);
    let sent = bench.sent();
    assert_eq!((lines(&sent), sent[0].cseq().unwrap().seq), (vec!["REGISTER".to_owned()], 1));
    assert!(sent[0].from().unwrap().tag().is_some());
    assert!(bench.receive(&response(&sent[0], 100, "", "", "")).is_empty());
    bench.receive(&response(&sent[0], 200, "t", "", ""));
    match bench.events().as_slice() {
        [Event::Response { tx: of, response: Some(response) }] => {
            assert_eq!((*of, response.code()), (tx, Some(200)));
        }
        other => panic!("{other:?}"),
    }
    let draft = crate::sip::print::Draft::request(&crate::sip::message::Method::Options, "sip:y")
        .with(Name::From, "<sip:x@y>")
        .with(Name::To, "<sip:x@y>");
    bench.endpoint.request(bench.now, bench.flow, draft);
    bench.sent();
    let sent = bench.wait(secs(32));
    assert_eq!(times(&sent, "OPTIONS")[..4], [500, 1500, 3500, 7500]);
    assert_eq!(bench.told(), ["Response None"]);
}
