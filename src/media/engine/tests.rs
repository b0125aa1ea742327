#![expect(clippy::disallowed_methods, reason = "a base to count from")]

use std::time::Duration;

use super::*;
use crate::media::prompt::Clip;
use crate::media::rtp::{Header, Stamp};
use crate::media::srtp::Srtp;
use crate::media::{Codec, Digit, Law, Peer, PlayId, Prompt, Quality, TelephoneEvents, Then, g711};

mod attack;
mod bridge;
mod codecs;
mod kept;
mod keys;
mod long;
mod mix;
mod moves;
mod play;
mod record;
mod reports;
mod secure;
mod sound;

const MS: Duration = Duration::from_millis(1);
const EVENTS: TelephoneEvents = TelephoneEvents { send: 101, receive: 96, clock: 8000 };

/// A packet that reached a peer.
#[derive(Clone, Debug)]
struct Heard {
    at: Instant,
    to: SocketAddr,
    header: Header,
    payload: Vec<u8>,
}

/// An engine, a clock, and what the peers heard.
struct World {
    engine: Engine,
    now: Instant,
    heard: Vec<(PortId, Heard)>,
    rtcp: Vec<(PortId, SocketAddr, Vec<u8>)>,
    /// RTCP that went out from RTP ports, as the peer reads it and as it was on the wire.
    muxed: Vec<(SocketAddr, Vec<u8>)>,
    muxed_wire: Vec<(SocketAddr, Vec<u8>)>,
    /// The other end of secure legs.
    guards: BTreeMap<u32, Srtp>,
    /// Packets that a peer could not read.
    garbled: usize,
    events: Vec<Event>,
    told_at: Vec<(Instant, Event)>,
    /// States that were told, and when.
    kept: Vec<(Instant, Kept)>,
    /// Packets on the wire, once the engine keeps: from which port.
    wire: Vec<(u32, Vec<u8>)>,
    keeps: Option<Anchor>,
}

fn port(n: u32) -> PortId {
    PortId { n, shard: 0 }
}

/// The address of a port's peer.
fn address(n: u32) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n as u8], 4000))
}

fn peer(n: u32) -> Peer {
    Peer { events: Some(EVENTS), ..Peer::plain(address(n)) }
}

/// A clip whose samples can be told apart, `n` samples long.
fn clip(seed: i32, n: usize) -> Clip {
    let samples: Vec<i16> =
        (0..n as i32).map(|i| ((i * 37 + seed * 501) % 8000 - 4000) as i16 | 1).collect();
    Clip::from_pcm(samples).unwrap()
}

fn library() -> Library {
    // Lengths that are no multiples of a packet.
    Library::from_clips([
        (Prompt::from("welcome"), clip(1, 1001)),
        (Prompt::from("wait"), clip(2, 777)),
        (Prompt::from("hold"), clip(3, 2003)),
    ])
}

impl World {
    fn new() -> Self {
        let engine = Engine::new(Config::default(), Arc::new(library()), Chance::from_number(1));
        let now = Instant::now();
        Self {
            engine,
            now,
            heard: vec![],
            rtcp: vec![],
            muxed: vec![],
            muxed_wire: vec![],
            guards: BTreeMap::new(),
            garbled: 0,
            events: vec![],
            told_at: vec![],
            kept: vec![],
            wire: vec![],
            keeps: None,
        }
    }

    /// With ports 1 to `n`, each with its peer.
    fn with_ports(n: u32) -> Self {
        let mut world = Self::new();
        for n in 1..=n {
            world.open(n);
            world.command(Command::Connect { port: port(n), peer: peer(n), crypto: None });
        }
        world
    }

    fn open(&mut self, n: u32) {
        self.command(Command::Open { port: port(n), local: address(n), dscp: 46 });
    }

    fn command(&mut self, command: Command) {
        self.engine.command(self.now, command);
        self.collect();
    }

    fn listen(&mut self, n: u32, source: Source) {
        self.command(Command::Listen { port: port(n), source });
    }

    fn play(&mut self, n: u32, prompts: &[&str], then: Then) {
        let prompts = prompts.iter().map(|p| Prompt::from(*p)).collect();
        self.listen(n, Source::Play { play: PlayId(7), prompts, then });
    }

    fn bridge(&mut self, a: u32, b: u32) {
        self.listen(a, Source::Port(port(b)));
        self.listen(b, Source::Port(port(a)));
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit() {
            let (to, wire) = (transmit.to, transmit.bytes());
            let is_rtcp = (192..=223).contains(&wire[1]);
            if is_rtcp && transmit.channel == Channel::Rtp {
                self.muxed_wire.push((to, wire.to_vec()));
            }
            let Some(bytes) = self.read(transmit.port, wire, is_rtcp) else { continue };
            match transmit.channel {
                Channel::Rtp if is_rtcp => self.muxed.push((to, bytes)),
                Channel::Rtp => self.note(transmit.port, to, &bytes),
                Channel::Rtcp => self.rtcp.push((transmit.port, to, bytes)),
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.told_at.push((self.now, event.clone()));
            self.events.push(event);
        }
        while let Some(kept) = self.engine.poll_kept() {
            self.kept.push((self.now, kept));
        }
    }

    /// A packet as the peer of a port reads it.
    fn read(&mut self, port: PortId, wire: &[u8], is_rtcp: bool) -> Option<Vec<u8>> {
        let mut bytes = wire.to_vec();
        if self.keeps.is_some() {
            self.wire.push((port.n, bytes.clone()));
        }
        if let Some(guard) = self.guards.get_mut(&port.n) {
            let length = match is_rtcp {
                true => guard.unprotect_rtcp(&mut bytes),
                false => guard.unprotect(&mut bytes),
            };
            self.garbled += usize::from(length.is_none());
            bytes.truncate(length?);
        }
        Some(bytes)
    }

    fn note(&mut self, port: PortId, to: SocketAddr, bytes: &[u8]) {
        let header = Header::read(bytes).unwrap();
        let payload = bytes[header.payload.clone()].to_vec();
        self.heard.push((port, Heard { at: self.now, to, header, payload }));
    }

    /// Lets time pass, with every tick at its time.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.engine.tick(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// A packet as the peer of port `n` sends it.
    fn sealed(&mut self, n: u32, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        if let Some(guard) = self.guards.get_mut(&n) {
            buffer.resize(packet.len() + 32, 0);
            let length = match (192..=223).contains(&packet[1]) {
                true => guard.protect_rtcp(&mut buffer, packet.len()),
                false => guard.protect(&mut buffer, packet.len()),
            };
            buffer.truncate(length.unwrap());
        }
        buffer
    }

    fn speak_raw(&mut self, n: u32, from: SocketAddr, packet: &[u8]) -> bool {
        let mut buffer = [0; 2048];
        buffer[..packet.len()].copy_from_slice(packet);
        let forward = self.engine.handle_rtp(self.now, port(n), from, &mut buffer, packet.len());
        self.collect();
        if let Some(Forward { port, to, range }) = &forward
            && let Some(bytes) = self.read(*port, &buffer[range.clone()], false)
        {
            self.note(*port, *to, &bytes);
        }
        forward.is_some()
    }

    /// As `speak`, a packet that lay too long.
    fn speak_late(&mut self, n: u32, packet: &[u8]) -> bool {
        let mut buffer = packet.to_vec();
        let length = buffer.len();
        let forward =
            self.engine.handle_old_rtp(self.now, port(n), address(n), &mut buffer, length);
        self.collect();
        forward.is_some()
    }

    fn speak_from(&mut self, n: u32, from: SocketAddr, packet: &[u8]) -> bool {
        let packet = self.sealed(n, packet);
        self.speak_raw(n, from, &packet)
    }

    fn speak(&mut self, n: u32, packet: &[u8]) -> bool {
        self.speak_from(n, address(n), packet)
    }

    /// What port `n`'s peer heard so far; forgets it.
    fn take(&mut self, n: u32) -> Vec<Heard> {
        let (mine, others) =
            std::mem::take(&mut self.heard).into_iter().partition(|(id, _)| *id == port(n));
        self.heard = others;
        mine.into_iter().map(|(_, heard): (PortId, Heard)| heard).collect()
    }

    fn keys(&self) -> String {
        let mut keys = String::new();
        for event in &self.events {
            if let Event::Digit { digit, .. } = event {
                keys.push(digit.char());
            }
        }
        keys
    }

    fn close(&mut self, n: u32) -> Quality {
        self.command(Command::Close { port: port(n) });
        match self.events.last() {
            Some(Event::Closed { port: id, quality }) if *id == port(n) => *quality,
            other => panic!("{other:?}"),
        }
    }
}

/// The stream of one peer.
struct Voice {
    n: u32,
    stamp: Stamp,
    payload_type: u8,
    fill: u8,
}

impl Voice {
    fn new(n: u32) -> Self {
        let stamp =
            Stamp { ssrc: 1000 + n, sequence: 65_500, timestamp: 4_294_960_000, marker: true };
        Self { n, stamp, payload_type: 0, fill: n as u8 }
    }

    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 12];
        self.stamp.write(self.payload_type, &mut packet);
        packet.extend((0..160u16).map(|i| self.fill.wrapping_add((i * 7) as u8)));
        self.fill = self.fill.wrapping_add(1);
        self.skip(1);
        self.stamp.marker = false;
        packet
    }

    /// Says nothing for `n` packets that it numbers.
    fn skip(&mut self, n: u16) {
        self.stamp.sequence = self.stamp.sequence.wrapping_add(n);
        self.stamp.timestamp = self.stamp.timestamp.wrapping_add(u32::from(n) * 160);
    }

    fn event(&mut self, payload_type: u8, payload: [u8; 4], timestamp: u32) -> Vec<u8> {
        let mut packet = vec![0; 12];
        let stamp = Stamp { timestamp, ..self.stamp };
        stamp.write(payload_type, &mut packet);
        packet.extend(payload);
        self.stamp.sequence = self.stamp.sequence.wrapping_add(1);
        packet
    }
}

/// Both speak for `n` packets, a few milliseconds after the tick.
fn talk(world: &mut World, voices: &mut [&mut Voice], n: usize) {
    for _ in 0..n {
        world.pass(13 * MS);
        for voice in voices.iter_mut() {
            let packet = voice.packet();
            world.speak(voice.n, &packet);
        }
        world.pass(7 * MS);
    }
}

/// One SSRC, no sequence number left out or used twice, a timestamp that runs with the clock.
fn assert_unbroken(heard: &[Heard]) {
    assert_unbroken_at(heard, 1);
}

/// The same where the wire's clock has so many ticks in 1/8000 s.
fn assert_unbroken_at(heard: &[Heard], ticks: u32) {
    let (ticks, frame) = (i64::from(ticks), 160 * ticks as i32);
    let first = heard.first().unwrap();
    for pair in heard.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert_eq!(b.header.ssrc, first.header.ssrc);
        assert_eq!(b.header.sequence, a.header.sequence.wrapping_add(1), "{a:?}\n{b:?}");
        let step = b.header.timestamp.wrapping_sub(a.header.timestamp) as i32;
        assert!(step >= 0, "{a:?}\n{b:?}");
        if step > frame {
            assert!(b.header.marker, "a jump of {step} without marker");
        }
    }
    for heard in heard {
        let ran = heard.header.timestamp.wrapping_sub(first.header.timestamp) as i32;
        let real = (heard.at - first.at).as_millis() as i64 * 8;
        let ran = i64::from(ran) / ticks;
        assert!((ran - real).abs() <= 45 * 8, "{ran} samples in {real}");
    }
}

/// No pause of more than 60 ms + one packet.
fn assert_no_pause(heard: &[Heard], longest: Duration) {
    for pair in heard.windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause <= longest, "{pause:?}");
    }
}

fn encoded(names: &[&str]) -> Vec<u8> {
    let library = library();
    names
        .iter()
        .flat_map(|n| library.clip(&Prompt::from(*n)).unwrap().encoded(Codec::Pcmu).to_vec())
        .collect()
}
