//! A playing of clips: one after the other without a gap, then music or nothing.
//!
//! Owns the position. The samples are copied as they were encoded when the library was loaded; a
//! playing keeps its clips although the library is replaced meanwhile.

use std::sync::Arc;

use crate::media::prompt::{Clip, Library};
use crate::media::{Codec, Prompt, Rate};

/// Samples that a packet holds.
const FRAME: usize = Rate::Narrow.samples();
/// Pieces of music whose position a port remembers; the one unheard for longest is forgotten.
const REMEMBERED_MAX: usize = 4;

/// Where each piece of music goes on, for one port.
#[derive(Clone, Debug, Default)]
pub(in crate::media) struct Places(Vec<(Prompt, usize)>);

impl Places {
    fn place(&mut self, name: &Prompt) -> &mut usize {
        let known = self.0.iter().position(|(n, _)| n == name);
        let entry = known.map_or_else(|| (name.clone(), 0), |at| self.0.remove(at));
        self.0.truncate(REMEMBERED_MAX - 1);
        self.0.insert(0, entry);
        &mut self.0[0].1
    }
}

/// One playing.
#[derive(Clone, Debug)]
pub(in crate::media) struct Player {
    clips: Vec<Arc<Clip>>,
    /// Which clip plays, and its next sample.
    current: usize,
    offset: usize,
    music: Option<Music>,
}

#[derive(Clone, Debug)]
struct Music {
    name: Prompt,
    clip: Arc<Clip>,
    offset: usize,
}

impl Player {
    /// A playing of the named clips and then, over and over, of `music`. Unknown names and empty
    /// clips are skipped.
    pub(in crate::media) fn new(
        library: &Library,
        prompts: &[Prompt],
        music: Option<&Prompt>,
        places: &mut Places,
    ) -> Self {
        let clip = |name: &Prompt| library.clip(name).filter(|c| !c.pcm().is_empty()).cloned();
        let clips = prompts.iter().filter_map(clip).collect();
        let music = music.and_then(|name| {
            let clip = clip(name)?;
            let offset = *places.place(name) % clip.pcm().len();
            Some(Music { name: name.clone(), clip, offset })
        });
        Self { clips, current: 0, offset: 0, music }
    }

    /// Whether all prompts have ended.
    pub(in crate::media) fn has_ended(&self) -> bool {
        self.current == self.clips.len()
    }

    /// Writes the next 20 ms as a codec's payload. What is left of `out` when nothing more is to be
    /// played, or where a clip is not there in this codec, stays as it is: fill it with silence
    /// before. Returns how many bytes were written.
    ///
    /// Clips follow each other without a gap, except in Opus, whose packets hold 20 ms of one clip:
    /// there `out` gets one packet.
    pub(in crate::media) fn fill(&mut self, codec: Codec, out: &mut [u8]) -> usize {
        if codec == Codec::Opus {
            return self.packet(out);
        }
        let mut filled = 0;
        while filled < out.len() {
            let Some((clip, offset)) = self.place() else { break };
            let n = (clip.pcm().len() - offset).min(out.len() - filled);
            if let Some(bytes) = clip.encoded(codec).get(offset..offset + n) {
                out[filled..filled + n].copy_from_slice(bytes);
            }
            filled += n;
            self.pass(n);
        }
        filled
    }

    /// Copies the packet of Opus that holds the next sample, when `out` has room for it.
    fn packet(&mut self, out: &mut [u8]) -> usize {
        let Some((clip, offset)) = self.place() else { return 0 };
        let n = FRAME - offset % FRAME;
        let left = clip.pcm().len() - offset;
        let packet = clip.packets().get(offset / FRAME).map_or(&[][..], |packet| packet);
        let written = out.get_mut(..packet.len()).map_or(0, |out| {
            out.copy_from_slice(packet);
            packet.len()
        });
        self.pass(n.min(left));
        written
    }

    /// The clip that plays, and its next sample.
    fn place(&self) -> Option<(&Clip, usize)> {
        let spoken = self.clips.get(self.current).map(|clip| (&**clip, self.offset));
        spoken.or_else(|| self.music.as_ref().map(|music| (&*music.clip, music.offset)))
    }

    /// Lets samples pass of the clip that plays, at most to its end.
    fn pass(&mut self, n: usize) {
        if let Some(clip) = self.clips.get(self.current) {
            self.offset += n;
            if self.offset == clip.pcm().len() {
                (self.current, self.offset) = (self.current + 1, 0);
            }
        } else if let Some(music) = &mut self.music {
            music.offset = (music.offset + n) % music.clip.pcm().len();
        }
    }

    /// Remembers where the music has got to.
    pub(in crate::media) fn leave(&self, places: &mut Places) {
        if let Some(music) = &self.music {
            *places.place(&music.name) = music.offset;
        }
    }
}
