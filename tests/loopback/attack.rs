//! Attackers against a live call of the real program, plain and SRTP: from strange addresses, from
//! the peers' own hosts, and with the peers' own source addresses. They hear nothing (bleed 0) and
//! are not heard (inject 0): before the first valid packet, while the two talk, and after a flood.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use koebashi::media::srtp::Srtp;
use koebashi::media::{Crypto, MasterKey, Suite};

use super::calls::assert_continuous;
use super::place::{Place, wait_for};
use super::rtp_peer::RtpPeer;
use super::service::{CALLER, COUNSELOR, Service, Setup, counselor};
use super::sipp::{PHONES, Run, Sipp, TRUNK};
use super::tone;

/// What attackers say.
const ATTACK: u32 = 1_500;
const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_secs(1);
/// Longer than the time between two reports (RTCP), which might go astray.
const ATTACKED: Duration = Duration::from_secs(6);
/// Packets of the flood.
const FLOOD: usize = 100_000;
/// Where the caller's and the phone's audio is: on hosts that their signaling is not on.
const CALLERS_AUDIO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));
const PHONES_AUDIO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5));
/// Hosts that nobody has named.
const STRANGERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::new(127, 0, 0, 66)];
/// Master keys and salts in base64, 30 bytes each: the caller's and the phone's.
const CALLERS_KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const PHONES_KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
const SDP: &str = "a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15";

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |c: char| ALPHABET.find(c).expect("base64") as u32;
    let groups: Vec<char> = text.chars().collect();
    let bits = |four: &[char]| four.iter().fold(0, |bits, c| bits << 6 | value(*c)) << 8;
    groups.chunks_exact(4).flat_map(|four| bits(four).to_be_bytes()[..3].to_vec()).collect()
}

/// What a line of keys in a description of the program's says, for a peer with this key.
fn crypto(description: &str, own: &str) -> (String, Crypto) {
    let line = description.lines().find(|line| line.contains(SUITE)).expect("a line of keys");
    let (tag, key) = line.split_once("a=crypto:").unwrap().1.split_once(' ').unwrap();
    let key = key.split_once("inline:").expect("a key").1.split(['|', ' ']).next().unwrap();
    let [send, receive] = [own, key].map(|key| MasterKey { bytes: base64(key) });
    (tag.to_owned(), Crypto { suite: Suite::AesCm128HmacSha1_80, send, receive })
}

/// Where the program listens for audio, as its description says.
fn audio_of(description: &str) -> SocketAddr {
    let port = description.split_once("m=audio ").expect("audio").1.split(' ').next().unwrap();
    (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into()
}

/// A message that the peer has received, as soon as it has.
fn received(peer: &Sipp, start: &str) -> String {
    wait_for(start, SOON, || peer.received(start).filter(|message| message.contains("m=audio")))
}

/// Makes packets that nobody asked for.
struct Forger {
    /// Keys that nobody has agreed on.
    wrong: Srtp,
    ssrc: u32,
    n: u32,
}

impl Forger {
    fn new(ssrc: u32) -> Self {
        let key = |byte| MasterKey { bytes: vec![byte; 30] };
        let suite = Suite::AesCm128HmacSha1_80;
        let wrong = Srtp::new(&Crypto { suite, send: key(1), receive: key(2) }).unwrap();
        Self { wrong, ssrc, n: 0 }
    }

    fn rtp(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        self.n += 1;
        let mut packet = vec![0x80, kind];
        packet.extend((self.n as u16).to_be_bytes());
        packet.extend((self.n * 160).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        packet
    }

    fn voice(&mut self) -> Vec<u8> {
        let first = self.n * 160;
        let samples = (first..first + 160).map(|n| tone::sample(&[ATTACK], n));
        let payload: Vec<_> = samples.map(tone::to_ulaw).collect();
        self.rtp(0, &payload)
    }

    fn sealed(&mut self, mut packet: Vec<u8>, is_rtcp: bool) -> Vec<u8> {
        let length = packet.len();
        packet.resize(length + 32, 0);
        let length = match is_rtcp {
            true => self.wrong.protect_rtcp(&mut packet, length),
            false => self.wrong.protect(&mut packet, length),
        };
        packet.truncate(length.expect("each packet once"));
        packet
    }

    /// A voice, the same under wrong keys, and a key of the phone.
    fn voices(&mut self) -> [Vec<u8>; 3] {
        let (plain, secret) = (self.voice(), self.voice());
        [plain, self.sealed(secret, false), self.rtp(101, &[5, 0x8a, 3, 32])]
    }

    /// A report of a sender who then says goodbye, plain and under wrong keys.
    fn reports(&mut self) -> [Vec<u8>; 2] {
        let ssrc = self.ssrc.to_be_bytes();
        let mut report = [&[0x80, 200, 0, 6][..], &ssrc, &[0; 20]].concat();
        report.extend([&[0x81, 203, 0, 1][..], &ssrc].concat());
        let secret = self.sealed(report.clone(), true);
        [report, secret]
    }
}

/// An attacker's socket, what it forges, and whom it attacks.
struct Attacker {
    socket: UdpSocket,
    forger: Forger,
    targets: Vec<SocketAddr>,
    /// Also by RTCP. From a peer's own host that is let pass until the peer has sent a report, for
    /// the sake of NAT: it carries no voice.
    reports: bool,
}

impl Attacker {
    fn new(ip: impl Into<IpAddr>, n: u32, targets: &[SocketAddr], reports: bool) -> Self {
        let socket = UdpSocket::bind((ip.into(), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, forger: Forger::new(0x6174_0000 + n), targets: targets.to_vec(), reports }
    }

    fn attack(&mut self) {
        for target in self.targets.clone() {
            for packet in self.forger.voices() {
                self.socket.send_to(&packet, target).ok();
            }
            for packet in self.forger.reports().into_iter().filter(|_| self.reports) {
                for port in [target.port(), target.port() + 1] {
                    self.socket.send_to(&packet, (target.ip(), port)).ok();
                }
            }
        }
    }

    /// Packets that it was sent. A port where nobody listens is told as an error.
    fn heard(&self) -> usize {
        let mut count = 0;
        let mut buffer = [0; 2_048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return count,
                Err(_) => {}
            }
        }
    }
}

/// A call that is set up and in which neither side has spoken so far.
pub(crate) struct Call {
    /// The service.
    pub(crate) service: Service,
    /// The caller's signaling.
    pub(crate) caller: Sipp,
    /// The phone's.
    pub(crate) phone: Sipp,
    /// The caller's audio.
    pub(crate) voice: RtpPeer,
    /// The phone's.
    pub(crate) ear: RtpPeer,
    /// The program's ports, to the caller and to the phone.
    targets: [SocketAddr; 2],
}

impl Call {
    /// Sets it up. `command`: how the service is run.
    pub(crate) fn begin(place: &Place, is_secure: bool, command: &str) -> Self {
        let srtp = if is_secure { "srtp = \"optional\"\n" } else { "" };
        let trunk = format!("{}\n{srtp}", Setup::default().trunk);
        let counselors = counselor("101") + srtp;
        let setup = Setup { trunk, counselors, ..Setup::default() };
        let service = Service::start_by(place, &setup, command);
        let voice = RtpPeer::held_back(CALLERS_AUDIO, place.port(), CALLER, is_secure);
        let ear = RtpPeer::held_back(PHONES_AUDIO, place.port(), COUNSELOR, is_secure);
        let local = (PHONES, place.port()).into();
        let register = Run::new("register", local, Some(service.sip)).fill("EXTENSION", "101");
        register.start(place, "register").succeed();
        // Of the suites that are offered to the phone this is the second.
        let keys = |tag: u8, key: &str| match is_secure {
            true => format!("{SDP}\na=crypto:{tag} {SUITE} inline:{key}"),
            false => SDP.to_owned(),
        };
        let phone = Run::new("phone", local, None).media(ear.address);
        let phone = phone.fill("ATTRIBUTES", &keys(2, PHONES_KEY)).start(place, "phone");
        service.wait_counselor("101", "ready");
        let caller = Run::new("caller", (TRUNK, place.port()).into(), Some(service.sip));
        let caller = caller.media(voice.address).fill("ATTRIBUTES", &keys(1, CALLERS_KEY));
        let caller = caller.talk(Duration::from_secs(25)).start(place, "caller");
        let to_caller = received(&caller, "SIP/2.0 200");
        let to_phone = received(&phone, "INVITE");
        if is_secure {
            voice.take_keys(&crypto(&to_caller, CALLERS_KEY).1);
            let (tag, keys) = crypto(&to_phone, PHONES_KEY);
            assert_eq!(tag, "2");
            ear.take_keys(&keys);
        }
        let targets = [audio_of(&to_caller), audio_of(&to_phone)];
        Self { service, caller, phone, voice, ear, targets }
    }

    /// Attackers everywhere: strangers, and the peers' own hosts by other ports.
    fn attackers(&self) -> Vec<Attacker> {
        let [caller, phone] = self.targets;
        let strangers = STRANGERS.map(|ip| Attacker::new(ip, 1, &self.targets, true));
        let own = [
            Attacker::new(CALLERS_AUDIO, 2, &[caller], false),
            Attacker::new(PHONES_AUDIO, 3, &[phone], false),
            // Each peer's host against the other's leg.
            Attacker::new(PHONES_AUDIO, 4, &[caller], true),
            Attacker::new(CALLERS_AUDIO, 5, &[phone], true),
        ];
        strangers.into_iter().chain(own).collect()
    }

    /// Attackers who send with the peers' own source addresses.
    fn forgers(&self) -> Vec<Attacker> {
        let one = |peer: &RtpPeer, n, target| Attacker {
            socket: peer.socket(),
            forger: Forger::new(n),
            targets: vec![target],
            reports: false,
        };
        vec![one(&self.voice, 6, self.targets[0]), one(&self.ear, 7, self.targets[1])]
    }

    /// Both hear each other from here on.
    pub(crate) fn assert_both_heard(&self) {
        let (voice, ear) = (self.voice.mark(), self.ear.mark());
        self.voice.wait_heard(voice, COUNSELOR, SOUND, SOON);
        self.ear.wait_heard(ear, CALLER, SOUND, SOON);
    }

    /// Nothing of the attackers' has reached either side, and one stream came to each.
    fn assert_unharmed(&self) {
        for (who, peer) in [("the caller", &self.voice), ("the phone", &self.ear)] {
            let (packets, pcm) = (peer.packets(), peer.pcm());
            // One packet of the attackers' would be a fifth of a window's power.
            let injected = tone::present(&pcm, ATTACK);
            assert_eq!(injected, Duration::ZERO, "{who} hears {}", tone::describe(&pcm));
            assert!(packets.iter().all(|packet| packet.kind == 0), "{who} got keys");
            assert!(packets.iter().all(|packet| packet.ssrc == packets[0].ssrc), "{who}");
        }
    }
}

/// Sends a flood, as fast as the program can take it on a machine that does other things too.
fn flood(attackers: &mut [Attacker]) {
    let mut sent = 0;
    while sent < FLOOD {
        for attacker in attackers.iter_mut() {
            let before = attacker.forger.n;
            attacker.attack();
            sent += (attacker.forger.n - before) as usize;
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn attacked(is_secure: bool) {
    let name = if is_secure { "attack-secure" } else { "attack-plain" };
    let place = Place::new(name);
    let mut call = Call::begin(&place, is_secure, "run");
    let mut attackers = call.attackers();
    let over = Arc::new(AtomicBool::new(false));
    let attack = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                attackers.iter_mut().for_each(Attacker::attack);
                thread::sleep(Duration::from_millis(20));
            }
            attackers
        }
    });
    // Nobody has proven to be there by a packet; signaling alone says who may be heard.
    call.service.wait_counselor("101", "talking");
    thread::sleep(Duration::from_millis(500));
    call.assert_unharmed();
    assert_eq!(tone::present(&call.ear.pcm(), CALLER), Duration::ZERO);
    call.voice.speak();
    call.ear.speak();
    call.assert_both_heard();
    thread::sleep(ATTACKED);
    over.store(true, Ordering::Relaxed);
    let mut attackers = attack.join().unwrap();
    call.assert_unharmed();
    for peer in [&call.voice, &call.ear] {
        assert_continuous(&peer.packets());
    }

    attackers.extend(call.forgers());
    flood(&mut attackers);
    call.assert_both_heard();
    call.assert_unharmed();
    let forgers = attackers.split_off(attackers.len() - 2);
    for attacker in &attackers {
        let address = attacker.socket.local_addr().unwrap();
        assert_eq!(attacker.heard(), 0, "{address} was sent something");
    }
    drop(forgers);
    call.caller.succeed();
    call.phone.succeed();
    assert_eq!(call.service.record().outcome, "answered");
    // The flood has reached the program, but for what the kernel had no room for.
    let [strangers, rejected] = ["strangers", "rejected"].map(|it| call.service.figure(it));
    assert!(strangers + rejected > FLOOD as i64 / 2, "{strangers} and {rejected}");
    assert_eq!(rejected > 0, is_secure, "{rejected}");
}

#[test]
fn attackers_of_a_plain_call_hear_nothing_and_are_not_heard() {
    attacked(false);
}

#[test]
fn attackers_of_an_encrypted_call_hear_nothing_and_are_not_heard() {
    attacked(true);
}
