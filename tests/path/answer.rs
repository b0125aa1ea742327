use std::time::Duration;

use koebashi::call::cdr::{EndReason, Outcome};
use koebashi::call::voice::{News, Side};
use koebashi::media::Way;
use koebashi::sip::header::Name;
use koebashi::sip::message::Method;

use super::{CALLER, COUNSELOR, MS, S, only_outcome, only_record, responses_to};
use crate::config::basic;
use crate::sim::{Answer, Raw, World, sdp};

fn mode(mode: &str) -> String {
    basic(&format!("answer = \"{mode}\""), "", "")
}

#[test]
fn ring_answers_when_the_counselor_does_and_costs_nothing_before() {
    let mut world = World::new(&mode("ring"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(8 * S);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(7 * S);
    assert_eq!(responses_to(&world, caller, 200).len(), 1, "that of PRACK: {}", world.story());
    assert!(world.phones[caller.0].heard.is_empty());
    world.run(3 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0), "{}", world.story());
    assert_eq!(world.hears(counselor), format!("voice {}", caller.0));
    world.claim_one_stream(caller);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.paid_wait), (Outcome::Answered, Duration::ZERO));
    assert!(cdr.wait >= 7 * S);
}

#[test]
fn ring_repeats_its_180_so_that_no_carrier_gives_up() {
    let mut world = World::new(&basic("answer = \"ring\"", "auto_pause_after = 0", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    world.run(130 * S);
    assert_eq!(raw.responses(&world, &Method::Invite, 180).len(), 3);
    raw.send(&mut world, &Method::Cancel, "", "");
    assert_eq!(raw.responses(&world, &Method::Invite, 487).len(), 1);
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Abandoned, EndReason::Cancelled));
    assert_eq!(cdr.answered, None);
}

#[test]
fn ring_ends_in_a_spoken_message_when_nobody_answers() {
    let mut world = World::new(&basic("answer = \"ring\"", "max_wait = \"20s\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(25 * S);
    assert_eq!(world.said(caller), ["timed_out", "help"]);
    assert_eq!(only_outcome(&mut world), Outcome::TimedOut);
}

#[test]
fn early_media_speaks_before_the_answer_and_is_answered_by_the_counselor() {
    let mut world = World::new(&mode("early_media"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(6 * S);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(5 * S);
    assert_eq!(world.said(caller), ["welcome", "connecting", "position_1", "hold"]);
    assert!(!world.phones[caller.0].is_talking());
    assert_eq!(responses_to(&world, caller, 183).len(), 1);
    world.run(5 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0), "{}", world.story());
    assert_eq!(world.hears(counselor), format!("voice {}", caller.0));
    world.claim_one_stream(caller);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.paid_wait), (Outcome::Answered, Duration::ZERO));
}

/// While a caller only hears us, phones need not send: a one-way alarm would be false.
#[test]
fn a_silent_caller_in_early_media_is_no_alarm_before_the_answer() {
    let mut world = World::new(&mode("early_media"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(10 * S);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    world.run(9 * S);
    assert!(world.strays.len() > 400, "it is spoken to: {}", world.story());
    assert!(raw.responses(&world, &Method::Invite, 200).is_empty());
    assert_eq!(world.voices, []);
    world.run(5 * S);
    assert!(!raw.responses(&world, &Method::Invite, 200).is_empty(), "{}", world.story());
    raw.ack(&mut world);
    let acked = world.now;
    world.run(4 * S);
    let [(at, told)] = &world.voices[..] else { panic!("{:?}", world.voices) };
    assert_eq!((told.side, told.news), (Side::Caller, News::OneWay(Way::FromPeer)));
    assert!((3 * S..=3 * S + 100 * MS).contains(&(*at - acked)), "{:?}", *at - acked);
}

#[test]
fn early_media_that_ends_without_a_counselor_is_never_answered() {
    let cases = [
        ("", 480, Outcome::NoCounselor),
        ("max_callers = 0", 486, Outcome::Full),
        ("max_wait = \"10s\"", 480, Outcome::TimedOut),
    ];
    for (queue, code, outcome) in cases {
        let mut world = World::new(&basic("answer = \"early_media\"", queue, ""));
        if !queue.is_empty() {
            let counselor = world.add_counselor("101", COUNSELOR);
            world.phone(counselor).answer = Answer::Never;
        }
        let mut raw = Raw::caller(7);
        raw.invite(&mut world, "", "10.0.1.7:4000");
        world.run(15 * S);
        assert_eq!(raw.responses(&world, &Method::Invite, 200).len(), 0, "{queue}");
        assert!(!raw.responses(&world, &Method::Invite, code).is_empty(), "{}", world.story());
        raw.ack(&mut world);
        let cdr = only_record(&mut world);
        assert_eq!((cdr.outcome, cdr.reason), (outcome, EndReason::Rejected(code)));
        assert!(!world.strays.is_empty(), "it was spoken to");
    }
}

/// A lost PRACK holds our 183 up, and who has no 183 listens to nothing.
#[test]
fn early_media_begins_when_the_183_has_got_out() {
    let mut world = World::new(&basic("answer = \"early_media\"", "", ""));
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "Supported: 100rel\r\n", "10.0.1.7:4000");
    world.run(5 * S);
    assert!(!world.story().contains("hears"), "{}", world.story());
    assert!(raw.responses(&world, &Method::Invite, 183).is_empty());
    let ringing = raw.responses(&world, &Method::Invite, 180);
    let rseq = ringing[0].number(&Name::RSeq).expect("a reliable 180");
    raw.send(&mut world, &Method::Prack, &format!("RAck: {rseq} 1 INVITE\r\n"), "");
    world.run(700 * MS);
    assert!(!raw.responses(&world, &Method::Invite, 183).is_empty());
    assert!(raw.responses(&world, &Method::Invite, 480).is_empty(), "not yet said");
    world.run(600 * MS);
    assert!(!raw.responses(&world, &Method::Invite, 480).is_empty(), "{}", world.story());
}

#[test]
fn a_caller_who_cancels_in_the_early_media_leaves_a_record() {
    let mut world = World::new(&mode("early_media"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(9 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.answered), (Outcome::Abandoned, None));
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_the_answer_comes_in_the_ack() {
    for more in ["", "Supported: 100rel\r\n", "Require: 100rel\r\n"] {
        for answer in ["immediate", "ring"] {
            let mut world = World::new(&mode(answer));
            let counselor = world.add_counselor("101", COUNSELOR);
            let mut raw = Raw::caller(7);
            raw.send(&mut world, &Method::Invite, more, "");
            world.run(S);
            // What is sent reliably must be acknowledged.
            for ringing in raw.responses(&world, &Method::Invite, 180) {
                let Some(rseq) = ringing.number(&Name::RSeq) else { continue };
                let rack = format!("RAck: {rseq} 1 INVITE\r\n");
                raw.send(&mut world, &Method::Prack, &rack, "");
                break;
            }
            world.run(4 * S);
            let ok = raw.responses(&world, &Method::Invite, 200);
            let offer = ok.first().unwrap_or_else(|| panic!("{answer} {more}: {}", world.story()));
            let offer = String::from_utf8(offer.sdp().expect("our offer").to_vec()).unwrap();
            assert!(offer.contains("RTP/AVP 0 8 101"), "{offer}");
            raw.send(&mut world, &Method::Ack, "", &sdp("10.0.1.7:4000", "sendrecv"));
            world.run(6 * S);
            assert!(world.strays.len() > 100, "{answer} {more}: {}", world.story());
            assert!(world.phones[counselor.0].is_talking(), "{answer} {more}");
            raw.send(&mut world, &Method::Bye, "", "");
            assert_eq!(only_outcome(&mut world), Outcome::Answered);
        }
    }
}

#[test]
fn an_ack_without_the_answer_that_we_need_ends_the_call() {
    let mut world = World::new(&mode("immediate"));
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    raw.send(&mut world, &Method::Invite, "", "");
    world.run(S);
    raw.ack(&mut world);
    let bye = raw.requests(&world, &Method::Bye);
    assert_eq!(bye.len(), 1, "{}", world.story());
    assert!(bye[0].text(&Name::Reason).is_some_and(|it| it.contains("cause=488")), "{bye:?}");
    raw.respond(&mut world, &bye[0], "200 OK", "", "");
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Refused, EndReason::Rejected(488)));
}

#[test]
fn reliable_responses_are_numbered_and_repeated_until_prack() {
    let mut world = World::new(&mode("immediate"));
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "Require: 100rel\r\nSupported: 100rel\r\n", "10.0.1.7:4000");
    world.run(S);
    let ringing = raw.responses(&world, &Method::Invite, 180);
    assert!(ringing.len() >= 2, "repeated after 0.5 s");
    assert!(ringing[0].has_token(&Name::Require, "100rel"));
    assert!(raw.responses(&world, &Method::Invite, 200).is_empty(), "200 waits for PRACK");
    let rseq = ringing[0].number(&Name::RSeq).unwrap();
    raw.send(&mut world, &Method::Prack, &format!("RAck: {} 1 INVITE\r\n", rseq + 1), "");
    assert_eq!(raw.responses(&world, &Method::Prack, 481).len(), 1);
    raw.send(&mut world, &Method::Prack, &format!("RAck: {rseq} 1 INVITE\r\n"), "");
    assert_eq!(raw.responses(&world, &Method::Prack, 200).len(), 1);
    assert_eq!(raw.responses(&world, &Method::Invite, 200).len(), 1);
    raw.ack(&mut world);
    world.run(500 * MS);
    assert!(!world.strays.is_empty());
}

#[test]
fn a_caller_who_never_sends_prack_is_given_up() {
    let mut world = World::new(&mode("ring"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "Require: 100rel\r\n", "10.0.1.7:4000");
    world.run(33 * S);
    assert!(!raw.responses(&world, &Method::Invite, 504).is_empty(), "{}", world.story());
    let cdr = only_record(&mut world);
    assert_eq!(cdr.reason, EndReason::CallerLost);
}

#[test]
fn a_trunk_without_100rel_refuses_those_who_require_it() {
    let toml = mode("immediate").replace("peers = [", "rel100 = \"off\"\npeers = [");
    let mut world = World::new(&toml);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "Require: 100rel\r\n", "10.0.1.7:4000");
    let refused = raw.responses(&world, &Method::Invite, 420);
    assert_eq!(refused[0].text(&Name::Unsupported), Some("100rel"));
}
