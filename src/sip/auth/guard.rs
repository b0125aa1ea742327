//! The server's side: who may pass (RFC 3261 §22.4, RFC 7616 §3.4, RFC 8760 §2.4).
//!
//! Owns the judgment of one request. An unknown user, a wrong password and an account that lacks
//! what was used are all refused in the same way and after the same work, so that nobody learns
//! which extensions exist.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use subtle::{Choice, ConstantTimeEq};

use super::digest::{Algorithm, Terms, hex, response};
use super::limiter::Limiter;
use super::nonce::{Age, Nonces};
use super::params::{Credentials, quotable};
use crate::chance::Chance;
use crate::pii::Pii;
use crate::sip::header::Name;
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// Credentials for our realm that are looked at in one request.
const CREDENTIALS_MAX: usize = 4;

/// The stored proofs of an account: H(user:realm:password) in hex, by algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ha1 {
    /// MD5.
    pub md5: Pii,
    /// SHA-256; offered before MD5 where it is there.
    pub sha256: Option<Pii>,
}

/// Who has an account.
pub trait Accounts {
    /// The proofs of `user`; `None`: nobody of that name, or nobody who may register.
    fn ha1(&self, user: &str) -> Option<Ha1>;

    /// Whether a phone of `user` is registered from that address, by whatever flow. Its credentials
    /// are always looked at, so that a guesser behind the same address can't lock a phone out that
    /// comes back by another port.
    fn is_at(&self, user: &str, address: IpAddr) -> bool;
}

/// Times and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a nonce is good.
    pub nonce_life: Duration,
    /// Nonces whose uses are remembered; beyond it the oldest are too old at once.
    pub max_nonces: usize,
    /// Wrong guesses a minute from one address (IPv6: one /64); more are not looked at.
    pub guesses: u32,
    /// Addresses whose guesses are counted; beyond it the oldest is forgotten.
    pub max_sources: usize,
    /// Who has SHA-256: whoever has no account is challenged as somebody of those who have one.
    pub sha256: Sha256Users,
}

/// Which accounts have a SHA-256 proof beside MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sha256Users {
    /// None.
    Nobody,
    /// Some: a name without an account is challenged with or without it, always the same way while
    /// the guard lives.
    Somebody,
    /// All.
    Everybody,
}

impl Sha256Users {
    /// What holds for accounts of which each does or does not have SHA-256.
    pub fn of(accounts: impl Iterator<Item = bool>) -> Self {
        let (with, without): (Vec<bool>, Vec<bool>) = accounts.partition(|has| *has);
        match (with.is_empty(), without.is_empty()) {
            (true, _) => Self::Nobody,
            (false, true) => Self::Everybody,
            (false, false) => Self::Somebody,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nonce_life: Duration::from_secs(300),
            max_nonces: 10_000,
            guesses: 10,
            max_sources: 4_096,
            sha256: Sha256Users::Nobody,
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The far end's address.
    pub address: IpAddr,
    /// Whose phone is behind that flow (`Registrar::owner_of_flow`). That user's credentials are
    /// always looked at, so that a guesser behind the same address can't lock a phone out.
    pub registered: Option<&'a str>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this user's: the digest username, whatever From or Contact say.
    Granted {
        /// The account.
        user: String,
    },
    /// 401 with these `WWW-Authenticate` values, in this order.
    Challenge(Vec<String>),
    /// Too many wrong guesses from that address: 403, or no answer at all. Nothing was checked.
    Forbidden,
}

/// The gate before every request of an extension.
pub struct Guard {
    nonces: Nonces,
    /// Wrong guesses on our own nonces: beyond the limit the source is refused.
    guesses: Limiter,
    /// Wrong guesses on nonces that we never gave to that source, which its address may be forged
    /// for: beyond the limit they are not looked at, and get a challenge like everyone.
    foreign: Limiter,
    /// Compared where there is no account.
    dummy: Ha1,
    dummy_sha256: Pii,
    sha256: Sha256Users,
    /// Tells names without an account apart.
    key: u64,
}

/// What the digest of one credential turned out to be.
enum Finding {
    Right,
    /// Right, but the nonce is too old, used, or not ours.
    Stale,
    Wrong,
    /// Not looked at.
    Ignored,
}

/// What is asked of us.
struct Request<'a> {
    method: &'a str,
    realm: &'a str,
    /// Who the sender claims to be, when there is no credential.
    from: Option<&'a str>,
}

impl Guard {
    /// A guard with keys of its own; nonces of an earlier one are stale.
    pub fn new(now: Instant, settings: Settings, chance: &mut Chance) -> Self {
        let (mut key, mut proof) = ([0; 32], [0; 32]);
        chance.fill(&mut key);
        chance.fill(&mut proof);
        let dummy_sha256 = Pii::new(hex(&proof));
        Self {
            nonces: Nonces::new(now, key, settings.nonce_life, settings.max_nonces),
            guesses: Limiter::new(settings.guesses, settings.max_sources),
            foreign: Limiter::new(settings.guesses, settings.max_sources),
            dummy: Ha1 { md5: Pii::new(hex(&proof[..16])), sha256: None },
            dummy_sha256,
            sha256: settings.sha256,
            key: chance.u64(),
        }
    }

    /// Takes other accounts' kinds for those of unknown names.
    pub fn set_sha256(&mut self, sha256: Sha256Users) {
        self.sha256 = sha256;
    }

    /// Changes how many wrong guesses a minute are looked at.
    pub fn set_guesses(&mut self, guesses: u32) {
        self.guesses.set_limit(guesses);
        self.foreign.set_limit(guesses);
    }

    /// Changes how long nonces are good, also those already given.
    pub fn set_nonce_life(&mut self, life: Duration) {
        self.nonces.set_life(life);
    }

    /// Judges `request`. Credentials for another realm or another Request-URI, and those that can't
    /// be read, count as none. A request without credentials is never counted as a guess.
    pub fn verify(
        &mut self,
        now: Instant,
        source: &Source<'_>,
        request: &Message,
        realm: &str,
        accounts: &dyn Accounts,
    ) -> Verdict {
        let (Some(method), Some(uri)) = (request.method(), request.uri()) else {
            return Verdict::Forbidden;
        };
        let from = request.from().ok().and_then(|from| Uri::parse(from.uri).ok());
        let from = from.as_ref().and_then(Uri::sip).and_then(|from| from.user.as_deref());
        let asked = Request { method: method.as_str(), realm, from };
        let both = [Name::Authorization, Name::ProxyAuthorization];
        let given = both.iter().flat_map(|name| request.headers(name));
        let given = given
            .filter_map(|value| Credentials::parse(value).ok())
            .filter(|c| c.realm == realm && is_same_target(c.uri, uri))
            .take(CREDENTIALS_MAX);
        self.judge(now, source, &asked, &given.collect::<Vec<_>>(), accounts)
    }

    fn judge(
        &mut self,
        now: Instant,
        source: &Source<'_>,
        asked: &Request<'_>,
        given: &[Credentials<'_>],
        accounts: &dyn Accounts,
    ) -> Verdict {
        let (mut stale, mut is_looked_at) = (false, given.is_empty());
        for credentials in given {
            // Asked before each: a request with several is several guesses.
            let may_pass = self.guesses.admits(now, source.address)
                || source.registered == Some(credentials.username)
                || accounts.is_at(credentials.username, source.address);
            if !may_pass {
                continue;
            }
            is_looked_at = true;
            match self.check(now, source, asked.method, credentials, accounts) {
                Finding::Right => {
                    return Verdict::Granted { user: credentials.username.to_owned() };
                }
                Finding::Stale => stale = true,
                Finding::Wrong | Finding::Ignored => {}
            }
        }
        if !is_looked_at {
            return Verdict::Forbidden;
        }
        let claimed = given.first().map(|c| c.username).or(asked.from).unwrap_or_default();
        let (ha1, _) = self.proofs(claimed, accounts);
        Verdict::Challenge(self.challenges(now, source.address, asked.realm, &ha1, stale))
    }

    /// Checks one credential; its nonce's age is judged only after its digest.
    fn check(
        &mut self,
        now: Instant,
        source: &Source<'_>,
        method: &str,
        c: &Credentials<'_>,
        accounts: &dyn Accounts,
    ) -> Finding {
        let age = self.nonces.age(now, source.address, c.nonce);
        let is_foreign = age == Age::Foreign;
        if is_foreign && !self.foreign.admits(now, source.address) {
            return Finding::Ignored;
        }
        if !self.is_right(method, c, accounts) {
            let limiter = if is_foreign { &mut self.foreign } else { &mut self.guesses };
            limiter.count(now, source.address);
            return Finding::Wrong;
        }
        let is_fresh = match age {
            Age::Good(id) => self.nonces.spend(now, id, c.count),
            Age::Old | Age::Foreign => false,
        };
        if is_fresh { Finding::Right } else { Finding::Stale }
    }

    /// Whether the digest is that of the account, by an algorithm that we offer to it. The work is
    /// the same whatever is wrong.
    fn is_right(&self, method: &str, c: &Credentials<'_>, accounts: &dyn Accounts) -> bool {
        let (ha1, is_known) = self.proofs(c.username, accounts);
        let (proof, is_offered) = match (c.algorithm, &ha1.sha256) {
            (Algorithm::Md5, _) => (&ha1.md5, true),
            (Algorithm::Sha256, Some(proof)) => (proof, true),
            (Algorithm::Sha256, None) => (&self.dummy_sha256, false),
            (Algorithm::Md5Sess | Algorithm::Sha256Sess, _) => (&self.dummy_sha256, false),
        };
        let terms = Terms { method, uri: c.uri, nonce: c.nonce, qop: c.qop };
        let right = response(c.algorithm, proof.expose(), &terms);
        let shown = c.response.to_ascii_lowercase();
        let is_equal = right.as_bytes().ct_eq(shown.as_bytes());
        (is_equal & is_known & Choice::from(u8::from(is_offered))).into()
    }

    /// The proofs of `user`, or those that nobody has.
    fn proofs(&self, user: &str, accounts: &dyn Accounts) -> (Ha1, Choice) {
        match accounts.ha1(user) {
            Some(ha1) => (ha1, Choice::from(1)),
            None => {
                let sha256 = self.has_sha256(user).then(|| self.dummy_sha256.clone());
                (Ha1 { sha256, ..self.dummy.clone() }, Choice::from(0))
            }
        }
    }

    /// Whether a name that has no account is challenged as if its account had SHA-256.
    fn has_sha256(&self, name: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.key);
        hasher.write(name.as_bytes());
        match self.sha256 {
            Sha256Users::Nobody => false,
            Sha256Users::Somebody => hasher.finish().is_multiple_of(2),
            Sha256Users::Everybody => true,
        }
    }

    fn challenges(
        &mut self,
        now: Instant,
        address: IpAddr,
        realm: &str,
        ha1: &Ha1,
        stale: bool,
    ) -> Vec<String> {
        let nonce = self.nonces.issue(now, address);
        let realm = quotable(realm);
        let stale = if stale { ", stale=true" } else { "" };
        let sha256 = ha1.sha256.is_some().then_some(Algorithm::Sha256);
        let offered = sha256.into_iter().chain([Algorithm::Md5]);
        let print = |a: Algorithm| {
            let name = a.as_str();
            format!(
                r#"Digest realm="{realm}", nonce="{nonce}", algorithm={name}, qop="auth"{stale}"#
            )
        };
        offered.map(print).collect()
    }
}

/// Whether a digest-uri means the Request-URI (RFC 7616 §3.4.6): the same scheme and user. The host
/// is not compared: we are not a proxy, whatever host a request names is us, and phones write the
/// domain in one place and our address in the other.
fn is_same_target(digest: &str, request: &str) -> bool {
    if digest == request {
        return true;
    }
    let (Ok(a), Ok(b)) = (Uri::parse(digest), Uri::parse(request)) else { return false };
    let (Some(a), Some(b)) = (a.sip(), b.sip()) else { return false };
    a.secure == b.secure && a.user == b.user
}
