//! What a response to our REGISTER means (RFC 3261 §10.2.4 – §10.2.8).
//!
//! Owns reading it. Decides nothing about when to try again.

use std::time::Duration;

use crate::sip::auth::{Challenge, choose};
use crate::sip::header::{Contact, Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// Entries of Path, Service-Route and P-Associated-URI that are kept.
const LIST_MAX: usize = 16;
/// Longest time that is read.
const DAY_S: u64 = 86_400;

/// A final response, or none.
pub(super) enum Outcome {
    /// 2xx.
    Granted { expires: Duration, route: Vec<String>, associated: Vec<String> },
    /// 2xx that grants no time.
    NothingGranted,
    /// 401 or 407; the challenge to answer, if it is one that we can, and the header to answer in.
    Challenged { challenge: Option<Challenge>, header: Name },
    /// 423, and the shortest expiry if it is named.
    TooBrief { min: Option<Duration> },
    /// Not now: worth another try soon.
    Unavailable { code: u16, retry_after: Option<Duration> },
    /// Not ever, as far as the carrier goes.
    Refused(u16),
    /// Nothing came.
    NoAnswer,
}

impl Outcome {
    /// Reads a final response to a REGISTER with that Contact user and Expires.
    pub(super) fn read(response: &Message, contact_user: &str, asked: Duration) -> Self {
        let seconds = |name: &Name| response.text(name).and_then(seconds);
        match response.code().unwrap_or_default() {
            200..=299 => {
                let expires = granted(response, contact_user, asked);
                if expires.is_zero() {
                    return Self::NothingGranted;
                }
                let route = response.list(&Name::Path).chain(response.list(&Name::ServiceRoute));
                Self::Granted {
                    expires,
                    route: kept(route),
                    associated: kept(response.list(&Name::PAssociatedUri)),
                }
            }
            401 => challenged(response, &Name::WwwAuthenticate, Name::Authorization),
            407 => challenged(response, &Name::ProxyAuthenticate, Name::ProxyAuthorization),
            423 => Self::TooBrief { min: seconds(&Name::MinExpires) },
            code @ (408 | 480 | 500..=599) => {
                Self::Unavailable { code, retry_after: seconds(&Name::RetryAfter) }
            }
            code => Self::Refused(code),
        }
    }
}

fn kept<'a>(list: impl Iterator<Item = &'a str>) -> Vec<String> {
    list.take(LIST_MAX).map(str::to_owned).collect()
}

fn challenged(response: &Message, from: &Name, header: Name) -> Outcome {
    let lines = response.headers(from).filter_map(|value| Challenge::parse_all(value).ok());
    let all: Vec<_> = lines.flatten().collect();
    Outcome::Challenged { challenge: choose(&all).cloned(), header }
}

/// Expiry granted to our Contact: its own `expires`, or the one Contact's that is there, or the
/// header, or what we asked for.
fn granted(response: &Message, contact_user: &str, asked: Duration) -> Duration {
    let contacts: Vec<_> = response
        .contacts()
        .filter_map(|contact| match contact {
            Ok(Contact::Addr(addr)) => Some(addr),
            Ok(Contact::Star) | Err(_) => None,
        })
        .collect();
    let is_ours = |addr: &&NameAddr<'_>| {
        let uri = Uri::parse(addr.uri).ok();
        uri.as_ref().and_then(Uri::sip).and_then(|u| u.user.as_deref()) == Some(contact_user)
    };
    let ours = contacts.iter().find(is_ours).or(match &*contacts {
        [only] => Some(only),
        _ => None,
    });
    let own = ours.and_then(|addr| addr.param("expires")).and_then(seconds);
    own.or_else(|| response.text(&Name::Expires).and_then(seconds)).unwrap_or(asked)
}

/// A number of seconds, perhaps followed by a comment or parameters (Retry-After), at most a day's.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim_start();
    let len = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..len).filter(|digits| !digits.is_empty())?;
    // Digits that don't parse are too many.
    Some(Duration::from_secs(digits.parse().unwrap_or(DAY_S).min(DAY_S)))
}
