//! REFER, NOTIFY and Replaces.

use super::*;

fn refer(tag: &str, seq: u32, to: &str) -> String {
    request("REFER", seq, tag, &format!("refer{seq}"), &format!("Refer-To: {to}"))
}

#[test]
fn refer_is_passed_on_and_its_outcome_told() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    assert!(bench.receive(&refer(&tag, 2, "<sip:102@koebashi.local>")).is_empty());
    let events = bench.events();
    let [Event::Refer { session: of, tx, target, replaces: None, attended: false }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((*of, target.as_str()), (session, "sip:102@koebashi.local"));
    bench.endpoint.respond_code(bench.now, *tx, 202);
    bench.endpoint.notify(bench.now, session, "SIP/2.0 100 Trying", false);
    bench.endpoint.notify(bench.now, session, "SIP/2.0 200 OK", true);
    let sent = bench.sent();
    assert_eq!(lines(&sent), ["202 REFER", "NOTIFY", "NOTIFY"]);
    assert_eq!(sent[1].text(&Name::Event), Some("refer"));
    assert_eq!(sent[1].text(&Name::SubscriptionState), Some("active;expires=60"));
    assert_eq!(sent[1].body(), b"SIP/2.0 100 Trying\r\n");
    assert_eq!(sent[2].text(&Name::SubscriptionState), Some("terminated;reason=noresource"));
    assert_eq!(sent[2].content_type(), Some("message/sipfrag"));
}

#[test]
fn attended_transfer_names_the_other_session() {
    let mut bench = Bench::new(policy());
    let (_, tag) = bench.answered(&invite(""));
    // The consultation call of the same phone.
    let (other, consultation) = bench.connected(policy(), "");
    let ours = consultation.from().unwrap().tag().unwrap().to_owned();
    let call_id = consultation.call_id().unwrap();
    for (seq, to, from) in [(2, ours.as_str(), "t"), (3, "t", ours.as_str())] {
        let target = format!(
            "<sip:102@koebashi.local?Replaces={call_id}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}>"
        );
        bench.receive(&refer(&tag, seq, &target));
        let want = format!("Refer sip:102@koebashi.local true {:?}", Some(other));
        assert_eq!(bench.told(), [want]);
    }
    bench.receive(&refer(&tag, 4, "<sip:102@x?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>"));
    assert_eq!(bench.told(), ["Refer sip:102@x true None"]);
}

#[test]
fn refer_that_cannot_be_read_or_comes_too_early() {
    let mut bench = Bench::new(policy());
    let (_, tag) = bench.answered(&invite(""));
    for (seq, to) in [(2, "<urn:x>"), (3, "<sip:102"), (4, "<sip:102@x?Replaces=%zz>")] {
        assert_eq!(lines(&bench.receive(&refer(&tag, seq, to))), ["400 REFER"]);
    }
    let mut bench = Bench::new(policy());
    let session = bench.invited(&invite(""));
    bench.endpoint.ring(bench.now, session, 180, None);
    let tag = tag_of(&bench.sent()[0]);
    assert_eq!(lines(&bench.receive(&refer(&tag, 2, "<sip:102@x>"))), ["603 REFER"]);
    assert!(bench.told().is_empty());
}

#[test]
fn invite_with_replaces_finds_its_session() {
    let mut bench = Bench::new(policy());
    let (session, tag) = bench.answered(&invite(""));
    let replaces = format!("Replaces: 7c1e@192.0.2.1;to-tag={tag};from-tag=5F21\r\n");
    let other = invite_with("b", &replaces, OFFER).replace("i: 7c1e", "i: 8c1e");
    assert_eq!(lines(&bench.receive(&other)), ["100 INVITE"]);
    let events = bench.events();
    let [Event::Invite { request, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(bench.endpoint.replaced(request), Some(session));
}
