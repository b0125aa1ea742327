//! The end of the process: calls that outlast the time to drain.

use std::time::Duration;

use koebashi::call::cdr::{EndReason, EndedBy, Outcome};
use koebashi::call::switchboard::Command;
use koebashi::sip::Cause;

use crate::config::BASIC;
use crate::sim::World;

#[test]
fn a_call_that_outlasts_the_drain_gets_its_bye_and_its_record() {
    let mut world = World::new(BASIC);
    let counselor = world.add_counselor("101", 0x55);
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    let soon = Duration::from_secs(10);
    world.until("both talk", soon, |w| w.phones[counselor.0].is_talking());
    world.command(Command::Drain);
    world.run(Duration::from_secs(60));
    assert!(world.phones[caller.0].is_talking(), "a live call outlives the drain");
    world.command(Command::Stop);
    world.run(Duration::from_secs(1));
    for phone in [caller, counselor] {
        assert_eq!(world.phones[phone.0].last().ended, Some(Cause::Bye));
    }
    let [cdr] = world.cdrs.as_slice() else { panic!("{:?}", world.cdrs) };
    assert_eq!(
        (cdr.outcome, cdr.ended_by, cdr.reason),
        (Outcome::Answered, EndedBy::System, EndReason::Stopped)
    );
    assert!(world.board.is_idle());
    assert_eq!(world.open_ports(), 0);
}
