//! Claims on supervisors: who hears whom in each mode, who may, what becomes of the call when one of
//! the three goes, and what is told of it.

mod api;
mod help;
mod leaving;
mod scene;

use koebashi::call::board::CounselorState;
use koebashi::call::cdr::{EndedBy, Outcome, Whose};
use koebashi::call::config::{Extension, SupervisionMode};
use koebashi::call::deed::{Denial, Request, What};
use koebashi::call::intention::Intention;
use koebashi::call::switchboard::Command;
use koebashi::media::{self, Source};
use koebashi::sip::message::Method;
use koebashi::sip::{Cause, SessionId};

use crate::sim::{Answer, PhoneId, Raw, World, sdp};
use scene::{ALONE, JOIN, LISTEN, MS, S, SUPERVISORS, Scene, WHISPER};

#[test]
fn each_code_lets_hear_whom_it_says() {
    let table =
        [("*81101", LISTEN, "listen"), ("*82101", WHISPER, "whisper"), ("*83101", JOIN, "join")];
    for (code, tuned, mode) in table {
        let mut scene = Scene::supervised(code);
        scene.claim(tuned);
        let view = scene.world.shown.calls[0].supervisor.clone().unwrap();
        assert_eq!((&*view.extension.0, view.mode.name()), ("201", mode));
        assert_eq!(scene.world.state_of("201"), CounselorState::Talking);
        assert_eq!(scene.world.shown.calls[0].counselors, [Extension::from("101")]);
        scene.hang_up(scene.boss);
        scene.claim(ALONE);
        assert_eq!(scene.world.shown.calls[0].supervisor, None);
        assert_eq!(scene.world.state_of("201"), CounselorState::Ready);
        assert_eq!(
            scene.told(),
            [&format!("201 @101 201 begins: {mode}"), "201 @101 201 ends: hung up"]
        );
        let cdr = scene.end();
        assert_eq!((cdr.outcome, cdr.talks.len()), (Outcome::Answered, 1));
    }
}

/// A phone has more than one line: on the other the supervisor talks with a colleague, whom nobody
/// else hears, and who hears nobody else.
#[test]
fn who_listens_may_talk_with_a_colleague_aside() {
    let mut scene = Scene::supervised("*81101");
    let listening = scene.world.phones[scene.boss.0].last().session;
    scene.dial(scene.boss, "102");
    scene.world.run(S);
    assert!(scene.world.phones[scene.b.0].is_talking(), "{}", scene.world.story());
    assert_eq!(scene.world.phones[scene.boss.0].live_sessions().len(), 2);
    let tuned = [scene.caller, scene.a, scene.b].map(|id| scene.world.tuned(id));
    assert_eq!(tuned, ["voice 1", "voice 0", "voice 3"]);
    scene.hang_up(scene.boss);
    assert_eq!(scene.world.phones[scene.boss.0].live_sessions(), [listening]);
    scene.claim(["voice 1", "voice 0", "mix 0 1"]);
    scene.end();
}

#[test]
fn listening_leaves_the_relay_of_the_two_alone() {
    let mut scene = Scene::talking();
    let before = scene.world.commands.len();
    scene.dial(scene.boss, "*81101");
    scene.claim(LISTEN);
    let listens = scene.world.commands[before..].iter();
    let listens =
        listens.filter(|command| matches!(command, media::Command::Listen { .. })).count();
    assert_eq!(listens, 1, "the supervisor's own ear and nothing else");
    assert_eq!(scene.world.hears(scene.caller), "voice 1");
    scene.end();
}

#[test]
fn keys_switch_and_end() {
    let mut scene = Scene::supervised("*81101");
    for (key, tuned) in [('2', WHISPER), ('3', JOIN), ('1', LISTEN), ('3', JOIN), ('2', WHISPER)] {
        scene.press(scene.boss, key);
        scene.claim(tuned);
    }
    scene.press(scene.boss, '7');
    scene.claim(WHISPER);
    scene.world.with(scene.boss, |phone, now| phone.press_by_info(now, '3'));
    scene.world.run(S);
    scene.claim(JOIN);
    scene.press(scene.boss, '#');
    scene.claim(ALONE);
    assert!(!scene.world.phones[scene.boss.0].is_talking());
    let expected =
        ["begins: listen", "whisper", "join", "listen", "join", "whisper", "join", "ends: hung up"];
    let told: Vec<_> = scene.told().iter().map(|t| t.replace("201 @101 201", "")).collect();
    let told: Vec<_> = told.iter().map(|t| t.trim_start_matches([' ', ':'])).collect();
    assert_eq!(told, expected);
    // No key of the supervisor has reached anybody.
    let sent = |command: &media::Command| matches!(command, media::Command::SendDigit { .. });
    assert!(!scene.world.commands.iter().any(sent));
    let spoken = ["listening", "whispering", "joined", "listening", "joined", "whispering"];
    assert_eq!(scene.world.overlays(scene.boss)[..6], spoken);
    scene.end();
}

#[test]
fn the_counselor_hears_a_tone_when_a_supervisor_comes_and_goes() {
    let mut scene = Scene::supervised("*81101");
    scene.hang_up(scene.boss);
    assert_eq!(scene.world.overlays(scene.a), ["tone_supervised", "tone_unsupervised"]);
    assert_eq!(scene.world.overlays(scene.caller), [""; 0]);
    let mut scene = Scene::with("[supervision]\nnotice = \"none\"\n");
    scene.dial(scene.boss, "*81101");
    scene.claim(LISTEN);
    scene.hang_up(scene.boss);
    assert_eq!(scene.world.overlays(scene.a), [""; 0]);
}

#[test]
fn the_board_says_who_listens_unless_told_not_to() {
    let mut scene = Scene::with("[supervision]\ncounselor_sees_listener = false\n");
    scene.dial(scene.boss, "*81101");
    scene.claim(LISTEN);
    // Nothing on the board differs from one of a call without supervisor.
    let shown = |scene: &Scene| {
        let call = &scene.world.shown.calls[0];
        let sides: Vec<_> = call.legs.iter().map(|leg| leg.side.name()).collect();
        (call.supervisor.clone(), sides.join(" "), scene.world.state_of("201"))
    };
    let alone = (None, "caller counselor".to_owned(), CounselorState::Ready);
    scene.world.run(5 * S);
    assert_eq!(shown(&scene), alone);
    assert_eq!(scene.told(), ["201 @101 201 begins: listen"]);
    scene.claim_refused(scene.other, "*81101");
    assert_eq!(scene.told().pop().unwrap(), "202 @101 denied listen: already_supervised");
    scene.hang_up(scene.boss);
    // Rung through the API, too; and it is no free counselor who is offered calls.
    scene.world.phone(scene.boss).answer = Answer::Never;
    assert_eq!(scene.supervise("201", SupervisionMode::Listen), Ok(()));
    scene.world.run(S);
    assert_eq!(shown(&scene), alone);
    scene.claim_refused_by_number(scene.b, "201", 486);
    scene.end();
}

#[test]
fn whoever_is_held_hears_music_and_the_rest_goes_on() {
    let mut scene = Scene::supervised("*82101");
    let (caller, a, boss) = (scene.caller, scene.a, scene.boss);
    let table = [
        // Who holds, and what the three are tuned to in whisper, then in join.
        (vec![a], ["hold", "mix 0 3", "mix 0"], ["mix 3", "mix 0 3", "mix 0"]),
        (vec![caller], ["voice 1", "mix 3", "mix 1"], ["mix 1 3", "mix 3", "mix 1"]),
        (vec![boss], ["voice 1", "voice 0", "mix 0 1"], ["voice 1", "voice 0", "mix 0 1"]),
        (vec![a, caller], ["hold", "mix 3", "hold"], ["mix 3", "mix 3", "hold"]),
        (vec![a, boss], ["hold", "voice 0", "mix 0"], ["hold", "voice 0", "mix 0"]),
        (vec![caller, a, boss], ["hold"; 3], ["hold"; 3]),
    ];
    for (who, whisper, join) in table {
        for (key, held, free) in [('2', whisper, WHISPER), ('3', join, JOIN)] {
            scene.press(boss, key);
            scene.claim(free);
            who.iter().for_each(|id| scene.hold(*id, true));
            scene.claim(held);
            who.iter().for_each(|id| scene.hold(*id, false));
            scene.claim(free);
        }
    }
    scene.end();
    scene.world.claim_one_stream(caller);
    scene.world.claim_one_stream(a);
}

#[test]
fn only_a_supervisor_may() {
    let mut scene = Scene::talking();
    for code in ["*81101", "*82101", "*83101"] {
        scene.claim_refused(scene.b, code);
    }
    scene.claim(ALONE);
    assert_eq!(
        scene.told(),
        ["listen", "whisper", "join"].map(|m| format!("102 @101 denied {m}: not_a_supervisor"))
    );
    assert_eq!(scene.supervise("102", SupervisionMode::Join), Err(Denial::NotSupervisor));
    scene.end();
}

#[test]
fn what_can_not_be_supervised_is_refused_by_voice() {
    let mut scene = Scene::with("[supervision]\nmodes = [\"listen\", \"whisper\"]\n");
    let table = [
        ("*81102", "listen: not_in_a_call"),
        ("*81999", "listen: unknown_extension"),
        ("*8109011112222", "listen: unknown_extension"),
        ("*81", "listen: unknown_extension"),
        ("*83101", "join: mode_not_allowed"),
        ("*81201", "listen: not_in_a_call"),
    ];
    for (code, why) in table {
        scene.claim_refused(scene.boss, code);
        let told = scene.told().pop().unwrap();
        let whose = if code == "*83101" { "101" } else { "-" };
        assert_eq!(told, format!("201 @{whose} denied {why}"), "{code}");
    }
    assert!(!format!("{:?}", scene.world.deeds).contains("0901111"), "no number is told");
    scene.dial(scene.boss, "*81101");
    scene.press(scene.boss, '3');
    scene.claim(LISTEN);
    assert_eq!(scene.told().pop().unwrap(), "201 @101 denied join: mode_not_allowed");
    assert_eq!(scene.world.overlays(scene.boss), ["listening", "code_refused"]);
    scene.end();
}

#[test]
fn what_supervisors_may_do_holds_for_live_calls_too() {
    let with = |modes: &str| format!("{SUPERVISORS}[supervision]\nmodes = [{modes}]\n");
    let mut scene = Scene::of(&with("\"listen\", \"join\""));
    scene.dial(scene.boss, "*81101");
    scene.press(scene.boss, '3');
    scene.claim(JOIN);
    scene.press(scene.boss, '1');
    scene.configure(&with("\"listen\""));
    scene.press(scene.boss, '3');
    scene.claim(LISTEN);
    assert_eq!(scene.told().pop().unwrap(), "201 @101 denied join: mode_not_allowed");
    let (call, mode) = (scene.call(), SupervisionMode::Join);
    assert_eq!(scene.world.ask(Request::Switch { call, mode }), Err(Denial::ModeOff));
    scene.configure(&with("\"listen\", \"whisper\""));
    scene.press(scene.boss, '2');
    scene.claim(WHISPER);
    scene.end();
}

#[test]
fn every_refusal_is_told() {
    let mut scene = Scene::talking();
    let call = scene.call();
    for extension in [Some("201"), Some("0901111"), None] {
        let extension = extension.map(Extension::from);
        let asked = Request::UnknownMode { call: call.clone(), extension };
        assert_eq!(scene.world.ask(asked), Err(Denial::UnknownMode));
    }
    let anonymous = "hana @101 denied supervise: unknown_mode";
    assert_eq!(
        scene.told(),
        ["hana @101 denied supervise by 201: unknown_mode", anonymous, anonymous]
    );
    assert!(!format!("{:?}", scene.world.deeds).contains("0901111"), "it may be a number");
    scene.end();
    // A phone whose audio can't be used.
    let toml = SUPERVISORS.replace("password-201\"", "password-201\"\nsrtp = \"required\"");
    let mut scene = Scene::of(&toml);
    scene.claim_refused_by_number(scene.boss, "*81101", 488);
    assert_eq!(scene.told(), ["201 @101 denied listen: no_usable_audio"]);
    scene.end();
    // No port is left, or it can't be bound.
    let toml = SUPERVISORS.replace("threads = 4", "threads = 4\nports = \"30000-30002\"");
    let mut scene = Scene::of(&toml);
    scene.claim_refused_by_number(scene.boss, "*82101", 503);
    scene.claim_refused_by_number(scene.a, "*9", 503);
    assert_eq!(
        scene.told(),
        ["201 @101 denied whisper: no_media_port", "101 @101 denied help: no_media_port"]
    );
    scene.end();
    let mut scene = Scene::talking();
    scene.world.unbindable.extend((0..=u16::MAX).step_by(2));
    scene.claim_refused_by_number(scene.boss, "*83101", 503);
    assert_eq!(scene.told(), ["201 @101 denied join: no_media_port"]);
    scene.end();
}

#[test]
fn a_second_supervisor_is_refused_until_the_first_is_gone() {
    let mut scene = Scene::supervised("*81101");
    scene.claim_refused(scene.other, "*81101");
    scene.claim(LISTEN);
    assert_eq!(scene.told().pop().unwrap(), "202 @101 denied listen: already_supervised");
    scene.hang_up(scene.boss);
    scene.dial(scene.other, "*83101");
    assert_eq!(scene.world.tuned(scene.other), "mix 0 1");
    assert_eq!(scene.world.tuned(scene.caller), "mix 1 4");
    scene.end();
}

#[test]
fn a_supervisor_is_offered_no_calls_and_watches_one_at_a_time() {
    let mut scene = Scene::with("");
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.dial(second);
    scene.world.until("102 talks", 5 * S, |w| w.phones[scene.b.0].is_talking());
    scene.dial(scene.boss, "*81101");
    scene.claim(LISTEN);
    scene.claim_refused(scene.boss, "*81102");
    assert_eq!(
        scene.told().pop().unwrap(),
        "201 @- denied listen: supervisor_is_busy".replace('-', "102")
    );
    scene.claim_refused_by_number(scene.other, "201", 486);
}

#[test]
fn a_supervisor_whose_phone_rings_for_a_caller_answers_that_first() {
    let toml =
        SUPERVISORS.replace("role = \"supervisor\"", "role = \"supervisor\"\nlines = [\"main\"]");
    let mut scene = Scene::of(&toml);
    scene.world.phone(scene.boss).answer = Answer::After(5 * S);
    scene.world.intend(Extension::from("102"), Intention::Paused(String::new()));
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.dial(second);
    scene.world.run(2 * S);
    assert_eq!(scene.world.state_of("201"), CounselorState::Ringing);
    scene.claim_refused(scene.boss, "*81101");
    assert_eq!(scene.told(), ["201 @101 denied listen: supervisor_is_busy"]);
    scene.world.until("201 has the caller", 10 * S, |w| w.tuned(second) == "voice 3");
    assert_eq!(scene.world.tuned(scene.caller), "voice 1");
}

/// Keys that were sent to a phone, by whom they were pressed is not told.
fn keys_to(scene: &World, id: PhoneId) -> String {
    let rtp = scene.phones[id.0].rtp;
    let port = scene.peers.iter().find(|(_, peer)| **peer == rtp).map(|(port, _)| *port);
    let mut keys = String::new();
    for command in &scene.commands {
        if let media::Command::SendDigit { port: to, digit } = command
            && Some(*to) == port
        {
            keys.push(digit.char());
        }
    }
    keys
}

#[test]
fn keys_that_are_no_code_are_the_callers() {
    let mut scene = Scene::talking();
    scene.press(scene.a, '5');
    assert_eq!(keys_to(&scene.world, scene.caller), "5");
    scene.press(scene.a, '*');
    scene.press(scene.a, '5');
    assert_eq!(keys_to(&scene.world, scene.caller), "5*5");
    scene.press(scene.a, '*');
    scene.world.run(2 * S);
    assert_eq!(keys_to(&scene.world, scene.caller), "5*5");
    scene.world.run(S);
    assert_eq!(keys_to(&scene.world, scene.caller), "5*5*", "after key_timeout");
    // By INFO, and one that is told both ways is one.
    scene.world.with(scene.a, |phone, now| phone.press_by_info(now, '7'));
    scene.press(scene.a, '7');
    assert_eq!(keys_to(&scene.world, scene.caller), "5*5*7");
    assert_eq!(scene.told(), [""; 0]);
    scene.end();
}

#[test]
fn a_call_that_waits_has_nobody_to_listen_to() {
    let mut scene = Scene::talking();
    scene.hang_up(scene.a);
    scene.world.phone(scene.a).answer = Answer::Never;
    scene.world.phone(scene.b).answer = Answer::Never;
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.dial(second);
    scene.world.run(2 * S);
    assert_eq!(scene.supervise("201", SupervisionMode::Listen), Err(Denial::NotInCall));
    scene.claim_refused(scene.boss, "*81101");
    assert_eq!(scene.told().pop().unwrap(), "201 @- denied listen: not_in_a_call");
}

#[test]
fn all_legs_of_a_call_live_on_one_media_thread() {
    let mut scene = Scene::supervised("*83101");
    scene.world.phone(scene.a).answer = Answer::Never;
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.dial(second);
    scene.world.until("102 talks", 30 * S, |w| w.phones[scene.b.0].is_talking());
    scene.dial(scene.other, "*81102");
    assert_eq!(scene.world.tuned(scene.other), "mix 2 5");
    let listens = scene.world.listens.iter();
    let shards: Vec<_> = listens
        .filter_map(|(port, source)| match source {
            Source::Mix(of) => Some((port.shard, of.iter().map(|p| p.shard).collect::<Vec<_>>())),
            Source::Port(of) => Some((port.shard, vec![of.shard])),
            Source::Silence | Source::Play { .. } => None,
        })
        .collect();
    assert!(shards.iter().all(|(one, of)| of.iter().all(|other| one == other)), "{shards:?}");
    let used: std::collections::BTreeSet<_> = shards.iter().map(|(shard, _)| shard).collect();
    assert_eq!(used.len(), 2, "the two calls are on two threads");
    scene.world.let_all_go();
}

#[test]
fn the_end_of_the_process_ends_supervision_too() {
    let mut scene = Scene::supervised("*83101");
    scene.world.command(Command::Stop);
    scene.world.run(S);
    for id in [scene.caller, scene.a, scene.boss] {
        assert!(!scene.world.phones[id.0].is_talking());
    }
    scene.end();
}
