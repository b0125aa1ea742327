//! Header names and the typed values of headers (RFC 3261 §20, §25.1; RFC 3262 §7; RFC 4028 §4).
//!
//! Owns the names, and how one value is read. Which headers a message has, and which it must have,
//! is the message's affair. Values arrive unfolded, as slices of the message.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use super::fault::ParseError;
use super::method::{Method, is_token};
use super::uri::{self, Params, Uri, secretive};

/// Declares [`Name`] and its table from one list: variant, canonical form, compact form.
macro_rules! names {
    ($($variant:ident $canonical:literal $compact:literal;)*) => {
        /// A header's name. Two names are equal when they differ only in the case of letters.
        #[derive(Clone, Debug)]
        pub enum Name {
            $(#[doc = concat!("`", $canonical, "`")] $variant,)*
            /// Any other, as written.
            Other(Box<str>),
        }

        /// The places of the names in the list.
        #[derive(Clone, Copy)]
        pub(crate) enum Place {
            $($variant,)*
        }

        /// The variants in the order of the list.
        static KNOWN: &[Name] = &[$(Name::$variant),*];
        /// Canonical and compact forms in the same order.
        const FORMS: &[(&str, &str)] = &[$(($canonical, $compact)),*];

        impl Name {
            /// The canonical form; for other names as written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $canonical,)*
                    Self::Other(name) => name,
                }
            }

            /// Its place in the list.
            pub(crate) fn tag(&self) -> Tag {
                match self {
                    $(Self::$variant => Tag(Place::$variant as u8),)*
                    Self::Other(name) => Tag::of(name.as_bytes()),
                }
            }
        }
    };
}

names! {
    Via "Via" "v";
    From "From" "f";
    To "To" "t";
    CallId "Call-ID" "i";
    CSeq "CSeq" "";
    Contact "Contact" "m";
    MaxForwards "Max-Forwards" "";
    Route "Route" "";
    RecordRoute "Record-Route" "";
    Expires "Expires" "";
    MinExpires "Min-Expires" "";
    ContentType "Content-Type" "c";
    ContentLength "Content-Length" "l";
    ContentEncoding "Content-Encoding" "e";
    Supported "Supported" "k";
    Require "Require" "";
    ProxyRequire "Proxy-Require" "";
    Unsupported "Unsupported" "";
    Allow "Allow" "";
    Accept "Accept" "";
    Authorization "Authorization" "";
    ProxyAuthorization "Proxy-Authorization" "";
    WwwAuthenticate "WWW-Authenticate" "";
    ProxyAuthenticate "Proxy-Authenticate" "";
    RSeq "RSeq" "";
    RAck "RAck" "";
    SessionExpires "Session-Expires" "x";
    MinSe "Min-SE" "";
    Reason "Reason" "";
    ReferTo "Refer-To" "r";
    ReferredBy "Referred-By" "b";
    Replaces "Replaces" "";
    Event "Event" "o";
    SubscriptionState "Subscription-State" "";
    RetryAfter "Retry-After" "";
    UserAgent "User-Agent" "";
    Server "Server" "";
    Privacy "Privacy" "";
    PAssertedIdentity "P-Asserted-Identity" "";
    PCalledPartyId "P-Called-Party-ID" "";
    Diversion "Diversion" "";
    HistoryInfo "History-Info" "";
    Path "Path" "";
    ServiceRoute "Service-Route" "";
    PAssociatedUri "P-Associated-URI" "";
    Warning "Warning" "";
    Date "Date" "";
    AllowEvents "Allow-Events" "u";
    Subject "Subject" "s";
    Timestamp "Timestamp" "";
}

impl Place {
    /// A bit for each of these.
    pub(crate) const fn bits(places: &[Self]) -> u64 {
        let (mut bits, mut i) = (0, 0);
        while i < places.len() {
            bits |= 1 << places[i] as u8;
            i += 1;
        }
        bits
    }
}

/// The place of a name in the list; [`Tag::OTHER`] for names outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u8);

/// Slots of the table of names: a power of two, several times their number.
const SLOTS: usize = 256;
/// Where a name is looked for first, then in the slots behind it; built by the compiler.
static TABLE: [Tag; SLOTS] = table();

impl Tag {
    /// Not in the list.
    pub(crate) const OTHER: Self = Self(u8::MAX);

    /// A bit of its own; none for names outside the list.
    pub(crate) fn bit(self) -> u64 {
        1u64.checked_shl(u32::from(self.0)).unwrap_or(0)
    }

    /// The canonical form; empty for names outside the list.
    pub(crate) fn label(self) -> &'static str {
        FORMS.get(usize::from(self.0)).map_or("", |(canonical, _)| canonical)
    }

    /// The tag of a name as it stands in a message.
    pub(crate) fn of(name: &[u8]) -> Self {
        if name.is_empty() {
            return Self::OTHER;
        }
        let mut slot = slot(name);
        loop {
            let tag = TABLE[slot];
            let Some((canonical, compact)) = FORMS.get(usize::from(tag.0)) else {
                return Self::OTHER;
            };
            if name.eq_ignore_ascii_case(canonical.as_bytes())
                || name.eq_ignore_ascii_case(compact.as_bytes())
            {
                return tag;
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// A hash of a name's length and three of its letters, in either case.
const fn slot(name: &[u8]) -> usize {
    let n = name.len();
    let (first, middle, last) = (name[0] | 0x20, name[n / 2] | 0x20, name[n - 1] | 0x20);
    (n * 7 + first as usize * 3 + middle as usize * 29 + last as usize * 61) % SLOTS
}

const fn table() -> [Tag; SLOTS] {
    let mut table = [Tag::OTHER; SLOTS];
    let mut i = 0;
    while i < FORMS.len() {
        let (canonical, compact) = FORMS[i];
        table = placed(table, canonical.as_bytes(), i as u8);
        if !compact.is_empty() {
            table = placed(table, compact.as_bytes(), i as u8);
        }
        i += 1;
    }
    table
}

const fn placed(mut table: [Tag; SLOTS], name: &[u8], tag: u8) -> [Tag; SLOTS] {
    let mut slot = slot(name);
    while table[slot].0 != Tag::OTHER.0 {
        slot = (slot + 1) % SLOTS;
    }
    table[slot] = Tag(tag);
    table
}

impl Name {
    /// The name that these bytes are, in any case of letters, compact or not.
    pub fn parse(name: &[u8]) -> Self {
        match KNOWN.get(usize::from(Tag::of(name).0)) {
            Some(known) => known.clone(),
            None => Self::Other(String::from_utf8_lossy(name).into()),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let lower = |name: &Self| name.as_str().to_ascii_lowercase();
        lower(self).cmp(&lower(other))
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().to_ascii_lowercase().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `CSeq: 1 INVITE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2³¹.
    pub seq: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads a value.
    ///
    /// # Errors
    /// [`ParseError::Value`] for anything but a number below 2³¹ and a method.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let bad = ParseError::Value("CSeq");
        let (seq, method) = word(value).ok_or(bad)?;
        let seq = digits(seq).filter(|seq| *seq < 1 << 31).ok_or(bad)?;
        Ok(Self { seq, method: Method::parse(method).ok_or(bad)? })
    }
}

/// `RAck: 1 1 INVITE` (RFC 3262 §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The RSeq that is acknowledged.
    pub rseq: u32,
    /// The CSeq number of the response that is acknowledged.
    pub cseq: u32,
    /// Its method.
    pub method: Method,
}

impl RAck {
    /// Reads a value.
    ///
    /// # Errors
    /// [`ParseError::Value`] for anything but two numbers and a method.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let bad = ParseError::Value("RAck");
        let (rseq, rest) = word(value).ok_or(bad)?;
        let rseq = digits(rseq).ok_or(bad)?;
        let CSeq { seq: cseq, method } = CSeq::parse(rest).map_err(|_| bad)?;
        Ok(Self { rseq, cseq, method })
    }
}

/// Who refreshes the session (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sends the request.
    Uac,
    /// The side that answers it.
    Uas,
}

/// `Session-Expires: 300;refresher=uac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval.
    pub seconds: u32,
    /// Who refreshes, when it is settled.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads a value. An unknown refresher counts as none.
    ///
    /// # Errors
    /// [`ParseError::Value`] for anything that does not start with a number.
    pub fn parse(value: &str) -> Result<Self, ParseError> {
        let (seconds, params) = value.split_at(value.find(';').unwrap_or(value.len()));
        let seconds = digits(seconds.trim().as_bytes());
        let seconds = seconds.ok_or(ParseError::Value("Session-Expires"))?;
        let refresher = match Params::new(params).value("refresher") {
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            _ => None,
        };
        Ok(Self { seconds, refresher })
    }
}

/// One element of Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, …, as written.
    pub transport: &'a str,
    /// Name or address as written; IPv6 in its brackets.
    pub host: &'a str,
    /// The port, when one is named.
    pub port: Option<u16>,
    /// Parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one element.
    ///
    /// # Errors
    /// [`ParseError::Value`] when protocol, version, transport or host are missing or not what
    /// they should be.
    pub fn parse(value: &'a str) -> Result<Self, ParseError> {
        Self::read(value).ok_or(ParseError::Value("Via"))
    }

    fn read(value: &'a str) -> Option<Self> {
        let (protocol, rest) = value.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let (transport, rest) = rest.trim_start().split_once([' ', '\t'])?;
        let (place, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (host, port) = uri::host_port(place.trim())?;
        let is_sip = protocol.trim().eq_ignore_ascii_case("SIP") && version.trim() == "2.0";
        let is_whole = is_sip && is_token(transport.as_bytes());
        is_whole.then_some(Self { transport, host, port, params: Params::new(params) })
    }

    /// The branch, when there is one.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.value("branch").filter(|branch| !branch.is_empty())
    }

    /// `rport` (RFC 3581): `None` when it is not there, `Some(None)` when it is there and empty.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.value("rport").map(|port| port.parse().ok())
    }

    /// The address in `received`, with or without the brackets of IPv6.
    pub fn received(&self) -> Option<IpAddr> {
        self.params.value("received").and_then(uri::ip)
    }
}

/// A name and a URI: From, To, Contact, Route, Refer-To, P-Asserted-Identity and others.
#[derive(Clone, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name, quotes and escapes resolved; bytes that are not UTF-8 are replaced.
    pub display: Option<Cow<'a, str>>,
    /// The URI, without angle brackets.
    pub uri: &'a str,
    /// The header's parameters, not the URI's.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one element. Without angle brackets everything from the first semicolon on belongs to
    /// the header, not to the URI (RFC 3261 §20.10).
    ///
    /// # Errors
    /// [`ParseError::Uri`] for quotes or brackets that don't close, for something between bracket
    /// and parameters, for a URI that is none, and for a `?` in one without brackets.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(value: &'a T) -> Result<Self, ParseError> {
        let value = trim(value.as_ref());
        let (display, rest) = display(value).ok_or(ParseError::Uri)?;
        let (uri, params, bare) = match rest.strip_prefix(b"<") {
            Some(rest) => {
                let end = memchr::memchr(b'>', rest).ok_or(ParseError::Uri)?;
                (&rest[..end], trim(&rest[end + 1..]), false)
            }
            None => {
                let host = memchr::memchr(b'@', rest).unwrap_or(0);
                let end = memchr::memchr(b';', &rest[host..]).map_or(rest.len(), |i| host + i);
                (&rest[..end], &rest[end..], true)
            }
        };
        let uri = str::from_utf8(trim(uri)).map_err(|_| ParseError::Uri)?;
        let params = str::from_utf8(params).map_err(|_| ParseError::Uri)?;
        let headers = match Uri::parse(uri)? {
            Uri::Sip(sip) => sip.headers,
            Uri::Tel(_) | Uri::Other { .. } => "",
        };
        if !(params.is_empty() || params.starts_with(';')) || (bare && !headers.is_empty()) {
            return Err(ParseError::Uri);
        }
        Ok(Self { display, uri, params: Params::new(params) })
    }

    /// The tag, when there is one.
    pub fn tag(&self) -> Option<&'a str> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }

    /// The value of a parameter of the header; empty when it has none.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.value(name)
    }
}

secretive! { NameAddr }

/// Splits a display name off. `None` when its quotes don't close.
fn display(value: &[u8]) -> Option<(Option<Cow<'_, str>>, &[u8])> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let end = memchr::memchr(b'<', value).unwrap_or(0);
        let name = trim(&value[..end]);
        let name = (!name.is_empty()).then(|| String::from_utf8_lossy(name));
        return Some((name, &value[end..]));
    };
    let (mut end, mut escapes) = (0, false);
    while *quoted.get(end)? != b'"' {
        let escaped = quoted[end] == b'\\';
        escapes |= escaped;
        end += if escaped { 2 } else { 1 };
    }
    let (name, rest) = (&quoted[..end], trim(&quoted[end + 1..]));
    if !rest.starts_with(b"<") {
        return None;
    }
    let name = if escapes {
        let mut bytes = Vec::with_capacity(name.len());
        let mut from = name.iter();
        while let Some(&b) = from.next() {
            bytes.push(if b == b'\\' { *from.next()? } else { b });
        }
        Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        String::from_utf8_lossy(name)
    };
    Some((Some(name), rest))
}

/// One element of Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact<'a> {
    /// `*`: all bindings, in REGISTER.
    Star,
    /// An address.
    Addr(NameAddr<'a>),
}

/// The elements of a list, split at commas outside quotes and angle brackets, empty ones left out.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        loop {
            let (item, tail) = first_element(rest?);
            rest = tail;
            let item = trim(item);
            if !item.is_empty() {
                return Some(item);
            }
        }
    })
}

fn first_element(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    if memchr::memchr(b',', value).is_none() {
        return (value, None);
    }
    let (mut quoted, mut angled, mut escaped) = (false, false, false);
    for (i, &b) in value.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angled => quoted = !quoted,
            b'<' if !quoted => angled = true,
            b'>' if !quoted => angled = false,
            b',' if !quoted && !angled => return (&value[..i], Some(&value[i + 1..])),
            _ => {}
        }
    }
    (value, None)
}

/// Without spaces and tabs at either end.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The first word and what follows its white space.
fn word(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = trim(value);
    let end = memchr::memchr2(b' ', b'\t', value)?;
    Some((&value[..end], trim(&value[end..])))
}

/// A number made of digits only.
fn digits(value: &[u8]) -> Option<u32> {
    let text = str::from_utf8(value).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
