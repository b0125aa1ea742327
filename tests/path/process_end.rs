use koebashi::call::cdr::{EndReason, EndedBy, Outcome};
use koebashi::call::switchboard::Command;

use super::{MS, S, Talk, talk};
use crate::config::alone;

#[test]
fn a_process_that_ends_before_its_calls_leaves_nobody_in_silence() {
    let Talk { mut world, caller, counselor, .. } = talk(&alone("", "", ""));
    let waiting = world.add_caller(2, 2);
    world.dial(waiting);
    world.run(2 * S);
    world.command(Command::Stop);
    world.run(500 * MS);
    for phone in [caller, counselor, waiting] {
        assert!(world.phones[phone.0].last().ended.is_some(), "{}", world.story());
    }
    assert!(world.board.is_idle());
    let ends: Vec<_> = world.cdrs.iter().map(|c| (c.outcome, c.ended_by, c.reason)).collect();
    let stopped = |outcome| (outcome, EndedBy::System, EndReason::Stopped);
    assert_eq!(ends, [stopped(Outcome::Answered), stopped(Outcome::Failed)]);
}
