//! Changes to the text of a configuration: text and [`Edit`]s in, text out.
//!
//! Owns where a key goes and what of the text goes with it. The places come from `toml_edit`; the
//! text is cut and joined at them, so that everything else (comments, order, blanks) stays byte for
//! byte. Does not judge: what comes of it is read like any other file ([`ready`](super::ready)).
//!
//! Keys are named as in [`Loaded::settings`](super::Loaded::settings):
//! `line.nijiiro.queue.max_wait`, `line.nijiiro.hours.1.open`.

mod node;
mod place;
mod value;

use toml_edit::Document;

use super::DEMO;
use crate::complaint::{Complaint, File, Syntax};
use node::Node;
use place::Walk;
pub use value::Value;

/// What a file that the console begins opens with.
const HEAD: &str = "\
# The configuration of koebashi. Every key, its default and what it means: config/default.toml.
# The console changes this file too; comments and order stay as they are.
";

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The key has this value from here on. Of a table that is there, only what differs changes.
    Set(String, Value),
    /// The key, table or element is not there any longer.
    Unset(String),
    /// One more element at the end of a list of tables.
    Add(String, Vec<(String, Value)>),
}

/// Why a text can't be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no TOML.
    #[error("{0}")]
    NotToml(String),
    /// The element of a list that a key is in is not there.
    #[error("{0}: there is none")]
    Gone(String),
    /// It is written in a way that has to be changed by hand.
    #[error("{0}: is written in a form that has to be changed by hand")]
    Form(String),
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        let (key, what) = match error {
            Error::NotToml(text) => (String::new(), File::NotToml(Syntax(text))),
            Error::Gone(key) => (key, File::NotThere),
            Error::Form(key) => (key, File::ByHand),
        };
        Self { key, ..Self::error("", None, what) }
    }
}

/// The text with all changes, one after the other.
///
/// # Errors
/// When the text is no TOML, or a key is in something that is not there.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, Error> {
    edits.iter().try_fold(text.to_owned(), |text, edit| match edit {
        Edit::Set(key, value) => set(&text, &segments(key), value),
        Edit::Unset(key) => unset(&text, &segments(key), Header::Goes),
        Edit::Add(key, fields) => add(&text, &segments(key), fields),
    })
}

/// Whether the key is written.
pub fn has(text: &str, key: &str) -> bool {
    let Ok(doc) = parse(text) else { return false };
    let path = segments(key);
    Walk::along(doc.as_table(), &path).rest.is_empty()
}

/// A text that names its trunk, line and counselor: where it names none of them, those of the demo
/// that it opens are written out, so that what is changed has a place, and the rest goes on.
///
/// # Errors
/// When the text is no TOML.
pub fn begun(text: &str) -> Result<String, Error> {
    let doc = parse(text)?;
    if ["trunk", "line", "counselor"].iter().any(|key| doc.as_table().contains_key(key)) {
        return Ok(text.to_owned());
    }
    let mut begun = if text.trim().is_empty() { HEAD.to_owned() } else { text.to_owned() };
    if !begun.ends_with('\n') {
        begun.push('\n');
    }
    Ok(begun + &DEMO.replace("\n[[", "\n\n[[").replacen("\n\n", "\n", 1))
}

fn parse(text: &str) -> Result<Document<&str>, Error> {
    Document::parse(text).map_err(|error| Error::NotToml(error.message().to_owned()))
}

fn segments(key: &str) -> Vec<&str> {
    key.split('.').collect()
}

fn name(path: &[&str]) -> String {
    path.join(".")
}

/// What becomes of a header whose last key goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Goes,
    Stays,
}

fn set(text: &str, path: &[&str], value: &Value) -> Result<String, Error> {
    let doc = parse(text)?;
    let walk = Walk::along(doc.as_table(), path);
    let form = || Error::Form(name(path));
    if walk.rest.is_empty() {
        return match (walk.at, value) {
            (Node::Table(_) | Node::Inline(_), Value::Table(fields)) => {
                set_all(text, path, &walk.at.names(), fields)
            }
            (Node::Table(_) | Node::Tables(_), _) => Err(form()),
            (Node::Inline(_) | Node::Array(_) | Node::Value(_), _) => {
                replace(text, walk.at, value).ok_or_else(form)
            }
        };
    }
    match walk.at {
        Node::Inline(table) => {
            let [first, inner @ ..] = walk.rest else { return Err(form()) };
            let entry = format!("{} = {}", value::key(first), value::nested(inner, value));
            place::put_inline(text, table, &entry).ok_or_else(form)
        }
        Node::Table(table) => Ok(put(text, &walk, table, value)),
        Node::Tables(_) | Node::Array(_) => Err(Error::Gone(name(path))),
        Node::Value(_) => Err(form()),
    }
}

/// Makes a table that is there have these keys and no other.
fn set_all(
    text: &str,
    path: &[&str],
    there: &[String],
    fields: &[(String, Value)],
) -> Result<String, Error> {
    let mut text = text.to_owned();
    for old in there.iter().filter(|old| !fields.iter().any(|(key, _)| key == *old)) {
        text = unset(&text, &[path, &[old]].concat(), Header::Stays)?;
    }
    for (key, value) in fields {
        text = set(&text, &[path, &[key]].concat(), value)?;
    }
    Ok(text)
}

/// Writes another value over one; the same value stays as it is written.
fn replace(text: &str, node: Node<'_>, value: &Value) -> Option<String> {
    let span = node.span()?;
    if Value::read(node).as_ref() == Some(value) {
        return Some(text.to_owned());
    }
    if let (Node::Array(array), Value::List(list)) = (node, value)
        && text[span.clone()].contains('\n')
        && let Some(text) = place::relist(text, array, list)
    {
        return Some(text);
    }
    Some(place::splice(text, span, &value.to_string()))
}

/// Puts a key that is not there into the table, or into a new one below it.
fn put(text: &str, walk: &Walk<'_>, table: &toml_edit::Table, value: &Value) -> String {
    let (Some((last, above)), newline) = (walk.rest.split_last(), place::newline(text)) else {
        return text.to_owned();
    };
    let plain = |names: &[&str]| names.iter().map(|it| value::key(it)).collect::<Vec<_>>();
    let is_own = above.is_empty() && !table.is_implicit() && walk.is_written;
    if table.is_dotted() || is_own {
        let key = [&plain(&walk.dots)[..], &plain(walk.rest)].concat().join(".");
        return place::insert_line(text, table, &format!("{key} = {value}"));
    }
    let header = [&plain(&walk.names)[..], &plain(above)].concat().join(".");
    let lines = format!("[{header}]{newline}{} = {value}", value::key(last));
    place::insert_block(text, place::end(walk.region), &lines)
}

fn unset(text: &str, path: &[&str], header: Header) -> Result<String, Error> {
    let doc = parse(text)?;
    let Some((last, above)) = path.split_last() else { return Ok(text.to_owned()) };
    let walk = Walk::along(doc.as_table(), above);
    let form = || Error::Form(name(path));
    if !walk.rest.is_empty() || !Walk::along(doc.as_table(), path).rest.is_empty() {
        return Ok(text.to_owned());
    }
    match walk.at {
        Node::Inline(table) => place::take_inline(text, table, last).ok_or_else(form),
        Node::Array(array) => {
            let nth = node::nth(walk.at, last).ok_or_else(form)?;
            place::take_element(text, array, nth).ok_or_else(form)
        }
        Node::Table(_) | Node::Tables(_) => {
            let without = place::take(text, walk.at, last).ok_or_else(form)?;
            let is_list = matches!(walk.at, Node::Tables(_)) || walk.is_element;
            match header {
                Header::Goes if !is_list && !above.is_empty() => tidy(&without, above),
                Header::Goes | Header::Stays => Ok(without),
            }
        }
        Node::Value(_) => Err(form()),
    }
}

/// Takes a header away under which nothing is left, not even a comment.
fn tidy(text: &str, path: &[&str]) -> Result<String, Error> {
    let doc = parse(text)?;
    let walk = Walk::along(doc.as_table(), path);
    let Node::Table(table) = walk.at else { return Ok(text.to_owned()) };
    let is_bare = walk.rest.is_empty() && table.is_empty() && !table.is_implicit();
    match table.span().filter(|_| is_bare && walk.is_written) {
        Some(span) if place::nothing_follows(text, span.end) => {
            Ok(place::cut_block(text, span.start, span.end))
        }
        Some(_) | None => Ok(text.to_owned()),
    }
}

fn add(text: &str, path: &[&str], fields: &[(String, Value)]) -> Result<String, Error> {
    let doc = parse(text)?;
    let walk = Walk::along(doc.as_table(), path);
    let form = || Error::Form(name(path));
    let element = Value::Table(fields.to_vec());
    match walk.at {
        Node::Array(array) if walk.rest.is_empty() => {
            place::put_element(text, array, &element.to_string()).ok_or_else(form)
        }
        Node::Tables(_) if walk.rest.is_empty() => {
            Ok(place::insert_block(text, place::end(walk.at), &block(text, &walk.names, fields)))
        }
        Node::Table(_) if walk.rest.len() == 1 => {
            let names = [&walk.names[..], walk.rest].concat();
            Ok(place::insert_block(text, place::end(walk.region), &block(text, &names, fields)))
        }
        Node::Inline(table) if walk.rest.len() == 1 => {
            let entry = format!("{} = [{element}]", value::key(walk.rest[0]));
            place::put_inline(text, table, &entry).ok_or_else(form)
        }
        Node::Tables(_) | Node::Array(_) => Err(Error::Gone(name(path))),
        Node::Table(_) | Node::Inline(_) | Node::Value(_) => Err(form()),
    }
}

/// An element of a list, as lines.
fn block(text: &str, names: &[&str], fields: &[(String, Value)]) -> String {
    let names: Vec<_> = names.iter().map(|it| value::key(it)).collect();
    let fields = fields.iter().map(|(key, value)| format!("{} = {value}", value::key(key)));
    let lines: Vec<_> = std::iter::once(format!("[[{}]]", names.join("."))).chain(fields).collect();
    lines.join(place::newline(text))
}

#[cfg(test)]
mod tests;
