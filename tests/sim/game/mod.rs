//! Small worlds in which anything may happen, by a seed.
//!
//! `KOEBASHI_SEED=n` plays one world, `KOEBASHI_SEEDS=n` the first n.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use koebashi::call::board::{CounselorState, PhaseName};
use koebashi::call::config::{Extension, SupervisionMode};
use koebashi::call::deed::Request;
use koebashi::call::intention::Intention;
use koebashi::call::switchboard::Command;
use koebashi::chance::Chance;

use crate::config;
use crate::sim::World;
use crate::sim::link::Fate;
use crate::sim::phone::{Answer, PhoneId};

const S: Duration = Duration::from_secs(1);
/// Worlds in a normal run.
const SEEDS: u64 = 200;
/// Tests that share the worlds, so that they run side by side.
const SHARES: u64 = 8;

/// A world and whoever plays with it.
struct Game {
    world: World,
    chance: Chance,
    callers: Vec<PhoneId>,
    /// With the extension; `None`: the phone has died or gone for good.
    counselors: Vec<(PhoneId, String)>,
    is_down: Rc<Cell<bool>>,
    toml: String,
    /// What was done, for the story.
    done: Vec<String>,
}

/// Everything that may be done.
const ACTIONS: &[fn(&mut Game)] = &[
    Game::dial,
    Game::dial,
    Game::dial,
    Game::dial,
    Game::caller_hangs_up,
    Game::caller_hangs_up,
    Game::counselor_hangs_up,
    Game::counselor_hangs_up,
    Game::hold,
    Game::hold,
    Game::change_habit,
    Game::change_habit,
    Game::die,
    Game::unregister,
    Game::register,
    Game::dial_code,
    Game::dial_code,
    Game::dial_colleague,
    Game::supervise,
    Game::supervise,
    Game::supervise,
    Game::supervisor_hangs_up,
    Game::supervise_by_request,
    Game::press_keys,
    Game::press_keys,
    Game::transfer,
    Game::transfer,
    Game::consult_and_transfer,
    Game::consult_and_transfer,
    Game::drop_link,
    Game::step_wall,
    Game::reload,
    Game::drain,
    Game::crash,
    Game::crash,
    Game::crash,
];

impl Game {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::from_number(seed ^ 0x6b6f_6562);
        let counselors = 1 + chance.below(4);
        let toml = configuration(&mut chance, counselors);
        let mut world = World::restarted(&toml, std::collections::BTreeMap::new(), seed);
        let counselors = (1..=counselors).map(|n| {
            let extension = (100 + n).to_string();
            (world.add_counselor(&extension, 0x50 + n as u8), extension)
        });
        let counselors = counselors.collect();
        let callers = 2 + chance.below(5);
        let callers = (1..=callers).map(|n| world.add_caller(n as u8, 0x20 + n as u8)).collect();
        let is_down = Rc::new(Cell::new(false));
        let (down, mut luck, bad) = (Rc::clone(&is_down), chance.split(), chance.below(3) * 15);
        world.link.fate = Box::new(move |_| match luck.below(1000) {
            _ if down.get() => Fate::Lost,
            n if n < bad => Fate::Lost,
            n if n < 2 * bad => Fate::Doubled,
            n if n < 3 * bad => Fate::Late(Duration::from_millis(400)),
            _ => Fate::Arrives,
        });
        Self { world, chance, callers, counselors, is_down, toml, done: Vec::new() }
    }

    fn play(&mut self) {
        for _ in 0..8 + self.chance.below(16) {
            let act = ACTIONS[self.chance.below(ACTIONS.len() as u64) as usize];
            act(self);
            let pause = Duration::from_millis(self.chance.below(3000));
            self.world.run(pause);
            self.world.check();
            self.check_service();
        }
        self.everyone_hangs_up();
        self.world.come_to_rest();
        // Phones that were left alone are tried again, wrap-ups end.
        self.world.run(45 * S);
        self.check_free();
    }

    /// Nobody waits, with nothing happening, while somebody is free.
    fn check_service(&self) {
        if self.world.life.is_dead() {
            return;
        }
        let (world, board, long) = (&self.world, &self.world.shown, 6 * S);
        for call in board.calls.iter().filter(|call| call.phase == PhaseName::Queue) {
            let id = format!(" {}: ", call.call);
            let last = world.steps.iter().rev().find(|step| step.contains(&id)).unwrap();
            let at: u64 = last.trim_start().split(' ').next().unwrap().parse().unwrap();
            if world.now < world.started() + Duration::from_millis(at) + long {
                continue;
            }
            let free = board.counselors.iter().find(|c| {
                c.state == CounselorState::Ready
                    && c.for_ > long
                    && call.line.as_ref().is_some_and(|line| c.lines.contains(line))
            });
            assert!(free.is_none(), "{} waits while {free:?} is free", call.call);
        }
    }

    /// Whoever is on duty and has a phone is free in the end.
    fn check_free(&self) {
        for (id, extension) in &self.counselors {
            let phone = &self.world.phones[id.0];
            let chosen = self.world.intentions.get(&Extension::from(extension.as_str()));
            if !phone.is_alive || !phone.is_registered() {
                continue;
            }
            let state = self.world.state_of(extension);
            let is_right = match chosen.unwrap_or(&Intention::Ready) {
                Intention::Ready => state == CounselorState::Ready,
                Intention::Paused(why) => state == CounselorState::Paused(why.clone()),
                Intention::LoggedOut => state == CounselorState::Offline,
            };
            assert!(is_right, "{extension} chose {chosen:?} and is {state:?}");
        }
    }

    fn everyone_hangs_up(&mut self) {
        self.done.push("everyone hangs up".to_owned());
        for at in 0..self.world.phones.len() {
            self.world.with(PhoneId(at), |phone, now| {
                phone.answer = Answer::Refuses(486);
                phone.hang_up_all(now);
            });
        }
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        let ms = (self.world.now - self.world.started()).as_millis();
        self.done.push(format!("{ms:>8} ms {what}"));
    }

    fn one_of(&mut self, count: usize) -> usize {
        self.chance.below(count as u64) as usize
    }

    fn caller(&mut self) -> PhoneId {
        let at = self.one_of(self.callers.len());
        self.callers[at]
    }

    fn counselor(&mut self) -> (PhoneId, String) {
        let at = self.one_of(self.counselors.len());
        self.counselors[at].clone()
    }

    fn is_alive(&self, id: PhoneId) -> bool {
        self.world.phones[id.0].is_alive
    }

    fn dial(&mut self) {
        let caller = self.caller();
        let phone = &self.world.phones[caller.0];
        let is_idle = phone.calls.iter().all(|call| call.ended.is_some() || call.is_hung_up);
        if !phone.is_alive || !is_idle {
            return;
        }
        let number = if self.chance.below(4) == 0 { "0570000001" } else { "0570000000" };
        self.note(format!("{caller:?} dials {number}"));
        self.world.with(caller, |phone, now| {
            phone.call(now, number, "<sip:09011112222@carrier.example>", &[]);
        });
        let asks = self.toml.contains("menu") || self.toml.contains("mode = \"ask\"");
        if asks && self.chance.below(2) == 0 {
            self.world.run(Duration::from_millis(600));
            let key = 1 + self.chance.below(3) as u8;
            // Into a menu or into a question, and once more after the question.
            for wait in [Duration::ZERO, Duration::from_millis(1_200)] {
                self.world.run(wait);
                self.note(format_args!("{caller:?} presses {key}"));
                self.world.with(caller, |phone, _| phone.press(key, true));
            }
        }
    }

    fn caller_hangs_up(&mut self) {
        let caller = self.caller();
        self.note(format!("{caller:?} hangs up"));
        self.world.with(caller, |phone, now| phone.hang_up(now));
    }

    fn counselor_hangs_up(&mut self) {
        let (id, extension) = self.counselor();
        self.note(format!("{extension} hangs up"));
        self.world.with(id, |phone, now| phone.hang_up(now));
    }

    fn hold(&mut self) {
        let id = if self.chance.below(2) == 0 { self.caller() } else { self.counselor().0 };
        let on = self.chance.below(2) == 0;
        if self.is_alive(id) && self.world.phones[id.0].is_talking() {
            self.note(format!("{id:?} holds: {on}"));
            self.world.with(id, |phone, now| phone.hold(now, on));
        }
    }

    fn change_habit(&mut self) {
        let (id, extension) = self.counselor();
        let answer = match self.chance.below(6) {
            0 => Answer::Refuses(486),
            1 => Answer::Refuses(503),
            2 => Answer::Never,
            3 => Answer::Dead,
            _ => Answer::After(Duration::from_millis(self.chance.below(4000))),
        };
        self.note(format!("{extension} from now on: {answer:?}"));
        self.world.phone(id).answer = answer;
    }

    fn die(&mut self) {
        let id = if self.chance.below(2) == 0 { self.caller() } else { self.counselor().0 };
        self.note(format!("{id:?} dies"));
        self.world.phone(id).is_alive = false;
    }

    fn unregister(&mut self) {
        let (id, extension) = self.counselor();
        self.note(format!("{extension} unregisters"));
        self.world.with(id, |phone, now| phone.unregister(now));
    }

    fn register(&mut self) {
        let (id, extension) = self.counselor();
        self.note(format!("{extension} registers"));
        self.world.with(id, |phone, now| {
            phone.register(now, &extension, &format!("password-{extension}"));
        });
    }

    fn dial_code(&mut self) {
        let (id, extension) = self.counselor();
        let code = ["*21", "*22", "*221", "*23", "*24", "*20", "*99"][self.one_of(7)];
        if self.is_alive(id) && !self.world.phones[id.0].is_talking() {
            self.note(format!("{extension} dials {code}"));
            self.world.with(id, |phone, now| phone.dial(now, code));
        }
    }

    /// Anybody dials a code of supervisors, or of help, mostly with somebody to listen to.
    fn supervise(&mut self) {
        let ((id, extension), (_, other)) = (self.supervisor(), self.counselor());
        let whose = self.talking().map_or(other, |(_, extension)| extension);
        let code = ["*81", "*82", "*83", "*83", "*9"][self.one_of(5)];
        let code = if code == "*9" { code.to_owned() } else { format!("{code}{whose}") };
        if self.is_alive(id) && !self.world.phones[id.0].is_talking() {
            self.note(format!("{extension} dials {code}"));
            self.world.with(id, |phone, now| phone.dial(now, &code));
        }
    }

    /// Whoever supervises hangs up.
    fn supervisor_hangs_up(&mut self) {
        let mut calls = self.world.shown.calls.iter();
        let Some(watcher) = calls.find_map(|call| call.supervisor.clone()) else { return };
        let found = self.counselors.iter().find(|(_, own)| **own == *watcher.extension.0);
        let (id, extension) = found.expect("a counselor of the world").clone();
        self.note(format!("{extension} hangs up what is supervised"));
        self.world.with(id, |phone, now| phone.hang_up(now));
    }

    /// A supervisor who is free, if there is one.
    fn supervisor(&mut self) -> (PhoneId, String) {
        let is_free = |(id, extension): &&(PhoneId, String)| {
            let role = format!("name = \"{}\"\nrole = \"supervisor\"", &extension[2..]);
            let board = self.world.shown.counselors.iter();
            let mut board = board.filter(|view| *view.extension.0 == **extension);
            self.toml.contains(&role)
                && !self.world.phones[id.0].is_talking()
                && board.any(|view| view.state != CounselorState::Ringing)
        };
        let free = self.counselors.iter().find(is_free).cloned();
        free.unwrap_or_else(|| self.counselor())
    }

    /// The console asks for something about a call.
    fn supervise_by_request(&mut self) {
        let (_, extension) = self.supervisor();
        let extension = Extension::from(extension.as_str());
        let mode = SupervisionMode::ALL[self.one_of(3)];
        let Some(call) = self.world.shown.calls.first().map(|call| call.call.clone()) else {
            return;
        };
        let request = match self.chance.below(6) {
            0 => Request::Switch { call, mode },
            1 => Request::EndSupervision { call },
            2 => Request::AskHelp(extension),
            3 => Request::ClearHelp(extension),
            _ => Request::Supervise { call, extension, mode },
        };
        self.note(format!("{request:?}"));
        let answer = self.world.ask(request);
        self.note(format!("{answer:?}"));
    }

    /// Keys in a call: those of a supervisor, and codes of a counselor.
    fn press_keys(&mut self) {
        let (id, extension) = match (self.talking(), self.chance.below(2)) {
            (Some(talking), 0) => talking,
            _ => self.counselor(),
        };
        if !self.is_alive(id) || !self.world.phones[id.0].is_talking() {
            return;
        }
        let keys = ["1", "2", "3", "#", "*9", "*9", "*", "5"][self.one_of(8)];
        self.note(format!("{extension} presses {keys}"));
        for key in keys.chars() {
            let event = "0123456789*#".find(key).expect("a key") as u8;
            self.world.with(id, |phone, _| phone.press(event, true));
            self.world.run(Duration::from_millis(300));
        }
    }

    fn dial_colleague(&mut self) {
        let ((id, extension), (_, other)) = (self.counselor(), self.counselor());
        if self.is_alive(id) {
            self.note(format!("{extension} dials {other}"));
            self.world.with(id, |phone, now| {
                if phone.is_talking() {
                    phone.hold(now, true);
                }
                phone.dial(now, &other);
            });
        }
    }

    /// A counselor who talks with a caller.
    fn talking(&self) -> Option<(PhoneId, String)> {
        let talking = self.world.shown.calls.iter().filter(|c| c.phase == PhaseName::Bridge);
        let extension = talking.flat_map(|call| &call.counselors).next()?;
        self.counselors.iter().find(|(_, own)| **own == *extension.0).cloned()
    }

    /// REFER in any of the phone's calls, to anyone, perhaps naming another of its calls.
    fn transfer(&mut self) {
        let Some((id, extension)) = self.talking() else { return };
        let live = self.world.phones[id.0].live_sessions();
        if !self.is_alive(id) || live.is_empty() {
            return;
        }
        let session = live[self.one_of(live.len())];
        let other = live[self.one_of(live.len())];
        let to = match self.chance.below(6) {
            0 => "other".to_owned(),
            1 => "09011112222".to_owned(),
            _ => self.counselor().1,
        };
        let is_attended = other != session;
        self.note(format!("{extension} transfers to {to}, attended: {is_attended}"));
        self.world.with(id, |phone, _| {
            let replaces = phone.dialogs.replaces(other);
            let refer_to = if is_attended {
                format!("<sip:{to}@koebashi.local?{replaces}>")
            } else {
                format!("<sip:{to}@koebashi.local>")
            };
            phone.refer(session, &refer_to);
        });
        if self.chance.below(2) == 0 {
            self.world.run(Duration::from_millis(300));
            self.note(format_args!("{extension} hangs up"));
            self.world.with(id, |phone, now| phone.hang_up(now));
        }
    }

    /// A counselor who talks consults a colleague, and perhaps hands the caller on.
    fn consult_and_transfer(&mut self) {
        let Some((id, extension)) = self.talking() else { return };
        let others: Vec<_> = self.counselors.iter().filter(|(_, e)| *e != extension).collect();
        if others.is_empty() {
            return;
        }
        let (other, number) = others[self.chance.below(others.len() as u64) as usize].clone();
        let live = self.world.phones[id.0].live_sessions();
        let [held] = live.as_slice() else { return };
        if self.chance.below(2) == 0 {
            self.world.phone(other).answer = Answer::After(S);
        }
        self.note(format_args!("{extension} consults {number}"));
        self.world.with(id, |phone, now| {
            phone.hold(now, true);
            phone.dial(now, &number);
        });
        let pause = Duration::from_millis(self.chance.below(5000));
        self.world.run(pause);
        let live = self.world.phones[id.0].live_sessions();
        let Some(consult) = live.iter().find(|session| *session != held) else { return };
        let in_consult = self.chance.below(3) == 0;
        self.note(format_args!("{extension} hands over, REFER in the consultation: {in_consult}"));
        let (by, named) = if in_consult { (*consult, *held) } else { (*held, *consult) };
        self.world.with(id, |phone, _| {
            let replaces = phone.dialogs.replaces(named);
            phone.refer(by, &format!("<sip:{number}@koebashi.local?{replaces}>"));
        });
    }

    fn drop_link(&mut self) {
        self.note("all links drop for 3 s");
        self.is_down.set(true);
        self.world.run(3 * S);
        self.is_down.set(false);
    }

    fn step_wall(&mut self) {
        let step = chrono::Duration::minutes(self.chance.below(240) as i64 - 120);
        self.note(format!("the wall clock steps by {step}"));
        self.world.wall += step;
    }

    fn reload(&mut self) {
        let loaded = config::load(&self.toml);
        self.note("reload");
        let command = Command::Configure(Arc::new(loaded.call), Box::new(loaded.sip));
        self.world.command(command);
    }

    /// `kill -9`: now, or in the middle of whatever happens next.
    fn crash(&mut self) {
        let dead_for = Duration::from_millis(self.chance.below(3000));
        let outputs = self.chance.below(40) as usize;
        self.note(format!("killed after {outputs} outputs, dead for {dead_for:?}"));
        match outputs {
            0 => self.world.crash(dead_for),
            _ => self.world.crash_after(outputs, dead_for),
        }
    }

    fn drain(&mut self) {
        if self.chance.below(3) == 0 {
            self.note("drain");
            self.world.command(Command::Drain);
        }
    }
}

const MENU: &str = r#"
[line.guidance.start]
play = ["menu"]
keys = { 1 = "queue", 2 = "line:other", 3 = "help" }
timeout = "2s"
repeats = 1
next = "queue"
"#;

fn configuration(chance: &mut Chance, counselors: u64) -> String {
    let mut pick =
        |options: &[&str]| options[chance.below(options.len() as u64) as usize].to_owned();
    let mut toml = "[sip]\nlisten = [\"udp://10.0.0.1:5060\"]\n\
                    [[trunk]]\nid = \"navi\"\npeers = [\"10.0.1.0/24\"]\n"
        .to_owned();
    for (n, id) in ["main", "other"].into_iter().enumerate() {
        let answer = pick(&["immediate", "ring", "early_media"]);
        let strategy =
            pick(&["longest_idle", "ring_all", "round_robin", "fewest_calls", "ordered"]);
        let (wrap_up, ring) = (pick(&["0s", "5s"]), pick(&["5s", "10s", "20s"]));
        let (max_wait, most) = (pick(&["15s", "60s"]), pick(&["1", "5"]));
        let menu = if id == "main" { pick(&["", MENU]) } else { String::new() };
        let recording =
            if answer == "immediate" { pick(&["off", "on", "ask"]) } else { "off".to_owned() };
        let (patience, pause) = (pick(&["0s", "10s"]), pick(&["0", "2"]));
        toml += &format!(
            "[[line]]\nid = \"{id}\"\nname = \"{id}\"\nnumbers = [\"057000000{n}\"]\n\
             answer = \"{answer}\"\n{menu}[line.recording]\nmode = \"{recording}\"\n\
             [line.queue]\nstrategy = \"{strategy}\"\n\
             wrap_up = \"{wrap_up}\"\nring_timeout = \"{ring}\"\nmax_wait = \"{max_wait}\"\n\
             max_callers = {most}\nmax_wait_no_counselor = \"{patience}\"\n\
             auto_pause_after = {pause}\n"
        );
    }
    for n in 1..=counselors {
        let lines = pick(&["[\"main\"]", "[\"main\", \"other\"]"]);
        let role = pick(&["counselor", "supervisor"]);
        toml += &format!(
            "[[counselor]]\nextension = \"10{n}\"\nname = \"{n}\"\nrole = \"{role}\"\n\
             password = \"password-10{n}\"\nlines = {lines}\n"
        );
    }
    if counselors == 1 {
        // A line that nobody takes is refused by `check`.
        toml = toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]");
    }
    toml + config::RECIPIENTS
}

/// Plays one world; a failure tells how to play it again.
fn play(seed: u64) -> Game {
    let mut game = Game::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| game.play()));
    if let Err(cause) = played {
        let text = cause.downcast_ref::<String>().map_or("?", String::as_str);
        let story = if text.contains(" ms ") { String::new() } else { game.world.story() };
        panic!(
            "world {seed}: {text}\n{story}\n{}\n{}\nAGAIN: KOEBASHI_SEED={seed} cargo nextest run worlds::share_0",
            game.toml,
            game.done.join("\n"),
        );
    }
    game
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}

fn share(which: u64) {
    if let Some(seed) = number("KOEBASHI_SEED") {
        if which == 0 {
            play(seed);
        }
        return;
    }
    let seeds = number("KOEBASHI_SEEDS").unwrap_or(SEEDS);
    for seed in (0..seeds).filter(|seed| seed % SHARES == which) {
        play(seed);
    }
}

macro_rules! shares {
    ($($name:ident $which:literal)*) => {$(
        #[test]
        fn $name() {
            share($which);
        }
    )*};
}

shares!(share_0 0 share_1 1 share_2 2 share_3 3 share_4 4 share_5 5 share_6 6 share_7 7);

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let wire = |game: &Game| -> Vec<(Duration, Bytes)> {
        let started = game.world.started();
        game.world.wire.iter().map(|sent| (sent.at - started, sent.bytes.clone())).collect()
    };
    for seed in 0..4 {
        let (one, two) = (play(seed), play(seed));
        assert_eq!(one.done, two.done);
        assert_eq!(one.world.steps, two.world.steps);
        assert!(wire(&one) == wire(&two), "world {seed} has two stories");
        assert_eq!(one.world.cdrs, two.world.cdrs);
    }
    assert!(wire(&play(0)) != wire(&play(1)));
}

/// Worlds in which little happens would prove little.
#[test]
fn the_worlds_see_everything() {
    let all: Vec<String> = (0..140).flat_map(|seed| play(seed).world.steps).collect();
    let wanted = [
        "answered (200)",
        "early media",
        "agrees to be recorded",
        "knows that the conversation is recorded",
        "is not recorded: no consent",
        ": recorded",
        "guidance: ",
        "hears: all_busy",
        "hears: draining",
        "hears: no_counselor",
        "hears: timed_out",
        "joined with ",
        "did not answer",
        "can't be reached",
        "counselor's phone lost",
        "transfer: rings ",
        "transfer: taken over by ",
        "transfer: to line ",
        "supervises: listen",
        "supervises: join",
        "supervises no longer: the call is over",
        "supervises no longer: hung up",
        "asks for help",
        "goes on after a restart",
        "ended: Abandoned",
        "ended: ShortAbandoned",
        "ended: GuidanceAbandoned",
    ];
    let unseen: Vec<_> =
        wanted.iter().filter(|text| !all.iter().any(|step| step.contains(**text))).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
