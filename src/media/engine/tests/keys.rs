//! Keys, both ways.

use super::*;
use crate::media::dtmf::tone::Tone;

fn digit(c: char) -> Digit {
    Digit::from_char(c).unwrap()
}

fn detect(world: &mut World, n: u32, rfc4733: bool, inband: bool) {
    world.command(Command::Detect { port: port(n), rfc4733, inband, pass: true });
}

/// A press of 100 ms by telephone-events of this payload type.
pub(super) fn press(world: &mut World, voice: &mut Voice, key: char, payload_type: u8) {
    let timestamp = voice.stamp.timestamp;
    for n in 1..=7u16 {
        let duration = n.min(5) * 160;
        let [high, low] = duration.to_be_bytes();
        let flags = if n >= 5 { 0x8a } else { 0x0a };
        let packet = voice.event(payload_type, [digit(key).event(), flags, high, low], timestamp);
        world.pass(20 * MS);
        world.speak(voice.n, &packet);
    }
    voice.stamp.timestamp = timestamp.wrapping_add(7 * 160);
}

/// A press of 100 ms as a tone.
pub(super) fn tone(world: &mut World, voice: &mut Voice, key: char) {
    let mut tone = Tone::new(digit(key));
    for n in 0..8 {
        let mut packet = voice.packet();
        for byte in &mut packet[12..] {
            let sample = if (1..6).contains(&n) { tone.sample() } else { 0 };
            *byte = g711::encode(Law::Mu, sample);
        }
        world.pass(20 * MS);
        world.speak(voice.n, &packet);
    }
}

#[test]
fn keys_are_told_as_asked_for() {
    for (rfc4733, inband, keys) in
        [(true, false, "5"), (false, true, "7"), (true, true, "75"), (false, false, "")]
    {
        let mut world = World::with_ports(1);
        detect(&mut world, 1, rfc4733, inband);
        let mut voice = Voice::new(1);
        tone(&mut world, &mut voice, '7');
        press(&mut world, &mut voice, '5', 96);
        assert_eq!(world.keys(), keys);
    }
}

#[test]
fn events_of_another_payload_type_are_believed_once_the_source_is_proven() {
    let mut world = World::with_ports(1);
    detect(&mut world, 1, true, false);
    let mut voice = Voice::new(1);
    press(&mut world, &mut voice, '5', 120);
    assert_eq!(world.keys(), "");
    world.speak(1, &voice.packet());
    press(&mut world, &mut voice, '6', 120);
    assert_eq!(world.keys(), "6");
}

#[test]
fn a_key_told_by_both_ways_is_one_key() {
    let mut world = World::with_ports(1);
    detect(&mut world, 1, true, true);
    let mut voice = Voice::new(1);
    for key in ['5', '5', '#'] {
        let timestamp = voice.stamp.timestamp;
        let mut tone = Tone::new(digit(key));
        for n in 1..=5u16 {
            let [high, low] = (n * 160).to_be_bytes();
            let packet = voice.event(96, [digit(key).event(), 10, high, low], timestamp);
            world.speak(1, &packet);
            let mut packet = voice.packet();
            packet[12..].fill_with(|| g711::encode(Law::Mu, tone.sample()));
            world.pass(20 * MS);
            world.speak(1, &packet);
        }
        talk(&mut world, &mut [&mut voice], 4);
    }
    assert_eq!(world.keys(), "55#");
}

#[test]
fn tones_of_who_sends_events_are_not_heard() {
    for (rfc4733, payload_type, keys) in [(true, 96, "5"), (true, 120, "57"), (false, 96, "7")] {
        let mut world = World::with_ports(1);
        detect(&mut world, 1, rfc4733, true);
        let mut voice = Voice::new(1);
        world.speak(1, &voice.packet());
        press(&mut world, &mut voice, '5', payload_type);
        tone(&mut world, &mut voice, '7');
        assert_eq!(world.keys(), keys, "{rfc4733} {payload_type}");
        // Another device takes the stream over, and may know tones only.
        voice.stamp.ssrc ^= 1;
        talk(&mut world, &mut [&mut voice], 150);
        tone(&mut world, &mut voice, '8');
        assert_eq!(world.keys(), format!("{keys}8"), "{rfc4733} {payload_type}");
    }
}

#[test]
fn keys_are_sent_as_events() {
    let mut world = World::with_ports(1);
    world.play(1, &[], Then::Loop(Prompt::from("hold")));
    world.pass(100 * MS);
    world.command(Command::SendDigit { port: port(1), digit: digit('9') });
    world.pass(400 * MS);
    let heard = world.take(1);
    let events: Vec<&Heard> = heard.iter().filter(|h| h.header.payload_type == 101).collect();
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|h| h.header.timestamp == events[0].header.timestamp));
    assert!(events[0].header.marker && events[1..].iter().all(|h| !h.header.marker));
    let payloads: Vec<[u8; 4]> = events.iter().map(|h| h.payload[..].try_into().unwrap()).collect();
    assert_eq!(payloads[0], [9, 10, 0, 160]);
    assert_eq!(payloads[4..], [[9, 0x8a, 3, 32]; 3]);
    for pair in heard.windows(2) {
        let step = pair[1].header.sequence.wrapping_sub(pair[0].header.sequence);
        assert_eq!(step, 1);
    }
    let after = heard.iter().rfind(|h| h.header.payload_type == 0).unwrap();
    let ran = after.header.timestamp.wrapping_sub(heard[0].header.timestamp);
    assert_eq!(u128::from(ran), (after.at - heard[0].at).as_millis() * 8);
}

#[test]
fn keys_are_sent_as_tones_where_events_are_unknown() {
    let mut world = World::with_ports(2);
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { events: None, ..peer(1) },
        crypto: None,
    });
    world.command(Command::SendDigit { port: port(1), digit: digit('9') });
    world.command(Command::SendDigit { port: port(1), digit: digit('*') });
    world.pass(600 * MS);
    assert_eq!(tones(&world.take(1)), "9*");
}

/// The tones in what was heard.
fn tones(heard: &[Heard]) -> String {
    let mut detector = crate::media::dtmf::inband::Detector::new();
    let mut keys = String::new();
    for h in heard {
        detector.hear(&h.payload, |b| g711::decode(Law::Mu, b), |key| keys.push(key.char()));
    }
    keys
}

#[test]
fn keys_come_over_the_bridge_with_the_other_sides_payload_type() {
    let mut world = World::with_ports(2);
    let other = TelephoneEvents { send: 120, receive: 120, clock: 16_000 };
    world.command(Command::Connect {
        port: port(2),
        peer: Peer { events: Some(other), ..peer(2) },
        crypto: None,
    });
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 20);
    world.take(2);
    press(&mut world, &mut voice, '4', 96);
    talk(&mut world, &mut [&mut voice], 20);
    let heard = world.take(2);
    let events: Vec<&Heard> = heard.iter().filter(|h| h.header.payload_type == 120).collect();
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|h| h.header.timestamp == events[0].header.timestamp));
    assert_eq!(events[6].payload, [4, 0x8a, 6, 64]);
    for pair in heard.windows(2) {
        let step = pair[1].header.sequence.wrapping_sub(pair[0].header.sequence);
        assert_eq!(step, 1);
    }
    let filled = heard.iter().filter(|h| h.payload == [0xff; 160]).count();
    assert_eq!(filled, 0, "no silence between the packets of a key");
}

#[test]
fn keys_come_over_the_bridge_as_tones_where_events_are_unknown() {
    let mut world = World::with_ports(2);
    world.command(Command::Connect {
        port: port(2),
        peer: Peer { events: None, ..peer(2) },
        crypto: None,
    });
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 20);
    world.take(2);
    press(&mut world, &mut voice, '4', 96);
    world.pass(100 * MS);
    let heard = world.take(2);
    assert!(heard.iter().all(|h| h.header.payload_type == 0));
    assert_unbroken(&heard);
    assert_eq!(tones(&heard), "4");
}

#[test]
fn a_key_can_be_sent_while_the_other_side_talks() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    talk(&mut world, &mut [&mut one, &mut two], 20);
    for key in ['1', '2'] {
        world.command(Command::SendDigit { port: port(2), digit: digit(key) });
    }
    world.take(2);
    talk(&mut world, &mut [&mut one, &mut two], 30);
    let heard = world.take(2);
    let keys: Vec<u8> = heard
        .iter()
        .filter(|h| h.header.payload_type == 101 && h.header.marker)
        .map(|h| h.payload[0])
        .collect();
    assert_eq!(keys, [1, 2]);
}

#[test]
fn keys_that_are_not_for_the_hearer_leave_no_trace() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    world.command(Command::Detect { port: port(1), rfc4733: true, inband: false, pass: false });
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 20);
    press(&mut world, &mut voice, '4', 96);
    talk(&mut world, &mut [&mut voice], 20);
    let heard = world.take(2);
    assert!(heard.iter().all(|h| h.header.payload_type == 0));
    assert_unbroken(&heard);
    let pause = heard.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
    assert!(pause <= 80 * MS, "{pause:?}");
    assert_eq!(world.keys(), "4");
    assert_eq!(heard.iter().filter(|h| h.payload != [0xff; 160]).count(), 40);
    // Whose hearer knows no telephone-events gets no tones either.
    let deaf = Peer { events: None, ..peer(2) };
    world.command(Command::Connect { port: port(2), peer: deaf, crypto: None });
    press(&mut world, &mut voice, '5', 96);
    world.pass(200 * MS);
    assert_eq!((tones(&world.take(2)).as_str(), world.keys().as_str()), ("", "45"));
}
