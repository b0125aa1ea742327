//! How time passes in a world: from one thing that happens to the next.
//!
//! Owns what is due when, and the ticks of voice. Hours in which nobody is heard cost nothing: their
//! ticks change nothing, and are left out. What happens then is whoever's it is.

use std::time::{Duration, Instant};

use koebashi::call::switchboard::Input;

use super::phone::Phone;
use super::world::World;

/// How often a packet of voice is due.
pub(super) const TICK: Duration = Duration::from_millis(20);

impl World {
    /// Moves time on.
    pub(crate) fn run(&mut self, span: Duration) {
        // What somebody was made to say since the last step goes out at once.
        self.flush();
        let until = self.now + span;
        while let Some(at) = self.next_event().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = until;
        self.skip_ticks();
    }

    /// Moves time on until the claim holds; panics when it does not within `limit`.
    pub(crate) fn until(&mut self, what: &str, limit: Duration, claim: impl Fn(&Self) -> bool) {
        self.flush();
        let until = self.now + limit;
        while !claim(self) {
            match self.next_event().filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.step();
                }
                None => panic!("not within {limit:?}: {what}\n{}", self.story()),
            }
        }
    }

    fn next_event(&self) -> Option<Instant> {
        let phones = self.phones.iter().filter_map(Phone::poll_timeout);
        let board = match self.life.back_at() {
            Some(at) => Some(at),
            None => self.board.poll_timeout().map(|(at, _)| at),
        };
        let parcel = self.parcels.keys().next().map(|(at, _)| *at);
        let disk = self.life.disks.next();
        let tick = self.is_voiced().then_some(self.next_tick);
        phones.chain(board).chain(parcel).chain(disk).chain(tick).min()
    }

    fn step(&mut self) {
        self.skip_ticks();
        let now = self.now;
        while let Some(entry) = self.parcels.first_entry()
            && entry.key().0 <= now
        {
            let parcel = entry.remove();
            self.deliver(parcel);
        }
        for phone in &mut self.phones {
            if phone.poll_timeout().is_some_and(|at| at <= now) {
                phone.on_time(now);
            }
        }
        if self.life.disks.next().is_some_and(|at| at <= now) {
            self.catch_up();
        }
        if self.life.back_at().is_some_and(|at| at <= now) {
            self.come_back();
        }
        if self.board.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.input(Input::Timeout);
        }
        if self.next_tick <= now {
            self.next_tick += TICK;
            self.tick();
        }
        self.flush();
        self.meet_again();
        self.skip_ticks();
    }

    /// Whether a tick may change anything.
    fn is_voiced(&self) -> bool {
        self.open_ports() > 0 || self.phones.iter().any(Phone::speaks)
    }

    /// The next tick is where it would be had none been left out.
    fn skip_ticks(&mut self) {
        if self.next_tick < self.now && !self.is_voiced() {
            let span = self.now - self.started();
            let count = span.as_nanos().div_ceil(TICK.as_nanos());
            self.next_tick = self.started() + TICK * u32::try_from(count).expect("days at most");
        }
    }

    fn tick(&mut self) {
        self.engine.tick(self.now);
        let mut packets = Vec::new();
        for phone in &mut self.phones {
            let from = phone.rtp;
            packets.extend(phone.packet(self.now).map(|(to, bytes)| (from, to, bytes)));
        }
        for (from, to, bytes) in packets {
            self.post_voice(from, to, &bytes);
        }
    }
}
