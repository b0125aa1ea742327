//! The guidance of a line as a picture: what is played where, which key leads where, what is wrong.
//!
//! Owns the layout. It draws any configuration, also one that is not in force and has dead ends in
//! it; what is wrong is [`graph`](crate::call::graph)'s to find. Everything in the picture is in
//! its list of places too, for those who can't see it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::uses;
use crate::call::config::{Config, Line, LineId, Node, NodeId, Said, Target};
use crate::call::graph::{Fault, Place, START, faults};
use crate::lang::Lang;
use crate::media::Prompt;

/// Width of a box.
const WIDTH: u32 = 230;
/// Space between boxes side by side.
const GAP: u32 = 36;
/// Space between rows, in which arrows and their labels are.
const ROW_GAP: u32 = 74;
/// Height of a line of text.
const LINE: u32 = 18;
/// Space around everything; at the right there is room for arrows that go back.
const MARGIN: u32 = 20;
const RIGHT: u32 = 90;
/// Widest text in a box, in widths of a narrow letter.
const TEXT_MAX: usize = 32;
/// Places of one line that are drawn.
const PLACES_MAX: usize = 200;

/// A picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::console) struct Picture {
    pub(in crate::console) width: u32,
    pub(in crate::console) height: u32,
    pub(in crate::console) boxes: Vec<Block>,
    pub(in crate::console) arrows: Vec<Arrow>,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Block {
    pub(in crate::console) x: u32,
    pub(in crate::console) y: u32,
    pub(in crate::console) height: u32,
    /// Its look: `node`, `queue` or `end`.
    pub(in crate::console) kind: &'static str,
    pub(in crate::console) title: String,
    pub(in crate::console) lines: Vec<Text>,
    /// What is wrong with it.
    pub(in crate::console) wrong: Vec<String>,
    /// Where its exits lead, in words.
    pub(in crate::console) exits: Vec<(String, String)>,
}

/// A line of text in a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Text {
    /// What is shown.
    pub(in crate::console) text: String,
    /// The prompt that it is about.
    pub(in crate::console) prompt: Option<String>,
}

/// A way from one place to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Arrow {
    pub(in crate::console) path: String,
    pub(in crate::console) x: u32,
    pub(in crate::console) y: u32,
    pub(in crate::console) label: String,
    /// Gone without a key.
    pub(in crate::console) is_silent: bool,
}

impl Block {
    /// Its width.
    pub(in crate::console) fn width(&self) -> u32 {
        WIDTH
    }

    /// The lines with the height at which each stands: text and whether it is a warning.
    pub(in crate::console) fn placed(&self) -> Vec<(u32, String, bool)> {
        let lines = self.lines.iter().map(|line| (line.text.clone(), false));
        let wrong = self.wrong.iter().map(|text| (format!("⚠ {}", cut(text)), true));
        let all = lines.chain(wrong).zip(2..);
        all.map(|((text, is_wrong), n)| (self.y + LINE * n, text, is_wrong)).collect()
    }
}

/// Where a caller can come to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Node(NodeId),
    Queue,
    Help,
    Hangup,
    Line(LineId),
}

impl Stop {
    fn of(target: &Target) -> Self {
        match target {
            Target::Node(node) => Self::Node(node.clone()),
            Target::Queue => Self::Queue,
            Target::Help => Self::Help,
            Target::Hangup => Self::Hangup,
            Target::Line(line) => Self::Line(line.clone()),
        }
    }

    fn is_end(&self) -> bool {
        matches!(self, Self::Help | Self::Hangup | Self::Line(_))
    }
}

struct Exit {
    label: String,
    is_silent: bool,
    to: Stop,
}

/// What is drawn of a line.
struct Drawing<'a> {
    config: &'a Config,
    id: &'a LineId,
    line: &'a Line,
    l: Lang,
    faults: Vec<Fault>,
}

/// The picture of a line's guidance.
pub(in crate::console) fn draw(config: &Config, id: &LineId, l: Lang) -> Picture {
    let Some(line) = config.lines.get(id) else { return Picture::default() };
    let drawing = Drawing { config, id, line, l, faults: faults(config) };
    drawing.draw()
}

/// What is wrong with the paths of this line, the worst first: whether a call can go wrong by it,
/// and in words where it is and what.
pub(in crate::console) fn wrongs(config: &Config, id: &LineId, l: Lang) -> Vec<(bool, String)> {
    let of = faults(config).into_iter().filter(|fault| is_of(fault, id));
    of.map(|fault| (fault.is_error(), placed(&fault, l))).collect()
}

fn is_of(fault: &Fault, id: &LineId) -> bool {
    let is_here = |place: &Place| match place {
        Place::Node(line, _) | Place::Queue(line) => line == id,
    };
    match fault {
        Fault::NoStart(line)
        | Fault::NobodyTakes(line)
        | Fault::UnreachableNode(line, _)
        | Fault::UnreachableLine(line) => line == id,
        Fault::UnknownNode(place, ..) | Fault::UnknownLine(place, ..) => is_here(place),
        Fault::Circle(places) => places.iter().any(is_here),
    }
}

/// A fault in words, with its place.
fn placed(fault: &Fault, l: Lang) -> String {
    let name = |place: &Place| match place {
        Place::Node(_, node) => l.t(&format!("「{node}」"), &node.0).to_owned(),
        Place::Queue(_) => l.t("待ち行列", "queue").to_owned(),
    };
    let words = words(fault, l);
    match fault {
        Fault::UnknownNode(place, ..) | Fault::UnknownLine(place, ..) => {
            format!("{} {}: {words}", l.t("行き止まり", "Dead end at"), name(place))
        }
        Fault::Circle(places) => {
            let way: Vec<_> = places.iter().chain(places.first()).map(name).collect();
            format!("{words}: {}", way.join(" → "))
        }
        Fault::UnreachableNode(_, node) => {
            format!("{}: {words}", l.t(&format!("「{node}」"), &node.0))
        }
        Fault::NoStart(_) | Fault::NobodyTakes(_) | Fault::UnreachableLine(_) => words,
    }
}

fn words(fault: &Fault, l: Lang) -> String {
    let t = |ja: &str, en: &str| l.t(ja, en).to_owned();
    match fault {
        Fault::NoStart(_) => t("始まりの案内(start)がありません", "there is no start"),
        Fault::UnknownNode(_, _, node) => {
            t(&format!("進む先「{node}」がありません"), &format!("there is no place {node}"))
        }
        Fault::UnknownLine(_, _, line) => {
            t(&format!("回線「{line}」がありません"), &format!("there is no line {line}"))
        }
        Fault::Circle(_) => t(
            "何も押さない人には、この案内が永久に繰り返されます",
            "who presses nothing goes round here for ever",
        ),
        Fault::NobodyTakes(_) => {
            t("この回線を受ける相談員がいません", "no counselor takes this line's calls")
        }
        Fault::UnreachableNode(..) => t("ここへ来る道がありません", "no way leads here"),
        Fault::UnreachableLine(_) => {
            t("電話番号がなく、ここへ来る道がありません", "no number, and no way leads here")
        }
    }
}

impl Drawing<'_> {
    fn draw(&self) -> Picture {
        let rows = self.rows();
        let widest = rows.iter().map(Vec::len).max().unwrap_or(1).max(1) as u32;
        let inner = widest * WIDTH + (widest - 1) * GAP;
        let mut boxes: BTreeMap<Stop, Block> = BTreeMap::new();
        let mut y = MARGIN;
        for row in &rows {
            let count = row.len() as u32;
            let width = count * WIDTH + count.saturating_sub(1) * GAP;
            let mut x = MARGIN + (inner - width) / 2;
            let mut height = 0;
            for stop in row {
                let block = self.block(stop, x, y);
                height = height.max(block.height);
                boxes.insert(stop.clone(), block);
                x += WIDTH + GAP;
            }
            y += height + ROW_GAP;
        }
        let mut arrows = Vec::new();
        for (stop, block) in &boxes {
            let exits = self.exits(stop);
            let count = exits.len() as u32;
            for (nth, exit) in (1..).zip(&exits) {
                if let Some(to) = boxes.get(&exit.to) {
                    let from_x = block.x + WIDTH * nth / (count + 1);
                    arrows.push(arrow(block, from_x, to, exit));
                }
            }
        }
        let height = y.saturating_sub(ROW_GAP) + MARGIN;
        let boxes = rows.iter().flatten().filter_map(|stop| boxes.get(stop).cloned()).collect();
        Picture { width: inner + 2 * MARGIN + RIGHT, height, boxes, arrows }
    }

    /// Everywhere that the line's guidance leads, each in the row after all that lead there first.
    fn rows(&self) -> Vec<Vec<Stop>> {
        let start = Stop::Node(NodeId::from(START));
        let mut depth = BTreeMap::from([(start.clone(), 0)]);
        let mut open = VecDeque::from([start]);
        while let Some(stop) = open.pop_front() {
            let next = depth.get(&stop).copied().unwrap_or(0) + 1;
            for exit in self.exits(&stop) {
                if !depth.contains_key(&exit.to) && depth.len() < PLACES_MAX {
                    depth.insert(exit.to.clone(), next);
                    open.push_back(exit.to);
                }
            }
        }
        let lonely = self.line.guidance.keys().map(|node| Stop::Node(node.clone()));
        let lonely: Vec<Stop> = lonely.filter(|stop| !depth.contains_key(stop)).collect();
        let last = depth.values().max().copied().unwrap_or(0);
        for stop in lonely.into_iter().take(PLACES_MAX) {
            for exit in self.exits(&stop) {
                depth.entry(exit.to).or_insert(last + 1);
            }
            depth.insert(stop, last + 1);
        }
        // Queue and ends stand below everything that leads to them.
        for is_it in [|stop: &Stop| *stop == Stop::Queue, Stop::is_end] {
            let sunk: Vec<(Stop, usize)> = depth
                .keys()
                .filter(|stop| is_it(stop))
                .map(|stop| (stop.clone(), self.below(stop, &depth)))
                .collect();
            depth.extend(sunk);
        }
        let used: BTreeSet<usize> = depth.values().copied().collect();
        let mut rows: Vec<Vec<Stop>> = vec![Vec::new(); used.len()];
        for (stop, depth) in depth {
            let row = used.iter().position(|it| *it == depth).unwrap_or(0);
            rows[row].push(stop);
        }
        rows
    }

    fn below(&self, stop: &Stop, depth: &BTreeMap<Stop, usize>) -> usize {
        let leads = |from: &Stop| self.exits(from).iter().any(|exit| exit.to == *stop);
        let above = depth.iter().filter(|(from, _)| *from != stop && leads(from));
        above.map(|(_, depth)| depth + 1).max().unwrap_or(1)
    }

    fn exits(&self, stop: &Stop) -> Vec<Exit> {
        let exit = |label: String, is_silent, target: &Target| Exit {
            label,
            is_silent,
            to: Stop::of(target),
        };
        let t = |ja: &str, en: &str| self.l.t(ja, en).to_owned();
        match stop {
            Stop::Node(name) => {
                let Some(node) = self.line.guidance.get(name) else { return Vec::new() };
                let keys = node.keys.iter();
                let keys = keys.map(|(digit, target)| exit(digit.char().into(), false, target));
                let next = match node.keys.is_empty() {
                    true => t("次へ", "then"),
                    false => t("押さなければ", "no key"),
                };
                keys.chain([exit(next, true, &node.next)]).collect()
            }
            Stop::Queue => {
                let queue = &self.line.queue;
                vec![
                    exit(t("時間切れ", "waited too long"), true, &queue.on_timeout),
                    exit(t("満員", "full"), true, &queue.on_full),
                    exit(t("相談員なし", "nobody there"), true, &queue.on_no_counselor),
                ]
            }
            Stop::Help | Stop::Hangup | Stop::Line(_) => Vec::new(),
        }
    }

    fn block(&self, stop: &Stop, x: u32, y: u32) -> Block {
        let (kind, lines) = match stop {
            Stop::Node(name) => match self.line.guidance.get(name) {
                Some(node) => ("node", self.node(node)),
                None => ("node", Vec::new()),
            },
            Stop::Queue => ("queue", self.queue()),
            Stop::Help => ("end", self.said(&[Said::Help, Said::Goodbye])),
            Stop::Hangup => ("end", self.said(&[Said::Goodbye])),
            Stop::Line(_) => ("end", Vec::new()),
        };
        let wrong = self.wrong(stop);
        let height = LINE * (lines.len() + wrong.len()) as u32 + 2 * LINE;
        let exits = self.exits(stop).into_iter();
        let exits = exits.map(|exit| (exit.label, self.title(&exit.to))).collect();
        Block { x, y, height, kind, title: cut(&self.title(stop)), lines, wrong, exits }
    }

    fn title(&self, stop: &Stop) -> String {
        let t = |ja: &str, en: &str| self.l.t(ja, en).to_owned();
        match stop {
            Stop::Node(name) if &*name.0 == START => t(&format!("はじめ {name}"), &name.0),
            Stop::Node(name) => name.to_string(),
            Stop::Queue => t("待ち行列", "queue"),
            Stop::Help => t("ほかの窓口の案内", "other numbers that help"),
            Stop::Hangup => t("終わりのあいさつ", "goodbye"),
            Stop::Line(line) => {
                let name = self.config.lines.get(line).map_or(&*line.0, |line| &*line.name);
                t(&format!("回線「{name}」へ"), &format!("to the line {name}"))
            }
        }
    }

    fn node(&self, node: &Node) -> Vec<Text> {
        let mut lines: Vec<Text> = node.play.iter().map(|prompt| self.plays(prompt)).collect();
        if !node.keys.is_empty() {
            let (seconds, times) = (node.timeout.as_secs(), u32::from(node.repeats) + 1);
            let text = match self.l {
                Lang::Ja => format!("番号を{seconds}秒待つ × {times}回"),
                Lang::En => format!("waits {seconds} s for a key × {times}"),
            };
            lines.push(Text { text, prompt: None });
        }
        lines
    }

    fn queue(&self) -> Vec<Text> {
        let seconds = self.line.queue.max_wait.as_secs();
        let text = match self.l {
            Lang::Ja => format!("長くて{seconds}秒待つ"),
            Lang::En => format!("waits {seconds} s at most"),
        };
        let mut lines = self.said(&[Said::Connecting]);
        if let Some(prompt) = self.line.recording.prompt() {
            lines.insert(0, self.plays(prompt));
        }
        lines.push(self.plays(&self.line.queue.hold));
        lines.push(Text { text, prompt: None });
        lines
    }

    fn said(&self, all: &[Said]) -> Vec<Text> {
        let prompt = |said: &Said| self.config.prompt(Some(self.line), *said);
        all.iter().map(|said| self.plays(&prompt(said))).collect()
    }

    fn plays(&self, prompt: &Prompt) -> Text {
        let seconds = self.config.prompt_lengths.get(prompt).map(|length| length.as_secs_f64());
        let length = match (seconds, self.l) {
            (Some(seconds), Lang::Ja) => format!("{seconds:.1}秒"),
            (Some(seconds), Lang::En) => format!("{seconds:.1} s"),
            (None, l) => l.t("(音声なし)", "(no recording)").to_owned(),
        };
        let text = format!("♪ {} {length}", short(&prompt.0, TEXT_MAX - 12));
        Text { text, prompt: Some(prompt.0.to_string()) }
    }

    fn wrong(&self, stop: &Stop) -> Vec<String> {
        let here = match stop {
            Stop::Node(name) => Some(Place::Node(self.id.clone(), name.clone())),
            Stop::Queue => Some(Place::Queue(self.id.clone())),
            Stop::Help | Stop::Hangup | Stop::Line(_) => None,
        };
        let is_start = *stop == Stop::Node(NodeId::from(START));
        let is_here = |fault: &&Fault| match fault {
            Fault::NoStart(line) | Fault::UnreachableLine(line) => line == self.id && is_start,
            Fault::NobodyTakes(line) => line == self.id && *stop == Stop::Queue,
            Fault::UnreachableNode(line, node) => {
                here == Some(Place::Node(line.clone(), node.clone()))
            }
            Fault::UnknownNode(place, ..) | Fault::UnknownLine(place, ..) => {
                here.as_ref() == Some(place)
            }
            Fault::Circle(places) => here.as_ref().is_some_and(|here| places.contains(here)),
        };
        let mut wrong: Vec<_> =
            self.faults.iter().filter(is_here).map(|fault| words(fault, self.l)).collect();
        let is_missing = |name: &NodeId| !self.line.guidance.contains_key(name);
        if matches!(stop, Stop::Node(name) if is_missing(name)) && wrong.is_empty() {
            wrong.push(self.l.t("行き止まり", "dead end").to_owned());
        }
        wrong
    }
}

fn arrow(from: &Block, from_x: u32, to: &Block, exit: &Exit) -> Arrow {
    let label = exit.label.clone();
    let is_silent = exit.is_silent;
    if to.y > from.y {
        let (y, to_x) = (from.y + from.height, to.x + WIDTH / 2);
        let half = (to.y - y) / 2;
        let path = format!(
            "M{from_x} {y}C{from_x} {} {to_x} {} {to_x} {}",
            y + half,
            to.y - half,
            to.y - 2
        );
        return Arrow { path, x: from_x, y: y + 16, label, is_silent };
    }
    // Back, or to itself: around the right side.
    let (x, y) = (from.x + WIDTH, from.y + from.height - LINE / 2);
    let (to_x, to_y) = (to.x + WIDTH, to.y + LINE);
    let out = x.max(to_x) + RIGHT - 30;
    let path = format!("M{x} {y}C{out} {y} {out} {to_y} {} {to_y}", to_x + 2);
    Arrow { path, x: x + 34, y: y + 14, label, is_silent }
}

/// So much of a text as fits into a box.
fn cut(text: &str) -> String {
    short(text, TEXT_MAX)
}

fn short(text: &str, most: usize) -> String {
    let mut width = 0;
    let mut short = String::new();
    for c in text.chars() {
        width += if c.is_ascii() { 1 } else { 2 };
        if width > most {
            short.push('…');
            break;
        }
        short.push(c);
    }
    short
}

/// The roles that a line plays around its guidance, and by which prompt.
pub(in crate::console) fn around(config: &Config, id: &LineId, l: Lang) -> Vec<(String, String)> {
    let Some(line) = config.lines.get(id) else { return Vec::new() };
    let all = [
        Said::Closed,
        Said::ClosedYearEnd,
        Said::AllBusy,
        Said::NoCounselor,
        Said::TimedOut,
        Said::StillWaiting,
    ];
    let prompt = |said| config.prompt(Some(line), said).0.to_string();
    all.into_iter().map(|said| (uses::said(said, l), prompt(said))).collect()
}

#[cfg(test)]
mod tests;
