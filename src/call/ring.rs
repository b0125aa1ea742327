//! Ringing: counselors' phones asked at once, one of them answers or none does.
//!
//! Owns the legs and their timers until one is joined. The first answer wins; a second that
//! crosses is acknowledged and ended by the stack. Whom to ring is the switchboard's choice.

use std::time::Duration;

use bytes::Bytes;

use super::config::Extension;
use super::io::{CallTimer, Io};
use super::leg::{Leg, NO_AUDIO, Place};
use crate::media::{self, PortId};
use crate::sip::{self, Cause, Invite, SessionId};

/// What losers of a race are told (RFC 3326), so that no phone shows a missed call.
pub(super) const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";
/// A phone that says nothing at all for this long is not there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// One phone to ring.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) extension: Extension,
    pub(super) invite: Invite,
    pub(super) place: Place,
}

/// One phone being rung.
#[derive(Debug)]
struct Phone {
    extension: Extension,
    leg: Leg,
    state: Heard,
}

/// Whether the phone has said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Something,
}

/// Why a counselor was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// The phone rang (or declined) and nobody took the call.
    Unanswered,
    /// The phone says that it can't.
    Unreachable,
    /// The phone says nothing at all.
    Silent,
}

/// Phones being rung for one caller.
#[derive(Debug)]
pub(super) struct Ring {
    phones: Vec<Phone>,
    /// Who was not reached, for the switchboard; in the order in which it happened.
    pub(super) missed: Vec<(Extension, Miss)>,
}

/// What became of a ring.
#[derive(Debug)]
#[must_use = "a ring that is over must be seen to"]
pub(super) enum Rang {
    /// It goes on.
    On,
    /// Somebody answered.
    Answered(Extension, Box<Leg>),
    /// Nobody is left.
    Over,
}

impl Ring {
    /// Rings every candidate for which a port is free, and says whether there is one.
    pub(super) fn start(
        io: &mut Io<'_>,
        candidates: Vec<Candidate>,
        limit: Duration,
        timer: CallTimer,
    ) -> (Self, Rang) {
        let mut phones = Vec::new();
        for Candidate { extension, invite, place } in candidates {
            if let Ok(leg) = Leg::outgoing(io, invite, place) {
                phones.push(Phone { extension, leg, state: Heard::Nothing });
            }
        }
        io.set(timer, limit);
        io.set(CallTimer::SignOfLife, SIGN_OF_LIFE.min(limit));
        let ring = Self { phones, missed: Vec::new() };
        let rang = ring.left(io);
        (ring, rang)
    }

    /// Who is being rung; one with several phones once.
    pub(super) fn extensions(&self) -> Vec<Extension> {
        let mut all: Vec<_> = self.phones.iter().map(|phone| phone.extension.clone()).collect();
        all.dedup();
        all
    }

    pub(super) fn owns(&self, session: SessionId) -> bool {
        self.at(session).is_some()
    }

    fn at(&self, session: SessionId) -> Option<usize> {
        self.phones.iter().position(|phone| phone.leg.is(session))
    }

    pub(super) fn leg_of_port(&mut self, port: PortId) -> Option<&mut Leg> {
        self.phones.iter_mut().map(|phone| &mut phone.leg).find(|leg| leg.port() == port)
    }

    /// What the media plane says of its phones.
    pub(super) fn on_media(&mut self, io: &mut Io<'_>, event: &media::Event) -> Rang {
        match event {
            media::Event::Opened { port } => {
                if let Some(leg) = self.leg_of_port(*port) {
                    leg.on_opened(io);
                }
                Rang::On
            }
            media::Event::OpenFailed { port } => self.on_open_failed(io, *port),
            media::Event::Heard { .. }
            | media::Event::Digit { .. }
            | media::Event::Played { .. }
            | media::Event::Silent { .. }
            | media::Event::Resumed { .. }
            | media::Event::OneWay { .. }
            | media::Event::BothWays { .. }
            | media::Event::Measured { .. }
            | media::Event::Closed { .. } => Rang::On,
        }
    }

    /// What its phones say.
    pub(super) fn on_sip(&mut self, io: &mut Io<'_>, event: sip::Event) -> Rang {
        match event {
            sip::Event::Progress { session, sdp, .. } => self.on_progress(io, session, sdp),
            sip::Event::Answered { session, sdp } => self.on_answered(io, session, sdp),
            sip::Event::Ended { session, cause } => self.on_ended(io, session, &cause),
            sip::Event::Confirmed { .. }
            | sip::Event::Offer { .. }
            | sip::Event::Reoffered { .. }
            | sip::Event::Info { .. }
            | sip::Event::Probed { .. }
            | sip::Event::Invite { .. }
            | sip::Event::Refer { .. }
            | sip::Event::Request { .. }
            | sip::Event::Response { .. } => Rang::On,
        }
    }

    /// The port could not be bound, even under another number.
    pub(super) fn on_open_failed(&mut self, io: &mut Io<'_>, port: PortId) -> Rang {
        self.phones
            .retain_mut(|phone| phone.leg.port() != port || phone.leg.on_open_failed(io).is_ok());
        self.left(io)
    }

    /// A phone rings. Its early audio is not passed on; only its form is kept.
    fn on_progress(&mut self, io: &mut Io<'_>, session: SessionId, sdp: Option<Bytes>) -> Rang {
        let Some(at) = self.at(session) else { return Rang::On };
        self.phones[at].state = Heard::Something;
        if self.phones[at].leg.on_answer(io, sdp, false).is_ok() {
            return Rang::On;
        }
        self.unusable(io, at)
    }

    /// A phone was answered: it wins, unless its audio can't be used.
    fn on_answered(&mut self, io: &mut Io<'_>, session: SessionId, sdp: Option<Bytes>) -> Rang {
        let Some(at) = self.at(session) else { return Rang::On };
        if self.phones[at].leg.on_answer(io, sdp, true).is_err() {
            return self.unusable(io, at);
        }
        let phone = self.phones.remove(at);
        self.cancel(io, Some(ELSEWHERE));
        Rang::Answered(phone.extension, Box::new(phone.leg))
    }

    /// A phone's audio can't be used: it is no use to go on ringing it.
    fn unusable(&mut self, io: &mut Io<'_>, at: usize) -> Rang {
        let mut phone = self.phones.remove(at);
        phone.leg.hang_up(io, Some(NO_AUDIO));
        self.miss(phone.extension, Miss::Unanswered);
        self.left(io)
    }

    /// A phone declined, or can't be reached.
    pub(super) fn on_ended(&mut self, io: &mut Io<'_>, session: SessionId, cause: &Cause) -> Rang {
        let Some(at) = self.at(session) else { return Rang::On };
        let mut phone = self.phones.remove(at);
        phone.leg.gone(io);
        self.miss(phone.extension, miss(cause));
        self.left(io)
    }

    /// The ring has lasted long enough, or its phones gave no sign of life.
    pub(super) fn on_timer(&mut self, io: &mut Io<'_>, timer: CallTimer) -> Rang {
        if timer == CallTimer::SignOfLife { self.on_sign_of_life(io) } else { self.on_limit(io) }
    }

    /// Phones that have said nothing so far are given up.
    fn on_sign_of_life(&mut self, io: &mut Io<'_>) -> Rang {
        let (mut silent, rest) = std::mem::take(&mut self.phones)
            .into_iter()
            .partition::<Vec<_>, _>(|phone| phone.state == Heard::Nothing);
        self.phones = rest;
        for phone in &mut silent {
            phone.leg.hang_up(io, None);
            self.miss(phone.extension.clone(), Miss::Silent);
        }
        self.left(io)
    }

    /// Nobody answered in time.
    fn on_limit(&mut self, io: &mut Io<'_>) -> Rang {
        let extensions = self.extensions();
        self.cancel(io, None);
        self.missed.extend(extensions.into_iter().map(|extension| (extension, Miss::Unanswered)));
        Rang::Over
    }

    /// Stops ringing all that still ring.
    pub(super) fn cancel(&mut self, io: &mut Io<'_>, reason: Option<&str>) {
        for phone in &mut self.phones {
            phone.leg.hang_up(io, reason);
        }
        self.phones.clear();
        stop_timers(io);
    }

    /// A counselor is missed when the last of their phones is out, and once.
    fn miss(&mut self, extension: Extension, miss: Miss) {
        if !self.phones.iter().any(|phone| phone.extension == extension) {
            self.missed.push((extension, miss));
        }
    }

    /// Whether any phone still rings.
    fn left(&self, io: &mut Io<'_>) -> Rang {
        if self.phones.is_empty() {
            stop_timers(io);
            return Rang::Over;
        }
        Rang::On
    }
}

fn stop_timers(io: &mut Io<'_>) {
    for timer in [CallTimer::Ring, CallTimer::Transfer, CallTimer::SignOfLife] {
        io.clear(timer);
    }
}

/// Which refusals say that nobody took the call, and which that the phone is not there.
fn miss(cause: &Cause) -> Miss {
    match cause {
        Cause::Refused { code: 404 | 410 | 430 | 500..=599, .. } => Miss::Unreachable,
        Cause::Refused { code: 408, .. } | Cause::Unanswered | Cause::Unreachable => Miss::Silent,
        Cause::Refused { .. }
        | Cause::Cancelled
        | Cause::Bye
        | Cause::AckLost
        | Cause::PrackLost
        | Cause::Expired => Miss::Unanswered,
    }
}
