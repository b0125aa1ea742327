//! Random calls with crashes: no place of a protected stream is ever used twice, and no state does
//! harm.

use proptest::prelude::*;

use super::*;

/// Every place of a protected stream, and what was sent there.
#[derive(Default)]
struct Places {
    newest: BTreeMap<(u32, u32), u64>,
    sent: BTreeMap<(u32, u32, bool, u64), Vec<u8>>,
}

impl Places {
    /// Takes what has gone out on secure legs. `tag`: bytes behind the index of reports.
    fn take(&mut self, world: &mut World, tag: usize) {
        for (n, packet) in world.wire.drain(..) {
            let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
            let is_report = (192..=223).contains(&packet[1]);
            let (ssrc, index) = if is_report {
                (word(4), u64::from(word(packet.len() - tag - 4)))
            } else {
                let ssrc = word(8);
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                let newest = self.newest.entry((n, ssrc)).or_insert_with(|| sequence.into());
                let step = sequence.wrapping_sub(*newest as u16) as i16;
                let index = newest.checked_add_signed(step.into()).unwrap();
                *newest = index.max(*newest);
                (ssrc, index)
            };
            let before = self.sent.insert((n, ssrc, is_report, index), packet.clone());
            assert!(before.is_none_or(|before| before == packet), "{n} {ssrc} {index} twice");
        }
    }
}

/// What happens in a random call.
#[derive(Clone, Debug)]
enum Step {
    /// Both speak for so many packets.
    Talk(u8),
    /// So many packets of the first are lost.
    Lose(u8),
    /// The first says the same numbers again, with other sound.
    Repeat(u8),
    /// Nobody says anything for so many ms.
    Pause(u16),
    /// Many packets whose numbers run away.
    Run(u8),
    Play,
    Bridge,
    Press,
    /// The process dies and is back after so many ms, with the states of so many ms before.
    Die(u16, u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u8..80).prop_map(Step::Talk),
        2 => (1u8..120).prop_map(Step::Lose),
        2 => (1u8..120).prop_map(Step::Repeat),
        1 => (1u16..700).prop_map(Step::Pause),
        1 => (1u8..60).prop_map(Step::Run),
        1 => Just(Step::Play),
        2 => Just(Step::Bridge),
        1 => Just(Step::Press),
        4 => (20u16..300, 0u16..1500).prop_map(|(down, stale)| Step::Die(down, stale)),
    ];
    prop::collection::vec(step, 5..40)
}

/// A random call with crashes; every packet on the wire has a place of its own.
fn live(suite: Suite, is_first_plain: bool, steps: &[Step]) {
    let mut world = World::keeping(2, Some(suite));
    if is_first_plain {
        world.guards.remove(&1);
        world.command(Command::Connect { port: port(1), peer: peer(1), crypto: None });
    }
    let keys = |n| (n > 1 || !is_first_plain).then(|| crypto(suite, n, 0).0);
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    let tag = if suite == Suite::AeadAes128Gcm { 0 } else { 10 };
    let (mut places, mut written) = (Places::default(), BTreeMap::<u32, Instant>::new());
    for step in steps {
        match *step {
            Step::Talk(n) => talk(&mut world, &mut [&mut one, &mut two], n.into()),
            Step::Lose(n) => one.skip(n.into()),
            Step::Repeat(n) => {
                // With keys of its own it can't be: the peer's own protection refuses.
                if is_first_plain {
                    one.stamp.sequence = one.stamp.sequence.wrapping_sub(n.into());
                    one.stamp.timestamp = one.stamp.timestamp.wrapping_sub(u32::from(n) * 160);
                }
            }
            Step::Pause(ms) => world.pass(MS * ms.into()),
            Step::Run(n) => {
                for _ in 0..n {
                    one.stamp.sequence = one.stamp.sequence.wrapping_add(95);
                    talk(&mut world, &mut [&mut one], 1);
                }
            }
            Step::Play => world.play(2, &["welcome"], Then::Loop(Prompt::from("hold"))),
            Step::Bridge => world.bridge(1, 2),
            Step::Press => world.command(Command::SendDigit {
                port: port(2),
                digit: Digit::from_char('7').unwrap(),
            }),
            Step::Die(down, stale) => {
                let died = world.now;
                world.die(MS * down.into());
                for n in 1..=2 {
                    // What was written once does not vanish.
                    let until = died.checked_sub(MS * stale.into()).unwrap();
                    let until = written.get(&n).map_or(until, |written| until.max(*written));
                    written.insert(n, until);
                    // Nor does what was not written come later.
                    world.kept.retain(|(at, kept)| kept.port != port(n) || *at <= until);
                    let state = world.latest(n, until);
                    world.resume(n, state, peer(n), keys(n));
                }
                world.bridge(1, 2);
            }
        }
        if is_first_plain {
            world.wire.retain(|(n, _)| *n == 2);
        }
        places.take(&mut world, tag);
        let at = (world.now, &mut world.kept);
        at.1.retain(|(told, _)| at.0 - *told < 10_000 * MS);
    }
}

/// The state that is found may be older than the last, of a stream that has run as far as it may
/// since.
#[test]
fn every_state_is_gone_on_from_behind_all_that_was_sent() {
    for stale in [0, 300, 700, 1100, 1499] {
        let run = [Step::Talk(70), Step::Run(59), Step::Run(59)];
        let rest = [Step::Die(20, stale), Step::Talk(79), Step::Die(20, 0), Step::Talk(79)];
        live(SUITES[0], true, &[&run[..], &rest].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_place_is_used_twice(
        suite in prop::sample::select(SUITES.to_vec()), is_first_plain in any::<bool>(),
        steps in steps(),
    ) {
        live(suite, is_first_plain, &steps);
    }

    #[test]
    fn any_state_is_survived(
        at in 0usize.., byte in 0u8.., suite in prop::sample::select(vec![None, Some(SUITES[2])]),
    ) {
        let mut world = World::keeping(2, suite);
        world.bridge(1, 2);
        let (mut one, mut two) = (Voice::new(1), Voice::new(2));
        talk(&mut world, &mut [&mut one, &mut two], 60);
        press(&mut world, &mut one, '4', 96);
        let died = world.now;
        world.die(100 * MS);
        for n in 1..=2 {
            let mut state = world.latest(n, died).unwrap().to_vec();
            let at = at % state.len();
            state[at] = byte;
            world.resume(n, Some(state.into()), peer(n), suite.map(|suite| crypto(suite, n, 0).0));
        }
        world.bridge(1, 2);
        talk(&mut world, &mut [&mut one, &mut two], 60);
        world.pass(6000 * MS);
        world.close(1);
    }
}
