//! Simulated worlds, fresh ones each time, and every interleaving of small ones.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::goal::{Goal, Measured, Run};
use super::model::{self, Bounds, Seen};
use super::sim::game::shrink;

pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "worlds",
        wanted: "1,000 fresh worlds (1,000,000 before a release): no promise broken",
        peer: "TigerBeetle, FoundationDB: as a method",
        is_long_only: false,
        measure: worlds,
    },
    Goal {
        name: "model",
        wanted: "every interleaving of 2 callers and 2 counselors: no promise broken",
        peer: "none known",
        is_long_only: false,
        measure: model,
    },
];

/// A number out of the environment.
fn number(name: &str) -> Result<Option<u64>, Box<dyn Error>> {
    match std::env::var(name) {
        Ok(value) => {
            Ok(Some(value.parse().map_err(|_| format!("{name} is a number, not {value}"))?))
        }
        Err(_) => Ok(None),
    }
}

/// `KOEBASHI_SEEDS` worlds from `KOEBASHI_FIRST` on; else so many as the run wants, from where
/// nobody has been: the second in which it began.
fn worlds(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let first = number("KOEBASHI_FIRST")?.unwrap_or(seconds * 1_000_000);
    let count = number("KOEBASHI_SEEDS")?.unwrap_or_else(|| run.count(1_000, 1_000_000).into());
    let next = AtomicU64::new(0);
    let lived = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let play = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count) {
            match shrink::play(first + seed, None) {
                Ok(game) => {
                    let span = game.world.now - game.world.started();
                    lived.fetch_add(span.as_secs(), Ordering::Relaxed);
                }
                Err(failure) => {
                    let mut all = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(failure.to_string());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(play);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for failure in &failures {
        eprintln!("{failure}\n");
    }
    let hours = lived.into_inner() / 3600;
    let figure = format!(
        "{} of {count} broke one, from {first} on; {hours} hours of service",
        failures.len()
    );
    Ok(Measured::new(failures.is_empty(), figure))
}

/// Everything that can be done to the small world: in a short run from its beginning on so many
/// choices deep, in a long one to the end of all ways.
fn model(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let rest = if run.is_long { 1 } else { 50 };
    let depth = if run.is_long { None } else { Some(DEPTH) };
    let bounds = Bounds { depth, rest, callers: 2 };
    let explored = std::thread::scope(|scope| {
        let threads =
            model::LINES.map(|line| scope.spawn(move || model::explore(line, &[], bounds)));
        threads.map(|thread| thread.join().map_err(|_| "a promise is broken"))
    });
    let mut all = Seen::default();
    for seen in explored {
        let seen = seen?;
        all.states += seen.states;
        all.joined += seen.joined;
        all.choices += seen.choices;
        all.ends += seen.ends;
        all.depth = all.depth.max(seen.depth);
    }
    let Seen { states, joined, choices, depth, ends } = all;
    let figure = format!(
        "{states} states ({joined} with a conversation), {choices} choices, {depth} deep, {ends} \
         to the end; 0 broken"
    );
    Ok(Measured::new(joined > 20, figure))
}

/// Choices in a row in a short run.
const DEPTH: usize = 7;
