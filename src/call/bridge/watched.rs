//! A conversation with a supervisor in it, and the counselor's way to ask for one.
//!
//! Owns what the bridge does about its supervisor: begin, switch, end, take over; the counselor's
//! call for help, and the keys by which it comes. A supervisor's phone never touches the call.

use std::time::Instant;

use super::{Bridge, Cx, Help, HelpRing, Next};
use crate::call::cdr::CallId;
use crate::call::config::{Extension, Notice, Said, SupervisionMode};
use crate::call::deed::{Actor, Deed, Denial, What, Why};
use crate::call::io::{CallTimer, Io};
use crate::call::keypad::{InCall, Pressed};
use crate::call::leg::Fault;
use crate::call::ring::Miss;
use crate::call::supervision::{Key, Supervision};
use crate::media::{Command, Digit, Means, PortId};
use crate::sip::{Cause, SessionId};

/// A supervisor as the board shows them.
#[derive(Clone, Debug)]
pub(in crate::call) struct Watcher {
    pub(in crate::call) extension: Extension,
    pub(in crate::call) mode: SupervisionMode,
    pub(in crate::call) since: Instant,
}

/// What the code for help has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Turned {
    /// The counselor asks for help.
    On,
    /// The counselor has taken it back.
    Off,
}

impl Turned {
    fn tone(self) -> Said {
        match self {
            Self::On => Said::ToneHelp,
            Self::Off => Said::ToneUnsupervised,
        }
    }
}

impl Bridge {
    /// Who is in the call as a supervisor, or about to be.
    pub(in crate::call) fn supervisor(&self) -> Option<&Extension> {
        self.supervision.as_ref().map(|supervision| &supervision.extension)
    }

    /// Who takes part as a supervisor.
    pub(in crate::call) fn watcher(&self) -> Option<Watcher> {
        let supervision = self.supervision.as_ref()?;
        let (extension, mode) = (supervision.extension.clone(), supervision.mode);
        supervision.since().map(|since| Watcher { extension, mode, since })
    }

    /// Since when the counselor waits for help.
    pub(in crate::call) fn asks_help_since(&self) -> Option<Instant> {
        self.help.map(|help| help.since)
    }

    /// What supervisors' phones do about the call for help; `None`: there is none.
    pub(in crate::call) fn help_ring(&self) -> Option<HelpRing> {
        self.help.map(|help| help.ring)
    }

    /// Supervisors' phones ring for help from here on, or don't.
    pub(in crate::call) fn set_help_ring(&mut self, ring: HelpRing) {
        if let Some(help) = &mut self.help {
            help.ring = ring;
        }
    }

    pub(super) fn is_supervisor(&self, session: SessionId) -> bool {
        self.supervision.as_ref().is_some_and(|s| s.leg.is(session))
    }

    fn tell(&self, io: &mut Io<'_>, id: &CallId, who: Actor, what: What) {
        let (call, counselor) = (Some(id.clone()), Some(self.extension.clone()));
        io.deed(Deed { who, call, counselor, what });
    }

    /// A supervisor takes part no longer, or never came to it.
    pub(in crate::call) fn tell_end(
        &self,
        cx: &mut Cx<'_, '_>,
        who: Actor,
        supervisor: Extension,
        why: Why,
    ) {
        self.tell_end_of(cx.io, cx.id, who, supervisor, why);
    }

    fn tell_end_of(
        &self,
        io: &mut Io<'_>,
        id: &CallId,
        who: Actor,
        supervisor: Extension,
        why: Why,
    ) {
        io.step(id, format!("{supervisor} supervises no longer: {}", why.words()));
        self.tell(io, id, who, What::Ended { supervisor, why });
    }

    /// A supervisor comes into the call.
    pub(in crate::call) fn supervise(&mut self, cx: &mut Cx<'_, '_>, supervision: Supervision) {
        self.supervision = Some(supervision);
        self.begin_watching(cx);
    }

    /// Lets the supervisor take part as soon as their phone can hear.
    fn begin_watching(&mut self, cx: &mut Cx<'_, '_>) {
        let now = cx.io.now.mono;
        let Some(supervision) = self.supervision.as_mut() else { return };
        if !supervision.begin(now) {
            return;
        }
        let (supervisor, mode) = (supervision.extension.clone(), supervision.mode);
        let who = Actor::Extension(supervisor.clone());
        cx.io.step(cx.id, format!("{supervisor} supervises: {}", mode.name()));
        self.tell(cx.io, cx.id, who.clone(), What::Began { supervisor, mode });
        self.clear_help(cx, who);
        self.settle(cx);
        self.say_mode(cx);
        self.give_notice(cx, Said::ToneSupervised);
        cx.io.set(CallTimer::SupervisorProbe, cx.config.limits.lost_caller);
    }

    /// The counselor is another from here on, the supervisor the same.
    pub(super) fn go_on_watching(&mut self, cx: &mut Cx<'_, '_>) {
        let Some(watcher) = self.watcher() else { return };
        let (supervisor, mode) = (watcher.extension, watcher.mode);
        let who = Actor::Extension(supervisor.clone());
        self.tell(cx.io, cx.id, who, What::Began { supervisor, mode });
        self.give_notice(cx, Said::ToneSupervised);
        cx.io.set(CallTimer::SupervisorProbe, cx.config.limits.lost_caller);
    }

    /// The supervisor goes on with the next counselor.
    pub(in crate::call) fn hand_on_supervision(&mut self) -> Option<Supervision> {
        self.supervision.take()
    }

    fn give_notice(&self, cx: &mut Cx<'_, '_>, said: Said) {
        match cx.config.supervision.notice {
            Notice::None => {}
            Notice::Tone => {
                let prompt = cx.config.prompt(Some(cx.line), said);
                self.leg.overlay(cx.io, prompt);
            }
        }
    }

    /// Tells the supervisor who hears them.
    fn say_mode(&self, cx: &mut Cx<'_, '_>) {
        let Some(supervision) = &self.supervision else { return };
        let said = match supervision.mode {
            SupervisionMode::Listen => Said::Listening,
            SupervisionMode::Whisper => Said::Whispering,
            SupervisionMode::Join => Said::Joined,
        };
        supervision.leg.overlay(cx.io, cx.config.prompt(Some(cx.line), said));
    }

    /// The supervisor takes part in another way. `by`: who wants it.
    pub(in crate::call) fn switch(
        &mut self,
        cx: &mut Cx<'_, '_>,
        by: Actor,
        mode: SupervisionMode,
    ) -> Result<(), Denial> {
        let denial = match self.supervision.as_ref().and_then(Supervision::mode) {
            None => Some(Denial::NotSupervised),
            Some(_) if !cx.io.modes.contains(&mode) => Some(Denial::ModeOff),
            Some(_) => None,
        };
        if let Some(why) = denial {
            return Err(why);
        }
        let Some(supervision) = &mut self.supervision else { return Ok(()) };
        let helper = Actor::Extension(supervision.extension.clone());
        if supervision.mode != mode {
            supervision.mode = mode;
            let supervisor = supervision.extension.clone();
            cx.io.step(cx.id, format!("{supervisor} supervises: {}", mode.name()));
            self.tell(cx.io, cx.id, by, What::Switched { supervisor, mode });
            self.settle(cx);
        }
        self.clear_help(cx, helper);
        self.say_mode(cx);
        Ok(())
    }

    /// The supervisor is let go.
    pub(in crate::call) fn stop_watching(&mut self, cx: &mut Cx<'_, '_>, by: Actor, why: Why) {
        let Some(mut supervision) = self.supervision.take() else { return };
        cx.io.clear(CallTimer::SupervisorProbe);
        let had_begun = supervision.since().is_some();
        self.tell_end(cx, by, supervision.extension, why);
        self.settle(cx);
        supervision.leg.hang_up(cx.io, None);
        if had_begun && !self.leg.is_down() {
            self.give_notice(cx, Said::ToneUnsupervised);
        }
    }

    /// The supervisor's ACK has come.
    pub(super) fn on_supervisor_confirmed(
        &mut self,
        cx: &mut Cx<'_, '_>,
        confirmed: Result<(), Fault>,
    ) {
        if confirmed.is_err() {
            return self.stop_watching(cx, Actor::System, Why::PhoneLost);
        }
        self.begin_watching(cx);
        self.settle(cx);
    }

    /// The supervisor's session is over.
    pub(super) fn on_supervisor_ended(&mut self, cx: &mut Cx<'_, '_>, cause: &Cause) {
        let Some(supervision) = &mut self.supervision else { return };
        supervision.leg.gone(cx.io);
        let supervisor = supervision.extension.clone();
        let (by, why) = match cause {
            Cause::Bye | Cause::Cancelled => (Actor::Extension(supervisor), Why::HungUp),
            Cause::Refused { .. }
            | Cause::Unanswered
            | Cause::AckLost
            | Cause::PrackLost
            | Cause::Expired
            | Cause::Unreachable => (Actor::System, Why::PhoneLost),
        };
        self.stop_watching(cx, by, why);
    }

    /// The supervisor's phone is asked again and again: a listener may send no packets at all.
    pub(in crate::call) fn on_supervisor_probe_timer(&self, cx: &mut Cx<'_, '_>) {
        let limits = &cx.config.limits;
        if let Some(session) = self.supervision.as_ref().and_then(|s| s.leg.session()) {
            cx.io.sip.probe(cx.io.now.mono, session, limits.vanish_after);
            cx.io.set(CallTimer::SupervisorProbe, limits.lost_caller);
        }
    }

    pub(super) fn on_supervisor_probed(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        alive: bool,
    ) {
        if self.is_supervisor(session) && !alive {
            self.stop_watching(cx, Actor::System, Why::PhoneLost);
        }
    }

    /// The counselor's phone is gone.
    pub(super) fn counselor_lost(&mut self, cx: &mut Cx<'_, '_>) -> Next {
        let Some(next) = self.take_over(cx) else { return Next::CounselorLost };
        self.missed.push((self.extension.clone(), Miss::Silent));
        next
    }

    /// The counselor has left: a supervisor to whom the caller speaks has the call from here on,
    /// whatever transfer was under way.
    pub(super) fn take_over(&mut self, cx: &mut Cx<'_, '_>) -> Option<Next> {
        let mode = self.supervision.as_ref().and_then(Supervision::mode);
        if mode != Some(SupervisionMode::Join) {
            return None;
        }
        let supervision = self.supervision.take()?;
        if let Some(mut transfer) = self.transfer.take() {
            transfer.cancel(cx.io, None);
        }
        cx.io.clear(CallTimer::SupervisorProbe);
        let supervisor = supervision.extension.clone();
        let who = Actor::Extension(supervisor.clone());
        self.tell_end(cx, who, supervisor, Why::TookOver);
        Some(Next::Join(supervision.extension, Box::new(supervision.leg)))
    }

    /// The conversation is over, for the supervisor too.
    pub(super) fn end_watching(&mut self, io: &mut Io<'_>, id: &CallId) {
        io.clear(CallTimer::SupervisorProbe);
        if let Some(mut supervision) = self.supervision.take() {
            self.tell_end_of(io, id, Actor::System, supervision.extension, Why::CallOver);
            supervision.leg.hang_up(io, None);
        }
        if self.help.take().is_some() {
            self.tell(io, id, Actor::System, What::HelpCleared);
        }
    }

    /// The counselor needs help. While phones ring for it, asking again changes nothing; after
    /// that they ring again.
    pub(in crate::call) fn ask_help(&mut self, cx: &mut Cx<'_, '_>, by: Actor) {
        if self.is_help_on_its_way() {
            return;
        }
        let since = self.asks_help_since().unwrap_or(cx.io.now.mono);
        self.help = Some(Help { since, ring: HelpRing::Wanted });
        cx.io.step(cx.id, format!("{} asks for help", self.extension));
        self.tell(cx.io, cx.id, by, What::HelpAsked);
        if let Some(supervision) = &self.supervision {
            let asked = cx.config.prompt(Some(cx.line), Said::ToneHelp);
            supervision.leg.overlay(cx.io, asked);
        }
    }

    /// The counselor gives the code for help: asks, or takes it back while phones ring for it.
    pub(in crate::call) fn turn_help(&mut self, cx: &mut Cx<'_, '_>) -> Turned {
        let by = Actor::Extension(self.extension.clone());
        if self.is_help_on_its_way() {
            self.clear_help(cx, by);
            return Turned::Off;
        }
        self.ask_help(cx, by);
        Turned::On
    }

    fn is_help_on_its_way(&self) -> bool {
        self.help_ring().is_some_and(|ring| ring != HelpRing::Over)
    }

    /// Whether there was a call for help to clear.
    pub(in crate::call) fn clear_help(&mut self, cx: &mut Cx<'_, '_>, by: Actor) -> bool {
        let had = self.help.take().is_some();
        if had {
            self.tell(cx.io, cx.id, by, What::HelpCleared);
        }
        had
    }

    /// A key by SIP INFO; the caller's goes to the counselor.
    pub(in crate::call) fn on_info(
        &mut self,
        cx: &mut Cx<'_, '_>,
        session: SessionId,
        digit: Digit,
    ) -> Next {
        if cx.caller.is(session) {
            let port = self.leg.port();
            cx.io.media(Command::SendDigit { port, digit });
            return Next::Stay;
        }
        match self.leg_of_session(session).map(|leg| leg.port()) {
            Some(port) => self.on_digit(cx, port, digit, Means::Info),
            None => Next::Stay,
        }
    }

    /// A key of the counselor's or the supervisor's phone.
    pub(in crate::call) fn on_digit(
        &mut self,
        cx: &mut Cx<'_, '_>,
        port: PortId,
        digit: Digit,
        means: Means,
    ) -> Next {
        let now = cx.io.now.mono;
        if port == self.leg.port() {
            return match self.keys.is_press(now, digit, means) {
                true => self.on_counselor_key(cx, digit),
                false => Next::Stay,
            };
        }
        let Some(supervision) = self.supervision.as_mut().filter(|s| s.leg.port() == port) else {
            return Next::Stay;
        };
        let who = Actor::Extension(supervision.extension.clone());
        match supervision.on_digit(now, digit, means) {
            Some(Key::Mode(mode)) => {
                if let Err(why) = self.switch(cx, who.clone(), mode)
                    && let Some(supervision) = &self.supervision
                {
                    let (asked, whom) = (mode.name(), Some(supervision.extension.clone()));
                    self.tell(cx.io, cx.id, who, What::Denied { asked, whom, why });
                    let refused = cx.config.prompt(Some(cx.line), Said::CodeRefused);
                    supervision.leg.overlay(cx.io, refused);
                }
            }
            Some(Key::End) => self.stop_watching(cx, who, Why::HungUp),
            None => {}
        }
        Next::Stay
    }

    fn on_counselor_key(&mut self, cx: &mut Cx<'_, '_>, digit: Digit) -> Next {
        let mut next = Next::Stay;
        match self.keypad.press(&cx.config.codes, digit) {
            Pressed::Withheld => {}
            Pressed::Passed(digits) => pass(cx, digits),
            Pressed::Code(InCall::Help) => {
                let said = self.turn_help(cx).tone();
                self.leg.overlay(cx.io, cx.config.prompt(Some(cx.line), said));
            }
            Pressed::Code(InCall::Recording) => next = Next::TurnTape,
        }
        if self.keypad.withholds() {
            cx.io.set(CallTimer::Keys, cx.config.supervision.key_timeout);
        } else {
            cx.io.clear(CallTimer::Keys);
        }
        next
    }

    /// No key has followed: what was withheld is the caller's.
    pub(in crate::call) fn on_keys_timer(&mut self, cx: &mut Cx<'_, '_>) {
        pass(cx, self.keypad.give_up());
    }
}

/// Keys go to the caller.
fn pass(cx: &mut Cx<'_, '_>, digits: Vec<Digit>) {
    let port = cx.caller.port();
    for digit in digits {
        cx.io.media(Command::SendDigit { port, digit });
    }
}
