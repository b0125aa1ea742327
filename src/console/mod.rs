//! HTTP for people and machines.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where the console listens, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens; there is no login, so anything but loopback needs a proxy with one.
    pub listen: SocketAddr,
    /// Connections at once; one more is closed.
    pub connections: usize,
    /// Subscribers of `/api/v1/events` at once; one more gets 503.
    pub subscribers: usize,
    /// How long a client may take to send a request's head, and how long an idle connection stays.
    pub header_timeout: Duration,
    /// How long a client may leave a write unread before the connection is closed.
    pub write_timeout: Duration,
    /// How often a silent event stream says that it lives.
    pub heartbeat: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            connections: 512,
            subscribers: 200,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
        }
    }
}
