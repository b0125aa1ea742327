//! What the switchboard wants done, carried out: messages go to the sockets, commands to the media
//! threads, records to the store, news to whoever reads them.
//!
//! Owns the way out of the loop; what comes in, and when, is [`Shell`]'s.

use super::*;
use crate::call::journal::Change;

impl Shell {
    /// Does everything that the switchboard wants done.
    pub(super) fn carry_out(&mut self) {
        let changes = self.changes();
        self.keep(changes);
        while let Some(output) = self.switchboard.poll_output() {
            self.do_one(output);
        }
        self.survival.settle(&self.store);
    }

    /// Has the journal keep what has changed: before anything of it shows.
    fn keep(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.survival.keep(changes);
        }
    }

    /// What has changed. A panic costs what it is about to be written, no call.
    fn changes(&mut self) -> Vec<Change> {
        let switchboard = &mut self.switchboard;
        let taken = catch_unwind(AssertUnwindSafe(|| switchboard.take_changes()));
        taken.unwrap_or_else(|_| {
            self.faults.push_back(Instant::now());
            Vec::new()
        })
    }

    /// Carries out what the calls of the process before need to go on: what their voices need
    /// first, and all of that at once.
    pub(super) fn take_up(&mut self) {
        let (mut voices, mut rest) = (Vec::new(), Vec::new());
        // Asked first, as what is gone by it comes last.
        let changes = self.changes();
        while let Some(output) = self.switchboard.poll_output() {
            match output {
                Output::Media(command) => voices.push(command),
                // Whoever writes a recording down has to know it before anything comes.
                Output::Recording(order) => self.recorder.tell(order),
                Output::Sip(_)
                | Output::Cdr(_)
                | Output::Intention { .. }
                | Output::Board(_)
                | Output::Step(_)
                | Output::Deed(_)
                | Output::Answer(_)
                | Output::Voice(_)
                | Output::Rehearsed(_)
                | Output::Forget(_) => rest.push(output),
            }
        }
        let commands = self.survival.resume(voices.into_iter());
        let lost = self.media.send_all(commands);
        if !lost.is_empty() {
            tracing::error!(count = lost.len(), "media commands are lost");
        }
        self.stand_ins.extend(lost.iter().filter_map(stand_in));
        self.keep(changes);
        rest.into_iter().for_each(|output| self.do_one(output));
    }

    fn do_one(&mut self, output: Output) {
        match output {
            Output::Sip(transmit) => {
                let name = transmit.flow.name.and_then(|id| self.switchboard.name(id));
                self.sockets.send(transmit, name);
            }
            Output::Media(command) => self.command_media(command),
            Output::Cdr(cdr) => {
                self.metrics.cdr(&cdr);
                self.survival.hand_in(*cdr, &self.store);
            }
            Output::Intention { extension, intention, who } => {
                self.store.audit(news::intention(&extension, &intention, &who));
                self.store.intention(extension, intention);
            }
            Output::Recording(order) => self.recorder.tell(order),
            Output::Forget(keys) => self.survival.gone(&keys),
            Output::Board(board) => {
                self.news.tell(&board);
                self.feed.show(*board);
            }
            Output::Step(step) => {
                tracing::info!(call = %step.call, "{}", step.what);
                (self.on_step)(&step);
            }
            Output::Deed(deed) => self.on_deed(&deed),
            Output::Answer(answer) => {
                // Whoever asked may have gone.
                self.asker.take().map(|asker| asker.send(answer).ok());
            }
            Output::Rehearsed(news) => {
                let wanted = self.rehearsals.tell(&news);
                if let Some((record, to)) = wanted.dictation {
                    self.recorder.dictate(record, to);
                }
                if let Some(library) = wanted.library {
                    self.set_library(&library);
                }
            }
            Output::Voice(voice) => {
                news::voice(&voice);
                self.metrics.voice(&voice);
            }
        }
    }

    fn on_deed(&mut self, deed: &Deed) {
        let entry = news::deed(deed);
        let is_urgent = match &deed.what {
            What::HelpAsked | What::HelpUnanswered => true,
            What::HelpRung { supervisors } => supervisors.is_empty(),
            What::Summoned { .. }
            | What::Began { .. }
            | What::Switched { .. }
            | What::Ended { .. }
            | What::Denied { .. }
            | What::HelpCleared
            | What::Recording { .. }
            | What::WrapUpEnded
            | What::WrapUpExtended
            | What::Limited
            | What::LimitsLifted(_) => false,
        };
        if is_urgent {
            tracing::warn!("{}: {}", entry.who, entry.what);
        } else {
            tracing::info!("{}: {}", entry.who, entry.what);
        }
        self.metrics.deed(&deed.what);
        if matches!(deed.what, What::Denied { .. }) {
            self.store.audit_refusal(entry);
        } else {
            self.store.audit(entry);
        }
    }

    fn command_media(&mut self, command: media::Command) {
        let answer = stand_in(&command);
        if let Err(error) = self.media.queue(command) {
            tracing::error!(%error, "a media command is lost");
            self.stand_ins.extend(answer);
        }
    }
}

/// A command that its thread can't take (it hangs, or has died) must leave no call waiting for the
/// answer: what is said in the thread's stead.
fn stand_in(command: &media::Command) -> Option<media::Event> {
    match command {
        media::Command::Open { port, .. } => Some(media::Event::OpenFailed { port: *port }),
        media::Command::Close { port } => {
            Some(media::Event::Closed { port: *port, quality: Quality::default() })
        }
        media::Command::Resume { .. }
        | media::Command::Connect { .. }
        | media::Command::Listen { .. }
        | media::Command::Overlay { .. }
        | media::Command::Detect { .. }
        | media::Command::SendDigit { .. }
        | media::Command::Record { .. }
        | media::Command::PauseRecord { .. }
        | media::Command::StopRecord { .. } => None,
    }
}
