//! A switchboard that outlives the process.
//!
//! Owns what goes into the journal after each input, and going on from a journal. What a value says
//! is [`kept`]'s.
//!
//! Only what was touched is looked at, and only what has changed is written: an input costs the
//! printing of the calls and sessions that it was about.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::repeat::keep as keep_repeat;
use super::{Owned, Owner, Switchboard, Timer, Today, io};
use crate::call::Call;
use crate::call::board::ServiceLevel;
use crate::call::config::{Config, Extension, LineId};
use crate::call::internal::Internal;
use crate::call::io::{Clock, Io, Output};
use crate::call::journal::{Change, Key, Problem, Unreadable};
use crate::call::keeping::Restored;
use crate::call::kept::{self, Word};
use crate::call::refused::Refused;
use crate::sip::kept::{ID_MAX, Ledger, print, read};
use crate::sip::registrar::BindingId;
use crate::sip::{Names, SessionId};
use crate::time::{Anchor, Now};

/// What the journal knows.
pub(super) struct Keeping {
    anchor: Anchor,
    calls: Ledger<u64>,
    internals: Ledger<u64>,
    service: Ledger<()>,
    repeat: Ledger<()>,
}

/// The configurations that calls may have begun with, by their version.
pub type Configs<'a> = &'a dyn Fn(u64) -> Option<Arc<Config>>;

/// What the process before has left behind.
pub struct Past<'a> {
    /// The clock that moments are kept by.
    pub anchor: Anchor,
    /// The latest value of each key of the journal.
    pub kept: BTreeMap<Key, Bytes>,
    /// The configurations that calls may have begun with, besides the one in force.
    pub configs: Configs<'a>,
    /// Where it is told what is being gone on with, for whoever survives a panic on the way.
    pub at: &'a Cell<Option<Key>>,
}

impl Keeping {
    pub(super) fn touch(&mut self, owner: Owner) {
        match owner {
            Owner::Call(key) => self.calls.touch(key),
            Owner::Internal(key) => self.internals.touch(key),
            Owner::Summons(_) | Owner::Rehearsal(_) => {}
        }
    }
}

impl Switchboard {
    /// From here on [`take_changes`](Self::take_changes) tells what is to be kept over a restart.
    pub fn begin_keeping(&mut self, anchor: Anchor) {
        self.sip.keep(anchor);
        self.registrar.keep(anchor);
        self.counselors.ledger = Some(Ledger::default());
        self.keeping = Some(Keeping {
            anchor,
            calls: Ledger::default(),
            internals: Ledger::default(),
            service: Ledger::default(),
            repeat: Ledger::default(),
        });
    }

    pub(super) fn touch(&mut self, owner: Owner) {
        if let Some(keeping) = &mut self.keeping {
            keeping.touch(owner);
        }
    }

    pub(super) fn touch_service(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.service.touch(());
        }
    }

    pub(super) fn touch_repeat(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.repeat.touch(());
        }
    }

    /// What has changed since this was asked last, for the journal: all or nothing, in a single
    /// write, which is to be in its file before any output is carried out. To be asked after one
    /// `handle`, or a few, and before [`poll_output`](Self::poll_output). Sessions and calls that
    /// are gone come as [`Output::Forget`], after all other outputs: what there still was to be
    /// said in them must have been said. Nothing, unless it keeps.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let changes = self.changes().into_iter().map(|(key, value)| Change { key, value });
        let is_last = |change: &Change| match change.key {
            Key::Session(_) | Key::Call(_) => change.value.is_none(),
            // Their sessions outlive them: gone with the first word, or they would come back.
            Key::Internal(_) | Key::Phone(_) | Key::Counselor(_) | Key::Service | Key::Repeat => {
                false
            }
        };
        let (last, first): (Vec<_>, Vec<_>) = changes.partition(is_last);
        if !last.is_empty() {
            let keys = last.into_iter().map(|change| change.key).collect();
            self.out.push_back(Output::Forget(keys));
        }
        first
    }

    fn changes(&mut self) -> Vec<(Key, Option<Bytes>)> {
        let Some(keeping) = &mut self.keeping else { return Vec::new() };
        let Keeping { anchor, calls, internals, service, repeat } = keeping;
        let mut all: Vec<(Key, Option<Bytes>)> = Vec::new();
        let sessions = self.sip.take_changes();
        all.extend(sessions.into_iter().map(|(id, value)| (Key::Session(id), value)));
        let timers = &self.timers;
        let changed = calls.take(|key| {
            let clock = Clock { anchor, timers, owner: Owner::Call(*key) };
            self.calls.get(key)?.keep(&clock).map(|form| print(&form))
        });
        all.extend(changed.into_iter().map(|(key, value)| (Key::Call(key), value)));
        let changed = internals.take(|key| Some(print(&self.internals.get(key)?.keep()?)));
        all.extend(changed.into_iter().map(|(key, value)| (Key::Internal(key), value)));
        let changed = self.registrar.take_changes();
        all.extend(changed.into_iter().map(|(id, value)| (Key::Phone(id), value)));
        let changed = self.counselors.take_changes(anchor);
        all.extend(changed.into_iter().map(|(it, value)| (Key::Counselor(it), value)));
        let (today, names, refused) = (&self.today, &self.trunks.names, &self.refused);
        let changed = service.take(|()| Some(print(&keep_service(today, names, refused))));
        all.extend(changed.into_iter().map(|((), value)| (Key::Service, value)));
        let changed = repeat.take(|()| keep_repeat(&self.repeat, anchor).map(|form| print(&form)));
        all.extend(changed.into_iter().map(|((), value)| (Key::Repeat, value)));
        all
    }

    /// Goes on with what the process before has kept: to be called once, on a switchboard that was
    /// made for it. Gives back what can't be gone on with.
    pub(super) fn go_on(&mut self, now: Now, past: Past<'_>) -> Vec<Problem> {
        let Past { kept, configs, at, .. } = past;
        let mut problems = Vec::new();
        for (key, bytes) in &kept {
            at.set(Some(key.clone()));
            if let Err(why) = self.take_up(now, key, bytes) {
                problems.push(Problem { key: key.clone(), why });
            }
        }
        at.set(None);
        self.find_phones(now);
        self.look_for_fixed_phones(now);
        // Calls may ask for who is on duty.
        self.count_duty();
        for (key, bytes) in &kept {
            at.set(Some(key.clone()));
            let restored = match key {
                Key::Call(call) => self.restore_call(now, *call, bytes, configs),
                Key::Internal(internal) => self.restore_internal(now, *internal, bytes),
                Key::Service
                | Key::Repeat
                | Key::Counselor(_)
                | Key::Session(_)
                | Key::Phone(_) => Ok(()),
            };
            if let Err(why) = restored {
                problems.push(Problem { key: key.clone(), why });
            }
        }
        at.set(None);
        self.end_orphans(now);
        problems
    }

    /// Takes up what calls are built on.
    fn take_up(&mut self, now: Now, key: &Key, bytes: &Bytes) -> Result<(), Unreadable> {
        match key {
            Key::Service => self.restore_service(bytes),
            Key::Repeat => {
                let Some(keeping) = &mut self.keeping else { return Ok(()) };
                keeping.repeat.found(());
                let anchor = keeping.anchor;
                self.restore_repeat(now, &anchor, bytes)
            }
            Key::Counselor(extension) => self.restore_counselor(now, extension, bytes),
            Key::Session(id) => self.sip.restore(now.mono, *id, bytes),
            Key::Phone(id) => self.restore_phone(now, *id, bytes),
            Key::Call(_) | Key::Internal(_) => Ok(()),
        }
    }

    fn restore_service(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        if let Some(keeping) = &mut self.keeping {
            keeping.service.found(());
        }
        let form: kept::Service = read(bytes)?;
        for name in &form.names {
            self.trunks.names.enter(name);
        }
        if let Some(secret) = &form.refused {
            self.refused.restore(secret);
        }
        self.today.day = form.day.and_then(|day| day.parse().ok());
        for line in form.lines {
            let id = LineId::from(line.line.as_str());
            let outcomes = line.outcomes.into_iter().map(|(outcome, count)| (outcome.0, count));
            self.today.outcomes.insert(id.clone(), outcomes.collect());
            self.today.levels.insert(id, ServiceLevel { within: line.within, of: line.of });
        }
        Ok(())
    }

    fn restore_counselor(
        &mut self,
        now: Now,
        extension: &Extension,
        bytes: &[u8],
    ) -> Result<(), Unreadable> {
        let Some(Keeping { anchor, .. }) = &self.keeping else { return Ok(()) };
        let anchor = *anchor;
        if let Some(ledger) = &mut self.counselors.ledger {
            ledger.found(extension.clone());
        }
        let form: kept::Counselor = read(bytes)?;
        let until = self.counselors.change(&self.config, extension, |counselor| {
            counselor.restore(&form, &anchor);
            // What was due meanwhile is due now.
            counselor.wrap_up_until.map(|until| until.max(now.mono))
        });
        if let Some(until) = until.flatten() {
            self.timers.set(Timer::WrapUp(extension.clone()), until);
        }
        let rung = self.counselors.get(extension).map_or(0, |counselor| counselor.rung);
        self.rings = self.rings.max(rung);
        Ok(())
    }

    fn restore_phone(&mut self, now: Now, id: BindingId, bytes: &[u8]) -> Result<(), Unreadable> {
        if let Some(lost) = self.registrar.restore(now.mono, id, bytes)? {
            self.lost_flows.push(lost);
        }
        Ok(())
    }

    /// The phones are there; then those are gone whose connection is.
    fn find_phones(&mut self, now: Now) {
        let known = Arc::clone(&self.config);
        self.registrar.retain(|user| known.counselors.contains_key(&Extension::from(user)));
        self.on_phone_changes(now);
        for flow in std::mem::take(&mut self.lost_flows) {
            self.registrar.flow_gone(now.mono, &flow);
        }
        self.on_phone_changes(now);
    }

    fn restore_call(
        &mut self,
        now: Now,
        key: u64,
        bytes: &[u8],
        configs: Configs<'_>,
    ) -> Result<(), Unreadable> {
        let Some(Keeping { anchor, calls, .. }) = &mut self.keeping else { return Ok(()) };
        let anchor = *anchor;
        calls.found(key);
        let form: kept::Call = read(bytes)?;
        self.count_from(key)?;
        self.places = self.places.max(form.order.min(i64::MAX / 2));
        let line = LineId::from(form.line.as_str());
        let began_with = match form.config == self.config.version {
            true => None,
            false => configs(form.config).filter(|config| config.lines.contains_key(&line)),
        };
        let config = began_with.unwrap_or_else(|| Arc::clone(&self.config));
        let mut io: Io<'_> = io!(self, now, Owner::Call(key));
        match Call::restore(&mut io, &anchor, form, &config) {
            Restored::On(call, phase) => {
                self.calls.insert(key, *call);
                self.with_owner(now, Owner::Call(key), |owned, io| {
                    if let Owned::Call(call) = owned {
                        call.go_on(io, &anchor, phase);
                    }
                });
                Ok(())
            }
            Restored::Over(cdr, why) => {
                if let Some(cdr) = cdr {
                    self.tell_record(now, *cdr);
                }
                why.map_or(Ok(()), Err)
            }
        }
    }

    fn restore_internal(&mut self, now: Now, key: u64, bytes: &[u8]) -> Result<(), Unreadable> {
        let Some(Keeping { internals, .. }) = &mut self.keeping else { return Ok(()) };
        internals.found(key);
        let form: kept::Internal = read(bytes)?;
        self.count_from(key)?;
        let config = Arc::clone(&self.config);
        let mut io: Io<'_> = io!(self, now, Owner::Internal(key));
        let internal = Internal::restore(&mut io, config, form)?;
        self.internals.insert(key, internal);
        self.unsettle();
        Ok(())
    }

    /// This key is in use: the next one is another.
    fn count_from(&mut self, key: u64) -> Result<(), Unreadable> {
        let is_new = !self.calls.contains_key(&key) && !self.internals.contains_key(&key);
        if key > ID_MAX || !is_new {
            return Err(Unreadable::Without("key of its own"));
        }
        self.count = self.count.max(key);
        Ok(())
    }

    /// Sessions that belong to nobody any more are ended, as their stage asks for.
    fn end_orphans(&mut self, now: Now) {
        let orphans: Vec<SessionId> =
            self.sip.sessions().filter(|id| !self.sessions.contains_key(id)).collect();
        for id in orphans {
            self.sip.hangup(now.mono, id, None);
        }
    }
}

fn keep_service(today: &Today, names: &Names, refused: &Refused) -> kept::Service {
    let lines = today.outcomes.iter().map(|(line, outcomes)| {
        let level = today.levels.get(line).copied().unwrap_or_default();
        kept::LineToday {
            line: line.to_string(),
            outcomes: outcomes.iter().map(|(outcome, count)| (Word(*outcome), *count)).collect(),
            within: level.within,
            of: level.of,
        }
    });
    kept::Service {
        day: today.day.map(|day| day.to_string()),
        lines: lines.collect(),
        names: names.all().map(str::to_owned).collect(),
        refused: refused.keep(),
    }
}
