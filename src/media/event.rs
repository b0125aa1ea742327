//! What the media plane tells: events, how voices do, and what outlives the process.
//!
//! Owns the border's way out; what is asked for is [`Command`](super::Command)'s.

use bytes::Bytes;

use super::{Digit, PlayId, PortId};

/// What another process needs so that a port goes on with the stream that its peer hears and the
/// one that it hears: numbers, counters and addresses, never keys, sound or what was pressed
/// before. About once a second for each port, and at once where something must not be lost. Of no
/// use any more when the port has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub port: PortId,
    /// For [`Command::Resume`](super::Command::Resume); a later state replaces the earlier.
    pub state: Bytes,
}

/// What the media plane tells the call path.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The port is bound.
    Opened {
        /// Which.
        port: PortId,
    },
    /// The port could not be bound.
    OpenFailed {
        /// Which; it is gone.
        port: PortId,
    },
    /// The first valid packet has come from the port's peer.
    Heard {
        /// From whom.
        port: PortId,
    },
    /// A key was pressed. Once a press, however long and by however many means.
    Digit {
        /// By whose peer.
        port: PortId,
        /// Which key.
        digit: Digit,
    },
    /// The prompts of a [`Source::Play`](super::Source::Play) have ended.
    Played {
        /// On which port.
        port: PortId,
        /// Which playing.
        play: PlayId,
    },
    /// No RTP and no RTCP for the configured time (`Config::silent_after`) after some had come,
    /// although the peer may
    /// send.
    Silent {
        /// Who is silent.
        port: PortId,
    },
    /// Packets come again after [`Event::Silent`], or for the first time after
    /// [`Command::Resume`](super::Command::Resume).
    Resumed {
        /// Who is back.
        port: PortId,
    },
    /// Packets go to a peer that may hear and speak in an answered call, and one of the two ways
    /// carries nothing: one-way audio. Told once until it is over.
    OneWay {
        /// Between whom and us.
        port: PortId,
        /// Which way carries nothing.
        way: Way,
    },
    /// It carries again after [`Event::OneWay`].
    BothWays {
        /// Between whom and us.
        port: PortId,
        /// Which way.
        way: Way,
    },
    /// How the voice of a live leg does, about every five seconds.
    Measured {
        /// Whose.
        port: PortId,
        /// Since the port was opened.
        quality: Quality,
        /// Since it was told last; `None`: no packet has come.
        recent: Option<Recent>,
    },
    /// The port is closed.
    Closed {
        /// Which.
        port: PortId,
        /// How the voice did.
        quality: Quality,
    },
}

/// One of the two ways between a peer and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What the peer says. Carries nothing when no RTP has come for the configured time
    /// (`Config::one_way_after`). A peer whose pauses turn out to be its habit (it sends nothing
    /// while muted) is told of once in all.
    FromPeer,
    /// What the peer hears. Carries nothing when two RTCP reports of the peer in a row name no
    /// packet of ours that the one before had not named, though we sent: some 10 s after the way
    /// broke with a peer that reports every 5 s. Of a peer that sends no RTCP nothing is known.
    ToPeer,
}

/// How a voice has come in during the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Share of packets that never came, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter (RFC 3550 A.8), milliseconds.
    pub jitter_ms: f32,
    /// MOS by the E-model (ITU-T G.107).
    pub mos: f32,
}

/// How the voice of one leg did, both ways. Zero where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Valid packets from the peer.
    pub received: u64,
    /// Packets to the peer.
    pub sent: u64,
    /// Packets of the peer that never came (RFC 3550 A.3).
    pub lost: u64,
    /// Our packets that the peer says it missed (its last RTCP report).
    pub lost_at_peer: u64,
    /// Interarrival jitter of the peer's packets, milliseconds: the estimate of RFC 3550 A.8, which
    /// forgets within some seconds, in its mean over all packets.
    pub jitter_ms: f32,
    /// The most that the estimate has been, milliseconds.
    pub jitter_max_ms: f32,
    /// Round trip by RTCP (RFC 3550 §6.4.1), milliseconds.
    pub round_trip_ms: Option<f32>,
    /// Packets dropped because their source was not the proven one.
    pub strangers: u64,
    /// Packets of the proven source that failed authentication or came twice (SRTP), or are nothing
    /// that was agreed on: another payload type, no RTP.
    pub rejected: u64,
    /// Packets that came too late: to be mixed or recorded, where that is done, else later than a
    /// buffer of 60 ms would have played them (the relay itself has none and passes them on); and
    /// those that lay too long before they were read.
    pub late: u64,
    /// Frames of 20 ms that were made up for lost packets while mixing or recording. What is
    /// relayed is concealed by the phone that hears it, which does not tell.
    pub concealed: u64,
    /// From the moment that the peer might speak to its first packet, milliseconds.
    pub first_packet_ms: Option<f32>,
    /// Whether the peer's packets come from another address than its SDP named.
    pub source_differs: bool,
    /// How loud the peer's voice was: mean power over what was sampled, dB below full scale.
    pub level_dbfs: Option<f32>,
    /// How often nothing came from the peer ([`Way::FromPeer`]).
    pub one_way: u32,
    /// How often nothing arrived at the peer ([`Way::ToPeer`]).
    pub unheard: u32,
    /// MOS by the E-model (ITU-T G.107) for what came from the peer; `None` without packets.
    pub mos: Option<f32>,
    /// The same for what arrived at the peer, by its RTCP reports; `None` without any.
    pub mos_at_peer: Option<f32>,
}
