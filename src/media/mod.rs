//! The media plane: packets and ticks in, packets out. Knows nothing of SIP.
//!
//! This file owns the border: the [`Command`]s that the call path gives and the [`Event`]s that it
//! gets. The machine itself is [`engine::Engine`]; sockets and threads are the shell's.
#![deny(clippy::disallowed_methods)]

pub mod codec;
mod command;
mod conceal;
pub mod dtmf;
pub mod ear;
pub mod engine;
mod event;
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

pub use command::{Command, Source, Then};
pub use dtmf::{Keys, Means};
pub use event::{Event, Kept, Quality, Recent, Way};
pub use g711::Law;
pub use recording::{Chunk, Recorded};
pub use rtp::Header;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
            silent_after: Duration::from_secs(3),
            one_way_after: Duration::from_secs(3),
        }
    }
}
