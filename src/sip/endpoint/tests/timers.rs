//! Session timers (RFC 4028) in both roles.

use super::*;

/// A session that the peer started with these headers: the 200, the session, our tag.
fn answered(policy: Policy, more: &str) -> (Bench, Message, SessionId, String) {
    let mut bench = Bench::new(policy);
    let session = bench.invited(&invite(more));
    bench.endpoint.answer(bench.now, session, Bytes::from(OURS));
    let success = bench.sent().remove(0);
    let tag = tag_of(&success);
    bench.receive(&request("ACK", 1, &tag, "ack", ""));
    bench.told();
    (bench, success, session, tag)
}

#[test]
fn peer_refreshes_or_the_session_ends() {
    let (mut bench, success, _, tag) =
        answered(policy(), "k: timer\r\nx: 300;refresher=uac\r\nMin-SE: 300\r\n");
    assert_eq!(success.text(&Name::SessionExpires), Some("300;refresher=uac"));
    assert!(success.has_token(&Name::Require, "timer"));
    assert!(bench.wait(secs(200)).is_empty());
    let more = "k: timer\r\nx: 300;refresher=uac";
    let sent = bench.receive(&request("UPDATE", 2, &tag, "up", more));
    assert_eq!(lines(&sent), ["200 UPDATE"]);
    assert_eq!(sent[0].text(&Name::SessionExpires), Some("300;refresher=uac"));
    assert!(sent[0].has_token(&Name::Require, "timer"));
    // 300 s less 32 s.
    assert_eq!(times(&bench.wait(secs(300)), "BYE")[0], 268_000);
    assert_eq!(bench.told(), ["Ended Expired"]);
}

#[test]
fn peer_without_timer_is_refreshed_by_us() {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    let (mut bench, success, ..) = answered(wanted, "Allow: INVITE, ACK, BYE, UPDATE\r\n");
    assert_eq!(success.text(&Name::SessionExpires), Some("300;refresher=uas"));
    assert!(!success.has_token(&Name::Require, "timer"));
    let sent = bench.wait(secs(150));
    assert_eq!(times(&sent, "UPDATE"), [150_000]);
    let update = &sent[0].1;
    assert_eq!(update.text(&Name::SessionExpires), Some("300;refresher=uac"));
    assert!(update.body().is_empty());
    // Its answer says nothing of timers either: we go on.
    bench.receive(&response(update, 200, "", "", ""));
    assert_eq!(times(&bench.wait(secs(150)), "UPDATE"), [150_000]);
    // Nobody answers this one: it is given up with Timer F, before the session expires.
    let sent = bench.wait(secs(32));
    assert_eq!(times(&sent, "BYE"), [32_000]);
    assert_eq!(bench.told(), ["Ended Expired"]);
}

#[test]
fn peer_without_update_gets_reinvite_with_the_same_sdp() {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    let (mut bench, ..) = answered(wanted, "Allow: INVITE, ACK, BYE\r\n");
    let sent = bench.wait(secs(150));
    assert_eq!(times(&sent, "INVITE"), [150_000]);
    let invite = &sent[0].1;
    assert_eq!(invite.body(), OURS.as_bytes());
    let more = "Session-Expires: 300;refresher=uac\r\n";
    assert_eq!(lines(&bench.receive(&response(invite, 200, "", more, OFFER))), ["ACK"]);
    // The answer says nothing new.
    assert!(bench.told().is_empty());
    let sent = bench.wait(secs(150));
    let other = OFFER.replace("4000", "4002");
    bench.receive(&response(&sent[0].1, 200, "", more, &other));
    assert_eq!(bench.told(), ["Reoffered sdp"]);
}

#[test]
fn update_that_is_not_allowed_after_all() {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    let (mut bench, ..) = answered(wanted, "Allow: INVITE, ACK, BYE, UPDATE\r\n");
    let sent = bench.wait(secs(150));
    assert_eq!(lines(&bench.receive(&response(&sent[0].1, 405, "", "", ""))), ["INVITE"]);
}

#[test]
fn refresh_that_the_peer_does_not_know_ends_the_session() {
    for code in [408, 481] {
        let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
        let (mut bench, ..) = answered(wanted, "Allow: UPDATE\r\n");
        let sent = bench.wait(secs(150));
        assert_eq!(lines(&bench.receive(&response(&sent[0].1, code, "", "", ""))), ["BYE"]);
        assert_eq!(bench.told(), ["Ended Expired"]);
    }
}

#[test]
fn refused_refresh_is_tried_again_until_the_session_expires() {
    let wanted = Policy { session_expires: Some(secs(90)), ..policy() };
    let (mut bench, ..) = answered(wanted, "Allow: UPDATE\r\n");
    let mut seen = vec![];
    for _ in 0..10 {
        let sent = bench.wait(secs(5));
        for (_, message) in sent {
            seen.push(line(&message));
            if line(&message) == "UPDATE" {
                bench.receive(&response(&message, 500, "", "", ""));
            }
        }
    }
    assert_eq!(seen, ["UPDATE"]);
    seen.clear();
    let sent = bench.wait(secs(10));
    assert_eq!(times(&sent, "BYE"), [10_000]);
    assert_eq!(times(&sent, "UPDATE")[0], 5000);
    assert_eq!(bench.told(), ["Ended Expired"]);
}

#[test]
fn uac_takes_what_the_answer_says() {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    // The peer refreshes.
    let mut bench = Bench::new(policy());
    let more = "Require: timer\r\nSession-Expires: 300;refresher=uas\r\nAllow: UPDATE\r\n";
    bench.connected(wanted.clone(), more);
    assert_eq!(times(&bench.wait(secs(268)), "BYE"), [268_000]);
    assert_eq!(bench.told(), ["Ended Expired"]);
    // We do, and are told to make it longer.
    let mut bench = Bench::new(policy());
    let more = "Require: timer\r\nSession-Expires: 300;refresher=uac\r\nAllow: UPDATE\r\n";
    bench.connected(wanted.clone(), more);
    let sent = bench.wait(secs(150));
    assert_eq!(times(&sent, "UPDATE"), [150_000]);
    let sent = bench.receive(&response(&sent[0].1, 422, "", "Min-SE: 600\r\n", ""));
    assert_eq!(lines(&sent), ["UPDATE"]);
    assert_eq!(sent[0].text(&Name::SessionExpires), Some("600;refresher=uac"));
    assert_eq!(sent[0].number(&Name::MinSe), Some(600));
    // The peer knows no timers: there is none.
    let mut bench = Bench::new(policy());
    bench.connected(wanted, "");
    assert!(bench.wait(secs(4000)).is_empty());
}

#[test]
fn refresh_by_the_peer_may_be_a_reinvite() {
    let (mut bench, _, session, tag) = answered(policy(), "k: timer\r\nx: 300\r\n");
    bench.wait(secs(100));
    let more = with_sdp("k: timer\r\nx: 300;refresher=uac\r\n", OFFER);
    bench.receive(&request("INVITE", 2, &tag, "re", &more));
    bench.endpoint.accept_offer(bench.now, session, Bytes::from(OURS));
    let sent = bench.sent();
    assert_eq!(sent[0].text(&Name::SessionExpires), Some("300;refresher=uac"));
    bench.receive(&request("ACK", 2, &tag, "reack", ""));
    assert!(bench.wait(secs(267)).is_empty());
    assert_eq!(times(&bench.wait(secs(1)), "BYE"), [1000]);
}

#[test]
fn both_refresh_at_once() {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    let (mut bench, _, _, tag) = answered(wanted, "Allow: UPDATE\r\n");
    let ours = bench.wait(secs(150));
    // Both go through: neither has an offer.
    let sent = bench.receive(&request("UPDATE", 2, &tag, "up", ""));
    assert_eq!(lines(&sent), ["200 UPDATE"]);
    bench.receive(&response(&ours[0].1, 200, "", "Session-Expires: 300;refresher=uac\r\n", ""));
    assert!(bench.told().is_empty());
    assert_eq!(bench.endpoint.counts().sessions, 1);
}
