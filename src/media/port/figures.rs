//! The figures of one leg's voice.
//!
//! Owns what is counted about both directions besides the reception itself, and putting it all
//! together as [`Quality`]. Decides nothing.

use std::time::{Duration, Instant};

use crate::media::codec::Decoder;
use crate::media::rtp::Reception;
use crate::media::timeline::TICK;
use crate::media::{Codec, Law, Quality, Recent, g711, mos, rtcp};

/// What a receiver's buffer adds to the delay, for the score: two packets.
const BUFFER_MS: f32 = 40.0;
/// Of so many packets one is listened to for the level: one in 320 ms.
const LISTEN_EVERY: u8 = 16;
/// Full scale: a square wave of the greatest samples is 0 dB.
const FULL_SCALE: f64 = 32_768.0;
/// The level of digital silence: below the smallest step of 16 bits.
const SILENCE_DBFS: f64 = -96.0;

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) sent: u64,
    pub(super) octets: u64,
    /// `sent` at the last RTCP report.
    pub(super) sent_at_report: u64,
    /// `sent` when the peer last told what arrived.
    pub(super) sent_at_receipt: u64,
    pub(super) strangers: u64,
    pub(super) rejected: u64,
    pub(super) late: u64,
    pub(super) concealed: u64,
    /// Packets that had come and been lost when the voice was last looked at.
    looked: (u64, u64),
    /// Since when the peer might speak.
    asked: Option<Instant>,
    first_packet: Option<Duration>,
    level: Level,
}

/// How loud the voice is.
#[derive(Debug, Default)]
struct Level {
    packets: u8,
    g722: Option<Option<Decoder>>,
    /// What was decoded last; kept for its memory.
    sound: Vec<i16>,
    samples: u64,
    squares: f64,
}

impl Figures {
    /// So much was sent by the process before.
    pub(super) fn go_on(&mut self, packets: u64, octets: u64) {
        (self.sent, self.octets) = (packets, octets);
        (self.sent_at_report, self.sent_at_receipt) = (packets, packets);
    }

    /// The peer may speak from now on.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// A valid packet has come.
    pub(super) fn hear(&mut self, now: Instant) {
        if self.first_packet.is_none() {
            self.first_packet = self.asked.map(|asked| now.saturating_duration_since(asked));
        }
    }

    /// Listens to a packet of audio, now and then. What only Opus says is not decoded for this.
    pub(super) fn listen(&mut self, codec: Codec, audio: &[u8]) {
        if self.level.packets == 0 {
            self.level.listen(codec, audio);
        }
        self.level.packets = (self.level.packets + 1) % LISTEN_EVERY;
    }

    /// A packet goes out.
    pub(super) fn send(&mut self, octets: usize) {
        self.sent += 1;
        self.octets += octets as u64;
    }

    /// How the voice has come in since this was asked last; `None`: no packet has come.
    pub(super) fn recent(
        &mut self,
        reception: &Reception,
        reports: &rtcp::Reports,
        codec: Codec,
    ) -> Option<Recent> {
        let looked = (reception.received(), reception.lost());
        let before = std::mem::replace(&mut self.looked, looked);
        let (received, lost) = (looked.0 - before.0, looked.1.saturating_sub(before.1));
        let loss = lost as f32 / (received + lost).max(1) as f32;
        let jitter_ms = reception.jitter_ms();
        let round_trip_ms = reports.round_trip().map(|r| r.as_secs_f32() * 1000.0);
        let mos = score(codec, loss, jitter_ms, round_trip_ms);
        (received > 0).then_some(Recent { loss, jitter_ms, mos })
    }

    /// Everything together, but for what only the port knows.
    pub(super) fn quality(
        &self,
        reception: &Reception,
        reports: &rtcp::Reports,
        codec: Codec,
    ) -> Quality {
        let (received, lost) = (reception.received(), reception.lost());
        let jitter_ms = reception.mean_jitter_ms();
        let round_trip_ms = reports.round_trip().map(|r| r.as_secs_f32() * 1000.0);
        let score = |lost: u64, of: u64, jitter_ms: f32| {
            score(codec, lost as f32 / of.max(1) as f32, jitter_ms, round_trip_ms)
        };
        let at_peer = reports.at_peer();
        let mos_at_peer = at_peer.map(|at_peer| {
            let jitter_ms = at_peer.jitter() as f32 * 1000.0 / codec.clock() as f32;
            score(at_peer.lost, self.sent_at_receipt, jitter_ms)
        });
        Quality {
            received,
            sent: self.sent,
            lost,
            lost_at_peer: at_peer.map_or(0, |at_peer| at_peer.lost),
            jitter_ms,
            jitter_max_ms: reception.max_jitter_ms(),
            round_trip_ms,
            strangers: self.strangers,
            rejected: self.rejected,
            late: self.late,
            concealed: self.concealed,
            first_packet_ms: self.first_packet.map(|first| first.as_secs_f32() * 1000.0),
            level_dbfs: self.level.dbfs(),
            mos: (received > 0).then(|| score(lost, received + lost, jitter_ms)),
            mos_at_peer,
            ..Quality::default()
        }
    }
}

/// The mean opinion score of a voice.
fn score(codec: Codec, loss: f32, jitter_ms: f32, round_trip_ms: Option<f32>) -> f32 {
    let delay = round_trip_ms.unwrap_or(0.0) / 2.0
        + TICK.as_millis() as f32
        + BUFFER_MS.max(2.0 * jitter_ms);
    mos::mos(mos::rating(codec, loss, delay))
}

impl Level {
    fn listen(&mut self, codec: Codec, audio: &[u8]) {
        let (samples, squares) = match codec {
            Codec::Pcmu => of_law(Law::Mu, audio),
            Codec::Pcma => of_law(Law::A, audio),
            Codec::G722 => {
                // Its scale adapts within a packet, and goes on from where it was.
                let decoder = self.g722.get_or_insert_with(|| Decoder::new(codec));
                self.sound.clear();
                let is_whole = decoder.as_mut().is_some_and(|d| d.decode(audio, &mut self.sound));
                let heard = if is_whole { &self.sound[self.sound.len() / 2..] } else { &[] };
                (heard.len(), heard.iter().map(|s| i64::from(*s) * i64::from(*s)).sum())
            }
            Codec::Opus => return,
        };
        self.samples += samples as u64;
        self.squares += squares as f64;
    }

    /// The mean power; `None` before anything was listened to.
    fn dbfs(&self) -> Option<f32> {
        let samples = Some(self.samples).filter(|n| *n > 0)?;
        let mean = self.squares / samples as f64 / (FULL_SCALE * FULL_SCALE);
        Some((10.0 * mean.log10()).max(SILENCE_DBFS) as f32)
    }
}

/// Samples, and the sum of their squares.
fn of_law(law: Law, audio: &[u8]) -> (usize, i64) {
    let square = |byte: &u8| {
        let sample = i64::from(g711::decode(law, *byte));
        sample * sample
    };
    (audio.len(), audio.iter().map(square).sum())
}
