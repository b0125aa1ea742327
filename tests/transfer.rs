//! Claims on transfers: blind and attended, to a colleague and to a line, and what becomes of the
//! caller when they fail.

use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::cdr::{Cdr, EndedBy, Outcome, Whose};
use koebashi::call::config::Override;
use koebashi::call::switchboard::Command;
use koebashi::sip::SessionId;
use koebashi::sip::header::Name;
use koebashi::sip::message::Method;

use crate::config::{BASIC, OTHER};
use crate::sim::{Answer, PhoneId, World};

const S: Duration = Duration::from_secs(1);
const CALLER: u8 = 0x2a;

/// Of the line `main`, which 101 and 102 take; 103 takes `other`.
const QUEUE: &str = r#"
strategy = "ordered"
wrap_up = "5s"
ring_timeout = "5s"
announce_position = "off"
"#;

fn lines() -> String {
    format!("{}{OTHER}", BASIC.replace("wrap_up = \"0s\"\n", QUEUE))
}

/// A caller who talks with 101, and the colleagues.
struct Scene {
    world: World,
    caller: PhoneId,
    a: PhoneId,
    b: PhoneId,
    c: PhoneId,
}

impl Scene {
    fn talking() -> Self {
        let mut world = World::new(&lines());
        let [a, b, c] = [("101", 0x51), ("102", 0x52), ("103", 0x53)]
            .map(|(extension, voice)| world.add_answering(extension, voice));
        let caller = world.add_caller(1, CALLER);
        world.dial(caller);
        let mut scene = Self { world, caller, a, b, c };
        scene.until_hear_each_other(caller, a);
        scene.world.run(3 * S);
        scene
    }

    fn until_hear_each_other(&mut self, one: PhoneId, two: PhoneId) {
        self.until_hear_each_other_within(10 * S, one, two);
    }

    fn until_hear_each_other_within(&mut self, limit: Duration, one: PhoneId, two: PhoneId) {
        let (said_by_one, said_by_two) = (format!("voice {}", one.0), format!("voice {}", two.0));
        let what = format!("{one:?} and {two:?} hear each other");
        let hear = |w: &World| w.hears(one) == said_by_two && w.hears(two) == said_by_one;
        self.world.until(&what, limit, hear);
    }

    /// The session of the phone's call number `at`, the first being 0.
    fn session(&self, id: PhoneId, at: usize) -> SessionId {
        self.world.phones[id.0].calls[at].session
    }

    /// The phone sends REFER in its call number `at`.
    fn refer(&mut self, id: PhoneId, at: usize, refer_to: &str) {
        let session = self.session(id, at);
        self.world.with(id, |phone, _| phone.refer(session, refer_to));
        self.world.run(Duration::from_millis(100));
    }

    /// 101 holds the caller and dials 102, who answers.
    fn consult(&mut self) {
        self.world.with(self.a, |phone, now| phone.hold(now, true));
        self.world.run(S);
        assert_eq!(self.world.hears(self.caller), "hold");
        self.world.with(self.a, |phone, now| phone.dial(now, "102"));
        self.until_hear_each_other(self.a, self.b);
        self.world.run(2 * S);
        assert_eq!(self.world.hears(self.caller), "hold");
    }

    /// How the call of the phone's number `at` is named in Refer-To.
    fn replaces(&self, id: PhoneId, at: usize) -> String {
        self.world.phones[id.0].dialogs.replaces(self.session(id, at))
    }

    fn codes(&self, id: PhoneId) -> &[u16] {
        &self.world.phones[id.0].dialogs.codes
    }

    /// What NOTIFY told the phone: the state of the subscription and the first line of the body,
    /// with the Call-ID.
    fn notified(&self, id: PhoneId) -> Vec<(String, String)> {
        let notifies = self.world.to_phone(id).into_iter();
        let notifies = notifies.filter(|message| message.method() == Some(&Method::Notify));
        let mut told: Vec<(String, String)> = notifies
            .map(|message| {
                assert_eq!(message.text(&Name::Event), Some("refer"));
                let kind = message.content_type().unwrap();
                assert!(kind.starts_with("message/sipfrag"), "{kind}");
                let state = message.text(&Name::SubscriptionState).unwrap();
                let state = state.split(';').next().unwrap().to_owned();
                let body = String::from_utf8(message.body().to_vec()).unwrap();
                assert!(body.ends_with("\r\n"), "{body}");
                (state, body.trim_end().to_owned())
            })
            .collect();
        told.dedup();
        told
    }

    /// The caller hangs up: their record. Then everyone else does.
    fn end(&mut self) -> Cdr {
        self.world.with(self.caller, |phone, now| phone.hang_up(now));
        self.world.run(3 * S);
        let cdr = self.world.cdrs[0].clone();
        assert_eq!(cdr.ended_by, EndedBy::Caller);
        self.world.let_all_go();
        self.world.claim_one_stream(self.caller);
        cdr
    }
}

fn told(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(state, line)| ((*state).to_owned(), (*line).to_owned())).collect()
}

fn claim_talks(cdr: &Cdr, talks: &[(&str, u64)]) {
    assert_eq!(cdr.outcome, Outcome::Answered);
    let found: Vec<_> = cdr.talks.iter().map(|(e, talk)| (&*e.0, talk.as_secs())).collect();
    assert_eq!(found, talks, "{cdr:#?}");
    assert_eq!(cdr.counselor.as_ref().map(|e| &*e.0), talks.last().map(|(e, _)| *e));
    assert_eq!(cdr.talk, cdr.talks.iter().map(|(_, talk)| *talk).sum::<Duration>());
}

/// The record has the figures of the caller's leg and of each of these counselors'.
fn claim_legs(cdr: &Cdr, counselors: &[&str]) {
    let whose: Vec<_> = cdr.legs.iter().map(|leg| leg.whose.clone()).collect();
    let expected = counselors.iter().map(|extension| Whose::Counselor((*extension).into()));
    assert_eq!(whose, std::iter::once(Whose::Caller).chain(expected).collect::<Vec<_>>());
    assert!(cdr.legs.iter().all(|leg| leg.quality.received > 100), "{:#?}", cdr.legs);
}

#[test]
fn a_blind_transfer_joins_the_caller_with_the_colleague() {
    let mut scene = Scene::talking();
    scene.refer(scene.a, 0, "<sip:102@koebashi.local>");
    assert_eq!(scene.codes(scene.a), [202]);
    assert_eq!(scene.world.hears(scene.caller), "hold");
    scene.until_hear_each_other(scene.caller, scene.b);
    assert_eq!(
        scene.notified(scene.a),
        told(&[("active", "SIP/2.0 100 Trying"), ("terminated", "SIP/2.0 200 OK")])
    );
    assert!(scene.world.phones[scene.a.0].calls[0].ended.is_some(), "101 is let go");
    scene.world.run(7 * S);
    assert_eq!(scene.world.state_of("101"), CounselorState::Ready, "after the wrap-up");
    let cdr = scene.end();
    claim_talks(&cdr, &[("101", 3), ("102", 7)]);
    claim_legs(&cdr, &["101", "102"]);
    scene.world.claim_one_stream(scene.b);
    assert_eq!(cdr.offers, 2);
}

#[test]
fn a_busy_colleague_is_not_rung() {
    let mut scene = Scene::talking();
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.dial(second);
    scene.until_hear_each_other(second, scene.b);
    scene.refer(scene.a, 0, "<sip:102@koebashi.local>");
    assert_eq!(scene.codes(scene.a), [486]);
    scene.until_hear_each_other(scene.caller, scene.a);
    assert_eq!(scene.notified(scene.a), []);
    assert_eq!(scene.world.phones[scene.b.0].calls.len(), 1);
    let cdr = scene.end();
    assert_eq!(cdr.talks.len(), 1);
    assert_eq!(cdr.offers, 1);
}

#[test]
fn a_caller_whom_nobody_takes_is_back_with_the_counselor() {
    for answer in [Answer::Never, Answer::Refuses(486), Answer::Refuses(603), Answer::Dead] {
        let mut scene = Scene::talking();
        scene.world.phone(scene.b).answer = answer;
        scene.refer(scene.a, 0, "<sip:102@koebashi.local>");
        assert_eq!(scene.codes(scene.a), [202]);
        scene.world.run(6 * S);
        scene.until_hear_each_other(scene.caller, scene.a);
        assert_eq!(
            scene.notified(scene.a),
            told(&[
                ("active", "SIP/2.0 100 Trying"),
                ("terminated", "SIP/2.0 480 Temporarily Unavailable")
            ])
        );
        // It can be tried again.
        scene.world.phone(scene.b).answer = Answer::After(S);
        scene.refer(scene.a, 0, "<sip:103@koebashi.local>");
        assert_eq!(scene.codes(scene.a), [202, 202]);
        scene.until_hear_each_other(scene.caller, scene.c);
        let cdr = scene.end();
        assert_eq!(cdr.talks.len(), 2);
    }
}

#[test]
fn a_counselor_may_hang_up_while_the_colleague_rings() {
    let mut scene = Scene::talking();
    scene.world.phone(scene.b).answer = Answer::After(3 * S);
    scene.refer(scene.a, 0, "<sip:102@koebashi.local>");
    scene.world.run(S);
    scene.world.with(scene.a, |phone, now| phone.hang_up(now));
    scene.world.run(S);
    assert_eq!(scene.world.state_of("101"), CounselorState::WrapUp);
    assert_eq!(scene.world.state_of("102"), CounselorState::Ringing);
    assert_eq!(scene.world.hears(scene.caller), "hold");
    scene.until_hear_each_other(scene.caller, scene.b);
    scene.world.run(4 * S);
    let cdr = scene.end();
    claim_talks(&cdr, &[("101", 4), ("102", 4)]);
}

#[test]
fn a_caller_left_alone_by_both_is_at_the_head_of_the_queue() {
    let mut scene = Scene::talking();
    scene.world.phone(scene.b).answer = Answer::Never;
    scene.refer(scene.a, 0, "<sip:102@koebashi.local>");
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.dial(second);
    scene.world.run(S);
    scene.world.with(scene.a, |phone, now| phone.hang_up(now));
    scene.world.run(2 * S);
    let places: Vec<_> = scene.world.shown.calls.iter().map(|call| call.position).collect();
    assert_eq!(places, [Some(1), Some(2)]);
    assert_eq!(scene.world.state_of("101"), CounselorState::WrapUp);
    scene.until_hear_each_other(scene.caller, scene.a);
    assert_eq!(scene.world.hears(second), "hold");
    let talks = scene.world.steps.iter().filter(|step| step.contains("joined with 101")).count();
    assert_eq!(talks, 2);
    scene.world.with(second, |phone, now| phone.hang_up(now));
    scene.world.run(S);
    let cdr = scene.world.cdrs[0].clone();
    assert_eq!(cdr.outcome, Outcome::Abandoned);
    scene.world.run(S);
    scene.world.with(scene.caller, |phone, now| phone.hang_up(now));
    scene.world.come_to_rest();
    scene.world.claim_one_stream(scene.caller);
    let talks: Vec<_> = scene.world.cdrs[1].talks.iter().map(|(e, _)| e.0.to_string()).collect();
    assert_eq!(talks, ["101", "101"]);
}

#[test]
fn a_transfer_to_a_line_queues_the_caller_there() {
    for target in ["other", "0570000001"] {
        let mut scene = Scene::talking();
        scene.refer(scene.a, 0, &format!("<sip:{target}@koebashi.local>"));
        assert_eq!(scene.codes(scene.a), [202]);
        scene.until_hear_each_other(scene.caller, scene.c);
        assert_eq!(scene.notified(scene.a), told(&[("terminated", "SIP/2.0 200 OK")]));
        scene.world.run(2 * S);
        let cdr = scene.end();
        assert_eq!(cdr.line.as_ref().map(|line| &*line.0), Some("other"));
        claim_talks(&cdr, &[("101", 3), ("103", 2)]);
    }
}

/// A line that is closed, has nobody on duty or is full would only tell the caller so, who would then
/// be alone: the counselor keeps them.
#[test]
fn a_line_that_cannot_take_the_caller_is_handed_nobody() {
    let reasons: [fn(&mut Scene); 3] = [
        |scene| {
            let (line, over) = ("other".into(), Override::Closed(None));
            scene.world.command(Command::Override { line, over });
        },
        |scene| scene.world.with(scene.c, |phone, now| phone.unregister(now)),
        |scene| {
            scene.world.phone(scene.c).answer = Answer::Never;
            for n in 2..7 {
                let waits = scene.world.add_caller(n, 0x20 + n);
                scene.world.with(waits, |phone, now| {
                    phone.call(now, "0570000001", "<sip:09033334444@carrier.example>", &[]);
                });
            }
        },
    ];
    for reason in reasons {
        let mut scene = Scene::talking();
        reason(&mut scene);
        scene.world.run(2 * S);
        scene.refer(scene.a, 0, "<sip:other@koebashi.local>");
        assert_eq!(scene.codes(scene.a), [480], "{}", scene.world.story());
        scene.world.run(2 * S);
        scene.until_hear_each_other(scene.caller, scene.a);
    }
}

#[test]
fn an_attended_transfer_joins_the_caller_with_whom_was_consulted() {
    // Phones name the colleague by the address that they dialed, or by the Contact that they saw.
    for target in ["102@koebashi.local", "koebashi@10.0.0.1:5060"] {
        let mut scene = Scene::talking();
        scene.consult();
        let replaces = scene.replaces(scene.a, 2);
        scene.refer(scene.a, 0, &format!("<sip:{target}?{replaces}>"));
        assert_eq!(scene.codes(scene.a), [202], "{}", scene.world.story());
        scene.until_hear_each_other(scene.caller, scene.b);
        assert_eq!(scene.notified(scene.a), told(&[("terminated", "SIP/2.0 200 OK")]));
        let phone = &scene.world.phones[scene.a.0];
        assert!(phone.calls.iter().all(|call| call.ended.is_some()), "101 is let go, twice");
        assert_eq!(scene.world.phones[scene.b.0].calls.len(), 1, "102 is not rung again");
        scene.world.run(6 * S);
        scene.world.claim_one_stream(scene.b);
        assert_eq!(scene.world.state_of("101"), CounselorState::Ready);
        assert_eq!(scene.world.state_of("102"), CounselorState::Talking);
        let cdr = scene.end();
        assert_eq!(cdr.talks.len(), 2);
        claim_legs(&cdr, &["101", "102"]);
        assert_eq!(cdr.counselor.unwrap().0.to_string(), "102");
    }
}

#[test]
fn the_refer_may_come_in_the_consultation() {
    let mut scene = Scene::talking();
    scene.consult();
    let replaces = scene.replaces(scene.a, 0);
    scene.refer(scene.a, 2, &format!("<sip:0570000000@koebashi.local?{replaces}>"));
    assert_eq!(scene.codes(scene.a), [202]);
    scene.until_hear_each_other(scene.caller, scene.b);
    assert_eq!(scene.notified(scene.a), told(&[("terminated", "SIP/2.0 200 OK")]));
    let messages = scene.world.to_phone(scene.a);
    let notify = messages.iter().find(|m| m.method() == Some(&Method::Notify)).unwrap();
    let refers = scene.world.sent_by(scene.a);
    let refer = refers.iter().find(|m| m.method() == Some(&Method::Refer)).unwrap();
    assert_eq!(notify.call_id(), refer.call_id(), "RFC 3515 §2.4.4");
    let phone = &scene.world.phones[scene.a.0];
    assert!(phone.calls.iter().all(|call| call.ended.is_some()), "101 is let go, twice");
    let cdr = scene.end();
    assert_eq!(cdr.talks.len(), 2);
}

#[test]
fn a_consultation_that_still_rings_becomes_a_blind_transfer() {
    let mut scene = Scene::talking();
    scene.world.phone(scene.b).answer = Answer::After(3 * S);
    scene.world.with(scene.a, |phone, now| phone.hold(now, true));
    scene.world.with(scene.a, |phone, now| phone.dial(now, "102"));
    scene.world.run(S);
    let replaces = scene.replaces(scene.a, 2);
    scene.refer(scene.a, 0, &format!("<sip:102@koebashi.local?{replaces}>"));
    assert_eq!(scene.codes(scene.a), [202], "{}", scene.world.story());
    scene.until_hear_each_other(scene.caller, scene.b);
    let cdr = scene.end();
    assert_eq!(cdr.talks.len(), 2);
}

#[test]
fn a_consultation_may_end_without_a_transfer() {
    let mut scene = Scene::talking();
    scene.consult();
    scene.world.with(scene.b, |phone, now| phone.hang_up(now));
    scene.world.run(S);
    assert!(scene.world.phones[scene.a.0].calls[2].ended.is_some());
    assert_eq!(scene.world.hears(scene.caller), "hold");
    assert_eq!(scene.world.state_of("102"), CounselorState::Ready);
    let cdr = scene.end();
    assert_eq!(cdr.talks.len(), 1);
}

#[test]
fn an_outside_number_is_never_dialed() {
    let mut scene = Scene::talking();
    let outside = [
        "<sip:09011112222@koebashi.local>",
        "<sip:09011112222@carrier.example>",
        "<tel:+819011112222>",
        "<sip:999@koebashi.local>",
    ];
    for target in outside {
        scene.refer(scene.a, 0, target);
    }
    assert_eq!(scene.codes(scene.a), [404; 4]);
    scene.until_hear_each_other(scene.caller, scene.a);
    assert_eq!(scene.notified(scene.a), []);
    scene.end();
}

#[test]
fn a_caller_transfers_nobody() {
    let mut scene = Scene::talking();
    for target in ["102@koebashi.local", "other@koebashi.local", "999@koebashi.local"] {
        scene.refer(scene.caller, 0, &format!("<sip:{target}>"));
    }
    assert_eq!(scene.codes(scene.caller), [403; 3]);
    scene.until_hear_each_other(scene.caller, scene.a);
    scene.end();
}

#[test]
fn nobody_transfers_the_caller_of_another() {
    let mut scene = Scene::talking();
    scene.world.with(scene.b, |phone, now| phone.dial(now, "103"));
    scene.until_hear_each_other(scene.b, scene.c);
    let replaces = scene.replaces(scene.a, 0);
    scene.refer(scene.b, 1, &format!("<sip:101@koebashi.local?{replaces}>"));
    scene.refer(scene.c, 0, &format!("<sip:101@koebashi.local?{replaces}>"));
    assert_eq!((scene.codes(scene.b), scene.codes(scene.c)), (&[403][..], &[403][..]));
    // Nor does 101 end or take over a consultation of others.
    let replaces = scene.replaces(scene.b, 1);
    scene.refer(scene.a, 0, &format!("<sip:103@koebashi.local?{replaces}>"));
    assert_eq!(scene.codes(scene.a), [486]);
    scene.until_hear_each_other(scene.caller, scene.a);
    scene.until_hear_each_other(scene.b, scene.c);
    scene.end();
}

#[test]
fn a_phone_that_dies_while_it_holds_is_missed() {
    let mut scene = Scene::talking();
    scene.world.with(scene.a, |phone, now| phone.hold(now, true));
    scene.world.run(70 * S);
    assert_eq!(scene.world.state_of("101"), CounselorState::Talking, "it answers when asked");
    scene.world.phone(scene.a).is_alive = false;
    scene.until_hear_each_other_within(60 * S, scene.caller, scene.b);
    let cdr = scene.end();
    assert_eq!(cdr.counselor.unwrap().0.to_string(), "102");
}

#[test]
fn phones_that_die_in_a_consultation_are_missed() {
    let mut scene = Scene::talking();
    scene.world.with(scene.b, |phone, now| phone.dial(now, "103"));
    scene.until_hear_each_other(scene.b, scene.c);
    scene.world.phone(scene.b).is_alive = false;
    scene.world.phone(scene.c).is_alive = false;
    scene.world.run(60 * S);
    for extension in ["102", "103"] {
        assert_ne!(scene.world.state_of(extension), CounselorState::Talking);
    }
    scene.end();
}
