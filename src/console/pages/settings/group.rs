//! A group of keys as a form: a table of the file, a line, a counselor, a trunk.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Form as Typed, Path};
use axum::response::Response;

use super::field::{self, Field, Input, Known};
use super::nothing;
use crate::call::config::Said;
use crate::config::Loaded;
use crate::config::edit::{Edit, Value};
use crate::console::keys::{self, Kind};
use crate::console::pages::saving::{self, Basis, Form, Sent, Wrongs, form_page};
use crate::console::ui::{Page, View};
use crate::lang::Lang;

/// A table of the file that is there once.
pub(super) struct Group {
    /// Its name there, and in the path.
    pub(super) name: &'static str,
    pub(super) title: (&'static str, &'static str),
    pub(super) about: (&'static str, &'static str),
}

const fn group(
    name: &'static str,
    title: (&'static str, &'static str),
    about: (&'static str, &'static str),
) -> Group {
    Group { name, title, about }
}

/// All of them, in order of the page.
pub(super) const GROUPS: &[Group] = &[
    group(
        "service",
        ("サービス全体", "Service"),
        (
            "タイムゾーン、同時通話数、切れた電話の扱い、ログ、保存期間",
            "zone, limits, log, retention",
        ),
    ),
    group(
        "codes",
        ("特番", "Codes"),
        ("相談員がダイヤルする番号と、離席の理由", "what counselors dial, reasons for a pause"),
    ),
    group(
        "supervision",
        ("スーパーバイザー", "Supervision"),
        ("モニター・助言・参加、支援の呼び方", "listen, whisper, join, calls for help"),
    ),
    group(
        "repeat",
        ("今夜はつながない", "Not tonight"),
        ("しばらくつながない人の扱い", "callers who are not connected for a while"),
    ),
    group(
        "contacts",
        ("相談の種別", "Contact types"),
        ("通話のあとに相談員が選ぶもの", "what counselors say of a call"),
    ),
    group(
        "opening",
        ("開始前の点検", "Before opening"),
        ("点検の時刻、通知の送り先", "when to check, whom to notify"),
    ),
    group("reports", ("統計", "Reports"), ("公表用の統計で伏せる件数", "what is not published")),
    group(
        "prompts",
        ("全体の音声", "Prompts"),
        ("場面ごとに流す音声", "what is said by which prompt"),
    ),
    group(
        "recording",
        ("録音", "Recording"),
        ("だれが開けるか、いつまで残すか", "who can open it, how long it stays"),
    ),
    group("sip", ("電話の接続", "SIP"), ("待ち受け、登録、TLS", "sockets, registrations, TLS")),
    group("media", ("音声の通り道", "Media"), ("ポートとスレッド", "ports and threads")),
    group("console", ("この画面", "Console"), ("アドレス、サインイン", "address, sign-in")),
    group("store", ("記録の書き込み", "Store"), ("待ち行列の長さ", "queues of the database")),
];

/// Titles of tables within a group.
const TABLES: &[(&str, (&str, &str))] = &[
    ("log", ("ログ", "Log")),
    ("retention", ("残す期間", "Retention")),
    ("tls", ("TLS", "TLS")),
    ("queue", ("待ち行列", "Queue")),
    ("recording", ("録音", "Recording")),
    ("register", ("通信事業者への登録", "Registration at the carrier")),
    ("mail", ("メール", "Mail")),
    ("dscp", ("優先の印", "Marks of packets")),
];

/// What a form is about.
pub(super) enum Scope {
    /// A table that is there once.
    Table(&'static Group),
    /// An element: its list and its name.
    Element(&'static str, String),
    /// The prompts of a line.
    Prompts(String),
}

#[derive(Template)]
#[template(path = "settings_group.html", config = ".askama.toml")]
struct Sheet {
    page: Page,
    path: String,
    base: String,
    unwritable: Option<String>,
    wrongs: Vec<String>,
    sections: Vec<Section>,
    /// Digits and the reasons of a pause, where they are in this form.
    reasons: Vec<(char, String)>,
    /// Names to pick from.
    prompts: Vec<String>,
    list: &'static str,
    id: String,
    can_stop_registering: bool,
}

struct Section {
    title: String,
    fields: Vec<Field>,
}

/// The lists of elements, by their names in paths.
pub(super) fn list_named(name: &str) -> Option<&'static str> {
    ["line", "counselor", "trunk"].into_iter().find(|it| *it == name)
}

impl Scope {
    /// The scope of a path.
    fn of(name: &str) -> Option<Self> {
        GROUPS.iter().find(|it| it.name == name).map(Self::Table)
    }

    /// The names of all keys of the form, those that are not there yet too.
    fn names(&self, loaded: &Loaded) -> Vec<String> {
        let (prefix, form) = match self {
            Self::Table(group) if group.name == "prompts" => {
                return Said::ALL.iter().map(|it| format!("prompts.{}", it.name())).collect();
            }
            Self::Prompts(line) => {
                let name = |said: &Said| format!("line.{line}.prompts.{}", said.name());
                return Said::ALL.iter().map(name).collect();
            }
            Self::Table(group) => (format!("{}.", group.name), format!("{}.", group.name)),
            Self::Element(list, id) => (format!("{list}.{id}."), format!("{list}.*.")),
        };
        let entries = keys::KEYS.iter().filter(|key| key.kind != Kind::Own);
        let entries = entries.filter_map(|key| key.name.strip_prefix(form.as_str()));
        let plain = entries.filter(|name| !name.contains('*'));
        let nth: BTreeSet<&str> = loaded
            .settings
            .keys()
            .filter_map(|key| key.strip_prefix(&format!("{prefix}register."))?.split_once('.'))
            .map(|(nth, _)| nth)
            .collect();
        let numbered = |name: &str| -> Vec<String> {
            match name.strip_prefix("register.") {
                Some(rest) if !nth.is_empty() => {
                    nth.iter().map(|nth| format!("{prefix}register.{nth}.{rest}")).collect()
                }
                Some(_) | None => vec![format!("{prefix}{name}")],
            }
        };
        let mut names: Vec<String> = plain.flat_map(numbered).collect();
        // The fields of one registration stand together.
        names.sort_by_key(|name| {
            let nth = name.split('.').nth(3).filter(|_| name.contains(".register."));
            nth.and_then(|nth| nth.parse::<usize>().ok()).unwrap_or(0)
        });
        names
    }

    fn is_there(&self, loaded: &Loaded) -> bool {
        let call = &loaded.call;
        match self {
            Self::Table(_) => true,
            Self::Prompts(id) | Self::Element("line", id) => {
                call.lines.contains_key(&id.as_str().into())
            }
            Self::Element("counselor", id) => call.counselors.contains_key(&id.as_str().into()),
            Self::Element(_, id) => call.trunks.contains_key(&id.as_str().into()),
        }
    }

    fn title(&self, l: Lang, loaded: &Loaded) -> String {
        match self {
            Self::Table(group) => l.t(group.title.0, group.title.1).to_owned(),
            Self::Prompts(id) => match l {
                Lang::Ja => format!("回線 {} の音声", name_of(loaded, "line", id)),
                Lang::En => format!("Prompts of {}", name_of(loaded, "line", id)),
            },
            Self::Element(list, id) => {
                let kind = keys::label(l, &format!("{list}.{id}")).to_owned();
                format!("{kind}: {}", name_of(loaded, list, id))
            }
        }
    }
}

fn name_of(loaded: &Loaded, list: &str, id: &str) -> String {
    field::shown(loaded, &format!("{list}.{id}.name")).unwrap_or(id).to_owned()
}

/// What can be chosen.
pub(super) fn known(l: Lang, loaded: &Loaded, line: Option<&str>) -> Known {
    let call = &loaded.call;
    let lines: Vec<(String, String)> =
        call.lines.iter().map(|(id, line)| (id.to_string(), line.name.clone())).collect();
    let mut targets = vec![
        (
            "help".to_owned(),
            l.t("ほかの相談先を伝えて終わる", "other numbers, then the end").to_owned(),
        ),
        ("hangup".to_owned(), l.t("あいさつして終わる", "goodbye").to_owned()),
    ];
    let to = |name: &String| match l {
        Lang::Ja => format!("回線「{name}」へ"),
        Lang::En => format!("line “{name}”"),
    };
    targets.extend(lines.iter().map(|(id, name)| (format!("line:{id}"), to(name))));
    let nodes = line.and_then(|id| call.lines.get(&id.into())).into_iter();
    let nodes = nodes.flat_map(|line| line.guidance.keys());
    targets.extend(nodes.map(|node| {
        let name = match l {
            Lang::Ja => format!("案内「{node}」へ"),
            Lang::En => format!("node “{node}”"),
        };
        (node.to_string(), name)
    }));
    let prompts = call.prompt_lengths.keys().map(|prompt| prompt.0.to_string()).collect();
    Known { prompts, is_typed: false, lines, targets }
}

impl Form for Scope {
    fn path(&self) -> String {
        match self {
            Self::Table(group) => format!("/settings/{}", group.name),
            Self::Element(list, id) => format!("/settings/{list}/{id}"),
            Self::Prompts(id) => format!("/settings/line/{id}/prompts"),
        }
    }

    fn edits(&self, view: &View, from: &Basis, sent: &Sent) -> Result<Vec<Edit>, Wrongs> {
        let mut wrongs = Wrongs::default();
        if let (Self::Element(list, id), true) = (self, sent.has("drop.register")) {
            return Ok(vec![Edit::Unset(format!("{list}.{id}.register"))]);
        }
        let mut edits = Vec::new();
        for name in self.names(&from.loaded) {
            let Some(key) = field::entry(&name) else { continue };
            let edit = field::edit(view.l, key, &name, &from.loaded, sent, &mut wrongs);
            if edit.is_some() && name.ends_with(".password") {
                // One of several ways to give it.
                let beside = ["password_file", "ha1", "ha1_sha256"];
                let beside = beside.map(|it| name.replace("password", it));
                edits.extend(beside.into_iter().map(Edit::Unset));
            }
            edits.extend(edit);
        }
        if let Self::Table(Group { name: "codes", .. }) = self {
            edits.extend(reasons_edit(&from.loaded, sent));
        }
        if wrongs.is_empty() { Ok(edits) } else { Err(wrongs) }
    }

    fn page(&self, view: &View, from: &Basis, sent: Option<&Sent>, wrongs: &Wrongs) -> Response {
        if !self.is_there(&from.loaded) {
            return nothing(view);
        }
        let (list, id) = match self {
            Self::Table(_) => ("", ""),
            Self::Element(list, id) => (*list, id.as_str()),
            Self::Prompts(id) => ("line", id.as_str()),
        };
        let mut known = known(view.l, &from.loaded, Some(id).filter(|_| list == "line"));
        known.is_typed = match self {
            Self::Table(group) => group.name == "prompts",
            Self::Prompts(_) => true,
            Self::Element(..) => false,
        };
        let names = self.names(&from.loaded);
        let mut sections: Vec<Section> = Vec::new();
        for name in &names {
            let Some(key) = field::entry(name) else { continue };
            let title = self.table(view.l, name);
            if sections.last().is_none_or(|last| last.title != title) {
                sections.push(Section { title, fields: Vec::new() });
            }
            let made = field::field(view.l, key, name, &from.loaded, &known, sent, wrongs);
            if let Some(last) = sections.last_mut() {
                last.fields.push(made);
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let is_codes = matches!(self, Self::Table(Group { name: "codes", .. }));
        let template = Sheet {
            page: view.page(&self.title(view.l, &from.loaded)),
            path: self.path(),
            base: from.leaf.base.clone(),
            unwritable: from.unwritable.clone(),
            wrongs: wrongs.others(view.l, &names),
            sections,
            prompts: if known.is_typed { known.prompts } else { Vec::new() },
            reasons: if is_codes { reasons(&from.loaded, sent) } else { Vec::new() },
            can_stop_registering: from
                .loaded
                .settings
                .keys()
                .any(|key| key.starts_with(&format!("trunk.{id}.register."))),
            list: if matches!(self, Self::Prompts(_)) { "" } else { list },
            id: id.to_owned(),
        };
        form_page(&template, wrongs)
    }
}

impl Scope {
    /// The title of the table that a key is in.
    fn table(&self, l: Lang, name: &str) -> String {
        let skip = match self {
            Self::Table(_) => 1,
            Self::Element(..) => 2,
            Self::Prompts(_) => return String::new(),
        };
        let mut parts = name.split('.').skip(skip);
        let (table, rest) = (parts.next().unwrap_or_default(), parts.next());
        let title = TABLES.iter().find(|(it, _)| rest.is_some() && *it == table);
        let title = title.map(|(_, title)| l.t(title.0, title.1)).unwrap_or_default();
        match rest.and_then(|nth| nth.parse::<usize>().ok()) {
            Some(nth) => format!("{title} {nth}"),
            None => title.to_owned(),
        }
    }
}

/// The reasons of a pause, by digit; empty where there is none.
fn reasons(loaded: &Loaded, sent: Option<&Sent>) -> Vec<(char, String)> {
    let known = &loaded.call.codes.pause_reasons;
    let of = |digit: char| match sent {
        Some(sent) => sent.get(&format!("reason.{digit}")).to_owned(),
        None => known
            .iter()
            .find(|(it, _)| it.char() == digit)
            .map(|(_, reason)| reason.clone())
            .unwrap_or_default(),
    };
    "1234567890".chars().map(|digit| (digit, of(digit))).collect()
}

fn reasons_edit(loaded: &Loaded, sent: &Sent) -> Option<Edit> {
    if !sent.has("reason.1") {
        return None;
    }
    let (old, new) = (reasons(loaded, None), reasons(loaded, Some(sent)));
    let written = new.iter().filter(|(_, reason)| !reason.is_empty());
    let written = written.map(|(digit, reason)| (digit.to_string(), Value::text(reason)));
    let others =
        loaded.call.codes.pause_reasons.iter().filter(|(it, _)| !it.char().is_ascii_digit());
    let others = others.map(|(digit, reason)| (digit.char().to_string(), Value::text(reason)));
    (old != new).then(|| {
        Edit::Set("codes.pause_reasons".to_owned(), Value::Table(written.chain(others).collect()))
    })
}

/// The fields of a form, in order.
type Fields = Typed<Vec<(String, String)>>;

pub(super) async fn open(view: View, Path(name): Path<String>) -> Response {
    match Scope::of(&name) {
        Some(scope) => saving::open(&view, &scope).await,
        None => nothing(&view),
    }
}

pub(super) async fn save(view: View, Path(name): Path<String>, Typed(sent): Fields) -> Response {
    match Scope::of(&name) {
        Some(scope) => saving::post(&view, &scope, Sent(sent)).await,
        None => nothing(&view),
    }
}

pub(super) async fn open_of(view: View, Path((list, id)): Path<(String, String)>) -> Response {
    match list_named(&list) {
        Some(list) => saving::open(&view, &Scope::Element(list, id)).await,
        None => nothing(&view),
    }
}

pub(super) async fn save_of(
    view: View,
    Path((list, id)): Path<(String, String)>,
    Typed(sent): Fields,
) -> Response {
    match list_named(&list) {
        Some(list) => saving::post(&view, &Scope::Element(list, id), Sent(sent)).await,
        None => nothing(&view),
    }
}

pub(super) async fn open_prompts(view: View, Path(id): Path<String>) -> Response {
    saving::open(&view, &Scope::Prompts(id)).await
}

pub(super) async fn save_prompts(
    view: View,
    Path(id): Path<String>,
    Typed(sent): Fields,
) -> Response {
    saving::post(&view, &Scope::Prompts(id), Sent(sent)).await
}
