//! The one integration binary: a module for each subject.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

/// Configurations for the tests.
mod config;
/// The demo, as anyone runs it.
mod demo;
/// SIP messages: torture sets, a differential oracle, round trips.
mod messages;
/// Whole calls, claim by claim, in simulated time.
mod path;
/// The simulated world.
mod sim;
/// The source itself: arrows, bans, sizes.
mod tidy;
