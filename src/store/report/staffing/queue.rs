//! An evening of a line, played event by event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{Model, Part, Row, exponential};
use crate::chance::Chance;

/// Callers of one evening at most: a bound for rates that no line has.
const CALLERS_MAX: usize = 1_000_000;

/// A moment in milliseconds, which can be compared.
type Moment = u64;

/// What became of callers.
pub(super) struct Tally {
    asked: f64,
    came: u64,
    answered: u64,
    waited: u64,
    wait: f64,
    /// Answered within 20 s, within 180 s, within the time that was asked for.
    within: [u64; 3],
}

impl Tally {
    pub(super) fn new(asked: f64) -> Self {
        Self { asked, came: 0, answered: 0, waited: 0, wait: 0.0, within: [0; 3] }
    }

    fn answer(&mut self, wait: f64) {
        self.answered += 1;
        self.wait += wait;
        for (within, limit) in self.within.iter_mut().zip([20.0, 180.0, self.asked]) {
            *within += u64::from(wait <= limit);
        }
    }

    pub(super) fn row(&self, counselors: usize) -> Row {
        let of = |part: u64| part as f64 / self.came.max(1) as f64;
        let [within_20, within_180, within_asked] = self.within.map(of);
        Row {
            counselors,
            answer_rate: of(self.answered),
            must_wait: of(self.waited),
            mean_wait: self.wait / self.answered.max(1) as f64,
            within_20,
            within_180,
            within_asked,
        }
    }
}

/// Somebody who waits.
struct Caller {
    came: Moment,
    /// When they hang up or are sent on.
    leaves: Moment,
    takes: Moment,
}

/// Plays one evening. First come, first served, so that it is enough to know when each counselor is
/// free again.
pub(super) fn evening(model: &Model, counselors: usize, chance: &mut Chance, tally: &mut Tally) {
    let mut free_at = BinaryHeap::new();
    let mut waiting: VecDeque<Caller> = VecDeque::new();
    for came in callers(&model.arrivals, chance) {
        let takes = moment(model.service.draw(chance));
        let patience = model.patience.map_or(f64::INFINITY, |mean| exponential(mean, chance));
        let leaves = came.saturating_add(moment(patience.min(model.max_wait)));
        serve(&mut waiting, &mut free_at, came, tally);
        tally.came += 1;
        waiting.retain(|caller| caller.leaves > came);
        if waiting.is_empty() && free_at.len() < counselors {
            tally.answer(0.0);
            free_at.push(Reverse(came.saturating_add(takes)));
            continue;
        }
        tally.waited += 1;
        if waiting.len() < model.max_callers {
            waiting.push_back(Caller { came, leaves, takes });
        }
    }
    serve(&mut waiting, &mut free_at, Moment::MAX, tally);
}

/// Joins those who wait with counselors who become free up to `now`.
fn serve(
    waiting: &mut VecDeque<Caller>,
    free_at: &mut BinaryHeap<Reverse<Moment>>,
    now: Moment,
    tally: &mut Tally,
) {
    while let Some(Reverse(free)) = free_at.peek().copied().filter(|free| free.0 <= now) {
        free_at.pop();
        while let Some(caller) = waiting.pop_front() {
            if caller.leaves <= free {
                continue;
            }
            tally.answer(free.saturating_sub(caller.came) as f64 / 1_000.0);
            free_at.push(Reverse(free.saturating_add(caller.takes)));
            break;
        }
    }
}

/// When callers come: in each part as many as chance gives around its mean, at any moment of it.
fn callers(parts: &[Part], chance: &mut Chance) -> Vec<Moment> {
    let mut moments = vec![];
    for part in parts.iter().filter(|part| part.calls > 0.0) {
        let gap = part.length / part.calls;
        let mut at = exponential(gap, chance);
        while at < part.length && moments.len() < CALLERS_MAX {
            moments.push(moment(part.from + at));
            at += exponential(gap, chance);
        }
    }
    moments.sort_unstable();
    moments
}

fn moment(seconds: f64) -> Moment {
    // Infinity becomes the greatest.
    (seconds * 1_000.0).round() as Moment
}
