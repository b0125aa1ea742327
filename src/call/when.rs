//! A moment in words: how a line stands at a moment, why, and what a caller would hear.
//!
//! Owns the wording of `koebashi when`. Decides nothing: the judgment is the schedule's, the way
//! through the guidance follows the configuration. What depends on who else calls then (nobody on
//! duty, a full queue) is told as what may happen.

use std::collections::BTreeSet;

use chrono::{Datelike, Weekday};

use super::config::{AnswerMode, Config, Line, LineId, NodeId, Override, Recording, Said, Target};
use super::graph::START;
use super::schedule::{Opening, Why, at, next_change, next_openings};
use crate::media::Prompt;
use crate::time::{Duration, Timestamp};

/// The line that was asked about is not configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no line `{line}`; lines are: {}", known.join(", "))]
pub struct NoSuchLine {
    /// What was asked for.
    pub line: LineId,
    /// The ids of the lines that are there.
    pub known: Vec<String>,
}

/// What a caller of the line would hear at `wall`, and why, in lines of text.
///
/// # Errors
/// When there is no such line.
pub fn explain(config: &Config, line: &LineId, wall: Timestamp) -> Result<String, NoSuchLine> {
    let Some(found) = config.lines.get(line) else {
        let known = config.lines.keys().map(ToString::to_string).collect();
        return Err(NoSuchLine { line: line.clone(), known });
    };
    let mut words = Words { config, wall, out: String::new(), seen: BTreeSet::new() };
    let moment = words.moment(wall);
    words.line(0, &format!("{} ({line}), {moment} {}", found.name, config.timezone));
    words.state(0, found);
    words.line(0, "the caller hears");
    words.hears(1, line, found);
    words.outlook(found);
    Ok(words.out)
}

/// The text as it grows.
struct Words<'a> {
    config: &'a Config,
    wall: Timestamp,
    out: String,
    /// Where the telling has been; a circle by keys is told once.
    seen: BTreeSet<(LineId, Option<NodeId>)>,
}

impl<'a> Words<'a> {
    fn line(&mut self, depth: usize, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn state(&mut self, depth: usize, line: &Line) {
        let text = match at(&line.schedule, self.config.timezone, self.wall) {
            Opening::Open { intake_end, service_end } => match (intake_end, service_end) {
                (None, _) => "open: no end in sight".to_owned(),
                (Some(intake), Some(service)) if service > intake => format!(
                    "open: callers are taken until {}, counseling goes on until {}",
                    self.moment(intake),
                    self.moment(service)
                ),
                (Some(intake), _) => format!("open: until {}", self.moment(intake)),
            },
            Opening::Winding { service_end } => {
                format!("no new callers; counseling goes on{}", self.until(service_end))
            }
            Opening::Closed { why, .. } => format!("closed: {}", reason(why)),
        };
        self.line(depth, &text);
        match line.schedule.over {
            Override::Open(until) if until.is_none_or(|until| self.wall < until) => {
                self.line(depth, &format!("a person opened it{}", self.until(until)));
            }
            Override::Closed(until) if until.is_none_or(|until| self.wall < until) => {
                self.line(depth, &format!("a person closed it{}", self.until(until)));
            }
            Override::Auto | Override::Open(_) | Override::Closed(_) => {}
        }
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        let until = until.map(|until| format!(" until {}", self.moment(until)));
        until.unwrap_or_else(|| ", without an end".to_owned())
    }

    /// What a caller gets who comes to this line.
    fn hears(&mut self, depth: usize, id: &LineId, line: &'a Line) {
        self.seen.insert((id.clone(), None));
        let say = match at(&line.schedule, self.config.timezone, self.wall) {
            Opening::Open { .. } => return self.way_in(depth, id, line),
            Opening::Closed { why: Why::Range(..), .. } => Said::ClosedYearEnd,
            Opening::Winding { .. } | Opening::Closed { .. } => Said::Closed,
        };
        self.ending(depth, "", id, line, &[say], &Target::Help);
    }

    fn way_in(&mut self, depth: usize, id: &LineId, line: &'a Line) {
        match line.answer {
            AnswerMode::Ring => {
                self.line(depth, "ringing (180, free of charge), until a counselor answers");
                self.queue(depth, id, line);
            }
            AnswerMode::Immediate => self.node(depth, id, line, &NodeId::from(START)),
            AnswerMode::EarlyMedia => {
                self.line(depth, "early media (183), until a counselor answers");
                self.node(depth, id, line, &NodeId::from(START));
            }
        }
    }

    fn node(&mut self, depth: usize, id: &LineId, line: &'a Line, at: &NodeId) {
        if !self.seen.insert((id.clone(), Some(at.clone()))) {
            return self.line(depth, &format!("guidance `{at}`, as above"));
        }
        let Some(node) = line.guidance.get(at) else {
            return self.line(depth, &format!("guidance `{at}`: missing"));
        };
        let played = self.prompts(&node.play);
        self.line(depth, &format!("guidance `{at}`: {played}"));
        for (key, target) in &node.keys {
            self.line(depth + 1, &format!("key {}:", key.char()));
            self.target(depth + 2, id, line, target);
        }
        if node.keys.is_empty() {
            return self.target(depth, id, line, &node.next);
        }
        let times = u32::from(node.repeats) + 1;
        let wait = seconds(node.timeout);
        self.line(depth + 1, &format!("no key within {wait}, {times} time(s):"));
        self.target(depth + 2, id, line, &node.next);
    }

    fn target(&mut self, depth: usize, id: &LineId, line: &'a Line, target: &Target) {
        match target {
            Target::Node(node) => self.node(depth, id, line, node),
            Target::Queue => self.queue(depth, id, line),
            Target::Help | Target::Hangup => self.ending(depth, "", id, line, &[], target),
            Target::Line(other) => self.other_line(depth, other),
        }
    }

    fn other_line(&mut self, depth: usize, id: &LineId) {
        let Some(line) = self.config.lines.get(id) else {
            return self.line(depth, &format!("line {id}: missing"));
        };
        if self.seen.contains(&(id.clone(), None)) {
            return self.line(depth, &format!("line {id}, as above"));
        }
        self.line(depth, &format!("goes on to line {id} ({})", line.name));
        self.state(depth + 1, line);
        self.hears(depth + 1, id, line);
    }

    fn queue(&mut self, depth: usize, id: &LineId, line: &'a Line) {
        let queue = &line.queue;
        let limit = seconds(queue.max_wait);
        if let Some(prompt) = line.recording.prompt() {
            let told = self.prompts(std::slice::from_ref(prompt));
            let what = match &line.recording {
                Recording::Ask { .. } => "recording, where the caller presses 1",
                Recording::Off | Recording::On { .. } => "recording",
            };
            self.line(depth, &format!("{what}: {told}"));
        }
        if line.answer == AnswerMode::Ring {
            self.line(depth, &format!("queue: for {limit} at most"));
        } else {
            let connecting = self.said(line, Said::Connecting);
            let hold = self.prompts(std::slice::from_ref(&queue.hold));
            self.line(depth, &format!("queue: {connecting}, then {hold} again and again"));
            self.line(depth + 1, &format!("for {limit} at most"));
        }
        let ends: [(&str, Said, &Target); 3] = [
            ("nobody on duty: ", Said::NoCounselor, &queue.on_no_counselor),
            ("queue full: ", Said::AllBusy, &queue.on_full),
            ("waited too long: ", Said::TimedOut, &queue.on_timeout),
        ];
        for (when, said, target) in ends {
            self.ending(depth + 1, when, id, line, &[said], target);
        }
    }

    /// Something said, and where it leads: the end, or further.
    fn ending(
        &mut self,
        depth: usize,
        when: &str,
        id: &LineId,
        line: &'a Line,
        say: &[Said],
        target: &Target,
    ) {
        let last: &[Said] = match target {
            Target::Help => &[Said::Help],
            Target::Hangup if say.is_empty() => &[Said::Goodbye],
            Target::Hangup | Target::Node(_) | Target::Queue | Target::Line(_) => &[],
        };
        let said: Vec<_> = say.iter().chain(last).map(|said| self.said(line, *said)).collect();
        let said = said.join(", ");
        match target {
            Target::Help | Target::Hangup => {
                self.line(depth, &format!("{when}{said}; then the end"))
            }
            Target::Queue => self.line(depth, &format!("{when}{said}; then the queue")),
            Target::Node(_) | Target::Line(_) => {
                self.line(depth, &format!("{when}{said}; then"));
                self.target(depth + 1, id, line, target);
            }
        }
    }

    fn outlook(&mut self, line: &Line) {
        let (schedule, tz) = (&line.schedule, self.config.timezone);
        let change = match next_change(schedule, tz, self.wall) {
            None => "none in sight".to_owned(),
            Some(then) => {
                let what = match at(schedule, tz, then) {
                    Opening::Open { .. } => "opens",
                    Opening::Winding { .. } => "no new callers, counseling goes on",
                    Opening::Closed { .. } => "closed",
                };
                format!("{}: {what}", self.moment(then))
            }
        };
        self.line(0, &format!("next change: {change}"));
        let openings = next_openings(schedule, tz, self.wall, 3);
        let openings: Vec<_> = openings.iter().map(|span| self.moment(span.open)).collect();
        let openings =
            if openings.is_empty() { "none in sight".into() } else { openings.join(", ") };
        self.line(0, &format!("next openings: {openings}"));
    }

    fn said(&self, line: &Line, said: Said) -> String {
        self.prompts(&[self.config.prompt(Some(line), said)])
    }

    /// `welcome (4.1 s), …`
    fn prompts(&self, prompts: &[Prompt]) -> String {
        let one = |prompt: &Prompt| match self.config.prompt_lengths.get(prompt) {
            Some(length) => format!("{} ({})", prompt.0, seconds(*length)),
            None => format!("{} (no such prompt!)", prompt.0),
        };
        let all: Vec<_> = prompts.iter().map(one).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    }

    /// `2026-12-26 (土) 18:00`
    fn moment(&self, moment: Timestamp) -> String {
        let local = moment.with_timezone(&self.config.timezone);
        let day = match local.weekday() {
            Weekday::Mon => '月',
            Weekday::Tue => '火',
            Weekday::Wed => '水',
            Weekday::Thu => '木',
            Weekday::Fri => '金',
            Weekday::Sat => '土',
            Weekday::Sun => '日',
        };
        format!("{} ({day}) {}", local.format("%Y-%m-%d"), local.format("%H:%M"))
    }
}

fn reason(why: Why) -> String {
    match why {
        Why::OutsideHours => "outside of the hours".to_owned(),
        Why::Range((m, d), (n, e)) => format!("every year from {m:02}-{d:02} to {n:02}-{e:02}"),
        Why::Date(day) => format!("{day} is a closed date"),
        Why::Holiday(name) => format!("holiday, {name}"),
        Why::Override => "a person closed it".to_owned(),
    }
}

/// `5.2 s`, `180 s`
fn seconds(length: Duration) -> String {
    if length.subsec_millis() == 0 {
        format!("{} s", length.as_secs())
    } else {
        format!("{:.1} s", length.as_secs_f64())
    }
}
