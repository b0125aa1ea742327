//! Keys of a stream in its description: `a=crypto` (RFC 4568; RFC 7714 §14.1 for AES-GCM).
//!
//! Owns the lines, the keys and the policy. A line that asks for less than encryption and
//! authentication of everything, or for what we don't have (an MKI, several keys, a derivation
//! rate), is as good as none.

use std::fmt;

use zeroize::Zeroizing;

use crate::chance::Chance;

/// The fewest packets that a key must last for: six hours at 50 a second.
const LIFETIME_MIN: u64 = 1 << 20;

/// How SRTP protects packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// AES-GCM with 128 bits.
    AeadAes128Gcm,
    /// AES-CM with 128 bits, HMAC-SHA1 cut to 80 bits.
    AesCm128HmacSha1_80,
    /// The same, cut to 32 bits.
    AesCm128HmacSha1_32,
}

impl Suite {
    /// All of them, best first.
    pub const ALL: [Self; 3] =
        [Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a key and its salt.
    fn key_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 28,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 30,
        }
    }
}

/// A master key and its salt. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    fn random(suite: Suite, chance: &mut Chance) -> Self {
        let mut bytes = Zeroizing::new(vec![0; suite.key_length()]);
        chance.fill(&mut bytes);
        Self(bytes)
    }

    /// 16 bytes of key, then the salt.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The first key of `inline:key|lifetime`.
    fn parse(suite: Suite, parameters: &str) -> Option<Self> {
        let (method, parameters) = parameters.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") {
            return None;
        }
        let mut fields = parameters.split('|');
        let key = decode(fields.next()?).filter(|key| key.len() == suite.key_length())?;
        let is_long = fields.next().is_none_or(|text| lifetime(text) >= Some(LIFETIME_MIN));
        (is_long && fields.next().is_none()).then_some(Self(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Packets: a number, or `2^` and a number. An MKI (`1:4`) is neither.
fn lifetime(text: &str) -> Option<u64> {
    match text.strip_prefix("2^") {
        Some(exponent) => 1u64.checked_shl(exponent.parse().ok()?),
        None => text.parse().ok(),
    }
}

/// One `a=crypto` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tag: u32,
    pub(super) suite: Suite,
    pub(super) key: Key,
}

impl Line {
    /// Reads what follows `a=crypto:`. `None` for what is damaged, unknown or unwanted.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ').filter(|field| !field.is_empty());
        let tag = fields.next().filter(|tag| tag.len() <= 9)?;
        let tag = tag.bytes().all(|b| b.is_ascii_digit()).then(|| tag.parse().ok())??;
        let suite = Suite::parse(fields.next()?)?;
        let key = Key::parse(suite, fields.next()?)?;
        // A hint on the window, and what its writer lets us pass over. All others change the
        // packets, or leave them unprotected (RFC 4568 §6.3).
        let is_harmless = |field: &str| field.starts_with("WSH=") || field.starts_with('-');
        fields.all(is_harmless).then_some(Self { tag, suite, key })
    }

    /// Ours in the answer.
    pub(super) fn of(crypto: &Crypto) -> Self {
        Self { tag: crypto.tag, suite: crypto.suite, key: crypto.send.clone() }
    }

    pub(super) fn print(&self) -> String {
        let Self { tag, suite, key } = self;
        format!("a=crypto:{tag} {} inline:{}", suite.name(), encode(key.expose()))
    }
}

/// Our keys for a session, one for each suite, so that none is ever used in two ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// In the order in which we offer them.
    lines: Vec<Line>,
}

impl Keys {
    /// New ones.
    pub fn random(chance: &mut Chance) -> Self {
        let lines = (1..).zip(Suite::ALL).map(|(tag, suite)| {
            let key = Key::random(suite, chance);
            Line { tag, suite, key }
        });
        Self { lines: lines.collect() }
    }

    pub(super) fn of(lines: Vec<Line>) -> Self {
        Self { lines }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// Whether a stream is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Never: no keys are offered, and none are taken.
    Off,
    /// Where the peer can: keys are offered in the plain profile and taken in either; plain too.
    Optional(Keys),
    /// Always: what is plain is refused.
    Required(Keys),
    /// It is, and stays so until the end.
    Settled {
        /// Those in use.
        keys: Keys,
        /// As they were agreed on.
        profile: Profile,
    },
}

impl Security {
    pub(super) fn keys(&self) -> Option<&Keys> {
        match self {
            Self::Off => None,
            Self::Optional(keys) | Self::Required(keys) | Self::Settled { keys, .. } => Some(keys),
        }
    }

    /// The profile that we offer.
    pub(super) fn profile(&self) -> Profile {
        match self {
            Self::Off | Self::Optional(_) => Profile::Avp,
            Self::Required(_) => Profile::Savp,
            Self::Settled { profile, .. } => *profile,
        }
    }

    /// From here on as agreed: the same key and suite under the same tag, and never plain again.
    pub fn settle(&mut self, crypto: &Crypto) {
        let keys = Keys { lines: vec![Line::of(crypto)] };
        *self = Self::Settled { keys, profile: crypto.profile };
    }

    /// Other keys, under the same policy.
    pub fn renew(&mut self, chance: &mut Chance) {
        match self {
            Self::Off => {}
            Self::Optional(keys) | Self::Required(keys) | Self::Settled { keys, .. } => {
                *keys = Keys::random(chance);
            }
        }
    }
}

/// The profile of an encrypted stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// That of plain streams, with keys.
    Avp,
    /// That of encrypted streams.
    Savp,
}

/// The keys that both sides have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// The number of the line, the same in offer and answer.
    pub tag: u32,
    /// How.
    pub suite: Suite,
    /// What we send with.
    pub send: Key,
    /// What the peer sends with.
    pub receive: Key,
    /// By what name the packets go.
    pub profile: Profile,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648 §4). Written out here so that no copy of a key is left behind unwiped.
fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0, |n, i| n << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = usize::try_from(number >> (18 - 6 * i) & 63).unwrap_or(0);
            out.push(if i <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    out
}

/// The same back; the padding may lack, as some phones have it.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut out = Zeroizing::new(Vec::with_capacity(32));
    if digits.len() > 43 || digits.len() % 4 == 1 {
        return None;
    }
    let (mut number, mut bits) = (0u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        number = number << 6 | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((number >> bits) as u8);
            number &= (1 << bits) - 1;
        }
    }
    (number == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, text) in cases {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap().as_slice(), plain.as_bytes());
            assert_eq!(decode(text.trim_end_matches('=')).unwrap().as_slice(), plain.as_bytes());
        }
        for bad in ["A", "Zh==", "Z===", "Zm9v=Zm9v", "Zm 9v", "Zm9-", &"A".repeat(44)] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    const SHORT: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubA==";

    /// RFC 4568 §9.1 has this key; its lines, and those of phones.
    #[test]
    fn lines_that_are_taken() {
        let cases = [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 aes_cm_128_hmac_sha1_80 INLINE:{KEY}|2^20"),
            format!("1  AES_CM_128_HMAC_SHA1_80  inline:{KEY}|2^48 WSH=64 -x=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576"),
        ];
        for text in cases {
            let line = Line::parse(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((line.tag, line.suite), (1, Suite::AesCm128HmacSha1_80));
            assert_eq!(line.key.expose(), b"YS___semctl () {\t220;}\n}\nunles".as_slice());
            assert_eq!(Line::parse(line.print().strip_prefix("a=crypto:").unwrap()), Some(line));
        }
        let line = Line::parse(&format!("999999999 AEAD_AES_128_GCM inline:{SHORT}")).unwrap();
        assert_eq!((line.tag, line.key.expose().len()), (999_999_999, 28));
    }

    #[test]
    fn lines_that_are_not() {
        let cases = [
            String::new(),
            format!("AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("-1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("+1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_256_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:".to_owned(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{SHORT}"),
            format!("1 AEAD_AES_128_GCM inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^19"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^64"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|2^20|2^20"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} FEC_ORDER=FEC_SRTP"),
        ];
        for text in cases {
            assert_eq!(Line::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn keys_are_never_alike_and_never_printed() {
        let mut chance = Chance::from_number(1);
        let (keys, others) = (Keys::random(&mut chance), Keys::random(&mut chance));
        let all = keys.lines.iter().chain(&others.lines);
        let all: std::collections::BTreeSet<_> = all.map(|line| line.key.expose()).collect();
        assert_eq!(all.len(), 6);
        let printed = format!("{:?}", Security::Required(keys.clone()));
        assert!(printed.contains("key: Key }"), "{printed}");
        for line in &keys.lines {
            assert!(!printed.contains(&encode(line.key.expose())), "{printed}");
            assert!(!printed.contains(&format!("{:?}", line.key.expose())), "{printed}");
        }
    }
}
