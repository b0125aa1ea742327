//! Whether a peer's packets come: silence, and audio that goes one way only.
//!
//! Owns three watches. [`Life`] looks at everything that shows the peer is there, RTCP too, and
//! leads to [`Event::Silent`]: is the peer gone? [`Ways`] looks at RTP alone and only while our
//! packets go and the peer, in a call that is answered, may speak, and leads to [`Event::OneWay`]:
//! do the two hear each other? With the times as they come, a peer that stops is told of first as
//! one-way (3 s), then as silent (4 s) unless its RTCP goes on. [`Receipts`] reads in the peer's
//! RTCP, in a call that is answered, whether our packets arrive; it can be no faster than the
//! peer's reports. None of them ends a call.
//! A peer that hears a mix and is itself heard by nobody (a supervisor who listens) owes nothing.
//!
//! A phone that mutes by sending nothing can't be told from a broken way until it speaks again: its
//! sequence then goes on without a hole. So it is told of once; after that its pauses are its
//! habit, until signaling names another address. Where packets were lost, the watch begins anew.

use std::time::{Duration, Instant};

use crate::media::{Event, PortId, Way};

/// Whether anything comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nothing has come so far: nothing can be said. Some peers never send a packet and are well.
    Unheard,
    /// The last came then.
    Heard(Instant),
    /// It was heard in the process before this one, which ended then; whether it is still there is
    /// not known, and whoever wonders is told.
    Before(Instant),
    /// It has stopped, and that has been told.
    Silent,
}

impl Life {
    /// The life of which this was kept, from now on.
    pub(super) fn resumed(now: Instant, kept: u8) -> Self {
        match kept {
            0 => Self::Unheard,
            1 => Self::Before(now),
            _ => Self::Silent,
        }
    }

    /// What is kept of it.
    pub(super) fn keep(self) -> u8 {
        match self {
            Self::Unheard => 0,
            Self::Heard(_) | Self::Before(_) => 1,
            Self::Silent => 2,
        }
    }

    /// Something has come.
    pub(super) fn hear(&mut self, now: Instant, port: PortId) -> Option<Event> {
        let before = std::mem::replace(self, Self::Heard(now));
        matches!(before, Self::Silent | Self::Before(_)).then_some(Event::Resumed { port })
    }

    /// What the peer owed so far counts no more: it begins to owe now.
    pub(super) fn excuse(&mut self, now: Instant) {
        match self {
            Self::Unheard => {}
            Self::Before(since) => *since = now,
            Self::Heard(_) | Self::Silent => *self = Self::Heard(now),
        }
    }

    /// Lets time pass for a peer that may send.
    pub(super) fn tick(&mut self, at: Instant, after: Duration, port: PortId) -> Option<Event> {
        match *self {
            Self::Heard(last) | Self::Before(last) if at >= last + after => {
                *self = Self::Silent;
                Some(Event::Silent { port })
            }
            Self::Heard(_) | Self::Before(_) | Self::Unheard | Self::Silent => None,
        }
    }
}

/// A hole in the sequence up to this is no loss of three seconds.
const HOLE_MAX: u16 = 50;

/// Whether audio goes both ways.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    state: State,
    /// Since when packets are owed and none has come; `None` while none is owed.
    since: Option<Instant>,
    /// SSRC and sequence of the last packet.
    last: Option<(u32, u16)>,
    told: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Packets are waited for.
    #[default]
    Watching,
    /// None came, and that has been told.
    OneWay,
    /// The peer sends nothing when it has nothing to say.
    Quiet,
}

impl Ways {
    /// How often one-way audio was told of.
    pub(super) fn told(&self) -> u32 {
        self.told
    }

    /// Signaling names another place: what was known of the peer's habits is void.
    pub(super) fn anew(&mut self) {
        if self.state == State::Quiet {
            self.state = State::Watching;
        }
        (self.since, self.last) = (None, None);
    }

    /// A packet has come.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        (ssrc, sequence): (u32, u16),
        port: PortId,
    ) -> Option<Event> {
        let last = self.last.replace((ssrc, sequence));
        self.since = self.since.map(|_| now);
        if self.state != State::OneWay {
            return None;
        }
        let goes_on = last.is_some_and(|(last_ssrc, last)| {
            last_ssrc == ssrc && sequence.wrapping_sub(last) <= HOLE_MAX
        });
        self.state = if goes_on { State::Quiet } else { State::Watching };
        Some(Event::BothWays { port, way: Way::FromPeer })
    }

    /// Lets time pass. `is_owed`: our packets go, the peer may speak, and the call is
    /// answered.
    pub(super) fn tick(
        &mut self,
        at: Instant,
        is_owed: bool,
        after: Duration,
        port: PortId,
    ) -> Option<Event> {
        if !is_owed {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(at);
        if self.state != State::Watching || at < since + after {
            return None;
        }
        self.state = State::OneWay;
        self.told += 1;
        Some(Event::OneWay { port, way: Way::FromPeer })
    }
}

/// Reports in a row by which nothing arrived: one may have crossed with the first packets.
const EMPTY_MAX: u8 = 2;
/// Packets that must have gone out between two reports before the later one is expected to name
/// one of them.
const SENT_MIN: u64 = 100;

/// Whether our packets arrive, by the peer's RTCP. Of a peer that sends none nothing is said.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipts {
    /// The newest of our packets that the peer has named: SSRC and extended sequence number.
    newest: Option<(u32, u32)>,
    /// What had gone out when the last report came that counted.
    sent: u64,
    /// Reports in a row by which nothing arrived.
    empty: u8,
    is_unheard: bool,
    told: u32,
}

impl Receipts {
    /// How often it was told that nothing arrives.
    pub(super) fn told(&self) -> u32 {
        self.told
    }

    /// Signaling names another place, or the call is not answered: what arrived so far says
    /// nothing.
    pub(super) fn anew(&mut self, sent: u64) {
        (self.sent, self.empty) = (sent, 0);
    }

    /// A report has come, after `sent` packets. `named`: the newest of ours that it tells of;
    /// `None`: it tells of none.
    pub(super) fn report(
        &mut self,
        sent: u64,
        named: Option<(u32, u32)>,
        port: PortId,
    ) -> Option<Event> {
        if named.is_some() && named != self.newest {
            self.newest = named;
            self.anew(sent);
            let was_unheard = std::mem::take(&mut self.is_unheard);
            return was_unheard.then_some(Event::BothWays { port, way: Way::ToPeer });
        }
        if sent < self.sent + SENT_MIN {
            return None;
        }
        self.sent = sent;
        self.empty = self.empty.saturating_add(1);
        if self.empty < EMPTY_MAX || self.is_unheard {
            return None;
        }
        self.is_unheard = true;
        self.told += 1;
        Some(Event::OneWay { port, way: Way::ToPeer })
    }
}
