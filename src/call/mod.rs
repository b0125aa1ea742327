//! The path of a call: trunk → guidance → queue → bridge → CDR.
#![deny(clippy::disallowed_methods)]

pub mod board;
pub mod cdr;
pub mod config;
pub mod holidays;
pub mod intention;
pub mod schedule;
