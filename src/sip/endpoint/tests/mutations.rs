//! Damaged messages in every stage: nothing panics, what we send is well formed, nothing stays.

use super::*;

/// What a peer may say, with our tag and headers filled in as they become known.
fn corpus(tag: &str, ours: &Message) -> Vec<String> {
    let mut out = vec![
        invite("k: timer, 100rel\r\nx: 300;refresher=uac\r\nRecord-Route: <sip:p;lr>, <sip:q>\r\n"),
        invite_with("offerless", "k: 100rel\r\n", "").replace("7c1e", "x"),
        request("CANCEL", 1, "", "invite", ""),
        request("ACK", 1, tag, "ack", &with_sdp("", OFFER)),
        request("PRACK", 2, tag, "prack", "RAck: 1 1 INVITE"),
        request("INVITE", 3, tag, "re", &with_sdp("k: timer\r\nx: 90\r\n", OFFER)),
        request("UPDATE", 4, tag, "up", &with_sdp("Min-SE: 90\r\n", OFFER)),
        request("UPDATE", 5, tag, "up5", ""),
        request("INFO", 6, tag, "i", "Content-Type: application/dtmf-relay\r\n\r\nSignal=5"),
        request("OPTIONS", 7, tag, "o", ""),
        request("REFER", 8, tag, "r", "Refer-To: <sip:x@y?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>"),
        request("REGISTER", 9, "", "reg", "Expires: 60"),
        request("BYE", 10, tag, "bye", ""),
    ];
    for code in [100, 180, 183, 200, 302, 401, 408, 422, 481, 486, 491, 503] {
        let more = "Require: 100rel\r\nRSeq: 1\r\nMin-SE: 300\r\nAllow: UPDATE\r\n";
        out.push(response(ours, code, "t", more, OFFER));
    }
    out
}

/// Changes, removes, repeats or inserts something somewhere, or nothing.
fn mutate(chance: &mut Chance, text: &str) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "\r\n",
        ";",
        ",",
        "<",
        ">",
        "\"",
        "=",
        "%",
        "?",
        "\0",
        "\u{fffd}",
        "99999999999",
        "-1",
        " ",
        "tag=",
        "rport",
        "received=",
        "Via: SIP/2.0/UDP x;branch=z9hG4bK\r\n",
        "[::1]",
        ":",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len() as u64) as usize;
        let end = (at + chance.below(8) as usize).min(bytes.len());
        let piece = PIECES[chance.below(PIECES.len() as u64) as usize];
        match chance.below(4) {
            0 => bytes[at] = chance.u32() as u8,
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, piece.bytes()).count()),
            _ => bytes.extend_from_within(at..end),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[test]
fn damaged_messages_do_no_harm() {
    for seed in 0..300 {
        let config = Config { max_transactions: 200, max_sessions: 20, ..Config::default() };
        let session_expires = Some(secs(90));
        let policy = Policy { rel100: seed % 2 == 0, session_expires, ..policy() };
        let mut bench = Bench::with(policy.clone(), config);
        let mut chance = Chance::from_number(seed);
        let mut tag = String::new();
        let (ours, mut last) = bench.call(policy);
        let mut sessions = vec![ours];
        for _ in 0..60 {
            let corpus = corpus(&tag, &last);
            let text = &corpus[chance.below(corpus.len() as u64) as usize];
            let bytes = mutate(&mut chance, text);
            let admit = if chance.below(8) == 0 { Admit::Stranger } else { bench.admit.clone() };
            bench.endpoint.handle(bench.now, bench.flow, &bytes, &admit);
            for event in bench.events() {
                if let Event::Invite { session, .. } = event {
                    sessions.push(session);
                }
            }
            let session = sessions[chance.below(sessions.len() as u64) as usize];
            let (endpoint, now) = (&mut bench.endpoint, bench.now);
            match chance.below(10) {
                0 => endpoint.ring(now, session, 183, Some(Bytes::from(OURS))),
                1 => endpoint.answer(now, session, Bytes::from(OURS)),
                2 => endpoint.accept_offer(now, session, Bytes::from(OURS)),
                3 => endpoint.reoffer(now, session, Bytes::from(OURS)),
                4 => endpoint.probe(now, session, secs(1)),
                5 if chance.below(5) == 0 => endpoint.hangup(now, session, Some("SIP;cause=16")),
                _ => {}
            }
            let pause = Duration::from_millis(chance.below(3000));
            let timed = bench.wait(pause);
            for message in timed.into_iter().map(|(_, message)| message) {
                if message.code().is_some_and(|code| code > 100) {
                    tag = tag_of(&message);
                } else if message.is_request() {
                    last = message;
                }
            }
        }
        for session in sessions {
            bench.endpoint.hangup(bench.now, session, None);
        }
        bench.wait(secs(400));
        let counts = bench.endpoint.counts();
        assert_eq!((counts.sessions, counts.transactions), (0, 0), "seed {seed}");
        assert_eq!(bench.endpoint.poll_timeout(), None, "seed {seed}");
    }
}
