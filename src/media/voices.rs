//! What speakers say, for those who hear several at once and for recordings.
//!
//! Owns an ear for each speaker that somebody wants to hear so, and only as long: a voice that is
//! only relayed has none. Tapping copies from the relay and changes nothing on its way. Who hears
//! whom is [`crate::media::engine`]'s.

use std::time::Instant;

use crate::media::ear::Ear;
use crate::media::mixer::{self, FRAME_MAX};
use crate::media::rtp::Header;
use crate::media::slots::Slots;
use crate::media::{Codec, PortId, Rate};

/// The speakers that are wanted, by the numbers of their ports.
pub(super) struct Voices {
    all: Slots<Voice>,
    /// This tick's frames of one mix; kept for its memory.
    frames: Vec<[i16; FRAME_MAX]>,
}

/// One speaker.
struct Voice {
    /// How many want it.
    wanted: u32,
    /// From the first packet on.
    ear: Option<Ear>,
    /// Late packets and made-up frames that have been told of.
    told: (u64, u64),
}

impl Voices {
    pub(super) fn new() -> Self {
        Self { all: Slots::new(), frames: vec![] }
    }

    /// One more wants the speaker.
    pub(super) fn want(&mut self, speaker: PortId) {
        match self.all.get(speaker.n) {
            Some(voice) => voice.wanted += 1,
            None => {
                self.all.insert(speaker.n, Voice { wanted: 1, ear: None, told: (0, 0) });
            }
        }
    }

    /// One wants it no more; the last lets the ear go.
    pub(super) fn leave(&mut self, speaker: PortId) {
        if let Some(voice) = self.all.get(speaker.n) {
            voice.wanted -= 1;
            if voice.wanted == 0 {
                self.all.remove(speaker.n);
            }
        }
    }

    pub(super) fn is_wanted(&self, speaker: PortId) -> bool {
        self.all.slot(speaker.n).is_some()
    }

    /// The speaker's port is gone: silence from here on.
    pub(super) fn hush(&mut self, speaker: PortId) {
        if let Some(voice) = self.all.get(speaker.n) {
            voice.ear = None;
        }
    }

    /// Copies a packet of the speaker's. `header` as it was on the wire.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        speaker: PortId,
        header: &Header,
        codec: Codec,
        payload: &[u8],
    ) {
        if let Some(voice) = self.all.get(speaker.n) {
            voice.ear.get_or_insert_with(|| Ear::new(codec)).packet(now, header, codec, payload);
        }
    }

    /// Lets 20 ms pass. Tells for each speaker how many more packets were late and how many more
    /// frames were made up.
    pub(super) fn tick(&mut self, at: Instant, mut tell: impl FnMut(u32, u64, u64)) {
        for (n, voice) in self.all.iter_mut() {
            let Some(ear) = &mut voice.ear else { continue };
            ear.tick(at);
            let counts = (ear.late(), ear.concealed());
            if counts != voice.told {
                let late = counts.0.saturating_sub(voice.told.0);
                tell(n, late, counts.1.saturating_sub(voice.told.1));
                voice.told = counts;
            }
        }
    }

    /// This tick's 20 ms of one speaker; `None`: nothing was heard of it so far.
    pub(super) fn frame(&mut self, speaker: PortId, rate: Rate) -> Option<&[i16]> {
        Some(self.all.get(speaker.n)?.ear.as_mut()?.frame(rate))
    }

    /// This tick's 20 ms of several speakers at once.
    pub(super) fn mix(&mut self, speakers: &[PortId], rate: Rate, out: &mut [i16]) {
        let Self { all, frames } = self;
        frames.resize(frames.len().max(speakers.len()), [0; FRAME_MAX]);
        let mut heard = 0;
        for speaker in speakers {
            if let Some(ear) = all.get(speaker.n).and_then(|voice| voice.ear.as_mut()) {
                let frame = ear.frame(rate);
                frames[heard][..frame.len()].copy_from_slice(frame);
                heard += 1;
            }
        }
        mixer::mix(frames[..heard].iter().map(|frame| &frame[..rate.samples()]), out);
    }
}
