//! Codecs: sound to payloads and back, and from one codec to another.
//!
//! Owns [`Decoder`] and [`Encoder`] over every codec that is built in, the payload that stands for
//! silence, and by submodule the change of rate ([`Resampler`]) and of codec ([`Transcoder`]).
//! G.711 itself is [`crate::media::g711`]; between its two laws nothing is decoded. Knows no RTP:
//! no sequence, no timestamp.

mod g722;
#[cfg_attr(not(feature = "opus"), path = "opus_absent.rs")]
mod opus;
mod resample;
#[cfg(test)]
mod tests;
mod transcode;

pub use resample::Resampler;
pub use transcode::{LOST_MAX, Transcoder};

use crate::media::{Codec, Law, Rate, g711};

/// The longest payload that stands for 20 ms, in bytes.
pub const PAYLOAD_MAX: usize = 160;
/// The longest payload that is written, in frames of 20 ms.
pub const FRAMES_MAX: usize = 6;
/// The longest packet that is decoded: 200 ms of a codec with one byte for each 125 µs.
const PACKET_MAX: usize = 1600;

/// What of a clip's end an encoder hears before its beginning, so that music goes round without a
/// seam: 300 ms, by when G.722 has forgotten all else.
const BEFORE: usize = 15 * Rate::Narrow.samples();

/// A G.722 byte that decodes to silence and lets whatever sounded before fade: in both bands the
/// smallest step up, which shrinks the scale.
const G722_SILENCE: u8 = 0xfd;

/// The payload of 20 ms of silence. Empty for a codec that is not built in.
pub fn silence(codec: Codec) -> &'static [u8] {
    static MU: [u8; PAYLOAD_MAX] = [g711::silence(Law::Mu); PAYLOAD_MAX];
    static A: [u8; PAYLOAD_MAX] = [g711::silence(Law::A); PAYLOAD_MAX];
    static G722: [u8; PAYLOAD_MAX] = [G722_SILENCE; PAYLOAD_MAX];
    match codec {
        Codec::Pcmu => &MU,
        Codec::Pcma => &A,
        Codec::G722 => &G722,
        Codec::Opus => opus::SILENCE,
    }
}

/// Encodes a whole clip of 8 kHz sound: payloads of 20 ms, the last one filled up with silence.
/// None for a codec that is not built in.
///
/// The encoder begins as if the clip's own end had just been heard: music goes round without a
/// seam, and a prompt, which ends in silence, may follow any other.
pub(in crate::media) fn whole(codec: Codec, pcm: &[i16]) -> Vec<Box<[u8]>> {
    const FRAME: usize = Rate::Narrow.samples();
    let Some(mut encoder) = Encoder::new(codec) else { return Vec::new() };
    let mut resampler = Resampler::new(Rate::Narrow, encoder.rate());
    let mut sound = Vec::with_capacity(encoder.rate().samples());
    let mut encode = |part: &[i16]| {
        let mut frame = [0; FRAME];
        frame[..part.len()].copy_from_slice(part);
        sound.clear();
        resampler.run(&frame, &mut sound);
        let mut payload = [0; PAYLOAD_MAX];
        let length = encoder.encode(&sound, &mut payload);
        Box::from(&payload[..length])
    };
    let before = (pcm.len() / FRAME * FRAME).min(BEFORE);
    pcm[pcm.len() - before..].chunks(FRAME).for_each(|part| drop(encode(part)));
    pcm.chunks(FRAME).map(encode).collect()
}

/// Payloads of one stream to sound.
#[derive(Debug)]
pub struct Decoder(Decoding);

#[derive(Debug)]
enum Decoding {
    G711(Law),
    G722(Box<g722::Decoder>),
    Opus(Box<opus::Decoder>),
}

impl Decoder {
    /// A decoder at the beginning of a stream; `None` when the codec is not built in.
    pub fn new(codec: Codec) -> Option<Self> {
        Some(Self(match codec {
            Codec::Pcmu => Decoding::G711(Law::Mu),
            Codec::Pcma => Decoding::G711(Law::A),
            Codec::G722 => Decoding::G722(Box::new(g722::Decoder::new())),
            Codec::Opus => Decoding::Opus(Box::new(opus::Decoder::new()?)),
        }))
    }

    /// The rate of the sound that comes out.
    pub fn rate(&self) -> Rate {
        match self.0 {
            Decoding::G711(_) => Rate::Narrow,
            Decoding::G722(_) | Decoding::Opus(_) => Rate::Wide,
        }
    }

    /// Decodes one packet of at most 200 ms and appends its sound. False: damaged, and nothing was
    /// appended.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> bool {
        if payload.is_empty() || payload.len() > PACKET_MAX {
            return false;
        }
        match &mut self.0 {
            Decoding::G711(law) => {
                out.extend(payload.iter().map(|byte| g711::decode(*law, *byte)));
                true
            }
            Decoding::G722(decoder) => {
                out.extend(payload.iter().flat_map(|byte| decoder.decode(*byte)));
                true
            }
            Decoding::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// Appends 20 ms in place of a lost packet, by the codec's own means: what `next`, the packet
    /// after it, repeats of it, or what the codec makes up. False: it has no such means, and
    /// nothing was appended. `next` is still to be decoded afterwards.
    pub fn lost(&mut self, next: Option<&[u8]>, out: &mut Vec<i16>) -> bool {
        match &mut self.0 {
            Decoding::G711(_) | Decoding::G722(_) => false,
            Decoding::Opus(decoder) => decoder.lost(next, out),
        }
    }
}

/// Sound to payloads of one stream.
#[derive(Debug)]
pub struct Encoder(Encoding);

#[derive(Debug)]
enum Encoding {
    G711(Law),
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
}

impl Encoder {
    /// An encoder at the beginning of a stream; `None` when the codec is not built in.
    pub fn new(codec: Codec) -> Option<Self> {
        Some(Self(match codec {
            Codec::Pcmu => Encoding::G711(Law::Mu),
            Codec::Pcma => Encoding::G711(Law::A),
            Codec::G722 => Encoding::G722(Box::new(g722::Encoder::new())),
            Codec::Opus => Encoding::Opus(Box::new(opus::Encoder::new()?)),
        }))
    }

    /// The rate of the sound that goes in.
    pub fn rate(&self) -> Rate {
        match self.0 {
            Encoding::G711(_) => Rate::Narrow,
            Encoding::G722(_) | Encoding::Opus(_) => Rate::Wide,
        }
    }

    /// Encodes 20 ms of sound at [`Encoder::rate`] (or a multiple, up to 120 ms) as one payload
    /// into `out`, which should have room for [`PAYLOAD_MAX`] bytes for each 20 ms, and returns the
    /// payload's length. Only Opus minds other lengths: its payload is empty then.
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> usize {
        match &mut self.0 {
            Encoding::G711(law) => {
                let law = *law;
                let pairs = frame.iter().zip(out);
                pairs.map(|(sample, byte)| *byte = g711::encode(law, *sample)).count()
            }
            Encoding::G722(encoder) => {
                let pairs = frame.as_chunks::<2>().0.iter().zip(out);
                pairs.map(|([first, second], byte)| *byte = encoder.encode(*first, *second)).count()
            }
            Encoding::Opus(encoder) => encoder.encode(frame, out),
        }
    }
}
