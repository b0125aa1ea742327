//! G.711: µ-law and A-law to and from 16-bit linear samples, and from one law to the other.
//!
//! Owns the formulas (ITU-T G.711) and the tables made from them while compiling. Knows nothing of
//! packets.

use crate::media::Codec;

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 0x7fff - ULAW_BIAS;

/// A byte of silence.
pub const fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0xff,
        Codec::Pcma => 0xd5,
    }
}

/// The sample that a byte stands for.
pub fn decode(codec: Codec, byte: u8) -> i16 {
    match codec {
        Codec::Pcmu => ULAW_DECODED[usize::from(byte)],
        Codec::Pcma => ALAW_DECODED[usize::from(byte)],
    }
}

/// The byte that stands nearest to a sample.
pub const fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcmu => encode_ulaw(sample),
        Codec::Pcma => encode_alaw(sample),
    }
}

/// Converts a payload in place; nothing happens when both legs speak the same law.
pub fn convert(from: Codec, to: Codec, payload: &mut [u8]) {
    let table = match (from, to) {
        (Codec::Pcmu, Codec::Pcma) => &ULAW_TO_ALAW,
        (Codec::Pcma, Codec::Pcmu) => &ALAW_TO_ULAW,
        (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => return,
    };
    for byte in payload {
        *byte = table[usize::from(*byte)];
    }
}

const fn decode_ulaw(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((((byte & 0x0f) as i32) << 3) + ULAW_BIAS) << ((byte & 0x70) >> 4);
    let magnitude = (magnitude - ULAW_BIAS) as i16;
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn encode_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (sample as i32).abs();
    let magnitude = if magnitude > ULAW_CLIP { ULAW_CLIP } else { magnitude } + ULAW_BIAS;
    let segment = 31 - magnitude.leading_zeros() - 7;
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | ((segment as u8) << 4) | mantissa as u8)
}

const fn decode_alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let mantissa = ((byte & 0x0f) as i16) << 4;
    let magnitude = match (byte & 0x70) >> 4 {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    if byte & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn encode_alaw(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 { (0x80, sample) } else { (0, !sample) };
    let magnitude = magnitude >> 3;
    let code = if magnitude < 0x20 {
        magnitude >> 1
    } else {
        let segment = 15 - magnitude.leading_zeros() as i16 - 4;
        (segment << 4) | ((magnitude >> segment) & 0x0f)
    };
    (sign | code as u8) ^ 0x55
}

static ULAW_DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = decode_ulaw(i as u8);
        i += 1;
    }
    table
};

static ALAW_DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = decode_alaw(i as u8);
        i += 1;
    }
    table
};

static ULAW_TO_ALAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = encode_alaw(decode_ulaw(i as u8));
        i += 1;
    }
    table
};

static ALAW_TO_ULAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = encode_ulaw(decode_alaw(i as u8));
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    /// The decoding law as G.711 words it, in floating point: segment, step, middle of the step.
    fn law(codec: Codec, byte: u8) -> f64 {
        let (byte, positive) = match codec {
            Codec::Pcmu => (!byte, byte & 0x80 != 0),
            Codec::Pcma => (byte ^ 0x55, byte & 0x80 != 0),
        };
        let (segment, step) = (f64::from((byte >> 4) & 7), f64::from(byte & 15));
        let magnitude = match codec {
            Codec::Pcmu => 4.0 * (2f64.powf(segment) * (2.0 * step + 33.0) - 33.0),
            Codec::Pcma if segment == 0.0 => 8.0 * (2.0 * step + 1.0),
            Codec::Pcma => 8.0 * 2f64.powf(segment - 1.0) * (2.0 * step + 33.0),
        };
        if positive { magnitude } else { -magnitude }
    }

    #[test]
    fn decoding_follows_the_law() {
        for codec in BOTH {
            for byte in 0..=255 {
                assert_eq!(f64::from(decode(codec, byte)), law(codec, byte), "{codec:?} {byte}");
            }
        }
    }

    #[test]
    fn every_sample_lies_in_the_step_of_its_byte() {
        for codec in BOTH {
            for sample in (i16::MIN..=i16::MAX).step_by(3) {
                let byte = encode(codec, sample);
                let error = (i32::from(sample) - i32::from(decode(codec, byte))).abs();
                let segment = match codec {
                    Codec::Pcmu => (!byte >> 4) & 7,
                    Codec::Pcma => (((byte ^ 0x55) >> 4) & 7).saturating_sub(1),
                };
                let half_step = match codec {
                    Codec::Pcmu => 4 << segment,
                    Codec::Pcma => 8 << segment,
                };
                let is_overload = i32::from(sample).abs() > 32_124;
                assert!(error <= half_step || is_overload, "{codec:?} {sample}: {error}");
            }
        }
    }

    #[test]
    fn conversion_is_decoding_and_encoding() {
        for (from, to) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)] {
            let mut all: Vec<u8> = (0..=255).collect();
            convert(from, to, &mut all);
            for byte in 0..=255u8 {
                assert_eq!(all[usize::from(byte)], encode(to, decode(from, byte)));
            }
        }
        let mut same = [1, 2, 3];
        convert(Codec::Pcma, Codec::Pcma, &mut same);
        assert_eq!(same, [1, 2, 3]);
    }

    #[test]
    fn bytes_survive_the_round_trip() {
        for codec in BOTH {
            for byte in 0..=255 {
                let again = encode(codec, decode(codec, byte));
                // µ-law has two zeros; the positive one is sent.
                let wanted = if (codec, byte) == (Codec::Pcmu, 0x7f) { 0xff } else { byte };
                assert_eq!(again, wanted, "{codec:?}");
            }
            assert!(decode(codec, silence(codec)).abs() <= 8);
        }
    }
}
