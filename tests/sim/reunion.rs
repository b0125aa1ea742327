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
pub(super) struct Reunion(Vec<(SocketAddr, Instant)>);

impl World {
    /// The process dies.
    pub(super) fn part_ways(&mut self) {
        let owed = self.peers.iter().filter(|(port, _)| self.pace.owed_since(**port).is_some());
        let legs = owed.filter_map(|(port, rtp)| Some((*rtp, *self.connected.get(port)?)));
        self.reunion.0.extend(legs);
    }

    /// What the journal had not taken is lost, and nobody else.
    pub(super) fn forgive(&mut self) {
        let disks = &self.life.disks;
        self.reunion.0.retain(|(_, since)| !disks.is_in_a_gap(*since));
    }

    /// The next process has had its time: everybody is connected again, or was told that it is over.
    pub(super) fn meet_again(&mut self) {
        if self.reunion.0.is_empty() || self.life.is_dead() || self.now < self.life.since + SOON {
            return;
        }
        let mut legs: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for (rtp, _) in std::mem::take(&mut self.reunion.0) {
            *legs.entry(rtp).or_default() += 1;
        }
        let mut broken = Vec::new();
        for (rtp, count) in legs {
            let phones = self.phones.iter().filter(|phone| phone.is_alive && phone.rtp == rtp);
            for phone in phones {
                // Of what the phone itself has ended nothing is owed.
                let count = count.min(phone.live_sessions().len());
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

    /// How many sessions of this phone the service has ended since then.
    fn ended_since(&self, since: Instant, phone: SocketAddr) -> usize {
        let sent = self.wire.iter().rev().take_while(|sent| sent.at >= since);
        let sent = sent.filter(|sent| sent.from == server() && sent.to == phone);
        let byes = sent
            .map(|sent| sent.message())
            .filter(|message| message.is_request() && message.method() == Some(&Method::Bye));
        let ids: BTreeSet<_> =
            byes.map(|bye| bye.call_id().unwrap_or_default().to_owned()).collect();
        ids.len()
    }
}
