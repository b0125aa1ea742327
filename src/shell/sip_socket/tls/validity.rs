//! From when until when a certificate is good: the one thing in it (RFC 5280 §4.1.2.5) that the
//! TLS library keeps to itself.
//!
//! Owns walking the DER down to the two dates, of the operator's own certificate. Proves nothing:
//! certificates of others are verified by the library.

use chrono::NaiveDateTime;

use crate::time::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

impl Validity {
    /// Reads it out of a certificate in DER; `None` when it is none.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let (outer, _) = element(certificate, SEQUENCE)?;
        let (mut signed, _) = element(outer, SEQUENCE)?;
        if signed.first() == Some(&VERSION) {
            signed = any(signed)?.2;
        }
        // Serial number, signature algorithm, issuer.
        for _ in 0..3 {
            signed = any(signed)?.2;
        }
        let (dates, _) = element(signed, SEQUENCE)?;
        let (from, rest) = time(dates)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// Tag, contents and what follows of the first element.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (len.iter().fold(0, |sum, b| sum << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((tag, contents, rest))
}

/// Contents and what follows of the first element, which must be of that kind.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(tag, ..)| *tag == kind).map(|(_, contents, rest)| (contents, rest))
}

/// A moment, and what follows. Certificates write seconds and `Z`, and a year of two digits up to
/// 2049 (RFC 5280 §4.1.2.5.1).
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, text, rest) = any(der)?;
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let full = match tag {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let moment = NaiveDateTime::parse_from_str(&full, "%Y%m%d%H%M%S").ok()?;
    Some((moment.and_utc(), rest))
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, TimeZone, Utc};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn both_forms_of_dates_are_read() {
        for (from, until) in [(1995, 2030), (2020, 2049), (2026, 2050), (2050, 2999)] {
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from, 1, 2);
            params.not_after = date_time_ymd(until, 3, 4);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let read = Validity::read(certificate.der()).unwrap();
            assert_eq!(read.from, Utc.with_ymd_and_hms(from, 1, 2, 0, 0, 0).unwrap());
            assert_eq!((read.until.year(), read.until.month()), (until, 3));
        }
    }

    #[test]
    fn no_prefix_of_a_certificate_is_one() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let der = certificate.der();
        for len in 0..der.len() {
            assert_eq!(Validity::read(&der[..len]), None, "{len}");
        }
    }
}
