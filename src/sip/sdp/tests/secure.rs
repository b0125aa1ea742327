//! Policies met with descriptions: what is encrypted, what is plain, what is refused.

use super::*;
use crate::chance::Chance;

const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const SHORT: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubA==";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Off,
    Optional,
    Required,
}

const POLICIES: [Policy; 3] = [Policy::Off, Policy::Optional, Policy::Required];

fn with(policy: Policy, seed: u64) -> Ours {
    let keys = Keys::random(&mut Chance::from_number(seed));
    let security = match policy {
        Policy::Off => Security::Off,
        Policy::Optional => Security::Optional(keys),
        Policy::Required => Security::Required(keys),
    };
    Ours { security, ..ours() }
}

/// What came of it: the tag of the keys, plain, or why not.
fn outcome(agreed: Result<Agreed, Error>) -> Result<Option<u32>, Error> {
    agreed.map(|agreed| agreed.crypto.map(|crypto| crypto.tag))
}

fn crypto(tag: u32, suite: &str, key: &str) -> String {
    format!("a=crypto:{tag} {suite} inline:{key}")
}

const CM80: &str = "AES_CM_128_HMAC_SHA1_80";
const CM32: &str = "AES_CM_128_HMAC_SHA1_32";
const GCM: &str = "AEAD_AES_128_GCM";

#[test]
fn our_offers() {
    let text = |policy| String::from_utf8(offer(&with(policy, 1)).to_vec()).unwrap();
    let plain = text(Policy::Off);
    assert!(plain.contains(" RTP/AVP 0 8 101\r\n") && !plain.contains("crypto"));
    let optional = text(Policy::Optional);
    assert!(optional.contains(" RTP/AVP 0 8 101\r\n") && !optional.contains("SAVP"), "{optional}");
    let required = text(Policy::Required);
    assert!(required.contains("m=audio 30000 RTP/SAVP 0 8 101\r\n"), "{required}");
    for text in [optional, required] {
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("a=crypto:")).collect();
        let starts = [format!("1 {GCM}"), format!("2 {CM80}"), format!("3 {CM32}")];
        assert_eq!(lines.len(), 3);
        for (line, start) in lines.iter().zip(starts) {
            let rest = line.strip_prefix("a=crypto:").unwrap();
            assert!(rest.starts_with(&format!("{start} inline:")), "{line}");
            // 28 or 30 bytes in base64, and nothing behind.
            assert_eq!(rest.len(), start.len() + " inline:".len() + 40, "{line}");
        }
        assert!(sdp_types::Session::parse(text.as_bytes()).is_ok());
    }
}

/// An offer, and what each policy (off, optional, required) makes of it.
type Met = (&'static str, Vec<String>, [Result<Option<u32>, Error>; 3]);

fn offers() -> Vec<Met> {
    let avp = || "m=audio 4000 RTP/AVP 0".to_owned();
    let savp = || "m=audio 4000 RTP/SAVP 0".to_owned();
    let (no_protocol, no_keys) = (Err(Error::Protocol), Err(Error::Keys));
    let unencrypted = crypto(1, CM80, KEY) + " UNENCRYPTED_SRTP";
    vec![
        ("plain", vec![avp()], [Ok(None), Ok(None), no_keys]),
        ("optional", vec![avp(), crypto(7, CM80, KEY)], [Ok(None), Ok(Some(7)), Ok(Some(7))]),
        ("secure", vec![savp(), crypto(1, GCM, SHORT)], [no_protocol, Ok(Some(1)), Ok(Some(1))]),
        (
            "feedback",
            vec!["m=audio 4000 RTP/SAVPF 0".into(), crypto(2, CM32, KEY)],
            [no_protocol, Ok(Some(2)), Ok(Some(2))],
        ),
        ("stripped", vec![savp()], [no_protocol, no_keys, no_keys]),
        (
            "the first suite that we know, in the offer's order",
            vec![
                savp(),
                crypto(1, "AES_CM_256_HMAC_SHA1_80", KEY),
                crypto(2, CM32, KEY),
                crypto(3, GCM, SHORT),
            ],
            [no_protocol, Ok(Some(2)), Ok(Some(2))],
        ),
        (
            "suites that we don't know",
            vec![savp(), crypto(1, "F8_128_HMAC_SHA1_80", KEY)],
            [no_protocol, no_keys, no_keys],
        ),
        (
            "a key of the wrong length",
            vec![savp(), crypto(1, CM80, SHORT)],
            [no_protocol, no_keys, no_keys],
        ),
        ("unencrypted", vec![savp(), unencrypted.clone()], [no_protocol, no_keys, no_keys]),
        ("optional, unencrypted", vec![avp(), unencrypted], [Ok(None), Ok(None), no_keys]),
        (
            "an MKI, then none",
            vec![savp(), crypto(1, CM80, KEY) + "|2^31|1:1", crypto(2, CM80, KEY) + "|2^31"],
            [no_protocol, Ok(Some(2)), Ok(Some(2))],
        ),
        (
            "secure first, plain second",
            vec![savp(), crypto(1, CM80, KEY), "m=audio 4002 RTP/AVP 0".into()],
            [Ok(None), Ok(Some(1)), Ok(Some(1))],
        ),
        (
            "keys for the whole session are none",
            vec![crypto(1, CM80, KEY), savp()],
            [no_protocol, no_keys, no_keys],
        ),
        (
            "DTLS",
            vec!["m=audio 4000 UDP/TLS/RTP/SAVP 0".into(), crypto(1, CM80, KEY)],
            [no_protocol; 3],
        ),
        (
            "sixteen that we don't know, then one",
            std::iter::once(savp())
                .chain((1..17).map(|tag| crypto(tag, "X", KEY)))
                .chain([crypto(17, CM80, KEY)])
                .collect(),
            [no_protocol, no_keys, no_keys],
        ),
    ]
}

#[test]
fn policies_meet_offers() {
    for (what, lines, expected) in offers() {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let text = theirs(&lines);
        for (policy, expected) in POLICIES.into_iter().zip(expected) {
            let ours = with(policy, 5);
            let answered = answer(text.as_bytes(), &ours);
            let seen = outcome(answered.clone().map(|(_, agreed)| agreed));
            assert_eq!(seen, expected, "{what}, {policy:?}");
            let Ok((reply, agreed)) = answered else { continue };
            let reply = String::from_utf8(reply.to_vec()).unwrap();
            assert!(sdp_types::Session::parse(reply.as_bytes()).is_ok(), "{reply}");
            assert_eq!(reply.matches("a=crypto:").count(), usize::from(agreed.crypto.is_some()));
            // The answer repeats the profile of each stream.
            for line in lines.iter().filter(|line| line.starts_with("m=")) {
                let protocol = line.split(' ').nth(2).unwrap();
                assert!(reply.contains(&format!(" {protocol} 0\r\n")), "{what}: {reply}");
            }
            // The peer sees what we see, from the other side.
            if let Some(crypto) = agreed.crypto {
                assert_ne!(crypto.send, crypto.receive);
                let line = format!("a=crypto:{} ", crypto.tag);
                assert!(reply.contains(&line), "{what}: {reply}");
            }
        }
    }
    assert_eq!((Error::Keys.code(), Error::Protocol.code()), (488, 488));
}

/// An answer to our offer (tags 1: GCM, 2: SHA1_80, 3: SHA1_32), and what each policy makes of it.
#[test]
fn policies_meet_answers() {
    let avp = || "m=audio 4000 RTP/AVP 0".to_owned();
    let savp = || "m=audio 4000 RTP/SAVP 0".to_owned();
    let (no_protocol, no_keys) = (Err(Error::Protocol), Err(Error::Keys));
    let cases: Vec<Met> = vec![
        ("plain", vec![avp()], [Ok(None), Ok(None), no_keys]),
        ("chosen", vec![avp(), crypto(1, GCM, SHORT)], [Ok(None), Ok(Some(1)), Ok(Some(1))]),
        ("chosen", vec![savp(), crypto(2, CM80, KEY)], [no_protocol, Ok(Some(2)), Ok(Some(2))]),
        ("chosen", vec![savp(), crypto(3, CM32, KEY)], [no_protocol, Ok(Some(3)), Ok(Some(3))]),
        ("stripped", vec![savp()], [no_protocol, no_keys, no_keys]),
        ("wrong tag", vec![avp(), crypto(1, CM80, KEY)], [Ok(None), no_keys, no_keys]),
        ("a tag of its own", vec![avp(), crypto(4, CM80, KEY)], [Ok(None), no_keys, no_keys]),
        ("wrong length", vec![avp(), crypto(2, CM80, SHORT)], [Ok(None), no_keys, no_keys]),
        (
            "a suite that was not offered",
            vec![avp(), crypto(2, "NULL_HMAC_SHA1_80", KEY)],
            [Ok(None), no_keys, no_keys],
        ),
        (
            "less than we offered",
            vec![avp(), crypto(2, CM80, KEY) + " UNENCRYPTED_SRTP"],
            [Ok(None), no_keys, no_keys],
        ),
        (
            "two at once",
            vec![avp(), crypto(2, CM80, KEY), crypto(3, CM32, KEY)],
            [Ok(None), no_keys, no_keys],
        ),
        ("an MKI", vec![avp(), crypto(2, CM80, KEY) + "|1:1"], [Ok(None), no_keys, no_keys]),
    ];
    for (what, lines, expected) in cases {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        for (policy, expected) in POLICIES.into_iter().zip(expected) {
            let seen = outcome(agreed(theirs(&lines).as_bytes(), &with(policy, 5)));
            assert_eq!(seen, expected, "{what}, {policy:?}");
        }
    }
}

/// Our own key sent back would encrypt both directions alike.
#[test]
fn our_key_sent_back_is_none() {
    let ours = with(Policy::Required, 3);
    let text = String::from_utf8(offer(&ours).to_vec()).unwrap();
    let line = text.lines().find(|line| line.starts_with("a=crypto:2 ")).unwrap();
    let theirs = theirs(&["m=audio 4000 RTP/SAVP 0", line]);
    assert_eq!(agreed(theirs.as_bytes(), &ours).err(), Some(Error::Keys));
    assert_eq!(answer(theirs.as_bytes(), &ours).err(), Some(Error::Keys));
}

/// Two of ours, in every pair of policies: who offers, who answers, what comes of it.
#[test]
fn two_policies_agree() {
    use Policy::{Off, Optional, Required};
    let secure = |offers: Policy, answers: Policy| match (offers, answers) {
        (Off, Off | Optional) | (Optional, Off) => Some(false),
        (Off, Required) | (Required, Off) => None,
        (Optional | Required, Optional | Required) => Some(true),
    };
    for (offers, answers) in POLICIES.into_iter().flat_map(|it| POLICIES.map(|other| (it, other))) {
        let (a, b) = (with(offers, 1), with(answers, 2));
        let met = answer(&offer(&a), &b);
        let Some(expected) = secure(offers, answers) else {
            assert!(met.is_err(), "{offers:?} {answers:?}");
            continue;
        };
        let (reply, of_b) = met.unwrap_or_else(|e| panic!("{offers:?} {answers:?}: {e}"));
        let of_a = agreed(&reply, &a).unwrap();
        assert_eq!(of_a.crypto.is_some(), expected, "{offers:?} {answers:?}");
        let (Some(a), Some(b)) = (of_a.crypto, of_b.crypto) else { continue };
        assert_eq!((a.send, a.receive), (b.receive, b.send), "the keys cross");
        assert_eq!((a.tag, a.suite, a.profile), (b.tag, b.suite, b.profile));
    }
}

/// Once encrypted, a session keeps its key under its tag, in its profile, and is never plain.
#[test]
fn settled_for_the_rest_of_the_session() {
    for (protocol, profile) in [("RTP/AVP", Profile::Avp), ("RTP/SAVP", Profile::Savp)] {
        let mut ours = with(Policy::Optional, 9);
        let first = theirs(&[&format!("m=audio 4000 {protocol} 0"), &crypto(42, CM80, KEY)]);
        let (reply, seen) = answer(first.as_bytes(), &ours).unwrap();
        let before = seen.crypto.unwrap();
        assert_eq!(before.profile, profile);
        ours.security.settle(&before);
        assert_eq!(answer(first.as_bytes(), &ours).unwrap().0, reply, "asked again, told again");
        let again = String::from_utf8(offer(&ours).to_vec()).unwrap();
        assert!(again.contains(&format!("m=audio 30000 {protocol} 0 8 101\r\n")), "{again}");
        assert_eq!(again.matches("a=crypto:").count(), 1);
        assert!(again.contains(&format!("a=crypto:42 {CM80} inline:")));
        // The same key under another tag, with a better suite beside it that would need another.
        let lines = [crypto(1, GCM, SHORT), crypto(2, CM80, KEY)];
        let more = theirs(&[&format!("m=audio 4000 {protocol} 0"), &lines[0], &lines[1]]);
        let crypto = answer(more.as_bytes(), &ours).unwrap().1.crypto.unwrap();
        assert_eq!((crypto.tag, &crypto.send, crypto.suite), (2, &before.send, before.suite));
        let plain = theirs(&["m=audio 4000 RTP/AVP 0"]);
        assert_eq!(answer(plain.as_bytes(), &ours).err(), Some(Error::Keys));
        assert_eq!(agreed(plain.as_bytes(), &ours).err(), Some(Error::Keys));
        // Another suite only with other keys.
        let other = theirs(&[&format!("m=audio 4000 {protocol} 0"), &lines[0]]);
        assert_eq!(answer(other.as_bytes(), &ours).err(), Some(Error::Keys));
        ours.security.renew(&mut Chance::from_number(10));
        let crypto = answer(other.as_bytes(), &ours).unwrap().1.crypto.unwrap();
        assert!(crypto.suite == Suite::AeadAes128Gcm && crypto.send != before.send);
        assert_eq!(answer(plain.as_bytes(), &ours).err(), Some(Error::Keys), "still never plain");
    }
}

#[test]
fn many_lines_stay_cheap() {
    for policy in POLICIES {
        let ours = with(policy, 1);
        let line = crypto(1, CM80, SHORT) + "\r\n";
        let text = theirs(&["m=audio 4000 RTP/SAVP 0", &line.repeat(600)]);
        let best = (0..3).map(|_| time_of(|| answer(text.as_bytes(), &ours).is_ok())).min();
        assert!(best.unwrap().as_millis() < 10, "{best:?}");
        assert!(answer(text.as_bytes(), &ours).is_err());
    }
}

proptest::proptest! {
    /// Whatever becomes of the keys on the way: an answer that needs them is never plain, and one
    /// that may lack them is plain only when none are left.
    #[test]
    fn damaged_keys_never_make_it_plain(
        at in 0usize..200, byte in 0u8.., cut in proptest::bool::ANY, secure in proptest::bool::ANY,
    ) {
        let protocol = if secure { "SAVP" } else { "AVP" };
        let text = theirs(&[&format!("m=audio 4000 RTP/{protocol} 0"), &crypto(2, CM80, KEY)]);
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        for (policy, is_offer) in [Policy::Optional, Policy::Required]
            .into_iter()
            .flat_map(|policy| [(policy, true), (policy, false)])
        {
            let ours = with(policy, 4);
            let seen = match is_offer {
                true => answer(&bytes, &ours).map(|(_, agreed)| agreed),
                false => agreed(&bytes, &ours),
            };
            let Ok(Agreed { crypto: None, .. }) = seen else { continue };
            let lines = bytes.split(|b| *b == b'\n');
            let has_keys = lines.filter(|line| line.starts_with(b"a=crypto:")).count() > 0;
            proptest::prop_assert_eq!(policy, Policy::Optional);
            proptest::prop_assert!(!has_keys || is_offer);
            proptest::prop_assert!(!String::from_utf8_lossy(&bytes).contains("RTP/SAVP"));
        }
    }
}
