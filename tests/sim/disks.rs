//! The disks of the world: the database of records and choices, the journal of live calls, and
//! times in which either takes nothing.
//!
//! Owns what waits for a disk, what a crash loses of it, and whether a second record of a call may
//! be. As the shell has it: what is gone stays in the journal for a second, a call for a moment, and
//! a record that the database has not taken stays in its place, also for the next process; changes
//! that the journal refuses are written when it takes them again; what else waits dies with the
//! process. What the journal holds besides is [`Life`](super::life::Life)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::call::cdr::{CallId, Cdr, EndReason};
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;
use koebashi::call::journal::{Change, Key};
use koebashi::call::recorded;
use koebashi::sip::message::Method;

use super::phone::PhoneId;
use super::world::World;

/// How long what is gone stays in the journal at most.
const BEAT: Duration = Duration::from_secs(1);
/// The same, of a call that is over, and how long its record is not there: another thread writes it.
const SOON: Duration = Duration::from_millis(10);

/// A time of which the next process knew nothing, because the journal was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The first change that was lost.
    pub from: Instant,
    /// The end of the process.
    pub to: Instant,
}

impl Gap {
    /// Whether this was in it.
    pub(crate) fn has(&self, at: Instant) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// The end of a process.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: Instant,
    /// The journal was older than the calls.
    is_behind: bool,
}

/// A record that waits for the database.
#[derive(Debug)]
struct Waiting {
    cdr: Cdr,
    /// The journal has it.
    is_kept: bool,
}

/// What waits for the disks, and what was lost with a process.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    /// Until when the database takes nothing.
    database: Option<Instant>,
    /// Until when the journal takes nothing.
    journal: Option<Instant>,
    /// Records that wait.
    waiting: Vec<Waiting>,
    /// Choices that wait.
    choices: BTreeMap<Extension, Intention>,
    /// Keys that are gone with the next beat, and when that is.
    gone: BTreeSet<Key>,
    beat_at: Option<Instant>,
    /// Changes that the journal did not take, and since when there are any.
    unwritten: BTreeMap<Key, Option<Bytes>>,
    unwritten_since: Option<Instant>,
    /// Which process told the record of a call last, and when.
    told: BTreeMap<CallId, (usize, Instant)>,
    deaths: Vec<Death>,
    /// When an INVITE was refused and recorded.
    refusals: Vec<Instant>,
    /// Refusals whose record waited when the process died, and was not in the journal yet.
    pub lost: BTreeSet<CallId>,
    /// Times that were lost.
    pub gaps: Vec<Gap>,
    /// Records that waited and were written.
    pub waited: usize,
    /// Records that the database had already.
    pub duplicates: usize,
    /// What is wrong.
    pub broken: Vec<String>,
}

impl Disks {
    /// When a disk works again, or takes what is due.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.database, self.journal, self.beat_at].into_iter().flatten().min()
    }

    /// One of them takes nothing.
    pub(crate) fn fails(&self) -> bool {
        self.database.is_some() || self.journal.is_some()
    }

    /// Nothing waits, and everything works.
    pub(super) fn are_well(&self) -> bool {
        self.next().is_none()
    }

    /// Records that wait for the journal hold nothing else up.
    fn beat_within(&mut self, now: Instant, span: Duration) {
        let due = now + span;
        self.beat_at = Some(self.beat_at.map_or(due, |at| at.min(due)));
    }

    /// A switchboard tells the record of a call: once, unless it was killed before the journal had
    /// forgotten the call. An INVITE that was refused may come again to the next process.
    fn note(&mut self, now: Instant, cdr: &Cdr) {
        let process = self.deaths.len();
        let is_refusal = matches!(cdr.reason, EndReason::Rejected(_)) && cdr.answered.is_none();
        if is_refusal {
            self.refusals.push(now);
        }
        let Some((before, at)) = self.told.insert(cdr.call.clone(), (process, now)) else { return };
        let may_come_again = self
            .deaths
            .get(before)
            .is_some_and(|death| death.at <= at + SOON || death.is_behind || is_refusal);
        if !may_come_again {
            self.broken.push(format!("{} has two records", cdr.call));
        }
    }

    /// All that the process had not written is lost.
    pub(super) fn die(&mut self, now: Instant) {
        let is_behind = !self.unwritten.is_empty();
        self.deaths.push(Death { at: now, is_behind });
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (kept, lost): (Vec<_>, Vec<_>) = waiting.partition(|waiting| waiting.is_kept);
        // The next process hands them in again, as it reads them.
        self.waiting.extend(kept.into_iter().map(|Waiting { cdr, .. }| {
            let cdr = recorded::restore(&recorded::keep(&cdr)).expect("what we have written");
            Waiting { cdr, is_kept: true }
        }));
        let refusals = lost.into_iter().map(|waiting| waiting.cdr);
        let refusals = refusals.filter(|cdr| cdr.answered.is_none());
        let refusals = refusals.filter(|cdr| matches!(cdr.reason, EndReason::Rejected(_)));
        self.lost.extend(refusals.map(|cdr| cdr.call));
        self.choices.clear();
        self.gone.clear();
        self.beat_at = None;
        self.unwritten.clear();
        self.gaps.extend(self.unwritten_since.take().map(|from| Gap { from, to: now }));
    }

    /// What was lost, for a failing test.
    pub(super) fn story(&self, started: Instant) -> impl Iterator<Item = String> {
        let ms = move |at: Instant| (at - started).as_millis();
        let deaths =
            self.deaths.iter().map(move |it| format!("{:>8} ms a process ends", ms(it.at)));
        let lost = move |gap: &Gap| format!("{:>8} ms to {} ms: lost", ms(gap.from), ms(gap.to));
        deaths.chain(self.gaps.iter().map(lost))
    }

    /// How many refusals may have another record: the secret that names them was lost, and the INVITE
    /// came again.
    pub(crate) fn nameless(&self) -> usize {
        self.refusals.iter().filter(|at| self.is_in_a_gap(**at)).count()
    }

    /// Whether the next process may not know that something was taken away at this moment.
    pub(crate) fn brings_back(&self, at: Instant) -> bool {
        let is_late = |gap: &Gap| gap.from <= at + BEAT && at <= gap.to;
        self.gaps.iter().any(is_late)
            || self.deaths.iter().any(|it| (at..=at + BEAT).contains(&it.at))
    }

    /// Whether the next process does not know what was at this moment.
    pub(crate) fn is_in_a_gap(&self, at: Instant) -> bool {
        self.gaps.iter().any(|gap| gap.has(at))
    }
}

impl World {
    /// The database takes nothing for so long; no fault ends another that lasts.
    pub(crate) fn fail_database(&mut self, span: Duration) {
        self.life.disks.database = self.life.disks.database.max(Some(self.now + span));
    }

    /// The journal takes nothing for so long.
    pub(crate) fn fail_journal(&mut self, span: Duration) {
        self.life.disks.journal = self.life.disks.journal.max(Some(self.now + span));
    }

    /// Disks that work again take what waits for them.
    pub(super) fn catch_up(&mut self) {
        let now = self.now;
        if self.life.disks.database.take_if(|until| *until <= now).is_some() {
            let waiting = std::mem::take(&mut self.life.disks.waiting);
            self.life.disks.waited += waiting.len();
            waiting.into_iter().for_each(|waiting| self.write(waiting.cdr));
            self.intentions.append(&mut self.life.disks.choices);
        }
        if self.life.disks.journal.take_if(|until| *until <= now).is_some() {
            self.life.disks.unwritten_since = None;
            for (key, value) in std::mem::take(&mut self.life.disks.unwritten) {
                self.put(key, value);
            }
        }
        if self.life.disks.beat_at.take_if(|at| *at <= now).is_some() {
            self.beat();
        }
    }

    /// What is gone is forgotten, and records that wait are kept.
    fn beat(&mut self) {
        for key in std::mem::take(&mut self.life.disks.gone) {
            self.put(key, None);
        }
        let disks = &mut self.life.disks;
        if disks.journal.is_none() {
            disks.waiting.iter_mut().for_each(|waiting| waiting.is_kept = true);
        } else if disks.waiting.iter().any(|waiting| !waiting.is_kept) {
            disks.beat_at = disks.journal;
        }
    }

    /// A record comes.
    pub(crate) fn on_record(&mut self, cdr: Cdr) {
        self.life.disks.note(self.now, &cdr);
        self.note_record(&cdr);
        self.note_end_of_record(&cdr);
        if self.life.disks.database.is_some() {
            self.life.disks.waiting.push(Waiting { cdr, is_kept: false });
            self.life.disks.beat_within(self.now, SOON);
        } else {
            self.write(cdr);
        }
    }

    /// As the store has it: of two records of a call the first stands.
    fn write(&mut self, cdr: Cdr) {
        let Some(known) = self.cdrs.iter().find(|known| known.call == cdr.call) else {
            return self.cdrs.push(cdr);
        };
        self.life.disks.duplicates += 1;
        if known.trunk != cdr.trunk || known.presentation != cdr.presentation {
            self.life.disks.broken.push(format!("{} is the name of two calls", cdr.call));
        }
    }

    /// A choice comes.
    pub(super) fn on_choice(&mut self, extension: Extension, intention: Intention) {
        if self.life.disks.database.is_some() {
            self.life.disks.choices.insert(extension, intention);
        } else {
            self.intentions.insert(extension, intention);
        }
    }

    /// Changes of the journal come, all of which are written or none.
    pub(super) fn keep(&mut self, changes: Vec<Change>) {
        self.life.written.0 += 1;
        for Change { key, value } in changes {
            self.life.written.1 += value.as_ref().map_or(0, Bytes::len);
            if value.is_none() {
                self.forget(vec![key]);
            } else {
                self.life.disks.gone.remove(&key);
                self.put(key, value);
            }
        }
    }

    /// These are gone from it soon.
    pub(super) fn forget(&mut self, keys: Vec<Key>) {
        let is_call = |key: &Key| matches!(key, Key::Call(_) | Key::Internal(_));
        let span = if keys.iter().any(is_call) { SOON } else { BEAT };
        self.life.disks.gone.extend(keys);
        self.life.disks.beat_within(self.now, span);
    }

    fn put(&mut self, key: Key, value: Option<Bytes>) {
        if self.life.disks.journal.is_some() {
            self.life.disks.unwritten.insert(key, value);
            self.life.disks.unwritten_since.get_or_insert(self.now);
            return;
        }
        match value {
            Some(value) => drop(self.life.kept.insert(key, value)),
            None => drop(self.life.kept.remove(&key)),
        }
    }

    /// Whether what the service last granted this phone as a registrar was lost in a crash: the
    /// phone believes in it until it registers again.
    pub(crate) fn registration_lost(&self, id: PhoneId) -> bool {
        let address = self.phones[id.0].sip;
        let mut answers = self.wire.iter().rev().filter(|sent| sent.to == address);
        let granted = answers.find(|sent| {
            let message = sent.message();
            let is_register = message.cseq().is_ok_and(|cseq| cseq.method == Method::Register);
            is_register && message.code() == Some(200)
        });
        granted.is_some_and(|sent| self.life.disks.is_in_a_gap(sent.at))
    }
}
