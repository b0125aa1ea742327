//! A caller's keys choose a branch of a menu: telephone-events, INFO in both content types, tones.

use std::time::Duration;

use super::calls::call;
use super::place::Place;
use super::rtp_peer::RtpPeer;
use super::service::{BRANCH, HELP, Service, Setup, WELCOME};
use super::sipp::Run;

const SOON: Duration = Duration::from_secs(10);
const SOUND: Duration = Duration::from_millis(700);

/// A menu: 1 leads to the branch, 2 and nothing pressed to the help message.
const MENU: &str = r#"
[line.guidance.start]
play = ["welcome"]
keys = { 1 = "branch", 2 = "help" }
timeout = "10s"
repeats = 0
next = "help"
[line.guidance.branch]
play = ["branch"]
next = "hangup"
"#;

/// A caller with `scenario` who does `press` when the menu is heard, and must come to the branch.
fn check(
    name: &str,
    scenario: &'static str,
    run: impl FnOnce(Run) -> Run,
    press: impl FnOnce(&RtpPeer),
) {
    let place = Place::new(name);
    let service = Service::start(&place, &Setup { tables: MENU.to_owned(), ..Setup::default() });
    let (mut caller, voice) = call(&place, &service, scenario, run);
    voice.hush();
    voice.wait_heard(0, WELCOME.1, SOUND, SOON);
    press(&voice);
    voice.wait_heard(0, BRANCH.1, SOUND, SOON);
    caller.succeed();
    super::tone::assert_not_heard("the caller", &voice.pcm(), HELP.1);
}

fn info(run: Run, kind: &str, body: &str) -> Run {
    run.fill("BEFORE", "1000").fill("TYPE", kind).fill("BODY", body)
}

#[test]
fn a_key_as_telephone_events_chooses_a_branch() {
    check("digits-events", "caller", |run| run, |voice| voice.press_event('1'));
}

#[test]
fn a_key_by_info_dtmf_relay_chooses_a_branch() {
    let run = |run| info(run, "application/dtmf-relay", "Signal=1\nDuration=160");
    check("digits-relay", "caller_info", run, |_| {});
}

#[test]
fn a_key_by_info_dtmf_chooses_a_branch() {
    check("digits-dtmf", "caller_info", |run| info(run, "application/dtmf", "1"), |_| {});
}

#[test]
fn a_key_as_tones_chooses_a_branch() {
    let only_audio =
        |run: Run| run.fill("FORMATS", "0").fill("ATTRIBUTES", "a=rtpmap:0 PCMU/8000/1");
    check("digits-tones", "caller", only_audio, |voice| voice.press_tones('1'));
}
