//! The guidance of a line: its nodes as forms, and what comes of them as a picture.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use axum::extract::{Form as Typed, Path};
use axum::response::Response;

use super::{group, nothing};
use crate::call::config::{Config, LineId, Node, NodeId, Target};
use crate::call::graph::START;
use crate::config::edit::{self, Edit, Value};
use crate::console::pages::saving::{self, Basis, Form, Picture, Sent, Wrongs, form_page};
use crate::console::prompts::{svg, wrongs};
use crate::console::ui::{Page, View};
use crate::lang::Lang;
use crate::media::Digit;

/// Nodes in a form at most.
const NODES_MAX: usize = 100;
/// Nodes whose targets are chosen from lists; with more the page would be too large.
const FEW: usize = 12;
/// What a node has when nothing is said.
const TIMEOUT: &str = "5s";
const REPEATS: &str = "2";

/// The guidance of a line.
struct Guidance {
    line: LineId,
}

/// A node as it stands in the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    /// Its name in the file; empty: it is new.
    was: String,
    name: String,
    play: Vec<String>,
    keys: Vec<(String, String)>,
    timeout: String,
    repeats: String,
    next: String,
    is_gone: bool,
}

#[derive(Template)]
#[template(path = "guidance.html", config = ".askama.toml")]
struct Sheet {
    page: Page,
    id: String,
    base: String,
    unwritable: Option<String>,
    wrongs: Vec<String>,
    rows: Vec<Row>,
    picture: Option<Picture>,
    prompts: Vec<String>,
    targets: Vec<(String, String)>,
    is_few: bool,
}

impl Sheet {
    fn digits(&self) -> [&'static str; 12] {
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#"]
    }
}

pub(super) async fn open(view: View, Path(line): Path<String>) -> Response {
    saving::open(&view, &Guidance { line: line.as_str().into() }).await
}

pub(super) async fn save(
    view: View,
    Path(line): Path<String>,
    Typed(sent): Typed<Vec<(String, String)>>,
) -> Response {
    saving::post(&view, &Guidance { line: line.as_str().into() }, Sent(sent)).await
}

/// A target as the configuration writes it.
fn written(target: &Target) -> String {
    match target {
        Target::Node(node) => node.to_string(),
        Target::Queue => "queue".to_owned(),
        Target::Help => "help".to_owned(),
        Target::Hangup => "hangup".to_owned(),
        Target::Line(line) => format!("line:{line}"),
    }
}

fn target(text: &str) -> Target {
    match text {
        "queue" => Target::Queue,
        "help" => Target::Help,
        "hangup" => Target::Hangup,
        text => match text.strip_prefix("line:") {
            Some(line) => Target::Line(line.into()),
            None => Target::Node(text.into()),
        },
    }
}

impl Row {
    /// As the configuration has it; from the start on, then by name.
    fn all(from: &Basis, line: &LineId) -> Vec<Self> {
        let Some(found) = from.loaded.call.lines.get(line) else { return Vec::new() };
        let shown = |node: &NodeId, key: &str| {
            let key = format!("line.{line}.guidance.{node}.{key}");
            super::field::shown(&from.loaded, &key).map(str::to_owned)
        };
        let row = |(id, node): (&NodeId, &Node)| Self {
            was: id.to_string(),
            name: id.to_string(),
            play: node.play.iter().map(|prompt| prompt.0.to_string()).collect(),
            keys: node.keys.iter().map(|(k, to)| (k.char().to_string(), written(to))).collect(),
            timeout: shown(id, "timeout").unwrap_or_else(|| TIMEOUT.to_owned()),
            repeats: node.repeats.to_string(),
            next: written(&node.next),
            is_gone: false,
        };
        let mut rows: Vec<Self> = found.guidance.iter().map(row).collect();
        rows.sort_by_key(|row| (row.name != START, row.name.clone()));
        rows
    }

    /// As it was typed.
    fn typed(sent: &Sent) -> Vec<Self> {
        let count = sent.get("rows").parse::<usize>().unwrap_or(0).min(NODES_MAX);
        let row = |n: usize| {
            let of = |name: &str| sent.get(&format!("{name}.{n}")).to_owned();
            let list = |name: &str| -> Vec<String> {
                sent.all(&format!("{name}.{n}")).map(str::to_owned).collect()
            };
            let keys = list("key").into_iter().zip(list("to"));
            Self {
                was: of("was"),
                name: of("name"),
                play: list("play").into_iter().filter(|it| !it.is_empty()).collect(),
                keys: keys.filter(|(key, to)| !key.is_empty() && !to.is_empty()).collect(),
                timeout: of("timeout"),
                repeats: of("repeats"),
                next: of("next"),
                is_gone: sent.has(&format!("gone.{n}")),
            }
        };
        (1..=count).map(row).collect()
    }

    /// Whether it is there after all.
    fn counts(&self) -> bool {
        !self.is_gone && !self.name.is_empty()
    }

    fn repeats(&self) -> u8 {
        self.repeats.parse().unwrap_or(2)
    }

    fn keys(&self) -> Value {
        let keys = self.keys.iter().map(|(key, to)| (key.clone(), Value::text(to)));
        Value::Table(keys.collect())
    }

    /// All of it, as a new node.
    fn value(&self) -> Value {
        let mut fields = vec![("play".to_owned(), Value::texts(self.play.iter().cloned()))];
        if !self.keys.is_empty() {
            fields.push(("keys".to_owned(), self.keys()));
            if self.timeout != TIMEOUT && !self.timeout.is_empty() {
                fields.push(("timeout".to_owned(), Value::text(&self.timeout)));
            }
            if self.repeats() != 2 {
                fields.push(("repeats".to_owned(), Value::Number(self.repeats().into())));
            }
        }
        fields.push(("next".to_owned(), Value::text(&self.next)));
        Value::Table(fields)
    }

    /// What makes another row of this one.
    fn edits(&self, new: &Self, key: &str) -> Vec<Edit> {
        let key = |name: &str| format!("{key}.{name}");
        let mut edits = Vec::new();
        if self.play != new.play {
            edits.push(Edit::Set(key("play"), Value::texts(new.play.iter().cloned())));
        }
        let sorted = |row: &Self| row.keys.iter().cloned().collect::<BTreeMap<_, _>>();
        if sorted(self) != sorted(new) {
            edits.push(match new.keys.is_empty() {
                true => Edit::Unset(key("keys")),
                false => Edit::Set(key("keys"), new.keys()),
            });
        }
        if new.keys.is_empty() {
            // Without keys they mean nothing.
            edits.extend((!self.keys.is_empty()).then(|| Edit::Unset(key("timeout"))));
            edits.extend((!self.keys.is_empty()).then(|| Edit::Unset(key("repeats"))));
        } else {
            if self.timeout != new.timeout {
                edits.push(Edit::Set(key("timeout"), Value::text(&new.timeout)));
            }
            if self.repeats != new.repeats {
                edits.push(Edit::Set(key("repeats"), Value::Number(new.repeats().into())));
            }
        }
        if self.next != new.next {
            edits.push(Edit::Set(key("next"), Value::text(&new.next)));
        }
        edits
    }

    fn node(&self) -> Node {
        let key = |(key, to): &(String, String)| {
            Some((Digit::from_char(key.chars().next()?)?, target(to)))
        };
        Node {
            play: self.play.iter().map(|prompt| prompt.as_str().into()).collect(),
            keys: self.keys.iter().filter_map(key).collect(),
            timeout: Duration::from_secs(5),
            repeats: self.repeats(),
            next: target(&self.next),
        }
    }
}

impl Guidance {
    /// The configuration as it would be with these rows, whatever is wrong with them.
    fn with(&self, config: &Config, rows: &[Row]) -> Config {
        let mut config = config.clone();
        if let Some(line) = config.lines.get_mut(&self.line) {
            let rows = rows.iter().filter(|row| row.counts());
            line.guidance = rows.map(|row| (NodeId::from(row.name.as_str()), row.node())).collect();
        }
        config
    }

    fn draw(&self, view: &View, from: &Basis, rows: &[Row]) -> Option<Picture> {
        let config = self.with(&from.loaded.call, rows);
        config.lines.contains_key(&self.line).then(|| Picture {
            svg: svg::guidance(&config, &self.line, view.l),
            faults: wrongs(&config, &self.line, view.l),
        })
    }
}

/// What is wrong with single rows.
fn check(l: Lang, rows: &[Row]) -> Wrongs {
    let mut wrongs = Wrongs::default();
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.counts()) {
        let name = row.name.as_str();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if !name.chars().all(is_plain) {
            let (ja, en) =
                ("名前は半角の英小文字・数字・_・- です", "a name is made of a-z, 0-9, _ and -");
            wrongs.add("", format!("「{name}」: {}", l.t(ja, en)));
        }
        if names.contains(&name) {
            wrongs.add(
                "",
                format!("「{name}」: {}", l.t("同じ名前が二つあります", "is there twice")),
            );
        }
        if row.next.is_empty() {
            let text = l.t("次に進む先を選んでください", "choose what is next");
            wrongs.add("", format!("「{name}」: {text}"));
        }
        let mut keys: Vec<&String> = row.keys.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            let text = l.t("同じキーが二つあります", "a key is there twice");
            wrongs.add("", format!("「{name}」: {text}"));
        }
        if row.keys.iter().any(|(key, _)| key.chars().next().and_then(Digit::from_char).is_none()) {
            wrongs.add(
                "",
                format!("「{name}」: {}", l.t("キーは 0~9・*・# です", "keys are 0-9, * and #")),
            );
        }
        if !row.keys.is_empty() && row.repeats.parse::<u8>().is_err() {
            wrongs.add(
                "",
                format!("「{name}」: {}", l.t("繰り返しは整数です", "repeats is a number")),
            );
        }
        names.push(name);
    }
    wrongs
}

impl Form for Guidance {
    fn path(&self) -> String {
        format!("/settings/line/{}/guidance", self.line)
    }

    fn edits(&self, view: &View, from: &Basis, sent: &Sent) -> Result<Vec<Edit>, Wrongs> {
        let (old, new) = (Row::all(from, &self.line), Row::typed(sent));
        let wrongs = check(view.l, &new);
        if !wrongs.is_empty() {
            return Err(wrongs);
        }
        let key = |name: &str| format!("line.{}.guidance.{name}", self.line);
        let kept: Vec<&Row> = new.iter().filter(|row| row.counts()).collect();
        let was = |name: &str| old.iter().find(|row| row.name == name);
        let is_same = |row: &&Row| was(&row.name).is_some_and(|old| old.edits(row, "").is_empty());
        if kept.len() == old.len() && kept.iter().all(is_same) {
            return Ok(Vec::new());
        }
        if !edit::has(&from.leaf.text, &format!("line.{}.guidance", self.line)) {
            // What was the default is written out with the rest.
            let all = kept.iter().map(|row| Edit::Set(key(&row.name), row.value()));
            return Ok(all.collect());
        }
        let mut edits = Vec::new();
        for row in &kept {
            match was(&row.name) {
                Some(old) => edits.extend(old.edits(row, &key(&row.name))),
                None => edits.push(Edit::Set(key(&row.name), row.value())),
            }
        }
        let gone = old.iter().filter(|old| !kept.iter().any(|row| row.name == old.name));
        edits.extend(gone.map(|old| Edit::Unset(key(&old.name))));
        Ok(edits)
    }

    fn page(&self, view: &View, from: &Basis, sent: Option<&Sent>, wrongs: &Wrongs) -> Response {
        let Some(line) = from.loaded.call.lines.get(&self.line) else { return nothing(view) };
        let mut rows = sent.map_or_else(|| Row::all(from, &self.line), Row::typed);
        let picture = self.draw(view, from, &rows);
        let known = group::known(view.l, &from.loaded, None);
        let mut targets = known.targets;
        targets.insert(0, ("queue".to_owned(), view.t("待ち行列(相談員へ)", "queue").to_owned()));
        for row in rows.iter().filter(|row| row.counts()) {
            let name = match view.l {
                Lang::Ja => format!("案内「{}」へ", row.name),
                Lang::En => format!("node “{}”", row.name),
            };
            targets.push((row.name.clone(), name));
        }
        let empty = |keys: &mut Vec<(String, String)>| {
            keys.resize((keys.len() + 2).min(12.max(keys.len())), Default::default());
        };
        rows.retain(|row| !row.was.is_empty() || row.counts());
        for row in &mut rows {
            row.play.push(String::new());
            empty(&mut row.keys);
        }
        let mut blank = Row { timeout: TIMEOUT.to_owned(), ..Row::default() };
        blank.repeats = REPEATS.to_owned();
        blank.play = vec![String::new(); 2];
        empty(&mut blank.keys);
        rows.push(blank);
        let title = match view.l {
            Lang::Ja => format!("案内の流れ: {}", line.name),
            Lang::En => format!("Guidance of {}", line.name),
        };
        let sheet = Sheet {
            page: view.page(&title),
            id: self.line.to_string(),
            base: from.leaf.base.clone(),
            unwritable: from.unwritable.clone(),
            wrongs: wrongs.others(view.l, &[]),
            is_few: rows.len() <= FEW,
            rows,
            picture,
            prompts: known.prompts,
            targets,
        };
        form_page(&sheet, wrongs)
    }

    fn picture(&self, view: &View, from: &Basis, sent: &Sent) -> Option<Picture> {
        self.draw(view, from, &Row::typed(sent))
    }
}
