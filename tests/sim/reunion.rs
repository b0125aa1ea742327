//! Who was in a call when the process died, and that the next one goes on with it: a leg that is
//! never connected again is owed no voice, and so would be missed by nobody.
//!
//! Owns whom the process that died sent voice to, until the next one has had its time. How soon and
//! how steadily the voice comes is [`pace`](super::pace)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use koebashi::sip::message::Method;

use super::world::{World, server};

/// How soon the next process is to be back with everybody: its first BYE may have been lost.
const SOON: Duration = Duration::from_secs(1);

/// Where the legs of the process that died are heard, and since when.
#[derive(Debug, Default)]
pub(super) struct Reunion {
    legs: Vec<(SocketAddr, Instant)>,
    /// How many calls each phone had had by then, and in how many it was.
    calls: Vec<(usize, usize)>,
}

impl World {
    /// The process dies. Of the legs of the one before it some may be connected again already.
    pub(super) fn part_ways(&mut self) {
        let owed = self.peers.iter().filter(|(port, _)| self.pace.owed_since(**port).is_some());
        let legs = owed.filter_map(|(port, rtp)| Some((*rtp, *self.connected.get(port)?)));
        let mut missed = std::mem::take(&mut self.reunion.legs);
        for (rtp, since) in legs {
            let before = missed.iter().position(|(before, _)| *before == rtp);
            let since = before.map_or(since, |at| missed.remove(at).1);
            self.reunion.legs.push((rtp, since));
        }
        self.reunion.legs.append(&mut missed);
        let calls = self.phones.iter().map(|it| (it.calls.len(), it.live_sessions().len()));
        self.reunion.calls = calls.collect();
    }

    /// What the journal had not taken is lost: whoever was connected meanwhile, or had anything to
    /// say to the service or to hear from it.
    pub(super) fn forgive(&mut self) {
        let (disks, wire) = (&self.life.disks, &self.wire);
        self.reunion.legs.retain(|(rtp, since)| {
            let mut said =
                wire.iter().filter(|sent| [sent.from.ip(), sent.to.ip()].contains(&rtp.ip()));
            !disks.is_in_a_gap(*since) && !said.any(|sent| disks.is_in_a_gap(sent.at))
        });
    }

    /// The next process has had its time: everybody is connected again, or was told that it is over.
    pub(super) fn meet_again(&mut self) {
        if self.reunion.legs.is_empty() || self.life.is_dead() || self.now < self.life.since + SOON
        {
            return;
        }
        let mut legs: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for (rtp, _) in std::mem::take(&mut self.reunion.legs) {
            *legs.entry(rtp).or_default() += 1;
        }
        let mut broken = Vec::new();
        for (rtp, count) in legs {
            // Who is cut off can't be told, nor say that they have heard.
            let is_cut = self.link.cut.get(&rtp.ip()).is_some_and(|end| *end > self.life.since);
            let phones = self.phones.iter().zip(&self.reunion.calls);
            let phones = phones.filter(|(phone, _)| phone.is_alive && phone.rtp == rtp && !is_cut);
            for (phone, (calls, were_live)) in phones {
                // Of what the phone itself has ended nothing is owed; it may be in another that has
                // never been acknowledged.
                let live = phone.live_sessions();
                let old = phone.calls.iter().take(*calls);
                let left = old.filter(|call| live.contains(&call.session)).count();
                let count = count.min(left).saturating_sub(were_live.saturating_sub(left));
                let ended = self.ended_since(self.life.since, phone.sip);
                let is_back = |port| !phone.listens() || self.pace.owed_since(port).is_some();
                let peers = self.peers.iter().filter(|(_, peer)| **peer == rtp);
                let back = peers.filter(|(port, _)| is_back(**port)).count();
                if back + ended < count {
                    broken.push(format!("{rtp} is not connected again: {back} of {count}"));
                }
            }
        }
        self.judge(&broken);
    }

    /// How many sessions of this phone the service has ended since then, for a reason.
    fn ended_since(&self, since: Instant, phone: SocketAddr) -> usize {
        let sent = self.wire.iter().rev().take_while(|sent| sent.at >= since);
        let sent = sent.filter(|sent| sent.from == server() && sent.to == phone);
        let byes = sent
            .map(|sent| sent.message())
            .filter(|message| message.is_request() && message.method() == Some(&Method::Bye));
        let ids: BTreeSet<_> =
            byes.map(|bye| bye.call_id().unwrap_or_default().to_owned()).collect();
        ids.iter().filter(|id| !self.is_broken_off(id)).count()
    }
}
