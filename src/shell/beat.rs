//! What is done once a second: the loop says that it lives, and what is counted is taken over.
//!
//! Owns when each of it is. Does not own what is counted (`metrics`) nor who counts it.

use std::time::Instant;

use super::{FAULTS_WITHIN, Shell, Stage, clock, memory, news, sip_socket};
use crate::sip::endpoint::{Counts, Direction};

impl Shell {
    pub(super) fn beat(&mut self) {
        self.feed.beat();
        self.recorder.flush();
        let (counts, streams) = (self.switchboard.counts(), self.sockets.counts());
        self.count(&counts, &streams);
        let now = Instant::now();
        if self.flood.is_over(counts.transactions + streams.connections, now) {
            self.beside.spawn_blocking(memory::give_back);
        }
        if let Stage::Draining(until) = self.stage {
            self.survival.drains(until);
        }
        let journal = self.survival.beat(now, &self.store);
        self.feed.journal(journal.fault.clone());
        self.metrics.journal(journal, self.survival.unkept());
        if let Some(calls) = self.shed.beat(now, counts.shed) {
            let said = format!("{calls} calls were refused: more came than could be taken in");
            tracing::warn!("{said}");
            self.store.audit(news::entry(news::SYSTEM, said));
        }
        while self.faults.front().is_some_and(|at| now - *at > FAULTS_WITHIN) {
            self.faults.pop_front();
        }
    }

    fn count(&mut self, counts: &Counts, streams: &sip_socket::Counts) {
        let store = self.store.health();
        self.metrics.dropped(&[
            ("malformed", counts.malformed),
            ("stranger", counts.dropped_strangers),
            ("unmatched", counts.unmatched),
            ("overloaded", counts.overloaded),
            ("shed", counts.shed),
            ("flood", counts.flooded),
            ("amplifying", counts.amplifying),
            ("unsent", streams.unsent),
            ("stream_refused", streams.refused),
            ("stream_evicted", streams.evicted),
            ("stream_stalled", streams.stalled),
            ("stream_malformed", streams.malformed),
            ("tls_handshake", streams.unproven),
        ]);
        let plain = streams.connections.saturating_sub(streams.secure);
        self.metrics.connections([("tcp", plain), ("tls", streams.secure)]);
        let (transactions, sessions) = (counts.transactions, counts.sessions);
        self.metrics.sip_held([("transactions", transactions), ("sessions", sessions)]);
        self.metrics.certificate(self.certificate.beat(clock::now()));
        self.metrics.records_lost(store.dropped + store.rejected);
        self.metrics.media(self.media.figures().metrics());
        self.metrics.sip(counts.messages.iter().map(|((method, direction), count)| {
            let direction = match direction {
                Direction::In => "in",
                Direction::Out => "out",
            };
            (method.as_str(), direction, *count)
        }));
    }
}
