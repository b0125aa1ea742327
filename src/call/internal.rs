//! A call by an extension: a dialed code with its spoken confirmation, or a colleague consulted.
//!
//! Owns that call from its INVITE to its end. What a code changes is the switchboard's; nothing
//! here reaches the outside network.

use super::config::{Codes, Config, Extension, Said, SupervisionMode};
use super::counselor::Activity;
use super::intention::Intention;
use super::io::{CallTimer, Io};
use super::kept;
use super::leg::{Fault, Leg, Place};
use super::ring::{Candidate, Rang, Ring};
use crate::media::{self, Digit, PlayId, PortId, Then};
use crate::sip::{self, SessionId};

/// What a dialed code asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Ready, paused, logged out.
    Intend(Intention),
    /// The wrap-up ends now.
    EndWrapUp,
    /// The wrap-up lasts once more as long.
    ExtendWrapUp,
    /// To take part in the call of a counselor.
    Supervise(SupervisionMode, Extension),
    /// Help with the call that is on the phone's other line.
    Help,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// It is done.
    Done,
    /// What it was done for before is taken back.
    TakenBack,
    /// It does not fit now.
    Refused,
}

/// What an extension dialed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialed {
    /// A code.
    Code(Choice),
    /// A colleague.
    Colleague(Extension),
    /// Nothing that there is.
    Unknown,
}

/// What it waits for.
#[derive(Debug)]
enum State {
    /// The port, then: the code is carried out.
    Opening(Dialed, Vec<Candidate>),
    /// The ACK; then this is said.
    Confirming(Said),
    /// The end of the words.
    Saying(PlayId),
    /// A colleague's answer.
    Ringing(Ring),
    /// Either side's end.
    Joined(Extension, Box<Leg>),
    /// Nothing.
    Over,
}

/// Who dialed what.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) from: Extension,
    pub(super) dialed: Dialed,
    /// The colleague's phones.
    pub(super) candidates: Vec<Candidate>,
}

/// A call by an extension.
#[derive(Debug)]
pub(super) struct Internal {
    from: Extension,
    leg: Leg,
    state: State,
    config: std::sync::Arc<Config>,
    choice: Option<Choice>,
    /// What was dialed and can't be done, because there is no port.
    lost: Option<Choice>,
}

/// Reads what was dialed. A pause code may be followed by the digit of a reason.
pub(super) fn dialed(config: &Config, number: &str) -> Dialed {
    let Codes {
        ready,
        pause,
        end_wrap_up,
        extend_wrap_up,
        log_out,
        pause_reasons,
        listen,
        whisper,
        join,
        help,
        recording: _,
    } = &config.codes;
    let simple = [
        (ready, Choice::Intend(Intention::Ready)),
        (log_out, Choice::Intend(Intention::LoggedOut)),
        (end_wrap_up, Choice::EndWrapUp),
        (extend_wrap_up, Choice::ExtendWrapUp),
        (help, Choice::Help),
    ];
    if let Some((_, choice)) = simple.into_iter().find(|(code, _)| *code == number) {
        return Dialed::Code(choice);
    }
    if let Some(rest) = number.strip_prefix(pause.as_str()) {
        let mut digits = rest.chars();
        let reason = match (digits.next().map(Digit::from_char), digits.next()) {
            (None, None) => Some(String::new()),
            (Some(Some(digit)), None) => pause_reasons.get(&digit).cloned(),
            _ => None,
        };
        return reason
            .map_or(Dialed::Unknown, |why| Dialed::Code(Choice::Intend(Intention::Paused(why))));
    }
    let modes = [
        (listen, SupervisionMode::Listen),
        (whisper, SupervisionMode::Whisper),
        (join, SupervisionMode::Join),
    ];
    for (code, mode) in modes {
        if let Some(counselor) = number.strip_prefix(code.as_str()) {
            return Dialed::Code(Choice::Supervise(mode, counselor.into()));
        }
    }
    let extension = Extension::from(number);
    if config.counselors.contains_key(&extension) {
        return Dialed::Colleague(extension);
    }
    Dialed::Unknown
}

impl Internal {
    /// A call that an extension makes.
    pub(super) fn new(
        io: &mut Io<'_>,
        config: std::sync::Arc<Config>,
        asked: Asked,
        session: SessionId,
        offer: Option<bytes::Bytes>,
        place: Place,
    ) -> Result<Self, Fault> {
        let Asked { from, dialed, candidates } = asked;
        let mut leg = Leg::incoming(io, session, offer, place)?;
        leg.ring(io);
        io.set(CallTimer::Guidance, config.limits.code_call);
        let state = State::Opening(dialed, candidates);
        Ok(Self { from, leg, state, config, choice: None, lost: None })
    }

    /// What is kept of it, once two colleagues talk.
    pub(super) fn keep(&self) -> Option<kept::Internal> {
        let State::Joined(to, other) = &self.state else { return None };
        Some(kept::Internal {
            from: self.from.to_string(),
            leg: self.leg.keep()?,
            to: to.to_string(),
            other: other.keep()?,
        })
    }

    /// Goes on with it.
    ///
    /// # Errors
    /// What it lacks.
    pub(super) fn restore(
        io: &mut Io<'_>,
        config: std::sync::Arc<Config>,
        kept: kept::Internal,
    ) -> Result<Self, super::journal::Unreadable> {
        let mut leg = Leg::restore(io, kept.leg)?;
        let mut other = match Leg::restore(io, kept.other) {
            Ok(other) => other,
            Err(why) => {
                leg.hang_up(io, None);
                return Err(why);
            }
        };
        for leg in [&mut leg, &mut other] {
            leg.resume(io);
            leg.detect(io, true);
        }
        leg.hear(io, &other);
        other.hear(io, &leg);
        io.set(CallTimer::Probe, config.limits.lost_caller);
        let state = State::Joined(Extension::from(kept.to.as_str()), Box::new(other));
        let from = Extension::from(kept.from.as_str());
        Ok(Self { from, leg, state, config, choice: None, lost: None })
    }

    /// What was dialed and is to be done, once.
    pub(super) fn take_choice(&mut self) -> Option<(Extension, Choice)> {
        self.choice.take().map(|choice| (self.from.clone(), choice))
    }

    /// What was dialed and can't be done, because there is no port; once.
    pub(super) fn take_lost(&mut self) -> Option<(Extension, Choice)> {
        self.lost.take().map(|choice| (self.from.clone(), choice))
    }

    /// Whether a supervisor dials to take part in a call.
    pub(super) fn is_to_supervise(&self) -> bool {
        matches!(self.state, State::Opening(Dialed::Code(Choice::Supervise(..)), _))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined(..))
    }

    /// Who made it, when that is their own port and not the colleague's.
    pub(super) fn dialer_at(&self, port: PortId) -> Option<&Extension> {
        (self.leg.port() == port).then_some(&self.from)
    }

    /// Whether `from` made it, and the session is theirs.
    pub(super) fn is_by(&self, from: &Extension, session: SessionId) -> bool {
        self.from == *from && self.leg.is(session)
    }

    /// The colleague whose phone rings.
    pub(super) fn rings(&self) -> Option<Extension> {
        match &self.state {
            State::Ringing(ring) => ring.extensions().into_iter().next(),
            State::Opening(..)
            | State::Confirming(_)
            | State::Saying(_)
            | State::Joined(..)
            | State::Over => None,
        }
    }

    /// Who is busy with it.
    pub(super) fn extensions(&self) -> Vec<(Extension, Activity)> {
        let mut all = vec![(self.from.clone(), Activity::Talking)];
        match &self.state {
            State::Ringing(ring) => {
                all.extend(ring.extensions().into_iter().map(|e| (e, Activity::Ringing)));
            }
            State::Joined(extension, _) => all.push((extension.clone(), Activity::Talking)),
            State::Over => all.clear(),
            State::Opening(..) | State::Confirming(_) | State::Saying(_) => {}
        }
        all
    }

    pub(super) fn on_media(&mut self, io: &mut Io<'_>, event: &media::Event) {
        match event {
            media::Event::Opened { port } if *port == self.leg.port() => self.on_opened(io),
            media::Event::OpenFailed { port } if *port == self.leg.port() => {
                if self.leg.on_open_failed(io).is_err() {
                    self.leg.refuse(io, 503);
                    if let State::Opening(Dialed::Code(choice), _) =
                        std::mem::replace(&mut self.state, State::Over)
                    {
                        self.lost = Some(choice);
                    }
                }
            }
            media::Event::Opened { .. } | media::Event::OpenFailed { .. } => {
                self.in_ring(io, |ring, io| ring.on_media(io, event));
            }
            media::Event::Played { play, .. } => {
                if matches!(self.state, State::Saying(current) if current == *play) {
                    self.end(io);
                }
            }
            media::Event::Heard { .. }
            | media::Event::Digit { .. }
            | media::Event::Silent { .. }
            | media::Event::Resumed { .. }
            | media::Event::OneWay { .. }
            | media::Event::BothWays { .. }
            | media::Event::Measured { .. }
            | media::Event::Closed { .. } => {}
        }
    }

    fn on_opened(&mut self, io: &mut Io<'_>) {
        self.leg.on_opened(io);
        match std::mem::replace(&mut self.state, State::Over) {
            State::Opening(Dialed::Code(choice), _) => {
                // A supervisor's leg is given away; what is refused is said so by `confirm`.
                self.state = State::Confirming(said(&choice).unwrap_or(Said::CodeRefused));
                self.choice = Some(choice);
            }
            State::Opening(Dialed::Colleague(_), candidates) => {
                let limit = self.config.limits.code_call;
                let (ring, rang) = Ring::start(io, candidates, limit, CallTimer::Ring);
                self.state = State::Ringing(ring);
                self.on_rang(io, rang);
            }
            State::Opening(Dialed::Unknown, _) => {
                self.state = State::Confirming(Said::CodeRefused);
                self.answer(io);
            }
            other @ (State::Confirming(_)
            | State::Saying(_)
            | State::Ringing(_)
            | State::Joined(..)
            | State::Over) => self.state = other,
        }
    }

    /// The code was carried out, or not: say so.
    pub(super) fn confirm(&mut self, io: &mut Io<'_>, confirmed: Confirmed) {
        match confirmed {
            Confirmed::Done => {}
            Confirmed::TakenBack => self.state = State::Confirming(Said::ToneUnsupervised),
            Confirmed::Refused => self.state = State::Confirming(Said::CodeRefused),
        }
        self.answer(io);
    }

    fn answer(&mut self, io: &mut Io<'_>) {
        if self.leg.answer(io).is_err() {
            self.end(io);
        }
    }

    pub(super) fn on_sip(&mut self, io: &mut Io<'_>, event: sip::Event) {
        match event {
            sip::Event::Confirmed { session, sdp, early } if self.leg.is(session) => {
                if self.leg.on_confirmed(io, sdp, early).is_err() {
                    return self.end(io);
                }
                if let State::Confirming(said) = self.state {
                    let prompt = self.config.prompt(None, said);
                    let play = self.leg.play(io, vec![prompt], Then::Silence);
                    self.state = State::Saying(play);
                }
            }
            sip::Event::Progress { .. } | sip::Event::Answered { .. } => {
                self.in_ring(io, |ring, io| ring.on_sip(io, event));
            }
            sip::Event::Offer { session, sdp } => self.on_offer(io, session, sdp),
            sip::Event::Info { session, digit } => self.on_info(io, session, digit),
            sip::Event::Ended { session, .. } => self.on_ended(io, session, event),
            sip::Event::Probed { alive: false, .. } => self.end(io),
            sip::Event::Probed { alive: true, .. }
            | sip::Event::Confirmed { .. }
            | sip::Event::Invite { .. }
            | sip::Event::Reoffered { .. }
            | sip::Event::Refer { .. }
            | sip::Event::Request { .. }
            | sip::Event::Response { .. } => {}
        }
    }

    /// Asks the colleague's phones, while they are rung, and follows their word.
    fn in_ring(&mut self, io: &mut Io<'_>, ask: impl FnOnce(&mut Ring, &mut Io<'_>) -> Rang) {
        if let State::Ringing(ring) = &mut self.state {
            let rang = ask(ring, io);
            self.on_rang(io, rang);
        }
    }

    fn on_rang(&mut self, io: &mut Io<'_>, rang: Rang) {
        match rang {
            Rang::On => {}
            Rang::Answered(extension, leg) => {
                io.clear(CallTimer::Guidance);
                self.answer(io);
                self.leg.hear(io, &leg);
                leg.hear(io, &self.leg);
                self.state = State::Joined(extension, leg);
                io.set(CallTimer::Probe, self.config.limits.lost_caller);
            }
            Rang::Over => {
                self.leg.refuse(io, 480);
                self.state = State::Over;
            }
        }
    }

    fn on_offer(&mut self, io: &mut Io<'_>, session: SessionId, sdp: Option<bytes::Bytes>) {
        if self.leg.is(session) {
            self.leg.on_offer(io, sdp);
        } else if let State::Joined(_, leg) = &mut self.state
            && leg.is(session)
        {
            leg.on_offer(io, sdp);
        }
    }

    fn on_info(&self, io: &mut Io<'_>, session: SessionId, digit: char) {
        if let (State::Joined(_, leg), Some(digit)) = (&self.state, Digit::from_char(digit)) {
            let port = if self.leg.is(session) { leg.port() } else { self.leg.port() };
            io.media(media::Command::SendDigit { port, digit });
        }
    }

    fn on_ended(&mut self, io: &mut Io<'_>, session: SessionId, event: sip::Event) {
        if self.leg.is(session) {
            self.leg.gone(io);
            return self.end(io);
        }
        match &mut self.state {
            State::Ringing(_) => self.in_ring(io, |ring, io| ring.on_sip(io, event)),
            State::Joined(_, leg) => {
                leg.gone(io);
                self.end(io);
            }
            State::Opening(..) | State::Confirming(_) | State::Saying(_) | State::Over => {}
        }
    }

    pub(super) fn on_timer(&mut self, io: &mut Io<'_>, timer: CallTimer) {
        match (&mut self.state, timer) {
            (State::Ringing(_), CallTimer::Ring | CallTimer::SignOfLife) => {
                self.in_ring(io, |ring, io| ring.on_timer(io, timer));
            }
            (State::Joined(_, leg), CallTimer::Probe) => {
                // Two phones that died in their call would be busy for ever.
                let limits = &self.config.limits;
                for session in [self.leg.session(), leg.session()].into_iter().flatten() {
                    io.sip.probe(io.now.mono, session, limits.vanish_after);
                }
                io.set(CallTimer::Probe, limits.lost_caller);
            }
            (State::Joined(..) | State::Over, _) => {}
            (_, CallTimer::Guidance) => self.end(io),
            _ => {}
        }
    }

    /// The leg of whoever dialed goes on without us: it is in a call.
    pub(super) fn into_leg(self) -> Leg {
        self.leg
    }

    /// The media thread of the leg of whoever dialed.
    pub(super) fn shard(&self) -> u8 {
        self.leg.place().shard
    }

    /// The colleague's leg goes on without us: it is joined with the caller.
    pub(super) fn give_up_colleague(&mut self, io: &mut Io<'_>) -> Option<(Extension, Leg)> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Joined(extension, leg) => {
                self.leg.hang_up(io, None);
                Some((extension, *leg))
            }
            other @ (State::Opening(..)
            | State::Confirming(_)
            | State::Saying(_)
            | State::Ringing(_)
            | State::Over) => {
                self.state = other;
                None
            }
        }
    }

    /// Ends all of it.
    pub(super) fn end(&mut self, io: &mut Io<'_>) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Ringing(mut ring) => ring.cancel(io, None),
            State::Joined(_, mut leg) => leg.hang_up(io, None),
            State::Opening(..) | State::Confirming(_) | State::Saying(_) | State::Over => {}
        }
        if !self.leg.is_down() {
            self.leg.hang_up(io, None);
        }
        io.clear(CallTimer::Guidance);
    }
}

/// How a choice is confirmed; `None`: by the call that is heard then.
fn said(choice: &Choice) -> Option<Said> {
    Some(match choice {
        Choice::Intend(Intention::Ready) => Said::Ready,
        Choice::Intend(Intention::Paused(_)) => Said::Paused,
        Choice::Intend(Intention::LoggedOut) => Said::LoggedOut,
        Choice::EndWrapUp => Said::WrapUpEnded,
        Choice::ExtendWrapUp => Said::WrapUpExtended,
        Choice::Help => Said::HelpSent,
        Choice::Supervise(..) => return None,
    })
}
