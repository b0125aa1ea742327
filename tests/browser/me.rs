//! My page: what a counselor sees of their phone and their calls, and what they press.

use std::time::Duration;

use serde_json::json;

use super::door::{invite, set_up};
use super::driver::Browser;
use crate::loopback::calls::caller;
use crate::loopback::place::{Place, wait_for};
use crate::loopback::rtp_peer::RtpPeer;
use crate::loopback::service::{COUNSELOR, Service, Setup};
use crate::loopback::sipp::{PHONES, Run};

/// How long a change may take to be there.
const SOON: Duration = Duration::from_secs(15);

/// The moment at which the time for notes ends, in seconds of Unix time.
fn notes_until(browser: &Browser) -> u64 {
    let script = "const time = document.querySelector('#mine time[data-until]');
        return time ? Number(time.dataset.until) : 0";
    browser.script(script, vec![]).as_u64().unwrap()
}

#[test]
fn a_counselor_works_through_an_evening_on_their_own_page() {
    let place = Place::new("browser-me");
    let setup = Setup { queue: "wrap_up = \"2m\"".to_owned(), ..Setup::default() };
    let service = Service::start(&place, &setup);
    let operator = set_up(&place, &service);
    let own = invite(&place, &service, &operator, ("青木", "counselor", "101"));
    operator.open("/board");
    assert_eq!(own.path(), "/me");
    // No phone is there: red, and what to do.
    own.wait_text("#mine .state.bad", "電話不通");
    own.wait_text("#mine .state.bad ol", "ソフトフォン");
    own.open("/me");
    let mut wrong = own.judge("me-unreachable");
    let local = (PHONES, place.port()).into();
    let register = |expires: &str, name: &str| {
        let run = Run::new("register", local, Some(service.sip)).fill("EXTENSION", "101");
        run.fill("EXPIRES", expires).start(&place, name).succeed();
    };
    register("120", "register");
    let ear = RtpPeer::new(PHONES, place.port(), Some(COUNSELOR));
    let mut phone = Run::new("phone", local, None).media(ear.address).start(&place, "phone");
    // Nobody reloads the page.
    own.wait_text("#mine .big", "受付可");
    own.wait_gone("#mine .bad");
    own.click("#mine button[value='pause 休憩']");
    own.wait_text("main > .notice", "離席にしました");
    own.wait_text("#mine", "休憩");
    service.wait_counselor("101", "paused");
    own.click("#mine button[value=ready]");
    service.wait_counselor("101", "ready");
    own.wait_text("#mine .big", "受付可");
    call(&place, &service, (&own, &operator), &mut wrong);
    phone.succeed();
    notes(&service, &own, &mut wrong);
    // The phone goes.
    register("0", "unregister");
    own.wait_text("#mine .state.bad", "電話不通");
    own.open("/me");
    own.wait_text("main tbody", "無言");
    wrong.extend(own.judge("me-after"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A call comes, help is asked for, and taken back; the call ends.
fn call(
    place: &Place,
    service: &Service,
    (own, operator): (&Browser, &Browser),
    wrong: &mut Vec<String>,
) {
    let (mut call, _voice) = caller(place, service, |run| run.talk(Duration::from_secs(14)));
    own.wait_text("#mine", "いまの通話");
    own.wait_text("#mine .big", "相談中");
    own.click("#mine button[value=help]");
    own.wait_text("#mine", "支援要請中");
    operator.wait_text("#alerts", "支援要請");
    wrong.extend(own.look("me-help"));
    own.click("#mine button[value=unhelp]");
    own.wait_text("#mine button[value=help]", "支援を呼ぶ");
    operator.wait_gone("#alerts .notice");
    call.succeed();
}

/// Time for notes: longer, what the call was, over.
fn notes(service: &Service, own: &Browser, wrong: &mut Vec<String>) {
    own.wait_text("#mine", "残り");
    service.wait_counselor("101", "wrap_up");
    let first = notes_until(own);
    own.click("#mine button[value=extend]");
    wait_for("more time", SOON, || (notes_until(own) >= first + 100).then_some(()));
    own.click("#contact button[value$=' 無言']");
    own.wait_text("#contact", "記録済み: 無言");
    wrong.extend(own.look("me-notes"));
    own.click("#mine button[value=end]");
    own.wait_text("#mine .big", "受付可");
    let script = "return document.querySelector(arguments[0]).value";
    let chosen = own.script(script, vec![json!("main select[name=type]")]);
    assert_eq!(chosen, "無言");
}
