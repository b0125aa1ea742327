//! Stage 3, the queue: a caller's place, hold music, what is said meanwhile, when to give up.
//!
//! Owns one caller's waiting. The place is read off [`Order`], and who else waits (`places`);
//! ringing goes on beside this, in bridge.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::cdr::Outcome;
use super::config::{AnnouncePosition, Extension, Said};
use super::io::{CallTimer, Clock};
use super::kept;
use super::places::Order;
use super::{Cx, Next};
use crate::media::{Prompt, Then};
use crate::time::Anchor;

/// Whether a waiting caller may be offered to a counselor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Yes.
    Waiting,
    /// Soon: an offer has just failed.
    Pausing,
}

/// A caller in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) order: Order,
    pub(super) since: Instant,
    state: State,
    /// Who was rung in vain; asked again when nobody else is left.
    tried: BTreeSet<Extension>,
    /// Whose phones could not be reached since the last pause.
    passed_over: BTreeSet<Extension>,
}

impl Waiting {
    /// Joins the queue and says what the caller should know. No key means anything here.
    pub(super) fn enter(cx: &mut Cx<'_, '_>, order: Order, first: &[Said]) -> Self {
        let queue = &cx.line.queue;
        let (tried, passed_over) = (BTreeSet::new(), BTreeSet::new());
        let (since, state) = (cx.io.now.mono, State::Waiting);
        let waiting = Self { order, since, state, tried, passed_over };
        cx.caller.detect(cx.io, false);
        cx.io.set(CallTimer::MaxWait, queue.max_wait);
        let mut said = first.to_vec();
        said.extend(waiting.place(cx));
        waiting.announce(cx, &said);
        waiting
    }

    /// What is kept of it. Whoever rings for this caller now (`ringing`) was not rung in vain yet:
    /// they are rung again.
    pub(super) fn keep(&self, clock: &Clock<'_>, ringing: &[Extension]) -> kept::Waiting {
        let tried = self.tried.iter().filter(|extension| !ringing.contains(extension));
        kept::Waiting {
            since: clock.anchor.nanos(self.since),
            tried: tried.map(ToString::to_string).collect(),
            max_wait: clock.at(CallTimer::MaxWait),
            no_counselor: clock.at(CallTimer::NoCounselor),
            announce: clock.at(CallTimer::Announce),
        }
    }

    /// Goes on with it: the music plays.
    pub(super) fn restore(
        cx: &mut Cx<'_, '_>,
        anchor: &Anchor,
        order: Order,
        kept: &kept::Waiting,
    ) -> Self {
        let queue = &cx.line.queue;
        let now = cx.io.now.mono;
        let tried = kept.tried.iter().map(|extension| Extension::from(extension.as_str()));
        let (since, state) = (anchor.instant(kept.since).min(now), State::Waiting);
        let (tried, passed_over) = (tried.collect(), BTreeSet::new());
        let waiting = Self { order, since, state, tried, passed_over };
        let max_wait = kept.max_wait.map(|at| anchor.instant(at));
        cx.io.set_at(CallTimer::MaxWait, max_wait.unwrap_or(now + queue.max_wait));
        if let Some(at) = kept.no_counselor {
            cx.io.set_at(CallTimer::NoCounselor, anchor.instant(at));
        }
        if !queue.announce_every.is_zero() {
            let announce = kept.announce.map(|at| anchor.instant(at));
            cx.io.set_at(CallTimer::Announce, announce.unwrap_or(now + queue.announce_every));
        }
        waiting.hold(cx);
        waiting
    }

    /// The music alone.
    pub(super) fn hold(&self, cx: &mut Cx<'_, '_>) {
        cx.caller.detect(cx.io, false);
        cx.caller.play(cx.io, Vec::new(), Then::Loop(cx.line.queue.hold.clone()));
    }

    /// Whether a counselor may be rung for this caller now.
    pub(super) fn may_be_offered(&self) -> bool {
        self.state == State::Waiting
    }

    /// Whether this counselor was rung for this caller in the present round.
    pub(super) fn was_offered(&self, extension: &Extension) -> bool {
        self.tried.contains(extension)
    }

    /// These are rung now. One of them for the second time: another round begins.
    pub(super) fn offered(&mut self, extensions: &[Extension]) {
        if extensions.iter().any(|extension| self.was_offered(extension)) {
            self.tried.clear();
        }
        self.tried.extend(extensions.iter().cloned());
    }

    /// An offer failed: the caller keeps the place; the next offer comes after `retry`.
    pub(super) fn offer_failed(&mut self, cx: &mut Cx<'_, '_>) {
        self.state = State::Pausing;
        cx.io.set(CallTimer::Retry, cx.line.queue.retry);
    }

    /// A phone could not be reached: the next one may be rung at once. False: it was so already
    /// since the last pause, and would be so without end.
    pub(super) fn passes_over(&mut self, extension: &Extension) -> bool {
        self.passed_over.insert(extension.clone())
    }

    /// `retry` is over.
    pub(super) fn on_retry(&mut self) {
        self.state = State::Waiting;
        self.passed_over.clear();
    }

    /// Time to say something.
    pub(super) fn on_announce(&self, cx: &mut Cx<'_, '_>) {
        let mut said = vec![Said::StillWaiting];
        said.extend(self.place(cx));
        self.announce(cx, &said);
    }

    /// `max_wait` is over.
    pub(super) fn on_max_wait(&self, cx: &Cx<'_, '_>) -> Next {
        let target = cx.line.queue.on_timeout.clone();
        Next::refuse(vec![Said::TimedOut], target, Outcome::TimedOut)
    }

    /// Nobody has been on duty for as long as a caller waits for that.
    pub(super) fn on_no_counselor(&self, cx: &Cx<'_, '_>) -> Next {
        let target = cx.line.queue.on_no_counselor.clone();
        Next::refuse(vec![Said::NoCounselor], target, Outcome::NoCounselor)
    }

    /// Speaks, and lets the music go on from where it was.
    fn announce(&self, cx: &mut Cx<'_, '_>, said: &[Said]) {
        let prompts: Vec<Prompt> =
            said.iter().map(|said| cx.config.prompt(Some(cx.line), *said)).collect();
        cx.caller.play(cx.io, prompts, Then::Loop(cx.line.queue.hold.clone()));
        if !cx.line.queue.announce_every.is_zero() {
            cx.io.set(CallTimer::Announce, cx.line.queue.announce_every);
        }
    }

    /// What is said about the place, if anything.
    fn place(&self, cx: &Cx<'_, '_>) -> Option<Said> {
        let position = cx.io.place(cx.line_id, self.order);
        let is_said = match cx.line.queue.announce_position {
            AnnouncePosition::Off => false,
            AnnouncePosition::Yes => true,
            AnnouncePosition::Limit(limit) => position <= limit,
        };
        is_said.then(|| match u8::try_from(position) {
            Ok(n @ 1..=10) => Said::Position(n),
            Ok(_) | Err(_) => Said::PositionMore,
        })
    }

    /// How long the caller has waited.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Leaves: no timer of the queue may come any more.
    pub(super) fn leave(cx: &mut Cx<'_, '_>) {
        for timer in
            [CallTimer::MaxWait, CallTimer::Announce, CallTimer::NoCounselor, CallTimer::Retry]
        {
            cx.io.clear(timer);
        }
    }
}
