//! Whose pages may ask: ours alone.
//!
//! A page of another site can make a browser ask us in two ways: straight (its `Origin` says so),
//! or by giving its own name our address (DNS rebinding: then `Host` is a name that isn't ours).
//! Whoever is no browser says neither.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Whether the request names us, and comes from a page of ours or from none.
pub(super) fn is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    let Some(host) = headers.get(HOST) else { return !headers.contains_key(ORIGIN) };
    let Ok(host) = host.to_str() else { return false };
    let is_from_us = headers.get(ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|from| from.eq_ignore_ascii_case(host))
    });
    is_from_us && is_our_name(name(host), hosts)
}

/// Without the port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// An address can be no other site's name.
fn is_our_name(name: &str, hosts: &[String]) -> bool {
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.trim_end_matches('.');
    literal.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_ask() {
        let hosts = ["wall.example.jp".to_owned()];
        let cases = [
            (None, None, true),
            (None, Some("http://localhost"), false),
            (Some("127.0.0.1:8080"), None, true),
            (Some("[::1]:8080"), None, true),
            (Some("[::1]"), None, true),
            (Some("192.0.2.7"), None, true),
            (Some("localhost:8080"), None, true),
            (Some("LOCALHOST."), None, true),
            (Some("wall.example.jp"), None, true),
            (Some("Wall.Example.jp:443"), Some("https://wall.example.jp:443"), true),
            (Some("localhost:8080"), Some("http://localhost:8080"), true),
            (Some("localhost:8080"), Some("http://localhost:9090"), false),
            (Some("localhost:8080"), Some("null"), false),
            (Some("localhost:8080"), Some("http://evil.example"), false),
            (Some("127.0.0.1:8080"), Some("http://evil.example"), false),
            (Some("evil.example"), None, false),
            (Some("evil.example:8080"), Some("http://evil.example:8080"), false),
            (Some("localhost.evil.example"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some(""), None, false),
        ];
        for (host, origin, expected) in cases {
            let mut headers = HeaderMap::new();
            for (key, value) in [(HOST, host), (ORIGIN, origin)] {
                headers.extend(value.map(|value| (key, value.parse().unwrap())));
            }
            assert_eq!(is_ours(&headers, &hosts), expected, "{host:?} {origin:?}");
        }
        let mut odd = HeaderMap::new();
        odd.insert(HOST, axum::http::HeaderValue::from_bytes(b"localhost\xff").unwrap());
        assert!(!is_ours(&odd, &hosts));
    }
}
