//! The half-band filter: what it lets pass, what it keeps out, how long it takes.

use super::*;

const BOTH: [(Rate, Rate); 2] = [(Rate::Narrow, Rate::Wide), (Rate::Wide, Rate::Narrow)];

fn resample(from: Rate, to: Rate, sound: &[i16]) -> Vec<i16> {
    let mut out = Vec::new();
    Resampler::new(from, to).run(sound, &mut out);
    out
}

/// The level of a tone after the filter, dB.
fn level(from: Rate, to: Rate, hertz: f64) -> f64 {
    let sound = tone(from, hertz, 16_000.0, from.samples() * 50);
    let out = resample(from, to, &sound);
    decibels(rms(&out[to.samples()..]), 16_000.0 / 2f64.sqrt())
}

#[test]
fn the_telephones_band_passes_unchanged() {
    for (from, to) in BOTH {
        for hertz in (100..=3400).step_by(100) {
            let level = level(from, to, f64::from(hertz));
            assert!(level.abs() < 0.01, "{from:?} {hertz} Hz: {level} dB");
        }
    }
}

#[test]
fn what_would_fold_is_kept_out() {
    for hertz in (4600..8000).step_by(200) {
        let level = level(Rate::Wide, Rate::Narrow, f64::from(hertz));
        assert!(level < -70.0, "{hertz} Hz: {level} dB");
    }
}

/// Upwards, the mirror of each tone above 4 kHz.
#[test]
fn no_mirror_image_arises() {
    for hertz in [300.0, 1000.0, 2000.0, 3400.0] {
        let sound = tone(Rate::Narrow, hertz, 16_000.0, 8000);
        let out = resample(Rate::Narrow, Rate::Wide, &sound);
        // What is left when the tone, delayed by 31 samples, is taken away.
        let step = std::f64::consts::TAU * hertz / 16_000.0;
        let rest = out.iter().enumerate().skip(320).map(|(n, sample)| {
            let ideal = (step * (n as f64 - 31.0)).sin() * 16_000.0;
            (f64::from(*sample) - ideal) as i16
        });
        let level = decibels(rms(&rest.collect::<Vec<_>>()), 16_000.0 / 2f64.sqrt());
        assert!(level < -60.0, "{hertz} Hz: {level} dB");
    }
}

#[test]
fn the_delay_is_as_stated() {
    let mut click = vec![0; 640];
    click[100] = 16_384;
    for ((from, to), place) in BOTH.into_iter().zip([2 * 100 + 31, 100 / 2 + 15]) {
        let out = resample(from, to, &click);
        let peak = (0..out.len()).max_by_key(|n| out[*n].abs()).unwrap();
        assert_eq!(peak, place, "{from:?}");
        // Symmetric: no phase is bent.
        (1..15).for_each(|n| assert_eq!(out[peak - n], out[peak + n], "{from:?} {n}"));
    }
}

#[test]
fn full_scale_is_clipped_and_never_wraps() {
    for (from, to) in BOTH {
        let square: Vec<i16> =
            (0..3200).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let out = resample(from, to, &square);
        // One plateau of the square is 80 or 20 samples long there; in its middle the sign holds.
        let length = 40 * to.samples() / from.samples();
        let delay = if to == Rate::Wide { 31 } else { 15 };
        for (n, plateau) in out[delay..].chunks_exact(length).enumerate() {
            let middle = plateau[length / 2];
            assert_eq!(middle > 0, n % 2 == 0, "{from:?} {n}: {middle}");
            assert!(middle.unsigned_abs() > 29_000, "{from:?} {n}: {middle}");
        }
        assert_eq!(resample(from, to, &[i16::MIN; 640])[300], i16::MIN);
    }
}

#[test]
fn the_same_rate_is_left_alone() {
    let sound: Vec<i16> = noise(1, 30_000).take(777).collect();
    for rate in [Rate::Narrow, Rate::Wide] {
        assert_eq!(resample(rate, rate, &sound), sound);
    }
}

proptest::proptest! {
    #[test]
    fn pieces_make_the_same_as_the_whole(
        cuts in proptest::collection::vec(0usize..700, 0..12),
        seed in 0u32..1000,
    ) {
        let sound: Vec<i16> = noise(seed, 32_768).take(2000).collect();
        for (from, to) in BOTH {
            let mut resampler = Resampler::new(from, to);
            let (mut rest, mut out) = (&sound[..], Vec::new());
            for cut in &cuts {
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                resampler.run(piece, &mut out);
                rest = left;
            }
            resampler.run(rest, &mut out);
            proptest::prop_assert_eq!(out, resample(from, to, &sound));
        }
    }
}
