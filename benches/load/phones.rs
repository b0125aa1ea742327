//! Counselors' phones: every one answers at once and speaks until the service hangs up. They can be
//! told to let it ring.
//!
//! Owns one thread and one SIP socket for all phones; the configuration names it as their contact.
//! A 200 is repeated until its ACK comes (RFC 3261 §13.3.1.4).

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
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
    rings: Arc<Rings>,
    speaks: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is said of phones that ring, and to them.
#[derive(Debug)]
struct Rings {
    /// How many are answered at once; those that are rung after them are left to ring.
    at_once: AtomicU32,
    /// How many ring, and how often any has begun to.
    now: AtomicU32,
    ever: AtomicU32,
}

impl Phones {
    /// Waits for calls. With `speaks` a phone sends its voice as soon as it is joined.
    pub(crate) fn start(address: Ipv4Addr, mouth: Mouth, speaks: bool) -> std::io::Result<Self> {
        let socket = sip_socket(address)?;
        let talking = Arc::<AtomicU32>::default();
        let speaks = Arc::new(AtomicBool::new(speaks));
        let stop = Arc::new(AtomicBool::new(false));
        let (at_once, now, ever) = (AtomicU32::new(u32::MAX), 0.into(), 0.into());
        let rings = Arc::new(Rings { at_once, now, ever });
        let calls = BTreeMap::new();
        let (count, ending) = (Arc::clone(&talking), Arc::clone(&stop));
        let unacknowledged = VecDeque::new();
        let mut thread = Thread {
            socket,
            address,
            mouth,
            speaks: Arc::clone(&speaks),
            talking: count,
            rings: Arc::clone(&rings),
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
                thread.pick_up();
            }
        };
        let thread = thread::Builder::new().name("phones".to_owned()).spawn(run)?;
        Ok(Self { talking, rings, speaks, stop, thread: Some(thread) })
    }

    /// How many are joined with a caller.
    pub(crate) fn talking(&self) -> u32 {
        self.talking.load(Ordering::Relaxed)
    }

    /// The first so many calls are answered, all after them are left to ring.
    pub(crate) fn answer_only(&self, calls: u32) {
        self.rings.at_once.store(calls, Ordering::Relaxed);
    }

    /// All that ring are answered, and all that are rung from here on.
    pub(crate) fn pick_up(&self) {
        self.answer_only(u32::MAX);
    }

    /// How many ring and are not answered, and how often any has begun to.
    pub(crate) fn ringing(&self) -> (u32, u32) {
        let Rings { now, ever, .. } = &*self.rings;
        (now.load(Ordering::Relaxed), ever.load(Ordering::Relaxed))
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
    /// The last answer, for an INVITE that comes again.
    answer: Bytes,
    acknowledged: bool,
    rings: Option<Ring>,
}

/// A phone that lets it ring.
struct Ring {
    /// Who rings it.
    from: SocketAddr,
    /// What it is answered with, and what to when that is not wanted any more.
    answer: Bytes,
    given_up: Bytes,
    /// Where its voice goes then.
    ear: Option<SocketAddrV4>,
}

struct Thread {
    socket: UdpSocket,
    address: Ipv4Addr,
    mouth: Mouth,
    speaks: Arc<AtomicBool>,
    talking: Arc<AtomicU32>,
    rings: Arc<Rings>,
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
                if let Some(ring) = call.rings {
                    self.rings.now.fetch_sub(1, Ordering::Relaxed);
                    self.send(&ring.given_up, ring.from);
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

    /// Answers whatever rings, unless it is to be left.
    fn pick_up(&mut self) {
        let Rings { at_once, now, .. } = &*self.rings;
        if at_once.load(Ordering::Relaxed) < u32::MAX || now.load(Ordering::Relaxed) == 0 {
            return;
        }
        let ringing = self.calls.iter_mut().filter_map(|(id, call)| {
            let ring = call.rings.take()?;
            call.answer = ring.answer.clone();
            Some((id.clone(), call.stream, ring))
        });
        for (id, stream, ring) in ringing.collect::<Vec<_>>() {
            self.rings.now.fetch_sub(1, Ordering::Relaxed);
            self.answer(id, stream, &ring);
        }
    }

    fn answer(&mut self, id: String, stream: u32, ring: &Ring) {
        self.send(&ring.answer, ring.from);
        if let Some(to) = ring.ear.filter(|_| self.speaks.load(Ordering::Relaxed)) {
            self.mouth.start(Side::Phone, stream, to);
        }
        self.unacknowledged.push_back((Instant::now() + RETRY, id, 1, ring.from));
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
        let ringing = ringing.print();
        self.send(&ringing, from);
        let body = sdp(self.address, self.mouth.port(Side::Phone, stream));
        let answer = agree(message, &tag, &self.own(), Some(body));
        let given_up = Draft::response(message, 487).to_tag(&tag).print();
        let ring = Ring { from, answer, given_up, ear: media_address(message) };
        let call = |answer, rings| Call { stream, answer, acknowledged: false, rings };
        if stream >= self.rings.at_once.load(Ordering::Relaxed) {
            self.rings.now.fetch_add(1, Ordering::Relaxed);
            self.rings.ever.fetch_add(1, Ordering::Relaxed);
            self.calls.insert(id, call(ringing, Some(ring)));
        } else {
            self.calls.insert(id.clone(), call(ring.answer.clone(), None));
            self.answer(id, stream, &ring);
        }
    }
}
