//! Checks of the source itself: who may import whom, what the core may not touch, how long a file
//! may be, what may not be left behind.
//!
//! Each check is a function from files to breaches. `planted` shows it files that break the rule.
//! Known gaps: a path is seen only where it is written out, so an item that is re-exported under
//! another name slips through; imports within macros of other crates are not seen.

mod documents;
mod planted;
mod prompts;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::Source;

/// What each top module may import, besides itself. Everything points down; nothing points up or
/// sideways. `a` is a module with all that is below, `a::b` only that part, `a::*` only the items
/// of its own file.
const ARROWS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("pii", &[]),
    ("chance", &[]),
    ("lang", &[]),
    ("complaint", &["lang"]),
    ("sip", &["time", "pii", "chance"]),
    ("media", &["time", "pii", "chance"]),
    ("call", &["time", "pii", "chance", "sip", "media::*", "media::pool", "media::dtmf"]),
    // Chance: advice on staffing is a simulation with a seed.
    ("store", &["time", "pii", "chance", "call::cdr", "call::config", "call::intention"]),
    ("shell", &["time", "pii", "chance", "complaint", "lang", "sip", "media", "call", "store"]),
    ("config", &["time", "pii", "complaint", "lang", "sip", "media", "call", "store", "shell"]),
    (
        "console",
        &[
            "time",
            "pii",
            "chance",
            "complaint",
            "lang",
            // The test call is a telephone's.
            "sip",
            "media::*",
            "media::prompt",
            "call",
            "store",
            "shell::handle",
            "shell::metrics",
            "shell::clock",
            "shell::phone",
            "shell::prompts",
            "config",
        ],
    ),
    (
        "demo",
        &[
            "time",
            "pii",
            "chance",
            "complaint",
            "lang",
            "sip",
            "media",
            "call",
            "store",
            "shell",
            "console",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "time",
            "pii",
            "chance",
            "complaint",
            "lang",
            "sip",
            "media",
            "call",
            "store",
            "shell",
            "console",
            "config",
            "demo",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Files of one folder that stand side by side: none of them imports another.
const SIDE_BY_SIDE: &[(&str, &[&str])] = &[
    ("call", &["trunk", "guidance", "queue", "bridge"]),
    ("media", &["g711", "rtp", "dtmf", "mos", "pool"]),
    ("media", &["rtcp", "dtmf", "prompt", "mos"]),
    ("sip", &["sdp", "auth", "frame"]),
];

/// The state machines.
const CORE: &[&str] = &["time", "pii", "chance", "sip", "media", "call"];

/// What the core may not name: clocks, sockets, files, threads, locks, channels, the runtime,
/// chance of its own, maps in random order, forms of storage.
const NOT_IN_CORE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "Utc::now",
    "Local::now",
    ".elapsed()",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "thread::spawn",
    "thread::sleep",
    "Mutex",
    "RwLock",
    "mpsc",
    "OnceLock",
    "static mut",
    "thread_local",
    "async",
    "await",
    "tokio",
    "mio",
    "nix",
    "socket2",
    "rusqlite",
    "axum",
    "tracing",
    "toml",
    "OsRng",
    "HashMap",
    "HashSet",
];

/// What of the core only the forms may name in which something is kept over a restart: files and
/// folders of this name.
const ONLY_IN_KEPT: &[&str] = &["serde", "serde_json"];
const KEPT: &str = "kept";

/// What no file may name: queues without a limit, lint exceptions that outlive their cause, ways
/// around the arrows.
const NOWHERE: &[(&str, &str)] = &[
    ("super::super", "name the module from crate::"),
    ("unbounded_channel", "every queue has a limit"),
    ("mpsc::channel()", "every queue has a limit"),
    ("#[allow", "use #[expect(.., reason = ..)]"),
    ("#![allow", "use #![expect(.., reason = ..)]"),
    ("todo!", "finish it"),
    ("unimplemented!", "finish it"),
    ("dbg!", "take it out"),
];

/// Where packets are moved, where open files come from and go to other processes, and where memory
/// is given back: the only places with `unsafe` in them. Each block says why it is sound; Clippy
/// sees to that.
const UNSAFE: [&str; 3] = ["shell/media_thread/backend/", "shell/fds.rs", "shell/memory.rs"];

/// Lines of one file, its unit tests and comments not counted.
const LINES_MAX: usize = 600;
/// Characters of one line.
const COLUMNS_MAX: usize = 100;

#[test]
fn arrows_point_down() {
    expect_none(&arrows(&source::all()));
}

#[test]
fn neighbors_stay_apart() {
    expect_none(&side_by_side(&source::all()));
}

#[test]
fn no_two_files_of_a_folder_need_each_other() {
    expect_none(&circles(&source::all()));
}

#[test]
fn core_is_sans_io() {
    expect_none(&core(&source::all()));
}

#[test]
fn nothing_is_left_behind() {
    expect_none(&leftovers(&source::all()));
}

#[test]
fn unsafe_stays_where_packets_and_files_are_moved() {
    expect_none(&unsafety(&source::all()));
}

#[test]
fn files_fit_in_the_head() {
    expect_none(&lengths(&source::all()));
}

#[test]
fn every_file_says_what_it_owns() {
    expect_none(&heads(&source::all()));
}

#[test]
fn every_prompt_has_its_file_and_every_file_its_prompt() {
    expect_none(&prompts::breaches());
}

/// Reports all breaches at once.
#[track_caller]
fn expect_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// One breach for each file for which `rule` finds one.
fn each(files: &[Source], rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    files.iter().flat_map(|f| rule(f).into_iter().map(|b| format!("src/{}: {b}", f.path))).collect()
}

/// Whether `path` is `module` or below it.
fn is_below(path: &[String], module: &str) -> bool {
    let mut rest = path.iter();
    module.split("::").all(|name| rest.next().is_some_and(|n| n == name))
}

fn arrows(files: &[Source]) -> Vec<String> {
    let modules: BTreeSet<&[String]> = files.iter().map(|f| f.module.as_slice()).collect();
    let allows = |allowed: &str, path: &[String]| match allowed.strip_suffix("::*") {
        Some(module) => is_below(path, module) && (path.len() < 2 || !modules.contains(&path[..2])),
        None => is_below(path, allowed),
    };
    each(files, |file| {
        let Some((_, allowed)) = ARROWS.iter().find(|(module, _)| *module == file.top()) else {
            return vec!["a top module that ARROWS does not know".to_owned()];
        };
        let is_ours = |path: &[String]| {
            path.first().is_some_and(|top| ARROWS.iter().any(|(module, _)| module == top))
        };
        let imports: BTreeSet<_> = file.imports().into_iter().collect();
        imports
            .iter()
            .filter(|path| is_ours(path) && !is_below(path, file.top()))
            .filter(|path| !allowed.iter().any(|a| allows(a, path)))
            .map(|path| format!("{} may not import {}", file.top(), path.join("::")))
            .collect()
    })
}

fn side_by_side(files: &[Source]) -> Vec<String> {
    each(files, |file| {
        let mut breaches = vec![];
        for (folder, names) in SIDE_BY_SIDE {
            let Some(own) = neighbor(&file.module, folder).filter(|n| names.contains(n)) else {
                continue;
            };
            let imports = file.imports();
            let others = imports.iter().filter_map(|path| neighbor(path, folder));
            let others: BTreeSet<_> = others.filter(|n| *n != own && names.contains(n)).collect();
            breaches.extend(others.iter().map(|n| format!("{own} may not know {n}")));
        }
        breaches
    })
}

/// The file of `folder` that a path leads into.
fn neighbor<'a>(path: &'a [String], folder: &str) -> Option<&'a str> {
    (path.first()? == folder).then(|| path.get(1).map(String::as_str))?
}

fn circles(files: &[Source]) -> Vec<String> {
    let modules: BTreeSet<&[String]> = files.iter().map(|f| f.module.as_slice()).collect();
    let mut edges: BTreeMap<&[String], BTreeSet<Vec<String>>> = BTreeMap::new();
    for file in files.iter().filter(|f| f.module.len() > 1) {
        for path in file.imports() {
            // The first place where the two ways part.
            let same = path.iter().zip(&file.module).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (file.module.get(..=same), path.get(..=same)) else {
                continue;
            };
            if same > 0 && modules.contains(from) && modules.contains(to) {
                let from = modules.get(from).map_or(from, |m| *m);
                edges.entry(from).or_default().insert(to.to_vec());
            }
        }
    }
    let mut breaches = vec![];
    for start in edges.keys() {
        let mut reached: BTreeSet<&[String]> = BTreeSet::new();
        let mut open = vec![*start];
        while let Some(at) = open.pop() {
            for next in edges.get(at).into_iter().flatten() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        if reached.contains(start) {
            let through = edges[start]
                .iter()
                .filter(|n| reached.contains(n.as_slice()) && edges.contains_key(n.as_slice()));
            let through: Vec<_> = through.map(|n| n.join("::")).collect();
            breaches.push(format!("{} needs itself by {}", start.join("::"), through.join(", ")));
        }
    }
    breaches
}

fn core(files: &[Source]) -> Vec<String> {
    each(files, |file| {
        let is_form = file.module.iter().any(|name| name == KEPT);
        let not_here = ONLY_IN_KEPT.iter().filter(|_| !is_form);
        let banned = NOT_IN_CORE.iter().chain(not_here).filter(|word| file.names(word));
        let banned = banned.map(|word| format!("the core may not use {word}"));
        if CORE.contains(&file.top()) { banned.collect() } else { vec![] }
    })
}

fn leftovers(files: &[Source]) -> Vec<String> {
    each(files, |file| {
        let words = NOWHERE.iter().filter(|(word, _)| file.names(word));
        let mut breaches: Vec<_> = words.map(|(word, why)| format!("{word}: {why}")).collect();
        for (i, line) in file.text.lines().enumerate() {
            let n = i + 1;
            if line.chars().count() > COLUMNS_MAX {
                breaches.push(format!("line {n}: more than {COLUMNS_MAX} columns"));
            }
            let Some((_, comment)) = line.split_once("//") else { continue };
            if ["TODO", "FIXME", "XXX", "HACK"].iter().any(|word| comment.contains(word)) {
                breaches.push(format!("line {n}: something is unfinished"));
            }
            if line.trim_start().starts_with("//") && is_code(comment) {
                breaches.push(format!("line {n}: code that is commented out"));
            }
        }
        breaches
    })
}

/// Whether a plain comment looks like code.
fn is_code(comment: &str) -> bool {
    let text = comment.trim();
    let ends = [";", "{", "}", "},", ");", "=>"];
    let begins = ["let ", "use ", "pub ", "fn ", "if let ", "match ", "return ", "#["];
    !comment.starts_with(['/', '!'])
        && (ends.iter().any(|end| text.ends_with(end))
            || begins.iter().any(|begin| text.starts_with(begin) && text.contains(['(', '=', ':'])))
}

fn unsafety(files: &[Source]) -> Vec<String> {
    each(files, |file| {
        let words = ["unsafe", "unsafe_code"].iter().filter(|word| file.names(word));
        let words = words.map(|word| format!("{word} outside of {UNSAFE:?}"));
        if UNSAFE.iter().any(|place| file.path.starts_with(place)) {
            vec![]
        } else {
            words.collect()
        }
    })
}

fn lengths(files: &[Source]) -> Vec<String> {
    each(files, |file| {
        // Comment lines are blank in `code` but not in `text`.
        let blank = |line: &str| line.trim().is_empty();
        let lines = file.code.lines().filter(|line| !blank(line)).count();
        let too_long = lines > LINES_MAX;
        too_long
            .then(|| format!("{lines} lines of code, at most {LINES_MAX}"))
            .into_iter()
            .collect()
    })
}

fn heads(files: &[Source]) -> Vec<String> {
    each(files, |file| {
        let says = file.text.starts_with("//! ");
        (!says).then(|| "opens without `//!`".to_owned()).into_iter().collect()
    })
}
