use std::time::Duration;

use koebashi::call::cdr::Outcome;
use koebashi::media::Command;
use koebashi::sip::message::Method;

use super::{CALLER, COUNSELOR, MS, S, only_outcome, only_record, requests_to};
use crate::config::basic;
use crate::sim::{Answer, PhoneId, World};

const MENU: &str = "[line.guidance]\n\
    start = { play = [\"hello\"], keys = { \"1\" = \"queue\", \"2\" = \"about\", \"3\" = \"hangup\", \
              \"4\" = \"help\", \"5\" = \"line:other\" }, timeout = \"3s\", repeats = 2, \
              next = \"queue\" }\n\
    about = { play = [\"about_us\"], keys = { \"1\" = \"queue\", \"2\" = \"start\" }, \
              timeout = \"3s\", repeats = 0, next = \"hangup\" }\n";

const OTHER: &str = "[[line]]\nid = \"other\"\nname = \"other\"\nnumbers = [\"0480000000\"]\n\
    [line.guidance]\nstart = { play = [\"other_hello\"], next = \"queue\" }\n[line.queue]\n\
    wrap_up = \"0s\"\n";

/// A caller who hears the menu, and a counselor who never answers.
fn at_menu(line: &str) -> (World, PhoneId) {
    let toml = basic(&format!("{line}{MENU}"), "", OTHER);
    let mut world =
        World::new(&toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("the menu", S, |w| w.said(caller) == ["hello"]);
    (world, caller)
}

#[test]
fn of_two_whose_time_is_up_at_the_same_moment_one_has_the_place_that_there_is() {
    let toml = basic(MENU, "max_callers = 1", OTHER);
    let mut world =
        World::new(&toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    for n in [1, 2] {
        let caller = world.add_caller(n, CALLER);
        world.dial(caller);
    }
    let has_place = |w: &World| w.shown.calls.iter().any(|call| call.position.is_some());
    world.until("a place in the queue", 60 * S, has_place);
    world.run(300 * MS);
    let places: Vec<_> = world.shown.calls.iter().filter_map(|call| call.position).collect();
    assert_eq!(places, [1], "{}", world.story());
}

#[test]
fn keys_are_taken_by_telephone_events_with_and_without_marker() {
    for has_marker in [true, false] {
        let (mut world, caller) = at_menu("");
        world.phone(caller).press(2, has_marker);
        world.run(S);
        assert_eq!(world.said(caller), ["hello", "about_us"], "marker: {has_marker}");
    }
}

#[test]
fn keys_are_taken_by_info() {
    let (mut world, caller) = at_menu("");
    world.with(caller, |phone, now| phone.press_by_info(now, '2'));
    world.run(S);
    assert_eq!(world.said(caller), ["hello", "about_us"]);
}

#[test]
fn keys_are_taken_by_tones() {
    let (mut world, caller) = at_menu("");
    world.phone(caller).voice = Some(0xff);
    world.run(200 * MS);
    world.phone(caller).press_by_tone(697.0, 1336.0);
    world.run(S);
    assert!(world.said(caller).contains(&"about_us".to_owned()), "{:?}", world.said(caller));
}

/// Whether the tones of anybody's keys are listened for.
fn hears_tones(world: &World) -> bool {
    let told = world.commands.iter().rev().find_map(|command| {
        if let Command::Detect { inband, .. } = command { Some(*inband) } else { None }
    });
    told.unwrap_or(false)
}

#[test]
fn tones_are_heard_in_the_guidance_and_not_in_the_queue() {
    let queue = "max_wait_no_counselor = \"5s\"\non_no_counselor = \"about\"";
    let mut world = World::new(&basic(MENU, queue, OTHER));
    let caller = world.add_caller(1, CALLER);
    world.phone(caller).voice = Some(0xff);
    world.dial(caller);
    let waits =
        |world: &World| world.said(caller).iter().filter(|said| *said == "connecting").count();
    for (n, menu) in [(1, "hello"), (2, "about_us")] {
        world.until("the menu", 20 * S, |w| w.hears(caller) == menu);
        assert!(hears_tones(&world), "{menu}");
        world.run(200 * MS);
        world.phone(caller).press_by_tone(697.0, 1209.0);
        world.until("the queue", 2 * S, |w| waits(w) == n);
        assert!(!hears_tones(&world), "in the queue from {menu}");
    }
}

#[test]
fn means_that_a_trunk_does_not_have_are_not_taken() {
    for means in ["info", "rfc4733", "inband"] {
        let toml =
            basic(MENU, "", OTHER).replace("peers =", &format!("dtmf = [\"{means}\"]\npeers ="));
        let mut world = World::new(&toml);
        let counselor = world.add_counselor("101", COUNSELOR);
        world.phone(counselor).answer = Answer::Never;
        let caller = world.add_caller(1, CALLER);
        world.dial(caller);
        world.until("the menu", S, |w| w.said(caller) == ["hello"]);
        if means != "info" {
            world.with(caller, |phone, now| phone.press_by_info(now, '2'));
        }
        if means != "rfc4733" {
            world.phone(caller).press(2, true);
        }
        world.run(2 * S);
        assert_eq!(world.said(caller), ["hello"], "{means}");
    }
}

#[test]
fn a_key_that_comes_by_two_means_is_one_press() {
    // 2 leads to a menu in which 2 leads back.
    let (mut world, caller) = at_menu("");
    world.phone(caller).press(2, true);
    world.run(160 * MS);
    world.with(caller, |phone, now| phone.press_by_info(now, '2'));
    world.run(S);
    assert_eq!(world.said(caller), ["hello", "about_us"]);
    // And the other way round.
    let (mut world, caller) = at_menu("");
    world.with(caller, |phone, now| phone.press_by_info(now, '2'));
    world.phone(caller).press(2, true);
    world.run(S);
    assert_eq!(world.said(caller), ["hello", "about_us"]);
    // Pressed again, it is another.
    world.with(caller, |phone, now| phone.press_by_info(now, '2'));
    world.run(S);
    assert_eq!(world.said(caller), ["hello", "about_us", "hello"]);
}

#[test]
fn a_long_press_is_one_press() {
    let (mut world, caller) = at_menu("");
    for _ in 0..10 {
        world.phone(caller).press(2, true);
    }
    world.run(2 * S);
    assert_eq!(world.said(caller), ["hello", "about_us"]);
}

#[test]
fn every_key_leads_where_the_graph_says() {
    let cases: [(u8, &[&str]); 4] = [
        (1, &["hello", "connecting", "position_1", "hold"]),
        (3, &["hello", "goodbye"]),
        (4, &["hello", "help"]),
        (5, &["hello", "other_hello", "connecting", "position_1", "hold"]),
    ];
    for (key, expected) in cases {
        let (mut world, caller) = at_menu("");
        world.phone(caller).press(key, true);
        world.run(4 * S);
        assert_eq!(world.said(caller), expected, "key {key}");
    }
}

#[test]
fn without_a_key_the_menu_is_repeated_and_then_left() {
    let (mut world, caller) = at_menu("");
    world.run(13 * S);
    let expected = ["hello", "connecting", "position_1", "hold"];
    assert_eq!(world.said(caller), expected);
    let hello = world.prompts[&"hello".into()];
    let times: Vec<_> =
        world.phones[caller.0].heard.iter().filter(|h| h.byte == hello).map(|h| h.at).collect();
    let begins: Vec<_> = [times[0]]
        .into_iter()
        .chain(times.windows(2).filter(|p| p[1] - p[0] > S).map(|p| p[1]))
        .collect();
    assert_eq!(begins.len(), 3, "once, and two repeats");
    for pair in begins.windows(2) {
        let period = pair[1] - pair[0];
        assert!((3480 * MS..=3540 * MS).contains(&period), "{period:?}");
    }
}

#[test]
fn a_key_that_means_nothing_repeats_the_menu() {
    let (mut world, caller) = at_menu("");
    world.run(S);
    let before = world.phones[caller.0].heard.len();
    world.phone(caller).press(9, true);
    world.run(S);
    let hello = world.prompts[&"hello".into()];
    assert!(world.phones[caller.0].heard[before..].iter().any(|h| h.byte == hello));
    // Three wrong keys, and the guidance goes on.
    for _ in 0..3 {
        world.phone(caller).press(9, true);
        world.run(600 * MS);
    }
    world.run(S);
    assert!(world.said(caller).contains(&"connecting".to_owned()), "{:?}", world.said(caller));
}

#[test]
fn a_guidance_that_hangs_up_says_goodbye_and_is_a_refusal_by_its_own_word() {
    let (mut world, caller) = at_menu("");
    world.phone(caller).press(3, true);
    world.run(2 * S);
    assert_eq!(requests_to(&world, caller, &Method::Bye).len(), 1);
    assert_eq!(only_outcome(&mut world), Outcome::Refused);
}

#[test]
fn a_caller_who_hangs_up_in_the_guidance_is_guidance_abandoned() {
    let (mut world, caller) = at_menu("");
    world.run(2 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!(cdr.outcome, Outcome::GuidanceAbandoned);
    assert!((2 * S..=3 * S).contains(&cdr.guidance), "{:?}", cdr.guidance);
    assert_eq!((cdr.wait, cdr.position), (Duration::ZERO, None));
}

#[test]
fn the_record_names_the_line_to_which_the_caller_went() {
    let (mut world, caller) = at_menu("");
    world.phone(caller).press(5, true);
    world.run(8 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!(cdr.line, Some("other".into()));
    assert_eq!(cdr.outcome, Outcome::Abandoned);
}

#[test]
fn a_prompt_that_does_not_exist_is_skipped() {
    let mut world = World::new(&basic(MENU, "", OTHER));
    world.prompts.clear();
    let library = koebashi::media::prompt::Library::from_clips(Vec::new());
    world.set_library(library);
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    // Not a word can be played, and the caller still gets through.
    world.until("both talk", 20 * S, |w| w.phones[counselor.0].is_talking());
}
