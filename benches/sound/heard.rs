//! What others hear: voices mixed, a voice through its jitter buffer, a prompt played.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use koebashi::media::ear::Ear;
use koebashi::media::engine::{Channel, Engine};
use koebashi::media::mixer::mix;
use koebashi::media::prompt::{Clip, Library};
use koebashi::media::{
    Codec, Command, Config, Header, Peer, PlayId, PortId, Prompt, Rate, Source, Then,
};

use crate::coded::{name, nth, payloads};
use crate::{Run, Work, timed, voice};

const TICK: Duration = Duration::from_millis(20);
/// Channels that play at once.
const CHANNELS: u32 = 200;

pub(crate) fn works() -> Vec<Work> {
    let three = Work::new("three voices mixed for each other at 16 kHz", conference());
    let ear = |codec, rate: Rate, loss, what: &str| {
        let what = format!("{} through the jitter buffer{what}", name(codec));
        Work::new(what, hear(codec, rate, loss))
    };
    vec![
        three.goal("≤ 3 µs").short(),
        ear(Codec::Pcmu, Rate::Narrow, None, "").short(),
        ear(Codec::Pcmu, Rate::Wide, None, ", brought to 16 kHz"),
        ear(Codec::Pcmu, Rate::Narrow, Some(20), ", 5 % lost and concealed"),
        ear(Codec::G722, Rate::Wide, None, ""),
        ear(Codec::G722, Rate::Wide, Some(20), ", 5 % lost and concealed"),
        Work::new("music played in PCMU, all but the socket", play(Codec::Pcmu)).short(),
        Work::new("music played in G.722, all but the socket", play(Codec::G722)),
    ]
}

/// Three speakers, each of whom hears the sum of the other two: all three sums.
fn conference() -> Run {
    let voice = voice(16_000);
    let frames: Vec<&[i16]> = voice.chunks(320).collect();
    let voices: Vec<[Vec<i16>; 3]> =
        (0..50).map(|n| [0, 17, 34].map(|later| nth(&frames, n + later).to_vec())).collect();
    let mut out = [0; 320];
    Box::new(move |count| {
        timed(count, |n| {
            let [a, b, c] = black_box(nth(&voices, n));
            for others in [[b, c], [a, c], [a, b]] {
                mix(others.into_iter().map(Vec::as_slice), &mut out);
                black_box(&out);
            }
        })
    })
}

/// A speaker's packets, one a tick, each `loss`th missing; and what is heard of them.
fn hear(codec: Codec, rate: Rate, loss: Option<u32>) -> Run {
    let payloads = payloads(codec);
    let (mut ear, mut now, mut n) = (Ear::new(codec), Instant::now(), 0u32);
    let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let step = codec.clock() / 50;
    Box::new(move |count| {
        timed(count, |_| {
            n += 1;
            now += TICK;
            packet[2..4].copy_from_slice(&(n as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&n.wrapping_mul(step).to_be_bytes());
            packet.truncate(12);
            packet.extend(nth(&payloads, n));
            if loss.is_none_or(|loss| !n.is_multiple_of(loss)) {
                let header = Header::read(&packet).unwrap();
                ear.packet(now, &header, codec, &packet[12..]);
            }
            ear.tick(now);
            black_box(ear.frame(rate));
        })
    })
}

/// The engine with channels that hear music: each tick is a packet of every channel.
fn play(codec: Codec) -> Run {
    let music = Prompt::from("music");
    let clip = Clip::from_pcm(voice(8000)).unwrap();
    let library = Library::from_clips([(music.clone(), clip)]).prepared(&[codec].into());
    let mut engine = Engine::new(Config::default(), Arc::new(library), Chance::from_number(1));
    let mut now = Instant::now();
    for n in 0..CHANNELS {
        let port = PortId { n, shard: 0 };
        let then = Then::Loop(music.clone());
        let source = Source::Play { play: PlayId(1), prompts: Vec::new(), then };
        let local = SocketAddr::from(([192, 0, 2, 1], 4000));
        engine.command(now, Command::Open { port, local, dscp: 0 });
        engine.command(now, Command::Connect { port, peer: peer(codec), crypto: None });
        engine.command(now, Command::Listen { port, source });
    }
    // At least as many packets as are asked for, told as the time of so many.
    Box::new(move |count| {
        let ticks = count.div_ceil(CHANNELS);
        let mut sent = 0;
        let time = timed(ticks, |_| {
            now += TICK;
            // A tick is carried out in shares.
            while engine.poll_timeout().is_some_and(|at| at <= now) {
                engine.tick(now);
                while let Some(packet) = engine.poll_transmit() {
                    sent += u32::from(packet.channel == Channel::Rtp);
                    black_box(packet.bytes());
                }
            }
            while let Some(event) = engine.poll_event() {
                black_box(event);
            }
        });
        assert_eq!(sent, ticks * CHANNELS);
        time.mul_f64(f64::from(count) / f64::from(sent))
    })
}

fn peer(codec: Codec) -> Peer {
    let payload = if codec == Codec::G722 { 9 } else { 0 };
    let plain = Peer::plain(SocketAddr::from(([192, 0, 2, 2], 4000)));
    Peer { codec, payload_send: payload, payload_receive: payload, ..plain }
}
