//! Claims on whole calls.

use std::time::Duration;

use koebashi::call::cdr::Outcome;

use crate::config::BASIC;
use crate::sim::World;

const S: Duration = Duration::from_secs(1);

#[test]
fn a_caller_talks_with_a_counselor_and_leaves_one_record() {
    let mut world = World::new(BASIC);
    let counselor = world.add_counselor("101", 0x55);
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.until("both talk", 10 * S, |w| w.phones[counselor.0].is_talking());
    world.run(5 * S);
    let heard = |world: &World, id: usize| world.phones[id].heard.last().map(|h| h.byte);
    assert_eq!(heard(&world, caller.0), Some(0x55), "{}", world.story());
    assert_eq!(heard(&world, counselor.0), Some(0x2a), "{}", world.story());
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(3 * S);
    assert_eq!(world.cdrs.len(), 1, "{}", world.story());
    assert_eq!(world.cdrs[0].outcome, Outcome::Answered);
    assert_eq!(world.open_ports(), 0);
}
