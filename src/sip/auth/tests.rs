//! Claims on the guard: who passes, what strangers can find out, replay, guesses, odd input.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::pii::Pii;
use crate::sip::message::Message;

const REALM: &str = "koebashi.local";
const HERE: &str = "192.0.2.10";

/// 101 has MD5, 102 both.
struct Book;

impl Accounts for Book {
    fn ha1(&self, user: &str) -> Option<Ha1> {
        let md5 = || Pii::new(ha1(Algorithm::Md5, user, REALM, "secret"));
        let sha256 = || Pii::new(ha1(Algorithm::Sha256, user, REALM, "secret"));
        match user {
            "101" => Some(Ha1 { md5: md5(), sha256: None }),
            "102" => Some(Ha1 { md5: md5(), sha256: Some(sha256()) }),
            _ => None,
        }
    }

    fn is_at(&self, user: &str, address: IpAddr) -> bool {
        user == "101" && address == IpAddr::from([192, 0, 2, 77])
    }
}

struct Gate {
    t0: Instant,
    guard: Guard,
    chance: Chance,
}

impl Gate {
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn new(settings: Settings) -> Self {
        let (t0, mut chance) = (Instant::now(), Chance::from_number(1));
        Self { t0, guard: Guard::new(t0, settings, &mut chance), chance }
    }

    fn ask_from(&mut self, at_s: u64, source: &Source<'_>, request: &Message) -> Verdict {
        let now = self.t0 + Duration::from_secs(at_s);
        self.guard.verify(now, source, request, REALM, &Book)
    }

    fn ask(&mut self, at_s: u64, request: &Message) -> Verdict {
        self.ask_from(at_s, &source(HERE), request)
    }

    /// The challenges that `user` gets without credentials.
    fn challenges(&mut self, at_s: u64, user: &str) -> Vec<Challenge> {
        read(&self.ask(at_s, &register(user, &[])))
    }

    fn answer(&mut self, challenge: &Challenge, user: &str, password: &str, count: u32) -> String {
        let (uri, password) = ("sip:koebashi.local", &Pii::new(password));
        let asked = Asked { method: "REGISTER", uri, user, password, count };
        answer(challenge, &asked, &mut self.chance)
    }
}

fn source(address: &str) -> Source<'static> {
    Source { address: address.parse::<IpAddr>().unwrap(), registered: None }
}

fn register(user: &str, authorization: &[&[u8]]) -> Message {
    let mut text = format!(
        "REGISTER sip:koebashi.local SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
         From: <sip:{user}@koebashi.local>;tag=1\r\nTo: <sip:{user}@koebashi.local>\r\n\
         Call-ID: 1\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
    )
    .into_bytes();
    for value in authorization {
        text.extend_from_slice(b"Authorization: ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Message::parse(&text).unwrap()
}

fn with(user: &str, credentials: &str) -> Message {
    register(user, &[credentials.as_bytes()])
}

fn read(verdict: &Verdict) -> Vec<Challenge> {
    match verdict {
        Verdict::Challenge(values) => {
            values.iter().flat_map(|v| Challenge::parse_all(v.as_bytes()).unwrap()).collect()
        }
        Verdict::Granted { .. } | Verdict::Forbidden => panic!("{verdict:?}"),
    }
}

fn granted(user: &str) -> Verdict {
    Verdict::Granted { user: user.to_owned() }
}

/// The values with every nonce taken out.
fn but_for_the_nonce(verdict: &Verdict) -> Vec<String> {
    let Verdict::Challenge(values) = verdict else { panic!("{verdict:?}") };
    let cut = |v: &String| {
        let (head, rest) = v.split_once("nonce=\"").unwrap();
        format!("{head}{}", rest.split_once('"').unwrap().1)
    };
    values.iter().map(cut).collect()
}

#[test]
fn the_right_password_passes_once_per_count() {
    let mut gate = Gate::new(Settings::default());
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    let first = gate.answer(challenge, "101", "secret", 1);
    assert_eq!(gate.ask(1, &with("101", &first)), granted("101"));
    let replay = gate.ask(2, &with("101", &first));
    assert!(read(&replay).iter().all(|c| c.stale));
    let second = gate.answer(challenge, "101", "secret", 2);
    assert_eq!(gate.ask(3, &with("101", &second)), granted("101"));
}

#[test]
fn sha256_is_offered_first_and_either_is_taken() {
    let mut gate = Gate::new(Settings::default());
    let challenges = gate.challenges(0, "102");
    let names: Vec<_> = challenges.iter().map(|c| c.algorithm.unwrap()).collect();
    assert_eq!(names, [Algorithm::Sha256, Algorithm::Md5]);
    assert_eq!(choose(&challenges), Some(&challenges[0]));
    for (challenge, count) in challenges.iter().zip(1..) {
        let answer = gate.answer(challenge, "102", "secret", count);
        assert_eq!(gate.ask(1, &with("102", &answer)), granted("102"));
    }
}

#[test]
fn several_headers_any_valid_one_counts_in_either_header() {
    let mut gate = Gate::new(Settings::default());
    let challenges = gate.challenges(0, "102");
    let wrong = gate.answer(&challenges[0], "102", "guess", 1);
    let right = gate.answer(&challenges[1], "102", "secret", 1);
    let both = register("102", &[wrong.as_bytes(), b"Basic YTpi", b"", right.as_bytes()]);
    assert_eq!(gate.ask(1, &both), granted("102"));
    let right = gate.answer(&challenges[1], "102", "secret", 2);
    let line = format!("Digest username=\"x\"\r\nProxy-Authorization: {right}");
    assert_eq!(gate.ask(1, &with("102", &line)), granted("102"));
}

#[test]
fn identity_is_the_digest_username() {
    let mut gate = Gate::new(Settings::default());
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    let answer = gate.answer(challenge, "101", "secret", 1);
    assert_eq!(gate.ask(1, &with("102", &answer)), granted("101"));
}

#[test]
fn an_unknown_user_and_a_wrong_password_look_the_same() {
    for sha256 in [Sha256Users::Nobody, Sha256Users::Everybody] {
        let mut gate = Gate::new(Settings { sha256, ..Settings::default() });
        let known = if sha256 == Sha256Users::Everybody { "102" } else { "101" };
        let asked = gate.ask(0, &register(known, &[]));
        let stranger = gate.ask(0, &register("666", &[]));
        assert_ne!(asked, stranger);
        assert_eq!(but_for_the_nonce(&asked), but_for_the_nonce(&stranger));
        let refused = |gate: &mut Gate, user: &str| {
            let challenges = gate.challenges(0, user);
            let answers = challenges.iter().map(|c| gate.answer(c, user, "guess", 1));
            let answers: Vec<_> = answers.collect();
            let values: Vec<_> = answers.iter().map(|a| a.as_bytes()).collect();
            gate.ask(1, &register(user, &values))
        };
        let (wrong, stranger) = (refused(&mut gate, known), refused(&mut gate, "666"));
        assert_eq!(but_for_the_nonce(&wrong), but_for_the_nonce(&asked));
        assert_eq!(but_for_the_nonce(&stranger), but_for_the_nonce(&asked));
    }
}

#[test]
fn where_some_have_sha256_unknown_names_look_like_either_and_always_the_same() {
    let mut gate = Gate::new(Settings { sha256: Sha256Users::Somebody, ..Settings::default() });
    let mut ask = |name: u32| gate.challenges(0, &name.to_string()).len();
    let offered: Vec<_> = (1_000..1_100).map(&mut ask).collect();
    assert_eq!((1_000..1_100).map(&mut ask).collect::<Vec<_>>(), offered);
    let both = offered.iter().filter(|count| **count == 2).count();
    assert!((30..70).contains(&both), "{both} of 100 are asked for SHA-256 too");
    let of = |accounts: &[bool]| Sha256Users::of(accounts.iter().copied());
    assert_eq!(of(&[]), Sha256Users::Nobody);
    assert_eq!(of(&[false]), Sha256Users::Nobody);
    assert_eq!(of(&[true, true]), Sha256Users::Everybody);
    assert_eq!(of(&[true, false]), Sha256Users::Somebody);
}

#[test]
fn algorithms_that_were_not_offered_are_refused() {
    let mut gate = Gate::new(Settings::default());
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    for algorithm in [Algorithm::Sha256, Algorithm::Md5Sess, Algorithm::Sha256Sess] {
        let other = Challenge { algorithm: Some(algorithm), ..challenge.clone() };
        let answer = gate.answer(&other, "101", "secret", 1);
        assert!(read(&gate.ask(1, &with("101", &answer))).iter().all(|c| !c.stale));
    }
}

#[test]
fn an_old_nonce_a_foreign_one_and_one_from_elsewhere_are_stale() {
    let mut gate = Gate::new(Settings::default());
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    let answer = gate.answer(challenge, "101", "secret", 1);
    let is_stale = |v: Verdict| read(&v).iter().all(|c| c.stale);
    assert!(is_stale(gate.ask(300, &with("101", &answer))), "too old");
    assert!(is_stale(gate.ask_from(1, &source("192.0.2.11"), &with("101", &answer))), "elsewhere");
    let mut restarted = Gate::new(Settings::default());
    restarted.guard = Guard::new(restarted.t0, Settings::default(), &mut Chance::from_number(2));
    assert!(is_stale(restarted.ask(1, &with("101", &answer))), "after a restart");
    let wrong = gate.answer(challenge, "101", "guess", 2);
    assert!(!is_stale(gate.ask(300, &with("101", &wrong))), "only with the right password");
    assert_eq!(gate.ask(299, &with("101", &answer)), granted("101"));
}

#[test]
fn without_qop_a_nonce_is_good_once() {
    let mut gate = Gate::new(Settings::default());
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    let old = Challenge { qop: Qop::None, algorithm: None, ..challenge.clone() };
    let answer = gate.answer(&old, "101", "secret", 1);
    assert!(!answer.contains("qop"));
    assert_eq!(gate.ask(1, &with("101", &answer)), granted("101"));
    assert!(read(&gate.ask(1, &with("101", &answer)))[0].stale);
}

#[test]
fn the_digest_uri_must_mean_the_request_uri() {
    let mut gate = Gate::new(Settings::default());
    for (uri, passes) in [
        ("sip:KOEBASHI.local:5060;transport=tcp", true),
        ("sip:koebashi.local", true),
        ("sips:koebashi.local", false),
        ("sip:102@koebashi.local", false),
        ("sip:127.0.0.1:5060", true),
        ("tel:101", false),
        ("", false),
    ] {
        let [challenge] = &*gate.challenges(0, "101") else { panic!() };
        let password = &Pii::new("secret");
        let asked = Asked { method: "REGISTER", uri, user: "101", password, count: 1 };
        let answer = answer(challenge, &asked, &mut gate.chance);
        let verdict = gate.ask(1, &with("101", &answer));
        assert_eq!(verdict == granted("101"), passes, "{uri}");
    }
}

#[test]
fn credentials_for_another_realm_are_none() {
    let mut gate = Gate::new(Settings { guesses: 1, ..Settings::default() });
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    let right = gate.answer(challenge, "101", "secret", 1);
    let renamed = right.replace(REALM, "KOEBASHI.local").replace("sip:KOEBASHI", "sip:koebashi");
    for _ in 0..5 {
        assert!(read(&gate.ask(1, &with("101", &renamed))).iter().all(|c| !c.stale));
    }
    assert_eq!(gate.ask(1, &with("101", &right)), granted("101"), "and no guesses either");
}

#[test]
fn a_phone_that_comes_back_by_another_port_is_not_locked_out_by_who_guesses_beside_it() {
    let mut gate = Gate::new(Settings { guesses: 1, ..Settings::default() });
    // Where the book knows a phone of 101.
    let office = source("192.0.2.77");
    let right = |gate: &mut Gate, user: &str, password: &str| {
        let challenge = read(&gate.ask_from(0, &office, &register(user, &[])));
        let answer = gate.answer(&challenge[0], user, password, 1);
        gate.ask_from(0, &office, &with(user, &answer))
    };
    read(&right(&mut gate, "102", "guess"));
    assert_eq!(right(&mut gate, "102", "secret"), Verdict::Forbidden);
    assert_eq!(right(&mut gate, "101", "secret"), granted("101"));
}

#[test]
fn guesses_are_limited_by_source_but_a_registered_phone_is_heard() {
    let mut gate = Gate::new(Settings { guesses: 3, ..Settings::default() });
    for _ in 0..3 {
        let [challenge] = &*gate.challenges(0, "101") else { panic!() };
        let guess = gate.answer(challenge, "101", "guess", 1);
        read(&gate.ask(0, &with("101", &guess)));
    }
    let [challenge] = &*gate.challenges(1, "101") else { panic!("asking is never limited") };
    let right = gate.answer(challenge, "101", "secret", 1);
    assert_eq!(gate.ask(1, &with("101", &right)), Verdict::Forbidden);
    let mut other = source(HERE);
    other.registered = Some("102");
    assert_eq!(gate.ask_from(1, &other, &with("101", &right)), Verdict::Forbidden);
    other.registered = Some("101");
    assert_eq!(gate.ask_from(1, &other, &with("101", &right)), granted("101"));
    let elsewhere = source("192.0.2.99");
    let challenge = read(&gate.ask_from(1, &elsewhere, &register("101", &[])));
    let right = gate.answer(&challenge[0], "101", "secret", 1);
    assert_eq!(gate.ask_from(1, &elsewhere, &with("101", &right)), granted("101"));
    let [challenge] = &*gate.challenges(61, "101") else { panic!() };
    let right = gate.answer(challenge, "101", "secret", 1);
    assert_eq!(gate.ask(61, &with("101", &right)), granted("101"));
}

#[test]
fn several_guesses_in_one_request_are_several_guesses() {
    let mut gate = Gate::new(Settings { guesses: 2, ..Settings::default() });
    let [challenge] = &*gate.challenges(0, "101") else { panic!() };
    let all = [("guess", 1), ("another", 2), ("secret", 3)];
    let all = all.map(|(password, count)| gate.answer(challenge, "101", password, count));
    read(&gate.ask(0, &register("101", &all.each_ref().map(|it| it.as_bytes()))));
    let right = gate.answer(challenge, "101", "secret", 4);
    assert_eq!(gate.ask(0, &with("101", &right)), Verdict::Forbidden);
}

/// Whoever forges an address never sees a nonce that was given to it.
#[test]
fn guesses_on_foreign_nonces_lock_nobody_out() {
    let mut gate = Gate::new(Settings { guesses: 3, ..Settings::default() });
    let forged = Challenge { nonce: "made-up".to_owned(), ..gate.challenges(0, "101")[0].clone() };
    for _ in 0..10 {
        let guess = gate.answer(&forged, "101", "guess", 1);
        read(&gate.ask(0, &with("101", &guess)));
    }
    let right = gate.answer(&forged, "101", "secret", 1);
    let unchecked = read(&gate.ask(0, &with("101", &right)));
    assert!(!unchecked[0].stale, "not looked at, thus no hint that it was right");
    let right = gate.answer(&unchecked[0], "101", "secret", 1);
    assert_eq!(gate.ask(0, &with("101", &right)), granted("101"));
}

#[test]
fn odd_credentials_are_read_or_refused() {
    let whole = r#"Digest username="u", realm="r", nonce="n", uri="sip:x", response="00""#;
    assert!(Credentials::parse(whole.as_bytes()).is_ok());
    for name in ["username", "realm", "nonce", "uri", "response"] {
        let start = whole.find(name).unwrap();
        let end = whole[start..].find(',').map_or(whole.len(), |i| start + i + 1);
        let cut = format!("{}{}", &whole[..start], &whole[end..]);
        assert_eq!(Credentials::parse(cut.as_bytes()), Err(Error::Missing(name)));
        let twice = format!("{whole}, {}", whole[start..end].trim_end_matches(','));
        assert_eq!(Credentials::parse(twice.as_bytes()), Err(Error::Duplicate(name)));
    }
    let read = |more: &str| {
        let value = format!("{whole}{more}");
        Credentials::parse(value.as_bytes()).map(|c| (c.algorithm, c.count))
    };
    assert_eq!(read(r#", QOP="auth",nc=0000000A , cnonce="a,b=\"c\"""#), {
        Ok((Algorithm::Md5, Some(10)))
    });
    assert_eq!(read(", algorithm = \"sha-256\"\r\n "), Ok((Algorithm::Sha256, None)));
    assert_eq!(read(", algorithm=SHA-512-256"), Err(Error::Unknown("algorithm")));
    assert_eq!(read(", qop=auth-int, nc=00000001, cnonce=\"\""), Err(Error::Unknown("qop")));
    assert_eq!(read(", qop=auth, cnonce=\"\""), Err(Error::Missing("nc")));
    assert_eq!(read(", qop=auth, nc=1, cnonce=\"\""), Err(Error::Unknown("nc")));
    assert_eq!(read(", qop=auth, nc=+0000001, cnonce=\"\""), Err(Error::Unknown("nc")));
    assert_eq!(read(", x=\"open"), Err(Error::Malformed(whole.len() + 5)));
    assert_eq!(read(", Digest realm=\"r\""), Err(Error::TooMany));
    assert_eq!(read(&", a=b".repeat(40)), Err(Error::TooMany));
    assert_eq!(read(&format!(", x=\"{}\"", "y".repeat(65_536))), Ok((Algorithm::Md5, None)));
    for nothing in ["", "Digest", "Basic QQ==", "=", "\"", "a=b", "Digest ,,,", "Digest \u{3042}=1"]
    {
        assert!(Credentials::parse(nothing.as_bytes()).is_err(), "{nothing}");
    }
    assert_eq!(Credentials::parse(b"Digest u\xff"), Err(Error::Malformed(8)));
}

#[test]
fn challenges_of_one_line_are_told_apart() {
    let line = br#"Digest realm="a", nonce="1", algorithm=SHA-512-256, qop="auth",
        Basic realm="b", Digest realm="c,d", nonce="2", stale=TRUE, opaque="",
        Digest realm="e", nonce="3", qop="auth-int", Digest realm="f",
        nonce="4", qop="auth-int,auth""#;
    let all = Challenge::parse_all(line).unwrap();
    // Said again between quotes it would be more than one parameter.
    let odd = br#"Digest realm="r", nonce=a"b, opaque=x\y"#;
    assert!(matches!(Challenge::parse_all(odd), Err(Error::Malformed(_))));
    let realms: Vec<_> = all.iter().map(|c| &*c.realm).collect();
    assert_eq!(realms, ["c,d", "f"]);
    assert!(all[0].stale && all[0].qop == Qop::None && all[0].opaque.as_deref() == Some(""));
    assert_eq!(all[1].qop, Qop::Auth);
}

#[test]
fn passwords_are_long_and_never_the_same() {
    let mut chance = Chance::from_number(1);
    let (a, b) = (new_password(&mut chance), new_password(&mut chance));
    assert_eq!(a.len(), 20);
    assert_ne!(a, b);
}

/// Something like a header value.
const ALMOST: &str = "(Digest )?((username|realm|nonce|uri|response|qop|nc|cnonce|algorithm|x)\
                      ?= ?(\"?[ -~]{0,20}\"?),? ?){0,12}";

proptest! {
    #[test]
    fn no_header_panics(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        text in ALMOST,
    ) {
        let mut gate = Gate::new(Settings::default());
        for value in values.iter().map(Vec::as_slice).chain([text.as_bytes()]) {
            let is_clean = |b: &u8| *b != b'\r' && *b != b'\n';
            let clean: Vec<_> = value.iter().copied().filter(is_clean).collect();
            let _either = Credentials::parse(value);
            let _either = Challenge::parse_all(value);
            let verdict = gate.ask(0, &register("101", &[&clean]));
            prop_assert!(matches!(verdict, Verdict::Challenge(_)));
        }
    }

    /// One byte of a right answer changed, dropped or doubled never passes as someone else, and
    /// never panics.
    #[test]
    fn a_garbled_answer_grants_nothing_else(at in 0usize..400, byte in 0x20u8..0x7f, kind in 0..3) {
        let mut gate = Gate::new(Settings::default());
        let challenge = gate.challenges(0, "101")[0].clone();
        let mut value = gate.answer(&challenge, "101", "secret", 1).into_bytes();
        let at = at % value.len();
        match kind {
            0 => value[at] = byte,
            1 => drop(value.remove(at)),
            _ => value.insert(at, byte),
        }
        let verdict = gate.ask(0, &register("101", &[&value]));
        let is_allowed = match &verdict {
            Verdict::Granted { user } => user == "101",
            Verdict::Challenge(_) => true,
            Verdict::Forbidden => false,
        };
        prop_assert!(is_allowed);
    }

    #[test]
    fn what_we_answer_is_what_we_read(
        user in "[ -~]{0,12}", password in "[ -~]{0,12}",
        sess in any::<bool>(), sha in any::<bool>(),
        count in any::<u32>(), opaque in prop::option::of("[a-z]{0,9}"),
    ) {
        let algorithm = match (sha, sess) {
            (false, false) => Algorithm::Md5,
            (false, true) => Algorithm::Md5Sess,
            (true, false) => Algorithm::Sha256,
            (true, true) => Algorithm::Sha256Sess,
        };
        let challenge = Challenge {
            realm: "r".to_owned(), nonce: "n".to_owned(), opaque, stale: false,
            algorithm: Some(algorithm), qop: Qop::Auth,
        };
        let password = &Pii::new(password);
        let asked = Asked { method: "REGISTER", uri: "sip:x", user: &user, password, count };
        let value = answer(&challenge, &asked, &mut Chance::from_number(3));
        let read = Credentials::parse(value.as_bytes()).unwrap();
        let proof = ha1(algorithm, &user, "r", password.expose());
        let terms = Terms { method: "REGISTER", uri: "sip:x", nonce: "n", qop: read.qop };
        prop_assert_eq!(read.response, response(algorithm, &proof, &terms));
        prop_assert_eq!(read.count, Some(count));
    }
}
