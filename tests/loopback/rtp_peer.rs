//! A plain RTP end (RFC 3550) for callers and phones whose signaling is SIPp's: a tone out every
//! 20 ms, everything that comes is kept. Sends from the first packet heard on, to where it came from.
//!
//! Owns also the keys of RFC 4733 and as tones. Does not own the address in SDP: SIPp writes it; nor
//! SRTP, which is the program's own, tested elsewhere against vectors and phones of other makes.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use koebashi::media::Crypto;
use koebashi::media::srtp::Srtp;

use super::tone;

/// Samples of a packet.
const FRAME: u32 = 160;
/// Time of a packet.
const TICK: Duration = Duration::from_millis(20);
/// The payload type of telephone-events in our scenarios.
const EVENTS: u8 = 101;
/// The SSRC that we send with.
const SSRC: u32 = 0x6b6f_6562;

/// A packet that came.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// When.
    pub(crate) at: Instant,
    /// Its sender.
    pub(crate) from: SocketAddr,
    /// Payload type.
    pub(crate) kind: u8,
    /// Sequence number.
    pub(crate) sequence: u16,
    /// Timestamp.
    pub(crate) timestamp: u32,
    /// Source.
    pub(crate) ssrc: u32,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

/// What is sent in one tick instead of the tone.
enum Frame {
    /// Tones together.
    Tones(Vec<u32>),
    /// A telephone-event.
    Event { code: u8, samples: u16, is_first: bool, is_end: bool },
}

#[derive(Default)]
struct Shared {
    heard: Vec<Packet>,
    tone: Option<u32>,
    frames: VecDeque<Frame>,
    remote: Option<SocketAddr>,
    /// Nothing is sent yet.
    holds_back: bool,
    security: Security,
}

/// Whether packets are encrypted.
#[derive(Default)]
enum Security {
    #[default]
    Plain,
    /// They will be: what comes before the keys are known is nobody's to hear.
    Waits,
    Secure(Box<Srtp>),
}

/// The end. It stops with the test.
pub(crate) struct RtpPeer {
    /// Where it is.
    pub(crate) address: SocketAddr,
    socket: UdpSocket,
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RtpPeer {
    /// Opens it; `tone`: what it says, or silence.
    pub(crate) fn new(ip: IpAddr, port: u16, tone: Option<u32>) -> Self {
        Self::open(ip, port, Shared { tone, ..Shared::default() })
    }

    /// One that sends nothing before it is told to [`speak`](Self::speak), and, when it is secure,
    /// hears nothing before it has [keys](Self::take_keys).
    pub(crate) fn held_back(ip: IpAddr, port: u16, tone: u32, is_secure: bool) -> Self {
        let security = if is_secure { Security::Waits } else { Security::Plain };
        let shared = Shared { tone: Some(tone), holds_back: true, security, ..Shared::default() };
        Self::open(ip, port, shared)
    }

    fn open(ip: IpAddr, port: u16, shared: Shared) -> Self {
        let socket = UdpSocket::bind((ip, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(shared));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            let socket = socket.try_clone().unwrap();
            move || run(&socket, &shared, &stop)
        });
        Self { address, socket, shared, stop, thread: Some(thread) }
    }

    /// Another handle of its socket: who sends by it has its address.
    pub(crate) fn socket(&self) -> UdpSocket {
        self.socket.try_clone().unwrap()
    }

    /// From here on its packets are encrypted, and what comes must be.
    pub(crate) fn take_keys(&self, crypto: &Crypto) {
        let srtp = Srtp::new(crypto).expect("keys of the suite's length");
        lock(&self.shared).security = Security::Secure(Box::new(srtp));
    }

    /// From here on it sends.
    pub(crate) fn speak(&self) {
        lock(&self.shared).holds_back = false;
    }

    /// Everything that came so far.
    pub(crate) fn packets(&self) -> Vec<Packet> {
        lock(&self.shared).heard.clone()
    }

    /// How much came so far, for [`RtpPeer::pcm_since`].
    pub(crate) fn mark(&self) -> usize {
        lock(&self.shared).heard.len()
    }

    /// What was heard since then, one packet after the other.
    pub(crate) fn pcm_since(&self, mark: usize) -> Vec<i16> {
        let packets = self.packets();
        let audio = packets.iter().skip(mark).filter(|packet| packet.kind == 0);
        audio.flat_map(|packet| packet.payload.iter().map(|b| tone::from_ulaw(*b))).collect()
    }

    /// What was heard.
    pub(crate) fn pcm(&self) -> Vec<i16> {
        self.pcm_since(0)
    }

    /// Waits until the tone has been heard for so long since the mark.
    ///
    /// # Panics
    /// When it is not heard within `limit`.
    pub(crate) fn wait_heard(&self, since: usize, hz: u32, length: Duration, limit: Duration) {
        let began = Instant::now();
        while tone::heard(&self.pcm_since(since), hz) < length {
            let all = || tone::describe(&self.pcm_since(since));
            assert!(began.elapsed() < limit, "waited {limit:?} for {hz} Hz, heard: {}", all());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Falls silent, and goes on sending.
    pub(crate) fn hush(&self) {
        lock(&self.shared).tone = None;
    }

    /// Presses a key for 100 ms as telephone-events, the end three times (RFC 4733 §2.5).
    pub(crate) fn press_event(&self, key: char) {
        let code = "0123456789*#ABCD".find(key).unwrap() as u8;
        let steps = (1..=5).map(|n: u16| (n * 160, n == 1, false));
        let ends = (0..3).map(|_| (800, false, true));
        let frames = steps.chain(ends).map(|(samples, is_first, is_end)| Frame::Event {
            code,
            samples,
            is_first,
            is_end,
        });
        lock(&self.shared).frames.extend(frames);
    }

    /// Presses a key for 100 ms as two tones.
    pub(crate) fn press_tones(&self, key: char) {
        let at = "123A456B789C*0#D".find(key).unwrap();
        let tones = [[697, 770, 852, 941][at / 4], [1_209, 1_336, 1_477, 1_633][at % 4]];
        let frames = (0..5).map(|_| Frame::Tones(tones.to_vec()));
        lock(&self.shared).frames.extend(frames);
    }
}

impl Drop for RtpPeer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(socket: &UdpSocket, shared: &Mutex<Shared>, stop: &AtomicBool) {
    let mut next = Instant::now();
    let mut out = Sender::default();
    let mut buffer = [0; 2_048];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut shared = lock(shared);
            let packet = shared.security.open(&mut buffer[..length]);
            if let Some(packet) = packet.and_then(|packet| parse(packet, from)) {
                shared.remote = Some(from);
                shared.heard.push(packet);
            }
        }
        if Instant::now() >= next {
            next += TICK;
            let mut shared = lock(shared);
            let Some(remote) = shared.remote.filter(|_| !shared.holds_back) else { continue };
            let packet = out.packet(&mut shared);
            let packet = shared.security.seal(packet);
            socket.send_to(&packet, remote).ok();
        }
    }
}

impl Security {
    fn open<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Plain => Some(packet),
            Self::Waits => None,
            Self::Secure(srtp) => srtp.unprotect(packet).map(|length| &packet[..length]),
        }
    }

    fn seal(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        if let Self::Secure(srtp) = self {
            let length = packet.len();
            packet.resize(length + 32, 0);
            let length = srtp.protect(&mut packet, length).expect("each packet once");
            packet.truncate(length);
        }
        packet
    }
}

/// The header of RFC 3550 §5.1, without extensions, which nobody sends us.
fn parse(bytes: &[u8], from: SocketAddr) -> Option<Packet> {
    let (header, payload) = bytes.split_first_chunk::<12>()?;
    (header[0] == 0x80).then(|| Packet {
        at: Instant::now(),
        from,
        kind: header[1] & 0x7f,
        sequence: u16::from_be_bytes([header[2], header[3]]),
        timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload: payload.to_vec(),
    })
}

/// Numbers of what we send.
#[derive(Default)]
struct Sender {
    sequence: u16,
    timestamp: u32,
    /// The timestamp of the event that goes on.
    event: u32,
}

impl Sender {
    fn packet(&mut self, shared: &mut Shared) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME);
        let samples = self.timestamp..self.timestamp.wrapping_add(FRAME);
        let audio = |tones: &[u32]| -> Vec<u8> {
            samples.map(|n| tone::to_ulaw(tone::sample(tones, n))).collect()
        };
        let (kind, timestamp, payload) = match shared.frames.pop_front() {
            Some(Frame::Event { code, samples, is_first, is_end }) => {
                if is_first {
                    self.event = self.timestamp;
                }
                let marker = if is_first { 0x80 } else { 0 };
                let volume = if is_end { 0x80 | 10 } else { 10 };
                let [high, low] = samples.to_be_bytes();
                (EVENTS | marker, self.event, vec![code, volume, high, low])
            }
            Some(Frame::Tones(tones)) => (0, self.timestamp, audio(&tones)),
            None => (0, self.timestamp, audio(shared.tone.as_slice())),
        };
        let mut packet = vec![0x80, kind];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        packet.extend(payload);
        packet
    }
}
