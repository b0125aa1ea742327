//! One port: what is sent when, whom it is locked to, prompts, music, late ticks, silence.

use super::*;

#[test]
fn fifty_packets_a_second_from_connect_on() {
    let mut world = World::new();
    world.open(1);
    world.pass(200 * MS);
    assert!(world.take(1).is_empty());
    world.command(Command::Connect { port: port(1), peer: peer(1), crypto: None });
    world.pass(1000 * MS);
    let heard = world.take(1);
    assert!((49..=51).contains(&heard.len()));
    assert_unbroken(&heard);
    assert!(heard[0].header.marker && !heard[1].header.marker);
    assert!(heard.iter().all(|h| h.payload == [0xff; 160] && h.header.payload_type == 0));
}

#[test]
fn nothing_goes_to_whom_nothing_proves() {
    let mut world = World::new();
    world.open(1);
    let unproven = Peer { proven: false, latch: Some([203, 0, 113, 5].into()), ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: unproven, crypto: None });
    world.play(1, &["welcome"], Then::Silence);
    world.pass(1000 * MS);
    let mut voice = Voice::new(1);
    // Strangers, and a wrong payload type from the right source, prove nothing.
    assert!(!world.speak_from(1, address(9), &voice.packet()));
    voice.payload_type = 18;
    world.speak(1, &voice.packet());
    world.speak(1, &[0; 30]);
    world.pass(1000 * MS);
    assert!(world.take(1).is_empty() && world.rtcp.is_empty());
    voice.payload_type = 0;
    world.speak(1, &voice.packet());
    assert!(world.events.contains(&Event::Heard { port: port(1) }));
    world.pass(20 * MS);
    let heard = world.take(1);
    // The prompt waited for somebody to hear it.
    assert_eq!(heard[0].payload, encoded(&["welcome"])[..160]);
    assert_eq!(heard[0].to, address(1));
}

#[test]
fn locks_on_the_signaling_address_and_counts_strangers() {
    let mut world = World::new();
    world.open(1);
    let nat = SocketAddr::from(([203, 0, 113, 5], 61_234));
    let natted = Peer { latch: Some(nat.ip()), ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: natted, crypto: None });
    let mut voice = Voice::new(1);
    for _ in 0..60 {
        world.speak_from(1, nat, &voice.packet());
        world.pass(20 * MS);
    }
    assert!(world.take(1).iter().all(|h| h.to == nat));
    // Locked: not even SDP's own address, nor another port of the same host, but for the same voice.
    let mut other = Voice::new(7);
    for stranger in [address(1), SocketAddr::new(nat.ip(), 61_235), address(9)] {
        world.speak_from(1, stranger, &other.packet());
    }
    world.pass(20 * MS);
    assert!(world.take(1).iter().all(|h| h.to == nat));
    // The same again changes nothing; another address opens the lock.
    world.command(Command::Connect { port: port(1), peer: natted, crypto: None });
    world.speak_from(1, address(1), &other.packet());
    let moved = Peer { rtp: address(2), ..natted };
    world.command(Command::Connect { port: port(1), peer: moved, crypto: None });
    world.pass(20 * MS);
    assert!(world.take(1).iter().all(|h| h.to == nat || h.to == address(2)));
    world.speak_from(1, address(2), &voice.packet());
    world.speak_from(1, nat, &other.packet());
    let quality = world.close(1);
    assert_eq!((quality.received, quality.strangers), (61, 5));
}

#[test]
fn prompts_then_music_without_a_gap() {
    let mut world = World::with_ports(1);
    world.play(1, &["welcome", "missing", "wait"], Then::Loop(Prompt::from("hold")));
    world.pass(1200 * MS);
    let heard = world.take(1);
    assert_unbroken(&heard);
    let audio: Vec<u8> = heard.iter().flat_map(|h| h.payload.clone()).collect();
    let wanted = encoded(&["welcome", "wait", "hold", "hold", "hold", "hold"]);
    assert_eq!(audio, wanted[..audio.len()]);
    let played = world.events.iter().filter(|e| matches!(e, Event::Played { .. })).count();
    assert_eq!(played, 1);
}

#[test]
fn the_end_of_the_last_prompt_is_told_in_time() {
    let mut world = World::with_ports(1);
    world.play(1, &["welcome"], Then::Silence);
    // 1001 samples: seven packets.
    world.pass(120 * MS);
    assert!(!world.events.iter().any(|e| matches!(e, Event::Played { .. })));
    world.pass(20 * MS);
    assert_eq!(world.events.last(), Some(&Event::Played { port: port(1), play: PlayId(7) }));
    world.pass(40 * MS);
    assert_eq!(world.take(1).last().unwrap().payload, [0xff; 160]);
    world.play(1, &["missing"], Then::Silence);
    world.pass(20 * MS);
    let played = world.events.iter().filter(|e| matches!(e, Event::Played { .. })).count();
    assert_eq!(played, 2, "a playing of nothing ends at once");
}

#[test]
fn music_goes_on_where_it_was_left() {
    let mut world = World::with_ports(1);
    let hold = || Then::Loop(Prompt::from("hold"));
    world.play(1, &[], hold());
    world.pass(100 * MS);
    world.play(1, &["wait"], hold());
    world.pass(300 * MS);
    let audio: Vec<u8> = world.take(1).into_iter().flat_map(|h| h.payload).collect();
    let (music, wait) = (encoded(&["hold", "hold"]), encoded(&["wait"]));
    let wanted = [&music[..800], &wait[..], &music[800..]].concat();
    assert_eq!(audio, wanted[..audio.len()]);
}

#[test]
fn an_overlay_covers_and_the_rest_goes_on_unheard() {
    let mut world = World::with_ports(1);
    world.play(1, &[], Then::Loop(Prompt::from("hold")));
    world.pass(40 * MS);
    world.command(Command::Overlay { port: port(1), prompts: vec![Prompt::from("wait")] });
    world.pass(160 * MS);
    let heard = world.take(1);
    assert_unbroken(&heard);
    let audio: Vec<u8> = heard.into_iter().flat_map(|h| h.payload).collect();
    let (music, wait) = (encoded(&["hold"]), encoded(&["wait"]));
    let covered = 320 + wait.len();
    assert_eq!(audio, [&music[..320], &wait[..], &music[covered..1600]].concat());
}

#[test]
fn a_held_peer_gets_nothing_and_time_goes_on() {
    let mut world = World::with_ports(1);
    world.pass(100 * MS);
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { send: false, ..peer(1) },
        crypto: None,
    });
    assert!(!world.take(1).is_empty());
    world.play(1, &["welcome"], Then::Silence);
    world.pass(1000 * MS);
    assert!(world.take(1).is_empty());
    assert!(world.events.iter().any(|e| matches!(e, Event::Played { .. })));
    let before = world.now;
    world.command(Command::Connect { port: port(1), peer: peer(1), crypto: None });
    world.pass(100 * MS);
    let heard = world.take(1);
    assert!(heard[0].header.marker && heard[0].at <= before + TICK);
    assert_unbroken(&heard);
}

#[test]
fn a_freeze_ends_without_a_burst() {
    let mut world = World::with_ports(1);
    world.pass(100 * MS);
    world.take(1);
    world.now += 5000 * MS;
    world.engine.tick(world.now);
    world.collect();
    assert!(world.take(1).len() <= CATCH_UP_MAX as usize);
    let next = world.engine.poll_timeout().unwrap();
    assert!(next > world.now && next <= world.now + TICK);
    world.pass(1000 * MS);
    let heard = world.take(1);
    assert!((49..=51).contains(&heard.len()));
    assert_unbroken(&heard);
}

#[test]
fn a_late_tick_is_made_up_for() {
    let mut world = World::with_ports(1);
    world.pass(100 * MS);
    for _ in 0..20 {
        world.now += 33 * MS;
        world.engine.tick(world.now);
        world.collect();
    }
    let heard = world.take(1);
    assert!((37..=39).contains(&heard.len()), "{}", heard.len());
    for pair in heard.windows(2) {
        assert_eq!(pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp), 160);
    }
}

#[test]
fn a_tick_of_many_ports_takes_several_calls() {
    let mut world = World::with_ports(100);
    let mut ticked = vec![];
    for round in 1..=3 {
        world.now += TICK;
        let mut calls = 0;
        while world.engine.poll_timeout().is_some_and(|at| at <= world.now) {
            world.engine.tick(world.now);
            world.collect();
            calls += 1;
            let heard = world.heard.len();
            assert!(heard <= TRANSMITS_A_CALL, "{heard} packets of one call");
            ticked.extend(std::mem::take(&mut world.heard).into_iter().map(|(port, _)| port.n));
            // Whoever comes in between waits for the next tick, or has this one.
            if (round, calls) == (2, 2) {
                world.close(1);
                world.close(100);
            }
        }
        assert_eq!(calls, 4);
    }
    let times = |n| ticked.iter().filter(|port| **port == n).count();
    assert_eq!((times(1), times(100)), (2, 1));
    assert!((2..100).all(|n| times(n) == 3), "{ticked:?}");
}

#[test]
fn silence_is_told_once_and_so_is_life() {
    let mut world = World::with_ports(1);
    let told = |w: &World| -> Vec<Event> {
        let of = |e: &&Event| matches!(e, Event::Silent { .. } | Event::Resumed { .. });
        w.events.iter().filter(of).cloned().collect()
    };
    world.pass(20_000 * MS);
    assert!(told(&world).is_empty(), "a peer that has never sent a packet is not called silent");
    let mut voice = Voice::new(1);
    world.speak(1, &voice.packet());
    world.pass(2900 * MS);
    assert!(told(&world).is_empty());
    world.pass(5000 * MS);
    assert_eq!(told(&world), [Event::Silent { port: port(1) }]);
    world.speak(1, &voice.packet());
    assert_eq!(told(&world).len(), 2);
    assert_eq!(told(&world)[1], Event::Resumed { port: port(1) });
    // A peer that holds us owes us nothing.
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { receive: false, ..peer(1) },
        crypto: None,
    });
    world.pass(20_000 * MS);
    assert_eq!(told(&world).len(), 2);
    world.command(Command::Connect { port: port(1), peer: peer(1), crypto: None });
    world.pass(2900 * MS);
    assert_eq!(told(&world).len(), 2);
    world.pass(200 * MS);
    assert_eq!(told(&world).len(), 3);
}

#[test]
fn orders_for_nobody_change_nothing() {
    let mut world = World::new();
    world.listen(1, Source::Silence);
    world.bridge(1, 2);
    world.command(Command::Close { port: port(1) });
    world.command(Command::SendDigit { port: port(1), digit: Digit::from_char('1').unwrap() });
    world.pass(100 * MS);
    assert!(world.events.is_empty() && world.engine.poll_timeout().is_none());
    world.open(1);
    world.open(1);
    assert_eq!(world.events, [Event::Opened { port: port(1) }]);
    world.close(1);
    assert_eq!((world.engine.ports(), world.engine.poll_timeout()), (0, None));
}

proptest::proptest! {
    #[test]
    fn any_packets_are_survived(
        packets in proptest::collection::vec(
            (0u8..4, 1u32..3, proptest::collection::vec(0u8..=255, 0..64)), 0..40,
        )
    ) {
        let mut world = World::with_ports(2);
        world.bridge(1, 2);
        world.command(Command::Detect { port: port(1), rfc4733: true, inband: true, pass: true });
        let mut voice = Voice::new(1);
        world.speak(1, &voice.packet());
        for (kind, n, mut bytes) in packets {
            if kind > 0 {
                bytes.splice(..0, [0x80]);
            }
            if kind > 1 && bytes.len() > 1 {
                bytes[1] = [0, 96, 101, 13][usize::from(bytes[1] % 4)];
            }
            if kind == 0 {
                world.engine.handle_rtcp(world.now, port(n), address(n), &mut bytes);
            }
            world.speak(n, &bytes);
            world.pass(5 * MS);
        }
    }
}
