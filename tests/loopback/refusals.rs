//! Callers who give up, are refused, come at the wrong time, or are nobody we know.

use std::net::UdpSocket;
use std::time::Duration;

use super::calls::{call, caller, sipp_phone};
use super::place::Place;
use super::service::{
    CALLER, CLOSED, COUNSELOR, HELP, HOLD, NO_COUNSELOR, Service, Setup, counselor,
};
use super::sipp::{Run, TRUNK, header};
use super::tone;

const SOON: Duration = Duration::from_secs(10);
const SOUND: Duration = Duration::from_millis(700);

/// A line that rings until a counselor answers.
fn ringing_line() -> Setup {
    Setup { line: "answer = \"ring\"".to_owned(), ..Setup::default() }
}

#[test]
fn a_caller_gives_up_while_it_rings_and_the_phone_gets_cancel() {
    let place = Place::new("refusals-cancel");
    let service = Service::start(&place, &ringing_line());
    let (mut phone, _ear) = sipp_phone(&place, &service, "phone_rings", |run| run);
    let ring = Duration::from_secs(2);
    let (mut caller, voice) = call(&place, &service, "caller_cancels", |run| run.ring(ring));
    service.wait_counselor("101", "ringing");
    caller.succeed();
    phone.succeed();
    let cancel = phone.received("CANCEL").expect("the phone got a CANCEL");
    let reason = header(&cancel, "Reason").unwrap_or_default();
    assert!(!reason.contains("completed elsewhere"), "nobody answered elsewhere: {reason}");
    assert!(voice.packets().is_empty(), "audio before any answer");
    let record = service.record();
    assert!(["abandoned", "short_abandoned"].contains(&&*record.outcome), "{record:?}");
    assert_eq!(record.ended_by, "caller");
    service.wait_counselor("101", "ready");
}

#[test]
fn a_caller_gives_up_before_a_counselor_is_there() {
    let place = Place::new("refusals-cancel-queue");
    let queue = "wrap_up = \"0s\"\nmax_wait_no_counselor = \"20s\"".to_owned();
    let service = Service::start(&place, &Setup { queue, ..ringing_line() });
    let ring = Duration::from_secs(1);
    let (mut caller, _voice) = call(&place, &service, "caller_cancels", |run| run.ring(ring));
    caller.succeed();
    let record = service.record();
    assert_eq!(record.ended_by, "caller", "{record:?}");
    assert_ne!(record.outcome, "answered", "{record:?}");
}

#[test]
fn a_ringing_line_answers_when_the_counselor_does() {
    let place = Place::new("refusals-ring");
    let service = Service::start(&place, &ringing_line());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(4)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    assert_eq!(service.record().outcome, "answered");
}

#[test]
fn a_caller_hangs_up_in_the_queue() {
    let place = Place::new("refusals-abandoned");
    let queue =
        "wrap_up = \"0s\"\nmax_wait_no_counselor = \"20s\"\nshort_abandon = \"1s\"".to_owned();
    let service = Service::start(&place, &Setup { queue, ..Setup::default() });
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(5)));
    voice.wait_heard(0, HOLD.1, SOUND, SOON);
    caller.succeed();
    let record = service.record();
    assert_eq!((&*record.outcome, &*record.ended_by), ("abandoned", "caller"));
    super::calls::assert_continuous(&voice.packets());
}

/// A caller who hears one message and is let go.
fn check_message(name: &str, setup: &Setup, tone: u32, outcome: &str) {
    let place = Place::new(name);
    let service = Service::start(&place, setup);
    let (mut caller, voice) = caller(&place, &service, |run| run);
    voice.wait_heard(0, tone, SOUND, SOON);
    caller.succeed();
    assert!(caller.received("BYE").is_some(), "we hang up after the message");
    let record = service.record();
    assert_eq!((&*record.outcome, &*record.ended_by), (outcome, "system"));
}

#[test]
fn a_closed_line_says_so() {
    let line = "override = \"closed\"".to_owned();
    check_message("refusals-closed", &Setup { line, ..Setup::default() }, CLOSED.1, "closed");
}

#[test]
fn with_nobody_on_duty_the_caller_is_told_at_once() {
    let setup = Setup::default();
    check_message("refusals-nobody", &setup, NO_COUNSELOR.1, "no_counselor");
}

#[test]
fn after_the_longest_wait_the_caller_hears_the_help_message() {
    // 102 is on duty but never answers: nothing listens there.
    let contact = "[[counselor]]\nextension = \"102\"\ncontact = \"sip:102@127.0.0.1:9\"\nlines = [\"main\"]\n";
    let queue = "wrap_up = \"0s\"\nmax_wait = \"4s\"\nmax_wait_no_counselor = \"4s\"".to_owned();
    let counselors = contact.to_owned() + &counselor("101");
    let setup = Setup { queue, counselors, ..Setup::default() };
    check_message("refusals-timeout", &setup, HELP.1, "timed_out");
}

#[test]
fn an_unknown_number_is_404() {
    let place = Place::new("refusals-404");
    let service = Service::start(&place, &Setup::default());
    let refused = |run: Run| run.fill("CODE", "404").number("0999999999");
    let run = Run::new("caller_refused", (TRUNK, place.port()).into(), Some(service.sip));
    refused(run).start(&place, "caller").succeed();
    assert_eq!(service.record().outcome, "refused");
}

#[test]
fn an_offer_without_a_codec_of_ours_is_488() {
    let place = Place::new("refusals-488");
    let service = Service::start(&place, &Setup::default());
    let (mut caller, _voice) = call(&place, &service, "caller_refused", |run| {
        run.fill("CODE", "488").fill("FORMATS", "9").fill("ATTRIBUTES", "a=rtpmap:9 G722/8000")
    });
    caller.succeed();
    assert_eq!(service.record().outcome, "refused");
}

#[test]
fn an_invite_without_an_offer_gets_ours_in_the_200() {
    let place = Place::new("refusals-offerless");
    let service = Service::start(&place, &Setup::default());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = call(&place, &service, "caller_offerless", |run| {
        run.talk(Duration::from_secs(6))
            .fill("FORMATS", "0")
            .fill("ATTRIBUTES", "a=rtpmap:0 PCMU/8000")
    });
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    let ok = caller.received("SIP/2.0 200").expect("a 200 came");
    assert!(ok.contains("m=audio ") && ok.contains(" RTP/AVP 0 8 101"), "{ok}");
    assert_eq!(service.record().outcome, "answered");
}

#[test]
fn an_anonymous_caller_is_welcome_and_recorded_as_one() {
    let place = Place::new("refusals-anonymous");
    let service = Service::start(&place, &Setup::default());
    let (mut caller, voice) = caller(&place, &service, |run| {
        run.fill("FROM", "\"Coin line/payphone\" <sip:anonymous@anonymous.invalid>")
    });
    voice.wait_heard(0, NO_COUNSELOR.1, SOUND, SOON);
    caller.succeed();
    assert_eq!(service.record().presentation, "payphone");
}

#[test]
fn a_stranger_gets_no_answer_at_all() {
    let place = Place::new("refusals-stranger");
    let service = Service::start(&place, &Setup::default());
    let socket = UdpSocket::bind(("127.0.0.3", place.port())).unwrap();
    let address = socket.local_addr().unwrap();
    for method in ["OPTIONS", "INVITE", "BYE", "FOO"] {
        let request = format!(
            "{method} sip:0570000001@{} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{method}\r\n\
             From: <sip:scan@{address}>;tag=1\r\nTo: <sip:0570000001@koebashi.local>\r\n\
             Call-ID: {method}@scan\r\nCSeq: 1 {method}\r\nContact: <sip:scan@{address}>\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            service.sip
        );
        socket.send_to(request.as_bytes(), service.sip).unwrap();
    }
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let answer = socket.recv_from(&mut [0; 2_048]);
    assert!(answer.is_err(), "a stranger got an answer");
    let counted = service.metric("koebashi_sip_dropped_total{why=\"stranger\"}");
    assert!(counted >= 4.0, "{counted} counted");
    // The service is not deaf: the trunk gets its answer meanwhile.
    let (mut caller, voice) = caller(&place, &service, |run| run);
    voice.wait_heard(0, NO_COUNSELOR.1, SOUND, SOON);
    caller.succeed();
    assert_eq!(service.records(1).len(), 1, "only the trunk's call is recorded");
    tone::assert_not_heard("the caller", &voice.pcm(), CLOSED.1);
}
