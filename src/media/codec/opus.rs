//! Opus (RFC 6716, RFC 7587), one channel, decoded to and encoded from 16 kHz.
//!
//! Owns how the library is set: speech, in-band FEC for the loss of one packet, a bit rate that a
//! telephone line bears. Peers may send any bandwidth and any frame; the library brings it to 16
//! kHz.

use opus_rs::{Application, OpusDecoder, OpusEncoder};

use crate::media::Rate;

/// Samples a second of the sound on our side.
const RATE: i32 = 16_000;
/// The longest payload that the library writes, in frames of 20 ms.
pub(super) const FRAMES_MAX: usize = 3;
/// Samples of 20 ms, and of 120 ms: the longest packet (RFC 6716 §3.2.5).
const FRAME: usize = Rate::Wide.samples();
const SAMPLES_MAX: usize = 6 * FRAME;
/// Bits a second. Wideband speech with room for FEC (RFC 7587 §3.1.1 names 16–20 kbit/s without).
const BITRATE: i32 = 32_000;
/// What part of packets is expected to be lost; the more, the more of each goes to FEC.
const LOSS_PERCENT: i32 = 10;
/// How hard the encoder tries, 0–10.
const COMPLEXITY: i32 = 5;

/// 20 ms of silence.
pub(super) const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// Packets to sound.
pub(super) struct Decoder {
    library: OpusDecoder,
    sound: Box<[f32; SAMPLES_MAX]>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Decoder")
    }
}

impl Decoder {
    pub(super) fn new() -> Option<Self> {
        let library = OpusDecoder::new(RATE, 1).ok()?;
        Some(Self { library, sound: Box::new([0.0; SAMPLES_MAX]) })
    }

    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> bool {
        let decoded = self.library.decode(payload, SAMPLES_MAX, &mut self.sound[..]);
        self.take(decoded, out)
    }

    pub(super) fn lost(&mut self, next: Option<&[u8]>, out: &mut Vec<i16>) -> bool {
        let sound = &mut self.sound[..];
        let rebuilt = match next {
            Some(next) => self.library.decode_fec(next, FRAME, sound),
            None => self.library.decode(&[], FRAME, sound),
        };
        self.take(rebuilt, out)
    }

    fn take(&self, decoded: Result<usize, &'static str>, out: &mut Vec<i16>) -> bool {
        let Some(sound) = decoded.ok().and_then(|length| self.sound.get(..length)) else {
            return false;
        };
        // A float beyond the range becomes its end, and what is no number becomes 0.
        out.extend(sound.iter().map(|sample| (sample * 32_768.0).round() as i16));
        !sound.is_empty()
    }
}

/// Sound to packets.
pub(super) struct Encoder(OpusEncoder);

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Encoder")
    }
}

impl Encoder {
    pub(super) fn new() -> Option<Self> {
        let mut library = OpusEncoder::new(RATE, 1, Application::Voip).ok()?;
        library.bitrate_bps = BITRATE;
        library.complexity = COMPLEXITY;
        library.use_inband_fec = true;
        library.packet_loss_perc = LOSS_PERCENT;
        Some(Self(library))
    }

    pub(super) fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> usize {
        self.0.encode_i16(frame, frame.len(), out).unwrap_or(0)
    }
}
