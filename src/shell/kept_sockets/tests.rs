use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::*;
use crate::shell::fds;

const MS: Duration = Duration::from_millis(1);

/// A service manager of a test.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Drop for Manager {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("koebashi-{name}-{}", std::process::id()));
        std::fs::remove_file(&path).ok();
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    fn sockets(&self, handed: Vec<Named>) -> KeptSockets {
        KeptSockets::with(Some(self.path.as_os_str()), handed).unwrap()
    }

    fn next(&self) -> (String, Vec<OwnedFd>) {
        let mut buffer = [0; 1_024];
        for _ in 0..400 {
            if let Ok((length, files)) = fds::receive(&self.socket, &mut buffer) {
                return (String::from_utf8_lossy(&buffer[..length]).into_owned(), files);
            }
            std::thread::sleep(5 * MS);
        }
        panic!("nothing was said");
    }
}

fn here(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

#[test]
fn what_comes_while_nobody_is_there_is_read_by_the_next() {
    let manager = Manager::new("kept");
    let sockets = manager.sockets(vec![]);
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, name) = (here(&rtp), Name::media(here(&rtp)));
    sockets.keep(name.clone(), &[rtp.as_fd()]);
    let (text, files) = manager.next();
    let expected = format!("FDSTORE=1\nFDPOLL=0\nFDNAME=m{}\n", address.port());
    assert_eq!((text, files.len()), (expected, 1));
    // The process dies; somebody speaks.
    drop((rtp, sockets));
    let caller = UdpSocket::bind("127.0.0.1:0").unwrap();
    caller.send_to(b"voice", address).unwrap();
    let handed = files.into_iter().map(|file| (format!("m{}", address.port()), file)).collect();
    let sockets = manager.sockets(handed);
    assert!(sockets.claim(address, Carries::Streams).is_none());
    let rtp = UdpSocket::from(sockets.claim(address, Carries::Datagrams).unwrap());
    assert!(sockets.claim(address, Carries::Datagrams).is_none(), "it has one owner");
    let mut buffer = [0; 16];
    assert_eq!(rtp.recv_from(&mut buffer).unwrap(), (5, here(&caller)));
    sockets.forget(name);
    assert_eq!(manager.next().0, format!("FDSTOREREMOVE=1\nFDNAME=m{}\n", address.port()));
}

#[test]
fn what_nobody_claims_is_closed() {
    let manager = Manager::new("unclaimed");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pair = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut handed = vec![("tcp-a".to_owned(), OwnedFd::from(listener))];
    handed.extend(pair.map(|socket| ("m30000".to_owned(), socket.into())));
    let sockets = manager.sockets(handed);
    let kept = sockets.claim(address, Carries::Streams).unwrap();
    assert_eq!(sockets.forget_unclaimed(), 2);
    assert_eq!(manager.next().0, "FDSTOREREMOVE=1\nFDNAME=m30000\n");
    assert_eq!(sockets.forget_unclaimed(), 0);
    drop(kept);
}

#[test]
fn without_a_manager_nothing_is_kept() {
    let sockets = KeptSockets::with(None, vec![]).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    sockets.keep(Name::media(here(&socket)), &[socket.as_fd()]);
    sockets.forget(Name::media(here(&socket)));
    assert_eq!((sockets.unkept(), sockets.forget_unclaimed()), (0, 0));
    // A manager that has gone is no reason to fail either.
    let manager = Manager::new("gone");
    let sockets = manager.sockets(vec![]);
    drop(manager);
    sockets.keep(Name::media(here(&socket)), &[socket.as_fd()]);
    for _ in 0..200 {
        if sockets.unkept() == 1 {
            return;
        }
        std::thread::sleep(5 * MS);
    }
    panic!("{}", sockets.unkept());
}

#[test]
fn names_are_such_as_the_manager_takes() {
    for (transport, address, name) in [
        (Transport::Udp, "192.0.2.1:5060", "udp-192.0.2.1.5060"),
        (Transport::Tls, "[2001:db8::1]:5061", "tls-[2001.db8..1].5061"),
    ] {
        assert_eq!(Name::sip(transport, address.parse().unwrap()), Name(name.to_owned()));
    }
    // As many as there may be have to fit in one variable of the environment.
    assert!(Name::media("[2001:db8::1]:65534".parse().unwrap()).0.len() < 7);
}
