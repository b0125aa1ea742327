//! The mark of a caller, and every form in which it might have been written down.
//!
//! Owns the forms and the search for them in bytes. Where the bytes come from is the sinks'.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use md5::Md5;
use memchr::memmem;
use sha2::{Digest, Sha256};

/// What the caller's phone calls itself.
pub(super) const NAME: &str = "Zq7Canary";
/// The caller's number, as the world writes it.
pub(super) const E164: &str = "+815550190917";
/// The same as it is dialed at home.
pub(super) const NATIONAL: &str = "05550190917";
/// What is in both.
const CORE: &str = "5550190917";
/// Its end. That it begins with a nought keeps ports, counts and milliseconds from being it.
const LAST_FOUR: &str = "0917";
/// Bytes of a digest that count: a token may be cut.
const TOKEN: usize = 8;
/// What is shown around a hit.
const AROUND: usize = 40;

/// Something that must not be there.
struct Needle {
    what: String,
    bytes: Vec<u8>,
    /// It is looked for in the bytes as they are, else in lower case.
    is_exact: bool,
}

/// All forms of the mark.
pub(super) struct Mark(Vec<Needle>);

impl Mark {
    pub(super) fn new() -> Self {
        let mut needles = vec![];
        for text in [NAME, CORE, "5019-0917", "5019 0917"] {
            needles.extend(forms(text));
        }
        for text in [E164, NATIONAL, &E164[1..], CORE, &format!("tel:{E164}")] {
            for (kind, digest) in
                [("MD5", Md5::digest(text).to_vec()), ("SHA-256", Sha256::digest(text).to_vec())]
            {
                needles.extend(token(&format!("{kind} of {text}"), &digest[..TOKEN]));
            }
        }
        needles.extend(packed());
        Self(needles)
    }

    /// What of it is in there, with what stands around.
    pub(super) fn find(&self, bytes: &[u8]) -> Vec<String> {
        let lower = bytes.to_ascii_lowercase();
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter_map(|needle| {
                let place = if needle.is_exact { bytes } else { &lower };
                let at = memmem::find(place, &needle.bytes)?;
                Some(format!("{}: {}", needle.what, around(bytes, at)))
            })
            .collect();
        let ends = memmem::find_iter(bytes, LAST_FOUR).filter(|at| stands_alone(bytes, *at));
        found.extend(ends.map(|at| format!("last four digits: {}", around(bytes, at))).take(3));
        found
    }
}

/// Whether the four digits at that place are a word of a text: what is beside them can be printed,
/// and makes them no part of a number, an identifier or a fraction.
fn stands_alone(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let after = bytes.get(at + LAST_FOUR.len()).copied();
    let ends = |beside: Option<u8>| {
        beside.is_none_or(|b| {
            let is_text = b.is_ascii_graphic() || b.is_ascii_whitespace();
            is_text && !b.is_ascii_alphanumeric() && !b".-_".contains(&b)
        })
    };
    ends(before) && ends(after)
}

fn around(bytes: &[u8], at: usize) -> String {
    let part = &bytes[at.saturating_sub(AROUND)..bytes.len().min(at + 2 * AROUND)];
    format!("at {at}: {:?}", String::from_utf8_lossy(part))
}

/// A text in every writing.
fn forms(text: &str) -> Vec<Needle> {
    let folded = text.to_ascii_lowercase();
    let hex = |between: &str| hex(text.as_bytes(), between);
    // What there is of it whichever byte of a character comes first.
    let mut utf16: Vec<_> = folded.encode_utf16().flat_map(u16::to_le_bytes).collect();
    utf16.pop();
    let forms = [
        ("raw", folded.clone().into_bytes()),
        ("reversed", folded.bytes().rev().collect()),
        ("hex", hex("").into_bytes()),
        ("hex with spaces", hex(" ").into_bytes()),
        ("hex with colons", hex(":").into_bytes()),
        ("percent-encoded", hex("%").into_bytes()),
        ("JSON escapes", hex("\\u00").into_bytes()),
        ("UTF-16", utf16),
    ];
    let forms = forms.into_iter().map(|(form, bytes)| Needle {
        what: format!("{text:?} {form}"),
        bytes,
        is_exact: false,
    });
    forms.chain(base64(&format!("{text:?}"), text.as_bytes())).collect()
}

fn hex(bytes: &[u8], between: &str) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(between)
}

/// In base64, whatever stands before and behind.
fn base64(what: &str, bytes: &[u8]) -> Vec<Needle> {
    let mut all = vec![];
    for shift in 0..3 {
        let shifted = [&vec![0; shift], bytes].concat();
        // Characters that say something of nothing but these bytes.
        let (from, to) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for engine in [BASE64_STANDARD, BASE64_URL_SAFE] {
            let text = engine.encode(&shifted);
            let what = format!("{what} base64 at {shift}");
            all.push(Needle { what, bytes: text.as_bytes()[from..to].to_vec(), is_exact: true });
        }
    }
    all
}

/// Bytes that look like chance.
fn token(what: &str, bytes: &[u8]) -> Vec<Needle> {
    let text = hex(bytes, "").into_bytes();
    let mut all = base64(what, bytes);
    all.push(Needle { what: format!("{what} in hex"), bytes: text, is_exact: false });
    all.push(Needle { what: what.to_owned(), bytes: bytes.to_vec(), is_exact: true });
    all
}

/// The number as numbers: of five bytes, whatever stands before, and as packed digits.
fn packed() -> Vec<Needle> {
    let mut all = vec![];
    for text in [&E164[1..], CORE] {
        let [_, _, _, big @ ..] = text.parse::<u64>().unwrap().to_be_bytes();
        let little = big.iter().rev().copied().collect();
        for (form, bytes) in [("big-endian", big.to_vec()), ("little-endian", little)] {
            all.push(Needle { what: format!("{text} {form}"), bytes, is_exact: true });
        }
    }
    let pairs = CORE.as_bytes().chunks(2).map(|pair| [pair[0] - b'0', pair[1] - b'0']);
    let (digits, swapped) = pairs.map(|[a, b]| (a << 4 | b, b << 4 | a)).unzip();
    for (form, bytes) in [("BCD", digits), ("telephony BCD", swapped)] {
        all.push(Needle { what: format!("{CORE} {form}"), bytes, is_exact: true });
    }
    all
}

/// A search that finds nothing proves nothing, unless it finds what is there.
#[test]
fn every_form_of_the_mark_is_found() {
    let mark = Mark::new();
    let engines = [BASE64_STANDARD, BASE64_URL_SAFE];
    let mut texts: Vec<Vec<u8>> = vec![];
    for text in [NAME, E164, NATIONAL, "zq7canary", "055-5019-0917"] {
        let utf16 = |to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        texts.push(text.into());
        texts.push(text.bytes().rev().collect());
        texts.push(utf16(u16::to_le_bytes));
        texts.push(utf16(u16::to_be_bytes));
    }
    for text in [NAME, E164, NATIONAL] {
        texts.extend(["", " ", ":", "%"].map(|between| hex(text.as_bytes(), between).into()));
        texts.push(hex(text.as_bytes(), "").to_uppercase().into());
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{text}, and more");
            texts.extend(engines.iter().map(|engine| engine.encode(&text).into_bytes()));
        }
    }
    let digest = Sha256::digest(E164);
    texts.push(digest.to_vec());
    texts.push(digest[..TOKEN].to_vec());
    texts.push(hex(&digest, "").into());
    texts.push(BASE64_STANDARD.encode(digest).into());
    texts.push(815_550_190_917_i64.to_be_bytes()[2..].to_vec());
    texts.push(vec![0x81, 0x55, 0x50, 0x19, 0x09, 0x17]);
    texts.push(b"\"0917\"".to_vec());
    texts.push(b"0917".to_vec());
    texts.push(b"ends with 0917\r\n".to_vec());
    for text in texts {
        let text = [b"(:", &*text, b")"].concat();
        assert!(!mark.find(&text).is_empty(), "{}", String::from_utf8_lossy(&text));
    }
    for innocent in ["", "Canary", "t=12.0917", "20260917", "a-0917-b", "10917", "555019"] {
        assert_eq!(mark.find(innocent.as_bytes()), Vec::<String>::new());
    }
}
