//! Claims on what counselors dial: codes, and who may dial them.

use std::time::Duration;

use koebashi::call::board::{Chooser, CounselorState};
use koebashi::call::config::Extension;
use koebashi::call::deed::{Actor, Denial, Request, What};
use koebashi::call::intention::Intention;
use koebashi::pii::Pii;
use koebashi::sip::Cause;
use koebashi::sip::message::Method;

use crate::config::BASIC;
use crate::sim::{Answer, PhoneId, World};

const S: Duration = Duration::from_secs(1);

fn world() -> (World, PhoneId) {
    let codes = "\n[codes]\npause_reasons = { 1 = \"休憩\" }\n";
    let toml = BASIC.replace("wrap_up = \"0s\"", "wrap_up = \"20s\"") + codes;
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", 0x51);
    world.phone(counselor).answer = Answer::After(Duration::from_millis(500));
    (world, counselor)
}

/// Dials, and waits for the end of the call; what was heard.
fn dial(world: &mut World, id: PhoneId, code: &str) -> Vec<String> {
    let since = world.now;
    world.with(id, |phone, now| phone.dial(now, code));
    world.run(5 * S);
    let call = world.phones[id.0].last();
    assert_eq!(call.ended, Some(Cause::Bye), "{code}\n{}", world.story());
    let mut sounds = world.sounds(id, since);
    sounds.retain(|sound| sound != "silence");
    sounds
}

fn intention(world: &World) -> Option<&Intention> {
    world.intentions.get(&Extension::from("101"))
}

#[test]
fn each_code_is_challenged_carried_out_confirmed_and_ended() {
    let (mut world, id) = world();
    let paused = |why: &str| Intention::Paused(why.to_owned());
    let table = [
        ("*22", "paused", paused(""), CounselorState::Paused(String::new())),
        ("*21", "ready", Intention::Ready, CounselorState::Ready),
        ("*221", "paused", paused("休憩"), CounselorState::Paused("休憩".to_owned())),
        ("*20", "logged_out", Intention::LoggedOut, CounselorState::Offline),
        ("*21", "ready", Intention::Ready, CounselorState::Ready),
    ];
    for (code, said, chosen, state) in table {
        assert_eq!(dial(&mut world, id, code), [said], "{code}");
        assert_eq!(intention(&world), Some(&chosen), "{code}");
        assert_eq!(world.state_of("101"), state, "{code}");
    }
    let refused = world.to_phone(id).iter().filter(|m| m.code() == Some(401)).count();
    assert_eq!(refused, 1 + 5, "the REGISTER and each INVITE");
    world.come_to_rest();
    assert!(world.cdrs.is_empty(), "a code is not a call");
}

#[test]
fn a_code_that_is_none_or_does_not_fit_is_refused_by_voice() {
    let (mut world, id) = world();
    for code in ["*99", "*2", "*229", "*2211", "999", "09011112222", "*23", "*24"] {
        assert_eq!(dial(&mut world, id, code), ["code_refused"], "{code}");
    }
    assert_eq!(intention(&world), None, "nothing was chosen");
    assert_eq!(world.state_of("101"), CounselorState::Ready);
    world.come_to_rest();
}

/// 101 has just talked with a caller.
fn wrapping_up() -> (World, PhoneId) {
    let (mut world, id) = world();
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.until("both talk", 10 * S, |w| w.phones[id.0].is_talking());
    world.run(S);
    world.with(caller, |phone, now| phone.hang_up(now));
    world.run(S);
    assert_eq!(world.state_of("101"), CounselorState::WrapUp);
    (world, id)
}

#[test]
fn wrap_up_ends_by_itself() {
    let (mut world, _) = wrapping_up();
    world.run(18 * S);
    assert_eq!(world.state_of("101"), CounselorState::WrapUp);
    world.run(2 * S);
    assert_eq!(world.state_of("101"), CounselorState::Ready);
}

#[test]
fn wrap_up_is_ended_by_code() {
    let (mut world, id) = wrapping_up();
    assert_eq!(dial(&mut world, id, "*23"), ["wrap_up_ended"]);
    assert_eq!(world.state_of("101"), CounselorState::Ready);
    assert_eq!(intention(&world), None, "it is no choice");
}

#[test]
fn wrap_up_is_extended_by_code() {
    let (mut world, id) = wrapping_up();
    assert_eq!(dial(&mut world, id, "*24"), ["wrap_up_extended"]);
    world.run(28 * S);
    assert_eq!(world.state_of("101"), CounselorState::WrapUp);
    world.run(8 * S);
    assert_eq!(world.state_of("101"), CounselorState::Ready);
}

#[test]
fn a_counselor_busy_with_a_code_is_not_rung() {
    let (mut world, id) = world();
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.run(Duration::from_millis(300));
    world.with(id, |phone, now| phone.dial(now, "*21"));
    world.until("101 hears the confirmation", S, |w| w.hears(id) == "ready");
    world.run(Duration::from_millis(300));
    assert_eq!(world.state_of("101"), CounselorState::Talking);
    assert_eq!(world.hears(caller), "connecting");
    world.until("both talk", 10 * S, |w| w.phones[id.0].is_talking() && w.hears(id) == "voice 1");
    let to_phone = world.wire.iter().filter(|sent| sent.to == world.phones[id.0].sip);
    let methods = to_phone.filter_map(|sent| sent.message().method().cloned());
    let methods: Vec<_> = methods.filter(|m| *m != Method::Options).collect();
    assert_eq!(methods, [Method::Bye, Method::Invite, Method::Ack], "{}", world.story());
    world.with(caller, |phone, now| phone.hang_up(now));
    world.come_to_rest();
}

#[test]
fn a_wrong_password_changes_nothing() {
    let (mut world, id) = world();
    for (user, password) in [("101", "wrong"), ("102", "wrong"), ("999", "password-101")] {
        world.phone(id).account = Some((user.to_owned(), Pii::new(password)));
        world.with(id, |phone, now| phone.dial(now, "*22"));
        world.run(2 * S);
        let ended = world.phones[id.0].last().ended.clone();
        assert!(
            matches!(ended, Some(Cause::Refused { code: 401 | 403, .. })),
            "{user}: {ended:?}\n{}",
            world.story()
        );
    }
    assert_eq!(world.intentions.len(), 0);
    assert_eq!(world.state_of("101"), CounselorState::Ready);
    world.come_to_rest();
}

#[test]
fn a_trunks_call_to_a_code_is_an_unknown_number() {
    let (mut world, _) = world();
    let caller = world.add_caller(1, 0x2a);
    world.with(caller, |phone, now| {
        phone.call(now, "*22", "<sip:101@koebashi.local>", &[]);
    });
    world.run(2 * S);
    let ended = world.phones[caller.0].last().ended.clone();
    assert!(matches!(ended, Some(Cause::Refused { code: 404, .. })), "{ended:?}");
    assert_eq!(world.intentions.len(), 0);
    assert_eq!(world.cdrs.len(), 1);
}

#[test]
fn a_strangers_call_to_a_code_gets_no_answer() {
    let (mut world, _) = world();
    let stranger = world.add("192.0.2.66:5060", 0x66);
    world.phone(stranger).account = Some(("101".to_owned(), Pii::new("password-101")));
    world.with(stranger, |phone, now| phone.dial(now, "*22"));
    world.run(3 * S);
    assert_eq!(world.to_phone(stranger).len(), 0);
    assert_eq!(world.intentions.len(), 0);
}

#[test]
fn a_code_call_ends_though_the_phone_says_nothing_more() {
    let (mut world, id) = world();
    world.with(id, |phone, now| phone.dial(now, "*22"));
    world.until("the code is answered", 2 * S, |w| w.phones[id.0].is_talking());
    world.phone(id).answer = Answer::Dead;
    world.run(70 * S);
    assert!(world.board.is_idle(), "{}", world.story());
    assert_eq!(world.board.counts().sessions, 0);
    assert_eq!(world.open_ports(), 0);
}

/// The same as by code, asked through the console by somebody else.
fn intend(extension: &str, intention: Intention) -> Request {
    Request::Intend { extension: extension.into(), intention, by: Chooser::Other }
}

#[test]
fn what_is_asked_through_the_console_is_what_codes_do() {
    let (mut world, _) = world();
    let paused = |why: &str| Intention::Paused(why.to_owned());
    let table = [
        (paused(""), CounselorState::Paused(String::new())),
        (Intention::Ready, CounselorState::Ready),
        (paused("休憩"), CounselorState::Paused("休憩".to_owned())),
        (Intention::LoggedOut, CounselorState::Offline),
        (Intention::Ready, CounselorState::Ready),
    ];
    for (chosen, state) in table {
        assert_eq!(world.ask(intend("101", chosen.clone())), Ok(()));
        world.run(S);
        assert_eq!(intention(&world), Some(&chosen));
        assert_eq!(world.state_of("101"), state);
        let view = &world.shown.counselors[0];
        assert_eq!((&view.intention, view.chosen_by), (&chosen, Chooser::Other));
    }
    assert!(world.deeds.is_empty(), "each is told with what is kept");
}

#[test]
fn what_does_not_fit_is_denied_by_name_and_told() {
    let (mut world, _) = world();
    let paused = |why: &str| Intention::Paused(why.to_owned());
    let own = || Extension::from("101");
    let stranger = || Extension::from("09011112222");
    let table = [
        (intend("101", paused("昼寝")), "pause", Some(own()), Denial::UnknownReason),
        (intend("09011112222", Intention::Ready), "ready", None, Denial::UnknownExtension),
        (intend("999", Intention::LoggedOut), "log_out", None, Denial::UnknownExtension),
        (Request::EndWrapUp(own()), "end_wrap_up", Some(own()), Denial::NotWrappingUp),
        (Request::ExtendWrapUp(own()), "extend_wrap_up", Some(own()), Denial::NotWrappingUp),
        (Request::EndWrapUp(stranger()), "end_wrap_up", None, Denial::UnknownExtension),
    ];
    for (request, asked, counselor, why) in table {
        assert_eq!(world.ask(request), Err(why));
        let deed = world.deeds.pop().unwrap();
        assert_eq!((deed.who, deed.counselor), (Actor::Person("hana".into()), counselor));
        assert_eq!(deed.what, What::Denied { asked, whom: None, why });
    }
    world.run(S);
    assert!(world.deeds.is_empty() && intention(&world).is_none());
    assert_eq!(world.state_of("101"), CounselorState::Ready);
}

#[test]
fn wrap_up_is_extended_and_ended_through_the_console() {
    let (mut world, _) = wrapping_up();
    let left = |world: &World| world.shown.counselors[0].wrap_up_left.unwrap();
    assert!((15 * S..20 * S).contains(&left(&world)));
    assert_eq!(world.ask(Request::ExtendWrapUp("101".into())), Ok(()));
    world.run(S);
    assert!((35 * S..40 * S).contains(&left(&world)));
    world.run(28 * S);
    assert_eq!(world.state_of("101"), CounselorState::WrapUp);
    assert_eq!(world.ask(Request::EndWrapUp("101".into())), Ok(()));
    world.run(S);
    assert_eq!(world.state_of("101"), CounselorState::Ready);
    assert_eq!(world.shown.counselors[0].wrap_up_left, None);
    assert_eq!(intention(&world), None, "it is no choice");
    let told: Vec<_> = world.deeds.iter().map(|deed| (&deed.who, &deed.what)).collect();
    let hana = Actor::Person("hana".into());
    assert_eq!(told, [(&hana, &What::WrapUpExtended), (&hana, &What::WrapUpEnded)]);
}

#[test]
fn ready_ends_the_wrap_up_by_code_and_through_the_console() {
    for by_code in [true, false] {
        let (mut world, id) = wrapping_up();
        if by_code {
            assert_eq!(dial(&mut world, id, "*21"), ["ready"]);
        } else {
            assert_eq!(world.ask(intend("101", Intention::Ready)), Ok(()));
            world.run(S);
        }
        assert_eq!(world.state_of("101"), CounselorState::Ready);
    }
}

#[test]
fn the_board_says_how_long_they_waited_and_how_soon_they_were_answered() {
    let (mut world, id) = world();
    world.phone(id).answer = Answer::After(15 * S);
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.run(10 * S);
    assert_eq!((world.shown.calls[0].waited, world.shown.lines[0].service_level.of), (None, 0));
    world.until("both talk", 30 * S, |w| w.phones[id.0].is_talking());
    world.run(2 * S);
    let waited = world.shown.calls[0].waited.unwrap();
    assert!((14 * S..17 * S).contains(&waited), "{waited:?}");
    let level = world.shown.lines[0].service_level;
    assert_eq!((level.within, level.of), ([1, 1, 1], 1), "whoever talks counts already");
    world.with(caller, |phone, now| phone.hang_up(now));
    world.come_to_rest();
    world.run(S);
    assert_eq!(world.shown.lines[0].service_level, level, "and no second time");
}
