//! Legs of every codec: what is sung into one comes out of the other, as one unbroken stream.

use super::sound::{Singer, codecs, decoded, peer_by, sing, whom};
use super::*;
use crate::media::span;

#[test]
fn a_tone_comes_over_at_every_pair_of_codecs() {
    for from in codecs() {
        for to in codecs() {
            let mut world = World::speaking(&[from, to]);
            world.bridge(1, 2);
            let mut singer = [Singer::new(1, from)];
            sing(&mut world, &mut singer, 60);
            assert_unbroken_at(&world.heard_by(2), span::ticks(to));
            assert_eq!(whom(&mut world, 2, to, &[1, 2]), [1], "{from:?} {to:?}");
        }
    }
}

impl World {
    fn heard_by(&self, n: u32) -> Vec<Heard> {
        self.heard.iter().filter(|(id, _)| *id == port(n)).map(|(_, h)| h.clone()).collect()
    }
}

#[test]
fn the_same_codec_comes_over_untouched() {
    for codec in codecs() {
        let mut world = World::speaking(&[codec, codec]);
        world.bridge(1, 2);
        let mut singer = Singer::new(1, codec);
        for _ in 0..50 {
            world.pass(20 * MS);
            let packet = singer.packet();
            assert!(world.speak(1, &packet));
            assert_eq!(world.take(2).pop().unwrap().payload, packet[12..]);
        }
    }
}

#[test]
fn packets_of_other_lengths_are_gathered_without_a_hole() {
    // 10 and 30 ms of µ-law for a leg of G.722.
    for (units, packets) in [(80usize, 200), (240, 67)] {
        let mut world = World::speaking(&[Codec::Pcmu, Codec::G722]);
        world.bridge(1, 2);
        let mut stamp = Stamp { ssrc: 7, sequence: 65_530, timestamp: 0, marker: false };
        for _ in 0..packets {
            let mut packet = vec![0; 12];
            stamp.write(0, &mut packet);
            packet.extend((0..units).map(|i| 0x80 | (i % 16) as u8));
            stamp.sequence = stamp.sequence.wrapping_add(1);
            stamp.timestamp += units as u32;
            world.speak(1, &packet);
            world.pass(Duration::from_micros(units as u64 * 125));
        }
        let heard = world.take(2);
        let voiced: Vec<&Heard> =
            heard.iter().filter(|h| h.payload.iter().any(|byte| *byte != 0xfd)).collect();
        assert!(voiced.iter().all(|h| h.payload.len() % 160 == 0));
        for pair in voiced.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            assert_eq!(b.header.sequence, a.header.sequence.wrapping_add(1));
            let step = b.header.timestamp.wrapping_sub(a.header.timestamp);
            assert_eq!(step as usize, a.payload.len());
        }
        let sum: usize = voiced.iter().map(|h| h.payload.len()).sum();
        assert!(sum >= packets * units - 320, "{sum}");
    }
}

#[test]
fn neighbors_that_change_places_leave_no_hole() {
    let mut world = World::speaking(&[Codec::Pcmu, Codec::G722]);
    world.bridge(1, 2);
    let packets: Vec<Vec<u8>> = (0..200u16)
        .map(|n| {
            let timestamp = 80 * u32::from(n);
            let mut packet = vec![0; 12];
            Stamp { ssrc: 7, sequence: 65_500u16.wrapping_add(n), timestamp, marker: false }
                .write(0, &mut packet);
            packet.extend((0..80).map(|i| 0x80 | (i % 16) as u8));
            packet
        })
        .collect();
    for pair in packets.chunks(2) {
        world.pass(20 * MS);
        world.speak(1, &pair[1]);
        world.speak(1, &pair[0]);
    }
    let heard = world.take(2);
    let voiced = heard.iter().filter(|h| h.payload.iter().any(|byte| *byte != 0xfd)).count();
    assert!(voiced >= 98, "{voiced}");
    assert_unbroken(&heard);
}

#[test]
fn what_is_lost_on_the_way_to_another_codec_is_made_up() {
    for from in codecs() {
        for to in codecs().into_iter().filter(|to| from.law().is_none() || to.law().is_none()) {
            if from == to {
                continue;
            }
            let mut world = World::speaking(&[from, to]);
            world.bridge(1, 2);
            let mut singers = [Singer::new(1, from)];
            sing(&mut world, &mut singers, 50);
            world.take(2);
            // One of five is lost; the singer sings on.
            for _ in 0..50 {
                sing(&mut world, &mut singers, 4);
                singers[0].packet();
                world.pass(20 * MS);
            }
            let heard = world.take(2);
            for pair in heard.windows(2) {
                let (a, b) = (&pair[0].header, &pair[1].header);
                assert_eq!(b.sequence, a.sequence.wrapping_add(1), "{from:?} {to:?}");
            }
            let first = heard[0].header.timestamp;
            let ran = heard.last().unwrap().header.timestamp.wrapping_sub(first);
            let sound = decoded(&heard, to);
            // Nothing is missing: as much sound as time.
            let frame = 160 * span::ticks(to);
            let frames = sound.len() / to.rate().samples();
            assert!(frames.abs_diff((ran / frame) as usize) <= 2, "{from:?} {to:?} {frames}");
            // No frame of it is silent.
            let loudness = |frame: &[i16]| frame.iter().map(|s| s.unsigned_abs()).max().unwrap();
            let quiet = sound.chunks(to.rate().samples()).filter(|f| loudness(f) < 1000).count();
            assert!(quiet <= 1, "{from:?} {to:?}: {quiet} of {frames}");
        }
    }
}

#[test]
fn one_stream_from_the_first_prompt_over_every_way_of_hearing() {
    for one in codecs() {
        for two in codecs() {
            let ticks = [one, two, one].map(span::ticks);
            let mut world = World::speaking(&[one, two, one]);
            let mut all = [Singer::new(1, one), Singer::new(2, two), Singer::new(3, one)];
            world.play(1, &["welcome"], Then::Loop(Prompt::from("hold")));
            sing(&mut world, &mut all, 30);
            world.bridge(1, 2);
            sing(&mut world, &mut all, 30);
            world.mix(1, &[2, 3]);
            world.mix(2, &[1, 3]);
            world.mix(3, &[1, 2]);
            sing(&mut world, &mut all, 30);
            world.command(Command::Overlay { port: port(1), prompts: vec![Prompt::from("wait")] });
            sing(&mut world, &mut all, 30);
            world.bridge(1, 2);
            world.listen(3, Source::Silence);
            sing(&mut world, &mut all, 30);
            world.play(1, &[], Then::Loop(Prompt::from("hold")));
            sing(&mut world, &mut all, 30);
            world.bridge(1, 3);
            sing(&mut world, &mut all, 30);
            for n in 1..=3 {
                let heard = world.take(n);
                let longest = heard.windows(2).map(|p| p[1].at - p[0].at).max().unwrap();
                assert!(longest <= 80 * MS, "{n} {one:?} {two:?} {longest:?}");
                assert_unbroken_at(&heard, ticks[n as usize - 1]);
            }
        }
    }
}

#[test]
fn keys_are_heard_and_sent_as_tones_in_wide_codecs() {
    for codec in codecs() {
        let mut world = World::speaking(&[codec, codec]);
        let deaf = Peer { events: None, ..peer_by(1, codec) };
        world.command(Command::Connect { port: port(1), peer: deaf, crypto: None });
        world.command(Command::Detect { port: port(2), rfc4733: true, inband: true, pass: true });
        world.command(Command::SendDigit { port: port(1), digit: Digit::from_char('8').unwrap() });
        world.pass(400 * MS);
        // What goes out at one leg comes in at the other.
        let mut stamp = Stamp { ssrc: 1, sequence: 1, timestamp: 1, marker: false };
        for heard in world.take(1) {
            let mut packet = vec![0; 12];
            stamp.write(heard.header.payload_type, &mut packet);
            packet.extend(heard.payload);
            stamp.sequence += 1;
            stamp.timestamp += 160 * span::ticks(codec);
            world.speak(2, &packet);
            world.pass(20 * MS);
        }
        assert_eq!(world.keys(), "8", "{codec:?}");
    }
}

#[test]
fn another_codec_in_the_middle_of_a_call_goes_on_in_the_same_stream() {
    for from in codecs() {
        for to in codecs() {
            let mut world = World::speaking(&[from]);
            world.play(1, &[], Then::Loop(Prompt::from("hold")));
            world.pass(500 * MS);
            let before = world.take(1);
            let peer = peer_by(1, to);
            world.command(Command::Connect { port: port(1), peer, crypto: None });
            world.pass(500 * MS);
            let after = world.take(1);
            let (a, b) = (before.last().unwrap(), after.first().unwrap());
            assert_eq!(b.header.sequence, a.header.sequence.wrapping_add(1));
            let step = b.header.timestamp.wrapping_sub(a.header.timestamp);
            assert_eq!(step, 160 * span::ticks(from), "{from:?} {to:?}");
        }
    }
}
