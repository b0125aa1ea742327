//! What is seen of a real call's voices: figures of both legs, and the alarm when one is not heard.

use std::net::UdpSocket;
use std::time::Duration;

use super::calls::{caller, sipp_phone};
use super::place::{Place, wait_for};
use super::service::{COUNSELOR, Service, Setup};
use super::sipp::{PHONES, Run};

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_millis(300);
/// Three seconds, and what a busy machine adds.
const ALARM: Duration = Duration::from_secs(4);

#[test]
fn a_phone_that_is_not_heard_is_an_alarm_within_three_seconds() {
    let place = Place::new("voices-one-way");
    let service = Service::start(&place, &Setup::default());
    let local = (PHONES, place.port()).into();
    let register = Run::new("register", local, Some(service.sip)).fill("EXTENSION", "101");
    register.start(&place, "register").succeed();
    // Its ear works; its packets never come.
    let ear = UdpSocket::bind((PHONES, place.port())).unwrap();
    ear.set_read_timeout(Some(SOON)).unwrap();
    let address = ear.local_addr().unwrap();
    let mut phone = Run::new("phone", local, None).media(address).start(&place, "phone");
    service.wait_counselor("101", "ready");
    let (mut caller, _voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(7)));
    ear.recv(&mut [0; 2_000]).expect("a packet of the caller");
    let alarms = "koebashi_leg_one_way_total{side=\"counselor\"}";
    wait_for("the alarm", ALARM, || (service.metric(alarms) == 1.0).then_some(()));
    wait_for("the board", ALARM, || {
        let call = service.board()["calls"][0].clone();
        (call["one_way"] == true && call["legs"][1]["one_way"] == true).then_some(())
    });
    assert!(service.command(&["status"]).contains("相談員の声なし"));
    let log = service.log();
    let told = log.lines().filter(|line| line.contains("WARN") && line.contains("one-way"));
    let told: Vec<_> = told.collect();
    assert!(told.len() == 1 && told[0].contains("counselor"), "{told:?}");
    caller.succeed();
    phone.succeed();
    assert_eq!(service.record().outcome, "answered");
    assert_eq!(service.metric("koebashi_leg_one_way_total{side=\"caller\"}"), 0.0);
}

#[test]
fn the_voices_of_a_good_call_are_seen_while_it_lasts_and_after() {
    let place = Place::new("voices-good");
    let service = Service::start(&place, &Setup::default());
    let (mut phone, _ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(8)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    // Figures come about every five seconds, the first perhaps after one.
    let legs = wait_for("the figures", SOON, || {
        let legs = service.board()["calls"][0]["legs"].clone();
        let has_some = |n: usize| legs[n]["received"].as_u64().is_some_and(|n| n > 100);
        (has_some(0) && has_some(1)).then_some(legs)
    });
    for (leg, side) in [(&legs[0], "caller"), (&legs[1], "counselor")] {
        assert_eq!(leg["side"], side, "{legs}");
        assert!(leg["mos"].as_f64().unwrap() > 4.0, "{legs}");
        assert!(leg["first_packet_ms"].as_f64().is_some(), "{legs}");
        let level = leg["level_dbfs"].as_f64().unwrap();
        assert!((-30.0..-3.0).contains(&level), "{legs}");
        assert_eq!((&leg["one_way"], &leg["source_differs"]), (&false.into(), &false.into()));
    }
    caller.succeed();
    phone.succeed();
    assert_eq!(service.record().outcome, "answered");
    for side in ["caller", "counselor"] {
        let count = format!("koebashi_leg_mos_count{{side=\"{side}\"}}");
        wait_for("its metric", SOON, || (service.metric(&count) == 1.0).then_some(()));
    }
}
