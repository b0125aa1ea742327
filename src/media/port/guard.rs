//! Whether a leg is secure, and what that means for each packet.
//!
//! Owns the one place where packets are protected and believed: with keys nothing plain goes out
//! or counts; without, packets pass as they are. Keys that make no protection close the leg.

use crate::media::Crypto;
use crate::media::srtp::Srtp;

/// The most that protection adds to a packet: a tag of GCM and RTCP's index.
pub(super) const ADDED_MAX: usize = 20;

/// The protection of one leg.
pub(super) enum Guard {
    /// None was agreed on. What was before stays known: the same keys must not begin anew, or two
    /// packets would be encrypted alike.
    Plain { before: Option<Box<Srtp>> },
    /// SRTP.
    Secure(Box<Srtp>),
    /// The keys are not of the suite's length: nothing goes, nothing is believed.
    Closed { before: Option<Box<Srtp>> },
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain { .. } => "Plain",
            Self::Secure(_) => "Secure",
            Self::Closed { .. } => "Closed",
        })
    }
}

/// A packet was not authentic, has come before, or can't be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Guard {
    /// Takes the keys that signaling agreed on. True when our stream goes on under another key, for
    /// which it needs another SSRC (see [`Srtp::renew`]).
    pub(super) fn take(&mut self, crypto: Option<&Crypto>) -> bool {
        let before = match std::mem::replace(self, Self::Plain { before: None }) {
            Self::Plain { before } | Self::Closed { before } => before,
            Self::Secure(srtp) => Some(srtp),
        };
        let Some(crypto) = crypto else {
            *self = Self::Plain { before };
            return false;
        };
        let Some(mut srtp) = before else {
            let closed = Self::Closed { before: None };
            *self = Srtp::new(crypto).map_or(closed, |srtp| Self::Secure(Box::new(srtp)));
            return false;
        };
        let had_sent = srtp.progress().sent.is_some();
        if srtp.renew(crypto).is_err() {
            *self = Self::Closed { before: Some(srtp) };
            return false;
        }
        let begins = srtp.progress().sent.is_none();
        *self = Self::Secure(srtp);
        had_sent && begins
    }

    /// Whether what it passes is authentic.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Self::Secure(_))
    }

    /// Reads a packet of RTP in place; its length.
    pub(super) fn open(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        match self {
            Self::Plain { .. } => Ok(packet.len()),
            Self::Secure(srtp) => srtp.unprotect(packet).ok_or(Refused),
            Self::Closed { .. } => Err(Refused),
        }
    }

    /// The same for RTCP.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        match self {
            Self::Plain { .. } => Ok(packet.len()),
            Self::Secure(srtp) => srtp.unprotect_rtcp(packet).ok_or(Refused),
            Self::Closed { .. } => Err(Refused),
        }
    }

    /// Protects the packet of RTP in the first `length` bytes; its new length.
    pub(super) fn seal(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Refused> {
        match self {
            Self::Plain { .. } => Ok(length),
            Self::Secure(srtp) => srtp.protect(buffer, length).ok_or(Refused),
            Self::Closed { .. } => Err(Refused),
        }
    }

    /// The same for RTCP.
    pub(super) fn seal_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Refused> {
        match self {
            Self::Plain { .. } => Ok(length),
            Self::Secure(srtp) => srtp.protect_rtcp(buffer, length).ok_or(Refused),
            Self::Closed { .. } => Err(Refused),
        }
    }
}
