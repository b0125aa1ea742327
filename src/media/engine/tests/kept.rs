//! Ports that go on after the process was killed.

mod places;

use bytes::Bytes;

use super::keys::{press, tone};
use super::secure::{SUITES, crypto};
use super::*;
use crate::media::dtmf::tone::Tone;
use crate::media::kept::State;
use crate::media::{Crypto, Suite};
use crate::time::Anchor;

/// When the system was booted, before a moment.
const UPTIME: Duration = Duration::from_secs(5000);

impl World {
    /// Ports 1 to `n` in an engine that keeps; with a suite their legs are secure.
    fn keeping(n: u32, suite: Option<Suite>) -> Self {
        let mut world = Self::with_ports(n);
        world.begin_keeping();
        if let Some(suite) = suite {
            (1..=n).for_each(|n| world.secure(n, suite));
        }
        world
    }

    /// Each process reads both clocks for itself.
    fn begin_keeping(&mut self) {
        let first = *self.keeps.get_or_insert(Anchor { mono: self.now, since_boot: UPTIME });
        let since_boot = Duration::from_nanos(first.nanos(self.now));
        self.engine.keep(Anchor { mono: self.now, since_boot });
    }

    /// The latest state of a port that was told until then.
    fn latest(&self, n: u32, until: Instant) -> Option<Bytes> {
        let mut all = self.kept.iter().rev();
        let found = all.find(|(at, kept)| kept.port == port(n) && *at <= until);
        found.map(|(_, kept)| kept.state.clone())
    }

    /// The process dies, and so long after it there is another.
    fn die(&mut self, down: Duration) {
        self.now += down;
        let chance = Chance::from_number(self.keeps.unwrap().nanos(self.now));
        self.engine = Engine::new(Config::default(), Arc::new(library()), chance);
        self.begin_keeping();
    }

    /// Opens a port again, to go on from a state.
    fn resume(&mut self, n: u32, state: Option<Bytes>, peer: Peer, crypto: Option<Arc<Crypto>>) {
        self.open(n);
        if let Some(state) = state {
            self.command(Command::Resume { port: port(n), state });
        }
        self.command(Command::Connect { port: port(n), peer, crypto });
    }

    /// Dies, and goes on with ports 1 to `n` from their latest states.
    fn survive(&mut self, n: u32, suite: Option<Suite>, down: Duration) {
        let died = self.now;
        self.die(down);
        for n in 1..=n {
            let state = self.latest(n, died);
            self.resume(n, state, peer(n), suite.map(|suite| crypto(suite, n, 0).0));
        }
    }
}

/// A stream of which the process has died after `before` packets: the same stream, whose timestamp
/// runs with the clock and whose numbers go on behind those that were used.
fn assert_goes_on(heard: &[Heard], before: usize) {
    let (old, new) = heard.split_at(before);
    let (last, next) = (old.last().unwrap(), &new[0]);
    assert_unbroken(old);
    assert_unbroken(new);
    assert_eq!(next.header.ssrc, last.header.ssrc);
    let gap = next.header.sequence.wrapping_sub(last.header.sequence);
    let most = 3 + 128 + (next.at - last.at).as_millis() as u16 / 2 + 500;
    assert!((1..=most).contains(&gap), "{gap}");
    assert!(next.header.marker);
    let ran = next.header.timestamp.wrapping_sub(last.header.timestamp) as i32;
    let real = (next.at - last.at).as_millis() as i32 * 8;
    assert!((ran - real).abs() <= 45 * 8, "{ran} samples in {real}");
}

#[test]
fn a_relayed_voice_goes_on_without_a_jump() {
    let mut world = World::keeping(2, None);
    world.play(2, &["wait"], Then::Silence);
    world.pass(130 * MS);
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    for times in 1..=4 {
        // Each time at another moment since the state was told.
        talk(&mut world, &mut [&mut one, &mut two], 71);
        world.take(1);
        let before = world.take(2).pop().unwrap();
        world.survive(2, None, 100 * MS);
        world.bridge(1, 2);
        // What came meanwhile lay in the sockets that were kept: nothing is lost.
        for _ in 0..5 {
            let packet = one.packet();
            assert!(world.speak(1, &packet));
            assert_eq!(world.heard.last().unwrap().1.payload, packet[12..]);
        }
        two.skip(5);
        talk(&mut world, &mut [&mut one, &mut two], 71);
        let heard = world.take(2);
        assert!(heard[0].header.marker);
        for (heard, n) in heard.iter().zip(1u16..) {
            let (header, last) = (&heard.header, &before.header);
            assert_eq!(header.ssrc, last.ssrc);
            assert_eq!(header.sequence, last.sequence.wrapping_add(n));
            assert_eq!(header.timestamp, last.timestamp.wrapping_add(u32::from(n) * 160));
        }
        assert_eq!(heard.len(), 76);
        // The other way five are missing, and are told missing by their numbers.
        let back = world.take(1);
        assert_eq!(back.len(), 71);
        assert_unbroken(&back);
        let count = |is: fn(&&Event) -> bool| world.events.iter().filter(is).count();
        assert_eq!(count(|event| matches!(event, Event::Heard { .. })), 2);
        // Whoever wonders whether they are still there need not ask.
        assert_eq!(count(|event| matches!(event, Event::Resumed { .. })), 2 * times);
    }
}

#[test]
fn what_is_played_and_mixed_goes_on() {
    for suite in [None, Some(SUITES[0]), Some(SUITES[2])] {
        let mut world = World::keeping(3, suite);
        let hear = |world: &mut World| {
            world.play(1, &[], Then::Loop(Prompt::from("hold")));
            world.listen(2, Source::Mix(vec![port(1), port(3)]));
            world.listen(3, Source::Silence);
        };
        let mut voices = [Voice::new(1), Voice::new(3)];
        let [one, three] = &mut voices;
        hear(&mut world);
        talk(&mut world, &mut [one, three], 163);
        let before = [1, 2, 3].map(|n| world.heard.iter().filter(|(id, _)| *id == port(n)).count());
        world.survive(3, suite, 230 * MS);
        hear(&mut world);
        one.skip(11);
        three.skip(11);
        talk(&mut world, &mut [one, three], 100);
        for (n, before) in [1, 2, 3].into_iter().zip(before) {
            assert_goes_on(&world.take(n), before);
        }
        assert_eq!(world.garbled, 0);
        assert_eq!(world.close(1).rejected, 0);
    }
}

#[test]
fn reports_go_on_with_the_same_name_and_counts() {
    let mut world = World::keeping(1, Some(SUITES[0]));
    world.play(1, &[], Then::Loop(Prompt::from("hold")));
    world.pass(20_000 * MS);
    let before = world.rtcp.len();
    world.survive(1, Some(SUITES[0]), 150 * MS);
    world.play(1, &[], Then::Loop(Prompt::from("hold")));
    world.pass(20_000 * MS);
    let word =
        |n: usize, at: usize| u32::from_be_bytes(world.rtcp[n].2[at..at + 4].try_into().unwrap());
    let name = |n: usize| world.rtcp[n].2[28..].to_vec();
    assert!(before >= 3 && world.rtcp.len() >= before + 3);
    for n in 1..world.rtcp.len() {
        assert_eq!(word(n, 4), word(0, 4), "SSRC");
        assert_eq!(name(n), name(0));
        let since = |at| word(n, at).wrapping_sub(word(n - 1, at));
        // Seconds and timestamp run together, packets never backwards.
        let (seconds, samples, packets) = (since(8), since(16), since(20));
        assert!(samples.abs_diff(seconds * 8000) <= 8000, "{samples} in {seconds}");
        assert!(packets.abs_diff(seconds * 50) <= 120, "{packets} in {seconds}");
    }
    assert_eq!(world.garbled, 0);
}

#[test]
fn protected_voices_go_on_under_the_same_keys() {
    for suite in SUITES {
        let mut world = World::keeping(2, Some(suite));
        world.bridge(1, 2);
        let (mut one, mut two) = (Voice::new(1), Voice::new(2));
        let mut old = vec![];
        for _ in 0..120 {
            let packet = one.packet();
            let sealed = world.sealed(1, &packet);
            world.speak_raw(1, address(1), &sealed);
            old.push(sealed);
            talk(&mut world, &mut [&mut two], 1);
        }
        let before = world.heard.iter().filter(|(id, _)| *id == port(2)).count();
        world.survive(2, Some(suite), 100 * MS);
        world.bridge(1, 2);
        // What came before the state was told comes again.
        for sealed in &old[..60] {
            assert!(!world.speak_raw(1, address(1), sealed));
        }
        // The peers' counters have rolled over long before, by which they prove themselves.
        one.skip(5);
        let packet = one.packet();
        assert!(world.speak(1, &packet));
        // And behind a new packet nothing of before.
        for sealed in &old {
            assert!(!world.speak_raw(1, address(1), sealed));
        }
        two.skip(5);
        talk(&mut world, &mut [&mut one, &mut two], 100);
        let heard = world.take(2);
        assert_goes_on(&heard, before);
        assert_eq!((heard.len(), world.garbled), (before + 101, 0));
        assert_eq!((world.close(1).rejected, world.close(2).rejected), (60 + 120, 0));
    }
}

#[test]
fn counters_roll_over_while_nobody_is_there() {
    for suite in SUITES {
        let mut world = World::with_ports(2);
        (1..=2).for_each(|n| world.secure(n, suite));
        world.bridge(1, 2);
        let mut voice = Voice::new(1);
        // By the holes of lost packets up to the last numbers before the wrap.
        loop {
            talk(&mut world, &mut [&mut voice], 1);
            let last = world.take(2).pop().unwrap().header.sequence;
            if (65_300..65_450).contains(&last) {
                break;
            }
            voice.stamp.sequence = voice.stamp.sequence.wrapping_add(98);
        }
        world.begin_keeping();
        talk(&mut world, &mut [&mut voice], 10);
        let last = world.take(2).pop().unwrap().header.sequence;
        assert!((65_300..65_500).contains(&last), "{last}");
        world.survive(2, Some(suite), 100 * MS);
        world.bridge(1, 2);
        voice.skip(5);
        talk(&mut world, &mut [&mut voice], 100);
        let heard = world.take(2);
        assert!(heard.len() >= 100 && heard[0].header.sequence < 1000);
        assert_eq!(world.garbled, 0, "the peer's counter has followed");
        // Once more, with a counter that is not zero.
        world.survive(2, Some(suite), 100 * MS);
        world.bridge(1, 2);
        voice.skip(5);
        talk(&mut world, &mut [&mut voice], 100);
        assert!(world.take(2).len() >= 100);
        assert_eq!((world.garbled, world.close(1).rejected), (0, 0));
    }
}

#[test]
fn a_key_under_way_is_told_once() {
    for inband in [false, true] {
        let mut world = World::keeping(2, None);
        let detect = |world: &mut World| {
            let (port, rfc4733) = (port(1), !inband);
            world.command(Command::Detect { port, rfc4733, inband, pass: true });
            world.bridge(1, 2);
        };
        detect(&mut world);
        let mut voice = Voice::new(1);
        talk(&mut world, &mut [&mut voice], 60);
        let timestamp = voice.stamp.timestamp;
        let mut sound = Tone::new(Digit::from_char('4').unwrap());
        let mut hold = |world: &mut World, voice: &mut Voice, from: u16| {
            for n in from..from + 8 {
                let [high, low] = (n * 160).to_be_bytes();
                let mut packet = match inband {
                    true => voice.packet(),
                    false => voice.event(96, [4, 10, high, low], timestamp),
                };
                if inband {
                    packet[12..].fill_with(|| g711::encode(Law::Mu, sound.sample()));
                }
                world.speak(1, &packet);
                world.pass(20 * MS);
            }
        };
        hold(&mut world, &mut voice, 1);
        assert_eq!(world.keys(), "4");
        let before = world.take(2).pop().unwrap().header;
        world.survive(2, None, 60 * MS);
        detect(&mut world);
        hold(&mut world, &mut voice, 9);
        assert_eq!(world.keys(), "4", "{inband}");
        let after = world.take(2)[0].header.clone();
        if !inband {
            // To who hears it, it is one press as well.
            assert_eq!((after.payload_type, after.timestamp), (101, before.timestamp));
        }
        voice.stamp.timestamp = voice.stamp.timestamp.wrapping_add(17 * 160);
        talk(&mut world, &mut [&mut voice], 20);
        match inband {
            true => tone(&mut world, &mut voice, '4'),
            false => press(&mut world, &mut voice, '4', 96),
        }
        assert_eq!(world.keys(), "44", "the next press is another");
    }
}

#[test]
fn who_was_not_the_peer_before_is_not_after() {
    for suite in [None, Some(SUITES[0])] {
        // Behind NAT: nobody is where SDP says.
        let nat = SocketAddr::from(([203, 0, 113, 1], 7000));
        let hidden =
            Peer { rtp: SocketAddr::from(([10, 0, 0, 1], 4000)), latch: Some(nat.ip()), ..peer(1) };
        let keys = |n| suite.map(|suite| crypto(suite, n, 0).0);
        let mut world = World::keeping(2, suite);
        let connect = |world: &mut World, n, peer| {
            world.command(Command::Connect { port: port(n), peer, crypto: keys(n) });
        };
        world.close(1);
        world.open(1);
        connect(&mut world, 1, hidden);
        world.bridge(1, 2);
        let (mut one, mut two) = (Voice::new(1), Voice::new(2));
        let both = |world: &mut World, one: &mut Voice, two: &mut Voice| {
            let packet = one.packet();
            world.speak_from(1, nat, &packet);
            talk(world, &mut [two], 1);
        };
        (0..80).for_each(|_| both(&mut world, &mut one, &mut two));
        let died = world.now;
        world.die(100 * MS);
        for (n, peer) in [(1, hidden), (2, peer(2))] {
            let state = world.latest(n, died);
            world.resume(n, state, peer, keys(n));
        }
        world.bridge(1, 2);
        world.heard.clear();
        world.rtcp.clear();
        let mut forged = Voice::new(7);
        // Nor is another port of the peer's address, while the peer is slow to come back.
        for _ in 0..60 {
            let packet = forged.packet();
            assert!(!world.speak_raw(1, SocketAddr::new(nat.ip(), 7002), &packet));
            world.pass(20 * MS);
        }
        let strangers = [address(9), hidden.rtp, SocketAddr::new(nat.ip(), 7002), nat];
        for _ in 0..100 {
            for stranger in strangers {
                let packet = forged.packet();
                assert!(!world.speak_raw(1, stranger, &packet));
            }
            both(&mut world, &mut one, &mut two);
        }
        // The peer hears from the first packet on, and nobody else does.
        let heard = world.take(1);
        assert!(heard.len() >= 100 && heard.iter().all(|heard| heard.to == nat), "{suite:?}");
        let voiced = world.take(2).into_iter().filter(|heard| heard.payload != [0xff; 160]);
        assert_eq!(voiced.count(), 100);
        assert!(world.rtcp.iter().all(|(id, to, _)| *id == port(2) || to.ip() == nat.ip()));
        let quality = world.close(1);
        let (strange, refused) = (quality.strangers, quality.rejected);
        assert_eq!((quality.received, strange + refused), (100, 460), "{suite:?}");
    }
}

#[test]
fn what_is_no_state_begins_anew() {
    let mut world = World::keeping(2, Some(SUITES[0]));
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    talk(&mut world, &mut [&mut one, &mut two], 100);
    let ssrc = world.take(2)[0].header.ssrc;
    let whole = world.latest(2, world.now).unwrap();
    let good = State::parse(&whole).unwrap();
    let other = |change: &dyn Fn(&mut State)| {
        let mut state = good.clone();
        change(&mut state);
        Some(Bytes::from(state.print()))
    };
    let second = 1_000_000_000;
    let broken = [
        None,
        Some(Bytes::new()),
        Some(Bytes::from_static(b"\x01nothing")),
        Some(whole.slice(..whole.len() - 1)),
        other(&|state| state.told -= 40 * second),
        other(&|state| state.told += 40 * second),
        other(&|state| state.line.due += 40 * second),
        other(&|state| state.line.next = u64::MAX),
        other(&|state| state.reports.packets = u64::MAX),
        other(&|state| state.units.whole = i64::MAX),
        other(&|state| state.secure.as_mut().unwrap().sent_rtcp = u64::MAX),
        other(&|state| state.secure.as_mut().unwrap().received = Some((1, u64::MAX))),
    ];
    for state in broken {
        world.die(100 * MS);
        world.resume(1, None, peer(1), Some(crypto(SUITES[0], 1, 0).0));
        world.resume(2, state, peer(2), Some(crypto(SUITES[0], 2, 0).0));
        world.bridge(1, 2);
        world.heard.clear();
        talk(&mut world, &mut [&mut one, &mut two], 10);
        let heard = world.take(2);
        assert!(heard.len() >= 10);
        assert_ne!(heard[0].header.ssrc, ssrc, "the same keys, so another stream");
        assert_unbroken(&heard);
    }
}

/// Keys that come later than the port goes on protect a stream of which nothing was sent.
#[test]
fn keys_of_which_nothing_is_known_begin_another_stream() {
    let suite = SUITES[0];
    let mut world = World::keeping(1, Some(suite));
    world.play(1, &[], Then::Loop(Prompt::from("hold")));
    world.pass(1500 * MS);
    let ssrc = world.take(1)[0].header.ssrc;
    world.survive(1, None, 100 * MS);
    world.guards.clear();
    world.pass(100 * MS);
    assert_eq!(world.take(1)[0].header.ssrc, ssrc, "plain now");
    world.secure(1, suite);
    world.pass(100 * MS);
    assert_ne!(world.take(1)[0].header.ssrc, ssrc);
    assert_eq!(world.garbled, 0);
}

#[test]
fn states_are_told_once_a_second_and_spread_over_it() {
    let mut world = World::with_ports(100);
    world.pass(2000 * MS);
    assert!(world.kept.is_empty(), "unasked");
    world.begin_keeping();
    world.pass(2000 * MS);
    world.kept.clear();
    world.pass(10_000 * MS);
    let told = world.kept.len();
    assert!((990..=1010).contains(&told), "{told}");
    let at_once = world.kept.chunk_by(|(a, _), (b, _)| a == b).map(<[_]>::len).max();
    assert!(at_once <= Some(3), "{at_once:?}");
    assert!(world.kept.iter().all(|(_, kept)| kept.state.len() <= 128));
    // A port that nobody has spoken to or heard from has nothing to keep.
    world.kept.clear();
    world.open(200);
    let peer = Peer { proven: false, ..peer(200) };
    world.command(Command::Connect { port: port(200), peer, crypto: None });
    world.pass(3000 * MS);
    assert!(world.kept.iter().all(|(_, kept)| kept.port != port(200)));
    // The first packet is told of at once.
    world.speak(200, &Voice::new(200).packet());
    world.pass(20 * MS);
    assert!(world.kept.iter().any(|(_, kept)| kept.port == port(200)));
}
