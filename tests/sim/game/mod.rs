//! A random world: who lives in it and what they do, by a seed, move by move.
//!
//! Each move has a chance of its own, so that the others stay as they are when one is left out: a
//! story that ends badly can be told shorter. The checks after each move are `sim::invariants`.

mod actions;
mod hourly;
mod hours;
pub(crate) mod shrink;
mod town;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::config::{Extension, LineId};
use koebashi::call::intention::Intention;
use koebashi::chance::Chance;

use crate::sim::World;
use crate::sim::link::Fate;
use crate::sim::phone::{Answer, PhoneId};
use actions::{ACTIONS, LONG_ACTIONS};
use hours::Hours;

const S: Duration = Duration::from_secs(1);
/// Every so many worlds one lives for hours.
pub(crate) const LONG_EVERY: u64 = 25;
/// In a long pause everything is looked at so often.
const LOOK: Duration = Duration::from_secs(10);

/// One thing that is done, and how long nothing is done after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// Which of all actions, modulo their number.
    pub action: u64,
    /// Where its chance begins: who does it, and how.
    pub seed: u64,
    /// How long nothing is done then.
    pub pause: Duration,
}

/// Whether the world of this seed lives for hours: registrations end, lines close and open again.
pub(crate) fn is_long(seed: u64) -> bool {
    seed % LONG_EVERY == LONG_EVERY - 1
}

/// What is done in the world of this seed.
pub(crate) fn moves(seed: u64) -> Vec<Move> {
    let mut chance = Chance::from_number(seed ^ 0x6d6f_7665);
    let is_long = is_long(seed);
    let count = if is_long { 30 + chance.below(40) } else { 8 + chance.below(16) };
    let mut next = || Move {
        action: chance.u64(),
        seed: chance.u64(),
        pause: Duration::from_millis(if is_long { long(&mut chance) } else { chance.below(3000) }),
    };
    (0..count).map(|_| next()).collect()
}

/// A pause in a world that lives for hours, in milliseconds: mostly things happen one upon the
/// other, and then nothing for long.
fn long(chance: &mut Chance) -> u64 {
    let most = match chance.below(10) {
        0..4 => 4_000,
        4..7 => 40_000,
        7..9 => 240_000,
        _ => 1_200_000,
    };
    chance.below(most)
}

/// One of few towns, so that programs of moves have something to learn from each.
pub(crate) fn seed_of_town(n: u8) -> u64 {
    u64::from(n % 16)
}

/// A world and whoever plays with it.
pub(crate) struct Game {
    pub world: World,
    chance: Chance,
    callers: Vec<PhoneId>,
    /// Each with the extension.
    counselors: Vec<(PhoneId, String)>,
    is_down: Rc<Cell<bool>>,
    /// The configuration in force.
    pub toml: String,
    /// What was done, for the story.
    pub done: Vec<String>,
    is_long: bool,
    /// When the lines are open; without: always.
    hours: BTreeMap<LineId, Hours>,
    /// Lines that a person has opened or closed: the hours say nothing of them.
    by_hand: BTreeSet<LineId>,
    /// How many records were judged by the hours.
    pub judged: usize,
}

impl Game {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::from_number(seed ^ 0x6b6f_6562);
        let is_long = is_long(seed);
        let counselors = 1 + chance.below(4);
        let (toml, hours) = town::configuration(&mut chance, counselors, is_long);
        let mut world = World::restarted(&toml, BTreeMap::new(), seed);
        let counselors = (1..=counselors).map(|n| {
            let extension = (100 + n).to_string();
            (world.add_counselor(&extension, 0x50 + n as u8), extension)
        });
        let counselors = counselors.collect();
        let callers = 2 + chance.below(5);
        let callers = (1..=callers as u8).map(|n| {
            let place = if n % 2 == 0 { town::SECOND_TRUNK + n } else { n };
            world.add_caller(place, 0x20 + n)
        });
        let callers = callers.collect();
        let is_down = Rc::new(Cell::new(false));
        let (down, mut luck, bad) = (Rc::clone(&is_down), chance.split(), chance.below(3) * 15);
        world.link.fate = Box::new(move |_| match luck.below(1000) {
            _ if down.get() => Fate::Lost,
            n if n < bad => Fate::Lost,
            n if n < 2 * bad => Fate::Doubled,
            n if n < 3 * bad => Fate::Late(Duration::from_millis(400)),
            _ => Fate::Arrives,
        });
        world.link.voice_loss = if chance.below(4) == 0 { 30 } else { 0 };
        world.link.voice_disorder = if chance.below(4) == 0 { 15 } else { 0 };
        let mut game = Self {
            world,
            chance,
            callers,
            counselors,
            is_down,
            toml,
            done: Vec::new(),
            is_long,
            hours,
            by_hand: BTreeSet::new(),
            judged: 0,
        };
        if is_long {
            game.settle_down();
        }
        game
    }

    /// Phones as they are where there is time: with session timers that are refreshed or not, and
    /// people who hang up in the end.
    fn settle_down(&mut self) {
        for phone in &mut self.world.phones {
            phone.session_expires = match self.chance.below(4) {
                0 => None,
                1 => Some(300 * S),
                _ => Some(90 * S),
            };
            phone.is_forgetful = self.chance.below(4) == 0;
            phone.patience = Some(Duration::from_secs(match self.chance.below(10) {
                0..5 => 5 + self.chance.below(30),
                5..9 => 40 + self.chance.below(80),
                _ => 180 + self.chance.below(180),
            }));
        }
    }

    /// Plays the moves, and lets everybody hang up.
    pub(crate) fn play(&mut self, moves: &[Move]) {
        let actions = if self.is_long { LONG_ACTIONS } else { ACTIONS };
        for one in moves {
            self.chance = Chance::from_number(one.seed);
            actions[(one.action % actions.len() as u64) as usize](self);
            self.rest(one.pause);
        }
        if self.is_long {
            self.wait_until_all_is_well();
        }
        self.everyone_hangs_up();
        self.world.come_to_rest();
        self.world.check_secrets();
        // Phones that were left alone are tried again, wrap-ups end.
        self.world.run(45 * S);
        while self.is_long && self.takes_anybody_notes() {
            self.world.run(45 * S);
        }
        self.check_free();
    }

    /// What fails for minutes works again: networks, disks, the process.
    fn wait_until_all_is_well(&mut self) {
        self.world.link.cut.clear();
        while self.world.life.is_dead() || self.world.life.disks.fails() {
            self.rest(LOOK);
        }
    }

    /// Does nothing for a while, and looks now and then whether all is well.
    fn rest(&mut self, mut pause: Duration) {
        loop {
            let span = pause.min(LOOK);
            self.world.run(span);
            self.world.check();
            self.world.check_service();
            self.check_hours();
            pause -= span;
            if pause.is_zero() {
                return;
            }
        }
    }

    /// Nobody is let in by a line that is closed, nor told by an open one that it is.
    pub(crate) fn check_hours(&mut self) {
        let new = &self.world.cdrs[self.judged..];
        self.judged = self.world.cdrs.len();
        let deaths = self.world.life.deaths;
        for cdr in new {
            let Some(line) = cdr.line.as_ref().filter(|line| !self.by_hand.contains(line)) else {
                continue;
            };
            let wrong =
                self.hours.get(line).and_then(|it| it.judge(cdr, &*line.0 == "main", deaths));
            assert!(wrong.is_none(), "{wrong:?}\n{}", self.world.story());
        }
    }

    /// Whether somebody still has time for notes, which ends by itself.
    fn takes_anybody_notes(&self) -> bool {
        let counselors = &self.world.shown.counselors;
        counselors.iter().any(|counselor| counselor.state == CounselorState::WrapUp)
    }

    /// Whoever is on duty and has a phone is free in the end.
    fn check_free(&self) {
        for (id, extension) in &self.counselors {
            let phone = &self.world.phones[id.0];
            let chosen = self.world.intentions.get(&Extension::from(extension.as_str()));
            let is_unknown = self.world.registration_lost(*id);
            if !phone.is_alive || !phone.is_registered() || is_unknown {
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
}
