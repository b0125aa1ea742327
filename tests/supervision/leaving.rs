//! One of the three goes, is lost, or hands the caller on.

use super::*;

#[test]
fn the_counselor_leaves_and_a_supervisor_who_has_joined_stays() {
    let mut scene = Scene::supervised("*83101");
    scene.world.run(2 * S);
    scene.hang_up(scene.a);
    assert_eq!(scene.world.tuned(scene.caller), "voice 3");
    assert_eq!(scene.world.tuned(scene.boss), "voice 0");
    assert_eq!(scene.world.shown.calls[0].counselors, [Extension::from("201")]);
    assert_eq!(scene.world.shown.calls[0].supervisor, None);
    assert_eq!(scene.told().pop().unwrap(), "201 @101 201 ends: took the call over");
    scene.world.until("they hear each other", S, |w| {
        w.hears(scene.caller) == "voice 3" && w.hears(scene.boss) == "voice 0"
    });
    // It is a call like any other: it can be held, supervised, and ended by either.
    scene.hold(scene.boss, true);
    assert_eq!(scene.world.hears(scene.caller), "hold");
    scene.hold(scene.boss, false);
    scene.dial(scene.other, "*81201");
    assert_eq!(scene.world.tuned(scene.other), "mix 0 3");
    scene.hang_up(scene.boss);
    assert!(!scene.world.phones[scene.other.0].is_talking());
    let cdr = scene.end();
    scene.world.claim_one_stream(scene.caller);
    let talks: Vec<_> = cdr.talks.iter().map(|(e, _)| &*e.0).collect();
    assert_eq!((talks, cdr.ended_by), (vec!["101", "201"], EndedBy::Counselor));
    // The figures of everybody who was in it: 201 ended as the counselor.
    let whose: Vec<_> = cdr.legs.iter().map(|leg| leg.whose.clone()).collect();
    let counselor = |extension: &str| Whose::Counselor(extension.into());
    let supervisor = Whose::Supervisor("202".into());
    assert_eq!(whose, [Whose::Caller, counselor("101"), counselor("201"), supervisor]);
    assert!(cdr.legs.iter().all(|leg| leg.quality.received > 10), "{:#?}", cdr.legs);
}

#[test]
fn the_counselor_leaves_and_a_supervisor_who_only_listens_is_let_go() {
    for code in ["*81101", "*82101"] {
        let mut scene = Scene::supervised(code);
        scene.hang_up(scene.a);
        assert!(!scene.world.phones[scene.caller.0].is_talking(), "{code}");
        assert_eq!(scene.world.phones[scene.boss.0].last().ended, Some(Cause::Bye));
        assert_eq!(scene.told().pop().unwrap(), "system @101 201 ends: the call is over");
        let cdr = scene.end();
        assert_eq!((cdr.talks.len(), cdr.ended_by), (1, EndedBy::Counselor));
    }
}

#[test]
fn the_counselors_phone_is_lost_and_a_supervisor_who_has_joined_stays() {
    let mut scene = Scene::supervised("*83101");
    scene.world.phone(scene.a).is_alive = false;
    scene.world.until("the supervisor has the call", 20 * S, |w| w.tuned(scene.boss) == "voice 0");
    assert!(!scene.world.said(scene.caller).contains(&"counselor_lost".to_owned()));
    scene.world.run(2 * S);
    assert_eq!(scene.world.state_of("101"), CounselorState::Unreachable);
    scene.end();
}

#[test]
fn the_counselors_phone_is_lost_and_a_listener_is_let_go() {
    let mut scene = Scene::supervised("*81101");
    scene.world.phone(scene.a).is_alive = false;
    scene.world.until("102 has the caller", 30 * S, |w| w.tuned(scene.caller) == "voice 2");
    assert!(!scene.world.phones[scene.boss.0].is_talking());
    scene.end();
}

#[test]
fn the_caller_leaves_and_everybody_is_let_go() {
    for code in ["*81101", "*82101", "*83101"] {
        let mut scene = Scene::supervised(code);
        scene.hang_up(scene.caller);
        assert!(!scene.world.phones[scene.a.0].is_talking(), "{code}");
        assert!(!scene.world.phones[scene.boss.0].is_talking(), "{code}");
        let cdr = scene.end();
        assert_eq!((cdr.talks.len(), cdr.ended_by), (1, EndedBy::Caller));
    }
}

#[test]
fn a_supervisor_who_vanishes_never_touches_the_call() {
    for (code, voice) in [("*81101", None), ("*82101", Some(0x61)), ("*83101", Some(0x61))] {
        let mut scene = Scene::supervised(code);
        scene.world.phone(scene.boss).voice = voice;
        scene.world.run(60 * S);
        assert!(scene.world.phones[scene.boss.0].is_talking(), "it answers when asked");
        scene.world.phone(scene.boss).is_alive = false;
        let gone = scene.world.now;
        scene.world.until("it is missed", 60 * S, |w| {
            w.deeds.iter().any(|deed| matches!(deed.what, What::Ended { .. }))
        });
        assert!(scene.world.now - gone <= 40 * S);
        assert_eq!(scene.told().pop().unwrap(), "system @101 201 ends: the phone was not reached");
        scene.claim(ALONE);
        assert_eq!(
            scene.world.longest_gap(scene.caller, gone, scene.world.now).as_millis() / 50,
            0
        );
        let cdr = scene.end();
        assert_eq!(cdr.talks.len(), 1);
    }
}

#[test]
fn an_ack_that_never_comes_lets_nobody_hear() {
    let mut scene = Scene::talking();
    scene.world.with(scene.boss, |phone, now| phone.dial(now, "*83101"));
    scene.world.until("our 200", 2 * S, |w| {
        w.to_phone(scene.boss).iter().any(|m| {
            m.code() == Some(200) && m.cseq().is_ok_and(|cseq| cseq.method == Method::Invite)
        })
    });
    scene.world.phone(scene.boss).is_alive = false;
    scene.world.run(10 * S);
    assert_eq!(scene.world.tuned(scene.caller), "voice 1");
    scene.world.run(60 * S);
    assert_eq!(scene.told(), ["system @101 201 ends: the phone was not reached"]);
    scene.claim(ALONE);
    scene.end();
}

fn refer(scene: &mut Scene, session: SessionId, to: &str) {
    scene.world.with(scene.a, |phone, _| phone.refer(session, to));
}

#[test]
fn a_supervisor_goes_with_the_caller_to_the_next_counselor() {
    for (code, during, after) in [
        ("*81101", ["hold", "voice 0", "mix 0 1"], ["voice 2", "voice 0", "mix 0 2"]),
        ("*82101", ["hold", "mix 0 3", "mix 0 1"], ["voice 2", "mix 0 3", "mix 0 2"]),
        ("*83101", ["mix 3", "mix 0 3", "mix 0 1"], ["mix 2 3", "mix 0 3", "mix 0 2"]),
    ] {
        let mut scene = Scene::supervised(code);
        scene.world.phone(scene.b).answer = Answer::After(2 * S);
        let session = scene.world.phones[scene.a.0].last().session;
        refer(&mut scene, session, "<sip:102@koebashi.local>");
        scene.world.run(S);
        scene.claim(during);
        scene.world.run(3 * S);
        let tuned = [scene.caller, scene.b, scene.boss].map(|id| scene.world.tuned(id));
        assert_eq!(tuned, after, "{code}");
        let mode = scene.world.shown.calls[0].supervisor.clone().unwrap().mode.name();
        assert_eq!(scene.told().pop().unwrap(), format!("201 @102 201 begins: {mode}"));
        assert_eq!(scene.world.overlays(scene.b), ["tone_supervised"]);
        let cdr = scene.end();
        assert_eq!(cdr.talks.len(), 2);
        scene.world.claim_one_stream(scene.caller);
    }
}

#[test]
fn a_counselor_who_leaves_while_a_colleague_rings_leaves_the_caller_to_who_has_joined() {
    let mut scene = Scene::supervised("*83101");
    scene.world.phone(scene.b).answer = Answer::Never;
    let session = scene.world.phones[scene.a.0].last().session;
    refer(&mut scene, session, "<sip:102@koebashi.local>");
    scene.world.run(S);
    scene.hang_up(scene.a);
    assert_eq!(scene.world.tuned(scene.caller), "voice 3");
    assert_eq!(scene.world.state_of("102"), CounselorState::Ready);
    scene.end();
}

#[test]
fn a_transfer_to_a_line_ends_supervision() {
    let mut scene = Scene::supervised("*82101");
    let session = scene.world.phones[scene.a.0].last().session;
    refer(&mut scene, session, "<sip:main@koebashi.local>");
    scene.world.run(S);
    assert!(!scene.world.phones[scene.boss.0].is_talking());
    assert_eq!(scene.told().pop().unwrap(), "system @101 201 ends: the call is over");
    scene.end();
}

#[test]
fn a_supervisor_hands_on_nobody() {
    let mut scene = Scene::supervised("*83101");
    let session = scene.world.phones[scene.boss.0].last().session;
    scene.world.with(scene.boss, |phone, _| phone.refer(session, "<sip:102@koebashi.local>"));
    scene.world.run(S);
    assert_eq!(scene.world.phones[scene.boss.0].dialogs.codes, [403]);
    scene.claim(JOIN);
    scene.end();
}
