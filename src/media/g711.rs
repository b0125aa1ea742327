//! G.711: µ-law and A-law to and from 16-bit linear samples, and from one law to the other.
//!
//! Owns the formulas (ITU-T G.711) and the tables made from them while compiling. Knows nothing of
//! packets.

/// The two laws of G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// µ-law: Japan, America.
    Mu,
    /// A-law: Europe, between countries.
    A,
}

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 0x7fff - ULAW_BIAS;

/// A byte of silence.
pub const fn silence(law: Law) -> u8 {
    match law {
        Law::Mu => 0xff,
        Law::A => 0xd5,
    }
}

/// The sample that a byte stands for.
pub fn decode(law: Law, byte: u8) -> i16 {
    match law {
        Law::Mu => ULAW_DECODED[usize::from(byte)],
        Law::A => ALAW_DECODED[usize::from(byte)],
    }
}

/// The byte that stands nearest to a sample.
pub const fn encode(law: Law, sample: i16) -> u8 {
    match law {
        Law::Mu => encode_ulaw(sample),
        Law::A => encode_alaw(sample),
    }
}

/// Converts a payload in place; nothing happens when both legs speak the same law.
pub fn convert(from: Law, to: Law, payload: &mut [u8]) {
    let table = match (from, to) {
        (Law::Mu, Law::A) => &ULAW_TO_ALAW,
        (Law::A, Law::Mu) => &ALAW_TO_ULAW,
        (Law::Mu, Law::Mu) | (Law::A, Law::A) => return,
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

    const BOTH: [Law; 2] = [Law::Mu, Law::A];

    /// The decoding law as G.711 words it, in floating point: segment, step, middle of the step.
    fn value(law: Law, byte: u8) -> f64 {
        let (byte, positive) = match law {
            Law::Mu => (!byte, byte & 0x80 != 0),
            Law::A => (byte ^ 0x55, byte & 0x80 != 0),
        };
        let (segment, step) = (f64::from((byte >> 4) & 7), f64::from(byte & 15));
        let magnitude = match law {
            Law::Mu => 4.0 * (2f64.powf(segment) * (2.0 * step + 33.0) - 33.0),
            Law::A if segment == 0.0 => 8.0 * (2.0 * step + 1.0),
            Law::A => 8.0 * 2f64.powf(segment - 1.0) * (2.0 * step + 33.0),
        };
        if positive { magnitude } else { -magnitude }
    }

    #[test]
    fn decoding_follows_the_law() {
        for law in BOTH {
            for byte in 0..=255 {
                assert_eq!(f64::from(decode(law, byte)), value(law, byte), "{law:?} {byte}");
            }
        }
    }

    #[test]
    fn every_sample_lies_in_the_step_of_its_byte() {
        for law in BOTH {
            for sample in (i16::MIN..=i16::MAX).step_by(3) {
                let byte = encode(law, sample);
                let error = (i32::from(sample) - i32::from(decode(law, byte))).abs();
                let segment = match law {
                    Law::Mu => (!byte >> 4) & 7,
                    Law::A => (((byte ^ 0x55) >> 4) & 7).saturating_sub(1),
                };
                let half_step = match law {
                    Law::Mu => 4 << segment,
                    Law::A => 8 << segment,
                };
                let is_overload = i32::from(sample).abs() > 32_124;
                assert!(error <= half_step || is_overload, "{law:?} {sample}: {error}");
            }
        }
    }

    #[test]
    fn conversion_is_decoding_and_encoding() {
        for (from, to) in [(Law::Mu, Law::A), (Law::A, Law::Mu)] {
            let mut all: Vec<u8> = (0..=255).collect();
            convert(from, to, &mut all);
            for byte in 0..=255u8 {
                assert_eq!(all[usize::from(byte)], encode(to, decode(from, byte)));
            }
        }
        let mut same = [1, 2, 3];
        convert(Law::A, Law::A, &mut same);
        assert_eq!(same, [1, 2, 3]);
    }

    #[test]
    fn bytes_survive_the_round_trip() {
        for law in BOTH {
            for byte in 0..=255 {
                let again = encode(law, decode(law, byte));
                // µ-law has two zeros; the positive one is sent.
                let wanted = if (law, byte) == (Law::Mu, 0x7f) { 0xff } else { byte };
                assert_eq!(again, wanted, "{law:?}");
            }
            assert!(decode(law, silence(law)).abs() <= 8);
        }
    }
}
