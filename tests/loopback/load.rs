//! Many calls: 200 at 20 a second, each through guidance and queue to a counselor, none fails.

use std::net::SocketAddr;
use std::time::Duration;

use super::place::{Place, wait_for};
use super::service::{Service, Setup, fixed_counselor};
use super::sipp::{PHONES, Run, TRUNK};

/// Calls.
const CALLS: u32 = 200;
/// Calls a second.
const RATE: u32 = 20;
/// Counselors; each phone takes one call at a time, and a call holds one for about a second.
const COUNSELORS: u32 = 60;

#[test]
fn two_hundred_calls_at_twenty_a_second_are_all_answered_and_recorded() {
    let place = Place::new("load");
    let phones = SocketAddr::from((PHONES, place.port()));
    let counselors = (0..COUNSELORS).map(|n| fixed_counselor(&format!("{}", 200 + n), phones));
    let setup = Setup {
        queue: "wrap_up = \"0s\"\nmax_callers = 200\nmax_wait = \"25s\"".to_owned(),
        counselors: counselors.collect(),
        tables: "[line.guidance]\nstart = { play = [\"beep\"], next = \"queue\" }".to_owned(),
        ..Setup::default()
    };
    let service = Service::start(&place, &setup);
    let phone = Run::new("phone", phones, None).ring(Duration::from_millis(50));
    let mut answering = phone.calls(CALLS, RATE).start(&place, "phones");
    let caller = Run::new("caller", (TRUNK, place.port()).into(), Some(service.sip));
    let caller = caller.calls(CALLS, RATE).talk(Duration::from_secs(2));
    caller.start(&place, "callers").succeed();
    answering.succeed();
    let records = service.records(CALLS as usize);
    let odd: Vec<_> = records.iter().filter(|record| record.outcome != "answered").collect();
    assert_eq!(records.len(), CALLS as usize);
    assert!(odd.is_empty(), "{} of them: {odd:?}", odd.len());
    let answered = "koebashi_calls_total{line=\"main\",outcome=\"answered\"} ";
    wait_for("the counter", Duration::from_secs(2), || {
        (service.metric(answered) as u32 == CALLS).then_some(())
    });
    let failed = service.metric("koebashi_calls_total{line=\"main\",outcome=\"failed\"} ");
    assert_eq!(failed as u32, 0);
    let report = service.command(&["report", "--format", "json", "--year", &fiscal_year()]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let summary = &report["lines"][0]["summary"];
    assert_eq!((&summary["answered"], &summary["failed"]), (&200.into(), &0.into()), "{summary:#}");
    wait_for("the board to be empty", Duration::from_secs(2), || {
        service.board()["calls"].as_array()?.is_empty().then_some(())
    });
}

/// The Japanese fiscal year of today.
fn fiscal_year() -> String {
    use chrono::Datelike;
    let today = chrono::Utc::now().with_timezone(&chrono_tz::Asia::Tokyo);
    (if today.month() >= 4 { today.year() } else { today.year() - 1 }).to_string()
}
