//! What is due: every timer that runs out goes to whoever set it.

use super::{CallTimer, HOURS_EVERY, Owned, Owner, Switchboard, Timer};
use crate::time::Now;

impl Switchboard {
    pub(super) fn on_timeout(&mut self, now: Now) {
        self.sip.handle_timeout(now.mono);
        self.registrar.handle_timeout(now.mono);
        self.ask_phones(now);
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::Call(owner, timer) => self.on_call_timer(now, owner, timer),
                Timer::WrapUp(extension) => self.end_wrap_up(now, &extension),
                Timer::Phone(extension) => self.look_for_phone(now, &extension),
                Timer::Registration(trunk, n) => self.on_registration_timer(now, &trunk, n),
                Timer::Ping(trunk) => self.ping(now, &trunk),
                Timer::Board => self.draw(now),
                Timer::Trial => self.on_trial_timer(now),
                Timer::Repeat => self.mind_repeat(now),
                Timer::Hours => {
                    self.unsettle();
                    self.timers.set(Timer::Hours, now.mono + HOURS_EVERY);
                }
            }
        }
    }

    fn on_call_timer(&mut self, now: Now, owner: Owner, timer: CallTimer) {
        // Settling reads the timers of those who wait.
        self.unsettle();
        self.with_owner(now, owner, |owned, io| match owned {
            Owned::Call(call) => call.on_timer(io, timer),
            Owned::Internal(internal) => internal.on_timer(io, timer),
            Owned::Summons(summons) => summons.on_timer(io, timer),
            Owned::Rehearsal(rehearsal) => rehearsal.on_timer(io, timer),
        });
    }
}
