//! Configurations of random worlds.

use koebashi::chance::Chance;

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

pub(super) fn configuration(chance: &mut Chance, counselors: u64) -> String {
    let mut pick =
        |options: &[&str]| options[chance.below(options.len() as u64) as usize].to_owned();
    let mut toml = "[sip]\nlisten = [\"udp://10.0.0.1:5060\"]\n\
                    [[trunk]]\nid = \"navi\"\npeers = [\"10.0.1.0/25\"]\n\
                    [[trunk]]\nid = \"spare\"\npeers = [\"10.0.1.128/25\"]\n"
        .to_owned();
    for (n, id) in ["main", "other"].into_iter().enumerate() {
        let answer = pick(&["immediate", "ring", "early_media"]);
        let strategy =
            pick(&["longest_idle", "ring_all", "round_robin", "fewest_calls", "ordered"]);
        let (wrap_up, ring) = (pick(&["0s", "5s"]), pick(&["5s", "10s", "20s"]));
        let (max_wait, most) = (pick(&["15s", "60s"]), pick(&["1", "5"]));
        let menu = if id == "main" { pick(&["", MENU]) } else { String::new() };
        let recording =
            if answer == "immediate" { pick(&["off", "on", "ask"]) } else { "off".to_owned() };
        let (patience, pause) = (pick(&["0s", "10s"]), pick(&["0", "2"]));
        toml += &format!(
            "[[line]]\nid = \"{id}\"\nname = \"{id}\"\nnumbers = [\"057000000{n}\"]\n\
             answer = \"{answer}\"\n{menu}[line.recording]\nmode = \"{recording}\"\n\
             [line.queue]\nstrategy = \"{strategy}\"\n\
             wrap_up = \"{wrap_up}\"\nring_timeout = \"{ring}\"\nmax_wait = \"{max_wait}\"\n\
             max_callers = {most}\nmax_wait_no_counselor = \"{patience}\"\n\
             auto_pause_after = {pause}\n"
        );
    }
    for n in 1..=counselors {
        let lines = pick(&["[\"main\"]", "[\"main\", \"other\"]"]);
        let role = pick(&["counselor", "supervisor"]);
        toml += &format!(
            "[[counselor]]\nextension = \"10{n}\"\nname = \"{n}\"\nrole = \"{role}\"\n\
             password = \"password-10{n}\"\nlines = {lines}\n"
        );
    }
    if counselors == 1 {
        // A line that nobody takes is refused by `check`.
        toml = toml.replace("lines = [\"main\"]", "lines = [\"main\", \"other\"]");
    }
    toml + config::RECIPIENTS
}

/// The same town with another strategy, other times and limits of the queues, and other wrap-ups:
/// one of these lines is drawn anew each.
pub(super) fn edited(toml: &str, chance: &mut Chance) -> String {
    const KEYS: [(&str, &[&str]); 7] = [
        ("strategy", &["\"longest_idle\"", "\"ring_all\"", "\"round_robin\"", "\"ordered\""]),
        ("wrap_up", &["\"0s\"", "\"5s\""]),
        ("ring_timeout", &["\"5s\"", "\"10s\"", "\"20s\""]),
        ("max_wait", &["\"15s\"", "\"60s\""]),
        ("max_callers", &["1", "5"]),
        ("max_wait_no_counselor", &["\"0s\"", "\"10s\""]),
        ("auto_pause_after", &["0", "2"]),
    ];
    let (key, values) = KEYS[chance.below(KEYS.len() as u64) as usize];
    let head = format!("{key} = ");
    let lines = toml.lines().map(|line| {
        let value = values[chance.below(values.len() as u64) as usize];
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
