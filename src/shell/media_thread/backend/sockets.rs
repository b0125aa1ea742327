//! A port's two sockets.
//!
//! Owns how they are made: non-blocking, marked with the DSCP, with a receive buffer small enough
//! that a freeze leaves no seconds of old voice in it. They are never connected: a phone behind NAT
//! speaks from an address that nobody has named.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::control;

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
        let above = local.port().checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let rtp = bind(local, dscp)?;
        let rtcp = bind(SocketAddr::new(local.ip(), above), dscp)?;
        Ok(Self { rtp, rtcp })
    }
}

/// One socket.
pub(super) fn bind(local: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let class = u32::from(dscp & 63) << 2;
    // A system that doesn't let us mark packets still carries them.
    let marked = match local {
        SocketAddr::V4(_) => socket.set_tos_v4(class),
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6TClass, &(class as i32)).map_err(io::Error::from)
        }
    };
    if let Err(error) = marked {
        tracing::debug!(%error, "media packets can't be marked");
    }
    socket.bind(&local.into())?;
    let socket = socket.into();
    control::ask(&socket);
    Ok(socket)
}
