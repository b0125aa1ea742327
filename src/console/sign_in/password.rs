//! Passwords: argon2id with the parameters that OWASP names (19 MiB, 2 rounds).

use std::collections::BTreeSet;
use std::sync::OnceLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};

/// Characters of a password at least, and at most: hashing takes what it is given.
pub(in crate::console) const LENGTH: std::ops::RangeInclusive<usize> = 10..=200;

/// Different characters of a password at least.
const DIFFERENT: usize = 4;

/// Whether it is made of a few characters again and again, such as ten times the same.
pub(in crate::console) fn is_monotonous(password: &str) -> bool {
    password.chars().collect::<BTreeSet<_>>().len() < DIFFERENT
}

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
    fn the_same_again_and_again_is_no_password() {
        for (password, monotonous) in [
            ("aaaaaaaaaa", true),
            ("ああああああああああ", true),
            ("1212121212", true),
            ("rainbow-99", false),
        ] {
            assert_eq!(is_monotonous(password), monotonous, "{password}");
        }
    }

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
