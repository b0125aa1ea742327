use super::*;
use hound::{SampleFormat, WavSpec, WavWriter};

/// A WAV file with a tone of 440 Hz and a second of silence on either side.
fn wav(spec: WavSpec, amplitude: f32) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    let rate = spec.sample_rate;
    for i in 0..3 * rate {
        let is_sound = (rate..2 * rate).contains(&i);
        let t = i as f32 / rate as f32;
        let sample = (std::f32::consts::TAU * 440.0 * t).sin() * amplitude;
        let sample = if is_sound { sample } else { 0.0 };
        for _ in 0..spec.channels {
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(sample).unwrap(),
                SampleFormat::Int => {
                    let full = 2f64.powi(i32::from(spec.bits_per_sample) - 1) - 1.0;
                    writer.write_sample((f64::from(sample) * full) as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn spec(sample_rate: u32, bits_per_sample: u16, channels: u16) -> WavSpec {
    let sample_format = if bits_per_sample == 33 { SampleFormat::Float } else { SampleFormat::Int };
    WavSpec { channels, sample_rate, bits_per_sample: bits_per_sample.min(32), sample_format }
}

fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (sum / samples.len() as f64).sqrt() / 32_768.0
}

/// The frequency by counting upward crossings of zero.
fn frequency(samples: &[i16]) -> f64 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let ups = middle.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
    ups as f64 * 8000.0 / middle.len() as f64
}

#[test]
fn canonical_files_are_taken_as_they_are() {
    let bytes = wav(spec(8000, 16, 1), 0.5);
    let clip = Clip::from_wav(&bytes).unwrap();
    assert_eq!(clip.duration(), Duration::from_secs(3));
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let law = codec.law().unwrap();
        assert_eq!(clip.encoded(codec).len(), clip.pcm().len());
        let same = clip.pcm().iter().map(|s| g711::encode(law, *s));
        assert!(same.eq(clip.encoded(codec).iter().copied()));
    }
}

#[test]
fn other_files_are_refused_with_what_they_are() {
    for (rate, bits, channels) in [(16_000, 16, 1), (8000, 8, 1), (8000, 16, 2)] {
        let error = Clip::from_wav(&wav(spec(rate, bits, channels), 0.5)).unwrap_err();
        assert_eq!(error, Error::NotCanonical { rate, bits, channels });
    }
    assert!(matches!(Clip::from_wav(b"no wave"), Err(Error::Malformed(_))));
    assert!(matches!(Clip::from_wav(b""), Err(Error::Malformed(_))));
    assert_eq!(Clip::from_pcm(vec![0; SAMPLES_MAX + 1]), Err(Error::TooLong));
}

#[test]
fn any_wav_is_brought_to_our_form() {
    for rate in [8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
        for (bits, channels) in [(8, 1), (16, 2), (24, 1), (32, 2), (33, 1)] {
            if rate == 8000 || bits == 16 {
                let name = format!("{rate} Hz, {bits} bit, {channels}");
                let samples = import(&wav(spec(rate, bits, channels), 0.05)).unwrap();
                // The second of tone and its margins.
                assert!(samples.len().abs_diff(8000 + 800) < 120, "{name}: {}", samples.len());
                assert!((frequency(&samples) - 440.0).abs() < 3.0, "{name}");
                assert!((rms(&samples) - 0.1).abs() < 0.003, "{name}: {}", rms(&samples));
            }
        }
    }
}

#[test]
fn loud_files_become_quieter_and_peaks_stay_below() {
    let samples = import(&wav(spec(8000, 16, 1), 1.0)).unwrap();
    assert!((rms(&samples) - 0.1).abs() < 0.003);
    // One click in near silence: the peak limits the gain.
    let mut bytes = Cursor::new(vec![]);
    let mut writer = WavWriter::new(&mut bytes, spec(8000, 16, 1)).unwrap();
    for i in 0..8000 {
        writer.write_sample(if i % 800 == 0 { 30_000i16 } else { 400 }).unwrap();
    }
    writer.finalize().unwrap();
    let samples = import(&bytes.into_inner()).unwrap();
    let peak = samples.iter().map(|s| s.abs()).max().unwrap();
    assert!((23_000..=23_198).contains(&peak), "{peak}");
}

/// The resampler can't reckon with the largest numbers.
#[test]
fn numbers_out_of_all_reason_are_survived() {
    for loud in [1e38_f32, f32::MAX, f32::INFINITY, f32::NAN, -1e30] {
        let samples: Vec<f32> = (0..8000).map(|n| if n % 2 == 0 { loud } else { 0.1 }).collect();
        let heard = import::form(samples, 44_100).unwrap();
        assert!(heard.iter().all(|sample| sample.unsigned_abs() < 24_000), "{loud}");
    }
}

#[test]
fn telephone_wavs_are_read() {
    for (tag, codec) in [(6u16, Codec::Pcma), (7, Codec::Pcmu)] {
        let clip = Clip::from_wav(&wav(spec(8000, 16, 1), 0.1)).unwrap();
        let data = clip.encoded(codec);
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x12\0\0\0".to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend([1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0, 0, 0]);
        bytes.extend(b"data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        let samples = import(&bytes).unwrap();
        assert!((frequency(&samples) - 440.0).abs() < 3.0);
    }
}

#[test]
fn what_cannot_be_imported_says_why() {
    assert_eq!(import(&wav(spec(8000, 16, 1), 0.0)), Err(Error::Silent));
    assert!(matches!(import(&wav(spec(96_000, 16, 1), 0.1)), Err(Error::Unsupported(_))));
    for bytes in [&b""[..], b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x07\0"] {
        assert!(matches!(import(bytes), Err(Error::Malformed(_))), "{bytes:?}");
    }
}

/// A clip of a tone of 1000 Hz, a whole number of its periods long.
fn tone(samples: usize) -> Clip {
    let sample = |n: usize| (std::f32::consts::TAU * n as f32 / 8.0).sin() * 8000.0;
    Clip::from_pcm((0..samples).map(|n| sample(n) as i16).collect::<Vec<_>>()).unwrap()
}

/// The payloads of a player that plays these, and the last of them over and over.
fn played(library: &Library, codec: Codec, names: &[&str], payloads: usize) -> Vec<Vec<u8>> {
    let (music, names) = names.split_last().unwrap();
    let names: Vec<Prompt> = names.iter().map(|name| Prompt::from(*name)).collect();
    let mut places = player::Places::default();
    let music = Prompt::from(*music);
    let mut player = player::Player::new(library, &names, Some(&music), &mut places);
    let payload = |_| {
        let mut out = [0x11; 160];
        let length = player.fill(codec, &mut out);
        out[..length].to_vec()
    };
    (0..payloads).map(payload).collect()
}

#[test]
fn a_clip_in_g722_has_a_byte_for_each_sample() {
    for samples in [1, 159, 160, 8000, 8001] {
        let clips = [(Prompt::from("a"), tone(samples))];
        let library = Library::from_clips(clips).prepared(&BTreeSet::from([Codec::G722]));
        let clip = library.clip(&"a".into()).unwrap();
        assert_eq!(clip.encoded(Codec::G722).len(), samples);
        assert_eq!(clip.packets().len(), 0);
    }
}

/// The decoder hears one stream, whatever clips it is made of.
#[test]
fn music_in_g722_goes_round_without_a_seam() {
    let library = Library::from_clips([(Prompt::from("hold"), tone(8000))]);
    let library = library.prepared(&BTreeSet::from([Codec::G722]));
    let payloads = played(&library, Codec::G722, &["hold"], 150);
    let mut decoder = codec::Decoder::new(Codec::G722).unwrap();
    let mut sound = Vec::new();
    payloads.iter().for_each(|payload| assert!(decoder.decode(payload, &mut sound)));
    // A period is 16 samples: where the tone goes on, hardly anything is left of the difference.
    // At a click of its full height it would be more than all.
    let rest: Vec<i16> = sound[4800..].windows(17).map(|w| w[16].saturating_sub(w[0])).collect();
    let worst = rest.chunks(800).map(rms).fold(0.0, f64::max) / rms(&sound[4800..]);
    assert!(worst < 0.05, "{worst}");
}

#[test]
fn clips_follow_each_other_without_a_gap_but_for_packets() {
    let clips = [(Prompt::from("a"), tone(250)), (Prompt::from("b"), tone(8000))];
    let prepared = BTreeSet::from([Codec::G722, Codec::Opus]);
    let library = Library::from_clips(clips).prepared(&prepared);
    let clip = |name: &str| library.clip(&name.into()).unwrap();
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let all = [clip("a").encoded(codec), clip("b").encoded(codec)].concat();
        assert_eq!(played(&library, codec, &["a", "b"], 50).concat(), all[..8000]);
    }
    if Codec::Opus.is_built_in() {
        let all = [clip("a").packets(), clip("b").packets(), clip("b").packets()].concat();
        let all: Vec<Vec<u8>> = all.into_iter().map(Vec::from).collect();
        assert_eq!(all.len(), 2 + 50 + 50);
        assert_eq!(played(&library, Codec::Opus, &["a", "b"], 102), all);
    }
}

/// As for a leg that speaks what no trunk or counselor of the configuration does.
#[test]
fn what_was_not_prepared_is_as_long_but_silent() {
    let library = Library::from_clips([(Prompt::from("a"), tone(400)), ("b".into(), tone(160))]);
    let names = ["a".into(), "b".into()];
    for codec in [Codec::G722, Codec::Opus, Codec::Pcmu] {
        let mut places = player::Places::default();
        let mut player = player::Player::new(&library, &names, None, &mut places);
        let mut out = [0x11; 160];
        for _ in 0..4 {
            assert!(!player.has_ended());
            player.fill(codec, &mut out);
        }
        assert!(player.has_ended(), "{codec:?}");
        assert_eq!(out == [0x11; 160], codec != Codec::Pcmu, "{codec:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    #[test]
    fn any_bytes_are_survived(at in 0usize..60, byte in 0u8..=255, cut in 0usize..4000) {
        let mut bytes = wav(spec(8000, 16, 1), 0.5);
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut);
        // An error or samples; never a panic.
        drop(import(&bytes));
        drop(Clip::from_wav(&bytes));
        drop(import(&bytes[at..]));
    }
}
