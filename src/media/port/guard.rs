//! Whether a leg is secure, and what that means for each packet.
//!
//! Owns the one place where packets are protected and believed: with keys nothing plain goes out
//! or counts; without, packets pass as they are. Keys that make no protection close the leg.

use crate::media::Crypto;
use crate::media::srtp::{Progress, Srtp};

/// The most that protection adds to a packet: a tag of GCM and RTCP's index.
pub(super) const ADDED_MAX: usize = 20;

/// The protection of one leg.
pub(super) enum Guard {
    /// None was agreed on.
    Plain { before: Before },
    /// SRTP.
    Secure(Box<Srtp>),
    /// The keys are not of the suite's length: nothing goes, nothing is believed.
    Closed { before: Before },
}

/// What was before stays known: the same keys must not begin anew, or two packets would be
/// encrypted alike.
pub(super) enum Before {
    /// There were no keys.
    Nothing,
    /// These.
    Srtp(Box<Srtp>),
    /// Those that come next, in the process before: so far it had come.
    Kept(Box<Progress>),
    /// In the process before there may have been some, of which nothing is known.
    Lost,
}

impl Before {
    /// Signaling has spoken, and named no keys that could be used.
    fn without_keys(self) -> Self {
        match self {
            Self::Kept(_) => Self::Lost,
            Self::Nothing | Self::Srtp(_) | Self::Lost => self,
        }
    }
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
    /// One that goes on where the process before had come to. The keys follow.
    pub(super) fn resumed(progress: Option<Progress>) -> Self {
        Self::Plain { before: progress.map_or(Before::Lost, |it| Before::Kept(Box::new(it))) }
    }

    /// Takes the keys that signaling agreed on. True when our stream goes on under another key, for
    /// which it needs another SSRC (see [`Srtp::renew`]).
    pub(super) fn take(&mut self, crypto: Option<&Crypto>) -> bool {
        let before = match std::mem::replace(self, Self::Plain { before: Before::Nothing }) {
            Self::Plain { before } | Self::Closed { before } => before,
            Self::Secure(srtp) => Before::Srtp(srtp),
        };
        let Some(crypto) = crypto else {
            *self = Self::Plain { before: before.without_keys() };
            return false;
        };
        let progress = match before {
            Before::Srtp(srtp) => return self.renew(srtp, crypto),
            Before::Nothing => None,
            Before::Lost => Some(Progress::default()),
            Before::Kept(progress) => Some(*progress),
        };
        let Ok(mut srtp) = Srtp::new(crypto) else {
            let before = if progress.is_some() { Before::Lost } else { Before::Nothing };
            *self = Self::Closed { before };
            return false;
        };
        if let Some(progress) = &progress {
            srtp.resume(progress);
        }
        *self = Self::Secure(Box::new(srtp));
        // What is not known to have been sent under these keys may have been.
        progress.is_some_and(|progress| progress.sent.is_none())
    }

    fn renew(&mut self, mut srtp: Box<Srtp>, crypto: &Crypto) -> bool {
        let had_sent = srtp.sent().is_some();
        if srtp.renew(crypto).is_err() {
            *self = Self::Closed { before: Before::Srtp(srtp) };
            return false;
        }
        let begins = srtp.sent().is_none();
        *self = Self::Secure(srtp);
        had_sent && begins
    }

    /// The protection, while it is in force.
    pub(super) fn srtp(&self) -> Option<&Srtp> {
        match self {
            Self::Secure(srtp) => Some(srtp),
            Self::Plain { .. } | Self::Closed { .. } => None,
        }
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
