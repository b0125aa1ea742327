//! Other ways to use the console: with the keyboard alone, and with scripts turned off.

use std::fs;
use std::time::Duration;

use fantoccini::key::Key;

use super::door::{OPERATOR, PASSWORD};
use super::door::{begin, invite, set_up, sign_in};
use super::driver::{Browser, Scripts};
use super::flows::look_and_save;
use crate::loopback::calls::sipp_phone;
use crate::loopback::place::{Place, wait_for};
use crate::loopback::service::{Service, Setup};

/// How long what was asked for may take to be in force.
const SOON: Duration = Duration::from_secs(15);
/// Presses of Tab after which a button must have been reached.
const TABS: usize = 60;

/// What has the focus (tag, value, target), and whether one sees that it has.
fn focus(browser: &Browser) -> (String, bool) {
    let script = "const on = document.activeElement;
        const what = [on.tagName, on.value || on.getAttribute('href') || on.id].join(' ');
        return [what, getComputedStyle(on).outlineStyle !== 'none']";
    let told = browser.script(script, vec![]);
    (told[0].as_str().unwrap().to_owned(), told[1] == true)
}

/// Goes on by Tab until this has the focus.
fn tab_to(browser: &Browser, what: &str) {
    for _ in 0..TABS {
        browser.press(Key::Tab);
        let (on, is_seen) = focus(browser);
        assert!(is_seen, "nobody sees that {on} has the focus");
        if on == what {
            return;
        }
    }
    panic!("{TABS} presses of Tab don't lead to {what}");
}

#[test]
fn a_supervisor_works_the_board_with_the_keyboard_alone() {
    let place = Place::new("browser-keys");
    let service = Service::start(&place, &Setup::default());
    let operator = set_up(&place, &service);
    let supervisor = invite(&place, &service, &operator, ("監督", "supervisor", ""));
    assert!(operator.runs_scripts(), "scripts are on, as ever");
    let _phone = sipp_phone(&place, &service, "phone", |run| run);
    supervisor.open("/board");
    supervisor.wait_text("#counselors", "受付可");
    // Past the menu, by the first link of the page.
    tab_to(&supervisor, "A #main");
    supervisor.press(Key::Enter);
    assert_eq!(focus(&supervisor).0, "MAIN main");
    tab_to(&supervisor, "BUTTON pause 101");
    supervisor.press(Key::Enter);
    supervisor.wait_text("main > .notice", "変えました");
    service.wait_counselor("101", "paused");
    supervisor.wait_text("#counselors", "離席");
    // What changes by itself does not take the focus away.
    tab_to(&supervisor, "BUTTON ready 101");
    let body = r#"{"state": "paused", "reason": "休憩"}"#;
    assert_eq!(service.post("/api/v1/counselors/101/state", body), Some(200));
    supervisor.wait_text("#counselors", "休憩");
    assert_eq!(focus(&supervisor).0, "BUTTON ready 101");
    supervisor.press(Key::Enter);
    service.wait_counselor("101", "ready");
}

#[test]
fn all_of_it_works_without_scripts() {
    let place = Place::new("browser-plain");
    let service = Service::start(&place, &Setup::default());
    let base = format!("http://{}", service.console());
    let browser = Browser::start_with(&place, &base, Scripts::Off);
    assert!(!browser.runs_scripts(), "scripts are off");
    begin(&browser, &service);
    browser.click("header form[action='/sign-out'] button");
    browser.wait_text("h1", "サインイン");
    sign_in(&browser, OPERATOR.0, PASSWORD, "");
    browser.wait_text("[role=alert]", "違います");
    sign_in(&browser, OPERATOR.0, OPERATOR.1, "");
    browser.wait_text("header", OPERATOR.0);
    browser.open("/settings/counselor/101");
    browser.fill("[name='counselor.101.name']", "青木");
    look_and_save(&browser, "青木");
    let file = fs::read_to_string(&service.config).unwrap();
    assert!(file.contains("name = \"青木\""), "{file}");
    // The board, too: how long a state has lasted stands there, though nothing counts it on.
    browser.open("/board");
    browser.wait_text("#counselors time", ":");
    browser.click("main details summary");
    browser.click("form[action='/hours/main/override'] input[value=closed]");
    browser.click("form[action='/hours/main/override'] button");
    wait_for("the line to be closed", SOON, || {
        (service.board()["lines"][0]["open"] == false).then_some(())
    });
}
