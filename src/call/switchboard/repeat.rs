//! "Not tonight": a supervisor has a caller who is in a call not connected again for a while.
//!
//! Owns who may, what is told of it, and when it is over. How a caller is known again without a
//! name is [`Repeat`]'s.

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Switchboard, Timer};
use crate::call::deed::{Actor, Deed, Denial, What};
use crate::call::io::Output;
use crate::call::journal::Unreadable;
use crate::call::kept;
use crate::call::repeat::{Generation, Repeat};
use crate::sip::kept::read;
use crate::time::{Anchor, Now};

impl Switchboard {
    /// The caller of this call is not to be connected again; the call itself goes on.
    pub(super) fn limit_caller(&mut self, now: Now, key: u64, who: Actor) -> Result<(), Denial> {
        let call = self.calls.get(&key).ok_or(Denial::UnknownCall)?;
        let is_trial = call.record.is_trial();
        let number = call.number.as_ref().filter(|_| !is_trial).ok_or(Denial::NoNumber)?;
        let added = self.repeat.add(now.mono, number, &self.config.repeat, &mut self.chance);
        added.map_err(|_| Denial::TooManyLimits)?;
        let counselor = call.bridge().map(|bridge| bridge.extension.clone());
        let deed = Deed { who, call: Some(call.id.clone()), counselor, what: What::Limited };
        self.out.push_back(Output::Deed(deed));
        self.mind_repeat(now);
        Ok(())
    }

    /// Everybody may be connected again.
    pub(super) fn lift_limits(&mut self, now: Now, who: Actor) {
        let what = What::LimitsLifted(self.repeat.lift());
        self.out.push_back(Output::Deed(Deed { who, call: None, counselor: None, what }));
        self.mind_repeat(now);
    }

    /// Forgets what is over, and plans when to look again.
    pub(super) fn mind_repeat(&mut self, now: Now) {
        self.repeat.expire(now.mono);
        match self.repeat.due() {
            Some(at) => self.timers.set(Timer::Repeat, at),
            None => self.timers.clear(&Timer::Repeat),
        }
        self.is_dirty = true;
        self.touch_repeat();
    }

    pub(super) fn restore_repeat(
        &mut self,
        now: Now,
        anchor: &Anchor,
        bytes: &Bytes,
    ) -> Result<(), Unreadable> {
        let form: kept::Repeat = read(bytes)?;
        self.repeat = Repeat::default();
        for kept::Generation { key, dies, tokens } in form.generations {
            let tokens = tokens.into_iter().map(|(token, at)| (token, anchor.instant(at)));
            self.repeat.take_up(Generation {
                key: Zeroizing::new(key),
                dies: anchor.instant(dies),
                tokens: tokens.collect(),
            });
        }
        self.mind_repeat(now);
        Ok(())
    }
}

/// As it is kept; `None`: there is nothing to keep.
pub(super) fn keep(repeat: &Repeat, anchor: &Anchor) -> Option<kept::Repeat> {
    let generations = repeat.generations().iter().map(|it| kept::Generation {
        key: *it.key,
        dies: anchor.nanos(it.dies),
        tokens: it.tokens.iter().map(|(token, at)| (*token, anchor.nanos(*at))).collect(),
    });
    let generations: Vec<_> = generations.collect();
    (!generations.is_empty()).then_some(kept::Repeat { generations })
}
