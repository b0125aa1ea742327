use std::net::SocketAddr;

use koebashi::call::cdr::{EndReason, EndedBy, Outcome};
use koebashi::media::Command;
use koebashi::sip::Cause;
use koebashi::sip::header::Name;
use koebashi::sip::message::Method;

use super::{COUNSELOR, MS, S, Talk, basic_talk, only_outcome, only_record, requests_to};
use crate::config::basic;
use crate::sim::{PhoneId, Raw, World, sdp};

/// A caller written by hand who talks with counselor 101.
fn raw_talk(toml: &str, more: &str) -> (World, Raw, PhoneId) {
    let mut world = World::new(toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, more, "10.0.1.7:4000");
    world.run(S);
    raw.ack(&mut world);
    world.until("the counselor talks", 8 * S, |w| w.phones[counselor.0].is_talking());
    world.run(S);
    (world, raw, counselor)
}

/// A packet of the caller written by hand, µ-law 0x2a.
fn speak(world: &mut World, from: &str, n: u16) {
    let port = *world.ports.values().min().unwrap();
    let mut packet = vec![0x80, 0];
    packet.extend(n.to_be_bytes());
    packet.extend((u32::from(n) * 160).to_be_bytes());
    packet.extend([1, 2, 3, 4]);
    packet.extend([0x2a; 160]);
    world.send_rtp(from, port, packet);
    world.run(20 * MS);
}

#[test]
fn either_side_may_hold_and_resume_and_the_other_hears_music() {
    let mut talk = basic_talk();
    let (caller, counselor) = (talk.caller, talk.counselor);
    for (holds, waits) in [(counselor, caller), (caller, counselor)] {
        for _ in 0..2 {
            talk.world.with(holds, |phone, now| phone.hold(now, true));
            talk.world.run(2 * S);
            assert_eq!(talk.world.hears(waits), "hold", "{}", talk.world.story());
            talk.world.with(holds, |phone, now| phone.hold(now, false));
            talk.world.run(2 * S);
            talk.claim_they_hear_each_other();
        }
    }
}

#[test]
fn a_call_that_both_hold_goes_on_when_both_are_back() {
    let mut talk = basic_talk();
    let (caller, counselor) = (talk.caller, talk.counselor);
    talk.world.with(counselor, |phone, now| phone.hold(now, true));
    talk.world.run(S);
    talk.world.with(caller, |phone, now| phone.hold(now, true));
    talk.world.run(60 * S);
    talk.world.with(counselor, |phone, now| phone.hold(now, false));
    talk.world.run(S);
    assert_eq!(talk.world.hears(counselor), "hold");
    talk.world.with(caller, |phone, now| phone.hold(now, false));
    talk.world.run(S);
    talk.claim_they_hear_each_other();
}

#[test]
fn a_side_that_ends_while_it_holds_ends_both() {
    for by_caller in [true, false] {
        let Talk { mut world, caller, counselor, .. } = basic_talk();
        let who = if by_caller { caller } else { counselor };
        world.with(who, |phone, now| phone.hold(now, true));
        world.run(S);
        world.with(who, |phone, now| phone.hang_up(now));
        let cdr = only_record(&mut world);
        let by = if by_caller { EndedBy::Caller } else { EndedBy::Counselor };
        assert_eq!((cdr.outcome, cdr.ended_by), (Outcome::Answered, by));
    }
}

#[test]
fn hold_by_a_null_address_is_hold() {
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), "");
    let hold = sdp("10.0.1.7:4000", "sendrecv").replace("c=IN IP4 10.0.1.7", "c=IN IP4 0.0.0.0");
    raw.send(&mut world, &Method::Invite, "", &hold);
    raw.ack(&mut world);
    world.run(S);
    assert_eq!(world.hears(counselor), "hold", "{}", world.story());
    let strays = world.strays.len();
    world.run(S);
    assert_eq!(world.strays.len(), strays, "nothing goes to nowhere");
    raw.invite(&mut world, "", "10.0.1.7:4000");
    raw.ack(&mut world);
    world.run(S);
    assert_ne!(world.hears(counselor), "hold");
    assert!(world.strays.len() > strays + 40);
}

#[test]
fn either_side_may_move_to_another_address() {
    let mut talk = basic_talk();
    let (caller, counselor) = (talk.caller, talk.counselor);
    for (n, who) in [caller, counselor].into_iter().enumerate() {
        talk.world.with(who, |phone, now| phone.move_to(now, &format!("192.0.2.{n}:4000")));
        talk.world.run(S);
        talk.claim_they_hear_each_other();
    }
    let heard = &talk.world.phones[caller.0].heard;
    assert!(heard.windows(2).all(|pair| pair[0].ssrc == pair[1].ssrc));
}

#[test]
fn who_signals_from_another_network_may_speak_from_there() {
    let Talk { mut world, counselor, .. } = basic_talk();
    let elsewhere: SocketAddr = "198.51.100.9:5060".parse().unwrap();
    let latches = |world: &World| {
        let is_there = |command: &&Command| matches!(command, Command::Connect { peer, .. } if peer.latch == Some(elsewhere.ip()));
        world.commands.iter().filter(is_there).count()
    };
    world.run(S);
    assert_eq!(latches(&world), 0);
    // The phone is in another network, and its description is as private as it was.
    world.phones[counselor.0].sip = elsewhere;
    world.with(counselor, |phone, now| phone.hold(now, false));
    world.run(S);
    assert_eq!(latches(&world), 1, "{}", world.story());
}

#[test]
fn the_caller_may_move_by_update() {
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), "Allow: INVITE, UPDATE\r\n");
    speak(&mut world, "10.0.1.7:4000", 1);
    raw.send(&mut world, &Method::Update, "", &sdp("10.0.1.8:6000", "sendrecv"));
    let ok = raw.responses(&world, &Method::Update, 200);
    assert!(ok[0].sdp().is_some(), "{}", world.story());
    world.run(20 * MS);
    let moved = world.now;
    world.run(S);
    let to = "10.0.1.8:6000".parse().unwrap();
    assert!(world.strays.iter().filter(|(at, _)| *at > moved).all(|(_, at)| *at == to));
    assert!(world.strays.iter().filter(|(_, at)| *at == to).count() > 40);
    for n in 2..10 {
        speak(&mut world, "10.0.1.8:6000", n);
    }
    assert!(world.phones[counselor.0].heard.iter().any(|h| h.byte == 0x2a));
}

#[test]
fn a_re_invite_without_an_offer_gets_ours_and_may_hold() {
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), "");
    raw.send(&mut world, &Method::Invite, "", "");
    let ok = raw.responses(&world, &Method::Invite, 200);
    let offer = String::from_utf8(ok.last().unwrap().sdp().unwrap().to_vec()).unwrap();
    assert!(offer.contains("m=audio"), "{offer}");
    raw.send(&mut world, &Method::Ack, "", &sdp("10.0.1.7:4000", "sendonly"));
    world.run(S);
    assert_eq!(world.hears(counselor), "hold", "{}", world.story());
    raw.invite(&mut world, "", "10.0.1.7:4000");
    raw.ack(&mut world);
    world.run(S);
    assert_ne!(world.hears(counselor), "hold");
    // A bad answer to our offer changes nothing.
    raw.send(&mut world, &Method::Invite, "", "");
    let video = sdp("10.0.1.7:4000", "sendrecv").replace("RTP/AVP 0 101", "RTP/AVP 18");
    raw.send(&mut world, &Method::Ack, "", &video);
    world.run(S);
    assert!(world.phones[counselor.0].is_talking(), "{}", world.story());
}

#[test]
fn an_offer_that_cannot_be_taken_changes_nothing() {
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), "");
    let video = sdp("10.0.1.7:4000", "sendrecv").replace("RTP/AVP 0 101", "RTP/AVP 18");
    raw.send(&mut world, &Method::Invite, "", &video);
    assert_eq!(raw.responses(&world, &Method::Invite, 488).len(), 1, "{}", world.story());
    let strays = world.strays.len();
    world.run(S);
    assert!(world.strays.len() > strays + 40, "the caller is still spoken to");
    assert!(world.phones[counselor.0].is_talking());
}

#[test]
fn the_law_may_change_within_a_call() {
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), "");
    let alaw = sdp("10.0.1.7:4000", "sendrecv")
        .replace("RTP/AVP 0 101", "RTP/AVP 8 101")
        .replace("rtpmap:0 PCMU", "rtpmap:8 PCMA");
    raw.send(&mut world, &Method::Invite, "", &alaw);
    raw.ack(&mut world);
    let port = *world.ports.values().min().unwrap();
    for n in 0..20u8 {
        let mut packet = vec![0x80, 8, 0, n, 0, 0, 0, 0, 1, 2, 3, 4];
        packet[4..8].copy_from_slice(&(u32::from(n) * 160).to_be_bytes());
        packet.extend([0xd5; 160]);
        world.send_rtp("10.0.1.7:4000", port, packet);
        world.run(20 * MS);
    }
    let last = world.phones[counselor.0].heard.last().unwrap();
    assert_eq!(last.payload, 0, "the counselor still hears µ-law");
}

#[test]
fn a_session_timer_is_agreed_on_and_its_end_ends_the_call() {
    // The peer promises to refresh and never does.
    let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), timer);
    let ok = raw.responses(&world, &Method::Invite, 200);
    assert_eq!(ok[0].text(&Name::SessionExpires), Some("90;refresher=uac"));
    world.run(40 * S);
    let refresh = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    raw.send(&mut world, &Method::Update, refresh, "");
    assert_eq!(raw.responses(&world, &Method::Update, 200).len(), 1);
    world.run(58 * S);
    assert!(world.phones[counselor.0].is_talking(), "{}", world.story());
    world.until("our BYE", 4 * S, |w| !raw.requests(w, &Method::Bye).is_empty());
    let bye = raw.requests(&world, &Method::Bye).remove(0);
    raw.respond(&mut world, &bye, "200 OK", "", "");
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Answered, EndReason::CallerLost));
    assert_eq!(world.phones[counselor.0].last().ended, Some(Cause::Bye));
}

#[test]
fn where_the_refresh_is_ours_we_refresh() {
    // A peer that knows no session timer: the duty is ours; it takes no UPDATE either.
    let (mut world, mut raw, counselor) = raw_talk(&basic("", "", ""), "");
    let ok = raw.responses(&world, &Method::Invite, 200);
    assert_eq!(ok[0].text(&Name::SessionExpires), Some("300;refresher=uas"));
    for n in 1..=3 {
        world.until("our refresh", 160 * S, |w| raw.requests(w, &Method::Invite).len() == n);
        let refresh = raw.requests(&world, &Method::Invite).pop().unwrap();
        let offer = String::from_utf8(refresh.sdp().expect("SDP").to_vec()).unwrap();
        assert!(offer.contains("m=audio"));
        let more = "Session-Expires: 300;refresher=uac\r\n";
        raw.respond(&mut world, &refresh, "200 OK", more, &sdp("10.0.1.7:4000", "sendrecv"));
        assert_eq!(raw.requests(&world, &Method::Ack).len(), n);
    }
    assert!(world.phones[counselor.0].is_talking());
    raw.send(&mut world, &Method::Bye, "", "");
    assert_eq!(only_outcome(&mut world), Outcome::Answered);
}

#[test]
fn a_caller_whose_phone_moves_in_the_answer_to_our_refresh_is_followed() {
    let (mut world, raw, _) = raw_talk(&basic("", "", ""), "");
    world.until("our refresh", 160 * S, |w| raw.requests(w, &Method::Invite).len() == 1);
    let refresh = raw.requests(&world, &Method::Invite).pop().unwrap();
    raw.respond(&mut world, &refresh, "200 OK", "", &sdp("10.0.1.9:7000", "sendrecv"));
    world.run(20 * MS);
    let moved = world.now;
    world.run(S);
    let to = "10.0.1.9:7000".parse().unwrap();
    assert!(world.strays.iter().filter(|(at, _)| *at > moved).all(|(_, at)| *at == to));
}

#[test]
fn too_short_a_session_is_refused_with_the_least_that_we_take() {
    let mut world = World::new(&basic("", "", ""));
    let mut raw = Raw::caller(7);
    let timer = "Supported: timer\r\nSession-Expires: 30\r\n";
    raw.invite(&mut world, timer, "10.0.1.7:4000");
    let refused = raw.responses(&world, &Method::Invite, 422);
    assert_eq!(refused[0].text(&Name::MinSe), Some("90"));
}

#[test]
fn a_caller_who_vanishes_is_let_go_and_the_counselor_freed() {
    let Talk { mut world, caller, counselor, .. } = basic_talk();
    world.phone(caller).is_alive = false;
    let gone = world.now;
    world.until("the counselor is free", 60 * S, |w| !w.phones[counselor.0].is_talking());
    let after = world.now - gone;
    assert!((26 * S..=30 * S).contains(&after), "{after:?}");
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Answered, EndReason::CallerLost));
}

#[test]
fn a_caller_who_was_out_of_reach_for_a_moment_is_kept() {
    let mut talk = basic_talk();
    talk.world.phone(talk.caller).is_alive = false;
    talk.world.run(20 * S);
    talk.world.phone(talk.caller).is_alive = true;
    talk.world.run(60 * S);
    talk.claim_they_hear_each_other();
    // One question was lost; the phone, now muted, answers the next ones.
    talk.world.phone(talk.caller).voice = None;
    talk.world.run(5 * S);
    talk.world.phone(talk.caller).is_alive = false;
    talk.world.run(14 * S);
    talk.world.phone(talk.caller).is_alive = true;
    talk.world.run(120 * S);
    assert!(talk.world.phones[talk.counselor.0].is_talking(), "{}", talk.world.story());
}

#[test]
fn a_caller_who_vanishes_in_the_queue_is_let_go() {
    let mut world =
        World::new(&basic("", "max_wait = \"600s\"\nmax_wait_no_counselor = \"600s\"", ""));
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.run(5 * S);
    world.phone(caller).is_alive = false;
    world.run(50 * S);
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Abandoned, EndReason::CallerLost));
}

#[test]
fn a_counselor_whose_phone_is_muted_is_not_lost() {
    let mut talk = basic_talk();
    talk.world.phone(talk.counselor).voice = None;
    talk.world.run(300 * S);
    assert!(talk.world.phones[talk.counselor.0].is_talking(), "{}", talk.world.story());
    let asked = requests_to(&talk.world, talk.counselor, &Method::Options).len();
    // Every three seconds, so that it is known in time when it dies, and to keep its way open.
    assert!((90..=110).contains(&asked), "asked now and then: {asked}");
}

#[test]
fn a_muted_phone_that_dies_is_missed_as_soon_as_one_that_speaks() {
    for muted_for in [2_000, 9_300, 10_900, 12_600] {
        let mut talk = basic_talk();
        let caller = talk.caller;
        talk.world.phone(talk.counselor).voice = None;
        talk.world.run(muted_for * MS);
        talk.world.phone(talk.counselor).is_alive = false;
        let gone = talk.world.now;
        talk.world.until("the caller is told", 12 * S, |w| {
            w.said(caller).contains(&"counselor_lost".to_owned())
        });
        assert!(talk.world.now - gone <= 8 * S, "{muted_for}: {:?}", talk.world.now - gone);
    }
}

#[test]
fn keys_of_the_caller_reach_the_counselor_and_back() {
    let mut talk = basic_talk();
    let (caller, counselor) = (talk.caller, talk.counselor);
    for (from, to) in [(caller, counselor), (counselor, caller)] {
        talk.world.phone(from).press(7, true);
        talk.world.run(S);
        let heard = &talk.world.phones[to.0].heard;
        let events: Vec<_> = heard.iter().filter(|h| h.payload == 101).collect();
        assert!(!events.is_empty() && events.iter().all(|h| h.byte == 7));
        let times: std::collections::BTreeSet<_> = events.iter().map(|h| h.timestamp).collect();
        assert_eq!(times.len(), 1, "one press");
        // By INFO too.
        talk.world.with(from, |phone, now| phone.press_by_info(now, '9'));
        talk.world.run(S);
        let heard = &talk.world.phones[to.0].heard;
        assert!(heard.iter().any(|h| h.payload == 101 && h.byte == 9));
    }
    talk.claim_they_hear_each_other();
}
