//! How often somebody may guess a password: few times a minute, by account and by address.
//!
//! Owns the counts. A wrong guess costs a place until its minute is over; a right one costs
//! nothing. Nobody is locked out for longer, so that nobody can lock somebody else out for good.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long a wrong guess counts.
const MINUTE: Duration = Duration::from_secs(60);
/// Wrong guesses of one account within a minute.
const BY_ACCOUNT: usize = 5;
/// Wrong guesses from one address within a minute: a whole office may come from one.
const BY_ADDRESS: usize = 20;
/// Names and addresses that are remembered; beyond it everybody waits.
const REMEMBERED: usize = 10_000;
/// Characters of a name that are remembered: no account has more.
const NAME_MAX: usize = 32;

/// Wrong guesses of the last minute.
#[derive(Debug, Default)]
pub(in crate::console) struct Guesses {
    accounts: BTreeMap<String, VecDeque<Instant>>,
    addresses: BTreeMap<IpAddr, VecDeque<Instant>>,
}

impl Guesses {
    /// Takes a guess in hand: it counts as wrong until [`Guesses::was_right`]. The error is how
    /// long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub(in crate::console) fn begin(
        &mut self,
        now: Instant,
        account: &str,
        from: IpAddr,
    ) -> Result<(), Duration> {
        forget(&mut self.accounts, now);
        forget(&mut self.addresses, now);
        let (account, from) = (known_as(account), network(from));
        let places = [
            wait(&self.accounts, &account, BY_ACCOUNT, now),
            wait(&self.addresses, &from, BY_ADDRESS, now),
        ];
        if let Some(wait) = places.into_iter().flatten().max() {
            return Err(wait);
        }
        self.accounts.entry(account).or_default().push_back(now);
        self.addresses.entry(from).or_default().push_back(now);
        Ok(())
    }

    /// The guess that began last for this account was right.
    pub(in crate::console) fn was_right(&mut self, account: &str, from: IpAddr) {
        self.accounts.remove(&known_as(account));
        if let Some(times) = self.addresses.get_mut(&network(from)) {
            times.pop_back();
        }
    }
}

/// A name, as it is remembered: whoever types a book for a name fills no memory.
fn known_as(account: &str) -> String {
    account.chars().take(NAME_MAX).flat_map(char::to_lowercase).collect()
}

/// An address, as it is remembered: in IPv6 everybody has the last half of it to themselves.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(own) => Ipv6Addr::from_bits(own.to_bits() & !u128::from(u64::MAX)).into(),
        canonical @ IpAddr::V4(_) => canonical,
    }
}

fn forget<K: Ord>(all: &mut BTreeMap<K, VecDeque<Instant>>, now: Instant) {
    all.retain(|_, times| {
        times.retain(|at| now.duration_since(*at) < MINUTE);
        !times.is_empty()
    });
}

fn wait<K: Ord + Hash>(
    all: &BTreeMap<K, VecDeque<Instant>>,
    key: &K,
    most: usize,
    now: Instant,
) -> Option<Duration> {
    match all.get(key) {
        Some(times) if times.len() >= most => {
            times.front().map(|first| MINUTE.saturating_sub(now.duration_since(*first)))
        }
        Some(_) => None,
        None => (all.len() >= REMEMBERED).then_some(MINUTE),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn wrong_guesses_are_few_a_minute_and_right_ones_free() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let from = |n| IpAddr::from(Ipv4Addr::new(127, 0, 0, n));
        for n in 0..5 {
            assert_eq!(guesses.begin(start, "Aoki", from(n)), Ok(()));
        }
        assert_eq!(guesses.begin(start, "aoki", from(9)), Err(MINUTE));
        assert_eq!(guesses.begin(start, "baba", from(9)), Ok(()));
        let later = start + Duration::from_secs(60);
        assert_eq!(guesses.begin(later, "aoki", from(9)), Ok(()));
        for _ in 0..100 {
            assert_eq!(guesses.begin(later, "chiba", from(7)), Ok(()));
            guesses.was_right("chiba", from(7));
        }
        for n in 0..20 {
            assert_eq!(guesses.begin(later, &format!("nobody{n}"), from(8)), Ok(()));
        }
        assert!(guesses.begin(later, "somebody", from(8)).is_err());
    }

    #[test]
    fn neither_long_names_nor_the_many_addresses_of_one_house_are_more_guesses() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        for n in 0..20 {
            assert_eq!(guesses.begin(start, &format!("nobody{n}"), at(n)), Ok(()));
        }
        assert!(guesses.begin(start, "somebody", at(99)).is_err());
        let neighbor = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert_eq!(guesses.begin(start, &"x".repeat(500_000), neighbor), Ok(()));
        assert!(guesses.accounts.keys().all(|name| name.len() <= NAME_MAX));
        // As often as there are addresses of IPv4 in IPv6.
        let four = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0207]);
        assert_eq!(network(four), IpAddr::from([192, 0, 2, 7]));
    }
}
