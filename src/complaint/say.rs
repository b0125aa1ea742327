//! How something is said in every language, and parameters that are no plain text.
//!
//! Owns the form of the tables of kinds ([`kinds!`]).

use std::fmt;
use std::io;

use crate::lang::Lang;

/// What can be said in every language.
pub trait Say {
    /// In this one.
    fn say(&self, l: Lang) -> String;
}

/// Parameters that are the same in every language.
macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Say for $type {
            fn say(&self, _: Lang) -> String {
                self.to_string()
            }
        }
    )*};
}

plain!(String, &'static str, u16, u64, usize);

/// Declares an enum of things that can be wrong: each kind with its parameters, and its words in
/// English and Japanese with the parameters in braces. In tests it can list one of each.
macro_rules! kinds {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($kind:ident $(($($part:ident: $type:ty),*))? => $en:literal, $ja:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $(
                #[doc = concat!("`` ", $en, " ``")]
                $kind $(($($type),*))?,
            )*
        }

        impl $crate::complaint::Say for $name {
            fn say(&self, l: $crate::lang::Lang) -> String {
                match self {
                    $(
                        Self::$kind $(($($part),*))? => {
                            $($(let $part = $crate::complaint::Say::say($part, l);)*)?
                            match l {
                                $crate::lang::Lang::En => format!($en),
                                $crate::lang::Lang::Ja => format!($ja),
                            }
                        }
                    )*
                }
            }
        }

        #[cfg(test)]
        impl $name {
            /// The name of each kind, one of it, and its parameters.
            pub(super) fn samples() -> Vec<super::tests::Sample> {
                use super::tests::{Parameter as _, Sample, part};
                vec![$(Sample {
                    kind: stringify!($kind),
                    parts: vec![$($(part::<$type>(stringify!($part))),*)?],
                    what: Self::$kind $(($(<$type>::parameter(stringify!($part))),*))?.into(),
                }),*]
            }
        }
    };
}
pub(super) use kinds;

/// What may have been meant by an unknown name. Ends a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The nearest known name.
    Nearest(String),
    /// There is nothing to choose.
    Nothing,
    /// These are all.
    These(Vec<String>),
    /// There are these, and more.
    Some(Vec<String>),
}

impl Say for Hint {
    fn say(&self, l: Lang) -> String {
        match (self, l) {
            (Self::Nearest(name), Lang::En) => format!("; the nearest is \"{name}\""),
            (Self::Nearest(name), Lang::Ja) => format!("「{name}」ではありませんか。"),
            (Self::Nothing, l) => l.t("選べるものはまだありません。", "; there is none").to_owned(),
            (Self::These(names), Lang::En) => format!("; there is {}", names.join(", ")),
            (Self::These(names), Lang::Ja) => {
                format!("次のどれかにしてください: {}", names.join("、"))
            }
            (Self::Some(names), Lang::En) => format!("; there is {}, …", names.join(", ")),
            (Self::Some(names), Lang::Ja) => format!("たとえば {} などです。", names.join("、")),
        }
    }
}

/// What kind of value stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text in quotes.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A date or time without quotes.
    Moment,
    /// A list.
    List,
    /// A table.
    Table,
}

impl Say for Kind {
    fn say(&self, l: Lang) -> String {
        match self {
            Self::Text => l.t("文字列", "a string"),
            Self::Number => l.t("数字", "a number"),
            Self::Flag => l.t("true か false", "true or false"),
            Self::Moment => l.t("引用符のない日時", "a date or time without quotes"),
            Self::List => l.t("一覧([ ] の形)", "a list"),
            Self::Table => l.t("表({ } や [ ] の見出しの形)", "a table"),
        }
        .to_owned()
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekday(pub chrono::Weekday);

impl Say for Weekday {
    fn say(&self, l: Lang) -> String {
        use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        match self.0 {
            Mon => l.t("月曜", "mon"),
            Tue => l.t("火曜", "tue"),
            Wed => l.t("水曜", "wed"),
            Thu => l.t("木曜", "thu"),
            Fri => l.t("金曜", "fri"),
            Sat => l.t("土曜", "sat"),
            Sun => l.t("日曜", "sun"),
        }
        .to_owned()
    }
}

/// Why the system, or a library, refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// By what kind of refusal the system means it; `None`: it is a library's.
    kind: Option<io::ErrorKind>,
    /// As it says it itself.
    text: String,
}

impl Cause {
    /// A library's words.
    pub fn new(error: impl fmt::Display) -> Self {
        Self { kind: None, text: error.to_string() }
    }
}

impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Self {
        Self { kind: Some(error.kind()), text: error.to_string() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Say for Cause {
    fn say(&self, l: Lang) -> String {
        let ja = match self.kind {
            Some(io::ErrorKind::NotFound) => "見つかりません",
            Some(io::ErrorKind::PermissionDenied) => "権限がありません",
            Some(io::ErrorKind::IsADirectory) => "フォルダーです",
            Some(io::ErrorKind::NotADirectory) => "途中の名前がフォルダーではありません",
            Some(io::ErrorKind::StorageFull) => "ディスクに空きがありません",
            Some(_) | None => return self.text.clone(),
        };
        l.t(ja, &self.text).to_owned()
    }
}
