//! Time zones, the ends of the calendar, and moments as people write them.

use super::*;

#[test]
fn summer_time_skips_and_repeats() {
    let tz = chrono_tz::America::New_York;
    // 2026-03-08: 02:00 becomes 03:00. 2026-11-01: 02:00 becomes 01:00.
    let schedule = hours(&[window(&[Weekday::Sun], "02:30-04:00-04:30")]);
    let at_utc = |text: &str| at(&schedule, tz, text.parse().unwrap());
    assert_eq!(say(at_utc("2026-03-08T06:59:59Z"), tz), "closed (hours) 03-08T03:00");
    assert_eq!(say(at_utc("2026-03-08T07:00:00Z"), tz), "open 03-08T04:00 03-08T04:30");

    let schedule = hours(&[window(&[Weekday::Sun], "01:30-01:45-01:50")]);
    let at_utc = |text: &str| at(&schedule, tz, text.parse().unwrap());
    assert_eq!(say(at_utc("2026-11-01T05:29:59Z"), tz), "closed (hours) 11-01T01:30");
    let Opening::Open { intake_end, service_end } = at_utc("2026-11-01T05:30:00Z") else {
        panic!("opens at the first 01:30")
    };
    assert_eq!(intake_end, Some("2026-11-01T06:45:00Z".parse().unwrap()));
    assert_eq!(service_end, Some("2026-11-01T06:50:00Z".parse().unwrap()));
    assert!(matches!(at_utc("2026-11-01T06:44:59Z"), Opening::Open { .. }));
    assert!(matches!(at_utc("2026-11-01T06:45:00Z"), Opening::Winding { .. }));

    // Every day round the clock has no hole on either day, nor where midnight is skipped.
    let always = hours(&[window(&ALL_DAYS, "00:00-00:00-00:00")]);
    check_in(tz, &always, &[("2026-03-08T01:00", "open never never")]);
    check_in(tz, &always, &[("2026-11-01T01:30", "open never never")]);
    check_in(chrono_tz::Asia::Beirut, &always, &[("2026-03-28T23:00", "open never never")]);
}

#[test]
fn the_hours_are_those_of_the_zone_whatever_the_host_has() {
    let wall = "2026-12-19T09:00:00Z".parse().unwrap();
    assert!(matches!(at(&saturdays(), Tokyo, wall), Opening::Open { .. }));
    assert!(matches!(at(&saturdays(), chrono_tz::UTC, wall), Opening::Closed { .. }));
}

#[test]
fn the_ends_of_the_calendar_do_no_harm() {
    for wall in [Timestamp::MIN_UTC, Timestamp::MAX_UTC] {
        for schedule in [saturdays(), hours(&[]), hours(&[window(&ALL_DAYS, "18:00-02:00-03:00")])]
        {
            at(&schedule, chrono_tz::UTC, wall);
            next_change(&schedule, chrono_tz::UTC, wall);
            next_openings(&schedule, chrono_tz::UTC, wall, 3);
        }
    }
}

#[test]
fn moments_are_read_as_people_write_them() {
    let nine = "2026-12-26T09:00:00Z".parse::<Timestamp>().unwrap();
    for text in [
        "2026-12-26T18:00",
        "2026-12-26 18:00",
        " 2026-12-26T18:00:00 ",
        "2026-12-26T18:00+09:00",
        "2026-12-26T18:00:00+0900",
        "2026-12-26T09:00Z",
        "2026-12-26T09:00:00Z",
        "2026-12-26T01:00-08:00",
    ] {
        assert_eq!(parse_moment(text, Tokyo), Ok(nine), "{text}");
    }
    assert_eq!(parse_moment("2026-12-26", Tokyo), Ok(nine - TimeDelta::hours(18)));
    for text in
        ["", "18:00", "2026-13-01T18:00", "2026-02-29T18:00", "2026-12-26T24:01", "tomorrow"]
    {
        let unreadable = MomentError::Unreadable(text.to_owned());
        assert_eq!(parse_moment(text, Tokyo), Err(unreadable), "{text}");
    }
    let tz = chrono_tz::America::New_York;
    let skipped = parse_moment("2026-03-08T02:30", tz);
    assert_eq!(skipped, Err(MomentError::Skipped("2026-03-08T02:30".into(), tz)));
    let first = parse_moment("2026-11-01T01:30", tz).unwrap();
    assert_eq!(first, "2026-11-01T05:30:00Z".parse::<Timestamp>().unwrap());
}
