//! A counselor's phone puts the caller on hold by re-INVITE: the caller hears the hold music, and
//! the counselor again afterwards.

use std::time::Duration;

use super::baresip::Baresip;
use super::calls::caller;
use super::linphone::Linphone;
use super::place::Place;
use super::rtp_peer::RtpPeer;
use super::service::{COUNSELOR, HOLD, Service, Setup};

const SOON: Duration = Duration::from_secs(10);
const SOUND: Duration = Duration::from_millis(800);

/// Talks, is held, is taken back; each is heard.
fn check(voice: &RtpPeer, mut hold: impl FnMut(bool)) {
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    let mark = voice.mark();
    hold(true);
    voice.wait_heard(mark, HOLD.1, SOUND, SOON);
    let mark = voice.mark();
    hold(false);
    voice.wait_heard(mark, COUNSELOR, SOUND, SOON);
}

#[test]
fn baresip_holds_and_resumes() {
    let place = Place::new("hold-baresip");
    let service = Service::start(&place, &Setup::default());
    let mut phone = Baresip::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run);
    check(&voice, |on| phone.command(if on { "hold" } else { "resume" }));
    phone.command("hangup");
    caller.succeed();
    super::calls::assert_continuous(&voice.packets());
    assert_eq!(service.record().outcome, "answered");
}

#[test]
fn linphone_holds_and_resumes() {
    let place = Place::new("hold-linphone");
    let service = Service::start(&place, &Setup::default());
    let mut phone = Linphone::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run);
    check(&voice, |on| phone.command(if on { "pause" } else { "resume" }));
    phone.command("terminate");
    caller.succeed();
    super::calls::assert_continuous(&voice.packets());
    assert_eq!(service.record().outcome, "answered");
}
