//! Limits of the SIP sockets, in `[sip]` beside those of the stack.

use super::service::{DAY, HOUR, count, s};
use super::sheet::Section;
use crate::shell::sip_socket::Limits;

/// The keys of the sockets. What streams are marked with is the trunk's.
pub(super) fn limits(section: &Section<'_>) -> Option<Limits> {
    let most = count(section, "max_connections", 2_000, 10..=50_000);
    let of_source = count(section, "max_connections_per_source", 64, 1..=50_000);
    let connect = section.duration("connect_timeout", "4s", s(1)..=s(30));
    let idle = section.duration("idle_timeout", "65m", s(60)..=DAY * 2);
    let stranger = section.duration("stranger_timeout", "64s", s(5)..=HOUR);
    let message = section.duration("message_timeout", "10s", s(1)..=s(60));
    let write = section.duration("write_timeout", "5s", s(1)..=s(60));
    Some(Limits {
        max_connections: most?,
        max_connections_per_source: of_source?,
        connect_timeout: connect?,
        idle_timeout: idle?,
        stranger_timeout: stranger?,
        message_timeout: message?,
        write_timeout: write?,
        ..Limits::default()
    })
}
