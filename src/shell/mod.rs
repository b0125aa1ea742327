//! The only async code: sockets, clocks, threads, signals.

pub mod sip_socket;
