//! A port's two sockets.
//!
//! Owns how they are made: non-blocking, marked with the DSCP, with a receive buffer small enough
//! that a freeze leaves no seconds of old voice in it.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Receive buffer in bytes: about a second of G.711 as the kernel counts.
const RECEIVE_BUFFER: usize = 64 << 10;

/// RTP and RTCP of one port.
pub(super) struct Sockets {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
}

impl Sockets {
    /// Binds `local` and the port above it, and registers both. Fails when either is taken.
    pub(super) fn open(
        registry: &Registry,
        local: SocketAddr,
        dscp: u8,
        tokens: (Token, Token),
    ) -> io::Result<Self> {
        let above = local.port().checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut rtp = bind(local, dscp)?;
        let mut rtcp = bind(SocketAddr::new(local.ip(), above), dscp)?;
        registry.register(&mut rtp, tokens.0, Interest::READABLE)?;
        registry.register(&mut rtcp, tokens.1, Interest::READABLE)?;
        Ok(Self { rtp, rtcp })
    }

    /// Stops looking after them; the drop closes them.
    pub(super) fn close(mut self, registry: &Registry) {
        for socket in [&mut self.rtp, &mut self.rtcp] {
            if let Err(error) = registry.deregister(socket) {
                tracing::debug!(%error, "a media socket was not registered");
            }
        }
    }
}

fn bind(local: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
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
    Ok(UdpSocket::from_std(socket.into()))
}
