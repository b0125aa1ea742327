//! Rehearsals: who may be rung, and what came of it.
//!
//! Owns what is allowed. Ringing, playing and recording are the rehearsal's own.

use super::{Mode, Owner, Switchboard, io};
use crate::call::deed::Denial;
use crate::call::intention::Intention;
use crate::call::io::{Io, Output};
use crate::call::piece::{Asker, Finish, Rehearse, Rehearsed};
use crate::call::rehearsal::Rehearsal;
use crate::call::ring::Candidate;
use crate::time::Now;

/// Rehearsals at once.
const REHEARSALS_MAX: usize = 8;
/// What the phone shows.
const NAME: &str = "音声の確認";

impl Switchboard {
    /// Rings a phone to play or record a prompt.
    pub(super) fn rehearse(&mut self, now: Now, order: Rehearse) {
        let ticket = order.ticket;
        let begun = self
            .may_rehearse(now, &order)
            .and_then(|candidates| self.begin_rehearsal(now, order, candidates));
        if let Err(denial) = begun {
            let finish = Finish::Denied(denial);
            self.out.push_back(Output::Rehearsed(Rehearsed::Over { ticket, finish }));
        }
    }

    fn may_rehearse(&self, now: Now, order: &Rehearse) -> Result<Vec<Candidate>, Denial> {
        let extension = &order.extension;
        if !self.config.counselors.contains_key(extension) {
            return Err(Denial::UnknownExtension);
        }
        let is_full = self.rehearsals.len() >= REHEARSALS_MAX || self.mode == Mode::Draining;
        if is_full || self.activities().contains_key(extension) {
            return Err(Denial::Busy);
        }
        let from = format!("\"{NAME}\" <sip:{extension}@{}>", self.sip_config.domain);
        let candidates = self.invites(now, extension, &from, 0, None);
        if candidates.is_empty() {
            return Err(Denial::Unreachable);
        }
        let kept = self.counselors.get(extension);
        let is_on_duty =
            kept.is_some_and(|it| it.intention == Intention::Ready || it.wrap_up_until.is_some());
        match order.asker {
            Asker::Other if is_on_duty => Err(Denial::OnDuty),
            Asker::Own | Asker::Other => Ok(candidates),
        }
    }

    fn begin_rehearsal(
        &mut self,
        now: Now,
        order: Rehearse,
        candidates: Vec<Candidate>,
    ) -> Result<(), Denial> {
        let limit = self.config.supervision.ring_timeout;
        let key = self.next_key();
        let owner = Owner::Rehearsal(key);
        let mut io: Io<'_> = io!(self, now, owner);
        let rehearsal = Rehearsal::start(&mut io, order, candidates, limit);
        if rehearsal.finish().is_some() {
            self.clear_timers(owner);
            return Err(Denial::NoPort);
        }
        self.rehearsals.insert(key, rehearsal);
        Ok(())
    }

    /// Tells what came of a rehearsal that is over, and forgets it.
    pub(super) fn end_rehearsal(&mut self, key: u64) {
        let finish = self.rehearsals.get(&key).and_then(Rehearsal::finish);
        let Some((ticket, finish)) = finish else { return };
        self.rehearsals.remove(&key);
        self.clear_timers(Owner::Rehearsal(key));
        self.out.push_back(Output::Rehearsed(Rehearsed::Over { ticket, finish }));
    }
}
