use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::backend::is_uring_here;
use super::*;
use crate::media::prompt::Clip;
use crate::media::{Io, Peer, PlayId, PortId, Prompt, Source, Then};
use crate::shell::kept_voices::KeptPorts;

/// A media thread on loopback, and its events.
struct Rig {
    handle: MediaHandle,
    events: mpsc::Receiver<Event>,
}

fn port(n: u32) -> PortId {
    PortId { n, shard: 0 }
}

fn peer(socket: &UdpSocket) -> Peer {
    Peer::plain(socket.local_addr().unwrap())
}

fn phone() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

fn rtp(sequence: u16, fill: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([0, 0, 0, fill]);
    packet.extend([fill; 160]);
    packet
}

/// Each of these tests, with each backend.
macro_rules! with_each_backend {
    ($($test:ident)*) => {
        mod epoll {
            $(#[test] fn $test() { super::$test(crate::media::Io::Epoll); })*
        }
        mod uring {
            $(#[test] fn $test() {
                if super::is_uring_here() {
                    super::$test(crate::media::Io::Uring);
                }
            })*
        }
    };
}

with_each_backend! {
    two_phones_hear_each_other
    a_prompt_arrives_in_time
    a_port_that_is_taken_is_told
    ipv6_ports_work_too
    a_flood_of_one_port_delays_no_other
    the_threads_end_with_the_handle
}

impl Rig {
    fn new(io: Io) -> Self {
        let clip = Clip::from_pcm(vec![1000; 16_000]).unwrap();
        let library = Arc::new(Library::from_clips([(Prompt::from("welcome"), clip)]));
        let (sender, events) = mpsc::channel(64);
        let config = Config { threads: 1, io, ..Config::default() };
        let mut chance = Chance::from_number(1);
        let handle =
            MediaThreads::start(&config, &library, &mut chance, &sender, None, &KeptPorts::none())
                .unwrap();
        Self { handle, events }
    }

    fn send(&self, command: Command) {
        self.handle.send(command).unwrap();
    }

    fn event(&mut self) -> Event {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match self.events.try_recv() {
                Ok(event) => return event,
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Opens a port somewhere on loopback.
    fn open(&mut self, n: u32) -> SocketAddr {
        for _ in 0..50 {
            // A free even port, as far as one can know.
            let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let local = SocketAddr::new(free.ip(), free.port() & !1);
            self.send(Command::Open { port: port(n), local, dscp: 46 });
            if self.event() == (Event::Opened { port: port(n) }) {
                return local;
            }
        }
        panic!("no free port");
    }
}

fn two_phones_hear_each_other(io: Io) {
    let mut rig = Rig::new(io);
    let phones = [phone(), phone()];
    let ports = [rig.open(1), rig.open(2)];
    for (n, phone) in (1..).zip(&phones) {
        rig.send(Command::Connect { port: port(n), peer: peer(phone), crypto: None });
        rig.send(Command::Listen { port: port(n), source: Source::Port(port(3 - n)) });
    }
    // The orders are carried out by another thread.
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    for sequence in 0..25 {
        // By the clock: whoever was late catches up.
        let due = begun + Duration::from_millis(20) * u32::from(sequence);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for (phone, (to, fill)) in phones.iter().zip(ports.iter().zip([0x11, 0x22])) {
            phone.send_to(&rtp(sequence, fill), to).unwrap();
        }
    }
    std::thread::sleep(Duration::from_millis(50));
    for (phone, (from, fill)) in phones.iter().zip(ports.iter().zip([0x22, 0x11])) {
        phone.set_nonblocking(true).unwrap();
        let mut buffer = [0; 2048];
        let mut heard = 0;
        while let Ok((n, source)) = phone.recv_from(&mut buffer) {
            assert_eq!((n, source), (172, *from));
            heard += usize::from(buffer[12..n] == [fill; 160]);
        }
        assert!(heard >= 20, "{heard} of 25");
    }
    for n in [1, 2] {
        rig.send(Command::Close { port: port(n) });
    }
    let mut closed = 0;
    while closed < 2 {
        if let Event::Closed { quality, .. } = rig.event() {
            assert_eq!((quality.received, quality.lost, quality.strangers), (25, 0, 0));
            closed += 1;
        }
    }
}

fn a_prompt_arrives_in_time(io: Io) {
    let mut rig = Rig::new(io);
    let phone = phone();
    rig.open(1);
    rig.send(Command::Connect { port: port(1), peer: peer(&phone), crypto: None });
    let prompts = vec![Prompt::from("welcome")];
    let source = Source::Play { play: PlayId(1), prompts, then: Then::Silence };
    rig.send(Command::Listen { port: port(1), source });
    let mut buffer = [0; 2048];
    let mut heard = 0;
    let voice = [crate::media::g711::encode(crate::media::Law::Mu, 1000); 160];
    let start = Instant::now();
    while heard < 100 {
        let (n, _) = phone.recv_from(&mut buffer).unwrap();
        heard += usize::from(buffer[12..n] == voice);
        assert!(start.elapsed() < Duration::from_secs(8));
    }
    let took = start.elapsed();
    assert!((1800..4000).contains(&took.as_millis()), "100 packets in {took:?}");
    assert_eq!(rig.event(), Event::Played { port: port(1), play: PlayId(1) });
}

fn a_port_that_is_taken_is_told(io: Io) {
    let mut rig = Rig::new(io);
    let local = rig.open(1);
    rig.send(Command::Open { port: port(2), local, dscp: 0 });
    assert_eq!(rig.event(), Event::OpenFailed { port: port(2) });
    rig.send(Command::Close { port: port(1) });
    assert!(matches!(rig.event(), Event::Closed { .. }));
    rig.send(Command::Open { port: port(2), local, dscp: 0 });
    assert_eq!(rig.event(), Event::Opened { port: port(2) });
    let nobody = PortId { n: 9, shard: 7 };
    assert_eq!(rig.handle.send(Command::Close { port: nobody }), Err(SendError::NoThread(7)));
}

fn ipv6_ports_work_too(io: Io) {
    let Ok(phone) = UdpSocket::bind("[::1]:0") else { return };
    let mut rig = Rig::new(io);
    let free = UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap();
    let local = SocketAddr::new(free.ip(), free.port() & !1);
    rig.send(Command::Open { port: port(1), local, dscp: 46 });
    if rig.event() != (Event::Opened { port: port(1) }) {
        return;
    }
    phone.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    rig.send(Command::Connect { port: port(1), peer: peer(&phone), crypto: None });
    let mut buffer = [0; 2048];
    assert_eq!(phone.recv_from(&mut buffer).unwrap(), (172, local));
}

fn the_threads_end_with_the_handle(io: Io) {
    let mut rig = Rig::new(io);
    rig.open(1);
    let Rig { handle, mut events } = rig;
    drop(handle);
    assert_eq!(events.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

fn a_flood_of_one_port_delays_no_other(io: Io) {
    let mut rig = Rig::new(io);
    let phone = phone();
    let flooded = rig.open(1);
    rig.open(2);
    rig.send(Command::Connect { port: port(2), peer: peer(&phone), crypto: None });
    let is_over = AtomicBool::new(false);
    let order = Ordering::Relaxed;
    let mut arrivals = vec![];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (stranger, packet) = (UdpSocket::bind("127.0.0.1:0").unwrap(), rtp(1, 1));
            while !is_over.load(order) {
                stranger.send_to(&packet, flooded).ok();
            }
        });
        let mut buffer = [0; 2048];
        while arrivals.len() < 100 && phone.recv_from(&mut buffer).is_ok() {
            arrivals.push(Instant::now());
        }
        is_over.store(true, order);
    });
    assert_eq!(arrivals.len(), 100);
    let took = arrivals[99] - arrivals[0];
    assert!((1900..2500).contains(&took.as_millis()), "99 ticks took {took:?}");
    let figures = rig.handle.figures();
    assert!(figures.drops.flood > 0, "{figures:?}");
    assert!(figures.lateness(0.05) < Duration::from_millis(20), "{figures:?}");
}

#[test]
fn io_uring_is_taken_where_it_works() {
    let works = choose(Io::Uring).is_ok();
    assert_eq!(choose(Io::Auto).unwrap() == Kind::Uring, works);
    assert_eq!(choose(Io::Epoll).unwrap(), Kind::Epoll);
}
