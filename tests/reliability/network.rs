//! A network that loses and doubles what it carries, by nftables on loopback in a namespace.

use std::error::Error;
use std::net::UdpSocket;
use std::time::Duration;

use crate::apart::{apart, matched, rules};
use crate::disorder::Disorder;
use crate::goal::{Goal, Measured, Run, Verdict};
use crate::load::callers::Habit;
use crate::load::service::Plan;
use crate::operation::lost;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "sip-loss",
        wanted: "5, 10, 20 % lost each way: ≥ 99.99, 99.9, 99.5 % set up, no record twice",
        peer: "SIPp with SIPp: 97.4 % at 20 %",
        is_long_only: false,
        measure: |run| apart(|| signaling_lost(run)),
    },
    Goal {
        name: "sip-doubled",
        wanted: "10 % doubled: 0 failed, no record twice",
        peer: "–",
        is_long_only: false,
        measure: |run| apart(|| each_once(run)),
    },
    Goal {
        name: "sip-disorder",
        wanted: "10 % overtaken, jitter 80 ms, 10 % doubled, seeds 1–20: 0 failed, no record twice",
        peer: "–",
        is_long_only: false,
        measure: disordered,
    },
    Goal {
        name: "rtp-loss",
        wanted: "20 % of the voice lost for 10 min: 0 dropped",
        peer: "–",
        is_long_only: false,
        measure: |run| apart(|| voice_lost(run)),
    },
];

/// Each tenth datagram comes twice; they are counted.
const DOUBLED: &str = "numgen random mod 100 < 10 counter dup to 127.0.0.1 device \"lo\"";
/// Datagrams that show whether the network doubles, and at least so many of them twice.
const PROBES: usize = 400;
const TWICE: usize = PROBES / 20;
const PACE: u32 = 20;
const TALK: Option<Duration> = Some(Duration::from_secs(1));

/// A rule for what is sent to SIP ports.
fn of_sip(what: &str) -> String {
    table(&format!("udp dport 5060 {what}"))
}

/// A rule for what is sent to and from the service's voices.
fn of_voice(what: &str) -> String {
    table(&format!("udp dport 10000-65535 {what}"))
}

fn table(rule: &str) -> String {
    format!("table ip faults {{\nchain in {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n")
}

/// Has the network double what is sent to SIP ports, and shows that it does: to a socket that has
/// nothing to do with the service come more datagrams than were sent.
fn double(scene: &Scene) -> Result<(), Box<dyn Error>> {
    rules(&of_sip(DOUBLED))?;
    let ear = UdpSocket::bind((scene.addresses.nobody(), 5060))?;
    let mouth = UdpSocket::bind((scene.addresses.nobody(), 0))?;
    ear.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut came = 0;
    for _ in 0..PROBES {
        mouth.send_to(b"probe", ear.local_addr()?)?;
        ear.recv(&mut [0; 16])?;
        came += 1;
    }
    while ear.recv(&mut [0; 16]).is_ok() {
        came += 1;
    }
    if came < PROBES + TWICE {
        return Err(format!("of {PROBES} datagrams {came} came: nothing is doubled").into());
    }
    // What is counted from here on is the calls'.
    Ok(rules(&of_sip(DOUBLED))?)
}

fn signaling_lost(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let (mut figures, mut is_held) = (Vec::new(), true);
    // Of 60 calls even one that fails is too many; of a loss of which some may fail there are more.
    for (loss, share, few) in [(5, 0.9999, 60), (10, 0.999, 60), (20, 0.995, 400)] {
        let calls = run.count(few, 2_000);
        let scene = Scene::start(&Plan { counselors: 400, ..Plan::default() })?;
        rules(&of_sip(&format!("numgen random mod 100 < {loss} counter drop")))?;
        let habit = Habit { calls, per_second: PACE, hold: TALK, speaks: false };
        let callers = scene.call(habit)?;
        let well = scene.over(&callers, calls, PACE)?;
        let (dropped, refused) = (matched()?, callers.progress().refused());
        rules("")?;
        drop(callers);
        // A caller whose BYE was never answered has talked all the same.
        let records: u32 = scene.wait_recorded(well)?.values().sum();
        let reached = f64::from(well) / f64::from(calls);
        is_held &= reached >= share && (well..=calls).contains(&records) && dropped > 0;
        let why = match well == calls {
            true => String::new(),
            false => format!(" (refused: {refused:?}, the others met silence)"),
        };
        figures.push(format!("{loss} %: {well} of {calls}{why}, {dropped} datagrams dropped"));
    }
    Ok(Measured::new(is_held, figures.join("; ")))
}

fn each_once(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let calls = run.count(100, 2_000);
    let scene = Scene::start(&Plan { counselors: 100, ..Plan::default() })?;
    double(&scene)?;
    let callers = scene.call(Habit { calls, per_second: PACE, hold: TALK, speaks: true })?;
    let well = scene.over(&callers, calls, PACE)?;
    let (are_recorded, doubled) = (scene.are_recorded(calls)?, matched()?);
    let figure = format!(
        "{} of {calls} failed, one record each: {are_recorded}; {doubled} datagrams came twice",
        calls - well
    );
    // Ten datagrams and more a call, each tenth of them twice.
    let is_held = well == calls && are_recorded && doubled >= u64::from(calls) / 2;
    Ok(Measured::new(is_held, figure))
}

fn disordered(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let (seeds, calls) = (u64::from(run.count(1, 20)), 100);
    let (mut failed, mut are_recorded) = (0, true);
    let (mut all, mut overtaken, mut doubled, mut is_disorder) = (0, 0, 0, true);
    for seed in run.seed..run.seed + seeds {
        let measured = apart(|| {
            let scene = Scene::start(&Plan { counselors: 100, ..Plan::default() })?;
            double(&scene)?;
            let disorder = Disorder::begin(seed)?;
            let callers =
                scene.call(Habit { calls, per_second: PACE, hold: TALK, speaks: true })?;
            failed += calls - scene.over(&callers, calls, PACE)?;
            are_recorded &= scene.are_recorded(calls)?;
            let (twice, (went, late)) = (matched()?, disorder.seen());
            // Each tenth is 200 ms late, and among so many some other overtakes it.
            is_disorder &= twice >= u64::from(calls) / 2 && late >= went / 10 && late > 0;
            (all, overtaken, doubled) = (all + went, overtaken + late, doubled + twice);
            Ok(Measured::new(true, ""))
        })?;
        if measured.verdict == Verdict::Skipped {
            return Ok(measured);
        }
    }
    let figure = format!(
        "{failed} of {} failed with seeds from {}, one record each: {are_recorded}; of {all} \
         datagrams {overtaken} overtaken, {doubled} doubled",
        u64::from(calls) * seeds,
        run.seed,
    );
    Ok(Measured::new(failed == 0 && are_recorded && is_disorder, figure))
}

fn voice_lost(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let calls = 20;
    let scene = Scene::start(&Plan { counselors: calls, ..Plan::default() })?;
    let callers = scene.talk(calls)?;
    rules(&of_voice("numgen random mod 100 < 20 drop"))?;
    let figures = scene.voice.measure(Duration::from_secs(run.count(5, 600).into()));
    let talking = scene.phones.talking();
    callers.hang_up(calls);
    let well = scene.over(&callers, calls, calls)?;
    let figure = format!("{} of {calls} dropped, {}", calls - talking, lost(&figures));
    // Lost on the way to the service, and of what is left on the way from it.
    let is_lossy = (0.2..0.5).contains(&figures.loss());
    Ok(Measured::new(well == calls && talking == calls && is_lossy, figure))
}
