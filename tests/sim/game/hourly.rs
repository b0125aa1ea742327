//! What may be done only to a world that lives for hours.

use std::time::Duration;

use koebashi::call::config::{LineId, Override};
use koebashi::call::switchboard::Command;

use super::{Game, S};
use crate::sim::phone::{Phone, PhoneId};

impl Game {
    /// Several callers at once: somebody has to wait.
    pub(super) fn dial_all(&mut self) {
        for _ in 0..self.callers.len() {
            self.dial();
            self.world.run(Duration::from_millis(self.chance.below(3_000)));
        }
    }

    /// Callers come in the last minute before a line closes, if that is not too far off.
    pub(super) fn dial_before_closing(&mut self) {
        let board = &self.world.shown;
        let closings = board.lines.iter().filter(|line| line.open);
        let closings = closings.filter_map(|line| (line.changes_at? - board.at).to_std().ok());
        let minute = Duration::from_secs(1 + self.chance.below(60));
        if let Some(span) = closings.min().filter(|span| *span < 2400 * S) {
            self.note(format_args!("nothing happens until {minute:?} before a line closes"));
            self.rest(span.saturating_sub(minute));
            self.dial_all();
        }
    }

    /// A phone is switched on again, dead or not.
    pub(super) fn restart_phone(&mut self) {
        let id = match self.world.phones.iter().position(|phone| !phone.is_alive) {
            Some(dead) => PhoneId(dead),
            None => self.anyone(),
        };
        self.note(format_args!("{id:?} is switched on again"));
        self.world.with(id, Phone::restart);
    }

    /// A counselor's phone forgets that it is registered, and to register again.
    pub(super) fn forget_registration(&mut self) {
        let (id, extension) = self.counselor();
        self.note(format_args!("{extension} never registers again"));
        self.world.with(id, |phone, _| phone.forget_registration());
    }

    /// Nothing goes between a phone and the service for longer than a registration lasts, perhaps.
    pub(super) fn part_for_long(&mut self) {
        let id = self.anyone();
        let span = Duration::from_secs(60 + self.chance.below(600));
        self.note(format_args!("{id:?} is cut off for {span:?}"));
        self.world.cut_off(id, span);
    }

    /// A person opens or closes a line for some minutes, or leaves it to its hours again.
    pub(super) fn open_or_close_for_a_while(&mut self) {
        let line = LineId::from(if self.chance.below(2) == 0 { "main" } else { "other" });
        let since = chrono::Duration::from_std(self.world.now - self.world.started());
        let now = self.world.wall + since.expect("hours at most");
        let until = now + chrono::Duration::minutes(5 + self.chance.below(60) as i64);
        let over = match self.chance.below(3) {
            0 => Override::Auto,
            1 => Override::Open(Some(until)),
            _ => Override::Closed(Some(until)),
        };
        self.note(format_args!("{line} from now on: {over:?}"));
        self.by_hand.insert(line.clone());
        self.world.command(Command::Override { line, over });
    }

    /// `kill -9`, and nobody starts the next process for minutes: what was due is overdue then.
    pub(super) fn crash_for_long(&mut self) {
        let dead_for = Duration::from_secs(5 + self.chance.below(400));
        self.note(format_args!("killed, dead for {dead_for:?}"));
        self.world.crash(dead_for);
    }

    /// A disk takes nothing for minutes.
    pub(super) fn fail_for_long(&mut self) {
        let span = Duration::from_secs(30 + self.chance.below(600));
        let is_database = self.chance.below(3) > 0;
        self.note(format_args!("a disk takes nothing for {span:?}, the database: {is_database}"));
        match is_database {
            true => self.world.fail_database(span),
            false => self.world.fail_journal(span),
        }
    }

    fn anyone(&mut self) -> PhoneId {
        if self.chance.below(2) == 0 { self.caller() } else { self.counselor().0 }
    }
}
