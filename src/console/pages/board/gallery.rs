//! The board's parts as they are at the moment: painted once for every change, language and kind of
//! viewer, for all who watch.
//!
//! Owns when they are painted. How they look is [`paint`](super::paint)'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono_tz::Tz;
use tokio::time::Instant;

use super::paint::{Brush, Sight};
use crate::call::board::Board;
use crate::console::desk::Desk;
use crate::console::live::sheet::Sheet;
use crate::console::live::{PAUSE, Paint, Painter};
use crate::console::pages::opening;
use crate::lang::Lang;

/// The board's parts for each language and sight.
#[derive(Clone, Default)]
pub(super) struct Gallery(Arc<Mutex<BTreeMap<(&'static str, Sight), Canvas>>>);

#[derive(Default)]
struct Canvas {
    /// What is painted.
    board: Option<Arc<Board>>,
    /// When it may be painted again.
    due: Option<Instant>,
    sheet: Sheet,
}

impl Gallery {
    /// Does something with the parts as they are at the moment, or were a moment ago.
    pub(super) fn with<T>(
        &self,
        (l, sight, zone): (Lang, Sight, Tz),
        desk: &Desk,
        f: impl FnOnce(&mut Sheet, Option<Instant>) -> T,
    ) -> T {
        let mut canvases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let canvas = canvases.entry((l.code(), sight)).or_default();
        let board = Arc::clone(&desk.handle.board().borrow());
        let is_painted = canvas.board.as_ref().is_some_and(|it| Arc::ptr_eq(it, &board));
        let now = Instant::now();
        let due = canvas.due.filter(|due| *due > now && !is_painted);
        if !is_painted && due.is_none() {
            let before = canvas.sheet.version();
            Brush { l, sight, zone, board: &board }.paint(&mut canvas.sheet);
            canvas.sheet.whole("opening", opening::summary(desk, l));
            canvas.board = Some(board);
            canvas.due = (canvas.sheet.version() != before).then(|| now + PAUSE);
        }
        f(&mut canvas.sheet, due)
    }
}

/// A viewer's hold of the gallery.
pub(super) struct Visitor {
    pub(super) gallery: Gallery,
    pub(super) desk: Arc<Desk>,
    pub(super) of: (Lang, Sight, Tz),
}

impl Painter for Visitor {
    async fn paint(&mut self, seen: u64) -> Paint {
        self.gallery.with(self.of, &self.desk, |sheet, due| match (sheet.since(seen), due) {
            (Some((parts, version)), _) => Paint::Parts(parts, version),
            (None, Some(at)) => Paint::Later(at),
            (None, None) => Paint::Nothing,
        })
    }
}
