//! The test call: the service calls one of its own lines, as a trunk would, before it opens.
//!
//! Owns what a test call is known by and what it gets: the guidance of the open line, whatever the
//! hours, and never a place in the queue. When one is let in is the switchboard's.

use std::net::SocketAddr;
use std::time::Duration;

use super::config::{DtmfMeans, LineId, NumberSource, Srtp, Trunk, TrunkId};
use crate::media::Codec;
use crate::pii::Pii;
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use crate::sip::{Flow, Transport};

/// How long a test call may last, from the moment that it is expected.
pub const LIMIT: Duration = Duration::from_secs(15);

/// The trunk of test calls in records: no trunk of a configuration can have this id.
const TRUNK: &str = "(test)";

/// A test call that is to come: from this socket, which is held by whoever asks, with this word,
/// which nobody else knows; once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which line is called.
    pub line: LineId,
    /// The socket that calls.
    pub from: SocketAddr,
    /// The user of its From.
    pub word: Pii,
}

impl Trial {
    /// Whether this is the socket.
    pub(super) fn is_from(&self, flow: &Flow) -> bool {
        flow.transport == Transport::Udp && flow.remote == self.from
    }

    /// Whether the INVITE says the word.
    pub(super) fn is_named_by(&self, request: &Message) -> bool {
        let Ok(from) = request.from() else { return false };
        match Uri::parse(from.uri) {
            Ok(Uri::Sip(uri)) => uri.user.as_deref() == Some(self.word.expose()),
            Ok(Uri::Tel(_) | Uri::Other { .. }) | Err(_) => false,
        }
    }

    /// The trunk by which it comes: none that anybody else could use.
    pub(super) fn trunk(&self) -> Trunk {
        Trunk {
            peers: Vec::new(),
            register: Vec::new(),
            called_number: vec![NumberSource::RequestUri],
            add_prefix: String::new(),
            rel100: false,
            session_expires: None,
            dtmf: vec![DtmfMeans::Rfc4733],
            codecs: vec![Codec::Pcmu],
            srtp: Srtp::Off,
            dscp_sip: 0,
            dscp_rtp: 46,
            options_ping: None,
            advertised: Some(self.from.ip()),
        }
    }
}

/// The id of that trunk.
pub(super) fn trunk_id() -> TrunkId {
    TrunkId::from(TRUNK)
}

/// Whether a call by this trunk is a test call.
pub(super) fn is_trial(trunk: &TrunkId) -> bool {
    &*trunk.0 == TRUNK
}
