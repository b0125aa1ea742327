//! The second factor: six digits that change every 30 seconds (TOTP, RFC 6238).
//!
//! Owns what a code is worth: one of the step before, of now, or of the step after, each once.

use totp_rs::{Builder, Secret, Totp};

use crate::time::Timestamp;

/// Bytes of a new secret (RFC 4226 §4).
pub(in crate::console) const SECRET: usize = 20;

/// The step whose code this is, when it comes after `last`, the step of the last code that was
/// taken. `None`: it is none, or was used.
pub(in crate::console) fn step(
    secret: &[u8],
    code: &str,
    now: Timestamp,
    last: i64,
) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let now = u64::try_from(now.timestamp()).ok()?;
    let step = totp(secret)?.check(&code, now)?;
    i64::try_from(step).ok().filter(|step| *step > last)
}

/// What an authenticator reads from a picture or gets typed: the address, and the secret in it.
pub(in crate::console) fn address(secret: &[u8], account: &str) -> (String, String) {
    let secret = Secret::from(secret).to_base32();
    let label: String = account.bytes().map(|byte| format!("%{byte:02X}")).collect();
    (format!("otpauth://totp/koebashi:{label}?secret={secret}&issuer=koebashi"), secret)
}

/// The secret out of what [`address`] shows.
pub(in crate::console) fn secret(base32: &str) -> Option<Vec<u8>> {
    let secret = Secret::try_from_base32(base32).ok()?;
    (secret.as_bytes().len() == SECRET).then(|| secret.as_bytes().to_vec())
}

fn totp(secret: &[u8]) -> Option<Totp> {
    Builder::new().with_secret(secret).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, Appendix B (SHA-1), the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc_and_good_once() {
        let secret = b"12345678901234567890";
        let at = |s| Timestamp::from_timestamp(s, 0).unwrap();
        assert_eq!(step(secret, "287082", at(59), 0), Some(1));
        assert_eq!(step(secret, "081 804", at(1_111_111_109), 0), Some(37_037_036));
        // A step before and after still count, two do not.
        assert_eq!(step(secret, "287082", at(89), 0), Some(1));
        assert_eq!(step(secret, "287082", at(90), 0), None);
        assert_eq!(step(secret, "287082", at(59), 1), None);
        assert_eq!(step(secret, "287083", at(59), 0), None);
        assert_eq!(step(secret, "", at(59), 0), None);
    }

    #[test]
    fn an_authenticator_is_told_whose_it_is() {
        let (address, secret) = address(b"12345678901234567890", "青木");
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let label = "koebashi:%E9%9D%92%E6%9C%A8";
        assert_eq!(address, format!("otpauth://totp/{label}?secret={secret}&issuer=koebashi"));
    }
}
