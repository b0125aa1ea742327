//! What is withheld can't be found out: every report that would read the same is tried.

use std::collections::BTreeSet;

use super::*;
use crate::chance::Chance;
use crate::store::report::Counts;
use crate::store::report::print::Format;

/// Every list of `parts` numbers whose sum is `total`.
fn lists(parts: usize, total: u64, each: &mut impl FnMut(&[u64])) {
    fn go(list: &mut Vec<u64>, parts: usize, total: u64, each: &mut impl FnMut(&[u64])) {
        if list.len() + 1 == parts {
            list.push(total);
            each(list);
            list.pop();
            return;
        }
        for first in 0..=total {
            list.push(first);
            go(list, parts, total - first, each);
            list.pop();
        }
    }
    go(&mut Vec::new(), parts, total, each);
}

/// Whether a reader who sees the cells would believe this list.
fn fits(list: &[u64], cells: &[Cell], min: u64) -> bool {
    list.iter().zip(cells).all(|(count, cell)| match cell {
        Cell::Shown(shown) => count == shown,
        Cell::Few => *count < min,
        Cell::Withheld => *count >= min,
        Cell::Nothing => true,
    })
}

/// What is left over of the total when the shown parts are taken away.
fn left_over(total: u64, cells: &[Cell]) -> u64 {
    match cells.contains(&Cell::Nothing) {
        true => total,
        false => total - cells.iter().filter_map(|cell| cell.shown()).sum::<u64>(),
    }
}

/// A count that can be read or computed names nobody.
fn assert_large(count: u64, min: u64, of: &str) {
    assert!(!(1..min).contains(&count), "{count} of {of}");
}

/// Numbers that are mostly small.
fn small(chance: &mut Chance) -> u64 {
    let most = [1, 3, 7][chance.below(3) as usize];
    chance.below(most)
}

#[test]
fn no_part_that_is_not_shown_can_be_found_from_the_total_and_the_others() {
    let mut chance = Chance::from_number(5);
    let (mut shown, mut hidden) = (0, 0);
    for _ in 0..3_000 {
        let min = 2 + chance.below(4);
        let parts = (0..2 + chance.below(4)).map(|_| small(&mut chance)).collect::<Vec<_>>();
        let total: u64 = parts.iter().sum();
        if total < min {
            continue;
        }
        let cells = protect(&parts, min);
        assert!(fits(&parts, &cells, min), "{parts:?} {cells:?}");
        assert_large(left_over(total, &cells), min, &format!("{parts:?} {cells:?}"));
        let mut possible = vec![BTreeSet::new(); parts.len()];
        lists(parts.len(), total, &mut |list| {
            if fits(list, &cells, min) {
                possible.iter_mut().zip(list).for_each(|(set, count)| {
                    set.insert(*count);
                });
            }
        });
        for (cell, possible) in cells.iter().zip(&possible) {
            match cell {
                Cell::Shown(count) => {
                    assert!(*count >= min);
                    shown += 1;
                }
                Cell::Few | Cell::Withheld | Cell::Nothing => {
                    assert!(possible.len() >= 2, "{parts:?} {cells:?} {possible:?} {min}");
                    hidden += 1;
                }
            }
        }
    }
    // It withholds, but not everything.
    assert!(shown > 500 && hidden > 500, "{shown} {hidden}");
}

#[test]
fn two_parts_of_which_one_is_small_withhold_the_other_too() {
    assert_eq!(protect(&[20, 3], 5), [Cell::Withheld, Cell::Few]);
    assert_eq!(protect(&[20, 30, 3], 5), [Cell::Withheld, Cell::Shown(30), Cell::Few]);
    // The sum of two small ones could only be 4 + 4, so a third goes too.
    assert_eq!(protect(&[9, 4, 4], 5), [Cell::Withheld, Cell::Few, Cell::Few]);
    assert_eq!(protect(&[9, 3, 2], 5), [Cell::Shown(9), Cell::Few, Cell::Few]);
    // What the 9 leaves over would be a count below the limit: 4.
    assert_eq!(protect(&[9, 2, 2], 5), [Cell::Withheld, Cell::Few, Cell::Few]);
    // 5 + 0 could be nothing else when it is said that one of them is not small.
    assert_eq!(protect(&[5, 0], 5), [Cell::Nothing, Cell::Nothing]);
    assert_eq!(protect(&[9, 0], 0), [Cell::Shown(9), Cell::Shown(0)]);
}

fn line_of(counts: [u64; 10]) -> LineFigures {
    LineFigures { counts: Counts(counts), ..LineFigures::default() }
}

/// With attempts that the carrier counted; 0: it counted nothing.
fn carried(counts: [u64; 10], attempts: u64) -> LineFigures {
    let mut figures = line_of(counts);
    figures.carrier.count.attempts = attempts;
    figures.carrier.answered = figures.counts.of(Outcome::Answered);
    figures
}

/// What a reader knows of the outcomes.
fn told(counts: [u64; 10], min: u64) -> Vec<(&'static str, Shown)> {
    told_of(&line_of(counts), min)
}

fn told_of(figures: &LineFigures, min: u64) -> Vec<(&'static str, Shown)> {
    let (figures, _) = line(figures, Span::Month, min);
    let is_of_outcomes = |key: &str| !key.starts_with("service") && !key.ends_with("mean");
    figures.into_iter().filter(|(key, _)| is_of_outcomes(key)).collect()
}

/// A figure that is told, and how it is counted.
type Told = (fn(&LineFigures) -> Value, Shown);

/// Whether a list of outcomes agrees with every number that is told, rates and all.
fn agrees(list: [u64; 10], attempts: u64, told: &[Told], min: u64) -> bool {
    let figures = carried(list, attempts);
    told.iter().all(|(of, shown)| match (shown, of(&figures)) {
        (Shown::Value(told), real) => *told == real,
        (Shown::Few, Value::Calls(count)) => count < min,
        (Shown::Few | Shown::Withheld, _) => true,
    })
}

#[test]
fn no_outcome_that_is_not_shown_can_be_found_from_counts_sums_and_rates() {
    let mut chance = Chance::from_number(11);
    let (mut tables, mut rates, mut attempts_told) = (0, 0, 0);
    while tables < 200 {
        // Every second table has calls enough for a rate.
        let is_small = tables % 2 == 0;
        let (min, calls) =
            if is_small { (2 + chance.below(2), 4 + chance.below(5)) } else { (2, 9) };
        let mut counts = [0; 10];
        for _ in 0..calls {
            // A few outcomes make up most calls, as they do.
            let which = if !is_small || chance.below(3) > 0 {
                [0, 1, 7][chance.below(3) as usize]
            } else {
                chance.below(10) as usize
            };
            counts[which] += 1;
        }
        let received: u64 = counts.iter().sum();
        let attempts = received + chance.below(8);
        let told = told_of(&carried(counts, attempts), min);
        assert_no_difference_is_small(&told, min);
        attempts_told +=
            usize::from(told.contains(&("carrier_attempts", Shown::Value(Value::Calls(attempts)))));
        tables += 1;
        rates += usize::from(
            told.iter().any(|(key, shown)| *key == "answer_rate" && *shown != Shown::Withheld),
        );
        let of = |key| SUMMARY.iter().find(|figure| figure.key == key).unwrap().of;
        let known = told.iter().map(|(key, shown)| (of(*key), *shown)).collect::<Vec<_>>();
        let mut possible = vec![BTreeSet::new(); 10];
        let mut possible_in_hours = BTreeSet::new();
        lists(10, received, &mut |list| {
            let list: [u64; 10] = list.try_into().unwrap();
            if agrees(list, attempts, &known, min) {
                possible_in_hours.insert(received - list[Outcome::Closed as usize]);
                possible.iter_mut().zip(list).for_each(|(set, count)| {
                    set.insert(count);
                });
            }
        });
        let in_hours = received - counts[Outcome::Closed as usize];
        if (1..min).contains(&in_hours) {
            assert!(possible_in_hours.len() >= 2, "{counts:?} {told:?}");
        }
        for (outcome, possible) in Outcome::ALL.iter().zip(&possible) {
            let (_, shown) = told.iter().find(|(key, _)| *key == outcome.name()).unwrap();
            let is_shown = matches!(shown, Shown::Value(_));
            assert!(
                is_shown || possible.len() >= 2,
                "{counts:?} {outcome:?} {possible:?} {told:?}"
            );
        }
    }
    assert!(rates > 4 && attempts_told > 20, "some are shown: {rates} {attempts_told}");
}

/// Counts of which the first holds the second, or is held by it: anybody can take the difference.
const NESTED: [(&str, &str); 12] = [
    ("received", "waited"),
    ("received", "in_hours"),
    ("received", "closed"),
    ("received", "answered"),
    ("in_hours", "waited"),
    ("in_hours", "answered"),
    ("waited", "answered"),
    ("waited", "abandoned"),
    ("carrier_attempts", "received"),
    ("carrier_attempts", "in_hours"),
    ("carrier_attempts", "waited"),
    ("carrier_attempts", "answered"),
];

fn assert_no_difference_is_small(told: &[(&'static str, Shown)], min: u64) {
    let counts = told.iter().filter_map(|(key, shown)| match shown {
        Shown::Value(Value::Calls(count)) => Some((*key, *count)),
        Shown::Value(_) | Shown::Few | Shown::Withheld => None,
    });
    let counts = counts.collect::<BTreeMap<_, _>>();
    for (key, count) in &counts {
        assert_large(*count, min, key);
    }
    for (one, other) in NESTED {
        if let Some((a, b)) = counts.get(one).zip(counts.get(other)) {
            assert_large(a.abs_diff(*b), min, &format!("{one} and {other}: {told:?}"));
        }
    }
}

#[test]
fn who_called_in_hours_is_told_only_where_they_are_many() {
    // 20 received, 17 of them out of hours: the other 3 could be computed from both.
    let told = told([2, 0, 0, 0, 1, 0, 0, 17, 0, 0], 5);
    let of = |key| told.iter().find(|(own, _)| *own == key).unwrap().1;
    assert_eq!(of("received"), Shown::Value(Value::Calls(20)));
    assert_eq!((of("closed"), of("in_hours")), (Shown::Withheld, Shown::Withheld));
    let told = told_of(&line_of([40, 10, 3, 8, 9, 7, 8, 20, 6, 5]), 5);
    assert!(told.contains(&("in_hours", Shown::Value(Value::Calls(96)))), "{told:?}");
}

#[test]
fn attempts_are_told_only_where_none_or_many_found_it_engaged() {
    let attempts = |attempts, counts| {
        let told = told_of(&carried(counts, attempts), 5);
        let of = |key| told.iter().find(|(own, _)| *own == key).unwrap().1;
        (of("carrier_attempts"), of("connection_rate"))
    };
    let calls = |n| Shown::Value(Value::Calls(n));
    let counts = [40, 10, 9, 8, 9, 7, 8, 20, 6, 9];
    let received: u64 = counts.iter().sum();
    for few in 1..5 {
        let hidden = (Shown::Withheld, Shown::Withheld);
        assert_eq!(attempts(received + few, counts), hidden);
        // Some days' files are missing.
        assert_eq!(attempts(received - few, counts), hidden);
        // As many in hours: the difference from them would be small.
        assert_eq!(attempts(received - 20 + few, counts), hidden);
    }
    for many in [received, received + 5, received + 50] {
        let rate = Shown::Value(Value::Ratio(ratio(40, many)));
        assert_eq!(attempts(many, counts), (calls(many), rate));
    }
}

fn typed(answered: u64, types: &[u64]) -> LineFigures {
    let mut counts = [0; 10];
    counts[Outcome::Answered as usize] = answered;
    let types = types.iter().enumerate().map(|(n, count)| (format!("type {n}"), *count));
    LineFigures { contacts: types.collect(), ..line_of(counts) }
}

/// What the table tells of each type; `None`: there is none.
fn types_told(figures: &LineFigures, min: u64) -> Option<Vec<Shown>> {
    contacts(figures, min).map(|table| table.rows.into_iter().map(|(.., shown)| shown).collect())
}

#[test]
fn a_type_that_has_a_row_is_known_to_have_occurred() {
    let calls = |n| Shown::Value(Value::Calls(n));
    // 11 − 9 are two, of which each row has one.
    let (few, hidden) = (Shown::Few, Shown::Withheld);
    assert_eq!(types_told(&typed(11, &[9, 1, 1]), 5), Some(vec![hidden, few, few]));
    assert_eq!(types_told(&typed(15, &[9, 3, 3]), 5), Some(vec![calls(9), few, few]));
    // Five rows of five calls are one each, whatever they say.
    assert_eq!(types_told(&typed(5, &[1; 5]), 5), None);
    // Three answered calls without a type are the difference.
    assert_eq!(types_told(&typed(53, &[30, 20]), 5), Some(vec![calls(30), hidden]));
    assert_eq!(types_told(&typed(50, &[30, 20]), 5), Some(vec![calls(30), calls(20)]));
}

#[test]
fn no_type_that_is_not_shown_can_be_found_from_the_answered_calls_and_the_others() {
    let mut chance = Chance::from_number(17);
    let (mut tables, mut shown_rows, mut hidden_rows) = (0, 0, 0);
    for _ in 0..3_000 {
        let min = 2 + chance.below(4);
        let types = (0..2 + chance.below(3)).map(|_| 1 + small(&mut chance)).collect::<Vec<_>>();
        let untold = chance.below(7);
        let answered = types.iter().sum::<u64>() + untold;
        let Some(told) = types_told(&typed(answered, &types), min) else { continue };
        tables += 1;
        let cells = told.iter().map(|shown| match shown {
            Shown::Value(Value::Calls(count)) => Cell::Shown(*count),
            Shown::Value(_) => panic!("{told:?}"),
            Shown::Few => Cell::Few,
            Shown::Withheld => Cell::Withheld,
        });
        let cells = cells.collect::<Vec<_>>();
        assert!(fits(&types, &cells, min), "{types:?} {cells:?}");
        assert_large(left_over(answered, &cells), min, &format!("{types:?} {cells:?} {answered}"));
        // The reader is told besides how many have no type, where these are not few.
        let total = if (1..min).contains(&untold) { answered } else { answered - untold };
        let parts = types.len() + usize::from(total > answered - untold);
        let mut possible = vec![BTreeSet::new(); types.len()];
        lists(parts, total, &mut |list| {
            let is_there = list[..types.len()].iter().all(|count| *count >= 1);
            if is_there && fits(&list[..types.len()], &cells, min) {
                possible.iter_mut().zip(list).for_each(|(set, count)| {
                    set.insert(*count);
                });
            }
        });
        for (cell, possible) in cells.iter().zip(&possible) {
            let is_shown = cell.shown().is_some();
            assert!(is_shown || possible.len() >= 2, "{types:?} {cells:?} {answered} {min}");
            *if is_shown { &mut shown_rows } else { &mut hidden_rows } += 1;
        }
    }
    assert!(tables > 500 && shown_rows > 500 && hidden_rows > 500);
}

#[test]
fn a_rate_needs_both_of_its_numbers() {
    let of = |counts, key| told(counts, 5).into_iter().find(|(own, _)| *own == key).unwrap().1;
    let rate = |part, whole| Shown::Value(Value::Ratio(ratio(part, whole)));
    // Hardly anybody left at once: the answer rate is told all the same, and a second part of the
    // others is withheld with them, so that they are not the difference.
    let counts = [40, 10, 3, 8, 9, 7, 8, 20, 6, 5];
    assert_eq!(of(counts, "waited"), Shown::Value(Value::Calls(72)));
    assert_eq!(of(counts, "answer_rate"), rate(40, 72));
    assert_eq!(of(counts, "answered_of_received"), rate(40, 116));
    assert_eq!(of(counts, "short_abandoned"), Shown::Few);
    assert_eq!(of(counts, "refused"), Shown::Withheld);
    assert_eq!(of(counts, "closed"), Shown::Value(Value::Calls(20)));
    // Few abandoned: their rate would tell how many.
    let counts = [40, 4, 9, 8, 9, 7, 8, 20, 6, 9];
    assert_eq!(of(counts, "abandonment"), Shown::Withheld);
    // Few of the others: what is left over for them is not told, so nothing is divided by it.
    let counts = [40, 10, 1, 0, 9, 0, 8, 2, 0, 9];
    assert_eq!(of(counts, "waited"), Shown::Withheld);
    assert_eq!(of(counts, "answer_rate"), Shown::Withheld);
    // Few calls: nothing at all.
    assert_eq!(told([4, 0, 0, 0, 0, 0, 0, 0, 0, 0], 5), [("received", Shown::Few)]);
}

/// An evening of a line: outcomes with their waits, in seconds.
fn evening(chance: &mut Chance, min: u64) -> Public {
    let period = Period::month("2026-11", chrono_tz::Asia::Tokyo).unwrap();
    let mut figures = LineFigures::default();
    for _ in 0..200 {
        let day = [7, 14, 21, 28][chance.below(4) as usize];
        let outcome = Outcome::ALL[chance.below(10).min(chance.below(10)) as usize];
        let slot = 36 + chance.below(8).min(chance.below(8)) as u32;
        figures.counts.add(outcome);
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        figures.days.entry(day).or_default().add(outcome);
        figures.slots.entry(slot).or_default().add(outcome);
        if outcome == Outcome::Answered {
            let wait = chance.below(240);
            figures.wait_answered.push(wait as f64 * 1_000.0);
            figures.talk.push(60_000.0);
            let within = figures.within.iter_mut().zip(SERVICE_LEVELS);
            within.for_each(|(within, limit)| *within += u64::from(wait <= limit));
        }
    }
    let answered = figures.counts.of(Outcome::Answered);
    figures.carrier.answered = answered;
    figures.carrier.count.attempts = 200 + chance.below(12);
    for _ in 0..answered - chance.below(9).min(answered) {
        let kind =
            ["相談", "無言", "いたずら", "間違い"][chance.below(4).min(chance.below(9)) as usize];
        *figures.contacts.entry(kind.to_owned()).or_default() += 1;
    }
    let lines = BTreeMap::from([(Some(LineId::from("nijiiro")), figures.clone()), (None, figures)]);
    let total = LineFigures::default();
    public(&Figures { period, total, lines, duty: BTreeMap::new() }, min)
}

#[test]
fn what_may_be_missing_is_said_in_every_form() {
    let mut public = evening(&mut Chance::from_number(4), 5);
    let print = |public: &Public, format| print::print(public, &BTreeMap::new(), format);
    for format in [Format::Text, Format::Csv] {
        assert!(!print(&public, format).contains("2026-11-10"));
    }
    public.period = public.period.kept_for(20, "2026-11-29T12:00:00+09:00".parse().unwrap());
    let text = print(&public, Format::Text);
    assert!(text.contains("2026-11-10 より前の通話は"), "{text}");
    let csv = print(&public, Format::Csv);
    assert!(csv.contains("2026-11,,,notice,,kept_from,"), "{csv}");
    assert!(csv.contains("Calls before 2026-11-10 may be missing here."), "{csv}");
    assert!(print(&public, Format::Json).contains(r#""kept_from": "2026-11-10""#));
}

#[test]
fn every_table_keeps_what_it_withholds_and_no_counselor_is_in_it() {
    let mut chance = Chance::from_number(3);
    for _ in 0..20 {
        let public = evening(&mut chance, 5);
        // Calls to numbers of no line are nobody's report.
        let [line] = &public.lines[..] else { panic!("{public:?}") };
        assert!(line.tables.iter().all(|table| table.key != "counselors"));
        let days = line.tables.iter().find(|table| table.key == "days").unwrap();
        assert_eq!(days.rows.len(), 4);
        assert_no_difference_is_small(&line.figures, 5);
        for table in &line.tables {
            for (row, _, shown) in &table.rows {
                if let Shown::Value(Value::Calls(count)) = shown {
                    assert_large(*count, 5, row);
                }
            }
            let hidden = table.rows.iter().filter(|(.., shown)| !matches!(shown, Shown::Value(_)));
            // But for types, of which some calls have none.
            let is_whole = table.key != "contacts";
            assert!(hidden.count() != 1 || !is_whole, "one part is the difference: {table:?}");
        }
        let text = print::print(&public, &BTreeMap::new(), Format::Text);
        assert!(text.contains("5未満"), "{text}");
        for format in [Format::Csv, Format::Json] {
            let text = print::print(&public, &BTreeMap::new(), format);
            assert!(text.contains("nijiiro") && !text.contains("NaN"), "{text}");
        }
    }
}
