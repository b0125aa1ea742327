//! What happens to a call: its sessions' events, its ports' events, its deadlines.
//!
//! Owns the routing of one call's inputs to the stage that is on. What a stage answers is carried
//! out by `Call::go` alone.

use std::time::Duration;

use bytes::Bytes;

use super::cdr::{EndReason, EndedBy};
use super::config::{DtmfMeans, SILENCE};
use super::io::{CallTimer, Io};
use super::ring::{Rang, Ring};
use super::trunk::Arrival;
use super::{Call, Cx, Leg, Next, Phase, closing, with_cx};
use crate::media::{self, Digit, Means, PortId};
use crate::sip::{self, Cause, SessionId};

/// How long it takes until we hear of a silence that is long enough.
const NOTICED_WITHIN: Duration = Duration::from_millis(200);

impl Call {
    /// An event of one of this call's sessions.
    pub(super) fn on_sip(&mut self, io: &mut Io<'_>, event: sip::Event) {
        match event {
            sip::Event::Progress { .. } | sip::Event::Answered { .. } => {
                self.in_ring(io, |ring, io| ring.on_sip(io, event));
            }
            sip::Event::Confirmed { session, sdp, early } => {
                self.on_confirmed(io, session, sdp, early);
            }
            sip::Event::Offer { session, sdp } => self.on_offer(io, session, sdp),
            sip::Event::Info { session, digit } => self.on_info(io, session, digit),
            sip::Event::Probed { session, alive } => self.on_probed(io, session, alive),
            sip::Event::Ended { session, cause } => self.on_ended(io, session, &cause),
            sip::Event::Reoffered { session, result: Ok(Some(sdp)) } => {
                self.on_reoffered(io, session, &sdp);
            }
            sip::Event::Reoffered { result: Ok(None) | Err(_), .. }
            | sip::Event::Invite { .. }
            | sip::Event::Refer { .. }
            | sip::Event::Request { .. }
            | sip::Event::Response { .. } => {}
        }
    }

    /// ACK or PRACK from the caller.
    fn on_confirmed(
        &mut self,
        io: &mut Io<'_>,
        session: SessionId,
        sdp: Option<Bytes>,
        early: bool,
    ) {
        if !self.caller.is(session) {
            return self.in_bridge(io, |bridge, cx| {
                bridge.on_confirmed(cx, session, sdp);
                Next::Stay
            });
        }
        match self.caller.on_confirmed(io, sdp, early) {
            // The answer is the peer's: nothing is at fault here.
            Err(_) => {
                io.step(&self.id, "the caller's answer has no usable audio");
                let reason = EndReason::Rejected(488);
                self.go(io, Next::End { by: EndedBy::System, reason });
            }
            // A PRACK that overtakes our 200 does not say that the caller has that.
            Ok(()) if early && self.caller.is_up() => {}
            Ok(()) if self.caller.is_proven() => {
                let next = self.heard_now(io);
                self.go(io, next);
                self.settle(io);
            }
            Ok(()) => {}
        }
    }

    fn on_offer(&mut self, io: &mut Io<'_>, session: SessionId, sdp: Option<Bytes>) {
        if self.caller.is(session) {
            self.caller.on_offer(io, sdp);
            return self.settle(io);
        }
        self.in_bridge(io, |bridge, cx| {
            bridge.on_offer(cx, session, sdp);
            Next::Stay
        });
    }

    /// The peer answered our refresh with something else than before: another address, perhaps.
    fn on_reoffered(&mut self, io: &mut Io<'_>, session: SessionId, answer: &[u8]) {
        if self.caller.is(session) {
            self.caller.on_reoffered(io, answer);
            return self.settle(io);
        }
        self.in_bridge(io, |bridge, cx| {
            bridge.on_reoffered(cx, session, answer);
            Next::Stay
        });
    }

    /// Somebody holds, or resumes: who hears what?
    fn settle(&mut self, io: &mut Io<'_>) {
        if let Phase::Consent(asking) = &self.phase {
            let next = with_cx!(self, io, |cx| asking.settle(cx));
            return self.go(io, next);
        }
        self.in_bridge(io, |bridge, cx| {
            bridge.settle(cx);
            Next::Stay
        });
    }

    fn on_info(&mut self, io: &mut Io<'_>, session: SessionId, digit: char) {
        let Some(digit) = Digit::from_char(digit) else { return };
        let by_caller = self.caller.is(session);
        if by_caller && !self.caller.place().dtmf.contains(&DtmfMeans::Info) {
            return;
        }
        if by_caller {
            self.on_digit(io, digit, Means::Info);
        }
        self.in_bridge(io, |bridge, cx| bridge.on_info(cx, session, digit));
    }

    /// A key of the caller's, by whatever means.
    fn on_digit(&mut self, io: &mut Io<'_>, digit: Digit, means: Means) {
        if !self.keys.is_press(io.now.mono, digit, means) {
            return;
        }
        let mut next = Next::Stay;
        if let Phase::Guidance(guidance) = &mut self.phase {
            next = with_cx!(self, io, |cx| guidance.on_digit(cx, digit));
        } else if let Phase::Consent(asking) = &mut self.phase {
            next = asking.on_digit(digit);
        }
        self.go(io, next);
    }

    fn on_probed(&mut self, io: &mut Io<'_>, session: SessionId, alive: bool) {
        let limits = &self.config.limits;
        if self.caller.is(session) {
            if alive {
                io.clear(CallTimer::CallerLost);
            }
            return io.set(CallTimer::CallerProbe, limits.vanish_after);
        }
        self.in_bridge(io, |bridge, cx| bridge.on_probed(cx, session, alive));
    }

    fn on_ended(&mut self, io: &mut Io<'_>, session: SessionId, cause: &Cause) {
        if self.caller.is(session) {
            self.caller.gone(io);
            let reason = match cause {
                Cause::Cancelled => EndReason::Cancelled,
                Cause::Bye => EndReason::Hangup,
                Cause::AckLost
                | Cause::PrackLost
                | Cause::Expired
                | Cause::Unreachable
                | Cause::Unanswered
                | Cause::Refused { .. } => EndReason::CallerLost,
            };
            return self.end(io, EndedBy::Caller, reason);
        }
        if let Phase::Ringing(_, ring) = &mut self.phase {
            let rang = ring.on_ended(io, session, cause);
            return self.on_rang(io, rang);
        }
        self.in_bridge(io, |bridge, cx| bridge.on_ended(cx, session, cause));
    }

    /// Asks the phones that are rung, for the queue or for a transfer, and follows their word.
    fn in_ring(&mut self, io: &mut Io<'_>, ask: impl FnOnce(&mut Ring, &mut Io<'_>) -> Rang) {
        if let Phase::Ringing(_, ring) = &mut self.phase {
            let rang = ask(ring, io);
            return self.on_rang(io, rang);
        }
        self.in_bridge(io, |bridge, cx| bridge.in_transfer(cx, ask));
    }

    /// Asks the bridge, where there is one, and follows its word.
    pub(super) fn in_bridge(
        &mut self,
        io: &mut Io<'_>,
        ask: impl FnOnce(&mut super::Bridge, &mut Cx<'_, '_>) -> Next,
    ) {
        let mut next = Next::Stay;
        if let Phase::Bridge(bridge) = &mut self.phase {
            next = with_cx!(self, io, |cx| ask(bridge, cx));
        }
        self.take_missed(io);
        self.go(io, next);
    }

    /// An event of one of this call's ports.
    pub(super) fn on_media(&mut self, io: &mut Io<'_>, event: &media::Event) {
        let event = event.clone();
        match event {
            media::Event::Opened { port } => self.on_opened(io, port),
            media::Event::OpenFailed { port } => self.on_open_failed(io, port),
            media::Event::Digit { port, digit } if port == self.caller.port() => {
                self.on_digit(io, digit, Means::Event);
            }
            media::Event::Digit { port, digit } => {
                self.in_bridge(io, |bridge, cx| bridge.on_digit(cx, port, digit, Means::Event))
            }
            media::Event::Played { play, .. } => {
                let next = match &mut self.phase {
                    Phase::Guidance(guidance) => {
                        with_cx!(self, io, |cx| guidance.on_played(cx, play))
                    }
                    Phase::Message(message) => message.on_played(play),
                    Phase::Consent(asking) => {
                        with_cx!(self, io, |cx| asking.on_played(cx, play))
                    }
                    Phase::Trunk(_)
                    | Phase::Queue(_)
                    | Phase::Ringing(..)
                    | Phase::Bridge(_)
                    | Phase::Ended => Next::Stay,
                };
                self.go(io, next);
            }
            media::Event::Silent { port } => self.on_silent(io, port),
            // The first packet of all, or after a restart: nobody need be asked.
            media::Event::Heard { port } | media::Event::Resumed { port } => {
                self.on_resumed(io, port);
            }
            media::Event::Closed { port, quality } => {
                self.record.on_closed(port, self.caller.port(), quality);
                self.on_lost_port(io, port);
            }
            media::Event::OneWay { .. }
            | media::Event::BothWays { .. }
            | media::Event::Measured { .. } => {}
        }
    }

    fn on_opened(&mut self, io: &mut Io<'_>, port: PortId) {
        if port == self.caller.port() {
            self.caller.on_opened(io);
            if matches!(self.phase, Phase::Trunk(Arrival::Opening)) {
                self.on_arrived(io);
            }
            return;
        }
        if let Some(leg) = self.phone_of_port(port) {
            leg.on_opened(io);
        }
    }

    /// The leg of a counselor's phone that speaks by this port.
    fn phone_of_port(&mut self, port: PortId) -> Option<&mut Leg> {
        match &mut self.phase {
            Phase::Ringing(_, ring) => ring.leg_of_port(port),
            Phase::Bridge(bridge) => bridge.leg_of_port(port),
            Phase::Trunk(_)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Queue(_)
            | Phase::Ended => None,
        }
    }

    /// A port is closed. What we close ourselves is no leg's any more; one that a leg still speaks
    /// by has been given up by the media plane, by a fault of ours: the leg goes on by another.
    fn on_lost_port(&mut self, io: &mut Io<'_>, port: PortId) {
        let is_spoken_by = if matches!(self.phase, Phase::Ended) {
            false
        } else if port == self.caller.port() {
            self.caller.is_up()
        } else {
            self.is_supervised_by(port) || self.phone_of_port(port).is_some()
        };
        if is_spoken_by {
            self.on_open_failed(io, port);
        }
    }

    fn is_supervised_by(&self, port: PortId) -> bool {
        matches!(&self.phase, Phase::Bridge(bridge) if bridge.supervisor_port() == Some(port))
    }

    fn on_open_failed(&mut self, io: &mut Io<'_>, port: PortId) {
        if port == self.caller.port() {
            if self.caller.on_open_failed(io).is_ok() {
                return self.move_caller(io);
            }
            if !self.caller.is_up() {
                self.caller.refuse(io, 503);
            }
            return self.go(io, Next::fault("no media port can be bound"));
        }
        if let Phase::Bridge(_) = self.phase {
            return self.in_bridge(io, |bridge, cx| bridge.on_open_failed(cx, port));
        }
        self.in_ring(io, |ring, io| ring.on_open_failed(io, port));
    }

    /// Silence never ends a call; a phone that is gone does. Ask it.
    fn on_silent(&mut self, io: &mut Io<'_>, port: PortId) {
        let limits = &self.config.limits;
        if port == self.caller.port() {
            let Some(session) = self.caller.session() else { return };
            io.sip.probe(io.now.mono, session, limits.question());
            if !io.is_set(CallTimer::CallerLost) {
                // So long it has been silent by now.
                let lasted = SILENCE + NOTICED_WITHIN;
                let left = limits.lost_caller.saturating_sub(lasted).max(limits.lost_caller / 2);
                io.set(CallTimer::CallerLost, left);
            }
            return;
        }
        self.in_bridge(io, |bridge, cx| {
            bridge.on_silent(cx, port);
            Next::Stay
        });
    }

    fn on_resumed(&mut self, io: &mut Io<'_>, port: PortId) {
        if port == self.caller.port() {
            io.clear(CallTimer::CallerLost);
            io.clear(CallTimer::CallerProbe);
        } else if let Phase::Bridge(bridge) = &mut self.phase {
            bridge.on_resumed(port);
        }
    }

    /// A deadline of this call.
    pub(super) fn on_timer(&mut self, io: &mut Io<'_>, timer: CallTimer) {
        let next = match timer {
            CallTimer::Guidance => self.on_guidance_timer(io),
            CallTimer::MaxWait
            | CallTimer::NoCounselor
            | CallTimer::Announce
            | CallTimer::Retry => self.on_queue_timer(io, timer),
            CallTimer::Ring | CallTimer::Transfer | CallTimer::SignOfLife => {
                self.in_ring(io, |ring, io| ring.on_timer(io, timer));
                Next::Stay
            }
            CallTimer::Tone(n) => {
                self.in_bridge(io, |bridge, cx| {
                    closing::sound(cx, bridge.leg.port(), n);
                    Next::Stay
                });
                Next::Stay
            }
            CallTimer::Probe => {
                self.in_bridge(io, |bridge, cx| {
                    bridge.on_probe_timer(cx);
                    Next::Stay
                });
                Next::Stay
            }
            CallTimer::CallerProbe => {
                self.on_silent(io, self.caller.port());
                Next::Stay
            }
            CallTimer::SupervisorProbe => {
                self.in_bridge(io, |bridge, cx| {
                    bridge.on_supervisor_probe_timer(cx);
                    Next::Stay
                });
                Next::Stay
            }
            CallTimer::Keys => {
                self.in_bridge(io, |bridge, cx| {
                    bridge.on_keys_timer(cx);
                    Next::Stay
                });
                Next::Stay
            }
            CallTimer::CallerLost => {
                Next::End { by: EndedBy::Caller, reason: EndReason::CallerLost }
            }
            CallTimer::Record => {
                self.record.give_up_waiting();
                Next::Stay
            }
        };
        self.go(io, next);
    }

    fn on_guidance_timer(&mut self, io: &mut Io<'_>) -> Next {
        match &mut self.phase {
            Phase::Guidance(guidance) => {
                with_cx!(self, io, |cx| guidance.on_timeout(cx))
            }
            Phase::Message(message) => message.on_timeout(),
            Phase::Consent(asking) => asking.on_timeout(),
            Phase::Trunk(Arrival::Answering(_)) => self.heard_soon(io),
            Phase::Trunk(Arrival::Opening)
            | Phase::Queue(_)
            | Phase::Ringing(..)
            | Phase::Bridge(_)
            | Phase::Ended => Next::Stay,
        }
    }

    fn on_queue_timer(&mut self, io: &mut Io<'_>, timer: CallTimer) -> Next {
        let (Phase::Queue(waiting) | Phase::Ringing(waiting, _)) = &mut self.phase else {
            return Next::Stay;
        };
        with_cx!(self, io, |cx| {
            if timer == CallTimer::MaxWait {
                return waiting.on_max_wait(cx);
            }
            if timer == CallTimer::NoCounselor {
                return waiting.on_no_counselor(cx);
            }
            if timer == CallTimer::Announce {
                waiting.on_announce(cx);
            } else {
                waiting.on_retry();
            }
            Next::Stay
        })
    }
}
