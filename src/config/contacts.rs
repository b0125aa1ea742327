//! `[contacts]`: what counselors can say of a call when it is over.

use super::sheet::Section;
use super::value;
use crate::complaint::Value;

/// How many there are at least and at most.
const COUNT: std::ops::RangeInclusive<usize> = 1..=30;
/// Characters of each at most: they stand on buttons and in tables.
const LENGTH_MAX: usize = 20;

/// What counselors can say of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// The types, in the order in which they are offered.
    pub types: Vec<String>,
}

/// Reads the section.
pub(super) fn contacts(root: &Section<'_>) -> Option<Contacts> {
    let section = root.section("contacts");
    let types = section.list("types", &["相談", "無言", "いたずら", "間違い"], kind)?;
    if !COUNT.contains(&types.len()) {
        let (least, most) = (COUNT.start(), COUNT.end());
        section.error("types", Value::Types(types.len(), *least, *most));
    }
    section.done();
    Some(Contacts { types })
}

fn kind(text: &str) -> value::Read<String> {
    let is_plain = text.trim() == text && !text.chars().any(char::is_control);
    match text.chars().count() {
        1..=LENGTH_MAX if is_plain => Ok(text.to_owned()),
        1..=LENGTH_MAX => Err(Value::OddText(text.to_owned()).into()),
        0 => Err(Value::Empty.into()),
        n => Err(Value::LongText(text.to_owned(), n, LENGTH_MAX).into()),
    }
}
