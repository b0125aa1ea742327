//! Signals: SIGTERM drains, SIGHUP reloads. Live calls go on through both.

use std::fs;
use std::time::Duration;

use super::calls::{call, caller, sipp_phone};
use super::place::{Place, wait_for};
use super::rtp_peer::RtpPeer;
use super::service::{CLOSED, COUNSELOR, DRAINING, NO_COUNSELOR, Service, Setup};
use super::sipp::{Run, TRUNK};

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_millis(700);

#[test]
fn sigterm_lets_the_live_call_go_on_turns_new_callers_away_and_ends() {
    let place = Place::new("operation-term");
    let mut service = Service::start(&place, &Setup::default());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut first, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(12)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    service.signal("TERM");
    wait_for("the service to drain", SOON, || {
        let (code, _) = service.get("/ready")?;
        (code == 503).then_some(())
    });
    let second_voice = RtpPeer::new(TRUNK, place.port(), None);
    let local = (TRUNK, place.port()).into();
    let second = Run::new("caller", local, Some(service.sip)).media(second_voice.address);
    let mut second = second.start(&place, "second");
    second_voice.wait_heard(0, DRAINING.1, SOUND, SOON);
    second.succeed();
    assert!(second.received("BYE").is_some(), "the new caller is let go");
    let mark = (voice.mark(), ear.mark());
    voice.wait_heard(mark.0, COUNSELOR, SOUND, SOON);
    assert!(service.is_running(), "a call is alive");
    first.succeed();
    phone.succeed();
    let status = service.wait(Duration::from_secs(10));
    assert!(status.success(), "{status}");
    let mut outcomes: Vec<_> = service.records(2).into_iter().map(|r| r.outcome).collect();
    outcomes.sort();
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.contains(&"answered".to_owned()), "{outcomes:?}");
    assert!(!outcomes.contains(&"failed".to_owned()), "{outcomes:?}");
}

#[test]
fn sighup_takes_a_good_file_and_keeps_the_old_one_when_it_is_bad() {
    let place = Place::new("operation-hup");
    let service = Service::start(&place, &Setup::default());
    let good = fs::read_to_string(&service.config).unwrap();
    let say = |name: &str, tone: u32| {
        let voice = RtpPeer::new(TRUNK, place.port(), None);
        let run = Run::new("caller", (TRUNK, place.port()).into(), Some(service.sip));
        let mut run = run.media(voice.address).start(&place, name);
        voice.wait_heard(0, tone, SOUND, SOON);
        run.succeed();
    };
    say("before", NO_COUNSELOR.1);

    // Renamed into place, as editors do: nobody ever sees half a file.
    let write = |text: &str| {
        let new = place.file("new.toml", text);
        fs::rename(new, &service.config).unwrap();
        service.signal("HUP");
    };
    write(&good.replace("[line.guidance]", "overide = \"closed\"\n[line.guidance]"));
    wait_for("the complaint", SOON, || service.log().contains("overide").then_some(()));
    say("bad", NO_COUNSELOR.1);

    write(&good.replace("[line.guidance]", "override = \"closed\"\n[line.guidance]"));
    wait_for("the line to close", SOON, || {
        (service.board()["lines"][0]["open"] == false).then_some(())
    });
    say("closed", CLOSED.1);
    let (code, _) = service.get("/ready").expect("the console answers");
    assert_eq!(code, 200);
}

#[test]
fn a_reload_leaves_a_live_call_alone() {
    let place = Place::new("operation-hup-live");
    let service = Service::start(&place, &Setup::default());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) =
        call(&place, &service, "caller", |run| run.talk(Duration::from_secs(9)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    let good = fs::read_to_string(&service.config).unwrap();
    let closed = good.replace("[line.guidance]", "override = \"closed\"\n[line.guidance]");
    fs::write(&service.config, closed).unwrap();
    service.signal("HUP");
    wait_for("the line to close", SOON, || {
        (service.board()["lines"][0]["open"] == false).then_some(())
    });
    let mark = (voice.mark(), ear.mark());
    voice.wait_heard(mark.0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(mark.1, super::service::CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    super::calls::assert_continuous(&voice.packets());
    assert_eq!(service.record().outcome, "answered");
}
