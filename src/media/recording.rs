//! Conversations as they are recorded: who is on which side, whether it pauses, and its sound.
//!
//! Owns the recordings of one media thread. Only a talk is recorded: while one of the two does not
//! hear the other (one hears music, a transfer rings), both sides are silence, so that nobody is
//! recorded who believes that nobody listens, and times stay true. A recording of one port alone is
//! what its peer says into it, knowing that. The sound comes from the same
//! ears as a mix ([`crate::media::voices`]) and goes out frame by frame; what becomes of it is the
//! shell's. Who may be recorded is the call path's.

use std::collections::{BTreeMap, VecDeque};

use crate::media::voices::Voices;
use crate::media::{PortId, Rate, RecordId};

/// Samples of one frame on one side: 20 ms at 8 kHz.
pub(super) const FRAME: usize = Rate::Narrow.samples();

/// A piece of one recording, in the order in which it was spoken.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Of which recording.
    pub record: RecordId,
    /// What.
    pub chunk: Chunk,
}

/// What a recording consists of.
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are frames; a box would be a malloc each"
)]
pub enum Chunk {
    /// 20 ms of both voices, 8 kHz. A voice that is not there is silence; both are while the two
    /// don't hear each other.
    Frame {
        /// The voice of the left port's peer.
        left: [i16; FRAME],
        /// The voice of the right port's peer.
        right: [i16; FRAME],
    },
    /// Nothing follows: it was stopped, or a port of it closed.
    End,
}

/// Never the samples: they are somebody's voice.
impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.chunk {
            Chunk::Frame { .. } => "Frame",
            Chunk::End => "End",
        };
        write!(f, "Recorded {{ record: {:?}, chunk: {what} }}", self.record)
    }
}

/// The recordings of one thread.
#[derive(Default)]
pub(super) struct Recordings {
    all: BTreeMap<u64, Recording>,
    out: VecDeque<Recorded>,
}

struct Recording {
    id: RecordId,
    sides: [PortId; 2],
    is_paused: bool,
}

impl Recordings {
    /// Begins a recording, unless its number is taken. `is_possible`: both sides are there.
    pub(super) fn begin(
        &mut self,
        id: RecordId,
        sides: [PortId; 2],
        is_possible: bool,
        voices: &mut Voices,
    ) {
        if self.all.contains_key(&id.n) {
            return;
        }
        if !is_possible {
            return self.tell(id, Chunk::End);
        }
        sides.iter().for_each(|side| voices.want(*side));
        self.all.insert(id.n, Recording { id, sides, is_paused: false });
    }

    /// Leaves out what is said from here on, or goes on.
    pub(super) fn pause(&mut self, id: RecordId, is_paused: bool) {
        if let Some(recording) = self.all.get_mut(&id.n) {
            recording.is_paused = is_paused;
        }
    }

    /// Ends a recording; whose voices it took.
    pub(super) fn end(&mut self, id: RecordId, voices: &mut Voices) -> Option<[PortId; 2]> {
        let recording = self.all.remove(&id.n)?;
        recording.sides.iter().for_each(|side| voices.leave(*side));
        self.tell(id, Chunk::End);
        Some(recording.sides)
    }

    /// A recording that takes this port's voice.
    pub(super) fn of(&self, port: PortId) -> Option<RecordId> {
        self.all.values().find(|r| r.sides.contains(&port)).map(|r| r.id)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Takes this tick's sound. `hears`: whether the first port's peer hears the second's.
    pub(super) fn tick(
        &mut self,
        voices: &mut Voices,
        mut hears: impl FnMut(PortId, PortId) -> bool,
    ) {
        for recording in self.all.values().filter(|recording| !recording.is_paused) {
            let [one, other] = recording.sides;
            let is_talk = one == other || (hears(one, other) && hears(other, one));
            let [left, right] = recording.sides.map(|side| {
                let mut frame = [0; FRAME];
                if is_talk && let Some(heard) = voices.frame(side, Rate::Narrow) {
                    frame.copy_from_slice(&heard[..FRAME]);
                }
                frame
            });
            let chunk = Chunk::Frame { left, right };
            self.out.push_back(Recorded { record: recording.id, chunk });
        }
    }

    /// The next piece, until `None`.
    pub(super) fn poll(&mut self) -> Option<Recorded> {
        self.out.pop_front()
    }

    fn tell(&mut self, record: RecordId, chunk: Chunk) {
        self.out.push_back(Recorded { record, chunk });
    }
}
