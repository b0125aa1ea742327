//! The journal as the call path sees it: what changes in it, by keys.
//!
//! Owns the keys. What the values say is `kept`'s and the SIP stack's; the file is the shell's.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::config::Extension;
use crate::sip::SessionId;
pub use crate::sip::kept::Unreadable;
use crate::sip::registrar::BindingId;

/// What a value of the journal is of. Printed and read as text: `call/17`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The day's counts, and names that flows refer to.
    Service,
    /// Callers who are not to be connected again for a while.
    Repeat,
    /// What a counselor did last.
    Counselor(Extension),
    /// A SIP session.
    Session(SessionId),
    /// A registration.
    Phone(BindingId),
    /// A caller's call.
    Call(u64),
    /// Colleagues who talk.
    Internal(u64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("service"),
            Self::Repeat => f.write_str("repeat"),
            Self::Counselor(extension) => write!(f, "counselor/{extension}"),
            Self::Session(id) => write!(f, "session/{}", id.0),
            Self::Phone(id) => write!(f, "phone/{}", id.0),
            Self::Call(key) => write!(f, "call/{key}"),
            Self::Internal(key) => write!(f, "internal/{key}"),
        }
    }
}

impl FromStr for Key {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        const UNKNOWN: Unreadable = Unreadable::Without("known key");
        match text {
            "service" => return Ok(Self::Service),
            "repeat" => return Ok(Self::Repeat),
            _ => {}
        }
        let (kind, name) = text.split_once('/').ok_or(UNKNOWN)?;
        let number = || name.parse().map_err(|_| UNKNOWN);
        match kind {
            "counselor" => Ok(Self::Counselor(Extension::from(name))),
            "session" => Ok(Self::Session(SessionId(number()?))),
            "phone" => Ok(Self::Phone(BindingId(number()?))),
            "call" => Ok(Self::Call(number()?)),
            "internal" => Ok(Self::Internal(number()?)),
            _ => Err(UNKNOWN),
        }
    }
}

/// One change of what is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what.
    pub key: Key,
    /// As it is now; `None`: it is gone.
    pub value: Option<Bytes>,
}

/// Shows no contents: a number may be in them.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.key, self.value.as_ref().map(Bytes::len))
    }
}

/// Something kept that could not be gone on with. It costs that one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub key: Key,
    /// Why.
    pub why: Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text() {
        let keys = [
            (Key::Service, "service"),
            (Key::Repeat, "repeat"),
            (Key::Counselor("101".into()), "counselor/101"),
            (Key::Session(SessionId(7)), "session/7"),
            (Key::Phone(BindingId(8)), "phone/8"),
            (Key::Call(9), "call/9"),
            (Key::Internal(10), "internal/10"),
        ];
        for (key, text) in keys {
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse(), Ok(key));
        }
        for bad in ["", "call", "call/", "call/x", "thing/1"] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_shows_no_contents() {
        let value = Some(Bytes::from_static(b"09012345678"));
        let shown = format!("{:?}", Change { key: Key::Call(1), value });
        assert_eq!(shown, "call/1 Some(11)");
    }
}
