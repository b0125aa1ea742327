//! New calls that have been read and wait behind messages of the calls that go on.
//!
//! Owns which datagram may wait, and how many do. When more comes than there is time for, a BYE
//! behind a thousand INVITEs would keep a caller's ports and a counselor busy for nothing; and how
//! late we are is to be read off new calls, which are what can be refused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sip::Flow;

/// New calls that wait at most; one more, and the oldest is taken.
const HELD_MAX: usize = 1_024;
/// So many others are taken before the oldest new call has its turn all the same.
const PASSED_MAX: usize = 8;

/// A datagram that waits.
struct Waiting {
    flow: Flow,
    bytes: Vec<u8>,
    /// How long it had waited when it was read, and when that was.
    waited: Duration,
    read: Instant,
}

/// Those of one socket, in their order.
#[derive(Default)]
pub(super) struct Held {
    waiting: VecDeque<Waiting>,
    passed: usize,
}

impl Held {
    /// Whether a datagram may wait. A CANCEL must not overtake its INVITE.
    pub(super) fn takes(&self, bytes: &[u8]) -> bool {
        is_new_call(bytes) || (!self.is_empty() && bytes.starts_with(b"CANCEL "))
    }

    pub(super) fn put(&mut self, now: Instant, flow: Flow, bytes: &[u8], waited: Duration) {
        self.waiting.push_back(Waiting { flow, bytes: bytes.to_vec(), waited, read: now });
    }

    /// Another message goes before those that wait.
    pub(super) fn pass(&mut self) {
        self.passed += usize::from(!self.is_empty());
    }

    /// Whether the next is to be taken, whatever else has come.
    pub(super) fn is_due(&self) -> bool {
        self.waiting.len() > HELD_MAX || self.passed >= PASSED_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the oldest: whose it is, its length in `buffer`, how long it has waited in all.
    pub(super) fn take(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(Flow, usize, Duration)> {
        self.passed = 0;
        let Waiting { flow, bytes, waited, read } = self.waiting.pop_front()?;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Some((flow, len, waited + now.saturating_duration_since(read)))
    }
}

/// Whether this is an INVITE outside any dialog: its `To` has no tag (RFC 3261 §12.2). Of what is
/// no good SIP anything may be said: the parser judges it later.
pub(super) fn is_new_call(bytes: &[u8]) -> bool {
    if !bytes.starts_with(b"INVITE ") {
        return false;
    }
    let is_to = |line: &&[u8]| {
        let name = line.split(|b| *b == b':').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t")
    };
    let to = bytes.split(|b| *b == b'\n').find(is_to).unwrap_or_default();
    // Parameters of the header come behind the URI.
    let after = to.rsplit(|b| *b == b'>').next().unwrap_or_default();
    let is_tag = |it: &[u8]| {
        it.trim_ascii_start().get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"tag="))
    };
    !after.split(|b| *b == b';').any(is_tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn only_an_invite_without_a_tag_is_a_new_call() {
        let of = |line: &str, to: &str| {
            is_new_call(format!("{line} SIP/2.0\r\nVia: x;tag=1\r\n{to}\r\n\r\n").as_bytes())
        };
        assert!(of("INVITE sip:a", "To: <sip:a@b;tag=9>"));
        assert!(of("INVITE sip:a", "t : sip:a@b"));
        assert!(of("INVITE sip:a", "X: <sip:a@b>"));
        assert!(!of("INVITE sip:a", "TO: \"A\" <sip:a@b>;x=1; Tag=9"));
        assert!(!of("INVITE sip:a", "t:sip:a@b;tag=9"));
        assert!(!of("BYE sip:a", "To: <sip:a@b>"));
        assert!(!is_new_call(b""));
        assert!(is_new_call(b"INVITE "));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn new_calls_keep_their_order_and_their_turn() {
        let flow = Flow::new(
            Transport::Udp,
            "127.0.0.1:5060".parse().unwrap(),
            "127.0.0.2:5060".parse().unwrap(),
        );
        let (t0, ms) = (Instant::now(), Duration::from_millis);
        let (mut held, mut buffer) = (Held::default(), [0; 100]);
        assert!(!held.takes(b"CANCEL sip:a SIP/2.0"), "there is no INVITE before it");
        held.pass();
        assert!(!held.is_due(), "nobody waits");
        held.put(t0, flow, b"INVITE a", ms(3));
        assert!(held.takes(b"CANCEL sip:a SIP/2.0"));
        held.put(t0 + ms(1), flow, b"CANCEL a", ms(0));
        for _ in 0..PASSED_MAX {
            assert!(!held.is_due());
            held.pass();
        }
        assert!(held.is_due());
        let taken = held.take(t0 + ms(5), &mut buffer).unwrap();
        assert_eq!((&buffer[..taken.1], taken.2), (&b"INVITE a"[..], ms(8)));
        assert!(!held.is_due());
        let taken = held.take(t0 + ms(5), &mut buffer).unwrap();
        assert_eq!((&buffer[..taken.1], taken.2), (&b"CANCEL a"[..], ms(4)));
        assert!(held.take(t0, &mut buffer).is_none());
        for _ in 0..=HELD_MAX {
            assert!(!held.is_due());
            held.put(t0, flow, b"INVITE b", ms(0));
        }
        assert!(held.is_due(), "no more than that");
    }
}
