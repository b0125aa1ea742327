//! The two closings: intake ends, and later the service. A counselor who still talks hears tones
//! before the second; nobody is ever cut off.
//!
//! Owns when the tones come. When intake ends is the schedule's.

use super::Cx;
use super::io::{CallTimer, Io, TONES_MAX};
use super::schedule::{self, Opening};
use crate::media::{Command, PortId};

/// Sets the tones of a conversation that begins now.
pub(super) fn set(cx: &mut Cx<'_, '_>) {
    clear(cx.io);
    let end = match schedule::at(&cx.line.schedule, cx.config.timezone, cx.io.now.wall) {
        Opening::Open { service_end, .. } | Opening::Winding { service_end } => service_end,
        Opening::Closed { .. } => None,
    };
    let Some(end) = end else { return };
    for (n, (left, _)) in (0..TONES_MAX).zip(&cx.line.counselor_tones) {
        let Ok(until_end) = (end - cx.io.now.wall).to_std() else { return };
        if let Some(after) = until_end.checked_sub(*left) {
            cx.io.set(CallTimer::Tone(n), after);
        }
    }
}

/// No tones any more.
pub(super) fn clear(io: &mut Io<'_>) {
    for n in 0..TONES_MAX {
        io.clear(CallTimer::Tone(n));
    }
}

/// The counselor (alone) hears the tone over the conversation.
pub(super) fn sound(cx: &mut Cx<'_, '_>, counselor: PortId, n: u8) {
    if let Some((_, prompt)) = cx.line.counselor_tones.get(usize::from(n)) {
        let prompts = vec![prompt.clone()];
        cx.io.media(Command::Overlay { port: counselor, prompts });
    }
}
