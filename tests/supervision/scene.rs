//! A conversation with supervisors at hand, what they do, and what of it can be told.

use std::time::Duration;

use koebashi::call::cdr::{CallId, Cdr};
use koebashi::call::config::{Extension, SupervisionMode};
use koebashi::call::deed::{Actor, Deed, Denial, Request, What};
use koebashi::call::switchboard::Command;
use koebashi::media::Digit;
use koebashi::sip::Cause;

use crate::config::BASIC;
use crate::sim::{PhoneId, World};

pub(super) const S: Duration = Duration::from_secs(1);
pub(super) const MS: Duration = Duration::from_millis(1);

pub(super) const SUPERVISORS: &str = r#"
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

pub(super) const LISTEN: [&str; 3] = ["voice 1", "voice 0", "mix 0 1"];
pub(super) const WHISPER: [&str; 3] = ["voice 1", "mix 0 3", "mix 0 1"];
pub(super) const JOIN: [&str; 3] = ["mix 1 3", "mix 0 3", "mix 0 1"];
pub(super) const ALONE: [&str; 3] = ["voice 1", "voice 0", "nothing"];

/// A caller who talks with 101; 102 is a counselor, 201 and 202 are supervisors.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) caller: PhoneId,
    pub(super) a: PhoneId,
    pub(super) b: PhoneId,
    pub(super) boss: PhoneId,
    pub(super) other: PhoneId,
}

impl Scene {
    pub(super) fn talking() -> Self {
        Self::with("")
    }

    pub(super) fn with(more: &str) -> Self {
        Self::of(&format!("{SUPERVISORS}{more}"))
    }

    /// With these supervisors.
    pub(super) fn of(more: &str) -> Self {
        let mut world = World::new(&Self::toml(more));
        // The phones' numbers are those in `voice N` and `mix N M`: 0 the caller, 1 the counselor.
        let caller = world.add_caller(1, 0x2a);
        let [a, b, boss, other] = [("101", 0x51), ("102", 0x52), ("201", 0x61), ("202", 0x62)]
            .map(|(extension, voice)| world.add_answering(extension, voice));
        world.dial(caller);
        world.until("both talk", 10 * S, |w| {
            w.phones[a.0].is_talking() && w.phones[caller.0].is_talking()
        });
        world.run(S);
        let scene = Self { world, caller, a, b, boss, other };
        scene.claim(["voice 1", "voice 0", "nothing"]);
        scene
    }

    pub(super) fn toml(more: &str) -> String {
        let basic = BASIC.replace("[line.queue]\n", "[line.queue]\nstrategy = \"ordered\"\n");
        format!("{basic}{more}")
    }

    /// What caller, counselor and supervisor are tuned to.
    #[track_caller]
    pub(super) fn claim(&self, expected: [&str; 3]) {
        let tuned = [self.caller, self.a, self.boss].map(|id| self.world.tuned(id));
        assert_eq!(tuned, expected, "{}", self.world.story());
    }

    /// The service gets another configuration, as by a reload.
    pub(super) fn configure(&mut self, more: &str) {
        let loaded = crate::config::load(&Self::toml(more));
        let (call, sip) = (std::sync::Arc::new(loaded.call), Box::new(loaded.sip));
        self.world.command(Command::Configure(call, sip));
        self.world.run(S);
    }

    pub(super) fn dial(&mut self, id: PhoneId, code: &str) {
        self.world.with(id, |phone, now| phone.dial(now, code));
        self.world.run(S);
    }

    /// 201 takes part in the call of 101.
    pub(super) fn supervised(code: &str) -> Self {
        let mut scene = Self::talking();
        scene.dial(scene.boss, code);
        assert!(scene.world.phones[scene.boss.0].is_talking(), "{}", scene.world.story());
        scene
    }

    pub(super) fn press(&mut self, id: PhoneId, key: char) {
        let event = Digit::from_char(key).unwrap().event();
        self.world.with(id, |phone, _| phone.press(event, true));
        self.world.run(500 * MS);
    }

    pub(super) fn hold(&mut self, id: PhoneId, on: bool) {
        self.world.with(id, |phone, now| phone.hold(now, on));
        self.world.run(S);
    }

    pub(super) fn hang_up(&mut self, id: PhoneId) {
        self.world.with(id, |phone, now| phone.hang_up(now));
        self.world.run(S);
    }

    /// Whether the dialed code was refused by voice.
    #[track_caller]
    pub(super) fn claim_refused(&mut self, id: PhoneId, code: &str) {
        let since = self.world.now;
        self.dial(id, code);
        self.world.run(S);
        // A phone with another call on its first line hears that too.
        let sounds = self.world.sounds(id, since);
        assert!(sounds.contains(&"code_refused".to_owned()), "{code}\n{}", self.world.story());
        assert_eq!(self.world.phones[id.0].last().ended, Some(Cause::Bye));
    }

    #[track_caller]
    pub(super) fn claim_refused_by_number(&mut self, id: PhoneId, number: &str, with: u16) {
        self.dial(id, number);
        let ended = self.world.phones[id.0].last().ended.clone();
        assert!(matches!(ended, Some(Cause::Refused { code, .. }) if code == with), "{ended:?}");
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.world.deeds.iter().map(words).collect()
    }

    pub(super) fn call(&self) -> CallId {
        self.world.shown.calls[0].call.clone()
    }

    pub(super) fn supervise(
        &mut self,
        extension: &str,
        mode: SupervisionMode,
    ) -> Result<(), Denial> {
        let (call, extension) = (self.call(), Extension::from(extension));
        self.world.ask(Request::Supervise { call, extension, mode })
    }

    /// Everybody hangs up: the caller's record.
    pub(super) fn end(&mut self) -> Cdr {
        self.world.let_all_go();
        assert_eq!(self.world.cdrs.len(), 1);
        self.world.cdrs[0].clone()
    }
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
        What::Limited => "not tonight".to_owned(),
        What::LimitsLifted(count) => format!("lifts {count}"),
    };
    assert!(deed.call.is_some() || deed.counselor.is_none(), "{deed:?}");
    format!("{who} @{whose} {what}")
}
