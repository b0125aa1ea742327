//! What a REGISTER asks for (RFC 3261 §10.3, steps 6 and 7).
//!
//! Owns reading and bounding its Contacts and expiries. Knows no bindings.

use std::time::Duration;

use crate::sip::Config;
use crate::sip::header::{Contact, Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::{SipUri, Uri};

/// What an expiry means that nobody gave or that is no number (RFC 3261 §20.19).
const DEFAULT_S: u64 = 3600;
/// Longest `+sip.instance` that is kept, in bytes.
const INSTANCE_MAX: usize = 200;

/// What is to become of the bindings.
pub(super) enum Wish {
    /// Nothing: they are asked for.
    Query,
    /// All go.
    RemoveAll,
    /// These come, stay or go.
    Update(Vec<Entry>),
}

/// One Contact.
pub(super) struct Entry {
    pub(super) uri: String,
    pub(super) instance: Option<String>,
    pub(super) reg_id: Option<u32>,
    /// Zero: it goes.
    pub(super) life: Duration,
}

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400.
    Malformed,
    /// 403: an address-of-record of someone else.
    NotTheirs,
    /// 423 with the shortest expiry.
    TooBrief(Duration),
    /// 500: older than what is known (RFC 3261 §10.3 step 7).
    OutOfOrder,
}

impl Wish {
    /// Reads it. Contacts that are not `sip:` or `sips:` are left out: nobody could be called
    /// there.
    pub(super) fn read(request: &Message, config: &Config) -> Result<Self, Refusal> {
        let general = request.text(&Name::Expires);
        let (mut entries, mut stars, mut contacts) = (Vec::new(), 0, 0);
        for contact in request.contacts() {
            contacts += 1;
            match contact.map_err(|_| Refusal::Malformed)? {
                Contact::Star => stars += 1,
                Contact::Addr(addr) => entries.extend(Entry::read(&addr, general, config)?),
            }
        }
        match (stars, contacts) {
            (0, 0) => Ok(Self::Query),
            (0, _) => Ok(Self::Update(entries)),
            (1, 1) if general.map(str::trim).and_then(seconds) == Some(0) => Ok(Self::RemoveAll),
            _ => Err(Refusal::Malformed),
        }
    }
}

impl Entry {
    fn read(
        addr: &NameAddr<'_>,
        general: Option<&str>,
        config: &Config,
    ) -> Result<Option<Self>, Refusal> {
        let uri = Uri::parse(addr.uri).map_err(|_| Refusal::Malformed)?;
        if uri.sip().is_none() {
            return Ok(None);
        }
        let is_clean = |i: &&str| {
            let is_plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
            !i.is_empty() && i.len() <= INSTANCE_MAX && i.bytes().all(is_plain)
        };
        Ok(Some(Self {
            uri: addr.uri.to_owned(),
            instance: addr.param("+sip.instance").filter(is_clean).map(str::to_owned),
            reg_id: addr.param("reg-id").and_then(|id| id.parse().ok()),
            life: life(addr.param("expires").or(general), config.register_expires)?,
        }))
    }
}

/// How long a binding lives that asks for `expires`.
fn life(expires: Option<&str>, (min, max): (Duration, Duration)) -> Result<Duration, Refusal> {
    match expires.map(str::trim).and_then(seconds) {
        Some(0) => Ok(Duration::ZERO),
        Some(s) if Duration::from_secs(s) < min => Err(Refusal::TooBrief(min)),
        Some(s) => Ok(Duration::from_secs(s).min(max)),
        None => Ok(Duration::from_secs(DEFAULT_S).max(min).min(max)),
    }
}

/// A number of seconds; too large a one is as large as can be. `None`: not digits alone.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether two Contacts mean the same place: user, host, port and transport are equal. Other
/// parameters don't count, since some phones make up a new one at every start.
pub(super) fn is_same_place(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (Ok(a), Ok(b)) = (Uri::parse(a), Uri::parse(b)) else { return false };
    let (Some(a), Some(b)) = (a.sip(), b.sip()) else { return false };
    let transport = |uri: &SipUri<'_>| {
        uri.params.value("transport").map_or_else(|| "udp".to_owned(), str::to_ascii_lowercase)
    };
    a.secure == b.secure
        && a.user == b.user
        && a.host.eq_ignore_ascii_case(b.host)
        && a.port == b.port
        && transport(a) == transport(b)
}
