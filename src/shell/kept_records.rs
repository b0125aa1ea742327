//! Records of calls that are over, until the store has them for good: what is left of those calls
//! in the journal while the database can't be written.
//!
//! Owns their keys, and which of them the journal has. As many as the store has room for, since it
//! counts and forgets any other. What a record says is [`recorded`]'s.

use std::collections::BTreeMap;

use crate::call::cdr::Cdr;
use crate::call::journal::Unreadable;
use crate::call::recorded;
use crate::store::Store;
use crate::store::journal::{Change, Key};

/// What a key of the journal begins with that is a record's.
const PREFIX: &[u8] = b"record/";

/// The records that the store has taken in and not yet for good, by the numbers that it gave them.
#[derive(Default)]
pub(super) struct KeptRecords(BTreeMap<u64, Place>);

/// Where a record lies meanwhile.
enum Place {
    Memory(Box<Cdr>),
    Journal(Key),
}

impl KeptRecords {
    /// Hands the record of a call to the store.
    pub(super) fn hand_in(&mut self, cdr: Cdr, store: &Store) {
        let copy = Box::new(cdr.clone());
        if let Some(number) = store.cdr(cdr) {
            self.0.insert(number, Place::Memory(copy));
        }
    }

    /// The same with one that the process before has left in the journal; whether it waits there.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn hand_in_again(
        &mut self,
        key: &[u8],
        value: &[u8],
        store: &Store,
    ) -> Result<bool, Unreadable> {
        let number = store.cdr(recorded::restore(value)?);
        self.0.extend(number.map(|number| (number, Place::Journal(key.into()))));
        Ok(number.is_some())
    }

    /// What the journal is to know by now: records that the store has not got written, and those
    /// no more that it has.
    pub(super) fn changes(&mut self, store: &Store) -> Vec<Change> {
        let waiting = self.0.split_off(&(store.committed() + 1));
        let written = std::mem::replace(&mut self.0, waiting).into_values();
        let mut changes: Vec<_> = written
            .filter_map(|place| match place {
                Place::Memory(_) => None,
                Place::Journal(key) => Some((key, None)),
            })
            .collect();
        // The journal has all that were there when it was asked last.
        for place in self.0.values_mut().rev() {
            let Place::Memory(cdr) = place else { break };
            let key: Key = [PREFIX, cdr.call.0.as_bytes()].concat().into();
            changes.push((key.clone(), Some(recorded::keep(cdr).into())));
            *place = Place::Journal(key);
        }
        changes
    }
}

/// Whether it is a record's key.
pub(super) fn is_record(key: &[u8]) -> bool {
    key.starts_with(PREFIX)
}
