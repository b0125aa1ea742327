//! Single values out of text: durations, times of day, dates, addresses, names.
//!
//! Each reader takes what stands between the quotes and says in one clause what is wrong with it.
//! Where it stands is the sheet's to know.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use ipnet::IpNet;

use super::nearest::hint;
use crate::call::config::Srtp;
use crate::complaint::{Cause, Value, Wrong};
use crate::media::Codec;
use crate::sip::Transport;
use crate::sip::uri::Uri;
use crate::time::Timestamp;

/// What a reader says: the value, or what is wrong.
pub(super) type Read<T> = Result<T, Wrong>;

/// Milliseconds in each unit of a duration, largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration: a whole number and its unit, `20s`.
pub(super) fn duration(text: &str) -> Read<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (Ok(number), Some((_, ms))) = (number.parse::<u64>(), unit) else {
        return Err(Value::NoDuration(text.to_owned()).into());
    };
    let ms = number.checked_mul(*ms).ok_or_else(|| Value::EndlessDuration(text.to_owned()))?;
    Ok(Duration::from_millis(ms))
}

/// A duration within bounds.
pub(super) fn duration_in(text: &str, range: &RangeInclusive<Duration>) -> Read<Duration> {
    let value = duration(text)?;
    if range.contains(&value) {
        return Ok(value);
    }
    let wrong = if value < *range.start() { Value::TooShort } else { Value::TooLong };
    Err(wrong(text.to_owned(), show(*range.start()), show(*range.end())).into())
}

/// A duration as the configuration writes it, in the largest unit that needs no fraction.
pub(super) fn show(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = UNITS.iter().find(|(_, unit)| ms >= *unit && ms % unit == 0);
    fits.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", ms / unit))
}

/// One of these names.
pub(super) fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Read<T> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names = known.iter().map(|(name, _)| *name);
        Value::Unknown(text.to_owned(), hint(text, names)).into()
    })
}

/// A codec that is built in, by its name in SDP.
pub(super) fn codec(text: &str) -> Read<Codec> {
    let known = [
        ("PCMU", Codec::Pcmu),
        ("PCMA", Codec::Pcma),
        ("G722", Codec::G722),
        ("opus", Codec::Opus),
    ];
    let codec = one_of(text, &known)?;
    if codec.is_built_in() {
        return Ok(codec);
    }
    Err(Value::NotBuiltIn(text.to_owned()).into())
}

/// Whether RTP is encrypted.
pub(super) const SRTP: &[(&str, Srtp)] =
    &[("off", Srtp::Off), ("optional", Srtp::Optional), ("required", Srtp::Required)];

/// An id: it stands in URLs, metrics and targets, so it is plain.
pub(super) fn id(text: &str) -> Read<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !text.is_empty() && text.len() <= 32 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Value::NoId(text.to_owned()).into())
}

/// The name of a prompt: a file name without folder and ending.
pub(super) fn prompt(text: &str) -> Read<crate::media::Prompt> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        return Ok(text.into());
    }
    Err(Value::NoPromptName(text.to_owned()).into())
}

/// A called number; hyphens and blanks are for the eye.
pub(super) fn called_number(text: &str) -> Read<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let plain = |c: char| c.is_ascii_digit();
    if (2..=20).contains(&digits.len()) && digits.chars().all(plain) {
        return Ok(digits);
    }
    Err(Value::NoNumber(text.to_owned()).into())
}

/// A counselor's extension.
pub(super) fn extension(text: &str) -> Read<String> {
    if (2..=8).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Value::NoExtension(text.to_owned()).into())
}

/// A code that counselors dial.
pub(super) fn code(text: &str) -> Read<String> {
    let key = |c: char| c.is_ascii_digit() || c == '*' || c == '#';
    if (2..=8).contains(&text.len()) && text.chars().all(key) {
        return Ok(text.to_owned());
    }
    Err(Value::NoCode(text.to_owned()).into())
}

/// An IP address; empty: none.
pub(super) fn address_or_none(text: &str) -> Read<Option<IpAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => Err(Value::NotToCall(text.to_owned()).into()),
        Ok(ip) => Ok(Some(ip)),
        Err(_) => Err(Value::NoIp(text.to_owned()).into()),
    }
}

/// An address or a network.
pub(super) fn network(text: &str) -> Read<IpNet> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let network = address.or_else(|_| text.parse::<IpNet>().map(|net| net.trunc()));
    network.map_err(|_| Value::NoNetwork(text.to_owned()).into())
}

/// An address with its port.
pub(super) fn socket(text: &str) -> Read<SocketAddr> {
    text.parse().map_err(|_| Value::NoSocket(text.to_owned()).into())
}

/// A SIP socket: `udp://127.0.0.1:5060`.
pub(super) fn listener(text: &str) -> Read<(Transport, SocketAddr)> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Value::NamesNoTransport(text.to_owned()).into());
    };
    let transport = match scheme {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        "wss" => return Err(Value::NotServed(scheme.to_owned()).into()),
        other => {
            let near = hint(other, ["udp", "tcp", "tls"]);
            return Err(Value::NoTransport(other.to_owned(), near).into());
        }
    };
    let socket: SocketAddr = rest.parse().map_err(|_| Value::NoAddressWithPort(rest.to_owned()))?;
    if socket.port() == 0 {
        return Err(Value::PortZero(text.to_owned()).into());
    }
    Ok((transport, socket))
}

/// Who can open recordings: an age public key. A secret one is refused without being shown.
pub(super) fn recipient(text: &str) -> Read<age::x25519::Recipient> {
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err(Value::SecretRecipient.into());
    }
    text.parse().map_err(|why: &str| Value::NoRecipient(text.to_owned(), Cause::new(why)).into())
}

/// A domain. No port: it is the realm of the digest, whose parts are divided by colons.
pub(super) fn domain(text: &str) -> Read<String> {
    let host = host(text)?;
    if host.contains([':', '[', ']']) {
        return Err(Value::NoDomain(text.to_owned()).into());
    }
    Ok(host)
}

/// A host, with or without port.
pub(super) fn host(text: &str) -> Read<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !text.is_empty() && text.len() <= 253 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Value::NoHost(text.to_owned()).into())
}

/// A time zone by its name. Never a fallback: an hour's error would shut callers out.
pub(super) fn timezone(text: &str) -> Read<Tz> {
    text.parse().map_err(|_| {
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        Value::NoTimezone(text.to_owned(), hint(text, names)).into()
    })
}

/// A time of day, `18:00`; `24:00` is midnight at the day's end.
pub(super) fn time_of_day(text: &str) -> Read<NaiveTime> {
    if text == "24:00" {
        return Ok(NaiveTime::MIN);
    }
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| Value::NoTimeOfDay(text.to_owned()).into())
}

/// A date, `2026-12-26`.
pub(super) fn date(text: &str) -> Read<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| Value::NoDate(text.to_owned()).into())
}

/// A yearly range of days, `12-29..01-03`.
pub(super) fn day_range(text: &str) -> Read<((u32, u32), (u32, u32))> {
    let day = |text: &str| {
        let (month, day) = text.split_once('-')?;
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        // A leap year, so that 02-29 may be named.
        NaiveDate::from_ymd_opt(2024, month, day).map(|_| (month, day))
    };
    let ends = text.split_once("..").and_then(|(from, to)| Some((day(from)?, day(to)?)));
    ends.ok_or_else(|| Value::NoDayRange(text.to_owned()).into())
}

/// A moment: RFC 3339, or local time in the service's zone.
pub(super) fn moment(text: &str, zone: Tz) -> Read<Timestamp> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let local = local.ok_or_else(|| Value::NoMoment(text.to_owned()))?;
    // An hour that comes twice (summer time ends): the first.
    let moment = zone.from_local_datetime(&local).earliest();
    let wrong = || Value::NoSuchMoment(text.to_owned(), zone.to_string()).into();
    moment.map(|m| m.to_utc()).ok_or_else(wrong)
}

/// First and last RTP port, `30000-39998`, both even.
pub(super) fn ports(text: &str) -> Read<(u16, u16)> {
    let parsed = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    });
    let Some((first, last)) = parsed else {
        return Err(Value::NoPorts(text.to_owned()).into());
    };
    match () {
        () if first % 2 != 0 => Err(Value::OddPort(first).into()),
        () if last % 2 != 0 => Err(Value::OddPort(last).into()),
        () if first < 1024 => Err(Value::LowPort(first).into()),
        () if first >= last => Err(Value::PortsTurned(last, first).into()),
        () => Ok((first, last)),
    }
}

/// A number within bounds.
pub(super) fn within<T: PartialOrd + Display>(value: T, range: &RangeInclusive<T>) -> Read<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    let wrong = if value < *range.start() { Value::TooSmall } else { Value::TooLarge };
    Err(wrong(value.to_string(), range.start().to_string(), range.end().to_string()).into())
}

/// What a `sip:` or `sips:` URI has behind its scheme; `None` too where it asks for a transport
/// that there is not.
fn callable(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:"))?;
    let Ok(Uri::Sip(uri)) = Uri::parse(text) else { return None };
    uri.transport().map(|_| rest)
}

/// A `sip:` or `sips:` URI whose host is an IP address, for a phone that does not register.
pub(super) fn fixed_contact(text: &str) -> Read<String> {
    let bad = || Wrong::from(Value::NoContact(text.to_owned()));
    let rest = callable(text).ok_or_else(bad)?;
    let rest = rest.split_once(';').map_or(rest, |(uri, _)| uri);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let blank = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '?');
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = host.parse::<SocketAddr>().is_ok()
        || host.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    if is_address && !text.contains(blank) { Ok(text.to_owned()) } else { Err(bad()) }
}

/// A registrar: `sip:host[:port][;transport=tcp]`, or `tls` for `tcp`, or `sips:host`.
pub(super) fn registrar(text: &str) -> Read<String> {
    let bad = || Wrong::from(Value::NoRegistrar(text.to_owned()));
    let rest = callable(text).ok_or_else(bad)?;
    let address = rest.split_once(';').map_or(rest, |(address, _)| address);
    let blank = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '@' | '?');
    if address.is_empty() || text.contains(blank) || host(address).is_err() {
        return Err(bad());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        let s = Duration::from_secs;
        let check = |text, expected| assert_eq!(duration(text).ok(), expected, "{text}");
        check("0s", Some(s(0)));
        check("500ms", Some(Duration::from_millis(500)));
        check("20s", Some(s(20)));
        check("5m", Some(s(300)));
        check("2h", Some(s(7200)));
        check("400d", Some(s(400 * 86_400)));
        for text in ["", "20", "s", "-1s", "1.5s", "20 s", "20S", "1h30m", "99999999999999999d"] {
            check(text, None);
        }
        for text in ["0s", "500ms", "20s", "90s", "5m", "2h", "400d"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
        assert_eq!(show(s(120)), "2m");
    }

    #[test]
    fn local_moments_are_in_the_services_zone() {
        let utc = |text, zone| moment(text, zone).map(|m| m.to_rfc3339());
        let tokyo = chrono_tz::Asia::Tokyo;
        assert_eq!(utc("2026-12-26T21:00", tokyo).unwrap(), "2026-12-26T12:00:00+00:00");
        assert_eq!(utc("2026-12-26T21:00:00Z", tokyo).unwrap(), "2026-12-26T21:00:00+00:00");
        let berlin = chrono_tz::Europe::Berlin;
        assert_eq!(utc("2026-10-25T02:30", berlin).unwrap(), "2026-10-25T00:30:00+00:00");
        let skipped =
            Value::NoSuchMoment("2026-03-29T02:30".to_owned(), "Europe/Berlin".to_owned());
        assert_eq!(utc("2026-03-29T02:30", berlin).unwrap_err(), skipped.into());
        assert!(utc("2026-12-26", tokyo).is_err());
    }

    #[test]
    fn contacts_are_addresses() {
        for text in [
            "sip:192.0.2.7",
            "sip:101@192.0.2.7:5062;transport=tcp",
            "sip:a@[::1]:5060",
            "sips:1@192.0.2.7",
        ] {
            assert!(fixed_contact(text).is_ok(), "{text}");
        }
        for text in [
            "101@192.0.2.7",
            "sip:101@phone.example",
            "sip:1@192.0.2.7;transport=sctp",
            "sip:",
            "sip:::1",
        ] {
            assert!(fixed_contact(text).is_err(), "{text}");
        }
    }
}
