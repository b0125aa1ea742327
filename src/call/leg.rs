//! One side of a call: one SIP session and one media port.
//!
//! Owns opening and closing both together, and the offer/answer between them. Does not decide who
//! hears what (the stages do) nor when a leg ends.

mod keeping;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::config::{DtmfMeans, Srtp};
use super::io::Io;
use crate::media::{
    self, Command, Crypto, MasterKey, Peer, PlayId, PortId, Prompt, Source, Suite, Then,
};
use crate::sip::sdp::{self, Agreed, Direction, Keys, Ours, Security};
use crate::sip::{Invite, SessionId};

/// How often another port number is tried when one can't be bound.
const OPEN_ATTEMPTS: u8 = 3;
/// Why a session is ended whose answer can't be used, as BYE says it (RFC 3326).
pub(super) const NO_AUDIO: &str = "SIP;cause=488;text=\"No usable audio\"";

/// What a leg needs to know of the network it lives in.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where its RTP port is bound.
    pub(super) bind: IpAddr,
    /// What its SDP names.
    pub(super) advertised: IpAddr,
    /// The media thread; that of the leg it may be joined with.
    pub(super) shard: u8,
    /// DSCP of RTP.
    pub(super) dscp: u8,
    /// Codecs in order of preference.
    pub(super) codecs: Vec<media::Codec>,
    /// Means by which keys are taken.
    pub(super) dtmf: Vec<DtmfMeans>,
    /// Whether its RTP is encrypted.
    pub(super) srtp: Srtp,
    /// Where the peer's signaling comes from: with each offer and answer anew.
    pub(super) signaling: IpAddr,
}

/// What the leg waits for.
#[derive(Debug)]
enum State {
    /// The port, for a call that came in.
    OpeningUas { session: SessionId },
    /// The port, for an INVITE to send.
    OpeningUac { invite: Box<Invite> },
    /// An answer: ours (UAS) or the peer's (UAC).
    Early { session: SessionId },
    /// The end.
    Up { session: SessionId },
    /// Nothing: the session is over, the port closing.
    Down,
}

/// One side of a call. `Debug` shows no descriptions: they may hold keys.
pub(super) struct Leg {
    state: State,
    port: PortId,
    attempts: u8,
    place: Place,
    ours: Ours,
    /// The peer's offer that our answer belongs to (UAS).
    offer: Option<Bytes>,
    agreed: Option<Agreed>,
    /// The keys that the port has; `None`: it is plain.
    crypto: Option<Arc<Crypto>>,
    /// The peer's address is proven: by ACK, PRACK or registration.
    proven: bool,
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { state, port, .. } = self;
        f.debug_struct("Leg").field("state", state).field("port", port).finish_non_exhaustive()
    }
}

/// Why a leg can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No media port is free.
    NoPort,
    /// The two sides have no codec in common, one must encrypt where the other won't, or the SDP
    /// can't be read.
    Media,
}

impl Leg {
    /// A leg for a call that came in. `offer` is judged at once.
    pub(super) fn incoming(
        io: &mut Io<'_>,
        session: SessionId,
        offer: Option<Bytes>,
        place: Place,
    ) -> Result<Self, Fault> {
        let mut leg = Self::new(io, State::OpeningUas { session }, place)?;
        if let Some(offer) = &offer
            && sdp::answer(offer, &leg.ours).is_err()
        {
            leg.close_port(io);
            return Err(Fault::Media);
        }
        leg.offer = offer;
        io.own_session(session);
        Ok(leg)
    }

    /// A leg for a call to make: the INVITE leaves as soon as the port is open.
    pub(super) fn outgoing(io: &mut Io<'_>, invite: Invite, place: Place) -> Result<Self, Fault> {
        Self::new(io, State::OpeningUac { invite: Box::new(invite) }, place)
    }

    fn new(io: &mut Io<'_>, state: State, place: Place) -> Result<Self, Fault> {
        let bind = SocketAddr::new(place.bind, 0);
        let opened = io.open_port(bind, place.shard, place.dscp);
        let (port, number) = opened.ok_or(Fault::NoPort)?;
        let ours = Ours {
            codecs: place.codecs.iter().map(|c| to_sdp(*c)).collect(),
            events: true,
            address: place.advertised,
            port: number,
            id: io.chance.u64() >> 1,
            version: 1,
            direction: Direction::SendRecv,
            security: match place.srtp {
                Srtp::Off => Security::Off,
                Srtp::Optional => Security::Optional(Keys::random(io.chance)),
                Srtp::Required => Security::Required(Keys::random(io.chance)),
            },
        };
        Ok(Self {
            state,
            port,
            attempts: 1,
            place,
            ours,
            offer: None,
            agreed: None,
            crypto: None,
            proven: false,
        })
    }

    pub(super) fn port(&self) -> PortId {
        self.port
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        match &self.state {
            State::OpeningUas { session } | State::Early { session } | State::Up { session } => {
                Some(*session)
            }
            State::OpeningUac { .. } | State::Down => None,
        }
    }

    pub(super) fn is(&self, session: SessionId) -> bool {
        self.session() == Some(session)
    }

    /// Whether the peer hears us: it is proven, and the two have agreed on audio.
    pub(super) fn can_hear(&self) -> bool {
        self.proven && self.agreed.is_some() && !self.is_down()
    }

    /// Whether packets may go to the peer, and can.
    pub(super) fn is_proven(&self) -> bool {
        self.proven && self.agreed.is_some()
    }

    /// Whether our 183 waits for a PRACK: nobody listens yet.
    pub(super) fn is_held_back(&self, io: &Io<'_>) -> bool {
        self.session().is_some_and(|session| io.sip.is_held_back(session))
    }

    /// Whether our 200 or the peer's has passed.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }

    /// The codec in use, once agreed.
    pub(super) fn codec(&self) -> Option<media::Codec> {
        self.agreed.as_ref().map(|agreed| from_sdp(agreed.codec))
    }

    /// Whether the peer has put us on hold.
    pub(super) fn holds_us(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| {
            matches!(agreed.direction, Direction::SendOnly | Direction::Inactive)
        })
    }

    /// The port is bound: an INVITE that waited for it leaves. One that was bound again is in use
    /// already.
    pub(super) fn on_opened(&mut self, io: &mut Io<'_>) {
        match std::mem::replace(&mut self.state, State::Down) {
            State::OpeningUas { session } => self.state = State::Early { session },
            State::OpeningUac { mut invite } => {
                invite.sdp = sdp::offer(&self.ours);
                let session = io.sip.invite(io.now.mono, *invite);
                io.own_session(session);
                self.state = State::Early { session };
            }
            other @ (State::Early { .. } | State::Up { .. } | State::Down) => {
                self.state = other;
                return;
            }
        }
        let detect = |means| self.place.dtmf.contains(&means);
        let (rfc4733, inband) = (detect(DtmfMeans::Rfc4733), detect(DtmfMeans::Inband));
        io.media(Command::Detect { port: self.port, rfc4733, inband, pass: true });
    }

    /// The port could not be bound: another number, a few times.
    pub(super) fn on_open_failed(&mut self, io: &mut Io<'_>) -> Result<(), Fault> {
        io.ports.closed(io.now.mono, self.port);
        if self.attempts >= OPEN_ATTEMPTS {
            return Err(Fault::NoPort);
        }
        self.attempts += 1;
        let bind = SocketAddr::new(self.place.bind, 0);
        let opened = io.open_port(bind, self.place.shard, self.place.dscp);
        let (port, number) = opened.ok_or(Fault::NoPort)?;
        self.port = port;
        self.ours.port = number;
        Ok(())
    }

    /// 180 without audio.
    pub(super) fn ring(&mut self, io: &mut Io<'_>) {
        if let Some(session) = self.session() {
            io.sip.ring(io.now.mono, session, 180, None);
        }
    }

    /// 183 with audio. Packets go out once the peer has proven itself, or at once when its SDP
    /// names the address that its signaling comes from.
    pub(super) fn early_media(&mut self, io: &mut Io<'_>) -> Result<(), Fault> {
        let Some(session) = self.session() else { return Ok(()) };
        let (body, agreed) = self.our_sdp()?;
        io.sip.ring(io.now.mono, session, 183, Some(body));
        if let Some(agreed) = agreed {
            self.proven |= agreed.rtp.ip() == self.place.signaling;
            self.agreed = Some(agreed);
            self.connect(io);
        }
        Ok(())
    }

    /// 200: the caller's bill starts.
    pub(super) fn answer(&mut self, io: &mut Io<'_>) -> Result<(), Fault> {
        let State::Early { session } = self.state else { return Ok(()) };
        let (body, agreed) = self.our_sdp()?;
        io.sip.answer(io.now.mono, session, body);
        self.agreed = agreed.or_else(|| self.agreed.take());
        self.state = State::Up { session };
        Ok(())
    }

    /// Our answer to the peer's offer, or our offer where it made none.
    fn our_sdp(&self) -> Result<(Bytes, Option<Agreed>), Fault> {
        match &self.offer {
            Some(offer) => {
                let (body, agreed) = sdp::answer(offer, &self.ours).map_err(|_| Fault::Media)?;
                Ok((body, Some(agreed)))
            }
            None => Ok((sdp::offer(&self.ours), None)),
        }
    }

    /// ACK, or PRACK (`early`): the peer is proven, and an offer-less INVITE has its answer. One
    /// that can't be used changes nothing where something was agreed before.
    pub(super) fn on_confirmed(
        &mut self,
        io: &mut Io<'_>,
        answer: Option<Bytes>,
        early: bool,
    ) -> Result<(), Fault> {
        if let Some(agreed) = answer.and_then(|answer| sdp::agreed(&answer, &self.ours).ok()) {
            self.agreed = Some(agreed);
        }
        self.proven = true;
        if self.agreed.is_none() {
            return if early { Ok(()) } else { Err(Fault::Media) };
        }
        self.connect(io);
        Ok(())
    }

    /// The peer answered our INVITE (2xx), or told its audio early (18x).
    pub(super) fn on_answer(
        &mut self,
        io: &mut Io<'_>,
        answer: Option<Bytes>,
        last: bool,
    ) -> Result<(), Fault> {
        if let (State::Early { session }, true) = (&self.state, last) {
            self.state = State::Up { session: *session };
        }
        if let Some(answer) = answer {
            self.agreed = Some(sdp::agreed(&answer, &self.ours).map_err(|_| Fault::Media)?);
        }
        if !last {
            return Ok(());
        }
        if self.agreed.is_none() {
            return Err(Fault::Media);
        }
        self.proven = true;
        self.connect(io);
        Ok(())
    }

    /// A re-INVITE or UPDATE: hold, resume, a new address, or a request for our offer.
    pub(super) fn on_offer(&mut self, io: &mut Io<'_>, offer: Option<Bytes>) {
        let Some(session) = self.session() else { return };
        let Some(offer) = offer else {
            io.sip.accept_offer(io.now.mono, session, sdp::offer(&self.ours));
            return;
        };
        self.ours.version += 1;
        match self.answer_again(io, &offer) {
            Ok((body, agreed)) => {
                io.sip.accept_offer(io.now.mono, session, body);
                self.agreed = Some(agreed);
                self.connect(io);
            }
            Err(_) => io.sip.refuse_offer(io.now.mono, session, 488),
        }
    }

    /// Our key stays while the peer's does. Where that changes, another phone may have taken the
    /// peer's side: it can't know how far the stream under our key has come.
    fn answer_again(
        &mut self,
        io: &mut Io<'_>,
        offer: &[u8],
    ) -> Result<(Bytes, Agreed), sdp::Error> {
        let theirs = |agreed: &Agreed| {
            agreed.crypto.as_ref().map(|crypto| (crypto.suite, crypto.receive.clone()))
        };
        let before = self.agreed.as_ref().and_then(theirs);
        match sdp::answer(offer, &self.ours) {
            Ok((body, agreed)) if theirs(&agreed) == before => Ok((body, agreed)),
            Ok(_) | Err(_) => {
                let mut ours = self.ours.clone();
                ours.security.renew(io.chance);
                let answered = sdp::answer(offer, &ours)?;
                self.ours = ours;
                Ok(answered)
            }
        }
    }

    /// The peer answered an offer of ours within the session. An answer that can't be used changes
    /// nothing.
    pub(super) fn on_reoffered(&mut self, io: &mut Io<'_>, answer: &[u8]) {
        if let Ok(agreed) = sdp::agreed(answer, &self.ours) {
            self.agreed = Some(agreed);
            self.connect(io);
        }
    }

    fn connect(&mut self, io: &mut Io<'_>) {
        // A phone that is in another network now speaks from there.
        let remote = self.session().and_then(|session| io.sip.remote(session));
        self.place.signaling = remote.unwrap_or(self.place.signaling);
        let Some(agreed) = &self.agreed else { return };
        if let Some(crypto) = &agreed.crypto {
            self.ours.security.settle(crypto);
        }
        let crypto = agreed.crypto.as_ref().map(to_media);
        if self.crypto.as_deref() != crypto.as_ref() {
            self.crypto = crypto.map(Arc::new);
        }
        let (send, receive) = match agreed.direction {
            Direction::SendRecv => (true, true),
            Direction::SendOnly => (false, true),
            Direction::RecvOnly => (true, false),
            Direction::Inactive => (false, false),
        };
        let events = agreed.events.as_ref().map(|events| media::TelephoneEvents {
            send: events.send,
            receive: events.receive,
            clock: events.clock,
        });
        let peer = Peer {
            rtp: agreed.rtp,
            rtcp: agreed.rtcp,
            rtcp_mux: agreed.rtcp_mux,
            codec: from_sdp(agreed.codec),
            payload_send: agreed.payload_send,
            payload_receive: agreed.payload_receive,
            events,
            send,
            receive,
            proven: self.proven,
            answered: self.is_up(),
            latch: Some(self.place.signaling),
        };
        io.media(Command::Connect { port: self.port, peer, crypto: self.crypto.clone() });
    }

    /// Plays prompts, then silence or music. Nothing is heard before the peer is proven.
    pub(super) fn play(&self, io: &mut Io<'_>, prompts: Vec<Prompt>, then: Then) -> PlayId {
        let play = io.play_id();
        let source = Source::Play { play, prompts, then };
        io.media(Command::Listen { port: self.port, source });
        play
    }

    pub(super) fn hear(&self, io: &mut Io<'_>, other: &Self) {
        io.media(Command::Listen { port: self.port, source: Source::Port(other.port) });
    }

    /// Hears these, mixed.
    pub(super) fn mix(&self, io: &mut Io<'_>, others: &[&Self]) {
        let ports = others.iter().map(|other| other.port).collect();
        io.media(Command::Listen { port: self.port, source: Source::Mix(ports) });
    }

    /// Plays a prompt over what is heard.
    pub(super) fn overlay(&self, io: &mut Io<'_>, prompt: Prompt) {
        io.media(Command::Overlay { port: self.port, prompts: vec![prompt] });
    }

    /// Keys are ours alone: nobody who hears this leg gets them unless we say so.
    pub(super) fn take_keys(&self, io: &mut Io<'_>) {
        io.media(Command::Detect { port: self.port, rfc4733: true, inband: false, pass: false });
    }

    /// Hears keys, or doesn't: only where one can be pressed for us. Tones cost time to hear, and
    /// while two people talk they are the other side's.
    pub(super) fn detect(&self, io: &mut Io<'_>, on: bool) {
        let detect = |means| on && self.place.dtmf.contains(&means);
        let (rfc4733, inband) = (detect(DtmfMeans::Rfc4733), detect(DtmfMeans::Inband));
        io.media(Command::Detect { port: self.port, rfc4733, inband, pass: true });
    }

    /// Refuses an INVITE that we have not answered.
    pub(super) fn refuse(&mut self, io: &mut Io<'_>, code: u16) {
        if let (Some(session), false) = (self.session(), self.is_up()) {
            io.sip.refuse(io.now.mono, session, code, &[]);
            io.sessions.remove(&session);
        }
        self.down(io);
    }

    /// Ends our side: CANCEL, BYE or nothing where it is over already; then the port.
    pub(super) fn hang_up(&mut self, io: &mut Io<'_>, reason: Option<&str>) {
        if let Some(session) = self.session() {
            io.sip.hangup(io.now.mono, session, reason);
            io.sessions.remove(&session);
        }
        self.down(io);
    }

    /// The same, where the peer has not done so already.
    pub(super) fn hang_up_once(&mut self, io: &mut Io<'_>) {
        if !self.is_down() {
            self.hang_up(io, None);
        }
    }

    /// The peer ended it.
    pub(super) fn gone(&mut self, io: &mut Io<'_>) {
        if let Some(session) = self.session() {
            io.sessions.remove(&session);
        }
        self.down(io);
    }

    fn down(&mut self, io: &mut Io<'_>) {
        if !self.is_down() {
            self.state = State::Down;
            self.close_port(io);
        }
    }

    fn close_port(&self, io: &mut Io<'_>) {
        io.media(Command::Close { port: self.port });
    }

    /// This owner takes the leg over from another (attended transfer).
    pub(super) fn adopt(&self, io: &mut Io<'_>) {
        if let Some(session) = self.session() {
            io.own_session(session);
        }
        io.own_port(self.port);
    }
}

fn to_sdp(codec: media::Codec) -> sdp::Codec {
    match codec {
        media::Codec::Pcmu => sdp::Codec::Pcmu,
        media::Codec::Pcma => sdp::Codec::Pcma,
        media::Codec::G722 => sdp::Codec::G722,
        media::Codec::Opus => sdp::Codec::Opus,
    }
}

fn from_sdp(codec: sdp::Codec) -> media::Codec {
    match codec {
        sdp::Codec::Pcmu => media::Codec::Pcmu,
        sdp::Codec::Pcma => media::Codec::Pcma,
        sdp::Codec::G722 => media::Codec::G722,
        sdp::Codec::Opus => media::Codec::Opus,
    }
}

fn to_media(crypto: &sdp::Crypto) -> Crypto {
    let key = |key: &sdp::Key| MasterKey { bytes: key.expose().to_vec() };
    let suite = match crypto.suite {
        sdp::Suite::AeadAes128Gcm => Suite::AeadAes128Gcm,
        sdp::Suite::AesCm128HmacSha1_80 => Suite::AesCm128HmacSha1_80,
        sdp::Suite::AesCm128HmacSha1_32 => Suite::AesCm128HmacSha1_32,
    };
    Crypto { suite, send: key(&crypto.send), receive: key(&crypto.receive) }
}
