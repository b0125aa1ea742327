//! The life of the process: what it keeps, when it is killed, and the next one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::call::config::{Config, Extension, SupervisionMode};
use koebashi::call::intention::Intention;
use koebashi::call::journal::{Key, Problem};
use koebashi::call::switchboard::{Configs, Past, Switchboard};
use koebashi::chance::Chance;
use koebashi::media::engine::Engine;
use koebashi::media::prompt::Library;
use koebashi::time::{Anchor, Now};

use super::disks::Disks;
use super::world::World;

/// The system has been up for so long when the world begins.
const UPTIME: Duration = Duration::from_secs(5000);

/// What survives the process.
pub(crate) struct Life {
    /// The configuration of the next process.
    pub toml: String,
    /// Configurations that were in force before.
    pub old: Vec<String>,
    anchor: Anchor,
    library: Arc<Library>,
    /// The journal.
    pub kept: BTreeMap<Key, Bytes>,
    /// Writes to the journal, and their bytes.
    pub written: (usize, usize),
    /// What waits for the disks.
    pub disks: Disks,
    /// What could not be gone on with.
    pub problems: Vec<Problem>,
    /// Outputs until the process is killed, and for how long it is dead then.
    fuse: Option<(usize, Duration)>,
    back_at: Option<Instant>,
    /// Since when the present process lives.
    pub since: Instant,
    /// Processes before this one.
    pub deaths: u64,
    /// What people have done before this process.
    pub deeds_from: usize,
    /// Who supervised when the process before ended, and goes on with it; in which way, once the
    /// board has shown that.
    pub watched: BTreeMap<String, Option<SupervisionMode>>,
}

impl Life {
    pub(super) fn new(toml: &str, started: Instant, library: Arc<Library>) -> Self {
        Self {
            toml: toml.to_owned(),
            old: Vec::new(),
            anchor: Anchor { mono: started, since_boot: UPTIME },
            library,
            kept: BTreeMap::new(),
            written: (0, 0),
            disks: Disks::default(),
            problems: Vec::new(),
            fuse: None,
            back_at: None,
            since: started,
            deaths: 0,
            deeds_from: 0,
            watched: BTreeMap::new(),
        }
    }

    pub(super) fn past<'a>(&self, configs: Configs<'a>, at: &'a Cell<Option<Key>>) -> Past<'a> {
        Past { anchor: self.anchor, kept: self.kept.clone(), configs, at }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.back_at.is_some()
    }

    pub(super) fn back_at(&self) -> Option<Instant> {
        self.back_at
    }

    /// One more output was carried out: whether it was the last.
    pub(super) fn burns(&mut self) -> bool {
        match &mut self.fuse {
            Some((left @ 1.., _)) => {
                *left -= 1;
                *left == 0
            }
            Some((0, _)) | None => false,
        }
    }

    pub(super) fn die(&mut self, now: Instant) {
        let (_, dead_for) = self.fuse.take().unwrap_or_default();
        self.back_at = Some(now + dead_for);
        self.disks.die(now);
        self.deaths += 1;
    }

    pub(super) fn engine(&self) -> Engine {
        let media = super::super::config::load(&self.toml).media;
        Engine::new(media, Arc::clone(&self.library), Chance::from_number(99 + self.deaths))
    }

    pub(super) fn come_back(
        &mut self,
        now: Now,
        intentions: BTreeMap<Extension, Intention>,
    ) -> Switchboard {
        (self.back_at, self.since) = (None, now.mono);
        let loaded = super::super::config::load(&self.toml);
        let config: Arc<Config> = Arc::new(loaded.call);
        let chance = Chance::from_number(1000 + self.deaths);
        // Both clocks are read anew.
        let since_boot = self.anchor.since_boot + (now.mono - self.anchor.mono);
        self.anchor = Anchor { mono: now.mono, since_boot };
        let old: Vec<_> =
            self.old.iter().map(|toml| super::super::config::load(toml).call).collect();
        let found = |version| {
            let config = old.iter().find(|config| config.version == version)?;
            Some(Arc::new(config.clone()))
        };
        let (board, problems) = Switchboard::restore(
            config,
            loaded.sip,
            &loaded.media,
            intentions,
            chance,
            now,
            self.past(&found, &Cell::default()),
        );
        self.problems.extend(problems);
        board
    }
}

impl World {
    /// Carries out what the switchboard wants done, as the shell does: first what is kept, all of it
    /// in one write. Whether there was anything.
    pub(super) fn carry_out(&mut self) -> bool {
        if self.life.is_dead() {
            return false;
        }
        let changes = self.board.take_changes();
        let mut is_some = !changes.is_empty();
        if is_some {
            self.keep(changes);
            self.burn();
        }
        while !self.life.is_dead()
            && let Some(output) = self.board.poll_output()
        {
            is_some = true;
            self.on_output(output);
            self.burn();
        }
        is_some
    }

    /// One more thing is done: this may be where the process is killed.
    fn burn(&mut self) {
        if self.life.burns() {
            self.die();
        }
    }

    /// Kills the process now, and lets another one go on after `dead_for`.
    pub(crate) fn crash(&mut self, dead_for: Duration) {
        self.life.fuse = Some((0, dead_for));
        self.die();
    }

    /// Kills the process after so many more outputs, at whatever point of an input that is.
    pub(crate) fn crash_after(&mut self, outputs: usize, dead_for: Duration) {
        self.life.fuse = Some((outputs.max(1), dead_for));
    }
}
