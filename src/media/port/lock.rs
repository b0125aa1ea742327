//! Where the peer's packets come from (symmetric RTP), and where ours go.
//!
//! Owns the proven source. Before there is one, the address that SDP names counts, and every port
//! of the signaling's address, because a phone behind NAT is elsewhere than it thinks. Once there
//! is one, it alone counts, but for the peer itself on another way: who speaks in the pinned stream
//! ([`pin`](super::pin)) from those places is the peer whose mapping has changed.
//!
//! What signaling says puts the source on trial. When SDP names another place, packets from the
//! former one may still be under way, or a NAT goes on as before; so it is heard until another
//! speaks, or until it has stayed for a second. The place that SDP names takes over at once, and
//! other ports of the signaling's address when the stream there has ended. A source that SDP does
//! not name begins on trial too.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::media::{Peer, kept};
use crate::time::Anchor;

/// For how long a source is on trial. What is still under way when SDP names another place comes
/// sooner.
const TRIAL: Duration = Duration::from_secs(1);

/// The proven source, if any.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock {
    held: Option<Held>,
    /// Where SDP named last; a hold by `c=0.0.0.0` names nothing.
    named: Option<SocketAddr>,
    /// After a restart: what signaling has said before is about to be said again.
    is_repeated: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    source: SocketAddr,
    trial: Option<Trial>,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    since: Instant,
    why: Why,
}

/// Why a source is on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// SDP does not name it.
    Unnamed,
    /// Signaling has spoken and named the same place.
    Asked,
    /// SDP names another place; `behind`: nor had it named the source before (NAT).
    Moved { behind: bool },
}

/// What a source is to a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody is proven so far, and it may be the peer.
    First,
    /// The proven source.
    Own,
    /// Where SDP says that the peer is, while another is proven.
    Named,
    /// Another port of the signaling's address.
    Near,
}

/// Which streams of a source may be the peer's voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streams {
    /// Whatever stream comes first.
    Any,
    /// The pinned one, or one that takes its place.
    Pinned,
    /// Those that are known to be the peer's.
    Known,
}

impl Lock {
    /// The sources of which this was kept.
    pub(super) fn resumed(kept: &kept::Source, anchor: &Anchor) -> Self {
        let trial = kept.trial.and_then(|(since, why)| {
            Some(Trial { since: anchor.instant(since), why: Why::from_code(why)? })
        });
        let held = kept.proven.map(|source| Held { source, trial });
        Self { held, named: kept.named, is_repeated: true }
    }

    /// What is kept of them. `rtcp`: where the peer's RTCP comes from.
    pub(super) fn keep(&self, rtcp: Option<SocketAddr>, anchor: &Anchor) -> kept::Source {
        let trial = self.held.and_then(|held| held.trial);
        kept::Source {
            proven: self.source(),
            trial: trial.map(|trial| (anchor.nanos(trial.since), trial.why.code())),
            named: self.named,
            rtcp,
        }
    }

    /// The proven source.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.held.map(|held| held.source)
    }

    /// Signaling has spoken. True when SDP names another place than before.
    pub(super) fn connect(&mut self, now: Instant, peer: &Peer) -> bool {
        let before = self.named;
        if is_address(peer.rtp) {
            self.named = Some(peer.rtp);
        }
        let has_moved = before.is_some_and(|before| self.named != Some(before));
        if std::mem::take(&mut self.is_repeated) && !has_moved {
            return false;
        }
        if let Some(held) = &mut self.held {
            let why = match held.trial.map(|trial| trial.why) {
                Some(why @ Why::Moved { .. }) => why,
                _ if has_moved => Why::Moved { behind: before != Some(held.source) },
                Some(Why::Unnamed | Why::Asked) | None => Why::Asked,
            };
            held.trial = Some(Trial { since: now, why });
        }
        has_moved
    }

    /// What a source is to the leg; `None`: a stranger.
    pub(super) fn standing(&self, peer: &Peer, from: SocketAddr) -> Option<Standing> {
        let is_near = peer.latch == Some(from.ip());
        let Some(held) = self.held else {
            return (peer.rtp == from || is_near).then_some(Standing::First);
        };
        if held.source == from {
            let is_gone = held.has_moved() && !is_near && peer.rtp != from;
            (!is_gone).then_some(Standing::Own)
        } else if peer.rtp == from {
            Some(Standing::Named)
        } else {
            is_near.then_some(Standing::Near)
        }
    }

    /// Which of its streams may be the voice.
    pub(super) fn streams(&self, now: Instant, standing: Standing) -> Streams {
        let trial = self.held.and_then(|held| held.trial);
        let is_on = |trial: &Trial| trial.why != Why::Unnamed || now < trial.since + TRIAL;
        match (standing, trial.filter(is_on).map(|trial| trial.why)) {
            (Standing::Own | Standing::Named, Some(Why::Moved { .. }))
            | (Standing::Named, Some(Why::Unnamed)) => Streams::Any,
            (Standing::Near, None | Some(Why::Unnamed)) => Streams::Known,
            (Standing::First | Standing::Own | Standing::Named | Standing::Near, _) => {
                Streams::Pinned
            }
        }
    }

    /// The peer's voice has come from there. True: from the first source that is proven.
    pub(super) fn prove(&mut self, now: Instant, peer: &Peer, from: SocketAddr) -> bool {
        let is_first = self.held.is_none();
        match &mut self.held {
            Some(held) if held.source == from => {
                held.trial = held.trial.filter(|trial| now < trial.since + TRIAL);
            }
            Some(_) | None => {
                let unnamed = Trial { since: now, why: Why::Unnamed };
                let trial = (from != peer.rtp).then_some(unnamed);
                self.held = Some(Held { source: from, trial });
            }
        }
        is_first
    }

    /// Where packets go; `None` while nobody is proven to be there.
    pub(super) fn destination(&self, peer: &Peer) -> Option<SocketAddr> {
        let named = (peer.proven && is_address(peer.rtp)).then_some(peer.rtp);
        match self.held {
            // Behind NAT the place that SDP names is no place to send to.
            Some(held) if held.has_moved() && !held.stays_behind(peer) => {
                named.or(Some(held.source))
            }
            Some(held) => Some(held.source),
            None => named,
        }
    }
}

impl Why {
    /// As it is kept.
    fn code(self) -> u8 {
        match self {
            Self::Unnamed => 0,
            Self::Asked => 1,
            Self::Moved { behind: false } => 2,
            Self::Moved { behind: true } => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        let all = [
            Self::Unnamed,
            Self::Asked,
            Self::Moved { behind: false },
            Self::Moved { behind: true },
        ];
        all.into_iter().find(|why| why.code() == code)
    }
}

impl Held {
    fn has_moved(&self) -> bool {
        matches!(self.trial, Some(Trial { why: Why::Moved { .. }, .. }))
    }

    fn stays_behind(&self, peer: &Peer) -> bool {
        let is_behind = matches!(self.trial, Some(Trial { why: Why::Moved { behind: true }, .. }));
        is_behind && peer.latch == Some(self.source.ip())
    }
}

/// Whether packets can be sent there.
pub(super) fn is_address(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}
