//! What counselors choose, or somebody for them: ready, paused, logged out, the end of the time for
//! notes. By a dialed code or through the console it is the same.
//!
//! Owns what is allowed and what follows. How a code is confirmed is the dialing call's.

use std::time::Duration;

use super::{Io, Owner, Switchboard, Timer, io};
use crate::call::board::Chooser;
use crate::call::config::Extension;
use crate::call::counselor::Counselor;
use crate::call::deed::{Actor, Deed, Denial, What};
use crate::call::intention::Intention;
use crate::call::internal::{Choice, Confirmed};
use crate::call::io::Output;
use crate::time::Now;

impl Switchboard {
    /// A code was dialed: do it, and say so to whoever dialed.
    pub(super) fn on_choice(&mut self, now: Now, key: u64, extension: &Extension, choice: &Choice) {
        let who = Actor::Extension(extension.clone());
        let done = match choice {
            Choice::Intend(intention) => {
                self.intend(now, who, extension, intention.clone(), Chooser::Own)
            }
            Choice::EndWrapUp => self.cut_wrap_up(now, who, extension),
            Choice::ExtendWrapUp => self.extend_wrap_up(now, who, extension),
            Choice::Supervise(mode, counselor) => {
                match self.supervise_by_code(now, key, extension, *mode, counselor) {
                    Ok(()) => return,
                    Err(why) => Err(why),
                }
            }
            Choice::Help => {
                let turned = self.turn_help_by_code(now, extension);
                return self.confirm(now, key, turned);
            }
        };
        self.confirm(now, key, done.map_or(Confirmed::Refused, |()| Confirmed::Done));
    }

    fn confirm(&mut self, now: Now, key: u64, confirmed: Confirmed) {
        let mut io: Io<'_> = io!(self, now, Owner::Internal(key));
        if let Some(internal) = self.internals.get_mut(&key) {
            internal.confirm(&mut io, confirmed);
        }
    }

    /// A counselor is ready, paused or logged out from here on.
    pub(super) fn intend(
        &mut self,
        now: Now,
        who: Actor,
        extension: &Extension,
        intention: Intention,
        by: Chooser,
    ) -> Result<(), Denial> {
        if let Intention::Paused(why) = &intention {
            let mut known = self.config.codes.pause_reasons.values();
            if !why.is_empty() && !known.any(|reason| reason == why) {
                return Err(Denial::UnknownReason);
            }
        }
        let chosen = intention.clone();
        let changed = self.counselors.change(&self.config, extension, |counselor| {
            counselor.intend(now.mono, chosen, by);
        });
        changed.ok_or(Denial::UnknownExtension)?;
        self.unsettle();
        let is_ready = intention == Intention::Ready;
        self.keep(extension, intention, who);
        if is_ready {
            self.end_wrap_up(now, extension);
        }
        Ok(())
    }

    /// What was chosen outlives the process.
    pub(super) fn keep(&mut self, extension: &Extension, intention: Intention, who: Actor) {
        self.out.push_back(Output::Intention { extension: extension.clone(), intention, who });
    }

    /// The time for notes is over.
    pub(super) fn end_wrap_up(&mut self, now: Now, extension: &Extension) {
        self.unsettle();
        self.timers.clear(&Timer::WrapUp(extension.clone()));
        self.counselors.change(&self.config, extension, |counselor| {
            if counselor.wrap_up_until.take().is_some() {
                counselor.idle_since = now.mono;
            }
        });
    }

    /// Somebody ends the time for notes.
    pub(super) fn cut_wrap_up(
        &mut self,
        now: Now,
        who: Actor,
        extension: &Extension,
    ) -> Result<(), Denial> {
        self.must_wrap_up(extension)?;
        self.end_wrap_up(now, extension);
        self.tell_state(who, extension, What::WrapUpEnded);
        Ok(())
    }

    /// Somebody lets the time for notes last once more as long.
    pub(super) fn extend_wrap_up(
        &mut self,
        now: Now,
        who: Actor,
        extension: &Extension,
    ) -> Result<(), Denial> {
        self.must_wrap_up(extension)?;
        let more = self.wrap_up_of(extension);
        let until = self.counselors.change(&self.config, extension, |counselor| {
            let until = counselor.wrap_up_until.unwrap_or(now.mono) + more;
            *counselor.wrap_up_until.insert(until)
        });
        if let Some(until) = until {
            self.timers.set(Timer::WrapUp(extension.clone()), until);
        }
        self.unsettle();
        self.tell_state(who, extension, What::WrapUpExtended);
        Ok(())
    }

    fn must_wrap_up(&self, extension: &Extension) -> Result<(), Denial> {
        let counselor = self.counselors.get(extension).ok_or(Denial::UnknownExtension)?;
        let Counselor { wrap_up_until, .. } = counselor;
        wrap_up_until.map(drop).ok_or(Denial::NotWrappingUp)
    }

    fn tell_state(&mut self, who: Actor, extension: &Extension, what: What) {
        let counselor = Some(extension.clone());
        self.out.push_back(Output::Deed(Deed { who, call: None, counselor, what }));
    }

    /// The longest wrap-up of the counselor's lines.
    fn wrap_up_of(&self, extension: &Extension) -> Duration {
        let lines = self.config.counselors.get(extension).into_iter().flat_map(|c| &c.lines);
        let lines = lines.filter_map(|id| self.config.lines.get(id));
        lines.map(|line| line.queue.wrap_up).max().unwrap_or_default()
    }
}
