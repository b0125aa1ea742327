//! Chance: tags, branches, call ids, SSRCs, nonces and ties, from one seeded generator.
//!
//! Owns the generator. Production seeds it with 32 bytes of the operating system's entropy, which
//! makes its output unguessable (ChaCha); tests seed it with a number, which makes it repeatable.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A seeded source of unguessable values.
#[derive(Clone)]
pub struct Chance(ChaCha12Rng);

impl Chance {
    /// A generator from 32 bytes of entropy.
    pub fn from_entropy(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// A repeatable generator, for tests and replays.
    pub fn from_number(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A generator of its own for a part of the program, so that the parts don't disturb each
    /// other.
    pub fn split(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::from_entropy(seed)
    }

    /// 32 random bits.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.next_u64() % limit }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A token of `len` characters out of `0-9a-z` without look-alikes (5 bits each).
    pub fn token(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        (0..len).map(|_| char::from(ALPHABET[(self.0.next_u32() & 31) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_tokens() {
        let (mut a, mut b) = (Chance::from_number(7), Chance::from_number(7));
        assert_eq!(a.token(16), b.token(16));
        assert_ne!(a.split().token(16), a.token(16));
    }
}
