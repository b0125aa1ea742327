//! Supervisors: who may take part in whose call, by code and through the API.
//!
//! Owns what is allowed. What a supervisor hears is the call's; who is rung for help is
//! [`help`](super::help)'s. Whatever is refused is told too.

use std::sync::Arc;

use super::{Owned, Owner, Switchboard, io};
use crate::call::bridge::{Bridge, HelpRing};
use crate::call::cdr::{CallId, Whose};
use crate::call::config::{Extension, Role, SupervisionMode};
use crate::call::counselor::Activity;
use crate::call::deed::{Actor, Deed, Denial, Request, What, Why};
use crate::call::intention::Intention;
use crate::call::internal::{Choice, Internal};
use crate::call::io::{Io, Output};
use crate::call::leg::Leg;
use crate::call::ring::Candidate;
use crate::call::summons::{For, Outcome, Summons};
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
    pub(super) fn denied(
        &mut self,
        who: Actor,
        key: Option<u64>,
        (asked, whom): (&'static str, Option<Extension>),
        why: Denial,
    ) -> Denial {
        let call = key.and_then(|key| self.calls.get(&key)).map(|call| call.id.clone());
        let counselor = key.and_then(|key| self.bridge(key)).map(|b| b.extension.clone());
        // What is no extension of ours is not kept: it may be anybody's number.
        let whom = whom.filter(|whom| self.config.counselors.contains_key(whom));
        let what = What::Denied { asked, whom, why };
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
        if bridge.supervisor().is_some() || self.is_awaited(key) {
            return Err(Denial::Taken);
        }
        Ok(key)
    }

    /// Whether the console rings a supervisor for the call.
    pub(super) fn is_awaited(&self, key: u64) -> bool {
        self.summonses.values().any(|it| it.call == key && it.by != For::Help)
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
                Err(self.denied(who, found, (mode.name(), Some(supervisor.clone())), why))
            }
        }
    }

    /// What an extension dialed came to nothing before it could be looked at.
    pub(super) fn choice_failed(&mut self, from: &Extension, choice: &Choice, why: Denial) {
        let (of, about) = match choice {
            Choice::Supervise(mode, counselor) => (counselor, (mode.name(), Some(from.clone()))),
            Choice::Help => (from, ("help", None)),
            Choice::Intend(_) | Choice::EndWrapUp | Choice::ExtendWrapUp => return,
        };
        let key = self.call_with(of);
        self.denied(Actor::Extension(from.clone()), key, about, why);
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
        // Who is rung for help with this call may as well dial.
        match self.activities_besides(Some(internal)).get(supervisor) {
            None => {}
            Some(Activity::Ringing) if self.rung_for_help(key).contains(supervisor) => {}
            Some(Activity::Ringing | Activity::Talking) => return Err(Denial::Busy),
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
            let answered = Supervision::answer(io, supervisor.clone(), leg, mode);
            if let (Ok(supervision), Some(_)) = (&answered, call.bridge()) {
                let whose = Whose::Supervisor(supervision.extension.clone());
                call.record.takes_part(supervision.leg.port(), whose);
            }
            call.in_bridge(io, |bridge, cx| {
                match answered {
                    Ok(supervision) => bridge.supervise(cx, supervision),
                    Err(_) => bridge.tell_end(cx, Actor::System, supervisor, Why::NoAudio),
                }
                Next::Stay
            });
        });
    }

    /// Somebody asks through the console.
    pub(super) fn on_asked(
        &mut self,
        now: Now,
        request: &Request,
        who: &Arc<str>,
    ) -> Result<(), Denial> {
        let who = Actor::Person(Arc::clone(who));
        let (asked, of) = subject(request);
        let key = match of {
            Of::Call(call) => self.call_named(call),
            Of::Counselor(extension) => self.call_with(extension),
            Of::Nobody => None,
        };
        let whom = match request {
            Request::Supervise { extension, .. } => Some(extension.clone()),
            Request::UnknownMode { extension: Some(extension), .. } => Some(extension.clone()),
            Request::Switch { .. } | Request::UnknownMode { extension: None, .. } => {
                key.and_then(|key| self.bridge(key)).and_then(|it| it.supervisor().cloned())
            }
            Request::EndSupervision { .. }
            | Request::AskHelp(_)
            | Request::ClearHelp(_)
            | Request::Intend { .. }
            | Request::EndWrapUp(_)
            | Request::ExtendWrapUp(_)
            | Request::PauseRecording { .. }
            | Request::Trial(_)
            | Request::LimitCaller { .. }
            | Request::LiftLimits => None,
        };
        let done = self.do_asked(now, request, key, &who);
        done.map_err(|why| match request {
            Request::Intend { extension, .. }
            | Request::EndWrapUp(extension)
            | Request::ExtendWrapUp(extension) => self.denied_state(who, extension, asked, why),
            Request::Supervise { .. }
            | Request::Switch { .. }
            | Request::UnknownMode { .. }
            | Request::EndSupervision { .. }
            | Request::AskHelp(_)
            | Request::ClearHelp(_)
            | Request::PauseRecording { .. }
            | Request::Trial(_)
            | Request::LimitCaller { .. }
            | Request::LiftLimits => self.denied(who, key, (asked, whom), why),
        })
    }

    fn do_asked(
        &mut self,
        now: Now,
        request: &Request,
        key: Option<u64>,
        who: &Actor,
    ) -> Result<(), Denial> {
        let call = key.ok_or(Denial::UnknownCall);
        let who = who.clone();
        match request {
            Request::Supervise { extension, mode, .. } => {
                self.summon(now, call?, who, extension, *mode)
            }
            Request::Switch { mode, .. } => {
                self.in_bridge_of(now, call?, |bridge, cx| bridge.switch(cx, who, *mode))
            }
            Request::UnknownMode { .. } => Err(Denial::UnknownMode),
            Request::EndSupervision { .. } => self.end_supervision(now, call?, who),
            Request::AskHelp(counselor) => {
                self.of_counselor(key, counselor).and_then(|key| self.ask_help(now, key, who))
            }
            Request::ClearHelp(counselor) => {
                self.of_counselor(key, counselor).and_then(|key| self.clear_help(now, key, who))
            }
            Request::Intend { extension, intention, by } => {
                self.intend(now, who, extension, intention.clone(), *by)
            }
            Request::EndWrapUp(extension) => self.cut_wrap_up(now, who, extension),
            Request::ExtendWrapUp(extension) => self.extend_wrap_up(now, who, extension),
            Request::PauseRecording { paused, .. } => {
                self.pause_recording(now, call?, who, *paused)
            }
            Request::Trial(trial) => self.expect_trial(now, trial),
            Request::LimitCaller { .. } => self.limit_caller(now, call?, who),
            Request::LiftLimits => {
                self.lift_limits(now, who);
                Ok(())
            }
        }
    }

    /// Tells of a refusal that is about a counselor's state, and passes it on.
    fn denied_state(
        &mut self,
        who: Actor,
        extension: &Extension,
        asked: &'static str,
        why: Denial,
    ) -> Denial {
        // What is no extension of ours is not kept: it may be anybody's number.
        let is_known = self.config.counselors.contains_key(extension);
        let counselor = is_known.then(|| extension.clone());
        let what = What::Denied { asked, whom: None, why };
        self.out.push_back(Output::Deed(Deed { who, call: None, counselor, what }));
        why
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
        who: Actor,
        supervisor: &Extension,
        mode: SupervisionMode,
    ) -> Result<(), Denial> {
        self.may_supervise(Some(key), supervisor, mode)?;
        if self.activities().contains_key(supervisor) {
            return Err(Denial::Busy);
        }
        let name = self.name_of_counselor(key).ok_or(Denial::NotInCall)?;
        let candidates = self.summons_invites(now, key, &name, supervisor);
        if candidates.is_empty() {
            return Err(Denial::Unreachable);
        }
        let what = What::Summoned { supervisor: supervisor.clone(), mode };
        self.tell_of(key, who, what);
        let rung = self.start_summons(now, For::Console(supervisor.clone()), mode, key, candidates);
        if rung.is_empty() { Err(Denial::NoPort) } else { Ok(()) }
    }

    /// Shown on the phones of who is rung for the call.
    pub(super) fn name_of_counselor(&self, key: u64) -> Option<String> {
        let extension = &self.bridge(key)?.extension;
        let name = self.config.counselors.get(extension).map(|c| c.name.replace(['"', '\\'], ""));
        Some(name.unwrap_or_default())
    }

    /// INVITEs to a supervisor's phones that show `name`, and the extension of whose call it is.
    pub(super) fn summons_invites(
        &self,
        now: Now,
        key: u64,
        name: &str,
        supervisor: &Extension,
    ) -> Vec<Candidate> {
        let (Some(call), Some(bridge)) = (self.calls.get(&key), self.bridge(key)) else {
            return Vec::new();
        };
        let from = format!("\"{name}\" <sip:{}@{}>", bridge.extension, self.sip_config.domain);
        self.invites(now, supervisor, &from, call.caller.place().shard, call.caller.codec())
    }

    /// Rings the phones for which a port is free: whose.
    pub(super) fn start_summons(
        &mut self,
        now: Now,
        by: For,
        mode: SupervisionMode,
        key: u64,
        candidates: Vec<Candidate>,
    ) -> Vec<Extension> {
        let limit = self.config.supervision.ring_timeout;
        let summons_key = self.next_key();
        let mut io: Io<'_> = io!(self, now, Owner::Summons(summons_key));
        let mut summons = Summons::start(&mut io, by, mode, key, candidates, limit);
        if summons.take_outcome().is_some() {
            self.clear_timers(Owner::Summons(summons_key));
            return Vec::new();
        }
        let rung = summons.extensions();
        self.summonses.insert(summons_key, summons);
        rung
    }

    /// A summons is over: the supervisor comes into the call, if it is still as it was.
    pub(super) fn on_summoned(&mut self, now: Now, key: u64, outcome: Outcome) {
        let Some(Summons { by, mode, call, .. }) = self.summonses.remove(&key) else { return };
        self.clear_timers(Owner::Summons(key));
        let is_open = self.bridge(call).is_some_and(|bridge| bridge.supervisor().is_none());
        if by == For::Help {
            self.set_help_ring(call, HelpRing::Over);
        }
        let why = match outcome {
            Outcome::Answered(supervisor, leg) if is_open => {
                return self.let_in(now, call, supervisor, *leg, mode);
            }
            Outcome::Answered(_, mut leg) => {
                leg.hang_up(&mut io!(self, now, Owner::Summons(key)), None);
                Why::CallOver
            }
            Outcome::Over(why) => why,
        };
        let what = match by {
            For::Console(supervisor) => What::Ended { supervisor, why },
            For::Help if is_open && self.bridge(call).is_some_and(|b| b.help_ring().is_some()) => {
                What::HelpUnanswered
            }
            For::Help => return,
        };
        self.tell_of(call, Actor::System, what);
    }

    /// Tells of something in a call, if it is still there.
    pub(super) fn tell_of(&mut self, key: u64, who: Actor, what: What) {
        let call = self.calls.get(&key).map(|call| call.id.clone());
        let counselor = self.bridge(key).map(|bridge| bridge.extension.clone());
        self.out.push_back(Output::Deed(Deed { who, call, counselor, what }));
    }

    /// Nobody is rung for a conversation that is over, has its supervisor, or needs no help.
    pub(super) fn end_vain_summonses(&mut self, now: Now) {
        let is_vain = |summons: &Summons| {
            self.bridge(summons.call).is_none_or(|bridge| {
                let is_needed = summons.by != For::Help || bridge.help_ring().is_some();
                bridge.supervisor().is_some() || !is_needed
            })
        };
        let vain = self.summonses.iter().filter(|(_, summons)| is_vain(summons));
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

    fn end_supervision(&mut self, now: Now, key: u64, who: Actor) -> Result<(), Denial> {
        let mut summonses = self.summonses.iter();
        let is_asked = |it: &Summons| it.call == key && it.by != For::Help;
        if let Some((summons, _)) = summonses.find(|(_, summons)| is_asked(summons)) {
            let summons = *summons;
            self.end_summons(now, summons, Why::Console);
            return Ok(());
        }
        self.in_bridge_of(now, key, |bridge, cx| {
            if bridge.supervisor().is_none() {
                return Err(Denial::NotSupervised);
            }
            bridge.stop_watching(cx, who, Why::Console);
            Ok(())
        })
    }

    fn pause_recording(
        &mut self,
        now: Now,
        key: u64,
        who: Actor,
        paused: bool,
    ) -> Result<(), Denial> {
        let mut answer = Err(Denial::NotRecorded);
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let Owned::Call(call) = owned {
                answer = call.pause_recording(io, who, paused);
            }
        });
        answer
    }

    pub(super) fn in_bridge_of(
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

/// Whose a request is about.
enum Of<'a> {
    Call(&'a CallId),
    Counselor(&'a Extension),
    /// Nobody's: it begins something.
    Nobody,
}

/// What a request asks for, by its name in the audit trail, and whose it is about.
fn subject(request: &Request) -> (&'static str, Of<'_>) {
    match request {
        Request::Supervise { call, mode, .. } | Request::Switch { call, mode } => {
            (mode.name(), Of::Call(call))
        }
        Request::UnknownMode { call, .. } => ("supervise", Of::Call(call)),
        Request::EndSupervision { call } => ("end", Of::Call(call)),
        Request::AskHelp(counselor) => ("help", Of::Counselor(counselor)),
        Request::ClearHelp(counselor) => ("help_cleared", Of::Counselor(counselor)),
        Request::PauseRecording { call, .. } => ("recording", Of::Call(call)),
        Request::Trial(_) => ("test_call", Of::Nobody),
        Request::LimitCaller { call } => ("limit", Of::Call(call)),
        Request::LiftLimits => ("lift", Of::Nobody),
        Request::EndWrapUp(counselor) => ("end_wrap_up", Of::Counselor(counselor)),
        Request::ExtendWrapUp(counselor) => ("extend_wrap_up", Of::Counselor(counselor)),
        Request::Intend { extension, intention, .. } => {
            let asked = match intention {
                Intention::Ready => "ready",
                Intention::Paused(_) => "pause",
                Intention::LoggedOut => "log_out",
            };
            (asked, Of::Counselor(extension))
        }
    }
}
