//! Stage 2, guidance: prompts played, keys taken, the branch chosen, time-outs and repeats; and the
//! last message that ends a call.
//!
//! Owns the walk over one line's graph. Does not know what a queue is; it returns where to go.

use std::time::Duration;

use super::config::{Node, NodeId, Said, Target};
use super::io::CallTimer;
use super::{Cx, Next};
use crate::media::{Digit, PlayId, Prompt, Then};

/// How much longer than the prompts' length their end is waited for.
const SLACK: Duration = Duration::from_secs(5);

/// A caller in the guidance.
#[derive(Debug)]
pub(super) struct Guidance {
    node: NodeId,
    /// How often the node's prompts have been begun.
    rounds: u8,
    state: State,
}

/// What the guidance waits for.
#[derive(Debug)]
enum State {
    /// The end of the prompts (or a key).
    Playing(PlayId),
    /// A key.
    Choosing,
}

impl Guidance {
    /// Enters a node and begins to speak. Nodes that say nothing and ask nothing are walked
    /// through.
    pub(super) fn enter(cx: &mut Cx<'_, '_>, node: &NodeId) -> Result<Self, Next> {
        let mut at = node.clone();
        for _ in 0..=cx.line.guidance.len() {
            let Some(n) = cx.line.guidance.get(&at) else { break };
            if !n.play.is_empty() || !n.keys.is_empty() {
                cx.caller.detect(cx.io, true);
                let play = say(cx, n.play.clone());
                return Ok(Self { node: at, rounds: 1, state: State::Playing(play) });
            }
            match &n.next {
                Target::Node(next) => at = next.clone(),
                other @ (Target::Queue | Target::Help | Target::Hangup | Target::Line(_)) => {
                    return Err(Next::to(other.clone()));
                }
            }
        }
        Err(Next::fault("the guidance leads nowhere"))
    }

    /// Where it is, as it is kept.
    pub(super) fn at(&self) -> &NodeId {
        &self.node
    }

    fn node<'a>(&self, cx: &Cx<'a, '_>) -> Option<&'a Node> {
        cx.line.guidance.get(&self.node)
    }

    /// The prompts have ended.
    pub(super) fn on_played(&mut self, cx: &mut Cx<'_, '_>, play: PlayId) -> Next {
        match self.state {
            State::Playing(current) if current == play => self.after_prompts(cx),
            State::Playing(_) | State::Choosing => Next::Stay,
        }
    }

    /// The prompts should have ended long ago, or nobody pressed a key.
    pub(super) fn on_timeout(&mut self, cx: &mut Cx<'_, '_>) -> Next {
        match self.state {
            State::Playing(_) => self.after_prompts(cx),
            State::Choosing => self.again_or_on(cx),
        }
    }

    /// A key: taken during every prompt.
    pub(super) fn on_digit(&mut self, cx: &mut Cx<'_, '_>, digit: Digit) -> Next {
        let Some(node) = self.node(cx) else { return Next::fault("a node is gone") };
        if node.keys.is_empty() {
            return Next::Stay;
        }
        match node.keys.get(&digit) {
            Some(target) => Next::to(target.clone()),
            None => self.again_or_on(cx),
        }
    }

    fn after_prompts(&mut self, cx: &mut Cx<'_, '_>) -> Next {
        let Some(node) = self.node(cx) else { return Next::fault("a node is gone") };
        if node.keys.is_empty() {
            return Next::to(node.next.clone());
        }
        self.state = State::Choosing;
        cx.io.set(CallTimer::Guidance, node.timeout);
        Next::Stay
    }

    fn again_or_on(&mut self, cx: &mut Cx<'_, '_>) -> Next {
        let Some(node) = self.node(cx) else { return Next::fault("a node is gone") };
        if self.rounds > node.repeats {
            return Next::to(node.next.clone());
        }
        self.rounds += 1;
        self.state = State::Playing(say(cx, node.play.clone()));
        Next::Stay
    }
}

/// Something said once, before going on.
#[derive(Debug)]
pub(super) struct Message {
    play: PlayId,
    pub(super) said: Vec<Said>,
    pub(super) then: Target,
}

impl Message {
    /// Begins to speak.
    pub(super) fn say(cx: &mut Cx<'_, '_>, said: &[Said], then: Target) -> Self {
        let prompts = said.iter().map(|said| cx.config.prompt(Some(cx.line), *said)).collect();
        Self { play: say(cx, prompts), said: said.to_vec(), then }
    }

    /// The prompts have ended.
    pub(super) fn on_played(&self, play: PlayId) -> Next {
        if play == self.play { self.on_timeout() } else { Next::Stay }
    }

    /// The prompts should have ended long ago.
    pub(super) fn on_timeout(&self) -> Next {
        match &self.then {
            Target::Hangup => Next::said_all(),
            other @ (Target::Node(_) | Target::Queue | Target::Help | Target::Line(_)) => {
                Next::to(other.clone())
            }
        }
    }
}

/// Plays prompts to the caller, and sets the limit of waiting for their end.
fn say(cx: &mut Cx<'_, '_>, prompts: Vec<Prompt>) -> PlayId {
    let lengths = &cx.config.prompt_lengths;
    let length: Duration = prompts.iter().filter_map(|prompt| lengths.get(prompt)).sum();
    cx.io.set(CallTimer::Guidance, length + SLACK);
    cx.caller.play(cx.io, prompts, Then::Silence)
}
