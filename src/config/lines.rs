//! `[[line]]`: what callers dial, its hours, queue and prompts.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{NaiveTime, Timelike, Weekday};
use toml::de::DeValue;

use super::Context;
use super::guidance;
use super::service::{DAY, HOUR, label, prompts, s};
use super::sheet::{Section, kind, plain_text};
use super::value;
use crate::call::config::{
    AnnouncePosition, Anonymous, AnswerMode, Line, LineId, Override, Queue, Recording, Schedule,
    Strategy, Window,
};
use crate::complaint::{Fit, Value, Weekday as Day, Wrong};
use crate::media::Prompt;

/// Lines at most.
const MAX_LINES: usize = 200;
/// Windows of one line at most.
const MAX_WINDOWS: usize = 100;
/// Minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// Every line.
pub(super) fn lines(root: &Section<'_>, context: &Context<'_>) -> BTreeMap<LineId, Line> {
    let mut lines: BTreeMap<LineId, Line> = BTreeMap::new();
    let sections = root.sections("line", Some("id"));
    if sections.len() > MAX_LINES {
        root.error("line", Value::TooMany(sections.len(), MAX_LINES));
    }
    for section in sections.iter().take(MAX_LINES) {
        let id = section.required("id", value::id);
        let line = line(section, context, id.as_deref().unwrap_or_default());
        section.done();
        let (Some(id), Some(line)) = (id, line) else { continue };
        for number in &line.numbers {
            if let Some((other, _)) = lines.iter().find(|(_, l)| l.numbers.contains(number)) {
                section.error("numbers", Fit::NumberTaken(number.clone(), other.to_string()));
            }
        }
        lines.insert(LineId::from(id.as_str()), line);
    }
    lines
}

fn line(section: &Section<'_>, context: &Context<'_>, id: &str) -> Option<Line> {
    let modes = [
        ("immediate", AnswerMode::Immediate),
        ("ring", AnswerMode::Ring),
        ("early_media", AnswerMode::EarlyMedia),
    ];
    let anonymous = [
        ("accept", Anonymous::Accept),
        ("ask_186", Anonymous::Ask186),
        ("refuse", Anonymous::Refuse),
    ];
    let name = section
        .parsed("name", id, |text| if id.is_empty() { Ok(String::new()) } else { label(text) });
    let numbers = section.list("numbers", &[], value::called_number);
    let answer = section.choice("answer", "immediate", &modes);
    let schedule = schedule(section, context);
    let anonymous = section.choice("anonymous", "accept", &anonymous);
    let guidance = guidance::guidance(&section.section("guidance"));
    let queue = queue(&section.section("queue"));
    let prompts = prompts(&section.section("prompts"));
    let counselor_tones = counselor_tones(section);
    let recording = recording(&section.section("recording"));
    Some(Line {
        name: name?,
        numbers: numbers?,
        answer: answer?,
        schedule: schedule?,
        anonymous: anonymous?,
        guidance,
        queue: queue?,
        prompts,
        counselor_tones,
        recording: recording?,
    })
}

/// `[line.recording]`: what is said first has a default of its own in each mode.
fn recording(section: &Section<'_>) -> Option<Recording> {
    type Make = fn(Prompt, Duration) -> Recording;
    let known: [(&str, (&str, Make)); 3] = [
        ("off", ("recording_notice", |_, _| Recording::Off)),
        ("ask", ("recording_ask", |prompt, timeout| Recording::Ask { prompt, timeout })),
        ("on", ("recording_notice", |prompt, _| Recording::On { prompt })),
    ];
    let (default, make) = section.choice("mode", "off", &known)?;
    let prompt = section.parsed("prompt", default, value::prompt);
    let timeout = section.duration("timeout", "5s", s(1)..=s(60));
    section.done();
    Some(make(prompt?, timeout?))
}

fn schedule(section: &Section<'_>, context: &Context<'_>) -> Option<Schedule> {
    let over = override_(section, context);
    let hours = section.sections("hours", None);
    if hours.len() > MAX_WINDOWS {
        section.error("hours", Value::Windows(hours.len(), MAX_WINDOWS));
    }
    let hours: Vec<Window> = hours.iter().take(MAX_WINDOWS).filter_map(window).collect();
    overlaps(section, &hours);
    let closed = section.section("closed");
    let ranges = closed.list("ranges", &[], value::day_range);
    let dates = closed.list("dates", &[], value::date);
    let holidays = closed.choice("holidays", "ignore", &[("ignore", false), ("closed", true)]);
    closed.done();
    Some(Schedule {
        hours,
        closed_ranges: ranges?,
        closed_dates: dates?,
        closed_on_holidays: holidays?,
        over: over?,
    })
}

fn override_(section: &Section<'_>, context: &Context<'_>) -> Option<Override> {
    type Make = fn(Option<crate::time::Timestamp>) -> Override;
    let known: [(&str, Make); 3] =
        [("auto", |_| Override::Auto), ("open", Override::Open), ("closed", Override::Closed)];
    let make = section.choice("override", "auto", &known)?;
    let until = section.optional("override_until", |text| value::moment(text, context.timezone));
    if make(None) == Override::Auto && section.has("override_until") {
        section.warn("override_until", Fit::IdleOverrideEnd);
    }
    Some(make(until))
}

fn window(section: &Section<'_>) -> Option<Window> {
    let days = section.list("days", &[], |text| value::one_of(text, &WEEKDAYS));
    let open = section.required("open", value::time_of_day);
    let intake_end = section.required("intake_end", value::time_of_day);
    let service_end = section.required("service_end", value::time_of_day);
    section.done();
    let (days, open, intake_end) = (days?, open?, intake_end?);
    let window = Window { days, open, intake_end, service_end: service_end? };
    if window.days.is_empty() && !section.is_refused("days") {
        section.error("days", Fit::NoDays);
    }
    if minutes_after(window.open, window.intake_end)
        > minutes_after(window.open, window.service_end)
    {
        section.error("intake_end", Fit::IntakeAfterService);
    }
    Some(window)
}

/// Minutes from one time of day to the next such time, 1 to 1440: an end at or before the opening
/// is on the next day.
fn minutes_after(from: NaiveTime, to: NaiveTime) -> u32 {
    let minute = |time: NaiveTime| time.hour() * 60 + time.minute();
    let minutes = (minute(to) + DAY_MINUTES - minute(from)) % DAY_MINUTES;
    if minutes == 0 { DAY_MINUTES } else { minutes }
}

/// Warns of windows that lie on top of each other, within the week and over its end.
fn overlaps(section: &Section<'_>, hours: &[Window]) {
    const WEEK: u32 = 7 * DAY_MINUTES;
    let mut spans: Vec<(u32, u32, usize)> = Vec::new();
    for (n, window) in hours.iter().enumerate() {
        for day in &window.days {
            let midnight = day.num_days_from_monday() * DAY_MINUTES;
            let start = midnight + minutes_after(NaiveTime::MIN, window.open) % DAY_MINUTES;
            let end = start + minutes_after(window.open, window.service_end);
            spans.push((start, end.min(WEEK), n));
            if end > WEEK {
                spans.push((0, end - WEEK, n));
            }
        }
    }
    spans.sort_unstable();
    let clash = spans.windows(2).find(|pair| pair[1].0 < pair[0].1);
    if let Some([(_, _, first), (start, ..), ..]) = clash {
        let (day, minute) = ((start / DAY_MINUTES) as usize, start % DAY_MINUTES);
        let day = WEEKDAYS.get(day).map_or(Weekday::Mon, |(_, day)| *day);
        let time = format!("{:02}:{:02}", minute / 60, minute % 60);
        section.warn(&format!("hours.{}", first + 1), Fit::Overlap(Day(day), time));
    }
}

fn queue(section: &Section<'_>) -> Option<Queue> {
    let strategies = [
        ("longest_idle", Strategy::LongestIdle),
        ("ring_all", Strategy::RingAll),
        ("round_robin", Strategy::RoundRobin),
        ("fewest_calls", Strategy::FewestCalls),
        ("ordered", Strategy::Ordered),
    ];
    let max_wait = section.duration("max_wait", "180s", s(1)..=DAY)?;
    let max_wait_no_counselor = section.duration("max_wait_no_counselor", "0s", s(0)..=DAY)?;
    if max_wait_no_counselor > max_wait {
        section.error("max_wait_no_counselor", Fit::EndlessWait);
    }
    let max_callers = section.number("max_callers", 5, 0..=10_000_u32);
    let queue = Queue {
        strategy: section.choice("strategy", "longest_idle", &strategies)?,
        ring_timeout: section.duration("ring_timeout", "20s", s(1)..=s(300))?,
        retry: section.duration("retry", "2s", s(0)..=s(300))?,
        max_wait,
        max_callers: usize::try_from(max_callers).ok()?,
        max_wait_no_counselor,
        announce_position: announce_position(section)?,
        announce_every: section.duration("announce_every", "60s", s(15)..=HOUR)?,
        hold: section.parsed("hold", "hold", value::prompt)?,
        wrap_up: section.duration("wrap_up", "300s", s(0)..=HOUR * 4)?,
        auto_pause_after: section.number("auto_pause_after", 2, 0..=100),
        short_abandon: section.duration("short_abandon", "5s", s(0)..=s(60))?,
        on_timeout: section.parsed("on_timeout", "help", guidance::exit)?,
        on_full: section.parsed("on_full", "help", guidance::exit)?,
        on_no_counselor: section.parsed("on_no_counselor", "help", guidance::exit)?,
    };
    section.done();
    Some(queue)
}

fn announce_position(section: &Section<'_>) -> Option<AnnouncePosition> {
    let limit = section.number("announce_position_limit", 3, 1..=1_000);
    let known = [
        ("off", AnnouncePosition::Off),
        ("yes", AnnouncePosition::Yes),
        ("limit", AnnouncePosition::Limit(limit)),
    ];
    section.choice("announce_position", "limit", &known)
}

/// `counselor_tones`: pairs of time left and prompt.
fn counselor_tones(section: &Section<'_>) -> Vec<(Duration, Prompt)> {
    const KEY: &str = "counselor_tones";
    const TONES_MAX: usize = 10;
    const DEFAULTS: [(u64, &str); 3] = [(15, "tone_15m"), (5, "tone_5m"), (1, "tone_1m")];
    let Some((written, _)) = section.value(KEY) else {
        let tones = DEFAULTS.map(|(minutes, prompt)| (s(minutes * 60), prompt.into()));
        section.record_tones(KEY, &tones);
        return tones.into();
    };
    let pair = |value: &DeValue<'_>| -> value::Read<(Duration, Prompt)> {
        let list = value.as_array().ok_or_else(|| Value::NotPairsBut(kind(value)))?;
        let mut parts = list.iter().map(|part| part.get_ref());
        let (Some(left), Some(prompt), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Value::NotPairs.into());
        };
        let left = value::duration_in(plain_text(left, "15m")?, &(s(1)..=HOUR * 4))?;
        Ok((left, value::prompt(plain_text(prompt, "tone_15m")?)?))
    };
    let mut tones = Vec::new();
    let all = written.as_array().ok_or_else(|| Wrong::from(Value::NotPairsBut(kind(written))));
    match all {
        Ok(all) => {
            for element in all.iter() {
                match pair(element.get_ref()) {
                    Ok(tone) => tones.push(tone),
                    Err(what) => section.error(KEY, what),
                }
            }
        }
        Err(what) => section.error(KEY, what),
    }
    if tones.len() > TONES_MAX {
        section.error(KEY, Value::Tones(tones.len(), TONES_MAX));
    }
    section.record_tones(KEY, &tones);
    tones
}
