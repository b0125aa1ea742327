//! Bringing any recording to the form that prompts are kept in: 8 kHz, 16 bit, mono, an even
//! loudness, no silence at the ends.
//!
//! Owns the conversion, bytes in and samples out. Resampling is `rubato`'s, reading PCM `hound`'s;
//! µ-law and A-law WAV, which hound doesn't know, are read here.

use std::io::Cursor;

use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler};

use crate::media::g711::{self, Law};
use crate::media::prompt::{BYTES_MAX, Error, RATE, SAMPLES_MAX};

/// Sample rates that are taken, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 8000..=48_000;
/// Frames that the resampler takes at a time.
const CHUNK: usize = 1024;
/// Loudness that is aimed at: −20 dBFS RMS.
const RMS: f32 = 0.1;
/// Peaks stay below −3 dBFS.
const PEAK: f32 = 0.707;
/// What is this much quieter than the peak (−40 dB) counts as silence at the ends …
const QUIET: f32 = 0.01;
/// … and so does everything below −60 dBFS.
const QUIET_MIN: f32 = 0.001;
/// Samples of floating point may be louder than full scale, which is brought down, but within
/// reason (+24 dB): the resampler can't reckon with the largest numbers.
const LOUDEST: f32 = 16.0;
/// Left before and after the sound: 50 ms.
const MARGIN: usize = RATE as usize / 20;
/// Format tags of WAV.
const TAGS: [(u16, Law); 2] = [(6, Law::A), (7, Law::Mu)];

/// A recording as it was, in −1–1, channels interleaved.
struct Recording {
    rate: u32,
    channels: usize,
    samples: Vec<f32>,
}

/// Converts a WAV file (8–48 kHz; PCM of 8, 16, 24 or 32 bit, float, µ-law or A-law; any number of
/// channels up to 8) to samples at 8 kHz. Fails with what is wrong with the file.
pub fn import(bytes: &[u8]) -> Result<Vec<i16>, Error> {
    if bytes.len() > BYTES_MAX {
        return Err(Error::TooLong);
    }
    let recording = match read_g711(bytes)? {
        Some(recording) => recording,
        None => read_pcm(bytes)?,
    };
    let Recording { rate, channels, samples } = recording;
    if !RATES.contains(&rate) {
        return Err(Error::Unsupported(format!("{rate} Hz; 8000 to 48000 are taken")));
    }
    if channels == 0 || channels > 8 {
        return Err(Error::Unsupported(format!("{channels} channels; 1 to 8 are taken")));
    }
    let mono: Vec<f32> = samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().sum::<f32>() / channels as f32)
        .collect();
    form(mono, rate)
}

/// Brings the samples of one voice, −1–1, to the form that prompts are kept in. Fails when there
/// are too many, or none that can be heard.
pub fn form(mut samples: Vec<f32>, rate: u32) -> Result<Vec<i16>, Error> {
    limit(samples.len(), rate)?;
    for sample in &mut samples {
        let is_number = sample.is_finite();
        *sample = if is_number { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 };
    }
    let mut samples = resample(samples, rate)?;
    level(trim(&mut samples))
}

/// Fails when so many frames play for longer than a clip may.
fn limit(frames: usize, rate: u32) -> Result<(), Error> {
    let seconds = frames / (rate.max(1) as usize);
    if seconds * RATE as usize > SAMPLES_MAX { Err(Error::TooLong) } else { Ok(()) }
}

fn read_pcm(bytes: &[u8]) -> Result<Recording, Error> {
    let reader = hound::WavReader::new(Cursor::new(bytes))?;
    let spec = reader.spec();
    let (rate, channels) = (spec.sample_rate, usize::from(spec.channels));
    limit(reader.duration() as usize, rate)?;
    let samples = match spec.sample_format {
        hound::SampleFormat::Float => reader.into_samples::<f32>().collect::<Result<_, _>>()?,
        hound::SampleFormat::Int => {
            let full = 2f32.powi(i32::from(spec.bits_per_sample.clamp(1, 32)) - 1);
            reader
                .into_samples::<i32>()
                .map(|s| s.map(|s| s as f32 / full))
                .collect::<Result<_, _>>()?
        }
    };
    Ok(Recording { rate, channels, samples })
}

/// Reads a µ-law or A-law WAV; `None` when it is of another kind.
fn read_g711(bytes: &[u8]) -> Result<Option<Recording>, Error> {
    let malformed = |what: &str| Error::Malformed(what.to_owned());
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err(malformed("no RIFF header"));
    }
    let mut rest = &bytes[12..];
    let mut format = None;
    while let Some((head, body)) = rest.split_at_checked(8) {
        let (name, length) = head.split_at(4);
        let length = length.iter().rev().fold(0usize, |n, b| (n << 8) | usize::from(*b));
        let body = &body[..length.min(body.len())];
        match name {
            b"fmt " => {
                let [t0, t1, c0, c1, r0, r1, r2, r3, ..] = *body else {
                    return Err(malformed("the format chunk is cut short"));
                };
                let tag = u16::from_le_bytes([t0, t1]);
                let Some((_, law)) = TAGS.iter().find(|(t, _)| *t == tag) else {
                    return Ok(None);
                };
                let rate = u32::from_le_bytes([r0, r1, r2, r3]);
                format = Some((*law, rate, usize::from(u16::from_le_bytes([c0, c1]))));
            }
            b"data" => {
                let (law, rate, channels) = format.ok_or_else(|| malformed("no format"))?;
                limit(body.len() / channels.max(1), rate)?;
                let decoded = |b: &u8| f32::from(g711::decode(law, *b)) / 32_768.0;
                let samples = body.iter().map(decoded).collect();
                return Ok(Some(Recording { rate, channels, samples }));
            }
            _ => {}
        }
        // Chunks begin at even places.
        let next = 8 + length.saturating_add(length & 1);
        rest = rest.get(next..).unwrap_or_default();
    }
    Err(malformed("no samples"))
}

fn resample(samples: Vec<f32>, rate: u32) -> Result<Vec<f32>, Error> {
    if rate == RATE || samples.is_empty() {
        return Ok(samples);
    }
    let failed = |what: String| Error::Unsupported(format!("resampling from {rate} Hz: {what}"));
    let frames = samples.len();
    let mut resampler = Fft::<f32>::new(rate as usize, RATE as usize, CHUNK, 1, FixedSync::Both)
        .map_err(|e| failed(e.to_string()))?;
    let input =
        InterleavedOwned::new_from(samples, 1, frames).map_err(|e| failed(e.to_string()))?;
    let output = resampler.process_all(&input, frames, None).map_err(|e| failed(e.to_string()))?;
    Ok(output.take_data())
}

/// The part between the first and the last sound, with a margin.
fn trim(samples: &mut [f32]) -> &mut [f32] {
    let peak = samples.iter().fold(0f32, |peak, s| peak.max(s.abs()));
    let quiet = (peak * QUIET).max(QUIET_MIN);
    let is_sound = |s: &f32| s.abs() > quiet;
    let Some(first) = samples.iter().position(is_sound) else { return &mut [] };
    let last = samples.iter().rposition(is_sound).unwrap_or(first);
    let end = (last + 1 + MARGIN).min(samples.len());
    &mut samples[first.saturating_sub(MARGIN)..end]
}

/// Brings the loudness to [`RMS`], the peak allowing.
fn level(samples: &mut [f32]) -> Result<Vec<i16>, Error> {
    let peak = samples.iter().fold(0f32, |peak, s| peak.max(s.abs()));
    if samples.is_empty() || peak <= 0.0 {
        return Err(Error::Silent);
    }
    let square: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    let rms = (square / samples.len() as f64).sqrt() as f32;
    let gain = (RMS / rms).min(PEAK / peak);
    Ok(samples.iter().map(|s| (s * gain * 32_767.0).round() as i16).collect())
}
