//! A port that outlives the process.
//!
//! Owns the way from a port to its state ([`kept`]) and back, when the state is told, and that no
//! place of a protected stream is ever used twice.
//!
//! # No place twice
//!
//! SRTP encrypts a packet with a keystream that key, SSRC and index decide. Two packets under the
//! same three give each other away, and with GCM the key that proves packets authentic too. So it
//! is not enough to go on where the state says that the stream was: more was sent after the state
//! was told, and it may be an earlier one, because the last was not written before the process
//! died.
//!
//! Time keeps them apart, because it goes on over a restart. Be `next` the place that the stream
//! had come to when a state was told, at `told`:
//!
//! * who goes on from the state at a time `t` begins at `next + AHEAD + (t - told) / STEP`;
//! * whoever has told the state, or has gone on from it, sends at a time `t` only what lies before
//!   `next + AHEAD + (t + RESTART - told) / STEP`. This holds for every state so far, so that it
//!   does not matter which one is found.
//!
//! No two processes begin within [`RESTART`] of each other, so each begins behind everything that
//! went out before. A voice needs 50 places a second and the limit grows by 500; what is held back
//! is the packets of a stream whose sequence numbers run away. The gap that the peer sees is no
//! more than loss to it (RFC 3550 A.1), and its rollover counter follows, because after
//! [`AGE_MAX`] a state is too old to go on from. A port that does not go on has another SSRC by
//! chance, and so have keys of which it is not known what they have protected.
//!
//! Reports go on in the same way. A plain stream is spared the gap where it is relayed, as its
//! numbers are the other peer's with a fixed offset.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::ingress::Keypad;
use super::life::Life;
use super::lock::Lock;
use super::{Hears, Outbox, Port, pin};
use crate::media::kept::{self, State};
use crate::media::srtp::{Place, Progress};
use crate::media::timeline::{Numbers, Offset, Relay, TICK, Timeline};
use crate::media::{Digit, Kept, rtcp, span};
use crate::time::Anchor;

/// How often a state is told though nothing is new.
const EVERY: Duration = Duration::from_secs(1);
/// Ticks in that time, over which the ports are spread.
const TICKS: u32 = 50;
/// Places that may be used at once after a state was told. Where a stream is relayed, loss leaves
/// that many out.
const AHEAD: u64 = 128;
/// Nanoseconds that bring one place more.
const STEP: u64 = 2_000_000;
/// No process takes so little time from its beginning to that of the next.
const RESTART: Duration = Duration::from_millis(20);
/// A state older than this is not gone on from: nobody is there any more, and with a greater gap
/// the peer's rollover counter would not follow.
const AGE_MAX: Duration = Duration::from_secs(30);
/// The next packet is due no later than this after the state was told.
const DUE_MAX: Duration = Duration::from_secs(1);
/// No count of a port is as high.
const COUNT_MAX: u64 = 1 << 47;
/// The last index of SRTCP.
const REPORTS_MAX: u64 = 1 << 31;

/// What is known about telling.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// `None`: nothing is kept.
    anchor: Option<Anchor>,
    next: Option<Instant>,
    face: Option<Face>,
    pace: Option<Pace>,
    /// What was relayed in the process before, until it is known what is heard.
    past: Option<Past>,
}

/// What must not be lost: when it changes the state is told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Face {
    ssrc: u32,
    source: Option<SocketAddr>,
    voice: Option<u32>,
    /// Of what is relayed.
    offset: Option<Offset>,
    /// Rollover counters, and whose.
    sent: Option<u64>,
    received: Option<(u32, u64)>,
    /// Keys that have been told.
    press: Option<(u32, u32)>,
    tone: Option<Digit>,
}

/// How far the stream may go.
#[derive(Clone, Copy, Debug)]
struct Pace {
    ssrc: u32,
    /// The least of `next - told / STEP` of all states.
    floor: i64,
    /// Before this place no look at the clock is needed.
    sure: u64,
}

impl Pace {
    fn new(line: &kept::Line, told: u64) -> Self {
        Self { ssrc: line.ssrc, floor: line.next as i64 - (told / STEP) as i64, sure: 0 }
    }

    /// The first place that must not be used at the time.
    fn limit(&self, nanos: u64) -> u64 {
        let nanos = nanos + RESTART.as_nanos() as u64;
        (self.floor + AHEAD as i64).saturating_add_unsigned(nanos / STEP).max(0).cast_unsigned()
    }
}

#[derive(Debug)]
struct Past {
    relay: kept::Carried,
    numbers: Numbers,
    /// The sequence number at which the stream goes on.
    first: u16,
}

impl Port {
    /// Tells what a process that comes after this one needs to go on, when it is time.
    pub(in crate::media) fn keep(&mut self, at: Instant, anchor: &Anchor, out: &mut Outbox) {
        // Who has sent nothing and heard nobody begins anew as well.
        let has_begun = self.figures.sent > 0 || self.lock.source().is_some();
        if self.peer.is_none() || !has_begun {
            return;
        }
        let face = Some(self.face());
        let is_time = self.keeper.next.is_some_and(|next| at >= next);
        if !is_time && face == self.keeper.face {
            return;
        }
        let spread = TICK * (1 + self.id.n % TICKS);
        self.keeper.next = Some(at + if is_time { EVERY } else { spread });
        self.keeper.face = face;
        let state = self.state(at, anchor);
        let mut pace = Pace::new(&state.line, state.told);
        if let Some(before) = self.keeper.pace.filter(|before| before.ssrc == pace.ssrc) {
            pace.floor = pace.floor.min(before.floor);
        }
        self.keeper.anchor = Some(*anchor);
        self.keeper.pace = Some(pace);
        out.kept.push_back(Kept { port: self.id, state: state.print().into() });
    }

    fn face(&self) -> Face {
        let received = self.guard.srtp().and_then(|srtp| srtp.received());
        Face {
            ssrc: self.line.ssrc(),
            source: self.lock.source(),
            voice: self.pin.ssrc(),
            offset: self.relay_kept().and_then(Relay::offset),
            sent: self.sent().map(|index| index >> 16),
            received: received.map(|place| (place.ssrc, place.index >> 16)),
            press: self.keypad.press(),
            tone: self.keypad.tone(),
        }
    }

    /// The relay, where its offsets can be kept: what is transcoded begins anew.
    fn relay_kept(&self) -> Option<&Relay> {
        match &self.hears {
            Hears::Port { relay, .. } if self.crossing.is_none() => Some(relay),
            Hears::Port { .. } | Hears::Silence | Hears::Play { .. } | Hears::Mix(_) => None,
        }
    }

    /// The newest index of the protected stream that goes out.
    fn sent(&self) -> Option<u64> {
        let sent = self.guard.srtp()?.sent()?;
        (sent.ssrc == self.line.ssrc()).then_some(sent.index)
    }

    /// The place of the next packet: without protection nobody counts rollovers.
    fn next_place(&self) -> u64 {
        let next = self.line.next();
        let Some(newest) = self.sent() else { return next.into() };
        let step = next.wrapping_sub(newest as u16).cast_signed();
        newest + u64::from(step.max(1).unsigned_abs())
    }

    fn state(&self, at: Instant, anchor: &Anchor) -> State {
        let figures = &self.figures;
        State {
            told: anchor.nanos(at),
            line: self.line.keep(self.next_place(), anchor),
            relay: self.relay_kept().and_then(Relay::keep),
            secure: self.guard.srtp().map(|srtp| secure(self.sent().is_some(), srtp.progress())),
            source: self.lock.keep(self.rtcp_source, anchor),
            pin: self.pin.keep(anchor),
            units: self.units.keep(),
            keys: self.keypad.keep(anchor),
            reports: self.reports.keep(figures.sent, figures.octets, anchor),
            life: self.life.keep(),
        }
    }

    /// Goes on from a state, before the port knows its peer. Nothing happens when the state is too
    /// old, or can't be one.
    pub(in crate::media) fn resume(&mut self, now: Instant, anchor: &Anchor, state: &State) {
        let nanos = anchor.nanos(now);
        let is_fresh =
            (state.told..=state.told.saturating_add(AGE_MAX.as_nanos() as u64)).contains(&nanos);
        if self.peer.is_some() || !is_fresh || !is_sane(state) {
            return;
        }
        let gap = AHEAD + nanos / STEP - state.told / STEP;
        let first = state.line.next + gap;
        self.line = Timeline::resumed(&state.line, first, anchor);
        let progress = state.secure.as_ref().map(|secure| Progress {
            sent: secure.has_sent.then_some(Place { ssrc: state.line.ssrc, index: first - 1 }),
            sent_rtcp: secure.sent_rtcp + gap,
            received: secure.received.map(place),
            received_rtcp: secure.received_rtcp.map(place),
            earlier: secure.earlier.iter().copied().map(place).collect(),
            earlier_rtcp: secure.earlier_rtcp.iter().copied().map(place).collect(),
        });
        self.guard = Guard::resumed(progress);
        self.lock = Lock::resumed(&state.source, anchor);
        self.rtcp_source = state.source.rtcp;
        self.pin = pin::Pin::resumed(now, &state.pin, anchor);
        self.units = span::Units::resumed(&state.units);
        self.keypad = Keypad::resumed(&state.keys, anchor);
        self.reports = rtcp::Reports::resumed(&state.reports, gap, anchor);
        self.life = Life::resumed(now, state.life);
        self.figures.go_on(state.reports.packets, state.reports.octets);
        self.receipts.anew(state.reports.packets);
        let numbers = if state.secure.is_some() { Numbers::Next } else { Numbers::Same };
        let past = |relay| Past { relay, numbers, first: first as u16 };
        self.keeper = Keeper {
            anchor: Some(*anchor),
            pace: Some(Pace::new(&state.line, state.told)),
            past: state.relay.clone().map(past),
            ..Keeper::default()
        };
    }

    /// How another port is heard from now on: as before the process died, when nothing else has
    /// been heard since.
    pub(super) fn relay_anew(&mut self, now: Instant) -> Relay {
        let past = self.keeper.past.take().filter(|past| past.first == self.line.next());
        match past {
            Some(past) => Relay::resumed(now, past.relay, past.numbers),
            None => Relay::new(now),
        }
    }

    /// Something else is heard than before the process died.
    pub(super) fn forget_past(&mut self) {
        self.keeper.past = None;
    }

    /// Whether a packet with this number may go out, so that the next process can begin behind it.
    pub(super) fn may_send(&mut self, now: Instant, sequence: u16) -> bool {
        let (Some(anchor), Some(newest)) = (&self.keeper.anchor, self.sent()) else { return true };
        let Some(pace) = self.keeper.pace.as_mut().filter(|pace| pace.ssrc == self.line.ssrc())
        else {
            return true;
        };
        let step = sequence.wrapping_sub(newest as u16).cast_signed();
        let place = newest.saturating_add_signed(step.into());
        if place >= pace.sure {
            pace.sure = pace.limit(anchor.nanos(now));
        }
        place < pace.sure
    }
}

fn secure(has_sent: bool, progress: Progress) -> kept::Secure {
    let pair = |place: Place| (place.ssrc, place.index);
    let pairs = |places: Vec<Place>| places.into_iter().map(pair).collect();
    kept::Secure {
        has_sent,
        sent_rtcp: progress.sent_rtcp,
        received: progress.received.map(pair),
        received_rtcp: progress.received_rtcp.map(pair),
        earlier: pairs(progress.earlier),
        earlier_rtcp: pairs(progress.earlier_rtcp),
    }
}

fn place((ssrc, index): (u32, u64)) -> Place {
    Place { ssrc, index }
}

/// Whether every number is one that a port can have.
fn is_sane(state: &State) -> bool {
    let State { told, line, secure, reports, units, .. } = state;
    let counts = [*told >> 16, line.next, reports.packets, reports.octets, reports.skipped];
    let are_sane = |secure: &kept::Secure| {
        let places = secure.received.iter().chain(&secure.earlier);
        let reports = secure.received_rtcp.iter().chain(&secure.earlier_rtcp);
        places.clone().all(|(_, index)| *index < COUNT_MAX)
            && reports.clone().all(|(_, index)| *index < REPORTS_MAX)
            && secure.sent_rtcp < REPORTS_MAX
    };
    counts.iter().all(|count| *count < COUNT_MAX)
        && units.whole.unsigned_abs() < COUNT_MAX
        && line.due <= told.saturating_add(DUE_MAX.as_nanos() as u64)
        && secure.as_ref().is_none_or(are_sane)
}
