//! Shell.

pub mod media_thread;
