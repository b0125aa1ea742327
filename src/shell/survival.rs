//! What of the service outlives its process: the journal of live calls and the sockets, from the
//! process before to the one after.
//!
//! Owns where the journal's keys lie, how what was kept becomes a [`Switchboard`], and when what is
//! gone may be forgotten. What is kept is the switchboard's, how it is written the [`Scribe`]'s,
//! the sockets are [`KeptSockets`]', and records that wait for the store [`KeptRecords`]'.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock;
use super::kept_records::{self, KeptRecords};
use super::kept_service::{self, KeptService};
use super::kept_sockets::{CLAIM_WITHIN, KeptSockets};
use super::kept_voices::{self, KeptPorts, KeptVoices};
use super::runtime_dir;
use super::scribe::{Health, Scribe};
use crate::call::cdr::Cdr;
use crate::call::config::Config;
use crate::call::intention::Intention;
use crate::call::journal::Change;
use crate::call::switchboard::{Past, Switchboard};
use crate::chance::Chance;
use crate::media::Command;
use crate::sip::Transport;
use crate::store::Store;
use crate::store::journal::{Journal, Key, Losses, Value};
use crate::time::Anchor;
use crate::{call, media, sip};

/// How long a process that ends waits for its disk.
const LEAVE: Duration = Duration::from_secs(2);
/// Values that are left out because of a panic, before all are.
const LEFT_OUT_MAX: usize = 16;
/// The number of this run of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Finds a configuration by its version.
pub type Configs = Box<dyn Fn(u64) -> Option<Arc<Config>> + Send>;

/// What the process before has left, and with what this one goes on keeping.
pub struct Kept {
    /// Its live calls; `None`: nothing is kept.
    pub journal: Option<Journal>,
    /// How long the loop waits for one write of the journal.
    pub wait: Duration,
    /// Whether it has left that it did not end as it should.
    pub is_left: bool,
    /// Its sockets.
    pub sockets: KeptSockets,
    /// The configurations that its calls may have begun with.
    pub configs: Configs,
}

impl Kept {
    /// Nothing was kept, and nothing will be.
    pub fn none() -> Self {
        let (sockets, configs) = (KeptSockets::none(), Box::new(|_| None));
        Self { journal: None, wait: Duration::ZERO, is_left: false, sockets, configs }
    }

    /// Whether there is anything to go on with, were it only callers who find us at the sockets.
    pub fn goes_on(&self) -> bool {
        self.is_left || self.has_calls() || self.sockets.are_left()
    }

    /// Until when the process before waited for its last calls, of which some still live; `None`:
    /// it did not wait, or nobody remembers.
    pub(super) fn drained_until(&self, now: Anchor) -> Option<Instant> {
        let journal = self.journal.as_ref().filter(|_| self.has_calls())?;
        kept_service::drained_until(journal, now)
    }

    /// Where the process before listened; `None`: there is nothing to go on with.
    pub(super) fn listened(&self) -> Option<Vec<(Transport, SocketAddr)>> {
        let listened = || self.journal.as_ref().map(kept_service::listened).unwrap_or_default();
        self.goes_on().then(listened)
    }

    /// Whether somebody waits for this process to go on.
    pub fn has_calls(&self) -> bool {
        let mut keys = self.journal.iter().flat_map(Journal::live).map(|(key, _)| key);
        keys.any(|key| key.starts_with(b"call/"))
    }
}

/// Opens the journal: the files in `state_dir`, their keys in memory only.
pub fn open(state_dir: &Path, runtime_dir: Option<&Path>, chance: &mut Chance) -> Journal {
    let keys = match runtime_dir {
        Some(folder) => folder.to_owned(),
        None => find_runtime_dir(state_dir),
    };
    let (journal, Losses { records, files }) =
        Journal::open(&state_dir.join("calls"), &keys, chance.split());
    if records > 0 || files > 0 {
        tracing::warn!(records, files, "calls of the last run are lost: the journal can't be read");
    }
    journal
}

/// A folder that ends with this run of the machine.
fn find_runtime_dir(state_dir: &Path) -> PathBuf {
    if let Some(folder) = runtime_dir::find(state_dir) {
        return folder;
    }
    tracing::warn!(
        "there is no folder in memory for the keys of live calls (service.runtime_dir): they are \
         on the disk beside them"
    );
    let boot = fs::read_to_string(BOOT).unwrap_or_default();
    state_dir.join("run").join(boot.trim())
}

/// What a switchboard is made of.
pub(super) struct Parts {
    pub(super) call: Arc<Config>,
    pub(super) sip: sip::Config,
    pub(super) media: media::Config,
    pub(super) intentions: BTreeMap<call::config::Extension, Intention>,
    pub(super) chance: Chance,
}

impl Parts {
    fn new_switchboard(self) -> Switchboard {
        let Self { call, sip, media, intentions, chance } = self;
        Switchboard::new(call, sip, &media, intentions, chance, clock::now())
    }
}

/// Keeps what outlives the process.
pub(super) struct Survival {
    scribe: Option<Scribe>,
    sockets: KeptSockets,
    voices: KeptVoices,
    /// States of the ports of the process before, until it is known which of them go on.
    states: BTreeMap<u32, Value>,
    /// What is gone, and is forgotten as soon as the records that came of it are safe.
    gone: BTreeSet<Key>,
    /// A call is among that, which would be gone on with and keep a counselor from the next; or
    /// there is a new record.
    is_due: bool,
    records: KeptRecords,
    service: KeptService,
    /// When sockets are closed that nobody has claimed.
    claimed_by: Option<Instant>,
    fault: Option<String>,
}

/// What the process before has kept, as it was read.
pub(super) struct Found {
    anchor: Anchor,
    values: BTreeMap<call::journal::Key, Value>,
    /// Keys that are nobody's.
    unknown: Vec<Key>,
    configs: Configs,
}

impl Survival {
    /// Takes over what was kept; `None`: nothing ever is. Records that the store of the process
    /// before did not get written go to this one.
    ///
    /// # Errors
    /// When the system refuses a thread or a clock.
    pub(super) fn begin(kept: Kept, store: &Store) -> io::Result<(Self, Option<Found>)> {
        let Kept { journal, wait, is_left: _, sockets, configs } = kept;
        let mut survival = Self {
            scribe: None,
            sockets,
            voices: KeptVoices::default(),
            states: BTreeMap::new(),
            gone: BTreeSet::new(),
            is_due: false,
            records: KeptRecords::default(),
            service: KeptService::default(),
            claimed_by: Some(Instant::now() + CLAIM_WITHIN),
            fault: None,
        };
        let Some(journal) = journal else { return Ok((survival, None)) };
        let anchor = clock::anchor()?;
        let (mut values, mut unknown) = (BTreeMap::new(), vec![]);
        for (key, value) in journal.live() {
            if let Some(port) = kept_voices::port_of(key) {
                survival.states.insert(port, value.clone());
                continue;
            }
            if kept_service::is_own(key) {
                continue;
            }
            if kept_records::is_record(key) {
                let waits = survival.records.hand_in_again(key, value, store);
                let waits = waits.inspect_err(|why| {
                    tracing::error!(%why, "the record of a call is lost");
                });
                if !waits.unwrap_or(false) {
                    unknown.push(Key::from(key));
                }
                continue;
            }
            match std::str::from_utf8(key).ok().and_then(|text| text.parse().ok()) {
                Some(known) => drop(values.insert(known, value.clone())),
                None => unknown.push(Key::from(key)),
            }
        }
        let scribe = Scribe::start(journal, wait)?;
        survival.voices = KeptVoices::new(scribe.pen(), anchor);
        survival.scribe = Some(scribe);
        Ok((survival, Some(Found { anchor, values, unknown, configs })))
    }

    /// What the media threads take over and leave.
    pub(super) fn ports(&self) -> KeptPorts {
        KeptPorts { sockets: self.sockets.clone(), voices: self.voices.clone() }
    }

    /// A switchboard that goes on with the calls that were kept.
    pub(super) fn restore(&self, found: Option<Found>, parts: Parts) -> Switchboard {
        let Some(found) = found else { return parts.new_switchboard() };
        let (switchboard, unread) = restore(found, parts);
        if let Some(scribe) = self.scribe.as_ref().filter(|_| !unread.is_empty()) {
            scribe.keep(unread.into_iter().map(|key| (key, None)));
        }
        switchboard
    }

    /// Has each port that opens go on as it was. To be called once, with all that are to go on:
    /// states of others are forgotten.
    pub(super) fn resume(&mut self, commands: impl Iterator<Item = Command>) -> Vec<Command> {
        let mut all = Vec::new();
        for command in commands {
            let opened = if let Command::Open { port, .. } = &command { Some(*port) } else { None };
            all.push(command);
            let kept = opened.and_then(|port| Some((port, self.states.remove(&port.n)?)));
            all.extend(kept.map(|(port, state)| Command::Resume { port, state }));
        }
        let over = std::mem::take(&mut self.states).into_keys();
        let over: Vec<_> = over.map(|port| (kept_voices::key(port), None)).collect();
        if let Some(scribe) = self.scribe.as_ref().filter(|_| !over.is_empty()) {
            scribe.keep(over);
        }
        all
    }

    /// Whether there is anything for a next process to go on with.
    pub(super) fn keeps(&self) -> bool {
        self.scribe.is_some()
    }

    /// A process that follows this one is to know where it listens.
    pub(super) fn listens(&mut self, sockets: &[(Transport, SocketAddr)]) {
        self.service.listens(sockets);
    }

    /// A process that follows this one before `until` is to wait for the last calls too, until
    /// then. To be said again while it is so.
    pub(super) fn drains(&mut self, until: Instant) {
        if let (Some(scribe), Some(clock)) = (&self.scribe, self.voices.anchor()) {
            self.service.drains(until, clock::now().mono, clock);
            scribe.keep(self.service.changes());
        }
    }

    /// A process that follows this one is to take calls.
    pub(super) fn drains_no_more(&mut self) {
        self.service.drains_no_more();
    }

    /// Hands the record of a call to the store; a process that follows this one does it again, as
    /// long as that has not written it.
    pub(super) fn hand_in(&mut self, cdr: Cdr, store: &Store) {
        if self.keeps() {
            self.is_due = true;
            self.records.hand_in(cdr, store);
        } else {
            store.cdr(cdr);
        }
    }

    /// Has changes written before what they bring about is carried out. What is gone stays until
    /// [`settle`](Self::settle) or [`beat`](Self::beat).
    pub(super) fn keep(&mut self, changes: Vec<Change>) {
        let Some(scribe) = &self.scribe else { return };
        let mut there = Vec::new();
        for Change { key, value } in changes {
            self.is_due |= value.is_none() && is_call(&key);
            let key = name(&key);
            if value.is_some() {
                self.gone.remove(&key);
                there.push((key, value));
            } else {
                self.gone.insert(key);
            }
        }
        if !there.is_empty() {
            scribe.keep(there);
        }
    }

    /// Takes out of the journal, soon, what is gone.
    pub(super) fn gone(&mut self, keys: &[call::journal::Key]) {
        if self.keeps() {
            self.is_due |= keys.iter().any(is_call);
            self.gone.extend(keys.iter().map(name));
        }
    }

    /// To be called when all is carried out: a call that is over is forgotten at once, and its
    /// record written in its place. Nothing waits for that.
    pub(super) fn settle(&mut self, store: &Store) {
        if std::mem::take(&mut self.is_due) {
            self.forget(store, Scribe::note);
        }
    }

    /// To be called once a second: forgets what is gone; how the journal does.
    pub(super) fn beat(&mut self, now: Instant, store: &Store) -> Health {
        if self.claimed_by.take_if(|at| now >= *at).is_some() {
            let count = self.sockets.forget_unclaimed();
            if count > 0 {
                tracing::info!(count, "sockets of the last run that nobody needs are closed");
            }
        }
        self.forget(store, Scribe::keep);
        let health = self.scribe.as_ref().map(Scribe::health).unwrap_or_default();
        match (&self.fault, &health.fault) {
            (None, Some(fault)) => tracing::warn!(
                %fault,
                "the journal of live calls can't be written: they would not outlive this process"
            ),
            (Some(_), None) => tracing::info!("the journal of live calls is whole again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.fault.clone_from(&health.fault);
        health
    }

    /// Of a call that is over there is its record, where the store has not written it, and nothing
    /// else.
    fn forget(
        &mut self,
        store: &Store,
        write: impl FnOnce(&Scribe, Vec<crate::store::journal::Change>),
    ) {
        let Some(scribe) = &self.scribe else { return };
        let gone = std::mem::take(&mut self.gone).into_iter().map(|key| (key, None));
        let records = self.records.changes(store);
        let changes: Vec<_> = gone.chain(records).chain(self.service.changes()).collect();
        if !changes.is_empty() {
            write(scribe, changes);
        }
    }

    /// Sockets that end with this process though they should not.
    pub(super) fn unkept(&self) -> u64 {
        self.sockets.unkept()
    }

    /// Leaves everything to the next process: live calls, or the records that still wait. Blocks
    /// for a moment.
    pub(super) fn leave(&mut self, store: &Store) {
        if !self.keeps() {
            return;
        }
        let until = Instant::now() + LEAVE;
        while store.committed() < store.taken_in() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.forget(store, Scribe::keep);
        let left = until.saturating_duration_since(Instant::now());
        if self.scribe.as_ref().is_some_and(|scribe| !scribe.flush(left)) {
            tracing::error!("the journal of live calls is not whole: what it lacks ends here");
        }
    }
}

fn is_call(key: &call::journal::Key) -> bool {
    matches!(key, call::journal::Key::Call(_) | call::journal::Key::Internal(_))
}

/// What the journal calls it.
fn name(key: &call::journal::Key) -> Key {
    Key::from(key.to_string().into_bytes())
}

/// A switchboard that goes on with the calls of the journal, and the keys that can't be read. A
/// panic on the way costs the value that caused it: it is left out, and all of it is done again.
/// One that nothing can be blamed for, or one too many, costs the calls; none costs the service.
fn restore(found: Found, parts: Parts) -> (Switchboard, Vec<Key>) {
    let Found { anchor, values: mut kept, unknown: mut unread, configs } = found;
    let count = |is: fn(&call::journal::Key) -> bool| kept.keys().filter(|key| is(key)).count();
    let calls = count(|key| matches!(key, call::journal::Key::Call(_)));
    let phones = count(|key| matches!(key, call::journal::Key::Phone(_)));
    if !kept.is_empty() {
        tracing::info!(calls, phones, "goes on with what the last run has left");
    }
    let Parts { call, sip, media, intentions, mut chance } = parts;
    for _ in 0..=LEFT_OUT_MAX {
        let at = Cell::new(None);
        let past = Past { anchor, kept: kept.clone(), configs: &*configs, at: &at };
        let (call, sip, chance) = (Arc::clone(&call), sip.clone(), chance.split());
        let intentions = intentions.clone();
        let restored = catch_unwind(AssertUnwindSafe(|| {
            Switchboard::restore(call, sip, &media, intentions, chance, clock::now(), past)
        }));
        if let Ok((switchboard, problems)) = restored {
            for problem in problems {
                tracing::error!(key = %problem.key, why = %problem.why, "can't be gone on with");
            }
            return (switchboard, unread);
        }
        let Some(key) = at.take() else { break };
        tracing::error!(%key, "a fault of koebashi on going on with it: it is left out");
        kept.remove(&key);
        unread.push(name(&key));
    }
    tracing::error!("the calls of the last run can't be gone on with: begins without them");
    unread.extend(kept.keys().map(name));
    let mut switchboard = Parts { call, sip, media, intentions, chance }.new_switchboard();
    switchboard.begin_keeping(anchor);
    (switchboard, unread)
}

#[cfg(test)]
mod tests;
