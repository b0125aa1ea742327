//! Claims on whole calls in simulated time.

use std::time::{Duration, Instant};

use koebashi::call::cdr::{Cdr, Outcome};
use koebashi::sip::message::{Message, Method};

use crate::config::basic;
use crate::sim::{PhoneId, World};

/// `answer = immediate | ring | early_media`, 100rel, offer-less INVITE.
mod answer;
/// Who is turned away, and what every call leaves behind.
mod callers;
/// Prompts, menus, keys by every means.
mod guidance;
/// Open, closed, and the two closings.
mod hours;
/// Drain, reload, restart, registration, ports.
mod operation;
/// Counselors' phones: refusals, silence, answers that cross.
mod phones;
/// Nothing of the caller leaves the live call.
mod privacy;
/// The end of the process with calls in it.
mod process_end;
/// Order of service, strategies, announcements, wrap-up.
mod queue;
/// Who is recorded: consent, transfers, pauses.
mod recording;
/// Callers who are not to be connected again for a while.
mod repeat;
/// The rules of the design: 1 to 6.
mod rules;
/// The rules of the design: 7 to 14.
mod rules_more;
/// Encrypted voice: policies, downgrades, keys that change.
mod secure;
/// What strangers learn and cost; whose word an extension's is.
mod strangers;
/// Phones behind connections that break.
mod streams;
/// Hold, moves, UPDATE, session timers, lost phones.
mod talk;
/// What the board and the counts say is what there is.
mod truth;
/// Figures of the voices, one-way audio.
mod voices;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
/// The caller's and the counselor's voice.
const CALLER: u8 = 0x2a;
const COUNSELOR: u8 = 0x55;

/// A world in which a caller talks with counselor 101.
struct Talk {
    world: World,
    caller: PhoneId,
    counselor: PhoneId,
    /// When the counselor answered.
    since: Instant,
}

/// A caller and counselor 101, joined.
fn talk(toml: &str) -> Talk {
    talk_by(World::add_counselor, toml)
}

/// The same with the counselor's phone added so.
fn talk_by(add: impl FnOnce(&mut World, &str, u8) -> PhoneId, toml: &str) -> Talk {
    let mut world = World::new(toml);
    let counselor = add(&mut world, "101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("both talk", 10 * S, |w| {
        w.phones[counselor.0].is_talking() && w.phones[caller.0].is_talking()
    });
    world.run(500 * MS);
    let since = world.now;
    Talk { world, caller, counselor, since }
}

/// The same in the plain configuration.
fn basic_talk() -> Talk {
    talk(&basic("", "", ""))
}

impl Talk {
    fn hear_each_other(&self) -> bool {
        let Self { world, caller, counselor, .. } = self;
        world.hears(*caller) == format!("voice {}", counselor.0)
            && world.hears(*counselor) == format!("voice {}", caller.0)
    }

    #[track_caller]
    fn claim_they_hear_each_other(&self) {
        let Self { world, caller, counselor, .. } = self;
        let (a, b) = (world.hears(*caller), world.hears(*counselor));
        let story = world.story();
        assert!(self.hear_each_other(), "caller hears {a}, counselor hears {b}\n{story}");
    }
}

/// Requests with this method that the service sent to the phone.
fn requests_to(world: &World, phone: PhoneId, method: &Method) -> Vec<Message> {
    world.to_phone(phone).into_iter().filter(|m| m.method() == Some(method)).collect()
}

/// Responses with this code that the service sent to the phone.
fn responses_to(world: &World, phone: PhoneId, code: u16) -> Vec<Message> {
    world.to_phone(phone).into_iter().filter(|m| m.code() == Some(code)).collect()
}

/// How often the phone has been rung.
fn rings(world: &World, phone: PhoneId) -> usize {
    world.phones[phone.0].calls.len()
}

/// The one record of the one call, when everything is over.
#[track_caller]
fn only_record(world: &mut World) -> Cdr {
    world.run(4 * S);
    assert_eq!(world.cdrs.len(), 1, "{}", world.story());
    assert_eq!(world.open_ports(), 0, "{}", world.story());
    assert!(world.board.is_idle(), "{}", world.story());
    world.cdrs[0].clone()
}

/// The one record's outcome.
#[track_caller]
fn only_outcome(world: &mut World) -> Outcome {
    only_record(world).outcome
}

#[test]
fn a_caller_talks_with_a_counselor_and_leaves_one_record() {
    let mut talk = basic_talk();
    talk.world.run(5 * S);
    talk.claim_they_hear_each_other();
    let Talk { mut world, caller, .. } = talk;
    world.with(caller, |phone, now| phone.hang_up(now));
    assert_eq!(only_outcome(&mut world), Outcome::Answered);
}
