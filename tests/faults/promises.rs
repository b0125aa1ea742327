//! That the promises of the simulated world can be broken: each is broken here by hand, and seen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use koebashi::call::board::CounselorState;
use koebashi::call::cdr::EndedBy;
use koebashi::call::journal::Key;
use koebashi::media::{Command, PortId, Source};
use koebashi::sip::message::Method;

use crate::config::BASIC;
use crate::sim::phone::Phone;
use crate::sim::world::Sent;
use crate::sim::{PhoneId, World};

const S: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// One caller talks, another waits behind a third.
fn town() -> (World, PhoneId) {
    let mut world = World::new(BASIC);
    world.add_answering("101", 0x51);
    let callers = [1, 2, 3].map(|n| world.add_caller(n, 0x20 + n));
    for caller in callers {
        world.dial(caller);
        world.run(3 * S);
    }
    world.check();
    world.check_service();
    world.check_secrets();
    (world, callers[0])
}

fn port_of(world: &World, phone: PhoneId) -> PortId {
    let rtp = world.phones[phone.0].rtp;
    *world.peers.iter().find(|(_, peer)| **peer == rtp).expect("the phone has a port").0
}

/// A port that nobody has.
const NOBODY: PortId = PortId { shard: 0, n: 9000 };

/// Breaks something, and looks whether that is seen in these words.
#[track_caller]
fn is_seen(words: &str, breaks: impl FnOnce(&mut World, PhoneId)) {
    let (mut world, caller) = town();
    let seen = catch_unwind(AssertUnwindSafe(|| {
        breaks(&mut world, caller);
        world.check();
        world.check_secrets();
    }));
    let cause = seen.expect_err("nothing is seen");
    let said = cause.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let said = said.or_else(|| cause.downcast_ref::<String>().cloned()).expect("words");
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_voice_that_stops_is_seen() {
    is_seen("hears nothing", |world, caller| {
        let until = world.now - Duration::from_millis(200);
        world.phone(caller).heard.retain(|heard| heard.at < until);
    });
}

#[test]
fn a_phone_that_never_hears_anything_is_seen() {
    is_seen("hears nothing", |world, caller| world.phone(caller).heard.clear());
}

#[test]
fn a_hole_in_a_voice_is_seen_when_it_is_over() {
    is_seen("nothing was sent from", |world, _| {
        // The media thread is held up.
        world.now += Duration::from_millis(200);
        world.run(S);
    });
}

#[test]
fn a_leg_that_is_never_sent_anything_is_seen() {
    is_seen("nothing is sent from", |world, _| {
        let peer = world.commands.iter().rev().find_map(|command| {
            let Command::Connect { peer, .. } = command else { return None };
            (peer.proven && peer.send).then_some(*peer)
        });
        let before = world.now - Duration::from_millis(200);
        world.pace.connect(before, NOBODY, &peer.expect("somebody hears"));
    });
}

/// After a crash the pauses are counted anew, and counted.
#[test]
fn a_hole_after_a_crash_is_seen() {
    is_seen("nothing was sent from", |world, _| {
        world.crash(S);
        world.run(2 * S);
        world.check();
        world.now += Duration::from_millis(200);
        world.run(S);
    });
}

/// A leg that nobody connects again is owed nothing, and missed all the same.
#[test]
fn a_leg_that_a_crash_ends_is_seen() {
    is_seen("is not connected again", |world, _| {
        world.life.kept.clear();
        world.crash(S);
        world.run(3 * S);
    });
}

/// The service says BYE in the phone's latest call.
fn bye(world: &mut World, phone: PhoneId) {
    let to = world.phones[phone.0].sip;
    let last = world.wire.iter().rev().map(Sent::message).find(|message| {
        let is_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        is_invite && world.phones[phone.0].dialogs.session_of(message.call_id().unwrap()).is_some()
    });
    let last = last.expect("the phone has had a call");
    let text = format!(
        "BYE sip:ua@{to} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: {}\r\nCSeq: 9 BYE\r\n\
         Content-Length: 0\r\n\r\n",
        last.call_id().unwrap()
    );
    world.note_ending("10.0.0.1:5060".parse().unwrap(), to, text.as_bytes());
}

#[test]
fn a_call_that_is_ended_for_no_reason_is_seen() {
    let counselor = PhoneId(0);
    is_seen("BYE to 10.0.1.1:5060 for no reason", bye);
    is_seen("BYE to 10.0.2.1:5060 for no reason", |world, _| bye(world, counselor));
    // Who waits is not to be let go either.
    is_seen("BYE to 10.0.1.3:5060 for no reason", |world, _| bye(world, PhoneId(3)));
    // That the counselor's phone was lost is a reason to let go of it, and none to let the caller go.
    is_seen("BYE to 10.0.1.1:5060 for no reason", |world, caller| {
        world.with(counselor, Phone::die);
        world.run(20 * S);
        world.check();
        bye(world, caller);
    });
    is_seen("ended for no reason", |world, caller| {
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(2 * S);
        world.check();
        let mut cdr = world.cdrs[0].clone();
        cdr.ended_by = EndedBy::Counselor;
        world.note_end_of_record(&cdr);
    });
}

#[test]
fn a_second_record_is_seen() {
    let told = |world: &mut World, caller: PhoneId| {
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(2 * S);
        world.cdrs[0].clone()
    };
    is_seen("has two records", |world, caller| {
        let cdr = told(world, caller);
        world.on_record(cdr);
    });
    // A crash is no excuse for one that was told long before it.
    is_seen("has two records", |world, caller| {
        let cdr = told(world, caller);
        world.crash(S);
        world.run(2 * S);
        world.check();
        world.on_record(cdr);
    });
    is_seen("is the name of two calls", |world, caller| {
        let mut cdr = told(world, caller);
        cdr.call = koebashi::call::cdr::CallId("new".into());
        world.on_record(cdr.clone());
        world.crash(S);
        world.run(2 * S);
        world.check();
        cdr.trunk = "another".into();
        world.on_record(cdr);
    });
}

#[test]
fn a_missing_record_is_seen() {
    is_seen("3 calls, 2 records, 0 lost", |world, _| {
        world.let_all_go();
        world.cdrs.pop();
        world.come_to_rest();
    });
}

/// The call that began while the journal could not be written may be lost with the process: that
/// one, and no other.
#[test]
fn what_a_failing_journal_forgives_is_known() {
    is_seen("4 calls, 2 records, 1 lost", |world, _| {
        let late = world.add_caller(4, 0x24);
        world.fail_journal(5 * S);
        world.dial(late);
        world.run(S);
        world.crash(S);
        world.run(2 * S);
        world.check();
        world.let_all_go();
        assert_eq!(world.cdrs.len(), 3);
        world.cdrs.pop();
        world.come_to_rest();
    });
}

/// What the database does not take is written when it does, once for each call, whatever the
/// process comes to meanwhile.
#[test]
fn records_wait_for_the_database() {
    for is_killed in [false, true] {
        let (mut world, caller) = town();
        world.fail_database(10 * S);
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(3 * S);
        assert_eq!(world.cdrs, []);
        if is_killed {
            world.crash(S);
        }
        world.run(3 * S);
        assert_eq!(world.cdrs, []);
        world.let_all_go();
        assert_eq!(world.cdrs.len(), 3);
        assert!(world.life.disks.waited > 0);
    }
}

#[test]
fn places_that_change_are_seen() {
    is_seen("have changed places", |world, _| {
        let mut board = world.shown.clone();
        let waiting: Vec<_> =
            (0..board.calls.len()).filter(|at| board.calls[*at].position.is_some()).collect();
        let [one, two] = waiting[..] else { panic!("two wait") };
        let place = board.calls[one].position;
        board.calls[one].position = board.calls[two].position;
        board.calls[two].position = place;
        world.show(board);
    });
}

#[test]
fn a_second_hearer_is_seen() {
    is_seen("hear the caller", |world, caller| {
        let port = port_of(world, caller);
        world.listens.insert(NOBODY, Source::Port(port));
    });
    is_seen("the caller at 10.0.1.1:15060 hears", |world, caller| {
        let (port, counselor) = (port_of(world, caller), port_of(world, PhoneId(0)));
        world.listens.insert(port, Source::Mix(vec![counselor, NOBODY]));
    });
}

#[test]
fn a_number_in_a_step_or_on_the_wire_is_seen() {
    is_seen("a number is told", |world, _| world.steps.push("09011112222 waits".to_owned()));
    // To a counselor, and to another caller.
    for to in ["10.0.2.1:5060", "10.0.1.2:5060"] {
        is_seen(&format!("a number is told to {to}"), |world, _| {
            let invite =
                world.wire.iter().find(|sent| sent.to.to_string().starts_with("10.0.0.1:"));
            let bytes = invite.expect("an INVITE of the trunk").bytes.clone();
            let bytes = [&bytes[..], b"09011112222"].concat().into();
            let (at, from) = (world.now, "10.0.0.1:5060".parse().unwrap());
            world.wire.push(Sent { at, from, to: to.parse().unwrap(), bytes });
        });
    }
}

#[test]
fn a_table_that_grows_is_seen() {
    is_seen("values of the journal", |world, _| {
        for n in 0..500 {
            world.life.kept.insert(Key::Internal(n), Bytes::new());
        }
    });
}

/// A response of the service that grants something, for the session of nobody.
fn granted(world: &mut World, phone: PhoneId, lines: &str) {
    let to = world.phones[phone.0].sip;
    let answer = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {to};branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>;tag=2\r\nCall-ID: nobody\r\n{lines}\r\nContent-Length: 0\r\n\r\n"
    );
    world.note_terms("10.0.0.1:5060".parse().unwrap(), to, answer.as_bytes());
}

#[test]
fn a_session_that_outlives_its_timer_is_seen() {
    is_seen("session nobody goes on", |world, caller| {
        granted(world, caller, "CSeq: 1 INVITE\r\nSession-Expires: 90;refresher=uac");
        world.run(94 * S);
        world.check();
        world.run(2 * S);
    });
}

#[test]
fn a_counselor_whose_registration_is_over_is_seen() {
    is_seen("after the registration", |world, _| {
        let counselor = PhoneId(0);
        world.let_all_go();
        granted(world, counselor, "CSeq: 9 REGISTER\r\nContact: <sip:101@h>;expires=10");
        world.run(9 * S);
        world.check();
        world.run(3 * S);
    });
}

#[test]
fn a_phone_that_died_and_stays_connected_is_seen() {
    is_seen("is connected with a phone that died", |world, caller| {
        world.with(caller, Phone::die);
        world.run(60 * S);
        world.check();
        let rtp = world.phones[caller.0].rtp;
        world.peers.insert(NOBODY, rtp);
        world.run(60 * S);
    });
}

#[test]
fn waits_and_notes_without_an_end_are_seen() {
    is_seen("waits for 7200s", |world, _| {
        let mut board = world.shown.clone();
        let waiting = board.calls.iter_mut().find(|call| call.position.is_some());
        waiting.expect("two wait").in_phase = 2 * HOUR;
        world.show(board);
    });
    is_seen("takes notes for 7200s", |world, _| {
        let mut board = world.shown.clone();
        (board.counselors[0].state, board.counselors[0].for_) = (CounselorState::WrapUp, 2 * HOUR);
        world.show(board);
    });
}
