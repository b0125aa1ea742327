//! An operator who has never seen the configuration's file, and has nothing but the console: from
//! page to page by what can be clicked there.

use std::fs;
use std::time::Duration;

use super::door::set_up;
use super::driver::Browser;
use super::flows::{another, look_and_save, patient};
use crate::loopback::place::{Place, wait_for};
use crate::loopback::service::{HOLD, Service};
use crate::loopback::tone;

/// How long a sound may take to be there.
const SOON: Duration = Duration::from_secs(15);
/// How long it must be heard to count.
const SOUND: Duration = Duration::from_millis(700);
/// How long the caller waits.
const TALK: Duration = Duration::from_secs(8);
/// What the new welcome is, in Hz.
const NEW: u32 = 1_500;
/// Puts the call into the small hours of the first of next month, by the clocks of Japan.
const PUT_OFF: &str = "UPDATE cdr SET started_ms = 1000 * unixepoch('now', '+9 hours',
    'start of month', '+1 month', '+3 hours', '-9 hours')";

/// Goes to a page by the menu.
fn go(browser: &Browser, path: &str) {
    browser.click(&format!("nav a[href='{path}']"));
    browser.wait_text("nav a[aria-current]", "");
    assert_eq!(browser.path(), path);
}

/// The first figure of the report that is shown: calls that came.
pub(super) fn received(browser: &Browser) -> String {
    browser.wait_text(".cards .card:first-child", "着信");
    browser.text(".cards .card:first-child .big")
}

#[test]
fn an_operator_alone_changes_the_welcome_adds_a_closed_day_and_sees_next_months_report() {
    let place = Place::new("browser-alone");
    let mut service = Service::start(&place, &patient());
    let browser = set_up(&place, &service);
    let mut wrong = vec![];
    change_the_welcome(&place, &browser);
    add_a_closed_day(&browser);
    let file = fs::read_to_string(&service.config).unwrap();
    assert!(file.contains("2027-02-13"), "{file}");
    let (mut call, voice) = another(&place, &service, "call", |run| run.talk(TALK));
    voice.wait_heard(0, NEW, SOUND, SOON);
    voice.wait_heard(0, HOLD.1, SOUND, SOON);
    call.succeed();
    assert_eq!(service.records(1).len(), 1);
    go(&browser, "/reports");
    assert_eq!(received(&browser), "1");
    wrong.extend(browser.judge("reports-month"));
    let papers = browser.papers();
    assert!((1..=4).contains(&papers), "{papers} pages of paper");
    // Next month's report is asked for today, for the clock of a running program can't be turned:
    // it is empty. Then the call's record is put into that month, as it would lie there had the
    // call come then, while the service is down; the report is made of it.
    next(&browser);
    browser.wait_text("main", "この期間の通話記録はありません");
    service.restart(&place, |database| {
        assert_eq!(database.execute(PUT_OFF, []).unwrap(), 1);
    });
    // The session has outlived the restart, and so has what was changed.
    go(&browser, "/reports");
    assert_eq!(received(&browser), "0");
    next(&browser);
    assert_eq!(received(&browser), "1");
    wrong.extend(browser.judge("reports-next-month"));
    go(&browser, "/hours");
    browser.wait_text("main", "Loopback");
    assert!(browser.has("input[name=date][value='2027-02-13']"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn change_the_welcome(place: &Place, browser: &Browser) {
    let wav = place.dir.join("welcome of this year.wav");
    tone::write_wav(&wav, &tone::sine(NEW, Duration::from_secs(2)));
    go(browser, "/prompts");
    browser.click("main table a[href='/prompts/welcome']");
    browser.attach("#file", &wav);
    browser.fill("#said", "お電話ありがとうございます。");
    browser.click("form[action*='/upload'] button");
    browser.wait_text("main", "お電話ありがとうございます。");
    browser.click("form[action$='/activate'] button");
    wait_for("the new welcome to be on air", SOON, || {
        let file = fs::read(place.dir.join("prompts/welcome.wav")).ok()?;
        (file.len() > 30_000).then_some(())
    });
}

fn add_a_closed_day(browser: &Browser) {
    go(browser, "/hours");
    browser.set("input[name=date]", "2027-02-13");
    look_and_save(browser, "2027-02-13");
}

/// Goes on to the next month's report.
fn next(browser: &Browser) {
    browser.click("main a.button:nth-of-type(3)");
    let shown = browser.script("return location.search", vec![]);
    assert!(shown.as_str().unwrap().contains("span=month"), "{shown}");
}
