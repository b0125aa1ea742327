//! What can be written: tables in several forms, lists, values; and what is in them by name.

use std::ops::Range;

use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table};

/// The keys by which elements of lists are named.
const IDS: [&str; 2] = ["id", "extension"];

/// Something that is written.
#[derive(Clone, Copy)]
pub(super) enum Node<'d> {
    /// A table with a header, a dotted one, or one that is only implied.
    Table(&'d Table),
    /// A table in one line.
    Inline(&'d InlineTable),
    /// Tables with headers in double brackets.
    Tables(&'d ArrayOfTables),
    /// A list.
    Array(&'d Array),
    /// Any other value.
    Value(&'d toml_edit::Value),
}

impl<'d> Node<'d> {
    pub(super) fn of(item: &'d Item) -> Option<Self> {
        match item {
            Item::None => None,
            Item::Table(table) => Some(Self::Table(table)),
            Item::ArrayOfTables(tables) => Some(Self::Tables(tables)),
            Item::Value(value) => Some(Self::of_value(value)),
        }
    }

    pub(super) fn of_value(value: &'d toml_edit::Value) -> Self {
        match value {
            toml_edit::Value::InlineTable(table) => Self::Inline(table),
            toml_edit::Value::Array(array) => Self::Array(array),
            toml_edit::Value::String(_)
            | toml_edit::Value::Integer(_)
            | toml_edit::Value::Float(_)
            | toml_edit::Value::Boolean(_)
            | toml_edit::Value::Datetime(_) => Self::Value(value),
        }
    }

    /// Where a value stands.
    pub(super) fn span(self) -> Option<Range<usize>> {
        match self {
            Self::Table(table) => table.span(),
            Self::Inline(table) => table.span(),
            Self::Tables(tables) => tables.span(),
            Self::Array(array) => array.span(),
            Self::Value(value) => value.span(),
        }
    }

    /// The keys of a table.
    pub(super) fn names(self) -> Vec<String> {
        match self {
            Self::Table(table) => table.iter().map(|(key, _)| key.to_owned()).collect(),
            Self::Inline(table) => table.iter().map(|(key, _)| key.to_owned()).collect(),
            Self::Tables(_) | Self::Array(_) | Self::Value(_) => vec![],
        }
    }

    pub(super) fn child(self, name: &str) -> Option<Self> {
        match self {
            Self::Table(table) => Self::of(table.get(name)?),
            Self::Inline(table) => Some(Self::of_value(table.get(name)?)),
            Self::Tables(tables) => Some(Self::Table(tables.get(nth(self, name)?)?)),
            Self::Array(array) => Some(Self::of_value(array.get(nth(self, name)?)?)),
            Self::Value(_) => None,
        }
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Tables(_) | Self::Array(_))
    }

    /// Whether there is a header, or a line of its own, to which keys can be added.
    pub(super) fn is_written(self) -> bool {
        !matches!(self, Self::Table(table) if table.is_implicit())
    }
}

/// Which element of a list has this name: its id, or its number from 1.
pub(super) fn nth(list: Node<'_>, name: &str) -> Option<usize> {
    let own = |table: &dyn toml_edit::TableLike| {
        IDS.iter().find_map(|id| table.get(id)?.as_str().map(|own| own == name))
    };
    let mut ids = match list {
        Node::Tables(tables) => tables.iter().map(|table| own(table)).collect::<Vec<_>>(),
        Node::Array(array) => {
            array.iter().map(|value| value.as_inline_table().and_then(|t| own(t))).collect()
        }
        Node::Table(_) | Node::Inline(_) | Node::Value(_) => vec![],
    };
    let length = ids.len();
    let by_number = || name.parse::<usize>().ok()?.checked_sub(1).filter(|n| *n < length);
    ids.drain(..).position(|is_it| is_it == Some(true)).or_else(by_number)
}
