//! One fault at a time: each call again with its n-th SIP datagram lost, doubled or late, for every n.
//! One lost datagram never changes what becomes of a call.

use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::cdr::{Cdr, EndedBy, Outcome};

use crate::config::BASIC;
use crate::sim::World;
use crate::sim::link::Fate;
use crate::sim::phone::{Answer, PhoneId};

const S: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_millis(400);

/// A call from INVITE to BYE, and what must have become of it.
struct Scenario {
    toml: String,
    /// Plays it; the world has a caller and counselor 101 already.
    play: fn(&mut World, PhoneId, PhoneId),
    /// What the record must say.
    expect: fn(&Cdr) -> bool,
}

fn with_line(keys: &str) -> String {
    BASIC.replace("[line.queue]", &format!("{keys}\n[line.queue]"))
}

fn with_queue(keys: &str) -> String {
    BASIC.replace("wrap_up = \"0s\"", &format!("wrap_up = \"0s\"\n{keys}"))
}

/// Both hear each other.
fn talk(world: &mut World, caller: PhoneId, counselor: PhoneId) {
    world.dial(caller);
    let voices = |w: &World| {
        let last = |id: PhoneId| w.phones[id.0].heard.last().map(|heard| heard.byte);
        last(caller) == Some(0x55) && last(counselor) == Some(0x2a)
    };
    world.until("both hear each other", 12 * S, voices);
    world.run(S);
}

fn happy() -> Scenario {
    Scenario {
        toml: BASIC.to_owned(),
        play: |world, caller, counselor| {
            talk(world, caller, counselor);
            let welcome = world.prompts[&"welcome".into()];
            let heard = world.phones[caller.0].heard.iter().filter(|h| h.byte == welcome).count();
            let is_guided = world.steps.iter().any(|step| step.contains("guidance"));
            assert_eq!(heard, if is_guided { 25 } else { 0 }, "the welcome is heard to the end");
            world.with(caller, |phone, now| phone.hang_up(now));
        },
        expect: |cdr| cdr.outcome == Outcome::Answered && cdr.ended_by == EndedBy::Caller,
    }
}

fn ring_mode() -> Scenario {
    Scenario { toml: with_line("answer = \"ring\""), ..happy() }
}

fn early_media() -> Scenario {
    Scenario { toml: with_line("answer = \"early_media\""), ..happy() }
}

fn counselors_bye() -> Scenario {
    Scenario {
        play: |world, caller, counselor| {
            talk(world, caller, counselor);
            world.with(counselor, |phone, now| phone.hang_up(now));
        },
        expect: |cdr| cdr.outcome == Outcome::Answered && cdr.ended_by == EndedBy::Counselor,
        ..happy()
    }
}

fn cancel_while_ringing() -> Scenario {
    Scenario {
        toml: with_line("answer = \"ring\""),
        play: |world, caller, counselor| {
            world.phone(counselor).answer = Answer::Never;
            world.dial(caller);
            world.run(6 * S);
            world.with(caller, |phone, now| phone.hang_up(now));
        },
        expect: |cdr| {
            matches!(cdr.outcome, Outcome::Abandoned | Outcome::ShortAbandoned)
                && cdr.ended_by == EndedBy::Caller
                && cdr.answered.is_none()
        },
    }
}

fn abandon_in_queue() -> Scenario {
    Scenario {
        toml: with_queue("max_wait_no_counselor = \"60s\""),
        play: |world, caller, counselor| {
            // Nobody takes the call: the counselor declines whenever rung.
            world.phone(counselor).answer = Answer::Refuses(486);
            world.dial(caller);
            world.run(8 * S);
            world.with(caller, |phone, now| phone.hang_up(now));
        },
        expect: |cdr| {
            matches!(cdr.outcome, Outcome::Abandoned | Outcome::ShortAbandoned)
                && cdr.ended_by == EndedBy::Caller
        },
    }
}

/// Plays a scenario with one datagram's fate; returns how many datagrams there were.
fn play(scenario: &Scenario, at: u64, fate: Fate) -> u64 {
    let mut world = World::new(&scenario.toml);
    let counselor = world.add_counselor("101", 0x55);
    let caller = world.add_caller(1, 0x2a);
    world.run(S);
    let first = world.link.count;
    world.link.fate = Box::new(move |n| if n == first + at { fate } else { Fate::Arrives });
    (scenario.play)(&mut world, caller, counselor);
    world.check();
    world.come_to_rest();
    let count = world.link.count - first;
    let told = || format!("datagram {at}: {fate:?}\n{:#?}\n{}", world.cdrs, world.story());
    assert_eq!(world.cdrs.len(), 1, "{}", told());
    assert!((scenario.expect)(&world.cdrs[0]), "{}", told());
    let state = world.state_of("101");
    let is_free =
        state == CounselorState::Ready || state == CounselorState::Paused("missed".to_owned());
    assert!(is_free, "{state:?}\n{}", told());
    let joined = world.steps.iter().filter(|step| step.contains("joined with")).count();
    assert!(joined <= 1, "{}", told());
    count
}

fn each_datagram(scenario: &Scenario, fate: Fate) {
    let count = play(scenario, 0, Fate::Arrives);
    assert!((10..200).contains(&count), "{count} datagrams");
    for at in 0..count {
        play(scenario, at, fate);
    }
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn survives_each_datagram_lost() {
                each_datagram(&super::$name(), Fate::Lost);
            }

            #[test]
            fn survives_each_datagram_doubled() {
                each_datagram(&super::$name(), Fate::Doubled);
            }

            #[test]
            fn survives_each_datagram_late() {
                each_datagram(&super::$name(), Fate::Late(LATE));
            }
        }
    )*};
}

scenarios!(happy, ring_mode, early_media, counselors_bye, cancel_while_ringing, abandon_in_queue);
