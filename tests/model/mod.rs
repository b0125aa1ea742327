//! Every interleaving of a small world: two callers and two counselors, who may do whatever they
//! may do at that moment, in any order, and whose words may cross those of the service on the way.
//!
//! The world is the real switchboard with real phones ([`World`]). From each state every choice is
//! taken, depth first; a state is what the board, the phones and what is on its way show, so that
//! one that is met again is not gone on from again. A choice that was not taken yet is reached by
//! playing all that was done before it again.

mod act;

use std::collections::BTreeMap;

use crate::config;
use act::Small;
pub(crate) use act::{Act, FIRST, SECOND};

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Choices in a row; `None`: as many as there are.
    pub depth: Option<usize>,
    /// One of so many ends is played on until nothing is left.
    pub rest: usize,
    /// Callers.
    pub callers: usize,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Different states.
    pub states: usize,
    /// Those of them in which somebody talks.
    pub joined: usize,
    /// Choices taken.
    pub choices: usize,
    /// The longest way from the beginning.
    pub depth: usize,
    /// Ways that were played on until everybody had hung up and nothing was left.
    pub ends: usize,
}

/// The configurations that are looked at: how callers are answered, and whom to ring.
pub(crate) const LINES: [(&str, &str, &str); 3] = [
    ("longest_idle", "", "ring_timeout = \"5s\"\nmax_wait = \"25s\""),
    (
        "ring_all",
        "answer = \"ring\"",
        "ring_timeout = \"5s\"\nmax_wait = \"25s\"\nstrategy = \"ring_all\"",
    ),
    (
        "ordered",
        "answer = \"early_media\"",
        "ring_timeout = \"5s\"\nmax_wait = \"25s\"\nstrategy = \"ordered\"",
    ),
];

/// Goes everywhere within the bounds, after this beginning. Panics with the way to whatever is wrong.
pub(crate) fn explore(
    (_, line, queue): (&str, &str, &str),
    beginning: &[Act],
    bounds: Bounds,
) -> Seen {
    let toml = config::basic(line, queue, "");
    let loaded = config::load(&toml);
    let mut seen = Seen::default();
    // With how many choices more each state was gone on from.
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: Vec<Vec<Act>> = vec![beginning.to_vec()];
    while let Some(mut way) = open.pop() {
        let mut small = Small::new(&loaded, &toml, bounds.callers);
        small.go(&way);
        loop {
            seen.choices += usize::from(!way.is_empty());
            seen.depth = seen.depth.max(way.len());
            let room = match bounds.depth {
                Some(depth) => depth - way.len(),
                None => usize::MAX,
            };
            let before = known.get(&small.state()).copied();
            if before.is_some_and(|before| before >= room) {
                break;
            }
            known.insert(small.state(), room);
            seen.joined += usize::from(before.is_none() && small.is_joined());
            let mut choices = if room == 0 { vec![] } else { small.choices() };
            let Some(first) = choices.pop() else { break };
            open.extend(choices.into_iter().map(|choice| [way.clone(), vec![choice]].concat()));
            way.push(first);
            small.go(&way[way.len() - 1..]);
        }
        if seen.choices % bounds.rest.max(1) == 0 {
            seen.ends += 1;
            small.come_to_rest();
        }
    }
    seen.states = known.len();
    seen
}
