//! The SIP stack (RFC 3261 and 6026, 3262, 3311, 3581, 4028, 3515, 3891, 8760): bytes in, bytes and
//! [`Event`]s out. Knows nothing of calls, queues or counselors.
//!
//! This file owns the border with the call path. [`endpoint::Endpoint`] is the machine.
#![deny(clippy::disallowed_methods)]

pub mod auth;
mod client_invite;
mod client_non_invite;
mod dialog;
pub mod endpoint;
pub mod fault;
pub mod floodgate;
pub mod frame;
pub mod header;
mod info;
pub mod kept;
pub mod lateness;
mod machine;
pub mod message;
mod method;
pub mod parse;
pub mod print;
pub mod registrar;
pub mod registration;
mod reliable;
pub mod sdp;
mod server_invite;
mod server_non_invite;
mod session;
mod session_timer;
mod shown;
mod transaction;
pub mod uri;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use message::Message;

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream that nobody reads along (RFC 3261 §26.2.1).
    Tls,
}

impl Transport {
    /// Whether bytes travel on a connection, which can be lost.
    pub const fn is_stream(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }

    /// The port where none is named (RFC 3261 §19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// As URIs and the configuration write it: `udp`, `tcp`, `tls`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A name that the far end of a TLS connection has to prove to be its: an entry of [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(u32);

/// Every name that certificates are verified against: hosts of the trunks that the operator wrote
/// down, so that there are few. None is ever forgotten: a flow that names it may still live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// The entry of a host name; a new one where there is none, `None` when there are too many.
    pub fn enter(&mut self, host: &str) -> Option<NameId> {
        let known = self.0.iter().position(|name| name.eq_ignore_ascii_case(host));
        let at = known.or_else(|| {
            (self.0.len() < NAMES_MAX).then(|| {
                self.0.push(host.to_owned());
                self.0.len() - 1
            })
        });
        at.and_then(|at| u32::try_from(at).ok()).map(NameId)
    }

    /// Every name, in the order of their entries.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The name of an entry.
    pub fn name(&self, id: NameId) -> Option<&str> {
        self.0.get(usize::try_from(id.0).ok()?).map(String::as_str)
    }
}

/// Names that are kept over the life of a process.
const NAMES_MAX: usize = 10_000;

/// A connection of a stream transport; unique while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Where a message came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Our end: the listening socket.
    pub local: SocketAddr,
    /// The far end.
    pub remote: SocketAddr,
    /// The stream; `None` asks for one to be opened (or any that is open to `remote`).
    pub connection: Option<ConnectionId>,
    /// TLS: whom the certificate of the far end has to name where we open the connection; `None`:
    /// the address itself. Flows of other names never share a connection, even to one address.
    pub name: Option<NameId>,
}

impl Flow {
    /// A flow that names no connection and no certificate's name.
    pub fn new(transport: Transport, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { transport, local, remote, connection: None, name: None }
    }
}

/// Bytes to send. `Debug` shows no contents.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub flow: Flow,
    /// One whole message, or a keep-alive.
    pub bytes: Bytes,
}

/// Who sent a message, as the call path judges by its flow.
#[derive(Clone, Debug)]
pub enum Admit {
    /// Someone whom we serve, in this manner.
    Peer(Policy),
    /// The same, but we are behind: a new call is refused by 503 at once.
    Busy(Policy),
    /// Someone unknown: only REGISTER, what belongs to a dialog, and answers to our own requests
    /// are heard; everything else is counted and gets no answer.
    Stranger,
}

/// How a peer is dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Offer and accept reliable provisional responses (RFC 3262).
    pub rel100: bool,
    /// Session-Expires that we ask for (RFC 4028); `None`: we don't ask, but accept.
    pub session_expires: Option<Duration>,
    /// Address to name in Via and Contact in place of the flow's own.
    pub advertised: Option<IpAddr>,
    /// User part of our Contact.
    pub contact_user: String,
}

/// An INVITE session (one dialog, or the one that is about to be).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A request of a peer (not INVITE) that waits for our answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerTx(pub u64);

/// A request of ours (not INVITE) that waits for the peer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientTx(pub u64);

/// An INVITE to send. `Debug` shows no contents.
#[derive(Clone)]
pub struct Invite {
    /// Where to.
    pub flow: Flow,
    /// Request-URI.
    pub uri: String,
    /// From, without tag: `"相談" <sip:caller-x@koebashi.local>`.
    pub from: String,
    /// To.
    pub to: String,
    /// More headers, printed as they are.
    pub headers: Vec<(header::Name, String)>,
    /// Our offer.
    pub sdp: Bytes,
    /// How the peer is dealt with.
    pub policy: Policy,
}

/// What the stack tells the call path. `Debug` shows no contents: SDP may hold keys.
#[derive(Clone)]
pub enum Event {
    /// A new INVITE (UAS). 100 has been sent. Its offer is `request.body()`, empty: offer-less.
    Invite {
        /// Answer through this.
        session: SessionId,
        /// Where from.
        flow: Flow,
        /// The whole request.
        request: Message,
    },
    /// A provisional response (UAC); PRACKed where it asked for that. 100 says no more than that
    /// somebody has the INVITE; over UDP it may be all that ever arrives.
    Progress {
        /// Which session.
        session: SessionId,
        /// 100–199.
        code: u16,
        /// SDP of the response.
        sdp: Option<Bytes>,
    },
    /// 2xx (UAC); ACK has been sent.
    Answered {
        /// Which session.
        session: SessionId,
        /// SDP of the response.
        sdp: Option<Bytes>,
    },
    /// ACK for our 2xx (UAS), or PRACK for our first reliable response (`early`).
    Confirmed {
        /// Which session.
        session: SessionId,
        /// The answer, when the offer was in our response.
        sdp: Option<Bytes>,
        /// It was PRACK, not ACK.
        early: bool,
    },
    /// A re-INVITE or UPDATE with an offer (`None`: offer-less re-INVITE, it asks for ours). Answer
    /// by `Endpoint::accept_offer` or `refuse_offer`.
    Offer {
        /// Which session.
        session: SessionId,
        /// The offer.
        sdp: Option<Bytes>,
    },
    /// The peer answered our re-INVITE: its SDP, or the final code that refused it.
    Reoffered {
        /// Which session.
        session: SessionId,
        /// SDP of the 2xx, or the code.
        result: Result<Option<Bytes>, u16>,
    },
    /// INFO in the dialog; 200 (or 415) has been sent.
    Info {
        /// Which session.
        session: SessionId,
        /// A key pressed (`application/dtmf-relay`, `application/dtmf`).
        digit: char,
    },
    /// REFER in the dialog. Answer `tx` by `Endpoint::respond` (202 or a refusal), then tell the
    /// outcome by `Endpoint::notify`.
    Refer {
        /// Which session.
        session: SessionId,
        /// To be answered.
        tx: ServerTx,
        /// URI of Refer-To, without angle brackets and without its `?Replaces=`.
        target: String,
        /// The session that `?Replaces=` names, when it is one of ours (attended transfer).
        replaces: Option<SessionId>,
        /// Whether Refer-To had a Replaces at all.
        attended: bool,
    },
    /// The peer answered (`true`, with whatever code) our `Endpoint::probe`, or did not in time.
    Probed {
        /// Which session.
        session: SessionId,
        /// Somebody is there.
        alive: bool,
    },
    /// The session is over, by the peer or by time. Comes at most once a session, last, and not
    /// after our own `hangup` or `refuse`.
    Ended {
        /// Which session.
        session: SessionId,
        /// Why.
        cause: Cause,
    },
    /// A request outside any dialog (REGISTER, OPTIONS, …). Answer by `Endpoint::respond`.
    Request {
        /// To be answered.
        tx: ServerTx,
        /// Where from.
        flow: Flow,
        /// The whole request.
        request: Message,
    },
    /// The answer to `Endpoint::request`.
    Response {
        /// To what.
        tx: ClientTx,
        /// The final response, or `None` after time-out or transport failure.
        response: Option<Message>,
    },
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// CANCEL by the peer (UAS); 487 has been sent.
    Cancelled,
    /// BYE by the peer.
    Bye,
    /// The peer refused our INVITE.
    Refused {
        /// Final code, 300–699.
        code: u16,
        /// Contacts of a 3xx, as URIs.
        contacts: Vec<String>,
    },
    /// No final answer to our INVITE in time (Timer B), or none at all.
    Unanswered,
    /// Our 2xx was never acknowledged (64·T1); BYE has been sent.
    AckLost,
    /// Our reliable provisional response was never acknowledged (64·T1).
    PrackLost,
    /// The session timer ran out (RFC 4028); BYE has been sent.
    Expired,
    /// The transport says that the peer is unreachable (ICMP, reset).
    Unreachable,
}

/// Times and limits of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The domain (and digest realm) of the extensions.
    pub domain: String,
    /// Sockets.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// Address to name in Via and Contact instead of the socket's.
    pub advertised: Option<IpAddr>,
    /// Round-trip estimate (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// Longest retransmission interval of non-INVITE requests.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// Transactions at once; beyond it new requests are dropped and counted. Beyond three quarters
    /// new calls get 503, beyond half strangers are not heard.
    pub max_transactions: usize,
    /// Sessions at once; beyond it INVITE gets 503.
    pub max_sessions: usize,
    /// Shortest and longest registration of a phone.
    pub register_expires: (Duration, Duration),
    /// Bindings of one extension.
    pub max_contacts: usize,
    /// How long a digest nonce is good.
    pub nonce_life: Duration,
    /// Wrong passwords a minute from one source that are looked at.
    pub guesses: u32,
    /// How much of what strangers send is looked at.
    pub flood: floodgate::Limits,
    /// Everything that is read has waited so long: new calls are refused ([`lateness`]).
    pub busy_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domain: "koebashi.local".to_owned(),
            listen: Vec::new(),
            advertised: None,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            max_transactions: 20_000,
            max_sessions: 8_000,
            register_expires: (Duration::from_secs(60), Duration::from_secs(300)),
            max_contacts: 5,
            nonce_life: Duration::from_secs(300),
            guesses: 10,
            flood: floodgate::Limits::default(),
            busy_after: Duration::from_millis(100),
        }
    }
}
