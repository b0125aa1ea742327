//! Who is signed in. A browser holds a token in a cookie; here and in the database is its hash.
//!
//! Owns the list, which is read once at the start and keeps the limits that the database has, and
//! the token that guards forms. Writing it down is the caller's.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::store::accounts::{SESSIONS_MAX, Session};
use crate::time::Timestamp;

/// Name of the cookie.
pub(in crate::console) const COOKIE: &str = "koebashi";

/// Who is signed in, by the hash of the token.
#[derive(Debug, Default)]
pub(in crate::console) struct Sessions(BTreeMap<Vec<u8>, (String, Timestamp)>);

impl Sessions {
    /// Those that were written down.
    pub(in crate::console) fn new(all: Vec<Session>) -> Self {
        Self(all.into_iter().map(|it| (it.token, (it.account, it.until))).collect())
    }

    /// Somebody has signed in at `now`. Their oldest sessions make room, and those of anybody whose
    /// time is over.
    pub(in crate::console) fn add(&mut self, session: &Session, now: Timestamp) {
        self.0.retain(|_, (_, until)| *until > now);
        let own = self.0.iter().filter(|(_, (whose, _))| *whose == session.account);
        let mut own: Vec<_> = own.map(|(key, (_, until))| (*until, key.clone())).collect();
        own.sort_unstable();
        let too_many = (own.len() + 1).saturating_sub(SESSIONS_MAX.into());
        for (_, key) in own.iter().take(too_many) {
            self.0.remove(key);
        }
        self.0.insert(session.token.clone(), (session.account.clone(), session.until));
    }

    /// The account that this token stands for at `now`.
    pub(in crate::console) fn account(&mut self, token: &str, now: Timestamp) -> Option<String> {
        let key = hash(token);
        let (account, until) = self.0.get(&key)?;
        if *until > now {
            return Some(account.clone());
        }
        self.0.remove(&key);
        None
    }

    /// Signs out, here. Returns what is to be forgotten in the database.
    pub(in crate::console) fn end(&mut self, token: &str) -> Vec<u8> {
        let key = hash(token);
        self.0.remove(&key);
        key
    }

    /// Signs an account out everywhere, here.
    pub(in crate::console) fn end_all(&mut self, account: &str) {
        self.0.retain(|_, (whose, _)| whose != account);
    }

    /// Signs an account out here, but for the session of this hash.
    pub(in crate::console) fn end_others(&mut self, account: &str, but: &[u8]) {
        self.0.retain(|key, (whose, _)| whose != account || key == but);
    }
}

/// What of a token is kept.
pub(in crate::console) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// What the forms of this session carry: nothing that is stored tells it.
pub(in crate::console) fn csrf(token: &str) -> String {
    let hash = Sha256::digest(format!("form of {token}").as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_ends_by_its_time_or_by_hand() {
        let now = Timestamp::from_timestamp(1_000, 0).unwrap();
        let session = |token: &str, account: &str| Session {
            token: hash(token),
            account: account.to_owned(),
            until: now + Duration::from_secs(60),
        };
        let mut sessions = Sessions::new(vec![session("a", "aoki"), session("b", "baba")]);
        sessions.add(&session("c", "aoki"), now);
        assert_eq!(sessions.account("a", now), Some("aoki".to_owned()));
        assert_eq!(sessions.account("x", now), None);
        assert_eq!(sessions.account("b", now + Duration::from_secs(60)), None);
        assert_eq!(sessions.end("a"), hash("a"));
        assert_eq!(sessions.account("a", now), None);
        sessions.add(&session("d", "aoki"), now);
        sessions.end_others("aoki", &hash("c"));
        assert_eq!(sessions.account("d", now), None);
        assert_eq!(sessions.account("c", now), Some("aoki".to_owned()));
        sessions.end_all("aoki");
        assert_eq!(sessions.account("c", now), None);
        assert_ne!(csrf("a"), csrf("b"));
    }

    #[test]
    fn one_session_too_many_ends_the_oldest_and_those_that_are_over_take_no_room() {
        let now = Timestamp::from_timestamp(1_000, 0).unwrap();
        let second = |n: u64| now + Duration::from_secs(n);
        let session = |n: u64, account: &str| Session {
            token: hash(&format!("{account}{n}")),
            account: account.to_owned(),
            until: second(60 + n),
        };
        let mut sessions = Sessions::default();
        sessions.add(&session(0, "baba"), now);
        for n in 0..20 {
            sessions.add(&session(n, "aoki"), second(n));
        }
        assert!(sessions.account("aoki0", second(20)).is_some());
        sessions.add(&session(20, "aoki"), second(20));
        assert!(sessions.account("aoki0", second(20)).is_none());
        assert!(sessions.account("aoki1", second(20)).is_some());
        assert!(sessions.account("baba0", second(20)).is_some(), "somebody else's stays");
        sessions.add(&session(99, "chiba"), second(90));
        assert_eq!(sessions.0.len(), 1, "nobody else's goes on");
    }
}
