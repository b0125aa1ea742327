//! The SIP stack (RFC 3261 and 6026, 3262, 3311, 3581, 4028, 3515, 3891, 8760): bytes in, bytes and
//! [`Event`]s out. Knows nothing of calls, queues or counselors.
//!
//! This file owns the border with the call path. [`endpoint::Endpoint`] is the machine.
#![deny(clippy::disallowed_methods)]

pub mod auth;
pub mod endpoint;
pub mod fault;
pub mod frame;
pub mod header;
pub mod message;
mod method;
pub mod parse;
pub mod print;
pub mod registrar;
pub mod registration;
