//! A random world: who lives in it and what they do, by a seed, move by move.
//!
//! Each move has a chance of its own, so that the others stay as they are when one is left out: a
//! story that ends badly can be told shorter. The checks after each move are `sim::invariants`.

mod actions;
pub(crate) mod shrink;
mod town;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::config::Extension;
use koebashi::call::intention::Intention;
use koebashi::chance::Chance;

use crate::sim::World;
use crate::sim::link::Fate;
use crate::sim::phone::{Answer, PhoneId};
use actions::ACTIONS;

const S: Duration = Duration::from_secs(1);

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

/// What is done in the world of this seed.
pub(crate) fn moves(seed: u64) -> Vec<Move> {
    let mut chance = Chance::from_number(seed ^ 0x6d6f_7665);
    let count = 8 + chance.below(16);
    let mut next = || Move {
        action: chance.u64(),
        seed: chance.u64(),
        pause: Duration::from_millis(chance.below(3000)),
    };
    (0..count).map(|_| next()).collect()
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
}

impl Game {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::from_number(seed ^ 0x6b6f_6562);
        let counselors = 1 + chance.below(4);
        let toml = town::configuration(&mut chance, counselors);
        let mut world = World::restarted(&toml, std::collections::BTreeMap::new(), seed);
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
        Self { world, chance, callers, counselors, is_down, toml, done: Vec::new() }
    }

    /// Plays the moves, and lets everybody hang up.
    pub(crate) fn play(&mut self, moves: &[Move]) {
        for one in moves {
            self.chance = Chance::from_number(one.seed);
            ACTIONS[(one.action % ACTIONS.len() as u64) as usize](self);
            self.world.run(one.pause);
            self.world.check();
            self.world.check_service();
        }
        self.everyone_hangs_up();
        self.world.come_to_rest();
        self.world.check_secrets();
        // Phones that were left alone are tried again, wrap-ups end.
        self.world.run(45 * S);
        self.check_free();
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
