//! Phones by TCP whose connection ends in the middle of a call, by itself or with the service: what
//! the service has to say waits until they are back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use koebashi::sip::frame::{Frame, Framer};
use koebashi::sip::parse::Limits;
use koebashi::sip::{ConnectionId, Transport};

use super::baresip::Baresip;
use super::calls::caller;
use super::place::Place;
use super::rtp_peer::RtpPeer;
use super::service::{COUNSELOR, PASSWORD, Service, Setup};
use super::sipp::{PHONES, Sipp};
use super::survival::{kill, replace};
use crate::sim::phone::{Answer, Phone};

const SOON: Duration = Duration::from_secs(12);
const VOICE: Duration = Duration::from_millis(700);
const STEP: Duration = Duration::from_millis(5);

/// A phone of the simulated world on a real connection. It lives while it is waited for.
struct TcpPhone {
    phone: Phone,
    server: SocketAddr,
    stream: Option<(TcpStream, Framer)>,
    voice: UdpSocket,
    connections: u64,
}

impl TcpPhone {
    fn new(place: &Place, service: &Service) -> Self {
        let mut phone = Phone::new((PHONES, place.port()).into(), service.sip, 0x51);
        phone.rtp = (PHONES, place.port()).into();
        phone.transport = Transport::Tcp;
        phone.answer = Answer::After(Duration::from_millis(300));
        let voice = UdpSocket::bind(phone.rtp).unwrap();
        voice.set_nonblocking(true).unwrap();
        let mut it = Self { phone, server: service.sip, stream: None, voice, connections: 0 };
        it.connect();
        it.until("it is registered", SOON, |it| it.phone.is_registered());
        it
    }

    /// Connects, by a port that it never had, and registers.
    fn connect(&mut self) {
        let stream = TcpStream::connect_timeout(&self.server, SOON).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.stream = Some((stream, Framer::new(Limits::default())));
        self.connections += 1;
        self.phone.connection = Some(ConnectionId(self.connections));
        self.phone.register(Instant::now(), "101", PASSWORD);
    }

    fn disconnect(&mut self) {
        (self.stream, self.phone.connection) = (None, None);
    }

    fn until(&mut self, what: &str, limit: Duration, claim: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !claim(self) {
            assert!(began.elapsed() < limit, "waited {limit:?} for {what}");
            self.step();
        }
    }

    fn live(&mut self, span: Duration) {
        let began = Instant::now();
        while began.elapsed() < span {
            self.step();
        }
    }

    fn step(&mut self) {
        std::thread::sleep(STEP);
        let now = Instant::now();
        self.read(now);
        self.phone.on_time(now);
        while let Some((_, bytes)) = self.phone.poll_transmit() {
            if let Some((stream, _)) = &mut self.stream {
                stream.write_all(&bytes).ok();
            }
        }
        let mut packet = [0; 2_000];
        while let Ok(length) = self.voice.recv(&mut packet) {
            self.phone.on_rtp(now, &packet[..length]);
        }
        if let Some((to, packet)) = self.phone.packet(now) {
            self.voice.send_to(&packet, to).ok();
        }
    }

    fn read(&mut self, now: Instant) {
        let Some((stream, framer)) = &mut self.stream else { return };
        let mut bytes = [0; 4_000];
        match stream.read(&mut bytes) {
            Ok(length @ 1..) => framer.push(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return self.disconnect(),
        }
        for frame in framer.by_ref() {
            if let Ok(Frame::Message(message)) = frame {
                self.phone.on_sip(now, &message);
            }
        }
    }
}

/// A caller who talks for so long with a counselor whose phone is behind a connection.
fn talk(place: &Place, command: &str, length: Duration) -> (Service, TcpPhone, Sipp, RtpPeer) {
    let service = Service::start_by(place, &Setup::default(), command);
    let mut phone = TcpPhone::new(place, &service);
    let (caller, voice) = caller(place, &service, |run| run.talk(length));
    phone.until("they talk", SOON, |it| it.phone.is_talking() && !it.phone.heard.is_empty());
    (service, phone, caller, voice)
}

/// The caller hangs up; the phone hears so, and that was all.
fn ends(service: &Service, mut phone: TcpPhone, mut caller: Sipp) {
    phone.until("the BYE", Duration::from_secs(30), |it| it.phone.last().ended.is_some());
    assert_eq!(phone.phone.calls.len(), 1, "it was rung again");
    caller.succeed();
    let record = service.record();
    assert_eq!((record.outcome.as_str(), record.ended_by.as_str()), ("answered", "caller"));
    service.wait_counselor("101", "ready");
}

#[test]
fn a_phone_by_tcp_that_holds_talks_on_when_the_service_is_killed() {
    let place = Place::new("streams-kill");
    let (mut service, mut phone, caller, _voice) = talk(&place, "keep", Duration::from_secs(20));
    phone.phone.hold(Instant::now(), true);
    phone.live(Duration::from_secs(1));
    // Nothing is heard of it, and nothing can be asked.
    phone.phone.voice = None;
    replace(&mut service, |_, pid| kill("KILL", pid));
    phone.until("its connection to end", SOON, |it| it.stream.is_none());
    phone.live(Duration::from_secs(7));
    phone.connect();
    phone.live(Duration::from_secs(1));
    assert_eq!(service.counselor_state("101"), "talking");
    phone.phone.voice = Some(0x51);
    phone.phone.hold(Instant::now(), false);
    ends(&service, phone, caller);
}

#[test]
fn a_phone_by_tcp_hears_of_the_end_of_its_call_when_it_is_back() {
    let place = Place::new("streams-cut");
    let (service, mut phone, mut caller, _voice) = talk(&place, "run", Duration::from_secs(6));
    phone.disconnect();
    while service.board()["calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
        phone.step();
    }
    caller.succeed();
    assert!(phone.phone.is_talking(), "it can't know");
    phone.connect();
    ends(&service, phone, caller);
}

/// A phone of another make, which notices nothing until it is time to register again.
#[test]
fn baresip_by_tcp_hears_of_the_end_of_its_call_when_it_registers_again() {
    let place = Place::new("streams-baresip");
    let sip = "register_expires_min = \"15s\"\nregister_expires_max = \"15s\"".to_owned();
    let mut service = Service::start_by(&place, &Setup { sip, ..Setup::default() }, "keep");
    let how = ("tcp", "audio_codecs=pcmu", "");
    let phone = Baresip::start_as(&place, &service, "101", COUNSELOR, how);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    replace(&mut service, |_, pid| kill("KILL", pid));
    voice.wait_heard(voice.mark(), COUNSELOR, VOICE, SOON);
    caller.succeed();
    phone.wait_calls_ended(1);
    let record = service.record();
    assert_eq!((record.outcome.as_str(), record.ended_by.as_str()), ("answered", "caller"));
    service.wait_counselor("101", "ready");
}
