//! Recordings: which side is which, pauses, ends.

use super::sound::{Singer, hz, level, sing};
use super::*;
use crate::media::{Chunk, RecordId};

const ID: RecordId = RecordId { n: 5, shard: 0 };

/// The sound of a recording so far, left and right, and how often its end was told.
#[derive(Default)]
struct Tape {
    left: Vec<i16>,
    right: Vec<i16>,
    ends: usize,
}

impl Tape {
    fn take(&mut self, world: &mut World) {
        while let Some(Recorded { record, chunk }) = world.engine.poll_recorded() {
            assert_eq!(record, ID);
            match chunk {
                Chunk::Frame { left, right } => {
                    assert_eq!(self.ends, 0);
                    self.left.extend(left);
                    self.right.extend(right);
                }
                Chunk::End => self.ends += 1,
            }
        }
    }
}

fn record(world: &mut World) {
    world.command(Command::Record { record: ID, left: port(1), right: port(2) });
}

#[test]
fn each_side_is_on_its_channel() {
    for codecs in [[Codec::Pcmu, Codec::Pcma], [Codec::G722, Codec::Pcmu]] {
        let mut world = World::speaking(&codecs);
        world.bridge(1, 2);
        let mut all = [Singer::new(1, codecs[0]), Singer::new(2, codecs[1])];
        sing(&mut world, &mut all, 10);
        record(&mut world);
        record(&mut world);
        let mut tape = Tape::default();
        sing(&mut world, &mut all, 100);
        tape.take(&mut world);
        assert_eq!(tape.left.len(), 100 * 160);
        for (side, own, other) in [(&tape.left, 1, 2), (&tape.right, 2, 1)] {
            let tail = &side[12_000..];
            assert!(level(tail, Codec::Pcmu, hz(own)).abs() < 1.0);
            assert!(level(tail, Codec::Pcmu, hz(other)) < -34.0);
        }
        world.command(Command::StopRecord { record: ID });
        sing(&mut world, &mut all, 10);
        tape.take(&mut world);
        assert_eq!((tape.left.len(), tape.ends), (100 * 160, 1));
    }
}

#[test]
fn what_is_paused_is_not_there() {
    let mut world = World::speaking(&[Codec::Pcmu; 2]);
    world.bridge(1, 2);
    record(&mut world);
    let mut all = [Singer::new(1, Codec::Pcmu)];
    let mut tape = Tape::default();
    sing(&mut world, &mut all, 50);
    world.command(Command::PauseRecord { record: ID, paused: true });
    tape.take(&mut world);
    sing(&mut world, &mut all, 50);
    tape.take(&mut world);
    assert_eq!(tape.left.len(), 50 * 160);
    world.command(Command::PauseRecord { record: ID, paused: false });
    sing(&mut world, &mut all, 50);
    tape.take(&mut world);
    assert_eq!(tape.left.len(), 100 * 160);
    // Who says nothing is silent, not missing.
    assert!(tape.right.iter().all(|sample| *sample == 0));
    assert_eq!(tape.right.len(), tape.left.len());
}

#[test]
fn who_does_not_hear_the_other_is_not_recorded_and_neither_is_the_other() {
    // What one of the two hears in between; a mix with the other in it is a talk.
    let cases = [
        (1, music(), false),
        (2, music(), false),
        (1, Source::Silence, false),
        (1, Source::Mix(vec![port(3)]), false),
        (2, Source::Mix(vec![port(1), port(3)]), true),
    ];
    for (hearer, source, is_talk) in cases {
        let mut world = World::speaking(&[Codec::Pcmu; 3]);
        world.bridge(1, 2);
        record(&mut world);
        let mut all = [1, 2, 3].map(|n| Singer::new(n, Codec::Pcmu));
        sing(&mut world, &mut all, 100);
        world.command(Command::Listen { port: port(hearer), source });
        sing(&mut world, &mut all, 400);
        let back = Source::Port(port(3 - hearer));
        world.command(Command::Listen { port: port(hearer), source: back });
        sing(&mut world, &mut all, 100);
        let mut tape = Tape::default();
        tape.take(&mut world);
        for (side, own) in [(&tape.left, 1), (&tape.right, 2)] {
            assert_eq!(side.len(), 600 * 160, "times stay true");
            let loud = |part: &[i16]| level(part, Codec::Pcmu, hz(own)).abs() < 1.0;
            assert!(loud(&side[50 * 160..100 * 160]) && loud(&side[550 * 160..]), "{own}");
            let between = &side[100 * 160..500 * 160];
            assert_eq!(loud(&between[50 * 160..]), is_talk, "{own} while {hearer} hears else");
            assert_eq!(between.iter().all(|sample| *sample == 0), !is_talk, "{own}");
        }
    }
}

fn music() -> Source {
    let then = Then::Loop(Prompt::from("hold"));
    Source::Play { play: PlayId(1), prompts: vec![], then }
}

#[test]
fn a_recording_ends_with_either_side_once() {
    for (closed, stop_too) in [(1, false), (2, true)] {
        let mut world = World::speaking(&[Codec::Pcmu; 2]);
        record(&mut world);
        world.pass(100 * MS);
        world.close(closed);
        world.pass(100 * MS);
        if stop_too {
            world.command(Command::StopRecord { record: ID });
        }
        let mut tape = Tape::default();
        tape.take(&mut world);
        assert_eq!((tape.left.len(), tape.ends), (5 * 160, 1));
    }
}

#[test]
fn what_cannot_be_recorded_ends_at_once() {
    let mut world = World::speaking(&[Codec::Pcmu]);
    record(&mut world);
    world.pass(100 * MS);
    let mut tape = Tape::default();
    tape.take(&mut world);
    assert_eq!((tape.left.len(), tape.ends), (0, 1));
    world.command(Command::PauseRecord { record: ID, paused: true });
    world.command(Command::StopRecord { record: ID });
    tape.take(&mut world);
    assert_eq!(tape.ends, 1);
}
