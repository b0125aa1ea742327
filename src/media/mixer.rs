//! The sum of several voices, limited softly.
//!
//! Owns the arithmetic. Who hears whom, and at which rate, is decided elsewhere: what one hearer
//! hears is the sum of the others' frames, made for it alone.

/// The most samples of one frame: 20 ms at 16 kHz.
pub const FRAME_MAX: usize = 320;

/// Where limiting begins: 3 dB below full scale. Two ordinary voices (−20 dBFS) never reach it.
const KNEE: f32 = 23_197.0;
/// What is left above the knee.
const ROOM: f32 = i16::MAX as f32 - KNEE;

/// Writes the sum of `frames` into `out`. One frame passes through sample by sample, none gives
/// silence. Above the knee a louder sum is never a quieter sample, and nothing wraps. What a frame
/// lacks of `out`'s length is silence; samples beyond [`FRAME_MAX`] are silence too.
pub fn mix<'a>(mut frames: impl Iterator<Item = &'a [i16]>, out: &mut [i16]) {
    let (Some(first), second) = (frames.next(), frames.next()) else {
        out.fill(0);
        return;
    };
    let Some(second) = second else {
        let length = first.len().min(out.len());
        out[..length].copy_from_slice(&first[..length]);
        out[length..].fill(0);
        return;
    };
    // 65,536 voices at full scale fit.
    let mut sum = [0i32; FRAME_MAX];
    for (total, sample) in sum.iter_mut().zip(first) {
        *total = i32::from(*sample);
    }
    add(&mut sum, second);
    for frame in frames {
        add(&mut sum, frame);
    }
    let length = out.len().min(FRAME_MAX);
    for (sample, total) in out.iter_mut().zip(&sum) {
        *sample = limited(*total);
    }
    out[length..].fill(0);
}

fn add(sum: &mut [i32; FRAME_MAX], frame: &[i16]) {
    for (total, sample) in sum.iter_mut().zip(frame) {
        *total = total.wrapping_add(i32::from(*sample));
    }
}

/// The nearest that a sample can come to a sum: itself up to the knee, from there on a hyperbola
/// that leaves the knee with slope 1 and nears full scale. Without a branch, so that it is
/// computed for several samples at a time; each step keeps order, rounding included.
fn limited(sum: i32) -> i16 {
    let size = sum.abs() as f32;
    let bent = i16::MAX as f32 - ROOM * ROOM / (size.max(KNEE) - KNEE + ROOM);
    // Truncation to the integer below full scale: in range by construction.
    let size = size.min(bent) as i32;
    (if sum < 0 { -size } else { size }) as i16
}

#[cfg(test)]
mod tests;
