//! How much of what comes from whom is looked at: judged by the address alone, before a message is
//! read.
//!
//! Owns the buckets, a fixed number of them: each source has its own as long as no other falls on
//! the same one, which nobody can arrange from outside. Nobody is ever banned: a bucket fills again
//! by itself. Who is a peer is for the call path to say; what a peer sends is never counted,
//! because its address may be forged by whoever wants it silenced.

use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::chance::Chance;
use crate::time::{Bucket, Rate};

/// Seconds of messages that may come at once.
const BURST: u32 = 10;

/// What may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages a second from one source.
    pub of_source: u32,
    /// Messages a second from all strangers together.
    pub of_strangers: u32,
    /// Buckets of sources.
    pub max_sources: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { of_source: 10, of_strangers: 500, max_sources: 4_096 }
    }
}

/// Whose a message seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A trunk's, or a phone's that is registered by this very flow.
    Peer,
    /// From an address where a phone is registered, which may be on its way back from another port:
    /// limited as a source, but not crowded out by all the others.
    Neighbor,
    /// By a stream, whose source can't be forged: limited as one source, apart from what datagrams
    /// say to be of it, and not crowded out either.
    Stream,
    /// Anybody's.
    Stranger,
}

/// Lets in what there is room for.
#[derive(Debug)]
pub struct Floodgate {
    limits: Limits,
    key: u64,
    sources: Vec<Bucket>,
    strangers: Bucket,
    refused: u64,
}

impl Floodgate {
    /// A gate with full buckets, and a key of its own by which sources are told apart.
    pub fn new(now: Instant, limits: Limits, chance: &mut Chance) -> Self {
        let sources = vec![Bucket::full(now); limits.max_sources.max(1)];
        Self { limits, key: chance.u64(), sources, strangers: Bucket::full(now), refused: 0 }
    }

    /// Takes other limits; another number of buckets begins with full ones.
    pub fn set_limits(&mut self, now: Instant, limits: Limits) {
        if limits.max_sources != self.limits.max_sources {
            self.sources = vec![Bucket::full(now); limits.max_sources.max(1)];
        }
        self.limits = limits;
    }

    /// Whether a message from there is looked at.
    pub fn admits(&mut self, now: Instant, address: IpAddr, standing: Standing) -> bool {
        if standing == Standing::Peer {
            return true;
        }
        let of_source = Rate::per_second(self.limits.of_source, BURST);
        let of_strangers = Rate::per_second(self.limits.of_strangers, BURST);
        let at = self.slot(address, standing == Standing::Stream);
        let is_let_in = self.sources.get_mut(at).is_some_and(|it| it.take(now, of_source))
            && (standing != Standing::Stranger || self.strangers.take(now, of_strangers));
        self.refused += u64::from(!is_let_in);
        is_let_in
    }

    /// How many messages were not looked at.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn slot(&self, address: IpAddr, is_stream: bool) -> usize {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.key);
        hasher.write_u8(is_stream.into());
        match source(address) {
            IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
        }
        let count = u64::try_from(self.sources.len()).unwrap_or(1);
        usize::try_from(hasher.finish() % count).unwrap_or(0)
    }
}

/// Who counts as one source: an IPv4 address, or the /64 that one site has of IPv6.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits { of_source: 2, of_strangers: 6, max_sources: 1_000 };

    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn gate() -> (Instant, Floodgate) {
        let t0 = Instant::now();
        (t0, Floodgate::new(t0, LIMITS, &mut Chance::from_number(1)))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of 1,000 at once are let in.
    fn let_in(gate: &mut Floodgate, now: Instant, address: &str, standing: Standing) -> usize {
        (0..1_000).filter(|_| gate.admits(now, ip(address), standing)).count()
    }

    #[test]
    fn what_comes_by_a_stream_is_not_crowded_out_by_forged_datagrams() {
        let (t0, mut gate) = gate();
        for n in 0..200 {
            let_in(&mut gate, t0, &format!("198.51.100.{n}"), Standing::Stranger);
        }
        let_in(&mut gate, t0, "192.0.2.1", Standing::Stranger);
        assert_eq!(let_in(&mut gate, t0, "192.0.2.1", Standing::Stream), 20);
    }

    #[test]
    fn a_source_has_ten_seconds_worth_at_once_and_then_its_rate() {
        let (t0, mut gate) = gate();
        assert_eq!(let_in(&mut gate, t0, "192.0.2.1", Standing::Stranger), 20);
        let at = |ms| t0 + Duration::from_millis(ms);
        assert_eq!(let_in(&mut gate, at(499), "192.0.2.1", Standing::Stranger), 0);
        assert_eq!(let_in(&mut gate, at(500), "192.0.2.1", Standing::Stranger), 1);
        assert_eq!(let_in(&mut gate, at(3_000), "192.0.2.1", Standing::Stranger), 5);
        // Others are not touched by it.
        assert_eq!(let_in(&mut gate, at(3_000), "192.0.2.2", Standing::Stranger), 20);
        assert_eq!(gate.refused(), 1_000 - 20 + 1_000 + 999 + 995 + 980);
    }

    #[test]
    fn a_peer_is_never_counted_whoever_sends_in_its_name() {
        let (t0, mut gate) = gate();
        assert_eq!(let_in(&mut gate, t0, "192.0.2.1", Standing::Peer), 1_000);
        assert_eq!(let_in(&mut gate, t0, "192.0.2.1", Standing::Stranger), 20);
        assert_eq!(let_in(&mut gate, t0, "192.0.2.1", Standing::Peer), 1_000);
    }

    #[test]
    fn all_strangers_together_have_a_limit_that_crowds_no_neighbor_out() {
        let (t0, mut gate) = gate();
        let addresses: Vec<_> = (0..100).map(|n| format!("192.0.2.{n}")).collect();
        let all = |gate: &mut Floodgate, now| -> usize {
            addresses.iter().map(|it| let_in(gate, now, it, Standing::Stranger)).sum()
        };
        assert_eq!(all(&mut gate, t0), 60);
        assert_eq!(all(&mut gate, t0 + Duration::from_secs(2)), 12);
        assert_eq!(let_in(&mut gate, t0, "198.51.100.1", Standing::Neighbor), 20);
    }

    #[test]
    fn a_phone_that_merely_tries_again_is_always_heard() {
        let (t0, mut gate) = gate();
        // A REGISTER, its answer to the challenge, and each repeated by Timer E, over and over.
        for round in 0..50 {
            for ms in [0, 20, 500, 520, 1_500, 1_520, 3_500, 7_500, 11_500] {
                let now = t0 + Duration::from_millis(round * 32_000 + ms);
                assert!(gate.admits(now, ip("192.0.2.1"), Standing::Stranger));
            }
        }
        assert_eq!(gate.refused(), 0);
    }

    #[test]
    fn ipv6_counts_by_its_64_and_mapped_ipv4_as_ipv4() {
        assert_eq!(source(ip("2001:db8::1")), source(ip("2001:db8::ffff:1")));
        assert_ne!(source(ip("2001:db8::1")), source(ip("2001:db8:0:1::1")));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn many_sources_take_no_more_room_and_lock_few_others_out() {
        let (t0, mut gate) = gate();
        // Each of 100 sources empties its bucket; all the others have theirs.
        for n in 0..100 {
            let_in(&mut gate, t0, &format!("10.0.0.{n}"), Standing::Neighbor);
        }
        let mut full = |n| let_in(&mut gate, t0, &format!("10.1.0.{n}"), Standing::Neighbor) == 20;
        let count = (0..100).filter(|n| full(*n)).count();
        assert!(count >= 80, "{count} of 100 are untouched");
        assert_eq!(gate.sources.len(), LIMITS.max_sources);
        gate.set_limits(t0, Limits { max_sources: 10, ..LIMITS });
        assert_eq!(gate.sources.len(), 10);
    }
}
