//! More calls than there is room for in time.
//!
//! The service has one processor for itself, those who call and speak have the others: otherwise
//! what five times the calls cost their makers is missing to the service, and is measured too.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use koebashi::sip::header::{Contact, Name};
use koebashi::sip::message::{Message, Method};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;

use crate::blast::request;
use crate::goal::{Goal, Measured, Run};
use crate::load::service::Plan;
use crate::load::{Addresses, NUMBER};
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[Goal {
    name: "overload",
    wanted: "at 5 × capacity ≥ 80 % of it is still served; existing calls go on",
    peer: "Asterisk ignores UDP requests silently above 500 tasks",
    // It says something of an optimized build alone.
    is_long_only: true,
    measure: overloaded,
}];

/// The first step's calls a second; each one doubles it, and lasts as long as the rush: what is put
/// off until afterwards counts for as much in both.
const FIRST: u32 = 400;
/// The last one's.
const LAST: u32 = 12_800;
/// How long a caller stays after the answer.
const STAY: Duration = Duration::from_millis(200);
/// How long answers are waited for after the last call, and calls that go on end.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// When an INVITE that nobody has reacted to is sent again, from its first sending.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1_500), Duration::from_millis(3_500)];

/// What became of a rush of calls.
#[derive(Debug, Default)]
struct Rush {
    offered: u32,
    /// In time.
    answered: u32,
    shed: u32,
    other: u32,
}

struct Caller {
    text: String,
    began: Instant,
    tries: usize,
    is_answered: bool,
}

struct Callers {
    socket: UdpSocket,
    local: SocketAddr,
    service: SocketAddr,
    calls: BTreeMap<u64, Caller>,
    /// When to look whether anybody has reacted.
    waiting: VecDeque<(Instant, u64)>,
    leaving: VecDeque<(Instant, u64, String)>,
    /// When the rush is over.
    until: Instant,
    rush: Rush,
}

impl Callers {
    fn new(addresses: &Addresses) -> io::Result<Self> {
        let socket = UdpSocket::bind((addresses.trunk, 0))?;
        setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        Ok(Self {
            local: socket.local_addr()?,
            socket,
            service: addresses.sip(),
            calls: BTreeMap::new(),
            waiting: VecDeque::new(),
            leaving: VecDeque::new(),
            until: Instant::now(),
            rush: Rush::default(),
        })
    }

    /// So many calls a second for so long, from number `first` on.
    fn run(&mut self, first: u64, per_second: u32, time: Duration) -> io::Result<Rush> {
        self.rush = Rush::default();
        let began = Instant::now();
        self.until = began + time;
        let mut room = [0; 4_096];
        while began.elapsed() < time + PATIENCE {
            let now = Instant::now();
            let due = now.duration_since(began).min(time).as_secs_f64() * f64::from(per_second);
            while f64::from(self.rush.offered) < due {
                self.call(first + u64::from(self.rush.offered), now)?;
                self.rush.offered += 1;
            }
            for _ in 0..256 {
                let Ok(length) = self.socket.recv(&mut room) else { break };
                self.receive(&room[..length], now)?;
            }
            self.time_passes(now)?;
        }
        self.calls.clear();
        Ok(std::mem::take(&mut self.rush))
    }

    fn call(&mut self, n: u64, now: Instant) -> io::Result<()> {
        let text = request("INVITE", self.local, self.service.ip(), NUMBER, n);
        self.socket.send_to(text.as_bytes(), self.service)?;
        self.calls.insert(n, Caller { text, began: now, tries: 0, is_answered: false });
        self.waiting.push_back((now + AGAIN[0], n));
        Ok(())
    }

    fn time_passes(&mut self, now: Instant) -> io::Result<()> {
        while let Some((_, _, bye)) = self.leaving.pop_front_if(|(at, ..)| *at <= now) {
            self.socket.send_to(bye.as_bytes(), self.service)?;
        }
        while let Some((_, n)) = self.waiting.pop_front_if(|(at, _)| *at <= now) {
            let Some(call) = self.calls.get_mut(&n).filter(|call| !call.text.is_empty()) else {
                continue;
            };
            self.socket.send_to(call.text.as_bytes(), self.service)?;
            call.tries += 1;
            if let Some(after) = AGAIN.get(call.tries) {
                self.waiting.push_back((call.began + *after, n));
            }
        }
        Ok(())
    }

    fn receive(&mut self, datagram: &[u8], now: Instant) -> io::Result<()> {
        let Ok(message) = Message::parse(datagram) else { return Ok(()) };
        if let Some(method) = message.method() {
            if *method != Method::Ack {
                let answer = koebashi::sip::print::Draft::response(&message, 200).print();
                self.socket.send_to(&answer, self.service)?;
            }
            return Ok(());
        }
        let number = |id: &str| id.strip_prefix("flood-")?.split('@').next()?.parse().ok();
        let Some(n) = message.call_id().ok().and_then(number) else { return Ok(()) };
        let is_invite = message.cseq().is_ok_and(|it| it.method == Method::Invite);
        let Some(call) = self.calls.get_mut(&n).filter(|_| is_invite) else { return Ok(()) };
        call.text.clear();
        let to = message.text(&Name::To).unwrap_or_default().to_owned();
        match message.code().unwrap_or(0) {
            ..200 => return Ok(()),
            200 => {
                let is_first = !std::mem::replace(&mut call.is_answered, true);
                let target = match message.contacts().next() {
                    Some(Ok(Contact::Addr(contact))) => contact.uri.to_owned(),
                    _ => String::new(),
                };
                let ack = self.within(n, "ACK", 1, &target, &to, &format!("ack{n}"));
                self.socket.send_to(ack.as_bytes(), self.service)?;
                if is_first {
                    // What is made up for afterwards does not count: nothing is offered then.
                    self.rush.answered += u32::from(now <= self.until);
                    let bye = self.within(n, "BYE", 2, &target, &to, &format!("bye{n}"));
                    self.leaving.push_back((now + STAY, n, bye));
                }
                return Ok(());
            }
            503 => self.rush.shed += 1,
            _ => self.rush.other += 1,
        }
        self.calls.remove(&n);
        let target = format!("sip:{NUMBER}@{}", self.service.ip());
        let ack = self.within(n, "ACK", 1, &target, &to, &format!("flood{n}"));
        self.socket.send_to(ack.as_bytes(), self.service)?;
        Ok(())
    }

    fn within(
        &self,
        n: u64,
        method: &str,
        seq: u32,
        target: &str,
        to: &str,
        branch: &str,
    ) -> String {
        let local = self.local;
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{n}@{local}>;tag=f{n}\r\nTo: {to}\r\n\
             Call-ID: flood-{n}@{local}\r\nCSeq: {seq} {method}\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

/// Answered calls a second.
fn goodput(rush: &Rush, time: Duration) -> f64 {
    f64::from(rush.answered) / time.as_secs_f64()
}

/// The calling thread, and all that it starts, leaves the first processor to others.
fn leave_the_first() -> io::Result<()> {
    let count = thread::available_parallelism()?.get();
    let mut others = CpuSet::new();
    (1..count).try_for_each(|n| others.set(n))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &others)?)
}

/// Gives the first processor to all threads of a process, and to those that they start.
fn give_the_first(process: u32) -> Result<(), Box<dyn Error>> {
    let mut first = CpuSet::new();
    first.set(0)?;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread: i32 = thread?.file_name().to_string_lossy().parse()?;
        sched_setaffinity(Pid::from_raw(thread), &first)?;
    }
    Ok(())
}

fn overloaded(run: &Run) -> Result<Measured, Box<dyn Error>> {
    if thread::available_parallelism()?.get() < 2 {
        return Ok(Measured::skipped("not on this machine: it has one processor"));
    }
    let inside = || {
        leave_the_first()?;
        beside_it(run).map_err(|error| io::Error::other(error.to_string()))
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    Ok(done.map_err(|_| "it panicked")??)
}

fn beside_it(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let existing = 20;
    // Each call leaves two transactions for half a minute: it is not they that are to run out.
    let sip = "max_transactions = 200000";
    let scene = Scene::start(&Plan { counselors: existing, sip, ..Plan::default() })?;
    give_the_first(scene.service.pid())?;
    let held = scene.talk(existing)?;
    let mut callers = Callers::new(&scene.addresses)?;
    let time = Duration::from_secs(u64::from(run.count(6, 30)));
    let (mut first, mut rate, mut capacity) = (0, FIRST, 0.0_f64);
    // As long as nearly all that is offered is served, twice as much is.
    while rate <= LAST {
        let rush = callers.run(first, rate, time)?;
        first += u64::from(rush.offered);
        capacity = capacity.max(goodput(&rush, time));
        if f64::from(rush.answered) < 0.9 * f64::from(rush.offered) {
            break;
        }
        rate *= 2;
    }
    let offered = (5.0 * capacity) as u32;
    let (rush, figures) = thread::scope(|scope| {
        let rush = scope.spawn(|| callers.run(first, offered, time));
        let figures = scene.voice.measure(time);
        (rush.join(), figures)
    });
    let rush = rush.map_err(|_| "the callers panicked")??;
    let served = goodput(&rush, time);
    let share = 100.0 * served / capacity.max(1.0);
    let kept = scene.phones.talking();
    held.hang_up(existing);
    let ended = scene.over(&held, existing, existing)?;
    let lost = figures.sent.iter().sum::<u64>().saturating_sub(figures.relayed.iter().sum());
    let sent = figures.sent.iter().sum::<u64>();
    let is_held = share >= 80.0 && kept >= existing && lost * 1_000 <= sent && rush.shed > 0;
    Ok(Measured::new(
        is_held && ended == existing,
        format!(
            "capacity {capacity:.0} calls/s; at {offered}/s {served:.0}/s are served ({share:.0} %), \
             {} of {} refused by 503, {} otherwise; {kept} of {existing} existing calls go on, {lost} \
             of their packets lost, {ended} end as they wish",
            rush.shed, rush.offered, rush.other
        ),
    ))
}
