//! Readers of the media plane: RTP, RTCP, SRTP, recordings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use koebashi::media::engine::Engine;
use koebashi::media::prompt::{Clip, Library, import};
use koebashi::media::srtp::Srtp;
use koebashi::media::{
    Command, Config, Crypto, Header, MasterKey, Peer, PortId, RecordId, Source, Suite,
    TelephoneEvents,
};

const TICK: Duration = Duration::from_millis(20);
/// Longest packet that is read.
const PACKET: usize = 2048;
const LEFT: PortId = PortId { shard: 0, n: 1 };
const RIGHT: PortId = PortId { shard: 0, n: 2 };

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, last], port))
}

/// Packets out of bytes: the length of each before it, and a byte that says more of it.
fn packets(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while let Some(([more, length], after)) = rest.split_first_chunk::<2>() {
        let (packet, after) = after.split_at(usize::from(*length).min(after.len()));
        packets.push((*more, packet));
        rest = after;
        if packets.len() == 64 {
            break;
        }
    }
    packets
}

/// Two who talk, recorded, one of them with telephone-events.
fn pair(now: Instant, crypto: Option<&Crypto>) -> Engine {
    let library = Arc::new(Library::from_clips([]));
    let mut engine = Engine::new(Config::default(), library, Chance::from_number(1));
    for (port, other, n) in [(LEFT, RIGHT, 1), (RIGHT, LEFT, 2)] {
        let local = SocketAddr::from(([10, 0, 0, 1], 30_000 + 2 * u16::from(n)));
        engine.command(now, Command::Open { port, local, dscp: 46 });
        let events = Some(TelephoneEvents { send: 101, receive: 101, clock: 8000 });
        let peer = Peer { events, ..Peer::plain(at(n, 4000)) };
        let crypto = crypto.cloned().map(Arc::new);
        engine.command(now, Command::Connect { port, peer, crypto });
        engine.command(now, Command::Detect { port, rfc4733: true, inband: true, pass: true });
        engine.command(now, Command::Listen { port, source: Source::Port(other) });
    }
    let record = RecordId { shard: 0, n: 1 };
    engine.command(now, Command::Record { record, left: LEFT, right: RIGHT });
    engine
}

/// Takes all that comes out, and finds it within bounds.
fn drain(engine: &mut Engine) {
    let mut packets = 0;
    while let Some(transmit) = engine.poll_transmit() {
        packets += 1;
        assert!(transmit.bytes().len() <= PACKET);
        assert!([at(1, 4000), at(2, 4000), at(1, 4001), at(2, 4001)].contains(&transmit.to));
    }
    assert!(packets <= 16, "{packets} packets at once");
    while engine.poll_recorded().is_some() {}
    let mut events = 0;
    while engine.poll_event().is_some() {
        events += 1;
    }
    assert!(events <= 64, "{events} events at once");
    while engine.poll_kept().is_some() {}
}

/// RTP: the header within the packet; and through a bridge.
pub(crate) fn rtp(bytes: &[u8]) {
    if let Some(header) = Header::read(bytes) {
        assert!(header.payload.start >= 12 && header.payload.end <= bytes.len());
        assert!(header.payload.start <= header.payload.end && header.payload_type < 128);
    }
    let mut now = Instant::now();
    let mut engine = pair(now, None);
    let mut buffer = vec![0; PACKET];
    for (more, packet) in packets(bytes) {
        buffer[..packet.len()].copy_from_slice(packet);
        let (port, from) = if more & 1 == 0 { (LEFT, 1) } else { (RIGHT, 2) };
        // Now and then it comes from somebody else.
        let from = if more & 14 == 14 { at(9, 4000) } else { at(from, 4000) };
        if let Some(forward) = engine.handle_rtp(now, port, from, &mut buffer, packet.len()) {
            assert!(forward.range.end <= buffer.len() && forward.range.len() <= packet.len() + 64);
            assert_ne!(forward.port, port, "nobody hears themselves");
            assert_ne!(from, at(9, 4000), "a stranger is heard");
        }
        now += TICK * u32::from(more >> 4);
        engine.tick(now);
        drain(&mut engine);
    }
    assert_eq!(engine.ports(), 2);
}

/// RTCP: whatever it says, the ports stay open (its BYE ends nothing).
pub(crate) fn rtcp(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut engine = pair(now, None);
    for (more, packet) in packets(bytes) {
        let (port, from) = if more & 1 == 0 { (LEFT, 1) } else { (RIGHT, 2) };
        let mut packet = packet.to_vec();
        if more & 2 == 0 {
            engine.handle_rtcp(now, port, at(from, 4001), &mut packet);
        } else {
            // On the port of RTP, as with rtcp-mux.
            let length = packet.len();
            packet.resize(PACKET, 0);
            engine.handle_rtp(now, port, at(from, 4000), &mut packet, length);
        }
        now += TICK * u32::from(more >> 4);
        engine.tick(now);
        drain(&mut engine);
    }
    let mut whole = bytes[..bytes.len().min(PACKET)].to_vec();
    engine.handle_rtcp(now, LEFT, at(1, 4001), &mut whole);
    drain(&mut engine);
    assert_eq!(engine.ports(), 2);
}

fn crypto(suite: Suite) -> Crypto {
    let length = if suite == Suite::AeadAes128Gcm { 28 } else { 30 };
    let key = |byte: u8| MasterKey { bytes: vec![byte; length] };
    Crypto { suite, send: key(1), receive: key(2) }
}

/// SRTP: what was not sealed with the key is not believed, and what was comes out as it was.
pub(crate) fn srtp(bytes: &[u8]) {
    let suites = [Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32];
    for suite in suites {
        let ours = crypto(suite);
        let theirs = Crypto { suite, send: ours.receive.clone(), receive: ours.send.clone() };
        let (mut one, mut two) = (opened(&ours), opened(&theirs));
        let mut now = Instant::now();
        let mut engine = pair(now, Some(&ours));
        for (more, packet) in packets(bytes) {
            let mut forged = packet.to_vec();
            assert_eq!(one.unprotect(&mut forged), None, "forged RTP is believed");
            assert_eq!(one.unprotect_rtcp(&mut packet.to_vec()), None, "forged RTCP is believed");
            let mut buffer = vec![0; PACKET];
            buffer[..packet.len()].copy_from_slice(packet);
            let from = at(1, 4000);
            let forward = engine.handle_rtp(now, LEFT, from, &mut buffer, packet.len());
            assert!(forward.is_none(), "forged RTP goes on");
            now += TICK;
            engine.tick(now);
            drain(&mut engine);
            sealed(&mut two, &mut one, packet, more);
        }
    }
}

fn opened(crypto: &Crypto) -> Srtp {
    Srtp::new(crypto).unwrap_or_else(|_| panic!("keys that fit"))
}

/// Seals a packet, damages it, and opens what was sealed.
fn sealed(from: &mut Srtp, to: &mut Srtp, packet: &[u8], more: u8) {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + 64, 0);
    let Some(length) = from.protect(&mut buffer, packet.len()) else { return };
    assert!(length > packet.len() && length <= buffer.len());
    buffer.truncate(length);
    let mut damaged = buffer.clone();
    let place = usize::from(more) % length;
    damaged[place] ^= 1 << (more % 8);
    assert_eq!(to.unprotect(&mut damaged), None, "one bit is another");
    let mut again = buffer.clone();
    if let Some(opened) = to.unprotect(&mut buffer) {
        assert_eq!(&buffer[..opened], packet);
        assert_eq!(to.unprotect(&mut again), None, "the same packet twice");
    }
}

/// Recordings: as prompts, and as what is brought to the form of prompts.
pub(crate) fn wav(bytes: &[u8]) {
    // Longer ones cost time and find nothing else.
    let bytes = &bytes[..bytes.len().min(1 << 16)];
    if let Ok(clip) = Clip::from_wav(bytes) {
        assert!(clip.pcm().len() <= bytes.len());
        assert!(clip.duration() <= Duration::from_secs(bytes.len() as u64));
    }
    if let Ok(samples) = import(bytes) {
        // 8 bits at 8 kHz grow to no more than a sample for each byte.
        assert!(!samples.is_empty() && samples.len() <= bytes.len() + 4096, "{}", samples.len());
        Clip::from_pcm(samples).expect("what was imported can be played");
    }
}
