use std::f32::consts::TAU;

use super::*;
use crate::media::dtmf::tone::Tone;
use crate::media::g711::{self, Law};

const MS: usize = 8;

/// What the detector hears in the samples, after a passage through µ-law.
fn heard(samples: &[i16]) -> String {
    let mut keys = String::new();
    let through = |s: i16| g711::decode(Law::Mu, g711::encode(Law::Mu, s));
    Detector::new().hear(samples, through, |key| keys.push(key.char()));
    keys
}

/// A generator for noise; the same every time.
struct Noise(u32);

impl Noise {
    /// −1–1, even.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }

    /// Nearly normal, with a variance of 1.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.next()).sum::<f32>() / 2.0
    }
}

/// Silence, a tone, silence; `shift` moves it against the detector's looks.
fn tone(mut tone: Tone, length: usize, shift: usize) -> Vec<i16> {
    let mut out = vec![0; 50 * MS + shift];
    out.extend((0..length).map(|_| tone.sample()));
    out.extend(vec![0; 60 * MS]);
    out
}

fn pair(digit: char, levels: (f32, f32), off: (f32, f32)) -> Tone {
    let (row, column) = tone::place(Digit::from_char(digit).unwrap());
    Tone::of(LOW[row] * (1.0 + off.0), levels.0, HIGH[column] * (1.0 + off.1), levels.1)
}

/// Every key at several shifts.
fn check(name: &str, is_heard: bool, samples: impl Fn(char, usize) -> Vec<i16>) {
    for digit in "0123456789*#ABCD".chars() {
        for shift in (0..HOP).step_by(7) {
            let wanted = if is_heard { digit.to_string() } else { String::new() };
            assert_eq!(heard(&samples(digit, shift)), wanted, "{name}: {digit} at {shift}");
        }
    }
}

#[test]
fn every_key_is_heard_once() {
    for length in [40, 41, 50, 70, 100, 500, 3000] {
        check(&format!("{length} ms"), true, |d, shift| {
            tone(pair(d, (-9.0, -7.0), (0.0, 0.0)), length * MS, shift)
        });
    }
}

#[test]
fn short_tones_are_not_keys() {
    for length in [10, 15, 20, 23] {
        check(&format!("{length} ms"), false, |d, shift| {
            tone(pair(d, (-9.0, -7.0), (0.0, 0.0)), length * MS, shift)
        });
    }
}

#[test]
fn levels_and_twist() {
    for (levels, is_heard) in [
        ((-3.0, -3.0), true),
        ((-24.0, -24.0), true),
        ((-15.0, -11.0), true),
        ((-15.0, -10.0), true),
        ((-11.0, -19.0), true),
        ((-30.0, -30.0), false),
        ((-10.0, -30.0), false),
        ((-25.0, -10.0), false),
    ] {
        check(&format!("{levels:?}"), is_heard, |d, shift| {
            tone(pair(d, levels, (0.0, 0.0)), 40 * MS, shift)
        });
    }
}

#[test]
fn frequencies() {
    for (off, is_heard) in [
        ((0.015, 0.015), true),
        ((-0.015, 0.015), true),
        ((0.015, -0.015), true),
        ((-0.015, -0.015), true),
        ((0.035, 0.0), false),
        ((-0.035, 0.0), false),
        ((0.0, 0.035), false),
        ((0.0, -0.035), false),
    ] {
        check(&format!("{off:?}"), is_heard, |d, shift| {
            tone(pair(d, (-9.0, -7.0), off), 50 * MS, shift)
        });
    }
}

#[test]
fn frequencies_with_twist() {
    for levels in [(-8.0, -16.0), (-14.0, -9.0)] {
        for off in [(0.015, -0.015), (-0.015, 0.015)] {
            check(&format!("{levels:?} {off:?}"), true, |d, shift| {
                tone(pair(d, levels, off), 40 * MS, shift)
            });
        }
    }
}

#[test]
fn noise_of_fifteen_decibels_below() {
    let mut noise = Noise(5);
    let mut missed = 0;
    for n in 0..1000usize {
        let digit = char::from(b"0123456789*#ABCD"[n % 16]);
        let samples = tone(pair(digit, (-12.0, -12.0), (0.0, 0.0)), 50 * MS, n % HOP);
        // The two tones have 0 dB re their sum at −9 dBm0: noise of −24 dBm0.
        let level = AMPLITUDE_0DBM0 / 2f32.sqrt() * 10f32.powf(-24.0 / 20.0);
        let noisy: Vec<i16> =
            samples.iter().map(|s| (f32::from(*s) + level * noise.normal()) as i16).collect();
        missed += usize::from(heard(&noisy) != digit.to_string());
    }
    assert!(missed <= 2, "{missed} of 1000 missed");
}

#[test]
fn pauses_part_and_breaks_do_not() {
    let with_gap = |gap: usize| {
        let mut one = pair('6', (-9.0, -7.0), (0.0, 0.0));
        let mut out = vec![0; 37];
        out.extend((0..60 * MS).map(|_| one.sample()));
        out.extend(vec![0; gap * MS]);
        out.extend((0..60 * MS).map(|_| one.sample()));
        out.extend(vec![0; 60 * MS]);
        heard(&out)
    };
    assert_eq!(with_gap(5), "6");
    assert_eq!(with_gap(10), "6");
    for gap in [35, 40, 60, 100] {
        assert_eq!(with_gap(gap), "66", "{gap} ms");
    }
    // A number dialed fast: 50 ms on, 50 ms off.
    let dialed: Vec<i16> = "0570022282"
        .chars()
        .flat_map(|d| {
            let mut t = pair(d, (-9.0, -7.0), (0.0, 0.0));
            let on: Vec<i16> = (0..50 * MS).map(|_| t.sample()).collect();
            [on, vec![0; 50 * MS]].concat()
        })
        .collect();
    assert_eq!(heard(&dialed), "0570022282");
}

#[test]
fn a_lost_packet_does_not_double_a_key() {
    for phase in 0..20 {
        let mut samples = tone(pair('3', (-9.0, -7.0), (0.0, 0.0)), 300 * MS, phase * 11);
        samples.drain(150 * MS + phase * 13..170 * MS + phase * 13);
        assert_eq!(heard(&samples), "3");
    }
}

#[test]
fn one_tone_alone_is_no_key() {
    for hz in [400.0, 697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0] {
        assert_eq!(heard(&tone(Tone::of(hz, -7.0, hz, -90.0), 1000 * MS, 0)), "", "{hz}");
    }
    // Ringback and dial tone.
    assert_eq!(heard(&tone(Tone::of(400.0, -10.0, 415.0, -10.0), 1000 * MS, 0)), "");
    assert_eq!(heard(&tone(Tone::of(350.0, -10.0, 440.0, -10.0), 1000 * MS, 0)), "");
}

/// Five minutes of something like voices: a pulse train whose pitch glides, through resonances that
/// move as those of vowels do, with consonants of noise and pauses.
fn speech(seed: u32, pitch: f32, length: usize) -> Vec<i16> {
    let mut chance = Noise(seed);
    let mut out = Vec::with_capacity(length);
    let (mut phase, mut state) = (0.0f32, [[0.0f32; 2]; 4]);
    while out.len() < length {
        let vowel = [
            (300.0 + 500.0 * (chance.next() + 1.0) / 2.0, 60.0),
            (900.0 + 1400.0 * (chance.next() + 1.0) / 2.0, 80.0),
            (2400.0 + 300.0 * chance.next(), 120.0),
            (3300.0, 200.0),
        ];
        let steady = (chance.next() + 1.0) * 1500.0;
        let glide = 1.0 + 0.15 * chance.next() * (chance.next() > 0.0) as u8 as f32;
        let (from, to) = (pitch * (1.0 + 0.3 * chance.next()), glide);
        let voiced = chance.next() > -0.6;
        let loud = 400.0 + 2500.0 * (chance.next() + 1.0);
        let n = 300 + steady as usize;
        for i in 0..n {
            let hz = from * (1.0 + (to - 1.0) * i as f32 / n as f32);
            phase += hz / 8000.0;
            let source =
                if voiced { if phase >= 1.0 { 1.0 } else { 0.0 } } else { 0.2 * chance.next() };
            phase %= 1.0;
            let mut sample = 0.0;
            for ((hz, band), s) in vowel.iter().zip(&mut state) {
                let r = (-std::f32::consts::PI * band / 8000.0).exp();
                let y = source + 2.0 * r * (TAU * hz / 8000.0).cos() * s[0] - r * r * s[1];
                (s[1], s[0]) = (s[0], y);
                sample += y;
            }
            out.push((sample * loud).clamp(-30_000.0, 30_000.0) as i16);
        }
        out.extend(vec![0; (600.0 * (chance.next() + 1.0)) as usize]);
    }
    out
}

#[test]
fn voices_press_no_keys() {
    let mut keys = String::new();
    for (seed, pitch) in [(1, 95.0), (2, 120.0), (3, 150.0), (4, 190.0), (5, 230.0), (6, 300.0)] {
        keys += &heard(&speech(seed, pitch, 60 * 8000));
    }
    assert_eq!(keys, "", "in six minutes");
}

#[test]
fn a_key_behind_a_voice_is_heard() {
    let mut samples = speech(9, 140.0, 8000);
    samples.extend(tone(pair('8', (-9.0, -7.0), (0.0, 0.0)), 60 * MS, 0));
    assert_eq!(heard(&samples), "8");
}

#[test]
fn noise_presses_no_keys() {
    let mut noise = Noise(77);
    let samples: Vec<i16> = (0..60 * 8000).map(|_| (3000.0 * noise.normal()) as i16).collect();
    assert_eq!(heard(&samples), "");
}

/// The prompts of the repository, when they are there: the caller's phone may send them back.
#[test]
fn prompts_press_no_keys() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "wav") {
            let clip = crate::media::prompt::Clip::from_wav(&std::fs::read(&path).unwrap());
            assert_eq!(heard(clip.unwrap().pcm()), "", "{}", path.display());
        }
    }
}
