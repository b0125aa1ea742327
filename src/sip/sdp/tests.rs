mod secure;
mod wide;

use super::*;

fn ours() -> Ours {
    Ours {
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        events: true,
        address: "192.0.2.1".parse().unwrap(),
        port: 30_000,
        id: 7,
        version: 1,
        direction: Direction::SendRecv,
        security: Security::Off,
    }
}

/// The start of a description by a peer at 192.0.2.9, and these lines.
fn theirs(lines: &[&str]) -> String {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
    lines.iter().fold(head.to_owned(), |text, line| text + line + "\r\n")
}

fn answered(lines: &[&str]) -> Result<(String, Agreed), Error> {
    let (bytes, agreed) = answer(theirs(lines).as_bytes(), &ours())?;
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(sdp_types::Session::parse(text.as_bytes()).is_ok(), "{text}");
    Ok((text, agreed))
}

#[test]
fn our_offer() {
    let expected = "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 30000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(offer(&ours()), expected);
    let six = Ours { address: "2001:db8::1".parse().unwrap(), events: false, ..ours() };
    let text = String::from_utf8(offer(&six).to_vec()).unwrap();
    assert!(text.contains("c=IN IP6 2001:db8::1\r\n") && text.contains("RTP/AVP 0 8\r\n"));
}

#[test]
fn two_of_ours_agree() {
    let (reply, seen) = answer(&offer(&ours()), &Ours { port: 40_000, ..ours() }).unwrap();
    let ours_seen = agreed(&reply, &ours()).unwrap();
    assert_eq!(seen.rtp, "192.0.2.1:30000".parse().unwrap());
    assert_eq!(ours_seen.rtp, "192.0.2.1:40000".parse().unwrap());
    assert_eq!(ours_seen.rtcp, Some("192.0.2.1:40001".parse().unwrap()));
    assert_eq!((seen.codec, seen.events), (ours_seen.codec, ours_seen.events));
}

/// Codec, its payload, telephone-event's payload, the peer's direction, packet time.
type Expected = (Codec, u8, Option<u8>, Direction, u32);

/// Offers as the equipment that we meet writes them, and what comes of each.
static OFFERS: &[(&str, &[&str], Expected)] = &[
    (
        "NGN: one codec, a channel count",
        &[
            "b=AS:80",
            "m=audio 22000 RTP/AVP 0",
            "b=AS:80",
            "a=rtpmap:0 PCMU/8000/1",
            "a=ptime:20",
            "a=sendrecv",
        ],
        (Codec::Pcmu, 0, None, Direction::SendRecv, 20),
    ),
    (
        "Twilio: static types, telephone-event, maxptime",
        &[
            "m=audio 15612 RTP/AVP 0 8 101",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-16",
            "a=ptime:20",
            "a=maxptime:20",
            "a=sendrecv",
        ],
        (Codec::Pcmu, 0, Some(101), Direction::SendRecv, 20),
    ),
    (
        "linphone: wideband first, two event clocks, feedback, no rtpmap for 0 and 8",
        &[
            "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics",
            "m=audio 7078 RTP/AVPF 96 97 98 8 0 18 99 100",
            "a=rtpmap:96 opus/48000/2",
            "a=fmtp:96 useinbandfec=1",
            "a=rtpmap:97 speex/16000",
            "a=rtpmap:98 speex/8000",
            "a=rtpmap:99 telephone-event/48000",
            "a=rtpmap:100 telephone-event/8000",
            "a=rtcp-fb:* trr-int 1000",
            "m=video 9078 RTP/AVPF 96",
            "a=rtpmap:96 VP8/90000",
        ],
        (Codec::Pcma, 8, Some(100), Direction::SendRecv, 20),
    ),
    (
        "baresip: rtcp-mux, an SSRC, a label",
        &[
            "a=tool:baresip 1.0.0",
            "m=audio 10002 RTP/AVP 9 8 0 101",
            "b=AS:125",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=rtcp:10003",
            "a=rtcp-mux",
            "a=sendrecv",
            "a=label:1",
            "a=minptime:20",
            "a=ptime:40",
            "a=ssrc:1 cname:x@y",
        ],
        (Codec::Pcma, 8, Some(101), Direction::SendRecv, 40),
    ),
    (
        "Grandstream: dynamic payload for PCMU, lower case, events at 0-16 on 96",
        &[
            "m=audio 5004/1 RTP/AVP 110 96",
            "a=rtpmap:110 pcmu/8000",
            "a=rtpmap:96 TELEPHONE-EVENT/8000",
        ],
        (Codec::Pcmu, 110, Some(96), Direction::SendRecv, 20),
    ),
    (
        "secure audio first, plain audio second",
        &[
            "m=audio 7078 RTP/SAVP 0",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
            "m=audio 7080 RTP/AVP 0",
        ],
        (Codec::Pcmu, 0, None, Direction::SendRecv, 20),
    ),
    (
        "hold by direction for the whole session",
        &["a=sendonly", "m=audio 4000 RTP/AVP 0"],
        (Codec::Pcmu, 0, None, Direction::SendOnly, 20),
    ),
    (
        "hold by direction of the stream, which wins",
        &["a=sendrecv", "m=audio 4000 RTP/AVP 0", "a=inactive"],
        (Codec::Pcmu, 0, None, Direction::Inactive, 20),
    ),
    (
        "hold by address",
        &["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0"],
        (Codec::Pcmu, 0, None, Direction::SendOnly, 20),
    ),
    (
        "hold by address and direction",
        &["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=recvonly"],
        (Codec::Pcmu, 0, None, Direction::Inactive, 20),
    ),
];

#[test]
fn offers_of_known_equipment() {
    for (what, lines, (codec, payload, events, direction, ptime)) in OFFERS {
        let (text, agreed) = answered(lines).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((agreed.codec, agreed.payload_send), (*codec, *payload), "{what}");
        assert_eq!(agreed.payload_receive, *payload, "{what}");
        assert_eq!(agreed.events.map(|e| e.send), *events, "{what}");
        assert_eq!(agreed.events.map(|e| e.receive), *events, "{what}");
        assert_eq!((agreed.direction, agreed.ptime), (*direction, *ptime), "{what}");
        let offered = lines.iter().filter(|l| l.starts_with("m=")).count();
        assert_eq!(text.matches("m=").count(), offered, "{what}: an answer for each stream");
        assert_eq!(text.matches(" 30000 ").count(), 1, "{what}: one stream taken");
        assert!(text.contains(&format!("a={}\r\n", direction.reversed().as_str())), "{what}");
    }
}

#[test]
fn offers_that_are_refused() {
    let cases: &[(&[&str], Error)] = &[
        (&[], Error::NoAudio),
        (&["m=video 4000 RTP/AVP 31"], Error::NoAudio),
        (&["m=audio 0 RTP/AVP 0"], Error::Disabled),
        (&["m=audio 4000 RTP/AVP 18 101", "a=rtpmap:101 telephone-event/8000"], Error::NoCodec),
        (&["m=audio 4000 RTP/AVP 0", "a=rtpmap:0 PCMU/16000"], Error::NoCodec),
        (&["m=audio 4000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000/2"], Error::NoCodec),
        (&["m=audio 4000 RTP/AVP 128 255 256 -1 x"], Error::NoCodec),
        (&["m=audio 4000 RTP/AVP "], Error::Malformed),
        (
            // JsSIP: what a browser writes; plain RTP it can't.
            &[
                "a=group:BUNDLE 0",
                "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126",
                "c=IN IP4 0.0.0.0",
                "a=rtcp:9 IN IP4 0.0.0.0",
                "a=ice-ufrag:x",
                "a=fingerprint:sha-256 00",
                "a=setup:actpass",
                "a=mid:0",
                "a=rtpmap:111 opus/48000/2",
                "a=rtpmap:0 PCMU/8000",
            ],
            Error::Protocol,
        ),
        (&["m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"], Error::Address),
        (&["m=audio 4000 RTP/AVP 0", "c=IN IP4 255.255.255.255"], Error::Address),
        (&["m=audio 4000 RTP/AVP 0", "c=IN IP4 phone.example.com"], Error::Address),
        (&["m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::1"], Error::Address),
        (&["m=audio 4000 RTP/AVP 0", "c=ATM NSAP 1"], Error::Address),
        (&["m=audio 65536 RTP/AVP 0"], Error::Malformed),
        (&["m=audio -1 RTP/AVP 0"], Error::Malformed),
        (&["m=audio +1 RTP/AVP 0"], Error::Malformed),
        (&["m=audio 4000"], Error::Malformed),
        (&["m=audio 4000 RTP/AVP 0\r31"], Error::Malformed),
    ];
    for (lines, expected) in cases {
        assert_eq!(answered(lines).err(), Some(*expected), "{lines:?}");
    }
    for text in ["", "v=1\r\n", "m=audio 4000 RTP/AVP 0\r\n", "\0\0", "v=0 \0"] {
        assert_eq!(answer(text.as_bytes(), &ours()).err(), Some(Error::Malformed), "{text:?}");
    }
}

#[test]
fn odd_lines_cost_no_call() {
    let odd: Vec<u8> = [
        &b"v=0\no=\xff\xfe what\n\ns=\x82\xa0 shift-jis\nnonsense\nc=IN IP4 192.0.2.9\n"[..],
        b"t=0 0\nb=X-ODD\nz=1\nm=audio  4000  RTP/AVP 0\na=\xff\na=rtpmap:x\na=rtpmap:999 A/1\na=\n",
        b"a=rtpmap:0 PCMU/8000\na=rtpmap:0 opus/48000\na=rtcp:0\na=ptime:99999999999999\nm",
    ]
    .concat();
    let (_, agreed) = answer(&odd, &ours()).unwrap();
    assert_eq!((agreed.codec, agreed.rtcp, agreed.ptime), (Codec::Pcmu, None, PTIME));
}

#[test]
fn what_is_agreed_on_our_offer() {
    let check = |lines: &[&str]| agreed(theirs(lines).as_bytes(), &ours());
    let events = "a=rtpmap:96 telephone-event/8000";
    let seen = check(&["m=audio 4000 RTP/AVP 8 96", events, "a=rtcp:5001 IN IP4 198.51.100.1"]);
    let seen = seen.unwrap();
    assert_eq!((seen.codec, seen.payload_send, seen.payload_receive), (Codec::Pcma, 8, 8));
    assert_eq!(seen.events, Some(Events { send: 96, receive: 101, clock: 8000 }));
    assert_eq!(seen.rtcp, Some("192.0.2.9:5001".parse().unwrap()), "never to a third party");
    assert_eq!(check(&["m=audio 0 RTP/AVP 0"]).err(), Some(Error::Disabled));
    let no_events = Ours { events: false, ..ours() };
    let text = theirs(&["m=audio 65535 RTP/AVP 0 96", events]);
    let seen = agreed(text.as_bytes(), &no_events).unwrap();
    assert_eq!((seen.events, seen.rtcp), (None, None), "no port above 65535");
}

#[test]
fn our_direction_limits_the_answer() {
    let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
    for peer in all {
        assert_eq!(peer.reversed().reversed(), peer);
        for direction in all {
            let text = theirs(&["m=audio 4000 RTP/AVP 0", &format!("a={}", peer.as_str())]);
            let (reply, _) = answer(text.as_bytes(), &Ours { direction, ..ours() }).unwrap();
            let stated = agreed(&reply, &ours()).unwrap().direction;
            assert_eq!(stated.sends(), direction.sends() && peer.receives());
            assert_eq!(stated.receives(), direction.receives() && peer.sends());
        }
    }
}

#[test]
fn time_of_the_offer_is_repeated() {
    let text = theirs(&["m=audio 4000 RTP/AVP 0"]).replace("t=0 0", "t=3149328700 0");
    let (reply, _) = answer(text.as_bytes(), &ours()).unwrap();
    assert!(String::from_utf8(reply.to_vec()).unwrap().contains("\r\nt=3149328700 0\r\n"));
}

/// Nothing that a peer can write makes us work long or answer long.
#[test]
fn bombs_are_bounded() {
    let many = |line: &str, times: usize| theirs(&["m=audio 4000 RTP/AVP 0", &line.repeat(times)]);
    let numbers: String = (0..=255).map(|n| format!(" {n}")).collect();
    let bombs = [
        theirs(&[&"m=audio 4000 RTP/AVP 0\r\n".repeat(10_000)]),
        theirs(&[&"m=video 4000 RTP/AVP 0\r\n".repeat(2_000)]),
        many("a=rtpmap:0 PCMU/8000\r\n", 100_000),
        many("a=rtpmap:97 x/1\r\n", 3_500),
        many("a\r\n", 20_000),
        many("\r\n", 30_000),
        theirs(&["m=audio 4000 RTP/AVP 0", &format!("a=x:{}", "y".repeat(65_000))]),
        theirs(&["m=audio 4000 RTP/AVP 0", &format!("a=x:{}", "y".repeat(65_536))]),
        theirs(&[&format!("m=audio 4000 RTP/AVP{}", " 3".repeat(32_000))]),
        theirs(&[&format!("m=audio 4000 RTP/AVP{numbers}")]),
        theirs(&[&format!("m={} 4000 RTP/AVP 0", "x".repeat(60_000)), "m=audio 4 RTP/AVP 0"]),
        theirs(&["m=audio 4000 RTP/AVP 0", &"a=crypto:1 x inline:y\r\n".repeat(65)]),
        theirs(&["m=audio 4000 RTP/AVP 0", "a=ptime:0", "a=ptime:-1"]),
    ];
    for bomb in &bombs {
        let best = (0..3).map(|_| time_of(|| answer(bomb.as_bytes(), &ours()).is_ok())).min();
        assert!(best.unwrap().as_millis() < 10, "{best:?} for {} bytes", bomb.len());
        if let Ok((reply, agreed)) = answer(bomb.as_bytes(), &ours()) {
            assert!((10..=100).contains(&agreed.ptime));
            assert!(reply.len() < bomb.len() + 512);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn time_of<T>(work: impl FnOnce() -> T) -> std::time::Duration {
    let started = std::time::Instant::now();
    std::hint::black_box(work());
    started.elapsed()
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(0u8.., 0..600)) {
        let text = [theirs(&["m=audio 4000 RTP/AVP 0"]).as_bytes(), &bytes].concat();
        for bytes in [&bytes, &text] {
            if let Ok((reply, _)) = answer(bytes, &ours()) {
                proptest::prop_assert!(sdp_types::Session::parse(&reply).is_ok());
            }
        }
    }

    /// Where both can read a description, we see the same as sdp-types.
    #[test]
    fn same_as_sdp_types(
        port in 1u16.., payloads in proptest::collection::vec(0u8..128, 1..9), ptime in 0u32..200,
        direction in proptest::sample::select(vec!["sendrecv", "sendonly", "recvonly", "inactive"]),
    ) {
        let list: Vec<_> = payloads.iter().map(u8::to_string).collect();
        let text = theirs(&[
            &format!("m=audio {port} RTP/AVP {}", list.join(" ")),
            &format!("a=ptime:{ptime}"),
            &format!("a={direction}"),
        ]);
        let other = sdp_types::Session::parse(text.as_bytes()).unwrap();
        let media = &other.medias[0];
        let seen = agreed(text.as_bytes(), &ours());
        let first = media.fmt.split(' ').find(|f| matches!(*f, "0" | "8"));
        match (seen, first) {
            (Ok(seen), Some(first)) => {
                proptest::prop_assert_eq!(seen.payload_send.to_string(), first);
                proptest::prop_assert_eq!(seen.rtp.port(), media.port);
                proptest::prop_assert!(media.has_attribute(seen.direction.as_str()));
                let address = &other.connection.as_ref().unwrap().connection_address;
                proptest::prop_assert_eq!(&seen.rtp.ip().to_string(), address);
            }
            (seen, first) => {
                proptest::prop_assert_eq!((seen.err(), first), (Some(Error::NoCodec), None));
            }
        }
    }
}
