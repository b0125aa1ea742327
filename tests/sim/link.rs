//! What becomes of a datagram on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use koebashi::chance::Chance;

use super::phone::PhoneId;
use super::world::World;

/// The one-way delay of voice.
const VOICE_DELAY: Duration = Duration::from_millis(5);
/// How many milliseconds more a packet that is late may take: three others are before it then.
const VOICE_LATE_MS: u64 = 60;

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives after the link's delay.
    Arrives,
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Doubled,
    /// It arrives this much later than others.
    Late(Duration),
}

/// All links of the world: the fate of the n-th SIP datagram, counted from 0 in either direction.
pub(crate) struct Link {
    /// One-way delay of every datagram.
    pub delay: Duration,
    /// Decides.
    pub fate: Box<dyn FnMut(u64) -> Fate>,
    /// SIP datagrams so far.
    pub count: u64,
    /// How many of a thousand packets of voice are lost, in either direction.
    pub voice_loss: u64,
    /// Addresses (without port) that nothing reaches, and that reach nobody, until then.
    pub cut: BTreeMap<IpAddr, Instant>,
    /// Of these the network says so, to whoever sends there meanwhile.
    pub refusing: BTreeSet<IpAddr>,
    /// How many of a thousand packets of voice come twice, and how many late, after others.
    pub voice_disorder: u64,
    /// When the last packet of voice was lost or held up, and to whom.
    pub lost: BTreeMap<SocketAddr, Instant>,
    /// When a SIP message of or to each address was last lost, or anything while it was cut off.
    pub troubled: BTreeMap<IpAddr, Instant>,
    luck: Chance,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(5),
            fate: Box::new(|_| Fate::Arrives),
            count: 0,
            voice_loss: 0,
            voice_disorder: 0,
            cut: BTreeMap::new(),
            refusing: BTreeSet::new(),
            lost: BTreeMap::new(),
            troubled: BTreeMap::new(),
            luck: Chance::from_number(0x6c6f_7373),
        }
    }
}

impl Link {
    /// The delays after which the next datagram arrives: none, one or two.
    pub(crate) fn next(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Vec<Duration> {
        let n = self.count;
        self.count += 1;
        if self.is_cut(now, from, to) {
            self.trouble(now, from, to);
            return vec![];
        }
        match (self.fate)(n) {
            Fate::Arrives => vec![self.delay],
            Fate::Lost => {
                self.trouble(now, from, to);
                vec![]
            }
            Fate::Doubled => vec![self.delay, self.delay + Duration::from_millis(3)],
            Fate::Late(more) => vec![self.delay + more],
        }
    }

    /// Something between these two is lost that is missed.
    pub(super) fn trouble(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) {
        self.troubled.extend([(from.ip(), now), (to.ip(), now)]);
    }

    /// Whether nothing passes between these two now.
    pub(crate) fn is_cut(&self, now: Instant, from: SocketAddr, to: SocketAddr) -> bool {
        let until = |at: SocketAddr| self.cut.get(&at.ip()).is_some_and(|until| *until > now);
        until(from) || until(to)
    }

    /// Whether the network says that nothing reaches this address now.
    pub(super) fn refuses(&self, now: Instant, to: SocketAddr) -> bool {
        self.refusing.contains(&to.ip()) && self.is_cut(now, to, to)
    }

    /// The delays after which the next packet of voice arrives: none, one or two.
    pub(crate) fn next_voice(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> [Option<Duration>; 2] {
        if self.loses_voice(now, from, to) {
            return [None; 2];
        }
        let (delay, disorder) = (VOICE_DELAY, self.voice_disorder);
        let fate = if disorder > 0 { self.luck.below(1000) } else { disorder };
        if fate < disorder {
            return [Some(delay), Some(delay + Duration::from_millis(3))];
        }
        if fate < 2 * disorder {
            self.lost.insert(to, now);
            let more = Duration::from_millis(self.luck.below(VOICE_LATE_MS));
            return [Some(delay + more), None];
        }
        [Some(delay), None]
    }

    /// The longest way of a packet of voice.
    pub(crate) fn voice_delay_max(&self) -> Duration {
        let late = if self.voice_disorder > 0 { VOICE_LATE_MS } else { 0 };
        VOICE_DELAY + Duration::from_millis(late)
    }

    /// Whether a packet of voice is lost on its way.
    fn loses_voice(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> bool {
        let is_lost = self.voice_loss > 0 && self.luck.below(1000) < self.voice_loss;
        let is_cut = self.is_cut(now, from, to);
        if is_cut {
            self.trouble(now, from, to);
        }
        let is_lost = is_lost || is_cut;
        if is_lost {
            self.lost.insert(to, now);
        }
        is_lost
    }
}

impl World {
    /// Nothing goes between this phone and the service for so long.
    pub(crate) fn cut_off(&mut self, id: PhoneId, span: Duration) {
        let until = self.now + span;
        let ip = self.phones[id.0].sip.ip();
        self.link.cut.insert(ip, until);
        self.link.refusing.remove(&ip);
    }

    /// The same, and the network says so (ICMP).
    pub(crate) fn take_away(&mut self, id: PhoneId, span: Duration) {
        self.cut_off(id, span);
        self.link.refusing.insert(self.phones[id.0].sip.ip());
    }
}
