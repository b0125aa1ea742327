//! What of the service itself outlives its process, beside its calls: where it listens, and until
//! when it waits for its last calls.
//!
//! Owns the keys in the journal of live calls, what of it the journal does not have yet, and how
//! long a wish to end is remembered. What a next process makes of it is the start's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::sip::Transport;
use crate::store::journal::{Change, Journal, Key, Value};
use crate::time::Anchor;

/// What a key of the journal begins with that is the service's own.
const PREFIX: &[u8] = b"shell/";
/// The sockets of SIP.
const LISTENING: &[u8] = b"shell/listening";
/// Until when it drains, and when it last said so.
const DRAINS: &[u8] = b"shell/drains";
/// How long after the death of a process that drained the next one takes its wish for its own.
/// Whoever is started later than that is started by somebody who wants a service.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Changes that wait for the journal's next turn.
#[derive(Default)]
pub(super) struct KeptService(BTreeMap<Key, Option<Value>>);

impl KeptService {
    /// It listens there.
    pub(super) fn listens(&mut self, sockets: &[(Transport, SocketAddr)]) {
        let lines = sockets.iter().map(|(transport, at)| format!("{} {at}\n", transport.name()));
        self.0.insert(LISTENING.into(), Some(lines.collect::<String>().into()));
    }

    /// At this moment it waits for its last calls, until then.
    pub(super) fn drains(&mut self, until: Instant, now: Instant, clock: Anchor) {
        let text = format!("{} {}", clock.nanos(until), clock.nanos(now));
        self.0.insert(DRAINS.into(), Some(text.into()));
    }

    /// Nobody is to go on waiting so.
    pub(super) fn drains_no_more(&mut self) {
        self.0.insert(DRAINS.into(), None);
    }

    /// What the journal is to know by now.
    pub(super) fn changes(&mut self) -> impl Iterator<Item = Change> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }
}

/// Whether it is a key of the service's own.
pub(super) fn is_own(key: &[u8]) -> bool {
    key.starts_with(PREFIX)
}

/// Where the process before listened, as far as it is known.
pub(super) fn listened(journal: &Journal) -> Vec<(Transport, SocketAddr)> {
    let text = value(journal, LISTENING).unwrap_or_default();
    text.lines().filter_map(socket).collect()
}

/// Until when the process before waited for its last calls, where it has died in that just now.
pub(super) fn drained_until(journal: &Journal, now: Anchor) -> Option<Instant> {
    let text = value(journal, DRAINS)?;
    let (until, said) = text.split_once(' ')?;
    let [until, said] = [until, said].map(|nanos| Some(now.instant(nanos.parse().ok()?)));
    let age = now.mono.checked_duration_since(said?)?;
    until.filter(|_| age <= REMEMBERED)
}

fn value(journal: &Journal, key: &[u8]) -> Option<String> {
    let (_, value) = journal.live().find(|(known, _)| *known == key)?;
    String::from_utf8(value.to_vec()).ok()
}

fn socket(line: &str) -> Option<(Transport, SocketAddr)> {
    let (name, at) = line.split_once(' ')?;
    let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
    Some((all.into_iter().find(|transport| transport.name() == name)?, at.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::shell::clock;
    use crate::store::tests::Folder;

    const S: Duration = Duration::from_secs(1);

    /// What a next process finds of this.
    fn left(name: &str, own: &mut KeptService) -> Journal {
        let place = Folder::new(name);
        let folder = place.config().path.with_file_name("");
        let chance = || Chance::from_number(1);
        let open = || Journal::open(&folder.join("calls"), &folder.join("run"), chance()).0;
        open().apply(own.changes()).unwrap();
        open()
    }

    #[test]
    fn the_next_process_knows_where_to_listen() {
        let all = [(Transport::Udp, "[::1]:5060"), (Transport::Tls, "192.0.2.1:5061")];
        let all = all.map(|(transport, at)| (transport, at.parse().unwrap()));
        let mut own = KeptService::default();
        own.listens(&all);
        assert_eq!(listened(&left("service-listens", &mut own)), all);
        assert_eq!(own.changes().count(), 0, "once");
        assert_eq!(socket("udp [::1]:5060 "), None);
        assert_eq!(socket("sctp [::1]:5060"), None);
    }

    #[test]
    fn a_wish_to_end_is_the_next_process_s_and_no_later_one_s() {
        let clock = clock::anchor().unwrap();
        let until = clock.mono + 3_600 * S;
        let after = |pause: Duration| Anchor {
            mono: clock.mono + pause,
            since_boot: clock.since_boot + pause,
        };
        let mut own = KeptService::default();
        own.drains(until, clock.mono, clock);
        let journal = left("service-drains", &mut own);
        for (pause, wanted) in [(S, Some(until)), (60 * S, Some(until)), (61 * S, None)] {
            assert_eq!(drained_until(&journal, after(pause)), wanted, "{pause:?}");
        }
        // Before it was said: of another machine, or damaged.
        let before = Anchor { since_boot: clock.since_boot - S, ..clock };
        assert_eq!(drained_until(&journal, before), None);
        own.drains(until, clock.mono, clock);
        own.drains_no_more();
        assert_eq!(drained_until(&left("service-drains-not", &mut own), after(S)), None);
    }
}
