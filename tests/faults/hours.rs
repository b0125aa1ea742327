//! The worlds that live for hours: that they see what only hours bring, and that what their lines do
//! by the clock is judged.

use std::panic::{AssertUnwindSafe, catch_unwind};

use koebashi::call::cdr::Outcome;

use crate::sim::game::{Game, is_long, shrink};
use crate::sim::sights::{Sight, Sights};

fn play(seed: u64) -> Game {
    shrink::play(seed, None).unwrap_or_else(|failure| panic!("{failure}"))
}

fn seen(seeds: impl IntoIterator<Item = u64>) -> Sights {
    let mut all = Sights::default();
    for seed in seeds {
        for (sight, count) in play(seed).world.sights.0 {
            *all.0.entry(sight).or_default() += count;
        }
    }
    all
}

/// A few of them are enough to see registrations end, sessions refreshed and given up, lines close
/// on those who wait and talk, and all the rest.
#[test]
fn a_few_long_worlds_see_what_only_hours_bring() {
    let seeds = LONG;
    assert!(seeds.iter().all(|seed| is_long(*seed)));
    let seen = seen(seeds);
    let unseen: Vec<_> = Sight::ALL.iter().filter(|it| !seen.0.contains_key(it)).collect();
    assert!(unseen.is_empty(), "{unseen:?} of {seen:?}");
}

/// Short worlds see nothing of it: were the hours gone, the claim above would be too.
#[test]
fn short_worlds_see_none_of_it() {
    let seen = seen(0..12);
    assert!(seen.0.is_empty(), "{seen:?}");
}

/// A call of a line that was closed, and one that was told so by an open line.
#[test]
fn a_record_against_the_hours_is_seen() {
    let mut game = play(LONG[0]);
    for (told, other) in
        [(Outcome::Closed, Outcome::TimedOut), (Outcome::Answered, Outcome::Closed)]
    {
        let mut seen = 0;
        for at in 0..game.world.cdrs.len() {
            if game.world.cdrs[at].outcome != told {
                continue;
            }
            game.world.cdrs[at].outcome = other;
            game.judged = 0;
            let judged = catch_unwind(AssertUnwindSafe(|| game.check_hours()));
            seen += usize::from(judged.is_err());
            game.world.cdrs[at].outcome = told;
        }
        assert!(seen > 0, "{other:?} in place of {told:?}");
    }
}

/// Long worlds, by their seeds.
const LONG: [u64; 3] = [1124, 274, 3199];
