//! The picture of a sound: how loud it is over its length.

/// Columns of the picture.
const COLUMNS: usize = 360;
/// Half its height.
const HALF: f32 = 40.0;

/// A path for an SVG of [`WIDTH`] by [`HEIGHT`].
pub(in crate::console) fn path(samples: &[i16]) -> String {
    let mut path = String::new();
    let each = samples.len().div_ceil(COLUMNS).max(1);
    for (column, part) in samples.chunks(each).enumerate() {
        let high = part.iter().max().map_or(0.0, |sample| f32::from(*sample) / 32_768.0);
        let low = part.iter().min().map_or(0.0, |sample| f32::from(*sample) / 32_768.0);
        // Never nothing: silence is a thin line.
        let (top, bottom) = (HALF - high * HALF - 0.5, HALF - low * HALF + 0.5);
        path.push_str(&format!("M{column} {top:.1}V{bottom:.1}"));
    }
    path
}

/// The width of the picture.
pub(in crate::console) const WIDTH: usize = COLUMNS;
/// Its height.
pub(in crate::console) const HEIGHT: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_of_any_length_fits_the_picture() {
        for length in [0, 1, 359, 360, 361, 2_400_000] {
            let path = path(&vec![i16::MIN; length]);
            let columns = path.matches('M').count();
            assert!(columns <= COLUMNS && (columns > 0) == (length > 0), "{length}: {columns}");
        }
        assert_eq!(path(&[0, i16::MAX, i16::MIN]), "M0 39.5V40.5M1 -0.5V0.5M2 79.5V80.5");
    }
}
