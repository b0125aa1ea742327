//! The schedule, claim by claim. The line of the tests is the Saturday line that koebashi is built
//! for, unless a test says otherwise.

use chrono::Weekday;
use chrono_tz::Asia::Tokyo;

use super::*;

mod zones;

const ALL_DAYS: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

/// `18:00-21:30-22:00`: open, intake end, service end.
fn window(days: &[Weekday], times: &str) -> Window {
    let times: Vec<NaiveTime> = times.split('-').map(|t| t.parse().unwrap()).collect();
    let [open, intake_end, service_end] = times[..] else { panic!("three times") };
    Window { days: days.to_vec(), open, intake_end, service_end }
}

fn hours(windows: &[Window]) -> Schedule {
    Schedule {
        hours: windows.to_vec(),
        closed_ranges: vec![],
        closed_dates: vec![],
        closed_on_holidays: false,
        over: Override::Auto,
    }
}

fn saturdays() -> Schedule {
    let mut schedule = hours(&[window(&[Weekday::Sat], "18:00-21:30-22:00")]);
    schedule.closed_ranges.push(((12, 29), (1, 3)));
    schedule
}

/// A moment as the clock of Tokyo shows it.
fn jst(text: &str) -> Timestamp {
    parse_moment(text, Tokyo).unwrap()
}

fn show(moment: Option<Timestamp>, tz: Tz) -> String {
    let shown = |m: Timestamp| m.with_timezone(&tz).format("%m-%dT%H:%M").to_string();
    moment.map_or_else(|| "never".into(), shown)
}

/// `open until …, service …` and so on, in the zone's time.
fn say(opening: Opening, tz: Tz) -> String {
    match opening {
        Opening::Open { intake_end, service_end } => {
            format!("open {} {}", show(intake_end, tz), show(service_end, tz))
        }
        Opening::Winding { service_end } => format!("winding {}", show(service_end, tz)),
        Opening::Closed { why, next_open } => {
            let why = match why {
                Why::OutsideHours => "hours".into(),
                Why::Range((m, d), (n, e)) => format!("range {m}-{d}..{n}-{e}"),
                Why::Date(day) => day.to_string(),
                Why::Holiday(name) => name.into(),
                Why::Override => "override".into(),
            };
            format!("closed ({why}) {}", show(next_open, tz))
        }
    }
}

/// Checks what holds at each moment, in Tokyo.
fn check(schedule: &Schedule, claims: &[(&str, &str)]) {
    check_in(Tokyo, schedule, claims);
}

fn check_in(tz: Tz, schedule: &Schedule, claims: &[(&str, &str)]) {
    for (moment, claim) in claims {
        let wall = parse_moment(moment, tz).unwrap();
        assert_eq!(say(at(schedule, tz, wall), tz), *claim, "at {moment}");
    }
}

fn change(schedule: &Schedule, from: &str) -> String {
    show(next_change(schedule, Tokyo, jst(from)), Tokyo)
}

#[test]
fn each_boundary_is_sharp() {
    let closed = "closed (hours) 12-19T18:00";
    let open = "open 12-19T21:30 12-19T22:00";
    let winding = "winding 12-19T22:00";
    let after = "closed (hours) 12-26T18:00";
    check(
        &saturdays(),
        &[
            ("2026-12-19T17:59:00", closed),
            ("2026-12-19T17:59:59", closed),
            ("2026-12-19T18:00:00", open),
            ("2026-12-19T18:01:00", open),
            ("2026-12-19T21:29:59", open),
            ("2026-12-19T21:30:00", winding),
            ("2026-12-19T21:31:00", winding),
            ("2026-12-19T21:59:59", winding),
            ("2026-12-19T22:00:00", after),
            ("2026-12-19T22:01:00", after),
            ("2026-12-18T19:00", closed),
            ("2026-12-20T19:00", after),
        ],
    );
    let wall = jst("2026-12-19T18:00") - TimeDelta::nanoseconds(1);
    assert_eq!(say(at(&saturdays(), Tokyo, wall), Tokyo), closed);
}

#[test]
fn changes_come_one_after_the_other() {
    let mut seen = vec![];
    let mut wall = jst("2026-12-19T00:00");
    for _ in 0..6 {
        wall = next_change(&saturdays(), Tokyo, wall).unwrap();
        seen.push(show(Some(wall), Tokyo));
    }
    let first = ["12-19T18:00", "12-19T21:30", "12-19T22:00"];
    assert_eq!(seen[..3], first);
    assert_eq!(seen[3..], ["12-26T18:00", "12-26T21:30", "12-26T22:00"]);
}

#[test]
fn year_end_is_closed_and_says_so() {
    let range = "closed (range 12-29..1-3) 01-09T18:00";
    check(
        &saturdays(),
        &[
            ("2026-12-26T18:00", "open 12-26T21:30 12-26T22:00"),
            ("2026-12-28T23:59:59", "closed (hours) 01-09T18:00"),
            ("2026-12-29T00:00", range),
            ("2026-12-31T23:59", range),
            ("2027-01-01T00:00", range),
            ("2027-01-02T19:00", range), // a Saturday
            ("2027-01-03T23:59:59", range),
            ("2027-01-04T00:00", "closed (hours) 01-09T18:00"),
            ("2027-01-09T18:00", "open 01-09T21:30 01-09T22:00"),
        ],
    );
}

#[test]
fn saturdays_at_year_end_are_closed_every_year() {
    for day in [
        "2027-01-02",
        "2028-01-01",
        "2028-12-30",
        "2029-12-29",
        "2032-01-03",
        "2033-01-01",
        "2033-12-31",
        "2034-12-30",
        "2035-12-29",
    ] {
        let wall = jst(&format!("{day}T19:00"));
        assert_eq!(wall.with_timezone(&Tokyo).weekday(), Weekday::Sat);
        let opening = at(&saturdays(), Tokyo, wall);
        let why = Why::Range((12, 29), (1, 3));
        assert!(matches!(opening, Opening::Closed { why: w, .. } if w == why), "{day}");
    }
}

#[test]
fn a_range_within_a_year_and_the_leap_day() {
    let mut schedule = hours(&[window(&ALL_DAYS, "09:00-17:00-17:30")]);
    schedule.closed_ranges = vec![((2, 28), (2, 29)), ((8, 13), (8, 16))];
    check(
        &schedule,
        &[
            ("2028-02-28T10:00", "closed (range 2-28..2-29) 03-01T09:00"),
            ("2028-02-29T10:00", "closed (range 2-28..2-29) 03-01T09:00"),
            ("2028-03-01T10:00", "open 03-01T17:00 03-01T17:30"),
            ("2027-02-28T10:00", "closed (range 2-28..2-29) 03-01T09:00"),
            ("2027-08-12T10:00", "open 08-12T17:00 08-12T17:30"),
            ("2027-08-13T10:00", "closed (range 8-13..8-16) 08-17T09:00"),
            ("2027-08-16T23:00", "closed (range 8-13..8-16) 08-17T09:00"),
        ],
    );
    schedule.closed_ranges = vec![((2, 29), (2, 29))];
    check(&schedule, &[("2028-02-29T10:00", "closed (range 2-29..2-29) 03-01T09:00")]);
    check(&schedule, &[("2027-03-01T10:00", "open 03-01T17:00 03-01T17:30")]);
}

#[test]
fn saturday_holidays_count_only_where_the_line_says_so() {
    let ignored = saturdays();
    let mut closed = saturdays();
    closed.closed_on_holidays = true;
    closed.closed_ranges.clear();
    for (day, name) in [
        ("2028-01-01", "元日"),
        ("2028-04-29", "昭和の日"),
        ("2029-05-05", "こどもの日"),
        ("2029-08-11", "山の日"),
        ("2029-11-03", "文化の日"),
        ("2030-02-23", "天皇誕生日"),
        ("2030-05-04", "みどりの日"),
        ("2030-11-23", "勤労感謝の日"),
        ("2031-05-03", "憲法記念日"),
        ("2032-03-20", "春分の日"),
        ("2033-01-01", "元日"),
        ("2034-02-11", "建国記念の日"),
        ("2034-04-29", "昭和の日"),
        ("2034-09-23", "秋分の日"),
        ("2035-05-05", "こどもの日"),
        ("2035-08-11", "山の日"),
        ("2035-11-03", "文化の日"),
    ] {
        let wall = jst(&format!("{day}T20:00"));
        let next_week = wall + TimeDelta::days(7) - TimeDelta::hours(2);
        let closed_then = Opening::Closed { why: Why::Holiday(name), next_open: Some(next_week) };
        assert_eq!(at(&closed, Tokyo, wall), closed_then, "{day}");
        if !day.ends_with("01-01") {
            assert!(matches!(at(&ignored, Tokyo, wall), Opening::Open { .. }), "{day}");
        }
    }
}

#[test]
fn special_holidays_close_a_weekday_line() {
    let mut schedule = hours(&[window(&ALL_DAYS, "09:00-17:00-17:00")]);
    schedule.closed_on_holidays = true;
    for (day, name, next) in [
        ("2026-05-06", "休日(振替)", "05-07T09:00"),
        ("2026-09-22", "休日(国民の休日)", "09-24T09:00"),
        ("2027-03-22", "休日(振替)", "03-23T09:00"),
        ("2029-02-12", "休日(振替)", "02-13T09:00"),
        ("2031-05-06", "休日(振替)", "05-07T09:00"),
        ("2032-09-21", "休日(国民の休日)", "09-23T09:00"),
        ("2034-01-02", "休日(振替)", "01-03T09:00"),
    ] {
        check(&schedule, &[(&format!("{day}T12:00"), &format!("closed ({name}) {next}"))]);
    }
}

#[test]
fn a_closed_date_is_a_reason_only_where_it_takes_hours_away() {
    let mut schedule = saturdays();
    schedule.closed_dates = vec!["2026-12-19".parse().unwrap(), "2026-12-16".parse().unwrap()];
    schedule.closed_on_holidays = true;
    check(
        &schedule,
        &[
            ("2026-12-19T19:00", "closed (2026-12-19) 12-26T18:00"),
            ("2026-12-19T00:00", "closed (2026-12-19) 12-26T18:00"),
            ("2026-12-16T19:00", "closed (hours) 12-26T18:00"), // a Wednesday
            ("2026-11-23T19:00", "closed (hours) 11-28T18:00"), // a holiday, a Monday
        ],
    );
}

#[test]
fn hours_past_midnight_belong_to_the_day_that_they_open_on() {
    let mut schedule = hours(&[window(&[Weekday::Sat], "22:00-05:30-06:00")]);
    schedule.closed_dates = vec!["2026-12-13".parse().unwrap(), "2026-12-19".parse().unwrap()];
    check(
        &schedule,
        &[
            ("2026-12-12T21:59", "closed (hours) 12-12T22:00"),
            ("2026-12-12T22:00", "open 12-13T05:30 12-13T06:00"),
            ("2026-12-12T23:59:59", "open 12-13T05:30 12-13T06:00"),
            ("2026-12-13T00:00", "open 12-13T05:30 12-13T06:00"), // a closed Sunday
            ("2026-12-13T05:29", "open 12-13T05:30 12-13T06:00"),
            ("2026-12-13T05:30", "winding 12-13T06:00"),
            ("2026-12-13T06:00", "closed (hours) 12-26T22:00"),
            ("2026-12-19T23:00", "closed (2026-12-19) 12-26T22:00"),
            ("2026-12-20T01:00", "closed (2026-12-19) 12-26T22:00"), // Saturday's hours, lost
            ("2026-12-20T06:00", "closed (hours) 12-26T22:00"),
        ],
    );
    // Only the counseling runs past midnight.
    let schedule = hours(&[window(&[Weekday::Thu], "20:00-23:30-00:30")]);
    check(
        &schedule,
        &[
            ("2026-12-31T23:29", "open 12-31T23:30 01-01T00:30"),
            ("2026-12-31T23:59", "winding 01-01T00:30"),
            ("2027-01-01T00:29", "winding 01-01T00:30"),
            ("2027-01-01T00:30", "closed (hours) 01-07T20:00"),
        ],
    );
}

#[test]
fn hours_that_began_before_a_range_end_in_it() {
    let mut schedule = hours(&[window(&ALL_DAYS, "14:00-05:30-06:00")]);
    schedule.closed_ranges = vec![((12, 29), (1, 3))];
    check(
        &schedule,
        &[
            ("2026-12-29T05:00", "open 12-29T05:30 12-29T06:00"),
            ("2026-12-29T05:45", "winding 12-29T06:00"),
            ("2026-12-29T06:00", "closed (range 12-29..1-3) 01-04T14:00"),
            ("2027-01-04T03:00", "closed (range 12-29..1-3) 01-04T14:00"), // the 3rd's hours
            ("2027-01-04T07:00", "closed (hours) 01-04T14:00"),
        ],
    );
}

#[test]
fn several_windows_a_day_in_any_order() {
    let schedule = hours(&[
        window(&[Weekday::Mon], "13:00-17:00-17:30"),
        window(&[Weekday::Mon, Weekday::Tue], "09:00-11:30-12:00"),
    ]);
    check(
        &schedule,
        &[
            ("2026-12-07T08:00", "closed (hours) 12-07T09:00"),
            ("2026-12-07T09:00", "open 12-07T11:30 12-07T12:00"),
            ("2026-12-07T11:45", "winding 12-07T12:00"),
            ("2026-12-07T12:00", "closed (hours) 12-07T13:00"),
            ("2026-12-07T13:00", "open 12-07T17:00 12-07T17:30"),
            ("2026-12-07T17:30", "closed (hours) 12-08T09:00"),
            ("2026-12-08T13:00", "closed (hours) 12-14T09:00"),
        ],
    );
}

#[test]
fn windows_that_touch_or_overlap_are_one() {
    let schedule = hours(&[
        window(&[Weekday::Mon], "09:00-12:00-12:00"),
        window(&[Weekday::Mon], "12:00-15:00-15:30"),
        window(&[Weekday::Mon], "14:00-14:30-16:00"),
    ]);
    check(
        &schedule,
        &[
            ("2026-12-07T09:00", "open 12-07T15:00 12-07T16:00"),
            ("2026-12-07T12:00", "open 12-07T15:00 12-07T16:00"),
            ("2026-12-07T15:59", "winding 12-07T16:00"),
        ],
    );
    let openings = next_openings(&schedule, Tokyo, jst("2026-12-06T00:00"), 2);
    let days: Vec<_> = openings.iter().map(|s| show(Some(s.open), Tokyo)).collect();
    assert_eq!(days, ["12-07T09:00", "12-14T09:00"]);
}

#[test]
fn counseling_that_reaches_into_the_next_hours_goes_on_with_them() {
    let schedule = hours(&[
        window(&[Weekday::Mon], "09:00-12:00-13:30"),
        window(&[Weekday::Mon], "13:00-17:00-17:30"),
    ]);
    check(
        &schedule,
        &[
            ("2026-12-07T10:00", "open 12-07T12:00 12-07T17:30"),
            ("2026-12-07T12:30", "winding 12-07T17:30"),
            ("2026-12-07T13:15", "open 12-07T17:00 12-07T17:30"),
            ("2026-12-07T17:10", "winding 12-07T17:30"),
        ],
    );
    assert_eq!(change(&schedule, "2026-12-07T12:30"), "12-07T13:00");
    assert_eq!(change(&schedule, "2026-12-07T17:10"), "12-07T17:30");
}

#[test]
fn without_hours_a_line_is_always_open() {
    let mut schedule = hours(&[]);
    check(&schedule, &[("2026-12-07T03:00", "open never never")]);
    assert_eq!(next_change(&schedule, Tokyo, jst("2026-12-07T03:00")), None);
    assert!(next_openings(&schedule, Tokyo, jst("2026-12-07T03:00"), 3).is_empty());
    schedule.closed_ranges = vec![((12, 29), (1, 3))];
    check(
        &schedule,
        &[
            ("2026-12-07T03:00", "open 12-29T00:00 12-29T00:00"),
            ("2026-12-28T23:59:59", "open 12-29T00:00 12-29T00:00"),
            ("2026-12-29T00:00", "closed (range 12-29..1-3) 01-04T00:00"),
            ("2027-01-04T00:00", "open 12-29T00:00 12-29T00:00"),
        ],
    );
}

#[test]
fn round_the_clock_every_day_has_no_end() {
    let schedule = hours(&[window(&ALL_DAYS, "00:00-00:00-00:00")]);
    check(&schedule, &[("2026-12-07T00:00", "open never never")]);
    let schedule = hours(&[window(&ALL_DAYS, "08:30-08:30-08:30")]);
    check(&schedule, &[("2026-12-07T08:30", "open never never")]);
    let schedule = hours(&[window(&[Weekday::Mon], "00:00-00:00-00:00")]);
    check(
        &schedule,
        &[
            ("2026-12-07T00:00", "open 12-08T00:00 12-08T00:00"),
            ("2026-12-08T00:00", "closed (hours) 12-14T00:00"),
        ],
    );
}

#[test]
fn counseling_round_the_clock_has_no_end_in_sight() {
    let schedule = hours(&[window(&ALL_DAYS, "09:00-17:00-09:00")]);
    check(&schedule, &[("2026-12-07T10:00", "open 12-07T17:00 12-08T09:00")]);
    let schedule =
        hours(&[window(&ALL_DAYS, "09:00-17:00-08:00"), window(&ALL_DAYS, "07:00-07:30-12:00")]);
    check(&schedule, &[("2026-12-07T10:00", "open 12-07T17:00 never")]);
    assert_eq!(change(&schedule, "2026-12-07T18:00"), "12-08T07:00");
    check(&schedule, &[("2026-12-07T18:00", "winding never")]);
}

#[test]
fn never_open_is_said_and_ends() {
    let mut schedule = saturdays();
    schedule.closed_ranges = vec![((1, 1), (12, 31))];
    check(&schedule, &[("2026-12-19T19:00", "closed (range 1-1..12-31) never")]);
    assert_eq!(next_change(&schedule, Tokyo, jst("2026-12-19T19:00")), None);
    check(
        &hours(&[window(&[], "18:00-21:30-22:00")]),
        &[("2026-12-19T19:00", "closed (hours) never")],
    );
}

#[test]
fn an_override_opens_until_its_end() {
    let mut schedule = saturdays();
    schedule.over = Override::Open(Some(jst("2026-12-16T20:00")));
    check(
        &schedule,
        &[
            ("2026-12-16T19:59:59", "open 12-16T20:00 12-16T20:00"),
            ("2026-12-16T20:00", "closed (hours) 12-19T18:00"),
        ],
    );
    assert_eq!(change(&schedule, "2026-12-16T19:00"), "12-16T20:00");
    // Into the hours, and into their winding.
    schedule.over = Override::Open(Some(jst("2026-12-19T19:00")));
    check(&schedule, &[("2026-12-19T17:00", "open 12-19T21:30 12-19T22:00")]);
    assert_eq!(change(&schedule, "2026-12-19T17:00"), "12-19T21:30");
    schedule.over = Override::Open(Some(jst("2026-12-19T21:45")));
    check(&schedule, &[("2026-12-19T21:35", "open 12-19T21:45 12-19T22:00")]);
    assert_eq!(change(&schedule, "2026-12-19T21:35"), "12-19T21:45");
    // For good.
    schedule.over = Override::Open(None);
    check(&schedule, &[("2026-12-30T03:00", "open never never")]);
    assert_eq!(next_change(&schedule, Tokyo, jst("2026-12-30T03:00")), None);
}

#[test]
fn an_override_closes_until_its_end() {
    let mut schedule = saturdays();
    schedule.over = Override::Closed(Some(jst("2026-12-19T20:00")));
    check(
        &schedule,
        &[
            ("2026-12-19T18:30", "closed (override) 12-19T20:00"),
            ("2026-12-19T19:59:59", "closed (override) 12-19T20:00"),
            ("2026-12-19T20:00", "open 12-19T21:30 12-19T22:00"),
        ],
    );
    assert_eq!(change(&schedule, "2026-12-19T18:30"), "12-19T20:00");
    schedule.over = Override::Closed(Some(jst("2026-12-19T21:40")));
    check(&schedule, &[("2026-12-19T18:30", "closed (override) 12-26T18:00")]);
    assert_eq!(change(&schedule, "2026-12-19T18:30"), "12-19T21:40"); // winding begins
    schedule.over = Override::Closed(Some(jst("2026-12-20T00:00")));
    check(&schedule, &[("2026-12-19T18:30", "closed (override) 12-26T18:00")]);
    assert_eq!(change(&schedule, "2026-12-19T18:30"), "12-26T18:00");
    schedule.over = Override::Closed(None);
    check(&schedule, &[("2026-12-19T18:30", "closed (override) never")]);
    assert_eq!(next_change(&schedule, Tokyo, jst("2026-12-19T18:30")), None);
}

#[test]
fn the_next_openings_leave_out_what_is_closed() {
    let list = |schedule: &Schedule, from, n| -> Vec<String> {
        let spans = next_openings(schedule, Tokyo, jst(from), n);
        spans
            .iter()
            .map(|s| format!("{}/{}", show(Some(s.open), Tokyo), show(s.intake_end, Tokyo)))
            .collect()
    };
    let mut schedule = saturdays();
    let from = "2026-12-19T18:00"; // already open
    let expected =
        ["12-26T18:00/12-26T21:30", "01-09T18:00/01-09T21:30", "01-16T18:00/01-16T21:30"];
    assert_eq!(list(&schedule, from, 3), expected);
    assert!(list(&schedule, from, 0).is_empty());
    schedule.over = Override::Closed(Some(jst("2026-12-26T20:00")));
    assert_eq!(list(&schedule, from, 1), ["12-26T20:00/12-26T21:30"]);
    schedule.over = Override::Closed(Some(jst("2026-12-26T21:30")));
    assert_eq!(list(&schedule, from, 1), ["01-09T18:00/01-09T21:30"]);
    schedule.over = Override::Open(Some(jst("2026-12-26T20:00")));
    assert_eq!(list(&schedule, from, 1), ["01-09T18:00/01-09T21:30"]);
    schedule.over = Override::Closed(None);
    assert!(list(&schedule, from, 3).is_empty());
}

proptest::proptest! {
    /// Between two changes nothing changes, and at a change something does.
    #[test]
    fn next_change_is_where_the_answer_changes(
        minute in 0i64..60 * 24 * 800,
        times in proptest::collection::vec((0u32..48, 1u32..48, 0u32..12, 0usize..7), 1..4),
        holidays in proptest::bool::ANY,
    ) {
        let half = |n: u32| NaiveTime::from_hms_opt(n / 2 % 24, n % 2 * 30, 0).unwrap();
        let windows: Vec<_> = times
            .iter()
            .map(|(open, long, more, day)| Window {
                days: vec![ALL_DAYS[*day], ALL_DAYS[(*day + 3) % 7]],
                open: half(*open),
                intake_end: half(open + long),
                service_end: half(open + (long + more).min(48)),
            })
            .collect();
        let mut schedule = hours(&windows);
        schedule.closed_ranges.push(((12, 29), (1, 3)));
        schedule.closed_on_holidays = holidays;
        let wall = jst("2026-01-01") + TimeDelta::minutes(minute);
        let kind = |t| std::mem::discriminant(&at(&schedule, Tokyo, t));
        let change = next_change(&schedule, Tokyo, wall).unwrap();
        proptest::prop_assert!(change > wall);
        proptest::prop_assert_ne!(kind(wall), kind(change));
        let mut t = wall;
        while t < change {
            proptest::prop_assert_eq!(kind(wall), kind(t), "at {}", t);
            t += TimeDelta::minutes(30);
        }
        proptest::prop_assert_eq!(kind(wall), kind(change - TimeDelta::seconds(1)));
    }
}
