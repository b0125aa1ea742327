//! The SIP stack (RFC 3261 and 6026, 3262, 3311, 3581, 4028, 3515, 3891, 8760): bytes in, bytes and
//! [`Event`]s out. Knows nothing of calls, queues or counselors.
//!
//! This file owns the border with the call path. [`endpoint::Endpoint`] is the machine.
#![deny(clippy::disallowed_methods)]

pub mod auth;
pub mod endpoint;
pub mod fault;
pub mod frame;
pub mod header;
pub mod message;
mod method;
pub mod parse;
pub mod print;
pub mod registrar;
pub mod registration;

            advertised: None,
            domain: "koebashi.local".to_owned(),
            listen: Vec::new(),
            max_contacts: 5,
            max_sessions: 8_000,
            max_transactions: 20_000,
            nonce_life: Duration::from_secs(300),
            register_expires: (Duration::from_secs(60), Duration::from_secs(3600)),
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        /// 101–199.
        /// A key pressed (`application/dtmf-relay`, `application/dtmf`).
        /// Answer through this.
        /// Contacts of a 3xx, as URIs.
        /// Final code, 300–699.
        /// It was PRACK, not ACK.
        /// SDP of the 2xx, or the code.
        /// SDP of the response.
        /// Somebody is there.
        /// The answer, when the offer was in our response.
        /// The final response, or `None` after time-out or transport failure.
        /// The offer.
        /// The session that `?Replaces=` names, when it is one of ours (attended transfer).
        /// The whole request.
        /// To be answered.
        /// To what.
        /// URI of Refer-To, without angle brackets and without its `?Replaces=`.
        /// Where from.
        /// Whether Refer-To had a Replaces at all.
        /// Which session.
        /// Why.
        Self {
        alive: bool,
        attended: bool,
        cause: Cause,
        code: u16,
        contacts: Vec<String>,
        digit: char,
        early: bool,
        flow: Flow,
        replaces: Option<SessionId>,
        request: Message,
        response: Option<Message>,
        result: Result<Option<Bytes>, u16>,
        sdp: Option<Bytes>,
        session: SessionId,
        target: String,
        tx: ClientTx,
        tx: ServerTx,
        }
    /// 2xx (UAC); ACK has been sent.
    /// A new INVITE (UAS). 100 has been sent. Its offer is `request.body()`, empty: offer-less.
    /// A provisional response other than 100 (UAC); PRACKed where it asked for that.
    /// A re-INVITE or UPDATE with an offer (`None`: offer-less re-INVITE, it asks for ours). Answer
    /// A request outside any dialog (REGISTER, OPTIONS, …). Answer by `Endpoint::respond`.
    /// A stream.
    /// ACK for our 2xx (UAS), or PRACK for our first reliable response (`early`).
    /// Address to name in Via and Contact in place of the flow's own.
    /// Address to name in Via and Contact instead of the socket's.
    /// BYE by the peer.
    /// Bindings of one extension.
    /// CANCEL by the peer (UAS); 487 has been sent.
    /// Datagrams.
    /// From, without tag: `"相談" <sip:caller-x@koebashi.local>`.
    /// How long a digest nonce is good.
    /// How long a message stays in the network.
    /// How the peer is dealt with.
    /// How.
    /// INFO in the dialog; 200 (or 415) has been sent.
    /// Longest retransmission interval of non-INVITE requests.
    /// More headers, printed as they are.
    /// No final answer to our INVITE in time (Timer B), or none at all.
    /// Offer and accept reliable provisional responses (RFC 3262).
    /// One whole message, or a keep-alive.
    /// Our 2xx was never acknowledged (64·T1); BYE has been sent.
    /// Our end: the listening socket.
    /// Our offer.
    /// Our reliable provisional response was never acknowledged (64·T1).
    /// REFER in the dialog. Answer `tx` by `Endpoint::respond` (202 or a refusal), then tell the
    /// Request-URI.
    /// Round-trip estimate (RFC 3261 §17.1.1.1).
    /// Session-Expires that we ask for (RFC 4028); `None`: we don't ask, but accept.
    /// Sessions at once; beyond it INVITE gets 503.
    /// Shortest and longest registration of a phone.
    /// Sockets.
    /// Someone unknown: only REGISTER, what belongs to a dialog, and answers to our own requests
    /// Someone whom we serve, in this manner.
    /// The answer to `Endpoint::request`.
    /// The domain (and digest realm) of the extensions.
    /// The far end.
    /// The peer answered (`true`, with whatever code) our `Endpoint::probe`, or did not in time.
    /// The peer answered our re-INVITE: its SDP, or the final code that refused it.
    /// The peer refused our INVITE.
    /// The session is over, by the peer or by time. Comes at most once a session, last, and not
    /// The session timer ran out (RFC 4028); BYE has been sent.
    /// The stream; `None` asks for one to be opened (or any that is open to `remote`).
    /// The transport says that the peer is unreachable (ICMP, reset).
    /// To.
    /// Transactions at once; beyond it new requests are dropped and counted.
    /// User part of our Contact.
    /// Where to.
    /// after our own `hangup` or `refuse`.
    /// are heard; everything else is counted and gets no answer.
    /// by `Endpoint::accept_offer` or `refuse_offer`.
    /// outcome by `Endpoint::notify`.
    AckLost,
    Answered {
    Bye,
    Cancelled,
    Confirmed {
    Ended {
    Expired,
    Info {
    Invite {
    Offer {
    Peer(Policy),
    PrackLost,
    Probed {
    Progress {
    Refer {
    Refused {
    Reoffered {
    Request {
    Response {
    Stranger,
    Tcp,
    Udp,
    Unanswered,
    Unreachable,
    fn default() -> Self {
    pub advertised: Option<IpAddr>,
    pub bytes: Bytes,
    pub connection: Option<ConnectionId>,
    pub contact_user: String,
    pub domain: String,
    pub flow: Flow,
    pub from: String,
    pub headers: Vec<(header::Name, String)>,
    pub listen: Vec<(Transport, SocketAddr)>,
    pub local: SocketAddr,
    pub max_contacts: usize,
    pub max_sessions: usize,
    pub max_transactions: usize,
    pub nonce_life: Duration,
    pub policy: Policy,
    pub register_expires: (Duration, Duration),
    pub rel100: bool,
    pub remote: SocketAddr,
    pub sdp: Bytes,
    pub session_expires: Option<Duration>,
    pub t1: Duration,
    pub t2: Duration,
    pub t4: Duration,
    pub to: String,
    pub transport: Transport,
    pub uri: String,
    }
    },
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive(Clone, Debug)]
#[derive(Clone, Debug, PartialEq, Eq)]
/// A connection of a stream transport; unique while the process lives.
/// A request of a peer (not INVITE) that waits for our answer.
/// A request of ours (not INVITE) that waits for the peer's answer.
/// An INVITE session (one dialog, or the one that is about to be).
/// An INVITE to send.
/// Bytes to send.
/// How a peer is dealt with.
/// How bytes travel.
/// Times and limits of the stack.
/// What the stack tells the call path.
/// Where a message came from or goes to.
/// Who sent a message, as the call path judges by its flow.
/// Why a session is over.
impl Default for Config {
pub enum Admit {
pub enum Cause {
pub enum Event {
pub enum Transport {
pub mod sdp;
pub mod uri;
pub struct ClientTx(pub u64);
pub struct Config {
pub struct ConnectionId(pub u64);
pub struct Flow {
pub struct Invite {
pub struct Policy {
pub struct ServerTx(pub u64);
pub struct SessionId(pub u64);
pub struct Transmit {
use bytes::Bytes;
use message::Message;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
}
