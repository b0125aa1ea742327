//! Peers that sing a tone each, and what a peer's ear makes of what it hears.

use std::f32::consts::TAU;

use super::*;
use crate::media::codec::{Decoder, Encoder};
use crate::media::span;

/// What can be spoken here.
pub(super) fn codecs() -> Vec<Codec> {
    let all = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
    all.into_iter().filter(|codec| codec.is_built_in()).collect()
}

/// The payload type of a codec.
pub(super) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 111,
    }
}

/// A peer that speaks a codec.
pub(super) fn peer_by(n: u32, codec: Codec) -> Peer {
    let payload = payload_type(codec);
    Peer { codec, payload_send: payload, payload_receive: payload, ..peer(n) }
}

impl World {
    /// With a port and a peer for each codec, from 1 on.
    pub(super) fn speaking(codecs: &[Codec]) -> Self {
        let mut world = Self::new();
        let library = library().prepared(&codecs.iter().copied().collect());
        world.engine.set_library(Arc::new(library));
        for (n, codec) in (1..).zip(codecs) {
            world.open(n);
            let peer = peer_by(n, *codec);
            world.command(Command::Connect { port: port(n), peer, crypto: None });
        }
        world
    }

    /// Mixes these for a port.
    pub(super) fn mix(&mut self, n: u32, from: &[u32]) {
        self.listen(n, Source::Mix(from.iter().map(|n| port(*n)).collect()));
    }
}

/// The amplitude of every singer: five of them stay below the limiter.
const AMPLITUDE: f32 = 4000.0;

/// Who sings one tone.
pub(super) struct Singer {
    pub(super) n: u32,
    pub(super) codec: Codec,
    pub(super) stamp: Stamp,
    hz: f32,
    at: u32,
    encoder: Encoder,
}

/// The tone of port `n`'s peer.
pub(super) fn hz(n: u32) -> f32 {
    350.0 + 450.0 * n as f32
}

impl Singer {
    pub(super) fn new(n: u32, codec: Codec) -> Self {
        let stamp =
            Stamp { ssrc: 1000 + n, sequence: 65_500, timestamp: 4_294_960_000, marker: true };
        Self { n, codec, stamp, hz: hz(n), at: 0, encoder: Encoder::new(codec).unwrap() }
    }

    pub(super) fn packet(&mut self) -> Vec<u8> {
        let samples = self.codec.rate().samples();
        let sound: Vec<i16> = (self.at..self.at + samples as u32)
            .map(|i| (TAU * self.hz * i as f32 / (samples * 50) as f32).sin() * AMPLITUDE)
            .map(|sample| sample as i16)
            .collect();
        // A second later the tone is where it began: its frequency is a whole number.
        self.at = (self.at + samples as u32) % (samples as u32 * 50);
        let mut payload = [0; 200];
        let length = self.encoder.encode(&sound, &mut payload);
        let mut packet = vec![0; 12];
        self.stamp.write(payload_type(self.codec), &mut packet);
        packet.extend(&payload[..length]);
        self.skip(1);
        self.stamp.marker = false;
        packet
    }

    pub(super) fn skip(&mut self, n: u16) {
        let step = 160 * span::ticks(self.codec) * u32::from(n);
        self.stamp.sequence = self.stamp.sequence.wrapping_add(n);
        self.stamp.timestamp = self.stamp.timestamp.wrapping_add(step);
    }
}

/// All sing for `n` packets, a few milliseconds after the tick.
pub(super) fn sing(world: &mut World, singers: &mut [Singer], n: usize) {
    for _ in 0..n {
        world.pass(13 * MS);
        for singer in singers.iter_mut() {
            let packet = singer.packet();
            world.speak(singer.n, &packet);
        }
        world.pass(7 * MS);
    }
}

/// What was heard, as sound.
pub(super) fn decoded(heard: &[Heard], codec: Codec) -> Vec<i16> {
    let mut decoder = Decoder::new(codec).unwrap();
    let mut sound = vec![];
    for heard in heard.iter().filter(|h| h.header.payload_type == payload_type(codec)) {
        assert!(decoder.decode(&heard.payload, &mut sound));
    }
    sound
}

/// How loud a tone is in half a second of sound, in dB over what a singer sings.
pub(super) fn level(sound: &[i16], codec: Codec, hz: f32) -> f32 {
    let rate = (codec.rate().samples() * 50) as f32;
    let sound = &sound[..rate as usize / 2];
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in sound.iter().enumerate() {
        // A Hann window: what is sung beside it does not leak in.
        let window = 1.0 - (TAU * i as f32 / sound.len() as f32).cos();
        let angle = TAU * hz * i as f32 / rate;
        re += f32::from(*sample) * window * angle.cos();
        im += f32::from(*sample) * window * angle.sin();
    }
    let amplitude = 2.0 * (re * re + im * im).sqrt() / sound.len() as f32;
    20.0 * (amplitude / AMPLITUDE).max(1e-6).log10()
}

/// How near to its level a tone is that is heard, and how far below one that is not, in dB. Opus
/// keeps what is heard, not the waveform.
const NEAR: f32 = if cfg!(feature = "opus") { 3.0 } else { 1.0 };
const FAR: f32 = if cfg!(feature = "opus") { -25.0 } else { -34.0 };

/// Whom the peer of `n` hears in the last half second of what came to it, out of `of`. All others
/// are far below. Nobody, when nothing came.
pub(super) fn whom(world: &mut World, n: u32, codec: Codec, of: &[u32]) -> Vec<u32> {
    let sound = decoded(&world.take(n), codec);
    if sound.is_empty() {
        return vec![];
    }
    let tail = &sound[sound.len() - codec.rate().samples() * 25..];
    of.iter()
        .copied()
        .filter(|other| {
            let level = level(tail, codec, hz(*other));
            assert!(level.abs() < NEAR || level < FAR, "{n} hears {other} at {level} dB");
            level > -NEAR
        })
        .collect()
}
