//! Calls that outlive the process: `kill -9` in the middle of them.

use std::error::Error;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::goal::{Goal, Measured, Run};
use crate::load::service::Plan;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[Goal {
    name: "kill",
    wanted: "100 calls talk on after kill -9",
    peer: "rtpengine with redis: media back in 80–142 ms; FreeSWITCH 3–5 s",
    is_long_only: false,
    measure: killed,
}];

/// How long the next process may take.
const SOON: Duration = Duration::from_secs(10);

fn killed(_: &Run) -> Result<Measured, Box<dyn Error>> {
    let calls = 100;
    let plan = Plan { counselors: calls, command: "keep", ..Plan::default() };
    let scene = Scene::start(&plan)?;
    let callers = scene.talk(calls)?;
    let old = scene.service.kept().ok_or("there is no service")?;
    kill(Pid::from_raw(i32::try_from(old)?), Signal::SIGKILL)?;
    scene.wait("the next process", SOON, || {
        scene.service.kept().is_some_and(|new| new != old) && scene.service.is_ready()
    })?;
    let figures = scene.voice.measure(Duration::from_secs(2));
    callers.hang_up(calls);
    scene.wait("the calls to end", SOON, || scene.phones.talking() == 0)?;
    let (sent, relayed): (u64, u64) = (figures.sent.iter().sum(), figures.relayed.iter().sum());
    let is_held = sent > 0 && relayed + 2 >= sent;
    Ok(Measured::new(is_held, format!("of {sent} packets after it {relayed} came over")))
}
