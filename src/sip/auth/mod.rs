//! Digest access authentication (RFC 2617, 7616, as SIP uses it: RFC 3261 §22 and RFC 8760).
//!
//! Owns the arithmetic, both header forms, the server's [`Guard`] and the client's [`answer()`].
//! Does not own accounts (a trait asks for them), responses (the caller prints them), or the rule
//! whom a credential may be sent to: [`crate::sip::registration`] alone calls [`answer()`], and
//! only for the peer that the credential belongs to.
//!
//! What is offered: MD5, or SHA-256 then MD5 for an account that has both, always with
//! `qop="auth"`. SHA-512-256 is never offered: several phones stop at an algorithm that they don't
//! know.

mod answer;
mod digest;
mod guard;
mod limiter;
mod nonce;
mod params;

pub use answer::{Asked, answer, choose};
pub use digest::{Algorithm, Proof, Terms, ha1, response};
pub use guard::{Accounts, Guard, Ha1, Settings, Sha256Users, Source, Verdict};
pub use params::{Challenge, Credentials, Error, Qop};

use crate::chance::Chance;

/// Characters of a new password; 5 bits each, 100 bits in all.
const PASSWORD_LEN: usize = 20;

/// A new password for an extension: without look-alike characters, since people type it.
pub fn new_password(chance: &mut Chance) -> String {
    chance.token(PASSWORD_LEN)
}

#[cfg(test)]
mod tests;
