//! What the sound of 20 ms costs, by what is done to it: mixed, coded, transcoded, encrypted,
//! heard through the jitter buffer, played. Beside it, in the same run, a library or the bare
//! ciphers. No socket and no thread.
//!
//! `cargo bench --bench sound -- [ROUNDS [PACKETS]]`. Prints Markdown: medians over rounds that
//! take turns, so that a slow moment hits all. With `--features opus` Opus too.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its result")]

mod coded;
mod heard;
mod secured;
#[path = "../table.rs"]
mod table;

use std::time::{Duration, Instant};

use table::Row;

/// Does so many packets, and says how long they took.
type Run = Box<dyn FnMut(u32) -> Duration>;

/// One thing to measure.
struct Work {
    what: String,
    run: Run,
    /// What it is measured against.
    beside: Option<(&'static str, Run)>,
    /// What design asks for.
    goal: &'static str,
    /// Whether it stands in README.md.
    is_short: bool,
}

impl Work {
    fn new(what: impl Into<String>, run: Run) -> Self {
        Self { what: what.into(), run, beside: None, goal: "", is_short: false }
    }

    fn beside(self, name: &'static str, run: Run) -> Self {
        Self { beside: Some((name, run)), ..self }
    }

    fn goal(self, goal: &'static str) -> Self {
        Self { goal, ..self }
    }

    fn short(self) -> Self {
        Self { is_short: true, ..self }
    }
}

/// How long `count` times take, each told its number.
fn timed(count: u32, one: impl FnMut(u32)) -> Duration {
    let started = Instant::now();
    (0..count).for_each(one);
    started.elapsed()
}

/// A second of something like a voice: two tones that swell and fade, and a little noise. Repeats.
fn voice(rate: u32) -> Vec<i16> {
    let mut noise = 1u32;
    let sample = |n| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let time = f64::from(n) / f64::from(rate);
        let tone = |hertz: f64| (time * hertz * std::f64::consts::TAU).sin();
        let swell = 0.6 - 0.4 * tone(4.0);
        let hiss = f64::from(noise >> 16) / 65_536.0 - 0.5;
        ((tone(190.0) * 5000.0 + tone(1450.0) * 2000.0 + hiss * 600.0) * swell) as i16
    };
    (0..rate).map(sample).collect()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds a packet: ours, and what is beside it.
fn measure(works: &mut [Work], rounds: u32, packets: u32) -> Vec<(f64, Option<f64>)> {
    let mut times = vec![(Vec::new(), Vec::new()); works.len()];
    // The first round warms up.
    for round in 0..=rounds {
        for (work, (ours, theirs)) in works.iter_mut().zip(&mut times) {
            let each = |time: Duration| time.as_nanos() as f64 / f64::from(packets);
            let our_time = each((work.run)(packets));
            let their_time = work.beside.as_mut().map(|(_, run)| each(run(packets)));
            if round > 0 {
                ours.push(our_time);
                theirs.extend(their_time);
            }
        }
    }
    let medians = times
        .iter_mut()
        .map(|(ours, theirs)| (median(ours), (!theirs.is_empty()).then(|| median(theirs))));
    medians.collect()
}

fn main() {
    // `cargo bench` adds an argument of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let rounds = numbers.next().unwrap_or(31).max(1);
    let packets = numbers.next().unwrap_or(1000).max(1);
    let mut works = heard::works();
    works.extend(coded::works());
    works.extend(secured::works());
    let times = measure(&mut works, rounds, packets);
    println!("## Sound: each 20 ms of it\n\nMedians of {rounds} rounds of {packets} packets.\n");
    println!("| what | µs | beside it | its µs | ratio | goal |\n|---|---|---|---|---|---|");
    for (work, (ours, theirs)) in works.iter().zip(times) {
        let ours = ours / 1000.0;
        let beside = work.beside.as_ref().zip(theirs).map(|((name, _), ns)| (*name, ns / 1000.0));
        let other = beside.map_or_else(
            || "| | | |".to_owned(),
            |(name, theirs)| format!("| {name} | {theirs:.3} | {:.2} |", ours / theirs),
        );
        println!("| {} | {ours:.3} {other} {} |", work.what, work.goal);
        if work.is_short {
            Row { what: &work.what, figure: ours, unit: "µs", beside, goal: work.goal }.note();
        }
    }
    println!();
}
