//! The one integration binary: a module for each subject.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "this is test code"
)]

/// The console in a real browser.
mod browser;
/// What counselors dial.
mod codes;
/// Configurations for the tests.
mod config;
/// The demo, as anyone runs it.
mod demo;
/// Links that lose, double and delay; random worlds.
mod faults;
/// Hostile bytes: what every reader promises, by small corpora.
mod fuzz;
/// What may be done next in small worlds.
mod interleavings;
/// The real program against real phones, over real sockets.
mod loopback;
/// SIP messages: torture sets, a differential oracle, round trips.
mod messages;
/// Every interleaving of a small world.
mod model;
/// Checks before a line opens, by the real program.
mod opening;
/// Whole calls, claim by claim, in simulated time.
mod path;
/// The transition table of a call.
mod phases;
/// The program as people start it.
mod program;
/// Prompts by phone.
mod rehearsal;
/// No memory image, no reader.
mod sealed;
/// The loop with real sockets.
mod shell;
/// The simulated world.
mod sim;
/// Supervisors: who hears whom, and who may.
mod supervision;
/// `kill -9`, and the next process goes on.
mod survival;
/// The source itself: arrows, bans, sizes.
mod tidy;
/// Transfers.
mod transfer;
/// The test call before a line opens.
mod trial;
/// What `koebashi when` says.
mod when;
