//! Which pairs are transcoded, and packets of any length.

use super::*;

#[test]
fn only_what_differs_is_transcoded() {
    for from in built_in() {
        for to in built_in() {
            let same = from == to || (from.law().is_some() && to.law().is_some());
            assert_eq!(Transcoder::new(from, to).is_none(), same, "{from:?} {to:?}");
        }
    }
    if !Codec::Opus.is_built_in() {
        assert!(Transcoder::new(Codec::Opus, Codec::Pcmu).is_none());
    }
}

/// The bytes that come out for each packet that goes in.
fn lengths(from: Codec, to: Codec, packets: &[usize]) -> Vec<usize> {
    let mut transcoder = Transcoder::new(from, to).unwrap();
    let mut out = [0; 6 * PAYLOAD_MAX];
    packets.iter().map(|n| transcoder.run(&vec![0x55; *n], &mut out).unwrap()).collect()
}

#[test]
fn packets_are_gathered_to_whole_frames() {
    let lengths = |packets: &[usize]| lengths(Codec::Pcmu, Codec::G722, packets);
    assert_eq!(lengths(&[160, 160]), [160, 160]);
    assert_eq!(lengths(&[80, 80, 80, 80]), [0, 160, 0, 160]);
    assert_eq!(lengths(&[240, 240, 240, 240]), [160, 320, 160, 320]);
    assert_eq!(lengths(&[320, 480, 960]), [320, 480, 960]);
    assert_eq!(lengths(&[40, 1600, 160]), [0, 960, 160]);
    assert_eq!(lengths(&[1, 159, 160]), [0, 160, 160]);
}

#[test]
fn gathering_changes_no_byte() {
    let sound: Vec<i16> = noise(9, 9000).take(320 * 12).collect();
    let coded = encode(Codec::G722, &sound).concat();
    let run = |size: usize| {
        let mut transcoder = Transcoder::new(Codec::G722, Codec::Pcma).unwrap();
        let mut out = [0; 6 * PAYLOAD_MAX];
        let payloads = coded.chunks(size).map(|packet| {
            let length = transcoder.run(packet, &mut out).unwrap();
            out[..length].to_vec()
        });
        payloads.collect::<Vec<_>>().concat()
    };
    let whole = run(160);
    assert_eq!(whole.len(), 160 * 12);
    for size in [80, 240, 320, 480, 40] {
        assert_eq!(run(size), whole, "{size}");
    }
}

#[test]
fn a_damaged_packet_is_told_and_harms_nothing() {
    let mut transcoder = Transcoder::new(Codec::G722, Codec::Pcmu).unwrap();
    let mut out = [0; 6 * PAYLOAD_MAX];
    assert_eq!(transcoder.run(&[], &mut out), None);
    assert_eq!(transcoder.run(&[0xfd; 2000], &mut out), None);
    assert_eq!(transcoder.run(&[0xfd; 160], &mut out), Some(160));
    assert_eq!(transcoder.run(&[0xfd; 160], &mut out[..100]), Some(100));
    assert_eq!(transcoder.run(&[0xfd; 160], &mut out), Some(160));
}

#[test]
fn a_long_stream_needs_no_new_room() {
    for from in built_in() {
        for to in built_in() {
            let Some(mut transcoder) = Transcoder::new(from, to) else { continue };
            let room = transcoder.room();
            let mut out = [0; 6 * PAYLOAD_MAX];
            let sound: Vec<i16> = noise(2, 5000).take(from.rate().samples() * 20).collect();
            for payload in encode(from, &sound) {
                assert!(transcoder.run(&payload, &mut out).unwrap() > 0);
            }
            assert_eq!(transcoder.room(), room, "{from:?} {to:?}");
        }
    }
}
