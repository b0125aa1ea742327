//! Shell.
//! The only async code: sockets, clocks, threads, signals.
pub mod handle;
pub mod media_thread;
pub mod metrics;
pub mod sip_socket;
