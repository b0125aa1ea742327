//! Shell.

pub mod handle;
pub mod media_thread;
pub mod metrics;
