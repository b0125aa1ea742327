//! Playing a world to its end, and making a story that ends badly as short as it can be told.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use super::{Game, Move, moves};

/// A world that broke a promise.
pub(crate) struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What broke, with the whole story.
    pub story: String,
    /// Which of its moves are enough for it, by their places.
    pub kept: Vec<usize>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, story, kept } = self;
        let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
        write!(
            f,
            "world {seed}, shortened to {} moves: {story}\nAGAIN: KOEBASHI_SEED={seed} \
             KOEBASHI_MOVES={} cargo nextest run worlds::share_0",
            kept.len(),
            kept.join(",")
        )
    }
}

/// Plays the world of this seed; only the moves at these places, where they are named.
pub(crate) fn play(seed: u64, only: Option<&[usize]>) -> Result<Game, Failure> {
    let all = moves(seed);
    let places: Vec<usize> = only.map_or_else(|| (0..all.len()).collect(), <[usize]>::to_vec);
    match attempt(seed, &pick(&all, &places)) {
        Ok(game) => Ok(game),
        Err(_) => Err(shorten(seed, &all, places)),
    }
}

fn pick(all: &[Move], places: &[usize]) -> Vec<Move> {
    places.iter().filter_map(|at| all.get(*at)).copied().collect()
}

/// Plays these moves in the world of this seed; the story, when it ends badly.
pub(crate) fn attempt(seed: u64, moves: &[Move]) -> Result<Game, String> {
    let mut game = Game::new(seed);
    let Err(cause) = catch_unwind(AssertUnwindSafe(|| game.play(moves))) else { return Ok(game) };
    let said = cause.downcast_ref::<&str>().copied().unwrap_or("?");
    let said = cause.downcast_ref::<String>().map_or(said, String::as_str);
    let story = if said.contains(" ms ") { String::new() } else { game.world.story() };
    Err(format!("{said}\n{story}\n{}\n{}", game.toml, game.done.join("\n")))
}

fn shorten(seed: u64, all: &[Move], places: Vec<usize>) -> Failure {
    // What the shorter ones say on their way is of no use.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let kept = fewest(places, |places| attempt(seed, &pick(all, places)).is_err());
    set_hook(hook);
    let story = attempt(seed, &pick(all, &kept)).err().unwrap_or_default();
    Failure { seed, story, kept }
}

/// Leaves out halves, quarters and at last single places, as long as it still breaks.
pub(crate) fn fewest(mut kept: Vec<usize>, breaks: impl Fn(&[usize]) -> bool) -> Vec<usize> {
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + size).min(kept.len()));
            if breaks(&fewer) {
                kept = fewer;
            } else {
                at += size;
            }
        }
        if size == 1 {
            return kept;
        }
        size = size.div_ceil(2);
    }
}
