//! Shell.

pub mod handle;
pub mod metrics;
