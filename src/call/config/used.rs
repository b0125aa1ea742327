//! Which prompts a configuration plays, and where.
//!
//! Owns the list of places; what they are called is said elsewhere.

use std::time::Duration;

use super::{Config, LineId, NodeId, Said};
use crate::media::Prompt;

/// Where a prompt is played.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// On every line that has no prompt of its own for it.
    Said(Said),
    /// On one line.
    LineSaid(LineId, Said),
    /// At a node of a line's guidance.
    Node(LineId, NodeId),
    /// While callers of a line wait.
    Hold(LineId),
    /// To callers of a line, about its recordings.
    Recording(LineId),
    /// To a line's counselor, so long before the service ends.
    Tone(LineId, Duration),
}

impl Config {
    /// Every prompt that is named, with its place.
    pub fn uses(&self) -> Vec<(Use, Prompt)> {
        let said = Said::ALL.map(|said| (Use::Said(said), self.prompt(None, said)));
        let mut uses = Vec::from(said);
        for (id, line) in &self.lines {
            uses.push((Use::Hold(id.clone()), line.queue.hold.clone()));
            for (said, prompt) in &line.prompts.0 {
                uses.push((Use::LineSaid(id.clone(), *said), prompt.clone()));
            }
            for (name, node) in &line.guidance {
                let place = Use::Node(id.clone(), name.clone());
                uses.extend(node.play.iter().map(|prompt| (place.clone(), prompt.clone())));
            }
            if let Some(prompt) = line.recording.prompt() {
                uses.push((Use::Recording(id.clone()), prompt.clone()));
            }
            for (left, prompt) in &line.counselor_tones {
                uses.push((Use::Tone(id.clone(), *left), prompt.clone()));
            }
        }
        uses
    }
}
