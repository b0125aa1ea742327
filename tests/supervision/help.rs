//! A counselor asks for help: who is rung, who comes, and what ends the ringing.

use super::*;

fn ask(scene: &mut Scene) {
    scene.press(scene.a, '*');
    scene.press(scene.a, '9');
}

/// A caller and 101, who asks for help; supervisors' phones do not answer by themselves.
fn asked(more: &str) -> Scene {
    let mut scene = Scene::with(more);
    for id in [scene.boss, scene.other] {
        scene.world.phone(id).answer = Answer::Never;
    }
    ask(&mut scene);
    scene
}

fn states(scene: &Scene) -> [CounselorState; 2] {
    ["201", "202"].map(|extension| scene.world.state_of(extension))
}

fn waits(scene: &Scene) -> Option<u64> {
    scene.world.shown.counselors[0].help.as_ref().map(|help| help.for_.as_secs())
}

const RING: [CounselorState; 2] = [CounselorState::Ringing, CounselorState::Ringing];
const FREE: [CounselorState; 2] = [CounselorState::Ready, CounselorState::Ready];

#[test]
fn rings_every_free_supervisor_and_the_first_to_answer_listens() {
    let mut scene = asked("");
    assert_eq!(scene.world.overlays(scene.a), ["tone_help"]);
    assert_eq!(scene.world.overlays(scene.caller), [""; 0]);
    assert_eq!(states(&scene), RING);
    for id in [scene.boss, scene.other] {
        let sent = scene.world.to_phone(id);
        let invite = sent.iter().find(|m| m.method() == Some(&Method::Invite)).unwrap();
        let from = invite.text(&koebashi::sip::header::Name::From).unwrap();
        assert!(from.starts_with("\"支援要請 相談員A\" <sip:101@koebashi.local>"), "{from}");
    }
    scene.world.run(3 * S);
    assert!((3..=4).contains(&waits(&scene).unwrap()));
    scene.claim(ALONE);
    let session = scene.world.phones[scene.boss.0].last().session;
    scene.world.with(scene.boss, |phone, now| phone.answer_now(now, session));
    scene.world.run(S);
    scene.claim(LISTEN);
    assert_eq!(scene.world.phones[scene.other.0].last().ended, Some(Cause::Cancelled));
    assert_eq!(states(&scene), [CounselorState::Talking, CounselorState::Ready]);
    assert_eq!(waits(&scene), None);
    scene.press(scene.boss, '2');
    scene.claim(WHISPER);
    let told = [
        "101 @101 help",
        "system @101 rings for help: [201 202]",
        "201 @101 201 begins: listen",
        "201 @101 help cleared",
        "201 @101 201: whisper",
    ];
    assert_eq!(scene.told(), told);
    // No key of the code has reached the caller.
    let sent = |command: &media::Command| matches!(command, media::Command::SendDigit { .. });
    assert!(!scene.world.commands.iter().any(sent));
    let cdr = scene.end();
    assert_eq!(cdr.talks.len(), 1);
    scene.world.claim_one_stream(scene.caller);
}

#[test]
fn what_ends_the_call_for_help_ends_the_ringing() {
    for how in ["code", "dialed", "api", "caller", "counselor"] {
        let mut scene = asked("");
        match how {
            "code" => ask(&mut scene),
            "dialed" => scene.dial(scene.a, "*9"),
            "api" => {
                let clear = Request::ClearHelp(Extension::from("101"));
                assert_eq!(scene.world.ask(clear), Ok(()));
            }
            "caller" => scene.hang_up(scene.caller),
            _ => scene.hang_up(scene.a),
        }
        scene.world.run(S);
        for id in [scene.boss, scene.other] {
            assert_eq!(scene.world.phones[id.0].last().ended, Some(Cause::Cancelled), "{how}");
        }
        assert_eq!((states(&scene), waits(&scene)), (FREE, None), "{how}");
        let by = match how {
            "code" | "dialed" => "101",
            "api" => "hana",
            _ => "system",
        };
        assert_eq!(scene.told()[2..], [format!("{by} @101 help cleared")], "{how}");
        let tones = scene.world.overlays(scene.a);
        let back = tones.contains(&"tone_unsupervised".to_owned());
        assert_eq!(back, how == "code", "{how}: {tones:?}");
        scene.end();
    }
}

#[test]
fn who_is_busy_paused_away_or_the_counselor_is_not_rung() {
    let mut scene = Scene::talking();
    scene.dial(scene.boss, "102");
    scene.world.intend(Extension::from("202"), Intention::Paused(String::new()));
    ask(&mut scene);
    assert_eq!(scene.told(), ["101 @101 help", "system @101 rings for help: []"]);
    assert_eq!(scene.world.overlays(scene.a), ["tone_help"], "it stands on the board");
    assert_eq!(waits(&scene), Some(0));
    // Asked again, it is looked again who is free.
    scene.hang_up(scene.boss);
    scene.world.phone(scene.boss).answer = Answer::Never;
    ask(&mut scene);
    assert_eq!(scene.told()[2..], ["101 @101 help", "system @101 rings for help: [201]"]);
    scene.end();
    let mut scene = Scene::talking();
    scene.world.with(scene.boss, |phone, now| phone.unregister(now));
    scene.world.run(S);
    ask(&mut scene);
    assert_eq!(scene.told().pop().unwrap(), "system @101 rings for help: [202]");
    scene.end();
}

#[test]
fn no_more_are_rung_than_the_configuration_says() {
    let mut scene = asked("[supervision]\nhelp_ring_max = 1\n");
    assert_eq!(scene.told().pop().unwrap(), "system @101 rings for help: [201]");
    assert_eq!(states(&scene), [CounselorState::Ringing, CounselorState::Ready]);
    scene.end();
}

#[test]
fn nobody_is_rung_where_it_is_only_told() {
    let mut scene = asked("[supervision]\non_help = \"tell\"\n");
    assert_eq!((states(&scene), waits(&scene)), (FREE, Some(0)));
    assert_eq!(scene.told(), ["101 @101 help"]);
    scene.dial(scene.boss, "*81101");
    assert_eq!(scene.told()[1..], ["201 @101 201 begins: listen", "201 @101 help cleared"]);
    scene.end();
}

#[test]
fn who_is_rung_takes_part_as_far_as_supervisors_may() {
    let mut scene = Scene::with("[supervision]\nmodes = [\"join\", \"whisper\"]\n");
    scene.world.phone(scene.other).answer = Answer::Never;
    ask(&mut scene);
    scene.world.run(S);
    scene.claim(WHISPER);
    scene.end();
    let mut scene = asked("[supervision]\nmodes = []\n");
    assert_eq!(scene.told().pop().unwrap(), "system @101 rings for help: []");
    scene.end();
}

#[test]
fn nobody_answers_and_the_counselor_asks_again() {
    let mut scene = asked("");
    scene.world.run(21 * S);
    assert_eq!((states(&scene), waits(&scene).is_some()), (FREE, true));
    assert_eq!(scene.told().pop().unwrap(), "system @101 help unanswered");
    ask(&mut scene);
    assert_eq!(states(&scene), RING);
    assert_eq!(scene.told()[3..], ["101 @101 help", "system @101 rings for help: [201 202]"]);
    // Through the API asking is no switch: while it rings, asking again changes nothing.
    assert_eq!(scene.world.ask(Request::AskHelp(Extension::from("101"))), Ok(()));
    scene.world.run(S);
    assert_eq!((states(&scene), scene.told().len()), (RING, 5));
    scene.end();
}

#[test]
fn a_supervisor_in_the_call_hears_a_tone_and_nobody_is_rung() {
    let mut scene = Scene::supervised("*81101");
    ask(&mut scene);
    assert_eq!(scene.world.overlays(scene.boss), ["listening", "tone_help"]);
    assert_eq!(scene.world.state_of("202"), CounselorState::Ready);
    assert_eq!(scene.told()[1..], ["101 @101 help"]);
    assert!(waits(&scene).is_some());
    scene.press(scene.boss, '2');
    assert_eq!(scene.told()[2..], ["201 @101 201: whisper", "201 @101 help cleared"]);
    assert_eq!(waits(&scene), None);
    scene.end();
}

#[test]
fn who_is_rung_for_help_may_dial_instead() {
    let mut scene = asked("");
    scene.dial(scene.boss, "*83101");
    scene.claim(JOIN);
    assert_eq!(scene.world.state_of("202"), CounselorState::Ready);
    assert_eq!(scene.world.phones[scene.other.0].last().ended, Some(Cause::Cancelled));
    assert_eq!(scene.told()[2..], ["201 @101 201 begins: join", "201 @101 help cleared"]);
    scene.end();
}

#[test]
fn where_the_console_rings_somebody_already_help_waits_for_that_ring() {
    let mut scene = Scene::talking();
    for id in [scene.boss, scene.other] {
        scene.world.phone(id).answer = Answer::Never;
    }
    assert_eq!(scene.supervise("201", SupervisionMode::Join), Ok(()));
    ask(&mut scene);
    assert_eq!(states(&scene), [CounselorState::Ringing, CounselorState::Ready]);
    scene.world.run(20 * S);
    assert_eq!(scene.told().pop().unwrap(), "system @101 rings for help: [201 202]");
    scene.end();
}

#[test]
fn is_asked_for_on_the_second_line() {
    let mut scene = Scene::talking();
    for id in [scene.boss, scene.other] {
        scene.world.phone(id).answer = Answer::Never;
    }
    scene.hold(scene.a, true);
    let since = scene.world.now;
    scene.dial(scene.a, "*9");
    scene.world.run(S);
    assert!(scene.world.sounds(scene.a, since).contains(&"help_sent".to_owned()));
    assert_eq!(scene.told()[0], "101 @101 help");
    assert_eq!(states(&scene), RING);
    assert_eq!(scene.world.tuned(scene.caller), "hold");
    scene.claim_refused(scene.b, "*9");
    assert_eq!(scene.told().pop().unwrap(), "102 @- denied help: not_in_a_call");
    scene.end();
    assert_eq!(scene.told().pop().unwrap(), "system @101 help cleared");
}
