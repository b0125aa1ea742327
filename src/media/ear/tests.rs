#![expect(clippy::disallowed_methods, reason = "a base to count from")]

use super::*;
use crate::chance::Chance;
use crate::media::codec::Encoder;
use crate::media::conceal::tests::speech;

const MS: Duration = Duration::from_millis(1);

/// A speaker's packets on their way, and the ear that hears them.
struct World {
    ear: Ear,
    base: Instant,
    heard: Vec<i16>,
}

/// A packet: when it comes (µs), its header and payload.
type Sent = (u64, Header, Vec<u8>);

/// `sound` in packets of `frames` times 20 ms, sent in time.
fn packets(codec: Codec, sound: &[i16], frames: usize) -> Vec<Sent> {
    let mut encoder = Encoder::new(codec).unwrap();
    let samples = frames * codec.rate().samples();
    sound
        .chunks_exact(samples)
        .enumerate()
        .map(|(n, part)| {
            let mut payload = vec![0; 1500];
            let length = encoder.encode(part, &mut payload);
            payload.truncate(length);
            let units = frames as u32 * codec.clock() / 50;
            let header = Header {
                payload_type: 0,
                marker: n == 0,
                sequence: (n as u16).wrapping_sub(9),
                timestamp: (n as u32).wrapping_mul(units),
                ssrc: 5,
                payload: 12..12 + length,
            };
            ((n * frames * 20_000) as u64, header, payload)
        })
        .collect()
}

impl World {
    fn new(codec: Codec) -> Self {
        Self { ear: Ear::new(codec), base: Instant::now(), heard: vec![] }
    }

    /// Plays everything and half a second more.
    fn play(&mut self, codec: Codec, mut packets: Vec<Sent>) {
        packets.sort_by_key(|p| p.0);
        let ticks = packets.last().unwrap().0 / 20_000 + 25;
        let mut packets = packets.into_iter().peekable();
        for tick in 0..ticks {
            let now = tick * 20_000 + 3_000;
            while let Some((at, header, payload)) = packets.next_if(|p| p.0 <= now) {
                let at = self.base + Duration::from_micros(at);
                self.ear.packet(at, &header, codec, &payload);
            }
            self.ear.tick(self.base + Duration::from_micros(now));
            self.heard.extend_from_slice(self.ear.frame(codec.rate()));
        }
    }
}

/// `sound` as it is after the codec.
fn coded(codec: Codec, sound: &[i16]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec).unwrap();
    let mut out = vec![];
    for (_, _, payload) in packets(codec, sound, 1) {
        assert!(decoder.decode(&payload, &mut out));
    }
    out
}

/// The greatest change of slope: what makes a click.
fn bend(sound: &[i16]) -> i32 {
    let bend = |w: &[i16]| (i32::from(w[2]) - 2 * i32::from(w[1]) + i32::from(w[0])).abs();
    sound.windows(3).map(bend).max().unwrap()
}

fn tone(hz: f32, rate: Rate, frames: usize) -> Vec<i16> {
    let step = hz / (rate.samples() * 50) as f32 * std::f32::consts::TAU;
    (0..frames * rate.samples()).map(|i| ((i as f32 * step).sin() * 6000.0) as i16).collect()
}

#[test]
fn a_voice_over_a_good_network_is_heard_sample_by_sample() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        for frames in [1, 2, 3] {
            let sound = speech(codec.rate(), 120, 1);
            let mut world = World::new(codec);
            world.play(codec, packets(codec, &sound, frames));
            let wanted = coded(codec, &sound);
            // The depth, and the first packet's whole length.
            let delay = world.heard.windows(400).position(|w| w == &wanted[800..1200]);
            let delay = delay.unwrap_or_else(|| panic!("{codec:?}, {frames}")) - 800;
            let ms = delay * 20 / codec.rate().samples();
            assert!((20..=60).contains(&ms), "{codec:?}, {frames}: {ms} ms");
            let heard = &world.heard[delay..];
            // The first frames may be blended with the silence before.
            let skip = codec.rate().samples();
            assert_eq!(&heard[skip..wanted.len()], &wanted[skip..], "{codec:?}, {frames}");
            assert_eq!((world.ear.late(), world.ear.concealed()), (0, 0));
        }
    }
}

#[test]
fn drift_is_followed_without_a_click_and_without_a_gap() {
    for (codec, frames) in [(Codec::Pcmu, 2500), (Codec::G722, 500)] {
        // 1000 ppm take 50 ms within 50 s.
        for ppm in [200i64, -200, 1000, -1000] {
            let sound = tone(173.0, codec.rate(), frames as usize);
            let mut sent = packets(codec, &sound, 1);
            for (at, _, _) in &mut sent {
                *at = (*at as i64 + *at as i64 * ppm / 1_000_000) as u64;
            }
            let mut world = World::new(codec);
            world.play(codec, sent);
            assert_eq!((world.ear.late(), world.ear.concealed()), (0, 0));
            assert!(world.ear.delay() <= 45 * MS);
            let allowed = bend(&coded(codec, &sound)) * 5 / 4;
            let n = codec.rate().samples();
            let steady = &world.heard[4 * n..(frames as usize - 50) * n];
            assert!(bend(steady) <= allowed, "{codec:?}: {} of {allowed}", bend(steady));
            // The end is heard as soon after it was said as the beginning.
            let loud = |frame: &[i16]| frame.iter().any(|s| s.abs() > 3000);
            let heard = world.heard.chunks_exact(n).rposition(loud).unwrap() as i64 * 20;
            let said = frames * 20 + frames * 20 * ppm / 1_000_000;
            assert!((20..=80).contains(&(heard - said)), "{codec:?} {ppm}: {heard}, {said}");
        }
    }
}

#[test]
fn loss_is_made_up_and_counted() {
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus].into_iter().filter(|c| c.is_built_in()) {
        for percent in [1, 5, 10, 20] {
            let count = 80_000 / codec.rate().samples() as u64;
            let sound = speech(codec.rate(), count as usize, 2);
            let mut sent = packets(codec, &sound, 1);
            let mut chance = Chance::from_number(percent);
            let last = sent.len() - 1;
            let mut n = 0;
            sent.retain(|_| {
                n += 1;
                n == 1 || n > last || chance.below(100) >= percent
            });
            let lost = count - sent.len() as u64;
            let mut world = World::new(codec);
            world.play(codec, sent);
            let concealed = world.ear.concealed();
            assert!(concealed.abs_diff(lost) <= 1 + lost / 50, "{concealed} of {lost}");
            // No gap: some sound in every frame of every syllable.
            let n = codec.rate().samples();
            let energy = |s: &[i16]| s.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
            let power = energy(&world.heard) / energy(&coded(codec, &sound));
            assert!((0.75..=1.1).contains(&power), "{codec:?} {percent} %: {power:.2}");
            assert_eq!(world.heard.len() % n, 0);
        }
    }
}

#[test]
fn jitter_is_taken_out_of_a_steady_tone() {
    for most in [40_000, 120_000, 200_000] {
        let sound = tone(150.0, Rate::Narrow, 1500);
        let mut sent = packets(Codec::Pcmu, &sound, 1);
        let mut chance = Chance::from_number(most);
        for (at, _, _) in &mut sent {
            *at += chance.below(most);
        }
        let mut world = World::new(Codec::Pcmu);
        world.play(Codec::Pcmu, sent);
        // Once the depth is known (a few seconds) nothing is made up and nothing clicks.
        let steady = &world.heard[400 * 160..1400 * 160];
        let allowed = bend(&coded(Codec::Pcmu, &sound)) * 5 / 4;
        assert!(bend(steady) <= allowed, "{most}: {} of {allowed}", bend(steady));
        assert!(steady.chunks(160).all(|f| f.iter().any(|s| s.abs() > 5000)), "{most}: a gap");
        assert!(world.ear.concealed() <= 20, "{most}: {}", world.ear.concealed());
    }
}

#[test]
fn another_codec_begins_anew_and_the_counts_stay() {
    let mut world = World::new(Codec::Pcmu);
    let narrow = packets(Codec::Pcmu, &tone(200.0, Rate::Narrow, 100), 1);
    world.play(
        Codec::Pcmu,
        narrow.into_iter().enumerate().filter(|(n, _)| *n != 50).map(|p| p.1).collect(),
    );
    assert_eq!(world.ear.concealed(), 1);
    world.heard.clear();
    world.play(Codec::G722, packets(Codec::G722, &tone(200.0, Rate::Wide, 100), 1));
    assert_eq!(world.ear.concealed(), 1);
    assert!(world.heard[50 * 320..60 * 320].iter().any(|s| *s > 5000));
}

#[test]
fn a_frame_is_the_same_at_any_time_of_its_tick_and_at_the_other_rate() {
    let sent = packets(Codec::Pcmu, &tone(300.0, Rate::Narrow, 100), 1);
    let mut ear = Ear::new(Codec::Pcmu);
    assert_eq!(ear.frame(Rate::Narrow), [0; 160]);
    assert_eq!(ear.frame(Rate::Wide), [0; 320]);
    let base = Instant::now();
    for (at, header, payload) in sent {
        let at = base + Duration::from_micros(at);
        ear.packet(at, &header, Codec::Pcmu, &payload);
        ear.tick(at);
        let (narrow, wide) = (ear.frame(Rate::Narrow).to_vec(), ear.frame(Rate::Wide).to_vec());
        assert_eq!((narrow.len(), wide.len()), (160, 320));
        assert_eq!(ear.frame(Rate::Narrow), narrow);
        assert_eq!(ear.frame(Rate::Wide), wide);
    }
    assert!(ear.frame(Rate::Wide).iter().any(|s| *s > 5000));
}

#[test]
fn nothing_grows_once_warm() {
    let mut chance = Chance::from_number(3);
    let sent = packets(Codec::Pcmu, &speech(Rate::Narrow, 500, 9), 1);
    let mut ear = Ear::new(Codec::Pcmu);
    let base = Instant::now();
    let mut warm = None;
    for (n, (at, header, payload)) in sent.into_iter().enumerate() {
        let at = base + Duration::from_micros(at);
        if chance.below(20) > 0 {
            ear.packet(at, &header, Codec::Pcmu, &payload);
        }
        ear.tick(at);
        let _ = ear.frame(Rate::Wide);
        let held = (ear.sound.capacity(), ear.scratch.capacity(), ear.other.capacity());
        assert_eq!(*warm.get_or_insert(held), held, "at {n}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn any_packets_give_a_frame_a_tick(
        packets in proptest::collection::vec(
            (0u64..60_000, 0u16..300, 0u32..200_000, proptest::bool::ANY,
             proptest::collection::vec(0u8..=255, 0..600)), 0..100,
        ),
        codec in 0u8..4,
    ) {
        let codec = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus][usize::from(codec)];
        let mut ear = Ear::new(codec);
        let mut at = Instant::now();
        for (wait, sequence, timestamp, marker, payload) in packets {
            at += Duration::from_micros(wait);
            let range = 12..12 + payload.len();
            let header =
                Header { payload_type: 0, marker, sequence, timestamp, ssrc: 1, payload: range };
            ear.packet(at, &header, codec, &payload);
            ear.tick(at);
            for rate in [Rate::Narrow, Rate::Wide] {
                proptest::prop_assert_eq!(ear.frame(rate).len(), rate.samples());
            }
            proptest::prop_assert!(ear.sound.len() <= 8000);
        }
    }
}
