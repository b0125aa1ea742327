use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The mix of `voices`, as long as a frame of 16 kHz.
fn mixed(voices: &[Vec<i16>]) -> Vec<i16> {
    let mut out = vec![77; FRAME_MAX];
    mix(voices.iter().map(Vec::as_slice), &mut out);
    out
}

fn voice() -> impl Strategy<Value = Vec<i16>> {
    vec(any::<i16>(), FRAME_MAX)
}

/// A voice of which up to five sum up below the knee.
fn quiet_voice() -> impl Strategy<Value = Vec<i16>> {
    vec(-4600i16..=4600, FRAME_MAX)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_voice_passes_untouched(one in voice()) {
        prop_assert_eq!(mixed(std::slice::from_ref(&one)), one);
    }

    #[test]
    fn order_does_not_matter(mut voices in vec(voice(), 2..6)) {
        let there = mixed(&voices);
        voices.reverse();
        prop_assert_eq!(&there, &mixed(&voices));
        voices.rotate_left(1);
        prop_assert_eq!(&there, &mixed(&voices));
    }

    #[test]
    fn the_sum_keeps_its_sign_and_never_grows(voices in vec(voice(), 2..8)) {
        for (i, sample) in mixed(&voices).into_iter().enumerate() {
            let sum: i32 = voices.iter().map(|v| i32::from(v[i])).sum();
            prop_assert!(i32::from(sample).abs() <= sum.abs());
            prop_assert!(i32::from(sample).abs() <= 32_767);
            prop_assert!(i32::from(sample).signum() * sum.signum() >= 0);
            if sum.abs() <= KNEE as i32 {
                prop_assert_eq!(i32::from(sample), sum);
            }
        }
    }

    #[test]
    fn mix_minus_is_the_total_without_oneself(voices in vec(quiet_voice(), 2..6)) {
        let total = mixed(&voices);
        for own in 0..voices.len() {
            let mut others = voices.clone();
            let own = others.remove(own);
            let minus: Vec<i16> = total.iter().zip(&own).map(|(t, o)| t - o).collect();
            prop_assert_eq!(mixed(&others), minus);
        }
    }

    #[test]
    fn frames_of_any_length_are_taken(lengths in vec(0usize..700, 0..4), out in 0usize..700) {
        let voices: Vec<Vec<i16>> = lengths.iter().map(|n| vec![1; *n]).collect();
        let mut heard = vec![9; out];
        mix(voices.iter().map(Vec::as_slice), &mut heard);
        let reach = if lengths.len() == 1 { usize::MAX } else { FRAME_MAX };
        for (i, sample) in heard.into_iter().enumerate() {
            let wanted = lengths.iter().filter(|n| i < (**n).min(reach)).count();
            prop_assert_eq!(usize::try_from(sample).unwrap(), wanted);
        }
    }
}

#[test]
fn a_louder_sum_is_never_a_quieter_sample() {
    let sums = (0..400_000).chain((400_000..i32::MAX - 70_000).step_by(65_537));
    let mut last = (0, 0);
    for sum in sums {
        let sample = limited(sum);
        assert!(sample >= last.1, "{sum} gives {sample}, {} gave {}", last.0, last.1);
        assert_eq!(limited(-sum), -sample, "{sum}");
        last = (sum, sample);
    }
    assert!(last.1 >= 32_760, "{last:?}");
}

#[test]
fn the_knee_is_smooth() {
    let knee = KNEE as i32;
    for sum in knee - 100..knee + 100 {
        let step = limited(sum + 1) - limited(sum);
        assert!((0..=1).contains(&step), "a step of {step} at {sum}");
    }
    // Two voices at full scale stay below it, well above one voice at the knee.
    assert_eq!(limited(2 * 32_767), 31_002);
}

/// Run by hand: `cargo nextest run --release --lib mixer --run-ignored all --no-capture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]
fn three_way_mix_minus_at_16_khz() {
    let voices: Vec<Vec<i16>> =
        (0..3).map(|v| (0..320).map(|i| (i * 97 + v * 31) as i16).collect()).collect();
    let mut out = [0; FRAME_MAX];
    let started = std::time::Instant::now();
    for _ in 0..100_000 {
        for own in 0..3 {
            let others = voices.iter().enumerate().filter(|(v, _)| *v != own);
            mix(others.map(|(_, v)| std::hint::black_box(v.as_slice())), &mut out);
            std::hint::black_box(&mut out);
        }
    }
    println!("{:?} a tick", started.elapsed() / 100_000);
}
