//! What a stage may touch: the SIP stack, the media plane, timers and chance, for one owner.
//!
//! Owns [`Io`], [`Owner`], [`Timer`] and [`Output`]. Decides nothing: a stage asks, this passes it
//! on and keeps the indexes (session → owner, port → owner) right.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::board::Board;
use super::cdr::{CallId, Cdr};
use super::config::{Extension, LineId, SupervisionMode, TrunkId};
use super::deed::{Actor, Deed, Denial};
use super::intention::Intention;
use super::journal::Key;
use super::piece::Rehearsed;
use super::places::{Order, Places};
use super::repeat::Repeat;
use super::voice::Voice;
use crate::chance::Chance;
use crate::media::pool::PortPool;
use crate::media::{self, PlayId, PortId, RecordId};
use crate::sip::endpoint::Endpoint;
use crate::sip::{self, SessionId};
use crate::time::{Anchor, Now, Timers, Timestamp};

/// What the switchboard wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Bytes to a peer.
    Sip(sip::Transmit),
    /// To the media thread of the port's shard.
    Media(media::Command),
    /// A call is over: its record.
    Cdr(Box<Cdr>),
    /// A counselor chose: keep it.
    Intention {
        /// Who.
        extension: Extension,
        /// What.
        intention: Intention,
        /// Who chose it.
        who: Actor,
    },
    /// The board has changed.
    Board(Box<Board>),
    /// A step of a call, for the log.
    Step(Step),
    /// To whoever writes recordings down.
    Recording(Recording),
    /// Somebody did something that is kept in the audit trail; told before it takes effect.
    Deed(Deed),
    /// The answer to the request that was given last.
    Answer(Result<(), Denial>),
    /// News of a leg's voice, for the log and the metrics.
    Voice(Voice),
    /// News of a rehearsal, for whoever wanted it.
    Rehearsed(Rehearsed),
    /// Sessions and calls that are gone, to be taken out of the journal: after all else that the
    /// same inputs bring. Their record ([`Self::Cdr`]) is to be in the store for good or in the
    /// journal when they are forgotten: a record that is written twice is written once, one that is
    /// forgotten is lost.
    Forget(Vec<Key>),
}

/// What the writer of recordings is told; what is said itself comes from the media plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recording {
    /// What comes under this name is to be written. Told before the media plane is.
    Begin {
        /// The recording's name in the media plane.
        record: RecordId,
        /// Whose words.
        call: CallId,
        /// Which conversation of the call, from 1: a transfer begins another.
        part: u32,
        /// The line.
        line: LineId,
        /// When the conversation began.
        started: Timestamp,
    },
    /// The conversation is over, and the media plane was told so.
    End {
        /// Which.
        record: RecordId,
    },
}

/// One step of a call in words, without any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which call.
    pub call: CallId,
    /// What happened.
    pub what: String,
}

/// Who owns a session, a port, a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A caller's call.
    Call(u64),
    /// A call by an extension: a code, or a colleague.
    Internal(u64),
    /// A supervisor's phone being rung.
    Summons(u64),
    /// A phone to which a prompt is played, or by which one is recorded.
    Rehearsal(u64),
}

/// A deadline of a call; at most one of each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallTimer {
    /// The prompts should have ended by now, or no key was pressed.
    Guidance,
    /// The caller has waited `max_wait`.
    MaxWait,
    /// Time to say something to the waiting caller.
    Announce,
    /// Nobody has been on duty for too long.
    NoCounselor,
    /// A failed offer is over: the caller may be offered again.
    Retry,
    /// The counselor has been rung long enough.
    Ring,
    /// Phones that have said nothing so far are given up.
    SignOfLife,
    /// A silent counselor's phone is asked again.
    Probe,
    /// A silent caller's phone is asked again.
    CallerProbe,
    /// A supervisor's phone is asked whether it is there.
    SupervisorProbe,
    /// What a counselor's keys began is no code.
    Keys,
    /// A transfer's ring has lasted long enough.
    Transfer,
    /// A tone before the service ends, by its place in the configuration.
    Tone(u8),
    /// The caller has been silent and without answer for too long.
    CallerLost,
    /// The record no longer waits for the media plane.
    Record,
}

impl CallTimer {
    /// Every deadline that a call may have.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [
            Self::Guidance,
            Self::MaxWait,
            Self::Announce,
            Self::NoCounselor,
            Self::Retry,
            Self::Ring,
            Self::SignOfLife,
            Self::Probe,
            Self::CallerProbe,
            Self::SupervisorProbe,
            Self::Keys,
            Self::Transfer,
            Self::CallerLost,
            Self::Record,
        ]
        .into_iter()
        .chain((0..TONES_MAX).map(Self::Tone))
    }
}

/// Tones before the end of the service that a line may have.
pub(super) const TONES_MAX: u8 = 8;

/// A deadline of the switchboard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Of a call.
    Call(Owner, CallTimer),
    /// A counselor's wrap-up ends.
    WrapUp(Extension),
    /// A phone that could not be reached may be tried again.
    Phone(Extension),
    /// A trunk's registration has something to do.
    Registration(TrunkId, usize),
    /// A trunk is asked with OPTIONS.
    Ping(TrunkId),
    /// The board is drawn.
    Board,
    /// The hours of some line may have changed.
    Hours,
    /// The test call's time is over.
    Trial,
    /// Some caller may be connected again.
    Repeat,
}

/// The ports of the media plane: numbers, names, and who owns each.
pub(super) struct Ports {
    pool: PortPool,
    next: u32,
    shards: u8,
    owners: BTreeMap<PortId, (Owner, u16)>,
}

impl Ports {
    pub(super) fn new(config: &media::Config) -> Self {
        let shards = config.threads.max(1);
        Self { pool: PortPool::new(config), next: 0, shards, owners: BTreeMap::new() }
    }

    /// The shard for a new call: they take turns.
    pub(super) fn shard(&self, call: u64) -> u8 {
        (call % u64::from(self.shards)) as u8
    }

    pub(super) fn owner(&self, port: PortId) -> Option<Owner> {
        self.owners.get(&port).map(|(owner, _)| *owner)
    }

    /// The media thread of a port that was open before a restart: there may be fewer now.
    pub(super) fn shard_of(&self, port: PortId) -> u8 {
        port.shard % self.shards
    }

    /// Takes a port that was open before a restart. `false`: somebody has it already.
    pub(super) fn claim(&mut self, owner: Owner, port: PortId, number: u16) -> bool {
        if self.owners.contains_key(&port) || !self.pool.claim(number) {
            return false;
        }
        self.next = self.next.max(port.n);
        self.owners.insert(port, (owner, number));
        true
    }

    /// The port is closed (or never opened): its number rests, then serves again.
    pub(super) fn closed(&mut self, now: Instant, port: PortId) {
        if let Some((_, number)) = self.owners.remove(&port) {
            self.pool.give_back(now, number);
        }
    }
}

/// What one owner may touch, for the length of one input.
pub(super) struct Io<'a> {
    pub(super) now: Now,
    pub(super) owner: Owner,
    pub(super) sip: &'a mut Endpoint,
    pub(super) out: &'a mut VecDeque<Output>,
    pub(super) ports: &'a mut Ports,
    pub(super) sessions: &'a mut BTreeMap<SessionId, Owner>,
    pub(super) timers: &'a mut Timers<Timer>,
    pub(super) chance: &'a mut Chance,
    pub(super) plays: &'a mut u64,
    pub(super) records: &'a mut u64,
    pub(super) places: &'a mut i64,
    /// Who waits where.
    pub(super) queues: &'a Places,
    /// Counselors who are ready and reachable, busy ones included.
    pub(super) on_duty: &'a BTreeMap<LineId, usize>,
    pub(super) draining: bool,
    /// Callers who are not to be connected again for a while.
    pub(super) repeat: &'a Repeat,
    /// What supervisors may do: the switchboard's, because it binds who is in a call already.
    pub(super) modes: &'a [SupervisionMode],
}

/// The deadlines of one owner, as they are kept.
pub(super) struct Clock<'a> {
    pub(super) anchor: &'a Anchor,
    pub(super) timers: &'a Timers<Timer>,
    pub(super) owner: Owner,
}

impl Clock<'_> {
    /// When one of them is due.
    pub(super) fn at(&self, timer: CallTimer) -> Option<u64> {
        let at = self.timers.at(&Timer::Call(self.owner, timer))?;
        Some(self.anchor.nanos(at))
    }
}

impl Io<'_> {
    pub(super) fn media(&mut self, command: media::Command) {
        self.out.push_back(Output::Media(command));
    }

    pub(super) fn step(&mut self, call: &CallId, what: impl Into<String>) {
        self.out.push_back(Output::Step(Step { call: call.clone(), what: what.into() }));
    }

    pub(super) fn deed(&mut self, deed: Deed) {
        self.out.push_back(Output::Deed(deed));
    }

    pub(super) fn set(&mut self, timer: CallTimer, after: Duration) {
        self.timers.set(Timer::Call(self.owner, timer), self.now.mono + after);
    }

    pub(super) fn set_at(&mut self, timer: CallTimer, at: Instant) {
        self.timers.set(Timer::Call(self.owner, timer), at);
    }

    pub(super) fn is_set(&self, timer: CallTimer) -> bool {
        self.timers.at(&Timer::Call(self.owner, timer)).is_some()
    }

    pub(super) fn clear(&mut self, timer: CallTimer) {
        self.timers.clear(&Timer::Call(self.owner, timer));
    }

    pub(super) fn play_id(&mut self) -> PlayId {
        *self.plays += 1;
        PlayId(*self.plays)
    }

    /// A name for a recording of two ports of this shard.
    pub(super) fn record_id(&mut self, shard: u8) -> RecordId {
        *self.records += 1;
        RecordId { n: *self.records, shard }
    }

    /// The last place in the order of service.
    pub(super) fn next_place(&mut self) -> Order {
        *self.places += 1;
        Order(*self.places)
    }

    /// Takes a port number and asks the media plane to bind it. `None`: all are in use.
    pub(super) fn open_port(
        &mut self,
        local: SocketAddr,
        shard: u8,
        dscp: u8,
    ) -> Option<(PortId, u16)> {
        let number = self.ports.pool.take(self.now.mono)?;
        self.ports.next = self.ports.next.wrapping_add(1);
        let port = PortId { n: self.ports.next, shard };
        self.ports.owners.insert(port, (self.owner, number));
        let local = SocketAddr::new(local.ip(), number);
        self.media(media::Command::Open { port, local, dscp });
        Some((port, number))
    }

    /// This owner answers for the session from here on.
    pub(super) fn own_session(&mut self, session: SessionId) {
        self.sessions.insert(session, self.owner);
    }

    /// This owner answers for the port from here on.
    pub(super) fn own_port(&mut self, port: PortId) {
        let owner = self.owner;
        if let Some((of_port, _)) = self.ports.owners.get_mut(&port) {
            *of_port = owner;
        }
    }

    /// The place on a line, from 1, of this owner's call with this order.
    pub(super) fn place(&self, line: &LineId, order: Order) -> u32 {
        match self.owner {
            Owner::Call(key) => self.queues.place(line, order, key),
            Owner::Internal(_) | Owner::Summons(_) | Owner::Rehearsal(_) => 1,
        }
    }

    /// Counselors of a line who are ready and reachable, busy ones included.
    pub(super) fn on_duty(&self, line: &LineId) -> usize {
        self.on_duty.get(line).copied().unwrap_or_default()
    }
}
