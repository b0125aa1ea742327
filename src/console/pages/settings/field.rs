//! A field of a form: how a key is shown, and what typing it changes.

use crate::complaint::{self, Say as _};
use crate::config::edit::{Edit, Value};
use crate::config::{Loaded, Setting, waits};
use crate::console::keys::{self, Choice, Key, Kind};
use crate::console::pages::saving::{Sent, Wrongs};
use crate::lang::Lang;

/// A field.
pub(super) struct Field {
    /// The key in full, which is the field's name.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) about: String,
    /// How it is written.
    pub(super) how: &'static str,
    pub(super) default: String,
    pub(super) waits: bool,
    pub(super) wrongs: Vec<String>,
    pub(super) input: Input,
}

impl Field {
    /// What ties the field to what is said about it.
    pub(super) fn marks(&self) -> String {
        let wrong = if self.wrongs.is_empty() { "" } else { " aria-invalid=\"true\"" };
        format!(" aria-describedby=\"about-{}\"{wrong}", self.name)
    }
}

/// What stands in it.
pub(super) enum Input {
    Line(String),
    Lines(String),
    Choice(Vec<Chosen>),
    /// The name of a prompt, where lists of all of them would be too much.
    Prompt(String),
    Several(Vec<Chosen>),
    Flag(bool),
    Secret(bool),
    Fixed(String),
}

/// Something that can be chosen.
pub(super) struct Chosen {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) is_on: bool,
}

/// What can be chosen that depends on the configuration.
pub(super) struct Known {
    pub(super) prompts: Vec<String>,
    /// Whether prompts are typed, with the known ones to pick from.
    pub(super) is_typed: bool,
    pub(super) lines: Vec<(String, String)>,
    /// Where a caller can go on.
    pub(super) targets: Vec<(String, String)>,
}

/// The value of a key as it is shown; `None`: it is not there.
pub(super) fn shown<'l>(loaded: &'l Loaded, key: &str) -> Option<&'l str> {
    match loaded.settings.get(key)? {
        Setting::Shown(text) => Some(text),
        Setting::Secret(_) => None,
    }
}

/// The parts of a list as it is shown.
fn parts(text: &str) -> Vec<String> {
    let parts = text.split([',', '\n']).map(str::trim).filter(|it| !it.is_empty());
    parts.map(str::to_owned).collect()
}

/// The field of a key.
pub(super) fn field(
    l: Lang,
    key: &Key,
    name: &str,
    loaded: &Loaded,
    known: &Known,
    sent: Option<&Sent>,
    wrongs: &Wrongs,
) -> Field {
    let now = shown(loaded, name).unwrap_or_default().to_owned();
    let text = sent.map_or_else(|| now.clone(), |sent| sent.get(name).to_owned());
    let on: Vec<String> = match sent {
        Some(sent) => sent.all(name).map(str::to_owned).collect(),
        None => parts(&now),
    };
    let input = match &key.kind {
        Kind::Text | Kind::Number | Kind::Duration | Kind::DurationOrOff => Input::Line(text),
        Kind::Texts | Kind::Tones => {
            let lines = if sent.is_some() { text } else { parts(&now).join("\n") };
            Input::Lines(lines)
        }
        Kind::Flag => Input::Flag(sent.map_or(now == "true", |sent| sent.has(name))),
        Kind::Secret => Input::Secret(has_secret(loaded, name)),
        Kind::Fixed | Kind::Machine | Kind::Own => Input::Fixed(now),
        Kind::Choice(choices) => Input::Choice(choose(l, choices, &[text])),
        Kind::Several(choices) => Input::Several(choose(l, choices, &on)),
        Kind::Lines => Input::Several(of_names(&known.lines, &on, false)),
        Kind::Target => Input::Choice(of_names(&known.targets, &[text], true)),
        Kind::Prompt if known.is_typed => Input::Prompt(text),
        Kind::Prompt => {
            let names: Vec<_> = known.prompts.iter().map(|it| (it.clone(), it.clone())).collect();
            Input::Choice(of_names(&names, &[text], true))
        }
    };
    Field {
        name: name.to_owned(),
        label: label(l, key, name),
        about: l.t(key.about.0, key.about.1).to_owned(),
        how: how(l, &key.kind),
        default: default(l, key),
        waits: waits(name),
        wrongs: wrongs.of(name),
        input,
    }
}

fn has_secret(loaded: &Loaded, name: &str) -> bool {
    let secret = loaded.settings.get(name);
    secret.is_some_and(|it| matches!(it, Setting::Secret(text) if !text.expose().is_empty()))
}

/// What a key is called; of keys that people name themselves, their name too.
fn label(l: Lang, key: &Key, name: &str) -> String {
    let label = l.t(key.label.0, key.label.1);
    match key.name.ends_with(".*") {
        true => name.rsplit('.').next().unwrap_or(label).to_owned(),
        false => label.to_owned(),
    }
}

fn how(l: Lang, kind: &Kind) -> &'static str {
    match kind {
        Kind::Number => l.t("整数", "whole number"),
        Kind::Duration => {
            l.t("数字と単位 ms・s・m・h・d(例: 20s)", "number and unit: ms, s, m, h, d")
        }
        Kind::DurationOrOff => {
            l.t("数字と単位 ms・s・m・h・d、または off", "number and unit (ms, s, m, h, d), or off")
        }
        Kind::Machine => l.t(
            "機器の中の場所やプログラムを表すので、この画面では変えられません。\
             機器の管理者が設定ファイルを直接編集します。",
            "It names something on the machine, so it is changed by hand in the file only.",
        ),
        Kind::Text
        | Kind::Texts
        | Kind::Tones
        | Kind::Flag
        | Kind::Prompt
        | Kind::Target
        | Kind::Lines
        | Kind::Secret
        | Kind::Choice(_)
        | Kind::Several(_)
        | Kind::Fixed
        | Kind::Own => "",
    }
}

/// The default of a key, in words.
fn default(l: Lang, key: &Key) -> String {
    let Some(default) = keys::default(key.name) else { return String::new() };
    let name = |value: &str| match &key.kind {
        Kind::Choice(choices) | Kind::Several(choices) => {
            let found = choices.iter().find(|it| it.value == value);
            found.map_or(value, |it| l.t(it.names.0, it.names.1)).to_owned()
        }
        Kind::Flag => match value {
            "true" => l.t("はい", "yes").to_owned(),
            _ => l.t("いいえ", "no").to_owned(),
        },
        Kind::Text
        | Kind::Number
        | Kind::Duration
        | Kind::DurationOrOff
        | Kind::Texts
        | Kind::Prompt
        | Kind::Target
        | Kind::Lines
        | Kind::Secret
        | Kind::Tones
        | Kind::Fixed
        | Kind::Machine
        | Kind::Own => value.to_owned(),
    };
    match default.is_empty() {
        true => l.t("(空)", "(empty)").to_owned(),
        false => default.split(", ").map(name).collect::<Vec<_>>().join("、"),
    }
}

fn choose(l: Lang, choices: &[Choice], on: &[String]) -> Vec<Chosen> {
    let mut all: Vec<_> = choices
        .iter()
        .map(|it| Chosen {
            value: it.value.to_owned(),
            name: l.t(it.names.0, it.names.1).to_owned(),
            is_on: on.iter().any(|on| on == it.value),
        })
        .collect();
    // What is chosen first counts first.
    all.sort_by_key(|it| on.iter().position(|on| *on == it.value).unwrap_or(usize::MAX));
    if on.len() == 1 && choices.len() > 1 {
        all.sort_by_key(|it| choices.iter().position(|choice| choice.value == it.value));
    }
    all
}

/// Names to choose from; one that is chosen and not known stays, so that nothing is lost.
fn of_names(names: &[(String, String)], on: &[String], keep: bool) -> Vec<Chosen> {
    let mut all: Vec<_> = names
        .iter()
        .map(|(value, name)| Chosen {
            value: value.clone(),
            name: name.clone(),
            is_on: on.contains(value),
        })
        .collect();
    for value in on.iter().filter(|value| keep && !value.is_empty()) {
        if !names.iter().any(|(name, _)| name == value) {
            all.push(Chosen { value: value.clone(), name: value.clone(), is_on: true });
        }
    }
    all
}

/// What typing a key changes.
pub(super) fn edit(
    l: Lang,
    key: &Key,
    name: &str,
    loaded: &Loaded,
    sent: &Sent,
    wrongs: &mut Wrongs,
) -> Option<Edit> {
    let now = shown(loaded, name).unwrap_or_default();
    let typed = sent.get(name);
    let set = |value| Some(Edit::Set(name.to_owned(), value));
    let text = |value: Value| match typed {
        _ if !sent.has(name) || typed == now => None,
        "" => Some(Edit::Unset(name.to_owned())),
        _ => set(value),
    };
    match &key.kind {
        Kind::Text
        | Kind::Duration
        | Kind::DurationOrOff
        | Kind::Choice(_)
        | Kind::Prompt
        | Kind::Target => text(Value::text(typed)),
        Kind::Number => match typed.parse() {
            Ok(number) => text(Value::Number(number)),
            Err(_) if typed.is_empty() => text(Value::Number(0)),
            Err(_) => {
                wrongs.add(name, l.t("整数で入力してください。", "Write a whole number."));
                None
            }
        },
        Kind::Flag => {
            let on = sent.has(name);
            if (now == "true") == on { None } else { set(Value::Flag(on)) }
        }
        Kind::Texts => {
            let list = parts(typed);
            match list.is_empty() {
                _ if !sent.has(name) || list == parts(now) => None,
                true => Some(Edit::Unset(name.to_owned())),
                false => set(Value::texts(list)),
            }
        }
        Kind::Lines | Kind::Several(_) => {
            let list: Vec<_> = sent.all(name).map(str::to_owned).collect();
            if list == parts(now) { None } else { set(Value::texts(list)) }
        }
        Kind::Tones => {
            let list = parts(typed);
            if !sent.has(name) || list == parts(now) {
                return None;
            }
            let pair = |line: &String| Value::texts(line.split_whitespace());
            set(Value::List(list.iter().map(pair).collect()))
        }
        Kind::Secret if typed.is_empty() => None,
        Kind::Secret => set(Value::text(typed)),
        Kind::Machine => {
            if sent.has(name) && typed != now {
                wrongs.add(name, complaint::Value::ByHandOnly.say(l));
            }
            None
        }
        Kind::Fixed | Kind::Own => None,
    }
}

/// The entry of a key that is in a form.
pub(super) fn entry(name: &str) -> Option<&'static Key> {
    keys::find(name).filter(|key| key.kind != Kind::Own)
}
