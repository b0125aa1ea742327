//! What a phone has heard, as claims put it: which sounds in which order, without gaps, as one
//! unbroken RTP stream.

use std::time::{Duration, Instant};

use super::phone::{Heard, PhoneId};
use super::world::World;

/// µ-law silence.
const SILENCE: u8 = 0xff;
/// Payload type of telephone-events in the sim.
pub(super) const EVENTS: u8 = 101;

impl World {
    /// Audio that the phone heard from `since` on.
    pub(crate) fn audio(&self, id: PhoneId, since: Instant) -> Vec<Heard> {
        let heard = self.phones[id.0].heard.iter();
        heard.filter(|h| h.at >= since && h.payload != EVENTS).copied().collect()
    }

    /// The sounds that the phone heard from `since` on, each once however long: names of prompts,
    /// `voice N` of a phone, `silence`.
    pub(crate) fn sounds(&self, id: PhoneId, since: Instant) -> Vec<String> {
        let mut sounds: Vec<String> =
            self.audio(id, since).iter().map(|heard| self.sound(heard.byte)).collect();
        sounds.dedup();
        sounds
    }

    /// Everything that the phone has ever heard, silence left out.
    pub(crate) fn said(&self, id: PhoneId) -> Vec<String> {
        let mut sounds = self.sounds(id, self.started());
        sounds.retain(|sound| sound != "silence");
        sounds.dedup();
        sounds
    }

    /// What the phone hears now.
    pub(crate) fn hears(&self, id: PhoneId) -> String {
        let last = self.phones[id.0].heard.iter().rev().find(|h| h.payload != EVENTS);
        last.filter(|h| self.now - h.at < Duration::from_millis(100))
            .map_or_else(|| "nothing".to_owned(), |h| self.sound(h.byte))
    }

    fn sound(&self, byte: u8) -> String {
        if byte == SILENCE {
            return "silence".to_owned();
        }
        if let Some(at) = self.phones.iter().position(|phone| phone.voice == Some(byte)) {
            return format!("voice {at}");
        }
        let prompt = self.prompts.iter().find(|(_, b)| **b == byte);
        prompt.map_or_else(|| format!("{byte:02x}"), |(prompt, _)| prompt.0.to_string())
    }

    /// The longest time between two packets that the phone heard from `since` to `until`, both ends
    /// included.
    pub(crate) fn longest_gap(&self, id: PhoneId, since: Instant, until: Instant) -> Duration {
        let heard = self.phones[id.0].heard.iter().map(|h| h.at);
        let within = heard.filter(|at| (since..=until).contains(at));
        let times: Vec<_> = [since].into_iter().chain(within).chain([until]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Claims that all that the phone heard is one RTP stream: one SSRC, no hole in the sequence,
    /// timestamps that run with time.
    pub(crate) fn claim_one_stream(&self, id: PhoneId) {
        let heard = &self.phones[id.0].heard;
        let Some(first) = heard.first() else { panic!("nothing was heard\n{}", self.story()) };
        for (n, pair) in heard.windows(2).enumerate() {
            let [a, b] = [pair[0], pair[1]];
            let at = b.at - first.at;
            assert_eq!(a.ssrc, b.ssrc, "SSRC of packet {n} at {at:?}");
            assert_eq!(a.sequence.wrapping_add(1), b.sequence, "sequence of packet {n} at {at:?}");
            let step = b.timestamp.wrapping_sub(a.timestamp) as i32;
            let is_event = a.payload == EVENTS || b.payload == EVENTS;
            assert!(step > 0 || is_event && step >= 0, "timestamp of packet {n} at {at:?}: {step}");
            let real = (at.as_micros() * 8 / 1000) as i64;
            let media = i64::from(b.timestamp.wrapping_sub(first.timestamp));
            assert!((media - real).abs() <= 800, "packet {n}: {media} samples in {real}");
        }
    }
}
