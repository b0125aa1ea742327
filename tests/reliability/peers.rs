//! Peers that go away without a word.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::goal::{Goal, Measured, Run};
use crate::load::service::Plan;
use crate::load::voice::Side;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "phone-dead-ringing",
        wanted: "ICMP: the next counselor is rung ≤ 1 s",
        peer: "Asterisk: by its ring timeout",
        is_long_only: false,
        measure: ringing,
    },
    Goal {
        name: "phone-dead-talking",
        wanted: "≤ 8 s: the caller is told and heads the queue",
        peer: "LiveKit 15 s, rtpengine 60 s, FreeSWITCH 300 s: all end the call",
        is_long_only: false,
        measure: talking,
    },
    Goal {
        name: "caller-dead",
        wanted: "freed ≤ 30 s",
        peer: "LiveKit 15 s, rtpengine 60 s, FreeSWITCH 300 s",
        is_long_only: true,
        measure: lost,
    },
];

/// A phone where nobody is, which is first in turn.
const DEAD: &str = "[[counselor]]\nextension = \"100\"\ncontact = \"sip:100@127.0.0.1:9\"\n\
                    lines = [\"main\"]\n";
const SOON: Duration = Duration::from_secs(40);
/// Looking takes time too.
const GRAIN: f64 = 0.3;

type Outcome = Result<Measured, Box<dyn Error>>;

/// Calls in this phase; in any, where it is empty.
fn count(scene: &Scene, phase: &str) -> usize {
    let calls = scene.board()["calls"].as_array().cloned().unwrap_or_default();
    calls.iter().filter(|call| call["phase"] == phase || phase.is_empty()).count()
}

fn state(scene: &Scene, extension: &str) -> String {
    let counselors = scene.board()["counselors"].as_array().cloned().unwrap_or_default();
    let found = counselors.iter().find(|counselor| counselor["extension"] == extension);
    found.map_or_else(String::new, |c| c["state"].as_str().unwrap_or_default().to_owned())
}

fn ringing(_: &Run) -> Outcome {
    let queue = "strategy = \"ordered\"";
    let scene = Scene::start(&Plan { counselors: 1, queue, tables: DEAD, ..Plan::default() })?;
    let began = Instant::now();
    let callers = scene.talk(1)?;
    // The prompt comes first.
    let took = began.elapsed().saturating_sub(Duration::from_millis(200)).as_secs_f64();
    callers.hang_up(1);
    scene.over(&callers, 1, 1)?;
    let is_known = || state(&scene, "100") == "unreachable";
    let was_tried = scene.wait("the board", Duration::from_secs(2), is_known).is_ok();
    let figure = format!("talking after {took:.2} s; the dead phone was tried: {was_tried}");
    Ok(Measured::new(took <= 1.0 + GRAIN && was_tried, figure))
}

fn talking(_: &Run) -> Outcome {
    let calls = 10;
    let mut scene = Scene::start(&Plan { counselors: calls, ..Plan::default() })?;
    // One more waits: those who talked come before them.
    let callers = scene.fill(calls, 1)?;
    let waited = scene.queue();
    scene.switch_phones_off(calls)?;
    let began = Instant::now();
    scene.wait("the callers to be in the queue", SOON, || {
        count(&scene, "queue") == calls as usize + 1
    })?;
    let took = began.elapsed().as_secs_f64();
    let is_last = scene.queue().last() == waited.first();
    callers.hang_up(calls + 1);
    let well = scene.over(&callers, calls + 1, calls)?;
    let figure = format!(
        "{calls} of {calls} wait again after {took:.1} s, before who waited: {is_last}; {well} of \
         {} end as they wish",
        calls + 1
    );
    Ok(Measured::new(took <= 8.0 + GRAIN && is_last && well == calls + 1, figure))
}

fn lost(_: &Run) -> Outcome {
    let calls = 10;
    let plan = Plan { counselors: calls, lost_caller: "30s", ..Plan::default() };
    let scene = Scene::start(&plan)?;
    let callers = scene.talk(calls)?;
    drop(callers);
    (0..calls).for_each(|n| scene.voice.mouth().stop(Side::Caller, n));
    let began = Instant::now();
    scene.wait("the calls to be freed", SOON, || count(&scene, "") == 0)?;
    let took = began.elapsed().as_secs_f64();
    let records = scene.records()?;
    let figure = format!("freed after {took:.1} s, recorded as {records:?}");
    Ok(Measured::new(took <= 30.0 + GRAIN && records.values().sum::<u32>() == calls, figure))
}
