//! Passwords: argon2id with the parameters that OWASP names (19 MiB, 2 rounds).

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};

/// Characters of a password at least, and at most: hashing takes what it is given.
pub(in crate::console) const LENGTH: std::ops::RangeInclusive<usize> = 10..=200;

/// The password's hash in the PHC form. Slow by intent: call it off the runtime's threads.
pub(in crate::console) fn hash(password: &str, salt: [u8; 16]) -> Option<String> {
    let hashed = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hashed.ok().map(|hash| hash.to_string())
}

/// Whether it is the one; with no hash it takes as long, and it is not. Slow, as [`hash`].
pub(in crate::console) fn is_right(password: &str, hashed: Option<&str>) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody = || NOBODY.get_or_init(|| hash("nobody has this one", [7; 16]).unwrap_or_default());
    let parsed = PasswordHash::new(hashed.unwrap_or_else(|| nobody()));
    let fits = parsed.is_ok_and(|parsed| {
        Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    });
    fits && hashed.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_fits() {
        let hashed = hash("rainbow over Saitama", [1; 16]).unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(is_right("rainbow over Saitama", Some(&hashed)));
        assert!(!is_right("rainbow over Chiba", Some(&hashed)));
        assert!(!is_right("nobody has this one", None));
        assert!(!is_right("x", Some("no hash")));
        assert_ne!(hash("rainbow over Saitama", [2; 16]).unwrap(), hashed);
    }
}
