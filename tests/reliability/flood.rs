//! Floods: memory, live calls, guesses, amplification.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use koebashi::sip::header::{Contact, Name};
use koebashi::sip::message::Message;

use crate::blast::{Blast, METHODS, request, socket, stranger, strangers};
use crate::goal::{Goal, Measured, Run};
use crate::load::service::Plan;
use crate::load::{Addresses, NUMBER, sdp};
use crate::phone::{PASSWORD, Phone};
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "flood",
        wanted: "10^6 unique requests: ≤ +64 MiB, +10 % and no entry more after 70 s, in 256 MiB; 50 \
                 calls lose nothing",
        peer: "FreeSWITCH ≤ 1.10.6 out of 8 GB in 90 s",
        is_long_only: false,
        measure: flooded,
    },
    Goal {
        name: "guesses",
        wanted: "≤ 10 guesses a minute and source are checked; the real phone registers throughout",
        peer: "Kamailio 110 guesses/s",
        is_long_only: false,
        measure: guessed,
    },
    Goal {
        name: "amplification",
        wanted: "≤ 3 bytes for each of an unproven source in 64 s; no RTP before ACK",
        peer: "baresip ×741",
        is_long_only: false,
        measure: amplified,
    },
];

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(2);
pub(crate) const MIB: u64 = 1 << 20;
/// Memory of the whole service.
const MEMORY_MAX: u64 = 256 * MIB;
/// Memory that a flood may add, at its peak.
pub(crate) const GROWTH_MAX: u64 = 64 * MIB;
/// Longer than anything of it lives: a call to which no ACK comes is given up after 32 s, and its BYE
/// is sent again for 32 s, whatever the network says of who sent it.
const REST: Duration = Duration::from_secs(70);
/// Gauges are of the last second.
const GAUGES: Duration = Duration::from_secs(2);
/// Transactions that may be under way at any moment: we ask the trunk and phones whether they are
/// there.
const UNDER_WAY: u64 = 5;

/// A limit on a process's memory, where the system lets us set one.
struct Cage(PathBuf);

impl Cage {
    fn around(pid: u32, limit: u64) -> Option<Self> {
        let name = format!("koebashi-flood-{}", std::process::id());
        let kinds =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        kinds.into_iter().find_map(|(root, key)| {
            let cage = Self(PathBuf::from(root).join(&name));
            fs::create_dir(&cage.0).ok()?;
            fs::write(cage.0.join(key), limit.to_string()).ok()?;
            fs::write(cage.0.join("cgroup.procs"), pid.to_string()).ok()?;
            Some(cage)
        })
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // Empty as soon as the service has ended, which it may not have yet.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Resident memory of a process: now, and at its peak.
pub(crate) fn memory(pid: u32) -> io::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let of = |name| field(name).map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::NotFound.into());
    of("VmRSS:").and_then(|now| Ok((now, of("VmHWM:")?)))
}

/// What a flood is made of: half of it from many hosts, a quarter from one, a quarter in the name
/// of the trunk. Of the trunk's calls few are for a number that is ours: those are real ones.
fn start_flood(addresses: &Addresses, count: u64, per_second: u64) -> io::Result<Blast> {
    let many = strangers(201, 500)?;
    let (one, trunk) = (socket(stranger(202, 1))?, socket(addresses.trunk)?);
    let service = addresses.sip();
    Blast::start(count, per_second, move |n| {
        let from = match n % 4 {
            0 | 1 => &many[n as usize / 4 % many.len()],
            2 => &one,
            _ => &trunk,
        };
        let method = METHODS[n as usize / 4 % METHODS.len()];
        let number = if n % 256 == 255 { NUMBER } else { "0999999999" };
        let Ok(local) = from.local_addr() else { return false };
        let text = request(method, local, service.ip(), number, n);
        from.send_to(text.as_bytes(), service).is_ok()
    })
}

/// The trunk asks ten times a second whether we are there: how often, how often it was answered,
/// and the longest wait.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<(u32, u32, Duration)>>,
}

impl Probe {
    pub(crate) fn start(addresses: &Addresses) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, service) = (Arc::clone(&stop), addresses.sip());
        let socket = UdpSocket::bind((addresses.trunk, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let run = move || {
            let (mut asked, mut answered, mut longest) = (0, 0, Duration::ZERO);
            while !ending.load(Ordering::Relaxed) {
                let text =
                    request("OPTIONS", socket.local_addr()?, service.ip(), "x", u64::from(asked));
                let sent = Instant::now();
                socket.send_to(text.as_bytes(), service)?;
                asked += 1;
                if socket.recv(&mut [0; 4_096]).is_ok() {
                    answered += 1;
                    longest = longest.max(sent.elapsed());
                }
                thread::sleep(Duration::from_millis(100));
            }
            Ok((asked, answered, longest))
        };
        Ok(Self { stop, thread: thread::spawn(run) })
    }

    pub(crate) fn end(self) -> io::Result<(u32, u32, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the probe panicked"))?
    }
}

/// What the service has for each thing that it was told: resident bytes, transactions, sessions.
#[derive(Clone, Copy, Debug)]
struct Held {
    memory: u64,
    transactions: u64,
    sessions: u64,
}

impl Held {
    fn read(scene: &Scene) -> io::Result<Self> {
        let (memory, _) = memory(scene.service.pid())?;
        let held = |what| scene.metric(&format!("koebashi_sip_held{{what=\"{what}\"}}")) as u64;
        Ok(Self { memory, transactions: held("transactions"), sessions: held("sessions") })
    }

    /// Whether it is what it was before: memory to a tenth, and but for requests that are under way
    /// at this very moment no entry more.
    ///
    /// Memory that was used once is still resident after the short form, and not used by anything
    /// that is counted here: there it must not have grown since the flood. What is asked for is
    /// judged in the long form.
    fn is_back(&self, before: &Self, full: &Self, run: &Run) -> bool {
        let base = if run.is_long { before.memory } else { full.memory };
        self.memory <= base + base / 10
            && self.transactions <= before.transactions + UNDER_WAY
            && self.sessions <= before.sessions
    }
}

fn flooded(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let calls = 50;
    let (count, pace) = (u64::from(run.count(80_000, 1_000_000)), 10_000);
    let scene = Scene::start(&Plan { counselors: calls, ..Plan::default() })?;
    let pid = scene.service.pid();
    let cage = Cage::around(pid, MEMORY_MAX);
    let callers = scene.talk(calls)?;
    thread::sleep(GAUGES);
    let before = Held::read(&scene)?;
    let probe = Probe::start(&scene.addresses)?;
    let blast = start_flood(&scene.addresses, count, pace)?;
    let figures = scene.voice.measure(Duration::from_secs(count / pace));
    let sent = blast.end()?;
    let (asked, answered, longest) = probe.end()?;
    let (_, peak) = memory(pid)?;
    thread::sleep(GAUGES);
    let full = Held::read(&scene)?;
    thread::sleep(REST);
    let after = Held::read(&scene)?;
    // A flood that has filled nothing says nothing about what becomes empty again.
    let is_back =
        after.is_back(&before, &full, run) && full.transactions > before.transactions + UNDER_WAY;
    let is_whole = scene.phones.talking() >= calls;
    callers.hang_up(calls);
    let ended = scene.over(&callers, calls, calls)?;
    let (out, over): (u64, u64) = (figures.sent.iter().sum(), figures.relayed.iter().sum());
    let lost = out.saturating_sub(over);
    let is_held = sent + 100 >= count
        && lost <= figures.dropped_here
        && is_whole
        && ended == calls
        && is_back
        && peak <= before.memory + GROWTH_MAX
        && peak <= MEMORY_MAX
        && answered + 1 >= asked;
    let cage = if cage.is_some() { "256 MiB by cgroup" } else { "no cgroup permitted" };
    Ok(Measured::new(
        is_held,
        format!(
            "{sent} requests at {pace}/s: {} → {} MiB, {} MiB {} s later ({cage}); transactions {} \
             → {} → {}, sessions {} → {} → {}; of {out} packets {lost} lost; trunk's OPTIONS \
             {answered} of {asked} answered, the slowest in {} ms",
            before.memory / MIB,
            peak / MIB,
            after.memory / MIB,
            REST.as_secs(),
            before.transactions,
            full.transactions,
            after.transactions,
            before.sessions,
            full.sessions,
            after.sessions,
            longest.as_millis()
        ),
    ))
}

fn guessed(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let time = Duration::from_secs(u64::from(run.count(6, 125)));
    let scene = Scene::start(&Plan { counselors: 1, ..Plan::default() })?;
    let service = scene.addresses.sip();
    let mut phone = Phone::new(stranger(203, 1), service, PASSWORD)?;
    let mut guesser = Phone::new(stranger(203, 2), service, "")?;
    let (mut tried, mut checked, mut registered, mut refused) = (0, 0, 0, 0);
    let began = Instant::now();
    while began.elapsed() < time {
        guesser.password = format!("guess-{tried}");
        tried += 1;
        // A 401 says that the guess was looked at; 403 and silence that it was not.
        checked += u32::from(guesser.register()? == Some(401));
        if tried % 10 == 0 {
            match phone.register()? {
                Some(200) => registered += 1,
                _ => refused += 1,
            }
        }
    }
    let windows = u32::try_from(time.as_secs() / 60 + 1)?;
    let is_held = (1..=10 * windows).contains(&checked) && registered > 0 && refused == 0;
    Ok(Measured::new(
        is_held,
        format!(
            "of {tried} guesses in {} s {checked} were checked; the phone registered {registered} \
             times, was refused {refused} times",
            time.as_secs()
        ),
    ))
}

/// A call by the trunk that does or does not acknowledge our answer: voice packets within `time`.
fn heard(
    addresses: &Addresses,
    n: u64,
    is_acknowledged: bool,
    time: Duration,
) -> io::Result<usize> {
    let service = addresses.sip();
    let sip = UdpSocket::bind((addresses.trunk, 0))?;
    let media = socket(addresses.trunk)?;
    sip.set_read_timeout(Some(SOON))?;
    let local = sip.local_addr()?;
    let text = request("INVITE", local, service.ip(), NUMBER, n);
    let (head, _) = text.split_once("Content-Type").unwrap_or_default();
    let body = sdp(addresses.trunk, media.local_addr()?.port());
    let length = body.len();
    let kind = "Content-Type: application/sdp\r\n";
    sip.send_to(format!("{head}{kind}Content-Length: {length}\r\n\r\n{body}").as_bytes(), service)?;
    let mut room = [0; 4_096];
    let answer = loop {
        let length = sip.recv(&mut room)?;
        let message = Message::parse(&room[..length]).map_err(io::Error::other)?;
        if message.code().is_some_and(|code| code >= 200) {
            break message;
        }
    };
    if is_acknowledged {
        let to = answer.text(&Name::To).unwrap_or_default();
        let target = match answer.contacts().next() {
            Some(Ok(Contact::Addr(contact))) => contact.uri.to_owned(),
            _ => String::new(),
        };
        let ack = format!(
            "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKack{n}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{n}@{local}>;tag=f{n}\r\nTo: {to}\r\n\
             Call-ID: flood-{n}@{local}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        sip.send_to(ack.as_bytes(), service)?;
    }
    thread::sleep(time);
    Ok(std::iter::from_fn(|| media.recv(&mut room).ok()).count())
}

/// The shortest REGISTER that is one.
fn shortest(n: u32) -> String {
    format!(
        "REGISTER sip:a SIP/2.0\r\nv:SIP/2.0/UDP b;rport;branch=z9hG4bK{n}\r\nf:<sip:1@a>;tag=1\r\n\
         t:<sip:1@a>\r\ni:{n}\r\nCSeq:1 REGISTER\r\nMax-Forwards:9\r\n\r\n"
    )
}

fn amplified(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let scene = Scene::start(&Plan { counselors: 1, ..Plan::default() })?;
    let service = scene.addresses.sip();
    let methods = METHODS.iter().chain(&["BYE", "ACK", "CANCEL", "REFER", "NOTIFY", "FOO"]);
    let methods: Vec<&str> = methods.copied().collect();
    let sources = strangers(204, 100)?;
    let mut sent = BTreeMap::<Ipv4Addr, usize>::new();
    let mut got = sent.clone();
    for (i, socket) in (0..).zip(&sources) {
        let from = socket.local_addr()?;
        for n in 0..20 {
            let text = match i % 4 {
                // The answer goes to the port that Via names: the default one.
                0 => shortest(i * 100 + n),
                1 => request("REGISTER", from, service.ip(), "101", u64::from(i * 100 + n)),
                // The same again and again: is it answered by more than it is?
                2 => request("REGISTER", from, service.ip(), "101", u64::from(i)),
                _ => {
                    let method = methods[(i / 4 * 20 + n) as usize % methods.len()];
                    request(method, from, service.ip(), NUMBER, u64::from(i * 100 + n))
                }
            };
            *sent.entry(stranger(204, i + 1)).or_default() += text.len();
            socket.send_to(text.as_bytes(), service)?;
        }
        thread::sleep(Duration::from_millis(5));
    }
    // Nothing is repeated by itself: who waits longer hears no more.
    thread::sleep(Duration::from_secs(u64::from(run.count(2, 64))));
    let mut room = [0; 4_096];
    let mut answers = 0;
    for (i, socket) in (0..).zip(&sources) {
        while let Ok(length) = socket.recv(&mut room) {
            *got.entry(stranger(204, i + 1)).or_default() += length;
            answers += 1;
        }
    }
    let share = |ip: &Ipv4Addr| got.get(ip).copied().unwrap_or(0) as f64 / sent[ip] as f64;
    let most = sent.keys().map(share).fold(0.0, f64::max);
    let time = Duration::from_secs(u64::from(run.count(3, 33)));
    let unheard = heard(&scene.addresses, 1, false, time)?;
    let control = heard(&scene.addresses, 2, true, Duration::from_secs(1))?;
    let is_held = answers > 0 && most <= 3.0 && unheard == 0 && control > 0;
    Ok(Measured::new(
        is_held,
        format!(
            "{answers} answers to {} requests, at most {most:.2} bytes for one; {unheard} RTP \
             packets in {} s without ACK, {control} in 1 s with it",
            sources.len() * 20,
            time.as_secs()
        ),
    ))
}
