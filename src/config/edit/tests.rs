//! What stays as it is when something changes: everything else.

use proptest::prelude::*;

use super::*;

const MANUAL: &str = include_str!("../../../config/default.toml");

/// Everything that a hand may have done to a file.
const FILE: &str = r#"# Ours, since 2024.
[service]   # limits
max_calls = 200 # the carrier's

[[trunk]]
id = "navi"
peers = ["192.0.2.1"]
dscp = { sip = 32, rtp = 46 }

# Saturdays.
[[line]]
id = "nijiiro"
name = "にじいろ"           # as on the poster
numbers = ["0570022282"]
queue.max_wait = "180s"
[[line.hours]]
days = ["sat"]
open = "18:00"
intake_end = "21:30"
service_end = "22:00"
[line.closed]
dates = [
    "2027-02-13", # 研修
    "2027-03-20",
]

# Weekdays.
[[line]]
id = "other"
numbers = ["0480000000"]

[[counselor]]
extension = "101"
password = "k7m2q9xw"
lines = ["nijiiro"]
# The end.
"#;

fn text(text: &str) -> Value {
    Value::text(text)
}

fn set(of: &str, key: &str, value: Value) -> String {
    apply(of, &[Edit::Set(key.to_owned(), value)]).unwrap()
}

fn unset(of: &str, key: &str) -> String {
    apply(of, &[Edit::Unset(key.to_owned())]).unwrap()
}

/// Lines that are in one text and not in the other, and the other way round; blank ones don't count.
fn diff(old: &str, new: &str) -> String {
    let diff = similar::TextDiff::from_lines(old, new);
    let lines = diff.iter_all_changes().filter(|it| it.tag() != similar::ChangeTag::Equal);
    let lines = lines.filter(|it| !it.value().trim().is_empty());
    lines.map(|it| format!("{}{}", it.tag(), it.value())).collect()
}

#[test]
fn a_value_changes_in_its_line_alone() {
    let check = |key, value, expected: &str| {
        assert_eq!(diff(FILE, &set(FILE, key, value)), expected, "{key}");
    };
    check(
        "service.max_calls",
        Value::Number(300),
        "-max_calls = 200 # the carrier's\n+max_calls = 300 # the carrier's\n",
    );
    check(
        "line.nijiiro.name",
        text("虹\"色"),
        "-name = \"にじいろ\"           # as on the poster\n\
         +name = '虹\"色'           # as on the poster\n",
    );
    check(
        "line.nijiiro.queue.max_wait",
        text("90s"),
        "-queue.max_wait = \"180s\"\n+queue.max_wait = \"90s\"\n",
    );
    check("line.nijiiro.hours.1.open", text("17:00"), "-open = \"18:00\"\n+open = \"17:00\"\n");
    check(
        "trunk.navi.dscp.rtp",
        Value::Number(40),
        "-dscp = { sip = 32, rtp = 46 }\n+dscp = { sip = 32, rtp = 40 }\n",
    );
    check("trunk.navi.dscp.rtp", Value::Number(46), "");
    check("counselor.101.lines", Value::texts(["nijiiro"]), "");
}

#[test]
fn a_key_that_was_not_there_stands_with_its_like() {
    let check = |key, value, expected: &str| {
        let changed = set(FILE, key, value);
        assert_eq!(diff(FILE, &changed), expected, "{key}");
        assert_eq!(unset(&changed, key), FILE, "{key}");
    };
    check("line.nijiiro.queue.hold", text("hold"), "+queue.hold = \"hold\"\n");
    check("line.nijiiro.closed.holidays", text("closed"), "+holidays = \"closed\"\n");
    check("line.other.queue.max_callers", Value::Number(3), "+[line.queue]\n+max_callers = 3\n");
    check("line.other.answer", text("ring"), "+answer = \"ring\"\n");
    check("counselor.101.name", text("A"), "+name = \"A\"\n");
    check("media.threads", Value::Number(2), "+[media]\n+threads = 2\n");
    check("service.log.level", text("warn"), "+[service.log]\n+level = \"warn\"\n");
    let node = Value::Table(vec![
        ("play".to_owned(), Value::texts(["welcome"])),
        ("keys".to_owned(), Value::Table(vec![("*".to_owned(), text("help"))])),
        ("next".to_owned(), text("queue")),
    ]);
    let written = "start = { play = [\"welcome\"], keys = { \"*\" = \"help\" }, next = \"queue\" }";
    check("line.other.guidance.start", node, &format!("+[line.guidance]\n+{written}\n"));
}

#[test]
fn elements_come_and_go_as_a_whole() {
    let fields =
        vec![("extension".to_owned(), text("102")), ("lines".to_owned(), Value::texts(["other"]))];
    let more = apply(FILE, &[Edit::Add("counselor".to_owned(), fields.clone())]).unwrap();
    let lines = "+[[counselor]]\n+extension = \"102\"\n+lines = [\"other\"]\n";
    assert_eq!(diff(FILE, &more), lines);
    assert_eq!(unset(&more, "counselor.102"), FILE);

    let window = vec![("days".to_owned(), Value::texts(["sun"]))];
    let more = apply(FILE, &[Edit::Add("line.nijiiro.hours".to_owned(), window.clone())]).unwrap();
    assert_eq!(diff(FILE, &more), "+[[line.hours]]\n+days = [\"sun\"]\n");
    assert_eq!(unset(&more, "line.nijiiro.hours.2"), FILE);
    let first = apply(FILE, &[Edit::Add("line.other.hours".to_owned(), window)]).unwrap();
    assert_eq!(unset(&first, "line.other.hours.1"), FILE);

    let less = unset(FILE, "line.nijiiro");
    assert!(less.contains("# Saturdays.\n\n# Weekdays.\n[[line]]\nid = \"other\""), "{less}");
    assert!(!less.contains("sat") && !less.contains("研修"), "{less}");
    let none = unset(&unset(FILE, "line.nijiiro.hours.1"), "line.nijiiro.closed");
    assert!(!none.contains("hours") && !none.contains("closed"), "{none}");
    assert_eq!(apply(FILE, &[Edit::Unset("line.nobody".to_owned())]).unwrap(), FILE);
    let gone = apply(FILE, &[Edit::Set("line.nobody.name".to_owned(), text("x"))]);
    assert_eq!(gone, Err(Error::Gone("line.nobody.name".to_owned())));
}

#[test]
fn lists_of_several_lines_keep_their_comments() {
    let dates = |dates: &[&str]| {
        diff(FILE, &set(FILE, "line.nijiiro.closed.dates", Value::texts(dates.iter().copied())))
    };
    assert_eq!(dates(&["2027-02-13", "2027-03-20", "2027-04-01"]), "+    \"2027-04-01\",\n");
    assert_eq!(
        dates(&["2027-02-13"]),
        "-    \"2027-02-13\", # 研修\n-    \"2027-03-20\",\n+    \"2027-02-13\",\n"
    );
    let text = FILE.replace("\"2027-03-20\",\n", "\"2027-03-20\" # end\n");
    let more = Value::texts(["2027-02-13", "2027-03-20", "2027-04-01"]);
    let more = set(&text, "line.nijiiro.closed.dates", more);
    assert!(more.contains("\"2027-03-20\", # end\n    \"2027-04-01\"\n]"), "{more}");
}

#[test]
fn tables_in_one_line_are_changed_too() {
    let file = "line = [{ id = \"a\", hours = [{ days = [\"sat\"] }] }, { id = \"b\" }]\n";
    let hours = "line.a.hours";
    let more = apply(file, &[Edit::Add(hours.to_owned(), vec![("days".to_owned(), text("x"))])]);
    let more = more.unwrap();
    assert!(more.contains("[{ days = [\"sat\"] }, { days = \"x\" }]"), "{more}");
    assert_eq!(unset(&more, "line.a.hours.2"), file);
    let set = set(file, "line.b.queue.hold", text("h"));
    assert!(set.contains("{ id = \"b\", queue = { hold = \"h\" } }"), "{set}");
    assert_eq!(unset(&set, "line.b.queue"), file);
    assert_eq!(unset(file, "line.a"), "line = [{ id = \"b\" }]\n");
}

#[test]
fn a_table_is_made_to_have_what_it_shall_have() {
    let file = "[codes.pause_reasons]\n1 = \"休憩\" # short\n2 = \"記録\"\n";
    let reasons = |all: &[(&str, &str)]| {
        Value::Table(all.iter().map(|(key, name)| ((*key).to_owned(), text(name))).collect())
    };
    let changed = set(file, "codes.pause_reasons", reasons(&[("1", "休憩"), ("5", "会議")]));
    assert_eq!(changed, "[codes.pause_reasons]\n1 = \"休憩\" # short\n5 = \"会議\"\n");
    // What is written and empty is not what is not written.
    assert_eq!(set(file, "codes.pause_reasons", reasons(&[])), "[codes.pause_reasons]\n");
    let begun = set("", "codes.pause_reasons", reasons(&[("1", "休憩")]));
    assert_eq!(begun, "[codes]\npause_reasons = { 1 = \"休憩\" }\n");
}

#[test]
fn the_demo_is_written_out_before_it_is_changed() {
    let begun = begun("").unwrap();
    assert!(begun.starts_with("# The configuration of koebashi."), "{begun}");
    let base = std::path::Path::new("");
    let settings = |text: &str| super::super::parse(text, "k.toml", base).unwrap().settings;
    assert_eq!(settings(&begun), settings(""));
    assert_eq!(super::begun(&begun).unwrap(), begun);
    let limits = super::begun("[service]\nmax_calls = 5").unwrap();
    assert_eq!(settings(&limits), settings("[service]\nmax_calls = 5"));
    assert!(super::begun("[service").is_err());
}

#[test]
fn other_line_breaks_and_open_ends_stay() {
    let file = FILE.replace('\n', "\r\n");
    let changed = set(&file, "media.threads", Value::Number(2));
    assert!(changed.ends_with("\r\n\r\n[media]\r\nthreads = 2\r\n"));
    assert_eq!(unset(&changed, "media.threads"), file);
    let open = FILE.trim_end();
    let changed = set(open, "media.threads", Value::Number(2));
    assert_eq!(unset(&changed, "media.threads"), open);
}

/// Every key of a text, with a value of its kind.
fn keys(text: &str) -> Vec<(String, Value)> {
    let loaded = super::super::parse(text, "k.toml", std::path::Path::new("")).unwrap();
    let keys = loaded.settings.keys().filter(|key| !key.starts_with("line.nijiiro.hours."));
    let keys = keys.filter(|key| !key.ends_with(".id") && !key.ends_with(".extension"));
    keys.map(|key| (key.clone(), Value::text("x\u{7f}\"\\'\n"))).collect()
}

proptest! {
    /// Whatever is set where nothing was goes without a trace.
    #[test]
    fn what_was_not_there_goes_without_a_trace(nth in 0_usize..1_000, manual in any::<bool>()) {
        let file = if manual { MANUAL } else { FILE };
        let all = keys(file);
        let (key, value) = &all[nth % all.len()];
        let changed = set(file, key, value.clone());
        let walked = parse(&changed).unwrap();
        let path = segments(key);
        let walk = Walk::along(walked.as_table(), &path);
        prop_assert!(walk.rest.is_empty(), "{key}");
        prop_assert_eq!(Value::read(walk.at), Some(value.clone()));
        if has(file, key) {
            let changed = diff(file, &changed);
            prop_assert!(changed.lines().filter(|line| line.starts_with('-')).count() <= 4, "{}", changed);
        } else {
            prop_assert_eq!(unset(&changed, key), file);
        }
    }

    /// Changes of several keys don't disturb each other, whatever their order.
    #[test]
    fn changes_do_not_disturb_each_other(a in 0_usize..1_000, b in 0_usize..1_000) {
        let all = keys(FILE);
        let ((a, value), (b, other)) = (&all[a % all.len()], &all[b % all.len()]);
        let inside = |x: &str, y: &str| x.starts_with(&format!("{y}.")) || x == y;
        prop_assume!(!inside(a, b) && !inside(b, a));
        let one = set(&set(FILE, a, value.clone()), b, other.clone());
        let two = set(&set(FILE, b, other.clone()), a, value.clone());
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        prop_assert_eq!(table(&one), table(&two));
    }
}
