//! Stage 4, the bridge: caller and counselor joined; hold, silence, tones, transfer; either side's
//! end.
//!
//! Owns the counselor's leg from its answer on. Whom a transfer may reach is the switchboard's
//! choice; how phones are rung is `ring`'s.

use std::time::Duration;

use bytes::Bytes;

use super::closing;
use super::config::Extension;
use super::io::{CallTimer, Io};
use super::leg::Leg;
use super::ring::{Candidate, Miss, Rang, Ring};
use super::{Cx, Next};
use crate::media::{Command, Digit, PortId, Then};
use crate::sip::{Cause, SessionId};

/// What a side hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    /// Nothing yet.
    Nothing,
    /// The other.
    Voice,
    /// Music: the other holds, or a transfer is under way.
    Music,
}

/// Whether the counselor's packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulse {
    /// They do.
    Beats,
    /// They don't; the phone was asked whether it is there.
    Asked,
    /// The phone holds: that none come says nothing, and it is asked now and then.
    Holds,
}

/// A caller and a counselor; while a transfer is under way, the colleagues being rung too.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) extension: Extension,
    pub(super) leg: Leg,
    caller_hears: Hears,
    counselor_hears: Hears,
    pulse: Pulse,
    transfer: Option<Ring>,
    /// Who was rung for a transfer and not reached.
    pub(super) missed: Vec<(Extension, Miss)>,
}

impl Bridge {
    /// Joins. The caller's leg may still wait for its ACK; the media plane sends nothing before.
    pub(super) fn join(cx: &mut Cx<'_, '_>, extension: Extension, leg: Leg) -> Self {
        let mut bridge = Self {
            extension,
            leg,
            caller_hears: Hears::Nothing,
            counselor_hears: Hears::Nothing,
            pulse: Pulse::Beats,
            transfer: None,
            missed: Vec::new(),
        };
        cx.caller.detect(cx.io, false);
        bridge.settle(cx);
        closing::set(cx);
        bridge
    }

    /// Lets each side hear what its state calls for.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_, '_>) {
        match (self.pulse, self.leg.holds_us()) {
            (Pulse::Beats, true) => {
                self.pulse = Pulse::Holds;
                cx.io.set(CallTimer::Probe, cx.config.limits.lost_caller);
            }
            (Pulse::Holds, false) => self.pulse = Pulse::Beats,
            (Pulse::Beats | Pulse::Asked, false) | (Pulse::Asked | Pulse::Holds, true) => {}
        }
        let on_music = |is: bool| if is { Hears::Music } else { Hears::Voice };
        let caller = on_music(self.leg.holds_us() || self.transfer.is_some());
        let counselor = on_music(cx.caller.holds_us());
        if std::mem::replace(&mut self.caller_hears, caller) != caller {
            tune(cx.io, cx.caller, &self.leg, caller, &cx.line.queue.hold);
        }
        if std::mem::replace(&mut self.counselor_hears, counselor) != counselor {
            tune(cx.io, &self.leg, cx.caller, counselor, &cx.line.queue.hold);
        }
    }

    pub(super) fn leg_of_port(&mut self, port: PortId) -> Option<&mut Leg> {
        if self.leg.port() == port {
            return Some(&mut self.leg);
        }
        self.transfer.as_mut().and_then(|t| t.leg_of_port(port))
    }

    /// Everyone who is busy with this call.
    pub(super) fn extensions(&self) -> (Vec<Extension>, Vec<Extension>) {
        let talking = if self.leg.is_down() { vec![] } else { vec![self.extension.clone()] };
        let ringing = self.transfer.as_ref().map(|t| t.extensions()).unwrap_or_default();
        (talking, ringing)
    }

    pub(super) fn on_offer(&mut self, cx: &mut Cx<'_, '_>, offer: Option<Bytes>) {
        self.leg.on_offer(cx.io, offer);
        self.settle(cx);
    }

    /// ACK with the answer to our offer in a re-INVITE of the counselor's phone.
    pub(super) fn on_confirmed(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        answer: Option<Bytes>,
    ) {
        // Something was agreed on when the phone answered: it can't fail.
        if self.leg.is(session) && self.leg.on_confirmed(cx.io, answer, false).is_ok() {
            self.settle(cx);
        }
    }

    /// The counselor's phone answered our refresh with something else than before.
    pub(super) fn on_reoffered(&mut self, cx: &mut Cx<'_, '_>, session: SessionId, answer: &[u8]) {
        if self.leg.is(session) {
            self.leg.on_reoffered(cx.io, answer);
            self.settle(cx);
        }
    }

    /// The counselor's phone fell silent: ask whether it is there. Muted phones answer.
    pub(super) fn on_silent(&mut self, io: &mut Io<'_>, limit: Duration) {
        self.pulse = Pulse::Asked;
        self.ask(io, limit);
    }

    fn ask(&self, io: &mut Io<'_>, limit: Duration) {
        if let Some(session) = self.leg.session() {
            io.sip.probe(io.now.mono, session, limit);
        }
    }

    pub(super) fn on_resumed(&mut self) {
        self.pulse = Pulse::Beats;
    }

    /// The phone answered, or not: gone means that the caller is told and goes to the head.
    pub(super) fn on_probed(&mut self, io: &mut Io<'_>, alive: bool, again: Duration) -> Next {
        match (self.pulse, alive) {
            (Pulse::Beats, _) => Next::Stay,
            (Pulse::Asked | Pulse::Holds, true) => {
                io.set(CallTimer::Probe, again);
                Next::Stay
            }
            (Pulse::Asked | Pulse::Holds, false) => {
                self.leg.hang_up(io, Some("RTP;text=\"No packets\""));
                Next::CounselorLost
            }
        }
    }

    /// Ask again, as long as the phone stays silent or holds.
    pub(super) fn on_probe_timer(&self, io: &mut Io<'_>, limit: Duration) {
        if self.pulse != Pulse::Beats {
            self.ask(io, limit);
        }
    }

    /// The counselor's leg, or one that is rung for a transfer, is over.
    pub(super) fn on_ended(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        cause: &Cause,
    ) -> Next {
        if let Some(transfer) = &mut self.transfer
            && transfer.owns(session)
        {
            let rang = transfer.on_ended(cx.io, session, cause);
            return self.on_rang(cx, rang);
        }
        self.leg.gone(cx.io);
        match cause {
            // After REFER a phone may hang up at once; the caller stays ours.
            Cause::Bye => {
                self.transfer.take().map_or_else(Next::hung_up_by_counselor, Next::CounselorLeft)
            }
            Cause::Cancelled
            | Cause::Refused { .. }
            | Cause::Unanswered
            | Cause::AckLost
            | Cause::PrackLost
            | Cause::Expired
            | Cause::Unreachable => Next::CounselorLost,
        }
    }

    /// Rings colleagues for a blind transfer.
    pub(super) fn transfer(&mut self, cx: &mut Cx<'_, '_>, candidates: Vec<Candidate>) -> Next {
        let limit = cx.line.queue.ring_timeout;
        let ring = Ring::start(cx.io, candidates, limit, CallTimer::Transfer);
        let rang = ring.left();
        self.transfer = Some(ring);
        self.notify(cx.io, "SIP/2.0 100 Trying", false);
        self.settle(cx);
        self.on_rang(cx, rang)
    }

    /// Whether a transfer is under way.
    pub(super) fn is_transferring(&self) -> bool {
        self.transfer.is_some()
    }

    pub(super) fn on_progress(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        sdp: Option<Bytes>,
    ) -> Next {
        let Some(transfer) = &mut self.transfer else { return Next::Stay };
        let rang = transfer.on_progress(cx.io, session, sdp);
        self.on_rang(cx, rang)
    }

    pub(super) fn on_answered(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        sdp: Option<Bytes>,
    ) -> Next {
        let Some(transfer) = &mut self.transfer else { return Next::Stay };
        let rang = transfer.on_answered(cx.io, session, sdp);
        self.on_rang(cx, rang)
    }

    pub(super) fn on_open_failed(&mut self, cx: &mut Cx<'_, '_>, port: PortId) -> Next {
        let Some(transfer) = &mut self.transfer else { return Next::Stay };
        let rang = transfer.on_open_failed(cx.io, port);
        self.on_rang(cx, rang)
    }

    /// The transfer's ring has lasted long enough, or its phones gave no sign of life.
    pub(super) fn on_transfer_timer(&mut self, cx: &mut Cx<'_, '_>, timer: CallTimer) -> Next {
        let Some(transfer) = &mut self.transfer else { return Next::Stay };
        let rang = if timer == CallTimer::SignOfLife {
            transfer.on_sign_of_life(cx.io)
        } else {
            transfer.on_limit(cx.io)
        };
        self.on_rang(cx, rang)
    }

    fn on_rang(&mut self, cx: &mut Cx<'_, '_>, rang: Rang) -> Next {
        if let Some(ring) = &mut self.transfer {
            self.missed.append(&mut ring.missed);
        }
        match rang {
            Rang::On => Next::Stay,
            Rang::Answered(extension, leg) => {
                self.notify(cx.io, "SIP/2.0 200 OK", true);
                self.leg.hang_up(cx.io, None);
                self.transfer = None;
                Next::Join(extension, leg)
            }
            Rang::Over => {
                self.notify(cx.io, "SIP/2.0 480 Temporarily Unavailable", true);
                if let Some(transfer) = self.transfer.take() {
                    transfer.stop_timers(cx.io);
                }
                self.settle(cx);
                Next::Stay
            }
        }
    }

    /// Tells the phone that asked for a transfer how it goes (RFC 3515 §2.4.5).
    pub(super) fn notify(&self, io: &mut Io<'_>, sipfrag: &str, last: bool) {
        if let Some(session) = self.leg.session() {
            io.sip.notify(io.now.mono, session, sipfrag, last);
        }
    }

    /// A key by SIP INFO goes to the other side.
    pub(super) fn on_info(&self, cx: &mut Cx<'_, '_>, by_caller: bool, digit: Digit) {
        let port = if by_caller { self.leg.port() } else { cx.caller.port() };
        cx.io.media(Command::SendDigit { port, digit });
    }

    /// Ends the counselor's side.
    pub(super) fn end(&mut self, io: &mut Io<'_>) {
        if let Some(mut transfer) = self.transfer.take() {
            transfer.cancel(io, None);
        }
        self.leg.hang_up(io, None);
        closing::clear(io);
        io.clear(CallTimer::Probe);
    }
}

fn tune(io: &mut Io<'_>, who: &Leg, other: &Leg, hears: Hears, music: &crate::media::Prompt) {
    match hears {
        Hears::Nothing => {}
        Hears::Voice => who.hear(io, other),
        Hears::Music => {
            who.play(io, Vec::new(), Then::Loop(music.clone()));
        }
    }
}
