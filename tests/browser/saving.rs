//! Settings: what people wrote into the file stays, and nobody's change is lost, whether it came by
//! the console or by hand.

use std::fs;

use serde_json::json;

use super::door::{invite, set_up};
use super::driver::Browser;
use super::flows::look_and_save;
use crate::loopback::place::Place;
use crate::loopback::service::{PASSWORD, Service, Setup};

const FORM: &str = "/settings/counselor/101";
const NAME: &str = "[name='counselor.101.name']";
const ROLE: &str = "[name='counselor.101.role']";

/// Opens the form and changes the name, up to where it can be looked at.
fn rename(browser: &Browser, name: &str) {
    browser.open(FORM);
    browser.fill(NAME, name);
}

#[test]
fn two_operators_and_a_hand_change_the_same_file() {
    let place = Place::new("browser-saving");
    let counselor = format!(
        "[[counselor]]\nextension = \"101\"\nname = \"Counselor 101\" # on Tuesdays\n\
         password = \"{PASSWORD}\"\nlines = [\"main\"]\n"
    );
    let service = Service::start(&place, &Setup { counselors: counselor, ..Setup::default() });
    let file = || fs::read_to_string(&service.config).unwrap();
    let first = set_up(&place, &service);
    let second = invite(&place, &service, &first, ("第二 太郎", "operator", ""));
    let mut wrong = vec![];
    second.open(FORM);
    rename(&first, "青木");
    first.click("button[value=look]");
    first.wait_text("main", "Counselor 101");
    wrong.extend(first.look("saving"));
    first.click("button[value=save]");
    first.wait_text("[role=status]", "保存しました");
    assert!(file().contains("name = \"青木\" # on Tuesdays\n"), "{}", file());
    // The second had the form open all the while, and changes something else.
    second.choose(ROLE, "supervisor");
    second.click("button[value=look]");
    second.wait_text("main", "ほかの人が設定を変えました");
    second.wait_text(".notice ins", "name = \"青木\"");
    second.wait_text("main", "重なりません");
    wrong.extend(second.look("saving-onto"));
    second.click("button[value=save]");
    second.wait_text("[role=status]", "保存しました");
    assert!(file().contains("name = \"青木\" # on Tuesdays\n"), "{}", file());
    assert!(file().contains("role = \"supervisor\""), "{}", file());
    // Both change the same: what was typed is kept, and is saved after a look.
    rename(&second, "上田");
    rename(&first, "井上");
    look_and_save(&first, "井上");
    second.click("button[value=look]");
    second.wait_text("main", "同じ項目が変えられています");
    assert!(!second.has("button[value=save]"));
    wrong.extend(second.look("saving-clash"));
    second.click("button[value=edit]");
    second.wait_text("h1", "井上");
    let typed =
        second.script("return document.querySelector(arguments[0]).value", vec![json!(NAME)]);
    assert_eq!(typed, "上田");
    look_and_save(&second, "上田");
    assert!(file().contains("name = \"上田\" # on Tuesdays\n"), "{}", file());
    // Somebody edits the file by hand while the form is open.
    rename(&first, "江口");
    fs::write(&service.config, file().replace("retry = \"1s\"", "retry = \"3s\" # by hand"))
        .unwrap();
    first.click("button[value=look]");
    first.wait_text("main", "ほかの人が設定を変えました");
    first.wait_text(".notice ins", "# by hand");
    first.click("button[value=save]");
    first.wait_text("[role=status]", "保存しました");
    let now = file();
    assert!(now.contains("retry = \"3s\" # by hand") && now.contains("\"江口\" # on"), "{now}");
    back(&first, &service, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All of it is in the history, and a version of it comes back.
fn back(browser: &Browser, service: &Service, wrong: &mut Vec<String>) {
    browser.open("/settings/history");
    browser.wait_text("main", "第二 太郎");
    browser.wait_text("main", "ファイルを直接編集");
    wrong.extend(browser.look("history-of-two"));
    browser.open("/settings/history/1");
    browser.click("button[value=look]");
    browser.wait_text("main", "Counselor 101");
    wrong.extend(browser.look("history-back"));
    browser.click("button[value=save]");
    browser.wait_text("[role=status]", "保存しました");
    let now = fs::read_to_string(&service.config).unwrap();
    assert!(now.contains("name = \"Counselor 101\" # on Tuesdays"), "{now}");
}
