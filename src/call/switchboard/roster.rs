//! The counselors as far as they are kept, and for each line who of them can take its calls.
//!
//! Owns the index by line, so that neither a call nor a caller who waits costs a walk over all who
//! are employed. A counselor is changed by [`Roster::change`] alone, which the index follows: it
//! can't be forgotten. What they do in live calls is not kept here but read off the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;

use crate::call::config::{Config, Extension, LineId};
use crate::call::counselor::{self, Activity, Counselor};
use crate::call::intention::Intention;
use crate::call::queue::Waiting;
use crate::sip::kept::{Ledger, print};
use crate::time::{Anchor, Now};

/// Every counselor of the configuration.
pub(super) struct Roster {
    kept: BTreeMap<Extension, Counselor>,
    index: Index,
    /// What idle times are counted from.
    base: Instant,
    /// Those who may have changed since they were kept last.
    pub(super) ledger: Option<Ledger<Extension>>,
}

/// Who can take calls.
#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    lines: BTreeMap<LineId, Duty>,
    /// Those who are ready and can't be reached.
    away: BTreeSet<Extension>,
}

/// Who takes the calls of one line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Duty {
    /// Those who are ready and can be reached, whatever they do at the moment.
    there: BTreeSet<Extension>,
    /// Those of them whom a call can be given when no live one has them, first whom the line's
    /// strategy rings first.
    free: BTreeSet<((u64, usize), Extension)>,
}

impl Roster {
    pub(super) fn new(
        config: &Config,
        mut intentions: BTreeMap<Extension, Intention>,
        now: Instant,
    ) -> Self {
        let kept = config.counselors.iter().map(|(extension, c)| {
            let stored = intentions.remove(extension);
            (extension.clone(), Counselor::new(now, c.sign_in, stored))
        });
        let mut roster =
            Self { kept: kept.collect(), index: Index::default(), base: now, ledger: None };
        roster.index = roster.indexed(config);
        roster
    }

    /// Another configuration: whoever is in both stays as they are.
    pub(super) fn configure(&mut self, now: Now, config: &Config) {
        self.kept.retain(|extension, _| config.counselors.contains_key(extension));
        for (extension, c) in &config.counselors {
            let new = || Counselor::new(now.mono, c.sign_in, None);
            self.kept.entry(extension.clone()).or_insert_with(new);
        }
        self.index = self.indexed(config);
    }

    /// The index, by a walk over all.
    fn indexed(&self, config: &Config) -> Index {
        let mut index = Index::default();
        for (extension, counselor) in &self.kept {
            index.note(config, self.base, extension, counselor, true);
        }
        index
    }

    /// Whether the index says what a walk over all would.
    pub(super) fn is_true(&self, config: &Config) -> bool {
        self.index == self.indexed(config)
    }

    /// What of them has changed since they were kept last.
    pub(super) fn take_changes(&mut self, anchor: &Anchor) -> Vec<(Extension, Option<Bytes>)> {
        let Self { kept, ledger: Some(ledger), .. } = self else { return Vec::new() };
        ledger.take(|it| kept.get(it).map(|it| print(&it.keep(anchor))))
    }

    pub(super) fn get(&self, extension: &Extension) -> Option<&Counselor> {
        self.kept.get(extension)
    }

    /// Changes one of them. `config`: the one that the roster was made or configured with last, but
    /// for opening hours.
    pub(super) fn change<T>(
        &mut self,
        config: &Config,
        extension: &Extension,
        f: impl FnOnce(&mut Counselor) -> T,
    ) -> Option<T> {
        let counselor = self.kept.get_mut(extension)?;
        self.index.note(config, self.base, extension, counselor, false);
        if let Some(ledger) = &mut self.ledger {
            ledger.touch(extension.clone());
        }
        let told = f(counselor);
        self.index.note(config, self.base, extension, counselor, true);
        Some(told)
    }

    /// One of them as the board shows them, with the state that they are in and since when.
    pub(super) fn show(
        &mut self,
        now: Instant,
        extension: &Extension,
        activity: Option<Activity>,
    ) -> Option<&Counselor> {
        let counselor = self.kept.get_mut(extension)?;
        let state = counselor.state(activity);
        if counselor.shown.0 != state {
            counselor.shown = (state, now);
        }
        Some(counselor)
    }

    /// Whether they are ready, but can't be reached.
    pub(super) fn is_away(&self, extension: &Extension) -> bool {
        self.index.away.contains(extension)
    }

    /// How many of each line are worth waiting for. `talking`: those who are away and in a call
    /// all the same; they are back when it is over.
    pub(super) fn on_duty(
        &self,
        config: &Config,
        talking: &BTreeSet<Extension>,
    ) -> BTreeMap<LineId, usize> {
        let there = self.index.lines.iter().map(|(line, duty)| (line.clone(), duty.there.len()));
        let mut on_duty: BTreeMap<_, _> = there.collect();
        for extension in talking {
            for line in config.counselors.get(extension).into_iter().flat_map(|c| &c.lines) {
                *on_duty.entry(line.clone()).or_default() += 1;
            }
        }
        on_duty
    }

    /// Who is free for a caller of the line: first whoever was not rung for them in this round, and
    /// among these whom the strategy rings first.
    pub(super) fn free<'a>(
        &'a self,
        line: &LineId,
        busy: &'a BTreeMap<Extension, Activity>,
        waiting: &'a Waiting,
    ) -> impl Iterator<Item = &'a Extension> {
        let free = || self.index.lines.get(line).into_iter().flat_map(|duty| &duty.free);
        let free = move || free().map(|(_, extension)| extension);
        let free = move || free().filter(|extension| !busy.contains_key(*extension));
        let fresh = free().filter(|extension| !waiting.was_offered(extension));
        fresh.chain(free().filter(|extension| waiting.was_offered(extension)))
    }
}

impl Index {
    /// Puts one of them into the index, or takes them out as they are.
    fn note(
        &mut self,
        config: &Config,
        base: Instant,
        extension: &Extension,
        counselor: &Counselor,
        is_in: bool,
    ) {
        let Some(c) = config.counselors.get(extension) else { return };
        if !counselor.is_on_duty(|| None) {
            if counselor.is_on_duty(|| Some(Activity::Talking)) {
                put(&mut self.away, extension.clone(), is_in);
            }
            return;
        }
        for line in &c.lines {
            let duty = match self.lines.get_mut(line) {
                Some(duty) => duty,
                None => self.lines.entry(line.clone()).or_default(),
            };
            put(&mut duty.there, extension.clone(), is_in);
            let strategy = config.lines.get(line).map(|line| line.queue.strategy);
            if let Some(strategy) = strategy.filter(|_| counselor.wrap_up_until.is_none()) {
                let rank = counselor::rank(strategy, counselor, base, c.order);
                put(&mut duty.free, (rank, extension.clone()), is_in);
            }
            if duty.there.is_empty() {
                self.lines.remove(line);
            }
        }
    }
}

fn put<T: Ord>(set: &mut BTreeSet<T>, item: T, is_in: bool) {
    if is_in {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
