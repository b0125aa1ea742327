//! The codecs that a description can name (RFC 3551 §6, RFC 7587), and who may send.

/// An audio codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s, wideband.
    G722,
    /// Opus, with forward error correction in band.
    Opus,
}

impl Codec {
    /// The payload number that we offer it by: static (RFC 3551 §6) but for Opus.
    pub fn payload(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 96,
        }
    }

    /// Its name in `rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// Ticks a second of its timestamps: G.722's are those of 8 kHz by an old mistake (RFC 3551
    /// §4.5.2).
    pub fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8000,
            Self::Opus => 48_000,
        }
    }

    /// Name, clock and channels, as `rtpmap` has them.
    pub(super) fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            // Always two, whatever is in it (RFC 7587 §7).
            Self::Opus => "opus/48000/2",
        }
    }

    /// What `fmtp` says of it.
    pub(super) fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => None,
            Self::Opus => Some("useinbandfec=1"),
        }
    }

    /// Whether a payload number means it, given what `rtpmap` says of the number.
    pub(super) fn is(self, payload: u8, encoding: Option<&str>) -> bool {
        match encoding {
            Some(encoding) => {
                let mono = encoding.strip_suffix("/1").unwrap_or(encoding);
                mono.eq_ignore_ascii_case(self.encoding())
            }
            // Numbers from 96 on mean nothing by themselves.
            None => payload == self.payload() && payload < 96,
        }
    }
}

/// Who may send, seen from whoever states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// Only who states it.
    SendOnly,
    /// Only the other.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    pub(super) fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether who states it sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether who states it listens.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// As the attribute is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        all.into_iter().find(|direction| direction.as_str() == text)
    }
}
