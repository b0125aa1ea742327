//! Tones: made, coded as µ-law, kept as WAV, and found again by Goertzel's filter.
//!
//! Owns the tests' own arithmetic, so that nothing of the program judges itself.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Samples a second.
pub(crate) const RATE: u32 = 8_000;
/// The amplitude of each tone that is made.
const AMPLITUDE: f64 = 8_000.0;
/// Samples of one window of the judgment: 100 ms, so that tones 50 Hz apart are told apart.
const WINDOW: usize = 800;
/// A window counts as a tone when the tone has this share of its power: 6 dB above all else.
const SHARE: f64 = 0.8;
/// A tone is in a mixture when it has this share of a window's power.
const PART: f64 = 1.0 / 6.0;
/// A quieter window is silence: about -40 dB of full scale.
const QUIET: f64 = 230.0;

/// `length` of a tone.
pub(crate) fn sine(hz: u32, length: Duration) -> Vec<i16> {
    let samples = (length.as_secs_f64() * f64::from(RATE)) as u32;
    (0..samples).map(|n| sample(&[hz], n)).collect()
}

/// Sample `n` of tones that sound together.
pub(crate) fn sample(tones: &[u32], n: u32) -> i16 {
    let sum: f64 =
        tones.iter().map(|hz| (TAU * f64::from(*hz) * f64::from(n) / f64::from(RATE)).sin()).sum();
    (sum * AMPLITUDE) as i16
}

/// G.711 µ-law, by its definition.
pub(crate) fn to_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = (31 - magnitude.leading_zeros() as i32) - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// And back.
pub(crate) fn from_ulaw(code: u8) -> i16 {
    let code = !code;
    let (exponent, mantissa) = (i32::from(code >> 4) & 7, i32::from(code) & 0x0f);
    let magnitude = (((mantissa << 3) + 132) << exponent) - 132;
    (if code & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

/// The share of a window's power that is this tone: 1 for a pure one.
pub(crate) fn share(window: &[i16], hz: u32) -> f64 {
    let coefficient = 2.0 * (TAU * f64::from(hz) / f64::from(RATE)).cos();
    let (mut s1, mut s2, mut energy) = (0.0, 0.0, 0.0);
    for sample in window {
        let x = f64::from(*sample);
        (s1, s2) = (x + coefficient * s1 - s2, s1);
        energy += x * x;
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    if energy == 0.0 { 0.0 } else { 2.0 * power / (window.len() as f64 * energy) }
}

/// How long the tone is heard, at least 6 dB above everything else, in windows of 100 ms.
pub(crate) fn heard(pcm: &[i16], hz: u32) -> Duration {
    let windows = pcm.chunks_exact(WINDOW);
    let good = windows.filter(|window| !is_quiet(window) && share(window, hz) > SHARE);
    Duration::from_millis(100 * good.count() as u64)
}

/// How loud the tone is where it is heard, in dB over what [`sine`] makes: the middle window's.
///
/// # Panics
/// When it is not heard.
pub(crate) fn level(pcm: &[i16], hz: u32) -> f64 {
    let windows = pcm.chunks_exact(WINDOW);
    let good = windows.filter(|window| !is_quiet(window) && share(window, hz) > SHARE);
    let mut levels: Vec<_> = good.map(|window| rms(window) / (AMPLITUDE / 2f64.sqrt())).collect();
    assert!(!levels.is_empty(), "{hz} Hz is not heard: {}", describe(pcm));
    levels.sort_by(f64::total_cmp);
    20.0 * levels[levels.len() / 2].log10()
}

/// How long the tone is among what is heard, however loud the rest.
pub(crate) fn present(pcm: &[i16], hz: u32) -> Duration {
    let windows = pcm.chunks_exact(WINDOW);
    let good = windows.filter(|window| !is_quiet(window) && share(window, hz) > PART);
    Duration::from_millis(100 * good.count() as u64)
}

fn is_quiet(window: &[i16]) -> bool {
    rms(window) < QUIET
}

fn rms(window: &[i16]) -> f64 {
    let energy: f64 = window.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    (energy / window.len() as f64).sqrt()
}

/// What is heard, for messages of failed tests: `320 Hz 1.2 s, silence 0.3 s, …`.
pub(crate) fn describe(pcm: &[i16]) -> String {
    let mut runs: Vec<(String, u64)> = Vec::new();
    for window in pcm.chunks_exact(WINDOW) {
        let best =
            (100..2_500).step_by(20).max_by(|a, b| share(window, *a).total_cmp(&share(window, *b)));
        let name = match best {
            _ if is_quiet(window) => "silence".to_owned(),
            Some(hz) if share(window, hz) > SHARE => format!("{hz} Hz"),
            _ => "a mixture".to_owned(),
        };
        match runs.last_mut() {
            Some((last, n)) if *last == name => *n += 1,
            _ => runs.push((name, 1)),
        }
    }
    let runs = runs.iter().map(|(name, n)| format!("{name} {}.{} s", n / 10, n % 10));
    runs.collect::<Vec<_>>().join(", ")
}

/// Asserts that the tone is heard for at least so long.
///
/// # Panics
/// When it is not; says what is heard instead.
pub(crate) fn assert_heard(who: &str, pcm: &[i16], hz: u32, at_least: Duration) {
    let heard = heard(pcm, hz);
    let all = describe(pcm);
    assert!(heard >= at_least, "{who} heard {hz} Hz for {heard:?}, not {at_least:?}: {all}");
}

/// Asserts that the tone is not heard: one window may err.
///
/// # Panics
/// When it is heard.
pub(crate) fn assert_not_heard(who: &str, pcm: &[i16], hz: u32) {
    let heard = heard(pcm, hz);
    assert!(heard <= Duration::from_millis(100), "{who} heard {hz} Hz: {}", describe(pcm));
}

/// Writes 8 kHz, 16-bit, mono.
pub(crate) fn write_wav(path: &Path, pcm: &[i16]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in pcm {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
}

/// Reads what a phone has recorded up to now as 8 kHz, 16-bit, mono.
pub(crate) fn read_growing(path: &Path) -> Vec<i16> {
    samples(&fs::read(path).unwrap_or_default())
}

/// Reads what a phone recorded as 8 kHz, 16-bit, mono; the lengths in its header may not be true
/// yet, since a phone writes them when it closes the file. A phone also writes behind what it hears:
/// the file is taken when it has something and grows no more, or after a while as it is.
pub(crate) fn read_recording(path: &Path) -> Vec<i16> {
    let mut bytes = fs::read(path).unwrap_or_default();
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(500));
        let before = std::mem::replace(&mut bytes, fs::read(path).unwrap_or_default()).len();
        if before == bytes.len() && before > 1_000 {
            break;
        }
    }
    samples(&bytes)
}

/// The sound of a WAV file, at 8 kHz. Of a wide one every other sample is taken: tones above 4 kHz,
/// which nobody says in the tests, would be heard as others.
fn samples(bytes: &[u8]) -> Vec<i16> {
    let Some(data) = bytes.windows(4).position(|four| four == b"data") else { return Vec::new() };
    let rate = bytes.get(24..28).map_or(RATE, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    assert!(rate.is_multiple_of(RATE), "a recording at {rate} Hz");
    let samples = bytes.get(data + 8..).unwrap_or_default().chunks_exact(2);
    let samples = samples.map(|two| i16::from_le_bytes([two[0], two[1]]));
    samples.step_by((rate / RATE) as usize).collect()
}

#[test]
fn a_tone_is_told_from_its_neighbor_silence_and_a_mixture() {
    let second = Duration::from_secs(1);
    let coded: Vec<_> = sine(500, second).into_iter().map(|s| from_ulaw(to_ulaw(s))).collect();
    assert_eq!(heard(&coded, 500), second);
    assert_eq!(heard(&coded, 560), Duration::ZERO);
    assert_eq!(heard(&[0; 8_000], 500), Duration::ZERO);
    let mixed: Vec<_> = (0..8_000).map(|n| sample(&[500, 900], n)).collect();
    assert_eq!(heard(&mixed, 500), Duration::ZERO);
    let present = [500, 900, 700].map(|hz| present(&mixed, hz));
    assert_eq!(present, [second, second, Duration::ZERO]);
    assert_eq!(describe(&coded), "500 Hz 1.0 s");
    assert!(level(&coded, 500).abs() < 0.1, "{}", level(&coded, 500));
    let half: Vec<_> = coded.iter().map(|sample| sample / 2).collect();
    assert!((level(&half, 500) + 6.0).abs() < 0.1, "{}", level(&half, 500));
}
