//! Keys in INFO requests: `application/dtmf-relay` (`Signal=5`) and `application/dtmf` (`5`), as
//! softphones send them (RFC 6086 calls this legacy usage).
//!
//! Owns the two body formats. Does not own the requests.

/// The content type that we send.
pub(crate) const DTMF_RELAY: &str = "application/dtmf-relay";

/// What an INFO says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A key.
    Digit(char),
    /// Nothing of interest: no body, or a signal that is no key (hook flash).
    Nothing,
    /// A body that we don't read.
    Unsupported,
}

/// Reads the body of an INFO.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Content {
    let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    let text = std::str::from_utf8(body).unwrap_or("");
    let signal = if media_type.eq_ignore_ascii_case(DTMF_RELAY) {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("signal"))
            .map_or("", |(_, value)| value.trim())
    } else if media_type.eq_ignore_ascii_case("application/dtmf") {
        text.trim()
    } else if body.is_empty() {
        return Content::Nothing;
    } else {
        return Content::Unsupported;
    };
    key(signal).map_or(Content::Nothing, Content::Digit)
}

/// The body that tells a key.
pub(crate) fn relay(digit: char) -> String {
    format!("Signal={digit}\r\nDuration=160\r\n")
}

/// The key of a signal: itself, or the event number of RFC 4733 that some phones write.
fn key(signal: &str) -> Option<char> {
    let mut letters = signal.chars();
    match (letters.next()?.to_ascii_uppercase(), letters.next()) {
        (digit @ ('0'..='9' | '*' | '#' | 'A'..='D'), None) => Some(digit),
        (..) => {
            let index = signal.parse::<usize>().ok()?.checked_sub(10)?;
            "*#ABCD".chars().nth(index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let check = |content_type, body: &str, want| {
            assert_eq!(read(content_type, body.as_bytes()), want, "{body:?}");
        };
        let relay = Some("application/dtmf-relay");
        check(relay, "Signal=5\r\nDuration=160\r\n", Content::Digit('5'));
        check(relay, "signal= #\nduration=100", Content::Digit('#'));
        check(relay, "Signal=11\r\nDuration=160", Content::Digit('#'));
        check(relay, "Signal=hf", Content::Nothing);
        check(relay, "", Content::Nothing);
        check(Some("Application/DTMF;x=y"), "d\r\n", Content::Digit('D'));
        check(Some("application/dtmf"), "16", Content::Nothing);
        check(None, "", Content::Nothing);
        check(None, "5", Content::Unsupported);
        check(Some("application/media_control+xml"), "<x/>", Content::Unsupported);
        check(relay, &super::relay('*'), Content::Digit('*'));
    }
}
