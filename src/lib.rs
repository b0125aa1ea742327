//! koebashi (声橋, "voice bridge"): call routing for public counseling lines.

pub mod chance;
pub mod pii;
pub mod time;

pub mod call;
pub mod cli;
pub mod config;
pub mod console;
pub mod media;
pub mod shell;
pub mod sip;
pub mod store;
