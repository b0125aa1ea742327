//! `[line.guidance]` and the targets of nodes and queues.
//!
//! Reads the graph as it is written. Whether its targets exist and every path ends is proven in
//! `crate::call::graph`.

use std::collections::BTreeMap;

use super::service::{digit, s};
use super::sheet::Section;
use super::value;
use crate::call::config::{LineId, Node, NodeId, Target};
use crate::call::graph::START;
use crate::complaint::{Fit, Value};
use crate::media::{Digit, Prompt};

/// Nodes of one guidance at most.
const MAX_NODES: usize = 100;
/// Words that mean something as targets and can't be names of nodes.
const RESERVED: [&str; 4] = ["queue", "help", "hangup", "line"];

/// The graph; when none is written, the greeting and then the queue.
pub(super) fn guidance(section: &Section<'_>) -> BTreeMap<NodeId, Node> {
    if !section.is_written() {
        let play = vec!["welcome".into()];
        let start =
            Node { play, keys: BTreeMap::new(), timeout: s(5), repeats: 2, next: Target::Queue };
        return BTreeMap::from([(START.into(), start)]);
    }
    let names = section.names();
    if names.len() > MAX_NODES {
        section.error("", Value::Nodes(names.len(), MAX_NODES));
    }
    let mut nodes = BTreeMap::new();
    for name in names.into_iter().take(MAX_NODES) {
        if let Err(what) = value::id(name) {
            section.error(name, what);
            continue;
        }
        if RESERVED.contains(&name) {
            section.error(name, Fit::ReservedNode);
            continue;
        }
        if let Some(node) = node(&section.section(name)) {
            nodes.insert(NodeId::from(name), node);
        }
    }
    nodes
}

fn node(section: &Section<'_>) -> Option<Node> {
    let play = prompts(section, "play");
    let keys = keys(&section.section("keys"));
    let timeout = section.duration("timeout", "5s", s(1)..=s(60));
    let repeats = section.number("repeats", 2, 0..=9_u8);
    let next = section.required("next", target);
    if keys.is_empty() && (section.has("timeout") || section.has("repeats")) {
        section.warn("", Fit::IdleKeys);
    }
    section.done();
    // A bad target is complained about; the node must be there for those that lead to it.
    let next = next.unwrap_or(Target::Hangup);
    Some(Node { play, keys, timeout: timeout?, repeats, next })
}

/// A list of prompts; the same one may come twice.
fn prompts(section: &Section<'_>, key: &str) -> Vec<Prompt> {
    // Numbering makes equal names differ for the list, which refuses to name a thing twice.
    let count = std::cell::Cell::new(0_usize);
    let read = |text: &str| {
        count.set(count.get() + 1);
        value::prompt(text).map(|prompt| (count.get(), prompt))
    };
    section.list(key, &[], read).into_iter().flatten().map(|(_, prompt)| prompt).collect()
}

fn keys(section: &Section<'_>) -> BTreeMap<Digit, Target> {
    let mut keys = BTreeMap::new();
    for name in section.names() {
        let Some(digit) = digit(name) else {
            section.error(name, Value::NoPhoneKey);
            continue;
        };
        keys.extend(section.required(name, target).map(|target| (digit, target)));
    }
    keys
}

/// Where a caller goes on: `queue`, `help`, `hangup`, `line:ID` or the name of a node.
pub(super) fn target(text: &str) -> value::Read<Target> {
    Ok(match text {
        "queue" => Target::Queue,
        "help" => Target::Help,
        "hangup" => Target::Hangup,
        _ => match text.strip_prefix("line:") {
            Some(line) => Target::Line(LineId::from(value::id(line)?.as_str())),
            None => Target::Node(NodeId::from(value::id(text)?.as_str())),
        },
    })
}

/// Where a caller goes who can't wait any longer: anywhere but into the same queue again.
pub(super) fn exit(text: &str) -> value::Read<Target> {
    match target(text)? {
        Target::Queue => Err(Fit::QueueToItself.into()),
        target @ (Target::Node(_) | Target::Help | Target::Hangup | Target::Line(_)) => Ok(target),
    }
}
