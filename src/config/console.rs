//! `[console]`: the pages and the API, and their limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::service::{DAY, count, s};
use super::sheet::Section;
use super::value;
use crate::complaint::Fit;
use crate::store::accounts::Role;

/// Where the console listens, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Where it listens. What goes over it is not encrypted: anything but loopback needs a proxy
    /// with TLS before it.
    pub listen: SocketAddr,
    /// Names besides `localhost` by which browsers may ask; addresses always may.
    pub hosts: Vec<String>,
    /// Connections at once; one more is closed.
    pub connections: usize,
    /// Subscribers of event streams at once; one more gets 503.
    pub subscribers: usize,
    /// … of one account; one more ends its oldest.
    pub subscribers_per_account: usize,
    /// How long a client may take to send a request's head, and how long an idle connection stays.
    pub header_timeout: Duration,
    /// How long a client may leave an answer unread before the connection is closed.
    pub write_timeout: Duration,
    /// How often a silent event stream says that it lives.
    pub heartbeat: Duration,
    /// How long a person stays signed in.
    pub session: Duration,
    /// Who has to sign in with a second factor (TOTP) as well.
    pub totp: Vec<Role>,
    /// Bytes of an uploaded file at most.
    pub upload_max: usize,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            hosts: Vec::new(),
            connections: 512,
            subscribers: 200,
            subscribers_per_account: 12,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            session: Duration::from_secs(12 * 3_600),
            totp: Vec::new(),
            upload_max: 20_000_000,
        }
    }
}

/// Reads the section.
pub(super) fn console(root: &Section<'_>) -> Option<Console> {
    let section = root.section("console");
    let role = |text: &str| value::one_of(text, &Role::ALL.map(|role| (role.name(), role)));
    let console = Console {
        listen: section.parsed("listen", "127.0.0.1:8080", value::socket)?,
        hosts: section.list("hosts", &[], value::domain)?,
        connections: count(&section, "connections", 512, 1..=100_000)?,
        subscribers: count(&section, "subscribers", 200, 0..=100_000)?,
        subscribers_per_account: count(&section, "subscribers_per_account", 12, 1..=100_000)?,
        header_timeout: section.duration("header_timeout", "10s", s(1)..=s(300))?,
        write_timeout: section.duration("write_timeout", "30s", s(1)..=s(300))?,
        heartbeat: section.duration("heartbeat", "15s", s(1)..=s(300))?,
        session: section.duration("session", "12h", s(300)..=7 * DAY)?,
        totp: section.list("totp", &[], role)?,
        upload_max: count(&section, "upload_max", 20_000_000, 100_000..=200_000_000)?,
    };
    if !console.listen.ip().is_loopback() {
        section.warn("listen", Fit::ConsoleInClear);
    }
    section.done();
    Some(console)
}
