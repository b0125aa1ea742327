//! When the packets of a stream come, against when they were sent: how long a packet must wait so
//! that those after it are there in time.
//!
//! Owns the statistics. A packet's *transit* is its arrival less its timestamp, on clocks that
//! have nothing to do with each other: only differences of transits mean something. All times are
//! microseconds.

/// The least that the fastest packet waits.
const DEPTH_MIN: i64 = 20_000;
/// The most that the fastest packet waits: beyond it talk breaks down, and late packets are lost.
pub(super) const DEPTH_MAX: i64 = 240_000;
/// What the fastest packet waits before anything is known of the path.
const DEPTH_START: i64 = 40_000;
/// Beyond the latest packet seen: the threads that receive and tick are late at times too.
const MARGIN: i64 = 5_000;
/// How far back the fastest and the latest packets count. In that time clocks that differ by
/// 200 ppm part by 2 ms.
const WINDOW_S: usize = 10;
/// How fast the depth shrinks once the latest packet is out of the window, a second.
const SHRINK: i64 = 5_000;

const SECOND: i64 = 1_000_000;

/// The statistics of one stream.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    /// Least and greatest transit of each of the last seconds, a ring.
    seconds: [Option<(i64, i64)>; WINDOW_S],
    /// The second that is counted in.
    second: i64,
    /// When the last packet was counted.
    last: i64,
    /// Transit of the fastest packet in the window.
    fastest: i64,
    /// Transit that packets must be expected to have: grows at once, shrinks slowly.
    latest: i64,
}

impl Arrivals {
    /// A stream begins. `depth` is what the one before it needed.
    pub(super) fn begin(now: i64, transit: i64, depth: Option<i64>) -> Self {
        let mut seconds = [None; WINDOW_S];
        let second = now.div_euclid(SECOND);
        seconds[slot(second)] = Some((transit, transit));
        let latest = transit + depth.unwrap_or(DEPTH_START) - MARGIN;
        Self { seconds, second, last: now, fastest: transit, latest }
    }

    /// Counts a packet that came `now`.
    pub(super) fn count(&mut self, now: i64, transit: i64) {
        let second = now.div_euclid(SECOND);
        if second - self.second >= WINDOW_S as i64 {
            // Nothing in the window: the clocks may be anywhere by now.
            *self = Self::begin(now, transit, Some(self.depth()));
            return;
        }
        while self.second < second {
            self.second += 1;
            self.seconds[slot(self.second)] = None;
        }
        let (low, high) = self.seconds[slot(second)].unwrap_or((transit, transit));
        self.seconds[slot(second)] = Some((low.min(transit), high.max(transit)));
        let seen = self.seconds.iter().flatten();
        let (low, high) = seen.fold((transit, transit), |(l, h), s| (l.min(s.0), h.max(s.1)));
        let since = (now - self.last).clamp(0, SECOND);
        self.last = now;
        self.fastest = low;
        let most = low + DEPTH_MAX - MARGIN;
        self.latest = high.max(self.latest - SHRINK * since / SECOND).min(most);
    }

    /// The transit of the fastest packet.
    pub(super) fn fastest(&self) -> i64 {
        self.fastest
    }

    /// The transit at which packets are played, so that nearly all are there by then.
    pub(super) fn target(&self) -> i64 {
        (self.latest + MARGIN).max(self.fastest + DEPTH_MIN)
    }

    /// How long the fastest packet waits.
    pub(super) fn depth(&self) -> i64 {
        self.target() - self.fastest
    }
}

fn slot(second: i64) -> usize {
    second.rem_euclid(WINDOW_S as i64) as usize
}
