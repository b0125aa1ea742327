//! Offers within a session: re-INVITE and UPDATE both ways, and glare.

use super::*;

const HOLD: &str =
    "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n";

#[test]
fn offer_of_the_peer_is_accepted() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    let sent = bench.receive(&request("INVITE", 2, &tag, "re", &with_sdp("", HOLD)));
    assert_eq!(lines(&sent), ["100 INVITE"]);
    assert_eq!(bench.told(), ["Offer sdp"]);
    bench.endpoint.accept_offer(bench.now, session, Bytes::from(OURS));
    let sent = bench.sent();
    assert_eq!((lines(&sent), tag_of(&sent[0])), (vec!["200 INVITE".to_owned()], tag.clone()));
    // It is repeated like the first one until its ACK.
    assert_eq!(times(&bench.wait(secs(2)), "200 INVITE"), [500, 1500]);
    bench.receive(&request("ACK", 2, &tag, "reack", ""));
    assert!(bench.wait(secs(10)).is_empty() && bench.told().is_empty());
    // UPDATE with an offer goes the same way, without ACK.
    assert!(bench.receive(&request("UPDATE", 3, &tag, "up", &with_sdp("", OFFER))).is_empty());
    assert_eq!(bench.told(), ["Offer sdp"]);
    bench.endpoint.refuse_offer(bench.now, session, 488);
    assert_eq!(lines(&bench.sent()), ["488 UPDATE"]);
}

#[test]
fn offerless_reinvite_asks_for_our_offer() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    bench.receive(&request("INVITE", 2, &tag, "re", ""));
    assert_eq!(bench.told(), ["Offer"]);
    bench.endpoint.accept_offer(bench.now, session, Bytes::from(OURS));
    assert_eq!(bench.sent()[0].body(), OURS.as_bytes());
    // Before the answer no other exchange may start.
    assert_eq!(lines(&bench.receive(&request("INVITE", 3, &tag, "re2", ""))), ["491 INVITE"]);
    bench.receive(&request("ACK", 2, &tag, "reack", &with_sdp("", OFFER)));
    assert_eq!(bench.told(), ["Confirmed sdp"]);
}

#[test]
fn lost_ack_of_a_reinvite_ends_the_session() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    bench.receive(&request("INVITE", 2, &tag, "re", &with_sdp("", HOLD)));
    bench.told();
    bench.endpoint.accept_offer(bench.now, session, Bytes::from(OURS));
    bench.sent();
    assert_eq!(times(&bench.wait(secs(32)), "BYE"), [32_000]);
    assert_eq!(bench.told(), ["Ended AckLost"]);
}

#[test]
fn one_exchange_at_a_time() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    bench.receive(&request("INVITE", 2, &tag, "re", &with_sdp("", HOLD)));
    bench.told();
    for (method, seq) in [("INVITE", 3), ("UPDATE", 4)] {
        let sent = bench.receive(&request(method, seq, &tag, "again", &with_sdp("", HOLD)));
        assert_eq!(lines(&sent), [format!("500 {method}")]);
        assert!(sent[0].number(&Name::RetryAfter).is_some_and(|seconds| seconds <= 10));
    }
    // Ours waits until theirs is over.
    bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
    assert!(bench.sent().is_empty());
    bench.endpoint.refuse_offer(bench.now, session, 488);
    assert_eq!(lines(&bench.sent()), ["488 INVITE", "INVITE"]);
    // And while ours is out, theirs is told to wait.
    let sent = bench.receive(&request("INVITE", 5, &tag, "re5", &with_sdp("", HOLD)));
    assert_eq!(lines(&sent), ["491 INVITE"]);
    let sent = bench.receive(&request("UPDATE", 6, &tag, "up6", &with_sdp("", HOLD)));
    assert_eq!(lines(&sent), ["491 UPDATE"]);
    assert_eq!(lines(&bench.receive(&request("UPDATE", 7, &tag, "up7", ""))), ["200 UPDATE"]);
    assert!(bench.told().is_empty());
}

#[test]
fn second_invite_before_our_answer() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.ring(bench.now, session, 180, None);
    let tag = tag_of(&bench.sent()[0]);
    let sent = bench.receive(&request("INVITE", 2, &tag, "re", &with_sdp("", HOLD)));
    assert_eq!(lines(&sent), ["500 INVITE"]);
    let sent = bench.receive(&request("UPDATE", 3, &tag, "up", &with_sdp("", HOLD)));
    assert_eq!(lines(&sent), ["500 UPDATE"]);
}

#[test]
fn reinvite_proves_that_our_answer_arrived() {
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let tag = tag_of(&bench.sent()[0]);
    bench.receive(&request("INVITE", 2, &tag, "re", &with_sdp("", HOLD)));
    assert_eq!(bench.told(), ["Confirmed", "Offer sdp"]);
    bench.receive(&request("ACK", 1, &tag, "late", ""));
    assert!(bench.told().is_empty());
}

#[test]
fn cancel_and_bye_of_a_reinvite() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    bench.receive(&request("INVITE", 2, &tag, "re", &with_sdp("", HOLD)));
    let sent = bench.receive(&request("CANCEL", 2, &tag, "re", ""));
    assert_eq!(lines(&sent), ["200 CANCEL", "487 INVITE"]);
    bench.endpoint.accept_offer(bench.now, session, Bytes::from(OURS));
    assert!(bench.sent().is_empty());
    bench.receive(&request("INVITE", 3, &tag, "re3", &with_sdp("", HOLD)));
    assert_eq!(bench.told(), ["Offer sdp", "Offer sdp"]);
    let sent = bench.receive(&request("BYE", 4, &tag, "bye", ""));
    assert_eq!(lines(&sent), ["200 BYE", "487 INVITE"]);
    assert_eq!(bench.told(), ["Ended Bye"]);
}

#[test]
fn our_offer_is_answered() {
    let mut bench = Bench::new(policy());
    let (session, first) = bench.connected(policy(), "");
    bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
    bench.endpoint.reoffer(bench.now, session, Bytes::from(HOLD));
    let sent = bench.sent();
    assert_eq!(lines(&sent), ["INVITE"]);
    let invite = &sent[0];
    assert_eq!(
        (invite.cseq().unwrap().seq, invite.text(&Name::From)),
        (2, first.text(&Name::From))
    );
    assert_eq!(invite.uri(), Some("sip:phone@10.0.0.9:5099"));
    // The second offer goes after the first exchange.
    let success = response(invite, 200, "", "", OFFER).replace("10.0.0.9:5099", "10.0.0.9:5100");
    let sent = bench.receive(&success);
    assert_eq!(lines(&sent), ["ACK", "INVITE"]);
    assert_eq!((sent[0].cseq().unwrap().seq, sent[1].cseq().unwrap().seq), (2, 3));
    // The target is the new Contact.
    assert!(sent.iter().all(|message| message.uri() == Some("sip:phone@10.0.0.9:5100")));
    assert_eq!(sent[1].body(), HOLD.as_bytes());
    assert_eq!(bench.told(), ["Reoffered sdp"]);
    bench.receive(&response(&sent[1], 488, "", "", ""));
    assert_eq!(bench.told(), ["Reoffered 488"]);
    assert_eq!(bench.endpoint.counts().sessions, 1);
    // The ACK to the first is kept.
    assert_eq!(lines(&bench.receive(&success)), ["ACK"]);
}

#[test]
fn glare_is_tried_again_after_a_while() {
    let in_range = |owner: bool| {
        let mut bench = Bench::new(policy());
        let session =
            if owner { bench.connected(policy(), "").0 } else { bench.answered(&invite("")).0 };
        bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
        let sent = bench.sent();
        assert_eq!(lines(&bench.receive(&response(&sent[0], 491, "", "", ""))), ["ACK"]);
        let again = bench.wait(secs(4));
        let at = times(&again, "INVITE")[0];
        assert_eq!(at % 10, 0);
        assert!(bench.told().is_empty());
        at
    };
    assert!((2100..=4000).contains(&in_range(true)));
    assert!((0..=2000).contains(&in_range(false)));
}

#[test]
fn theirs_goes_first_while_ours_waits_after_glare() {
    let mut bench = Bench::new(policy());
    let (session, first) = bench.connected(policy(), "");
    bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
    let sent = bench.sent();
    bench.receive(&response(&sent[0], 491, "", "", ""));
    bench.receive(&back(&first, "INVITE", 1, "re", &with_sdp("", HOLD)));
    assert_eq!(bench.told(), ["Offer sdp"]);
    assert!(times(&bench.wait(secs(5)), "INVITE").is_empty());
    bench.endpoint.accept_offer(bench.now, session, Bytes::from(OURS));
    assert_eq!(lines(&bench.sent()), ["200 INVITE"]);
    assert_eq!(lines(&bench.receive(&back(&first, "ACK", 1, "reack", ""))), ["INVITE"]);
}

#[test]
fn session_that_the_peer_does_not_know_is_ended() {
    for (code, cause) in [(481, "Ended Bye"), (408, "Ended Bye")] {
        let mut bench = Bench::new(policy());
        let (session, _) = bench.connected(policy(), "");
        bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
        let sent = bench.sent();
        assert_eq!(lines(&bench.receive(&response(&sent[0], code, "", "", ""))), ["ACK", "BYE"]);
        assert_eq!(bench.told(), [cause]);
    }
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
    bench.sent();
    assert_eq!(times(&bench.wait(secs(32)), "BYE"), [32_000]);
    assert_eq!(bench.told(), ["Ended Unreachable"]);
}

#[test]
fn hangup_during_our_offer() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
    let invite = bench.sent();
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(lines(&bench.sent()), ["BYE"]);
    // The late answer is acknowledged, and not ended again.
    assert_eq!(lines(&bench.receive(&response(&invite[0], 200, "", "", OFFER))), ["ACK"]);
    assert!(bench.told().is_empty());
}
