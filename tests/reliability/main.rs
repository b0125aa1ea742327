//! Goals of reliability, measured on the real program: one row each.
//!
//! `cargo test --release --test reliability` measures the short rows and prints the table;
//! `-- --long` all of them, at full length; `-- NAME…` only these. `KOEBASHI_SEED=n` has chance
//! begin elsewhere; the table says what it began with. Ends with 1 when a goal is missed. Nothing is
//! tried again. The machine makes the load too: times hold for the machine and the run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]
#![expect(clippy::expect_used, reason = "the simulated worlds are test code")]

mod apart;
mod blast;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../config.rs"]
mod config;
mod connections;
mod disk;
mod disorder;
mod endurance;
mod flood;
mod goal;
#[expect(dead_code, reason = "the benchmarks use the rest")]
#[path = "../../benches/load/mod.rs"]
mod load;
#[allow(dead_code, unused_imports, reason = "other tests use the rest")]
#[path = "../model/mod.rs"]
mod model;
mod mutants;
mod network;
mod operation;
mod overload;
mod peers;
mod phone;
mod scene;
#[expect(dead_code, unused_imports, reason = "other tests use the rest")]
#[path = "../sim/mod.rs"]
mod sim;
mod simulation;
mod survival;

use std::process::ExitCode;
use std::time::Instant;

use goal::{Goal, Run, Verdict};

/// All rows, in the table's order.
const GOALS: &[&[Goal]] = &[
    simulation::GOALS,
    survival::GOALS,
    operation::GOALS,
    disk::GOALS,
    network::GOALS,
    peers::GOALS,
    flood::GOALS,
    overload::GOALS,
    connections::GOALS,
    mutants::GOALS,
    endurance::GOALS,
];

/// Where chance begins unless it is said.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_long = words.iter().any(|word| word == "--long");
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let seed = std::env::var("KOEBASHI_SEED").ok().and_then(|seed| seed.parse().ok());
    let run = Run { is_long, seed: seed.unwrap_or(SEED) };
    let goals = GOALS.iter().copied().flatten();
    let wanted = goals.filter(|goal| match names.is_empty() {
        true => is_long || !goal.is_long_only,
        false => names.iter().any(|name| goal.name.starts_with(name.as_str())),
    });
    println!("| goal | asked for | measured | best peer | verdict |\n|---|---|---|---|---|");
    let (mut held, mut skipped, mut missed) = (0, 0, 0);
    for goal in wanted {
        let began = Instant::now();
        let (figure, verdict) = goal.measure(&run);
        match verdict {
            Verdict::Missed => missed += 1,
            Verdict::Held => held += 1,
            Verdict::Skipped => skipped += 1,
        }
        let Goal { name, wanted, peer, .. } = goal;
        println!("| {name} | {wanted} | {figure} | {peer} | {} |", verdict.word());
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    if !is_long {
        println!("\nThese are short forms; what is asked for in full is measured with --long.");
    }
    println!("\nseed {}: {held} goals held, {skipped} skipped, {missed} missed", run.seed);
    if missed == 0 && held > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
