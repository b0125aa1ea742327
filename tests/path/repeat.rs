//! "Not tonight": one caller is not connected again for a while, nobody else notices, and nothing says
//! who it was.

use koebashi::call::cdr::{CallId, EndReason};
use koebashi::call::deed::{Denial, Request};
use koebashi::call::journal::Key;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const NUMBER: &str = "<sip:09011112222@carrier.example>";
const OTHER: &str = "<sip:09033334444@carrier.example>";
const WITHHELD: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// A caller who shows this.
fn dial_as(world: &mut World, n: u8, from: &str) -> PhoneId {
    let caller = world.add_caller(n, n);
    world.with(caller, |phone, now| phone.call(now, "0570000000", from, &[]));
    caller
}

/// The call that talks.
fn call(world: &World) -> CallId {
    world.shown.calls[0].call.clone()
}

/// A caller who talks and is not to be connected again, and the world in which they do.
fn limited(toml: &str) -> Talk {
    let mut talk = talk(toml);
    let call = call(&talk.world);
    assert_eq!(talk.world.ask(Request::LimitCaller { call }), Ok(()));
    talk
}

fn hang_up(world: &mut World, caller: PhoneId) {
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(4 * S);
}

/// Whether a caller who shows this gets a counselor now.
fn is_connected(world: &mut World, n: u8, from: &str) -> bool {
    let caller = dial_as(world, n, from);
    world.run(5 * S);
    let said = world.said(caller);
    let is_talking = world.hears(caller) == "voice 0";
    assert_eq!(is_talking, said != ["not_tonight", "help"], "{said:?}");
    hang_up(world, caller);
    world.run(10 * S);
    is_talking
}

#[test]
fn the_call_goes_on_and_the_next_one_of_that_number_is_told() {
    let Talk { mut world, caller, counselor, .. } = limited(&basic("", "", ""));
    world.run(5 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0), "the call itself goes on");
    assert_eq!(world.shown.limits, 1);
    hang_up(&mut world, caller);
    let rung = rings(&world, counselor);
    let again = dial_as(&mut world, 2, NUMBER);
    // The same number as other networks write it.
    let abroad = dial_as(&mut world, 3, "\"x\" <sip:+819011112222@other.example;user=phone>");
    world.run(20 * S);
    for caller in [again, abroad] {
        assert_eq!(world.said(caller), ["not_tonight", "help"]);
        assert_eq!(requests_to(&world, caller, &Method::Bye).len(), 1);
    }
    assert_eq!(rings(&world, counselor), rung, "nobody is rung for it");
    let told: Vec<_> = world.cdrs[1..].iter().map(|it| (it.outcome, it.reason)).collect();
    assert_eq!(told, [(Outcome::Refused, EndReason::MessageEnded); 2]);
    assert!(is_connected(&mut world, 4, OTHER), "others are none of it");
    assert!(is_connected(&mut world, 5, WITHHELD));
    let steps = world.steps.join("\n");
    assert!(!steps.contains("11112222"), "{steps}");
}

#[test]
fn it_is_over_when_its_time_is_and_when_it_is_lifted() {
    let Talk { mut world, caller, .. } = limited(&basic("", "", "[repeat]\nlimit = \"1h\"\n"));
    hang_up(&mut world, caller);
    assert!(!is_connected(&mut world, 2, NUMBER));
    world.run(HOUR - 60 * S);
    assert!(!is_connected(&mut world, 3, NUMBER));
    world.run(60 * S);
    assert_eq!(world.shown.limits, 0);
    assert!(is_connected(&mut world, 4, NUMBER));
    let Talk { mut world, caller, .. } = limited(&basic("", "", ""));
    hang_up(&mut world, caller);
    assert!(!is_connected(&mut world, 2, NUMBER));
    assert_eq!(world.ask(Request::LiftLimits), Ok(()));
    world.run(S);
    assert_eq!(world.shown.limits, 0);
    assert!(is_connected(&mut world, 3, NUMBER));
}

#[test]
fn whoever_withholds_the_number_can_not_be_limited() {
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    let caller = dial_as(&mut world, 1, WITHHELD);
    world.run(5 * S);
    let call = call(&world);
    assert_eq!(world.ask(Request::LimitCaller { call }), Err(Denial::NoNumber));
    assert_eq!(world.shown.limits, 0);
    hang_up(&mut world, caller);
    let call = CallId("gone".into());
    assert_eq!(world.ask(Request::LimitCaller { call }), Err(Denial::UnknownCall));
}

#[test]
fn no_more_are_limited_than_may_be() {
    let Talk { mut world, caller, .. } = limited(&basic("", "", "[repeat]\nmax = 1\n"));
    let limit = |world: &mut World| {
        let call = call(world);
        world.ask(Request::LimitCaller { call })
    };
    assert_eq!(limit(&mut world), Ok(()), "the same caller once more");
    hang_up(&mut world, caller);
    let other = dial_as(&mut world, 2, OTHER);
    world.run(5 * S);
    assert_eq!(limit(&mut world), Err(Denial::TooManyLimits));
    assert_eq!(world.hears(other), "voice 0");
}

/// A crash or an upgrade lifts nothing; the call that goes on can still be limited after it; and
/// when everything is over, so is what the journal has of it.
#[test]
fn it_survives_a_crash_and_leaves_nothing_when_it_is_over() {
    let Talk { mut world, caller, .. } = limited(&basic("", "", "[repeat]\nlimit = \"1h\"\n"));
    assert!(world.life.kept.contains_key(&Key::Repeat));
    world.crash(400 * MS);
    world.run(2 * S);
    assert_eq!(world.life.problems, []);
    assert_eq!(world.shown.limits, 1);
    hang_up(&mut world, caller);
    assert!(!is_connected(&mut world, 2, NUMBER));
    let other = dial_as(&mut world, 3, OTHER);
    world.run(5 * S);
    world.crash(400 * MS);
    world.run(2 * S);
    let call = call(&world);
    assert_eq!(world.ask(Request::LimitCaller { call }), Ok(()));
    hang_up(&mut world, other);
    assert!(!is_connected(&mut world, 4, OTHER));
    assert!(!is_connected(&mut world, 5, NUMBER));
    world.run(HOUR);
    assert!(!world.life.kept.contains_key(&Key::Repeat));
    assert!(is_connected(&mut world, 6, NUMBER));
}
