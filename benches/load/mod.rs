//! The load generator: callers and counselors' phones of a service that really runs, all in this
//! process, SIP and RTP on loopback.
//!
//! Owns the addresses and what is common to the parts: `service` starts the program as `manager`
//! says and reads what it costs, `callers` and `phones` speak SIP, `voice` sends and receives every
//! packet of both sides, `figures` counts. Few threads and few sockets, so that little of the machine
//! goes to the generator; what it is late itself is measured apart.

pub(crate) mod callers;
pub(crate) mod figures;
pub(crate) mod manager;
pub(crate) mod phones;
pub(crate) mod service;
pub(crate) mod voice;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, SystemTime};

use koebashi::sip::header::Name;
use koebashi::sip::message::Message;
use koebashi::sip::print::Draft;

/// The line's number.
pub(crate) const NUMBER: &str = "0570000001";
/// Extensions of the counselors count from here.
pub(crate) const EXTENSION: u32 = 10_000;
/// How long a read of signaling waits: the grain of its timers.
const GRAIN: Duration = Duration::from_millis(1);

/// Who is where. Addresses of their own keep the ports of others out of the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// The service: SIP and media.
    pub(crate) service: Ipv4Addr,
    /// The trunk and its callers.
    pub(crate) trunk: Ipv4Addr,
    /// The phones.
    pub(crate) phones: Ipv4Addr,
    /// More callers of the same trunk, beside the others.
    pub(crate) others: Ipv4Addr,
}

impl Addresses {
    /// Addresses that hang on the process, so that two generators don't meet.
    pub(crate) fn new() -> Self {
        let [high, low] = (std::process::id() as u16).to_be_bytes();
        let address = |last| Ipv4Addr::new(127, 64 | (high & 63), low, last);
        let (phones, others) = (address(3), address(4));
        Self { service: address(1), trunk: address(2), phones, others }
    }

    /// Where nobody looks for anything.
    pub(crate) fn nobody(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.service.octets();
        Ipv4Addr::new(a, b, c, 5)
    }

    /// Where the service listens for SIP.
    pub(crate) fn sip(&self) -> SocketAddr {
        (self.service, 5060).into()
    }
}

/// A socket for signaling.
pub(crate) fn sip_socket(address: Ipv4Addr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 5060))?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &(2 << 20))?;
    socket.set_read_timeout(Some(GRAIN))?;
    Ok(socket)
}

/// Nanoseconds of the wall clock, which is also the kernel's for arrivals.
pub(crate) fn nanos() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}

/// An offer or answer: PCMU and telephone-events.
pub(crate) fn sdp(address: Ipv4Addr, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// Where the other side of an SDP wants its packets.
pub(crate) fn media_address(message: &Message) -> Option<SocketAddrV4> {
    let body = std::str::from_utf8(message.body()).ok()?;
    let field = |prefix: &str| body.lines().find_map(|line| line.strip_prefix(prefix));
    let port = field("m=audio ")?.split(' ').next()?.parse().ok()?;
    let address: IpAddr = field("c=IN IP4 ")?.trim().parse().ok()?;
    match address {
        IpAddr::V4(address) => Some(SocketAddrV4::new(address, port)),
        IpAddr::V6(_) => None,
    }
}

/// Answers a request within a dialog as any phone would: everything is fine.
pub(crate) fn agree(message: &Message, tag: &str, own: &str, body: Option<String>) -> bytes::Bytes {
    let draft = Draft::response(message, 200).with(Name::Contact, own);
    // A tag that is there already stays.
    let draft =
        if message.to().is_ok_and(|to| to.tag().is_some()) { draft } else { draft.to_tag(tag) };
    match body {
        Some(sdp) => draft.set_body("application/sdp", sdp.into()).print(),
        None => draft.print(),
    }
}
