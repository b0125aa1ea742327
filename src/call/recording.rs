//! A call's recording: begun where a caller who may be recorded is joined with a counselor, ended
//! where they part, paused and resumed in between.
//!
//! Owns whether something is recorded. Whether the caller has agreed is `consent`'s, the sound is
//! the media plane's, the file the shell's.

use super::Call;
use super::Phase;
use super::board;
use super::config::{Recording as Mode, Said};
use super::consent::Consent;
use super::deed::{Actor, Deed, Denial, What};
use super::io::{Io, Output, Recording as Told};
use crate::media::{Command, RecordId};

/// A call's recording.
#[derive(Debug)]
pub(super) struct Recording {
    /// What the caller has said to it.
    pub(super) consent: Consent,
    tape: Tape,
}

/// Whether something is recorded.
#[derive(Clone, Copy, Debug)]
enum Tape {
    /// Nothing is.
    Idle,
    /// Everything is that is said.
    Runs(RecordId),
    /// Paused: nothing is, and nothing will be in a later conversation, until a person lets it go
    /// on. `None`: nobody talks.
    Paused(Option<RecordId>),
}

impl Recording {
    /// Of a call that begins.
    pub(super) fn new() -> Self {
        Self { consent: Consent::Unasked, tape: Tape::Idle }
    }

    /// Of a call that goes on after a restart: what was recorded before is another part.
    pub(super) fn restore(consent: Consent, is_paused: bool) -> Self {
        Self { consent, tape: if is_paused { Tape::Paused(None) } else { Tape::Idle } }
    }

    /// Whether a person has paused it.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.tape, Tape::Paused(_))
    }

    /// The recording that is on, paused or not.
    pub(super) fn current(&self) -> Option<RecordId> {
        match self.tape {
            Tape::Runs(record) | Tape::Paused(Some(record)) => Some(record),
            Tape::Idle | Tape::Paused(None) => None,
        }
    }

    /// What people see of it.
    pub(super) fn tape(&self) -> Option<board::Tape> {
        match self.tape {
            Tape::Runs(_) => Some(board::Tape::Runs),
            Tape::Paused(Some(_)) => Some(board::Tape::Paused),
            Tape::Idle | Tape::Paused(None) => None,
        }
    }

    /// Takes the recording that is on, so that it can be ended. A pause lasts.
    fn take(&mut self) -> Option<RecordId> {
        let record = self.current();
        if let Tape::Runs(_) = self.tape {
            self.tape = Tape::Idle;
        } else if let Tape::Paused(record) = &mut self.tape {
            *record = None;
        }
        record
    }
}

impl Call {
    /// Caller and counselor are joined: records them where the caller has agreed.
    pub(super) fn start_recording(&mut self, io: &mut Io<'_>) {
        let Phase::Bridge(bridge) = &self.phase else { return };
        let (left, right) = (self.caller.port(), bridge.leg.port());
        let mode = self.line().map_or(&Mode::Off, |line| &line.recording);
        if self.recording.current().is_some() || !self.recording.consent.allows(mode) {
            return;
        }
        let record = io.record_id(left.shard);
        self.record.recorded += 1;
        io.out.push_back(Output::Recording(Told::Begin {
            record,
            call: self.id.clone(),
            part: self.record.recorded,
            line: self.line_id.clone(),
            started: io.now.wall,
        }));
        io.media(Command::Record { record, left, right });
        match &mut self.recording.tape {
            Tape::Paused(paused) => {
                *paused = Some(record);
                io.media(Command::PauseRecord { record, paused: true });
                io.step(&self.id, "recorded, but paused");
            }
            tape @ (Tape::Idle | Tape::Runs(_)) => {
                *tape = Tape::Runs(record);
                io.step(&self.id, "recorded");
            }
        }
    }

    /// Caller and counselor part.
    pub(super) fn stop_recording(&mut self, io: &mut Io<'_>) {
        if let Some(record) = self.recording.take() {
            io.media(Command::StopRecord { record });
            io.out.push_back(Output::Recording(Told::End { record }));
        }
    }

    /// Nothing is recorded from here on, until it is resumed, or the recording goes on; the
    /// counselor hears that it is so. A call that is not recorded stays so.
    pub(super) fn pause_recording(
        &mut self,
        io: &mut Io<'_>,
        who: Actor,
        paused: bool,
    ) -> Result<(), Denial> {
        let record = match (self.recording.tape, paused) {
            (Tape::Runs(record), true) => {
                self.recording.tape = Tape::Paused(Some(record));
                Some(record)
            }
            (Tape::Paused(Some(record)), false) => {
                self.recording.tape = Tape::Runs(record);
                Some(record)
            }
            // The next conversation is recorded again.
            (Tape::Paused(None), false) => {
                self.recording.tape = Tape::Idle;
                None
            }
            (Tape::Runs(_), false) | (Tape::Paused(_), true) => return Ok(()),
            (Tape::Idle, _) => return Err(Denial::NotRecorded),
        };
        if let Some(record) = record {
            io.media(Command::PauseRecord { record, paused });
        }
        self.tell_tape(io, who, paused);
        Ok(())
    }

    /// The counselor's code: pauses what runs, resumes what is paused.
    pub(super) fn turn_tape(&mut self, io: &mut Io<'_>) {
        let Phase::Bridge(bridge) = &self.phase else { return };
        let who = Actor::Extension(bridge.extension.clone());
        let runs = self.recording.tape() == Some(board::Tape::Runs);
        if self.pause_recording(io, who, runs).is_err() {
            self.say_to_counselor(io, Said::CodeRefused);
        }
    }

    /// Whoever is in the call at the moment, the audit trail knows who has decided.
    fn tell_tape(&self, io: &mut Io<'_>, who: Actor, paused: bool) {
        let said = if paused { Said::RecordingPaused } else { Said::RecordingResumed };
        io.step(&self.id, if paused { "recording paused" } else { "recording resumed" });
        self.say_to_counselor(io, said);
        let counselor = match &self.phase {
            Phase::Bridge(bridge) => Some(bridge.extension.clone()),
            Phase::Trunk(_)
            | Phase::Guidance(_)
            | Phase::Message(_)
            | Phase::Consent(_)
            | Phase::Queue(_)
            | Phase::Ringing(..)
            | Phase::Ended => None,
        };
        let call = Some(self.id.clone());
        io.deed(Deed { who, call, counselor, what: What::Recording { paused } });
    }

    fn say_to_counselor(&self, io: &mut Io<'_>, said: Said) {
        if let Phase::Bridge(bridge) = &self.phase {
            let prompts = vec![self.config.prompt(self.line(), said)];
            io.media(Command::Overlay { port: bridge.leg.port(), prompts });
        }
    }

    /// Nobody can write the recording down any further. The call goes on.
    pub(super) fn recording_lost(&mut self, io: &mut Io<'_>) {
        io.step(&self.id, "the recording is lost: it can't be written");
        self.stop_recording(io);
    }
}
