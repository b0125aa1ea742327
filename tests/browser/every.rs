//! Every page that an operator can open: its weight, its width on a telephone, and axe.

use super::door::set_up;
use crate::loopback::place::Place;
use crate::loopback::service::{Service, Setup};

/// Bytes of a page with everything that it needs.
const WEIGHT_MAX: u64 = 100_000;

/// Name of the picture, and path.
const PAGES: &[(&str, &str)] = &[
    ("board", "/board"),
    ("hours", "/hours/main"),
    ("settings", "/settings"),
    ("settings-line", "/settings/line/main"),
    ("settings-counselor", "/settings/counselor/101"),
    ("settings-trunk", "/settings/trunk/trunk"),
    ("history", "/settings/history"),
    ("prompts", "/prompts"),
    ("prompt", "/prompts/welcome"),
    ("opening", "/opening"),
    ("reports", "/reports"),
    ("account", "/account"),
    ("account-code", "/account/code"),
    ("accounts", "/accounts"),
    ("audit", "/audit"),
];

#[test]
fn every_page_is_light_fits_a_telephone_and_pleases_axe() {
    let place = Place::new("browser-every");
    let service = Service::start(&place, &Setup::default());
    let browser = set_up(&place, &service);
    let mut wrong = vec![];
    for (name, path) in PAGES {
        browser.open(path);
        assert_eq!(browser.path(), *path);
        let weight = browser.weight();
        if weight > WEIGHT_MAX {
            wrong.push(format!("{path}: {weight} bytes"));
        }
        wrong.extend(browser.look(name));
    }
    browser.open("/account");
    browser.click("header form[action='/language'] button");
    browser.wait_text("h1", "My account");
    wrong.extend(browser.look("account-en"));
    browser.click("header form[action='/sign-out'] button");
    browser.wait_text("h1", "Sign in");
    wrong.extend(browser.look("sign-in"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
