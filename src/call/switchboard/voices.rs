//! The live figures of every leg, and the alarm when audio goes one way only.
//!
//! Owns the latest [`Quality`] of each open port. What it counts is the media plane's, who shows it
//! the board's and the shell's.

use std::collections::BTreeMap;

use super::{Output, Switchboard};
use crate::call::board::LegView;
use crate::call::config::Role;
use crate::call::io::Owner;
use crate::call::voice::{News, Side, Voice};
use crate::call::{Bridge, Call};
use crate::media::{Event, PortId, Quality, Recent, Way};
use crate::time::Now;

/// One leg, while its port is open.
struct Leg {
    side: Side,
    quality: Quality,
    recent: Option<Recent>,
    is_one_way: bool,
    is_unheard: bool,
}

/// The legs by their ports: as many as there are ports.
#[derive(Default)]
pub(super) struct Voices(BTreeMap<PortId, Leg>);

impl Voices {
    /// What the board shows of a leg.
    fn view(&self, port: PortId) -> Option<LegView> {
        let Leg { side, quality, recent, is_one_way, is_unheard } = *self.0.get(&port)?;
        Some(LegView { side, quality, recent, is_one_way, is_unheard })
    }

    /// The latest figures of a port that has not closed.
    pub(super) fn latest(&self, port: PortId) -> Option<Quality> {
        self.0.get(&port).map(|leg| leg.quality)
    }

    /// The last figures of a port that closes. A media thread that could not be asked tells
    /// nothing; then the last that it had told stand.
    fn close(&mut self, port: PortId, told: Quality) -> Option<(Side, Quality)> {
        let Leg { side, quality, .. } = self.0.remove(&port)?;
        Some((side, if told == Quality::default() { quality } else { told }))
    }
}

impl Switchboard {
    /// Takes from an event what it says of a voice. The event comes back with figures where it had
    /// none.
    pub(super) fn hear(&mut self, now: Now, event: &Event) -> Event {
        match *event {
            Event::Opened { port } => {
                let side = self.side(port);
                let (quality, recent) = (Quality::default(), None);
                let leg = Leg { side, quality, recent, is_one_way: false, is_unheard: false };
                self.voices.0.insert(port, leg);
            }
            Event::OpenFailed { port } => drop(self.voices.0.remove(&port)),
            Event::Measured { port, quality, recent } => {
                if let Some(leg) = self.voices.0.get_mut(&port) {
                    (leg.quality, leg.recent) = (quality, recent);
                }
            }
            Event::OneWay { port, way } => self.alarm(now, port, way, true),
            Event::BothWays { port, way } => self.alarm(now, port, way, false),
            Event::Closed { port, quality } => {
                if let Some((side, quality)) = self.voices.close(port, quality) {
                    if quality.received + quality.sent > 0 {
                        self.tell(port, side, News::Closed(quality));
                    }
                    return Event::Closed { port, quality };
                }
            }
            Event::Heard { .. }
            | Event::Digit { .. }
            | Event::Played { .. }
            | Event::Silent { .. }
            | Event::Resumed { .. } => {}
        }
        event.clone()
    }

    /// One-way audio has begun, or is over. The board shows it at once.
    fn alarm(&mut self, now: Now, port: PortId, way: Way, is_on: bool) {
        let Some(leg) = self.voices.0.get_mut(&port) else { return };
        let was_on = match way {
            Way::FromPeer => &mut leg.is_one_way,
            Way::ToPeer => &mut leg.is_unheard,
        };
        if std::mem::replace(was_on, is_on) == is_on {
            return;
        }
        let side = leg.side;
        self.tell(port, side, if is_on { News::OneWay(way) } else { News::BothWays(way) });
        self.draw_soon(now);
    }

    fn tell(&mut self, port: PortId, side: Side, news: News) {
        let call = match self.ports.owner(port) {
            Some(Owner::Call(key)) => match self.calls.get(&key) {
                // A test call is in no figure.
                Some(call) if call.record.is_trial() => return,
                call => call.map(|call| call.id.clone()),
            },
            Some(Owner::Internal(_) | Owner::Summons(_)) | None => None,
        };
        self.out.push_back(Output::Voice(Voice { call, side, news }));
    }

    /// Whose voice comes by that port.
    fn side(&self, port: PortId) -> Side {
        match self.ports.owner(port) {
            Some(Owner::Call(key)) => match self.calls.get(&key) {
                Some(call) if call.caller.port() == port => Side::Caller,
                Some(call) if call.bridge().is_some_and(|b| b.supervisor_port() == Some(port)) => {
                    Side::Supervisor
                }
                Some(_) | None => Side::Counselor,
            },
            Some(Owner::Internal(key)) => {
                let by = self.internals.get(&key).and_then(|internal| internal.dialer_at(port));
                match by.and_then(|extension| self.config.counselors.get(extension)) {
                    Some(c) if c.role == Role::Supervisor => Side::Supervisor,
                    Some(_) | None => Side::Counselor,
                }
            }
            Some(Owner::Summons(_)) => Side::Supervisor,
            None => Side::Counselor,
        }
    }

    /// The legs of a call, for the board: the caller's, the counselor's who talks, and that of a
    /// supervisor.
    pub(super) fn leg_views(&self, call: &Call) -> Vec<LegView> {
        let bridge = call.bridge();
        let counselor = bridge.map(|bridge| bridge.leg.port());
        let supervisor = bridge.and_then(Bridge::supervisor_port);
        let ports = [Some(call.caller.port()), counselor, supervisor].into_iter().flatten();
        ports.filter_map(|port| self.voices.view(port)).collect()
    }
}
