//! What differs between two configurations, key by key, and what of it waits for a restart.

use std::collections::BTreeSet;

use super::{Loaded, Setting};

/// Keys that a running service can't change: sockets that are bound, threads that run, files that
/// are open. With a dot at the end: everything in the table.
const AFTER_RESTART: &[&str] = &[
    "sip.listen",
    "sip.max_connections",
    "sip.max_connections_per_source",
    "sip.connect_timeout",
    "sip.tls.handshake_timeout",
    "sip.idle_timeout",
    "sip.stranger_timeout",
    "sip.message_timeout",
    "sip.write_timeout",
    "service.state_dir",
    "service.runtime_dir",
    "service.journal_wait",
    "service.log.",
    "service.retention.",
    "store.",
    "recording.",
    "media.",
    "console.",
];
/// Lists of tables, whose elements come and go as a whole.
const LISTS: [&str; 3] = ["trunk", "line", "counselor"];

/// A key that differs. A trunk, line or counselor that came or went is one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key in full, `line.nijiiro.queue.max_wait`, or a whole table, `line.nijiiro`.
    pub key: String,
    /// Its effective value before; `None`: it was not there. Secrets don't show when printed.
    pub old: Option<Setting>,
    /// Its effective value after; `None`: it is not there any longer.
    pub new: Option<Setting>,
    /// It takes effect only when the service starts again.
    pub after_restart: bool,
}

/// Every key whose effective value differs, in order of keys.
pub fn changes(old: &Loaded, new: &Loaded) -> Vec<Change> {
    let names = |loaded: &Loaded| -> BTreeSet<String> {
        loaded.settings.keys().filter_map(|key| element(key)).map(str::to_owned).collect()
    };
    let (before, after) = (names(old), names(new));
    let whole = |name: &str| Setting::Shown(name.to_owned());
    let mut changes: Vec<Change> = before
        .symmetric_difference(&after)
        .map(|name| Change {
            key: name.clone(),
            old: before.contains(name).then(|| whole(name)),
            new: after.contains(name).then(|| whole(name)),
            after_restart: false,
        })
        .collect();
    let keys: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    for key in keys {
        let (was, is) = (old.settings.get(key), new.settings.get(key));
        let is_whole = element(key).is_some_and(|n| before.contains(n) != after.contains(n));
        if was != is && !is_whole {
            changes.push(Change {
                key: key.clone(),
                old: was.cloned(),
                new: is.cloned(),
                after_restart: waits(key),
            });
        }
    }
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// Whether the key takes effect only after a restart.
pub fn waits(key: &str) -> bool {
    let is_in = |table: &str| table.ends_with('.') && key.starts_with(table);
    AFTER_RESTART.iter().any(|name| *name == key || is_in(name))
}

/// The element of a list that a key is of: `line.nijiiro` of `line.nijiiro.queue.retry`.
fn element(key: &str) -> Option<&str> {
    let (list, rest) = key.split_once('.')?;
    let (id, _) = rest.split_once('.')?;
    LISTS.contains(&list).then(|| &key[..list.len() + 1 + id.len()])
}
