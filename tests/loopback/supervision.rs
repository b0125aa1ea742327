//! A supervisor in a call, with three baresip phones that say a tone each: who hears whom.

use std::time::Duration;

use super::baresip::Baresip;
use super::place::{Place, wait_for};
use super::service::{CALLER, COUNSELOR, NUMBER, PASSWORD, Service, Setup, counselor};
use super::tone;

const SOON: Duration = Duration::from_secs(20);
const SOUND: Duration = Duration::from_millis(800);
/// What the supervisor says.
const SUPERVISOR: u32 = 980;

/// A caller who talks with 101, and supervisor 201.
struct Scene {
    service: Service,
    caller: Baresip,
    counselor: Baresip,
    supervisor: Baresip,
    _place: Place,
}

impl Scene {
    fn talking(name: &str) -> Self {
        let place = Place::new(name);
        let supervisor = format!(
            "[[counselor]]\nextension = \"201\"\nrole = \"supervisor\"\npassword = \"{PASSWORD}\"\n"
        );
        let counselors = counselor("101") + &supervisor;
        let trunk = "peers = [\"127.0.0.1\"]".to_owned();
        let service = Service::start(&place, &Setup { counselors, trunk, ..Setup::default() });
        let counselor = Baresip::start(&place, &service, "101", COUNSELOR);
        let supervisor = Baresip::start(&place, &service, "201", SUPERVISOR);
        let mut caller = Baresip::caller(&place, CALLER);
        caller.command(&format!("dial sip:{NUMBER}@{}", service.sip));
        wait_hears("the caller", &caller, &[COUNSELOR]);
        wait_hears("the counselor", &counselor, &[CALLER]);
        Self { service, caller, counselor, supervisor, _place: place }
    }

    fn call(&self) -> String {
        self.service.board()["calls"][0]["call"].as_str().expect("a call").to_owned()
    }

    /// The end: the caller hangs up, and everything that was heard is there.
    fn end(&mut self) {
        self.caller.command("hangup");
        self.service.record();
    }
}

/// Waits until each of the tones has been heard, alone or among others.
#[track_caller]
fn wait_hears(who: &str, phone: &Baresip, tones: &[u32]) {
    for hz in tones {
        wait_for(&format!("{who} to hear {hz} Hz"), SOON, || {
            (tone::present(&phone.heard_up_to_now(), *hz) >= SOUND).then_some(())
        });
    }
}

/// One window may err.
#[track_caller]
fn claim_never_heard(who: &str, pcm: &[i16], hz: u32) {
    let heard = tone::present(pcm, hz);
    assert!(heard <= Duration::from_millis(100), "{who} heard {hz} Hz for {heard:?}");
}

#[test]
fn a_supervisor_listens_whispers_and_joins_by_key() {
    let mut scene = Scene::talking("supervision-keys");
    scene.supervisor.command("dial *81101");
    wait_hears("the listener", &scene.supervisor, &[CALLER, COUNSELOR]);
    claim_never_heard("the caller", &scene.caller.heard_up_to_now(), SUPERVISOR);
    claim_never_heard("the counselor", &scene.counselor.heard_up_to_now(), SUPERVISOR);
    scene.supervisor.press('2');
    wait_hears("the counselor", &scene.counselor, &[SUPERVISOR]);
    claim_never_heard("the caller", &scene.caller.heard_up_to_now(), SUPERVISOR);
    scene.supervisor.press('3');
    wait_hears("the caller", &scene.caller, &[SUPERVISOR]);
    // Back to listening: from then on nobody hears them.
    scene.supervisor.press('1');
    wait_for("the supervisor to listen", SOON, || {
        (scene.service.board()["calls"][0]["supervisor"]["mode"] == "listen").then_some(())
    });
    scene.supervisor.press('#');
    scene.supervisor.wait_calls_ended(1);
    scene.service.wait_counselor("201", "ready");
    assert_eq!(scene.service.counselor_state("101"), "talking");
    scene.end();
    // Nobody hears themselves.
    claim_never_heard("the supervisor", &scene.supervisor.heard(), SUPERVISOR);
    claim_never_heard("the counselor", &scene.counselor.heard(), COUNSELOR);
    claim_never_heard("the caller", &scene.caller.heard(), CALLER);
    let acts = [
        "begins to listen",
        "goes on to whisper",
        "goes on to join",
        "goes on to listen",
        "supervises no longer: hung up",
    ];
    let audit = scene.service.audit();
    let told: Vec<_> = audit.iter().filter(|entry| entry.starts_with("201: 201 ")).collect();
    assert_eq!(told.len(), acts.len(), "{audit:#?}");
    for (told, act) in told.iter().zip(acts) {
        assert!(told.starts_with(&format!("201: 201 {act} (call ")), "{told}");
    }
}

#[test]
fn a_supervisor_rung_through_the_api_joins_and_keeps_the_caller() {
    let mut scene = Scene::talking("supervision-api");
    let path = format!("/api/v1/calls/{}/supervise", scene.call());
    let join = r#"{"extension": "201", "mode": "join"}"#;
    assert_eq!(scene.service.post(&path, join), Some(202));
    wait_hears("the caller", &scene.caller, &[SUPERVISOR]);
    wait_hears("the counselor", &scene.counselor, &[SUPERVISOR]);
    wait_hears("the supervisor", &scene.supervisor, &[CALLER, COUNSELOR]);
    assert_eq!(scene.service.post(&path, join), Some(409));
    scene.counselor.command("hangup");
    wait_for("the supervisor to have the call", SOON, || {
        (scene.service.board()["calls"][0]["counselors"][0] == "201").then_some(())
    });
    // The two are alone now, and hear nothing but each other.
    wait_for("the caller to hear the supervisor alone", SOON, || {
        (tone::heard(&scene.caller.heard_up_to_now(), SUPERVISOR) >= SOUND).then_some(())
    });
    wait_for("the supervisor to hear the caller alone", SOON, || {
        (tone::heard(&scene.supervisor.heard_up_to_now(), CALLER) >= SOUND).then_some(())
    });
    scene.end();
    let record = scene.service.record();
    assert_eq!((&*record.outcome, record.counselor.as_deref()), ("answered", Some("201")));
}

#[test]
fn a_counselor_asks_for_help_by_keys_and_the_supervisors_phone_rings() {
    let mut scene = Scene::talking("supervision-help");
    scene.counselor.press('*');
    std::thread::sleep(Duration::from_millis(600));
    scene.counselor.press('9');
    // The supervisor's phone answers by itself.
    wait_hears("the supervisor", &scene.supervisor, &[CALLER, COUNSELOR]);
    scene.supervisor.press('2');
    wait_hears("the counselor", &scene.counselor, &[SUPERVISOR]);
    claim_never_heard("the caller", &scene.caller.heard_up_to_now(), SUPERVISOR);
    let help = &scene.service.board()["counselors"][0]["help_seconds"];
    assert!(help.is_null(), "{help}");
    assert!(scene.service.log().contains("101: asks for help"));
    scene.end();
    let audit = scene.service.audit();
    let acts = ["101: asks for help", "system: rings 201 for help", "201: 201 begins to listen"];
    let mut told = audit.iter();
    for act in acts {
        assert!(told.any(|entry| entry.starts_with(act)), "{act} in {audit:#?}");
    }
}
