use koebashi::call::board::CounselorState;
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;

use super::{COUNSELOR, S, Talk, talk};
use crate::config::alone;
use crate::sim::{Answer, World};

#[test]
fn a_counselor_who_talks_is_not_counted_as_ready() {
    let mut world = World::new(&alone("", "", ""));
    world.add_counselor("101", COUNSELOR);
    world.run(S);
    assert_eq!(world.shown.lines[0].ready, 1);
    let Talk { world, .. } = talk(&alone("", "", ""));
    assert_eq!(world.shown.lines[0].ready, 0);
}

#[test]
fn the_days_outcomes_end_at_midnight_though_nobody_calls() {
    let Talk { mut world, caller, .. } = talk(&alone("", "", ""));
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(2 * S);
    assert_eq!(world.shown.lines[0].today.len(), 1);
    world.run(25 * 3_600 * S);
    assert!(world.shown.lines[0].today.is_empty());
}

#[test]
fn a_missed_ring_counts_by_the_word_of_the_line_that_rang() {
    let other = "[[line]]\nid = \"strict\"\nnumbers = [\"0570000001\"]\n\
        [line.queue]\nauto_pause_after = 1\n";
    let queue = "ring_timeout = \"3s\"\nretry = \"1s\"\nauto_pause_after = 0";
    let toml =
        alone("", queue, other).replace("lines = [\"main\"]", "lines = [\"main\", \"strict\"]");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, 1);
    world.dial(caller);
    world.run(20 * S);
    let mut views = world.shown.counselors.iter();
    let view = views.find(|c| c.extension == Extension::from("101")).unwrap();
    assert!(view.missed > 2, "{view:?}");
    assert!(!matches!(view.state, CounselorState::Paused(_)), "{view:?}");
}

#[test]
fn who_waits_for_a_counselor_who_pauses_is_told_at_once() {
    let Talk { mut world, caller, .. } = talk(&alone("", "", ""));
    let waiting = world.add_caller(2, 2);
    world.dial(waiting);
    world.run(2 * S);
    let extension = Extension::from("101");
    world.intend(extension, Intention::Paused(String::new()));
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(3 * S);
    let said = world.said(waiting);
    assert!(said.iter().any(|name| name == "no_counselor"), "{said:?}");
}
