use proptest::prelude::*;

use super::*;

const SUITES: [Suite; 3] =
    [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32, Suite::AeadAes128Gcm];
const SSRC: u32 = 0x1234_5678;

fn key(suite: Suite, seed: u8) -> MasterKey {
    MasterKey { bytes: (0..suite.key_length() as u8).map(|n| n.wrapping_mul(7) ^ seed).collect() }
}

fn crypto(suite: Suite, send: u8, receive: u8) -> Crypto {
    Crypto { suite, send: key(suite, send), receive: key(suite, receive) }
}

/// Two ends of a leg.
fn pair(suite: Suite) -> (Srtp, Srtp) {
    let (us, peer) = (crypto(suite, 1, 2), crypto(suite, 2, 1));
    (Srtp::new(&us).unwrap(), Srtp::new(&peer).unwrap())
}

/// 20 ms of PCMU whose samples tell the packet's number.
fn rtp(ssrc: u32, n: u64) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend((n as u16).to_be_bytes());
    packet.extend((n as u32 * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(n.to_be_bytes().into_iter().cycle().take(160));
    packet
}

/// A sender report.
fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(0..20);
    packet
}

fn secure(srtp: &mut Srtp, plain: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = [plain, &[0; 20]].concat();
    let length = srtp.protect(&mut buffer, plain.len())?;
    buffer.truncate(length);
    Some(buffer)
}

fn secure_rtcp(srtp: &mut Srtp, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; 20]].concat();
    let length = srtp.protect_rtcp(&mut buffer, plain.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn read(srtp: &mut Srtp, packet: &[u8]) -> Option<Vec<u8>> {
    let mut packet = packet.to_vec();
    let length = srtp.unprotect(&mut packet)?;
    Some(packet[..length].to_vec())
}

fn read_rtcp(srtp: &mut Srtp, packet: &[u8]) -> Option<Vec<u8>> {
    let mut packet = packet.to_vec();
    let length = srtp.unprotect_rtcp(&mut packet)?;
    Some(packet[..length].to_vec())
}

#[test]
fn there_and_back() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        for n in 0..10 {
            let sent = secure(&mut us, &rtp(SSRC, n)).unwrap();
            assert_ne!(sent[12..172], rtp(SSRC, n)[12..]);
            assert_eq!(read(&mut us, &sent), None, "{suite:?}: our own packet sent back to us");
            assert_eq!(read(&mut peer, &sent), Some(rtp(SSRC, n)), "{suite:?}");
            assert_eq!(read(&mut peer, &sent), None, "{suite:?}: twice");
            let back = secure(&mut peer, &rtp(9, 500 + n)).unwrap();
            assert_eq!(read(&mut us, &back), Some(rtp(9, 500 + n)), "{suite:?}");
            let report = secure_rtcp(&mut us, &rtcp(SSRC));
            assert_ne!(report[8..28], rtcp(SSRC)[8..]);
            assert_eq!(read_rtcp(&mut peer, &report), Some(rtcp(SSRC)), "{suite:?}");
            assert_eq!(read_rtcp(&mut peer, &report), None, "{suite:?}: twice");
        }
    }
}

#[test]
fn length_of_what_is_added() {
    let added = SUITES.map(|suite| {
        let (mut us, _) = pair(suite);
        let packet = secure(&mut us, &rtp(SSRC, 1)).unwrap().len() - 172;
        (packet, secure_rtcp(&mut us, &rtcp(SSRC)).len() - 28)
    });
    assert_eq!(added, [(10, 14), (4, 14), (16, 20)]);
}

#[test]
fn contributing_sources_and_extension_stay_readable() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        let plain = [
            &[0x92, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7][..],
            &[1; 8],
            &[0xbe, 0xde, 0, 1, 5, 5, 5, 5],
            &[9; 33],
        ];
        let plain = plain.concat();
        let sent = secure(&mut us, &plain).unwrap();
        assert_eq!(sent[..28], plain[..28]);
        assert_ne!(sent[28..61], plain[28..]);
        assert_eq!(read(&mut peer, &sent), Some(plain));
    }
}

/// Eleven hours at 50 packets a second wrap thirty times. Near the wraps each packet counts, with
/// loss and reordering; between them a few are heard.
#[test]
fn rollover_over_hours() {
    let (mut us, mut peer) = pair(Suite::AesCm128HmacSha1_80);
    let first: u64 = 65_530;
    let last = first + 2_000_000;
    let mut late: Option<(u64, Vec<u8>)> = None;
    let heard = |peer: &mut Srtp, n: u64, packet: &[u8]| {
        assert_eq!(read(peer, packet), Some(rtp(SSRC, n)), "packet {n}");
    };
    let near_wrap = |n: &u64| !(200..65_300).contains(&(n % 65_536)) || n.is_multiple_of(9_973);
    for n in (first..=last).filter(near_wrap) {
        let packet = secure(&mut us, &rtp(SSRC, n)).unwrap();
        match n % 65_536 {
            // Lost: some seconds before a wrap, and single packets.
            65_300..65_500 => {}
            _ if n.is_multiple_of(97) => {}
            // Late by three, over the wrap.
            65_534 => late = Some((n, packet)),
            1 => {
                heard(&mut peer, n, &packet);
                if let Some((n, packet)) = late.take() {
                    heard(&mut peer, n, &packet);
                }
            }
            _ => heard(&mut peer, n, &packet),
        }
    }
    heard(&mut peer, last + 1, &secure(&mut us, &rtp(SSRC, last + 1)).unwrap());
    assert_eq!(peer.progress().received, Some(Place { ssrc: SSRC, index: last + 1 }));
    assert_eq!(us.progress().sent, peer.progress().received);
}

/// The first packet that is heard may be from after the wrap.
#[test]
fn first_heard_after_the_wrap() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        let packets: Vec<_> =
            (65_530..65_545).map(|n| secure(&mut us, &rtp(SSRC, n)).unwrap()).collect();
        assert_eq!(read(&mut peer, &packets[8]), Some(rtp(SSRC, 65_538)), "after");
        assert_eq!(read(&mut peer, &packets[3]), Some(rtp(SSRC, 65_533)), "before, late");
        assert_eq!(read(&mut peer, &packets[14]), Some(rtp(SSRC, 65_544)));
        assert_eq!(read(&mut peer, &packets[8]), None);
        assert_eq!(peer.progress().received, Some(Place { ssrc: SSRC, index: 65_544 }));
    }
}

#[test]
fn a_hundred_thousand_bad_packets_change_nothing() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        let mut stranger = Srtp::new(&crypto(suite, 77, 78)).unwrap();
        for when in ["before the first", "after it"] {
            let before = peer.progress();
            for n in 0..5_600 {
                let ssrc = if n % 2 == 0 { SSRC } else { 0x9999 + n as u32 };
                stranger.resume(&Progress::default());
                let forged = secure(&mut stranger, &rtp(ssrc, n * 31)).unwrap();
                assert_eq!(read(&mut peer, &forged), None);
                assert_eq!(read_rtcp(&mut peer, &secure_rtcp(&mut stranger, &rtcp(ssrc))), None);
                assert_eq!(read(&mut peer, &rtp(SSRC, n)), None, "plain");
            }
            assert_eq!(peer.progress(), before, "{when}");
            let n = if when == "after it" { 101 } else { 100 };
            let good = secure(&mut us, &rtp(SSRC, n)).unwrap();
            assert_eq!(read(&mut peer, &good), Some(rtp(SSRC, n)), "{when}");
            let report = secure_rtcp(&mut us, &rtcp(SSRC));
            assert_eq!(read_rtcp(&mut peer, &report), Some(rtcp(SSRC)), "{when}");
        }
    }
}

#[test]
fn reordered_within_the_window_old_beyond() {
    let (mut us, mut peer) = pair(Suite::AesCm128HmacSha1_32);
    let packets: Vec<_> = (0..300).map(|n| secure(&mut us, &rtp(SSRC, n)).unwrap()).collect();
    assert!(read(&mut peer, &packets[200]).is_some());
    assert!(read(&mut peer, &packets[200 - 127]).is_some());
    assert_eq!(read(&mut peer, &packets[200 - 127]), None, "twice");
    assert_eq!(read(&mut peer, &packets[200 - 128]), None, "too old");
    assert!(read(&mut peer, &packets[299]).is_some());
    assert_eq!(read(&mut peer, &packets[200]), None, "twice, later");
}

/// A phone may begin a new stream with every hold of a long call. What it sent before stays sent.
#[test]
fn another_ssrc_of_the_peer() {
    let (mut us, mut peer) = pair(Suite::AeadAes128Gcm);
    let mut sent = Vec::new();
    for ssrc in 1..=64 {
        us.resume(&Progress::default());
        let packet = secure(&mut us, &rtp(ssrc, 65_530)).unwrap();
        assert!(read(&mut peer, &packet).is_some(), "stream {ssrc}");
        let report = secure_rtcp(&mut us, &rtcp(ssrc));
        assert!(read_rtcp(&mut peer, &report).is_some(), "reports {ssrc}");
        sent.push(packet);
    }
    for packet in &sent {
        assert_eq!(read(&mut peer, packet), None, "an earlier stream again");
    }
    us.resume(&Progress::default());
    let packet = secure(&mut us, &rtp(99, 1)).unwrap();
    assert_eq!(read(&mut peer, &packet), None, "one stream too many");
    assert_eq!(peer.receiver.rtp.all.len(), STREAMS_MAX);
}

/// No index is used twice: it would give away both packets.
#[test]
fn our_own_places_once() {
    let (mut us, _) = pair(Suite::AesCm128HmacSha1_80);
    assert!(secure(&mut us, &rtp(SSRC, 5)).is_some());
    assert_eq!(secure(&mut us, &rtp(SSRC, 5)), None, "the same place");
    assert_eq!(secure(&mut us, &rtp(SSRC + 1, 6)), None, "another stream");
    assert!(secure(&mut us, &rtp(SSRC, 7)).is_some());
    assert!(secure(&mut us, &rtp(SSRC, 6)).is_some(), "relayed out of order");
    assert_eq!(us.protect(&mut rtp(SSRC, 8), 172), None, "no room for the tag");
    assert_eq!(us.progress().sent, Some(Place { ssrc: SSRC, index: 7 }));
}

#[test]
fn goes_on_after_a_restart() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        let (mut old, mut reports) = (Vec::new(), Vec::new());
        for n in (0..200_000).step_by(1000) {
            let back = secure(&mut peer, &rtp(9, n)).unwrap();
            assert!(read(&mut us, &back).is_some());
            assert!(read(&mut peer, &secure(&mut us, &rtp(SSRC, n)).unwrap()).is_some());
            reports.push(secure_rtcp(&mut peer, &rtcp(9)));
            assert!(read_rtcp(&mut us, reports.last().unwrap()).is_some());
            assert!(read_rtcp(&mut peer, &secure_rtcp(&mut us, &rtcp(SSRC))).is_some());
            old.push(back);
        }
        let progress = us.progress();
        assert_eq!(progress.received.unwrap().index >> 16, 3, "the rollover counter");
        let mut us = Srtp::new(&crypto(suite, 1, 2)).unwrap();
        us.resume(&progress);
        assert_eq!(us.progress(), progress);
        assert!(old.iter().all(|packet| read(&mut us, packet).is_none()), "replayed");
        assert!(reports.iter().all(|packet| read_rtcp(&mut us, packet).is_none()), "replayed");
        assert_eq!(secure(&mut us, &rtp(SSRC, 199_000)), None, "sent before");
        assert!(read(&mut peer, &secure(&mut us, &rtp(SSRC, 200_000)).unwrap()).is_some());
        assert!(read_rtcp(&mut peer, &secure_rtcp(&mut us, &rtcp(SSRC))).is_some());
        assert!(read(&mut us, &secure(&mut peer, &rtp(9, 200_000)).unwrap()).is_some());
        assert!(read_rtcp(&mut us, &secure_rtcp(&mut peer, &rtcp(9))).is_some());
    }
}

#[test]
fn new_keys() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut us, mut peer) = pair(suite);
    let talk = |us: &mut Srtp, peer: &mut Srtp, n: u64| {
        let there = read(peer, &secure(us, &rtp(SSRC, n)).unwrap());
        let back = read(us, &secure(peer, &rtp(9, n)).unwrap());
        (there.is_some(), back.is_some())
    };
    for n in (0..100_000).step_by(1000) {
        assert_eq!(talk(&mut us, &mut peer, n), (true, true));
    }
    let before = us.progress();
    us.renew(&crypto(suite, 1, 2)).unwrap();
    assert_eq!(us.progress(), before, "the same keys go on");
    us.renew(&crypto(suite, 1, 3)).unwrap();
    assert_eq!(us.progress().sent, before.sent, "our key is the same");
    assert_eq!(us.progress().received, None);
    let old = secure(&mut peer, &rtp(9, 100_001)).unwrap();
    assert_eq!(read(&mut us, &old), None, "the former key");
    // The peer's counter goes on, as RFC 3711 §3.3.1 says.
    let progress = peer.progress();
    peer.renew(&crypto(suite, 3, 1)).unwrap();
    peer.resume(&progress);
    assert_eq!(talk(&mut us, &mut peer, 100_002), (true, true));
    assert_eq!(us.progress().received, Some(Place { ssrc: 9, index: 100_002 }));
    // Or it begins anew, as many phones do.
    us.renew(&crypto(suite, 1, 4)).unwrap();
    let mut peer = Srtp::new(&crypto(suite, 4, 1)).unwrap();
    let back = secure(&mut peer, &rtp(9, 7)).unwrap();
    assert_eq!(read(&mut us, &back), Some(rtp(9, 7)));
    let wrong = Crypto { send: MasterKey { bytes: vec![1; 29] }, ..crypto(suite, 1, 2) };
    assert_eq!((us.renew(&wrong), Srtp::new(&wrong).err()), (Err(KeyLength), Some(KeyLength)));
}

#[test]
fn unencrypted_srtcp_is_refused() {
    let (mut us, mut peer) = pair(Suite::AesCm128HmacSha1_80);
    let mut report = secure_rtcp(&mut us, &rtcp(SSRC));
    let word = report.len() - 14;
    report[word] &= 0x7f;
    assert_eq!(read_rtcp(&mut peer, &report), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_survived(
        mut bytes in prop::collection::vec(0u8.., 0..120), version in 0..4u8,
    ) {
        for suite in SUITES {
            let (mut us, _) = pair(suite);
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x3f | version << 6;
            }
            let before = us.progress();
            prop_assert_eq!(read(&mut us, &bytes), None);
            prop_assert_eq!(read_rtcp(&mut us, &bytes), None);
            prop_assert_eq!(us.progress(), before);
            let mut buffer = bytes.clone();
            for length in 0..bytes.len() + 30 {
                let _ = us.protect(&mut buffer, length);
                let _ = us.protect_rtcp(&mut buffer, length);
            }
        }
    }

    #[test]
    fn one_changed_bit_is_rejected(
        suite in prop::sample::select(SUITES.to_vec()), bit in 0usize.., n in 0u64..1 << 20,
        body in prop::collection::vec(0u8.., 0..40),
    ) {
        let (mut us, mut peer) = pair(suite);
        let plain = [&rtp(SSRC, n)[..12], &body].concat();
        us.resume(&Progress { sent: Some(Place { ssrc: SSRC, index: n }), ..Progress::default() });
        let start = Place { ssrc: SSRC, index: n.saturating_sub(5) };
        peer.resume(&Progress { received: Some(start), ..Progress::default() });
        let plain_next = [&rtp(SSRC, n + 1)[..12], &plain[12..]].concat();
        for (sent, is_rtp) in [
            (secure(&mut us, &plain_next).unwrap(), true),
            (secure_rtcp(&mut us, &rtcp(SSRC)), false),
        ] {
            let mut damaged = sent.clone();
            let bit = bit % (sent.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            let before = peer.progress();
            let mut seen = damaged.clone();
            let open = if is_rtp { Srtp::unprotect } else { Srtp::unprotect_rtcp };
            let read = open(&mut peer, &mut seen);
            prop_assert_eq!((read, &seen), (None, &damaged));
            prop_assert_eq!(peer.progress(), before);
            let mut sent = sent;
            prop_assert!(open(&mut peer, &mut sent).is_some());
        }
    }
}
