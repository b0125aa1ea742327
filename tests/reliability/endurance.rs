//! Many calls for a long time: nothing is lost, nothing grows.

use std::error::Error;
use std::fs;
use std::thread;
use std::time::Duration;

use crate::goal::{Goal, Measured, Run};
use crate::load::callers::Habit;
use crate::load::service::Plan;
use crate::operation::lost;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "load",
        wanted: "200 bridged, 50 waiting, 30 min, 20 calls a second: 0 failed, p99 < 5 ms",
        peer: "–",
        is_long_only: true,
        measure: loaded,
    },
    Goal {
        name: "soak",
        wanted: "100,000 calls: descriptors and memory as before, 40 s after the last",
        peer: "sipx: soak test, siphon: 62 s",
        is_long_only: true,
        measure: soaked,
    },
];

/// Longer than any transaction lives (Timer J, RFC 3261 §17.2.2).
const SETTLED: Duration = Duration::from_secs(40);
const A_SECOND: Option<Duration> = Some(Duration::from_secs(1));

type Outcome = Result<Measured, Box<dyn Error>>;

fn loaded(run: &Run) -> Outcome {
    let (joined, minutes) = (200, run.count(1, 30));
    let scene = Scene::start(&Plan { counselors: joined, ..Plan::default() })?;
    let callers = scene.talk(joined)?;
    // They wait, hear music, and hang up; 50 of them at once.
    let (per_second, calls) = (20, minutes * 60 * 20);
    let hold = Some(Duration::from_millis(2_500));
    let waiting = scene.call_others(Habit { calls, per_second, hold, speaks: false })?;
    let figures = scene.voice.measure(Duration::from_secs(u64::from(minutes) * 60));
    let well = scene.over(&waiting, calls, per_second)?;
    let (talking, late) = (scene.phones.talking(), figures.delay.quantile(0.99));
    callers.hang_up(joined);
    let ended = scene.over(&callers, joined, joined)?;
    let figure = format!(
        "{} of {calls} failed, {talking} of {joined} talk on, {}, p99 {late:.2} ms, generator \
         paused {} times",
        calls - well,
        lost(&figures),
        figures.skipped,
    );
    let is_held = well == calls && talking == joined && ended == joined;
    Ok(Measured::new(is_held && figures.loss() < 0.000_1 && late < 5.0, figure))
}

fn soaked(run: &Run) -> Outcome {
    let calls = run.count(2_000, 100_000);
    let scene = Scene::start(&Plan { counselors: 150, ..Plan::default() })?;
    let pass = |calls| -> Result<(u32, usize, u64), Box<dyn Error>> {
        let habit = Habit { calls, per_second: 50, hold: A_SECOND, speaks: false };
        let callers = scene.call(habit)?;
        let well = scene.over(&callers, calls, 50)?;
        thread::sleep(SETTLED);
        let open = fs::read_dir(format!("/proc/{}/fd", scene.service.pid()))?.count();
        Ok((well, open, scene.service.cost()?.memory))
    };
    // Tables reach their size first.
    let (_, open, memory) = pass(2_000)?;
    let (well, open_after, memory_after) = pass(calls)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let figure = format!(
        "{} of {calls} failed; descriptors {open} → {open_after}, memory {:.1} → {:.1} MB",
        calls - well,
        megabytes(memory),
        megabytes(memory_after),
    );
    let is_flat =
        open_after <= open + 2 && megabytes(memory_after) <= megabytes(memory) * 1.1 + 2.0;
    Ok(Measured::new(well == calls && is_flat, figure))
}
