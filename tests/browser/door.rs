//! The door: the first account by the printed link, invitations, roles, a session that ends in the
//! middle of a form.

use super::driver::Browser;
use crate::loopback::place::{Place, wait_for};
use crate::loopback::service::{Service, Setup};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use totp_rs::{Builder, Secret};

/// The operator of all browser tests.
pub(crate) const OPERATOR: (&str, &str) = ("運用 花子", "rainbow over saitama");
/// The password of everybody else.
pub(crate) const PASSWORD: &str = "a quiet saturday evening";

/// The path of the link that the program printed for the first account.
pub(crate) fn setup_link(service: &Service) -> String {
    let base = format!("http://{}", service.console());
    wait_for("the link to set the console up", Duration::from_secs(10), || {
        let log = service.log();
        let line = log.lines().find(|line| line.contains("/setup/"))?.to_owned();
        Some(line.rsplit_once(&base)?.1.trim().to_owned())
    })
}

/// A browser in which nobody has signed in.
pub(crate) fn stranger(place: &Place, service: &Service) -> Browser {
    Browser::start(place, &format!("http://{}", service.console()))
}

/// A browser in which the console has just been set up by the link that the program printed.
pub(crate) fn set_up(place: &Place, service: &Service) -> Browser {
    let browser = stranger(place, service);
    begin(&browser, service);
    browser
}

/// Sets the console up by the link that the program printed.
pub(crate) fn begin(browser: &Browser, service: &Service) {
    browser.open(&setup_link(service));
    browser.fill("#name", OPERATOR.0);
    browser.fill("#password", OPERATOR.1);
    browser.fill("#again", OPERATOR.1);
    browser.click("main button");
    browser.wait_text("header", OPERATOR.0);
}

/// Makes an account: the path of its invitation.
pub(crate) fn make_account(
    operator: &Browser,
    (name, role, extension): (&str, &str, &str),
) -> String {
    operator.open("/accounts");
    operator.fill("#name", name);
    operator.choose("#role", role);
    operator.choose("#extension", extension);
    operator.click("form.card button");
    operator.wait_text(".notice", name);
    operator.text("#invitation")
}

/// Chooses a password on the page of an invitation.
pub(crate) fn accept(browser: &Browser, name: &str) {
    browser.fill("#password", PASSWORD);
    browser.fill("#again", PASSWORD);
    browser.click("main button");
    browser.wait_text("header", name);
}

/// Makes an account and accepts its invitation in a browser of its own.
pub(crate) fn invite(
    place: &Place,
    service: &Service,
    operator: &Browser,
    account: (&str, &str, &str),
) -> Browser {
    let path = make_account(operator, account);
    let browser = stranger(place, service);
    browser.open(&path);
    accept(&browser, account.0);
    browser
}

/// Fills in the page where one signs in.
pub(crate) fn sign_in(browser: &Browser, name: &str, password: &str, code: &str) {
    browser.fill("#name", name);
    browser.fill("#password", password);
    browser.fill("#code", code);
    browser.click("main button");
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

#[test]
fn a_second_factor_is_set_up_and_asked_for() {
    let place = Place::new("browser-code");
    let service = Service::start(&place, &Setup::default());
    let browser = set_up(&place, &service);
    browser.open("/account/code");
    // What an authenticator would make of the picture, it makes of the text beside it.
    let secret = Secret::try_from_base32(browser.text("main code")).unwrap();
    let totp = Builder::new().with_secret(secret).build().unwrap();
    let code = |ahead: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        totp.generate(now + ahead).to_string()
    };
    let used = code(0);
    browser.fill("#code", &used);
    browser.click("main button");
    browser.wait_text("[role=status]", "確認コードを設定しました");
    let mut wrong = browser.look("account-with-code");
    browser.click("header form[action='/sign-out'] button");
    browser.wait_text("h1", "サインイン");
    // Without it, and with one that was used, the password is not enough.
    for given in ["", &used] {
        sign_in(&browser, OPERATOR.0, OPERATOR.1, given);
        browser.wait_text("[role=alert]", "違います");
    }
    wrong.extend(browser.look("sign-in-refused"));
    // The code of the next half minute is good already: clocks differ.
    sign_in(&browser, OPERATOR.0, OPERATOR.1, &code(30));
    browser.wait_text("header", OPERATOR.0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
