use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

/// Each of these tests, with each backend.
macro_rules! with_each_backend {
    ($($test:ident)*) => {
        mod epoll {
            $(#[test] fn $test() { super::$test::<super::Epoll>(); })*
        }
        mod uring {
            $(#[test] fn $test() {
                if super::is_uring_here() {
                    super::$test::<super::Uring>();
                }
            })*
        }
    };
}

with_each_backend! {
    it_passes_the_test
    a_packet_lies_in_its_buffer_with_room_behind_it
    packets_are_sent_on_out_of_their_buffer
    a_packet_that_is_too_long_is_dropped
    what_cannot_be_sent_is_counted_and_hinders_nothing
    a_wait_ends_in_time_and_when_it_is_woken
    a_flood_has_its_share_and_no_more
    more_packets_than_buffers_lose_nothing
    what_was_under_way_to_a_closed_port_reaches_nobody
    what_a_closed_port_has_sent_is_sent
    a_thousand_ports_open_and_close
    packets_on_which_the_reader_panics_cost_nothing_else
    how_long_a_packet_waited_is_told
    packets_that_found_no_room_are_counted
    whoever_has_the_sockets_next_finds_what_was_not_shown
}

/// No packet is lost, shown twice or out of order where one process ends and the next goes on.
fn whoever_has_the_sockets_next_finds_what_was_not_shown<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let socket = sockets::bind(here(), 0).unwrap();
    let (at, next) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
    let sockets = Sockets { rtp: socket, rtcp: sockets::bind(here(), 0).unwrap() };
    rig.backend.open(port(1), sockets).unwrap();
    rig.turn();
    let phone = peer();
    let mut found: Vec<u8> = vec![];
    let mut show = |backend: &mut B| {
        while backend.deliver(8, |arrival| {
            found.push(arrival.buffer[0]);
            None
        }) {}
    };
    for n in 0..20 {
        phone.send_to(&[n], at).unwrap();
        if n == 5 {
            rig.turn();
            show(&mut rig.backend);
        }
        if n == 10 {
            rig.turn();
            rig.backend.stop_reading();
        }
    }
    show(&mut rig.backend);
    rig.turn();
    show(&mut rig.backend);
    drop(rig);
    let mut buffer = [0; 16];
    while next.recv_from(&mut buffer).is_ok() {
        found.push(buffer[0]);
    }
    assert_eq!(found, (0..20).collect::<Vec<u8>>());
}

struct Rig<B> {
    backend: B,
    wake: Wake,
}

const SECOND: Duration = Duration::from_secs(1);

fn port(n: u32) -> PortId {
    PortId { n, shard: 0 }
}

fn here() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn peer() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind(here()).unwrap();
    socket.set_read_timeout(Some(SECOND)).unwrap();
    socket
}

impl<B: Backend> Rig<B> {
    fn new() -> Self {
        let wake = Wake::new().unwrap();
        Self { backend: B::new(&wake).unwrap(), wake }
    }

    /// Opens a port; where its RTP socket is.
    fn open(&mut self, n: u32) -> SocketAddr {
        self.open_at(n, here())
    }

    fn open_at(&mut self, n: u32, rtp: SocketAddr) -> SocketAddr {
        let bind = |at| sockets::bind(at, 0).unwrap();
        let sockets = Sockets { rtp: bind(rtp), rtcp: bind(here()) };
        let local = sockets.rtp.local_addr().unwrap();
        self.backend.open(port(n), sockets).unwrap();
        local
    }

    /// Has the backend do what it has to do, without waiting for anything.
    fn turn(&mut self) {
        self.backend.wait(Some(Instant::now())).unwrap();
    }

    /// Takes packets until `count` have come or none comes for a second: how many, of which port.
    fn take(&mut self, count: usize) -> BTreeMap<u32, usize> {
        let mut taken = BTreeMap::new();
        let mut end = Instant::now() + SECOND;
        while taken.values().sum::<usize>() < count && Instant::now() < end {
            self.backend.wait(Some(Instant::now() + Duration::from_millis(20))).unwrap();
            self.backend.deliver(32, |arrival| {
                *taken.entry(arrival.port.n).or_default() += 1;
                end = Instant::now() + SECOND;
                None
            });
        }
        taken
    }
}

fn it_passes_the_test<B: Backend>() {
    test::<B>().unwrap();
}

fn a_packet_lies_in_its_buffer_with_room_behind_it<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (local, peer) = (rig.open(1), peer());
    for length in [1, 172, PACKET_MAX] {
        peer.send_to(&vec![7; length], local).unwrap();
        let mut seen = None;
        while seen.is_none() {
            rig.backend.wait(Some(Instant::now() + SECOND)).unwrap();
            rig.backend.deliver(32, |arrival| {
                let room = arrival.buffer.len() - arrival.length;
                arrival.buffer.fill(0xff);
                assert!(room >= ROOM, "{room} behind {length}");
                seen = Some((arrival.port, arrival.channel, arrival.from, arrival.length));
                None
            });
        }
        let from = peer.local_addr().unwrap();
        assert_eq!(seen, Some((port(1), Channel::Rtp, from, length)));
    }
}

fn packets_are_sent_on_out_of_their_buffer<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (first, second) = (rig.open(1), rig.open(2));
    let (speaker, hearer) = (peer(), peer());
    let to = hearer.local_addr().unwrap();
    for n in 0..40_u8 {
        speaker.send_to(&[n; 20], first).unwrap();
    }
    let mut come = 0;
    while come < 40 {
        rig.backend.wait(Some(Instant::now() + SECOND)).unwrap();
        rig.backend.deliver(8, |arrival| {
            come += 1;
            arrival.buffer[8] = 0xaa;
            // It grows on its way.
            Some(Forward { port: port(2), to, range: 8..arrival.length + 10 })
        });
    }
    rig.turn();
    let mut buffer = [0; 64];
    for n in 0..40_u8 {
        assert_eq!(hearer.recv_from(&mut buffer).unwrap(), (22, second));
        assert_eq!((buffer[0], buffer[1], buffer[11]), (0xaa, n, n));
    }
    assert_eq!(rig.backend.drops(), Drops::default());
}

fn a_packet_that_is_too_long_is_dropped<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (local, peer) = (rig.open(1), peer());
    peer.send_to(&[1; PACKET_MAX + 1], local).unwrap();
    peer.send_to(&[1; 9000], local).unwrap();
    peer.send_to(&[1; 100], local).unwrap();
    assert_eq!(rig.take(1), BTreeMap::from([(1, 1)]));
    assert_eq!(rig.backend.drops(), Drops { too_long: 2, ..Drops::default() });
}

fn what_cannot_be_sent_is_counted_and_hinders_nothing<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (local, peer) = (rig.open(1), peer());
    // Nobody has port 0, and IPv6 does not go out of an IPv4 socket.
    let nowhere = [here(), "[2001:db8::1]:9".parse().unwrap()];
    let to = peer.local_addr().unwrap();
    rig.backend.send(port(1), Channel::Rtp, nowhere[0], b"own");
    for n in 0..6_u8 {
        peer.send_to(&[n], local).unwrap();
    }
    let mut come = 0;
    while come < 6 {
        rig.backend.wait(Some(Instant::now() + SECOND)).unwrap();
        rig.backend.deliver(32, |arrival| {
            let n = arrival.buffer[0];
            come += 1;
            let to = if n < 3 { to } else { nowhere[usize::from(n % 2)] };
            let to = if n == 5 { arrival.from } else { to };
            Some(Forward { port: port(1), to, range: 0..1 })
        });
    }
    rig.turn();
    rig.turn();
    let mut buffer = [0; 8];
    for n in [0, 1, 2, 5] {
        assert_eq!((peer.recv_from(&mut buffer).unwrap(), buffer[0]), ((1, local), n));
    }
    assert_eq!(rig.backend.drops(), Drops { unsent: 3, ..Drops::default() });
}

fn a_wait_ends_in_time_and_when_it_is_woken<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let begun = Instant::now();
    rig.backend.wait(Some(begun + Duration::from_millis(30))).unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(30), "{took:?}");
    for _ in 0..3 {
        let wake = rig.wake.clone();
        let waker = std::thread::spawn(move || wake.wake().unwrap());
        rig.backend.wait(None).unwrap();
        waker.join().unwrap();
        // What has been heard is over.
        let begun = Instant::now();
        rig.backend.wait(Some(begun + Duration::from_millis(30))).unwrap();
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(30), "{took:?}");
    }
}

fn a_flood_has_its_share_and_no_more<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (flooded, other, peer) = (rig.open(1), rig.open(2), peer());
    let share = usize::from(PACKETS_A_TICK);
    for _ in 0..3 {
        for _ in 0..300 {
            peer.send_to(&[1; 172], flooded).unwrap();
        }
        peer.send_to(&[2; 172], other).unwrap();
        let taken = rig.take(share + 2);
        assert_eq!(taken, BTreeMap::from([(1, share), (2, 1)]));
        rig.backend.next_tick();
    }
    assert!(rig.backend.drops().flood > 0);
    // When it is over the socket is read as before.
    let end = Instant::now() + SECOND;
    while Instant::now() < end {
        rig.turn();
        rig.backend.deliver(32, |_| None);
        rig.backend.next_tick();
    }
    peer.send_to(&[1; 172], flooded).unwrap();
    assert_eq!(rig.take(1), BTreeMap::from([(1, 1)]));
}

fn more_packets_than_buffers_lose_nothing<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (peer, sockets, packets) = (peer(), 60, 50);
    let locals: Vec<_> = (0..sockets).map(|n| rig.open(n)).collect();
    rig.turn();
    for _ in 0..packets {
        locals.iter().for_each(|local| {
            peer.send_to(&[1; 172], local).unwrap();
        });
        rig.turn();
    }
    (0..100).for_each(|_| rig.turn());
    let taken = rig.take(sockets as usize * packets);
    assert!(taken.values().all(|count| *count == packets), "{taken:?}");
    assert_eq!(taken.len(), locals.len());
    assert_eq!(rig.backend.drops(), Drops::default());
}

fn how_long_a_packet_waited_is_told<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (local, peer) = (rig.open(1), peer());
    for pause in [0, 60] {
        let pause = Duration::from_millis(pause);
        let sent = Instant::now();
        peer.send_to(&[1; 172], local).unwrap();
        std::thread::sleep(pause);
        let mut waited = None;
        while waited.is_none() {
            rig.backend.wait(Some(Instant::now() + SECOND)).unwrap();
            rig.backend.deliver(32, |arrival| {
                waited = Some(arrival.waited);
                None
            });
        }
        // The wall clock, by which it is measured, may be adjusted a little.
        let (waited, since) = (waited.unwrap(), sent.elapsed() + Duration::from_millis(1));
        assert!((pause - pause / 60..=since).contains(&waited), "{waited:?} of {since:?}");
    }
}

fn packets_that_found_no_room_are_counted<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (local, peer, sent) = (rig.open(1), peer(), 2000);
    for _ in 0..sent {
        peer.send_to(&[1; 172], local).unwrap();
    }
    let mut take = || {
        let mut shown = 0;
        for _ in 0..100 {
            rig.backend.next_tick();
            rig.turn();
            rig.backend.deliver(100, |_| {
                shown += 1;
                None
            });
        }
        (shown, rig.backend.drops())
    };
    let (shown, drops) = take();
    assert!((1..sent).contains(&shown));
    // Its next packet tells of them.
    peer.send_to(&[1; 172], local).unwrap();
    let (next, after) = take();
    assert_eq!(next, 1);
    let overrun = sent - shown - drops.flood;
    assert_eq!(after, Drops { overrun, flood: drops.flood, ..Drops::default() });
    // Once.
    peer.send_to(&[1; 172], local).unwrap();
    assert_eq!(take(), (1, after));
}

fn what_was_under_way_to_a_closed_port_reaches_nobody<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (peer, first) = (peer(), rig.open(1));
    rig.turn();
    for round in 2..50 {
        for _ in 0..10 {
            peer.send_to(&[1; 172], first).unwrap();
        }
        if round % 2 == 0 {
            rig.turn();
        }
        rig.backend.close(port(round - 1));
        assert!(!rig.backend.has(port(round - 1)));
        assert_eq!(rig.open_at(round, first), first);
        if round % 3 == 0 {
            rig.turn();
        }
        let shown = rig.backend.deliver(100, |arrival| panic!("{arrival:?}"));
        assert!(!shown);
    }
    peer.send_to(&[1; 172], first).unwrap();
    assert_eq!(rig.take(2), BTreeMap::from([(49, 1)]));
}

fn what_a_closed_port_has_sent_is_sent<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (peer, local) = (peer(), rig.open(1));
    rig.backend.send(port(1), Channel::Rtp, peer.local_addr().unwrap(), b"bye");
    rig.backend.close(port(1));
    // Its address is free, and whoever takes it sends nothing of the last owner's.
    rig.open_at(2, local);
    let mut buffer = [0; 8];
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (3, local));
    rig.backend.send(port(1), Channel::Rtp, peer.local_addr().unwrap(), b"ghost");
    rig.turn();
    peer.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(peer.recv_from(&mut buffer).is_err());
}

fn a_thousand_ports_open_and_close<B: Backend>() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = hard.min(4096).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    let ports = u32::try_from((wanted - 96) / 2).unwrap().min(1000);
    let (mut rig, peer) = (Rig::<B>::new(), peer());
    for round in 0..3 {
        let ids = round * ports..(round + 1) * ports;
        let locals: Vec<_> = ids.clone().map(|n| rig.open(n)).collect();
        assert!(rig.backend.open(port(ids.start), sockets()).is_err());
        for local in &locals {
            peer.send_to(&[1; 172], local).unwrap();
        }
        let taken = rig.take(locals.len());
        assert!(taken.into_iter().eq(ids.clone().map(|n| (n, 1))));
        for local in &locals {
            peer.send_to(&[1; 172], local).unwrap();
        }
        ids.for_each(|n| rig.backend.close(port(n)));
        // The system gives free ports to whoever asks: some may be another's already.
        let free = locals.iter().filter(|local| sockets::bind(**local, 0).is_ok()).count();
        assert!(free * 100 >= locals.len() * 98, "{free} of {} are free", locals.len());
    }
    assert_eq!(rig.backend.drops(), Drops::default());
}

fn sockets() -> Sockets {
    let bind = || sockets::bind(here(), 0).unwrap();
    Sockets { rtp: bind(), rtcp: bind() }
}

fn packets_on_which_the_reader_panics_cost_nothing_else<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (peer, local) = (peer(), rig.open(1));
    // More of them than there are buffers.
    for _ in 0..1200 {
        rig.backend.next_tick();
        peer.send_to(&[1; 172], local).unwrap();
        let mut is_shown = false;
        while !is_shown {
            rig.backend.wait(Some(Instant::now() + SECOND)).unwrap();
            let shown = catch_unwind(AssertUnwindSafe(|| {
                // Quieter than a panic that is reported.
                rig.backend.deliver(1, |_| std::panic::resume_unwind(Box::new(())))
            }));
            is_shown = shown.is_err();
        }
    }
    peer.send_to(&[1; 172], local).unwrap();
    assert_eq!(rig.take(1), BTreeMap::from([(1, 1)]));
}
