//! A rehearsal: the console rings an extension's phone to play a prompt to it, or to record one.
//!
//! Owns that call from its ring to its end. Nobody else is ever in it. What was recorded goes to
//! whoever asked for the rehearsal and is written nowhere; the prompts are the switchboard's
//! caller's to know.

use std::time::Duration;

use super::config::Extension;
use super::counselor::Activity;
use super::io::{CallTimer, Io, Output};
use super::leg::Leg;
use super::piece::{Finish, Piece, Rehearse, Rehearsed};
use super::ring::{Candidate, Rang, Ring};
use crate::media::{self, Command, Digit, PlayId, PortId, RecordId, Then};
use crate::sip::{self, SessionId};

/// The key that ends a recording.
const END: char = '#';
/// A prompt lasts no longer than this.
const PLAY_LIMIT: Duration = Duration::from_secs(660);

#[derive(Debug)]
enum State {
    Ringing(Ring),
    /// The prompt, or the beep.
    Playing(Box<Leg>, PlayId),
    Recording(Box<Leg>, RecordId),
    Over(Finish),
}

/// A rehearsal that goes on.
#[derive(Debug)]
pub(super) struct Rehearsal {
    order: Rehearse,
    state: State,
}

impl Rehearsal {
    /// Rings the phones for which a port is free.
    pub(super) fn start(
        io: &mut Io<'_>,
        order: Rehearse,
        candidates: Vec<Candidate>,
        limit: Duration,
    ) -> Self {
        let (ring, rang) = Ring::start(io, candidates, limit, CallTimer::Ring);
        let mut rehearsal = Self { order, state: State::Ringing(ring) };
        rehearsal.on_rang(io, rang);
        rehearsal
    }

    /// What came of it, once it is over.
    pub(super) fn finish(&self) -> Option<(u64, Finish)> {
        match self.state {
            State::Over(finish) => Some((self.order.ticket, finish)),
            State::Ringing(_) | State::Playing(..) | State::Recording(..) => None,
        }
    }

    /// Who is busy with it.
    pub(super) fn busy(&self) -> Option<(Extension, Activity)> {
        let activity = match self.state {
            State::Ringing(_) => Activity::Ringing,
            State::Playing(..) | State::Recording(..) => Activity::Talking,
            State::Over(_) => return None,
        };
        Some((self.order.extension.clone(), activity))
    }

    fn on_rang(&mut self, io: &mut Io<'_>, rang: Rang) {
        match rang {
            Rang::On => {}
            Rang::Over => self.state = State::Over(Finish::Unanswered),
            Rang::Answered(_, leg) => {
                leg.take_keys(io);
                let prompt = match &self.order.piece {
                    Piece::Play(prompt) => prompt,
                    Piece::Record { beep, .. } => beep,
                };
                let play = leg.play(io, vec![prompt.clone()], Then::Silence);
                io.set(CallTimer::Guidance, PLAY_LIMIT);
                self.state = State::Playing(leg, play);
            }
        }
    }

    pub(super) fn on_media(&mut self, io: &mut Io<'_>, event: &media::Event) {
        if let State::Ringing(ring) = &mut self.state {
            let rang = ring.on_media(io, event);
            return self.on_rang(io, rang);
        }
        match event {
            media::Event::Played { play, .. } => self.on_played(io, *play),
            media::Event::Digit { port, digit } => self.on_digit(io, *port, *digit),
            media::Event::Opened { .. }
            | media::Event::OpenFailed { .. }
            | media::Event::Heard { .. }
            | media::Event::Silent { .. }
            | media::Event::Resumed { .. }
            | media::Event::OneWay { .. }
            | media::Event::BothWays { .. }
            | media::Event::Measured { .. }
            | media::Event::Closed { .. } => {}
        }
    }

    fn on_played(&mut self, io: &mut Io<'_>, play: PlayId) {
        let State::Playing(leg, current) = &mut self.state else { return };
        if *current != play {
            return;
        }
        match self.order.piece {
            Piece::Play(_) => self.end(io, Finish::Done),
            Piece::Record { longest, .. } => {
                let port = leg.port();
                let record = io.record_id(port.shard);
                let ticket = self.order.ticket;
                io.out.push_back(Output::Rehearsed(Rehearsed::Recording { ticket, record }));
                io.media(Command::Record { record, left: port, right: port });
                io.set(CallTimer::Guidance, longest);
                let over = State::Over(Finish::Done);
                if let State::Playing(leg, _) = std::mem::replace(&mut self.state, over) {
                    self.state = State::Recording(leg, record);
                }
            }
        }
    }

    fn on_digit(&mut self, io: &mut Io<'_>, port: PortId, digit: Digit) {
        if let State::Recording(leg, _) = &self.state
            && leg.port() == port
            && digit.char() == END
        {
            self.end(io, Finish::Done);
        }
    }

    pub(super) fn on_sip(&mut self, io: &mut Io<'_>, event: sip::Event) {
        if let State::Ringing(ring) = &mut self.state {
            let rang = ring.on_sip(io, event);
            return self.on_rang(io, rang);
        }
        match event {
            sip::Event::Ended { session, .. } => self.on_ended(io, session),
            sip::Event::Offer { session, sdp } => {
                if let State::Playing(leg, _) | State::Recording(leg, _) = &mut self.state
                    && leg.is(session)
                {
                    leg.on_offer(io, sdp);
                }
            }
            sip::Event::Info { session, digit } => {
                if let State::Recording(leg, _) = &self.state
                    && leg.is(session)
                    && digit == END
                {
                    self.end(io, Finish::Done);
                }
            }
            sip::Event::Progress { .. }
            | sip::Event::Answered { .. }
            | sip::Event::Confirmed { .. }
            | sip::Event::Reoffered { .. }
            | sip::Event::Probed { .. }
            | sip::Event::Invite { .. }
            | sip::Event::Refer { .. }
            | sip::Event::Request { .. }
            | sip::Event::Response { .. } => {}
        }
    }

    fn on_ended(&mut self, io: &mut Io<'_>, session: SessionId) {
        let finish = match &mut self.state {
            State::Playing(leg, _) if leg.is(session) => {
                leg.gone(io);
                Finish::CutShort
            }
            State::Recording(leg, _) if leg.is(session) => {
                leg.gone(io);
                Finish::Done
            }
            State::Ringing(_) | State::Playing(..) | State::Recording(..) | State::Over(_) => {
                return;
            }
        };
        self.end(io, finish);
    }

    pub(super) fn on_timer(&mut self, io: &mut Io<'_>, timer: CallTimer) {
        match (&mut self.state, timer) {
            (State::Ringing(ring), CallTimer::Ring | CallTimer::SignOfLife) => {
                let rang = ring.on_timer(io, timer);
                self.on_rang(io, rang);
            }
            (State::Playing(..), CallTimer::Guidance) => self.end(io, Finish::CutShort),
            (State::Recording(..), CallTimer::Guidance) => self.end(io, Finish::Done),
            _ => {}
        }
    }

    /// Ends all of it.
    pub(super) fn end(&mut self, io: &mut Io<'_>, finish: Finish) {
        match std::mem::replace(&mut self.state, State::Over(finish)) {
            State::Ringing(mut ring) => ring.cancel(io, None),
            State::Playing(mut leg, _) => leg.hang_up_once(io),
            State::Recording(mut leg, record) => {
                io.media(Command::StopRecord { record });
                leg.hang_up_once(io);
            }
            State::Over(finish) => self.state = State::Over(finish),
        }
        io.clear(CallTimer::Guidance);
    }
}
