//! A counselor dials codes: the state changes, and a spoken confirmation is heard.

use std::time::Duration;

use super::baresip::Baresip;
use super::linphone::Linphone;
use super::place::Place;
use super::service::{COUNSELOR, PAUSED, READY, Service, Setup};
use super::tone;

const SOUND: Duration = Duration::from_millis(700);

#[test]
fn baresip_dials_pause_and_ready() {
    let place = Place::new("codes-baresip");
    let service = Service::start(&place, &Setup::default());
    let mut phone = Baresip::start(&place, &service, "101", COUNSELOR);
    phone.command("dial *22");
    service.wait_counselor("101", "paused");
    phone.wait_calls_ended(1);
    phone.command("dial *21");
    service.wait_counselor("101", "ready");
    phone.wait_calls_ended(2);
    tone::assert_heard("baresip", &phone.heard(), PAUSED.1, SOUND);
    tone::assert_heard("baresip", &phone.heard(), READY.1, SOUND);
}

#[test]
fn linphone_dials_pause_and_ready() {
    let place = Place::new("codes-linphone");
    let service = Service::start(&place, &Setup::default());
    let mut phone = Linphone::start(&place, &service, "101", COUNSELOR);
    phone.command("call *22");
    service.wait_counselor("101", "paused");
    phone.wait_calls_ended(1);
    phone.command("call *21");
    service.wait_counselor("101", "ready");
    phone.wait_calls_ended(2);
    tone::assert_heard("linphone", &phone.heard(), READY.1, SOUND);
}
