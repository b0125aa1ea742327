//! Counselors who ask for help, and the supervisors who are rung for it.
//!
//! Owns who is rung: every supervisor who is ready and can be reached, as many as the configuration
//! allows. The first to answer listens. That somebody asks is the bridge's to keep, ringing is
//! [`Summons`](crate::call::summons::Summons)'s. What rings says who asks, and nothing of the
//! caller.

use super::{Owner, Switchboard};
use crate::call::Call;
use crate::call::board::CounselorState;
use crate::call::bridge::{HelpRing, Turned};
use crate::call::config::{Extension, OnHelp, Role, SupervisionMode};
use crate::call::deed::{Actor, Denial, What};
use crate::call::internal::Confirmed;
use crate::call::summons::For;
use crate::time::Now;

/// What a supervisor's phone shows before the counselor's name.
const HELP: &str = "支援要請";

impl Switchboard {
    /// A counselor has dialed the code for help.
    pub(super) fn turn_help_by_code(&mut self, now: Now, counselor: &Extension) -> Confirmed {
        let Some(key) = self.call_with(counselor) else {
            let who = Actor::Extension(counselor.clone());
            self.denied(who, None, ("help", None), Denial::NotInCall);
            return Confirmed::Refused;
        };
        let mut turned = Turned::On;
        let asked = self.in_bridge_of(now, key, |bridge, cx| {
            turned = bridge.turn_help(cx);
            Ok(())
        });
        match (asked, turned) {
            (Ok(()), Turned::On) => Confirmed::Done,
            (Ok(()), Turned::Off) => Confirmed::TakenBack,
            (Err(_), _) => Confirmed::Refused,
        }
    }

    pub(super) fn ask_help(&mut self, now: Now, key: u64, who: Actor) -> Result<(), Denial> {
        self.in_bridge_of(now, key, |bridge, cx| {
            bridge.ask_help(cx, who);
            Ok(())
        })
    }

    pub(super) fn clear_help(&mut self, now: Now, key: u64, who: Actor) -> Result<(), Denial> {
        self.in_bridge_of(now, key, |bridge, cx| {
            if bridge.clear_help(cx, who) { Ok(()) } else { Err(Denial::NoHelpAsked) }
        })
    }

    /// Whose phones ring for help with the call.
    pub(super) fn rung_for_help(&self, key: u64) -> Vec<Extension> {
        let rings = self.summonses.values().filter(|it| it.call == key && it.by == For::Help);
        rings.flat_map(|it| it.extensions()).collect()
    }

    /// Rings for every call for help that wants it. Where the console rings a supervisor for the
    /// call already, that ring is waited for.
    pub(super) fn ring_for_help(&mut self, now: Now) {
        let wants = |key: &u64| {
            self.bridge(*key).and_then(|it| it.help_ring()) == Some(HelpRing::Wanted)
                && !self.is_awaited(*key)
        };
        for key in self.queues.engaged().filter(wants).collect::<Vec<_>>() {
            let is_supervised = self.bridge(key).is_some_and(|it| it.supervisor().is_some());
            let ring = match self.config.supervision.on_help {
                OnHelp::Ring if !is_supervised => self.ring_supervisors(now, key),
                OnHelp::Ring | OnHelp::Tell => HelpRing::Over,
            };
            self.set_help_ring(key, ring);
        }
    }

    pub(super) fn set_help_ring(&mut self, key: u64, ring: HelpRing) {
        self.touch(Owner::Call(key));
        if let Some(bridge) = self.calls.get_mut(&key).and_then(Call::bridge_mut) {
            bridge.set_help_ring(ring);
        }
    }

    /// Rings every free supervisor at once, and tells whom.
    fn ring_supervisors(&mut self, now: Now, key: u64) -> HelpRing {
        let supervisors = match self.mode_of_help() {
            Some(mode) => {
                let name = self.name_of_counselor(key).unwrap_or_default();
                let name = format!("{HELP} {name}");
                let free = self.free_supervisors(now, key);
                let phones = free.iter().flat_map(|it| self.summons_invites(now, key, &name, it));
                let phones = phones.collect();
                self.start_summons(now, For::Help, mode, key, phones)
            }
            None => Vec::new(),
        };
        let ring = if supervisors.is_empty() { HelpRing::Over } else { HelpRing::On };
        self.tell_of(key, Actor::System, What::HelpRung { supervisors });
        ring
    }

    /// How who answers takes part: the least that is allowed.
    fn mode_of_help(&self) -> Option<SupervisionMode> {
        self.config.supervision.modes.iter().min().copied()
    }

    /// Who is rung for help with the call, in the configuration's order.
    fn free_supervisors(&self, now: Now, key: u64) -> Vec<Extension> {
        let busy = self.activities();
        let own = self.bridge(key).map(|bridge| &bridge.extension);
        let is_free = |extension: &Extension| {
            let kept = self.counselors.get(extension);
            let state = kept.map(|it| it.state(busy.get(extension).copied()));
            state == Some(CounselorState::Ready) && self.has_target(now, extension)
        };
        let all = self.config.counselors.iter().filter(|(_, c)| c.role == Role::Supervisor);
        let mut free: Vec<_> = all
            .filter(|(extension, _)| Some(*extension) != own && is_free(extension))
            .map(|(extension, c)| (c.order, extension.clone()))
            .collect();
        free.sort();
        let free = free.into_iter().map(|(_, extension)| extension);
        free.take(self.config.supervision.help_ring_max).collect()
    }
}
