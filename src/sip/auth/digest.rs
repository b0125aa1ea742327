//! The arithmetic of the digest (RFC 7616 §3.4): HA1, HA2, response.
//!
//! Owns the algorithms that we know. Knows nothing of headers.

use md5::Md5;
use sha2::Sha256;
use sha2::digest::Digest;

use crate::pii::Pii;

/// A hash, and whether it is bound to a session (`-sess`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// `MD5`; also meant when no algorithm is named.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
}

impl Algorithm {
    /// Reads the value of `algorithm=`; `None` when we don't know it.
    pub fn parse(text: &str) -> Option<Self> {
        const ALL: [Algorithm; 4] =
            [Algorithm::Md5, Algorithm::Md5Sess, Algorithm::Sha256, Algorithm::Sha256Sess];
        ALL.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(text))
    }

    /// The value of `algorithm=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    /// Whether HA1 takes in the nonce and the cnonce.
    pub fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    /// Hash of the parts with colons between them, in hex.
    fn hash(self, parts: &[&str]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&joined::<Md5>(parts)),
            Self::Sha256 | Self::Sha256Sess => hex(&joined::<Sha256>(parts)),
        }
    }
}

fn joined<D: Digest>(parts: &[&str]) -> Vec<u8> {
    let mut state = D::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            state.update(b":");
        }
        state.update(part.as_bytes());
    }
    state.finalize().to_vec()
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let both = |b: &u8| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]];
    bytes.iter().flat_map(both).map(char::from).collect()
}

/// What an account's stored proof is: H(user:realm:password), in hex.
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user, realm, password])
}

/// What `qop=auth` adds to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// The client's nonce.
    pub cnonce: &'a str,
    /// How often the nonce has been used, as eight hex digits.
    pub nc: &'a str,
}

/// What a response is computed over, beside HA1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The digest-uri, byte for byte as in the header.
    pub uri: &'a str,
    /// The server's nonce.
    pub nonce: &'a str,
    /// `qop=auth`, or `None` for the old form of RFC 2069.
    pub qop: Option<Proof<'a>>,
}

/// The value of `response=` (RFC 7616 §3.4.1). `ha1` is the stored one, not bound to a session.
pub fn response(algorithm: Algorithm, ha1: &str, terms: &Terms<'_>) -> String {
    let ha2 = algorithm.hash(&[terms.method, terms.uri]);
    let bound;
    let ha1 = match (algorithm.is_session(), terms.qop) {
        (true, qop) => {
            let cnonce = qop.map_or("", |q| q.cnonce);
            bound = Pii::new(algorithm.hash(&[ha1, terms.nonce, cnonce]));
            bound.expose()
        }
        (false, _) => ha1,
    };
    match terms.qop {
        Some(q) => algorithm.hash(&[ha1, terms.nonce, q.nc, q.cnonce, "auth", &ha2]),
        None => algorithm.hash(&[ha1, terms.nonce, &ha2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One published calculation.
    struct Vector {
        algorithm: Algorithm,
        user: (&'static str, &'static str, &'static str),
        nonce: &'static str,
        qop: Option<Proof<'static>>,
        response: &'static str,
    }

    const RFC_7616_QOP: Proof<'_> =
        Proof { cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", nc: "00000001" };

    const RFC_7616: (&str, &str, &str) = ("Mufasa", "http-auth@example.org", "Circle of Life");

    const VECTORS: &[Vector] = &[
        // RFC 2617 §3.5.
        Vector {
            algorithm: Algorithm::Md5,
            user: ("Mufasa", "testrealm@host.com", "Circle Of Life"),
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: Some(Proof { cnonce: "0a4f113b", nc: "00000001" }),
            response: "6629fae49393a05397450978507c4ef1",
        },
        // RFC 2069 §2.4, as its erratum corrects it.
        Vector {
            algorithm: Algorithm::Md5,
            user: ("Mufasa", "testrealm@host.com", "CircleOfLife"),
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: None,
            response: "1949323746fe6a43ef61f9606e7febea",
        },
        // RFC 7616 §3.9.1; RFC 8760 uses the same calculation.
        Vector {
            algorithm: Algorithm::Md5,
            user: RFC_7616,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(RFC_7616_QOP),
            response: "8ca523f5e9506fed4657c9700eebdbec",
        },
        Vector {
            algorithm: Algorithm::Sha256,
            user: RFC_7616,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(RFC_7616_QOP),
            response: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        },
    ];

    #[test]
    fn published_vectors_come_out() {
        for v in VECTORS {
            let (user, realm, password) = v.user;
            let ha1 = ha1(v.algorithm, user, realm, password);
            let (uri, nonce) = ("/dir/index.html", v.nonce);
            let terms = Terms { method: "GET", uri, nonce, qop: v.qop };
            assert_eq!(response(v.algorithm, &ha1, &terms), v.response, "{:?}", v.algorithm);
        }
    }

    #[test]
    fn session_variants_bind_ha1_to_the_nonces() {
        for (session, plain) in
            [(Algorithm::Md5Sess, Algorithm::Md5), (Algorithm::Sha256Sess, Algorithm::Sha256)]
        {
            let stored = ha1(plain, "u", "r", "p");
            let qop = Some(Proof { cnonce: "c", nc: "00000001" });
            let terms = Terms { method: "REGISTER", uri: "sip:x", nonce: "n", qop };
            let bound = plain.hash(&[&stored, "n", "c"]);
            assert_eq!(response(session, &stored, &terms), response(plain, &bound, &terms));
            assert_ne!(response(session, &stored, &terms), response(plain, &stored, &terms));
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(Algorithm::parse("md5"), Some(Algorithm::Md5));
        assert_eq!(Algorithm::parse("sha-256-SESS"), Some(Algorithm::Sha256Sess));
        assert_eq!(Algorithm::parse("SHA-512-256"), None);
        assert_eq!(Algorithm::parse(""), None);
    }
}
