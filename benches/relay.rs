//! What a relayed packet costs, beside a bare relay (receive, look up, send) that uses the same
//! backend in the same run. Prints a Markdown table: medians over rounds that take turns, so that a
//! slow moment hits all.
//!
//! Phones on loopback send 50 packets a second each, spread over time; every packet carries when it
//! was sent. CPU time is that of the relaying thread alone. "direct" is the delay from phone to
//! phone without any relay: what of the delay is the generator's own. "added" is what the engine's
//! p99 is above the bare relay's of the same round: what else the machine does holds both up.
//!
//! Arguments: rounds, seconds of each, and `off` for threads without priority. On a machine that has
//! other work, real time keeps the delay short, and makes each packet a change of threads; without
//! it packets wait and come together, which shows better what the code itself costs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    unsafe_code,
    reason = "a benchmark prints its result, and counts allocations and a thread's time"
)]

#[path = "table.rs"]
mod table;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use koebashi::media::engine::{Channel, Forward};
use koebashi::media::prompt::Library;
use koebashi::media::{Command, Config, Event, Io, Peer, PortId, Priority, Source};
use koebashi::shell::kept_voices::KeptPorts;
use koebashi::shell::media_thread::backend::sockets::Sockets;
use koebashi::shell::media_thread::backend::{Backend, Epoll, Kind, Uring, Wake, priority};
use koebashi::shell::media_thread::{MediaHandle, MediaThreads};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use table::Row;

/// The table's head.
const HEAD: &str = "\
| sockets | backend | relay | CPU/packet | × bare | p50 | p99 | added p99 | lost | alloc/packet |
|---|---|---|---|---|---|---|---|---|---|";
/// How many phones there are.
const SOCKETS: [u32; 2] = [200, 1000];
/// From packet to packet of one phone.
const EVERY: Duration = Duration::from_millis(20);
const TICK: Duration = EVERY;
/// Time before the measurement, in which all come to know one another.
const WARM_UP: Duration = Duration::from_millis(700);
/// RTP header, then the time of sending, then filling up to G.711's 160 bytes.
const HEADER: usize = 12;
const PACKET: usize = 172;
const FILL: u8 = 0x55;
/// Where the relay is, and the phones.
const RELAY: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 1);
const PHONES: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 2);
const FIRST_PORT: u16 = 20_000;

/// Whether all threads run as the others do.
static WITHOUT_PRIORITY: AtomicBool = AtomicBool::new(false);

fn raise() {
    if !WITHOUT_PRIORITY.load(Ordering::Relaxed) {
        priority::raise().ok();
    }
}

/// Counts what all threads allocate. While a relay is measured nobody else allocates.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps what `GlobalAlloc` asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps what `GlobalAlloc` asks of it.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn port(n: u32) -> PortId {
    PortId { n, shard: 0 }
}

/// Whom a phone talks to.
fn other(n: u32) -> u32 {
    n ^ 1
}

/// The address of a phone's port at the relay.
fn at_relay(n: u32) -> SocketAddr {
    (RELAY, FIRST_PORT + 2 * u16::try_from(n).unwrap()).into()
}

/// A relay under test, and the name of its thread.
enum Relay {
    /// None: the phones send to one another.
    Direct,
    Bare(Arc<AtomicBool>, JoinHandle<()>),
    Koebashi(MediaHandle),
}

impl Relay {
    fn bare(kind: Kind, phones: &[SocketAddr]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (flag, phones) = (Arc::clone(&is_over), phones.to_vec());
        let run = move || match kind {
            Kind::Uring => bare::<Uring>(&phones, &flag),
            Kind::Epoll => bare::<Epoll>(&phones, &flag),
        };
        let thread = std::thread::Builder::new().name("bare".to_owned()).spawn(run).unwrap();
        Self::Bare(is_over, thread)
    }

    fn koebashi(kind: Kind, phones: &[SocketAddr]) -> Self {
        let io = match kind {
            Kind::Uring => Io::Uring,
            Kind::Epoll => Io::Epoll,
        };
        let is_off = WITHOUT_PRIORITY.load(Ordering::Relaxed);
        let priority = if is_off { Priority::Off } else { Priority::Auto };
        let config = Config { threads: 1, io, priority, ..Config::default() };
        let (sender, mut events) = tokio::sync::mpsc::channel(4096);
        let (library, mut chance) = (Arc::new(Library::default()), Chance::from_number(1));
        let handle =
            MediaThreads::start(&config, &library, &mut chance, &sender, None, &KeptPorts::none())
                .unwrap();
        for (n, phone) in (0..).zip(phones) {
            let open = Command::Open { port: port(n), local: at_relay(n), dscp: 0 };
            handle.send(open).unwrap();
            assert_eq!(events.blocking_recv(), Some(Event::Opened { port: port(n) }));
            let connect =
                Command::Connect { port: port(n), peer: Peer::plain(*phone), crypto: None };
            handle.send(connect).unwrap();
        }
        for n in 0..phones.len() as u32 {
            let source = Source::Port(port(other(n)));
            handle.send(Command::Listen { port: port(n), source }).unwrap();
        }
        Self::Koebashi(handle)
    }

    /// Its thread, as the system counts threads; waits until it has begun.
    fn thread(&self) -> Option<i32> {
        let name = match self {
            Self::Direct => return None,
            Self::Bare(..) => "bare",
            Self::Koebashi(_) => "media-0",
        };
        let find = || {
            let mut tasks = std::fs::read_dir("/proc/self/task").unwrap();
            tasks.find_map(|task| {
                let task = task.unwrap();
                let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
                (comm.trim_end() == name).then(|| task.file_name().to_str()?.parse().ok())?
            })
        };
        // It names itself when it begins to run.
        let limit = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(thread) = find() {
                return Some(thread);
            }
            assert!(Instant::now() < limit, "no thread {name}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn stop(self) {
        match self {
            Self::Direct => (),
            Self::Bare(is_over, thread) => {
                is_over.store(true, Ordering::Relaxed);
                thread.join().unwrap();
            }
            // The threads end with it.
            Self::Koebashi(handle) => drop(handle),
        }
    }
}

fn bare<B: Backend>(phones: &[SocketAddr], is_over: &AtomicBool) {
    raise();
    let mut backend = B::new(&Wake::new().unwrap()).unwrap();
    for n in 0..phones.len() as u32 {
        backend.open(port(n), Sockets::bind(at_relay(n), 0).unwrap()).unwrap();
    }
    let mut next_tick = Instant::now() + TICK;
    while !is_over.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now >= next_tick {
            next_tick += TICK;
            backend.next_tick();
        }
        backend.wait(Some(next_tick)).unwrap();
        while backend.deliver(32, |arrival| {
            let n = other(arrival.port.n);
            let to = *phones.get(n as usize)?;
            Some(Forward { port: port(n), to, range: 0..arrival.length })
        }) {
            backend.wait(Some(now)).unwrap();
        }
    }
}

/// All phones, and what their packets took.
struct Phones {
    backend: Epoll,
    addresses: Vec<SocketAddr>,
    begun: Instant,
    sequence: u16,
    /// Nanoseconds from sending to arrival.
    delays: Vec<u64>,
    sent: u64,
}

impl Phones {
    fn new(count: u32, seconds: u64) -> Self {
        let mut backend = Epoll::new(&Wake::new().unwrap()).unwrap();
        let bind = || {
            let socket = UdpSocket::bind((PHONES, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let addresses = (0..count).map(|n| {
            let sockets = Sockets { rtp: bind(), rtcp: bind() };
            let address = sockets.rtp.local_addr().unwrap();
            backend.open(port(n), sockets).unwrap();
            address
        });
        let addresses = addresses.collect();
        let delays = Vec::with_capacity(count as usize * (seconds as usize * 50 + 100));
        Self { backend, addresses, begun: Instant::now(), sequence: 0, delays, sent: 0 }
    }

    /// Every phone sends, one after the other, so long.
    fn talk(&mut self, to: &[SocketAddr], time: Duration) {
        let start = Instant::now();
        let gap = EVERY / to.len() as u32;
        let rounds = (time.as_nanos() / EVERY.as_nanos()) as u32;
        let mut packet = [FILL; PACKET];
        for round in 0..rounds {
            self.sequence = self.sequence.wrapping_add(1);
            self.backend.next_tick();
            for n in 0..to.len() as u32 {
                self.listen_until(start + EVERY * round + gap * n);
                packet[0..2].copy_from_slice(&[0x80, 0]);
                packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
                let timestamp = u32::from(self.sequence) * 160;
                packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
                packet[8..12].copy_from_slice(&(n + 1).to_be_bytes());
                let sent = self.begun.elapsed().as_nanos() as u64;
                packet[HEADER..HEADER + 8].copy_from_slice(&sent.to_be_bytes());
                self.backend.send(port(n), Channel::Rtp, to[n as usize], &packet);
                self.sent += 1;
            }
        }
    }

    fn listen_until(&mut self, until: Instant) {
        loop {
            let is_over = Instant::now() >= until;
            self.backend.wait(Some(until)).unwrap();
            let (begun, delays) = (self.begun, &mut self.delays);
            while self.backend.deliver(32, |arrival| {
                let time = arrival.buffer.get(HEADER..HEADER + 8)?;
                let sent = u64::from_be_bytes(time.try_into().ok()?);
                // Not reports, nor silence that fills a gap which this thread has made.
                let is_voice = arrival.length == PACKET && arrival.buffer[PACKET - 1] == FILL;
                if is_voice && delays.len() < delays.capacity() {
                    delays.push(begun.elapsed().as_nanos() as u64 - sent);
                }
                None
            }) {}
            if is_over {
                return;
            }
        }
    }
}

/// What one round says.
#[derive(Clone, Copy, Default)]
struct Figures {
    micros: f64,
    p50: f64,
    p99: f64,
    lost: f64,
    allocations: f64,
}

fn measure(make: impl Fn(&[SocketAddr]) -> Relay, count: u32, seconds: u64) -> Figures {
    let mut phones = Phones::new(count, seconds);
    let addresses = phones.addresses.clone();
    let relay = make(&addresses);
    let thread = relay.thread();
    if let Some(thread) = thread {
        pin(thread, 1);
    }
    let to: Vec<_> = match relay {
        Relay::Direct => (0..count).map(|n| addresses[other(n) as usize]).collect(),
        Relay::Bare(..) | Relay::Koebashi(_) => (0..count).map(at_relay).collect(),
    };
    phones.talk(&to, WARM_UP);
    phones.listen_until(Instant::now() + EVERY);
    phones.delays.clear();
    phones.sent = 0;
    let (cpu, allocations) = (thread.map_or(0, cpu_time), ALLOCATIONS.load(Ordering::Relaxed));
    phones.talk(&to, Duration::from_secs(seconds));
    let cpu = thread.map_or(0, cpu_time) - cpu;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    phones.listen_until(Instant::now() + EVERY);
    relay.stop();
    let (sent, delays) = (phones.sent as f64, &mut phones.delays);
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    Figures {
        micros: cpu as f64 / 1000.0 / sent,
        p50: at(0.5),
        p99: at(0.99),
        lost: sent - delays.len() as f64,
        allocations: allocations as f64 / sent,
    }
}

/// Keeps a thread (0: this one) on one of the cores.
fn pin(thread: i32, core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core).unwrap();
    // Where there is one core only, all share it.
    sched_setaffinity(Pid::from_raw(thread), &cores).ok();
}

/// Nanoseconds that a thread of this process has run.
fn cpu_time(thread: i32) -> u64 {
    // How the kernel names the clock of a thread: CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED.
    let clock = (!thread << 3) | 6;
    let mut time = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes `time`, which lives through the call.
    assert_eq!(unsafe { nix::libc::clock_gettime(clock, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The relays of a round, in their order.
const RELAYS: [(&str, &str); 5] = [
    ("–", "direct"),
    ("io_uring", "bare"),
    ("io_uring", "koebashi"),
    ("epoll", "bare"),
    ("epoll", "koebashi"),
];

/// Prints the medians of all rounds with so many sockets.
fn tell(count: u32, results: &[Vec<Figures>; 5]) {
    for (n, ((backend, relay), all)) in RELAYS.into_iter().zip(results).enumerate() {
        let of = |figure: fn(&Figures) -> f64| median(all.iter().map(figure));
        let bare = &results[n.saturating_sub(1) / 2 * 2 + 1];
        let floor = median(bare.iter().map(|f| f.micros));
        let micros = of(|f| f.micros);
        let (cost, ratio) = match n {
            0 => ("–".to_owned(), "–".to_owned()),
            _ => (format!("{micros:.2} µs"), format!("{:.2}", micros / floor)),
        };
        let added = median(all.iter().zip(bare).map(|(ours, bare)| ours.p99 - bare.p99));
        let is_ours = relay == "koebashi";
        println!(
            "| {count} | {backend} | {relay} | {cost} | {ratio} | {:.0} µs | {:.0} µs | {} | {:.0} \
             | {:.3} |",
            of(|f| f.p50),
            of(|f| f.p99),
            if is_ours { format!("{added:.0} µs") } else { "–".to_owned() },
            of(|f| f.lost),
            of(|f| f.allocations),
        );
        if !is_ours {
            continue;
        }
        let note = |what: &str, figure, unit, beside, goal| {
            let what = format!("a packet relayed by {backend}, {count} sockets: {what}");
            Row { what: &what, figure, unit, beside, goal }.note();
        };
        note("CPU", micros, "µs", Some(("bare relay", floor)), "≤ 1.3 × bare");
        note("allocations", of(|f| f.allocations), "", None, "0");
        note("delay added at p99", added.max(0.0), "µs", None, "≤ 200 µs");
    }
}

fn main() {
    WITHOUT_PRIORITY.store(std::env::args().any(|argument| argument == "off"), Ordering::Relaxed);
    // `cargo bench` adds an argument of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (rounds, seconds) = (numbers.next().unwrap_or(9), numbers.next().unwrap_or(1));
    let limits = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let (_, most) = limits.unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most).unwrap();
    println!("## Relayed packets: koebashi's engine and a bare relay\n");
    println!("Medians of {rounds} rounds of {seconds} s.\n");
    println!("{HEAD}");
    // On a thread of its own: rings that end interrupt what their makers wait for.
    for count in SOCKETS {
        let mut results: [Vec<Figures>; 5] = Default::default();
        for _ in 0..rounds {
            let round = std::thread::spawn(move || {
                raise();
                let of = |make: &dyn Fn(&[SocketAddr]) -> Relay| {
                    pin(0, 0);
                    measure(make, count, seconds)
                };
                [
                    of(&|_| Relay::Direct),
                    of(&|phones| Relay::bare(Kind::Uring, phones)),
                    of(&|phones| Relay::koebashi(Kind::Uring, phones)),
                    of(&|phones| Relay::bare(Kind::Epoll, phones)),
                    of(&|phones| Relay::koebashi(Kind::Epoll, phones)),
                ]
            });
            for (all, one) in results.iter_mut().zip(round.join().unwrap()) {
                all.push(one);
            }
        }
        tell(count, &results);
    }
    println!();
}
