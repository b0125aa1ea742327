//! `kill -9` at any moment: what callers and counselors see of it.

mod damage;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use koebashi::call::board::{CounselorState, PhaseName};
use koebashi::call::cdr::Outcome;
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;
use koebashi::sip::Cause;
use koebashi::sip::message::{Message, Method};

use crate::config::{BASIC, basic};
use crate::sim::phone::Answer;
use crate::sim::{PhoneId, World};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// How long the service is away.
const DEAD: Duration = Duration::from_millis(400);

const CALLER: u8 = 0x21;
const COUNSELOR: u8 = 0x51;

/// A caller and a counselor, each with a phone.
struct Scene {
    world: World,
    caller: PhoneId,
    counselor: PhoneId,
}

impl Scene {
    fn new(toml: &str) -> Self {
        let mut world = World::new(toml);
        let counselor = world.add_counselor("101", COUNSELOR);
        let caller = world.add_caller(1, CALLER);
        Self { world, caller, counselor }
    }

    fn bridge(toml: &str) -> Self {
        let mut scene = Self::new(toml);
        scene.world.dial(scene.caller);
        scene.until(PhaseName::Bridge);
        scene.world.run(2 * S);
        scene
    }

    fn until(&mut self, phase: PhaseName) {
        let what = format!("{phase:?}");
        self.world.until(&what, 30 * S, |w| w.shown.calls.iter().any(|c| c.phase == phase));
    }

    /// Both hear each other now.
    #[track_caller]
    fn hear_each_other(&mut self) {
        for (hearer, voice) in [(self.caller, COUNSELOR), (self.counselor, CALLER)] {
            let (last, now) = (self.world.phones[hearer.0].heard.last(), self.world.now);
            let last = last.expect("something is heard");
            let is_new = last.at + 100 * MS > now;
            assert!(is_new && last.byte == voice, "{hearer:?}: {last:?}\n{}", self.world.story());
        }
    }

    /// Kills the process and lets the next one go on for a while.
    fn crash(&mut self) {
        self.world.crash(DEAD);
        self.world.run(DEAD + S);
        assert_eq!(self.world.life.problems, []);
    }

    /// Everybody comes to rest, and there is one record with this outcome.
    #[track_caller]
    fn ends(&mut self, outcome: Outcome) {
        self.world.come_to_rest();
        let outcomes: Vec<_> = self.world.cdrs.iter().map(|cdr| cdr.outcome).collect();
        assert_eq!(outcomes, [outcome], "{}", self.world.story());
        let kept: Vec<_> = self.world.life.kept.keys().map(ToString::to_string).collect();
        let of_calls = ["session/", "call/", "internal/"];
        let left: Vec<_> =
            kept.iter().filter(|key| of_calls.iter().any(|it| key.starts_with(it))).collect();
        assert!(left.is_empty(), "what is over is still kept: {left:?}");
    }

    /// The caller hangs up, and that is all of the call.
    #[track_caller]
    fn caller_ends_it(&mut self) {
        self.world.with(self.caller, |phone, now| phone.hang_up(now));
        self.ends(Outcome::Answered);
    }

    /// Requests of the service to a phone since it was killed last, by their methods.
    fn requests(&self, to: PhoneId, since: usize) -> Vec<Message> {
        let address = self.world.phones[to.0].sip;
        let sent = self.world.wire[since..].iter().filter(|sent| sent.to == address);
        sent.map(crate::sim::world::Sent::message).filter(Message::is_request).collect()
    }
}

fn methods(messages: &[Message]) -> Vec<String> {
    let calls = messages.iter().filter_map(Message::method).filter(|it| **it != Method::Options);
    calls.map(|method| method.as_str().to_owned()).collect()
}

fn port_numbers(world: &World) -> Vec<SocketAddr> {
    let mut all: Vec<_> = world.ports.values().copied().collect();
    all.sort();
    all
}

#[test]
fn those_who_talk_talk_on_at_the_same_ports() {
    let mut scene = Scene::bridge(BASIC);
    scene.hear_each_other();
    let (ports, wire) = (port_numbers(&scene.world), scene.world.wire.len());
    scene.crash();
    assert_eq!(port_numbers(&scene.world), ports);
    scene.hear_each_other();
    let to_caller = methods(&scene.requests(scene.caller, wire));
    let to_counselor = methods(&scene.requests(scene.counselor, wire));
    // The ACK may never have left: it is sent again.
    assert_eq!((to_caller, to_counselor), (vec![], vec!["ACK".to_owned()]));
    scene.caller_ends_it();
    let talk = scene.world.cdrs[0].talk;
    assert!(talk > 3 * S && talk < 5 * S, "{talk:?}");
}

#[test]
fn sequence_numbers_and_tags_go_on() {
    let mut scene = Scene::bridge(BASIC);
    let invite = scene.world.to_phone(scene.counselor);
    let invite = invite.iter().find(|it| it.method() == Some(&Method::Invite)).unwrap();
    let wire = scene.world.wire.len();
    scene.crash();
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.world.run(S);
    let requests = scene.requests(scene.counselor, wire);
    let bye = requests.iter().find(|it| it.method() == Some(&Method::Bye)).expect("a BYE");
    assert_eq!(bye.cseq().unwrap().seq, invite.cseq().unwrap().seq + 1);
    assert_eq!(bye.call_id(), invite.call_id());
    assert_eq!(bye.from().unwrap().tag(), invite.from().unwrap().tag());
    scene.ends(Outcome::Answered);
}

#[test]
fn either_side_may_hang_up() {
    for by_counselor in [false, true] {
        let mut scene = Scene::bridge(BASIC);
        scene.crash();
        let who = if by_counselor { scene.counselor } else { scene.caller };
        scene.world.with(who, |phone, now| phone.hang_up(now));
        scene.world.run(S);
        let other = if by_counselor { scene.caller } else { scene.counselor };
        assert!(scene.world.phones[other.0].last().ended.is_some());
        scene.ends(Outcome::Answered);
    }
}

#[test]
fn whoever_hangs_up_while_nobody_is_there_is_heard_after() {
    let mut scene = Scene::bridge(BASIC);
    scene.world.crash(2 * S);
    scene.world.run(100 * MS);
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.world.run(5 * S);
    assert!(scene.world.phones[scene.counselor.0].last().ended.is_some());
    scene.ends(Outcome::Answered);
}

#[test]
fn whoever_dies_while_nobody_is_there_is_found_out() {
    for who in [vec![0], vec![1], vec![0, 1]] {
        let mut scene = Scene::bridge(BASIC);
        let phones = [scene.caller, scene.counselor];
        for at in &who {
            scene.world.phone(phones[*at]).is_alive = false;
        }
        scene.crash();
        scene.world.run(90 * S);
        let talks = scene.world.shown.calls.iter().any(|call| call.phase == PhaseName::Bridge);
        assert!(!talks, "{who:?}\n{}", scene.world.story());
        scene.caller_ends_it();
    }
}

#[test]
fn hold_lasts_and_ends() {
    let mut scene = Scene::bridge(BASIC);
    scene.world.with(scene.counselor, |phone, now| phone.hold(now, true));
    scene.world.run(S);
    let music = scene.world.tuned(scene.caller);
    scene.crash();
    assert_eq!(scene.world.tuned(scene.caller), music);
    scene.world.with(scene.counselor, |phone, now| phone.hold(now, false));
    scene.world.run(S);
    scene.hear_each_other();
    scene.caller_ends_it();
}

#[test]
fn a_counselor_hands_on_after() {
    let mut scene = Scene::bridge(BASIC);
    let colleague = scene.world.add_counselor("102", 0x52);
    scene.crash();
    scene.world.with(scene.counselor, |phone, _| {
        let session = phone.last().session;
        phone.refer(session, "<sip:102@koebashi.local>");
    });
    scene.world.run(5 * S);
    assert!(scene.world.phones[colleague.0].is_talking(), "{}", scene.world.story());
    scene.caller_ends_it();
}

#[test]
fn a_transfer_under_way_has_failed() {
    let mut scene = Scene::bridge(BASIC);
    let colleague = scene.world.add_counselor("102", 0x52);
    scene.world.phone(colleague).answer = Answer::Never;
    scene.world.with(scene.counselor, |phone, _| {
        let session = phone.last().session;
        phone.refer(session, "<sip:102@koebashi.local>");
    });
    scene.world.run(S);
    let wire = scene.world.wire.len();
    scene.crash();
    let told = scene.requests(scene.counselor, wire);
    let notify = told.iter().find(|it| it.method() == Some(&Method::Notify)).expect("NOTIFY");
    assert!(String::from_utf8_lossy(notify.body()).contains("480"));
    assert!(scene.world.phones[colleague.0].last().ended.is_some(), "it rings no longer");
    scene.hear_each_other();
    scene.caller_ends_it();
}

#[test]
fn callers_keep_their_order_and_hear_music() {
    let mut world = World::new(BASIC);
    let counselor = world.add_counselor("101", COUNSELOR);
    let pause = Intention::Paused(String::new());
    // Somebody is on duty, and busy.
    let first = world.add_caller(9, 0x29);
    world.dial(first);
    world.until("talks", 20 * S, |w| w.phones[counselor.0].is_talking());
    let callers = [1, 2, 3].map(|n| world.add_caller(n, 0x20 + n));
    for caller in callers {
        world.dial(caller);
        world.run(3 * S);
    }
    let before: Vec<_> =
        world.shown.calls.iter().map(|call| (call.call.clone(), call.position)).collect();
    world.crash(DEAD);
    world.run(DEAD + S);
    let after: Vec<_> =
        world.shown.calls.iter().map(|call| (call.call.clone(), call.position)).collect();
    assert_eq!(before, after);
    for caller in callers {
        assert_eq!(world.tuned(caller), "hold");
        let last = world.phones[caller.0].heard.last().expect("music");
        assert!(last.at + 100 * MS > world.now);
    }
    for at in 0..callers.len() {
        let talking = if at == 0 { first } else { callers[at - 1] };
        world.with(talking, |phone, now| phone.hang_up(now));
        world.until("the next one talks", 20 * S, |w| {
            w.shown.calls.iter().any(|call| call.phase == PhaseName::Bridge)
                && w.tuned(callers[at]).starts_with("voice")
        });
    }
    world.with(callers[2], |phone, now| phone.hang_up(now));
    world.intend(Extension::from("101"), pause);
    world.come_to_rest();
    assert_eq!(world.cdrs.len(), 4);
}

/// The refusal was recorded, and died with the process before the caller had it: what comes again
/// is refused again, and is the same.
#[test]
fn an_invite_that_is_refused_is_recorded_once() {
    let mut records = Vec::new();
    for outputs in 1..8 {
        let mut scene = Scene::new(BASIC);
        scene.world.crash_after(outputs, DEAD);
        scene.world.with(scene.caller, |phone, now| {
            phone.call(now, "0579999999", "<sip:09011112222@carrier.example>", &[]);
        });
        scene.world.run(40 * S);
        // Killed between its 100 and its 404 the caller waits until it hangs up.
        let told = scene.world.to_phone(scene.caller);
        if told.last().and_then(Message::code) != Some(100) {
            let ended = scene.world.phones[scene.caller.0].last().ended.clone();
            assert!(matches!(ended, Some(Cause::Refused { code: 404, .. })), "{ended:?}");
        }
        let outcomes: Vec<_> = scene.world.cdrs.iter().map(|cdr| cdr.outcome).collect();
        assert_eq!(outcomes, [Outcome::Refused], "{outputs}\n{}", scene.world.story());
        records.push(scene.world.life.deaths);
    }
    assert!(records.iter().sum::<u64>() >= 4, "it was killed in time: {records:?}");
}

#[test]
fn ringing_is_taken_back_and_offered_again() {
    let mut scene = Scene::new(BASIC);
    scene.world.phone(scene.counselor).answer = Answer::Never;
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Ringing);
    scene.world.run(S);
    let wire = scene.world.wire.len();
    scene.world.phone(scene.counselor).answer = Answer::After(S);
    scene.crash();
    let sent = methods(&scene.requests(scene.counselor, wire));
    assert!(sent.contains(&"CANCEL".to_owned()) && sent.contains(&"INVITE".to_owned()), "{sent:?}");
    scene.until(PhaseName::Bridge);
    scene.world.run(S);
    scene.hear_each_other();
    scene.caller_ends_it();
}

#[test]
fn guidance_and_messages_begin_anew() {
    for (line, heard) in [("", "welcome"), ("override = \"closed\"", "closed")] {
        let mut scene = Scene::new(&basic(line, "", ""));
        scene.world.dial(scene.caller);
        scene.world.until("it is heard", 5 * S, |w| w.tuned(PhoneId(1)).starts_with(heard));
        scene.world.run(200 * MS);
        scene.world.crash(DEAD);
        scene.world.run(DEAD + 50 * MS);
        assert!(scene.world.tuned(scene.caller).starts_with(heard), "{}", scene.world.story());
        if heard == "closed" {
            scene.world.run(10 * S);
            assert!(scene.world.phones[scene.caller.0].last().ended.is_some());
            scene.ends(Outcome::Closed);
        } else {
            scene.until(PhaseName::Bridge);
            scene.caller_ends_it();
        }
    }
}

#[test]
fn a_call_that_nobody_has_answered_yet_is_answered_after() {
    let mut scene = Scene::new(&basic("answer = \"ring\"", "", ""));
    scene.world.phone(scene.counselor).answer = Answer::After(5 * S);
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Ringing);
    scene.crash();
    assert!(!scene.world.phones[scene.caller.0].last().is_up);
    scene.until(PhaseName::Bridge);
    scene.world.run(S);
    scene.hear_each_other();
    scene.caller_ends_it();
}

#[test]
fn a_cancel_after_is_understood() {
    let mut scene = Scene::new(&basic("answer = \"ring\"", "", ""));
    scene.world.phone(scene.counselor).answer = Answer::Never;
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Ringing);
    scene.crash();
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.ends(Outcome::ShortAbandoned);
}

#[test]
fn wrap_up_lasts_as_long_as_it_would_have() {
    let toml = BASIC.replace("wrap_up = \"0s\"", "wrap_up = \"20s\"");
    let ends_after = |crash: bool| {
        let mut scene = Scene::bridge(&toml);
        scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
        scene.world.run(2 * S);
        assert_eq!(scene.world.state_of("101"), CounselorState::WrapUp);
        if crash {
            scene.crash();
            assert_eq!(scene.world.state_of("101"), CounselorState::WrapUp);
        }
        scene.world.until("ready", 30 * S, |w| w.state_of("101") == CounselorState::Ready);
        scene.world.now - scene.world.started()
    };
    let (without, with) = (ends_after(false), ends_after(true));
    // The board is drawn a few times a second.
    assert!(with.abs_diff(without) < S, "{without:?} {with:?}");
}

#[test]
fn a_port_that_is_gone_is_told_to_the_peer() {
    let mut scene = Scene::bridge(BASIC);
    scene.world.unbindable = port_numbers(&scene.world).iter().map(SocketAddr::port).collect();
    let wire = scene.world.wire.len();
    scene.crash();
    for phone in [scene.caller, scene.counselor] {
        let sent = methods(&scene.requests(phone, wire));
        assert!(sent.contains(&"INVITE".to_owned()), "{sent:?}");
    }
    scene.caller_ends_it();
}

#[test]
fn colleagues_talk_on() {
    let mut world = World::new(BASIC);
    let phones = [("101", 0x51), ("102", 0x52)].map(|(n, voice)| world.add_counselor(n, voice));
    world.with(phones[0], |phone, now| phone.dial(now, "102"));
    world.until("they talk", 20 * S, |w| phones.iter().all(|it| w.phones[it.0].is_talking()));
    world.run(S);
    world.crash(DEAD);
    world.run(DEAD + S);
    for (phone, voice) in [(phones[0], 0x52), (phones[1], 0x51)] {
        let last = world.phones[phone.0].heard.last().expect("a voice");
        assert!(last.byte == voice && last.at + 100 * MS > world.now, "{}", world.story());
    }
    assert_eq!(world.state_of("101"), CounselorState::Talking);
    world.with(phones[1], |phone, now| phone.hang_up(now));
    world.run(S);
    assert!(world.phones[phones[0].0].last().ended.is_some());
    world.come_to_rest();
}

#[test]
fn a_supervisor_listens_on() {
    let supervisor = "[[counselor]]\nextension = \"109\"\nname = \"S\"\nrole = \"supervisor\"\n\
                      password = \"password-109\"\nlines = [\"main\"]\n";
    let mut scene = Scene::new(&(BASIC.to_owned() + supervisor));
    scene.world.dial(scene.caller);
    scene.until(PhaseName::Bridge);
    let supervisor = scene.world.add_counselor("109", 0x59);
    scene.world.with(supervisor, |phone, now| phone.dial(now, "*81101"));
    scene.world.run(5 * S);
    let ears = |scene: &Scene| {
        [scene.caller, scene.counselor, supervisor].map(|phone| scene.world.tuned(phone))
    };
    let before = ears(&scene);
    assert_eq!(before[2], "mix 0 1", "{}", scene.world.story());
    scene.crash();
    assert_eq!(ears(&scene), before);
    scene.hear_each_other();
    // Keys go on to mean what they meant.
    scene.world.with(supervisor, |phone, _| phone.press(3, true));
    scene.world.run(S);
    assert_eq!(scene.world.tuned(scene.caller), "mix 0 2");
    scene.caller_ends_it();
}

#[test]
fn a_call_keeps_the_configuration_that_it_began_with() {
    let other = BASIC.replace("id = \"main\"", "id = \"new\"").replace("[\"main\"]", "[\"new\"]");
    // It is found again: nothing happens.
    let mut scene = Scene::bridge(BASIC);
    scene.world.life.toml = other.clone();
    scene.world.life.old.push(BASIC.to_owned());
    scene.crash();
    scene.hear_each_other();
    scene.caller_ends_it();
    assert_eq!(scene.world.cdrs[0].line.as_ref().map(ToString::to_string), Some("main".to_owned()));
    // It is not, but the line is still there: that of today serves.
    let mut scene = Scene::bridge(BASIC);
    scene.world.life.toml = BASIC.replace("wrap_up = \"0s\"", "wrap_up = \"7s\"");
    scene.crash();
    scene.hear_each_other();
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.world.run(S);
    assert_eq!(scene.world.state_of("101"), CounselorState::WrapUp);
    scene.ends(Outcome::Answered);
    // Nobody knows the line any more: the caller hears who else helps.
    let mut scene = Scene::bridge(BASIC);
    scene.world.life.toml = other;
    scene.world.crash(DEAD);
    scene.world.run(DEAD + 200 * MS);
    assert!(scene.world.tuned(scene.caller).starts_with("help"), "{}", scene.world.story());
    scene.ends(Outcome::Answered);
}

#[test]
fn a_call_that_only_talks_writes_nothing() {
    let mut scene = Scene::bridge(BASIC);
    let (began, written) = (scene.world.now, scene.world.life.written);
    scene.world.run(20 * S);
    assert_eq!(scene.world.life.written, written, "since {began:?}");
}

/// The process is killed after each single output of a whole call, from the INVITE to the last
/// word: it is joined all the same, and there is one record.
fn killed_everywhere(toml: &str, share: usize) {
    let mut after = 1 + share;
    loop {
        let mut scene = Scene::new(toml);
        scene.world.phone(scene.counselor).answer = Answer::After(S);
        scene.world.crash_after(after, 700 * MS);
        scene.world.dial(scene.caller);
        scene.until(PhaseName::Bridge);
        scene.world.run(2 * S);
        if !scene.world.life.is_dead() {
            assert!(scene.world.phones[scene.caller.0].is_talking(), "{}", scene.world.story());
        }
        scene.world.with(scene.counselor, |phone, now| phone.hold(now, true));
        scene.world.run(2 * S);
        scene.world.with(scene.counselor, |phone, now| phone.hold(now, false));
        scene.world.run(2 * S);
        scene.world.check();
        if !scene.world.life.is_dead() {
            scene.hear_each_other();
        }
        scene.caller_ends_it();
        assert_eq!(scene.world.life.problems, []);
        if scene.world.life.deaths == 0 {
            assert!(after > 50, "a call has more outputs than {after}");
            return;
        }
        after += SHARES;
    }
}

/// Tests that share the points of one configuration, so that they run side by side.
const SHARES: usize = 4;

macro_rules! shares {
    ($toml:expr; $($name:ident $share:literal)*) => {$(
        #[test]
        fn $name() {
            killed_everywhere($toml, $share);
        }
    )*};
}

shares! { BASIC;
    killed_at_any_point_0 0
    killed_at_any_point_1 1
    killed_at_any_point_2 2
    killed_at_any_point_3 3
}

shares! { &basic("answer = \"ring\"", "", "");
    killed_at_any_point_unanswered_0 0
    killed_at_any_point_unanswered_1 1
    killed_at_any_point_unanswered_2 2
    killed_at_any_point_unanswered_3 3
}
