//! A leg that outlives the process.
//!
//! Owns the way from a leg to its kept form and back. Its session is kept by the SIP stack.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Leg, Place, State, to_media};
use crate::call::io::Io;
use crate::call::journal::Unreadable;
use crate::call::kept;
use crate::media::{Command, PortId};
use crate::sip::SessionId;
use crate::sip::kept::Text;
use crate::sip::sdp::{self, Agreed, Ours};

impl Leg {
    /// What is kept of it; `None`: it has no session.
    pub(in crate::call) fn keep(&self) -> Option<kept::Leg> {
        let (stage, session) = match &self.state {
            State::OpeningUas { session } => (kept::LegStage::Opening, *session),
            State::Early { session } => (kept::LegStage::Early, *session),
            State::Up { session } => (kept::LegStage::Up, *session),
            State::OpeningUac { .. } | State::Down => return None,
        };
        let Place { bind, advertised, shard: _, dscp, codecs, dtmf, srtp, signaling } = &self.place;
        Some(kept::Leg {
            stage,
            session: session.0,
            port: self.port.n,
            shard: self.port.shard,
            bind: *bind,
            advertised: *advertised,
            dscp: *dscp,
            codecs: codecs.iter().map(|codec| kept::Word(*codec)).collect(),
            dtmf: dtmf.iter().map(|means| kept::Word(*means)).collect(),
            srtp: kept::Word(*srtp),
            signaling: *signaling,
            ours: self.ours.keep(),
            offer: self.offer.clone().map(Text),
            agreed: self.agreed.as_ref().map(Agreed::keep),
            proven: self.proven,
        })
    }

    /// Goes on with it: its port is opened again, by the same name and number.
    ///
    /// # Errors
    /// What it lacks. Nothing of it is left then, but for its session.
    pub(in crate::call) fn restore(io: &mut Io<'_>, kept: kept::Leg) -> Result<Self, Unreadable> {
        let session = SessionId(kept.session);
        if !io.sip.is_live(session) || io.sessions.contains_key(&session) {
            return Err(Unreadable::Without("session"));
        }
        let ours = Ours::restore(kept.ours)?;
        let agreed = kept.agreed.map(Agreed::restore).transpose()?;
        let before = PortId { n: kept.port, shard: kept.shard };
        let port = PortId { shard: io.ports.shard_of(before), ..before };
        if ours.codecs.is_empty() || !io.ports.claim(io.owner, port, ours.port) {
            return Err(Unreadable::Without("port"));
        }
        let local = SocketAddr::new(kept.bind, ours.port);
        io.media(Command::Open { port, local, dscp: kept.dscp });
        io.own_session(session);
        let crypto = agreed.as_ref().and_then(|agreed| agreed.crypto.as_ref());
        Ok(Self {
            state: match kept.stage {
                kept::LegStage::Opening => State::OpeningUas { session },
                kept::LegStage::Early => State::Early { session },
                kept::LegStage::Up => State::Up { session },
            },
            port,
            attempts: 1,
            place: Place {
                bind: kept.bind,
                advertised: kept.advertised,
                shard: port.shard,
                dscp: kept.dscp,
                codecs: kept.codecs.into_iter().map(|codec| codec.0).collect(),
                dtmf: kept.dtmf.into_iter().map(|means| means.0).collect(),
                srtp: kept.srtp.0,
                signaling: kept.signaling,
            },
            offer: kept.offer.map(|offer| offer.0),
            crypto: crypto.map(to_media).map(Arc::new),
            ours,
            agreed,
            proven: kept.proven,
        })
    }

    /// The media plane does not know (any more) whom the port talks to.
    pub(in crate::call) fn resume(&mut self, io: &mut Io<'_>) {
        if !self.is_down() {
            self.connect(io);
        }
    }

    /// The port that it had could not be bound again, it has another one now: the peer is told.
    pub(in crate::call) fn move_over(&mut self, io: &mut Io<'_>) {
        if let State::Up { session } = self.state {
            self.ours.version += 1;
            io.sip.reoffer(io.now.mono, session, sdp::offer(&self.ours));
        }
    }
}
