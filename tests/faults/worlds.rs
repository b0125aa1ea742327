//! Small worlds in which anything may happen, by a seed.
//!
//! `KOEBASHI_SEED=n` plays one world, with `KOEBASHI_MOVES=a,b,…` only these of its moves;
//! `KOEBASHI_SEEDS=n` the first n, with `KOEBASHI_FIRST=m` those from m on. Many fresh ones are
//! played by `cargo test --release --test reliability -- worlds`.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::sim::endings::Why;
use crate::sim::game::shrink::{self, fewest};
use crate::sim::game::{Game, LONG_EVERY};

/// Worlds in a normal run.
const SEEDS: u64 = 200;
/// Tests that share the worlds, so that they run side by side.
const SHARES: u64 = 8;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}

/// Plays one world; a failure tells the shortest way there, and how to go it again.
fn play(seed: u64) -> Game {
    let only = std::env::var("KOEBASHI_MOVES").ok().map(|moves| {
        let place = |at: &str| at.parse().expect("KOEBASHI_MOVES names places: 0,4,7");
        moves.split(',').filter(|at| !at.is_empty()).map(place).collect::<Vec<usize>>()
    });
    shrink::play(seed, only.as_deref()).unwrap_or_else(|failure| panic!("{failure}"))
}

fn share(which: u64) {
    if let Some(seed) = number("KOEBASHI_SEED") {
        if which == 0 {
            play(seed);
        }
        return;
    }
    let first = number("KOEBASHI_FIRST").unwrap_or(0);
    let seeds = number("KOEBASHI_SEEDS").unwrap_or(SEEDS);
    for seed in (0..seeds).filter(|seed| seed % SHARES == which) {
        play(first + seed);
    }
}

macro_rules! shares {
    ($($name:ident $which:literal)*) => {$(
        #[test]
        fn $name() {
            share($which);
        }
    )*};
}

shares!(share_0 0 share_1 1 share_2 2 share_3 3 share_4 4 share_5 5 share_6 6 share_7 7);

/// A world that breaks for two moves together is told by these two.
#[test]
fn a_bad_story_is_told_short() {
    let breaks = |places: &[usize]| places.contains(&1) && places.contains(&5);
    assert_eq!(fewest((0..23).collect(), breaks), [1, 5]);
    assert_eq!(fewest((0..23).collect(), |places| places.len() > 3).len(), 4);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let wire = |game: &Game| -> Vec<(Duration, Bytes)> {
        let started = game.world.started();
        game.world.wire.iter().map(|sent| (sent.at - started, sent.bytes.clone())).collect()
    };
    for seed in [0, 1, 2, 3, LONG_EVERY - 1] {
        let (one, two) = (play(seed), play(seed));
        assert_eq!(one.done, two.done);
        assert_eq!(one.world.steps, two.world.steps);
        assert!(wire(&one) == wire(&two), "world {seed} has two stories");
        assert_eq!(one.world.cdrs, two.world.cdrs);
    }
    assert!(wire(&play(0)) != wire(&play(1)));
}
/// Worlds in which little happens would prove little.
#[test]
fn the_worlds_see_everything() {
    let (mut all, mut waited, mut duplicates, mut gaps) = (Vec::new(), 0, 0, 0);
    let mut ends = BTreeSet::new();
    for seed in 0..140 {
        let world = play(seed).world;
        let disks = &world.life.disks;
        waited += disks.waited;
        duplicates += disks.duplicates;
        gaps += disks.gaps.len();
        all.extend(world.steps);
        ends.extend(world.endings.seen.into_keys());
    }
    let unseen: Vec<_> = ENDS.iter().filter(|why| !ends.contains(why)).collect();
    assert!(unseen.is_empty(), "nobody was let go because of {unseen:?}");
    let disks = format!("{waited} waited, {duplicates} came again, {gaps} gaps");
    assert!(waited > 10 && duplicates > 1 && gaps > 10, "{disks}");
    let wanted = [
        "answered (200)",
        "early media",
        "agrees to be recorded",
        "knows that the conversation is recorded",
        "is not recorded: no consent",
        ": recorded",
        "guidance: ",
        "hears: all_busy",
        "hears: draining",
        "hears: no_counselor",
        "hears: timed_out",
        "joined with ",
        "did not answer",
        "can't be reached",
        "counselor's phone lost",
        "transfer: rings ",
        "transfer: taken over by ",
        "transfer: to line ",
        "supervises: listen",
        "supervises: join",
        "supervises no longer: the call is over",
        "supervises no longer: hung up",
        "asks for help",
        "goes on after a restart",
        "ended: Abandoned",
        "ended: ShortAbandoned",
        "ended: GuidanceAbandoned",
    ];
    let unseen: Vec<_> = wanted
        .iter()
        .filter(|text| !all.iter().any(|step: &String| step.contains(**text)))
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// Why calls end in them.
const ENDS: [Why; 5] = [Why::HungUp, Why::Silent, Why::Expired, Why::HandedOn, Why::Told];
