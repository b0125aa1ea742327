//! How many counselors a line needs: its own evenings played again with more or fewer of them.
//!
//! Owns the model: callers come by half hour as often as they did (Poisson), talk as long as talks
//! were (drawn from them) and the wrap-up after it, and lose patience as they did (exponential, its
//! mean the time waited by all ÷ those who hung up, so that those who were answered or timed out
//! first count for what they waited: Erlang A). Who finds `max_callers` waiting is turned away, who
//! waits `max_wait` is sent on. Nobody waits when the evening begins; who waits when it ends is
//! still served. Same seed, same numbers.

pub mod history;
mod queue;

use crate::chance::Chance;

/// Calls below which a history says too little to draw from.
pub const CALLS_MIN: u64 = 30;
/// Calls that are played for each number of counselors, about.
const PLAYED: f64 = 40_000.0;
/// Evenings that are played at least and at most.
const EVENINGS: (f64, f64) = (4.0, 20_000.0);
/// Numbers of counselors that are tried.
const ROWS_MAX: usize = 16;
/// The most counselors that are tried.
const COUNSELORS_MAX: f64 = 2_000.0;

/// What is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Calls that want a counselor in an evening, by part of it.
    pub arrivals: Vec<Part>,
    /// How long a counselor is taken by a call, wrap-up included.
    pub service: Service,
    /// The mean patience of callers in seconds; `None`: nobody ever hangs up.
    pub patience: Option<f64>,
    /// How long a caller waits at most, in seconds.
    pub max_wait: f64,
    /// How many wait at most.
    pub max_callers: usize,
}

/// A part of an evening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// When it begins, in seconds.
    pub from: f64,
    /// How long it lasts, in seconds.
    pub length: f64,
    /// Calls in it, on average.
    pub calls: f64,
}

/// How long calls take.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// As these did, in seconds; each is as likely.
    Drawn(Vec<f64>),
    /// Exponential with this mean, in seconds.
    Exponential(f64),
}

/// How an evening goes with a number of counselors.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counselors.
    pub counselors: usize,
    /// Answered ÷ all who called.
    pub answer_rate: f64,
    /// Share of those who called and did not find a counselor free at once.
    pub must_wait: f64,
    /// Mean wait of those who were answered, in seconds.
    pub mean_wait: f64,
    /// (Answered within 20 s) ÷ all who called.
    pub within_20: f64,
    /// … within 180 s.
    pub within_180: f64,
    /// … within the time that was asked for.
    pub within_asked: f64,
}

impl Service {
    /// The mean, in seconds.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Drawn(all) => all.iter().sum::<f64>() / all.len().max(1) as f64,
            Self::Exponential(mean) => *mean,
        }
    }

    fn draw(&self, chance: &mut Chance) -> f64 {
        match self {
            Self::Drawn(all) => {
                let nth = usize::try_from(chance.below(all.len() as u64)).unwrap_or_default();
                all.get(nth).copied().unwrap_or_default()
            }
            Self::Exponential(mean) => exponential(*mean, chance),
        }
    }
}

impl Model {
    /// Calls of an evening.
    pub fn calls(&self) -> f64 {
        self.arrivals.iter().map(|part| part.calls).sum()
    }

    /// Counselors who would be busy all the time in the busiest part, if nobody hung up.
    pub fn load(&self) -> f64 {
        let rates = self.arrivals.iter().filter(|part| part.length > 0.0);
        let busiest = rates.map(|part| part.calls / part.length).fold(0.0, f64::max);
        // A call lasts into the parts after its own, so that short parts weigh less.
        let span: f64 = self.arrivals.iter().map(|part| part.length).sum();
        let spread = if span > 0.0 { self.calls() / span } else { 0.0 };
        let weight = (self.service.mean() / span.max(1.0)).min(1.0);
        (busiest * (1.0 - weight) + spread * weight) * self.service.mean()
    }
}

/// Plays evenings with one counselor, two, and so on, until more would change little.
pub fn advise(model: &Model, asked: f64, seed: u64) -> Vec<Row> {
    if model.calls() <= 0.0 {
        return vec![];
    }
    let load = model.load();
    let most = (load + 4.0 * load.sqrt() + 3.0).min(COUNSELORS_MAX).ceil() as usize;
    let steps = most.div_ceil(ROWS_MAX).max(1);
    // Of a large line the small numbers say nothing: every one is tried near what it needs.
    let first = if steps == 1 { 1 } else { (load * 0.6).floor().max(1.0) as usize };
    let step = (most.saturating_sub(first) + 1).div_ceil(ROWS_MAX).max(1);
    let tried = (first..=most).step_by(step);
    tried.map(|counselors| play(model, counselors, asked, seed)).collect()
}

/// Plays evenings with this many counselors.
pub fn play(model: &Model, counselors: usize, asked: f64, seed: u64) -> Row {
    let (least, most) = EVENINGS;
    let evenings = (PLAYED / model.calls().max(1e-3)).clamp(least, most) as u64;
    // The same callers come whatever the number of counselors.
    let mut chance = Chance::from_number(seed);
    let mut tally = queue::Tally::new(asked);
    for _ in 0..evenings {
        queue::evening(model, counselors, &mut chance.split(), &mut tally);
    }
    tally.row(counselors)
}

/// The least number of counselors of `rows` with which this share is answered in the time that was
/// asked for.
pub fn enough(rows: &[Row], share: f64) -> Option<usize> {
    rows.iter().find(|row| row.within_asked >= share).map(|row| row.counselors)
}

/// A length whose mean is `mean`, with no memory.
fn exponential(mean: f64, chance: &mut Chance) -> f64 {
    // 53 random bits above 0 and up to 1.
    let uniform = ((chance.u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -mean * uniform.ln()
}

#[cfg(test)]
mod tests;
