//! Configurations for tests, as an operator would write them.

use std::path::Path;

use koebashi::call::config::Said;
use koebashi::config::{self, Loaded};
use koebashi::media::Prompt;

/// One trunk (10.0.1.0/24), one line that is always open, two counselors.
pub(crate) const BASIC: &str = r#"
[sip]
listen = ["udp://10.0.0.1:5060"]
[[trunk]]
id = "navi"
peers = ["10.0.1.0/24"]
[[line]]
id = "main"
name = "相談"
numbers = ["0570000000"]
[line.queue]
wrap_up = "0s"
[[counselor]]
extension = "101"
name = "相談員A"
password = "password-101"
lines = ["main"]
[[counselor]]
extension = "102"
name = "相談員B"
password = "password-102"
lines = ["main"]
"#;

/// A second line, which counselor 103 takes.
pub(crate) const OTHER: &str = r#"
[[line]]
id = "other"
name = "別"
numbers = ["0570000001"]
[line.queue]
announce_position = "off"
[[counselor]]
extension = "103"
name = "相談員C"
password = "password-103"
lines = ["other"]
"#;

/// The one prompt that there is none of.
pub(crate) const MISSING: &str = "missing";

/// Somebody who can open recordings.
pub(crate) const RECIPIENTS: &str = "[recording]\nrecipients = \
    [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n";

/// [`BASIC`] with more keys of the line, of its queue, and more sections after all.
pub(crate) fn basic(line: &str, queue: &str, more: &str) -> String {
    let with_line = BASIC.replace("[line.queue]\n", &format!("{line}\n[line.queue]\n{queue}\n"));
    format!("{with_line}{more}\n")
}

/// [`BASIC`] with one counselor only.
pub(crate) fn alone(line: &str, queue: &str, more: &str) -> String {
    let basic = basic(line, queue, more);
    let (before, rest) =
        basic.split_once("[[counselor]]\nextension = \"102\"").expect("two of them");
    let after = rest.split_once("lines = [\"main\"]\n").map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// Reads a configuration and gives it every prompt that it names.
pub(crate) fn load(toml: &str) -> Loaded {
    let mut loaded = match config::parse(toml, "test.toml", Path::new(".")) {
        Ok(loaded) => loaded,
        Err(complaints) => {
            let all: Vec<_> = complaints.iter().map(ToString::to_string).collect();
            panic!("{}", all.join("\n"))
        }
    };
    let mut names: Vec<Prompt> = Said::ALL.iter().map(|said| said.name().into()).collect();
    for line in loaded.call.lines.values() {
        names.extend(line.guidance.values().flat_map(|node| node.play.iter().cloned()));
        names.extend(line.prompts.0.values().cloned());
        names.extend(line.counselor_tones.iter().map(|(_, prompt)| prompt.clone()));
        names.push(line.queue.hold.clone());
        names.extend(line.recording.prompt().cloned());
    }
    names.retain(|name| &*name.0 != MISSING);
    // What the shell does for registrars that are named by their address.
    for register in loaded.call.trunks.values_mut().flat_map(|trunk| &mut trunk.register) {
        register.addresses.extend(
            register.uri.strip_prefix("sip:").and_then(|ip| ip.parse::<std::net::IpAddr>().ok()),
        );
    }
    let half = std::time::Duration::from_millis(500);
    loaded.call.prompt_lengths = names.into_iter().map(|name| (name, half)).collect();
    loaded
}
