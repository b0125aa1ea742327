//! That the promises of the simulated world can be broken: each is broken here by hand, and seen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use koebashi::call::journal::Key;
use koebashi::media::{PortId, Source};

use crate::config::BASIC;
use crate::sim::world::Sent;
use crate::sim::{PhoneId, World};

const S: Duration = Duration::from_secs(1);

/// One caller talks, another waits behind a third.
fn town() -> (World, PhoneId) {
    let mut world = World::new(BASIC);
    world.add_answering("101", 0x51);
    let callers = [1, 2, 3].map(|n| world.add_caller(n, 0x20 + n));
    for caller in callers {
        world.dial(caller);
        world.run(3 * S);
    }
    world.check();
    world.check_service();
    world.check_secrets();
    (world, callers[0])
}

/// Breaks something, and looks whether that is seen in these words.
#[track_caller]
fn is_seen(words: &str, breaks: impl FnOnce(&mut World, PhoneId)) {
    let (mut world, caller) = town();
    let seen = catch_unwind(AssertUnwindSafe(|| {
        breaks(&mut world, caller);
        world.check();
        world.check_secrets();
    }));
    let cause = seen.expect_err("nothing is seen");
    let said = cause.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let said = said.or_else(|| cause.downcast_ref::<String>().cloned()).expect("words");
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_voice_that_stops_is_seen() {
    is_seen("hears nothing", |world, caller| {
        let until = world.now - Duration::from_millis(200);
        world.phone(caller).heard.retain(|heard| heard.at < until);
    });
}

#[test]
fn places_that_change_are_seen() {
    is_seen("have changed places", |world, _| {
        let mut board = world.shown.clone();
        let waiting: Vec<_> =
            (0..board.calls.len()).filter(|at| board.calls[*at].position.is_some()).collect();
        let [one, two] = waiting[..] else { panic!("two wait") };
        let place = board.calls[one].position;
        board.calls[one].position = board.calls[two].position;
        board.calls[two].position = place;
        world.show(board);
    });
}

#[test]
fn a_second_hearer_is_seen() {
    is_seen("hear the caller", |world, caller| {
        let rtp = world.phones[caller.0].rtp;
        let found = world.peers.iter().find(|(_, peer)| **peer == rtp);
        let port = *found.expect("the caller has a port").0;
        for n in 0..2 {
            world.listens.insert(PortId { shard: 0, n: 9000 + n }, Source::Port(port));
        }
    });
}

#[test]
fn a_number_in_a_step_or_on_the_wire_is_seen() {
    is_seen("a number is told", |world, _| world.steps.push("09011112222 waits".to_owned()));
    is_seen("a number is told to 10.0.2.1", |world, _| {
        let invite = world.wire.iter().find(|sent| sent.to.to_string().starts_with("10.0.0.1:"));
        let bytes = invite.expect("an INVITE of the trunk").bytes.clone();
        let bytes = [&bytes[..], b"09011112222"].concat().into();
        let (at, from) = (world.now, "10.0.0.1:5060".parse().unwrap());
        world.wire.push(Sent { at, from, to: "10.0.2.1:5060".parse().unwrap(), bytes });
    });
}

#[test]
fn a_table_that_grows_is_seen() {
    is_seen("values of the journal", |world, _| {
        for n in 0..500 {
            world.life.kept.insert(Key::Internal(n), Bytes::new());
        }
    });
}
