//! A call that outlives the process.
//!
//! Owns the way from a call to its kept form and back, phase by phase. What the form means is
//! [`kept`]'s.

use std::sync::Arc;

use super::bridge::Bridge;
use super::cdr::{CallId, Cdr, EndReason, EndedBy, Outcome, Whose};
use super::config::{AnswerMode, Config, Extension, LineId, NodeId, SILENCE, Said, Target};
use super::guidance::Guidance;
use super::io::{CallTimer, Clock, Io};
use super::journal::Unreadable;
use super::kept::{self, Word};
use super::leg::Leg;
use super::next::{Next, with_cx};
use super::queue::Waiting;
use super::record::Record;
use super::recording::Recording;
use super::supervision::Supervision;
use super::trunk::Arrival;
use super::{Call, Order, Phase, path};
use crate::media::Keys;
use crate::pii::Pii;
use crate::time::Anchor;

/// What becomes of a kept call.
pub(super) enum Restored {
    /// It goes on; where, is to be told by [`Call::go_on`].
    On(Box<Call>, kept::Phase),
    /// It is over: its record, and what was wrong with it.
    Over(Option<Box<Cdr>>, Option<Unreadable>),
}

impl Call {
    /// What is kept of it; `None`: nothing, it is a test call.
    pub(super) fn keep(&self, clock: &Clock<'_>) -> Option<kept::Call> {
        if self.record.is_trial() {
            return None;
        }
        Some(kept::Call {
            id: self.id.to_string(),
            config: self.config.version,
            line: self.line_id.to_string(),
            presentation: Word(self.presentation),
            record: self.record.keep(clock.anchor),
            caller: self.caller.keep(),
            phase: self.keep_phase(clock),
            consent: Word(self.recording.consent),
            paused: self.recording.is_paused(),
            order: self.order.0,
            forwards: self.forwards,
            // What may be asked for, also after a restart, is whether this caller may come again.
            number: self.number.as_ref().map(|number| number.expose().to_owned()),
        })
    }

    fn keep_phase(&self, clock: &Clock<'_>) -> kept::Phase {
        match &self.phase {
            Phase::Trunk(Arrival::Opening) => kept::Phase::Opening,
            Phase::Trunk(Arrival::Answering(parked)) => kept::Phase::Answering(park(parked)),
            Phase::Guidance(guidance) => kept::Phase::Guidance(guidance.at().to_string()),
            Phase::Message(message) => kept::Phase::Message {
                said: names(&message.said),
                then: keep_target(&message.then),
            },
            Phase::Consent(_) => kept::Phase::Consent,
            Phase::Queue(waiting) => kept::Phase::Queue(waiting.keep(clock, &[])),
            Phase::Ringing(waiting, ring) => {
                kept::Phase::Queue(waiting.keep(clock, &ring.extensions()))
            }
            Phase::Bridge(bridge) => match bridge.keep(clock.anchor) {
                Some(bridge) => kept::Phase::Bridge(Box::new(bridge)),
                None => kept::Phase::Ended,
            },
            Phase::Ended => kept::Phase::Ended,
        }
    }

    /// Goes on with a call of the process before. `config`: the one that it began with, or else the
    /// one in force.
    pub(super) fn restore(
        io: &mut Io<'_>,
        anchor: &Anchor,
        mut kept: kept::Call,
        config: &Arc<Config>,
    ) -> Restored {
        let (id, presentation) = (CallId(kept.id.as_str().into()), kept.presentation.0);
        let mut line_id = LineId::from(kept.line.as_str());
        let mut record = Record::restore(kept.record, anchor);
        if record.outcome().is_some() || record.is_trial() {
            let cdr = record.cdr(&id, Some(&line_id), presentation);
            return Restored::Over(cdr.map(Box::new), None);
        }
        let leg = kept.caller.ok_or(Unreadable::Without("caller"));
        let caller = match leg.and_then(|leg| Leg::restore(io, leg)) {
            Ok(caller) => caller,
            Err(why) => {
                record.leave_guidance(io.now);
                record.leave_queue(io.now);
                record.leave_bridge(io.now);
                let is_joined = record.was_joined();
                let outcome = if is_joined { Outcome::Answered } else { Outcome::Failed };
                record.end(io.now, outcome, EndedBy::System, EndReason::CallerLost);
                let cdr = record.cdr(&id, Some(&line_id), presentation);
                return Restored::Over(cdr.map(Box::new), Some(why));
            }
        };
        if !config.lines.contains_key(&line_id)
            && let Some((other, _)) = config.lines.first_key_value()
        {
            // Nobody knows the line any more: other numbers that help are all that we can say.
            line_id = other.clone();
            let said = names(&[Said::Help]);
            kept.phase = kept::Phase::Message { said, then: kept::Target::Hangup };
        }
        let call = Self {
            id,
            config: Arc::clone(config),
            line_id,
            caller,
            number: kept.number.map(Pii::new),
            presentation,
            phase: Phase::Ended,
            record,
            recording: Recording::restore(kept.consent.0, kept.paused),
            order: Order(kept.order),
            asks: Vec::new(),
            hops: 0,
            forwards: kept.forwards,
            keys: Keys::default(),
        };
        Restored::On(Box::new(call), kept.phase)
    }

    /// Goes on where it was, as soon as its ports are open; to be called once.
    pub(super) fn go_on(&mut self, io: &mut Io<'_>, anchor: &Anchor, phase: kept::Phase) {
        io.step(&self.id, "goes on after a restart");
        if !matches!(phase, kept::Phase::Opening) {
            self.caller.resume(io);
        }
        if self.caller.is_up() {
            // The media plane tells of silence only where it has heard something: who left while
            // nobody was there is found out by being asked.
            io.set(CallTimer::CallerProbe, SILENCE);
        }
        let next = match phase {
            kept::Phase::Opening => {
                self.phase = Phase::Trunk(Arrival::Opening);
                Next::Stay
            }
            kept::Phase::Answering(parked) => {
                self.phase = Phase::Trunk(Arrival::Answering(Box::new(unpark(parked))));
                if self.mode() == AnswerMode::EarlyMedia {
                    io.set(CallTimer::Guidance, path::EARLY);
                }
                Next::Stay
            }
            kept::Phase::Guidance(node) => self.guide_again(io, &NodeId::from(node.as_str())),
            kept::Phase::Message { said, then } => {
                self.message(io, &said_by(&said), restore_target(then))
            }
            kept::Phase::Consent => self.ask_consent(io),
            kept::Phase::Queue(waiting) => {
                let order = self.order;
                with_cx!(self, io, |cx| {
                    self.phase = Phase::Queue(Waiting::restore(cx, anchor, order, &waiting));
                    Next::Stay
                })
            }
            kept::Phase::Bridge(bridge) => self.bridge_again(io, anchor, *bridge),
            kept::Phase::Ended => Next::fault("the call had no phase"),
        };
        self.go(io, next);
    }

    fn guide_again(&mut self, io: &mut Io<'_>, node: &NodeId) -> Next {
        with_cx!(self, io, |cx| match Guidance::enter(cx, node) {
            Ok(guidance) => {
                self.phase = Phase::Guidance(guidance);
                Next::Stay
            }
            Err(next) => next,
        })
    }

    fn bridge_again(&mut self, io: &mut Io<'_>, anchor: &Anchor, kept: kept::Bridge) -> Next {
        let extension = Extension::from(kept.extension.as_str());
        let Ok(leg) = Leg::restore(io, kept.leg) else {
            self.record.leave_bridge(io.now);
            return self.wait_at_head(io, &[Said::CounselorLost]);
        };
        self.record.takes_part(leg.port(), Whose::Counselor(extension.clone()));
        let supervision = kept.supervision.and_then(|it| {
            let supervisor = Extension::from(it.extension.as_str());
            let leg = Leg::restore(io, it.leg).ok()?;
            self.record.takes_part(leg.port(), Whose::Supervisor(supervisor.clone()));
            let since = anchor.instant(it.since);
            Some(Supervision::restore(supervisor, leg, it.mode.0, since))
        });
        let help = kept.help.map(|help| (anchor.instant(help.since), help.rings));
        let next = with_cx!(self, io, |cx| {
            let bridge = Bridge::restore(cx, extension, leg, supervision, help, kept.transfer);
            self.phase = Phase::Bridge(Box::new(bridge));
            Next::Stay
        });
        self.start_recording(io);
        next
    }

    /// The caller's port could not be opened again; there is another one, of which the caller is
    /// told: what is to be heard is heard there.
    pub(super) fn move_caller(&mut self, io: &mut Io<'_>) {
        if !self.caller.is_up() {
            return;
        }
        self.caller.move_over(io);
        self.caller.resume(io);
        let next = match &mut self.phase {
            Phase::Guidance(guidance) => {
                let node = guidance.at().clone();
                self.guide_again(io, &node)
            }
            Phase::Queue(waiting) | Phase::Ringing(waiting, _) => with_cx!(self, io, |cx| {
                waiting.hold(cx);
                Next::Stay
            }),
            Phase::Bridge(bridge) => with_cx!(self, io, |cx| {
                bridge.tune_again(cx);
                Next::Stay
            }),
            // Their deadline ends what nobody hears.
            Phase::Trunk(_) | Phase::Message(_) | Phase::Consent(_) | Phase::Ended => Next::Stay,
        };
        self.go(io, next);
    }
}

fn names(said: &[Said]) -> Vec<String> {
    said.iter().map(|said| said.name().to_owned()).collect()
}

/// Words that are not known (any more) are not said.
fn said_by(names: &[String]) -> Vec<Said> {
    let known = |name: &String| Said::ALL.into_iter().find(|said| said.name() == name);
    names.iter().filter_map(known).collect()
}

fn keep_target(target: &Target) -> kept::Target {
    match target {
        Target::Node(node) => kept::Target::Node(node.to_string()),
        Target::Queue => kept::Target::Queue,
        Target::Help => kept::Target::Help,
        Target::Hangup => kept::Target::Hangup,
        Target::Line(line) => kept::Target::Line(line.to_string()),
    }
}

fn restore_target(target: kept::Target) -> Target {
    match target {
        kept::Target::Node(node) => Target::Node(NodeId::from(node.as_str())),
        kept::Target::Queue => Target::Queue,
        kept::Target::Help => Target::Help,
        kept::Target::Hangup => Target::Hangup,
        kept::Target::Line(line) => Target::Line(LineId::from(line.as_str())),
    }
}

/// What is parked is always a way to go.
fn park(next: &Next) -> kept::Parked {
    match next {
        Next::Go { say, target, outcome } => kept::Parked {
            say: names(say),
            target: keep_target(target),
            outcome: outcome.map(Word),
        },
        Next::Stay
        | Next::Consented(_)
        | Next::Join(..)
        | Next::CounselorLost
        | Next::CounselorLeft(_)
        | Next::TurnTape
        | Next::End { .. }
        | Next::Fault(_) => {
            kept::Parked { say: Vec::new(), target: kept::Target::Help, outcome: None }
        }
    }
}

fn unpark(kept: kept::Parked) -> Next {
    Next::Go {
        say: said_by(&kept.say),
        target: restore_target(kept.target),
        outcome: kept.outcome.map(|outcome| outcome.0),
    }
}
