//! Claims on the test call: it hears the open guidance whatever the hours, from its one socket and
//! with its word only, and is nobody's call.

use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::cdr::{EndReason, Outcome};
use koebashi::call::deed::{Denial, Request};
use koebashi::call::switchboard::Command;
use koebashi::call::trial::Trial;
use koebashi::pii::Pii;
use koebashi::sip::Cause;

use crate::config::basic;
use crate::sim::{PhoneId, World};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// On the service's own machine, and no peer of any trunk.
const FROM: &str = "10.0.0.1:40002";
const WORD: &str = "k7f2q9";
/// Closed at every hour, with a guidance of two seconds.
const CLOSED: &str = "override = \"closed\"\n[line.guidance]\n\
                      start = { play = [\"a\", \"b\", \"c\", \"d\"], next = \"queue\" }\n";

fn world(more: &str) -> World {
    let mut world = World::new(&basic(CLOSED, "", more));
    world.add_counselor("101", 0x51);
    world
}

fn trial(line: &str) -> Trial {
    Trial { line: line.into(), from: FROM.parse().unwrap(), word: Pii::new(WORD) }
}

fn dial(world: &mut World, from: &str, number: &str, word: &str) -> PhoneId {
    let phone = world.add(from, 0x2a);
    let from = format!("<sip:{word}@koebashi.invalid>");
    world.with(phone, |phone, now| {
        phone.call(now, number, &from, &[]);
    });
    phone
}

#[test]
fn it_hears_the_open_guidance_and_is_hung_up_before_the_queue() {
    let mut world = world("");
    assert_eq!(world.ask(Request::Trial(trial("main"))), Ok(()));
    let phone = dial(&mut world, FROM, "0570000000", WORD);
    world.run(S);
    assert!(world.shown.calls.is_empty(), "it is on no board");
    world.run(5 * S);
    assert_eq!(world.said(phone), ["a", "b", "c", "d"], "{}", world.story());
    assert_eq!(world.phones[phone.0].last().ended, Some(Cause::Bye));
    let [cdr] = &world.cdrs[..] else { panic!("{:?}", world.cdrs) };
    assert!(cdr.test);
    assert_eq!((cdr.offers, cdr.position, cdr.reason), (0, None, EndReason::MessageEnded));
    assert!(world.shown.lines[0].today.is_empty(), "it is in no figure");
    assert!(world.voices.is_empty(), "nor is its voice");
    assert_eq!(world.shown.counselors[0].state, CounselorState::Ready);
    world.run(20 * S);
    assert!(world.board.is_idle() && world.open_ports() == 0, "{}", world.story());
}

#[test]
fn nobody_else_gets_in_by_it() {
    let mut world = world("");
    // Nothing is expected: a stranger gets no answer at all.
    let early = dial(&mut world, FROM, "0570000000", WORD);
    world.run(S);
    assert!(world.phones[early.0].events.is_empty());
    world.ask(Request::Trial(trial("main"))).unwrap();
    let elsewhere = dial(&mut world, "10.0.0.1:40004", "0570000000", WORD);
    world.run(S);
    assert!(world.phones[elsewhere.0].events.is_empty(), "another socket of the machine");
    let mut world = self::world("");
    world.ask(Request::Trial(trial("main"))).unwrap();
    let guess = dial(&mut world, FROM, "0570000000", "guess");
    world.run(S);
    let ended = world.phones[guess.0].last().ended.clone();
    assert!(matches!(ended, Some(Cause::Refused { code: 403, .. })), "{ended:?}");
    assert!(world.cdrs.is_empty(), "none of it was a call");
}

#[test]
fn it_comes_once_and_ends_in_time() {
    let mut world = World::new(&basic(
        "[line.guidance]\nstart = { play = [\"a\"], next = \"start2\", repeats = 5, \
         keys = { 1 = \"queue\" }, timeout = \"20s\" }\n\
         start2 = { play = [\"b\"], next = \"queue\" }\n",
        "",
        "",
    ));
    world.ask(Request::Trial(trial("main"))).unwrap();
    assert_eq!(world.ask(Request::Trial(trial("main"))), Err(Denial::TestRunning));
    let phone = dial(&mut world, FROM, "0570000000", WORD);
    world.run(S);
    assert_eq!(world.ask(Request::Trial(trial("main"))), Err(Denial::TestRunning));
    let second = dial(&mut world, FROM, "0570000000", WORD);
    world.run(S);
    assert!(!world.phones[second.0].is_talking());
    world.run(12 * S);
    assert!(world.phones[phone.0].is_talking());
    world.run(2 * S);
    assert!(world.phones[phone.0].last().ended.is_some(), "15 s have passed");
    world.run(5 * S);
    assert_eq!(world.ask(Request::Trial(trial("main"))), Ok(()), "and the next one may come");
    let trials: Vec<_> = world.cdrs.iter().map(|cdr| (cdr.test, cdr.outcome)).collect();
    assert_eq!(trials, [(true, Outcome::Failed)]);
}

#[test]
fn it_takes_nobodys_place_and_is_not_let_in_where_there_is_none() {
    let open = basic("[line.guidance]\nstart = { play = [\"a\"], next = \"help\" }\n", "", "");
    let mut world = World::new(&format!("[service]\nmax_calls = 1\n{open}"));
    world.ask(Request::Trial(trial("main"))).unwrap();
    let phone = dial(&mut world, FROM, "0570000000", WORD);
    world.run(300 * MS);
    let caller = world.add_caller(1, 0x33);
    world.dial(caller);
    world.run(500 * MS);
    assert!(world.phones[phone.0].is_talking() && world.phones[caller.0].is_talking());
    world.run(30 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    let next = world.add_caller(2, 0x34);
    world.dial(next);
    world.run(300 * MS);
    assert_eq!(world.ask(Request::Trial(trial("main"))), Err(Denial::NoRoom));
    assert_eq!(world.ask(Request::Trial(trial("none"))), Err(Denial::UnknownLine));
    world.command(Command::Drain);
    world.run(30 * S);
    assert_eq!(world.ask(Request::Trial(trial("main"))), Err(Denial::NoRoom), "draining");
}

#[test]
fn a_number_that_is_not_the_lines_own_is_refused_and_recorded() {
    let mut world = world("");
    world.ask(Request::Trial(trial("main"))).unwrap();
    let phone = dial(&mut world, FROM, "0570999999", WORD);
    world.run(S);
    let ended = world.phones[phone.0].last().ended.clone();
    assert!(matches!(ended, Some(Cause::Refused { code: 404, .. })), "{ended:?}");
    let [cdr] = &world.cdrs[..] else { panic!("{:?}", world.cdrs) };
    assert!(cdr.test && cdr.line.is_none());
}
