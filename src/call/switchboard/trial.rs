//! The test call: when one is expected, whether an INVITE is it, and that it ends in time.
//!
//! Owns the one that is expected or goes on; there is one at a time. It takes nobody's place: it
//! counts for no limit and no figure, and is not on the board.

use std::sync::Arc;
use std::time::Duration;

use super::arrivals::Arrival;
use super::{Mode, Owned, Switchboard, Timer};
use crate::call::cdr::{Outcome, Presentation};
use crate::call::deed::Denial;
use crate::call::identity;
use crate::call::trial::{LIMIT, Trial, trunk_id};
use crate::sip::message::Message;
use crate::sip::{Flow, SessionId};
use crate::time::Now;

/// How long the socket is still listened to when the time is over: for the answer to our BYE.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A test call.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) trial: Trial,
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its INVITE has not come.
    Awaited,
    /// Its INVITE has come: there is no second one.
    Came,
    /// Its time is over.
    Over,
}

impl Switchboard {
    /// Lets a test call come.
    pub(super) fn expect_trial(&mut self, now: Now, trial: &Trial) -> Result<(), Denial> {
        if !self.config.lines.contains_key(&trial.line) {
            return Err(Denial::UnknownLine);
        }
        let is_busy = self.expected.as_ref().is_some_and(|it| it.stage == Stage::Awaited);
        if is_busy || self.trials() > 0 {
            return Err(Denial::TestRunning);
        }
        if self.mode == Mode::Draining || self.calls.len() >= self.config.limits.max_calls {
            return Err(Denial::NoRoom);
        }
        self.expected = Some(Expected { trial: trial.clone(), stage: Stage::Awaited });
        self.timers.set(Timer::Trial, now.mono + LIMIT);
        Ok(())
    }

    /// Test calls that go on.
    pub(super) fn trials(&self) -> usize {
        self.calls.values().filter(|call| call.record.is_trial()).count()
    }

    /// Whether the flow is the test call's.
    pub(super) fn is_trial_flow(&self, flow: &Flow) -> bool {
        self.expected.as_ref().is_some_and(|expected| expected.trial.is_from(flow))
    }

    pub(super) fn on_trial_invite(
        &mut self,
        now: Now,
        session: SessionId,
        flow: Flow,
        request: &Message,
    ) {
        let fits = |it: &&mut Expected| {
            it.stage == Stage::Awaited && it.trial.is_from(&flow) && it.trial.is_named_by(request)
        };
        let Some(expected) = self.expected.as_mut().filter(fits) else {
            return self.sip.refuse(now.mono, session, 403, &[]);
        };
        expected.stage = Stage::Came;
        let trial = expected.trial.clone();
        let (trunk, config) = (trial.trunk(), Arc::clone(&self.config));
        let called = identity::called_number(request, &trunk);
        let is_called = |number: &String| Some(number) == called.as_ref();
        let line = config.lines.get(&trial.line);
        let line = line.filter(|line| line.numbers.iter().any(is_called));
        let arrival = Arrival {
            session,
            trunk: trunk_id(),
            line: line.map(|_| trial.line),
            presentation: Presentation::Shown,
            refused_as: self.refused.name(request),
        };
        match arrival.line {
            Some(_) => self.take_in(now, arrival, flow, request, &trunk, None),
            None => self.turn_away(now, arrival, 404, Outcome::Refused),
        }
    }

    /// The time is over: what is left of the call ends, and then nobody listens any more.
    pub(super) fn on_trial_timer(&mut self, now: Now) {
        let Some(expected) = &mut self.expected else { return };
        if expected.stage == Stage::Over {
            self.expected = None;
            return;
        }
        expected.stage = Stage::Over;
        self.timers.set(Timer::Trial, now.mono + LAST_WORDS);
        let trials = self.calls.iter().filter(|(_, call)| call.record.is_trial());
        for key in trials.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.with_owner(now, super::Owner::Call(key), |owned, io| {
                if let Owned::Call(call) = owned {
                    call.stop(io);
                }
            });
        }
    }
}
