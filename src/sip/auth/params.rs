//! `WWW-Authenticate`, `Authorization` and their `Proxy-` twins as values (RFC 7235 §2.1, RFC 3261
//! §25.1).
//!
//! Owns reading and printing. Judges nothing. Quoted values are kept as they stand between their
//! quotes: a backslash is never interpreted, so that what is hashed and echoed is what was sent.

use super::digest::{Algorithm, Proof};

/// Parameters of one challenge or credential beyond which it is refused.
const PARAMS_MAX: usize = 32;
/// Challenges of one header line beyond which it is refused.
const CHALLENGES_MAX: usize = 8;

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another scheme than Digest.
    #[error("not a digest")]
    Scheme,
    /// Not of the form `name=value, name="value"`.
    #[error("malformed at byte {0}")]
    Malformed(usize),
    /// A parameter that must be there is not.
    #[error("parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter is there twice.
    #[error("parameter {0} is there twice")]
    Duplicate(&'static str),
    /// A parameter has a value that we don't know.
    #[error("parameter {0} has an unknown value")]
    Unknown(&'static str),
    /// More parameters or challenges than anyone needs.
    #[error("too many parts")]
    TooMany,
}

/// Which protections a challenge offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// None named: the old form of RFC 2069.
    None,
    /// `auth` is among them.
    Auth,
}

/// What a server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose password is meant; as between its quotes.
    pub realm: String,
    /// The server's nonce; as between its quotes.
    pub nonce: String,
    /// To be given back unchanged; as between its quotes.
    pub opaque: Option<String>,
    /// The credential was right, but its nonce too old.
    pub stale: bool,
    /// `None`: not named, which means MD5 and must not be named in the answer either.
    pub algorithm: Option<Algorithm>,
    /// What is offered.
    pub qop: Qop,
}

impl Challenge {
    /// Reads the challenges of one header value, which may hold several; those that we can't
    /// answer (another scheme or algorithm, `auth-int` only) are left out. The order is kept.
    ///
    /// # Errors
    /// The value can't be taken apart at all.
    pub fn parse_all(value: &[u8]) -> Result<Vec<Self>, Error> {
        let parts = split(text(value)?)?;
        Ok(parts.iter().filter_map(|p| Self::read(p).ok()).collect())
    }

    fn read(part: &Part<'_>) -> Result<Self, Error> {
        part.expect_digest()?;
        let algorithm = part.one("algorithm")?.map(known_algorithm).transpose()?;
        let offered = part.one("qop")?;
        let qop = match offered {
            None => Qop::None,
            Some(list) if list.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")) => {
                Qop::Auth
            }
            Some(_) => return Err(Error::Unknown("qop")),
        };
        Ok(Self {
            realm: part.must("realm")?.to_owned(),
            nonce: part.must("nonce")?.to_owned(),
            opaque: part.one("opaque")?.map(str::to_owned),
            stale: part.one("stale")?.is_some_and(|s| s.eq_ignore_ascii_case("true")),
            algorithm,
            qop,
        })
    }
}

/// What a client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Who it claims to be; as between its quotes.
    pub username: &'a str,
    /// Whose password is meant.
    pub realm: &'a str,
    /// Our nonce.
    pub nonce: &'a str,
    /// What was asked for.
    pub uri: &'a str,
    /// The proof.
    pub response: &'a str,
    /// MD5 when not named.
    pub algorithm: Algorithm,
    /// `qop=auth`, or `None` for the old form.
    pub qop: Option<Proof<'a>>,
    /// Use of the nonce, when there is a `qop`.
    pub count: Option<u32>,
}

impl<'a> Credentials<'a> {
    /// Reads one header value.
    ///
    /// # Errors
    /// It is no digest, is malformed, or lacks, doubles or garbles a parameter.
    pub fn parse(value: &'a [u8]) -> Result<Self, Error> {
        let parts = split(text(value)?)?;
        let [part] = &*parts else { return Err(Error::TooMany) };
        part.expect_digest()?;
        let algorithm = part.one("algorithm")?.map(known_algorithm).transpose()?;
        let (qop, count) = match part.one("qop")? {
            None => (None, None),
            Some(q) if q.eq_ignore_ascii_case("auth") => {
                let (cnonce, nc) = (part.must("cnonce")?, part.must("nc")?);
                let is_count = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit());
                let count = u32::from_str_radix(nc, 16).ok().filter(|_| is_count);
                (Some(Proof { cnonce, nc }), Some(count.ok_or(Error::Unknown("nc"))?))
            }
            Some(_) => return Err(Error::Unknown("qop")),
        };
        Ok(Self {
            username: part.must("username")?,
            realm: part.must("realm")?,
            nonce: part.must("nonce")?,
            uri: part.must("uri")?,
            response: part.must("response")?,
            algorithm: algorithm.unwrap_or(Algorithm::Md5),
            qop,
            count,
        })
    }
}

fn known_algorithm(value: &str) -> Result<Algorithm, Error> {
    Algorithm::parse(value).ok_or(Error::Unknown("algorithm"))
}

fn text(value: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(value).map_err(|e| Error::Malformed(e.valid_up_to()))
}

/// `text` as the inside of a quoted string.
pub(super) fn quotable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A scheme and its parameters.
struct Part<'a> {
    scheme: &'a str,
    params: Vec<(&'a str, &'a str)>,
}

impl<'a> Part<'a> {
    fn expect_digest(&self) -> Result<(), Error> {
        if self.scheme.eq_ignore_ascii_case("Digest") { Ok(()) } else { Err(Error::Scheme) }
    }

    /// The value of `name`, which may be missing but not be there twice.
    fn one(&self, name: &'static str) -> Result<Option<&'a str>, Error> {
        let mut found = self.params.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Error::Duplicate(name)),
            (first, None) => Ok(first.map(|(_, value)| *value)),
        }
    }

    fn must(&self, name: &'static str) -> Result<&'a str, Error> {
        self.one(name)?.ok_or(Error::Missing(name))
    }
}

/// Takes a header value apart. A token that no `=` follows opens a new part.
fn split(text: &str) -> Result<Vec<Part<'_>>, Error> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut at = Cursor { text, at: 0 };
    loop {
        at.skip(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b','));
        if at.is_done() {
            break;
        }
        let name = at.token()?;
        if !at.take_equals() {
            if parts.len() == CHALLENGES_MAX {
                return Err(Error::TooMany);
            }
            parts.push(Part { scheme: name, params: Vec::new() });
            continue;
        }
        let value = if at.peek() == Some(b'"') { at.quoted()? } else { at.bare()? };
        let part = parts.last_mut().ok_or(Error::Malformed(0))?;
        if part.params.len() == PARAMS_MAX {
            return Err(Error::TooMany);
        }
        part.params.push((name, value));
    }
    if parts.is_empty() { Err(Error::Malformed(0)) } else { Ok(parts) }
}

/// A place in a text. It only ever stops at ASCII bytes, thus always between characters.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Moves over the bytes that `is_in` and gives them.
    fn skip(&mut self, is_in: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let len = rest.bytes().position(|b| !is_in(b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn token(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
        let token = self.skip(is_token);
        if token.is_empty() { Err(Error::Malformed(start)) } else { Ok(token) }
    }

    /// Moves over `=` and the blanks around it, if it is there.
    fn take_equals(&mut self) -> bool {
        let blank = |b| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
        let start = self.at;
        self.skip(blank);
        if self.peek() != Some(b'=') {
            self.at = start;
            return false;
        }
        self.at += 1;
        self.skip(blank);
        true
    }

    /// What stands between quotes.
    fn quoted(&mut self) -> Result<&'a str, Error> {
        let start = self.at + 1;
        let mut escaped = false;
        for (i, b) in self.text.as_bytes().iter().enumerate().skip(start) {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.at = i + 1;
                    return Ok(&self.text[start..i]);
                }
                _ => {}
            }
        }
        Err(Error::Malformed(start))
    }

    /// A value without quotes: up to a comma or blank. One with a quote or an escape inside could
    /// not be said again between quotes.
    fn bare(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        let value = self.skip(|b| !matches!(b, b',' | b' ' | b'\t' | b'\r' | b'\n'));
        if value.contains(['"', '\\']) { Err(Error::Malformed(start)) } else { Ok(value) }
    }
}
