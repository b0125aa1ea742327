//! Whole calls: a SIPp caller, the guidance, the queue, and a counselor's phone of each kind. Each
//! side says a tone, and must hear the other's.

use std::time::Duration;

use super::baresip::Baresip;
use super::linphone::Linphone;
use super::place::Place;
use super::rtp_peer::{Packet, RtpPeer};
use super::service::{CALLER, COUNSELOR, Record, Service, Setup, WELCOME, counselor};
use super::sipp::{PHONES, Run, Sipp, TRUNK};
use super::tone;

/// How long a test waits for a sound that is to come at once.
const SOON: Duration = Duration::from_secs(12);
/// What a busy machine may do to packets that are to come every 20 ms.
const PAUSE: Duration = Duration::from_millis(400);
/// How long a voice must be heard to count.
const VOICE: Duration = Duration::from_millis(800);

/// A caller who says its tone, and a SIPp run for its signaling.
pub(crate) fn caller(
    place: &Place,
    service: &Service,
    run: impl FnOnce(Run) -> Run,
) -> (Sipp, RtpPeer) {
    call(place, service, "caller", run)
}

/// The same with another scenario.
pub(crate) fn call(
    place: &Place,
    service: &Service,
    scenario: &'static str,
    run: impl FnOnce(Run) -> Run,
) -> (Sipp, RtpPeer) {
    let voice = RtpPeer::new(TRUNK, place.port(), Some(CALLER));
    let local = (TRUNK, place.port()).into();
    let made = Run::new(scenario, local, Some(service.sip)).media(voice.address);
    (run(made).start(place, "caller"), voice)
}

/// The phone of counselor 101 made of SIPp: registered, then waiting for one call.
pub(crate) fn sipp_phone(
    place: &Place,
    service: &Service,
    scenario: &'static str,
    run: impl FnOnce(Run) -> Run,
) -> (Sipp, RtpPeer) {
    phone_of(place, service, "101", COUNSELOR, scenario, run)
}

/// The same for any counselor, with a tone of its own.
pub(crate) fn phone_of(
    place: &Place,
    service: &Service,
    extension: &str,
    tone: u32,
    scenario: &'static str,
    run: impl FnOnce(Run) -> Run,
) -> (Sipp, RtpPeer) {
    let local = (PHONES, place.port()).into();
    let register = Run::new("register", local, Some(service.sip)).fill("EXTENSION", extension);
    register.start(place, &format!("register-{extension}")).succeed();
    let voice = RtpPeer::new(PHONES, place.port(), Some(tone));
    let made = Run::new(scenario, local, None).media(voice.address);
    let phone = run(made).start(place, &format!("phone-{extension}"));
    service.wait_counselor(extension, "ready");
    (phone, voice)
}

/// Asserts rule 5 (one source, no sequence number left out, timestamps that go with the clock) and
/// the first half of rule 4 (a packet every 20 ms, as far as a busy machine can tell).
pub(crate) fn assert_continuous(packets: &[Packet]) {
    let audio: Vec<_> = packets.iter().filter(|packet| packet.kind == 0).collect();
    assert!(audio.len() > 50, "only {} packets came", audio.len());
    let first = audio[0];
    for pair in audio.windows(2) {
        let (one, two) = (pair[0], pair[1]);
        assert_eq!(one.ssrc, two.ssrc, "another source after {}", one.sequence);
        assert_eq!(one.from, two.from, "another address after {}", one.sequence);
        let steps = two.sequence.wrapping_sub(one.sequence);
        assert_eq!(steps, 1, "sequence {} then {}", one.sequence, two.sequence);
        // A sender that falls silent leaves a step of some frames, never one back or a wild one.
        let samples = two.timestamp.wrapping_sub(one.timestamp);
        assert!((1..=3_200).contains(&samples), "{} then {}", one.timestamp, two.timestamp);
        let pause = two.at - one.at;
        assert!(pause < PAUSE, "{pause:?} without a packet");
        let said = f64::from(two.timestamp.wrapping_sub(first.timestamp)) / f64::from(tone::RATE);
        let off = said - (two.at - first.at).as_secs_f64();
        assert!(off.abs() < PAUSE.as_secs_f64(), "timestamps are {off} s off the clock");
    }
}

fn assert_answered(record: &Record, ended_by: &str) {
    assert_eq!(record.outcome, "answered", "{record:?}");
    assert_eq!(record.ended_by, ended_by, "{record:?}");
    assert_eq!(record.counselor.as_deref(), Some("101"), "{record:?}");
    // The ear judges by windows of 100 ms: the first and the last may be partly full.
    assert!(record.talk + Duration::from_millis(100) >= VOICE, "{record:?}");
}

#[test]
fn sipp_caller_and_sipp_counselor_hear_each_other_and_the_caller_hangs_up() {
    let place = Place::new("calls-sipp");
    let service = Service::start(&place, &Setup::default());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, WELCOME.1, VOICE, SOON);
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    ear.wait_heard(0, CALLER, VOICE, SOON);
    caller.succeed();
    phone.succeed();
    assert_continuous(&voice.packets());
    assert_answered(&service.record(), "caller");
    // Nothing of the caller's number goes to the phone (rule 10).
    let invite = phone.received("INVITE").expect("the phone got an INVITE");
    assert!(!invite.contains("312345678"), "{invite}");
    assert!(!service.log().contains("312345678"), "the log has the number");
    let (_, metrics) = service.get("/metrics").expect("the console answers");
    assert!(metrics.contains("outcome=\"answered\""), "{metrics}");
    assert!(service.metric("koebashi_media_tick_late_seconds_count") > 0.0, "{metrics}");
}

#[test]
fn a_sipp_counselor_hangs_up_and_the_caller_is_let_go() {
    let place = Place::new("calls-sipp-ends");
    let service = Service::start(&place, &Setup::default());
    let talk = Duration::from_secs(2);
    let (mut phone, _ear) = sipp_phone(&place, &service, "phone", |run| run.talk(talk));
    let (mut caller, voice) = caller(&place, &service, |run| run);
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    phone.succeed();
    caller.succeed();
    assert!(caller.received("BYE").is_some(), "the caller got a BYE");
    assert_answered(&service.record(), "counselor");
}

#[test]
fn a_baresip_counselor_and_the_caller_hear_each_other_and_the_caller_hangs_up() {
    let place = Place::new("calls-baresip");
    let service = Service::start(&place, &Setup::default());
    let phone = Baresip::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, WELCOME.1, VOICE, SOON);
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    caller.succeed();
    assert_answered(&service.record(), "caller");
    assert_continuous(&voice.packets());
    service.wait_counselor("101", "ready");
    tone::assert_heard("baresip", &phone.heard(), CALLER, VOICE);
}

#[test]
fn a_baresip_counselor_hangs_up_and_the_caller_is_let_go() {
    let place = Place::new("calls-baresip-ends");
    let service = Service::start(&place, &Setup::default());
    let mut phone = Baresip::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run);
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    phone.command("hangup");
    caller.succeed();
    assert!(caller.received("BYE").is_some(), "the caller got a BYE");
    assert_answered(&service.record(), "counselor");
}

#[test]
fn a_linphone_counselor_and_the_caller_hear_each_other_and_the_caller_hangs_up() {
    let place = Place::new("calls-linphone");
    let service = Service::start(&place, &Setup::default());
    let phone = Linphone::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(7)));
    voice.wait_heard(0, WELCOME.1, VOICE, SOON);
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    caller.succeed();
    assert_answered(&service.record(), "caller");
    assert_continuous(&voice.packets());
    service.wait_counselor("101", "ready");
    tone::assert_heard("linphone", &phone.heard(), CALLER, VOICE);
}

#[test]
fn a_linphone_counselor_hangs_up_and_the_caller_is_let_go() {
    let place = Place::new("calls-linphone-ends");
    let service = Service::start(&place, &Setup::default());
    let mut phone = Linphone::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run);
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    phone.command("terminate");
    caller.succeed();
    assert!(caller.received("BYE").is_some(), "the caller got a BYE");
    assert_answered(&service.record(), "counselor");
}

#[test]
fn a_caller_over_tcp_is_served_the_same() {
    let place = Place::new("calls-tcp");
    let service = Service::start(&place, &Setup::default());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) =
        caller(&place, &service, |run| run.argument("-t", "t1").talk(Duration::from_secs(6)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    ear.wait_heard(0, CALLER, VOICE, SOON);
    caller.succeed();
    phone.succeed();
    assert_answered(&service.record(), "caller");
}

#[test]
fn an_a_law_phone_and_a_mu_law_caller_hear_each_other() {
    let place = Place::new("calls-alaw");
    let service = Service::start(&place, &Setup::default());
    let phone = Baresip::start_with(&place, &service, "101", COUNSELOR, "pcma");
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    caller.succeed();
    assert_answered(&service.record(), "caller");
    assert_continuous(&voice.packets());
    service.wait_counselor("101", "ready");
    tone::assert_heard("baresip", &phone.heard(), CALLER, VOICE);
}

/// How far from its level a tone may be heard that was made anew on the way, in dB.
const LEVEL: f64 = 0.5;

/// The phone speaks at 16 kHz and nothing else, the caller at 8 kHz: every packet is made anew, both
/// ways.
#[test]
fn a_g722_phone_and_a_mu_law_caller_hear_each_other_as_loud_as_they_are() {
    let place = Place::new("calls-g722");
    let codecs = "codecs = [\"G722\", \"PCMU\"]\n";
    let trunk = Setup::default().trunk + "\n" + codecs;
    let counselors = counselor("101") + codecs;
    let service = Service::start(&place, &Setup { trunk, counselors, ..Setup::default() });
    let wide = ("udp", "audio_codecs=g722/16000/1", "module g722.so");
    let phone = Baresip::start_as(&place, &service, "101", COUNSELOR, wide);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    caller.succeed();
    assert_answered(&service.record(), "caller");
    assert_continuous(&voice.packets());
    service.wait_counselor("101", "ready");
    assert!(phone.log().contains("Set audio decoder: G722"), "it has spoken something else");
    tone::assert_heard("baresip", &phone.heard(), CALLER, VOICE);
    let said = tone::level(&phone.said(), COUNSELOR);
    let levels = [(voice.pcm(), COUNSELOR, said), (phone.heard(), CALLER, 0.0)];
    for (pcm, hz, said) in levels {
        let off = tone::level(&pcm, hz) - said;
        assert!(off.abs() < LEVEL, "{hz} Hz is {off} dB louder than it was said");
    }
}
