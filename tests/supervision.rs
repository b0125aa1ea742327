//! Claims on supervisors: who hears whom in each mode, who may, what becomes of the call when one of
//! the three goes, and what is told of it.

mod help;

use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::cdr::{Cdr, EndedBy, Outcome, Whose};
use koebashi::call::config::{Extension, SupervisionMode};
use koebashi::call::deed::{Actor, Deed, Denial, Request, What};
use koebashi::call::intention::Intention;
use koebashi::call::switchboard::Command;
use koebashi::media::{self, Digit, Source};
use koebashi::sip::message::Method;
use koebashi::sip::{Cause, SessionId};

use crate::config::BASIC;
use crate::sim::{Answer, PhoneId, Raw, World, sdp};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

const SUPERVISORS: &str = r#"
[[counselor]]
extension = "201"
name = "監督A"
role = "supervisor"
password = "password-201"
[[counselor]]
extension = "202"
name = "監督B"
role = "supervisor"
password = "password-202"
[media]
threads = 4
"#;

/// A caller who talks with 101; 102 is a counselor, 201 and 202 are supervisors.
struct Scene {
    world: World,
    caller: PhoneId,
    a: PhoneId,
    b: PhoneId,
    boss: PhoneId,
    other: PhoneId,
}

impl Scene {
    fn talking() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        Self::of(&format!("{SUPERVISORS}{more}"))
    }

    /// With these supervisors.
    fn of(more: &str) -> Self {
        let mut world = World::new(&Self::toml(more));
        // The phones' numbers are those in `voice N` and `mix N M`: 0 the caller, 1 the counselor.
        let caller = world.add_caller(1, 0x2a);
        let [a, b, boss, other] = [("101", 0x51), ("102", 0x52), ("201", 0x61), ("202", 0x62)]
            .map(|(extension, voice)| phone(&mut world, extension, voice));
        world.dial(caller);
        world.until("both talk", 10 * S, |w| {
            w.phones[a.0].is_talking() && w.phones[caller.0].is_talking()
        });
        world.run(S);
        let scene = Self { world, caller, a, b, boss, other };
        scene.claim(["voice 1", "voice 0", "nothing"]);
        scene
    }

    fn toml(more: &str) -> String {
        let basic = BASIC.replace("[line.queue]\n", "[line.queue]\nstrategy = \"ordered\"\n");
        format!("{basic}{more}")
    }

    /// What caller, counselor and supervisor are tuned to.
    #[track_caller]
    fn claim(&self, expected: [&str; 3]) {
        let tuned = [self.caller, self.a, self.boss].map(|id| self.world.tuned(id));
        assert_eq!(tuned, expected, "{}", self.world.story());
    }

    /// The service gets another configuration, as by a reload.
    fn configure(&mut self, more: &str) {
        let loaded = crate::config::load(&Self::toml(more));
        let (call, sip) = (std::sync::Arc::new(loaded.call), Box::new(loaded.sip));
        self.world.command(Command::Configure(call, sip));
        self.world.run(S);
    }

    fn dial(&mut self, id: PhoneId, code: &str) {
        self.world.with(id, |phone, now| phone.dial(now, code));
        self.world.run(S);
    }

    /// 201 takes part in the call of 101.
    fn supervised(code: &str) -> Self {
        let mut scene = Self::talking();
        scene.dial(scene.boss, code);
        assert!(scene.world.phones[scene.boss.0].is_talking(), "{}", scene.world.story());
        scene
    }

    fn press(&mut self, id: PhoneId, key: char) {
        let event = Digit::from_char(key).unwrap().event();
        self.world.with(id, |phone, _| phone.press(event, true));
        self.world.run(500 * MS);
    }

    fn hold(&mut self, id: PhoneId, on: bool) {
        self.world.with(id, |phone, now| phone.hold(now, on));
        self.world.run(S);
    }

    fn hang_up(&mut self, id: PhoneId) {
        self.world.with(id, |phone, now| phone.hang_up(now));
        self.world.run(S);
    }

    /// Whether the dialed code was refused by voice.
    #[track_caller]
    fn claim_refused(&mut self, id: PhoneId, code: &str) {
        let since = self.world.now;
        self.dial(id, code);
        self.world.run(S);
        // A phone with another call on its first line hears that too.
        let sounds = self.world.sounds(id, since);
        assert!(sounds.contains(&"code_refused".to_owned()), "{code}\n{}", self.world.story());
        assert_eq!(self.world.phones[id.0].last().ended, Some(Cause::Bye));
    }

    fn told(&self) -> Vec<String> {
        self.world.deeds.iter().map(words).collect()
    }

    fn call(&self) -> koebashi::call::cdr::CallId {
        self.world.shown.calls[0].call.clone()
    }

    fn supervise(&mut self, extension: &str, mode: SupervisionMode) -> Result<(), Denial> {
        let (call, extension) = (self.call(), Extension::from(extension));
        self.world.ask(Request::Supervise { call, extension, mode })
    }

    /// Everybody hangs up: the caller's record.
    fn end(&mut self) -> Cdr {
        for id in 0..self.world.phones.len() {
            self.world.with(PhoneId(id), |phone, now| phone.hang_up_all(now));
        }
        self.world.come_to_rest();
        assert_eq!(self.world.cdrs.len(), 1);
        self.world.cdrs[0].clone()
    }
}

fn phone(world: &mut World, extension: &str, voice: u8) -> PhoneId {
    let n: u16 = extension.parse().unwrap();
    let id = world.add(&format!("10.0.{}.{}:5060", n / 100 + 1, n % 100), voice);
    let now = world.now;
    world.phones[id.0].register(now, extension, &format!("password-{extension}"));
    world.run(200 * MS);
    world.phone(id).answer = Answer::After(500 * MS);
    id
}

fn words(deed: &Deed) -> String {
    let who = match &deed.who {
        Actor::Extension(extension) => extension.to_string(),
        Actor::Person(name) => name.to_string(),
        Actor::System => "system".to_owned(),
    };
    let whose = deed.counselor.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let what = match &deed.what {
        What::Summoned { supervisor, mode } => format!("rings {supervisor}: {}", mode.name()),
        What::Began { supervisor, mode } => format!("{supervisor} begins: {}", mode.name()),
        What::Switched { supervisor, mode } => format!("{supervisor}: {}", mode.name()),
        What::Ended { supervisor, why } => format!("{supervisor} ends: {}", why.words()),
        What::Denied { asked, whom, why } => {
            let whom = whom.as_ref().filter(|whom| *whom.0 != who);
            let whom = whom.map(|whom| format!(" by {whom}")).unwrap_or_default();
            format!("denied {asked}{whom}: {}", why.name())
        }
        What::HelpAsked => "help".to_owned(),
        What::HelpRung { supervisors } => {
            let names: Vec<_> = supervisors.iter().map(ToString::to_string).collect();
            format!("rings for help: [{}]", names.join(" "))
        }
        What::HelpUnanswered => "help unanswered".to_owned(),
        What::HelpCleared => "help cleared".to_owned(),
        What::Recording { paused } => format!("recording paused: {paused}"),
        What::WrapUpEnded => "wrap-up ended".to_owned(),
        What::WrapUpExtended => "wrap-up extended".to_owned(),
    };
    assert!(deed.call.is_some() || deed.counselor.is_none(), "{deed:?}");
    format!("{who} @{whose} {what}")
}

const LISTEN: [&str; 3] = ["voice 1", "voice 0", "mix 0 1"];
const WHISPER: [&str; 3] = ["voice 1", "mix 0 3", "mix 0 1"];
const JOIN: [&str; 3] = ["mix 1 3", "mix 0 3", "mix 0 1"];
const ALONE: [&str; 3] = ["voice 1", "voice 0", "nothing"];

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

impl Scene {
    #[track_caller]
    fn claim_refused_by_number(&mut self, id: PhoneId, number: &str, with: u16) {
        self.dial(id, number);
        let ended = self.world.phones[id.0].last().ended.clone();
        assert!(matches!(ended, Some(Cause::Refused { code, .. }) if code == with), "{ended:?}");
    }
}

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
    for id in 0..scene.world.phones.len() {
        scene.world.with(PhoneId(id), |phone, now| phone.hang_up_all(now));
    }
    scene.world.come_to_rest();
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
