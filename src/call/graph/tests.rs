//! Small configurations, and what the proof says of them.

use std::time::Duration;

use super::*;
use crate::call::config::*;
use crate::media::Digit;

fn target(text: &str) -> Target {
    match text {
        "queue" => Target::Queue,
        "help" => Target::Help,
        "hangup" => Target::Hangup,
        _ => match text.strip_prefix("line:") {
            Some(line) => Target::Line(line.into()),
            None => Target::Node(text.into()),
        },
    }
}

/// `start>queue menu>help,1=queue` and where the queue leads: timeout, full, nobody.
fn line(number: &str, guidance: &str, exits: [&str; 3]) -> Line {
    let node = |text: &str| {
        let (name, targets) = text.split_once('>').unwrap();
        let (next, keys) = targets.split_once(',').unwrap_or((targets, ""));
        let keys = keys.split(',').filter(|key| !key.is_empty()).map(|key| {
            let (digit, to) = key.split_once('=').unwrap();
            (Digit::from_char(digit.chars().next().unwrap()).unwrap(), target(to))
        });
        let timeout = Duration::from_secs(5);
        let keys = keys.collect();
        (name.into(), Node { play: vec![], keys, timeout, repeats: 0, next: target(next) })
    };
    Line {
        name: String::new(),
        numbers: [number].into_iter().filter(|n| !n.is_empty()).map(str::to_owned).collect(),
        answer: AnswerMode::Immediate,
        schedule: Schedule {
            hours: vec![],
            closed_ranges: vec![],
            closed_dates: vec![],
            closed_on_holidays: false,
            over: Override::Auto,
        },
        anonymous: Anonymous::Accept,
        recording: Recording::Off,
        guidance: guidance.split_whitespace().map(node).collect(),
        queue: Queue {
            strategy: Strategy::Ordered,
            ring_timeout: Duration::from_secs(20),
            retry: Duration::from_secs(2),
            max_wait: Duration::from_secs(180),
            max_callers: 5,
            max_wait_no_counselor: Duration::ZERO,
            announce_position: AnnouncePosition::Off,
            announce_every: Duration::from_secs(60),
            hold: "hold".into(),
            wrap_up: Duration::ZERO,
            auto_pause_after: 0,
            short_abandon: Duration::ZERO,
            on_timeout: target(exits[0]),
            on_full: target(exits[1]),
            on_no_counselor: target(exits[2]),
        },
        prompts: Prompts::default(),
        counselor_tones: vec![],
    }
}

/// What is wrong with these lines, when one counselor takes all of their calls.
fn told<const N: usize>(lines: [(&str, Line); N]) -> Vec<String> {
    let counselor = Counselor {
        name: String::new(),
        role: Role::Counselor,
        secret: None,
        lines: lines.iter().map(|(id, _)| LineId::from(*id)).collect(),
        contact: None,
        codecs: vec![crate::media::Codec::Pcmu],
        srtp: Srtp::Off,
        sign_in: SignIn::Auto,
        order: 0,
    };
    let config = Config {
        timezone: chrono_tz::Asia::Tokyo,
        trunks: BTreeMap::new(),
        lines: lines.into_iter().map(|(id, line)| (id.into(), line)).collect(),
        counselors: BTreeMap::from([("101".into(), counselor)]),
        codes: Codes {
            ready: String::new(),
            pause: String::new(),
            end_wrap_up: String::new(),
            extend_wrap_up: String::new(),
            log_out: String::new(),
            pause_reasons: BTreeMap::new(),
            listen: String::new(),
            whisper: String::new(),
            join: String::new(),
            help: String::new(),
            recording: String::new(),
        },
        supervision: Supervision {
            modes: vec![],
            notice: Notice::None,
            counselor_sees_listener: false,
            ring_timeout: Duration::ZERO,
            on_help: OnHelp::Tell,
            help_ring_max: 1,
            key_timeout: Duration::ZERO,
        },
        prompts: Prompts::default(),
        prompt_lengths: BTreeMap::new(),
        version: 0,
        repeat: Repeat { limit: Duration::ZERO, max: 0, key_life: Duration::ZERO },
        limits: Limits {
            max_calls: 1,
            drain: Duration::ZERO,
            vanish_after: Duration::ZERO,
            code_call: Duration::ZERO,
            lost_caller: Duration::ZERO,
        },
    };
    faults(&config).iter().map(|fault| format!("{} {}", fault.is_error(), words(fault))).collect()
}

fn words(fault: &Fault) -> String {
    match fault {
        Fault::NoStart(_) => format!("the guidance has no node \"{START}\" to begin with"),
        Fault::UnknownNode(_, _, node) => format!("there is no node \"{node}\""),
        Fault::UnknownLine(_, _, line) => format!("there is no line \"{line}\""),
        Fault::Circle(places) => {
            let way: Vec<_> = places.iter().chain(places.first()).map(Place::to_string).collect();
            format!("a caller who presses nothing goes round for ever: {}", way.join(" → "))
        }
        Fault::NobodyTakes(_) => "no counselor takes this line's calls".to_owned(),
        Fault::UnreachableNode(..) => "no caller ever gets to this node".to_owned(),
        Fault::UnreachableLine(_) => {
            "no number, and no other line leads here: no caller ever gets in".to_owned()
        }
    }
}

const HELP: [&str; 3] = ["help"; 3];
const ROUND: &str = "true a caller who presses nothing goes round for ever: ";

#[test]
fn paths_that_end_are_fine() {
    assert_eq!(told([("a", line("1", "start>queue", HELP))]), [""; 0]);
    // Round by a key is the caller's choice.
    assert_eq!(
        told([(
            "a",
            line("1", "start>queue,1=start,2=more more>start2 start2>hangup,9=start", HELP)
        )]),
        [""; 0]
    );
    // Two ways to the same node are no circle.
    let twice = line("1", "start>queue x>help", ["x", "x", "hangup"]);
    assert_eq!(told([("a", twice)]), [""; 0]);
    assert_eq!(
        told([("a", line("1", "start>line:b", HELP)), ("b", line("", "start>queue", HELP))]),
        ["false no counselor takes this line's calls"; 0]
    );
}

#[test]
fn circles_are_named() {
    let check = |guidance, exits, circles: &[&str]| {
        let expected: Vec<String> = circles.iter().map(|c| format!("{ROUND}{c}")).collect();
        assert_eq!(told([("a", line("1", guidance, exits))]), expected, "{guidance} {exits:?}");
    };
    check("start>start", HELP, &["a/start → a/start"]);
    check("start>x x>y,1=queue y>x", HELP, &["a/x → a/y → a/x"]);
    check("start>queue", ["line:a", "help", "help"], &["a/start → a/queue → a/start"]);
    check("start>queue x>queue", ["help", "help", "x"], &["a/x → a/queue → a/x"]);
    check(
        "start>queue x>queue y>queue",
        ["help", "y", "x"],
        &["a/x → a/queue → a/x", "a/y → a/queue → a/y"],
    );
}

#[test]
fn circles_over_several_lines_are_found() {
    let a = line("1", "start>queue", ["line:b", "help", "help"]);
    let b = line("2", "start>queue", ["help", "line:a", "help"]);
    assert_eq!(
        told([("a", a), ("b", b)]),
        [format!("{ROUND}a/start → a/queue → b/start → b/queue → a/start")]
    );
}

#[test]
fn targets_that_are_not_there_are_told() {
    assert_eq!(
        told([("a", line("1", "start>nowhere,1=line:b", ["gone", "help", "help"]))]),
        [
            "true there is no node \"nowhere\"",
            "true there is no node \"gone\"",
            "true there is no line \"b\"",
        ]
    );
    assert_eq!(
        told([("a", line("1", "menu>queue", HELP))])[0],
        "true the guidance has no node \"start\" to begin with"
    );
}

#[test]
fn what_nobody_reaches_is_told() {
    let a = line("1", "start>help lost>queue", HELP);
    let b = line("", "start>queue", HELP);
    assert_eq!(
        told([("a", a), ("b", b)]),
        [
            "false no caller ever gets to this node",
            "false no number, and no other line leads here: no caller ever gets in",
        ]
    );
}

#[test]
fn a_long_guidance_is_no_trouble() {
    let nodes: String = (0..5_000).map(|n| format!("n{n}>n{} ", n + 1)).collect();
    let guidance = format!("start>n0 {nodes} n5000>help");
    assert_eq!(told([("a", line("1", &guidance, HELP))]), [""; 0]);
}
