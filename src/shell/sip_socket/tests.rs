//! Over loopback, with real sockets.

mod tls;

use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::{self, net::UnixDatagram};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::sip::ConnectionId;

const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
const OK: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";
/// Nothing here takes longer, unless it fails.
const SOON: Duration = Duration::from_secs(5);

fn open(transport: Transport, address: &str, limits: &Limits) -> (Sockets, SocketAddr) {
    let listen = [(transport, address.parse().unwrap())];
    let sockets =
        Sockets::bind(&listen, None, limits, None, &Handle::current(), &KeptSockets::none())
            .unwrap();
    let local = sockets.listening()[0].1;
    (sockets, local)
}

/// The next arrival: its flow, and its bytes unless it is a failure.
async fn arrival(sockets: &mut Sockets) -> (Flow, Option<Vec<u8>>) {
    loop {
        match sockets.next() {
            Some(Arrived::Message { flow, bytes, .. }) => return (flow, Some(bytes.to_vec())),
            Some(Arrived::Failed(flow)) => return (flow, None),
            None => timeout(SOON, sockets.ready()).await.unwrap(),
        }
    }
}

/// Lets the tasks of the streams run until `done` holds.
async fn until(sockets: &Sockets, done: impl Fn(Counts) -> bool) {
    let turns = async {
        while !done(sockets.counts()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, turns).await.unwrap();
}

fn phone(ip: &str) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn udp_flow(local: SocketAddr, remote: SocketAddr) -> Flow {
    Flow::new(Transport::Udp, local, remote)
}

fn tcp_flow(local: SocketAddr, remote: SocketAddr, connection: Option<ConnectionId>) -> Flow {
    Flow { connection, ..Flow::new(Transport::Tcp, local, remote) }
}

fn transmit(flow: Flow, bytes: &'static [u8]) -> Transmit {
    Transmit { flow, bytes: Bytes::from_static(bytes) }
}

#[tokio::test]
async fn a_datagram_comes_with_both_addresses_and_is_answered() {
    for (bind, ip) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::]:0", "::1"),
    ] {
        let (mut sockets, bound) = open(Transport::Udp, bind, &Limits::default());
        let phone = phone(ip);
        let local = SocketAddr::new(ip.parse().unwrap(), bound.port());
        for keepalive in [&b"\r\n\r\n"[..], b"", b"\0\0\0\0"] {
            phone.send_to(keepalive, local).unwrap();
        }
        phone.send_to(OPTIONS, local).unwrap();
        let (flow, bytes) = arrival(&mut sockets).await;
        assert_eq!(flow, udp_flow(local, phone.local_addr().unwrap()), "{bind}");
        assert_eq!(bytes.unwrap(), OPTIONS);
        sockets.send(transmit(flow, OK), None);
        let mut answer = [0; 100];
        let (len, from) = phone.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..len], from), (OK, local), "{bind}");
    }
}

#[tokio::test]
async fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let (mut sockets, bound) = open(Transport::Udp, "0.0.0.0:0", &Limits::default());
    let phone = phone("127.0.0.1");
    let asked = SocketAddr::new("127.0.0.2".parse().unwrap(), bound.port());
    phone.send_to(OPTIONS, asked).unwrap();
    let (flow, _) = arrival(&mut sockets).await;
    assert_eq!(flow.local, asked);
    sockets.send(transmit(flow, OK), None);
    assert_eq!(phone.recv_from(&mut [0; 100]).unwrap().1, asked);
}

#[tokio::test]
async fn icmp_names_the_peer_that_is_gone_and_harms_no_other() {
    for ip in ["127.0.0.1", "::1"] {
        let here = SocketAddr::new(ip.parse().unwrap(), 0);
        let (mut sockets, local) = open(Transport::Udp, &here.to_string(), &Limits::default());
        let gone = phone(ip).local_addr().unwrap();
        let there = phone(ip);
        sockets.send(transmit(udp_flow(local, gone), OPTIONS), None);
        sockets.send(transmit(udp_flow(local, there.local_addr().unwrap()), OPTIONS), None);
        assert_eq!(there.recv(&mut [0; 100]).unwrap(), OPTIONS.len());
        assert_eq!(arrival(&mut sockets).await, (udp_flow(local, gone), None));
        assert_eq!(sockets.next(), None);
    }
}

#[tokio::test]
async fn icmp_names_a_wildcard_socket_both_ways() {
    let (mut sockets, bound) = open(Transport::Udp, "0.0.0.0:0", &Limits::default());
    let gone = phone("127.0.0.1").local_addr().unwrap();
    sockets.send(transmit(udp_flow(bound, gone), OPTIONS), None);
    let local = SocketAddr::new(gone.ip(), bound.port());
    assert_eq!(arrival(&mut sockets).await, (udp_flow(local, gone), None));
    assert_eq!(arrival(&mut sockets).await, (udp_flow(bound, gone), None));
}

#[tokio::test]
async fn what_no_socket_can_send_fails() {
    let (mut sockets, local) = open(Transport::Udp, "127.0.0.1:0", &Limits::default());
    let flow = udp_flow(local, "[::1]:9".parse().unwrap());
    sockets.send(transmit(flow, OPTIONS), None);
    assert_eq!(sockets.next(), Some(Arrived::Failed(flow)));
}

#[tokio::test]
async fn a_stream_is_read_in_pieces_kept_alive_and_answered_by_id_or_address() {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let (mut sockets, local) = open(Transport::Tcp, bind, &Limits::default());
        let mut phone = TcpStream::connect(local).await.unwrap();
        let remote = phone.local_addr().unwrap();
        phone.set_nodelay(true).unwrap();
        phone.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        timeout(SOON, phone.read_exact(&mut pong)).await.unwrap().unwrap();
        assert_eq!(&pong, b"\r\n");
        for piece in [OPTIONS, OPTIONS].concat().chunks(7) {
            phone.write_all(piece).await.unwrap();
        }
        let (flow, bytes) = arrival(&mut sockets).await;
        assert_eq!(flow, tcp_flow(local, remote, Some(ConnectionId(1))));
        assert_eq!(bytes.unwrap(), OPTIONS);
        assert_eq!(arrival(&mut sockets).await.1.unwrap(), OPTIONS);
        sockets.send(transmit(flow, OK), None);
        sockets.send(transmit(tcp_flow(local, remote, None), OK), None);
        let mut answers = vec![0; OK.len() * 2];
        timeout(SOON, phone.read_exact(&mut answers)).await.unwrap().unwrap();
        assert_eq!(answers, [OK, OK].concat());
        drop(phone);
        assert_eq!(arrival(&mut sockets).await, (flow, None));
        assert_eq!(arrival(&mut sockets).await, (tcp_flow(local, remote, None), None));
        // Its end hears no new streams: nobody listens there.
        sockets.send(transmit(flow, OK), None);
        assert_eq!(arrival(&mut sockets).await, (flow, None));
    }
}

#[tokio::test]
async fn a_stream_is_opened_once_and_its_failure_told() {
    let (mut sockets, local) = open(Transport::Tcp, "127.0.0.1:0", &Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = tcp_flow(local, listener.local_addr().unwrap(), None);
    sockets.send(transmit(flow, OPTIONS), None);
    sockets.send(transmit(flow, OPTIONS), None);
    let (mut peer, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let mut got = vec![0; OPTIONS.len() * 2];
    timeout(SOON, peer.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, [OPTIONS, OPTIONS].concat());
    peer.write_all(OK).await.unwrap();
    let (answered, bytes) = arrival(&mut sockets).await;
    assert_eq!(answered, Flow { connection: Some(ConnectionId(1)), ..flow });
    assert_eq!(bytes.unwrap(), OK);
    drop((listener, peer));
    assert_eq!(arrival(&mut sockets).await, (answered, None));
    assert_eq!(arrival(&mut sockets).await, (flow, None));
    // Nobody listens there.
    sockets.send(transmit(flow, OPTIONS), None);
    assert_eq!(arrival(&mut sockets).await, (flow, None));
    assert_eq!(sockets.counts().connections, 0);
}

#[tokio::test]
async fn what_is_not_sip_or_too_slow_or_silent_is_closed() {
    let limits = Limits {
        message_timeout: Duration::from_millis(30),
        stranger_timeout: Duration::from_millis(60),
        ..Limits::default()
    };
    for (bytes, malformed) in [(&b"OPTIONS sip:a"[..], 1), (b"\0\0\0\0 SIP \r\n\r\n", 1), (b"", 0)]
    {
        let (sockets, local) = open(Transport::Tcp, "127.0.0.1:0", &limits);
        let mut phone = TcpStream::connect(local).await.unwrap();
        phone.write_all(bytes).await.unwrap();
        let end = timeout(SOON, phone.read(&mut [0; 9])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "{bytes:?}");
        until(&sockets, |c| c.connections == 0).await;
        assert_eq!(sockets.counts().malformed, malformed, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_known_peer_may_be_silent_for_longer() {
    let limits = Limits {
        message_timeout: Duration::from_millis(20),
        stranger_timeout: Duration::from_millis(20),
        ..Limits::default()
    };
    let (mut sockets, local) = open(Transport::Tcp, "127.0.0.1:0", &limits);
    let mut phone = TcpStream::connect(local).await.unwrap();
    phone.write_all(OPTIONS).await.unwrap();
    let (flow, _) = arrival(&mut sockets).await;
    sockets.send(transmit(flow, OK), None);
    timeout(SOON, phone.read_exact(&mut vec![0; OK.len()])).await.unwrap().unwrap();
    phone.write_all(b"\r\n").await.unwrap();
    assert!(timeout(Duration::from_millis(80), phone.read(&mut [0; 9])).await.is_err());
}

#[tokio::test]
async fn one_source_has_few_streams_and_strangers_give_way() {
    let limits = Limits { max_connections: 3, max_connections_per_source: 2, ..Limits::default() };
    let (mut sockets, local) = open(Transport::Tcp, "0.0.0.0:0", &limits);
    let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), local.port());
    let from = async |ip: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        socket.connect(at("127.0.0.1")).await.unwrap()
    };
    let mut known = from("127.0.0.1").await;
    known.write_all(OPTIONS).await.unwrap();
    let (flow, _) = arrival(&mut sockets).await;
    sockets.send(transmit(flow, OK), None);
    let mut oldest = from("127.0.0.1").await;
    until(&sockets, |c| c.connections == 2).await;
    let mut third = from("127.0.0.1").await;
    assert!(matches!(timeout(SOON, third.read(&mut [0; 9])).await.unwrap(), Ok(0) | Err(_)));
    let _second = from("127.0.0.2").await;
    until(&sockets, |c| c.connections == 3).await;
    let _newcomer = from("127.0.0.3").await;
    assert!(matches!(timeout(SOON, oldest.read(&mut [0; 9])).await.unwrap(), Ok(0) | Err(_)));
    until(&sockets, |c| c.refused == 1 && c.evicted == 1 && c.connections == 3).await;
    let mut answer = vec![0; OK.len()];
    timeout(SOON, known.read_exact(&mut answer)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_and_slows_nobody() {
    let limits = Limits { write_timeout: Duration::from_millis(50), ..Limits::default() };
    let (mut sockets, local) = open(Transport::Tcp, "127.0.0.1:0", &limits);
    let mut deaf = TcpStream::connect(local).await.unwrap();
    let mut good = TcpStream::connect(local).await.unwrap();
    deaf.write_all(OPTIONS).await.unwrap();
    let (stalled, _) = arrival(&mut sockets).await;
    good.write_all(OPTIONS).await.unwrap();
    let (flow, _) = arrival(&mut sockets).await;
    let big = Bytes::from(vec![b'x'; 60_000]);
    // More than the kernel buffers of both ends take.
    let gone = async {
        loop {
            sockets.send(Transmit { flow: stalled, bytes: big.clone() }, None);
            sockets.send(transmit(flow, OK), None);
            timeout(SOON, good.read_exact(&mut vec![0; OK.len()])).await.unwrap().unwrap();
            if sockets.next() == Some(Arrived::Failed(stalled)) {
                break;
            }
        }
    };
    timeout(SOON, gone).await.unwrap();
    assert_eq!(sockets.counts().stalled, 1);
}

#[tokio::test]
async fn a_flood_of_messages_keeps_no_other_stream_waiting() {
    let (mut sockets, local) = open(Transport::Tcp, "127.0.0.1:0", &Limits::default());
    let mut flood = TcpStream::connect(local).await.unwrap();
    let mut quiet = TcpStream::connect(local).await.unwrap();
    let flooder = tokio::spawn(async move {
        let many = OPTIONS.repeat(1_000);
        while flood.write_all(&many).await.is_ok() {}
    });
    for _ in 0..REPORTS_MAX {
        arrival(&mut sockets).await;
    }
    quiet.write_all(OPTIONS).await.unwrap();
    let from = quiet.local_addr().unwrap();
    // At most what was queued before it, and once more while its bytes travel.
    let mut others = 0;
    while arrival(&mut sockets).await.0.remote != from {
        others += 1;
    }
    assert!(others < 20 * REPORTS_MAX, "{others}");
    flooder.abort();
}

/// What a process before has left open there, for datagrams and streams, and a manager that is told.
fn left(at: SocketAddr) -> (KeptSockets, UnixDatagram) {
    let name = format!("koebashi-left-{}-{at}", std::process::id());
    let address = unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    let udp = UdpSocket::bind(at).unwrap().into();
    let tcp = std::net::TcpListener::bind(at).unwrap().into();
    let handed = vec![("udp-left".to_owned(), udp), ("tcp-left".to_owned(), tcp)];
    let kept = KeptSockets::with(Some(format!("@{name}").as_ref()), handed).unwrap();
    (kept, manager)
}

/// Follows a process that listened at the first of these, is told to at the second: where it
/// listens, and how many it can't open.
fn follow(before: SocketAddr, wanted: SocketAddr) -> (Vec<(Transport, SocketAddr)>, usize) {
    let (kept, _manager) = left(before);
    let all = |at| [(Transport::Udp, at), (Transport::Tcp, at)];
    let (before, wanted, limits) = (all(before), all(wanted), Limits::default());
    let handle = Handle::current();
    let sockets = Sockets::bind(&wanted, Some(&before), &limits, None, &handle, &kept).unwrap();
    (sockets.listening().to_vec(), sockets.missed(&wanted).len())
}

#[tokio::test]
async fn whoever_follows_listens_where_it_is_told_to_and_no_longer_everywhere() {
    let port = || phone("127.0.0.1").local_addr().unwrap().port();
    let at = |ip: [u8; 4], port| SocketAddr::from((ip, port));
    let all = |at| vec![(Transport::Udp, at), (Transport::Tcp, at)];
    let one = port();
    let (everywhere, here) = (at([0, 0, 0, 0], one), at([127, 0, 0, 1], one));
    assert_eq!(follow(everywhere, here), (all(here), 0));
    // At another address it is in nobody's way, and gone on with where the new one is nobody's.
    let other = port();
    let (here, nowhere) = (at([127, 0, 0, 1], other), at([192, 0, 2, 9], other));
    assert_eq!(follow(here, nowhere), (all(here), 2));
}

#[tokio::test]
async fn whoever_is_to_be_heard_by_this_machine_alone_opens_nothing_else() {
    let taken = phone("127.0.0.1");
    let here = (Transport::Udp, taken.local_addr().unwrap());
    let free = phone("127.0.0.2").local_addr().unwrap().port();
    let everywhere = (Transport::Tcp, SocketAddr::from(([0, 0, 0, 0], free)));
    let also = (Transport::Tcp, SocketAddr::from(([127, 0, 0, 1], free)));
    let (limits, handle, kept) = (Limits::default(), Handle::current(), KeptSockets::none());
    let bind = |before| Sockets::bind(&[here], Some(&[before]), &limits, None, &handle, &kept);
    assert!(bind(everywhere).is_err());
    assert_eq!(bind(also).unwrap().listening(), [also]);
}
