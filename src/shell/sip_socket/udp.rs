//! One UDP socket: datagrams with both their addresses, and ICMP errors with the address they are
//! about.
//!
//! Owns the system calls. A socket bound to every address (`0.0.0.0`, `::`) reports the address
//! that a datagram was sent to as the flow's local one, and answers from it (`IP_PKTINFO`,
//! RFC 3542 §6). The kernel's error queue (`IP_RECVERR`) says which peer is unreachable; without it
//! an error says only that somebody is.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::held::Held;
use super::{Limits, Report, Sent};
use crate::shell::clock;
use crate::shell::kept_sockets::{Carries, KeptSockets, Name};
use crate::sip::{Flow, Transport};

/// Control messages of one datagram: where it was sent to, or an ICMP error and who reports it.
const CONTROL_BYTES: usize = 512;

/// Keep-alives passed over at one go; a flood of them must not hold the loop.
const KEEPALIVES_MAX: usize = 64;

/// A bound socket. The loop is woken by what comes and by errors; not by room to send, which every
/// datagram would report once it has left.
pub(super) struct Udp {
    socket: Arc<AsyncFd<UdpSocket>>,
    /// As bound.
    pub(super) local: SocketAddr,
    control: Vec<u8>,
    /// New calls that have been read.
    held: Held,
    /// What comes from here on is left to whoever has the socket next.
    is_left: bool,
}

/// A datagram that has been taken; its bytes are in the buffer.
pub(super) struct Datagram {
    pub(super) flow: Flow,
    pub(super) len: usize,
    /// Of a new call, how long it has waited.
    pub(super) waited: Option<Duration>,
}

impl Udp {
    pub(super) fn bind(
        address: SocketAddr,
        limits: &Limits,
        kept: &KeptSockets,
    ) -> io::Result<Self> {
        let old = kept.claim(address, Carries::Datagrams).map(Socket::from);
        let is_new = old.is_none();
        let socket = match old {
            Some(socket) => socket,
            None => Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?,
        };
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            if is_new {
                socket.set_only_v6(true)?;
            }
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        mark(&socket, address, limits.dscp)?;
        if let Err(error) = socket.set_recv_buffer_size(limits.receive_buffer) {
            tracing::warn!(%error, "no larger UDP receive buffer");
        }
        if is_new {
            socket.bind(&address.into())?;
        }
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        if is_new {
            kept.keep(Name::sip(Transport::Udp, local), &[socket.as_fd()]);
        }
        let interest = Interest::READABLE | Interest::ERROR;
        #[expect(deprecated, reason = "its successor is unsafe; the fd of a socket never changes")]
        let socket = AsyncFd::with_interest(socket, interest)?;
        let control = vec![0; CONTROL_BYTES];
        let held = Held::default();
        Ok(Self { socket: Arc::new(socket), local, control, held, is_left: false })
    }

    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.held.is_empty() {
            return Poll::Ready(());
        }
        self.socket.poll_read_ready(context).map(|_| ())
    }

    /// From here on gives what has been read, and nothing else.
    pub(super) fn stop_reading(&mut self) {
        self.is_left = true;
    }

    /// The next datagram, if one waits: new calls behind what belongs to those that go on.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Option<Datagram> {
        while !(self.is_left || self.held.is_due()) {
            let Some((flow, len, waited)) = self.read(buffer) else { break };
            if !self.held.takes(&buffer[..len]) {
                self.held.pass();
                return Some(Datagram { flow, len, waited: None });
            }
            self.held.put(clock::now().mono, flow, &buffer[..len], waited);
            buffer[..len].fill(0);
        }
        let (flow, len, waited) = self.held.take(clock::now().mono, buffer)?;
        Some(Datagram { flow, len, waited })
    }

    /// What the socket has next, and how long that has waited. Plain line ends (keep-alives of
    /// phones behind NAT) and empty datagrams are passed over: an answer to them would answer
    /// anybody.
    fn read(&mut self, buffer: &mut [u8]) -> Option<(Flow, usize, Duration)> {
        for _ in 0..KEEPALIVES_MAX {
            let (local, control) = (self.local, &mut self.control);
            let received = self.socket.try_io(Interest::READABLE, |socket| {
                take(socket.as_raw_fd(), buffer, control, local, MsgFlags::MSG_DONTWAIT)
            });
            match received {
                Ok(taken) => {
                    let len = taken.len;
                    if buffer[..len].iter().any(|b| !matches!(b, b'\r' | b'\n' | 0)) {
                        let age = |stamp| clock::waited(clock::wall(), stamp);
                        let waited = taken.told.stamp.map_or(Duration::ZERO, age);
                        return Some((taken.flow?, len, waited));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // A pending ICMP error of some peer; the error queue tells which.
                Err(error) => tracing::trace!(%error, "UDP receive"),
            }
        }
        None
    }

    pub(super) fn send(&self, flow: &Flow, bytes: &[u8]) -> Sent {
        // The first failure may be an old ICMP error of another peer, which a call that fails
        // takes off the socket: only the second one is about this datagram.
        for last in [false, true] {
            match self.give(flow, bytes) {
                Ok(_) => return Sent::Yes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Dropped,
                Err(error) if last => {
                    tracing::debug!(%error, "UDP send");
                    return if error.raw_os_error() == Some(Errno::ENOBUFS as i32) {
                        Sent::Dropped
                    } else {
                        Sent::Failed
                    };
                }
                Err(_) => {}
            }
        }
        Sent::Failed
    }

    fn give(&self, flow: &Flow, bytes: &[u8]) -> io::Result<usize> {
        let remote = SockaddrStorage::from(flow.remote);
        let (fd, data) = (self.socket.as_raw_fd(), [IoSlice::new(bytes)]);
        let from = self.local.ip().is_unspecified() && !flow.local.ip().is_unspecified();
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = match flow.local.ip() {
            IpAddr::V4(ip) if from => {
                let ipi_spec_dst = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let ipi_addr = in_addr { s_addr: 0 };
                let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr };
                sendmsg(fd, &data, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&remote))
            }
            IpAddr::V6(ip) if from => {
                let ipi6_addr = in6_addr { s6_addr: ip.octets() };
                let info = in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                sendmsg(fd, &data, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&remote))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => sendmsg(fd, &data, &[], flags, Some(&remote)),
        };
        Ok(sent?)
    }

    /// Reports every peer that ICMP calls unreachable, for as long as the loop listens.
    pub(super) fn watch_errors(&self, reports: mpsc::Sender<Report>) {
        let (socket, local) = (Arc::clone(&self.socket), self.local);
        tokio::spawn(async move {
            let mut control = vec![0; CONTROL_BYTES];
            // The start of our own datagram comes back with the error; nobody needs it.
            let mut echo = [0; 64];
            while !reports.is_closed() {
                let ready = tokio::select! {
                    ready = socket.ready(Interest::ERROR) => ready,
                    () = reports.closed() => return,
                };
                if ready.is_err() {
                    return;
                }
                let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
                let taken = socket.try_io(Interest::ERROR, |socket| {
                    take(socket.as_raw_fd(), &mut echo, &mut control, local, flags)
                        .map_err(|_| io::ErrorKind::WouldBlock.into())
                });
                let Ok(Taken { flow: Some(flow), told: Told { error: Some(error), .. }, .. }) =
                    taken
                else {
                    continue;
                };
                // Whoever sent it may have named our address, or the socket's wildcard.
                let bound = (flow.local != local).then_some(Flow { local, ..flow });
                for flow in
                    [Some(flow), bound].into_iter().flatten().filter(|_| is_unreachable(error))
                {
                    if reports.send(Report::Failed(flow)).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// The socket to send from `local`: bound to it, or to every address at its port, or any socket of
/// its family.
pub(super) fn sender(sockets: &[Udp], local: SocketAddr) -> Option<&Udp> {
    let any = |s: &&Udp| s.local.ip().is_unspecified() && s.local.port() == local.port();
    let of_family = |s: &&Udp| s.local.is_ipv4() == local.is_ipv4();
    let mut same = sockets.iter().filter(of_family);
    sockets
        .iter()
        .find(|s| s.local == local)
        .or_else(|| sockets.iter().filter(of_family).find(any))
        .or_else(|| same.next())
}

/// Marks everything that the socket sends with a DSCP.
pub(super) fn mark(socket: &Socket, address: SocketAddr, dscp: u8) -> io::Result<()> {
    let class = u32::from(dscp.min(63)) << 2;
    if address.is_ipv6() { socket.set_tclass_v6(class) } else { socket.set_tos_v4(class) }
}

/// Whether an error of the queue says that the peer can't be reached. A datagram that was too big
/// for the path is not among them: the kernel cuts the next one.
fn is_unreachable(error: Errno) -> bool {
    matches!(
        error,
        Errno::ECONNREFUSED
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::ENOPROTOOPT
            | Errno::EACCES
    )
}

/// One datagram.
struct Taken {
    /// Its peer, or the one that the error is about.
    flow: Option<Flow>,
    len: usize,
    told: Told,
}

/// What the control messages say.
#[derive(Default)]
struct Told {
    /// Our own address.
    to: Option<IpAddr>,
    error: Option<Errno>,
    /// When it came, by the wall clock.
    stamp: Option<Duration>,
}

/// One `recvmsg`.
fn take(
    fd: i32,
    buffer: &mut [u8],
    control: &mut [u8],
    bound: SocketAddr,
    flags: MsgFlags,
) -> io::Result<Taken> {
    let mut data = [IoSliceMut::new(buffer)];
    let received = recvmsg::<SockaddrStorage>(fd, &mut data, Some(control), flags)?;
    let told = told(&received);
    let mut local = bound;
    if let (true, Some(ip)) = (bound.ip().is_unspecified(), told.to) {
        local.set_ip(ip);
    }
    let remote = received.address.as_ref().and_then(address);
    let flow = remote.map(|remote| Flow::new(Transport::Udp, local, remote));
    Ok(Taken { flow, len: received.bytes, told })
}

fn told(received: &RecvMsg<'_, '_, SockaddrStorage>) -> Told {
    let mut told = Told::default();
    for message in received.cmsgs().into_iter().flatten() {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only what was asked for comes")]
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                // An error comes without the first: it is the kernel's choice for an answer.
                let own = [info.ipi_spec_dst, info.ipi_addr].into_iter().find(|a| a.s_addr != 0);
                told.to = own.map(|own| IpAddr::from(own.s_addr.to_ne_bytes()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                told.to = Some(IpAddr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv4RecvErr(e, _) | ControlMessageOwned::Ipv6RecvErr(e, _) => {
                told.error = Some(Errno::from_raw(i32::try_from(e.ee_errno).unwrap_or(0)));
            }
            ControlMessageOwned::ScmTimestampns(at) => told.stamp = Some(Duration::from(at)),
            _ => {}
        }
    }
    told
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| SocketAddr::from(*a));
    v4.or_else(|| storage.as_sockaddr_in6().map(|a| SocketAddr::from(*a)))
}
