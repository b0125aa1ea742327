//! A playing of clips: one after the other without a gap, then music or nothing.
//!
//! Owns the position. The samples are copied as they were encoded when the library was loaded; a
//! playing keeps its clips although the library is replaced meanwhile.

use std::sync::Arc;

use crate::media::prompt::{Clip, Library};
use crate::media::{Codec, Prompt};

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

    /// Copies the next samples. What is left of `out` when nothing more is to be played stays as it
    /// is. Returns how many were copied.
    pub(in crate::media) fn fill(&mut self, codec: Codec, out: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < out.len() {
            let left = &mut out[filled..];
            if let Some(clip) = self.clips.get(self.current) {
                let bytes = &clip.encoded(codec)[self.offset..];
                let n = bytes.len().min(left.len());
                left[..n].copy_from_slice(&bytes[..n]);
                (self.offset, filled) = (self.offset + n, filled + n);
                if n == bytes.len() {
                    (self.current, self.offset) = (self.current + 1, 0);
                }
            } else if let Some(music) = &mut self.music {
                let bytes = &music.clip.encoded(codec)[music.offset..];
                let n = bytes.len().min(left.len());
                left[..n].copy_from_slice(&bytes[..n]);
                filled += n;
                music.offset = (music.offset + n) % music.clip.pcm().len();
            } else {
                break;
            }
        }
        filled
    }

    /// Remembers where the music has got to.
    pub(in crate::media) fn leave(&self, places: &mut Places) {
        if let Some(music) = &self.music {
            *places.place(&music.name) = music.offset;
        }
    }
}
