//! The journal of live calls: what a new process needs to go on with the calls of one that died.
//!
//! Owns the files `calls-N` in the folder of the journal and the keys `calls-N.key` in the runtime
//! folder: a table of keys and values, written one change at a time. What is in a value is the
//! callers' business. Does not decide when to write, and never waits for the disk to have it: a
//! process that dies loses nothing that was written, and calls don't outlive the machine.
//!
//! A file is a header and records. A record is its length and an AES-256-GCM box of all changes
//! that belong together; its number is the nonce, so that none can be left out, moved or played
//! again, and the tag is its checksum. A record that is damaged is skipped; one that is cut off at
//! the end was never acted upon by anybody.
//!
//! A caller's number is in these values for as long as the call lives. So each file has a key of
//! its own, in a folder that is memory only; [`Journal::tidy`] begins a new file and forgets the
//! old key, after which nobody can read what is left of the old one on the disk.

mod file;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use file::{Log, numbers};

use crate::chance::Chance;

/// Bytes of dead records above which [`Journal::tidy`] begins a new file at once.
const DEAD_MAX: u64 = 1 << 20;

/// How many times as much as lives may be dead, beyond that: what lives is written again each time.
const DEAD_PART: u64 = 3;

/// A key, as its owner writes it.
pub type Key = Box<[u8]>;
/// What is kept under a key.
pub type Value = Bytes;
/// A key, and what it has now; `None`: it is gone.
pub type Change = (Key, Option<Value>);

/// What a file held that could not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records that are damaged.
    pub records: usize,
    /// Files whose key is gone, because the machine was started anew, or that are none of ours.
    pub files: usize,
}

/// The table and its file. One process at a time has it: the lock of the state folder is held.
pub struct Journal {
    folder: PathBuf,
    runtime: PathBuf,
    chance: Chance,
    live: BTreeMap<Key, Value>,
    /// The file; `None`: it could not be written, and the next attempt begins a new one.
    log: Option<Log>,
    number: u64,
    /// Bytes of the live values in a file.
    size: u64,
    /// Bytes in the file that belong to no live value.
    dead: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Reads what an earlier process left. What could be read is in [`Self::live`]; what could not
    /// is a loss and no error: the service has to start.
    pub fn open(folder: &Path, runtime: &Path, chance: Chance) -> (Self, Losses) {
        let mut losses = Losses::default();
        let mut live = BTreeMap::new();
        let found = match numbers(folder) {
            Ok(found) => found,
            Err(error) => {
                losses.files += usize::from(error.kind() != io::ErrorKind::NotFound);
                vec![]
            }
        };
        // The newest that is whole: one that was being begun when the process died has no mark.
        // Where none has one, something is better than nothing.
        for number in found.iter().rev() {
            match file::read(folder, runtime, *number) {
                Ok(read) => {
                    if read.is_begun || live.is_empty() {
                        losses.records += read.damaged;
                        live = read.live;
                    }
                    if read.is_begun {
                        break;
                    }
                }
                Err(_) => losses.files += 1,
            }
        }
        let number = found.last().copied().unwrap_or(0);
        let (folder, runtime) = (folder.to_owned(), runtime.to_owned());
        let (log, dead, buffer) = (None, 0, Vec::new());
        let size = live.iter().map(|(key, value)| file::size(key.len(), value.len())).sum();
        (Self { folder, runtime, chance, live, log, number, size, dead, buffer }, losses)
    }

    /// Everything that is kept, in the order of the keys.
    pub fn live(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.live.iter().map(|(key, value)| (&**key, value))
    }

    /// Takes changes over, all or nothing, and hands them to the system in one write.
    ///
    /// # Errors
    /// When the file can't be written. Nothing is lost: the table is kept, and the next call begins
    /// a new file with all of it.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> io::Result<()> {
        let changes: Vec<_> = changes.into_iter().collect();
        self.buffer.clear();
        let is_sealed = self.log.as_mut().is_some_and(|log| log.seal(&mut self.buffer, &changes));
        self.dead += file::BOX;
        for (key, value) in changes {
            let key_length = key.len();
            let old = match value {
                Some(value) => {
                    self.size += file::size(key_length, value.len());
                    self.live.insert(key, value)
                }
                None => {
                    self.dead += file::size(key_length, 0);
                    self.live.remove(&key)
                }
            };
            let gone = old.map_or(0, |old| file::size(key_length, old.len()));
            self.size -= gone;
            self.dead += gone;
        }
        let Some(log) = self.log.as_mut().filter(|_| is_sealed) else { return self.begin() };
        let written = log.write(&self.buffer);
        if written.is_err() {
            self.log = None;
        }
        written
    }

    /// Whether everything that was taken over is in the file.
    pub fn is_written(&self) -> bool {
        self.log.is_some() || self.dead == 0
    }

    /// Begins a new file where that leaves less behind: at once when nothing is kept any more or
    /// much is dead, else when `is_time`. To be called now and then.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn tidy(&mut self, is_time: bool) -> io::Result<()> {
        let is_wanted =
            self.live.is_empty() || self.dead > DEAD_MAX.max(DEAD_PART * self.size) || is_time;
        if self.log.is_some() && (self.dead == 0 || !is_wanted) {
            return Ok(());
        }
        self.begin()
    }

    /// A new file with a new key, which holds what is kept; the ones before it are forgotten.
    fn begin(&mut self) -> io::Result<()> {
        self.log = None;
        self.number += 1;
        match self.write_whole() {
            Ok(log) => self.log = Some(log),
            Err(error) => {
                // Half a file is no use to anybody; that it can't be removed either is no news.
                file::forget(&self.folder, &self.runtime, self.number).ok();
                return Err(error);
            }
        }
        self.dead = 0;
        for old in numbers(&self.folder)?.into_iter().filter(|old| *old != self.number) {
            file::forget(&self.folder, &self.runtime, old)?;
        }
        Ok(())
    }

    fn write_whole(&mut self) -> io::Result<Log> {
        file::private_folder(&self.folder)?;
        file::private_folder(&self.runtime)?;
        let mut log = Log::create(&self.folder, &self.runtime, self.number, &mut self.chance)?;
        self.buffer.clear();
        for (key, value) in &self.live {
            log.seal(&mut self.buffer, &[(key.clone(), Some(value.clone()))]);
        }
        log.seal_begun(&mut self.buffer);
        log.write(&self.buffer)?;
        self.buffer.clear();
        self.buffer.shrink_to(1 << 16);
        Ok(log)
    }
}

#[cfg(test)]
mod tests;
