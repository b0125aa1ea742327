//! The door: the first account by the printed link, invitations, roles, a session that ends in the
//! middle of a form.

use super::driver::Browser;
use crate::loopback::place::{Place, wait_for};
use crate::loopback::service::{Service, Setup};
use std::time::Duration;

/// The operator of all browser tests.
pub(crate) const OPERATOR: (&str, &str) = ("運用 花子", "rainbow over saitama");
/// The password of everybody else.
pub(crate) const PASSWORD: &str = "a quiet saturday evening";

/// A browser in which the console has just been set up by the link that the program printed.
pub(crate) fn set_up(place: &Place, service: &Service) -> Browser {
    let base = format!("http://{}", service.console());
    let browser = Browser::start(place, &base);
    let link = wait_for("the link to set the console up", Duration::from_secs(10), || {
        let log = service.log();
        let line = log.lines().find(|line| line.contains("/setup/"))?.to_owned();
        Some(line.rsplit_once(&base)?.1.trim().to_owned())
    });
    browser.open(&link);
    browser.fill("#name", OPERATOR.0);
    browser.fill("#password", OPERATOR.1);
    browser.fill("#again", OPERATOR.1);
    browser.click("main button");
    browser.wait_text("header", OPERATOR.0);
    // Once.
    browser.open(&link);
    browser.wait_text("[role=alert]", "もう使えません");
    browser
}

/// Makes an account and accepts its invitation in a browser of its own.
pub(crate) fn invite(
    place: &Place,
    service: &Service,
    operator: &Browser,
    (name, role, extension): (&str, &str, &str),
) -> Browser {
    operator.open("/accounts");
    operator.fill("#name", name);
    operator.choose("#role", role);
    operator.choose("#extension", extension);
    operator.click("form.card button");
    operator.wait_text(".notice", name);
    let path = operator.text("#invitation");
    let browser = Browser::start(place, &format!("http://{}", service.console()));
    browser.open(&path);
    browser.fill("#password", PASSWORD);
    browser.fill("#again", PASSWORD);
    browser.click("main button");
    browser.wait_text("header", name);
    browser
}

#[test]
fn everybody_sees_what_is_theirs_and_nothing_else() {
    let place = Place::new("browser-roles");
    let service = Service::start(&place, &Setup::default());
    let operator = set_up(&place, &service);
    let places = [
        ("/board", "operator supervisor"),
        ("/me", "counselor supervisor"),
        ("/prompts", "operator"),
        ("/hours", "operator"),
        ("/settings", "operator"),
        ("/opening", "operator supervisor"),
        ("/reports", "operator supervisor auditor"),
        ("/accounts", "operator"),
        ("/audit", "auditor operator"),
        ("/account", "operator supervisor counselor auditor"),
    ];
    let mut people = vec![("operator", operator)];
    for (role, extension) in [("supervisor", "101"), ("counselor", "101"), ("auditor", "")] {
        let person = invite(&place, &service, &people[0].1, (role, role, extension));
        people.push((role, person));
    }
    for (role, browser) in &people {
        for (path, roles) in places {
            browser.open(path);
            let is_theirs = roles.split(' ').any(|one| one == *role);
            let is_refused = browser.text("[role=alert]").contains("権限がありません");
            assert_eq!(is_refused, !is_theirs, "{role} at {path}");
            let is_in_menu = browser.has(&format!("nav a[href='{path}']"));
            assert_eq!(is_in_menu, is_theirs, "{role}, menu: {path}");
        }
    }
    let refused = service.audit().iter().filter(|it| it.contains("is not let to")).count();
    assert!(refused >= 10, "{refused}");
}

#[test]
fn what_was_typed_outlives_the_session() {
    let place = Place::new("browser-session");
    let service = Service::start(&place, &Setup::default());
    let browser = set_up(&place, &service);
    browser.open("/accounts");
    browser.fill("#name", "新しい人 <b>");
    // The session ends elsewhere, while the form is open.
    let script = "const done = arguments[0];
        fetch('/sign-out', { method: 'POST', headers: { 'x-csrf-token': document.body.dataset.csrf } })
            .then(() => done(true))";
    browser.script_async(script);
    browser.click("form.card button");
    browser.wait_text(".notice", "入力した内容は残っています");
    browser.fill("#name", OPERATOR.0);
    browser.fill("#password", "wrong, wrong, wrong");
    browser.click("main button");
    browser.wait_text("[role=alert]", "違います");
    browser.fill("#password", OPERATOR.1);
    browser.click("main button");
    browser.wait_text("main", "サインインしました");
    browser.click("main button");
    // It arrives as typed, and is judged as ever.
    browser.wait_text("[role=alert]", "名前は");
    assert_eq!(browser.path(), "/accounts");
}
