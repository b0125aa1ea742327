//! What may be done to a world: by callers, counselors, supervisors, operators, networks, clocks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use koebashi::call::board::{CounselorState, PhaseName};
use koebashi::call::config::{Extension, LineId, Override, SupervisionMode};
use koebashi::call::deed::Request;
use koebashi::call::switchboard::Command;

use super::{Game, S, town};
use crate::config;
use crate::sim::phone::{Answer, Phone, PhoneId};

/// Everything that may be done.
pub(super) const ACTIONS: &[fn(&mut Game)] = &[
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
    Game::part,
    Game::part,
    Game::part_trunk,
    Game::refuse_packets,
    Game::step_wall,
    Game::reload,
    Game::edit,
    Game::edit,
    Game::open_or_close,
    Game::drain,
    Game::crash,
    Game::crash,
    Game::crash,
    Game::fail_database,
    Game::fail_journal,
    Game::fail_and_crash,
    Game::fail_and_crash,
];

/// Everything that may be done where there are hours for it. Callers come more often, because their
/// calls are over when something else is done.
pub(super) const LONG_ACTIONS: &[fn(&mut Game)] = &[
    Game::dial,
    Game::dial,
    Game::dial,
    Game::dial,
    Game::dial,
    Game::dial,
    Game::dial_all,
    Game::dial_all,
    Game::dial_all,
    Game::dial_before_closing,
    Game::dial_before_closing,
    Game::dial_before_closing,
    Game::dial_before_closing,
    Game::dial_before_closing,
    Game::caller_hangs_up,
    Game::counselor_hangs_up,
    Game::hold,
    Game::change_habit,
    Game::change_habit,
    Game::change_habit,
    Game::die,
    Game::restart_phone,
    Game::restart_phone,
    Game::restart_phone,
    Game::unregister,
    Game::register,
    Game::register,
    Game::register,
    Game::forget_registration,
    Game::forget_registration,
    Game::part_for_long,
    Game::part_for_long,
    Game::dial_code,
    Game::dial_code,
    Game::dial_colleague,
    Game::supervise,
    Game::supervise,
    Game::supervisor_hangs_up,
    Game::supervise_by_request,
    Game::press_keys,
    Game::transfer,
    Game::consult_and_transfer,
    Game::drop_link,
    Game::part,
    Game::part_trunk,
    Game::refuse_packets,
    Game::step_wall,
    Game::reload,
    Game::edit,
    Game::open_or_close_for_a_while,
    Game::crash,
    Game::crash,
    Game::crash_for_long,
    Game::crash_for_long,
    Game::fail_for_long,
    Game::fail_for_long,
    Game::fail_database,
    Game::fail_journal,
    Game::fail_and_crash,
];

impl Game {
    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        let ms = (self.world.now - self.world.started()).as_millis();
        self.done.push(format!("{ms:>8} ms {what}"));
    }

    fn one_of(&mut self, count: usize) -> usize {
        self.chance.below(count as u64) as usize
    }

    pub(super) fn caller(&mut self) -> PhoneId {
        let at = self.one_of(self.callers.len());
        self.callers[at]
    }

    pub(super) fn counselor(&mut self) -> (PhoneId, String) {
        let at = self.one_of(self.counselors.len());
        self.counselors[at].clone()
    }

    fn is_alive(&self, id: PhoneId) -> bool {
        self.world.phones[id.0].is_alive
    }

    pub(super) fn dial(&mut self) {
        let caller = self.caller();
        let phone = &self.world.phones[caller.0];
        let is_idle = phone.calls.iter().all(|call| call.ended.is_some() || call.is_hung_up);
        if !phone.is_alive || !is_idle {
            return;
        }
        // The last belongs to no line.
        let number = match self.chance.below(12) {
            0..3 => "0570000001",
            3 => "0579999999",
            _ => "0570000000",
        };
        self.note(format!("{caller:?} dials {number}"));
        self.world.with(caller, |phone, now| {
            let from = format!("<sip:{}@carrier.example>", phone.number());
            phone.call(now, number, &from, &[]);
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
        self.world.with(id, Phone::die);
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
            1 => "0312345678".to_owned(),
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

    /// Nothing goes between one phone and the service for a while, voice neither.
    fn part(&mut self) {
        let id = if self.chance.below(2) == 0 { self.caller() } else { self.counselor().0 };
        let span = Duration::from_millis(500 + self.chance.below(12_000));
        self.note(format_args!("{id:?} is cut off for {span:?}"));
        self.world.cut_off(id, span);
    }

    /// Nothing goes between one of the trunks and the service for a while.
    fn part_trunk(&mut self) {
        let is_second = self.chance.below(2) == 0;
        let span = Duration::from_millis(500 + self.chance.below(12_000));
        self.note(format_args!("a trunk is cut off for {span:?}, the second: {is_second}"));
        for id in self.callers.clone() {
            let IpAddr::V4(ip) = self.world.phones[id.0].sip.ip() else { continue };
            if (ip.octets()[3] >= town::SECOND_TRUNK) == is_second {
                self.world.cut_off(id, span);
            }
        }
    }

    /// The network says that a phone's address can't be reached: rightly, for a while, whenever
    /// something is sent there; or once, and wrongly.
    fn refuse_packets(&mut self) {
        let id = if self.chance.below(4) == 0 { self.caller() } else { self.counselor().0 };
        if self.chance.below(2) == 0 {
            let longest = if self.is_long { 120_000 } else { 12_000 };
            let span = Duration::from_millis(500 + self.chance.below(longest));
            self.note(format_args!("{id:?} can't be reached for {span:?}, as the network says"));
            self.world.take_away(id, span);
            return;
        }
        self.note(format_args!("{id:?} can't be reached, says the network"));
        let address = self.world.phones[id.0].sip;
        self.world.fail_flow(address);
    }

    /// By up to two hours, or by a day.
    fn step_wall(&mut self) {
        let minutes = match self.chance.below(4) {
            0 => 24 * 60,
            1 => -24 * 60,
            _ => self.chance.below(240) as i64 - 120,
        };
        let step = chrono::Duration::minutes(minutes);
        self.note(format!("the wall clock steps by {step}"));
        self.world.wall += step;
    }

    fn reload(&mut self) {
        self.note("reload");
        self.configure(self.toml.clone());
    }

    /// An operator changes what is there; another process goes on with that, too.
    fn edit(&mut self) {
        let toml = town::edited(&self.toml, &mut self.chance, self.is_long);
        self.note(format_args!("an operator edits: {}", town::changes(&self.toml, &toml)));
        self.configure(toml);
    }

    fn configure(&mut self, toml: String) {
        let loaded = config::load(&toml);
        if toml != self.toml {
            self.world.life.old.push(std::mem::replace(&mut self.toml, toml.clone()));
        }
        self.world.life.toml = toml;
        let command = Command::Configure(Arc::new(loaded.call), Box::new(loaded.sip));
        self.world.command(command);
    }

    fn open_or_close(&mut self) {
        let line = LineId::from(if self.chance.below(2) == 0 { "main" } else { "other" });
        let over = if self.chance.below(2) == 0 { Override::Auto } else { Override::Closed(None) };
        self.note(format_args!("{line} from now on: {over:?}"));
        self.by_hand.insert(line.clone());
        self.world.command(Command::Override { line, over });
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

    /// The database is locked or full: records wait.
    fn fail_database(&mut self) {
        let span = Duration::from_millis(500 + self.chance.below(12_000));
        self.note(format_args!("the database takes nothing for {span:?}"));
        self.world.fail_database(span);
    }

    /// The journal can't be written.
    fn fail_journal(&mut self) {
        let span = Duration::from_millis(500 + self.chance.below(12_000));
        self.note(format_args!("the journal takes nothing for {span:?}"));
        self.world.fail_journal(span);
    }

    /// A disk fails, and not long after the process is killed.
    fn fail_and_crash(&mut self) {
        match self.chance.below(3) {
            0 => self.fail_journal(),
            1 => self.fail_database(),
            _ => {
                self.fail_journal();
                self.fail_database();
            }
        }
        let callers = 1 + self.chance.below(2);
        (0..callers).for_each(|_| self.dial());
        let pause = Duration::from_millis(self.chance.below(6_000));
        self.world.run(pause);
        if self.chance.below(2) == 0 {
            self.caller_hangs_up();
        }
        self.crash();
    }

    fn drain(&mut self) {
        if self.chance.below(3) == 0 {
            self.note("drain");
            self.world.command(Command::Drain);
        }
    }
}
