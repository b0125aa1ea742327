//! Phones that change their flow: those lost with a connection, and how they are known again.
//!
//! Owns what is remembered of a binding whose connection is gone. Nobody is rung by it; it says
//! which calls are a phone's that connects and registers again (RFC 5626 §7).

use std::time::Instant;

use super::wish::{Entry, is_same_place};
use super::{Binding, BindingId, Deadline, Origin, Registrar, touch};
use crate::sip::Flow;

/// Lost phones of one user that are remembered.
const LOST_MAX: usize = 8;

/// A phone that registered by one stream does so by another now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// By which it did before.
    pub from: Flow,
    /// By which it is reached.
    pub to: Flow,
}

impl Binding {
    /// Whether it is the same place, or the same flow of the same device.
    pub(super) fn is_of(&self, entry: &Entry) -> bool {
        let is_same_device = entry.instance.is_some()
            && entry.instance == self.instance
            && entry.reg_id == self.reg_id;
        is_same_place(&entry.uri, &self.uri) || is_same_device
    }
}

impl Registrar {
    /// The far end of that flow is gone (connection lost): its phones can't be rung any more, and
    /// are known again when they come back before their bindings would have ended.
    pub fn flow_gone(&mut self, now: Instant, flow: &Flow) {
        self.handle_timeout(now);
        let gone: Vec<_> = self.behind(flow).map(|(id, _)| id).collect();
        gone.into_iter().for_each(|id| self.lose(id));
    }

    /// The next phone that has moved, until `None`.
    pub fn poll_moved(&mut self) -> Option<Moved> {
        self.moved.pop_front()
    }

    fn lose(&mut self, id: BindingId) {
        let Some(binding) = self.remove(id) else { return };
        self.note(&binding.user);
        if !binding.flow.transport.is_stream() {
            return;
        }
        let of_user = self.lost.iter().filter(|(_, it)| it.user == binding.user);
        let known: Vec<_> = of_user.map(|(id, _)| *id).collect();
        if let [oldest, ..] = known[..]
            && known.len() >= LOST_MAX
        {
            self.remove(oldest);
        }
        self.timers.set(Deadline::Expiry(id), binding.expires);
        self.lost.insert(id, binding);
    }

    /// Forgets the lost phones of users that are not known.
    pub(super) fn retain_lost(&mut self, is_known: impl Fn(&str) -> bool) {
        let gone = self.lost.iter().filter(|(_, it)| !is_known(&it.user)).map(|(id, _)| *id);
        gone.collect::<Vec<_>>().into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// A phone registers by a stream: whether it was behind another before. It has the same place,
    /// is the same device, or goes on with its series of REGISTERs (RFC 3261 §10.2).
    pub(super) fn follow(&mut self, origin: &Origin<'_>, entry: &Entry) {
        if entry.life.is_zero() || !origin.flow.transport.is_stream() {
            return;
        }
        let is_it =
            |b: &Binding| b.user == origin.user && (b.is_of(entry) || b.call_id == origin.call_id);
        let was_by = |b: &Binding| b.flow.transport.is_stream() && b.flow != origin.flow;
        let back: Vec<_> =
            self.lost.iter().filter(|(_, b)| is_it(b)).map(|(id, b)| (*id, b.flow)).collect();
        let moved = self.of(origin.user).filter(|b| is_it(b) && was_by(b)).map(|b| b.flow);
        let from: Vec<_> = back.iter().map(|(_, flow)| *flow).chain(moved).collect();
        self.moved.extend(from.into_iter().map(|from| Moved { from, to: origin.flow }));
        for (id, _) in back {
            self.lost.remove(&id);
            self.timers.clear(&Deadline::Expiry(id));
            touch(&mut self.keeping, id);
        }
    }
}
