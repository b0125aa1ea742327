//! A line's guidance as a picture: where a caller can be, and how they get from one to the other.
//!
//! Owns layout and drawing (SVG, made here, without script and style). What is wrong with the graph
//! is [`call::graph`](crate::call::graph)'s to find; [`faults`] only says it in words.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Lang;
use crate::call::config::{Config, Line, LineId, NodeId, Target};
use crate::call::graph::{self, Exit, Fault, Place, START};
use crate::media::Prompt;

/// A box, in the picture's units.
const WIDTH: i32 = 172;
const HEIGHT: i32 = 58;
/// Between boxes.
const GAP_X: i32 = 28;
const GAP_Y: i32 = 64;
/// Around everything.
const EDGE: i32 = 14;
/// Boxes in the picture at most; what is beyond is left out.
const BOXES_MAX: usize = 120;

/// Something in the picture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spot {
    Node(NodeId),
    Queue,
    Help,
    Hangup,
    Line(LineId),
    /// A node that is not there.
    Missing(NodeId),
}

/// A way from one to another, and what it is called.
struct Way {
    from: Spot,
    to: Spot,
    name: String,
}

/// The picture of a line's guidance and queue; `lengths` are the prompts'.
pub(in crate::console) fn picture(
    l: Lang,
    line: &Line,
    lengths: &BTreeMap<Prompt, Duration>,
) -> String {
    let ways = ways(l, line);
    let layers = layers(line, &ways);
    let widest = layers.iter().map(Vec::len).max().unwrap_or(1);
    let across = |n: usize| i32::try_from(n).unwrap_or(0);
    let width = across(widest) * (WIDTH + GAP_X) - GAP_X + 2 * EDGE + 40;
    let height = across(layers.len()) * (HEIGHT + GAP_Y) - GAP_Y + 2 * EDGE;
    let mut places: BTreeMap<&Spot, (i32, i32, usize)> = BTreeMap::new();
    for (depth, layer) in layers.iter().enumerate() {
        let own = across(layer.len()) * (WIDTH + GAP_X) - GAP_X;
        for (n, spot) in layer.iter().enumerate() {
            let x = (width - own) / 2 + across(n) * (WIDTH + GAP_X);
            places.insert(spot, (x, EDGE + across(depth) * (HEIGHT + GAP_Y), depth));
        }
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"currentColor\"/>\
         </marker></defs>",
        escape(&in_words(l, &ways)),
    );
    let mut used: BTreeMap<&Spot, i32> = BTreeMap::new();
    for way in &ways {
        let (Some(from), Some(to)) = (places.get(&way.from), places.get(&way.to)) else { continue };
        let nth = used.entry(&way.from).or_default();
        draw_way(&mut svg, *from, *to, *nth, &way.name);
        *nth += 1;
    }
    for (spot, (x, y, _)) in &places {
        draw_box(&mut svg, l, spot, line, lengths, (*x, *y));
    }
    svg.push_str("</svg>");
    svg
}

/// What is wrong with the ways through a line, in words, the worst first.
pub(in crate::console) fn faults(l: Lang, config: &Config, line: &LineId) -> Vec<(bool, String)> {
    let is_here = |place: &Place| match place {
        Place::Node(id, _) | Place::Queue(id) => id == line,
    };
    let mut said: Vec<(bool, String)> = graph::faults(config)
        .into_iter()
        .filter(|fault| match fault {
            Fault::NoStart(id)
            | Fault::NobodyTakes(id)
            | Fault::UnreachableNode(id, _)
            | Fault::UnreachableLine(id) => id == line,
            Fault::UnknownNode(place, ..) | Fault::UnknownLine(place, ..) => is_here(place),
            Fault::Circle(places) => places.iter().any(is_here),
        })
        .map(|fault| (fault.is_error(), words(l, &fault)))
        .collect();
    said.sort_by_key(|(is_error, _)| !is_error);
    said
}

fn words(l: Lang, fault: &Fault) -> String {
    let place = |place: &Place| match place {
        Place::Node(_, node) => format!("「{node}」"),
        Place::Queue(_) => "待ち列".to_owned(),
    };
    match (l, fault) {
        (Lang::En, fault) => fault.to_string(),
        (Lang::Ja, Fault::NoStart(_)) => format!("最初の案内「{START}」がありません。"),
        (Lang::Ja, Fault::UnknownNode(from, _, node)) => {
            format!("行き止まり: {}から進む先の「{node}」がありません。", place(from))
        }
        (Lang::Ja, Fault::UnknownLine(from, _, line)) => {
            format!("行き止まり: {}から進む先の回線「{line}」がありません。", place(from))
        }
        (Lang::Ja, Fault::Circle(places)) => {
            let way: Vec<_> = places.iter().map(place).collect();
            format!("何も押さない人が永久に回り続けます: {} → (最初へ)", way.join(" → "))
        }
        (Lang::Ja, Fault::NobodyTakes(_)) => "この回線を受ける相談員がいません。".to_owned(),
        (Lang::Ja, Fault::UnreachableNode(_, node)) => {
            format!("「{node}」には、だれも到達しません。")
        }
        (Lang::Ja, Fault::UnreachableLine(_)) => {
            "番号がなく、ほかの回線からも来ないので、だれもかけられません。".to_owned()
        }
    }
}

fn spot(line: &Line, target: &Target) -> Spot {
    match target {
        Target::Node(node) if line.guidance.contains_key(node) => Spot::Node(node.clone()),
        Target::Node(node) => Spot::Missing(node.clone()),
        Target::Queue => Spot::Queue,
        Target::Help => Spot::Help,
        Target::Hangup => Spot::Hangup,
        Target::Line(line) => Spot::Line(line.clone()),
    }
}

/// What an exit is called.
fn name(l: Lang, exit: Exit) -> String {
    match exit {
        Exit::Next => l.t("次へ", "then").to_owned(),
        Exit::Key(digit) => digit.char().to_string(),
        Exit::OnTimeout => l.t("待ち時間切れ", "too long").to_owned(),
        Exit::OnFull => l.t("満員", "full").to_owned(),
        Exit::OnNoCounselor => l.t("相談員なし", "nobody").to_owned(),
    }
}

fn ways(l: Lang, line: &Line) -> Vec<Way> {
    let way = |from: &Spot, exit, target: &Target| Way {
        from: from.clone(),
        to: spot(line, target),
        name: name(l, exit),
    };
    let mut ways = Vec::new();
    for (node, it) in &line.guidance {
        let from = Spot::Node(node.clone());
        ways.extend(it.keys.iter().map(|(digit, to)| way(&from, Exit::Key(*digit), to)));
        ways.push(way(&from, Exit::Next, &it.next));
    }
    let queue = &line.queue;
    ways.push(way(&Spot::Queue, Exit::OnTimeout, &queue.on_timeout));
    ways.push(way(&Spot::Queue, Exit::OnFull, &queue.on_full));
    ways.push(way(&Spot::Queue, Exit::OnNoCounselor, &queue.on_no_counselor));
    // Several exits to the same place are one way.
    let mut joined: Vec<Way> = Vec::new();
    for way in ways {
        match joined.iter_mut().find(|it| it.from == way.from && it.to == way.to) {
            Some(same) => same.name = format!("{}{}{}", same.name, l.t("・", ", "), way.name),
            None => joined.push(way),
        }
    }
    joined
}

/// The picture for those who don't see it.
fn in_words(l: Lang, ways: &[Way]) -> String {
    let told = ways.iter().map(|way| {
        let (from, to) = (title(l, &way.from), title(l, &way.to));
        format!("{from}: {} → {to}", way.name)
    });
    format!("{}. {}", l.t("案内の流れ図", "The guidance"), told.collect::<Vec<_>>().join("; "))
}

/// What is how far from the start; what nobody gets to comes last.
fn layers(line: &Line, ways: &[Way]) -> Vec<Vec<Spot>> {
    let mut depth: BTreeMap<Spot, usize> = BTreeMap::new();
    let mut open = VecDeque::from([(Spot::Node(START.into()), 0)]);
    while let Some((at, far)) = open.pop_front() {
        if depth.contains_key(&at) {
            continue;
        }
        let onward = ways.iter().filter(|way| way.from == at);
        open.extend(onward.map(|way| (way.to.clone(), far + 1)));
        depth.insert(at, far);
    }
    if !line.guidance.contains_key(&NodeId::from(START)) {
        depth.clear();
    }
    // Ends stand below everything, so that ways lead down.
    let last = depth.values().max().copied().unwrap_or(0);
    let is_end = |spot: &Spot| matches!(spot, Spot::Help | Spot::Hangup | Spot::Line(_));
    let queue = depth.get(&Spot::Queue).copied();
    let deepest = depth.iter().filter(|(it, _)| !is_end(it)).map(|(_, far)| *far).max();
    let below = deepest.map_or(last, |far| far.max(queue.unwrap_or(0)) + 1);
    let mut layers: Vec<Vec<Spot>> = vec![Vec::new(); below + 2];
    for (spot, far) in depth.iter().take(BOXES_MAX) {
        let far = if is_end(spot) { below } else { *far };
        if let Some(layer) = layers.get_mut(far) {
            layer.push(spot.clone());
        }
    }
    let seen: BTreeSet<&Spot> = depth.keys().collect();
    let lost = line.guidance.keys().map(|node| Spot::Node(node.clone()));
    let lost: Vec<Spot> = lost.filter(|spot| !seen.contains(spot)).take(BOXES_MAX).collect();
    if let Some(layer) = layers.last_mut() {
        layer.extend(lost);
    }
    layers.retain(|layer| !layer.is_empty());
    layers
}

fn title(l: Lang, spot: &Spot) -> String {
    match spot {
        Spot::Node(node) if &*node.0 == START => format!("{} {node}", l.t("はじめ", "Start")),
        Spot::Node(node) => node.to_string(),
        Spot::Queue => l.t("待ち列(相談員へ)", "Queue").to_owned(),
        Spot::Help => l.t("相談先を伝えて終わり", "Help, end").to_owned(),
        Spot::Hangup => l.t("あいさつして終わり", "Goodbye, end").to_owned(),
        Spot::Line(line) => format!("{} {line}", l.t("回線", "Line")),
        Spot::Missing(node) => format!("? {node}"),
    }
}

fn draw_box(
    svg: &mut String,
    l: Lang,
    spot: &Spot,
    line: &Line,
    lengths: &BTreeMap<Prompt, Duration>,
    (x, y): (i32, i32),
) {
    let (dash, thick) = match spot {
        Spot::Missing(_) => (" stroke-dasharray=\"5 4\"", 3),
        Spot::Node(_) | Spot::Queue => ("", 2),
        Spot::Help | Spot::Hangup | Spot::Line(_) => ("", 1),
    };
    let round = if matches!(spot, Spot::Node(_) | Spot::Missing(_)) { 6 } else { 22 };
    let middle = x + WIDTH / 2;
    let more = match spot {
        Spot::Node(node) => line.guidance.get(node).map(|node| {
            let played: Vec<_> = node.play.iter().map(|prompt| prompt.0.to_string()).collect();
            let length: Duration = node.play.iter().filter_map(|it| lengths.get(it)).sum();
            match played.is_empty() {
                true => l.t("(音声なし)", "(silent)").to_owned(),
                false => format!("{} {:.0}s", cut(&played.join(", "), 19), length.as_secs_f64()),
            }
        }),
        Spot::Missing(_) => Some(l.t("行き止まり", "dead end").to_owned()),
        Spot::Queue | Spot::Help | Spot::Hangup | Spot::Line(_) => None,
    };
    let title_y = y + if more.is_some() { 25 } else { 34 };
    let title = escape(&cut(&title(l, spot), 20));
    svg.push_str(&format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{round}\" \
         fill=\"Canvas\" stroke=\"currentColor\" stroke-width=\"{thick}\"{dash}/>\
         <text x=\"{middle}\" y=\"{title_y}\" text-anchor=\"middle\" font-weight=\"700\">{title}\
         </text>",
    ));
    if let Some(more) = more {
        let y = y + 44;
        let more = escape(&more);
        svg.push_str(&format!(
            "<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">{more}</text>"
        ));
    }
}

fn draw_way(
    svg: &mut String,
    (x, y, depth): (i32, i32, usize),
    (to_x, to_y, to_depth): (i32, i32, usize),
    nth: i32,
    name: &str,
) {
    let (middle, to_middle) = (x + WIDTH / 2, to_x + WIDTH / 2);
    let shift = (nth % 5) * 34 - 20;
    let (path, label) = if to_depth > depth {
        let (from, to) = ((middle + shift, y + HEIGHT), (to_middle + shift / 2, to_y - 2));
        let half = i32::midpoint(from.1, to.1);
        let path =
            format!("M{} {}C{} {half} {} {half} {} {}", from.0, from.1, from.0, to.0, to.0, to.1);
        (path, (from.0 + (to.0 - from.0) / 6 + 4, from.1 + 17))
    } else {
        // Back, or to the side: around the right.
        let (from, to) = ((x + WIDTH, y + HEIGHT / 2), (to_x + WIDTH + 2, to_y + HEIGHT / 2 + 8));
        let out = from.0.max(to.0) + 30 + 8 * nth;
        let path =
            format!("M{} {}C{out} {} {out} {} {} {}", from.0, from.1, from.1, to.1, to.0, to.1);
        (path, (from.0 + 6, from.1 - 6))
    };
    let name = escape(name);
    svg.push_str(&format!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"currentColor\" marker-end=\"url(#tip)\"/>\
         <text x=\"{}\" y=\"{}\">{name}</text>",
        label.0, label.1,
    ));
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(guidance: &str) -> Config {
        let text = format!(
            "[[trunk]]\nid = \"t\"\npeers = [\"192.0.2.1\"]\n[[line]]\nid = \"a\"\n\
             numbers = [\"1234\"]\n[line.guidance]\n{guidance}\n[[counselor]]\n\
             extension = \"101\"\npassword = \"x\"\nlines = [\"a\"]\n"
        );
        crate::config::parse(&text, "k.toml", std::path::Path::new("")).unwrap().call
    }

    #[test]
    fn everything_that_a_caller_can_get_to_is_drawn_once() {
        let config = config(
            "start = { play = [\"welcome\"], keys = { 1 = \"queue\", 2 = \"more\" }, \
             next = \"help\" }\n\
             more = { play = [], keys = { 9 = \"start\" }, next = \"hangup\" }",
        );
        let lengths = BTreeMap::from([("welcome".into(), Duration::from_secs(4))]);
        let svg = picture(Lang::Ja, &config.lines[&"a".into()], &lengths);
        for text in [">はじめ start<", ">more<", ">待ち列(相談員へ)<", "welcome 4s", ">1<", ">9<"]
        {
            assert_eq!(svg.matches(text).count(), 1, "{text} in {svg}");
        }
        assert_eq!(svg.matches("<rect").count(), 5);
        // Ways: three and two of the nodes; the queue's three lead to the same place.
        assert_eq!(svg.matches("marker-end").count(), 6);
        assert_eq!(faults(Lang::Ja, &config, &"a".into()), []);
    }

    #[test]
    fn dead_ends_and_circles_are_said() {
        let mut config = config("start = { next = \"queue\" }");
        let line = config.lines.get_mut(&"a".into()).unwrap();
        let start = line.guidance.get_mut(&START.into()).unwrap();
        start.next = Target::Node("gone<".into());
        let svg = picture(Lang::En, line, &BTreeMap::new());
        assert!(svg.contains("dead end") && svg.contains("? gone&lt;") && !svg.contains("gone<"));
        let said = faults(Lang::Ja, &config, &"a".into());
        assert!(said[0].0 && said[0].1.starts_with("行き止まり: 「start」"), "{said:?}");
        let line = config.lines.get_mut(&"a".into()).unwrap();
        line.guidance.get_mut(&START.into()).unwrap().next = Target::Node(START.into());
        let said = faults(Lang::Ja, &config, &"a".into());
        assert!(said[0].0 && said[0].1.contains("永久に"), "{said:?}");
    }
}
