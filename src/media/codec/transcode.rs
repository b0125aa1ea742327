//! From one codec to another, packet by packet.
//!
//! Owns what is left of a packet until 20 ms are full. Between the laws of G.711 nothing is
//! decoded: that is [`crate::media::g711::convert`]'s.

use crate::media::codec::{Decoder, Encoder, FRAMES_MAX, Resampler};
use crate::media::{Codec, Rate};

/// One stream's way from one codec to another.
#[derive(Debug)]
pub struct Transcoder {
    decoder: Decoder,
    resampler: Resampler,
    encoder: Encoder,
    /// As decoded; kept for its room.
    decoded: Vec<i16>,
    /// At the encoder's rate; what is left of less than 20 ms waits here.
    sound: Vec<i16>,
}

impl Transcoder {
    /// At the beginning of a stream. `None`: nothing is to be transcoded (the codecs are the same
    /// or differ in their law only), or one of them is not built in.
    pub fn new(from: Codec, to: Codec) -> Option<Self> {
        if from == to || (from.law().is_some() && to.law().is_some()) {
            return None;
        }
        let (decoder, encoder) = (Decoder::new(from)?, Encoder::new(to)?);
        let resampler = Resampler::new(decoder.rate(), encoder.rate());
        let (decoded, sound) = (room(decoder.rate()), room(encoder.rate()));
        Some(Self { decoder, resampler, encoder, decoded, sound })
    }

    /// Takes one packet and writes one payload: as many whole frames of 20 ms as have come
    /// together, up to [`FRAMES_MAX`]. Returns its length in bytes; 0: no frame is full yet.
    /// Packets of other lengths than a multiple of 20 ms are gathered. `None`: the packet is
    /// damaged. `out` should have room for [`FRAMES_MAX`] times [`super::PAYLOAD_MAX`]; what it has
    /// no room for is lost.
    pub fn run(&mut self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        self.decoded.clear();
        if !self.decoder.decode(payload, &mut self.decoded) {
            return None;
        }
        self.resampler.run(&self.decoded, &mut self.sound);
        let frame = self.encoder.rate().samples();
        let whole = self.sound.len() / frame * frame;
        let first = whole.min(frame * FRAMES_MAX);
        let length = if first > 0 { self.encoder.encode(&self.sound[..first], out) } else { 0 };
        self.sound.drain(..whole);
        Some(length)
    }

    /// How much is allocated.
    #[cfg(test)]
    pub(super) fn room(&self) -> (usize, usize) {
        (self.decoded.capacity(), self.sound.capacity())
    }
}

/// For the longest packet and what waited before it.
fn room(rate: Rate) -> Vec<i16> {
    Vec::with_capacity(rate.samples() * (FRAMES_MAX + 1))
}
