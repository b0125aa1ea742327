//! What is seen of a real call's voices: figures of both legs, and the alarm when one is not heard.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::calls::{caller, sipp_phone};
use super::place::{Place, wait_for};
use super::service::{COUNSELOR, Service, Setup};
use super::sipp::{PHONES, Run, TRUNK};

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
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(18)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    // Figures come every five seconds, more or less.
    let legs = wait_for("the figures", Duration::from_secs(16), || {
        let legs = service.board()["calls"][0]["legs"].clone();
        // The first figures come sooner, and may be of a few packets.
        let is_seen = |leg: &Value| {
            leg["mos"].is_number() && leg["received"].as_u64().is_some_and(|count| count > 100)
        };
        (is_seen(&legs[0]) && is_seen(&legs[1])).then_some(legs)
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

/// Packets that came, and how many of them were reports.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    voice: usize,
    reports: usize,
}

/// What has come; the SSRC of the last.
fn got(socket: &UdpSocket, ssrc: &mut Option<[u8; 4]>) -> Got {
    let mut got = Got::default();
    let mut packet = [0; 2_048];
    while let Ok(length) = socket.recv(&mut packet) {
        match packet[1] {
            192..=223 => got.reports += 1,
            _ if length > 12 => {
                got.voice += 1;
                *ssrc = packet[8..12].try_into().ok();
            }
            _ => {}
        }
    }
    got
}

/// RTCP on the RTP port where the caller offers it (RFC 5761), else on the next, both ways: ours
/// come there, and what the caller reports from there is in the call's record.
#[test]
fn reports_go_both_ways_on_the_port_that_the_offer_says() {
    const LOST: u8 = 77;
    for (name, has_mux) in [("voices-mux", true), ("voices-no-mux", false)] {
        let place = Place::new(name);
        let service = Service::start(&place, &Setup::default());
        let (mut phone, _ear) = sipp_phone(&place, &service, "phone", |run| run);
        let port = place.ports(1);
        let [rtp, rtcp] = [port, port + 1].map(|port| {
            let socket = UdpSocket::bind((TRUNK, port)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        let mux = if has_mux { "a=rtpmap:0 PCMU/8000\na=rtcp-mux" } else { "a=rtpmap:0 PCMU/8000" };
        let run = Run::new("caller", (TRUNK, place.port()).into(), Some(service.sip));
        let run = run.media(rtp.local_addr().unwrap()).fill("FORMATS", "0").fill("ATTRIBUTES", mux);
        let mut caller = run.talk(Duration::from_secs(9)).start(&place, "caller");
        let answer = wait_for("the answer", SOON, || caller.received("SIP/2.0 200"));
        assert_eq!(answer.contains("a=rtcp-mux"), has_mux, "{answer}");
        let theirs = answer.split_once("m=audio ").unwrap().1.split(' ').next().unwrap();
        let theirs: u16 = theirs.parse().unwrap();
        let (reporter, to) = if has_mux { (&rtp, theirs) } else { (&rtcp, theirs + 1) };
        let to = SocketAddr::from((service.sip.ip(), to));
        let (mut ours, mut next) = (Got::default(), Got::default());
        let mut ssrc = None;
        let began = Instant::now();
        for n in 0..u16::MAX {
            let mut voice = [0xff; 172];
            voice[..2].copy_from_slice(&[0x80, 0]);
            voice[2..4].copy_from_slice(&n.to_be_bytes());
            voice[4..8].copy_from_slice(&(u32::from(n) * 160).to_be_bytes());
            voice[8..12].copy_from_slice(b"mine");
            rtp.send_to(&voice, (service.sip.ip(), theirs)).unwrap();
            for (socket, sum) in [(&rtp, &mut ours), (&rtcp, &mut next)] {
                let got = got(socket, &mut ssrc);
                (sum.voice, sum.reports) = (sum.voice + got.voice, sum.reports + got.reports);
            }
            if let Some(ssrc) = ssrc.filter(|_| n % 50 == 49) {
                // A receiver report (RFC 3550 §6.4.2) of 77 lost packets.
                let report = [&[0x81, 201, 0, 7][..], b"mine", &ssrc, &[0, 0, 0, LOST], &[0; 16]];
                reporter.send_to(&report.concat(), to).unwrap();
            }
            if began.elapsed() > Duration::from_secs(7) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(ours.voice > 200 && next.voice == 0, "{ours:?} {next:?}");
        let (here, elsewhere) = if has_mux { (ours, next) } else { (next, ours) };
        assert!((1..=3).contains(&here.reports), "{here:?} {elsewhere:?}");
        assert_eq!(elsewhere.reports, 0);
        caller.succeed();
        phone.succeed();
        assert_eq!(service.record().outcome, "answered");
        assert_eq!(service.figure("lost_at_peer"), i64::from(LOST));
    }
}
