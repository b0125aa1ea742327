//! What operators and machines do in the middle of calls: reloading, stopping, setting the clock,
//! freezing, running out of descriptors.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::goal::{Goal, Measured, Run};
use crate::load::callers::Habit;
use crate::load::figures::Figures;
use crate::load::service::Plan;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "reload",
        wanted: "1,000 reloads at 20 calls a second: 0 failed; a bad file changes nothing",
        peer: "Asterisk has a reload test, no figure",
        is_long_only: false,
        measure: reloaded,
    },
    Goal {
        name: "drain",
        wanted: "SIGTERM: 0 of 50 dropped, new callers are answered, over ≤ 5 s after the last",
        peer: "rtpengine: refuses new calls, lets the others end",
        is_long_only: false,
        measure: drained,
    },
    Goal {
        name: "clock",
        wanted: "+1 h and −2 h: 0 of 20 calls dropped, durations right, records carry the new time",
        peer: "–",
        is_long_only: false,
        measure: stepped,
    },
    Goal {
        name: "freeze",
        wanted: "frozen for 5 s: 50 of 50 talk on, no voice older than 200 ms + 20",
        peer: "–",
        is_long_only: false,
        measure: frozen,
    },
    Goal {
        name: "descriptors",
        wanted: "none left: new calls refused, 20 of 20 talk on, then calls as before",
        peer: "–",
        is_long_only: false,
        measure: without_descriptors,
    },
];

/// How long anything may take that is no figure.
const SOON: Duration = Duration::from_secs(15);
/// How long voices are listened to.
const LISTEN: Duration = Duration::from_secs(1);
/// How long a call lasts that is only to be recorded.
const TALK: Duration = Duration::from_millis(300);
/// How far a record may be off a clock that was stepped by an hour, in ms: it tells the minute alone,
/// and reading takes time.
const A_MINUTE: i64 = 62_000;

type Outcome = Result<Measured, Box<dyn Error>>;

/// Counselors for calls that last a second or two at 20 a second.
const MANY: u32 = 100;

fn reloaded(run: &Run) -> Outcome {
    let reloads = run.count(40, 1_000);
    let scene = Scene::start(&Plan { counselors: MANY, ..Plan::default() })?;
    let pause = Duration::from_millis(200);
    let calls = (reloads * 200 / 1000).max(1) * 20;
    let hold = Some(Duration::from_secs(1));
    let callers = scene.call(Habit { calls, per_second: 20, hold, speaks: true })?;
    let file = scene.service.dir().join("koebashi.toml");
    let good = fs::read_to_string(&file)?;
    for n in 0..reloads {
        let text = match n % 4 {
            // Every fourth is bad, and would turn everybody away.
            3 => good
                .replace("max_wait =", "max_weight =")
                .replace("[line.queue]\n", "[line.queue]\non_full = \"hangup\"\n")
                .replace("max_callers = 5000", "max_callers = 0"),
            _ => good.replace("max_wait = \"1h\"", &format!("max_wait = \"{}s\"", 600 + n)),
        };
        // Renamed into place, as editors do: nobody ever sees half a file.
        let new = file.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &file)?;
        scene.service.signal(Signal::SIGHUP)?;
        thread::sleep(pause);
    }
    let well = scene.over(&callers, calls, 20)?;
    let are_recorded = scene.are_recorded(calls)?;
    // The last one closes the line: it can be seen that files are read.
    fs::write(&file, good.replace("id = \"main\"\n", "id = \"main\"\noverride = \"closed\"\n"))?;
    scene.service.signal(Signal::SIGHUP)?;
    scene.wait("the line to close", SOON, || scene.board()["lines"][0]["open"] == false)?;
    let figure = format!("{reloads} reloads: {} of {calls} calls failed", calls - well);
    Ok(Measured::new(well == calls && are_recorded, figure))
}

fn drained(_: &Run) -> Outcome {
    let calls = 50;
    let mut scene = Scene::start(&Plan { counselors: calls + 5, ..Plan::default() })?;
    let callers = scene.talk(calls)?;
    scene.service.signal(Signal::SIGTERM)?;
    scene.wait("draining to begin", SOON, || scene.unready().is_some())?;
    let late = scene.call_others(Habit { calls: 5, per_second: 20, hold: None, speaks: false })?;
    let answered = || late.progress().answered.load(Ordering::Relaxed);
    scene.wait("new callers to be answered", SOON, || answered() == 5)?;
    // They hear the message and are let go.
    let hung_up = scene.over(&late, 5, 5)?;
    let let_go = late.progress().dropped.load(Ordering::Relaxed);
    let (talking, figures) = (scene.phones.talking(), scene.voice.measure(LISTEN));
    callers.hang_up(calls);
    let ended = scene.over(&callers, calls, calls)?;
    let began = Instant::now();
    let limit = Duration::from_secs(5);
    while scene.service.ended()?.is_none() && began.elapsed() < limit {
        thread::sleep(Duration::from_millis(10));
    }
    let status = scene.service.ended()?;
    let took = began.elapsed().as_secs_f64();
    let is_well = status.is_some_and(|status| status.success());
    // Nothing is written any more: what there is is all.
    let records = scene.records()?;
    let wanted = [("answered".to_owned(), calls), ("refused".to_owned(), 5)];
    let figure = format!(
        "{} of {calls} dropped, {ended} end as they wish; {let_go} of 5 new ones answered and let \
         go; over {took:.1} s after the last ({}); records {records:?}",
        calls - talking,
        lost(&figures),
    );
    let is_held = is_well
        && (talking, ended, let_go, hung_up) == (calls, calls, 5, 0)
        && records == BTreeMap::from(wanted);
    Ok(Measured::new(is_held && is_whole(&figures), figure))
}

/// Where Debian has it.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

fn stepped(_: &Run) -> Outcome {
    if !Path::new(FAKETIME).exists() {
        return Ok(Measured::skipped("no libfaketime here (Debian: faketime)"));
    }
    let calls = 20;
    let plan = Plan {
        counselors: calls + 1,
        env: &[
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", "clock"),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
        prepare: |dir| fs::write(dir.join("clock"), "+0"),
        ..Plan::default()
    };
    let scene = Scene::start(&plan)?;
    let clock = scene.service.dir().join("clock");
    let began = Instant::now();
    let callers = scene.talk(calls)?;
    let (mut worst, mut off): (f64, i64) = (0.0, 0);
    let steps = [3_600, -7_200, 0];
    for (nth, step) in (1..).zip(steps) {
        fs::write(&clock, format!("{step:+}"))?;
        worst = worst.max(scene.voice.measure(Duration::from_secs(2)).loss());
        // A new call's record says what time the service believes it is.
        let host = chrono::Utc::now().timestamp_millis();
        let one = Habit { calls: 1, per_second: 1, hold: Some(TALK), speaks: false };
        scene.over(&scene.call_others(one)?, 1, 1)?;
        off = off.max((scene.began(nth)? - host - step * 1_000).abs());
    }
    let talking = scene.phones.talking();
    callers.hang_up(calls);
    let well = scene.over(&callers, calls, calls)?;
    let took = began.elapsed();
    let are_recorded = scene.are_recorded(calls + steps.len() as u32)?;
    let (least, most) = scene.lengths(calls)?;
    let are_right = least >= Duration::from_secs(6) && most <= took;
    let figure = format!(
        "{} of {calls} dropped, {:.2} % lost; {:.1} to {:.1} s recorded of {:.1}; records of new \
         calls off by {off} ms at most",
        calls - talking,
        worst * 100.0,
        least.as_secs_f64(),
        most.as_secs_f64(),
        took.as_secs_f64(),
    );
    let is_held = talking == calls && well == calls && are_recorded && are_right;
    Ok(Measured::new(is_held && worst < 0.01 && off < A_MINUTE, figure))
}

fn frozen(_: &Run) -> Outcome {
    let calls = 50;
    let scene = Scene::start(&Plan { counselors: calls, ..Plan::default() })?;
    let callers = scene.talk(calls)?;
    let (oldest, after) = thread::scope(|scope| {
        let across = scope.spawn(|| scene.voice.measure(Duration::from_secs(7)));
        thread::sleep(Duration::from_millis(500));
        scene.service.signal(Signal::SIGSTOP)?;
        thread::sleep(Duration::from_secs(5));
        scene.service.signal(Signal::SIGCONT)?;
        let across = across.join().map_err(|_| io::Error::other("the voices panicked"))?;
        Ok::<_, io::Error>((across.delay.quantile(1.0), scene.voice.measure(LISTEN)))
    })?;
    let talking = scene.phones.talking();
    callers.hang_up(calls);
    let well = scene.over(&callers, calls, calls)?;
    let figure = format!(
        "{talking} of {calls} talk on, the oldest packet {oldest:.0} ms, then {}",
        lost(&after)
    );
    let is_held = well == calls && talking == calls && scene.are_recorded(calls)?;
    Ok(Measured::new(is_held && oldest <= 220.0 && after.loss() < 0.01, figure))
}

fn without_descriptors(_: &Run) -> Outcome {
    let calls = 20;
    let scene = Scene::start(&Plan { counselors: calls + 20, ..Plan::default() })?;
    let callers = scene.talk(calls)?;
    let used = fs::read_dir(format!("/proc/{}/fd", scene.service.pid()))?.count();
    let before = descriptors(&scene)?;
    limit_descriptors(&scene, used)?;
    let habit = Habit { calls: 10, per_second: 10, hold: Some(LISTEN), speaks: false };
    let refused = scene.call_others(habit)?;
    let well = scene.over(&refused, 10, 10)?;
    let answers = refused.progress().refused();
    drop(refused);
    let (talking, figures) = (scene.phones.talking(), scene.voice.measure(LISTEN));
    limit_descriptors(&scene, before)?;
    let again = scene.call_others(habit)?;
    let afterwards = scene.over(&again, 10, 10)?;
    callers.hang_up(calls);
    let ended = scene.over(&callers, calls, calls)?;
    let figure = format!(
        "of 10 {well} answered, refused by code {answers:?}; {talking} of {calls} talk on ({}), \
         {ended} end as they wish; then {afterwards} of 10 answered",
        lost(&figures)
    );
    // One that is closed meanwhile may serve one more caller. All others are told that it is us:
    // the carrier goes elsewhere. Silence tells nobody anything.
    let told: u32 = answers.range(500..600).map(|(_, count)| count).sum();
    let is_held =
        well <= 2 && told == 10 - well && (talking, ended) == (calls, calls) && afterwards == 10;
    Ok(Measured::new(is_held && is_whole(&figures), figure))
}

/// How many the service may have open.
fn descriptors(scene: &Scene) -> io::Result<usize> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", scene.service.pid()))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    soft.ok_or_else(|| io::Error::other("no limit on open files is told"))
}

fn limit_descriptors(scene: &Scene, most: usize) -> io::Result<()> {
    let pid = format!("--pid={}", scene.service.pid());
    // The hard limit stays as it is.
    let status = Command::new("prlimit").args([pid, format!("--nofile={most}:")]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("prlimit refuses")) }
}

/// Whether a voice has lost nothing that anybody would hear: one packet of a thousand, and what the
/// generator itself dropped.
pub(crate) fn is_whole(figures: &Figures) -> bool {
    let (sent, relayed): (u64, u64) = (figures.sent.iter().sum(), figures.relayed.iter().sum());
    sent > 0 && sent.saturating_sub(relayed) <= sent / 1_000 + figures.dropped_here
}

/// What got lost, in words.
pub(crate) fn lost(figures: &Figures) -> String {
    format!("{:.2} % of {} packets lost", figures.loss() * 100.0, figures.sent.iter().sum::<u64>())
}
