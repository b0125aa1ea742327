//! A growing record that outlives the process.
//!
//! Owns the way from a record to its kept form and back. The figures of voices stay behind.

use std::time::Duration;

use super::{End, Record};
use crate::call::config::{Extension, TrunkId};
use crate::call::kept::{self, Moment, Word};
use crate::time::{Anchor, Now, Timestamp};

/// As long as no call lasts.
const LONG: Duration = Duration::from_secs(30 * 86_400);

fn moment(now: Now, anchor: &Anchor) -> Moment {
    (anchor.nanos(now.mono), now.wall.timestamp_micros())
}

fn now((mono, wall): Moment, anchor: &Anchor) -> Now {
    let wall = Timestamp::from_timestamp_micros(wall).unwrap_or_default();
    Now { mono: anchor.instant(mono), wall }
}

pub(in crate::call) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

pub(in crate::call) fn length(nanos: u64) -> Duration {
    Duration::from_nanos(nanos).min(LONG)
}

impl Record {
    /// What is kept of it.
    pub(in crate::call) fn keep(&self, anchor: &Anchor) -> kept::Record {
        let nanos_at = |at| anchor.nanos(at);
        let talks = self.talks.iter().map(|(who, talk)| (who.to_string(), nanos(*talk)));
        kept::Record {
            started: moment(self.started, anchor),
            trunk: self.trunk.to_string(),
            answered: self.answered.map(|at| moment(at, anchor)),
            verdict: self.verdict.map(Word),
            guidance_since: self.guidance_since.map(nanos_at),
            guidance: nanos(self.guidance),
            queue_since: self.queue_since.map(nanos_at),
            wait: nanos(self.wait),
            bridge_since: self.bridge_since.map(nanos_at),
            talks: talks.collect(),
            position: self.position,
            offers: self.offers,
            served: self.served.map(nanos_at),
            recorded: self.recorded,
            end: self.end.map(|end| kept::End {
                at: moment(end.at, anchor),
                outcome: Word(end.outcome),
                by: Word(end.by),
                reason: end.reason.into(),
            }),
        }
    }

    /// Goes on with it.
    pub(in crate::call) fn restore(kept: kept::Record, anchor: &Anchor) -> Self {
        let instant = |at| anchor.instant(at);
        let talks = kept.talks.iter();
        let talks = talks.map(|(who, talk)| (Extension::from(who.as_str()), length(*talk)));
        Self {
            started: now(kept.started, anchor),
            trunk: TrunkId::from(kept.trunk.as_str()),
            answered: kept.answered.map(|at| now(at, anchor)),
            verdict: kept.verdict.map(|verdict| verdict.0),
            guidance_since: kept.guidance_since.map(instant),
            guidance: length(kept.guidance),
            queue_since: kept.queue_since.map(instant),
            wait: length(kept.wait),
            bridge_since: kept.bridge_since.map(instant),
            talks: talks.collect(),
            position: kept.position,
            offers: kept.offers,
            served: kept.served.map(instant),
            caller_quality: None,
            parts: Vec::new(),
            recorded: kept.recorded,
            end: kept.end.map(|end| End {
                at: now(end.at, anchor),
                outcome: end.outcome.0,
                by: end.by.0,
                reason: end.reason.into(),
            }),
            is_late: false,
        }
    }
}
