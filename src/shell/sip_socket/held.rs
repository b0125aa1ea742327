//! New calls that have been read and wait behind messages of the calls that go on.
//!
//! Owns which datagram may wait, and how many do. When more comes than there is time for, a BYE
//! behind a thousand INVITEs would keep a caller's ports and a counselor busy for nothing; and how
//! late we are is to be read off new calls, which are what can be refused.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::sip::Flow;

/// New calls that wait at most; one more, and the oldest is taken.
const HELD_MAX: usize = 1_024;
/// Bytes of them at most, alike.
const BYTES_MAX: usize = 4 << 20;
/// So many others are taken before the oldest new call has its turn all the same.
const PASSED_MAX: usize = 8;

/// A datagram that waits.
struct Waiting {
    flow: Flow,
    bytes: Vec<u8>,
    /// A print of its Call-ID: each CANCEL is looked for among all that wait.
    call: Option<u64>,
    /// How long it had waited when it was read, and when that was.
    waited: Duration,
    read: Instant,
}

/// Those of one socket, in their order.
#[derive(Default)]
pub(super) struct Held {
    waiting: VecDeque<Waiting>,
    /// Bytes of all of them.
    bytes: usize,
    passed: usize,
}

impl Held {
    /// Whether a datagram may wait. A CANCEL must not overtake its INVITE (it has the same Call-ID,
    /// RFC 3261 §9.1); that of any other does not wait.
    pub(super) fn takes(&self, bytes: &[u8]) -> bool {
        let waits = |call: u64| self.waiting.iter().any(|it| it.call == Some(call));
        is_new_call(bytes) || (bytes.starts_with(b"CANCEL ") && call_id(bytes).is_some_and(waits))
    }

    pub(super) fn put(&mut self, now: Instant, flow: Flow, bytes: &[u8], waited: Duration) {
        self.bytes += bytes.len();
        let (call, bytes) = (call_id(bytes), bytes.to_vec());
        self.waiting.push_back(Waiting { flow, bytes, call, waited, read: now });
    }

    /// Another message goes before those that wait.
    pub(super) fn pass(&mut self) {
        self.passed += usize::from(!self.is_empty());
    }

    /// Whether the next is to be taken, whatever else has come.
    pub(super) fn is_due(&self) -> bool {
        self.waiting.len() > HELD_MAX || self.bytes > BYTES_MAX || self.passed >= PASSED_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the oldest: whose it is, its length in `buffer`, and of a new call how long it has
    /// waited in all.
    pub(super) fn take(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(Flow, usize, Option<Duration>)> {
        self.passed = 0;
        let Waiting { flow, bytes, waited, read, .. } = self.waiting.pop_front()?;
        self.bytes -= bytes.len();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        let waited = || waited + now.saturating_duration_since(read);
        Some((flow, len, is_new_call(&bytes).then(waited)))
    }
}

/// Whether this is an INVITE outside any dialog: its `To` has no tag (RFC 3261 §12.2). Of what is
/// no good SIP anything may be said: the parser judges it later.
pub(super) fn is_new_call(bytes: &[u8]) -> bool {
    if !bytes.starts_with(b"INVITE ") {
        return false;
    }
    let to = header(bytes, [b"to", b"t"]).unwrap_or_default();
    // Parameters of the header come behind the URI.
    let after = to.rsplit(|b| *b == b'>').next().unwrap_or_default();
    let is_tag = |it: &[u8]| {
        it.trim_ascii_start().get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"tag="))
    };
    !after.split(|b| *b == b';').any(is_tag)
}

/// A print of its Call-ID.
fn call_id(bytes: &[u8]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    header(bytes, [b"call-id", b"i"])?.hash(&mut hasher);
    Some(hasher.finish())
}

/// The value of the first header of this name, long or compact, as far as its line goes.
fn header<'a>(bytes: &'a [u8], names: [&[u8]; 2]) -> Option<&'a [u8]> {
    bytes.split(|b| *b == b'\n').find_map(|line| {
        let colon = line.iter().position(|b| *b == b':')?;
        let name = line[..colon].trim_ascii();
        let is_it = names.iter().any(|known| name.eq_ignore_ascii_case(known));
        is_it.then(|| line[colon + 1..].trim_ascii())
    })
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
        let cancel = b"CANCEL sip:a SIP/2.0\r\nCALL-ID: 1\r\n\r\n";
        assert!(!held.takes(cancel), "there is no INVITE before it");
        held.pass();
        assert!(!held.is_due(), "nobody waits");
        let invite = b"INVITE sip:a SIP/2.0\r\ni : 1\r\n\r\n";
        held.put(t0, flow, invite, ms(3));
        assert!(held.takes(cancel));
        assert!(!held.takes(b"CANCEL sip:a SIP/2.0\r\nCall-ID: 2\r\n\r\n"), "another call's");
        held.put(t0 + ms(1), flow, cancel, ms(0));
        for _ in 0..PASSED_MAX {
            assert!(!held.is_due());
            held.pass();
        }
        assert!(held.is_due());
        let taken = held.take(t0 + ms(5), &mut buffer).unwrap();
        assert_eq!((&buffer[..taken.1], taken.2), (&invite[..], Some(ms(8))));
        assert!(!held.is_due());
        let taken = held.take(t0 + ms(5), &mut buffer).unwrap();
        assert_eq!((&buffer[..taken.1], taken.2), (&cancel[..], None), "it begins no call");
        assert!(held.take(t0, &mut buffer).is_none());
        for _ in 0..=HELD_MAX {
            assert!(!held.is_due());
            held.put(t0, flow, b"INVITE b", ms(0));
        }
        assert!(held.is_due(), "no more than that");
        let mut held = Held::default();
        held.put(t0, flow, &[0; BYTES_MAX], ms(0));
        assert!(!held.is_due());
        held.put(t0, flow, &[0], ms(0));
        assert!(held.is_due(), "nor more bytes");
    }
}
