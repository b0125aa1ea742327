//! What of the service itself outlives its process, beside its calls: where it listens.
//!
//! Owns the keys in the journal of live calls, and what of it the journal does not have yet. What a
//! next process makes of it is the start's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::sip::Transport;
use crate::store::journal::{Change, Journal, Key, Value};

/// What a key of the journal begins with that is the service's own.
const PREFIX: &[u8] = b"shell/";
/// The sockets of SIP.
const LISTENING: &[u8] = b"shell/listening";

/// Changes that wait for the journal's next turn.
#[derive(Default)]
pub(super) struct KeptService(BTreeMap<Key, Option<Value>>);

impl KeptService {
    /// It listens there.
    pub(super) fn listens(&mut self, sockets: &[(Transport, SocketAddr)]) {
        let lines = sockets.iter().map(|(transport, at)| format!("{} {at}\n", transport.name()));
        self.0.insert(LISTENING.into(), Some(lines.collect::<String>().into()));
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
    use crate::store::tests::Folder;

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
}
