//! Methods (RFC 3261 §7.1 and its extensions), and the tokens that they are (§25.1).

use std::fmt;

/// Declares [`Method`] from one list: variant and text.
macro_rules! methods {
    ($($variant:ident $text:literal;)*) => {
        /// What a request asks for. Case-sensitive.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other token.
            Other(Box<str>),
        }

        impl Method {
            /// All that have a name here.
            pub const KNOWN: &[Self] = &[$(Self::$variant),*];

            /// As it stands in a message.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The method that these bytes are; `None` when they are no token.
            pub fn parse(text: &[u8]) -> Option<Self> {
                $(if text == $text.as_bytes() {
                    return Some(Self::$variant);
                })*
                let text = str::from_utf8(text).ok().filter(|t| is_token(t.as_bytes()))?;
                Some(Self::Other(text.into()))
            }
        }
    };
}

methods! {
    Invite "INVITE";
    Ack "ACK";
    Bye "BYE";
    Cancel "CANCEL";
    Register "REGISTER";
    Options "OPTIONS";
    Prack "PRACK";
    Update "UPDATE";
    Info "INFO";
    Refer "REFER";
    Notify "NOTIFY";
    Subscribe "SUBSCRIBE";
    Message "MESSAGE";
    Publish "PUBLISH";
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 3261 §25.1 `token`.
pub(crate) fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && token(value).0.len() == value.len()
}

/// Splits what is a token off the front.
pub(crate) fn token(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|b| !IS_TOKEN[usize::from(*b)]);
    value.split_at(end.unwrap_or(value.len()))
}

static IS_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0u8;
    while b < 128 {
        table[b as usize] = b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        b += 1;
    }
    table
};
