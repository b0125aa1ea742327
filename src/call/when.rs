//! A moment in words: how a line stands at a moment, why, and what a caller would hear.
//!
//! Owns the wording of `koebashi when`, in English, and in Japanese for pages.
//! Decides nothing: the judgment is the schedule's, the way
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

/// The language of the telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// As the command tells it.
    English,
    /// As pages tell it.
    Japanese,
}

/// What a caller of the line would hear at `wall`, and why, in lines of text.
///
/// # Errors
/// When there is no such line.
pub fn explain(config: &Config, line: &LineId, wall: Timestamp) -> Result<String, NoSuchLine> {
    explain_in(Tongue::English, config, line, wall)
}

/// As [`explain`], in either language.
///
/// # Errors
/// When there is no such line.
pub fn explain_in(
    tongue: Tongue,
    config: &Config,
    line: &LineId,
    wall: Timestamp,
) -> Result<String, NoSuchLine> {
    let Some(found) = config.lines.get(line) else {
        let known = config.lines.keys().map(ToString::to_string).collect();
        return Err(NoSuchLine { line: line.clone(), known });
    };
    let mut words = Words { tongue, config, wall, out: String::new(), seen: BTreeSet::new() };
    let moment = words.moment(wall);
    words.line(0, &format!("{} ({line}), {moment} {}", found.name, config.timezone));
    words.state(0, found);
    words.line(0, words.t("the caller hears", "かけた人に聞こえるもの"));
    words.hears(1, line, found);
    words.outlook(found);
    Ok(words.out)
}

/// The text as it grows.
struct Words<'a> {
    tongue: Tongue,
    config: &'a Config,
    wall: Timestamp,
    out: String,
    /// Where the telling has been; a circle by keys is told once.
    seen: BTreeSet<(LineId, Option<NodeId>)>,
}

impl<'a> Words<'a> {
    fn t(&self, en: &'static str, ja: &'static str) -> &'static str {
        match self.tongue {
            Tongue::English => en,
            Tongue::Japanese => ja,
        }
    }

    /// One of two texts with the same gap, which is filled in.
    fn with(&self, en: &'static str, ja: &'static str, what: impl std::fmt::Display) -> String {
        self.t(en, ja).replacen("{}", &what.to_string(), 1)
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn state(&mut self, depth: usize, line: &Line) {
        let text = match at(&line.schedule, self.config.timezone, self.wall) {
            Opening::Open { intake_end, service_end } => match (intake_end, service_end) {
                (None, _) => self.t("open: no end in sight", "受付中: 終わりの予定なし").to_owned(),
                (Some(intake), Some(service)) if service > intake => {
                    let intake = self.moment(intake);
                    let en = "open: callers are taken until {}, counseling goes on until {}";
                    let ja = "受付中: 新しい電話は {} まで、相談は {} まで";
                    self.with(en, ja, intake).replacen("{}", &self.moment(service), 1)
                }
                (Some(intake), _) => {
                    self.with("open: until {}", "受付中: {} まで", self.moment(intake))
                }
            },
            Opening::Winding { service_end } => {
                let (en, ja) =
                    ("no new callers; counseling goes on{}", "新しい電話は受けない(相談は続く){}");
                self.with(en, ja, self.until(service_end))
            }
            Opening::Closed { why, .. } => {
                self.with("closed: {}", "受付していない: {}", self.reason(why))
            }
        };
        self.line(depth, &text);
        match line.schedule.over {
            Override::Open(until) if until.is_none_or(|until| self.wall < until) => {
                let text =
                    self.with("a person opened it{}", "臨時に開けている{}", self.until(until));
                self.line(depth, &text);
            }
            Override::Closed(until) if until.is_none_or(|until| self.wall < until) => {
                let text =
                    self.with("a person closed it{}", "臨時に閉めている{}", self.until(until));
                self.line(depth, &text);
            }
            Override::Auto | Override::Open(_) | Override::Closed(_) => {}
        }
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        match until {
            Some(until) => self.with(" until {}", " {} まで", self.moment(until)),
            None => self.t(", without an end", "(期限なし)").to_owned(),
        }
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
                let en = "ringing (180, free of charge), until a counselor answers";
                self.line(depth, self.t(en, "呼び出し音(無料)。相談員が出るまで"));
                self.queue(depth, id, line);
            }
            AnswerMode::Immediate => self.node(depth, id, line, &NodeId::from(START)),
            AnswerMode::EarlyMedia => {
                let en = "early media (183), until a counselor answers";
                self.line(depth, self.t(en, "応答せずに音声(無料)。相談員が出るまで"));
                self.node(depth, id, line, &NodeId::from(START));
            }
        }
    }

    fn node(&mut self, depth: usize, id: &LineId, line: &'a Line, at: &NodeId) {
        if !self.seen.insert((id.clone(), Some(at.clone()))) {
            return self
                .line(depth, &self.with("guidance `{}`, as above", "案内 {}(上と同じ)", at));
        }
        let Some(node) = line.guidance.get(at) else {
            return self
                .line(depth, &self.with("guidance `{}`: missing", "案内 {}: ありません", at));
        };
        let played = self.prompts(&node.play);
        let text = self.with("guidance `{}`: {}", "案内 {}: {}", at).replacen("{}", &played, 1);
        self.line(depth, &text);
        for (key, target) in &node.keys {
            self.line(depth + 1, &self.with("key {}:", "{} を押すと:", key.char()));
            self.target(depth + 2, id, line, target);
        }
        if node.keys.is_empty() {
            return self.target(depth, id, line, &node.next);
        }
        let times = u32::from(node.repeats) + 1;
        let wait = seconds(node.timeout);
        let (en, ja) = ("no key within {}, {} time(s):", "{} 何も押さないことが {} 回で:");
        let text = self.with(en, ja, wait).replacen("{}", &times.to_string(), 1);
        self.line(depth + 1, &text);
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
            return self.line(depth, &self.with("line {}: missing", "回線 {}: ありません", id));
        };
        if self.seen.contains(&(id.clone(), None)) {
            return self.line(depth, &self.with("line {}, as above", "回線 {}(上と同じ)", id));
        }
        let text = self.with("goes on to line {} ({})", "回線 {} へ進む({})", id);
        self.line(depth, &text.replacen("{}", &line.name, 1));
        self.state(depth + 1, line);
        self.hears(depth + 1, id, line);
    }

    fn queue(&mut self, depth: usize, id: &LineId, line: &'a Line) {
        let queue = &line.queue;
        let limit = seconds(queue.max_wait);
        if let Some(prompt) = line.recording.prompt() {
            let told = self.prompts(std::slice::from_ref(prompt));
            let what = match &line.recording {
                Recording::Ask { .. } => {
                    self.t("recording, where the caller presses 1", "録音(1を押した人だけ)")
                }
                Recording::Off | Recording::On { .. } => self.t("recording", "録音"),
            };
            self.line(depth, &format!("{what}: {told}"));
        }
        if line.answer == AnswerMode::Ring {
            let text = self.with("queue: for {} at most", "待ち行列: 長くて {}", limit);
            self.line(depth, &text);
        } else {
            let connecting = self.said(line, Said::Connecting);
            let hold = self.prompts(std::slice::from_ref(&queue.hold));
            let (en, ja) =
                ("queue: {}, then {} again and again", "待ち行列: {}、そのあと {} を繰り返し");
            let text = self.with(en, ja, connecting).replacen("{}", &hold, 1);
            self.line(depth, &text);
            self.line(depth + 1, &self.with("for {} at most", "長くて {}", limit));
        }
        let ends: [(&str, Said, &Target); 3] = [
            (
                self.t("nobody on duty: ", "相談員がいないとき: "),
                Said::NoCounselor,
                &queue.on_no_counselor,
            ),
            (self.t("queue full: ", "満員のとき: "), Said::AllBusy, &queue.on_full),
            (
                self.t("waited too long: ", "待ち時間が過ぎたとき: "),
                Said::TimedOut,
                &queue.on_timeout,
            ),
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
                let end = self.t("; then the end", "、そして終わり");
                self.line(depth, &format!("{when}{said}{end}"))
            }
            Target::Queue => {
                let queue = self.t("; then the queue", "、そして待ち行列");
                self.line(depth, &format!("{when}{said}{queue}"))
            }
            Target::Node(_) | Target::Line(_) => {
                let then = self.t("; then", "、そして");
                self.line(depth, &format!("{when}{said}{then}"));
                self.target(depth + 1, id, line, target);
            }
        }
    }

    fn outlook(&mut self, line: &Line) {
        let (schedule, tz) = (&line.schedule, self.config.timezone);
        let change = match next_change(schedule, tz, self.wall) {
            None => self.t("none in sight", "予定なし").to_owned(),
            Some(then) => {
                let what = match at(schedule, tz, then) {
                    Opening::Open { .. } => self.t("opens", "受付が始まる"),
                    Opening::Winding { .. } => {
                        self.t("no new callers, counseling goes on", "受付が終わる(相談は続く)")
                    }
                    Opening::Closed { .. } => self.t("closed", "閉まる"),
                };
                format!("{}: {what}", self.moment(then))
            }
        };
        self.line(0, &self.with("next change: {}", "次に変わるとき: {}", change));
        let openings = next_openings(schedule, tz, self.wall, 3);
        let openings: Vec<_> = openings.iter().map(|span| self.moment(span.open)).collect();
        let none = self.t("none in sight", "予定なし").to_owned();
        let openings = if openings.is_empty() { none } else { openings.join(", ") };
        self.line(0, &self.with("next openings: {}", "次の受付: {}", openings));
    }

    fn said(&self, line: &Line, said: Said) -> String {
        self.prompts(&[self.config.prompt(Some(line), said)])
    }

    /// `welcome (4.1 s), …`
    fn prompts(&self, prompts: &[Prompt]) -> String {
        let one = |prompt: &Prompt| match self.config.prompt_lengths.get(prompt) {
            Some(length) => format!("{} ({})", prompt.0, seconds(*length)),
            None => format!("{} {}", prompt.0, self.t("(no such prompt!)", "(音声がありません)")),
        };
        let all: Vec<_> = prompts.iter().map(one).collect();
        if all.is_empty() { self.t("nothing", "なし").to_owned() } else { all.join(", ") }
    }

    fn reason(&self, why: Why) -> String {
        match why {
            Why::OutsideHours => self.t("outside of the hours", "受付時間の外").to_owned(),
            Why::Range((m, d), (n, e)) => {
                let (from, to) = (format!("{m:02}-{d:02}"), format!("{n:02}-{e:02}"));
                let text = self.with("every year from {} to {}", "毎年 {} から {} まで休み", from);
                text.replacen("{}", &to, 1)
            }
            Why::Date(day) => self.with("{} is a closed date", "{} は休みの日", day),
            Why::Holiday(name) => self.with("holiday, {}", "祝日({})", name),
            Why::Override => self.t("a person closed it", "臨時に閉めている").to_owned(),
        }
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

/// `5.2 s`, `180 s`
fn seconds(length: Duration) -> String {
    if length.subsec_millis() == 0 {
        format!("{} s", length.as_secs())
    } else {
        format!("{:.1} s", length.as_secs_f64())
    }
}
