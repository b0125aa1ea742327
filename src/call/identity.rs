//! Who was called, and what is known of who calls.
//!
//! Owns the reading of the called number (carriers disagree on where it stands) and of the caller's
//! presentation: 非通知, 公衆電話, 表示圏外 (the strings of 3GPP TS 24.008 §10.5.4.30 as carriers put
//! them into From). The number itself leaves here only as [`Pii`].

use super::cdr::Presentation;
use super::config::{NumberSource, Trunk};
use crate::pii::Pii;
use crate::sip::header::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// Display names by which networks say why there is no number; matched by prefix.
const REASONS: &[(&str, Presentation)] = &[
    ("anonymous", Presentation::Withheld),
    ("coin line", Presentation::Payphone),
    ("payphone", Presentation::Payphone),
    ("unavailable", Presentation::Unavailable),
    ("interaction with other service", Presentation::Unavailable),
    ("restricted", Presentation::Withheld),
    ("unknown", Presentation::Unknown),
];

/// User parts that are no numbers. `266696687` is "anonymous" on a keypad.
const NO_NUMBERS: &[(&str, Presentation)] = &[
    ("anonymous", Presentation::Withheld),
    ("restricted", Presentation::Withheld),
    ("266696687", Presentation::Withheld),
    ("unavailable", Presentation::Unavailable),
    ("unknown", Presentation::Unknown),
];

/// The number that was called, digits only, in national form; by the trunk's order of headers.
/// `None`: no header named one.
pub(super) fn called_number(request: &Message, trunk: &Trunk) -> Option<String> {
    trunk.called_number.iter().find_map(|source| {
        let uri = match source {
            NumberSource::PCalledPartyId => address(request, &Name::PCalledPartyId)?,
            NumberSource::To => request.to().ok()?.uri.to_owned(),
            NumberSource::RequestUri => request.uri()?.to_owned(),
        };
        national(&uri, &trunk.add_prefix)
    })
}

/// The URI of the first address in that header.
fn address(request: &Message, name: &Name) -> Option<String> {
    let first = request.list(name).next()?;
    NameAddr::parse(first).ok().map(|address| address.uri.to_owned())
}

/// `+81x` and `81x` become `0x`; the carrier's missing prefix is put back.
fn national(uri: &str, add_prefix: &str) -> Option<String> {
    let number = Uri::parse(uri).ok()?.number()?.to_string();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let is_international =
        number.starts_with('+') || digits.len() >= 11 && !digits.starts_with('0');
    Some(match digits.strip_prefix("81") {
        Some(rest) if is_international => format!("0{rest}"),
        _ if digits.starts_with('0') => digits.to_owned(),
        _ => format!("{add_prefix}{digits}"),
    })
}

/// What is known of the caller's number, and the number itself where it is shown.
pub(super) fn caller(request: &Message, add_prefix: &str) -> (Presentation, Option<Pii>) {
    let Ok(from) = request.from() else { return (Presentation::Unknown, None) };
    let display = from.display.as_deref().unwrap_or_default().to_ascii_lowercase();
    let by_name = REASONS.iter().find(|(name, _)| display.starts_with(name));
    let user = Uri::parse(from.uri).ok().and_then(|uri| uri.number().map(|n| n.to_string()));
    let user = user.unwrap_or_default();
    let by_user = NO_NUMBERS.iter().find(|(name, _)| user.eq_ignore_ascii_case(name));
    let is_private = ["id", "header", "user"]
        .iter()
        .any(|token| request.text(&Name::Privacy).is_some_and(|value| lists(value, token)));
    let is_number = user.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit());
    match (by_name.or(by_user), is_private) {
        (Some((_, presentation)), _) => (*presentation, None),
        (None, true) => (Presentation::Withheld, None),
        (None, false) if user.trim_start_matches('+').is_empty() || !is_number => {
            (Presentation::Unknown, None)
        }
        (None, false) => {
            let asserted = address(request, &Name::PAssertedIdentity);
            let asserted = asserted.and_then(|uri| national(&uri, add_prefix));
            let number = asserted.or_else(|| national(from.uri, add_prefix)).unwrap_or(user);
            (Presentation::Shown, Some(Pii::new(number)))
        }
    }
}

/// Whether a `;`- or `,`-separated list (RFC 3323 §4.2) has the token.
fn lists(value: &str, token: &str) -> bool {
    value.split([';', ',']).any(|item| item.trim().eq_ignore_ascii_case(token))
}
