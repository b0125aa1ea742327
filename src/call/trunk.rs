//! Stage 1, the INVITE from the trunk: is the line open, is there room; what the caller hears
//! first.
//!
//! Owns the time from INVITE until the caller can hear us. Does not play anything (guidance) and
//! does not choose a line by number (the switchboard does, before there is a call).

use super::config::{Anonymous, AnswerMode, Line, NodeId, Said, Target};
use super::schedule::{self, Opening, Why};
use super::{Cx, Next, cdr::Outcome};
use crate::call::cdr::Presentation;
use crate::pii::Pii;

/// A call that can't be heard yet.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Waits for its media port.
    Opening,
    /// Waits for the ACK to our 200 (or the PRACK to our 183); then goes on.
    Answering(Box<Next>),
}

/// What a new caller gets: no call begins while the process waits for its last ones to end.
/// `number`: the caller's, where it is shown; who is not to be connected is told so while the line
/// is open, and like everybody that it is closed.
pub(super) fn arrive(cx: &Cx<'_, '_>, presentation: Presentation, number: Option<&Pii>) -> Next {
    if cx.io.draining {
        return Next::refuse(vec![Said::Draining], Target::Help, Outcome::Refused);
    }
    let now = cx.io.now;
    let is_limited = number.is_some_and(|number| cx.io.repeat.holds(now.mono, number));
    let opening = schedule::at(&cx.line.schedule, cx.config.timezone, now.wall);
    if is_limited && matches!(opening, Opening::Open { .. }) {
        return Next::refuse(vec![Said::NotTonight], Target::Help, Outcome::Refused);
    }
    first(cx, presentation)
}

/// What a caller of the line gets now: the way in, or the reason why not.
pub(super) fn first(cx: &Cx<'_, '_>, presentation: Presentation) -> Next {
    match schedule::at(&cx.line.schedule, cx.config.timezone, cx.io.now.wall) {
        Opening::Open { .. } => {}
        Opening::Winding { .. } => {
            return Next::refuse(vec![Said::Closed], Target::Help, Outcome::Closed);
        }
        Opening::Closed { why, .. } => {
            return Next::refuse(vec![closed(why)], Target::Help, Outcome::Closed);
        }
    }
    // Who comes from another line can't be refused unanswered any more, and is told why.
    if presentation != Presentation::Shown && cx.line.anonymous != Anonymous::Accept {
        return Next::refuse(vec![Said::Ask186], Target::Hangup, Outcome::Refused);
    }
    // A caller who can only end up in the queue is told at once that it is of no use: guidance
    // costs money.
    if leads_only_to_queue(cx.line)
        && let Some(next) = no_room(cx)
    {
        return next;
    }
    match cx.line.answer {
        AnswerMode::Ring => Next::to(Target::Queue),
        AnswerMode::Immediate | AnswerMode::EarlyMedia => Next::to(Target::Node(start())),
    }
}

/// What a closed line says. A range of every year that is not about the turn of the year is no
/// 年末年始.
pub(super) fn closed(why: Why) -> Said {
    match why {
        Why::Range(from, to) if from > to || from == (1, 1) || to == (12, 31) => {
            Said::ClosedYearEnd
        }
        Why::Range(..) | Why::OutsideHours | Why::Date(..) | Why::Holiday(..) | Why::Override => {
            Said::Closed
        }
    }
}

/// Why the queue can't be entered now.
pub(super) fn no_room(cx: &Cx<'_, '_>) -> Option<Next> {
    let queue = &cx.line.queue;
    if cx.io.on_duty(cx.line_id) == 0 && queue.max_wait_no_counselor.is_zero() {
        let target = queue.on_no_counselor.clone();
        return Some(Next::refuse(vec![Said::NoCounselor], target, Outcome::NoCounselor));
    }
    if cx.io.queues.waiting(cx.line_id) >= queue.max_callers {
        return Some(Next::refuse(vec![Said::AllBusy], queue.on_full.clone(), Outcome::Full));
    }
    None
}

/// The node where every guidance starts.
pub(super) fn start() -> NodeId {
    NodeId::from("start")
}

fn leads_only_to_queue(line: &Line) -> bool {
    let mut node = start();
    for _ in 0..=line.guidance.len() {
        match line.guidance.get(&node) {
            Some(n) if n.keys.is_empty() => match &n.next {
                Target::Node(next) => node = next.clone(),
                Target::Queue => return true,
                Target::Help | Target::Hangup | Target::Line(_) => return false,
            },
            Some(_) | None => return false,
        }
    }
    false
}

/// Whether a call may go from line to line this often.
pub(super) const HOPS_MAX: usize = 32;
