//! Whether each leg is sent a packet every 20 ms, as packets leave us, before any network.
//!
//! Owns the longest pause of each leg since packets are owed to it: since it is connected, may be
//! sent to and its peer is proven. A crash is no pause, but what follows it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use koebashi::media::{Peer, PortId};

/// The longest pause that is none: 60 ms until silence is filled in for what does not come, and two
/// ticks that may lie in between.
pub(crate) const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Types of RTCP where RTP has its payload type and marker (RFC 5761 §4).
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;

/// Packets are owed.
#[derive(Clone, Copy, Debug)]
struct Owed {
    since: Instant,
    /// The last packet, or since when one is owed.
    last: Instant,
}

/// When each leg was sent something last.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// What is owed to each open port that was connected; `None`: nothing.
    legs: BTreeMap<PortId, Option<Owed>>,
    /// The longest pause of all.
    pub longest: Duration,
    broken: Vec<String>,
}

impl Pace {
    /// A leg has this peer from now on.
    pub(crate) fn connect(&mut self, now: Instant, port: PortId, peer: &Peer) {
        self.settle(now, port);
        let owed = self.legs.entry(port).or_default();
        let anew = Owed { since: now, last: now };
        *owed = (peer.send && peer.proven).then(|| owed.unwrap_or(anew));
    }

    /// A packet leaves.
    pub(crate) fn sent(&mut self, now: Instant, port: PortId, packet: &[u8]) {
        if packet.get(1).is_some_and(|kind| RTCP.contains(kind)) {
            return;
        }
        self.settle(now, port);
        if let Some(Some(owed)) = self.legs.get_mut(&port) {
            owed.last = now;
        }
    }

    pub(super) fn close(&mut self, now: Instant, port: PortId) {
        self.settle(now, port);
        self.legs.remove(&port);
    }

    fn settle(&mut self, now: Instant, port: PortId) {
        let Some(Some(owed)) = self.legs.get(&port) else { return };
        let pause = now - owed.last;
        self.longest = self.longest.max(pause);
        if pause > PAUSE_MAX {
            self.broken.push(format!("nothing was sent from {port:?} for {pause:?}"));
        }
    }

    /// The process ends: what it owed until now is judged. The next one owes to those whom it
    /// connects, and may have given a port to somebody else.
    pub(super) fn die(&mut self, now: Instant) {
        let ports: Vec<_> = self.legs.keys().copied().collect();
        ports.into_iter().for_each(|port| self.settle(now, port));
        self.legs.clear();
    }

    /// Since when packets are owed, without a break.
    pub(super) fn owed_since(&self, port: PortId) -> Option<Instant> {
        self.legs.get(&port)?.map(|owed| owed.since)
    }

    /// What is wrong, and is now.
    pub(super) fn check(&self, now: Instant, broken: &mut Vec<String>) {
        broken.extend(self.broken.iter().cloned());
        for (port, owed) in &self.legs {
            let pause = owed.map(|owed| now - owed.last).unwrap_or_default();
            if pause > PAUSE_MAX {
                broken.push(format!("nothing is sent from {port:?}, for {pause:?}"));
            }
        }
    }
}
