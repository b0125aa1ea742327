//! The configuration as operators meet it: the empty file, the manual, mistakes and what is said of
//! them, reloads.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::call::config::{AnnouncePosition, Extension, Override, Recording, Said, Secret, Target};
use crate::media::Prompt;

mod certificates;
mod limits;

const MANUAL: &str = include_str!("../../config/default.toml");

fn ok(text: &str) -> Loaded {
    parse(text, "k.toml", Path::new("")).unwrap_or_else(|c| panic!("{}", shown(&c)))
}

fn shown(complaints: &[Complaint]) -> String {
    complaints.iter().map(|c| format!("{c}\n")).collect()
}

/// What is said of a bad text, or of a good one.
fn said(text: &str) -> String {
    match parse(text, "k.toml", Path::new("")) {
        Ok(loaded) => shown(&loaded.warnings),
        Err(complaints) => shown(&complaints),
    }
}

/// The prompts that are shipped, and their lengths.
fn library() -> BTreeMap<Prompt, Duration> {
    let shipped: toml::Table = include_str!("../../prompts/prompts.toml").parse().unwrap();
    let prompts = shipped.iter().map(|(name, prompt)| {
        let seconds = prompt["seconds"].as_float().unwrap();
        (Prompt::from(name.as_str()), Duration::from_secs_f64(seconds))
    });
    prompts.collect()
}

/// A trunk, a line and a counselor that are in order, to put a mistake in.
const GOOD: &str = r#"[[trunk]]
id = "navi"
peers = ["192.0.2.1"]
[[line]]
id = "nijiiro"
numbers = ["0570-022-282"]
[[counselor]]
extension = "101"
password = "k7m2q9xw"
lines = ["nijiiro"]
"#;

#[test]
fn an_empty_file_opens_the_demo_on_loopback() {
    let loaded = ok("");
    assert_eq!(shown(&loaded.warnings), "");
    assert_eq!(shown(&check(&loaded, &library())), "");
    assert!(loaded.sip.listen.iter().all(|(_, socket)| socket.ip().is_loopback()));
    let trunk = &loaded.call.trunks[&"demo".into()];
    let peers: Vec<IpAddr> = trunk.peers.iter().map(|net| net.addr()).collect();
    assert_eq!(peers, ["127.0.0.1", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    assert!(trunk.peers.iter().all(|net| net.prefix_len() == net.max_prefix_len()));
    let line = &loaded.call.lines[&"demo".into()];
    assert_eq!(line.numbers, ["0570000000"]);
    assert!(line.schedule.hours.is_empty());
    let counselor = &loaded.call.counselors[&"101".into()];
    let ha1 = sip::auth::ha1(sip::auth::Algorithm::Md5, "101", "koebashi.local", DEMO_PASSWORD);
    assert_eq!(counselor.secret.as_ref().unwrap().md5.expose(), ha1);
    assert_eq!(loaded.call.lines.len() + loaded.call.counselors.len(), 2);
}

#[test]
fn the_demo_opens_on_loopback_only() {
    insta::assert_snapshot!(said("[sip]\nlisten = [\"udp://192.0.2.9:5060\"]\n"));
    // Nor can it be copied out of there.
    let text = GOOD.replace("k7m2q9xw", DEMO_PASSWORD);
    let text = format!("{text}\n[sip]\nlisten = [\"udp://192.0.2.9:5060\"]\n");
    insta::assert_snapshot!(
        said(&text),
        @"k.toml:9: counselor.101.password: is a placeholder, good on loopback only"
    );
}

#[test]
fn a_missing_file_is_the_demo_and_says_so() {
    let path = Path::new("no/such/koebashi.toml");
    let loaded = load_or_demo(path).unwrap();
    assert_eq!(
        shown(&loaded.warnings),
        "no/such/koebashi.toml: warning: is not there: the demo line opens on loopback\n"
    );
    assert!(shown(&load(path).unwrap_err()).starts_with("no/such/koebashi.toml: can't be read: "));
}

#[test]
fn what_callers_and_operators_count_on_is_the_default() {
    let loaded = ok(GOOD);
    assert_eq!(loaded.sip, sip::Config { listen: loaded.sip.listen.clone(), ..Default::default() });
    assert_eq!(loaded.media, media::Config::default());
    assert_eq!(loaded.console, Console::default());
    assert_eq!(loaded.store, store::Config::default());
    let line = &loaded.call.lines[&"nijiiro".into()];
    assert_eq!(line.numbers, ["0570022282"]);
    assert_eq!(line.name, "nijiiro");
    assert_eq!(line.queue.announce_position, AnnouncePosition::Limit(3));
    assert_eq!(line.queue.on_full, Target::Help);
    assert_eq!(loaded.call.prompt(Some(line), Said::Help), "help".into());
}

/// [`GOOD`] with a line that records, more keys of the line, and more sections.
fn recording(keys: &str, line: &str, more: &str) -> String {
    let table = format!("{line}\n[line.recording]\n{keys}\n[[counselor]]");
    format!("{}{more}", GOOD.replace("[[counselor]]", &table))
}

const RECIPIENTS: &str = "[recording]\n\
    recipients = [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n";

#[test]
fn who_records_must_say_so_first_and_needs_somebody_who_can_open_it() {
    let off = ok(&recording("mode = \"off\"", "", ""));
    assert_eq!(off.call.lines[&"nijiiro".into()].recording, Recording::Off);
    let on = ok(&recording("mode = \"on\"", "", RECIPIENTS));
    assert_eq!(on.shell.recorder.recipients.len(), 1);
    assert_eq!(on.shell.recorder.folder, Path::new("state/recordings"));
    let line = &on.call.lines[&"nijiiro".into()];
    assert_eq!(line.recording, Recording::On { prompt: "recording_notice".into() });
    assert_eq!(shown(&check(&on, &library())), "");
    let ask = ok(&recording("mode = \"ask\"\ntimeout = \"8s\"", "", RECIPIENTS));
    let timeout = Duration::from_secs(8);
    let asked = Recording::Ask { prompt: "recording_ask".into(), timeout };
    assert_eq!(ask.call.lines[&"nijiiro".into()].recording, asked);
    let key = "line.nijiiro.recording.mode";
    for mode in ["on", "ask"] {
        let mode = format!("mode = \"{mode}\"");
        let alone = said(&recording(&mode, "", ""));
        assert!(alone.contains(&format!("{key}: needs recording.recipients")), "{alone}");
        for answer in ["ring", "early_media"] {
            let answer = format!("answer = \"{answer}\"");
            let deaf = said(&recording(&mode, &answer, RECIPIENTS));
            assert!(deaf.contains(&format!("{key}: needs answer = \"immediate\"")), "{deaf}");
        }
    }
    let missing = ok(&recording("mode = \"on\"\nprompt = \"nowhere\"", "", RECIPIENTS));
    let all = shown(&check(&missing, &library()));
    assert!(all.contains("line.nijiiro.recording.prompt: there is no prompt \"nowhere\""), "{all}");
    let guidance = "[line.guidance]\nstart = { play = [\"not_recorded\"], next = \"queue\" }";
    let lie = said(&recording("mode = \"on\"", guidance, RECIPIENTS));
    assert!(lie.contains("warning: line.nijiiro.guidance.start.play: tells callers"), "{lie}");
}

#[test]
fn a_secret_key_is_refused_and_never_shown() {
    let secret = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    for text in [secret.to_owned(), secret.to_lowercase()] {
        let all = said(&format!("{GOOD}[recording]\nrecipients = [\"{text}\"]\n"));
        assert!(all.contains("recording.recipients: is a secret key"), "{all}");
        assert!(!all.to_uppercase().contains("GFPYYSJZ"), "{all}");
    }
    let all = said(&format!("{GOOD}[recording]\nrecipients = [\"age1nonsense\"]\n"));
    assert!(all.contains("is no age public key"), "{all}");
}

/// Keys without the ids and numbers of list elements: `line.queue.retry`.
fn pattern(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["trunk" | "line" | "counselor", _, "hours", _, rest] => format!("line.hours.{rest}"),
        [list @ ("trunk" | "line" | "counselor"), _, rest @ ..] => {
            format!("{list}.{}", rest.join("."))
        }
        parts => parts.join("."),
    }
}

#[test]
fn the_manual_is_clean_and_states_the_defaults() {
    let manual = ok(MANUAL);
    assert_eq!(shown(&check(&manual, &library())), "");
    let plain =
        ok("[[trunk]]\nid = \"navi\"\npeers = [\"127.0.0.1\"]\n[[line]]\nid = \"nijiiro\"\n\
        numbers = [\"1234\"]\n[[counselor]]\nextension = \"101\"\npassword = \"x\"\n\
        lines = [\"nijiiro\"]\n");
    // What the example has of its own.
    let own = ["line.name", "line.numbers", "line.closed.ranges", "line.prompts.closed"];
    let own = own.into_iter().chain(["counselor.name", "counselor.password"]);
    let own: BTreeSet<&str> = own.collect();
    let differing: Vec<String> = changes(&plain, &manual)
        .iter()
        .map(|change| pattern(&change.key))
        .filter(|key| !own.contains(key.as_str()))
        .filter(|key| !key.starts_with("line.hours.") && !key.starts_with("line.guidance."))
        .collect();
    assert_eq!(differing, [""; 0]);
}

#[test]
fn the_manual_names_every_key_and_its_examples_are_right() {
    let all: String = MANUAL
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with([' ', '\n']) && !key.is_empty() => key,
            Some(_) | None => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let said = said(&all);
    let without_places: Vec<_> =
        said.lines().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
    // Everything uncommented at once: passwords are there twice over, and their files are not.
    insta::assert_snapshot!(
        without_places.join("\n"),
        @r#"
    opening.mail.password_file: there is a password too: keep one of them
    trunk.navi.register.password_file: there is a password too: keep one of them
    warning: line.nijiiro.override_until: means nothing while override is "auto"
    counselor.101.password_file: there is a password too: keep one of them
    "#
    );
    for key in ok(GOOD).settings.keys() {
        let last = key.rsplit('.').next().unwrap();
        let named = |line: &str| line.trim_start_matches('#').starts_with(&format!("{last} = "));
        let inside = format!("{last} = ");
        assert!(
            MANUAL.lines().any(|l| named(l) || l.contains(&inside)),
            "{key} is not in the manual"
        );
    }
}

#[test]
fn every_mistake_is_told_with_its_line_and_the_nearest_name() {
    let text = r#"
[service]
timezone = "Asia/Tokio"
max_cals = 5
[service.log]
level = "verbose"
[sip]
listen = ["udp://127.0.0.1:5060", "upd://127.0.0.1", "tls://127.0.0.1:5061", "udp://0.0.0.0:5060"]
t1 = 500
[media]
ports = "30001-39998"
[[trunk]]
id = "navi"
peers = ["192.0.2.300"]
codecs = ["PCMU", "G729"]
session_expires = "30s"
[[line]]
id = "nijiiro"
numbers = ["0570-022-282"]
answer = "imediate"
override = "closed"
override_until = "tomorrow"
[[line.hours]]
days = ["sat", "caturday"]
open = "18:00"
intake_end = "22:30"
service_end = "22:00"
[line.closed]
ranges = ["12-29..02-30"]
[line.guidance]
start = { play = ["welcome"], keys = { 1 = "quue", x = "help" }, next = "menu" }
meny = { play = [], next = "line:nijiro" }
[line.queue]
ring_timout = "20s"
max_wait = "3min"
on_full = "queue"
[line.prompts]
clossed = "closed_nijiiro"
[[counselor]]
extension = "101"
lines = ["nijiro"]
[[counselor]]
extension = "101"
password = "k7m2q9xw"
password_file = "x"
[counsellor]
"#;
    insta::assert_snapshot!(said(text));
}

/// One mistake each: what is put in place of what in [`GOOD`], and what is said.
#[test]
fn single_mistakes() {
    let cases = [
        ("id = \"navi\"\n", ""),
        ("id = \"navi\"", "id = \"Navi 1\""),
        ("peers = [\"192.0.2.1\"]\n", ""),
        ("peers = [\"192.0.2.1\"]", "peers = \"192.0.2.1\""),
        ("peers = [\"192.0.2.1\"]", "peers = [\"192.0.2.1\", \"192.0.2.1/32\"]"),
        ("peers = [\"192.0.2.1\"]", "peers = [\"0.0.0.0/0\"]"),
        (
            "id = \"navi\"",
            "id = \"navi\"\nregister = { uri = \"carrier\", user = \"a b\", pasword = \"x\" }",
        ),
        ("id = \"navi\"", "id = \"navi\"\nregister = 5"),
        ("id = \"navi\"", "id = \"navi\"\ndscp = { sip = 64 }"),
        ("id = \"navi\"", "id = \"navi\"\nadvertised = \"0.0.0.0\""),
        ("\"0570-022-282\"", "\"+81570022282\""),
        ("\"0570-022-282\"", "\"101\""),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\nname = \"a\\nb\""),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\nguidance = { menu = { next = \"queue\" } }"),
        (
            "id = \"nijiiro\"",
            "id = \"nijiiro\"\nguidance = { start.next = \"queue\", help.next = \"queue\" }",
        ),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\nqueue.max_wait_no_counselor = \"5m\""),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\nqueue.max_callers = -1"),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\nqueue.retry = 2"),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\ncounselor_tones = [[\"15m\"]]"),
        ("id = \"nijiiro\"", "id = \"nijiiro\"\noverride_until = \"2026-12-26T21:00\""),
        ("extension = \"101\"", "extension = \"chief\""),
        ("extension = \"101\"", "extension = \"101\"\ncontact = \"sip:101@phone.example\""),
        ("password = \"k7m2q9xw\"\n", ""),
        ("password = \"k7m2q9xw\"", "password_file = \"no/such\""),
        ("password = \"k7m2q9xw\"", "ha1 = \"xyz\""),
        ("password = \"k7m2q9xw\"", "ha1_sha256 = \"xyz\""),
        ("lines = [\"nijiiro\"]", "lines = []"),
        ("lines = [\"nijiiro\"]", "lines = [\"nijiiro\"]\n[codes]\nready = \"10\""),
        ("lines = [\"nijiiro\"]", "lines = [\"nijiiro\"]\n[codes]\nready = \"*2\""),
        ("lines = [\"nijiiro\"]", "lines = [\"nijiiro\"]\n[codes.pause_reasons]\n11 = \"x\""),
        ("lines = [\"nijiiro\"]", "lines = [\"nijiiro\"]\n[media]\nports = \"30000-30010\""),
        ("lines = [\"nijiiro\"]", "lines = [\"nijiiro\"\n[media"),
        ("[[trunk]]", "[trunk]"),
    ];
    let told = cases.map(|(of, with)| {
        assert!(GOOD.contains(of), "{of}");
        format!("{}\n{}", with.replace('\n', "⏎"), said(&GOOD.replacen(of, with, 1)))
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn numbers_and_trunks_belong_to_one() {
    let text = format!(
        "{GOOD}\n[[line]]\nid = \"other\"\nnumbers = [\"0570022282\"]\n\
         [[trunk]]\nid = \"twin\"\npeers = [\"192.0.2.1\"]\n\
         [[trunk]]\nid = \"wide\"\npeers = [\"192.0.2.0/24\"]\n\
         [[line]]\nid = \"other\"\n"
    );
    insta::assert_snapshot!(said(&text), @r##"
k.toml:14: line.other.numbers: 0570022282 belongs to line nijiiro already
k.toml:17: trunk.twin.peers: 192.0.2.1/32 belongs to trunk navi already
k.toml:20: warning: trunk.wide.peers: 192.0.2.0/24 overlaps with trunk navi
k.toml:20: warning: trunk.wide.peers: 192.0.2.0/24 overlaps with trunk twin
k.toml:21: line.other: there already is one, in line 12
"##);
}

#[test]
fn windows_may_cross_midnight_but_not_each_other() {
    let hours = |windows: &[(&str, &str, &str, &str)]| {
        let windows: String = windows
            .iter()
            .map(|(days, open, intake, service)| {
                format!(
                    "[[line.hours]]\ndays = [{days}]\nopen = \"{open}\"\n\
                     intake_end = \"{intake}\"\nservice_end = \"{service}\"\n"
                )
            })
            .collect();
        said(&GOOD.replace("[[counselor]]", &format!("{windows}[[counselor]]")))
    };
    let sat = "\"sat\"";
    assert_eq!(hours(&[(sat, "18:00", "21:30", "22:00")]), "");
    assert_eq!(hours(&[(sat, "14:00", "05:30", "06:00")]), "");
    assert_eq!(
        hours(&[(sat, "00:00", "24:00", "24:00"), ("\"sun\"", "00:00", "00:00", "00:00")]),
        ""
    );
    insta::assert_snapshot!(
        hours(&[(sat, "18:00", "22:30", "22:00")]),
        @"k.toml:10: line.nijiiro.hours.1.intake_end: is after service_end"
    );
    for ends in [("17:00", "22:00"), ("17:00", "24:00")] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(
                hours(&[(sat, "18:00", ends.0, ends.1)]),
                @"k.toml:10: line.nijiiro.hours.1.intake_end: is before open"
            );
        }
    }
    insta::assert_snapshot!(
        hours(&[(sat, "18:00", "24:00", "22:00"), ("\"sun\"", "22:00", "03:00", "02:00")]),
        @r"
    k.toml:10: line.nijiiro.hours.1.intake_end: is after service_end
    k.toml:15: line.nijiiro.hours.2.intake_end: is after service_end
    "
    );
    insta::assert_snapshot!(
        hours(&[(sat, "18:00", "21:00", "22:00"), (sat, "21:30", "23:00", "23:00")]),
        @"k.toml:7: warning: line.nijiiro.hours.1: overlaps with another window on sat 21:30"
    );
    insta::assert_snapshot!(
        hours(&[("\"sun\"", "22:00", "02:00", "02:00"), ("\"mon\"", "01:00", "03:00", "03:00")]),
        @"k.toml:7: warning: line.nijiiro.hours.1: overlaps with another window on mon 01:00"
    );
}

#[test]
fn paths_that_never_end_are_refused() {
    let with = |guidance: &str, queue: &str| {
        let tables = format!("[line.guidance]\n{guidance}\n[line.queue]\n{queue}\n[[counselor]]");
        said(&GOOD.replace("[[counselor]]", &tables))
    };
    let start = "start = { next = \"queue\" }";
    assert_eq!(with(start, ""), "");
    insta::assert_snapshot!(with("start = { next = \"start\" }", ""));
    let sorry = format!("{start}\nsorry = {{ next = \"queue\" }}");
    insta::assert_snapshot!(with(&sorry, "on_timeout = \"sorry\""));
    insta::assert_snapshot!(with(start, "on_full = \"line:nijiiro\""));
    // By a key a caller may go round as often as they like.
    assert_eq!(with("start = { keys = { 9 = \"start\" }, next = \"queue\" }", ""), "");
    insta::assert_snapshot!(
        with(&format!("{start}\nlonely = {{ next = \"help\" }}"), ""),
        @"k.toml:9: warning: line.nijiiro.guidance.lonely: no caller ever gets to this node"
    );
}

#[test]
fn prompts_that_are_not_there_are_named() {
    let text = GOOD.replace(
        "id = \"nijiiro\"",
        "id = \"nijiiro\"\nprompts = { help = \"hlep\" }\n\
         guidance.start.next = \"queue\"\n\
         guidance.start.play = [\"welcom\", \"welcome\", \"hold\", \"help\", \"fault\", \"closed\"]",
    );
    let five = Duration::from_secs(5);
    let library = library().into_keys().map(|name| (name, five)).collect();
    insta::assert_snapshot!(shown(&check(&ok(&text), &library)));
}

#[test]
fn proofs_are_as_the_phone_computes_them() {
    let secret = |with: &str| {
        let loaded = ok(&GOOD.replace("password = \"k7m2q9xw\"", with));
        loaded.call.counselors[&Extension::from("101")].secret.clone().unwrap()
    };
    // printf '101:koebashi.local:k7m2q9xw' | md5sum, sha256sum
    let plain = secret("password = \"k7m2q9xw\"");
    let strong = secret("password = \"k7m2q9xw\"\ndigest = \"sha256\"");
    assert_eq!(plain.md5.expose(), "df06fa740cc276f87efacbcf500e3f6f");
    assert_eq!(plain.sha256, None);
    assert_eq!(
        strong.sha256.unwrap().expose(),
        "2c0b9ce6f3e26eb1c22716fc65fbd75db8fd0970ca52c2c8e9e0eca976a53a85"
    );
    let Secret { md5, .. } = secret("ha1 = \"0123456789ABCDEF0123456789abcdef\"");
    assert_eq!(md5.expose(), "0123456789abcdef0123456789abcdef");
}

#[test]
fn passwords_may_lie_in_files() {
    let dir = std::env::temp_dir().join(format!("koebashi-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("101.password"), "k7m2q9xw\n").unwrap();
    let text = GOOD.replace("password = \"k7m2q9xw\"", "password_file = \"101.password\"");
    std::fs::write(dir.join("k.toml"), &text).unwrap();
    let loaded = load(&dir.join("k.toml")).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let extension = Extension::from("101");
    assert_eq!(
        loaded.call.counselors[&extension].secret,
        ok(GOOD).call.counselors[&extension].secret
    );
}

#[test]
fn an_override_is_in_the_services_time() {
    let text = "id = \"nijiiro\"\noverride = \"closed\"\noverride_until = \"2026-12-26T21:00\"";
    let loaded = ok(&GOOD.replace("id = \"nijiiro\"", text));
    let until = "2026-12-26T12:00:00Z".parse().unwrap();
    assert_eq!(loaded.call.lines[&"nijiiro".into()].schedule.over, Override::Closed(Some(until)));
}

#[test]
fn secrets_are_in_no_printed_form() {
    let text = format!(
        "{GOOD}[[trunk]]\nid = \"b\"\n\
         register = {{ uri = \"sip:c\", user = \"u\", password = \"hush-hush\" }}\n"
    );
    let loaded = ok(&text);
    let settings: String = loaded.settings.values().map(|s| format!("{s} ")).collect();
    for printed in [format!("{loaded:?}"), settings] {
        assert!(!printed.contains("k7m2q9xw") && !printed.contains("hush-hush"));
    }
}

#[test]
fn changes_name_keys_and_what_waits_for_a_restart() {
    let old = ok(GOOD);
    assert_eq!(changes(&old, &ok(&format!("# 3m is 180s\n{GOOD}"))), []);
    let new = GOOD
        .replace("id = \"nijiiro\"", "id = \"nijiiro\"\nqueue.max_wait = \"4m\"")
        .replace("k7m2q9xw", "k7m2q9xx")
        .replace("\"101\"", "\"101\"\nname = \"A\"");
    let new = format!(
        "{new}[[counselor]]\nextension = \"102\"\npassword = \"k7m2q9xw\"\n\
         [console]\nlisten = \"127.0.0.1:8081\"\n"
    );
    let show = |setting: Option<Setting>| setting.map_or_else(|| "-".to_owned(), |s| s.to_string());
    let told: Vec<String> = changes(&old, &ok(&new))
        .into_iter()
        .map(|c| {
            let when = if c.after_restart { " (after restart)" } else { "" };
            format!("{}: {} → {}{when}", c.key, show(c.old), show(c.new))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
console.listen: 127.0.0.1:8080 → 127.0.0.1:8081 (after restart)
counselor.101.name: 101 → A
counselor.101.password: (secret) → (secret)
counselor.102: - → counselor.102
line.nijiiro.queue.max_wait: 3m → 4m
"##);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any text is loaded or refused with a complaint.
    #[test]
    fn no_text_is_too_odd(text in "(\\PC|[\\[\\]=\"{}#\\n.,a-z0-9]){0,200}") {
        if let Err(complaints) = parse(&text, "k.toml", Path::new("")) {
            prop_assert!(!complaints.is_empty());
        }
    }

    /// The manual with lines taken out, doubled, swapped or with values of other kinds.
    #[test]
    fn no_edit_of_the_manual_is_too_odd(
        edits in proptest::collection::vec((0_usize..220, 0_usize..220, 0_u8..6), 1..6),
    ) {
        let mut lines: Vec<String> = MANUAL.lines().map(str::to_owned).collect();
        for (a, b, how) in edits {
            let (a, b) = (a % lines.len(), b % lines.len());
            let key = lines[a].split('=').next().unwrap_or_default().to_owned();
            match how {
                0 => { lines.remove(a); }
                1 => { let line = lines[a].clone(); lines.insert(b, line); }
                2 => lines.swap(a, b),
                3 => lines[a] = format!("{key}= -99999999999999999999"),
                4 => lines[a] = format!("{key}= [[{{ x = \"\" }}], 1.5, true]"),
                _ => lines[a] = format!("{key}= \"18446744073709551615d\""),
            }
        }
        if let Err(complaints) = parse(&lines.join("\n"), "k.toml", Path::new("")) {
            prop_assert!(!complaints.is_empty());
        }
    }
}
