use koebashi::call::board::{CounselorState, PhaseName};
use koebashi::call::cdr::{EndReason, Outcome};
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;

use super::{CALLER, COUNSELOR, MS, S, only_outcome, only_record, rings};
use crate::config::{alone, basic};
use crate::sim::{Answer, PhoneId, World};

/// A caller, waiting or talking, who dialed just now.
fn dial(world: &mut World, n: u8) -> PhoneId {
    let caller = world.add_caller(n, n);
    world.dial(caller);
    world.run(100 * MS);
    caller
}

fn state(world: &mut World, extension: &str) -> CounselorState {
    world.run(300 * MS);
    let mut views = world.shown.counselors.iter();
    views.find(|c| c.extension == Extension::from(extension)).unwrap().state.clone()
}

fn ready(world: &mut World, extension: &str) {
    let extension = Extension::from(extension);
    world.intend(extension, Intention::Ready);
}

#[test]
fn callers_are_served_in_the_order_of_their_arrival() {
    let mut world = World::new(&alone("", "max_callers = 9", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(S);
    let callers: Vec<_> = (1..=4).map(|n| dial(&mut world, n)).collect();
    for caller in callers {
        world.run(6 * S);
        assert_eq!(world.hears(caller), "voice 0", "{}", world.story());
        world.with(caller, |phone, now| phone.hang_up(now));
    }
}

#[test]
fn who_waits_longer_is_served_first_even_if_another_dialed_before_and_dawdled() {
    // The first caller stays in the menu while the second goes straight to the queue.
    let guidance = "[line.guidance]\n\
        start = { play = [\"a\"], keys = { \"1\" = \"queue\" }, timeout = \"60s\", next = \"help\" }\n";
    let mut world = World::new(&alone(guidance, "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let first = dial(&mut world, 1);
    let second = dial(&mut world, 2);
    world.run(S);
    world.phone(second).press(1, true);
    world.run(3 * S);
    assert!(world.said(second).contains(&"position_1".to_owned()));
    world.phone(first).press(1, true);
    world.run(3 * S);
    assert!(world.said(first).contains(&"position_2".to_owned()), "{:?}", world.said(first));
    world.run(300 * MS);
    let places: Vec<_> = world.shown.calls.iter().map(|call| call.position).collect();
    assert_eq!(places, [Some(2), Some(1)]);
}

#[test]
fn after_a_failed_offer_the_caller_keeps_the_head_and_is_offered_again_after_retry() {
    let mut world = World::new(&alone("", "ring_timeout = \"5s\"\nretry = \"3s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let first = dial(&mut world, 1);
    let second = dial(&mut world, 2);
    world.until("the first ring", 5 * S, |w| rings(w, counselor) == 1);
    let first_ring = world.now;
    world.phone(counselor).answer = Answer::After(2 * S);
    world.until("the second ring", 20 * S, |w| rings(w, counselor) == 2);
    let pause = world.now - first_ring;
    assert!((7900 * MS..=8100 * MS).contains(&pause), "ring_timeout and retry: {pause:?}");
    world.run(4 * S);
    assert_eq!(world.hears(first), "voice 0", "{}", world.story());
    assert_eq!(world.hears(second), "hold");
}

#[test]
fn a_failed_offer_is_followed_by_one_to_somebody_else() {
    for strategy in ["longest_idle", "round_robin", "fewest_calls", "ordered"] {
        let queue = format!("strategy = \"{strategy}\"\nring_timeout = \"3s\"\nretry = \"1s\"");
        let mut world = World::new(&basic("", &queue, ""));
        let a = world.add_counselor("101", COUNSELOR);
        let b = world.add_counselor("102", 0x56);
        world.phone(a).answer = Answer::Never;
        let caller = dial(&mut world, 1);
        world.run(9 * S);
        assert_eq!((rings(&world, a), rings(&world, b)), (1, 1), "{strategy}");
        assert_eq!(world.hears(caller), "voice 1", "{strategy}");
    }
}

#[test]
fn rings_missed_in_a_row_pause_a_counselor() {
    let queue = "ring_timeout = \"3s\"\nretry = \"1s\"\nauto_pause_after = 3";
    let mut world = World::new(&alone("", queue, ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    dial(&mut world, 1);
    world.run(9 * S);
    assert_eq!(rings(&world, counselor), 3);
    assert_eq!(state(&mut world, "101"), CounselorState::Ringing);
    world.run(20 * S);
    assert_eq!(rings(&world, counselor), 3);
    assert_eq!(state(&mut world, "101"), CounselorState::Paused("missed".to_owned()));
    let kept = world.intentions.get(&Extension::from("101"));
    assert_eq!(kept, Some(&Intention::Paused("missed".to_owned())));
    // Ready again, and the count begins anew.
    ready(&mut world, "101");
    dial(&mut world, 2);
    world.run(6 * S);
    assert_eq!(state(&mut world, "101"), CounselorState::Ringing, "the second of three");
}

#[test]
fn a_call_taken_begins_the_count_of_missed_rings_anew() {
    let queue = "ring_timeout = \"3s\"\nretry = \"1s\"\nauto_pause_after = 2";
    let mut world = World::new(&alone("", queue, ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    for n in 1..=3 {
        world.phone(counselor).answer = Answer::Never;
        let before = rings(&world, counselor);
        let caller = dial(&mut world, n);
        world.until("a ring", 5 * S, |w| rings(w, counselor) == before + 1);
        world.phone(counselor).answer = Answer::After(S);
        world.run(7 * S);
        assert_eq!(world.hears(caller), "voice 0", "{}", world.story());
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(S);
    }
    assert_eq!(state(&mut world, "101"), CounselorState::Ready);
}

#[test]
fn auto_pause_after_0_never_pauses() {
    let queue = "ring_timeout = \"3s\"\nretry = \"1s\"\nauto_pause_after = 0\nmax_wait = \"60s\"";
    let mut world = World::new(&alone("", queue, ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    dial(&mut world, 1);
    world.run(59 * S);
    assert!(rings(&world, counselor) >= 14, "{}", rings(&world, counselor));
}

#[test]
fn max_wait_ends_in_the_time_out_message() {
    let mut world = World::new(&basic("", "max_wait = \"20s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = dial(&mut world, 1);
    world.run(24 * S);
    let said = world.said(caller);
    assert_eq!(said[said.len() - 2..], ["timed_out", "help"]);
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::TimedOut, EndReason::MessageEnded));
    assert_eq!(cdr.wait, 20 * S);
    assert!(world.phones[counselor.0].last().ended.is_some(), "the ring has stopped");
}

/// Who is rung, call after call, when every counselor takes each call for `talks` seconds in turn.
fn served(strategy: &str, talks: &[u64]) -> Vec<usize> {
    let third = "[[counselor]]\nextension = \"103\"\nname = \"C\"\npassword = \"password-103\"\n\
                 lines = [\"main\"]\n";
    let mut world = World::new(&basic("", &format!("strategy = \"{strategy}\""), third));
    let mut phones = Vec::new();
    for (n, extension) in ["101", "102", "103"].into_iter().enumerate() {
        let phone = world.add_counselor(extension, 0x50 + n as u8);
        world.phone(phone).answer = Answer::After(100 * MS);
        phones.push(phone);
        world.run(S);
    }
    let mut order = Vec::new();
    for (n, talk) in talks.iter().enumerate() {
        let before: Vec<_> = phones.iter().map(|id| rings(&world, *id)).collect();
        let caller = dial(&mut world, n as u8 + 1);
        world.run(2 * S);
        let rung = phones.iter().position(|id| rings(&world, *id) > before[id.0]);
        order.push(rung.expect("somebody is rung"));
        world.run(*talk as u32 * S);
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(S);
    }
    order
}

#[test]
fn strategy_longest_idle() {
    assert_eq!(served("longest_idle", &[1, 1, 1, 1, 1, 1]), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn strategy_round_robin() {
    assert_eq!(served("round_robin", &[1, 1, 1, 1, 1, 1]), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn strategy_fewest_calls() {
    assert_eq!(served("fewest_calls", &[1, 1, 1, 1, 1]), [0, 1, 2, 0, 1]);
}

#[test]
fn strategy_ordered() {
    assert_eq!(served("ordered", &[1, 1, 1]), [0, 0, 0]);
}

#[test]
fn strategy_ring_all_rings_everyone_who_is_free() {
    let mut world = World::new(&basic("", "strategy = \"ring_all\"", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.phone(b).answer = Answer::Never;
    dial(&mut world, 1);
    world.run(4 * S);
    assert_eq!((rings(&world, a), rings(&world, b)), (1, 1));
    // 101 talks: the next caller rings 102 alone.
    dial(&mut world, 2);
    world.run(2 * S);
    assert_eq!((rings(&world, a), rings(&world, b)), (1, 2));
}

#[test]
fn two_callers_and_two_counselors_are_joined_side_by_side() {
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    world.add_counselor("102", 0x56);
    let first = world.add_caller(1, 1);
    let second = world.add_caller(2, 2);
    world.dial(first);
    world.dial(second);
    world.run(5 * S);
    assert_eq!((world.hears(first), world.hears(second)), ("voice 0".into(), "voice 1".into()));
}

#[test]
fn a_counselor_on_several_lines_serves_one_caller_at_a_time_first_come_first_served() {
    let other = "[[line]]\nid = \"other\"\nname = \"B線\"\nnumbers = [\"0480000000\"]\n\
                 [line.queue]\nwrap_up = \"0s\"\n";
    let toml = alone("", "", other).replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    let call = |world: &mut World, n: u8, number: &'static str| {
        let caller = world.add_caller(n, n);
        world.with(caller, |phone, now| phone.call(now, number, "<sip:1@carrier.example>", &[]));
        world.run(100 * MS);
        caller
    };
    let callers = [
        call(&mut world, 1, "0480000000"),
        call(&mut world, 2, "0570000000"),
        call(&mut world, 3, "0480000000"),
    ];
    let mut names = Vec::new();
    for caller in callers {
        world.run(5 * S);
        assert_eq!(world.hears(caller), "voice 0", "{}", world.story());
        world.with(caller, |phone, now| phone.hang_up(now));
    }
    for invite in super::requests_to(&world, counselor, &koebashi::sip::message::Method::Invite) {
        names.push(invite.from().unwrap().display.unwrap().into_owned());
    }
    assert_eq!(names, ["B線", "相談", "B線"], "the phone shows for which line it rings");
}

#[test]
fn places_are_told_up_to_the_limit_and_again_every_time() {
    let queue = "max_callers = 20\nannounce_every = \"15s\"\nannounce_position_limit = 3";
    let mut world = World::new(&alone("", queue, ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(100 * MS);
    let mut callers = vec![dial(&mut world, 1)];
    world.run(2 * S);
    callers.extend((2..=5).map(|n| dial(&mut world, n)));
    world.run(3 * S);
    let place = |world: &World, n: usize| -> Vec<String> {
        let said = world.said(callers[n]);
        said.into_iter().filter(|sound| sound.starts_with("position")).collect()
    };
    assert_eq!(place(&world, 1), ["position_1"]);
    assert_eq!(place(&world, 3), ["position_3"]);
    assert_eq!(place(&world, 4), Vec::<String>::new(), "beyond the limit nothing is said");
    // The first two leave; the others hear of it with the next announcement.
    for caller in &callers[..2] {
        world.with(*caller, |phone, now| phone.hang_up(now));
        world.run(S);
    }
    world.run(15 * S);
    assert_eq!(place(&world, 3), ["position_3", "position_1"]);
    assert_eq!(place(&world, 4), ["position_2"]);
}

#[test]
fn every_place_has_its_words() {
    let queue = "max_callers = 20\nannounce_position = \"yes\"\nmax_wait_no_counselor = \"60s\"";
    let mut world = World::new(&basic("", queue, ""));
    let callers: Vec<_> = (1..=12).map(|n| dial(&mut world, n)).collect();
    world.run(3 * S);
    for (n, caller) in callers.iter().enumerate() {
        let place = if n < 10 { format!("position_{}", n + 1) } else { "position_more".to_owned() };
        assert_eq!(world.said(*caller)[2], place);
    }
}

#[test]
fn announce_position_off_says_nothing_of_places() {
    let mut world = World::new(&alone("", "announce_position = \"off\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = dial(&mut world, 1);
    world.run(5 * S);
    assert_eq!(world.said(caller), ["welcome", "connecting", "hold"]);
}

#[test]
fn hold_music_follows_an_announcement_without_a_gap() {
    let mut world = World::new(&alone("", "announce_every = \"15s\"\nmax_wait = \"170s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = dial(&mut world, 1);
    world.run(40 * S);
    let since = world.phones[caller.0].heard.iter().find(|h| h.byte != 0xff).unwrap().at;
    let sounds = world.sounds(caller, since);
    assert!(!sounds.contains(&"silence".to_owned()), "{sounds:?}");
    assert!(world.longest_gap(caller, since, world.now) <= 40 * MS);
}

#[test]
fn a_full_queue_is_told_at_once() {
    let mut world = World::new(&alone("", "max_callers = 2", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    dial(&mut world, 1);
    dial(&mut world, 2);
    world.run(2 * S);
    let third = dial(&mut world, 3);
    world.run(2 * S);
    assert_eq!(world.said(third), ["all_busy", "help"], "without the guidance, which costs money");
    world.run(3 * S);
    assert_eq!(world.cdrs[0].outcome, Outcome::Full);
}

#[test]
fn a_queue_that_nobody_serves_any_more_lets_its_callers_go() {
    let mut world = World::new(&alone("", "ring_timeout = \"10s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = dial(&mut world, 1);
    world.run(3 * S);
    let extension = Extension::from("101");
    let intention = Intention::LoggedOut;
    world.intend(extension, intention);
    world.run(25 * S);
    let said = world.said(caller);
    assert_eq!(said[said.len() - 2..], ["no_counselor", "help"]);
    assert_eq!(only_outcome(&mut world), Outcome::NoCounselor);
}

#[test]
fn max_wait_no_counselor_is_the_patience_for_a_counselor_to_come() {
    let mut world = World::new(&alone("", "max_wait_no_counselor = \"60s\"", ""));
    let caller = dial(&mut world, 1);
    world.run(40 * S);
    assert_eq!(world.hears(caller), "hold");
    world.add_counselor("101", COUNSELOR);
    world.run(3 * S);
    assert_eq!(world.hears(caller), "voice 1");
}

#[test]
fn wrap_up_keeps_a_counselor_free_for_its_time() {
    let toml = alone("", "", "").replace("wrap_up = \"0s\"", "wrap_up = \"30s\"");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    let first = dial(&mut world, 1);
    world.run(5 * S);
    let second = dial(&mut world, 2);
    world.run(3 * S);
    world.with(first, |phone, now| phone.hang_up(now));
    world.run(10 * MS);
    let ended = world.now;
    assert_eq!(state(&mut world, "101"), CounselorState::WrapUp);
    world.until("the second ring", 40 * S, |w| rings(w, counselor) == 2);
    let pause = world.now - ended;
    assert!((29_900 * MS..=30_100 * MS).contains(&pause), "{pause:?}");
    world.run(3 * S);
    assert_eq!(world.hears(second), "voice 0");
}

#[test]
fn a_counselor_who_was_lost_is_back_without_wrap_up() {
    let toml = alone("", "", "").replace("wrap_up = \"0s\"", "wrap_up = \"120s\"");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = dial(&mut world, 1);
    world.run(5 * S);
    world.phone(counselor).is_alive = false;
    world.run(12 * S);
    assert_eq!(world.hears(caller), "hold", "{}", world.story());
    // The phone is back: nothing was finished that notes could be taken of.
    world.phone(counselor).is_alive = true;
    world.run(10 * S);
    assert_eq!(world.hears(caller), "voice 0", "{}", world.story());
}

#[test]
fn the_board_shows_who_waits_who_rings_and_who_talks() {
    let mut world = World::new(&alone("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(3 * S);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    let mut phases = Vec::new();
    for _ in 0..20 {
        world.run(300 * MS);
        phases.extend(world.shown.calls.iter().map(|call| call.phase));
    }
    phases.dedup();
    assert_eq!(phases, [PhaseName::Guidance, PhaseName::Ringing, PhaseName::Bridge]);
    assert_eq!(state(&mut world, "101"), CounselorState::Talking);
    assert_eq!(world.shown.calls[0].counselors, [Extension::from("101")]);
}
