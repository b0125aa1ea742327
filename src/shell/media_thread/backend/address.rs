//! Socket addresses as the system writes them (`sockaddr_in`, `sockaddr_in6`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::libc::{AF_INET, AF_INET6, sa_family_t};

/// Bytes of the longer of the two forms.
pub(super) const LENGTH: usize = 28;
/// Bytes of the shorter.
const LENGTH_V4: usize = 16;

/// Reads one; `None` when it is neither IPv4 nor IPv6.
pub(super) fn read(bytes: &[u8; LENGTH]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    let word = |at: usize| bytes[at..].first_chunk::<4>().copied().unwrap_or_default();
    match i32::from(sa_family_t::from_ne_bytes([bytes[0], bytes[1]])) {
        AF_INET => Some(SocketAddrV4::new(Ipv4Addr::from(word(4)), port).into()),
        AF_INET6 => {
            let ip = Ipv6Addr::from(*bytes[8..].first_chunk::<16>()?);
            let (flow, scope) = (u32::from_ne_bytes(word(4)), u32::from_ne_bytes(word(24)));
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        _ => None,
    }
}

/// Writes one, and returns its length.
pub(super) fn write(address: SocketAddr, bytes: &mut [u8; LENGTH]) -> usize {
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => {
            bytes[..2].copy_from_slice(&(AF_INET as sa_family_t).to_ne_bytes());
            bytes[4..8].copy_from_slice(&address.ip().octets());
            bytes[8..LENGTH_V4].fill(0);
            LENGTH_V4
        }
        SocketAddr::V6(address) => {
            bytes[..2].copy_from_slice(&(AF_INET6 as sa_family_t).to_ne_bytes());
            bytes[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
            bytes[8..24].copy_from_slice(&address.ip().octets());
            bytes[24..].copy_from_slice(&address.scope_id().to_ne_bytes());
            LENGTH
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["192.0.2.1:30000", "[2001:db8::7]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut bytes = [0xff; LENGTH];
            write(address, &mut bytes);
            assert_eq!(read(&bytes), Some(address));
        }
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 5, 6, 7).into();
        let mut bytes = [0; LENGTH];
        assert_eq!(write(scoped, &mut bytes), LENGTH);
        assert_eq!(read(&bytes), Some(scoped));
        assert_eq!(read(&[1; LENGTH]), None);
    }

    #[test]
    fn it_is_the_form_of_the_system() {
        let address: SocketAddr = "[2001:db8::7]:4660".parse().unwrap();
        for address in [address, "192.0.2.1:4660".parse().unwrap()] {
            let system = socket2::SockAddr::from(address);
            let mut bytes = [0; LENGTH];
            let length = write(address, &mut bytes);
            assert_eq!(length, system.len() as usize);
            assert_eq!(socket2::SockAddr::from(read(&bytes).unwrap()), system);
        }
    }
}
