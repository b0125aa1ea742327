//! The RTP ports that are free.
//!
//! Owns which even port is taken, free or resting. Opens no socket: who takes a port here asks for
//! it with [`crate::media::Command::Open`].

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::media::Config;

/// Even ports, handed out in rotation. A port that comes back rests before it is handed out again,
/// so that a new caller can't hear the late packets of an old one.
#[derive(Clone, Debug)]
pub struct PortPool {
    /// Free ports that have rested, the longest unused first.
    fresh: VecDeque<u16>,
    /// Free ports and when each has rested, in the order in which they came back.
    resting: VecDeque<(Instant, u16)>,
    taken: BTreeSet<u16>,
    rest: Duration,
}

impl PortPool {
    /// A pool of the even ports of `config.ports` whose RTCP neighbor is in the range too.
    pub fn new(config: &Config) -> Self {
        let (first, last) = config.ports;
        let last = last.min(u16::MAX - 1);
        let fresh = (first..=last).filter(|port| port % 2 == 0 && *port != 0).collect();
        let (resting, taken) = (VecDeque::new(), BTreeSet::new());
        Self { fresh, resting, taken, rest: config.port_rest }
    }

    /// Takes a port; `None` while all are taken or resting.
    pub fn take(&mut self, now: Instant) -> Option<u16> {
        while let Some((_, port)) = self.resting.pop_front_if(|(at, _)| *at <= now) {
            self.fresh.push_back(port);
        }
        let port = self.fresh.pop_front()?;
        self.taken.insert(port);
        Some(port)
    }

    /// Takes this port, which was in use before a restart; `false`: it is taken already. One that
    /// is not of the range (any more) serves as well, and does not come back. The rotation goes on
    /// behind it: those that were free last have had the shortest rest, and are before it.
    pub fn claim(&mut self, port: u16) -> bool {
        match self.fresh.iter().position(|it| *it == port) {
            Some(at) => {
                self.fresh.rotate_left(at);
                self.fresh.pop_front();
                self.taken.insert(port)
            }
            None => !self.taken.contains(&port),
        }
    }

    /// Gives a port back; nothing happens when it was not taken from here.
    pub fn give_back(&mut self, now: Instant, port: u16) {
        if self.taken.remove(&port) {
            self.resting.push_back((now + self.rest, port));
        }
    }

    /// How many ports are taken.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use super::*;

    fn pool(ports: (u16, u16)) -> PortPool {
        let port_rest = Duration::from_secs(30);
        PortPool::new(&Config { ports, port_rest, ..Config::default() })
    }

    #[test]
    fn hands_out_even_ports_in_rotation() {
        let t0 = Instant::now();
        let mut pool = pool((30_001, 30_006));
        assert_eq!(pool.take(t0), Some(30_002));
        pool.give_back(t0, 30_002);
        assert_eq!(pool.take(t0), Some(30_004));
        assert_eq!(pool.take(t0), Some(30_006));
        assert_eq!(pool.take(t0), None);
        assert_eq!(pool.taken(), 2);
    }

    #[test]
    fn a_freed_port_rests() {
        let t0 = Instant::now();
        let mut pool = pool((30_000, 30_000));
        assert_eq!(pool.take(t0), Some(30_000));
        pool.give_back(t0, 30_000);
        pool.give_back(t0, 30_000);
        pool.give_back(t0, 40_000);
        assert_eq!(pool.take(t0 + Duration::from_millis(29_999)), None);
        assert_eq!(pool.take(t0 + Duration::from_secs(30)), Some(30_000));
        assert_eq!(pool.take(t0 + Duration::from_secs(99)), None);
    }

    #[test]
    fn after_a_restart_the_rotation_goes_on() {
        let t0 = Instant::now();
        let mut pool = pool((30_000, 30_009));
        assert!(pool.claim(30_002) && pool.claim(30_004) && !pool.claim(30_004));
        let next: Vec<_> = std::iter::from_fn(|| pool.take(t0)).collect();
        assert_eq!(next, [30_006, 30_008, 30_000]);
    }

    #[test]
    fn the_ends_of_the_range_are_safe() {
        let t0 = Instant::now();
        assert_eq!(pool((65_534, 65_535)).take(t0), Some(65_534));
        assert_eq!(pool((0, 1)).take(t0), None);
        assert_eq!(pool((5, 4)).take(t0), None);
    }
}
