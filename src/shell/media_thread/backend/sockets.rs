//! A port's two sockets.
//!
//! Owns how they are made, or taken over from an earlier process: non-blocking, marked with the
//! DSCP, with a receive buffer small enough that a freeze leaves no seconds of old voice in it.
//! They are never connected: a phone behind NAT speaks from an address that nobody has named.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::control;
use crate::shell::kept_sockets::{Carries, KeptSockets, Name};

/// Receive buffer in bytes: about a second of G.711 as the kernel counts.
const RECEIVE_BUFFER: usize = 64 << 10;

/// RTP and RTCP of one port.
#[derive(Debug)]
pub struct Sockets {
    /// The even one.
    pub rtp: UdpSocket,
    /// The odd one.
    pub rtcp: UdpSocket,
}

impl Sockets {
    /// Binds `local` and the port above it. Fails when either is taken.
    pub fn bind(local: SocketAddr, dscp: u8) -> io::Result<Self> {
        Ok(Self { rtp: bind(local, dscp)?, rtcp: bind(above(local)?, dscp)? })
    }

    /// Goes on with the sockets of `local` and the port above it that an earlier process has left,
    /// or binds them and has them kept. Fails as [`Self::bind`] does.
    pub fn open(local: SocketAddr, dscp: u8, kept: &KeptSockets) -> io::Result<Self> {
        let claim = |address| kept.claim(address, Carries::Datagrams);
        if let (Some(rtp), Some(rtcp)) = (claim(local), claim(above(local)?)) {
            let sockets = Self { rtp: rtp.into(), rtcp: rtcp.into() };
            for socket in [&sockets.rtp, &sockets.rtcp] {
                socket.set_nonblocking(true)?;
                mark(&SockRef::from(socket), local, dscp);
            }
            return Ok(sockets);
        }
        let sockets = Self::bind(local, dscp)?;
        kept.keep(Name::media(local), &[sockets.rtp.as_fd(), sockets.rtcp.as_fd()]);
        Ok(sockets)
    }
}

fn above(local: SocketAddr) -> io::Result<SocketAddr> {
    let port = local.port().checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(SocketAddr::new(local.ip(), port))
}

/// One socket.
pub(super) fn bind(local: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    mark(&SockRef::from(&socket), local, dscp);
    socket.bind(&local.into())?;
    let socket = socket.into();
    control::ask(&socket);
    Ok(socket)
}

/// A system that doesn't let us mark packets still carries them.
fn mark(socket: &SockRef<'_>, local: SocketAddr, dscp: u8) {
    let class = u32::from(dscp & 63) << 2;
    let marked = match local {
        SocketAddr::V4(_) => socket.set_tos_v4(class),
        SocketAddr::V6(_) => {
            setsockopt(&**socket, sockopt::Ipv6TClass, &(class as i32)).map_err(io::Error::from)
        }
    };
    if let Err(error) = marked {
        tracing::debug!(%error, "media packets can't be marked");
    }
}
