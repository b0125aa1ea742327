//! How often somebody may guess a password: few times a minute.
//!
//! Owns the counts. A wrong guess costs a place until its minute is over; a right one costs
//! nothing. What counts is which account is tried from which address: whoever guesses at somebody
//! else's account shuts it to themselves alone. Against many addresses at once all guesses at an
//! account are counted too, but not for an address from which it has signed in before, so that
//! nobody is kept out where they are at home.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long a wrong guess counts.
const MINUTE: Duration = Duration::from_secs(60);
/// Wrong guesses at one account from one address within a minute.
const BY_BOTH: usize = 5;
/// Wrong guesses from one address within a minute, whatever the account.
const BY_ADDRESS: usize = 10;
/// Wrong guesses at one account within a minute, from all addresses together.
const BY_ACCOUNT: usize = 30;
/// Wrong guesses of a minute that are remembered; beyond it everybody waits who is not at home.
const REMEMBERED: usize = 2_000;
/// Homes that are remembered; one more takes the place of the one that was longest not used.
const HOMES: usize = 2_000;
/// Characters of a name that are remembered: no account has more.
const NAME_MAX: usize = 32;

/// Wrong guesses of the last minute.
#[derive(Debug, Default)]
pub(in crate::console) struct Guesses {
    /// Oldest first.
    wrong: VecDeque<(Instant, Try)>,
    /// What was right since the service began, the latest last.
    homes: VecDeque<Try>,
}

/// Which account was tried, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Try {
    account: String,
    from: IpAddr,
}

impl Try {
    fn new(account: &str, from: IpAddr) -> Self {
        Self { account: known_as(account), from: network(from) }
    }
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
        self.wrong.retain(|(at, _)| now.duration_since(*at) < MINUTE);
        let this = Try::new(account, from);
        let mut places = vec![
            self.wait(now, BY_BOTH, |it| *it == this),
            self.wait(now, BY_ADDRESS, |it| it.from == this.from),
        ];
        if !self.homes.contains(&this) {
            places.push(self.wait(now, BY_ACCOUNT, |it| it.account == this.account));
            places.push(self.wait(now, REMEMBERED, |_| true));
        }
        if let Some(wait) = places.into_iter().flatten().max() {
            return Err(wait);
        }
        self.wrong.push_back((now, this));
        Ok(())
    }

    /// This account was tried from here with the right password.
    pub(in crate::console) fn was_right(&mut self, account: &str, from: IpAddr) {
        let this = Try::new(account, from);
        self.wrong.retain(|(_, it)| *it != this);
        self.homes.retain(|it| *it != this);
        if self.homes.len() >= HOMES {
            self.homes.pop_front();
        }
        self.homes.push_back(this);
    }

    /// How long until there is a place again among `most`.
    fn wait(&self, now: Instant, most: usize, fits: impl Fn(&Try) -> bool) -> Option<Duration> {
        let mut fitting = self.wrong.iter().rev().filter(|(_, it)| fits(it));
        let (at, _) = fitting.nth(most - 1)?;
        Some(MINUTE.saturating_sub(now.duration_since(*at)))
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    #[test]
    fn wrong_guesses_are_few_a_minute_and_right_ones_free() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(guesses.begin(start, "Aoki", from(1)), Ok(()));
        }
        assert_eq!(guesses.begin(start, "aoki", from(1)), Err(MINUTE));
        assert_eq!(guesses.begin(start, "baba", from(1)), Ok(()));
        let later = start + Duration::from_secs(60);
        assert_eq!(guesses.begin(later, "aoki", from(1)), Ok(()));
        for _ in 0..100 {
            assert_eq!(guesses.begin(later, "chiba", from(7)), Ok(()));
            guesses.was_right("chiba", from(7));
        }
        for n in 0..10 {
            assert_eq!(guesses.begin(later, &format!("nobody{n}"), from(8)), Ok(()));
        }
        assert!(guesses.begin(later, "somebody", from(8)).is_err());
        // Whoever has an account of their own gets no more guesses at others by it.
        for n in 0..10 {
            assert_eq!(guesses.begin(later, &format!("nobody{n}"), from(9)), Ok(()));
        }
        guesses.was_right("own", from(9));
        assert!(guesses.begin(later, "somebody", from(9)).is_err());
    }

    #[test]
    fn nobody_shuts_an_account_to_others_where_they_are_at_home() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        guesses.was_right("aoki", from(1));
        for _ in 0..5 {
            assert_eq!(guesses.begin(start, "aoki", from(66)), Ok(()));
        }
        assert!(guesses.begin(start, "aoki", from(66)).is_err());
        // From one address nothing is shut to any other, known or not.
        assert_eq!(guesses.begin(start, "aoki", from(2)), Ok(()));
        // Many addresses at once have 30 guesses together, ...
        let more = (100..200).filter(|n| guesses.begin(start, "aoki", from(*n)).is_ok());
        assert_eq!(more.count(), 24);
        assert!(guesses.begin(start, "aoki", from(3)).is_err());
        // ... and still whoever is at home has their five.
        for _ in 0..5 {
            assert_eq!(guesses.begin(start, "aoki", from(1)), Ok(()));
        }
        assert!(guesses.begin(start, "aoki", from(1)).is_err());
    }

    #[test]
    fn what_is_remembered_is_not_more_than_it_may_be() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        guesses.was_right("aoki", from(1));
        let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]);
        let mut taken = 0;
        for n in 0..5_000 {
            taken += usize::from(guesses.begin(start, &format!("nobody{n}"), at(n)).is_ok());
            guesses.was_right("own", at(n));
        }
        assert_eq!((taken, guesses.wrong.len(), guesses.homes.len()), (2_000, 2_000, 2_000));
        assert!(guesses.begin(start, "somebody", from(3)).is_err());
        assert!(guesses.begin(start + MINUTE, "somebody", from(3)).is_ok());
    }

    #[test]
    fn neither_long_names_nor_the_many_addresses_of_one_house_are_more_guesses() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        for n in 0..10 {
            assert_eq!(guesses.begin(start, &format!("nobody{n}"), at(n)), Ok(()));
        }
        assert!(guesses.begin(start, "somebody", at(99)).is_err());
        let neighbor = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert_eq!(guesses.begin(start, &"x".repeat(500_000), neighbor), Ok(()));
        assert!(guesses.wrong.iter().all(|(_, it)| it.account.len() <= NAME_MAX));
        // As often as there are addresses of IPv4 in IPv6.
        let four = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0207]);
        assert_eq!(network(four), IpAddr::from([192, 0, 2, 7]));
    }
}
