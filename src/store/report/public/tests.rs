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
    assert_eq!(protect(&[9, 2, 2], 5), [Cell::Shown(9), Cell::Few, Cell::Few]);
    // 5 + 0 could be nothing else when it is said that one of them is not small.
    assert_eq!(protect(&[5, 0], 5), [Cell::Nothing, Cell::Nothing]);
    assert_eq!(protect(&[9, 0], 0), [Cell::Shown(9), Cell::Shown(0)]);
}

fn line_of(counts: [u64; 10]) -> LineFigures {
    LineFigures { counts: Counts(counts), ..LineFigures::default() }
}

/// What a reader knows of the outcomes.
fn told(counts: [u64; 10], min: u64) -> Vec<(&'static str, Shown)> {
    let (figures, _) = line(&line_of(counts), Span::Month, min);
    let is_of_outcomes = |key: &str| !key.starts_with("service") && !key.ends_with("mean");
    figures.into_iter().filter(|(key, _)| is_of_outcomes(key)).collect()
}

/// A figure that is told, and how it is counted.
type Told = (fn(&LineFigures) -> Value, Shown);

/// Whether a list of outcomes agrees with every number that is told, rates and all.
fn agrees(list: [u64; 10], told: &[Told], min: u64) -> bool {
    let figures = line_of(list);
    told.iter().all(|(of, shown)| match (shown, of(&figures)) {
        (Shown::Value(told), real) => *told == real,
        (Shown::Few, Value::Calls(count)) => count < min,
        (Shown::Few | Shown::Withheld, _) => true,
    })
}

#[test]
fn no_outcome_that_is_not_shown_can_be_found_from_counts_sums_and_rates() {
    let mut chance = Chance::from_number(11);
    let (mut tables, mut rates) = (0, 0);
    while tables < 200 {
        let min = 2 + chance.below(2);
        let mut counts = [0; 10];
        for _ in 0..4 + chance.below(5) {
            // A few outcomes make up most calls, as they do.
            let which = if chance.below(3) > 0 {
                [0, 1, 7][chance.below(3) as usize]
            } else {
                chance.below(10) as usize
            };
            counts[which] += 1;
        }
        let told = told(counts, min);
        tables += 1;
        rates += usize::from(
            told.iter().any(|(key, shown)| *key == "answer_rate" && *shown != Shown::Withheld),
        );
        let of = |key| SUMMARY.iter().find(|figure| figure.key == key).unwrap().of;
        let known = told.iter().map(|(key, shown)| (of(*key), *shown)).collect::<Vec<_>>();
        let mut possible = vec![BTreeSet::new(); 10];
        lists(10, counts.iter().sum(), &mut |list| {
            let list: [u64; 10] = list.try_into().unwrap();
            if agrees(list, &known, min) {
                possible.iter_mut().zip(list).for_each(|(set, count)| {
                    set.insert(count);
                });
            }
        });
        for (outcome, possible) in Outcome::ALL.iter().zip(&possible) {
            let (_, shown) = told.iter().find(|(key, _)| *key == outcome.name()).unwrap();
            let is_shown = matches!(shown, Shown::Value(_));
            assert!(
                is_shown || possible.len() >= 2,
                "{counts:?} {outcome:?} {possible:?} {told:?}"
            );
        }
    }
    assert!(rates > 4, "some rates are shown: {rates}");
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
    let lines = BTreeMap::from([(Some(LineId::from("nijiiro")), figures.clone()), (None, figures)]);
    let total = LineFigures::default();
    public(&Figures { period, total, lines, duty: BTreeMap::new() }, min)
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
        for table in &line.tables {
            let hidden = table.rows.iter().filter(|(.., shown)| !matches!(shown, Shown::Value(_)));
            assert_ne!(hidden.count(), 1, "one part is the difference: {table:?}");
        }
        let text = print::print(&public, &BTreeMap::new(), Format::Text);
        assert!(text.contains("5未満"), "{text}");
        for format in [Format::Csv, Format::Json] {
            let text = print::print(&public, &BTreeMap::new(), format);
            assert!(text.contains("nijiiro") && !text.contains("NaN"), "{text}");
        }
    }
}
