//! What an operator and a supervisor do on an evening, while real calls go on.

use std::time::Duration;

use super::alone::received;
use super::door::{OPERATOR, invite, set_up};
use super::driver::Browser;
use crate::loopback::calls::{caller, sipp_phone};
use crate::loopback::place::{Place, wait_for};
use crate::loopback::rtp_peer::RtpPeer;
use crate::loopback::service::{CALLER, CLOSED, COUNSELOR, HOLD, Service, Setup, WELCOME};
use crate::loopback::sipp::{Run, Sipp, TRUNK};
use crate::loopback::tone;

/// How long a sound, or a change, may take to be there.
const SOON: Duration = Duration::from_secs(15);
/// How long it must be heard to count.
const SOUND: Duration = Duration::from_millis(700);
/// Longer than a test.
const LONG: Duration = Duration::from_secs(90);
/// What the new welcome is, in Hz.
const NEW: u32 = 1_500;

/// Callers wait for a long time although nobody is on duty.
pub(super) fn patient() -> Setup {
    Setup {
        queue: "wrap_up = \"0s\"\nmax_wait_no_counselor = \"10m\"\nmax_wait = \"10m\"".to_owned(),
        ..Setup::default()
    }
}

/// A further caller, who says nothing.
pub(super) fn another(
    place: &Place,
    service: &Service,
    name: &str,
    run: impl FnOnce(Run) -> Run,
) -> (Sipp, RtpPeer) {
    let voice = RtpPeer::new(TRUNK, place.port(), None);
    let local = (TRUNK, place.port()).into();
    let made = Run::new("caller", local, Some(service.sip)).media(voice.address);
    (run(made).start(place, name), voice)
}

/// Saves what the form of this page would be, after a look at what it changes.
pub(super) fn look_and_save(browser: &Browser, change: &str) {
    browser.click("button[value=look]");
    browser.wait_text("main", change);
    browser.click("button[value=save]");
    browser.wait_text("[role=status]", "保存");
}

#[test]
fn a_call_comes_to_the_board_and_leaves_it() {
    let place = Place::new("browser-board");
    let service = Service::start(&place, &Setup::default());
    let operator = set_up(&place, &service);
    let supervisor = invite(&place, &service, &operator, ("監督", "supervisor", "101"));
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    supervisor.open("/board");
    supervisor.wait_text("main", "Counselor 101");
    supervisor.wait_gone("#talks tr");
    let (mut first, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(9)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    // Nobody reloads the page.
    supervisor.wait_text("#talks", "101");
    let mut wrong = supervisor.look("board-talk");
    first.succeed();
    phone.succeed();
    supervisor.wait_gone("#talks tr");
    operator.open("/board?wall=1");
    wrong.extend(operator.look("board-wall"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(service.record().outcome, "answered");
}

#[test]
fn the_welcome_is_changed_while_a_caller_is_in_the_call() {
    let place = Place::new("browser-prompt");
    let service = Service::start(&place, &patient());
    let browser = set_up(&place, &service);
    let (first, voice) = caller(&place, &service, |run| run.talk(LONG));
    voice.wait_heard(0, WELCOME.1, SOUND, SOON);
    let wav = place.dir.join("new welcome.wav");
    tone::write_wav(&wav, &tone::sine(NEW, Duration::from_secs(3)));
    browser.open("/prompts/welcome");
    browser.attach("#file", &wav);
    browser.fill("#said", "新しいあいさつ <b>");
    browser.click("form[action*='/upload'] button");
    browser.wait_text("main", "新しいあいさつ <b>");
    let mut wrong = browser.look("prompt-version");
    browser.click("form[action$='/activate'] button");
    wait_for("the new welcome to be on air", SOON, || {
        let file = std::fs::read(place.dir.join("prompts/welcome.wav")).ok()?;
        (file.len() > 40_000).then_some(())
    });
    // Who is in the call hears the music go on, and the next caller the new welcome.
    let mark = voice.mark();
    voice.wait_heard(mark, HOLD.1, SOUND, SOON);
    let (_second, newer) = another(&place, &service, "second", |run| run);
    newer.wait_heard(0, NEW, SOUND, SOON);
    tone::assert_not_heard("the second caller", &newer.pcm(), WELCOME.1);
    // Back again.
    browser.open("/prompts/welcome/versions/1");
    wrong.extend(browser.look("prompt-first-version"));
    browser.click("form[action$='/activate'] button");
    wait_for("the old welcome to be on air", SOON, || {
        let file = std::fs::read(place.dir.join("prompts/welcome.wav")).ok()?;
        (file.len() < 40_000).then_some(())
    });
    assert!(first.received("BYE").is_none(), "the first call is alive");
    let trail = service.audit().join("\n");
    assert!(trail.contains("welcome"), "{trail}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hours_are_changed_while_callers_wait() {
    let place = Place::new("browser-hours");
    let service = Service::start(&place, &patient());
    let browser = set_up(&place, &service);
    let (first, voice) = caller(&place, &service, |run| run.talk(LONG));
    voice.wait_heard(0, HOLD.1, SOUND, SOON);
    // Open on one morning in the week, and never today.
    browser.open("/hours/main");
    let today = browser.script("return String(new Date().getDay())", vec![]);
    let other = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        [(today.as_str().unwrap().parse::<usize>().unwrap() + 2) % 7];
    if browser.has("input[name=always]:checked") {
        browser.click("input[name=always]");
    }
    browser.click(&format!("input[name='days.1'][value={other}]"));
    browser.set("input[name='open.1']", "09:00");
    browser.set("input[name='intake_end.1']", "09:30");
    browser.set("input[name='service_end.1']", "10:00");
    look_and_save(&browser, "09:30");
    // New callers hear so; who waits goes on waiting.
    let (mut second, late) = another(&place, &service, "second", |run| run);
    late.wait_heard(0, CLOSED.1, SOUND, SOON);
    second.succeed();
    let mark = voice.mark();
    voice.wait_heard(mark, HOLD.1, SOUND, SOON);
    assert!(first.received("BYE").is_none(), "the first call is alive");
    // A closed day by the same form, and what it does.
    browser.open("/hours/main");
    browser.set("input[name=date]", "2027-02-13");
    look_and_save(&browser, "2027-02-13");
    let file = std::fs::read_to_string(&service.config).unwrap();
    assert!(file.contains("2027-02-13"), "{file}");
    browser.open("/hours/main?at=2027-02-13T09:10");
    browser.wait_text("main", "2027-02-13");
    let mut wrong = browser.look("hours-changed");
    // The evening by hand.
    browser.choose("#override", "open");
    browser.click("form[action='/hours/main/override'] button");
    wait_for("the line to be open", SOON, || {
        (service.board()["lines"][0]["open"] == true).then_some(())
    });
    browser.open("/settings/history");
    wrong.extend(browser.look("history-changed"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_line_is_checked_before_it_opens() {
    let place = Place::new("browser-opening");
    let service = Service::start(&place, &patient());
    let browser = set_up(&place, &service);
    browser.open("/opening");
    browser.wait_text("main", "まだ点検していません");
    browser.click("form[action='/opening/run'] button");
    browser.wait_text("[role=status], [role=alert]", "点検しました");
    // It called the line and heard its guidance; and it found that nobody is there to answer.
    browser.wait_text("main", "試験通話");
    let log = service.log();
    assert!(log.contains("(test) for line main") && log.contains("guidance: start"), "{log}");
    let text = browser.text("main");
    assert!(text.contains("問題あり") && text.contains(OPERATOR.0), "{text}");
    let mut wrong = browser.look("opening-checked");
    browser.open("/board");
    browser.wait_text("#opening", "問題があります");
    wrong.extend(browser.look("board-checked"));
    // It is nobody's call.
    browser.open("/reports");
    assert_eq!(received(&browser), "0");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
