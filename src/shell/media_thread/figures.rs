//! How the media threads do: how late their ticks are, what they had to drop.
//!
//! Owns counters that one thread raises and anybody reads, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::backend::{Drops, Kind};
use crate::shell::metrics::MediaFigures;

/// Classes of lateness: the first is up to 16 µs, each next up to twice that, the last is the rest.
const CLASSES: usize = 16;
const FIRST_MICROS: u64 = 16;

/// The counters of one thread.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    late: [AtomicU64; CLASSES],
    latest_micros: AtomicU64,
    micros: AtomicU64,
    unsent: AtomicU64,
    too_long: AtomicU64,
    flood: AtomicU64,
    overrun: AtomicU64,
    old: AtomicU64,
}

impl Gauge {
    /// A tick is carried out, so late.
    pub(super) fn tick(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let class = (0..CLASSES - 1).find(|class| micros <= limit(*class));
        self.late[class.unwrap_or(CLASSES - 1)].fetch_add(1, Ordering::Relaxed);
        self.latest_micros.fetch_max(micros, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// A packet lay too long to be passed on as voice.
    pub(super) fn old(&self) {
        self.old.fetch_add(1, Ordering::Relaxed);
    }

    /// What the backend has dropped so far.
    pub(super) fn dropped(&self, drops: Drops) {
        self.unsent.store(drops.unsent, Ordering::Relaxed);
        self.too_long.store(drops.too_long, Ordering::Relaxed);
        self.flood.store(drops.flood, Ordering::Relaxed);
        self.overrun.store(drops.overrun, Ordering::Relaxed);
    }
}

/// The most microseconds of a class.
fn limit(class: usize) -> u64 {
    FIRST_MICROS << class
}

/// What the media threads have done since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Ticks by class.
    pub(super) late: [u64; CLASSES],
    /// How packets come and go; `None`: there are no threads.
    pub backend: Option<Kind>,
    /// How many threads there are.
    pub threads: u8,
    /// The lateness of all ticks.
    pub late_in_all: Duration,
    /// The latest that a tick has been.
    pub latest: Duration,
    /// What was dropped.
    pub drops: Drops,
    /// Packets that lay too long before they were read: their voice was not passed on.
    pub old: u64,
}

impl Figures {
    pub(super) fn of<'a>(gauges: impl Iterator<Item = &'a Gauge>) -> Self {
        let mut figures = Self::default();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for gauge in gauges {
            for (sum, class) in figures.late.iter_mut().zip(&gauge.late) {
                *sum += read(class);
            }
            let latest = Duration::from_micros(read(&gauge.latest_micros));
            figures.latest = figures.latest.max(latest);
            figures.late_in_all += Duration::from_micros(read(&gauge.micros));
            figures.drops.unsent += read(&gauge.unsent);
            figures.drops.too_long += read(&gauge.too_long);
            figures.drops.flood += read(&gauge.flood);
            figures.drops.overrun += read(&gauge.overrun);
            figures.old += read(&gauge.old);
        }
        figures
    }

    /// The form in which operators read them.
    pub fn metrics(&self) -> MediaFigures {
        let most = |class| match class {
            last if last == CLASSES - 1 => f64::INFINITY,
            class => Duration::from_micros(limit(class)).as_secs_f64(),
        };
        let late = self.late.iter().enumerate().map(|(class, count)| (most(class), *count));
        let Drops { unsent, too_long, flood, overrun } = self.drops;
        MediaFigures {
            backend: self.backend.map_or("", Kind::name),
            threads: self.threads,
            late: late.collect(),
            late_in_all: self.late_in_all,
            dropped: vec![
                ("unsent", unsent),
                ("too_long", too_long),
                ("flood", flood),
                ("overrun", overrun),
                ("old", self.old),
            ],
        }
    }

    /// How many ticks there were.
    pub fn ticks(&self) -> u64 {
        self.late.iter().sum()
    }

    /// How late a tick is at most, except this share of them (0.01: the 99th percentile), rounded
    /// up to the limit of its class.
    pub fn lateness(&self, except: f64) -> Duration {
        let may_be_later = (self.ticks() as f64 * except) as u64;
        let mut later = self.ticks();
        let class = self.late.iter().position(|count| {
            later -= count;
            later <= may_be_later
        });
        let class = class.filter(|class| class + 1 < CLASSES);
        class.map_or(self.latest, |class| Duration::from_micros(limit(class)).min(self.latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_told_by_share() {
        let micros = Duration::from_micros;
        let gauges = [Gauge::default(), Gauge::default()];
        assert_eq!(Figures::of(gauges.iter()).lateness(0.01), Duration::ZERO);
        (0..98).for_each(|_| gauges[0].tick(micros(30)));
        gauges[1].tick(micros(100));
        gauges[1].tick(Duration::from_secs(3));
        let drops = Drops { unsent: 1, too_long: 2, flood: 3, overrun: 4 };
        gauges[1].dropped(drops);
        gauges.iter().for_each(Gauge::old);
        let figures = Figures::of(gauges.iter());
        assert_eq!((figures.ticks(), figures.latest), (100, Duration::from_secs(3)));
        assert_eq!(figures.late_in_all, Duration::from_secs(3) + micros(98 * 30 + 100));
        let mut told = figures.metrics();
        told.late.retain(|(_, count)| *count > 0);
        assert_eq!(told.late, [(32e-6, 98), (128e-6, 1), (f64::INFINITY, 1)]);
        let dropped = [("unsent", 1), ("too_long", 2), ("flood", 3), ("overrun", 4), ("old", 2)];
        assert_eq!(told.dropped, dropped);
        assert_eq!(figures.lateness(0.02), micros(32));
        assert_eq!(figures.lateness(0.01), micros(128));
        assert_eq!(figures.lateness(0.0), Duration::from_secs(3));
        assert_eq!((figures.drops, figures.old), (drops, 2));
    }
}
