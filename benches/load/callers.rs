//! Callers, as their trunk puts them through: each calls, speaks, and hangs up.
//!
//! Owns one thread and one SIP socket, the pace of the calls, and repetition while nothing answers.
//! They refresh no session (RFC 4028) and don't say that they would: the service does.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use koebashi::sip::header::Contact;
use koebashi::sip::message::{Message, Method};

use super::voice::{Mouth, Side};
use super::{NUMBER, agree, media_address, sdp, sip_socket};

/// How often a request is sent while nothing answers, and from send to send.
const TRIES: u8 = 8;
const RETRY: Duration = Duration::from_millis(500);
/// Groups of callers so far.
static GROUPS: AtomicU32 = AtomicU32::new(0);
/// The largest datagram.
const DATAGRAM: usize = 4096;

/// How the callers call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habit {
    /// How many call.
    pub(crate) calls: u32,
    /// How many begin a second.
    pub(crate) per_second: u32,
    /// How long after the answer each hangs up; `None`: when [`Callers::hang_up`] says.
    pub(crate) hold: Option<Duration>,
    /// Whether they speak.
    pub(crate) speaks: bool,
}

/// How far the calls are.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Calls that were answered.
    pub(crate) answered: AtomicU32,
    /// Calls that were answered and are over.
    pub(crate) ended: AtomicU32,
    /// Of those that ended: how many the service ended, while the caller still talked.
    pub(crate) dropped: AtomicU32,
    /// Calls that were refused, or never answered.
    pub(crate) failed: AtomicU32,
    /// Of those that failed: how many were told so, by the code of the final answer. The others
    /// met silence.
    refused: Mutex<BTreeMap<u16, u32>>,
}

impl Progress {
    /// How many calls were refused, by the code.
    pub(crate) fn refused(&self) -> BTreeMap<u16, u32> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, code: u16) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The callers' handle.
#[derive(Debug)]
pub(crate) struct Callers {
    progress: Arc<Progress>,
    hang_up: mpsc::Sender<u32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Callers {
    /// Begins to call.
    pub(crate) fn start(
        address: Ipv4Addr,
        service: SocketAddr,
        habit: Habit,
        mouth: Mouth,
    ) -> std::io::Result<Self> {
        let socket = sip_socket(address)?;
        let progress = Arc::<Progress>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (hang_up, order) = mpsc::channel();
        let thread = Thread {
            nth: GROUPS.fetch_add(1, Ordering::Relaxed),
            socket,
            address,
            service,
            habit,
            mouth,
            progress: Arc::clone(&progress),
            stop: Arc::clone(&stop),
            calls: BTreeMap::new(),
            waiting: VecDeque::new(),
            leaving: VecDeque::new(),
        };
        let run = move || thread.run(&order);
        let thread = thread::Builder::new().name("callers".to_owned()).spawn(run)?;
        Ok(Self { progress, hang_up, stop, thread: Some(thread) })
    }

    /// How far the calls are.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Lets all who still talk hang up, so many a second.
    pub(crate) fn hang_up(&self, per_second: u32) {
        self.hang_up.send(per_second).ok();
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Answer,
    Talk,
    ByeAnswer,
}

#[derive(Debug)]
struct Call {
    state: State,
    /// The request that waits for an answer, when it was sent last, and how often.
    request: String,
    tries: u8,
    /// The far end's Contact and tag.
    target: String,
    to: String,
}

struct Thread {
    /// Which of the groups of callers of this process: no two calls have one name.
    nth: u32,
    socket: UdpSocket,
    address: Ipv4Addr,
    service: SocketAddr,
    habit: Habit,
    mouth: Mouth,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    calls: BTreeMap<u32, Call>,
    /// When to look whether a request was answered.
    waiting: VecDeque<(Instant, u32)>,
    /// When to hang up.
    leaving: VecDeque<(Instant, u32)>,
}

impl Thread {
    fn run(mut self, order: &mpsc::Receiver<u32>) {
        let (began, habit) = (Instant::now(), self.habit);
        let is_due = |n: u32| {
            let after = f64::from(n) / f64::from(habit.per_second);
            n < habit.calls && began + Duration::from_secs_f64(after) <= Instant::now()
        };
        let mut next = 0;
        let mut room = [0; DATAGRAM];
        while !self.stop.load(Ordering::Relaxed) {
            while is_due(next) {
                self.call(next);
                next += 1;
            }
            while let Ok((length, _)) = self.socket.recv_from(&mut room) {
                self.receive(&room[..length]);
                if is_due(next) {
                    break;
                }
            }
            if let Ok(per_second) = order.try_recv() {
                self.leave(per_second);
            }
            self.time_passes();
        }
    }

    fn leave(&mut self, per_second: u32) {
        let talking = self.calls.iter().filter(|(_, call)| call.state == State::Talk);
        let step = Duration::from_secs(1) / per_second;
        let now = Instant::now();
        let all: Vec<u32> = talking.map(|(n, _)| *n).collect();
        self.leaving.extend((0..).zip(all).map(|(i, n)| (now + step * i, n)));
    }

    fn time_passes(&mut self) {
        let now = Instant::now();
        while let Some((_, n)) = self.leaving.pop_front_if(|(at, _)| *at <= now) {
            self.bye(n);
        }
        while let Some((_, n)) = self.waiting.pop_front_if(|(at, _)| *at <= now) {
            let Some(call) = self.calls.get_mut(&n) else { continue };
            if call.request.is_empty() {
                continue;
            }
            call.tries += 1;
            if call.tries > TRIES {
                self.calls.remove(&n);
                self.hush(n);
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let request = call.request.clone();
            self.send(&request);
            self.waiting.push_back((now + RETRY, n));
        }
    }

    fn send(&self, text: &str) {
        // What does not fit is sent again.
        self.socket.send_to(text.as_bytes(), self.service).ok();
    }

    /// Ends a voice. Groups count their calls alike: who says nothing ends nobody's.
    fn hush(&self, n: u32) {
        if self.habit.speaks {
            self.mouth.stop(Side::Caller, n);
        }
    }

    /// Sends a request and looks after it.
    fn ask(&mut self, n: u32, request: String) {
        self.send(&request);
        self.waiting.push_back((Instant::now() + RETRY, n));
        if let Some(call) = self.calls.get_mut(&n) {
            (call.request, call.tries) = (request, 0);
        }
    }

    /// The headers that all requests of a call share.
    fn head(&self, n: u32, method: &str, uri: &str, to: &str, cseq: u32) -> String {
        let (address, service, nth) = (self.address, self.service.ip(), self.nth);
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address}:5060;branch=z9hG4bK{method}{n}.{nth}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:0480000000@{address}>;tag=caller{n}\r\n\
             To: <sip:{NUMBER}@{service}>{to}\r\nCall-ID: load-{n}.{nth}@{address}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:{n}@{address}:5060>\r\n"
        )
    }

    fn call(&mut self, n: u32) {
        let state = State::Answer;
        let (target, to) = (String::new(), String::new());
        self.calls.insert(n, Call { state, request: String::new(), tries: 0, target, to });
        let body = sdp(self.address, self.mouth.port(Side::Caller, n));
        let uri = format!("sip:{NUMBER}@{}", self.service);
        let head = self.head(n, "INVITE", &uri, "", 1);
        let length = body.len();
        let request = format!(
            "{head}Allow: INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS\r\n\
             Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.ask(n, request);
    }

    fn bye(&mut self, n: u32) {
        let Some(call) = self.calls.get_mut(&n).filter(|call| call.state == State::Talk) else {
            return;
        };
        call.state = State::ByeAnswer;
        let (target, to) = (call.target.clone(), call.to.clone());
        self.hush(n);
        let head = self.head(n, "BYE", &target, &to, 2);
        self.ask(n, format!("{head}Content-Length: 0\r\n\r\n"));
    }

    fn receive(&mut self, datagram: &[u8]) {
        let Ok(message) = Message::parse(datagram) else { return };
        let Some(n) = message.call_id().ok().and_then(number) else { return };
        match message.method() {
            Some(method) => self.request(n, &message, &method.clone()),
            None => self.response(n, &message),
        }
    }

    fn request(&mut self, n: u32, message: &Message, method: &Method) {
        if *method == Method::Ack {
            return;
        }
        if *method == Method::Bye
            && let Some(call) = self.calls.remove(&n)
        {
            self.hush(n);
            // Before it is over: whoever waits for that reads both.
            let is_dropped = call.state != State::ByeAnswer;
            self.progress.dropped.fetch_add(is_dropped.into(), Ordering::Relaxed);
            self.progress.ended.fetch_add(1, Ordering::Release);
        }
        let own = format!("<sip:{n}@{}:5060>", self.address);
        let body = (*method == Method::Invite || !message.body().is_empty())
            .then(|| sdp(self.address, self.mouth.port(Side::Caller, n)));
        let answer = agree(message, &format!("caller{n}"), &own, body);
        self.socket.send_to(&answer, self.service).ok();
    }

    fn response(&mut self, n: u32, message: &Message) {
        let (Some(code), Ok(cseq)) = (message.code(), message.cseq()) else { return };
        let Some(call) = self.calls.get_mut(&n) else { return };
        if code < 200 {
            call.request.clear();
            return;
        }
        if cseq.seq == 2 {
            self.calls.remove(&n);
            self.progress.ended.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if code >= 300 {
            self.calls.remove(&n);
            self.progress.refuse(code);
            return;
        }
        let is_first = call.state == State::Answer;
        if is_first {
            call.request.clear();
            let tag = message.to().ok().and_then(|to| to.tag().map(|tag| tag.to_string()));
            call.to = format!(";tag={}", tag.unwrap_or_default());
            if let Some(Ok(Contact::Addr(contact))) = message.contacts().next() {
                call.target = contact.uri.to_owned();
            }
            call.state = State::Talk;
        }
        let (target, to) = (call.target.clone(), call.to.clone());
        let head = self.head(n, "ACK", &target, &to, 1);
        self.send(&format!("{head}Content-Length: 0\r\n\r\n"));
        if is_first {
            self.progress.answered.fetch_add(1, Ordering::Relaxed);
            if let Some(to) = media_address(message).filter(|_| self.habit.speaks) {
                self.mouth.start(Side::Caller, n, to);
            }
            if let Some(hold) = self.habit.hold {
                self.leaving.push_back((Instant::now() + hold, n));
            }
        }
    }
}

/// The call's number out of its Call-ID.
fn number(call_id: &str) -> Option<u32> {
    call_id.strip_prefix("load-")?.split('.').next()?.parse().ok()
}
