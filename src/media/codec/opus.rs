//! Opus (RFC 6716, RFC 7587), one channel, decoded to and encoded from 16 kHz.
//!
//! Owns how the library is set: speech, in-band FEC for the loss of one packet, a bit rate that a
//! telephone line bears. Peers may send any bandwidth and any frame; the library brings it to 16
//! kHz.

use opus_rs::{Application, OpusDecoder, OpusEncoder};

use crate::media::Rate;
use crate::media::codec::{FRAMES_MAX, PAYLOAD_MAX};

/// Samples a second of the sound on our side.
const RATE: i32 = 16_000;
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

    /// One payload of one frame of 20 ms or up to [`FRAMES_MAX`]. The library itself is only ever
    /// given 20 ms: in one that is given now this and now that length (0.1.40) the sound breaks.
    pub(super) fn encode(&mut self, sound: &[i16], out: &mut [u8]) -> usize {
        let (frames, rest) = sound.as_chunks::<FRAME>();
        if !rest.is_empty() || frames.len() > FRAMES_MAX {
            return 0;
        }
        let mut packets = [[0; PAYLOAD_MAX]; FRAMES_MAX];
        let mut lengths = [0; FRAMES_MAX];
        for ((frame, packet), length) in frames.iter().zip(&mut packets).zip(&mut lengths) {
            *length = self.0.encode_i16(frame, FRAME, packet).unwrap_or(0);
        }
        let each = || packets.iter().zip(lengths).take(frames.len()).map(|(p, n)| &p[..n]);
        pack(each, out).unwrap_or(0)
    }
}

/// Puts packets of one frame each into one (RFC 6716 §3.2.5: code 3, VBR), which needs them to be
/// of one mode, bandwidth and length. `None`: they are not, or `out` has no room.
fn pack<'a, I>(packets: impl Fn() -> I, out: &mut [u8]) -> Option<usize>
where
    I: ExactSizeIterator<Item = &'a [u8]>,
{
    let count = packets().len();
    let (kind, first) = packets().next()?.split_first()?;
    let mut length = 0;
    let mut put = |bytes: &[u8]| {
        out.get_mut(length..length + bytes.len())?.copy_from_slice(bytes);
        length += bytes.len();
        Some(length)
    };
    if count == 1 {
        put(&[*kind])?;
        return put(first);
    }
    put(&[kind | 3, 0x80 | count as u8])?;
    for packet in packets().take(count - 1) {
        // A length of one byte: a frame of 20 ms stays below PAYLOAD_MAX.
        put(&[u8::try_from(packet.len().checked_sub(1)?).ok().filter(|n| *n < 252)?])?;
    }
    let mut end = None;
    for packet in packets() {
        end = put(packet.strip_prefix(&[*kind])?);
        end?;
    }
    end
}
