//! One call of a phone: what it has agreed on, and the keys of its voice.

use std::time::Instant;

use bytes::Bytes;
use koebashi::media::srtp::Srtp;
use koebashi::media::{Crypto, MasterKey, Suite};
use koebashi::sip::sdp::{self, Agreed, Ours, Security};
use koebashi::sip::{Cause, SessionId};

/// One call of a phone.
#[derive(Debug)]
pub(crate) struct PhoneCall {
    /// The phone's session.
    pub session: SessionId,
    pub(super) ours: Ours,
    pub(super) agreed: Option<Agreed>,
    /// Its protection, where the two have agreed on keys.
    pub(super) srtp: Option<Srtp>,
    /// Our answer to the service's offer, where it has to fit that (keys).
    pub(super) answer: Option<Bytes>,
    /// Answered, by either side.
    pub is_up: bool,
    /// How it ended, if it has.
    pub ended: Option<Cause>,
    /// Whether it ended by our own hand.
    pub is_hung_up: bool,
    /// When the phone is to hang up by itself.
    pub(super) leaves: Option<Instant>,
}

impl PhoneCall {
    pub(super) fn new(session: SessionId, ours: Ours) -> Self {
        Self {
            session,
            ours,
            agreed: None,
            srtp: None,
            answer: None,
            is_up: false,
            ended: None,
            is_hung_up: false,
            leaves: None,
        }
    }

    /// When the phone hangs up by itself, if it is still to do so.
    pub(super) fn leaves_at(&self) -> Option<Instant> {
        self.leaves.filter(|_| self.ended.is_none() && !self.is_hung_up)
    }

    /// Whether the voice is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.srtp.is_some()
    }

    /// Whether keys were offered or agreed on.
    pub(super) fn has_keys(&self) -> bool {
        self.is_secure() || self.ours.security != Security::Off
    }

    /// What the two sides have come to.
    pub(super) fn agree(&mut self, agreed: Option<Agreed>) {
        let crypto = agreed.as_ref().and_then(|agreed| agreed.crypto.as_ref()).map(keys);
        match (&mut self.srtp, crypto) {
            (Some(srtp), Some(crypto)) => srtp.renew(&crypto).expect("keys that fit"),
            (srtp, crypto) => {
                *srtp = crypto.map(|crypto| Srtp::new(&crypto).expect("keys that fit"));
            }
        }
        self.agreed = agreed;
    }
}

/// The keys of SDP as SRTP takes them.
fn keys(crypto: &sdp::Crypto) -> Crypto {
    let key = |key: &sdp::Key| MasterKey { bytes: key.expose().to_vec() };
    let suite = match crypto.suite {
        sdp::Suite::AeadAes128Gcm => Suite::AeadAes128Gcm,
        sdp::Suite::AesCm128HmacSha1_80 => Suite::AesCm128HmacSha1_80,
        sdp::Suite::AesCm128HmacSha1_32 => Suite::AesCm128HmacSha1_32,
    };
    Crypto { suite, send: key(&crypto.send), receive: key(&crypto.receive) }
}
