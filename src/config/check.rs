//! What can be judged only when everything is read: names that must fit each other, paths that must
//! end, prompts that must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::nearest::hint;
use super::sheet::Section;
use super::{Loaded, place, service};
use crate::call::config::{AnswerMode, Config, Line, Node, NodeId, Recording, Srtp, Target, Use};
use crate::call::graph::{Exit, Fault, Place, START, faults};
use crate::complaint::{Complaint, Fit, Severity};
use crate::media::Prompt;
use crate::shell::recorder::Config as RecorderConfig;
use crate::sip::Transport;
use crate::sip::uri::Uri;

/// A guidance longer than this loses callers, who pay for it.
pub const GUIDANCE_MAX: Duration = Duration::from_secs(20);

/// The shipped prompt that says that nothing is recorded.
const NOT_RECORDED: &str = "not_recorded";

/// Complains about everything that does not fit together.
pub(super) fn whole(
    root: &Section<'_>,
    config: &Config,
    ports: &(u16, u16),
    recorder: &RecorderConfig,
) {
    recordings(root, config, recorder);
    for (extension, counselor) in &config.counselors {
        let key = format!("counselor.{extension}");
        for line in counselor.lines.iter().filter(|line| !config.lines.contains_key(*line)) {
            let lines = config.lines.keys().map(|id| &*id.0);
            let what = Fit::NoLine(line.to_string(), hint(&line.0, lines));
            root.error(&format!("{key}.lines"), what);
        }
        for (name, code) in service::named(&config.codes) {
            if extension.0.starts_with(code) {
                let what = Fit::ExtensionLikeCode(name.to_owned(), code.to_owned());
                root.error(&format!("{key}.extension"), what);
            }
        }
        for (id, line) in &config.lines {
            if line.numbers.iter().any(|number| **number == *extension.0) {
                root.error(&format!("{key}.extension"), Fit::ExtensionIsNumber(id.to_string()));
            }
        }
    }
    // Errors come first. After one, a warning may only be what follows from it.
    for fault in faults(config) {
        let (key, what) = placed(&fault, config);
        match fault.is_error() {
            true => root.error(&key, what),
            false if root.is_refused("") => return,
            false => root.warn(&key, what),
        }
    }
    if root.is_refused("") {
        return;
    }
    if config.lines.is_empty() {
        root.warn("line", Fit::NoLines);
    }
    if config.trunks.is_empty() {
        root.warn("trunk", Fit::NoTrunks);
    }
    let pairs = usize::from((ports.1 - ports.0) / 2 + 1) / 2;
    if pairs < config.limits.max_calls {
        root.warn("media.ports", Fit::FewPorts(pairs, config.limits.max_calls));
    }
}

/// Warns where the keys of SRTP would be read by whoever reads the signaling (RFC 4568 §7): where
/// we know the way and it is not TLS, and where there is no TLS to come by.
pub(super) fn keys(root: &Section<'_>, config: &Config, listen: &[(Transport, SocketAddr)]) {
    if root.is_refused("") || listen.iter().all(|(_, socket)| socket.ip().is_loopback()) {
        return;
    }
    let has_tls = listen.iter().any(|(transport, _)| *transport == Transport::Tls);
    let judge = |key: String, srtp: Srtp, uri: Option<&str>| {
        let what = match uri {
            _ if srtp == Srtp::Off => return,
            Some(uri) if !is_private(uri) => Fit::KeysToPeer(uri.to_owned()),
            Some(_) => return,
            None if has_tls => return,
            None => Fit::KeysFromPeer,
        };
        root.warn(&format!("{key}.srtp"), what);
    };
    for (id, trunk) in &config.trunks {
        let uri = trunk.register.first().map(|register| &*register.uri);
        judge(format!("trunk.{id}"), trunk.srtp, uri);
    }
    for (id, counselor) in &config.counselors {
        judge(format!("counselor.{id}"), counselor.srtp, counselor.contact.as_deref());
    }
}

/// Whether nobody on the way can read what goes to this URI.
fn is_private(uri: &str) -> bool {
    let Ok(Uri::Sip(uri)) = Uri::parse(uri) else { return false };
    uri.transport() == Some(Transport::Tls)
}

/// Who is recorded must be able to hear it first, and somebody must be able to open the recording.
fn recordings(root: &Section<'_>, config: &Config, recorder: &RecorderConfig) {
    for (id, line) in &config.lines {
        if line.recording == Recording::Off {
            continue;
        }
        let key = format!("line.{id}.recording.mode");
        if recorder.recipients.is_empty() {
            root.error(&key, Fit::NoRecipients);
        }
        if line.answer != AnswerMode::Immediate {
            root.error(&key, Fit::UnheardNotice);
        }
        for (node, Node { play, .. }) in &line.guidance {
            if play.iter().any(|prompt| &*prompt.0 == NOT_RECORDED) {
                let key = format!("line.{id}.guidance.{node}.play");
                root.warn(&key, Fit::FalseNotice);
            }
        }
    }
}

/// The key where a fault stands, and what is wrong there.
fn placed(fault: &Fault, config: &Config) -> (String, Fit) {
    match fault {
        Fault::NoStart(line) => (format!("line.{line}.guidance"), Fit::NoStart),
        Fault::UnknownNode(from, exit, node) => {
            let line = match from {
                Place::Node(line, _) | Place::Queue(line) => config.lines.get(line),
            };
            let nodes = line.into_iter().flat_map(|l| l.guidance.keys()).map(|n| &*n.0);
            let known = nodes.chain(["queue", "help", "hangup"]);
            (exit_key(from, *exit), Fit::NoNode(node.to_string(), hint(&node.0, known)))
        }
        Fault::UnknownLine(from, exit, line) => {
            let near = hint(&line.0, config.lines.keys().map(|id| &*id.0));
            (exit_key(from, *exit), Fit::NoLine(line.to_string(), near))
        }
        Fault::Circle(places) => {
            let way = places.iter().chain(places.first()).map(ToString::to_string);
            let way = way.collect::<Vec<_>>().join(" → ");
            (places.first().map(place_key).unwrap_or_default(), Fit::Circle(way))
        }
        Fault::NobodyTakes(line) => (format!("line.{line}"), Fit::NobodyTakes),
        Fault::UnreachableLine(line) => (format!("line.{line}"), Fit::UnreachableLine),
        Fault::UnreachableNode(line, node) => {
            (place_key(&Place::Node(line.clone(), node.clone())), Fit::UnreachableNode)
        }
    }
}

fn place_key(place: &Place) -> String {
    match place {
        Place::Node(line, node) => format!("line.{line}.guidance.{node}"),
        Place::Queue(line) => format!("line.{line}.queue"),
    }
}

fn exit_key(from: &Place, exit: Exit) -> String {
    let from = place_key(from);
    match exit {
        Exit::Next => format!("{from}.next"),
        Exit::Key(digit) => format!("{from}.keys.{}", digit.char()),
        Exit::OnTimeout => format!("{from}.on_timeout"),
        Exit::OnFull => format!("{from}.on_full"),
        Exit::OnNoCounselor => format!("{from}.on_no_counselor"),
    }
}

/// Everything that looks wrong with a configuration that could be read, given the names and lengths
/// of the prompts: the warnings of reading it, prompts that are not there (errors: their place in
/// a call would be silent), and a guidance that is too long.
pub fn check(loaded: &Loaded, library: &BTreeMap<Prompt, Duration>) -> Vec<Complaint> {
    let config = &loaded.call;
    let mut complaints = loaded.warnings.clone();
    let complain = |severity, key: &str, what: Fit| Complaint {
        severity,
        file: loaded.file.clone(),
        line: place(&loaded.places, key),
        key: key.to_owned(),
        what: what.into(),
    };
    let uses = config.uses().into_iter();
    let named: BTreeSet<(String, Prompt)> =
        uses.map(|(place, prompt)| (use_key(&place), prompt)).collect();
    for (key, prompt) in named {
        if !library.contains_key(&prompt) {
            let near = hint(&prompt.0, library.keys().map(|name| &*name.0));
            let what = Fit::NoPrompt(prompt.0.to_string(), near);
            complaints.push(complain(Severity::Error, &key, what));
        }
    }
    for (id, line) in &config.lines {
        let length = guidance_length(line, library);
        if length > GUIDANCE_MAX {
            let what = Fit::LongGuidance(length.as_secs(), GUIDANCE_MAX.as_secs());
            complaints.push(complain(Severity::Warning, &format!("line.{id}.guidance"), what));
        }
    }
    complaints.sort_by_key(|complaint| complaint.line);
    complaints
}

/// The key that names a prompt.
fn use_key(place: &Use) -> String {
    match place {
        Use::Said(said) => format!("prompts.{}", said.name()),
        Use::LineSaid(line, said) => format!("line.{line}.prompts.{}", said.name()),
        Use::Node(line, node) => format!("line.{line}.guidance.{node}.play"),
        Use::Hold(line) => format!("line.{line}.queue.hold"),
        Use::Recording(line) => format!("line.{line}.recording.prompt"),
        Use::Tone(line, _) => format!("line.{line}.counselor_tones"),
    }
}

/// How long a caller listens who presses nothing, until the queue or the first choice: the prompts
/// along `next` from the start.
pub fn guidance_length(line: &Line, library: &BTreeMap<Prompt, Duration>) -> Duration {
    let mut length = Duration::ZERO;
    let mut node_id = NodeId::from(START);
    let mut seen = BTreeSet::new();
    while let Some(node) = line.guidance.get(&node_id) {
        if !seen.insert(node_id) {
            break;
        }
        length += node.play.iter().filter_map(|prompt| library.get(prompt)).sum::<Duration>();
        match &node.next {
            Target::Node(next) if node.keys.is_empty() => node_id = next.clone(),
            Target::Node(_) | Target::Queue | Target::Help | Target::Hangup | Target::Line(_) => {
                break;
            }
        }
    }
    length
}
