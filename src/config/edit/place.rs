//! Where something stands in a text, and cutting and joining there.
//!
//! Owns spans and lines. Every function that changes a text gives back the whole of it; `None`
//! where it is written in a form that is left to a person.

use std::ops::Range;

use toml_edit::{Array, InlineTable, Item, Key, Table};

use super::node::{Node, nth};
use super::value::Value;

/// How far a path leads.
pub(super) struct Walk<'d> {
    /// The last that is there.
    pub(super) at: Node<'d>,
    /// What of the path is not there.
    pub(super) rest: &'d [&'d str],
    /// The names of headers on the way.
    pub(super) names: Vec<&'d str>,
    /// The names since the last header.
    pub(super) dots: Vec<&'d str>,
    /// The innermost thing with a region of its own in which a new header may stand.
    pub(super) region: Node<'d>,
    /// Whether `at` has a line of its own.
    pub(super) is_written: bool,
    /// Whether `at` is an element of a list.
    pub(super) is_element: bool,
}

impl<'d> Walk<'d> {
    pub(super) fn along(root: &'d Table, path: &'d [&'d str]) -> Self {
        let root = Node::Table(root);
        let mut walk = Self {
            at: root,
            rest: path,
            names: vec![],
            dots: vec![],
            region: root,
            // Above the first header nothing of ours stands.
            is_written: false,
            is_element: false,
        };
        while let [name, rest @ ..] = walk.rest {
            let Some(next) = walk.at.child(name) else { break };
            walk.is_element = walk.at.is_list();
            if !walk.is_element {
                walk.names.push(name);
                walk.dots.push(name);
            }
            match next {
                Node::Table(table) if !table.is_dotted() => {
                    walk.dots.clear();
                    walk.region = next;
                }
                Node::Table(_) | Node::Inline(_) | Node::Tables(_) => {}
                Node::Array(_) | Node::Value(_) => {}
            }
            walk.is_written = next.is_written();
            (walk.at, walk.rest) = (next, rest);
        }
        walk
    }
}

/// The line break of this text.
pub(super) fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

pub(super) fn splice(text: &str, span: Range<usize>, with: &str) -> String {
    [&text[..span.start], with, &text[span.end..]].concat()
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |at| at + 1)
}

/// Behind the line break of the line.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// The last byte of something and all that is in it.
pub(super) fn end(node: Node<'_>) -> End {
    if matches!(node, Node::Table(table) if table.span() == Some(0..0)) {
        return End(None);
    }
    let mut last = None::<usize>;
    let mut see = |end: Option<usize>| last = last.max(end);
    match node {
        Node::Table(table) => {
            see(table.span().map(|span| span.end));
            table.iter().filter_map(|(_, item)| Node::of(item)).for_each(|it| see(end(it).0));
        }
        Node::Tables(tables) => tables.iter().for_each(|it| see(end(Node::Table(it)).0)),
        Node::Inline(_) | Node::Array(_) | Node::Value(_) => see(node.span().map(|it| it.end)),
    }
    End(last)
}

/// Where something ends; `None`: it is the whole text.
#[derive(Clone, Copy)]
pub(super) struct End(Option<usize>);

/// The last byte of a table's own lines: its header and the keys that stand under it.
fn own_end(table: &Table) -> Option<usize> {
    let of = |item: &Item| match Node::of(item)? {
        Node::Table(table) if table.is_dotted() => own_end(table),
        Node::Table(_) | Node::Tables(_) => None,
        node @ (Node::Inline(_) | Node::Array(_) | Node::Value(_)) => {
            node.span().map(|span| span.end)
        }
    };
    let keys = table.iter().filter_map(|(_, item)| of(item));
    keys.chain(table.span().map(|span| span.end)).max()
}

/// Puts a line below the table's last own one.
pub(super) fn insert_line(text: &str, table: &Table, line: &str) -> String {
    let Some(last) = own_end(table) else { return text.to_owned() };
    let start = line_start(text, last);
    let indent: String = text[start..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    insert_lines(text, line_end(text, last), &format!("{indent}{line}"))
}

/// Puts lines below something, after a blank one.
pub(super) fn insert_block(text: &str, end: End, lines: &str) -> String {
    let at = match end.0 {
        // The root ends where the text does.
        None => text.len(),
        Some(end) => behind_comments(text, line_end(text, end)),
    };
    let blank = if at == 0 { "" } else { newline(text) };
    insert_lines(text, at, &format!("{blank}{lines}"))
}

/// Behind the lines of comment that follow at once: examples of further keys, mostly. Not behind
/// those that stand right above a header: they are about what follows.
fn behind_comments(text: &str, at: usize) -> usize {
    let is_comment = |line: &&str| line.trim_start().starts_with('#');
    let lines = || text[at..].split_inclusive('\n');
    let length = lines().take_while(is_comment).map(str::len).sum::<usize>();
    let next = lines().find(|line| !is_comment(line)).unwrap_or_default();
    if next.trim_start().starts_with('[') { at } else { at + length }
}

fn insert_lines(text: &str, at: usize, lines: &str) -> String {
    let newline = newline(text);
    let is_open = at > 0 && !text[..at].ends_with('\n');
    let lines = if is_open { format!("{newline}{lines}") } else { format!("{lines}{newline}") };
    splice(text, at..at, &lines)
}

/// Cuts whole lines.
fn cut_lines(text: &str, start: usize, end: usize) -> String {
    let (mut start, end) = (line_start(text, start), line_end(text, end));
    if end == text.len() && !text.ends_with('\n') {
        // The line before is the last one now, which has no line break.
        let before = &text[..start];
        let before = before.strip_suffix('\n').unwrap_or(before);
        start = before.strip_suffix('\r').unwrap_or(before).len();
    }
    splice(text, start..end, "")
}

/// Cuts a header with its lines, and the blank line before it.
pub(super) fn cut_block(text: &str, start: usize, end: usize) -> String {
    let start = line_start(text, start);
    let before = start.checked_sub(1).map(|at| line_start(text, at));
    let start = before.filter(|at| text[*at..start].trim().is_empty()).unwrap_or(start);
    cut_lines(text, start, end)
}

/// Whether behind this line come a blank one, a header or the end.
pub(super) fn nothing_follows(text: &str, at: usize) -> bool {
    let next = text[line_end(text, at)..].lines().next().unwrap_or_default().trim();
    next.is_empty() || next.starts_with('[')
}

/// Takes a key, table or element with all that is in it.
pub(super) fn take(text: &str, from: Node<'_>, name: &str) -> Option<String> {
    let mut cuts = Vec::new();
    match from {
        Node::Table(table) => {
            let (key, item) = table.get_key_value(name)?;
            cuts_of_item(key, item, &mut cuts)?;
        }
        Node::Tables(tables) => cuts_of_table(tables.get(nth(from, name)?)?, &mut cuts)?,
        Node::Inline(_) | Node::Array(_) | Node::Value(_) => return None,
    }
    cuts.sort_by_key(|cut| std::cmp::Reverse(cut.span().start));
    let mut text = text.to_owned();
    for cut in cuts {
        text = match cut {
            Cut::Lines(span) => cut_lines(&text, span.start, span.end),
            Cut::Block(span) => cut_block(&text, span.start, span.end),
        };
    }
    Some(text)
}

/// What is cut.
enum Cut {
    Lines(Range<usize>),
    Block(Range<usize>),
}

impl Cut {
    fn span(&self) -> &Range<usize> {
        match self {
            Self::Lines(span) | Self::Block(span) => span,
        }
    }
}

fn cuts_of_item(key: &Key, item: &Item, cuts: &mut Vec<Cut>) -> Option<()> {
    match Node::of(item)? {
        Node::Table(table) => cuts_of_table(table, cuts),
        Node::Tables(tables) => tables.iter().try_for_each(|table| cuts_of_table(table, cuts)),
        node @ (Node::Inline(_) | Node::Array(_) | Node::Value(_)) => {
            cuts.push(Cut::Lines(key.span()?.start..node.span()?.end));
            Some(())
        }
    }
}

fn cuts_of_table(table: &Table, cuts: &mut Vec<Cut>) -> Option<()> {
    let has_header = !table.is_implicit() && !table.is_dotted();
    if has_header {
        cuts.push(Cut::Block(table.span()?.start..own_end(table)?));
    }
    for (name, item) in table.iter() {
        let is_within = match Node::of(item)? {
            Node::Table(inner) => inner.is_dotted(),
            Node::Tables(_) => false,
            Node::Inline(_) | Node::Array(_) | Node::Value(_) => true,
        };
        if !(has_header && is_within) {
            cuts_of_item(table.key(name)?, item, cuts)?;
        }
    }
    Some(())
}

/// Keys and values of a table in one line, where each stands; `None` where keys have dots.
fn entries(table: &InlineTable) -> Option<Vec<(String, Range<usize>)>> {
    let entry = |name: &str, value: &toml_edit::Value| {
        let is_dotted = value.as_inline_table().is_some_and(InlineTable::is_dotted);
        let start = table.key(name)?.span()?.start;
        (!is_dotted).then_some((name.to_owned(), start..value.span()?.end))
    };
    table.iter().map(|(name, value)| entry(name, value)).collect()
}

/// Puts an entry behind the last one.
pub(super) fn put_inline(text: &str, table: &InlineTable, entry: &str) -> Option<String> {
    match entries(table)?.last() {
        Some((_, last)) => Some(splice(text, last.end..last.end, &format!(", {entry}"))),
        None => Some(splice(text, table.span()?, &format!("{{ {entry} }}"))),
    }
}

/// Takes an entry.
pub(super) fn take_inline(text: &str, table: &InlineTable, name: &str) -> Option<String> {
    let entries = entries(table)?;
    let nth = entries.iter().position(|(key, _)| key == name)?;
    let spans: Vec<_> = entries.into_iter().map(|(_, span)| span).collect();
    match spans.len() {
        1 => Some(splice(text, table.span()?, "{}")),
        _ => Some(splice(text, with_comma(&spans, nth)?, "")),
    }
}

/// One of several things with commas in between, with its comma.
fn with_comma(spans: &[Range<usize>], nth: usize) -> Option<Range<usize>> {
    let span = spans.get(nth)?;
    match nth.checked_sub(1).and_then(|before| spans.get(before)) {
        Some(before) => Some(before.end..span.end),
        None => Some(span.start..spans.get(nth + 1)?.start),
    }
}

fn element_spans(array: &Array) -> Option<Vec<Range<usize>>> {
    array.iter().map(toml_edit::Value::span).collect()
}

/// Puts an element behind the last one.
pub(super) fn put_element(text: &str, array: &Array, element: &str) -> Option<String> {
    match element_spans(array)?.last() {
        Some(last) => Some(splice(text, last.end..last.end, &format!(", {element}"))),
        None => Some(splice(text, array.span()?, &format!("[{element}]"))),
    }
}

/// Takes an element.
pub(super) fn take_element(text: &str, array: &Array, nth: usize) -> Option<String> {
    let spans = element_spans(array)?;
    match spans.len() {
        1 => Some(splice(text, array.span()?, "[]")),
        _ => Some(splice(text, with_comma(&spans, nth)?, "")),
    }
}

/// Writes another list over one of several lines, element by element; `None` where the order
/// differs or nothing stays.
pub(super) fn relist(text: &str, array: &Array, list: &[Value]) -> Option<String> {
    let spans = element_spans(array)?;
    let old: Vec<_> = array.iter().map(|it| Value::read(Node::of_value(it))).collect();
    let stays = |value: &Option<Value>| value.as_ref().is_some_and(|it| list.contains(it));
    let kept: Vec<_> = old.iter().filter(|it| stays(it)).cloned().collect();
    let same = kept.iter().zip(list).all(|(old, new)| old.as_ref() == Some(new));
    if kept.is_empty() || kept.len() > list.len() || !same {
        return None;
    }
    // From the back, so that spans stay true. What is added goes behind the last that stays.
    let last = old.iter().rposition(stays)?;
    let mut text = text.to_owned();
    let mut gone: Vec<usize> = (0..old.len()).filter(|n| !stays(&old[*n])).collect();
    gone.reverse();
    for nth in gone.iter().filter(|nth| **nth > last) {
        text = splice(&text, with_comma(&spans, *nth)?, "");
    }
    text = put_behind(&text, spans[last].clone(), &list[kept.len()..]);
    for nth in gone.iter().filter(|nth| **nth < last) {
        text = splice(&text, with_comma(&spans, *nth)?, "");
    }
    Some(text)
}

/// Puts elements on lines of their own behind one; a comment behind it stays with it.
fn put_behind(text: &str, last: Range<usize>, values: &[Value]) -> String {
    if values.is_empty() {
        return text.to_owned();
    }
    let newline = newline(text);
    let indent = text[line_start(text, last.start)..].chars();
    let indent: String = indent.take_while(|c| matches!(c, ' ' | '\t')).collect();
    let end = line_end(text, last.end);
    let behind = text[last.end..end].trim();
    let (comma, comment) = behind.strip_prefix(',').map_or((false, behind), |it| (true, it.trim()));
    if !comment.is_empty() && !comment.starts_with('#') {
        let added: String = values.iter().map(|it| format!(",{newline}{indent}{it}")).collect();
        return splice(text, last.end..last.end, &added);
    }
    let mut lines: Vec<String> =
        values.iter().map(|it| format!("{indent}{it},{newline}")).collect();
    if !comma && let Some(last) = lines.last_mut() {
        *last = last.replacen(&format!(",{newline}"), newline, 1);
    }
    let text = splice(text, end..end, &lines.concat());
    if comma { text } else { splice(&text, last.end..last.end, ",") }
}
