//! A bridge that outlives the process.
//!
//! Owns the way from a bridge to its kept form and back, and what it does when a port can't be
//! opened again.

use super::{Bridge, Cx, Help, HelpRing, Keypad, Next, Pulse};
use crate::call::closing;
use crate::call::config::{Extension, SILENCE};
use crate::call::deed::{Actor, Why};
use crate::call::io::CallTimer;
use crate::call::kept::{self, Word};
use crate::call::leg::Leg;
use crate::call::supervision::Supervision;
use crate::media::{Keys, PortId};
use crate::time::Anchor;

impl Bridge {
    /// What is kept of it; `None`: the counselor is gone.
    pub(in crate::call) fn keep(&self, anchor: &Anchor) -> Option<kept::Bridge> {
        let supervision = self.supervision.as_ref().and_then(|it| {
            Some(kept::Supervision {
                extension: it.extension.to_string(),
                mode: Word(it.mode),
                since: anchor.nanos(it.since()?),
                leg: it.leg.keep()?,
            })
        });
        Some(kept::Bridge {
            extension: self.extension.to_string(),
            leg: self.leg.keep()?,
            transfer: self.transfer.is_some(),
            supervision,
            help: self.help.map(|help| kept::Help {
                since: anchor.nanos(help.since),
                rings: help.ring != HelpRing::Over,
            }),
        })
    }

    /// Goes on with it. The counselor who wanted to hand the caller on is told that it failed.
    pub(in crate::call) fn restore(
        cx: &mut Cx<'_, '_>,
        extension: Extension,
        leg: Leg,
        supervision: Option<Supervision>,
        help: Option<(std::time::Instant, bool)>,
        was_transferring: bool,
    ) -> Self {
        let help = help.map(|(since, rings)| {
            let ring = if rings { HelpRing::Wanted } else { HelpRing::Over };
            Help { since, ring }
        });
        // Whether the phone is still there is not known: it is asked, unless it is heard first. One
        // that holds is not expected to be heard, and may have to connect again.
        let (pulse, ask_after) = match leg.holds_us() {
            true => (Pulse::Holds, cx.config.limits.lost_caller),
            false => (Pulse::Asked, SILENCE),
        };
        let mut bridge = Self {
            extension,
            leg,
            ears: Default::default(),
            pulse,
            transfer: None,
            supervision,
            help,
            keypad: Keypad::default(),
            keys: Keys::default(),
            missed: Vec::new(),
        };
        bridge.tune_again(cx);
        cx.io.set(CallTimer::Probe, ask_after);
        closing::set(cx);
        // The audit trail may have missed it: it is told again.
        bridge.go_on_watching(cx);
        if was_transferring {
            bridge.notify(cx.io, "SIP/2.0 480 Temporarily Unavailable", true);
        }
        bridge
    }

    /// The media plane has forgotten who hears whom.
    pub(in crate::call) fn tune_again(&mut self, cx: &mut Cx<'_, '_>) {
        cx.caller.resume(cx.io);
        cx.caller.detect(cx.io, false);
        let supervisor = self.supervision.as_mut().map(|it| &mut it.leg);
        for leg in [Some(&mut self.leg), supervisor].into_iter().flatten() {
            leg.resume(cx.io);
            leg.take_keys(cx.io);
        }
        self.ears = Default::default();
        self.settle(cx);
    }

    /// A port could not be opened again: another one, a few times, of which the phone is told.
    pub(in crate::call) fn on_open_failed(&mut self, cx: &mut Cx<'_, '_>, port: PortId) -> Next {
        if self.supervisor_port() == Some(port) {
            self.stop_watching(cx, Actor::System, Why::PhoneLost);
            return Next::Stay;
        }
        if self.leg.port() != port {
            return self.in_transfer(cx, |ring, io| ring.on_open_failed(io, port));
        }
        if self.leg.on_open_failed(cx.io).is_err() {
            self.leg.hang_up(cx.io, None);
            return self.counselor_lost(cx);
        }
        self.leg.move_over(cx.io);
        self.tune_again(cx);
        Next::Stay
    }
}
