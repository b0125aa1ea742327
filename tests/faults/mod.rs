//! Whole calls on links that lose, double and delay, and random worlds.

/// Every datagram of a call lost, doubled and late, one at a time.
mod datagrams;
/// Worlds that live for hours.
mod hours;
/// Promises broken by hand.
mod promises;
/// Random worlds by seed.
mod worlds;
