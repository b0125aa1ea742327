//! Messages without end, as strangers and forgers send them.
//!
//! Owns the sockets that they come from and the pace. Each message is one of a kind: its branch,
//! Call-ID and tag are new.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::load::sdp;

/// What floods are made of.
pub(crate) const METHODS: [&str; 5] = ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"];
/// How long a blaster that is behind makes up for.
const BEHIND_MAX: Duration = Duration::from_millis(50);

/// A socket that never waits.
pub(crate) fn socket(ip: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sockets on so many addresses of hosts that nobody has named.
pub(crate) fn strangers(net: u8, count: u32) -> io::Result<Vec<UdpSocket>> {
    (1..=count).map(|n| socket(stranger(net, n))).collect()
}

/// One such address. The net keeps rows apart.
pub(crate) fn stranger(net: u8, n: u32) -> Ipv4Addr {
    let [.., high, low] = n.to_be_bytes();
    Ipv4Addr::new(127, net, high, low)
}

/// A whole request that has never been sent before.
pub(crate) fn request(
    method: &str,
    from: SocketAddr,
    service: IpAddr,
    number: &str,
    n: u64,
) -> String {
    let body = match (method, from.ip()) {
        ("INVITE", IpAddr::V4(ip)) => sdp(ip, 9),
        _ => String::new(),
    };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let length = body.len();
    format!(
        "{method} sip:{number}@{service} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKflood{n}\
         ;rport\r\nMax-Forwards: 70\r\nFrom: <sip:{n}@{from}>;tag=f{n}\r\n\
         To: <sip:{number}@{service}>\r\nCall-ID: flood-{n}@{from}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:{n}@{from}>\r\nExpires: 3600\r\nUser-Agent: friendly-scanner\r\n\
         {kind}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A thread that sends.
pub(crate) struct Blast(JoinHandle<u64>);

impl Blast {
    /// Sends `count` messages, so many a second, of whatever `next` makes out of its number; what
    /// comes back is not read. [`Self::end`] gives how many left.
    pub(crate) fn start(
        count: u64,
        per_second: u64,
        mut next: impl FnMut(u64) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let run = move || {
            let mut left = 0;
            let mut began = Instant::now();
            for n in 0..count {
                let due = began + Duration::from_nanos(n * 1_000_000_000 / per_second.max(1));
                match due.checked_duration_since(Instant::now()) {
                    Some(wait) => thread::sleep(wait.max(Duration::from_millis(1))),
                    // Whoever was away does not send it all at once.
                    None if due.elapsed() > BEHIND_MAX => began += due.elapsed(),
                    None => {}
                }
                left += u64::from(next(n));
            }
            left
        };
        Ok(Self(thread::Builder::new().name("blast".to_owned()).spawn(run)?))
    }

    /// Waits for the last one.
    pub(crate) fn end(self) -> io::Result<u64> {
        self.0.join().map_err(|_| io::Error::other("the blaster panicked"))
    }

    /// Whether it still sends.
    pub(crate) fn is_going(&self) -> bool {
        !self.0.is_finished()
    }
}
