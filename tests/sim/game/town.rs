//! Configurations of random worlds.

use std::collections::BTreeMap;

use koebashi::call::config::LineId;
use koebashi::chance::Chance;

use super::hours::Hours;
use crate::config;

const MENU: &str = r#"
[line.guidance.start]
play = ["menu"]
keys = { 1 = "queue", 2 = "line:other", 3 = "help" }
timeout = "2s"
repeats = 1
next = "queue"
"#;

/// The callers of the second trunk have numbers from here on.
pub(super) const SECOND_TRUNK: u8 = 128;

/// A key of the queues, and the values that it may have.
type Key = (&'static str, &'static [&'static str]);

/// The queues of a world that lives for a minute or two.
const SHORT: [Key; 7] = [
    ("strategy", STRATEGIES),
    ("wrap_up", &["\"0s\"", "\"5s\""]),
    ("ring_timeout", &["\"5s\"", "\"10s\"", "\"20s\""]),
    ("max_wait", &["\"15s\"", "\"60s\""]),
    ("max_callers", &["1", "5"]),
    ("max_wait_no_counselor", &["\"0s\"", "\"10s\""]),
    ("auto_pause_after", &["0", "2"]),
];
/// Those of one that lives for hours: what an operator would write.
const LONG: [Key; 7] = [
    ("strategy", STRATEGIES),
    ("wrap_up", &["\"0s\"", "\"90s\"", "\"300s\""]),
    ("ring_timeout", &["\"10s\"", "\"20s\""]),
    ("max_wait", &["\"60s\"", "\"180s\""]),
    ("max_callers", &["2", "5"]),
    ("max_wait_no_counselor", &["\"0s\"", "\"60s\""]),
    ("auto_pause_after", &["0", "2"]),
];
const STRATEGIES: &[&str] = &["\"longest_idle\"", "\"ring_all\"", "\"round_robin\"", "\"ordered\""];

fn keys(is_long: bool) -> &'static [Key; 7] {
    if is_long { &LONG } else { &SHORT }
}

/// The configuration, and the hours of its lines where they have any.
pub(super) fn configuration(
    chance: &mut Chance,
    counselors: u64,
    is_long: bool,
) -> (String, BTreeMap<LineId, Hours>) {
    let mut hours = BTreeMap::new();
    let mut toml = "[sip]\nlisten = [\"udp://10.0.0.1:5060\"]\n".to_owned();
    for (id, network) in [("navi", "10.0.1.0/25"), ("spare", "10.0.1.128/25")] {
        let timer = if is_long { pick(chance, &["90s", "300s", "off"]) } else { "300s" };
        toml += &format!(
            "[[trunk]]\nid = \"{id}\"\npeers = [\"{network}\"]\nsession_expires = \"{timer}\"\n"
        );
    }
    for (n, id) in ["main", "other"].into_iter().enumerate() {
        let answer = pick(chance, &["immediate", "ring", "early_media"]);
        let mut queue = String::new();
        // Anything but the strategy is drawn from what an operator may edit later.
        let strategy =
            pick(chance, &["longest_idle", "ring_all", "round_robin", "fewest_calls", "ordered"]);
        queue += &format!("strategy = \"{strategy}\"\n");
        let [_, before @ .., patience, pause] = keys(is_long);
        let mut draw = |chance: &mut Chance, (key, values): &Key| {
            queue += &format!("{key} = {}\n", pick(chance, values));
        };
        before.iter().for_each(|key| draw(chance, key));
        let menu = if id == "main" { pick(chance, &["", MENU]) } else { "" };
        let recording =
            if answer == "immediate" { pick(chance, &["off", "on", "ask"]) } else { "off" };
        [patience, pause].into_iter().for_each(|key| draw(chance, key));
        let open = is_long.then(|| Hours::draw(chance));
        hours.extend(open.map(|open| (LineId::from(id), open)));
        toml += &format!(
            "[[line]]\nid = \"{id}\"\nname = \"{id}\"\nnumbers = [\"057000000{n}\"]\n\
             answer = \"{answer}\"\n{}{menu}[line.recording]\nmode = \"{recording}\"\n\
             [line.queue]\n{queue}",
            open.map(Hours::toml).unwrap_or_default()
        );
    }
    for n in 1..=counselors {
        let lines = pick(chance, &["[\"main\"]", "[\"main\", \"other\"]"]);
        let role = pick(chance, &["counselor", "supervisor"]);
        toml += &format!(
            "[[counselor]]\nextension = \"10{n}\"\nname = \"{n}\"\nrole = \"{role}\"\n\
             password = \"password-10{n}\"\nlines = {lines}\n"
        );
    }
    if counselors == 1 {
        // A line that nobody takes is refused by `check`.
        toml = toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]");
    }
    (toml + config::RECIPIENTS, hours)
}

fn pick(chance: &mut Chance, options: &[&'static str]) -> &'static str {
    options[chance.below(options.len() as u64) as usize]
}

/// The same town with another strategy, other times and limits of the queues, and other wrap-ups:
/// one of these lines is drawn anew each.
pub(super) fn edited(toml: &str, chance: &mut Chance, is_long: bool) -> String {
    let (key, values) = keys(is_long)[chance.below(7) as usize];
    let head = format!("{key} = ");
    let lines = toml.lines().map(|line| {
        let value = pick(chance, values);
        if line.starts_with(&head) { format!("{head}{value}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// What is different between the two.
pub(super) fn changes(one: &str, other: &str) -> String {
    let both = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
    let lines: Vec<_> = both.map(|(_, other)| other).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}
