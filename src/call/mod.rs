//! The path of a call: trunk → guidance → queue → bridge → CDR.
//!
//! This file owns [`Call`] and [`Phase`]. A phase changes only in [`path`]: a stage returns
//! [`Next`], `Call::go` carries it out. Calls know nothing of each other; the switchboard does.
//!
//! ```text
//!            ┌───────────────── Message (closed, full, help …) ───────► end
//!  INVITE ─► Trunk ─► Guidance ─► (Consent) ─► Queue ⇄ Ringing ─► Bridge ─► end
//!            └─── ring: 180 until a counselor answers ────┘  └─ counselor lost: Queue (head)
//! ```
#![deny(clippy::disallowed_methods)]

pub mod board;
mod bridge;
pub mod cdr;
mod closing;
pub mod config;
mod consent;
mod counselor;
pub mod deed;
pub mod graph;
mod guidance;
pub mod holidays;
mod identity;
mod inputs;
pub mod intention;
mod internal;
pub mod io;
pub mod journal;
mod keeping;
mod kept;
mod keypad;
mod leg;
mod next;
mod outcome;
mod path;
pub mod piece;
mod places;
mod queue;
mod record;
pub mod recorded;
mod recording;
mod refused;
mod rehearsal;
mod repeat;
mod ring;
pub mod schedule;
mod summons;
mod supervision;
pub mod switchboard;
pub mod trial;
mod trunk;
pub mod voice;
pub mod when;

use std::sync::Arc;
use std::time::Duration;

use bridge::Bridge;
use cdr::{CallId, Presentation};
use config::{AnswerMode, Config, Extension, Line, LineId};
use consent::Asking;
use counselor::Activity;
use guidance::{Guidance, Message};
use leg::Leg;
use next::{Cx, Next, with_cx};
use places::Order;
use queue::Waiting;
use record::Record;
use recording::Recording;
use ring::{Miss, Ring};
use trunk::Arrival;

use crate::media::Keys;
use crate::pii::Pii;

/// Where a call is on its path.
#[derive(Debug)]
enum Phase {
    /// The caller can't hear us yet.
    Trunk(Arrival),
    /// The caller hears the guidance.
    Guidance(Guidance),
    /// The caller hears a message, and then the end or more.
    Message(Message),
    /// The caller is told that the conversation is recorded, or asked.
    Consent(Asking),
    /// The caller waits.
    Queue(Waiting),
    /// The caller waits, and counselors are being rung.
    Ringing(Waiting, Ring),
    /// The caller talks.
    Bridge(Box<Bridge>),
    /// The call is over, and its record waits for the media plane's figures; or, within one input,
    /// the call is between two phases.
    Ended,
}

/// What a call asks of those who see more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    /// A counselor was rung and not reached; how many rings in a row the line lets them miss (0:
    /// any).
    Missed(Extension, Miss, u32),
    /// A counselor has taken the call.
    Taken(Extension, CallId),
    /// A counselor is through with the call: wrap-up begins.
    Freed(Extension, Duration),
}

/// One call.
struct Call {
    id: CallId,
    config: Arc<Config>,
    line_id: LineId,
    caller: Leg,
    /// The caller's number, where it is shown, for as long as the call lives.
    number: Option<Pii>,
    presentation: Presentation,
    phase: Phase,
    record: Record,
    recording: Recording,
    order: Order,
    asks: Vec<Ask>,
    hops: usize,
    /// Max-Forwards of what we send on for this caller.
    forwards: u32,
    /// Joins keys by SIP INFO with the same keys by the media plane.
    keys: Keys,
}

impl Call {
    /// The caller's place, while they wait.
    fn waiting(&self) -> Option<&Waiting> {
        match &self.phase {
            Phase::Queue(waiting) | Phase::Ringing(waiting, _) => Some(waiting),
            Phase::Trunk(_)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Bridge(_)
            | Phase::Ended => None,
        }
    }

    /// Who is busy with this call.
    fn busy(&self) -> Vec<(Extension, Activity)> {
        let mut busy = Vec::new();
        self.each_busy(|extension, activity| busy.push((extension.clone(), activity)));
        busy
    }

    /// Shows each of them to `f`.
    fn each_busy(&self, mut f: impl FnMut(&Extension, Activity)) {
        match &self.phase {
            Phase::Ringing(_, ring) => {
                ring.extensions().iter().for_each(|extension| f(extension, Activity::Ringing));
            }
            Phase::Bridge(bridge) => bridge.each_busy(f),
            Phase::Trunk(_)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Queue(_)
            | Phase::Ended => {}
        }
    }

    /// The bridge, while caller and counselor are joined.
    fn bridge(&self) -> Option<&Bridge> {
        if let Phase::Bridge(bridge) = &self.phase { Some(bridge) } else { None }
    }

    fn bridge_mut(&mut self) -> Option<&mut Bridge> {
        if let Phase::Bridge(bridge) = &mut self.phase { Some(bridge) } else { None }
    }

    fn line(&self) -> Option<&Line> {
        self.config.lines.get(&self.line_id)
    }

    /// How the line answers; a test call is answered at once, whose caller pays nothing.
    fn mode(&self) -> AnswerMode {
        let line = self.line().filter(|_| !self.record.is_trial());
        line.map_or(AnswerMode::Immediate, |line| line.answer)
    }
}
