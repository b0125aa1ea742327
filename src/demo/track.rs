//! What one side heard as one stretch of samples, and both as a WAV file.
//!
//! Owns the order of the packets in time: each stream lies where its first packet arrived and runs
//! by its RTP timestamps from there (RFC 3550 §5.1), so that the jitter of arrival is not heard.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::media::Law;
use crate::media::g711::decode;
use crate::shell::phone::audio::Heard;

/// Samples a second.
const RATE: u32 = 8000;
/// Longest track: a minute.
const LENGTH_MAX: usize = 60 * RATE as usize;
/// Samples by which a packet may be away from its moment before the stream is laid anew: 200 ms.
const ASTRAY: i64 = 1_600;

/// What one side heard, from a moment on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Track(Vec<i16>);

impl Track {
    /// Lays the packets out; sample 0 is `from`.
    pub(super) fn new(heard: &[Heard], from: Instant) -> Self {
        let mut samples = Vec::new();
        let mut anchor: Option<(u32, u32, i64)> = None;
        for packet in heard {
            let arrived = place(packet.at, from);
            let by_timestamp = anchor
                .filter(|(ssrc, ..)| *ssrc == packet.ssrc)
                .map(|(_, timestamp, at)| {
                    at + i64::from(packet.timestamp.wrapping_sub(timestamp).cast_signed())
                })
                .filter(|at| (at - arrived).abs() <= ASTRAY);
            let at = by_timestamp.unwrap_or(arrived);
            if by_timestamp.is_none() {
                anchor = Some((packet.ssrc, packet.timestamp, at));
            }
            let Ok(at) = usize::try_from(at) else { continue };
            let end = at + packet.payload.len();
            if end > LENGTH_MAX {
                continue;
            }
            if samples.len() < end {
                samples.resize(end, 0);
            }
            for (sample, byte) in samples[at..end].iter_mut().zip(&packet.payload) {
                *sample = decode(Law::Mu, *byte);
            }
        }
        Self(samples)
    }

    /// The samples between two places; fewer where the track ends.
    pub(super) fn between(&self, from: usize, to: usize) -> &[i16] {
        let end = to.min(self.0.len());
        self.0.get(from.min(end)..end).unwrap_or_default()
    }

    /// Where this recording begins in the track, if it is there from its first loud moment on, for
    /// `length` samples at least.
    pub(super) fn find(&self, recording: &[i16], length: usize) -> Option<usize> {
        let begin = recording.iter().position(|sample| sample.unsigned_abs() > 1_000)?;
        let part = recording.get(begin..begin + length)?;
        let at = self.0.windows(part.len()).position(|window| window == part)?;
        at.checked_sub(begin)
    }
}

/// The sample of a moment; negative before `from`.
pub(super) fn place(at: Instant, from: Instant) -> i64 {
    let samples = |span: std::time::Duration| {
        i64::try_from(span.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(i64::MAX)
    };
    match at.checked_duration_since(from) {
        Some(after) => samples(after),
        None => -samples(from - at),
    }
}

/// Writes both tracks as one file: stereo, 8 kHz, 16 bit.
pub(super) fn write(path: &Path, left: &Track, right: &Track) -> io::Result<()> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).map_err(plain)?;
    let sample = |track: &Track, n: usize| track.0.get(n).copied().unwrap_or(0);
    for n in 0..left.0.len().max(right.0.len()) {
        file.write_sample(sample(left, n)).map_err(plain)?;
        file.write_sample(sample(right, n)).map_err(plain)?;
    }
    file.finalize().map_err(plain)
}

fn plain(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        hound::Error::FormatError(_)
        | hound::Error::TooWide
        | hound::Error::UnfinishedSample
        | hound::Error::Unsupported
        | hound::Error::InvalidSampleFormat => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::g711::encode;

    /// Packets of a stream of this byte that arrive at these milliseconds.
    fn stream(t0: Instant, byte: u8, arrivals: &[u64]) -> Vec<Heard> {
        let packet = |(n, ms): (usize, &u64)| Heard {
            at: t0 + Duration::from_millis(*ms),
            ssrc: 7,
            timestamp: (u32::MAX - 200).wrapping_add(160 * n as u32),
            payload: vec![byte; 160],
        };
        arrivals.iter().enumerate().map(packet).collect()
    }

    #[test]
    fn jitter_leaves_no_gap() {
        let t0 = Instant::now();
        let byte = encode(Law::Mu, 5_000);
        let track = Track::new(&stream(t0, byte, &[100, 121, 139, 175, 180]), t0);
        assert_eq!(track.0.len(), 800 + 5 * 160);
        assert!(track.between(0, 800).iter().all(|s| *s == 0));
        assert!(track.between(800, 9_999).iter().all(|s| *s > 4_000));
    }

    #[test]
    fn a_stream_that_stops_and_goes_on_later_lies_where_it_arrived() {
        let t0 = Instant::now();
        let track = Track::new(&stream(t0, encode(Law::Mu, 5_000), &[0, 1_000, 1_020]), t0);
        assert!(track.between(160, 8_000).iter().all(|s| *s == 0));
        assert!(track.between(8_000, 8_320).iter().all(|s| *s > 4_000));
    }

    #[test]
    fn what_came_before_or_far_too_late_is_left_out() {
        let t0 = Instant::now();
        let early = stream(t0, 0, &[0]);
        assert_eq!(Track::new(&early, t0 + Duration::from_secs(1)), Track::default());
        assert_eq!(Track::new(&stream(t0, 0, &[3_600_000]), t0), Track::default());
    }

    #[test]
    fn a_recording_is_found_where_it_was_played() {
        let recording: Vec<i16> = (0..2_000).map(|n| if n < 300 { 5 } else { n * 7 }).collect();
        let mut samples = vec![0; 1_234];
        samples.extend(&recording);
        let track = Track(samples);
        assert_eq!(track.find(&recording, 1_000), Some(1_234));
        let other: Vec<i16> = recording.iter().map(|s| s / 2).collect();
        assert_eq!(track.find(&other, 1_000), None);
        assert_eq!(track.find(&recording[..1_000], 1_000), None);
    }

    #[test]
    fn the_file_holds_left_and_right() {
        let path = std::env::temp_dir().join(format!("koebashi-track-{}.wav", std::process::id()));
        write(&path, &Track(vec![1, 2, 3]), &Track(vec![-1])).unwrap();
        let mut reader = hound::WavReader::open(&path).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 8000, 16));
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(samples, [1, -1, 2, 0, 3, 0]);
        std::fs::remove_file(path).unwrap();
    }
}
