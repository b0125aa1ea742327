//! Encrypted legs: what each policy makes of each peer, that nothing is ever plain which must not
//! be, and that keys stay or change with the session.

use std::collections::{BTreeMap, BTreeSet};

use koebashi::call::cdr::{EndReason, Outcome};
use koebashi::chance::Chance;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::sip::sdp::{Keys, Security};

use super::{CALLER, COUNSELOR, MS, S, Talk, only_record, requests_to, responses_to};
use crate::config::basic;
use crate::sim::{PhoneId, Raw, World, sdp};

const POLICIES: [&str; 3] = ["off", "optional", "required"];
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

/// What a phone of this policy speaks.
fn speaks(policy: &str, seed: u64) -> Security {
    let keys = Keys::random(&mut Chance::from_number(seed));
    match policy {
        "off" => Security::Off,
        "optional" => Security::Optional(keys),
        _ => Security::Required(keys),
    }
}

/// One counselor; the policies of the trunk and of the counselor.
fn config(trunk: &str, counselor: &str) -> String {
    let toml = basic("", "retry = \"1s\"", "");
    let toml = toml.replace("id = \"navi\"\n", &format!("id = \"navi\"\nsrtp = \"{trunk}\"\n"));
    let own = format!("password = \"password-101\"\nsrtp = \"{counselor}\"\n");
    toml.replace("password = \"password-101\"\n", &own)
}

/// A caller who speaks so rings counselor 101, who speaks so.
fn rung(config: &str, caller: &str, counselor: &str) -> (World, PhoneId, PhoneId) {
    rung_in(World::new(config), caller, counselor)
}

fn rung_in(mut world: World, caller: &str, counselor: &str) -> (World, PhoneId, PhoneId) {
    let counselor_phone = world.add_counselor("101", COUNSELOR);
    world.phone(counselor_phone).security = speaks(counselor, 1);
    let caller_phone = world.add_caller(1, CALLER);
    world.phone(caller_phone).security = speaks(caller, 2);
    world.dial(caller_phone);
    world.run(5 * S);
    (world, caller_phone, counselor_phone)
}

fn talking((world, caller, counselor): (World, PhoneId, PhoneId)) -> Talk {
    let since = world.now;
    Talk { world, caller, counselor, since }
}

/// Encrypted or not, or not at all, when two policies meet.
fn met(ours: &str, theirs: &str) -> Option<bool> {
    match (ours, theirs) {
        ("off", "required") | ("required", "off") => None,
        ("off", _) | (_, "off") => Some(false),
        _ => Some(true),
    }
}

/// The descriptions in these messages.
fn bodies(messages: &[Message]) -> Vec<String> {
    let bodies = messages.iter().map(|m| String::from_utf8_lossy(m.body()).into_owned());
    bodies.filter(|body| !body.is_empty()).collect()
}

#[test]
fn the_trunks_policy_meets_every_caller() {
    for (ours, theirs) in POLICIES.into_iter().flat_map(|a| POLICIES.map(|b| (a, b))) {
        let (mut world, caller, counselor) = rung(&config(ours, "off"), theirs, "off");
        let Some(secure) = met(ours, theirs) else {
            assert_eq!(responses_to(&world, caller, 488).len(), 1, "{ours} {theirs}");
            assert!(responses_to(&world, caller, 180).is_empty(), "{ours} {theirs}");
            assert_eq!(only_record(&mut world).outcome, Outcome::Refused);
            assert!(world.phones[caller.0].heard.is_empty(), "{ours} {theirs}");
            continue;
        };
        let answers = bodies(&responses_to(&world, caller, 200));
        assert!(answers.iter().all(|it| it.contains("a=crypto:") == secure), "{ours} {theirs}");
        assert_eq!(world.phones[caller.0].calls[0].is_secure(), secure, "{ours} {theirs}");
        let talk = talking((world, caller, counselor));
        talk.claim_they_hear_each_other();
        assert_eq!(talk.world.phones[caller.0].unreadable, 0, "{ours} {theirs}");
        talk.world.claim_one_stream(caller);
    }
}

#[test]
fn the_counselors_policy_meets_every_phone() {
    for (ours, theirs) in POLICIES.into_iter().flat_map(|a| POLICIES.map(|b| (a, b))) {
        let (mut world, caller, counselor) = rung(&config("off", ours), "off", theirs);
        let offer = bodies(&requests_to(&world, counselor, &Method::Invite)).remove(0);
        assert_eq!(offer.contains("RTP/SAVP "), ours == "required", "{ours} {theirs}: {offer}");
        assert_eq!(offer.contains("RTP/AVP "), ours != "required", "{ours} {theirs}: {offer}");
        assert_eq!(offer.matches("a=crypto:").count(), if ours == "off" { 0 } else { 3 });
        let Some(secure) = met(ours, theirs) else {
            // It answered, and was told why that is no use; the caller waits on.
            world.run(S);
            assert!(!requests_to(&world, counselor, &Method::Bye).is_empty(), "{ours} {theirs}");
            assert!(world.phones[counselor.0].heard.is_empty(), "{ours} {theirs}");
            assert_eq!(world.phones[counselor.0].unreadable, 0, "{ours} {theirs}");
            let voice = format!("voice {}", counselor.0);
            assert!(!world.said(caller).contains(&voice), "{ours} {theirs}");
            continue;
        };
        assert_eq!(world.phones[counselor.0].calls[0].is_secure(), secure, "{ours} {theirs}");
        let talk = talking((world, caller, counselor));
        talk.claim_they_hear_each_other();
        assert_eq!(talk.world.phones[counselor.0].unreadable, 0, "{ours} {theirs}");
    }
}

#[test]
fn both_legs_are_encrypted_each_with_keys_of_its_own() {
    let talk = talking(rung(&config("required", "required"), "required", "required"));
    talk.claim_they_hear_each_other();
    let Talk { mut world, caller, counselor, .. } = talk;
    let ours = |messages: Vec<Message>| {
        let text = bodies(&messages).concat();
        let keys = text.split("inline:").skip(1).map(|rest| rest[..40].to_owned());
        keys.collect::<BTreeSet<_>>()
    };
    let to_caller = ours(responses_to(&world, caller, 200));
    let to_counselor = ours(requests_to(&world, counselor, &Method::Invite));
    assert_eq!((to_caller.len(), to_counselor.len()), (1, 3));
    assert!(to_caller.is_disjoint(&to_counselor));
    // What is on the way between can't be heard: somebody with other keys reads nothing.
    world.with(caller, |phone, now| phone.hang_up(now));
    assert_eq!(only_record(&mut world).outcome, Outcome::Answered);
}

/// A phone at 10.0.2.9 that is written by hand, first in order, and 101 after it.
fn by_hand(srtp: &str) -> (World, PhoneId, Raw, Message) {
    let first = format!(
        "[[counselor]]\nextension = \"100\"\nname = \"H\"\nlines = [\"main\"]\n\
         contact = \"sip:100@10.0.2.9:5060\"\nsrtp = \"{srtp}\"\n[[counselor]]\n\
         extension = \"101\"\n"
    );
    let toml = basic("", "strategy = \"ordered\"\nretry = \"1s\"", "");
    let toml = toml.replacen("[[counselor]]\nextension = \"101\"\n", &first, 1);
    let mut world = World::new(&toml);
    world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    let at: std::net::SocketAddr = "10.0.2.9:5060".parse().unwrap();
    let is_ring = |sent: &crate::sim::world::Sent| {
        sent.to == at && sent.message().method() == Some(&Method::Invite)
    };
    world.until("the ring", 5 * S, |w| w.wire.iter().any(is_ring));
    let invite = world.wire.iter().find(|sent| is_ring(sent)).unwrap().message();
    let raw = Raw::callee("10.0.2.9:5060", &invite);
    (world, caller, raw, invite)
}

/// Answers that would make an encrypted leg plain, or as good as plain.
#[test]
fn downgrades_never_lead_to_plain() {
    let line = |text: &str| format!("a=crypto:{text}\r\n");
    let cm80 = "AES_CM_128_HMAC_SHA1_80";
    let bad = [
        (line(&format!("1 {cm80} inline:{KEY}")), "a tag of another suite"),
        (line(&format!("9 {cm80} inline:{KEY}")), "a tag that was not offered"),
        (line(&format!("2 AES_CM_256_HMAC_SHA1_80 inline:{KEY}")), "a suite that was not"),
        (line(&format!("2 {cm80} inline:{}", &KEY[..36])), "a key of the wrong length"),
        (line(&format!("2 {cm80} inline:{KEY} UNENCRYPTED_SRTP")), "unencrypted"),
        (line(&format!("2 {cm80} inline:{KEY}")).repeat(2), "two lines"),
    ];
    let stripped = (String::new(), "stripped");
    for (policy, profile) in [("required", "SAVP"), ("required", "AVP"), ("optional", "AVP")] {
        for (crypto, what) in bad.iter().chain([&stripped]) {
            if policy == "optional" && crypto.is_empty() {
                continue; // That is what optional means.
            }
            let (mut world, caller, raw, invite) = by_hand(policy);
            let body =
                sdp("10.0.2.9:4000", "sendrecv").replace("RTP/AVP", &format!("RTP/{profile}"));
            let body = body + crypto;
            raw.respond(&mut world, &invite, "180 Ringing", "", "");
            raw.respond(&mut world, &invite, "200 OK", "", &body);
            let what = format!("{what}, {policy} {profile}");
            assert_eq!(raw.requests(&world, &Method::Ack).len(), 1, "{what}");
            world.run(100 * MS);
            let bye = raw.requests(&world, &Method::Bye);
            assert_eq!(bye.len(), 1, "{what}");
            assert!(
                bye[0].text(&Name::Reason).is_some_and(|it| it.contains("cause=488")),
                "{what}"
            );
            raw.respond(&mut world, &bye[0], "200 OK", "", "");
            world.run(5 * S);
            let view = world.shown.counselors.iter().find(|c| *c.extension.0 == *"100").unwrap();
            assert_eq!(view.missed, 1, "{what}");
            assert!(world.strays.is_empty(), "not one packet to it: {what}");
            assert_eq!(world.hears(caller), "voice 0", "the next one took the call: {what}");
        }
    }
}

/// Early audio that can't be used is known before anybody picks up.
#[test]
fn a_phone_whose_early_answer_is_stripped_is_not_rung_on() {
    let (mut world, _, raw, invite) = by_hand("required");
    let body = sdp("10.0.2.9:4000", "sendrecv").replace("RTP/AVP", "RTP/SAVP");
    raw.respond(&mut world, &invite, "183 Session Progress", "", &body);
    world.run(100 * MS);
    assert_eq!(raw.requests(&world, &Method::Cancel).len(), 1);
    let view = world.shown.counselors.iter().find(|c| *c.extension.0 == *"100").unwrap();
    assert_eq!(view.missed, 1);
}

/// Offers that can't be encrypted, or would be in name only.
#[test]
fn offers_without_usable_keys_are_refused() {
    let offers = [
        ("RTP/AVP", String::new()),
        ("RTP/SAVP", String::new()),
        ("RTP/SAVP", format!("a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n")),
        ("RTP/SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", &KEY[..38])),
        ("RTP/SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4\r\n")),
        (
            "RTP/SAVP",
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP\r\n"),
        ),
        ("UDP/TLS/RTP/SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n")),
    ];
    for (n, (profile, crypto)) in (1..).zip(offers) {
        let mut world = World::new(&config("required", "off"));
        world.add_counselor("101", COUNSELOR);
        let mut raw = Raw::caller(n);
        let body = sdp("10.0.1.1:4000", "sendrecv").replace("RTP/AVP", profile) + &crypto;
        raw.send(&mut world, &Method::Invite, "", &body);
        world.run(S);
        assert!(!raw.responses(&world, &Method::Invite, 488).is_empty(), "{profile} {crypto}");
        assert!(raw.responses(&world, &Method::Invite, 200).is_empty(), "{profile} {crypto}");
        assert!(world.strays.is_empty());
        assert_eq!(world.cdrs.last().map(|cdr| cdr.outcome), Some(Outcome::Refused));
    }
}

/// An offer-less INVITE gets our offer in 200; its answer comes in ACK.
#[test]
fn a_plain_answer_in_ack_ends_the_call() {
    let mut world = World::new(&config("required", "off"));
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(1);
    raw.send(&mut world, &Method::Invite, "", "");
    world.run(S);
    let ok = raw.responses(&world, &Method::Invite, 200);
    let offer = bodies(&ok[..1]).remove(0);
    assert!(offer.contains("RTP/SAVP ") && offer.matches("a=crypto:").count() == 3, "{offer}");
    raw.send(&mut world, &Method::Ack, "", &sdp("10.0.1.1:4000", "sendrecv"));
    world.run(S);
    let bye = raw.requests(&world, &Method::Bye);
    assert!(bye[0].text(&Name::Reason).is_some_and(|it| it.contains("cause=488")), "{bye:?}");
    raw.respond(&mut world, &bye[0], "200 OK", "", "");
    assert!(world.strays.is_empty(), "not one packet");
    // What the trunk's policy does not allow is refused; nothing has failed here.
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Refused, EndReason::Rejected(488)));
}

#[test]
fn hold_and_resume_keep_the_keys() {
    let mut talk = talking(rung(&config("optional", "optional"), "optional", "required"));
    talk.claim_they_hear_each_other();
    let first = bodies(&responses_to(&talk.world, talk.caller, 200)).remove(0);
    let line = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("a=crypto:")).expect("keys");
        line.to_owned()
    };
    for who in [talk.caller, talk.counselor] {
        for on in [true, false] {
            talk.world.with(who, |phone, now| phone.hold(now, on));
            talk.world.run(2 * S);
        }
    }
    let last = bodies(&responses_to(&talk.world, talk.caller, 200)).pop().unwrap();
    assert_eq!(line(&first), line(&last));
    talk.claim_they_hear_each_other();
    let Talk { world, caller, counselor, .. } = talk;
    for phone in [caller, counselor] {
        assert_eq!(world.phones[phone.0].unreadable, 0);
        world.claim_one_stream(phone);
    }
}

#[test]
fn a_session_with_keys_is_never_made_plain() {
    let mut talk = talking(rung(&config("optional", "optional"), "optional", "optional"));
    for who in [talk.caller, talk.counselor] {
        talk.world.with(who, |phone, now| phone.secure_again(now, Security::Off));
        talk.world.run(2 * S);
        assert_eq!(responses_to(&talk.world, who, 488).len(), 1);
    }
    talk.claim_they_hear_each_other();
}

/// With other keys of the peer's come other keys of ours; the voice goes on.
#[test]
fn other_keys_in_the_middle_of_a_call() {
    let mut talk = talking(rung(&config("required", "required"), "required", "required"));
    let Talk { caller, counselor, .. } = talk;
    let keys = |world: &World, who: PhoneId| {
        let text = bodies(&responses_to(world, who, 200)).concat();
        let keys = text.split("inline:").skip(1).map(|rest| rest[..38].to_owned());
        keys.collect::<BTreeSet<_>>().len()
    };
    let before = [caller, counselor].map(|who| keys(&talk.world, who));
    for (seed, who) in (20..).zip([caller, counselor, caller]) {
        talk.world.with(who, |phone, now| phone.secure_again(now, speaks("required", seed)));
        talk.world.run(2 * S);
        talk.claim_they_hear_each_other();
    }
    let after = [caller, counselor].map(|who| keys(&talk.world, who));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 1]);
}

#[test]
fn a_plain_session_may_get_keys() {
    let mut talk = talking(rung(&config("optional", "off"), "off", "off"));
    let caller = talk.caller;
    assert!(!talk.world.phones[caller.0].calls[0].is_secure());
    let security = speaks("optional", 30);
    talk.world.with(caller, |phone, now| phone.secure_again(now, security));
    talk.world.run(2 * S);
    assert!(talk.world.phones[caller.0].calls[0].is_secure());
    talk.claim_they_hear_each_other();
}

/// The rollover counter of both directions: our stream begins somewhere in the lower half of the
/// sequence numbers, so that it takes minutes.
#[test]
fn sequence_numbers_wrap_on_an_encrypted_leg() {
    // A seed whose stream begins high, which saves minutes; another would do.
    let world = World::restarted(&config("required", "off"), BTreeMap::new(), 34);
    let mut talk = talking(rung_in(world, "required", "off"));
    let caller = talk.caller;
    let first = talk.world.phones[caller.0].heard[0].sequence;
    talk.world.phone(caller).skip_to(65_400);
    let packets = 65_536 - u32::from(first) + 500;
    talk.world.run(20 * MS * packets);
    talk.claim_they_hear_each_other();
    let world = talk.world;
    assert!(world.phones[caller.0].heard.len() > packets as usize);
    assert!(world.phones[caller.0].heard.last().unwrap().sequence < 1000, "it has wrapped");
    assert_eq!(world.phones[caller.0].unreadable, 0);
}
