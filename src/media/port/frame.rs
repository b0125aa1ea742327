//! A payload of our own: 20 ms for one peer.
//!
//! Owns its making: silence, what a player copies, and what must be encoded for this peer alone
//! (tones, mixes). Knows nothing of RTP.

use crate::media::codec::{Encoder, Resampler};
use crate::media::prompt::player::Player;
use crate::media::timeline::FRAME;
use crate::media::{Codec, Rate, codec};

/// 20 ms.
pub(super) struct Frame {
    bytes: [u8; FRAME],
    length: usize,
}

impl Frame {
    /// Silence. Empty in a codec that is not built in.
    pub(super) fn silence(codec: Codec) -> Self {
        let (silence, mut bytes) = (codec::silence(codec), [0; FRAME]);
        bytes[..silence.len()].copy_from_slice(silence);
        Self { bytes, length: silence.len() }
    }

    /// Plays the next 20 ms over what is there.
    pub(super) fn play(&mut self, codec: Codec, player: &mut Player) {
        let written = player.fill(codec, &mut self.bytes);
        self.length = match codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => FRAME,
            Codec::Opus if written > 0 => written,
            Codec::Opus => self.length,
        };
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Makes frames for one peer out of sound.
#[derive(Debug)]
pub(super) struct Coder {
    codec: Codec,
    encoder: Encoder,
    /// From 8 kHz to the codec's rate.
    widening: Resampler,
    sound: Vec<i16>,
}

impl Coder {
    /// The coder that was there, when it is one for this codec, else a new one; `None` when the
    /// codec is not built in.
    pub(super) fn of(place: &mut Option<Self>, codec: Codec) -> Option<&mut Self> {
        if place.as_ref().is_none_or(|coder| coder.codec != codec) {
            *place = Encoder::new(codec).map(|encoder| {
                let widening = Resampler::new(Rate::Narrow, encoder.rate());
                Self { codec, encoder, widening, sound: Vec::with_capacity(Rate::Wide.samples()) }
            });
        }
        place.as_mut()
    }

    /// The rate of the sound that it takes.
    pub(super) fn rate(&self) -> Rate {
        self.encoder.rate()
    }

    /// 20 ms of sound at its rate.
    pub(super) fn encode(&mut self, sound: &[i16], frame: &mut Frame) {
        frame.length = self.encoder.encode(sound, &mut frame.bytes);
    }

    /// 20 ms of sound at 8 kHz.
    pub(super) fn encode_narrow(&mut self, sound: &[i16], frame: &mut Frame) {
        self.sound.clear();
        self.widening.run(sound, &mut self.sound);
        frame.length = self.encoder.encode(&self.sound, &mut frame.bytes);
    }
}
