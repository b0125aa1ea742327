//! Flows that fail under a dialog: nothing ends that may still be heard.

use super::*;

/// A session in which we refresh, and whose refresh has just gone out.
fn refreshing(bench: &mut Bench) -> (SessionId, Message, Message) {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    let more = "Allow: UPDATE\r\nSession-Expires: 300;refresher=uac\r\n";
    let (session, invite) = bench.connected(wanted, more);
    let sent = bench.wait(secs(150));
    assert_eq!(times(&sent, "UPDATE"), [150_000]);
    (session, invite, sent[0].1.clone())
}

fn tcp(port: u16, connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        remote: format!("203.0.113.7:{port}").parse().unwrap(),
        connection: Some(crate::sip::ConnectionId(connection)),
        ..flow()
    }
}

/// Nobody is there for the moment, or somebody else says so: the peer answers a second later.
#[test]
fn a_refresh_outlives_an_error_of_the_network() {
    let mut bench = Bench::new(policy());
    let (_, _, update) = refreshing(&mut bench);
    bench.endpoint.flow_failed(bench.now, bench.flow);
    assert!(bench.told().is_empty() && bench.sent().is_empty());
    assert_eq!(times(&bench.wait(secs(2)), "UPDATE"), [500, 1500]);
    bench.receive(&response(&update, 200, "", "Session-Expires: 300;refresher=uac\r\n", ""));
    assert_eq!(times(&bench.wait(secs(150)), "UPDATE"), [150_000]);
    // Nobody is there: the time is what it is without errors.
    bench.endpoint.flow_failed(bench.now, bench.flow);
    assert_eq!(times(&bench.wait(secs(32)), "BYE"), [32_000]);
    assert_eq!(bench.told(), ["Ended Expired"]);
}

#[test]
fn an_offer_outlives_an_error_of_the_network() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.reoffer(bench.now, session, Bytes::from(OURS));
    let offer = bench.sent().remove(0);
    bench.endpoint.flow_failed(bench.now, bench.flow);
    assert_eq!(times(&bench.wait(secs(2)), "INVITE"), [500, 1500]);
    assert_eq!(lines(&bench.receive(&response(&offer, 200, "", "", OFFER))), ["ACK"]);
    assert_eq!(bench.told(), ["Reoffered sdp"]);
}

#[test]
fn a_bye_outlives_an_error_of_the_network() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(lines(&bench.sent()), ["BYE"]);
    bench.endpoint.flow_failed(bench.now, bench.flow);
    assert_eq!(times(&bench.wait(secs(4)), "BYE"), [500, 1500, 3500]);
    assert_eq!(bench.endpoint.counts().sessions, 1);
    bench.wait(secs(28));
    assert_eq!(bench.endpoint.counts().sessions, 0);
}

/// Whoever called it goes on to the next; it is not left ringing, or with an answer that nobody takes.
#[test]
fn a_phone_that_rings_on_after_an_error_of_the_network_is_hung_up_on() {
    for answers in [false, true] {
        let mut bench = Bench::new(policy());
        let (_, invite) = bench.call(policy());
        bench.receive(&response(&invite, 180, "t", "", ""));
        bench.endpoint.flow_failed(bench.now, bench.flow);
        assert_eq!(bench.told(), ["Progress 180", "Ended Unreachable"]);
        let cancel = bench.sent().remove(0);
        assert_eq!(line(&cancel), "CANCEL");
        if answers {
            let success = response(&invite, 200, "t", "", OFFER);
            assert_eq!(lines(&bench.receive(&success)), ["ACK", "BYE"]);
        } else {
            bench.receive(&response(&cancel, 200, "t", "", ""));
            assert_eq!(lines(&bench.receive(&response(&invite, 487, "t", "", ""))), ["ACK"]);
        }
        bench.wait(secs(64));
        let counts = bench.endpoint.counts();
        assert_eq!((counts.transactions, counts.sessions), (0, 0));
        assert!(bench.told().is_empty());
    }
}

/// Its CANCEL waits for the connection by which it registers again.
#[test]
fn a_phone_that_rings_and_loses_its_connection_is_hung_up_on_by_the_next() {
    let mut bench = Bench::new(policy());
    bench.flow = tcp(40_000, 1);
    let (_, invite) = bench.call(policy());
    bench.receive(&response(&invite, 180, "t", "", ""));
    bench.endpoint.flow_failed(bench.now, bench.flow);
    assert_eq!(bench.told(), ["Progress 180", "Ended Unreachable"]);
    let sent = bench.endpoint.poll_transmit().expect("a CANCEL");
    assert_eq!(sent.flow.connection, None, "not by the one that is lost");
    bench.endpoint.flow_failed(bench.now, sent.flow);
    bench.endpoint.phone_moved(bench.now, tcp(40_000, 1), tcp(40_001, 2));
    bench.endpoint.handle_timeout(bench.now);
    let sent = bench.endpoint.poll_transmit().expect("the CANCEL again");
    assert_eq!(line(&Message::parse(&sent.bytes).unwrap()), "CANCEL");
    assert_eq!(sent.flow, tcp(40_001, 2));
    // Its answer has crossed that.
    bench.flow = tcp(40_001, 2);
    let success = response(&invite, 200, "t", "", OFFER);
    assert_eq!(lines(&bench.receive(&success)), ["ACK", "BYE"]);
}

/// The probe has a limit of its own.
#[test]
fn a_probe_outlives_an_error_of_the_network() {
    let mut bench = Bench::new(policy());
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.probe(bench.now, session, secs(4));
    let options = bench.sent().remove(0);
    bench.endpoint.flow_failed(bench.now, bench.flow);
    bench.wait(secs(3));
    assert!(bench.told().is_empty());
    bench.receive(&response(&options, 200, "", "", ""));
    assert_eq!(bench.told(), ["Probed true"]);
}

/// A peer whose connection is lost and who can't be connected to is not given up for that.
#[test]
fn a_session_without_connection_lasts_until_it_expires() {
    let mut bench = Bench::new(policy());
    bench.flow = tcp(40_000, 1);
    refreshing(&mut bench);
    bench.endpoint.flow_failed(bench.now, bench.flow);
    let mut seen = Vec::new();
    let began = bench.now;
    while let Some(at) = bench.endpoint.poll_timeout().filter(|at| *at <= began + secs(200)) {
        bench.now = bench.now.max(at);
        bench.endpoint.handle_timeout(bench.now);
        while let Some(sent) = bench.endpoint.poll_transmit() {
            let line = line(&Message::parse(&sent.bytes).unwrap());
            seen.push(((bench.now - began).as_secs(), line));
            assert_eq!(sent.flow.connection, None);
            bench.endpoint.flow_failed(bench.now, sent.flow);
        }
    }
    let first = |of: &str| seen.iter().find(|(_, line)| line == of).map(|(at, _)| *at);
    assert_eq!(first("BYE"), Some(118), "{seen:?}");
    assert!(seen.iter().filter(|(_, line)| line == "UPDATE").count() > 20, "{seen:?}");
    assert_eq!(bench.told(), ["Ended Expired"]);
}

/// What waited for a connection goes by the one that the phone registers by.
#[test]
fn a_session_goes_over_to_the_flow_of_the_phone() {
    for is_over in [false, true] {
        let mut bench = Bench::new(policy());
        bench.flow = tcp(40_000, 1);
        let (session, _, update) = refreshing(&mut bench);
        if is_over {
            bench.receive(&response(&update, 200, "", "", ""));
            bench.endpoint.flow_failed(bench.now, bench.flow);
            bench.endpoint.hangup(bench.now, session, None);
        } else {
            bench.endpoint.flow_failed(bench.now, bench.flow);
        }
        bench.wait(secs(3));
        // Another phone's is not its.
        bench.endpoint.phone_moved(bench.now, tcp(40_009, 9), tcp(40_010, 10));
        assert!(bench.endpoint.poll_transmit().is_none());
        bench.endpoint.phone_moved(bench.now, tcp(40_000, 1), tcp(40_001, 2));
        bench.endpoint.handle_timeout(bench.now);
        let sent = bench.endpoint.poll_transmit().expect("what waited");
        assert_eq!(sent.flow, tcp(40_001, 2));
        let sent = Message::parse(&sent.bytes).unwrap();
        assert_eq!(line(&sent), if is_over { "BYE" } else { "UPDATE" });
        bench.flow = tcp(40_001, 2);
        bench.receive(&response(&sent, 200, "", "Session-Expires: 300;refresher=uac\r\n", ""));
        assert!(bench.told().is_empty());
        assert_eq!(bench.endpoint.counts().sessions, usize::from(!is_over));
    }
}

/// A phone that has changed its network: nobody has told us that the connection before is dead.
#[test]
fn a_session_leaves_a_connection_that_is_no_phones_any_more() {
    let mut bench = Bench::new(policy());
    bench.flow = tcp(40_000, 1);
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.phone_moved(bench.now, tcp(40_000, 1), tcp(40_001, 2));
    bench.endpoint.hangup(bench.now, session, None);
    assert_eq!(bench.flows(), [tcp(40_001, 2)]);
}

/// It would sit in a call in which nobody is, and refuse the next one.
#[test]
fn a_phone_that_comes_back_minutes_later_is_told_that_its_call_is_over() {
    let mut bench = Bench::new(policy());
    bench.flow = tcp(40_000, 1);
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.flow_failed(bench.now, bench.flow);
    bench.endpoint.hangup(bench.now, session, None);
    assert!(times(&bench.wait(secs(200)), "BYE").len() > 2);
    bench.endpoint.phone_moved(bench.now, tcp(40_000, 1), tcp(40_001, 2));
    let sent = bench.wait(secs(0)).remove(0).1;
    bench.receive(&response(&sent, 481, "", "", ""));
    assert_eq!(bench.endpoint.counts().sessions, 0);
    // One that does not come back is forgotten.
    bench.flow = tcp(40_002, 3);
    let (session, _) = bench.connected(policy(), "");
    bench.endpoint.flow_failed(bench.now, bench.flow);
    bench.endpoint.hangup(bench.now, session, None);
    bench.wait(secs(300));
    assert_eq!(bench.endpoint.counts().sessions, 0);
}
