//! Between guidance and queue: the caller is told that the conversation is recorded, or asked
//! whether it may be.
//!
//! Owns when that counts: only after the whole prompt went to a caller who could hear it. Whatever
//! goes wrong means no. It stands before the queue because a counselor who is free must not wait
//! for it, and behind the question whether there is room, because a caller who can't be served need
//! not be asked. What is recorded then is `recording`'s.

use std::time::{Duration, Instant};

use super::config::Recording;
use super::io::CallTimer;
use super::{Cx, Next};
use crate::media::{Digit, PlayId, Prompt, Then};

/// How much longer than the prompt its end is waited for.
const SLACK: Duration = Duration::from_secs(5);
/// How much sooner than after its length a prompt may end that was played whole: packets carry
/// 20 ms each and the first leaves at once.
const EARLY: Duration = Duration::from_millis(40);

/// What a caller has said to being recorded. It belongs to the call, whoever takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// Nothing: there was no question.
    Unasked,
    /// Has heard that it is so, and stayed.
    Told,
    /// Yes.
    Agreed,
    /// No, or nothing, or the question was not heard to its end. Stands for the rest of the call.
    Withheld,
}

impl Consent {
    /// Whether the caller must hear the line's prompt before the queue.
    pub(super) fn is_open(self, recording: &Recording) -> bool {
        match recording {
            Recording::Off => false,
            Recording::On { .. } => self == Self::Unasked,
            Recording::Ask { .. } => matches!(self, Self::Unasked | Self::Told),
        }
    }

    /// Whether what is said on the line may be recorded.
    pub(super) fn allows(self, recording: &Recording) -> bool {
        match recording {
            Recording::Off => false,
            Recording::On { .. } => matches!(self, Self::Told | Self::Agreed),
            Recording::Ask { .. } => self == Self::Agreed,
        }
    }
}

/// A caller who hears the prompt, or is thinking.
#[derive(Debug)]
pub(super) struct Asking {
    state: State,
    /// How long a key is waited for after the prompt; `None`: there is no choice.
    timeout: Option<Duration>,
}

/// What is waited for.
#[derive(Debug)]
enum State {
    /// The end of the prompt, which can't be sooner than `whole`.
    Playing { play: PlayId, whole: Instant },
    /// A key.
    Choosing,
}

impl Asking {
    /// Begins to speak. `Err`: what comes in its place, as the prompt is not there.
    pub(super) fn begin(cx: &mut Cx<'_, '_>) -> Result<Self, Next> {
        let withheld = Next::Consented(Consent::Withheld);
        let (prompt, timeout) = match &cx.line.recording {
            Recording::Off => return Err(withheld),
            Recording::On { prompt } => (prompt, None),
            Recording::Ask { prompt, timeout } => (prompt, Some(*timeout)),
        };
        let length = length(cx, prompt).ok_or(withheld)?;
        cx.caller.detect(cx.io, true);
        let play = cx.caller.play(cx.io, vec![prompt.clone()], Then::Silence);
        cx.io.set(CallTimer::Guidance, length + SLACK);
        let whole = cx.io.now.mono + length.saturating_sub(EARLY);
        Ok(Self { state: State::Playing { play, whole }, timeout })
    }

    /// The prompt has ended; too soon: it was not the whole.
    pub(super) fn on_played(&mut self, cx: &mut Cx<'_, '_>, played: PlayId) -> Next {
        let State::Playing { play, whole } = self.state else { return Next::Stay };
        if play != played {
            return Next::Stay;
        }
        if cx.io.now.mono < whole || !is_heard(cx) {
            return Next::Consented(Consent::Withheld);
        }
        let Some(timeout) = self.timeout else { return Next::Consented(Consent::Told) };
        self.state = State::Choosing;
        cx.io.set(CallTimer::Guidance, timeout);
        Next::Stay
    }

    /// A key: 1 agrees, once the question was heard to its end (before, it may have been meant for
    /// the menu, or for a question that nobody knows yet); any other refuses at once.
    pub(super) fn on_digit(&self, digit: Digit) -> Next {
        if self.timeout.is_none() {
            return Next::Stay;
        }
        match (&self.state, digit.char()) {
            (State::Playing { .. }, '1') => Next::Stay,
            (State::Choosing, '1') => Next::Consented(Consent::Agreed),
            _ => Next::Consented(Consent::Withheld),
        }
    }

    /// The prompt should have ended long ago, or no key came.
    pub(super) fn on_timeout(&self) -> Next {
        Next::Consented(Consent::Withheld)
    }

    /// The caller's audio has changed: whoever holds us misses words.
    pub(super) fn settle(&self, cx: &Cx<'_, '_>) -> Next {
        match self.state {
            State::Playing { .. } if !is_heard(cx) => Next::Consented(Consent::Withheld),
            State::Playing { .. } | State::Choosing => Next::Stay,
        }
    }
}

fn is_heard(cx: &Cx<'_, '_>) -> bool {
    cx.caller.is_up() && cx.caller.can_hear() && !cx.caller.holds_us()
}

/// The prompt's length; `None`: there is nothing to hear.
fn length(cx: &Cx<'_, '_>, prompt: &Prompt) -> Option<Duration> {
    cx.config.prompt_lengths.get(prompt).copied().filter(|length| !length.is_zero())
}
