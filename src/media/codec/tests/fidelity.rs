//! A tone that goes in comes out, through every pair of codecs.

use super::*;

/// How a steady tone came through.
struct Heard {
    hertz: f64,
    decibels: f64,
}

/// Measures a tone near `hertz`: its amplitude by correlation, its frequency by how far its phase
/// moves from the first half to the second.
fn hear(sound: &[i16], rate: Rate, hertz: f64, amplitude: f64) -> Heard {
    let half = sound.len() / 2;
    let correlate = |hertz: f64, from: usize, length: usize| {
        let step = std::f64::consts::TAU * hertz / samples_per_second(rate);
        let terms = sound[from..from + length].iter().enumerate().map(|(n, sample)| {
            // Hann's window keeps what is not the tone out.
            let window = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / length as f64).cos();
            let (angle, sample) = (step * (from + n) as f64, f64::from(*sample) * window);
            (sample * angle.cos(), sample * angle.sin())
        });
        terms.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
    };
    let ((a, b), (c, d)) = (correlate(hertz, 0, half), correlate(hertz, half, half));
    let turn = (a * d - b * c).atan2(a * c + b * d);
    let seconds = half as f64 / samples_per_second(rate);
    let hertz = hertz - turn / std::f64::consts::TAU / seconds;
    let (re, im) = correlate(hertz, 0, sound.len());
    let level = 4.0 * re.hypot(im) / sound.len() as f64;
    Heard { hertz, decibels: decibels(level, amplitude) }
}

/// Where Opus begins to cut what it thinks nobody hears, Hz.
const OPUS_TOP: f64 = 5000.0;

/// Where a codec's pass-band ends, Hz.
fn top(codec: Codec) -> f64 {
    match codec {
        Codec::Pcmu | Codec::Pcma => 3400.0,
        Codec::G722 => 7000.0,
        Codec::Opus => OPUS_TOP,
    }
}

/// A second of a tone, coded by `from`, brought to `to`, and decoded.
fn through(from: Codec, to: Codec, hertz: f64, amplitude: f64) -> Vec<i16> {
    let sound = tone(from.rate(), hertz, amplitude, from.rate().samples() * 60);
    let mut transcoder = Transcoder::new(from, to);
    let payloads = encode(from, &sound).into_iter().map(|mut payload| match &mut transcoder {
        Some(transcoder) => {
            let mut out = [0; PAYLOAD_MAX];
            let length = transcoder.run(&payload, &mut out).unwrap();
            out[..length].to_vec()
        }
        None => {
            if let (Some(from), Some(to)) = (from.law(), to.law()) {
                g711::convert(from, to, &mut payload);
            }
            payload
        }
    });
    let payloads: Vec<Vec<u8>> = payloads.collect();
    let sound = decode(to, payloads.iter().map(Vec::as_slice));
    assert_eq!(sound.len(), to.rate().samples() * 60);
    sound[to.rate().samples() * 10..].to_vec()
}

#[test]
fn the_measure_measures() {
    for rate in [Rate::Narrow, Rate::Wide] {
        let heard = hear(&tone(rate, 1000.4, 4000.0, rate.samples() * 50), rate, 1000.0, 8000.0);
        assert!((heard.hertz - 1000.4).abs() < 0.01, "{}", heard.hertz);
        assert!((heard.decibels + 6.02).abs() < 0.05, "{}", heard.decibels);
    }
}

#[test]
fn a_tone_keeps_its_frequency_and_level_through_every_pair_of_codecs() {
    for from in built_in() {
        for to in built_in() {
            let top = top(from).min(top(to));
            let tones = [300.0, 440.0, 1004.0, 2100.0, 3400.0, 5000.0, 6600.0];
            for hertz in tones.into_iter().filter(|hertz| *hertz <= top) {
                let sound = through(from, to, hertz, 8000.0);
                let heard = hear(&sound, to.rate(), hertz, 8000.0);
                let name = format!("{from:?} to {to:?}: {hertz} Hz");
                assert!((heard.hertz - hertz).abs() <= 1.0, "{name}: {} Hz", heard.hertz);
                // A codec of speech: it shapes a lone tone a little.
                let limit = if [from, to].contains(&Codec::Opus) { 1.0 } else { 0.5 };
                assert!(heard.decibels.abs() <= limit, "{name}: {} dB", heard.decibels);
            }
        }
    }
}

#[test]
fn what_a_narrow_codec_cannot_carry_does_not_come_back_as_another_tone() {
    for to in [Codec::Pcmu, Codec::Pcma] {
        for hertz in [4600.0, 5500.0, 7000.0] {
            let sound = through(Codec::G722, to, hertz, 8000.0);
            let alias = hear(&sound, Rate::Narrow, 8000.0 - hertz, 8000.0).decibels;
            assert!(alias < -55.0, "{to:?} {hertz} Hz: {alias} dB");
        }
    }
}

/// Whoever joins G.722 in the middle (a prompt after another, music where it was left) hears the
/// same as the others soon after, and never louder. A sweep is the hardest: both predictors lean on
/// all of their memory, which fades by half in 20 ms.
#[test]
fn a_g722_decoder_that_joins_late_catches_up() {
    let noise: Vec<i16> = noise(3, 10_000).take(16_000).collect();
    let sweep: Vec<i16> = sweep(10_000).take(16_000).collect();
    // Milliseconds after joining, and the error in dB of the sound.
    let noise = (noise, [(0, 0.0), (20, -8.0), (100, -30.0), (200, -50.0)]);
    let sweep = (sweep, [(0, 0.5), (20, 0.5), (200, -30.0), (300, -50.0)]);
    for (sound, limits) in [noise, sweep] {
        let coded = encode(Codec::G722, &sound).concat();
        let whole = decode(Codec::G722, coded.chunks(160));
        for start in [1600, 3200, 4960] {
            let late = decode(Codec::G722, coded[start..].chunks(160));
            for (ms, limit) in limits {
                let (from, length) = (ms * 16, 320);
                let pairs = late[from..from + length].iter().zip(&whole[2 * start + from..]);
                let error: Vec<i16> = pairs.map(|(a, b)| a.saturating_sub(*b)).collect();
                let level = decibels(rms(&error), rms(&whole[2 * start..]));
                assert!(level < limit, "{level} dB, {ms} ms after {start}");
            }
        }
    }
}
