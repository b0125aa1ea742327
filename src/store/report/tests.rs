//! Figures against sums done by hand.

mod queries;

use std::collections::BTreeMap;

use super::print::{Format, print};
use super::*;
use crate::call::cdr::{CallId, EndReason, EndedBy, LegFigures, Presentation, Quality, Whose};
use crate::call::config::TrunkId;
use crate::time::Timestamp;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn november() -> Period {
    Period::month("2026-11", chrono_tz::Asia::Tokyo).unwrap()
}

/// A call on Saturday 7 November 2026 (or as `local` says, Tokyo time).
fn call(local: &str, outcome: Outcome, wait: u64, talk: u64) -> Cdr {
    let started: Timestamp = format!("{local}+09:00").parse().unwrap();
    let talks = if talk > 0 { vec![(Extension::from("101"), secs(talk))] } else { vec![] };
    Cdr {
        call: CallId("x".into()),
        trunk: TrunkId::from("navi"),
        line: Some(LineId::from("nijiiro")),
        started,
        answered: Some(started),
        ended: started + secs(wait + talk),
        outcome,
        ended_by: EndedBy::Caller,
        reason: EndReason::Hangup,
        presentation: Presentation::Shown,
        guidance: secs(10),
        wait: secs(wait),
        talk: secs(talk),
        paid_wait: secs(10 + wait),
        position: Some(1),
        offers: 1,
        counselor: None,
        talks,
        recorded: 0,
        test: false,
        legs: vec![],
    }
}

/// Four answered, two abandoned, and one of each of the others.
fn evening() -> Vec<Cdr> {
    use Outcome::*;
    let mut rows = vec![
        call("2026-11-07T18:00:00", Answered, 10, 3_600),
        call("2026-11-07T18:05:00", Answered, 20, 1_800),
        call("2026-11-07T18:30:00", Answered, 60, 600),
        call("2026-11-07T18:59:59", Answered, 200, 1_200),
        call("2026-11-07T19:00:00", Abandoned, 30, 0),
        call("2026-11-07T19:10:00", Abandoned, 90, 0),
        call("2026-11-07T19:29:00", ShortAbandoned, 3, 0),
        call("2026-11-07T20:00:00", GuidanceAbandoned, 0, 0),
        call("2026-11-07T20:00:00", TimedOut, 180, 0),
        call("2026-11-07T20:00:00", Full, 0, 0),
        call("2026-11-07T20:00:00", NoCounselor, 0, 0),
        call("2026-11-08T12:00:00", Closed, 0, 0),
        call("2026-11-07T20:00:00", Refused, 0, 0),
        call("2026-11-07T20:00:00", Failed, 0, 0),
    ];
    rows[9].paid_wait = secs(0);
    let refused = &mut rows[12];
    (refused.answered, refused.guidance) = (None, secs(0));
    rows
}

#[test]
fn an_evening_is_counted_as_by_hand() {
    let figures = figures(&evening(), november());
    let f = &figures.total;
    assert_eq!(f.counts.received(), 14);
    assert_eq!(Outcome::ALL.map(|o| f.counts.of(o)), [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
    // 4 + 1 + 2 + 1 + 1 + 1
    assert_eq!(f.counts.queued(), 10);
    assert_eq!(f.counts.answer_rate(), Some(4.0 / 9.0));
    assert_eq!(f.counts.abandonment(), Some(2.0 / 9.0));
    assert_eq!(f.counts.answered_of_received(), Some(4.0 / 14.0));
    // Within 20 s: 10 and 20; within 60: three; within 180: three; of 4 answered + 2 abandoned.
    assert_eq!(f.within, [2, 3, 3]);
    assert_eq!(f.service_levels(), [Some(2.0 / 6.0), Some(0.5), Some(0.5)]);
    let wait = &f.wait_answered;
    assert_eq!(
        (wait.mean(), wait.median(), wait.p90(), wait.max()),
        (Some(72_500.0), Some(40_000.0), Some(200_000.0), Some(200_000.0))
    );
    let wait = &f.wait_abandoned;
    assert_eq!(
        (wait.mean(), wait.median(), wait.max()),
        (Some(60_000.0), Some(60_000.0), Some(90_000.0))
    );
    assert_eq!(
        (f.talk.total(), f.talk.mean(), f.talk.median(), f.talk.max()),
        (7_200_000.0, Some(1_800_000.0), Some(1_500_000.0), Some(3_600_000.0))
    );
    // All but the refused one heard us.
    assert_eq!((f.system_answered, f.heard), (13, 13));
    assert_eq!(f.drop_off(), Some(1.0 / 13.0));
    // Ten seconds of guidance for each of twelve, and waits of 10+20+60+200+30+90+3+180.
    assert_eq!(f.paid_wait.total(), (120.0 + 593.0) * 1_000.0);
    assert_eq!(f.paid_wait.mean(), Some(713_000.0 / 13.0));
}

#[test]
fn slots_and_days_go_by_the_zone() {
    let mut rows = evening();
    // 15:00 UTC on the 14th is midnight of the 15th in Tokyo.
    rows.push(call("2026-11-15T00:00:00", Outcome::Answered, 1, 60));
    let f = figures(&rows, november()).total;
    let slots = f.slots.iter().map(|(slot, counts)| (*slot, counts.received()));
    let expected = [(0, 1), (24, 1), (36, 2), (37, 2), (38, 3), (40, 6)];
    assert_eq!(slots.collect::<Vec<_>>(), expected);
    assert_eq!(f.slots[&36].of(Outcome::Answered), 2);
    // The 8th had a closed call only, so it was no opening day.
    let days = f.days.iter().map(|(day, counts)| (day.to_string(), counts.received()));
    let expected = [("2026-11-07".to_owned(), 13), ("2026-11-15".to_owned(), 1)];
    assert_eq!(days.collect::<Vec<_>>(), expected);
}

#[test]
fn only_calls_that_began_in_the_period_count() {
    let rows = [
        call("2026-10-31T23:59:59", Outcome::Answered, 1, 1),
        call("2026-11-01T00:00:00", Outcome::Answered, 1, 1),
        call("2026-11-30T23:59:59", Outcome::Answered, 1, 1),
        call("2026-12-01T00:00:00", Outcome::Answered, 1, 1),
    ];
    assert_eq!(figures(&rows, november()).total.counts.received(), 2);
    let year = Period::fiscal_year("2026", chrono_tz::Asia::Tokyo).unwrap();
    assert_eq!(figures(&rows, year).total.counts.received(), 4);
}

#[test]
fn test_calls_are_apart_and_lines_are_told_apart() {
    let mut rows = vec![
        call("2026-11-07T18:00:00", Outcome::Answered, 1, 60),
        call("2026-11-07T18:00:00", Outcome::Answered, 1, 60),
        call("2026-11-07T18:00:00", Outcome::Abandoned, 9, 0),
        call("2026-11-07T18:00:00", Outcome::Refused, 0, 0),
    ];
    rows[1].test = true;
    rows[2].line = Some(LineId::from("other"));
    rows[3].line = None;
    let figures = figures(&rows, november());
    assert_eq!((figures.total.counts.received(), figures.total.test), (3, 1));
    assert_eq!(figures.total.talk.len(), 1);
    let line = |id: Option<&str>| &figures.lines[&id.map(LineId::from)];
    assert_eq!((line(Some("nijiiro")).counts.received(), line(Some("nijiiro")).test), (1, 1));
    assert_eq!(line(Some("other")).counts.of(Outcome::Abandoned), 1);
    assert_eq!(line(None).counts.of(Outcome::Refused), 1);
}

#[test]
fn a_transfer_counts_for_each_counselor_and_voices_have_medians() {
    let mut rows = [
        call("2026-11-07T18:00:00", Outcome::Answered, 1, 60),
        call("2026-11-07T18:00:00", Outcome::Answered, 1, 90),
        call("2026-11-07T18:00:00", Outcome::Answered, 1, 90),
    ];
    rows[1].talks.push((Extension::from("102"), secs(30)));
    let voice = |lost, mos, jitter_ms| Quality {
        received: 100 - lost,
        lost,
        mos,
        jitter_ms,
        ..Quality::default()
    };
    let leg = |whose, quality| LegFigures { whose, quality };
    rows[0].legs = vec![leg(Whose::Caller, voice(2, Some(4.0), 1.0))];
    rows[1].legs = vec![
        leg(Whose::Caller, voice(4, Some(3.0), 5.0)),
        leg(Whose::Counselor("101".into()), voice(0, None, 0.5)),
        leg(Whose::Supervisor("201".into()), voice(50, Some(1.0), 70.0)),
        leg(Whose::Counselor("102".into()), voice(2, None, 0.5)),
    ];
    let f = figures(&rows, november()).total;
    let talks = |extension: &str| {
        let talks = &f.counselors[&Extension::from(extension)];
        (talks.len(), talks.total(), talks.mean())
    };
    assert_eq!(talks("101"), (3, 240_000.0, Some(80_000.0)));
    assert_eq!(talks("102"), (1, 30_000.0, Some(30_000.0)));
    // The third call measured nothing and is in no median.
    assert_eq!(f.caller_voice.mos.median(), Some(3.5));
    assert_eq!(f.caller_voice.loss.median(), Some(0.03));
    assert_eq!(f.caller_voice.jitter_ms.median(), Some(3.0));
    assert_eq!(f.caller_voice.round_trip_ms.median(), None);
    assert_eq!(f.counselor_voice.loss.median(), Some(0.01));
    assert_eq!(f.counselor_voice.mos.median(), None);
}

#[test]
fn order_does_not_matter_and_ninety_percent_is_by_rank() {
    let mut rows = (1..=11).map(|n| call("2026-11-07T18:00:00", Outcome::Answered, n, 1));
    let mut rows = rows.by_ref().collect::<Vec<_>>();
    let one = figures(&rows, november());
    rows.reverse();
    assert_eq!(one, figures(&rows, november()));
    // ⌈0.9 · 11⌉ = 10
    assert_eq!(one.total.wait_answered.p90(), Some(10_000.0));
    assert_eq!(one.total.wait_answered.median(), Some(6_000.0));
    rows.truncate(10);
    assert_eq!(figures(&rows, november()).total.wait_answered.p90(), Some(10_000.0));
}

#[test]
fn nothing_divided_by_nothing_is_nothing() {
    let figures = figures(&[], november());
    let f = &figures.total;
    assert_eq!((f.counts.answer_rate(), f.drop_off(), f.wait_answered.p90()), (None, None, None));
    assert_eq!(f.service_levels(), [None; 3]);
    for format in [Format::Text, Format::Csv, Format::Json] {
        let text = print(&figures, &BTreeMap::new(), format);
        assert!(!text.contains("NaN") && !text.contains("inf,"), "{text}");
        assert!(!text.contains("-0.0") && !text.contains(",-0,"), "{text}");
    }
}

#[test]
fn the_text_says_the_definition_beside_the_figure() {
    let names = BTreeMap::from([(LineId::from("nijiiro"), "にじいろ県民相談".to_owned())]);
    let text = print(&figures(&evening(), november()), &names, Format::Text);
    let line = text.lines().find(|line| line.trim().starts_with("応答率 ")).unwrap();
    assert!(line.contains("44.4 %") && line.contains("応答 ÷ (待ち行列に入った − 短時間放棄)"));
    for part in ["2026年11月", "にじいろ県民相談", "2026-11-07 (土)", "19:00", "1:00:00"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn what_may_be_missing_is_said_above_the_figures() {
    let mut figures = figures(&evening(), november());
    let short = |figures: &Figures, format| print(figures, &BTreeMap::new(), format);
    assert!(!short(&figures, Format::Text).contains("2026-11-10"));
    assert!(!short(&figures, Format::Csv).contains("kept_from"));
    figures.period = november().kept_for(20, "2026-11-29T12:00:00+09:00".parse().unwrap());
    let text = short(&figures, Format::Text);
    assert!(text.lines().nth(1).unwrap().contains("2026-11-10 より前の通話は"), "{text}");
    let csv = short(&figures, Format::Csv);
    assert!(csv.lines().nth(1).unwrap().starts_with("2026-11,,,notice,,kept_from,"), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&short(&figures, Format::Json)).unwrap();
    assert_eq!(json["period"]["kept_from"], "2026-11-10");
}

#[test]
fn csv_is_one_figure_a_line_and_no_cell_is_a_formula() {
    let mut rows = evening();
    rows[0].talks = vec![(Extension::from("=1+1"), secs(60)), (Extension::from("@x"), secs(1))];
    let names = BTreeMap::from([(LineId::from("nijiiro"), "-a,\"b\"\r\n".to_owned())]);
    let csv = print(&figures(&rows, november()), &names, Format::Csv);
    let body = csv.strip_prefix('\u{feff}').unwrap();
    let head = body.lines().next().unwrap();
    assert_eq!(head, "period,line,line_name,table,row,key,label,value,unit,definition");
    assert!(body.contains("\r\n2026-11,*,全回線,summary,,answered,応答,4,calls,"), "{body}");
    assert!(body.contains("\r\n2026-11,*,全回線,slots,18:00,answered,応答,2,calls,\r\n"));
    assert!(body.contains(",counselors,'=1+1,calls,") && body.contains(",counselors,'@x,calls,"));
    assert!(body.contains(",nijiiro,\"'-a,\"\"b\"\"\r\n\",summary,"));
    let is_formula = |cell: &str| cell.starts_with(['=', '+', '-', '@', '\t']);
    assert!(!body.split([',', '\n']).any(is_formula));
}

#[test]
fn json_has_the_same_keys() {
    let json = print(&figures(&evening(), november()), &BTreeMap::new(), Format::Json);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["period"]["from"], "2026-10-31T15:00:00+00:00");
    let summary = &json["total"]["summary"];
    assert_eq!(summary["received"], 14);
    assert_eq!(summary["answer_rate"], 0.4444);
    assert_eq!(summary["wait_answered_mean"], 72.5);
    assert_eq!(summary["caller_mos"], serde_json::Value::Null);
    assert_eq!(json["total"]["days"][0]["day"], "2026-11-07");
    assert_eq!(json["lines"][0]["line"], "nijiiro");
    assert_eq!(json["lines"][0]["counselors"][0]["calls"], 4);
}
