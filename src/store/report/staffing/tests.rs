//! The simulation against what is known in closed form.

use std::time::Duration;

use chrono::{Datelike, NaiveDate, Weekday};

use super::history::{Assumed, History, Rules};
use super::*;
use crate::call::cdr::{CallId, Cdr, EndReason, EndedBy, Outcome, Presentation};
use crate::call::config::{LineId, TrunkId};
use crate::store::report::period::Period;

/// Erlang's B by its recursion: the share that finds all counselors busy when nobody waits.
fn erlang_b(counselors: usize, load: f64) -> f64 {
    (1..=counselors).fold(1.0, |b, k| load * b / (k as f64 + load * b))
}

/// Erlang's C: the share that has to wait when nobody hangs up.
fn erlang_c(counselors: usize, load: f64) -> f64 {
    let b = erlang_b(counselors, load);
    b / (1.0 - load / counselors as f64 * (1.0 - b))
}

/// Callers without patience limits, for so long that the beginning does not matter.
fn steady(rate: f64, service: f64) -> Model {
    Model {
        arrivals: vec![Part { from: 0.0, length: 200_000.0 / rate, calls: 200_000.0 }],
        service: Service::Exponential(service),
        patience: None,
        max_wait: f64::INFINITY,
        max_callers: usize::MAX,
    }
}

fn near(is: f64, expected: f64, off: f64, what: &str) {
    assert!((is - expected).abs() <= off, "{what}: {is}, not {expected}");
}

#[test]
fn erlang_b_and_c_have_their_known_values() {
    near(erlang_c(55, 48.0), 0.239, 0.000_5, "C");
    // Trunks for 1.43 Erl.
    for (lines, blocked) in [(2, 0.296), (3, 0.124), (4, 0.042), (5, 0.012)] {
        near(erlang_b(lines, 1.43), blocked, 0.000_9, "B");
    }
    // An evening of two, of five, of ten calls of an hour.
    for (load, counselors, waits) in
        [(0.57, 1, 0.57), (0.57, 2, 0.13), (1.43, 3, 0.21), (2.86, 5, 0.20)]
    {
        near(erlang_c(counselors, load), waits, 0.006, "C");
    }
}

#[test]
fn a_call_center_without_impatience_is_erlang_c() {
    // 360 calls in 30 minutes of 240 s each, 55 agents, 15 s.
    let model = steady(360.0 / 1_800.0, 240.0);
    let row = play(&model, 55, 15.0, 1);
    near(row.must_wait, 0.239, 0.012, "P(wait)");
    near(row.mean_wait, 8.2, 0.8, "ASA");
    near(row.within_asked, 0.846, 0.012, "SL 15");
    near(row.answer_rate, 1.0, 1e-9, "answered");
}

#[test]
fn where_nobody_waits_it_is_erlang_b() {
    for (counselors, load) in [(2, 1.43), (5, 2.86)] {
        let model = Model { max_callers: 0, ..steady(load / 3_600.0, 3_600.0) };
        let row = play(&model, counselors, 20.0, 2);
        near(1.0 - row.answer_rate, erlang_b(counselors, load), 0.006, "blocked");
        near(row.mean_wait, 0.0, 0.0, "wait");
    }
}

#[test]
fn impatience_is_erlang_a() {
    // M/M/1+M with λ = μ = θ: the number in the system is Poisson with mean 1, so a caller finds
    // somebody there with 1 − 1/e, and who hangs up is λ − μ(1 − p0) of λ.
    let model = Model { patience: Some(60.0), ..steady(1.0 / 60.0, 60.0) };
    let row = play(&model, 1, 20.0, 3);
    let nobody = (-1.0_f64).exp();
    near(row.must_wait, 1.0 - nobody, 0.006, "P(wait)");
    near(row.answer_rate, 1.0 - nobody, 0.006, "answered");
}

#[test]
fn limits_end_waits_and_the_same_seed_gives_the_same_rows() {
    let limited = Model { max_wait: 30.0, max_callers: 3, ..steady(0.2, 240.0) };
    let row = play(&limited, 20, 30.0, 4);
    assert!(row.answer_rate < 0.45 && row.mean_wait <= 30.0, "{row:?}");
    assert_eq!(row, play(&limited, 20, 30.0, 4));
    assert_ne!(row, play(&limited, 20, 30.0, 5));
}

#[test]
fn more_counselors_answer_more_and_enough_is_the_first_that_does() {
    let model = Model {
        arrivals: vec![Part { from: 64_800.0, length: 12_600.0, calls: 5.0 }],
        service: Service::Exponential(3_900.0),
        patience: Some(300.0),
        max_wait: 180.0,
        max_callers: 5,
    };
    let rows = advise(&model, 180.0, 7);
    assert_eq!(rows[0].counselors, 1);
    for pair in rows.windows(2) {
        assert!(pair[0].answer_rate <= pair[1].answer_rate + 0.01, "{pair:?}");
    }
    assert!(rows.last().unwrap().answer_rate > 0.97, "{rows:?}");
    let needed = enough(&rows, 0.8).unwrap();
    let row = |n: usize| rows.iter().find(|row| row.counselors == n).unwrap();
    assert!(row(needed).within_asked >= 0.8 && row(needed - 1).within_asked < 0.8);
    assert_eq!(enough(&rows, 1.1), None);
    assert_eq!(advise(&Model { arrivals: vec![], ..model }, 180.0, 7), []);
}

#[test]
fn a_national_line_is_tried_near_what_it_needs() {
    let model = Model { patience: Some(300.0), ..steady(1_000.0 / 3_600.0, 1_200.0) };
    let model =
        Model { arrivals: vec![Part { from: 0.0, length: 36_000.0, calls: 10_000.0 }], ..model };
    let tried = advise(&model, 20.0, 1);
    assert!(tried.len() <= ROWS_MAX + 1, "{}", tried.len());
    assert!(tried.first().unwrap().answer_rate < 0.8 && tried.last().unwrap().answer_rate > 0.95);
}

fn call(outcome: Outcome, wait: u64, talk: u64, day: u32) -> Cdr {
    let started = format!("2026-11-{day:02}T18:10:00+09:00").parse().unwrap();
    Cdr {
        call: CallId("x".into()),
        trunk: TrunkId::from("navi"),
        line: Some(LineId::from("nijiiro")),
        started,
        answered: Some(started),
        ended: started,
        outcome,
        ended_by: EndedBy::Caller,
        reason: EndReason::Hangup,
        presentation: Presentation::Shown,
        guidance: Duration::ZERO,
        wait: Duration::from_secs(wait),
        talk: Duration::from_secs(talk),
        paid_wait: Duration::ZERO,
        position: None,
        offers: 0,
        counselor: None,
        talks: vec![],
        recorded: 0,
        test: false,
        legs: vec![],
    }
}

const RULES: Rules = Rules { wrap_up: 300.0, max_wait: 180.0, max_callers: 5 };

#[test]
fn the_history_gives_arrivals_talks_and_patience_with_censoring() {
    let period = Period::month("2026-11", chrono_tz::Asia::Tokyo).unwrap();
    let mut history = History::default();
    for n in 0..40 {
        let day = [7, 14][n % 2];
        history.add(&call(Outcome::Answered, 30, 600 + n as u64, day as u32), &period);
    }
    for _ in 0..10 {
        history.add(&call(Outcome::Abandoned, 60, 0, 7), &period);
        history.add(&call(Outcome::TimedOut, 180, 0, 7), &period);
        history.add(&call(Outcome::Closed, 0, 0, 8), &period);
    }
    assert_eq!((history.days.len(), history.calls, history.gave_up), (2, 60, 10));
    // (40 · 30 + 10 · 60 + 10 · 180) s of waiting, ten of whom hung up.
    assert_eq!(history.patience(), Some(360.0));
    let model = history.model(RULES, Assumed::default());
    assert_eq!(model.arrivals, [Part { from: 64_800.0, length: 1_800.0, calls: 30.0 }]);
    assert_eq!(model.service.mean(), 600.0 + 19.5 + 300.0);
    let more = history.model(RULES, Assumed { calls: Some(15.0), talk: Some(1_200.0) });
    assert_eq!((more.calls(), more.service.mean()), (15.0, 1_500.0));
}

/// Saturdays but these.
fn saturdays_but(closed: &[&str]) -> impl Fn(NaiveDate) -> bool {
    let closed: Vec<NaiveDate> = closed.iter().map(|day| day.parse().unwrap()).collect();
    move |day| day.weekday() == Weekday::Sat && !closed.contains(&day)
}

#[test]
fn evenings_without_a_call_count_as_evenings() {
    // The ten Saturdays from 5 September to 7 November, and a Sunday that has not ended.
    let today = "2026-11-08".parse().unwrap();
    let period = Period::last(365, today, chrono_tz::Asia::Tokyo);
    let mut history = History::default();
    let on = |outcome, day: &str| Cdr {
        started: format!("{day}T18:10:00+09:00").parse().unwrap(),
        ..call(outcome, 5, 600, 7)
    };
    // The line was there: somebody called before it opened for the first time.
    history.add(&on(Outcome::Closed, "2026-09-03"), &period);
    for day in ["2026-09-12", "2026-10-03", "2026-10-31"] {
        (0..10).for_each(|_| history.add(&on(Outcome::Answered, day), &period));
    }
    history.open(saturdays_but(&[]), &period);
    assert_eq!((history.days.len(), history.calls), (10, 30));
    assert_eq!(history.first, Some("2026-09-03".parse().unwrap()));
    assert_eq!(history.model(RULES, Assumed::default()).calls(), 3.0);
    // A closed Saturday is no evening, unless somebody was there all the same.
    history.days.clear();
    history.add(&on(Outcome::Answered, "2026-10-03"), &period);
    history.open(saturdays_but(&["2026-09-05", "2026-10-03"]), &period);
    assert_eq!(history.days.len(), 9);
    // The day on which it is asked counts with its calls, not without.
    let saturday = Period::last(365, "2026-11-07".parse().unwrap(), chrono_tz::Asia::Tokyo);
    history.days.clear();
    history.open(saturdays_but(&[]), &saturday);
    assert_eq!(history.days.len(), 9);
    history.add(&on(Outcome::Answered, "2026-11-07"), &saturday);
    assert_eq!(history.days.len(), 10);
    assert_eq!(History::default().days.len(), 0);
}

#[test]
fn a_history_that_is_too_small_is_not_drawn_from() {
    let period = Period::month("2026-11", chrono_tz::Asia::Tokyo).unwrap();
    let mut history = History::default();
    (0..29).for_each(|_| history.add(&call(Outcome::Answered, 1, 5, 7), &period));
    assert!(!history.is_enough());
    let model = history.model(RULES, Assumed::default());
    assert_eq!((model.calls(), model.service.mean()), (10.0, 3_900.0));
    assert_eq!(model.patience, Some(300.0));
    history.add(&call(Outcome::Answered, 1, 5, 7), &period);
    assert!(history.is_enough());
}
