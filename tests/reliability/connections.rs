//! Streams that are held and not used.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use koebashi::sip::header::{Contact, Name};
use koebashi::sip::message::Message;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Protocol, Socket, Type};

use crate::blast::{request, stranger};
use crate::goal::{Goal, Measured, Run};
use crate::load::service::Plan;
use crate::load::{Addresses, NUMBER};
use crate::operation::{is_whole, lost};
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[Goal {
    name: "connections",
    wanted: "10,000 idle from one host, 1,000 slow, 1,000 that never read, 1,000 half handshakes: \
             a call by TCP and by TLS < 200 ms (the median is judged), voices lose nothing",
    peer: "Kamailio shut out at 2,048",
    is_long_only: false,
    measure: crowded,
}];

/// How long a call may take to be set up, connecting included.
const SOON: Duration = Duration::from_millis(200);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections of one host among those of many.
const OF_HOST: u32 = 50;
/// What the service permits by default: `max_connections_per_source`, `max_connections`.
const OF_SOURCE: u64 = 64;
const OF_ALL: u64 = 2_000;
/// Calls whose voices are listened to.
const TALKING: u32 = 10;

/// A connection from this address.
fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// Hosts that hold streams, and what they do on them until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Held>>,
}

/// The streams of one kind: how often one was opened, and how many are open in the end.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    opened: u64,
    open: u64,
}

/// What becomes of a stream that the service closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    IsLeft,
    IsOpenedAgain,
}

/// Whether it is open still: nothing comes, or something does.
fn is_open(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0; 1]) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

impl Crowd {
    /// Opens `count` streams and then goes round them with `act`.
    fn join(
        &mut self,
        count: u32,
        closed: Closed,
        host: impl Fn(u32) -> Ipv4Addr + Send + 'static,
        to: SocketAddr,
        act: impl Fn(&mut TcpStream, usize) -> io::Result<()> + Send + 'static,
    ) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(thread::spawn(move || {
            let open = |n: u32| {
                let stream = connect(host(n), to).ok()?;
                stream.set_nonblocking(true).ok()?;
                Some(stream)
            };
            let mut streams: Vec<Option<TcpStream>> = Vec::new();
            let (mut round, mut opened) = (0, 0);
            let mut open = |n| {
                let stream = open(n);
                opened += u64::from(stream.is_some());
                stream
            };
            while !stop.load(Ordering::Relaxed) {
                for n in 0..count {
                    let at = n as usize;
                    if at == streams.len() {
                        streams.push(open(n));
                    }
                    let Some(stream) = &mut streams[at] else { continue };
                    let is_over = act(stream, round)
                        .is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock);
                    if is_over {
                        streams[at] = match closed {
                            Closed::IsLeft => None,
                            Closed::IsOpenedAgain => open(n),
                        };
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                round += 1;
                thread::sleep(Duration::from_millis(500));
            }
            let open = streams.iter().flatten().filter(|stream| is_open(stream)).count() as u64;
            Held { opened, open }
        }));
    }

    /// Ends it; what there was of the first kind, and of all others.
    fn end(self) -> (Held, Held) {
        self.stop.store(true, Ordering::Relaxed);
        let mut held = self.threads.into_iter().map(|it| it.join().unwrap_or_default());
        let first = held.next().unwrap_or_default();
        let sum = |one: Held, two: Held| Held {
            opened: one.opened + two.opened,
            open: one.open + two.open,
        };
        (first, held.fold(Held::default(), sum))
    }
}

/// How many streams of each kind that does something.
fn others_of(run: &Run) -> u32 {
    run.count(200, 1_000)
}

fn attack(run: &Run, addresses: &Addresses) -> Crowd {
    let (tcp, tls) = (addresses.sip(), SocketAddr::from((addresses.service, 5061)));
    let mut crowd = Crowd { stop: Arc::default(), threads: Vec::new() };
    let many = |net| move |n: u32| stranger(net, n / OF_HOST + 1);
    let idle = run.count(2_000, 10_000);
    crowd.join(
        idle,
        Closed::IsLeft,
        |_| stranger(206, 1),
        tcp,
        |stream, _| {
            if is_open(stream) { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) }
        },
    );
    let (some, again) = (others_of(run), Closed::IsOpenedAgain);
    crowd.join(some, again, many(207), tcp, |stream, round| {
        let text = b"REGISTER sip:a SIP/2.0\r\nX: ";
        stream.write_all(&text[round % text.len()..][..1])
    });
    let service = addresses.service;
    crowd.join(some, again, many(208), tcp, move |stream, round| {
        let from = stream.local_addr()?;
        let text = request("REGISTER", from, IpAddr::V4(service), "101", round as u64);
        (0..100).try_for_each(|_| stream.write_all(text.as_bytes()))
    });
    // The beginning of a ClientHello.
    crowd.join(some, again, many(209), tls, |stream, round| match round {
        0 => stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        _ => stream.read(&mut [0; 1]).and_then(|length| match length {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Ok(()),
        }),
    });
    crowd
}

/// One call over a stream: how long until it is answered. It is ended again.
fn call(
    mut stream: impl Read + Write,
    transport: &str,
    local: SocketAddr,
    service: Ipv4Addr,
    n: u64,
) -> io::Result<()> {
    let text = request("INVITE", local, IpAddr::V4(service), NUMBER, n);
    let text = text.replace("SIP/2.0/UDP", &format!("SIP/2.0/{transport}"));
    stream.write_all(text.as_bytes())?;
    let mut read = Vec::new();
    let mut room = [0; 4_096];
    let answer = loop {
        let length = stream.read(&mut room)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(&room[..length]);
        let text = String::from_utf8_lossy(&read);
        if let Some(at) = text.find("SIP/2.0 200").filter(|at| text[*at..].contains("\r\n\r\n")) {
            break Message::parse(&read[at..]).map_err(io::Error::other)?;
        }
        if text.contains("SIP/2.0 4") || text.contains("SIP/2.0 5") {
            return Err(io::Error::other(text.lines().next().unwrap_or_default().to_owned()));
        }
    };
    let to = answer.text(&Name::To).unwrap_or_default();
    let target = match answer.contacts().next() {
        Some(Ok(Contact::Addr(contact))) => contact.uri.to_owned(),
        _ => String::new(),
    };
    for (seq, method) in [(1, "ACK"), (2, "BYE")] {
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK{method}{n}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{n}@{local}>;tag=f{n}\r\nTo: {to}\r\n\
             Call-ID: flood-{n}@{local}\r\nCSeq: {seq} {method}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// A certificate of the service's address, its key beside it; the tables that name them, and whom
/// clients have to trust.
fn certificate(
    addresses: &Addresses,
    folder: &Path,
) -> Result<(String, RootCertStore), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.subject_alt_names = vec![SanType::IpAddress(addresses.service.into())];
    params.not_before = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    let (file, key_file) = (folder.join("sip.pem"), folder.join("sip.key"));
    fs::write(&file, &certificate)?;
    fs::write(&key_file, key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let tables = format!(
        "[sip.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        file.display(),
        key_file.display()
    );
    Ok((tables, roots))
}

/// As many files as the system permits; how many those are.
fn raise_files() -> nix::Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}

/// Calls that were made beside the crowd.
#[derive(Default)]
struct Calls {
    /// How long each took to be set up, by TCP and by TLS.
    took: [Vec<Duration>; 2],
    failed: u32,
    why: String,
}

impl Calls {
    /// Makes one after the other for so long.
    fn make(scene: &Scene, tls: &Arc<ClientConfig>, time: Duration) -> Self {
        let Addresses { service, trunk, .. } = scene.addresses;
        let (began, mut calls, mut n) = (Instant::now(), Self::default(), 0);
        while began.elapsed() < time {
            n += 1;
            let sent = Instant::now();
            let is_tls = n % 2 == 0;
            let made = match is_tls {
                false => connect(trunk, scene.addresses.sip())
                    .and_then(|stream| call(&stream, "TCP", stream.local_addr()?, service, n)),
                true => connect(trunk, (service, 5061).into()).and_then(|stream| {
                    let local = stream.local_addr()?;
                    let name = IpAddr::V4(service).into();
                    let connection = ClientConnection::new(Arc::clone(tls), name);
                    let connection = connection.map_err(io::Error::other)?;
                    call(StreamOwned::new(connection, stream), "TLS", local, service, n)
                }),
            };
            match made {
                Ok(()) => calls.took[usize::from(is_tls)].push(sent.elapsed()),
                Err(error) => {
                    calls.failed += 1;
                    calls.why = format!(" ({error})");
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
        calls
    }

    /// Whether all were made soon enough, and in words.
    fn judge(self) -> (bool, String) {
        let [tcp, tls] = self.took.map(|mut all| {
            all.sort();
            let median = all.get(all.len() / 2).copied().unwrap_or(Duration::MAX);
            (all.len(), median, all.last().copied().unwrap_or(Duration::MAX))
        });
        let (failed, why) = (self.failed, self.why);
        let words = format!(
            "{} calls by TCP, median {} ms, slowest {} ms; {} by TLS, {} ms, {} ms; {failed} \
             failed{why}",
            tcp.0,
            tcp.1.as_millis(),
            tcp.2.as_millis(),
            tls.0,
            tls.1.as_millis(),
            tls.2.as_millis()
        );
        (failed == 0 && tcp.1 < SOON && tls.1 < SOON, words)
    }
}

/// Streams that the service has closed since the start, since their source or all together had too
/// many.
#[derive(Clone, Copy, Debug)]
struct Limited {
    refused: u64,
    evicted: u64,
}

impl Limited {
    fn read(scene: &Scene) -> Self {
        let dropped = |why| scene.metric(&format!("koebashi_sip_dropped_total{{why=\"{why}\"}}"));
        let [refused, evicted] =
            ["stream_refused", "stream_evicted"].map(|why| dropped(why) as u64);
        Self { refused, evicted }
    }
}

/// Streams that are open, by the service's own account.
fn open_streams(scene: &Scene) -> u64 {
    let open = |by| scene.metric(&format!("koebashi_sip_connections{{transport=\"{by}\"}}"));
    (open("tcp") + open("tls")) as u64
}

fn crowded(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let (files, wanted) = (raise_files()?, u64::from(run.count(3_500, 14_000)));
    if files < wanted {
        return Ok(Measured::skipped(format!("{files} open files are permitted, not {wanted}")));
    }
    let addresses = Addresses::new();
    let folder = std::env::temp_dir().join(format!("koebashi-streams-{}", std::process::id()));
    let (tables, roots) = certificate(&addresses, &folder)?;
    let plan = Plan { counselors: TALKING + 1, tables: tables.leak(), ..Plan::default() };
    let scene = Scene::start(&plan)?;
    fs::remove_dir_all(&folder).ok();
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    let callers = scene.talk(TALKING)?;
    scene.phones.hush();
    scene.voice.begin();
    let crowd = attack(run, &scene.addresses);
    let time = Duration::from_secs(u64::from(run.count(8, 60)));
    let calls = Calls::make(&scene, &Arc::new(tls), time);
    let figures = scene.voice.end();
    let there = open_streams(&scene);
    let (idle, others) = crowd.end();
    let Limited { refused, evicted } = Limited::read(&scene);
    let talking = scene.phones.talking();
    callers.hang_up(TALKING);
    let ended = scene.over(&callers, TALKING, TALKING)?;
    let (are_soon, words) = calls.judge();
    // One host has what is permitted to one, less what had to give way; nothing else was closed.
    let is_idle_right = idle.opened == u64::from(run.count(2_000, 10_000))
        && (OF_SOURCE.saturating_sub(evicted)..=OF_SOURCE).contains(&idle.open)
        && idle.open + refused + evicted >= idle.opened;
    // What is closed is opened again half a second later.
    let wanted = (OF_SOURCE + 3 * u64::from(others_of(run))).min(OF_ALL);
    let is_crowd = there >= wanted * 9 / 10;
    let figure = format!(
        "beside {there} streams that are open ({} of {} idle ones of one host, {} of the others, \
         opened {} times; {refused} refused and {evicted} evicted by the limits): {words}; \
         {talking} of {TALKING} talk on ({})",
        idle.open,
        idle.opened,
        others.open,
        others.opened,
        lost(&figures)
    );
    let is_whole = is_whole(&figures) && (talking, ended) == (TALKING, TALKING);
    Ok(Measured::new(are_soon && is_idle_right && is_crowd && is_whole, figure))
}
