//! Several phones in one call: rung together, handing over, vanishing; and the better digest.

use std::time::Duration;

use super::baresip::Baresip;
use super::calls::{call, caller, phone_of, sipp_phone};
use super::linphone::Linphone;
use super::place::Place;
use super::service::{CALLER, COUNSELOR, LOST, Service, Setup, WELCOME, counselor};
use super::sipp::{Run, header};

const SOON: Duration = Duration::from_secs(15);
const SOUND: Duration = Duration::from_millis(800);
/// What the second counselor says.
const SECOND: u32 = 800;

fn two_counselors() -> Setup {
    Setup { counselors: counselor("101") + &counselor("102"), ..Setup::default() }
}

#[test]
fn of_two_phones_rung_together_the_slower_one_gets_cancel_with_the_reason() {
    let place = Place::new("phones-fork");
    let queue = "strategy = \"ring_all\"\nwrap_up = \"0s\"".to_owned();
    let service = Service::start(&place, &Setup { queue, ..two_counselors() });
    let (mut loser, _) = phone_of(&place, &service, "102", SECOND, "phone_rings", |run| run);
    let (mut winner, _ear) =
        sipp_phone(&place, &service, "phone", |run| run.ring(Duration::from_millis(700)));
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(5)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    loser.succeed();
    caller.succeed();
    winner.succeed();
    let cancel = loser.received("CANCEL").expect("the slower phone got a CANCEL");
    let reason = header(&cancel, "Reason").unwrap_or_default();
    assert!(reason.contains("cause=200"), "{cancel}");
    assert_eq!(service.record().counselor.as_deref(), Some("101"));
}

#[test]
fn baresip_hands_the_caller_over_to_a_colleague() {
    let place = Place::new("phones-transfer");
    let service = Service::start(&place, &two_counselors());
    let mut first = Baresip::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(14)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    let (mut second, ear) = phone_of(&place, &service, "102", SECOND, "phone", |run| run);
    first.command("transfer sip:102@koebashi.local");
    voice.wait_heard(0, SECOND, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    service.wait_counselor("101", "ready");
    caller.succeed();
    second.succeed();
    let record = service.record();
    assert_eq!((&*record.outcome, record.counselor.as_deref()), ("answered", Some("102")));
    super::calls::assert_continuous(&voice.packets());
}

#[test]
fn the_caller_of_a_phone_that_vanishes_is_told_and_gets_the_next_counselor() {
    let place = Place::new("phones-vanish");
    let service = Service::start(&place, &two_counselors());
    let mut first = Baresip::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(18)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    // It rings long enough for the message to be heard.
    let ring = |run: Run| run.ring(Duration::from_secs(3));
    let (mut second, _ear) = phone_of(&place, &service, "102", SECOND, "phone", ring);
    first.vanish();
    voice.wait_heard(0, LOST.1, SOUND, SOON);
    voice.wait_heard(0, SECOND, SOUND, SOON);
    caller.succeed();
    second.succeed();
    let record = service.record();
    assert_eq!((&*record.outcome, record.counselor.as_deref()), ("answered", Some("102")));
    super::calls::assert_continuous(&voice.packets());
}

#[test]
fn linphone_registers_with_sha_256_where_the_account_says_so() {
    let place = Place::new("phones-sha256");
    let counselors = counselor("101") + "digest = \"sha256\"\n";
    let service = Service::start(&place, &Setup { counselors, ..Setup::default() });
    let phone = Linphone::start(&place, &service, "101", COUNSELOR);
    assert!(phone.trace().contains("algorithm=SHA-256"), "it has used another algorithm");
}

#[test]
fn a_line_with_early_media_speaks_before_it_answers() {
    let place = Place::new("phones-early");
    let line = "answer = \"early_media\"".to_owned();
    let service = Service::start(&place, &Setup { line, ..Setup::default() });
    let ring = Duration::from_secs(2);
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run.ring(ring));
    let (mut caller, voice) =
        call(&place, &service, "caller", |run| run.talk(Duration::from_secs(4)));
    voice.wait_heard(0, WELCOME.1, SOUND, SOON);
    assert!(caller.received("SIP/2.0 200").is_none(), "answered before a counselor did");
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    super::calls::assert_continuous(&voice.packets());
    assert_eq!(service.record().outcome, "answered");
}
