use std::collections::BTreeMap;
use std::sync::Arc;

use koebashi::call::board::{CounselorState, TrunkState};
use koebashi::call::cdr::{EndReason, Outcome};
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;
use koebashi::call::switchboard::Command;
use koebashi::media;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};

use super::{CALLER, COUNSELOR, MS, S, Talk, basic_talk, only_record, rings, talk};
use crate::config::{alone, basic, load};
use crate::sim::{Answer, Raw, World};

fn reload(world: &mut World, toml: &str) {
    let loaded = load(toml);
    world.command(Command::Configure(Arc::new(loaded.call), Box::new(loaded.sip)));
}

fn state(world: &mut World, extension: &str) -> CounselorState {
    world.run(300 * MS);
    let mut views = world.shown.counselors.iter();
    views.find(|c| c.extension == Extension::from(extension)).unwrap().state.clone()
}

#[test]
fn a_draining_process_takes_no_new_calls_and_lets_the_live_ones_go_on() {
    let mut talk = talk(&alone("", "", ""));
    let waiting = talk.world.add_caller(2, 2);
    talk.world.dial(waiting);
    talk.world.run(2 * S);
    talk.world.command(Command::Drain);
    let late = talk.world.add_caller(3, 3);
    talk.world.dial(late);
    talk.world.run(4 * S);
    assert_eq!(talk.world.said(late), ["draining", "help"]);
    assert!(talk.world.phones[late.0].last().ended.is_some());
    talk.claim_they_hear_each_other();
    let Talk { mut world, caller, counselor, .. } = talk;
    assert!(world.shown.draining);
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(4 * S);
    assert_eq!(world.hears(waiting), format!("voice {}", counselor.0), "{}", world.story());
    assert!(!world.board.is_idle());
    world.with(waiting, |phone, now| phone.hang_up(now));
    world.run(3 * S);
    assert!(world.board.is_idle());
    let outcomes: Vec<_> = world.cdrs.iter().map(|cdr| cdr.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::Answered, Outcome::Answered]);
}

#[test]
fn a_live_call_may_go_on_to_another_line_while_draining() {
    let guidance = "[line.guidance]\nstart = { play = [\"a\", \"b\"], next = \"line:other\" }\n";
    let other = "[[line]]\nid = \"other\"\nname = \"other\"\n";
    let toml = basic(guidance, "", other);
    let mut world =
        World::new(&toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]"));
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(500 * MS);
    world.command(Command::Drain);
    world.run(5 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0), "{:?}", world.said(caller));
}

#[test]
fn a_live_call_keeps_the_configuration_that_it_began_with() {
    let before = "[line.guidance]\n\
        start = { play = [\"old\"], keys = { \"1\" = \"old_node\" }, timeout = \"60s\", next = \"help\" }\n\
        old_node = { play = [\"older\"], next = \"queue\" }\n";
    let mut world = World::new(&basic(before, "hold = \"old_hold\"", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(4 * S);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(2 * S);
    reload(
        &mut world,
        &basic("numbers = [\"0480000000\"]", "", "").replacen(
            "numbers = [\"0570000000\"]\n",
            "",
            1,
        ),
    );
    world.phone(caller).press(1, true);
    world.run(4 * S);
    assert_eq!(
        world.said(caller),
        ["old", "older", "connecting", "position_1", "old_hold"],
        "{}",
        world.story()
    );
    world.run(3 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0));
    // New calls are the new configuration's.
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    assert_eq!(raw.responses(&world, &Method::Invite, 404).len(), 1);
}

#[test]
fn a_reload_drops_no_call() {
    let mut talk = basic_talk();
    // The line, the counselor and the trunk are gone from the new configuration.
    let other = basic("", "", "")
        .replace("id = \"main\"", "id = \"new\"")
        .replace("[\"main\"]", "[\"new\"]")
        .replace("extension = \"101\"", "extension = \"111\"")
        .replace("10.0.1.0/24", "10.0.7.0/24");
    for n in 0..20 {
        reload(&mut talk.world, if n % 2 == 0 { &other } else { crate::config::BASIC });
        talk.world.run(300 * MS);
    }
    reload(&mut talk.world, &other);
    talk.world.run(5 * S);
    talk.claim_they_hear_each_other();
    // Hold, and the caller's BYE from an address that is no trunk's any more.
    let Talk { mut world, caller, counselor, .. } = talk;
    world.with(counselor, |phone, now| phone.hold(now, true));
    world.run(S);
    assert_eq!(world.hears(caller), "hold");
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Answered, EndReason::Hangup));
}

#[test]
fn what_counselors_chose_outlives_a_restart() {
    let choices = [
        ("101", Intention::LoggedOut, CounselorState::Offline),
        ("102", Intention::Paused("休憩".to_owned()), CounselorState::Paused("休憩".to_owned())),
    ];
    let kept: BTreeMap<_, _> =
        choices.iter().map(|(e, chosen, _)| (Extension::from(*e), chosen.clone())).collect();
    let mut world = World::restarted(&basic("", "", ""), kept, 7);
    for (extension, _, expected) in choices {
        world.add_counselor(extension, 0x50);
        assert_eq!(state(&mut world, extension), expected);
    }
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(2 * S);
    assert_eq!(world.said(caller), ["no_counselor", "help"]);
}

#[test]
fn whoever_has_logged_out_stays_so_until_the_phone_is_switched_on_again() {
    let mut world = World::new(&alone("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    let extension = Extension::from("101");
    let intention = Intention::LoggedOut;
    world.intend(extension, intention);
    // Out of reach for minutes, and back.
    world.phone(counselor).is_alive = false;
    let address = world.phones[counselor.0].sip;
    world.fail_flow(address);
    world.run(100 * S);
    world.phone(counselor).is_alive = true;
    world.run(100 * S);
    assert_eq!(state(&mut world, "101"), CounselorState::Offline);
    // Switched off, and on again next week.
    world.with(counselor, |phone, now| phone.unregister(now));
    world.run(S);
    world.with(counselor, |phone, now| phone.register(now, "101", "password-101"));
    world.run(S);
    assert_eq!(state(&mut world, "101"), CounselorState::Ready);
}

#[test]
fn where_sign_in_is_manual_a_phone_alone_makes_nobody_ready() {
    let toml = alone("", "", "").replace("password =", "sign_in = \"manual\"\npassword =");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    assert_eq!(state(&mut world, "101"), CounselorState::Offline);
    let extension = Extension::from("101");
    world.intend(extension, Intention::Ready);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(5 * S);
    assert_eq!(rings(&world, counselor), 1);
}

#[test]
fn a_port_that_cannot_be_bound_is_passed_over() {
    let mut world = World::new(&basic("", "", ""));
    // The caller's first two, and the counselor's first.
    world.unbindable = vec![30_000, 30_002, 30_006];
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(5 * S);
    let ports: Vec<_> = world.ports.values().map(|at| at.port()).collect();
    assert_eq!(ports, [30_004, 30_008]);
    let since = world.now;
    Talk { world, caller, counselor, since }.claim_they_hear_each_other();
}

#[test]
fn without_any_port_the_caller_is_refused_with_503_as_our_fault() {
    let mut world = World::new(&basic("", "", ""));
    world.unbindable = (30_000..30_010).collect();
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    world.run(S);
    assert!(!raw.responses(&world, &Method::Invite, 503).is_empty(), "{}", world.story());
    raw.ack(&mut world);
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.answered), (Outcome::Failed, None));
}

#[test]
fn when_no_port_is_left_for_the_counselor_the_caller_waits_for_one() {
    let mut world = World::new(&alone("", "retry = \"2s\"", ""));
    world.unbindable = (30_002..30_010).collect();
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(2 * S);
    assert_eq!(world.hears(caller), "hold", "{}", world.story());
    world.unbindable.clear();
    world.run(8 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0), "{}", world.story());
}

#[test]
fn a_port_that_the_media_plane_gives_up_is_replaced_and_both_talk_on() {
    let mut talk = basic_talk();
    let ports: Vec<_> = talk.world.ports.keys().copied().collect();
    for port in ports {
        talk.world.on_command(media::Command::Close { port });
        talk.world.run(2 * S);
        talk.claim_they_hear_each_other();
    }
    assert!(talk.world.ports.values().all(|at| at.port() >= 30_004), "{:?}", talk.world.ports);
    let Talk { mut world, caller, counselor, .. } = talk;
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(S);
    assert!(world.phones[counselor.0].last().ended.is_some());
    assert_eq!(only_record(&mut world).reason, EndReason::Hangup);
    assert_eq!(world.open_ports(), 0, "what is closed with the call is not opened anew");
}

const REGISTRAR: &str = "10.0.9.9:5060";

/// REGISTERs that have come to the carrier; retransmissions left out.
fn registers(world: &World) -> Vec<Message> {
    let to: std::net::SocketAddr = REGISTRAR.parse().unwrap();
    let sent = world.wire.iter().filter(|sent| sent.to == to).map(|sent| sent.message());
    let mut all: Vec<_> = sent.filter(|m| m.method() == Some(&Method::Register)).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|m| seen.insert((m.call_id().unwrap().to_owned(), m.cseq().unwrap().seq)));
    all
}

fn carrier() -> Raw {
    let mut raw = Raw::caller(1);
    raw.at = REGISTRAR.to_owned();
    raw
}

fn registering(more: &str) -> World {
    let table = "{ uri = \"sip:10.0.9.9\", user = \"0480000000\", password = \"carrier-secret\" }";
    let trunk = format!("[[trunk]]\nid = \"hikari\"\nregister = [{table}{more}]\n");
    World::new(&basic("", "", &trunk))
}

fn trunk_state(world: &mut World) -> TrunkState {
    world.run(300 * MS);
    world.shown.trunks.iter().find(|t| &*t.trunk.0 == "hikari").unwrap().state
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"abc\", \
                         algorithm=MD5, qop=\"auth\"\r\n";

#[test]
fn a_trunk_registers_with_its_password_and_refreshes() {
    let mut world = registering("");
    world.run(S);
    let first = registers(&world).remove(0);
    assert_eq!(first.uri(), Some("sip:10.0.9.9"));
    assert!(first.to().unwrap().uri.starts_with("sip:0480000000@10.0.9.9"));
    assert!(first.header(&Name::Authorization).is_none());
    assert_eq!(trunk_state(&mut world), TrunkState::Down);
    carrier().respond(&mut world, &first, "401 Unauthorized", CHALLENGE, "");
    world.run(2 * S);
    let second = registers(&world).pop().unwrap();
    let authorization = second.text(&Name::Authorization).expect("credentials");
    assert!(authorization.contains("username=\"0480000000\"") && !authorization.contains("secret"));
    let contact = format!("Contact: {};expires=60\r\n", second.text(&Name::Contact).unwrap());
    carrier().respond(
        &mut world,
        &second,
        "200 OK",
        &contact.replace("Contact: <sip:raw", "X: <"),
        "",
    );
    assert_eq!(trunk_state(&mut world), TrunkState::Up);
    let before = registers(&world).len();
    world.run(60 * S);
    assert!(registers(&world).len() > before, "refreshed before its end");
    // The carrier falls silent: tried again and again, ever more slowly.
    world.run(600 * S);
    assert_eq!(trunk_state(&mut world), TrunkState::Down);
    let tries = registers(&world).len() - before;
    assert!((3..=20).contains(&tries), "{tries}");
}

#[test]
fn registrations_leave_one_a_second_and_a_423_is_heeded() {
    let two = "{ uri = \"sip:10.0.9.9\", user = \"0480000001\", password = \"b\" }";
    let mut world = registering(&format!(", {two}, {}", two.replace("0001", "0002")));
    world.run(200 * MS);
    assert_eq!(registers(&world).len(), 1);
    world.run(S);
    assert_eq!(registers(&world).len(), 2);
    world.run(S);
    let all = registers(&world);
    assert_eq!(all.len(), 3);
    carrier().respond(&mut world, &all[0], "423 Too Brief", "Min-Expires: 7200\r\n", "");
    world.run(3 * S);
    let again = registers(&world).pop().unwrap();
    let expires = again.number(&Name::Expires);
    let in_contact = again.text(&Name::Contact).unwrap().contains("expires=7200");
    assert!(expires == Some(7200) || in_contact, "{expires:?}");
}

#[test]
fn calls_of_a_registrar_that_is_named_by_its_address_are_taken() {
    let mut world = registering("");
    world.run(S);
    let mut raw = carrier();
    raw.call_id = "from-the-registrar".to_owned();
    raw.invite(&mut world, "", "10.0.9.9:4000");
    world.run(S);
    assert_eq!(raw.responses(&world, &Method::Invite, 180).len(), 1, "{}", world.story());
}

#[test]
fn while_one_trunk_is_dead_calls_come_by_the_other() {
    let mut world = registering("");
    world.add_counselor("101", 0x51);
    let caller = world.add_caller(1, 0x21);
    // The carrier of the first answers nothing, not even its registration.
    world.run(40 * S);
    assert_eq!(trunk_state(&mut world), TrunkState::Down);
    let other = world.shown.trunks.iter().find(|t| &*t.trunk.0 != "hikari").unwrap();
    assert_ne!(other.state, TrunkState::Down);
    world.dial(caller);
    world.until("the bridge", 10 * S, |w| w.state_of("101") == CounselorState::Talking);
    world.with(caller, |phone, now| phone.hang_up(now));
    // The dead one is tried all the while, and comes back without anybody's doing.
    let before = registers(&world).len();
    world.until("another try", 900 * S, |w| registers(w).len() > before);
    let last = registers(&world).pop().unwrap();
    carrier().respond(&mut world, &last, "200 OK", &last_contact(&last), "");
    assert_eq!(trunk_state(&mut world), TrunkState::Up);
}

fn last_contact(register: &Message) -> String {
    format!("Contact: {};expires=60\r\n", register.text(&Name::Contact).unwrap())
}

#[test]
fn the_same_seed_and_the_same_inputs_give_the_same_bytes() {
    let run = || {
        let mut world = World::new(&basic("", "", ""));
        let counselor = world.add_counselor("101", COUNSELOR);
        let caller = world.add_caller(1, CALLER);
        world.dial(caller);
        world.run(8 * S);
        world.with(counselor, |phone, now| phone.hold(now, true));
        world.run(S);
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(3 * S);
        let wire: Vec<_> = world.wire.iter().map(|sent| sent.bytes.clone()).collect();
        (wire, world.steps.clone(), format!("{:?}", world.cdrs))
    };
    assert!(run() == run());
}
