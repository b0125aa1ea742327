use koebashi::call::board::CounselorState;
use koebashi::call::cdr::Outcome;
use koebashi::call::config::Extension;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::sip::sdp::Codec;

use super::{CALLER, COUNSELOR, MS, S, only_record, requests_to, rings, talk};
use crate::config::basic;
use crate::sim::{Answer, PhoneId, Raw, World, sdp};

const AT: &str = "10.0.2.9:5060";

/// Counselor 109 with a phone written by hand, who is rung first; 101 is there too.
fn world(queue: &str) -> (World, PhoneId) {
    let fixed = "[[counselor]]\nextension = \"109\"\nname = \"I\"\nlines = [\"main\"]\n\
                 contact = \"sip:109@10.0.2.9:5060\"\n";
    let toml = basic("", &format!("strategy = \"ordered\"\nretry = \"1s\"\n{queue}"), fixed);
    // The one with the fixed phone comes first.
    let toml = toml.replace("extension = \"109\"", "extension = \"x\"");
    let toml = toml.replace(
        "extension = \"101\"",
        "extension = \"109\"\ncontact = \
                             \"sip:109@10.0.2.9:5060\"",
    );
    let toml = toml.replace(
        "extension = \"x\"\nname = \"I\"\nlines = [\"main\"]\n\
                 contact = \"sip:109@10.0.2.9:5060\"",
        "extension = \"101\"\nname = \"A\"\n\
                 password = \"password-101\"\nlines = [\"main\"]",
    );
    let mut world = World::new(&toml);
    let other = world.add_counselor("101", COUNSELOR);
    (world, other)
}

fn invites(world: &World) -> Vec<Message> {
    let to: std::net::SocketAddr = AT.parse().unwrap();
    let all = world.wire.iter().filter(|s| s.to == to).map(|s| s.message());
    let mut all: Vec<_> = all.filter(|m| m.method() == Some(&Method::Invite)).collect();
    all.dedup_by_key(|m| m.call_id().unwrap().to_owned());
    all
}

/// A caller dials; the phone at [`AT`] is rung.
fn rung(world: &mut World) -> (PhoneId, Raw, Message) {
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    let before = invites(world).len();
    world.until("the ring", 5 * S, |w| invites(w).len() > before);
    let invite = invites(world).pop().unwrap();
    (caller, Raw::callee(AT, &invite), invite)
}

fn missed(world: &mut World, extension: &str) -> (u32, CounselorState) {
    world.run(300 * MS);
    let mut views = world.shown.counselors.iter();
    let view = views.find(|c| c.extension == Extension::from(extension)).unwrap();
    (view.missed, view.state.clone())
}

#[test]
fn a_phone_that_declines_is_passed_over_and_counts_as_missed() {
    for status in ["486 Busy Here", "480 Unavailable", "603 Decline", "600 Busy Everywhere"] {
        let (mut world, other) = world("");
        let (caller, raw, invite) = rung(&mut world);
        raw.respond(&mut world, &invite, status, "", "");
        assert_eq!(raw.requests(&world, &Method::Ack).len(), 1, "{status}");
        assert_eq!(missed(&mut world, "109"), (1, CounselorState::Ready), "{status}");
        world.run(4 * S);
        assert_eq!(world.hears(caller), format!("voice {}", other.0), "{status}");
    }
}

#[test]
fn a_phone_that_fails_is_left_alone_for_a_while() {
    for status in ["500 Oops", "503 Service Unavailable", "404 Not Found", "410 Gone"] {
        let (mut world, other) = world("");
        world.phone(other).answer = Answer::Never;
        let (_, raw, invite) = rung(&mut world);
        raw.respond(&mut world, &invite, status, "", "");
        assert_eq!(missed(&mut world, "109"), (0, CounselorState::Unreachable), "{status}");
        world.run(9 * S);
        assert_eq!(invites(&world).len(), 1, "{status}");
        assert_eq!(missed(&mut world, "109"), (0, CounselorState::Unreachable), "{status}");
        world.run(S);
        assert_eq!(missed(&mut world, "109"), (0, CounselorState::Ready), "{status}");
    }
}

#[test]
fn a_phone_that_forwards_is_not_followed() {
    let (mut world, other) = world("");
    let (caller, raw, invite) = rung(&mut world);
    let contact = "Contact: <sip:09099998888@203.0.113.9>\r\n";
    raw.respond(&mut world, &invite, "302 Moved Temporarily", contact, "");
    world.run(5 * S);
    assert_eq!(world.hears(caller), format!("voice {}", other.0));
    let known = ["10.0.1.1:5060", AT, "10.0.2.1:5060"].map(|at| at.parse().unwrap());
    let to: Vec<_> = world.wire.iter().filter(|s| s.from == crate::sim::world::server()).collect();
    assert!(to.iter().all(|s| known.contains(&s.to)), "nobody else was called");
}

#[test]
fn an_answer_without_usable_audio_is_ended_and_the_next_one_rung() {
    let (mut world, other) = world("");
    let (caller, raw, invite) = rung(&mut world);
    let video = sdp("10.0.2.9:4000", "sendrecv").replace("RTP/AVP 0 101", "RTP/AVP 18");
    raw.respond(&mut world, &invite, "200 OK", "", &video);
    assert_eq!(raw.requests(&world, &Method::Ack).len(), 1);
    let bye = raw.requests(&world, &Method::Bye);
    assert_eq!(bye.len(), 1, "{}", world.story());
    raw.respond(&mut world, &bye[0], "200 OK", "", "");
    world.run(5 * S);
    assert_eq!(world.hears(caller), format!("voice {}", other.0), "{}", world.story());
}

#[test]
fn a_phone_that_answers_at_once_is_joined() {
    let (mut world, _) = world("");
    let (caller, raw, invite) = rung(&mut world);
    raw.respond(&mut world, &invite, "200 OK", "", &sdp("10.0.2.9:4000", "sendrecv"));
    assert_eq!(raw.requests(&world, &Method::Ack).len(), 1);
    world.run(S);
    assert!(world.strays.len() > 40, "it hears the caller");
    // A phone whose 200 is repeated has lost our ACK.
    raw.respond(&mut world, &invite, "200 OK", "", &sdp("10.0.2.9:4000", "sendrecv"));
    assert_eq!(raw.requests(&world, &Method::Ack).len(), 2);
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(20 * MS);
    let bye = raw.requests(&world, &Method::Bye);
    raw.respond(&mut world, &bye[0], "200 OK", "", "");
    assert_eq!(only_record(&mut world).counselor, Some(Extension::from("109")));
}

#[test]
fn early_media_of_a_counselors_phone_is_not_passed_on() {
    let (mut world, _) = world("");
    let (caller, raw, invite) = rung(&mut world);
    raw.respond(&mut world, &invite, "183 Progress", "", &sdp("10.0.2.9:4000", "sendrecv"));
    world.run(100 * MS);
    let port = *world.ports.values().max().unwrap();
    for n in 0..50u16 {
        let mut packet = vec![0x80, 0, 0, n as u8, 0, 0, 0, 0, 1, 2, 3, 4];
        packet.extend([0x11; 160]);
        world.send_rtp("10.0.2.9:4000", port, packet);
        world.run(20 * MS);
    }
    assert_eq!(world.hears(caller), "hold");
    assert!(world.phones[caller.0].heard.iter().all(|h| h.byte != 0x11));
}

#[test]
fn a_caller_who_gives_up_stops_the_ring() {
    let (mut world, _) = world("");
    let (caller, raw, invite) = rung(&mut world);
    raw.respond(&mut world, &invite, "180 Ringing", "", "");
    world.run(6 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(6 * MS);
    let cancel = raw.requests(&world, &Method::Cancel);
    assert_eq!(cancel.len(), 1, "{}", world.story());
    raw.respond(&mut world, &cancel[0], "200 OK", "", "");
    raw.respond(&mut world, &invite, "487 Request Terminated", "", "");
    assert_eq!(only_record(&mut world).outcome, Outcome::Abandoned);
}

#[test]
fn a_phone_with_two_registrations_rings_on_both_and_is_missed_once() {
    let mut world = World::new(&basic("", "ring_timeout = \"5s\"\nretry = \"30s\"", ""));
    let desk = world.add_counselor("101", COUNSELOR);
    let soft = world.add("10.0.2.77:5060", 0x56);
    world.with(soft, |phone, now| phone.register(now, "101", "password-101"));
    world.run(S);
    for phone in [desk, soft] {
        world.phone(phone).answer = Answer::Never;
    }
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(8 * S);
    assert_eq!((rings(&world, desk), rings(&world, soft)), (1, 1));
    assert_eq!(missed(&mut world, "101").0, 1);
    world.phone(soft).answer = Answer::After(S);
    world.run(30 * S);
    assert_eq!(world.hears(caller), format!("voice {}", soft.0), "{}", world.story());
    let cancel = requests_to(&world, desk, &Method::Cancel);
    assert!(cancel.last().unwrap().text(&Name::Reason).is_some_and(|r| r.contains("cause=200")));
}

#[test]
fn legs_of_different_laws_hear_each_other() {
    let mut world = World::new(&basic("", "", ""));
    let counselor = world.add_counselor("101", 0xd5 ^ 0x2a);
    world.phone(counselor).codecs = vec![Codec::Pcma];
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.until("both talk", 10 * S, |w| w.phones[counselor.0].is_talking());
    world.run(S);
    let last = |id: PhoneId| *world.phones[id.0].heard.last().unwrap();
    let mut expected = [CALLER];
    use koebashi::media::{Law, g711};
    g711::convert(Law::Mu, Law::A, &mut expected);
    assert_eq!((last(counselor).payload, last(counselor).byte), (8, expected[0]));
    let mut expected = [0xd5 ^ 0x2a];
    g711::convert(Law::A, Law::Mu, &mut expected);
    assert_eq!((last(caller).payload, last(caller).byte), (0, expected[0]));
    world.claim_one_stream(caller);
}

#[test]
fn the_callers_law_is_offered_first_so_that_nothing_is_converted() {
    let mut world = World::new(&basic("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).codecs = vec![Codec::Pcmu, Codec::Pcma];
    let caller = world.add_caller(1, CALLER);
    world.phone(caller).codecs = vec![Codec::Pcma];
    world.dial(caller);
    world.until("both talk", 10 * S, |w| w.phones[counselor.0].is_talking());
    let invite = requests_to(&world, counselor, &Method::Invite).remove(0);
    let offer = String::from_utf8(invite.sdp().unwrap().to_vec()).unwrap();
    assert!(offer.contains("RTP/AVP 8 0 101"), "{offer}");
}

#[test]
fn a_counselor_who_talks_is_not_rung() {
    let mut talk = talk(&basic("", "", ""));
    let second = talk.world.add_caller(2, 0x2b);
    talk.world.dial(second);
    talk.world.run(10 * S);
    assert_eq!(rings(&talk.world, talk.counselor), 1);
    assert_eq!(talk.world.hears(second), "hold");
    talk.claim_they_hear_each_other();
}
