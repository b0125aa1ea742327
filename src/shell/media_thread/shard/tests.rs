use std::net::UdpSocket;
use std::path::Path;

use super::*;
use crate::media::{Peer, PlayId, Source, Then};
use crate::shell::clock;
use crate::shell::kept_sockets::KeptSockets;
use crate::shell::kept_voices::{KeptVoices, port_of};
use crate::shell::media_thread::backend::{Epoll, Uring, Wake, is_uring_here};
use crate::shell::media_thread::figures::Figures;
use crate::shell::media_thread::orders::{self, Orders};
use crate::shell::scribe::Scribe;
use crate::store::journal::{Journal, Value};

/// A shard whose events wait in a queue of this length. Its orders end with the sender.
fn shard<B: Backend>(length: usize) -> (Shard<B>, mpsc::Receiver<Event>, Orders) {
    shard_with(length, KeptPorts::none())
}

/// The same, with something that it takes over and leaves.
fn shard_with<B: Backend>(
    length: usize,
    kept: KeptPorts,
) -> (Shard<B>, mpsc::Receiver<Event>, Orders) {
    let (events, told) = mpsc::channel(length);
    let (orders, inbox) = orders::queue(1);
    let means = Means {
        inbox,
        events,
        config: Config::default(),
        library: Arc::new(Library::default()),
        chance: Chance::from_number(1),
        gauge: Arc::new(Gauge::default()),
        recorder: None,
        kept,
    };
    (Shard::new(B::new(&Wake::new().unwrap()).unwrap(), means), told, orders)
}

fn phone() -> (UdpSocket, SocketAddr) {
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.set_nonblocking(true).unwrap();
    let address = phone.local_addr().unwrap();
    (phone, address)
}

/// Opens a port somewhere on loopback.
fn open<B: Backend>(
    shard: &mut Shard<B>,
    told: &mut mpsc::Receiver<Event>,
    port: PortId,
) -> SocketAddr {
    loop {
        let (_, free) = phone();
        let local = SocketAddr::new(free.ip(), free.port() & !1);
        shard.command(Command::Open { port, local, dscp: 0 });
        shard.flush();
        if told.try_recv() == Ok(Event::Opened { port }) {
            return local;
        }
    }
}

/// A thread that was away passes on what is new, not what has become old meanwhile.
fn a_pause_makes_no_voice_late<B: Backend>() {
    let (mut shard, mut told, _orders) = shard::<B>(8);
    let phones = [phone(), phone()];
    let ports = [1, 2].map(|n| PortId { n, shard: 0 });
    let mut locals = vec![];
    for (port, (_, rtp)) in ports.into_iter().zip(&phones) {
        locals.push(open(&mut shard, &mut told, port));
        let peer = Peer::plain(*rtp);
        shard.command(Command::Connect { port, peer, crypto: None });
    }
    shard.command(Command::Listen { port: ports[1], source: Source::Port(ports[0]) });
    let say = |number: u8| {
        let mut packet = [number; 172];
        let [high, low] = (u16::from(number) * 160).to_be_bytes();
        packet[..12].copy_from_slice(&[0x80, 0, 0, number, 0, 0, high, low, 0, 0, 0, 1]);
        phones[0].0.send_to(&packet, locals[0]).unwrap();
    };
    let heard = |shard: &mut Shard<B>| {
        for _ in 0..20 {
            shard.now = Instant::now();
            shard.backend.wait(Some(shard.now)).unwrap();
            shard.pass_on();
        }
        shard.backend.wait(Some(Instant::now())).unwrap();
        let mut packet = [0; 256];
        std::iter::from_fn(|| phones[1].0.recv(&mut packet).ok().map(|_| packet[20]))
            .collect::<Vec<_>>()
    };
    say(1);
    assert_eq!(heard(&mut shard), [1]);
    shard.taken_over = Instant::now() - TAKEN_OVER_AFTER;
    // 200 ms of voice.
    (2..12).for_each(say);
    std::thread::sleep(OLD_AFTER + Duration::from_millis(1));
    say(12);
    assert_eq!(heard(&mut shard), [12]);
    let old = |shard: &Shard<B>| Figures::of(std::iter::once(&*shard.means.gauge)).old;
    assert_eq!(old(&shard), 10);
    // What came before the thread had the ports is passed on, but for what nobody plays any more.
    (13..23).for_each(say);
    std::thread::sleep(OLD_AFTER + Duration::from_millis(1));
    shard.taken_over = Instant::now();
    say(23);
    assert_eq!(heard(&mut shard), (13..24).collect::<Vec<_>>());
    say(24);
    std::thread::sleep(TAKEN_OVER_AFTER + Duration::from_millis(200));
    shard.taken_over = Instant::now();
    assert_eq!((heard(&mut shard), old(&shard)), (vec![], 11));
}

#[test]
fn a_pause_makes_no_voice_late_by_epoll() {
    a_pause_makes_no_voice_late::<Epoll>();
}

#[test]
fn a_pause_makes_no_voice_late_by_uring() {
    if is_uring_here() {
        a_pause_makes_no_voice_late::<Uring>();
    }
}

/// The keys and values of the ports in a journal that a scribe has written by now.
fn states(folder: &Path, scribe: &Scribe) -> Vec<(u32, Value)> {
    // Waits for what was noted before, too.
    scribe.keep([(Box::from(*b"nobody"), None)]);
    let states = journal(folder);
    let state = |(key, value): (&[u8], &Value)| Some((port_of(key)?, value.clone()));
    states.live().filter_map(state).collect()
}

fn journal(folder: &Path) -> Journal {
    Journal::open(&folder.join("calls"), &folder.join("run"), Chance::from_number(1)).0
}

/// What two processes one after the other say to a phone is one stream; what is closed is forgotten.
#[test]
fn the_thread_after_this_one_goes_on_with_the_same_stream() {
    let folder = std::env::temp_dir().join(format!("koebashi-shard-{}", std::process::id()));
    let scribe = Scribe::start(journal(&folder), Duration::from_secs(5)).unwrap();
    let kept = || KeptPorts {
        voices: KeptVoices::new(scribe.pen(), clock::anchor().unwrap()),
        sockets: KeptSockets::none(),
    };
    let ((phone, address), port) = (phone(), PortId { n: 7, shard: 0 });
    let listen = || {
        let connect = Command::Connect { port, peer: Peer::plain(address), crypto: None };
        let source = Source::Play { play: PlayId(1), prompts: vec![], then: Then::Silence };
        [connect, Command::Listen { port, source }]
    };
    let heard = |shard: &mut Shard<Epoll>| loop {
        shard.turn().unwrap();
        let mut packet = [0; 256];
        if phone.recv(&mut packet).is_ok() {
            let [.., high, low] = packet[..4] else { unreachable!() };
            break (packet[8..12].to_vec(), u16::from_be_bytes([high, low]));
        }
    };
    let (mut one, mut told, _orders) = shard_with::<Epoll>(64, kept());
    open(&mut one, &mut told, port);
    listen().into_iter().for_each(|command| one.command(command));
    let before = heard(&mut one);
    let mut found = vec![];
    while found.is_empty() {
        heard(&mut one);
        found = states(&folder, &scribe);
    }
    drop(one);
    let (mut two, mut told, _orders) = shard_with::<Epoll>(64, kept());
    open(&mut two, &mut told, port);
    let state = found.remove(0).1;
    two.command(Command::Resume { port, state });
    listen().into_iter().for_each(|command| two.command(command));
    let after = heard(&mut two);
    assert_eq!(after.0, before.0, "the same source");
    assert!(after.1.wrapping_sub(before.1).cast_signed() > 0, "{before:?} then {after:?}");
    two.command(Command::Close { port });
    two.flush();
    assert_eq!(states(&folder, &scribe), []);
    // The scribe's thread tidies up after what it has written, and ends by itself.
    drop((two, scribe));
    let is_gone = |_| {
        std::thread::sleep(Duration::from_millis(10));
        std::fs::remove_dir_all(&folder).is_ok()
    };
    assert!((0..500).any(is_gone));
}

#[test]
fn panics_without_end_cost_the_calls_not_the_thread() {
    let (mut shard, mut told, _orders) = shard::<Epoll>(8);
    let port = PortId { n: 1, shard: 0 };
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let local = SocketAddr::new(free.ip(), free.port() & !1);
    let open = || Command::Open { port, local, dscp: 0 };
    shard.command(open());
    shard.flush();
    if told.try_recv() != Ok(Event::Opened { port }) {
        return; // somebody else has the port
    }
    (1..PANICS_MAX).for_each(|_| shard.after_panic());
    assert_eq!(shard.engine.ports(), 1);
    shard.after_panic();
    shard.command(open());
    shard.flush();
    let quality = Quality::default();
    assert_eq!(told.try_recv(), Ok(Event::Closed { port, quality }));
    assert_eq!(told.try_recv(), Ok(Event::Opened { port }));
}

#[test]
fn panics_of_one_port_cost_its_call() {
    let (mut shard, mut told, _orders) = shard::<Epoll>(8);
    let [one, two] = [1, 2].map(|n| PortId { n, shard: 0 });
    for port in [one, two] {
        let local = phone().1;
        shard.engine.command(Instant::now(), Command::Open { port, local, dscp: 0 });
        shard.ports.insert(port.n, (port, local));
    }
    let work = |shard: &mut Shard<Epoll>, port| {
        shard.engine.handle_rtp(Instant::now(), port, phone().1, &mut [0; 20], 20);
        shard.after_panic();
    };
    (1..PORT_PANICS_MAX).for_each(|_| work(&mut shard, one));
    work(&mut shard, two);
    assert_eq!(shard.engine.ports(), 2);
    work(&mut shard, one);
    shard.flush();
    let told: Vec<Event> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert!(matches!(told[..], [_, _, Event::Closed { port, .. }] if port == one), "{told:?}");
    assert_eq!((shard.engine.ports(), shard.ports.len()), (1, 1));
    // What was long ago counts no more.
    (1..PORT_PANICS_MAX - 1).for_each(|_| work(&mut shard, two));
    shard.panics.values_mut().for_each(|(_, last)| *last -= PANICS_FOR);
    work(&mut shard, two);
    assert_eq!(shard.engine.ports(), 1);
}

#[test]
fn a_loop_that_takes_no_events_loses_only_what_it_can_do_without() {
    let (mut shard, mut told, _orders) = shard::<Epoll>(1);
    let port = PortId { n: 1, shard: 0 };
    (0..2 * BACKLOG_MAX).for_each(|_| shard.tell(Event::Silent { port }));
    assert_eq!(shard.backlog.len(), BACKLOG_MAX);
    let quality = Quality::default();
    shard.tell(Event::Closed { port, quality });
    let mut last = None;
    for _ in 0..=BACKLOG_MAX {
        shard.flush();
        last = told.try_recv().ok();
    }
    assert_eq!(last, Some(Event::Closed { port, quality }));
}
