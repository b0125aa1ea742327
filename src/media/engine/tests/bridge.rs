//! Two legs joined.

use super::*;

/// 60 ms without a packet, and the wait for the next tick.
const PAUSE_MAX: Duration = Duration::from_millis(80);

#[test]
fn a_leg_hears_one_stream_from_first_prompt_to_bye() {
    let mut world = World::with_ports(3);
    let (mut caller, mut first, mut second) = (Voice::new(1), Voice::new(2), Voice::new(3));
    second.stamp.sequence = 12;
    second.stamp.timestamp = 99;
    world.play(1, &["welcome"], Then::Loop(Prompt::from("hold")));
    world.pass(700 * MS);
    world.bridge(1, 2);
    talk(&mut world, &mut [&mut caller, &mut first], 100);
    world.play(1, &[], Then::Loop(Prompt::from("hold")));
    world.pass(333 * MS);
    world.bridge(1, 3);
    talk(&mut world, &mut [&mut caller, &mut second], 100);
    world.listen(1, Source::Silence);
    world.pass(300 * MS);
    world.bridge(1, 3);
    talk(&mut world, &mut [&mut caller, &mut second], 50);
    let caller = world.take(1);
    assert_unbroken(&caller);
    assert_no_pause(&caller, 41 * MS);
    // Whoever's partner says nothing hears silence, not nothing.
    for n in [2, 3] {
        let heard = world.take(n);
        assert_unbroken(&heard);
        assert_no_pause(&heard, PAUSE_MAX);
    }
}

#[test]
fn payloads_come_over_unchanged() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    for _ in 0..50 {
        world.pass(20 * MS);
        let packet = voice.packet();
        assert!(world.speak(1, &packet));
        let heard = world.take(2).pop().unwrap();
        assert_eq!((heard.payload.as_slice(), heard.to), (&packet[12..], address(2)));
    }
}

#[test]
fn a_voice_that_lay_too_long_is_lost_and_its_keys_are_not() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    world.command(Command::Detect { port: port(1), rfc4733: true, inband: false, pass: true });
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 5);
    world.take(2);
    for _ in 0..3 {
        let packet = voice.packet();
        assert!(!world.speak_late(1, &packet));
    }
    let key = voice.event(101, [4, 10, 0, 160], 77);
    assert!(world.speak_late(1, &key));
    assert_eq!(world.keys(), "4");
    let packet = voice.packet();
    assert!(world.speak(1, &packet));
    let heard = world.take(2).pop().unwrap();
    assert_eq!(heard.payload, packet[12..]);
    let quality = world.close(1);
    assert_eq!((quality.received, quality.lost, quality.late), (10, 0, 3));
}

#[test]
fn extension_sources_and_padding_stay_behind() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut packet = vec![0x80 | 0x20 | 0x10 | 1, 0];
    packet.extend([0, 9, 0, 0, 0, 5, 0, 0, 0, 7]);
    packet.extend([1, 2, 3, 4]);
    packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    packet.extend([0x55; 160]);
    packet.extend([0, 0, 0, 4]);
    assert!(world.speak(1, &packet));
    let heard = world.take(2).pop().unwrap();
    assert_eq!((heard.payload, heard.header.payload.start), (vec![0x55; 160], 12));
}

#[test]
fn laws_are_converted_between_legs() {
    let mut world = World::with_ports(2);
    let alaw = Peer { codec: Codec::Pcma, payload_send: 8, payload_receive: 8, ..peer(2) };
    world.command(Command::Connect { port: port(2), peer: alaw, crypto: None });
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    two.payload_type = 8;
    for (voice, hearer, from, to, payload_type) in
        [(&mut one, 2, Law::Mu, Law::A, 8), (&mut two, 1, Law::A, Law::Mu, 0)]
    {
        let mut packet = voice.packet();
        world.speak(voice.n, &packet);
        let heard = world.take(hearer).pop().unwrap();
        g711::convert(from, to, &mut packet[12..]);
        assert_eq!(
            (heard.payload, heard.header.payload_type),
            (packet[12..].to_vec(), payload_type)
        );
    }
}

#[test]
fn pauses_are_filled_and_the_voice_comes_back_whole() {
    for counts_time in [true, false] {
        let mut world = World::with_ports(2);
        world.bridge(1, 2);
        let mut voice = Voice::new(1);
        talk(&mut world, &mut [&mut voice], 50);
        world.pass(1000 * MS);
        if counts_time {
            // Muted without a packet: the timestamp runs on, the sequence does not.
            voice.stamp.timestamp = voice.stamp.timestamp.wrapping_add(8000);
        }
        let before = world.heard.len();
        talk(&mut world, &mut [&mut voice], 50);
        let heard = world.take(2);
        assert_unbroken(&heard);
        assert_no_pause(&heard, PAUSE_MAX);
        let voiced = heard.iter().filter(|h| h.payload != [0xff; 160]).count();
        assert!(voiced >= 99, "{voiced} of 100 came ({before})");
        let filled = heard.iter().filter(|h| h.payload == [0xff; 160]).count();
        assert!((45..=56).contains(&filled), "{filled}");
    }
}

#[test]
fn loss_and_order_are_left_as_they_are() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 5);
    world.take(2);
    let packets: Vec<Vec<u8>> = (0..6).map(|_| voice.packet()).collect();
    // 0, 2, 1, 1 again, (3 lost), 4, 5
    let mut sequences = vec![];
    for (i, wait) in [(0, 20), (2, 20), (1, 1), (1, 1), (4, 38), (5, 20)] {
        world.pass(wait * MS);
        world.speak(1, &packets[i]);
        let heard = world.take(2);
        sequences.extend(heard.iter().map(|h| (h.header.sequence, h.payload[0])));
    }
    let (base, first) = sequences[0];
    let steps: Vec<(u16, u8)> =
        sequences.iter().map(|(s, p)| (s.wrapping_sub(base), p - first)).collect();
    assert_eq!(steps, [(0, 0), (2, 2), (1, 1), (4, 4), (5, 5)]);
}

#[test]
fn another_ssrc_of_the_same_source_is_the_same_voice() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 20);
    voice.stamp = Stamp { ssrc: 5, sequence: 40_000, timestamp: 1, marker: true };
    talk(&mut world, &mut [&mut voice], 20);
    let heard = world.take(2);
    assert_unbroken(&heard);
    // The first two might be anybody's.
    assert_eq!(heard.iter().filter(|h| h.payload != [0xff; 160]).count(), 38);
}

#[test]
fn no_burst_of_stale_packets_after_a_freeze() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 50);
    world.take(2);
    for tick_first in [false, true] {
        world.now += 5000 * MS;
        if tick_first {
            world.engine.tick(world.now);
            world.collect();
        }
        for _ in 0..250 {
            let packet = voice.packet();
            world.speak(1, &packet);
        }
        world.pass(Duration::ZERO);
        let burst = world.take(2).len();
        assert!(burst <= 10 + 1 + CATCH_UP_MAX as usize, "{burst} packets at once");
        talk(&mut world, &mut [&mut voice], 50);
        let heard = world.take(2);
        assert!((49..=52).contains(&heard.len()), "{}", heard.len());
        assert_unbroken(&heard);
    }
}

#[test]
fn nobody_floods_the_other_leg() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    for _ in 0..5000 {
        world.pass(MS / 5);
        let packet = voice.packet();
        world.speak(1, &packet);
    }
    let heard = world.take(2).len();
    assert!(heard <= 75, "{heard} packets in a second");
    // Nor by one packet over and over, nor by a new SSRC each time.
    let packet = voice.packet();
    (0..1000).for_each(|_| {
        world.speak(1, &packet);
    });
    for n in 0..1000 {
        voice.stamp.ssrc = n;
        let packet = voice.packet();
        world.speak(1, &packet);
    }
    assert!(world.take(2).len() <= 15);
}

#[test]
fn an_overlay_interrupts_the_bridge() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    talk(&mut world, &mut [&mut one, &mut two], 20);
    world.command(Command::Overlay { port: port(2), prompts: vec![Prompt::from("wait")] });
    talk(&mut world, &mut [&mut one, &mut two], 20);
    let heard = world.take(2);
    assert_unbroken(&heard);
    let audio: Vec<u8> = heard.into_iter().flat_map(|h| h.payload).collect();
    let wait = encoded(&["wait"]);
    assert!(audio.windows(wait.len()).any(|w| w == wait));
    let other = world.take(1);
    assert_eq!(other.iter().filter(|h| h.payload != [0xff; 160]).count(), 40);
}

#[test]
fn a_closed_or_held_side_leaves_silence() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    talk(&mut world, &mut [&mut one, &mut two], 20);
    world.command(Command::Connect {
        port: port(2),
        peer: Peer { send: false, ..peer(2) },
        crypto: None,
    });
    world.take(2);
    talk(&mut world, &mut [&mut one, &mut two], 20);
    assert!(world.take(2).is_empty());
    world.command(Command::Connect { port: port(2), peer: peer(2), crypto: None });
    talk(&mut world, &mut [&mut one, &mut two], 20);
    assert!(world.take(2).len() >= 20);
    world.close(2);
    world.pass(500 * MS);
    let heard = world.take(1);
    assert_unbroken(&heard);
    assert_no_pause(&heard, PAUSE_MAX);
}

#[test]
fn a_slow_clock_does_not_drift_away() {
    for step in [20_004, 19_996] {
        let mut world = World::with_ports(2);
        world.bridge(1, 2);
        let mut voice = Voice::new(1);
        // 200 ppm for twenty minutes: 240 ms.
        for _ in 0..60_000 {
            world.pass(Duration::from_micros(step));
            let packet = voice.packet();
            assert!(world.speak(1, &packet));
        }
        let heard = world.take(2);
        let filled = heard.iter().filter(|h| h.payload == [0xff; 160]).count();
        assert!(filled <= 2, "{filled}");
    }
}

#[test]
fn long_packets_are_not_mistaken_for_a_pause() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    world.speak(1, &voice.packet());
    world.take(2);
    for _ in 0..50 {
        let mut packet = voice.packet();
        packet.extend([0x33; 320]);
        voice.stamp.timestamp = voice.stamp.timestamp.wrapping_add(320);
        world.pass(20 * MS);
        world.speak(1, &packet);
        world.pass(40 * MS);
    }
    let heard = world.take(2);
    assert_eq!(heard.len(), 50);
    assert!(heard.iter().all(|h| h.payload.len() == 480));
}

#[test]
fn the_other_law_is_understood_once_the_source_is_proven() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    voice.payload_type = 8;
    assert!(!world.speak(1, &voice.packet()));
    voice.payload_type = 0;
    world.speak(1, &voice.packet());
    voice.payload_type = 8;
    let mut packet = voice.packet();
    assert!(world.speak(1, &packet));
    g711::convert(Law::A, Law::Mu, &mut packet[12..]);
    let heard = world.take(2).pop().unwrap();
    assert_eq!((heard.payload, heard.header.payload_type), (packet[12..].to_vec(), 0));
}
