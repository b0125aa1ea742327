//! URIs (RFC 3261 §19.1, RFC 3966) and the `;name=value` parameters that they share with headers.
//!
//! Owns reading a URI and the number in it. Comparing URIs and following them is not done here.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use super::Transport;
use super::fault::ParseError;

/// Longest user part or number that [`Uri::number`] reads, in bytes.
const NUMBER_MAX: usize = 64;

/// `;name=value;flag` of a header or URI, read when asked for. `Debug` shows no contents, here and
/// in what is built of it: numbers are written in them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// Parameters from the text that starts at the first semicolon (or is empty).
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text, from the first semicolon on.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Names and values in order. Empty parameters are left out; quotes around a value are taken
    /// off, its escapes stay.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (item, tail) = cut(rest, b';');
                rest = tail;
                let (name, value) = match item.split_once('=') {
                    Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
                    None => (item.trim(), None),
                };
                if !name.is_empty() {
                    return Some((name, value));
                }
            }
            None
        })
    }

    /// The value of the first parameter of that name, in any case of letters; empty when it has
    /// none.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        let mut found = self.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.unwrap_or_default())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// Splits at the first `at` outside quotes, and leaves it out.
fn cut(text: &str, at: u8) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (i, &b) in text.as_bytes().iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if b == at && !quoted => return (&text[..i], &text[i + 1..]),
            _ => {}
        }
    }
    (text, "")
}

/// Takes the quotes off, if there are any.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

/// A URI of any scheme.
#[derive(Clone, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'a>),
    /// `tel:`.
    Tel(TelUri<'a>),
    /// Something else.
    Other {
        /// Before the colon, as written.
        scheme: &'a str,
        /// Behind the colon.
        rest: &'a str,
    },
}

/// `sip:user:password@host:port;params?headers`. The password is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// `sips:`.
    pub secure: bool,
    /// The user, `%xx` resolved.
    pub user: Option<Cow<'a, str>>,
    /// Name or address as written; IPv6 in its brackets.
    pub host: &'a str,
    /// The port, when one is named.
    pub port: Option<u16>,
    /// Parameters.
    pub params: Params<'a>,
    /// Behind the question mark, escaped as written; empty when there are none.
    pub headers: &'a str,
}

/// `tel:number;params`.
#[derive(Clone, PartialEq, Eq)]
pub struct TelUri<'a> {
    /// As written, visual separators included.
    pub number: &'a str,
    /// `phone-context`, as written.
    pub context: Option<&'a str>,
    /// All parameters.
    pub params: Params<'a>,
}

/// Implements a `Debug` that shows the type and nothing of its contents.
macro_rules! secretive {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
pub(crate) use secretive;

secretive! { Params SipUri TelUri Uri }

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone, without angle brackets.
    ///
    /// # Errors
    /// [`ParseError::Uri`] for anything with spaces, controls, angle brackets or quotes where they
    /// can't be, without scheme, or with a host that can't be one.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        if text.bytes().any(|b| b <= b' ' || matches!(b, b'<' | b'>' | b'"' | 0x7f)) {
            return Err(ParseError::Uri);
        }
        let (scheme, rest) = text.split_once(':').ok_or(ParseError::Uri)?;
        if scheme.eq_ignore_ascii_case("sip") {
            Ok(Self::Sip(SipUri::parse(rest, false)?))
        } else if scheme.eq_ignore_ascii_case("sips") {
            Ok(Self::Sip(SipUri::parse(rest, true)?))
        } else if scheme.eq_ignore_ascii_case("tel") {
            Ok(Self::Tel(TelUri::parse(rest)?))
        } else if is_scheme(scheme) {
            Ok(Self::Other { scheme, rest })
        } else {
            Err(ParseError::Uri)
        }
    }

    /// The SIP URI, when it is one.
    pub fn sip(&self) -> Option<&SipUri<'a>> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Tel(_) | Self::Other { .. } => None,
        }
    }

    /// The telephone number in it: the user part or `tel:` number as dialed, visual separators
    /// removed, and `+81…` in front when a global `phone-context` says so (a leading trunk 0 gives
    /// way). `None` when there is none: letters, nothing, or something longer than any number.
    pub fn number(&self) -> Option<String> {
        match self {
            Self::Sip(uri) => {
                let user = uri.user.as_deref()?;
                let (number, params) = user.split_at(user.find(';').unwrap_or(user.len()));
                let context = Params::new(params).value("phone-context");
                dialed(number, context.or_else(|| uri.params.value("phone-context")))
            }
            Self::Tel(uri) => dialed(uri.number, uri.context),
            Self::Other { .. } => None,
        }
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// A number without separators, made global where the context is.
fn dialed(text: &str, context: Option<&str>) -> Option<String> {
    if text.len() > NUMBER_MAX {
        return None;
    }
    let number: String =
        text.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#') {
        return None;
    }
    let global = context.and_then(|c| dialed(c, None)).filter(|c| c.starts_with('+'));
    match global {
        Some(prefix) if !number.starts_with('+') => {
            Some(prefix + number.strip_prefix('0').unwrap_or(&number))
        }
        _ => Some(number),
    }
}

impl<'a> SipUri<'a> {
    fn parse(rest: &'a str, secure: bool) -> Result<Self, ParseError> {
        let (user, rest) = match rest.split_once('@') {
            Some((info, rest)) => {
                let user = info.split_once(':').map_or(info, |(user, _)| user);
                (Some(unescape(user)?), rest)
            }
            None => (None, rest),
        };
        if user.as_deref() == Some("") {
            return Err(ParseError::Uri);
        }
        let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (host, port) = host_port(place).ok_or(ParseError::Uri)?;
        Ok(Self { secure, user, host, port, params: Params(params), headers })
    }

    /// How messages to it travel where no name server is asked (RFC 3263 §4.1): as it says, else
    /// TLS for `sips:` and datagrams for `sip:`. `None`: by something that we do not have.
    pub fn transport(&self) -> Option<Transport> {
        let Some(written) = self.params.value("transport") else {
            return Some(if self.secure { Transport::Tls } else { Transport::Udp });
        };
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
        let named = all.into_iter().find(|t| t.name().eq_ignore_ascii_case(written))?;
        match (self.secure, named) {
            // RFC 5630 §3.1.4: the transport below TLS.
            (true, Transport::Tcp | Transport::Tls) => Some(Transport::Tls),
            (true, Transport::Udp) => None,
            (false, named) => Some(named),
        }
    }

    /// The host, when it is an address.
    pub fn ip(&self) -> Option<IpAddr> {
        ip(self.host)
    }
}

impl<'a> TelUri<'a> {
    fn parse(rest: &'a str) -> Result<Self, ParseError> {
        let (number, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let allowed = |b: u8| b.is_ascii_hexdigit() || b"+-.()*#".contains(&b);
        if number.is_empty() || !number.bytes().all(allowed) {
            return Err(ParseError::Uri);
        }
        let params = Params(params);
        Ok(Self { number, context: params.value("phone-context"), params })
    }
}

/// Takes `host[:port]` apart; spaces around the colon are allowed as in Via (RFC 3261 §25.1).
pub(crate) fn host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = match text.strip_prefix('[') {
        Some(inside) => inside.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    let (host, rest) = (host.trim_end(), rest.trim());
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(port(digits.trim())?),
        None if rest.is_empty() => None,
        None => return None,
    };
    is_host(host).then_some((host, port))
}

/// A port as digits only.
fn port(digits: &str) -> Option<u16> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A name, an IPv4 address, or something of IPv6's letters in brackets. Underscores are not of the
/// grammar but of the world.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => {
            !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
        }
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    }
}

/// The address that `host` is, with or without the brackets of IPv6.
pub(crate) fn ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Resolves `%xx`. What does not become UTF-8 is an error: we could not compare or print it.
pub(crate) fn unescape(text: &str) -> Result<Cow<'_, str>, ParseError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        if b != b'%' {
            out.push(b);
            continue;
        }
        let (code, tail) = rest.split_at_checked(2).ok_or(ParseError::Uri)?;
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (digit(code[0]), digit(code[1])) {
            (Some(high), Some(low)) => out.push(high << 4 | low),
            _ => return Err(ParseError::Uri),
        }
        rest = tail;
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| ParseError::Uri)
}

#[cfg(test)]
mod tests;
