//! Prompts: spoken texts and music, encoded once for each codec, and where playing has got to.
//!
//! Owns [`Clip`], [`Library`] and the position of a playing (`player`). Reads WAV from bytes,
//! never from files; bringing other recordings to our form is [`mod@import`].

pub mod import;
pub(in crate::media) mod player;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use crate::media::{Codec, Law, Prompt, codec, g711};

pub use import::import;

/// Samples a second in our form.
pub const RATE: u32 = 8000;
/// The longest clip: 10 minutes.
pub const SAMPLES_MAX: usize = 600 * RATE as usize;
/// The largest file that is looked at.
pub const BYTES_MAX: usize = 120 << 20;

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a WAV file, or one that is damaged.
    #[error("not a readable WAV file: {0}")]
    Malformed(String),
    /// A WAV file of a kind that we can't take.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// Readable, but not in the form that prompts are kept in.
    #[error(
        "{rate} Hz, {bits} bit, {channels} channel(s) instead of 8000 Hz, 16 bit, mono; \
         `koebashi prompts import` converts it"
    )]
    NotCanonical {
        /// Its sample rate in Hz.
        rate: u32,
        /// Its bits a sample.
        bits: u16,
        /// Its channels.
        channels: u16,
    },
    /// More than [`SAMPLES_MAX`] or [`BYTES_MAX`].
    #[error("too long: at most 10 minutes and 120 MiB")]
    TooLong,
    /// Nothing to hear in it.
    #[error("empty or silent")]
    Silent,
}

impl From<hound::Error> for Error {
    fn from(error: hound::Error) -> Self {
        match error {
            hound::Error::Unsupported => Self::Unsupported("the coding of the samples".to_owned()),
            hound::Error::IoError(_)
            | hound::Error::FormatError(_)
            | hound::Error::TooWide
            | hound::Error::UnfinishedSample
            | hound::Error::InvalidSampleFormat => Self::Malformed(error.to_string()),
        }
    }
}

/// One recording, encoded once for all who hear it. Each codec begins anew with each clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    pcm: Box<[i16]>,
    ulaw: Box<[u8]>,
    alaw: Box<[u8]>,
    /// The codecs that few speak: empty until [`Library::prepared`] is asked for them.
    g722: Box<[u8]>,
    opus: Box<[Box<[u8]>]>,
}

impl Clip {
    /// From samples at 8 kHz. Fails when there are more than [`SAMPLES_MAX`].
    pub fn from_pcm(pcm: impl Into<Box<[i16]>>) -> Result<Self, Error> {
        let pcm = pcm.into();
        if pcm.len() > SAMPLES_MAX {
            return Err(Error::TooLong);
        }
        let encoded = |law| pcm.iter().map(|s| g711::encode(law, *s)).collect();
        let (g722, opus) = (Box::default(), Box::default());
        Ok(Self { ulaw: encoded(Law::Mu), alaw: encoded(Law::A), g722, opus, pcm })
    }

    /// From a WAV file in the form that prompts are kept in: 8 kHz, 16 bit, mono.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > BYTES_MAX {
            return Err(Error::TooLong);
        }
        let reader = hound::WavReader::new(Cursor::new(bytes))?;
        let spec = reader.spec();
        let (rate, bits, channels) = (spec.sample_rate, spec.bits_per_sample, spec.channels);
        if (rate, bits, channels) != (RATE, 16, 1) || spec.sample_format != hound::SampleFormat::Int
        {
            return Err(Error::NotCanonical { rate, bits, channels });
        }
        // The reader stands where the samples begin. They are taken all at once: a service that
        // starts with calls of a process before it reads all prompts while these hear nothing.
        let bytes_in_all = reader.len() as usize * 2;
        let start = usize::try_from(reader.into_inner().position()).unwrap_or(usize::MAX);
        let samples = bytes.get(start..).and_then(|rest| rest.get(..bytes_in_all));
        let samples = samples.ok_or_else(|| Error::Malformed("it is cut off".to_owned()))?;
        if samples.len() > SAMPLES_MAX * 2 {
            return Err(Error::TooLong);
        }
        let pcm = samples.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]]));
        Self::from_pcm(pcm.collect::<Vec<_>>())
    }

    /// The samples.
    pub fn pcm(&self) -> &[i16] {
        &self.pcm
    }

    fn is_prepared(&self, codec: Codec) -> bool {
        match codec {
            Codec::Pcmu | Codec::Pcma => true,
            Codec::G722 => !self.g722.is_empty(),
            Codec::Opus => !self.opus.is_empty(),
        }
    }

    /// Encodes the clip for a codec that few speak, unless it is there.
    fn prepare(&mut self, codec: Codec) {
        match codec {
            Codec::G722 if self.g722.is_empty() => {
                let mut bytes = codec::whole(codec, &self.pcm).concat();
                bytes.truncate(self.pcm.len());
                self.g722 = bytes.into();
            }
            Codec::Opus if self.opus.is_empty() => {
                self.opus = codec::whole(codec, &self.pcm).into();
            }
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus => (),
        }
    }

    /// The samples as a codec's bytes, one for each. Empty for Opus, which has [`Clip::packets`],
    /// and for G.722 until it is prepared.
    pub fn encoded(&self, codec: Codec) -> &[u8] {
        match codec {
            Codec::Pcmu => &self.ulaw,
            Codec::Pcma => &self.alaw,
            Codec::G722 => &self.g722,
            Codec::Opus => &[],
        }
    }

    /// The clip as packets of Opus, 20 ms each, the last one filled up with silence. Empty until
    /// they are prepared.
    pub fn packets(&self) -> &[Box<[u8]>] {
        &self.opus
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.pcm.len() as u64 * 125)
    }
}

/// The recordings by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    clips: BTreeMap<Prompt, Arc<Clip>>,
}

impl Library {
    /// A library of these clips; of two with one name the later counts.
    pub fn from_clips(clips: impl IntoIterator<Item = (Prompt, Clip)>) -> Self {
        Self { clips: clips.into_iter().map(|(name, clip)| (name, Arc::new(clip))).collect() }
    }

    /// Encodes all clips for these codecs too, beside G.711. That may take a while: not for a media
    /// thread. In a codec that is not prepared a clip is played as silence of its length.
    #[must_use]
    pub fn prepared(mut self, codecs: &BTreeSet<Codec>) -> Self {
        for clip in self.clips.values_mut() {
            // A clip that others have too is copied only where there is something to do.
            for codec in
                codecs.iter().filter(|codec| !clip.is_prepared(**codec)).collect::<Vec<_>>()
            {
                Arc::make_mut(clip).prepare(*codec);
            }
        }
        self
    }

    /// Whether all clips are encoded for these codecs.
    pub fn is_prepared(&self, codecs: &BTreeSet<Codec>) -> bool {
        self.clips.values().all(|clip| codecs.iter().all(|codec| clip.is_prepared(*codec)))
    }

    /// The same with one more clip.
    #[must_use]
    pub fn with(mut self, name: Prompt, clip: Arc<Clip>) -> Self {
        self.clips.insert(name, clip);
        self
    }

    /// The clip of that name.
    pub fn clip(&self, name: &Prompt) -> Option<&Arc<Clip>> {
        self.clips.get(name)
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &Prompt> {
        self.clips.keys()
    }
}

#[cfg(test)]
mod tests;
