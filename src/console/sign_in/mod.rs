//! Who somebody is: passwords, second factors, sessions, and how often one may guess.
//!
//! Owns [`Person`] and what proves it. The tables are the store's, the forms are the pages'.

pub(in crate::console) mod guesses;
pub(in crate::console) mod password;
pub(in crate::console) mod sessions;
pub(in crate::console) mod totp;

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::call::config::Extension;
use crate::store::accounts::Role;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::console) struct From(pub(in crate::console) IpAddr);

impl From {
    /// The address for which a proxy on this machine asks, by what it wrote last.
    pub(in crate::console) fn or_forwarded(self, headers: &HeaderMap) -> IpAddr {
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
        let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        let last = last.and_then(|text| text.trim().parse().ok());
        last.filter(|_| self.0.is_loopback()).unwrap_or(self.0)
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Person {
    /// Their account's name, as it stands in the audit trail.
    pub(in crate::console) name: String,
    /// What they may do.
    pub(in crate::console) role: Role,
    /// Their phone, if they have one.
    pub(in crate::console) extension: Option<Extension>,
    /// What their forms must carry, so that no page of another site can send one.
    pub(in crate::console) csrf: String,
    /// They have to set a second factor up before anything else.
    pub(in crate::console) must_enroll: bool,
}

impl Person {
    /// Whoever holds the token that the service wrote into its folder of state: its own commands.
    pub(super) fn machine() -> Self {
        Self {
            name: "console".to_owned(),
            role: Role::Operator,
            extension: None,
            csrf: String::new(),
            must_enroll: false,
        }
    }

    /// Whether this is a command of ours, not a browser.
    pub(super) fn is_machine(&self) -> bool {
        self.csrf.is_empty()
    }
}
