//! Rehearsals on their way through the loop: who waits for their news, and clips that only they
//! play.
//!
//! Owns both, and the library as the configuration has it, to which such clips are added. A clip
//! that is added changes nothing of what plays.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::handle::{Handle, Rehearsal};
use crate::call::piece::{Finish, Rehearse, Rehearsed};
use crate::media::prompt::{Clip, Library};
use crate::media::{Prompt, RecordId};

/// Rehearsals that wait for the loop.
const REHEARSALS_MAX: usize = 8;

/// Rehearsals on their way.
pub(super) struct Rehearsals {
    pub(super) asked: mpsc::Receiver<Rehearsal>,
    waiting: BTreeMap<u64, Waiting>,
    count: u64,
    library: Arc<Library>,
}

struct Waiting {
    finish: oneshot::Sender<Finish>,
    heard: Option<oneshot::Sender<Vec<i16>>>,
    clip: Option<(Prompt, Arc<Clip>)>,
}

/// What news of a rehearsal ask for.
#[derive(Default)]
pub(super) struct Wanted {
    /// What comes under this name is for whoever waits.
    pub(super) dictation: Option<(RecordId, oneshot::Sender<Vec<i16>>)>,
    /// The library without a clip that nobody plays any more.
    pub(super) library: Option<Arc<Library>>,
}

impl Rehearsals {
    /// With the handle by which rehearsals are asked for, and the library that is in force.
    pub(super) fn attach(handle: Handle, library: &Arc<Library>) -> (Self, Handle) {
        let (sender, asked) = mpsc::channel(REHEARSALS_MAX);
        let library = Arc::clone(library);
        let rehearsals = Self { asked, waiting: BTreeMap::new(), count: 0, library };
        (rehearsals, handle.with_rehearsals(sender))
    }

    /// Another library is in force: what the media threads are given.
    pub(super) fn set_library(&mut self, library: &Arc<Library>) -> Arc<Library> {
        self.library = Arc::clone(library);
        self.with_clips()
    }

    fn with_clips(&self) -> Arc<Library> {
        let clips: Vec<_> = self.waiting.values().filter_map(|it| it.clip.clone()).collect();
        if clips.is_empty() {
            return Arc::clone(&self.library);
        }
        let add = |library: Library, (name, clip)| library.with(name, clip);
        Arc::new(clips.into_iter().fold((*self.library).clone(), add))
    }

    /// What the switchboard is asked, and the library that has its clip, where that is new.
    pub(super) fn begin(&mut self, asked: Rehearsal) -> (Rehearse, Option<Arc<Library>>) {
        let Rehearsal { extension, asker, piece, clip, finish, heard } = asked;
        self.count += 1;
        let ticket = self.count;
        let has_clip = clip.is_some();
        self.waiting.insert(ticket, Waiting { finish, heard, clip });
        let library = has_clip.then(|| self.with_clips());
        (Rehearse { ticket, extension, asker, piece }, library)
    }

    /// Passes news on.
    pub(super) fn tell(&mut self, news: &Rehearsed) -> Wanted {
        match news {
            Rehearsed::Recording { ticket, record } => {
                let heard = self.waiting.get_mut(ticket).and_then(|it| it.heard.take());
                Wanted { dictation: heard.map(|to| (*record, to)), library: None }
            }
            Rehearsed::Over { ticket, finish } => {
                let Some(waiting) = self.waiting.remove(ticket) else { return Wanted::default() };
                // Whoever waited may have gone.
                waiting.finish.send(*finish).ok();
                let library = waiting.clip.is_some().then(|| self.with_clips());
                Wanted { dictation: None, library }
            }
        }
    }
}
