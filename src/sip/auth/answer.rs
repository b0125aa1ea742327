//! The client's side: the answer to a challenge (RFC 3261 §22.2, RFC 8760 §2.5).
//!
//! Owns the choice among challenges and the printing of `Authorization`. Keeps nothing: the caller
//! counts the uses of a nonce and must hold the credential for one peer only.

use super::digest::{Algorithm, Proof, Terms, ha1, response};
use super::params::{Challenge, Qop, quotable};
use crate::chance::Chance;
use crate::pii::Pii;

/// Characters of a client nonce.
const CNONCE_LEN: usize = 16;

/// The request that is challenged, and who we are.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI, byte for byte.
    pub uri: &'a str,
    /// The name for the digest.
    pub user: &'a str,
    /// The password.
    pub password: &'a Pii,
    /// The how-manieth use of this nonce this is, from 1.
    pub count: u32,
}

/// The challenge to answer: the topmost that we can (the server puts its favorite first).
pub fn choose(challenges: &[Challenge]) -> Option<&Challenge> {
    challenges.iter().find(|c| {
        let is_session = c.algorithm.is_some_and(Algorithm::is_session);
        c.qop == Qop::Auth || !is_session
    })
}

/// The value of `Authorization` (after 401) or `Proxy-Authorization` (after 407) for `challenge`.
pub fn answer(challenge: &Challenge, asked: &Asked<'_>, chance: &mut Chance) -> String {
    let algorithm = challenge.algorithm.unwrap_or(Algorithm::Md5);
    let (cnonce, nc) = (chance.token(CNONCE_LEN), format!("{:08x}", asked.count));
    let qop = match challenge.qop {
        Qop::Auth => Some(Proof { cnonce: &cnonce, nc: &nc }),
        Qop::None => None,
    };
    let proof = Pii::new(ha1(algorithm, asked.user, &challenge.realm, asked.password.expose()));
    let terms = Terms { method: asked.method, uri: asked.uri, nonce: &challenge.nonce, qop };
    let mut out = format!(
        r#"Digest username="{}", realm="{}", nonce="{}", uri="{}", response="{}""#,
        quotable(asked.user),
        challenge.realm,
        challenge.nonce,
        asked.uri,
        response(algorithm, proof.expose(), &terms),
    );
    if let Some(algorithm) = challenge.algorithm {
        out += &format!(", algorithm={}", algorithm.as_str());
    }
    if let Some(opaque) = &challenge.opaque {
        out += &format!(r#", opaque="{opaque}""#);
    }
    if let Some(Proof { cnonce, nc }) = qop {
        out += &format!(r#", qop=auth, nc={nc}, cnonce="{cnonce}""#);
    }
    out
}
