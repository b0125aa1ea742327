//! The proof that no path of a call is a dead end or an endless loop.
//!
//! Owns the graph of everywhere a caller can be (nodes of the guidance, queues, last words) and
//! what is wrong with it. An edge is *silent* when the caller gets along it without pressing a
//! key; a silent circle would hold a caller on the phone for ever, a circle by keys is the caller's
//! choice. Every wait inside a place is bounded by the configuration's own types (repeats,
//! `max_wait`), so a call ends when no silent circle is there and every target exists. Does not
//! know files or lines of text: `crate::config` says where a fault stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::config::{Config, Line, LineId, NodeId, Target};

/// Where the guidance of every line begins.
pub const START: &str = "start";

/// Where a caller can be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At a node of a line's guidance.
    Node(LineId, NodeId),
    /// In a line's queue.
    Queue(LineId),
}

impl Place {
    fn line(&self) -> &LineId {
        match self {
            Self::Node(line, _) | Self::Queue(line) => line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(line, node) => write!(f, "{line}/{node}"),
            Self::Queue(line) => write!(f, "{line}/queue"),
        }
    }
}

/// By which of its exits a caller leaves a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// `next` of a node.
    Next,
    /// A key of a node.
    Key(crate::media::Digit),
    /// `on_timeout` of a queue.
    OnTimeout,
    /// `on_full` of a queue.
    OnFull,
    /// `on_no_counselor` of a queue.
    OnNoCounselor,
}

impl Exit {
    /// Whether a caller gets there without pressing a key.
    fn is_silent(self) -> bool {
        !matches!(self, Self::Key(_))
    }
}

/// What is wrong with the paths of calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The line's guidance has no node to begin with.
    NoStart(LineId),
    /// An exit leads to a node that the line does not have.
    UnknownNode(Place, Exit, NodeId),
    /// An exit leads to a line that does not exist.
    UnknownLine(Place, Exit, LineId),
    /// A caller who presses nothing goes round this circle for ever.
    Circle(Vec<Place>),
    /// Callers reach the line's queue, and no counselor takes its calls.
    NobodyTakes(LineId),
    /// No caller ever gets to the node.
    UnreachableNode(LineId, NodeId),
    /// The line has no number, and no other line leads to it.
    UnreachableLine(LineId),
}

impl Fault {
    /// Whether a call can go wrong by it; otherwise it only looks like a slip of the pen.
    pub fn is_error(&self) -> bool {
        match self {
            Self::NoStart(_) | Self::UnknownNode(..) | Self::UnknownLine(..) | Self::Circle(_) => {
                true
            }
            Self::NobodyTakes(_) | Self::UnreachableNode(..) | Self::UnreachableLine(_) => false,
        }
    }
}

/// Everything that is wrong with the paths of calls, in order of lines and nodes. Without errors
/// among it every call ends, whatever the caller does or does not do.
pub fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let graph = Graph::draw(config, &mut faults);
    let reached = graph.reached(config);
    faults.extend(graph.circles().into_iter().map(Fault::Circle));
    for (id, line) in &config.lines {
        let start = Place::Node(id.clone(), START.into());
        if !line.guidance.contains_key(&NodeId::from(START)) {
            faults.push(Fault::NoStart(id.clone()));
        } else if !reached.contains(&start) {
            faults.push(Fault::UnreachableLine(id.clone()));
            continue;
        }
        for node in line.guidance.keys() {
            if !reached.contains(&Place::Node(id.clone(), node.clone())) {
                faults.push(Fault::UnreachableNode(id.clone(), node.clone()));
            }
        }
        let is_taken = config.counselors.values().any(|c| c.lines.contains(id));
        if reached.contains(&Place::Queue(id.clone())) && !is_taken {
            faults.push(Fault::NobodyTakes(id.clone()));
        }
    }
    faults.sort_by(|a, b| b.is_error().cmp(&a.is_error()).then_with(|| a.cmp(b)));
    faults
}

/// Every place and where its exits lead; exits that end the call have no edge.
struct Graph(BTreeMap<Place, Vec<(Exit, Place)>>);

impl Graph {
    fn draw(config: &Config, faults: &mut Vec<Fault>) -> Self {
        let mut edges = BTreeMap::new();
        for (id, line) in &config.lines {
            for (place, exits) in places(id, line) {
                let ends = exits.into_iter().filter_map(|(exit, target)| {
                    match lead(config, &place, target) {
                        Lead::Ends => None,
                        Lead::To(next) => Some((exit, next)),
                        Lead::NoNode(node) => {
                            faults.push(Fault::UnknownNode(place.clone(), exit, node.clone()));
                            None
                        }
                        Lead::NoLine(line) => {
                            faults.push(Fault::UnknownLine(place.clone(), exit, line.clone()));
                            None
                        }
                    }
                });
                let ends = ends.collect();
                edges.insert(place, ends);
            }
        }
        Self(edges)
    }

    fn edges(&self, place: &Place) -> &[(Exit, Place)] {
        self.0.get(place).map_or(&[], Vec::as_slice)
    }

    /// Everywhere that a caller can get who dials a line's number.
    fn reached(&self, config: &Config) -> BTreeSet<Place> {
        let dialed = config.lines.iter().filter(|(_, line)| !line.numbers.is_empty());
        let mut open: Vec<Place> =
            dialed.map(|(id, _)| Place::Node(id.clone(), START.into())).collect();
        let mut reached = BTreeSet::new();
        while let Some(place) = open.pop() {
            let onward = self.edges(&place).iter().map(|(_, next)| next.clone());
            if self.0.contains_key(&place) && !reached.contains(&place) {
                open.extend(onward);
                reached.insert(place);
            }
        }
        reached
    }

    /// The silent circles: each edge that closes one gives one, beginning at its smallest place.
    /// A stack of our own, so that a long guidance can't overflow the thread's.
    fn circles(&self) -> BTreeSet<Vec<Place>> {
        let mut circles = BTreeSet::new();
        let mut done: BTreeSet<&Place> = BTreeSet::new();
        for root in self.0.keys() {
            let mut path: Vec<(&Place, usize)> = vec![(root, 0)];
            let mut on_path: BTreeSet<&Place> = BTreeSet::from([root]);
            while let Some((place, tried)) = path.last_mut() {
                let here = *place;
                let edge = self.edges(here).get(*tried);
                *tried += 1;
                match edge {
                    Some((exit, next)) if exit.is_silent() && on_path.contains(next) => {
                        let circle = path.iter().map(|(p, _)| *p).skip_while(|p| *p != next);
                        circles.insert(turned(circle.cloned().collect()));
                    }
                    Some((exit, next)) if exit.is_silent() && !done.contains(next) => {
                        path.push((next, 0));
                        on_path.insert(next);
                    }
                    Some(_) => {}
                    None => {
                        path.pop();
                        on_path.remove(here);
                        done.insert(here);
                    }
                }
            }
        }
        circles
    }
}

/// The circle, beginning at its smallest place, so that the same circle is told once.
fn turned(mut circle: Vec<Place>) -> Vec<Place> {
    let least = circle.iter().enumerate().min_by_key(|(_, place)| *place).map_or(0, |(i, _)| i);
    circle.rotate_left(least);
    circle
}

/// The places of a line and the targets of their exits.
fn places<'a>(id: &LineId, line: &'a Line) -> Vec<(Place, Vec<(Exit, &'a Target)>)> {
    let mut places: Vec<_> = line
        .guidance
        .iter()
        .map(|(name, node)| {
            let keys = node.keys.iter().map(|(digit, target)| (Exit::Key(*digit), target));
            let exits = std::iter::once((Exit::Next, &node.next)).chain(keys).collect();
            (Place::Node(id.clone(), name.clone()), exits)
        })
        .collect();
    let queue = &line.queue;
    let exits = vec![
        (Exit::OnTimeout, &queue.on_timeout),
        (Exit::OnFull, &queue.on_full),
        (Exit::OnNoCounselor, &queue.on_no_counselor),
    ];
    places.push((Place::Queue(id.clone()), exits));
    places
}

/// Where a target leads.
enum Lead<'a> {
    /// The call ends with last words.
    Ends,
    /// On to a place.
    To(Place),
    /// To a node that is not there.
    NoNode(&'a NodeId),
    /// To a line that is not there.
    NoLine(&'a LineId),
}

fn lead<'a>(config: &Config, from: &Place, target: &'a Target) -> Lead<'a> {
    let here = from.line();
    match target {
        Target::Help | Target::Hangup => Lead::Ends,
        Target::Queue => Lead::To(Place::Queue(here.clone())),
        Target::Node(node) => match config.lines.get(here) {
            Some(line) if line.guidance.contains_key(node) => {
                Lead::To(Place::Node(here.clone(), node.clone()))
            }
            Some(_) | None => Lead::NoNode(node),
        },
        Target::Line(line) if config.lines.contains_key(line) => {
            Lead::To(Place::Node(line.clone(), START.into()))
        }
        Target::Line(line) => Lead::NoLine(line),
    }
}

#[cfg(test)]
mod tests;
