//! A value as it is written: text, number, list, table.

use std::fmt;

use super::node::Node;

/// What a key can be set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<Self>),
    /// A table; written into one line where it is new.
    Table(Vec<(String, Self)>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// What is written there; `None`: something else than configurations are made of.
    pub(super) fn read(node: Node<'_>) -> Option<Self> {
        match node {
            Node::Inline(table) => {
                let fields = table.iter().map(|(key, value)| {
                    let value = Self::read(Node::of_value(value))?;
                    Some((key.to_owned(), value))
                });
                Some(Self::Table(fields.collect::<Option<_>>()?))
            }
            Node::Array(array) => {
                let values = array.iter().map(|value| Self::read(Node::of_value(value)));
                Some(Self::List(values.collect::<Option<_>>()?))
            }
            Node::Value(value) => match (value.as_str(), value.as_integer(), value.as_bool()) {
                (Some(text), ..) => Some(Self::text(text)),
                (_, Some(number), _) => Some(Self::Number(number)),
                (.., flag) => flag.map(Self::Flag),
            },
            Node::Table(_) | Node::Tables(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => toml_edit::Value::from(text.as_str()).fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Self::Table(fields) if fields.is_empty() => f.write_str("{}"),
            Self::Table(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{} = {value}", key(name)));
                write!(f, "{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A key as it is written, in quotes where it must be.
pub(super) fn key(name: &str) -> String {
    toml_edit::Key::new(name).to_string().trim().to_owned()
}

/// A value within tables of these names.
pub(super) fn nested(names: &[&str], value: &Value) -> Value {
    names
        .iter()
        .rev()
        .fold(value.clone(), |value, name| Value::Table(vec![((*name).to_owned(), value)]))
}
