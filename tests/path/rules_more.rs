use koebashi::call::board::CounselorState;
use koebashi::call::cdr::{EndReason, EndedBy, Outcome};
use koebashi::call::config::Extension;
use koebashi::sip::Cause;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};

use super::{
    CALLER, COUNSELOR, MS, S, Talk, basic_talk, only_outcome, only_record, requests_to, rings,
};
use crate::config::{alone, basic};
use crate::sim::link::Fate;
use crate::sim::{Answer, Raw, World, sdp};

/// One counselor whose phone is written by hand, at 10.0.2.9.
const FIXED: &str = "[[counselor]]\nextension = \"109\"\nname = \"I\"\nlines = [\"main\"]\n\
                     contact = \"sip:109@10.0.2.9:5060\"\n";
const AT: &str = "10.0.2.9:5060";

fn only_fixed(queue: &str) -> String {
    let toml = alone("", queue, FIXED);
    let (before, rest) = toml.split_once("[[counselor]]\nextension = \"101\"").unwrap();
    let (_, after) = rest.split_once("lines = [\"main\"]\n").unwrap();
    format!("{before}{after}")
}

fn invites(world: &World) -> Vec<Message> {
    let to: std::net::SocketAddr = AT.parse().unwrap();
    let all = world.wire.iter().filter(|s| s.to == to).map(|s| s.message());
    all.filter(|m| m.method() == Some(&Method::Invite)).collect()
}

/// A caller whom the phone at [`AT`] has been rung for: its dialog, and its INVITE.
fn rung(world: &mut World) -> (crate::sim::PhoneId, Raw, Message) {
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("the ring", 5 * S, |w| !invites(w).is_empty());
    world.run(10 * MS);
    let invite = invites(world)[0].clone();
    let raw = Raw::callee(AT, &invite);
    raw.respond(world, &invite, "180 Ringing", "", "");
    (caller, raw, invite)
}

#[test]
fn rule_07_a_cancel_that_crosses_our_200_changes_nothing() {
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    world.run(S);
    raw.send(&mut world, &Method::Cancel, "", "");
    assert_eq!(raw.responses(&world, &Method::Cancel, 200).len(), 1);
    assert_eq!(raw.responses(&world, &Method::Invite, 487).len(), 0);
    raw.ack(&mut world);
    raw.send(&mut world, &Method::Bye, "", "");
    assert_eq!(raw.responses(&world, &Method::Bye, 200).len(), 1);
    assert_eq!(only_outcome(&mut world), Outcome::GuidanceAbandoned);
}

#[test]
fn rule_07_a_counselor_who_answers_as_the_caller_hangs_up_is_released() {
    let mut world = World::new(&only_fixed(""));
    let (caller, raw, invite) = rung(&mut world);
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(20 * MS);
    assert_eq!(raw.requests(&world, &Method::Cancel).len(), 1, "{}", world.story());
    raw.respond(&mut world, &invite, "200 OK", "", &sdp("10.0.2.9:4000", "sendrecv"));
    let cancel = raw.requests(&world, &Method::Cancel).remove(0);
    raw.respond(&mut world, &cancel, "200 OK", "", "");
    assert_eq!(raw.requests(&world, &Method::Ack).len(), 1);
    let bye = raw.requests(&world, &Method::Bye);
    assert_eq!(bye.len(), 1, "{}", world.story());
    raw.respond(&mut world, &bye[0], "200 OK", "", "");
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.counselor), (Outcome::ShortAbandoned, None));
}

#[test]
fn rule_07_of_two_counselors_who_answer_at_once_one_is_joined_and_one_released() {
    let mut world = World::new(&basic("", "strategy = \"ring_all\"", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(6 * S);
    assert_eq!((rings(&world, a), rings(&world, b)), (1, 1));
    let talking: Vec<_> = [a, b].into_iter().filter(|id| world.phones[id.0].is_talking()).collect();
    assert_eq!(talking.len(), 1, "{}", world.story());
    let other = if talking[0] == a { b } else { a };
    assert_eq!(world.phones[other.0].last().ended, Some(Cause::Bye), "{}", world.story());
    assert_eq!(world.hears(caller), format!("voice {}", talking[0].0));
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.offers, cdr.talks.len()), (Outcome::Answered, 2, 1));
}

#[test]
fn rule_07_losers_of_a_race_are_told_that_somebody_else_has_answered() {
    let mut world = World::new(&basic("", "strategy = \"ring_all\"", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.phone(b).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("101 talks", 8 * S, |w| w.phones[a.0].is_talking());
    world.run(S);
    let cancel = requests_to(&world, b, &Method::Cancel);
    assert_eq!(cancel.len(), 1);
    let reason = cancel[0].text(&Name::Reason).unwrap();
    assert!(reason.starts_with("SIP;cause=200"), "{reason}");
    assert_eq!(world.phones[b.0].last().ended, Some(Cause::Cancelled));
    // Nobody has missed anything.
    world.run(S);
    let missed: Vec<_> = world.shown.counselors.iter().map(|c| c.missed).collect();
    assert_eq!(missed, [0, 0]);
}

#[test]
fn rule_07_a_bye_in_a_re_invite_ends_both_sides() {
    for by_caller in [true, false] {
        let mut world = World::new(&only_fixed(""));
        let (caller, mut raw, invite) = rung(&mut world);
        raw.respond(&mut world, &invite, "200 OK", "", &sdp("10.0.2.9:4000", "sendrecv"));
        world.run(S);
        raw.send(&mut world, &Method::Invite, "", &sdp("10.0.2.9:4000", "sendonly"));
        world.run(20 * MS);
        // Our 200 to the re-INVITE is not acknowledged yet.
        if by_caller {
            world.with(caller, |phone, now| phone.hang_up(now));
            world.run(20 * MS);
            let bye = raw.requests(&world, &Method::Bye);
            assert_eq!(bye.len(), 1, "{}", world.story());
            raw.respond(&mut world, &bye[0], "200 OK", "", "");
        } else {
            raw.send(&mut world, &Method::Bye, "", "");
            assert_eq!(raw.responses(&world, &Method::Bye, 200).len(), 1);
        }
        let cdr = only_record(&mut world);
        let by = if by_caller { EndedBy::Caller } else { EndedBy::Counselor };
        assert_eq!((cdr.outcome, cdr.ended_by), (Outcome::Answered, by));
        assert!(world.phones[caller.0].last().ended.is_some() || by_caller);
    }
}

#[test]
fn rule_07_offers_that_meet_are_both_taken_in_the_end() {
    let mut talk = basic_talk();
    let Talk { world, caller, counselor, .. } = &mut talk;
    // Both hold and resume at the same instants; nobody may get stuck on music.
    for on in [true, false] {
        world.with(*caller, |phone, now| phone.hold(now, on));
        world.with(*counselor, |phone, now| phone.hold(now, on));
        world.run(6 * S);
    }
    talk.claim_they_hear_each_other();
}

#[test]
fn rule_07_after_a_lost_ack_nobody_stays_stuck() {
    let mut world = World::new(&basic("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    // The ACK never comes: the 200 is repeated for 64·T1, then the call ends by BYE.
    world.run(31 * S);
    let repeats = raw.responses(&world, &Method::Invite, 200).len();
    assert!((8..=12).contains(&repeats), "{repeats}");
    assert_eq!(raw.requests(&world, &Method::Bye).len(), 0);
    world.run(2 * S);
    assert!(!raw.requests(&world, &Method::Bye).is_empty(), "{}", world.story());
    assert_eq!(rings(&world, counselor), 0, "nobody is rung for a caller who is not there");
    let cdr = only_record(&mut world);
    assert_eq!(cdr.reason, EndReason::CallerLost);
}

#[test]
fn rule_07_an_ack_that_is_lost_once_is_made_up_for() {
    let mut world = World::new(&basic("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    // Every ACK and 200 is lost at first: each third datagram.
    world.link.fate = Box::new(|n| if n % 3 == 2 { Fate::Lost } else { Fate::Arrives });
    world.dial(caller);
    world.until("both talk", 60 * S, |w| {
        w.phones[counselor.0].is_talking() && w.phones[caller.0].is_talking()
    });
    world.run(5 * S);
    let since = world.now;
    Talk { world, caller, counselor, since }.claim_they_hear_each_other();
}

#[test]
fn rule_08_a_phone_that_has_unregistered_is_not_rung() {
    let mut world = World::new(&basic("", "", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.with(a, |phone, now| phone.unregister(now));
    world.run(S);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(6 * S);
    assert_eq!((rings(&world, a), rings(&world, b)), (0, 1), "{}", world.story());
}

#[test]
fn rule_08_a_phone_that_is_silent_is_given_up_soon_and_left_alone() {
    let mut world = World::new(&basic("", "strategy = \"ordered\"", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.phone(a).is_alive = false;
    let caller = world.add_caller(1, CALLER);
    let dialed = world.now;
    world.dial(caller);
    world.until("102 talks", 12 * S, |w| w.phones[b.0].is_talking());
    assert!(world.now - dialed <= 10 * S, "{:?}", world.now - dialed);
    let state = |world: &World| {
        let view = world.shown.counselors.iter().find(|c| c.extension == Extension::from("101"));
        view.unwrap().state.clone()
    };
    world.run(300 * MS);
    assert_eq!(state(&world), CounselorState::Unreachable);
    // By and by the registrar's questions find out too, and it is never rung again.
    world.run(60 * S);
    let before = invites_to(&world, a);
    let second = world.add_caller(2, 0x2b);
    world.dial(second);
    world.run(20 * S);
    assert_eq!(invites_to(&world, a), before, "{}", world.story());
}

/// How many calls were sent to the phone, whether it saw them or not.
fn invites_to(world: &World, id: crate::sim::PhoneId) -> usize {
    let invites = requests_to(world, id, &Method::Invite);
    let calls = invites.iter().map(|m| m.call_id().unwrap().to_owned());
    calls.collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn rule_08_a_phone_that_the_network_calls_unreachable_is_passed_over_at_once() {
    let mut world = World::new(&basic("", "strategy = \"ordered\"", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.phone(a).is_alive = false;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("the ring", 5 * S, |w| invites_to(w, a) == 1);
    let address = world.phones[a.0].sip;
    world.fail_flow(address);
    let failed = world.now;
    world.until("102 rings", 5 * S, |w| rings(w, b) == 1);
    assert!(world.now - failed <= S / 10, "{:?}", world.now - failed);
}

#[test]
fn rule_08_a_phone_that_says_only_that_it_is_there_is_not_rung_without_a_pause() {
    let mut world = World::new(&alone("", "retry = \"2s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    // As a proxy does before a phone that is switched off.
    world.phone(counselor).answer = Answer::Refuses(408);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(20 * S);
    let tries = invites_to(&world, counselor);
    assert!((2..=22).contains(&tries), "{tries}");
}

#[test]
fn rule_08_when_a_counselor_vanishes_the_caller_is_told_and_goes_to_the_head() {
    let mut world = World::new(&basic("", "", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("both talk", 10 * S, |w| w.phones[a.0].is_talking());
    let second = world.add_caller(2, 0x2b);
    world.dial(second);
    world.run(3 * S);
    world.phone(a).is_alive = false;
    let gone = world.now;
    world.until("the caller is told", 12 * S, |w| {
        w.said(caller).contains(&"counselor_lost".to_owned())
    });
    assert!(world.now - gone <= 8 * S, "{:?}", world.now - gone);
    world.run(2 * S);
    assert_eq!(world.hears(caller), "hold", "{}", world.story());
    // Another counselor comes: the caller who was lost is served before the one who waits.
    let b = world.add_counselor("102", 0x56);
    world.run(4 * S);
    assert_eq!(world.hears(caller), format!("voice {}", b.0), "{}", world.story());
    assert_eq!(world.hears(second), "hold", "{}", world.story());
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(3 * S);
    let cdr = &world.cdrs[0];
    assert_eq!((cdr.outcome, cdr.talks.len(), cdr.offers), (Outcome::Answered, 2, 2));
    assert_eq!(cdr.counselor, Some(Extension::from("102")));
}

#[test]
fn rule_09_nobody_on_duty_the_help_message_at_once() {
    for mode in ["immediate", "ring", "early_media"] {
        let mut world = World::new(&basic(&format!("answer = \"{mode}\""), "", ""));
        let caller = world.add_caller(1, CALLER);
        let dialed = world.now;
        world.dial(caller);
        world.until("the help", S, |w| w.said(caller) == ["no_counselor", "help"]);
        assert!(world.now - dialed < S, "{mode}");
        world.run(3 * S);
        assert!(world.phones[caller.0].last().ended.is_some(), "{mode}");
        assert_eq!(only_outcome(&mut world), Outcome::NoCounselor, "{mode}");
    }
}

#[test]
fn rule_09_a_caller_who_presses_nothing_is_led_to_an_end() {
    let guidance = "[line.guidance]\n\
        start = { play = [\"a\"], keys = { \"1\" = \"start\", \"2\" = \"b\" }, next = \"b\" }\n\
        b = { play = [\"b\"], keys = { \"1\" = \"start\" }, next = \"line:other\" }\n";
    let other = "[[line]]\nid = \"other\"\nname = \"other\"\n[line.guidance]\n\
                 start = { play = [\"c\"], next = \"queue\" }\n\
                 [line.queue]\nmax_wait = \"10s\"\non_timeout = \"hangup\"\n";
    let toml = basic(guidance, "", other);
    let mut world =
        World::new(&toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("the end", 120 * S, |w| w.phones[caller.0].last().ended.is_some());
    assert_eq!(only_outcome(&mut world), Outcome::TimedOut);
}

#[test]
fn rule_10_the_counselors_leg_says_nothing_of_the_caller() {
    let mut world = World::new(&basic("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    let canary: Vec<(Name, &str)> = vec![
        (Name::PAssertedIdentity, "<tel:+819011112222>"),
        (Name::Privacy, "none"),
        (Name::Diversion, "<sip:09011112222@carrier.example>"),
        (Name::Subject, "09011112222"),
        (Name::UserAgent, "09011112222"),
        (Name::Other("X-Number".into()), "09011112222"),
    ];
    world.with(caller, |phone, now| {
        phone.call(now, "0570000000", "\"09011112222\" <sip:09011112222@carrier.example>", &canary);
    });
    world.run(5 * S);
    let call_id = world.sent_by(caller)[0].call_id().unwrap().to_owned();
    let invite = requests_to(&world, counselor, &Method::Invite).remove(0);
    assert_ne!(invite.call_id().unwrap(), call_id);
    let from = invite.from().unwrap();
    assert!(from.uri.starts_with("sip:caller-") && from.uri.ends_with("@koebashi.local"));
    assert_eq!(from.display.as_deref(), Some("相談"));
    let text = world.wire.iter().find(|s| s.message().call_id() == invite.call_id()).unwrap();
    let text = String::from_utf8_lossy(&text.bytes).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap();
    let names: Vec<_> = head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
    let allowed = [
        "Via",
        "Max-Forwards",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Allow",
        "Supported",
        "Content-Type",
        "Content-Length",
        "Session-Expires",
        "Min-SE",
    ];
    for name in names {
        assert!(allowed.contains(&name), "{name} is not on the list");
    }
}

#[test]
fn rule_10_every_ring_has_a_token_of_its_own() {
    let mut world = World::new(&basic("", "ring_timeout = \"3s\"\nretry = \"1s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(8 * S);
    let invites = requests_to(&world, counselor, &Method::Invite);
    let mut tokens: Vec<_> = invites.iter().map(|m| m.from().unwrap().uri.to_owned()).collect();
    assert_eq!(tokens.len(), 2);
    tokens.dedup();
    assert_eq!(tokens.len(), 2);
}

#[test]
fn rule_11_a_phone_that_challenges_us_gets_no_credentials() {
    let trunk = "[[trunk]]\nid = \"reg\"\nregister = { uri = \"sip:10.0.9.9\", user = \"u\", \
                 password = \"carrier-secret\" }\n";
    let mut world = World::new(&format!("{}{trunk}", only_fixed("auto_pause_after = 0")));
    let (_, raw, invite) = rung(&mut world);
    let challenge = "WWW-Authenticate: Digest realm=\"10.0.9.9\", nonce=\"n\", qop=\"auth\"\r\n";
    raw.respond(&mut world, &invite, "401 Unauthorized", challenge, "");
    world.run(10 * S);
    let to: std::net::SocketAddr = AT.parse().unwrap();
    for sent in world.wire.iter().filter(|sent| sent.to == to) {
        assert!(sent.message().header(&Name::Authorization).is_none());
    }
}

#[test]
fn rule_11_who_dials_a_code_is_who_has_the_password() {
    // 102's phone says that it is 101; its digest says otherwise.
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.with(b, |phone, now| phone.call(now, "*20", "<sip:101@koebashi.local>", &[]));
    world.run(3 * S);
    // The stack of the sim has no digest for INVITE: it is refused.
    assert!(matches!(world.phones[b.0].last().ended, Some(Cause::Refused { code: 401, .. })));
    assert!(world.intentions.is_empty());
}

#[test]
fn rule_12_no_packet_before_the_ack() {
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    // The offer names somebody else's address.
    raw.invite(&mut world, "", "192.0.2.1:4000");
    world.run(20 * S);
    assert_eq!(world.strays, []);
    raw.ack(&mut world);
    world.run(S);
    assert!(world.strays.len() > 40, "after the ACK they come");
}

#[test]
fn rule_12_no_early_packet_to_an_address_that_is_not_proven() {
    let mut world = World::new(&basic("answer = \"early_media\"", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "192.0.2.1:4000");
    world.run(10 * S);
    assert_eq!(raw.responses(&world, &Method::Invite, 183).len(), 1);
    assert_eq!(world.strays, []);
}

#[test]
fn rule_12_once_locked_only_the_locked_source_is_heard() {
    let mut talk = basic_talk();
    let Talk { world, caller, counselor, .. } = &mut talk;
    let port = *world.ports.values().min().unwrap();
    for n in 0..100u16 {
        let mut packet = vec![0x80, 0];
        packet.extend((n + 9000).to_be_bytes());
        packet.extend(u32::from(n).wrapping_mul(160).to_be_bytes());
        packet.extend([9, 9, 9, 9]);
        packet.extend([0x11; 160]);
        world.send_rtp("203.0.113.5:9999", port, packet);
        world.run(20 * MS);
    }
    let heard = world.phones[caller.0].heard.iter().chain(&world.phones[counselor.0].heard);
    assert_eq!(heard.filter(|h| h.byte == 0x11).count(), 0);
    talk.claim_they_hear_each_other();
    let Talk { mut world, caller, .. } = talk;
    world.with(caller, |phone, now| phone.hang_up(now));
    assert_eq!(only_record(&mut world).caller_quality().strangers, 100);
}

#[test]
fn rule_13_a_flood_slows_nobody_else() {
    let mut talk = basic_talk();
    let Talk { world, since, caller, counselor } = &mut talk;
    let sent = world.wire.len();
    let junk = [0u8, 255, 13, 10, 32].repeat(200);
    let open =
        "INVITE sip:0570000000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9\r\n";
    for n in 0..2000 {
        world.send_raw("198.51.100.7:5060", &junk[n % 900..]);
        world.send_raw("198.51.100.7:5060", open.as_bytes());
        let whole = format!(
            "OPTIONS sip:a@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{n}\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 9\r\n\r\n"
        );
        world.send_raw("198.51.100.7:5060", whole.as_bytes());
        if n % 10 == 0 {
            world.run(20 * MS);
        }
    }
    let stranger = "198.51.100.7:5060".parse().unwrap();
    assert!(world.wire[sent..].iter().all(|s| s.to != stranger), "strangers get no answer");
    let counts = world.board.counts();
    assert!(counts.dropped_strangers >= 2000 && counts.malformed >= 2000, "{counts:?}");
    for phone in [*caller, *counselor] {
        assert!(world.longest_gap(phone, *since, world.now) <= 40 * MS);
    }
    talk.claim_they_hear_each_other();
}

#[test]
fn rule_14_the_wall_clock_may_step() {
    let step = chrono::Duration::days(400);
    let mut world = World::new(&basic("", "max_wait = \"30s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(10 * S);
    world.wall += step;
    world.run(10 * S);
    assert!(world.phones[caller.0].is_talking(), "{}", world.story());
    world.wall -= step * 2;
    world.run(5 * S);
    assert!(world.phones[caller.0].is_talking());
    world.run(10 * S);
    let cdr = only_record(&mut world);
    assert_eq!(cdr.outcome, Outcome::TimedOut);
    assert_eq!(cdr.wait.as_secs(), 30);
    let lasted = (cdr.ended - cdr.started).num_seconds();
    assert!((30..40).contains(&lasted), "{lasted}");
}
