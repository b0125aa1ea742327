use koebashi::call::cdr::Outcome;
use koebashi::call::config::{LineId, Override};
use koebashi::call::switchboard::Command;

use super::{CALLER, COUNSELOR, S, only_outcome, only_record, requests_to};
use crate::config::basic;
use crate::sim::{Answer, PhoneId, World};

const HOURS: &str = "[[line.hours]]\ndays = [\"sat\"]\nopen = \"18:00\"\nintake_end = \"21:30\"\n\
                     service_end = \"22:00\"\n[line.closed]\nranges = [\"12-29..01-03\", \"08-13..08-16\"]\n\
                     dates = [\"2026-12-05\"]\n";

/// The line of the Saturday evenings, at this moment in Tokyo.
fn at(moment: &str, line: &str) -> World {
    let mut world = World::new(&basic(&format!("{line}{HOURS}"), "", ""));
    world.wall = format!("{moment}+09:00").parse().unwrap();
    world
}

/// What a caller is told who dials at this moment; `welcome` and what follows means open.
fn told(moment: &str) -> Vec<String> {
    let mut world = at(moment, "");
    world.add_counselor("101", COUNSELOR);
    let caller = dial(&mut world);
    world.run(3 * S);
    world.said(caller)
}

fn dial(world: &mut World) -> PhoneId {
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    caller
}

#[test]
fn callers_are_taken_from_the_opening_to_the_end_of_the_intake() {
    assert_eq!(told("2026-11-28T17:59:58"), ["closed", "help"]);
    assert_eq!(told("2026-11-28T18:00:00")[0], "welcome");
    assert_eq!(told("2026-11-28T21:29:58")[0], "welcome");
    assert_eq!(told("2026-11-28T21:30:00"), ["closed", "help"]);
    assert_eq!(told("2026-11-28T22:30:00"), ["closed", "help"]);
    assert_eq!(told("2026-11-27T19:00:00"), ["closed", "help"], "a Friday");
}

#[test]
fn over_the_turn_of_the_year_the_message_is_another() {
    assert_eq!(told("2027-01-02T19:00:00"), ["closed_year_end", "help"]);
    assert_eq!(told("2026-12-05T19:00:00"), ["closed", "help"], "a closed date");
    assert_eq!(told("2027-08-14T19:00:00"), ["closed", "help"], "a range of the summer");
    assert_eq!(told("2026-12-26T19:00:00")[0], "welcome");
}

#[test]
fn a_closed_line_leaves_a_record_and_says_what_its_own_prompt_says() {
    let own = basic(&format!("{HOURS}[line.prompts]\nclosed = \"closed_nijiiro\""), "", "");
    let mut world = World::new(&own);
    world.wall = "2026-11-28T09:00:00+09:00".parse().unwrap();
    let caller = dial(&mut world);
    world.run(3 * S);
    assert_eq!(world.said(caller), ["closed_nijiiro", "help"]);
    assert_eq!(only_outcome(&mut world), Outcome::Closed);
}

#[test]
fn holidays_are_closed_where_the_line_says_so() {
    let closed = HOURS.replace("dates", "holidays = \"closed\"\ndates");
    for (hours, first) in [(closed.as_str(), "closed"), (HOURS, "welcome")] {
        let mut world = World::new(&basic(hours, "", ""));
        // 文化の日, a Saturday.
        world.wall = "2029-11-03T19:00:00+09:00".parse().unwrap();
        world.add_counselor("101", COUNSELOR);
        let caller = dial(&mut world);
        world.run(2 * S);
        assert_eq!(world.said(caller)[0], first);
    }
}

#[test]
fn who_is_in_the_queue_when_the_intake_ends_is_still_served() {
    let mut world = at("2026-11-28T21:29:50", "");
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(15 * S);
    let caller = dial(&mut world);
    world.run(20 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0), "{}", world.story());
}

#[test]
fn before_the_service_ends_the_counselor_alone_hears_tones_and_nobody_is_cut() {
    let mut world = at("2026-11-28T21:29:00", "");
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = dial(&mut world);
    world.run(10 * S);
    let joined = world.now;
    world.run(40 * 60 * S);
    assert!(world.phones[caller.0].is_talking(), "ten minutes after the end of the service");
    assert_eq!(requests_to(&world, caller, &koebashi::sip::message::Method::Bye).len(), 0);
    let mut heard = world.sounds(counselor, joined);
    heard.retain(|sound| sound.starts_with("tone"));
    assert_eq!(heard, ["tone_15m", "tone_5m", "tone_1m"]);
    assert!(world.sounds(caller, joined).iter().all(|sound| !sound.starts_with("tone")));
    // When they came: 21:45, 21:55, 21:59.
    for (tone, minute) in [("tone_15m", 45 * 60), ("tone_5m", 55 * 60), ("tone_1m", 59 * 60)] {
        let byte = world.prompts[&tone.into()];
        let first = world.phones[counselor.0].heard.iter().find(|h| h.byte == byte).unwrap();
        let after = (first.at - world.started()).as_secs();
        assert!((minute - 29 * 60..=minute - 29 * 60 + 1).contains(&after), "{tone}: {after}");
    }
    world.claim_one_stream(counselor);
    world.with(caller, |phone, now| phone.hang_up(now));
    assert!(only_record(&mut world).talk > 40 * 60 * S);
}

#[test]
fn a_person_opens_and_closes_the_line_by_hand() {
    let line = LineId::from("main");
    let mut world = at("2026-11-28T10:00:00", "");
    world.add_counselor("101", COUNSELOR);
    world.command(Command::Override { line: line.clone(), over: Override::Open(None) });
    let caller = dial(&mut world);
    world.run(2 * S);
    assert_eq!(world.said(caller)[0], "welcome");
    world.command(Command::Override { line: line.clone(), over: Override::Closed(None) });
    world.run(3 * S);
    assert!(world.phones[caller.0].is_talking(), "who is in stays in");
    let second = world.add_caller(2, 2);
    world.dial(second);
    world.run(S);
    assert_eq!(world.said(second)[0], "closed");
}

#[test]
fn an_override_ends_when_it_says() {
    let line = "override = \"closed\"\noverride_until = \"2026-11-28T20:00\"\n";
    for (moment, first) in [("2026-11-28T19:59:50", "closed"), ("2026-11-28T20:00:10", "welcome")] {
        let mut world = at(moment, line);
        world.add_counselor("101", COUNSELOR);
        let caller = dial(&mut world);
        world.run(S);
        assert_eq!(world.said(caller)[0], first);
    }
}

#[test]
fn the_board_says_whether_the_line_is_open_and_until_when() {
    let mut world = at("2026-11-28T17:59:50", "");
    world.run(S);
    assert!(!world.shown.lines[0].open);
    let change = world.shown.lines[0].changes_at.unwrap();
    assert_eq!(change.to_rfc3339(), "2026-11-28T09:00:00+00:00");
    world.run(20 * S);
    assert!(world.shown.lines[0].open);
}
