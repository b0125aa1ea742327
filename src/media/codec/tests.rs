//! Codecs against a reference, against each other, and against nonsense.

mod fidelity;
#[cfg(feature = "opus")]
mod opus;
mod resample;
mod transcode;

use sha2::{Digest, Sha256};

use super::*;

/// Every codec that is built in.
fn built_in() -> impl Iterator<Item = Codec> + Clone {
    let all = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
    all.into_iter().filter(|codec| codec.is_built_in())
}

/// White noise, the same everywhere: a linear congruential generator in whole numbers.
fn noise(seed: u32, amplitude: i32) -> impl Iterator<Item = i16> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let sample = i32::from((state >> 16) as u16 as i16);
        ((sample * amplitude) >> 15) as i16
    })
}

/// A triangle that rises from 0 to 7.15 kHz in a second of 16 kHz.
fn sweep(amplitude: i32) -> impl Iterator<Item = i16> {
    let (mut phase, mut step) = (0u32, 0u32);
    std::iter::repeat_with(move || {
        step = step.wrapping_add(120_000);
        phase = phase.wrapping_add(step);
        let triangle = ((i64::from(phase as i32).abs() >> 15) - 32_768) as i32;
        ((triangle * amplitude) >> 15) as i16
    })
}

/// A sine of this many samples, of 16-bit amplitude.
fn tone(rate: Rate, hertz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * hertz / samples_per_second(rate);
    (0..samples).map(|n| ((step * n as f64).sin() * amplitude).round() as i16).collect()
}

fn samples_per_second(rate: Rate) -> f64 {
    rate.samples() as f64 * 50.0
}

fn rms(sound: &[i16]) -> f64 {
    let power: f64 = sound.iter().map(|s| f64::from(*s).powi(2)).sum();
    (power / sound.len().max(1) as f64).sqrt()
}

/// dB of `sound` over `reference`.
fn decibels(sound: f64, reference: f64) -> f64 {
    20.0 * (sound / reference).log10()
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(codec: Codec, sound: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec).unwrap();
    let frames = sound.chunks_exact(encoder.rate().samples());
    frames
        .map(|frame| {
            let mut payload = [0; PAYLOAD_MAX];
            let length = encoder.encode(frame, &mut payload);
            payload[..length].to_vec()
        })
        .collect()
}

fn decode<'a>(codec: Codec, payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<i16> {
    let mut decoder = Decoder::new(codec).unwrap();
    let mut sound = Vec::new();
    payloads.into_iter().for_each(|payload| assert!(decoder.decode(payload, &mut sound)));
    sound
}

/// A name, the sound, eight coded bytes, and the sums of what was coded and decoded.
type Reference = (&'static str, Vec<i16>, [u8; 8], &'static str, &'static str);

/// A second of sound (or 16000 bytes at random), what G.722 makes of it, and what it makes of that.
///
/// The sums are SHA-256 of what ffmpeg 5.1.9's own codec `g722` wrote for the same samples:
/// `ffmpeg -f s16le -ar 16000 -ac 1 -i IN -c:a g722 -f g722 CODED` and
/// `ffmpeg -f g722 -i CODED -f s16le OUT`. Beside each stand eight bytes from the 1001st on.
#[test]
fn g722_is_bit_exact_with_the_reference() {
    let random = noise(4, 32_768).map(|sample| (sample >> 8) as u8).take(16_000).collect();
    let sounds: [Reference; 4] = [
        (
            "noise",
            noise(1, 8000).take(16_000).collect(),
            [154, 121, 191, 184, 248, 52, 186, 251],
            "1f4d272dd6b22ce2e25b04adb58de7a755f7cd1523e2f90da4cfe39445624f57",
            "2b042755f38e12ead9eb7716dd48a8f93d788d0e4977f3fd63a7b37ae029dbdf",
        ),
        (
            "loud noise",
            noise(2, 26_000).take(16_000).collect(),
            [243, 49, 197, 166, 216, 134, 167, 236],
            "dbbee16ff758cb3fc2596e41ae80a9eebe33adf2159a232cde77d4b522927d92",
            "4a7f7ca3731b123bc671d7cd4d66e86625ef89c01ae4d158a3481f41ae74d52f",
        ),
        (
            "quiet noise",
            noise(3, 20).take(16_000).collect(),
            [119, 254, 117, 245, 252, 219, 187, 90],
            "6334c5149775d85198d74be71e182c5094a981ab7ea252ac5cdc070c4e689e8a",
            "b368d27128ed198ef4a4d7125758e4e448b408a2844766d432fc15b822b63f43",
        ),
        (
            "sweep",
            sweep(16_000).take(16_000).collect(),
            [238, 49, 22, 127, 88, 144, 127, 113],
            "b8c72bfe7443661950fc41ff40425e73499705e9b0c53f672c9f75d9adbcf990",
            "315c032dccfb1709efc11182dbd6eb3d07f372c46ffaf4571c549b6cc0ff5c35",
        ),
    ];
    for (name, sound, bytes, coded_sum, decoded_sum) in sounds {
        let coded = encode(Codec::G722, &sound).concat();
        assert_eq!((&coded[1000..1008], sha256(&coded)), (&bytes[..], coded_sum.into()), "{name}");
        assert_eq!(decoded(&coded), decoded_sum, "{name}");
    }
    let random: Vec<u8> = random;
    let sum = "249f5d415f8cb599658ecdf2aaca307b2ea60169456d3be4bf987da9a96fec48";
    assert_eq!(sha256(&random), sum);
    let sum = "62149ac596597cf10623031a868f08096fa966980a5cf68fa05925b9804b9de3";
    assert_eq!(decoded(&random), sum);
}

/// The sum of what G.722 decodes.
fn decoded(coded: &[u8]) -> String {
    let sound = decode(Codec::G722, coded.chunks(160));
    sha256(sound.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>())
}

#[test]
fn silence_is_silent_whatever_came_before() {
    for codec in built_in() {
        let mut encoder = Encoder::new(codec).unwrap();
        let mut decoder = Decoder::new(codec).unwrap();
        let mut sound = Vec::new();
        let mut loud = noise(5, 20_000);
        for _ in 0..25 {
            let frame: Vec<i16> = loud.by_ref().take(encoder.rate().samples()).collect();
            let mut payload = [0; PAYLOAD_MAX];
            let length = encoder.encode(&frame, &mut payload);
            assert!(decoder.decode(&payload[..length], &mut sound));
        }
        assert!(rms(&sound) > 2000.0, "{codec:?}: {}", rms(&sound));
        // What sounded before may fade in the first packet. Then −58 dBFS: what G.722 keeps is an
        // offset and its image at 8 kHz.
        for limit in [f64::MAX, 40.0, 40.0] {
            sound.clear();
            assert!(decoder.decode(silence(codec), &mut sound));
            assert_eq!(sound.len(), decoder.rate().samples());
            assert!(rms(&sound) < limit, "{codec:?}: {}", rms(&sound));
        }
        let mut sound = Vec::new();
        assert!(Decoder::new(codec).unwrap().decode(silence(codec), &mut sound));
        assert!(sound.iter().all(|sample| sample.abs() <= 8), "{codec:?}");
    }
    assert_eq!(silence(Codec::Opus).is_empty(), !Codec::Opus.is_built_in());
}

#[test]
fn what_is_not_built_in_is_not_made() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus] {
        assert_eq!(Decoder::new(codec).is_some(), codec.is_built_in());
        assert_eq!(Encoder::new(codec).is_some(), codec.is_built_in());
        assert_eq!(whole(codec, &[0; 161]).len(), if codec.is_built_in() { 2 } else { 0 });
        if let (Some(decoder), Some(encoder)) = (Decoder::new(codec), Encoder::new(codec)) {
            assert_eq!((decoder.rate(), encoder.rate()), (codec.rate(), codec.rate()));
        }
    }
}

#[test]
fn empty_and_endless_packets_are_damaged() {
    for codec in built_in() {
        let mut decoder = Decoder::new(codec).unwrap();
        let mut sound = vec![7];
        assert!(!decoder.decode(&[], &mut sound));
        assert!(!decoder.decode(&[0x55; PACKET_MAX + 1], &mut sound));
        assert_eq!(sound, [7]);
    }
}

#[test]
fn g711_and_g722_have_no_means_against_loss() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let mut sound = Vec::new();
        assert!(!Decoder::new(codec).unwrap().lost(Some(silence(codec)), &mut sound));
        assert!(sound.is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(
        packets in proptest::collection::vec(
            (proptest::collection::vec(0u8..=255, 0..400), proptest::bool::ANY), 1..12),
    ) {
        for codec in built_in() {
            let mut decoder = Decoder::new(codec).unwrap();
            for (packet, is_lost) in &packets {
                let mut sound = vec![1, 2, 3];
                let is_good = if *is_lost {
                    decoder.lost(Some(packet), &mut sound)
                } else {
                    decoder.decode(packet, &mut sound)
                };
                proptest::prop_assert_eq!(&sound[..3], &[1, 2, 3]);
                proptest::prop_assert_eq!(is_good, sound.len() > 3);
                proptest::prop_assert!(sound.len() <= 3 + 200 * 16);
            }
        }
    }
}
