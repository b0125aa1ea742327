//! The transition table of a call: in each phase each thing that may happen, what the phase is then,
//! what the caller hears, and the steps that the log tells.

use std::time::Duration;

use koebashi::call::board::PhaseName;
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;
use koebashi::call::switchboard::Command;

use crate::config::{OTHER, alone};
use crate::sim::{Answer, PhoneId, World};

const S: Duration = Duration::from_secs(1);

/// One caller, counselor 101 of line `main`, 103 of line `other`.
struct Scene {
    world: World,
    caller: PhoneId,
    counselor: PhoneId,
    colleague: PhoneId,
}

const LINE: &str = r#"
[line.guidance.start]
play = ["menu"]
keys = { 1 = "queue", 2 = "help", 3 = "line:other" }
timeout = "3s"
repeats = 0
next = "queue"
"#;
const QUEUE: &str = r#"
announce_position = "off"
ring_timeout = "8s"
max_wait = "20s"
max_wait_no_counselor = "10s"
"#;

impl Scene {
    fn new(line: &str, answer: Answer) -> Self {
        let patient = "[line.queue]\nmax_wait_no_counselor = \"10s\"\n";
        let other = OTHER.replace("[line.queue]\n", patient);
        let mut world = World::new(&alone(&format!("{line}\n{LINE}"), QUEUE, &other));
        let counselor = world.add_counselor("101", 0x51);
        let colleague = world.add_counselor("103", 0x53);
        world.phone(counselor).answer = answer;
        world.phone(colleague).answer = Answer::Never;
        let caller = world.add_caller(1, 0x2a);
        Self { world, caller, counselor, colleague }
    }

    fn intend(&mut self, intention: Intention) {
        let extension = Extension::from("101");
        self.world.intend(extension, intention);
    }

    fn phase(&self) -> &'static str {
        match self.world.shown.calls.as_slice() {
            [] if self.world.cdrs.is_empty() => "-",
            [] => "over",
            [call] => call.phase.name(),
            _ => "?",
        }
    }

    /// Moves on until the call is in the phase.
    fn until(&mut self, phase: PhaseName) {
        let in_phase = |w: &World| w.shown.calls.iter().any(|call| call.phase == phase);
        self.world.until(phase.name(), 15 * S, in_phase);
        self.world.run(Duration::from_millis(600));
    }

    fn press(&mut self, event: u8) {
        self.world.with(self.caller, |phone, _| phone.press(event, true));
    }
}

type Happening = (&'static str, fn(&mut Scene));

fn trunk_ack_awaited() -> Scene {
    let mut scene = Scene::new("", Answer::Never);
    scene.world.dial(scene.caller);
    scene.world.run(Duration::from_millis(12));
    scene.world.phone(scene.caller).answer = Answer::Dead;
    scene.until(PhaseName::Trunk);
    scene
}

fn guidance() -> Scene {
    let mut scene = Scene::new("", Answer::Never);
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Guidance);
    scene
}

fn message() -> Scene {
    let mut scene = Scene::new("override = \"closed\"", Answer::Never);
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Guidance);
    scene
}

fn queue() -> Scene {
    let mut scene = Scene::new("", Answer::Never);
    scene.intend(Intention::Paused(String::new()));
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Guidance);
    scene.press(1);
    scene.until(PhaseName::Queue);
    scene
}

fn queue_unanswered() -> Scene {
    let mut scene = Scene::new("answer = \"ring\"", Answer::Never);
    scene.intend(Intention::Paused(String::new()));
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Queue);
    scene
}

fn ringing() -> Scene {
    let mut scene = Scene::new("", Answer::Never);
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Guidance);
    scene.press(1);
    scene.until(PhaseName::Ringing);
    scene
}

fn ringing_unanswered() -> Scene {
    let mut scene = Scene::new("answer = \"ring\"", Answer::Never);
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Ringing);
    scene
}

fn bridge() -> Scene {
    let mut scene = Scene::new("answer = \"ring\"", Answer::After(Duration::ZERO));
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Bridge);
    scene
}

fn bridge_transferring() -> Scene {
    let mut scene = Scene::new("answer = \"ring\"", Answer::After(Duration::ZERO));
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Bridge);
    refer(&mut scene, "103");
    scene.world.run(S);
    scene
}

const HAPPENINGS: &[Happening] = &[
    ("the caller hangs up", |scene| {
        scene.world.phone(scene.caller).answer = Answer::Never;
        scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    }),
    ("the caller is lost", |scene| {
        scene.world.phone(scene.caller).is_alive = false;
        scene.world.run(50 * S);
    }),
    ("the caller presses 1", |scene| scene.press(1)),
    ("the caller presses 2", |scene| scene.press(2)),
    ("the caller presses 3", |scene| scene.press(3)),
    ("4 s pass", |scene| scene.world.run(4 * S)),
    ("9 s pass", |scene| scene.world.run(9 * S)),
    ("21 s pass", |scene| scene.world.run(21 * S)),
    ("the counselor gets ready", |scene| scene.intend(Intention::Ready)),
    ("the counselor pauses", |scene| scene.intend(Intention::Paused(String::new()))),
    ("the counselor's phone answers", |scene| {
        let session = scene.world.phones[scene.counselor.0].calls.last().map(|call| call.session);
        if let Some(session) = session {
            scene.world.with(scene.counselor, |phone, now| phone.answer_now(now, session));
        }
    }),
    ("the counselor hangs up or declines", |scene| {
        scene.world.phone(scene.counselor).answer = Answer::Refuses(486);
        scene.world.with(scene.counselor, |phone, now| phone.hang_up(now));
    }),
    ("the counselor's phone is lost", |scene| {
        scene.world.phone(scene.counselor).is_alive = false;
        scene.world.run(15 * S);
    }),
    ("the colleague's phone answers", |scene| {
        let session = scene.world.phones[scene.colleague.0].calls.last().map(|call| call.session);
        if let Some(session) = session {
            scene.world.with(scene.colleague, |phone, now| phone.answer_now(now, session));
        }
    }),
    ("the colleague hangs up or declines", |scene| {
        scene.world.with(scene.colleague, |phone, now| phone.hang_up(now));
    }),
    ("REFER to the colleague", |scene| refer(scene, "103")),
    ("REFER to a line", |scene| refer(scene, "other")),
    ("drain", |scene| scene.world.command(Command::Drain)),
];

fn refer(scene: &mut Scene, to: &str) {
    let live = scene.world.phones[scene.counselor.0].live_sessions();
    if let Some(session) = live.first() {
        let refer_to = format!("<sip:{to}@koebashi.local>");
        scene.world.with(scene.counselor, |phone, _| phone.refer(*session, &refer_to));
    }
}

/// The rows of a phase.
fn rows(begin: fn() -> Scene) -> String {
    let mut table = String::new();
    for (what, happen) in HAPPENINGS {
        let mut scene = begin();
        let (steps, before) = (scene.world.steps.len(), scene.phase());
        happen(&mut scene);
        scene.world.run(Duration::from_millis(900));
        let steps = scene.world.steps[steps..].iter();
        let steps: Vec<_> = steps.map(|step| step.split_once(": ").unwrap().1).collect();
        let (after, hears) = (scene.phase(), scene.world.hears(scene.caller));
        let steps = if steps.is_empty() { "-".to_owned() } else { steps.join("; ") };
        table += &format!("{what:<35} {before} -> {after:<9} hears {hears:<12} {steps}\n");
        scene.world.check();
    }
    table
}

macro_rules! tables {
    ($($phase:ident),* $(,)?) => {
        mod transitions {
            $(
                #[test]
                fn $phase() {
                    insta::assert_snapshot!(super::rows(super::$phase));
                }
            )*
        }
    };
}

tables!(
    trunk_ack_awaited,
    guidance,
    message,
    queue,
    queue_unanswered,
    ringing,
    ringing_unanswered,
    bridge,
    bridge_transferring,
);
