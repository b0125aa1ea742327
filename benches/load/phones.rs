//! Counselors' phones: every one answers at once and speaks until the service hangs up.
//!
//! Owns one thread and one SIP socket for all phones; the configuration names it as their contact.
//! A 200 is repeated until its ACK comes (RFC 3261 §13.3.1.4).

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::sip::print::Draft;

use super::voice::{Mouth, Side};
use super::{agree, media_address, sdp, sip_socket};

/// The largest datagram.
const DATAGRAM: usize = 4096;
/// How often a 200 is sent that nobody acknowledges, and from send to send.
const TRIES: u8 = 16;
const RETRY: Duration = Duration::from_millis(500);

/// The phones' handle.
#[derive(Debug)]
pub(crate) struct Phones {
    talking: Arc<AtomicU32>,
    speaks: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Phones {
    /// Waits for calls. With `speaks` a phone sends its voice as soon as it is joined.
    pub(crate) fn start(address: Ipv4Addr, mouth: Mouth, speaks: bool) -> std::io::Result<Self> {
        let socket = sip_socket(address)?;
        let talking = Arc::<AtomicU32>::default();
        let speaks = Arc::new(AtomicBool::new(speaks));
        let stop = Arc::new(AtomicBool::new(false));
        let calls = BTreeMap::new();
        let (count, ending) = (Arc::clone(&talking), Arc::clone(&stop));
        let unacknowledged = VecDeque::new();
        let mut thread = Thread {
            socket,
            address,
            mouth,
            speaks: Arc::clone(&speaks),
            talking: count,
            calls,
            unacknowledged,
            next: 0,
        };
        let run = move || {
            let mut room = [0; DATAGRAM];
            while !ending.load(Ordering::Relaxed) {
                if let Ok((length, from)) = thread.socket.recv_from(&mut room) {
                    thread.receive(&room[..length], from);
                }
                thread.repeat();
            }
        };
        let thread = thread::Builder::new().name("phones".to_owned()).spawn(run)?;
        Ok(Self { talking, speaks, stop, thread: Some(thread) })
    }

    /// How many are joined with a caller.
    pub(crate) fn talking(&self) -> u32 {
        self.talking.load(Ordering::Relaxed)
    }

    /// Those who are joined from here on say nothing: what is heard is the voices of calls that go
    /// on, without the first and last packets of others.
    pub(crate) fn hush(&self) {
        self.speaks.store(false, Ordering::Relaxed);
    }
}

impl Drop for Phones {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// One call at a phone.
struct Call {
    stream: u32,
    /// The 200, for an INVITE that comes again.
    answer: Bytes,
    acknowledged: bool,
}

struct Thread {
    socket: UdpSocket,
    address: Ipv4Addr,
    mouth: Mouth,
    speaks: Arc<AtomicBool>,
    talking: Arc<AtomicU32>,
    calls: BTreeMap<String, Call>,
    /// When to look whether a 200 was acknowledged, for whom, and how often it was sent.
    unacknowledged: VecDeque<(Instant, String, u8, SocketAddr)>,
    next: u32,
}

impl Thread {
    fn send(&self, bytes: &[u8], to: SocketAddr) {
        // Whatever is lost is asked for again.
        self.socket.send_to(bytes, to).ok();
    }

    fn receive(&mut self, datagram: &[u8], from: SocketAddr) {
        let Ok(message) = Message::parse(datagram) else { return };
        let (Some(method), Ok(id)) = (message.method().cloned(), message.call_id()) else { return };
        let id = id.to_owned();
        if method == Method::Ack {
            self.acknowledge(&id);
        } else if method == Method::Invite {
            self.invite(&message, id, from);
        } else {
            if matches!(method, Method::Bye | Method::Cancel)
                && let Some(call) = self.calls.remove(&id)
            {
                self.mouth.stop(Side::Phone, call.stream);
                if call.acknowledged {
                    self.talking.fetch_sub(1, Ordering::Relaxed);
                }
            }
            self.send(&agree(&message, "phone", &self.own(), None), from);
        }
    }

    fn repeat(&mut self) {
        let now = Instant::now();
        while let Some((_, id, tries, to)) = self.unacknowledged.pop_front_if(|(at, ..)| *at <= now)
        {
            let Some(call) = self.calls.get(&id).filter(|call| !call.acknowledged) else {
                continue;
            };
            if tries < TRIES {
                self.send(&call.answer, to);
                self.unacknowledged.push_back((now + RETRY, id, tries + 1, to));
            }
        }
    }

    fn own(&self) -> String {
        format!("<sip:phone@{}:5060>", self.address)
    }

    fn acknowledge(&mut self, id: &str) {
        if let Some(call) = self.calls.get_mut(id)
            && !call.acknowledged
        {
            call.acknowledged = true;
            self.talking.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn invite(&mut self, message: &Message, id: String, from: SocketAddr) {
        if let Some(call) = self.calls.get(&id) {
            let is_again = message.to().is_ok_and(|to| to.tag().is_none());
            let port = self.mouth.port(Side::Phone, call.stream);
            let body = sdp(self.address, port);
            let answer = match is_again {
                true => call.answer.clone(),
                false => agree(message, "phone", &self.own(), Some(body)),
            };
            return self.send(&answer, from);
        }
        let stream = self.next;
        self.next += 1;
        let tag = format!("phone{stream}");
        let ringing = Draft::response(message, 180).with(Name::Contact, self.own()).to_tag(&tag);
        self.send(&ringing.print(), from);
        let body = sdp(self.address, self.mouth.port(Side::Phone, stream));
        let answer = agree(message, &tag, &self.own(), Some(body));
        self.send(&answer, from);
        if let Some(to) = media_address(message).filter(|_| self.speaks.load(Ordering::Relaxed)) {
            self.mouth.start(Side::Phone, stream, to);
        }
        self.unacknowledged.push_back((Instant::now() + RETRY, id.clone(), 1, from));
        self.calls.insert(id, Call { stream, answer, acknowledged: false });
    }
}
