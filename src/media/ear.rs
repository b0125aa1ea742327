//! One speaker as heard in mixes: packets in, 20 ms of sound out at every tick, whatever the
//! network and the speaker's clock do.
//!
//! Owns the way from packet to sound: buffer, decoder, concealment, the sound that is not yet
//! played, and its stretching when the clocks part. Made only while somebody mixes the speaker:
//! a relayed voice needs none of it.

use std::time::{Duration, Instant};

use crate::media::codec::{Decoder, Resampler};
use crate::media::conceal::Concealer;
use crate::media::jitter::{Change, JitterBuffer, Take};
use crate::media::rtp::Header;
use crate::media::{Codec, Rate, stretch};

/// What is asked of the buffer for one tick at most: packets of the shortest kind (10 ms) after a
/// change, and a few that are damaged.
const TAKES_MAX: usize = 16;
/// Sound that lies in wait at most: the longest packet that is decoded, and what was left.
const SOUND_MAX_MS: usize = 400;
/// A lack of delay that is put right at once, whatever the sound.
const LACK_MAX: Duration = Duration::from_millis(5);
/// Too much delay that is put right at once, whatever the sound.
const EXCESS_MAX: Duration = Duration::from_millis(20);
/// Changes at one tick while the speaker says nothing.
const CHANGES_MAX: usize = 4;

/// One speaker as heard in mixes.
pub struct Ear {
    codec: Codec,
    rate: Rate,
    /// `None`: the codec is not built in, and nothing is heard.
    decoder: Option<Decoder>,
    jitter: JitterBuffer,
    concealer: Concealer,
    /// This tick's sound, and what is left for the next ones.
    sound: Vec<i16>,
    /// What is added to it; kept for its memory.
    scratch: Vec<i16>,
    /// This tick's sound at the other rate; empty until it is asked for.
    other: Vec<i16>,
    resampler: Resampler,
    /// Late packets and made-up frames of codecs that were heard before.
    before: (u64, u64),
}

impl Ear {
    /// An ear for a speaker of whom nothing was heard yet.
    pub fn new(codec: Codec) -> Self {
        let rate = codec.rate();
        Self {
            codec,
            rate,
            decoder: Decoder::new(codec),
            jitter: JitterBuffer::new(codec.clock()),
            concealer: Concealer::new(rate),
            sound: Vec::with_capacity(4 * rate.samples()),
            scratch: Vec::with_capacity(3 * rate.samples()),
            other: Vec::with_capacity(Rate::Wide.samples()),
            resampler: Resampler::new(rate, other(rate)),
            before: (0, 0),
        }
    }

    /// Takes a packet of the speaker's voice; telephone-events are none.
    pub fn packet(&mut self, now: Instant, header: &Header, codec: Codec, payload: &[u8]) {
        if codec != self.codec {
            *self = Self { before: (self.late(), self.concealed()), ..Self::new(codec) };
        }
        let Header { sequence, timestamp, ssrc, marker, .. } = *header;
        if self.decoder.is_some() {
            // The buffer itself counts what comes too late.
            self.jitter.put(now, sequence, timestamp, ssrc, marker, payload);
        }
    }

    /// Lets 20 ms pass: the next frame is ready.
    pub fn tick(&mut self, at: Instant) {
        let played = self.rate.samples().min(self.sound.len());
        self.sound.drain(..played);
        self.other.clear();
        self.fill(at);
        match self.jitter.wanted(at) {
            Some(Change::Lengthen(by)) => self.lengthen(by),
            Some(Change::Shorten(by)) => {
                self.shorten(by);
                self.fill(at);
            }
            None => {}
        }
    }

    /// This tick's 20 ms at a rate. Silence before the first tick.
    pub fn frame(&mut self, rate: Rate) -> &[i16] {
        let length = self.rate.samples();
        if self.sound.len() < length {
            self.sound.resize(length, 0);
        }
        let frame = &self.sound[..length];
        if rate == self.rate {
            return frame;
        }
        if self.other.is_empty() {
            self.resampler.run(frame, &mut self.other);
        }
        &self.other
    }

    /// Packets that came too late to be heard.
    pub fn late(&self) -> u64 {
        self.before.0 + self.jitter.late()
    }

    /// Frames of 20 ms that were made up for packets that were lost or late.
    pub fn concealed(&self) -> u64 {
        self.before.1 + self.jitter.concealed()
    }

    /// How long the fastest packet waits to be heard.
    #[cfg(test)]
    pub(in crate::media) fn delay(&self) -> Duration {
        self.jitter.delay()
    }

    /// Gets sound until there is enough for this tick.
    fn fill(&mut self, at: Instant) {
        let (enough, per_second) = (self.rate.samples(), self.rate.samples() * 50);
        for _ in 0..TAKES_MAX {
            if self.sound.len() >= enough {
                return;
            }
            self.scratch.clear();
            let clock = self.codec.clock() as usize;
            match self.jitter.take(at) {
                Take::Frame(payload) => {
                    let decoded =
                        self.decoder.as_mut().is_some_and(|d| d.decode(payload, &mut self.scratch));
                    self.scratch.truncate(SOUND_MAX_MS / 20 * enough);
                    if decoded && !self.scratch.is_empty() {
                        self.concealer.good(&mut self.scratch);
                    } else {
                        self.scratch.resize(enough, 0);
                        self.concealer.lost(&mut self.scratch);
                    }
                    let units = self.scratch.len() * clock / per_second;
                    self.jitter.took(u32::try_from(units).unwrap_or(0));
                }
                Take::Missing { units, next } => {
                    let missing = (units as usize * per_second / clock).clamp(1, enough);
                    let decoder = self.decoder.as_mut();
                    let by_codec = decoder.is_some_and(|d| d.lost(next, &mut self.scratch));
                    self.scratch.resize(missing, 0);
                    if by_codec {
                        self.concealer.good(&mut self.scratch);
                    } else {
                        self.concealer.lost(&mut self.scratch);
                    }
                }
                Take::Idle => break,
            }
            self.sound.extend_from_slice(&self.scratch);
        }
        let there = self.sound.len();
        self.sound.resize(there.max(enough), 0);
        self.concealer.idle(&mut self.sound[there..]);
    }

    /// Gains time: all that is lacking where nothing is said, else a period of the voice.
    fn lengthen(&mut self, by: Duration) {
        let silent = self.concealer.is_background(&self.sound);
        let wanted = by.as_micros() as usize * self.rate.samples() / 20_000;
        let mut gained = 0;
        for _ in 0..if silent { CHANGES_MAX } else { 1 } {
            if gained <= wanted && self.sound.len() < SOUND_MAX_MS / 20 * self.rate.samples() {
                let must = silent || by > LACK_MAX;
                gained += stretch::lengthen(&mut self.sound, self.rate, must);
            }
        }
    }

    /// Loses time: a stretch where nothing is said, else a period of the voice.
    fn shorten(&mut self, by: Duration) {
        let must = by > EXCESS_MAX || self.concealer.is_background(&self.sound);
        stretch::shorten(&mut self.sound, self.rate, must);
    }
}

fn other(rate: Rate) -> Rate {
    match rate {
        Rate::Narrow => Rate::Wide,
        Rate::Wide => Rate::Narrow,
    }
}

#[cfg(test)]
mod tests;
