//! Opus (RFC 6716, RFC 7587), one channel, decoded to and encoded from 16 kHz.
//!
//! Owns how the library is set: speech, in-band FEC for the loss of one packet, a bit rate that a
//! telephone line bears; and what is heard in place of a lost packet. Peers may send any bandwidth
//! and any frame; the library brings it to 16 kHz.

use opus_rs::{Application, OpusDecoder, OpusEncoder};

use crate::media::Rate;
use crate::media::codec::{FRAMES_MAX, PAYLOAD_MAX};
use crate::media::conceal::Concealer;

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
    concealer: Concealer,
    /// How the last packet was coded.
    kind: Kind,
    /// Frames of 20 ms that are missing since the last packet.
    missing: u32,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Decoder")
    }
}

impl Decoder {
    pub(super) fn new() -> Option<Self> {
        let library = OpusDecoder::new(RATE, 1).ok()?;
        let sound = Box::new([0.0; SAMPLES_MAX]);
        let concealer = Concealer::new(Rate::Wide);
        Some(Self { library, sound, concealer, kind: Kind::Predicted, missing: 0 })
    }

    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> bool {
        let decoded = self.library.decode(payload, SAMPLES_MAX, &mut self.sound[..]);
        let is_decoded = self.take(decoded, out);
        if let (true, Some(first)) = (is_decoded, payload.first()) {
            (self.kind, self.missing) = (Kind::of(*first), 0);
        }
        is_decoded
    }

    /// What is made up after SILK is ours, and the library hears nothing of the first frame of a
    /// loss: it would put its own fading noise where the next packets look for the sound that they
    /// go on from (libopus does too), and a tone would come back next to silent and be itself only
    /// after three packets. Of a longer loss it is told: what it remembers is too old, and fades.
    pub(super) fn lost(&mut self, next: Option<&[u8]>, out: &mut Vec<i16>) -> bool {
        self.missing = self.missing.saturating_add(1);
        let is_lapped = self.kind == Kind::Lapped;
        if let Some(next) = next.filter(|next| !is_lapped && repeats(next)) {
            let rebuilt = self.library.decode_fec(next, FRAME, &mut self.sound[..]);
            if self.take(rebuilt, out) {
                return true;
            }
        }
        if is_lapped || self.missing > 1 {
            let made_up = self.library.decode(&[], FRAME, &mut self.sound[..]);
            // CELT makes up well, and runs into the next packet without a seam.
            if is_lapped && self.take(made_up, out) {
                return true;
            }
        }
        let begun = out.len();
        out.resize(begun + FRAME, 0);
        self.concealer.lost(&mut out[begun..]);
        true
    }

    fn take(&mut self, decoded: Result<usize, &'static str>, out: &mut Vec<i16>) -> bool {
        let Some(sound) = decoded.ok().and_then(|length| self.sound.get(..length)) else {
            return false;
        };
        let begun = out.len();
        // A float beyond the range becomes its end, and what is no number becomes 0.
        out.extend(sound.iter().map(|sample| (sample * 32_768.0).round() as i16));
        self.concealer.good(&mut out[begun..]);
        !sound.is_empty()
    }
}

/// What of Opus a frame is coded by (RFC 6716 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By SILK, alone or below CELT: each frame goes on from the sound before it.
    Predicted,
    /// By CELT alone: frames overlap.
    Lapped,
}

impl Kind {
    /// By a packet's first byte.
    fn of(first: u8) -> Self {
        if first >> 3 < 16 { Self::Predicted } else { Self::Lapped }
    }
}

/// Whether a packet repeats the 20 ms before it: in-band FEC (RFC 6716 §4.2.4). The library can't
/// tell, it makes up what is not there. Of frames of other lengths nothing is taken.
pub(super) fn repeats(packet: &[u8]) -> bool {
    let Some((first, rest)) = packet.split_first() else { return false };
    let is_20_ms = matches!(first >> 3, 1 | 5 | 9 | 13 | 15);
    let is_stereo = first & 4 != 0;
    // One bit for the voice, one for the repetition; the same again for the other channel.
    let bits = if is_stereo { 0b0101_0000 } else { 0b0100_0000 };
    is_20_ms && first_frame(first & 3, rest).is_some_and(|frame| frame & bits != 0)
}

/// The first byte of a packet's first frame, by the code in its first byte (RFC 6716 §3.2). `None`:
/// there is none, or the frame is empty (DTX: of one byte at most).
fn first_frame(code: u8, rest: &[u8]) -> Option<u8> {
    /// Takes the length of a frame; above 251 it has two bytes, and what it is doesn't matter here.
    fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
        let (length, rest) = bytes.split_first()?;
        Some((usize::from(*length), if *length < 252 { rest } else { rest.get(1..)? }))
    }
    let (first, frames) = match code {
        0 | 1 => (rest.len(), rest),
        2 => length(rest)?,
        _ => {
            let (count, mut rest) = rest.split_first()?;
            if count & 0x40 != 0 {
                // How much padding lies at the end, 254 of it for each 255.
                let more = rest.iter().take_while(|byte| **byte == 255).count();
                rest = rest.get(more + 1..)?;
            }
            let mut first = None;
            if count & 0x80 != 0 {
                for _ in 1..count & 0x3f {
                    let (length, after) = length(rest)?;
                    first.get_or_insert(length);
                    rest = after;
                }
            }
            (first.unwrap_or(rest.len()), rest)
        }
    };
    frames.first().copied().filter(|_| first > 1)
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
