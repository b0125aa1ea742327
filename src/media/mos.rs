//! How good a voice sounded: loss and delay to a mean opinion score, by codec.
//!
//! Owns the arithmetic of the E-model (ITU-T G.107) with its default values, each codec's
//! impairment, and the usual short form of the delay impairment. Measures nothing.
//!
//! All legs are judged on one scale, that of a narrowband telephone: a wideband codec gets nothing
//! for its sound, so that scores can be compared.

use crate::media::Codec;

/// The rating with every default of G.107 and no impairment.
const R_DEFAULT: f32 = 93.2;

/// What a codec does to a voice.
struct Equipment {
    /// Impairment without loss (Ie).
    impairment: f32,
    /// Robustness against random loss (Bpl).
    robustness: f32,
}

/// The values of G.113 Appendix I for G.711 with loss concealment. It has none for wideband codecs
/// on this scale; ours are cautious: G.722 carries its state over a loss, Opus conceals and repairs
/// well.
fn equipment(codec: Codec) -> Equipment {
    let (impairment, robustness) = match codec {
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        Codec::G722 => (0.0, 15.0),
        Codec::Opus => (0.0, 25.1),
    };
    Equipment { impairment, robustness }
}

/// The E-model's rating for a share of lost packets (0–1) and a one-way delay in milliseconds.
pub fn rating(codec: Codec, loss: f32, delay_ms: f32) -> f32 {
    let percent = 100.0 * loss.clamp(0.0, 1.0);
    let Equipment { impairment, robustness } = equipment(codec);
    let equipment = impairment + (95.0 - impairment) * percent / (percent + robustness);
    let late = (delay_ms - 177.3).max(0.0);
    R_DEFAULT - equipment - 0.024 * delay_ms.max(0.0) - 0.11 * late
}

/// The mean opinion score (1–4.5) that a rating stands for (G.107 Annex B).
pub fn mos(rating: f32) -> f32 {
    if rating <= 0.0 {
        1.0
    } else if rating >= 100.0 {
        4.5
    } else {
        let cubic = rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
        (1.0 + 0.035 * rating + cubic).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ratings() {
        // G.107 Annex B: R and the score that belongs to it.
        for (rating, score) in
            [(93.2, 4.41), (90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)]
        {
            assert!((mos(rating) - score).abs() < 0.01, "{rating}: {}", mos(rating));
        }
        assert_eq!((mos(-5.0), mos(0.0), mos(100.0), mos(120.0)), (1.0, 1.0, 4.5, 4.5));
    }

    #[test]
    fn loss_and_delay_lower_the_rating() {
        assert_eq!(rating(Codec::Pcmu, 0.0, 0.0), 93.2);
        assert!((rating(Codec::Pcmu, 0.01, 0.0) - (93.2 - 95.0 / 26.1)).abs() < 0.001);
        assert!((rating(Codec::Pcmu, 0.0, 277.3) - (93.2 - 6.6552 - 11.0)).abs() < 0.001);
        assert!(mos(rating(Codec::Pcmu, 0.2, 50.0)) < mos(rating(Codec::Pcmu, 0.05, 50.0)));
        assert!(mos(rating(Codec::Pcmu, 1.0, 10_000.0)) == 1.0);
    }
}
