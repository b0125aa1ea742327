//! Every kind of complaint, in every language.

use std::collections::BTreeSet;

use super::*;

/// A complaint of a kind, and its parameters.
pub(super) struct Sample {
    pub(super) kind: &'static str,
    pub(super) parts: Vec<Box<dyn Say>>,
    pub(super) what: Wrong,
}

/// A parameter for a sample, known by the name of its place.
pub(super) trait Parameter: Sized {
    fn parameter(name: &'static str) -> Self;
}

/// The same as something that can be said.
pub(super) fn part<T: Parameter + Say + 'static>(name: &'static str) -> Box<dyn Say> {
    Box::new(T::parameter(name))
}

macro_rules! parameters {
    ($($type:ty: $name:ident => $value:expr;)*) => {$(
        impl Parameter for $type {
            fn parameter($name: &'static str) -> Self {
                $value
            }
        }
    )*};
}

/// A number that no text has by itself.
fn number(name: &str) -> u16 {
    7_000 + name.bytes().map(u16::from).sum::<u16>()
}

parameters! {
    String: name => format!("<{name}>");
    &'static str: name => name;
    u16: name => number(name);
    u64: name => number(name).into();
    usize: name => number(name).into();
    Hint: name => Hint::Nearest(format!("<{name}>"));
    Kind: _name => Kind::Moment;
    Weekday: _name => Weekday(chrono::Weekday::Sat);
    Cause: name => Cause::new(format!("<{name}>"));
    Syntax: name => Syntax(format!("<{name}>"));
    Box<Wrong>: _name => Box::new(Value::ControlCharacter.into());
}

fn samples() -> Vec<Sample> {
    [Value::samples(), Fit::samples(), File::samples()].into_iter().flatten().collect()
}

fn is_japanese(text: &str) -> bool {
    text.chars().any(|c| matches!(c, 'ぁ'..='ん'))
}

#[test]
fn every_complaint_is_said_in_every_language_with_all_that_it_is_about() {
    let mut said = BTreeSet::new();
    for Sample { kind, parts, what } in samples() {
        let [ja, en] = Lang::ALL.map(|l| what.say(l));
        assert!(is_japanese(&ja), "{kind}: {ja}");
        assert!(!is_japanese(&en) && !en.is_empty(), "{kind}: {en}");
        for (l, text) in [(Lang::Ja, &ja), (Lang::En, &en)] {
            assert!(!text.contains("  "), "{kind}: {text}");
            for part in &parts {
                assert!(text.contains(&part.say(l)), "{kind}: {} in {text}", part.say(l));
            }
        }
        // A sentence that an operator can act on, not a clause for the end of another.
        let ends = ['。', '>', '…', ')'];
        assert!(ja.ends_with(ends), "{kind}: {ja}");
        said.insert(ja);
    }
    // Two are said alike only where English has two clauses for one mistake.
    assert!(samples().len() - said.len() <= 2, "{} of {}", said.len(), samples().len());
}

#[test]
fn what_may_be_meant_is_said_in_every_language() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let hints = [
        Hint::Nothing,
        Hint::Nearest("a".to_owned()),
        Hint::These(names.clone()),
        Hint::Some(names),
    ];
    for hint in hints {
        assert!(is_japanese(&hint.say(Lang::Ja)), "{hint:?}");
        assert!(hint.say(Lang::En).starts_with("; the"), "{hint:?}");
    }
}

#[test]
fn a_complaint_says_where_how_bad_and_what() {
    let error = Complaint::error("k.toml", Some(3), Value::Missing);
    assert_eq!(error.to_string(), "k.toml:3: is missing");
    let warning = Complaint { severity: Severity::Warning, key: "a.b".to_owned(), ..error };
    assert_eq!(warning.to_string(), "k.toml:3: warning: a.b: is missing");
    assert_eq!(warning.say(Lang::Ja), "k.toml:3: 注意: a.b: 入力が必要です。");
    let nowhere = Complaint { file: String::new(), line: None, ..warning };
    assert_eq!(nowhere.to_string(), "warning: a.b: is missing");
}
