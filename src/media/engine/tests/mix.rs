//! Several at once: who hears whom, by tone and level.

use super::sound::{Singer, codecs, decoded, peer_by, sing, whom};
use super::*;

/// One for each codec, in their order.
fn singers(codecs: &[Codec]) -> Vec<Singer> {
    (1..).zip(codecs).map(|(n, codec)| Singer::new(n, *codec)).collect()
}

#[test]
fn everyone_hears_everyone_but_oneself() {
    let known = codecs();
    for count in 2..=6 {
        for first in 0..known.len() {
            let codecs: Vec<Codec> = (0..count).map(|i| known[(first + i) % known.len()]).collect();
            let mut world = World::speaking(&codecs);
            let all: Vec<u32> = (1..=count as u32).collect();
            // Oneself and the same again are passed over.
            let list: Vec<u32> = all.iter().chain(&all).copied().collect();
            all.iter().for_each(|n| world.mix(*n, &list));
            sing(&mut world, &mut singers(&codecs), 60);
            for (n, codec) in all.iter().zip(&codecs) {
                let others: Vec<u32> = all.iter().copied().filter(|other| other != n).collect();
                assert_eq!(whom(&mut world, *n, *codec, &all), others, "{count} {codecs:?}");
            }
        }
    }
}

#[test]
fn one_voice_comes_through_a_mix_sample_for_sample() {
    for (codec, speaker) in [(Codec::Pcmu, 1), (Codec::Pcma, 2)] {
        let mut world = World::speaking(&[Codec::Pcmu, Codec::Pcma, codec]);
        world.mix(3, &[1, 2]);
        let mut singer = [Singer::new(speaker, codec)];
        let mut sung = vec![];
        let law = codec.law().unwrap();
        for _ in 0..60 {
            world.pass(20 * MS);
            let packet = singer[0].packet();
            world.speak(speaker, &packet);
            sung.extend(packet[12..].iter().map(|byte| g711::decode(law, *byte)));
        }
        let heard = decoded(&world.take(3), codec);
        // Half a second, once the buffer has found its depth.
        let tail = &heard[heard.len() - 25 * 160..];
        assert!(sung.windows(tail.len()).any(|sung| sung == tail));
    }
}

/// Caller 1 and counselor 2 are joined; 3 is the supervisor.
fn supervised(codecs: &[Codec]) -> (World, Vec<Singer>) {
    let mut world = World::speaking(codecs);
    world.bridge(1, 2);
    let mut all = singers(codecs);
    sing(&mut world, &mut all[..2], 20);
    (world, all)
}

#[test]
fn listen_whisper_and_join_are_heard_by_whom_they_should() {
    let known = codecs();
    for first in 0..known.len() {
        let codecs: Vec<Codec> = (0..3).map(|i| known[(first + i) % known.len()]).collect();
        let (mut world, mut all) = supervised(&codecs);
        let mut hear = |world: &mut World, wanted: [&[u32]; 3]| {
            (1..=3).for_each(|n| drop(world.take(n)));
            sing(world, &mut all, 60);
            for (n, wanted) in (1..).zip(wanted) {
                let codec = codecs[n as usize - 1];
                assert_eq!(whom(world, n, codec, &[1, 2, 3]), wanted, "{n} of {codecs:?}");
            }
        };
        // Listen.
        world.mix(3, &[1, 2]);
        hear(&mut world, [&[2], &[1], &[1, 2]]);
        // Whisper: the counselor hears both, the caller goes on hearing the counselor alone.
        world.mix(2, &[1, 3]);
        hear(&mut world, [&[2], &[1, 3], &[1, 2]]);
        // Join.
        world.mix(1, &[2, 3]);
        hear(&mut world, [&[2, 3], &[1, 3], &[1, 2]]);
        // The counselor leaves: caller and supervisor are joined as any two.
        world.listen(2, Source::Silence);
        world.bridge(1, 3);
        hear(&mut world, [&[3], &[], &[1]]);
        // Back to listening, and away.
        world.bridge(1, 2);
        world.mix(3, &[1, 2]);
        hear(&mut world, [&[2], &[1], &[1, 2]]);
        world.close(3);
        world.open(3);
        hear(&mut world, [&[2], &[1], &[]]);
    }
}

#[test]
fn a_listener_changes_nothing_for_those_who_are_heard() {
    let run = |listens: bool| {
        let mut world = World::speaking(&[Codec::Pcmu, Codec::G722, Codec::Pcma]);
        world.bridge(1, 2);
        let mut all = singers(&[Codec::Pcmu, Codec::G722]);
        for round in 0..60 {
            if listens && round % 20 == 5 {
                world.mix(3, &[1, 2]);
            }
            if listens && round % 20 == 15 {
                world.listen(3, Source::Silence);
            }
            sing(&mut world, &mut all, 1);
            if round % 7 == 0 {
                all[0].skip(1);
            }
        }
        let start = world.heard.first().unwrap().1.at;
        let mut out = vec![];
        for n in [1, 2] {
            let heard = world.take(n);
            out.extend(heard.into_iter().map(|h| (h.at - start, h.to, h.header, h.payload)));
        }
        out
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn prompts_and_keys_cover_a_mix() {
    let mut world = World::speaking(&[Codec::Pcmu; 3]);
    world.mix(1, &[2, 3]);
    let mut all = [Singer::new(2, Codec::Pcmu), Singer::new(3, Codec::Pcmu)];
    sing(&mut world, &mut all, 20);
    world.take(1);
    world.command(Command::Overlay { port: port(1), prompts: vec![Prompt::from("wait")] });
    world.command(Command::SendDigit { port: port(3), digit: Digit::from_char('5').unwrap() });
    sing(&mut world, &mut all, 20);
    let heard = world.take(1);
    assert_unbroken(&heard);
    let audio: Vec<u8> = heard.into_iter().flat_map(|h| h.payload).collect();
    let wait = encoded(&["wait"]);
    assert!(audio.windows(wait.len()).any(|w| w == wait));
    world.command(Command::SendDigit { port: port(1), digit: Digit::from_char('7').unwrap() });
    sing(&mut world, &mut all, 60);
    let heard = world.take(1);
    let keys = heard.iter().filter(|h| h.header.payload_type == 101).count();
    assert_eq!(keys, 7);
    let sound = decoded(&heard, Codec::Pcmu);
    assert!(sound::level(&sound[sound.len() - 4000..], Codec::Pcmu, sound::hz(2)).abs() < 1.0);
}

#[test]
fn keys_of_a_speaker_are_not_heard_in_mixes() {
    let mut world = World::with_ports(3);
    world.command(Command::Detect { port: port(1), rfc4733: true, inband: false, pass: true });
    world.bridge(1, 2);
    world.mix(3, &[1, 2]);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 10);
    keys::press(&mut world, &mut voice, '5', 96);
    world.pass(100 * MS);
    let heard = |world: &mut World, n| {
        world.take(n).iter().filter(|h| h.header.payload_type == 101).count()
    };
    assert_eq!((world.keys().as_str(), heard(&mut world, 2), heard(&mut world, 3)), ("5", 7, 0));
}

#[test]
fn a_held_hearer_of_a_mix_gets_nothing() {
    let mut world = World::speaking(&[Codec::Pcmu; 2]);
    world.mix(1, &[2]);
    let mut all = [Singer::new(2, Codec::Pcmu)];
    sing(&mut world, &mut all, 10);
    let held = Peer { send: false, ..peer_by(1, Codec::Pcmu) };
    world.command(Command::Connect { port: port(1), peer: held, crypto: None });
    world.take(1);
    sing(&mut world, &mut all, 10);
    assert!(world.take(1).is_empty());
}

#[test]
fn loss_is_concealed_in_a_mix_and_counted() {
    for codec in codecs() {
        let mut world = World::speaking(&[Codec::Pcmu, codec]);
        world.mix(1, &[2]);
        let mut all = [Singer::new(2, codec)];
        for _ in 0..20 {
            sing(&mut world, &mut all, 10);
            all[0].packet();
            world.pass(20 * MS);
        }
        let heard = world.take(1);
        assert_unbroken(&heard);
        // No frame is silent, but for those before the first packet is played.
        let sound = decoded(&heard, Codec::Pcmu);
        let is_quiet = |frame: &&[i16]| frame.iter().all(|s| s.unsigned_abs() < 1000);
        let quiet = sound.chunks(160).skip(10).filter(is_quiet).count();
        assert_eq!(quiet, 0, "{codec:?}");
        let quality = world.close(2);
        assert_eq!((quality.lost, quality.late), (19, 0));
        assert!((18..=21).contains(&quality.concealed), "{codec:?} {}", quality.concealed);
        // Who is only relayed has no ear.
        assert_eq!(world.close(1).concealed, 0);
    }
}

#[test]
fn a_speaker_that_goes_leaves_silence() {
    let mut world = World::speaking(&[Codec::Pcmu; 2]);
    world.mix(1, &[2, 9]);
    let mut all = [Singer::new(2, Codec::Pcmu)];
    sing(&mut world, &mut all, 30);
    world.close(2);
    world.take(1);
    world.pass(500 * MS);
    let heard = world.take(1);
    assert!((24..=26).contains(&heard.len()));
    assert!(heard.iter().all(|h| h.payload == [0xff; 160]));
    world.close(1);
}

#[test]
fn a_freeze_ends_without_a_burst_in_mixes_too() {
    let mut world = World::speaking(&[Codec::Pcmu, Codec::G722, Codec::Pcma]);
    (1..=3).for_each(|n| world.mix(n, &[1, 2, 3]));
    let mut all = singers(&[Codec::Pcmu, Codec::G722, Codec::Pcma]);
    sing(&mut world, &mut all, 30);
    world.heard.clear();
    // Five seconds in which nothing runs; what was sent meanwhile comes at once.
    world.now += 5000 * MS;
    for _ in 0..250 {
        for singer in &mut all {
            let packet = singer.packet();
            world.speak(singer.n, &packet);
        }
    }
    world.engine.tick(world.now);
    world.collect();
    (1..=3).for_each(|n| assert!(world.take(n).len() <= CATCH_UP_MAX as usize));
    sing(&mut world, &mut all, 100);
    for (n, codec) in (1..).zip([Codec::Pcmu, Codec::G722, Codec::Pcma]) {
        let heard = world.take(n);
        assert!((99..=101).contains(&heard.len()));
        assert_unbroken(&heard);
        world.heard.extend(heard.into_iter().map(|h| (port(n), h)));
        let others: Vec<u32> = (1..=3).filter(|other| *other != n).collect();
        assert_eq!(whom(&mut world, n, codec, &[1, 2, 3]), others);
    }
}
