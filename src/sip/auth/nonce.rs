//! Nonces (RFC 7616 §3.3) that need no memory until they are used, and the record of their uses.
//!
//! A nonce is a moment of the monotonic clock, a serial number, and a keyed hash of both and of the
//! address that it was given to. Only nonces that came back with a right response are recorded, so
//! that a flood of requests fills nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::digest::hex;

/// Bytes of the keyed hash that are kept: 128 bits.
const MAC_LEN: usize = 16;
/// Hex digits of the moment and the serial number.
const HEAD_LEN: usize = 24;

/// Which nonce: milliseconds since the start, then the serial number. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NonceId(u64, u32);

/// Where a nonce stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Ours, given to this address, young enough.
    Good(NonceId),
    /// Ours, given to this address, but too old.
    Old,
    /// Not ours (perhaps of an earlier run), or given to another address.
    Foreign,
}

/// Gives out nonces and judges those that come back.
pub(super) struct Nonces {
    key: [u8; 32],
    start: Instant,
    life: Duration,
    serial: u32,
    /// Uses of each nonce that proved right. At most `max`; the oldest makes room, and with it
    /// every nonce that is as old becomes too old to be used.
    used: BTreeMap<NonceId, Uses>,
    max: usize,
    /// Nonces up to this one are too old, whatever their age.
    floor: Option<NonceId>,
}

/// Which counts of a nonce have been seen: the highest, and the 64 below it.
#[derive(Clone, Copy, Debug)]
struct Uses {
    highest: u32,
    seen: u64,
}

impl Nonces {
    pub(super) fn new(now: Instant, key: [u8; 32], life: Duration, max: usize) -> Self {
        let (serial, used, floor) = (0, BTreeMap::new(), None);
        Self { key, start: now, life, serial, used, max: max.max(1), floor }
    }

    pub(super) fn set_life(&mut self, life: Duration) {
        self.life = life;
    }

    /// A nonce for `address`, never given before.
    pub(super) fn issue(&mut self, now: Instant, address: IpAddr) -> String {
        let id = NonceId(self.elapsed(now), self.serial);
        self.serial = self.serial.wrapping_add(1);
        self.print(id, address)
    }

    /// Judges a nonce that `address` shows.
    pub(super) fn age(&self, now: Instant, address: IpAddr, nonce: &str) -> Age {
        let Some(id) = read(nonce) else { return Age::Foreign };
        if !bool::from(self.print(id, address).as_bytes().ct_eq(nonce.as_bytes())) {
            return Age::Foreign;
        }
        let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        let is_old = id.0.saturating_add(life) <= self.elapsed(now);
        if is_old || self.floor.is_some_and(|f| id <= f) { Age::Old } else { Age::Good(id) }
    }

    /// Records a use that proved right. `false`: that count was used before, or is too far below
    /// the highest one. Without a count (no `qop`) a nonce is good once.
    pub(super) fn spend(&mut self, now: Instant, id: NonceId, count: Option<u32>) -> bool {
        self.forget_old(now);
        let count = count.unwrap_or(u32::MAX);
        if let Some(uses) = self.used.get_mut(&id) {
            return uses.add(count);
        }
        if self.used.len() >= self.max {
            let oldest = self.used.pop_first().map(|(oldest, _)| oldest);
            self.floor = self.floor.max(oldest);
        }
        self.used.insert(id, Uses { highest: count, seen: 1 });
        true
    }

    /// How many nonces are recorded.
    #[cfg(test)]
    pub(super) fn recorded(&self) -> usize {
        self.used.len()
    }

    fn forget_old(&mut self, now: Instant) {
        let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        let limit = self.elapsed(now).saturating_sub(life);
        while self.used.first_key_value().is_some_and(|(id, _)| id.0 < limit) {
            self.used.pop_first();
        }
    }

    fn elapsed(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn print(&self, id: NonceId, address: IpAddr) -> String {
        let head = format!("{:016x}{:08x}", id.0, id.1);
        // HMAC takes keys of every length.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return head };
        let octets = match address {
            IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
            IpAddr::V6(a) => a.octets(),
        };
        let tag = mac.chain_update(head.as_bytes()).chain_update(octets).finalize().into_bytes();
        head + &hex(&tag[..MAC_LEN])
    }
}

impl Uses {
    fn add(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let Some(bit) = 1_u64.checked_shl(self.highest - count) else { return false };
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

fn read(nonce: &str) -> Option<NonceId> {
    let head = nonce.get(..HEAD_LEN)?;
    if nonce.len() != HEAD_LEN + 2 * MAC_LEN || !head.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let moment = u64::from_str_radix(head.get(..16)?, 16).ok()?;
    Some(NonceId(moment, u32::from_str_radix(head.get(16..)?, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn nonces(max: usize) -> (Instant, Nonces) {
        let t0 = Instant::now();
        (t0, Nonces::new(t0, [7; 32], Duration::from_secs(300), max))
    }

    fn good(n: &Nonces, now: Instant, nonce: &str) -> NonceId {
        match n.age(now, HERE, nonce) {
            Age::Good(id) => id,
            other @ (Age::Old | Age::Foreign) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_is_new_and_bound_to_its_address() {
        let (t0, mut n) = nonces(4);
        let (a, b) = (n.issue(t0, HERE), n.issue(t0, HERE));
        assert_ne!(a, b);
        good(&n, t0, &a);
        assert_eq!(n.age(t0, "192.0.2.1".parse().unwrap(), &a), Age::Foreign);
        assert_eq!(n.age(t0, HERE, &a.to_uppercase()), Age::Foreign);
        assert_eq!(n.age(t0, HERE, &a[..55]), Age::Foreign);
        assert_eq!(n.age(t0, HERE, ""), Age::Foreign);
        assert_eq!(n.age(t0, HERE, &"é".repeat(28)), Age::Foreign);
    }

    #[test]
    fn life_ends_on_the_millisecond() {
        let (t0, mut n) = nonces(4);
        let nonce = n.issue(t0, HERE);
        good(&n, t0 + Duration::from_millis(299_999), &nonce);
        assert_eq!(n.age(t0 + Duration::from_secs(300), HERE, &nonce), Age::Old);
    }

    #[test]
    fn counts_may_come_out_of_order_but_not_twice() {
        let (t0, mut n) = nonces(4);
        let nonce = n.issue(t0, HERE);
        let id = good(&n, t0, &nonce);
        let tried = [2, 2, 1, 1, 66, 3, 2, 1000, 937, 936, 0, u32::MAX, 5];
        let taken = tried.map(|c| n.spend(t0, id, Some(c)));
        let right =
            [true, false, true, false, true, true, false, true, true, false, false, true, false];
        assert_eq!(taken, right);
    }

    #[test]
    fn without_a_count_a_nonce_is_good_once() {
        let (t0, mut n) = nonces(4);
        let nonce = n.issue(t0, HERE);
        let id = good(&n, t0, &nonce);
        assert!(n.spend(t0, id, None));
        assert!(!n.spend(t0, id, None));
        assert!(!n.spend(t0, id, Some(2)));
    }

    #[test]
    fn a_full_record_never_lets_a_replay_through() {
        let (t0, mut n) = nonces(2);
        let all: Vec<_> = (0..3).map(|_| n.issue(t0, HERE)).collect();
        for nonce in &all {
            let id = good(&n, t0, nonce);
            assert!(n.spend(t0, id, Some(1)));
        }
        assert_eq!(n.recorded(), 2);
        assert_eq!(n.age(t0, HERE, &all[0]), Age::Old);
        good(&n, t0, &all[1]);
    }

    #[test]
    fn the_record_empties_with_time() {
        let (t0, mut n) = nonces(9);
        for s in 0..5 {
            let now = t0 + Duration::from_secs(s * 200);
            let nonce = n.issue(now, HERE);
            let id = good(&n, now, &nonce);
            assert!(n.spend(now, id, Some(1)));
        }
        assert_eq!(n.recorded(), 2);
    }
}
