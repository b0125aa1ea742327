//! Phones behind a connection that breaks while they talk, and that come back by another.

use koebashi::call::board::CounselorState;
use koebashi::call::cdr::Outcome;
use koebashi::sip::message::Method;

use super::{CALLER, COUNSELOR, S, Talk, only_outcome, requests_to, rings, talk_by};
use crate::config::basic;
use crate::sim::phone::Answer;
use crate::sim::{PhoneId, World};

/// A caller and counselor 101, whose phone is behind a connection, joined.
fn talk(toml: &str) -> Talk {
    talk_by(World::add_counselor_by_tcp, toml)
}

#[test]
fn a_caller_who_hangs_up_meanwhile_is_told_to_a_phone_that_comes_back() {
    let mut talk = talk(&basic("", "", ""));
    talk.world.disconnect(talk.counselor);
    talk.world.run(2 * S);
    talk.claim_they_hear_each_other();
    talk.world.with(talk.caller, |phone, now| phone.hang_up(now));
    talk.world.run(S);
    assert!(talk.world.phones[talk.counselor.0].is_talking(), "it can't know");
    talk.world.connect(talk.counselor, "101");
    talk.world.run(S);
    let story = talk.world.story();
    assert!(talk.world.phones[talk.counselor.0].last().ended.is_some(), "{story}");
    assert_eq!(requests_to(&talk.world, talk.counselor, &Method::Bye).len(), 1, "{story}");
    assert_eq!(only_outcome(&mut talk.world), Outcome::Answered);
    assert_eq!(talk.world.state_of("101"), CounselorState::Ready);
}

#[test]
fn a_phone_that_holds_and_comes_back_is_not_lost() {
    let mut talk = talk(&basic("", "", ""));
    talk.world.with(talk.counselor, |phone, now| phone.hold(now, true));
    // Until just before it is asked whether it is there.
    talk.world.run(29 * S);
    talk.world.disconnect(talk.counselor);
    talk.world.run(4 * S);
    talk.world.connect(talk.counselor, "101");
    talk.world.run(60 * S);
    assert_eq!(rings(&talk.world, talk.counselor), 1, "{}", talk.world.story());
    talk.world.with(talk.counselor, |phone, now| phone.hold(now, false));
    talk.world.run(2 * S);
    talk.claim_they_hear_each_other();
}

/// As without a connection: within `vanish_after`.
#[test]
fn a_phone_that_does_not_come_back_is_lost_in_time() {
    let mut talk = talk(&basic("", "", ""));
    let caller = talk.caller;
    talk.world.phone(talk.counselor).is_alive = false;
    talk.world.disconnect(talk.counselor);
    let gone = talk.world.now;
    talk.world.until("the caller is told", 12 * S, |w| {
        w.said(caller).contains(&"counselor_lost".to_owned())
    });
    assert!(talk.world.now - gone <= 8 * S, "{:?}", talk.world.now - gone);
}

/// Its voice goes another way and is heard: nobody is lost.
#[test]
fn who_is_heard_talks_on_without_a_connection() {
    let mut talk = talk(&basic("", "", ""));
    talk.world.disconnect(talk.counselor);
    talk.world.run(120 * S);
    talk.claim_they_hear_each_other();
    talk.world.connect(talk.counselor, "101");
    talk.world.with(talk.counselor, |phone, now| phone.hang_up(now));
    talk.world.run(S);
    assert_eq!(only_outcome(&mut talk.world), Outcome::Answered);
}

#[test]
fn a_phone_whose_connection_breaks_while_it_rings_is_passed_over_at_once() {
    let mut world = World::new(&basic("", "strategy = \"ordered\"", ""));
    let a = world.add_counselor_by_tcp("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.phone(a).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("the ring", 5 * S, |w| rings(w, a) == 1);
    world.disconnect(a);
    let failed = world.now;
    world.until("102 rings", 5 * S, |w| rings(w, b) == 1);
    assert!(world.now - failed <= S / 10, "{:?}", world.now - failed);
}

/// Both phones of a consultation lose their connection as they are asked whether they are there.
#[test]
fn a_consultation_outlives_the_connections_of_its_phones() {
    let mut world = World::new(&basic("", "", ""));
    let phones = [("101", 0x51), ("102", 0x52)].map(|(n, voice)| {
        let phone = world.add_counselor_by_tcp(n, voice);
        world.phone(phone).answer = Answer::After(S);
        phone
    });
    world.with(phones[0], |phone, now| phone.dial(now, "102"));
    let talks = |w: &World, it: &PhoneId| w.phones[it.0].is_talking();
    world.until("they talk", 20 * S, |w| phones.iter().all(|it| talks(w, it)));
    world.run(28 * S);
    phones.iter().for_each(|it| world.disconnect(*it));
    world.run(5 * S);
    world.connect(phones[0], "101");
    world.connect(phones[1], "102");
    world.run(60 * S);
    assert_eq!(world.state_of("101"), CounselorState::Talking, "{}", world.story());
    assert_eq!(world.state_of("102"), CounselorState::Talking, "{}", world.story());
    // Those that do not come back are not busy for ever.
    phones.iter().for_each(|it| {
        world.phone(*it).is_alive = false;
        world.disconnect(*it);
    });
    world.run(45 * S);
    assert_ne!(world.state_of("101"), CounselorState::Talking, "{}", world.story());
}
