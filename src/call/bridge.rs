//! Stage 4, the bridge: caller and counselor joined; hold, silence, tones, transfer; either side's
//! end.
//!
//! Owns the counselor's leg from its answer on. Whom a transfer may reach is the switchboard's
//! choice; how phones are rung is `ring`'s. A supervisor's part and the counselor's keys are in
//! [`watched`].

mod keeping;
mod watched;

use std::time::{Duration, Instant};

use bytes::Bytes;
pub(super) use watched::Turned;

use super::cdr::CallId;
use super::closing;
use super::config::{Extension, SILENCE};
use super::counselor::Activity;
use super::io::{CallTimer, Io};
use super::keypad::Keypad;
use super::leg::Leg;
use super::ring::{Candidate, Miss, Rang, Ring};
use super::supervision::{Hears, Party, Scene, Supervision};
use super::{Cx, Next};
use crate::media::{Keys, PortId, Then};
use crate::sip::{Cause, SessionId};

/// A counselor's call for help.
#[derive(Clone, Copy, Debug)]
struct Help {
    since: Instant,
    ring: HelpRing,
}

/// What supervisors' phones do about a call for help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HelpRing {
    /// They are to be rung.
    Wanted,
    /// They ring.
    On,
    /// They don't, or no longer.
    Over,
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

/// A caller and a counselor; while a transfer is under way, the colleagues being rung too; and a
/// supervisor, perhaps.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) extension: Extension,
    pub(super) leg: Leg,
    /// What each party hears, in the order of [`Party::ALL`].
    ears: [Hears; 3],
    pulse: Pulse,
    transfer: Option<Ring>,
    supervision: Option<Supervision>,
    /// Since when the counselor has asked for help that nobody has given.
    help: Option<Help>,
    keypad: Keypad,
    /// Joins the counselor's keys by SIP INFO with the same keys by the media plane.
    keys: Keys,
    /// Who was rung for a transfer and not reached.
    pub(super) missed: Vec<(Extension, Miss)>,
}

impl Bridge {
    /// Joins. The caller's leg may still wait for its ACK; the media plane sends nothing before.
    /// A supervisor of the conversation with the counselor before goes on with this one.
    pub(super) fn join(
        cx: &mut Cx<'_, '_>,
        extension: Extension,
        leg: Leg,
        supervision: Option<Supervision>,
    ) -> Self {
        let mut bridge = Self {
            extension,
            leg,
            ears: Default::default(),
            pulse: Pulse::Beats,
            transfer: None,
            supervision,
            help: None,
            keypad: Keypad::default(),
            keys: Keys::default(),
            missed: Vec::new(),
        };
        cx.caller.detect(cx.io, false);
        bridge.leg.take_keys(cx.io);
        bridge.go_on_watching(cx);
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
        let scene = self.scene(cx);
        for (at, party) in Party::ALL.into_iter().enumerate() {
            let hears = scene.hears(party);
            if self.ears[at] != hears {
                self.tune(cx, party, &hears);
                self.ears[at] = hears;
            }
        }
    }

    fn scene(&self, cx: &Cx<'_, '_>) -> Scene {
        let holds = |party: &Party| self.leg_of(cx.caller, *party).is_some_and(Leg::holds_us);
        Scene {
            mode: self.supervision.as_ref().and_then(Supervision::mode),
            on_hold: Party::ALL.into_iter().filter(holds).collect(),
            is_handed_on: self.transfer.is_some(),
        }
    }

    fn leg_of<'a>(&'a self, caller: &'a Leg, party: Party) -> Option<&'a Leg> {
        match party {
            Party::Caller => Some(caller),
            Party::Counselor => Some(&self.leg),
            Party::Supervisor => self.supervision.as_ref().map(|s| &s.leg),
        }
    }

    fn tune(&self, cx: &mut Cx<'_, '_>, who: Party, hears: &Hears) {
        let caller = &*cx.caller;
        let Some(leg) = self.leg_of(caller, who) else { return };
        match hears {
            Hears::Nothing => {}
            Hears::Music => {
                leg.play(cx.io, Vec::new(), Then::Loop(cx.line.queue.hold.clone()));
            }
            Hears::Voice(of) => {
                if let Some(other) = self.leg_of(caller, *of) {
                    leg.hear(cx.io, other);
                }
            }
            Hears::Mix(of) => {
                let others: Vec<_> = of.iter().filter_map(|p| self.leg_of(caller, *p)).collect();
                leg.mix(cx.io, &others);
            }
        }
    }

    pub(super) fn leg_of_port(&mut self, port: PortId) -> Option<&mut Leg> {
        if self.leg.port() == port {
            return Some(&mut self.leg);
        }
        self.transfer.as_mut().and_then(|t| t.leg_of_port(port))
    }

    /// Where the supervisor's voice comes from, while one takes part.
    pub(super) fn supervisor_port(&self) -> Option<PortId> {
        self.supervision.as_ref().map(|s| s.leg.port())
    }

    /// The legs that are joined with the caller, by their sessions.
    fn leg_of_session(&mut self, session: SessionId) -> Option<&mut Leg> {
        let supervisor = self.supervision.as_mut().map(|s| &mut s.leg);
        [Some(&mut self.leg), supervisor].into_iter().flatten().find(|leg| leg.is(session))
    }

    /// Everyone who is busy with this call: who talks with the caller, and who is rung.
    pub(super) fn extensions(&self) -> (Vec<Extension>, Vec<Extension>) {
        let talking = if self.leg.is_down() { vec![] } else { vec![self.extension.clone()] };
        let ringing = self.transfer.as_ref().map(|t| t.extensions()).unwrap_or_default();
        (talking, ringing)
    }

    /// Shows everybody who talks or is rung to `f`: the counselor, a supervisor, and whom the call
    /// is being transferred to.
    pub(super) fn each_busy(&self, mut f: impl FnMut(&Extension, Activity)) {
        let counselor = (!self.leg.is_down()).then_some(&self.extension);
        counselor.into_iter().chain(self.supervisor()).for_each(|it| f(it, Activity::Talking));
        let ringing = self.transfer.as_ref().map(|transfer| transfer.extensions());
        ringing.iter().flatten().for_each(|it| f(it, Activity::Ringing));
    }

    pub(super) fn on_offer(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        offer: Option<Bytes>,
    ) {
        if let Some(leg) = self.leg_of_session(session) {
            leg.on_offer(cx.io, offer);
            self.settle(cx);
        }
    }

    /// ACK of a supervisor who dialed, or with the answer to our offer in a re-INVITE.
    pub(super) fn on_confirmed(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        answer: Option<Bytes>,
    ) {
        let Some(leg) = self.leg_of_session(session) else { return };
        // The counselor's can't fail: something was agreed on when the phone answered.
        let confirmed = leg.on_confirmed(cx.io, answer, false);
        if self.is_supervisor(session) {
            return self.on_supervisor_confirmed(cx, confirmed);
        }
        self.settle(cx);
    }

    /// A phone answered our refresh with something else than before.
    pub(super) fn on_reoffered(&mut self, cx: &mut Cx<'_, '_>, session: SessionId, answer: &[u8]) {
        if let Some(leg) = self.leg_of_session(session) {
            leg.on_reoffered(cx.io, answer);
            self.settle(cx);
        }
    }

    /// The counselor's phone fell silent: ask whether it is there. Muted phones answer; one that
    /// holds and plays nothing has all the time that there is, as it may have to connect again. The
    /// supervisor's is asked all the time.
    pub(super) fn on_silent(&mut self, cx: &mut Cx<'_, '_>, port: PortId) {
        if self.leg.port() == port {
            self.pulse = Pulse::Asked;
            let limits = &cx.config.limits;
            let limit = match self.leg.holds_us() {
                true => limits.vanish_after.saturating_sub(SILENCE),
                false => limits.question(),
            };
            self.ask(cx.io, limit);
        }
    }

    fn ask(&self, io: &mut Io<'_>, limit: Duration) {
        if let Some(session) = self.leg.session() {
            io.sip.probe(io.now.mono, session, limit);
        }
    }

    pub(super) fn on_resumed(&mut self, port: PortId) {
        if self.leg.port() == port {
            self.pulse = Pulse::Beats;
        }
    }

    /// The phone answered, or not: gone means that the caller is told and goes to the head.
    pub(super) fn on_probed(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        alive: bool,
    ) -> Next {
        if !self.leg.is(session) {
            self.on_supervisor_probed(cx, session, alive);
            return Next::Stay;
        }
        match (self.pulse, alive) {
            (Pulse::Beats, _) => Next::Stay,
            (Pulse::Asked, true) => {
                cx.io.set(CallTimer::Probe, SILENCE);
                Next::Stay
            }
            (Pulse::Holds, true) => {
                cx.io.set(CallTimer::Probe, cx.config.limits.vanish_after);
                Next::Stay
            }
            (Pulse::Asked | Pulse::Holds, false) => {
                self.leg.hang_up(cx.io, Some("RTP;text=\"No packets\""));
                self.counselor_lost(cx)
            }
        }
    }

    /// Ask again, as long as the phone stays silent or holds.
    pub(super) fn on_probe_timer(&self, cx: &mut Cx<'_, '_>) {
        if self.pulse != Pulse::Beats {
            self.ask(cx.io, cx.config.limits.question());
        }
    }

    /// The counselor's leg, or one that is rung for a transfer, is over.
    pub(super) fn on_ended(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        cause: &Cause,
    ) -> Next {
        if self.transfer.as_ref().is_some_and(|transfer| transfer.owns(session)) {
            return self.in_transfer(cx, |ring, io| ring.on_ended(io, session, cause));
        }
        if self.is_supervisor(session) {
            self.on_supervisor_ended(cx, cause);
            return Next::Stay;
        }
        self.leg.gone(cx.io);
        match cause {
            // After REFER a phone may hang up at once; the caller stays ours.
            Cause::Bye => self.take_over(cx).unwrap_or_else(|| {
                self.transfer.take().map_or_else(Next::hung_up_by_counselor, Next::CounselorLeft)
            }),
            Cause::Cancelled
            | Cause::Refused { .. }
            | Cause::Unanswered
            | Cause::AckLost
            | Cause::PrackLost
            | Cause::Expired
            | Cause::Unreachable => self.counselor_lost(cx),
        }
    }

    /// Rings colleagues for a blind transfer.
    pub(super) fn transfer(&mut self, cx: &mut Cx<'_, '_>, candidates: Vec<Candidate>) -> Next {
        let limit = cx.line.queue.ring_timeout;
        let (ring, rang) = Ring::start(cx.io, candidates, limit, CallTimer::Transfer);
        self.transfer = Some(ring);
        self.notify(cx.io, "SIP/2.0 100 Trying", false);
        self.settle(cx);
        self.on_rang(cx, rang)
    }

    /// Whether a transfer is under way.
    pub(super) fn is_transferring(&self) -> bool {
        self.transfer.is_some()
    }

    /// Asks the phones that are rung for a transfer, where there are any, and follows their word.
    pub(super) fn in_transfer(
        &mut self,
        cx: &mut Cx<'_, '_>,
        ask: impl FnOnce(&mut Ring, &mut Io<'_>) -> Rang,
    ) -> Next {
        let Some(transfer) = &mut self.transfer else { return Next::Stay };
        let rang = ask(transfer, cx.io);
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
                self.transfer = None;
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

    /// Ends the counselor's side, and the supervisor's.
    pub(super) fn end(&mut self, io: &mut Io<'_>, id: &CallId) {
        if let Some(mut transfer) = self.transfer.take() {
            transfer.cancel(io, None);
        }
        self.end_watching(io, id);
        self.leg.hang_up(io, None);
        closing::clear(io);
        io.clear(CallTimer::Probe);
        io.clear(CallTimer::Keys);
    }
}
