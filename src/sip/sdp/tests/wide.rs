//! Wideband codecs, and RTCP on the RTP port.

use super::*;

fn wide() -> Ours {
    Ours { codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu], ..ours() }
}

#[test]
fn our_offer_of_wideband() {
    let text = String::from_utf8(offer(&wide()).to_vec()).unwrap();
    let expected = "m=audio 30000 RTP/AVP 96 9 0 101 102\r\na=rtpmap:96 opus/48000/2\r\n\
        a=fmtp:96 useinbandfec=1\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert!(text.ends_with(expected), "{text}");
    assert!(sdp_types::Session::parse(text.as_bytes()).is_ok());
}

/// Lines of an offer; codec, its payload, telephone-event's payload and clock.
type Case = (&'static [&'static str], Option<(Codec, u8, Option<(u8, u32)>)>);

static OFFERS: &[Case] = &[
    (&["m=audio 4000 RTP/AVP 9"], Some((Codec::G722, 9, None))),
    (&["m=audio 4000 RTP/AVP 9", "a=rtpmap:9 G722/8000/1"], Some((Codec::G722, 9, None))),
    (&["m=audio 4000 RTP/AVP 111 9", "a=rtpmap:111 g722/8000"], Some((Codec::G722, 111, None))),
    (&["m=audio 4000 RTP/AVP 9", "a=rtpmap:9 G722/16000"], None),
    (
        &[
            "m=audio 4000 RTP/AVP 97 99 100",
            "a=rtpmap:97 opus/48000/2",
            "a=fmtp:97 minptime=10;useinbandfec=1;stereo=0",
            "a=rtpmap:99 telephone-event/48000",
            "a=rtpmap:100 telephone-event/8000",
        ],
        Some((Codec::Opus, 97, Some((99, 48_000)))),
    ),
    (
        &[
            "m=audio 4000 RTP/AVP 0 99 100",
            "a=rtpmap:99 telephone-event/48000",
            "a=rtpmap:100 telephone-event/8000",
        ],
        Some((Codec::Pcmu, 0, Some((100, 8000)))),
    ),
    (&["m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000"], None),
    (&["m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000/1"], None),
    (&["m=audio 4000 RTP/AVP 96"], None),
];

#[test]
fn offers_of_wideband() {
    for (lines, expected) in OFFERS {
        let seen = answer(theirs(lines).as_bytes(), &wide());
        let Some((codec, payload, events)) = *expected else {
            assert_eq!(seen.err(), Some(Error::NoCodec), "{lines:?}");
            continue;
        };
        let (reply, agreed) = seen.unwrap_or_else(|e| panic!("{lines:?}: {e}"));
        assert_eq!((agreed.codec, agreed.payload_send), (codec, payload), "{lines:?}");
        assert_eq!(agreed.events.map(|it| (it.receive, it.clock)), events, "{lines:?}");
        let reply = String::from_utf8(reply.to_vec()).unwrap();
        assert!(reply.contains(&format!("a=rtpmap:{payload} {}", codec.name())), "{reply}");
        assert_eq!(reply.contains("useinbandfec=1"), codec == Codec::Opus, "{reply}");
    }
}

#[test]
fn answers_to_our_offer_of_wideband() {
    let events = ["a=rtpmap:110 telephone-event/48000", "a=rtpmap:101 telephone-event/8000"];
    let opus =
        ["m=audio 4000 RTP/AVP 96 110 101", "a=rtpmap:96 opus/48000/2", events[0], events[1]];
    let seen = agreed(theirs(&opus).as_bytes(), &wide()).unwrap();
    assert_eq!((seen.codec, seen.payload_receive), (Codec::Opus, 96));
    assert_eq!(seen.events, Some(Events { send: 110, receive: 102, clock: 48_000 }));
    let g722 = ["m=audio 4000 RTP/AVP 9 110 101", events[0], events[1]];
    let seen = agreed(theirs(&g722).as_bytes(), &wide()).unwrap();
    assert_eq!((seen.codec, seen.payload_send, seen.payload_receive), (Codec::G722, 9, 9));
    assert_eq!(seen.events, Some(Events { send: 101, receive: 101, clock: 8000 }));
    assert_eq!((Codec::G722.clock(), Codec::Opus.clock()), (8000, 48_000));
}

#[test]
fn rtcp_shares_the_port_where_the_peer_offers_it() {
    let lines = ["m=audio 4000 RTP/AVP 0", "a=rtcp-mux", "a=rtcp:4000"];
    let (reply, seen) = answer(theirs(&lines).as_bytes(), &ours()).unwrap();
    assert!(String::from_utf8(reply.to_vec()).unwrap().contains("a=rtcp-mux\r\n"));
    assert_eq!((seen.rtcp_mux, seen.rtcp), (true, Some(seen.rtp)));
    let (reply, seen) = answer(theirs(&lines[..1]).as_bytes(), &ours()).unwrap();
    assert!(!String::from_utf8(reply.to_vec()).unwrap().contains("rtcp-mux"));
    assert_eq!((seen.rtcp_mux, seen.rtcp), (false, Some("192.0.2.9:4001".parse().unwrap())));
    assert!(!agreed(theirs(&lines).as_bytes(), &ours()).unwrap().rtcp_mux, "we did not offer it");
}
