//! What `koebashi when` says, from the text of a configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use koebashi::call::config::{Config, LineId};
use koebashi::call::schedule::parse_moment;
use koebashi::call::when::explain;
use koebashi::shell::prompts;

const TEXT: &str = r#"
[[trunk]]
id = "navi"
peers = ["127.0.0.1"]

[[line]]
id = "nijiiro"
name = "埼玉県にじいろ県民相談"
numbers = ["0570022282"]
[[line.hours]]
days = ["sat"]
open = "18:00"
intake_end = "21:30"
service_end = "22:00"
[line.closed]
ranges = ["12-29..01-03", "08-13..08-16"]
holidays = "closed"
[line.guidance]
start = { play = ["welcome_nijiiro", "not_recorded"], next = "queue" }
[line.prompts]
closed = "closed_nijiiro"

[[line]]
id = "menu"
name = "総合案内"
numbers = ["0480000000"]
answer = "early_media"
[line.guidance]
start = { play = ["welcome"], keys = { 1 = "queue", 2 = "line:nijiiro", 9 = "start" }, next = "bye" }
bye = { play = [], next = "hangup" }
[line.queue]
on_full = "line:nijiiro"

[[counselor]]
extension = "101"
lines = ["nijiiro", "menu"]
password = "correct horse"
"#;

/// The configuration, with prompts of 2.5 s each but for one that is missing.
fn config() -> Config {
    let path = std::path::Path::new("");
    let loaded = koebashi::config::parse(TEXT, "k.toml", path).expect("it is right");
    let mut config = loaded.call;
    let names = "welcome welcome_nijiiro closed closed_nijiiro closed_year_end help connecting \
                 hold no_counselor all_busy timed_out goodbye";
    let length = Duration::from_millis(2500);
    config.prompt_lengths = names.split_whitespace().map(|name| (name.into(), length)).collect();
    config
}

fn when(line: &str, moment: &str) -> String {
    let config = config();
    let wall = parse_moment(moment, config.timezone).unwrap();
    let shipped = prompts::texts(std::path::Path::new("there/is/none"));
    explain(&config, &shipped, &LineId::from(line), wall).unwrap()
}

#[test]
fn a_line_is_told_open_winding_and_closed() {
    let moments = [
        "2026-12-26T17:59", // before
        "2026-12-26T18:00", // open
        "2026-12-26T21:30", // winding
        "2027-01-02T19:00", // year-end
        "2028-04-29T19:00", // a holiday
        "2027-08-14T19:00", // a range that is not the year-end
    ];
    insta::assert_snapshot!(moments.map(|moment| when("nijiiro", moment)).join("\n"));
}

#[test]
fn keys_other_lines_and_circles_are_told_once() {
    insta::assert_snapshot!(when("menu", "2026-12-26T18:00"));
}

#[test]
fn an_unknown_line_is_named_with_those_that_are_there() {
    let wall = parse_moment("2026-12-26", chrono_tz::Asia::Tokyo).unwrap();
    let error = explain(&config(), &BTreeMap::new(), &LineId::from("nijiro"), wall).unwrap_err();
    assert_eq!(error.to_string(), "there is no line `nijiro`; lines are: menu, nijiiro");
}
