//! Supervisors: who may take part in whose call, by code and through the API; counselors who ask
//! for help.
//!
//! Owns what is allowed. What a supervisor hears is the call's. Whatever is refused is told too.

use super::{Owned, Owner, Switchboard, io};
use crate::call::bridge::Bridge;
use crate::call::cdr::{CallId, Whose};
use crate::call::config::{Extension, Role, SupervisionMode};
use crate::call::deed::{Actor, Deed, Denial, Request, What, Why};
use crate::call::internal::{Confirmed, Internal};
use crate::call::io::{Io, Output};
use crate::call::leg::Leg;
use crate::call::summons::{Outcome, Summons};
use crate::call::supervision::Supervision;
use crate::call::{Cx, Next};
use crate::time::Now;

impl Switchboard {
    /// The call in which the extension talks with a caller.
    pub(super) fn call_with(&self, extension: &Extension) -> Option<u64> {
        let mut calls = self.calls.keys();
        calls.find(|key| self.bridge(**key).is_some_and(|b| b.extension == *extension)).copied()
    }

    pub(super) fn bridge(&self, key: u64) -> Option<&Bridge> {
        self.calls.get(&key)?.bridge()
    }

    fn call_named(&self, id: &CallId) -> Option<u64> {
        self.calls.iter().find(|(_, call)| call.id == *id).map(|(key, _)| *key)
    }

    /// Tells of a refusal, and passes it on.
    fn denied(&mut self, who: Actor, key: Option<u64>, asked: &'static str, why: Denial) -> Denial {
        let call = key.and_then(|key| self.calls.get(&key)).map(|call| call.id.clone());
        let counselor = key.and_then(|key| self.bridge(key)).map(|b| b.extension.clone());
        let what = What::Denied { asked, why };
        self.out.push_back(Output::Deed(Deed { who, call, counselor, what }));
        why
    }

    /// Whether the supervisor may take part in this way in the call, as far as it is theirs to.
    fn may_supervise(
        &self,
        key: Option<u64>,
        supervisor: &Extension,
        mode: SupervisionMode,
    ) -> Result<u64, Denial> {
        let role = self.config.counselors.get(supervisor).map(|c| c.role);
        if role.ok_or(Denial::UnknownExtension)? != Role::Supervisor {
            return Err(Denial::NotSupervisor);
        }
        if !self.config.supervision.modes.contains(&mode) {
            return Err(Denial::ModeOff);
        }
        let key = key.ok_or(Denial::NotInCall)?;
        let bridge = self.bridge(key).ok_or(Denial::NotInCall)?;
        if bridge.extension == *supervisor {
            return Err(Denial::OwnCall);
        }
        let is_summoned = self.summonses.values().any(|summons| summons.call == key);
        if bridge.supervisor().is_some() || is_summoned {
            return Err(Denial::Taken);
        }
        Ok(key)
    }

    /// A supervisor has dialed a code. On success their leg is the call's.
    pub(super) fn supervise_by_code(
        &mut self,
        now: Now,
        internal: u64,
        supervisor: &Extension,
        mode: SupervisionMode,
        counselor: &Extension,
    ) -> Result<(), Denial> {
        let found = self.call_with(counselor);
        match self.may_supervise_by_code(found, internal, supervisor, mode, counselor) {
            Ok(key) => {
                let Some(dialed) = self.internals.remove(&internal) else { return Ok(()) };
                self.clear_timers(Owner::Internal(internal));
                self.let_in(now, key, supervisor.clone(), dialed.into_leg(), mode);
                Ok(())
            }
            Err(why) => {
                let who = Actor::Extension(supervisor.clone());
                Err(self.denied(who, found, mode.name(), why))
            }
        }
    }

    fn may_supervise_by_code(
        &self,
        found: Option<u64>,
        internal: u64,
        supervisor: &Extension,
        mode: SupervisionMode,
        counselor: &Extension,
    ) -> Result<u64, Denial> {
        let key = match self.may_supervise(found, supervisor, mode) {
            Err(Denial::NotInCall) if !self.config.counselors.contains_key(counselor) => {
                return Err(Denial::UnknownExtension);
            }
            may => may?,
        };
        if self.activities_besides(Some(internal)).contains_key(supervisor) {
            return Err(Denial::Busy);
        }
        let shard = self.calls.get(&key).map(|call| call.caller.place().shard);
        let dialed = self.internals.get(&internal).map(Internal::shard);
        // Else the call that was meant has ended while the port was opened, and another begun.
        if shard == dialed { Ok(key) } else { Err(Denial::NotInCall) }
    }

    fn let_in(
        &mut self,
        now: Now,
        key: u64,
        supervisor: Extension,
        leg: Leg,
        mode: SupervisionMode,
    ) {
        self.with_owner(now, Owner::Call(key), |owned, io| {
            let Owned::Call(call) = owned else { return };
            leg.adopt(io);
            // Without audio there is nothing to take part with; the leg is hung up.
            let Ok(supervision) = Supervision::answer(io, supervisor, leg, mode) else { return };
            if call.bridge().is_some() {
                let whose = Whose::Supervisor(supervision.extension.clone());
                call.record.takes_part(supervision.leg.port(), whose);
            }
            call.in_bridge(io, |bridge, cx| {
                bridge.supervise(cx, supervision);
                Next::Stay
            });
        });
    }

    /// Somebody asks through the API.
    pub(super) fn on_asked(&mut self, now: Now, request: &Request) -> Result<(), Denial> {
        let (asked, key) = match request {
            Request::Supervise { call, mode, .. } | Request::Switch { call, mode } => {
                (mode.name(), self.call_named(call))
            }
            Request::EndSupervision { call } => ("end", self.call_named(call)),
            Request::AskHelp(counselor) => ("help", self.call_with(counselor)),
            Request::ClearHelp(counselor) => ("help_cleared", self.call_with(counselor)),
            Request::PauseRecording { call, .. } => ("recording", self.call_named(call)),
        };
        let done = match request {
            Request::Supervise { extension, mode, .. } => key
                .ok_or(Denial::UnknownCall)
                .and_then(|key| self.summon(now, key, extension, *mode)),
            Request::Switch { mode, .. } => key.ok_or(Denial::UnknownCall).and_then(|key| {
                self.in_bridge_of(now, key, |b, cx| b.switch(cx, Actor::Console, *mode))
            }),
            Request::EndSupervision { .. } => {
                key.ok_or(Denial::UnknownCall).and_then(|key| self.end_supervision(now, key))
            }
            Request::AskHelp(counselor) => {
                self.of_counselor(key, counselor).and_then(|key| self.ask_help(now, key))
            }
            Request::ClearHelp(counselor) => {
                self.of_counselor(key, counselor).and_then(|key| self.clear_help(now, key))
            }
            Request::PauseRecording { paused, .. } => key
                .ok_or(Denial::UnknownCall)
                .and_then(|key| self.pause_recording(now, key, *paused)),
        };
        done.map_err(|why| self.denied(Actor::Console, key, asked, why))
    }

    fn of_counselor(&self, found: Option<u64>, counselor: &Extension) -> Result<u64, Denial> {
        let is_known = self.config.counselors.contains_key(counselor);
        found.ok_or(if is_known { Denial::NotInCall } else { Denial::UnknownExtension })
    }

    /// Rings a supervisor's phones for a call.
    fn summon(
        &mut self,
        now: Now,
        key: u64,
        supervisor: &Extension,
        mode: SupervisionMode,
    ) -> Result<(), Denial> {
        self.may_supervise(Some(key), supervisor, mode)?;
        if self.activities().contains_key(supervisor) {
            return Err(Denial::Busy);
        }
        let Some(call) = self.calls.get(&key) else { return Err(Denial::UnknownCall) };
        let (shard, codec, id) = (call.caller.place().shard, call.caller.codec(), call.id.clone());
        let Some(counselor) = self.bridge(key).map(|bridge| bridge.extension.clone()) else {
            return Err(Denial::NotInCall);
        };
        let name = self.config.counselors.get(&counselor).map(|c| c.name.replace(['"', '\\'], ""));
        let domain = &self.sip_config.domain;
        let from = format!("\"{}\" <sip:{counselor}@{domain}>", name.unwrap_or_default());
        let candidates = self.invites(now, supervisor, &from, shard, codec);
        if candidates.is_empty() {
            return Err(Denial::Unreachable);
        }
        let summoned = What::Summoned { supervisor: supervisor.clone(), mode };
        let (call, counselor) = (Some(id), Some(counselor));
        let deed = Deed { who: Actor::Console, call, counselor, what: summoned };
        self.out.push_back(Output::Deed(deed));
        let limit = self.config.supervision.ring_timeout;
        let summons_key = self.next_key();
        let mut io: Io<'_> = io!(self, now, Owner::Summons(summons_key));
        let supervisor = supervisor.clone();
        let mut summons = Summons::start(&mut io, supervisor, mode, key, candidates, limit);
        if summons.take_outcome().is_some() {
            self.clear_timers(Owner::Summons(summons_key));
            return Err(Denial::NoPort);
        }
        self.summonses.insert(summons_key, summons);
        Ok(())
    }

    /// A summons is over: the supervisor comes into the call, if it is still as it was.
    pub(super) fn on_summoned(&mut self, now: Now, key: u64, outcome: Outcome) {
        let Some(Summons { supervisor, mode, call, .. }) = self.summonses.remove(&key) else {
            return;
        };
        self.clear_timers(Owner::Summons(key));
        let why = match outcome {
            Outcome::Answered(leg) if self.bridge(call).is_some() => {
                return self.let_in(now, call, supervisor, *leg, mode);
            }
            Outcome::Answered(mut leg) => {
                leg.hang_up(&mut io!(self, now, Owner::Summons(key)), None);
                Why::CallOver
            }
            Outcome::Over(why) => why,
        };
        let id = self.calls.get(&call).map(|call| call.id.clone());
        let counselor = self.bridge(call).map(|bridge| bridge.extension.clone());
        let (who, what) = (Actor::System, What::Ended { supervisor, why });
        self.out.push_back(Output::Deed(Deed { who, call: id, counselor, what }));
    }

    /// Nobody is rung for a conversation that is over.
    pub(super) fn end_vain_summonses(&mut self, now: Now) {
        let vain = self.summonses.iter().filter(|(_, s)| self.bridge(s.call).is_none());
        for key in vain.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.end_summons(now, key, Why::CallOver);
        }
    }

    fn end_summons(&mut self, now: Now, key: u64, why: Why) {
        self.with_owner(now, Owner::Summons(key), |owned, io| {
            if let Owned::Summons(summons) = owned {
                summons.cancel(io, why);
            }
        });
    }

    fn end_supervision(&mut self, now: Now, key: u64) -> Result<(), Denial> {
        let mut summonses = self.summonses.iter();
        if let Some((summons, _)) = summonses.find(|(_, summons)| summons.call == key) {
            let summons = *summons;
            self.end_summons(now, summons, Why::Console);
            return Ok(());
        }
        self.in_bridge_of(now, key, |bridge, cx| {
            if bridge.supervisor().is_none() {
                return Err(Denial::NotSupervised);
            }
            bridge.stop_watching(cx, Actor::Console, Why::Console);
            Ok(())
        })
    }

    /// A counselor has dialed the code for help.
    pub(super) fn ask_help_by_code(&mut self, now: Now, counselor: &Extension) -> Confirmed {
        let who = Actor::Extension(counselor.clone());
        let asked = match self.call_with(counselor) {
            Some(key) => self.in_bridge_of(now, key, |bridge, cx| {
                bridge.ask_help(cx, who);
                Ok(())
            }),
            None => Err(self.denied(who, None, "help", Denial::NotInCall)),
        };
        asked.map_or(Confirmed::Refused, |()| Confirmed::Done)
    }

    fn ask_help(&mut self, now: Now, key: u64) -> Result<(), Denial> {
        self.in_bridge_of(now, key, |bridge, cx| {
            bridge.ask_help(cx, Actor::Console);
            Ok(())
        })
    }

    fn clear_help(&mut self, now: Now, key: u64) -> Result<(), Denial> {
        self.in_bridge_of(now, key, |bridge, cx| {
            if bridge.clear_help(cx, Actor::Console) { Ok(()) } else { Err(Denial::NoHelpAsked) }
        })
    }

    fn pause_recording(&mut self, now: Now, key: u64, paused: bool) -> Result<(), Denial> {
        let mut answer = Err(Denial::NotRecorded);
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let Owned::Call(call) = owned {
                answer = call.pause_recording(io, Actor::Console, paused);
            }
        });
        answer
    }

    fn in_bridge_of(
        &mut self,
        now: Now,
        key: u64,
        ask: impl FnOnce(&mut Bridge, &mut Cx<'_, '_>) -> Result<(), Denial>,
    ) -> Result<(), Denial> {
        let mut answer = Err(Denial::NotInCall);
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let Owned::Call(call) = owned {
                call.in_bridge(io, |bridge, cx| {
                    answer = ask(bridge, cx);
                    Next::Stay
                });
            }
        });
        answer
    }
}
