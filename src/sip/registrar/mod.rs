//! The registrar: where the extensions' phones are (RFC 3261 §10.3; instances and flows of RFC 5626
//! and 7118 as far as one hop needs them).
//!
//! Owns the bindings, their expiry, and whether each phone still answers. Does not check passwords:
//! the caller hands in REGISTERs that [`crate::sip::auth::Guard`] has let through, with the digest
//! username as `user`. Does not send: a binding names the flow that its REGISTER came by, and
//! requests for the phone go there with the Contact as Request-URI, whatever address the Contact
//! shows (NAT, `.invalid`). Phones that come back by another flow are `lost`'s.

mod keeping;
mod lost;
mod wish;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use super::header::{Name, NameAddr};
use super::message::Message;
use super::print::Draft;
use super::uri::Uri;
use super::{Config, Flow, Transport};
use crate::time::Timers;
use keeping::touch;
pub use lost::Moved;
use wish::{Entry, Refusal, Wish, is_same_place};

/// Longest User-Agent that is kept, in characters.
const USER_AGENT_MAX: usize = 80;

/// One registration of one Contact; a refresh is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u64);

/// Where a phone is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The Contact: what requests for the phone have as Request-URI.
    pub uri: String,
    /// Where requests for the phone go.
    pub flow: Flow,
    /// When it ends, unless refreshed.
    pub expires: Instant,
    /// `+sip.instance`: which device it is.
    pub instance: Option<String>,
    /// `reg-id`: which of the device's flows it is (RFC 5626).
    pub reg_id: Option<u32>,
    /// Call-ID of the REGISTER.
    pub call_id: String,
    /// CSeq number of the REGISTER.
    pub cseq: u32,
    /// What the phone calls itself; shortened.
    pub user_agent: String,
    user: String,
    /// Questions in a row that it did not answer.
    missed: u32,
}

/// A user's phones have appeared, or are all gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub user: String,
    /// At least one phone can be rung.
    pub reachable: bool,
}

/// How phones are asked (by OPTIONS) whether they are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Pause after an answer.
    pub every: Duration,
    /// Pause after a question without answer.
    pub retry: Duration,
    /// Questions in a row without answer after which a phone is not rung until it answers one.
    pub misses: u32,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { every: Duration::from_secs(30), retry: Duration::from_secs(2), misses: 2 }
    }
}

/// An OPTIONS to send; its outcome goes to [`Registrar::pulse_result`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whom it is about.
    pub binding: BindingId,
    /// Where to.
    pub flow: Flow,
    /// Request-URI.
    pub uri: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    Expiry(BindingId),
    Pulse(BindingId),
}

/// All bindings. Bounded by the number of accounts times `Config::max_contacts`, and for each some
/// that were lost.
#[derive(Default)]
pub struct Registrar {
    bindings: BTreeMap<BindingId, Binding>,
    /// Each user's, oldest first.
    by_user: BTreeMap<String, Vec<BindingId>>,
    by_peer: BTreeMap<(Transport, SocketAddr), Vec<BindingId>>,
    /// Those whose connection is gone, until they would have ended.
    lost: BTreeMap<BindingId, Binding>,
    /// What has not been told yet.
    moved: VecDeque<Moved>,
    timers: Timers<Deadline>,
    pulse: Option<Pulse>,
    /// Questions to be put; at most one a binding.
    questions: BTreeSet<BindingId>,
    /// Users with a phone that can be rung.
    reachable: BTreeSet<String>,
    /// What has not been told yet; at most one a user.
    changes: BTreeMap<String, bool>,
    next_id: u64,
    keeping: Option<keeping::Keeping>,
}

impl Registrar {
    /// A registrar without bindings. Without a `pulse`, phones are never asked.
    pub fn new(pulse: Option<Pulse>) -> Self {
        Self { pulse, ..Self::default() }
    }

    /// Does what an authenticated REGISTER of `user` asks for, all or nothing, and answers it.
    pub fn handle(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        user: &str,
        config: &Config,
    ) -> Draft {
        self.handle_timeout(now);
        match self.register(now, flow, request, user, config) {
            Ok(()) => self.listing(now, request, user),
            Err(Refusal::Malformed) => Draft::response(request, 400),
            Err(Refusal::NotTheirs) => Draft::response(request, 403),
            Err(Refusal::OutOfOrder) => Draft::response(request, 500),
            Err(Refusal::TooBrief(min)) => {
                Draft::response(request, 423).with(Name::MinExpires, min.as_secs())
            }
        }
    }

    /// The bindings by which `user` can be rung, the latest first. A device that registered by
    /// several flows is there once (RFC 5626 §7).
    pub fn bindings(&self, user: &str, now: Instant) -> impl Iterator<Item = &Binding> {
        let mut instances = BTreeSet::new();
        let all = self.of(user).filter(move |b| b.expires > now && self.is_answering(b));
        all.filter(move |b| b.instance.as_deref().is_none_or(|i| instances.insert(i)))
    }

    /// Whether a phone of `user` is registered, even one that does not answer.
    pub fn is_registered(&self, user: &str) -> bool {
        self.by_user.contains_key(user)
    }

    /// Whether a phone of that user is registered from that address, by whatever flow.
    pub fn is_at(&self, user: &str, ip: IpAddr) -> bool {
        let ids = self.by_user.get(user).into_iter().flatten();
        ids.filter_map(|id| self.bindings.get(id)).any(|it| it.flow.remote.ip() == ip)
    }

    /// Whose phone is behind that flow. With several users on one flow, the one who registered
    /// last.
    pub fn owner_of_flow(&self, flow: &Flow) -> Option<&str> {
        self.behind(flow).map(|(_, binding)| &*binding.user).next_back()
    }

    /// Whether a phone is registered from that address, by whatever flow.
    pub fn knows_address(&self, ip: IpAddr) -> bool {
        let last = match ip {
            IpAddr::V4(_) => SocketAddr::new(ip, u16::MAX),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, u16::MAX, u32::MAX, u32::MAX).into(),
        };
        let is_there = |transport| {
            let all = (transport, SocketAddr::new(ip, 0))..=(transport, last);
            self.by_peer.range(all).next().is_some()
        };
        [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().any(is_there)
    }

    /// Phones of `user` have failed to react to a call: none of them is rung until it answers a
    /// question, which is put at once. Returns whether there is any to ask.
    pub fn doubt(&mut self, now: Instant, user: &str) -> bool {
        let ids: Vec<_> = self.by_user.get(user).into_iter().flatten().copied().collect();
        self.doubt_all(now, &ids) && !ids.is_empty()
    }

    /// The network says that the far end of that flow can't be reached, which may pass: its phones
    /// are doubted.
    pub fn doubt_flow(&mut self, now: Instant, flow: &Flow) {
        let ids: Vec<_> = self.behind(flow).map(|(id, _)| id).collect();
        self.doubt_all(now, &ids);
    }

    /// False: phones are never asked, so they can't be doubted either.
    fn doubt_all(&mut self, now: Instant, ids: &[BindingId]) -> bool {
        let Some(pulse) = self.pulse else { return false };
        for id in ids {
            let Some(binding) = self.bindings.get_mut(id) else { continue };
            binding.missed = binding.missed.max(pulse.misses);
            touch(&mut self.keeping, *id);
            let user = binding.user.clone();
            self.timers.set(Deadline::Pulse(*id), now);
            self.note(&user);
        }
        true
    }

    /// Removes every binding of users that `is_known` does not know (any more).
    pub fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        let gone = self.bindings.iter().filter(|(_, b)| !is_known(&b.user)).map(|(id, _)| *id);
        gone.collect::<Vec<_>>().into_iter().for_each(|id| self.end(id));
        self.retain_lost(is_known);
    }

    /// Ends what has expired and finds out who is to be asked.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Deadline::Expiry(id) => self.end(id),
                Deadline::Pulse(id) => {
                    self.questions.insert(id);
                    if let Some(pulse) = self.pulse {
                        // Only in case that the outcome is never told.
                        self.timers.set(due, now + pulse.every * 4);
                    }
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().map(|(at, _)| at)
    }

    /// The next change, until `None`.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_first().map(|(user, reachable)| Change { user, reachable })
    }

    /// The next phone to ask, until `None`.
    pub fn poll_question(&mut self) -> Option<Question> {
        while let Some(id) = self.questions.pop_first() {
            if let Some(Binding { flow, uri, .. }) = self.bindings.get(&id) {
                return Some(Question { binding: id, flow: *flow, uri: uri.clone() });
            }
        }
        None
    }

    /// A phone answered a question (with whatever code), or did not. Bindings that are gone or
    /// refreshed meanwhile are not touched.
    pub fn pulse_result(&mut self, now: Instant, id: BindingId, answered: bool) {
        let (Some(pulse), Some(binding)) = (self.pulse, self.bindings.get_mut(&id)) else { return };
        binding.missed = if answered { 0 } else { binding.missed.saturating_add(1) };
        touch(&mut self.keeping, id);
        let user = binding.user.clone();
        let pause =
            if answered || binding.missed > pulse.misses { pulse.every } else { pulse.retry };
        self.timers.set(Deadline::Pulse(id), now + pause);
        self.note(&user);
    }

    fn register(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        user: &str,
        config: &Config,
    ) -> Result<(), Refusal> {
        let is_theirs = |addr: &NameAddr<'_>| {
            let uri = Uri::parse(addr.uri).ok();
            uri.as_ref().and_then(Uri::sip).and_then(|uri| uri.user.as_deref()) == Some(user)
        };
        let to = request.to().map_err(|_| Refusal::Malformed)?;
        let from = request.from().map_err(|_| Refusal::Malformed)?;
        if !is_theirs(&to) || !is_theirs(&from) {
            return Err(Refusal::NotTheirs);
        }
        let wish = Wish::read(request, config)?;
        let call_id = request.call_id().map_err(|_| Refusal::Malformed)?;
        let cseq = request.cseq().map_err(|_| Refusal::Malformed)?.seq;
        let is_query = matches!(wish, Wish::Query);
        if !is_query && self.of(user).any(|b| b.call_id == call_id && b.cseq >= cseq) {
            return Err(Refusal::OutOfOrder);
        }
        match wish {
            Wish::Query => {}
            Wish::RemoveAll => self.remove_where(user, |_| true),
            Wish::Update(entries) => {
                let agent = request.text(&Name::UserAgent).unwrap_or_default();
                let origin = Origin { now, flow, user, call_id, cseq, agent };
                entries.iter().for_each(|entry| self.follow(&origin, entry));
                self.remove_moved(user, call_id, &entries);
                for entry in entries {
                    self.update(&origin, entry, config.max_contacts.max(1));
                }
            }
        }
        self.note(user);
        Ok(())
    }

    /// A phone that has found out its address behind NAT registers it in place of the first one,
    /// which it may not remember to remove.
    fn remove_moved(&mut self, user: &str, call_id: &str, entries: &[Entry]) {
        if entries.iter().any(|e| !e.life.is_zero()) {
            let is_named = |b: &Binding| entries.iter().any(|e| is_same_place(&e.uri, &b.uri));
            self.remove_where(user, |b| b.call_id == call_id && !is_named(b));
        }
    }

    fn update(&mut self, origin: &Origin<'_>, entry: Entry, max: usize) {
        let user = origin.user;
        self.remove_where(user, |b| b.is_of(&entry));
        if entry.life.is_zero() {
            return;
        }
        let id = BindingId(self.next_id);
        self.next_id += 1;
        let expires = origin.now + entry.life;
        let binding = Binding {
            uri: entry.uri,
            flow: origin.flow,
            expires,
            instance: entry.instance,
            reg_id: entry.reg_id,
            call_id: origin.call_id.to_owned(),
            cseq: origin.cseq,
            user_agent: origin.agent.chars().take(USER_AGENT_MAX).collect(),
            user: user.to_owned(),
            missed: 0,
        };
        let asked = self.pulse.map(|pulse| origin.now + pulse.every);
        self.insert(id, binding, asked);
        while let Some([oldest, rest @ ..]) = self.by_user.get(user).map(Vec::as_slice)
            && rest.len() >= max
        {
            self.remove(*oldest);
        }
    }

    fn insert(&mut self, id: BindingId, binding: Binding, asked: Option<Instant>) {
        touch(&mut self.keeping, id);
        self.timers.set(Deadline::Expiry(id), binding.expires);
        if let Some(at) = asked {
            self.timers.set(Deadline::Pulse(id), at);
        }
        self.by_peer.entry(peer(&binding.flow)).or_default().push(id);
        self.by_user.entry(binding.user.clone()).or_default().push(id);
        self.bindings.insert(id, binding);
    }

    /// The 200: all bindings and the time that they have left.
    fn listing(&self, now: Instant, request: &Message, user: &str) -> Draft {
        let mut draft = Draft::response(request, 200);
        for binding in self.of(user) {
            let left = binding.expires.saturating_duration_since(now).as_secs();
            let mut value = format!("<{}>;expires={left}", binding.uri);
            if let Some(instance) = &binding.instance {
                value += &format!(r#";+sip.instance="{instance}""#);
            }
            if let Some(reg_id) = binding.reg_id {
                value += &format!(";reg-id={reg_id}");
            }
            draft.push(Name::Contact, value);
        }
        draft
    }

    /// All bindings of `user`, the latest first.
    fn of(&self, user: &str) -> impl Iterator<Item = &Binding> {
        let ids = self.by_user.get(user).into_iter().flatten().rev();
        ids.filter_map(|id| self.bindings.get(id))
    }

    fn is_answering(&self, binding: &Binding) -> bool {
        self.pulse.is_none_or(|pulse| binding.missed < pulse.misses)
    }

    /// The bindings behind `flow`, oldest first: same transport and far end, and the same
    /// connection where both name one.
    fn behind(&self, flow: &Flow) -> impl DoubleEndedIterator<Item = (BindingId, &Binding)> {
        let connection = flow.connection;
        let ids = self.by_peer.get(&peer(flow)).into_iter().flatten();
        let all = ids.filter_map(|id| Some((*id, self.bindings.get(id)?)));
        all.filter(move |(_, binding)| match (connection, binding.flow.connection) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => true,
        })
    }

    fn remove_where(&mut self, user: &str, is_meant: impl Fn(&Binding) -> bool) {
        let ids = self.by_user.get(user).into_iter().flatten().copied();
        let meant = ids.filter(|id| self.bindings.get(id).is_some_and(&is_meant));
        meant.collect::<Vec<_>>().into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// Removes a binding and tells what that changes.
    fn end(&mut self, id: BindingId) {
        if let Some(binding) = self.remove(id) {
            self.note(&binding.user);
        }
    }

    /// Removes a binding. The caller tells what that changes once it is done.
    fn remove(&mut self, id: BindingId) -> Option<Binding> {
        self.timers.clear(&Deadline::Expiry(id));
        self.timers.clear(&Deadline::Pulse(id));
        self.questions.remove(&id);
        touch(&mut self.keeping, id);
        self.lost.remove(&id);
        let binding = self.bindings.remove(&id)?;
        take_out(&mut self.by_user, &binding.user, id);
        take_out(&mut self.by_peer, &peer(&binding.flow), id);
        Some(binding)
    }

    /// Tells it when `user` has become reachable or unreachable.
    fn note(&mut self, user: &str) {
        let is_reachable = self.of(user).any(|b| self.is_answering(b));
        let was_reachable = self.reachable.contains(user);
        if is_reachable == was_reachable {
            return;
        }
        if is_reachable {
            self.reachable.insert(user.to_owned());
        } else {
            self.reachable.remove(user);
        }
        // Two changes that nobody has been told of undo each other.
        if self.changes.remove(user).is_none() {
            self.changes.insert(user.to_owned(), is_reachable);
        }
    }
}

/// What all Contacts of a REGISTER have in common.
struct Origin<'a> {
    now: Instant,
    flow: Flow,
    user: &'a str,
    call_id: &'a str,
    cseq: u32,
    agent: &'a str,
}

fn peer(flow: &Flow) -> (Transport, SocketAddr) {
    (flow.transport, flow.remote)
}

/// Takes `id` out of a list of the index, and the list with its last one.
fn take_out<K, Q>(index: &mut BTreeMap<K, Vec<BindingId>>, key: &Q, id: BindingId)
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
