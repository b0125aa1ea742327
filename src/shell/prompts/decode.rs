//! Sound files of other programs (WAV, MP3, M4A, AAC, Ogg, FLAC; any rate) as samples in our form.
//!
//! Owns the decoding, which is `symphonia`'s, its limits, and what is wrong with a file in terms
//! that can be told to whoever brought it. Evening out is the media plane's. Takes time and memory:
//! not for the loop, and not twice at once.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::media::prompt::{self, import};

/// Sample rates that a file may have, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
/// Above this rate neighboring samples are taken together: memory, and nobody hears it.
const RATE_KEPT: u32 = 48_000;
/// Channels that a file may have.
const CHANNELS_MAX: usize = 8;
/// Packets in a row that can't be decoded.
const BAD_PACKETS_MAX: usize = 50;
/// What a file that says how long it is may fall short of it, in parts of a hundred.
const SHORT_MAX: u64 = 2;

/// Why a file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    /// No file at all, or an empty one.
    #[error("the file is empty")]
    Empty,
    /// Nothing that we know as sound.
    #[error("not a sound file of a kind that can be read: {0}")]
    Unknown(String),
    /// Known as sound, in a coding that we can't read.
    #[error("the sound is in a coding that can't be read: {0}")]
    Coding(String),
    /// Damaged.
    #[error("the file is damaged: {0}")]
    Broken(String),
    /// It says that it is longer than it is.
    #[error("the file is not whole: its end is missing")]
    Cut,
    /// Too short to be heard as anything.
    #[error("shorter than {} ms", .0.as_millis())]
    TooShort(Duration),
    /// Longer than may be.
    #[error("longer than {} s", .0.as_secs())]
    TooLong(Duration),
    /// Nothing to hear in it.
    #[error("nothing is to be heard in it")]
    Silent,
    /// The system refuses.
    #[error("can't be read: {0}")]
    Io(String),
}

impl From<io::Error> for Unplayable {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// The recording in the form that prompts are kept in: 8 kHz, even loudness, no silence at the
/// ends. `ending` is the end of the file's name, where it has one; what is inside decides.
///
/// # Errors
/// What is wrong with the file.
pub fn file(path: &Path, ending: &str, longest: Duration) -> Result<Vec<i16>, Unplayable> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Err(Unplayable::Empty);
    }
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(ending);
    let (format, meta) = (FormatOptions::default(), MetadataOptions::default());
    let reader = symphonia::default::get_probe().probe(&hint, stream, format, meta);
    let reader = reader.map_err(|error| Unplayable::Unknown(error.to_string()))?;
    let (samples, rate) = decode(reader, longest)?;
    form(samples, rate, longest)
}

/// Samples of one voice at 8 kHz in the form that prompts are kept in.
///
/// # Errors
/// When they are silent or too many.
pub fn samples(heard: &[i16], longest: Duration) -> Result<Vec<i16>, Unplayable> {
    let samples = heard.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    form(samples, prompt::RATE, longest)
}

fn form(samples: Vec<f32>, rate: u32, longest: Duration) -> Result<Vec<i16>, Unplayable> {
    let formed = import::form(samples, rate).map_err(|error| match error {
        prompt::Error::TooLong => Unplayable::TooLong(longest),
        prompt::Error::Silent => Unplayable::Silent,
        other @ (prompt::Error::Malformed(_)
        | prompt::Error::Unsupported(_)
        | prompt::Error::NotCanonical { .. }) => Unplayable::Coding(other.to_string()),
    })?;
    let most = longest.as_secs().saturating_mul(prompt::RATE.into());
    if formed.len() as u64 > most { Err(Unplayable::TooLong(longest)) } else { Ok(formed) }
}

/// One voice of all channels, and its rate.
fn decode(
    mut reader: Box<dyn FormatReader + '_>,
    longest: Duration,
) -> Result<(Vec<f32>, u32), Unplayable> {
    let no_sound = || Unplayable::Unknown("there is no sound in it".to_owned());
    let track = reader.default_track(TrackType::Audio).ok_or_else(no_sound)?;
    let (id, promised) = (track.id, track.num_frames);
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params = params.ok_or_else(no_sound)?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| Unplayable::Coding(error.to_string()))?;
    let mut voice = Voice::default();
    let mut bad = 0;
    let end = loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) if packet.track_id == id => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        match voice.take(&mut *decoder, &packet, longest)? {
            true => bad = 0,
            false => bad += 1,
        }
        if bad > BAD_PACKETS_MAX {
            return Err(Unplayable::Broken("most of it can't be decoded".to_owned()));
        }
    };
    let is_short = |frames: u64| voice.frames * 100 < frames * (100 - SHORT_MAX);
    match end {
        _ if promised.is_some_and(is_short) => Err(Unplayable::Cut),
        Some(Symphonia::IoError(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(error.into())
        }
        None | Some(Symphonia::IoError(_) | Symphonia::ResetRequired) if voice.rate > 0 => {
            let rate = voice.kept_rate();
            Ok((voice.samples, rate))
        }
        Some(error) => Err(Unplayable::Broken(error.to_string())),
        None => Err(Unplayable::Broken("no sound came out of it".to_owned())),
    }
}

/// What has been decoded so far, all channels as one.
#[derive(Default)]
struct Voice {
    samples: Vec<f32>,
    rate: u32,
    channels: usize,
    frames: u64,
    packet: Vec<f32>,
    /// The sum of frames that are taken together, and of how many.
    sum: (f32, u32),
}

impl Voice {
    /// Decodes a packet; false: this one is damaged.
    fn take(
        &mut self,
        decoder: &mut dyn AudioDecoder,
        packet: &symphonia::core::packet::Packet,
        longest: Duration,
    ) -> Result<bool, Unplayable> {
        let decoded = match decoder.decode(packet) {
            Ok(decoded) => decoded,
            Err(Symphonia::DecodeError(_)) => return Ok(false),
            Err(error) => return Err(Unplayable::Broken(error.to_string())),
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        decoded.copy_to_vec_interleaved(&mut self.packet);
        if self.rate == 0 {
            (self.rate, self.channels) = (rate, channels);
        }
        if !RATES.contains(&rate) || channels == 0 || channels > CHANNELS_MAX {
            return Err(Unplayable::Coding(format!("{rate} Hz, {channels} channels")));
        }
        if (rate, channels) != (self.rate, self.channels) {
            return Err(Unplayable::Coding("its rate changes within".to_owned()));
        }
        let together = self.together();
        for frame in self.packet.chunks_exact(channels) {
            let mean = frame.iter().sum::<f32>() / channels as f32;
            self.sum = (self.sum.0 + if mean.is_finite() { mean } else { 0.0 }, self.sum.1 + 1);
            if self.sum.1 == together {
                self.samples.push(self.sum.0 / together as f32);
                self.sum = (0.0, 0);
            }
            self.frames += 1;
        }
        if self.frames / u64::from(rate) > longest.as_secs() {
            return Err(Unplayable::TooLong(longest));
        }
        Ok(true)
    }

    fn together(&self) -> u32 {
        self.rate.div_ceil(RATE_KEPT).max(1)
    }

    /// The rate of the samples that are kept.
    fn kept_rate(&self) -> u32 {
        self.rate / self.together()
    }
}
