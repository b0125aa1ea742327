//! Callers who are not to be connected again for a while ("not tonight"), without knowing who they
//! are.
//!
//! Owns the keys, the tokens that were made of numbers by them, and when each is over. A token is
//! HMAC-SHA-256 of the number, cut to 64 bits, and there is one only of a caller whom a supervisor
//! has chosen. A key is random, and gone with all of its tokens when its life is over, or sooner
//! when none of them is left: after that nobody can find out, with the number in hand either, whom
//! it was about. What a caller hears is the trunk stage's; who may choose is the switchboard's.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::config::Repeat as Rules;
use crate::chance::Chance;
use crate::pii::Pii;
use crate::time::Instant;

/// Bytes of a key.
pub(super) const KEY: usize = 32;

/// A key, and the callers who are known by it.
pub(super) struct Generation {
    pub(super) key: Zeroizing<[u8; KEY]>,
    /// When it is gone, whatever is known by it.
    pub(super) dies: Instant,
    /// Tokens, and when each is over.
    pub(super) tokens: BTreeMap<u64, Instant>,
}

/// Everybody who is not to be connected. The newest key comes last.
#[derive(Default)]
pub(super) struct Repeat {
    generations: Vec<Generation>,
}

/// There are as many as may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Repeat {
    /// Whether this caller is not to be connected now.
    pub(super) fn holds(&self, now: Instant, number: &Pii) -> bool {
        self.generations.iter().any(|generation| {
            let until = generation.tokens.get(&generation.token(number));
            now < generation.dies && until.is_some_and(|until| now < *until)
        })
    }

    /// From here on this caller is not to be connected, for as long as the rules say.
    ///
    /// # Errors
    /// When as many others are known as may be.
    pub(super) fn add(
        &mut self,
        now: Instant,
        number: &Pii,
        rules: &Rules,
        chance: &mut Chance,
    ) -> Result<(), Full> {
        self.expire(now);
        let tokens: Vec<_> = self.generations.iter().map(|it| it.token(number)).collect();
        let known = self.generations.iter().zip(&tokens);
        let known = known.filter(|(it, token)| it.tokens.contains_key(*token)).count();
        if known == 0 && self.count() >= rules.max {
            return Err(Full);
        }
        for (generation, token) in self.generations.iter_mut().zip(&tokens) {
            generation.tokens.remove(token);
        }
        let until = now + rules.limit;
        // A key is not used for what would outlive it: no limit ends early because a key does.
        if self.generations.last().is_none_or(|last| last.dies < until) {
            let mut key = Zeroizing::new([0; KEY]);
            chance.fill(&mut *key);
            let dies = now + rules.key_life;
            self.generations.push(Generation { key, dies, tokens: BTreeMap::new() });
        }
        if let Some(last) = self.generations.last_mut() {
            let token = last.token(number);
            last.tokens.insert(token, until.min(last.dies));
        }
        self.expire(now);
        Ok(())
    }

    /// Forgets everybody, and the keys; how many they were.
    pub(super) fn lift(&mut self) -> usize {
        let count = self.count();
        self.generations.clear();
        count
    }

    /// Forgets what is over.
    pub(super) fn expire(&mut self, now: Instant) {
        for generation in &mut self.generations {
            generation.tokens.retain(|_, until| now < *until);
        }
        self.generations.retain(|it| now < it.dies && !it.tokens.is_empty());
    }

    /// When there is next something to forget.
    pub(super) fn due(&self) -> Option<Instant> {
        let tokens = self.generations.iter().flat_map(|it| it.tokens.values());
        tokens.chain(self.generations.iter().map(|it| &it.dies)).min().copied()
    }

    /// How many callers are not to be connected.
    pub(super) fn count(&self) -> usize {
        self.generations.iter().map(|it| it.tokens.len()).sum()
    }

    /// What is kept over a restart of the process, oldest first.
    pub(super) fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// Takes up what was kept, oldest first.
    pub(super) fn take_up(&mut self, generation: Generation) {
        self.generations.push(generation);
    }
}

impl Generation {
    fn token(&self, number: &Pii) -> u64 {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&*self.key) else { return 0 };
        // Here the number is turned into what does not tell it.
        let digest = mac.chain_update(number.expose()).finalize().into_bytes();
        digest.iter().take(8).fold(0, |token, byte| token << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const RULES: Rules = Rules {
        limit: Duration::from_secs(12 * 3600),
        max: 3,
        key_life: Duration::from_secs(7 * 86_400),
    };

    fn number(n: u32) -> Pii {
        Pii::new(format!("0901111{n:04}"))
    }

    #[test]
    fn a_caller_is_known_until_it_is_over_and_others_are_not() {
        let (mut repeat, mut chance) = (Repeat::default(), Chance::from_number(1));
        let now = Instant::now();
        repeat.add(now, &number(1), &RULES, &mut chance).unwrap();
        assert!(repeat.holds(now, &number(1)) && !repeat.holds(now, &number(2)));
        assert!(repeat.holds(now + 12 * HOUR - Duration::from_secs(1), &number(1)));
        assert!(!repeat.holds(now + 12 * HOUR, &number(1)));
        assert_eq!(repeat.due(), Some(now + 12 * HOUR));
        repeat.expire(now + 12 * HOUR);
        assert_eq!((repeat.count(), repeat.generations.len()), (0, 0), "the key is gone too");
    }

    #[test]
    fn said_again_it_counts_once_and_lasts_longer() {
        let (mut repeat, mut chance) = (Repeat::default(), Chance::from_number(1));
        let now = Instant::now();
        for hour in 0..3 {
            repeat.add(now + hour * HOUR, &number(1), &RULES, &mut chance).unwrap();
        }
        assert_eq!(repeat.count(), 1);
        assert!(repeat.holds(now + 13 * HOUR, &number(1)));
        repeat.add(now, &number(2), &RULES, &mut chance).unwrap();
        repeat.add(now, &number(3), &RULES, &mut chance).unwrap();
        assert_eq!(repeat.add(now, &number(4), &RULES, &mut chance), Err(Full));
        assert!(!repeat.holds(now, &number(4)));
        // Fewer may be known from now on: whoever is stays so.
        let fewer = Rules { max: 1, ..RULES };
        repeat.add(now, &number(1), &fewer, &mut chance).unwrap();
        assert!(repeat.holds(now, &number(1)));
        assert_eq!(repeat.lift(), 3);
        assert!(repeat.generations.is_empty() && !repeat.holds(now, &number(1)));
    }

    /// The same number has another token under the next key, and no limit is cut short.
    #[test]
    fn keys_change_and_take_their_tokens_along() {
        let (mut repeat, mut chance) = (Repeat::default(), Chance::from_number(1));
        let now = Instant::now();
        let mut keys = vec![];
        for hours in (0..24 * 21).step_by(6) {
            let now = now + hours * HOUR;
            repeat.add(now, &number(hours % 5), &RULES, &mut chance).unwrap();
            assert!(repeat.holds(now + 12 * HOUR - Duration::from_secs(1), &number(hours % 5)));
            assert!(repeat.generations.len() <= 2);
            for generation in &repeat.generations {
                assert!(generation.dies <= now + RULES.key_life);
                if !keys.contains(&generation.key) {
                    keys.push(generation.key.clone());
                }
            }
        }
        assert!((3..6).contains(&keys.len()), "{} keys in three weeks", keys.len());
        let tokens = keys.iter().map(|key| {
            let key = key.clone();
            Generation { key, dies: now, tokens: BTreeMap::new() }.token(&number(1))
        });
        assert_eq!(tokens.collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    }

    /// RFC 4231 §4.3 (a key of "Jefe" is one of 32 bytes that ends with noughts), cut to 64 bits.
    #[test]
    fn a_token_is_the_beginning_of_the_hmac() {
        let mut key = Zeroizing::new([0; KEY]);
        key[..4].copy_from_slice(b"Jefe");
        let tokens = BTreeMap::new();
        let generation = Generation { key, dies: Instant::now(), tokens };
        let token = generation.token(&Pii::new("what do ya want for nothing?"));
        assert_eq!(token, 0x5bdc_c146_bf60_754e);
    }
}
