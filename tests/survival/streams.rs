//! Phones behind connections, which end with the process: the next one has others.

use koebashi::call::board::PhaseName;
use koebashi::call::cdr::Outcome;
use koebashi::sip::message::Method;

use super::{CALLER, COUNSELOR, DEAD, MS, S, Scene};
use crate::config::BASIC;
use crate::sim::World;
use crate::sim::phone::Answer;

/// A caller talks with a counselor whose phone is behind a connection.
fn bridge() -> Scene {
    let mut world = World::new(BASIC);
    let counselor = world.add_counselor_by_tcp("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    let mut scene = Scene { world, caller, counselor };
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Bridge);
    scene.world.run(2 * S);
    scene
}

#[test]
fn a_phone_that_connects_again_hears_that_its_call_is_over() {
    // It registers before the caller hangs up, or after.
    for is_first in [true, false] {
        let mut scene = bridge();
        scene.crash();
        scene.hear_each_other();
        if is_first {
            scene.world.connect(scene.counselor, "101");
        }
        scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
        scene.world.run(3 * S);
        if !is_first {
            scene.world.connect(scene.counselor, "101");
        }
        scene.world.run(S);
        let story = scene.world.story();
        assert!(scene.world.phones[scene.counselor.0].last().ended.is_some(), "{story}");
        scene.ends(Outcome::Answered);
    }
}

#[test]
fn a_phone_that_is_told_while_nobody_can_hear_it_is_told_by_the_process_after_the_next() {
    let mut scene = bridge();
    scene.crash();
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.world.run(S);
    // Neither the BYE nor the phone is forgotten.
    scene.crash();
    scene.world.connect(scene.counselor, "101");
    scene.world.run(S);
    let story = scene.world.story();
    assert!(scene.world.phones[scene.counselor.0].last().ended.is_some(), "{story}");
    scene.ends(Outcome::Answered);
}

#[test]
fn a_phone_that_holds_has_time_to_connect_again() {
    let mut scene = bridge();
    scene.world.with(scene.counselor, |phone, now| phone.hold(now, true));
    scene.world.phone(scene.counselor).voice = None;
    scene.world.run(S);
    scene.crash();
    scene.world.run(15 * S);
    scene.world.connect(scene.counselor, "101");
    scene.world.run(60 * S);
    scene.world.phone(scene.counselor).voice = Some(COUNSELOR);
    assert_eq!(scene.world.phones[scene.counselor.0].calls.len(), 1, "{}", scene.world.story());
    scene.world.with(scene.counselor, |phone, now| phone.hold(now, false));
    scene.world.run(S);
    scene.hear_each_other();
    scene.caller_ends_it();
}

#[test]
fn a_phone_that_holds_and_does_not_connect_again_is_found_out() {
    let mut scene = bridge();
    scene.world.with(scene.counselor, |phone, now| phone.hold(now, true));
    scene.world.run(S);
    scene.world.phone(scene.counselor).is_alive = false;
    scene.crash();
    scene.world.run(40 * S);
    let talks = scene.world.shown.calls.iter().any(|call| call.phase == PhaseName::Bridge);
    assert!(!talks, "{}", scene.world.story());
    // Its BYE waits for it for a while.
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.world.run(300 * S);
    scene.ends(Outcome::Answered);
}

#[test]
fn colleagues_behind_connections_talk_on() {
    let mut world = World::new(BASIC);
    let phones =
        [("101", 0x51), ("102", 0x52)].map(|(n, voice)| world.add_counselor_by_tcp(n, voice));
    world.with(phones[0], |phone, now| phone.dial(now, "102"));
    world.until("they talk", 20 * S, |w| phones.iter().all(|it| w.phones[it.0].is_talking()));
    world.run(S);
    world.crash(DEAD);
    world.run(DEAD + S);
    world.connect(phones[0], "101");
    world.connect(phones[1], "102");
    world.run(90 * S);
    for (phone, voice) in [(phones[0], 0x52), (phones[1], 0x51)] {
        let last = world.phones[phone.0].heard.last().expect("a voice");
        assert!(last.byte == voice && last.at + 100 * MS > world.now, "{}", world.story());
    }
    let probes = world.to_phone(phones[1]);
    let probes = probes.iter().filter(|it| it.method() == Some(&Method::Options));
    assert!(probes.count() > 2, "it is asked in its dialog: {}", world.story());
}

#[test]
fn a_phone_that_rang_rings_for_its_new_call_alone() {
    let mut world = World::new(BASIC);
    let counselor = world.add_counselor_by_tcp("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    let mut scene = Scene { world, caller, counselor };
    scene.world.phone(counselor).answer = Answer::Never;
    scene.world.dial(caller);
    scene.until(PhaseName::Ringing);
    scene.world.run(S);
    scene.crash();
    scene.world.phone(counselor).answer = Answer::After(S);
    scene.world.connect(counselor, "101");
    scene.until(PhaseName::Bridge);
    scene.world.run(S);
    let ended: Vec<_> =
        scene.world.phones[counselor.0].calls.iter().map(|call| call.ended.is_some()).collect();
    assert_eq!(ended, [true, false], "{}", scene.world.story());
    scene.hear_each_other();
    scene.caller_ends_it();
}
