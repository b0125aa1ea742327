//! A call's record while it grows.
//!
//! Owns the times of each phase and the wait for the media plane's figures. What happened is judged
//! by the call.

pub(super) mod keeping;

use std::time::{Duration, Instant};

use super::board::PhaseName;
use super::cdr::{
    CallId, Cdr, EndReason, EndedBy, LEGS_MAX, LegFigures, Outcome, Presentation, Whose,
};
use super::config::{Extension, LineId, TrunkId};
use super::trial;
use crate::media::{PortId, Quality};
use crate::time::{Now, Timestamp};

/// How a call ended.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Now,
    outcome: Outcome,
    by: EndedBy,
    reason: EndReason,
}

/// Somebody besides the caller who has been in the conversation.
#[derive(Debug)]
struct Part {
    port: PortId,
    whose: Whose,
    /// `None` until the port is closed.
    quality: Option<Quality>,
}

/// A call's record while it grows.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) started: Now,
    trunk: TrunkId,
    answered: Option<Now>,
    /// What a stage has decided, unless a counselor is reached after all.
    pub(super) verdict: Option<Outcome>,
    guidance_since: Option<Instant>,
    guidance: Duration,
    queue_since: Option<Instant>,
    wait: Duration,
    bridge_since: Option<Instant>,
    talks: Vec<(Extension, Duration)>,
    position: Option<u32>,
    pub(super) offers: u32,
    /// When the caller stopped paying for waiting.
    served: Option<Instant>,
    caller_quality: Option<Quality>,
    parts: Vec<Part>,
    /// Conversations of which a recording was begun.
    pub(super) recorded: u32,
    end: Option<End>,
    /// The media plane has had its time.
    is_late: bool,
}

impl Record {
    pub(super) fn new(now: Now, trunk: TrunkId) -> Self {
        Self {
            started: now,
            trunk,
            answered: None,
            verdict: None,
            guidance_since: None,
            guidance: Duration::ZERO,
            queue_since: None,
            wait: Duration::ZERO,
            bridge_since: None,
            talks: Vec::new(),
            position: None,
            offers: 0,
            served: None,
            caller_quality: None,
            parts: Vec::new(),
            recorded: 0,
            end: None,
            is_late: false,
        }
    }

    /// Whether it is a test call of our own.
    pub(super) fn is_trial(&self) -> bool {
        trial::is_trial(&self.trunk)
    }

    pub(super) fn answered(&mut self, now: Now) {
        self.answered.get_or_insert(now);
    }

    pub(super) fn enter_guidance(&mut self, now: Now) {
        self.guidance_since.get_or_insert(now.mono);
    }

    pub(super) fn leave_guidance(&mut self, now: Now) {
        if let Some(since) = self.guidance_since.take() {
            self.guidance += now.mono.saturating_duration_since(since);
        }
    }

    pub(super) fn enter_queue(&mut self, now: Now, position: u32) {
        self.queue_since.get_or_insert(now.mono);
        self.position.get_or_insert(position);
    }

    pub(super) fn leave_queue(&mut self, now: Now) {
        if let Some(since) = self.queue_since.take()
            && self.talks.is_empty()
        {
            self.wait += now.mono.saturating_duration_since(since);
        }
    }

    pub(super) fn join(&mut self, now: Now, extension: &Extension) {
        self.served.get_or_insert(now.mono);
        self.bridge_since = Some(now.mono);
        self.talks.push((extension.clone(), Duration::ZERO));
    }

    pub(super) fn leave_bridge(&mut self, now: Now) {
        if let (Some(since), Some((_, talk))) = (self.bridge_since.take(), self.talks.last_mut()) {
            *talk += now.mono.saturating_duration_since(since);
        }
    }

    /// How long the caller has waited, until joined or out.
    pub(super) fn waited(&self) -> Duration {
        self.wait
    }

    /// Whether a counselor has talked with the caller.
    pub(super) fn was_joined(&self) -> bool {
        !self.talks.is_empty()
    }

    pub(super) fn end(&mut self, now: Now, outcome: Outcome, by: EndedBy, reason: EndReason) {
        self.end.get_or_insert(End { at: now, outcome, by, reason });
    }

    /// Since when the call has been in the phase that it is in now.
    pub(super) fn phase_since(&self, phase: PhaseName) -> Instant {
        let since = match phase {
            PhaseName::Trunk => None,
            PhaseName::Guidance => self.guidance_since,
            PhaseName::Queue | PhaseName::Ringing => self.queue_since,
            PhaseName::Bridge => self.bridge_since,
        };
        since.unwrap_or(self.started.mono)
    }

    /// The outcome, once it has ended.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.end.map(|end| end.outcome)
    }

    pub(super) fn on_closed(&mut self, port: PortId, caller: PortId, quality: Quality) {
        if port == caller {
            self.caller_quality = Some(quality);
        } else if let Some(part) = self.parts.iter_mut().find(|part| part.port == port) {
            part.quality = Some(quality);
        }
    }

    /// Somebody comes into the conversation, or has another part in it: the figures of that port
    /// belong to the record.
    pub(super) fn takes_part(&mut self, port: PortId, whose: Whose) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.port == port) {
            part.whose = whose;
            return;
        }
        if self.parts.len() == LEGS_MAX - 1 {
            self.parts.remove(0);
        }
        self.parts.push(Part { port, whose, quality: None });
    }

    /// The ports, besides the caller's, whose figures are still to come.
    pub(super) fn open_ports(&self) -> impl Iterator<Item = PortId> {
        self.parts.iter().filter(|part| part.quality.is_none()).map(|part| part.port)
    }

    pub(super) fn give_up_waiting(&mut self) {
        self.is_late = true;
    }

    /// Whether the call is over and nothing more will be learned of it.
    pub(super) fn is_complete(&self) -> bool {
        let all_closed = self.caller_quality.is_some() && self.open_ports().next().is_none();
        self.end.is_some() && (all_closed || self.is_late)
    }

    /// The record, once complete.
    pub(super) fn cdr(
        &self,
        call: &CallId,
        line: Option<&LineId>,
        presentation: Presentation,
    ) -> Option<Cdr> {
        let end = self.end?;
        let answered_at = self.answered.map(|now| now.mono);
        let served = self.served.unwrap_or(end.at.mono);
        let paid_wait =
            answered_at.map_or(Duration::ZERO, |at| served.saturating_duration_since(at));
        Some(Cdr {
            call: call.clone(),
            trunk: self.trunk.clone(),
            line: line.cloned(),
            started: self.started.wall,
            answered: self.answered.map(|now| now.wall),
            ended: self.ended_at(end),
            outcome: end.outcome,
            ended_by: end.by,
            reason: end.reason,
            presentation,
            guidance: self.guidance,
            wait: self.wait,
            talk: self.talks.iter().map(|(_, talk)| *talk).sum(),
            paid_wait,
            position: self.position,
            offers: self.offers,
            counselor: self.talks.last().map(|(extension, _)| extension.clone()),
            talks: self.talks.clone(),
            recorded: self.recorded,
            test: self.is_trial(),
            legs: self.legs(),
        })
    }

    /// A leg on which no packet went either way says nothing, unless it is the caller's.
    fn legs(&self) -> Vec<LegFigures> {
        let caller = self.caller_quality.unwrap_or_default();
        let mut legs = vec![LegFigures { whose: Whose::Caller, quality: caller }];
        legs.extend(self.parts.iter().filter_map(|part| {
            let quality = part.quality.filter(|quality| quality.received + quality.sent > 0)?;
            Some(LegFigures { whose: part.whose.clone(), quality })
        }));
        legs
    }

    /// The end by the monotonic clock, so that a step of the wall clock does not bend the record.
    fn ended_at(&self, end: End) -> Timestamp {
        let lasted = end.at.mono.saturating_duration_since(self.started.mono);
        chrono::Duration::from_std(lasted).map_or(end.at.wall, |lasted| self.started.wall + lasted)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use super::*;

    #[test]
    fn legs_beyond_the_limit_push_out_the_oldest_but_the_callers() {
        let now = Now { mono: Instant::now(), wall: Timestamp::UNIX_EPOCH };
        let port = |n| PortId { n, shard: 0 };
        let heard = |received| Quality { received, ..Quality::default() };
        let mut record = Record::new(now, "navi".into());
        for n in 1..=20 {
            record.takes_part(port(n), Whose::Counselor("101".into()));
            record.on_closed(port(n), port(0), heard(u64::from(n)));
        }
        record.end(now, Outcome::Answered, EndedBy::Caller, EndReason::Hangup);
        assert!(!record.is_complete(), "the caller's figures are not in");
        record.on_closed(port(0), port(0), heard(100));
        assert!(record.is_complete());
        let heard: Vec<_> = record.legs().iter().map(|leg| leg.quality.received).collect();
        assert_eq!(heard, std::iter::once(100).chain(6..=20).collect::<Vec<_>>());
    }
}
