//! The keys of the configuration for people: what each is called, how it is chosen, what it does.
//!
//! Owns reading the table `keys.txt`. What a key's value and default are, and whether it waits for
//! a restart, is the configuration's to say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use crate::config::parse;
use crate::lang::Lang;

/// How a key is shown and typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line of text.
    Text,
    /// A whole number.
    Number,
    /// A length of time with its unit.
    Duration,
    /// The same, or `off`.
    DurationOrOff,
    /// Yes or no.
    Flag,
    /// Texts, one a line.
    Texts,
    /// The name of a prompt.
    Prompt,
    /// Where a caller goes on.
    Target,
    /// Lines of the configuration.
    Lines,
    /// Never shown.
    Secret,
    /// Times and prompts, a pair a line.
    Tones,
    /// One of these.
    Choice(Vec<Choice>),
    /// Any of these.
    Several(Vec<Choice>),
    /// Can't be changed.
    Fixed,
    /// Names a program, a file or a folder of the machine. Whoever chooses it can have programs run
    /// or files read, so it is changed by hand in the file only.
    Machine,
    /// Has a page of its own.
    Own,
}

/// A value that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// As the configuration has it.
    pub(super) value: &'static str,
    /// In Japanese and English.
    pub(super) names: (&'static str, &'static str),
}

/// A key, or all keys of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// In full; `*` stands for a name.
    pub(super) name: &'static str,
    /// How it is typed.
    pub(super) kind: Kind,
    /// What it is called, in Japanese and English.
    pub(super) label: (&'static str, &'static str),
    /// What it does, in Japanese and English.
    pub(super) about: (&'static str, &'static str),
}

/// All of them, in order of pages.
pub(super) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let lines = include_str!("keys.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(read).collect()
});

/// The defaults, by the entry's name.
static DEFAULTS: LazyLock<BTreeMap<&'static str, String>> = LazyLock::new(|| {
    const PLAIN: &str = "[[trunk]]\nid = \"x\"\npeers = [\"127.0.0.1\"]\n[[line]]\nid = \"x\"\n\
        [[counselor]]\nextension = \"100\"\npassword = \"x\"\n";
    let loaded = parse(PLAIN, "", Path::new("")).ok();
    let settings = loaded.into_iter().flat_map(|it| it.settings);
    let own = ["trunk.*.peers", "line.*.name", "line.*.numbers", "counselor.*.name"];
    settings
        .filter_map(|(key, value)| Some((find(&key)?, value)))
        .filter(|(key, _)| !own.contains(&key.name) && !key.name.ends_with(".*"))
        .filter(|(key, _)| !matches!(key.kind, Kind::Secret | Kind::Fixed))
        .map(|(key, value)| (key.name, value.to_string()))
        .collect()
});

/// The default of an entry; `None`: there is none.
pub(super) fn default(entry: &str) -> Option<&'static str> {
    DEFAULTS.get(entry).map(String::as_str)
}

fn read(line: &'static str) -> Option<Key> {
    let mut parts = line.split('|').map(str::trim);
    let (name, kind) = (parts.next()?, kind(parts.next()?)?);
    let label = (parts.next()?, parts.next()?);
    Some(Key { name, kind, label, about: (parts.next()?, parts.next()?) })
}

fn kind(text: &'static str) -> Option<Kind> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let choices = || {
        let choice = |text: &'static str| {
            let (value, names) = text.trim().split_once('=')?;
            Some(Choice { value, names: names.split_once('/')? })
        };
        rest.split(';').map(choice).collect::<Option<Vec<_>>>()
    };
    Some(match word {
        "text" => Kind::Text,
        "number" => Kind::Number,
        "duration" => Kind::Duration,
        "duration_or_off" => Kind::DurationOrOff,
        "flag" => Kind::Flag,
        "texts" => Kind::Texts,
        "prompt" => Kind::Prompt,
        "target" => Kind::Target,
        "lines" => Kind::Lines,
        "secret" => Kind::Secret,
        "tones" => Kind::Tones,
        "choice" => Kind::Choice(choices()?),
        "several" => Kind::Several(choices()?),
        "fixed" => Kind::Fixed,
        "machine" => Kind::Machine,
        "own" => Kind::Own,
        _ => return None,
    })
}

/// The entry that a key belongs to.
pub(super) fn find(key: &str) -> Option<&'static Key> {
    KEYS.iter().find(|entry| fits(entry.name, key))
}

/// Whether a key is one of this form.
fn fits(form: &str, key: &str) -> bool {
    // Several registrations of a trunk have numbers, a single one has none.
    let is_nth = |part: &str| part.parse::<usize>().is_ok();
    let key = key.split('.').enumerate();
    let is_trunk = form.starts_with("trunk.");
    let mut key = key.filter(|(n, part)| !(is_trunk && *n == 3 && is_nth(part))).map(|it| it.1);
    let mut form = form.split('.');
    loop {
        match (form.next(), key.next()) {
            (None, None) => return true,
            (Some(form), Some(key)) if form == key || form == "*" => {}
            _ => return false,
        }
    }
}

/// What a key is called; its own name where it is not known.
pub(super) fn label(l: Lang, key: &str) -> &str {
    find(key).map_or(key, |entry| l.t(entry.label.0, entry.label.1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MANUAL: &str = include_str!("../../../config/default.toml");

    /// Every key that there is: the manual with its examples, but for what excludes another.
    fn every_key() -> BTreeSet<String> {
        let skip = ["#password_file", "#override_until", "#[[counselor]]", "#extension = \"102\""];
        let skip = |line: &str| {
            skip.iter().any(|it| line.starts_with(it))
                || line.starts_with("#ha1") | line.starts_with("#lines")
        };
        let text: String = MANUAL
            .lines()
            .filter(|line| !skip(line))
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.starts_with([' ', '\n']) && !key.is_empty() => key,
                Some(_) | None => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let loaded = parse(&text, "k.toml", Path::new("")).unwrap();
        loaded.settings.into_keys().collect()
    }

    #[test]
    fn every_key_has_an_entry_and_no_entry_is_stale() {
        let keys = every_key();
        let unknown: Vec<_> = keys.iter().filter(|key| find(key).is_none()).collect();
        assert_eq!(unknown, [""; 0], "keys without an entry in keys.txt");
        let whole = ["trunk.*", "line.*", "counselor.*"];
        let stale = KEYS.iter().filter(|entry| !whole.contains(&entry.name));
        let stale = stale.filter(|entry| !keys.iter().any(|key| fits(entry.name, key)));
        assert_eq!(stale.map(|entry| entry.name).collect::<Vec<_>>(), [""; 0]);
    }

    /// A key that has one of these in its name, and a page on which it can be typed, is to be
    /// weighed: whoever can choose a program, a file or a folder has it run or read.
    #[test]
    fn what_names_a_part_of_the_machine_is_typed_on_no_page() {
        let parts = ["dir", "file", "command", "path", "folder", "program", "certificate", "ca"];
        let names = |key: &Key| {
            let last = key.name.rsplit('.').next().unwrap_or_default();
            last.split('_').any(|part| parts.contains(&part)) || key.name == "sip.tls.key"
        };
        let harmless = ["opening.certificate_min"];
        let typed = KEYS.iter().filter(|key| names(key) && !harmless.contains(&key.name));
        let typed = typed.filter(|key| !matches!(key.kind, Kind::Machine | Kind::Own));
        assert_eq!(typed.map(|key| key.name).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = include_str!("keys.txt").lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let key = read(line).unwrap_or_else(|| panic!("{line}"));
            assert!(!key.label.0.is_empty() && !key.label.1.is_empty(), "{line}");
        }
    }

    #[test]
    fn what_can_be_chosen_is_what_is_known() {
        for key in KEYS.iter().filter(|key| !key.name.contains('*')) {
            let Kind::Choice(choices) = &key.kind else { continue };
            for choice in choices {
                let (table, name) = key.name.rsplit_once('.').unwrap();
                let text = format!("[{table}]\n{name} = \"{}\"\n", choice.value);
                let read = parse(&text, "k.toml", Path::new(""));
                assert!(read.is_ok(), "{}: {read:?}", key.name);
            }
        }
    }
}
