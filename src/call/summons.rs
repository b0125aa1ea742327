//! A summons: supervisors' phones that are rung so that one of them can take part in a call.
//!
//! Owns the ring and for what it is. Joining is the call's, who may be summoned the switchboard's.

use super::config::{Extension, SupervisionMode};
use super::deed::Why;
use super::io::{CallTimer, Io};
use super::leg::Leg;
use super::ring::{Candidate, Rang, Ring};
use crate::media;
use crate::sip;

/// Who rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// The console, this supervisor.
    Console(Extension),
    /// A counselor who needs help, whoever is free.
    Help,
}

/// Supervisors' phones being rung.
#[derive(Debug)]
pub(super) struct Summons {
    pub(super) by: For,
    pub(super) mode: SupervisionMode,
    /// The call, by its key.
    pub(super) call: u64,
    ring: Ring,
    outcome: Option<Outcome>,
}

/// What became of a summons.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The supervisor answered.
    Answered(Extension, Box<Leg>),
    /// Not.
    Over(Why),
}

impl Summons {
    pub(super) fn start(
        io: &mut Io<'_>,
        by: For,
        mode: SupervisionMode,
        call: u64,
        candidates: Vec<Candidate>,
        limit: std::time::Duration,
    ) -> Self {
        let (ring, rang) = Ring::start(io, candidates, limit, CallTimer::Ring);
        let mut summons = Self { by, mode, call, ring, outcome: None };
        summons.on_rang(rang);
        summons
    }

    /// Whose phones ring.
    pub(super) fn extensions(&self) -> Vec<Extension> {
        self.ring.extensions()
    }

    /// What became of it, once; then it is over.
    pub(super) fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    fn on_rang(&mut self, rang: Rang) {
        match rang {
            Rang::On => {}
            Rang::Answered(extension, leg) => {
                self.outcome = Some(Outcome::Answered(extension, leg));
            }
            Rang::Over => self.outcome = Some(Outcome::Over(Why::PhoneLost)),
        }
    }

    pub(super) fn on_media(&mut self, io: &mut Io<'_>, event: &media::Event) {
        let rang = self.ring.on_media(io, event);
        self.on_rang(rang);
    }

    pub(super) fn on_sip(&mut self, io: &mut Io<'_>, event: sip::Event) {
        let rang = self.ring.on_sip(io, event);
        self.on_rang(rang);
    }

    pub(super) fn on_timer(&mut self, io: &mut Io<'_>, timer: CallTimer) {
        let rang = self.ring.on_timer(io, timer);
        self.on_rang(rang);
    }

    /// Stops ringing.
    pub(super) fn cancel(&mut self, io: &mut Io<'_>, why: Why) {
        if self.outcome.is_none() {
            self.ring.cancel(io, None);
            self.outcome = Some(Outcome::Over(why));
        }
    }
}
