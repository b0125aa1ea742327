//! A call's steps from phase to phase.
//!
//! Owns every change of a phase: what a stage returns as [`Next`] is carried out here. What a stage
//! makes of what happens is the stage's.

use std::time::Duration;

use super::bridge::Bridge;
use super::cdr::{EndReason, EndedBy, Outcome, Whose};
use super::config::{AnswerMode, Extension, LineId, Said, Target};
use super::consent::{Asking, Consent};
use super::guidance::{Guidance, Message};
use super::io::{CallTimer, Io};
use super::leg::{self, Leg};
use super::next::{Next, with_cx};
use super::places::Order;
use super::queue::Waiting;
use super::ring::{Candidate, Miss, Rang, Ring};
use super::trunk::{self, Arrival};
use super::{Ask, Call, Phase, outcome};

/// How long early media waits for a sign of the caller before it speaks.
pub(super) const EARLY: Duration = Duration::from_secs(2);

impl Call {
    /// Follows a stage's word.
    pub(super) fn go(&mut self, io: &mut Io<'_>, mut next: Next) {
        loop {
            next = match next {
                Next::Stay => return,
                Next::Go { say, target, outcome } => self.go_to(io, say, target, outcome),
                Next::Consented(consent) => self.consented(io, consent),
                Next::Join(extension, leg) => self.join(io, extension, *leg),
                Next::CounselorLost => self.counselor_lost(io),
                Next::CounselorLeft(ring) => self.counselor_left(io, ring),
                Next::TurnTape => {
                    self.turn_tape(io);
                    return;
                }
                Next::End { by, reason } => {
                    self.end(io, by, reason);
                    return;
                }
                Next::Fault(what) => {
                    io.step(&self.id, format!("fault: {what}"));
                    // Said once, and only to a caller who hears us: an answer would cost money.
                    if !self.caller.can_hear() || self.record.verdict == Some(Outcome::Failed) {
                        self.end(io, EndedBy::System, EndReason::Fault);
                        return;
                    }
                    Next::refuse(vec![Said::Fault], Target::Hangup, Outcome::Failed)
                }
            };
        }
    }

    /// The process ends.
    pub(super) fn stop(&mut self, io: &mut Io<'_>) {
        self.go(io, Next::End { by: EndedBy::System, reason: EndReason::Stopped });
    }

    /// The media port is open: what does the caller get?
    pub(super) fn on_arrived(&mut self, io: &mut Io<'_>) {
        let presentation = self.presentation;
        let next = match self.record.is_trial() {
            true => Next::to(Target::Node(trunk::start())),
            false => {
                let number = self.number.as_ref();
                with_cx!(self, io, |cx| trunk::arrive(cx, presentation, number))
            }
        };
        self.go(io, next);
    }

    fn go_to(
        &mut self,
        io: &mut Io<'_>,
        say: Vec<Said>,
        target: Target,
        outcome: Option<Outcome>,
    ) -> Next {
        self.hops += 1;
        if self.hops > trunk::HOPS_MAX {
            return Next::fault("the call goes in circles");
        }
        self.record.verdict = outcome.or(self.record.verdict);
        let waits_unheard = matches!(target, Target::Queue) && self.mode() == AnswerMode::Ring;
        if !waits_unheard && !matches!(target, Target::Line(_)) && !self.is_audible() {
            let parked = Next::Go { say, target, outcome };
            return self.make_audible(io, parked);
        }
        self.leave_phase(io);
        match (say.is_empty(), target) {
            (true, Target::Node(node)) => {
                self.record.enter_guidance(io.now);
                let entered = with_cx!(self, io, |cx| match Guidance::enter(cx, &node) {
                    Ok(guidance) => {
                        self.phase = Phase::Guidance(guidance);
                        Next::Stay
                    }
                    Err(next) => next,
                });
                io.step(&self.id, format!("guidance: {node}"));
                entered
            }
            (true, Target::Queue) => self.enter_queue(io),
            (true, Target::Line(line)) => {
                io.step(&self.id, format!("goes on to line {line}"));
                self.line_id = line;
                if self.record.is_trial() {
                    return Next::to(Target::Node(trunk::start()));
                }
                let presentation = self.presentation;
                with_cx!(self, io, |cx| trunk::first(cx, presentation))
            }
            (true, Target::Help) => self.message(io, &[Said::Help], Target::Hangup),
            (true, Target::Hangup) => self.message(io, &[Said::Goodbye], Target::Hangup),
            (false, Target::Help) => {
                let said: Vec<_> = say.into_iter().chain([Said::Help]).collect();
                self.message(io, &said, Target::Hangup)
            }
            (false, target) => self.message(io, &say, target),
        }
    }

    pub(super) fn message(&mut self, io: &mut Io<'_>, said: &[Said], then: Target) -> Next {
        // Of two calls that are told so, both would be known for calls of one person.
        let told = said.iter().filter(|said| **said != Said::NotTonight);
        let names: Vec<_> = told.map(|said| said.name()).collect();
        io.step(&self.id, format!("hears: {}", names.join(", ")));
        with_cx!(self, io, |cx| {
            self.phase = Phase::Message(Message::say(cx, said, then));
            Next::Stay
        })
    }

    /// Whether prompts would be heard now.
    fn is_audible(&self) -> bool {
        !matches!(self.phase, Phase::Trunk(Arrival::Opening | Arrival::Answering(_)))
            && (self.caller.is_up() || self.mode() == AnswerMode::EarlyMedia)
    }

    /// Answers (or opens early media) and goes on when the peer has acknowledged.
    fn make_audible(&mut self, io: &mut Io<'_>, parked: Next) -> Next {
        self.leave_phase(io);
        self.phase = Phase::Trunk(Arrival::Answering(Box::new(parked)));
        if self.mode() == AnswerMode::EarlyMedia {
            io.step(&self.id, "early media");
            return match self.caller.early_media(io) {
                Err(_) => Next::fault("early media failed"),
                Ok(()) if self.caller.is_proven() => self.heard_soon(io),
                Ok(()) => {
                    io.set(CallTimer::Guidance, EARLY);
                    Next::Stay
                }
            };
        }
        self.answer(io)
    }

    fn answer(&mut self, io: &mut Io<'_>) -> Next {
        if self.caller.is_up() {
            return Next::Stay;
        }
        match self.caller.answer(io) {
            Ok(()) => {
                self.record.answered(io.now);
                io.step(&self.id, "answered (200)");
                Next::Stay
            }
            Err(_) => Next::fault("no answer could be made"),
        }
    }

    /// In early media: speaks now, or as soon as the 183 has got out.
    pub(super) fn heard_soon(&mut self, io: &mut Io<'_>) -> Next {
        if self.caller.is_held_back(io) {
            io.set(CallTimer::Guidance, EARLY);
            return Next::Stay;
        }
        self.heard_now(io)
    }

    /// The caller hears us from here on: what was parked comes now.
    pub(super) fn heard_now(&mut self, io: &mut Io<'_>) -> Next {
        io.clear(CallTimer::Guidance);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Trunk(Arrival::Answering(parked)) => {
                self.hops = self.hops.saturating_sub(1);
                *parked
            }
            other @ (Phase::Trunk(Arrival::Opening)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Queue(_)
            | Phase::Ringing(..)
            | Phase::Bridge(_)
            | Phase::Ended) => {
                self.phase = other;
                Next::Stay
            }
        }
    }

    fn enter_queue(&mut self, io: &mut Io<'_>) -> Next {
        if self.record.is_trial() {
            // It has heard what there was to hear, and takes nobody's place.
            return Next::said_all();
        }
        if let Next::Go { say, target, outcome } =
            with_cx!(self, io, |cx| trunk::no_room(cx).unwrap_or(Next::Stay))
        {
            return Next::Go { say, target, outcome };
        }
        if self.line().is_some_and(|line| self.recording.consent.is_open(&line.recording))
            && self.caller.is_up()
        {
            return self.ask_consent(io);
        }
        self.order = io.next_place();
        let position = io.place(&self.line_id, self.order);
        self.record.enter_queue(io.now, position);
        io.step(&self.id, format!("queue: place {position}"));
        self.wait(io, &[Said::Connecting])
    }

    /// Tells the caller that the conversation is recorded, or asks.
    pub(super) fn ask_consent(&mut self, io: &mut Io<'_>) -> Next {
        self.record.enter_guidance(io.now);
        with_cx!(self, io, |cx| match Asking::begin(cx) {
            Ok(asking) => {
                self.phase = Phase::Consent(asking);
                Next::Stay
            }
            Err(next) => next,
        })
    }

    fn consented(&mut self, io: &mut Io<'_>, consent: Consent) -> Next {
        self.recording.consent = consent;
        let what = match consent {
            Consent::Told => "knows that the conversation is recorded",
            Consent::Agreed => "agrees to be recorded",
            Consent::Unasked | Consent::Withheld => "is not recorded: no consent",
        };
        io.step(&self.id, what);
        Next::to(Target::Queue)
    }

    fn wait(&mut self, io: &mut Io<'_>, said: &[Said]) -> Next {
        let order = self.order;
        with_cx!(self, io, |cx| {
            self.phase = Phase::Queue(Waiting::enter(cx, order, said));
            Next::Stay
        })
    }

    /// Rings these phones for this caller, who keeps waiting (and hearing) meanwhile.
    pub(super) fn offer(&mut self, io: &mut Io<'_>, candidates: Vec<Candidate>) {
        let Some(limit) = self.line().map(|line| line.queue.ring_timeout) else { return };
        let Some(mut waiting) = self.take_place() else { return };
        let (ring, rang) = Ring::start(io, candidates, limit, CallTimer::Ring);
        let extensions = ring.extensions();
        waiting.offered(&extensions);
        let names: Vec<_> = extensions.iter().map(ToString::to_string).collect();
        self.record.offers += names.len() as u32;
        io.step(
            &self.id,
            match names.is_empty() {
                true => "no media port is free to ring a counselor".to_owned(),
                false => format!("rings {}", names.join(", ")),
            },
        );
        self.phase = Phase::Ringing(waiting, ring);
        self.on_rang(io, rang);
    }

    /// The place of a caller for whom nobody is rung. The call is between two phases then.
    fn take_place(&mut self) -> Option<Waiting> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Queue(waiting) => Some(waiting),
            other @ (Phase::Trunk(_)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Ringing(..)
            | Phase::Bridge(_)
            | Phase::Ended) => {
                self.phase = other;
                None
            }
        }
    }

    pub(super) fn on_rang(&mut self, io: &mut Io<'_>, rang: Rang) {
        let has_rung = self.take_missed(io);
        match rang {
            Rang::On => {}
            Rang::Answered(extension, leg) => self.go(io, Next::Join(extension, leg)),
            Rang::Over => {
                if let Phase::Ringing(mut waiting, _) =
                    std::mem::replace(&mut self.phase, Phase::Ended)
                {
                    let next = with_cx!(self, io, |cx| {
                        // A phone that can't be reached is left alone for a while: the next one,
                        // if there is one, is rung at once.
                        if has_rung {
                            waiting.offer_failed(cx);
                        }
                        Next::Stay
                    });
                    self.phase = Phase::Queue(waiting);
                    self.go(io, next);
                }
            }
        }
    }

    /// Has those told of who were rung in vain. Whether a pause is due: a phone rang, none could be
    /// rung at all, or one that could not be reached was so before.
    pub(super) fn take_missed(&mut self, io: &mut Io<'_>) -> bool {
        let (missed, mut waiting) = match &mut self.phase {
            Phase::Ringing(waiting, ring) => (std::mem::take(&mut ring.missed), Some(waiting)),
            Phase::Bridge(bridge) => (std::mem::take(&mut bridge.missed), None),
            Phase::Trunk(_)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Queue(_)
            | Phase::Ended => return true,
        };
        let mut has_rung = missed.is_empty();
        for (extension, miss) in &missed {
            let is_again = waiting.as_mut().is_some_and(|it| !it.passes_over(extension));
            has_rung |= is_again || *miss == Miss::Unanswered;
        }
        let limit = self.line().map_or(0, |line| line.queue.auto_pause_after);
        for (extension, miss) in missed {
            let why = match miss {
                Miss::Unanswered => "did not answer",
                Miss::Unreachable => "can't take calls",
                Miss::Silent => "can't be reached",
            };
            io.step(&self.id, format!("{extension} {why}"));
            self.asks.push(Ask::Missed(extension, miss, limit));
        }
        has_rung
    }

    fn join(&mut self, io: &mut Io<'_>, extension: Extension, leg: Leg) -> Next {
        if let Next::Fault(what) = self.answer(io) {
            let mut leg = leg;
            leg.hang_up(io, None);
            return Next::Fault(what);
        }
        let supervision = self.bridge_mut().and_then(Bridge::hand_on_supervision);
        self.leave_phase(io);
        io.step(&self.id, format!("joined with {extension}"));
        self.record.join(io.now, &extension);
        self.record.takes_part(leg.port(), Whose::Counselor(extension.clone()));
        self.asks.push(Ask::Taken(extension.clone(), self.id.clone()));
        let next = with_cx!(self, io, |cx| {
            let bridge = Bridge::join(cx, extension, leg, supervision);
            self.phase = Phase::Bridge(Box::new(bridge));
            Next::Stay
        });
        self.start_recording(io);
        next
    }

    fn counselor_lost(&mut self, io: &mut Io<'_>) -> Next {
        io.step(&self.id, "counselor's phone lost: back to the head of the queue");
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if let Phase::Bridge(mut bridge) = phase {
            // Nothing was finished that notes could be taken of: no wrap-up.
            self.leave_bridge(io, &mut bridge, Duration::ZERO);
            self.asks.push(Ask::Missed(bridge.extension, Miss::Silent, 0));
        }
        self.wait_at_head(io, &[Said::CounselorLost])
    }

    /// The transfer goes on as the offer of a caller at the head of the queue.
    fn counselor_left(&mut self, io: &mut Io<'_>, ring: Ring) -> Next {
        io.step(&self.id, "counselor has hung up: the caller waits for the colleague");
        self.leave_phase(io);
        let next = self.wait_at_head(io, &[Said::Connecting]);
        if let Some(mut waiting) = self.take_place() {
            waiting.offered(&ring.extensions());
            self.phase = Phase::Ringing(waiting, ring);
        }
        next
    }

    pub(super) fn wait_at_head(&mut self, io: &mut Io<'_>, said: &[Said]) -> Next {
        self.record.enter_queue(io.now, 1);
        self.order = Order(self.order.0.min(0) - 1);
        self.wait(io, said)
    }

    /// From here on the call is another line's.
    pub(super) fn move_to(&mut self, line: LineId) {
        self.line_id = line;
    }

    /// Ends what the phase holds: rings, the counselor's leg, timers.
    fn leave_phase(&mut self, io: &mut Io<'_>) {
        io.clear(CallTimer::Guidance);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Trunk(_) | Phase::Message(_) | Phase::Ended => {}
            Phase::Guidance(_) | Phase::Consent(_) => self.record.leave_guidance(io.now),
            Phase::Queue(_) => self.leave_queue(io),
            Phase::Ringing(_, mut ring) => {
                ring.cancel(io, None);
                self.leave_queue(io);
            }
            Phase::Bridge(mut bridge) => {
                let wrap_up = self.line().map_or(Duration::ZERO, |line| line.queue.wrap_up);
                self.leave_bridge(io, &mut bridge, wrap_up);
            }
        }
    }

    fn leave_queue(&mut self, io: &mut Io<'_>) {
        self.record.leave_queue(io.now);
        let next = with_cx!(self, io, |cx| {
            Waiting::leave(cx);
            Next::Stay
        });
        debug_assert!(matches!(next, Next::Stay), "the line of a queued call is known");
    }

    fn leave_bridge(&mut self, io: &mut Io<'_>, bridge: &mut Bridge, wrap_up: Duration) {
        self.stop_recording(io);
        bridge.end(io, &self.id);
        self.record.leave_bridge(io.now);
        self.asks.push(Ask::Freed(bridge.extension.clone(), wrap_up));
    }

    /// Ends the call: every leg, every timer. The record follows when the media plane has closed.
    pub(super) fn end(&mut self, io: &mut Io<'_>, by: EndedBy, reason: EndReason) {
        if self.record.outcome().is_some() {
            return;
        }
        let outcome = self.outcome(io, reason);
        self.leave_phase(io);
        self.phase = Phase::Ended;
        for timer in [CallTimer::CallerLost, CallTimer::CallerProbe] {
            io.clear(timer);
        }
        let reason = match (self.caller.is_up() || self.caller.is_down(), reason) {
            (true, reason) => {
                let is_unusable = matches!(reason, EndReason::Rejected(_));
                self.caller.hang_up(io, is_unusable.then_some(leg::NO_AUDIO));
                reason
            }
            (false, reason) => {
                let code = outcome::refusal(outcome);
                self.caller.refuse(io, code);
                if reason == EndReason::MessageEnded { EndReason::Rejected(code) } else { reason }
            }
        };
        io.step(&self.id, format!("ended: {outcome:?} by {by:?} ({reason:?})"));
        self.record.end(io.now, outcome, by, reason);
        io.set(CallTimer::Record, Duration::from_secs(2));
    }
}
