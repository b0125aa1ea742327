//! Opus: loss, other senders' frames.

use super::*;
use crate::media::codec::opus::repeats;

/// Something like speech: a buzz under a slow envelope, whose pitch glides.
fn speech(seconds: usize) -> Vec<i16> {
    let mut phase = 0.0f64;
    let sound = (0..seconds * 16_000).map(|n| {
        let t = n as f64 / 16_000.0;
        phase += (140.0 + 40.0 * (t * 4.0).sin()) / 16_000.0;
        let buzz =
            (1..20).map(|k| (std::f64::consts::TAU * phase * f64::from(k)).sin() / f64::from(k));
        let envelope = 0.6 + 0.4 * (t * 17.0).sin();
        (buzz.sum::<f64>() * envelope * 6000.0) as i16
    });
    sound.collect()
}

/// dB of signal over error.
fn quality(sound: &[i16], wanted: &[i16]) -> f64 {
    let error: Vec<i16> = sound.iter().zip(wanted).map(|(a, b)| a.saturating_sub(*b)).collect();
    decibels(rms(wanted), rms(&error))
}

#[test]
fn a_single_lost_packet_is_rebuilt_from_the_next() {
    let payloads = encode(Codec::Opus, &speech(4));
    let whole = decode(Codec::Opus, payloads.iter().map(Vec::as_slice));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for n in (20..payloads.len() - 1).step_by(7) {
        for by_next in [true, false] {
            let mut decoder = Decoder::new(Codec::Opus).unwrap();
            let mut sound = Vec::new();
            payloads[..n].iter().for_each(|p| assert!(decoder.decode(p, &mut sound)));
            let at = sound.len();
            let next = by_next.then(|| payloads[n + 1].as_slice());
            assert!(decoder.lost(next, &mut sound));
            assert_eq!(sound.len(), at + 320);
            assert!(decoder.decode(&payloads[n + 1], &mut sound));
            let quality = quality(&sound[at..at + 320], &whole[at..at + 320]);
            if by_next { with.push(quality) } else { without.push(quality) }
        }
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let (with, without) = (mean(&with), mean(&without));
    assert!(with > 9.0, "{with} dB");
    assert!(with > without + 4.0, "{with} dB with FEC, {without} dB without");
}

/// How loud a tone is in each frame from the first of `lost` on, to how loud it is without loss.
fn loudness_after(hz: f64, lost: usize) -> Vec<f64> {
    let payloads = encode(Codec::Opus, &tone(Rate::Wide, hz, 4000.0, 2 * 16_000));
    let (mut whole, mut decoder) = (Vec::new(), Decoder::new(Codec::Opus).unwrap());
    let (before, after) = payloads.split_at(80);
    before.iter().for_each(|p| assert!(decoder.decode(p, &mut whole)));
    let mut sound = Vec::new();
    for n in 0..lost {
        let next = (n + 1 == lost).then(|| after[lost].as_slice());
        assert!(decoder.lost(next, &mut sound));
    }
    after[lost..].iter().for_each(|p| assert!(decoder.decode(p, &mut sound)));
    let wanted = decode(Codec::Opus, payloads.iter().map(Vec::as_slice));
    let pairs = sound.chunks(320).zip(wanted[80 * 320..].chunks(320));
    pairs.map(|(a, b)| decibels(rms(a), rms(b))).collect()
}

#[test]
fn a_tone_goes_on_after_a_lost_packet() {
    for hz in [400.0, 800.0, 1250.0, 2300.0] {
        // Nothing repeats it, and the packets after it hold little more than how it goes on.
        let levels = loudness_after(hz, 1);
        assert!(levels.iter().all(|level| level.abs() < 6.0), "{hz} Hz: {levels:.1?}");
        // What is missing for long fades, and nothing is louder than it was.
        let levels = loudness_after(hz, 4);
        assert!(levels[3] < -20.0, "{hz} Hz: {levels:.1?}");
        assert!(levels.iter().all(|level| *level < 6.0), "{hz} Hz: {levels:.1?}");
        assert!(levels[20..].iter().all(|level| level.abs() < 1.0), "{hz} Hz: {levels:.1?}");
    }
}

#[test]
fn a_packet_tells_whether_it_repeats_the_one_before() {
    let check = |packet: &[u8], wanted: bool| assert_eq!(repeats(packet), wanted, "{packet:x?}");
    let (silk_10, silk_20, silk_40, hybrid, celt) = (8 << 3, 9 << 3, 10 << 3, 15 << 3, 31 << 3);
    // The second bit of the first frame, or the fourth for the side channel.
    for kind in [1 << 3, silk_20, hybrid] {
        check(&[kind, 0x40, 0], true);
        check(&[kind, 0xbf, 0xff], false);
        check(&[kind | 4, 0x10, 0], true);
        check(&[kind | 4, 0xaf, 0xff], false);
    }
    check(&[silk_10, 0xff, 0xff], false);
    check(&[silk_40, 0xff, 0xff], false);
    check(&[celt, 0xff, 0xff], false);
    // Nothing in it, or no more than DTX.
    for packet in [&[][..], &[silk_20], &[silk_20, 0x40], &[silk_20 | 2], &[silk_20 | 3]] {
        check(packet, false);
    }
    // More frames in a packet: two alike, two of their own lengths, a count of them.
    check(&[silk_20 | 1, 0x40, 0, 0, 0], true);
    check(&[silk_20 | 2, 2, 0x40, 0, 0], true);
    check(&[silk_20 | 2, 1, 0x40, 0xff, 0xff], false);
    check(&[silk_20 | 2, 252, 0, 0x40, 0], true);
    check(&[silk_20 | 3, 3, 0x40, 0, 0, 0, 0, 0], true);
    check(&[silk_20 | 3, 0x83, 2, 252, 0, 0x40, 0], true);
    check(&[silk_20 | 3, 0x83, 0, 2, 0x40, 0], false);
    // Padding: 1 byte; 254 and 3 of them.
    check(&[silk_20 | 3, 0x41, 1, 0x40, 0, 0], true);
    check(&[silk_20 | 3, 0xc2, 255, 3, 2, 0x40, 0, 0], true);
    check(&[silk_20 | 3, 0x41, 255], false);
    // Ours: most of a voice is repeated, and in longer packets as well.
    let sound = speech(4);
    let payloads = encode(Codec::Opus, &sound);
    let repeated = payloads.iter().filter(|p| repeats(p)).count();
    assert!(repeated * 3 > payloads.len() * 2, "{repeated} of {}", payloads.len());
    let (mut encoder, mut out) = (Encoder::new(Codec::Opus).unwrap(), [0; 3 * PAYLOAD_MAX]);
    let long = sound.chunks_exact(3 * 320).map(|part| {
        let length = encoder.encode(part, &mut out);
        repeats(&out[..length])
    });
    assert!(long.eq(payloads.chunks_exact(3).map(|three| repeats(&three[0]))));
}

#[test]
fn packets_of_any_telephone_reach_opus() {
    let sound: Vec<i16> = tone(Rate::Narrow, 440.0, 8000.0, 8 * 8000);
    let coded = encode(Codec::Pcmu, &sound).concat();
    // 10 to 120 ms go through whole.
    for size in [80, 160, 240, 320, 480, 960] {
        let mut transcoder = Transcoder::new(Codec::Pcmu, Codec::Opus).unwrap();
        let mut decoder = Decoder::new(Codec::Opus).unwrap();
        let (mut out, mut heard) = ([0; FRAMES_MAX * PAYLOAD_MAX], Vec::new());
        for packet in coded.chunks_exact(size).take(60) {
            match transcoder.run(packet, &mut out).unwrap() {
                0 => assert!(size % 160 > 0),
                length => assert!(decoder.decode(&out[..length], &mut heard)),
            }
        }
        assert_eq!(heard.len(), 60 * size * 2, "{size}");
        assert!(decibels(rms(&heard[3200..]), 8000.0 / 2f64.sqrt()).abs() < 1.0, "{size}");
    }
    // Of more, the first 120 ms.
    let mut transcoder = Transcoder::new(Codec::Pcmu, Codec::Opus).unwrap();
    let (mut out, mut heard) = ([0; FRAMES_MAX * PAYLOAD_MAX], Vec::new());
    let length = transcoder.run(&coded[..1120], &mut out).unwrap();
    assert!(Decoder::new(Codec::Opus).unwrap().decode(&out[..length], &mut heard));
    assert_eq!(heard.len(), 1920);
}

/// Packets of every mode, bandwidth, frame size and channel count (RFC 6716 §3.1), all of which a
/// peer may send: the sound is as long as the packet says.
#[test]
fn any_frame_of_a_peer_is_brought_to_16_khz() {
    let (silk, hybrid, celt) = ([160, 320, 640, 960], [160, 320], [40, 80, 160, 320]);
    for toc in 0..=255u8 {
        let config = usize::from(toc >> 3);
        let samples = match config {
            0..12 => silk[config % 4],
            12..16 => hybrid[config % 2],
            _ => celt[config % 4],
        };
        // One frame, two of the same size, two of their own sizes, or a count of two.
        let (frames, rest): (usize, &[u8]) = match toc & 3 {
            0 => (1, &[0xff, 0xfe, 0, 0]),
            1 => (2, &[0xff, 0xfe, 0xff, 0xfe]),
            _ => (2, &[2, 0xff, 0xfe, 0xff, 0xfe]),
        };
        let mut sound = Vec::new();
        let packet = [&[toc], rest].concat();
        assert!(Decoder::new(Codec::Opus).unwrap().decode(&packet, &mut sound), "{toc:#x}");
        assert_eq!(sound.len(), frames * samples, "{toc:#x}");
    }
}

#[test]
fn a_clip_is_a_packet_for_each_20_ms() {
    let pcm = tone(Rate::Narrow, 1000.0, 8000.0, 8050);
    let packets = whole(Codec::Opus, &pcm);
    assert_eq!(packets.len(), 51);
    assert!(packets.iter().all(|packet| (2..=PAYLOAD_MAX).contains(&packet.len())));
    let heard = decode(Codec::Opus, packets.iter().map(|packet| &**packet));
    assert_eq!(heard.len(), 51 * 320);
}
