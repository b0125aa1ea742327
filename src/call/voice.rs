//! What is told of the voice of a leg: one-way audio while it lasts, and the figures at its end.
//!
//! Owns the words. Measuring is the media plane's, keeping the latest figures the switchboard's.

use super::cdr::{CallId, Quality};
use crate::media::Way;

/// Whose voice a leg carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The caller's.
    Caller,
    /// A counselor's.
    Counselor,
    /// A supervisor's, who takes part in a call or has dialed something of their own.
    Supervisor,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Caller, Self::Counselor, Self::Supervisor];

    /// The side's name in metrics, logs and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Counselor => "counselor",
            Self::Supervisor => "supervisor",
        }
    }
}

/// News of a leg's voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// The call that it belongs to; `None`: an extension's own call.
    pub call: Option<CallId>,
    /// Whose.
    pub side: Side,
    /// What.
    pub news: News,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    /// One of the two ways between a peer and us carries nothing.
    OneWay(Way),
    /// It does after all.
    BothWays(Way),
    /// The leg is over. Legs on which no packet went either way are not told of.
    Closed(Quality),
}
