//! Who is next, and who is rung for them: everything that follows from the state of all calls and
//! counselors, worked out anew after each change so that nothing can get stuck.
//!
//! Owns who is served next, and the strategies. The order of the queues is `places`'.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{Call, Owner, Phase, Switchboard, Timer};
use crate::call::bridge::{Bridge, HelpRing};
use crate::call::config::{Extension, LineId, Srtp, Strategy};
use crate::call::counselor::Activity;
use crate::call::intention::Intention;
use crate::call::io::CallTimer;
use crate::call::leg::Place;
use crate::call::places::{Order, Places};
use crate::call::queue::Waiting;
use crate::call::rehearsal::Rehearsal;
use crate::call::ring::Candidate;
use crate::media::Codec;
use crate::sip::header::Name;
use crate::sip::{Flow, Invite};
use crate::time::Now;

/// Whether those count who do nothing but supervise, or are rung or dial for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watchers {
    Counted,
    Unseen,
}

/// What settling reads of one call, internal call or summons: as long as it stays the same,
/// nothing need be worked out anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Of a caller who waits: the line, the order, whether they may be offered.
    place: Option<(LineId, Order, bool)>,
    is_bridged: bool,
    is_supervised: bool,
    help: Option<HelpRing>,
    busy: Vec<(Extension, Activity)>,
}

impl Standing {
    fn of(call: &Call) -> Self {
        let place = |w: &Waiting| (call.line_id.clone(), w.order, w.may_be_offered());
        Self {
            place: call.waiting().map(place),
            is_bridged: call.bridge().is_some(),
            is_supervised: call.bridge().is_some_and(|b| b.supervisor().is_some()),
            help: call.bridge().and_then(Bridge::help_ring),
            busy: call.busy(),
        }
    }

    /// Of whoever is no caller's call.
    fn busy(busy: Vec<(Extension, Activity)>) -> Self {
        Self { busy, ..Self::default() }
    }

    fn note_in(&self, places: &mut Places, key: u64) {
        let place = self.place.as_ref().map(|(line, order, _)| (line, *order));
        places.note(key, place, self.is_bridged || !self.busy.is_empty());
    }
}

impl Switchboard {
    /// How a call stands now; `None`: there is no such call any more.
    pub(super) fn note_place(&mut self, key: u64, standing: Option<&Standing>) {
        match standing {
            Some(standing) => standing.note_in(&mut self.queues, key),
            None => self.queues.note(key, None, false),
        }
    }

    /// What the index of the queues should be, by a walk over all calls.
    pub(super) fn places(&self) -> Places {
        let mut all = Places::default();
        for (key, call) in &self.calls {
            Standing::of(call).note_in(&mut all, *key);
        }
        all
    }

    /// To be called when a panic has been contained: whatever it left half done, who waits and who
    /// is busy is read off the calls anew.
    pub fn after_fault(&mut self) {
        self.queues = self.places();
        self.staffed.clear();
        self.unsettle();
    }

    /// Works out places, who is on duty and whom to ring, if any of it may have changed. The board
    /// follows in any case.
    pub(super) fn settle(&mut self, now: Now) {
        if self.is_unsettled {
            self.end_vain_summonses(now);
            self.ring_for_help(now);
            // What dispatching changes is looked at again after the next input.
            self.is_unsettled = false;
            self.count_duty();
            self.watch_duty(now);
            self.dispatch(now);
        }
        self.draw_soon(now);
        self.is_dirty = false;
    }

    /// What settling reads has changed, or may have.
    pub(super) fn unsettle(&mut self) {
        self.is_dirty = true;
        self.is_unsettled = true;
    }

    /// What settling reads of an owner; `None`: there is no such owner.
    pub(super) fn standing(&self, owner: Owner) -> Option<Standing> {
        match owner {
            Owner::Call(key) => self.calls.get(&key).map(Standing::of),
            Owner::Internal(key) => {
                self.internals.get(&key).map(|internal| Standing::busy(internal.extensions()))
            }
            Owner::Rehearsal(key) => {
                let busy = |it: &Rehearsal| Standing::busy(it.busy().into_iter().collect());
                self.rehearsals.get(&key).map(busy)
            }
            Owner::Summons(key) => self.summonses.get(&key).map(|summons| {
                let ringing = summons.extensions().into_iter().map(|e| (e, Activity::Ringing));
                Standing::busy(ringing.collect())
            }),
        }
    }

    /// What every counselor does, read off the live calls.
    pub(super) fn activities(&self) -> BTreeMap<Extension, Activity> {
        self.activities_besides(None)
    }

    /// The same without one call by an extension.
    pub(super) fn activities_besides(&self, besides: Option<u64>) -> BTreeMap<Extension, Activity> {
        self.activities_of(besides, Watchers::Counted)
    }

    /// What every counselor does, with or without those who supervise.
    pub(super) fn activities_of(
        &self,
        besides: Option<u64>,
        watchers: Watchers,
    ) -> BTreeMap<Extension, Activity> {
        let mut busy = BTreeMap::new();
        self.each_busy(besides, watchers, |extension, activity| {
            let seen = busy.entry(extension.clone()).or_insert(activity);
            *seen = (*seen).max(activity);
        });
        busy
    }

    /// Shows everybody who is in a call or rung to `f`, once for each.
    fn each_busy(
        &self,
        besides: Option<u64>,
        watchers: Watchers,
        mut f: impl FnMut(&Extension, Activity),
    ) {
        let is_seen = watchers == Watchers::Counted;
        for call in self.queues.engaged().filter_map(|key| self.calls.get(&key)) {
            let watcher = call.bridge().and_then(|bridge| bridge.supervisor());
            call.each_busy(|extension, activity| {
                if is_seen || watcher != Some(extension) {
                    f(extension, activity);
                }
            });
        }
        let others = self.internals.iter().filter(|(key, internal)| {
            Some(**key) != besides && (is_seen || !internal.is_to_supervise())
        });
        for (_, internal) in others {
            internal.extensions().iter().for_each(|(extension, activity)| f(extension, *activity));
        }
        for summons in self.summonses.values().filter(|_| is_seen) {
            summons.extensions().iter().for_each(|extension| f(extension, Activity::Ringing));
        }
        for (extension, activity) in self.rehearsals.values().filter_map(Rehearsal::busy) {
            f(&extension, activity);
        }
    }

    /// Counts who is on duty.
    pub(super) fn count_duty(&mut self) {
        let mut talking = BTreeSet::new();
        self.each_busy(None, Watchers::Counted, |extension, activity| {
            if activity == Activity::Talking && self.counselors.is_away(extension) {
                talking.insert(extension.clone());
            }
        });
        self.on_duty = self.counselors.on_duty(&self.config, &talking);
    }

    /// A caller who waits for nobody is told so after `max_wait_no_counselor`; not before the time
    /// of one ring is over since a phone went, because a phone that changes its connection is away
    /// for seconds.
    fn watch_duty(&mut self, now: Now) {
        for line_id in self.queues.lines().cloned().collect::<Vec<_>>() {
            let is_staffed = self.on_duty.get(&line_id).is_some_and(|count| *count > 0);
            if is_staffed && self.staffed.contains(&line_id) {
                continue;
            }
            for key in self.queues.queue(&line_id).collect::<Vec<_>>() {
                self.watch_duty_for(now, key, &line_id, is_staffed);
            }
            if is_staffed {
                self.staffed.insert(line_id);
            } else {
                self.staffed.remove(&line_id);
            }
        }
    }

    fn watch_duty_for(&mut self, now: Now, key: u64, line_id: &LineId, is_staffed: bool) {
        let Some(call) = self.calls.get(&key) else { return };
        let timer = Timer::Call(Owner::Call(key), CallTimer::NoCounselor);
        match (is_staffed, self.timers.at(&timer)) {
            (true, None) | (false, Some(_)) => return,
            (true, Some(_)) => self.timers.clear(&timer),
            (false, None) => {
                let Some(line) = call.config.lines.get(line_id) else { return };
                let back = self.last_away(line_id).map(|at| at + line.queue.ring_timeout);
                let until = now.mono + line.queue.max_wait_no_counselor;
                self.timers.set(timer, back.map_or(until, |back| until.max(back)));
            }
        }
        self.touch(Owner::Call(key));
    }

    /// When a phone of somebody who takes this line's calls and wants to last went away.
    fn last_away(&self, line_id: &LineId) -> Option<Instant> {
        let of_line = self.config.counselors.iter().filter(|(_, c)| c.lines.contains(line_id));
        let kept = of_line.filter_map(|(extension, _)| self.counselors.get(extension));
        let ready = kept.filter(|counselor| counselor.intention == Intention::Ready);
        ready.filter_map(|counselor| counselor.away_since).max()
    }

    /// Rings a free counselor for each caller who may be offered, first come first served.
    fn dispatch(&mut self, now: Now) {
        // The next one of each line.
        let first = |line: &LineId| Some((self.queues.next(line, None)?, line.clone()));
        let mut next: BTreeSet<_> = self.queues.lines().filter_map(first).collect();
        // Read off the calls once somebody needs it: of most steps nobody does.
        let mut busy = None;
        while let Some((place, line)) = next.pop_first() {
            if self.serve(now, place.1, &line, &mut busy)
                && let Some(behind) = self.queues.next(&line, Some(place))
            {
                next.insert((behind, line));
            }
        }
    }

    /// Rings whoever is free for this caller; whether those behind on the line may be served.
    fn serve(
        &mut self,
        now: Now,
        key: u64,
        line_id: &LineId,
        busy: &mut Option<BTreeMap<Extension, Activity>>,
    ) -> bool {
        let Some(Phase::Queue(waiting)) = self.calls.get(&key).map(|call| &call.phase) else {
            return true;
        };
        // Between two offers a caller keeps the place: nobody behind is served before.
        if !waiting.may_be_offered() {
            return false;
        }
        let busy = busy.get_or_insert_with(|| self.activities());
        let chosen = self.choose(now, line_id, busy, waiting);
        // Nobody is free for this caller, and so for nobody behind on this line.
        if chosen.is_empty() {
            return false;
        }
        let mut candidates = Vec::new();
        for extension in chosen {
            self.rings += 1;
            let rings = self.rings;
            self.counselors.change(&self.config, &extension, |it| it.rung = rings);
            candidates.extend(self.candidates(now, key, &extension));
            busy.insert(extension, Activity::Ringing);
        }
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let super::Owned::Call(call) = owned {
                call.offer(io, candidates);
            }
        });
        true
    }

    /// Whom the line's strategy rings now: none, one, or (ring_all) all that are free.
    fn choose(
        &self,
        now: Now,
        line_id: &LineId,
        busy: &BTreeMap<Extension, Activity>,
        waiting: &Waiting,
    ) -> Vec<Extension> {
        let Some(line) = self.config.lines.get(line_id) else { return Vec::new() };
        let count = if line.queue.strategy == Strategy::RingAll { usize::MAX } else { 1 };
        let free = self.counselors.free(line_id, busy, waiting);
        free.filter(|extension| self.has_target(now, extension)).take(count).cloned().collect()
    }

    /// The INVITEs that ring an extension for a caller: nothing of the caller is in them.
    pub(super) fn candidates(
        &mut self,
        now: Now,
        key: u64,
        extension: &Extension,
    ) -> Vec<Candidate> {
        let Some(call) = self.calls.get(&key) else { return Vec::new() };
        let shard = call.caller.place().shard;
        let codec = call.caller.codec();
        let name = call.config.lines.get(&call.line_id).map(|line| line.name.clone());
        let token = self.chance.token(12);
        let display = name.unwrap_or_default().replace(['"', '\\'], "");
        let domain = &self.sip_config.domain;
        let from = format!("\"{display}\" <sip:caller-{token}@{domain}>");
        let forwards = (Name::MaxForwards, call.forwards.to_string());
        let mut candidates = self.invites(now, extension, &from, shard, codec);
        candidates.iter_mut().for_each(|it| it.invite.headers.push(forwards.clone()));
        candidates
    }

    /// INVITEs to each phone of an extension.
    pub(super) fn invites(
        &self,
        now: Now,
        extension: &Extension,
        from: &str,
        shard: u8,
        codec: Option<Codec>,
    ) -> Vec<Candidate> {
        let to = format!("<sip:{extension}@{}>", self.sip_config.domain);
        let mut flows = BTreeSet::new();
        let targets = self.targets(now, extension);
        let new = targets.into_iter().filter(|(uri, flow)| flows.insert((*flow, uri.clone())));
        new.map(|(uri, flow)| Candidate {
            extension: extension.clone(),
            place: self.phone_place(extension, flow, shard, codec),
            invite: Invite {
                flow,
                uri,
                from: from.to_owned(),
                to: to.clone(),
                headers: Vec::new(),
                sdp: bytes::Bytes::new(),
                policy: self.phone_policy(),
            },
        })
        .collect()
    }

    /// Where a phone's leg lives. The caller's codec comes first, so that nothing is converted.
    pub(super) fn phone_place(
        &self,
        extension: &Extension,
        flow: Flow,
        shard: u8,
        codec: Option<Codec>,
    ) -> Place {
        let counselor = self.config.counselors.get(extension);
        let mut codecs =
            counselor.map_or_else(|| vec![Codec::Pcmu, Codec::Pcma], |it| it.codecs.clone());
        // Stable: the others keep their order.
        codecs.sort_by_key(|it| Some(*it) != codec);
        Place {
            bind: flow.local.ip(),
            advertised: self.sip_config.advertised.unwrap_or_else(|| flow.local.ip()),
            shard,
            dscp: 46,
            codecs,
            dtmf: Vec::new(),
            srtp: counselor.map_or(Srtp::Off, |it| it.srtp),
            signaling: flow.remote.ip(),
        }
    }
}
