//! The console rings a supervisor's phone.

use super::*;

#[test]
fn the_api_rings_the_supervisor_and_joins() {
    let mut scene = Scene::talking();
    assert_eq!(scene.supervise("201", SupervisionMode::Whisper), Ok(()));
    assert_eq!(scene.supervise("202", SupervisionMode::Listen), Err(Denial::Taken));
    scene.world.run(300 * MS);
    assert_eq!(scene.world.state_of("201"), CounselorState::Ringing);
    scene.claim(["voice 1", "voice 0", "nothing"]);
    let invite = scene.world.to_phone(scene.boss);
    let invite = invite.iter().find(|m| m.method() == Some(&Method::Invite)).unwrap();
    let from = invite.text(&koebashi::sip::header::Name::From).unwrap();
    assert!(from.starts_with("\"相談員A\" <sip:101@koebashi.local>"), "{from}");
    scene.world.run(S);
    scene.claim(WHISPER);
    let call = scene.call();
    let mode = SupervisionMode::Join;
    assert_eq!(scene.world.ask(Request::Switch { call: call.clone(), mode }), Ok(()));
    scene.claim(JOIN);
    assert_eq!(scene.world.ask(Request::EndSupervision { call: call.clone() }), Ok(()));
    scene.world.run(S);
    scene.claim(ALONE);
    assert!(!scene.world.phones[scene.boss.0].is_talking());
    let denied = scene.world.ask(Request::EndSupervision { call });
    assert_eq!(denied, Err(Denial::NotSupervised));
    let expected = [
        "hana @101 rings 201: whisper",
        "hana @101 denied listen by 202: already_supervised",
        "201 @101 201 begins: whisper",
        "hana @101 201: join",
        "hana @101 201 ends: told by the console",
        "hana @101 denied end: not_supervised",
    ];
    assert_eq!(scene.told(), expected);
    scene.end();
}

#[test]
fn a_supervisor_who_does_not_answer_leaves_the_call_alone() {
    for (answer, limit) in
        [(Answer::Never, 21 * S), (Answer::Refuses(486), S), (Answer::Dead, 5 * S)]
    {
        let mut scene = Scene::talking();
        scene.world.phone(scene.boss).answer = answer;
        assert_eq!(scene.supervise("201", SupervisionMode::Join), Ok(()));
        scene.world.run(limit);
        assert_eq!(
            scene.told().pop().unwrap(),
            "system @101 201 ends: the phone was not reached",
            "{answer:?}"
        );
        scene.claim(ALONE);
        scene.world.phone(scene.boss).answer = Answer::After(100 * MS);
        scene.end();
    }
}

#[test]
fn a_supervisors_phone_whose_early_audio_is_useless_is_given_up() {
    let mut scene = Scene::with(
        "[[counselor]]\nextension = \"203\"\nname = \"C\"\nrole = \"supervisor\"\n\
         contact = \"sip:203@10.0.2.9:5060\"\n",
    );
    assert_eq!(scene.supervise("203", SupervisionMode::Join), Ok(()));
    scene.world.run(100 * MS);
    let to = "10.0.2.9:5060".parse().unwrap();
    let invite = scene.world.wire.iter().rfind(|sent| sent.to == to).unwrap().message();
    let raw = Raw::callee("10.0.2.9:5060", &invite);
    let video = sdp("10.0.2.9:4000", "sendrecv").replace("RTP/AVP 0 101", "RTP/AVP 18");
    raw.respond(&mut scene.world, &invite, "183 Progress", "", &video);
    scene.world.run(S);
    assert!(!raw.requests(&scene.world, &Method::Cancel).is_empty());
    assert_eq!(scene.told().pop().unwrap(), "system @101 203 ends: the phone was not reached");
    // Another may now.
    assert_eq!(scene.supervise("201", SupervisionMode::Join), Ok(()));
    raw.respond(&mut scene.world, &invite, "487 Request Terminated", "", "");
    scene.world.run(2 * S);
    scene.claim(JOIN);
    scene.end();
}

#[test]
fn a_ring_for_a_call_that_ends_is_ended() {
    for who in ["caller", "console"] {
        let mut scene = Scene::talking();
        scene.world.phone(scene.boss).answer = Answer::Never;
        assert_eq!(scene.supervise("201", SupervisionMode::Join), Ok(()));
        scene.world.run(S);
        if who == "caller" {
            scene.hang_up(scene.caller);
        } else {
            let call = scene.call();
            assert_eq!(scene.world.ask(Request::EndSupervision { call }), Ok(()));
        }
        scene.world.run(S);
        assert_eq!(scene.world.phones[scene.boss.0].last().ended, Some(Cause::Cancelled), "{who}");
        assert_eq!(scene.world.state_of("201"), CounselorState::Ready);
        scene.end();
    }
}

#[test]
fn the_api_says_what_stands_against_it() {
    let mut scene = Scene::talking();
    let listen = SupervisionMode::Listen;
    assert_eq!(scene.supervise("999", listen), Err(Denial::UnknownExtension));
    assert_eq!(scene.supervise("102", listen), Err(Denial::NotSupervisor));
    let unknown = koebashi::call::cdr::CallId("nonsense".into());
    let extension = Extension::from("201");
    let asked = Request::Supervise { call: unknown.clone(), extension, mode: listen };
    assert_eq!(scene.world.ask(asked), Err(Denial::UnknownCall));
    let asked = Request::Switch { call: unknown, mode: listen };
    assert_eq!(scene.world.ask(asked), Err(Denial::UnknownCall));
    let call = scene.call();
    let asked = Request::Switch { call, mode: listen };
    assert_eq!(scene.world.ask(asked), Err(Denial::NotSupervised));
    scene.world.with(scene.boss, |phone, now| phone.unregister(now));
    scene.world.run(S);
    assert_eq!(scene.supervise("201", listen), Err(Denial::Unreachable));
    scene.dial(scene.other, "102");
    assert_eq!(scene.supervise("202", listen), Err(Denial::Busy));
    let help = |extension: &str| Request::AskHelp(Extension::from(extension));
    let clear = |extension: &str| Request::ClearHelp(Extension::from(extension));
    assert_eq!(scene.world.ask(help("102")), Err(Denial::NotInCall));
    assert_eq!(scene.world.ask(help("999")), Err(Denial::UnknownExtension));
    assert_eq!(scene.world.ask(clear("101")), Err(Denial::NoHelpAsked));
    let before = scene.told().len();
    assert_eq!(before, 10, "each is told once: {:#?}", scene.told());
    assert_eq!(scene.world.ask(help("101")), Ok(()));
    assert_eq!(scene.world.ask(clear("101")), Ok(()));
    let told = ["hana @101 help", "system @101 rings for help: []", "hana @101 help cleared"];
    assert_eq!(scene.told()[before..], told);
    scene.end();
}
