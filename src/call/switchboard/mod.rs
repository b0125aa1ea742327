//! The switchboard: all calls, counselors and trunks; the only machine that the shell talks to.
//!
//! Owns `handle`, `poll_output` and `poll_timeout`, and who gets which event. What happens to one
//! call is that call's; whom to ring is [`settle`](self)'s.

mod admission;
mod arrivals;
mod choices;
mod draw;
mod due;
mod extensions;
mod help;
mod input;
mod keeping;
mod phones;
mod rehearse;
mod repeat;
mod roster;
mod settle;
mod supervise;
mod transfer;
mod trial;
mod trunks;
mod voices;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::ServiceLevel;
use super::cdr::{CallId, Cdr, Outcome};
use super::config::{Config, Extension, LineId};
use super::deed::{Denial, Why};
use super::intention::Intention;
use super::internal::Internal;
pub use super::io::{CallTimer, Output, Owner, Recording, Step, Timer};
use super::io::{Io, Ports};
use super::journal::Problem;
use super::piece::Finish;
use super::places::Places;
use super::refused::Refused;
use super::rehearsal::Rehearsal;
use super::repeat::Repeat;
use super::summons::Summons;
use super::{Ask, Call, Phase};
use crate::chance::Chance;
use crate::media;
use crate::sip::Flow;
use crate::sip::auth::Guard;
use crate::sip::endpoint::{Counts, Endpoint};
use crate::sip::floodgate::Floodgate;
use crate::sip::lateness::Lateness;
use crate::sip::registrar::{Pulse, Registrar};
use crate::sip::{self, ClientTx, SessionId};
use crate::time::{Now, Timers};
use admission::settings;
use arrivals::TurnedAway;
pub use input::{Command, Input, Reason};
pub use keeping::{Configs, Past};
use phones::FixedPhones;
use roster::Roster;
use trial::Expected;
use trunks::Trunks;
use voices::Voices;

/// How soon the board is drawn again when something has changed.
const BOARD_SOON: Duration = Duration::from_millis(250);
/// How often it is drawn when nothing changes but the time.
const BOARD_EVERY: Duration = Duration::from_secs(1);
/// How often the hours are looked at for the board.
const HOURS_EVERY: Duration = Duration::from_secs(10);

/// What a request of ours outside any dialog was for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Errand {
    /// A phone is asked whether it is there.
    Pulse(sip::registrar::BindingId),
    /// A trunk is asked whether it is there.
    Ping(super::config::TrunkId),
    /// We register at a carrier.
    Register(super::config::TrunkId, usize),
}

/// The whole call path.
pub struct Switchboard {
    config: Arc<Config>,
    sip_config: sip::Config,
    sip: Endpoint,
    guard: Guard,
    floodgate: Floodgate,
    lateness: Lateness,
    /// We are behind: the message that comes next begins nothing new.
    is_late: bool,
    turned_away: TurnedAway,
    registrar: Registrar,
    trunks: Trunks,
    counselors: Roster,
    calls: BTreeMap<u64, Call>,
    internals: BTreeMap<u64, Internal>,
    summonses: BTreeMap<u64, Summons>,
    rehearsals: BTreeMap<u64, Rehearsal>,
    sessions: BTreeMap<SessionId, Owner>,
    errands: BTreeMap<ClientTx, Errand>,
    ports: Ports,
    voices: Voices,
    fixed_phones: FixedPhones,
    /// The test call that may come or goes on.
    expected: Option<Expected>,
    timers: Timers<Timer>,
    chance: Chance,
    out: VecDeque<Output>,
    queues: Places,
    /// Counselors who are ready and reachable, busy ones included.
    on_duty: BTreeMap<LineId, usize>,
    /// Lines on which nobody waits for a counselor to come on duty.
    staffed: BTreeSet<LineId>,
    today: Today,
    /// Callers who are not to be connected again for a while.
    repeat: Repeat,
    /// When the board was drawn last.
    drawn: Instant,
    /// Calls ever begun; the next one's key.
    count: u64,
    plays: u64,
    /// Recordings ever begun.
    records: u64,
    /// Places in the queues ever given.
    places: i64,
    rings: u64,
    refused: Refused,
    mode: Mode,
    /// What the journal knows, where there is one.
    keeping: Option<keeping::Keeping>,
    /// While it is gone on: flows of phones whose connections did not outlive the process.
    lost_flows: Vec<Flow>,
    /// Something has happened that the board may show.
    is_dirty: bool,
    /// Something that settling reads has changed, or may have.
    is_unsettled: bool,
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Serving,
    Draining,
}

/// Outcomes since midnight, for the board.
#[derive(Debug, Default)]
struct Today {
    day: Option<chrono::NaiveDate>,
    outcomes: BTreeMap<LineId, BTreeMap<Outcome, u32>>,
    levels: BTreeMap<LineId, ServiceLevel>,
}

/// The parts of the switchboard that a call may touch, as its [`Io`].
macro_rules! io {
    ($self:ident, $now:expr, $owner:expr) => {
        Io {
            now: $now,
            owner: $owner,
            sip: &mut $self.sip,
            out: &mut $self.out,
            ports: &mut $self.ports,
            sessions: &mut $self.sessions,
            timers: &mut $self.timers,
            chance: &mut $self.chance,
            plays: &mut $self.plays,
            records: &mut $self.records,
            places: &mut $self.places,
            queues: &$self.queues,
            on_duty: &$self.on_duty,
            draining: $self.mode == $crate::call::switchboard::Mode::Draining,
            repeat: &$self.repeat,
            modes: &$self.config.supervision.modes,
        }
    };
}
use io;

impl Switchboard {
    /// A switchboard without calls. `intentions`: what counselors chose last.
    pub fn new(
        config: Arc<Config>,
        sip_config: sip::Config,
        media: &media::Config,
        intentions: BTreeMap<Extension, Intention>,
        chance: Chance,
        now: Now,
    ) -> Self {
        let mut board = Self::bare(config, sip_config, media, intentions, chance, now);
        board.open(now);
        board
    }

    /// A switchboard that goes on with what the process before has kept, under the configuration of
    /// today, and keeps from here on ([`take_changes`](Self::take_changes)). Gives back what of it
    /// can't be gone on with.
    pub fn restore(
        config: Arc<Config>,
        sip_config: sip::Config,
        media: &media::Config,
        intentions: BTreeMap<Extension, Intention>,
        chance: Chance,
        now: Now,
        past: Past<'_>,
    ) -> (Self, Vec<Problem>) {
        let mut board = Self::bare(config, sip_config, media, intentions, chance, now);
        board.begin_keeping(past.anchor);
        let problems = board.go_on(now, past);
        board.open(now);
        board.finish(now);
        (board, problems)
    }

    fn bare(
        config: Arc<Config>,
        sip_config: sip::Config,
        media: &media::Config,
        intentions: BTreeMap<Extension, Intention>,
        mut chance: Chance,
        now: Now,
    ) -> Self {
        let settings = settings(&config, &sip_config);
        Self {
            sip: Endpoint::new(sip_config.clone(), chance.split()),
            guard: Guard::new(now.mono, settings, &mut chance),
            floodgate: Floodgate::new(now.mono, sip_config.flood, &mut chance),
            lateness: Lateness::default(),
            is_late: false,
            turned_away: TurnedAway::new(now.mono),
            registrar: Registrar::new(Some(Pulse::default())),
            trunks: Trunks::default(),
            counselors: Roster::new(&config, intentions, now.mono),
            calls: BTreeMap::new(),
            internals: BTreeMap::new(),
            summonses: BTreeMap::new(),
            rehearsals: BTreeMap::new(),
            sessions: BTreeMap::new(),
            errands: BTreeMap::new(),
            ports: Ports::new(media),
            voices: Voices::default(),
            fixed_phones: FixedPhones::new(&config),
            expected: None,
            timers: Timers::default(),
            out: VecDeque::new(),
            queues: Places::default(),
            on_duty: BTreeMap::new(),
            staffed: BTreeSet::new(),
            today: Today::default(),
            repeat: Repeat::default(),
            drawn: now.mono,
            count: 0,
            plays: 0,
            records: 0,
            places: 0,
            rings: 0,
            refused: Refused::new(&mut chance),
            mode: Mode::Serving,
            keeping: None,
            lost_flows: Vec::new(),
            is_dirty: true,
            is_unsettled: true,
            chance,
            config,
            sip_config,
        }
    }

    fn open(&mut self, now: Now) {
        self.look_for_fixed_phones(now);
        self.start_trunks(now);
        self.settle(now);
        self.timers.set(Timer::Board, now.mono);
        self.timers.set(Timer::Hours, now.mono + HOURS_EVERY);
    }

    /// Takes one input. Never fails: a bad message is answered, counted or dropped.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Sip { flow, bytes } => {
                let admit = self.admit(&flow);
                self.sip.handle(now.mono, flow, bytes, &admit);
            }
            Input::FlowFailed(flow) => {
                match flow.transport {
                    sip::Transport::Tcp | sip::Transport::Tls => {
                        self.registrar.flow_gone(now.mono, &flow);
                        self.register_again(now, &flow);
                    }
                    // One ICMP message says little: the phone may be changing its network.
                    sip::Transport::Udp => self.registrar.doubt_flow(now.mono, &flow),
                }
                self.sip.flow_failed(now.mono, flow);
            }
            Input::Media(event) => self.on_media(now, &event),
            Input::Command(command) => self.on_command(now, command),
            Input::Timeout => self.on_timeout(now),
        }
        self.finish(now);
    }

    /// Lets everything happen that follows.
    fn finish(&mut self, now: Now) {
        while let Some(event) = self.sip.poll_event() {
            self.on_event(now, event);
        }
        self.on_phone_changes(now);
        if self.is_dirty {
            self.settle(now);
        }
        debug_assert!(
            self.queues == self.places(),
            "the index of the queues is forgotten somewhere"
        );
        debug_assert!(
            self.counselors.is_true(&self.config),
            "the roster's index is forgotten somewhere"
        );
        while let Some(transmit) = self.sip.poll_transmit() {
            self.out.push_back(Output::Sip(transmit));
        }
    }

    /// What is to be done, until `None`; to be asked after one `handle`, or a few, when what has
    /// changed is kept ([`take_changes`](Self::take_changes)).
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to come back with [`Input::Timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let sip = self.sip.poll_timeout().map(|at| (at, Reason::Sip));
        let registrar = self.registrar.poll_timeout().map(|at| (at, Reason::Registrar));
        let own = self.timers.next().map(|(at, timer)| (at, Reason::Timer(timer.clone())));
        [sip, registrar, own].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// What the SIP stack has counted.
    pub fn counts(&self) -> Counts {
        Counts { flooded: self.floodgate.refused(), ..self.sip.counts() }
    }

    /// Whether no call is left: a draining process may end.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.internals.is_empty()
            && self.summonses.is_empty()
            && self.rehearsals.is_empty()
    }

    fn on_media(&mut self, now: Now, event: &media::Event) {
        let (media::Event::Opened { port }
        | media::Event::OpenFailed { port }
        | media::Event::Heard { port }
        | media::Event::Digit { port, .. }
        | media::Event::Played { port, .. }
        | media::Event::Silent { port }
        | media::Event::Resumed { port }
        | media::Event::OneWay { port, .. }
        | media::Event::BothWays { port, .. }
        | media::Event::Measured { port, .. }
        | media::Event::Closed { port, .. }) = *event;
        let event = &self.hear(now, event);
        let owner = self.ports.owner(port);
        if matches!(event, media::Event::Closed { .. }) {
            self.ports.closed(now.mono, port);
        }
        // A voice's figures change nothing but the board, and there are many of them.
        let is_figure = matches!(
            event,
            media::Event::Measured { .. }
                | media::Event::OneWay { .. }
                | media::Event::BothWays { .. }
        );
        if let Some(owner) = owner.filter(|_| !is_figure) {
            self.with_owner(now, owner, |owned, io| match owned {
                Owned::Call(call) => call.on_media(io, event),
                Owned::Internal(internal) => internal.on_media(io, event),
                Owned::Summons(summons) => summons.on_media(io, event),
                Owned::Rehearsal(rehearsal) => rehearsal.on_media(io, event),
            });
        }
    }

    fn on_event(&mut self, now: Now, event: sip::Event) {
        let session = match &event {
            sip::Event::Invite { .. } => return self.on_invite(now, event),
            sip::Event::Request { tx, flow, request } => {
                return self.on_request(now, *tx, *flow, request);
            }
            sip::Event::Response { tx, response } => {
                return self.on_response(now, *tx, response.as_ref());
            }
            sip::Event::Refer { .. } => return self.on_refer(now, event),
            sip::Event::Progress { session, .. }
            | sip::Event::Answered { session, .. }
            | sip::Event::Confirmed { session, .. }
            | sip::Event::Offer { session, .. }
            | sip::Event::Reoffered { session, .. }
            | sip::Event::Info { session, .. }
            | sip::Event::Probed { session, .. }
            | sip::Event::Ended { session, .. } => *session,
        };
        if let Some(owner) = self.sessions.get(&session).copied() {
            self.with_owner(now, owner, |owned, io| match owned {
                Owned::Call(call) => call.on_sip(io, event),
                Owned::Internal(internal) => internal.on_sip(io, event),
                Owned::Summons(summons) => summons.on_sip(io, event),
                Owned::Rehearsal(rehearsal) => rehearsal.on_sip(io, event),
            });
        }
    }

    /// Lets a call or an internal call do something, then hears what it asks for, and buries it
    /// when it is over.
    fn with_owner(&mut self, now: Now, owner: Owner, f: impl FnOnce(Owned<'_>, &mut Io<'_>)) {
        self.is_dirty = true;
        self.touch(owner);
        let before = self.standing(owner);
        self.let_act(now, owner, f);
        let after = self.standing(owner);
        if let Owner::Call(key) = owner {
            self.note_place(key, after.as_ref());
        }
        if after != before {
            self.unsettle();
        }
    }

    fn let_act(&mut self, now: Now, owner: Owner, f: impl FnOnce(Owned<'_>, &mut Io<'_>)) {
        let mut io = io!(self, now, owner);
        match owner {
            Owner::Call(key) => {
                let Some(call) = self.calls.get_mut(&key) else { return };
                f(Owned::Call(call), &mut io);
                let asks = std::mem::take(&mut call.asks);
                let is_over = call.record.is_complete();
                for ask in asks {
                    self.on_ask(now, ask);
                }
                if is_over {
                    self.bury(now, key);
                }
            }
            Owner::Internal(key) => {
                let Some(internal) = self.internals.get_mut(&key) else { return };
                f(Owned::Internal(internal), &mut io);
                let (choice, lost) = (internal.take_choice(), internal.take_lost());
                if internal.is_over() {
                    self.internals.remove(&key);
                    self.clear_timers(owner);
                }
                if let Some((extension, choice)) = lost {
                    self.choice_failed(&extension, &choice, Denial::NoPort);
                }
                if let Some((extension, choice)) = choice {
                    self.on_choice(now, key, &extension, &choice);
                }
            }
            Owner::Summons(key) => {
                let Some(summons) = self.summonses.get_mut(&key) else { return };
                f(Owned::Summons(summons), &mut io);
                if let Some(outcome) = summons.take_outcome() {
                    self.on_summoned(now, key, outcome);
                }
            }
            Owner::Rehearsal(key) => {
                let Some(rehearsal) = self.rehearsals.get_mut(&key) else { return };
                f(Owned::Rehearsal(rehearsal), &mut io);
                self.end_rehearsal(key);
            }
        }
    }

    /// Lets the first call that `is_it` do something.
    fn with_call(
        &mut self,
        now: Now,
        is_it: impl Fn(&Call) -> bool,
        f: impl FnOnce(&mut Call, &mut Io<'_>),
    ) {
        let found = self.calls.iter().find(|(_, call)| is_it(call)).map(|(key, _)| *key);
        let Some(key) = found else { return };
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let Owned::Call(call) = owned {
                f(call, io);
            }
        });
    }

    /// The call is over and its figures are in: the one record.
    fn bury(&mut self, now: Now, key: u64) {
        let Some(mut call) = self.calls.remove(&key) else { return };
        self.clear_timers(Owner::Call(key));
        let caller = call.caller.port();
        let parts: Vec<_> = call.record.open_ports().collect();
        for port in std::iter::once(caller).chain(parts) {
            if let Some(quality) = self.voices.latest(port) {
                call.record.on_closed(port, caller, quality);
            }
        }
        if let Some(cdr) = call.record.cdr(&call.id, Some(&call.line_id), call.presentation) {
            self.tell_record(now, cdr);
        }
    }

    /// A call is over: it is counted, and its record goes out.
    fn tell_record(&mut self, now: Now, cdr: Cdr) {
        if let Some(line) = cdr.line.as_ref().filter(|_| !cdr.test) {
            self.count_today(now, line, cdr.outcome);
            self.count_level(line, &cdr);
        }
        self.out.push_back(Output::Cdr(Box::new(cdr)));
    }

    fn clear_timers(&mut self, owner: Owner) {
        for timer in CallTimer::all() {
            self.timers.clear(&Timer::Call(owner, timer));
        }
    }

    fn on_command(&mut self, now: Now, command: Command) {
        self.unsettle();
        match command {
            Command::Configure(config, sip_config) => self.configure(now, config, *sip_config),
            Command::Rehearse(order) => self.rehearse(now, order),
            Command::Drain => self.mode = Mode::Draining,
            Command::Stop => self.stop(now),
            Command::RecordingLost(record) => {
                let has = |it: &Call| it.recording.current() == Some(record);
                self.with_call(now, has, Call::recording_lost);
            }
            Command::Request { request, who } => {
                let answer = self.on_asked(now, &request, &who);
                self.out.push_back(Output::Answer(answer));
            }
            Command::Override { line, over } => {
                let mut config = (*self.config).clone();
                if let Some(line) = config.lines.get_mut(&line) {
                    line.schedule.over = over;
                }
                self.config = Arc::new(config);
            }
        }
    }

    fn stop(&mut self, now: Now) {
        self.mode = Mode::Draining;
        let calls = self.calls.keys().map(|key| Owner::Call(*key));
        let internals = self.internals.keys().map(|key| Owner::Internal(*key));
        let summonses = self.summonses.keys().map(|key| Owner::Summons(*key));
        let rehearsals = self.rehearsals.keys().map(|key| Owner::Rehearsal(*key));
        let owners = calls.chain(internals).chain(summonses).chain(rehearsals);
        for owner in owners.collect::<Vec<_>>() {
            self.with_owner(now, owner, |owned, io| match owned {
                Owned::Call(call) => call.stop(io),
                Owned::Internal(internal) => internal.end(io),
                Owned::Summons(summons) => summons.cancel(io, Why::CallOver),
                Owned::Rehearsal(rehearsal) => rehearsal.end(io, Finish::CutShort),
            });
        }
    }

    fn next_key(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn new_call_id(&mut self) -> CallId {
        CallId(self.chance.token(10).into())
    }
}

/// What an owner turns out to be.
enum Owned<'a> {
    Call(&'a mut Call),
    Internal(&'a mut Internal),
    Summons(&'a mut Summons),
    Rehearsal(&'a mut Rehearsal),
}
