//! The small world and what may be done in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use koebashi::call::board::{Chooser, CounselorState, PhaseName};
use koebashi::call::config::Extension;
use koebashi::call::deed::Request;
use koebashi::call::intention::Intention;
use koebashi::config::Loaded;

use crate::sim::phone::{Answer, PhoneCall};
use crate::sim::{PhoneId, World};

/// After each choice: the board is drawn four times a second.
const MOMENT: Duration = Duration::from_millis(260);
/// How long time alone is given to change something: longer than a caller waits at most.
const PATIENCE: Duration = Duration::from_secs(32);

/// A choice. What a phone says is on its way until it is delivered, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A caller dials.
    Arrive(usize),
    /// A caller hangs up, in whatever phase.
    Leave(usize),
    /// A counselor's phone is picked up.
    Answer(usize),
    /// A counselor declines.
    Decline(usize),
    /// A counselor hangs up.
    HangUp(usize),
    /// A counselor's phone is gone, without a word.
    Vanish(usize),
    /// A counselor wants a pause.
    Pause(usize),
    /// A counselor is back from it.
    Ready(usize),
    /// What a phone has said arrives.
    Deliver(PhoneId),
    /// Nothing is done until something happens by itself.
    Time,
}

/// The callers' phones: those of the counselors are the first two.
pub(crate) const FIRST: PhoneId = PhoneId(2);
pub(crate) const SECOND: PhoneId = PhoneId(3);

/// The world and what was done in it.
pub(super) struct Small {
    world: World,
    callers: Vec<PhoneId>,
    counselors: Vec<(PhoneId, &'static str)>,
    way: Vec<Act>,
    /// What each phone has said that has not arrived.
    said: BTreeMap<PhoneId, Vec<Act>>,
}

/// The way to whatever is wrong.
impl Drop for Small {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("THE WAY: {:?}", self.way);
        }
    }
}

impl Small {
    pub(super) fn new(loaded: &Loaded, toml: &str, callers: usize) -> Self {
        let mut world = World::of(loaded.clone(), toml, BTreeMap::new(), 1);
        let counselors = [("101", 0x51), ("102", 0x52)].map(|(extension, voice)| {
            let id = world.add_counselor(extension, voice);
            world.phone(id).answer = Answer::Never;
            (id, extension)
        });
        let callers = (1..=callers as u8).map(|n| world.add_caller(n, 0x20 + n)).collect();
        let (way, said) = (Vec::new(), BTreeMap::new());
        Self { world, callers, counselors: counselors.to_vec(), way, said }
    }

    fn last(&self, id: PhoneId) -> Option<&PhoneCall> {
        self.world.phones[id.0].calls.last()
    }

    /// The latest call, while it has no end on this side.
    fn live(&self, id: PhoneId) -> Option<&PhoneCall> {
        self.last(id).filter(|call| call.ended.is_none() && !call.is_hung_up)
    }

    fn times(&self, act: Act) -> usize {
        self.way.iter().filter(|done| **done == act).count()
    }

    /// Everything that may be done now.
    pub(super) fn choices(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for (n, id) in self.callers.iter().enumerate() {
            let is_next = n == 0 || self.last(self.callers[n - 1]).is_some();
            if self.last(*id).is_none() && is_next {
                acts.push(Act::Arrive(n));
            }
            if self.live(*id).is_some() {
                acts.push(Act::Leave(n));
            }
        }
        let vanished = self.way.iter().any(|done| matches!(done, Act::Vanish(_)));
        for (n, (id, extension)) in self.counselors.iter().enumerate() {
            if !self.world.phones[id.0].is_alive {
                continue;
            }
            match self.live(*id).map(|call| call.is_up) {
                Some(true) => acts.push(Act::HangUp(n)),
                Some(false) => {
                    acts.push(Act::Answer(n));
                    if self.times(Act::Decline(n)) == 0 {
                        acts.push(Act::Decline(n));
                    }
                }
                None => {}
            }
            if !vanished {
                acts.push(Act::Vanish(n));
            }
            let is_paused = matches!(
                self.world.intentions.get(&Extension::from(*extension)),
                Some(Intention::Paused(_))
            );
            if is_paused {
                acts.push(Act::Ready(n));
            } else if self.times(Act::Pause(n)) == 0 {
                acts.push(Act::Pause(n));
            }
        }
        acts.extend(self.said.keys().map(|id| Act::Deliver(*id)));
        if self.said.is_empty() {
            acts.push(Act::Time);
        }
        acts
    }

    /// Does all this, and looks after each whether all promises hold.
    pub(super) fn go(&mut self, way: &[Act]) {
        for act in way {
            self.way.push(*act);
            if *act == Act::Time {
                self.wait();
            } else {
                self.act(*act);
                self.world.run(MOMENT);
            }
            self.check();
        }
    }

    fn wait(&mut self) {
        let (before, until) = (self.state(), self.world.now + PATIENCE);
        while self.state() == before && self.world.now < until {
            self.world.run(MOMENT * 2);
        }
    }

    fn act(&mut self, act: Act) {
        let who = match act {
            Act::Arrive(n) | Act::Leave(n) => self.callers[n],
            Act::Answer(n) | Act::Decline(n) | Act::HangUp(n) | Act::Vanish(n) => {
                self.counselors[n].0
            }
            Act::Pause(n) => return self.intend(n, Intention::Paused(String::new())),
            Act::Ready(n) => return self.intend(n, Intention::Ready),
            Act::Deliver(id) => {
                self.said.remove(&id);
                self.world.phone(id).is_held = false;
                return self.world.with(id, |_, _| ());
            }
            Act::Time => return,
        };
        if let Act::Vanish(_) = act {
            self.said.remove(&who);
            self.world.phone(who).is_alive = false;
            return;
        }
        self.said.entry(who).or_default().push(act);
        self.world.phone(who).is_held = true;
        let session = self.last(who).map(|call| call.session);
        self.world.with(who, |phone, now| match (act, session) {
            (Act::Arrive(_), _) => {
                let from = format!("<sip:{}@carrier.example>", phone.number());
                phone.call(now, "0570000000", &from, &[]);
            }
            (Act::Answer(_), Some(session)) => phone.answer_now(now, session),
            (Act::Decline(_), Some(session)) => phone.decline(now, session),
            _ => phone.hang_up(now),
        });
    }

    fn intend(&mut self, n: usize, intention: Intention) {
        let extension = Extension::from(self.counselors[n].1);
        let done = self.world.ask(Request::Intend { extension, intention, by: Chooser::Own });
        assert_eq!(done, Ok(()));
    }

    fn check(&self) {
        self.world.check();
        self.world.check_service();
        // Who came first is first, unless a counselor was lost: then the one who talked is.
        let waiting = self.world.shown.calls.iter().filter_map(|call| call.position);
        let places: Vec<_> = waiting.collect();
        let is_lost = self.way.iter().any(|act| matches!(act, Act::Vanish(_)));
        assert!(is_lost || places.is_sorted(), "{places:?}\n{}", self.world.story());
    }

    /// Everything arrives, everybody hangs up, and nothing is left.
    pub(super) fn come_to_rest(&mut self) {
        for id in std::mem::take(&mut self.said).into_keys() {
            self.world.phone(id).is_held = false;
        }
        for (id, _) in &self.counselors {
            self.world.phone(*id).answer = Answer::Refuses(486);
        }
        self.world.let_all_go();
        self.world.check_secrets();
    }

    /// What can be seen of the world: two that look the same are the same for the model.
    pub(super) fn state(&self) -> String {
        let mut text = String::new();
        let stage = |id: PhoneId| {
            let call = self.last(id).map(|c| (c.is_up, c.is_hung_up, c.ended.is_some()));
            format!("{call:?}{:?}", self.said.get(&id))
        };
        for id in &self.callers {
            write!(text, "{};", stage(*id)).expect("a string takes it");
        }
        for (n, (id, extension)) in self.counselors.iter().enumerate() {
            let mut board = self.world.shown.counselors.iter();
            let view = board.find(|view| &*view.extension.0 == *extension).expect("on the board");
            let is_alive = self.world.phones[id.0].is_alive;
            let (state, missed, taken) = (view.state.name(), view.missed, view.taken);
            let done = (self.times(Act::Decline(n)), self.times(Act::Pause(n)));
            write!(text, "{}{is_alive}{state}{missed},{taken}{done:?};", stage(*id))
                .expect("a string takes it");
        }
        for call in &self.world.shown.calls {
            write!(text, "{}{:?}{:?};", call.phase.name(), call.position, call.counselors)
                .expect("a string takes it");
        }
        let sessions = self.world.board.counts().sessions;
        write!(text, "{sessions},{}", self.world.open_ports()).expect("a string takes it");
        text
    }

    /// Whether two talk.
    pub(super) fn is_joined(&self) -> bool {
        let talks = |state: &CounselorState| *state == CounselorState::Talking;
        self.world.shown.calls.iter().any(|call| call.phase == PhaseName::Bridge)
            && self.world.shown.counselors.iter().any(|view| talks(&view.state))
    }
}
