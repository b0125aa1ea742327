//! From one codec to another, packet by packet.
//!
//! Owns what is left of a packet until 20 ms are full, and the sound in place of packets that never
//! came: by the codec's own means where it has any, else by [`Concealer`]. Between the laws of
//! G.711 nothing is decoded: that is [`crate::media::g711::convert`]'s.

use crate::media::codec::{Decoder, Encoder, FRAMES_MAX, Resampler};
use crate::media::conceal::Concealer;
use crate::media::{Codec, Rate};

/// The longest sound that is made up, in units of 1/8000 s: 60 ms, by when it has faded.
pub const LOST_MAX: u32 = 480;

/// One stream's way from one codec to another.
#[derive(Debug)]
pub struct Transcoder {
    decoder: Decoder,
    /// For a codec that has no means of its own.
    concealer: Option<Concealer>,
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
        let concealer = (from != Codec::Opus).then(|| Concealer::new(decoder.rate()));
        let (decoded, sound) = (room(decoder.rate()), room(encoder.rate()));
        Some(Self { decoder, concealer, resampler, encoder, decoded, sound })
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
        if let Some(concealer) = &mut self.concealer {
            concealer.good(&mut self.decoded);
        }
        self.resampler.run(&self.decoded, &mut self.sound);
        let frame = self.encoder.rate().samples();
        let whole = self.sound.len() / frame * frame;
        let first = whole.min(frame * FRAMES_MAX);
        let length = if first > 0 { self.encoder.encode(&self.sound[..first], out) } else { 0 };
        self.sound.drain(..whole);
        Some(length)
    }

    /// Makes up `units` of 1/8000 s that never came, at most [`LOST_MAX`]. They go out with `next`,
    /// the packet after them, which is still to be given to [`Transcoder::run`].
    pub fn lost(&mut self, next: &[u8], units: u32) {
        let frame = self.decoder.rate().samples();
        let length = frame * units.min(LOST_MAX) as usize / Rate::Narrow.samples();
        self.decoded.clear();
        while self.decoded.len() < length {
            let begun = self.decoded.len();
            // The next packet repeats the one before it, not earlier ones.
            let next = (begun + frame >= length).then_some(next);
            if !self.decoder.lost(next, &mut self.decoded) {
                self.decoded.resize(length, 0);
                if let Some(concealer) = &mut self.concealer {
                    concealer.lost(&mut self.decoded[begun..]);
                }
            }
        }
        self.decoded.truncate(length);
        self.resampler.run(&self.decoded, &mut self.sound);
    }

    /// Forgets what waits for the rest of its 20 ms: the sound does not go on.
    pub fn part(&mut self) {
        self.sound.clear();
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
