//! The media plane: packets and ticks in, packets out. Knows nothing of SIP.
//!
//! This file owns the border: the [`Command`]s that the call path gives and the [`Event`]s that it
//! gets. The machine itself is [`engine::Engine`]; sockets and threads are the shell's.
#![deny(clippy::disallowed_methods)]

pub mod codec;
mod conceal;
pub mod dtmf;
pub mod ear;
pub mod engine;
pub mod g711;
mod jitter;
mod kept;
pub mod mixer;
pub mod mos;
mod pitch;
pub mod pool;
mod port;
pub mod prompt;
mod recording;
mod rtcp;
mod rtp;
mod slots;
mod span;
pub mod srtp;
mod stretch;
mod timeline;
mod voices;

pub use dtmf::{Keys, Means};
pub use g711::Law;
pub use recording::{Chunk, Recorded};
pub use rtp::Header;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// One RTP port (and its RTCP neighbor): one leg's media. `shard` names the media thread; both
/// ports of a bridge live on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId {
    /// Unique while the process lives.
    pub n: u32,
    /// The media thread that owns the port.
    pub shard: u8,
}

/// One playing of a list of prompts, so that its end can be told from that of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayId(pub u64);

/// One recording of a conversation, so that its samples can be told from another's. `shard` names
/// the media thread; both its ports live there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// Unique while the process lives.
    pub n: u64,
    /// The media thread.
    pub shard: u8,
}

/// The name of a prompt (`welcome`), without folder or ending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prompt(pub Arc<str>);

impl From<&str> for Prompt {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// How samples travel on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.722 at 64 kbit/s, 16 kHz.
    G722,
    /// Opus, one channel, mixed at 16 kHz. Only where it is built in.
    Opus,
}

impl Codec {
    /// Its RTP clock in Hz. G.722's is half of its sound's rate, by an old mistake that stays
    /// (RFC 3551 §4.5.2); Opus has one clock whatever it carries (RFC 7587 §4.1).
    pub fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8000,
            Self::Opus => 48_000,
        }
    }

    /// The rate of its sound, as we decode and encode it.
    pub fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 | Self::Opus => Rate::Wide,
        }
    }

    /// Whether this program can decode and encode it: Opus only with the feature `opus`.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => true,
            Self::Opus => cfg!(feature = "opus"),
        }
    }

    /// Its law, when it is G.711.
    pub fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Mu),
            Self::Pcma => Some(Law::A),
            Self::G722 | Self::Opus => None,
        }
    }
}

/// The rate of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// 8 kHz.
    Narrow,
    /// 16 kHz.
    Wide,
}

impl Rate {
    /// Samples in 20 ms.
    pub const fn samples(self) -> usize {
        match self {
            Self::Narrow => 160,
            Self::Wide => 320,
        }
    }
}

/// Telephone-events (RFC 4733) as negotiated for a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvents {
    /// Payload type that the peer expects from us.
    pub send: u8,
    /// Payload type that we expect from the peer.
    pub receive: u8,
    /// Clock rate in Hz.
    pub clock: u32,
}

/// How SRTP protects packets (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// AES-CM with 128 bits, HMAC-SHA1 cut to 80 bits.
    AesCm128HmacSha1_80,
    /// The same, cut to 32 bits (RTP only; RTCP keeps 80).
    AesCm128HmacSha1_32,
    /// AES-GCM with 128 bits.
    AeadAes128Gcm,
}

impl Suite {
    /// Bytes of a master key and its salt.
    pub fn key_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 30,
            Self::AeadAes128Gcm => 28,
        }
    }
}

/// Master key and salt of one direction. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, zeroize::ZeroizeOnDrop)]
pub struct MasterKey {
    /// 16 bytes of key, then the salt: 14 bytes, or 12 for GCM.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

/// The keys of a secure leg, as SDES agreed on them (RFC 4568).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// How.
    pub suite: Suite,
    /// What we send with.
    pub send: MasterKey,
    /// What the peer sends with.
    pub receive: MasterKey,
}

/// The far end of a port, as signaling says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where SDP says that the peer hears. A NATed peer turns out to be elsewhere (`latch`).
    pub rtp: SocketAddr,
    /// Where the peer takes RTCP; `None`: the next port up.
    pub rtcp: Option<SocketAddr>,
    /// RTCP travels on the RTP port (RFC 5761), both ways.
    pub rtcp_mux: bool,
    /// The codec both ways.
    pub codec: Codec,
    /// Payload type that we send with.
    pub payload_send: u8,
    /// Payload type that the peer sends with.
    pub payload_receive: u8,
    /// Telephone-events, when negotiated.
    pub events: Option<TelephoneEvents>,
    /// Whether we may send to the peer: false while the peer holds us (`sendonly`, `inactive`).
    pub send: bool,
    /// Whether the peer sends to us: while false its silence means nothing.
    pub receive: bool,
    /// Whether packets may go to `rtp` before any valid packet has come from the peer: true once
    /// the peer's ACK (or PRACK, or registration) has proven who is there.
    pub proven: bool,
    /// Whether the call has been answered. Before that (early media) a peer owes no packet: that
    /// none comes is no one-way audio.
    pub answered: bool,
    /// The signaling source's IP address: a first packet from it is believed even when SDP names
    /// another address (a phone behind NAT).
    pub latch: Option<std::net::IpAddr>,
}

impl Peer {
    /// One that speaks PCMU, knows nothing more, and has answered and been proven.
    pub fn plain(rtp: SocketAddr) -> Self {
        Self {
            rtp,
            rtcp: None,
            rtcp_mux: false,
            codec: Codec::Pcmu,
            payload_send: 0,
            payload_receive: 0,
            events: None,
            send: true,
            receive: true,
            proven: true,
            answered: true,
            latch: None,
        }
    }
}

/// What a port hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Packets of silence, so that the peer never thinks us dead.
    Silence,
    /// Prompts one after the other; [`Event::Played`] when the last has ended; then `then`.
    Play {
        /// Comes back in [`Event::Played`].
        play: PlayId,
        /// What to play, in order. A name that the library lacks is skipped.
        prompts: Vec<Prompt>,
        /// What follows.
        then: Then,
    },
    /// Another port of the same shard, passed on as it arrives: the bridge. Of two hearers of one
    /// port the later counts; a [`Source::Mix`] of it counts besides.
    Port(PortId),
    /// Several ports of the same shard, mixed every 20 ms. Those who are heard so keep their own
    /// relay. Never the hearer itself.
    Mix(Vec<PortId>),
}

/// What a port hears when its prompts have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Silence.
    Silence,
    /// This prompt over and over, without a gap; goes on where the port last left it.
    Loop(Prompt),
}

/// What the call path asks of the media plane.
#[derive(Clone, Debug)]
pub enum Command {
    /// Bind RTP at `local` (an even port) and RTCP on the next. Answered by [`Event::Opened`] or
    /// [`Event::OpenFailed`].
    Open {
        /// The port's name from here on.
        port: PortId,
        /// Where to bind.
        local: SocketAddr,
        /// DSCP of RTP and RTCP (0–63).
        dscp: u8,
    },
    /// Go on as the port that told this state ([`Kept`]) in another process. Right after
    /// [`Command::Open`], before the port has a peer; what was ordered since comes again after it.
    /// The port begins anew when the state is damaged, of another version, or too old.
    Resume {
        /// Which.
        port: PortId,
        /// Its latest state.
        state: Bytes,
    },
    /// Talk to this peer, from now on in this form. Repeated when signaling changes something;
    /// SSRC, sequence and timestamp go on.
    Connect {
        /// Whose.
        port: PortId,
        /// The far end.
        peer: Peer,
        /// SRTP's keys; `None`: plain RTP. With keys nothing plain is sent or believed. The same
        /// keys again go on where they were.
        crypto: Option<Arc<Crypto>>,
    },
    /// Let the port hear this, in place of what it hears now.
    Listen {
        /// Who hears.
        port: PortId,
        /// What.
        source: Source,
    },
    /// Play prompts over what the port hears, which goes on (unheard) meanwhile.
    Overlay {
        /// Who hears.
        port: PortId,
        /// What.
        prompts: Vec<Prompt>,
    },
    /// Report keys pressed on this port's peer, by these means.
    Detect {
        /// Whose keys.
        port: PortId,
        /// Telephone-events.
        rfc4733: bool,
        /// Tones in the audio; of a peer that is seen to send telephone-events as agreed, only
        /// where those are not asked for.
        inband: bool,
        /// Whether telephone-events also go on to who hears the port.
        pass: bool,
    },
    /// Press a key towards the port's peer: telephone-events where negotiated, else tones.
    SendDigit {
        /// Towards whom.
        port: PortId,
        /// The key.
        digit: Digit,
    },
    /// Record what two ports' peers say, one on each channel of a stereo recording, 8 kHz. The same
    /// port twice: what its peer says, on both.
    Record {
        /// The recording's name from here on.
        record: RecordId,
        /// Whose voice is on the left.
        left: PortId,
        /// Whose voice is on the right.
        right: PortId,
    },
    /// Leave out what is said (`paused`), or go on. What is left out is not silence in the file: it
    /// is not there.
    PauseRecord {
        /// Which.
        record: RecordId,
        /// Whether nothing is recorded from here on.
        paused: bool,
    },
    /// End the recording. It also ends when either port closes.
    StopRecord {
        /// Which.
        record: RecordId,
    },
    /// Close the sockets, answer with [`Event::Closed`].
    Close {
        /// Which.
        port: PortId,
    },
}

/// A key of a telephone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digit(u8);

impl Digit {
    /// From `0-9`, `*`, `#`, `A-D` (`a-d` too); `None` for anything else.
    pub fn from_char(c: char) -> Option<Self> {
        "0123456789*#ABCD".find(c.to_ascii_uppercase()).and_then(|i| Self::from_event(i as u8))
    }

    /// From an event code of RFC 4733 §3.2 (0–15).
    pub fn from_event(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The event code of RFC 4733 §3.2.
    pub fn event(self) -> u8 {
        self.0
    }

    /// The key's character.
    pub fn char(self) -> char {
        char::from(b"0123456789*#ABCD"[usize::from(self.0)])
    }
}

/// What another process needs so that a port goes on with the stream that its peer hears and the
/// one that it hears: numbers, counters and addresses, never keys, sound or what was pressed
/// before. About once a second for each port, and at once where something must not be lost. Of no
/// use any more when the port has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub port: PortId,
    /// For [`Command::Resume`]; a later state replaces the earlier.
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
    /// The prompts of a [`Source::Play`] have ended.
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
    /// [`Command::Resume`].
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

/// How packets are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// By io_uring where it works, by epoll elsewhere.
    Auto,
    /// By io_uring or not at all.
    Uring,
    /// By epoll.
    Epoll,
}

/// Whether media threads run before everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// In real time where the system permits it; else with a higher share where it permits that.
    Auto,
    /// Like every other thread.
    Off,
}

/// Limits and times of the media plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// First and last RTP port, inclusive; only even ones are used, RTCP takes the next.
    pub ports: (u16, u16),
    /// Media threads; 0: one a core, less one (at least one).
    pub threads: u8,
    /// How packets are moved.
    pub io: Io,
    /// Whether the media threads run before everything else.
    pub priority: Priority,
    /// How long a freed port rests before it is used again, so that a new caller can't hear an
    /// old one.
    pub port_rest: Duration,
    /// After how long without RTP and RTCP a peer counts as silent ([`Event::Silent`]).
    pub silent_after: Duration,
    /// After how long without RTP from a peer that we send to and that may speak the audio counts
    /// as one-way ([`Event::OneWay`]).
    pub one_way_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: (30_000, 39_998),
            threads: 0,
            io: Io::Auto,
            priority: Priority::Auto,
            port_rest: Duration::from_secs(30),
            silent_after: Duration::from_secs(4),
            one_way_after: Duration::from_secs(3),
        }
    }
}
