//! A trunk that wants a registration: SIPp plays the carrier's registrar with a digest challenge;
//! calls then come from its address to our Contact.

use std::net::SocketAddr;
use std::time::Duration;

use super::calls::{call, sipp_phone};
use super::place::{Place, wait_for};
use super::service::{CALLER, COUNSELOR, Service, Setup};
use super::sipp::{Run, TRUNK, header};

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_millis(700);

#[test]
fn the_service_registers_at_the_carrier_and_takes_the_calls_that_come_to_its_contact() {
    let place = Place::new("trunk-registers");
    let carrier = SocketAddr::from((TRUNK, place.port()));
    place.file("carrier-password", "carrier-secret\n");
    let trunk = format!(
        "register = {{ uri = \"sip:{carrier}\", user = \"0480000000\", auth_user = \"line-7\", \
         password_file = \"carrier-password\" }}"
    );
    let registrar = Run::new("registrar", carrier, None);
    let registrar = registrar.fill("USER", "line-7").fill("PASSWORD", "carrier-secret");
    let mut registrar = registrar.start(&place, "registrar");
    let service = Service::start(&place, &Setup { trunk, ..Setup::default() });
    registrar.succeed();
    wait_for("the trunk to be up", SOON, || {
        (service.board()["trunks"][0]["state"] == "up").then_some(())
    });
    let register = registrar.received("REGISTER").expect("a REGISTER came");
    assert!(header(&register, "Authorization").is_none(), "a credential before any challenge");
    let contact = header(&register, "Contact").expect("it has a Contact");
    let user = contact.split_once("sip:").and_then(|(_, rest)| rest.split_once('@'));
    let (user, _) = user.expect("its Contact has a user");

    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let called = "P-Called-Party-ID: <sip:0570000001@carrier.example>";
    let (mut caller, voice) = call(&place, &service, "caller", |run| {
        run.number(user).fill("EXTRA", called).talk(Duration::from_secs(6))
    });
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    assert_eq!(service.record().outcome, "answered");
}

#[test]
fn a_call_as_ngn_sends_it_is_answered_the_way_ngn_wants() {
    let place = Place::new("trunk-ngn");
    let service = Service::start(&place, &Setup::default());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = call(&place, &service, "caller_ngn", |run| {
        let run = run.fill("FORMATS", "0").fill("ATTRIBUTES", "a=rtpmap:0 PCMU/8000/1");
        let withheld = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
        run.fill("FROM", withheld).talk(Duration::from_secs(6))
    });
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    let ok = caller.received("SIP/2.0 200 OK\nVia").expect("a 200 came");
    assert!(header(&ok, "To").is_some_and(|to| to.contains("ntt-east.ne.jp")), "{ok}");
    let record = service.record();
    assert_eq!((&*record.outcome, &*record.presentation), ("answered", "withheld"));
}
